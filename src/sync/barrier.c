// SPDX-License-Identifier: MIT
/* barrier.c - a count, a list, and all at once.
 *
 * Whoever is let through has its number from its coming, so the next round begins at once: nobody looks at
 * the barrier again on the way out.
 *
 * Who was cancelled is counted until its task has run, as in asyncio; but outside a simulation with seed 0
 * it is not what makes the number full. Then, and when a round ends, it is moved out of the way. One that
 * is cancelled while the last one lets all through has come, and the others go on: what has been granted
 * can't be taken back.
 *
 * Simulation with seed 0 does as asyncio.Barrier: the barrier drains, and whoever comes before the last one
 * of a round has run waits until then. All wait for one condition, so a wake-up is a hint to look again,
 * but for this: who has been let through has come through, whatever is done to the barrier meanwhile.
 */
#include <limits.h>
#include <string.h>

#include <weft/barrier.h>

#include "sync/waiters.h"

struct wf_barrier {
    uint32_t parties; /* set before anybody else sees it */
    wf_au32 word; /* BROKEN and QUEUED above the bit lock: any thread, under the lock (acq_rel) */
    wf_au32
        waiting; /* how many are linked in `waiters`: stored under the lock, anybody loads: relaxed */
    struct wf_list waiters; /* of struct party, under the bit lock */
    uint32_t leaving;       /* under the bit lock */
    /* In turns; under the bit lock. `waiters` are then all who have not run since they began to wait. */
    uint32_t inside; /* how many have come, and have not left */
    uint8_t phase;   /* enum phase; of one that is not broken */
    bool has_turns;
};

enum phase { FILLING = 0, DRAINING, RESETTING };

enum {
    BROKEN = 4,
    QUEUED = 8, /* somebody is linked or leaving */
};

#define ONE_LESS UINT32_MAX

struct party {
    struct wf_waiter waiter;
    /* In turns; under the lock. */
    bool is_inside;
    bool is_woken;
    bool is_through;
};

_Static_assert(sizeof(struct wf_barrier) <= sizeof(weft_barrier), "weft_barrier is too small");

static struct wf_barrier *inside(const weft_barrier *barrier)
{
    return (struct wf_barrier *)(uintptr_t)barrier;
}

int weft_barrier_init(weft_barrier *barrier, uint32_t parties)
{
    if (barrier == NULL || parties == 0 || parties > INT_MAX) {
        return -EINVAL;
    }
    *barrier = (weft_barrier)WEFT_BARRIER_INIT(parties);
    return 0;
}

/* ---- under the lock ---- */

static uint32_t with_queue(const struct wf_barrier *barrier, uint32_t state)
{
    bool is_empty =
        wf_waiters_is_empty(&barrier->waiters) && barrier->leaving == 0 && barrier->inside == 0;
    return is_empty ? state & ~(uint32_t)QUEUED : state | (uint32_t)QUEUED;
}

static void add_waiting(struct wf_barrier *barrier, uint32_t change)
{
    wf_store_rlx(&barrier->waiting, wf_load_rlx(&barrier->waiting) + change);
}

/* Those who have been cancelled no longer count. */
static void drop_cancelled(struct wf_barrier *barrier)
{
    struct wf_waiter *next;
    for (struct wf_waiter *at = wf_waiters_first(&barrier->waiters); at != NULL; at = next) {
        next = wf_waiters_next(&barrier->waiters, at);
        if (!wf_wait_is_open(at->wait)) {
            wf_waiters_set_aside(at, &barrier->leaving);
            add_waiting(barrier, ONE_LESS);
        }
    }
}

/* Ends the round. */
static void let_go(struct wf_barrier *barrier, enum wf_verdict verdict, struct wf_later *later)
{
    struct wf_waiter *at;
    while ((at = wf_waiters_first(&barrier->waiters)) != NULL) {
        (void)wf_waiters_grant(at, verdict, &barrier->leaving, later);
        add_waiting(barrier, ONE_LESS);
    }
}

