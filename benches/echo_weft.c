// SPDX-License-Identifier: MIT
/* echo_weft.c - the same with a fiber for each connection. */
#include "echo.h"

#include <errno.h>

#include <weft.h>

static intptr_t serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[ECHO_BUFFER];
    ssize_t n;
    while ((n = weft_recv(fd, buffer, sizeof buffer, 0)) > 0) {
        ssize_t sent = 0;
        while (sent < n) {
            ssize_t rc = weft_send(fd, buffer + sent, (size_t)(n - sent), 0);
            if (rc < 0) {
                n = rc;
                break;
            }
            sent += rc;
        }
    }
    return weft_close(fd);
}

static intptr_t serve(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (;;) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd >= 0 && weft_spawn(NULL, serve_connection, (void *)(intptr_t)fd) < 0) {
            (void)weft_close(fd);
        }
        if (fd == -ECANCELED) {
            return fd;
        }
    }
}

static int serve_with(int listener, weft_io_backend io, int workers)
{
    const weft_options options = {.workers = workers, .io = io};
    return (int)weft_run(serve, (void *)(intptr_t)listener, &options);
}

int echo_weft_epoll(int listener)
{
    return serve_with(listener, WEFT_IO_EPOLL, 1);
}

int echo_weft_uring(int listener)
{
    return serve_with(listener, WEFT_IO_URING, 1);
}

int echo_weft_auto(int listener)
{
    return serve_with(listener, WEFT_IO_AUTO, 1);
}

int echo_weft_two_workers(int listener)
{
    return serve_with(listener, WEFT_IO_AUTO, 2);
}
