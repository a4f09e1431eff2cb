// SPDX-License-Identifier: MIT
/* held.h - tasks that wait while they hold a pthread mutex: reported in debug builds.
 *
 * What: a debug build has functions of its own in front of pthread_mutex_lock and its like, which note what
 *       each thread has locked on behalf of which task. A task that is about to be suspended with
 *       something in that list is reported once for each lock (WEFT_DIAG_LOCK_HELD), with the lock's name.
 * Why: whoever wants the lock then blocks a worker, perhaps the only one on which its owner could go on, and a
 *      task that goes on elsewhere unlocks on a thread that has not locked.
 * Not seen: locks taken inside the C library (stdio, malloc, C11's mtx_lock), and before this was loaded.
 *      pthread_cond_wait gives the lock back and takes it again inside the C library: it stays in the list,
 *      and nothing can be suspended meanwhile.
 * Off in release builds, and under sanitizers, which stand at the same place.
 */
#ifndef WF_SCHED_HELD_H
#define WF_SCHED_HELD_H

#include "fiber/tools.h"
#include "sched/worker.h"

#if defined(WF_DEBUG) && !WF_ASAN && !WF_TSAN
#define WF_HELD 1

/* The worker's task is about to be suspended. May call the diagnostics hook. */
void wf_held_check(struct wf_worker *worker);

#else
#define WF_HELD 0

static inline void wf_held_check(struct wf_worker *worker)
{
    (void)worker;
}
#endif

#endif
