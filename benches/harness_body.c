// SPDX-License-Identifier: MIT
/* harness_body.c - what bodies call, and one repetition of a side that is a function. */
#include "harness_inside.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

double bench_setting(const char *name, double otherwise)
{
    size_t length = strlen(name);
    for (int i = 0; i < bench_run.setting_count; i++) {
        if (strncmp(bench_run.settings[i], name, length) == 0 &&
            bench_run.settings[i][length] == '=') {
            return strtod(bench_run.settings[i] + length + 1, NULL);
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
        fprintf(stderr, "bench_%s: %s: failed: %s\n", bench_run.bench, b->name, what);
        _exit(BENCH_EXIT_FAILED);
    }
}

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

weft_runtime *bench_start_runtime(struct bench *b, int workers)
{
    weft_options options = {
        .size = sizeof options, .workers = workers, .pin = bench_run.is_pinned, .diagnostic = tell};
    weft_runtime *runtime = NULL;
    bench_require(b, weft_runtime_start(&runtime, &options) == 0, "runtime start");
    return runtime;
}

static void run_in_runtime(const struct row *row, struct side *side, struct bench *b)
{
    weft_runtime *runtime = side->runtime;
    bool is_own = runtime == NULL;
    if (is_own) {
        runtime = bench_start_runtime(b, side->workers);
    }
    struct call call = {side->body, b};
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

void bench_run_body(const struct row *row, struct side *side, struct bench *b)
{
    if (side->in_runtime) {
        run_in_runtime(row, side, b);
    } else {
        side->body(b);
    }
    if (b->elapsed_ns > 0) {
        uint64_t done = b->done != 0 ? b->done : b->operations;
        bench_report(b, "", "ns/op", (double)b->elapsed_ns / (double)done);
    }
}

/* Forks a child whose writing end of a pipe is `*fd`; the parent gets the reading end. */
pid_t bench_fork_with_pipe(struct bench *b, int *fd)
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
void bench_run_isolated(const struct row *row, struct side *side, struct bench *b)
{
    int fd;
    pid_t pid = bench_fork_with_pipe(b, &fd);
    if (pid == 0) {
        bench_run_body(row, side, b);
        _exit(write(fd, b, sizeof *b) == (ssize_t)sizeof *b ? 0 : BENCH_EXIT_FAILED);
    }
    ssize_t got = read(fd, b, sizeof *b);
    close(fd);
    int status = 0;
    waitpid(pid, &status, 0);
    bench_require(b, got == (ssize_t)sizeof *b && status == 0, "its process ended early");
}
