/* SPDX-License-Identifier: MIT */
/* test_inside_group_requests.c - requests and errors for children that run on the stack of the task that closes:
 * from outside, from within, under a shield, one group inside the other. */
#include <weft/dump.h>

#include "inside_group_test.h"

/* ---- requests ---- */

/* Two children: the newest runs inside and waits, the other one waits elsewhere. */
static int asked[2];

static intptr_t wait_and_count(void *arg)
{
    intptr_t rc = wait_here(NULL);

    asked[(intptr_t)arg] = weft_cancelling(weft_self());
    return rc;
}

/* On another stack. */
static intptr_t wait_beside(void *arg)
{
    intptr_t rc = weft_event_wait(&go_on);

    wt_check(fiber_here() != parent_fiber);
    asked[(intptr_t)arg] = weft_cancelling(weft_self());
    mark("beside");
    return rc;
}

static intptr_t close_two(void *arg)
{
    (void)arg;
    asked[0] = asked[1] = -1;
    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    add(wait_beside, word(0));
    add(wait_and_count, word(1));
    return close_now(0);
}

static weft_task *start_two(weft_fn *fn)
{
    weft_task *task = start(fn, NULL, NULL);

    until_parked(parks_now(), 0);
    wt_check(weft_yield() == 0 && weft_yield() == 0); /* the other one has parked too */
    return task;
}

static intptr_t cancel_closer(void *arg)
{
    weft_task *task = start_two(close_two);

    (void)arg;
    wt_check(weft_cancel(task) == 1 && weft_cancelling(task) == 1);
    wt_check(finish(task) == -ECANCELED && closed == -ECANCELED);
    wt_check(asked[0] == 1 && asked[1] == 1);
    wt_check(strstr(trace, "close-told ") == trace + strlen("told beside ")); /* in any order */
    return 0;
}

Test(inside_group, a_request_to_the_closer_reaches_all, .init = open_all)
{
    RUN(cancel_closer, NULL, &alone);
}

static intptr_t cancel_the_group(void *arg)
{
    weft_task *task = start_two(close_two);

    (void)arg;
    wt_check(weft_group_cancel(&group) == 1 && weft_cancelling(task) == 1);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(finish(task) == 0 && closed == 0);
    wt_check(asked[0] == 1 && asked[1] == 1);
    return 0;
}

Test(inside_group, the_group_is_cancelled, .init = open_all)
{
    RUN(cancel_the_group, NULL, &alone);
}

static intptr_t fail_beside(void *arg)
{
    weft_task *task = start_two(close_two);

    (void)arg;
    add(fail, NULL); /* runs on a stack of its own: the closer waits in its child */
    wt_check(finish(task) == -EIO && closed == -EIO);
    wt_check(asked[0] == 1 && asked[1] == 1);
    return 0;
}

Test(inside_group, an_error_elsewhere_reaches_all, .init = open_all)
{
    RUN(fail_beside, NULL, &alone);
}

static intptr_t give_cause(void *arg)
{
    intptr_t rc = wait_here(arg);

    wt_check(weft_cancel_cause() == WEFT_CAUSE_TIMEOUT);
    return rc;
}

static intptr_t close_one(weft_fn *fn)
{
    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    add(fn, NULL);
    return close_now(0);
}

static intptr_t limit_it(void *arg)
{
    (void)arg;
    wt_check(weft_within(20 * WEFT_MS, close_one(give_cause)) == -ETIMEDOUT);
    wt_check(was_inside && weft_cancelling(weft_self()) == 0 && weft_yield() == 0);
    wt_check(traced("told close-told "));
    return 0;
}

Test(inside_group, a_limit_around_it, .init = open_all)
{
    RUN(limit_it, NULL, &alone);
}

static intptr_t close_swallowers(void *arg)
{
    (void)arg;
    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    add(swallow, word(9));
    return close_now(0);
}

static intptr_t swallow_it(void *arg)
{
    weft_task *task = start(close_swallowers, NULL, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_yield() == 0 && weft_cancel(task) == 1); /* children are asked once */
    wt_check(weft_yield() == 0 && traced("swallowed "));
    weft_event_set(&go_on);
    wt_check(finish(task) == -ECANCELED && traced("close-told "));
    return 0;
}

Test(inside_group, children_are_asked_once, .init = open_all)
{
    RUN(swallow_it, NULL, &alone);
}

/* ---- from within ---- */

static intptr_t ask_the_closer(void *arg)
{
    wt_check(weft_cancel(parent) == 1);
    return leaf(arg);
}

static intptr_t ask_in_the_middle(void *arg)
{
    (void)arg;
    note_parent();
    was_called = false;
    wt_check(weft_group_open(&group, 0) == 0);
    add(must_not_run, NULL);
    add(ask_the_closer, (void *)(uintptr_t) "asks");
    add(leaf, (void *)(uintptr_t) "first");
    wt_check(close_now(0) == -ECANCELED && !was_called);
    wt_check(traced("first asks close-told "));
    wt_check(weft_uncancel(parent) == 0 && weft_yield() == 0);
    return 0;
}

