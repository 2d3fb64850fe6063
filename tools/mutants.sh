#!/usr/bin/env bash
# Changes the code in one place at a time (another operator, another constant, an empty function), and lists the changes
# that no test notices (cargo-mutants).
#
#   mutants.sh [CRATE]...    domain, event-log, event-store or projections; all by default. All but domain need servers:
#                            SERVICES='postgres redis elasticsearch' tests/services/with.sh tools/mutants.sh
#   FILE=domain/src/text.rs mutants.sh domain     one file
#
# It works in a copy of the tree and takes hours. The results are in target/mutants/CRATE/mutants.out/missed.txt;
# `.cargo/mutants.toml` says what is left out. The version is pinned here; the program lies in LINT_TOOLS
# (~/.cache/soonshop/tools), beside the others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MUTANTS=27.0.0
tools=${LINT_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/soonshop/tools}
export PATH="$tools/bin:$PATH"

if [[ " $("$tools/bin/cargo-mutants" mutants --version 2>/dev/null || true)" != *" $MUTANTS" ]]; then
  echo "mutants: compiling cargo-mutants $MUTANTS" >&2
  cargo install --quiet --locked --force --root "$tools" cargo-mutants --version "$MUTANTS"
fi

[[ $# -gt 0 ]] || set -- domain event-log event-store projections
missed=()
for crate in "$@"; do
  case $crate in
    domain | event-store | projections) tests=("soonshop-$crate") ;;
    # The suite of the store reads the log that it wrote.
    event-log) tests=(soonshop-event-log soonshop-event-store) ;;
    *) echo "mutants: $crate has no mutants" >&2; exit 2 ;;
  esac
  mkdir -p "target/mutants/$crate"
  options=(--package "soonshop-$crate" --output "target/mutants/$crate")
  for package in "${tests[@]}"; do options+=(--test-package "$package"); done
  if [[ -n ${FILE:-} ]]; then options+=(--file "$FILE"); fi
  # 2: some mutants were missed; 3: some tests took too long, which counts as noticed.
  rc=0
  cargo mutants "${options[@]}" || rc=$?
  case $rc in
    0 | 3) ;;
    2) missed+=("$crate") ;;
    *) exit "$rc" ;;
  esac
done
if [[ ${#missed[@]} -gt 0 ]]; then echo "mutants: missed in ${missed[*]}" >&2; exit 1; fi
