// SPDX-License-Identifier: MIT
/* ready.c - queueing and taking ready tasks. A wake-up is decided in task/wait.h (wf_wait_claim) and
 * becomes a queue entry in wf_sched_flush below. */
#include "sched/ready.h"

#include <errno.h>

#include "queue/inbox.h"
#include "sched/park.h"
#include "sched/simulate.h"
#include "task/cancel.h"

enum { STEAL_BATCH = 32 };

CK_STACK_CONTAINER(struct weft_task, inbox_entry, task_of_entry)

static uint64_t entry_of(const weft_task *task, bool is_new)
{
    bool is_apart = is_new && (wf_task_flags(task) & WF_TASK_APART) != 0;
    return wf_task_token(task) | (is_new ? WF_READY_NEW : 0) | (is_apart ? WF_READY_APART : 0);
}

/* An entry of an earlier life of the slot may name a task that is at another's home by now. */
static inline bool is_others(const struct wf_worker *worker, const weft_task *task)
{
    return WF_UNLIKELY(wf_load_rlx(&((weft_task *)(uintptr_t)task)->home) != worker->index);
}

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
    if ((wf_task_id(task) & 0xffff) != entry >> 48) {
        return false;
    }
    bool is_guest = is_others(worker, task) && wf_task_visit(task);
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

/* A task that has started has one entry, which lives until somebody takes it. */
static bool is_dead(uint64_t entry)
{
    weft_task *task = wf_token_task(entry);
    return (entry & WF_READY_NEW) != 0 && (wf_word_life(wf_load_acq(&task->word)) != WF_NEW ||
                                           (wf_task_id(task) & 0xffff) != entry >> 48);
}

uint64_t wf_ready_count_dead(struct wf_worker *worker, bool is_newest)
{
    uint64_t count = wf_deque_count(&worker->deque);
    uint64_t dead = is_newest && count > 0 ? 1 : 0;
    while (dead < count && is_dead(wf_deque_newest(&worker->deque, dead))) {
        dead++;
    }
    if (worker->sim == NULL) {
        /* What lies there now lives, or is about to be claimed; of what lies under that nothing is known. */
        worker->odd_below = dead < count ? wf_load_rlx(&worker->deque.bottom) - dead : 0;
    }
    return dead;
}

__attribute__((noinline)) bool wf_ready_claim_elsewhere(struct wf_worker *worker, weft_task *task,
                                                        uint64_t seen, uint64_t before,
                                                        uint64_t dead)
{
    bool is_guest = wf_task_visit(task);
    bool is_ours = wf_ready_claim_locked(worker, task, seen, before, dead);
    wf_task_leave(task, is_guest);
    return is_ours;
}

/* ---- queueing ---- */

static void push_pinned(struct wf_worker *worker, weft_task *task)
{
    task->next = NULL;
    if (worker->pinned == NULL) {
        worker->pinned = task;
    } else {
        worker->pinned_tail->next = task;
    }
    worker->pinned_tail = task;
}

static void push_inject(weft_runtime *runtime, weft_task *task)
{
    wf_inbox_push(&runtime->inject, &task->inbox_entry);
    wf_fence_full(); /* for wf_idle_needs: a plain thread has nobody's heavy fence */
}

static bool goes_elsewhere(const struct wf_worker *worker, const weft_task *task)
{
    return (wf_task_flags(task) & WF_TASK_PINNED) != 0 &&
           (worker == NULL || wf_load_rlx(&task->home) != worker->index);
}

static void send_home(weft_runtime *runtime, weft_task *task)
{
    struct wf_worker *home = &runtime->workers[wf_load_rlx(&task->home)];
    wf_inbox_push(&home->inbox, &task->inbox_entry);
    wf_fence_after_rmw(); /* pairs with go_to_sleep: either it sees the task, or is seen to be drowsy */
    if (wf_load_sc(&home->is_drowsy) != 0) {
        wf_sched_rouse(runtime, home->index);
    }
}

/* The lane may have to grow. If there is no memory for that, the inject stack links through the task itself. A new
 * task in it keeps its state, so the kind is found again. */
static __attribute__((noinline)) void push_far(struct wf_worker *worker, struct wf_deque *lane,
                                               uint64_t entry)
{
    weft_task *task = wf_token_task(entry);
    if (wf_deque_push(lane, entry)) {
        return;
    }
    if ((entry & WF_READY_NEW) != 0) {
        wf_task_add_flags(task, WF_TASK_APART);
        if (!wf_state_link(&task->word)) {
            return;
        }
    }
    push_inject(worker->runtime, task);
}

