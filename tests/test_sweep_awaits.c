/* SPDX-License-Identifier: MIT */
/* test_sweep_awaits.c - every public await point under the cancel sweep.
 *
 * One function a call, written as a careful program would be, swept under seeds 0 to 20: whatever is
 * cancelled, nothing may be left. `held` counts what the function's tasks hold at any time; the sweep
 * takes it for the heap, so it must be as before after each run. */
#include <errno.h>

#include <weft.h>

#include "sweep_test.h"

/* ---- tasks that hold something while they live ---- */

static intptr_t work(void *arg)
{
    held++;
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);
    held--;
    return rc < 0 ? rc : 7;
}

static intptr_t fail(void *arg)
{
    intptr_t rc = work(arg);
    return rc < 0 ? rc : -EIO;
}

/* Cleans up for a while after a cancellation. */
static intptr_t careful(void *arg)
{
    held++;
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);
    int last = weft_sleep(WEFT_MS);
    held--;
    return rc < 0 ? rc : last;
}

static void *ms(intptr_t n)
{
    return (void *)n;
}

static void drop_held(void *arg)
{
    (void)arg;
    held--;
}

static void drop_value(intptr_t value)
{
    (void)value;
    held--;
}

/* Gives what `arg` stands for away as a value. */
static intptr_t pass_on(void *arg)
{
    int rc = weft_sleep((intptr_t)arg * WEFT_MS);
    if (rc < 0) {
        held--;
        return rc;
    }
    return 1;
}

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

/* ---- scopes ---- */

static intptr_t nests_timeouts(void *arg)
{
    weft_timeout outer;
    weft_timeout inner;
    (void)arg;
    intptr_t rc = weft_timeout_enter(&outer, 4 * WEFT_MS);
    if (rc == 0) {
        rc = weft_timeout_enter(&inner, WEFT_MS);
        if (rc == 0) {
            rc = weft_timeout_leave(&inner, careful(ms(3)));
        }
        rc = rc == -ETIMEDOUT ? careful(ms(9)) : rc;
        rc = weft_timeout_leave(&outer, rc);
    }
    wt_check(weft_cancelling(weft_self()) <= 1);
    return rc == -ETIMEDOUT ? weft_checkpoint() : rc;
}

Test(sweep_awaits, timeouts)
{
    sweep(nests_timeouts, 4);
}

static intptr_t within(void *arg)
{
    (void)arg;
    intptr_t rc = weft_within(WEFT_MS, careful(ms(5)));
    rc = rc == -ETIMEDOUT ? weft_within(9 * WEFT_MS, work(ms(1))) : rc;
    return rc < 0 ? rc : weft_within(0, work(ms(1)));
}

Test(sweep_awaits, within)
{
    sweep(within, 3);
}

/* Requests from outside never interrupt the inner sleep, the bound does. */
static intptr_t shields(void *arg)
{
    weft_shield section;
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    intptr_t shielded = weft_shield_enter(&section, 5 * WEFT_MS);
    if (shielded == 0) {
        int slept = weft_sleep(WEFT_MS);
        wt_check(slept == 0);
        shielded = weft_shield_leave(&section, slept);
    }
    wt_check(shielded == 0);
    shielded = weft_shield_enter(&section, WEFT_MS);
    if (shielded == 0) {
        shielded = weft_shield_leave(&section, careful(ms(9)));
    }
    wt_check(shielded == -ETIMEDOUT);
    return rc < 0 ? rc : weft_checkpoint();
}

Test(sweep_awaits, shield)
{
    sweep(shields, 5);
}

/* ---- groups ---- */

struct plan {
    weft_fn *fns[3];
    unsigned flags;
    bool drains;
    bool cancels;
};

/* Children whose argument is held until they drop it or end, as their options say. */
static int spawn_children(weft_group *group, const struct plan *plan)
{
    static const weft_spawn_options owning = {
        .name = "child", .drop_arg = drop_held, .drop_result = drop_value};
    int rc = 0;
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        bool owns = plan->fns[i] == pass_on;
        held += owns ? 1 : 0;
        rc = weft_group_spawn(group, NULL, plan->fns[i], ms((intptr_t)i), owns ? &owning : NULL);
        held -= owns && rc < 0 ? 1 : 0;
    }
    return rc;
}

static intptr_t run_group(const struct plan *plan)
{
    weft_group group;
    intptr_t rc = weft_group_open(&group, plan->flags);
    if (rc < 0) {
        return rc;
    }
    rc = spawn_children(&group, plan);
    rc = rc == 0 ? weft_sleep(WEFT_MS) : rc;
    if (rc == 0 && plan->drains) {
        rc = weft_group_drain(&group, WEFT_MS);
        rc = rc == -ETIMEDOUT ? weft_group_drain(&group, WEFT_FOREVER) : rc;
    }
    if (rc == 0 && plan->cancels) {
        (void)weft_group_cancel(&group);
        rc = weft_sleep(WEFT_MS);
    }
    return weft_group_close(&group, rc);
}

static intptr_t group_normal(void *arg)
{
    static const struct plan plan = {.fns = {work, careful, pass_on}};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_failing(void *arg)
{
    static const struct plan plan = {.fns = {pass_on, fail, careful}};
    (void)arg;
    intptr_t rc = run_group(&plan);
    wt_check(rc == -EIO || weft_is_error(rc) || weft_cancelling(weft_self()) == 0);
    return rc == -EIO ? 0 : rc;
}

static intptr_t group_cancelled(void *arg)
{
    static const struct plan plan = {.fns = {careful, pass_on, work}, .cancels = true};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_independent(void *arg)
{
    static const struct plan plan = {
        .fns = {fail, pass_on, careful}, .flags = WEFT_GROUP_INDEPENDENT, .drains = true};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_drained(void *arg)
{
    static const struct plan plan = {.fns = {work, pass_on, careful}, .drains = true};
    (void)arg;
    return run_group(&plan);
}

static intptr_t group_in_group(void *arg)
{
    static const struct plan plan = {.fns = {group_normal, group_failing, group_cancelled}};
    (void)arg;
    return run_group(&plan);
}

Test(sweep_awaits, group_normal)
{
    sweep(group_normal, 5);
}

Test(sweep_awaits, group_failing)
{
    sweep(group_failing, 4);
}

Test(sweep_awaits, group_cancelled)
{
    sweep(group_cancelled, 4);
}

Test(sweep_awaits, group_independent)
{
    sweep(group_independent, 6);
}

Test(sweep_awaits, group_drained)
{
    sweep(group_drained, 6);
}

Test(sweep_awaits, group_in_group)
{
    sweep(group_in_group, 15);
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
