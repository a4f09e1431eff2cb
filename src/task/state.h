// SPDX-License-Identifier: MIT
/* state.h - the one word that decides everything about a task, and its legal transitions.
 *
 * What: lifecycle, the verdict of the current wait, cancellation counts, in 64 bits. Each function
 *       here is one transition; nobody else sees bits.
 * Why this way: cancel, wake, park and finish race with each other on any worker. With one word each
 *       race has one winner, and "how many requests are undelivered" is read by the same CAS that
 *       ends the task (no accepted cancellation is ever lost). Rejected: a claim word in each wait
 *       record on the waiter's stack: a late waker would then need a reference to read it safely,
 *       while a task's slot is type-stable memory.
 * Threads: all transitions are read-modify-write with acquire and release, so each synchronises with
 *       the one before it. See docs/architecture.md, "The state word".
 *
 *          spawn             claim              park                 wake, deliver
 *     FREE ------> NEW ---------------> RUN ------------> PARKED -------------------> RUN
 *                                        |
 *                                        | finish
 *                                        +------> OK | ERROR | CANCELLED ---> FREE (last reference)
 *
 *   transition  function             who
 *   NEW->RUN    wf_state_start       the worker that took the queue entry
 *   RUN->PARKED wf_state_park        the worker that left the fiber, once nobody stands on its stack
 *   PARKED->RUN wf_state_wake        whoever grants the wait (timer, finisher, setter, poller)
 *   PARKED->RUN wf_state_deliver     whoever kicks the task after adding a request
 *   RUN->end    wf_state_finish      the task's own worker, after fn returned
 *
 * A waker that comes before the fiber is off its stack finds RUN: it leaves its verdict under the
 * epoch of the coming wait, and the parking worker queues the fiber instead of parking it.
 */
#ifndef WF_TASK_STATE_H
#define WF_TASK_STATE_H

#include "base/log.h"
#include "base/solo.h"

enum wf_life {
    WF_FREE = 0,
    WF_NEW,       /* queued, never run */
    WF_RUN,       /* running, or in a queue to go on */
    WF_PARKED,    /* waits; nobody stands on its stack */
    WF_OK,        /* ended with a value */
    WF_ERROR,     /* ended with a negative errno */
    WF_CANCELLED, /* ended by a cancellation */
};

enum wf_verdict { WF_NONE = 0, WF_GRANTED, WF_TOLD_OFF, WF_TIMED_OUT, WF_CLOSED };

/* Bit layout, low to high. */
#define WF_LIFE_MASK UINT64_C(7)
#define WF_HAS_ENDED UINT64_C(4) /* of the life: it is one of those after the end */
#define WF_VERDICT_SHIFT 3
#define WF_VERDICT_MASK (UINT64_C(7) << WF_VERDICT_SHIFT)
#define WF_DELEGATES (UINT64_C(1) << 6) /* this wait hands requests on instead of ending */
#define WF_HANDED WF_DELEGATES /* while it runs: a request went on to the child that runs inside */
#define WF_BUSY (UINT64_C(1) << 7)     /* somebody reads the wait record on the task's stack */
#define WF_SHIELDED (UINT64_C(1) << 8) /* requests from outside are deferred: see scope.h */
#define WF_TOLD (UINT64_C(1) << 9)     /* was told -ECANCELED and has not uncancelled */
#define WF_SEEN (UINT64_C(1) << 10)    /* somebody has looked at the outcome */
#define WF_JOINED (UINT64_C(1) << 11)  /* waiters may be linked: finishing takes the task's lock */
#define WF_LINKED WF_DELEGATES         /* while it is NEW: some list links it, no deque has it */
#define WF_MOVED \
    (UINT64_C(1) << 3)        /* while it is NEW: a thief has taken it from its home's deque */
