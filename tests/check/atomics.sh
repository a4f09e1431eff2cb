#!/bin/sh
# SPDX-License-Identifier: MIT
# atomics.sh - outside src/base nothing names a memory order, an atomic operation or volatile: the
# functions of base/atomic.h carry the order in their names, and there is no other door.
# Comments don't count, nor does the volatile of an asm statement.
set -u
cd "$(dirname "$0")/../.." || exit 1

find src -name '*.[ch]' ! -path 'src/base/*' | LC_ALL=C sort | xargs -r awk '
FNR == 1 { inside = 0 }
{
    line = $0
    code = ""
    while (line != "") {
        if (inside) {
            end = index(line, "*/")
            if (!end) break
            line = substr(line, end + 2)
            inside = 0
        } else {
            start = index(line, "/*")
            if (!start) { code = code line; break }
            code = code substr(line, 1, start - 1) " "
            line = substr(line, start + 2)
            inside = 1
        }
    }
    sub(/\/\/.*/, "", code)
    gsub(/(asm|__asm__|__asm)[ \t]+(volatile|__volatile__)/, "asm", code)
    if (code ~ /memory_order_|ck_pr_|__atomic_|__sync_|stdatomic\.h|(^|[^A-Za-z0-9_])(volatile|__volatile__|atomic_(load|store|exchange|compare|fetch|thread|signal)[a-z_]*)([^A-Za-z0-9_]|$)/) {
        print FILENAME ":" FNR ": only src/base may do this: " $0
        bad = 1
    }
}
END { exit bad }'
