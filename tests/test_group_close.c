/* SPDX-License-Identifier: MIT */
/* test_group_close.c - what comes while a group closes: callbacks of children, siblings, a spawn as the last one
 * leaves. */
#include <sched.h>

#include <weft/future.h>

#include "group_test.h"

/* ---- callbacks of children ---- */

struct frame {
    atomic_int has_closed;
    atomic_int called;
};

static void call_late(weft_task *task, void *arg)
{
    struct frame *frame = arg;

    (void)task;
    for (int i = 0; i < 100; i++) {
        sched_yield(); /* the last child's end would let the group close meanwhile */
    }
    wt_check(atomic_load(&frame->has_closed) == 0);
    atomic_fetch_add(&frame->called, 1);
}

static intptr_t end_when_told(void *arg)
{
    return weft_future_await(arg, NULL);
}

static intptr_t fail_at_go(void *arg)
{
    wt_check(weft_future_await(arg, NULL) == 0);
    return -EIO;
}

/* Closing waits for what is called at the children's ends, however these end. */
static intptr_t close_with_callbacks(void *arg)
{
    static weft_future go[100];

    for (int i = 0; i < 100; i++) {
        weft_task *task;
        weft_group group;
        struct frame frame = {0};
        intptr_t rc = i % 3 == 1 ? -EIO : 0;

        weft_future_init(&go[i]);
        wt_check(weft_group_open(&group, 0) == 0);
        wt_check(weft_group_spawn(&group, &task, i % 3 == 1 ? fail_at_go : end_when_told, &go[i],
                                  NULL) == 0);
        wt_check(weft_on_done(task, call_late, &frame) == 0);
        wt_check(weft_on_done(task, call_late, &frame) == 0);
        weft_drop(task);
        wt_check(weft_yield() == 0);
        if (i % 3 == 2) {
            wt_check(weft_group_cancel(&group) == 1);
        } else {
            wt_check(weft_future_set(&go[i], 0) == 0);
        }
        if (i % 6 == 0) {
            wt_check(weft_group_drain(&group, WEFT_FOREVER) == 0);
            wt_check(atomic_load(&frame.called) == 2);
        }
        wt_check(weft_group_close(&group, 0) == rc);
        wt_check(atomic_load(&frame.called) == 2);
        atomic_store(&frame.has_closed, 1);
    }
    return (intptr_t)arg;
}

Test(group, closing_waits_for_callbacks)
{
    static const int workers[] = {1, 2, 8};

    for (int i = 0; i < 3; i++) {
        const weft_options options = {.workers = workers[i]};

        cr_assert_eq(weft_run(close_with_callbacks, NULL, &options), 0);
        wt_assert_clean();
    }
    for (uint64_t seed = 0; seed < 20; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};

        cr_assert_eq(weft_run(close_with_callbacks, NULL, &options), 0);
        wt_assert_clean();
    }
}

static weft_future never;

static intptr_t wait_for_ever(void *arg)
{
    (void)arg;
    return weft_future_await(&never, NULL);
}

/* More siblings than the group had room for when closing began. */
static intptr_t spawn_siblings(void *arg)
{
    for (int i = 0; i < 40; i++) {
        wt_check(weft_group_spawn(arg, NULL, wait_for_ever, NULL, NULL) == 0);
    }
    return weft_future_await(&never, NULL);
}

static intptr_t close_for_ever(void *arg)
{
    weft_group group;
    const int *first = arg;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < *first; i++) {
        wt_check(weft_group_spawn(&group, NULL, wait_for_ever, NULL, NULL) == 0);
    }
    wt_check(weft_group_spawn(&group, NULL, spawn_siblings, &group, NULL) == 0);
    return weft_group_close(&group, 0);
}

/* What a group has on the heap goes with the simulation, once. Sanitizers see more of it. */
Test(group, grows_while_it_closes_for_ever)
{
    for (int first = 0; first <= 20; first += 10) {
        const weft_options options = {.simulate = true, .diagnostic = ignore};

        (void)weft_future_init(&never);
        cr_assert_eq(weft_run(close_for_ever, &first, &options), -EDEADLK);
        wt_assert_clean();
    }
}

/* ---- spawning as the last child leaves ---- */

struct late {
    weft_group group;
    int yields;  /* of the outsider, before it spawns */
    int running; /* of the children that it made */
    int spawned;
    int refused;
};

static intptr_t yield_once(void *arg)
{
    (void)arg;
    return weft_yield();
}

static intptr_t be_late(void *arg)
{
    struct late *late = arg;

    for (int i = 0; i < 3; i++) {
        wt_check(weft_yield() == 0);
    }
    late->running--;
    return 0;
}

/* Is no child of the group. */
static intptr_t spawn_late(void *arg)
{
    struct late *late = arg;
    int rc;

    for (int i = 0; i < late->yields; i++) {
        wt_check(weft_yield() == 0);
    }
    rc = weft_group_spawn(&late->group, NULL, be_late, late, NULL);
    wt_check(rc == 0 || rc == -ESHUTDOWN);
    late->running += rc == 0;
    late->spawned += rc == 0;
    late->refused += rc != 0;
    return 0;
}

static intptr_t close_meanwhile(void *arg)
{
    struct late *late = arg;
    weft_task *outsider;

    wt_check(weft_group_open(&late->group, 0) == 0);
    wt_check(weft_group_spawn(&late->group, NULL, yield_once, NULL, NULL) == 0);
    wt_check(weft_spawn(&outsider, spawn_late, late) == 0);
    wt_check(weft_group_close(&late->group, 0) == 0);
    wt_check(late->running == 0);
    return weft_await(outsider, NULL);
}

/* Taken and waited for, or refused: also between the last child's end and the turn of the task that closes. */
Test(group, a_late_spawn_is_waited_for_or_refused)
{
    int spawned = 0;
    int refused = 0;

    for (uint64_t seed = 0; seed < 300; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};
        struct late late = {.yields = (int)(seed % 4)};

        cr_assert_eq(weft_run(close_meanwhile, &late, &options), 0);
        wt_assert_clean();
        spawned += late.spawned;
        refused += late.refused;
    }
    cr_assert(spawned > 0 && refused > 0, "%d spawned, %d refused", spawned, refused);
}