#define WF_TAKEN WF_DELEGATES /* once ended: somebody took the raw value */
#define WF_EPOCH_SHIFT 12     /* number of the last wait that was claimed or parked */
#define WF_EPOCH_MASK (UINT64_C(0xff) << WF_EPOCH_SHIFT)
#define WF_TOLLS_SHIFT 20 /* deliveries so far, modulo 1024 */
#define WF_TOLLS_MASK (UINT64_C(0x3ff) << WF_TOLLS_SHIFT)
#define WF_DETACHED (UINT64_C(1) << 30) /* the runtime holds a handle: finishing drops it */
#define WF_UNDELIVERED_SHIFT 31
#define WF_UNDELIVERED_ONE (UINT64_C(1) << WF_UNDELIVERED_SHIFT)
#define WF_UNDELIVERED_MAX UINT64_C(0x1fff)
#define WF_UNDELIVERED_MASK (WF_UNDELIVERED_MAX << WF_UNDELIVERED_SHIFT)
#define WF_COUNT_SHIFT 44
#define WF_COUNT_ONE (UINT64_C(1) << WF_COUNT_SHIFT)
#define WF_COUNT_MAX UINT64_C(0xfffff)
#define WF_COUNT_MASK (WF_COUNT_MAX << WF_COUNT_SHIFT)

static inline enum wf_life wf_word_life(uint64_t word)
{
    return (enum wf_life)(word & WF_LIFE_MASK);
}

static inline bool wf_word_has_ended(uint64_t word)
{
    return wf_word_life(word) >= WF_OK;
}

static inline enum wf_verdict wf_word_verdict(uint64_t word)
{
    return (enum wf_verdict)((word & WF_VERDICT_MASK) >> WF_VERDICT_SHIFT);
}

static inline uint8_t wf_word_epoch(uint64_t word)
{
    return (uint8_t)((word & WF_EPOCH_MASK) >> WF_EPOCH_SHIFT);
}

static inline uint32_t wf_word_tolls(uint64_t word)
{
    return (uint32_t)((word & WF_TOLLS_MASK) >> WF_TOLLS_SHIFT);
}

static inline uint32_t wf_word_undelivered(uint64_t word)
{
    return (uint32_t)((word & WF_UNDELIVERED_MASK) >> WF_UNDELIVERED_SHIFT);
}

static inline uint32_t wf_word_count(uint64_t word)
{
    return (uint32_t)(word >> WF_COUNT_SHIFT);
}

static inline uint64_t wf_word_with_life(uint64_t word, enum wf_life life)
{
    return (word & ~WF_LIFE_MASK) | (uint64_t)life;
}

/* All undelivered requests become delivered. */
static inline uint64_t wf_word_tolled(uint64_t word)
{
    uint64_t tolls = (word + (UINT64_C(1) << WF_TOLLS_SHIFT)) & WF_TOLLS_MASK;
    return (word & ~(WF_TOLLS_MASK | WF_UNDELIVERED_MASK)) | tolls;
}

static inline uint64_t wf_word_claimed(uint64_t word, uint8_t epoch, enum wf_verdict verdict)
{
    word &= ~(WF_LIFE_MASK | WF_VERDICT_MASK | WF_EPOCH_MASK | WF_DELEGATES);
    return word | WF_RUN | ((uint64_t)verdict << WF_VERDICT_SHIFT) |
           ((uint64_t)epoch << WF_EPOCH_SHIFT);
}

/* What is in a free slot's word: epoch and deliveries, of which only differences count, taken together as one
 * number that goes on. So whoever was about to start the slot's last task finds another word. */
#define WF_LIVES_MASK (WF_EPOCH_MASK | WF_TOLLS_MASK)

static inline uint64_t wf_word_freed(uint64_t word)
{
    const uint64_t next = (UINT64_C(1) << WF_EPOCH_SHIFT) | (UINT64_C(1) << WF_TOLLS_SHIFT);
    return (word + next) &
           WF_LIVES_MASK; /* an odd step: all are used; and no number of waits makes up for it */
}

/* A fresh task in a free slot. The spawner's own store: nobody else looks at a free slot's word but to find that
 * it is free. */
static inline void wf_state_spawn(wf_au64 *word, bool is_linked)
{
    if (is_linked) {
        wf_store_rel(word, wf_load_rlx(word) | WF_NEW | WF_LINKED);
    } else {
        wf_bump_own_rel(word);
    }
}

