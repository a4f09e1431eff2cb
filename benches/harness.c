// SPDX-License-Identifier: MIT
/* harness.c - runs cases and their peers in turns, and reports.
 *
 * What: bench_main reads the command line, then works off one row (a case with a number of workers)
 *       after the other: each repetition runs every side of the row once, forwards and backwards by
 *       turns. Sides are the case itself and its peers.
 * Why this way: the median and the quartiles, not the mean: a machine shared with others has a tail
 *       that says nothing about the code. The ratio is the median of the ratios of neighbouring
 *       repetitions, so slow drift cancels; rejected: all of ours, then all of theirs. One file,
 *       because exactly one is linked into every benchmark; its chapters are its parts.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_WORKER_COUNTS = 16,
    MOST_FILTERS = 16,
    MOST_SETTINGS = 16,
    MOST_REPS = 1000,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_HUNG = 3,
    EXIT_SKIPPED = 77,
};

static const char default_peers[] = "build/peers";

static struct {
    const char *bench;
    const char *json;
    const char *peers;
    const char *filters[MOST_FILTERS];
    int filter_count;
    const char *settings[MOST_SETTINGS];
    int setting_count;
    int workers[MOST_WORKER_COUNTS];
    int worker_count;
    int reps;
    int warmups;
    int timeout_s;
    uint64_t operations; /* 0: what the case says */
    bool is_quick;
    bool is_full;
    bool is_pinned;
    bool is_list;
    bool no_peers;
    FILE *table;
    FILE *out; /* JSON, or NULL */
    cpu_set_t allowed;
} run;

/* One figure over the repetitions. */
struct series {
    const char *name;
    const char *unit;
    double *values;
    int count;
};

/* The case itself (peer == NULL) or one of its peers. */
struct side {
    const struct bench_peer *peer;
    const char *name;
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
    struct side sides[1 + BENCH_PEERS];
    int side_count;
};

struct spread {
    double min, p25, median, p75, max;
};

/* What runs now, for the message of a hang. */
static const char *volatile current_case = "";

/* ---- numbers ---------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
}

double bench_quantile(const double *sorted, size_t count, double share)
{
    if (count == 0) {
        return 0;
    }
    double at = share * (double)(count - 1);
    size_t below = (size_t)at;
    size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (at - (double)below);
}

static struct spread spread_of(const double *values, int count)
{
    double sorted[MOST_REPS];
    size_t n = (size_t)count;
    memcpy(sorted, values, n * sizeof *sorted);
    bench_sort(sorted, n);
    return (struct spread){bench_quantile(sorted, n, 0), bench_quantile(sorted, n, 0.25),
                           bench_quantile(sorted, n, 0.5), bench_quantile(sorted, n, 0.75),
                           bench_quantile(sorted, n, 1)};
}

uint64_t bench_proc_bytes(const char *file, const char *field)
{
    FILE *in = fopen(file, "re");
    char line[256];
    unsigned long long kib = 0;
    size_t length = strlen(field);
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, field, length) == 0 && line[length] == ':') {
            (void)sscanf(line + length + 1, "%llu", &kib);
            break;
        }
    }
    if (in != NULL) {
        fclose(in);
    }
    return (uint64_t)kib * 1024;
}

static void spin_rounds(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        __asm__ volatile("" ::: "memory");
    }
}

static double rounds_per_ns;

/* The best of several, so that a preemption does not count. */
static void calibrate_spin(void)
{
    enum { ROUNDS = 200000, TRIES = 50 };
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        int64_t start_ns = bench_now_ns();
        spin_rounds(ROUNDS);
        int64_t took_ns = bench_now_ns() - start_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    rounds_per_ns = (double)ROUNDS / (double)best_ns;
}

void bench_spin(int64_t ns)
{
    spin_rounds((uint64_t)((double)ns * rounds_per_ns));
}

/* ---- what bodies call -------------------------------------------------------------------------- */

double bench_setting(const char *name, double otherwise)
{
    size_t length = strlen(name);
    for (int i = 0; i < run.setting_count; i++) {
        if (strncmp(run.settings[i], name, length) == 0 && run.settings[i][length] == '=') {
            return strtod(run.settings[i] + length + 1, NULL);
        }
    }
    return otherwise;
}

