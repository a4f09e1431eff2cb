/* SPDX-License-Identifier: MIT */
/* test_inside.c - joins that run the child on the joiner's own stack: who runs where, and that nobody can tell
 * but by looking at the fiber. */
#include "inside_test.h"

/* ---- who runs, and where ---- */

static intptr_t in_any_order(void *arg)
{
    weft_task *tasks[3];
    intptr_t value;

    (void)arg;
    note_parent();
    wt_check(weft_spawn(&tasks[0], leaf, "a") == 0);
    wt_check(weft_spawn(&tasks[1], leaf, "b") == 0);
    wt_check(weft_spawn(&tasks[2], leaf, "c") == 0);
    mark("spawned");
    wt_check(weft_await(tasks[1], &value) == 0 && value == 7 && was_inside);
    wt_check(weft_join(tasks[2], &value) == 0 && value == 7 && was_inside);
    wt_check(weft_await(tasks[0], NULL) == 0 && was_inside);
    wt_check(weft_task_state(tasks[2]) == WEFT_OK);
    wt_check(weft_await(tasks[2], &value) == 0 && value == 7);
    wt_check(traced("spawned b c a "));
    return 0;
}

Test(inside, children_run_when_they_are_joined)
{
    RUN(in_any_order, NULL, &alone);
}

static intptr_t compare_names(void *arg)
{
    weft_weak outer = *(weft_weak *)arg;

    was_inside = fiber_here() == parent_fiber;
    wt_check(weft_self() != parent && weft_task_id(weft_self()) != outer.id);
    wt_check(strcmp(weft_task_name(weft_self()), "inner") == 0);
    wt_check(weft_task_state(weft_self()) == WEFT_PENDING);
    wt_check(weft_task_state(parent) == WEFT_PENDING);
    wt_check(weft_yield() == 0);
    wt_check(strcmp(weft_task_name(weft_self()), "inner") == 0);
    return 0;
}

static intptr_t has_its_own_self(void *arg)
{
    const weft_spawn_options options = {.name = "inner"};
    weft_weak outer;
    weft_task *task;

    (void)arg;
    note_parent();
    outer = weft_weak_of(parent);
    wt_check(weft_spawn_with(&task, compare_names, &outer, &options) == 0);
    wt_check(weft_await(task, NULL) == 0 && was_inside);
    wt_check(weft_self() == parent && weft_task_name(parent)[0] == '\0');
    return 0;
}

Test(inside, a_child_is_itself)
{
    RUN(has_its_own_self, NULL, &alone);
}

static weft_local local;

static intptr_t change_value(void *arg)
{
    was_inside = fiber_here() == parent_fiber;
    wt_check(weft_local_get(&local) == arg); /* a copy */
    wt_check(weft_local_set(&local, word(2)) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_local_get(&local) == word(2));
    return 5;
}

static void *seen_by_drop;
static weft_task *self_of_drop;

static void note_drop(intptr_t value)
{
    wt_check(value == 5);
    seen_by_drop = weft_local_get(&local);
    self_of_drop = weft_self();
    mark("dropped");
}

static intptr_t has_its_own_values(void *arg)
{
    const weft_spawn_options options = {.drop_result = note_drop};
    weft_task *task;

    (void)arg;
    note_parent();
    wt_check(weft_local_set(&local, word(1)) == 0);
    wt_check(weft_spawn_with(&task, change_value, word(1), &options) == 0);
    wt_check(weft_await(task, NULL) == 0 && was_inside);
    wt_check(weft_local_get(&local) == word(1));
    /* it was the joiner who dropped it */
    wt_check(traced("dropped ") && seen_by_drop == word(1) && self_of_drop == parent);
    return 0;
}

Test(inside, a_child_has_values_of_its_own_and_drop_result_sees_the_joiners)
{
    RUN(has_its_own_values, NULL, &alone);
}

/* ---- who never runs inside ---- */

static intptr_t stays_out(void *arg)
{
    weft_spawn_options options = {.pinned = true};
    weft_task *task;

    (void)arg;
    note_parent();
    wt_check(weft_spawn_with(&task, leaf, NULL, &options) == 0);
    wt_check(weft_await(task, NULL) == 0 && !was_inside);
    options = (weft_spawn_options){.stack_bytes = (size_t)1 << 20};
    was_inside = true;
    wt_check(weft_spawn_with(&task, leaf, NULL, &options) == 0);
    wt_check(weft_await(task, NULL) == 0 && !was_inside);
    was_inside = true;
    wt_check(weft_spawn(&task, leaf, NULL) == 0);
    wt_check(weft_join_shielded(task, NULL) == 0 && !was_inside);
    weft_drop(task);
    was_inside = true;
    wt_check(weft_spawn(&task, leaf, NULL) == 0);
    wt_check(weft_wait_for(task, WEFT_S, NULL) == 0 && !was_inside);
    weft_drop(task);
    return 0;
}

Test(inside, pinned_big_shielded_and_timed_ones_do_not)
{
    RUN(stays_out, NULL, &alone);
}

