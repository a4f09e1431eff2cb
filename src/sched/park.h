// SPDX-License-Identifier: MIT
/* park.h - how a worker without work sleeps, and how it is woken.
 *
 * What: each worker sleeps in its own ring; without rings, one in the poller and the others on their own
 *       futex words; each with the deadline of its own wheel. It may stay awake for some microseconds first, if
 *       that has paid lately: see park.c. An idle runtime uses no processor time.
 */
#ifndef WF_SCHED_PARK_H
#define WF_SCHED_PARK_H

#include "sched/sched.h"

/* How long a worker stays awake at most before it sleeps, and how long a new one does. */
enum { WF_LINGER_NS = 50000, WF_MAIL_NS = 2000 };

/* A worker that has never slept, or has just found that staying awake pays. */
void wf_linger_init(struct wf_worker *worker);

/* Waits awake for a moment, if that has paid lately. True: there is something to do, somewhere. */
bool wf_linger(struct wf_worker *worker);

/* The same for less than a search takes, by a worker whose work has come by its inbox. True: some has. */
bool wf_await_mail(struct wf_worker *worker);

/* Sleeps until woken, an event or `deadline_ns`. The worker is among the sleepers of idle.h. What
 * events have granted is in `later`. True: somebody has woken it. */
bool wf_park(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later);

/* Wakes it: ends its sleep, or the next one. Any thread. */
void wf_unpark(struct wf_worker *worker);

/* Looks at the worker's ring, and at the poller if nobody else is in it, without sleeping. */
bool wf_poll_now(struct wf_worker *worker);

/* Submits what is queued in the worker's ring: the sleep that was to do it has been called off. */
void wf_submit(struct wf_worker *worker);

/* Submits what is queued in the worker's ring and takes what has completed. Returns whether anybody has become
 * ready. */
bool wf_poll_ring(struct wf_worker *worker);

#endif
