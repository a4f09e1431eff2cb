/* SPDX-License-Identifier: MIT */
/* test_task.c - tasks from spawn to the last handle: results, states, ownership, weak handles. */
#include <errno.h>
#include <pthread.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/shield.h>
#include <weft/stats.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "support.h"
#include "weft_test.h"

/* ---- what every test here needs ---- */

enum { REPORTS = 32 };

static struct {
    weft_diagnostic_kind kind;
    int error;
    uint64_t task_id;
    char name[64];
} reports[REPORTS];
static atomic_int report_count;

static void on_report(const weft_diagnostic *what, void *arg)
{
    int at = atomic_fetch_add(&report_count, 1);

    wt_check(arg == &report_count);
    wt_check(what->text != NULL && what->text[0] != '\0');
    wt_check(what->site != NULL && what->name != NULL);
    if (at < REPORTS) {
        reports[at].kind = what->kind;
        reports[at].error = what->error;
        reports[at].task_id = what->task_id;
        snprintf(reports[at].name, sizeof reports[at].name, "%s", what->name);
    }
}

static const weft_options simulated = {
    .simulate = true, .diagnostic = on_report, .diagnostic_arg = &report_count};

static void simulate(weft_fn *fn)
{
    cr_assert_eq(weft_run(fn, NULL, &simulated), 0);
    wt_assert_clean();
}

/* How many reports there have been; the last is of this kind. */
static bool reported(int count, weft_diagnostic_kind kind)
{
    return atomic_load(&report_count) == count && reports[count - 1].kind == kind;
}

static intptr_t sleep_long(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    (void)arg;
    return rc;
}

/* ---- spawning ---- */

static int order[8];
static int order_count;

static intptr_t note_order(void *arg)
{
    order[order_count++] = (int)(intptr_t)arg;
    return 0;
}

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