_Static_assert(WF_TOLLS_SHIFT == WF_EPOCH_SHIFT + 8 && WF_FREE + 1 == WF_NEW, "one number");
_Static_assert(WF_PARKED < WF_HAS_ENDED && WF_OK == WF_HAS_ENDED, "a bit says so");

/* What a list has linked goes to a deque, of a worker that did not spawn it. */
static inline void wf_state_unlink(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    while (!wf_solo_cas64(word, &seen, (seen & ~WF_LINKED) | WF_MOVED)) {
    }
}

/* A list is about to link a task that is in no deque any more. False: it is no longer NEW. */
static inline bool wf_state_link(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    while (wf_word_life(seen) == WF_NEW) {
        if (wf_solo_cas64(word, &seen, seen | WF_LINKED)) {
            return true;
        }
    }
    return false;
}

enum wf_start { WF_START_RUN, WF_START_CANCELLED, WF_START_LOST };

/* NEW -> RUN for whoever holds the queue entry; CANCELLED: it is RUN, but must end unrun. `seen` is
 * the word that the caller has checked to be NEW and of the right generation: if the slot goes to another
 * task meanwhile, that one is not ours to start, it may not even be queued. `is_linked`: some list had it; what
 * a deque had is never linked. */
static inline enum wf_start wf_state_start(wf_au64 *word, uint64_t seen, bool is_linked)
{
    const uint64_t same = WF_LIVES_MASK | WF_LINKED;
    uint64_t checked = (seen & ~WF_LINKED) | (is_linked ? WF_LINKED : 0);
    while (wf_word_life(seen) == WF_NEW && ((seen ^ checked) & same) == 0) {
        if (wf_solo_cas64(word, &seen, wf_word_with_life(seen, WF_RUN) & ~(WF_LINKED | WF_MOVED))) {
            return wf_word_undelivered(seen) > 0 ? WF_START_CANCELLED : WF_START_RUN;
        }
    }
    return WF_START_LOST;
}

/* The running task takes what is undelivered: true when there was something. */
static inline bool wf_state_observe(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    while (__builtin_expect((seen & WF_UNDELIVERED_MASK) != 0, 0)) {
        if (wf_solo_cas64(word, &seen, wf_word_tolled(seen) | WF_TOLD)) {
            return true;
        }
    }
    return false;
}

enum wf_park { WF_PARK_DONE, WF_PARK_KICK, WF_PARK_REQUEUE };

/* RUN -> PARKED, by the worker that left the fiber. REQUEUE: the wait was decided meanwhile, by a
 * waker or by a request; the fiber must be queued. KICK: parked with a request to hand on. */
static inline enum wf_park wf_state_park(wf_au64 *word, uint8_t epoch, bool delegates)
{
    uint64_t seen = wf_load_acq(word);
    for (;;) {
        WF_ASSERT(wf_word_life(seen) == WF_RUN);
        if (wf_word_epoch(seen) == epoch) {
            return WF_PARK_REQUEUE;
        }
        uint64_t next;
        bool undelivered = (seen & WF_UNDELIVERED_MASK) != 0;
        if (undelivered && !delegates) {
            next = wf_word_tolled(wf_word_claimed(seen, epoch, WF_TOLD_OFF)) | WF_TOLD;
        } else {
            next = wf_word_with_life(wf_word_claimed(seen, epoch, WF_NONE), WF_PARKED);
            next |= delegates ? WF_DELEGATES : 0;
        }
        if (wf_solo_cas64(word, &seen, next)) {
            if (undelivered) {
                return delegates ? WF_PARK_KICK : WF_PARK_REQUEUE;
            }
            return WF_PARK_DONE;
        }
    }
}

/* The same where nothing has come in between, which is nearly always. False: ask wf_state_park; nothing
 * has changed. */
