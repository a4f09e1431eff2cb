// SPDX-License-Identifier: MIT
/* ready.c - queueing ready tasks. A wake-up is decided in task/wait.h (wf_wait_claim) and becomes a queue
 * entry in wf_sched_flush below. They are taken in take.c and steal.c. */
#include "sched/ready.h"

#include "queue/inbox.h"
#include "sched/brief.h"
#include "sched/park.h"
#include "sched/simulate.h"
#include "sched/squeeze.h"
#include "task/cancel.h"

CK_STACK_CONTAINER(struct weft_task, inbox_entry, task_of_entry)

/* ---- where it belongs ---- */

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
    wf_fence_after_rmw(); /* pairs with wf_worker_sleep: either it sees the task, or is seen to be drowsy */
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
    if (!wf_deque_add_at_hand(lane, entry)) {
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
                   wf_entry_started(task));
    }
}

void wf_ready_push_woken(struct wf_worker *worker, weft_task *task)
{
    if (!push_apart(worker, task)) {
        push_woken(worker, wf_entry_started(task));
    }
}

/* Puts an entry into the slot, which had `before`; returns what was there. */
static inline uint64_t fill_slot(struct wf_worker *worker, uint64_t entry, uint64_t before)
{
    if (before == 0 || worker->is_alone) {
        wf_store_rel(&worker->slot, entry); /* nobody else fills it, or takes it */
        return before;
    }
    return wf_swap_acqrel(&worker->slot, entry); /* 0: stolen meanwhile */
}

/* A task woken by the running fiber runs next: what it was sent is still warm. The one that was there
 * goes to its lane. */
static inline void push_slot(struct wf_worker *worker, weft_task *task)
{
    uint64_t before = fill_slot(worker, wf_entry_started(task), wf_load_rlx(&worker->slot));
    if (before != 0) {
        push_woken(worker, before);
    }
}

void wf_ready_push_soon(struct wf_worker *worker, weft_task *task)
{
    if (wf_load_rlx(&worker->slot) == 0) {
        wf_store_rel(&worker->slot, wf_entry_started(task)); /* nobody else fills it */
    } else {
        push_woken(worker, wf_entry_started(task));
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

WF_WAKING static void queue_woken(weft_runtime *runtime, struct wf_worker *worker, weft_task *task)
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
    uint64_t count = wf_ready_count(worker);
    if (count > own && !wf_brief_keeps(worker, count, own)) {
        wf_squeeze_wake(worker);
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

static inline void queue_entry(struct wf_worker *worker, bool on_fiber, uintptr_t entry)
{
    uintptr_t kind = entry & WF_READY_KINDS;
    weft_task *task = (weft_task *)(entry & ~(uintptr_t)WF_READY_KINDS);
    if (WF_UNLIKELY(kind != WF_READY_TASK)) {
        wf_sim_push(worker->sim, (enum wf_turn_kind)kind, (uintptr_t)task);
        return;
    }
    weft_runtime *runtime = wf_runtime_of(task);
    bool is_local = on_fiber && WF_LIKELY(runtime == worker->runtime);
    if (!is_local || WF_UNLIKELY(!wake_next(worker, task))) {
        queue_woken(runtime, worker, task);
    }
}

/* Whatever there is to do. */
WF_WAKING static __attribute__((noinline)) void flush_all(struct wf_worker *worker,
                                                          struct wf_later *later)
{
    wf_kick_all(later);
    if (later->delivered != 0 && worker != NULL) {
        wf_bump_own(&worker->counters.delivered, later->delivered);
    }
    later->delivered = 0;
    bool on_fiber = worker != NULL && worker->fiber != worker->host;
    uintptr_t entry = later->ready;
    later->ready = 0;
    while (entry != 0) {
        uintptr_t next = *wf_ready_link(entry); /* first: queued it may run, and wait again */
        if (next != 0) {
            wf_fetch_further(next, entry, next);
        }
        queue_entry(worker, on_fiber, entry);
        entry = next;
    }
    if (worker != NULL) {
        tell_others(worker);
    }
}

/* Nearly always one task, or none, and nothing else. */
WF_WAKING void wf_sched_flush(struct wf_later *later)
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

__attribute__((noinline)) weft_task *wf_sched_tell(struct wf_worker *worker, weft_task *answer)
{
    tell_others(worker);
    return answer;
}

/* The rest of wf_sched_wake: something is in the lanes; `before`, if it is not 0, is yet to go there, for which there is no
 * room. */
static __attribute__((noinline)) int tell_after(struct wf_worker *worker, uint64_t before,
                                                int answer)
{
    if (before != 0) {
        push_woken(worker, before);
    }
    tell_others(worker);
    return answer;
}

static __attribute__((noinline)) int wake_apart(weft_task *task, int answer)
{
    (void)wf_sched_wake_slowly(task);
    return answer;
}

/* Without a frame: what is rare is its last act. */
int wf_sched_wake(struct wf_worker *worker, weft_task *task, int answer)
{
    uint64_t before = wf_load_rlx(&worker->slot);
    if (WF_UNLIKELY(worker->sim != NULL) ||
        WF_UNLIKELY((wf_task_flags(task) & WF_TASK_PINNED) != 0)) {
        return wake_apart(task, answer);
    }
    wf_bump_own(&worker->counters.wakes, 1);
    before = fill_slot(worker, wf_entry_started(task), before);
    if (before == 0 && WF_LIKELY(wf_sched_has_none(worker))) {
        return answer; /* for the slot alone nobody is needed */
    }
    if (before != 0) {
        worker->has_woken = true;
        if (WF_UNLIKELY(!wf_deque_add_at_hand(&worker->woken, before))) {
            return tell_after(worker, before, answer);
        }
    }
    return wf_sched_needs(worker->runtime) ? tell_after(worker, 0, answer) : answer;
}

__attribute__((noinline)) int wf_sched_wake_slowly(weft_task *task)
{
    struct wf_worker *worker = wf_here();
    queue_woken(wf_runtime_of(task), worker, task);
    tell_others(worker);
    return 0;
}

__attribute__((noinline)) int wf_sched_send_slowly(weft_task *task, const void *to,
                                                   const struct wf_list *link)
{
    struct wf_worker *worker = wf_here();
    weft_task *before = worker->sent.task;
    if (wf_token_task(wf_load_rlx(&worker->slot)) == before && before != NULL) {
        /* one after the other is woken */
        wf_task_fetch_further(before, task, link, wf_load_rlx(&worker->counters.wakes));
    }
    worker->sent = (struct wf_sent){.to = to, .link = link, .task = task};
    return WF_LIKELY(wf_runtime_of(task) == worker->runtime) ? wf_sched_wake(worker, task, 0)
                                                             : wf_sched_wake_slowly(task);
}

static void notify(weft_runtime *runtime, struct wf_worker *worker)
{
    if (worker == NULL) {
        wf_sched_notify(runtime);
    } else if (wf_sched_needs(runtime)) {
        wf_squeeze_wake(worker);
    }
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
            push_entry(worker, &worker->deque, wf_entry_of(task, true));
        } else {
            wf_task_add_flags(task, WF_TASK_APART);
            push_inject(runtime, task);
        }
        notify(runtime, worker);
    }
}

/* ---- what was sent here ---- */

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
    wf_deque_add(lane, wf_entry_of(task, is_new));
}

WF_WAKING void wf_ready_collect(struct wf_worker *worker)
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