static intptr_t cancel_self_and_give(void *arg)
{
    wt_check(weft_cancel(weft_self()) == 1);
    return (intptr_t)arg;
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

/* ---- drop_arg and drop_result: exactly once ---- */

static int args_dropped, results_dropped;
static intptr_t last_result;
static bool joiner_woke;

static void drop_arg(void *arg)
{
    wt_check(!joiner_woke); /* before joiners wake */
    args_dropped += (int)(intptr_t)arg;
}

static void drop_result(intptr_t result)
{
    wt_check(!weft_is_error(result));
    results_dropped++;
    last_result = result;
}

static intptr_t note_join(void *arg)
{
    int rc = weft_join(arg, NULL);

    joiner_woke = true;
    return rc;
}

static intptr_t spawn_late(void *arg)
{
    const weft_spawn_options options = {.drop_arg = drop_arg};

    (void)arg;
    wt_check(weft_spawn_with(NULL, give, word(10000), &options) == 0);
    return 0;
}

static intptr_t drop_args(void *arg)
{
    const weft_spawn_options options = {.drop_arg = drop_arg};
    weft_spawn_options bad = {.drop_arg = drop_arg, .size = 3};
    weft_task *task, *joiner;
    weft_group group;

    (void)arg;
    wt_check(weft_spawn_with(&task, give, word(1), &options) == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(args_dropped == 0); /* it ran */

    wt_check(weft_spawn_with(&task, give, word(1), &options) == 0);
    wt_check(weft_spawn(&joiner, note_join, task) == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(args_dropped == 0); /* never on the canceller's stack */
    wt_check(weft_await(joiner, NULL) == 0);
    wt_check(joiner_woke && args_dropped == 1);
    weft_drop(task);
    joiner_woke = false;

    wt_check(weft_spawn_with(&task, give, word(10), &options) == 0);
    weft_drop(task);
    wt_check(weft_yield() == 0 && args_dropped == 11);

    wt_check(weft_spawn_with(&task, NULL, word(100), &options) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, word(100), &bad) == -EINVAL);
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_spawn(&group, NULL, give, word(1000), &options) == 0);
    wt_check(weft_group_cancel(&group) == 1);
    wt_check(weft_group_spawn(&group, NULL, give, word(100), &options) == -ESHUTDOWN);
    wt_check(weft_group_close(&group, 0) == 0);
    wt_check(args_dropped == 1011); /* not after a failed spawn */

    wt_check(weft_spawn(NULL, spawn_late, NULL) == 0); /* in the last turn: never runs */
    return 0;
}

Test(task, drop_arg_is_called_once_if_it_never_ran)
{
    simulate(drop_args);
    cr_assert_eq(args_dropped, 11011);
}

static intptr_t drop_results(void *arg)
{
    const weft_spawn_options options = {.drop_result = drop_result};
    weft_task *task;
    intptr_t result;

    (void)arg;
    wt_check(weft_spawn_with(&task, give, word(1), &options) == 0);
    wt_check(weft_await(task, &result) == 0 && results_dropped == 0);

    wt_check(weft_spawn_with(&task, give, word(2), &options) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_task_result(task, &result) == 0);
    weft_drop(task);
    wt_check(results_dropped == 0);

    wt_check(weft_spawn_with(&task, give, word(3), &options) == 0); /* nobody took it */
    wt_check(weft_yield() == 0);
    weft_drop(task);
    wt_check(results_dropped == 1 && last_result == 3);

    wt_check(weft_spawn_with(NULL, give, word(4), &options) == 0); /* detached */
    wt_check(weft_yield() == 0);
    wt_check(results_dropped == 2 && last_result == 4);

    /* cancelled in its last slice: joiners see -ECANCELED, nobody took the value */
    wt_check(weft_spawn_with(&task, cancel_self_and_give, word(5), &options) == 0);
    wt_check(weft_await(task, &result) == 0 && result == -ECANCELED);
    wt_check(results_dropped == 3 && last_result == 5);

    wt_check(weft_spawn_with(&task, cancel_self_and_give, word(6), &options) == 0);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(weft_task_raw_result(task, &result) == 0 && result == 6); /* now the caller's */
    weft_drop(task);
    wt_check(results_dropped == 3);

    wt_check(weft_spawn_with(&task, give, word(-EIO), &options) == 0); /* no value */
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_spawn_with(&task, give, word(8), &options) == 0); /* never ran */
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(results_dropped == 3);

    wt_check(weft_spawn_with(&task, give, word(9), &options) == 0); /* waited for, not taken */
    wt_check(weft_await(task, NULL) == 0);
    wt_check(results_dropped == 4 && last_result == 9);
    wt_check(weft_spawn_with(&task, give, word(10), &options) == 0);
    wt_check(weft_gather(&task, 1, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    weft_drop(task);
    wt_check(results_dropped == 5 && last_result == 10);
    for (int i = 0; i < 2; i++) { /* with time left, and when it has ended without */
        wt_check(weft_spawn_with(&task, give, word(11 + i), &options) == 0);
        wt_check(i == 0 || weft_yield() == 0);
        wt_check(weft_wait_for(task, i == 0 ? WEFT_S : 0, NULL) == 0);
        weft_drop(task);
        wt_check(results_dropped == 6 + i && last_result == 11 + i);
    }
    return 0;
}

Test(task, drop_result_is_called_once_for_a_value_nobody_took)
{
    simulate(drop_results);
    cr_assert_eq(results_dropped, 7);
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

/* ---- on_done ---- */

static int done_calls[4];
static int done_count;

static void on_done(weft_task *task, void *arg)
{
    intptr_t result = -1;

    wt_check(weft_task_state(task) == WEFT_OK);
    wt_check(weft_task_result(task, &result) == 0 && result == 8);
    wt_check(done_count < 4);
    done_calls[done_count++] = (int)(intptr_t)arg;
}

static intptr_t callbacks(void *arg)
{
    weft_task *task;

    (void)arg;
    wt_check(weft_spawn(&task, give, word(8)) == 0);
    wt_check(weft_on_done(task, on_done, word(1)) == 0);
    wt_check(weft_on_done(task, on_done, word(2)) == 0);
    wt_check(weft_on_done(task, on_done, word(2)) == 0); /* the same one again: twice */
    wt_check(done_count == 0);
    wt_check(weft_join(task, NULL) == 0);
    wt_check(done_count == 3 && done_calls[0] == 1 && done_calls[1] == 2 && done_calls[2] == 2);
    wt_check(weft_on_done(task, on_done, word(3)) == 0); /* at once */
    wt_check(done_count == 4 && done_calls[3] == 3);
    wt_check(weft_on_done(task, NULL, NULL) == -EINVAL);
    wt_check(weft_on_done(NULL, on_done, NULL) == -EINVAL);
    weft_drop(task);
    return 0;
}

Test(task, on_done_is_called_once_in_order)
{
    simulate(callbacks);
    cr_assert_eq(done_count, 4);
}

/* ---- joins that could never end ---- */

static intptr_t join_self(void *arg)
{
    weft_task *self = weft_self();
    intptr_t results[1];
    weft_task *both[2] = {self, self};

    (void)arg;
    wt_check(weft_join(self, NULL) == -EDEADLK);
    wt_check(weft_join_shielded(self, NULL) == -EDEADLK);
    wt_check(weft_await(self, NULL) == -EDEADLK); /* keeps the handle: it is borrowed here */
    wt_check(weft_wait_for(self, WEFT_S, NULL) == -EDEADLK);
    wt_check(weft_gather(both, 1, results, WEFT_GATHER_COLLECT, NULL) == -EDEADLK);
    wt_check(weft_checkpoint() == 0);
    return 0;
}

Test(task, joining_oneself_is_refused)
{
    simulate(join_self);
}

static weft_task *ring[3];
static int cycles_refused;

static intptr_t join_next(void *arg)
{
    intptr_t at = (intptr_t)arg;
    int rc = weft_join(ring[(at + 1) % 3], NULL);

    wt_check(rc == 0 || rc == -EDEADLK);
    cycles_refused += rc == -EDEADLK;
    return at;
}

/* the join that closes the cycle is refused, the others go on */
static intptr_t join_cycle(void *arg)
{
    (void)arg;
    for (intptr_t i = 0; i < 3; i++) {
        wt_check(weft_spawn(&ring[i], join_next, word(i)) == 0);
    }
    for (intptr_t i = 0; i < 3; i++) {
        intptr_t result = -1;

        wt_check(weft_join(ring[i], &result) == 0 && result == i);
    }
    wt_check(cycles_refused == 1);
    weft_drop_all(ring, 3);
    return 0;
}

Test(task, a_cycle_of_joins_is_refused)
{
    simulate(join_cycle);
}

/* The same through gathers: of each ring of three, two gather and one joins. */
static intptr_t wait_for_next(void *arg)
{
    intptr_t at = (intptr_t)arg;
    weft_task *next[2] = {ring[(at + 1) % 3], ring[(at + 1) % 3]};
    int rc =
        at == 1 ? weft_join(next[0], NULL) : weft_gather(next, 2, NULL, WEFT_GATHER_COLLECT, NULL);

    wt_check(rc == 0 || rc == -EDEADLK || rc == -ECANCELED);
    cycles_refused += rc == -EDEADLK;
    return rc == -ECANCELED ? rc : at;
}

static intptr_t gather_cycle(void *arg)
{
    (void)arg;
    for (intptr_t round = 0; round < 2; round++) {
        for (intptr_t i = 0; i < 3; i++) {
            wt_check(weft_spawn(&ring[i], wait_for_next, word(i)) == 0);
        }
        for (intptr_t i = 0; i < 3; i++) {
            wt_check(weft_join(ring[i], NULL) == 0);
        }
        weft_drop_all(ring, 3);
        wt_check(cycles_refused == round + 1);
    }
    return 0;
}

Test(task, a_cycle_through_gathers_is_refused)
{
    simulate(gather_cycle);
}

/* ... and by several workers, who close cycles at the same moment */
static intptr_t join_peer(void *arg)
{
    _Atomic(weft_task *) *peer = arg;
    weft_task *task;

    while ((task = atomic_load(peer)) == NULL) {
        wt_check(weft_yield() == 0);
    }
    /* half of them by gathering */
    if (weft_task_id(task) % 2 == 0) {
        return weft_gather(&task, 1, NULL, WEFT_GATHER_COLLECT, NULL) == -EDEADLK;
    }
    return weft_join(task, NULL) == -EDEADLK;
}

static intptr_t join_pairs(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        _Atomic(weft_task *) left = NULL, right = NULL;
        weft_task *a, *b;
        intptr_t a_refused = 0, b_refused = 0;

        wt_check(weft_spawn(&a, join_peer, &right) == 0);
        wt_check(weft_spawn(&b, join_peer, &left) == 0);
        atomic_store(&left, a);
        atomic_store(&right, b);
        wt_check(weft_join(a, &a_refused) == 0);
        wt_check(weft_join(b, &b_refused) == 0);
        wt_check(a_refused + b_refused >= 1);
        weft_drop(a); /* not before b has ended, which may just be joining it */
        weft_drop(b);
    }
    return 0;
}

Test(task, cycles_closed_by_two_workers)
{
    const weft_options options = {.workers = 4};

    cr_assert_eq(weft_run(join_pairs, NULL, &options), 0);
    wt_assert_clean();
}

static weft_task *apex;

static intptr_t join_apex(void *arg)
{
    (void)arg;
    return weft_join(apex, NULL);
}

/* A gather that an error has decided waits for nobody: neither at its begin ... */
static intptr_t gather_decided(void *arg)
{
    weft_task *both[2];
    size_t failed = 77;
    intptr_t result;

    (void)arg;
    apex = weft_self();
    wt_check(weft_spawn(&both[0], give, word(-EIO)) == 0);
    wt_check(weft_spawn(&both[1], join_apex, NULL) == 0);
    wt_check(weft_join(both[0], &result) == 0 && result == -EIO);
    wt_check(weft_gather(both, 2, NULL, WEFT_GATHER_FIRST_ERROR, &failed) == 0 && failed == 0);
    wt_check(weft_gather(both, 2, NULL, WEFT_GATHER_COLLECT, &failed) == -EDEADLK);
    weft_drop(both[0]);
    weft_detach(both[1]);
    return 0;
}

static weft_future go;

static intptr_t fail_when_told(void *arg)
{
    (void)arg;
    wt_check(weft_future_await(&go, NULL) == 0);
    return -EIO;
}

static intptr_t gather_ring(void *arg)
{
    size_t failed = 77;

    (void)arg;
    wt_check(weft_gather(ring, 2, NULL, WEFT_GATHER_FIRST_ERROR, &failed) == 0 && failed == 0);
    return 0;
}

/* Joins the gather's task when the error has come and that task has yet to go on. */
static intptr_t join_when_failed(void *arg)
{
    (void)arg;
    while (weft_task_state(ring[0]) == WEFT_PENDING) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_join(ring[2], NULL) == 0);
    return 0;
}

/* ... nor while its task has yet to be woken. */
static intptr_t join_decided(void *arg)
{
    (void)arg;
    weft_future_init(&go);
    wt_check(weft_spawn(&ring[0], fail_when_told, NULL) == 0);
    wt_check(weft_spawn(&apex, join_when_failed, NULL) == 0);
    wt_check(weft_spawn(&ring[1], join_apex, NULL) == 0);
    wt_check(weft_spawn(&ring[2], gather_ring, NULL) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_future_set(&go, 0) == 0);
    wt_check(weft_join(apex, NULL) == 0);
    wt_check(weft_join(ring[1], NULL) == 0 && weft_join(ring[2], NULL) == 0);
    weft_drop(apex);
    weft_drop_all(ring, 3);
    return 0;
}

Test(task, a_decided_gather_closes_no_cycle)
{
    simulate(gather_decided);
    simulate(join_decided);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        const weft_options options = {.simulate = true,
                                      .seed = seed,
                                      .diagnostic = on_report,
                                      .diagnostic_arg = &report_count};

        cr_assert_eq(weft_run(join_decided, NULL, &options), 0);
        wt_assert_clean();
    }
}

