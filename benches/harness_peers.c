// SPDX-License-Identifier: MIT
/* harness_peers.c - one repetition of a side that is a program; see README.md for the contract. */
#include "harness_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Says once for each program if it isn't. */
bool bench_is_built(const struct bench_peer *peer)
{
    enum { MOST_MISSING = 16 };
    static const char *missing[MOST_MISSING];
    static int missing_count;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", bench_run.peers, peer->program);
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
    fprintf(bench_run.table, "# %s left out: no %s\n", peer->name, path);
    return false;
}

static void exec_peer(const struct row *row, const struct side *side, const struct bench *b, int fd)
{
    char path[4096];
    char operations[24];
    char workers[12];
    const char *name = side->peer->as != NULL ? side->peer->as : row->what->name;
    snprintf(path, sizeof path, "%s/%s", bench_run.peers, side->peer->program);
    snprintf(operations, sizeof operations, "%llu", (unsigned long long)b->operations);
    snprintf(workers, sizeof workers, "%d", side->workers);
    dup2(fd, STDOUT_FILENO);
    execl(path, path, name, operations, workers, (char *)NULL);
    _exit(BENCH_EXIT_FAILED);
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
        const struct series *main_figure = bench_find_series(ours, "");
        bench_report(b, "", main_figure != NULL ? main_figure->unit : "ns/op", value);
        return;
    }
    for (int i = 0; i < ours->series_count && name[length] == '.'; i++) {
        if (strcmp(ours->series[i].name, name + length + 1) == 0) {
            bench_report(b, ours->series[i].name, ours->series[i].unit, value);
        }
    }
}

void bench_run_program(const struct row *row, struct side *side, struct bench *b)
{
    int fd;
    pid_t pid = bench_fork_with_pipe(b, &fd);
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
    if (WIFEXITED(status) && WEXITSTATUS(status) == BENCH_EXIT_SKIPPED) {
        bench_skip(b, "has no such case for so many workers");
    } else if (status != 0) {
        bench_skip(b, "failed");
    }
}
