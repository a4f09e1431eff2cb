// SPDX-License-Identifier: MIT
/* testing.h - for tests of programs that use weft: virtual time, simulated descriptors, and the cancel
 * sweep.
 *
 * A simulation (weft_options.simulate) runs on one thread, in virtual time, and draws every choice from
 * options.seed: the same seed gives the same run on any machine. Seed 0 makes no choices: one worker,
 * strict first in, first out, every transfer whole and at once. Not part of weft.h.
 *
 * The calls named weft_sim_ are for fibers of a simulation and for what weft_sim_after calls. In other
 * runtimes they return -ENOTSUP, on plain threads -EPERM. They never switch, and look for no cancellation.
 */
#ifndef WEFT_TESTING_H
#define WEFT_TESTING_H

#include <weft/runtime.h>

WEFT_BEGIN

/* ---- time and chance ---- */

/* Burns `duration_ns` of processor time: the virtual clock moves, nobody else runs.
 * Returns 0, -EINVAL (negative), -ENOTSUP, -EPERM. */
WEFT_API int weft_sim_advance(int64_t duration_ns);

/* Calls fn(arg) from the scheduler in `delay_ns` from now, with no task running: as an event from
 * outside. fn must not await; setting futures and cancelling tasks are what it is for. Calls still to
 * come when the run ends are never made. With seed 0 a negative delay gives the call its place behind
 * what is ready now, as a task that is woken has; 0 makes it a timer, which comes after that.
 * Returns 0, -EINVAL, -ENOMEM, -ENOTSUP, -EPERM. */
WEFT_API WEFT_NODISCARD int weft_sim_after(int64_t delay_ns, void (*fn)(void *arg), void *arg);

/* What SIGINT does with options.sigint: the first cancels main, the second cancels all that is left and
 * waits for it; weft_run returns -EINTR. Returns 0, -ENOTSUP (also without options.sigint), -EPERM. */
WEFT_API int weft_sim_interrupt(void);

/* The next number drawn from the seed, for a test's own choices: below `bound`, 0 for a bound of 0.
 * Seed 0 counts up from 0. 0 outside a simulation. */
WEFT_API uint64_t weft_sim_random(uint64_t bound);

/* ---- simulated descriptors ----
 *
 * Numbers that no real descriptor has; weft_read, weft_write, weft_recv, weft_send, weft_accept,
 * weft_connect, weft_wait_fd, weft_watch_enter and weft_close take them like others. With a seed,
 * transfers are cut short, come late, and connections are reset now and then; a cancellation may meet a
 * transfer that can't be stopped any more, which then wins. Those not closed when the run ends are
 * closed then. A number is never used twice. A peer that closes has hung up; that of a connection made
 * by weft_connect is first seen as closing its sending side, and hangs up when it is written to. Flags:
 * weft_recv and weft_send know MSG_PEEK, ignore those that change nothing here (MSG_DONTWAIT,
 * MSG_NOSIGNAL, MSG_WAITALL, MSG_MORE), and refuse others: -EOPNOTSUPP. */

/* A pipe: fds[0] is read, fds[1] written. Never reset. Returns 0, -EINVAL, -ENOMEM, -ENOTSUP, -EPERM. */
WEFT_API WEFT_NODISCARD int weft_sim_pipe(int fds[2]);

/* Two connected stream sockets. As above. */
WEFT_API WEFT_NODISCARD int weft_sim_socketpair(int fds[2]);

/* A stream socket that listens on `port` of the simulation, for weft_accept. Returns the descriptor,
 * -EADDRINUSE, -EINVAL (port 0), or as above. */
WEFT_API WEFT_NODISCARD int weft_sim_listen(uint16_t port);

/* A stream socket to be connected: weft_connect with an AF_INET address, of which only the port counts;
 * that is -ECONNREFUSED where nobody listens. Returns the descriptor, or as above. */
WEFT_API WEFT_NODISCARD int weft_sim_socket(void);

/* How unkind the simulated world is from now on. Each is a chance in 1000; a delay is drawn evenly from
 * 0 to its bound. Defaults for seeds other than 0: 250, 250, 1 ms, 2, 250. Seed 0 has no
 * faults, whatever is set. Accepting and connecting may be late too, and late_ns also bounds what
 * weft_blocking waits. */
typedef struct weft_sim_faults {
    size_t size;         /* sizeof(weft_sim_faults), or 0 for the fields listed here */
    int short_transfers; /* a transfer moves only a part */
    int late;            /* a transfer takes time, up to late_ns */
    int64_t late_ns;
    int resets;       /* a transfer meets a reset: -ECONNRESET, sockets only */
    int late_cancels; /* a cancellation of a waiting transfer can't stop it any more */
} weft_sim_faults;

