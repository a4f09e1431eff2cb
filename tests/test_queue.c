/* SPDX-License-Identifier: MIT */
/* test_queue.c - items in order, once, whoever waits, is cancelled or closes. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <weft/queue.h>
#include <weft/runtime.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "weft_test.h"

static weft_queue queue;

static void simulate_under(weft_fn *fn, uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed};

    cr_assert_eq(weft_run(fn, NULL, &options), 0, "seed %d", (int)seed);
    wt_assert_clean();
}

/* Turns as an event loop has them, and hand-over without. */
static void simulate(weft_fn *fn)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        simulate_under(fn, seed);
    }
}

static void make(size_t capacity)
{
    wt_check(weft_queue_init(&queue, sizeof(intptr_t), capacity, NULL) == 0);
}

static int try_put(intptr_t item)
{
    return weft_queue_try_put(&queue, &item);
}

static intptr_t try_get(void)
{
    intptr_t item = -1;
    int rc = weft_queue_try_get(&queue, &item);

    return rc < 0 ? rc : item;
}

static intptr_t get_task(void *arg)
{
    intptr_t item = -1;
    int rc = weft_queue_get(&queue, &item);

    (void)arg;
    wt_check(rc == 0 || item == -1);
    return rc < 0 ? rc : item;
}

static intptr_t put_task(void *arg)
{
    intptr_t item = (intptr_t)arg;

    return weft_queue_put(&queue, &item);
}

static intptr_t join_task(void *arg)
{
    (void)arg;
    return weft_queue_join(&queue);
}

/* Parked when this returns: nothing else is ready. */
static weft_task *spawn_parked(weft_fn *fn, intptr_t arg)
{
    weft_task *task = NULL;

    wt_check(weft_spawn(&task, fn, (void *)arg) == 0);
    wt_check(weft_sleep(WEFT_US) == 0);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    return task;
}

static intptr_t finish(weft_task *task)
{
    intptr_t result = 0;

    wt_check(weft_join(task, &result) == 0);
    weft_drop(task);
    return result;
}

/* ---- from a plain thread ---- */

Test(queue, keeps_its_order_and_bounds)
{
    const size_t capacities[] = {1, 2, 7, 128, WEFT_QUEUE_UNBOUNDED};

    for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
        intptr_t most = capacities[c] == WEFT_QUEUE_UNBOUNDED ? 5000 : (intptr_t)capacities[c];
        intptr_t in = 0, out = 0;

        make(capacities[c]);
        for (int round = 0; round < 5; round++) {
            while (in - out < most) {
                cr_assert_eq(try_put(in++), 0);
                cr_assert_eq((intptr_t)weft_queue_count(&queue), in - out);
            }
            cr_assert_eq(most == 5000 || try_put(in) == -EAGAIN, true);
            for (intptr_t i = 0; i <= most / 2; i++) {
                cr_assert_eq(try_get(), out++);
            }
        }
        while (out < in) {
            cr_assert_eq(try_get(), out++);
        }
        cr_assert_eq(try_get(), -EAGAIN);
        cr_assert_eq(weft_queue_destroy(&queue), 0);
    }
    make(0);
    cr_assert_eq(try_put(1), -EAGAIN);
    cr_assert_eq(try_get(), -EAGAIN);
    cr_assert_eq(weft_queue_destroy(&queue), 0);
}

Test(queue, holds_items_of_any_size)
{
    static const size_t sizes[] = {1, 3, 4, 8, 12, 16, 24, 100, 4080, 5000, 9001};
    static const size_t capacities[] = {3, WEFT_QUEUE_UNBOUNDED};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes * 2; s++) {
        size_t bytes = sizes[s / 2];
        unsigned char *item = malloc(bytes + 1), in = 0, out = 0;

        cr_assert_eq(weft_queue_init(&queue, bytes, capacities[s % 2], NULL), 0);
        for (int step = 0; step < 200; step++) {
            if (weft_queue_count(&queue) < 3) {
                memset(item, in, bytes);
                in = (unsigned char)(in + 1) & 63;
                cr_assert_eq(weft_queue_try_put(&queue, item), 0);
            }
            if (step % 3 != 0 && weft_queue_count(&queue) > 0) {
                item[bytes] = 0xee;
                cr_assert_eq(weft_queue_try_get(&queue, item), 0);
                cr_assert(item[0] == out && item[bytes - 1] == out && item[bytes] == 0xee);
                out = (unsigned char)(out + 1) & 63;
            }
        }
        cr_assert_eq(weft_queue_destroy(&queue), 0);
        free(item);
    }
}

static int64_t dropped_sum;
static int dropped_count;

static void drop(void *item)
{
    cr_assert_eq((uintptr_t)item % sizeof(intptr_t), 0);
    dropped_sum += *(intptr_t *)item;
    dropped_count++;
    cr_assert_eq(weft_queue_count(&queue), 0); /* no lock is held */
    cr_assert_eq(weft_queue_try_put(&queue, item), -ESHUTDOWN);
}

