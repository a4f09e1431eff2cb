/* SPDX-License-Identifier: MIT */
/* test_handles.c - handles, weak handles and snapshots while tasks come and go.
 *
 * Slots of task records are reused at once, so a reference that is a moment too late meets another
 * task: every upgraded handle must show the id that it was asked for. */
#include <weft/group.h>
#include <weft/time.h>

#include "stress.h"

#define BUDGET_NS (INT64_C(800) * WEFT_MS)

static intptr_t give(void *arg)
{
    return (intptr_t)arg;
}

/* ---- a board of weak handles that everybody reads and writes ---- */

enum { BOARD = 64 };

struct board {
    _Atomic uint64_t lock;
    weft_weak weak[BOARD];
};

static struct board board;
static atomic_bool is_over;
static atomic_long upgraded, too_late, spawned, args_dropped, ran, results_dropped;

static void lock_board(void)
{
    while (atomic_exchange(&board.lock, 1) != 0) {
    }
}

static void unlock_board(void)
{
    atomic_store(&board.lock, 0);
}

static void post(uint64_t at, weft_task *task)
{
    lock_board();
    board.weak[at % BOARD] = weft_weak_of(task);
    unlock_board();
}

/* Does something harmless with whatever task the handle is for. */
static void use(weft_task *task, uint64_t id, uint64_t how)
{
    intptr_t result;
    int rc;

    wt_check(weft_task_id(task) == id);
    switch (how % 6) {
    case 0:
        rc = weft_cancel(task);
        wt_check(rc == 0 || rc == 1);
        break;
    case 1:
        rc = weft_task_result(task, &result);
        wt_check(rc == -EAGAIN || result == 7 || result == -ECANCELED);
        break;
    case 2:
        weft_drop(weft_retain(task));
        break;
    case 3:
        wt_check(weft_upgrade(weft_weak_of(task)) == task); /* we hold one, so it is there */
        weft_drop(task);
        break;
    case 4:
        wt_check(weft_task_name(task)[0] == 't');
        break;
    default:
        break;
    }
    wt_check(weft_task_id(task) == id);
}

static void try_one(uint64_t *random)
{
    weft_weak weak;
    weft_task *task;

    lock_board();
    weak = board.weak[draw(random) % BOARD];
    unlock_board();
    task = weft_upgrade(weak);
    if (task == NULL) {
        atomic_fetch_add(&too_late, 1);
        return;
    }
    atomic_fetch_add(&upgraded, 1);
    use(task, weak.id, draw(random));
    if (draw(random) % 16 == 0) {
        wt_check(weft_detach(task) == 0);
    } else {
        weft_drop(task);
    }
}

static void drop_arg(void *arg)
{
    wt_check(arg == (void *)7);
    atomic_fetch_add(&args_dropped, 1);
}

static void drop_result(intptr_t result)
{
    wt_check(result == 7);
    atomic_fetch_add(&results_dropped, 1);
}

static intptr_t live_shortly(void *arg)
{
    int rc = 0;

    atomic_fetch_add(&ran, 1);
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = weft_yield();
    }
    return rc < 0 ? rc : (intptr_t)arg;
}

static intptr_t spawn_and_post(void *arg)
{
    const weft_spawn_options options = {
        .name = "t", .drop_arg = drop_arg, .drop_result = drop_result};
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    while (!atomic_load(&is_over)) {
        weft_task *task;

        if (!wt_check(weft_spawn_with(&task, live_shortly, (void *)7, &options) == 0)) {
            break;
        }
        atomic_fetch_add(&spawned, 1);
        post(draw(&random), task);
        if (draw(&random) % 2 == 0) {
            wt_check(weft_yield() == 0);
        }
        if (draw(&random) % 4 == 0) {
            wt_check(weft_await(task, NULL) == 0);
        } else {
            weft_drop(task); /* races with those who have upgraded */
        }
        try_one(&random);
    }
    return 0;
}

static void *upgrade_outside(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    while (!atomic_load(&is_over)) {
        try_one(&random);
    }
    return NULL;
}

static void run_board(int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    uint64_t seed = wt_seed();
    struct timespec budget = {.tv_nsec = BUDGET_NS};
    weft_runtime *runtime;
    weft_task *tasks[4];
    pthread_t threads[2];

    memset(&board, 0, sizeof board);
    atomic_store(&is_over, false);
    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (uintptr_t i = 0; i < 4; i++) {
        cr_assert_eq(weft_runtime_submit(runtime, &tasks[i], spawn_and_post,
                                         (void *)(uintptr_t)(seed + i * 977), NULL),
                     0);
    }
    for (uintptr_t i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, upgrade_outside,
                                    (void *)(uintptr_t)(seed * 31 + i * 7)),
                     0);
    }
    do { /* again where the machine stood still meanwhile */
        nanosleep(&budget, NULL);
    } while (atomic_load(&upgraded) == 0 || atomic_load(&too_late) == 0);
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(weft_thread_join(tasks[i], WEFT_FOREVER, NULL), 0);
        weft_drop(tasks[i]);
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
    fprintf(stderr, "%d workers: %ld spawned, %ld ran, %ld upgraded, %ld too late\n", workers,
            atomic_load(&spawned), atomic_load(&ran), atomic_load(&upgraded),
            atomic_load(&too_late));
    /* each argument went to fn or to drop_arg, whatever raced */
    cr_assert_eq(atomic_load(&ran) + atomic_load(&args_dropped), atomic_load(&spawned));
    cr_assert_leq(atomic_load(&results_dropped), atomic_load(&ran));
    cr_assert(atomic_load(&upgraded) > 0 && atomic_load(&too_late) > 0);
}

