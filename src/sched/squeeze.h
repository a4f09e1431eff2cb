// SPDX-License-Identifier: MIT
/* squeeze.h - workers that have no processor of their own.
 *
 * What: a worker that wakes up for what another has queued, and finds itself on the very processor where that one was
 *       running, tells it so: for a while, the longer the more often it has been so, that one wakes nobody for what it queues.
 *       The worker that was woken neither lingers nor stands by.
 * Why: the kernel puts it there if it finds no processor free nearby: others have taken them, or the program may use no more.
 *      Then a second worker computes nothing sooner. It only takes the processor from the first, at 5 to 10 us a time; where
 *      tasks take a microsecond, two workers on one processor took up to 1.9 times as long as one.
 * When it goes wrong: a processor becomes free meanwhile, or a task computes for long or blocks its thread. Who has woken nobody
 *       has left a mark, and the watchdog then wakes somebody at its next tick. Pinned workers share processors by request.
 * Threads: hints between workers and the watchdog, relaxed: nothing hangs on what else they see.
 */
#ifndef WF_SCHED_SQUEEZE_H
#define WF_SCHED_SQUEEZE_H

#include "sched/runtime.h"

/* On a fiber or the host, which has queued something, and others sleep: wakes one of them, unless it has been told
 * not to. */
void wf_squeeze_wake(struct wf_worker *worker);

/* It was woken for something that has been queued. */
void wf_squeeze_judge(struct wf_worker *worker);

/* Is it still in the way of who woke it? */
bool wf_squeeze_holds(struct wf_worker *worker);

/* The watchdog, at each tick: ends what is over. Has anybody woken nobody since the last one? */
bool wf_squeeze_take_kept(weft_runtime *runtime, int64_t now_ns);

#endif
