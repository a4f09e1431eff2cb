/* SPDX-License-Identifier: MIT */
/* test_sweep_sync.c - every await point of the locks under the cancel sweep.
 *
 * One function a kind of lock, written as a careful program would be, swept under seeds 0 to 20: whatever
 * is cancelled, nothing may be left, nobody may hang, and the lock must be free. `held` counts what the tasks
 * hold; the sweep takes it for the heap. */
#include <errno.h>

#include <weft.h>
#include <weft/testing.h>

#include "weft_test.h"

enum { SEEDS = 21 };

static int64_t held;

static int64_t heap(void *arg)
{
    (void)arg;
    return held;
}

static void sweep(weft_fn *fn, uint64_t points_least)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        weft_sweep_options options = {.seed = seed, .heap = heap};
        weft_sweep_report report = {.size = sizeof report};
        cr_assert_eq(weft_cancel_sweep(fn, NULL, &options, &report), 0, "seed %d", (int)seed);
        cr_assert_eq(held, 0);
        cr_assert_geq(report.points, points_least);
        cr_assert_gt(report.delivered, 0);
    }
    wt_assert_clean();
}

/* ---- children ---- */

enum { CHILDREN = 4 };

/* Runs `CHILDREN` tasks, each with its number, beside fn in the caller; cancels what is left of them if fn is
 * cancelled. Returns the first error. */
static int run_with(weft_fn *child, weft_fn *fn)
{
    weft_task *tasks[CHILDREN];
    size_t count = 0;
    intptr_t rc = 0;
    while (rc == 0 && count < CHILDREN) {
        rc = weft_spawn(&tasks[count], child, (void *)(intptr_t)count);
        count += rc == 0 ? 1U : 0U;
    }
    rc = rc == 0 && fn != NULL ? fn((void *)(intptr_t)CHILDREN) : rc;
    for (size_t i = 0; i < count; i++) {
        if (rc < 0) {
            (void)weft_cancel(tasks[i]);
        }
        int one = weft_await(tasks[i], NULL);
        rc = rc == 0 ? one : rc;
    }
    return (int)rc;
}

/* ---- mutex ---- */

static weft_mutex mutex;

static intptr_t lock_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int rc = weft_mutex_lock(&mutex);
        if (rc < 0) {
            return rc;
        }
        held++;
        rc = i == 0 ? weft_sleep(WEFT_MS) : 0;
        held--;
        wt_check(weft_mutex_unlock(&mutex) == 0);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static intptr_t mutexes(void *arg)
{
    (void)arg;
    wt_check(weft_mutex_init(&mutex, WEFT_MUTEX_OWNED) == 0);
    int rc = run_with(lock_twice, lock_twice);
    wt_check(weft_mutex_destroy(&mutex) == 0);
    return rc;
}

Test(sweep_sync, mutex)
{
    sweep(mutexes, 15);
}

/* ---- semaphore ---- */

static weft_sem sem;

static intptr_t use_permits(void *arg)
{
    uint32_t need = (uint32_t)(intptr_t)arg % 3 + 1;
    int rc = weft_sem_acquire(&sem, need);
    if (rc < 0) {
        return rc;
    }
    held += need;
    wt_check(held <= 3);
    rc = weft_sleep(WEFT_MS);
    held -= need;
    wt_check(weft_sem_release(&sem, need) == 0);
    return rc;
}

static intptr_t semaphores(void *arg)
{
    (void)arg;
    wt_check(weft_sem_init(&sem, 3, 3) == 0);
    int rc = run_with(use_permits, use_permits);
    wt_check(weft_sem_value(&sem) == 3 && weft_sem_destroy(&sem) == 0);
    return rc;
}

Test(sweep_sync, sem)
{
    sweep(semaphores, 10);
}

/* ---- event ---- */

static weft_event event;

static intptr_t come_through(void *arg)
{
    (void)arg;
    held++;
    int rc = weft_event_wait(&event);
    held--;
    return rc;
}

static intptr_t set_soon(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    wt_check(weft_event_set(&event) == 0);
    return rc < 0 ? rc : weft_event_wait(&event);
}

static intptr_t events(void *arg)
{
    (void)arg;
    wt_check(weft_event_init(&event) == 0);
    int rc = run_with(come_through, set_soon);
    wt_check(weft_event_destroy(&event) == 0);
    return rc;
}

Test(sweep_sync, event)
{
    sweep(events, 6);
}
