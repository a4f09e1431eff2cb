// SPDX-License-Identifier: MIT
/* queue.c - the calls that put and get, and wait where they must.
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
    wf_queue_set(q, WF_QUEUE_MEETS, capacity == 0);
    q->kind = (uint8_t)wf_item_kind_of(item_bytes);
    q->drop_item = drop_item;
    return wf_store_init(&q->store, &q->in, &q->out, item_bytes, capacity);
}

/* ---- waiting ---- */

static inline void begin(weft_queue *queue, weft_task *self, struct wf_queue_op *op,
                         struct wf_wait *wait, enum wf_reason reason)
{
    wf_wait_begin_here(wait, self, reason);
    wait->target = queue;
    wait->waiter = &op->waiter;
    wait->list = wf_queue_list_peer;
}

static enum wf_verdict park(weft_queue *queue, weft_task *self, struct wf_queue_op *op,
                            struct wf_wait *wait, const void *site)
{
    struct wf_queue *q = wf_queue_inside(queue);
    begin(queue, self, op, wait, op->is_put ? WF_WAIT_PUT : WF_WAIT_GET);
    wf_queue_enlist(q, op, self);
    wf_unlock(&q->lock);
    return wf_door_park_from(wait, site);
}

/* What may be left of the queue's lock and list when a wait is over, and another attempt or wait where the
 * grant was a hint. */
static __attribute__((noinline)) int64_t come_back(weft_queue *queue, weft_task *self,
                                                   struct wf_queue_op *op, enum wf_verdict verdict)
{
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_wait *wait = op->waiter.wait;
    struct wf_later later;
    wf_later_init(&later);
    int64_t rc;
    for (;;) {
        wf_lock(&q->lock);
        wf_queue_delist(q, op);
        if (verdict != WF_GRANTED) {
            rc = -ECANCELED;
        } else if (op->outcome != 0) {
            rc = op->outcome;
        } else {
            rc = wf_queue_move(q, op, NULL, wf_task_token(self), &later);
        }
        if (rc != -EAGAIN) {
            break;
        }
        verdict = park(queue, self, op, wait, NULL); /* lost: it observes what has come meanwhile */
    }
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc;
}

/* What a wait's end has brought: how many were moved, or an error. */
static inline int64_t outcome(weft_queue *queue, weft_task *self, struct wf_queue_op *op,
                              const struct wf_wait *wait, enum wf_verdict verdict)
{
    bool is_plain = WF_LIKELY(verdict == WF_GRANTED) && WF_LIKELY(!wait->was_early) &&
                    WF_LIKELY(op->outcome != 0);
    return WF_LIKELY(is_plain) ? op->outcome : come_back(queue, self, op, verdict);
}

/* Called with the lock, returns without. */
static int64_t wait_for(weft_queue *queue, weft_task *self, struct wf_queue_op *op,
                        const void *site)
{
    struct wf_wait wait;
    op->waiter.wait = &wait;
    return outcome(queue, self, op, &wait, park(queue, self, op, &wait, site));
}

/* What a granter on another worker touches is one cache line, from the op's link to the wait's epoch. */
struct one_move {
    _Alignas(WF_QUEUE_LINE_BYTES) char before[32];
    struct wf_queue_op op;
    struct wf_wait wait;
};

_Static_assert(offsetof(struct one_move, op.waiter.link) == WF_QUEUE_LINE_BYTES &&
                   offsetof(struct one_move, wait.epoch) < 2 * WF_QUEUE_LINE_BYTES,
               "a granter needs no second line");