void bench_report(struct bench *b, const char *name, const char *unit, double value)
{
    bench_require(b, b->metric_count < BENCH_METRICS, "has too many figures");
    b->metrics[b->metric_count++] = (struct bench_metric){name, unit, value};
}

void bench_skip(struct bench *b, const char *why)
{
    snprintf(b->skipped, sizeof b->skipped, "%s", why);
}

void bench_require(struct bench *b, bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_%s: %s: failed: %s\n", run.bench, b->name, what);
        _exit(EXIT_FAILED);
    }
}

/* ---- one repetition ---------------------------------------------------------------------------- */

struct call {
    bench_fn *body;
    struct bench *b;
};

static intptr_t call_body(void *arg)
{
    struct call *call = arg;
    call->body(call->b);
    return 0;
}

/* A body that computes holds its worker for long, and knows it. */
static void tell(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    if (what->kind != WEFT_DIAG_STUCK_WORKER) {
        fprintf(stderr, "weft: %s\n", what->text);
    }
}

static weft_runtime *start_runtime(struct bench *b, int workers)
{
    weft_options options = {
        .size = sizeof options, .workers = workers, .pin = run.is_pinned, .diagnostic = tell};
    weft_runtime *runtime = NULL;
    bench_require(b, weft_runtime_start(&runtime, &options) == 0, "runtime start");
    return runtime;
}

static void run_in_runtime(const struct row *row, struct side *side, bench_fn *body,
                           struct bench *b)
{
    weft_runtime *runtime = side->runtime;
    bool is_own = runtime == NULL;
    if (is_own) {
        runtime = start_runtime(b, side->workers);
    }
    struct call call = {body, b};
    weft_spawn_options options = {.size = sizeof options,
                                  .pinned = (row->what->flags & BENCH_PINNED) != 0};
    weft_task *task = NULL;
    int rc = weft_runtime_submit(runtime, &task, call_body, &call, &options);
    bench_require(b, rc == 0, "submit");
    bench_require(b, weft_thread_join(task, WEFT_FOREVER, NULL) == 0, "join");
    weft_drop(task);
    if (is_own) {
        bench_require(b, weft_runtime_stop(runtime) == 0, "runtime stop");
    }
}

static void run_body(const struct row *row, struct side *side, struct bench *b)
{
    const struct bench_peer *peer = side->peer;
    bool in_runtime = peer != NULL ? peer->in_runtime : (row->what->flags & BENCH_PLAIN) == 0;
    bench_fn *body = peer != NULL ? peer->body : row->what->body;
    if (in_runtime) {
        run_in_runtime(row, side, body, b);
    } else {
        body(b);
    }
    if (b->elapsed_ns > 0) {
        uint64_t done = b->done != 0 ? b->done : b->operations;
        bench_report(b, "", "ns/op", (double)b->elapsed_ns / (double)done);
    }
}

