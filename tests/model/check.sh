#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh [DIRECTORY] - runs every model through spin, and every broken variant, which must be found wrong: a model
# in which nothing can go wrong proves nothing. 77: spin or a compiler is missing. Work files go to the directory.
set -u
models=$(cd "$(dirname "$0")" && pwd) || exit 1
for tool in spin "${CC:-cc}"; do
    command -v "$tool" >/dev/null || { echo "model: skipped, there is no $tool"; exit 77; }
done
work=${1:-$(mktemp -d)} || exit 1
[ $# -gt 0 ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work" && cd "$work" || exit 1
limit_s=${WEFT_MODEL_LIMIT_S:-240}
failed=0

verify() { # MODEL "MACROS" OPTIMISATION - leaves pan's report in `report`
    rm -f pan ./*.trail
    # shellcheck disable=SC2086
    spin -a $2 "$models/$1.pml" >report 2>&1 &&
        "${CC:-cc}" "$3" -w -DSAFETY -DCOLLAPSE -DMEMLIM=4096 -o pan pan.c >>report 2>&1 &&
        timeout "$limit_s" ./pan -E -m2000000 -w24 >>report 2>&1
}

holds() { # MODEL "MACROS" [OPTIMISATION]
    if verify "$1" "$2" "${3:--O1}" && grep -q 'errors: 0$' report && ! grep -qE 'too small|out of memory' report; then
        echo "$1 $2: holds,$(grep -oE '^ *[0-9.e+]+ states, stored' report | tr -s ' ')"
    else
        echo "$1 $2: FAILED"
        tail -25 report
        failed=1
    fi
}

breaks() { # MODEL "MACROS"
    verify "$1" "$2" -O0
    if grep -q 'errors: 1$' report && grep -q 'assertion violated' report; then
        echo "$1 $2: found wrong, as it must be"
    else
        echo "$1 $2: FAILED: the broken variant was not found wrong"
        tail -25 report
        failed=1
    fi
}

# Two workers with all there is, three with less.
holds idle "-DWORK -DN=2"
holds idle "-DWORK -DN=3 -DSPAWNS=1 -DSENDS=0 -DPROMPT"
holds idle "-DWORK -DN=2 -DSPAWNS=1 -DPAUSE -DPAUSE_OWN=0"
for broken in NEVER_HEAVY ALWAYS_LAST WITHOUT_SECOND_LOOK WITHOUT_NEXT WITHOUT_NOTIFIED; do
    breaks idle "-DWORK -DN=2 -D$broken"
done
breaks idle "-DWORK -DN=2 -DSPAWNS=1 -DPAUSE -DPAUSE_OWN=1"
# With a fence of its own in each spawn the heavy one is not needed: that is all it is for.
holds idle "-DWORK -DN=2 -DSPAWNS=1 -DSENDS=0 -DNEVER_HEAVY -DWITH_FENCE"

holds bias ""
holds bias "-DLIVES=3"
for broken in WITHOUT_FENCE WITHOUT_RESTART LOOK_EARLY REFS_LAST WITHOUT_VISIT CANCEL_UNVISITED UNCOUNTED RENEW_BLIND \
    ANY_FIRST; do
    breaks bias "-D$broken"
done

# Any two guests; more in the deque, and two thieves at it; all three guests.
holds claim "-DTHIEVES=1 -DSTRANGER"
holds claim "-DTHIEVES=1 -DCANCEL"
holds claim "-DSTRANGER -DCANCEL"
holds claim "-DTHIEVES=1 -DCHILDREN=3 -DORDERS -DDEAD_BEFORE"
holds claim "-DTHIEVES=2 -DORDERS"
holds claim "-DTHIEVES=1 -DSTRANGER -DCANCEL -DCHILDREN=1"
# Only guests take what lies there, and none has come since the owner was biased: it need not look at the top.
holds claim "-DTHIEVES=1 -DCHILDREN=3 -DORDERS -DDEAD_BEFORE -DLOWER_UNCHECKED"
for broken in WITHOUT_FENCE WITHOUT_RESTART LOOK_EARLY UNCOUNTED RENEW_BLIND RENEW_UNFENCED WITHOUT_MOVED MOVED_LATE \
    START_MOVED THIEF_UNVISITED; do
    breaks claim "-DTHIEVES=1 -DDEAD_BEFORE -D$broken"
done
breaks claim "-DTHIEVES=1 -DSTRANGER -DWITHOUT_STOPPING"
breaks claim "-DTHIEVES=1 -DCHILDREN=3 -DORDERS -DWITHOUT_SETTLE"
breaks claim "-DSTRANGER -DSTRANGER_UNVISITED"
for broken in CANCEL_UNVISITED WITHOUT_FENCE WITHOUT_RESTART WITHOUT_OWN_LOOK RENEW_BETWEEN; do
    breaks claim "-DCANCEL -D$broken"
done

# A side that is a task's, or becomes one's; a stream that is closed, by a third or by that task.
holds side ""
holds side "-DANEW -DCALLS=2"
holds side "-DCLOSES"
holds side "-DCLOSES -DANEW"
holds side "-DOWNER_CLOSES"
for broken in WITHOUT_FENCE WITHOUT_WAITING; do
    breaks side "-D$broken"
done
for broken in CLOSE_WITHOUT_FENCE REFUSED_WITHOUT_LOOK; do
    breaks side "-DCLOSES -D$broken"
done

# Two guests; with the word as a lock; a runtime that ends and begins anew; a second worker.
holds solo "-DOPS=2"
holds solo "-DLOCKS -DOPS=2"
holds solo "-DOPS=2 -DVISITS=1 -DPARTS"
holds solo "-DLOCKS -DOPS=1 -DVISITS=1 -DCROWD"
holds solo "-DCROSS -DVISITS=1"
for broken in WITHOUT_FENCE WITHOUT_WAITING WITHOUT_MARK LOOK_EARLY WITHOUT_COUNT LOOK_FIRST UNCOUNTED GUEST_AFTER_DEPARTURE PAUSED_AT_ONCE; do
    breaks solo "-D$broken"
done
for broken in SLOW_HALF_ANYHOW LOADED_TWICE MARK_ALONE; do
    breaks solo "-DLOCKS -D$broken"
done
breaks solo "-DVISITS=1 -DCROWD -DCROWD_AT_ONCE"
breaks solo "-DCROSS -DVISITS=1 -DMARK_LATE"

# Three sleepers, one alarm.
holds lean ""
for broken in LOOK_FIRST CLEAR_LATE WITHOUT_OTHERS KEEP_ALARM; do
    breaks lean "-D$broken"
done

holds idle "-DMAIL -DN=2"
for broken in MAIL_FIRST ALARM_FIRST DROWSY_LATE; do
    breaks idle "-DMAIL -DN=2 -D$broken"
done

holds idle "-DPOLL -DN=2 -DSENDS=2"
holds idle "-DPOLL -DN=3 -DSPAWNS=0 -DPROMPT"
for broken in WITHOUT_POKE WITHOUT_POKED WITHOUT_WATCHDOG; do
    breaks idle "-DPOLL -DN=2 -DSENDS=2 -D$broken"
done

holds idle "-DCLOSE -DN=2 -DSPAWNS=1 -DPROMPT"
# Minutes, and 73 million states:
[ -z "${WEFT_MODEL_DEEP:-}" ] || holds idle "-DCLOSE -DN=3 -DSPAWNS=1 -DSENDS=0 -DPROMPT"
for broken in WITHOUT_SEAL COUNT_VISITORS SPAWNED_FIRST WITHOUT_SUM_FENCE WITHOUT_UNPARK_ALL; do
    breaks idle "-DCLOSE -DN=2 -DSPAWNS=1 -DPROMPT -D$broken"
done

holds calls ""
holds calls "-DOPERATION"
for broken in STAMP_FIRST PLAIN_LOAD COUNT_FIRST IGNORE_CLOSING CLOSER_UNCOUNTED WITHOUT_HOLD WITHOUT_REPLACEMENT; do
    breaks calls "-D$broken"
done
breaks calls "-DOPERATION -DWITHOUT_OPS"

# Long code and few states: a compiler that optimises would take longer than it saves.
for setting in "-DCANCEL -DFAIL" "-DCANCEL -DHANDLE" "-DCANCEL -DLOOK" "-DCANCEL -DSTRANGER" "-DFAIL -DSTRANGER" \
    "-DSPAWN -DFAIL" "-DSPAWN -DCANCEL -DWAIT"; do
    holds inside "$setting" -O0
done
if [ -n "${WEFT_MODEL_DEEP:-}" ]; then
    holds inside "-DCANCEL -DFAIL -DWAIT"
    holds inside "-DSPAWN -DCANCEL -DFAIL"
    holds inside "-DCANCEL -DTAKERS=2"
fi
for broken in JOINS_LATE WITHOUT_OWN_LOOK WITHOUT_SECOND_LOOK WITHOUT_HANDED WITHOUT_LAST_LOOK WITHOUT_STANDING_BACK \
    WITHOUT_WAIT_FOR_CANCELLERS WITHOUT_WAIT_FOR_READERS END_HELD CLAIM_CANCELLED; do
    breaks inside "-DCANCEL -DWAIT -D$broken"
done
breaks inside "-DCANCEL -DFAIL -DABORT_AGAIN"
breaks inside "-DCANCEL -DSTRANGER -DWITHOUT_TOKEN"
breaks inside "-DSTRANGER -DCLAIM_ANY_LIFE"
breaks inside "-DSPAWN -DCANCEL -DWITHOUT_SETTLE"

exit $failed
