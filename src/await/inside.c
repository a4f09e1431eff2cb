// SPDX-License-Identifier: MIT
/* inside.c - a join that runs the child on the joiner's own stack.
 *
 * What: a plain join of a task that has not started claims it and calls it: no trip through a queue, no
 *       stack, no switch. The child keeps its identity; while it runs it is the fiber's task.
 * Why this is sound: a plain join hands its requests on and returns only after the child has ended, so
 *       parent and child could not run at the same time anyway.
 * See docs/architecture.md, "Joining inside".
 *
 * Requests. The parent goes on being RUN, so a canceller finds nobody to wake: it looks at `joins` and hands
 * the request on to the child named there (wf_cancel_inside).
 *     parent:     joins = child; claim the child (full fence); look for requests of its own
 *     canceller:  add the request (full fence); look at joins
 * At least one of the two sees the other; if both do, the request is taken by one CAS. A worker that is biased (base/bias.h)
 * claims without a fence, and looks only before that: the canceller is a guest between the two, which is a heavy fence and
 * takes the bias away. Either the claim is from before that, and it sees the child; or the claim is refused, and made by a
 * locked operation. (Claims and the looks before them have no wf_bias_look in between.)
 *     parent:     joins = 0; end the child (full fence, or see wf_inside_end_biased); look for WF_BUSY
 *     canceller:  set WF_BUSY (full fence); look at joins again
 * So the child that a canceller finds is the present one until the canceller is done.
 *
 * Cost: no locked instruction for a spawn and an await while the worker is biased. Else two: the claim, and the step from
 * {one handle, one run} to nobody, which ends the task and frees its slot when nobody else knows it, and is the full
 * fence of an end.
 */

#include "await/inside.h"

#include <errno.h>

#include <weft/task.h>

/* ---- may it? ---- */

/* A simulation draws it, seed 0 never does. */
static bool fits_simulation(struct wf_worker *worker)
{
    return worker->sim == NULL ||
           (!wf_sim_is_strict(worker->sim) && wf_sim_chance(worker->sim, 500));
}

bool wf_inside_look_closer(struct wf_worker *worker, uint64_t entry, uint64_t *dead)
{
    if (!fits_simulation(worker)) {
        return false;
    }
    bool is_newest = wf_deque_newest(&worker->deque, 0) == entry;
    bool is_tidy = is_newest && wf_deque_bottom(&worker->deque) > worker->odd_below;
    *dead = is_tidy ? 1 : wf_ready_count_dead(worker, is_newest);
    return true;
}

/* ---- requests ---- */

__attribute__((noinline)) void wf_inside_hand_on(weft_task *self)
{
    struct wf_later later;
    wf_later_init(&later);
    wf_cancel_inside(self, &later);
    wf_later_run(&later);
}

__attribute__((noinline)) bool wf_inside_was_handed(weft_task *self)
{
    uint64_t word = wf_load_acq(&self->word);
    if ((word & WF_BUSY) != 0) {
        wf_lock(&self->lock); /* for as long as the mark stands */
        wf_unlock(&self->lock);
        word = wf_load_acq(&self->word);
    }
    if ((word & WF_HANDED) == 0) {
        return false;
    }
    (void)wf_solo_and64(&self->word, ~WF_HANDED);
    return true;
}

static inline __attribute__((always_inline)) bool claim_locked(struct wf_worker *worker,
                                                               weft_task *self, weft_task *child,
                                                               uint64_t seen, uint64_t bottom,
                                                               uint64_t dead)
{
    if (WF_UNLIKELY(!wf_ready_claim_locked(worker, child, seen, bottom, dead))) {
        wf_inside_stand_back(self);
        return false;
    }
    wf_inside_look(self);
    return true;
}

/* Not inline: always so where nobody is ever biased, which then costs a call; elsewhere rarely. */
__attribute__((noinline)) bool wf_inside_claim_newest_locked(struct wf_worker *worker,
                                                             weft_task *self, weft_task *child,
                                                             uint64_t seen, uint64_t bottom)
{
    return claim_locked(worker, self, child, seen, bottom, 1);
}

/* As that, for claim_in_order. */
static __attribute__((noinline)) bool claim_in_order_locked(struct wf_worker *worker,
                                                            weft_task *self, weft_task *child,
                                                            uint64_t seen, uint64_t bottom)
{
    return claim_locked(worker, self, child, seen, bottom, 0);
}

/* After the child has ended: what the join returns. */
static inline int leave(weft_task *self, bool was_cancelled)
{
    wf_fence_after_rmw();
    uint64_t word = wf_load_acq(&self->word);
    if (__builtin_expect((word & (WF_BUSY | WF_HANDED)) == 0, 1) || !wf_inside_was_handed(self) ||
        !was_cancelled) {
        return 0;
    }
    wf_state_set(&self->word, WF_TOLD);
    return -ECANCELED;
}

