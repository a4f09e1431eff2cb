/* SPDX-License-Identifier: MIT */
/* test_runtime.c - starting and stopping: options, results, shutdown, diagnostics, fork, leaks. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/shield.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "base/clock.h"
#include "fiber/tools.h"
#include "sched/sched.h"
#include "support.h"
#include "weft_test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* ---- what was reported ---- */

enum { REPORTS = 64 };

static struct {
    weft_diagnostic_kind kind;
    int error;
    char name[64];
} reports[REPORTS];
static atomic_int report_count;
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER; /* any worker reports */

static void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    wt_check(what->text[0] != '\0' && what->site[0] != '\0' && what->task_id != 0);
    pthread_mutex_lock(&report_lock);
    int at = atomic_fetch_add(&report_count, 1);
    if (at < REPORTS) {
        reports[at].kind = what->kind;
        reports[at].error = what->error;
        snprintf(reports[at].name, sizeof reports[at].name, "%s", what->name);
    }
    pthread_mutex_unlock(&report_lock);
}

static int reported(weft_diagnostic_kind kind)
{
    int count = 0;

    pthread_mutex_lock(&report_lock);
    for (int i = 0; i < atomic_load(&report_count) && i < REPORTS; i++) {
        count += reports[i].kind == kind;
    }
    pthread_mutex_unlock(&report_lock);
    return count;
}

static const weft_options simulated = {.simulate = true, .diagnostic = on_report};

static intptr_t sleep_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

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

static intptr_t sleep_ms(void *arg)
{
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);

    return rc < 0 ? rc : (intptr_t)arg;
}

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

/* ---- shutdown: RU-2, RU-3 ---- */

static int told[16];
static int told_count;
static bool never_ran;

static intptr_t note_told(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    wt_check(rc == -ECANCELED);
    told[told_count++] = (int)(intptr_t)arg;
    wt_check(weft_sleep(WEFT_S) == 0); /* clean-up may take time */
    wt_check(weft_spawn(NULL, give, NULL) == -ESHUTDOWN);
    return rc;
}

static intptr_t fail_when_told(void *arg)
{
    return weft_sleep(100 * WEFT_S) == -ECANCELED ? (intptr_t)arg : 0;
}

static intptr_t note_run(void *arg)
{
    never_ran = false;
    return (intptr_t)arg;
}

static intptr_t spawn_late(void *arg)
{
    wt_check(weft_spawn(NULL, note_run, arg) == 0);
    return 0;
}

static intptr_t leave_some(void *arg)
{
    weft_task *task;

    (void)arg;
    for (intptr_t i = 0; i < 10; i++) {
        wt_check(weft_spawn(i % 2 == 0 ? NULL : &task, note_told, word(i)) == 0);
    }
    wt_check(weft_spawn(NULL, fail_when_told, word(-EIO)) == 0);
    wt_check(weft_yield() == 0);
    never_ran = true;
    wt_check(weft_spawn(NULL, spawn_late, NULL) ==
             0); /* queued, so it runs; what it spawns does not */
    return 9;
}

Test(runtime, leftovers_are_cancelled_in_the_order_of_spawning)
{
    cr_assert_eq(weft_run(leave_some, NULL, &simulated), 9);
    wt_assert_clean();
    cr_assert_eq(told_count, 10);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(told[i], i);
    }
    cr_assert(never_ran);
    cr_assert_eq(reported(WEFT_DIAG_ERROR_AT_SHUTDOWN), 1);
    cr_assert_eq(atomic_load(&report_count), 1);
    cr_assert_eq(reports[0].error, -EIO);
}

/* Handles that nobody dropped: the values they hold are given back all the same. */
static int results_dropped;

static void drop_result(intptr_t result)
{
    wt_check(result == 5);
    results_dropped++;
}

static intptr_t leak_handles(void *arg)
{
    const weft_spawn_options options = {.name = "leaked", .drop_result = drop_result};
    weft_task *task;

    (void)arg;
    for (int i = 0; i < 3; i++) {
        wt_check(weft_spawn_with(&task, give, word(i == 2 ? -EIO : 5), &options) == 0);
    }
    return weft_yield();
}

Test(runtime, handles_never_dropped)
{
    cr_assert_eq(weft_run(leak_handles, NULL, &simulated), 0);
    wt_assert_clean();
    cr_assert_eq(reported(WEFT_DIAG_ERROR_AT_SHUTDOWN) + reported(WEFT_DIAG_ERROR_NEVER_RETRIEVED),
                 1);
    cr_assert_eq(results_dropped, 2);
}

