// SPDX-License-Identifier: MIT
/* test_simulate_ends.c - how a simulation ends: deadlocks, the grace, interrupts, and what is reported. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft/testing.h>

#include "simulate_test.h"

/* ---- ends ---- */

static char diagnostics[2048];

static void on_report(const weft_diagnostic *what, void *arg)
{
    size_t length = strlen(diagnostics);
    (void)arg;
    (void)snprintf(diagnostics + length, sizeof diagnostics - length, "%s\n", what->text);
}

static intptr_t run_reported(weft_fn *fn, void *arg, const weft_options *more, uint64_t seed)
{
    weft_options options = *more;
    options.simulate = true;
    options.seed = seed;
    options.diagnostic = on_report;
    diagnostics[0] = '\0';
    return weft_run(fn, arg, &options);
}

static intptr_t await_future(void *arg)
{
    return weft_future_await(arg, NULL);
}

static intptr_t await_descriptor(void *arg)
{
    char byte;
    (void)arg;
    int fds[2];
    wt_check(weft_sim_pipe(fds) == 0);
    return weft_read(fds[0], &byte, 1);
}

static intptr_t await_two(void *arg)
{
    const weft_spawn_options names[2] = {{.name = "first"}, {.name = "second"}};
    weft_future future;
    weft_task *tasks[2];
    (void)arg;
    wt_check(weft_future_init(&future) == 0);
    wt_check(weft_spawn_with(&tasks[0], await_future, &future, &names[0]) == 0);
    wt_check(weft_spawn_with(&tasks[1], await_descriptor, NULL, &names[1]) == 0);
    int rc = weft_join(tasks[0], NULL);
    weft_drop_all(tasks, 2); /* not reached */
    return rc;
}

Test(simulate, a_deadlock_names_who_waits_for_whom)
{
    const weft_options usual = {.workers = 2};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        cr_assert_eq(run_reported(await_two, NULL, &usual, seed), -EDEADLK);
        cr_assert_not_null(strstr(diagnostics, "joins task #"), "%s", diagnostics);
        cr_assert_not_null(strstr(diagnostics, "waits for future 1"), "%s", diagnostics);
        cr_assert_not_null(strstr(diagnostics, "waits for descriptor "), "%s", diagnostics);
    }
    wt_assert_clean();
}

static intptr_t never_end(void *arg)
{
    (void)arg;
    while (weft_now() < WEFT_FOREVER) {
        (void)!weft_sleep(WEFT_MS);
    }
    return 0;
}

static intptr_t leave_one(void *arg)
{
    const weft_spawn_options name = {.name = "stubborn"};
    weft_task *task;
    (void)arg;
    wt_check(weft_spawn_with(&task, never_end, NULL, &name) == 0);
    wt_check(weft_detach(task) == 0);
    return weft_sleep(1); /* so that it has started */
}

Test(simulate, the_grace_ends_in_virtual_time)
{
    const weft_options grace = {.workers = 2, .shutdown_grace_ns = 60 * WEFT_S};
    for (uint64_t seed = 0; seed <= 5; seed++) {
        cr_assert_eq(run_reported(leave_one, NULL, &grace, seed), -EBUSY);
        cr_assert_not_null(strstr(diagnostics, "\"stubborn\""), "%s", diagnostics);
        cr_assert_not_null(strstr(diagnostics, "is left after the grace"), "%s", diagnostics);
    }
    wt_assert_clean();
}

static void interrupt(void *arg)
{
    (void)arg;
    wt_check(weft_sim_interrupt() == 0);
}

static intptr_t interrupted(void *arg)
{
    int *times = arg;
    wt_check(weft_sim_after(10, interrupt, NULL) == 0);
    if (*times == 2) {
        wt_check(weft_sim_after(20, interrupt, NULL) == 0);
    }
    int rc = weft_sleep(WEFT_S);
    wt_check(rc == -ECANCELED && weft_now() == 10);
    (void)!weft_sleep(WEFT_MS); /* a clean-up that takes long */
    wt_check(weft_now() == (*times == 2 ? 20 : 10 + WEFT_MS));
    return rc;
}

