/* SPDX-License-Identifier: MIT */
/* test_runtime.c - runtimes: options, results, submitting from plain threads, many in a row and beside each other. */
#include <dirent.h>
#include <sched.h>

#include <weft/stats.h>

#include "runtime_test.h"

/* ---- options ---- */

Test(runtime, options_are_checked)
{
    static const struct {
        weft_options options;
        int rc;
    } rows[] = {
        {{.workers = -1}, -EINVAL},
        {{.workers = 1025}, -EINVAL},
        {{.workers = 1, .size = 1}, -EINVAL},
        {{.workers = 1, .size = sizeof(weft_options) + 64}, -EINVAL},
        {{.workers = 1, .stack_bytes = SIZE_MAX / 2}, -EINVAL},
        {{.workers = 1, .shutdown_grace_ns = -1}, -EINVAL},
        {{.workers = 1, .io = (weft_io_backend)9}, -EINVAL},
        {{.workers = 1, .size = sizeof(weft_options)}, 0},
        {{.workers = 1, .io = WEFT_IO_EPOLL}, 0},
        {{.workers = 3}, 0},
        {{.workers = 1, .stack_bytes = 1 << 20}, 0},
        {{.workers = 2, .pin = true}, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        weft_runtime *runtime = NULL;
        intptr_t expected = rows[i].rc == 0 ? 5 : rows[i].rc;

        cr_assert_eq(weft_run(give, word(5), &rows[i].options), expected, "row %zu", i);
        cr_assert_eq(weft_runtime_start(&runtime, &rows[i].options), rows[i].rc, "row %zu", i);
        cr_assert_eq(runtime != NULL, rows[i].rc == 0);
        if (runtime != NULL) {
            cr_assert_eq(weft_runtime_stop(runtime), 0);
        }
    }
}

static intptr_t count_workers(void *arg)
{
    weft_stats_t stats = {.size = sizeof stats};

    (void)arg;
    wt_check(weft_stats(NULL, &stats) == 0);
    return (intptr_t)stats.workers;
}

Test(runtime, workers_come_from_the_environment)
{
    const weft_options explicit = {.workers = 2};
    intptr_t allowed;

    cr_assert_eq(unsetenv("WEFT_WORKERS"), 0);
    allowed = weft_run(count_workers, NULL, NULL);
    cr_assert(allowed >= 1 && allowed <= 1024);
    cr_assert_eq(setenv("WEFT_WORKERS", "3", 1), 0);
    cr_assert_eq(weft_run(count_workers, NULL, NULL), 3);
    cr_assert_eq(weft_run(count_workers, NULL, &explicit), 2);
    cr_assert_eq(weft_run(count_workers, NULL, &simulated), 1);
    static const char *const bad[] = {"", "0", "-1", "x", "4x", "99999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(setenv("WEFT_WORKERS", bad[i], 1), 0);
        cr_assert_eq(weft_run(count_workers, NULL, NULL), allowed, "%s", bad[i]);
    }
    wt_assert_clean();
}

Test(runtime, simulation_has_its_limits)
{
    weft_runtime *runtime = NULL;
    const weft_options seeded = {.simulate = true, .seed = 7};

    cr_assert_eq(weft_runtime_start(&runtime, &simulated), -EINVAL); /* it has no thread */
    cr_assert_null(runtime);
    cr_assert_eq(weft_run(give, word(1), &seeded), 1);
    cr_assert_eq(weft_run(give, word(1), &simulated), 1);
}

/* ---- run: RU-1 ---- */

static intptr_t cancel_self(void *arg)
{
    (void)arg;
    wt_check(weft_cancel(weft_self()) == 1);
    return 7;
}

static intptr_t run_inside(void *arg)
{
    weft_runtime *runtime = NULL;
    const weft_options options = {.workers = 1};
    intptr_t result = 0;
    weft_task *task;

    (void)arg;
    wt_check(weft_run(give, word(1), &options) == -EPERM); /* U02 */
    wt_check(weft_runtime_stop(weft_runtime_current()) == -EDEADLK);
    if (weft_runtime_start(&runtime, &options) == 0) { /* another one beside it is fine */
        wt_check(weft_runtime_current() != runtime);
        wt_check(weft_runtime_submit(runtime, &task, give, word(8), NULL) == 0);
        while (weft_task_state(task) == WEFT_PENDING) {
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_task_result(task, &result) == 0 && result == 8);
        weft_drop(task);
        wt_check(weft_runtime_stop(runtime) == 0);
    }
    return 3;
}

Test(runtime, run_returns_what_main_does)
{
    static const intptr_t values[] = {0, 5, INTPTR_MAX, -4096, -EIO, -ECANCELED};
    static const weft_options real = {.workers = 2, .diagnostic = on_report};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        cr_assert_eq(weft_run(give, word(values[i]), &simulated), values[i]);
        cr_assert_eq(weft_run(give, word(values[i]), &real), values[i]);
    }
    cr_assert_eq(weft_run(cancel_self, NULL, &simulated), -ECANCELED);
    cr_assert_eq(weft_run(run_inside, NULL, &real), 3);
    wt_assert_clean();
    cr_assert_eq(atomic_load(&report_count), 0); /* main's error is weft_run's to tell */
}

/* ---- start, submit, stop, thread_join ---- */

