// SPDX-License-Identifier: MIT
/* door.h - the one function that every await point goes through.
 *
 * An await point is always this:
 *     worker = wf_fiber_worker(&error)                fiber only
 *     rc = wf_door_enter(self, "weft_...")            an undelivered request? then nothing else
 *     wf_wait_begin(&wait, self, reason)
 *     link waiters under the sources' locks           or find the source ready and return
 *     verdict = wf_door_park(&wait)                   suspend; who claimed the wait?
 *     unlink what is still linked
 * Cancellation, timeouts, budget, tracing and reports hang on these calls and on nothing else.
 *
 * Points: every public await call goes exactly once through one of wf_door_enter, wf_door_observe and
 * wf_door_spend, before it does anything else that can be seen, and however often it then parks. That is
 * where the cancel sweep counts, and makes its requests. `call` is the public call's name.
 */
#ifndef WF_AWAIT_DOOR_H
#define WF_AWAIT_DOOR_H

#include "sched/go.h"
#include "sched/probe.h"
#include "sched/sched.h"
#include "sched/simulate.h"
#include "task/cancel.h"
#include "task/end.h"
#include "task/scope.h"

/* The calling task, in a few instructions; NULL: wf_fiber_worker says why. */
static inline weft_task *wf_door_running(const struct wf_worker *worker)
{
    weft_task *self = wf_running_on(worker);
    return self != NULL && !wf_runtime_is_forked(worker->runtime) ? self : NULL;
}

/* The entry rule: -ECANCELED for an undelivered request, else 0. Spends fairness budget: a task whose
 * waits were all ready for long yields here once, and looks again. May switch. -EPERM: the task has ended, and a callback of
 * its end is calling. */
int wf_door_enter(weft_task *self, const char *call);

/* Spends of the budget while there is nothing to do but to count. False, nothing has been done: wf_door_spend. */
static inline bool wf_door_spend_quickly(weft_task *self)
{
    if (WF_UNLIKELY(wf_has_rlx(&self->flags, WF_TASK_PROBED)) ||
        WF_UNLIKELY(self->budget_spent >= WF_BUDGET - 1)) {
        return false;
    }
    WF_FORGET_AT(self->budget_spent);
    self->budget_spent++;
    return true;
}

/* Where one of these is in its word a task does not just go on. */
#define WF_DOOR_LOOKS (WF_UNDELIVERED_MASK | WF_HAS_ENDED)

/* Before a wait that hands requests on: one from before the wait is handed on when the fiber has been left, by whoever
 * arrives, which is too late for the next task if that has been started meanwhile. So nobody is: the host comes next. */
static inline void wf_door_hand_on_first(weft_task *self)
{
    if (WF_UNLIKELY(wf_has_acq(&self->word, WF_UNDELIVERED_MASK))) {
        wf_here()->until_poll = 1;
    }
}

/* Enters while there is nothing to do there but to count. False, nothing has been done: wf_door_enter. For
 * wf_no_task too, which has no budget. */
static inline bool wf_door_pass(weft_task *self)
{
    return WF_LIKELY(!wf_has_acq(&self->word, WF_DOOR_LOOKS)) && wf_door_spend_quickly(self);
}

/* What a call's beginning does on the short way, on wf_here_quick(): the calling task, or NULL for the long one. */
static inline weft_task *wf_door_enter_here(const struct wf_worker *worker)
{
    weft_task *self = wf_load_rlx(&worker->running);
    return wf_door_pass(self) ? self : NULL;
}

/* The same, in a few instructions while there is nothing to do: for calls that are over in nanoseconds. */
static inline int wf_door_enter_quickly(weft_task *self, const char *call)
{
    return __builtin_expect(wf_door_pass(self), 1) ? 0 : wf_door_enter(self, call);
}

/* Only the entry rule: 0, -ECANCELED or -EPERM. Never switches. */
int wf_door_observe(weft_task *self, const char *call);

/* Would it find nothing to do? Not for wf_no_task. */
static inline bool wf_door_is_plain(weft_task *self)
{
    return (wf_load_acq(&self->word) & WF_DOOR_LOOKS) == 0 &&
           (wf_task_flags(self) & WF_TASK_PROBED) == 0;
}

