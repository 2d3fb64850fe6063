#!/usr/bin/env bash
# Begins a context in a copy of this tree, and checks that it is green at once; that it cannot be begun twice, nor under
# a name that is none; and that a check names each of the six lines when it is left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CARGO=${CARGO:-cargo}
root=$PWD
export CARGO
# Dependencies are not compiled again.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target} CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
mkdir -p "$CARGO_TARGET_DIR"
CARGO_TARGET_DIR=$(cd "$CARGO_TARGET_DIR" && pwd)
name=loyalty
Name=Loyalty

work=$(mktemp -d)
begun=$work/begun
touch "$begun"
clean() {
  # Files of the copy that were compiled: another folder's crates have files of their own, which are not needed any more.
  # Others that were compiled meanwhile are compiled again.
  local folder
  for folder in deps .fingerprint build; do
    [[ -d $CARGO_TARGET_DIR/debug/$folder ]] || continue
    find "$CARGO_TARGET_DIR/debug/$folder" -mindepth 1 -maxdepth 1 -newer "$begun" -exec rm -rf {} +
  done
  find "$CARGO_TARGET_DIR/debug" -maxdepth 1 -type f -newer "$begun" ! -name '.cargo-lock' -delete
  rm -rf "$work"
}
trap clean EXIT

fail() { echo "test-context: $*" >&2; exit 1; }
step() { echo "==> $* (after $SECONDS s)"; }

copy=$work/tree
mkdir "$copy"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  if [[ -e $file ]]; then printf '%s\0' "$file"; fi
done | tar --create --null --files-from=- | tar --extract --directory "$copy"
cd "$copy"

step 'names that are refused change nothing'
sum() { find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; }
before=$(sum)
for bad in '' Loyalty loyal-ty 9lives ../x order money match select products; do
  if tools/context.sh "$bad" >"$work/out" 2>&1; then fail "the name \"$bad\" was taken"; fi
  grep -q 'nothing was changed' "$work/out" || fail "the name \"$bad\" was refused with $(<"$work/out")"
done
[[ $(sum) == "$before" ]] || fail 'a refused name changed something'

mapfile -t edits < <(tools/context.sh --list "$name")
((${#edits[@]} <= 6)) || fail "${#edits[@]} lines in files that are there"

step "make context NAME=$name"
make --no-print-directory context NAME="$name" CARGO="$CARGO"
for edit in "${edits[@]}"; do
  IFS='|' read -r file _ line <<<"$edit"
  grep -qFx -- "$line" "$file" || fail "$file has no line $line"
done
after=$(sum)
if tools/context.sh "$name" >"$work/out" 2>&1; then fail 'it can be begun twice'; fi
grep -q 'already; nothing was changed' "$work/out" || fail "a second time: $(<"$work/out")"
[[ $(sum) == "$after" ]] || fail 'a second time changed something'

step 'it is formatted'
tools/format.sh --check

# Of the tests, those that guard tables, texts, golden files and descriptions.
guards() {
  "$CARGO" test --workspace --no-fail-fast --lib -- golden:: contexts:: context:: "$name::" &&
    "$CARGO" test --workspace --no-fail-fast --test catalogue --test description
}

step 'the guards and its own tests'
guards
"$CARGO" test --workspace --test "context_$name"
"$CARGO" test --workspace --test projections -- sqlite::golden sqlite::every_projector sqlite::one_by_one
"$CARGO" test --workspace --test http -- every_refusal_has_a_page the_description_is_whole
"$CARGO" test --workspace --test integration -- architecture:: database_md::

# The names that a message must have when a line is left out.
declare -A named=(
  [domain/src/context.rs]='domain/src/context.rs'
  [domain/src/lib.rs]="cannot find \`$name\` in \`crate\`"
  [domain/src/catalog.rs]="\`$Name\` has no row in \`catalog!\`"
  [command-api/src/contexts.rs]='command-api/src/contexts.rs'
  [projections/src/lib.rs]="could not find \`$name\` in \`soonshop_projections\`"
  [query-api/src/contexts.rs]='query-api/src/contexts.rs'
)
# Leaves the lines of these edits out together: what fails must name each.
without() { # EDIT...
  local edit file line rc=0 files=()
  for edit in "$@"; do files+=("${edit%%|*}"); done
  step "without the line in ${files[*]}"
  for edit in "$@"; do
    IFS='|' read -r file _ line <<<"$edit"
    cp -p "$file" "$work/kept-${file//\//-}"
    grep -vFx -- "$line" "$work/kept-${file//\//-}" >"$file"
  done
  guards >"$work/out" 2>&1 || rc=$?
  for file in "${files[@]}"; do cp "$work/kept-${file//\//-}" "$file"; done
  ((rc != 0)) || fail "nothing misses the line in ${files[*]}"
  for file in "${files[@]}"; do
    grep -qF -- "${named[$file]}" "$work/out" ||
      { tail -60 "$work/out" >&2; fail "what fails without the line in $file does not name it"; }
    grep -F -m1 -- "${named[$file]}" "$work/out"
  done
}

# Those that the compiler does not miss, but a test of their crate does, are built and tested together.
by_tests=()
for edit in "${edits[@]}"; do
  case $edit in
    */src/contexts.rs\|*) by_tests+=("$edit") ;;
    *) without "$edit" ;;
  esac
done
without "${by_tests[@]}"

echo "test-context: ok, $SECONDS s"