static inline bool wf_state_park_quickly(wf_au64 *word, uint8_t epoch, bool delegates)
{
    uint64_t seen = wf_load_acq(word);
    WF_ASSERT(wf_word_life(seen) == WF_RUN);
    if (__builtin_expect(wf_word_epoch(seen) == epoch || (seen & WF_UNDELIVERED_MASK) != 0, 0)) {
        return false;
    }
    uint64_t kept = seen & ~(WF_LIFE_MASK | WF_VERDICT_MASK | WF_EPOCH_MASK | WF_DELEGATES);
    uint64_t next = kept | WF_PARKED | ((uint64_t)epoch << WF_EPOCH_SHIFT);
    if (delegates) {
        next |= WF_DELEGATES;
    }
    return wf_solo_cas64(word, &seen, next);
}

enum wf_wake {
    WF_WAKE_LOST,  /* somebody else decided the wait: pass the grant on */
    WF_WAKE_READY, /* ours, and the caller must queue the fiber */
    WF_WAKE_EARLY, /* ours; the worker that is leaving the fiber will queue it */
};

/* Decides wait `epoch` of a task. The caller holds the lock under which the wait is registered, so
 * that the wait can't be over unnoticed. */
static inline enum wf_wake wf_state_wake(wf_au64 *word, uint8_t epoch, enum wf_verdict verdict)
{
    uint64_t seen = wf_load_acq(word);
    for (;;) {
        bool is_parked = wf_word_life(seen) == WF_PARKED;
        if (is_parked
                ? wf_word_epoch(seen) != epoch
                : wf_word_life(seen) != WF_RUN || wf_word_epoch(seen) != (uint8_t)(epoch - 1U)) {
            return WF_WAKE_LOST;
        }
        if (wf_solo_cas64(word, &seen, wf_word_claimed(seen, epoch, verdict))) {
            return is_parked ? WF_WAKE_READY : WF_WAKE_EARLY;
        }
    }
}

/* The same where the task has parked in that wait and is left alone, which is nearly always: grants it, and
 * the caller must queue the fiber. False: ask wf_state_wake; nothing has changed. */
static inline bool wf_state_grant_parked(wf_au64 *word, uint8_t epoch)
{
    const uint64_t where = WF_LIFE_MASK | WF_EPOCH_MASK;
    uint64_t seen = wf_load_acq(word);
    if (__builtin_expect((seen & where) != (WF_PARKED | (uint64_t)epoch << WF_EPOCH_SHIFT), 0)) {
        return false;
    }
    uint64_t kept = seen & ~(WF_LIFE_MASK | WF_VERDICT_MASK | WF_DELEGATES);
    return wf_solo_cas64(word, &seen, kept | WF_RUN | (uint64_t)WF_GRANTED << WF_VERDICT_SHIFT);
}

enum wf_deliver {
    WF_DELIVER_NOTHING, /* nothing undelivered, or the task will see it by itself */
    WF_DELIVER_READY,   /* the wait ends cancelled: queue the fiber */
    WF_DELIVER_LOCK,    /* the wait delegates: take the task's lock and ask again */
    WF_DELIVER_HAND_ON, /* WF_BUSY is set: read the wait record, until wf_state_take says 0 */
    WF_DELIVER_INSIDE,  /* it runs: perhaps a child inside it, that takes its requests */
};

/* Ends an abortable wait with the undelivered requests. */
static inline enum wf_deliver wf_state_deliver(wf_au64 *word, bool is_locked)
{
    uint64_t seen = wf_load_acq(word);
    for (;;) {
        if ((seen & WF_UNDELIVERED_MASK) == 0) {
            return WF_DELIVER_NOTHING;
        }
        if (wf_word_life(seen) != WF_PARKED) {
            return wf_word_life(seen) == WF_RUN ? WF_DELIVER_INSIDE : WF_DELIVER_NOTHING;
        }
        bool delegates = (seen & WF_DELEGATES) != 0;
        if (delegates && !is_locked) {
            return WF_DELIVER_LOCK;
        }
        uint64_t next =
            delegates
                ? seen | WF_BUSY
                : wf_word_tolled(wf_word_claimed(seen, wf_word_epoch(seen), WF_TOLD_OFF)) | WF_TOLD;
        if (wf_solo_cas64(word, &seen, next)) {
            return delegates ? WF_DELIVER_HAND_ON : WF_DELIVER_READY;
        }
    }
}

