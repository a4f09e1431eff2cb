// SPDX-License-Identifier: MIT
/* queue_move.c - items on their way, and who is woken for them.
 *
 * Direct: a put that meets a waiting getter claims its wait and copies the item into the getter's memory; a
 *       get that makes room moves the item of the putter that has waited longest into the store. Both under
 *       the lock, so whoever wakes has finished, and first in, first out is exact. Hence, but for waiters
 *       whose waits are already decided: while getters wait the store is empty, while putters wait it is full.
 * By turns (strict simulation): as asyncio.Queue. Items stay in the store, a put wakes one getter to try
 *       again, a get one putter. Whoever loses waits again at the tail. A rendezvous has no store: direct.
 * Which of the two is decided by whoever waits first. A task must be ready for both.
 */
#include "sync/queue_inside.h"

#include <errno.h>

#include "sync/waiters.h"

/* ---- those who wait ---- */

bool wf_queue_grant(struct wf_queue *q, struct wf_waiter *waiter, struct wf_later *later)
{
    return wf_waiters_grant(waiter, WF_GRANTED, &q->leaving, later);
}

void wf_queue_remove(struct wf_queue *q, struct wf_waiter *waiter)
{
    wf_waiters_remove(waiter, &q->leaving);
}

struct wf_queue_op *wf_queue_claim(struct wf_queue *q, struct wf_list *list,
                                   const struct wf_wait *own, struct wf_later *later)
{
    struct wf_list *next;
    for (struct wf_list *link = list->next; link != list; link = next) {
        struct wf_queue_op *op = wf_queue_op_of(link);
        next = link->next;
        if (op->waiter.wait != own && wf_queue_grant(q, &op->waiter, later)) {
            return op;
        }
    }
    return NULL;
}

/* Wakes one to try again. */
static void hint_first(struct wf_queue *q, struct wf_list *list, const struct wf_wait *own,
                       struct wf_later *later)
{
    struct wf_queue_op *op = wf_queue_claim(q, list, own, later);
    if (op != NULL) {
        op->is_hinted = true;
        q->hinted++;
    }
}

void wf_queue_delist(struct wf_queue *q, struct wf_queue_op *op)
{
    wf_queue_remove(q, &op->waiter);
    if (op->is_hinted) {
        op->is_hinted = false;
        q->hinted--;
    }
}

void wf_queue_turn_away(struct wf_queue *q, struct wf_list *list, struct wf_later *later)
{
    while (!wf_list_is_empty(list)) {
        struct wf_queue_op *op = wf_queue_claim(q, list, NULL, later);
        if (op != NULL && wf_queue_is(q, WF_QUEUE_BY_TURNS)) {
            op->is_hinted = true;
            q->hinted++;
        } else if (op != NULL) {
            wf_queue_finish(op, -ESHUTDOWN);
        }
    }
}

void wf_queue_end_joins(struct wf_queue *q, struct wf_later *later)
{
    while (!wf_queue_is_busy(q) && !wf_list_is_empty(&q->joiners)) {
        struct wf_waiter *waiter = WF_CONTAINER(q->joiners.next, struct wf_waiter, link);
        (void)wf_queue_grant(q, waiter, later);
    }
}

/* ---- moving items ---- */

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void copy_items(const struct wf_queue *q, char *to, const char *from, size_t count)
{
    if (__builtin_expect(count == 1, 1)) {
        (void)wf_item_copy(&q->store, wf_queue_kind(q), to, from);
    } else {
        memcpy(to, from, count * q->store.item_bytes);
    }
}

/* From a put straight to getters that wait; how many. */
static size_t give(struct wf_queue *q, const char *items, size_t count, const struct wf_wait *own,
                   struct wf_later *later)
{
    size_t moved = 0;
    struct wf_queue_op *op;
    while (moved < count && (op = wf_queue_claim(q, &q->getters, own, later)) != NULL) {
        size_t part = least(op->count, count - moved);
        copy_items(q, wf_queue_items_of(op),
                   moved > 0 ? items + moved * q->store.item_bytes : items, part);
        wf_queue_finish(op, (int64_t)part);
        wf_queue_note_taken(q, part, wf_task_token(op->waiter.wait->task));
        moved += part;
    }
    return moved;
}

