/* SPDX-License-Identifier: MIT */
/* test_cancel_storm.c - requests from everywhere at tasks that do everything.
 *
 * Each victim is a task that sleeps, yields, joins, gathers, opens groups, limits and sections at
 * random, in trees. Fibers and plain threads cancel it and take requests back all the while. When it
 * has ended:
 *   count    is exactly what was accepted and not taken back
 *   INV-1    a request that was accepted has been delivered, to the victim or to a task that it joined,
 *            unless it was taken back or the victim ended cancelled. Checked in order: each call of
 *            cancel draws a number before it begins; a victim that is told notes the highest number
 *            drawn so far. If it ends with a value, no accepted call may have a higher number. */
#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/shield.h>
#include <weft/stats.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

#define BUDGET_NS (INT64_C(1300) * WEFT_MS)

enum { SLOTS = 24, CANCEL_FIBERS = 4, CANCEL_THREADS = 2 };

struct victim {
    uint64_t seed;
    bool may_withdraw;        /* others may take their requests back */
    _Atomic uint64_t drawn;   /* calls of cancel that have begun */
    _Atomic uint64_t highest; /* number of the latest accepted one */
    _Atomic uint64_t told_at; /* numbers drawn when it was last told */
    atomic_int accepted, withdrawn;
    atomic_int users;
};

static struct {
    _Atomic uint32_t lock;
    weft_task *task;
    struct victim *victim;
} slots[SLOTS];

static int64_t end_ns;
static atomic_int owners_left;
static atomic_long victims_ended, ended_ok, ended_cancelled, ended_error, told_count,
    accepted_count;
static atomic_long withdrawn_count;

static void lock_slot(int at)
{
    while (atomic_exchange(&slots[at].lock, 1) != 0) {
        sched_yield();
    }
}

static void unlock_slot(int at)
{
    atomic_store(&slots[at].lock, 0);
}

/* ---- what victims do ---- */

struct job {
    struct victim *victim; /* the root whose requests reach this task */
    uint64_t seed;
    int depth;
};

/* Passes rc on; a task that is told says up to where. */
static intptr_t heard(struct victim *victim, intptr_t rc)
{
    if (rc == -ECANCELED) {
        raise_to(&victim->told_at, atomic_load(&victim->drawn));
        atomic_fetch_add_explicit(&told_count, 1, memory_order_relaxed);
    }
    return rc;
}

static intptr_t be_child(void *arg);

static int spawn_children(struct job *jobs, weft_task **tasks, int count, const struct job *parent,
                          uint64_t *random)
{
    for (int i = 0; i < count; i++) {
        jobs[i] = (struct job){parent->victim, draw(random), parent->depth - 1};
        if (!wt_check(weft_spawn(&tasks[i], be_child, &jobs[i]) == 0)) {
            return i;
        }
    }
    return count;
}

static intptr_t do_join(const struct job *job, uint64_t *random)
{
    struct job child;
    weft_task *task;
    intptr_t result = 0;
    int rc;

    if (spawn_children(&child, &task, 1, job, random) == 0) {
        return 0;
    }
    rc = weft_await(task, &result); /* the child borrows this frame */
    wt_check(rc == 0 || rc == -ECANCELED);
    if (rc == 0 && result == -EIO) {
        heard(job->victim, -ECANCELED); /* an error drops what was handed on, told or not */
    }
    return rc;
}

static intptr_t do_gather(const struct job *job, uint64_t *random)
{
    struct job children[3];
    weft_task *tasks[3];
    int count = spawn_children(children, tasks, 3, job, random);
    intptr_t rc = weft_gather(tasks, (size_t)count, NULL, WEFT_GATHER_COLLECT, NULL);

    for (int i = 0; i < count; i++) {
        wt_check(weft_task_state(tasks[i]) != WEFT_PENDING);
    }
    weft_drop_all(tasks, (size_t)count);
    return rc;
}

static intptr_t do_group(const struct job *job, uint64_t *random)
{
    struct job children[3];
    weft_group group;
    intptr_t rc = 0;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < 3 && rc == 0; i++) {
        children[i] = (struct job){job->victim, draw(random), job->depth - 1};
        rc = weft_group_spawn(&group, NULL, be_child, &children[i], NULL);
    }
    if (rc == 0 && draw(random) % 4 == 0) {
        wt_check(weft_group_cancel(&group) == 1);
    }
    rc = weft_group_close(&group, rc == -ESHUTDOWN ? 0 : rc);
    wt_check(rc == 0 || rc == -ECANCELED || rc == -EIO);
    return rc;
}

