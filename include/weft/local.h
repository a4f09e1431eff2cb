// SPDX-License-Identifier: MIT
/* local.h - values that a task passes on to the tasks it spawns: request ids, loggers, credentials.
 *
 *     static weft_local request_id = WEFT_LOCAL_INIT("request id", NULL);
 *     rc = weft_local_set(&request_id, id);
 *     ... weft_local_get(&request_id) ...        here, and in every task spawned from here on
 *
 * A task's values are copied when it is spawned: later changes on either side are not seen by the other.
 * The copy is one reference; a task whose spawner has no values pays nothing. A call on the blocking pool
 * and a weft_on_done callback see the values of the moment at which they were made.
 *
 * Each value that was set is dropped once, when the last context with it goes: a task's own goes after fn
 * has returned and before anybody can see that the task has ended.
 */
#ifndef WEFT_LOCAL_H
#define WEFT_LOCAL_H

#include <weft/base.h>

WEFT_BEGIN

/* One name for a value. Its address is the key, so it must not move or go away while tasks live. */
typedef struct weft_local {
    const char *name; /* for reports; may be NULL */
    /* Called once when nobody can see the value any more, by whoever gives up the last context: the
     * task that sets another value, a worker at a task's end, a thread of the pool, the caller of
     * weft_context_drop. Must neither await nor block. May be NULL. */
    void (*drop)(void *value);
    uint64_t reserved[2];
} weft_local;

// clang-format off
#define WEFT_LOCAL_INIT(name, drop) {(name), (drop), {0}}
// clang-format on

/* Sets the calling task's value; NULL removes it. The one before is dropped unless other tasks still see
 * it, also when it is the same pointer. On failure the value stays the caller's.
 * Returns 0, -ENOMEM, -EINVAL, -EPERM (also in weft_on_done callbacks). Fiber only; never switches. */
WEFT_API WEFT_NODISCARD int weft_local_set(weft_local *local, void *value);

/* The calling task's value, NULL if it has none, or outside of tasks, their blocking calls and their
 * callbacks. Never switches. */
WEFT_API void *weft_local_get(const weft_local *local);

/* The values of one moment, to spawn with (weft_spawn_options.context). Any thread may drop it. */
typedef struct weft_context weft_context;

/* What weft_local_get sees here, as it is. NULL for no values. Never switches. */
WEFT_API weft_context *weft_context_capture(void);

/* Gives one up; NULL is allowed. */
WEFT_API void weft_context_drop(weft_context *context);

WEFT_END

#endif
