/* SPDX-License-Identifier: MIT */
/* test_shield.c - shielded sections, in virtual time and on real workers. S-n are the model's rules. */
#include <weft/group.h>
#include <weft/shield.h>
#include <weft/task.h>
#include <weft/timeout.h>

#include "shield_test.h"

/* ---- shielded sections: S-9 ---- */

static intptr_t misuse(void *arg)
{
    weft_shield a, b;
    weft_timeout limit;

    (void)arg;
    wt_check(weft_shield_enter(NULL, 1) == -EINVAL);
    wt_check(weft_shield_leave(NULL, 1) == -EINVAL);
    memset(&a, 0, sizeof a);
    wt_check(weft_shield_leave(&a, 1) == -EINVAL);
    wt_check(weft_shield_enter(&a, WEFT_FOREVER) == 0);
    wt_check(weft_shield_enter(&a, WEFT_FOREVER) == -EBUSY);
    wt_check(weft_shield_enter(&b, WEFT_FOREVER) == 0);
    wt_check(weft_shield_leave(&a, 1) == -EINVAL);
    wt_check(weft_timeout_enter(&limit, WEFT_S) == 0);
    wt_check(weft_shield_leave(&b, 1) == -EINVAL);
    wt_check(weft_timeout_leave(&limit, 2) == 2);
    wt_check(weft_shield_leave(&b, 3) == 3);
    wt_check(weft_shield_leave(&b, 3) == -EINVAL);
    wt_check(weft_shield_leave(&a, -EIO) == -EIO);
    wt_check(weft_checkpoint() == 0);
    return 0;
}

Test(shield, misuse_is_told)
{
    simulate(misuse);
}

/* A shield around clean-up: requests in it wait, and are told after it. */
static intptr_t shielded_sleep(void *arg)
{
    weft_shield section;

    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_cancelling(weft_self()) == (int)(intptr_t)arg);
    wt_check(weft_checkpoint() == 0 && weft_yield() == 0);
    wt_check(weft_shield_leave(&section, 9) == 9); /* leaving observes nothing */
    wt_check(weft_checkpoint() == (arg != NULL ? -ECANCELED : 0));
    wt_check(weft_checkpoint() == 0); /* told once, however many there were */
    return 6;
}

static intptr_t deferring(void *arg)
{
    weft_task *task;

    (void)arg;
    for (intptr_t requests = 0; requests < 4; requests++) {
        task = spawn_parked(shielded_sleep, word(requests));
        for (intptr_t i = 1; i <= requests; i++) {
            wt_check(weft_cancel(task) == 1);
            wt_check(weft_cancelling(task) == i);
            wt_check(weft_sleep(WEFT_S) == 0);
            wt_check(weft_task_state(task) == WEFT_PENDING);
        }
        wt_check(finish(task) == 6);
        wt_check(now_s() == (requests + 1) * 5);
    }
    return 0;
}

Test(shield, defers_requests_and_drops_none)
{
    simulate(deferring);
}

static intptr_t taken_back(void *arg)
{
    weft_task *task = spawn_parked(shielded_sleep, NULL);

    (void)arg;
    wt_check(weft_cancel(task) == 1 && weft_cancel(task) == 1);
    wt_check(weft_uncancel(task) == 1 && weft_uncancel(task) == 0 && weft_uncancel(task) == 0);
    wt_check(finish(task) == 6);
    return 0;
}

Test(shield, deferred_requests_can_be_taken_back)
{
    simulate(taken_back);
}

/* What is undelivered at the entry waits too. */
static intptr_t request_then_shield(void *arg)
{
    weft_shield section;

    (void)arg;
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(2 * WEFT_S) == 0);
    wt_check(weft_cancel(weft_self()) == 1); /* also one's own */
    wt_check(weft_sleep(2 * WEFT_S) == 0);
    wt_check(weft_shield_leave(&section, 0) == 0);
    wt_check(weft_sleep(2 * WEFT_S) == -ECANCELED);
    wt_check(weft_cancelling(weft_self()) == 2);
    return -ECANCELED;
}

