/* SPDX-License-Identifier: MIT */
/* queue_test.h - what the tests of queues share: one queue of numbers, and tasks that put, get and join. */
#ifndef WEFT_QUEUE_TEST_H
#define WEFT_QUEUE_TEST_H

#include <weft/queue.h>
#include <weft/runtime.h>
#include <weft/task.h>
#include <weft/time.h>

#include "weft_test.h"

static weft_queue queue;

WT_FN void simulate_under(weft_fn *fn, uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed};

    cr_assert_eq(weft_run(fn, NULL, &options), 0, "seed %d", (int)seed);
    wt_assert_clean();
}

/* Turns as an event loop has them, and hand-over without. */
WT_FN void simulate(weft_fn *fn)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        simulate_under(fn, seed);
    }
}

WT_FN void make(size_t capacity)
{
    wt_check(weft_queue_init(&queue, sizeof(intptr_t), capacity, NULL) == 0);
}

WT_FN int try_put(intptr_t item)
{
    return weft_queue_try_put(&queue, &item);
}

WT_FN intptr_t try_get(void)
{
    intptr_t item = -1;
    int rc = weft_queue_try_get(&queue, &item);

    return rc < 0 ? rc : item;
}

WT_FN intptr_t get_task(void *arg)
{
    intptr_t item = -1;
    int rc = weft_queue_get(&queue, &item);

    (void)arg;
    wt_check(rc == 0 || item == -1);
    return rc < 0 ? rc : item;
}

WT_FN intptr_t put_task(void *arg)
{
    intptr_t item = (intptr_t)arg;

    return weft_queue_put(&queue, &item);
}

WT_FN intptr_t join_task(void *arg)
{
    (void)arg;
    return weft_queue_join(&queue);
}

/* Parked when this returns: nothing else is ready. */
WT_FN weft_task *spawn_parked(weft_fn *fn, intptr_t arg)
{
    weft_task *task = NULL;

    wt_check(weft_spawn(&task, fn, (void *)arg) == 0);
    wt_check(weft_sleep(WEFT_US) == 0);
    wt_check(weft_task_state(task) == WEFT_PENDING);
    return task;
}

WT_FN intptr_t finish(weft_task *task)
{
    intptr_t result = 0;

    wt_check(weft_join(task, &result) == 0);
    weft_drop(task);
    return result;
}

#endif
