// SPDX-License-Identifier: MIT
/* runtime.h - starting and stopping: the workers that run tasks.
 *
 *     intptr_t app(void *arg) { ... }
 *     int main(void) { return (int)weft_run(app, NULL, NULL); }
 */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/base.h>
#include <weft/task.h>

WEFT_BEGIN

typedef enum weft_io_backend {
    WEFT_IO_AUTO,
    WEFT_IO_EPOLL,
    WEFT_IO_URING, /* or do not start: -ENOSYS where the kernel has none or lets us have none */
} weft_io_backend;

typedef enum weft_diagnostic_kind {
    WEFT_DIAG_ERROR_NEVER_RETRIEVED, /* a failed task's last handle was dropped, nobody looked */
    WEFT_DIAG_ERROR_AT_SHUTDOWN,     /* a leftover task failed while the runtime stopped */
    WEFT_DIAG_DROPPED_WHILE_PENDING, /* the last handle of an unfinished task was dropped */
    WEFT_DIAG_CANCEL_SWALLOWED,      /* told -ECANCELED, did not uncancel, ended with a value */
    WEFT_DIAG_GROUP_ERROR,           /* a child of an independent group failed */
    WEFT_DIAG_STUCK_WORKER,          /* a task has held its worker for long */
    WEFT_DIAG_LEFT_AT_SHUTDOWN,      /* still unfinished when the grace ended */
    WEFT_DIAG_DEADLOCK,              /* simulation: nothing can ever run again */
    WEFT_DIAG_CYCLE,                 /* after one of these two: tasks that wait for each other */
    WEFT_DIAG_LOCK_HELD, /* debug builds: a task is suspended while it holds a pthread mutex */
    WEFT_DIAG_MISUSE,    /* debug builds: a call on a lock or queue was refused as misuse (error) */
} weft_diagnostic_kind;

typedef struct weft_diagnostic {
    weft_diagnostic_kind kind;
    int error; /* negative errno where there is one */
    uint64_t task_id;
    const char *name; /* "" if the task has none */
    const char *site; /* where it was spawned */
    const char *text; /* one line for people */
} weft_diagnostic;

/* Options. Zero means the default throughout; NULL is all defaults. */
typedef struct weft_options {
    size_t size; /* sizeof(weft_options), or 0 for the fields listed here */
    int workers; /* 0: WEFT_WORKERS, else what affinity and cgroup quotas allow; at most 1024. In a
                  * simulation that many logical ones, 0: 4; with seed 0 always one. One
                  * spares its tasks locked instructions where these are dear; calls of plain
                  * threads that seldom come then wait for some microseconds */
    size_t stack_bytes; /* stack promised to a task; 0 = 64 KiB; up to 1 GiB */
    weft_io_backend
        io;        /* AUTO: what works best. WEFT_IO=epoll|uring in the environment overrides, and
                         * never fails: without io_uring it is epoll */
    bool pin;      /* each worker on a processor of its own */
    bool simulate; /* one thread, virtual time, nothing real: for tests */
    uint64_t seed; /* simulation: 0 = strict first in, first out */
    bool sigint;   /* weft_run: a SIGINT cancels main, a second one ends the run at once */
    int64_t shutdown_grace_ns; /* how long leftover tasks may clean up; 0 = as long as they like */
    /* Told what would otherwise go unseen. Any worker or thread may call it, it must neither await nor
     * block. NULL prints a line on standard error: of lines alike in kind, error and place of spawn ten a
     * second, and then how many others there were; of what is left at shutdown, deadlocks and cycles all. */
    void (*diagnostic)(const weft_diagnostic *what, void *arg);
    void *diagnostic_arg;
} weft_options;

/* Runs fn(arg) as the main task on a new runtime, whose first worker is the calling thread. When it
 * has ended, what is left over is cancelled and waited for.
 *
 * returns  main's value or error; -ECANCELED; -EINTR (interrupted, with options.sigint);
 *          -EDEADLK (a simulation in which nothing can ever run again: its tasks are not cleaned up);
 *          -EBUSY (something did not end within the grace: its memory is kept; or SIGINT is another
 *          runtime's);
 *          -EINVAL, -ENOMEM, -EAGAIN, -EMFILE, -ENOSYS (no io_uring) when it could not start;
 *          -EPERM from inside a fiber
 * context  plain threads; blocks */
WEFT_API WEFT_NODISCARD intptr_t weft_run(weft_fn *fn, void *arg, const weft_options *options);

/* Starts workers for a program that keeps its main thread. options.sigint does nothing here.
 * Returns 0; -EINVAL (also with options.simulate); -ENOMEM, -EAGAIN, -EMFILE, -ENOSYS as above. Any
 * thread. */
WEFT_API WEFT_NODISCARD int weft_runtime_start(weft_runtime **runtime, const weft_options *options);

/* Spawns from a plain thread: weft_runtime_submit(runtime, &task or NULL, fn, arg, &options or NULL). In
 * a fiber of the runtime it is weft_spawn.
 * Returns 0, -ESHUTDOWN, -ENOMEM, -EINVAL, -EPERM (a simulation, from outside). Any thread; never
 * switches. */
#define weft_runtime_submit(...) weft_runtime_submit_at(WEFT_SITE, __VA_ARGS__)
WEFT_API WEFT_NODISCARD int weft_runtime_submit_at(const char *site, weft_runtime *runtime,
                                                   weft_task **task, weft_fn *fn, void *arg,
                                                   const weft_spawn_options *options);

/* Refuses new tasks, cancels all, waits, ends the workers and frees everything: no handle of this
 * runtime may be used afterwards. Returns 0; -EBUSY (see weft_run: the runtime stays, call again);
 * -EALREADY while another thread stops it; -EDEADLK, and nothing has changed, from inside one of its fibers or
 * from a call on its blocking pool (weft_blocking), which it would wait for; -EINVAL for that of weft_run,
 * which ends by itself. Plain threads; blocks. */
WEFT_API WEFT_NODISCARD int weft_runtime_stop(weft_runtime *runtime);

/* The runtime of the calling fiber; NULL elsewhere. Never switches. */
WEFT_API weft_runtime *weft_runtime_current(void);

WEFT_END

#endif
