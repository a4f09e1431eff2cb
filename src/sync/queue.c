// SPDX-License-Identifier: MIT
/* queue.c - the calls that put and get.
 *
 * What: a lock, a store of items, lists of those who wait to put, to get and for the end of the work. One item
 *       where nobody waits is moved on the spot; the rest goes by wf_queue_move.
 * Lifetime: nobody touches the queue after giving the lock back, so it may go as soon as its last call
 *       has returned; a waiter that was granted early takes the lock once more to be sure of that.
 */
#include "sync/queue_inside.h"

#include <errno.h>
#include <string.h>

int weft_queue_init(weft_queue *queue, size_t item_bytes, size_t capacity,
                    void (*drop_item)(void *item))
{
    if (queue == NULL || item_bytes == 0) {
        return -EINVAL;
    }
    memset(queue, 0, sizeof *queue);
    struct wf_queue *q = wf_queue_inside(queue);
    wf_list_init(&q->getters);
    wf_list_init(&q->putters);
    wf_list_init(&q->joiners);
    q->capacity = capacity;
    q->kind = (uint8_t)wf_item_kind_of(item_bytes);
    q->drop_item = drop_item;
    return wf_store_init(&q->store, &q->in, &q->out, item_bytes, capacity);
}

/* ---- waiting ---- */

/* Called with the lock, returns without: how many were moved, or an error. */
static int64_t wait_for(weft_queue *queue, weft_task *self, struct wf_queue_op *op)
{
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_wait wait;
    struct wf_later later;
    wf_later_init(&later);
    op->waiter = (struct wf_waiter){.wait = &wait};
    int64_t rc;
    do {
        wf_wait_begin(&wait, self, op->is_put ? WF_WAIT_PUT : WF_WAIT_GET);
        wait.target = queue;
        wait.waiter = &op->waiter;
        wait.list = wf_queue_list_peer;
        wf_queue_enlist(q, op);
        wf_unlock(&q->lock);
        enum wf_verdict verdict = wf_door_park(&wait);
        if (verdict == WF_GRANTED && !wait.was_early && op->is_final) {
            return op->outcome;
        }
        wf_lock(&q->lock);
        wf_queue_delist(q, op);
        if (verdict != WF_GRANTED) {
            rc = -ECANCELED;
        } else if (op->is_final) {
            rc = op->outcome;
        } else {
            rc = wf_queue_move(q, op, NULL, wf_task_token(self), &later);
        }
    } while (rc == -EAGAIN); /* lost: the park observes what has come meanwhile */
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc;
}

/* Nothing is there to get, and nobody waits to put, or there would be something. */
static inline bool must_wait_to_get(const struct wf_queue *q)
{
    return wf_queue_count_of(q) == 0 && q->capacity > 0 && !wf_queue_is_closed(q);
}

/* The rest of a call: with the lock when it begins, without when it returns. */
static __attribute__((noinline)) int64_t go_on(weft_queue *queue, weft_task *self, void *items,
                                               size_t count, bool is_put)
{
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_queue_op op = {.items = items, .count = count, .is_put = is_put};
    if (!is_put && must_wait_to_get(q)) {
        return wait_for(queue, self, &op);
    }
    struct wf_later later;
    wf_later_init(&later);
    int64_t rc = wf_queue_move(q, &op, NULL, wf_task_token(self), &later);
    if (rc == -EAGAIN) {
        return wait_for(queue, self, &op);
    }
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc;
}

/* A put of one item that may meet a getter; as go_on. */
static __attribute__((noinline)) int put_slowly(weft_queue *queue, weft_task *self,
                                                const void *item)
{
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_queue_op *op = NULL;
    struct wf_later later;
    wf_later_init(&later);
    if (!wf_queue_is_closed(q) && !q->by_turns && !wf_list_is_empty(&q->getters)) {
        op = wf_queue_op_of(q->getters.next); /* nearly always it takes the grant */
        if (!wf_waiters_grant(&op->waiter, WF_GRANTED, &q->leaving, &later)) {
            op = wf_queue_claim(q, &q->getters, NULL, &later);
        }
    }
    if (op == NULL) {
        int64_t moved = go_on(queue, self, (void *)(uintptr_t)item, 1, true);
        return moved < 0 ? (int)moved : 0;
    }
    (void)wf_item_copy(&q->store, wf_queue_kind(q), op->items, item);
    wf_queue_finish(op, 1);
    wf_queue_note_taken(q, 1, wf_task_token(op->waiter.wait->task));
    wf_store_rlx(&q->last_put, wf_task_token(self));
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return 0;
}