static intptr_t join_pinned(void *arg)
{
    weft_task *task;

    (void)arg;
    note_parent();
    was_inside = true;
    wt_check(weft_spawn(&task, leaf, NULL) == 0);
    wt_check(weft_await(task, NULL) == 0);
    return 0;
}

static intptr_t runs_pinned(void *arg)
{
    const weft_spawn_options options = {.pinned = true};
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn_with(&task, join_pinned, NULL, &options) == 0);
    wt_check(weft_await(task, NULL) == 0 && !was_inside);
    return 0;
}

Test(inside, nor_does_any_inside_a_pinned_one)
{
    RUN(runs_pinned, NULL, &alone);
}

/* ---- until the stack ends ---- */

enum { DEEP = 5000 };
static int deepest_inside, fibers_begun;

static intptr_t go_deeper(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    const struct wf_fiber *here = fiber_here();
    volatile char room[512];
    weft_task *task;
    intptr_t below = 0;

    room[0] = (char)depth;
    if (here == parent_fiber) {
        deepest_inside++;
    } else {
        parent_fiber = here;
        fibers_begun++;
    }
    if (depth == DEEP) {
        return 0;
    }
    wt_check(weft_spawn(&task, go_deeper, word(depth + 1)) == 0);
    wt_check(weft_await(task, &below) == 0);
    wt_check(fiber_here() == here && room[0] == (char)depth);
    return below + 1;
}

Test(inside, goes_on_elsewhere_when_the_stack_is_full)
{
    intptr_t rc = weft_run(go_deeper, word(0), &alone);

    wt_assert_clean();
    cr_assert_eq(rc, DEEP);
    cr_assert_gt(fibers_begun, 1);
    cr_assert_gt(deepest_inside, 10 * fibers_begun);
}

/* ---- errors, arguments and results ---- */

static int args_dropped, results_dropped;

static void count_arg(void *arg)
{
    (void)arg;
    args_dropped++;
}

static void count_result(intptr_t value)
{
    wt_check(value == 7);
    results_dropped++;
}

static intptr_t drops_once(void *arg)
{
    const weft_spawn_options options = {.drop_arg = count_arg, .drop_result = count_result};
    weft_task *task;
    intptr_t value;

    (void)arg;
    wt_check(weft_spawn_with(&task, leaf, NULL, &options) == 0);
    wt_check(weft_await(task, &value) == 0 && value == 7);
    wt_check(args_dropped == 0 && results_dropped == 0); /* taken */
    wt_check(weft_spawn_with(&task, leaf, NULL, &options) == 0);
    wt_check(weft_await(task, NULL) == 0 && results_dropped == 1);
    wt_check(weft_spawn_with(&task, leaf, NULL, &options) == 0);
    wt_check(weft_retain(task) == task);
    wt_check(weft_await(task, NULL) == 0 && results_dropped == 1);
    weft_drop(task);
    wt_check(results_dropped == 2);
    wt_check(weft_spawn_with(&task, leaf, NULL, &options) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &value) == 0 && value == -ECANCELED);
    wt_check(args_dropped == 1 && results_dropped == 2);
    return 0;
}

Test(inside, drop_functions_run_once)
{
    RUN(drops_once, NULL, &alone);
}

static int callbacks;

static void count_callback(weft_task *task, void *arg)
{
    wt_check(weft_task_state(task) == WEFT_ERROR && arg == word(3));
    callbacks++;
}

static intptr_t fails_inside(void *arg)
{
    weft_task *task;
    intptr_t value;

    (void)arg;
    wt_check(weft_spawn(&task, fail, NULL) == 0);
    wt_check(weft_on_done(task, count_callback, word(3)) == 0);
    wt_check(weft_join(task, &value) == 0 && value == -EIO && callbacks == 1);
    wt_check(weft_task_state(task) == WEFT_ERROR);
    wt_check(weft_await(task, &value) == 0 && value == -EIO && callbacks == 1);
    return 0;
}

Test(inside, errors_and_callbacks_come_through)
{
    RUN(fails_inside, NULL, &alone);
}

static intptr_t upgrade_itself(void *arg)
{
    *(weft_task **)arg = weft_upgrade(weft_weak_of(weft_self()));
    return 7;
}

static intptr_t outlives_the_join(void *arg)
{
    weft_task *task, *again = NULL;
    weft_weak weak;

    (void)arg;
    wt_check(weft_spawn(&task, upgrade_itself, &again) == 0);
    weak = weft_weak_of(task);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(again == task && weft_task_id(again) == weak.id);
    wt_check(weft_task_state(again) == WEFT_OK);
    wt_check(finish(again) == 7);
    wt_check(weft_upgrade(weak) == NULL);
    return 0;
}

Test(inside, a_handle_that_the_child_made_stays_good)
{
    RUN(outlives_the_join, NULL, &alone);
}

/* ---- what dumps show ---- */

static char dumped[4096];

