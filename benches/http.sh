#!/bin/sh
# SPDX-License-Identifier: MIT
# http.sh [BUILD_DIR] [ROUNDS] [SECONDS] - HTTP hello by the example server and its peers, asked by wrk over 64
# connections: the server alone on one processor, wrk on another. The servers take turns, ROUNDS times;
# printed are the medians of requests/s and of the server's CPU time per request, how they compare with the
# server that does not parse, and the least CPU time of all rounds.
#
# On a machine that does other work too, compare the least CPU times: `chrt -f 10 sh benches/http.sh` helps.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
rounds=${2:-5}
seconds=${3:-2}
connections=${HTTP_CONNECTIONS:-64}
peers=$build/../peers
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -KILL $server 2>/dev/null || :; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

command -v wrk >/dev/null || { echo "http.sh: wrk is not installed" >&2; exit 77; }
[ -x "$build/examples/httpd" ] || { echo "http.sh: no $build/examples/httpd: build first" >&2; exit 1; }

# ---- the servers, each on a port of its own ----

cat >"$scratch/nginx.conf" <<END
daemon off;
master_process off;
worker_processes 1;
pid $scratch/nginx.pid;
error_log $scratch/nginx.log;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 100000000;
    tcp_nodelay on;
    default_type text/plain;
    server { listen 127.0.0.1:18484 backlog=4096; location / { return 200 "hello\n"; } }
}
END

names=
offer() { # NAME PORT PROGRAM ARGUMENT...
    name=$1 port=$2
    shift 2
    if command -v "$1" >/dev/null 2>&1; then
        names="$names $name"
        printf '%s\n' "exec taskset -c 0 $*" >"$scratch/$name.run"
        echo "$port" >"$scratch/$name.port"
    else
        echo "http.sh: no $name here" >&2
    fi
}
common="--workers 1 --quiet --max-connections 20000"
offer raw 18481 "$peers/peer_raw_http" 18481
offer epoll 18482 "$build/examples/httpd" $common --io epoll --port 18482
offer uring 18483 "$build/examples/httpd" $common --io uring --port 18483
offer nginx 18484 nginx -c "$scratch/nginx.conf"
offer hyper 18485 "$peers/peer_hyper" 18485

# ---- one turn ----

cpu_ticks() { # PROCESS
    sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f12,13 | tr ' ' '+'
}

turn() { # NAME
    port=$(cat "$scratch/$1.port")
    sh "$scratch/$1.run" >"$scratch/$1.out" 2>&1 &
    server=$!
    tries=0
    until taskset -c 1 "$build/examples/load" --port "$port" --connections 1 --duration 20ms --quiet >/dev/null 2>&1; do
        tries=$((tries + 1))
        kill -0 "$server" 2>/dev/null && [ "$tries" -lt 100 ] || { kill "$server" 2>/dev/null || :; echo "http.sh: $1 does not serve: $(cat "$scratch/$1.out")" >&2; return 1; }
        sleep 0.02
    done
    before=$(($(cpu_ticks "$server")))
    timeout $((seconds + 10)) taskset -c 1 wrk -t1 "-c$connections" "-d${seconds}s" "http://127.0.0.1:$port/" >"$scratch/wrk"
    after=$(($(cpu_ticks "$server")))
    kill "$server" && wait "$server" 2>/dev/null || :
    server=
    if grep -q -E 'Socket errors|Non-2xx' "$scratch/wrk"; then
        echo "http.sh: $1: $(grep -E 'Socket errors|Non-2xx' "$scratch/wrk")" >&2
    fi
    awk -v name="$1" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
        / requests in / { requests = $1 }
        /^Requests\/sec:/ { rate = $2 }
        END { printf "%s %.0f %.3f\n", name, rate, requests ? ticks / hz * 1e6 / requests : 0 }' "$scratch/wrk" >>"$scratch/turns"
}

for round in $(seq "$rounds"); do
    for name in $names; do
        turn "$name" || names=$(printf '%s\n' $names | grep -v "^$name\$" | tr '\n' ' ')
    done
done

# ---- medians ----

median() { # NAME COLUMN
    awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$scratch/turns" | sort -n |
        awk '{ value[NR] = $1 } END { print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2 }'
}

base_rate=$(median raw 2)
base_cpu=$(median raw 3)
least() { # NAME
    awk -v name="$1" '$1 == name && (least == "" || $3 < least) { least = $3 } END { print least }' "$scratch/turns"
}
printf '%-8s %12s %8s %14s %8s %8s\n' server requests/s "of raw" "CPU us/request" "of raw" least
for name in $names; do
    median "$name" 2 >"$scratch/rate"
    median "$name" 3 >"$scratch/cpu"
    awk -v name="$name" -v least="$(least "$name")" -v rate="$(cat "$scratch/rate")" -v cpu="$(cat "$scratch/cpu")" -v base_rate="${base_rate:-0}" -v base_cpu="${base_cpu:-0}" 'BEGIN {
        printf "%-8s %12.0f %8s %14.2f %8s %8.2f\n", name, rate, (base_rate > 0 ? sprintf("%.2f", rate / base_rate) : "-"), cpu, (base_cpu > 0 ? sprintf("%.2f", cpu / base_cpu) : "-"), least }'
done
