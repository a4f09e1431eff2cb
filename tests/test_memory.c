/* SPDX-License-Identifier: MIT */
/* test_memory.c - what tasks cost, measured by what the kernel has given: resident pages. */
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>

#include "weft_test.h"

#define SKIP_IF_SANITIZED()                                  \
    do {                                                     \
        if (WT_IS_SANITIZED || wt_is_emulated()) {           \
            wt_skip("a tool's own memory is measured with"); \
        }                                                    \
    } while (0)

static long resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;

    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2) {
        resident = -1;
    }
    if (file != NULL) {
        fclose(file);
    }
    return resident * sysconf(_SC_PAGESIZE);
}

static intptr_t end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- spawned, not started ---- */

enum { NEW_TASKS = 100000 };

static intptr_t spawn_many(void *arg)
{
    weft_task **tasks = malloc(NEW_TASKS * sizeof(weft_task *));
    long before, after;

    memset(tasks, 0xff, NEW_TASKS * sizeof(weft_task *)); /* resident before the measurement */
    before = resident_bytes();
    for (int i = 0; i < NEW_TASKS; i++) {
        wt_check(weft_spawn(&tasks[i], end_at_once, NULL) == 0);
    }
    after = resident_bytes();
    *(double *)arg = (double)(after - before) / NEW_TASKS;
    for (int i = 0; i < NEW_TASKS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    free(tasks);
    return 0;
}

Test(memory, a_task_that_has_not_started)
{
    const weft_options options = {.simulate = true}; /* nobody else starts them meanwhile */
    double bytes = 0;

    SKIP_IF_SANITIZED();
    cr_assert_eq(weft_run(spawn_many, &bytes, &options), 0);
    wt_assert_clean();
    fprintf(stderr, "%.1f bytes a task\n", bytes);
    cr_assert(bytes > 0 && bytes <= 256, "%.1f bytes", bytes);
}

/* Slots are reused: a million tasks one after the other cost no more than a few. */
static intptr_t spawn_in_turn(void *arg)
{
    long before = 0;

    for (int i = 0; i < 100000; i++) {
        weft_task *task;

        if (i == 1000) {
            before = resident_bytes();
        }
        wt_check(weft_spawn(&task, end_at_once, NULL) == 0);
        wt_check(weft_await(task, NULL) == 0);
    }
    *(double *)arg = (double)(resident_bytes() - before);
    return 0;
}

Test(memory, tasks_in_turn_cost_nothing)
{
    const weft_options options = {.workers = 1};
    double bytes = 0;

    SKIP_IF_SANITIZED();
    cr_assert_eq(weft_run(spawn_in_turn, &bytes, &options), 0);
    wt_assert_clean();
    cr_assert_leq(bytes, 512 * 1024.0, "%.0f bytes", bytes);
}

/* ---- parked ---- */

enum { PARKED = 30000 };

/* Of what they took. Records and seats, 256 bytes each, stay with the runtime. */
static const double left_most = 0.1;

struct parked {
    double bytes_each, left_share;
    bool is_busy; /* main never waits */
};

static intptr_t park(void *arg)
{
    return weft_future_await(arg, NULL);
}

/* Turns that lead nowhere, for as long as a sleep would take. */
static void be_busy(int64_t delay_ns)
{
    int64_t end = weft_now() + delay_ns;

    while (weft_now() < end) {
        wt_check(weft_yield() == 0);
    }
}

static bool gives_back(double grown, long before, bool is_busy)
{
    int64_t end = weft_now() + 5 * WEFT_S;

    while (weft_now() < end) { /* caches may give back by and by */
        if ((double)(resident_bytes() - before) < left_most * grown) {
            return true;
        }
        if (is_busy) {
            be_busy(20 * WEFT_MS);
        } else {
            wt_check(weft_sleep(20 * WEFT_MS) == 0);
        }
    }
    return false;
}

static intptr_t park_many(void *arg)
{
    struct parked *out = arg;
    weft_task **tasks = malloc(PARKED * sizeof(weft_task *));
    weft_future future = WEFT_FUTURE_INIT;
    long before, after;
    double grown;

    memset(tasks, 0xff, PARKED * sizeof(weft_task *));
    before = resident_bytes();
    for (int i = 0; i < PARKED; i++) {
        wt_check(weft_spawn(&tasks[i], park, &future) == 0);
    }
    for (int i = 0; i < 100; i++) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_sleep(10 * WEFT_MS) == 0);
    after = resident_bytes();
    grown = (double)(after - before);
    out->bytes_each = grown / PARKED;
    wt_check(weft_future_set(&future, 0) == 0);
    for (int i = 0; i < PARKED; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    free(tasks);
    wt_check(gives_back(grown, before, out->is_busy));
    out->left_share = (double)(resident_bytes() - before) / grown;
    return 0;
}

Test(memory, a_parked_task_and_after_it)
{
    static const int workers[] = {1, 2};

    SKIP_IF_SANITIZED();
    for (int i = 0; i < 4; i++) {
        const weft_options options = {.workers = workers[i % 2]};
        struct parked out = {.is_busy = i >= 2};

        cr_assert_eq(weft_run(park_many, &out, &options), 0);
        fprintf(stderr, "%d %s workers: %.2f KiB a task, %.1f %% left afterwards\n", workers[i % 2],
                out.is_busy ? "busy" : "idle", out.bytes_each / 1024, out.left_share * 100);
        wt_assert_clean();
        cr_assert_leq(out.bytes_each, 4.6 * 1024);
        cr_assert_lt(out.left_share, left_most);
    }
}

/* A worker that gives memory back hears of events meanwhile. */
struct waker {
    int fds[2];
    long peak; /* resident bytes */
};

static void *wake_when_it_falls(void *arg)
{
    const struct waker *waker = arg;
    const struct timespec moment = {.tv_nsec = 100000};

    while (resident_bytes() > waker->peak - waker->peak / 20) {
        nanosleep(&moment, NULL);
    }
    cr_expect_eq(write(waker->fds[1], "", 1), 1);
    return NULL;
}

static bool wakes_in_between(void)
{
    weft_task **tasks = calloc(PARKED, sizeof(weft_task *));
    weft_future future = WEFT_FUTURE_INIT;
    struct waker waker;
    pthread_t thread;
    char byte;

    wt_check(pipe(waker.fds) == 0);
    for (int i = 0; i < PARKED; i++) {
        wt_check(weft_spawn(&tasks[i], park, &future) == 0);
    }
    for (int i = 0; i < 100; i++) {
        wt_check(weft_yield() == 0);
    }
    waker.peak = resident_bytes();
    wt_check(pthread_create(&thread, NULL, wake_when_it_falls, &waker) == 0);
    wt_check(weft_future_set(&future, 0) == 0);
    for (int i = 0; i < PARKED; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    wt_check(weft_read(waker.fds[0], &byte, 1) == 1);
    bool is_in_between = resident_bytes() > waker.peak / 2;
    wt_check(pthread_join(thread, NULL) == 0);
    wt_check(weft_close(waker.fds[0]) == 0 && weft_close(waker.fds[1]) == 0);
    free(tasks);
    return is_in_between;
}

/* The plain thread may be late, so there are several attempts. */
static intptr_t be_woken(void *arg)
{
    bool *was_woken = arg;

    for (int i = 0; i < 10 && !*was_woken; i++) {
        *was_woken = wakes_in_between();
    }
    return 0;
}

Test(memory, events_are_heard_while_memory_goes_back)
{
    const weft_options options = {.workers = 1};
    bool was_woken = false;

    SKIP_IF_SANITIZED();
    cr_assert_eq(weft_run(be_woken, &was_woken, &options), 0);
    wt_assert_clean();
    cr_assert(was_woken);
}

/* Everything goes back with the runtime. */
static intptr_t park_and_leave(void *arg)
{
    weft_future *future = arg;

    for (int i = 0; i < 2000; i++) {
        wt_check(weft_spawn(NULL, park, future) == 0);
    }
    return weft_sleep(WEFT_MS);
}

Test(memory, runtimes_leave_nothing)
{
    long before = 0;

    SKIP_IF_SANITIZED();
    for (int i = 0; i < 30; i++) {
        const weft_options options = {.workers = 2};
        weft_future future = WEFT_FUTURE_INIT;

        if (i == 5) {
            before = resident_bytes();
        }
        cr_assert_eq(weft_run(park_and_leave, &future, &options), 0);
    }
    wt_assert_clean();
    cr_assert_leq(resident_bytes() - before, 4L << 20);
}
