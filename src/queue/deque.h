// SPDX-License-Identifier: MIT
/* deque.h - each worker's own queue of ready tasks.
 *
 * What: the owner adds at the bottom; owner and thieves take the oldest at the top, one by one. A joiner
 *       that has claimed tasks by other means takes their entries off the bottom (wf_deque_lower). Grows
 *       without bound; entries are opaque 64-bit words, never 0.
 * Why this way: with everybody taking from the same end the owner needs no store-load fence of its own
 *       and people get first in, first out, as they expect. What is taken off the bottom is dead for
 *       everybody, so a thief that takes it all the same does no harm; only an index that is used again
 *       while a thief's CAS on it is on its way would, and wf_deque_settle leaves that one alone.
 *       Rejected: several entries by one CAS on top (they may have been taken off the bottom and replaced
 *       meanwhile).
 * Source: after Chase and Lev, "Dynamic circular work-stealing deque", SPAA 2005, with the owner on
 *       the thieves' side.
 * Threads: owner = one worker; thieves = any worker. See docs/architecture.md, "The deque".
 */
#ifndef WF_QUEUE_DEQUE_H
#define WF_QUEUE_DEQUE_H

#include "base/atomic.h"
#include "base/hint.h"

enum { WF_DEQUE_SLOTS = 256 }; /* at first; then twice as many, and so on */

struct wf_ring {
    struct wf_ring *older; /* retired, freed with the deque */
    uint64_t mask;
    wf_au64 slots[]; /* relaxed: published by bottom, validated by the CAS on top */
};

struct wf_deque {
    /* owner stores (release: publishes the slot and the ring); thieves load (acquire) before they
     * read ring and slots. Index 0 is never used. */
    _Alignas(64) wf_au64 bottom;
    /* owner stores (release) when it grows, before bottom; thieves load (acquire) after bottom. */
    _Atomic(struct wf_ring *) ring;
    uint64_t limit; /* the owner's: so far bottom may rise without another look at top */
    wf_au64 *slots; /* the owner's: those of the ring */
    uint64_t mask;
    /* owner and thieves: CAS (seq_cst) takes one entry; the owner's load (acquire) in push pairs with
     * it, so that a slot is overwritten only after its taker has read it. */
    _Alignas(64) wf_au64 top;
};

/* 0 or -ENOMEM. */
int wf_deque_init(struct wf_deque *deque);
void wf_deque_destroy(struct wf_deque *deque);

/* Owner: more room. False: there is no memory. */
bool wf_deque_grow(struct wf_deque *deque);

/* Owner: room for so many more? Grows for it. */
bool wf_deque_reserve(struct wf_deque *deque, uint32_t count);

/* Owner: looks at top again. True: there is room for one more by now. */
bool wf_deque_look_for_room(struct wf_deque *deque);

/* Owner: is there room for one more without another look at top? */
static inline bool wf_deque_has_room_at_hand(struct wf_deque *deque)
{
    return __builtin_expect(wf_load_rlx(&deque->bottom) < deque->limit, 1);
}

/* Owner: room for one more? */
static inline bool wf_deque_has_room(struct wf_deque *deque)
{
    return wf_deque_has_room_at_hand(deque) || wf_deque_look_for_room(deque);
}

/* Owner, where there is room: `bottom` is the deque's. */
static inline void wf_deque_add_at(struct wf_deque *deque, uint64_t bottom, uint64_t entry)
{
    wf_store_rlx(&deque->slots[bottom & deque->mask], entry);
    wf_store_rel(&deque->bottom, bottom + 1);
}

static inline void wf_deque_add(struct wf_deque *deque, uint64_t entry)
{
    wf_deque_add_at(deque, wf_load_rlx(&deque->bottom), entry);
}

/* Owner: the same if there is room without another look at top. False: nothing has been done. */
static inline bool wf_deque_add_at_hand(struct wf_deque *deque, uint64_t entry)
{
    uint64_t bottom = wf_load_rlx(&deque->bottom); /* own */
    if (__builtin_expect(bottom >= deque->limit, 0)) {
        return false;
    }
    wf_deque_add_at(deque, bottom, entry);
    return true;
}

/* Owner. False when the ring is full and can't grow. */
static inline bool wf_deque_push(struct wf_deque *deque, uint64_t entry)
{
    if (__builtin_expect(!wf_deque_has_room(deque), 0) && !wf_deque_grow(deque)) {
        return false;
    }
    wf_deque_add(deque, entry);
    return true;
}

/* Owner: the oldest entry, 0 if there is none. */
uint64_t wf_deque_take(struct wf_deque *deque);

/* Any worker: takes up to half of what is there, at most `cap` entries, oldest first. Returns how
 * many are now the caller's; 0 if there is nothing or somebody was faster. */
