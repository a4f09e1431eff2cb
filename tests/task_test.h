/* SPDX-License-Identifier: MIT */
/* task_test.h - what the tests of tasks share: simulations whose reports are kept. */
#ifndef WEFT_TASK_TEST_H
#define WEFT_TASK_TEST_H

#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>

#include "support.h"
#include "weft_test.h"

enum { REPORTS = 32 };

static struct {
    weft_diagnostic_kind kind;
    int error;
    uint64_t task_id;
    char name[64];
} reports[REPORTS];
static atomic_int report_count;

WT_FN void on_report(const weft_diagnostic *what, void *arg)
{
    int at = atomic_fetch_add(&report_count, 1);

    wt_check(arg == &report_count);
    wt_check(what->text != NULL && what->text[0] != '\0');
    wt_check(what->site != NULL && what->name != NULL);
    if (at < REPORTS) {
        reports[at].kind = what->kind;
        reports[at].error = what->error;
        reports[at].task_id = what->task_id;
        snprintf(reports[at].name, sizeof reports[at].name, "%s", what->name);
    }
}

static const weft_options simulated = {
    .simulate = true, .diagnostic = on_report, .diagnostic_arg = &report_count};

WT_FN void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* How many reports there have been; the last is of this kind. */
WT_FN bool reported(int count, weft_diagnostic_kind kind)
{
    return atomic_load(&report_count) == count && reports[count - 1].kind == kind;
}

WT_FN intptr_t sleep_long(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    (void)arg;
    return rc;
}

static int order[8];
static int order_count;

WT_FN intptr_t note_order(void *arg)
{
    order[order_count++] = (int)(intptr_t)arg;
    return 0;
}

WT_FN intptr_t cancel_self_and_give(void *arg)
{
    wt_check(weft_cancel(weft_self()) == 1);
    return (intptr_t)arg;
}

#endif
