// SPDX-License-Identifier: MIT
/* park.h - how a worker without work sleeps, and how it is woken.
 *
 * What: one worker sleeps in the poller, the others on their own futex word; each with the deadline
 *       of its own wheel. It may stay awake for some microseconds first, if that has paid lately: see
 *       park.c. An idle runtime uses no processor time.
 */
#ifndef WF_SCHED_PARK_H
#define WF_SCHED_PARK_H

#include "sched/sched.h"

/* How long a worker stays awake at most before it sleeps, and how long a new one does. */
enum { WF_LINGER_NS = 16000 };

/* Sleeps until woken, an event or `deadline_ns`. The worker is among the sleepers of idle.h. What
 * events have granted is in `later`. */
void wf_park(struct wf_worker *worker, int64_t deadline_ns, struct wf_later *later);

/* Wakes it: ends its sleep, or the next one. Any thread. */
void wf_unpark(struct wf_worker *worker);

/* Looks at the poller without sleeping, if nobody else is in it. Returns whether it looked. */
bool wf_poll_now(struct wf_worker *worker);

#endif
