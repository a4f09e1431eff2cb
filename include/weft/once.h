// SPDX-License-Identifier: MIT
/* once.h - what only the first does, and all wait for. */
#ifndef WEFT_ONCE_H
#define WEFT_ONCE_H

#include <weft/base.h>

WEFT_BEGIN

/* A value type: WEFT_ONCE_INIT or zeroed memory makes it ready. It needs no destruction, but must not
 * move or go away while a task is in weft_once_run. */
typedef struct weft_once {
    uint64_t reserved[4];
} weft_once;

// clang-format off
#define WEFT_ONCE_INIT {{0}}
// clang-format on

/* Calls fn(arg) if that was never done with success; waits while another task does. fn may await.
 *
 * fn       returns 0, or a negative errno: then it is as if it had not been called, the caller gets the
 *          error, and the next task that waits or comes calls it
 * returns  0 when it has been done, by whomever; fn's error; -ECANCELED when the caller was cancelled
 *          before, or while another task is at it; -EDEADLK from within fn; -EPERM; -EINVAL
 * context  fiber only; await point; does not suspend when it has been done */
WEFT_API WEFT_NODISCARD int weft_once_run(weft_once *once, int (*fn)(void *arg), void *arg);

/* It was called with success; false for NULL. Any thread. */
WEFT_API bool weft_once_is_done(const weft_once *once);

WEFT_END

#endif
