// SPDX-License-Identifier: MIT
/* test_local.c - values passed on at spawn: who sees which, and when each is dropped.
 *
 * CX are rules of the model. */
#include <errno.h>

#include "task/task.h"
#include "local_test.h"

static weft_local plain = WEFT_LOCAL_INIT(NULL, NULL);

/* ---- set and get ---- */

static intptr_t set_and_get(void *arg)
{
    (void)arg;
    wt_check(weft_local_get(&a) == NULL && weft_context_capture() == NULL);
    wt_check(weft_local_set(&a, NULL) == 0);
    wt_check(weft_local_set(&a, val(1)) == 0 && got(&a) == 1 && got(&b) == -1);
    wt_check(weft_local_set(&b, val(2)) == 0 && got(&a) == 1 && got(&b) == 2);
    wt_check(weft_local_set(&plain, val(60)) == 0 && got(&plain) == 60);
    wt_check(drops[1] == 0);
    wt_check(weft_local_set(&a, val(3)) == 0 && got(&a) == 3 && got(&b) == 2 && drops[1] == 1);
    wt_check(weft_local_set(&b, NULL) == 0 && got(&b) == -1 && got(&a) == 3 && drops[2] == 1);
    wt_check(weft_local_set(&b, NULL) == 0 && drops[2] == 1);
    wt_check(weft_local_set(&plain, NULL) == 0 && got(&plain) == -1 && got(&a) == 3);
    wt_check(weft_local_set(NULL, val(9)) == -EINVAL && drops[9] == 0);
    wt_check(weft_local_get(&a) == val(3) && drops[3] == 0);
    return 0; /* 3 goes with the task */
}

Test(local, set_and_get)
{
    run_everywhere(set_and_get, 3);
}

static intptr_t set_the_same(void *arg)
{
    (void)arg;
    wt_check(weft_local_set(&b, val(1)) == 0);
    wt_check(weft_local_set(&b, val(1)) == 0 && got(&b) == 1 && drops[1] == 1);
    wt_check(weft_local_set(&b, NULL) == 0 && drops[1] == 2); /* each setting is dropped */
    drops[1] = 1;
    return 0;
}

Test(local, the_same_value_twice_is_dropped_twice)
{
    run_everywhere(set_the_same, 1);
}

Test(local, outside_of_tasks_there_is_none)
{
    cr_assert_null(weft_local_get(&a));
    cr_assert_null(weft_context_capture());
    cr_assert_eq(weft_local_set(&a, val(1)), -EPERM);
    weft_context_drop(NULL);
    cr_assert(drops[1] == 0);
}

Test(local, the_record_has_not_grown)
{
    cr_assert_eq(offsetof(struct weft_task, others), 64);
    cr_assert_eq(sizeof(struct weft_task) - offsetof(struct weft_task, context), 64);
    cr_assert_eq(sizeof(struct wf_task_side), 64);
}

/* ---- spawning (CX-1) ---- */

static intptr_t child_changes(void *arg)
{
    wt_check(got(&a) == 1 && got(&b) == -1);
    wt_check(weft_local_set(&a, val(9)) == 0 && got(&a) == 9);
    wt_check(weft_local_set(&b, val(8)) == 0);
    wt_check(weft_yield() == 0);
    wt_check(got(&a) == 9 && got(&b) == 8);
    return (intptr_t)arg;
}

/* Scenario D06: the copy is made at spawn, and neither side sees the other's changes. */
static intptr_t isolated(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_spawn(&task, child_changes, NULL) == 0);
    wt_check(weft_local_set(&a, val(2)) == 0);
    wt_check(weft_yield() == 0);
    wt_check(got(&a) == 2);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(got(&a) == 2 && got(&b) == -1);
    wt_check(drops[1] == 1 && drops[9] == 1 && drops[8] == 1); /* they went before its end */
    drops[8] = 0;
    drops[9] = 0;
    return 0;
}

Test(local, neither_side_sees_the_others_changes)
{
    run_everywhere(isolated, 2);
}

static intptr_t see_one(void *arg)
{
    (void)arg;
    return got(&a) == 1 ? 0 : -EINVAL;
}

static intptr_t grandchild(void *arg)
{
    weft_group group;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < 20; i++) {
        wt_check(weft_group_spawn(&group, NULL, see_one, arg, NULL) == 0);
    }
    return weft_group_close(&group, 0);
}

