// SPDX-License-Identifier: MIT
/* word.h - what lies where in a task's state word, and what becomes of it by one step or another.
 *
 * What: bits and sums, no more: nothing here touches memory. The steps themselves are in state.h and request.h; a table of
 *       who writes what is in docs/architecture.md, "The state word".
 */
#ifndef WF_TASK_WORD_H
#define WF_TASK_WORD_H

#include <stdbool.h>
#include <stdint.h>

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

_Static_assert(WF_TOLLS_SHIFT == WF_EPOCH_SHIFT + 8 && WF_FREE + 1 == WF_NEW, "one number");
_Static_assert(WF_PARKED < WF_HAS_ENDED && WF_OK == WF_HAS_ENDED, "a bit says so");

/* What becomes of a NEW word by a claim. */
static inline uint64_t wf_word_started(uint64_t word)
{
    return (word & ~WF_MOVED) + (WF_RUN - WF_NEW);
}

/* May the worker at whose home it is change the word without a locked operation (base/bias.h)? */
static inline bool wf_word_is_at_home(uint64_t word)
{
    return (word & (WF_LIFE_MASK | WF_LINKED | WF_MOVED)) == WF_NEW;
}

/* Are these two words of one and the same suspension? */
static inline bool wf_word_is_same_wait(uint64_t one, uint64_t other)
{
    const uint64_t mask = WF_LIFE_MASK | WF_EPOCH_MASK;
    return wf_word_life(one) == WF_PARKED && (one & mask) == (other & mask);
}

#endif
