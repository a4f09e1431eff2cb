/* SPDX-License-Identifier: MIT */
/* scenario_compare.h - two traces say the same when each task's events do; between tasks order is free. */
#ifndef SCENARIO_COMPARE_H
#define SCENARIO_COMPARE_H

#include <stdbool.h>

#include "scenario_arena.h"

/* The first task to differ, and its events as "@0 a @3 b". task NULL: nothing differs. */
struct difference {
    const char *task;
    const char *expected;
    const char *actual;
};

struct difference trace_compare(struct arena *arena, const char *expected, const char *actual);

#endif
