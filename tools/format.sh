#!/usr/bin/env bash
# Formats the code; with --check it only says what is not formatted. `cargo fmt` does not see the modules that
# `contexts!` and `projectors!` declare: those files are named here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

"${CARGO:-cargo}" fmt --all "$@"
rustfmt --edition 2024 "$@" command-api/src/contexts/*.rs query-api/src/contexts/*.rs projections/src/*.rs
