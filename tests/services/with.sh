#!/usr/bin/env bash
# Runs a command with the servers up and their URLs in its environment, and takes down again what it started, however
# the command ends.
#
#   with.sh [--before 'COMMAND'] COMMAND...      --before runs while the servers start (a build)
#
# The servers are `services.sh`'s, in a folder and on ports of their own (SERVICES_DIR, SERVICES_PORT_BASE). SERVICES
# names some of them; empty, the default set.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SERVICES_DIR=${SERVICES_DIR:-${TMPDIR:-/tmp}/soonshop-test-$EUID}
export SERVICES_PORT_BASE=${SERVICES_PORT_BASE:-21100}
read -r -a names <<<"${SERVICES:-postgres redis nats nats_tls rabbitmq elasticsearch opensearch smtp}"
before=
if [[ ${1:-} == --before ]]; then before=$2; shift 2; fi
[[ $# -gt 0 ]] || { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; }

times=()
took() { times+=("$(printf '%-14s %4d s' "$1" $((SECONDS - $2)))"); } # WHAT BEGUN

# One at a time: a second run would lose its servers when the first ends. (services.sh closes 9 in what it starts.)
mkdir -p "$SERVICES_DIR"
exec 9>"$SERVICES_DIR/run.lock"
flock -n 9 || { echo "with: waiting for another run with the servers in $SERVICES_DIR" >&2; flock 9; }

# Ours is what was down before, and what a run that was killed outright has left behind.
note=$SERVICES_DIR/started-here
ours=()
for name in "${names[@]}"; do
  if grep -qsx "$name" "$note" || ! "$here/services.sh" status "$name" >/dev/null; then ours+=("$name"); fi
done
printf '%s\n' "${ours[@]}" >"$note"
# Streams that an earlier run left behind reserve the disk that this one needs.
for name in nats nats_tls; do
  "$here/services.sh" status "$name" >/dev/null || rm -rf "${SERVICES_DIR:?}/$name/data"
done

child=
servers=
finish() {
  local rc=$? begun=$SECONDS
  trap - EXIT
  trap '' INT TERM
  if [[ -n $child ]]; then kill -TERM -- "-$child" 2>/dev/null || true; fi
  [[ -z $servers ]] || wait "$servers" 2>/dev/null || true # what is starting cannot be stopped yet
  if [[ ${#ours[@]} -gt 0 ]]; then "$here/services.sh" down "${ours[@]}" || rc=1; fi
  rm -f "$note"
  took 'servers down' "$begun"
  { echo; printf 'with: %s\n' "${times[@]}"; } >&2
  exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# In a process group of its own and waited for, so that a signal to us is answered at once and reaches all of it.
run() {
  local rc=0
  set -m
  "$@" 9>&- &
  child=$!
  set +m
  wait "$child" || rc=$?
  child=
  return "$rc"
}

begun=$SECONDS
"$here/services.sh" up "${names[@]}" 9>&- &
servers=$!
if [[ -n $before ]]; then
  rc=0
  run bash -c "$before" || rc=$?
  took before "$begun"
fi
wait "$servers" || { echo "with: the servers did not come up" >&2; exit 1; }
took 'servers up' "$begun"
[[ ${rc:-0} -eq 0 ]] || exit "$rc"

eval "$("$here/services.sh" env)"
begun=$SECONDS
rc=0
run "$@" || rc=$?
took command "$begun"
exit "$rc"