/* ---- the grace ---- */

static atomic_bool may_end, has_begun;

static intptr_t refuse_to_end(void *arg)
{
    (void)arg;
    atomic_store(&has_begun, true);
    while (!atomic_load(&may_end)) {
        if (weft_sleep(WEFT_MS) < 0) {
            continue; /* swallowed */
        }
    }
    return 0;
}

static intptr_t leave_stubborn(void *arg)
{
    const weft_spawn_options options = {.name = "stubborn"};

    (void)arg;
    wt_check(weft_spawn_with(NULL, refuse_to_end, NULL, &options) == 0);
    while (!atomic_load(&has_begun)) {
        wt_check(weft_yield() == 0);
    }
    return 0;
}

Test(runtime, the_grace_ends)
{
    const weft_options options = {
        .workers = 2, .shutdown_grace_ns = 20 * WEFT_MS, .diagnostic = on_report};
    int64_t start = weft_now();

    cr_assert_eq(weft_run(leave_stubborn, NULL, &options), -EBUSY);
    cr_assert_geq(weft_now() - start, 20 * WEFT_MS);
    cr_assert_eq(reported(WEFT_DIAG_LEFT_AT_SHUTDOWN), 1);
    cr_assert_str_eq(reports[0].name, "stubborn");
    wt_assert_clean();
    atomic_store(&may_end, true); /* its memory stays: nothing may be freed under it */
    if (IS_SANITIZED) {
        _exit(0); /* without a search for leaks: that memory is one */
    }
}

static void *try_to_stop(void *runtime)
{
    wt_check(weft_runtime_stop(runtime) == -EINVAL);
    return NULL;
}

static intptr_t be_stopped(void *arg)
{
    pthread_t thread;

    (void)arg;
    wt_check(weft_runtime_stop(weft_runtime_current()) == -EDEADLK);
    wt_check(pthread_create(&thread, NULL, try_to_stop, weft_runtime_current()) == 0);
    wt_check(pthread_join(thread, NULL) == 0);
    return weft_sleep(WEFT_MS);
}

Test(runtime, that_of_weft_run_is_not_stopped)
{
    cr_assert_eq(weft_run(be_stopped, NULL, NULL), 0);
    wt_assert_clean();
}

Test(runtime, stop_may_be_called_again)
{
    const weft_options options = {
        .workers = 2, .shutdown_grace_ns = 10 * WEFT_MS, .diagnostic = on_report};
    const weft_spawn_options named = {.name = "stubborn"};
    weft_runtime *runtime;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    cr_assert_eq(weft_runtime_submit(runtime, NULL, refuse_to_end, NULL, &named), 0);
    while (!atomic_load(&has_begun)) {
        sched_yield();
    }
    cr_assert_eq(weft_runtime_stop(runtime), -EBUSY);
    cr_assert_eq(reported(WEFT_DIAG_LEFT_AT_SHUTDOWN), 1);
    cr_assert_str_eq(reports[0].name, "stubborn");
    cr_assert_eq(weft_runtime_submit(runtime, NULL, give, NULL, NULL), -ESHUTDOWN);
    cr_assert_eq(weft_runtime_stop(runtime), -EBUSY);
    cr_assert_eq(reported(WEFT_DIAG_LEFT_AT_SHUTDOWN), 2);
    atomic_store(&may_end, true);
    int rc;
    while ((rc = weft_runtime_stop(runtime)) == -EBUSY) {
    }
    cr_assert_eq(rc, 0);
}

/* ---- simulation: deadlock, L-8 ---- */

static intptr_t wait_for_nothing(void *arg)
{
    weft_future never = WEFT_FUTURE_INIT;
    const weft_spawn_options options = {.name = "other"};
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn_with(&task, sleep_for_ever, NULL, &options) == 0);
    wt_check(weft_sleep(WEFT_S) == 0);
    return weft_future_await(&never, NULL);
}

Test(runtime, a_simulated_deadlock_is_reported)
{
    cr_assert_eq(weft_run(wait_for_nothing, NULL, &simulated), -EDEADLK);
    wt_assert_clean();
    cr_assert_eq(reported(WEFT_DIAG_DEADLOCK), 2);
    cr_assert_eq(weft_run(give, word(3), &simulated), 3); /* the next one is none the worse */
}