/* Returns 0, -EINVAL (a chance outside 0 to 1000, a negative late_ns), -ENOTSUP, -EPERM. */
WEFT_API int weft_sim_set_faults(const weft_sim_faults *faults);

/* ---- the cancel sweep ----
 *
 * Runs a function again and again in simulations of one seed, each time with one cancellation at another
 * of its await points, and looks for what the function then leaves behind. What survives the sweep
 * cleans up wherever it is cancelled.
 *
 * A point is one call of an await point, or of weft_checkpoint, by any task of the run, also one that
 * does not suspend; a call that suspends several times is one point. Points are numbered in the order in
 * which the run comes to them. The first run may fill caches of the program; the second one is what all
 * others are compared with. What is left without any cancellation is told once, with point 0; from then on
 * only what is more than that.
 *
 * A mutex left locked or a permit not given back is found as the hang of those who ask for it; where nobody
 * does, nothing tells: let the function ask again before it ends. A scope or group left open ends the
 * process, as everywhere. */

typedef enum weft_sweep_moment {
    WEFT_SWEEP_NEVER, /* no cancellation: the run that counts the points */
    WEFT_SWEEP_ENTRY, /* before the call: it does nothing and returns -ECANCELED, or hands it on */
    WEFT_SWEEP_WAITING, /* once the call has suspended */
    WEFT_SWEEP_GRANTED, /* in the instant after the grant: the call succeeds, the next one is cancelled */
} weft_sweep_moment;

typedef enum weft_sweep_finding {
    WEFT_SWEEP_TASK,       /* a task that was not detached was unfinished when the function ended */
    WEFT_SWEEP_HANDLE,     /* a handle was never dropped */
    WEFT_SWEEP_TIMER,      /* a timer was still armed when the run had ended */
    WEFT_SWEEP_DESCRIPTOR, /* a descriptor, real or simulated, was left open */
    WEFT_SWEEP_HEAP,       /* the hook says that memory was left */
    WEFT_SWEEP_HANG, /* the run could not end: a deadlock, or a hundred times as many turns as without a
                      * cancellation. What else it leaves is not told */
    WEFT_SWEEP_ASTRAY, /* the run did not reach the point that it reached before: choices were made
                            * outside the seed */
} weft_sweep_finding;

/* One thing found. Valid during the call of the hook. */
typedef struct weft_sweep_leak {
    weft_sweep_finding finding;
    weft_sweep_moment moment;
    uint64_t point; /* await point, from 1; 0: without any cancellation */
    int64_t amount; /* how many; bytes or whatever the heap hook counts */
    /* Where the leaked task was spawned, or else the task at that point: "file.c:12"; "main" */
    const char *site;
    const char *text; /* one line for people: the point, its task and call, what was left */
} weft_sweep_leak;

/* Zero means the default throughout. */
typedef struct weft_sweep_options {
    size_t size; /* sizeof(weft_sweep_options), or 0 for the fields listed here */
    uint64_t seed;
    bool main_only; /* only the function's own await points, not those of tasks that it spawns */
    uint64_t max_points; /* 0 = 10,000: of more, as many are chosen evenly */
    /* How much memory is in use: a counter of the program's allocator. */
    int64_t (*heap)(void *arg);
    void *heap_arg;
    /* Told what is found, once for each kind and site of a run; NULL prints a line on standard error.
     * Between the runs, on the calling thread. */
    void (*found)(const weft_sweep_leak *leak, void *arg);
    void *found_arg;
    size_t stack_bytes; /* for the runs, as in weft_options */
    /* The runs' own diagnostics, as in weft_options; NULL: they are not shown. */
    void (*diagnostic)(const weft_diagnostic *what, void *arg);
    void *diagnostic_arg;
} weft_sweep_options;

typedef struct weft_sweep_report {
    size_t size;        /* set by the caller, as in weft_stats_t */
    uint64_t points;    /* await points of the function */
    uint64_t runs;      /* runs made */
    uint64_t findings;  /* calls of `found` */
    uint64_t delivered; /* runs in which the cancellation was delivered */
    uint64_t swallowed; /* of them, runs in which the function ended with a value all the same */
} weft_sweep_report;

/* Sweeps fn(arg), which must do the same in every run: it is called twice, and then two or three times
 * for each of its await points. What outlives a run, such as a static future, it makes anew: a run that
 * hangs leaves it with waiters that are gone.
 *
 * report   may be NULL
 * returns  how many findings (0: clean); -EINVAL; -EPERM inside a fiber; -ENOMEM and what else weft_run
 *          returns when it can't start
 * context  plain threads; blocks */
WEFT_API WEFT_NODISCARD int64_t weft_cancel_sweep(weft_fn *fn, void *arg,
                                                  const weft_sweep_options *options,
                                                  weft_sweep_report *report);

WEFT_END

#endif
