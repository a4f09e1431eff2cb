// SPDX-License-Identifier: MIT
/* park.c - the parker word.
 *
 *     AWAKE --owner--> ON_FUTEX | IN_POLLER | IN_RING --owner--> AWAKE
 *     any   --waker--> NOTIFIED --owner--> AWAKE
 *
 * The waker always swaps, also over NOTIFIED, so that the sleeper synchronises with the latest of
 * them; the owner goes to sleep by a CAS from AWAKE and consumes by a swap.
 *
 * With rings each worker sleeps in its own, and an event there or its wake-up descriptor ends the sleep. What is
 * left to the poller (watch scopes, selections, signals) is seen by whoever holds poll_lock while it sleeps:
 * its ring watches the poller's descriptor. Nobody else's need to, and if nothing was ever registered
 * there, nobody's does.
 *
 * A worker that is woken again and again as soon as it sleeps stays awake for a moment first: falling
 * asleep and being woken cost several microseconds on both sides. WF_LINGER_NS at most, half as long after each
 * time that it was for nothing; where it is worth nothing, one sleep in TRY_SOON to TRY_LATE tries again. It is not among
 * the sleepers meanwhile, so nobody wakes it: it watches its inbox, which costs a sender nothing, and now and
 * then looks at the others' queues. What it does not see then it sees on its way to sleep.
 */
#include "sched/park.h"

#include "base/futex.h"
#include "poll/uring.h"
#include "queue/inbox.h"
#include "sched/brief.h"
#include "sched/loop.h"
#include "sched/squeeze.h"

enum { AWAKE = 0, ON_FUTEX, IN_POLLER, IN_RING, NOTIFIED };

enum { LINGER_MIN_NS = 2000, LINGER_LOOKS = 2 };

/* Of how many sleeps one tries to linger where that has been worth nothing: after it was, and at most. */
enum { TRY_SOON = 4, TRY_LATE = 128 };

void wf_linger_init(struct wf_worker *worker)
{
    worker->linger_ns = WF_LINGER_NS;
    worker->naps = 0;
    worker->naps_most = TRY_SOON;
}

/* Is there work where a thief may take it, or for the ring? A few workers each time, by turns. */
static bool is_work_about(struct wf_worker *worker, uint32_t *next)
{
    weft_runtime *runtime = worker->runtime;
    bool has_mail = worker->ring != NULL && wf_uring_has_mail(worker->ring);
    if (has_mail || !wf_inbox_is_empty(&runtime->inject)) {
        return true;
    }
    for (int i = 0; i < LINGER_LOOKS; i++) {
        *next = *next + 1 < runtime->worker_count ? *next + 1 : 0;
        if (wf_ready_count(&runtime->workers[*next]) > 0) {
            return true;
        }
    }
    return false;
}

/* Waits awake for up to `budget_ns`. True: there is something to do. */
static bool wait_awake(struct wf_worker *worker, int64_t budget_ns)
{
    int64_t end_ns = wf_monotonic_ns() + budget_ns;
    uint32_t next = worker->index;
    do {
        for (int i = 0; i < 16; i++) {
            if (!wf_inbox_is_empty(&worker->inbox)) {
                return true;
            }
            wf_relax();
        }
        if (is_work_about(worker, &next)) {
            return true;
        }
    } while (wf_monotonic_ns() < end_ns);
    return false;
}

/* Is a timer due within the time? */
static bool is_due_soon(struct wf_worker *worker, int64_t budget_ns)
{
    int64_t deadline_ns = wf_lifecycle_deadline(worker->runtime, wf_wheel_next(&worker->wheel));
    return deadline_ns != WF_FOREVER && deadline_ns - wf_monotonic_ns() <= budget_ns;
}

/* The longer the more often it has been right: who gives up too early makes a heavy fence, which holds up the very
 * worker that is about to send. */
bool wf_await_mail(struct wf_worker *worker)
{
    if (worker->mail_ns == 0 || is_due_soon(worker, worker->mail_ns)) {
        return false;
    }
    bool has_come = wait_awake(worker, worker->mail_ns) && !wf_inbox_is_empty(&worker->inbox);
    uint32_t more = worker->mail_ns < WF_LINGER_NS / 2 ? 2 * worker->mail_ns : WF_LINGER_NS;
    worker->mail_ns = has_come ? more : 0;
    return has_come;
}

/* Is one of the sleeps before which lingering is tried, though it has not paid? */
static bool must_try(struct wf_worker *worker)
{
    if (++worker->naps < worker->naps_most) {
        return false;
    }
    worker->naps = 0;
    uint8_t more = worker->naps_most;
    worker->naps_most = more < TRY_LATE / 2 ? (uint8_t)(2 * more) : (uint8_t)TRY_LATE;
    return true;
}