/* The entry of a task that has started, or is being spawned: nobody else can claim it. */
static inline void push_entry(struct wf_worker *worker, struct wf_deque *lane, uint64_t entry)
{
    if (WF_LIKELY(wf_deque_bottom(lane) < lane->limit)) {
        wf_deque_add(lane, entry);
    } else {
        push_far(worker, lane, entry);
    }
}

static inline void push_woken(struct wf_worker *worker, uint64_t entry)
{
    worker->has_woken = true;
    push_entry(worker, &worker->woken, entry);
}

/* True: not to a lane, but queued where it belongs. */
static bool push_apart(struct wf_worker *worker, weft_task *task)
{
    if (worker->sim != NULL) {
        wf_sim_push(worker->sim, WF_TURN_TASK, (uintptr_t)task);
    } else if (goes_elsewhere(worker, task)) {
        send_home(worker->runtime, task);
    } else if ((wf_task_flags(task) & WF_TASK_PINNED) != 0) {
        push_pinned(worker, task);
    } else {
        return false;
    }
    return true;
}

/* Behind what has not started. Where nothing waits in that lane, behind those that were woken: else who yields
 * again and again would have every second turn, however many these are. */
void wf_ready_push_yielded(struct wf_worker *worker, weft_task *task)
{
    if (!push_apart(worker, task)) {
        bool is_behind_woken = worker->has_woken && wf_deque_count(&worker->deque) == 0 &&
                               wf_deque_count(&worker->woken) > 0;
        push_entry(worker, is_behind_woken ? &worker->woken : &worker->deque,
                   entry_of(task, false));
    }
}

void wf_ready_push_woken(struct wf_worker *worker, weft_task *task)
{
    if (!push_apart(worker, task)) {
        push_woken(worker, entry_of(task, false));
    }
}

/* A task woken by the running fiber runs next: what it was sent is still warm. The one that was there
 * goes to its lane. */
static inline void push_slot(struct wf_worker *worker, weft_task *task)
{
    uint64_t before = wf_load_rlx(&worker->slot);
    if (before == 0 || worker->is_alone) {
        wf_store_rel(&worker->slot, entry_of(task, false)); /* nobody else fills it, or takes it */
    } else {
        before = wf_swap_acqrel(&worker->slot, entry_of(task, false)); /* 0: stolen meanwhile */
    }
    if (before != 0) {
        push_woken(worker, before);
    }
}

void wf_ready_push_soon(struct wf_worker *worker, weft_task *task)
{
    if (wf_load_rlx(&worker->slot) == 0) {
        wf_store_rel(&worker->slot, entry_of(task, false)); /* nobody else fills it */
    } else {
        push_woken(worker, entry_of(task, false));
    }
}

/* On a fiber: a task of its runtime that may run anywhere runs next. False: nothing has been done. */
static inline bool wake_next(struct wf_worker *worker, weft_task *task)
{
    if (WF_UNLIKELY(worker->sim != NULL) ||
        WF_UNLIKELY((wf_task_flags(task) & WF_TASK_PINNED) != 0)) {
        return false;
    }
    wf_bump_own(&worker->counters.wakes, 1);
    push_slot(worker, task);
    return true;
}

static void queue_woken(weft_runtime *runtime, struct wf_worker *worker, weft_task *task)
{
    bool is_local = worker != NULL && worker->runtime == runtime;
    if (!is_local) {
        /* Once queued the task may be the last of its runtime, which must not go before we leave. */
        wf_visit_begin(runtime);
        /* A simulation has one list, and finds each task's worker when its turn comes. */
        if (runtime->sim == NULL && goes_elsewhere(NULL, task)) {
            send_home(runtime, task);
        } else {
            push_inject(runtime, task);
            wf_sched_notify(runtime);
        }
        wf_visit_end(runtime);
        return;
    }
    bool on_fiber = worker->fiber != worker->host;
    if (!on_fiber || !wake_next(worker, task)) {
        wf_bump_own(&worker->counters.wakes, 1);
        wf_ready_push_woken(worker, task);
    }
}

/* On a fiber one task in the slot wakes nobody; more in the lanes do. The host takes one itself, at once unless it
 * has another that goes first. */
static __attribute__((noinline)) void tell_if_more(struct wf_worker *worker)
{
    bool has_none_before = worker->pinned == NULL && wf_load_rlx(&worker->slot) == 0;
    uint64_t own = worker->fiber == worker->host && has_none_before ? 1 : 0;
    if (wf_ready_count(worker) > own) {
        wf_sched_wake_one(worker->runtime);
    }
}

/* What lies in the lanes was published before. */
static inline void tell_others(struct wf_worker *worker)
{
    if (wf_sched_needs(worker->runtime)) {
        tell_if_more(worker);
    }
}

/* The same after wake_next: for the slot alone nobody is needed. */
static inline void tell_of_lanes(struct wf_worker *worker)
{
    if (WF_UNLIKELY(!wf_sched_has_none(worker))) {
        tell_others(worker);
    }
}

