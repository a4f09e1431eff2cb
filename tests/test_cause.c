// SPDX-License-Identifier: MIT
/* test_cause.c - why a task was cancelled: causes, and where they go with a request. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <weft.h>
#include <weft/testing.h>

#include "support.h"
#include "weft_test.h"

static const weft_options simulated = {.simulate = true, .diagnostic = ignore};
static const weft_options one_worker = {.workers = 1, .diagnostic = ignore};
static const weft_options four_workers = {.workers = 4, .diagnostic = ignore};

static void run_everywhere(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    cr_assert_eq(weft_run(fn, NULL, &one_worker), 0);
    cr_assert_eq(weft_run(fn, NULL, &four_workers), 0);
    wt_assert_clean();
}

/* Waits until told; its value is the cause, shifted so that it is no error. */
enum { SHIFT = 100 };
static atomic_int begun;

static intptr_t wait_told(void *arg)
{
    (void)arg;
    begun++;
    int rc = weft_sleep(WEFT_FOREVER);
    wt_check(rc == -ECANCELED);
    return weft_cancel_cause() + SHIFT;
}

/* A task that has begun. */
static weft_task *spawn_waiting(weft_fn *fn, void *arg)
{
    weft_task *task = NULL;
    int before = begun;
    wt_check(weft_spawn(&task, fn, arg) == 0);
    while (begun == before) {
        wt_check(weft_yield() == 0);
    }
    return task;
}

static int cause_of(weft_task *task)
{
    intptr_t raw = 0;
    wt_check(weft_join_shielded(task, NULL) == 0);
    wt_check(weft_task_raw_result(task, &raw) == 0);
    weft_drop(task);
    return (int)raw - SHIFT;
}

/* ---- the canceller's ---- */

static intptr_t by_canceller(void *arg)
{
    (void)arg;
    wt_check(weft_cancel_cause() == WEFT_CAUSE_NONE);
    weft_task *task = spawn_waiting(wait_told, NULL);
    wt_check(weft_cancel(task) == 1);
    wt_check(cause_of(task) == WEFT_CAUSE_NONE);
    task = spawn_waiting(wait_told, NULL);
    wt_check(weft_cancel_with(task, -1) == -EINVAL && weft_cancel_with(task, 32768) == -EINVAL);
    wt_check(weft_cancelling(task) == 0);
    wt_check(weft_cancel_with(task, 32767) == 1);
    wt_check(cause_of(task) == 32767);
    wt_check(weft_cancel_with(NULL, 1) == -EINVAL);

    weft_task *self = weft_self();
    wt_check(weft_cancel_with(self, 7) == 1 && weft_cancel_cause() == 7);
    wt_check(weft_cancel_with(self, 8) == 1 && weft_cancel_cause() == 8); /* the latest */
    wt_check(weft_cancel(self) == 1 && weft_cancel_cause() == WEFT_CAUSE_NONE);
    wt_check(weft_checkpoint() == -ECANCELED);
    while (weft_uncancel(self) > 0) {
    }

    /* A new task in a used slot knows nothing of the last one's. */
    for (int i = 0; i < 300; i++) {
        intptr_t result = 0;
        wt_check(weft_spawn(&task, wait_told, NULL) == 0);
        wt_check(weft_cancel_with(task, 9) == 1);
        wt_check(weft_await(task, &result) == 0);
    }
    task = spawn_waiting(wait_told, NULL);
    wt_check(weft_cancel_with(task, 0) == 1);
    wt_check(cause_of(task) == WEFT_CAUSE_NONE);
    return 0;
}

Test(cause, is_the_cancellers)
{
    run_everywhere(by_canceller);
    cr_assert_eq(weft_cancel_cause(), WEFT_CAUSE_NONE); /* outside of tasks */
}

static intptr_t ask_when_new(void *arg)
{
    *(int *)arg = weft_cancel_cause();
    return 0;
}

static intptr_t slots_are_reused(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        weft_task *task;
        int cause = 1;
        wt_check(weft_spawn(&task, i % 2 == 0 ? wait_told : ask_when_new, &cause) == 0);
        wt_check(i % 2 != 0 || weft_cancel_with(task, 9) == 1);
        wt_check(weft_await(task, NULL) == 0);
        wt_check(i % 2 == 0 || cause == WEFT_CAUSE_NONE);
    }
    return 0;
}

Test(cause, does_not_outlive_its_task)
{
    run_everywhere(slots_are_reused);
}

/* ---- the library's ---- */

static int seen_at_end;

static intptr_t note_cause(void *arg)
{
    (void)arg;
    begun++;
    int rc = weft_sleep(WEFT_FOREVER);
    seen_at_end = weft_cancel_cause();
    return rc;
}