/* The same for one item where nothing is there, or no room, in the plainest case: the wait is not by turns. */
static inline __attribute__((always_inline)) int wait_plainly(weft_queue *queue, weft_task *self,
                                                              void *item, bool is_put,
                                                              const void *site)
{
    struct wf_queue *q = wf_queue_inside(queue);
    enum wf_item_kind kind = wf_queue_kind(q);
    bool is_word = !is_put && (kind == WF_ITEM_8 || kind == WF_ITEM_4);
    struct one_move one;
    one.op = (struct wf_queue_op){
        .items = is_word ? NULL : item, .count = 1, .is_put = is_put, .waiter.wait = &one.wait};
    begin(queue, self, &one.op, &one.wait, is_put ? WF_WAIT_PUT : WF_WAIT_GET);
    wf_list_push(is_put ? &q->putters : &q->getters, &one.op.waiter.link);
    wf_unlock(&q->lock);
    int64_t moved =
        outcome(queue, self, &one.op, &one.wait, wf_door_park_here(&one.wait, self, site));
    if (is_word && WF_LIKELY(moved > 0)) {
        (void)wf_item_copy(NULL, kind, item, one.op.item);
    }
    return wf_go_return(moved < 0 ? (int)moved : 0, site);
}

static __attribute__((noinline)) int wait_to_get(weft_queue *queue, weft_task *self, void *item)
{
    return wait_plainly(queue, self, item, false, WF_GO_SITE);
}

static __attribute__((noinline)) int wait_to_put(weft_queue *queue, weft_task *self,
                                                 const void *item)
{
    return wait_plainly(queue, self, (void *)(uintptr_t)item, true, WF_GO_SITE);
}

/* May a call that finds nothing to do wait plainly? */
static inline bool is_plain(const struct wf_queue *q, const struct wf_worker *worker)
{
    return WF_LIKELY(wf_load_acq(&q->state) == 0) && WF_LIKELY(worker->sim == NULL);
}

/* The rest of a call: with the lock when it begins, without when it returns. */
static __attribute__((noinline)) int64_t go_on(weft_queue *queue, weft_task *self,
                                               struct wf_queue_op *op, const void *site)
{
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_later later;
    wf_later_init(&later);
    int64_t rc = wf_queue_move(q, op, NULL, wf_task_token(self), &later);
    if (rc == -EAGAIN) {
        return wait_for(queue, self, op, site);
    }
    wf_unlock(&q->lock);
    wf_later_run(&later);
    return rc;
}

/* A put of one item that needs more than a store with room, or a getter that has parked; as go_on. */
static inline __attribute__((always_inline)) int move_slowly(weft_queue *queue, weft_task *self,
                                                             void *item, bool is_put,
                                                             const void *site)
{
    struct wf_queue_op op = {.items = item, .count = 1, .is_put = is_put};
    int64_t moved = go_on(queue, self, &op, site);
    int rc = moved < 0 ? (int)moved : 0;
    bool has_waited = op.waiter.wait != NULL;
    return has_waited ? wf_go_return(rc, site) : rc;
}

static __attribute__((noinline)) int put_slowly(weft_queue *queue, weft_task *self,
                                                const void *item)
{
    return move_slowly(queue, self, (void *)(uintptr_t)item, true, WF_GO_SITE);
}

static __attribute__((noinline)) int get_slowly(weft_queue *queue, weft_task *self, void *item)
{
    return move_slowly(queue, self, item, false, WF_GO_SITE);
}

/* Errors of arguments, then the door: 1 and the caller, or what the call returns. */
static inline int enter(const weft_queue *queue, const void *items, size_t count, const char *call,
                        weft_task **self)
{
    int rc = 0;
    bool is_good = wf_queue_was_made(queue) && (items != NULL || count == 0);
    *self = wf_sync_enter(is_good ? queue : NULL, call, &rc);
    return *self != NULL && count > 0 ? 1 : rc;
}

/* To the getter that has waited longest, if it has parked and takes the grant: its task, to be queued once the
 * lock has been given back. NULL: nothing has been done. */
static inline __attribute__((always_inline)) weft_task *give_quickly(struct wf_queue *q,
                                                                     const void *item, bool is_word)
{
    struct wf_queue_op *op = wf_queue_op_of(q->getters.next);
    weft_task *task = op->waiter.wait->task;
    if (!wf_state_grant_parked(&task->word, wf_load_rlx(&op->waiter.wait->epoch))) {
        return NULL;
    }
    enum wf_item_kind kind = is_word ? wf_queue_kind(q) : WF_ITEM_BYTES;
    if (is_word) {
        WF_HOLDS(kind != WF_ITEM_BYTES);
    }
    wf_list_remove(&op->waiter.link);
    if (op->items != NULL) {
        op->waiter.wait->granted = &op->waiter;
    }
    (void)wf_item_copy(&q->store, kind, wf_queue_items_of(op), item);
    wf_queue_finish(op, 1);
    wf_queue_note_taken(q, 1, wf_task_token(task));
    WF_HOLDS(task != NULL);
    return task;
}

