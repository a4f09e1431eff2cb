// SPDX-License-Identifier: MIT
/* go.h - from a fiber straight to the next one.
 *
 * What: the running task leaves its fiber, on whose stack the next task is picked. The side that arrives does what
 *       is owed to the fiber that was left: on that nobody stands any more (worker.h, enum wf_leave).
 * Why this way: inline, for what parks or yields most often. The compiler saves what the function around the switch
 *       has in registers once, and not once for each call on the way. Everybody else calls wf_sched_leave.
 * Threads: the worker's own. After a switch it may be another worker: wf_here() is asked anew.
 */
#ifndef WF_SCHED_GO_H
#define WF_SCHED_GO_H

#include "base/hint.h"
#include "sched/held.h"
#include "sched/ready.h"

/* What is rare (worker.c): somebody has been at the wait, or at the task, that was left; */
void wf_go_park_slowly(struct wf_worker *worker, weft_task *task);

/* the task is ready again in some other way, or has ended; */
void wf_go_arrive_otherwise(struct wf_worker *worker, enum wf_leave leave);

/* no started task is at hand; */
struct wf_fiber *wf_go_find_other(struct wf_worker *worker);

/* a task yields that is pinned, or in a simulation, or to nobody that has started. */
void wf_go_yield_otherwise(struct wf_worker *worker);

/* ---- arriving ---- */

static inline __attribute__((always_inline)) void wf_go_arrive_parked(struct wf_worker *worker)
{
    weft_task *task = worker->left->task;
    wf_bump_own(&worker->counters.parks, 1);
    /* Ours to read: nobody else runs the fiber yet. */
    const struct wf_wait *wait = wf_load_rlx(&task->wait);
    bool delegates = wait->hand_on != NULL;
    if (WF_UNLIKELY(!wf_state_park_quickly(&task->word, wf_load_rlx(&wait->epoch), delegates))) {
        wf_go_park_slowly(worker, task);
    }
}

static inline __attribute__((always_inline)) void wf_go_arrive_yielded(struct wf_worker *worker)
{
    if (WF_UNLIKELY(worker->has_woken) || WF_UNLIKELY(!wf_deque_has_room(&worker->deque))) {
        wf_go_arrive_otherwise(worker, WF_LEAVE_YIELD);
        return;
    }
    wf_bump_own(&worker->counters.yields, 1);
    wf_deque_add(&worker->deque, wf_entry_started(worker->left->task));
}

/* Does what this worker owes to the fiber that it has just left. `first`: what it most likely is. */
static inline __attribute__((always_inline)) void wf_go_arrive(struct wf_worker *worker,
                                                               enum wf_leave first)
{
    enum wf_leave leave = worker->leave;
    if (first == WF_LEAVE_YIELD && WF_LIKELY(leave == WF_LEAVE_YIELD)) {
        wf_go_arrive_yielded(worker);
    } else if (WF_LIKELY(leave == WF_LEAVE_PARK)) {
        wf_go_arrive_parked(worker);
    } else if (leave == WF_LEAVE_YIELD) {
        wf_go_arrive_yielded(worker);
    } else if (leave != WF_LEAVE_NOTHING) {
        wf_go_arrive_otherwise(worker, leave);
    }
}

/* ---- leaving ---- */

/* Where the caller goes on: the `site` of all that follows, for a function that switches and ends by wf_go_return. */
#define WF_GO_SITE ((const void *)__builtin_return_address(0))

/* The end of a call that has switched, to its caller at `site`. The processor takes the call that was made last for the
 * one that returns: that of the fiber that was left. If both go on at the same place all is well, and the frames
 * above may be alike, too. If not, a plain return would be predicted wrongly, each time; but who has failed may take it. */
static inline __attribute__((always_inline)) int wf_go_return(int rc, const void *site)
{
    return rc != 0 || wf_here()->left_site == site ? rc : wf_return_far();
}

static inline void wf_go_begin_turn(struct wf_worker *worker, struct wf_fiber *fiber)
{
    worker->fiber = fiber;
    wf_bump_own(&worker->turns, 1);
    wf_store_rlx(&worker->running, (weft_task *)fiber->task);
}

static inline __attribute__((always_inline)) void wf_go(struct wf_worker *worker,
                                                        struct wf_fiber *to, enum wf_leave leave,
                                                        const void *site)
{
    struct wf_fiber *from = worker->fiber;
    wf_held_check(worker);
    worker->leave = leave;
    worker->left = from;
    worker->left_site = site;
    wf_go_begin_turn(worker, to);
    wf_fiber_switch(from, to);
    wf_go_arrive(wf_here(), leave); /* who arrives here has often been left for the like */
}

/* The next started task if it is at hand; its turn is counted. */
static inline __attribute__((always_inline)) weft_task *wf_go_take(struct wf_worker *worker)
{
    weft_task *next = WF_LIKELY(worker->until_poll > 1) ? wf_ready_take_started(worker) : NULL;
    if (WF_LIKELY(next != NULL)) {
        worker->until_poll--;
    }
    return next;
}

static inline __attribute__((always_inline)) struct wf_fiber *wf_go_find(struct wf_worker *worker)
{
    weft_task *next = wf_go_take(worker);
    return WF_LIKELY(next != NULL) ? wf_load_rlx(&next->fiber) : wf_go_find_other(worker);
}

/* The wait is in the task's record. */
static inline __attribute__((always_inline)) void wf_go_park(struct wf_worker *worker,
                                                             const void *site)
{
    wf_go(worker, wf_go_find(worker), WF_LEAVE_PARK, site);
}

/* Of a task that is not pinned: a trip through the lanes. Returns at once if nobody else is ready. */
static inline __attribute__((always_inline)) void wf_go_yield(struct wf_worker *worker,
                                                              const void *site)
{
    weft_task *next = wf_go_take(worker);
    if (WF_UNLIKELY(next == NULL)) {
        wf_go_yield_otherwise(worker);
        return;
    }
    wf_go(worker, wf_load_rlx(&next->fiber), WF_LEAVE_YIELD, site);
}

#endif
