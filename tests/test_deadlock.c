/* SPDX-License-Identifier: MIT */
/* test_deadlock.c - what tasks of a simulation waited in when it ended in a deadlock can be used and
 * destroyed afterwards. */
#include <errno.h>

#include <weft.h>
#include <weft/testing.h>

#include "weft_test.h"

enum { SEEDS = 5 };

static weft_queue queue;
static weft_mutex mutex;
static weft_sem sem;
static weft_event event;
static weft_rwlock rwlock;
static weft_cond cond;
static weft_barrier barrier;
static weft_future future;
static int fds[2];

static intptr_t get(void *arg)
{
    uint64_t item;
    (void)arg;
    return weft_queue_get(&queue, &item);
}

static intptr_t lock(void *arg)
{
    (void)arg;
    return weft_mutex_lock(&mutex);
}

static intptr_t acquire(void *arg)
{
    (void)arg;
    return weft_sem_acquire(&sem, 2);
}

static intptr_t await_event(void *arg)
{
    (void)arg;
    return weft_event_wait(&event);
}

static intptr_t lock_to_write(void *arg)
{
    (void)arg;
    return weft_rwlock_write_lock(&rwlock);
}

static intptr_t await_news(void *arg)
{
    static weft_mutex own;
    (void)arg;
    wt_check(weft_mutex_lock(&own) == 0 && weft_cond_init(&cond, &own) == 0);
    return weft_cond_wait(&cond);
}

static intptr_t await_others(void *arg)
{
    (void)arg;
    return weft_barrier_wait(&barrier);
}

static intptr_t await_future(void *arg)
{
    (void)arg;
    return weft_future_await(&future, NULL);
}

static intptr_t select_all(void *arg)
{
    uint64_t item;
    (void)arg;
    weft_case cases[] = {
        weft_case_get(&queue, &item),
        weft_case_event(&event),
        weft_case_future(&future, NULL),
        weft_case_fd(fds[0], WEFT_READABLE),
    };
    return weft_select(cases, sizeof cases / sizeof *cases, 0);
}

static intptr_t all_wait(void *arg)
{
    static weft_fn *const waiters[] = {get,          lock,          acquire,
                                       await_event,  lock_to_write, await_news,
                                       await_others, await_future,  select_all};
    (void)arg;
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_mutex_try_lock(&mutex) == 0 && weft_rwlock_try_read_lock(&rwlock) == 0);
    for (size_t i = 0; i < sizeof waiters / sizeof *waiters; i++) {
        wt_check(weft_spawn(NULL, waiters[i], NULL) == 0);
    }
    uint64_t item = 0;
    return weft_queue_get(&queue, &item);
}

static void ignore(const weft_diagnostic *what, void *arg)
{
    (void)what;
    (void)arg;
}

static void deadlock(uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed, .diagnostic = ignore};
    cr_assert_eq(weft_queue_init(&queue, sizeof(uint64_t), 4, NULL), 0);
    cr_assert_eq(weft_mutex_init(&mutex, 0), 0);
    cr_assert_eq(weft_sem_init(&sem, 1, 0), 0);
    cr_assert_eq(weft_event_init(&event), 0);
    cr_assert_eq(weft_rwlock_init(&rwlock), 0);
    cr_assert_eq(weft_barrier_init(&barrier, 2), 0);
    cr_assert_eq(weft_future_init(&future), 0);
    cr_assert_eq(weft_run(all_wait, NULL, &options), -EDEADLK, "seed %d", (int)seed);
    wt_assert_clean();
}

/* Each call would find what lay on stacks that are gone. */
Test(deadlock, leaves_nobody_in_what_is_used_afterwards)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint64_t item = 1;
        deadlock(seed);
        cr_assert_eq(weft_queue_try_put(&queue, &item), 0);
        cr_assert_eq(weft_queue_try_get(&queue, &item), 0);
        cr_assert_eq(weft_mutex_unlock(&mutex), 0);
        cr_assert(!weft_mutex_is_locked(&mutex));
        cr_assert_eq(weft_sem_release(&sem, 1), 0);
        cr_assert_eq(weft_sem_value(&sem), 2);
        cr_assert_eq(weft_event_set(&event), 0);
        cr_assert_eq(weft_rwlock_unlock(&rwlock), 0);
        cr_assert_eq(weft_barrier_reset(&barrier), 0);
        cr_assert_eq(weft_future_set(&future, 1), 0);
        cr_assert_eq(weft_queue_close(&queue), 0);
        cr_assert_eq(weft_queue_destroy(&queue), 0);
    }
}

Test(deadlock, leaves_nobody_in_what_is_destroyed)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        deadlock(seed);
        cr_assert_eq(weft_queue_destroy(&queue), 0);
    }
}
