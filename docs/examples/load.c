// SPDX-License-Identifier: MIT
/* load.c - an HTTP load generator on weft: one fiber a client, all of them children of a group.
 *
 * The main task prints a line each second. At the end the clients finish what they have under way;
 * those that do not are cancelled, and so are all when the user interrupts. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FINISH_NS (5 * WEFT_S)

enum { EXIT_INTERRUPTED = 130 };

/* The CPU time that a process has had so far, in seconds; < 0 when it can't be known. */
static double cpu_time_of(long pid)
{
    char path[64];
    char text[1024];
    unsigned long user_ticks = 0;
    unsigned long system_ticks = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return -1;
    }
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    /* The second field is the program's name in parentheses, which may hold anything. */
    const char *rest = strrchr(text, ')');
    if (rest == NULL || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                               &user_ticks, &system_ticks) != 2) {
        return -1;
    }
    return (double)(user_ticks + system_ticks) / (double)sysconf(_SC_CLK_TCK);
}

static void init_client(struct client *client, struct load *load, long index)
{
    double rate = load->options.rate;
    client->load = load;
    client->index = index;
    client->meter = &load->meters[index % METERS];
    client->random = (uint64_t)index * UINT64_C(0x9e3779b97f4a7c15) + 1;
    /* Spread evenly, so that the clients do not all send at the same moment. */
    client->next_ns = load->begin_ns + (rate > 0 ? (int64_t)(1e9 * (double)index / rate) : 0);
}

static int start_clients(struct load *load, struct client *clients, weft_group *group)
{
    int rc = 0;
    for (long i = 0; i < load->options.connections && rc == 0; i++) {
        init_client(&clients[i], load, i);
        rc = weft_group_spawn(group, NULL, client_run, &clients[i], NULL);
    }
    return rc;
}

/* A line each second, until the end of the run. */
static int watch_clients(struct load *load)
{
    int rc = 0;
    for (long second = 1; rc == 0; second++) {
        int64_t until_ns = load->begin_ns + second * WEFT_S;
        if (until_ns > load->end_ns) {
            return weft_sleep_until(load->end_ns);
        }
        rc = weft_sleep_until(until_ns);
        report_read_totals(load);
        report_second(load, second);
    }
    return rc;
}

/* Returns 0, or -ECANCELED when the user has interrupted the run. */
static intptr_t run_clients(struct load *load, struct client *clients)
{
    weft_group group;
    intptr_t rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = start_clients(load, clients, &group);
    if (rc == 0) {
        rc = watch_clients(load);
    }
    if (rc == 0) {
        rc = weft_group_drain(&group, FINISH_NS);
    }
    if (rc == -ETIMEDOUT) {
        weft_group_cancel(&group);
        rc = 0;
    }
    return weft_group_close(&group, rc);
}

static intptr_t run_load(void *arg)
{
    struct load *load = arg;
    struct client *clients = calloc((size_t)load->options.connections, sizeof *clients);
    if (clients == NULL) {
        return -ENOMEM;
    }
    double cpu_s = cpu_time_of(load->options.server_pid);
    load->begin_ns = weft_now();
    load->end_ns = load->begin_ns + load->options.duration_ns;
    intptr_t rc = run_clients(load, clients);
    struct result result = {
        .elapsed_s = (double)(weft_now() - load->begin_ns) / 1e9,
        .server_cpu_s = cpu_time_of(load->options.server_pid),
    };
    if (result.server_cpu_s >= 0) {
        result.server_cpu_s = cpu_s < 0 ? -1 : result.server_cpu_s - cpu_s;
    }
    free(clients);
    report_read_totals(load);
    report_end(load, &result);
    return rc;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    static struct meter meters[METERS];
    options_parse(&load.options, argc, argv);
    raise_descriptor_limit();
    load.meters = meters;
    load.tls = secure_load(&load.options);
    weft_options options = {.workers = load.options.workers, .sigint = true};
    intptr_t rc = weft_run(run_load, &load, &options);
    secure_unload(load.tls);
    if (rc == -EINTR) {
        return EXIT_INTERRUPTED;
    }
    if (rc < 0) {
        fprintf(stderr, "load: %s\n", strerror((int)-rc));
        return EXIT_FAILURE;
    }
    if (load.now.answers[2] == 0) {
        fprintf(stderr, "load: not one request was answered with success\n");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
