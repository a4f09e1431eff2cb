// SPDX-License-Identifier: MIT
/* harness_inside.h - what the harness's own files share: the run's options, rows, sides, series.
 *
 * Threads: as harness.h says, one at a time.
 */
#ifndef BENCH_HARNESS_INSIDE_H
#define BENCH_HARNESS_INSIDE_H

#include <sched.h>
#include <stdio.h>
#include <sys/types.h>

#include "harness.h"

enum {
    BENCH_MOST_WORKER_COUNTS = 16,
    BENCH_MOST_FILTERS = 16,
    BENCH_MOST_SETTINGS = 16,
    BENCH_MOST_PEERS = 16,
    BENCH_PROGRAMS = 8,
    BENCH_MOST_REPS = 1000,
    BENCH_EXIT_FAILED = 1,
    BENCH_EXIT_USAGE = 2,
    BENCH_EXIT_HUNG = 3,
    BENCH_EXIT_SKIPPED = 77,
};

/* What the command line asks for; set before the first case. */
struct bench_options {
    const char *bench;
    const char *json;
    const char *peers;
    const char *filters[BENCH_MOST_FILTERS];
    int filter_count;
    const char *settings[BENCH_MOST_SETTINGS];
    int setting_count;
    const char *only[BENCH_MOST_PEERS]; /* patterns of peers' names; none: all peers */
    int only_count;
    int workers[BENCH_MOST_WORKER_COUNTS];
    int worker_count;
    int reps;
    int warmups;
    int timeout_s;
    double budget_s;     /* for each row; 0: as long as it takes */
    uint64_t operations; /* 0: what the case says */
    bool is_quick;
    bool is_full;
    bool is_pinned;
    bool is_list;
    bool no_peers;
    FILE *table;
    FILE *out; /* JSON, or NULL */
    cpu_set_t allowed;
};

extern struct bench_options bench_run;

/* One figure over the repetitions. */
struct series {
    const char *name;
    const char *unit;
    double *values;
    int count;
};

/* The case itself, or what it is compared with: a function, or a program. */
struct side {
    const char *name;
    const char *program; /* its path; NULL: a function */
    bench_fn *body;      /* of a program: what starts and measures it; NULL: it does so itself */
    bool is_ours;
    bool in_runtime;
    int workers;
    uint64_t operations;
    weft_runtime *runtime; /* NULL: none, or one for each repetition */
    bool is_out;           /* left out from now on */
    struct series series[BENCH_METRICS];
    int series_count;
};

struct row {
    const struct bench_case *what;
    int workers;
    int reps;
    struct side sides[1 + BENCH_PEERS + BENCH_PROGRAMS];
    int side_count;
};

struct spread {
    double min, p25, median, p75, max;
};

/* harness_numbers.c */
struct spread bench_spread_of(const double *values, int count);
/* Of ours / theirs, repetition by repetition; false where that has no meaning. */
bool bench_ratio_of(const struct series *ours, const struct series *theirs, struct spread *out);
void bench_calibrate_spin(void);

/* harness_body.c: one repetition of a side that is a function. */
weft_runtime *bench_start_runtime(struct bench *b, int workers);
void bench_run_body(const struct row *row, struct side *side, struct bench *b);
void bench_run_isolated(const struct row *row, struct side *side, struct bench *b);
/* Forks a child whose writing end of a pipe is `*fd`; the parent gets the reading end. */
pid_t bench_fork_with_pipe(struct bench *b, int *fd);

/* harness_peers.c: one repetition of a side that is a program. */
/* The n-th program that knows the case with so many workers, as a path; NULL: it doesn't. `name` is its
 * name, also then. */
const char *bench_program(int n, const struct bench_case *what, int workers, const char **name);
void bench_run_program(const struct row *row, struct side *side, struct bench *b);
const struct series *bench_find_series(const struct side *side, const char *name);

/* harness_table.c and harness_json.c */
void bench_print_head(void);
void bench_print_row(const struct row *row);
void bench_json_head(void);
void bench_json_row(const struct row *row);
void bench_json_end(void);

/* harness_options.c */
void bench_parse(int argc, char **argv, const char *name);
bool bench_is_wanted(const char *name);
bool bench_is_wanted_peer(const char *name);

#endif