Test(handles, upgrading_races_with_dropping_two, .timeout = 20)
{
    run_board(2);
}

Test(handles, upgrading_races_with_dropping_eight, .timeout = 20)
{
    run_board(8);
}

/* ---- snapshots while tasks begin, end, and are refused ---- */

static weft_runtime *runtime_now;

static void look_at_snapshot(uint64_t *random)
{
    weft_weak weak[128];
    int64_t count = weft_tasks(runtime_now, weak, 128);

    wt_check(count >= 0);
    for (int64_t i = 0; i < count && i < 128; i++) {
        weft_task *task = weft_upgrade(weak[i]);

        wt_check(weak[i].id != 0);
        wt_check(i == 0 || weak[i - 1].id < weak[i].id);
        if (task != NULL) {
            wt_check(weft_task_id(task) == weak[i].id);
            if (draw(random) % 8 == 0) {
                wt_check(weft_task_state(task) <= WEFT_CANCELLED);
            }
            weft_drop(task);
        }
    }
}

static void *take_snapshots(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    while (!atomic_load(&is_over)) {
        look_at_snapshot(&random);
    }
    return NULL;
}

static intptr_t be_refused(void *arg)
{
    weft_group group;

    (void)arg;
    wt_check(weft_group_open(&group, 0) == 0);
    wt_check(weft_group_cancel(&group) == 1);
    while (!atomic_load(&is_over)) {
        for (int i = 0; i < 50; i++) {
            wt_check(weft_group_spawn(&group, NULL, give, (void *)7, NULL) == -ESHUTDOWN);
        }
        if (weft_yield() < 0) { /* the group's own request, once */
            continue;
        }
    }
    return weft_group_close(&group, 0);
}

static intptr_t come_and_go(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;
    weft_task *tasks[32];

    while (!atomic_load(&is_over)) {
        size_t count = 1 + draw(&random) % 32;

        for (size_t i = 0; i < count; i++) {
            wt_check(weft_spawn(&tasks[i], give, (void *)7) == 0);
        }
        for (size_t i = 0; i < count; i++) {
            wt_check(weft_await(tasks[i], NULL) == 0);
        }
        look_at_snapshot(&random);
    }
    return 0;
}

static void run_snapshots(int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    uint64_t seed = wt_seed();
    struct timespec budget = {.tv_nsec = BUDGET_NS};
    weft_task *tasks[4];
    pthread_t threads[2];

    cr_assert_eq(weft_runtime_start(&runtime_now, &options), 0);
    for (uintptr_t i = 0; i < 4; i++) {
        cr_assert_eq(weft_runtime_submit(runtime_now, &tasks[i],
                                         i % 2 == 0 ? be_refused : come_and_go,
                                         (void *)(uintptr_t)(seed + i), NULL),
                     0);
    }
    for (uintptr_t i = 0; i < 2; i++) {
        cr_assert_eq(
            pthread_create(&threads[i], NULL, take_snapshots, (void *)(uintptr_t)(seed + 100 + i)),
            0);
    }
    nanosleep(&budget, NULL);
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        intptr_t result = -1;

        cr_assert_eq(weft_thread_join(tasks[i], WEFT_FOREVER, &result), 0);
        cr_assert_eq(result, 0);
        weft_drop(tasks[i]);
    }
    cr_assert_eq(weft_tasks(runtime_now, NULL, 0), 0);
    cr_assert_eq(weft_runtime_stop(runtime_now), 0);
    wt_assert_clean();
}

Test(handles, snapshots_race_with_everything_two_workers, .timeout = 20)
{
    run_snapshots(2);
}

Test(handles, snapshots_race_with_everything_eight_workers, .timeout = 20)
{
    run_snapshots(8);
}

/* ---- one task, many holders: each drops its own, in every order ---- */

static void *drop_later(void *arg)
{
    sched_yield();
    weft_drop(arg);
    return NULL;
}

static intptr_t sleep_long(void *arg)
{
    atomic_fetch_add(&ran, 1);
    (void)arg;
    return weft_sleep(100 * WEFT_S);
}

static atomic_long reported;

static void count_dropped(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    atomic_fetch_add(&reported, what->kind == WEFT_DIAG_DROPPED_WHILE_PENDING);
}

Test(handles, the_last_of_many_cancels_once, .timeout = 20)
{
    const weft_options options = {.workers = 2, .diagnostic = count_dropped};
    int64_t end = wf_monotonic_ns() + BUDGET_NS / 2;
    weft_runtime *runtime;
    long rounds = 0;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (; wf_monotonic_ns() < end; rounds++) {
        pthread_t threads[3];
        weft_task *task;

        cr_assert_eq(weft_runtime_submit(runtime, &task, sleep_long, NULL, NULL), 0);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(pthread_create(&threads[i], NULL, drop_later, weft_retain(task)), 0);
        }
        weft_drop(task);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
        }
    }
    while (weft_tasks(runtime, NULL, 0) > 0) { /* they end by the drop, not by the stop */
        sched_yield();
    }
    cr_assert_eq(atomic_load(&reported), rounds);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    fprintf(stderr, "%ld rounds, %ld began\n", rounds, atomic_load(&ran));
}
