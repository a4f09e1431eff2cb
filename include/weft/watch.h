// SPDX-License-Identifier: MIT
/* watch.h - a scope whose trigger is the peer's hang-up.
 *
 * Around work done for a connection: when the peer is gone the task gets a cancellation request, as
 * from a timeout, and leaving the scope turns it into -ECONNRESET. No second task, and no system
 * call per request: the descriptor is registered with the poller once.
 */
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include <weft/base.h>

WEFT_BEGIN

typedef struct weft_watch {
    uint64_t reserved[20];
} weft_watch;

enum {
    /* Also fire when the peer has only closed its sending side. */
    WEFT_WATCH_HALF_CLOSE = 1,
    /* TCP can't tell a peer that has closed fully from one that has only closed its sending side
     * until something is sent. With this flag one byte of urgent data is sent at that moment: a
     * peer that still reads skips it (unless it set SO_OOBINLINE), one that is gone answers with a
     * reset, and the scope fires. TCP sockets only; others ignore the flag. */
    WEFT_WATCH_PROBE = 2,
};

/* Opens the scope on `fd`. Fires on a reset or full hang-up; one that has already happened fires at
 * the first await that suspends. Once weft_close has closed the descriptor it does not fire any more.
 * Returns 0, -EPERM (fiber only, or the descriptor can't be polled), -EBADF, -EINVAL (NULL, unknown
 * flags), -EBUSY (already open), -ENOMEM, -ENOTSUP (a real descriptor in a simulation). Never switches. */
WEFT_API WEFT_NODISCARD int weft_watch_enter(weft_watch *scope, int fd, unsigned flags);

/* Closes the scope; `rc`, or -ECONNRESET where it is the scope's own -ECANCELED; -EINVAL when the
 * scope is not the innermost open one; -EPERM. Fiber only; never switches. */
WEFT_API WEFT_NODISCARD intptr_t weft_watch_leave(weft_watch *scope, intptr_t rc);

/* True once the peer's hang-up has been seen by the scope, also after leaving; false for NULL. Any thread while its
 * memory is there. */
WEFT_API bool weft_watch_fired(const weft_watch *scope);

WEFT_END

#endif
