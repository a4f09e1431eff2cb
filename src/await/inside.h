// SPDX-License-Identifier: MIT
/* inside.h - the parts of running a child on the waiter's own stack: claim it, call it, come back.
 *
 * What: inside.c puts them together for a join of one task, group_inside.c for a group that closes. The protocol
 *       with cancellers, and why it is sound, is in inside.c.
 * Threads: the task that waits, on its worker; each may find itself on another one after the call.
 */
#ifndef WF_AWAIT_INSIDE_H
#define WF_AWAIT_INSIDE_H

#include "await/limit.h"
#include "base/fence.h"
#include "base/hint.h"
#include "sched/claim.h"
#include "sched/ready.h"

/* Nothing is undelivered, and it has not started, or runs. */
#define WF_INSIDE_QUIET (WF_LIFE_MASK | WF_UNDELIVERED_MASK)

/* ... and it is at home. */
#define WF_INSIDE_AT_HOME (WF_INSIDE_QUIET | WF_LINKED | WF_MOVED)

static inline bool wf_inside_is_quiet(weft_task *task, enum wf_life life, uint64_t *word)
{
    *word = wf_load_acq(&task->word);
    return (*word & WF_INSIDE_QUIET) == (uint64_t)life;
}

/* How many entries of the deque go with the claim of the task of that entry, when it is not just that of the
 * newest. False: not inside. */
bool wf_inside_look_closer(struct wf_worker *worker, uint64_t entry, uint64_t *dead);

/* A request has come before the child was claimed: it is handed on to it. */
void wf_inside_hand_on(weft_task *self);

/* Somebody else has the child. A request may have gone on to it already: WF_HANDED then stays for whatever the
 * task waits in next. */
void wf_inside_stand_back(weft_task *self);

/* `joins` says 0. A canceller may still be at it, with a hold on the child that must not be the last: who drops
 * the result is the task that waited, before it goes on. */
void wf_inside_wait_for_cancellers(weft_task *self, weft_task *child);

/* WF_BUSY or WF_HANDED was seen after `joins` became 0: true if some request was handed on. */
bool wf_inside_was_handed(weft_task *self);

/* The child was claimed by a locked operation: has a request come before that, and not seen the child? */
static inline void wf_inside_look(weft_task *self)
{
    uint64_t word;
    if (WF_UNLIKELY(!wf_inside_is_quiet(self, WF_RUN, &word))) {
        wf_inside_hand_on(self);
    }
}

/* The first step of a claim: who looks finds the child of that entry. `joins` says how it is joined (WF_JOINS_*). */
static inline void wf_inside_show(weft_task *self, uint64_t entry, uint64_t joins)
{
    /* release: who finds the child there sees the record as it was spawned */
    wf_store_rel(&self->joins, entry - WF_READY_NEW + joins);
}

/* `entry` names the child, `joins` what is to be seen meanwhile (WF_JOINS_*), `seen` the child's word: NEW, with
 * nothing undelivered. The `dead` newest entries of the deque, which is at `bottom`, go with the claim. The
 * child may have ended by now, and its slot be another's: the claim then fails. */
static inline bool wf_inside_claim(struct wf_worker *worker, weft_task *self, weft_task *child,
                                   uint64_t entry, uint64_t joins, uint64_t seen, uint64_t bottom,
                                   uint64_t dead)
{
    wf_inside_show(self, entry, joins);
    if (WF_UNLIKELY(!wf_ready_claim(worker, child, seen, bottom, dead))) {
        wf_inside_stand_back(self);
        return false;
    }
    wf_inside_look(self);
    return true;
}

/* The same by a locked operation, where wf_inside_claim_newest was refused: the child is shown. */
bool wf_inside_claim_newest_locked(struct wf_worker *worker, weft_task *self, weft_task *child,
                                   uint64_t seen, uint64_t bottom);

/* The same of a child that is at home, here, and the newest entry of the deque: what nearly every claim is. The caller has
 * seen that nothing is undelivered to `self`; between that and this the worker does not become biased (inside.c,
 * "Requests"). */
