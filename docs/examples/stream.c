// SPDX-License-Identifier: MIT
/* stream.c - a server of lines and its client, over streams. A time limit that ends a read in the middle of a
 * line loses nothing: the next read gets the whole line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <weft.h>

static weft_event was_impatient;

static int say(weft_stream *stream, const char *text)
{
    int rc = weft_stream_write(stream, text, strlen(text));
    return rc == 0 ? weft_stream_flush(stream) : rc;
}

/* Answers each line; returns why there is no other one. */
static intptr_t answer_lines(weft_stream *stream)
{
    for (;;) {
        char line[40] = "";
        char answer[80];
        intptr_t n = weft_within(10 * WEFT_MS, weft_stream_read_line(stream, line, sizeof line));
        if (n == -ETIMEDOUT) {
            (void)weft_event_set(&was_impatient);
            continue;
        }
        (void)snprintf(answer, sizeof answer, "%d letters: %s\n", (int)n, line);
        intptr_t rc = n < 0 ? n : say(stream, answer);
        if (rc < 0) {
            return rc;
        }
    }
}

static intptr_t serve(void *arg)
{
    weft_stream stream;
    const int *fd = arg;
    intptr_t rc = weft_stream_open(&stream, *fd, *fd, NULL);
    if (rc == 0) {
        rc = answer_lines(&stream);
        weft_stream_close(&stream);
    }
    return rc == -ENODATA ? 0 : rc; /* the end */
}

static int talk(weft_stream *stream)
{
    char line[80];
    int rc = say(stream, "hello\nhalf a ");
    rc = rc == 0 ? weft_event_wait(&was_impatient) : rc;
    rc = rc == 0 ? say(stream, "line\n") : rc;
    rc = rc == 0 ? weft_stream_shut(stream) : rc;
    while (rc == 0 && weft_stream_read_line(stream, line, sizeof line) >= 0) {
        printf("%s\n", line);
    }
    return rc;
}

static intptr_t main_task(void *arg)
{
    int fds[2];
    weft_task *server;
    weft_stream stream;
    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        return -EMFILE;
    }
    int rc = weft_spawn(&server, serve, &fds[1]);
    if (rc < 0) {
        return rc;
    }
    rc = weft_stream_open(&stream, fds[0], fds[0], NULL);
    if (rc == 0) {
        rc = talk(&stream);
        weft_stream_close(&stream);
    }
    int ended = weft_await(server, NULL);
    return rc < 0 ? rc : ended;
}

int main(void)
{
    return weft_run(main_task, NULL, NULL) == 0 ? 0 : 1;
}
