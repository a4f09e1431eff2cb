// SPDX-License-Identifier: MIT
/* test_callback.c - what a callback of a task's end (weft_on_done) may do, and that it can't wait: its task is over. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft.h>

#include "weft_test.h"

struct things {
    weft_mutex mutex;
    weft_rwlock rwlock;
    weft_sem sem;
    weft_event event;
    weft_queue full, empty;
    weft_future future;
    weft_barrier barrier;
    weft_task *other; /* has not started, or waits */
    weft_event told;
    int ends[2];
    int calls;
};

/* Free, set, full of room: what could be had at once can't be waited for either. */
static void check_locks(struct things *things)
{
    wt_check(weft_mutex_lock(&things->mutex) == -EPERM);
    wt_check(weft_rwlock_read_lock(&things->rwlock) == -EPERM);
    wt_check(weft_rwlock_write_lock(&things->rwlock) == -EPERM);
    wt_check(weft_sem_acquire(&things->sem, 1) == -EPERM);
    wt_check(weft_barrier_wait(&things->barrier) == -EPERM);
    wt_check(weft_event_wait(&things->event) == -EPERM);
    wt_check(weft_event_wait(&things->told) == -EPERM);
}

static void check_queues(struct things *things)
{
    int item = 1;
    weft_case cases[] = {weft_case_get(&things->empty, &item), weft_case_put(&things->full, &item)};
    wt_check(weft_queue_get(&things->empty, &item) == -EPERM);
    wt_check(weft_queue_put(&things->full, &item) == -EPERM);
    wt_check(weft_queue_get(&things->full, &item) == -EPERM);
    wt_check(weft_queue_put(&things->empty, &item) == -EPERM);
    wt_check(weft_queue_join(&things->full) == -EPERM);
    wt_check(weft_select(cases, 2, 0) == -EPERM);
    wt_check(weft_future_await(&things->future, NULL) == -EPERM);
}

static void check_tasks(weft_task *task, struct things *things)
{
    weft_task *both[] = {task, things->other};
    weft_task *fresh;
    size_t done;
    weft_group group;
    wt_check(weft_yield() == -EPERM);
    wt_check(weft_sleep(0) == -EPERM);
    wt_check(weft_sleep(WEFT_MS) == -EPERM);
    wt_check(weft_checkpoint() == -EPERM);
    wt_check(weft_join(things->other, NULL) == -EPERM);
    wt_check(weft_join_shielded(things->other, NULL) == -EPERM);
    wt_check(weft_await(things->other, NULL) == -EPERM);
    wt_check(weft_gather(both, 2, NULL, WEFT_GATHER_COLLECT, NULL) == -EPERM);
    wt_check(weft_wait(both, 2, WEFT_WAIT_ALL, WEFT_FOREVER, &done) == -EPERM);
    wt_check(weft_wait_for(things->other, 0, NULL) == -EPERM);
    wt_check(weft_wait_for(things->other, WEFT_S, NULL) == -EPERM);
    wt_check(weft_cancelling(things->other) == 0); /* refused with nothing done */
    wt_check(weft_group_open(&group, 0) == -EPERM);
    wt_check(weft_within(WEFT_S, weft_await(things->other, NULL)) == -EPERM);
    wt_check(weft_spawn(&fresh, NULL, NULL) == -EINVAL);
}

static intptr_t is_called(void *arg)
{
    wt_check(weft_event_set(&((struct things *)arg)->told) == 0);
    return 0;
}

static intptr_t never(void *arg)
{
    (void)arg;
    wt_check(false);
    return 0;
}

static void check_calls(struct things *things)
{
    char byte;
    wt_check(weft_read(things->ends[0], &byte, 1) == -EPERM);
    wt_check(weft_write(things->ends[0], "x", 1) == -EPERM);
    wt_check(weft_recv(things->ends[0], &byte, 1, 0) == -EPERM);
    wt_check(weft_wait_fd(things->ends[0], WEFT_READABLE) == -EPERM);
    wt_check(weft_blocking(never, NULL, NULL, NULL) == -EPERM);
}

static void at_the_end(weft_task *task, void *arg)
{
    struct things *things = arg;
    int item = 7;
    check_locks(things);
    check_queues(things);
    check_tasks(task, things);
    if (things->ends[0] >= 0) {
        check_calls(things);
    }
    wt_check(weft_queue_try_put(&things->empty, &item) == 0);
    wt_check(weft_queue_try_get(&things->empty, &item) == 0);
    things->calls++; /* before somebody may be told of it */
    wt_check(weft_spawn(NULL, is_called, things) == 0);
}

static intptr_t wait_for_event(void *arg)
{
    return weft_event_wait(arg);
}

enum how { AFTER_A_WAIT, INSIDE, UNRUN, HOWS };

