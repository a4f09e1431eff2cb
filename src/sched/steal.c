// SPDX-License-Identifier: MIT
/* steal.c - a worker that has nothing takes from another: a batch of each lane, or in its last pass the slot.
 *
 * Threads: the thief's worker. Its victim may take from the same places at the same time: a CAS decides.
 */
#include "sched/ready.h"

#include "queue/inbox.h"
#include "sched/gain.h"

enum { STEAL_BATCH = 32 };

/* Has the other lane anything? Then one's own gets the room first: what has been stolen can't be linked anywhere else. */
static bool is_worth_it(struct wf_deque *lane, struct wf_deque *from)
{
    return wf_deque_count(from) > 0 && wf_deque_reserve(lane, STEAL_BATCH);
}

/* The task of an entry that was stolen from `victim` is at nobody's home any more. False: the entry is dead. */
static bool take_along(const struct wf_worker *victim, uint64_t entry)
{
    weft_task *task = wf_token_task(entry);
    if ((entry & WF_READY_NEW) == 0) {
        return true;
    }
    uint64_t word = wf_load_acq(&task->word);
    if (wf_entry_is_stale(entry, task)) {
        return false;
    }
    bool is_guest = wf_entry_is_others(victim, task) && wf_task_visit(task);
    bool is_moved = wf_state_move(&task->word, word);
    wf_task_leave(task, is_guest);
    return is_moved;
}

/* A batch into one's own lane. `home` NULL: whatever it is; else what it has that lives, at nobody's home from here on. */
static uint32_t steal_lane(struct wf_deque *lane, struct wf_deque *from, uint32_t most,
                           const struct wf_worker *home)
{
    uint64_t batch[STEAL_BATCH];
    uint32_t count = wf_deque_steal(from, batch, most);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (home == NULL || take_along(home, batch[i])) {
            wf_deque_add(lane, batch[i]);
            kept++;
        }
    }
    return kept;
}

static uint32_t steal_woken(struct wf_worker *worker, struct wf_worker *victim)
{
    if (!is_worth_it(&worker->woken, &victim->woken)) {
        return 0;
    }
    uint32_t count =
        steal_lane(&worker->woken, &victim->woken, wf_gain_most(worker, STEAL_BATCH), NULL);
    worker->has_woken = worker->has_woken || count > 0;
    return count;
}

/* What has not started is its home's to start without a locked operation, and so is taking it off the deque: the thief is a
 * guest there. */
static uint32_t steal_new(struct wf_worker *worker, struct wf_worker *victim)
{
    struct wf_bias *bias = &worker->runtime->registry.bias;
    if (!is_worth_it(&worker->deque, &victim->deque)) {
        return 0;
    }
    bool is_guest = wf_bias_visit_one(bias, &victim->tasks.owner);
    uint32_t kept = steal_lane(&worker->deque, &victim->deque, wf_gain_most(worker, STEAL_BATCH),
                               is_guest ? victim : NULL);
    wf_bias_leave(bias, is_guest);
    return kept;
}

static uint32_t steal(struct wf_worker *worker, struct wf_worker *victim)
{
    uint32_t count = steal_woken(worker, victim);
    return count + steal_new(worker, victim);
}

static void count_stolen(struct wf_worker *worker, uint32_t count)
{
    wf_bump_own(&worker->counters.steals, 1);
    wf_bump_own(&worker->counters.stolen, count);
}

void wf_ready_pull(struct wf_worker *worker, struct wf_worker *victim)
{
    uint32_t count = steal(worker, victim);
    if (count > 0) {
        count_stolen(worker, count);
    }
}

static enum wf_gain_kind kind_of(struct wf_pick pick, struct wf_worker *victim)
{
    if (!pick.is_new) {
        return WF_GAIN_WOKEN;
    }
    return wf_ready_count(victim) > 0 ? WF_GAIN_NEW : WF_GAIN_NEW_ALONE;
}

struct wf_pick wf_ready_steal(struct wf_worker *worker, struct wf_worker *victim, bool last_pass)
{
    struct wf_pick pick = {NULL, false};
    uint32_t count = steal(worker, victim);
    if (count == 0 && last_pass) {
        uint64_t entry = wf_load_acq(&victim->slot);
        if (entry != 0 && wf_cas_acqrel(&victim->slot, &entry, UINT64_C(0))) {
            wf_ready_push_woken(worker, wf_token_task(entry));
            count = 1;
        }
    }
    if (count == 0) {
        return pick;
    }
    count_stolen(worker, count);
    pick = wf_ready_take(worker);
    if (pick.task != NULL) {
        wf_gain_note(worker, kind_of(pick, victim));
    } else {
        worker->gain.is_futile = true;
    }
    return pick;
}

bool wf_ready_anywhere(weft_runtime *runtime)
{
    if (!wf_inbox_is_empty(&runtime->inject)) {
        return true;
    }
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        if (wf_ready_count(&runtime->workers[i]) > 0) {
            return true;
        }
    }
    return false;
}
