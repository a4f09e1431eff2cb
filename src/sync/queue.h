// SPDX-License-Identifier: MIT
/* queue.h - what select and reports know of a queue.
 *
 * What: wf_queue_op is one transfer that waits, or may have to: a put or a get, in a list of the queue. Who
 *       grants its wait writes its outcome, under the queue's lock, after the claim: a task that was granted
 *       late enough to have left its stack (was_early false) reads it without the lock, another one takes
 *       the lock first (wf_queue_unlink does).
 * Hints: where tasks have turns (simulate.h) a grant may only say that it is worth while to try again:
 *       the outcome is 0 then.
 */
#ifndef WF_SYNC_QUEUE_H
#define WF_SYNC_QUEUE_H

#include <weft/queue.h>

#include "task/wait.h"

struct wf_queue_op {
    size_t count; /* at most so many, from 1 */
    bool is_put;
    bool is_hinted;          /* under the lock: granted as a hint, and not yet unlinked */
    struct wf_waiter waiter; /* waiter.wait: set before wf_queue_link */
    union {
        void *items;  /* put: what to put, not written to; get: where to, NULL: into ... */
        char item[8]; /* ... this, which one item fits into */
    };
    /* How many were moved, from 1, or a negative errno: the transfer is done, or failed. 0: not yet. */
    int64_t outcome;
};

/* 0, or -EINVAL for zeroed memory. */
int wf_queue_check(const weft_queue *queue);

/* False: it is not ready, and nothing but another task can make it so. Looks without the lock, so an answer
 * may be out of date; weft_queue_put and so on don't ask. */
bool wf_queue_looks_ready(const weft_queue *queue, bool is_put);

/* Tries to move one item without waiting: 0, -EAGAIN, -ESHUTDOWN or -ENOMEM. `by` is the token of the
 * task that tries, 0 for none. */
int wf_queue_try(weft_queue *queue, void *item, bool is_put, uint64_t by);

enum wf_queue_link {
    WF_QUEUE_LINKED, /* not ready: the waiter is in the queue's list until wf_queue_unlink or a grant */
    WF_QUEUE_DONE,  /* it was ready, and the caller has claimed its own wait: see op->outcome */
    WF_QUEUE_LOST,  /* it was ready, but the wait had been decided by another */
    WF_QUEUE_AGAIN, /* the caller has claimed its own wait, but its partner in a rendezvous left
                      * meanwhile: nothing was moved. Unlink everything and begin a new wait */
};

/* For a task whose wait has several waiters and has begun: takes effect at once, or links the waiter. It is
 * never matched with another op of the same wait. */
enum wf_queue_link wf_queue_link(weft_queue *queue, struct wf_queue_op *op);

/* Takes the op out; after it no granter has it any more. Harmless when it is in no list. */
void wf_queue_unlink(weft_queue *queue, struct wf_queue_op *op);

/* Tokens (slab.h) of the tasks that put and that took last, 0 for none: a getter waits for whoever puts, a
 * putter for whoever takes, and these may be they. Hints for reports; any thread. */
uint64_t wf_queue_last_put(const void *queue);
uint64_t wf_queue_last_got(const void *queue);

#endif
