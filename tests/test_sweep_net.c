/* SPDX-License-Identifier: MIT */
/* test_sweep_net.c - streams, connecting and looking up names under the cancel sweep.
 *
 * The descriptors are simulated, so the sweep finds those that are left open; `held` counts the rest. */
#include <errno.h>

#include <weft.h>

#include "sweep_test.h"

/* ---- streams ---- */

static intptr_t writes_stream(void *arg)
{
    static const char text[] = "first\nsecond\n0123456789;;and the rest of it\n";
    weft_stream out;
    int rc = weft_stream_open(&out, -1, *(const int *)arg, NULL);
    if (rc < 0) {
        (void)weft_close(*(const int *)arg);
        return rc;
    }
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = weft_stream_write(&out, text, sizeof text - 1);
        rc = rc == 0 ? weft_stream_flush(&out) : rc;
    }
    rc = rc == 0 ? weft_stream_shut(&out) : rc;
    weft_stream_close(&out);
    return rc;
}

/* One of each call; a request between two of them loses nothing. */
static ssize_t read_each_way(weft_stream *in)
{
    char text[64];
    const void *bytes = NULL;
    ssize_t n = weft_stream_wait(in);
    n = n >= 0 ? weft_stream_read_line(in, text, sizeof text) : n;
    wt_check(n < 0 || (n == 5 && strcmp(text, "first") == 0));
    n = n >= 0 ? weft_stream_read_exactly(in, text, 7) : n;
    wt_check(n < 0 || memcmp(text, "second\n", 7) == 0);
    n = n >= 0 ? weft_stream_read_until(in, text, sizeof text, ";;", 2) : n;
    wt_check(n < 0 || (n == 12 && memcmp(text, "0123456789;;", 12) == 0));
    n = n >= 0 ? weft_stream_peek(in, 3, &bytes) : n;
    wt_check(n < 0 || memcmp(bytes, "and", 3) == 0);
    while (n > 0) {
        n = weft_stream_read(in, text, sizeof text);
    }
    return n;
}

static intptr_t streams(void *arg)
{
    static const weft_stream_options small = {.read_bytes = 16, .write_bytes = 16};
    int fds[2];
    weft_stream in;
    weft_task *writer;
    (void)arg;
    int rc = weft_sim_pipe(fds);
    if (rc < 0) {
        return rc;
    }
    rc = weft_stream_open(&in, fds[0], -1, &small);
    wt_check(rc == 0);
    rc = weft_spawn(&writer, writes_stream, &fds[1]);
    if (rc < 0) {
        (void)weft_close(fds[1]);
        weft_stream_close(&in);
        return rc;
    }
    ssize_t n = read_each_way(&in);
    weft_stream_close(&in); /* the writer is told -EPIPE at the latest */
    int ended = weft_await(writer, NULL);
    if (weft_wait_fd(fds[1], WEFT_WRITABLE) >= 0) {
        (void)weft_close(fds[1]); /* it was cancelled before it began */
    }
    return n < 0 ? n : ended;
}

Test(sweep_net, streams)
{
    sweep(streams, 12);
}
