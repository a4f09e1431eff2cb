/* SPDX-License-Identifier: MIT */
/* test_sweep_sync.c - every await point of the locks under the cancel sweep.
 *
 * One function a kind of lock, written as a careful program would be, swept under seeds 0 to 20: whatever
 * is cancelled, nothing may be left, nobody may hang, and the lock must be free. `held` counts what the tasks
 * hold; the sweep takes it for the heap. */
#include <errno.h>

#include <weft.h>

#include "sweep_test.h"

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

/* ---- condition ---- */

enum { ITEMS = 6 };

static weft_cond cond;
static int stock;
static bool is_closed;

static intptr_t take_items(void *arg)
{
    (void)arg;
    for (;;) {
        int rc = weft_mutex_lock(&mutex);
        if (rc < 0) {
            return rc;
        }
        while (rc == 0 && stock == 0 && !is_closed) {
            rc = weft_cond_wait(&cond);
            wt_check(weft_mutex_is_locked(&mutex));
        }
        bool has_one = rc == 0 && stock > 0;
        stock -= has_one ? 1 : 0;
        wt_check(weft_mutex_unlock(&mutex) == 0);
        if (rc < 0 || !has_one) {
            return rc;
        }
    }
}

/* Closes whatever comes: the users must not wait for ever. */
static intptr_t make_items(void *arg)
{
    int rc = 0;
    (void)arg;
    for (int i = 0; rc == 0 && i < ITEMS; i++) {
        rc = weft_sleep(i % 2 == 0 ? WEFT_MS : 0);
        rc = rc == 0 ? weft_mutex_lock(&mutex) : rc;
        if (rc == 0) {
            stock++;
            wt_check(weft_cond_notify(&cond, 1) == 0);
            rc = weft_yield(); /* woken ones meet a locked mutex */
            wt_check(weft_mutex_unlock(&mutex) == 0);
        }
    }
    int locked = weft_mutex_lock(&mutex);
    while (locked < 0) {
        rc = locked;
        locked = weft_mutex_lock(&mutex);
    }
    is_closed = true;
    wt_check(weft_cond_notify_all(&cond) == 0 && weft_mutex_unlock(&mutex) == 0);
    return rc;
}

static intptr_t conditions(void *arg)
{
    (void)arg;
    stock = 0;
    is_closed = false;
    wt_check(weft_mutex_init(&mutex, 0) == 0 && weft_cond_init(&cond, &mutex) == 0);
    int rc = run_with(take_items, make_items);
    wt_check(weft_cond_destroy(&cond) == 0 && weft_mutex_destroy(&mutex) == 0);
    wt_check(rc < 0 || stock == 0);
    return rc;
}

Test(sweep_sync, cond)
{
    sweep(conditions, 25);
}

/* ---- readers and writers ---- */

static weft_rwlock rwlock;

static intptr_t read_and_write(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i < (intptr_t)arg + 3; i++) {
        int rc = i % 3 == 0 ? weft_rwlock_write_lock(&rwlock) : weft_rwlock_read_lock(&rwlock);
        if (rc < 0) {
            return rc;
        }
        held++;
        wt_check(i % 3 != 0 || held == 1);
        rc = weft_sleep(WEFT_MS);
        held--;
        wt_check(weft_rwlock_unlock(&rwlock) == 0);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static intptr_t rwlocks(void *arg)
{
    (void)arg;
    wt_check(weft_rwlock_init(&rwlock) == 0);
    int rc = run_with(read_and_write, read_and_write);
    wt_check(weft_rwlock_destroy(&rwlock) == 0);
    return rc;
}

Test(sweep_sync, rwlock)
{
    sweep(rwlocks, 30);
}

/* ---- barrier ---- */

static weft_barrier barrier;

/* Whoever can't come breaks it for all. */
static intptr_t come_twice(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int i = 0; rc >= 0 && i < 2; i++) {
        rc = weft_barrier_wait(&barrier);
    }
    if (rc < 0) {
        wt_check(weft_barrier_abort(&barrier) == 0);
    }
    return rc == -ECANCELED ? rc : 0;
}

static intptr_t barriers(void *arg)
{
    (void)arg;
    wt_check(weft_barrier_init(&barrier, CHILDREN + 1) == 0);
    int rc = run_with(come_twice, come_twice);
    wt_check(weft_barrier_destroy(&barrier) == 0 && weft_barrier_waiting(&barrier) == 0);
    return rc;
}

Test(sweep_sync, barrier)
{
    sweep(barriers, 10);
}

/* ---- once ---- */

static weft_once once;

static int prepare(void *arg)
{
    (void)arg;
    held++;
    wt_check(held == 1);
    int rc = weft_sleep(WEFT_MS);
    held--;
    return rc;
}

static intptr_t run_once(void *arg)
{
    (void)arg;
    int rc = weft_once_run(&once, prepare, NULL);
    wt_check(rc < 0 || weft_once_is_done(&once));
    return rc;
}

static intptr_t onces(void *arg)
{
    (void)arg;
    once = (weft_once)WEFT_ONCE_INIT;
    return run_with(run_once, run_once);
}

Test(sweep_sync, once)
{
    sweep(onces, 6);
}