static intptr_t before_the_section(void *arg)
{
    (void)arg;
    wt_check(finish(spawn_parked(request_then_shield, NULL)) == -ECANCELED && now_s() == 4);
    return 0;
}

Test(shield, defers_what_is_undelivered_at_the_entry)
{
    simulate(before_the_section);
}

/* A deferred request that is never told still decides the outcome (L-3). */
static intptr_t return_in_time(void *arg)
{
    weft_shield section;

    (void)arg;
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(2 * WEFT_S) == 0);
    return weft_shield_leave(&section, 5);
}

static intptr_t never_told(void *arg)
{
    weft_task *task = spawn_parked(return_in_time, NULL);
    intptr_t raw = 0;

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    wt_check(weft_task_raw_result(task, &raw) == 0 && raw == 5);
    weft_drop(task);
    return 0;
}

Test(shield, a_deferred_request_decides_the_outcome)
{
    simulate(never_told);
}

/* A plain join inside a section neither delivers nor hands on. */
static intptr_t join_in_shield(void *arg)
{
    weft_shield section;
    intptr_t result = 0;

    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_join(arg, &result) == 0);
    wt_check(weft_shield_leave(&section, 0) == 0);
    wt_check(weft_checkpoint() == -ECANCELED);
    return result;
}

static intptr_t joins_inside(void *arg)
{
    weft_task *child = spawn_parked(sleep_5_then, word(3));
    weft_task *task = spawn_parked(join_in_shield, child);

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_cancelling(child) == 0);
    wt_check(finish(task) == 3 && now_s() == 5);
    weft_drop(child);
    return 0;
}

Test(shield, joins_inside_do_not_hand_on)
{
    simulate(joins_inside);
}

/* Handed on to a shielded task: it waits there. */
static intptr_t join_it(void *arg)
{
    return weft_join(arg, NULL);
}

static intptr_t handed_on(void *arg)
{
    weft_task *child = spawn_parked(shielded_sleep, word(1));
    weft_task *task = spawn_parked(join_it, child);

    (void)arg;
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_cancelling(child) == 1);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_task_state(child) == WEFT_PENDING);
    wt_check(finish(task) == 0); /* the child swallowed it */
    wt_check(finish(child) == 6 && now_s() == 5);
    return 0;
}

Test(shield, a_request_handed_on_to_a_section_waits)
{
    simulate(handed_on);
}

/* ---- scopes inside and outside ---- */

static intptr_t scopes_inside(void *arg)
{
    weft_shield section;
    weft_timeout limit;
    weft_group group;
    intptr_t rc;

    (void)arg;
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_timeout_enter(&limit, WEFT_S) == 0);
    rc = weft_sleep(9 * WEFT_S);
    wt_check(rc == -ECANCELED && now_s() == 1); /* the limit's, opened inside */
    wt_check(weft_timeout_leave(&limit, rc) == -ETIMEDOUT);
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, sleep_3_then_fail, NULL, NULL) == 0);
    rc = weft_sleep(9 * WEFT_S);
    wt_check(rc == -ECANCELED && now_s() == 4); /* the group's */
    wt_check(weft_group_close(&group, rc) == -EIO);
    wt_check(weft_group_open(&group, 0) == 0); /* closing does not consume the deferred one */
    wt_check(weft_group_spawn(&group, NULL, sleep_s, word(2), NULL) == 0);
    wt_check(weft_group_close(&group, 0) == 0 && now_s() == 6);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_cancelling(weft_self()) == 1);
    wt_check(weft_shield_leave(&section, 0) == 0);
    wt_check(weft_sleep(WEFT_S) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    return 0;
}

Test(shield, scopes_opened_inside_still_deliver)
{
    simulate(scopes_inside);
}