static intptr_t end_early(void *arg)
{
    (void)arg;
    wt_check(weft_detach(spawn_waiting(note_cause, NULL)) == 0);
    return 0;
}

Test(cause, shutdown)
{
    seen_at_end = 0;
    run_everywhere(end_early);
    cr_assert_eq(seen_at_end, WEFT_CAUSE_SHUTDOWN);
}

static intptr_t drop_it(void *arg)
{
    (void)arg;
    seen_at_end = 0;
    weft_drop(spawn_waiting(note_cause, NULL));
    while (seen_at_end == 0) {
        wt_check(weft_yield() == 0);
    }
    wt_check(seen_at_end == WEFT_CAUSE_DROPPED);
    return 0;
}

Test(cause, the_last_handle_is_dropped)
{
    cr_assert_eq(weft_run(drop_it, NULL, &simulated), 0);
    cr_assert_eq(weft_run(drop_it, NULL, &one_worker), 0);
    wt_assert_clean();
}

static intptr_t limits(void *arg)
{
    weft_timeout limit;
    weft_shield shield;
    weft_task *task;

    (void)arg;
    wt_check(weft_timeout_enter(&limit, WEFT_MS) == 0);
    int rc = weft_sleep(WEFT_FOREVER);
    wt_check(rc == -ECANCELED && weft_cancel_cause() == WEFT_CAUSE_TIMEOUT);
    wt_check(weft_timeout_leave(&limit, rc) == -ETIMEDOUT);

    wt_check(weft_shield_enter(&shield, WEFT_MS) == 0);
    wt_check(weft_cancel_with(weft_self(), 5) == 1);
    rc = weft_sleep(WEFT_FOREVER);
    wt_check(rc == -ECANCELED && weft_cancel_cause() == WEFT_CAUSE_TIMEOUT);
    wt_check(weft_shield_leave(&shield, 0) == 0);
    wt_check(weft_checkpoint() == -ECANCELED); /* the one that waited */
    wt_check(weft_uncancel(weft_self()) == 0);

    task = spawn_waiting(wait_told, NULL);
    wt_check(weft_wait_for(task, WEFT_MS, NULL) == 0); /* it ended with a value */
    wt_check(cause_of(task) == WEFT_CAUSE_TIMEOUT);
    task = spawn_waiting(wait_told, NULL);
    wt_check(weft_wait_for(task, 0, NULL) == 0);
    wt_check(cause_of(task) == WEFT_CAUSE_TIMEOUT);
    return 0;
}

Test(cause, limits)
{
    run_everywhere(limits);
}

static intptr_t fail(void *arg)
{
    (void)arg;
    return -EPIPE;
}

static intptr_t groups(void *arg)
{
    weft_group group;
    weft_task *child;
    int before = begun;

    (void)arg;
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, &child, wait_told, NULL, NULL) == 0);
    while (begun == before) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_group_spawn(&group, NULL, fail, NULL, NULL) == 0);
    int rc = weft_sleep(WEFT_FOREVER);
    wt_check(rc == -ECANCELED && weft_cancel_cause() == WEFT_CAUSE_GROUP); /* the body too */
    wt_check(weft_group_close(&group, rc) == -EPIPE);
    wt_check(cause_of(child) == WEFT_CAUSE_GROUP);

    before = begun;
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, &child, wait_told, NULL, NULL) == 0);
    while (begun == before) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_group_close(&group, -EIO) == -EIO); /* the body has failed */
    wt_check(cause_of(child) == WEFT_CAUSE_GROUP);
    return 0;
}

Test(cause, groups)
{
    run_everywhere(groups);
}

static intptr_t hang_up(void *arg)
{
    weft_watch watch;
    int fds[2];

    (void)arg;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_close(fds[1]) == 0);
    int rc = weft_sleep(WEFT_FOREVER);
    wt_check(rc == -ECANCELED && weft_cancel_cause() == WEFT_CAUSE_HANGUP);
    wt_check(weft_watch_leave(&watch, rc) == -ECONNRESET);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(cause, the_peer_hangs_up)
{
    cr_assert_eq(weft_run(hang_up, NULL, &one_worker), 0);
    cr_assert_eq(weft_run(hang_up, NULL, &four_workers), 0);
    wt_assert_clean();
}

static intptr_t interrupted(void *arg)
{
    (void)arg;
    wt_check(raise(SIGINT) == 0);
    int rc = weft_sleep(WEFT_FOREVER);
    wt_check(rc == -ECANCELED && weft_cancel_cause() == WEFT_CAUSE_INTERRUPT);
    return rc;
}