uint32_t wf_deque_steal(struct wf_deque *deque, uint64_t *out, uint32_t cap);

/* Owner: what lies at a place at or above the top. */
static inline uint64_t wf_deque_at(struct wf_deque *deque, uint64_t at)
{
    return wf_load_rlx(&deque->slots[at & deque->mask]);
}

/* Owner: is there one? `at` receives the place of the oldest. */
static inline bool wf_deque_has_oldest(struct wf_deque *deque, uint64_t *at)
{
    *at = wf_load_acq(&deque->top);
    return *at < wf_load_rlx(&deque->bottom);
}

/* Owner: the oldest entry, which stays, 0 if there is none; `at` receives its place. */
static inline uint64_t wf_deque_oldest(struct wf_deque *deque, uint64_t *at)
{
    return wf_deque_has_oldest(deque, at) ? wf_deque_at(deque, *at) : 0;
}

/* Owner: takes what wf_deque_oldest has found, unless a thief has. `is_alone`: there are none. */
static inline bool wf_deque_take_at(struct wf_deque *deque, uint64_t at, bool is_alone)
{
    if (is_alone) {
        wf_store_rel(&deque->top, at + 1);
        return true;
    }
    return wf_cas_sc(&deque->top, &at, at + 1);
}

/* Owner, where there are no thieves: adds an entry and takes the oldest one, which is returned, unless it has one of the bits
 * of `but`. 0: there is none, or it has, and nothing has been done. For one more there is room then. The bottom first: whoever
 * counts sees one too many for a moment, and not none. */
static inline __attribute__((always_inline)) uint64_t wf_deque_exchange(struct wf_deque *deque,
                                                                        uint64_t entry,
                                                                        uint64_t but)
{
    uint64_t top = wf_load_rlx(&deque->top); /* own, as all here */
    uint64_t bottom = wf_load_rlx(&deque->bottom);
    if (__builtin_expect(top >= bottom, 0)) {
        return 0;
    }
    uint64_t oldest = wf_load_rlx(&deque->slots[top & deque->mask]);
    if (__builtin_expect((oldest & but) != 0, 0)) {
        return 0;
    }
    WF_HOLDS(oldest != 0);
    wf_store_rlx(&deque->slots[bottom & deque->mask], entry);
    wf_bump_own_rel(&deque->bottom);
    wf_store_rel(&deque->top, top + 1);
    return oldest;
}

/* Owner: the entry `below` entries under the newest one; what lies there if there are not so many may be
 * anything that has been there once. */
static inline uint64_t wf_deque_newest(struct wf_deque *deque, uint64_t below)
{
    return wf_deque_at(deque, wf_load_rlx(&deque->bottom) - 1 - below);
}

/* Owner: where its bottom is. */
static inline uint64_t wf_deque_bottom(struct wf_deque *deque)
{
    return wf_load_rlx(&deque->bottom);
}

/* Owner: takes the `count` newest entries off; `before` is where the bottom was. A full fence, then
 * wf_deque_settle or wf_deque_restore come next. */
static inline void wf_deque_lower(struct wf_deque *deque, uint64_t before, uint64_t count)
{
    wf_store_rel(&deque->bottom, before - count);
}

/* Owner: the entries that wf_deque_lower took off are dead. A thief that comes from now on sees the new
 * bottom: its load of top comes after ours, the fence stands between our store of bottom and that, and its
 * own between its loads. One that has come before may take the entry at the top it then saw: if that is
 * above the new bottom, the index stays in use. */
static inline void wf_deque_settle(struct wf_deque *deque, uint64_t before, uint64_t count)
{
    uint64_t top = wf_load_sc(&deque->top);
    if (__builtin_expect(top >= before - count, 0)) {
        wf_store_rel(&deque->bottom, top < before ? top + 1 : before);
    }
}

/* Owner: nothing was taken off after all. */
static inline void wf_deque_restore(struct wf_deque *deque, uint64_t before)
{
    wf_store_rel(&deque->bottom, before);
}

/* Owner. Thieves may empty it at any moment, only the owner fills it. Inline always: a call would cost the
 * fast paths that ask a frame. */
static inline __attribute__((always_inline)) bool wf_deque_is_empty(struct wf_deque *deque)
{
    return wf_load_acq(&deque->top) >= wf_load_rlx(&deque->bottom); /* own */
}

/* Any thread: a hint. */
static inline uint64_t wf_deque_count(struct wf_deque *deque)
{
    uint64_t top = wf_load_acq(&deque->top);
    uint64_t bottom = wf_load_acq(&deque->bottom);
    return bottom > top ? bottom - top : 0;
}

#endif
