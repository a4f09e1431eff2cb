/* SPDX-License-Identifier: MIT */
/* test_mutex.c - tasks that lock, semaphores that count, under random cancellations and time limits.
 *
 * Half of the tasks' locks are under a limit of microseconds, and a canceller makes requests all the time.
 * Whatever is taken is given back, and only what was taken: at the end nothing is missing. */
#include <weft.h>

#include "stress.h"

enum { TASKS = 12, PERMITS = 4 };

static weft_mutex mutex;
static weft_sem sem;
static int64_t end_ns;

/* Of these the mutex is the only guard. */
static uint64_t guarded;
static bool is_inside;

static _Atomic uint64_t locked, told, late;
static _Atomic int taken;

static void note(int rc)
{
    atomic_fetch_add(&told, rc == -ECANCELED);
    atomic_fetch_add(&late, rc == -ETIMEDOUT);
    wt_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
}

static int lock_one(uint64_t *random)
{
    switch (draw(random) % 4) {
    case 0:
    case 1:
        return (int)weft_within(draw_us(random, 30), weft_mutex_lock(&mutex));
    case 2: {
        int rc = weft_mutex_try_lock(&mutex);
        return rc == -EBUSY ? weft_mutex_lock(&mutex) : rc;
    }
    default:
        return weft_mutex_lock(&mutex);
    }
}

static void use_mutex(uint64_t *random)
{
    int rc = lock_one(random);
    note(rc);
    if (rc < 0) {
        return;
    }
    wt_check(!is_inside);
    is_inside = true;
    guarded++;
    if (draw(random) % 8 == 0) {
        note(weft_yield());
    }
    dither(random);
    is_inside = false;
    atomic_fetch_add(&locked, 1);
    wt_check(weft_mutex_unlock(&mutex) == 0);
}

static void use_sem(uint64_t *random)
{
    uint32_t need = (uint32_t)(draw(random) % PERMITS) + 1;
    int rc = draw(random) % 2 == 0
                 ? weft_sem_acquire(&sem, need)
                 : (int)weft_within(draw_us(random, 30), weft_sem_acquire(&sem, need));
    note(rc);
    if (rc < 0) {
        return;
    }
    wt_check(atomic_fetch_add(&taken, (int)need) + (int)need <= PERMITS);
    if (draw(random) % 4 == 0) {
        note(weft_yield());
    }
    atomic_fetch_sub(&taken, (int)need);
    wt_check(weft_sem_release(&sem, need) == 0);
}

static intptr_t work(void *arg)
{
    uint64_t random = as_seed(arg);
    while (wf_monotonic_ns() < end_ns) {
        if (draw(&random) % 2 == 0) {
            use_mutex(&random);
        } else {
            use_sem(&random);
        }
        while (weft_cancelling(weft_self()) > 0) {
            (void)weft_uncancel(weft_self());
        }
    }
    return 0;
}

static intptr_t storm(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *tasks[TASKS];
    end_ns = wf_monotonic_ns() + WEFT_S;
    guarded = 0;
    atomic_store(&locked, 0);
    wt_check(weft_mutex_init(&mutex, WEFT_MUTEX_OWNED) == 0);
    wt_check(weft_sem_init(&sem, PERMITS, PERMITS) == 0);
    for (int i = 0; i < TASKS; i++) {
        wt_check(weft_spawn(&tasks[i], work, as_arg(draw(&random))) == 0);
    }
    while (wf_monotonic_ns() < end_ns) {
        (void)weft_cancel(tasks[draw(&random) % TASKS]);
        dither(&random);
        wt_check(weft_yield() == 0);
    }
    for (int i = 0; i < TASKS; i++) {
        wt_check(weft_join(tasks[i], NULL) == 0);
        weft_drop(tasks[i]);
    }
    wt_check(guarded == atomic_load(&locked) && guarded > 0);
    wt_check(weft_mutex_destroy(&mutex) == 0);
    wt_check(weft_sem_value(&sem) == PERMITS && weft_sem_destroy(&sem) == 0);
    wt_check(atomic_load(&told) > 0 && atomic_load(&late) > 0);
    fprintf(stderr, "%" PRIu64 " locked, %" PRIu64 " told, %" PRIu64 " late\n", guarded,
            atomic_load(&told), atomic_load(&late));
    return 0;
}

STRESS_TEST(mutex, nothing_is_lost_or_given_twice, storm);

/* ---- gone with the frame ---- */

struct brief {
    weft_mutex mutex;
    atomic_int back; /* out of the lock call */
};

static intptr_t lock_briefly(void *arg)
{
    struct brief *brief = arg;
    int rc = weft_mutex_lock(&brief->mutex);
    atomic_fetch_add(&brief->back, 1);
    return rc < 0 ? rc : weft_mutex_unlock(&brief->mutex);
}

/* Ends while the last of those who unlock may still be in the call. */
static void live_briefly(weft_task **tasks, int count, uint64_t *random)
{
    struct brief brief = {.mutex = WEFT_MUTEX_INIT};
    wt_check(weft_mutex_lock(&brief.mutex) == 0);
    for (int i = 0; i < count; i++) {
        wt_check(weft_spawn(&tasks[i], lock_briefly, &brief) == 0);
    }
    dither(random);
    wt_check(weft_yield() == 0);
    wt_check(weft_mutex_unlock(&brief.mutex) == 0);
    while (atomic_load(&brief.back) < count || weft_mutex_destroy(&brief.mutex) != 0) {
        wt_check(weft_yield() == 0);
    }
    memset(&brief, 0xee, sizeof brief);
}

static intptr_t live_often(void *arg)
{
    enum { COUNT = 4 };
    uint64_t random = as_seed(arg);
    int64_t until_ns = wf_monotonic_ns() + WEFT_S;
    while (wf_monotonic_ns() < until_ns) {
        weft_task *tasks[COUNT];
        live_briefly(tasks, COUNT, &random);
        for (int i = 0; i < COUNT; i++) {
            wt_check(weft_await(tasks[i], NULL) == 0);
        }
    }
    return 0;
}

STRESS_TEST(mutex, goes_with_its_frame, live_often);
