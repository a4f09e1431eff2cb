// SPDX-License-Identifier: MIT
/* harness.c - runs cases and their peers in turns, and reports.
 *
 * What: bench_main reads the command line, then works off one row (a case with a number of workers)
 *       after the other: each repetition runs every side of the row once, forwards and backwards by
 *       turns. Sides are the case itself and its peers.
 * Why this way: the median and the quartiles, not the mean: a machine shared with others has a tail
 *       that says nothing about the code. The ratio is the median of the ratios of neighbouring
 *       repetitions, so slow drift cancels; rejected: all of ours, then all of theirs.
 */
#include "harness_inside.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What runs now, for the message of a hang. */
static const char *volatile current_case = "";

static void keep(struct side *side, const struct bench_metric *metric)
{
    struct series *series = side->series;
    struct series *end = series + side->series_count;
    while (series < end && strcmp(series->name, metric->name) != 0) {
        series++;
    }
    if (series == end) {
        side->series_count++;
        *series = (struct series){.name = metric->name, .unit = metric->unit};
        series->values = calloc(BENCH_MOST_REPS, sizeof *series->values);
    }
    if (series->values != NULL && series->count < BENCH_MOST_REPS) {
        series->values[series->count++] = metric->value;
    }
}

static struct bench repetition_of(const struct row *row, const struct side *side, bool is_warmup)
{
    return (struct bench){.name = row->what->name,
                          .operations = side->operations,
                          .workers = side->workers,
                          .is_quick = bench_run.is_quick,
                          .is_warmup = is_warmup,
                          .program = side->program};
}

static void run_side(struct row *row, struct side *side, bool is_warmup)
{
    struct bench b = repetition_of(row, side, is_warmup);
    if (side->is_out || (is_warmup && side->program != NULL)) {
        return; /* a program is started for each repetition and warms itself up */
    }
    current_case = b.name;
    alarm((unsigned)bench_run.timeout_s);
    if (side->program != NULL && side->body == NULL) {
        bench_run_program(row, side, &b);
    } else if ((row->what->flags & BENCH_ISOLATED) != 0) {
        bench_run_isolated(row, side, &b);
    } else {
        bench_run_body(row, side, &b);
    }
    alarm(0);
    if (b.skipped[0] != '\0') {
        side->is_out = true;
        fprintf(bench_run.table, "# %s, %d workers: %s left out: %s\n", b.name, b.workers,
                side->name, b.skipped);
        return;
    }
    for (int i = 0; i < b.metric_count && !is_warmup; i++) {
        keep(side, &b.metrics[i]);
    }
}

static struct side *add_side(struct row *row, const char *name, int workers)
{
    const struct bench_case *what = row->what;
    uint64_t quick = what->quick_operations != 0 ? what->quick_operations : what->operations / 10;
    struct side *side = &row->sides[row->side_count++];
    side->name = name;
    side->workers = workers;
    side->operations = bench_run.is_quick ? quick : what->operations;
    if (bench_run.is_full && what->full_operations != 0) {
        side->operations = what->full_operations;
    }
    side->operations = bench_run.operations != 0 ? bench_run.operations : side->operations;
    side->operations = side->operations != 0 ? side->operations : 1;
    return side;
}

/* One for all sides with as many workers: beside another runtime a single worker is not alone in its process any more, which
 * would cost it a third. */
static weft_runtime *find_runtime(const struct row *row, int workers)
{
    const struct side *ours = &row->sides[0];
    if (ours->runtime != NULL && ours->workers == workers) {
        return ours->runtime;
    }
    struct bench b = {.name = row->what->name};
    return bench_start_runtime(&b, workers);
}

static void add_function(struct row *row, const char *name, int workers, bench_fn *body,
                         bool in_runtime)
{
    struct side *side = add_side(row, name, workers);
    side->body = body;
    side->in_runtime = in_runtime;
    if (in_runtime && (row->what->flags & (BENCH_FRESH | BENCH_ISOLATED)) == 0) {
        side->runtime = find_runtime(row, workers);
    }
}

/* "One worker" says nothing beside one worker. */
static bool is_same(const struct row *row, const struct bench_peer *peer)
{
    return peer->body == row->what->body && peer->workers == row->workers;
}

static void add_peers(struct row *row)
{
    const struct bench_peer *peer = row->what->peers;
    for (int i = 0; i < BENCH_PEERS && peer[i].name != NULL; i++) {
        if (!is_same(row, &peer[i]) && bench_is_wanted_peer(peer[i].name)) {
            int workers = peer[i].workers != 0 ? peer[i].workers : row->workers;
            add_function(row, peer[i].name, workers, peer[i].body, peer[i].in_runtime);
        }
    }
    for (int i = 0; i < BENCH_PROGRAMS; i++) {
        const char *name;
        const char *program = bench_program(i, row->what, row->workers, &name);
        if (program != NULL && bench_is_wanted_peer(name)) {
            struct side *side = add_side(row, name, row->workers);
            side->program = program;
            side->body = row->what->serve_program;
        }
    }
}

