/* SPDX-License-Identifier: MIT */
/* test_sweep_awaits.c - await points of tasks, futures and blocking calls under the cancel sweep.
 *
 * One function a call, written as a careful program would be, swept under seeds 0 to 20: whatever is
 * cancelled, nothing may be left. */
#include "sweep_tasks.h"

/* `count` tasks, with different times; those that were spawned are ended if not all could be. */
static int spawn_all(weft_task **tasks, size_t count, weft_fn *fn)
{
    for (size_t i = 0; i < count; i++) {
        int rc = weft_spawn(&tasks[i], fn, ms((intptr_t)(i % 3)));
        if (rc < 0) {
            weft_drop_all(tasks, i);
            return rc;
        }
    }
    return 0;
}

/* Cancels and awaits what is unfinished. Returns -ECANCELED if a request came meanwhile. */
static int end_all(weft_task **tasks, size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        (void)weft_cancel(tasks[i]);
    }
    for (size_t i = 0; i < count; i++) {
        int one = weft_await(tasks[i], NULL);
        rc = one < 0 ? one : rc;
    }
    return rc;
}

/* ---- time ---- */

static intptr_t sleeps(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    rc = rc == 0 ? weft_sleep(0) : rc;
    rc = rc == 0 ? weft_sleep_until(weft_now() + WEFT_US) : rc;
    rc = rc == 0 ? weft_sleep_until(0) : rc;
    rc = rc == 0 ? weft_yield() : rc;
    return rc == 0 ? weft_checkpoint() : rc;
}

Test(sweep_awaits, time)
{
    sweep(sleeps, 6);
}

/* ---- one task ---- */

static intptr_t awaits(void *arg)
{
    weft_task *task;
    (void)arg;
    int rc = weft_spawn(&task, work, ms(1));
    rc = rc == 0 ? weft_await(task, NULL) : rc;
    if (rc == 0) {
        rc = weft_spawn(&task, careful, ms(1));
        rc = rc == 0 ? weft_await(task, NULL) : rc;
    }
    return rc;
}

Test(sweep_awaits, await)
{
    sweep(awaits, 5);
}

static intptr_t join_other(void *arg)
{
    return weft_join(arg, NULL);
}

/* They borrow the handle, so it goes after they have ended. */
static intptr_t joins(void *arg)
{
    weft_task *joined;
    weft_task *tasks[2];
    size_t count = 0;
    (void)arg;
    int rc = weft_spawn(&joined, careful, ms(2));
    if (rc < 0) {
        return rc;
    }
    while (rc == 0 && count < 2) {
        rc = weft_spawn(&tasks[count], join_other, joined);
        count += rc == 0 ? 1U : 0U;
    }
    rc = rc == 0 ? weft_join(joined, NULL) : rc;
    rc = rc == 0 ? weft_join(joined, NULL) : rc; /* it has ended */
    int ended = end_all(tasks, count);
    int last = end_all(&joined, 1);
    return rc < 0 ? rc : ended < 0 ? ended : last;
}

Test(sweep_awaits, join)
{
    sweep(joins, 9);
}

static intptr_t joins_shielded(void *arg)
{
    weft_task *task;
    (void)arg;
    int rc = weft_spawn(&task, careful, ms(1));
    if (rc < 0) {
        return rc;
    }
    rc = weft_join_shielded(task, NULL);
    rc = rc == 0 ? weft_join_shielded(task, NULL) : rc;
    int ended = end_all(&task, 1);
    return rc < 0 ? rc : ended;
}

Test(sweep_awaits, join_shielded)
{
    sweep(joins_shielded, 4);
}

static int wait_for_one(weft_fn *fn, int64_t delay_ns)
{
    weft_task *task;
    int rc = weft_spawn(&task, fn, ms(2));
    if (rc < 0) {
        return rc;
    }
    rc = weft_wait_for(task, delay_ns, NULL);
    int ended = end_all(&task, 1);
    return rc == 0 || rc == -ETIMEDOUT ? ended : rc;
}

