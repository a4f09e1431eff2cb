// SPDX-License-Identifier: MIT
/* take.c - taking ready tasks from a worker's own places, and claiming what an entry names.
 *
 * Threads: the worker's own. Thieves (steal.c) may take from the lanes and the slot at the same time.
 */
#include "sched/ready.h"

#include <errno.h>

/* Claims what an entry names. False: stale, or to be buried. */
static bool resolve(struct wf_worker *worker, uint64_t entry, bool is_linked, struct wf_pick *pick)
{
    weft_task *task = wf_token_task(entry);
    pick->task = task;
    pick->is_new = (entry & WF_READY_NEW) != 0;
    if (!pick->is_new) {
        return true;
    }
    uint64_t word = wf_load_acq(&task->word);
    if (wf_entry_is_stale(entry, task)) {
        return false;
    }
    bool is_guest = wf_entry_is_others(worker, task) && wf_task_visit(task);
    enum wf_start start = wf_state_start(&task->word, word, is_linked);
    wf_task_leave(task, is_guest);
    switch (start) {
    case WF_START_RUN:
        return true;
    case WF_START_CANCELLED:
        worker->to_bury = task;
        worker->bury_error = -ECANCELED;
        return false;
    case WF_START_LOST:
        break;
    }
    return false;
}

static bool take_pinned(struct wf_worker *worker, struct wf_pick *pick)
{
    weft_task *task = worker->pinned;
    if (task == NULL) {
        return false;
    }
    worker->pinned = task->next;
    worker->was_pinned = true;
    bool is_new = wf_word_life(wf_load_acq(&task->word)) == WF_NEW;
    return resolve(worker, wf_entry_of(task, is_new), true, pick);
}

static bool take_slot(struct wf_worker *worker, struct wf_pick *pick)
{
    uint64_t seen = wf_load_rlx(&worker->slot);
    pick->task = seen != 0 ? wf_ready_take_seen(worker, seen) : NULL;
    pick->is_new = false;
    if (pick->task == NULL) {
        worker->slot_streak = 0;
    }
    return pick->task != NULL;
}

/* Of many the record of one that comes soon is fetched: it is claimed by a locked operation, which waits for it. */
static inline uint64_t take_oldest(struct wf_deque *lane, bool is_alone)
{
    enum { AHEAD = 6 };
    uint64_t at;
    uint64_t entry;
    while ((entry = wf_deque_oldest(lane, &at)) != 0 && !wf_deque_take_at(lane, at, is_alone)) {
    }
    if (wf_deque_bottom(lane) > at + AHEAD) {
        wf_fetch(wf_token_task(wf_deque_at(lane, at + AHEAD)));
    }
    return entry;
}

/* The oldest of the lane whose turn it is; 0: there may be something in the other. */
static inline uint64_t take_from_lanes(struct wf_worker *worker)
{
    worker->was_pinned = false;
    if (__builtin_expect(!worker->has_woken, 1)) {
        return take_oldest(&worker->deque, worker->is_alone);
    }
    struct wf_deque *lane = wf_ready_lane(worker);
    uint64_t entry = take_oldest(lane, worker->is_alone);
    worker->was_woken = lane == &worker->woken;
    worker->has_woken = entry != 0 || !worker->was_woken;
    return entry;
}

/* `taken`: what take_only has taken and start_here has not started, 0 for none. */
WF_WAKING static __attribute__((noinline)) struct wf_pick take_otherwise(struct wf_worker *worker,
                                                                         uint64_t taken)
{
    struct wf_pick pick = {NULL, false};
    const struct wf_pick nothing = {NULL, false};
    bool pinned_first = !worker->was_pinned;
    if (taken != 0 && resolve(worker, taken, false, &pick)) {
        return pick;
    }
    while (worker->to_bury == NULL && !wf_ready_is_empty(worker)) {
        if (take_slot(worker, &pick) || (pinned_first && take_pinned(worker, &pick))) {
            return pick;
        }
        if (worker->to_bury != NULL) {
            break;
        }
        uint64_t entry = take_from_lanes(worker);
        if (entry != 0 ? resolve(worker, entry, false, &pick) : take_pinned(worker, &pick)) {
            return pick;
        }
    }
    return nothing;
}

/* The oldest of the lane of new tasks where nothing else here has anything; 0: ask take_otherwise. */
static inline uint64_t take_only(struct wf_worker *worker)
{
    bool is_only = wf_ready_is_lane_only(worker) && worker->to_bury == NULL;
    uint64_t entry = WF_LIKELY(is_only) ? take_oldest(&worker->deque, worker->is_alone) : 0;
    if (WF_LIKELY(entry != 0)) {
        worker->slot_streak = 0;
        worker->was_pinned = false;
    }
    return entry;
}

/* What nearly every entry of that lane names: a task that was spawned here and is to be started. False: ask resolve;
 * nothing has changed. */
static inline bool start_here(struct wf_worker *worker, uint64_t entry)
{
    weft_task *task = wf_token_task(entry);
    uint64_t word = wf_load_acq(&task->word);
    return WF_LIKELY((entry & WF_READY_NEW) != 0) && WF_LIKELY(!wf_entry_is_stale(entry, task)) &&
           WF_LIKELY(!wf_entry_is_others(worker, task)) &&
           WF_LIKELY(wf_state_start_plainly(&task->word, word));
}

WF_WAKING struct wf_pick wf_ready_take(struct wf_worker *worker)
{
    uint64_t entry = take_only(worker);
    if (WF_LIKELY(entry != 0) && WF_LIKELY(start_here(worker, entry))) {
        return (struct wf_pick){wf_token_task(entry), true};
    }
    return take_otherwise(worker, entry);
}

/* The turn of those that have not started, or that yield. */
static __attribute__((noinline)) weft_task *take_unwoken(struct wf_worker *worker)
{
    uint64_t at;
    weft_task *task = wf_ready_take_oldest(worker, &worker->deque, &at);
    worker->was_woken = task == NULL; /* as it was */
    return task;
}

/* Without a frame, for each of a crowd comes this way: which lane it is is seen first, as in wf_ready_lane. */
__attribute__((noinline)) weft_task *wf_ready_take_by_turns(struct wf_worker *worker)
{
    if (worker->was_woken && WF_UNLIKELY(!wf_deque_is_empty(&worker->deque))) {
        return take_unwoken(worker);
    }
    uint64_t at;
    weft_task *task = wf_ready_take_oldest(worker, &worker->woken, &at);
    if (task == NULL) {
        return NULL;
    }
    worker->was_woken = true;
    return wf_deque_bottom(&worker->woken) - at > WF_FETCH_AHEAD
               ? wf_ready_fetch(&worker->woken, at, task)
               : task;
}

WF_WAKING bool wf_ready_is_empty(struct wf_worker *worker)
{
    return wf_load_rlx(&worker->slot) == 0 && worker->pinned == NULL &&
           (worker->has_woken ? wf_ready_count(worker) == 0 : wf_deque_is_empty(&worker->deque));
}
