/* SPDX-License-Identifier: MIT */
/* test_handing_on.c - a request that meets the end of what its task waits for.
 *
 * A join, a gather and a closing group hand a request on to the tasks that they wait for. Those may be ending
 * at that very moment, and then refuse it. Each round makes one request, from a plain thread, and looks where
 * it was told: in a child, by the wait, or at the next await point. Somewhere, and to the task itself at most
 * once. */
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/shield.h>
#include <weft/time.h>

#include "stress.h"

enum { CHILDREN = 3, REPEATS = 600 };

/* The canceller is told the number of the round, says that it begins, and answers when it has made the request. */
struct duel {
    weft_task *waiter;
    uint64_t seed;
    atomic_int asked, begun, answered;
};

struct round {
    struct duel *duel;
    int number;
    uint64_t seed;
    atomic_int told_children; /* by their awaits */
};

static atomic_long by_child, by_wait, afterwards;

/* Lives until the request is being made, and ends a moment later; in one round of four it just ends. */
static intptr_t end_soon(void *arg)
{
    struct round *round = arg;
    uint64_t random = round->seed ^ (uint64_t)(uintptr_t)weft_self();
    bool is_blind = round->seed % 16 < 4;
    int rc = 0;

    while (rc == 0 && !is_blind && atomic_load(&round->duel->begun) != round->number) {
        sched_yield();
        rc = weft_yield();
    }
    dither(&random);
    if (rc == 0 && draw(&random) % 2 == 0) {
        rc = weft_yield();
    }
    atomic_fetch_add(&round->told_children, rc == -ECANCELED);
    return rc < 0 && draw(&random) % 2 == 0 ? rc : 1; /* or swallowed */
}

static intptr_t wait_joining(struct round *round)
{
    weft_task *task;
    intptr_t result = 0;
    int rc;

    wt_check(weft_spawn(&task, end_soon, round) == 0);
    rc = round->seed % 2 == 0 ? weft_join(task, &result) : weft_wait_for(task, WEFT_S, &result);
    wt_check(rc == 0 || (rc == -ECANCELED && weft_task_state(task) == WEFT_CANCELLED));
    wt_check(weft_task_state(task) != WEFT_PENDING);
    weft_drop(task);
    return rc;
}

static intptr_t wait_gathering(struct round *round)
{
    weft_task *tasks[CHILDREN];
    intptr_t rc;

    for (int i = 0; i < CHILDREN; i++) {
        wt_check(weft_spawn(&tasks[i], end_soon, round) == 0);
    }
    rc = weft_gather(tasks, CHILDREN, NULL, WEFT_GATHER_COLLECT, NULL);
    for (int i = 0; i < CHILDREN; i++) {
        wt_check(weft_task_state(tasks[i]) != WEFT_PENDING);
    }
    weft_drop_all(tasks, CHILDREN);
    return rc;
}

/* One task many times over: between its end and the end of the wait lies a walk along all its waiters, in which
 * a request finds nobody to be handed to. */
static intptr_t wait_repeating(struct round *round)
{
    weft_task *tasks[REPEATS];
    intptr_t rc;

    wt_check(weft_spawn(&tasks[0], end_soon, round) == 0);
    for (int i = 1; i < REPEATS; i++) {
        tasks[i] = tasks[0];
    }
    rc = weft_gather(tasks, REPEATS, NULL, WEFT_GATHER_COLLECT, NULL);
    wt_check(weft_task_state(tasks[0]) != WEFT_PENDING);
    weft_drop(tasks[0]);
    return rc;
}

/* Waits for one task many times over, so that whoever joins it after that is granted last. */
static intptr_t gather_repeats(void *arg)
{
    weft_task *tasks[REPEATS];

    for (int i = 0; i < REPEATS; i++) {
        tasks[i] = arg;
    }
    return weft_gather(tasks, REPEATS, NULL, WEFT_GATHER_COLLECT, NULL);
}

/* The same walk before the end of a join. */
static intptr_t wait_joining_last(struct round *round)
{
    weft_task *task, *others;
    weft_shield section;
    intptr_t rc;

    wt_check(weft_spawn(&task, end_soon, round) == 0);
    wt_check(weft_spawn(&others, gather_repeats, task) == 0);
    rc = weft_yield(); /* they are mostly linked by then */
    rc = rc == 0 ? weft_join(task, NULL) : rc;
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) ==
             0); /* what comes now is told afterwards */
    wt_check(weft_join(task, NULL) == 0 && weft_join(others, NULL) == 0);
    wt_check(weft_shield_leave(&section, 0) == 0);
    weft_drop(others);
    weft_drop(task);
    return rc;
}

static intptr_t wait_closing(struct round *round)
{
    weft_group group;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        wt_check(weft_group_spawn(&group, NULL, end_soon, round, NULL) == 0);
    }
    return weft_group_close(&group, 0);
}

static void play(struct duel *duel, int number, uint64_t *random)
{
    struct round round = {duel, number, draw(random), 0};
    int own = 0, told;
    intptr_t rc;

    atomic_store(&duel->asked, number);
    dither(random);
    switch (round.seed / 16 % 5) {
    case 0:
        rc = wait_joining(&round);
        break;
    case 1:
        rc = wait_gathering(&round);
        break;
    case 2:
        rc = wait_repeating(&round);
        break;
    case 3:
        rc = wait_joining_last(&round);
        break;
    default:
        rc = wait_closing(&round);
        break;
    }
    wt_check(rc == 0 || rc == -ECANCELED);
    while (atomic_load(&duel->answered) != number) {
        sched_yield();
    }
    told = atomic_load(&round.told_children);
    own = rc == -ECANCELED;
    atomic_fetch_add(told > 0 ? &by_child : own > 0 ? &by_wait : &afterwards, 1);
    own += weft_checkpoint() == -ECANCELED;
    wt_check(own <= 1 && own + told >= 1);
    wt_check(weft_uncancel(weft_self()) == 0 && weft_checkpoint() == 0);
}

static intptr_t wait_often(void *arg)
{
    struct duel *duel = arg;
    uint64_t random = duel->seed;
    int64_t end_ns = wf_monotonic_ns() + WEFT_S;

    for (int number = 1; wf_monotonic_ns() < end_ns; number++) {
        play(duel, number, &random);
    }
    atomic_store(&duel->asked, -1);
    return 0;
}

static void *cancel_often(void *arg)
{
    struct duel *duel = arg;
    uint64_t random = duel->seed * 3;

    for (int number = 1, asked; (asked = atomic_load(&duel->asked)) >= 0;) {
        if (asked != number) {
            sched_yield();
            continue;
        }
        dither(&random);
        atomic_store(&duel->begun, number);
        dither(&random);
        wt_check(weft_cancel(duel->waiter) == 1);
        atomic_store(&duel->answered, number++);
    }
    return NULL;
}

static void run_duel(int workers)
{
    struct duel duel = {.seed = wt_seed() | 1};

    run_beside(workers, wait_often, &duel.waiter, cancel_often, &duel);
    wt_assert_clean();
    fprintf(stderr, "told: %ld in children, %ld by the wait, %ld afterwards\n",
            atomic_load(&by_child), atomic_load(&by_wait), atomic_load(&afterwards));
    cr_assert(atomic_load(&by_child) + atomic_load(&by_wait) > 0 && atomic_load(&afterwards) > 0);
}

Test(handing_on, tells_a_request_somewhere_two_workers, .timeout = 30)
{
    run_duel(2);
}

Test(handing_on, tells_a_request_somewhere_eight_workers, .timeout = 30)
{
    run_duel(8);
}
