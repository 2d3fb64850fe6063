#!/usr/bin/env bash
# The fuzzer: schemathesis, driven by the description of the API, against the embedded shop with sample data and some
# orders, as guest, support and admin. It fails on a 5xx, and on an answer that the description does not have.
#
#   run.sh              the same requests each time: what `make test` does
#   run.sh --install    only installs it, in the versions of requirements.txt, into FUZZ_TOOLS
#
# SEED makes other requests; with MINUTES it goes on for so long, in all. How answers are judged, and which of them are
# exceptions, is in schemathesis.toml and hooks.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${FUZZ_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/soonshop/fuzz}
binary=${FUZZ_BINARY:-${CARGO_TARGET_DIR:-$root/target}/debug/soonshop}
seed=${SEED:-1}
minutes=${MINUTES:-}
# Of each operation, in each of the phases that make texts at random.
examples=20

say() { echo "fuzz: $*" >&2; }
die() { say "$@"; exit 1; }

install() {
  mkdir -p "$tools"
  exec 8>"$tools/lock"
  flock 8
  if ! cmp -s "$here/requirements.txt" "$tools/installed-from"; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
      [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null ||
        die 'Python 3.11 or later with venv is missing (on Debian: apt-get install python3-venv)'
      say 'installing python3-venv'
      { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o DPkg::Lock::Timeout=300 python3-venv; } >"$tools/apt.log" 2>&1 </dev/null ||
        { tail -n 20 "$tools/apt.log" >&2; die 'could not install python3-venv'; }
    fi
    rm -rf "$tools/venv" "$tools/installed-from"
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
      --requirement "$here/requirements.txt" ||
      die 'schemathesis could not be installed from PyPI (see above): without a network, install it once with one, or' \
        "name a folder that has it in FUZZ_TOOLS"
    cp "$here/requirements.txt" "$tools/installed-from"
  fi
  exec 8>&-
}

install
case ${1:-} in
  '') ;;
  --install) exit 0 ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
[[ $seed =~ ^[0-9]+$ ]] || die "SEED is a whole number: $seed"
[[ -z $minutes || $minutes =~ ^[1-9][0-9]*$ ]] || die "MINUTES is a whole number from 1 on: $minutes"
[[ -x $binary ]] || die "$binary is missing: cargo build --workspace"

folder=$(mktemp -d "${TMPDIR:-/tmp}/soonshop-fuzz.XXXXXX")
shop=
finish() {
  local rc=$?
  trap - EXIT
  if [[ -n $shop ]]; then
    kill -TERM "$shop" 2>/dev/null || true
    wait "$shop" 2>/dev/null || true
  fi
  rm -rf "$folder"
  exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# The settings of whoever runs this are not those of the shop here.
for name in "${!SOONSHOP_@}"; do unset "$name"; done
# It sends more than any caller may.
export SOONSHOP_RATE=off
cd "$folder"

"$binary" migrate >migrate.log 2>&1 || { cat migrate.log >&2; die 'the shop could not be made'; }
declare -A token=([guest]='')
for role in support admin; do
  token[$role]=$("$binary" key create --role "$role" --name fuzz --expires-days 1 2>/dev/null | grep -o '^ssk_[^ ]*')
done
# The notes of the holder of a key can be erased once the key is revoked.
gone=$("$binary" key create --role auditor --name gone --expires-days 1 2>/dev/null | grep -o '^ssk_[^_ ]*')
"$binary" key revoke "${gone#ssk_}" >/dev/null
"$binary" key list --json >keys.json
"$binary" dev --listen 127.0.0.1:0 >shop.log 2>&1 &
shop=$!
url=
for _ in $(seq 600); do
  url=$(grep -ao -m 1 'http://127\.0\.0\.1:[0-9]*' shop.log 2>/dev/null || true)
  if [[ -n $url ]] && curl --silent --fail --max-time 5 "$url/health/ready" >ready.json 2>/dev/null; then break; fi
  kill -0 "$shop" 2>/dev/null || { shop=; cat shop.log >&2; die 'the shop ended'; }
  url=
  sleep 0.2
done
[[ -n $url ]] || { cat shop.log >&2; die 'the shop was not ready in time'; }
FUZZ_KNOWN=$("$tools/venv/bin/python" "$here/known.py" "$url" keys.json <<<"${token[admin]}")
"$binary" openapi >openapi.json

export FUZZ_KNOWN FUZZ_SEED=$seed SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
failed=()
for role in guest support admin; do
  say "as $role"
  options=(--url "$url" --seed "$seed" --workers 1 --no-color --no-shrink --warnings off --max-examples "$examples")
  if [[ -n $minutes ]]; then options+=(--max-time $((minutes * 20))); fi
  if [[ -n ${token[$role]} ]]; then options+=(--header "Authorization: Bearer ${token[$role]}"); fi
  "$tools/venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run openapi.json "${options[@]}" ||
    failed+=("as $role")
done

# No answer shows this: everything follows the log, and no event is parked, after all requests.
if grep -a 'panicked' shop.log >&2; then failed+=('the shop panicked'); fi
healthy=
for _ in $(seq 300); do
  if curl --silent --fail-with-body --max-time 10 "$url/health/audit" >health.json; then healthy=1; break; fi
  sleep 0.2
done
[[ -n $healthy ]] || { cat health.json >&2; echo >&2; failed+=('the shop is not healthy afterwards'); }
kill -TERM "$shop" || true
wait "$shop" || failed+=('the shop did not stop as it should')
shop=
if ((${#failed[@]} > 0)); then
  printf -v all '%s; ' "${failed[@]}"
  die "FAILED: ${all%; } (again: make fuzz SEED=$seed)"
fi
say "nothing found with SEED=$seed"