/* The same, in a few instructions while there is nothing to do. */
static inline int wf_door_observe_here(weft_task *self, const char *call)
{
    return WF_LIKELY(wf_door_is_plain(self)) ? 0 : wf_door_observe(self, call);
}

/* In a callback of the task's end, where nothing may wait? */
static inline bool wf_door_is_shut(weft_task *self)
{
    return WF_UNLIKELY(wf_word_has_ended(wf_load_acq(&self->word)));
}

/* Only the budget, for calls that hand their requests on, and look whether the door is shut. May switch. */
void wf_door_spend(weft_task *self, const char *call);

/* The same, in a few instructions while there is nothing to do. */
static inline void wf_door_spend_here(weft_task *self, const char *call)
{
    if (!wf_door_spend_quickly(self)) {
        wf_door_spend(self, call);
    }
}

/* A read has brought something. Whose peer answers at once never waits: the others have their turn earlier then, after a
 * dozen of reads instead of a hundred. For who does wait it makes no difference: a wait gives a new budget. */
static inline void wf_door_spend_more(weft_task *self)
{
    enum { MORE = 7 };
    int spent = self->budget_spent + MORE;
    self->budget_spent = (uint8_t)(spent < WF_BUDGET ? spent : WF_BUDGET - 1);
}

/* Only the sweep's count. Never switches. */
static inline void wf_door_count(weft_task *self, const char *call)
{
    if (__builtin_expect((wf_task_flags(self) & WF_TASK_PROBED) != 0, 0)) {
        wf_probe_point(wf_runtime_of(self)->probe, self, call);
    }
}

/* One trip through the ready queue, in a call that has entered: 0, or -ECANCELED for a request that has
 * come meanwhile. */
int wf_door_yield(weft_task *self);

/* Starts a wait. From here on its waiters may be granted. */
void wf_wait_begin(struct wf_wait *wait, weft_task *self, enum wf_reason reason);

/* Starts the next suspension of a wait whose waiters are still linked. */
void wf_wait_again(struct wf_wait *wait);

/* Suspends until the wait is claimed; who won: WF_GRANTED, WF_TOLD_OFF (the request counts as
 * delivered), WF_TIMED_OUT, WF_CLOSED. After it nobody reads the wait any more.
 * The call ends by wf_go_return to `site` (sched/go.h), or NULL. */
enum wf_verdict wf_door_park_from(struct wf_wait *wait, const void *site);

static inline enum wf_verdict wf_door_park(struct wf_wait *wait)
{
    return wf_door_park_from(wait, NULL);
}

/* ---- the same inline, for what parks most often: a queue ---- */

/* The task is about to wait inside a scope: its limit is armed (limit.h). */
void wf_door_arm(weft_task *self);

/* WF_BUSY is set: returns the word once it is not. */
uint64_t wf_door_let_read(weft_task *self);

static inline void wf_wait_name(struct wf_wait *wait)
{
    uint8_t epoch = (uint8_t)(wf_word_epoch(wf_load_rlx(&wait->task->word)) + 1U);
    wf_store_rlx(&wait->epoch, epoch);
}

static inline void wf_wait_begin_here(struct wf_wait *wait, weft_task *self, enum wf_reason reason)
{
    wait->task = self;
    wf_wait_name(wait);
    wait->reason = (uint8_t)reason;
    wait->handed_on = false;
    wait->was_early = false;
    wait->number = -1;
    wait->hand_on = NULL;
    wait->target = NULL;
    wait->memory = NULL;
    wait->waiter = NULL;
    wait->leave = NULL;
    wait->list = NULL;
}

/* Starts a wait for one source, `target`, in whose list its waiter is about to be linked. */
static inline void wf_seat_begin(struct wf_seat *seat, weft_task *self, enum wf_reason reason,
                                 const void *target)
{
    seat->waiter.turn = 0;
    seat->waiter.notify = NULL;
    seat->waiter.link = (struct wf_list){NULL, NULL};
    seat->waiter.wait = &seat->wait;
    seat->waiter.is_queued = false;
    seat->waiter.is_leaving = false;
    wf_wait_begin_here(&seat->wait, self, reason);
    seat->wait.target = target;
}

/* The same for an object of the program. */
static inline void wf_seat_take(struct wf_seat *seat, weft_task *self, enum wf_reason reason,
                                const void *target)
{
    wf_seat_begin(seat, self, reason, target);
    seat->wait.waiter = &seat->waiter;
}