static inline __attribute__((always_inline)) bool wf_inside_claim_newest(
    struct wf_worker *worker, weft_task *self, weft_task *child, uint64_t entry, uint64_t joins,
    uint64_t seen, uint64_t bottom)
{
    wf_inside_show(self, entry, joins);
    return WF_LIKELY(wf_ready_claim_newest_biased(worker, child, seen, bottom)) ||
           wf_inside_claim_newest_locked(worker, self, child, seen, bottom);
}

/* The claimed child's function; what it returned. */
static inline intptr_t wf_inside_call(struct wf_worker *worker, weft_task *child)
{
    struct wf_fiber *fiber = worker->fiber;
    weft_fn *fn = wf_load_rlx(&child->fn);
    wf_store_rlx(&child->fiber, fiber);
    fiber->task = child;
    wf_store_rlx(&worker->running, child);
    return fn(child->arg);
}

/* Comes next: from here on no canceller finds the child there. */
static inline void wf_inside_left(weft_task *self)
{
    wf_store_rlx(&self->joins, UINT64_C(0));
}

/* The fiber's task is `self` again. */
static inline void wf_inside_come_back(struct wf_worker *worker, weft_task *self)
{
    worker->fiber->task = self;
    wf_store_rlx(&worker->running, self);
}

/* A child that ended with a value and has nothing but what every task has: nobody is to be told of its end, if its
 * references and its word say so too (wf_inside_end_unseen). */
static inline bool wf_inside_is_plain(const struct wf_worker *worker, weft_task *child,
                                      unsigned more, intptr_t raw)
{
    unsigned apart = wf_task_flags(child) & (more | WF_TASK_WALKS);
    return WF_LIKELY(apart == 0) && WF_LIKELY(!wf_task_has_scope(child)) &&
           WF_LIKELY(!weft_is_error(raw)) && !wf_task_cache_is_full(&worker->tasks);
}

/* Nobody but the joiner, or the group, and the run. */
#define WF_INSIDE_SOLE (WF_OWNER_ONE | WF_HOLD_ONE)

/* Somebody has a handle of it, waits for its end or has sent it requests. */
#define WF_INSIDE_TOLD (WF_JOINED | WF_TOLD | WF_DETACHED | WF_UNDELIVERED_MASK)

_Static_assert((WF_OWNERS_MASK | WF_HOLDS_MASK) == UINT32_MAX, "the lower half");

/* Gives up the last two references, a handle and the run's, without a locked operation, after wf_inside_left; false,
 * with nothing changed: there are others, or somebody is to be told, or was at the joiner `self`, or the worker is
 * not biased. `word` receives the child's. Who would come between the looks and the store has no reference yet, or is about
 * to mark `self` as busy: a guest (base/bias.h) in both cases. tests/model/bias.pml. */
static inline bool wf_inside_end_biased(struct wf_task_cache *cache, weft_task *self,
                                        weft_task *child, uint64_t *word)
{
    const struct wf_bias_unless unless = {
        {&child->word, &self->word}, WF_INSIDE_TOLD, (uint8_t)(WF_BUSY | WF_HANDED)};
    bool is_sole =
        wf_bias_clear_low(&cache->owner, &child->refs, (uint32_t)WF_INSIDE_SOLE, &unless);
    *word = wf_load_acq(&child->word); /* of a slot that is nobody's yet, or for nothing */
    return WF_LIKELY(is_sole);
}

/* Takes the last two references, one handle (or owner) and the run's; false, with nothing changed: there are
 * others, or somebody is to be told. `word` receives the child's. */
static inline bool wf_inside_end_unseen(weft_task *child, uint64_t *word)
{
    uint64_t refs = wf_load_rlx(&child->refs);
    if (WF_UNLIKELY((refs & (WF_OWNERS_MASK | WF_HOLDS_MASK)) != WF_INSIDE_SOLE) ||
        WF_UNLIKELY(!wf_cas_sc(&child->refs, &refs, refs - WF_INSIDE_SOLE))) {
        return false;
    }
    *word = wf_load_acq(&child->word);
    if (__builtin_expect((*word & WF_INSIDE_TOLD) != 0, 0)) {
        wf_store_rel(&child->refs, refs); /* nobody can have taken a reference meanwhile */
        return false;
    }
    return true;
}

#endif
