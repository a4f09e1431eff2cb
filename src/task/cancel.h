// SPDX-License-Identifier: MIT
/* cancel.h - requests: adding them, and kicking the task that has one.
 *
 * What: every cancellation is two steps. First the request is added to the victim's state word
 *       (count and undelivered); then the victim is kicked: if it is parked, its wait is ended, or
 *       the request is handed on to what it waits for, which is kicked in turn. A task that runs, is
 *       queued or has not started finds the request by itself. Where it is parked and takes the request
 *       at once, the two steps are one (wf_cancel_parked).
 * Why this way: a kick is idempotent and harmless for any slot at any time, so it needs no reference
 *       and no particular moment. The walk is a loop over an intrusive list: no recursion, no bound.
 * Threads: any. A task is on at most one kick list (WF_MARK_KICKED); whoever takes it off clears the mark
 *       first, so that a request added meanwhile makes its own kick.
 */
#ifndef WF_TASK_CANCEL_H
#define WF_TASK_CANCEL_H

#include "task/request.h"
#include "task/scope.h"
#include "task/wait.h"

/* Adds a scope's own request and notes in the scope what became of it. Does not kick: true if the task
 * is to be kicked. */
bool wf_cancel_add_own(struct wf_scope *scope);

/* Ends the wait of `task` if it can be ended at once, else puts it on later's kick list. Locks may be
 * held. */
void wf_kick_soon(struct wf_later *later, weft_task *task);

/* Puts `task` on later's kick list unless it is on one. */
void wf_kick_push(struct wf_later *later, weft_task *task);

/* Kicks all of later's list, and whatever that adds to it. No locks held. */
void wf_kick_all(struct wf_later *later);

/* Hands what is undelivered on to the child that runs on the task's own stack, if there is one. No locks
 * held. */
void wf_cancel_inside(weft_task *task, struct wf_later *later);

/* The child that runs inside `task`, with a hold; NULL if there is none by now. The task's lock is held, and
 * WF_BUSY set: the task does not leave the child. `is_for_all`: it waits for all tasks of the child's owner.
 * `held` receives what wf_inside_unlock is to give up, also where this returns NULL. */
weft_task *wf_inside_hold(weft_task *task, bool *is_for_all, weft_task **held);

/* Gives up that hold, `held` (NULL for none), and the task's lock: in this order, for a joiner that finds the lock
 * free has nobody's hold to fear. Where somebody else has run the child it may be the last one: it is released
 * without the lock. */
void wf_inside_unlock(weft_task *task, weft_task *held);

/* Adds `count` requests from outside and ends the task's wait, or lists the task for kicking: 1 accepted,
 * 0 ended, -EOVERFLOW. `cause`: WEFT_CAUSE_* or the user's. Locks may be held. */
int wf_cancel(weft_task *task, uint32_t count, int cause, struct wf_later *later);

/* The cause that `task`, which hands a request on, was given. */
static inline int wf_cancel_cause(const weft_task *task)
{
    return wf_load_rlx(&((weft_task *)(uintptr_t)task)->cause);
}

/* The same with one request, for a task that is parked and takes it at once; the caller must queue it. False: ask
 * wf_cancel; no request has been made. */
static inline bool wf_cancel_parked(weft_task *task, int cause)
{
    wf_store_rlx(&task->cause, (int16_t)cause); /* before: who sees the request sees it too */
    return wf_state_cancel_parked(&task->word);
}

/* Takes one request back; returns the remainder. */
uint32_t wf_uncancel(weft_task *task);

#endif
