// SPDX-License-Identifier: MIT
/* cond.h - a condition: waits, without the mutex, for news about what the mutex protects.
 *
 *     rc = weft_mutex_lock(&mutex);
 *     while (rc == 0 && !is_ready) {
 *         rc = weft_cond_wait(&cond);
 *     }
 *
 * A wait always comes back with the mutex locked, also when it fails: waiting for the mutex again can't be
 * cancelled. It may come back without news: ask again what was waited for. */
#ifndef WEFT_COND_H
#define WEFT_COND_H

#include <weft/mutex.h>

WEFT_BEGIN

/* A value type, made ready by WEFT_COND_INIT(&mutex) or weft_cond_init. Several conditions may share a
 * mutex. It needs no destruction, but must not move or go away while it is waited for. */
typedef struct weft_cond {
    weft_mutex *mutex; /* set by these */
    uint64_t reserved[3];
} weft_cond;

// clang-format off
#define WEFT_COND_INIT(mutex) {(mutex), {0}}
// clang-format on

/* Returns 0 or -EINVAL. */
WEFT_API int weft_cond_init(weft_cond *cond, weft_mutex *mutex);

/* Unlocks the mutex, waits to be notified, locks the mutex.
 *
 * returns  0; -ECANCELED with the mutex locked: the caller was cancelled before it was notified, or while
 *          it waited for the mutex afterwards. If it has waited, the next who waits has been woken in its
 *          place. -EPERM outside a fiber, or when the mutex is not locked, or by another task; -EINVAL
 * context  fiber only; await point; always suspends, unless it is found cancelled on entry: then it never
 *          unlocks, and wakes nobody */
WEFT_API WEFT_NODISCARD int weft_cond_wait(weft_cond *cond);

/* Wakes the first `count` of those who wait; they go on when they get the mutex. Returns 0, also when nobody
 * waits; -EPERM when the mutex is not locked, by whomever; -EINVAL.
 * Any thread, not a signal handler; never switches. */
WEFT_API int weft_cond_notify(weft_cond *cond, size_t count);

/* All of them. As above. */
WEFT_API int weft_cond_notify_all(weft_cond *cond);

/* 0 when nobody waits for it, else -EBUSY. Any thread. */
WEFT_API int weft_cond_destroy(weft_cond *cond);

WEFT_END

#endif