/* One of many, behind a chain: found all the same. */
static intptr_t join_arg(void *arg)
{
    return weft_join(arg, NULL);
}

static intptr_t gather_crowd(void *arg)
{
    enum { CROWD = 300 };
    weft_task *crowd[CROWD];

    (void)arg;
    apex = weft_self();
    wt_check(weft_spawn(&crowd[0], join_apex, NULL) == 0);
    for (int i = 1; i < CROWD; i++) {
        wt_check(weft_spawn(&crowd[i], join_arg, crowd[i - 1]) == 0);
    }
    wt_check(weft_yield() == 0);
    wt_check(weft_join(crowd[CROWD - 1], NULL) == -EDEADLK);
    wt_check(weft_gather(crowd + CROWD - 2, 2, NULL, WEFT_GATHER_COLLECT, NULL) == -EDEADLK);
    for (int i = 0; i < CROWD; i++) {
        weft_detach(crowd[i]);
    }
    return 0;
}

Test(task, a_long_cycle_is_refused)
{
    simulate(gather_crowd);
}

/* Longer than a join looks: a request goes round, but not for ever. */
static intptr_t close_huge_cycle(void *arg)
{
    enum { HUGE = 3000 };
    static weft_task *all[HUGE];

    (void)arg;
    apex = weft_self();
    wt_check(weft_spawn(&all[0], join_apex, NULL) == 0);
    for (int i = 1; i < HUGE; i++) {
        wt_check(weft_spawn(&all[i], join_arg, all[i - 1]) == 0);
        wt_check(weft_yield() == 0);
    }
    weft_task *self = apex;
    wt_check(weft_cancel(self) == 1); /* undelivered: handed on once the join below is there */
    return weft_join(all[HUGE - 1], NULL);
}

