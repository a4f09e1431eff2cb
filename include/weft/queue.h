// SPDX-License-Identifier: MIT
/* queue.h - items of one size on their way from any number of tasks to any number of tasks.
 *
 * First in, first out, for items as for those who wait; one item wakes at most one task. Items are copied
 * in and out. A put that fails, for whatever reason, has left its item with the caller; a get that fails has
 * taken none; one that was granted has succeeded, whatever cancellation comes after. So nothing is lost or
 * doubled, whoever is cancelled when.
 */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/base.h>

WEFT_BEGIN

/* Made ready by weft_queue_init, ended by weft_queue_destroy. Must not move in between. Calls on zeroed memory are
 * -EINVAL. */
typedef struct weft_queue {
    uint64_t reserved[32];
} weft_queue;

#define WEFT_QUEUE_UNBOUNDED SIZE_MAX

/* item_bytes  of each item, from 1
 * capacity    how many it holds: a put waits for room. 0 is a rendezvous: a put waits until the item is
 *             taken. WEFT_QUEUE_UNBOUNDED: puts never wait, and need memory
 * drop_item   called once for each item that nobody takes any more, by weft_queue_close_now or
 *             weft_queue_destroy, without locks; may be NULL. `item` is the queue's copy
 * returns     0, -EINVAL (NULL, items of no bytes), -ENOMEM (room for `capacity` items is made now) */
WEFT_API WEFT_NODISCARD int weft_queue_init(weft_queue *queue, size_t item_bytes, size_t capacity,
                                            void (*drop_item)(void *item));

/* Drops the items that are left and frees what the queue has. Returns 0; -EBUSY, nothing done, when a task
 * waits in it; -EINVAL. Any thread, but not while another uses it. */
WEFT_API int weft_queue_destroy(weft_queue *queue);

/* Puts a copy of *item.
 *
 * returns  0; -ESHUTDOWN when the queue is closed, also while waiting; -ECANCELED; -ENOMEM (unbounded);
 *          -EPERM; -EINVAL. The item is put with 0 and only with 0
 * context  fiber only; await point; does not suspend while there is room */
WEFT_API WEFT_NODISCARD int weft_queue_put(weft_queue *queue, const void *item);

/* Takes the oldest item into *item.
 *
 * returns  0; -ESHUTDOWN when the queue is closed and empty; -ECANCELED; -EPERM; -EINVAL
 * context  fiber only; await point; does not suspend while there are items */
WEFT_API WEFT_NODISCARD int weft_queue_get(weft_queue *queue, void *item);

/* Without waiting: 0, -EAGAIN (full, empty, nobody at the other end of a rendezvous), -ESHUTDOWN and
 * -ENOMEM as above, -EINVAL. Any thread, not a signal handler; never switch; observe no cancellation. */
WEFT_API WEFT_NODISCARD int weft_queue_try_put(weft_queue *queue, const void *item);
WEFT_API WEFT_NODISCARD int weft_queue_try_get(weft_queue *queue, void *item);

/* As many of `count` items, one after the other in memory, as there is room or supply for at once; waits
 * only for the first. They keep their order. Return how many, from 1 (0 only for a count of 0), or as
 * weft_queue_put and weft_queue_get with none moved. */
WEFT_API WEFT_NODISCARD int64_t weft_queue_put_many(weft_queue *queue, const void *items,
                                                    size_t count);
WEFT_API WEFT_NODISCARD int64_t weft_queue_get_many(weft_queue *queue, void *items, size_t count);

/* No more puts, waiting ones included: -ESHUTDOWN. Gets take what is left, then -ESHUTDOWN. Returns 0, again
 * 0 when it was closed, -EINVAL. Any thread, not a signal handler; never switches. */
WEFT_API int weft_queue_close(weft_queue *queue);

/* The same, and drops what is left, before it returns; an item counts as done once it has been dropped. As above. */
WEFT_API int weft_queue_close_now(weft_queue *queue);

/* One more of the items that were put has been dealt with. Returns 0; -EINVAL when that has been said of all
 * of them.
 * Any thread, not a signal handler; never switches. */
WEFT_API int weft_queue_done(weft_queue *queue);

/* Waits until as many items have been reported as done, or dropped, as were ever put.
 * Returns 0, -ECANCELED, -EPERM, -EINVAL. Fiber only; await point; does not suspend when that is so. */
WEFT_API WEFT_NODISCARD int weft_queue_join(weft_queue *queue);

/* Items in it at some moment; 0 for NULL. Any thread. */
WEFT_API size_t weft_queue_count(const weft_queue *queue);

/* From the first weft_queue_close on; false for NULL. Any thread. */
WEFT_API bool weft_queue_is_closed(const weft_queue *queue);

WEFT_END

#endif
