// SPDX-License-Identifier: MIT
/* cycle.h - joins and gathers that would wait for themselves.
 *
 * What: a task that joins or gathers publishes whom it waits for, then looks whether those lead back to
 *       it. Of tasks that close a cycle together at least one sees it.
 * Why: nobody could ever end such a wait, and a cancellation would be handed round for ever.
 */
#ifndef WF_AWAIT_CYCLE_H
#define WF_AWAIT_CYCLE_H

#include "task/task.h"

/* Whom a gather waits for; on its stack, and valid while it is published. */
struct wf_edges {
    weft_task *const *tasks;
    size_t count;
};

/* Publishes that self waits for `task`. True, with nothing published: that closes a cycle. */
bool wf_cycle_join(weft_task *self, weft_task *task);

/* The same for a gather. */
bool wf_cycle_gather(weft_task *self, const struct wf_edges *edges);

/* Takes back what is published. After it nobody reads the edges. */
void wf_cycle_leave(weft_task *self);

#endif
