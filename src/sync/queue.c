// SPDX-License-Identifier: MIT
/* queue.c - a lock, a store of items, lists of those who wait to put, to get and for the end of the work.
 *
 * Direct: a put that meets a waiting getter claims its wait and copies the item into the getter's memory; a
 *       get that makes room moves the item of the putter that has waited longest into the store. Both under
 *       the lock, so whoever wakes has finished, and first in, first out is exact. Hence, but for waiters
 *       whose waits are already decided: while getters wait the store is empty, while putters wait it is full.
 * By turns (strict simulation): as asyncio.Queue. Items stay in the store, a put wakes one getter to try
 *       again, a get one putter. Whoever loses waits again at the tail. A rendezvous has no store: direct.
 * Which of the two is decided by whoever waits first. A task must be ready for both.
 * Lifetime: nobody touches the queue after giving the lock back, so it may go as soon as its last call
 *       has returned; a waiter that was granted early takes the lock once more to be sure of that.
 */
#include "sync/queue.h"

#include <errno.h>

#include "await/door.h"
#include "sync/store.h"

enum { LINE_BYTES = 64 };

/* Three cache lines: a put of a usual size needs only the first while no task waits, a get the first two. */
struct wf_queue {
    /* Guards all but what says otherwise. */
    struct wf_lock lock;
    /* Stored under the lock (release), loaded by anybody (acquire). */
    wf_au8 is_closed;
    bool by_turns;
    uint8_t kind; /* enum wf_item_kind; set once */
    /* Items in the store. Stored under the lock (relaxed), loaded by anybody as a hint (relaxed). */
    wf_au64 count;
    size_t capacity; /* set once */
    struct wf_list getters;
    /* Token of the task that put last: stored under the lock, loaded by reports; both relaxed. */
    wf_au64 last_put;
    struct wf_place in;

    struct wf_place out;
    struct wf_list putters;
    int64_t
        taken; /* items taken, or being dropped, less those reported as done: may be before they are taken */
    /* Token of the task that took last: as last_put. */
    wf_au64 last_got;
    struct wf_list joiners;

    struct wf_store store;
    void (*drop_item)(void *item); /* set once */
    uint32_t hinted;               /* ops whose task was told to try again, and has not yet */
};

_Static_assert(offsetof(struct wf_queue, out) == LINE_BYTES, "the first line is what a put needs");
_Static_assert(sizeof(struct wf_queue) + LINE_BYTES - sizeof(uint64_t) <= sizeof(weft_queue),
               "weft_queue is too small");

/* At the first boundary of a cache line within. */
static struct wf_queue *inside(const weft_queue *queue)
{
    uintptr_t address = (uintptr_t)queue + LINE_BYTES - 1;
    return (struct wf_queue *)(address & ~(uintptr_t)(LINE_BYTES - 1));
}

static inline uint64_t count_of(const struct wf_queue *q)
{
    return wf_load_rlx(&q->count);
}

static inline void set_count(struct wf_queue *q, uint64_t count)
{
    wf_store_rlx(&q->count, count);
}

static inline bool is_closed(const struct wf_queue *q)
{
    return wf_load_acq(&q->is_closed) != 0;
}

/* ---- those who wait; under the lock ---- */

static struct wf_queue_op *op_of(struct wf_list *link)
{
    return WF_CONTAINER(link, struct wf_queue_op, waiter.link);
}

/* Grants the first wait in the list that takes it, but `own`; its op, or NULL. */
static struct wf_queue_op *claim_first(struct wf_list *list, const struct wf_wait *own,
                                       struct wf_later *later)
{
    struct wf_list *next;
    for (struct wf_list *link = list->next; link != list; link = next) {
        struct wf_queue_op *op = op_of(link);
        next = link->next;
        if (op->waiter.wait != own && wf_waiter_grant(&op->waiter, WF_GRANTED, later)) {
            op->waiter.wait->granted = &op->waiter;
            return op;
        }
    }
    return NULL;
}

