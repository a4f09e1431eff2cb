/* SPDX-License-Identifier: MIT */
/* test_timeout_cancel.c - time limits beside other cancellations: requests, joins, groups, the same instant.
 *
 * In virtual time but for the last part. T-n are the rules of the timeout model. */
#include <errno.h>

#include <weft/future.h>
#include <weft/group.h>
#include <weft/time.h>

#include "timeout_test.h"

/* ---- T-8, T-9: with a cancellation from outside ---- */

static weft_timeout shared_limit;

static intptr_t sleep_in_limit(void *arg)
{
    intptr_t rc;

    wt_check(weft_timeout_enter(&shared_limit, 5 * WEFT_S) == 0);
    rc = weft_sleep(10 * WEFT_S);
    if (arg != NULL) { /* clean-up */
        (void)!weft_sleep((intptr_t)arg * WEFT_S);
    }
    return weft_timeout_leave(&shared_limit, rc);
}

static intptr_t outside(void *arg)
{
    weft_task *task;

    (void)arg;
    task = spawn_parked(sleep_in_limit, NULL); /* cancelled only */
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_timeout_state(&shared_limit) == WEFT_TIMEOUT_FINISHED && now_s() == 0);

    task = spawn_parked(sleep_in_limit, word(9)); /* T16: cancelled, expires in the clean-up */
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_timeout_state(&shared_limit) == WEFT_TIMEOUT_EXPIRED && now_s() == 5);
    wt_check(weft_cancelling(task) == 1);
    wt_check(finish(task) == -ECANCELED);

    task = spawn_parked(sleep_in_limit, word(9)); /* T19: expires, cancelled in the clean-up */
    wt_check(weft_sleep(6 * WEFT_S) == 0);
    wt_check(weft_cancelling(task) == 1 && weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_timeout_expired(&shared_limit) && now_s() == 11);

    /* T17: both at one instant, the canceller's timer armed first */
    wt_check(weft_spawn(&task, sleep_in_limit, NULL) == 0);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 1);
    wt_check(weft_timeout_expired(&shared_limit));
    wt_check(finish(task) == -ECANCELED);

    task = spawn_parked(sleep_in_limit, word(9)); /* both, but the outside one taken back */
    wt_check(weft_sleep(6 * WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1 && weft_uncancel(task) == 1);
    wt_check(finish(task) == -ETIMEDOUT);
    return 0;
}

Test(timeout, an_outside_request_beats_it)
{
    simulate(outside);
}

/* T35, T36, T45, T46: a request that is undelivered at the entry is not part of the baseline. */
static intptr_t request_then_limit(void *arg)
{
    intptr_t kind = (intptr_t)arg;
    weft_timeout limit;
    intptr_t rc;

    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_timeout_enter(&limit, kind == 0 ? 0 : 5 * WEFT_S) == 0);
    rc = weft_sleep(100 * WEFT_S);
    if (kind == 2) {
        wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED); /* the limit fires in the clean-up */
    }
    return weft_timeout_leave(&limit, rc);
}

static intptr_t baselines(void *arg)
{
    (void)arg;
    for (intptr_t kind = 0; kind < 3; kind++) {
        weft_task *task = spawn_parked(request_then_limit, word(kind));

        wt_check(weft_join(task, NULL) == 0 && weft_cancelling(task) == 1);
        wt_check(finish(task) == -ECANCELED);
    }
    return 0;
}

Test(timeout, an_undelivered_request_is_not_in_the_baseline)
{
    simulate(baselines);
}

/* T20, T21: one that was delivered and swallowed long ago is. */
static intptr_t stale_then_limit(void *arg)
{
    weft_timeout limit;
    intptr_t rc;

    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    wt_check(weft_timeout_enter(&limit, 2 * WEFT_S) == 0);
    if (arg != NULL) {
        wt_check(weft_cancel(weft_self()) == 1);
    }
    rc = weft_timeout_leave(&limit, weft_sleep(9 * WEFT_S));
    wt_check(count() == (arg != NULL ? 2 : 1));
    return rc;
}