/* ---- all kinds of diagnostics reach the hook; without one they are a line on standard error ---- */

static intptr_t swallow(void *arg)
{
    (void)arg;
    return weft_sleep(100 * WEFT_S) == -ECANCELED ? 1 : 0;
}

static intptr_t cause_reports(void *arg)
{
    weft_task *task;
    weft_group group;

    (void)arg;
    wt_check(weft_spawn(NULL, give, word(-EIO)) == 0);
    wt_check(weft_spawn(&task, sleep_for_ever, NULL) == 0);
    wt_check(weft_yield() == 0);
    weft_drop(task);
    wt_check(weft_spawn(&task, swallow, NULL) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    wt_check(weft_group_spawn(&group, NULL, give, word(-EPIPE), NULL) == 0);
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(weft_spawn(NULL, fail_when_told, word(-EIO)) == 0);
    return weft_yield();
}

Test(runtime, diagnostics_reach_the_hook)
{
    cr_assert_eq(weft_run(cause_reports, NULL, &simulated), 0);
    wt_assert_clean();
    cr_assert_eq(reported(WEFT_DIAG_ERROR_NEVER_RETRIEVED), 1);
    cr_assert_eq(reported(WEFT_DIAG_DROPPED_WHILE_PENDING), 1);
    cr_assert_eq(reported(WEFT_DIAG_CANCEL_SWALLOWED), 1);
    cr_assert_eq(reported(WEFT_DIAG_GROUP_ERROR), 1);
    cr_assert_eq(reported(WEFT_DIAG_ERROR_AT_SHUTDOWN), 1);
    cr_assert_eq(atomic_load(&report_count), 5);
}

Test(runtime, without_a_hook_they_are_lines)
{
    const weft_options options = {.simulate = true};
    int ends[2], saved = dup(STDERR_FILENO), lines = 0;
    char text[4096];
    ssize_t length;

    cr_assert_eq(pipe(ends), 0);
    cr_assert_geq(saved, 0);
    cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
    intptr_t rc = weft_run(cause_reports, NULL, &options);
    cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
    close(ends[1]);
    close(saved);
    cr_assert_eq(rc, 0);
    length = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    cr_assert_gt(length, 0);
    text[length] = '\0';
    for (const char *line = text; (line = strstr(line, "weft: ")) != NULL; line++) {
        lines++;
    }
    cr_assert_eq(lines, 5, "%s", text);
    cr_assert_not_null(strstr(text, "test_runtime.c:"));
}

/* A stuck worker is named. */
static intptr_t hog(void *arg)
{
    int64_t end = wf_monotonic_ns() + 10 * WEFT_S * WT_TIME_SCALE;

    (void)arg;
    while (reported(WEFT_DIAG_STUCK_WORKER) == 0 && wf_monotonic_ns() < end) {
    }
    return 0;
}

static intptr_t be_stuck(void *arg)
{
    const weft_spawn_options options = {.name = "hog"};
    weft_stats_t stats = {.size = sizeof stats};
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn_with(&task, hog, NULL, &options) == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_stats(NULL, &stats) == 0 && stats.hogs >= 1);
    return 0;
}