static void open_sides(struct row *row)
{
    const struct bench_case *what = row->what;
    add_function(row, "weft", row->workers, what->body, (what->flags & BENCH_PLAIN) == 0);
    row->sides[0].is_ours = true;
    if (!bench_run.no_peers) {
        add_peers(row);
    }
}

static void close_sides(struct row *row)
{
    struct bench b = {.name = row->what->name};
    for (int i = row->side_count - 1; i >= 0; i--) {
        weft_runtime *runtime = row->sides[i].runtime;
        bool is_ours = i > 0 && runtime == row->sides[0].runtime;
        if (runtime != NULL && !is_ours) {
            bench_require(&b, weft_runtime_stop(runtime) == 0, "runtime stop");
        }
        for (int j = 0; j < row->sides[i].series_count; j++) {
            free(row->sides[i].series[j].values);
        }
    }
}

/* With --pin everybody, child programs too, gets the first `workers` of the processors. */
static void pin_process(int workers)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int left = workers;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && left > 0; cpu++) {
        if (CPU_ISSET(cpu, &bench_run.allowed)) {
            CPU_SET(cpu, &set);
            left--;
        }
    }
    if (bench_run.is_pinned && left == 0) {
        (void)sched_setaffinity(0, sizeof set, &set);
    }
}

static void prepare(const struct row *row)
{
    struct bench b = repetition_of(row, &row->sides[0], true);
    if (row->what->prepare != NULL) {
        row->what->prepare(&b);
    }
}

/* Each row has one counted repetition, and more while there is time. */
static void repeat(struct row *row)
{
    int64_t start_ns = bench_now_ns();
    int warmups = (row->what->flags & BENCH_ONCE) != 0 ? 0 : bench_run.warmups;
    for (int rep = -warmups; rep < row->reps; rep++) {
        double spent_s = (double)(bench_now_ns() - start_ns) / 1e9;
        if (rep > 0 && bench_run.budget_s > 0 && spent_s > bench_run.budget_s) {
            break;
        }
        for (int i = 0; i < row->side_count; i++) {
            int at = rep % 2 == 0 ? i : row->side_count - 1 - i;
            run_side(row, &row->sides[at], rep < 0);
        }
    }
}

static void run_row(const struct bench_case *what, int workers)
{
    struct row row = {.what = what, .workers = workers, .reps = bench_run.reps};
    if (what->reps_most != 0 && what->reps_most < row.reps) {
        row.reps = what->reps_most;
    }
    pin_process(workers);
    open_sides(&row);
    prepare(&row);
    repeat(&row);
    bench_print_row(&row);
    if (bench_run.out != NULL) {
        bench_json_row(&row);
    }
    close_sides(&row);
}

static void on_alarm(int signal_number)
{
    static const char text[] = ": hung\n";
    const char *name = current_case;
    (void)signal_number;
    ssize_t ignored = write(STDERR_FILENO, name, strlen(name));
    ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(BENCH_EXIT_HUNG);
}

static void open_outputs(void)
{
    bool is_stdout = bench_run.json != NULL && strcmp(bench_run.json, "-") == 0;
    bench_run.table = is_stdout ? stderr : stdout;
    bench_run.out = is_stdout ? stdout : NULL;
    if (bench_run.json != NULL && !is_stdout) {
        bench_run.out = fopen(bench_run.json, "we");
        if (bench_run.out == NULL) {
            perror(bench_run.json);
            exit(BENCH_EXIT_FAILED);
        }
    }
}

static void run_case(const struct bench_case *what)
{
    if (what->workers != 0) {
        run_row(what, what->workers);
        return;
    }
    for (int i = 0; i < bench_run.worker_count; i++) {
        run_row(what, bench_run.workers[i]);
    }
}

static int run_cases(const struct bench_case *cases, size_t count)
{
    int done = 0;
    for (size_t i = 0; i < count; i++) {
        if (bench_is_wanted(cases[i].name)) {
            run_case(&cases[i]);
            done++;
        }
    }
    return done;
}

int bench_main(int argc, char **argv, const char *name, const struct bench_case *cases,
               size_t count)
{
    bench_parse(argc, argv, name);
    for (size_t i = 0; i < count && bench_run.is_list; i++) {
        puts(cases[i].name);
    }
    if (bench_run.is_list) {
        return 0;
    }
    open_outputs();
    signal(SIGALRM, on_alarm);
    bench_calibrate_spin();
    bench_print_head();
    if (bench_run.out != NULL) {
        bench_json_head();
    }
    int done = run_cases(cases, count);
    bench_json_end();
    if (done == 0) {
        fprintf(stderr, "bench_%s: no case has such a name\n", name);
    }
    return done != 0 ? 0 : BENCH_EXIT_USAGE;
}