static void finish(struct wf_queue_op *op, int64_t outcome)
{
    op->outcome = outcome;
    op->is_final = true;
}

/* Wakes one to try again. */
static void hint_first(struct wf_queue *q, struct wf_list *list, const struct wf_wait *own,
                       struct wf_later *later)
{
    struct wf_queue_op *op = claim_first(list, own, later);
    if (op != NULL) {
        op->is_hinted = true;
        q->hinted++;
    }
}

static void enlist(struct wf_queue *q, struct wf_queue_op *op)
{
    bool has_turns = q->capacity > 0 && wf_has_turns(op->waiter.wait->task);
    if (has_turns || (wf_list_is_empty(&q->getters) && wf_list_is_empty(&q->putters))) {
        q->by_turns = has_turns;
    }
    op->is_final = false;
    op->is_hinted = false;
    wf_list_push(op->is_put ? &q->putters : &q->getters, &op->waiter.link);
}

static void delist(struct wf_queue *q, struct wf_queue_op *op)
{
    wf_list_remove(&op->waiter.link);
    if (op->is_hinted) {
        op->is_hinted = false;
        q->hinted--;
    }
}

/* Nobody puts any more: whoever waits hears of it. */
static void turn_away(struct wf_queue *q, struct wf_list *list, struct wf_later *later)
{
    while (!wf_list_is_empty(list)) {
        struct wf_queue_op *op = claim_first(list, NULL, later);
        if (op != NULL && q->by_turns) {
            op->is_hinted = true;
            q->hinted++;
        } else if (op != NULL) {
            finish(op, -ESHUTDOWN);
        }
    }
}

/* Items that were put and not reported as done. */
static int64_t unfinished(const struct wf_queue *q)
{
    return q->taken + (int64_t)count_of(q);
}

static void end_joins(struct wf_queue *q, struct wf_later *later)
{
    while (unfinished(q) == 0 && !wf_list_is_empty(&q->joiners)) {
        struct wf_waiter *waiter = WF_CONTAINER(q->joiners.next, struct wf_waiter, link);
        (void)wf_waiter_grant(waiter, WF_GRANTED, later);
    }
}

/* ---- moving items; under the lock ---- */

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline enum wf_item_kind kind_of(const struct wf_queue *q)
{
    return (enum wf_item_kind)q->kind;
}

static void copy_items(const struct wf_queue *q, char *to, const char *from, size_t count)
{
    if (__builtin_expect(count == 1, 1)) {
        (void)wf_item_copy(&q->store, kind_of(q), to, from);
    } else {
        memcpy(to, from, count * q->store.item_bytes);
    }
}

static void note_taken(struct wf_queue *q, size_t count, uint64_t by)
{
    q->taken += (int64_t)count;
    wf_store_rlx(&q->last_got, by);
}

