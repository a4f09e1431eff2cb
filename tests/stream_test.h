// SPDX-License-Identifier: MIT
/* stream_test.h - what the tests of streams share. */
#ifndef WEFT_STREAM_TEST_H
#define WEFT_STREAM_TEST_H

#include <weft.h>
#include <weft/testing.h>

#include "support.h"
#include "weft_test.h"

__attribute__((unused)) static const weft_options plain_sim = {.simulate = true};

WT_FN void open_pipe(weft_stream *in, weft_stream *out, const weft_stream_options *options)
{
    int fds[2];
    wt_check(weft_sim_pipe(fds) == 0);
    wt_check(weft_stream_open(in, fds[0], -1, options) == 0);
    wt_check(weft_stream_open(out, -1, fds[1], options) == 0);
}

WT_FN void close_two(weft_stream *a, weft_stream *b)
{
    weft_stream_close(a);
    weft_stream_close(b);
}

WT_FN int put(weft_stream *stream, const char *text)
{
    int rc = weft_stream_write(stream, text, strlen(text));
    return rc == 0 ? weft_stream_flush(stream) : rc;
}

#endif
