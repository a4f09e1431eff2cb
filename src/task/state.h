// SPDX-License-Identifier: MIT
/* state.h - the one word that decides everything about a task, and its legal transitions.
 *
 * What: lifecycle, the verdict of the current wait, cancellation counts, in 64 bits (word.h). Each function
 *       here and in request.h is one transition; nobody else sees bits.
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
 *   PARKED->RUN wf_state_deliver     whoever kicks the task after adding a request (request.h)
 *   RUN->end    wf_state_finish      the task's own worker, after fn returned
 *
 * A waker that comes before the fiber is off its stack finds RUN: it leaves its verdict under the
 * epoch of the coming wait, and the parking worker queues the fiber instead of parking it.
 */
#ifndef WF_TASK_STATE_H
#define WF_TASK_STATE_H

#include "base/log.h"
#include "base/solo.h"
#include "task/word.h"

/* ---- a new task ---- */

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

/* ---- claiming ---- */

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

/* The same for what a deque had, with nothing undelivered: nearly every start. False: ask wf_state_start; nothing has
 * changed. */
static inline bool wf_state_start_plainly(wf_au64 *word, uint64_t seen)
{
    const uint64_t apart = WF_LIFE_MASK | WF_LINKED | WF_UNDELIVERED_MASK;
    return WF_LIKELY((seen & apart) == WF_NEW) && wf_solo_cas64(word, &seen, wf_word_started(seen));
}

/* The joiner claims a child to run it on its own stack. False: somebody else has it, or it is to be
 * cancelled. `seen` was NEW, with nothing undelivered. Sequentially consistent: it is the full fence between
 * what the joiner has published and its next look at its own requests (await/inside.c). */
static inline bool wf_state_start_inside(wf_au64 *word, uint64_t seen)
{
    return wf_cas_sc(word, &seen, wf_word_started(seen));
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

/* ---- waiting ---- */

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

/* ---- being looked at ---- */

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

/* The same for a task that runs, perhaps a child inside, which it does not leave then. False: it does not run. */
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

/* ---- the end ---- */

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

/* The same under the task's lock, with a value or as cancelled, where nothing is undelivered and the runtime has no handle:
 * nearly every end of an awaited task. False: ask wf_state_finish; nothing has changed. */
static inline bool wf_state_finish_plainly(wf_au64 *word, bool is_cancel)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t kept = seen & ~(WF_LIFE_MASK | WF_DELEGATES);
    return WF_LIKELY((seen & (WF_UNDELIVERED_MASK | WF_DETACHED)) == 0) &&
           WF_LIKELY(wf_solo_cas64(word, &seen, kept | (is_cancel ? WF_CANCELLED : WF_OK)));
}

#endif
