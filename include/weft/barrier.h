// SPDX-License-Identifier: MIT
/* barrier.h - tasks wait for each other until a number of them is there, again and again. */
#ifndef WEFT_BARRIER_H
#define WEFT_BARRIER_H

#include <weft/base.h>

WEFT_BEGIN

/* A value type, made ready by WEFT_BARRIER_INIT(parties) or weft_barrier_init. It needs no destruction, but
 * must not move or go away while it is waited for: in a simulation with seed 0 until all have returned. */
typedef struct weft_barrier {
    uint64_t reserved[8];
} weft_barrier;

// clang-format off
#define WEFT_BARRIER_INIT(parties) {{WEFT_CAST_(uint64_t, parties)}}
// clang-format on

/* Returns 0 or -EINVAL (NULL, no parties, more than INT_MAX). */
WEFT_API int weft_barrier_init(weft_barrier *barrier, uint32_t parties);

/* Waits until `parties` tasks wait; the last one does not suspend and lets all through. In a simulation with
 * seed 0 the next round begins when all have returned, and whoever comes before that waits for it.
 *
 * returns  how many were there before the caller, from 0; -ECANCELED: the caller has left, the others go on
 *          waiting (or are through, if the last one came at that very moment); -EPIPE when the barrier is
 *          broken or was reset meanwhile; -EPERM; -EINVAL
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD int weft_barrier_wait(weft_barrier *barrier);

/* Sends those who wait away with -EPIPE; the barrier is empty and whole. Returns 0 or -EINVAL. Any thread,
 * not a signal handler; never switches. */
WEFT_API int weft_barrier_reset(weft_barrier *barrier);

/* Breaks it: those who wait and who come get -EPIPE, until it is reset. As above. */
WEFT_API int weft_barrier_abort(weft_barrier *barrier);

/* How many wait; 0 for NULL. Any thread. */
WEFT_API uint32_t weft_barrier_waiting(const weft_barrier *barrier);

/* By weft_barrier_abort, and not reset since; false for NULL. Any thread. */
WEFT_API bool weft_barrier_is_broken(const weft_barrier *barrier);

/* 0 when nobody waits for it, else -EBUSY. Any thread. */
WEFT_API int weft_barrier_destroy(weft_barrier *barrier);

WEFT_END

#endif
