// SPDX-License-Identifier: MIT
/* here.h - what the calling thread is: a worker, or lent values, or neither.
 *
 * The calls are never inlined: a compiler that kept the thread-local's address across a switch would find
 * another thread's.
 */
#ifndef WF_TASK_HERE_H
#define WF_TASK_HERE_H

#include <weft/local.h>

struct wf_worker;

/* The worker of the calling thread, NULL on a plain thread. */
struct wf_worker *wf_here(void);
void wf_here_set(struct wf_worker *worker);

/* While user code runs that has no task of its own: what it sees as its values (context.h), borrowed; NULL
 * ends that. Such code does not switch, and does not nest. */
void wf_here_lend(weft_context *values);

/* What is lent, NULL if nothing. */
weft_context *wf_here_lent(void);

#endif
