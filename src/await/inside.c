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
 * At least one of the two sees the other; if both do, the request is taken by one CAS.
 *     parent:     joins = 0; end the child (full fence); look for WF_BUSY
 *     canceller:  set WF_BUSY (full fence); look at joins again
 * So the child that a canceller finds is the present one until the canceller is done.
 *
 * Cost: two locked instructions for a spawn and an await: the claim, and the step from {one handle, one run}
 * to nobody, which ends the task and frees its slot when nobody else knows it.
 */

#include <errno.h>

#include <weft/task.h>

#include "await/limit.h"
#include "base/hint.h"
#include "sched/ready.h"

/* ---- may it? ---- */

/* A simulation draws it, seed 0 never does. */
static bool fits_simulation(struct wf_worker *worker)
{
    return worker->sim == NULL ||
           (!wf_sim_is_strict(worker->sim) && wf_sim_chance(worker->sim, 500));
}

/* How many entries go with the claim, when it is not just that of the newest. False: not inside. */
static bool look_closer(struct wf_worker *worker, weft_task *task, uint64_t *dead)
{
    if (wf_runtime_of(task) != worker->runtime || !fits_simulation(worker)) {
        return false;
    }
    bool is_newest = wf_ready_is_newest(worker, wf_task_token(task));
    bool is_tidy = is_newest && wf_deque_bottom(&worker->deque) > worker->odd_below;
    *dead = is_tidy ? 1 : wf_ready_count_dead(worker, is_newest);
    return true;
}

/* Nothing is undelivered, and it has not started, or runs. */
#define QUIET_MASK (WF_LIFE_MASK | WF_UNDELIVERED_MASK)

static inline bool is_quiet(weft_task *task, enum wf_life life, uint64_t *word)
{
    *word = wf_load_acq(&task->word);
    return (*word & QUIET_MASK) == life;
}

/* ---- requests ---- */

static __attribute__((noinline)) void hand_on_now(weft_task *self)
{
    struct wf_later later;
    wf_later_init(&later);
    wf_cancel_inside(self, &later);
    wf_later_run(&later);
}

/* True: some request went to the child. */
static __attribute__((noinline)) bool was_handed(weft_task *self)
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
    (void)wf_and_acqrel(&self->word, ~WF_HANDED);
    return true;
}

/* After the child has ended: what the join returns. */
static inline int leave(weft_task *self, bool was_cancelled)
{
    wf_fence_after_rmw();
    uint64_t word = wf_load_acq(&self->word);
    if (__builtin_expect((word & (WF_BUSY | WF_HANDED)) == 0, 1) || !was_handed(self) ||
        !was_cancelled) {
        return 0;
    }
    wf_state_set(&self->word, WF_TOLD);
    return -ECANCELED;
}

/* Somebody else has the child. A request may have gone on to it already: WF_HANDED then stays for the join
 * that comes (join.c). */
static __attribute__((noinline)) void stand_back(weft_task *self)
{
    wf_store_rlx(&self->joins, UINT64_C(0));
    wf_fence_full();
    wf_lock(&self->lock); /* a canceller may have a hold on the child for as long */
    wf_unlock(&self->lock);
}

/* `joins` says 0. A canceller may still be at it, with a hold on the child that must not be the last: who drops
 * the result is the joiner, before it goes on. */
static void wait_for_cancellers(weft_task *self, weft_task *task)
{
    wf_fence_after_rmw();
    if ((wf_load_acq(&self->word) & WF_BUSY) != 0 ||
        (wf_load_acq(&task->refs) & WF_HOLDS_MASK) != 0) {
        wf_lock(&self->lock);
        wf_unlock(&self->lock);
    }
}

/* ---- the end of the child ---- */

/* Nobody but the caller knows the task, and it has a value: nobody is to be told of its end. */
static inline bool end_quickly(struct wf_worker *worker, weft_task *task, intptr_t raw)
{
    uintptr_t more =
        (uintptr_t)task->scope | (wf_task_flags(task) & (WF_TASK_MORE | WF_TASK_WALKS));
    uint64_t refs = wf_load_rlx(&task->refs);
    const uint64_t sole = WF_OWNER_ONE | WF_HOLD_ONE;
    if (WF_UNLIKELY(more != 0) || WF_UNLIKELY(weft_is_error(raw)) ||
        WF_UNLIKELY((refs & (WF_OWNERS_MASK | WF_HOLDS_MASK)) != sole) ||
        WF_UNLIKELY(worker->tasks.hot_count == WF_TASK_BATCH) ||
        WF_UNLIKELY(!wf_cas_sc(&task->refs, &refs, refs - sole))) {
        return false;
    }
    const uint64_t told = WF_JOINED | WF_TOLD | WF_DETACHED | WF_UNDELIVERED_MASK;
    uint64_t word = wf_load_acq(&task->word);
    if (__builtin_expect((word & told) != 0, 0)) {
        wf_store_rel(&task->refs, refs); /* nobody can have taken a reference meanwhile */
        return false;
    }
    /* release: as in wf_task_end_on */
    wf_bump_own_rel(&worker->counters.finished);
    wf_task_free_quickly(&worker->tasks, task, word);
    return true;
}

static inline void come_back(struct wf_worker *worker, weft_task *self)
{
    worker->fiber->task = self;
    wf_store_rlx(&worker->running, self);
}