Test(task, a_request_does_not_go_round_for_ever)
{
    const weft_options options = {
        .simulate = true, .diagnostic = on_report, .diagnostic_arg = &report_count};

    intptr_t rc = weft_run(close_huge_cycle, NULL, &options);
    cr_assert(rc == -EDEADLK, "%d", (int)rc);
}

/* ---- diagnostics of outcomes ---- */

static intptr_t unseen_errors(void *arg)
{
    weft_task *task;
    intptr_t result;

    (void)arg;
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* D02 */
    wt_check(weft_yield() == 0);
    weft_drop(task);
    wt_check(reported(1, WEFT_DIAG_ERROR_NEVER_RETRIEVED) && reports[0].error == -EIO);

    wt_check(weft_spawn(NULL, give, word(-EPIPE)) == 0); /* detached */
    wt_check(weft_yield() == 0);
    wt_check(reported(2, WEFT_DIAG_ERROR_NEVER_RETRIEVED) && reports[1].error == -EPIPE);

    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* the handle dies before the task ends */
    wt_check(weft_detach(task) == 0);
    wt_check(weft_yield() == 0);
    wt_check(reported(3, WEFT_DIAG_ERROR_NEVER_RETRIEVED));

    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* looked at: four ways */
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_task_result(task, &result) == 0);
    weft_drop(task);
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0);
    wt_check(weft_gather(&task, 1, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    weft_drop(task);
    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* DG-2 */
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 0);
    weft_drop(task);
    wt_check(atomic_load(&report_count) == 3);

    wt_check(weft_spawn(&task, give, word(-EIO)) == 0); /* its state alone is not the error */
    wt_check(weft_yield() == 0);
    wt_check(weft_task_state(task) == WEFT_ERROR);
    weft_drop(task);
    wt_check(reported(4, WEFT_DIAG_ERROR_NEVER_RETRIEVED));

    wt_check(weft_spawn(&task, give, word(-ECANCELED)) == 0); /* never reported */
    wt_check(weft_yield() == 0);
    weft_drop(task);
    wt_check(atomic_load(&report_count) == 4);
    return 0;
}