/* Forks a child whose writing end of a pipe is `*fd`; the parent gets the reading end. */
static pid_t fork_with_pipe(struct bench *b, int *fd)
{
    int ends[2];
    bench_require(b, pipe2(ends, O_CLOEXEC) == 0, "pipe");
    fflush(NULL);
    pid_t pid = fork();
    bench_require(b, pid >= 0, "fork");
    close(ends[pid == 0 ? 0 : 1]);
    *fd = ends[pid == 0 ? 1 : 0];
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

/* The struct's pointers are to literals, which the child has at the same addresses. */
static void run_isolated(const struct row *row, struct side *side, struct bench *b)
{
    int fd;
    pid_t pid = fork_with_pipe(b, &fd);
    if (pid == 0) {
        run_body(row, side, b);
        _exit(write(fd, b, sizeof *b) == (ssize_t)sizeof *b ? 0 : EXIT_FAILED);
    }
    ssize_t got = read(fd, b, sizeof *b);
    close(fd);
    int status = 0;
    waitpid(pid, &status, 0);
    bench_require(b, got == (ssize_t)sizeof *b && status == 0, "its process ended early");
}

/* ---- peers that are programs ---------------------------------------------------------------------- */

static void exec_peer(const struct row *row, const struct side *side, const struct bench *b, int fd)
{
    char path[4096];
    char operations[24];
    char workers[12];
    const char *name = side->peer->as != NULL ? side->peer->as : row->what->name;
    snprintf(path, sizeof path, "%s/%s", run.peers, side->peer->program);
    snprintf(operations, sizeof operations, "%llu", (unsigned long long)b->operations);
    snprintf(workers, sizeof workers, "%d", side->workers);
    dup2(fd, STDOUT_FILENO);
    execl(path, path, name, operations, workers, (char *)NULL);
    _exit(EXIT_FAILED);
}

static const struct series *find_series(const struct side *side, const char *name)
{
    for (int i = 0; i < side->series_count; i++) {
        if (strcmp(side->series[i].name, name) == 0) {
            return &side->series[i];
        }
    }
    return NULL;
}

/* "NAME VALUE" is the main figure, "NAME.FIGURE VALUE" the case's figure of that name. */
static void read_line(const struct row *row, const struct side *side, struct bench *b,
                      const char *line)
{
    char name[128];
    double value;
    const char *wanted = side->peer->as != NULL ? side->peer->as : row->what->name;
    size_t length = strlen(wanted);
    if (sscanf(line, "%127s %lf", name, &value) != 2 || strncmp(name, wanted, length) != 0) {
        return;
    }
    const struct side *ours = &row->sides[0];
    if (name[length] == '\0') {
        const struct series *main_figure = find_series(ours, "");
        bench_report(b, "", main_figure != NULL ? main_figure->unit : "ns/op", value);
        return;
    }
    for (int i = 0; i < ours->series_count && name[length] == '.'; i++) {
        if (strcmp(ours->series[i].name, name + length + 1) == 0) {
            bench_report(b, ours->series[i].name, ours->series[i].unit, value);
        }
    }
}

static void run_program(const struct row *row, struct side *side, struct bench *b)
{
    int fd;
    pid_t pid = fork_with_pipe(b, &fd);
    if (pid == 0) {
        exec_peer(row, side, b, fd);
    }
    FILE *in = fdopen(fd, "r");
    char line[256];
    while (fgets(line, sizeof line, in) != NULL) {
        read_line(row, side, b, line);
    }
    fclose(in);
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED) {
        bench_skip(b, "has no such case for so many workers");
    } else if (status != 0) {
        bench_skip(b, "failed");
    }
}

/* ---- rows --------------------------------------------------------------------------------------------- */

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
        series->values = calloc(MOST_REPS, sizeof *series->values);
    }
    if (series->values != NULL && series->count < MOST_REPS) {
        series->values[series->count++] = metric->value;
    }
}

static void run_side(struct row *row, struct side *side, bool is_warmup)
{
    struct bench b = {.name = row->what->name,
                      .operations = side->operations,
                      .workers = side->workers,
                      .is_quick = run.is_quick,
                      .is_warmup = is_warmup};
    if (side->is_out || (is_warmup && side->peer != NULL && side->peer->program != NULL)) {
        return; /* a program is started for each repetition and warms itself up */
    }
    current_case = b.name;
    alarm((unsigned)run.timeout_s);
    if (side->peer != NULL && side->peer->program != NULL) {
        run_program(row, side, &b);
    } else if ((row->what->flags & BENCH_ISOLATED) != 0) {
        run_isolated(row, side, &b);
    } else {
        run_body(row, side, &b);
    }
    alarm(0);
    if (b.skipped[0] != '\0') {
        side->is_out = true;
        fprintf(run.table, "# %s, %d workers: %s left out: %s\n", b.name, b.workers, side->name,
                b.skipped);
        return;
    }
    for (int i = 0; i < b.metric_count && !is_warmup; i++) {
        keep(side, &b.metrics[i]);
    }
}

