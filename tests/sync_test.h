/* SPDX-License-Identifier: MIT */
/* sync_test.h - what the tests of locks share: runs in virtual time, tasks that wait, a log of what was seen. */
#ifndef SYNC_TEST_H
#define SYNC_TEST_H

#include <errno.h>

#include <weft.h>
#include <weft/testing.h>

#include "weft_test.h"

/* Runs fn as the main task of a simulation. Seed 0 is the event loop's order. */
WT_FN void simulate_seed(weft_fn *fn, uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed};
    cr_assert_eq(weft_run(fn, NULL, &options), 0, "seed %d", (int)seed);
    wt_assert_clean();
}

WT_FN void simulate(weft_fn *fn)
{
    simulate_seed(fn, 0);
}

/* For what holds in any order. */
WT_FN void simulate_seeds(weft_fn *fn)
{
    for (uint64_t seed = 0; seed <= 50; seed++) {
        simulate_seed(fn, seed);
    }
}

/* Runs fn in a runtime with two workers. */
WT_FN void run_two(weft_fn *fn)
{
    const weft_options options = {.workers = 2};
    cr_assert_eq(weft_run(fn, NULL, &options), 0);
    wt_assert_clean();
}

/* Only in a simulation with seed 0: it waits by the time this returns. */
WT_FN weft_task *spawn_parked(weft_fn *fn, void *arg)
{
    weft_task *task = NULL;
    wt_check(weft_spawn(&task, fn, arg) == 0);
    wt_check(weft_yield() == 0);
    return task;
}

/* In any simulation: everybody waits for somebody when the clock moves. */
WT_FN void settle(void)
{
    wt_check(weft_sleep(WEFT_MS) == 0);
}

WT_FN intptr_t finish(weft_task *task)
{
    intptr_t result = 0;
    wt_check(weft_join(task, &result) == 0);
    weft_drop(task);
    return result;
}

/* ---- a log: one letter a step ---- */

static char steps[256];
static size_t step_count;

WT_FN void step(char letter)
{
    if (wt_check(step_count + 1 < sizeof steps)) {
        steps[step_count++] = letter;
        steps[step_count] = '\0';
    }
}

/* Compares the log and empties it. */
WT_FN bool saw(const char *expected)
{
    bool is_same = strcmp(steps, expected) == 0;
    if (!is_same) {
        fprintf(stderr, "saw \"%s\", not \"%s\"\n", steps, expected);
    }
    step_count = 0;
    steps[0] = '\0';
    return is_same;
}

#endif
