/* SPDX-License-Identifier: MIT */
/* test_locks.c - a lock made of futures, and waiters that are cancelled all the time (X14).
 *
 * The lock is the test's own: first come, first served, and handed over directly. A future that was awaited
 * with success is a grant, which no request takes away. A waiter that is told -ECANCELED looks, under the
 * lock's inner lock, whether it has been handed the lock meanwhile, and hands it on if so: waking and
 * cancelling are two words here, the future's and the task's. Never two owners; free at the end. */
#include <weft/future.h>
#include <weft/gather.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "base/list.h"
#include "stress.h"

struct waiter {
    struct wf_list link;
    weft_future future;
    bool is_owner; /* handed over: under the inner lock */
};

struct lock {
    struct spin inner;
    struct wf_list waiters;
    bool is_held;
};

/* The future is set under the inner lock: a waiter that has taken that lock is alone with its frame. */
static void hand_over(struct lock *lock)
{
    struct waiter *first;

    if (wf_list_is_empty(&lock->waiters)) {
        lock->is_held = false;
        return;
    }
    first = WF_CONTAINER(lock->waiters.next, struct waiter, link);
    wf_list_remove(&first->link);
    first->is_owner = true;
    wt_check(weft_future_set(&first->future, 0) == 0);
}

static void release(struct lock *lock)
{
    spin_lock(&lock->inner);
    hand_over(lock);
    spin_unlock(&lock->inner);
}

/* 0: held; -ECANCELED: not held. */
static int acquire(struct lock *lock)
{
    struct waiter self = {.future = WEFT_FUTURE_INIT};
    int rc = weft_checkpoint();

    if (rc < 0) {
        return rc;
    }
    spin_lock(&lock->inner);
    if (!lock->is_held) {
        lock->is_held = true;
        spin_unlock(&lock->inner);
        return 0;
    }
    wf_list_push(&lock->waiters, &self.link);
    spin_unlock(&lock->inner);
    rc = weft_future_await(&self.future, NULL);
    spin_lock(&lock->inner);
    wt_check(rc < 0 || self.is_owner);
    if (rc < 0 && self.is_owner) {
        hand_over(lock);
    } else if (rc < 0) {
        wf_list_remove(&self.link);
    }
    spin_unlock(&lock->inner);
    return rc;
}

/* ---- owners, and those who cancel them ---- */

enum { OWNERS = 24, CANCELLERS = 3 };

static struct lock the_lock;
static atomic_int inside, owners_left, begun;
static atomic_long owned, told, timed_out;
static weft_task *owners[OWNERS];
static int64_t end_ns;

static void own(uint64_t *random)
{
    wt_check(atomic_fetch_add(&inside, 1) == 0);
    if (draw(random) % 4 == 0) {
        int rc = weft_yield(); /* told or not: still the owner */

        wt_check(rc == 0 || rc == -ECANCELED);
    } else {
        dither(random);
    }
    atomic_fetch_add(&owned, 1);
    wt_check(atomic_fetch_sub(&inside, 1) == 1);
    release(&the_lock);
}

static intptr_t come_and_go(void *arg)
{
    uint64_t random = as_seed(arg);

    atomic_fetch_add(&begun, 1);
    while (wf_monotonic_ns() < end_ns) {
        weft_timeout limit;
        bool is_limited = draw(&random) % 4 == 0, is_held;
        intptr_t rc;

        if (is_limited) {
            wt_check(weft_timeout_enter(&limit, draw_us(&random, 60)) == 0);
        }
        rc = acquire(&the_lock);
        is_held = rc == 0;
        if (is_limited) {
            rc = weft_timeout_leave(&limit, rc);
        }
        wt_check(is_held ? rc == 0 : rc == -ECANCELED || (is_limited && rc == -ETIMEDOUT));
        if (is_held) {
            own(&random);
        }
        atomic_fetch_add(&told, rc == -ECANCELED);
        atomic_fetch_add(&timed_out, rc == -ETIMEDOUT);
    }
    atomic_fetch_sub(&owners_left, 1);
    return 0;
}

static void cancel_one(uint64_t *random)
{
    weft_task *victim = owners[draw(random) % OWNERS];
    int rc = weft_cancel(victim);

    wt_check(rc == 0 || rc == 1);
    if (rc == 1 && draw(random) % 2 == 0) {
        wt_check(weft_uncancel(victim) >= 0);
    }
}

static intptr_t cancel_in_fiber(void *arg)
{
    uint64_t random = as_seed(arg);

    while (atomic_load(&owners_left) > 0) {
        cancel_one(&random);
        wt_check(weft_sleep(draw_us(&random, 20)) == 0);
    }
    return 0;
}

static void *cancel_in_thread(void *arg)
{
    uint64_t random = as_seed(arg);

    while (atomic_load(&owners_left) > 0) {
        cancel_one(&random);
        dither(&random);
        sched_yield();
    }
    return NULL;
}

static intptr_t contend(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *cancellers[CANCELLERS];
    pthread_t thread;

    wf_list_init(&the_lock.waiters);
    atomic_store(&owners_left, OWNERS);
    end_ns = wf_monotonic_ns() + WEFT_S;
    for (int i = 0; i < OWNERS; i++) {
        wt_check(weft_spawn(&owners[i], come_and_go, as_arg(draw(&random))) == 0);
    }
    while (atomic_load(&begun) < OWNERS) { /* one that is cancelled before would never count down */
        wt_check(weft_yield() == 0);
    }
    for (int i = 0; i < CANCELLERS; i++) {
        wt_check(weft_spawn(&cancellers[i], cancel_in_fiber, as_arg(draw(&random))) == 0);
    }
    wt_check(pthread_create(&thread, NULL, cancel_in_thread, as_arg(draw(&random))) == 0);
    for (int i = 0; i < OWNERS; i++) {
        wt_check(weft_join(owners[i], NULL) == 0);
    }
    wt_check(weft_gather(cancellers, CANCELLERS, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    wt_check(pthread_join(thread, NULL) == 0);
    weft_drop_all(cancellers, CANCELLERS);
    weft_drop_all(owners, OWNERS);
    wt_check(!the_lock.is_held && wf_list_is_empty(&the_lock.waiters));
    fprintf(stderr, "owned %ld times, %ld told, %ld timed out\n", atomic_load(&owned),
            atomic_load(&told), atomic_load(&timed_out));
    wt_check(atomic_load(&told) > 0 && atomic_load(&timed_out) > 0);
    return 0;
}

STRESS_TEST(locks, have_one_owner_whoever_is_cancelled, contend);