/* Says once for each program if it isn't. */
static bool is_built(const struct bench_peer *peer)
{
    enum { MOST_MISSING = 16 };
    static const char *missing[MOST_MISSING];
    static int missing_count;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", run.peers, peer->program);
    if (access(path, X_OK) == 0) {
        return true;
    }
    for (int i = 0; i < missing_count; i++) {
        if (strcmp(missing[i], peer->program) == 0) {
            return false;
        }
    }
    if (missing_count < MOST_MISSING) {
        missing[missing_count++] = peer->program;
    }
    fprintf(run.table, "# %s left out: no %s\n", peer->name, path);
    return false;
}

static void open_side(struct row *row, const struct bench_peer *peer)
{
    const struct bench_case *what = row->what;
    uint64_t quick = what->quick_operations != 0 ? what->quick_operations : what->operations / 10;
    struct side *side = &row->sides[row->side_count++];
    side->peer = peer;
    side->name = peer != NULL ? peer->name : "weft";
    side->workers = peer != NULL && peer->workers != 0 ? peer->workers : row->workers;
    side->operations = run.is_quick ? quick : what->operations;
    if (run.is_full && what->full_operations != 0) {
        side->operations = what->full_operations;
    }
    side->operations = run.operations != 0 ? run.operations : side->operations;
    side->operations = side->operations != 0 ? side->operations : 1;
    side->is_out = peer != NULL && peer->program != NULL && !is_built(peer);
    bool in_runtime = peer != NULL ? peer->in_runtime : (what->flags & BENCH_PLAIN) == 0;
    if (in_runtime && (what->flags & (BENCH_FRESH | BENCH_ISOLATED)) == 0) {
        struct bench b = {.name = what->name};
        side->runtime = start_runtime(&b, side->workers);
    }
}

static void close_sides(struct row *row)
{
    struct bench b = {.name = row->what->name};
    for (int i = 0; i < row->side_count; i++) {
        if (row->sides[i].runtime != NULL) {
            bench_require(&b, weft_runtime_stop(row->sides[i].runtime) == 0, "runtime stop");
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
        if (CPU_ISSET(cpu, &run.allowed)) {
            CPU_SET(cpu, &set);
            left--;
        }
    }
    if (run.is_pinned && left == 0) {
        (void)sched_setaffinity(0, sizeof set, &set);
    }
}

static void repeat(struct row *row)
{
    int warmups = (row->what->flags & BENCH_ONCE) != 0 ? 0 : run.warmups;
    for (int rep = -warmups; rep < row->reps; rep++) {
        for (int i = 0; i < row->side_count; i++) {
            int at = rep % 2 == 0 ? i : row->side_count - 1 - i;
            run_side(row, &row->sides[at], rep < 0);
        }
    }
}

/* ---- the report ------------------------------------------------------------------------------------------ */

/* ours / theirs, repetition by repetition. */
static bool ratio_of(const struct series *ours, const struct series *theirs, struct spread *out)
{
    double ratios[MOST_REPS];
    int count = ours->count < theirs->count ? ours->count : theirs->count;
    for (int i = 0; i < count; i++) {
        if (!(theirs->values[i] > 0)) {
            return false;
        }
        ratios[i] = ours->values[i] / theirs->values[i];
    }
    if (count > 0) {
        *out = spread_of(ratios, count);
    }
    return count > 0;
}

static void print_number(double value)
{
    int decimals = fabs(value) < 10 ? 2 : fabs(value) < 1000 ? 1 : 0;
    fprintf(run.table, " %11.*f", decimals, value);
}

static void print_line(const char *label, const struct side *side, const struct series *series,
                       const struct series *ours)
{
    struct spread s = spread_of(series->values, series->count);
    struct spread ratio;
    fprintf(run.table, "%-34s %3d %-7s", label, side->workers, series->unit);
    print_number(s.min);
    print_number(s.p25);
    print_number(s.median);
    print_number(s.p75);
    print_number(s.max);
    if (ours != NULL && ratio_of(ours, series, &ratio)) {
        fprintf(run.table, "  %.3g [%.3g %.3g]", ratio.median, ratio.p25, ratio.p75);
    }
    fputc('\n', run.table);
}

static void print_row(const struct row *row)
{
    const struct side *ours = &row->sides[0];
    char label[128];
    for (int i = 0; i < ours->series_count; i++) {
        const struct series *series = &ours->series[i];
        snprintf(label, sizeof label, "%s%s%s", row->what->name, *series->name ? "." : "",
                 series->name);
        print_line(label, ours, series, NULL);
        for (int j = 1; j < row->side_count; j++) {
            const struct series *theirs = find_series(&row->sides[j], series->name);
            if (theirs != NULL && theirs->count > 0) {
                snprintf(label, sizeof label, "    %s", row->sides[j].name);
                print_line(label, &row->sides[j], theirs, series);
            }
        }
    }
    fflush(run.table);
}

static void print_head(void)
{
    fprintf(run.table, "bench_%s: %d repetitions%s%s\n", run.bench, run.reps,
            run.is_quick ? ", quick" : "", run.is_pinned ? ", pinned" : "");
    fprintf(run.table, "%-34s %3s %-7s %11s %11s %11s %11s %11s  %s\n", "case", "wrk", "unit",
            "min", "p25", "median", "p75", "max", "weft/peer [p25 p75]");
}

static void json_string(const char *text)
{
    fputc('"', run.out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', run.out);
        }
        fputc((unsigned char)*text < ' ' ? ' ' : *text, run.out);
    }
    fputc('"', run.out);
}

