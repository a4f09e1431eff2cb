/* SPDX-License-Identifier: MIT */
/* stress.h - what the stress tests share: chance, pauses, amounts, a lock, and a runtime to run in.
 *
 * Amounts: STRESS_COUNT(n) is n in a release build and less in builds that are slower, so that a test takes
 *       its few seconds everywhere. Time budgets stay as they are: less happens in them.
 * Chance: every number comes from wt_seed(), which is printed; what threads make of it is their own. */
#ifndef WEFT_STRESS_H
#define WEFT_STRESS_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <weft/runtime.h>
#include <weft/task.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "one_processor.h"
#include "weft_test.h"

#define STRESS_COUNT(n) ((n) / (WT_TIME_SCALE * WT_TIME_SCALE))

/* ---- chance ---- */

WT_FN uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Delays in nanoseconds, 0 to `most` microseconds. */
WT_FN int64_t draw_us(uint64_t *random, int64_t most)
{
    return (int64_t)(draw(random) % (uint64_t)(most * WEFT_US + 1));
}

/* A seed as the argument of a task or thread, and back. */
WT_FN void *as_arg(uint64_t seed)
{
    return (void *)(uintptr_t)seed;
}

WT_FN uint64_t as_seed(const void *arg)
{
    return (uint64_t)(uintptr_t)arg | 1;
}

/* A pause of nothing to a few microseconds, so that two sides meet at every offset. */
WT_FN void dither(uint64_t *random)
{
    for (uint64_t i = draw(random) % (UINT64_C(1) << (draw(random) % 10)); i > 0; i--) {
        wf_relax();
    }
}

/* ---- atomics ---- */

WT_FN void raise_to(_Atomic uint64_t *at, uint64_t value)
{
    uint64_t seen = atomic_load(at);

    while (seen < value && !atomic_compare_exchange_weak(at, &seen, value)) {
    }
}

/* A lock for moments: no await point while it is held. */
struct spin {
    _Atomic uint32_t is_held;
};

WT_FN void spin_lock(struct spin *lock)
{
    const struct timespec nap = {.tv_nsec = 20000};

    for (int tried = 1; atomic_exchange(&lock->is_held, 1) != 0; tried++) {
        if (tried % 4 ==
            0) { /* who yields and yields keeps others from running for tenths of seconds (Linux 6.18) */
            (void)nanosleep(&nap, NULL);
        } else {
            sched_yield();
        }
    }
}

WT_FN void spin_unlock(struct spin *lock)
{
    atomic_store(&lock->is_held, 0);
}

/* ---- running ---- */

/* Diagnostics are part of the game here. */
WT_FN void ignore(const weft_diagnostic *what, void *arg)
{
    (void)what;
    (void)arg;
}

/* Runs fn(seed) as the main task. */
WT_FN void stress_run(int workers, weft_fn *fn)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};

    cr_assert_eq(weft_run(fn, as_arg(wt_seed() | 1), &options), 0);
    wt_assert_clean();
}

/* Runs fn(arg) as a task beside a thread, until both have ended; `task` receives its handle before the thread begins. */
WT_FN void run_beside(int workers, weft_fn *fn, weft_task **task, void *(*in_thread)(void *),
                      void *arg)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    weft_runtime *runtime;
    pthread_t thread;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    cr_assert_eq(weft_runtime_submit(runtime, task, fn, arg, NULL), 0);
    cr_assert_eq(pthread_create(&thread, NULL, in_thread, arg), 0);
    cr_assert_eq(weft_thread_join(*task, WEFT_FOREVER, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    weft_drop(*task);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
}

/* stress_run with two workers, which run in parallel, and with eight, which interrupt each other anywhere. */
#define STRESS_TEST(Suite, Name, Fn)                 \
    Test(Suite, Name##_two_workers, .timeout = 30)   \
    {                                                \
        stress_run(2, Fn);                           \
    }                                                \
    Test(Suite, Name##_eight_workers, .timeout = 30) \
    {                                                \
        stress_run(8, Fn);                           \
    }                                                \
    struct stress_semicolon

#endif
