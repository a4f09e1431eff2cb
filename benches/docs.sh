#!/bin/sh
# SPDX-License-Identifier: MIT
# docs.sh - runs all benchmarks in some ten minutes and writes docs/benchmarks.md and its pictures.
#
# Each row has a budget of seconds, so that the whole takes as long on a slow machine, with fewer repetitions.
# DOCS_ONLY="fib yield" in the environment runs these again and keeps what the others had found.
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/bench/docs
mkdir -p $out
start=$(date +%s)

bench() { # NAME FILE OPTIONS...
    name=$1 file=$2
    shift 2
    case " ${DOCS_ONLY:-$name} " in
    *" $name "*) ;;
    *) return ;;
    esac
    [ -x "build/release/bench_$name" ] || return
    echo "== $file, $(($(date +%s) - start)) s" >&2
    timeout 300 "build/release/bench_$name" --json "$out/$file.json.new" "$@" &&
        mv "$out/$file.json.new" "$out/$file.json"
}

for path in build/release/bench_*; do
    name=${path#build/release/bench_}
    case $name in
    memory) bench memory memory --workers 1 --reps 1 ;;
    idle) bench idle idle --reps 3 --budget 2 --set seconds=3 ;;
    hog) bench hog hog --reps 7 --budget 15 ;; # some are late by milliseconds
    file) bench file file --reps 5 --budget 10 ;;
    echo) bench echo echo --reps 5 --budget 40 --set seconds=0.6 echo_64 echo_1000 ;;
    *) bench "$name" "$name" --reps 7 --budget 2 ;;
    esac
done
for name in fib skynet nqueens matmul; do
    bench $name full_$name --full --only 'tbb,one worker' --warmup 0 --reps 3 --budget 8 $name
done
for name in fib skynet nqueens matmul storm; do
    bench $name scaling_$name --workers 1,2,4,8 --only tbb,go,tokio --reps 3 --budget 2 $name
done
python3 benches/report.py $out build/peers docs || exit 1
echo "docs/benchmarks.md written after $(($(date +%s) - start)) s" >&2
