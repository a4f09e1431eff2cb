// SPDX-License-Identifier: MIT
/* queue_inside.h - what the files of the queue share; nobody else includes it.
 *
 * queue_move.c moves items between store, callers and those who wait; queue.c has the calls that put and get;
 * queue_try.c those that do not wait; queue_end.c those that end something. All that is declared here is called under the queue's lock.
 */
#ifndef WF_SYNC_QUEUE_INSIDE_H
#define WF_SYNC_QUEUE_INSIDE_H

#include "await/door.h"
#include "sched/report.h"
#include "sync/queue.h"
#include "sync/store.h"
#include "sync/waiters.h"

enum { WF_QUEUE_LINE_BYTES = 64 };

/* What keeps calls for one item from their shortest ways: 0, and a get of nothing waits. */
enum {
    WF_QUEUE_CLOSED = 1,
    WF_QUEUE_BY_TURNS = 2, /* those who wait are told to try again (a simulation with turns) */
    WF_QUEUE_MEETS = 4,    /* a rendezvous: it holds nothing; set once */
};

/* Three cache lines: a put of a usual size needs only the first while no task waits, a get the first two. */
struct wf_queue {
    /* Guards all but what says otherwise. */
    struct wf_lock lock;
    wf_au8 state; /* WF_QUEUE_*. Stored under the lock (release), loaded by anybody (acquire) */
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
    /* Items taken, or being dropped, that have not been reported as done; less than 0 if some in the store
     * have been. */
    int64_t taken;
    /* Token of the task that took last: as last_put. */
    wf_au64 last_got;
    struct wf_list joiners;

    struct wf_store store;
    void (*drop_item)(void *item); /* set once */
    uint32_t hinted;               /* ops whose task was told to try again, and has not yet */
    uint32_t leaving;              /* waiters in no list whose tasks will still take the lock */
};

_Static_assert(offsetof(struct wf_queue, out) == WF_QUEUE_LINE_BYTES,
               "the first line is what a put needs");
_Static_assert(sizeof(struct wf_queue) + WF_QUEUE_LINE_BYTES - sizeof(uint64_t) <=
                   sizeof(weft_queue),
               "weft_queue is too small");

/* At the first boundary of a cache line within. */
static inline struct wf_queue *wf_queue_inside(const weft_queue *queue)
{
    uintptr_t address = (uintptr_t)queue + WF_QUEUE_LINE_BYTES - 1;
    return (struct wf_queue *)(address & ~(uintptr_t)(WF_QUEUE_LINE_BYTES - 1));
}

static inline uint64_t wf_queue_count_of(const struct wf_queue *q)
{
    return wf_load_rlx(&q->count);
}

/* Is there work that has not been reported as done? Under the lock. */
static inline bool wf_queue_is_busy(const struct wf_queue *q)
{
    return q->taken + (int64_t)wf_queue_count_of(q) > 0;
}

static inline void wf_queue_set_count(struct wf_queue *q, uint64_t count)
{
    wf_store_rlx(&q->count, count);
}

static inline bool wf_queue_is(const struct wf_queue *q, unsigned state)
{
    return (wf_load_acq(&q->state) & state) != 0;
}

/* False for NULL and for zeroed memory, which holds nothing and is no rendezvous: both are set once. */
static inline bool wf_queue_was_made(const weft_queue *queue)
{
    if (queue == NULL) {
        return false;
    }
    struct wf_queue *q = wf_queue_inside(queue);
    return q->capacity != 0 || wf_queue_is(q, WF_QUEUE_MEETS);
}

static inline bool wf_queue_is_closed(const struct wf_queue *q)
{
    return wf_queue_is(q, WF_QUEUE_CLOSED);
}

/* Under the lock. */
static inline void wf_queue_set(struct wf_queue *q, unsigned state, bool is_on)
{
    unsigned others = wf_load_rlx(&q->state) & ~state;
    wf_store_rel(&q->state, (uint8_t)(others | (is_on ? state : 0)));
}

/* ---- those who wait ---- */

static inline struct wf_queue_op *wf_queue_op_of(struct wf_list *link)
{
    return WF_CONTAINER(link, struct wf_queue_op, waiter.link);
}

/* Where its items are, or are to go. */
static inline void *wf_queue_items_of(struct wf_queue_op *op)
{
    return op->items != NULL ? op->items : op->item;
}

