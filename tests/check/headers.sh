#!/bin/sh
# SPDX-License-Identifier: MIT
# headers.sh - every public header compiles alone, as strict C11 and as C++17, without a warning,
# with gcc and with clang.
set -u
cd "$(dirname "$0")/../.." || exit 1
flags="-fsyntax-only -Iinclude -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
unit=$(mktemp) || exit 1
trap 'rm -f "$unit"' EXIT
status=0
count=0

try() { # LANGUAGE HEADER COMPILER STANDARD
    # shellcheck disable=SC2086
    "$3" -x "$1" "-std=$4" $flags "$unit" || { echo "include/$2: not clean alone as $4 with $3"; status=1; }
}

for header in include/weft.h include/weft/*.h; do
    [ -f "$header" ] || continue
    count=$((count + 1))
    header=${header#include/}
    # A system header first would hide what this one forgot to include.
    printf '#include "%s"\n#include "%s"\nextern int headers_unit;\n' "$header" "$header" >"$unit"
    for compiler in gcc clang; do
        command -v $compiler >/dev/null || { [ "$count" -gt 1 ] || echo "headers: no $compiler here, not tried"; continue; }
        try c "$header" $compiler c11
    done
    for compiler in g++ clang++; do
        command -v $compiler >/dev/null || { [ "$count" -gt 1 ] || echo "headers: no $compiler here, not tried"; continue; }
        try c++ "$header" $compiler c++17
    done
done
[ "$count" -gt 0 ] || { echo "no public headers found"; exit 1; }
exit $status
