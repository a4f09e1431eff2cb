#!/bin/sh
# SPDX-License-Identifier: MIT
# rolling_restart.sh - two servers behind HAProxy, restarted one after the other under load: no request fails.
#
#   rolling_restart.sh BINDIR [ROUNDS [options of load]]
#
# BINDIR is where httpd and load are, or a build directory with `examples` in it. Each round restarts both
# servers: SIGTERM, which they take as the order to finish what they have begun, and then a new process
# on the same port. HAProxy (packaged as `haproxy`) sends what a server does not take to the other one.
#
# Exits with 0 if requests were answered, and none failed; with 77 where there is no haproxy.
set -eu

fail() {
    echo "rolling_restart.sh: $*" >&2
    exit 1
}

[ $# -ge 1 ] || fail "usage: rolling_restart.sh BINDIR [ROUNDS [options of load]]"
bindir=$1
rounds=${2:-3}
[ $# -lt 2 ] || shift
shift
[ ! -d "$bindir/examples" ] || bindir=$bindir/examples
for program in httpd load; do
    [ -x "$bindir/$program" ] || fail "$bindir/$program is not there: build first"
done
command -v haproxy >/dev/null || { echo "rolling_restart.sh: haproxy is not installed" >&2; exit 77; }

scratch=$(mktemp -d)
first='' second='' proxy='' load=''
clean_up() {
    for process in $first $second $proxy $load; do
        kill -KILL "$process" 2>/dev/null || :
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- a server ----

start() { # NAME PORT - sets `process` and `port`
    : >"$scratch/$1"
    "$bindir/httpd" --port "$2" --grace 30s --quiet >"$scratch/$1" 2>&1 &
    process=$!
    tries=0
    while ! grep -q '^listening on ' "$scratch/$1"; do
        kill -0 "$process" 2>/dev/null || fail "httpd does not start: $(cat "$scratch/$1")"
        tries=$((tries + 1))
        [ "$tries" -lt 1000 ] || fail "httpd says nothing"
        sleep 0.01
    done
    port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$scratch/$1")
}

stop() { # PROCESS
    kill -TERM "$1"
    wait "$1" || fail "httpd ended with $?"
}

# ---- HAProxy ----

# A port that was free a moment ago.
free_port() {
    start free 0
    stop "$process"
}

start_proxy() {
    free_port
    front=$port
    cat >"$scratch/haproxy.cfg" <<END
global
    maxconn 1000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    # What a server did not take, or hung up on before a word, goes to the other one. No health checks: each
    # server is back within milliseconds.
    retries 5
    option redispatch 1
    retry-on conn-failure empty-response
frontend front
    bind 127.0.0.1:$front
    default_backend servers
backend servers
    balance roundrobin
    server first 127.0.0.1:$first_port
    server second 127.0.0.1:$second_port
END
    haproxy -db -q -f "$scratch/haproxy.cfg" >"$scratch/proxy" 2>&1 &
    proxy=$!
}

# ---- the load ----

start first 0
first=$process first_port=$port
start second 0
second=$process second_port=$port
start_proxy
echo "servers on ports $first_port and $second_port behind HAProxy on port $front"

# Until HAProxy answers; errors of this one don't count.
tries=0
until "$bindir/load" --port "$front" --connections 1 --duration 50ms --quiet >"$scratch/try" 2>&1; do
    kill -0 "$proxy" 2>/dev/null || fail "haproxy does not start: $(cat "$scratch/proxy")"
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "haproxy does not answer: $(cat "$scratch/try")"
done

"$bindir/load" --port "$front" --connections 32 --duration $((rounds * 2 + 1))s --json \
    --mix "/:6,/sleep?ms=5:3,/sleep?ms=200:1" "$@" >"$scratch/load" 2>&1 &
load=$!
for round in $(seq "$rounds"); do
    sleep 0.5
    stop "$first"
    start first "$first_port"
    first=$process
    sleep 0.5
    stop "$second"
    start second "$second_port"
    second=$process
    echo "round $round: both restarted"
done
status=0
wait "$load" || status=$?
load=
tail -n 1 "$scratch/load"
[ "$status" -eq 0 ] || fail "load exited with $status"
answered=$(sed -n 's/.*"answered":\([0-9]*\).*/\1/p' "$scratch/load" | tail -n 1)
[ "${answered:-0}" -gt 0 ] || fail "nothing was answered"
grep -q '"3xx":0,"4xx":0,"5xx":0' "$scratch/load" || fail "some answers were errors"
grep -q '"connect":0,"reset":0,"closed":0,"timeout":0,"protocol":0}' "$scratch/load" ||
    fail "some requests failed"
echo "$answered requests, none failed"