Test(inside_group, the_closer_is_asked_by_a_child, .init = open_all)
{
    RUN(ask_in_the_middle, NULL, &alone);
}

static intptr_t fail_in_the_middle(void *arg)
{
    int codes[4];

    (void)arg;
    note_parent();
    was_called = false;
    wt_check(weft_group_open(&group, 0) == 0);
    add(must_not_run, NULL);
    add(fail, NULL);
    add(leaf, (void *)(uintptr_t) "first");
    wt_check(close_now(0) == -EIO && !was_called);
    wt_check(weft_group_errors(&group, codes, 4) == 1 && codes[0] == -EIO);
    wt_check(weft_cancelling(parent) == 0 && weft_yield() == 0);
    return 0;
}

Test(inside_group, a_child_fails, .init = open_all)
{
    RUN(fail_in_the_middle, NULL, &alone);
}

static void ask_at_the_end(weft_task *task, void *arg)
{
    (void)task;
    (void)arg;
    wt_check(weft_cancel(parent) == 1);
}

static intptr_t ask_when_done(void *arg)
{
    wt_check(weft_on_done(weft_self(), ask_at_the_end, NULL) == 0);
    return (intptr_t)arg;
}

/* No child is left to take it, but closing has not ended before the callback has. */
static intptr_t ask_by_the_last(void *arg)
{
    (void)arg;
    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    add(ask_when_done, NULL);
    wt_check(close_now(0) == -ECANCELED);
    wt_check(weft_cancelling(parent) == 1 && weft_uncancel(parent) == 0);
    wt_check(weft_yield() == 0); /* told once */
    return 0;
}

Test(inside_group, a_request_by_the_last_ones_callback, .init = open_all)
{
    RUN(ask_by_the_last, NULL, &alone);
}

/* A request is there before it closes: nobody starts. */
static intptr_t ask_before(void *arg)
{
    (void)arg;
    note_parent();
    was_called = false;
    wt_check(weft_group_open(&group, 0) == 0);
    add(must_not_run, NULL);
    wt_check(weft_cancel(parent) == 1);
    wt_check(close_now(0) == -ECANCELED && !was_called);
    wt_check(weft_uncancel(parent) == 0);
    wt_check(weft_group_open(&group, 0) == 0);
    add(must_not_run, NULL);
    wt_check(close_now(-EPIPE) == -EPIPE && !was_called);
    return 0;
}

Test(inside_group, requests_and_errors_before_the_close, .init = open_all)
{
    RUN(ask_before, NULL, &alone);
}

/* ---- a shield, a nested group ---- */

static intptr_t close_shielded(void *arg)
{
    weft_shield shield;
    intptr_t rc;

    (void)arg;
    wt_check(weft_shield_enter(&shield, WEFT_FOREVER) == 0);
    rc = close_one(wait_here);
    rc = weft_shield_leave(&shield, rc);
    mark("unshielded");
    return rc;
}

static intptr_t wait_shielded(void *arg)
{
    weft_task *task = start(close_shielded, NULL, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_yield() == 0 && weft_yield() == 0 && traced(""));
    weft_event_set(&go_on);
    wt_check(finish(task) == -ECANCELED);
    return 0;
}

Test(inside_group, shielded_it_hears_nothing, .init = open_all)
{
    RUN(wait_shielded, NULL, &alone);
}

static intptr_t close_inner(void *arg)
{
    weft_group inner;
    intptr_t rc;

    (void)arg;
    wt_check(weft_group_open(&inner, 0) == 0);
    wt_check(weft_group_spawn(&inner, NULL, wait_here, NULL, NULL) == 0);
    rc = weft_group_close(&inner, 0);
    mark(rc == -ECANCELED ? "inner-told" : "inner");
    return rc;
}

static intptr_t close_outer(void *arg)
{
    (void)arg;
    return close_one(close_inner);
}

static intptr_t cancel_outer(void *arg)
{
    weft_task *task = start(close_outer, NULL, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(traced("told inner-told close-told "));
    return 0;
}

Test(inside_group, one_inside_the_other, .init = open_all)
{
    RUN(cancel_outer, NULL, &alone);
}

/* ---- reports ---- */

static char said[4096];

static void keep(const char *text, void *arg)
{
    (void)arg;
    strncat(said, text, sizeof said - strlen(said) - 1);
}

static intptr_t tell_of_it(void *arg)
{
    weft_task *task = start_two(close_two);

    (void)arg;
    wt_check(weft_dump(NULL, keep, NULL) == 0);
    if (!wt_check(strstr(said, "waits for its group: task #") != NULL &&
                  strstr(said, ", one of them on its own stack") != NULL)) {
        fprintf(stderr, "%s", said);
    }
    weft_event_set(&go_on);
    wt_check(finish(task) == 0);
    return 0;
}

Test(inside_group, a_dump_names_all_children, .init = open_all)
{
    RUN(tell_of_it, NULL, &alone);
}