static void keep_line(const char *text, void *arg)
{
    (void)arg;
    strncat(dumped, text, sizeof dumped - strlen(dumped) - 1);
    strncat(dumped, "\n", sizeof dumped - strlen(dumped) - 1);
}

static intptr_t shows_the_edge(void *arg)
{
    weft_task *task = start(join_one, wait_here, NULL);
    char expected[64];

    (void)arg;
    dumped[0] = '\0';
    wt_check(weft_dump(NULL, keep_line, NULL) == 0);
    (void)snprintf(expected, sizeof expected, "task #%" PRIu64 " joins\n", weft_task_id(task));
    wt_check(strstr(dumped, "on its own stack") != NULL && strstr(dumped, expected) != NULL);
    weft_event_set(&go_on);
    wt_check(finish(task) == 0);
    return 0;
}

Test(inside, a_dump_shows_who_runs_inside_whom, .init = open_events)
{
    RUN(shows_the_edge, NULL, &alone);
    if (wt_failures != 0) {
        fprintf(stderr, "%s", dumped);
    }
}

/* ---- those whom children wake ---- */

static int children_run, most_before;
static bool is_last;

static intptr_t wake_somebody(void *arg)
{
    (void)arg;
    children_run++;
    weft_event_set(&go_on);
    return 0;
}

static intptr_t be_woken(void *arg)
{
    (void)arg;
    while (!is_last) {
        wt_check(weft_event_wait(&go_on) == 0);
        most_before = children_run > most_before ? children_run : most_before;
        children_run = 0;
        weft_event_clear(&go_on);
    }
    return 0;
}

static intptr_t wake_and_join(void *arg)
{
    weft_task *woken = spawn_parked(be_woken, NULL);

    (void)arg;
    for (int i = 0; i < 200; i++) {
        weft_task *child;

        is_last = i == 199;
        wt_check(weft_spawn(&child, wake_somebody, NULL) == 0);
        wt_check(weft_await(child, NULL) == 0);
    }
    wt_check(weft_await(woken, NULL) == 0);
    return 0;
}

Test(inside, a_fiber_that_a_child_wakes_does_not_wait_for_many_more, .init = open_events)
{
    RUN(wake_and_join, NULL, &alone);
    cr_assert_leq(most_before, 2, "%d", most_before);
}

/* ---- closing ---- */

static intptr_t leave_it(void *arg)
{
    (void)arg;
    weft_task *task = start(join_in_between, wait_here, NULL);

    return weft_detach(task);
}

Test(inside, closing_ends_all_on_a_stack, .init = open_events)
{
    RUN(leave_it, NULL, &alone);
    cr_assert(traced("told join-told outer-told "));
}

/* ---- simulations ---- */

static intptr_t try_often(void *arg)
{
    int *inside = arg;

    note_parent();
    for (int i = 0; i < 64; i++) {
        weft_task *task;

        was_inside = false;
        wt_check(weft_spawn(&task, leaf, "") == 0);
        wt_check(weft_await(task, NULL) == 0);
        trace[0] = '\0';
        *inside += was_inside;
    }
    return 0;
}

static int count_inside(uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed};
    int inside = 0;

    RUN(try_often, &inside, &options);
    return inside;
}

Test(inside, strict_simulations_never_do_others_draw_it)
{
    int sum = 0;

    cr_assert_eq(count_inside(0), 0);
    for (uint64_t seed = 1; seed <= 16; seed++) {
        int inside = count_inside(seed);

        cr_assert_eq(count_inside(seed), inside); /* the same again */
        sum += inside;
    }
    cr_assert(sum > 16 * 16 && sum < 16 * 48, "%d", sum);
}

/* ---- the thread's own block ---- */

#if defined(__x86_64__)
/* Two words of the C library's, the second of which some of our changes must not be taken for (base/bias.h). */
static void read_thread_block(uintptr_t words[2])
{
    __asm__ __volatile__("movq %%fs:0, %0\n\tmovq %%fs:8, %1" : "=r"(words[0]), "=r"(words[1]));
}

static intptr_t grow(void *arg)
{
    intptr_t depth = (intptr_t)arg, there = 0;
    weft_task *child;
    if (depth == 0) {
        return 1;
    }
    wt_check(weft_spawn(&child, grow, (void *)(depth - 1)) == 0);
    intptr_t here = grow((void *)(depth - 1));
    wt_check(weft_await(child, &there) == 0);
    return here + there;
}

static void run_and_compare(const weft_options *options)
{
    uintptr_t before[2];
    uintptr_t after[2];
    read_thread_block(before);
    cr_assert_eq(weft_run(grow, (void *)(intptr_t)10, options), 1 << 10);
    read_thread_block(after);
    cr_assert(before[0] == after[0] && before[1] == after[1]);
}

Test(inside, threads_keep_their_block)
{
    for (int workers = 1; workers <= 3; workers++) {
        run_and_compare(&(weft_options){.workers = workers});
        run_and_compare(&(weft_options){.simulate = true, .seed = (uint64_t)workers});
    }
    wt_assert_clean();
}
#endif
