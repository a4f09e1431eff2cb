// SPDX-License-Identifier: MIT
/* queue_end.c - the end of the work, of the puts, and of the queue itself. */
#include "sync/queue_inside.h"

#include <errno.h>
#include <string.h>

#include "sched/report.h"

/* ---- the end of the work ---- */

int weft_queue_done(weft_queue *queue)
{
    if (!wf_queue_was_made(queue)) {
        return -EINVAL;
    }
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_later later;
    wf_later_init(&later);
    wf_lock(&q->lock);
    int rc = wf_queue_is_busy(q) ? 0 : -EINVAL;
    if (rc == 0) {
        q->taken--;
        wf_queue_end_joins(q, &later);
    }
    wf_unlock(&q->lock);
    wf_later_run(&later);
    if (rc < 0) {
        wf_misuse(rc, "weft_queue_done", queue, "last taken from by", wf_queue_last_got(queue),
                  "done more often than items were put");
    }
    return rc;
}

/* Links the waiter; false when there is nothing left to do. */
static bool await_end(struct wf_queue *q, struct wf_waiter *waiter)
{
    wf_lock(&q->lock);
    bool is_busy = wf_queue_is_busy(q);
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
    if (worker == NULL || !wf_queue_was_made(queue)) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_door_enter(self, __func__);
    if (rc < 0) {
        return rc;
    }
    struct wf_queue *q = wf_queue_inside(queue);
    struct wf_seat *seat = wf_seat_own(self);
    wf_seat_take(seat, self, WF_WAIT_DONE, queue);
    seat->wait.list = wf_queue_list_peer;
    if (await_end(q, &seat->waiter)) {
        enum wf_verdict verdict = wf_door_park(&seat->wait);
        if (verdict != WF_GRANTED || seat->wait.was_early) {
            wf_lock(&q->lock);
            wf_queue_remove(q, &seat->waiter);
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
    if (q->taken + (int64_t)wf_queue_count_of(q) < 0) {
        q->taken =
            -(int64_t)wf_queue_count_of(q); /* some of the dropped ones had been reported before */
    }
    wf_queue_set(q, WF_QUEUE_CLOSED, true);
    wf_queue_end_joins(q, &later);
    wf_queue_turn_away(q, &q->getters, &later);
    wf_queue_turn_away(q, &q->putters, &later);
    wf_unlock(&q->lock);
    wf_later_run(&later);
}

int weft_queue_close(weft_queue *queue)
{
    if (!wf_queue_was_made(queue)) {
        return -EINVAL;
    }
    settle(wf_queue_inside(queue), 0);
    return 0;
}

/* Whoever waits for the end of the work does so until all are dropped: until then they count as taken. */
int weft_queue_close_now(weft_queue *queue)
{
    if (!wf_queue_was_made(queue)) {
        return -EINVAL;
    }
    struct wf_queue *q = wf_queue_inside(queue);
    wf_lock(&q->lock);
    wf_queue_set(q, WF_QUEUE_CLOSED, true);
    size_t left = wf_queue_count_of(q);
    wf_queue_set_count(q, 0);
    q->taken += (int64_t)left;
    struct wf_store store = q->store;
    struct wf_place out = q->out;
    memset(&q->store, 0, sizeof q->store);
    wf_unlock(&q->lock);
    wf_store_end(&store, &out, left, q->drop_item);
    settle(q, left);
    return 0;
}

/* ---- life ---- */

/* For reports: the token of somebody who waits, 0 for none. Under the lock. */
static uint64_t first_in(const struct wf_queue *q)
{
    const struct wf_list *lists[] = {&q->getters, &q->putters, &q->joiners};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const struct wf_list *list = lists[i];
        if (!wf_list_is_empty(list)) {
            return wf_task_token(WF_CONTAINER(list->next, struct wf_waiter, link)->wait->task);
        }
    }
    return 0;
}

int weft_queue_destroy(weft_queue *queue)
{
    if (!wf_queue_was_made(queue)) {
        return -EINVAL;
    }
    struct wf_queue *q = wf_queue_inside(queue);
    wf_lock(&q->lock);
    bool is_busy = !wf_list_is_empty(&q->getters) || !wf_list_is_empty(&q->putters) ||
                   !wf_list_is_empty(&q->joiners) || q->hinted > 0 || q->leaving > 0;
    uint64_t waits = first_in(q);
    wf_unlock(&q->lock);
    if (is_busy) {
        wf_misuse(-EBUSY, "weft_queue_destroy", queue, "by", waits, "it is in use");
        return -EBUSY;
    }
    wf_queue_set(q, WF_QUEUE_CLOSED, true);
    size_t left = wf_queue_count_of(q);
    wf_queue_set_count(q, 0);
    wf_store_end(&q->store, &q->out, left, q->drop_item);
    return 0;
}
