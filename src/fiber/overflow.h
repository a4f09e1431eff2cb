// SPDX-License-Identifier: MIT
/* overflow.h - a fiber that runs off its stack dies with its name on standard error.
 *
 * What: a handler for SIGSEGV and SIGBUS on an alternate stack. A fault in the guard of the fiber
 *       that runs is reported in one line; every fault then goes to whoever had the signal before,
 *       and by default ends the process by that very signal.
 * Threads: start and stop any thread; enter and leave the worker's own.
 */
#ifndef WF_FIBER_OVERFLOW_H
#define WF_FIBER_OVERFLOW_H

#include <signal.h>
#include <stddef.h>

#include "fiber/fiber.h"

/* Both are called in a signal handler: no locks, no allocation, no stdio. `current` is called on
 * whichever thread faults and must then find its thread-local without allocating it. */
struct wf_overflow_hooks {
    struct wf_fiber *(*current)(void); /* the fiber that runs on this thread, or NULL */
    /* Writes who runs on `f`, for example: task "conn-17" (#42), spawned at server.c:88 */
    void (*describe)(const struct wf_fiber *f, char *text, size_t size);
};

/* What a thread keeps while it reports overflows. */
struct wf_overflow_thread {
    stack_t former; /* what the thread had before */
    void *stack;    /* our mapping; NULL: not entered */
    size_t size;
};

/* Counted: the first start installs the handlers, the last stop restores what was there, unless
 * somebody has installed a handler over ours meanwhile. `hooks` must live for ever.
 * returns 0 or a negative errno. */
__attribute__((warn_unused_result)) int wf_overflow_start(const struct wf_overflow_hooks *hooks);
void wf_overflow_stop(void);

/* Gives the calling thread an alternate signal stack, and its former one back.
 * returns 0 or a negative errno. */
__attribute__((warn_unused_result)) int wf_overflow_enter_thread(struct wf_overflow_thread *thread);
void wf_overflow_leave_thread(struct wf_overflow_thread *thread);

#endif