Test(task, errors_nobody_looked_at_are_reported)
{
    simulate(unseen_errors);
    cr_assert_eq(atomic_load(&report_count), 4);
}

static intptr_t swallow(void *arg)
{
    int rc = weft_sleep(100 * WEFT_S);

    if (arg != NULL) {
        wt_check(weft_uncancel(weft_self()) == 0);
    }
    return rc < 0 ? 1 : 0;
}

static intptr_t swallowers(void *arg)
{
    weft_task *task;
    weft_stats_t stats = {.size = sizeof stats};

    for (int i = 0; i < 2; i++) {
        wt_check(weft_spawn(&task, swallow, i == 0 ? NULL : &arg) == 0);
        wt_check(weft_yield() == 0);
        wt_check(weft_cancel(task) == 1);
        wt_check(weft_await(task, NULL) == 0);
    }
    wt_check(weft_stats(NULL, &stats) == 0);
    wt_check(stats.cancels_swallowed == 1 && stats.cancel_requests == 2);
    wt_check(stats.cancels_delivered == 2);
    return 0;
}

Test(task, swallowed_cancellations_are_reported)
{
    simulate(swallowers);
    cr_assert(reported(1, WEFT_DIAG_CANCEL_SWALLOWED));
}

/* ---- misuse ---- */