/* The calls for one item leave all that is rare to others as their last act: so they need no frame, which
 * would be a third of their work. */

static __attribute__((noinline)) int put_anew(weft_queue *queue, const void *item)
{
    weft_task *self = NULL;
    int rc = enter(queue, item, 1, "weft_queue_put", &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&wf_queue_inside(queue)->lock);
    return put_slowly(queue, self, item);
}

static __attribute__((noinline)) int get_anew(weft_queue *queue, void *item)
{
    weft_task *self = NULL;
    int rc = enter(queue, item, 1, "weft_queue_get", &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&wf_queue_inside(queue)->lock);
    return get_slowly(queue, self, item);
}

/* With the lock of zeroed memory, which is no queue; without when it returns. */
static __attribute__((noinline, cold)) int refuse(weft_queue *queue)
{
    wf_unlock(&wf_queue_inside(queue)->lock);
    return -EINVAL;
}

static __attribute__((noinline)) int lock_and_put(weft_queue *queue, weft_task *self,
                                                  const void *item)
{
    wf_lock_contended(&wf_queue_inside(queue)->lock);
    return WF_LIKELY(wf_queue_was_made(queue)) ? put_slowly(queue, self, item) : refuse(queue);
}

static __attribute__((noinline)) int lock_and_get(weft_queue *queue, weft_task *self, void *item)
{
    wf_lock_contended(&wf_queue_inside(queue)->lock);
    return WF_LIKELY(wf_queue_was_made(queue)) ? get_slowly(queue, self, item) : refuse(queue);
}

static __attribute__((noinline)) int unlock_slowly(struct wf_queue *q, weft_task *woken)
{
    wf_unlock(&q->lock);
    if (woken != NULL) {
        wf_sched_wake_slowly(woken);
    }
    return 0;
}

/* The end of a call that has done its work. */
static inline __attribute__((always_inline)) int unlock(struct wf_queue *q)
{
    return wf_unlock_quickly(&q->lock) ? 0 : unlock_slowly(q, NULL);
}

/* Likewise of one whose item `woken` has got, which had `link` in the list. */
static inline __attribute__((always_inline)) int unlock_and_wake(struct wf_queue *q,
                                                                 weft_task *woken,
                                                                 const struct wf_list *link)
{
    struct wf_worker *worker = wf_here_quick();
    wf_store_rlx(&q->last_put, wf_task_token(wf_load_rlx(&worker->running)));
    if (!wf_unlock_quickly(&q->lock)) {
        return unlock_slowly(q, woken);
    }
    return wf_sched_send(worker, woken, q, link);
}

/* With the lock, where getters wait; returns without. Who calls is found out again: what is the same before and after
 * the claim is so little then that it needs no frame. */
static inline __attribute__((always_inline)) int give_one(weft_queue *queue, const void *item,
                                                          bool is_word)
{
    struct wf_queue *q = wf_queue_inside(queue);
    const struct wf_list *link = q->getters.next;
    weft_task *woken = give_quickly(q, item, is_word);
    return WF_LIKELY(woken != NULL)
               ? unlock_and_wake(q, woken, link)
               : put_slowly(queue, wf_load_rlx(&wf_here_quick()->running), item);
}

/* Apart: who puts where nobody waits needs fewer registers. Of a usual size. */
static __attribute__((noinline)) int give_word(weft_queue *queue, const void *item)
{
    return give_one(queue, item, true);
}

