// SPDX-License-Identifier: MIT
/* loop.h - what the worker loop and the life of the runtime ask of each other. */
#ifndef WF_SCHED_LOOP_H
#define WF_SCHED_LOOP_H

#include "sched/ready.h"

/* Runs tasks on the calling thread until the runtime is drained or abandoned (worker.c). */
void wf_worker_run(struct wf_worker *worker);

/* ---- look.c ---- */

enum { WF_POLL_TURNS = 61 }; /* turns until a busy worker looks at events again */

/* Timers, messages and, once in WF_POLL_TURNS turns, events: what happens outside this worker. Does not switch. */
void wf_look_around(struct wf_worker *worker);

/* The same, events included, from whatever stack. */
void wf_worker_look(struct wf_worker *worker);

/* Has something been sent to the worker, its ring, or whoever looks first? */
bool wf_look_has_mail(struct wf_worker *worker);

/* Looks for work everywhere, as one of the searchers; task NULL: there is none. */
struct wf_pick wf_search(struct wf_worker *worker);

/* Found something: the last searcher that stops wakes the next, so that a burst spreads. */
void wf_stop_searching(struct wf_worker *worker);

/* ---- sleep.c ---- */

/* Sleeps until somebody wakes the worker, or there is something to do by the clock. If an event has made one task
 * ready, and that is all, returns it: it is in no queue, and runs next. Else NULL. */
weft_task *wf_worker_sleep(struct wf_worker *worker);

/* Gives memory back while there is nothing else to do. False: there is none, for now. */
bool wf_worker_trim(struct wf_worker *worker);

/* ---- lifecycle.c ---- */

/* Stops taking new tasks and cancels those that are left, in the order of their ids. Any thread. */
void wf_lifecycle_close(weft_runtime *runtime);

/* The worker has nothing to do. False: it must leave. While closing, cancels what was missed and ends
 * the runtime once nothing is left. */
bool wf_lifecycle_idle(struct wf_worker *worker);

/* While closing: true if the grace is over (what is left has been reported) or workers must leave. For
 * workers that never go idle. */
bool wf_lifecycle_is_over(weft_runtime *runtime);

/* True once workers must leave. */
bool wf_lifecycle_must_leave(weft_runtime *runtime);

/* Ends the runtime: workers leave, whoever waits for it is woken. */
void wf_lifecycle_leave(weft_runtime *runtime, enum wf_phase phase);

/* How long a worker with this next timer may sleep. */
int64_t wf_lifecycle_deadline(weft_runtime *runtime, int64_t next_ns);

/* ---- watchdog.c ---- */

int wf_watchdog_start(weft_runtime *runtime);
void wf_watchdog_stop(weft_runtime *runtime);

/* A worker wakes up: the watchdog must not sleep on. */
void wf_watchdog_wake(weft_runtime *runtime);

/* ---- fork.c ---- */

/* Counts the forks that this process has come out of as the child. */
uint32_t wf_fork_epoch(void);

#endif