static void *submit_some(void *arg)
{
    for (intptr_t i = 0; i < 200; i++) {
        weft_task *task = NULL;
        intptr_t result = 0;

        wt_check(weft_runtime_submit(arg, &task, i % 10 == 0 ? sleep_ms : give, word(i % 10 + 1),
                                     NULL) == 0);
        wt_check(weft_thread_join(task, WEFT_FOREVER, &result) == 0);
        wt_check(result == i % 10 + 1);
        wt_check(weft_thread_join(task, 0, NULL) == 0); /* it borrows */
        weft_drop(task);
    }
    return NULL;
}

Test(runtime, plain_threads_submit_and_join)
{
    const weft_options options = {.workers = 2, .diagnostic = on_report};
    weft_runtime *runtime;
    pthread_t threads[4];
    weft_stats_t stats = {.size = sizeof stats};

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, submit_some, runtime), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_assert_eq(weft_stats(runtime, &stats), 0);
    cr_assert_eq(stats.tasks_spawned, 800U);
    cr_assert_eq(stats.workers, 2U);
    cr_assert_eq(weft_tasks(runtime, NULL, 0), 0);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
    cr_assert_eq(atomic_load(&report_count), 0);
}

Test(runtime, thread_join_has_a_limit)
{
    const weft_options options = {.workers = 1};
    weft_runtime *runtime;
    weft_task *task;
    intptr_t result = 77;
    int64_t start;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    cr_assert_eq(weft_runtime_submit(runtime, &task, sleep_for_ever, NULL, NULL), 0);
    cr_assert_eq(weft_thread_join(task, 0, &result), -ETIMEDOUT);
    cr_assert_eq(weft_thread_join(task, -5, &result), -ETIMEDOUT);
    start = weft_now();
    cr_assert_eq(weft_thread_join(task, 5 * WEFT_MS, &result), -ETIMEDOUT);
    cr_assert_geq(weft_now() - start, 5 * WEFT_MS);
    cr_assert_eq(result, 77);
    cr_assert_eq(weft_task_state(task), WEFT_PENDING); /* TH-2: nothing was cancelled */
    cr_assert_eq(weft_cancelling(task), 0);
    cr_assert_eq(weft_cancel(task), 1);
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, -ECANCELED);
    weft_drop(task);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
}

/* ---- again and again, and beside each other ---- */

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    cr_assert_not_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

Test(runtime, two_hundred_cycles_leak_nothing)
{
    int descriptors = 0, threads = 0;

    for (int i = 0; i < 200; i++) {
        const weft_options options = {.workers = 1 + i % 3, .diagnostic = on_report};
        weft_runtime *runtime;
        weft_task *task;

        if (i == 5) { /* what the C library makes once is there by now */
            descriptors = count_entries("/proc/self/fd");
            threads = count_entries("/proc/self/task");
        }
        if (i % 2 == 0) {
            cr_assert_eq(weft_run(small_program, NULL, &options), 0);
            continue;
        }
        cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
        cr_assert_eq(weft_runtime_submit(runtime, NULL, sleep_for_ever, NULL, NULL), 0);
        cr_assert_eq(weft_runtime_submit(runtime, &task, small_program, NULL, NULL), 0);
        cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, NULL), 0);
        weft_drop(task);
        cr_assert_eq(weft_runtime_stop(runtime), 0);
    }
    cr_assert_eq(count_entries("/proc/self/fd"), descriptors);
    /* a joined thread may still be on its way out of the kernel */
    for (int i = 0; i < 1000 && count_entries("/proc/self/task") > threads; i++) {
        sched_yield();
    }
    cr_assert_leq(count_entries("/proc/self/task"), threads);
    wt_assert_clean();
}

static void *run_own(void *arg)
{
    const weft_options options = {.workers = 1 + (int)(intptr_t)arg % 2, .diagnostic = on_report};

    for (int i = 0; i < 20; i++) {
        wt_check(weft_run(small_program, NULL, &options) == 0);
        wt_check(weft_run(give, arg, &simulated) == (intptr_t)arg);
    }
    return NULL;
}

Test(runtime, several_at_once)
{
    pthread_t threads[6];

    for (intptr_t i = 0; i < 6; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, run_own, word(i)), 0);
    }
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    wt_assert_clean();
}

/* Handles of one runtime in the hands of another's fibers. */
static weft_task *foreign;

static intptr_t use_foreign(void *arg)
{
    weft_runtime *other = arg;
    weft_task *mine;
    intptr_t result = 0;

    wt_check(weft_runtime_submit(other, &mine, give, word(4), NULL) == 0);
    while (weft_task_result(mine, &result) == -EAGAIN) {
        wt_check(weft_yield() == 0);
    }
    wt_check(result == 4);
    weft_drop(mine);
    wt_check(weft_cancel(foreign) == 1);
    return 0;
}

Test(runtime, handles_cross_runtimes)
{
    const weft_options options = {.workers = 1, .diagnostic = on_report};
    weft_runtime *other;

    cr_assert_eq(weft_runtime_start(&other, &options), 0);
    cr_assert_eq(weft_runtime_submit(other, &foreign, sleep_for_ever, NULL, NULL), 0);
    cr_assert_eq(weft_run(use_foreign, other, &options), 0);
    cr_assert_eq(weft_thread_join(foreign, WEFT_FOREVER, NULL), 0);
    weft_drop(foreign);
    cr_assert_eq(weft_runtime_stop(other), 0);
    wt_assert_clean();
}
