// SPDX-License-Identifier: MIT
/* test_held.c - a task that is suspended while it holds a pthread mutex is reported, in debug builds. */
#include <errno.h>
#include <pthread.h>

#include <weft.h>

#include "sched/held.h"
#include "weft_test.h"

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t two = PTHREAD_MUTEX_INITIALIZER;

/* ---- reports ---- */

static pthread_mutex_t reports_lock = PTHREAD_MUTEX_INITIALIZER; /* the hook itself may lock */
static char reports[4096];
static int report_count;

static void on_report(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    wt_check(pthread_mutex_lock(&reports_lock) == 0);
    if (what->kind == WEFT_DIAG_LOCK_HELD) {
        size_t length = strlen(reports);
        (void)snprintf(reports + length, sizeof reports - length, "%s|%s|%s\n", what->name,
                       what->site, what->text);
        report_count++;
    }
    wt_check(pthread_mutex_unlock(&reports_lock) == 0);
}

static void run_task(weft_fn *fn, int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = on_report};
    reports[0] = '\0';
    report_count = 0;
    cr_assert_eq(weft_run(fn, NULL, &options), 0);
    wt_assert_clean();
}

static void need_debug_build(void)
{
    if (!WF_HELD) {
        wt_skip("locks are watched in debug builds only, and not under sanitizers");
    }
}

/* ---- suspended with a lock ---- */

static intptr_t sleep_with_lock(void *arg)
{
    (void)arg;
    wt_check(pthread_mutex_lock(&one) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0); /* once is enough */
    wt_check(pthread_mutex_unlock(&one) == 0);
    return 0;
}

static intptr_t spawn_sleeper(void *arg)
{
    const weft_spawn_options options = {.name = "culprit", .pinned = true};
    weft_task *task;
    (void)arg;
    wt_check(weft_spawn_with(&task, sleep_with_lock, NULL, &options) == 0);
    return weft_await(task, NULL);
}

Test(held, names_task_and_lock_once)
{
    need_debug_build();
    run_task(spawn_sleeper, 1);
    cr_assert_eq(report_count, 1, "%s", reports);
    char address[32];
    (void)snprintf(address, sizeof address, "%p", (void *)&one);
    cr_assert_eq(strncmp(reports, "culprit|", 8), 0, "%s", reports);
    cr_assert_not_null(strstr(reports, "task \"culprit\""), "%s", reports);
    cr_assert_not_null(strstr(reports, "test_held.c:"), "%s", reports);
    cr_assert_not_null(strstr(reports, address), "%s", reports);
}

/* ---- a joiner with a lock, whose child is suspended on its stack ---- */

static intptr_t sleep_shortly(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_MS);
}

static intptr_t join_with_lock(void *arg)
{
    weft_task *child;
    (void)arg;
    wt_check(weft_spawn(&child, sleep_shortly, NULL) == 0);
    wt_check(pthread_mutex_lock(&one) == 0);
    wt_check(weft_await(child, NULL) == 0);
    wt_check(pthread_mutex_unlock(&one) == 0);
    return 0;
}

static intptr_t spawn_joiner(void *arg)
{
    const weft_spawn_options options = {.name = "joiner"};
    weft_task *task;
    (void)arg;
    wt_check(weft_spawn_with(&task, join_with_lock, NULL, &options) == 0);
    return weft_await(task, NULL);
}

Test(held, names_the_joiner_of_a_child_that_is_suspended)
{
    need_debug_build();
    run_task(spawn_joiner, 1);
    cr_assert_eq(report_count, 1, "%s", reports);
    cr_assert_eq(strncmp(reports, "joiner|", 7), 0, "%s", reports);
}

static intptr_t take_in_all_ways(void *arg)
{
    pthread_mutex_t three = PTHREAD_MUTEX_INITIALIZER;
    const struct timespec past = {0, 0};
    (void)arg;
    wt_check(pthread_mutex_trylock(&one) == 0);
    wt_check(pthread_mutex_timedlock(&two, &past) == 0);
    wt_check(pthread_mutex_clocklock(&three, CLOCK_MONOTONIC, &past) == 0);
    wt_check(pthread_mutex_trylock(&one) == EBUSY);
    wt_check(weft_sleep(0) == 0);
    wt_check(pthread_mutex_unlock(&three) == 0);
    wt_check(pthread_mutex_unlock(&two) == 0);
    wt_check(pthread_mutex_unlock(&one) == 0);
    wt_check(pthread_mutex_destroy(&three) == 0);
    return weft_sleep(WEFT_MS);
}

Test(held, knows_every_way_to_take_one)
{
    need_debug_build();
    run_task(take_in_all_ways, 1);
    cr_assert_eq(report_count, 3, "%s", reports);
}

static intptr_t take_twice(void *arg)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t again;
    (void)arg;
    wt_check(pthread_mutexattr_init(&attributes) == 0);
    wt_check(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE) == 0);
    wt_check(pthread_mutex_init(&again, &attributes) == 0);
    wt_check(pthread_mutex_lock(&again) == 0);
    wt_check(pthread_mutex_lock(&again) == 0);
    wt_check(pthread_mutex_unlock(&again) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0); /* still held */
    wt_check(pthread_mutex_unlock(&again) == 0);
    wt_check(pthread_mutex_destroy(&again) == 0);
    return 0;
}

Test(held, counts_recursive_locks)
{
    need_debug_build();
    run_task(take_twice, 1);
    cr_assert_eq(report_count, 1, "%s", reports);
}

/* ---- nothing to report ---- */

static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_changed;

static void *change(void *arg)
{
    (void)arg;
    wt_check(pthread_mutex_lock(&two) == 0);
    is_changed = true;
    wt_check(pthread_cond_signal(&changed) == 0);
    wt_check(pthread_mutex_unlock(&two) == 0);
    return NULL;
}

/* The condition gives the mutex back and takes it again by itself. */
static intptr_t use_condition(void *arg)
{
    pthread_t thread;
    (void)arg;
    is_changed = false;
    wt_check(pthread_mutex_lock(&two) == 0);
    wt_check(pthread_create(&thread, NULL, change, NULL) == 0);
    while (!is_changed) {
        wt_check(pthread_cond_wait(&changed, &two) == 0);
    }
    wt_check(pthread_mutex_unlock(&two) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(pthread_join(thread, NULL) == 0);
    return 0;
}

static intptr_t lock_and_unlock(void *arg)
{
    weft_task *tasks[64];
    if (arg != NULL) {
        for (int i = 0; i < 100; i++) {
            wt_check(pthread_mutex_lock(&one) == 0);
            wt_check(pthread_mutex_unlock(&one) == 0);
            (void)!weft_yield();
        }
        return 0;
    }
    for (size_t i = 0; i < 64; i++) {
        wt_check(weft_spawn(&tasks[i], lock_and_unlock, tasks) == 0);
    }
    for (size_t i = 0; i < 64; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    return 0;
}

Test(held, says_nothing_of_locks_that_were_given_back)
{
    run_task(use_condition, 1);
    cr_assert_eq(report_count, 0, "%s", reports);
    run_task(lock_and_unlock, 2);
    cr_assert_eq(report_count, 0, "%s", reports);
}

/* What the thread that calls weft_run holds is not the tasks'. */
static intptr_t just_sleep(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_MS);
}

Test(held, says_nothing_of_locks_of_plain_threads)
{
    cr_assert_eq(pthread_mutex_lock(&one), 0);
    run_task(just_sleep, 1);
    cr_assert_eq(pthread_mutex_unlock(&one), 0);
    cr_assert_eq(report_count, 0, "%s", reports);
}