Test(runtime, a_stuck_worker_is_named, .timeout = 30)
{
    const weft_options options = {.workers = 2, .diagnostic = on_report};

    cr_assert_eq(weft_run(be_stuck, NULL, &options), 0);
    wt_assert_clean();
    cr_assert_geq(reported(WEFT_DIAG_STUCK_WORKER), 1);
    cr_assert_str_eq(reports[0].name, "hog");
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

static intptr_t small_program(void *arg)
{
    weft_task *tasks[8];

    (void)arg;
    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], sleep_ms, word(0)) == 0);
    }
    for (int i = 0; i < 8; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    wt_check(weft_spawn(NULL, sleep_for_ever, NULL) == 0);
    return weft_yield();
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

/* ---- fork ---- */

static weft_runtime *parent_runtime;
static weft_task *parent_task;

/* Every call on the parent's runtime; 0 if all say -ECHILD. */
static int calls_in_child(bool on_fiber)
{
    int bad = 0;
    intptr_t result;
    weft_task *task;
    weft_stats_t stats = {.size = sizeof stats};
    weft_weak weak;
    weft_future future = WEFT_FUTURE_INIT;
    weft_group group;
    weft_timeout limit;
    weft_shield section;
    weft_runtime *runtime = parent_runtime;

    memset(&group, 0, sizeof group);
    bad += weft_cancel(parent_task) != -ECHILD;
    bad += weft_uncancel(parent_task) != -ECHILD;
    bad += weft_cancelling(parent_task) != -ECHILD;
    bad += weft_detach(parent_task) != -ECHILD;
    bad += weft_on_done(parent_task, NULL, NULL) != -ECHILD;
    bad += weft_thread_join(parent_task, 0, &result) != -ECHILD;
    bad += weft_task_result(parent_task, &result) != -ECHILD;
    bad += weft_task_raw_result(parent_task, &result) != -ECHILD;
    bad += weft_tasks(runtime, &weak, 1) != -ECHILD;
    bad += weft_stats(runtime, &stats) != -ECHILD;
    bad += weft_runtime_submit(runtime, &task, give, NULL, NULL) != -ECHILD;
    bad += weft_runtime_stop(runtime) != -ECHILD;
    bad += weft_upgrade(weft_weak_of(parent_task)) != NULL;
    weft_drop(parent_task); /* does nothing */
    if (on_fiber) {
        bad += weft_self() != NULL;
        bad += weft_spawn(&task, give, NULL) != -ECHILD;
        bad += weft_yield() != -ECHILD;
        bad += weft_sleep(1) != -ECHILD;
        bad += weft_checkpoint() != -ECHILD;
        bad += weft_join(parent_task, &result) != -ECHILD;
        bad += weft_await(parent_task, &result) != -ECHILD;
        bad += weft_future_await(&future, &result) != -ECHILD;
        bad += weft_gather(&parent_task, 1, NULL, WEFT_GATHER_COLLECT, NULL) != -ECHILD;
        bad += weft_wait(&parent_task, 1, WEFT_WAIT_ALL, 0, NULL) != -ECHILD;
        bad += weft_timeout_enter(&limit, 1) != -ECHILD;
        bad += weft_shield_enter(&section, 1) != -ECHILD;
        bad += weft_group_open(&group, 0) != -ECHILD;
        bad += weft_stats(NULL, &stats) != -ECHILD;
        bad += weft_tasks(NULL, &weak, 1) != -ECHILD;
    } else if (!IS_SANITIZED) { /* one of its own is fine; but a sanitizer's malloc is not, here */
        const weft_options options = {.workers = 2};

        /* the thread sanitizer ends a forked child that starts threads */
        bad += !WF_TSAN && weft_run(small_program, NULL, &options) != 0;
        bad += weft_run(give, word(6), &simulated) != 6;
    }
    return bad;
}

static int fork_and_call(bool on_fiber)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        _exit(calls_in_child(on_fiber));
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

static intptr_t fork_on_fiber(void *arg)
{
    (void)arg;
    return fork_and_call(true);
}

Test(runtime, a_forked_child_is_told)
{
    const weft_options options = {.workers = 2, .diagnostic = on_report};
    weft_task *task;
    intptr_t result = 77;

    cr_assert_eq(weft_runtime_start(&parent_runtime, &options), 0);
    cr_assert_eq(weft_runtime_submit(parent_runtime, &parent_task, sleep_for_ever, NULL, NULL), 0);
    cr_assert_eq(fork_and_call(false), 0);
    cr_assert_eq(weft_runtime_submit(parent_runtime, &task, fork_on_fiber, NULL, NULL), 0);
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, 0); /* and the parent goes on */
    weft_drop(task);
    cr_assert_eq(weft_cancel(parent_task), 1);
    cr_assert_eq(weft_thread_join(parent_task, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, -ECANCELED);
    weft_drop(parent_task);
    cr_assert_eq(weft_runtime_stop(parent_runtime), 0);
}

static weft_future before_fork = WEFT_FUTURE_INIT;
static pid_t parent_process;

static intptr_t wait_before_fork(void *arg)
{
    (void)arg;
    wt_check(weft_future_await(&before_fork, NULL) == 0);
    if (getpid() != parent_process) {
        _exit(3); /* the forked child has gone on to another task */
    }
    return 0;
}

static intptr_t fork_inside(void *arg)
{
    (void)arg;
    wt_check(weft_future_set(&before_fork, 0) == 0); /* somebody is ready from here on */
    return fork();
}

static intptr_t join_a_fork(void *arg)
{
    weft_task *waiting;
    weft_task *other;
    weft_task *forking;
    intptr_t pid = -1;
    intptr_t result = -1;
    int status = -1;

    (void)arg;
    wt_check(weft_spawn(&waiting, wait_before_fork, NULL) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_spawn(&other, give, word(5)) == 0);
    wt_check(weft_spawn(&forking, fork_inside, NULL) == 0);
    wt_check(weft_await(forking, &pid) == 0);
    if (pid == 0) {
        _exit(weft_await(other, &result) == -ECHILD ? 0 : 4);
    }
    wt_check(waitpid((pid_t)pid, &status, 0) == pid);
    wt_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    wt_check(weft_await(other, &result) == 0 && result == 5);
    wt_check(weft_await(waiting, NULL) == 0);
    return 0;
}

/* Who comes back to its joiner in a forked child runs nobody there, whatever was ready when it forked. */
Test(runtime, a_join_in_a_forked_child_runs_nobody)
{
    const weft_options options = {.workers = 1, .diagnostic = on_report};

    parent_process = getpid();
    cr_assert_eq(weft_run(join_a_fork, NULL, &options), 0);
    wt_assert_clean();
}

/* ---- a submit that is under way when closing begins ---- */

static atomic_int accepted_ended;

static void count_accepted(void *arg)
{
    (void)arg;
    (void)atomic_fetch_add(&accepted_ended, 1);
}

static intptr_t end_accepted(void *arg)
{
    count_accepted(arg);
    return 0;
}

static uint64_t sleeps_so_far(weft_runtime *runtime)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        sum += wf_load_rlx(&runtime->workers[i].counters.sleeps);
    }
    return sum;
}

