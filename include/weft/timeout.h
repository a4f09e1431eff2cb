// SPDX-License-Identifier: MIT
/* timeout.h - a time limit around any code that awaits.
 *
 *     weft_timeout limit;
 *     int rc = weft_timeout_enter(&limit, 2 * WEFT_S);
 *     if (rc == 0) {
 *         rc = (int)weft_timeout_leave(&limit, fetch(url));
 *     }
 *
 * At the deadline the calling task is sent a cancellation request, once. Inside the scope it looks
 * like any other cancellation (-ECANCELED); leaving the scope turns it into -ETIMEDOUT, unless
 * somebody else had cancelled the task too. A timeout is a request: clean-up may take longer.
 */
#ifndef WEFT_TIMEOUT_H
#define WEFT_TIMEOUT_H

#include <weft/base.h>

WEFT_BEGIN

/* Lives in the caller's frame between enter and leave. Zeroed, it is in state CREATED. */
typedef struct weft_timeout {
    uint64_t reserved[20];
} weft_timeout;

typedef enum weft_timeout_phase {
    WEFT_TIMEOUT_CREATED,
    WEFT_TIMEOUT_ACTIVE,
    WEFT_TIMEOUT_EXPIRING, /* fired, not left yet */
    WEFT_TIMEOUT_EXPIRED,  /* fired and left */
    WEFT_TIMEOUT_FINISHED, /* left without firing */
} weft_timeout_phase;

/* Opens the scope. A delay of 0 or less fires at the first await that suspends; WEFT_FOREVER never.
 * Returns 0, -EPERM, -EINVAL (NULL), -EBUSY (already open). Fiber only; never switches. */
WEFT_API WEFT_NODISCARD int weft_timeout_enter(weft_timeout *scope, int64_t delay_ns);

/* The same with an absolute deadline (weft_now). */
WEFT_API WEFT_NODISCARD int weft_timeout_enter_at(weft_timeout *scope, int64_t deadline_ns);

/* Closes the scope and returns `rc`, or -ETIMEDOUT where `rc` is the scope's own -ECANCELED.
 * Returns -EINVAL when it is not the innermost open scope of the calling task (nothing changes).
 * Takes its own request back, delivered or not; observes nothing. -EPERM. Fiber only; never switches. */
WEFT_API WEFT_NODISCARD intptr_t weft_timeout_leave(weft_timeout *scope, intptr_t rc);

/* Moves the deadline to `delay_ns` from now (WEFT_FOREVER: none; 0 or less: it fires when the task next
 * suspends, or does so now). Returns 0; -EINVAL unless the scope is active. Any thread while the scope's memory is
 * there, not a signal handler; of a simulation's scope only the simulation's tasks. Never switches. */
WEFT_API WEFT_NODISCARD int weft_timeout_reschedule(weft_timeout *scope, int64_t delay_ns);

/* True once the scope has fired, also after leaving; false for NULL. Any thread while its memory is there. */
WEFT_API bool weft_timeout_expired(const weft_timeout *scope);

/* In which phase it is; WEFT_TIMEOUT_CREATED for NULL. As above. */
WEFT_API weft_timeout_phase weft_timeout_state(const weft_timeout *scope);

/* weft_within(2 * WEFT_S, weft_read(fd, buf, sizeof buf)): all three in one expression. */
#define weft_within(delay_ns, call) WEFT_WITHIN_NAMED_(delay_ns, call, __COUNTER__)
#define WEFT_WITHIN_NAMED_(delay_ns, call, n) WEFT_WITHIN_(delay_ns, call, n)
#define WEFT_WITHIN_(delay_ns, call, n)                                                    \
    (__extension__({                                                                       \
        weft_timeout weft_scope_##n;                                                       \
        intptr_t weft_rc_##n = weft_timeout_enter(&weft_scope_##n, (delay_ns));            \
        if (weft_rc_##n == 0) {                                                            \
            weft_rc_##n = weft_timeout_leave(&weft_scope_##n, WEFT_CAST_(intptr_t, call)); \
        }                                                                                  \
        weft_rc_##n;                                                                       \
    }))

WEFT_END

#endif
