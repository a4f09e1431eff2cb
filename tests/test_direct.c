/* SPDX-License-Identifier: MIT */
/* test_direct.c - what the end of a worker's sleep returns: the only task that an event has woken, which is in no queue then.
 * Of workers that do not run; what happens during the sleep is done by a poller of the test's own. */
#include <stdlib.h>

#include "poll/poller.h"
#include "poll/uring.h"
#include "queue/inbox.h"
#include "sched/loop.h"
#include "sched/park.h"
#include "task/cancel.h"
#include "weft_test.h"

enum { TASKS = 3 };

static weft_runtime runtime;
static weft_runtime other_runtime;
static struct wf_worker workers[1];
static struct wf_worker *worker = &workers[0];
static struct wf_task_slab *slab;
static void (*event)(
    struct wf_later *later); /* what happens during the sleep, besides that tasks are woken */
static int woken;            /* how many are */

static weft_task *task_at(int index)
{
    return wf_task_beside((weft_task *)(void *)slab, index + 1);
}

/* ---- the poller ---- */

static int wait_for_event(struct wf_poller *poller, int64_t timeout_ns, struct wf_later *later)
{
    (void)poller;
    (void)timeout_ns;
    for (int i = 0; i < woken; i++) {
        wf_later_wake(later, task_at(i));
    }
    if (event != NULL) {
        event(later);
    }
    return woken;
}

static void poke(struct wf_poller *poller)
{
    (void)poller;
}

static const struct wf_poller_ops poller_ops = {.wait = wait_for_event, .poke = poke};
static struct wf_poller poller = {.ops = &poller_ops};

/* ---- the world ---- */

static void make_runtime(weft_runtime *made)
{
    made->workers = workers;
    made->worker_count = 1;
    made->poller = &poller;
    wf_store_rlx(&made->stacks.trim_ns, WF_FOREVER);
    cr_assert_eq(wf_idle_init(&made->idle, 1), 0);
}

static void make_world(void)
{
    make_runtime(&runtime);
    make_runtime(&other_runtime);
    slab = aligned_alloc(WF_SLAB_BYTES, WF_SLAB_BYTES);
    cr_assert_not_null(slab);
    memset(slab, 0, WF_SLAB_BYTES);
    slab->registry = &runtime.registry;
    for (int i = 0; i < TASKS; i++) {
        wf_store_rlx(&task_at(i)->word, (uint64_t)WF_RUN); /* its wait has been granted */
        wf_store_rlx(&task_at(i)->id, (uint64_t)(i + 1));
    }
    worker->runtime = &runtime;
    worker->host = &worker->own_host;
    worker->fiber = worker->host;
    worker->stretch = WF_POLL_TURNS;
    worker->slot_streak = WF_SLOT_STREAK;
    wf_wheel_init(&worker->wheel, wf_monotonic_ns(), false);
    cr_assert_eq(wf_deque_init(&worker->deque), 0);
    cr_assert_eq(wf_deque_init(&worker->woken), 0);
    wf_here_set(worker);
    woken = 1;
}

static void unmake_world(void)
{
    wf_here_set(NULL);
    wf_deque_destroy(&worker->deque);
    wf_deque_destroy(&worker->woken);
    wf_idle_destroy(&runtime.idle);
    wf_idle_destroy(&other_runtime.idle);
    free(slab);
}

/* Whichever way they go, they have been woken, and the worker is awake. */
static void check_awake(int tasks)
{
    cr_assert_eq(wf_load_rlx(&worker->counters.wakes), (uint64_t)tasks);
    cr_assert_eq(wf_idle_asleep(&runtime.idle), 0);
    cr_assert_eq(wf_load_rlx(&worker->is_drowsy), 0);
    cr_assert_eq(worker->until_poll, worker->stretch);
}

static void sleep_and_return_one(void)
{
    cr_assert_eq(wf_worker_sleep(worker), task_at(0));
    cr_assert(wf_ready_is_empty(worker), "it is in no queue");
    cr_assert(!worker->is_searching);
    check_awake(1);
}

/* All of them are in the lane, in their order. */
static void sleep_and_queue(int tasks)
{
    cr_assert_null(wf_worker_sleep(worker));
    check_awake(tasks);
    cr_assert_eq(wf_ready_count(worker), (uint64_t)tasks);
    for (int i = 0; i < tasks; i++) {
        cr_assert_eq(wf_ready_take(worker).task, task_at(i));
    }
}

/* ---- what is returned ---- */

Test(direct, a_single_task, .init = make_world, .fini = unmake_world)
{
    sleep_and_return_one();
    cr_assert_eq(worker->slot_streak, 0, "it did not come from the slot");
}

Test(direct, two_are_queued, .init = make_world, .fini = unmake_world)
{
    woken = 2;
    sleep_and_queue(2);
}

Test(direct, one_is_queued_where_others_lean_on_who_is_awake, .init = make_world,
     .fini = unmake_world)
{
    wf_store_sc(&runtime.leaning, UINT64_C(1)); /* their timers may be due: the loop looks */
    sleep_and_queue(1);
}

Test(direct, none_is_none, .init = make_world, .fini = unmake_world)
{
    woken = 0;
    sleep_and_queue(0);
}