static intptr_t stale(void *arg)
{
    weft_task *task = spawn_parked(stale_then_limit, NULL);

    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ETIMEDOUT && now_s() == 2);
    task = spawn_parked(stale_then_limit, &arg);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED && now_s() == 2);
    return 0;
}

Test(timeout, a_swallowed_request_is_in_the_baseline)
{
    simulate(stale);
}

/* ---- around joins: T-13 ---- */

static intptr_t clean_up_long(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    (void)arg;
    wt_check(weft_sleep(3 * WEFT_S) == 0);
    return rc;
}

static intptr_t swallow(void *arg)
{
    wt_check(weft_sleep(100 * WEFT_S) == -ECANCELED);
    return (intptr_t)arg;
}

static intptr_t around_joins(void *arg)
{
    weft_timeout limit;
    weft_task *task;
    intptr_t result = 0;
    int rc;

    (void)arg;
    wt_check(weft_spawn(&task, clean_up_long, NULL) == 0); /* T32 */
    enter_s(&limit, 5);
    rc = weft_await(task, &result);
    wt_check(rc == -ECANCELED && now_s() == 8);
    wt_check(leaves(&limit, rc, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    wt_check(weft_spawn(&task, swallow, word(6)) == 0); /* T31 */
    enter_s(&limit, 5);
    rc = weft_await(task, &result);
    wt_check(rc == 0 && result == 6);
    wt_check(leaves(&limit, rc, 0, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    wt_check(weft_spawn(&task, sleep_s, word(9)) == 0); /* T39 */
    enter_s(&limit, 2);
    rc = weft_join_shielded(task, &result);
    wt_check(leaves(&limit, rc, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    wt_check(weft_task_state(task) == WEFT_PENDING);
    wt_check(finish(task) == 0 && count() == 0);
    return 0;
}

Test(timeout, waits_for_joined_tasks_to_clean_up)
{
    simulate(around_joins);
}

/* ---- T-15: the same instant ---- */

static intptr_t set_at_5(void *arg)
{
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_future_set(arg, 1) == 0);
    return 0;
}

static intptr_t same_instant(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;
    weft_timeout limit;
    weft_task *first, *second;
    intptr_t value = 0;
    int rc;

    (void)arg;
    enter_s(&limit, 5); /* both are due: either may win, but never both and never neither */
    rc = weft_sleep(5 * WEFT_S);
    wt_check((rc == 0 || rc == -ECANCELED) && now_s() == 5 && weft_timeout_expired(&limit));
    wt_check(leaves(&limit, rc, rc == 0 ? 0 : -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    wt_check(count() == 0 && weft_checkpoint() == 0);

    wt_check(weft_sleep_until(10 * WEFT_S) == 0);
    first = spawn_parked(set_at_5, &future); /* its timer is older, but it still has to run */
    enter_s(&limit, 5);
    second = spawn_parked(sleep_s, word(5));
    wt_check(weft_future_await(&future, &value) == -ECANCELED); /* T30 */
    wt_check(leaves(&limit, -ECANCELED, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED));
    wt_check(finish(first) == 0 && finish(second) == 0);
    wt_check(weft_future_state(&future) == WEFT_OK);
    return 0;
}

Test(timeout, one_claim_decides_at_the_same_instant)
{
    simulate(same_instant);
}

/* RACE-13, T29: granted, then fired, and left without another await: exit withdraws the request. */
static intptr_t sleep_then_leave(void *arg)
{
    weft_timeout limit;
    int64_t start = now_s();

    (void)arg;
    wt_check(weft_timeout_enter(&limit, WEFT_FOREVER) == 0);
    wt_check(weft_timeout_reschedule(&limit, 6 * WEFT_S) == 0);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_timeout_reschedule(&limit, WEFT_FOREVER) == 0);
    wt_check(weft_timeout_leave(&limit, 4) == 4);
    wt_check(now_s() == start + 5);
    return weft_sleep(WEFT_S) == 0 ? count() : -EIO;
}

static intptr_t grant_first(void *arg)
{
    weft_task *task = spawn_parked(sleep_then_leave, NULL);
    weft_timeout limit;

    (void)arg;
    wt_check(finish(task) == 0);
    /* The sleep's timer is armed before the scope's: both are due at 20, the sleep is granted first,
     * the scope fires before we run. */
    wt_check(weft_sleep_until(10 * WEFT_S) == 0);
    wt_check(weft_timeout_enter(&limit, WEFT_FOREVER) == 0);
    task = spawn_parked(reschedule_it, &limit); /* from another task, while we are in our sleep */
    wt_check(finish(task) == 0);
    wt_check(weft_timeout_leave(&limit, 0) == 0 && count() == 0);
    return 0;
}

Test(timeout, leaving_takes_back_an_undelivered_request)
{
    simulate(grant_first);
}

static weft_timeout late_limit;

/* Moves the other's deadline to the instant at which its sleep ends; armed later, it fires second. */
static intptr_t move_to_its_wake_up(void *arg)
{
    (void)arg;
    return weft_timeout_reschedule(&late_limit, 5 * WEFT_S);
}

static intptr_t granted_then_fired(void *arg)
{
    weft_task *mover;

    (void)arg;
    wt_check(weft_timeout_enter(&late_limit, WEFT_FOREVER) == 0);
    wt_check(weft_spawn(&mover, move_to_its_wake_up, NULL) == 0);
    wt_check(weft_sleep(5 * WEFT_S) == 0); /* the grant stands */
    wt_check(weft_timeout_state(&late_limit) == WEFT_TIMEOUT_EXPIRING);
    wt_check(count() == 1);
    wt_check(leaves(&late_limit, 8, 8, WEFT_TIMEOUT_EXPIRED)); /* no timeout, outcome kept */
    wt_check(count() == 0 && weft_yield() == 0 && weft_sleep(WEFT_S) == 0);
    wt_check(finish(mover) == 0);
    return 0;
}

Test(timeout, a_grant_at_the_deadline_stands)
{
    simulate(granted_then_fired);
}

/* ---- with groups: G-15 ---- */

static intptr_t fail_in_clean_up(void *arg)
{
    (void)arg;
    return weft_sleep(50 * WEFT_S) < 0 ? -EIO : 0;
}

static intptr_t with_groups(void *arg)
{
    weft_timeout limit;
    weft_group group;
    intptr_t rc;

    (void)arg;
    enter_s(&limit, 2); /* P24 */
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, sleep_s, word(50), NULL) == 0);
    rc = weft_group_close(&group, weft_sleep(50 * WEFT_S));
    wt_check(rc == -ECANCELED);
    wt_check(leaves(&limit, rc, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    enter_s(&limit, 2); /* the same while closing */
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, sleep_s, word(50), NULL) == 0);
    rc = weft_group_close(&group, 0);
    wt_check(leaves(&limit, rc, -ETIMEDOUT, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    enter_s(&limit, 2); /* P25: an error of the clean-up replaces it */
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, fail_in_clean_up, NULL, NULL) == 0);
    rc = weft_group_close(&group, weft_sleep(50 * WEFT_S));
    wt_check(leaves(&limit, rc, -EIO, WEFT_TIMEOUT_EXPIRED) && count() == 0);

    enter_s(&limit, 9); /* leaving around an open group: not the innermost */
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_timeout_leave(&limit, 0) == -EINVAL);
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(leaves(&limit, 0, 0, WEFT_TIMEOUT_FINISHED));
    wt_check(weft_sleep(WEFT_S) == 0);
    return 0;
}

Test(timeout, around_groups)
{
    simulate(with_groups);
}

/* ---- T-16 in real time: entering and leaving around deadlines that are due now ---- */

static intptr_t race_deadlines(void *arg)
{
    intptr_t index = (intptr_t)arg;
    long expired = 0, in_time = 0;

    for (int i = 0; i < 150; i++) {
        weft_timeout limit;
        int64_t delay = ((i * 37 + index * 11) % 200) * WEFT_US;
        int64_t start = weft_now();
        intptr_t rc;

        wt_check(weft_timeout_enter(&limit, delay) == 0);
        rc = weft_timeout_leave(&limit, weft_sleep(100 * WEFT_US));
        wt_check(rc == 0 || rc == -ETIMEDOUT);
        if (rc == -ETIMEDOUT) {
            wt_check(weft_timeout_expired(&limit));
            wt_check(weft_now() - start >= delay); /* never early */
            expired++;
        } else {
            wt_check(weft_now() - start >= 100 * WEFT_US);
            in_time++;
        }
        wt_check(weft_cancelling(weft_self()) == 0);
        wt_check(weft_checkpoint() == 0); /* nothing is left of it */
    }
    wt_check(expired > 0 && in_time > 0);
    return 0;
}

static intptr_t race_all(void *arg)
{
    weft_task *tasks[16];

    (void)arg;
    for (intptr_t i = 0; i < 16; i++) {
        wt_check(weft_spawn(&tasks[i], race_deadlines, word(i)) == 0);
    }
    for (int i = 0; i < 16; i++) {
        wt_check(finish(tasks[i]) == 0);
    }
    return 0;
}

Test(timeout, real_deadlines_race_with_leaving)
{
    const weft_options options = {.workers = 2};

    cr_assert_eq(weft_run(race_all, NULL, &options), 0);
    wt_assert_clean();
}

/* The outer limit fires after the inner one was told and before that is left: the inner one passes the
 * -ECANCELED on, so the outer one must turn it, although its own request was never delivered. */
static intptr_t fire_between(void *arg)
{
    weft_timeout outer, inner;
    int64_t patience = weft_now() + 10 * WEFT_S;
    intptr_t rc;

    (void)arg;
    wt_check(weft_timeout_enter(&outer, 10 * WEFT_MS) == 0);
    wt_check(weft_timeout_enter(&inner, WEFT_MS) == 0);
    rc = weft_sleep(10 * WEFT_S);
    wt_check(rc == -ECANCELED);
    while (!weft_timeout_expired(&outer) && weft_now() < patience) {
        /* no await point: another worker must take over the timers of this one */
    }
    wt_check(weft_timeout_expired(&outer) && count() == 2);
    rc = weft_timeout_leave(&inner, rc);
    wt_check(rc == -ECANCELED && count() == 1);
    wt_check(weft_timeout_leave(&outer, rc) == -ETIMEDOUT && count() == 0);
    wt_check(weft_checkpoint() == 0);
    return 0;
}

Test(timeout, fired_between_the_inner_delivery_and_its_end)
{
    const weft_options options = {.workers = 2};

    for (int i = 0; i < 5; i++) {
        cr_assert_eq(weft_run(fire_between, NULL, &options), 0);
    }
    wt_assert_clean();
}

/* The contract of a delay of 0 or less, on a real clock: a yield that leaves the worker is enough. */
static intptr_t past_in_real_time(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        weft_timeout limit;
        weft_future never = WEFT_FUTURE_INIT;
        int64_t start = weft_now();
        int rc;

        wt_check(weft_timeout_enter(&limit, -i) == 0);
        rc = i % 2 == 0 ? weft_future_await(&never, NULL) : weft_sleep(10 * WEFT_S);
        wt_check(weft_timeout_leave(&limit, rc) == -ETIMEDOUT);
        wt_check(weft_now() - start < WT_TIME_SCALE * WEFT_S);
        wt_check(weft_timeout_enter(&limit, -i) == 0);
        wt_check(weft_timeout_leave(&limit, weft_yield()) == -ETIMEDOUT);
    }
    return 0;
}

Test(timeout, a_past_deadline_in_real_time)
{
    const weft_options options = {.workers = 2};

    cr_assert_eq(weft_run(past_in_real_time, NULL, &options), 0);
    wt_assert_clean();
}
