/* SPDX-License-Identifier: MIT */
/* test_task_misuse.c - what tasks are not for: plain threads, NULL, bad options, scopes left open; and their stacks. */
#include <errno.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/shield.h>
#include <weft/stats.h>
#include <weft/timeout.h>

#include "task_test.h"

/* ---- misuse ---- */

/* Fiber-only calls from a plain thread: -EPERM, whatever the arguments. */
Test(task, plain_threads_are_told)
{
    weft_task *task = NULL, *const none[1] = {NULL};
    weft_group group;
    weft_timeout timeout;
    weft_shield shield;
    weft_future future = WEFT_FUTURE_INIT;
    weft_weak weak;
    intptr_t result;
    weft_stats_t stats = {.size = sizeof stats};

    memset(&group, 0, sizeof group);
    memset(&timeout, 0, sizeof timeout);
    memset(&shield, 0, sizeof shield);
    cr_expect_eq(weft_spawn(&task, give, NULL), -EPERM);
    cr_expect_null(task);
    cr_expect_eq(weft_await(NULL, &result), -EPERM);
    cr_expect_eq(weft_join(NULL, &result), -EPERM);
    cr_expect_eq(weft_join_shielded(NULL, &result), -EPERM);
    cr_expect_eq(weft_sleep(1), -EPERM);
    cr_expect_eq(weft_sleep(0), -EPERM);
    cr_expect_eq(weft_sleep_until(1), -EPERM);
    cr_expect_eq(weft_yield(), -EPERM);
    cr_expect_eq(weft_checkpoint(), -EPERM);
    cr_expect_eq(weft_timeout_enter(&timeout, 1), -EPERM);
    cr_expect_eq(weft_timeout_enter_at(&timeout, 1), -EPERM);
    cr_expect_eq(weft_timeout_leave(&timeout, 0), -EPERM);
    cr_expect_eq(weft_shield_enter(&shield, 1), -EPERM);
    cr_expect_eq(weft_shield_leave(&shield, 0), -EPERM);
    cr_expect_eq(weft_group_open(&group, 0), -EPERM);
    cr_expect_eq(weft_group_spawn(&group, NULL, give, NULL, NULL), -EPERM);
    cr_expect_eq(weft_group_drain(&group, 1), -EPERM);
    cr_expect_eq(weft_group_close(&group, 0), -EPERM);
    cr_expect_eq(weft_gather(none, 1, NULL, WEFT_GATHER_COLLECT, NULL), -EPERM);
    cr_expect_eq(weft_wait(none, 1, WEFT_WAIT_ALL, 1, NULL), -EPERM);
    cr_expect_eq(weft_wait_for(NULL, 1, NULL), -EPERM);
    cr_expect_eq(weft_call_for(give, NULL, 1, NULL), -EPERM);
    cr_expect_eq(weft_future_await(&future, &result), -EPERM);
    cr_expect_eq(weft_tasks(NULL, &weak, 1), -EPERM);
    cr_expect_eq(weft_stats(NULL, &stats), -EPERM);
    cr_expect_null(weft_self());
    cr_expect_null(weft_runtime_current());
    cr_expect_gt(weft_now(), 0);
}

