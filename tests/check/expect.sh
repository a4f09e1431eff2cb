#!/bin/sh
# SPDX-License-Identifier: MIT
# expect.sh EXPECTED COMMAND... - runs the command; its output must be exactly the file's content.
set -u
expected=$1
shift
got=$(mktemp) || exit 1
trap 'rm -f "$got"' EXIT
"$@" >"$got"
status=$?
diff -u "$expected" "$got" || exit 1
exit $status