/* Errors of arguments, then the door: 1 and the caller, or what the call returns. */
static inline int enter(const weft_queue *queue, const void *items, size_t count, const char *call,
                        weft_task **self)
{
    int rc = 0;
    *self = wf_sync_enter(items == NULL && count > 0 ? NULL : queue, call, &rc);
    return *self != NULL && count > 0 ? 1 : rc;
}

/* One item where nobody waits, there is room, and the place is in the chunk: nearly every put. */
static inline bool put_quickly(struct wf_queue *q, const void *item, uint64_t by)
{
    uint64_t count = wf_queue_count_of(q);
    if (wf_queue_is_closed(q) || q->by_turns || !wf_list_is_empty(&q->getters) ||
        count >= q->capacity || q->in.at == q->in.end) {
        return false;
    }
    q->in.at += wf_item_copy(&q->store, wf_queue_kind(q), q->in.at, item);
    wf_queue_set_count(q, count + 1);
    wf_store_rlx(&q->last_put, by);
    return true;
}

/* Likewise nearly every get. */
static inline bool get_quickly(struct wf_queue *q, void *item, uint64_t by)
{
    uint64_t count = wf_queue_count_of(q);
    if (count == 0 || q->by_turns || !wf_list_is_empty(&q->putters) || q->out.at == q->out.end) {
        return false;
    }
    q->out.at += wf_item_copy(&q->store, wf_queue_kind(q), item, q->out.at);
    wf_queue_set_count(q, count - 1);
    wf_queue_note_taken(q, 1, by);
    return true;
}

int weft_queue_put(weft_queue *queue, const void *item)
{
    weft_task *self = NULL;
    int rc = enter(queue, item, 1, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    struct wf_queue *q = wf_queue_inside(queue);
    wf_lock(&q->lock);
    if (put_quickly(q, item, wf_task_token(self))) {
        wf_unlock(&q->lock);
        return 0;
    }
    return put_slowly(queue, self, item);
}

int weft_queue_get(weft_queue *queue, void *item)
{
    weft_task *self = NULL;
    int rc = enter(queue, item, 1, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    struct wf_queue *q = wf_queue_inside(queue);
    wf_lock(&q->lock);
    if (get_quickly(q, item, wf_task_token(self))) {
        wf_unlock(&q->lock);
        return 0;
    }
    if (__builtin_expect(must_wait_to_get(q), 1)) {
        struct wf_queue_op op = {.items = item, .count = 1};
        int64_t got = wait_for(queue, self, &op);
        return got < 0 ? (int)got : 0;
    }
    int64_t moved = go_on(queue, self, item, 1, false);
    return moved < 0 ? (int)moved : 0;
}

int64_t weft_queue_put_many(weft_queue *queue, const void *items, size_t count)
{
    weft_task *self = NULL;
    int rc = enter(queue, items, count, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&wf_queue_inside(queue)->lock);
    return go_on(queue, self, (void *)(uintptr_t)items, count, true);
}

int64_t weft_queue_get_many(weft_queue *queue, void *items, size_t count)
{
    weft_task *self = NULL;
    int rc = enter(queue, items, count, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&wf_queue_inside(queue)->lock);
    return go_on(queue, self, items, count, false);
}

/* ---- without waiting ---- */

int64_t wf_queue_try(weft_queue *queue, struct wf_queue_op *op, uint64_t by)
{
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&q->lock);
    int64_t rc = wf_queue_move(q, op, NULL, by, &later);
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc;
}

static int try_one(weft_queue *queue, void *item, bool is_put)
{
    if (queue == NULL || item == NULL) {
        return -EINVAL;
    }
    struct wf_queue_op op = {.items = item, .count = 1, .is_put = is_put};
    const weft_task *self = wf_self_on(wf_here());
    int64_t rc = wf_queue_try(queue, &op, self != NULL ? wf_task_token(self) : 0);
    return rc < 0 ? (int)rc : 0;
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
    op->is_final = false;
    op->is_hinted = false;
    op->waiter.is_leaving = false;
    wf_lock(&q->lock);
    if (is_ready(q, op)) {
        answer = take_effect(q, op, &later);
    } else {
        wf_queue_enlist(q, op);
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
