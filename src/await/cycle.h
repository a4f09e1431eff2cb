// SPDX-License-Identifier: MIT
/* cycle.h - joins and gathers that would wait for themselves.
 *
 * What: a task that joins or gathers publishes whom it waits for, then looks whether those lead back to
 *       it. Of tasks that close a cycle together at least one sees it; nobody sees one that is not there.
 * Why: nobody could ever end such a wait, and a cancellation would be handed round until the counts of
 *      requests are full.
 * Cost: a load if the joined task itself joins and gathers nothing. Else the search is bounded, whatever
 *       tasks wait for: longer cycles are left to the deadlock report of a simulation.
 */
#ifndef WF_AWAIT_CYCLE_H
#define WF_AWAIT_CYCLE_H

#include "base/hint.h"
#include "task/task.h"

/* Whom a gather waits for; on its stack, and valid while it is published. */
struct wf_edges {
    weft_task *const *tasks;
    size_t count;
    /* True: it waits for nobody any more, though its task has yet to go on. For good. `is_thorough`: looks
     * at all tasks, also for an end that has yet to be told. Under the task's lock. */
    bool (*is_decided)(const struct wf_edges *edges, bool is_thorough);
    uint64_t number; /* no other gather of its runtime has it: set when it is published */
};

/* Publishes that self waits for `task`. A locked operation comes next, then wf_cycle_closes: the two look at each other
 * as by seq_cst operations, and one such store less is made. */
static inline void wf_cycle_join(weft_task *self, weft_task *task)
{
    wf_store_rel(&self->joins, (uint64_t)(uintptr_t)task);
}

/* As wf_cycle_closes, where `task` itself joins or gathers. */
bool wf_cycle_follow(weft_task *self, weft_task *task);

/* Follows what `task` waits for. True, with nothing published any more: self closes a cycle. */
static inline bool wf_cycle_closes(weft_task *self, weft_task *task)
{
    wf_fence_after_rmw();
    return WF_UNLIKELY(wf_load_sc(&task->joins) != 0) && wf_cycle_follow(self, task);
}

/* Takes it back. Release: a search that still sees it finds that the task has ended, which waits for nothing. */
static inline void wf_cycle_leave_join(weft_task *self)
{
    wf_store_rel(&self->joins, UINT64_C(0));
}

/* The same for a gather. */
bool wf_cycle_gather(weft_task *self, struct wf_edges *edges);

/* Takes back what a gather has published. After it nobody reads the edges. */
void wf_cycle_leave(weft_task *self);

#endif
