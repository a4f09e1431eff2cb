/* SPDX-License-Identifier: MIT */
/* test_inside_requests.c - requests, timeouts, shields, groups and other joiners around a child that runs on its
 * joiner's stack: as if it ran anywhere else. */
#include "inside_test.h"

/* ---- requests ---- */

static intptr_t cancel_during(void *arg)
{
    weft_task *task = start(join_one, wait_here, word(9));
    intptr_t outcome;

    (void)arg;
    wt_check(weft_cancel(task) == 1 && weft_cancelling(task) == 1);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    wt_check(weft_join(task, &outcome) == 0 && outcome == -ECANCELED && result == -ECANCELED);
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    wt_check(traced("told join-told ")); /* the innermost first */
    weft_drop(task);
    return 0;
}

Test(inside, a_request_to_the_joiner_reaches_the_child, .init = open_events)
{
    RUN(cancel_during, NULL, &alone);
}

static intptr_t cancel_nested(void *arg)
{
    weft_task *task = start(join_in_between, wait_here, word(9));

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_cancelling(parent) == 1); /* each link of the chain shows it */
    wt_check(finish(task) == -ECANCELED);
    wt_check(traced("told join-told outer-told "));
    return 0;
}

Test(inside, and_the_childs_child, .init = open_events)
{
    RUN(cancel_nested, NULL, &alone);
}

static intptr_t cancel_swallower(void *arg)
{
    weft_task *task = start(join_one, swallow, word(9));

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    until_parked(parks_now(), 0);
    wt_check(weft_yield() == 0 && weft_cancelling(task) == 1);
    weft_event_set(&go_on);
    wt_check(finish(task) == 0 && result == 9); /* the child did not end by it: nor does the join */
    wt_check(traced("swallowed joined "));
    return 0;
}

Test(inside, a_child_that_swallows_keeps_the_joiner, .init = open_events)
{
    RUN(cancel_swallower, NULL, &alone);
}

static intptr_t clean_up_slowly(void *arg)
{
    (void)arg;
    note_child();
    wt_check(weft_event_wait(&go_on) == -ECANCELED);
    mark("first");
    wt_check(weft_event_wait(&go_on) == -ECANCELED);
    mark("second");
    return -ECANCELED;
}

static intptr_t cancel_twice(void *arg)
{
    weft_task *task = start(join_one, clean_up_slowly, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_yield() == 0);
    wt_check(traced("first "));
    wt_check(weft_cancel(task) == 1 && weft_cancelling(task) == 2);
    wt_check(finish(task) == -ECANCELED);
    wt_check(traced("second join-told "));
    return 0;
}

Test(inside, a_second_request_is_handed_on_too, .init = open_events)
{
    RUN(cancel_twice, NULL, &alone);
}

/* The joiner asks for itself before it joins: the child is told, if it comes to run at all. */
static intptr_t cancel_before(void *arg)
{
    weft_task *child;

    (void)arg;
    note_parent();
    wt_check(weft_spawn(&child, leaf, NULL) == 0);
    wt_check(weft_cancel(parent) == 1);
    wt_check(weft_await(child, &result) == -ECANCELED && result == -ECANCELED);
    wt_check(!was_inside && weft_uncancel(parent) == 0);
    was_called = false;
    wt_check(weft_spawn(&child, must_not_run, NULL) == 0);
    wt_check(weft_cancel(child) == 1);
    wt_check(weft_await(child, &result) == 0 && result == -ECANCELED && !was_called);
    wt_check(weft_yield() == 0);
    return 0;
}

Test(inside, requests_before_the_join_keep_it_elsewhere)
{
    RUN(cancel_before, NULL, &alone);
}

static intptr_t ask_for_the_joiner(void *arg)
{
    (void)arg;
    wt_check(weft_cancel(parent) == 1);
    return 3; /* without another await: its value is discarded */
}

static intptr_t ask_and_take_back(void *arg)
{
    wt_check(weft_cancel(parent) == 1 && weft_cancelling(weft_self()) == 1);
    wt_check(weft_uncancel(weft_self()) == 0 && weft_uncancel(parent) == 0);
    return (intptr_t)arg;
}

static intptr_t cancel_from_within(void *arg)
{
    weft_task *child;

    (void)arg;
    note_parent();
    wt_check(weft_spawn(&child, ask_for_the_joiner, NULL) == 0);
    wt_check(weft_await(child, &result) == -ECANCELED && result == -ECANCELED);
    wt_check(weft_yield() == 0); /* told once */
    wt_check(weft_uncancel(parent) == 0);
    wt_check(weft_spawn(&child, ask_and_take_back, word(4)) == 0);
    wt_check(weft_await(child, &result) == 0 && result == 4);
    wt_check(weft_yield() == 0 && weft_cancelling(parent) == 0);
    return 0;
}

Test(inside, the_child_itself_may_ask)
{
    RUN(cancel_from_within, NULL, &alone);
}

/* What comes after the child's end is the next await's. */
static void ask_at_the_end(weft_task *task, void *arg)
{
    (void)task;
    (void)arg;
    wt_check(weft_cancel(parent) == 1);
}

static intptr_t watch_itself(void *arg)
{
    wt_check(weft_on_done(weft_self(), ask_at_the_end, NULL) == 0);
    return (intptr_t)arg;
}

