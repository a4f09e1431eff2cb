// SPDX-License-Identifier: MIT
/* queue_try.c - what never waits in a queue: calls that put or get at once or not at all, the steps of a selection
 * (select.h), which waits elsewhere too, and looks. */
#include "sync/queue_inside.h"

#include <errno.h>

/* ---- at once or not at all ---- */

/* With the lock; returns without. */
static __attribute__((noinline)) int try_slowly(struct wf_queue *q, void *item, bool is_put,
                                                uint64_t by)
{
    struct wf_queue_op op = {.items = item, .count = 1, .is_put = is_put};
    struct wf_later later;
    wf_later_init(&later);
    int64_t rc = wf_queue_move(q, &op, NULL, by, &later);
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc < 0 ? (int)rc : 0;
}

/* Under the lock: where nobody waits, and the item is of a usual size. */
static inline bool try_quickly(struct wf_queue *q, void *item, bool is_put, uint64_t by)
{
    enum wf_item_kind kind = wf_queue_kind(q);
    uint64_t count = wf_queue_count_of(q);
    if (WF_UNLIKELY(kind == WF_ITEM_BYTES)) {
        return false;
    }
    if (!is_put) {
        return count > 0 && wf_queue_get_quickly(q, item, kind, by, count);
    }
    return WF_LIKELY(!wf_queue_is(q, WF_QUEUE_CLOSED | WF_QUEUE_BY_TURNS)) &&
           wf_list_is_empty(&q->getters) && wf_queue_put_quickly(q, item, kind, by);
}

static inline __attribute__((always_inline)) int try_now(struct wf_queue *q, void *item,
                                                         bool is_put, uint64_t by)
{
    wf_lock(&q->lock);
    if (!try_quickly(q, item, is_put, by)) {
        return try_slowly(q, item, is_put, by);
    }
    wf_unlock(&q->lock);
    return 0;
}

int wf_queue_try(weft_queue *queue, void *item, bool is_put, uint64_t by)
{
    struct wf_queue *q = wf_queue_inside(queue);
    return is_put ? try_now(q, item, true, by) : try_now(q, item, false, by);
}

static inline __attribute__((always_inline)) int try_one(weft_queue *queue, void *item, bool is_put)
{
    if (!wf_queue_was_made(queue) || item == NULL) {
        return -EINVAL;
    }
    /* Who asks again and again does not take the lock away from those who move items. */
    if (!wf_queue_looks_ready(queue, is_put)) {
        return -EAGAIN;
    }
    const weft_task *self = wf_self_on(wf_here());
    return try_now(wf_queue_inside(queue), item, is_put, self != NULL ? wf_task_token(self) : 0);
}

int weft_queue_try_put(weft_queue *queue, const void *item)
{
    return try_one(queue, (void *)(uintptr_t)item, true);
}

int weft_queue_try_get(weft_queue *queue, void *item)
{
    return try_one(queue, item, false);
}

/* ---- one of several waiters ---- */

/* Does somebody wait at the other end of a rendezvous, who is not the op's own task? */
static bool has_partner(const struct wf_queue *q, const struct wf_queue_op *op)
{
    const struct wf_list *list = op->is_put ? &q->getters : &q->putters;
    for (struct wf_list *link = list->next; link != list; link = link->next) {
        const struct wf_wait *wait = wf_queue_op_of(link)->waiter.wait;
        if (wait != op->waiter.wait && wf_wait_is_open(wait)) {
            return true;
        }
    }
    return false;
}

static bool is_ready(const struct wf_queue *q, const struct wf_queue_op *op)
{
    if (wf_queue_is_closed(q) || (!op->is_put && wf_queue_count_of(q) > 0)) {
        return true;
    }
    if (q->capacity == 0) {
        return has_partner(q, op);
    }
    return op->is_put && wf_queue_count_of(q) < q->capacity;
}

/* The own wait first: once it is ours no other case of the same task can take effect. */
static enum wf_queue_link take_effect(struct wf_queue *q, struct wf_queue_op *op,
                                      struct wf_later *later)
{
    struct wf_wait *own = op->waiter.wait;
    if (!wf_wait_claim(own, WF_GRANTED, later)) {
        return WF_QUEUE_LOST;
    }
    int64_t rc = wf_queue_move(q, op, own, wf_task_token(own->task), later);
    if (rc == -EAGAIN) {
        return WF_QUEUE_AGAIN;
    }
    wf_queue_finish(op, rc);
    return WF_QUEUE_DONE;
}

bool wf_queue_looks_ready(const weft_queue *queue, bool is_put)
{
    const struct wf_queue *q = wf_queue_inside(queue);
    uint64_t count = wf_queue_count_of(q);
    return q->capacity == 0 || wf_queue_is_closed(q) || (is_put ? count < q->capacity : count > 0);
}

enum wf_queue_link wf_queue_link(weft_queue *queue, struct wf_queue_op *op)
{
    struct wf_queue *q = wf_queue_inside(queue);
    enum wf_queue_link answer = WF_QUEUE_LINKED;
    struct wf_later later;
    wf_later_init(&later);
    wf_list_init(&op->waiter.link);
    op->outcome = 0;
    op->is_hinted = false;
    op->waiter.is_leaving = false;
    wf_lock(&q->lock);
    if (is_ready(q, op)) {
        answer = take_effect(q, op, &later);
    } else {
        wf_queue_enlist(q, op, op->waiter.wait->task);
    }
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return answer;
}

void wf_queue_unlink(weft_queue *queue, struct wf_queue_op *op)
{
    struct wf_queue *q = wf_queue_inside(queue);
    wf_lock(&q->lock);
    wf_queue_delist(q, op);
    wf_unlock(&q->lock);
}

/* ---- looking ---- */

int wf_queue_check(const weft_queue *queue)
{
    return wf_queue_was_made(queue) ? 0 : -EINVAL;
}

size_t weft_queue_count(const weft_queue *queue)
{
    return queue == NULL ? 0 : (size_t)wf_queue_count_of(wf_queue_inside(queue));
}

bool weft_queue_is_closed(const weft_queue *queue)
{
    return queue != NULL && wf_queue_is_closed(wf_queue_inside(queue));
}

uint64_t wf_queue_last_put(const void *queue)
{
    return wf_load_rlx(&wf_queue_inside(queue)->last_put);
}

uint64_t wf_queue_last_got(const void *queue)
{
    return wf_load_rlx(&wf_queue_inside(queue)->last_got);
}
