// SPDX-License-Identifier: MIT
/* task.h - spawning, joining, cancelling and looking at tasks.
 *
 * A task lives while somebody holds a handle to it, a group owns it, or it was detached. When the
 * last handle of an unfinished task is dropped, the task is cancelled and its clean-up runs.
 */
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <weft/base.h>

WEFT_BEGIN

/* Options of one spawn. Zero means the default throughout. */
typedef struct weft_spawn_options {
    size_t size;        /* sizeof(weft_spawn_options), or 0 for the fields listed here */
    const char *name;   /* copied; at most 63 bytes are kept */
    size_t stack_bytes; /* stack promised to the task; 0 = the runtime's stack_bytes */
    bool pinned;        /* never leaves the worker that it starts on */
    /* Called once, on a worker, if fn never ran: the task then owned arg. Not after a failed spawn. */
    void (*drop_arg)(void *arg);
    /* Called once with a value (not an error) that nobody took; also with one that was returned in a
     * task that ended cancelled all the same. Taken is what a join, a gather or weft_task_result has
     * written to the caller; joining with a NULL result takes nothing. */
    void (*drop_result)(intptr_t result);
    /* The values (local.h) that the task starts with, borrowed for the call; NULL = a copy of the
     * spawner's. */
    struct weft_context *context;
} weft_spawn_options;

/* Queues a new task; it never runs inside this call. First runs are in spawn order on one worker, but
 * a task that is awaited before it has started runs then, and so does a child when its group closes.
 *
 * task     receives a handle; NULL detaches the task: the runtime owns it
 * fn, arg  what runs; arg stays the caller's when the spawn fails
 * returns  0; -EINVAL (fn is NULL, bad option); -ENOMEM; -ESHUTDOWN (the runtime is stopping)
 * context  fibers and callbacks (-EPERM elsewhere: see weft_runtime_submit); never switches */
#define weft_spawn(task, fn, arg) weft_spawn_at(WEFT_SITE, (task), (fn), (arg), NULL)

/* The same with options: weft_spawn_with(&task, fn, arg, &options). */
#define weft_spawn_with(...) weft_spawn_at(WEFT_SITE, __VA_ARGS__)

/* What both of them call; `site` must outlive the task. */
WEFT_API WEFT_NODISCARD int weft_spawn_at(const char *site, weft_task **task, weft_fn *fn,
                                          void *arg, const weft_spawn_options *options);

/* Waits until `task` has ended and drops the handle.
 *
 * result   what became of the task: its value, its error, or -ECANCELED; may be NULL
 * returns  what became of me: 0; -ECANCELED when a cancellation of the caller was handed on to the
 *          task and the task ended cancelled. Both consume the handle. -EDEADLK (oneself, or the
 *          join that closes a cycle; one of more than a thousand waits may go unseen), -EPERM,
 *          -EINVAL keep it
 * cancel   handed on to the task while it is unfinished; this call returns only after it has ended,
 *          so the task may borrow the caller's frame
 * context  fiber only; await point; does not suspend when the task has ended. A task that has not started
 *          runs inside this call, on the caller's stack, if that has room for what a task is promised;
 *          not one that is pinned, has stack_bytes of its own, or was submitted by a plain thread */
WEFT_API WEFT_NODISCARD int weft_await(weft_task *task, intptr_t *result);

/* weft_await without dropping: any number of tasks may join, any number of times. */
WEFT_API WEFT_NODISCARD int weft_join(weft_task *task, intptr_t *result);

/* weft_join that keeps the caller's cancellation to the caller: returns -ECANCELED at once, leaves the
 * task alone and *result unwritten. */
WEFT_API WEFT_NODISCARD int weft_join_shielded(weft_task *task, intptr_t *result);

/* Blocks a plain thread until `task` has ended; borrows the handle; cancels nothing.
 *
 * delay_ns  how long to wait; 0 or less only looks
 * returns   0; -ETIMEDOUT; -EDEADLK (called from a worker, of whatever runtime); -EINVAL
 * context   plain threads */
WEFT_API WEFT_NODISCARD int weft_thread_join(weft_task *task, int64_t delay_ns, intptr_t *result);

/* One more handle. Returns `task`; NULL for NULL, and in a task that asks for itself after its last
 * handle was dropped. Any thread that holds a handle; never switches. */
WEFT_API weft_task *weft_retain(weft_task *task);

/* Gives up one handle; NULL is allowed. The last one of an unfinished task cancels it and tells the
 * diagnostics hook. Any thread; never switches; observes nothing. */
WEFT_API void weft_drop(weft_task *task);
WEFT_API void weft_drop_all(weft_task *const *tasks, size_t count);

/* Hands one's handle to the runtime: the task goes on by itself. Returns 0 or -EINVAL. Any thread;
 * never switches. */
WEFT_API int weft_detach(weft_task *task);

