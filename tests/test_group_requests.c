/* SPDX-License-Identifier: MIT */
/* test_group_requests.c - groups whose body fails or is asked to end, from outside or from inside, and which of
 * the two wins. G-n are the rules of the group model. */
#include <weft/future.h>
#include <weft/timeout.h>

#include "group_test.h"

/* ---- G-5, G-6, G-7, G-8: the body fails, or is cancelled from outside ---- */

static intptr_t body_in_group(void *arg)
{
    weft_group group;
    int rc;

    open_group(&group);
    add(&group, sleep_s, word(50));
    add(&group, clean_up_s, word(4));
    rc = arg == NULL ? 0 : weft_sleep(50 * WEFT_S);
    return weft_group_close(&group, rc);
}

static intptr_t fail_in_body(void *arg)
{
    weft_group group;
    weft_task *a;
    intptr_t rc;

    (void)arg;
    open_group(&group);
    a = child(&group, clean_up_s, word(2));
    wt_check(weft_yield() == 0);
    rc = weft_group_close(&group, -EIO);
    wt_check(weft_task_state(a) == WEFT_CANCELLED);
    weft_drop(a);
    return rc;
}

static intptr_t error_beats_cancel(void *arg)
{
    weft_group group;
    intptr_t rc;

    open_group(&group);
    add(&group, fail_when_told, word(-EIO));
    rc = arg == NULL ? 0 : weft_sleep(50 * WEFT_S);
    rc = weft_group_close(&group, rc);
    wt_check(rc == -EIO && count() == 1);
    wt_check(weft_sleep(WEFT_S) == -ECANCELED); /* P06, G-9: the request lives on */
    return rc;
}

static intptr_t from_outside(void *arg)
{
    weft_task *task;

    wt_check(fail_in_body(NULL) == -EIO && now_s() == 2);
    for (int i = 0; i < 2; i++) { /* P04, P05: in the body, in the exit */
        task = spawn_parked(body_in_group, i == 0 ? &arg : NULL);
        wt_check(weft_yield() == 0);
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 1);
        wt_check(finish(task) == -ECANCELED && now_s() == 6 + 4 * i);

        task = spawn_parked(error_beats_cancel, i == 0 ? &arg : NULL);
        wt_check(weft_yield() == 0);
        wt_check(weft_cancel(task) == 1);
        wt_check(finish(task) == -EIO);
    }
    task = spawn_parked(body_in_group, NULL); /* P20: not forwarded a second time */
    wt_check(weft_yield() == 0);
    for (int i = 1; i <= 3; i++) {
        wt_check(weft_cancel(task) == 1 && weft_cancelling(task) == i);
        wt_check(weft_sleep(WEFT_S) == 0);
    }
    wt_check(finish(task) == -ECANCELED && now_s() == 14);
    return 0;
}

Test(group, a_request_from_outside_ends_it)
{
    simulate(from_outside);
}

/* An undelivered request at the exit is observed there, as if the body had ended with it. */
static intptr_t request_then_close(void *arg)
{
    weft_group group;
    weft_task *a;
    intptr_t rc;

    (void)arg;
    open_group(&group);
    a = child(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    rc = weft_group_close(&group, 5);
    wt_check(weft_cancelling(a) == 1 && weft_checkpoint() == 0);
    weft_drop(a);
    return rc;
}

static intptr_t at_the_exit(void *arg)
{
    (void)arg;
    wt_check(finish(spawn_parked(request_then_close, NULL)) == -ECANCELED && now_s() == 0);
    return 0;
}

Test(group, the_exit_observes_first)
{
    simulate(at_the_exit);
}

/* P37: a child that swallows; the parent is still cancelled. */
static intptr_t swallow_then_sleep(void *arg)
{
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(3 * WEFT_S) == 0);
    return (intptr_t)arg;
}

static intptr_t close_over_swallower(void *arg)
{
    weft_group group;

    (void)arg;
    open_group(&group);
    add(&group, swallow_then_sleep, word(1));
    return weft_group_close(&group, 0);
}

/* U-5, P49, P50: a count from long ago is in the baseline. */
static intptr_t stale_then_group(void *arg)
{
    weft_group group;
    intptr_t rc;

    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    open_group(&group);
    if (arg != NULL) {
        add(&group, fail_after_1, word(-EIO));
        wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    } else {
        add(&group, sleep_s, word(50));
        wt_check(weft_sleep(WEFT_S) == 0);
        wt_check(weft_group_cancel(&group) == 1);
        wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    }
    rc = weft_group_close(&group, -ECANCELED);
    wt_check(count() == 1);
    wt_check(weft_sleep(WEFT_S) == 0); /* no second, spurious one */
    return rc;
}

static intptr_t baselines(void *arg)
{
    weft_task *task = spawn_parked(close_over_swallower, NULL);

    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED && now_s() == 3);
    task = spawn_parked(stale_then_group, &arg);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -EIO);
    task = spawn_parked(stale_then_group, NULL);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == 0);
    return 0;
}

