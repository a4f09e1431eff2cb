#!/bin/sh
# SPDX-License-Identifier: MIT
# lint.sh - cppcheck's findings are errors. A finding that is wrong is silenced where it arises, by
# a comment `cppcheck-suppress name` with the reason.
set -u
cd "$(dirname "$0")/../.." || exit 1
mkdir -p build/cppcheck
rooms=
for room in src benches docs/examples; do
    [ -n "$(find $room -name '*.c' 2>/dev/null)" ] && rooms="$rooms $room"
done
# shellcheck disable=SC2086
cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
    --std=c11 --platform=unix64 --library=gnu -D__x86_64__ -D__linux__ -D__GNUC__=12 \
    -Iinclude -Isrc -j "$(nproc)" --cppcheck-build-dir=build/cppcheck \
    --suppress=missingInclude --suppress=unmatchedSuppression --suppress=unknownMacro \
    -i benches/peers $rooms