/* The rendezvous the other way round: from putters that wait straight to a get. */
static size_t accept(struct wf_queue *q, char *items, size_t count, const struct wf_wait *own,
                     struct wf_later *later)
{
    size_t moved = 0;
    struct wf_queue_op *op;
    while (moved < count && (op = wf_queue_claim(q, &q->putters, own, later)) != NULL) {
        size_t part = least(op->count, count - moved);
        copy_items(q, moved > 0 ? items + moved * q->store.item_bytes : items, op->items, part);
        wf_queue_finish(op, (int64_t)part);
        wf_store_rlx(&q->last_put, wf_task_token(op->waiter.wait->task));
        moved += part;
    }
    return moved;
}

/* Fills the room with the items of putters that wait; false if there was none. Theirs is a ring, which needs
 * no memory. */
static bool admit(struct wf_queue *q, const struct wf_wait *own, struct wf_later *later)
{
    struct wf_queue_op *op;
    bool has_admitted = false;
    while (wf_queue_count_of(q) < q->capacity &&
           (op = wf_queue_claim(q, &q->putters, own, later)) != NULL) {
        size_t part = least(op->count, q->capacity - wf_queue_count_of(q));
        const char *item = op->items;
        for (size_t i = 0; i < part; i++) {
            item += wf_store_put(&q->store, wf_queue_kind(q), &q->in, &q->out, item);
        }
        wf_queue_set_count(q, wf_queue_count_of(q) + part);
        wf_queue_finish(op, (int64_t)part);
        wf_store_rlx(&q->last_put, wf_task_token(op->waiter.wait->task));
        has_admitted = true;
    }
    return has_admitted;
}

/* How many were put, -EAGAIN, -ESHUTDOWN or -ENOMEM. */
static int64_t put_items(struct wf_queue *q, const char *items, size_t count,
                         const struct wf_wait *own, uint64_t by, struct wf_later *later)
{
    if (wf_queue_is_closed(q)) {
        return -ESHUTDOWN;
    }
    size_t moved = 0;
    if (!wf_queue_is(q, WF_QUEUE_BY_TURNS) && !wf_list_is_empty(&q->getters)) {
        moved = give(q, items, count, own, later);
        items = moved < count && moved > 0 ? items + moved * q->store.item_bytes : items;
    }
    int error = -EAGAIN;
    while (moved < count && wf_queue_count_of(q) < q->capacity) {
        size_t bytes = wf_store_put(&q->store, wf_queue_kind(q), &q->in, &q->out, items);
        if (bytes == 0) {
            error = -ENOMEM;
            break;
        }
        wf_queue_set_count(q, wf_queue_count_of(q) + 1);
        items += bytes;
        moved++;
        if (wf_queue_is(q, WF_QUEUE_BY_TURNS)) {
            hint_first(q, &q->getters, own, later);
        }
    }
    if (moved == 0) {
        return error;
    }
    wf_store_rlx(&q->last_put, by);
    return (int64_t)moved;
}

/* How many were taken, -EAGAIN or -ESHUTDOWN. */
static int64_t get_items(struct wf_queue *q, char *items, size_t count, const struct wf_wait *own,
                         uint64_t by, struct wf_later *later)
{
    size_t moved = 0;
    bool more;
    do {
        while (moved < count && wf_queue_count_of(q) > 0) {
            items += wf_store_get(&q->store, wf_queue_kind(q), &q->out, items);
            wf_queue_set_count(q, wf_queue_count_of(q) - 1);
            moved++;
            if (wf_queue_is(q, WF_QUEUE_BY_TURNS)) {
                hint_first(q, &q->putters, own, later);
            }
        }
        more = !wf_queue_is(q, WF_QUEUE_BY_TURNS) && !wf_list_is_empty(&q->putters) &&
               !wf_queue_is_closed(q) && admit(q, own, later);
    } while (more && moved < count);
    if (q->capacity == 0 && !wf_queue_is_closed(q)) {
        moved = accept(q, items, count, own, later);
    }
    if (moved == 0) {
        return wf_queue_is_closed(q) ? -ESHUTDOWN : -EAGAIN;
    }
    wf_queue_note_taken(q, moved, by);
    return (int64_t)moved;
}

int64_t wf_queue_move(struct wf_queue *q, struct wf_queue_op *op, const struct wf_wait *own,
                      uint64_t by, struct wf_later *later)
{
    return op->is_put ? put_items(q, op->items, op->count, own, by, later)
                      : get_items(q, wf_queue_items_of(op), op->count, own, by, later);
}
