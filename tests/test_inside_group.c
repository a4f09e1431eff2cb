/* SPDX-License-Identifier: MIT */
/* test_inside_group.c - groups whose children run on the stack of the task that closes: as if they ran anywhere
 * else, only faster. */
#include <stdatomic.h>

#include <weft/local.h>

#include "inside_group_test.h"

/* ---- running ---- */

static intptr_t run_leaves(void *arg)
{
    (void)arg;
    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    add(leaf, (void *)(uintptr_t) "a");
    add(leaf, (void *)(uintptr_t) "b");
    add(leaf, (void *)(uintptr_t) "c");
    wt_check(close_now(5) == 5);
    wt_check(was_inside && weft_group_spawn(&group, NULL, leaf, NULL, NULL) == -ESHUTDOWN);
    wt_check(weft_group_cancel(&group) == 0);
    wt_check(traced("c b a close-error ")); /* 5 */
    return 0;
}

Test(inside_group, the_newest_first_on_the_closers_stack, .init = open_all)
{
    RUN(run_leaves, NULL, &alone);
}

static intptr_t add_more(void *arg)
{
    if (arg != NULL) {
        add(add_more, word((intptr_t)arg - 1));
    }
    return leaf(arg == NULL ? (void *)(uintptr_t) "last" : (void *)(uintptr_t) "more");
}

static intptr_t grow(void *arg)
{
    (void)arg;
    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    add(add_more, word(3));
    wt_check(close_now(0) == 0 && traced("more more more last closed "));
    return 0;
}

Test(inside_group, a_child_adds_others, .init = open_all)
{
    RUN(grow, NULL, &alone);
}

static intptr_t nest(void *arg)
{
    weft_group inner;
    intptr_t depth = (intptr_t)arg;

    if (depth == 0) {
        return 0;
    }
    int rc = weft_group_open(&inner, 0);
    wt_check(rc == 0);
    wt_check(weft_group_spawn(&inner, NULL, nest, word(depth - 1), NULL) == 0);
    return weft_group_close(&inner, rc);
}

/* More than any stack holds: what does not fit runs on a stack of its own. */
Test(inside_group, as_deep_as_it_goes)
{
    RUN(nest, word(20000), &alone);
}

/* ---- others' stacks ---- */

static bool ran_elsewhere;

static intptr_t note_place(void *arg)
{
    (void)arg;
    ran_elsewhere = fiber_here() != parent_fiber;
    return 0;
}

static void place_with(const weft_spawn_options *options)
{
    ran_elsewhere = false;
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, note_place, NULL, options) == 0);
    wt_check(close_now(0) == 0);
}

static intptr_t run_apart(void *arg)
{
    const weft_spawn_options named = {.name = "inside"};
    const weft_spawn_options pinned = {.pinned = true};
    const weft_spawn_options large = {.stack_bytes = 256 * 1024};

    (void)arg;
    note_parent();
    place_with(&named);
    wt_check(!ran_elsewhere);
    place_with(&pinned);
    wt_check(ran_elsewhere);
    place_with(&large);
    wt_check(ran_elsewhere);
    return 0;
}

Test(inside_group, pinned_children_and_large_stacks_stay_apart)
{
    RUN(run_apart, NULL, &alone);
}

/* ---- what a child leaves behind ---- */

static int results_dropped, callbacks_run;

static void drop_result(intptr_t value)
{
    wt_check(value == 7);
    results_dropped++;
}

static void called_back(weft_task *task, void *arg)
{
    (void)arg;
    wt_check(weft_task_state(task) == WEFT_OK);
    callbacks_run++;
}

static intptr_t ask_for_a_call(void *arg)
{
    wt_check(weft_on_done(weft_self(), called_back, NULL) == 0);
    return leaf(arg);
}

static intptr_t leave_things(void *arg)
{
    const weft_spawn_options options = {.drop_result = drop_result, .name = "with a result"};
    weft_task *kept;
    intptr_t value = 0;

    (void)arg;
    note_parent();
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, leaf, NULL, &options) == 0);
    wt_check(weft_group_spawn(&group, &kept, leaf, NULL, &options) == 0);
    add(ask_for_a_call, NULL);
    wt_check(close_now(0) == 0 && was_inside);
    wt_check(results_dropped == 1 && callbacks_run == 1);
    wt_check(weft_join(kept, &value) == 0 && value == 7);
    weft_drop(kept);
    wt_check(results_dropped == 1); /* that one was taken */
    return 0;
}

Test(inside_group, results_callbacks_and_handles, .init = open_all)
{
    RUN(leave_things, NULL, &alone);
}

static weft_local local = WEFT_LOCAL_INIT("local", NULL);

static intptr_t look_at_value(void *arg)
{
    wt_check(weft_local_get(&local) == arg);
    return leaf(NULL);
}

static intptr_t inherit(void *arg)
{
    (void)arg;
    note_parent();
    wt_check(weft_local_set(&local, word(41)) == 0);
    wt_check(weft_group_open(&group, 0) == 0);
    add(look_at_value, word(41));
    add(look_at_value, word(41));
    wt_check(close_now(0) == 0 && was_inside && weft_local_get(&local) == word(41));
    return 0;
}

Test(inside_group, values_are_inherited, .init = open_all)
{
    RUN(inherit, NULL, &alone);
}

/* ---- a slot that lives on ---- */