Test(direct, a_pinned_one_goes_where_such_are, .init = make_world, .fini = unmake_world)
{
    wf_task_add_flags(task_at(0), WF_TASK_PINNED);
    cr_assert_null(wf_worker_sleep(worker));
    cr_assert_eq(worker->pinned, task_at(0));
    check_awake(1);
}

Test(direct, one_of_another_runtime_goes_there, .init = make_world, .fini = unmake_world)
{
    slab->registry = &other_runtime.registry;
    cr_assert_null(wf_worker_sleep(worker));
    cr_assert(wf_ready_is_empty(worker));
    cr_assert(!wf_inbox_is_empty(&other_runtime.inject));
    check_awake(0);
}

/* ---- there is something else to look at ---- */

static void wake_up(struct wf_later *later)
{
    (void)later;
    wf_sched_rouse(&runtime, 0);
}

Test(direct, who_was_woken_looks_around_first, .init = make_world, .fini = unmake_world)
{
    event = wake_up;
    sleep_and_queue(1);
}

/* The waker has not come to the parker word yet. */
static void pick(struct wf_later *later)
{
    (void)later;
    cr_assert_eq(wf_idle_pick(&runtime.idle), 0);
}

Test(direct, who_was_picked_searches_first, .init = make_world, .fini = unmake_world)
{
    event = pick;
    sleep_and_queue(1);
    cr_assert(worker->is_searching);
}

/* The sender has not come to the sleepers yet. */
static void send(struct wf_later *later)
{
    (void)later;
    wf_inbox_push(&worker->inbox, &task_at(2)->inbox_entry);
}

Test(direct, a_message_has_its_turn, .init = make_world, .fini = unmake_world)
{
    event = send;
    sleep_and_queue(1);
}

static void arm(struct wf_later *later)
{
    (void)later;
    wf_store_rlx(&worker->wheel.next_ns, 1);
}

Test(direct, a_timer_may_be_due, .init = make_world, .fini = unmake_world)
{
    event = arm;
    sleep_and_queue(1);
}

static void kick(struct wf_later *later)
{
    wf_kick_push(later, task_at(2));
}

Test(direct, kicks_come_first, .init = make_world, .fini = unmake_world)
{
    event = kick;
    sleep_and_queue(1);
    cr_assert_eq(wf_load_rlx(&task_at(2)->marks), 0, "it has been kicked");
}

static void deliver(struct wf_later *later)
{
    later->delivered = 1;
}

Test(direct, a_delivery_is_counted, .init = make_world, .fini = unmake_world)
{
    event = deliver;
    sleep_and_queue(1);
    cr_assert_eq(wf_load_rlx(&worker->counters.delivered), 1);
}

/* ---- no sleep ---- */

static void never(struct wf_later *later)
{
    (void)later;
    cr_assert(false, "it must not sleep");
}

Test(direct, who_must_leave_does_not_sleep, .init = make_world, .fini = unmake_world)
{
    event = never;
    wf_store_rlx(&runtime.phase, (uint32_t)WF_DRAINED);
    sleep_and_queue(0);
}

Test(direct, who_has_a_message_does_not_sleep, .init = make_world, .fini = unmake_world)
{
    event = never;
    send(NULL);
    sleep_and_queue(0);
}

/* ---- in a ring, which knows the time ---- */

static struct io_uring_sqe entry = {.opcode = IORING_OP_NOP};
static struct wf_wait op_wait;
static struct wf_op op = {.entry = &entry, .wait = &op_wait};

/* It waits for an operation that ends at once. */
static bool wait_in_ring(void)
{
    if (wf_uring_create(&worker->ring) != 0) {
        return false;
    }
    cr_assert_eq(wf_uring_enable(worker->ring), 0);
    op_wait.task = task_at(0);
    wf_store_rlx(&op_wait.epoch, (uint8_t)1);
    wf_store_rlx(&task_at(0)->word, (uint64_t)WF_PARKED | UINT64_C(1) << WF_EPOCH_SHIFT);
    wf_store_rlx(&poller.descriptor, -1);
    wf_uring_push(worker->ring, &op);
    return true;
}

static void leave_ring(void)
{
    wf_uring_leave(worker->ring);
    wf_uring_destroy(worker->ring);
}

static void never_fire(struct wf_timer *fired, void *context)
{
    (void)fired;
    (void)context;
    cr_assert(false, "who looks at timers is the loop");
}

static struct wf_timer timer;

static void arm_at(int64_t deadline_ns)
{
    wf_timer_init(&timer, &worker->wheel, never_fire);
    (void)wf_timer_arm(&timer, deadline_ns);
}

Test(direct, in_a_ring_a_timer_that_is_not_due_can_wait, .init = make_world, .fini = unmake_world)
{
    if (!wait_in_ring()) {
        wt_skip("no io_uring here");
    }
    arm_at(wf_monotonic_ns() + INT64_C(3600) * 1000000000);
    sleep_and_return_one();
    leave_ring();
}

Test(direct, in_a_ring_a_timer_that_is_due_can_not, .init = make_world, .fini = unmake_world)
{
    if (!wait_in_ring()) {
        wt_skip("no io_uring here");
    }
    arm_at(1);
    sleep_and_queue(1);
    leave_ring();
}
