// SPDX-License-Identifier: MIT
/* park.c - the parker word.
 *
 *     AWAKE --owner--> ON_FUTEX | IN_POLLER --owner--> AWAKE
 *     any   --waker--> NOTIFIED --owner--> AWAKE
 *
 * The waker always swaps, also over NOTIFIED, so that the sleeper synchronises with the latest of
 * them; the owner goes to sleep by a CAS from AWAKE and consumes by a swap.
 *
 * A worker that is woken again and again as soon as it sleeps stays awake for a moment first: falling
 * asleep and being woken cost several microseconds on both sides, a waker of one that lingers pays for a
 * swap. WF_LINGER_NS at most, half as long after each time that it was for nothing; where it is worth
 * nothing, one sleep in LINGER_TRIES tries again.
 */
#include "sched/park.h"

#include "base/futex.h"

enum { AWAKE = 0, ON_FUTEX, IN_POLLER, NOTIFIED };

enum { LINGER_MIN_NS = 2000, LINGER_TRIES = 16 };

/* Waits awake for up to `budget_ns`. True: it was notified. */
static bool wait_awake(struct wf_worker *worker, int64_t budget_ns)
{
    int64_t end_ns = wf_monotonic_ns() + budget_ns;
    do {
        for (int i = 0; i < 16; i++) {
            if (wf_load_acq(&worker->parker) == NOTIFIED) {
                return true;
            }
            wf_relax();
        }
    } while (wf_monotonic_ns() < end_ns);
    return false;
}

/* Other workers only: a lone one is woken by events and other threads, which are not that close. */
static void linger(struct wf_worker *worker, int64_t deadline_ns)
{
    if (worker->runtime->worker_count == 1 ||
        (worker->linger_ns == 0 && ++worker->naps % LINGER_TRIES != 0)) {
        return;
    }
    int64_t budget_ns = worker->linger_ns != 0 ? worker->linger_ns : WF_LINGER_NS;
    if (deadline_ns != WF_FOREVER && deadline_ns - wf_monotonic_ns() <= budget_ns) {
        return;
    }
    if (wait_awake(worker, budget_ns)) {
        worker->linger_ns = WF_LINGER_NS;
    } else {
        uint32_t less = worker->linger_ns / 2;
        worker->linger_ns = less >= LINGER_MIN_NS ? less : 0;
    }
}

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
    linger(worker, deadline_ns);
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