/* The task's own seat, for a wait that the caller's frame parks in. */
static inline __attribute__((always_inline)) struct wf_seat *wf_seat_own(weft_task *self)
{
    struct wf_seat *seat = wf_task_seat(self);
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    WF_FORGET(seat); /* one short address for all of it, instead of many far from the record */
    wf_store_rlx(&seat->waiter.depth, (uint32_t)((uintptr_t)wf_load_rlx(&self->fiber) - frame));
    return seat;
}

/* `kept`: the wait's task, all that is kept across the switch. */
static inline __attribute__((always_inline)) enum wf_verdict wf_door_park_here(struct wf_wait *wait,
                                                                               weft_task *kept,
                                                                               const void *site)
{
    wait = wf_shortly(wait);
    weft_task *self = wf_shortly(kept);
    if (__builtin_expect(self->scope != NULL, 0)) {
        wf_door_arm(self);
    }
    wf_store_rlx(&self->wait, wait);
    struct wf_worker *worker = wf_here();
    worker->left_awaits = self->budget_spent;
    self->budget_spent = 0;
    wait->serial = (uint32_t)wf_load_rlx(&worker->counters.parks);
    wf_go_park(worker, site);
    self = wf_shortly(kept);
    uint64_t word = wf_load_acq(&self->word);
    if (__builtin_expect((word & WF_BUSY) != 0, 0)) {
        word = wf_door_let_read(self);
    }
    wf_store_rlx(&self->wait, (struct wf_wait *)NULL);
    enum wf_verdict verdict = wf_word_verdict(word);
    if (WF_LIKELY(verdict == WF_GRANTED)) {
        return WF_GRANTED;
    }
    if (verdict == WF_TOLD_OFF && WF_UNLIKELY((word & WF_UNDELIVERED_MASK) != 0)) {
        (void)wf_state_observe(&self->word); /* what came since merges into the same delivery */
    }
    return verdict;
}

/* weft_cancel with any cause (task.c). */
int wf_cancel_now(weft_task *task, int cause);

/* A plain join by the running task, by the name of `call`; never inside (inside.h). `drops`: and then weft_drop, if
 * the task has ended. */
int wf_join_plainly(weft_task *self, weft_task *task, intptr_t *result, bool drops,
                    const char *call);

/* The same on the short way: has the running task nothing to look at first, and has it spent of its budget? For wf_no_task too.
 * False: nothing has been done. */
static inline bool wf_join_passes(weft_task *self)
{
    return WF_LIKELY(!wf_has_acq(&self->word, WF_DOOR_LOOKS | WF_HANDED)) &&
           WF_LIKELY(wf_door_spend_quickly(self));
}

/* ... and if so. */
int wf_join_passed(weft_task *self, weft_task *task, intptr_t *result, bool drops);

/* weft_join and its like, likewise, with the errors of a call. */
int wf_join(weft_task *task, intptr_t *result, bool is_shielded, const char *call);

/* Runs `later` (see wait.h), from any thread. */
static inline void wf_later_run(struct wf_later *later)
{
    if (later->ready != 0 || later->kicks != NULL) {
        wf_sched_flush(later);
    }
}

/* True in a simulation where what follows from a task's end has a turn of its own (simulate.h). */
static inline bool wf_has_turns(const weft_task *self)
{
    return wf_task_registry(self)->has_turns;
}

/* The owner of a waiter that has been unlinked goes on: takes back the turn that it may still have. */
static inline void wf_door_forget(const weft_task *self, struct wf_waiter *waiter)
{
    if (waiter->is_queued) {
        wf_sim_forget(wf_runtime_of(self)->sim, waiter);
    }
}

/* A timer that ends a wait: WF_TIMED_OUT, or WF_GRANTED for a sleep. On the waiter's stack. */
struct wf_alarm {
    struct wf_timer timer;
    struct wf_wait *wait;
    enum wf_verdict verdict;
};

/* Arms it on the calling worker's wheel; WF_FOREVER arms nothing. Before wf_door_park. */
void wf_alarm_set(struct wf_alarm *alarm, struct wf_wait *wait, int64_t deadline_ns,
                  enum wf_verdict verdict);

/* After it the alarm is not running. */
void wf_alarm_clear(struct wf_alarm *alarm);

#endif