__attribute__((noinline)) void wf_inside_stand_back(weft_task *self)
{
    wf_store_rlx(&self->joins, UINT64_C(0));
    wf_fence_full();
    wf_lock(&self->lock); /* a canceller may have a hold on the child for as long */
    wf_unlock(&self->lock);
}

void wf_inside_wait_for_cancellers(weft_task *self, weft_task *child)
{
    wf_fence_after_rmw();
    if ((wf_load_acq(&self->word) & WF_BUSY) != 0 ||
        (wf_load_acq(&child->refs) & WF_HOLDS_MASK) != 0) {
        wf_lock(&self->lock);
        wf_unlock(&self->lock);
    }
}

/* ---- the end of the child ---- */

/* Nobody but the caller knows the task any more, or is to be told of its end: its slot is free. The joiner goes on. */
static inline __attribute__((always_inline)) void end_quickly(struct wf_worker *worker,
                                                              weft_task *self, weft_task *task,
                                                              uint64_t word, intptr_t raw,
                                                              intptr_t *result)
{
    /* release: as in wf_task_end_on */
    wf_bump_own_rel(&worker->counters.finished);
    wf_task_free_quickly(&worker->tasks, task, word);
    wf_inside_come_back(worker, self);
    if (result != NULL) {
        *result = raw;
    }
}

/* Where only the batch of free slots was full: as below it would touch what nobody has touched of the record. */
static bool end_with_new_room(struct wf_worker *worker, weft_task *self, weft_task *task,
                              intptr_t raw, intptr_t *result)
{
    uint64_t word;
    if (!wf_task_cache_is_full(&worker->tasks)) {
        return false; /* it is something else */
    }
    wf_task_cache_make_room(&worker->tasks);
    if (!wf_inside_is_plain(worker, task, WF_TASK_MORE, raw) ||
        !wf_inside_end_unseen(task, &word)) {
        return false;
    }
    end_quickly(worker, self, task, word, raw, result);
    return true;
}

static __attribute__((noinline)) bool end_fully(struct wf_worker *worker, weft_task *self,
                                                weft_task *task, intptr_t raw, intptr_t *result,
                                                bool drops)
{
    if (drops && end_with_new_room(worker, self, task, raw, result)) {
        return false;
    }
    wf_task_check_scopes(task);
    wf_task_end_on(worker, task, raw);
    wf_task_look(task, result);
    bool was_cancelled = wf_word_life(wf_load_acq(&task->word)) == WF_CANCELLED;
    wf_inside_come_back(worker, self); /* who drops it, and what drop_result sees, is the joiner */
    wf_inside_wait_for_cancellers(self, task);
    if (drops) {
        weft_drop(task);
    }
    return was_cancelled;
}

/* ---- running it ---- */

/* In the order of spawning: no entry goes, and its own stays until a join comes to it from above. */
static inline bool claim_in_order(struct wf_worker *worker, weft_task *self, weft_task *task,
                                  uint64_t entry, uint64_t seen, uint64_t bottom)
{
    if (worker->odd_below == UINT64_MAX || wf_runtime_of(task) != worker->runtime ||
        (wf_task_flags(task) & WF_TASK_APART) != 0) {
        return false;
    }
    worker->odd_below = bottom;
    if (WF_UNLIKELY(wf_entry_is_others(worker, task))) {
        return wf_inside_claim(worker, self, task, entry, WF_JOINS_INSIDE, seen, bottom, 0);
    }
    wf_inside_show(self, entry, WF_JOINS_INSIDE);
    return WF_LIKELY(wf_ready_claim_biased(worker, task, seen)) ||
           claim_in_order_locked(worker, self, task, seen, bottom);
}

/* Without a look at more than the newest entry. False: look closer, if it is still NEW. */
static inline __attribute__((always_inline)) bool claim_at_once(struct wf_worker *worker,
                                                                weft_task *self, weft_task *task,
                                                                uint64_t seen)
{
    uint64_t entry = wf_task_token(task) + WF_READY_NEW;
    uint64_t bottom = wf_deque_bottom(&worker->deque);
    if (WF_LIKELY(wf_deque_at(&worker->deque, bottom - 1) == entry)) { /* of this runtime */
        return WF_LIKELY(bottom > worker->odd_below) &&
               WF_LIKELY(!wf_entry_is_others(worker, task)) &&
               wf_inside_claim_newest(worker, self, task, entry, WF_JOINS_INSIDE, seen, bottom);
    }
    return claim_in_order(worker, self, task, entry, seen, bottom);
}

