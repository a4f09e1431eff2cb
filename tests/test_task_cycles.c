/* SPDX-License-Identifier: MIT */
/* test_task_cycles.c - joins that could never end: of oneself, in cycles, through gathers and groups, two workers. */
#include <errno.h>

#include <weft/future.h>
#include <weft/gather.h>

#include "task_test.h"

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