Test(group, compares_with_its_baseline)
{
    simulate(baselines);
}

static weft_future has_begun;

static intptr_t tell_then_fail(void *arg)
{
    wt_check(weft_future_set(&has_begun, 0) == 0);
    return yield_then_fail(arg);
}

static intptr_t both_at_once(void *arg)
{
    weft_group group;
    intptr_t rc;

    (void)arg;
    open_group(&group);
    add(&group, tell_then_fail, word(-EIO));
    rc = weft_sleep(50 * WEFT_S);
    wt_check(rc == -ECANCELED && count() >= 1);
    rc = weft_group_close(&group, rc);
    wt_check(rc == -EIO && count() == 1);
    wt_check(weft_sleep(WEFT_S) == -ECANCELED);
    return -ECANCELED;
}

static intptr_t meeting(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, both_at_once, NULL) == 0);
    wt_check(weft_future_await(&has_begun, NULL) == 0); /* the body sleeps, its child is ready */
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    return 0;
}

Test(group, failure_and_request_at_once)
{
    simulate(meeting);
}

/* ---- G-12: weft_group_cancel ---- */

static intptr_t cancel_group_and_give(void *arg)
{
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_group_cancel(shared_group) == 1);
    return (intptr_t)arg;
}

static intptr_t group_cancel(void *arg)
{
    weft_group group;
    weft_task *a, *b;
    intptr_t raw = 0;

    (void)arg;
    open_group(&group); /* P28 */
    a = child(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_cancel(&group) == 1); /* idempotent */
    wt_check(count() == 1 && weft_cancelling(a) == 1);
    wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN); /* P32 */
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&group, -ECANCELED) == 0 && count() == 0);
    wt_check(finish(a) == -ECANCELED && now_s() == 0 && weft_checkpoint() == 0);

    open_group(&group); /* undelivered at the exit */
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_close(&group, 0) == 0 && count() == 0 && weft_checkpoint() == 0);

    open_group(&group); /* P29: by a child, which is cancelled too */
    shared_group = &group;
    a = child(&group, sleep_s, word(50));
    b = child(&group, cancel_group_and_give, word(5));
    wt_check(weft_group_close(&group, 0) == 0 && now_s() == 1);
    wt_check(weft_task_raw_result(b, &raw) == 0 && raw == 5);
    wt_check(finish(a) == -ECANCELED && finish(b) == -ECANCELED && count() == 0);

    open_group(&group); /* errors of clean-up are still errors */
    add(&group, fail_when_told, word(-EIO));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_close(&group, 0) == -EIO && count() == 0);

    memset(&group, 0, sizeof group); /* P30: before the opening */
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_open(&group, WEFT_GROUP_ZEROED) == 0);
    wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&group, -ECANCELED) == 0 && count() == 0);

    memset(&group, 0, sizeof group);
    wt_check(weft_group_open(&group, WEFT_GROUP_ZEROED) == 0); /* nobody cancelled it */
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_group_close(&group, 6) == 6);
    return 0;
}

Test(group, cancelling_a_group)
{
    simulate(group_cancel);
}

static weft_group outside_group;

static intptr_t in_outside_group(void *arg)
{
    open_group(&outside_group);
    add(&outside_group, sleep_s, word(50));
    return weft_group_close(&outside_group, arg != NULL ? weft_sleep(50 * WEFT_S) : 3);
}

static intptr_t limit_around_group(void *arg)
{
    weft_group group;
    weft_timeout limit;
    intptr_t rc;

    (void)arg;
    wt_check(weft_timeout_enter(&limit, 5 * WEFT_S) == 0);
    open_group(&group); /* P33: cancelled at 1, the limit fires in the clean-up */
    add(&group, clean_up_s, word(10));
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_group_cancel(&group) == 1);
    rc = weft_group_close(&group, 0);
    wt_check(rc == -ECANCELED);
    return weft_timeout_leave(&limit, rc);
}

static intptr_t cancel_from_outside(void *arg)
{
    weft_task *task = spawn_parked(in_outside_group, &arg); /* P44 */

    wt_check(weft_group_cancel(&outside_group) == 1);
    wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 0);
    wt_check(finish(task) == 0);
    task = spawn_parked(in_outside_group, NULL); /* while it closes: the body's value stays */
    wt_check(weft_group_cancel(&outside_group) == 1);
    wt_check(finish(task) == 3);
    task = spawn_parked(in_outside_group, &arg); /* P47: a request of somebody else as well */
    wt_check(weft_cancel(task) == 1 && weft_group_cancel(&outside_group) == 1);
    wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(finish(spawn_parked(limit_around_group, NULL)) == -ETIMEDOUT);
    wt_check(now_s() == 11);
    return 0;
}

Test(group, cancelling_it_from_outside)
{
    simulate(cancel_from_outside);
}
