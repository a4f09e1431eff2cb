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

#include "await/door.h"
#include "sched/ready.h"

/* ---- may it? ---- */

static __attribute__((noinline)) bool fits_simulation(struct wf_worker *worker)
{
    return !wf_sim_is_strict(worker->sim) && wf_sim_chance(worker->sim, 500);
}

/* The newest entry of the worker's deque is of its own runtime. */
static inline bool fits(struct wf_worker *worker, const weft_task *self, weft_task *task,
                        bool is_newest)
{
    if ((task->flags & WF_TASK_APART) != 0 || (self->flags & WF_TASK_PINNED) != 0 ||
        !wf_fiber_has_room(worker->fiber) ||
        (!is_newest && wf_runtime_of(task) != worker->runtime)) {
        return false;
    }
    return __builtin_expect(worker->sim == NULL, 1) || fits_simulation(worker);
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

/* ---- the end of the child ---- */

/* Nobody but the caller knows the task, and it has a value: nobody is to be told of its end. */
static inline bool end_quickly(struct wf_worker *worker, weft_task *task, intptr_t raw)
{
    uintptr_t more = (uintptr_t)task->extra | (uintptr_t)task->owner | (uintptr_t)task->errors |
                     (uintptr_t)task->context;
    uint64_t refs = wf_load_rlx(&task->refs);
    if (more != 0 || weft_is_error(raw) ||
        (refs & (WF_OWNERS_MASK | WF_HOLDS_MASK)) != (WF_OWNER_ONE | WF_HOLD_ONE)) {
        return false;
    }
    if (!wf_cas_sc(&task->refs, &refs, refs - WF_OWNER_ONE - WF_HOLD_ONE)) {
        return false;
    }
    const uint64_t told = WF_JOINED | WF_TOLD | WF_DETACHED | WF_UNDELIVERED_MASK;
    if (__builtin_expect((wf_load_acq(&task->word) & told) != 0, 0)) {
        wf_store_rel(&task->refs, refs); /* nobody can have taken a reference meanwhile */
        return false;
    }
    /* release: as in wf_task_end_on */
    wf_store_rel(&worker->counters.finished, wf_load_rlx(&worker->counters.finished) + 1);
    if (!wf_task_free_quickly(&worker->tasks, task)) {
        wf_task_free(&worker->runtime->registry, &worker->tasks, task);
    }
    return true;
}

static __attribute__((noinline)) bool end_fully(struct wf_worker *worker, weft_task *task,
                                                intptr_t raw, intptr_t *result, bool drops)
{
    wf_task_end_on(worker, task, raw);
    wf_task_look(task, result);
    bool was_cancelled = wf_word_life(wf_load_acq(&task->word)) == WF_CANCELLED;
    if (drops) {
        weft_drop(task);
    }
    return was_cancelled;
}

/* ---- running it ---- */

static inline intptr_t call(struct wf_worker *worker, weft_task *self, weft_task *task)
{
    struct wf_fiber *fiber = worker->fiber;
    task->fiber = fiber;
    fiber->task = task;
    wf_store_rlx(&worker->running, task);
    if (__builtin_expect(worker->sim != NULL, 0)) {
        wf_sim_begin(worker->sim, task, true);
    }
    if (__builtin_expect((wf_load_acq(&self->word) & WF_UNDELIVERED_MASK) != 0, 0)) {
        hand_on_now(self);
    }
    intptr_t raw = task->fn(task->arg);
    wf_task_check_scopes(task);
    return raw;
}

/* False: somebody else has it, or it must be joined in the ordinary way. */
static inline bool claim(struct wf_worker *worker, weft_task *self, weft_task *task)
{
    uint64_t seen = wf_load_acq(&task->word);
    uint64_t token = wf_task_token(task);
    bool is_newest = wf_ready_is_newest(worker, token);
    if ((seen & (WF_LIFE_MASK | WF_UNDELIVERED_MASK)) != WF_NEW ||
        (wf_load_acq(&self->word) & WF_UNDELIVERED_MASK) != 0 ||
        !fits(worker, self, task, is_newest)) {
        return false;
    }
    wf_store_rlx(&self->joins, token | WF_JOINS_INSIDE);
    if (!wf_ready_claim(worker, task, seen, is_newest)) {
        wf_store_rlx(&self->joins, UINT64_C(0));
        return false;
    }
    return true;
}

enum { NOT_INSIDE = 1 };

/* What the join returns; with `drops` the caller's handle is gone, too. NOT_INSIDE: nothing has happened. */
static inline __attribute__((always_inline)) int join_inside(struct wf_worker *worker, weft_task *self, weft_task *task,
                              intptr_t *result, bool drops)
{
    if (!claim(worker, self, task)) {
        return NOT_INSIDE;
    }
    intptr_t raw = call(worker, self, task);
    worker = wf_here(); /* it may have moved */
    struct wf_fiber *fiber = worker->fiber;
    wf_store_rlx(&self->joins, UINT64_C(0));
    bool was_cancelled = false;
    if (__builtin_expect(drops && end_quickly(worker, task, raw), 1)) {
        if (result != NULL) {
            *result = raw;
        }
    } else {
        was_cancelled = end_fully(worker, task, raw, result, drops);
    }
    fiber->task = self;
    wf_store_rlx(&worker->running, self);
    return leave(self, was_cancelled);
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

static __attribute__((noinline)) struct wf_worker *pause_now(struct wf_worker *worker)
{
    if (worker->sim == NULL) {
        wf_sched_pause(worker);
    }
    return wf_here();
}

/* The plain join: inside if the task has not started. May switch. */
static inline __attribute__((always_inline)) int join_plainly(weft_task *task, intptr_t *result, bool drops, const char *call)
{
    struct wf_worker *worker = wf_here();
    if (__builtin_expect(task == NULL || !wf_is_on_fiber(worker), 0) ||
        wf_word_life(wf_load_rlx(&task->word)) != WF_NEW) {
        return join_elsewhere(task, result, drops, call);
    }
    weft_task *self = wf_self_on(worker);
    wf_door_count(self, call);
    if (__builtin_expect(--worker->until_pause < 0, 0)) {
        worker = pause_now(worker);
    }
    int rc = join_inside(worker, self, task, result, drops);
    return __builtin_expect(rc == NOT_INSIDE, 0) ? join_elsewhere(task, result, drops, NULL) : rc;
}

int weft_join(weft_task *task, intptr_t *result)
{
    return join_plainly(task, result, false, __func__);
}

int weft_await(weft_task *task, intptr_t *result)
{
    return join_plainly(task, result, true, __func__);
}
