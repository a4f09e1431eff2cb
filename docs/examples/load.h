// SPDX-License-Identifier: MIT
/* load.h - what the files of the example load generator share.
 *
 *   load.c            the program: clients in a group, a line each second, the end
 *   load_client.c     one fiber a connection: send, receive, count
 *   load_tls.c        connections through TLS; load_plain.c where weft-tls was not built
 *   load_histogram.c  latencies into percentiles
 *   load_report.c     counters into text and JSON
 *   load_options.c    the command line
 */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <weft.h>

/* ---- options ---- */

enum { ROUTES_MAX = 16, REQUEST_BYTES_MAX = 512 };

struct load_route {
    char request[REQUEST_BYTES_MAX]; /* ready to send */
    size_t length;
    long weight_sum; /* of this and all before it */
};

struct options {
    const char *host;
    long port;
    struct sockaddr_storage address;
    socklen_t address_length;

    struct load_route routes[ROUTES_MAX];
    size_t route_count;

    long connections;
    long pipeline;      /* requests that a connection may have under way */
    double rate;        /* requests a second in all; 0 = as many as there are answers */
    double flaky_share; /* of the requests, after which the client hangs up */
    int64_t duration_ns;
    int64_t timeout_ns;

    bool is_secure;               /* https */
    const char *authorities_file; /* who certifies the server; NULL: nobody need */

    long server_pid; /* 0: not known */
    int workers;
    bool is_json;
    bool is_quiet;
};

/* Fills in the command line; prints one line and exits with 2 where it is wrong. */
void options_parse(struct options *options, int argc, char **argv);

/* ---- latencies ---- */

/* Log-linear: each power of two is split into equal parts, so that any value is known to one part in
 * SUB_BUCKETS, from a nanosecond to hours. */
enum {
    SUB_BITS = 6,
    SUB_BUCKETS = 1 << SUB_BITS,
    BUCKETS = (44 - SUB_BITS + 1) * SUB_BUCKETS,
};

struct histogram {
    atomic_uint_fast64_t counts[BUCKETS];
    atomic_int_fast64_t max_ns;
};

/* A sum of histograms at one moment, or the difference of two. */
struct latencies {
    uint64_t counts[BUCKETS];
    uint64_t total;
    int64_t max_ns;
};

void histogram_add(struct histogram *histogram, int64_t latency_ns);
void latencies_add(struct latencies *sum, const struct histogram *histogram);
void latencies_subtract(struct latencies *from, const struct latencies *what);

/* The latency that `share` (0.99) of the requests did not exceed; 0 when there were none. */
int64_t latencies_at(const struct latencies *latencies, double share);

/* ---- counting ---- */

enum failure {
    FAILED_CONNECT,
    FAILED_RESET,  /* sending or receiving failed */
    FAILED_CLOSED, /* the server closed with requests unanswered */
    FAILED_TIMEOUT,
    FAILED_PROTOCOL, /* not HTTP */
    FAILURE_COUNT,
};

enum { STATUS_CLASSES = 6 }; /* answers by status / 100 */

/* Clients share a few of these, so that they neither fight for one nor need much memory each. */
struct meter {
    struct histogram histogram;
    atomic_uint_fast64_t sent;
    atomic_uint_fast64_t answers[STATUS_CLASSES];
    atomic_uint_fast64_t failures[FAILURE_COUNT];
    atomic_uint_fast64_t hang_ups; /* on purpose */
} __attribute__((aligned(64)));

enum { METERS = 16 };

struct totals {
    struct latencies latencies;
    uint64_t sent;
    uint64_t answered;
    uint64_t answers[STATUS_CLASSES];
    uint64_t failed;
    uint64_t failures[FAILURE_COUNT];
    uint64_t hang_ups;
};

/* ---- the program ---- */

struct load {
    struct options options;
    struct weft_tls_context *tls; /* NULL: plain */
    int64_t begin_ns;
    int64_t end_ns;
    struct meter *meters;
    struct totals now;      /* as read last */
    struct totals previous; /* a second before */
};

struct client {
    struct load *load;
    struct meter *meter;
    long index;
    uint64_t random;
    int64_t next_ns; /* when its next request is to be sent, with a rate */
};

/* ---- TLS ---- */

/* NULL for plain http. Exits with a message where the file is no good, or TLS was not built. */
struct weft_tls_context *secure_load(const struct options *options);
void secure_unload(struct weft_tls_context *context);

/* Does the handshake and opens the stream. Owns `fd` from here on: it is closed where this fails. */
int secure_open(const struct load *load, weft_stream *stream, int fd);

/* ---- clients ---- */

/* The task of one client. */
intptr_t client_run(void *arg);

struct result {
    double elapsed_s;
    double server_cpu_s; /* < 0: not known */
};

void report_read_totals(struct load *load);
void report_second(const struct load *load, long second);
void report_end(const struct load *load, const struct result *result);

#endif
