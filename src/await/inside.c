// SPDX-License-Identifier: MIT
/* inside.c - claiming a child, calling it, and ending both the call and the task.
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
#include "await/inside.h"

#include <errno.h>

#include "sched/ready.h"

enum {
    WF_ROOM_BYTES = 8 * 1024
}; /* for what the joiner and the library put on the stack meanwhile */

/* ---- may it? ---- */

static __attribute__((noinline)) bool fits_simulation(struct wf_worker *worker)
{
    return !wf_sim_is_strict(worker->sim) && wf_sim_chance(worker->sim, 500);
}

static inline bool fits(struct wf_worker *worker, const weft_task *self, weft_task *task)
{
    if ((task->flags & WF_TASK_APART) != 0 || (self->flags & WF_TASK_PINNED) != 0 ||
        wf_runtime_of(task) != worker->runtime ||
        wf_fiber_room(worker->fiber) < worker->runtime->options.stack_bytes + WF_ROOM_BYTES) {
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
    bool has_more =
        task->extra != NULL || task->owner != NULL || task->errors != NULL || task->context != NULL;
    uint64_t refs = wf_load_rlx(&task->refs);
    if (has_more || weft_is_error(raw) ||
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
    if ((seen & (WF_LIFE_MASK | WF_UNDELIVERED_MASK)) != WF_NEW ||
        (wf_load_acq(&self->word) & WF_UNDELIVERED_MASK) != 0 || !fits(worker, self, task)) {
        return false;
    }
    wf_store_rlx(&self->joins, wf_task_token(task) | WF_JOINS_INSIDE);
    if (__builtin_expect(!wf_ready_claim(worker, task, seen), 0)) {
        wf_store_rlx(&self->joins, UINT64_C(0));
        return false;
    }
    return true;
}

int wf_inside_join(struct wf_worker *worker, weft_task *task, intptr_t *result, bool drops)
{
    weft_task *self = wf_self_on(worker);
    if (__builtin_expect(worker->until_pause-- == 0, 0) && worker->sim == NULL) {
        wf_sched_pause(worker);
        worker = wf_here();
    }
    if (!claim(worker, self, task)) {
        return WF_NOT_INSIDE;
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