/* ---- waiting ---- */

/* The caller's number, or -EPIPE. If that is not the last one, it is linked. */
static int enter(struct wf_barrier *barrier, struct party *party)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t state = wf_bitlock(&barrier->word);
    uint32_t last = barrier->parties - 1;
    int number = -EPIPE;
    if ((state & BROKEN) == 0) {
        if (wf_load_rlx(&barrier->waiting) == last) {
            drop_cancelled(barrier);
        }
        uint32_t before = wf_load_rlx(&barrier->waiting);
        number = (int)before;
        if (before == last) {
            let_go(barrier, WF_GRANTED, &later);
        } else {
            wf_waiters_add(&barrier->waiters, &party->waiter);
            add_waiting(barrier, 1);
        }
    }
    wf_bitunlock(&barrier->word, with_queue(barrier, state));
    wf_later_run(&later);
    return number;
}

static void leave(struct wf_barrier *barrier, struct party *party)
{
    uint32_t state = wf_bitlock(&barrier->word);
    if (!wf_list_is_empty(&party->waiter.link)) {
        add_waiting(barrier, ONE_LESS);
    }
    wf_waiters_remove(&party->waiter, &barrier->leaving);
    wf_bitunlock(&barrier->word, with_queue(barrier, state));
}

/* ---- waiting in turns ---- */

/* Gives the lock back. */
static void unlock_in_turns(struct wf_barrier *barrier, uint32_t state)
{
    bool is_filling = barrier->phase == FILLING && (state & BROKEN) == 0;
    wf_store_rlx(&barrier->waiting, is_filling ? barrier->inside : 0);
    wf_bitunlock(&barrier->word, with_queue(barrier, state));
}

/* Those who are woken stay linked until they run. */
static void wake(struct wf_barrier *barrier, size_t most, struct wf_later *later)
{
    struct wf_waiter *at = wf_waiters_first(&barrier->waiters);
    for (; at != NULL && most > 0; at = wf_waiters_next(&barrier->waiters, at)) {
        if (wf_wait_claim(at->wait, WF_GRANTED, later)) {
            at->wait->granted = at;
            WF_CONTAINER(at, struct party, waiter)->is_woken = true;
            most--;
        }
    }
}

static void drain(struct wf_barrier *barrier, struct wf_later *later)
{
    barrier->phase = DRAINING;
    wake(barrier, SIZE_MAX, later);
    struct wf_waiter *at = wf_waiters_first(&barrier->waiters);
    for (; at != NULL; at = wf_waiters_next(&barrier->waiters, at)) {
        struct party *party = WF_CONTAINER(at, struct party, waiter);
        party->is_through = party->is_inside && party->is_woken;
    }
}

/* Waits for news, without the lock. -ECANCELED: whoever is next has been woken to look instead. */
static int look_later(struct wf_barrier *barrier, uint32_t *state, struct party *party,
                      struct wf_later *later)
{
    struct wf_wait *wait = party->waiter.wait;
    wf_wait_begin(wait, wait->task, WF_WAIT_BARRIER);
    wait->target = barrier;
    wait->waiter = &party->waiter;
    party->is_woken = false;
    wf_waiters_add(&barrier->waiters, &party->waiter);
    unlock_in_turns(barrier, *state);
    enum wf_verdict verdict = wf_door_park(wait);
    *state = wf_bitlock(&barrier->word);
    wf_list_remove(&party->waiter.link);
    if (verdict == WF_GRANTED) {
        return 0;
    }
    wake(barrier, 1, later);
    return -ECANCELED;
}