/* Whatever there is to do. */
static __attribute__((noinline)) void flush_all(struct wf_worker *worker, struct wf_later *later)
{
    wf_kick_all(later);
    if (later->delivered != 0 && worker != NULL) {
        wf_bump_own(&worker->counters.delivered, later->delivered);
    }
    later->delivered = 0;
    while (later->ready != 0) {
        uintptr_t entry = later->ready;
        later->ready = *wf_ready_link(entry);
        if (later->ready != 0) {
            wf_fetch_further(later->ready, entry, later->ready);
        }
        uintptr_t kind = entry & WF_READY_KINDS;
        weft_task *task = (weft_task *)(entry & ~(uintptr_t)WF_READY_KINDS);
        if (__builtin_expect(kind == WF_READY_TASK, 1)) {
            queue_woken(wf_runtime_of(task), worker, task);
        } else {
            wf_sim_push(worker->sim, (enum wf_turn_kind)kind, (uintptr_t)task);
        }
    }
    if (worker != NULL) {
        tell_others(worker);
    }
}

/* Nearly always one task, or none, and nothing else. */
void wf_sched_flush(struct wf_later *later)
{
    struct wf_worker *worker = wf_here();
    uintptr_t entry = later->ready;
    if (WF_UNLIKELY(later->kicks != NULL) || WF_UNLIKELY(later->delivered != 0) ||
        WF_UNLIKELY(worker == NULL) || WF_UNLIKELY(worker->fiber == worker->host)) {
        flush_all(worker, later);
    } else if (entry == 0) {
        tell_others(worker);
    } else if (WF_LIKELY(entry == later->ready_tail && (entry & WF_READY_KINDS) == 0) &&
               WF_LIKELY(wf_runtime_of((weft_task *)entry) == worker->runtime) &&
               wake_next(worker, (weft_task *)entry)) {
        later->ready = 0;
        tell_of_lanes(worker);
    } else {
        flush_all(worker, later);
    }
}

void wf_sched_wake(struct wf_worker *worker, weft_task *task)
{
    if (WF_LIKELY(wake_next(worker, task))) {
        tell_of_lanes(worker);
    } else {
        (void)wf_sched_wake_slowly(task);
    }
}

__attribute__((noinline)) int wf_sched_wake_slowly(weft_task *task)
{
    struct wf_worker *worker = wf_here();
    queue_woken(wf_runtime_of(task), worker, task);
    tell_others(worker);
    return 0;
}

void wf_sched_submit(weft_runtime *runtime, struct wf_worker *worker, weft_task *task)
{
    bool is_pinned = (wf_task_flags(task) & WF_TASK_PINNED) != 0;
    if (runtime->sim != NULL) {
        wf_sim_push(runtime->sim, WF_TURN_NEW, (uintptr_t)task);
    } else if (is_pinned && worker != NULL) {
        push_pinned(worker, task);
    } else if (is_pinned) {
        send_home(runtime, task);
    } else {
        if (worker != NULL) {
            push_entry(worker, &worker->deque, entry_of(task, true));
        } else {
            wf_task_add_flags(task, WF_TASK_APART);
            push_inject(runtime, task);
        }
        wf_sched_notify(runtime);
    }
}

/* ---- taking ---- */

