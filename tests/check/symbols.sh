#!/bin/sh
# SPDX-License-Identifier: MIT
# symbols.sh [LIBRARY] - the shared library exports weft_* only, and exactly what symbols.txt lists:
# a symbol that vanishes breaks programs, one that slips out becomes a promise.
# After a deliberate change, write the list anew:  tests/check/symbols.sh --update
set -u
cd "$(dirname "$0")/../.." || exit 1
list=tests/check/symbols.txt
update=no
[ "${1-}" = --update ] && { update=yes; shift; }
[ $# -gt 0 ] || { # weft-tls, where it is built
    tls=build/release/libweft-tls.so
    if [ -f "$tls" ]; then
        [ $update = no ] || set -- --update
        sh "$0" "$@" "$tls" || exit 1
        set --
    fi
}
library=${1:-build/release/libweft.so}
case $library in *libweft-tls.so) list=tests/check/symbols-tls.txt ;; esac
[ -f "$library" ] || { echo "$library is not built"; exit 1; }

exported=$(nm -D --defined-only "$library" | awk '{ sub(/@.*/, "", $NF); print $NF }' | LC_ALL=C sort -u)
[ -n "$exported" ] || { echo "$library exports nothing"; exit 1; }
foreign=$(printf '%s\n' "$exported" | grep -v '^weft_')
[ -z "$foreign" ] || { echo "exported without the prefix weft_:"; echo "$foreign"; exit 1; }
if [ $update = yes ]; then
    printf '%s\n' "$exported" >"$list"
    exit
fi
[ -f "$list" ] || { echo "$list is missing; write it by: tests/check/symbols.sh --update"; exit 1; }
printf '%s\n' "$exported" | diff -u --label "$list" --label "$library" "$list" - && exit
echo "if this is meant: tests/check/symbols.sh --update"
exit 1
