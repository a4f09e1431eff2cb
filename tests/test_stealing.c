/* SPDX-License-Identifier: MIT */
/* test_stealing.c - work spreads over the workers; pinned tasks stay where they are. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/runtime.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>

#include "base/clock.h"
#include "forbid.h"
#include "weft_test.h"

/* Not kept across a call that may switch: the compiler must ask anew each time. */
__attribute__((noinline)) static uintptr_t this_thread(void)
{
    uintptr_t thread = (uintptr_t)pthread_self();

    __asm__ __volatile__("" : "+r"(thread) : : "memory");
    return thread;
}

enum { THREADS = 64 };

static _Atomic uintptr_t threads_seen[THREADS];

static void note_thread(void)
{
    uintptr_t me = this_thread();

    for (int i = 0; i < THREADS; i++) {
        uintptr_t seen = 0;

        if (atomic_load(&threads_seen[i]) == me ||
            atomic_compare_exchange_strong(&threads_seen[i], &seen, me) || seen == me) {
            return;
        }
    }
}

static int count_threads(void)
{
    int count = 0;

    for (int i = 0; i < THREADS; i++) {
        count += atomic_exchange(&threads_seen[i], 0) != 0;
    }
    return count;
}

static void spin_us(int64_t us)
{
    int64_t end = wf_monotonic_ns() + us * WEFT_US;

    while (wf_monotonic_ns() < end) {
    }
}

/* ---- many tasks from one ---- */

static atomic_int ran;

static intptr_t burn_50us(void *arg)
{
    (void)arg;
    spin_us(50);
    note_thread();
    atomic_fetch_add(&ran, 1);
    return 0;
}

enum { TASKS = 2000 };

static intptr_t spawn_all(void *arg)
{
    weft_task **tasks = calloc(TASKS, sizeof(weft_task *));
    weft_stats_t stats = {.size = sizeof stats};

    (void)arg;
    for (int i = 0; i < TASKS; i++) {
        wt_check(weft_spawn(&tasks[i], burn_50us, NULL) == 0);
    }
    for (int i = 0; i < TASKS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    wt_check(weft_stats(NULL, &stats) == 0);
    wt_check(stats.steals > 0 && stats.tasks_stolen >= stats.steals);
    free(tasks);
    return 0;
}

static void run_burners(int workers)
{
    const weft_options options = {.workers = workers};
    int threads;

    atomic_store(&ran, 0);
    cr_assert_eq(weft_run(spawn_all, NULL, &options), 0);
    threads = count_threads();
    wt_assert_clean();
    cr_assert_eq(atomic_load(&ran), TASKS);
    cr_assert(threads >= 2 && threads <= workers, "%d threads", threads);
}

Test(stealing, two_workers_share)
{
    run_burners(2);
}

Test(stealing, eight_workers_share)
{
    run_burners(8);
}

/* ---- a worker that is stuck in one task does not hold up what it has queued ---- */

/* Spins, without any await, until the count is reached: nobody but another worker can do that. */
static bool spin_until(atomic_int *count, int goal)
{
    int64_t end = wf_monotonic_ns() + 20 * WEFT_S;

    while (atomic_load(count) < goal) {
        if (wf_monotonic_ns() > end) {
            return false;
        }
        sched_yield();
    }
    return true;
}

static intptr_t count_me(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static intptr_t spawn_and_spin(void *arg)
{
    atomic_int count = 0;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        wt_check(weft_spawn(NULL, count_me, &count) == 0);
    }
    wt_check(spin_until(&count, 100));
    return 0;
}

struct woken {
    weft_future future;
    atomic_int count;
};

static intptr_t await_and_count(void *arg)
{
    struct woken *woken = arg;

    wt_check(weft_future_await(&woken->future, NULL) == 0);
    atomic_fetch_add(&woken->count, 1);
    return 0;
}

/* One woken task is the one that the worker keeps for itself to run next. */
static intptr_t wake_and_spin(void *arg)
{
    intptr_t waiters = (intptr_t)arg;
    static struct woken woken;

    memset(&woken, 0, sizeof woken);
    for (intptr_t i = 0; i < waiters; i++) {
        wt_check(weft_spawn(NULL, await_and_count, &woken) == 0);
    }
    wt_check(weft_sleep(5 * WEFT_MS) == 0); /* they wait by then, or find it set */
    wt_check(weft_future_set(&woken.future, 0) == 0);
    wt_check(spin_until(&woken.count, (int)waiters));
    return 0;
}

static intptr_t sleep_and_count(void *arg)
{
    wt_check(weft_sleep(10 * WEFT_MS) == 0);
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

/* Timers lie on the worker that is stuck. */
static intptr_t arm_and_spin(void *arg)
{
    static atomic_int count;

    (void)arg;
    atomic_store(&count, 0);
    for (int i = 0; i < 10; i++) {
        wt_check(weft_spawn(NULL, sleep_and_count, &count) == 0);
    }
    wt_check(weft_yield() == 0);
    wt_check(spin_until(&count, 10));
    return 0;
}

Test(stealing, a_stuck_worker_holds_nothing_up, .timeout = 30)
{
    const weft_options options = {.workers = 2};

    for (int i = 0; i < 5; i++) {
        cr_assert_eq(weft_run(spawn_and_spin, NULL, &options), 0);
        cr_assert_eq(weft_run(wake_and_spin, (void *)1, &options), 0);
        cr_assert_eq(weft_run(wake_and_spin, (void *)7, &options), 0);
        cr_assert_eq(weft_run(arm_and_spin, NULL, &options), 0);
    }
    wt_assert_clean();
}

/* ---- pinned tasks ---- */

static atomic_bool may_stop;

static intptr_t stay(void *arg)
{
    uintptr_t home = this_thread();
    weft_future *future = arg;

    for (int i = 0; i < 50; i++) {
        wt_check((i % 3 == 0 ? weft_sleep(20 * WEFT_US) : weft_yield()) == 0);
        wt_check(this_thread() == home);
    }
    wt_check(weft_future_await(future, NULL) == 0); /* woken from another thread */
    wt_check(this_thread() == home);
    return 0;
}

static intptr_t roam(void *arg)
{
    (void)arg;
    while (!atomic_load(&may_stop)) {
        note_thread();
        wt_check(weft_sleep(20 * WEFT_US) == 0);
    }
    return 0;
}

static void *set_soon(void *arg)
{
    struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

    nanosleep(&pause, NULL);
    wt_check(weft_future_set(arg, 1) == 0);
    return NULL;
}

static intptr_t spawn_pinned(void *arg)
{
    weft_future *future = arg;
    const weft_spawn_options pinned = {.pinned = true};
    weft_task *tasks[16], *roamers[8];

    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&roamers[i], roam, NULL) == 0);
    }
    for (int i = 0; i < 16; i++) {
        wt_check(weft_spawn_with(&tasks[i], stay, future, &pinned) == 0);
        wt_check(weft_sleep(50 * WEFT_US) == 0); /* maybe go on elsewhere, and spawn there */
    }
    for (int i = 0; i < 16; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    atomic_store(&may_stop, true);
    for (int i = 0; i < 8; i++) {
        wt_check(weft_await(roamers[i], NULL) == 0);
    }
    return 0;
}

