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

/* A child that has not started, as it was under the group's lock. */
struct offer {
    weft_task *task;
    uint64_t seen;
    uint64_t entry;
};

/* Under the lock. Of older ones nothing is known here: thieves take the oldest, so where the newest is not to be
 * had the others hardly are. */
static inline bool find_newest(struct wf_group *g, struct offer *offer)
{
    if (wf_list_is_empty(&g->children)) {
        return false;
    }
    weft_task *task = wf_group_child(g->children.prev);
    offer->task = task;
    offer->entry = wf_task_token(task) + WF_READY_NEW;
    return wf_inside_is_quiet(task, WF_NEW, &offer->seen) &&
           (wf_task_flags(task) & WF_TASK_APART) == 0;
}

static bool find_first(struct wf_group *g, struct offer *offer)
{
    wf_lock(&g->lock);
    bool is_found = find_newest(g, offer);
    wf_unlock(&g->lock);
    return is_found;
}

/* ---- the claim ---- */

/* Its id is looked at right before the claim: the slot would have to have 2^18 other lives in between. */
static inline bool is_fit(const struct wf_worker *worker, weft_task *self,
                          const struct offer *offer)
{
    uint64_t word;
    return wf_inside_is_quiet(self, WF_RUN, &word) && wf_fiber_has_room(worker->fiber) &&
           wf_task_token(offer->task) + WF_READY_NEW == offer->entry;
}

static bool claim_slowly(struct wf_worker *worker, weft_task *self, const struct offer *offer)
{
    uint64_t dead;
    if (!wf_inside_look_closer(worker, offer->entry, &dead)) {
        return false;
    }
    bool is_ours =
        wf_inside_claim(worker, self, offer->task, offer->entry, WF_JOINS_INSIDE | WF_JOINS_ALL,
                        offer->seen, wf_deque_bottom(&worker->deque), dead);
    if (is_ours && worker->sim != NULL) {
        wf_sim_begin(worker->sim, offer->task, true);
    }
    return is_ours;
}

/* Others have their turn first, now and then (sched/pause.c); an offer does not outlast that. May switch. False:
 * there is no child any more. */
static bool let_others_in(struct wf_worker *worker, struct wf_group *g, struct offer *offer)
{
    bool must_pause = --worker->until_pause < 0 || wf_load_rlx(&worker->slot) != 0;
    if (__builtin_expect(!must_pause || worker->sim != NULL, 1)) {
        return true;
    }
    wf_sched_pause(worker);
    return find_first(g, offer);
}

static bool claim(struct wf_group *g, struct offer *offer)
{
    weft_task *self = g->scope.task;
    if (!let_others_in(wf_here(), g, offer)) {
        return false;
    }
    struct wf_worker *worker = wf_here();
    if (!is_fit(worker, self, offer)) {
        return false;
    }
    uint64_t bottom = wf_deque_bottom(&worker->deque);
    if (WF_LIKELY(wf_deque_at(&worker->deque, bottom - 1) == offer->entry) &&
        WF_LIKELY(bottom > worker->odd_below) && WF_LIKELY(worker->sim == NULL) &&
        WF_LIKELY(wf_word_is_at_home(offer->seen)) &&
        WF_LIKELY(!wf_entry_is_others(worker, offer->task))) {
        return wf_inside_claim_newest(worker, self, offer->task, offer->entry,
                                      WF_JOINS_INSIDE | WF_JOINS_ALL, offer->seen, bottom);
    }
    return claim_slowly(worker, self, offer);
}

/* ---- the end of the child ---- */

/* Nobody but the group knows it: it leaves, and the next one is found, in one go. */
static inline bool end_quickly(struct wf_worker *worker, struct wf_group *g, weft_task *task,
                               intptr_t raw, struct offer *next, bool *is_found)
{
    struct wf_task_side *side = wf_task_side(task);
    uintptr_t has_more =
        (uintptr_t)task->context | (uintptr_t)side->extra | (uintptr_t)side->errors;
    uint64_t word;
    if (WF_UNLIKELY(has_more != 0) || WF_UNLIKELY(!wf_inside_is_plain(worker, task, 0, raw))) {
        return false;
    }
    /* And the fence after wf_inside_left, for the last look of wf_group_run_inside. */
    wf_lock(&g->lock);
    if (WF_UNLIKELY(!wf_inside_end_biased(&worker->tasks, g->scope.task, task, &word)) &&
        !wf_inside_end_unseen(task, &word)) {
        wf_unlock(&g->lock);
        return false;
    }
    wf_list_remove(&side->siblings);
    g->live--;
    g->phase = g->live > 0 ? WF_GROUP_OPEN : WF_GROUP_CLOSED; /* nobody may add any more */
    *is_found = find_newest(g, next);
    wf_unlock(&g->lock);
    side->owner = NULL;
    /* release: as in wf_task_end_on */
    wf_bump_own_rel(&worker->counters.finished);
    wf_task_free_quickly(&worker->tasks, task, word);
    wf_inside_come_back(worker, g->scope.task);
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

/* The claimed child: from its call to the offer of the next. */
static bool run(struct wf_group *g, struct offer *offer)
{
    weft_task *self = g->scope.task;
    weft_task *task = offer->task;
    bool is_found;
    intptr_t raw = wf_inside_call(wf_here(), task);
    WF_FORGET(self);
    WF_FORGET(task);
    wf_inside_left(self);
    struct wf_worker *worker = wf_here(); /* it may have moved */
    if (__builtin_expect(end_quickly(worker, g, task, raw, offer, &is_found), 1)) {
        return is_found;
    }
    end_fully(worker, g, task, raw);
    return find_first(g, offer);
}

bool wf_group_run_inside(struct wf_group *g)
{
    weft_task *self = g->scope.task;
    struct offer offer;
    bool is_found = !wf_has_turns(self) && find_first(g, &offer);
    if (is_found && g->scope.outer != NULL) {
        wf_limit_arm_idle(self); /* the child may wait */
    }
    while (is_found && claim(g, &offer)) {
        is_found = run(g, &offer);
    }
    wf_fence_after_rmw(); /* between `joins` and this look: the lock, or the claim that failed */
    uint64_t word = wf_load_acq(&self->word);
    return __builtin_expect((word & (WF_BUSY | WF_HANDED)) != 0, 0) && wf_inside_was_handed(self);
}