static intptr_t cancel_after(void *arg)
{
    weft_task *child;

    (void)arg;
    note_parent();
    wt_check(weft_spawn(&child, watch_itself, word(6)) == 0);
    wt_check(weft_await(child, &result) == 0 && result == 6);
    wt_check(weft_yield() == -ECANCELED && weft_yield() == 0);
    wt_check(weft_uncancel(parent) == 0);
    return 0;
}

Test(inside, a_request_after_the_end_is_the_next_awaits)
{
    RUN(cancel_after, NULL, &alone);
}

/* ---- two joiners, cycles ---- */

static weft_task *shared;

static intptr_t join_shared(void *arg)
{
    intptr_t value = 0;
    int rc = weft_join(shared, &value);

    (void)arg;
    return rc != 0 ? rc : value;
}

static intptr_t join_it_first(void *arg)
{
    (void)arg;
    note_parent();
    return join_shared(NULL);
}

static intptr_t join_from_two(void *arg)
{
    weft_task *first, *second;

    wt_check(weft_spawn(&first, join_it_first, NULL) == 0);
    wt_check(weft_spawn(&second, join_shared, NULL) == 0);
    wt_check(weft_spawn(&shared, wait_here, word(8)) == 0);
    wt_check(weft_event_wait(&begun) == 0 && was_inside);
    wt_check(weft_yield() == 0);
    if (arg != NULL) { /* the second one's request takes the first one's child away, too */
        wt_check(weft_cancel(second) == 1);
    } else {
        weft_event_set(&go_on);
    }
    wt_check(finish(second) == (arg != NULL ? -ECANCELED : 8));
    wt_check(finish(first) == (arg != NULL ? -ECANCELED : 8));
    wt_check(weft_cancelling(shared) == (arg != NULL));
    weft_drop(shared);
    return 0;
}

Test(inside, another_joiner_waits_as_ever, .init = open_events)
{
    RUN(join_from_two, NULL, &alone);
}

Test(inside, and_hands_its_requests_on, .init = open_events)
{
    RUN(join_from_two, word(1), &alone);
}

static intptr_t join_back(void *arg)
{
    (void)arg;
    return weft_join(parent, NULL);
}

static intptr_t join_in_a_circle(void *arg)
{
    weft_task *child;

    (void)arg;
    note_parent();
    wt_check(weft_spawn(&child, join_back, NULL) == 0);
    wt_check(weft_await(child, &result) == 0 && result == -EDEADLK);
    return 0;
}

Test(inside, a_circle_is_found)
{
    RUN(join_in_a_circle, NULL, &alone);
}

/* ---- timeouts, shields, groups around the join ---- */

static intptr_t join_in_time(void *arg)
{
    weft_task *child;
    weft_timeout limit;
    intptr_t rc;

    note_parent();
    wt_check(weft_spawn(&child, child_fn, arg) == 0);
    wt_check(weft_timeout_enter(&limit, 2 * WEFT_MS) == 0);
    rc = weft_await(child, &result);
    rc = weft_timeout_leave(&limit, rc);
    wt_check(weft_timeout_expired(&limit) && weft_cancelling(parent) == 0);
    wt_check(weft_yield() == 0); /* nothing is left over */
    return rc;
}

static intptr_t expire_during(void *arg)
{
    weft_task *task = start(join_in_time, wait_here, NULL);

    (void)arg;
    wt_check(finish(task) == -ETIMEDOUT && result == -ECANCELED);
    wt_check(traced("told "));
    return 0;
}

Test(inside, a_timeout_of_the_joiner_ends_the_child, .init = open_events)
{
    RUN(expire_during, NULL, &alone);
}

static intptr_t shield_and_join(void *arg)
{
    weft_shield section;
    weft_task *child;
    intptr_t rc;

    note_parent();
    wt_check(weft_spawn(&child, child_fn, arg) == 0);
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    rc = weft_await(child, &result);
    mark(rc == 0 ? "joined" : "join-told");
    rc = weft_shield_leave(&section, rc);
    wt_check(rc == 0);
    return weft_yield();
}

static intptr_t cancel_shielded(void *arg)
{
    weft_task *task = start(shield_and_join, wait_here, word(2));

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_yield() == 0 && traced("")); /* deferred */
    weft_event_set(&go_on);
    wt_check(finish(task) == -ECANCELED && result == 2);
    wt_check(traced("went-on joined "));
    return 0;
}

Test(inside, a_shield_of_the_joiner_keeps_requests_from_the_child, .init = open_events)
{
    RUN(cancel_shielded, NULL, &alone);
}

static weft_group group;

static intptr_t join_in_group(void *arg)
{
    weft_task *child;
    int rc;

    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, &child, child_fn, arg, NULL) == 0);
    rc = weft_await(child, &result);
    mark(rc == 0 ? "joined" : "join-told");
    return weft_group_close(&group, rc);
}

static intptr_t abort_during(void *arg)
{
    weft_task *task = start(join_in_group, wait_here, NULL);

    (void)arg;
    wt_check(weft_group_spawn(&group, NULL, fail, NULL, NULL) == 0);
    wt_check(finish(task) == -EIO && result == -ECANCELED);
    wt_check(traced("told join-told "));
    return 0;
}

Test(inside, a_group_that_aborts_reaches_joiner_and_child, .init = open_events)
{
    RUN(abort_during, NULL, &alone);
}
