// SPDX-License-Identifier: MIT
/* future.h - a one-shot result that any thread may set and any number of tasks may await. */
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <weft/base.h>
#include <weft/task.h>

WEFT_BEGIN

/* A value type: WEFT_FUTURE_INIT or zeroed memory is a pending future. It needs no destruction, but
 * must not move or go away while somebody awaits or sets it. A task whose weft_future_await has returned 0 may take it away even
 * though the setter's call has not returned yet, so it may lie on the stack of the only task that awaits it. */
typedef struct weft_future {
    uint64_t reserved[6];
} weft_future;

// clang-format off
#define WEFT_FUTURE_INIT {{0}}
// clang-format on

/* Makes it pending, whatever its memory held. Returns 0, -EINVAL. */
WEFT_API int weft_future_init(weft_future *future);

/* Completes it and wakes the waiters in the order in which they came. Returns 0, -EALREADY,
 * -EINVAL (`set` with a negative errno, `fail` with anything else).
 * Any thread, not a signal handler; never switches. */
WEFT_API int weft_future_set(weft_future *future, intptr_t value);
WEFT_API int weft_future_fail(weft_future *future, int error);

/* Completes it as cancelled; in no other way does it concern a task. Returns 1, 0 when it was complete,
 * -EINVAL. As above. */
WEFT_API int weft_future_cancel(weft_future *future);

/* Waits for the result.
 *
 * result   the value, the error, or -ECANCELED for a cancelled future; may be NULL
 * returns  0; -ECANCELED when the caller was cancelled: the future and its other waiters are left
 *          alone; -EPERM; -EINVAL
 * context  fiber only; await point; does not suspend when the future is complete */
WEFT_API WEFT_NODISCARD int weft_future_await(weft_future *future, intptr_t *result);

/* WEFT_PENDING, WEFT_OK, WEFT_ERROR or WEFT_CANCELLED. Any thread. */
WEFT_API weft_state weft_future_state(const weft_future *future);

/* Its result without waiting: 0, -EAGAIN (pending), -EINVAL. Any thread. */
WEFT_API WEFT_NODISCARD int weft_future_result(const weft_future *future, intptr_t *result);

WEFT_END

#endif
