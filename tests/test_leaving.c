// SPDX-License-Identifier: MIT
/* test_leaving.c - waiters whose waits are over, but who have not gone yet: nobody walks past them twice, and
 * what they will touch again is still in use. */
#include <pthread.h>
#include <time.h>

#include "sync_test.h"

/* ---- many that are cancelled at once ---- */

/* Enough for n * n steps to take seconds. Sanitizers have too few fibers for that, and only see it run. */
enum { CROWD = WT_TIME_SCALE == 1 ? 20000 : 500 };
static const double PATIENCE_S = 1.5;

static weft_mutex mutex;
static weft_cond cond;
static weft_rwlock rwlock;
static weft_sem sem;

static intptr_t write_lock(void *arg)
{
    (void)arg;
    return weft_rwlock_write_lock(&rwlock);
}

static intptr_t acquire_two(void *arg)
{
    (void)arg;
    return weft_sem_acquire(&sem, 2);
}

static intptr_t wait_for_news(void *arg)
{
    (void)arg;
    int rc = weft_mutex_lock(&mutex);
    wt_check(rc == 0);
    rc = weft_cond_wait(&cond);
    wt_check(weft_mutex_unlock(&mutex) == 0);
    return rc;
}

static intptr_t lock(void *arg)
{
    (void)arg;
    return weft_mutex_lock(&mutex);
}

static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static weft_task *crowd[CROWD];

/* All of them wait by the time it returns. */
static void gather_crowd(weft_fn *fn)
{
    for (int i = 0; i < CROWD; i++) {
        wt_check(weft_spawn(&crowd[i], fn, NULL) == 0);
    }
    wt_check(weft_sleep(WEFT_MS) == 0);
}

static void cancel_crowd(void)
{
    for (int i = 0; i < CROWD; i++) {
        wt_check(weft_cancel(crowd[i]) == 1);
    }
}

static void end_crowd(weft_fn *fn)
{
    gather_crowd(fn);
    double begun = cpu_seconds();
    cancel_crowd();
    for (int i = 0; i < CROWD; i++) {
        wt_check(finish(crowd[i]) == -ECANCELED);
    }
    wt_check(cpu_seconds() - begun < PATIENCE_S * WT_TIME_SCALE);
}

static intptr_t end_writers(void *arg)
{
    (void)arg;
    wt_check(weft_rwlock_init(&rwlock) == 0);
    wt_check(weft_rwlock_read_lock(&rwlock) == 0);
    end_crowd(write_lock);
    wt_check(weft_rwlock_unlock(&rwlock) == 0);
    wt_check(weft_rwlock_destroy(&rwlock) == 0);
    return 0;
}

static intptr_t end_askers(void *arg)
{
    (void)arg;
    wt_check(weft_sem_init(&sem, 1, 0) == 0);
    end_crowd(acquire_two);
    wt_check(weft_sem_value(&sem) == 1);
    wt_check(weft_sem_destroy(&sem) == 0);
    return 0;
}

static intptr_t end_listeners(void *arg)
{
    (void)arg;
    wt_check(weft_mutex_init(&mutex, 0) == 0);
    wt_check(weft_cond_init(&cond, &mutex) == 0);
    end_crowd(wait_for_news);
    wt_check(weft_cond_destroy(&cond) == 0);
    wt_check(weft_mutex_destroy(&mutex) == 0);
    return 0;
}

/* Who comes and goes before the cancelled ones have run. */
static intptr_t lock_among_the_cancelled(void *arg)
{
    (void)arg;
    wt_check(weft_mutex_init(&mutex, 0) == 0);
    wt_check(weft_mutex_lock(&mutex) == 0);
    gather_crowd(lock);
    cancel_crowd();
    wt_check(weft_mutex_unlock(&mutex) == 0);
    double begun = cpu_seconds();
    for (int i = 0; i < CROWD / 2; i++) {
        wt_check(weft_mutex_try_lock(&mutex) == 0);
        wt_check(weft_mutex_unlock(&mutex) == 0);
    }
    wt_check(cpu_seconds() - begun < PATIENCE_S * WT_TIME_SCALE);
    wt_check(weft_mutex_destroy(&mutex) == -EBUSY);
    for (int i = 0; i < CROWD; i++) {
        wt_check(finish(crowd[i]) == -ECANCELED);
    }
    wt_check(weft_mutex_destroy(&mutex) == 0);
    return 0;
}

