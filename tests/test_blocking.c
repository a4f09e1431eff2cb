// SPDX-License-Identifier: MIT
/* test_blocking.c - weft_blocking: results, who drops what, cancellation, threads. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft.h>

#include "support.h"
#include "weft_test.h"

static const weft_options one_worker = {.workers = 1};
static const weft_options four_workers = {.workers = 4};

/* A call that blocks its thread until it is let go. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int inside;
    bool is_open;
};

#define GATE                                                          \
    {                                                                 \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false \
    }

static intptr_t pass(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->change);
    while (!gate->is_open) {
        pthread_cond_wait(&gate->change, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
    return 42;
}

static void open_gate(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->change);
    pthread_mutex_unlock(&gate->lock);
}

static int inside(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    int count = gate->inside;
    pthread_mutex_unlock(&gate->lock);
    return count;
}

/* Yields until `count` calls are inside. */
static void until_inside(struct gate *gate, int count)
{
    while (inside(gate) < count) {
        wt_check(weft_yield() == 0);
    }
}

static atomic_int drops;

static void drop(void *arg)
{
    (void)arg;
    atomic_fetch_add(&drops, 1);
}

static intptr_t add_one(void *arg)
{
    return ++*(int *)arg;
}

static intptr_t fail(void *arg)
{
    (void)arg;
    return -EIO;
}

/* ---- results ---- */

static intptr_t results(void *arg)
{
    int number = 1;
    intptr_t result = 0;
    (void)arg;
    atomic_store(&drops, 0);
    wt_check(weft_blocking(add_one, &number, NULL, &result) == 0);
    wt_check(result == 2 && number == 2);
    wt_check(weft_blocking(fail, NULL, NULL, &result) == 0);
    wt_check(result == -EIO);
    wt_check(weft_blocking(add_one, &number, NULL, NULL) == 0);
    wt_check(atomic_load(&drops) == 0);
    wt_check(weft_blocking(add_one, &number, drop, &result) == 0);
    wt_check(result == 4 && atomic_load(&drops) == 1);
    wt_check(weft_blocking(NULL, NULL, NULL, NULL) == -EINVAL);
    return 0;
}

Test(blocking, results)
{
    static const weft_options simulation = {.simulate = true};
    cr_assert_eq(weft_blocking(fail, NULL, NULL, NULL), -EPERM);
    RUN(results, NULL, &one_worker);
    RUN(results, NULL, &four_workers);
    RUN(results, NULL, &simulation);
}

static intptr_t who_am_i(void *arg)
{
    sigset_t mask;
    *(pthread_t *)arg = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    wt_check(weft_self() == NULL);
    wt_check(sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGUSR1) == 1);
    return 0;
}

static intptr_t threads(void *arg)
{
    pthread_t first;
    pthread_t again;
    (void)arg;
    wt_check(weft_blocking(who_am_i, &first, NULL, NULL) == 0);
    wt_check(!pthread_equal(first, pthread_self()));
    for (int i = 0; i < 50; i++) {
        wt_check(weft_blocking(who_am_i, &again, NULL, NULL) == 0);
    }
    weft_stats_t stats = {.size = sizeof stats};
    wt_check(weft_stats(NULL, &stats) == 0);
    wt_check(stats.blocking_calls == 51);
    wt_check(stats.blocking_threads <= 2); /* a call may come before the last thread is idle */
    return 0;
}

Test(blocking, threads_are_used_again)
{
    RUN(threads, NULL, &one_worker);
}

static intptr_t call_gate(void *arg)
{
    intptr_t result = 0;
    int rc = weft_blocking(pass, arg, NULL, &result);
    return rc < 0 ? rc : result;
}

static intptr_t at_once(void *arg)
{
    enum { CALLS = 40 };
    struct gate gate = GATE;
    weft_task *tasks[CALLS];
    (void)arg;
    for (int i = 0; i < CALLS; i++) {
        wt_check(weft_spawn(&tasks[i], call_gate, &gate) == 0);
    }
    until_inside(&gate, CALLS); /* a thread for each; and the workers go on */
    open_gate(&gate);
    for (int i = 0; i < CALLS; i++) {
        intptr_t result = 0;
        wt_check(weft_await(tasks[i], &result) == 0);
        wt_check(result == 42);
    }
    return 0;
}

