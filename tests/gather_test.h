/* SPDX-License-Identifier: MIT */
/* gather_test.h - what the tests of gather and wait share: tasks that sleep, fail, swallow or clean up. */
#ifndef WEFT_GATHER_TEST_H
#define WEFT_GATHER_TEST_H

#include <stdatomic.h>
#include <errno.h>

#include <weft/gather.h>
#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>

#include "support.h"
#include "weft_test.h"

static atomic_int unseen;

WT_FN void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    unseen += what->kind == WEFT_DIAG_ERROR_NEVER_RETRIEVED;
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

WT_FN void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

WT_FN int count(void)
{
    return weft_cancelling(weft_self());
}

/* Sleeps for the tens, then returns the argument; negative ones after |arg| seconds. */
WT_FN intptr_t sleep_then(void *arg)
{
    intptr_t n = (intptr_t)arg;
    int rc = weft_sleep((n < 0 ? -n : n / 10) * WEFT_S);

    return rc < 0 ? rc : n;
}

WT_FN intptr_t swallow(void *arg)
{
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    return (intptr_t)arg;
}

WT_FN intptr_t clean_up_4(void *arg)
{
    int rc = weft_sleep(50 * WEFT_S);

    (void)arg;
    wt_check(weft_sleep(4 * WEFT_S) == 0);
    return rc;
}

WT_FN weft_task *spawned(weft_fn *fn, intptr_t arg)
{
    weft_task *task = NULL;

    wt_check(weft_spawn(&task, fn, word(arg)) == 0);
    return task;
}

struct pair {
    weft_task *tasks[2];
    weft_gather_mode mode;
    intptr_t results[2];
    size_t failed;
};

#endif
