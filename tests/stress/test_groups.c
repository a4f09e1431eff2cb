/* SPDX-License-Identifier: MIT */
/* test_groups.c - groups of a thousand children that fail at once, and spawns that race with it. */
#include <weft/future.h>
#include <weft/group.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

#define BUDGET_NS (INT64_C(600) * WEFT_MS)

static int64_t end_ns;
static atomic_long ended_error, ended_cancelled, ended_value, dropped_args, accepted, refused;

static intptr_t tally(intptr_t rc)
{
    atomic_fetch_add(rc == -ECANCELED    ? &ended_cancelled
                     : weft_is_error(rc) ? &ended_error
                                         : &ended_value,
                     1);
    return rc;
}

static void drop_arg(void *arg)
{
    (void)arg;
    atomic_fetch_add(&dropped_args, 1);
}

static const weft_spawn_options counted = {.drop_arg = drop_arg};

static void reset(void)
{
    atomic_store(&ended_error, 0);
    atomic_store(&ended_cancelled, 0);
    atomic_store(&ended_value, 0);
    atomic_store(&dropped_args, 0);
    atomic_store(&accepted, 0);
    atomic_store(&refused, 0);
}

/* ---- a thousand at once ---- */

enum { CROWD = 1000 };

static intptr_t fail_together(void *arg)
{
    int rc = weft_future_await(arg, NULL);

    return tally(rc < 0 ? rc : -EIO);
}

static intptr_t fail_crowd(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;

    for (int round = 0; wf_monotonic_ns() < end_ns; round++) {
        weft_group group;
        weft_future future = WEFT_FUTURE_INIT;
        static int codes[CROWD + 8];
        intptr_t rc = 0;
        int errors;

        reset();
        wt_check(weft_group_open(&group, 0) == 0);
        for (int i = 0; i < CROWD; i++) {
            wt_check(weft_group_spawn(&group, NULL, fail_together, &future, &counted) == 0);
        }
        if (draw(&random) % 2 == 0) {
            rc = weft_sleep((int64_t)(draw(&random) % (200 * 1000)));
        }
        wt_check(weft_future_set(&future, 0) == 0);
        if (draw(&random) % 2 == 0 && rc == 0) {
            rc = weft_sleep(100 * WEFT_S);
            wt_check(rc == -ECANCELED);
        }
        wt_check(weft_group_close(&group, rc) == -EIO);
        wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);
        errors = weft_group_errors(&group, codes, CROWD + 8);
        wt_check(errors == atomic_load(&ended_error) && errors >= 1);
        for (int i = 0; i < errors && i < CROWD + 8; i++) {
            wt_check(codes[i] == -EIO);
        }
        wt_check(atomic_load(&ended_error) + atomic_load(&ended_cancelled) +
                     atomic_load(&dropped_args) ==
                 CROWD);
        wt_check(weft_tasks(NULL, NULL, 0) == 1);
    }
    return 0;
}

/* ---- spawns that race with the abort: accepted ones are ended, refused ones never run ---- */

struct race {
    weft_group group;
    atomic_bool go;
};

static intptr_t one_child(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;
    int rc = 0;

    for (uint64_t i = draw(&random) % 3; i > 0 && rc == 0; i--) {
        rc = weft_yield();
    }
    if (rc == 0 && draw(&random) % 64 == 0) {
        rc = -EPIPE;
    }
    if (rc == -ECANCELED && draw(&random) % 8 == 0) {
        rc = -ENOTEMPTY; /* a clean-up that fails */
    }
    return tally(rc);
}

static intptr_t spawn_racing(void *arg)
{
    struct race *race = arg;
    uint64_t random = (uint64_t)(uintptr_t)weft_self() | 1;
    int rc = 0;

    for (int i = 0; i < 200 && rc == 0; i++) {
        rc = weft_group_spawn(&race->group, NULL, one_child, (void *)(uintptr_t)draw(&random),
                              &counted);
        atomic_fetch_add(rc == 0 ? &accepted : &refused, 1);
        if (rc == 0 && draw(&random) % 8 == 0 && weft_yield() < 0) {
            break;
        }
    }
    wt_check(rc == 0 || rc == -ESHUTDOWN);
    return 0;
}

