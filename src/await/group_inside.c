// SPDX-License-Identifier: MIT
/* group_inside.c - a group that closes runs its children on the stack of the task that closes it.
 *
 * What: the newest child that has not started is claimed and called, then the next one. What is not to be had so
 *       (others have it, or it has parked elsewhere) is waited for as ever (group_close.c).
 * Why this is sound: closing returns only when all children have ended, whatever happens, so the task could not go
 *       on beside any of them.
 *
 * Requests. As in a join (inside.c), but what a canceller finds in `joins` says WF_JOINS_ALL: a request to the task
 * then goes to all children through the owner of the one that is named, and leaves WF_HANDED. The group is there
 * while a canceller is in it: it has WF_BUSY set and holds the task's lock, and the task looks for both after
 * `joins` is 0 and before it goes on to wait or to close.
 * The child stays in the group's list while it runs: an abort by a sibling reaches it as any other, once.
 *
 * A child that is looked at outside the group's lock may be over, and its slot another task's: the word that was
 * seen under the lock names that life of the slot, and a claim of any other fails.
 *
 * Cost: four locked instructions for a child beyond the plain spawn's none: the lock when it is spawned, the claim,
 * its references, and the lock in which it leaves and the next one is found.
 */
#include "await/group.h"
#include "await/inside.h"

/* The newest child, as it was under the group's lock. */
struct offer {
    weft_task *task; /* NULL: there is none */
    uint64_t seen;
};

/* Under the lock. Of older ones nothing is known here: thieves take the oldest, so where the newest is not to be
 * had the others hardly are. */
static inline __attribute__((always_inline)) struct offer newest_of(struct wf_group *g)
{
    weft_task *task = wf_group_child(g->children.prev);
    return (struct offer){task, wf_load_acq(&task->word)};
}

static inline __attribute__((always_inline)) struct offer find_newest(struct wf_group *g)
{
    return wf_list_is_empty(&g->children) ? (struct offer){NULL, 0} : newest_of(g);
}

/* `id` receives the child's. */
static struct offer find_first(struct wf_group *g, uint64_t *id)
{
    wf_lock(&g->lock);
    struct offer offer = find_newest(g);
    *id = offer.task != NULL ? wf_task_id(offer.task) : 0;
    wf_unlock(&g->lock);
    return offer;
}

/* Has not started, and is not to be cancelled? */
static inline bool is_new(struct offer offer)
{
    return offer.task != NULL && (offer.seen & WF_INSIDE_QUIET) == WF_NEW;
}

/* ---- the claim ---- */

/* Its id is looked at right before the claim: the slot would have to have 2^18 other lives in between. */
static bool claim_slowly(struct wf_worker *worker, weft_task *self, struct offer offer, uint64_t id)
{
    uint64_t word;
    uint64_t dead;
    uint64_t entry = wf_token_of(offer.task, id) + WF_READY_NEW;
    if (!wf_inside_is_quiet(self, WF_RUN, &word) || !wf_fiber_has_room(worker->fiber) ||
        (wf_task_flags(offer.task) & WF_TASK_APART) != 0 || wf_task_id(offer.task) != id ||
        !wf_inside_look_closer(worker, entry, &dead)) {
        return false;
    }
    bool is_ours = wf_inside_claim(worker, self, offer.task, entry, WF_JOINS_INSIDE | WF_JOINS_ALL,
                                   offer.seen, wf_deque_bottom(&worker->deque), dead);
    if (is_ours && worker->sim != NULL) {
        wf_sim_begin(worker->sim, offer.task, true);
    }
    return is_ours;
}

/* Any claim. Others have their turn first, now and then (sched/pause.c); an offer does not outlast that. May switch.
 * Returns the task, or NULL. */
static __attribute__((noinline)) weft_task *claim_fully(struct wf_group *g)
{
    uint64_t id;
    struct wf_worker *worker = wf_here();
    if ((worker->until_pause < 0 || wf_load_rlx(&worker->slot) != 0) && worker->sim == NULL) {
        wf_sched_pause(worker);
        worker = wf_here();
    }
    struct offer offer = find_first(g, &id);
    bool is_ours = is_new(offer) && claim_slowly(worker, g->scope.task, offer, id);
    return is_ours ? offer.task : NULL;
}

/* The same without what is rare: a child that is at home, here, and the newest entry of the deque (which no child that is
 * APART is, nor any in a simulation). That entry is compared with the id of this moment, right before the claim. */