static void note_linger(struct wf_worker *worker, bool has_paid)
{
    if (has_paid) {
        wf_linger_init(worker);
    } else {
        uint32_t less = worker->linger_ns / 2;
        worker->linger_ns = less >= LINGER_MIN_NS ? less : 0;
    }
}

/* For the sake of other workers that are awake: events and other threads are not that close. */
bool wf_linger(struct wf_worker *worker)
{
    if (wf_squeeze_holds(worker) || wf_idle_is_last_awake(&worker->runtime->idle) ||
        (worker->linger_ns == 0 && !must_try(worker))) {
        return false;
    }
    int64_t budget_ns = worker->linger_ns != 0 ? worker->linger_ns : WF_LINGER_NS;
    if (is_due_soon(worker, budget_ns)) {
        return false;
    }
    bool has_paid = wait_awake(worker, budget_ns);
    note_linger(worker, has_paid);
    return has_paid;
}

static int look(struct wf_worker *worker, int64_t timeout_ns, struct wf_later *later)
{
    int events = wf_poller_wait(worker->runtime->poller, timeout_ns, later);
    wf_bump_own(&worker->counters.polls, 1);
    wf_bump_own(&worker->counters.events, (uint64_t)(events > 0 ? events : 0));
    return events;
}

static int64_t time_until(int64_t deadline_ns)
{
    if (deadline_ns == WF_FOREVER) {
        return WF_FOREVER;
    }
    int64_t timeout_ns = deadline_ns - wf_monotonic_ns();
    return timeout_ns > 0 ? timeout_ns : 0;
}

static void sleep_in_poller(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later)
{
    uint32_t expected = AWAKE;
    if (wf_cas_acqrel(&worker->parker, &expected, (uint32_t)IN_POLLER)) {
        (void)look(worker, time_until(deadline_ns), later);
    }
    wf_unlock(&worker->runtime->poll_lock);
}

/* Whether turns have been short since the last look. Where tasks compute for long, calls must not wait for each
 * other's company. */
static bool is_prompt(const struct wf_uring *ring, int64_t now_ns, uint64_t turns)
{
    const int64_t long_turn_ns = 250000;
    return now_ns - ring->looked_ns < (int64_t)(turns - ring->looked_turns + 1) * long_turn_ns;
}

/* Whether calls have waited in the ring while the worker was stuck in one task, or still do: the kernel gives them
 * out in batches. */
static bool is_behind(struct wf_worker *worker)
{
    struct wf_uring *ring = worker->ring;
    uint32_t stuck = wf_load_rlx(&worker->times_stuck);
    bool was_stuck = stuck != ring->times_stuck;
    ring->times_stuck = stuck;
    return (was_stuck && wf_uring_has_queued(ring)) ||
           ((was_stuck || ring->is_behind) && wf_uring_has_ended_any(ring));
}

/* Sleeps until then, if it is not over. */
static int wait_in_ring(struct wf_worker *worker, int64_t now_ns, int64_t deadline_ns,
                        struct wf_later *later)
{
    int64_t following_ns = wf_ahead_of(&worker->ahead, worker->following_ns);
    struct wf_uring_limit limit = {now_ns, deadline_ns, following_ns};
    if (deadline_ns <= now_ns) {
        return wf_uring_look(worker->ring, later);
    }
    return wf_uring_sleep(worker->ring, &limit, later);
}

/* `deadline_ns` 0: without sleeping. */
WF_WAKING static void look_in_ring(struct wf_worker *worker, int64_t deadline_ns,
                                   struct wf_later *later)
{
    struct wf_uring *ring = worker->ring;
    int64_t now_ns = wf_monotonic_ns();
    uint64_t turns = wf_load_rlx(&worker->turns);
    ring->is_prompt = is_prompt(ring, now_ns, turns);
    ring->is_behind = is_behind(worker);
    deadline_ns = ring->is_behind ? 0 : deadline_ns;
    /* Of what is queued the last may be the busy task's own. */
    uint64_t before = wf_load_rlx(&ring->in_use) - (wf_uring_has_queued(ring) ? 1 : 0);
    int events = wait_in_ring(worker, now_ns, deadline_ns, later);
    uint64_t after = wf_load_rlx(&ring->in_use);
    if (ring->is_behind && after < before) {
        wf_bump_own(&worker->counters.held, before - after);
    }
    ring->looked_ns = deadline_ns <= now_ns ? now_ns : wf_monotonic_ns();
    ring->looked_turns = turns;
    wf_bump_own(&worker->counters.polls, 1);
    wf_bump_own(&worker->counters.events, (uint64_t)events);
}

/* The poller's events, if the ring has seen that there are some. */
WF_WAKING static void look_behind_ring(struct wf_worker *worker, bool has_lock,
                                       struct wf_later *later)
{
    weft_runtime *runtime = worker->runtime;
    if (!worker->ring->was_ready || (!has_lock && !wf_trylock(&runtime->poll_lock))) {
        return; /* who has the lock and sleeps has seen it too */
    }
    worker->ring->was_ready = false;
    (void)look(worker, 0, later);
    if (!has_lock) {
        wf_unlock(&runtime->poll_lock);
    }
}