/* With the lock; returns without. */
static inline __attribute__((always_inline)) int put_one(weft_queue *queue,
                                                         struct wf_worker *worker, weft_task *self,
                                                         const void *item, enum wf_item_kind kind)
{
    struct wf_queue *q = wf_queue_inside(queue);
    bool is_open = WF_LIKELY(!wf_queue_is(q, WF_QUEUE_CLOSED | WF_QUEUE_BY_TURNS));
    if (is_open && !wf_list_is_empty(&q->getters)) {
        return kind == WF_ITEM_BYTES ? give_one(queue, item, false) : give_word(queue, item);
    }
    if (is_open && wf_queue_put_quickly(q, item, kind, wf_task_token(self))) {
        return unlock(q);
    }
    if (is_plain(q, worker) && wf_queue_count_of(q) >= q->capacity) {
        return wait_to_put(queue, self, item);
    }
    return put_slowly(queue, self, item);
}

static inline __attribute__((always_inline)) int get_one(weft_queue *queue,
                                                         struct wf_worker *worker, weft_task *self,
                                                         void *item, enum wf_item_kind kind)
{
    struct wf_queue *q = wf_queue_inside(queue);
    uint64_t count = wf_queue_count_of(q);
    if (count == 0) {
        return is_plain(q, worker) ? wait_to_get(queue, self, item) : get_slowly(queue, self, item);
    }
    return wf_queue_get_quickly(q, item, kind, wf_task_token(self), count)
               ? unlock(q)
               : get_slowly(queue, self, item);
}

/* Items of unusual sizes are copied by a call. Zeroed memory, which is no queue, says that it has such. */
static __attribute__((noinline)) int put_bytes(weft_queue *queue, struct wf_worker *worker,
                                               weft_task *self, const void *item)
{
    if (WF_UNLIKELY(!wf_queue_was_made(queue))) {
        return refuse(queue);
    }
    return put_one(queue, worker, self, item, WF_ITEM_BYTES);
}

static __attribute__((noinline)) int get_bytes(weft_queue *queue, struct wf_worker *worker,
                                               weft_task *self, void *item)
{
    if (WF_UNLIKELY(!wf_queue_was_made(queue))) {
        return refuse(queue);
    }
    return get_one(queue, worker, self, item, WF_ITEM_BYTES);
}

WF_AT_LINE int weft_queue_put(weft_queue *queue, const void *item)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_door_enter_here(worker);
    if (__builtin_expect(self == NULL || queue == NULL || item == NULL, 0)) {
        return put_anew(queue, item);
    }
    struct wf_queue *q = wf_queue_inside(queue);
    wf_sent_fetch_all(worker, q);
    if (!wf_lock_quickly(&q->lock)) {
        return lock_and_put(queue, self, item);
    }
    enum wf_item_kind kind = wf_queue_kind(q);
    return kind == WF_ITEM_BYTES ? put_bytes(queue, worker, self, item)
                                 : put_one(queue, worker, self, item, kind);
}

WF_AT_LINE int weft_queue_get(weft_queue *queue, void *item)
{
    struct wf_worker *worker = wf_here_quick();
    weft_task *self = wf_door_enter_here(worker);
    if (__builtin_expect(self == NULL || queue == NULL || item == NULL, 0)) {
        return get_anew(queue, item);
    }
    struct wf_queue *q = wf_queue_inside(queue);
    if (!wf_lock_quickly(&q->lock)) {
        return lock_and_get(queue, self, item);
    }
    enum wf_item_kind kind = wf_queue_kind(q);
    return kind == WF_ITEM_BYTES ? get_bytes(queue, worker, self, item)
                                 : get_one(queue, worker, self, item, kind);
}

int64_t weft_queue_put_many(weft_queue *queue, const void *items, size_t count)
{
    weft_task *self = NULL;
    int rc = enter(queue, items, count, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&wf_queue_inside(queue)->lock);
    struct wf_queue_op op = {.items = (void *)(uintptr_t)items, .count = count, .is_put = true};
    return go_on(queue, self, &op, NULL);
}

int64_t weft_queue_get_many(weft_queue *queue, void *items, size_t count)
{
    weft_task *self = NULL;
    int rc = enter(queue, items, count, __func__, &self);
    if (rc <= 0) {
        return rc;
    }
    wf_lock(&wf_queue_inside(queue)->lock);
    struct wf_queue_op op = {.items = items, .count = count};
    return go_on(queue, self, &op, NULL);
}