static intptr_t race_spawns(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;

    while (wf_monotonic_ns() < end_ns) {
        struct race race;
        weft_timeout limit;
        long sum;
        intptr_t rc;
        int spawners = 0, errors;

        reset();
        memset(&race, 0, sizeof race);
        wt_check(weft_timeout_enter(&limit, (int64_t)(draw(&random) % (2 * WEFT_MS))) == 0);
        wt_check(weft_group_open(&race.group, 0) == 0);
        for (int i = 0; i < 8; i++) {
            spawners += weft_group_spawn(&race.group, NULL, spawn_racing, &race, NULL) == 0;
        }
        if (draw(&random) % 4 == 0) {
            wt_check(weft_group_cancel(&race.group) == 1);
        }
        rc = weft_group_close(&race.group, 0);
        errors = weft_group_errors(&race.group, NULL, 0);
        wt_check(errors == atomic_load(&ended_error));
        wt_check(errors == 0 ? rc == 0 || rc == -ECANCELED : rc == -EPIPE || rc == -ENOTEMPTY);
        rc = weft_timeout_leave(&limit, rc);
        wt_check(errors > 0 || rc == 0 || rc == -ETIMEDOUT);
        sum = atomic_load(&ended_error) + atomic_load(&ended_cancelled) +
              atomic_load(&ended_value) + atomic_load(&dropped_args);
        wt_check(sum == atomic_load(&accepted));
        wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);
        wt_check(weft_tasks(NULL, NULL, 0) == 1);
        wt_check(spawners <= 8);
    }
    return 0;
}

/* ---- several groups at once, each cancelled by children, limits, neighbours and a thread ---- */

enum { OWNERS = 8 };

static struct {
    weft_group group;
    _Atomic int is_open; /* the canceller holds it open by counting itself in */
} arena[OWNERS];

static bool enter_arena(uint64_t at)
{
    int users = atomic_load(&arena[at].is_open);

    while (users > 0) {
        if (atomic_compare_exchange_weak(&arena[at].is_open, &users, users + 1)) {
            return true;
        }
    }
    return false;
}

static void *cancel_groups(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg | 1;

    while (wf_monotonic_ns() < end_ns) {
        uint64_t at = draw(&random) % OWNERS;

        if (enter_arena(at)) {
            int rc = weft_group_cancel(&arena[at].group);

            wt_check(rc == 0 || rc == 1);
            atomic_fetch_sub(&arena[at].is_open, 1);
        }
        for (uint64_t i = draw(&random) % 20000; i > 0; i--) {
            wf_relax();
        }
    }
    return NULL;
}

static intptr_t own_groups(void *arg)
{
    uintptr_t at = (uintptr_t)arg % OWNERS;
    uint64_t random = (uint64_t)(uintptr_t)arg * 2654435761U | 1;

    while (wf_monotonic_ns() < end_ns) {
        weft_group *group = &arena[at].group;
        intptr_t rc = 0;

        wt_check(weft_group_open(group, 0) == 0);
        atomic_store(&arena[at].is_open, 1);
        for (int i = 0; i < 30 && rc == 0; i++) {
            rc = weft_group_spawn(group, NULL, one_child, (void *)(uintptr_t)draw(&random), NULL);
            if (rc == 0 && draw(&random) % 8 == 0) {
                rc = weft_yield();
            }
        }
        rc = weft_group_close(group, rc == -ESHUTDOWN ? 0 : rc);
        wt_check(rc == 0 || rc == -EPIPE || rc == -ENOTEMPTY);
        wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);
        atomic_fetch_sub(&arena[at].is_open, 1);
        while (atomic_load(&arena[at].is_open) != 0) { /* the thread may still be inside */
            wt_check(weft_yield() == 0);
        }
    }
    return 0;
}

static intptr_t run_owners(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    weft_task *tasks[OWNERS];
    pthread_t thread;

    wt_check(pthread_create(&thread, NULL, cancel_groups, arg) == 0);
    for (uint64_t i = 0; i < OWNERS; i++) {
        uint64_t seed = (draw(&random) & ~(uint64_t)(OWNERS - 1)) | i;

        wt_check(weft_spawn(&tasks[i], own_groups, (void *)(uintptr_t)seed) == 0);
    }
    for (int i = 0; i < OWNERS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    wt_check(pthread_join(thread, NULL) == 0);
    return 0;
}

static void run_groups(int workers, weft_fn *fn)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    uint64_t seed = wt_seed() | 1;

    end_ns = wf_monotonic_ns() + BUDGET_NS;
    cr_assert_eq(weft_run(fn, (void *)(uintptr_t)seed, &options), 0);
    wt_assert_clean();
}

Test(groups, a_thousand_fail_at_once_two_workers, .timeout = 20)
{
    run_groups(2, fail_crowd);
}

Test(groups, a_thousand_fail_at_once_eight_workers, .timeout = 20)
{
    run_groups(8, fail_crowd);
}

Test(groups, spawning_races_with_the_abort_two_workers, .timeout = 20)
{
    run_groups(2, race_spawns);
}

Test(groups, spawning_races_with_the_abort_eight_workers, .timeout = 20)
{
    run_groups(8, race_spawns);
}

Test(groups, cancelled_from_everywhere, .timeout = 20)
{
    run_groups(4, run_owners);
}
