/* SPDX-License-Identifier: MIT */
/* group_test.h - what the tests of groups share: children that fail or clean up, and what was reported. */
#ifndef WEFT_GROUP_TEST_H
#define WEFT_GROUP_TEST_H

#include <errno.h>

#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>

#include "support.h"
#include "weft_test.h"

static struct {
    int group_errors, unseen, dropped, swallowed;
    int last_error;
    char last_name[64];
} told;

WT_FN void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    told.group_errors += what->kind == WEFT_DIAG_GROUP_ERROR;
    told.unseen += what->kind == WEFT_DIAG_ERROR_NEVER_RETRIEVED;
    told.dropped += what->kind == WEFT_DIAG_DROPPED_WHILE_PENDING;
    told.swallowed += what->kind == WEFT_DIAG_CANCEL_SWALLOWED;
    told.last_error = what->error;
    snprintf(told.last_name, sizeof told.last_name, "%s", what->name);
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

WT_FN void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
    cr_assert_eq(told.unseen, 0); /* a group looks at its children's errors */
    cr_assert_eq(told.dropped, 0);
}

WT_FN int count(void)
{
    return weft_cancelling(weft_self());
}

/* Sleeps a second and fails with the code. */
WT_FN intptr_t fail_after_1(void *arg)
{
    int rc = weft_sleep(WEFT_S);

    return rc < 0 ? rc : (intptr_t)arg;
}

/* When cancelled, fails with the code. */
WT_FN intptr_t fail_when_told(void *arg)
{
    return weft_sleep(50 * WEFT_S) == -ECANCELED ? (intptr_t)arg : 0;
}

/* When cancelled, cleans up for so many seconds. */
WT_FN intptr_t clean_up_s(void *arg)
{
    int rc = weft_sleep(50 * WEFT_S);

    wt_check(weft_sleep((intptr_t)arg * WEFT_S) == 0);
    return rc;
}

WT_FN void open_group(weft_group *group)
{
    wt_check(weft_group_open(group, 0) == 0);
}

/* Spawns a child and keeps a handle. */
WT_FN weft_task *child(weft_group *group, weft_fn *fn, void *arg)
{
    weft_task *task = NULL;

    wt_check(weft_group_spawn(group, &task, fn, arg, NULL) == 0);
    return task;
}

WT_FN void add(weft_group *group, weft_fn *fn, void *arg)
{
    wt_check(weft_group_spawn(group, NULL, fn, arg, NULL) == 0);
}

WT_FN bool errors_are(const weft_group *group, int expected_count, int first, int second)
{
    int codes[2] = {0, 0};

    return weft_group_errors(group, codes, 2) == expected_count && codes[0] == first &&
           codes[1] == second;
}

static int ran;

WT_FN intptr_t note_run(void *arg)
{
    ran++;
    return (intptr_t)arg;
}

__attribute__((unused)) static weft_group *shared_group;

/* P23: a request and a failure meet before the body is told: one delivery, the request lives on. */
WT_FN intptr_t yield_then_fail(void *arg)
{
    int rc = weft_yield();

    return rc < 0 ? rc : (intptr_t)arg;
}

#endif