static bool take_pinned(struct wf_worker *worker, struct wf_pick *pick)
{
    weft_task *task = worker->pinned;
    if (task == NULL) {
        return false;
    }
    worker->pinned = task->next;
    worker->was_pinned = true;
    bool is_new = wf_word_life(wf_load_acq(&task->word)) == WF_NEW;
    return resolve(worker, entry_of(task, is_new), true, pick);
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

struct wf_pick wf_ready_take(struct wf_worker *worker)
{
    struct wf_pick pick = {NULL, false};
    const struct wf_pick nothing = {NULL, false};
    bool pinned_first = !worker->was_pinned;
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

__attribute__((noinline)) weft_task *wf_ready_take_by_turns(struct wf_worker *worker)
{
    uint64_t at;
    struct wf_deque *lane = wf_ready_lane(worker);
    weft_task *task = wf_ready_take_oldest(worker, lane, &at);
    if (task == NULL) {
        return NULL;
    }
    worker->was_woken = lane == &worker->woken;
    if (worker->was_woken && wf_deque_bottom(lane) - at > WF_FETCH_AHEAD) {
        wf_ready_fetch(lane, at);
    }
    return task;
}

bool wf_ready_is_empty(struct wf_worker *worker)
{
    return wf_load_rlx(&worker->slot) == 0 && worker->pinned == NULL &&
           (wf_sched_has_none(worker) || wf_ready_count(worker) == 0);
}

/* Takes all of a stack, oldest first. */
static weft_task *pop_all(ck_stack_t *stack)
{
    weft_task *oldest = NULL;
    ck_stack_entry_t *entry = wf_inbox_take_all(stack);
    while (entry != NULL) {
        ck_stack_entry_t *next = CK_STACK_NEXT(entry);
        weft_task *task = task_of_entry(entry);
        task->next = oldest;
        oldest = task;
        entry = next;
    }
    return oldest;
}

/* From the inject stack to a lane; back to it if there is no memory for that. */
static void collect_task(struct wf_worker *worker, weft_task *task, bool is_new)
{
    struct wf_deque *lane = is_new ? &worker->deque : &worker->woken;
    if (!wf_deque_reserve(lane, 1)) {
        push_inject(worker->runtime, task);
        return;
    }
    if (is_new) {
        wf_state_unlink(&task->word);
    }
    worker->has_woken = worker->has_woken || !is_new;
    wf_deque_add(lane, entry_of(task, is_new));
}

void wf_ready_collect(struct wf_worker *worker)
{
    weft_task *task = pop_all(&worker->inbox);
    if (task != NULL && worker->mail_ns == 0) {
        worker->mail_ns = WF_MAIL_NS;
    }
    while (task != NULL) {
        weft_task *next = task->next;
        push_pinned(worker, task);
        task = next;
    }
    task = pop_all(&worker->runtime->inject);
    while (task != NULL) {
        weft_task *next = task->next;
        bool is_new = wf_word_life(wf_load_acq(&task->word)) == WF_NEW;
        if (worker->sim != NULL) {
            wf_sim_push(worker->sim, is_new ? WF_TURN_NEW : WF_TURN_TASK, (uintptr_t)task);
        } else {
            collect_task(worker, task, is_new);
        }
        task = next;
    }
    tell_others(worker);
}

/* Into one's own lane, which gets the room first: what has been stolen can't be linked anywhere else. */
static uint32_t steal_lane(struct wf_deque *lane, struct wf_deque *from)
{
    uint64_t batch[STEAL_BATCH];
    if (wf_deque_count(from) == 0 || !wf_deque_reserve(lane, STEAL_BATCH)) {
        return 0;
    }
    uint32_t count = wf_deque_steal(from, batch, STEAL_BATCH);
    for (uint32_t i = 0; i < count; i++) {
        wf_deque_add(lane, batch[i]);
    }
    return count;
}

/* The task of an entry that was stolen from `victim` is at nobody's home any more. False: the entry is dead. */
static bool take_along(const struct wf_worker *victim, uint64_t entry)
{
    weft_task *task = wf_token_task(entry);
    if ((entry & WF_READY_NEW) == 0) {
        return true;
    }
    uint64_t word = wf_load_acq(&task->word);
    if ((wf_task_id(task) & 0xffff) != entry >> 48) {
        return false;
    }
    bool is_guest = is_others(victim, task) && wf_task_visit(task);
    bool is_moved = wf_state_move(&task->word, word);
    wf_task_leave(task, is_guest);
    return is_moved;
}

/* What has not started is its home's to start without a locked operation, and so is taking it off the deque: the thief is a
 * guest there. */
static uint32_t steal_new(struct wf_worker *worker, struct wf_worker *victim)
{
    uint64_t batch[STEAL_BATCH];
    struct wf_bias *bias = &worker->runtime->registry.bias;
    if (wf_deque_count(&victim->deque) == 0 || !wf_deque_reserve(&worker->deque, STEAL_BATCH)) {
        return 0;
    }
    bool is_guest = wf_bias_visit_one(bias, &victim->tasks.owner);
    uint32_t count = wf_deque_steal(&victim->deque, batch, STEAL_BATCH);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_guest || take_along(victim, batch[i])) {
            wf_deque_add(&worker->deque, batch[i]);
            kept++;
        }
    }
    wf_bias_leave(bias, is_guest);
    return kept;
}

static uint32_t steal(struct wf_worker *worker, struct wf_worker *victim)
{
    uint32_t count = steal_lane(&worker->woken, &victim->woken);
    worker->has_woken = worker->has_woken || count > 0;
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

struct wf_pick wf_ready_steal(struct wf_worker *worker, struct wf_worker *victim, bool last_pass)
{
    struct wf_pick pick = {NULL, false};
    uint32_t count = steal(worker, victim);
    if (count == 0 && last_pass) {
        uint64_t entry = wf_load_acq(&victim->slot);
        if (entry != 0 && wf_cas_acqrel(&victim->slot, &entry, UINT64_C(0))) {
            push_woken(worker, entry);
            count = 1;
        }
    }
    if (count == 0) {
        return pick;
    }
    count_stolen(worker, count);
    return wf_ready_take(worker);
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
