#!/bin/sh
# SPDX-License-Identifier: MIT
# format.sh [--fix] - the sources look as .clang-format says; --fix makes them so.
set -u
cd "$(dirname "$0")/../.." || exit 1
mode="--dry-run -Werror"
[ "${1-}" = --fix ] && mode=-i
# Of each complaint the place is enough, not the three lines that show it.
complaints=$(for room in src include tests benches docs/examples; do
    [ -d $room ] && find $room -name '*.[ch]' ! -path 'benches/peers/*' -print0
done | LC_ALL=C sort -z | xargs -0 -r clang-format $mode --style=file 2>&1) && exit
printf '%s\n' "$complaints" | grep -E '^[^ ]+:[0-9]+:[0-9]+:|^[Ee]rror|not found' | head -40
echo "./dev format puts it right"
exit 1