Test(blocking, as_many_threads_as_calls, .timeout = 30)
{
    RUN(at_once, NULL, &one_worker);
    RUN(at_once, NULL, &four_workers);
}

/* ---- cancelling ---- */

static intptr_t cancel_running_borrowed(void *arg)
{
    struct gate gate = GATE;
    weft_task *task;
    intptr_t raw = 0;
    (void)arg;
    wt_check(weft_spawn(&task, call_gate, &gate) == 0);
    until_inside(&gate, 1);
    wt_check(weft_cancel(task) == 1);
    for (int i = 0; i < 10; i++) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_task_state(task) == WEFT_PENDING); /* waited for: it uses our frame */
    open_gate(&gate);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_task_raw_result(task, &raw) == 0);
    wt_check(raw == 42); /* granted: the request came to nothing here ... */
    wt_check(weft_task_state(task) == WEFT_CANCELLED); /* ... and was undelivered at the end */
    weft_drop(task);
    return 0;
}

Test(blocking, cancel_of_a_running_borrowed_call)
{
    RUN(cancel_running_borrowed, NULL, &one_worker);
    RUN(cancel_running_borrowed, NULL, &four_workers);
}

struct then {
    struct gate *gate;
    int second; /* what the next await point said */
};

static intptr_t call_then_sleep(void *arg)
{
    struct then *then = arg;
    wt_check(call_gate(then->gate) == 42);
    then->second = weft_sleep(WEFT_FOREVER);
    return then->second;
}

static intptr_t request_stays(void *arg)
{
    struct gate gate = GATE;
    struct then then = {&gate, 0};
    weft_task *task;
    (void)arg;
    wt_check(weft_spawn(&task, call_then_sleep, &then) == 0);
    until_inside(&gate, 1);
    wt_check(weft_cancel(task) == 1);
    open_gate(&gate);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(then.second == -ECANCELED);
    return 0;
}

Test(blocking, request_stays_for_the_next_await)
{
    RUN(request_stays, NULL, &one_worker);
    RUN(request_stays, NULL, &four_workers);
}

static intptr_t give_gate(void *arg)
{
    intptr_t result = 0;
    int rc = weft_blocking(pass, arg, drop, &result);
    return rc < 0 ? rc : result;
}

static intptr_t cancel_running_owned(void *arg)
{
    struct gate *gate = arg;
    weft_task *task;
    intptr_t result = 0;
    wt_check(weft_spawn(&task, give_gate, gate) == 0);
    until_inside(gate, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0); /* at once: the gate is still shut */
    wt_check(result == -ECANCELED);
    wt_check(atomic_load(&drops) == 0); /* the call goes on unattended */
    open_gate(gate);
    return 0;
}

Test(blocking, cancel_of_a_running_owned_call)
{
    for (int i = 0; i < 20; i++) {
        struct gate gate = GATE;
        atomic_store(&drops, 0);
        RUN(cancel_running_owned, &gate, i % 2 == 0 ? &one_worker : &four_workers);
        cr_assert_eq(atomic_load(&drops), 1, "the end of the runtime waits for it");
    }
}

/* ---- queued calls: all threads are busy ---- */

enum { THREADS = 512, QUEUED = 16 };

static atomic_int ran;

static intptr_t count_run(void *arg)
{
    (void)arg;
    return atomic_fetch_add(&ran, 1);
}

static intptr_t call_counted(void *arg)
{
    return weft_blocking(count_run, NULL, arg != NULL ? drop : NULL, NULL);
}