static intptr_t family(void *arg)
{
    weft_task *task[8];
    intptr_t result;

    (void)arg;
    wt_check(weft_local_set(&a, val(1)) == 0);
    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&task[i], grandchild, NULL) == 0);
    }
    wt_check(weft_local_set(&a, NULL) == 0);
    for (int i = 0; i < 8; i++) {
        wt_check(weft_await(task[i], &result) == 0 && result == 0);
    }
    wt_check(drops[1] == 1);
    return 0;
}

Test(local, values_go_down_the_family_and_are_dropped_once)
{
    run_everywhere(family, 1);
}

static intptr_t see_nine(void *arg)
{
    (void)arg;
    return got(&a) == 1 && got(&b) == 2 ? 9 : 0;
}

static intptr_t with_context(void *arg)
{
    weft_task *task;
    weft_task *other;
    intptr_t result = 0;

    (void)arg;
    wt_check(weft_local_set(&a, val(1)) == 0 && weft_local_set(&b, val(2)) == 0);
    weft_context *context = weft_context_capture();
    wt_check(context != NULL);
    const weft_spawn_options options = {.context = context};
    wt_check(weft_local_set(&a, val(3)) == 0);
    wt_check(weft_spawn_with(&task, see_nine, NULL, &options) == 0);
    wt_check(weft_spawn_with(&other, see_nine, NULL, &options) == 0); /* one for many */
    wt_check(drops[1] == 0);
    weft_context_drop(context); /* its last user drops the value: perhaps this one */
    wt_check(weft_await(task, &result) == 0 && result == 9);
    wt_check(weft_await(other, &result) == 0 && result == 9);
    wt_check(drops[1] == 1 && drops[2] == 0);

    weft_group group;
    context = weft_context_capture();
    const weft_spawn_options later = {.context = context};
    wt_check(weft_local_set(&b, NULL) == 0);
    wt_check(weft_group_open(&group, 0) == 0 && weft_group_cancel(&group) == 1);
    wt_check(weft_group_spawn(&group, NULL, see_nine, NULL, &later) == -ESHUTDOWN);
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(drops[2] == 0);
    weft_context_drop(context);
    wt_check(drops[2] == 1); /* the refused spawn kept nothing */
    return 0;
}

Test(local, a_context_is_given_explicitly)
{
    run_everywhere(with_context, 3);
}

/* ---- tasks that end otherwise ---- */

static int seen_by_drop_arg;

static void look_when_dropped(void *arg)
{
    (void)arg;
    seen_by_drop_arg = got(&a);
}

static intptr_t wait_forever(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

static intptr_t never_run(void *arg)
{
    const weft_spawn_options options = {.drop_arg = look_when_dropped};
    weft_task *task;

    (void)arg;
    seen_by_drop_arg = -1;
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_spawn_with(&task, wait_forever, NULL, &options) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_local_set(&a, NULL) == 0);
    wt_check(weft_await(task, NULL) == 0);
    return 0;
}

Test(local, a_task_that_never_ran_gives_its_values_up)
{
    weft_options options = {.simulate = true};
    cr_assert_eq(weft_run(never_run, NULL, &options), 0);
    cr_assert_eq(seen_by_drop_arg, 1);
    cr_assert_eq(weft_run(never_run, NULL, &one_worker), 0);
    cr_assert_eq(seen_by_drop_arg, 1);
    cr_assert_eq(drops[1], 2);
    wt_assert_clean();
}

static intptr_t leave_behind(void *arg)
{
    weft_task *kept;

    (void)arg;
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_spawn(NULL, wait_forever, NULL) == 0);
    wt_check(weft_spawn(&kept, wait_forever, NULL) == 0); /* a handle that is never dropped */
    wt_check(weft_local_set(&a, val(2)) == 0);
    wt_check(weft_spawn(NULL, wait_forever, NULL) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_spawn(NULL, wait_forever, NULL) == 0); /* won't run */
    return 0;
}

Test(local, shutdown_drops_what_is_left)
{
    run_everywhere(leave_behind, 2);
}

static void done(weft_task *task, void *arg)
{
    (void)task;
    (void)arg;
}

static intptr_t wait_for_nobody(void *arg)
{
    weft_future future = WEFT_FUTURE_INIT;

    (void)arg;
    wt_check(weft_local_set(&a, val(1)) == 0);
    wt_check(weft_on_done(weft_self(), done, NULL) == 0);
    wt_check(weft_local_set(&a, val(2)) == 0);
    return weft_future_await(&future, NULL);
}