/* Requests cancellation: the task's current or next await point returns -ECANCELED.
 *
 * returns  1 accepted; 0 the task had ended (nothing changes, an unseen error counts as seen);
 *          -EINVAL; -EOVERFLOW (a million requests not withdrawn)
 * context  any thread, not a signal handler; never switches */
WEFT_API int weft_cancel(weft_task *task);

/* Why a task is cancelled: a small number of the caller's, 1 to 32767, or one of these. */
enum {
    WEFT_CAUSE_NONE = 0,       /* weft_cancel, or never cancelled */
    WEFT_CAUSE_SHUTDOWN = -1,  /* the runtime stops */
    WEFT_CAUSE_TIMEOUT = -2,   /* a timeout around it, or the bound of a shield */
    WEFT_CAUSE_GROUP = -3,     /* its group was cancelled or a sibling failed */
    WEFT_CAUSE_HANGUP = -4,    /* the peer of a watch scope is gone */
    WEFT_CAUSE_DROPPED = -5,   /* its last handle was dropped */
    WEFT_CAUSE_INTERRUPT = -6, /* SIGINT */
};

/* weft_cancel with a cause, which goes along where the request is handed on. -EINVAL: not 0 to 32767. */
WEFT_API int weft_cancel_with(weft_task *task, int cause);

/* The cause of the latest request to the calling task, of requests that come together any one's;
 * WEFT_CAUSE_NONE outside a fiber. Meant to be asked when -ECANCELED comes. Never switches. */
WEFT_API int weft_cancel_cause(void);

/* Takes one request back. Returns how many remain, or -EINVAL; at 0 an undelivered request is withdrawn.
 * A wait that was ended for it stays ended. Any thread; never switches. */
WEFT_API int weft_uncancel(weft_task *task);

/* Requests made and not taken back, delivered or not; -EINVAL. Any thread. */
WEFT_API int weft_cancelling(weft_task *task);

/* The task that calls, borrowed; NULL outside a fiber. Never switches. */
WEFT_API weft_task *weft_self(void);

typedef enum weft_state { WEFT_PENDING, WEFT_OK, WEFT_ERROR, WEFT_CANCELLED } weft_state;

/* Advisory while pending; final otherwise. WEFT_PENDING for NULL. Any thread. */
WEFT_API weft_state weft_task_state(weft_task *task);

/* The outcome of a finished task: value, error or -ECANCELED. Returns 0, -EAGAIN (unfinished) or
 * -EINVAL. Counts as having looked at the error. Any thread. */
WEFT_API WEFT_NODISCARD int weft_task_result(weft_task *task, intptr_t *result);

/* What fn returned, even where the outcome is CANCELLED: a descriptor or pointer in it is then the
 * caller's, and drop_result is not called. Counts as having looked at the error.
 * Returns 0, -EAGAIN (unfinished), -ENODATA (fn never ran) or -EINVAL. Any thread. */
WEFT_API WEFT_NODISCARD int weft_task_raw_result(weft_task *task, intptr_t *raw);

/* Unique in its runtime, never 0 but for NULL. Any thread. */
WEFT_API uint64_t weft_task_id(weft_task *task);

/* The name given at spawn, or "", also for NULL. Valid while the caller holds a handle. Any thread. */
WEFT_API const char *weft_task_name(weft_task *task);

/* Where it was spawned, as "file.c:12"; "main" for the main task, "" for NULL. As above. */
WEFT_API const char *weft_task_site(weft_task *task);

/* Calls fn(task, arg) once: on a worker when the task ends, or at once by the caller if it has ended.
 * fn must not block, and can't wait: calls that would are -EPERM there. It may spawn, set, put and cancel.
 * Returns 0, -ENOMEM or -EINVAL. Any thread. */
WEFT_API WEFT_NODISCARD int weft_on_done(weft_task *task, void (*fn)(weft_task *, void *),
                                         void *arg);

/* A weak handle: keeps nothing alive. Valid as long as its runtime. {0} is never upgraded. */
typedef struct weft_weak {
    weft_task *slot;
    uint64_t id;
} weft_weak;

/* {0} for NULL. Any thread that holds a handle. */
WEFT_API weft_weak weft_weak_of(weft_task *task);

/* A new handle, to be dropped; NULL once the last handle of the task is gone. Any thread. Some nanoseconds, or
 * 20 us where workers are spawning and awaiting at the same time. */
WEFT_API WEFT_NODISCARD weft_task *weft_upgrade(weft_weak weak);

/* A snapshot of the unfinished tasks, ordered by id. Owns and allocates nothing.
 *
 * runtime  NULL = the caller's own
 * returns  how many there were (maybe more than `cap`, of which the first in order are written);
 *          -EPERM (runtime NULL outside a fiber), -EINVAL
 * context  any thread while the runtime lives; never switches */
WEFT_API int64_t weft_tasks(weft_runtime *runtime, weft_weak *out, size_t cap);

WEFT_END

#endif