static inline __attribute__((always_inline)) weft_task *claim(struct wf_worker *worker,
                                                              struct wf_group *g,
                                                              struct offer offer)
{
    weft_task *self = g->scope.task;
    uint64_t word;
    bool must_pause = --worker->until_pause < 0;
    if (WF_LIKELY((offer.seen & WF_INSIDE_AT_HOME) == WF_NEW) && WF_LIKELY(!must_pause) &&
        WF_LIKELY(wf_load_rlx(&worker->slot) == 0) &&
        WF_LIKELY(wf_inside_is_quiet(self, WF_RUN, &word)) &&
        WF_LIKELY(wf_fiber_has_room(worker->fiber))) {
        uint64_t bottom = wf_deque_bottom(&worker->deque);
        uint64_t entry = wf_task_token(offer.task) + WF_READY_NEW;
        if (WF_LIKELY(wf_deque_at(&worker->deque, bottom - 1) == entry) &&
            WF_LIKELY(bottom > worker->odd_below) &&
            WF_LIKELY(!wf_entry_is_others(worker, offer.task))) {
            bool is_ours =
                wf_inside_claim_newest(worker, self, offer.task, entry,
                                       WF_JOINS_INSIDE | WF_JOINS_ALL, offer.seen, bottom);
            return WF_LIKELY(is_ours) ? offer.task : NULL;
        }
    }
    return is_new(offer) ? claim_fully(g) : NULL;
}

/* ---- the end of the child ---- */

/* Nobody but the group knows it: it leaves, and the next one is found, in one go. */
static inline __attribute__((always_inline)) bool end_quickly(struct wf_worker *worker,
                                                              struct wf_group *g, weft_task *task,
                                                              intptr_t raw, struct offer *next)
{
    weft_task *self = g->scope.task;
    struct wf_task_side *side = wf_task_side(task);
    uintptr_t has_more = (uintptr_t)side->extra | (uintptr_t)side->errors;
    uint64_t word;
    if (WF_UNLIKELY(has_more != 0) || WF_UNLIKELY(task->has_values) ||
        WF_UNLIKELY(!wf_inside_is_plain(worker, task, 0, raw))) {
        return false;
    }
    /* And the fence after wf_inside_left, for the last look of wf_group_close_inside. */
    wf_lock(&g->lock);
    if (WF_UNLIKELY(!wf_inside_end_biased(&worker->tasks, self, task, &word)) &&
        !wf_inside_end_unseen(task, &word)) {
        wf_unlock(&g->lock);
        return false;
    }
    wf_list_take(&side->siblings);
    g->live--;
    *next = find_newest(g);
    if (next->task == NULL) {
        g->phase = WF_GROUP_CLOSED; /* nobody may add any more */
    }
    wf_unlock(&g->lock);
    side->owner = NULL;
    /* release: as in wf_task_end_on */
    wf_bump_own_rel(&worker->counters.finished);
    wf_task_free_quickly(&worker->tasks, task, word);
    wf_inside_come_back(worker, self);
    return true;
}

/* The hold keeps the record until no canceller is at it: whoever drops the result is this task. */
static __attribute__((noinline)) void end_fully(struct wf_worker *worker, struct wf_group *g,
                                                weft_task *task, intptr_t raw)
{
    weft_task *self = g->scope.task;
    wf_task_check_scopes(task);
    (void)wf_task_hold(task);
    wf_task_end_on(worker, task, raw);
    wf_inside_come_back(worker, self);
    wf_inside_wait_for_cancellers(self, task);
    wf_task_let_go(task, &worker->tasks);
}

/* ---- one after the other ---- */

/* The claimed child: from its call to the offer of the next. Returns the worker on which that is. */
static inline __attribute__((always_inline)) struct wf_worker *run(struct wf_group *g,
                                                                   weft_task *task,
                                                                   struct offer *next)
{
    weft_task *self = g->scope.task;
    intptr_t raw = wf_inside_call(wf_here(), task);
    WF_FORGET(self);
    WF_FORGET(task);
    wf_inside_left(self);
    struct wf_worker *worker = wf_here(); /* it may have moved */
    if (WF_LIKELY(end_quickly(worker, g, task, raw, next))) {
        return worker;
    }
    uint64_t id;
    end_fully(worker, g, task, raw);
    *next = find_first(g, &id);
    return wf_here();
}

intptr_t wf_group_close_inside(struct wf_group *g, intptr_t rc, bool absorbed)
{
    struct offer offer = newest_of(g);
    wf_unlock(&g->lock);
    if (WF_UNLIKELY(g->owner.is_queued)) { /* where all has its turn */
        return wf_group_conclude(g, rc, absorbed);
    }
    if (WF_UNLIKELY(g->scope.outer != NULL) && is_new(offer)) {
        wf_limit_arm_idle(g->scope.task); /* the child may wait */
    }
    struct wf_worker *worker = wf_here();
    do {
        weft_task *task = claim(worker, g, offer);
        if (task == NULL) {
            break;
        }
        worker = run(g, task, &offer);
    } while (offer.task != NULL);
    wf_fence_after_rmw(); /* between `joins` and this look: the lock, or the claim that failed */
    weft_task *self = g->scope.task;
    bool is_quiet = (wf_load_acq(&self->word) & (WF_BUSY | WF_HANDED)) == 0;
    if (WF_LIKELY(is_quiet) && WF_LIKELY(g->phase == WF_GROUP_CLOSED) &&
        WF_LIKELY(wf_group_is_plain(g)) && WF_LIKELY(!weft_is_error(rc))) {
        wf_group_leave(g); /* an absorbed request would have made an error of rc */
        return rc;
    }
    absorbed = (!is_quiet && wf_inside_was_handed(self)) || absorbed;
    return wf_group_conclude(g, rc, absorbed);
}
