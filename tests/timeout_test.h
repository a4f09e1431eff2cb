/* SPDX-License-Identifier: MIT */
/* timeout_test.h - what the tests of time limits share: entering and leaving with what is to hold then. */
#ifndef WEFT_TIMEOUT_TEST_H
#define WEFT_TIMEOUT_TEST_H

#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/timeout.h>

#include "support.h"
#include "weft_test.h"

static const weft_options simulated = {.simulate = true};

WT_FN void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* Opens a limit of so many seconds. */
WT_FN void enter_s(weft_timeout *limit, int64_t delay)
{
    wt_check(weft_timeout_enter(limit, delay * WEFT_S) == 0);
    wt_check(weft_timeout_state(limit) == WEFT_TIMEOUT_ACTIVE);
    wt_check(!weft_timeout_expired(limit));
}

/* Leaves: what came out, and in which state the scope is then. */
WT_FN bool leaves(weft_timeout *limit, intptr_t rc, intptr_t expected, weft_timeout_phase phase)
{
    intptr_t left = weft_timeout_leave(limit, rc);
    bool expired = phase == WEFT_TIMEOUT_EXPIRED;

    if (left != expected || weft_timeout_state(limit) != phase) {
        fprintf(stderr, "left with %ld in phase %d\n", (long)left, (int)weft_timeout_state(limit));
    }
    return left == expected && weft_timeout_state(limit) == phase &&
           weft_timeout_expired(limit) == expired;
}

WT_FN int count(void)
{
    return weft_cancelling(weft_self());
}

WT_FN intptr_t reschedule_it(void *arg)
{
    return weft_timeout_reschedule(arg, WEFT_S);
}

#endif
