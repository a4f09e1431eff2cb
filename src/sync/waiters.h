// SPDX-License-Identifier: MIT
/* waiters.h - what mutex, semaphore, event and their like share: a list of waiters under a bit lock.
 *
 * What: a list head that zeroed memory makes empty, granting from its head, and the beginning of an
 *       await point.
 * Rule: a waiter leaves the list when it is granted, or else by itself, when its task runs. One that will
 *       still take the lock, though it is in nobody's way any more, is out of the list but counted as
 *       leaving: it was cancelled and has not run, or was granted before it had left its stack. An object
 *       with an empty list and nobody leaving is one that nobody will touch: it may go.
 * Why they are not left in the list: each lock and each leave would walk past all of them, and when n
 *       waiters are cancelled at once that is n * n steps.
 * Threads: the list belongs to whoever holds the object's lock.
 */
#ifndef WF_SYNC_WAITERS_H
#define WF_SYNC_WAITERS_H

#include <errno.h>

#include "await/door.h"
#include "base/bitlock.h"
#include "sched/report.h"

/* Fiber only, an object, the entry rule: the calling task, or NULL with the reason in *rc. */
static inline weft_task *wf_sync_enter(const void *object, const char *call, int *rc)
{
    struct wf_worker *worker = wf_here();
    weft_task *self = wf_door_running(worker);
    if (__builtin_expect(self == NULL || object == NULL, 0)) {
        *rc = wf_fiber_worker(rc) != NULL ? -EINVAL : *rc;
        return NULL;
    }
    *rc = wf_door_enter_quickly(self, call);
    return __builtin_expect(*rc < 0, 0) ? NULL : self;
}

/* The same on the short way of a call that has no frame: the calling task, or NULL, and nothing has been done. */
static inline weft_task *wf_sync_enter_here(const void *object)
{
    return WF_LIKELY(object != NULL) ? wf_door_enter_here(wf_here_quick()) : NULL;
}

static inline bool wf_waiters_is_empty(const struct wf_list *list)
{
    return list->next == NULL || wf_list_is_empty(list);
}

static inline void wf_waiters_add(struct wf_list *list, struct wf_waiter *waiter)
{
    if (list->next == NULL) {
        wf_list_init(list);
    }
    wf_list_push(list, &waiter->link);
}

/* The one that has waited longest, decided or not; NULL: none. */
static inline struct wf_waiter *wf_waiters_first(const struct wf_list *list)
{
    return wf_waiters_is_empty(list) ? NULL : WF_CONTAINER(list->next, struct wf_waiter, link);
}

/* The one after it. */
static inline struct wf_waiter *wf_waiters_next(const struct wf_list *list,
                                                const struct wf_waiter *waiter)
{
    struct wf_list *next = waiter->link.next;
    return next == list ? NULL : WF_CONTAINER(next, struct wf_waiter, link);
}

/* For reports: the token of the task that has waited longest, 0 for none. Takes the lock in `word`. */
static inline uint64_t wf_waiters_token(wf_au32 *word, const struct wf_list *list)
{
    uint32_t state = wf_bitlock(word);
    const struct wf_waiter *first = wf_waiters_first(list);
    uint64_t token = first != NULL ? wf_task_token(first->wait->task) : 0;
    wf_bitunlock(word, state);
    return token;
}

/* The answer of a destructor to somebody who waits. */
static inline int wf_waiters_refuse(const char *call, const void *object, wf_au32 *word,
                                    const struct wf_list *list)
{
    wf_misuse(-EBUSY, call, object, "by", wf_waiters_token(word, list), "it is in use");
    return -EBUSY;
}

/* Takes it out of the list; its task will still come for the lock. */
static inline void wf_waiters_set_aside(struct wf_waiter *waiter, uint32_t *leaving)
{
    wf_list_remove(&waiter->link);
    waiter->is_leaving = true;
    ++*leaving;
}

/* Its task has come: it is in no list, and nobody else has it. */
static inline void wf_waiters_remove(struct wf_waiter *waiter, uint32_t *leaving)
{
    wf_list_remove(&waiter->link);
    *leaving -= waiter->is_leaving ? 1U : 0U;
    waiter->is_leaving = false;
}

/* Does anybody wait who has not been cancelled? Sets aside those who have, but where they keep their place
 * until they run (simulation with seed 0). */
static inline bool wf_waiters_has_open(const struct wf_list *list, uint32_t *leaving)
{
    struct wf_waiter *next;
    for (struct wf_waiter *at = wf_waiters_first(list); at != NULL; at = next) {
        next = wf_waiters_next(list, at);
        if (wf_wait_is_open(at->wait)) {
            return true;
        }
        if (!wf_has_turns(at->wait->task)) {
            wf_waiters_set_aside(at, leaving);
        }
    }
    return false;
}

/* Decides one wait; false: it was decided before. In no list either way. Its record stays for as long as the
 * lock is held and `later` has not been run. */
static inline bool wf_waiters_grant(struct wf_waiter *waiter, enum wf_verdict verdict,
                                    uint32_t *leaving, struct wf_later *later)
{
    enum wf_wake wake = wf_wait_decide(waiter->wait, verdict, later);
    if (wake != WF_WAKE_LOST) {
        waiter->wait->granted = waiter;
    }
    if (wake == WF_WAKE_READY) {
        wf_list_remove(&waiter->link);
    } else {
        wf_waiters_set_aside(waiter, leaving);
    }
    return wake != WF_WAKE_LOST;
}

/* Decides up to `most` of them, the longest first; how many. */
static inline size_t wf_waiters_grant_some(const struct wf_list *list, size_t most,
                                           enum wf_verdict verdict, uint32_t *leaving,
                                           struct wf_later *later)
{
    size_t count = 0;
    struct wf_waiter *at;
    while (count < most && (at = wf_waiters_first(list)) != NULL) {
        if (most - count > 2) {
            wf_waiter_fetch(list, &at->link, count);
        }
        count += wf_waiters_grant(at, verdict, leaving, later) ? 1U : 0U;
    }
    return count;
}

#endif
