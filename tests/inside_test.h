/* SPDX-License-Identifier: MIT */
/* inside_test.h - a joiner and a child that runs on its stack, for tests of joins inside.
 *
 * One worker and real time, so that nobody is faster than the joiner; events keep the order. */
#ifndef WEFT_INSIDE_TEST_H
#define WEFT_INSIDE_TEST_H

#include <errno.h>

#include <weft.h>

#include "sched/worker.h"
#include "support.h"

__attribute__((unused)) static const weft_options alone = {.workers = 1};

WT_FN const struct wf_fiber *fiber_here(void)
{
    return wf_here()->fiber;
}

static weft_event begun, go_on;
static weft_task *parent;
static const struct wf_fiber *parent_fiber;
static bool was_inside;

WT_FN void open_events(void)
{
    cr_assert_eq(weft_event_init(&begun), 0);
    cr_assert_eq(weft_event_init(&go_on), 0);
    was_inside = false;
    trace[0] = '\0';
}

WT_FN void note_child(void)
{
    was_inside = fiber_here() == parent_fiber;
    weft_event_set(&begun);
}

WT_FN void note_parent(void)
{
    parent = weft_self();
    parent_fiber = fiber_here();
}

/* Waits until it is told to go on, or is cancelled. */
WT_FN intptr_t wait_here(void *arg)
{
    int rc;

    note_child();
    rc = weft_event_wait(&go_on);
    mark(rc == 0 ? "went-on" : "told");
    return rc == 0 ? (intptr_t)arg : rc;
}

/* Waits again after the first request, and ends with a value. */
WT_FN intptr_t swallow(void *arg)
{
    note_child();
    wt_check(weft_event_wait(&go_on) == -ECANCELED);
    mark("swallowed");
    wt_check(weft_uncancel(weft_self()) == 0);
    wt_check(weft_event_wait(&go_on) == 0);
    return (intptr_t)arg;
}

/* The joiner's outcome is what the join returned; `result` has the child's. */
static intptr_t result;
static weft_fn *child_fn;

WT_FN intptr_t join_one(void *arg)
{
    weft_task *child;
    int rc;

    note_parent();
    result = 77;
    wt_check(weft_spawn(&child, child_fn, arg) == 0);
    rc = weft_await(child, &result);
    wt_check(weft_self() == parent && fiber_here() == parent_fiber);
    mark(rc == 0 ? "joined" : "join-told");
    return rc;
}

WT_FN weft_task *start(weft_fn *fn, weft_fn *child, void *arg)
{
    weft_task *task = NULL;

    child_fn = child;
    wt_check(weft_event_clear(&begun) >= 0 && weft_event_clear(&go_on) >= 0);
    wt_check(weft_spawn(&task, fn, arg) == 0);
    wt_check(weft_event_wait(&begun) == 0);
    wt_check(was_inside);
    return task;
}

WT_FN intptr_t leaf(void *arg)
{
    was_inside = fiber_here() == parent_fiber;
    mark(arg == NULL ? "leaf" : (const char *)arg);
    return 7;
}

WT_FN intptr_t fail(void *arg)
{
    (void)arg;
    return -EIO;
}

WT_FN intptr_t join_in_between(void *arg)
{
    weft_task *child;
    int rc;

    wt_check(weft_spawn(&child, join_one, arg) == 0);
    rc = weft_await(child, NULL);
    mark(rc == 0 ? "outer" : "outer-told");
    return rc;
}

#endif
