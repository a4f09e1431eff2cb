// SPDX-License-Identifier: MIT
/* sem.h - a semaphore: a number of permits, handed out in the order of asking.
 *
 * A release gives its permits to those who wait, the longest first, at once: they are taken before the
 * waiter runs, and nobody who comes meanwhile gets them. A waiter that asks for many keeps those behind
 * it waiting until there are enough. A waiter that is cancelled gets -ECANCELED and no permit; one that was
 * given its permits has them, whatever comes after.
 */
#ifndef WEFT_SEM_H
#define WEFT_SEM_H

#include <weft/base.h>

WEFT_BEGIN

/* A value type: WEFT_SEM_INIT(permits) or weft_sem_init makes it ready. It needs no destruction, but must
 * not move or go away while it is waited for. */
typedef struct weft_sem {
    uint64_t reserved[4];
} weft_sem;

#define WEFT_SEM_MAX 0x1fffffffU

/* `permits` free ones, up to WEFT_SEM_MAX, not bounded. */
// clang-format off
#define WEFT_SEM_INIT(permits) {{WEFT_CAST_(uint64_t, permits) << 3}}
// clang-format on

/* permits  free ones to begin with
 * bound    how many there may be at most: releasing more is refused; 0 = WEFT_SEM_MAX
 * returns  0, or -EINVAL (NULL, more permits than the bound, more than WEFT_SEM_MAX) */
WEFT_API int weft_sem_init(weft_sem *sem, uint32_t permits, uint32_t bound);

/* Takes `permits` of them, all at once.
 *
 * returns  0; -ECANCELED, none taken; -EPERM; -EINVAL (NULL, 0, or more than there can ever be)
 * context  fiber only; await point; does not suspend when there are enough and nobody waits */
WEFT_API WEFT_NODISCARD int weft_sem_acquire(weft_sem *sem, uint32_t permits);

/* The same if it need not wait: 0, -EAGAIN, -EINVAL. Any thread; never switches; observes no
 * cancellation. */
WEFT_API WEFT_NODISCARD int weft_sem_try_acquire(weft_sem *sem, uint32_t permits);

/* Gives `permits` back or adds them. Returns 0; -EOVERFLOW, nothing changed, when there would be more than
 * the bound; -EINVAL. Any thread, not a signal handler; never switches. */
WEFT_API int weft_sem_release(weft_sem *sem, uint32_t permits);

/* Free permits at some moment. Any thread. */
WEFT_API uint32_t weft_sem_value(const weft_sem *sem);

/* 0 when nobody waits for it, else -EBUSY. Any thread. */
WEFT_API int weft_sem_destroy(weft_sem *sem);

WEFT_END

#endif