static intptr_t not_asked_for(void *arg)
{
    (void)arg;
    return weft_sim_interrupt();
}

Test(simulate, interrupts)
{
    const weft_options sigint = {.workers = 2, .sigint = true};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        for (int times = 1; times <= 2; times++) {
            cr_assert_eq(run_reported(interrupted, &times, &sigint, seed), -EINTR);
        }
        cr_assert_eq(run_seed(not_asked_for, NULL, seed), -ENOTSUP);
    }
    wt_assert_clean();
}

/* ---- addresses are in no report ---- */

/* Two futures and a mutex somewhere in `room`: `shift` changes which of them lies first. */
struct places {
    size_t shift;
    char room[8192];
};

static intptr_t lock_it(void *arg)
{
    return weft_mutex_lock(arg);
}

static intptr_t wait_in_places(void *arg)
{
    struct places *places = arg;
    weft_future *futures = (weft_future *)(void *)(places->room + places->shift);
    weft_mutex *mutex = (weft_mutex *)(void *)(places->room + 4032 - places->shift);
    weft_task *task;
    (void)weft_mutex_init(mutex, 0);
    wt_check(weft_mutex_lock(mutex) == 0);
    for (int i = 0; i < 4; i++) {
        (void)weft_future_init(&futures[i % 2]);
    }
    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn(&task, await_future, &futures[i % 2]) == 0);
        wt_check(weft_detach(task) == 0);
        wt_check(weft_spawn(&task, lock_it, mutex) == 0);
        wt_check(weft_detach(task) == 0);
    }
    wt_check(weft_mutex_unlock(&(weft_mutex)WEFT_MUTEX_INIT) ==
             -EPERM); /* misuse: told in debug builds */
    return weft_future_await(&futures[1], NULL);
}

Test(simulate, reports_are_the_same_wherever_things_lie)
{
    static struct places places;
    static char first[sizeof diagnostics];
    const weft_options usual = {.workers = 2};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        for (places.shift = 0; places.shift <= 3072; places.shift += 1536) {
            cr_assert_eq(run_reported(wait_in_places, &places, &usual, seed), -EDEADLK);
            cr_assert_not_null(strstr(diagnostics, "waits for future 1\n"), "%s", diagnostics);
            cr_assert_not_null(strstr(diagnostics, "waits for mutex 3, held by"), "%s",
                               diagnostics);
            cr_assert_not_null(strstr(diagnostics, "waits for future 2\n"), "%s", diagnostics);
            cr_assert_null(strstr(diagnostics, "0x"), "%s", diagnostics);
            if (places.shift == 0) {
                memcpy(first, diagnostics, sizeof first);
            }
            cr_assert_str_eq(first, diagnostics);
        }
    }
    wt_assert_clean();
}

/* ---- no stack ---- */

/* From now on no more than that is to be had, beside what there is. */
static bool limit_memory(size_t more)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bool is_known = file != NULL && fscanf(file, "%lu", &pages) == 1;
    if (file != NULL) {
        (void)fclose(file);
    }
    const rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    return is_known && setrlimit(RLIMIT_AS, &(struct rlimit){most, most}) == 0;
}

static intptr_t must_not_begin(void *arg)
{
    (void)arg;
    wt_check(false);
    return 0;
}

static intptr_t spawn_too_large(void *arg)
{
    enum { TASKS = 20 };
    const weft_spawn_options large = {.stack_bytes = (size_t)1 << 30};
    (void)arg;
    for (int i = 0; i < TASKS; i++) {
        weft_task *task;
        intptr_t result = 0;
        wt_check(weft_spawn_with(&task, must_not_begin, NULL, &large) == 0);
        wt_check(weft_await(task, &result) == 0 && result == -ENOMEM);
    }
    return 0;
}

/* Also where it is the first thing that ever happens on its worker. */
Test(simulate, a_task_without_a_stack_ends_unrun)
{
    cr_assert(limit_memory((size_t)1 << 29));
    for (uint64_t seed = 0; seed < 20; seed++) {
        cr_assert_eq(run_seed(spawn_too_large, NULL, seed), 0);
    }
    wt_assert_clean();
}
