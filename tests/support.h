/* SPDX-License-Identifier: MIT */
/* support.h - the small task functions and helpers that many test files want.
 *
 * All but word() are for fibers. */
#ifndef WEFT_SUPPORT_H
#define WEFT_SUPPORT_H

#include <weft.h>

#include "weft_test.h"

/* ---- arguments ---- */

/* A number as the argument of a task. */
WT_FN void *word(intptr_t value)
{
    return (void *)value;
}

/* ---- what tasks run ---- */

/* Returns its argument. */
WT_FN intptr_t give(void *arg)
{
    return (intptr_t)arg;
}

/* Sleeps that many seconds, which is for simulations. */
WT_FN intptr_t sleep_s(void *arg)
{
    return weft_sleep((intptr_t)arg * WEFT_S);
}

/* ---- tasks ---- */

/* Spawns, and lets it come to its first wait: in a simulation with seed 0. */
WT_FN weft_task *spawn_parked(weft_fn *fn, void *arg)
{
    weft_task *task = NULL;

    wt_check(weft_spawn(&task, fn, arg) == 0);
    wt_check(weft_yield() == 0);
    return task;
}

/* What becomes of it; drops the handle. */
WT_FN intptr_t finish(weft_task *task)
{
    intptr_t result = 0;

    wt_check(weft_await(task, &result) == 0);
    return result;
}

/* ---- time and progress ---- */

WT_FN int64_t now_s(void)
{
    return weft_now() / WEFT_S;
}

/* Waits that have suspended a fiber of this runtime. */
WT_FN uint64_t parks_now(void)
{
    weft_stats_t stats = {.size = sizeof stats};
    return wt_check(weft_stats(NULL, &stats) == 0) ? stats.parks : 0;
}

/* Yields until there are `count` more of them than `mark`. */
WT_FN void until_parked(uint64_t mark, uint64_t count)
{
    while (parks_now() < mark + count) {
        wt_check(weft_yield() == 0);
    }
}

/* ---- diagnostics ---- */

/* A hook for tests that provoke what it would tell. */
WT_FN void ignore(const weft_diagnostic *what, void *arg)
{
    (void)what;
    (void)arg;
}

#endif
