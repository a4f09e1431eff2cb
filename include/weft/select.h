// SPDX-License-Identifier: MIT
/* select.h - waits for the first of several things.
 *
 *     weft_case cases[] = {
 *         weft_case_get(&jobs, &job),
 *         weft_case_event(&stop),
 *         weft_case_after(WEFT_S),
 *     };
 *     int chosen = weft_select(cases, 3, 0);
 *
 * Exactly one case takes effect, and none if the call fails: no item is put or taken but that of the chosen
 * case. Of several that are ready any one is chosen, with equal chance; in a simulation with seed 0 the
 * first. */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/event.h>
#include <weft/future.h>
#include <weft/queue.h>
#include <weft/task.h>

WEFT_BEGIN

typedef enum weft_case_kind {
    /* Never ready, as is a case whose queue, future, event or task is NULL: so `cases[i].source = NULL` switches one off, that of
     * a queue that is closed and empty, say, which would be ready for ever. */
    WEFT_CASE_NONE,
    WEFT_CASE_PUT,
    WEFT_CASE_GET,
    WEFT_CASE_FUTURE,
    WEFT_CASE_EVENT,
    WEFT_CASE_TASK,
    WEFT_CASE_TIMER,
    WEFT_CASE_FD,
} weft_case_kind;

/* Made by the functions below, in memory of the caller. May be used again for another weft_select. */
typedef struct weft_case {
    weft_case_kind kind;
    /* Of the chosen case, set by weft_select: 0, or how the thing itself failed (-ESHUTDOWN for a closed
     * queue, -ENOMEM for an unbounded one, -EBADF for a descriptor); for a descriptor the events. */
    int outcome;
    void *source;
    void *
        item; /* put: what to put, not written to; get: where to; future, task: the result, may be NULL */
    int64_t deadline_ns;
    int fd;
    unsigned events;
    uint64_t reserved[18];
} weft_case;

/* The functions that make cases check nothing and change nothing: weft_select says -EINVAL. Any thread.
 *
 * Puts *item / takes an item into *item: weft_queue_put, weft_queue_get. */
WEFT_API weft_case weft_case_put(weft_queue *queue, const void *item);
WEFT_API weft_case weft_case_get(weft_queue *queue, void *item);

/* The future is complete. */
WEFT_API weft_case weft_case_future(weft_future *future, intptr_t *result);

/* The event is set. */
WEFT_API weft_case weft_case_event(weft_event *event);

/* The task has ended. Borrows the handle, and is private: a cancellation stays with the caller. */
WEFT_API weft_case weft_case_task(weft_task *task, intptr_t *result);

/* The time has come: after `delay_ns` from now, or at `deadline_ns`. */
WEFT_API weft_case weft_case_after(int64_t delay_ns);
WEFT_API weft_case weft_case_at(int64_t deadline_ns);

/* The descriptor is ready for one of `events` (WEFT_READABLE, WEFT_WRITABLE, WEFT_HANGUP): weft_wait_fd. */
WEFT_API weft_case weft_case_fd(int fd, unsigned events);

enum {
    WEFT_SELECT_POLL = 1, /* don't wait: -EAGAIN when no case is ready */
};

/* Waits for one of `count` cases.
 *
 * flags    0 or WEFT_SELECT_POLL
 * returns  the index of the chosen case, whose `outcome` says how it went; -EAGAIN (WEFT_SELECT_POLL);
 *          -ECANCELED, no case took effect; -EPERM; -EINVAL (no cases, an unknown kind, flag or event, a
 *          queue without an item); -EDEADLK when a case waits for the end of the caller
 * context  fiber only; await point (also with WEFT_SELECT_POLL, which never suspends); costs time in
 *          proportion to `count`; allocates nothing of its own */
WEFT_API WEFT_NODISCARD int weft_select(weft_case *cases, size_t count, unsigned flags);

WEFT_END

#endif
