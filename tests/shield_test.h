/* SPDX-License-Identifier: MIT */
/* shield_test.h - what the tests of shields share: simulations whose reports are counted. */
#ifndef WEFT_SHIELD_TEST_H
#define WEFT_SHIELD_TEST_H

#include <stdatomic.h>
#include <errno.h>

#include <weft/runtime.h>
#include <weft/time.h>

#include "support.h"
#include "weft_test.h"

static atomic_int errors_unseen, dropped, at_shutdown;

WT_FN void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    errors_unseen += what->kind == WEFT_DIAG_ERROR_NEVER_RETRIEVED;
    at_shutdown += what->kind == WEFT_DIAG_ERROR_AT_SHUTDOWN;
    dropped += what->kind == WEFT_DIAG_DROPPED_WHILE_PENDING;
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

WT_FN void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

WT_FN intptr_t sleep_5_then(void *arg)
{
    int rc = weft_sleep(5 * WEFT_S);

    return rc < 0 ? rc : (intptr_t)arg;
}

WT_FN intptr_t sleep_3_then_fail(void *arg)
{
    (void)arg;
    return weft_sleep(3 * WEFT_S) == 0 ? -EIO : -ECANCELED;
}

#endif
