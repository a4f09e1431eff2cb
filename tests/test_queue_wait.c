/* SPDX-License-Identifier: MIT */
/* test_queue_wait.c - those who wait for a queue: their order, requests, grants, limits, turns. */
#include <errno.h>

#include <weft/stats.h>
#include <weft/timeout.h>

#include "await/door.h"
#include "sync/queue.h"
#include "queue_test.h"

/* ---- waiting ---- */

static intptr_t in_order(void *arg)
{
    enum { TASKS = 10 };
    weft_task *tasks[TASKS];

    (void)arg;
    for (size_t capacity = 0; capacity < 4; capacity++) {
        make(capacity);
        for (int i = 0; i < TASKS; i++) {
            tasks[i] = spawn_parked(get_task, 0);
        }
        for (intptr_t i = 0; i < TASKS; i++) {
            wt_check(put_task((void *)i) == 0);
        }
        for (int i = 0; i < TASKS; i++) {
            wt_check(finish(tasks[i]) == i);
        }
        for (size_t i = 0; i < capacity; i++) {
            wt_check(try_put(100 + (intptr_t)i) == 0);
        }
        for (int i = 0; i < TASKS; i++) {
            tasks[i] = spawn_parked(put_task, i);
        }
        for (size_t i = 0; i < capacity; i++) {
            wt_check(get_task(NULL) == 100 + (intptr_t)i);
        }
        for (int i = 0; i < TASKS; i++) {
            wt_check(get_task(NULL) == i);
            wt_check(finish(tasks[i]) == 0);
        }
        wt_check(try_get() == -EAGAIN);
        wt_check(weft_queue_destroy(&queue) == 0);
    }
    return 0;
}

Test(queue, serves_those_who_wait_in_the_order_of_their_coming)
{
    simulate(in_order);
}

static intptr_t ready(void *arg)
{
    weft_stats_t before = {.size = sizeof before}, after = {.size = sizeof after};

    (void)arg;
    make(2);
    wt_check(weft_stats(NULL, &before) == 0);
    wt_check(put_task((void *)1) == 0 && put_task((void *)2) == 0);
    wt_check(get_task(NULL) == 1 && get_task(NULL) == 2);
    wt_check(weft_queue_done(&queue) == 0 && weft_queue_done(&queue) == 0);
    wt_check(weft_queue_join(&queue) == 0);
    wt_check(weft_stats(NULL, &after) == 0);
    wt_check(after.parks == before.parks);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, does_not_suspend_without_need)
{
    simulate_under(ready, 0);
}

