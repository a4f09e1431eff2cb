// SPDX-License-Identifier: MIT
/* go.h - from a fiber straight to the next one.
 *
 * What: the running task leaves its fiber, on whose stack the next task is picked. The side that arrives does what
 *       is owed to the fiber that was left: on that nobody stands any more (worker.h, enum wf_leave).
 * Why this way: inline, for what parks or yields most often. The compiler saves what the function around the switch
 *       has in registers once, and not once for each call on the way. Everybody else calls wf_sched_leave.
 *       Who yields where nobody steals queues itself before it leaves: nobody takes it out earlier.
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

/* a task yields that is pinned, or in a simulation, or to nobody that has started. Returns the worker on which it goes on. */
struct wf_worker *wf_go_yield_otherwise(struct wf_worker *worker);

/* `self` yields, and the stretch of turns is over: if a look around would find nothing, begins the next one without the
 * host, which takes two switches and has returns predicted wrongly (look.c). Who goes on instead, as
 * wf_go_give_way; NULL: the host is to look, or nobody is ready. */
weft_task *wf_go_begin_stretch(struct wf_worker *worker, const weft_task *self);

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

/* Of what runs on a fiber: `task`, NULL on the host. */
static inline void wf_go_begin_turn_of(struct wf_worker *worker, struct wf_fiber *fiber,
                                       weft_task *task)
{
    worker->fiber = fiber;
    wf_bump_own(&worker->turns, 1);
    wf_store_rlx(&worker->running, task);
}

static inline void wf_go_begin_turn(struct wf_worker *worker, struct wf_fiber *fiber)
{
    wf_go_begin_turn_of(worker, fiber, (weft_task *)fiber->task);
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

/* Is there nothing but the lane of those that yield, and nobody who steals from it? */
static inline __attribute__((always_inline)) bool wf_go_has_lane_only(struct wf_worker *worker)
{
    return WF_LIKELY(worker->is_alone) && WF_LIKELY(worker->until_poll > 1) &&
           WF_LIKELY(wf_ready_is_lane_only(worker));
}

/* Where that is so the running task takes the place at the lane's end before it leaves: nobody takes it out before that, and who
 * arrives owes it nothing. The one whose turn it is; NULL: nothing has been done. */
static inline __attribute__((always_inline)) weft_task *wf_go_change_places(
    struct wf_worker *worker, const weft_task *self)
{
    uint64_t entry = wf_deque_exchange(&worker->deque, wf_entry_started(self), WF_READY_NEW);
    if (WF_UNLIKELY(entry == 0)) {
        return NULL;
    }
    worker->slot_streak = 0;
    worker->until_poll--;
    wf_bump_own(&worker->counters.yields, 1);
    worker->leave = WF_LEAVE_NOTHING;
    return wf_entry_resumes(entry);
}

/* Who goes on instead of `self`, which then leaves; NULL: nobody who has started is at hand, and nothing has been done. */
static inline __attribute__((always_inline)) weft_task *wf_go_give_way(struct wf_worker *worker,
                                                                       const weft_task *self)
{
    if (WF_LIKELY(wf_go_has_lane_only(worker))) {
        return wf_go_change_places(worker, self);
    }
    weft_task *next = wf_go_take(worker);
    if (WF_LIKELY(next != NULL)) {
        worker->leave = WF_LEAVE_YIELD;
        worker->left = worker->fiber;
    }
    return next;
}

/* Of `self`, which runs and is not pinned: a trip through the lanes. Returns at once if nobody else is ready. Returns the worker
 * on which it goes on. */
static inline __attribute__((always_inline)) struct wf_worker *wf_go_yield(struct wf_worker *worker,
                                                                           const weft_task *self,
                                                                           const void *site)
{
    wf_held_check(worker);
    weft_task *next = wf_go_give_way(worker, self);
    if (WF_UNLIKELY(next == NULL) && worker->until_poll <= 1) {
        next = wf_go_begin_stretch(worker, self);
    }
    if (WF_UNLIKELY(next == NULL)) {
        return wf_go_yield_otherwise(worker);
    }
    struct wf_fiber *from = worker->fiber;
    struct wf_fiber *to = wf_load_rlx(&next->fiber);
    worker->left_site = site;
    wf_go_begin_turn_of(worker, to, next);
    wf_fiber_switch(from, to);
    worker = wf_here();
    if (WF_UNLIKELY(worker->leave != WF_LEAVE_NOTHING)) {
        WF_FORGET(worker);
        wf_go_arrive(worker,
                     WF_LEAVE_YIELD); /* who arrives here has often been left for the like */
    }
    return worker;
}

#endif
