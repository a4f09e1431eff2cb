/* SPDX-License-Identifier: MIT */
/* test_runtime_shutdown.c - stopping: who is cancelled, in which order, what the grace allows, what was accepted
 * meanwhile. RU-n are the rules of the model. */
#include <sched.h>
#include <unistd.h>

#include "sched/sched.h"
#include "runtime_test.h"

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
    if (WT_IS_SANITIZED) {
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