/* From a put straight to getters that wait; how many. */
static size_t give(struct wf_queue *q, const char *items, size_t count, const struct wf_wait *own,
                   struct wf_later *later)
{
    size_t moved = 0;
    struct wf_queue_op *op;
    while (moved < count && (op = claim_first(&q->getters, own, later)) != NULL) {
        size_t part = least(op->count, count - moved);
        copy_items(q, op->items, moved > 0 ? items + moved * q->store.item_bytes : items, part);
        finish(op, (int64_t)part);
        note_taken(q, part, wf_task_token(op->waiter.wait->task));
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
    while (moved < count && (op = claim_first(&q->putters, own, later)) != NULL) {
        size_t part = least(op->count, count - moved);
        copy_items(q, moved > 0 ? items + moved * q->store.item_bytes : items, op->items, part);
        finish(op, (int64_t)part);
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
    while (count_of(q) < q->capacity && (op = claim_first(&q->putters, own, later)) != NULL) {
        size_t part = least(op->count, q->capacity - count_of(q));
        const char *item = op->items;
        for (size_t i = 0; i < part; i++) {
            item += wf_store_put(&q->store, kind_of(q), &q->in, &q->out, item);
        }
        set_count(q, count_of(q) + part);
        finish(op, (int64_t)part);
        wf_store_rlx(&q->last_put, wf_task_token(op->waiter.wait->task));
        has_admitted = true;
    }
    return has_admitted;
}

/* How many were put, -EAGAIN, -ESHUTDOWN or -ENOMEM. */
static int64_t put_items(struct wf_queue *q, const char *items, size_t count,
                         const struct wf_wait *own, uint64_t by, struct wf_later *later)
{
    if (is_closed(q)) {
        return -ESHUTDOWN;
    }
    size_t moved = 0;
    if (!q->by_turns && !wf_list_is_empty(&q->getters)) {
        moved = give(q, items, count, own, later);
        items = moved < count && moved > 0 ? items + moved * q->store.item_bytes : items;
    }
    int error = -EAGAIN;
    while (moved < count && count_of(q) < q->capacity) {
        size_t bytes = wf_store_put(&q->store, kind_of(q), &q->in, &q->out, items);
        if (bytes == 0) {
            error = -ENOMEM;
            break;
        }
        set_count(q, count_of(q) + 1);
        items += bytes;
        moved++;
        if (q->by_turns) {
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
        while (moved < count && count_of(q) > 0) {
            items += wf_store_get(&q->store, kind_of(q), &q->out, items);
            set_count(q, count_of(q) - 1);
            moved++;
            if (q->by_turns) {
                hint_first(q, &q->putters, own, later);
            }
        }
        more =
            !q->by_turns && !wf_list_is_empty(&q->putters) && !is_closed(q) && admit(q, own, later);
    } while (more && moved < count);
    if (q->capacity == 0 && !is_closed(q)) {
        moved = accept(q, items, count, own, later);
    }
    if (moved == 0) {
        return is_closed(q) ? -ESHUTDOWN : -EAGAIN;
    }
    note_taken(q, moved, by);
    return (int64_t)moved;
}

static int64_t move_items(struct wf_queue *q, struct wf_queue_op *op, const struct wf_wait *own,
                          uint64_t by, struct wf_later *later)
{
    return op->is_put ? put_items(q, op->items, op->count, own, by, later)
                      : get_items(q, op->items, op->count, own, by, later);
}

/* ---- waiting ---- */

/* Called with the lock, returns without: how many were moved, or an error. */
static int64_t wait_for(weft_queue *queue, weft_task *self, struct wf_queue_op *op)
{
    struct wf_queue *q = inside(queue);
    struct wf_wait wait;
    struct wf_later later;
    wf_later_init(&later);
    op->waiter = (struct wf_waiter){.wait = &wait};
    int64_t rc;
    do {
        wf_wait_begin(&wait, self, op->is_put ? WF_WAIT_PUT : WF_WAIT_GET);
        wait.target = queue;
        enlist(q, op);
        wf_unlock(&q->lock);
        enum wf_verdict verdict = wf_door_park(&wait);
        if (verdict == WF_GRANTED && !wait.was_early && op->is_final) {
            return op->outcome;
        }
        wf_lock(&q->lock);
        delist(q, op);
        if (verdict != WF_GRANTED) {
            rc = -ECANCELED;
        } else if (op->is_final) {
            rc = op->outcome;
        } else {
            rc = move_items(q, op, NULL, wf_task_token(self), &later);
        }
    } while (rc == -EAGAIN); /* lost: the park observes what has come meanwhile */
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc;
}

/* The rest of a call: with the lock when it begins, without when it returns. */
static __attribute__((noinline)) int64_t go_on(weft_queue *queue, weft_task *self, void *items,
                                               size_t count, bool is_put)
{
    struct wf_queue *q = inside(queue);
    struct wf_queue_op op;
    op.items = items;
    op.count = count;
    op.is_put = is_put;
    if (!is_put && count_of(q) == 0 && q->capacity > 0 && !is_closed(q)) {
        return wait_for(queue, self, &op); /* nobody waits to put: there would be something */
    }
    struct wf_later later;
    wf_later_init(&later);
    int64_t rc = move_items(q, &op, NULL, wf_task_token(self), &later);
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
    struct wf_queue *q = inside(queue);
    struct wf_queue_op *op = NULL;
    struct wf_later later;
    wf_later_init(&later);
    if (!is_closed(q) && !q->by_turns) {
        op = claim_first(&q->getters, NULL, &later);
    }
    if (op == NULL) {
        int64_t moved = go_on(queue, self, (void *)(uintptr_t)item, 1, true);
        return moved < 0 ? (int)moved : 0;
    }
    (void)wf_item_copy(&q->store, kind_of(q), op->items, item);
    finish(op, 1);
    note_taken(q, 1, wf_task_token(op->waiter.wait->task));
    wf_store_rlx(&q->last_put, wf_task_token(self));
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return 0;
}

/* Errors of arguments, then the door: 1 and the caller, or what the call returns. */
static inline int enter(const weft_queue *queue, const void *items, size_t count, const char *call,
                        weft_task **self)
{
    int error = 0;
    struct wf_worker *worker = wf_fiber_worker(&error);
    if (worker == NULL || queue == NULL || (items == NULL && count > 0)) {
        return worker == NULL ? error : -EINVAL;
    }
    *self = wf_self_on(worker);
    error = wf_door_enter(*self, call);
    return error == 0 && count > 0 ? 1 : error;
}

/* One item where nobody waits, there is room, and the place is in the chunk: nearly every put. */
static inline bool put_quickly(struct wf_queue *q, const void *item, uint64_t by)
{
    uint64_t count = count_of(q);
    if (is_closed(q) || q->by_turns || !wf_list_is_empty(&q->getters) || count >= q->capacity ||
        q->in.at == q->in.end) {
        return false;
    }
    q->in.at += wf_item_copy(&q->store, kind_of(q), q->in.at, item);
    set_count(q, count + 1);
    wf_store_rlx(&q->last_put, by);
    return true;
}

/* Likewise nearly every get. */
static inline bool get_quickly(struct wf_queue *q, void *item, uint64_t by)
{
    uint64_t count = count_of(q);
    if (count == 0 || q->by_turns || !wf_list_is_empty(&q->putters) || q->out.at == q->out.end) {
        return false;
    }
    q->out.at += wf_item_copy(&q->store, kind_of(q), item, q->out.at);
    set_count(q, count - 1);
    note_taken(q, 1, by);
    return true;
}

int weft_queue_put(weft_queue *queue, const void *item)
{
    weft_task *self;
    int rc = enter(queue, item, 1, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    struct wf_queue *q = inside(queue);
    wf_lock(&q->lock);
    if (put_quickly(q, item, wf_task_token(self))) {
        wf_unlock(&q->lock);
        return 0;
    }
    return put_slowly(queue, self, item);
}

int weft_queue_get(weft_queue *queue, void *item)
{
    weft_task *self;
    int rc = enter(queue, item, 1, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    struct wf_queue *q = inside(queue);
    wf_lock(&q->lock);
    if (get_quickly(q, item, wf_task_token(self))) {
        wf_unlock(&q->lock);
        return 0;
    }
    int64_t moved = go_on(queue, self, item, 1, false);
    return moved < 0 ? (int)moved : 0;
}

int64_t weft_queue_put_many(weft_queue *queue, const void *items, size_t count)
{
    weft_task *self;
    int rc = enter(queue, items, count, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&inside(queue)->lock);
    return go_on(queue, self, (void *)(uintptr_t)items, count, true);
}

int64_t weft_queue_get_many(weft_queue *queue, void *items, size_t count)
{
    weft_task *self;
    int rc = enter(queue, items, count, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&inside(queue)->lock);
    return go_on(queue, self, items, count, false);
}

/* ---- without waiting ---- */

int64_t wf_queue_try(weft_queue *queue, struct wf_queue_op *op, uint64_t by)
{
    struct wf_queue *q = inside(queue);
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&q->lock);
    int64_t rc = move_items(q, op, NULL, by, &later);
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
        const struct wf_wait *wait = op_of(link)->waiter.wait;
        if (wait != op->waiter.wait && wf_wait_is_open(wait)) {
            return true;
        }
    }
    return false;
}

static bool is_ready(const struct wf_queue *q, const struct wf_queue_op *op)
{
    if (is_closed(q) || (!op->is_put && count_of(q) > 0)) {
        return true;
    }
    if (q->capacity == 0) {
        return has_partner(q, op);
    }
    return op->is_put && count_of(q) < q->capacity;
}

/* The own wait first: once it is ours no other case of the same task can take effect. */
static enum wf_queue_link take_effect(struct wf_queue *q, struct wf_queue_op *op,
                                      struct wf_later *later)
{
    struct wf_wait *own = op->waiter.wait;
    if (!wf_wait_claim(own, WF_GRANTED, later)) {
        return WF_QUEUE_LOST;
    }
    int64_t rc = move_items(q, op, own, wf_task_token(own->task), later);
    if (rc == -EAGAIN) {
        return WF_QUEUE_AGAIN;
    }
    finish(op, rc);
    return WF_QUEUE_DONE;
}

bool wf_queue_looks_ready(const weft_queue *queue, bool is_put)
{
    const struct wf_queue *q = inside(queue);
    uint64_t count = count_of(q);
    return q->capacity == 0 || is_closed(q) || (is_put ? count < q->capacity : count > 0);
}

enum wf_queue_link wf_queue_link(weft_queue *queue, struct wf_queue_op *op)
{
    struct wf_queue *q = inside(queue);
    enum wf_queue_link answer = WF_QUEUE_LINKED;
    struct wf_later later;
    wf_later_init(&later);
    wf_list_init(&op->waiter.link);
    op->is_final = false;
    op->is_hinted = false;
    wf_lock(&q->lock);
    if (is_ready(q, op)) {
        answer = take_effect(q, op, &later);
    } else {
        enlist(q, op);
    }
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return answer;
}

void wf_queue_unlink(weft_queue *queue, struct wf_queue_op *op)
{
    struct wf_queue *q = inside(queue);
    wf_lock(&q->lock);
    delist(q, op);
    wf_unlock(&q->lock);
}

/* ---- the end of the work ---- */

int weft_queue_done(weft_queue *queue)
{
    if (queue == NULL) {
        return -EINVAL;
    }
    struct wf_queue *q = inside(queue);
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&q->lock);
    int rc = unfinished(q) > 0 ? 0 : -EINVAL;
    if (rc == 0) {
        q->taken--;
        end_joins(q, &later);
    }
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc;
}

/* Links the waiter; false when there is nothing left to do. */
static bool await_end(struct wf_queue *q, struct wf_waiter *waiter)
{
    wf_lock(&q->lock);
    bool is_busy = unfinished(q) > 0;
    if (is_busy) {
        wf_list_push(&q->joiners, &waiter->link);
    }
    wf_unlock(&q->lock);
    return is_busy;
}

int weft_queue_join(weft_queue *queue)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || queue == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_door_enter(self, __func__);
    if (rc < 0) {
        return rc;
    }
    struct wf_queue *q = inside(queue);
    struct wf_wait wait;
    struct wf_waiter waiter = {.wait = &wait};
    wf_wait_begin(&wait, self, WF_WAIT_DONE);
    wait.target = queue;
    if (await_end(q, &waiter)) {
        enum wf_verdict verdict = wf_door_park(&wait);
        if (verdict != WF_GRANTED || wait.was_early) {
            wf_lock(&q->lock);
            wf_list_remove(&waiter.link);
            wf_unlock(&q->lock);
        }
        rc = verdict == WF_GRANTED ? 0 : -ECANCELED;
    }
    return rc;
}

/* ---- closing ---- */

/* Joiners first, then getters, then putters, as asyncio.Queue.shutdown. `dropped` items are done. */
static void settle(struct wf_queue *q, size_t dropped)
{
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&q->lock);
    q->taken -= (int64_t)dropped;
    if (unfinished(q) < 0) {
        q->taken = -(int64_t)count_of(q); /* some of the dropped ones had been reported before */
    }
    wf_store_rel(&q->is_closed, (uint8_t)1);
    end_joins(q, &later);
    turn_away(q, &q->getters, &later);
    turn_away(q, &q->putters, &later);
    wf_unlock(&q->lock);
    wf_later_run(&later);
}