void wf_submit(struct wf_worker *worker)
{
    if (worker->ring != NULL) {
        wf_uring_submit(worker->ring);
    }
}

static void sleep_in_ring(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later)
{
    weft_runtime *runtime = worker->runtime;
    uint32_t expected = AWAKE;
    /* Whoever registers the first descriptor after this look is awake, and sees to it itself. */
    int watched = wf_poller_descriptor(runtime->poller);
    bool has_lock = watched >= 0 && wf_trylock(&runtime->poll_lock);
    if (has_lock) {
        wf_uring_watch(worker->ring, watched);
    }
    if (wf_cas_acqrel(&worker->parker, &expected, (uint32_t)IN_RING)) {
        look_in_ring(worker, deadline_ns, later);
        look_behind_ring(worker, has_lock, later);
    } else {
        wf_submit(worker);
    }
    if (has_lock) {
        wf_unlock(&runtime->poll_lock);
    }
}

static void sleep_on_futex(struct wf_worker *worker, int64_t deadline_ns)
{
    uint32_t expected = AWAKE;
    if (wf_cas_acqrel(&worker->parker, &expected, (uint32_t)ON_FUTEX)) {
        wf_futex_wait(&worker->parker, ON_FUTEX, deadline_ns);
    }
}

static void sleep_until(struct wf_worker *worker, int64_t alarm_ns, struct wf_later *later)
{
    if (worker->ring != NULL) {
        sleep_in_ring(worker, alarm_ns, later);
    } else if (wf_load_acq(&worker->parker) != NOTIFIED &&
               wf_trylock(&worker->runtime->poll_lock)) {
        sleep_in_poller(worker, alarm_ns, later);
    } else {
        sleep_on_futex(worker, alarm_ns);
    }
}

/* Sleeps until the alarm, which is ahead of the deadline, and stays awake for the rest. */
static void sleep_on_time(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later)
{
    int64_t alarm_ns = wf_ahead_of(&worker->ahead, deadline_ns);
    int64_t sleeps_ns = wf_monotonic_ns();
    bool has_slept = sleeps_ns < alarm_ns;
    uint64_t events = wf_load_rlx(&worker->counters.events);
    sleep_until(worker, alarm_ns, later);
    int64_t now_ns = wf_monotonic_ns();
    wf_brief_begin(worker, sleeps_ns, now_ns);
    if (events != wf_load_rlx(&worker->counters.events) || now_ns < alarm_ns) {
        return;
    }
    if (has_slept && wf_load_rlx(&worker->parker) != NOTIFIED) {
        wf_ahead_note(&worker->ahead, now_ns - alarm_ns);
    }
    while (now_ns < deadline_ns && wf_load_rlx(&worker->parker) != NOTIFIED) {
        wf_relax();
        now_ns = wf_monotonic_ns();
    }
}

WF_WAKING bool wf_park(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later)
{
    wf_bump_own(&worker->counters.sleeps, 1);
    wf_brief_forget(worker);
    if (deadline_ns == WF_FOREVER) {
        sleep_until(worker, WF_FOREVER, later);
    } else {
        sleep_on_time(worker, deadline_ns, later);
    }
    bool is_woken = wf_swap_acqrel(&worker->parker, (uint32_t)AWAKE) == NOTIFIED;
    wf_bump_own(&worker->counters.woken, is_woken ? 1 : 0);
    return is_woken;
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
    case IN_RING:
        wf_uring_poke_any(worker->ring);
        break;
    default:
        break;
    }
}

bool wf_poll_ring(struct wf_worker *worker)
{
    if (worker->ring == NULL) {
        return false;
    }
    struct wf_later later;
    wf_later_init(&later);
    wf_uring_collect(worker->ring, &later); /* what it submits goes with the rest */
    if (!wf_uring_is_busy(worker->ring)) {
        wf_sched_flush(&later);
        return false;
    }
    look_in_ring(worker, 0, &later);
    look_behind_ring(worker, false, &later);
    bool has_found = later.ready != 0;
    wf_sched_flush(&later);
    return has_found;
}

/* Has something ever been registered? With rings that is only what a ring's watch may have missed: its worker may be busy for
 * long. */
static bool is_worth_a_look(struct wf_worker *worker)
{
    struct wf_poller *poller = worker->runtime->poller;
    return poller != NULL && wf_poller_descriptor(poller) >= 0;
}

bool wf_poll_now(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    bool has_found = wf_poll_ring(worker);
    if (!is_worth_a_look(worker) || !wf_trylock(&runtime->poll_lock)) {
        return has_found;
    }
    struct wf_later later;
    wf_later_init(&later);
    (void)look(worker, 0, &later);
    wf_unlock(&runtime->poll_lock);
    wf_sched_flush(&later);
    return true;
}
