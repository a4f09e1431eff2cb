// SPDX-License-Identifier: MIT
/* process.h - other programs as await points: starting, waiting for, ending them.
 *
 *     weft_process child;
 *     char *argv[] = {"sort", "-u", NULL};
 *     weft_process_options options = {.input = WEFT_PROCESS_PIPE, .output = WEFT_PROCESS_PIPE};
 *     int rc = weft_process_spawn(&child, argv, &options);
 *     if (rc == 0) {
 *         rc = talk(child.input, child.output);
 *         rc = weft_process_close(&child, rc);      on every path: ends it if need be, no zombie stays
 *     }
 *
 * A process is held by a descriptor of its own, so that a signal never meets another one that got its
 * number, and nothing is installed for SIGCHLD. A program that ignores SIGCHLD, or waits for all children
 * itself, takes the status away: -ECHILD. Linux 5.4 or later.
 */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <weft/base.h>

WEFT_BEGIN

/* Lives with the caller from spawn to close, and is not moved. */
typedef struct weft_process {
    int pid;

    /* Our ends of its pipes: plain descriptors, O_NONBLOCK and closed on exec; -1: no pipe. Whoever closes
     * one, or gives it away (to a stream), stores -1. */
    int input;  /* what is written here it reads */
    int output; /* what it writes */
    int error;

    uint64_t reserved[8];
} weft_process;

/* What its standard input, output and error are. Numbers above 0: that descriptor of ours. */
enum {
    WEFT_PROCESS_INHERIT = 0,
    WEFT_PROCESS_NULL = -1,   /* the null device */
    WEFT_PROCESS_PIPE = -2,   /* a pipe to us */
    WEFT_PROCESS_OUTPUT = -3, /* of the error alone: wherever the output goes */
};

enum {
    WEFT_PROCESS_GROUP = 1, /* it leads a process group of its own, and what ends it ends that */
    WEFT_PROCESS_KEEP_DESCRIPTORS =
        2, /* it inherits descriptors from 3 on that are not closed on exec */
};

typedef struct weft_process_options {
    size_t size; /* sizeof(weft_process_options), or 0 for the fields listed here */
    int input;
    int output;
    int error;
    unsigned flags;
    char *const *environment; /* NULL: ours */
    const char *directory;    /* where it begins; NULL: where we are */
    int64_t grace_ns;         /* between asking it to end and killing it; 0: 5 seconds; < 0: none */
} weft_process_options;

/* Starts a program.
 *
 * argv     ends with NULL; argv[0] is looked for in PATH unless it has a slash, and is relative to
 *          options->directory then
 * options  NULL: all inherited
 * returns  0; -EINVAL; -EBADF; what stood in the way of executing it (-ENOENT, -EACCES, -E2BIG, ...);
 *          -EMFILE, -ENOMEM, -EAGAIN; -ENOSYS (no descriptors for processes); -ENOTSUP (simulation); -ECANCELED:
 *          it was not started. In all these cases nothing is left and there is nothing to close
 * context  fiber only; await point, for another thread does it. Its signal mask is the calling thread's */
WEFT_API WEFT_NODISCARD int weft_process_spawn(weft_process *process, char *const argv[],
                                               const weft_process_options *options);

/* Waits until it has ended; *status is then as waitpid's (WIFEXITED, WEXITSTATUS, ...), and may be NULL. Any
 * number of tasks, any number of times, also after closing it. Returns 0; -ECANCELED (the process goes on);
 * -ECHILD (somebody else has taken the status); -ENOMEM; -EINVAL. Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_process_wait(weft_process *process, int *status);

/* Sends it a signal, or its group with WEFT_PROCESS_GROUP. 0; -ESRCH: it has ended; -EINVAL; -EPERM.
 * Any thread; no await point. */
WEFT_API int weft_process_signal(weft_process *process, int number);

/* Closes the pipes that are left, and ends the process if it has not ended: SIGTERM, and SIGKILL after the
 * grace. Waits until it is gone, whatever requests there are or come: they stay for the next await point.
 * Returns `rc`; -EINVAL: it was closed before; -EPERM. Fiber only; suspends. No other task may be in a call on it. */
WEFT_API WEFT_NODISCARD int weft_process_close(weft_process *process, int rc);

/* All in one, without pipes: starts it, waits for it, and ends it when the wait is cancelled. Returns 0 with
 * *status, or as the calls above. */
WEFT_API WEFT_NODISCARD int weft_process_run(char *const argv[],
                                             const weft_process_options *options, int *status);

WEFT_END

#endif