/* NULL where a handle belongs. */
Test(task, null_is_told)
{
    intptr_t result;
    weft_runtime *runtime;
    const weft_options options = {.workers = 1};

    cr_expect_eq(weft_cancel(NULL), -EINVAL);
    cr_expect_eq(weft_uncancel(NULL), -EINVAL);
    cr_expect_eq(weft_cancelling(NULL), -EINVAL);
    cr_expect_eq(weft_task_result(NULL, &result), -EINVAL);
    cr_expect_eq(weft_task_raw_result(NULL, &result), -EINVAL);
    cr_expect_eq(weft_detach(NULL), -EINVAL);
    cr_expect_eq(weft_on_done(NULL, NULL, NULL), -EINVAL);
    cr_expect_eq(weft_thread_join(NULL, 1, &result), -EINVAL);
    cr_expect_null(weft_retain(NULL));
    cr_expect_eq(weft_task_id(NULL), 0U);
    cr_expect_str_eq(weft_task_name(NULL), "");
    cr_expect_str_eq(weft_task_site(NULL), "");
    cr_expect_eq(weft_task_state(NULL), WEFT_PENDING);
    cr_expect_eq(weft_runtime_submit(NULL, NULL, give, NULL, NULL), -EINVAL);
    cr_expect_eq(weft_runtime_stop(NULL), -EINVAL);
    cr_expect_eq(weft_runtime_start(NULL, &options), -EINVAL);
    cr_expect_eq(weft_run(NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    cr_expect_eq(weft_runtime_submit(runtime, NULL, NULL, NULL, NULL), -EINVAL);
    cr_expect_eq(weft_tasks(runtime, NULL, 1), -EINVAL);
    cr_expect_eq(weft_stats(runtime, NULL), -EINVAL);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
}

static intptr_t bad_input(void *arg)
{
    const weft_spawn_options newer = {.size = sizeof newer + 8};
    const weft_spawn_options huge = {.stack_bytes = SIZE_MAX / 2};
    const weft_spawn_options big = {.stack_bytes = 4 << 20};
    weft_task *task = NULL;
    intptr_t result;

    (void)arg;
    wt_check(weft_spawn(&task, NULL, NULL) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, NULL, &newer) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, NULL, &huge) == -EINVAL);
    wt_check(task == NULL);
    wt_check(weft_await(NULL, NULL) == -EINVAL);
    wt_check(weft_join(NULL, NULL) == -EINVAL);
    wt_check(weft_join_shielded(NULL, NULL) == -EINVAL);
    wt_check(weft_wait_for(NULL, 1, NULL) == -EINVAL);
    wt_check(weft_call_for(NULL, NULL, 1, NULL) == -EINVAL);
    wt_check(weft_future_await(NULL, NULL) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, word(3), &big) == 0);
    wt_check(weft_thread_join(task, 1, &result) == -EDEADLK); /* a worker would wait for itself */
    wt_check(weft_task_result(task, NULL) == -EINVAL);
    wt_check(weft_task_raw_result(task, NULL) == -EINVAL);
    wt_check(weft_await(task, &result) == 0 && result == 3);
    wt_check(weft_tasks(NULL, NULL, 0) == 1); /* nothing was made on the way */
    return 0;
}

Test(task, bad_input_changes_nothing)
{
    simulate(bad_input);
    cr_assert_eq(atomic_load(&report_count), 0);
}

/* A promised stack can be used. */
static intptr_t use_stack(void *arg)
{
    size_t bytes = (size_t)(intptr_t)arg - 8192;
    volatile char *room = __builtin_alloca(bytes);

    for (size_t i = 0; i < bytes; i += 1024) {
        room[i] = (char)i;
    }
    return weft_yield();
}

static intptr_t stacks(void *arg)
{
    static const size_t sizes[] = {16384, 65536, 1 << 20, 8 << 20};

    (void)arg;
    for (int i = 0; i < 4; i++) {
        const weft_spawn_options options = {.stack_bytes = sizes[i]};
        weft_task *task;

        wt_check(weft_spawn_with(&task, use_stack, word((intptr_t)sizes[i]), &options) == 0);
        wt_check(weft_await(task, NULL) == 0);
    }
    return 0;
}

Test(task, stacks_of_the_promised_size)
{
    simulate(stacks);
}

/* A scope left open would fire into a dead frame. */
static intptr_t leave_open(void *arg)
{
    weft_timeout timeout;

    (void)arg;
    return weft_timeout_enter(&timeout, WEFT_S);
}

Test(task, ending_with_an_open_scope_aborts, .signal = SIGABRT)
{
    cr_assert_eq(weft_run(leave_open, NULL, &simulated), 0);
}

/* The handle is the runtime's: who drops it all the same has dropped one too many, and is told when the task ends. */
static intptr_t drop_detached(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, sleep_long, NULL) == 0);
    wt_check(weft_yield() == 0); /* it has started: an end of its own */
    wt_check(weft_detach(task) == 0);
    weft_drop(task);
    return weft_sleep(WEFT_MS);
}

Test(task, dropping_what_was_detached_aborts, .signal = SIGABRT)
{
    const weft_options options = {.workers = 1};

    cr_assert_eq(weft_run(drop_detached, NULL, &options), 0);
}