static void *stop_runtime(void *arg)
{
    wt_check(weft_runtime_stop(arg) == 0);
    return NULL;
}

/* The halves of weft_runtime_submit, between which another thread stops the runtime and a worker goes idle. */
Test(runtime, what_is_accepted_while_closing_begins_ends)
{
    const weft_options options = {.workers = 2};
    const weft_spawn_options with_drop = {.size = sizeof with_drop, .drop_arg = count_accepted};
    weft_runtime *runtime;
    weft_task *task;
    pthread_t stopper;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    while (sleeps_so_far(runtime) < 2 || !wf_idle_all_asleep(&runtime->idle)) {
        (void)sched_yield();
    }
    wf_visit_begin(runtime);
    cr_assert_eq(wf_spawn_prepare(runtime, NULL, "here", end_accepted, NULL, &with_drop, &task), 0);
    cr_assert_eq(pthread_create(&stopper, NULL, stop_runtime, runtime), 0);
    while (wf_load_acq(&runtime->phase) == WF_RUNNING) {
        (void)sched_yield();
    }
    uint64_t before = sleeps_so_far(runtime);
    wf_sched_wake_one(runtime); /* it looks around and finds nothing to do */
    while (wf_load_acq(&runtime->phase) == WF_CLOSING && sleeps_so_far(runtime) == before) {
        (void)sched_yield();
    }
    wt_check(wf_load_acq(&runtime->phase) == WF_CLOSING);
    wf_spawn_publish(runtime, NULL, task);
    (void)wf_state_detach(&task->word);
    wf_sched_submit(runtime, NULL, task);
    wf_visit_end(runtime);
    cr_assert_eq(pthread_join(stopper, NULL), 0);
    wt_assert_clean();
    cr_assert_eq(atomic_load(&accepted_ended), 1);
}

/* ---- stopping under load ---- */

static intptr_t breed(void *arg)
{
    int rc = 0;

    while (rc == 0) {
        rc = weft_spawn(NULL, sleep_ms, arg);
        if (rc == 0) {
            rc = weft_yield();
        }
    }
    wt_check(rc == -ESHUTDOWN || rc == -ECANCELED);
    return rc == -ESHUTDOWN ? 0 : rc;
}

Test(runtime, stopping_under_load)
{
    for (int i = 0; i < 20; i++) {
        const weft_options options = {.workers = 1 + i % 4, .diagnostic = on_report};
        weft_runtime *runtime;
        struct timespec pause = {.tv_nsec = (i % 5) * 1000 * 1000};

        cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
        for (int k = 0; k < 4; k++) {
            cr_assert_eq(weft_runtime_submit(runtime, NULL, breed, word(k % 2), NULL), 0);
        }
        nanosleep(&pause, NULL);
        cr_assert_eq(weft_runtime_stop(runtime), 0);
    }
    wt_assert_clean();
}