static __attribute__((noinline)) bool end_fully(struct wf_worker *worker, weft_task *self,
                                                weft_task *task, intptr_t raw, intptr_t *result,
                                                bool drops)
{
    wf_task_check_scopes(task);
    wf_task_end_on(worker, task, raw);
    wf_task_look(task, result);
    bool was_cancelled = wf_word_life(wf_load_acq(&task->word)) == WF_CANCELLED;
    come_back(worker, self); /* who drops it, and what drop_result then sees, is the joiner */
    wait_for_cancellers(self, task);
    if (drops) {
        weft_drop(task);
    }
    return was_cancelled;
}

/* ---- running it ---- */

/* `entry` is the task's, and the `dead` newest ones of the deque go with the claim. */
static inline __attribute__((always_inline)) bool claim(struct wf_worker *worker, weft_task *self,
                                                        weft_task *task, uint64_t entry,
                                                        uint64_t seen, uint64_t bottom,
                                                        uint64_t dead)
{
    wf_store_rlx(&self->joins, entry ^ (WF_READY_NEW | WF_JOINS_INSIDE));
    if (__builtin_expect(!wf_ready_claim(worker, task, seen, bottom, dead), 0)) {
        stand_back(self);
        return false;
    }
    return true;
}

/* In the order of spawning: no entry goes, and its own stays until a join comes to it from above. */
static inline bool claim_in_order(struct wf_worker *worker, weft_task *self, weft_task *task,
                                  uint64_t entry, uint64_t seen, uint64_t bottom)
{
    if (worker->odd_below == UINT64_MAX || wf_runtime_of(task) != worker->runtime ||
        (wf_task_flags(task) & WF_TASK_APART) != 0) {
        return false;
    }
    worker->odd_below = bottom;
    return claim(worker, self, task, entry, seen, bottom, 0);
}

/* Without a look at more than the newest entry. False: look closer, if it is still NEW. */
static inline bool claim_at_once(struct wf_worker *worker, weft_task *self, weft_task *task,
                                 uint64_t seen)
{
    uint64_t entry = wf_task_token(task) | WF_READY_NEW;
    uint64_t bottom = wf_deque_bottom(&worker->deque);
    if (__builtin_expect(wf_deque_at(&worker->deque, bottom - 1) == entry,
                         1)) { /* of this runtime */
        return WF_LIKELY(bottom > worker->odd_below) &&
               claim(worker, self, task, entry, seen, bottom, 1);
    }
    return claim_in_order(worker, self, task, entry, seen, bottom);
}

static inline intptr_t call(struct wf_worker *worker, weft_task *self, weft_task *task)
{
    struct wf_fiber *fiber = worker->fiber;
    uint64_t word;
    wf_store_rlx(&task->fiber, fiber);
    fiber->task = task;
    wf_store_rlx(&worker->running, task);
    if (__builtin_expect(!is_quiet(self, WF_RUN, &word), 0)) {
        hand_on_now(self);
    }
    intptr_t raw = task->fn(task->arg);
    wf_store_rlx(&self->joins, UINT64_C(0));
    return raw;
}

/* The claimed child: from its call to what the join returns. */
static inline __attribute__((always_inline)) int run(struct wf_worker *worker, weft_task *self,
                                                     weft_task *task, intptr_t *result, bool drops)
{
    intptr_t raw = call(worker, self, task);
    worker = wf_here(); /* it may have moved */
    if (__builtin_expect(!drops || !end_quickly(worker, task, raw), 0)) {
        return leave(self, end_fully(worker, self, task, raw, result, drops));
    }
    come_back(worker, self);
    if (result != NULL) {
        *result = raw;
    }
    return leave(self, false);
}

/* ---- the calls ---- */

static __attribute__((noinline)) int join_elsewhere(weft_task *task, intptr_t *result, bool drops,
                                                    const char *call)
{
    int rc = wf_join(task, result, false, call);
    if (drops && (rc == 0 || rc == -ECANCELED)) {
        weft_drop(task);
    }
    return rc;
}

/* Inside, if it is still possible once others have had their turn. */
static bool claim_slowly(struct wf_worker *worker, weft_task *self, weft_task *task)
{
    uint64_t seen;
    uint64_t word;
    uint64_t dead;
    return is_quiet(task, WF_NEW, &seen) && is_quiet(self, WF_RUN, &word) &&
           (wf_task_flags(task) & WF_TASK_APART) == 0 && wf_fiber_has_room(worker->fiber) &&
           look_closer(worker, task, &dead) &&
           claim(worker, self, task, wf_task_token(task) | WF_READY_NEW, seen,
                 wf_deque_bottom(&worker->deque), dead);
}

/* Any plain join. May switch. */
static __attribute__((noinline)) int join_plainly(weft_task *task, intptr_t *result, bool drops,
                                                  const char *name)
{
    struct wf_worker *worker = wf_here();
    weft_task *self = wf_running_on(worker);
    if (task == NULL || self == NULL || wf_word_life(wf_load_acq(&task->word)) != WF_NEW) {
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

/* The same as join_plainly while nothing is out of the ordinary: what fork-join programs do. */
int weft_await(weft_task *task, intptr_t *result)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_load_rlx(&worker->running);
    uint64_t seen;
    uint64_t word;
    if (WF_LIKELY(task != NULL) && WF_LIKELY(is_quiet(task, WF_NEW, &seen)) &&
        WF_LIKELY(is_quiet(self, WF_RUN, &word)) && WF_LIKELY(self->scope == NULL) &&
        WF_LIKELY(wf_fiber_has_room(worker->fiber)) && WF_LIKELY(wf_load_rlx(&worker->slot) == 0) &&
        WF_LIKELY(--worker->until_pause >= 0) &&
        WF_LIKELY(claim_at_once(worker, self, task, seen))) {
        return run(worker, self, task, result, true);
    }
    return join_plainly(task, result, true, __func__);
}
