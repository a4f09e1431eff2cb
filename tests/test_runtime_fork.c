/* SPDX-License-Identifier: MIT */
/* test_runtime_fork.c - a process that forks while a runtime lives: what the child is told. */
#include <sys/wait.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/shield.h>
#include <weft/stats.h>
#include <weft/timeout.h>

#include "fiber/tools.h"
#include "runtime_test.h"

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
    } else if (
        !WT_IS_SANITIZED) { /* one of its own is fine; but a sanitizer's malloc is not, here */
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
