#!/usr/bin/env bash
# Begins a new context: `make context NAME=loyalty`. It writes one file in each crate that a context touches, from the
# templates in tools/context/, puts one line into each of six files that are there, has the tests write golden files and
# descriptions, and prints what it did. It needs bash, sed and cargo.
#
#   context.sh NAME             all of it
#   context.sh --list NAME      only prints the six lines: the file, the line that its block begins with, the new line
#   context.sh --no-build NAME  the files and lines only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CARGO=${CARGO:-cargo}
export LC_ALL=C.UTF-8

list=0 build=1
case ${1:-} in
  --list) list=1; shift ;;
  --no-build) build=0; shift ;;
esac
name=${1:-}

refuse() {
  echo "context: $*; nothing was changed" >&2
  exit 2
}

[[ -n $name ]] || refuse 'say which context: make context NAME=loyalty'
[[ $name =~ ^[a-z]{2,24}$ ]] || refuse "$name: a name is 2 to 24 letters from a to z"
Name=${name^}

# Names that Rust, SQL, or the files of a context have for something else.
taken=' abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if impl in let
 loop macro match mod move mut override priv pub ref return self static struct super trait true try type typeof union unsafe
 unsized use virtual where while yield
 all alter analyze and any asc begin between by case cast check column commit create cross current default delete desc distinct
 drop end escape except exists fetch foreign from full grant group having index insert intersect into is join key left like limit
 natural not null of offset on only or outer primary references right rollback row rows select set some table then to transaction
 trigger unique update user using values view when window with
 addition call class command decider endpoint error event failure filter happened hold input kind model module none new ok open
 option problem projection projector relation result sample some sort state status string test tests vec
 api audit docs health metrics problems version '
taken=" ${taken//$'\n'/ } "
[[ $taken != *" $name "* ]] || refuse "$name has another meaning in Rust, in SQL or in the shop"

# The files to write: each template, and its place.
files=(
  "domain.rs domain/src/$name.rs"
  "command.rs command-api/src/contexts/$name.rs"
  "projection.rs projections/src/$name.rs"
  "query.rs query-api/src/contexts/$name.rs"
  "test.rs soonshop/tests/context_$name.rs"
  "en.ftl texts/locales/en/$name.ftl"
  "zh-CN.ftl texts/locales/zh-CN/$name.ftl"
  "problem-exists.md docs/problems/$name-exists.md"
  "problem-not-found.md docs/problems/$name-not-found.md"
)

