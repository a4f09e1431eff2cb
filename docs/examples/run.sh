#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh - the example server and the example load generator against each other.
#
#   run.sh BINDIR [options of load]           ten seconds of mixed load, then a table
#   run.sh BINDIR serve [options of httpd]    only serves
#
# BINDIR is where httpd and load are, or a build directory with `examples` in it.
#
# Exits with 0 if requests were answered and the server ended in order.
set -eu

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

[ $# -ge 1 ] || fail "usage: run.sh BINDIR [serve] [options]"
bindir=$1
shift
[ ! -d "$bindir/examples" ] || bindir=$bindir/examples
for program in httpd load; do
    [ -x "$bindir/$program" ] || fail "$bindir/$program is not there: build first"
done

if [ "${1-}" = serve ]; then
    shift
    exec "$bindir/httpd" "$@"
fi

server=
scratch=$(mktemp -d)
clean_up() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || :
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A pipe with a name: its first line says where the server listens, its end that the server is gone.
mkfifo "$scratch/output"
"$bindir/httpd" --port 0 --stats >"$scratch/output" &
server=$!
exec 3<"$scratch/output"
line=$(timeout 10 head -n 1 <&3) || fail "the server does not start"
case $line in
"listening on "*) port=${line##*:} ;;
*) fail "the server said '$line'" ;;
esac
echo "server     $line, process $server"

# Options given by the user come last and win.
load_status=0
timeout 300 "$bindir/load" --port "$port" --pid "$server" --duration 10s --connections 64 \
    --mix "/:80,/sleep?ms=5:10,/fan?n=10:8,/work?us=50:2" --flaky 1 "$@" || load_status=$?

kill -TERM "$server"
timeout 30 cat <&3 >"$scratch/summary" || fail "the server does not stop"
server_status=0
wait "$server" || server_status=$?
server=

{
    read -r summary || :
    read -r runtime || :
} <"$scratch/summary"
print_pairs() {
    printf '%s\n' "$1" | tr ' ' '\n' | while IFS='=' read -r name value; do
        printf '  %-12s %12s\n' "$name" "$value"
    done
}
echo "served"
print_pairs "$summary"
echo "runtime"
print_pairs "$runtime"

[ "$load_status" -eq 0 ] || fail "load exited with $load_status"
[ "$server_status" -eq 0 ] || fail "httpd exited with $server_status"
