/* SPDX-License-Identifier: MIT */
/* test_tls_flow.c - much through a TLS connection at once, streams over it, and calls that are cancelled again and
 * again: every byte arrives, in its place. */
#include <weft/stream.h>

#include "tls/pair.h"

/* ---- much at once ---- */

enum { MUCH = 3 * 1000 * 1000 };

struct flow {
    weft_tls *tls;
    uint64_t seed;
};

static uint8_t pattern(uint64_t seed, size_t at)
{
    return (uint8_t)((at * 2654435761U + seed) >> 7);
}

static intptr_t pour(void *arg)
{
    const struct flow *flow = arg;
    uint8_t piece[20000];
    size_t at = 0;
    while (at < MUCH) {
        size_t length = MUCH - at < sizeof piece ? MUCH - at : 1 + (at * 7919) % sizeof piece;
        for (size_t i = 0; i < length; i++) {
            piece[i] = pattern(flow->seed, at + i);
        }
        ssize_t n = weft_tls_write(flow->tls, piece, length);
        if (n <= 0) {
            return n < 0 ? n : -EIO;
        }
        at += (size_t)n;
    }
    return weft_tls_shutdown(flow->tls);
}

static intptr_t drink(void *arg)
{
    const struct flow *flow = arg;
    uint8_t piece[10000];
    size_t at = 0;
    for (;;) {
        ssize_t n = weft_tls_read(flow->tls, piece, 1 + at % sizeof piece);
        if (n <= 0) {
            return n < 0 ? n : at == MUCH ? 0 : -EIO;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (piece[i] != pattern(flow->seed, at + (size_t)i)) {
                return -EILSEQ;
            }
        }
        at += (size_t)n;
    }
}

/* Four tasks: both directions at once, on two workers. */
static intptr_t both_ways(void *arg)
{
    struct pair pair;
    weft_group group;
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    struct flow up[2] = {{pair.client, 1}, {pair.server, 1}};
    struct flow down[2] = {{pair.server, 2}, {pair.client, 2}};
    int rc = weft_group_open(&group, 0);
    wt_check(rc == 0);
    rc = rc == 0 ? weft_group_spawn(&group, NULL, pour, &up[0], NULL) : rc;
    rc = rc == 0 ? weft_group_spawn(&group, NULL, drink, &up[1], NULL) : rc;
    rc = rc == 0 ? weft_group_spawn(&group, NULL, pour, &down[0], NULL) : rc;
    rc = rc == 0 ? weft_group_spawn(&group, NULL, drink, &down[1], NULL) : rc;
    rc = (int)weft_group_close(&group, rc);
    close_pair(&pair);
    return rc;
}

Test(tls_flow, both_directions_at_once, .timeout = 40)
{
    RUN_WITH(both_ways, plain, plain, 2);
}

/* ---- as the transport of a stream ---- */

static intptr_t answer_lines(void *arg)
{
    weft_stream *stream = arg;
    char line[128];
    ssize_t n;
    while ((n = weft_stream_read_line(stream, line, sizeof line)) >= 0) {
        line[n] = '\n';
        int rc = weft_stream_write(stream, line, (size_t)n + 1);
        rc = rc == 0 && n == 0 ? weft_stream_flush(stream) : rc; /* an empty line asks for it */
        if (rc < 0) {
            return rc;
        }
    }
    return n == -ENODATA ? weft_stream_shut(stream) : n;
}

static intptr_t streams(void *arg)
{
    struct pair pair;
    weft_stream server, client;
    weft_task *task;
    intptr_t result = -1;
    char line[128];
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    wt_check(weft_stream_open_on(&server, weft_tls_transport(), pair.server, NULL) == 0);
    wt_check(weft_stream_open_on(&client, weft_tls_transport(), pair.client, NULL) == 0);
    wt_check(weft_spawn(&task, answer_lines, &server) == 0);
    for (int i = 0; i < 100; i++) {
        int length = sprintf(line, "line %d of a hundred\r\n\n", i);
        wt_check(weft_stream_write(&client, line, (size_t)length) == 0);
        wt_check(weft_stream_flush(&client) == 0);
        line[length - 3] = '\0';
        char got[128] = "";
        wt_check(weft_stream_read_line(&client, got, sizeof got) == length - 3);
        wt_check(strcmp(got, line) == 0);
        wt_check(weft_stream_read_line(&client, got, sizeof got) == 0);
    }
    wt_check(weft_within(0, weft_stream_wait(&client)) == -ETIMEDOUT);
    wt_check(weft_stream_shut(&client) == 0);
    wt_check(weft_stream_read_line(&client, line, sizeof line) == -ENODATA);
    wt_check(weft_await(task, &result) == 0 && result == 0);
    weft_stream_close(&client);
    weft_stream_close(&server);
    return 0;
}