static intptr_t scopes_outside(void *arg)
{
    weft_shield section;
    weft_timeout limit;
    intptr_t rc;

    (void)arg;
    wt_check(weft_timeout_enter(&limit, WEFT_S) == 0); /* an outer limit is "others" */
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_timeout_expired(&limit)); /* it has fired; its request waits */
    wt_check(weft_shield_leave(&section, 0) == 0);
    rc = weft_sleep(5 * WEFT_S);
    wt_check(rc == -ECANCELED && now_s() == 5);
    wt_check(weft_timeout_leave(&limit, rc) == -ETIMEDOUT);
    wt_check(weft_cancelling(weft_self()) == 0);

    wt_check(weft_timeout_enter(&limit, WEFT_S) == 0); /* left without another await: T-15 */
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_shield_leave(&section, 0) == 0);
    wt_check(weft_timeout_leave(&limit, 8) == 8);
    wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);

    wt_check(weft_timeout_enter(&limit, WEFT_S) == 0); /* both: outside and the outer limit */
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    wt_check(weft_cancelling(weft_self()) == 2);
    wt_check(weft_shield_leave(&section, 0) == 0);
    rc = weft_sleep(5 * WEFT_S);
    wt_check(rc == -ECANCELED);
    wt_check(weft_timeout_leave(&limit, rc) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0 && weft_checkpoint() == 0);
    return 0;
}

Test(shield, scopes_opened_outside_wait)
{
    simulate(scopes_outside);
}

/* ---- the bound ---- */

static intptr_t bounds(void *arg)
{
    weft_shield section, inner;
    intptr_t rc;

    (void)arg;
    wt_check(weft_shield_enter(&section, 2 * WEFT_S) == 0);
    rc = weft_sleep(9 * WEFT_S);
    wt_check(rc == -ECANCELED && now_s() == 2);
    wt_check(weft_shield_leave(&section, rc) == -ETIMEDOUT);
    wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);

    wt_check(weft_shield_enter(&section, 2 * WEFT_S) == 0); /* with a deferred request */
    wt_check(weft_cancel(weft_self()) == 1);
    rc = weft_sleep(9 * WEFT_S);
    wt_check(rc == -ECANCELED && now_s() == 4);
    wt_check(weft_shield_leave(&section, rc) == -ETIMEDOUT);
    wt_check(weft_checkpoint() == -ECANCELED); /* that one is still to be told */
    wt_check(weft_uncancel(weft_self()) == 0);

    wt_check(weft_shield_enter(&section, 2 * WEFT_S) == 0); /* swallowed: kept */
    wt_check(weft_sleep(9 * WEFT_S) == -ECANCELED);
    wt_check(weft_shield_leave(&section, 7) == 7);

    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0); /* nested: inner bound only */
    wt_check(weft_shield_enter(&inner, WEFT_S) == 0);
    rc = weft_sleep(9 * WEFT_S);
    wt_check(rc == -ECANCELED);
    wt_check(weft_shield_leave(&inner, rc) == -ETIMEDOUT);
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_shield_leave(&section, 0) == 0);

    wt_check(weft_shield_enter(&section, WEFT_S) == 0); /* the outer bound waits in the inner */
    wt_check(weft_shield_enter(&inner, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(3 * WEFT_S) == 0);
    wt_check(weft_shield_leave(&inner, 0) == 0);
    rc = weft_sleep(3 * WEFT_S);
    wt_check(rc == -ECANCELED);
    wt_check(weft_shield_leave(&section, rc) == -ETIMEDOUT);
    wt_check(weft_cancelling(weft_self()) == 0 && weft_sleep(WEFT_S) == 0);

    wt_check(weft_shield_enter(&section, 0) == 0); /* a bound that has passed */
    rc = weft_sleep(3 * WEFT_S);
    wt_check(weft_shield_leave(&section, rc) == -ETIMEDOUT);
    return 0;
}

Test(shield, the_bound_ends_a_section)
{
    simulate(bounds);
}

/* ---- nested sections ---- */

