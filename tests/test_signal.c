// SPDX-License-Identifier: MIT
/* test_signal.c - waiting for signals, and options.sigint. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <weft.h>

#include "fiber/hooks.h"
#include "support.h"
#include "weft_test.h"

static const weft_options one_worker = {.workers = 1};
static const weft_options four_workers = {.workers = 4};

static int wait_for(int first, int second)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, first);
    if (second != 0) {
        sigaddset(&set, second);
    }
    return weft_signal_wait(&set);
}

static intptr_t wait_usr1(void *arg)
{
    (void)arg;
    return wait_for(SIGUSR1, 0);
}

static intptr_t wait_usr2(void *arg)
{
    (void)arg;
    return wait_for(SIGUSR2, 0);
}

static intptr_t wait_either(void *arg)
{
    (void)arg;
    return wait_for(SIGUSR1, SIGUSR2);
}

/* ---- waiting ---- */

static intptr_t one_signal(void *arg)
{
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, wait_usr1, NULL) == 0);
    until_parked(mark, 1);
    wt_check(raise(SIGUSR1) == 0);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == SIGUSR1);
    for (int i = 0; i < 100; i++) { /* kept while nobody waits, several count once */
        wt_check(raise(SIGUSR1) == 0);
        wt_check(raise(SIGUSR1) == 0);
        wt_check(wait_for(SIGUSR1, SIGUSR2) == SIGUSR1);
    }
    return 0;
}

Test(signal, waits_and_keeps, .timeout = 20)
{
    RUN(one_signal, NULL, &one_worker);
    RUN(one_signal, NULL, &four_workers);
}

/* From outside the kernel picks the thread. */
static intptr_t from_outside(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        weft_task *task;
        intptr_t result = 0;
        uint64_t mark = parks_now();
        wt_check(weft_spawn(&task, wait_usr1, NULL) == 0);
        if (i % 2 == 0) {
            until_parked(mark, 1);
        }
        wt_check(kill(getpid(), SIGUSR1) == 0);
        wt_check(weft_await(task, &result) == 0);
        wt_check(result == SIGUSR1);
    }
    return 0;
}

Test(signal, to_the_process, .timeout = 20)
{
    if (WF_TSAN) {
        wt_skip("the sanitizer keeps a signal back while its thread is in a futex call");
    }
    RUN(from_outside, NULL, &one_worker);
    RUN(from_outside, NULL, &four_workers);
}

static intptr_t each_its_own(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        weft_task *tasks[3];
        intptr_t results[3] = {0, 0, 0};
        uint64_t mark = parks_now();
        wt_check(weft_spawn(&tasks[0], wait_usr1, NULL) == 0);
        wt_check(weft_spawn(&tasks[1], wait_usr2, NULL) == 0);
        if (i % 2 == 0) {
            until_parked(mark, 2);
        }
        wt_check(raise(SIGUSR1) == 0);
        wt_check(raise(SIGUSR2) == 0);
        for (int k = 0; k < 2; k++) {
            wt_check(weft_await(tasks[k], &results[k]) == 0);
        }
        wt_check(results[0] == SIGUSR1 && results[1] == SIGUSR2);
        mark = parks_now();
        for (int k = 0; k < 3; k++) {
            wt_check(weft_spawn(&tasks[k], k == 1 ? wait_either : wait_usr1, NULL) == 0);
        }
        until_parked(mark, 3);
        for (int k = 0; k < 3; k++) { /* one delivery, one waiter */
            int pending = 0;
            wt_check(raise(SIGUSR1) == 0);
            do {
                wt_check(weft_yield() == 0);
                pending = 0;
                for (int t = 0; t < 3; t++) {
                    pending += weft_task_state(tasks[t]) == WEFT_PENDING;
                }
            } while (pending > 2 - k);
            wt_check(pending == 2 - k);
        }
        for (int k = 0; k < 3; k++) {
            wt_check(weft_await(tasks[k], &results[k]) == 0);
            wt_check(results[k] == SIGUSR1);
        }
    }
    return 0;
}

Test(signal, one_delivery_one_waiter, .timeout = 60)
{
    RUN(each_its_own, NULL, &one_worker);
    RUN(each_its_own, NULL, &four_workers);
}

static intptr_t cancelled(void *arg)
{
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, wait_usr1, NULL) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -ECANCELED);
    wt_check(raise(SIGUSR1) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(wait_for(SIGUSR1, 0) == -ECANCELED); /* and the signal is kept */
    wt_check(weft_uncancel(weft_self()) == 0);
    wt_check(wait_for(SIGUSR1, 0) == SIGUSR1);
    wt_check(weft_within(2 * WEFT_MS, wait_for(SIGUSR1, 0)) == -ETIMEDOUT);
    return 0;
}

Test(signal, cancelled_wait)
{
    RUN(cancelled, NULL, &one_worker);
}

/* ---- dispositions ---- */