Test(tls_flow, streams, .timeout = 20)
{
    RUN_WITH(streams, plain, plain, 2);
}

static intptr_t read_stream(void *stream)
{
    char byte;
    return weft_stream_read(stream, &byte, 1);
}

/* Whoever is inside gets -EBADF, and nothing is freed under its feet. */
static intptr_t close_stream(void *arg)
{
    struct pair pair;
    weft_stream stream;
    weft_task *task;
    intptr_t result = 0;
    char byte;
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    wt_check(weft_stream_open_on(&stream, weft_tls_transport(), pair.client, NULL) == 0);
    wt_check(weft_spawn(&task, read_stream, &stream) == 0);
    wt_check(weft_yield() == 0);
    weft_stream_close(&stream);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -EBADF);
    wt_check(weft_tls_read(pair.server, &byte, 1) == 0); /* the farewell was said */
    weft_tls_close(pair.server);
    return 0;
}

Test(tls_flow, a_stream_closed_under_a_reader, .timeout = 20)
{
    RUN_WITH(close_stream, plain, plain, 1);
}

/* ---- two tasks on one side ---- */

static intptr_t read_byte(void *tls)
{
    char byte;
    return weft_tls_read(tls, &byte, 1);
}

static intptr_t busy(void *arg)
{
    struct pair pair;
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    wt_check(weft_spawn(&task, read_byte, pair.server) == 0);
    wt_check(weft_yield() == 0); /* one worker: the other one reads now */
    wt_check(read_byte(pair.server) == -EBUSY);
    exchange(pair.server, pair.client, "writing goes on");
    wt_check(write_all(pair.client, "x", 1) == 0);
    wt_check(weft_await(task, &result) == 0 && result == 1);
    close_pair(&pair);
    return 0;
}

Test(tls_flow, a_second_reader_is_refused, .timeout = 20)
{
    RUN_WITH(busy, plain, plain, 1);
}

/* ---- cancellation loses nothing ---- */

/* Is cancelled again and again while it reads, by limits that are over at once or soon. */
static intptr_t drink_nervously(void *arg)
{
    const struct flow *flow = arg;
    uint8_t piece[3000];
    size_t at = 0;
    uint64_t cancelled = 0;
    for (size_t round = 0;; round++) {
        intptr_t n =
            weft_within((int64_t)(round % 7) * 3000, weft_tls_read(flow->tls, piece, sizeof piece));
        if (n == -ETIMEDOUT) {
            cancelled++;
            continue;
        }
        if (n <= 0) {
            wt_check(cancelled > 0);
            return n < 0 ? n : at == MUCH ? 0 : -EIO;
        }
        for (intptr_t i = 0; i < n; i++) {
            if (piece[i] != pattern(flow->seed, at + (size_t)i)) {
                return -EILSEQ;
            }
        }
        at += (size_t)n;
    }
}

/* After each failed write other bytes would be as good: it takes a piece of another length. */
static intptr_t pour_nervously(void *arg)
{
    const struct flow *flow = arg;
    uint8_t piece[20000];
    size_t at = 0;
    for (size_t round = 0; at < MUCH; round++) {
        size_t length = 1 + (round * 7919) % sizeof piece;
        length = MUCH - at < length ? MUCH - at : length;
        for (size_t i = 0; i < length; i++) {
            piece[i] = pattern(flow->seed, at + i);
        }
        intptr_t n =
            weft_within((int64_t)(round % 5) * 2000, weft_tls_write(flow->tls, piece, length));
        if (n < 0 && n != -ETIMEDOUT) {
            return n;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    intptr_t rc;
    do {
        rc = weft_within(1000, weft_tls_shutdown(flow->tls));
    } while (rc == -ETIMEDOUT);
    return rc;
}

static intptr_t nervous(void *arg)
{
    struct pair pair;
    int fds[2];
    weft_group group;
    (void)arg;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    wt_check(open_over(&pair, fds, world.server, world.client, "localhost") == 0);
    struct flow up[2] = {{pair.client, 3}, {pair.server, 3}};
    int rc = weft_group_open(&group, 0); /* the handshake is interrupted too */
    rc = rc == 0 ? weft_group_spawn(&group, NULL, pour_nervously, &up[0], NULL) : rc;
    rc = rc == 0 ? weft_group_spawn(&group, NULL, drink_nervously, &up[1], NULL) : rc;
    rc = (int)weft_group_close(&group, rc);
    close_pair(&pair);
    return rc;
}

Test(tls_flow, cancelled_calls_lose_nothing, .timeout = 60)
{
    RUN_WITH(nervous, plain, plain, 2);
}
