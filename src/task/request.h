// SPDX-License-Identifier: MIT
/* request.h - the transitions of the state word by which cancellations are asked for, delivered and taken back.
 *
 * What: a request is counted, and undelivered until the task hears of it, or until somebody whom it waits for does:
 *       then the wait hands it on. The count alone stays, until it is taken back.
 * Threads: as in state.h, whose transitions these race with.
 */
#ifndef WF_TASK_REQUEST_H
#define WF_TASK_REQUEST_H

#include "base/solo.h"
#include "task/word.h"

/* ---- making ---- */

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

/* ---- delivering ---- */

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

/* ---- handing on ---- */

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

/* Makes a request undelivered again that was taken for somebody else (count unchanged). */
static inline void wf_state_rearm(wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    while (wf_word_undelivered(seen) < wf_word_count(seen) &&
           !wf_solo_cas64(word, &seen, seen + WF_UNDELIVERED_ONE)) {
    }
}

/* ---- taking back ---- */

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

#endif