static intptr_t nested_sections(void *arg)
{
    weft_shield outer, inner;

    (void)arg;
    wt_check(weft_sleep(WEFT_S) == 0);
    wt_check(weft_shield_enter(&outer, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(2 * WEFT_S) == 0); /* one request comes here */
    wt_check(weft_shield_enter(&inner, WEFT_FOREVER) == 0);
    wt_check(weft_sleep(2 * WEFT_S) == 0); /* one here */
    wt_check(weft_cancelling(weft_self()) == 2);
    wt_check(weft_shield_leave(&inner, 0) == 0);
    wt_check(weft_sleep(2 * WEFT_S) == 0); /* the outer one still holds both */
    wt_check(weft_shield_leave(&outer, 0) == 0);
    wt_check(weft_sleep(2 * WEFT_S) == -ECANCELED);
    wt_check(weft_sleep(2 * WEFT_S) == 0);
    wt_check(weft_cancelling(weft_self()) == 2);
    return 1;
}

static intptr_t cancel_into_nested(void *arg)
{
    weft_task *task = spawn_parked(nested_sections, NULL);

    (void)arg;
    wt_check(weft_sleep_until(2 * WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_sleep_until(4 * WEFT_S) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == 1 && now_s() == 9);
    return 0;
}

Test(shield, sections_nest)
{
    simulate(cancel_into_nested);
}

/* ---- sections on real workers, cancelled at every moment ---- */

static intptr_t work_in_sections(void *arg)
{
    intptr_t told = 0;

    (void)arg;
    for (int i = 0; i < 200; i++) {
        weft_shield section;

        wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
        wt_check(weft_yield() == 0);
        wt_check(weft_checkpoint() == 0);
        wt_check(weft_shield_leave(&section, 0) == 0);
        told += weft_checkpoint() == -ECANCELED;
    }
    return told;
}

static intptr_t cancel_workers(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        weft_task *tasks[4];
        intptr_t told = 0;
        int asked[4] = {0};

        for (int i = 0; i < 4; i++) {
            wt_check(weft_spawn(&tasks[i], work_in_sections, NULL) == 0);
        }
        wt_check(weft_yield() == 0);
        for (int i = 0; i < 40; i++) {
            asked[i % 4] += weft_cancel(tasks[i % 4]);
            wt_check(weft_yield() == 0);
        }
        for (int i = 0; i < 4; i++) {
            wt_check(weft_join(tasks[i], &told) == 0);
            wt_check(weft_cancelling(tasks[i]) == asked[i]);
            wt_check(asked[i] == 0 || told > 0 || told == -ECANCELED);
            wt_check(told <= asked[i]);
            weft_drop(tasks[i]);
        }
    }
    return 0;
}

Test(shield, sections_on_real_workers)
{
    const weft_options options = {.workers = 4, .diagnostic = on_report};

    cr_assert_eq(weft_run(cancel_workers, NULL, &options), 0);
    wt_assert_clean();
}

/* Three locks meet: a child fails, a limit fires, and the closing task is in a section. */
static intptr_t fail_at(void *arg)
{
    int rc = weft_sleep_until(*(int64_t *)arg);

    return rc < 0 ? rc : -EIO;
}

static intptr_t close_in_section(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        weft_shield section;
        weft_timeout limit;
        weft_group group;
        int64_t at = weft_now() + 100 * WEFT_US + (i % 50) * 2 * WEFT_US;
        intptr_t rc;

        wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
        wt_check(weft_timeout_enter_at(&limit, at) == 0);
        wt_check(weft_group_open(&group, 0) == 0);
        for (int k = 0; k < 4; k++) {
            rc = weft_group_spawn(&group, NULL, fail_at, &at, NULL);
            wt_check(rc == 0 || rc == -ESHUTDOWN); /* one has failed already */
        }
        rc = weft_group_close(&group, 0);
        rc = weft_timeout_leave(&limit, rc);
        rc = weft_shield_leave(&section, rc);
        wt_check(rc == -EIO || rc == -ETIMEDOUT);
        wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);
    }
    return 0;
}

static intptr_t close_many(void *arg)
{
    weft_task *tasks[8];

    (void)arg;
    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], close_in_section, NULL) == 0);
    }
    for (int i = 0; i < 8; i++) {
        wt_check(finish(tasks[i]) == 0);
    }
    return 0;
}

Test(shield, groups_and_limits_inside_on_real_workers, .timeout = 20)
{
    const weft_options options = {.workers = 8, .diagnostic = on_report};

    cr_assert_eq(weft_run(close_many, NULL, &options), 0);
    wt_assert_clean();
}
