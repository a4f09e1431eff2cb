// SPDX-License-Identifier: MIT
/* mutex.h - one task at a time, in the order of their coming.
 *
 * First in, first out: an unlock hands the mutex to the task that has waited longest, and nobody who comes
 * meanwhile gets in between. May be held across await points. Not recursive. A waiter that is cancelled
 * leaves the queue and gets -ECANCELED; one that the mutex was handed to has it, whatever comes after.
 */
#ifndef WEFT_MUTEX_H
#define WEFT_MUTEX_H

#include <weft/base.h>

WEFT_BEGIN

/* A value type: WEFT_MUTEX_INIT, zeroed memory or weft_mutex_init makes it ready. It needs no
 * destruction, but must not move or go away while it is locked or waited for. */
typedef struct weft_mutex {
    uint64_t reserved[4];
} weft_mutex;

// clang-format off
#define WEFT_MUTEX_INIT {{0}}
// clang-format on

enum {
    WEFT_MUTEX_OWNED = 1, /* only the task that locked it may unlock it: others get -EPERM */
    /* Belongs to nobody, like a semaphore with one permit: locking it twice waits instead of being refused,
     * and reports can't say who holds it. Also for one that may still be locked when the task that locked it
     * has ended: else a later task, of any runtime, may be taken for that one and get -EDEADLK. */
    WEFT_MUTEX_UNOWNED = 2,
};

/* `flags`: 0, or one of the above. Returns 0 or -EINVAL. */
WEFT_API int weft_mutex_init(weft_mutex *mutex, unsigned flags);

/* Locks it.
 *
 * returns  0; -ECANCELED, not locked; -EDEADLK when the caller has it already; -EPERM; -EINVAL (NULL)
 * context  fiber only; await point; does not suspend when it is free */
WEFT_API WEFT_NODISCARD int weft_mutex_lock(weft_mutex *mutex);

/* Locks it if it is free. Returns 0, -EBUSY, -EPERM, -EINVAL. Fiber only; never switches; observes no
 * cancellation. */
WEFT_API WEFT_NODISCARD int weft_mutex_try_lock(weft_mutex *mutex);

/* Hands it to the first waiter, or frees it. Without WEFT_MUTEX_OWNED any task or thread may.
 * Returns 0; -EPERM when it is not locked, or not by the caller (WEFT_MUTEX_OWNED); -EINVAL.
 * Any thread, not a signal handler; never switches. */
WEFT_API int weft_mutex_unlock(weft_mutex *mutex);

/* Advisory. False between the unlock and the moment at which the next owner runs, in a simulation with
 * seed 0. Any thread. */
WEFT_API bool weft_mutex_is_locked(const weft_mutex *mutex);

/* Returns 0 when nobody has it or waits for it: it may go then. -EBUSY else; nothing is changed.
 * Any thread. */
WEFT_API int weft_mutex_destroy(weft_mutex *mutex);

WEFT_END

#endif
