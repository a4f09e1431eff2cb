// SPDX-License-Identifier: MIT
/* test_meetings.c - two threads at the same few instructions, again and again.
 *
 *   gather     a task ends just as another one begins to wait for it: the wait ends
 *   withdraw   a request comes just as a timeout takes its own one back: it is not lost
 *   spawn      a group aborts just as a child is put into it: the child is refused or cancelled */
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

enum { BUDGET_MS = 1500 };

/* ---- gather ---- */

struct ending {
    atomic_int is_running;
    atomic_int may_end;
    uint64_t random;
};

static intptr_t end_when_told(void *arg)
{
    struct ending *ending = arg;

    atomic_store(&ending->is_running, 1);
    while (atomic_load(&ending->may_end) == 0) {
    }
    dither(&ending->random);
    return 0;
}

static intptr_t gather_ending(void *arg)
{
    uint64_t random = as_seed(arg);

    int64_t end_ns = weft_now() + BUDGET_MS * WEFT_MS;

    for (int i = 0; weft_now() < end_ns; i++) {
        struct ending ending = {.random = draw(&random) | 1U};
        weft_task *task;

        if (!wt_check(weft_spawn(&task, end_when_told, &ending) == 0)) {
            break;
        }
        while (atomic_load(&ending.is_running) == 0 && i % 64 != 0) {
            (void)!weft_yield(); /* until another worker has it */
        }
        atomic_store(&ending.may_end, 1);
        dither(&random);
        wt_check(weft_gather(&task, 1, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
        weft_drop(task);
    }
    return 0;
}

STRESS_TEST(stress_meetings, gather_and_end, gather_ending);

/* ---- withdraw ---- */

struct victim {
    atomic_bool has_begun; /* or else the first request would be its end */
    atomic_bool is_over;
    atomic_long taken;
    atomic_long timed_out;
    weft_task *task;
};

/* What is left of each round belongs to the canceller: none of it is a timeout's. */
static intptr_t time_out_again(void *arg)
{
    struct victim *victim = arg;

    atomic_store(&victim->has_begun, true);
    while (!atomic_load(&victim->is_over)) {
        weft_timeout limit;
        intptr_t rc;

        wt_check(weft_timeout_enter(&limit, 0) == 0);
        rc = weft_yield(); /* the timeout fires here at the latest */
        rc = weft_timeout_leave(&limit, rc);
        wt_check(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
        atomic_fetch_add(&victim->timed_out, rc == -ETIMEDOUT);
        for (int left = weft_cancelling(weft_self()); left > 0; left--) {
            wt_check(weft_uncancel(weft_self()) >= 0);
            atomic_fetch_add(&victim->taken, 1);
        }
    }
    return 0;
}

static intptr_t cancel_again(void *arg)
{
    struct victim victim = {0};
    uint64_t random = as_seed(arg);
    int64_t end_ns = weft_now() + BUDGET_MS * WEFT_MS;
    long sent = 0;

    wt_check(weft_spawn(&victim.task, time_out_again, &victim) == 0);
    while (!atomic_load(&victim.has_begun)) {
        (void)!weft_yield();
    }
    /* On a busy machine it may take longer until enough has happened. */
    while (weft_now() < end_ns || ((sent <= 100 || atomic_load(&victim.timed_out) <= 100) &&
                                   weft_now() < end_ns + 10 * WEFT_S)) {
        /* One at a time: a round that begins with a request ends before its timeout has made one. */
        if (atomic_load(&victim.taken) == sent) {
            sent += weft_cancel(victim.task) == 1;
        }
        dither(&random);
    }
    atomic_store(&victim.is_over, true);
    wt_check(weft_join(victim.task, NULL) == 0);
    wt_check(atomic_load(&victim.taken) + weft_cancelling(victim.task) == sent);
    wt_check(sent > 100 && atomic_load(&victim.timed_out) > 100);
    weft_drop(victim.task);
    return 0;
}

STRESS_TEST(stress_meetings, withdraw_and_cancel, cancel_again);

/* ---- spawn ---- */

struct nursery {
    weft_group group;
    atomic_int has_begun;
};

static intptr_t stay(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

/* Until it is refused. */
static intptr_t fill_up(void *arg)
{
    struct nursery *nursery = arg;
    int rc = 0;

    atomic_store(&nursery->has_begun, 1);
    while (rc == 0) {
        rc = weft_group_spawn(&nursery->group, NULL, stay, NULL, NULL);
    }
    wt_check(rc == -ESHUTDOWN);
    return 0;
}

static intptr_t abort_again(void *arg)
{
    uint64_t random = as_seed(arg);
    int64_t end_ns = weft_now() + BUDGET_MS * WEFT_MS;

    while (weft_now() < end_ns) {
        struct nursery nursery = {.has_begun = 0};
        weft_task *filler;

        wt_check(weft_group_open(&nursery.group, 0) == 0);
        if (!wt_check(weft_spawn(&filler, fill_up, &nursery) == 0)) {
            break;
        }
        while (atomic_load(&nursery.has_begun) == 0) {
            (void)!weft_yield();
        }
        dither(&random);
        wt_check(weft_group_cancel(&nursery.group) == 1);
        wt_check(weft_group_close(&nursery.group, 0) == 0); /* all children have gone */
        wt_check(weft_await(filler, NULL) == 0);
    }
    return 0;
}

STRESS_TEST(stress_meetings, spawn_and_abort, abort_again);
