#!/usr/bin/env bash
# Makes the certificates of tests anew: an authority; certificates of `localhost` and 127.0.0.1 under one key, of which one
# ended with the year 2020, and one of another host; certificates of a client; another authority, and what it issued to
# the same client. The keys are for tests only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/ca.cnf" <<CNF
[ca]
default_ca = tests
[tests]
new_certs_dir = $work
database = $work/index
serial = $work/serial
default_md = sha256
policy = names
unique_subject = no
[names]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[other_host]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:other.example
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
CNF
touch "$work/index"
echo 01 >"$work/serial"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
request() { openssl req -new -key "$1" -subj "/CN=$2" -out "$3"; }
key "$work/ca.key"
key "$work/other.key"
key server.key
key client.key
request "$work/ca.key" "SoonShop tests" "$work/ca.csr"
request "$work/other.key" "Somebody else" "$work/other.csr"
request server.key localhost "$work/server.csr"
request client.key soonshop "$work/client.csr"
sign() { # AUTHORITY CSR EXTENSIONS FROM TO FILE
  openssl ca -batch -notext -config "$work/ca.cnf" -keyfile "$work/$1.key" -in "$2" -extensions "$3" \
    -startdate "$4" -enddate "$5" -out "$6" "${@:7}" 2>/dev/null
}
begin=20190101000000Z end=21000101000000Z ended=20201231235959Z
sign ca "$work/ca.csr" authority $begin $end authority.pem -selfsign
sign other "$work/other.csr" authority $begin $end other-authority.pem -selfsign
sign ca "$work/server.csr" server $begin $end valid.pem -cert authority.pem
sign ca "$work/server.csr" server $begin $ended expired.pem -cert authority.pem
sign ca "$work/server.csr" other_host $begin $end other-host.pem -cert authority.pem
sign ca "$work/client.csr" client $begin $end client.pem -cert authority.pem
sign ca "$work/client.csr" client $begin $ended client-expired.pem -cert authority.pem
sign other "$work/client.csr" client $begin $end client-of-other.pem -cert other-authority.pem