/* One request to a task that is parked in a wait of its own, with no shield, which is nearly always: counts it, and ends
 * the wait with it, in one step. False: ask wf_state_request, then wf_state_deliver; nothing has changed. */
static inline bool wf_state_cancel_parked(wf_au64 *word)
{
    const uint64_t apart = WF_LIFE_MASK | WF_DELEGATES | WF_SHIELDED | WF_UNDELIVERED_MASK;
    uint64_t seen = wf_load_acq(word);
    if (__builtin_expect((seen & apart) != WF_PARKED || seen >= WF_COUNT_MASK, 0)) {
        return false;
    }
    uint64_t next = (seen & ~(WF_LIFE_MASK | WF_VERDICT_MASK)) | WF_RUN | WF_TOLD;
    next |= (uint64_t)WF_TOLD_OFF << WF_VERDICT_SHIFT;
    return wf_solo_cas64(word, &seen, wf_word_tolled(next) + WF_COUNT_ONE);
}

/* What becomes of a NEW word by a claim. */
static inline uint64_t wf_word_started(uint64_t word)
{
    return (word & ~WF_MOVED) + (WF_RUN - WF_NEW);
}

/* The joiner claims a child to run it on its own stack. False: somebody else has it, or it is to be
 * cancelled. `seen` was NEW, with nothing undelivered. Sequentially consistent: it is the full fence between
 * what the joiner has published and its next look at its own requests (await/inside.c). */
static inline bool wf_state_start_inside(wf_au64 *word, uint64_t seen)
{
    return wf_cas_sc(word, &seen, wf_word_started(seen));
}

/* May the worker at whose home it is change the word without a locked operation (base/bias.h)? */
static inline bool wf_word_is_at_home(uint64_t word)
{
    return (word & (WF_LIFE_MASK | WF_LINKED | WF_MOVED)) == WF_NEW;
}

/* A thief has the entry of the task; `seen` is its word, checked to be of the right generation. From here on nobody starts it
 * without a locked operation. False: it is not NEW any more. */
static inline bool wf_state_move(wf_au64 *word, uint64_t seen)
{
    uint64_t checked = seen;
    while (wf_word_life(seen) == WF_NEW && ((seen ^ checked) & WF_LIVES_MASK) == 0) {
        if (wf_solo_cas64(word, &seen, seen | WF_MOVED)) {
            return true;
        }
    }
    return false;
}

/* Under the lock of a task that runs a child inside: keeps it from leaving that child, by WF_BUSY. False:
 * there is nothing to hand on. */
static inline bool wf_state_keep_inside(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    do {
        if (wf_word_life(seen) != WF_RUN || (seen & WF_UNDELIVERED_MASK) == 0) {
            return false;
        }
    } while (!wf_solo_cas64(word, &seen, seen | WF_BUSY));
    return true;
}

/* The same for whoever only wants to see what the task waits for. False: it does not run. */
static inline bool wf_state_look_inside(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    do {
        if (wf_word_life(seen) != WF_RUN) {
            return false;
        }
    } while (!wf_solo_cas64(word, &seen, seen | WF_BUSY));
    return true;
}

/* While WF_BUSY: takes what is undelivered, to be handed on; from here on it counts as delivered. Returns
 * how much that was; 0: there is nothing (left), and WF_BUSY has ended. */
static inline uint32_t wf_state_take(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t next;
    do {
        next = wf_word_undelivered(seen) > 0 ? wf_word_tolled(seen) : seen & ~WF_BUSY;
    } while (!wf_solo_cas64(word, &seen, next));
    return wf_word_undelivered(seen);
}

/* Nobody took the `count` requests: they are undelivered again, as if they had never been taken, but for
 * those that were taken back meanwhile. `deferred`: by shields, under their lock. Ends WF_BUSY. */
