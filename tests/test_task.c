/* SPDX-License-Identifier: MIT */
/* test_task.c - tasks: spawning, results and states, identity. */
#include <errno.h>

#include "task_test.h"

/* ---- spawning ---- */

static intptr_t spawn_only_queues(void *arg)
{
    weft_task *tasks[4];

    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn(&tasks[i], note_order, word(i)) == 0);
        wt_check(order_count == 0);
        wt_check(weft_task_state(tasks[i]) == WEFT_PENDING);
    }
    wt_check(weft_spawn(NULL, note_order, word(4)) == 0);
    note_order(word(9));
    wt_check(weft_yield() == 0);
    wt_check(order_count == 6 && order[0] == 9);
    for (int i = 0; i < 5; i++) {
        wt_check(order[i + 1] == i); /* L-2 */
    }
    weft_drop_all(tasks, 4);
    weft_drop_all(NULL, 0);
    (void)arg;
    return 0;
}

Test(task, spawn_only_queues_and_keeps_the_order)
{
    simulate(spawn_only_queues);
}

static intptr_t await_results(void *arg)
{
    static const intptr_t values[] = {0,     1,     42,         INTPTR_MAX, INTPTR_MIN,
                                      -4096, -4095, -ECANCELED, -EIO,       -1};
    int local = 7;

    (void)arg;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        weft_task *task;
        intptr_t result = 99, again = 98;
        weft_state state = values[i] == -ECANCELED    ? WEFT_CANCELLED
                           : weft_is_error(values[i]) ? WEFT_ERROR
                                                      : WEFT_OK;

        wt_check(weft_spawn(&task, give, word(values[i])) == 0);
        wt_check(weft_join(task, &result) == 0);
        wt_check(result == values[i]);
        wt_check(weft_task_state(task) == state);
        wt_check(weft_join(task, NULL) == 0);
        wt_check(weft_join_shielded(task, &again) == 0 && again == values[i]); /* */
        wt_check(weft_task_result(task, &again) == 0 && again == values[i]);
        wt_check(weft_await(task, &again) == 0 && again == values[i]);
    }
    weft_task *task;
    intptr_t pointer;
    wt_check(weft_spawn(&task, give, &local) == 0);
    wt_check(weft_await(task, &pointer) == 0);
    wt_check(*(int *)pointer == 7);
    return 0;
}

Test(task, results_are_values_pointers_or_errors)
{
    simulate(await_results);
    cr_assert_eq(atomic_load(&report_count), 0); /* all were looked at */
}

static intptr_t join_it(void *arg)
{
    intptr_t result = -1;

    wt_check(weft_join(arg, &result) == 0);
    return result;
}

