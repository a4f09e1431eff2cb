/* SPDX-License-Identifier: MIT */
/* test_groups.c - groups of a thousand children that fail at once, and spawns that race with it. */
#include <weft/future.h>
#include <weft/group.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

#define BUDGET_NS (INT64_C(600) * WEFT_MS)

static int64_t end_ns;
static atomic_long ended_error, refusals, drops;

static intptr_t tally(intptr_t rc)
{
    atomic_fetch_add(&ended_error, weft_is_error(rc) && rc != -ECANCELED);
    return rc;
}

/* ---- a thousand at once, each with an error of its own ---- */

enum { CROWD = 1000 };

struct member {
    weft_future *signal;
    intptr_t ended; /* 0: it never ran */
    bool is_dropped;
};

static struct member crowd[CROWD];

static int error_of(const struct member *member)
{
    return -1000 - (int)(member - crowd);
}

static intptr_t fail_together(void *arg)
{
    struct member *member = arg;
    int rc = weft_future_await(member->signal, NULL);

    wt_check(weft_cancelling(weft_self()) <= 1); /* a group asks each child once */
    member->ended = rc < 0 ? rc : error_of(member);
    return member->ended;
}

static void drop_member(void *arg)
{
    ((struct member *)arg)->is_dropped = true;
}

/* Every child that failed stands in the list once, and nobody else does. */
static void check_codes(const weft_group *group, intptr_t rc)
{
    static int codes[CROWD];
    static bool is_listed[CROWD];
    int count = weft_group_errors(group, codes, CROWD);

    memset(is_listed, 0, sizeof is_listed);
    wt_check(count >= 1 && count <= CROWD && codes[0] == rc);
    for (int i = 0; i < count && i < CROWD; i++) {
        int at = -1000 - codes[i];

        if (wt_check(at >= 0 && at < CROWD && !is_listed[at])) {
            is_listed[at] = true;
        }
    }
    for (int i = 0; i < CROWD; i++) {
        const struct member *member = &crowd[i];

        wt_check(is_listed[i] == (member->ended == error_of(member)));
        wt_check(is_listed[i] || member->ended == -ECANCELED || member->ended == 0);
        wt_check(member->is_dropped == (member->ended == 0));
    }
}

static void fail_once(uint64_t *random)
{
    static const weft_spawn_options options = {.drop_arg = drop_member};
    weft_group group;
    weft_future signal = WEFT_FUTURE_INIT;
    intptr_t rc = 0;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct member){.signal = &signal};
        wt_check(weft_group_spawn(&group, NULL, fail_together, &crowd[i], &options) == 0);
    }
    if (draw(random) % 2 == 0) {
        rc = weft_sleep(draw_us(random, 200));
    }
    wt_check(weft_future_set(&signal, 0) == 0);
    if (draw(random) % 2 == 0 && rc == 0) {
        rc = weft_sleep(100 * WEFT_S);
        wt_check(rc == -ECANCELED);
    }
    check_codes(&group, weft_group_close(&group, rc));
}

static intptr_t fail_crowd(void *arg)
{
    uint64_t random = as_seed(arg);
    int baseline = (int)(draw(&random) % 2), rounds = 0;

    if (baseline > 0) {
        wt_check(weft_cancel(weft_self()) == 1 && weft_checkpoint() == -ECANCELED);
    }
    for (; wf_monotonic_ns() < end_ns; rounds++) {
        fail_once(&random);
        wt_check(weft_cancelling(weft_self()) == baseline && weft_checkpoint() == 0);
        wt_check(weft_tasks(NULL, NULL, 0) == 1);
    }
    fprintf(stderr, "%d rounds\n", rounds);
    return 0;
}

/* ---- spawns that race with the abort (X18): accepted ones are ended, refused ones never run ---- */

enum { SPAWNERS = 8, EACH = 200 };

struct parcel {
    uint64_t seed;
    atomic_int ran, dropped, refused, accepted;
};

struct race {
    weft_group group;
    atomic_int next;
    struct parcel parcels[SPAWNERS * EACH];
};

