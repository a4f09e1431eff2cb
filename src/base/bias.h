// SPDX-License-Identifier: MIT
/* bias.h - words that each have an owner, who changes them without locked operations until others come.
 *
 * What: several owners, threads all. An owner is biased: between wf_bias_enter and wf_bias_exit, a few instructions
 *       without a lock, it changes what is its own by plain loads and stores. Anybody else who is to change such a word,
 *       or must know that it does not change, is a guest for as long: he stops one owner, or all, first. A stopped owner
 *       makes locked operations, and counts them (wf_bias_count): after so many it is biased again, if there are no
 *       guests just then; the more, the more often it was stopped before it was worth its while.
 * How:  the owner marks itself as within, and looks whether it is biased still. A guest counts himself, takes the bias
 *       away, has a heavy fence made on all processors, and waits until the mark is gone. Either the fence comes before
 *       the owner's look, which then finds no bias; or after the mark, which is then seen, and waited for. What the owner has
 *       stored before that is there to see. A guest who finds no bias comes after such a fence, and looks for the mark
 *       only. An owner that takes its bias back stores it and looks at the count of guests; a guest counts himself and looks
 *       at the bias: one of them sees the other.
 *       An owner that the kernel has taken off its processor within keeps guests waiting until it is back: who can do
 *       without that owner tries (wf_bias_try_one).
 * Cost: nothing but the mark for owners; two locked operations for a guest, and the fence, some microseconds, for one who
 *       finds a biased owner.
 * Source: Kawachiya, Koseki and Onodera, "Lock reservation", OOPSLA 2002; Dice, Huang and Yang, "Asymmetric Dekker
 *       synchronization", 2001. tests/model/bias.pml, tests/model/claim.pml.
 */
#ifndef WF_BASE_BIAS_H
#define WF_BASE_BIAS_H

#include "base/fence.h"
#include "base/hint.h"
#include "base/lock.h"

enum wf_bias_state {
    WF_BIAS_NONE = 0,
    WF_BIAS_HELD,
    WF_BIAS_STOPPING, /* the fence is being made */
};

struct wf_bias_owner {
    /* enum wf_bias_state. The owner stores HELD, guests the others, all under the lock (seq_cst); the owner loads it before and
     * within (relaxed), guests when they come (seq_cst). */
    wf_au8 state;
    /* The owner stores 1 (relaxed) and 0 (release); guests who have taken the bias away wait for 0 (acquire). */
    wf_au8 is_within;
    /* Operations until it tries to be biased again: the owner counts down, guests store under the lock (relaxed). */
    wf_au32 left;
    struct wf_bias_owner *next; /* set before the owners start */
    uint32_t patience;          /* under the lock, and so is the rest */
    int64_t stopped_ns;
};

struct wf_bias {
    /* Guests who are there: each adds (seq_cst) and takes away (acq_rel) his one, owners load (seq_cst). */
    wf_au32 guests;
    /* 0: no owner is biased. Stored under the lock, 1 by an owner (seq_cst), 0 by a guest of all; guests load (seq_cst). */
    wf_au32 is_any;
    /* 0: nobody will ever be biased (any more). Stored before the owners start, and under the lock where the kernel refuses a
     * fence (release); loaded (acquire) by anybody. */
    wf_au8 is_possible;
    struct wf_lock lock;
    struct wf_bias_owner *owners;
};

/* Before the owners start. */
void wf_bias_add(struct wf_bias *bias, struct wf_bias_owner *owner);

/* Before they start, where fences are asymmetric: all are biased. */
void wf_bias_begin(struct wf_bias *bias);

/* In a forked child, whose only thread is `owner`: never again. */
void wf_bias_forked(struct wf_bias *bias, struct wf_bias_owner *owner);

/* ---- the owner ---- */

/* True: until wf_bias_exit what is its own is changed by nobody else. */
static inline __attribute__((always_inline)) bool wf_bias_enter(struct wf_bias_owner *owner)
{
    if (WF_UNLIKELY(wf_load_rlx(&owner->state) != WF_BIAS_HELD)) {
        return false; /* so that nobody who waits finds the mark again and again */
    }
    wf_store_rlx(&owner->is_within, (uint8_t)1);
    wf_fence_light(true);
    if (WF_LIKELY(wf_load_rlx(&owner->state) == WF_BIAS_HELD)) {
        return true;
    }
    wf_store_rel(&owner->is_within, (uint8_t)0);
    return false;
}

static inline __attribute__((always_inline)) void wf_bias_exit(struct wf_bias_owner *owner)
{
    wf_store_rel(&owner->is_within, (uint8_t)0);
}

/* It may be biased again, if there are no guests. */
void wf_bias_renew(struct wf_bias *bias, struct wf_bias_owner *owner);

/* After a locked operation that would have been none. */
static inline void wf_bias_count(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    uint32_t left = wf_load_rlx(&owner->left);
    if (WF_LIKELY(left > 0)) {
        wf_store_rlx(&owner->left, left - 1);
    } else {
        wf_bias_renew(bias, owner);
    }
}

/* ---- guests: any thread, also under locks, but never within ---- */

/* Takes the bias of `owner`, or of all (NULL), if it is not gone by now. */
void wf_bias_stop(struct wf_bias *bias, struct wf_bias_owner *owner);

/* After that, or where it was gone: waits until no owner is within. */
void wf_bias_await_all(struct wf_bias *bias);

/* Comes: until he leaves nobody is biased. True: he must leave. May nest. */
static inline bool wf_bias_visit(struct wf_bias *bias)
{
    if (wf_load_acq(&bias->is_possible) == 0) {
        return false;
    }
    (void)wf_add_sc(&bias->guests, 1U);
    if (WF_UNLIKELY(wf_load_sc(&bias->is_any) != 0)) {
        wf_bias_stop(bias, NULL);
    }
    wf_bias_await_all(bias);
    return true;
}

/* The same for what belongs to one of them. */
static inline bool wf_bias_visit_one(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    if (wf_load_acq(&bias->is_possible) == 0) {
        return false;
    }
    (void)wf_add_sc(&bias->guests, 1U);
    if (WF_UNLIKELY(wf_load_sc(&owner->state) != WF_BIAS_NONE)) {
        wf_bias_stop(bias, owner);
    }
    wf_fence_await(&owner->is_within);
    return true;
}

enum wf_bias_try { WF_BIAS_FREE, WF_BIAS_GUEST, WF_BIAS_NOT_NOW };

/* The same without waiting. FREE: nobody is ever biased, there is nothing to leave. NOT_NOW: it is within, and likely
 * off its processor; there is nothing to leave either. */
enum wf_bias_try wf_bias_try_one(struct wf_bias *bias, struct wf_bias_owner *owner);

/* `is_guest`: what the visit said. */
static inline void wf_bias_leave(struct wf_bias *bias, bool is_guest)
{
    if (is_guest) {
        (void)wf_sub_acqrel(&bias->guests, 1U);
    }
}

#endif
