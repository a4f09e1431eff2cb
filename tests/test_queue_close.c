/* SPDX-License-Identifier: MIT */
/* test_queue_close.c - how a queue ends: closing, joining, what is dropped, who keeps it in use. */
#include <errno.h>

#include "queue_test.h"

/* ---- closing, [Q12] ---- */

static intptr_t closing(void *arg)
{
    weft_task *get, *put, *join;

    (void)arg;
    for (size_t capacity = 0; capacity < 3; capacity++) {
        for (int now = 0; now < 2; now++) {
            make(capacity);
            get = spawn_parked(get_task, 0);
            wt_check((now ? weft_queue_close_now : weft_queue_close)(&queue) == 0);
            wt_check(finish(get) == -ESHUTDOWN);
            wt_check(get_task(NULL) == -ESHUTDOWN);
            wt_check(put_task(NULL) == -ESHUTDOWN);
            wt_check(weft_queue_join(&queue) == 0);
            wt_check(weft_queue_destroy(&queue) == 0);
        }
    }
    make(1);
    wt_check(try_put(1) == 0);
    put = spawn_parked(put_task, 2);
    join = spawn_parked(join_task, 0);
    wt_check(weft_queue_close(&queue) == 0);
    wt_check(finish(put) == -ESHUTDOWN);
    wt_check(put_task(NULL) == -ESHUTDOWN);
    wt_check(get_task(NULL) == 1);
    wt_check(get_task(NULL) == -ESHUTDOWN && try_get() == -ESHUTDOWN);
    wt_check(weft_task_state(join) == WEFT_PENDING);
    wt_check(weft_queue_done(&queue) == 0);
    wt_check(finish(join) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, closing_tells_those_who_wait)
{
    simulate(closing);
}

/* [Q14]: one item is being dealt with, one is dropped. */
static intptr_t closing_now(void *arg)
{
    weft_task *join;

    (void)arg;
    make(WEFT_QUEUE_UNBOUNDED);
    wt_check(try_put(1) == 0 && try_put(2) == 0 && try_get() == 1);
    join = spawn_parked(join_task, 0);
    wt_check(weft_queue_close_now(&queue) == 0);
    wt_check(weft_yield() == 0 && weft_task_state(join) == WEFT_PENDING);
    wt_check(weft_queue_count(&queue) == 0);
    wt_check(weft_queue_done(&queue) == 0);
    wt_check(finish(join) == 0);
    wt_check(weft_queue_done(&queue) == -EINVAL);
    wt_check(weft_queue_destroy(&queue) == 0);

    make(3);
    wt_check(try_put(1) == 0);
    join = spawn_parked(join_task, 0);
    wt_check(weft_queue_close_now(&queue) == 0);
    wt_check(finish(join) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, what_is_dropped_is_done)
{
    simulate(closing_now);
}

/* [Q15] */
static intptr_t joining(void *arg)
{
    weft_task *joiners[3];

    (void)arg;
    make(0);
    for (int i = 0; i < 3; i++) {
        weft_task *put = spawn_parked(put_task, 5);
        wt_check(weft_queue_join(&queue) == 0); /* not put yet */
        wt_check(get_task(NULL) == 5 && finish(put) == 0);
        wt_check(weft_queue_done(&queue) == 0);
    }
    wt_check(weft_queue_destroy(&queue) == 0);
    make(4);
    wt_check(try_put(1) == 0 && try_put(2) == 0 && try_get() == 1);
    for (int i = 0; i < 3; i++) {
        joiners[i] = spawn_parked(join_task, 0);
    }
    wt_check(weft_cancel(joiners[1]) == 1);
    wt_check(finish(joiners[1]) == -ECANCELED);
    wt_check(weft_queue_done(&queue) == 0 && weft_yield() == 0);
    wt_check(weft_task_state(joiners[0]) == WEFT_PENDING);
    wt_check(try_get() == 2 && weft_queue_done(&queue) == 0);
    wt_check(finish(joiners[0]) == 0 && finish(joiners[2]) == 0);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, join_waits_for_the_end_of_the_work)
{
    simulate(joining);
}

/* ---- counting what is being dropped ---- */

static int done_while_dropping;

static void drop_and_say_done(void *item)
{
    (void)item;
    done_while_dropping = weft_queue_done(&queue);
}

/* Reporting one that is being dropped does no harm: joins end. */
static intptr_t done_in_drop(void *arg)
{
    intptr_t items[] = {1, 2};
    (void)arg;
    wt_check(weft_queue_init(&queue, sizeof(intptr_t), 4, drop_and_say_done) == 0);
    wt_check(weft_queue_put_many(&queue, items, 2) == 2);
    wt_check(weft_queue_close_now(&queue) == 0);
    wt_check(done_while_dropping == 0 || done_while_dropping == -EINVAL);
    weft_task *joiner = NULL;
    wt_check(weft_spawn(&joiner, join_task, NULL) == 0);
    wt_check(weft_sleep(WEFT_US) == 0);
    wt_check(weft_task_state(joiner) == WEFT_OK);
    (void)weft_cancel(joiner);
    wt_check(weft_join(joiner, NULL) == 0);
    weft_drop(joiner);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, what_is_being_dropped_is_not_taken)
{
    simulate(done_in_drop);
}

/* One that was cancelled and has not run yet will still look at the queue. */
static intptr_t destroy_under_a_cancelled_one(void *arg)
{
    (void)arg;
    make(4);
    weft_task *getter = spawn_parked(get_task, 0);
    wt_check(weft_cancel(getter) == 1);
    wt_check(try_put(1) == 0); /* passes it over */
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(finish(getter) == -ECANCELED);
    wt_check(weft_queue_count(&queue) == 1);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, a_cancelled_one_keeps_it_in_use)
{
    simulate(destroy_under_a_cancelled_one);
}
