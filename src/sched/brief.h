// SPDX-License-Identifier: MIT
/* brief.h - workers that wake up again and again, for moments only, and what they are trusted with.
 *
 * What: a worker measures how long it stays awake. Has that been brief for a while, and its sleeps short, it keeps the few
 *       tasks that it wakes up to, instead of waking another for the second; and others that sleep may leave their timers to
 *       it (lean.h).
 * Why: to wake a worker, and its vain search afterwards, cost 5 us of processor time on either side; what most timers and
 *      events wake is over in one or two.
 * When it goes wrong: the first of these tasks computes for long all the same, and the others wait. So who wants to be
 *      trusted says so to the watchdog, which then looks twice as often for what waits while somebody sleeps. Without a
 *      watchdog nobody is trusted. Who sleeps for longer than between two such looks saves less than they cost.
 * Threads: the worker's own. Two hints between workers and the watchdog, relaxed: nothing hangs on what else they see.
 */
#ifndef WF_SCHED_BRIEF_H
#define WF_SCHED_BRIEF_H

#include "sched/runtime.h"

/* It goes to sleep until a time; it has slept so. By the clock that sleeps go by. */
void wf_brief_end(struct wf_worker *worker, int64_t now_ns);
void wf_brief_begin(struct wf_worker *worker, int64_t slept_ns, int64_t now_ns);

/* It goes to sleep, and if nobody has asked the clock, what is known of it is forgotten. */
static inline void wf_brief_forget(struct wf_worker *worker)
{
    if (worker->brief.since_ns != 0) {
        worker->brief.since_ns = 0;
        worker->brief.streak = 0;
    }
}

bool wf_brief_is_trusted(struct wf_worker *worker);

/* The worker has `count` tasks in its lanes, and others sleep. On the host `own` of them are as good as taken. True: it
 * keeps them to itself. Those that were kept stay so while the first of them run, until the host looks around. */
bool wf_brief_keeps(struct wf_worker *worker, uint64_t count, uint64_t own);

/* For so many looks the watchdog goes on when nobody wants it to any more. */
enum { WF_BRIEF_UNWANTED = 16 };

/* The watchdog asks before each look whether to hurry. `unwanted`: how many looks ago somebody wanted that, its own. */
bool wf_brief_hurries(weft_runtime *runtime, uint32_t *unwanted);

/* Has anybody wanted it since it asked? */
static inline bool wf_brief_is_wanted(weft_runtime *runtime)
{
    return wf_load_rlx(&runtime->wants_hurry) != 0;
}

#endif
