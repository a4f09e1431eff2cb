// SPDX-License-Identifier: MIT
/* bench_echo.c - 64 bytes back and forth over TCP: one processor serves, the other is the load.
 *
 * Each repetition forks a server, pins it, lets the load run against it, and kills it. The main figure is the
 * time per request at saturation, the others the server's processor time per request and the load's
 * latencies. Peer programs get the listening socket as a descriptor, so that all sides have the same load
 * and the same clocks.
 * --set seconds=N: how long each repetition measures (1.5).
 */
#include "harness.h"

#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "echo.h"

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static int open_listener(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

struct meter {
    clockid_t clock; /* of the server's process */
    double started_s;
};

static double server_s(const struct meter *meter)
{
    struct timespec used = {0, 0};
    (void)clock_gettime(meter->clock, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static int64_t duration_ns(const struct bench *b)
{
    return (int64_t)(1e9 * bench_setting("seconds", b->is_quick ? 0.2 : 1.5));
}

static void start_meter(void *arg)
{
    struct meter *meter = arg;
    meter->started_s = server_s(meter);
}

/* What programs call it: PROGRAM echo_serve DESCRIPTOR WORKERS. */
static const char program_case[] = "echo_serve";

/* The listening socket's number in the server, and the last that every process may have: the kernel's table of
 * descriptors is then as large as it will be. To enlarge it, accept waits for an RCU grace period in a process
 * of several threads, and that takes seconds where a real-time class has all processors. */
enum { LISTENER = 1023 };

static void exec_server(const struct bench *b)
{
    char descriptor[12];
    char workers[12];
    snprintf(descriptor, sizeof descriptor, "%d", LISTENER);
    snprintf(workers, sizeof workers, "%d", b->workers);
    execl(b->program, b->program, program_case, descriptor, workers, (char *)NULL);
}

/* `server` is NULL for a program. */
static pid_t start_server(struct bench *b, echo_server *server, int listener)
{
    pid_t child = fork();
    bench_require(b, child >= 0, "fork");
    if (child > 0) {
        return child;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(0);
    if (dup2(listener, LISTENER) == LISTENER && close(listener) == 0) {
        if (server != NULL) {
            _exit(-server(LISTENER));
        }
        exec_server(b);
    }
    _exit(1);
}

static void measure(struct bench *b, echo_server *server, int connections)
{
    int port = 0;
    int listener = open_listener(&port);
    bench_require(b, listener >= 0, "listen");
    pid_t child = start_server(b, server, listener);
    (void)close(listener); /* the server's alone: when it ends, the load fails */
    cpu_set_t former;
    (void)sched_getaffinity(0, sizeof former, &former);
    pin(1);
    struct meter meter = {.started_s = 0};
    struct echo_load load = {.connections = connections,
                             .duration_ns = duration_ns(b),
                             .begin = start_meter,
                             .arg = &meter};
    bool ok = clock_getcpuclockid(child, &meter.clock) == 0 && echo_run_load(port, &load);
    double used_s = server_s(&meter) - meter.started_s;
    (void)kill(child, SIGKILL);
    int status = 0;
    (void)waitpid(child, &status, 0);
    (void)sched_setaffinity(0, sizeof former, &former);
    if (!ok || load.requests == 0) {
        bench_skip(b, "the server could not run");
        return;
    }
    double requests = (double)load.requests;
    bench_report(b, "", "us", 1e-3 * (double)load.duration_ns / requests);
    bench_report(b, "server", "us", 1e6 * used_s / requests);
    bench_report(b, "p50", "us", load.p50_us);
    bench_report(b, "p99", "us", load.p99_us);
    bench_report(b, "p99.9", "us", load.p999_us);
}

#define SIDES(Connections)                               \
    static void auto_##Connections(struct bench *b)      \
    {                                                    \
        measure(b, echo_weft_auto, Connections);         \
    }                                                    \
    static void uring_##Connections(struct bench *b)     \
    {                                                    \
        measure(b, echo_weft_uring, Connections);        \
    }                                                    \
    static void epoll_##Connections(struct bench *b)     \
    {                                                    \
        measure(b, echo_weft_epoll, Connections);        \
    }                                                    \
    static void two_##Connections(struct bench *b)       \
    {                                                    \
        measure(b, echo_weft_two_workers, Connections);  \
    }                                                    \
    static void raw_uring_##Connections(struct bench *b) \
    {                                                    \
        measure(b, echo_raw_uring, Connections);         \
    }                                                    \
    static void raw_epoll_##Connections(struct bench *b) \
    {                                                    \
        measure(b, echo_raw_epoll, Connections);         \
    }                                                    \
    static void program_##Connections(struct bench *b)   \
    {                                                    \
        measure(b, NULL, Connections);                   \
    }

SIDES(64)
SIDES(1000)

static const struct bench_case cases[] = {
    {.name = "echo_64",
     .operations = 1,
     .body = auto_64,
     .workers = 1,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .programs_as = program_case,
     .serve_program = program_64,
     .peers = {{"raw_uring", .body = raw_uring_64}, {"raw_epoll", .body = raw_epoll_64}}},
    {.name = "echo_64_uring",
     .operations = 1,
     .body = uring_64,
     .workers = 1,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .peers = {{"raw_uring", .body = raw_uring_64}}},
    {.name = "echo_64_epoll",
     .operations = 1,
     .body = epoll_64,
     .workers = 1,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .peers = {{"raw_epoll", .body = raw_epoll_64}}},
    {.name = "echo_64_two",
     .operations = 1,
     .body = two_64,
     .workers = 2,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .peers = {{"one_worker", .body = auto_64}}},
    {.name = "echo_1000",
     .operations = 1,
     .body = auto_1000,
     .workers = 1,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .programs_as = program_case,
     .serve_program = program_1000,
     .peers = {{"raw_uring", .body = raw_uring_1000}, {"raw_epoll", .body = raw_epoll_1000}}},
    {.name = "echo_1000_uring",
     .operations = 1,
     .body = uring_1000,
     .workers = 1,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .peers = {{"raw_uring", .body = raw_uring_1000}}},
    {.name = "echo_1000_epoll",
     .operations = 1,
     .body = epoll_1000,
     .workers = 1,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .peers = {{"raw_epoll", .body = raw_epoll_1000}}},
    {.name = "echo_1000_two",
     .operations = 1,
     .body = two_1000,
     .workers = 2,
     .flags = BENCH_PLAIN | BENCH_ONCE,
     .peers = {{"one_worker", .body = auto_1000}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "echo", cases, sizeof cases / sizeof cases[0]);
}
