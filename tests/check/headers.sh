#!/bin/sh
# SPDX-License-Identifier: MIT
# headers.sh - every public header compiles alone, as strict C11 and as C++17, without a warning,
# with gcc and with clang; and so does what their macros make of a program.
set -u
cd "$(dirname "$0")/../.." || exit 1
flags="-fsyntax-only -Iinclude -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
unit=$(mktemp) || exit 1
trap 'rm -f "$unit"' EXIT
status=0
count=0

try() { # LANGUAGE HEADER COMPILER STANDARD [FLAG]
    # shellcheck disable=SC2086
    "$3" -x "$1" "-std=$4" $flags ${5-} "$unit" || { echo "include/$2: not clean as $4 with $3"; status=1; }
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
        try c++ "$header" $compiler c++17 -Wold-style-cast
    done
done

# What a macro stands for is seen only where it is used.
cat >"$unit" <<'END'
#include <weft.h>
extern intptr_t headers_unit(void *arg);
static weft_mutex mutex = WEFT_MUTEX_INIT;
static weft_cond cond = WEFT_COND_INIT(&mutex);
static weft_sem sem = WEFT_SEM_INIT(3);
static weft_barrier barrier = WEFT_BARRIER_INIT(3);
static weft_event event = WEFT_EVENT_INIT;
static weft_future future = WEFT_FUTURE_INIT;
static weft_once once = WEFT_ONCE_INIT;
static weft_rwlock rwlock = WEFT_RWLOCK_INIT;
static weft_local local = WEFT_LOCAL_INIT("local", NULL);
intptr_t headers_unit(void *arg)
{
    void *const all[] = {&mutex, &cond, &sem, &barrier, &event, &future, &once, &rwlock, &local, arg};
    int count = 2;
    weft_sem more = WEFT_SEM_INIT(count + 1);
    weft_barrier others = WEFT_BARRIER_INIT(count + 1);
    weft_group group;
    weft_task *task;
    int rc = weft_spawn(&task, headers_unit, all[9]);
    rc = rc < 0 ? rc : weft_spawn_with(&task, headers_unit, arg, NULL);
    rc = rc < 0 ? rc : weft_group_spawn(&group, &task, headers_unit, arg, NULL);
    rc = rc < 0 ? rc : weft_sem_try_acquire(&more, 1) + weft_barrier_destroy(&others);
    return rc < 0 ? rc : weft_within(2 * WEFT_S + WEFT_MS + WEFT_US, weft_read(0, arg, 1));
}
END
for compiler in gcc clang; do
    ! command -v $compiler >/dev/null || try c weft.h $compiler c11
done
for compiler in g++ clang++; do
    ! command -v $compiler >/dev/null || try c++ weft.h $compiler c++17 -Wold-style-cast
done
[ "$count" -gt 0 ] || { echo "no public headers found"; exit 1; }
exit $status
