// SPDX-License-Identifier: MIT
/* harness_peers.c - one repetition of a side that is a program; see README.md for the contract. */
#include "harness_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Called without arguments a program lists the cases that it knows, "NAME MOST_WORKERS" (0: any). */
struct program {
    const char *name;
    const char *file;
    bool is_asked;
    char *path;  /* NULL: not there */
    char *cases; /* what it listed */
};

static struct program programs[BENCH_PROGRAMS] = {
    {.name = "tbb", .file = "peer_tbb"},
    {.name = "boost.fiber", .file = "peer_boost"},
    {.name = "libuv", .file = "peer_uv"},
    {.name = "go", .file = "peer_go"},
    {.name = "tokio", .file = "peer_tokio"},
    {.name = "tokio.current", .file = "peer_tokio_current"},
    {.name = "asyncio", .file = "peer_asyncio"},
    {.name = "uvloop", .file = "peer_uvloop"},
};

static char *read_list(const char *path)
{
    enum { LIST = 8192 };
    char *list = calloc(1, LIST);
    char command[4200];
    snprintf(command, sizeof command, "'%s'", path);
    FILE *in = popen(command, "re");
    if (list != NULL && in != NULL) {
        list[0] = '\n'; /* each name then follows one */
        (void)fread(list + 1, 1, LIST - 2, in);
    }
    if (in != NULL) {
        (void)pclose(in);
    }
    return list;
}

static void ask(struct program *program)
{
    char path[4096];
    program->is_asked = true;
    snprintf(path, sizeof path, "%s/%s", bench_run.peers, program->file);
    if (access(path, X_OK) == 0) {
        program->path = strdup(path);
        program->cases = read_list(path);
    } else {
        fprintf(bench_run.table, "# %s left out: no %s\n", program->name, path);
    }
}

static const char *name_there(const struct bench_case *what)
{
    return what->programs_as != NULL ? what->programs_as : what->name;
}

const char *bench_program(int n, const struct bench_case *what, int workers, const char **name)
{
    struct program *program = &programs[n];
    char wanted[128];
    *name = program->name;
    if (!program->is_asked) {
        ask(program);
    }
    if (program->path == NULL || program->cases == NULL) {
        return NULL;
    }
    snprintf(wanted, sizeof wanted, "\n%s ", name_there(what));
    const char *found = strstr(program->cases, wanted);
    long most = found != NULL ? strtol(found + strlen(wanted), NULL, 10) : -1;
    return most == 0 || most >= workers ? program->path : NULL;
}

static void exec_peer(const struct row *row, const struct side *side, const struct bench *b, int fd)
{
    char operations[24];
    char workers[12];
    snprintf(operations, sizeof operations, "%llu", (unsigned long long)b->operations);
    snprintf(workers, sizeof workers, "%d", side->workers);
    dup2(fd, STDOUT_FILENO);
    execl(side->program, side->program, name_there(row->what), operations, workers, (char *)NULL);
    _exit(BENCH_EXIT_FAILED);
}

/* "NAME VALUE" is the main figure, "NAME.FIGURE VALUE" the case's figure of that name. */
static void read_line(const struct row *row, struct bench *b, const char *line)
{
    char name[128];
    double value;
    const char *wanted = name_there(row->what);
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
        read_line(row, b, line);
    }
    fclose(in);
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == BENCH_EXIT_SKIPPED) {
        bench_skip(b, "it can't do that");
    } else if (status != 0) {
        bench_skip(b, "failed");
    }
}
