// SPDX-License-Identifier: MIT
/* claim.c - what is rare when a joiner claims a task: dead entries, and a task of another home. */
#include "sched/claim.h"

/* A task that has started has one entry, which lives until somebody takes it. */
static bool is_dead(uint64_t entry)
{
    weft_task *task = wf_token_task(entry);
    return (entry & WF_READY_NEW) != 0 &&
           (wf_word_life(wf_load_acq(&task->word)) != WF_NEW || wf_entry_is_stale(entry, task));
}

uint64_t wf_ready_count_dead(struct wf_worker *worker, bool is_newest)
{
    uint64_t count = wf_deque_count(&worker->deque);
    uint64_t dead = is_newest && count > 0 ? 1 : 0;
    while (dead < count && is_dead(wf_deque_newest(&worker->deque, dead))) {
        dead++;
    }
    if (worker->sim == NULL) {
        /* What lies there now lives, or is about to be claimed; of what lies under that nothing is known. */
        worker->odd_below = dead < count ? wf_load_rlx(&worker->deque.bottom) - dead : 0;
    }
    return dead;
}

__attribute__((noinline)) bool wf_ready_claim_elsewhere(struct wf_worker *worker, weft_task *task,
                                                        uint64_t seen, uint64_t before,
                                                        uint64_t dead)
{
    bool is_guest = wf_task_visit(task);
    bool is_ours = wf_ready_claim_locked(worker, task, seen, before, dead);
    wf_task_leave(task, is_guest);
    return is_ours;
}