static inline void wf_state_give_back(wf_au64 *word, uint32_t count, uint32_t deferred)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t next;
    do {
        uint64_t left = (uint64_t)wf_word_undelivered(seen) + count;
        uint32_t room = wf_word_count(seen) > deferred ? wf_word_count(seen) - deferred : 0;
        left = left < room ? left : room;
        left = left < WF_UNDELIVERED_MAX ? left : WF_UNDELIVERED_MAX;
        uint64_t tolls = (seen - (UINT64_C(1) << WF_TOLLS_SHIFT)) & WF_TOLLS_MASK;
        next = seen & ~(WF_BUSY | WF_TOLLS_MASK | WF_UNDELIVERED_MASK);
        next |= tolls | (left << WF_UNDELIVERED_SHIFT);
    } while (!wf_solo_cas64(word, &seen, next));
}

/* Looks at a parked task: true, with WF_BUSY set, when its wait record may be read until wf_state_looked.
 * Changes nothing else: whoever decides the wait meanwhile is not held up, but the task is, until its lock
 * is free. Under the task's lock; `at` receives the word. */
static inline bool wf_state_look(wf_au64 *word, uint64_t *at)
{
    *at = wf_load_acq(word);
    while (wf_word_life(*at) == WF_PARKED) {
        if (wf_solo_cas64(word, at, *at | WF_BUSY)) {
            return true;
        }
    }
    return false;
}

static inline void wf_state_looked(wf_au64 *word)
{
    (void)wf_solo_and64(word, ~WF_BUSY);
}

/* Are these two words of one and the same suspension? */
static inline bool wf_word_is_same_wait(uint64_t one, uint64_t other)
{
    const uint64_t mask = WF_LIFE_MASK | WF_EPOCH_MASK;
    return wf_word_life(one) == WF_PARKED && (one & mask) == (other & mask);
}

enum wf_request {
    WF_REQUEST_ENDED,    /* the task had ended: nothing changed */
    WF_REQUEST_ADDED,    /* counted and undelivered: kick it */
    WF_REQUEST_SHIELDED, /* nothing changed: take the shield lock and ask its shields */
    WF_REQUEST_FULL,     /* too many: nothing changed */
};

/* Adds `count` requests; `deferred`: under the shield lock, counts them without delivering. `after`
 * receives the word as it then is. */
static inline enum wf_request wf_state_request(wf_au64 *word, uint32_t count, bool is_locked,
                                               bool deferred, uint64_t *after)
{
    uint64_t seen = wf_load_acq(word);
    for (;;) {
        if (wf_word_has_ended(seen) || wf_word_life(seen) == WF_FREE) {
            return WF_REQUEST_ENDED;
        }
        if ((seen & WF_SHIELDED) != 0 && !is_locked) {
            return WF_REQUEST_SHIELDED;
        }
        if (wf_word_count(seen) + count > WF_COUNT_MAX) {
            return WF_REQUEST_FULL;
        }
        uint64_t next = seen + count * WF_COUNT_ONE;
        if (!deferred) {
            /* At its maximum it means at least that many: they merge into one delivery anyway. */
            uint64_t room = WF_UNDELIVERED_MAX - wf_word_undelivered(seen);
            next += (count < room ? count : room) * WF_UNDELIVERED_ONE;
        }
        if (wf_solo_cas64(word, &seen, next)) {
            *after = next;
            return WF_REQUEST_ADDED;
        }
    }
}

/* Takes back one request: the count falls to at least 0, and what is undelivered can't exceed what is
 * left of it beside the `deferred` ones. False: shielded, and the caller does not hold the shield lock
 * (`is_locked`); nothing changed. `after` receives the word as it then is. */
static inline bool wf_state_uncancel(wf_au64 *word, bool is_locked, uint32_t deferred,
                                     uint64_t *after)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t next;
    do {
        if ((seen & WF_SHIELDED) != 0 && !is_locked) {
            return false;
        }
        next = wf_word_count(seen) > 0 ? seen - WF_COUNT_ONE : seen;
        uint32_t room = wf_word_count(next) > deferred ? wf_word_count(next) - deferred : 0;
        if (wf_word_undelivered(next) > room) {
            next = (next & ~WF_UNDELIVERED_MASK) | ((uint64_t)room << WF_UNDELIVERED_SHIFT);
        }
        if (wf_word_count(next) == 0) {
            next &= ~WF_TOLD;
        }
    } while (!wf_solo_cas64(word, &seen, next));
    *after = next;
    return true;
}