Test(cause, interrupt)
{
    const weft_options options = {.workers = 1, .sigint = true};
    cr_assert_eq(weft_run(interrupted, NULL, &options), -EINTR);
    wt_assert_clean();
}

/* ---- handing on ---- */

static intptr_t join_it(void *arg)
{
    begun++;
    return weft_join(arg, NULL);
}

static intptr_t gather_it(void *arg)
{
    weft_task *tasks[2] = {arg, arg};
    begun++;
    return weft_gather(tasks, 2, NULL, WEFT_GATHER_COLLECT, NULL);
}

static intptr_t wait_for_it(void *arg)
{
    begun++;
    return weft_wait_for(arg, WEFT_FOREVER, NULL);
}

static weft_task *_Atomic group_child;

/* Opens a group, publishes its child, and waits until that waits. */
static void open_with_child(weft_group *group)
{
    weft_task *child = NULL;
    int before = begun;

    wt_check(weft_group_open(group, 0) == 0);
    wt_check(weft_group_spawn(group, &child, wait_told, NULL, NULL) == 0);
    group_child = child;
    while (begun == before) {
        wt_check(weft_yield() == 0);
    }
    begun++;
}

static intptr_t close_group(void *arg)
{
    weft_group group;

    (void)arg;
    open_with_child(&group);
    return weft_group_close(&group, 0);
}

/* The same, but the request comes into the body. */
static intptr_t body_of_group(void *arg)
{
    weft_group group;

    (void)arg;
    open_with_child(&group);
    int rc = weft_sleep(WEFT_FOREVER);
    return weft_group_close(&group, rc);
}

static intptr_t handed_on(void *arg)
{
    static weft_fn *const ways[] = {join_it, gather_it, wait_for_it};
    static weft_fn *const scopes[] = {close_group, body_of_group};

    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        weft_task *task = spawn_waiting(wait_told, NULL);
        weft_task *middle = spawn_waiting(ways[i], task);
        weft_task *outer = spawn_waiting(ways[i], middle); /* two steps */
        wt_check(weft_cancel_with(outer, 40 + (int)i) == 1);
        wt_check(cause_of(task) == 40 + (int)i);
        wt_check(weft_await(middle, NULL) == 0);
        wt_check(weft_await(outer, NULL) == 0);
    }
    for (size_t i = 0; i < 2; i++) {
        int before = begun;
        weft_task *task;
        wt_check(weft_spawn(&task, scopes[i], NULL) == 0);
        while (begun < before + 2) {
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_cancel_with(task, 50) == 1);
        wt_check(cause_of(group_child) == 50);
        wt_check(weft_await(task, NULL) == 0);
    }
    return 0;
}

Test(cause, goes_along_where_a_request_is_handed_on)
{
    run_everywhere(handed_on);
}

/* ---- several at once ---- */

enum { CANCELLERS = 4, REQUESTS = 200 };

struct canceller {
    weft_task *task;
    int cause;
};

static void *cancel_often(void *arg)
{
    const struct canceller *self = arg;
    for (int i = 0; i < REQUESTS; i++) {
        wt_check(weft_cancel_with(self->task, self->cause) == 1);
    }
    return NULL;
}

static intptr_t count_causes(void *arg)
{
    intptr_t deliveries = 0;
    atomic_store((atomic_bool *)arg, true);
    while (weft_cancelling(weft_self()) < CANCELLERS * REQUESTS) {
        if (weft_sleep(100 * WEFT_MS) == -ECANCELED) {
            int cause = weft_cancel_cause();
            wt_check(cause >= 1 && cause <= CANCELLERS); /* one of theirs, never a mixture */
            deliveries++;
        }
    }
    return weft_checkpoint() == 0 ? deliveries : deliveries + 1;
}

Test(cause, of_several_cancellers_is_one_of_theirs)
{
    weft_runtime *runtime;
    weft_task *task;
    pthread_t threads[CANCELLERS];
    struct canceller cancellers[CANCELLERS];
    atomic_bool is_running = false;

    cr_assert_eq(weft_runtime_start(&runtime, &four_workers), 0);
    cr_assert_eq(weft_runtime_submit(runtime, &task, count_causes, &is_running, NULL), 0);
    while (!atomic_load(&is_running)) {
    }
    for (int i = 0; i < CANCELLERS; i++) {
        cancellers[i] = (struct canceller){task, i + 1};
        cr_assert_eq(pthread_create(&threads[i], NULL, cancel_often, &cancellers[i]), 0);
    }
    for (int i = 0; i < CANCELLERS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, NULL), 0);
    weft_drop(task);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}