static intptr_t waits_for(void *arg)
{
    (void)arg;
    int rc = wait_for_one(work, 10 * WEFT_MS);
    rc = rc == 0 ? wait_for_one(work, WEFT_MS) : rc;
    rc = rc == 0 ? wait_for_one(careful, WEFT_MS) : rc;
    rc = rc == 0 ? wait_for_one(careful, 0) : rc;
    return rc == 0 ? wait_for_one(fail, WEFT_FOREVER) : rc;
}

Test(sweep_awaits, wait_for)
{
    sweep(waits_for, 10);
}

static intptr_t calls_for(void *arg)
{
    (void)arg;
    intptr_t value = 0;
    int rc = weft_call_for(work, ms(1), 10 * WEFT_MS, &value);
    wt_check(rc == 0 ? value == 7 : rc == -ECANCELED);
    if (rc == 0) {
        rc = weft_call_for(careful, ms(5), WEFT_MS, &value);
    }
    if (rc == 0 || rc == -ETIMEDOUT) {
        rc = weft_call_for(work, ms(1), 0, &value);
    }
    return rc == -ETIMEDOUT ? 0 : rc;
}

Test(sweep_awaits, call_for)
{
    sweep(calls_for, 3);
}

/* ---- several tasks ---- */

static int gather_some(size_t count, weft_fn *fn, weft_gather_mode mode)
{
    weft_task *tasks[20];
    size_t first_failed;
    int rc = spawn_all(tasks, count, fn);
    if (rc < 0) {
        return rc;
    }
    rc = weft_gather(tasks, count, NULL, mode, &first_failed);
    int ended = end_all(tasks, count);
    return rc < 0 ? rc : ended;
}

static intptr_t gathers_first_error(void *arg)
{
    (void)arg;
    int rc = gather_some(3, work, WEFT_GATHER_FIRST_ERROR);
    return rc == 0 ? gather_some(3, fail, WEFT_GATHER_FIRST_ERROR) : rc;
}

static intptr_t gathers_all(void *arg)
{
    (void)arg;
    int rc = gather_some(3, careful, WEFT_GATHER_COLLECT);
    rc = rc == 0 ? gather_some(20, fail, WEFT_GATHER_COLLECT) : rc; /* more than lie in its frame */
    return rc == 0 ? gather_some(0, work, WEFT_GATHER_COLLECT) : rc;
}

Test(sweep_awaits, gather_first_error)
{
    sweep(gathers_first_error, 10);
}

Test(sweep_awaits, gather_collect)
{
    sweep(gathers_all, 20);
}

static int wait_some(size_t count, weft_fn *fn, weft_wait_when when, int64_t delay_ns)
{
    weft_task *tasks[20];
    size_t done;
    int rc = spawn_all(tasks, count, fn);
    if (rc < 0) {
        return rc;
    }
    rc = weft_wait(tasks, count, when, delay_ns, &done);
    int ended = end_all(tasks, count);
    return rc < 0 ? rc : ended;
}

static int wait_each_way(weft_wait_when when)
{
    int rc = wait_some(3, work, when, WEFT_FOREVER);
    rc = rc == 0 ? wait_some(3, careful, when, WEFT_MS) : rc;
    rc = rc == 0 ? wait_some(2, work, when, 0) : rc;
    return rc == 0 ? wait_some(20, fail, when, 2 * WEFT_MS) : rc;
}

static intptr_t waits_all(void *arg)
{
    (void)arg;
    return wait_each_way(WEFT_WAIT_ALL);
}

static intptr_t waits_first(void *arg)
{
    (void)arg;
    return wait_each_way(WEFT_WAIT_FIRST_DONE);
}

static intptr_t waits_first_error(void *arg)
{
    (void)arg;
    return wait_each_way(WEFT_WAIT_FIRST_ERROR);
}

Test(sweep_awaits, wait_all)
{
    sweep(waits_all, 20);
}

