// SPDX-License-Identifier: MIT
/* echo.h - servers that send back what comes, and the load for them.
 *
 * What: a server is a function that serves a listening socket in a process of its own, for ever. The raw
 *       ones are what a loop can do without anything around it: the measure for the others.
 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <stdbool.h>
#include <stdint.h>

enum { ECHO_BYTES = 64, ECHO_BUFFER = 1024, ECHO_CONNECTIONS = 4096 };

/* Serves until it is killed. Returns only what went wrong: a negative errno. */
typedef int echo_server(int listener);

int echo_raw_epoll(int listener);
int echo_raw_uring(int listener);
int echo_weft_epoll(int listener);
int echo_weft_uring(int listener);
int echo_weft_auto(int listener);
int echo_weft_two_workers(int listener);

struct echo_load {
    int connections;
    int64_t duration_ns;
    void (*begin)(void *arg); /* called when the warm-up is over; may be NULL */
    void *arg;

    uint64_t requests; /* what came of it: all that was answered in that time */
    double p50_us;
    double p99_us;
    double p999_us;
};

/* Connects to the port of 127.0.0.1, sends ECHO_BYTES on each connection and the next as soon as they are back.
 * False: something failed. */
bool echo_run_load(int port, struct echo_load *load);

#endif