static inline void wf_queue_finish(struct wf_queue_op *op, int64_t outcome)
{
    op->outcome = outcome;
}

static inline enum wf_item_kind wf_queue_kind(const struct wf_queue *q)
{
    return (enum wf_item_kind)q->kind;
}

static inline void wf_queue_note_taken(struct wf_queue *q, size_t count, uint64_t by)
{
    q->taken += (int64_t)count;
    wf_store_rlx(&q->last_got, by);
}

/* One item where nobody waits, there is room, and the place is in the chunk or the chunk a ring: nearly every put. */
static inline bool wf_queue_put_quickly(struct wf_queue *q, const void *item,
                                        enum wf_item_kind kind, uint64_t by)
{
    uint64_t count = wf_queue_count_of(q);
    if (WF_UNLIKELY(count >= q->capacity) ||
        (WF_UNLIKELY(q->in.at == q->in.end) && !wf_store_turn(q->store.newest, &q->in))) {
        return false;
    }
    q->in.at += wf_item_copy(&q->store, kind, q->in.at, item);
    wf_queue_set_count(q, count + 1);
    wf_store_rlx(&q->last_put, by);
    return true;
}

/* Likewise nearly every get; there is an item. */
static inline bool wf_queue_get_quickly(struct wf_queue *q, void *item, enum wf_item_kind kind,
                                        uint64_t by, uint64_t count)
{
    if (WF_UNLIKELY(wf_queue_is(q, WF_QUEUE_BY_TURNS)) ||
        WF_UNLIKELY(!wf_list_is_empty(&q->putters)) ||
        (WF_UNLIKELY(q->out.at == q->out.end) && !wf_store_turn(q->store.oldest, &q->out))) {
        return false;
    }
    q->out.at += wf_item_copy(&q->store, kind, item, q->out.at);
    wf_queue_set_count(q, count - 1);
    wf_queue_note_taken(q, 1, by);
    return true;
}

/* Decides the wait of a waiter, and unlinks it; false: it had been decided. */
bool wf_queue_grant(struct wf_queue *q, struct wf_waiter *waiter, struct wf_later *later);

/* A waiter's task has come: it is in no list, and nobody else has it. */
void wf_queue_remove(struct wf_queue *q, struct wf_waiter *waiter);

/* Grants the first wait in the list that takes it, but `own`; its op, or NULL. */
struct wf_queue_op *wf_queue_claim(struct wf_queue *q, struct wf_list *list,
                                   const struct wf_wait *own, struct wf_later *later);

/* Puts an op, of a task whose wait has begun, at the tail of its list. */
static inline void wf_queue_enlist(struct wf_queue *q, struct wf_queue_op *op,
                                   const weft_task *task)
{
    bool has_turns = wf_has_turns(task) && q->capacity > 0;
    if (has_turns || (wf_list_is_empty(&q->getters) && wf_list_is_empty(&q->putters))) {
        wf_queue_set(q, WF_QUEUE_BY_TURNS, has_turns);
    }
    op->outcome = 0;
    op->is_hinted = false;
    op->waiter.is_leaving = false;
    wf_list_push(op->is_put ? &q->putters : &q->getters, &op->waiter.link);
}

/* Takes one out of its list that may be in none. */
void wf_queue_delist(struct wf_queue *q, struct wf_queue_op *op);

/* Nobody puts any more: whoever waits in `list` hears of it. */
void wf_queue_turn_away(struct wf_queue *q, struct wf_list *list, struct wf_later *later);

/* Ends the joins if all is done. */
void wf_queue_end_joins(struct wf_queue *q, struct wf_later *later);

/* What can be moved at once: how much, -EAGAIN, -ESHUTDOWN or -ENOMEM. `own` is a wait of the caller's that
 * may have waiters here, which are passed over; `by` its token. */
int64_t wf_queue_move(struct wf_queue *q, struct wf_queue_op *op, const struct wf_wait *own,
                      uint64_t by, struct wf_later *later);

/* A wait's list (wait.h): whoever may end it, who is the one that last did what it waits for. Itself would
 * say nothing. */
static inline void wf_queue_list_peer(const struct wf_wait *wait, wf_each *each, void *arg)
{
    uint64_t peer = wait->reason == WF_WAIT_GET ? wf_queue_last_put(wait->target)
                                                : wf_queue_last_got(wait->target);
    if (peer != wf_task_token(wait->task)) {
        each(peer, arg);
    }
}

#endif