/* L-5, A-5: any number of joiners, told in the order of their coming */
static intptr_t joiners_share(void *arg)
{
    weft_task *task, *joiners[20];

    (void)arg;
    wt_check(weft_spawn(&task, sleep_long, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        wt_check(weft_spawn(&joiners[i], join_it, task) == 0);
    }
    for (int i = 0; i < 20; i++) {
        intptr_t result = -1;

        wt_check(weft_await(joiners[i], &result) == 0 && result == 0);
    }
    wt_check(weft_now() == 100 * WEFT_S);
    weft_drop(task);
    return 0;
}

Test(task, many_tasks_may_join_one)
{
    simulate(joiners_share);
}

/* ---- states and results while pending ---- */

static intptr_t look_while_pending(void *arg)
{
    weft_task *task;
    intptr_t result = 77;

    (void)arg;
    wt_check(weft_spawn(&task, sleep_long, NULL) == 0);
    for (int i = 0; i < 2; i++) { /* new, then parked */
        wt_check(weft_task_state(task) == WEFT_PENDING);
        wt_check(weft_task_result(task, &result) == -EAGAIN);
        wt_check(weft_task_raw_result(task, &result) == -EAGAIN);
        wt_check(result == 77);
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_task_state(task) == WEFT_PENDING); /* C-4: not yet */
    wt_check(weft_join(task, &result) == 0 && result == -ECANCELED);
    wt_check(weft_task_raw_result(task, &result) == 0 && result == -ECANCELED);
    weft_drop(task);
    return 0;
}

Test(task, a_pending_task_has_no_result)
{
    simulate(look_while_pending);
}

/* L-3, DIVERGE-1 */
static intptr_t raw_results(void *arg)
{
    weft_task *task;
    intptr_t result = 0, raw = 0;

    (void)arg;
    wt_check(weft_spawn(&task, cancel_self_and_give, word(33)) == 0);
    wt_check(weft_join(task, &result) == 0 && result == -ECANCELED);
    wt_check(weft_task_state(task) == WEFT_CANCELLED);
    wt_check(weft_task_raw_result(task, &raw) == 0 && raw == 33);
    weft_drop(task);

    wt_check(weft_spawn(&task, cancel_self_and_give, word(-EIO)) == 0);
    wt_check(weft_join(task, &result) == 0 && result == -EIO); /* the request is dropped */
    wt_check(weft_task_state(task) == WEFT_ERROR);
    wt_check(weft_cancelling(task) == 1);
    weft_drop(task);

    raw = 5;
    wt_check(weft_spawn(&task, give, word(1)) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_join(task, &result) == 0 && result == -ECANCELED);
    wt_check(weft_task_raw_result(task, &raw) == -ENODATA && raw == 5); /* fn never ran */
    weft_drop(task);
    return 0;
}

Test(task, the_raw_result_outlives_a_cancellation)
{
    simulate(raw_results);
}

/* ---- identity ---- */

static intptr_t identity(void *arg)
{
    static char longest[200];
    weft_task *tasks[50];
    weft_spawn_options options = {.size = sizeof options, .name = longest};
    uint64_t last = weft_task_id(weft_self());

    (void)arg;
    memset(longest, 'x', sizeof longest - 1);
    wt_check(last != 0);
    wt_check(strcmp(weft_task_name(weft_self()), "") == 0);
    for (int i = 0; i < 50; i++) {
        wt_check(weft_spawn_with(&tasks[i], give, NULL, &options) == 0);
        wt_check(weft_task_id(tasks[i]) > last); /* in spawn order, on one worker */
        last = weft_task_id(tasks[i]);
    }
    longest[3] = '\0'; /* it was copied */
    wt_check(strlen(weft_task_name(tasks[0])) == 63);
    wt_check(strstr(weft_task_site(tasks[0]), "test_task.c:") != NULL);
    wt_check(weft_yield() == 0);
    wt_check(strlen(weft_task_name(tasks[0])) == 63); /* valid while the handle is */
    weft_drop_all(tasks, 50);
    return 0;
}

Test(task, ids_names_and_sites)
{
    simulate(identity);
}

static intptr_t check_self(void *arg)
{
    weft_task **task = arg;

    wt_check(weft_self() == *task);
    wt_check(weft_yield() == 0);
    wt_check(weft_self() == *task);
    wt_check(weft_runtime_current() != NULL);
    return 0;
}

static intptr_t selves(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, check_self, &task) == 0);
    return weft_await(task, NULL);
}

Test(task, self_is_the_running_task)
{
    simulate(selves);
    cr_assert_null(weft_self());
    cr_assert_null(weft_runtime_current());
}

/* ---- the same with real workers: handles travel between threads ---- */

static intptr_t spawn_tree(void *arg)
{
    intptr_t depth = (intptr_t)arg, sum = 1;
    weft_task *tasks[4];

    if (depth == 0) {
        return 1;
    }
    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn(&tasks[i], spawn_tree, word(depth - 1)) == 0);
    }
    for (int i = 0; i < 4; i++) {
        intptr_t result = 0;

        wt_check((i % 2 == 0 ? weft_await(tasks[i], &result)
                             : weft_join_shielded(tasks[i], &result)) == 0);
        if (i % 2 != 0) {
            weft_drop(tasks[i]);
        }
        sum += result;
    }
    return sum;
}

Test(task, trees_on_real_workers)
{
    static const int workers[] = {1, 2, 8};

    for (int i = 0; i < 3; i++) {
        const weft_options options = {.workers = workers[i]};

        cr_assert_eq(weft_run(spawn_tree, word(6), &options), (4096 * 4 - 1) / 3);
    }
    wt_assert_clean();
}