Test(sweep_awaits, wait_first)
{
    sweep(waits_first, 10);
}

Test(sweep_awaits, wait_first_error)
{
    sweep(waits_first_error, 10);
}

static int complete_some(size_t count, int64_t delay_ns, size_t most)
{
    weft_task *tasks[20];
    weft_completions each;
    size_t index;
    size_t given = 0;
    int rc = spawn_all(tasks, count, careful);
    if (rc < 0) {
        return rc;
    }
    rc = weft_completions_open(&each, tasks, count, delay_ns);
    while (rc == 0 && given < most) {
        rc = weft_completions_next(&each, &index);
        given++;
    }
    weft_completions_close(&each);
    int ended = end_all(tasks, count);
    return rc == 0 || rc == -ENODATA || rc == -ETIMEDOUT ? ended : rc;
}

static intptr_t completes(void *arg)
{
    (void)arg;
    int rc = complete_some(3, WEFT_FOREVER, 10);
    rc = rc == 0 ? complete_some(3, WEFT_FOREVER, 1) : rc;
    rc = rc == 0 ? complete_some(3, 2 * WEFT_MS, 10) : rc;
    return rc == 0 ? complete_some(20, 2 * WEFT_MS, 30) : rc;
}

Test(sweep_awaits, completions)
{
    sweep(completes, 30);
}

/* ---- futures ---- */

static weft_future answer;

static void set_answer(void *arg)
{
    (void)arg;
    (void)weft_future_set(&answer, 42);
}

static intptr_t await_answer(void *arg)
{
    intptr_t result = 0;
    held++;
    int rc = weft_future_await(arg, &result);
    held--;
    wt_check(rc == 0 ? result == 42 : rc == -ECANCELED);
    return rc;
}

static intptr_t awaits_futures(void *arg)
{
    weft_task *tasks[2];
    (void)arg;
    (void)weft_future_init(&answer);
    int rc = weft_sim_after(WEFT_MS, set_answer, NULL);
    for (size_t i = 0; i < 2 && rc == 0; i++) {
        rc = weft_spawn(&tasks[i], await_answer, &answer);
        if (rc < 0) {
            weft_drop_all(tasks, i);
        }
    }
    if (rc < 0) {
        return rc;
    }
    rc = weft_future_await(&answer, NULL);
    rc = rc == 0 ? weft_future_await(&answer, NULL) : rc; /* complete */
    int ended = end_all(tasks, 2);
    return rc < 0 ? rc : ended;
}

Test(sweep_awaits, future)
{
    sweep(awaits_futures, 4);
}

/* ---- values that travel ---- */

/* What nobody takes is dropped; what was taken is ours to drop. */
static intptr_t takes_values(void *arg)
{
    static const weft_spawn_options owning = {.drop_arg = drop_held, .drop_result = drop_value};
    weft_task *task;
    intptr_t value = 0;
    (void)arg;
    held++;
    int rc = weft_spawn_with(&task, pass_on, ms(1), &owning);
    if (rc < 0) {
        held--;
        return rc;
    }
    rc = weft_sleep(WEFT_MS);
    int ended = weft_await(task, &value);
    held -= !weft_is_error(value) ? value : 0;
    return rc < 0 ? rc : ended;
}

Test(sweep_awaits, values)
{
    sweep(takes_values, 3);
}

/* ---- blocking calls ---- */

static intptr_t compute(void *arg)
{
    (void)arg;
    return 5;
}

static intptr_t blocks(void *arg)
{
    intptr_t result = 0;
    (void)arg;
    int rc = weft_blocking(compute, NULL, NULL, &result);
    wt_check(rc == 0 ? result == 5 : rc == -ECANCELED);
    if (rc == 0) {
        held++;
        rc = weft_blocking(compute, NULL, drop_held, &result);
    }
    return rc < 0 ? rc : weft_checkpoint();
}

Test(sweep_awaits, blocking)
{
    sweep(blocks, 3);
}
