// SPDX-License-Identifier: MIT
/* claim.h - a joiner claims a task that has not started, to run it on its own stack.
 *
 * What: its word goes from NEW to RUN, and the entries at the bottom of the deque that are dead then go with it. At home
 *       and biased by plain stores, else by a locked operation.
 * Threads: the worker's own, against thieves (steal.c) and guests. See docs/architecture.md, "The deque" and "Joining
 *       inside".
 */
#ifndef WF_SCHED_CLAIM_H
#define WF_SCHED_CLAIM_H

#include "sched/entry.h"

/* How many entries at the bottom of the deque go with the claim of a task: its own, if it lies there, and
 * those of tasks that were claimed elsewhere in it before. */
uint64_t wf_ready_count_dead(struct wf_worker *worker, bool is_newest);

/* A joiner claims a task that has not started, as wf_ready_claim, by a locked operation, which is a full fence. */
static inline __attribute__((always_inline)) bool wf_ready_claim_locked(
    struct wf_worker *worker, weft_task *task, uint64_t seen, uint64_t before, uint64_t dead)
{
    if (dead > 0) {
        wf_deque_lower(&worker->deque, before, dead);
    }
    if (__builtin_expect(!wf_state_start_inside(&task->word, seen), 0)) {
        wf_deque_restore(&worker->deque, before);
        worker->odd_below = worker->sim == NULL ? before : UINT64_MAX;
        return false;
    }
    wf_fence_after_rmw();
    if (dead > 0) {
        wf_deque_settle(&worker->deque, before, dead);
    }
    return true;
}

/* ... of a task that is not at home here. */
bool wf_ready_claim_elsewhere(struct wf_worker *worker, weft_task *task, uint64_t seen,
                              uint64_t before, uint64_t dead);

/* ... of one whose entry is the newest, and which is at home, and that is here. Without a locked operation, and without a
 * fence. False: nothing has changed but that the deque may be lowered. */
static inline __attribute__((always_inline)) bool wf_ready_claim_newest_biased(
    struct wf_worker *worker, weft_task *task, uint64_t seen, uint64_t before)
{
    /* As wf_deque_lower and wf_deque_settle: nobody else is on its way to an index now. */
    const struct wf_bias_lower lower = {&worker->deque.bottom, before - 1, &worker->deque.top};
    return wf_bias_swap_and_lower(&worker->tasks.owner, &task->word, seen, seen + (WF_RUN - WF_NEW),
                                  &lower);
}

/* ... of one that is at home, and that is here; its entry stays. As the one before. */
static inline __attribute__((always_inline)) bool wf_ready_claim_biased(struct wf_worker *worker,
                                                                        weft_task *task,
                                                                        uint64_t seen)
{
    return wf_bias_swap(&worker->tasks.owner, &task->word, seen, seen + (WF_RUN - WF_NEW));
}

/* A joiner claims a task that has not started; `seen` is its word: NEW, with nothing undelivered. The `dead`
 * entries at the bottom of the deque, which is at `before`, go with it. A full fence for all that the caller does before
 * and after it, or guests have one made, where they come in between. False: somebody else has it. */
static inline __attribute__((always_inline)) bool wf_ready_claim(struct wf_worker *worker,
                                                                 weft_task *task, uint64_t seen,
                                                                 uint64_t before, uint64_t dead)
{
    if (WF_UNLIKELY(wf_load_rlx(&task->home) != worker->index)) {
        return wf_ready_claim_elsewhere(worker, task, seen, before, dead);
    }
    if (dead == 0 && wf_word_is_at_home(seen) && wf_ready_claim_biased(worker, task, seen)) {
        return true;
    }
    return wf_ready_claim_locked(worker, task, seen, before, dead);
}

#endif
