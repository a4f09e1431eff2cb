// SPDX-License-Identifier: MIT
/* harness.h - what every benchmark is made of: cases, repetitions, peers.
 *
 * What: a benchmark is a table of cases. The harness repeats each case, takes the median and the
 *       spread, and prints a table, or JSON. A case is compared with functions of the same process, which
 *       it names, and with all programs in the folder of peers that know a case of its name. Ours
 *       and theirs take turns, so that whatever changes the machine's speed during the run changes
 *       both, and the ratio is taken pair by pair.
 * Why this way: a runtime lives for all repetitions of a case, so that what is measured is the
 *       steady state and no body needs a warm-up of its own; where the first time is the question,
 *       the case is BENCH_FRESH or BENCH_ISOLATED.
 * Threads: the harness is single-threaded between repetitions. A body runs as a task of the runtime
 *       and has its struct bench to itself.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <weft.h>

enum {
    BENCH_PEERS = 4,
    BENCH_METRICS = 10,
};

struct bench_metric {
    const char *name; /* "" is the main one */
    const char *unit;
    double value;
};

/* One repetition of one side of a case. */
struct bench {
    /* The harness sets them, the body reads them. */
    const char *name;
    uint64_t operations;
    int workers;
    bool is_quick;
    bool is_warmup;
    const char *program; /* of a server case: the peer's path; NULL: it is a function */

    /* What the calls below record. */
    int64_t started_ns;
    int64_t elapsed_ns;
    uint64_t done; /* operations, if not as told */
    int metric_count;
    struct bench_metric metrics[BENCH_METRICS];
    char skipped[96]; /* why; "" if it was not */
};

typedef void bench_fn(struct bench *b);

/* What a case is compared with in the same process. */
struct bench_peer {
    const char *name;
    bench_fn *body;  /* a function of this process; runs on a plain thread unless in_runtime */
    bool in_runtime; /* the body is a task, as the case's own is */
    int workers;     /* 0: as many as the case; a body with as many is left out */
};

enum {
    BENCH_PLAIN = 1,    /* the body runs on the plain thread and starts its own runtime, if any */
    BENCH_FRESH = 2,    /* a new runtime for each repetition: the cold case */
    BENCH_ISOLATED = 4, /* each repetition in a process of its own: for memory and CPU time */
    BENCH_PINNED = 8,   /* the body's task never leaves its worker */
    BENCH_ONCE = 16,    /* no warm-up repetition: expensive, and measured cold anyway */
};

struct bench_case {
    const char *name;
    uint64_t operations;       /* per repetition */
    uint64_t quick_operations; /* with --quick; 0 = a tenth */
    uint64_t full_operations;  /* with --full; 0 = the same */
    bench_fn *body;
    int workers;   /* 0: one row for each count of --workers */
    int reps_most; /* 0: as many as --reps says */
    unsigned flags;
    bench_fn *prepare; /* once for each row, before it, in the harness's process; may be NULL */
    const char *programs_as; /* what peer programs call the case; NULL: as we do */
    bench_fn *serve_program; /* starts b->program, a server, and measures it; NULL: programs measure
                              * themselves */
    struct bench_peer peers[BENCH_PEERS]; /* up to the first without a name */
};

/* Runs what the command line asks for. Returns what main returns. */
int bench_main(int argc, char **argv, const char *name, const struct bench_case *cases,
               size_t count);

/* A number given with --set NAME=NUMBER, else `otherwise`. */
double bench_setting(const char *name, double otherwise);

/* Records a figure beside, or instead of, the time per operation. `name` and `unit` are literals;
 * a name of "" makes it the main figure. */
void bench_report(struct bench *b, const char *name, const char *unit, double value);

/* The body can't run here: the repetition and the rest of its side are left out. */
void bench_skip(struct bench *b, const char *why);

/* Ends the program with a message unless `ok`. */
void bench_require(struct bench *b, bool ok, const char *what);

/* Value at `share` (0 to 1) of `count` sorted numbers, interpolated. */
double bench_quantile(const double *sorted, size_t count, double share);
void bench_sort(double *values, size_t count);

/* Runs on the spot, the same number of instructions each time: about `ns` on this machine. */
void bench_spin(int64_t ns);

/* "VmRSS", "MemAvailable" and the like, in bytes, from a file of /proc; 0 if it is not there. */
uint64_t bench_proc_bytes(const char *file, const char *field);

static inline int64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The timed part of a body; may be several, which add up. Without any, only reported figures count. */
static inline void bench_start(struct bench *b)
{
    b->started_ns = bench_now_ns();
}

static inline void bench_stop(struct bench *b)
{
    b->elapsed_ns += bench_now_ns() - b->started_ns;
}

#endif
