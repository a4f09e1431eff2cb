/* SPDX-License-Identifier: MIT */
/* test_group_inside.c - groups, time limits and joins inside one another; draining; independent groups.
 *
 * G-n are the rules of the group model. */
#include <weft/stats.h>
#include <weft/timeout.h>

#include "group_test.h"

/* ---- G-14: nested ---- */

static intptr_t inner_fails(void *arg)
{
    weft_group group;

    (void)arg;
    open_group(&group);
    add(&group, fail_after_1, word(-EPIPE));
    return weft_group_close(&group, 0);
}

static intptr_t nesting(void *arg)
{
    weft_group outer, inner;
    intptr_t rc;
    weft_task *a;

    (void)arg;
    open_group(&outer); /* P15: the outer one's child fails in the inner one */
    add(&outer, fail_after_1, word(-EIO));
    open_group(&inner);
    a = child(&inner, sleep_s, word(50));
    rc = weft_group_close(&inner, 0);
    wt_check(rc == -ECANCELED && finish(a) == -ECANCELED);
    wt_check(weft_group_close(&outer, rc) == -EIO && count() == 0);

    open_group(&outer); /* P14 */
    add(&outer, inner_fails, NULL);
    wt_check(weft_group_close(&outer, 0) == -EPIPE);

    open_group(&outer); /* P16: both at once, the inner one handled */
    open_group(&inner);
    add(&inner, yield_then_fail, word(-EIO));
    add(&outer, yield_then_fail, word(-EPIPE));
    wt_check(weft_group_close(&inner, 0) == -EIO && count() == 1);
    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&outer, -ECANCELED) == -EPIPE && count() == 0);

    open_group(&outer); /* P48 */
    add(&outer, fail_after_1, word(-EIO));
    open_group(&inner);
    add(&inner, sleep_s, word(50));
    wt_check(weft_group_cancel(&inner) == 1);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED);
    wt_check(weft_group_close(&inner, -ECANCELED) == 0);
    wt_check(weft_sleep(50 * WEFT_S) == -ECANCELED && count() == 1);
    wt_check(weft_group_close(&outer, -ECANCELED) == -EIO && count() == 0);
    wt_check(weft_checkpoint() == 0);
    return 0;
}

Test(group, nested_groups)
{
    simulate(nesting);
}

/* ---- G-15: limits inside; G-16: joining a child in the body ---- */

static intptr_t time_out_at_2(void *arg)
{
    (void)arg;
    return weft_within(2 * WEFT_S, weft_sleep(50 * WEFT_S));
}

static intptr_t joins_in_body(void *arg)
{
    weft_group group;
    weft_task *a, *b;
    intptr_t result = 0;
    int rc;

    (void)arg;
    open_group(&group); /* P27 */
    add(&group, time_out_at_2, NULL);
    b = child(&group, sleep_s, word(50));
    wt_check(weft_group_close(&group, 0) == -ETIMEDOUT && finish(b) == -ECANCELED);

    open_group(&group); /* P35 */
    a = child(&group, fail_after_1, word(-EIO));
    rc = weft_join(a, &result);
    wt_check(rc == 0 && result == -EIO); /* granted, and the request is still to come */
    wt_check(weft_group_close(&group, result) == -EIO && errors_are(&group, 2, -EIO, -EIO));
    wt_check(count() == 0 && weft_checkpoint() == 0);
    weft_drop(a);

    open_group(&group); /* P36: a hand-cancelled child, its -ECANCELED passed on */
    a = child(&group, sleep_s, word(9));
    b = child(&group, sleep_s, word(9));
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(a) == 1);
    wt_check(weft_await(a, &result) == 0 && result == -ECANCELED && count() == 0);
    wt_check(weft_group_close(&group, result) == -ECANCELED && count() == 0);
    wt_check(finish(b) == -ECANCELED);
    return 0;
}

Test(group, limits_and_joins_inside)
{
    simulate(joins_in_body);
}

/* ---- draining ---- */

static intptr_t drain_it(void *arg)
{
    weft_group group;
    int rc;

    (void)arg;
    open_group(&group);
    add(&group, sleep_s, word(5));
    rc = weft_group_drain(&group, WEFT_FOREVER);
    return weft_group_close(&group, rc);
}

static intptr_t draining(void *arg)
{
    weft_group group;
    weft_task *task, *a;

    (void)arg;
    open_group(&group);
    a = child(&group, sleep_s, word(5));
    wt_check(weft_group_drain(&group, 2 * WEFT_S) == -ETIMEDOUT && now_s() == 2);
    wt_check(weft_task_state(a) == WEFT_PENDING && weft_cancelling(a) == 0); /* nothing cancelled */
    wt_check(weft_group_spawn(&group, NULL, note_run, NULL, NULL) == -ESHUTDOWN);
    wt_check(weft_group_drain(&group, 0) == -ETIMEDOUT && now_s() == 2);
    wt_check(weft_group_drain(&group, WEFT_FOREVER) == 0 && now_s() == 5);
    wt_check(weft_group_drain(&group, 0) == 0); /* none left */
    wt_check(weft_group_close(&group, 4) == 4);
    wt_check(finish(a) == 0 && count() == 0);

    task = spawn_parked(drain_it, NULL); /* cancelled: the caller's business */
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED && now_s() == 5);

    open_group(&group); /* a child fails meanwhile */
    add(&group, fail_after_1, word(-EIO));
    add(&group, sleep_s, word(9));
    wt_check(weft_group_drain(&group, WEFT_FOREVER) == -ECANCELED && now_s() == 6);
    wt_check(weft_group_close(&group, -ECANCELED) == -EIO && count() == 0);
    return 0;
}

Test(group, draining)
{
    simulate(draining);
}

/* ---- independent groups ---- */

static intptr_t independent(void *arg)
{
    const weft_spawn_options named = {.name = "worker"};
    weft_group group;
    weft_stats_t stats = {.size = sizeof stats};
    int codes[4] = {0};

    (void)arg;
    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    for (int i = 0; i < 50; i++) {
        wt_check(
            weft_group_spawn(&group, NULL, fail_after_1, word(i % 2 == 0 ? -EIO : i), &named) == 0);
    }
    wt_check(weft_sleep(2 * WEFT_S) == 0); /* nobody is cancelled */
    wt_check(told.group_errors == 25 && told.last_error == -EIO);
    wt_check(strcmp(told.last_name, "worker") == 0);
    wt_check(weft_tasks(NULL, NULL, 0) == 1); /* finished children are released at once */
    add(&group, sleep_s, word(1));            /* still open for more */
    wt_check(weft_group_errors(&group, codes, 4) == 25 && codes[0] == 0);
    wt_check(weft_group_close(&group, 8) == 8 && now_s() == 3);
    wt_check(weft_group_errors(&group, NULL, 0) == 25);
    wt_check(weft_stats(NULL, &stats) == 0 && stats.group_errors == 25);

    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0); /* the body's error ends it */
    add(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_close(&group, -EPIPE) == -EPIPE && now_s() == 3);

    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    add(&group, sleep_s, word(50));
    wt_check(weft_yield() == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_close(&group, 0) == 0 && now_s() == 3 && count() == 0);
    wt_check(told.group_errors == 25);
    return 0;
}

Test(group, independent_ones_count_and_go_on)
{
    simulate(independent);
}
