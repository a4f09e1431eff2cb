/* SPDX-License-Identifier: MIT */
/* test_seat.c - the one seat of each task, used by one wait after the other: a child inside its parent, a wait that is
 * begun again at once, a crowd whose waits lie in seats and on stacks and in several slabs. */
#include <errno.h>

#include <weft/cond.h>
#include <weft/event.h>
#include <weft/future.h>
#include <weft/mutex.h>
#include <weft/runtime.h>
#include <weft/select.h>
#include <weft/task.h>
#include <weft/time.h>

#include "task/slab.h"
#include "weft_test.h"

static void run_on_one(weft_fn *fn)
{
    const weft_options one = {.workers = 1};

    cr_assert_eq(weft_run(fn, NULL, &one), 0);
    wt_assert_clean();
}

/* ---- one inside the other ---- */

static weft_future inner, outer;
static weft_event event;

static intptr_t set_both(void *arg)
{
    (void)arg;
    wt_check(weft_future_set(&inner, 1) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_future_set(&outer, 2) == 0);
    return weft_event_set(&event);
}

static intptr_t wait_thrice(void *arg)
{
    intptr_t value = 0;

    (void)arg;
    wt_check(weft_future_await(&inner, &value) == 0 && value == 1);
    wt_check(weft_future_await(&outer, &value) == 0 && value == 2);
    wt_check(weft_event_wait(&event) == 0);
    return 3;
}

/* Runs its child on its own stack, and has waited and will wait itself. */
static intptr_t parent(void *arg)
{
    intptr_t value = 0;
    weft_task *child;

    (void)arg;
    wt_check(weft_future_await(&inner, &value) == 0 && value == 1);
    wt_check(weft_spawn(&child, wait_thrice, NULL) == 0);
    wt_check(weft_await(child, &value) == 0 && value == 3);
    wt_check(weft_future_await(&outer, &value) == 0 && value == 2);
    return weft_event_wait(&event);
}

static intptr_t nest(void *arg)
{
    weft_task *task, *setter;
    intptr_t rc = -1;

    (void)arg;
    wt_check(weft_future_init(&inner) == 0 && weft_future_init(&outer) == 0);
    wt_check(weft_event_init(&event) == 0);
    wt_check(weft_spawn(&task, parent, NULL) == 0);
    wt_check(weft_spawn(&setter, set_both, NULL) == 0);
    wt_check(weft_await(task, &rc) == 0 && rc == 0);
    return weft_await(setter, NULL);
}

Test(seat, child_and_parent_have_one_each)
{
    run_on_one(nest);
}

/* ---- one wait right after the other ---- */

static weft_mutex mutex;
static weft_cond cond;

/* Each wait is cancelled once, and begun again. */
static intptr_t insist(void *arg)
{
    intptr_t value = 0;

    (void)arg;
    wt_check(weft_future_await(&inner, NULL) == -ECANCELED);
    wt_check(weft_future_await(&inner, &value) == 0 && value == 4);
    wt_check(weft_event_wait(&event) == -ECANCELED);
    wt_check(weft_event_wait(&event) == 0);
    wt_check(weft_mutex_lock(&mutex) == 0);
    wt_check(weft_cond_wait(&cond) == -ECANCELED);
    wt_check(weft_cond_wait(&cond) == 0);
    wt_check(weft_mutex_unlock(&mutex) == 0);
    return -ECANCELED; /* it was told */
}

static void cancel_once(weft_task *task)
{
    wt_check(weft_yield() == 0); /* it waits */
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_yield() == 0); /* and again */
}

static intptr_t begin_again(void *arg)
{
    weft_task *task;
    intptr_t rc = -1;

    (void)arg;
    wt_check(weft_future_init(&inner) == 0 && weft_event_init(&event) == 0);
    wt_check(weft_mutex_init(&mutex, 0) == 0 && weft_cond_init(&cond, &mutex) == 0);
    wt_check(weft_spawn(&task, insist, NULL) == 0);
    cancel_once(task);
    wt_check(weft_future_set(&inner, 4) == 0);
    cancel_once(task);
    wt_check(weft_event_set(&event) == 0);
    cancel_once(task);
    wt_check(weft_mutex_lock(&mutex) == 0 && weft_cond_notify_all(&cond) == 0);
    wt_check(weft_mutex_unlock(&mutex) == 0);
    wt_check(weft_await(task, &rc) == 0 && rc == -ECANCELED);
    wt_check(weft_cond_destroy(&cond) == 0 && weft_mutex_destroy(&mutex) == 0);
    return weft_event_destroy(&event);
}

Test(seat, a_wait_follows_a_cancelled_one)
{
    run_on_one(begin_again);
}

/* ---- a crowd ---- */

enum { CROWD = 2 * WF_SLAB_SLOTS + 100, EACH = 3 };

static int arrived, turns;
static bool is_in_order;

/* Every third waits by a record on its stack. In a simulation the order is that of coming all the same. */
static intptr_t join_crowd(void *arg)
{
    int number = arrived++;
    weft_case one = weft_case_future(&inner, NULL);

    (void)arg;
    if (number % EACH == 0) {
        wt_check(weft_select(&one, 1, 0) == 0);
    } else {
        wt_check(weft_future_await(&inner, NULL) == 0);
    }
    wt_check(turns++ == number || !is_in_order);
    return 0;
}

static intptr_t wake_crowd(void *arg)
{
    static weft_task *tasks[CROWD];

    is_in_order = arg != NULL;
    for (int round = 0; round < 2; round++) { /* in new records, and in used ones */
        arrived = turns = 0;
        wt_check(weft_future_init(&inner) == 0);
        for (int i = 0; i < CROWD; i++) {
            wt_check(weft_spawn(&tasks[i], join_crowd, NULL) == 0);
        }
        while (arrived < CROWD) {
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_future_set(&inner, 0) == 0);
        for (int i = 0; i < CROWD; i++) {
            wt_check(weft_await(tasks[i], NULL) == 0);
        }
        wt_check(turns == CROWD);
    }
    return 0;
}

Test(seat, a_crowd_of_several_slabs_wakes)
{
    run_on_one(wake_crowd);
}

Test(seat, in_a_simulation_a_crowd_wakes_in_order)
{
    const weft_options simulated = {.simulate = true};
    bool is_asked = true;

    cr_assert_eq(weft_run(wake_crowd, &is_asked, &simulated), 0);
    wt_assert_clean();
}