struct plan {
    enum how how;
    bool has_calls;
};

/* A task that has ended calls back at once, whoever asks for it: so it must not have. */
static void end_one(struct things *things, enum how how)
{
    weft_event go = {0};
    weft_task *task;
    intptr_t result = 1;
    if (how == INSIDE) {
        wt_check(weft_event_set(&go) == 0);
    }
    wt_check(weft_spawn(&task, wait_for_event, &go) == 0);
    wt_check(weft_on_done(task, at_the_end, things) == 0);
    if (how == UNRUN) {
        wt_check(weft_cancel(task) == 1);
    } else if (how == AFTER_A_WAIT) {
        wt_check(weft_yield() == 0);
        wt_check(weft_event_set(&go) == 0);
    }
    wt_check(weft_await(task, &result) == 0 && result == (how == UNRUN ? -ECANCELED : 0));
}

static intptr_t have_called(void *arg)
{
    struct things things = {.ends = {-1, -1}};
    const struct plan *plan = arg;
    int item = 0;
    wt_check(weft_queue_init(&things.full, sizeof item, 1, NULL) == 0);
    wt_check(weft_queue_init(&things.empty, sizeof item, 1, NULL) == 0);
    wt_check(weft_queue_put(&things.full, &item) == 0);
    wt_check(weft_sem_init(&things.sem, 1, 1) == 0);
    wt_check(weft_barrier_init(&things.barrier, 1) == 0);
    if (plan->has_calls) {
        wt_check(socketpair(AF_UNIX, SOCK_STREAM, 0, things.ends) == 0);
    }
    wt_check(weft_spawn(&things.other, wait_for_event, &things.event) == 0);
    end_one(&things, plan->how);
    wt_check(weft_event_wait(&things.told) == 0 && things.calls == 1);
    wt_check(weft_event_set(&things.event) == 0);
    wt_check(weft_await(things.other, NULL) == 0);
    wt_check(weft_queue_destroy(&things.full) == 0 && weft_queue_destroy(&things.empty) == 0);
    if (plan->has_calls) {
        wt_check(weft_close(things.ends[0]) == 0 && weft_close(things.ends[1]) == 0);
    }
    return 0;
}

static void play(weft_options options, bool has_calls, bool has_inside)
{
    for (int how = 0; how < HOWS; how++) {
        struct plan plan = {.how = (enum how)how, .has_calls = has_calls};
        if (how != INSIDE || has_inside) {
            cr_assert_eq(weft_run(have_called, &plan, &options), 0);
        }
    }
}

Test(callback, waits_for_nothing)
{
    for (int i = 0; i < 50; i++) {
        play((weft_options){.workers = 1}, true, true);
        play((weft_options){.workers = 2}, true, false);
    }
    wt_assert_clean();
}

Test(callback, waits_for_nothing_in_a_simulation)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        play((weft_options){.simulate = true, .seed = seed}, false, true);
    }
    wt_assert_clean();
}

/* ---- nor are others let in ---- */

struct crowd {
    weft_future news;
    weft_task *fresh; /* spawned by the callback */
    bool has_run;     /* who waits for the news */
};

static intptr_t await_news(void *arg)
{
    struct crowd *crowd = arg;
    int rc = weft_future_await(&crowd->news, NULL);
    crowd->has_run = true;
    return rc;
}

static intptr_t nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Somebody is to run next, and there is a task that could run inside: both wait until the callback has returned. */
static void join_what_is_new(weft_task *task, void *arg)
{
    struct crowd *crowd = arg;
    (void)task;
    wt_check(weft_spawn(&crowd->fresh, nothing, NULL) == 0);
    wt_check(weft_future_set(&crowd->news, 1) == 0);
    wt_check(weft_join(crowd->fresh, NULL) == -EPERM);
    wt_check(weft_await(crowd->fresh, NULL) == -EPERM);
    wt_check(!crowd->has_run);
}

static intptr_t have_joined(void *arg)
{
    bool is_inside = *(bool *)arg;
    struct crowd crowd = {0};
    weft_task *waiter, *task;
    wt_check(weft_spawn(&waiter, await_news, &crowd) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_spawn(&task, nothing, NULL) == 0);
    wt_check(weft_on_done(task, join_what_is_new, &crowd) == 0);
    wt_check(is_inside || weft_yield() == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_await(waiter, NULL) == 0 && crowd.has_run);
    return weft_await(crowd.fresh, NULL);
}

Test(callback, lets_nobody_run_before_it_returns)
{
    const weft_options one = {.workers = 1};
    for (int i = 0; i < 2; i++) {
        bool is_inside = i == 0;
        cr_assert_eq(weft_run(have_joined, &is_inside, &one), 0);
    }
    wt_assert_clean();
}