/* Two workers. While the closer leaves for a woken task, right before it would claim its child, the other worker runs
 * that child, and gives its slot so many lives that the record's word is the same again. Then it is a task that is
 * none of the group's. */
enum { LIVES = 1 << 18 };

static atomic_bool thief_waits, thief_may_go, child_ran, slot_is_back, has_closed;
static weft_task *child_slot;
static weft_event wake_up;

static intptr_t keep_the_thief(void *arg)
{
    (void)arg;
    atomic_store(&thief_waits, true);
    while (!atomic_load(&thief_may_go)) {
    }
    return 0;
}

static intptr_t note_slot(void *arg)
{
    (void)arg;
    child_slot = weft_self();
    atomic_store(&child_ran, true);
    return 0;
}

static intptr_t be_a_stranger(void *arg)
{
    wt_check(fiber_here() != parent_fiber);
    return (intptr_t)arg;
}

static intptr_t live_often(void *arg)
{
    weft_task *task;
    intptr_t value = 0;

    (void)arg;
    for (int i = 0; atomic_load(&child_ran) && i < LIVES - 1; i++) {
        wt_check(weft_spawn(&task, give, NULL) == 0 && weft_await(task, NULL) == 0);
    }
    wt_check(weft_spawn(&task, be_a_stranger, word(5)) == 0);
    wt_check(!atomic_load(&child_ran) || task == child_slot);
    atomic_store(&slot_is_back, true);
    while (!atomic_load(&has_closed)) {
    }
    wt_check(weft_await(task, &value) == 0 && value == 5);
    return 0;
}

static intptr_t hold_the_closer_up(void *arg)
{
    (void)arg;
    wt_check(weft_event_wait(&wake_up) == 0);
    atomic_store(&thief_may_go, true);
    while (!atomic_load(&slot_is_back)) {
    }
    return 0;
}

static intptr_t close_late(void *arg)
{
    weft_task *holder, *thief, *other;

    (void)arg;
    note_parent();
    wt_check(weft_spawn(&holder, hold_the_closer_up, NULL) == 0);
    until_parked(0, 1);
    wt_check(weft_spawn(&thief, keep_the_thief, NULL) == 0);
    while (!atomic_load(&thief_waits)) {
    }
    wt_check(weft_group_open(&group, 0) == 0);
    add(note_slot, NULL);
    wt_check(weft_spawn(&other, live_often, NULL) == 0);
    weft_event_set(&wake_up);
    wt_check(close_now(0) == 0);
    atomic_store(&has_closed, true);
    wt_check(finish(other) == 0 && finish(thief) == 0);
    return finish(holder);
}

Test(inside_group, the_slot_of_a_child_that_was_offered_lives_on, .init = open_all)
{
    const weft_options two = {.workers = 2};

    cr_assert_eq(weft_event_init(&wake_up), 0);
    RUN(close_late, NULL, &two);
}

/* ---- simulation: other seeds draw whether a child runs inside ---- */

struct member {
    int64_t sleep_ns;
    intptr_t rc;
    int asked;
    bool has_begun;
};

static bool some_inside;

static intptr_t be_a_member(void *arg)
{
    struct member *member = arg;
    intptr_t rc;

    member->has_begun = true;
    some_inside = some_inside || fiber_here() == parent_fiber;
    rc = weft_sleep(member->sleep_ns);
    member->asked = weft_cancelling(weft_self());
    return rc < 0 ? rc : member->rc;
}

static intptr_t cancel_later(void *arg)
{
    int rc = weft_sleep((intptr_t)arg);

    return rc < 0 ? rc : weft_cancel(parent);
}

enum { MEMBERS = 4 };

static intptr_t draw_members(void *arg)
{
    struct member members[MEMBERS] = {{0}};
    weft_task *asker;
    intptr_t rc;
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    bool fails = seed % 3 == 0;
    bool is_asked = seed % 2 == 0;

    note_parent();
    wt_check(weft_spawn(&asker, cancel_later, word(is_asked ? 25 * WEFT_MS : WEFT_S)) == 0);
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < MEMBERS; i++) {
        members[i] = (struct member){.sleep_ns = (10 + 10 * i) * WEFT_MS, .asked = -1};
        members[i].rc = fails && i == 0 ? -EIO : 0;
        add(be_a_member, &members[i]);
    }
    rc = close_now(0);
    /* At 10 ms the first one fails, at 25 the closer is asked, at 40 all are over. */
    wt_check(rc == (fails ? -EIO : is_asked ? -ECANCELED : 0));
    for (int i = 0; i < MEMBERS; i++) {
        bool is_told = fails ? i > 0 : is_asked && i > 1;
        wt_check(members[i].has_begun && members[i].asked == is_told);
    }
    wt_check(weft_now() == (fails ? 10 : is_asked ? 25 : 40) * WEFT_MS);
    weft_cancel(asker);
    wt_check(finish(asker) == (is_asked && weft_now() >= 25 * WEFT_MS ? 1 : -ECANCELED));
    while (weft_cancelling(parent) > 0) {
        weft_uncancel(parent);
    }
    return 0;
}

Test(inside_group, the_same_for_every_seed)
{
    int runs_inside = 0;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};
        trace[0] = '\0';
        some_inside = false;
        RUN(draw_members, (void *)(uintptr_t)seed, &options);
        runs_inside += some_inside;
    }
    cr_assert_gt(runs_inside, 100);
}