Test(stealing, pinned_tasks_stay)
{
    static const int workers[] = {1, 2, 8};

    for (int i = 0; i < 3; i++) {
        const weft_options options = {.workers = workers[i]};
        weft_future future = WEFT_FUTURE_INIT;
        pthread_t thread;

        atomic_store(&may_stop, false);
        cr_assert_eq(pthread_create(&thread, NULL, set_soon, &future), 0);
        cr_assert_eq(weft_run(spawn_pinned, &future, &options), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        wt_assert_clean();
    }
}

static intptr_t cancelled_at_home(void *arg)
{
    uintptr_t home = this_thread();

    (void)arg;
    wt_check(weft_sleep(100 * WEFT_S) == -ECANCELED);
    wt_check(this_thread() == home);
    return -ECANCELED;
}

static intptr_t hold_home(void *arg)
{
    return (intptr_t)this_thread() == (intptr_t)arg ? 1 : 0;
}

/* From plain threads: submitted, cancelled and joined there; several pinned ones take turns. */
Test(stealing, pinned_tasks_of_plain_threads)
{
    const weft_options options = {.workers = 4};
    const weft_spawn_options pinned = {.pinned = true};
    weft_runtime *runtime;
    weft_task *tasks[32];
    intptr_t result;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 32; i++) {
            cr_assert_eq(weft_runtime_submit(runtime, &tasks[i],
                                             i % 2 == 0 ? cancelled_at_home : hold_home, NULL,
                                             &pinned),
                         0);
        }
        for (int i = 0; i < 32; i++) {
            (void)weft_cancel(tasks[i]);
        }
        for (int i = 0; i < 32; i++) {
            cr_assert_eq(weft_thread_join(tasks[i], WEFT_FOREVER, &result), 0);
            cr_assert(result == 0 || result == -ECANCELED);
            weft_drop(tasks[i]);
        }
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}

/* ---- a filter that comes late ---- */

static intptr_t nap(void *arg)
{
    (void)arg;
    return weft_sleep(100 * WEFT_US);
}

static intptr_t work_on(void *arg)
{
    bool *is_forbidden = arg;
    /* from now on the kernel makes no fences for others */
    *is_forbidden = wt_forbid(SYS_membarrier, EPERM);
    for (int round = 0; round < 50; round++) {
        weft_task *tasks[8];
        for (int i = 0; i < 8; i++) {
            wt_check(weft_spawn(&tasks[i], nap, NULL) == 0);
        }
        for (int i = 0; i < 8; i++) {
            wt_check(weft_join_shielded(tasks[i], NULL) == 0);
            weft_drop(tasks[i]);
        }
    }
    return 0;
}

Test(stealing, goes_on_when_a_filter_forbids_the_fence)
{
    const weft_options options = {.workers = 3};
    bool is_forbidden = false;
    cr_assert_eq(weft_run(work_on, &is_forbidden, &options), 0);
    wt_assert_clean();
    if (!is_forbidden) {
        wt_skip("no filters here");
    }
}