int weft_queue_close(weft_queue *queue)
{
    if (queue == NULL) {
        return -EINVAL;
    }
    settle(inside(queue), 0);
    return 0;
}

/* Whoever waits for the end of the work does so until all are dropped: until then they count as taken. */
int weft_queue_close_now(weft_queue *queue)
{
    if (queue == NULL) {
        return -EINVAL;
    }
    struct wf_queue *q = inside(queue);
    wf_lock(&q->lock);
    wf_store_rel(&q->is_closed, (uint8_t)1);
    size_t left = count_of(q);
    set_count(q, 0);
    q->taken += (int64_t)left;
    struct wf_store store = q->store;
    struct wf_place out = q->out;
    memset(&q->store, 0, sizeof q->store);
    wf_unlock(&q->lock);
    wf_store_end(&store, &out, left, q->drop_item);
    settle(q, left);
    return 0;
}

/* ---- looking ---- */

size_t weft_queue_count(const weft_queue *queue)
{
    return queue == NULL ? 0 : (size_t)count_of(inside(queue));
}

bool weft_queue_is_closed(const weft_queue *queue)
{
    return queue != NULL && is_closed(inside(queue));
}

uint64_t wf_queue_last_put(const void *queue)
{
    return wf_load_rlx(&inside(queue)->last_put);
}

