// SPDX-License-Identifier: MIT
/* group.h - a group of tasks that ends together with the block that opened it.
 *
 *     weft_group group;
 *     int rc = weft_group_open(&group, 0);
 *     if (rc == 0) {
 *         rc = weft_group_spawn(&group, NULL, fetch, &a, NULL);
 *         rc = (int)weft_group_close(&group, rc);
 *     }
 *
 * The first child that ends with an error aborts the group: the other children and the body are
 * cancelled. A child that ends cancelled is no failure. Closing waits for every child.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/base.h>
#include <weft/task.h>

WEFT_BEGIN

/* Lives in the frame of the task that opened it, until closed. */
typedef struct weft_group {
    uint64_t reserved[32];
} weft_group;

enum {
    /* For servers: a child's error is counted and told to the diagnostics hook, aborts nothing, and
     * finished children are released at once. */
    WEFT_GROUP_INDEPENDENT = 1,
    /* The memory was zeroed before: honour a weft_group_cancel that came before the opening. */
    WEFT_GROUP_ZEROED = 2,
};

/* Opens a group owned by the calling task. Returns 0, -EPERM, -EINVAL (NULL, unknown flag), -EBUSY
 * (already open). Fiber only; never switches. */
WEFT_API WEFT_NODISCARD int weft_group_open(weft_group *group, unsigned flags);

/* Spawns a child. weft_group_spawn(&group, &task or NULL, fn, arg, &options or NULL); a handle taken
 * through `task` is the caller's to drop, dropping it does not cancel: the group owns the child.
 *
 * returns  0; -ESHUTDOWN (aborting, draining or closed, or the runtime is stopping); -EINVAL (not open,
 *          as for weft_spawn); -ENOMEM; -EPERM. On failure fn is never called, arg stays the caller's
 * context  any fiber of the group's runtime (-EPERM elsewhere) while the group is open; never switches */
#define weft_group_spawn(...) weft_group_spawn_at(WEFT_SITE, __VA_ARGS__)
WEFT_API WEFT_NODISCARD int weft_group_spawn_at(const char *site, weft_group *group,
                                                weft_task **task, weft_fn *fn, void *arg,
                                                const weft_spawn_options *options);

/* Cancels the children and the body; closing then returns 0 rather than -ECANCELED. Idempotent.
 * On zeroed memory it takes effect when the group is opened with WEFT_GROUP_ZEROED. Any thread while
 * the group's memory is there. Returns 1; 0 when it had no effect (closed); -EINVAL. */
WEFT_API int weft_group_cancel(weft_group *group);

/* Refuses new children from here on, whatever it returns, and waits until there are none. Returns 0;
 * -ETIMEDOUT after `delay_ns` (0 or less only looks), with nothing cancelled; -ECANCELED (the children go on); -EPERM; -EINVAL
 * (not open in the calling task). The task that opened it; await point. */
WEFT_API WEFT_NODISCARD int weft_group_drain(weft_group *group, int64_t delay_ns);

/* Ends the group: with `rc` an error (the body failed or was cancelled) the children are cancelled
 * first. Waits for all children, whatever happens, and for the callbacks (weft_on_done) that were asked for
 * before their ends: when it returns they have run.
 *
 * rc       what the body ends with
 * returns  the first error recorded (children, body); else -ECANCELED when the body was cancelled
 *          or a request to the caller is left; else 0 for the group's own -ECANCELED; else rc. Errors
 *          of an independent group's children don't count. -EINVAL: not the innermost open scope;
 *          -EPERM
 * cancel   observed first, as if the body had ended with it; then the whole work is done: requests
 *          while waiting cancel the children once and are returned at the end
 * context  the task that opened it; await point, but one that always closes. Children that have not started
 *          run inside this call, the newest first, where weft_await would run them so (task.h) */
WEFT_API WEFT_NODISCARD intptr_t weft_group_close(weft_group *group, intptr_t rc);

/* The errors of a closed group in the order in which they were recorded: writes up to `cap` codes,
 * returns how many there are, or -EINVAL. Valid until the task that closed it closes another group with
 * errors, or ends. An independent group keeps no codes: it returns their number. That task; never switches. */
WEFT_API int weft_group_errors(const weft_group *group, int *codes, size_t cap);

WEFT_END

#endif
