// SPDX-License-Identifier: MIT
/* ready.h - where a ready task waits for its turn, and who is told.
 *
 * What: five places. The worker's two lanes (anybody may steal): its deque, for tasks that have not
 *       started or that yield, and the one of woken tasks; its slot (the task woken last, runs next),
 *       its list of pinned tasks, and the runtime's inject stack for plain threads. ready.c queues,
 *       take.c and steal.c take.
 */
#ifndef WF_SCHED_READY_H
#define WF_SCHED_READY_H

#include "sched/entry.h"
#include "sched/sched.h"

/* What a queue gave: the task, and whether it has never run. task NULL: nothing. */
struct wf_pick {
    weft_task *task;
    bool is_new;
};

enum { WF_SLOT_STREAK = 3 }; /* runs from the slot in a row before others here have their turn */

/* The task that was woken last, whose entry was seen in the slot, if it may run now; it has started. NULL: ask
 * wf_ready_take. */
static inline __attribute__((always_inline)) weft_task *wf_ready_take_seen(struct wf_worker *worker,
                                                                           uint64_t entry)
{
    if (__builtin_expect(worker->slot_streak >= WF_SLOT_STREAK, 0)) {
        if (worker->pinned != NULL || !wf_sched_has_none(worker)) {
            return NULL;
        }
        worker->slot_streak = 0; /* nobody else waits here */
    }
    if (worker->is_alone) {
        wf_store_rlx(&worker->slot, UINT64_C(0));
    } else if ((entry = wf_swap_acqrel(&worker->slot, UINT64_C(0))) == 0) {
        return NULL; /* stolen meanwhile */
    }
    worker->slot_streak++;
    weft_task *task = wf_entry_resumes(entry);
    WF_HOLDS(task != NULL);
    return task;
}

/* The lane whose turn it is: where both have something, the one that was not served last. */
static inline struct wf_deque *wf_ready_lane(struct wf_worker *worker)
{
    if (__builtin_expect(!worker->has_woken, 1)) {
        return &worker->deque;
    }
    return worker->was_woken && wf_deque_count(&worker->deque) > 0 ? &worker->deque
                                                                   : &worker->woken;
}

/* How many are in the lanes. Any thread: a hint. */
static inline uint64_t wf_ready_count(struct wf_worker *worker)
{
    return wf_deque_count(&worker->deque) + wf_deque_count(&worker->woken);
}

/* How many entries ahead is fetched. */
enum { WF_FETCH_AHEAD = 20 };

/* An entry was taken at `at` of the lane of woken tasks, and more than WF_FETCH_AHEAD are left there: what those that
 * come next will touch is fetched (fetch.c). Returns `task`, so that it can be the last act. */
weft_task *wf_ready_fetch(struct wf_deque *lane, uint64_t at, weft_task *task);

/* The oldest of a lane if it has started, where the slot is empty; `at` receives its place. NULL: ask
 * wf_ready_take. */
static inline __attribute__((always_inline)) weft_task *wf_ready_take_oldest(
    struct wf_worker *worker, struct wf_deque *lane, uint64_t *at)
{
    if (WF_UNLIKELY(!wf_deque_has_oldest(lane, at))) {
        return NULL;
    }
    uint64_t entry = wf_deque_at(lane, *at);
    if (WF_UNLIKELY((entry & WF_READY_NEW) != 0) || WF_UNLIKELY(worker->pinned != NULL) ||
        WF_UNLIKELY(!wf_deque_take_at(lane, *at, worker->is_alone))) {
        return NULL;
    }
    worker->slot_streak = 0;
    weft_task *task = wf_entry_resumes(entry);
    WF_HOLDS(task != NULL);
    return task;
}

/* The same from the lane whose turn it is, where something has been woken. */
weft_task *wf_ready_take_by_turns(struct wf_worker *worker);

/* The next task if it is a started one at the nearest place: the slot, else the head of a lane. NULL: ask
 * wf_ready_take. */
static inline __attribute__((always_inline)) weft_task *wf_ready_take_started(
    struct wf_worker *worker)
{
    uint64_t seen = wf_load_rlx(&worker->slot);
    if (seen != 0) {
        return wf_ready_take_seen(worker, seen);
    }
    uint64_t at;
    return WF_LIKELY(!worker->has_woken) ? wf_ready_take_oldest(worker, &worker->deque, &at)
                                         : wf_ready_take_by_turns(worker);
}

/* Is there nothing at the worker's places but in the lane of those that yield, if there? */
static inline __attribute__((always_inline)) bool wf_ready_is_lane_only(struct wf_worker *worker)
{
    uint64_t slot = wf_load_rlx(&worker->slot);
    return (slot | (uintptr_t)worker->pinned | worker->has_woken) == 0;
}

/* Queues a task that yields, on the calling worker, behind those that have not started, or, if there are none, behind
 * those that were woken. */
void wf_ready_push_yielded(struct wf_worker *worker, weft_task *task);

/* Queues a task that was woken, on the calling worker. */
void wf_ready_push_woken(struct wf_worker *worker, weft_task *task);

/* The same, in the slot if that is free. Not for pinned tasks. */
void wf_ready_push_soon(struct wf_worker *worker, weft_task *task);

/* Takes the next task from the worker's own places. A task that must end unrun goes to to_bury and
 * nothing is returned, until the host has buried it. */
struct wf_pick wf_ready_take(struct wf_worker *worker);

/* True when the worker's own places are empty, as far as it can see. */
bool wf_ready_is_empty(struct wf_worker *worker);

/* Moves what plain threads and other workers sent here into the worker's own places. */
void wf_ready_collect(struct wf_worker *worker);

/* The host runs a picked task until some fiber comes back to it (worker.c). */
void wf_worker_turn(struct wf_worker *worker, struct wf_pick pick);

/* Ends what is in to_bury (worker.c). */
void wf_worker_bury(struct wf_worker *worker);

/* Takes work from another worker: a batch of its lanes, or with `last_pass` also its slot. */
struct wf_pick wf_ready_steal(struct wf_worker *worker, struct wf_worker *victim, bool last_pass);

/* Moves a batch of another worker's lanes into one's own. */
void wf_ready_pull(struct wf_worker *worker, struct wf_worker *victim);

/* True if some queue that a thief may take from is not empty. */
bool wf_ready_anywhere(weft_runtime *runtime);

#endif
