// SPDX-License-Identifier: MIT
/* bench_stream.c - what a stream charges for lines that are in its buffer already.
 *
 * What: lines_read     lines of 64 bytes by weft_stream_read_line, from a transport that always has more in memory.
 *       lines_written  the same by weft_stream_write into one that takes everything.
 *       lines_answered each line that is read is written, with one flush for each buffer of them: a server whose clients do
 *                      not wait for answers, without its system calls.
 * Beside it stands what has to be done in any case: memchr, and a copy of each line.
 */
#include "harness.h"

#include <string.h>

#include <weft/stream.h>

enum { LINE = 64, LINES = 256, TEXT = LINE * LINES };

static char text[TEXT];
static char taken[TEXT];

static void fill(struct bench *b)
{
    (void)b;
    memset(text, 'x', sizeof text);
    for (int i = 1; i <= LINES; i++) {
        text[i * LINE - 1] = '\n';
    }
}

/* ---- streams -------------------------------------------------------------------------------------- */

static ssize_t give(void *context, void *buffer, size_t length)
{
    size_t count = length < TEXT ? length : TEXT;
    (void)context;
    memcpy(buffer, text, count);
    return (ssize_t)count;
}

static ssize_t take(void *context, const void *bytes, size_t length)
{
    size_t count = length < TEXT ? length : TEXT;
    (void)context;
    memcpy(taken, bytes, count);
    return (ssize_t)count;
}

static const weft_transport memory = {.read = give, .write = take};

static void open_memory(struct bench *b, weft_stream *stream)
{
    static const weft_stream_options options = {.read_bytes = TEXT, .write_bytes = TEXT};
    bench_require(b, weft_stream_open_on(stream, &memory, NULL, &options) == 0, "open");
}

static void lines_read(struct bench *b)
{
    weft_stream stream;
    char line[2 * LINE];
    ssize_t sum = 0;
    open_memory(b, &stream);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        sum += weft_stream_read_line(&stream, line, sizeof line);
    }
    bench_stop(b);
    bench_require(b, sum == (ssize_t)b->operations * (LINE - 1), "read");
    weft_stream_close(&stream);
}

static void lines_written(struct bench *b)
{
    weft_stream stream;
    int rc = 0;
    open_memory(b, &stream);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        rc |= weft_stream_write(&stream, text, LINE);
    }
    bench_stop(b);
    bench_require(b, rc == 0, "write");
    weft_stream_close(&stream);
}

static void lines_answered(struct bench *b)
{
    weft_stream stream;
    char line[2 * LINE];
    int rc = 0;
    open_memory(b, &stream);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        ssize_t length = weft_stream_read_line(&stream, line, sizeof line - 1);
        bench_require(b, length >= 0, "read");
        line[length] = '\n';
        rc |= weft_stream_write(&stream, line, (size_t)length + 1);
        if (weft_stream_buffered(&stream) == 0) {
            rc |= weft_stream_flush(&stream);
        }
    }
    bench_stop(b);
    bench_require(b, rc == 0, "write");
    weft_stream_close(&stream);
}

/* ---- by hand -------------------------------------------------------------------------------------- */

/* A line of the text at `at` as a string: where the next one begins. */
static size_t read_by_hand(char *line, size_t at)
{
    const char *end = memchr(text + at, '\n', TEXT - at);
    size_t length = (size_t)(end - (text + at));
    memcpy(line, text + at, length);
    line[length] = '\0';
    return at + length + 1;
}

static void read_loop(struct bench *b)
{
    char line[2 * LINE];
    size_t at = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        at = read_by_hand(line, at) % TEXT;
        __asm__ volatile("" ::"r"(line) : "memory");
    }
    bench_stop(b);
}

static void write_loop(struct bench *b)
{
    size_t at = 0;
    size_t length = LINE;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        __asm__ volatile("" : "+r"(length)::"memory"); /* as a call that does not know it */
        memcpy(taken + at, text, length);
        at = (at + length) % TEXT;
    }
    bench_stop(b);
}

static void answer_loop(struct bench *b)
{
    char line[2 * LINE];
    size_t at = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        size_t next = read_by_hand(line, at);
        line[next - at - 1] = '\n';
        memcpy(taken + at, line, next - at);
        at = next % TEXT;
        __asm__ volatile("" ::"r"(line) : "memory");
    }
    bench_stop(b);
}

/* --------------------------------------------------------------------------------------------------- */

enum { CALLS = 4000000 };

static const struct bench_case cases[] = {
    {.name = "lines_read",
     .operations = CALLS,
     .body = lines_read,
     .prepare = fill,
     .workers = 1,
     .peers = {{.name = "memchr", .body = read_loop}}},
    {.name = "lines_written",
     .operations = CALLS,
     .body = lines_written,
     .prepare = fill,
     .workers = 1,
     .peers = {{.name = "memcpy", .body = write_loop}}},
    {.name = "lines_answered",
     .operations = CALLS,
     .body = lines_answered,
     .prepare = fill,
     .workers = 1,
     .peers = {{.name = "memchr", .body = answer_loop}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "stream", cases, sizeof cases / sizeof *cases);
}
