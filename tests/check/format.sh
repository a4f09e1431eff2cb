#!/bin/sh
# SPDX-License-Identifier: MIT
# format.sh [--fix] - the sources look as .clang-format says; --fix makes them so.
set -u
cd "$(dirname "$0")/../.." || exit 1
mode="--dry-run -Werror"
[ "${1-}" = --fix ] && mode=-i
for room in src include tests benches docs/examples; do
    [ -d $room ] && find $room -name '*.[ch]' ! -path 'benches/peers/*' -print0
done | xargs -0 -r clang-format $mode --style=file
