#!/usr/bin/env bash
# Makes the certificates of tests anew: an authority, and two certificates of `localhost` and 127.0.0.1 under one key, of
# which one ended with the year 2020. The keys are for tests only.
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
CNF
touch "$work/index"
echo 01 >"$work/serial"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
key "$work/ca.key"
key server.key
openssl req -new -key "$work/ca.key" -subj "/CN=SoonShop tests" -out "$work/ca.csr"
openssl req -new -key server.key -subj "/CN=localhost" -out "$work/server.csr"
sign() { # CSR EXTENSIONS FROM TO FILE
  openssl ca -batch -notext -config "$work/ca.cnf" -keyfile "$work/ca.key" -in "$1" -extensions "$2" \
    -startdate "$3" -enddate "$4" -out "$5" "${@:6}" 2>/dev/null
}
sign "$work/ca.csr" authority 20190101000000Z 21000101000000Z authority.pem -selfsign
sign "$work/server.csr" server 20190101000000Z 21000101000000Z valid.pem -cert authority.pem
sign "$work/server.csr" server 20190101000000Z 20201231235959Z expired.pem -cert authority.pem