static void json_spread(const char *name, struct spread s)
{
    fprintf(run.out, "\"%s\":{\"min\":%.6g,\"p25\":%.6g,\"median\":%.6g,\"p75\":%.6g,\"max\":%.6g}",
            name, s.min, s.p25, s.median, s.p75, s.max);
}

static void json_series(const struct row *row, const struct side *side, const struct series *series,
                        bool is_first)
{
    struct spread ratio;
    const struct series *ours = find_series(&row->sides[0], series->name);
    fprintf(run.out, "%s\n  {\"case\":\"%s\",\"side\":\"%s\",\"figure\":\"%s\",\"unit\":\"%s\",",
            is_first ? "" : ",", row->what->name, side->name, series->name, series->unit);
    fprintf(run.out, "\"workers\":%d,\"operations\":%llu,\"repetitions\":%d,", side->workers,
            (unsigned long long)side->operations, series->count);
    json_spread("spread", spread_of(series->values, series->count));
    if (side->peer != NULL && ours != NULL && ratio_of(ours, series, &ratio)) {
        fputc(',', run.out);
        json_spread("weft_over_peer", ratio);
    }
    fputs(",\"values\":[", run.out);
    for (int i = 0; i < series->count; i++) {
        fprintf(run.out, "%s%.6g", i == 0 ? "" : ",", series->values[i]);
    }
    fputs("]}", run.out);
}

static void json_row(const struct row *row)
{
    static bool is_second;
    for (int i = 0; i < row->side_count; i++) {
        for (int j = 0; j < row->sides[i].series_count; j++) {
            json_series(row, &row->sides[i], &row->sides[i].series[j], !is_second);
            is_second = true;
        }
    }
}

static void read_processor(char *out, size_t size)
{
    FILE *in = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(out, size, "unknown");
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%.*s", (int)size - 1, colon + 2);
            break;
        }
    }
    if (in != NULL) {
        fclose(in);
    }
}

static void json_head(void)
{
    char processor[128];
    struct utsname system;
    read_processor(processor, sizeof processor);
    fprintf(run.out, "{\"format\":1,\"bench\":\"%s\",\"quick\":%s,\"pinned\":%s,\"processors\":%d,",
            run.bench, run.is_quick ? "true" : "false", run.is_pinned ? "true" : "false",
            CPU_COUNT(&run.allowed));
    fputs("\"processor\":", run.out);
    json_string(processor);
    fputs(",\"kernel\":", run.out);
    json_string(uname(&system) == 0 ? system.release : "unknown");
    fputs(",\"compiler\":", run.out);
    json_string(__VERSION__);
    fputs(",\"results\":[", run.out);
}

/* "One worker" says nothing beside one worker. */
static bool is_same(const struct bench_case *what, const struct bench_peer *peer, int workers)
{
    return peer->body == what->body && peer->workers == workers;
}