/* Fiber-only calls from a plain thread: -EPERM, whatever the arguments. */
Test(task, plain_threads_are_told)
{
    weft_task *task = NULL, *const none[1] = {NULL};
    weft_group group;
    weft_timeout timeout;
    weft_shield shield;
    weft_future future = WEFT_FUTURE_INIT;
    weft_weak weak;
    intptr_t result;
    weft_stats_t stats = {.size = sizeof stats};

    memset(&group, 0, sizeof group);
    memset(&timeout, 0, sizeof timeout);
    memset(&shield, 0, sizeof shield);
    cr_expect_eq(weft_spawn(&task, give, NULL), -EPERM);
    cr_expect_null(task);
    cr_expect_eq(weft_await(NULL, &result), -EPERM);
    cr_expect_eq(weft_join(NULL, &result), -EPERM);
    cr_expect_eq(weft_join_shielded(NULL, &result), -EPERM);
    cr_expect_eq(weft_sleep(1), -EPERM);
    cr_expect_eq(weft_sleep(0), -EPERM);
    cr_expect_eq(weft_sleep_until(1), -EPERM);
    cr_expect_eq(weft_yield(), -EPERM);
    cr_expect_eq(weft_checkpoint(), -EPERM);
    cr_expect_eq(weft_timeout_enter(&timeout, 1), -EPERM);
    cr_expect_eq(weft_timeout_enter_at(&timeout, 1), -EPERM);
    cr_expect_eq(weft_timeout_leave(&timeout, 0), -EPERM);
    cr_expect_eq(weft_shield_enter(&shield, 1), -EPERM);
    cr_expect_eq(weft_shield_leave(&shield, 0), -EPERM);
    cr_expect_eq(weft_group_open(&group, 0), -EPERM);
    cr_expect_eq(weft_group_spawn(&group, NULL, give, NULL, NULL), -EPERM);
    cr_expect_eq(weft_group_drain(&group, 1), -EPERM);
    cr_expect_eq(weft_group_close(&group, 0), -EPERM);
    cr_expect_eq(weft_gather(none, 1, NULL, WEFT_GATHER_COLLECT, NULL), -EPERM);
    cr_expect_eq(weft_wait(none, 1, WEFT_WAIT_ALL, 1, NULL), -EPERM);
    cr_expect_eq(weft_wait_for(NULL, 1, NULL), -EPERM);
    cr_expect_eq(weft_call_for(give, NULL, 1, NULL), -EPERM);
    cr_expect_eq(weft_future_await(&future, &result), -EPERM);
    cr_expect_eq(weft_tasks(NULL, &weak, 1), -EPERM);
    cr_expect_eq(weft_stats(NULL, &stats), -EPERM);
    cr_expect_null(weft_self());
    cr_expect_null(weft_runtime_current());
    cr_expect_gt(weft_now(), 0);
}

