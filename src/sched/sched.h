// SPDX-License-Identifier: MIT
/* sched.h - what the rooms above ask of the scheduler. */
#ifndef WF_SCHED_SCHED_H
#define WF_SCHED_SCHED_H

#include "sched/runtime.h"

/* The calling worker if it runs a fiber whose runtime is alive in this process; else NULL, with
 * *error -EPERM or -ECHILD. */
struct wf_worker *wf_fiber_worker(int *error);

/* Makes every task in later->woken ready, after kicking later->kicks. Any thread; no locks held. */
void wf_sched_flush(struct wf_later *later);

/* Queues a NEW task. 0 or -ENOMEM (it is not queued). `worker` NULL: from a plain thread. */
int wf_sched_submit(weft_runtime *runtime, struct wf_worker *worker, weft_task *task);

/* Suspends the running fiber. `leave` says what becomes of it. Returns when it runs again, perhaps on
 * another worker. */
void wf_sched_leave(struct wf_worker *worker, enum wf_leave leave);

/* Wakes one particular worker if it sleeps: something of its own has changed (its wheel, its inbox). */
void wf_sched_rouse(weft_runtime *runtime, uint32_t worker);

/* Wakes somebody if there is need. */
void wf_sched_notify(weft_runtime *runtime);

/* ---- spawning (spawn.c) ---- */

/* Checks and applies options, makes the record, queues nothing. 0 or a negative errno. `owner` NULL:
 * owners is 1, for a handle. */
int wf_spawn_prepare(weft_runtime *runtime, struct wf_worker *worker, const char *site,
                     weft_fn *fn, void *arg, const weft_spawn_options *options, weft_task **out);

/* Undoes wf_spawn_prepare for a task that was never queued; its arg stays the caller's. */
void wf_spawn_abandon(weft_runtime *runtime, struct wf_worker *worker, weft_task *task);

#endif