static void run_row(const struct bench_case *what, int workers)
{
    struct row row = {.what = what, .workers = workers, .reps = run.reps};
    if (what->reps_most != 0 && what->reps_most < row.reps) {
        row.reps = what->reps_most;
    }
    pin_process(workers);
    open_side(&row, NULL);
    for (int i = 0; i < BENCH_PEERS && what->peers[i].name != NULL && !run.no_peers; i++) {
        if (!is_same(what, &what->peers[i], workers)) {
            open_side(&row, &what->peers[i]);
        }
    }
    repeat(&row);
    print_row(&row);
    if (run.out != NULL) {
        json_row(&row);
    }
    close_sides(&row);
}

/* ---- the command line ----------------------------------------------------------------------------------- */

static void usage(FILE *to)
{
    fprintf(to,
            "bench_%s [options] [case, or pattern such as 'spawn_*'...]\n"
            "  --quick             fewer operations and repetitions: does it run?\n"
            "  --full              the sizes that published figures have, where cases have such\n"
            "  --reps N            repetitions of each case (11; quick: 3)\n"
            "  --warmup N          repetitions before them that do not count (1)\n"
            "  --workers N[,N...]  rows for these numbers of workers (1 and one per processor)\n"
            "  --operations N      per repetition, instead of what each case says\n"
            "  --pin               workers and peers on the first processors\n"
            "  --json FILE         JSON too; - is standard output, the table then goes to stderr\n"
            "  --peers DIR         where peer programs are (%s); `none` leaves all peers out\n"
            "  --set NAME=NUMBER   a setting of a case\n"
            "  --timeout S         a repetition that takes longer has hung (300)\n"
            "  --list              the cases' names\n"
            "WEFT_BENCH in the environment holds options that come before these.\n",
            run.bench, default_peers);
}

__attribute__((noreturn)) static void bad_usage(const char *what)
{
    fprintf(stderr, "bench_%s: bad or missing value: %s\n", run.bench, what);
    usage(stderr);
    exit(EXIT_USAGE);
}

static long parse_number(const char *option, const char *text, long least, long most)
{
    char *end = NULL;
    errno = 0;
    long value = text != NULL ? strtol(text, &end, 10) : 0;
    if (text == NULL || end == text || *end != '\0' || errno != 0 || value < least ||
        value > most) {
        bad_usage(option);
    }
    return value;
}

static void parse_workers(const char *text)
{
    char copy[256];
    char *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text != NULL ? text : "");
    run.worker_count = 0;
    for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        if (run.worker_count == MOST_WORKER_COUNTS) {
            bad_usage("--workers");
        }
        run.workers[run.worker_count++] = (int)parse_number("--workers", one, 1, 1024);
    }
    if (run.worker_count == 0) {
        bad_usage("--workers");
    }
}

/* Options without a value. */
static bool parse_switch(const char *option)
{
    if (strcmp(option, "--quick") == 0) {
        run.is_quick = true;
    } else if (strcmp(option, "--full") == 0) {
        run.is_full = true;
    } else if (strcmp(option, "--pin") == 0) {
        run.is_pinned = true;
    } else if (strcmp(option, "--list") == 0) {
        run.is_list = true;
    } else if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
        usage(stdout);
        exit(0);
    } else {
        return false;
    }
    return true;
}

static void parse_valued(const char *option, const char *value)
{
    if (strcmp(option, "--reps") == 0) {
        run.reps = (int)parse_number(option, value, 1, MOST_REPS);
    } else if (strcmp(option, "--warmup") == 0) {
        run.warmups = (int)parse_number(option, value, 0, MOST_REPS);
    } else if (strcmp(option, "--workers") == 0) {
        parse_workers(value);
    } else if (strcmp(option, "--operations") == 0) {
        run.operations = (uint64_t)parse_number(option, value, 1, INT64_MAX);
    } else if (strcmp(option, "--timeout") == 0) {
        run.timeout_s = (int)parse_number(option, value, 1, 86400);
    } else if (value != NULL && strcmp(option, "--json") == 0) {
        run.json = value;
    } else if (value != NULL && strcmp(option, "--peers") == 0) {
        run.peers = value;
        run.no_peers = strcmp(value, "none") == 0;
    } else if (value != NULL && strcmp(option, "--set") == 0 && strchr(value, '=') != NULL &&
               run.setting_count < MOST_SETTINGS) {
        run.settings[run.setting_count++] = value;
    } else {
        bad_usage(option);
    }
}