static intptr_t do_simple(uint64_t *random)
{
    weft_future future = WEFT_FUTURE_INIT;

    switch (draw(random) % 6) {
    case 0:
    case 1:
        return weft_yield();
    case 2:
        return weft_sleep((int64_t)(draw(random) % (60 * 1000)));
    case 3:
        return weft_checkpoint();
    case 4:
        return weft_within((int64_t)(draw(random) % (60 * 1000)), weft_future_await(&future, NULL));
    default:
        for (uint64_t i = draw(random) % 500; i > 0; i--) {
            wf_relax();
        }
        return 0;
    }
}

static intptr_t do_section(uint64_t *random)
{
    weft_shield section;
    intptr_t rc;

    wt_check(weft_shield_enter(&section, 40 * WEFT_US) == 0);
    rc = do_simple(random);
    rc = weft_shield_leave(&section, rc);
    wt_check(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
    return rc;
}

static intptr_t do_something(const struct job *job, uint64_t *random)
{
    uint64_t what = draw(random) % 16;

    if (job->depth > 0 && what < 2) {
        return do_join(job, random);
    }
    if (job->depth > 0 && what == 2) {
        return do_gather(job, random);
    }
    if (job->depth > 0 && what == 3) {
        return do_group(job, random);
    }
    return what < 6 ? do_section(random) : do_simple(random);
}

static intptr_t live(const struct job *job, int steps)
{
    uint64_t random = job->seed | 1;

    for (int i = 0; i < steps; i++) {
        intptr_t rc = heard(job->victim, do_something(job, &random));

        if (rc == -ECANCELED && draw(&random) % 4 == 0) {
            return rc; /* else swallowed: live on */
        }
    }
    return 1;
}

static intptr_t be_child(void *arg)
{
    struct job *job = arg;
    uint64_t random = job->seed * 3 | 1;
    intptr_t rc = live(job, 4);

    return rc == 1 && draw(&random) % 32 == 0 ? -EIO : rc;
}

static intptr_t be_victim(void *arg)
{
    struct victim *victim = arg;
    struct job job = {victim, victim->seed, 2};

    return live(&job, 30);
}

/* ---- those who cancel ---- */

static void attack(uint64_t *random)
{
    int at = (int)(draw(random) % SLOTS);
    struct victim *victim;
    weft_task *task;
    int mine = 0;

    lock_slot(at);
    victim = slots[at].victim;
    task = victim != NULL ? weft_retain(slots[at].task) : NULL;
    if (victim != NULL) {
        atomic_fetch_add(&victim->users, 1);
    }
    unlock_slot(at);
    if (victim == NULL) {
        return;
    }
    for (uint64_t i = 1 + draw(random) % 3; i > 0; i--) {
        uint64_t number = atomic_fetch_add(&victim->drawn, 1) + 1;
        int rc = weft_cancel(task);

        wt_check(rc == 0 || rc == 1);
        if (rc == 1) {
            mine++;
            atomic_fetch_add(&victim->accepted, 1);
            raise_to(&victim->highest, number);
        }
    }
    while (victim->may_withdraw && mine > 0 && draw(random) % 2 == 0) {
        wt_check(weft_uncancel(task) >= 0);
        atomic_fetch_add(&victim->withdrawn, 1);
        mine--;
    }
    weft_drop(task);
    atomic_fetch_sub(&victim->users, 1);
}

static intptr_t attack_from_fiber(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    while (atomic_load(&owners_left) > 0) {
        attack(&random);
        wt_check(weft_sleep((int64_t)(draw(&random) % (40 * 1000))) == 0);
    }
    return 0;
}

static void *attack_from_thread(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    while (atomic_load(&owners_left) > 0) {
        attack(&random);
        for (uint64_t i = draw(&random) % 4000; i > 0; i--) {
            wf_relax();
        }
        sched_yield();
    }
    return NULL;
}

/* ---- one owner a slot: makes victims, one after the other, and judges them ---- */

static void judge(struct victim *victim, weft_task *task)
{
    int count = atomic_load(&victim->accepted) - atomic_load(&victim->withdrawn);
    weft_state state = weft_task_state(task);

    wt_check(weft_cancelling(task) == count);
    wt_check(weft_cancel(task) == 0 && weft_cancelling(task) == count);
    if (state == WEFT_OK && !victim->may_withdraw) {
        wt_check(atomic_load(&victim->highest) <= atomic_load(&victim->told_at));
    }
    if (state == WEFT_CANCELLED) {
        wt_check(atomic_load(&victim->accepted) > 0);
    }
    atomic_fetch_add(state == WEFT_OK          ? &ended_ok
                     : state == WEFT_CANCELLED ? &ended_cancelled
                                               : &ended_error,
                     1);
    atomic_fetch_add(&accepted_count, atomic_load(&victim->accepted));
    atomic_fetch_add(&withdrawn_count, atomic_load(&victim->withdrawn));
    atomic_fetch_add(&victims_ended, 1);
}

struct owner {
    int slot;
    uint64_t seed;
};

static intptr_t own_slot(void *arg)
{
    const struct owner *owner = arg;
    uint64_t random = owner->seed | 1;

    while (wf_monotonic_ns() < end_ns) {
        struct victim victim = {.seed = draw(&random), .may_withdraw = draw(&random) % 3 == 0};
        weft_task *task;

        if (!wt_check(weft_spawn(&task, be_victim, &victim) == 0)) {
            break;
        }
        if (draw(&random) % 8 != 0) { /* most of them may begin first */
            wt_check(weft_yield() == 0);
        }
        lock_slot(owner->slot);
        slots[owner->slot].task = task;
        slots[owner->slot].victim = &victim;
        unlock_slot(owner->slot);
        wt_check(weft_join_shielded(task, NULL) == 0);
        lock_slot(owner->slot);
        slots[owner->slot].victim = NULL;
        unlock_slot(owner->slot);
        while (atomic_load(&victim.users) > 0) {
            wt_check(weft_yield() == 0);
        }
        judge(&victim, task);
        weft_drop(task);
    }
    atomic_fetch_sub(&owners_left, 1);
    return 0;
}

static intptr_t storm(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    struct owner owners[SLOTS];
    weft_task *tasks[SLOTS + CANCEL_FIBERS];
    weft_stats_t stats = {.size = sizeof stats};

    for (int i = 0; i < SLOTS; i++) {
        owners[i] = (struct owner){i, draw(&random)};
        wt_check(weft_spawn(&tasks[i], own_slot, &owners[i]) == 0);
    }
    for (int i = 0; i < CANCEL_FIBERS; i++) {
        wt_check(weft_spawn(&tasks[SLOTS + i], attack_from_fiber,
                            (void *)(uintptr_t)draw(&random)) == 0);
    }
    for (int i = 0; i < SLOTS + CANCEL_FIBERS; i++) {
        intptr_t result = -1;

        wt_check(weft_await(tasks[i], &result) == 0 && result == 0);
    }
    wt_check(weft_stats(NULL, &stats) == 0);
    wt_check(stats.cancel_requests >= (uint64_t)atomic_load(&accepted_count));
    wt_check(weft_tasks(NULL, NULL, 0) == 1);
    return 0;
}

static void run_storm(int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    uint64_t seed = wt_seed() | 1;
    pthread_t threads[CANCEL_THREADS];

    end_ns = wf_monotonic_ns() + BUDGET_NS;
    atomic_store(&owners_left, SLOTS);
    for (uintptr_t i = 0; i < CANCEL_THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, attack_from_thread,
                                    (void *)(uintptr_t)(seed + i * 7919)),
                     0);
    }
    cr_assert_eq(weft_run(storm, (void *)(uintptr_t)seed, &options), 0);
    for (int i = 0; i < CANCEL_THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    fprintf(stderr,
            "%d workers: %ld victims (%ld values, %ld cancelled, %ld errors), %ld requests, "
            "%ld taken back, told %ld times\n",
            workers, atomic_load(&victims_ended), atomic_load(&ended_ok),
            atomic_load(&ended_cancelled), atomic_load(&ended_error), atomic_load(&accepted_count),
            atomic_load(&withdrawn_count), atomic_load(&told_count));
    wt_assert_clean();
    cr_assert(atomic_load(&ended_ok) > 0 && atomic_load(&ended_cancelled) > 0);
    cr_assert_eq(atomic_load(&ended_error), 0);
}

Test(cancel_storm, one_worker, .timeout = 20)
{
    run_storm(1);
}

Test(cancel_storm, two_workers, .timeout = 20)
{
    run_storm(2);
}

Test(cancel_storm, eight_workers, .timeout = 20)
{
    run_storm(8);
}
