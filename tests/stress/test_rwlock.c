/* SPDX-License-Identifier: MIT */
/* test_rwlock.c - readers, writers, conditions, barriers under random cancellations, in parallel.
 *
 * Each test runs for about a second and looks at the end whether all is there: locks free, items used once,
 * rounds complete. A hang is a failure too: the test's time limit sees it. */
#include <weft.h>

#include "stress.h"

enum { TASKS = 8 };

static int64_t end_ns;

static bool is_over(void)
{
    return wf_monotonic_ns() >= end_ns;
}

static void forgive(void)
{
    while (weft_cancelling(weft_self()) > 0) {
        (void)weft_uncancel(weft_self());
    }
}

/* Runs TASKS times fn, and cancels among them until the time is over; then `last` once in a while until
 * all have ended. */
static void storm(weft_fn *fn, uint64_t *random, void (*last)(void))
{
    weft_task *tasks[TASKS];
    end_ns = wf_monotonic_ns() + WEFT_S;
    for (int i = 0; i < TASKS; i++) {
        wt_check(weft_spawn(&tasks[i], fn, as_arg(draw(random))) == 0);
    }
    while (!is_over()) {
        (void)weft_cancel(tasks[draw(random) % TASKS]);
        dither(random);
        wt_check(weft_sleep(draw_us(random, 20)) == 0);
    }
    for (int i = 0; i < TASKS; i++) {
        while (weft_task_state(tasks[i]) == WEFT_PENDING) {
            if (last != NULL) {
                last();
            }
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_join(tasks[i], NULL) == 0);
        weft_drop(tasks[i]);
    }
}

/* ---- readers and writers ---- */

static weft_rwlock rwlock;
static _Atomic int reading, writing;
static _Atomic uint64_t reads, writes, told;

static int lock_some(uint64_t *random, bool is_writer)
{
    if (draw(random) % 4 != 0) {
        return is_writer ? weft_rwlock_write_lock(&rwlock) : weft_rwlock_read_lock(&rwlock);
    }
    int64_t limit_ns = draw_us(random, 30);
    return is_writer ? (int)weft_within(limit_ns, weft_rwlock_write_lock(&rwlock))
                     : (int)weft_within(limit_ns, weft_rwlock_read_lock(&rwlock));
}

static intptr_t read_and_write(void *arg)
{
    uint64_t random = as_seed(arg);
    while (!is_over()) {
        bool is_writer = draw(&random) % 4 == 0;
        int rc = lock_some(&random, is_writer);
        wt_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
        forgive();
        if (rc < 0) {
            atomic_fetch_add(&told, 1);
            continue;
        }
        _Atomic int *mine = is_writer ? &writing : &reading;
        wt_check(atomic_fetch_add(mine, 1) == 0 || !is_writer);
        if (draw(&random) % 4 == 0) {
            int yielded = weft_yield();
            wt_check(yielded == 0 || yielded == -ECANCELED);
        }
        wt_check(atomic_load(is_writer ? &reading : &writing) == 0);
        atomic_fetch_sub(mine, 1);
        atomic_fetch_add(is_writer ? &writes : &reads, 1);
        wt_check(weft_rwlock_unlock(&rwlock) == 0);
    }
    return 0;
}

static intptr_t rwlocks(void *arg)
{
    uint64_t random = as_seed(arg);
    wt_check(weft_rwlock_init(&rwlock) == 0);
    storm(read_and_write, &random, NULL);
    wt_check(weft_rwlock_destroy(&rwlock) == 0);
    wt_check(atomic_load(&reads) > 0 && atomic_load(&writes) > 0 && atomic_load(&told) > 0);
    fprintf(stderr, "%" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " told\n",
            atomic_load(&reads), atomic_load(&writes), atomic_load(&told));
    return 0;
}

STRESS_TEST(rwlock, writers_alone, rwlocks);

/* ---- conditions: items made are used ---- */

static weft_mutex mutex;
static weft_cond cond;
static int stock;           /* under the mutex */
static uint64_t made, used; /* under the mutex */
static bool is_inside;      /* under the mutex */

static intptr_t make_and_use(void *arg)
{
    uint64_t random = as_seed(arg);
    while (!is_over()) {
        int rc = weft_mutex_lock(&mutex);
        if (rc == 0 && draw(&random) % 2 == 0) {
            stock++;
            made++;
            wt_check(weft_cond_notify(&cond, 1) == 0);
            wt_check(weft_mutex_unlock(&mutex) == 0);
        } else if (rc == 0) {
            while (rc == 0 && stock == 0 && !is_over()) {
                rc = weft_cond_wait(&cond);
                wt_check(!is_inside);
            }
            if (rc == 0 && stock > 0) {
                is_inside = true;
                stock--;
                used++;
                is_inside = false;
            }
            wt_check(weft_mutex_unlock(&mutex) == 0);
        }
        wt_check(rc == 0 || rc == -ECANCELED);
        forgive();
    }
    return 0;
}