if ! ((list)); then
  for entry in "${files[@]}"; do
    [[ ! -e ${entry#* } ]] || refuse "there is a ${entry#* } already"
  done
  for folder in domain/src projections/src command-api/src/contexts query-api/src/contexts; do
    [[ ! -e $folder/$name ]] || refuse "there is a $folder/$name already"
  done
  if grep -q "Context { name: \"$name\"" domain/src/context.rs; then refuse "there is a context $name already"; fi
  if grep -q "\"/$name[\"/]" docs/openapi.json; then refuse "there is a path /$name already"; fi
  if grep -Eq "^    $Name:|: \"$name\" in " domain/src/catalog.rs; then refuse "the catalog has $name already"; fi
  if grep -rq "table_name = \"$name\"" projections/src || grep -rqiE "create table @?$name\b" migrations/src projections/src; then
    refuse "there is a table $name already"
  fi
fi

# The next port after those of the contexts.
last=$(sed -n 's/.*port: Some(\([0-9]*\)).*/\1/p' domain/src/context.rs | sort -n | tail -1)
port=$((last + 1))
icon=
for sign in ✦ ✚ ◐ ◑ ◒ ◓ ⬟ ⬢ ⬡ ✧ ▽ ▷ ◁ ◈ ✱; do
  if ! grep -q "\"$sign\"" domain/src/catalog.rs; then icon=$sign; break; fi
done
[[ -n $icon ]] || refuse 'every icon that this script knows is in use: add some to it'

# The six lines: the file, the line that begins the block, the line that ends it, and the new line, which goes before
# the end.
edits=(
  "domain/src/context.rs|pub const CONTEXTS: &[Context] = &[|];|    Context { name: \"$name\", port: Some($port), about: \"What $name has\" },"
  "domain/src/lib.rs|pub mod text;|pub mod user;|pub mod $name;"
  "domain/src/catalog.rs|catalog! {|}|    $Name: \"$name\" in \"$name\", \"$icon\", $name { Command, $Name };"
  "command-api/src/contexts.rs|contexts! {|}|    $name,"
  "projections/src/lib.rs|projectors! {|}|    $name::Projection,"
  "query-api/src/contexts.rs|contexts! {|}|    $name,"
)

if ((list)); then
  for edit in "${edits[@]}"; do
    IFS='|' read -r file begin end line <<<"$edit"
    printf '%s|%s|%s\n' "$file" "$begin" "$line"
  done
  exit 0
fi

# Every place is looked for before anything is written.
for edit in "${edits[@]}"; do
  IFS='|' read -r file begin end line <<<"$edit"
  grep -qFx -- "$begin" "$file" || refuse "$file has no line \"$begin\""
done

insert() { # FILE BEGIN END LINE: before the first END after BEGIN
  local file=$1 begin=$2 end=$3 line=$4 row inside=0 done=0 text=
  while IFS= read -r row; do
    if ((inside && !done)) && [[ $row == "$end" ]]; then text+="$line"$'\n'; done=1; fi
    if [[ $row == "$begin" ]]; then inside=1; fi
    text+="$row"$'\n'
  done <"$file"
  ((done)) || { echo "context: $file: \"$begin\" does not end with \"$end\"" >&2; exit 1; }
  printf '%s' "$text" >"$file"
}

written=()
for entry in "${files[@]}"; do
  file=${entry#* }
  sed -e "s/__name__/$name/g" -e "s/__Name__/$Name/g" "tools/context/${entry%% *}" >"$file"
  written+=("$file")
done
for edit in "${edits[@]}"; do
  IFS='|' read -r file begin end line <<<"$edit"
  insert "$file" "$begin" "$end" "$line"
done
# Also puts `pub mod` where it belongs in the alphabet.
tools/format.sh
rustfmt --edition 2024 "soonshop/tests/context_$name.rs"

golden=(
  "domain/tests/golden/events/${Name}Opened.v1.json"
  "domain/tests/golden/events/${Name}Closed.v1.json"
  "domain/tests/golden/states/$name.v1.json"
  "projections/tests/golden/$name.v1.json"
)
if ((build)); then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  run() { # of the tests of the workspace, those that write files
    "$CARGO" test --workspace "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "context: the files are there, but cargo test $* failed" >&2; exit 1; }
  }
  echo 'context: compiling, for golden files and descriptions'
  # Whole crates of tests, as any later run of tests needs them.
  UPDATE_GOLDEN=1 run --lib -- golden::
  UPDATE_GOLDEN=1 run --test projections -- sqlite::every_projector_makes_its_golden_rows
  UPDATE_OPENAPI=1 UPDATE_DOCS=1 run --test description -- --test-threads=1
  written+=("${golden[@]}")
fi

echo "The context $name is there."
echo
echo 'New files:'
lines=0
for file in "${written[@]}"; do
  count=$(wc -l <"$file")
  lines=$((lines + count))
  printf '  %4d  %s\n' "$count" "$file"
done
echo
echo 'One line in each of:'
for edit in "${edits[@]}"; do
  IFS='|' read -r file begin end line <<<"$edit"
  printf '        %s: %s\n' "$file" "${line#"${line%%[![:space:]]*}"}"
done
echo
if ((build)); then echo 'Renewed from the code: docs/openapi.json, and the tables in docs/api.md and docs/deployment.md.'; fi
echo "It costs ${#written[@]} files with $lines lines, ${#edits[@]} lines in files that were there, and 1 table."
echo
echo "Next: say what $name is about in domain/src/context.rs and docs/deployment.md, give the events in domain/src/$name.rs"
echo 'your own names and fields before anything is stored, and read docs/adding-a-context.md. Its tests:'
echo "  cargo test -p soonshop-domain $name"
echo "  cargo test -p soonshop --test context_$name"
