#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh PROGRAM BUILD [--write] - instructions of each operation, counted by callgrind, against budget.txt.
#
# PROGRAM is the built cost.c, BUILD says how it was built ("GNU 12 x86_64 Release"): a budget holds for one
# kind of build. The count of an operation is the slope between two runs. What a worker looks at by the clock is in it,
# so on a machine that does other things it may be more: what is too much is counted again, nine times at most, and
# each run's least counts.
# More than 5 % above the budget fails; --write makes what was counted the budget. Ends with 77 where
# nothing can be counted.
set -u
program=$1 build=$2 mode=${3-}
budget=$(dirname "$0")/budget.txt
few=1000 many=6000

skip() {
    echo "cost: skipped: $*"
    exit 77
}

command -v valgrind >/dev/null || skip "valgrind is not installed"
valgrind --error-exitcode=0 -q --tool=none "$program" >/dev/null 2>&1 || skip "valgrind can't run the program here"
[ "$mode" = --write ] || grep -qx "# build: $build" "$budget" || skip "no budget for a build by $build"

count() { # CASE OPERATIONS
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}

least() { # COUNTED BEFORE
    if [ -n "$2" ] && [ "$2" -lt "$1" ]; then echo "$2"; else echo "$1"; fi
}

measure() { # CASE; sets now, and lowers low and high
    once=$(count "$1" $few) often=$(count "$1" $many)
    [ -n "$once" ] && [ -n "$often" ] || { echo "cost: $1 could not be counted" >&2; exit 1; }
    low=$(least "$once" "$low") high=$(least "$often" "$high")
    now=$(awk -v low="$low" -v high="$high" -v n=$((many - few)) 'BEGIN { printf "%.1f", (high - low) / n }')
}

written() { # CASE
    awk -v name="$1" '$1 == name { print $2 }' "$budget"
}

is_too_much() { # COUNTED ALLOWED
    awk -v now="$1" -v allowed="$2" 'BEGIN { exit !(now > allowed * 1.05) }'
}

status=0
[ "$mode" != --write ] || {
    sed -n '/^# build:/q; /^#/p' "$budget" >"$budget.new"
    echo "# build: $build" >>"$budget.new"
}
for name in $("$program"); do
    low='' high=''
    measure "$name"
    if [ "$mode" = --write ]; then
        echo "$name $now" | tee -a "$budget.new"
        continue
    fi
    allowed=$(written "$name")
    for again in 1 2 3 4 5 6 7 8 9; do
        is_too_much "$now" "${allowed:-0}" || break
        measure "$name"
    done
    verdict=$(awk -v now="$now" -v allowed="${allowed:-0}" 'BEGIN {
        if (now > allowed * 1.05) print "TOO MUCH"; else print (now < allowed * 0.95) ? "less: a new budget is due" : "ok" }')
    printf '%-16s %8s instructions, budget %8s  %s\n' "$name" "$now" "${allowed:-none}" "$verdict"
    [ "$verdict" != "TOO MUCH" ] || status=1
done
[ "$mode" != --write ] || mv "$budget.new" "$budget"
[ $status -eq 0 ] || echo "cost: if the change is worth it: ./dev budget writes a new one" >&2
exit $status