static void wake_all(void)
{
    wt_check(weft_mutex_lock(&mutex) == 0);
    wt_check(weft_cond_notify_all(&cond) == 0 && weft_mutex_unlock(&mutex) == 0);
}

static intptr_t conditions(void *arg)
{
    uint64_t random = as_seed(arg);
    wt_check(weft_mutex_init(&mutex, WEFT_MUTEX_OWNED) == 0);
    wt_check(weft_cond_init(&cond, &mutex) == 0);
    stock = 0;
    made = used = 0;
    storm(make_and_use, &random, wake_all);
    wt_check(made == used + (uint64_t)stock && used > 0);
    wt_check(weft_cond_destroy(&cond) == 0 && weft_mutex_destroy(&mutex) == 0);
    fprintf(stderr, "%" PRIu64 " made, %" PRIu64 " used\n", made, used);
    return 0;
}

STRESS_TEST(rwlock, conditions_lose_no_item, conditions);

/* ---- barriers ---- */

static weft_barrier barrier;
static _Atomic uint64_t passed, gave_up, lasts;

static intptr_t come_often(void *arg)
{
    (void)arg;
    while (!is_over()) {
        int number = weft_barrier_wait(&barrier);
        wt_check(number >= 0 || number == -EPIPE || number == -ECANCELED);
        atomic_fetch_add(number >= 0 ? &passed : &gave_up, 1);
        atomic_fetch_add(&lasts, number == 2);
        forgive();
    }
    return 0;
}

static void break_it(void)
{
    wt_check(weft_barrier_abort(&barrier) == 0);
}

static intptr_t barriers(void *arg)
{
    uint64_t random = as_seed(arg);
    atomic_store(&passed, 0);
    atomic_store(&lasts, 0);
    atomic_store(&gave_up, 0);
    wt_check(weft_barrier_init(&barrier, 3) == 0);
    storm(come_often, &random, break_it);
    wt_check(weft_barrier_waiting(&barrier) == 0 && weft_barrier_destroy(&barrier) == 0);
    /* Each round lets three through, one of whom is the last, but for who was cancelled at that moment. */
    uint64_t missing = 3 * atomic_load(&lasts) - atomic_load(&passed);
    wt_check(missing <= atomic_load(&gave_up) && atomic_load(&passed) > 0);
    wt_check(atomic_load(&gave_up) > 0);
    fprintf(stderr, "%" PRIu64 " passed, %" PRIu64 " gave up\n", atomic_load(&passed),
            atomic_load(&gave_up));
    return 0;
}

STRESS_TEST(rwlock, barriers_pass_when_all_have_come, barriers);

/* ---- once ---- */

static weft_once once;
static _Atomic int successes, running;

static int attempt(void *arg)
{
    uint64_t *random = arg;
    wt_check(atomic_fetch_add(&running, 1) == 0);
    int rc = draw(random) % 2 == 0 ? weft_yield() : 0;
    rc = rc == 0 && draw(random) % 4 != 0 ? -EIO : rc;
    atomic_fetch_add(&successes, rc == 0);
    atomic_fetch_sub(&running, 1);
    return rc;
}

static intptr_t try_once(void *arg)
{
    uint64_t random = as_seed(arg);
    dither(&random);
    int rc;
    do {
        rc = weft_once_run(&once, attempt, &random);
    } while (rc == -EIO);
    wt_check(rc == -ECANCELED || weft_once_is_done(&once));
    return rc;
}

static intptr_t onces(void *arg)
{
    uint64_t random = as_seed(arg);
    int64_t until_ns = wf_monotonic_ns() + WEFT_S;
    while (wf_monotonic_ns() < until_ns) {
        weft_task *tasks[TASKS];
        once = (weft_once)WEFT_ONCE_INIT;
        atomic_store(&successes, 0);
        for (int i = 0; i < TASKS; i++) {
            wt_check(weft_spawn(&tasks[i], try_once, as_arg(draw(&random))) == 0);
        }
        dither(&random);
        (void)weft_cancel(tasks[draw(&random) % TASKS]);
        for (int i = 0; i < TASKS; i++) {
            wt_check(weft_join(tasks[i], NULL) == 0);
            weft_drop(tasks[i]);
        }
        wt_check(atomic_load(&successes) == 1 && weft_once_is_done(&once));
    }
    return 0;
}

STRESS_TEST(rwlock, once_succeeds_once, onces);