uint64_t wf_queue_last_got(const void *queue)
{
    return wf_load_rlx(&inside(queue)->last_got);
}

/* ---- life ---- */

int weft_queue_init(weft_queue *queue, size_t item_bytes, size_t capacity,
                    void (*drop_item)(void *item))
{
    if (queue == NULL || item_bytes == 0) {
        return -EINVAL;
    }
    memset(queue, 0, sizeof *queue);
    struct wf_queue *q = inside(queue);
    wf_list_init(&q->getters);
    wf_list_init(&q->putters);
    wf_list_init(&q->joiners);
    q->capacity = capacity;
    q->kind = (uint8_t)wf_item_kind_of(item_bytes);
    q->drop_item = drop_item;
    return wf_store_init(&q->store, &q->in, &q->out, item_bytes, capacity);
}

int weft_queue_destroy(weft_queue *queue)
{
    if (queue == NULL) {
        return -EINVAL;
    }
    struct wf_queue *q = inside(queue);
    wf_lock(&q->lock);
    bool is_busy = !wf_list_is_empty(&q->getters) || !wf_list_is_empty(&q->putters) ||
                   !wf_list_is_empty(&q->joiners) || q->hinted > 0;
    wf_unlock(&q->lock);
    if (is_busy) {
        return -EBUSY;
    }
    wf_store_rel(&q->is_closed, (uint8_t)1);
    size_t left = count_of(q);
    set_count(q, 0);
    wf_store_end(&q->store, &q->out, left, q->drop_item);
    return 0;
}