/* NULL where a handle belongs. */
Test(task, null_is_told)
{
    intptr_t result;
    weft_runtime *runtime;
    const weft_options options = {.workers = 1};

    cr_expect_eq(weft_cancel(NULL), -EINVAL);
    cr_expect_eq(weft_uncancel(NULL), -EINVAL);
    cr_expect_eq(weft_cancelling(NULL), -EINVAL);
    cr_expect_eq(weft_task_result(NULL, &result), -EINVAL);
    cr_expect_eq(weft_task_raw_result(NULL, &result), -EINVAL);
    cr_expect_eq(weft_detach(NULL), -EINVAL);
    cr_expect_eq(weft_on_done(NULL, NULL, NULL), -EINVAL);
    cr_expect_eq(weft_thread_join(NULL, 1, &result), -EINVAL);
    cr_expect_null(weft_retain(NULL));
    cr_expect_eq(weft_task_id(NULL), 0U);
    cr_expect_str_eq(weft_task_name(NULL), "");
    cr_expect_str_eq(weft_task_site(NULL), "");
    cr_expect_eq(weft_task_state(NULL), WEFT_PENDING);
    cr_expect_eq(weft_runtime_submit(NULL, NULL, give, NULL, NULL), -EINVAL);
    cr_expect_eq(weft_runtime_stop(NULL), -EINVAL);
    cr_expect_eq(weft_runtime_start(NULL, &options), -EINVAL);
    cr_expect_eq(weft_run(NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    cr_expect_eq(weft_runtime_submit(runtime, NULL, NULL, NULL, NULL), -EINVAL);
    cr_expect_eq(weft_tasks(runtime, NULL, 1), -EINVAL);
    cr_expect_eq(weft_stats(runtime, NULL), -EINVAL);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
}

static intptr_t bad_input(void *arg)
{
    const weft_spawn_options newer = {.size = sizeof newer + 8};
    const weft_spawn_options huge = {.stack_bytes = SIZE_MAX / 2};
    const weft_spawn_options big = {.stack_bytes = 4 << 20};
    weft_task *task = NULL;
    intptr_t result;

    (void)arg;
    wt_check(weft_spawn(&task, NULL, NULL) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, NULL, &newer) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, NULL, &huge) == -EINVAL);
    wt_check(task == NULL);
    wt_check(weft_await(NULL, NULL) == -EINVAL);
    wt_check(weft_join(NULL, NULL) == -EINVAL);
    wt_check(weft_join_shielded(NULL, NULL) == -EINVAL);
    wt_check(weft_wait_for(NULL, 1, NULL) == -EINVAL);
    wt_check(weft_call_for(NULL, NULL, 1, NULL) == -EINVAL);
    wt_check(weft_future_await(NULL, NULL) == -EINVAL);
    wt_check(weft_spawn_with(&task, give, word(3), &big) == 0);
    wt_check(weft_thread_join(task, 1, &result) == -EDEADLK); /* a worker would wait for itself */
    wt_check(weft_task_result(task, NULL) == -EINVAL);
    wt_check(weft_task_raw_result(task, NULL) == -EINVAL);
    wt_check(weft_await(task, &result) == 0 && result == 3);
    wt_check(weft_tasks(NULL, NULL, 0) == 1); /* nothing was made on the way */
    return 0;
}

Test(task, bad_input_changes_nothing)
{
    simulate(bad_input);
    cr_assert_eq(atomic_load(&report_count), 0);
}

/* A promised stack can be used. */
static intptr_t use_stack(void *arg)
{
    size_t bytes = (size_t)(intptr_t)arg - 8192;
    volatile char *room = __builtin_alloca(bytes);

    for (size_t i = 0; i < bytes; i += 1024) {
        room[i] = (char)i;
    }
    return weft_yield();
}

static intptr_t stacks(void *arg)
{
    static const size_t sizes[] = {16384, 65536, 1 << 20, 8 << 20};

    (void)arg;
    for (int i = 0; i < 4; i++) {
        const weft_spawn_options options = {.stack_bytes = sizes[i]};
        weft_task *task;

        wt_check(weft_spawn_with(&task, use_stack, word((intptr_t)sizes[i]), &options) == 0);
        wt_check(weft_await(task, NULL) == 0);
    }
    return 0;
}

Test(task, stacks_of_the_promised_size)
{
    simulate(stacks);
}

/* A scope left open would fire into a dead frame. */
static intptr_t leave_open(void *arg)
{
    weft_timeout timeout;

    (void)arg;
    return weft_timeout_enter(&timeout, WEFT_S);
}

Test(task, ending_with_an_open_scope_aborts, .signal = SIGABRT)
{
    cr_assert_eq(weft_run(leave_open, NULL, &simulated), 0);
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