static intptr_t cancel_queued(void *arg)
{
    struct gate gate = GATE;
    static weft_task *busy[THREADS];
    weft_task *queued[QUEUED];
    (void)arg;
    for (int i = 0; i < THREADS; i++) {
        wt_check(weft_spawn(&busy[i], call_gate, &gate) == 0);
    }
    until_inside(&gate, THREADS);
    weft_stats_t stats = {.size = sizeof stats};
    wt_check(weft_stats(NULL, &stats) == 0);
    wt_check(stats.blocking_threads == THREADS);
    uint64_t mark = parks_now();
    for (int i = 0; i < QUEUED; i++) {
        wt_check(weft_spawn(&queued[i], call_counted, i % 2 == 0 ? NULL : &drops) == 0);
    }
    until_parked(mark, QUEUED);
    for (int i = 0; i < QUEUED; i += i % 2 == 0 ? 1 : 3) { /* two of four */
        intptr_t result = 0;
        wt_check(weft_cancel(queued[i]) == 1);
        wt_check(weft_await(queued[i], &result) == 0); /* withdrawn while all threads are busy */
        wt_check(result == -ECANCELED);
        queued[i] = NULL;
    }
    wt_check(atomic_load(&ran) == 0);
    wt_check(atomic_load(&drops) == QUEUED / 4);
    open_gate(&gate);
    for (int i = 0; i < QUEUED; i++) {
        intptr_t result = -1;
        if (queued[i] != NULL) {
            wt_check(weft_await(queued[i], &result) == 0);
            wt_check(result == 0);
        }
    }
    wt_check(atomic_load(&ran) == QUEUED / 2);
    wt_check(atomic_load(&drops) == QUEUED / 2);
    for (int i = 0; i < THREADS; i++) {
        wt_check(weft_await(busy[i], NULL) == 0);
    }
    return 0;
}

Test(blocking, queued_calls_are_withdrawn, .timeout = 60)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&ran, 0);
        atomic_store(&drops, 0);
        RUN(cancel_queued, NULL, i == 0 ? &one_worker : &four_workers);
    }
}

static intptr_t entry_rule(void *arg)
{
    int number = 1;
    (void)arg;
    atomic_store(&drops, 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_blocking(add_one, &number, NULL, NULL) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_blocking(add_one, &number, drop, NULL) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    wt_check(number == 1);
    wt_check(atomic_load(&drops) == 1); /* given away, as with every other -ECANCELED */
    return 0;
}

Test(blocking, entry_rule)
{
    RUN(entry_rule, NULL, &one_worker);
}

static intptr_t timed(void *arg)
{
    struct gate *gate = arg;
    weft_timeout limit;
    intptr_t result = 0;
    wt_check(weft_within(2 * WEFT_MS, weft_blocking(pass, gate, drop, &result)) == -ETIMEDOUT);
    wt_check(weft_timeout_enter(&limit, 0) == 0);
    open_gate(gate);
    int rc = weft_blocking(pass, gate, NULL, &result);
    rc = (int)weft_timeout_leave(&limit, rc);
    wt_check(rc == -ETIMEDOUT || (rc == 0 && result == 42));
    wt_check(weft_cancelling(weft_self()) == 0);
    return 0;
}

Test(blocking, timeout)
{
    struct gate gate = GATE;
    atomic_store(&drops, 0);
    RUN(timed, &gate, &one_worker);
    cr_assert_eq(atomic_load(&drops), 1);
}

/* ---- races ---- */

enum { RACES = 3000 };

static intptr_t call_borrowed(void *arg)
{
    intptr_t result = -1;
    int rc = weft_blocking(count_run, arg, NULL, &result);
    wt_check(rc == -ECANCELED || (rc == 0 && result >= 0));
    return rc;
}

static intptr_t race_cancel(void *arg)
{
    int expected_runs = 0;
    int owned = 0;
    int begun = 0;
    (void)arg;
    for (int i = 0; i < RACES; i++) {
        weft_task *task;
        intptr_t raw = 0;
        bool is_owned = i % 2 == 0;
        wt_check(weft_spawn(&task, is_owned ? call_counted : call_borrowed,
                            is_owned ? &drops : NULL) == 0);
        for (int k = i % 5; k > 0; k--) {
            wt_check(weft_yield() == 0);
        }
        (void)weft_cancel(task);
        wt_check(weft_join(task, NULL) == 0);
        int rc = weft_task_raw_result(task, &raw);
        weft_drop(task);
        owned += rc == 0 && is_owned;
        begun += rc == 0;
        expected_runs += rc == 0 && raw == 0;
    }
    /* An owned call that was left behind may run or not. */
    wt_check(atomic_load(&ran) >= expected_runs);
    fprintf(stderr, "%d calls begun, %d came back\n", begun, expected_runs);
    return owned;
}

Test(blocking, cancel_races_with_the_pool, .timeout = 120)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&ran, 0);
        atomic_store(&drops, 0);
        intptr_t owned = weft_run(race_cancel, NULL, i == 0 ? &one_worker : &four_workers);
        cr_assert_geq(owned, 0);
        cr_assert_eq(atomic_load(&drops), (int)owned, "each dropped once");
        wt_assert_clean();
    }
}

