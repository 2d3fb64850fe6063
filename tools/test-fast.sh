#!/usr/bin/env bash
# The tests that need no server: unit tests, the domain, and of every suite the variants on SQLite and in this process.
# With the tree built (`cargo test --workspace --no-run`) they take less than two minutes. `make test` runs everything.
#
# Every test binary is named below, so that a new one is not forgotten (--check asks only that); a filter that finds no
# test is an error.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CARGO=${CARGO:-cargo}

# Whole; those of `soonshop` are embedded.
whole=(fulfilment_model checkout_model decisions properties log http limits import seals description processes catalogue built_in front paying command_line judged)
# Of contexts that `make context` began.
for file in soonshop/tests/context_*.rs; do
  if [[ -e $file ]]; then whole+=("$(basename "$file" .rs)"); fi
done
# On SQLite.
sqlite=(store projections workers records)
# The adapter that is in this process.
contract=(contract)
# The whole shop once, and the rules on the sources.
integration=(integration)
# Only on servers of their own.
servers=(faults)

named=" ${whole[*]} ${sqlite[*]} ${contract[*]} ${integration[*]} ${servers[*]} "
missing=()
for file in */tests/*.rs */tests/*/main.rs tests/*/main.rs; do
  [[ -e $file ]] || continue
  name=$(basename "${file%/main.rs}" .rs)
  [[ $named == *" $name "* ]] || missing+=("$file")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  echo "test-fast: say in tools/test-fast.sh what to run of ${missing[*]}" >&2
  exit 1
fi
for name in $named; do
  for file in */tests/"$name".rs */tests/"$name"/main.rs tests/"$name"/main.rs; do
    if [[ -e $file ]]; then continue 2; fi
  done
  echo "test-fast: there is no suite $name any more" >&2
  exit 1
done
if [[ ${1:-} == --check ]]; then exit 0; fi

# A server that happens to be up must not matter.
unset POSTGRES_URL REDIS_URL NATS_URL AMQP_URL RABBITMQ_API_URL ELASTICSEARCH_URL OPENSEARCH_URL QUERY_API_TEST_POSTGRES
# Most tests wait most of the time: more of them at once than there are cores.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-8}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 bad=0

sum() { # passed|failed
  sed -n "s/^test result: .* \([0-9]*\) $1;.*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}

run() { # FILTER... -- TARGET...: runs the tests whose names hold one of the filters; all without one
  local filters=() targets=() name
  while [[ $1 != -- ]]; do filters+=("$1"); shift; done
  shift
  for name in "$@"; do
    if [[ $name == --* ]]; then targets+=("$name"); else targets+=(--test "$name"); fi
  done
  # Always the whole workspace: with some of its crates, dependencies are compiled with other features.
  "$CARGO" test --workspace --no-fail-fast "${targets[@]}" -- "${filters[@]}" 2>&1 | tee "$log" || bad=1
  passed=$((passed + $(sum passed)))
  failed=$((failed + $(sum failed)))
  if [[ ${#filters[@]} -gt 0 ]] && grep -q '^test result: ok. 0 passed' "$log"; then
    echo "test-fast: in one of ${*} no test is named like ${filters[*]}" >&2
    bad=1
  fi
}

run -- --lib --bins "${whole[@]}"
run sqlite:: --skip redis -- "${sqlite[@]}"
run in_process:: moka:: tantivy:: -- "${contract[@]}"
run architecture:: database_md:: the_shop_works_embedded -- "${integration[@]}"

echo
echo "test-fast: $SECONDS s"
echo "$passed passed, $failed failed"
exit "$bad"
