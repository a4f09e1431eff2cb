// SPDX-License-Identifier: MIT
/* base.h - results, time and the words that every weft header uses.
 *
 * Results. A task function returns intptr_t. What lies in [-4095, -1] is a negative errno, anything
 * else is a value or a pointer. Every call that can fail returns a negative errno; errno itself is
 * never set, and it is not kept across await points.
 *
 * Words in the comments that follow:
 *   any thread      may be called from a fiber and from a plain thread
 *   fiber only      -EPERM from a plain thread
 *   await point     may suspend the fiber; looks for an undelivered cancellation first and then
 *                   returns -ECANCELED with nothing done (join-like calls hand it on instead). Only
 *                   misuse that the arguments show is told before that, and leaves the cancellation
 *                   undelivered. Where nothing makes it wait it lets others run after 128 such calls
 *                   in a row
 *   never switches  returns on the same worker, without letting another fiber run
 *   borrows         the caller keeps the handle;  consumes: the handle is gone afterwards
 * A NULL where something is needed is -EINVAL. In a forked child every call on a runtime of the parent
 * returns -ECHILD.
 */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WEFT_BEGIN extern "C" {
#define WEFT_END }
#else
#define WEFT_BEGIN
#define WEFT_END
#endif

/* In macros, where -Wold-style-cast looks as well. */
#ifdef __cplusplus
#define WEFT_CAST_(type, value) static_cast<type>(value)
#else
#define WEFT_CAST_(type, value) ((type)(value))
#endif

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_NODISCARD __attribute__((warn_unused_result))

/* The place of a call, as "file.c:12": kept for reports, never copied. */
#define WEFT_SITE_STRING_(line) #line
#define WEFT_SITE_LINE_(line) WEFT_SITE_STRING_(line)
#define WEFT_SITE __FILE__ ":" WEFT_SITE_LINE_(__LINE__)

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0

/* Time is int64_t nanoseconds: a delay is relative, a deadline is absolute on the runtime's
 * monotonic clock (weft_now). WEFT_FOREVER as either means no limit. */
#define WEFT_FOREVER INT64_MAX
#define WEFT_US INT64_C(1000)
#define WEFT_MS INT64_C(1000000)
#define WEFT_S INT64_C(1000000000)

/* A task. Opaque; a pointer to one is a handle. */
typedef struct weft_task weft_task;

/* The workers, timers and tasks of one weft_run or weft_runtime_start. */
typedef struct weft_runtime weft_runtime;

/* What a task runs. See "Results" above for what it returns. */
typedef intptr_t weft_fn(void *arg);

/* True when `result` is a negative errno rather than a value. */
static inline bool weft_is_error(intptr_t result)
{
    return result < 0 && result >= -4095;
}

#endif