static intptr_t caller(void *arg)
{
    for (int i = 0; i < 100; i++) {
        intptr_t result = -1;
        int rc = weft_blocking(count_run, NULL, (i & 1) != 0 ? drop : NULL, &result);
        if (!wt_check(rc == 0 && result >= 0)) {
            break;
        }
    }
    (void)arg;
    return 0;
}

static intptr_t many_calls(void *arg)
{
    weft_task *tasks[50];
    (void)arg;
    for (int i = 0; i < 50; i++) {
        wt_check(weft_spawn(&tasks[i], caller, NULL) == 0);
    }
    for (int i = 0; i < 50; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    return 0;
}

Test(blocking, many_calls, .timeout = 60)
{
    atomic_store(&ran, 0);
    atomic_store(&drops, 0);
    RUN(many_calls, NULL, &four_workers);
    cr_assert_eq(atomic_load(&ran), 5000);
    cr_assert_eq(atomic_load(&drops), 2500);
}

static uint64_t threads_now(void)
{
    weft_stats_t stats = {.size = sizeof stats};
    return wt_check(weft_stats(NULL, &stats) == 0) ? stats.blocking_threads : 0;
}

static intptr_t idle_threads(void *arg)
{
    for (int i = 0; i < 2; i++) { /* the second time in the records of the first */
        struct gate gate = GATE;
        weft_task *tasks[8];
        for (int k = 0; k < 8; k++) {
            wt_check(weft_spawn(&tasks[k], call_gate, &gate) == 0);
        }
        until_inside(&gate, 8);
        open_gate(&gate);
        for (int k = 0; k < 8; k++) {
            wt_check(weft_await(tasks[k], NULL) == 0);
        }
        while (i == 0 && threads_now() > 0) { /* they end by themselves, after 5 s */
            wt_check(weft_sleep(20 * WEFT_MS) == 0);
        }
    }
    (void)arg;
    return 0;
}

Test(blocking, idle_threads_end, .timeout = 60)
{
    RUN(idle_threads, NULL, &one_worker);
}

/* ---- no thread to be had ---- */

static intptr_t no_thread(void *arg)
{
    int number = 1;
    (void)arg;
    atomic_store(&drops, 0);
    int rc = weft_blocking(add_one, &number, drop, NULL);
    wt_check(rc == -EAGAIN || rc == -ENOMEM);
    rc = weft_blocking(add_one, &number, NULL, NULL);
    wt_check(rc == -EAGAIN || rc == -ENOMEM);
    wt_check(number == 1);
    wt_check(atomic_load(&drops) == 0); /* arg has stayed ours */
    return 0;
}

static intptr_t limited(void *arg)
{
    struct rlimit none = {0, 0};
    struct rlimit before;
    wt_check(getrlimit(RLIMIT_AS, &before) == 0);
    none.rlim_cur = 1 << 20;
    none.rlim_max = before.rlim_max;
    /* No address space left for the stack of a thread. */
    wt_check(setrlimit(RLIMIT_AS, &none) == 0);
    intptr_t rc = no_thread(arg);
    wt_check(setrlimit(RLIMIT_AS, &before) == 0);
    intptr_t result = 0;
    int number = 1;
    wt_check(weft_blocking(add_one, &number, NULL, &result) == 0 && result == 2);
    return rc;
}

Test(blocking, no_thread)
{
    if (WT_IS_SANITIZED) {
        wt_skip("the sanitizer needs the address space");
    }
    if (wt_is_emulated()) {
        wt_skip("limits are the emulator's");
    }
    RUN(limited, NULL, &one_worker);
}