Test(local, a_deadlock_frees_contexts_too)
{
    const weft_options options = {.simulate = true, .diagnostic = ignore};
    cr_assert_eq(weft_run(wait_for_nobody, NULL, &options), -EDEADLK);
    cr_assert(all_dropped(2));
    wt_assert_clean();
}

/* ---- dropping from inside ---- */

static weft_local inner = WEFT_LOCAL_INIT("inner", count_drop);

static void set_while_dropping(void *value)
{
    count_drop(value);
    int rc = weft_local_set(&inner, val(2));
    wt_check(rc == 0);
    wt_check(got(&inner) == 2);
}

static weft_local outer = WEFT_LOCAL_INIT("outer", set_while_dropping);

static intptr_t drop_sets(void *arg)
{
    (void)arg;
    return weft_local_set(&outer, val(1)) == 0 ? 0 : -EINVAL;
}

Test(local, a_value_set_while_another_is_dropped_goes_too)
{
    run_everywhere(drop_sets, 2);
}

/* ---- plain threads ---- */

static intptr_t no_values(void *arg)
{
    (void)arg;
    return got(&a) == -1 ? 0 : -EINVAL;
}

struct handover {
    weft_runtime *runtime;
    weft_context *context;
};

static intptr_t capture_for(void *arg)
{
    struct handover *over = arg;
    wt_check(weft_local_set(&a, val(1)) == 0);
    over->context = weft_context_capture();
    return 0;
}

Test(local, tasks_of_plain_threads_have_what_they_are_given)
{
    struct handover over = {NULL, NULL};
    weft_task *task;
    intptr_t result = -1;
    cr_assert_eq(weft_runtime_start(&over.runtime, &one_worker), 0);
    cr_assert_eq(weft_runtime_submit(over.runtime, &task, capture_for, &over, NULL), 0);
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
    weft_drop(task);
    cr_assert_not_null(over.context);
    cr_assert_eq(weft_runtime_submit(over.runtime, &task, no_values, NULL, NULL), 0);
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, 0);
    weft_drop(task);
    const weft_spawn_options options = {.context = over.context};
    cr_assert_eq(weft_runtime_submit(over.runtime, &task, see_one, NULL, &options), 0);
    cr_assert_eq(weft_thread_join(task, WEFT_FOREVER, &result), 0);
    cr_assert_eq(result, 0);
    weft_drop(task);
    cr_assert_eq(weft_runtime_stop(over.runtime), 0);
    cr_assert_eq(drops[1], 0);
    weft_context_drop(over.context); /* it may outlive the runtime */
    cr_assert_eq(drops[1], 1);
    wt_assert_clean();
}

/* ---- many at once ---- */

enum { TREES = 40, DEPTH = 4, WIDTH = 3 };
static atomic_int alive;

static void count_down(void *value)
{
    atomic_fetch_sub(&alive, 1);
    free(value);
}

static weft_local node = WEFT_LOCAL_INIT("node", count_down);

/* Each task replaces what it was given and passes its own on; every value is a block of its own. */
static intptr_t grow_tree(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    const int *given = weft_local_get(&node);
    wt_check(depth == DEPTH || (given != NULL && *given == depth + 1));
    int *own = malloc(sizeof *own);
    wt_check(own != NULL);
    *own = (int)depth;
    atomic_fetch_add(&alive, 1);
    wt_check(weft_local_set(&node, own) == 0);
    weft_group group;
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; depth > 0 && i < WIDTH; i++) {
        wt_check(weft_group_spawn(&group, NULL, grow_tree, (void *)(depth - 1), NULL) == 0);
        wt_check(i % 2 == 0 || weft_yield() == 0);
    }
    wt_check(*(int *)weft_local_get(&node) == depth);
    return weft_group_close(&group, 0);
}

static intptr_t grow_forest(void *arg)
{
    (void)arg;
    for (int i = 0; i < TREES; i++) {
        weft_task *task;
        intptr_t result = -1;
        wt_check(weft_spawn(&task, grow_tree, (void *)(intptr_t)DEPTH) == 0);
        wt_check(weft_await(task, &result) == 0 && result == 0);
        wt_check(alive == 0); /* the last value went before its task's end */
    }
    return 0;
}

Test(local, trees_of_tasks_drop_every_value)
{
    cr_assert_eq(weft_run(grow_forest, NULL, &four_workers), 0);
    cr_assert_eq(weft_run(grow_forest, NULL, &one_worker), 0);
    wt_assert_clean();
}