static intptr_t bad_calls(void *arg)
{
    sigset_t set;
    (void)arg;
    sigemptyset(&set);
    wt_check(weft_signal_wait(NULL) == -EINVAL);
    wt_check(weft_signal_wait(&set) == -EINVAL);
    wt_check(wait_for(SIGKILL, 0) == -EINVAL);
    wt_check(wait_for(SIGUSR1, SIGSTOP) == -EINVAL);
    wt_check(wait_for(SIGSEGV, 0) == -EINVAL);
    return 0;
}

static volatile sig_atomic_t hits;

static void on_hit(int number)
{
    (void)number;
    hits++;
}

Test(signal, dispositions_come_back)
{
    struct sigaction action;
    sigset_t set;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_hit;
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    cr_assert_eq(weft_signal_wait(&set), -EPERM);
    RUN(bad_calls, NULL, &one_worker);
    raise(SIGUSR1);
    cr_assert_eq(hits, 1, "a refused call takes over nothing");
    for (int i = 0; i < 3; i++) {
        RUN(one_signal, NULL, &one_worker);
        cr_assert_eq(hits, 1 + i);
        raise(SIGUSR1);
        cr_assert_eq(hits, 2 + i);
    }
}

static intptr_t wait_usr1_busy(void *arg)
{
    (void)arg;
    return wait_for(SIGUSR1, 0);
}

Test(signal, several_runtimes, .timeout = 20)
{
    weft_runtime *first;
    weft_runtime *second;
    weft_task *a;
    weft_task *b;
    weft_task *c;
    intptr_t result = 0;
    cr_assert_eq(weft_runtime_start(&first, &one_worker), 0);
    cr_assert_eq(weft_runtime_start(&second, &one_worker), 0);
    cr_assert_eq(weft_runtime_submit(first, &a, wait_usr1, NULL, NULL), 0);
    cr_assert_eq(weft_runtime_submit(second, &b, wait_usr2, NULL, NULL), 0);
    weft_stats_t stats = {.size = sizeof stats};
    do {
        cr_assert_eq(weft_stats(first, &stats), 0);
    } while (stats.parks == 0);
    do {
        cr_assert_eq(weft_stats(second, &stats), 0);
    } while (stats.parks == 0);
    cr_assert_eq(weft_runtime_submit(second, &c, wait_usr1_busy, NULL, NULL), 0);
    cr_assert_eq(weft_thread_join(c, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, -EBUSY, "taken by the other runtime");
    raise(SIGUSR2);
    cr_assert_eq(weft_thread_join(b, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, SIGUSR2);
    raise(SIGUSR1);
    cr_assert_eq(weft_thread_join(a, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, SIGUSR1);
    weft_drop(a);
    weft_drop(b);
    weft_drop(c);
    cr_assert_eq(weft_runtime_stop(second), 0);
    cr_assert_eq(weft_runtime_stop(first), 0);
    wt_assert_clean();
}

/* ---- options.sigint ---- */

static const weft_options interruptible = {.workers = 2, .sigint = true};

static intptr_t interrupted(void *arg)
{
    int *cleaned_up = arg;
    wt_check(wait_for(SIGINT, 0) == -EBUSY); /* the option has it */
    wt_check(raise(SIGINT) == 0);
    int rc = weft_sleep(WEFT_FOREVER);
    wt_check(rc == -ECANCELED);
    *cleaned_up = 1;
    return rc;
}

static intptr_t not_interrupted(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_MS);
}

Test(signal, interrupt_cancels_main, .timeout = 20)
{
    struct sigaction action;
    int cleaned_up = 0;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_hit;
    cr_assert_eq(sigaction(SIGINT, &action, NULL), 0);
    cr_assert_eq(weft_run(interrupted, &cleaned_up, &interruptible), -EINTR);
    cr_assert_eq(cleaned_up, 1);
    RUN(not_interrupted, NULL, &interruptible);
    cr_assert_eq(hits, 0);
    raise(SIGINT);
    cr_assert_eq(hits, 1, "the disposition is the program's again");
    wt_assert_clean();
}

/* Main cleans up for ever; the second interrupt ends the run. */
static intptr_t stubborn(void *arg)
{
    (void)arg;
    wt_check(raise(SIGINT) == 0);
    wt_check(weft_sleep(WEFT_FOREVER) == -ECANCELED);
    wt_check(raise(SIGINT) == 0);
    return weft_sleep(WEFT_FOREVER);
}

Test(signal, second_interrupt_ends_the_run, .timeout = 20)
{
    if (WF_TSAN || WF_ASAN) {
        wt_skip("what still runs is left to itself, which the sanitizer calls a leak");
    }
    intptr_t rc = weft_run(stubborn, NULL, &interruptible);
    cr_assert_eq(rc, -EINTR, "%" PRIdPTR, rc);
    wt_assert_clean();
}

/* The third one is for a program that hangs. */
static intptr_t hung(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        raise(SIGINT);
    }
    return 0;
}

Test(signal, third_interrupt_kills, .signal = SIGINT, .timeout = 20)
{
    intptr_t rc = weft_run(hung, NULL, &interruptible);
    cr_assert_fail("still here: %" PRIdPTR, rc);
}