static void quiet(const weft_diagnostic *what, void *arg)
{
    (void)what;
    (void)arg;
}

static void run_alone(weft_fn *fn)
{
    const weft_options options = {.simulate = true, .seed = 1, .diagnostic = quiet};
    cr_assert_eq(weft_run(fn, NULL, &options), 0);
    wt_assert_clean();
}

Test(leaving, many_writers)
{
    run_alone(end_writers);
}

Test(leaving, many_askers)
{
    run_alone(end_askers);
}

Test(leaving, many_listeners)
{
    run_alone(end_listeners);
}

Test(leaving, locking_among_many)
{
    run_alone(lock_among_the_cancelled);
}

/* ---- one that has been passed over is still there ---- */

static weft_event event;
static weft_barrier barrier;

static intptr_t wait_for_event(void *arg)
{
    (void)arg;
    return weft_event_wait(&event);
}

static intptr_t meet(void *arg)
{
    (void)arg;
    return weft_barrier_wait(&barrier);
}

static weft_task *cancelled(weft_fn *fn)
{
    weft_task *task = NULL;
    wt_check(weft_spawn(&task, fn, NULL) == 0);
    settle();
    wt_check(weft_cancel(task) == 1);
    return task;
}

static intptr_t pass_over(void *arg)
{
    (void)arg;
    wt_check(weft_event_init(&event) == 0);
    weft_task *task = cancelled(wait_for_event);
    wt_check(weft_event_set(&event) == 0);
    wt_check(weft_event_destroy(&event) == -EBUSY);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_event_destroy(&event) == 0);

    wt_check(weft_sem_init(&sem, 1, 0) == 0);
    task = cancelled(acquire_two);
    wt_check(weft_sem_release(&sem, 1) == 0);
    wt_check(weft_sem_value(&sem) == 2);
    wt_check(weft_sem_destroy(&sem) == -EBUSY);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_sem_destroy(&sem) == 0);

    wt_check(weft_barrier_init(&barrier, 3) == 0);
    task = cancelled(meet);
    wt_check(weft_barrier_reset(&barrier) == 0);
    wt_check(weft_barrier_waiting(&barrier) == 0);
    wt_check(weft_barrier_destroy(&barrier) == -EBUSY);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_barrier_waiting(&barrier) == 0);
    wt_check(weft_barrier_destroy(&barrier) == 0);
    return 0;
}

Test(leaving, what_they_will_touch_is_in_use)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        const weft_options options = {.simulate = true, .seed = seed, .diagnostic = quiet};
        cr_assert_eq(weft_run(pass_over, NULL, &options), 0);
        wt_assert_clean();
    }
}

/* ---- one that is let through before it has left its stack ---- */

enum { ROUNDS = 20000 };
static weft_sem rounds[ROUNDS];
static atomic_int round_now, round_done;

/* Lets a waiter through as soon as it is linked; what may go then must not be touched any more. */
static void *release_at_once(void *arg)
{
    static const weft_sem wreck = {{1, 1, 1, 1}}; /* locked for ever */
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        while (round_now != i + 1 || weft_sem_destroy(&rounds[i]) == 0) {
        }
        wt_check(weft_sem_release(&rounds[i], 1) == 0);
        if (weft_sem_destroy(&rounds[i]) == 0) {
            rounds[i] = wreck;
        }
        while (round_done != i + 1) {
        }
    }
    return NULL;
}

static intptr_t acquire_each(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        round_now = i + 1;
        wt_check(weft_sem_acquire(&rounds[i], 1) == 0);
        round_done = i + 1;
    }
    return 0;
}

Test(leaving, early_ones_keep_it_in_use)
{
    pthread_t thread;
    const weft_options options = {.workers = 1, .diagnostic = quiet};
    cr_assert_eq(pthread_create(&thread, NULL, release_at_once, NULL), 0);
    cr_assert_eq(weft_run(acquire_each, NULL, &options), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    wt_assert_clean();
}
