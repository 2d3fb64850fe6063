#!/usr/bin/env bash
# Changes the code in one place at a time (another operator, another constant, an empty function), and lists the changes
# that no test notices: tools/mutants/run.py, with what it needs.
#
#   mutants.sh [CRATE[/FILE]]...   domain, event-log, event-store, projections; all by default. Such as domain/src/text.rs.
#                                  All but domain need servers:
#                                  SERVICES='postgres redis elasticsearch' tests/services/with.sh tools/mutants.sh
#
# `.cargo/mutants.toml` says what is left out. The versions are pinned here and in mutants/requirements.txt; the programs
# lie in LINT_TOOLS (~/.cache/soonshop/tools), beside the others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MUTANTS=27.0.0
tools=${LINT_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/soonshop/tools}
export PATH="$tools/bin:$PATH"

if [[ " $("$tools/bin/cargo-mutants" mutants --version 2>/dev/null || true)" != *" $MUTANTS" ]]; then
  echo "mutants: compiling cargo-mutants $MUTANTS" >&2
  cargo install --quiet --locked --force --root "$tools" cargo-mutants --version "$MUTANTS"
fi
python=$tools/mutants
if ! cmp -s tools/mutants/requirements.txt "$python/installed-from"; then
  rm -rf "$python"
  python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check --requirement tools/mutants/requirements.txt
  cp tools/mutants/requirements.txt "$python/installed-from"
fi
exec "$python/bin/python" tools/mutants/run.py "$@"