/* A scope takes its own request back at its exit, exactly one: undelivered if no delivery came since
 * it was made (`tolls_then`), else from the count alone. True when it was still undelivered. */
static inline bool wf_state_withdraw(wf_au64 *word, uint32_t tolls_then, uint64_t *after)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t next;
    bool was_undelivered;
    do {
        was_undelivered =
            wf_word_undelivered(seen) > 0 && wf_word_tolls(seen) == (tolls_then & 0x3ffU);
        next = wf_word_count(seen) > 0 ? seen - WF_COUNT_ONE : seen;
        if (was_undelivered || wf_word_undelivered(next) > wf_word_count(next)) {
            next -= WF_UNDELIVERED_ONE;
        }
        if (wf_word_count(next) == 0) {
            next &= ~WF_TOLD;
        }
    } while (!wf_solo_cas64(word, &seen, next));
    *after = next;
    return was_undelivered;
}

/* Moves requests between undelivered and deferred, by the running task under its shield lock. Returns
 * how many were undelivered before. `shielded`: whether a shield is open from now on. */
static inline uint32_t wf_state_defer(wf_au64 *word, uint32_t undelivered_now, bool add,
                                      bool shielded)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t next;
    do {
        uint64_t left = add ? wf_word_undelivered(seen) + undelivered_now : undelivered_now;
        left = left > WF_UNDELIVERED_MAX ? WF_UNDELIVERED_MAX : left;
        next = (seen & ~(WF_UNDELIVERED_MASK | WF_SHIELDED)) | (left << WF_UNDELIVERED_SHIFT);
        next |= shielded ? WF_SHIELDED : 0;
    } while (!wf_solo_cas64(word, &seen, next));
    return wf_word_undelivered(seen);
}

/* Makes a request undelivered again that was taken for somebody else (count unchanged). */
static inline void wf_state_rearm(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    while (wf_word_undelivered(seen) < wf_word_count(seen) &&
           !wf_solo_cas64(word, &seen, seen + WF_UNDELIVERED_ONE)) {
    }
}

static inline void wf_state_set(wf_au64 *word, uint64_t flag)
{
    if ((wf_load_acq(word) & flag) == 0) {
        (void)wf_solo_or64(word, flag);
    }
}

/* A waiter or a callback is about to be linked, under the task's lock. False: it has ended. */
static inline bool wf_state_join(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    do {
        if (__builtin_expect(wf_word_has_ended(seen), 0)) {
            return false;
        }
    } while ((seen & WF_JOINED) == 0 && !wf_solo_cas64(word, &seen, seen | WF_JOINED));
    return true;
}

/* The runtime takes a handle over; false when it has one, or when the task has ended. */
static inline bool wf_state_detach(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    do {
        if (wf_word_has_ended(seen) || (seen & WF_DETACHED) != 0) {
            return false;
        }
    } while (!wf_solo_cas64(word, &seen, seen | WF_DETACHED));
    return true;
}

/* RUN -> ended, with the outcome that `is_error`, `is_cancel` and the undelivered requests decide.
 * False: waiters may be linked and the caller does not hold the task's lock (`is_locked`).
 * `before` receives the word as it was. */
static inline bool wf_state_finish(wf_au64 *word, bool is_error, bool is_cancel, bool is_locked,
                                   uint64_t *before)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t next;
    do {
        if ((seen & WF_JOINED) != 0 && !is_locked) {
            return false;
        }
        enum wf_life end = is_cancel                           ? WF_CANCELLED
                           : is_error                          ? WF_ERROR
                           : (seen & WF_UNDELIVERED_MASK) != 0 ? WF_CANCELLED
                                                               : WF_OK;
        next = wf_word_with_life(seen, end) & ~(WF_UNDELIVERED_MASK | WF_DELEGATES);
    } while (!wf_solo_cas64(word, &seen, next));
    *before = seen;
    return true;
}

#endif
