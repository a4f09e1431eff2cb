/* SPDX-License-Identifier: MIT */
/* test_claims.c - a request to a task that claims one child after the other to run it inside.
 *
 * A worker that is biased looks for requests, says which child it is about to run, and claims it, without a fence. Each
 * child that begins once a request is on its way waits for it: a request that misses the child would leave it there.
 * The pauses are long enough for the bias to come back: it is what each round takes away. */
#include <weft/time.h>

#include "stress.h"

struct chase {
    weft_task *parent;
    uint64_t seed;
    atomic_bool has_begun; /* the first request would else be its end */
    atomic_bool is_asked;  /* a request is about to be made; until it was told */
    atomic_bool is_over;
    atomic_long told;
};

static intptr_t wait_if_asked(void *arg)
{
    struct chase *chase = arg;

    if (!atomic_load_explicit(&chase->is_asked, memory_order_acquire)) {
        return 0;
    }
    int rc = weft_sleep(10 * WEFT_S);
    wt_check(rc == -ECANCELED); /* else it was lost */
    return rc;
}

static intptr_t claim_often(void *arg)
{
    struct chase *chase = arg;
    weft_task *child;
    intptr_t result;

    atomic_store(&chase->has_begun, true);
    while (!atomic_load(&chase->is_over)) {
        if (!wt_check(weft_spawn(&child, wait_if_asked, chase) == 0)) {
            return 0;
        }
        int rc = weft_await(child, &result);
        if (rc == -ECANCELED || weft_checkpoint() == -ECANCELED) {
            wt_check(weft_uncancel(weft_self()) == 0);
            atomic_fetch_add(&chase->told, 1);
            atomic_store(&chase->is_asked, false);
        }
    }
    return 0;
}

/* A request each time that the last one was told, after a pause. */
static void *ask_often(void *arg)
{
    struct chase *chase = arg;
    uint64_t random = chase->seed;

    while (!atomic_load(&chase->has_begun)) {
        sched_yield();
    }
    int64_t end_ns = wf_monotonic_ns() + 3 * WEFT_S;
    while (wf_monotonic_ns() < end_ns) {
        int64_t at_ns = wf_monotonic_ns() + 150 * WEFT_US + draw_us(&random, 100);
        while (wf_monotonic_ns() < at_ns) {
            wf_relax();
        }
        dither(&random);
        atomic_store(&chase->is_asked, true);
        wt_check(weft_cancel(chase->parent) == 1);
        while (atomic_load(&chase->is_asked)) {
            sched_yield();
        }
    }
    atomic_store(&chase->is_over, true);
    return NULL;
}

static void run_chase(int workers)
{
    struct chase chase = {.seed = wt_seed() | 1};

    run_beside(workers, claim_often, &chase.parent, ask_often, &chase);
    wt_assert_clean();
    cr_assert_gt(atomic_load(&chase.told), 0);
}

Test(claims, lose_no_request_one_worker, .timeout = 30)
{
    run_chase(1);
}

Test(claims, lose_no_request_two_workers, .timeout = 30)
{
    run_chase(2);
}
