/* SPDX-License-Identifier: MIT */
/* select_test.h - what the tests of selections share. */
#ifndef WEFT_SELECT_TEST_H
#define WEFT_SELECT_TEST_H

#include <errno.h>

#include <weft.h>

#include "weft_test.h"

/* Each under the event loop's order and under a few others. */
WT_FN void simulate(weft_fn *fn)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        weft_options options = {.simulate = true, .seed = seed, .workers = 2};
        intptr_t rc = weft_run(fn, NULL, &options);
        cr_assert_eq(rc, 0, "seed %d: the main task ended with %d", (int)seed, (int)rc);
    }
    wt_assert_clean();
}

WT_FN void run(weft_fn *fn)
{
    const weft_options options = {.workers = 2};
    cr_assert_eq(weft_run(fn, NULL, &options), 0);
    wt_assert_clean();
}

WT_FN weft_task *spawn(weft_fn *fn, void *arg)
{
    weft_task *task = NULL;
    wt_check(weft_spawn(&task, fn, arg) == 0);
    return task;
}

WT_FN intptr_t finish(weft_task *task)
{
    intptr_t result = 0;
    int rc = weft_await(task, &result);
    wt_check(rc == 0 || rc == -ECANCELED);
    return result;
}

WT_FN weft_case none(void)
{
    return (weft_case){.kind = WEFT_CASE_NONE};
}

WT_FN intptr_t write_later(void *arg)
{
    const int *fds = arg;
    int rc = weft_sleep(2 * WEFT_MS);
    return rc < 0 ? rc : weft_write(fds[1], "x", 1);
}

#endif