/* The caller is one of the round; its number, or an error. */
static int fill(struct wf_barrier *barrier, uint32_t *state, struct party *party,
                struct wf_later *later)
{
    uint32_t number = barrier->inside++;
    int rc = 0;
    party->is_inside = true;
    party->is_through = barrier->inside == barrier->parties;
    if (party->is_through) {
        drain(barrier, later);
    }
    while (rc == 0 && !party->is_through && barrier->phase == FILLING && (*state & BROKEN) == 0) {
        rc = look_later(barrier, state, party, later);
    }
    if (--barrier->inside == 0) {
        barrier->phase = FILLING;
        wake(barrier, SIZE_MAX, later);
    }
    if (rc == 0) {
        rc = party->is_through ? (int)number : -EPIPE;
    }
    return rc;
}

static int wait_in_turns(struct wf_barrier *barrier, struct party *party)
{
    struct wf_later later;
    wf_later_init(&later);
    int rc = 0;
    uint32_t state = wf_bitlock(&barrier->word);
    barrier->has_turns = true;
    while (rc == 0 && barrier->phase != FILLING && (state & BROKEN) == 0) {
        rc = look_later(barrier, &state, party, &later);
    }
    if (rc == 0) {
        rc = (state & BROKEN) != 0 ? -EPIPE : fill(barrier, &state, party, &later);
    }
    unlock_in_turns(barrier, state);
    wf_later_run(&later);
    return rc;
}

int weft_barrier_wait(weft_barrier *barrier)
{
    int rc = 0;
    struct wf_barrier *b = inside(barrier);
    weft_task *self = wf_sync_enter(b != NULL && b->parties > 0 ? barrier : NULL, __func__, &rc);
    if (self == NULL) {
        return rc;
    }
    struct wf_wait wait;
    struct party party = {.waiter = {.wait = &wait}};
    wf_wait_begin(&wait, self, WF_WAIT_BARRIER);
    wait.target = b;
    wait.waiter = &party.waiter;
    if (wf_has_turns(self)) {
        return wait_in_turns(b, &party);
    }
    uint32_t last = b->parties - 1; /* read first: it may go once the last one is there */
    int number = enter(b, &party);
    if (number < 0 || (uint32_t)number == last) {
        return number;
    }
    enum wf_verdict verdict = wf_door_park_from(&wait, WF_GO_SITE);
    if (verdict == WF_TOLD_OFF || wait.was_early) {
        leave(b, &party);
    }
    rc = verdict == WF_GRANTED ? number : verdict == WF_CLOSED ? -EPIPE : -ECANCELED;
    return wf_go_return(rc, WF_GO_SITE);
}

/* ---- resetting, breaking ---- */

static int break_up(weft_barrier *barrier, uint32_t state)
{
    if (barrier == NULL) {
        return -EINVAL;
    }
    struct wf_barrier *b = inside(barrier);
    struct wf_later later;
    wf_later_init(&later);
    (void)wf_bitlock(&b->word);
    if (b->has_turns) {
        b->phase = b->inside > 0 ? RESETTING : FILLING;
        wake(b, SIZE_MAX, &later);
        unlock_in_turns(b, state);
    } else {
        let_go(b, WF_CLOSED, &later);
        wf_bitunlock(&b->word, with_queue(b, state));
    }
    wf_later_run(&later);
    return 0;
}

int weft_barrier_reset(weft_barrier *barrier)
{
    return break_up(barrier, 0);
}

int weft_barrier_abort(weft_barrier *barrier)
{
    return break_up(barrier, BROKEN);
}

/* ---- looking ---- */

uint32_t weft_barrier_waiting(const weft_barrier *barrier)
{
    return barrier == NULL ? 0 : wf_load_rlx(&inside(barrier)->waiting);
}

bool weft_barrier_is_broken(const weft_barrier *barrier)
{
    return barrier != NULL && (wf_load_acq(&inside(barrier)->word) & BROKEN) != 0;
}

int weft_barrier_destroy(weft_barrier *barrier)
{
    if (barrier == NULL) {
        return -EINVAL;
    }
    struct wf_barrier *b = inside(barrier);
    bool is_free = (wf_load_acq(&b->word) & ~(uint32_t)BROKEN) == 0;
    return is_free ? 0 : wf_waiters_refuse(__func__, barrier, &b->word, &b->waiters);
}
