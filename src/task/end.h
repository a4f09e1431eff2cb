// SPDX-License-Identifier: MIT
/* end.h - how a task ends, and how its record does.
 *
 * Order at the end of a task: drop_arg if it never ran; its values, so that whoever sees the end knows
 * that they are gone; the terminal transition (the linearization point: cancel returns 0 from here on);
 * the owner, so that a group's abort comes before the news that caused it; waiters granted in the order
 * in which they came; callbacks (in a simulation with turns among the waiters); the owner again, so that a
 * group outlives them; the run's hold. The record goes with its last reference.
 */
#ifndef WF_TASK_END_H
#define WF_TASK_END_H

#include <errno.h>

#include "task/slab.h"
#include "task/wait.h"

/* A function to call when a task has ended (weft_on_done). Under the task's lock until then. */
struct wf_callback {
    struct wf_callback *next;
    void (*fn)(weft_task *, void *);
    void *arg;
    struct wf_waiter turn; /* where it gets a turn of its own (simulation) ... */
    weft_task *task;       /* ... with a hold on this */
    weft_context *context; /* of whoever asked for it: what fn sees */
};

/* `task`, which this worker runs (or claimed and must not run), ends with `raw`. Calls user code:
 * drop_arg, drops of values, callbacks. No locks held. */
void wf_task_finish(weft_task *task, intptr_t raw, struct wf_task_cache *cache,
                    struct wf_later *later);

/* After wf_task_unhold has returned 0: the last reference is gone. No locks held. */
void wf_task_release(weft_task *task, struct wf_task_cache *cache);

/* The one waiter of a task that ends, if nobody else is to be told; NULL if somebody is. Under the task's lock. */
static inline struct wf_waiter *wf_task_only_waiter(const weft_task *task)
{
    struct wf_list *link = task->waiters.next;
    struct wf_waiter *waiter = WF_CONTAINER(link, struct wf_waiter, link);
    bool is_alone = link == task->waiters.prev && link != &task->waiters && !task->has_callbacks;
    return is_alone && waiter->notify == NULL ? waiter : NULL;
}

/* May it end by the short ways below? It has nothing but what every task has, and ends with a value that was not told to
 * be none, or as cancelled. */
static inline bool wf_task_ends_plainly(weft_task *task, intptr_t raw, uint64_t word)
{
    const unsigned apart = WF_TASK_MORE | WF_TASK_MAIN | WF_TASK_NEVER_RAN | WF_TASK_WALKS;
    bool is_told = (word & WF_TOLD) != 0; /* ... and swallowed it */
    return (wf_task_flags(task) & apart) == 0 &&
           (raw == -ECANCELED || (!is_told && !weft_is_error(raw)));
}

/* The turn of a WF_READY_ENDED entry: its owner is told, its hold given up. */
void wf_task_owner_turn(weft_task *task, struct wf_later *later);

/* Reports the error of an ended task if it is of that kind: WEFT_DIAG_ERROR_AT_SHUTDOWN when closing had
 * cancelled the task, WEFT_DIAG_ERROR_NEVER_RETRIEVED when nobody has looked. */
void wf_task_report_error(weft_task *task, weft_diagnostic_kind kind);

/* Gives up one handle: what weft_drop does. `cache` NULL on plain threads. */
void wf_task_drop(weft_task *task, struct wf_task_cache *cache, struct wf_later *later);

/* wf_task_release for one that ended with `word`, by a cache: most have no more than every task has, and are not said to have
 * failed. */
static inline void wf_task_release_here(weft_task *task, struct wf_task_cache *cache, uint64_t word)
{
    if (WF_UNLIKELY((wf_task_flags(task) & WF_TASK_MORE) != 0) ||
        WF_UNLIKELY(wf_load_rlx(&task->marks) != 0) ||
        WF_UNLIKELY(wf_word_life(word) == WF_ERROR) || wf_task_cache_is_full(cache)) {
        wf_task_release(task, cache);
    } else {
        WF_ASSERT(task->scope == NULL && wf_load_rlx(&task->wait) == NULL &&
                  task->context == NULL && wf_load_rlx(&task->joins) == 0);
        wf_task_free_quickly(cache, task, word);
    }
}

/* wf_task_drop for the last handle of a task that has ended, which is nearly every one. False: ask wf_task_drop; nothing
 * has been done. */
static inline bool wf_task_drop_ended(weft_task *task, struct wf_task_cache *cache)
{
    uint64_t refs = wf_load_acq(&task->refs);
    uint64_t word = wf_load_acq(&task->word);
    bool is_last =
        (refs & (WF_OWNERS_MASK | WF_HOLDS_MASK)) == WF_OWNER_ONE && wf_word_has_ended(word);
    if (WF_UNLIKELY(!is_last) || !wf_solo_cas64(&task->refs, &refs, refs - WF_OWNER_ONE)) {
        return false;
    }
    wf_task_release_here(task, cache, wf_load_acq(&task->word));
    return true;
}

/* Gives up one hold. */
void wf_task_let_go(weft_task *task, struct wf_task_cache *cache);

/* Links `waiter` to the task's end; false if it has ended (nothing is linked). */
bool wf_task_watch(weft_task *task, struct wf_waiter *waiter);

/* The same inline, for most: it has started, or is in no queue of its home. */
static inline bool wf_task_watch_here(weft_task *task, struct wf_waiter *waiter)
{
    if (WF_UNLIKELY(wf_word_is_at_home(wf_load_acq(&task->word))) ||
        WF_UNLIKELY(!wf_lock_quickly(&task->lock))) {
        return wf_task_watch(task, waiter);
    }
    bool is_open = wf_state_join(&task->word);
    if (WF_LIKELY(is_open)) {
        wf_task_begin_list(task);
        wf_list_push(&task->waiters, &waiter->link);
    }
    wf_unlock(&task->lock);
    return is_open;
}

/* Unlinks a waiter that may still be linked. */
void wf_task_unwatch(weft_task *task, struct wf_waiter *waiter);

/* Adds a callback; false if the task has ended. */
bool wf_task_add_callback(weft_task *task, struct wf_callback *callback);

/* Frees what a task that will never end still holds: its values, and callbacks that will never be called.
 * Nobody else looks at it. */
void wf_task_forget(weft_task *task);

/* The outcome for somebody who looks at it: counts as seen, and a value as taken unless `result` is
 * NULL. */
static inline void wf_task_look(weft_task *task, intptr_t *result)
{
    uint64_t word = wf_load_acq(&task->word);
    enum wf_life end = wf_word_life(word);
    /* Noted only where somebody asks: who reports what failed unseen, who drops what was not taken. */
    bool takes = end == WF_OK && result != NULL && wf_task_has_extra(task);
    uint64_t seen = end == WF_ERROR ? WF_SEEN : takes ? WF_TAKEN : 0;
    if (WF_UNLIKELY((word & seen) != seen)) {
        (void)wf_solo_or64(&task->word, seen);
    }
    if (result != NULL) {
        *result = wf_task_outcome(task, word);
    }
}

/* The task that a token names, with a hold; NULL when it is gone, or of another runtime: what several
 * runtimes use keeps tokens of those whose memory has gone. The registry must stay. */
static inline weft_task *wf_token_hold(struct wf_registry *registry, uint64_t token)
{
    weft_task *task = (weft_task *)(uintptr_t)(token & UINT64_C(0x0000ffffffffffff));
    if (task == NULL || !wf_registry_has(registry, task) || !wf_task_try_hold(task)) {
        return NULL;
    }
    if (wf_task_token(task) == token) {
        return task;
    }
    wf_task_let_go(task, NULL);
    return NULL;
}

#endif
