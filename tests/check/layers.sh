#!/bin/sh
# SPDX-License-Identifier: MIT
# layers.sh - a file in src/ includes its own room and the rooms below it, never up.
set -u
cd "$(dirname "$0")/../.." || exit 1
rooms="base fiber queue timer task poll sched await sync net inspect" # lowest first

find src -name '*.[chS]' | LC_ALL=C sort | xargs awk -v rooms="$rooms" '
BEGIN { n = split(rooms, name, " "); for (i = 1; i <= n; i++) level[name[i]] = i }
FNR == 1 {
    files++
    split(FILENAME, part, "/")
    room = part[2]
    if (!(room in level)) { print FILENAME ": not in one of the rooms: " rooms; bad = 1 }
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    split(quoted[2], part, "/")
    if (quoted[2] == "weft.h" || part[1] == "weft") next
    if (!(part[1] in level)) {
        print FILENAME ":" FNR ": \"" quoted[2] "\": write it as room/file.h"; bad = 1
    } else if (level[part[1]] > level[room]) {
        print FILENAME ":" FNR ": " room " may not include " quoted[2] ", which is above it"; bad = 1
    }
}
END { if (!files) { print "no sources found"; bad = 1 } exit bad }'
