/* SPDX-License-Identifier: MIT */
/* test_task_handles.c - what handles hold: the last one dropped, detached tasks, weak handles, the snapshot. */
#include <errno.h>

#include "task_test.h"

/* ---- ownership ---- */

static bool was_told;

static intptr_t wait_to_be_told(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    (void)arg;
    was_told = rc == -ECANCELED;
    return rc;
}

/* S-7, D13 */
static intptr_t drop_last(void *arg)
{
    const weft_spawn_options options = {.name = "lost"};
    weft_task *task;
    uint64_t id;

    (void)arg;
    wt_check(weft_spawn_with(&task, wait_to_be_told, NULL, &options) == 0);
    wt_check(weft_retain(task) == task);
    wt_check(weft_yield() == 0);
    id = weft_task_id(task);
    weft_drop(task);
    wt_check(weft_task_state(task) == WEFT_PENDING && atomic_load(&report_count) == 0);
    weft_drop(task);
    wt_check(reported(1, WEFT_DIAG_DROPPED_WHILE_PENDING));
    wt_check(reports[0].task_id == id && strcmp(reports[0].name, "lost") == 0);
    wt_check(!was_told); /* dropping never switches */
    wt_check(weft_yield() == 0);
    wt_check(was_told);
    weft_drop(NULL);
    return 0;
}

Test(task, dropping_the_last_handle_cancels)
{
    simulate(drop_last);
    cr_assert_eq(atomic_load(&report_count), 1); /* and nothing more for its end */
}

static intptr_t drop_unstarted(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, note_order, word(1)) == 0);
    weft_drop(task);
    wt_check(reported(1, WEFT_DIAG_DROPPED_WHILE_PENDING));
    wt_check(weft_yield() == 0);
    wt_check(order_count == 0);
    return 0;
}

Test(task, dropping_an_unstarted_task_keeps_it_from_running)
{
    simulate(drop_unstarted);
}

static intptr_t sleep_and_note(void *arg)
{
    wt_check(weft_sleep(5 * WEFT_S) == 0);
    return note_order(arg);
}

static intptr_t detaching(void *arg)
{
    weft_task *task, *more;

    (void)arg;
    wt_check(weft_spawn(&task, sleep_and_note, word(1)) == 0);
    wt_check(weft_detach(task) == 0);
    wt_check(weft_spawn(&task, sleep_and_note, word(2)) == 0);
    more = weft_retain(task);
    wt_check(weft_detach(task) == 0);
    wt_check(weft_detach(more) == 0); /* the runtime has one already: as a drop */
    wt_check(weft_spawn(&task, give, NULL) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_detach(task) == 0); /* ended: as a drop */
    wt_check(weft_spawn(NULL, sleep_and_note, word(3)) == 0);
    wt_check(weft_detach(NULL) == -EINVAL);
    wt_check(weft_sleep(6 * WEFT_S) == 0);
    wt_check(order_count == 3);
    wt_check(weft_tasks(NULL, NULL, 0) == 1);
    return 0;
}

Test(task, detached_tasks_go_on)
{
    simulate(detaching);
    cr_assert_eq(atomic_load(&report_count), 0);
}

/* ---- weak handles and the snapshot ---- */

static intptr_t weak_handles(void *arg)
{
    weft_task *task, *strong;
    weft_weak weak, none = {0};

    (void)arg;
    wt_check(weft_upgrade(none) == NULL);
    weak = weft_weak_of(NULL);
    wt_check(weft_upgrade(weak) == NULL);
    wt_check(weft_spawn(&task, sleep_long, NULL) == 0);
    weak = weft_weak_of(task);
    strong = weft_upgrade(weak);
    wt_check(strong == task);
    weft_drop(task);
    wt_check(atomic_load(&report_count) == 0); /* the upgraded one is a handle like others */
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(strong) == 1);
    wt_check(weft_join(strong, NULL) == 0);
    task = weft_upgrade(weak); /* ended, but a handle is left */
    wt_check(task == strong && weft_task_state(task) == WEFT_CANCELLED);
    weft_drop(task);
    weft_drop(strong);
    wt_check(weft_upgrade(weak) == NULL);
    wt_check(weft_spawn(&task, sleep_long, NULL) == 0); /* may take the same slot */
    wt_check(weft_upgrade(weak) == NULL);
    weak = weft_weak_of(task);
    weft_drop(task);
    wt_check(weft_upgrade(weak) == NULL); /* still running, but nobody owns it */
    return 0;
}

Test(task, weak_handles_keep_nothing_alive)
{
    simulate(weak_handles);
}

static intptr_t snapshot(void *arg)
{
    enum { COUNT = 300 };
    weft_task *tasks[COUNT];
    weft_weak out[COUNT + 8];

    (void)arg;
    wt_check(weft_tasks(NULL, out, 8) == 1 && weft_upgrade(out[0]) == weft_self());
    weft_drop(weft_self());
    for (int i = 0; i < COUNT; i++) {
        wt_check(weft_spawn(&tasks[i], i % 3 == 0 ? give : sleep_long, NULL) == 0);
    }
    wt_check(weft_tasks(NULL, NULL, 0) == COUNT + 1); /* never started ones too */
    wt_check(weft_tasks(NULL, out, COUNT + 8) == COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        wt_check(out[i + 1].id == weft_task_id(tasks[i]));
        wt_check(out[i].id < out[i + 1].id);
    }
    wt_check(weft_yield() == 0);
    wt_check(weft_tasks(NULL, out, 5) == COUNT - COUNT / 3 + 1); /* ended ones not */
    wt_check(out[0].id == weft_task_id(weft_self()) && out[1].id == weft_task_id(tasks[1]));
    wt_check(out[2].id == weft_task_id(tasks[2]) && out[3].id == weft_task_id(tasks[4]));
    wt_check(weft_tasks(NULL, NULL, 3) == -EINVAL);
    weft_drop_all(tasks, COUNT);
    return 0;
}

Test(task, snapshot_of_unfinished_tasks)
{
    simulate(snapshot);
}
