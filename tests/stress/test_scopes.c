/* SPDX-License-Identifier: MIT */
/* test_scopes.c - hundreds of thousands of time limits that are due about now, on moving fibers.
 *
 * A scope lies in its fiber's frame, its timer in the wheel of the worker on which it was entered.
 * The fiber goes on elsewhere, so firing and leaving meet from different threads all the time. What is
 * checked: nothing is left of a scope once it has been left, and who says timeout has timed out. */
#include <weft/future.h>
#include <weft/shield.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

#define BUDGET_NS (INT64_C(1000) * WEFT_MS)

static int64_t end_ns;
static atomic_long entered, timed_out, in_time;

/* Something that suspends, or not. 0 or -ECANCELED. */
static int suspend(uint64_t *random)
{
    weft_future never = WEFT_FUTURE_INIT;

    switch (draw(random) % 6) {
    case 0:
    case 1:
        return weft_yield();
    case 2:
        return weft_sleep((int64_t)(draw(random) % (150 * 1000)));
    case 3:
        return weft_checkpoint();
    case 4:
        for (uint64_t i = draw(random) % 3000; i > 0; i--) {
            wf_relax();
        }
        return 0;
    default: /* for its limit, if there is one */
        return weft_within(100 * WEFT_US, weft_future_await(&never, NULL)) == -ECANCELED
                   ? -ECANCELED
                   : 0;
    }
}

/* One scope, perhaps with others inside; returns like a body: 0, -ECANCELED, -ETIMEDOUT. */
static intptr_t nest(uint64_t *random, int depth)
{
    weft_timeout limit;
    int64_t delay = (int64_t)(draw(random) % (200 * 1000)) - 20 * 1000, start = weft_now();
    intptr_t rc = 0, left;

    wt_check(weft_timeout_enter(&limit, delay) == 0);
    atomic_fetch_add_explicit(&entered, 1, memory_order_relaxed);
    for (uint64_t i = draw(random) % 4; i > 0 && rc == 0; i--) {
        rc = depth > 0 && draw(random) % 3 == 0 ? nest(random, depth - 1) : suspend(random);
        if (draw(random) % 8 == 0) {
            int moved = weft_timeout_reschedule(&limit, (int64_t)(draw(random) % (100 * 1000)));

            wt_check(moved == 0 || moved == -EINVAL);
        }
    }
    if (rc == -ETIMEDOUT && draw(random) % 2 == 0) {
        rc = 0; /* an inner limit, handled */
    }
    left = weft_timeout_leave(&limit, rc);
    if (left == -ETIMEDOUT && rc == -ECANCELED) {
        wt_check(weft_timeout_expired(&limit));
        wt_check(weft_now() >= start + (delay < 0 ? delay : 0));
        atomic_fetch_add_explicit(&timed_out, 1, memory_order_relaxed);
    } else {
        wt_check(left == rc);
        atomic_fetch_add_explicit(&in_time, 1, memory_order_relaxed);
    }
    return left;
}

static intptr_t enter_scopes(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    while (wf_monotonic_ns() < end_ns) {
        for (int i = 0; i < 50; i++) {
            intptr_t rc = nest(&random, 3);

            wt_check(rc == 0 || rc == -ETIMEDOUT); /* nobody else cancels here */
            wt_check(weft_cancelling(weft_self()) == 0);
            wt_check(weft_checkpoint() == 0);
        }
    }
    return 0;
}

static intptr_t spawn_enterers(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    weft_task *tasks[24];

    for (int i = 0; i < 24; i++) {
        wt_check(weft_spawn(&tasks[i], enter_scopes, (void *)(uintptr_t)draw(&random)) == 0);
    }
    for (int i = 0; i < 24; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    return 0;
}

static void run_scopes(int workers, weft_fn *fn)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    uint64_t seed = wt_seed() | 1;

    end_ns = wf_monotonic_ns() + BUDGET_NS;
    cr_assert_eq(weft_run(fn, (void *)(uintptr_t)seed, &options), 0);
    wt_assert_clean();
    fprintf(stderr, "%d workers: %ld scopes, %ld timed out, %ld did not\n", workers,
            atomic_load(&entered), atomic_load(&timed_out), atomic_load(&in_time));
    cr_assert(atomic_load(&timed_out) > 0 && atomic_load(&in_time) > 0);
    cr_assert_eq(atomic_load(&entered), atomic_load(&timed_out) + atomic_load(&in_time));
}

Test(scopes, two_workers, .timeout = 20)
{
    run_scopes(2, spawn_enterers);
}

Test(scopes, eight_workers, .timeout = 20)
{
    run_scopes(8, spawn_enterers);
}

/* ---- with cancellations from outside, and sections that defer them ---- */

static atomic_bool is_over;
static atomic_long cancelled_out, begun;

static intptr_t enter_cancelled(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&is_over)) {
        weft_shield section;
        weft_timeout limit;
        bool is_shielded = draw(&random) % 2 == 0;
        int64_t delay = (int64_t)(draw(&random) % (100 * 1000));
        intptr_t rc;

        wt_check(weft_timeout_enter(&limit, delay) == 0);
        if (is_shielded) {
            wt_check(weft_shield_enter(&section, 60 * WEFT_US) == 0);
        }
        rc = suspend(&random);
        if (is_shielded) {
            intptr_t left = weft_shield_leave(&section, rc);

            wt_check(left == rc || left == -ETIMEDOUT);
            rc = left;
        }
        atomic_fetch_add_explicit(&entered, 1, memory_order_relaxed);
        rc = weft_timeout_leave(&limit, rc);
        wt_check(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
        atomic_fetch_add_explicit(rc == -ETIMEDOUT ? &timed_out : &in_time, 1,
                                  memory_order_relaxed);
        if (rc == -ECANCELED) { /* somebody's, not a scope's; it may have been taken back since */
            atomic_fetch_add_explicit(&cancelled_out, 1, memory_order_relaxed);
        }
    }
    return 0;
}

static intptr_t cancel_enterers(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    weft_task *tasks[12];
    int requests[12] = {0};

    for (int i = 0; i < 12; i++) {
        wt_check(weft_spawn(&tasks[i], enter_cancelled, (void *)(uintptr_t)draw(&random)) == 0);
    }
    while (atomic_load(&begun) < 12) { /* cancelled before that they would never run */
        wt_check(weft_yield() == 0);
    }
    while (wf_monotonic_ns() < end_ns) {
        int victim = (int)(draw(&random) % 12);

        if (requests[victim] > 0 && draw(&random) % 2 == 0) {
            wt_check(weft_uncancel(tasks[victim]) >= requests[victim] - 1);
            requests[victim]--;
        } else {
            wt_check(weft_cancel(tasks[victim]) == 1);
            requests[victim]++;
        }
        wt_check(weft_sleep((int64_t)(draw(&random) % (60 * 1000))) == 0);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 12; i++) {
        wt_check(weft_join(tasks[i], NULL) == 0);
        wt_check(weft_cancelling(tasks[i]) == requests[i]); /* the scopes' own are all gone */
        weft_drop(tasks[i]);
    }
    return 0;
}

Test(scopes, with_requests_from_outside_two_workers, .timeout = 20)
{
    run_scopes(2, cancel_enterers);
    cr_assert_gt(atomic_load(&cancelled_out), 0);
}

Test(scopes, with_requests_from_outside_eight_workers, .timeout = 20)
{
    run_scopes(8, cancel_enterers);
    cr_assert_gt(atomic_load(&cancelled_out), 0);
}