/* Entry rule: an undelivered request, and nothing is moved. */
static intptr_t entry(void *arg)
{
    intptr_t item = 7;

    (void)arg;
    make(2);
    wt_check(try_put(1) == 0);
    for (int call = 0; call < 5; call++) {
        wt_check(weft_cancel(weft_self()) == 1);
        int64_t rc = call == 0   ? weft_queue_put(&queue, &item)
                     : call == 1 ? weft_queue_get(&queue, &item)
                     : call == 2 ? weft_queue_put_many(&queue, &item, 1)
                     : call == 3 ? weft_queue_get_many(&queue, &item, 1)
                                 : weft_queue_join(&queue);
        wt_check(rc == -ECANCELED && item == 7);
        wt_check(weft_uncancel(weft_self()) == 0);
        wt_check(weft_queue_count(&queue) == 1);
    }
    wt_check(try_get() == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, a_request_comes_before_everything)
{
    simulate(entry);
}

/* Grant rule, [Q03] [Q08]: the request stays undelivered. */
static intptr_t get_then_look(void *arg)
{
    intptr_t item = get_task(arg);

    wt_check(weft_checkpoint() == -ECANCELED);
    return -ESHUTDOWN + item;
}

static intptr_t put_then_look(void *arg)
{
    intptr_t rc = put_task(arg);

    wt_check(weft_checkpoint() == -ECANCELED);
    return -ESHUTDOWN + rc;
}

static intptr_t grants_stand(void *arg)
{
    weft_task *task;

    (void)arg;
    weft_task *second;

    make(1);
    task = spawn_parked(get_then_look, 0);
    second = spawn_parked(get_task, 0); /* [Q04]: is not passed what the first one keeps */
    wt_check(try_put(1) == 0 && weft_cancel(task) == 1);
    wt_check(finish(task) == -ESHUTDOWN + 1);
    wt_check(weft_task_state(second) == WEFT_PENDING && weft_queue_count(&queue) == 0);
    wt_check(try_put(2) == 0 && finish(second) == 2);
    task = spawn_parked(get_then_look, 0);
    wt_check(try_put(1) == 0 && weft_cancel(task) == 1);
    wt_check(finish(task) == -ESHUTDOWN + 1);
    wt_check(try_put(1) == 0);
    task = spawn_parked(put_then_look, 2);
    wt_check(try_get() == 1 && weft_cancel(task) == 1);
    wt_check(finish(task) == -ESHUTDOWN);
    wt_check(try_get() == 2 && try_get() == -EAGAIN);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, what_was_granted_stays_granted)
{
    simulate(grants_stand);
}

/* [Q05] [Q07] [Q18]: whoever leaves the line moves nothing and is in nobody's way. */
static intptr_t leaving(void *arg)
{
    weft_task *tasks[3];

    (void)arg;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        make(capacity);
        for (int i = 0; i < 3; i++) {
            tasks[i] = spawn_parked(get_task, 0);
        }
        wt_check(weft_cancel(tasks[0]) == 1);
        wt_check(try_put(1) == 0); /* the cancelled one is still in line */
        wt_check(finish(tasks[0]) == -ECANCELED);
        wt_check(finish(tasks[1]) == 1);
        wt_check(weft_cancel(tasks[2]) == 1);
        wt_check(finish(tasks[2]) == -ECANCELED);
        wt_check(try_put(2) == (capacity == 0 ? -EAGAIN : 0));
        for (int i = 0; i < 3; i++) {
            tasks[i] = spawn_parked(put_task, 10 + i);
        }
        wt_check(weft_cancel(tasks[0]) == 1);
        wt_check(capacity == 0 || try_get() == 2);
        wt_check(finish(tasks[0]) == -ECANCELED);
        wt_check(get_task(NULL) == 11);
        wt_check(finish(tasks[1]) == 0);
        wt_check(capacity == 1 || weft_cancel(tasks[2]) == 1);
        wt_check(finish(tasks[2]) == (capacity == 0 ? -ECANCELED : 0));
        wt_check(try_get() == (capacity == 0 ? -EAGAIN : 12));
        wt_check(weft_queue_destroy(&queue) == 0);
    }
    return 0;
}

Test(queue, whoever_leaves_the_line_moves_nothing)
{
    simulate(leaving);
}

static intptr_t limited(void *arg)
{
    intptr_t item = 1;

    (void)arg;
    make(1);
    wt_check(weft_within(WEFT_S, weft_queue_get(&queue, &item)) == -ETIMEDOUT && item == 1);
    wt_check(put_task((void *)1) == 0);
    wt_check(weft_within(WEFT_S, weft_queue_put(&queue, &item)) == -ETIMEDOUT);
    wt_check(weft_within(WEFT_S, weft_queue_join(&queue)) == -ETIMEDOUT);
    wt_check(weft_queue_count(&queue) == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, waiting_may_have_a_limit)
{
    simulate(limited);
}

/* ---- turns as in an event loop: [Q04] [Q09] [Q10] ---- */

static intptr_t note_get(void *arg)
{
    *(intptr_t *)arg = get_task(NULL);
    return 0;
}

static intptr_t turns(void *arg)
{
    weft_task *a, *b;
    intptr_t got_a = -1, got_b = -1;

    (void)arg;
    make(WEFT_QUEUE_UNBOUNDED);
    a = spawn_parked(note_get, (intptr_t)&got_a);
    wt_check(try_put(1) == 0);
    wt_check(weft_queue_count(&queue) == 1); /* it lies there until its getter comes */
    wt_check(try_get() == 1);                /* and a late one may be faster */
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_yield() == 0);
    b = spawn_parked(note_get, (intptr_t)&got_b);
    wt_check(try_put(2) == 0 && weft_yield() == 0 && got_a == 2 && got_b == -1);
    wt_check(finish(a) == 0);
    wt_check(try_put(3) == 0 && weft_yield() == 0 && got_b == 3);
    wt_check(finish(b) == 0);

    got_a = -1;
    got_b = -1;
    a = spawn_parked(note_get, (intptr_t)&got_a);
    wt_check(weft_spawn(&b, note_get, &got_b) == 0);
    wt_check(try_put(1) == 0 && try_get() == 1);
    wt_check(weft_yield() == 0); /* b waits, then a tries, loses, and waits behind it */
    wt_check(try_put(2) == 0 && try_put(3) == 0);
    wt_check(finish(a) == 0 && finish(b) == 0);
    wt_check(got_a == 3 && got_b == 2);

    /* A loser finds the request that came meanwhile. */
    a = spawn_parked(get_task, 0);
    wt_check(try_put(1) == 0 && try_get() == 1 && weft_cancel(a) == 1);
    wt_check(finish(a) == -ECANCELED);
    wt_check(try_get() == -EAGAIN);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, has_turns_in_a_strict_simulation)
{
    simulate_under(turns, 0);
}

