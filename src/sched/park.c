// SPDX-License-Identifier: MIT
/* park.c - the parker word.
 *
 *     AWAKE --owner--> ON_FUTEX | IN_POLLER --owner--> AWAKE
 *     any   --waker--> NOTIFIED --owner--> AWAKE
 *
 * The waker always swaps, also over NOTIFIED, so that the sleeper synchronises with the latest of
 * them; the owner goes to sleep by a CAS from AWAKE and consumes by a swap.
 */
#include "sched/park.h"

#include "base/futex.h"

enum { AWAKE = 0, ON_FUTEX, IN_POLLER, NOTIFIED };

static int look(struct wf_worker *worker, int64_t timeout_ns, struct wf_later *later)
{
    int events = wf_poller_wait(worker->runtime->poller, timeout_ns, later);
    wf_bump_own(&worker->counters.polls, 1);
    wf_bump_own(&worker->counters.events, (uint64_t)(events > 0 ? events : 0));
    return events;
}

static void sleep_in_poller(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later)
{
    int64_t timeout_ns = WF_FOREVER;
    if (deadline_ns != WF_FOREVER) {
        timeout_ns = deadline_ns - wf_monotonic_ns();
        timeout_ns = timeout_ns > 0 ? timeout_ns : 0;
    }
    uint32_t expected = AWAKE;
    if (wf_cas_acqrel(&worker->parker, &expected, (uint32_t)IN_POLLER)) {
        (void)look(worker, timeout_ns, later);
    }
    wf_unlock(&worker->runtime->poll_lock);
}

static void sleep_on_futex(struct wf_worker *worker, int64_t deadline_ns)
{
    uint32_t expected = AWAKE;
    if (wf_cas_acqrel(&worker->parker, &expected, (uint32_t)ON_FUTEX)) {
        wf_futex_wait(&worker->parker, ON_FUTEX, deadline_ns);
    }
}

void wf_park(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later)
{
    wf_bump_own(&worker->counters.sleeps, 1);
    if (wf_load_acq(&worker->parker) != NOTIFIED && wf_trylock(&worker->runtime->poll_lock)) {
        sleep_in_poller(worker, deadline_ns, later);
    } else {
        sleep_on_futex(worker, deadline_ns);
    }
    if (wf_swap_acqrel(&worker->parker, (uint32_t)AWAKE) == NOTIFIED) {
        wf_bump_own(&worker->counters.woken, 1);
    }
}

void wf_unpark(struct wf_worker *worker)
{
    switch (wf_swap_acqrel(&worker->parker, (uint32_t)NOTIFIED)) {
    case ON_FUTEX:
        wf_futex_wake(&worker->parker, 1);
        break;
    case IN_POLLER:
        wf_poller_poke(worker->runtime->poller);
        break;
    default:
        break;
    }
}

bool wf_poll_now(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    if (runtime->poller == NULL || !wf_trylock(&runtime->poll_lock)) {
        return false;
    }
    struct wf_later later;
    wf_later_init(&later);
    (void)look(worker, 0, &later);
    wf_unlock(&runtime->poll_lock);
    wf_sched_flush(&later);
    return true;
}