/* The claimed child: from its call to what the join returns. */
static inline __attribute__((always_inline)) int run(struct wf_worker *worker, weft_task *self,
                                                     weft_task *task, intptr_t *result, bool drops)
{
    intptr_t raw = wf_inside_call(worker, task);
    uint64_t word;
    WF_FORGET(self);
    WF_FORGET(task);
    wf_inside_left(self);
    worker = wf_here(); /* it may have moved */
    if (WF_LIKELY(drops) && WF_LIKELY(wf_inside_is_plain(worker, task, WF_TASK_MORE, raw))) {
        if (WF_LIKELY(wf_inside_end_biased(&worker->tasks, self, task, &word))) {
            end_quickly(worker, self, task, word, raw, result);
            return 0; /* nobody has been at the joiner */
        }
        if (wf_inside_end_unseen(task, &word)) {
            end_quickly(worker, self, task, word, raw, result);
            return leave(self, false);
        }
    }
    return leave(self, end_fully(worker, self, task, raw, result, drops));
}

/* ---- the calls ---- */

static __attribute__((noinline)) int join_slowly(weft_task *task, intptr_t *result, bool drops,
                                                 const char *call)
{
    weft_task *self = wf_door_running(wf_here());
    return self != NULL && task != NULL
               ? wf_join_plainly(self, task, result, drops, call)
               : wf_join(task, result, false, call); /* which says why not */
}

/* Not inside. */
static inline __attribute__((always_inline)) int join_elsewhere(weft_task *task, intptr_t *result,
                                                                bool drops, const char *call)
{
    weft_task *self = wf_load_rlx(&wf_here_quick()->running);
    return WF_LIKELY(task != NULL) && WF_LIKELY(wf_join_passes(self))
               ? wf_join_passed(self, task, result, drops)
               : join_slowly(task, result, drops, call);
}

/* Inside, if it is still possible once others have had their turn. */
static bool claim_slowly(struct wf_worker *worker, weft_task *self, weft_task *task)
{
    uint64_t seen;
    uint64_t word;
    uint64_t dead;
    uint64_t entry = wf_task_token(task) + WF_READY_NEW;
    return wf_inside_is_quiet(task, WF_NEW, &seen) && wf_inside_is_quiet(self, WF_RUN, &word) &&
           (wf_task_flags(task) & WF_TASK_APART) == 0 && wf_fiber_has_room(worker->fiber) &&
           wf_runtime_of(task) == worker->runtime && wf_inside_look_closer(worker, entry, &dead) &&
           wf_inside_claim(worker, self, task, entry, WF_JOINS_INSIDE, seen,
                           wf_deque_bottom(&worker->deque), dead);
}

/* Any plain join. May switch. */
static __attribute__((noinline)) int join_plainly(weft_task *task, intptr_t *result, bool drops,
                                                  const char *name)
{
    struct wf_worker *worker = wf_here();
    weft_task *self = wf_door_running(worker);
    if (task == NULL || self == NULL || wf_door_is_shut(self) ||
        wf_word_life(wf_load_acq(&task->word)) != WF_NEW) {
        return join_elsewhere(task, result, drops, name);
    }
    wf_door_count(self, name);
    bool has_woken = wf_load_rlx(&worker->slot) != 0;
    if ((--worker->until_pause < 0 || has_woken) && worker->sim == NULL) {
        wf_sched_pause(worker);
        worker = wf_here();
    }
    if (self->scope != NULL) {
        wf_limit_arm_idle(self); /* the child may wait */
    }
    if (!claim_slowly(worker, self, task)) {
        return join_elsewhere(task, result, drops, NULL);
    }
    if (worker->sim != NULL) {
        wf_sim_begin(worker->sim, task, true);
    }
    return run(worker, self, task, result, drops);
}

int weft_join(weft_task *task, intptr_t *result)
{
    return join_plainly(task, result, false, __func__);
}

/* The same as join_plainly while nothing is out of the ordinary: what fork-join programs do. `seen` is the task's
 * word: NEW, with nothing undelivered, at home. */
static __attribute__((noinline)) int await_new(weft_task *task, intptr_t *result, uint64_t seen,
                                               const char *name)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_load_rlx(&worker->running);
    uint64_t word;
    if (WF_LIKELY(wf_inside_is_quiet(self, WF_RUN, &word)) && WF_LIKELY(self->scope == NULL) &&
        WF_LIKELY(wf_fiber_has_room(worker->fiber)) && WF_LIKELY(wf_load_rlx(&worker->slot) == 0) &&
        WF_LIKELY(--worker->until_pause >= 0) &&
        WF_LIKELY(claim_at_once(worker, self, task, seen))) {
        return run(worker, self, task, result, true);
    }
    return join_plainly(task, result, true, name);
}

/* Without a frame: which way it goes is seen first. */
int weft_await(weft_task *task, intptr_t *result)
{
    uint64_t seen = WF_FREE;
    if (WF_LIKELY(task != NULL)) {
        seen = wf_load_acq(&task->word);
        if (WF_LIKELY((seen & WF_INSIDE_AT_HOME) == WF_NEW)) {
            return await_new(task, result, seen, __func__);
        }
    }
    return WF_UNLIKELY(wf_word_life(seen) == WF_NEW) ? join_plainly(task, result, true, __func__)
                                                     : join_elsewhere(task, result, true, __func__);
}
