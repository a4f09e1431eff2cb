// SPDX-License-Identifier: MIT
/* end.c - the last transition, and who is told. */
#include "task/end.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/task.h>

#include "task/cancel.h"
#include "task/context.h"

bool wf_task_watch(weft_task *task, struct wf_waiter *waiter)
{
    wf_lock(&task->lock);
    wf_state_set(&task->word, WF_JOINED);
    bool is_open = !wf_word_has_ended(wf_load_acq(&task->word));
    if (is_open) {
        wf_list_push(&task->waiters, &waiter->link);
    }
    wf_unlock(&task->lock);
    return is_open;
}

void wf_task_unwatch(weft_task *task, struct wf_waiter *waiter)
{
    wf_lock(&task->lock);
    wf_list_remove(&waiter->link);
    wf_unlock(&task->lock);
}

bool wf_task_add_callback(weft_task *task, struct wf_callback *callback)
{
    wf_lock(&task->lock);
    wf_state_set(&task->word, WF_JOINED);
    bool is_open = !wf_word_has_ended(wf_load_acq(&task->word));
    if (is_open) {
        callback->next = task->callbacks;
        task->callbacks = callback;
    }
    wf_unlock(&task->lock);
    return is_open;
}

intptr_t wf_task_look(weft_task *task)
{
    uint64_t word = wf_load_acq(&task->word);
    uint64_t seen = wf_word_life(word) == WF_OK ? WF_SEEN | WF_TAKEN : WF_SEEN;
    if ((word & seen) != seen) {
        (void)wf_or_acqrel(&task->word, seen);
    }
    return wf_task_outcome(task, word);
}

/* The field first: the user's drop may look at it. */
static void drop_context(weft_task *task)
{
    weft_context *context = task->context;
    if (__builtin_expect(context != NULL, 0)) {
        task->context = NULL;
        wf_context_drop(context);
    }
}

/* The last reference is gone. */
static void release(weft_task *task, struct wf_task_cache *cache)
{
    struct wf_registry *registry = wf_task_registry(task);
    uint64_t word = wf_load_acq(&task->word);
    if (wf_word_life(word) == WF_ERROR && (word & WF_SEEN) == 0 &&
        (task->flags & WF_TASK_MAIN) == 0) {
        registry->report(registry, WEFT_DIAG_ERROR_NEVER_RETRIEVED, task, (int)task->raw);
    }
    struct wf_extra *extra = task->extra;
    if (extra != NULL) {
        bool has_value = (task->flags & WF_TASK_NEVER_RAN) == 0 && !weft_is_error(task->raw);
        if (extra->drop_result != NULL && has_value && (word & WF_TAKEN) == 0) {
            extra->drop_result(task->raw);
        }
        task->extra = NULL;
        free(extra);
    }
    free(task->errors);
    task->errors = NULL;
    drop_context(task); /* never run at all, or set by the drop of another value */
    wf_task_free(registry, cache, task);
}

void wf_task_let_go(weft_task *task, struct wf_task_cache *cache)
{
    if (wf_task_unhold(task) == 0) {
        release(task, cache);
    }
}

/* Takes the waiters and callbacks under the lock that closes the list for good. */
static struct wf_callback *close_waiters(weft_task *task, bool is_error, bool is_cancel,
                                         uint64_t *before, struct wf_later *later)
{
    wf_lock(&task->lock);
    (void)wf_state_finish(&task->word, is_error, is_cancel, true, before);
    struct wf_list *waiters = &task->waiters;
    while (!wf_list_is_empty(waiters)) {
        struct wf_waiter *waiter = WF_CONTAINER(waiters->next, struct wf_waiter, link);
        (void)wf_waiter_grant(waiter, WF_GRANTED, later);
    }
    struct wf_callback *callbacks = task->callbacks;
    task->callbacks = NULL;
    wf_unlock(&task->lock);
    return callbacks;
}

/* The ended task lends its place to the callback's values. */
static void run_callback(weft_task *task, struct wf_callback *callback)
{
    task->context = callback->context;
    callback->fn(task, callback->arg);
    drop_context(task);
    free(callback);
}

/* Oldest first; they were linked newest first. */
static void run_callbacks(weft_task *task, struct wf_callback *newest)
{
    struct wf_callback *oldest = NULL;
    while (newest != NULL) {
        struct wf_callback *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct wf_callback *next = oldest->next;
        run_callback(task, oldest);
        oldest = next;
    }
}

void wf_task_forget(weft_task *task)
{
    drop_context(task);
    while (task->callbacks != NULL) {
        struct wf_callback *callback = task->callbacks;
        task->callbacks = callback->next;
        wf_context_drop(callback->context);
        free(callback);
    }
}

void wf_task_finish(weft_task *task, intptr_t raw, struct wf_task_cache *cache,
                    struct wf_later *later)
{
    if ((task->flags & WF_TASK_NEVER_RAN) != 0 && task->extra != NULL &&
        task->extra->drop_arg != NULL) {
        task->extra->drop_arg(task->arg);
    }
    drop_context(task);
    task->raw = raw;
    bool is_cancel = raw == -ECANCELED;
    bool is_error = weft_is_error(raw);
    uint64_t before = 0;
    if (!wf_state_finish(&task->word, is_error, is_cancel, false, &before)) {
        struct wf_callback *callbacks = close_waiters(task, is_error, is_cancel, &before, later);
        run_callbacks(task, callbacks);
    }
    bool is_swallowed = !is_error && (before & WF_TOLD) != 0 && wf_word_count(before) > 0 &&
                        wf_word_undelivered(before) == 0;
    if (is_swallowed) {
        struct wf_registry *registry = wf_task_registry(task);
        registry->report(registry, WEFT_DIAG_CANCEL_SWALLOWED, task, 0);
    }
    if (task->owner != NULL) {
        task->owner->ended(task->owner, task, later);
    }
    if ((before & WF_DETACHED) != 0) {
        (void)wf_task_disown(task); /* the run's hold still keeps the record */
    }
    wf_task_let_go(task, cache);
}

void wf_task_drop(weft_task *task, struct wf_task_cache *cache, struct wf_later *later)
{
    uint64_t seen = wf_load_acq(&task->refs);
    bool is_last;
    bool is_pending;
    do {
        WF_CHECK((seen & WF_OWNERS_MASK) != 0, "a handle of task #%llu was dropped twice",
                 (unsigned long long)wf_task_id(task));
        is_last = (seen & WF_OWNERS_MASK) == WF_OWNER_ONE;
        is_pending = is_last && !wf_word_has_ended(wf_load_acq(&task->word));
        /* The last handle of an unfinished task turns into a hold, for the cancellation. */
    } while (!wf_cas_weak_acqrel(&task->refs, &seen,
                                 seen - WF_OWNER_ONE + (is_pending ? WF_HOLD_ONE : 0)));
    if (is_pending) {
        if (wf_cancel(task, 1, WEFT_CAUSE_DROPPED, later) == 1) {
            struct wf_registry *registry = wf_task_registry(task);
            registry->report(registry, WEFT_DIAG_DROPPED_WHILE_PENDING, task, 0);
        }
        wf_task_let_go(task, cache);
    } else if (is_last && (seen & WF_HOLDS_MASK) == 0) {
        release(task, cache);
    }
}