/* ... and hands over in all others: nobody is overtaken. */
static intptr_t no_turns(void *arg)
{
    weft_task *task;

    (void)arg;
    make(WEFT_QUEUE_UNBOUNDED);
    task = spawn_parked(get_task, 0);
    wt_check(try_put(1) == 0);
    wt_check(weft_queue_count(&queue) == 0 && try_get() == -EAGAIN);
    wt_check(finish(task) == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    make(1);
    wt_check(try_put(1) == 0);
    task = spawn_parked(put_task, 2);
    wt_check(try_get() == 1 && try_put(3) == -EAGAIN && try_get() == 2);
    wt_check(finish(task) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, hands_over_otherwise)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        simulate_under(no_turns, seed);
    }
}

/* ---- what select and reports ask for ---- */

static struct wf_queue_op op_for(struct wf_wait *wait, intptr_t *item, bool is_put)
{
    return (struct wf_queue_op){
        .waiter = {.wait = wait}, .items = item, .count = 1, .is_put = is_put};
}

static intptr_t several_waiters(void *arg)
{
    weft_task *task;
    struct wf_wait wait;
    intptr_t sent = 9, got = -1;

    (void)arg;
    make(0);
    struct wf_queue_op put = op_for(&wait, &sent, true), get = op_for(&wait, &got, false);
    wf_wait_begin(&wait, weft_self(), WF_WAIT_SELECT);
    wt_check(wf_queue_link(&queue, &put) == WF_QUEUE_LINKED);
    wt_check(wf_queue_link(&queue, &get) == WF_QUEUE_LINKED); /* not with itself */
    wt_check(weft_spawn(&task, put_task, (void *)4) == 0);
    wt_check(wf_door_park(&wait) == WF_GRANTED);
    wf_queue_unlink(&queue, &put);
    wf_queue_unlink(&queue, &get);
    wt_check(get.outcome == 1 && got == 4 && put.outcome == 0);
    wt_check(finish(task) == 0);

    task = spawn_parked(get_task, 0);
    wf_wait_begin(&wait, weft_self(), WF_WAIT_SELECT);
    wt_check(wf_queue_link(&queue, &get) == WF_QUEUE_LINKED);
    wt_check(wf_queue_link(&queue, &put) == WF_QUEUE_DONE);
    wt_check(put.outcome == 1);
    wf_queue_unlink(&queue, &get);
    wt_check(get.outcome == 0 && finish(task) == 9);

    wf_wait_begin(&wait, weft_self(), WF_WAIT_SELECT);
    wt_check(weft_queue_close(&queue) == 0);
    wt_check(wf_queue_link(&queue, &put) == WF_QUEUE_DONE && put.outcome == -ESHUTDOWN);
    wt_check(wf_queue_link(&queue, &get) == WF_QUEUE_LOST && get.outcome == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, one_of_several_waiters)
{
    simulate(several_waiters);
}

static intptr_t tokens(void *arg)
{
    uint64_t self = wf_task_token(weft_self());
    weft_task *task;

    (void)arg;
    make(1);
    wt_check(wf_queue_last_put(&queue) == 0 && wf_queue_last_got(&queue) == 0);
    wt_check(try_put(1) == 0);
    wt_check(wf_queue_last_put(&queue) == self && wf_queue_last_got(&queue) == 0);
    task = spawn_parked(put_task, 2);
    wt_check(try_get() == 1 && wf_queue_last_got(&queue) == self);
    weft_task *held = wf_token_hold(wf_task_registry(task), wf_queue_last_put(&queue));
    wt_check(weft_sleep(WEFT_US) == 0);
    wt_check(wf_queue_last_put(&queue) == wf_task_token(task));
    if (held != NULL) {
        wf_task_let_go(held, NULL);
    }
    wt_check(finish(task) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, knows_who_was_there_last)
{
    simulate(tokens);
}