static void parse(int count, char **words)
{
    for (int i = 0; i < count; i++) {
        if (words[i][0] != '-') {
            if (run.filter_count == MOST_FILTERS) {
                bad_usage(words[i]);
            }
            run.filters[run.filter_count++] = words[i];
        } else if (!parse_switch(words[i])) {
            parse_valued(words[i], i + 1 < count ? words[i + 1] : NULL);
            i++;
        }
    }
}

static void parse_environment(void)
{
    enum { MOST_WORDS = 64 };
    static char copy[1024]; /* what the options point to */
    char *words[MOST_WORDS];
    char *rest = NULL;
    int count = 0;
    const char *text = getenv("WEFT_BENCH");
    snprintf(copy, sizeof copy, "%s", text != NULL ? text : "");
    for (char *word = strtok_r(copy, " ", &rest); word != NULL && count < MOST_WORDS;
         word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    parse(count, words);
}

static void set_defaults(const char *name)
{
    run.bench = name;
    run.peers = default_peers;
    run.warmups = 1;
    run.timeout_s = 300;
    (void)sched_getaffinity(0, sizeof run.allowed, &run.allowed);
    int processors = CPU_COUNT(&run.allowed);
    run.workers[run.worker_count++] = 1;
    if (processors > 1) {
        run.workers[run.worker_count++] = processors;
    }
}

static bool is_wanted(const char *name)
{
    for (int i = 0; i < run.filter_count; i++) {
        if (fnmatch(run.filters[i], name, 0) == 0) {
            return true;
        }
    }
    return run.filter_count == 0;
}

static void on_alarm(int signal_number)
{
    static const char text[] = ": hung\n";
    const char *name = current_case;
    (void)signal_number;
    ssize_t ignored = write(STDERR_FILENO, name, strlen(name));
    ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(EXIT_HUNG);
}

static void open_outputs(void)
{
    bool is_stdout = run.json != NULL && strcmp(run.json, "-") == 0;
    run.table = is_stdout ? stderr : stdout;
    run.out = is_stdout ? stdout : NULL;
    if (run.json != NULL && !is_stdout) {
        run.out = fopen(run.json, "we");
        if (run.out == NULL) {
            perror(run.json);
            exit(EXIT_FAILED);
        }
    }
}

static void run_case(const struct bench_case *what)
{
    if (what->workers != 0) {
        run_row(what, what->workers);
        return;
    }
    for (int i = 0; i < run.worker_count; i++) {
        run_row(what, run.workers[i]);
    }
}

static int run_cases(const struct bench_case *cases, size_t count)
{
    int done = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_wanted(cases[i].name)) {
            run_case(&cases[i]);
            done++;
        }
    }
    return done;
}

static void finish_json(void)
{
    if (run.out != NULL) {
        fputs("\n]}\n", run.out);
        if (fflush(run.out) != 0 || (run.out != stdout && fclose(run.out) != 0)) {
            perror(run.json);
            exit(EXIT_FAILED);
        }
    }
}

int bench_main(int argc, char **argv, const char *name, const struct bench_case *cases,
               size_t count)
{
    set_defaults(name);
    parse_environment();
    parse(argc - 1, argv + 1);
    run.reps = run.reps != 0 ? run.reps : run.is_quick ? 3 : 11;
    for (size_t i = 0; i < count && run.is_list; i++) {
        puts(cases[i].name);
    }
    if (run.is_list) {
        return 0;
    }
    open_outputs();
    signal(SIGALRM, on_alarm);
    calibrate_spin();
    print_head();
    if (run.out != NULL) {
        json_head();
    }
    int done = run_cases(cases, count);
    finish_json();
    if (done == 0) {
        fprintf(stderr, "bench_%s: no case has such a name\n", name);
    }
    return done != 0 ? 0 : EXIT_USAGE;
}
