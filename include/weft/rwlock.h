// SPDX-License-Identifier: MIT
/* rwlock.h - many readers or one writer, phase-fair.
 *
 * Readers and writers take turns: a writer that waits keeps later readers out, and when a writer leaves,
 * all readers that wait by then get in before the next writer. So a reader waits for at most one writer,
 * and a writer for at most one batch of readers before each writer that came earlier.
 * After: Brandenburg and Anderson, "Spin-based reader-writer synchronization for multiprocessor real-time
 * systems", 2010.
 */
#ifndef WEFT_RWLOCK_H
#define WEFT_RWLOCK_H

#include <weft/base.h>

WEFT_BEGIN

/* A value type: WEFT_RWLOCK_INIT, zeroed memory or weft_rwlock_init makes it ready. It needs no
 * destruction, but must not move or go away while it is locked or waited for. */
typedef struct weft_rwlock {
    uint64_t reserved[8];
} weft_rwlock;

// clang-format off
#define WEFT_RWLOCK_INIT {{0}}
// clang-format on

/* Returns 0 or -EINVAL. */
WEFT_API int weft_rwlock_init(weft_rwlock *rwlock);

/* Locks it for reading, together with other readers.
 *
 * returns  0; -ECANCELED, not locked; -EDEADLK when the caller has it for writing; -EPERM; -EINVAL;
 *          -EAGAIN when 2^26 - 1 readers have it
 * context  fiber only; await point; does not suspend when no writer has it or waits for it. A reader that
 *          locks it for reading again may wait for a writer that waits for the reader: don't */
WEFT_API WEFT_NODISCARD int weft_rwlock_read_lock(weft_rwlock *rwlock);

/* Locks it for writing, alone.
 *
 * returns  0; -ECANCELED, not locked; -EDEADLK when the caller has it for writing; -EPERM; -EINVAL
 * context  fiber only; await point; does not suspend when nobody has it or waits for it. A task that has it
 *          for reading waits for itself, which nobody notices */
WEFT_API WEFT_NODISCARD int weft_rwlock_write_lock(weft_rwlock *rwlock);

/* If they needn't wait. Return 0, -EBUSY, -EPERM, -EINVAL. Fiber only; never switch; observe no
 * cancellation. */
WEFT_API WEFT_NODISCARD int weft_rwlock_try_read_lock(weft_rwlock *rwlock);
WEFT_API WEFT_NODISCARD int weft_rwlock_try_write_lock(weft_rwlock *rwlock);

/* Ends one reading or the writing, whichever it is locked for; who calls is not checked. While a task has it
 * for writing that has ended, a later one, of any runtime, may be taken for it and get -EDEADLK. Returns 0,
 * -EPERM (not locked), -EINVAL. Any thread, not a signal handler; never switches. */
WEFT_API int weft_rwlock_unlock(weft_rwlock *rwlock);

/* 0 when nobody has it or waits for it, else -EBUSY. Any thread. */
WEFT_API int weft_rwlock_destroy(weft_rwlock *rwlock);

WEFT_END

#endif