static intptr_t carry(void *arg)
{
    struct parcel *parcel = arg;
    uint64_t random = parcel->seed | 1;
    int rc = 0;

    atomic_fetch_add(&parcel->ran, 1);
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

static void drop_parcel(void *arg)
{
    atomic_fetch_add(&((struct parcel *)arg)->dropped, 1);
}

static intptr_t spawn_racing(void *arg)
{
    static const weft_spawn_options options = {.drop_arg = drop_parcel};
    struct race *race = arg;
    uint64_t random = (uint64_t)(uintptr_t)weft_self() | 1;
    int rc = 0;

    for (int i = 0; i < EACH && rc == 0; i++) {
        struct parcel *parcel = &race->parcels[atomic_fetch_add(&race->next, 1)];

        parcel->seed = draw(&random);
        rc = weft_group_spawn(&race->group, NULL, carry, parcel, &options);
        atomic_fetch_add(rc == 0 ? &parcel->accepted : &parcel->refused, 1);
        if (rc == 0 && draw(&random) % 8 == 0 && weft_yield() < 0) {
            break;
        }
    }
    wt_check(rc == 0 || rc == -ESHUTDOWN);
    return 0;
}

/* Of each argument: it ran, or it was dropped, or it came back. */
static void check_parcels(struct race *race)
{
    for (int i = 0; i < SPAWNERS * EACH; i++) {
        struct parcel *parcel = &race->parcels[i];
        int ran = atomic_load(&parcel->ran), dropped = atomic_load(&parcel->dropped);
        int got = atomic_load(&parcel->accepted), refused = atomic_load(&parcel->refused);

        wt_check(got + refused == (i < atomic_load(&race->next) ? 1 : 0));
        wt_check(ran + dropped == got && ran >= 0 && dropped >= 0);
        atomic_fetch_add(&refusals, refused);
        atomic_fetch_add(&drops, dropped);
    }
}

static void race_once(struct race *race, uint64_t *random)
{
    weft_timeout limit;
    intptr_t rc;
    int errors;

    atomic_store(&ended_error, 0);
    memset(race, 0, sizeof *race);
    wt_check(weft_timeout_enter(&limit, draw_us(random, 2000)) == 0);
    wt_check(weft_group_open(&race->group, 0) == 0);
    for (int i = 0; i < SPAWNERS; i++) {
        rc = weft_group_spawn(&race->group, NULL, spawn_racing, race, NULL);
        wt_check(rc == 0 || rc == -ESHUTDOWN);
    }
    if (draw(random) % 4 == 0) {
        wt_check(weft_group_cancel(&race->group) == 1);
    }
    rc = weft_group_close(&race->group, 0);
    errors = weft_group_errors(&race->group, NULL, 0);
    wt_check(errors == atomic_load(&ended_error));
    wt_check(errors == 0 ? rc == 0 || rc == -ECANCELED : rc == -EPIPE || rc == -ENOTEMPTY);
    rc = weft_timeout_leave(&limit, rc);
    wt_check(errors > 0 || rc == 0 || rc == -ETIMEDOUT);
    check_parcels(race);
    wt_check(weft_cancelling(weft_self()) == 0 && weft_checkpoint() == 0);
    wt_check(weft_tasks(NULL, NULL, 0) == 1);
}

static intptr_t race_spawns(void *arg)
{
    static struct race race;
    uint64_t random = as_seed(arg);

    /* Until both have happened; the time limit is the patience. */
    while (wf_monotonic_ns() < end_ns || atomic_load(&refusals) == 0 || atomic_load(&drops) == 0) {
        race_once(&race, &random);
    }
    fprintf(stderr, "%ld refused, %ld dropped\n", atomic_load(&refusals), atomic_load(&drops));
    wt_check(atomic_load(&refusals) > 0 && atomic_load(&drops) > 0);
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
        struct parcel parcels[30];
        intptr_t rc = 0;

        wt_check(weft_group_open(group, 0) == 0);
        atomic_store(&arena[at].is_open, 1);
        for (int i = 0; i < 30 && rc == 0; i++) {
            parcels[i] = (struct parcel){.seed = draw(&random)};
            rc = weft_group_spawn(group, NULL, carry, &parcels[i], NULL);
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

Test(groups, cancelled_from_everywhere_two_workers, .timeout = 20)
{
    run_groups(2, run_owners);
}

Test(groups, cancelled_from_everywhere_eight_workers, .timeout = 20)
{
    run_groups(8, run_owners);
}
