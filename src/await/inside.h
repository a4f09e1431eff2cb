// SPDX-License-Identifier: MIT
/* inside.h - a join that runs the child on the joiner's own stack.
 *
 * What: a plain join of a task that has not started claims it and calls it: no trip through a queue, no
 *       stack, no switch. The child keeps its identity; while it runs it is the fiber's task.
 * Why this is sound: a plain join hands its requests on and returns only after the child has ended, so
 *       parent and child could not run at the same time anyway.
 * See docs/architecture.md, "Joining inside".
 */
#ifndef WF_AWAIT_INSIDE_H
#define WF_AWAIT_INSIDE_H

#include "await/door.h"

enum { WF_NOT_INSIDE = 1 };

/* What the join returns; with `drops` the caller's handle is gone, too. WF_NOT_INSIDE: join it in the ordinary
 * way; nothing has happened. `worker` runs the calling fiber. May switch. */
int wf_inside_join(struct wf_worker *worker, weft_task *task, intptr_t *result, bool drops);

#endif
