/* SPDX-License-Identifier: MIT */
/* test_streams.c - streams whose readers and writers are cancelled again and again.
 *
 * Each connection carries a known sequence of bytes in both directions, so at each end one task reads and
 * another writes at the same time. Whatever call a request ends, all bytes arrive once and in their order. */
#include <sys/socket.h>
#include <unistd.h>

#include <weft/group.h>
#include <weft/stream.h>
#include <weft/time.h>

#include "stress.h"

enum { PAIRS = 3, BYTES = STRESS_COUNT(4000000) };

struct end {
    weft_stream stream;
    uint64_t seed;
    weft_task *reader;
    weft_task *writer;
    atomic_int started; /* of the two: a task that is cancelled before never runs */
    atomic_int running;
};

static atomic_long ended_by_request;

static char nth(uint64_t i)
{
    return i % 61 == 60 ? '\n' : (char)('!' + i * 11 % 90);
}

/* True when it was one of the canceller's requests, which is taken back: go on. */
static bool was_request(intptr_t rc)
{
    if (rc != -ECANCELED) {
        return false;
    }
    atomic_fetch_add(&ended_by_request, 1);
    while (weft_uncancel(weft_self()) > 0) {
    }
    return true;
}

static intptr_t write_sequence(void *arg)
{
    struct end *end = arg;
    uint64_t random = end->seed;
    char piece[3000];
    int rc = 0;
    atomic_fetch_add(&end->started, 1);
    while (weft_stream_written(&end->stream) < BYTES) {
        uint64_t start = weft_stream_written(&end->stream);
        uint64_t length = 1 + draw(&random) % sizeof piece;
        length = length < BYTES - start ? length : BYTES - start;
        for (uint64_t i = 0; i < length; i++) {
            piece[i] = nth(start + i);
        }
        rc = weft_stream_write(&end->stream, piece, length);
        if (rc < 0 && !wt_check(was_request(rc))) {
            break;
        }
    }
    do {
        rc = weft_stream_shut(&end->stream);
    } while (was_request(rc));
    wt_check(rc == 0);
    atomic_fetch_sub(&end->running, 1);
    return 0;
}

static ssize_t read_some(struct end *end, uint64_t *random, char *text, size_t size)
{
    size_t length = 1 + draw(random) % (size - 1);
    const void *bytes = NULL;
    ssize_t n;
    switch (draw(random) % 4) {
    case 0:
        return weft_stream_read(&end->stream, text, length);
    case 1:
        return weft_stream_read_exactly(&end->stream, text, length);
    case 2:
        return weft_stream_read_until(&end->stream, text, size, "\n", 1);
    default:
        n = weft_stream_peek(&end->stream, 1, &bytes);
        if (n > 0) {
            memcpy(text, bytes, 1);
            wt_check(weft_stream_skip(&end->stream, 1) == 0);
        }
        return n > 0 ? 1 : n;
    }
}

static intptr_t read_sequence(void *arg)
{
    struct end *end = arg;
    uint64_t random = end->seed * 31;
    char text[2000];
    uint64_t got = 0;
    atomic_fetch_add(&end->started, 1);
    while (got < BYTES) {
        ssize_t n = read_some(end, &random, text, sizeof text);
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] != nth(got + (uint64_t)i)) {
                n = -EILSEQ; /* the sequence is broken */
            }
        }
        got += n > 0 ? (uint64_t)n : 0;
        if (n <= 0 && n != -ENODATA && !wt_check(was_request(n))) { /* ENODATA: fewer are left */
            break;
        }
    }
    wt_check(got == BYTES);
    atomic_fetch_sub(&end->running, 1);
    return 0;
}

/* Requests to either task, until both have done their work. */
static intptr_t cancel_both(void *arg)
{
    struct end *end = arg;
    uint64_t random = end->seed * 17;
    while (atomic_load(&end->started) < 2) {
        wt_check(weft_yield() == 0);
    }
    while (atomic_load(&end->running) > 0) {
        (void)weft_cancel(draw(&random) % 2 == 0 ? end->reader : end->writer);
        dither(&random);
        int rc = draw(&random) % 8 == 0 ? weft_sleep(draw_us(&random, 100)) : weft_yield();
        wt_check(rc == 0);
    }
    return 0;
}

static void start(struct end *end, int fd, uint64_t seed, weft_group *group)
{
    end->seed = seed | 1;
    atomic_store(&end->running, 2);
    wt_check(weft_stream_open(&end->stream, fd, fd, NULL) == 0);
    wt_check(weft_spawn(&end->reader, read_sequence, end) == 0);
    wt_check(weft_spawn(&end->writer, write_sequence, end) == 0);
    wt_check(weft_group_spawn(group, NULL, cancel_both, end, NULL) == 0);
}

static void finish(struct end *end)
{
    wt_check(weft_await(end->reader, NULL) == 0);
    wt_check(weft_await(end->writer, NULL) == 0);
    weft_stream_close(&end->stream);
}

static intptr_t run_streams(void *arg)
{
    struct end *ends = calloc((size_t)PAIRS * 2, sizeof *ends);
    uint64_t random = as_seed(arg);
    weft_group group;
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < PAIRS * 2; i += 2) {
        int fds[2];
        wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
        start(&ends[i], fds[0], draw(&random), &group);
        start(&ends[i + 1], fds[1], draw(&random), &group);
    }
    wt_check(weft_group_close(&group, 0) == 0);
    for (int i = 0; i < PAIRS * 2; i++) {
        finish(&ends[i]);
    }
    wt_check(atomic_exchange(&ended_by_request, 0) > 0);
    free(ends);
    return 0;
}

STRESS_TEST(streams, lose_nothing, run_streams);
