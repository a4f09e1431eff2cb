// SPDX-License-Identifier: MIT
/* end.c - the last transition, and who is told. */
#include "task/end.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/task.h>

#include "task/cancel.h"
#include "task/context.h"
#include "task/here.h"

/* Somebody is to be told of its end, under its lock from here on; false if it has ended. */
static bool lock_to_join(weft_task *task)
{
    bool is_guest = wf_task_visit(task);
    wf_lock(&task->lock);
    bool is_open = wf_state_join(&task->word);
    wf_task_leave(task, is_guest);
    if (is_open) {
        wf_task_begin_list(task);
    }
    return is_open;
}

bool wf_task_watch(weft_task *task, struct wf_waiter *waiter)
{
    bool is_open = lock_to_join(task);
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

static void run_callback(weft_task *task, struct wf_callback *callback)
{
    wf_here_lend(callback->context);
    task->context = callback->context; /* for what fn spawns: it runs in the ended task's place */
    callback->fn(task, callback->arg);
    task->context = NULL;
    wf_here_lend(NULL);
    wf_context_drop(callback->context);
    free(callback);
}

static void run_in_turn(struct wf_waiter *turn, struct wf_later *later)
{
    struct wf_callback *callback = WF_CONTAINER(turn, struct wf_callback, turn);
    weft_task *task = callback->task;
    (void)later;
    run_callback(task, callback);
    wf_task_let_go(task, NULL);
}

/* In a simulation that works like an event loop callbacks stand among the waiters: each has its turn, in the
 * order in which they all came. Under the lock. */
static void link_turn(weft_task *task, struct wf_callback *callback)
{
    if (wf_task_registry(task)->has_turns) {
        callback->task = task;
        callback->turn = (struct wf_waiter){.notify = run_in_turn, .is_queued = true};
        wf_list_push(&task->waiters, &callback->turn.link);
    }
}

bool wf_task_add_callback(weft_task *task, struct wf_callback *callback)
{
    bool is_open = lock_to_join(task);
    if (is_open) {
        callback->next = wf_task_side(task)->callbacks;
        wf_task_side(task)->callbacks = callback;
        task->has_callbacks = true;
        link_turn(task, callback);
    }
    wf_unlock(&task->lock);
    return is_open;
}

/* The user's drop may look at them, and may even set others. */
static __attribute__((noinline, cold)) void drop_values(weft_task *task)
{
    while (task->context != NULL) {
        weft_context *context = task->context;
        task->context = NULL;
        wf_context_drop(context);
    }
}

void wf_task_report_error(weft_task *task, weft_diagnostic_kind kind)
{
    struct wf_registry *registry = wf_task_registry(task);
    uint64_t word = wf_load_acq(&task->word);
    if (wf_word_life(word) != WF_ERROR) {
        return;
    }
    bool at_shutdown = (wf_load_acq(&task->marks) & WF_MARK_FAILED) != 0;
    bool is_unseen = (word & WF_SEEN) == 0 && (wf_task_flags(task) & WF_TASK_MAIN) == 0;
    if (kind == WEFT_DIAG_ERROR_AT_SHUTDOWN ? at_shutdown : is_unseen && !at_shutdown) {
        registry->report(registry, kind, task, (int)task->raw);
    }
}

/* It failed, or has more than every task has. */
static __attribute__((noinline)) void release_more(weft_task *task, struct wf_task_cache *cache)
{
    uint64_t word = wf_load_acq(&task->word);
    wf_task_report_error(task, WEFT_DIAG_ERROR_AT_SHUTDOWN);
    wf_task_report_error(task, WEFT_DIAG_ERROR_NEVER_RETRIEVED);
    struct wf_extra *extra = wf_task_side(task)->extra;
    if (extra != NULL) {
        bool has_value =
            (wf_task_flags(task) & WF_TASK_NEVER_RAN) == 0 && !weft_is_error(task->raw);
        if (extra->drop_result != NULL && has_value && (word & WF_TAKEN) == 0) {
            extra->drop_result(task->raw);
        }
        wf_task_side(task)->extra = NULL;
        free(extra);
    }
    free(wf_task_side(task)->errors);
    wf_task_side(task)->errors = NULL;
    wf_task_free(wf_task_registry(task), cache, task);
}

void wf_task_release(weft_task *task, struct wf_task_cache *cache)
{
    bool has_failed = wf_word_life(wf_load_acq(&task->word)) == WF_ERROR;
    if (WF_UNLIKELY(has_failed || wf_task_has_extra(task))) {
        release_more(task, cache);
    } else {
        wf_task_free(wf_task_registry(task), cache, task);
    }
}

void wf_task_let_go(weft_task *task, struct wf_task_cache *cache)
{
    if (wf_task_unhold(task) == 0) {
        wf_task_release(task, cache);
    }
}

/* ---- who is told ---- */

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

/* NULL: it has none. */
static inline struct wf_owner *owner_of(const weft_task *task)
{
    return (wf_task_flags(task) & WF_TASK_MORE) != 0 ? wf_task_side(task)->owner : NULL;
}

static void tell_owner(weft_task *task, struct wf_later *later)
{
    struct wf_owner *owner = wf_task_side(task)->owner;
    owner->calls->ended(owner, task, later);
    owner->calls->left(owner, task, later);
}

void wf_task_owner_turn(weft_task *task, struct wf_later *later)
{
    tell_owner(task, later);
    wf_task_let_go(task, NULL);
}

/* One for each callback whose turn is to come; whoever ends the task has one too. */
static void hold_for_turns(weft_task *task, const struct wf_callback *callback)
{
    for (; callback != NULL; callback = callback->next) {
        WF_CHECK(wf_task_hold(task), "a task ended that nobody holds");
    }
}

/* True: the owner will be told in a turn of its own. */
static bool queue_owner(weft_task *task, struct wf_later *later)
{
    if (!wf_task_side(task)->owner->is_queued || !wf_task_hold(task)) {
        return false;
    }
    wf_later_add(later, task, WF_READY_ENDED);
    return true;
}

/* Under the task's lock, which is given back: besides its waiters it has an owner, or callbacks. */
static __attribute__((noinline)) void tell_all(weft_task *task, struct wf_later *later)
{
    struct wf_owner *owner = wf_task_side(task)->owner;
    if (owner != NULL) {
        wf_unlock(&task->lock);
        if (queue_owner(task, later)) {
            owner = NULL;
        } else {
            owner->calls->ended(owner, task, later);
        }
        wf_lock(&task->lock);
    }
    struct wf_callback *callbacks = wf_task_side(task)->callbacks;
    wf_task_side(task)->callbacks = NULL;
    task->has_callbacks = false;
    if (wf_task_registry(task)->has_turns) {
        hold_for_turns(task, callbacks);
        callbacks = NULL;
    }
    wf_waiter_grant_all(&task->waiters, WF_GRANTED, later);
    wf_unlock(&task->lock);
    run_callbacks(task, callbacks);
    if (owner != NULL) {
        owner->calls->left(owner, task, later);
    }
}

/* The terminal transition with waiters or callbacks linked: under the lock that closes their list. */
static inline void end_joined(weft_task *task, bool is_error, bool is_cancel, uint64_t *before,
                              struct wf_later *later)
{
    wf_lock(&task->lock);
    (void)wf_state_finish(&task->word, is_error, is_cancel, true, before);
    if (WF_UNLIKELY(owner_of(task) != NULL) || WF_UNLIKELY(task->has_callbacks)) {
        tell_all(task, later);
    } else {
        wf_waiter_grant_all(&task->waiters, WF_GRANTED, later);
        wf_unlock(&task->lock);
    }
}

/* ---- the end ---- */

void wf_task_forget(weft_task *task)
{
    drop_values(task);
    if (!task->has_callbacks) {
        return;
    }
    task->has_callbacks = false;
    struct wf_callback *callback = wf_task_side(task)->callbacks;
    wf_task_side(task)->callbacks = NULL;
    while (callback != NULL) {
        struct wf_callback *older = callback->next;
        wf_context_drop(callback->context);
        free(callback);
        callback = older;
    }
}

static void drop_arg(weft_task *task)
{
    wf_here_lend(task->context);
    wf_task_side(task)->extra->drop_arg(task->arg);
    wf_here_lend(NULL);
}

/* It was told. */
static __attribute__((noinline)) void report_swallowed(weft_task *task, uint64_t before)
{
    if (wf_word_count(before) > 0 && wf_word_undelivered(before) == 0) {
        struct wf_registry *registry = wf_task_registry(task);
        registry->report(registry, WEFT_DIAG_CANCEL_SWALLOWED, task, 0);
    }
}

void wf_task_finish(weft_task *task, intptr_t raw, struct wf_task_cache *cache,
                    struct wf_later *later)
{
    if (WF_UNLIKELY((wf_task_flags(task) & WF_TASK_NEVER_RAN) != 0) &&
        wf_task_side(task)->extra != NULL && wf_task_side(task)->extra->drop_arg != NULL) {
        drop_arg(task);
    }
    if (WF_UNLIKELY(task->has_values)) {
        drop_values(task);
    }
    task->raw = raw;
    bool is_cancel = raw == -ECANCELED;
    bool is_error = weft_is_error(raw);
    if (is_error && !is_cancel && (wf_load_acq(&task->marks) & WF_MARK_SHUT) != 0) {
        (void)wf_or_acqrel(&task->marks, (uint8_t)WF_MARK_FAILED);
    }
    uint64_t before = 0;
    if (!wf_state_finish(&task->word, is_error, is_cancel, false, &before)) {
        end_joined(task, is_error, is_cancel, &before, later);
    } else if (owner_of(task) != NULL && !queue_owner(task, later)) {
        tell_owner(task, later);
    }
    if (WF_UNLIKELY((before & WF_TOLD) != 0) && !is_error) {
        report_swallowed(task, before);
    }
    if (WF_UNLIKELY((before & WF_DETACHED) != 0)) {
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
    } while (
        !wf_solo_cas64(&task->refs, &seen, seen - WF_OWNER_ONE + (is_pending ? WF_HOLD_ONE : 0)));
    if (is_pending) {
        if (wf_cancel(task, 1, WEFT_CAUSE_DROPPED, later) == 1) {
            struct wf_registry *registry = wf_task_registry(task);
            registry->report(registry, WEFT_DIAG_DROPPED_WHILE_PENDING, task, 0);
        }
        wf_task_let_go(task, cache);
    } else if (is_last && (seen & WF_HOLDS_MASK) == 0) {
        wf_task_release(task, cache);
    }
}
