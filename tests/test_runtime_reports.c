/* SPDX-License-Identifier: MIT */
/* test_runtime_reports.c - diagnostics: to the hook, or as lines; deadlocks, stuck workers. */
#include <unistd.h>

#include <weft/future.h>
#include <weft/group.h>
#include <weft/stats.h>

#include "base/clock.h"
#include "runtime_test.h"

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
    cr_assert_not_null(strstr(text, "test_runtime_reports.c:"));
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