Test(queue, drops_what_is_left_once)
{
    for (int how = 0; how < 6; how++) {
        size_t capacity = how % 2 == 0 ? 2000 : WEFT_QUEUE_UNBOUNDED;

        dropped_sum = 0;
        dropped_count = 0;
        cr_assert_eq(weft_queue_init(&queue, sizeof(intptr_t), capacity, drop), 0);
        for (intptr_t i = 0; i < 2000; i++) {
            cr_assert_eq(try_put(i), 0);
        }
        for (intptr_t i = 0; i < 700; i++) {
            cr_assert_eq(try_get(), i);
        }
        for (intptr_t i = 0; i < 600; i++) { /* around the ring */
            cr_assert_eq(try_put(2000 + i), 0);
        }
        if (how < 4) {
            cr_assert_eq(weft_queue_close_now(&queue), 0);
            cr_assert_eq(dropped_count, 1900);
            cr_assert_eq(try_get(), -ESHUTDOWN);
            cr_assert_eq(weft_queue_close_now(&queue), 0);
            cr_assert_eq(weft_queue_close(&queue), 0);
        }
        cr_assert_eq(weft_queue_destroy(&queue), 0);
        cr_assert_eq(dropped_count, 1900);
        cr_assert_eq(dropped_sum, 2600 * 2599 / 2 - 700 * 699 / 2);
    }
}

Test(queue, bad_input_is_told)
{
    intptr_t item = 0;

    cr_assert_eq(weft_queue_init(NULL, 8, 1, NULL), -EINVAL);
    cr_assert_eq(weft_queue_init(&queue, 0, 1, NULL), -EINVAL);
    cr_assert_eq(weft_queue_init(&queue, 8, SIZE_MAX / 4, NULL), -ENOMEM);
    cr_assert_eq(weft_queue_init(&queue, 8, SIZE_MAX / 16, NULL), -ENOMEM);
    cr_assert_eq(weft_queue_destroy(NULL), -EINVAL);
    cr_assert_eq(weft_queue_try_put(NULL, &item), -EINVAL);
    cr_assert_eq(weft_queue_try_get(NULL, &item), -EINVAL);
    cr_assert_eq(weft_queue_close(NULL), -EINVAL);
    cr_assert_eq(weft_queue_close_now(NULL), -EINVAL);
    cr_assert_eq(weft_queue_done(NULL), -EINVAL);
    cr_assert_eq(weft_queue_count(NULL), 0);
    cr_assert_eq(weft_queue_is_closed(NULL), false);
    make(1);
    cr_assert_eq(weft_queue_try_put(&queue, NULL), -EINVAL);
    cr_assert_eq(weft_queue_try_get(&queue, NULL), -EINVAL);
    cr_assert_eq(weft_queue_put(&queue, &item), -EPERM);
    cr_assert_eq(weft_queue_get(&queue, &item), -EPERM);
    cr_assert_eq(weft_queue_put_many(&queue, &item, 1), -EPERM);
    cr_assert_eq(weft_queue_get_many(&queue, &item, 1), -EPERM);
    cr_assert_eq(weft_queue_join(&queue), -EPERM);
    cr_assert_eq(weft_queue_done(&queue), -EINVAL);
    cr_assert_eq(try_put(5), 0);
    cr_assert_eq(weft_queue_done(&queue), -EINVAL); /* nobody has taken it */
    cr_assert_eq(try_get(), 5);
    cr_assert_eq(weft_queue_done(&queue), 0);
    cr_assert_eq(weft_queue_done(&queue), -EINVAL);
    cr_assert_eq(weft_queue_is_closed(&queue), false);
    cr_assert_eq(weft_queue_close(&queue), 0);
    cr_assert_eq(weft_queue_is_closed(&queue), true);
    cr_assert_eq(weft_queue_close(&queue), 0);
    cr_assert_eq(try_put(1), -ESHUTDOWN);
    cr_assert_eq(weft_queue_destroy(&queue), 0);
}

static intptr_t bad_input_in_a_fiber(void *arg)
{
    intptr_t item = 3;
    weft_task *task;

    (void)arg;
    make(1);
    wt_check(weft_queue_put(NULL, &item) == -EINVAL);
    wt_check(weft_queue_put(&queue, NULL) == -EINVAL);
    wt_check(weft_queue_get(NULL, &item) == -EINVAL);
    wt_check(weft_queue_get(&queue, NULL) == -EINVAL);
    wt_check(weft_queue_put_many(&queue, NULL, 1) == -EINVAL);
    wt_check(weft_queue_get_many(NULL, &item, 1) == -EINVAL);
    wt_check(weft_queue_put_many(&queue, NULL, 0) == 0);
    wt_check(weft_queue_get_many(&queue, &item, 0) == 0);
    wt_check(weft_queue_join(NULL) == -EINVAL);
    task = spawn_parked(get_task, 0);
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_queue_put(&queue, &item) == 0);
    wt_check(finish(task) == 3);
    task = spawn_parked(join_task, 0);
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_queue_done(&queue) == 0);
    wt_check(finish(task) == 0);
    wt_check(try_put(1) == 0);
    task = spawn_parked(put_task, 2);
    wt_check(weft_queue_destroy(&queue) == -EBUSY);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_queue_destroy(&queue) == -EBUSY); /* it has not left yet */
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_queue_destroy(&queue) == 0);
    return 0;
}

Test(queue, bad_input_is_told_in_a_fiber)
{
    simulate(bad_input_in_a_fiber);
}

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
    make(1);
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
