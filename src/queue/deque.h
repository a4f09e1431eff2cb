// SPDX-License-Identifier: MIT
/* deque.h - each worker's own queue of ready tasks.
 *
 * What: the owner adds at the bottom; owner and thieves take the oldest at the top; a thief takes up
 *       to half in one step. Grows without bound; entries are opaque 64-bit words, never 0.
 * Why this way: with everybody taking from the same end, an index only ever grows and one CAS on top
 *       takes any number of entries: no store-load fence for the owner, no race for the last element,
 *       and first in, first out, as people expect. Rejected: owner takes the newest (a fence for each
 *       take, one-element steals); a fixed ring (an overflow path on every burst).
 * Source: after Chase and Lev, "Dynamic circular work-stealing deque", SPAA 2005, with the owner on
 *       the thieves' side.
 * Threads: owner = one worker; thieves = any worker. See docs/architecture.md, "The deque".
 */
#ifndef WF_QUEUE_DEQUE_H
#define WF_QUEUE_DEQUE_H

#include "base/atomic.h"

struct wf_ring {
    struct wf_ring *older; /* retired, freed with the deque */
    uint64_t mask;
    wf_au64 slots[]; /* relaxed: published by bottom, validated by the CAS on top */
};

struct wf_deque {
    /* owner stores (release: publishes the slot and the ring); thieves load (acquire) before they
     * read ring and slots. */
    _Alignas(64) wf_au64 bottom;
    /* owner stores (release) when it grows, before bottom; thieves load (acquire) after bottom. */
    _Atomic(struct wf_ring *) ring;
    /* owner and thieves: CAS (acq_rel) takes entries; the owner's load (acquire) in push pairs with
     * it, so that a slot is overwritten only after its taker has read it. */
    _Alignas(64) wf_au64 top;
};

/* 0 or -ENOMEM. */
int wf_deque_init(struct wf_deque *deque);
void wf_deque_destroy(struct wf_deque *deque);

/* Owner. False when the ring is full and can't grow. */
bool wf_deque_push(struct wf_deque *deque, uint64_t entry);

/* Owner: the oldest entry, 0 if there is none. */
uint64_t wf_deque_take(struct wf_deque *deque);

/* Any worker: copies up to half of what is there, at most `cap` entries, oldest first. Returns how
 * many are now the caller's; 0 if there is nothing or somebody was faster. */
uint32_t wf_deque_steal(struct wf_deque *deque, uint64_t *out, uint32_t cap);

/* Any thread: a hint. */
static inline uint64_t wf_deque_count(struct wf_deque *deque)
{
    uint64_t top = wf_load_acq(&deque->top);
    uint64_t bottom = wf_load_acq(&deque->bottom);
    return bottom > top ? bottom - top : 0;
}

#endif
