// SPDX-License-Identifier: MIT
/* stream.c - a connection as the transport of a stream.
 *
 * Hanging up only shuts the socket down, which ends whatever waits for it; its number is given back when
 * nobody is inside a call any more, so that no call meets another descriptor with the same number. */
#include <sys/socket.h>

#include <weft/io.h>
#include <weft/stream.h>

#include "tls/tls.h"

static ssize_t read_some(void *context, void *buffer, size_t length)
{
    return weft_tls_read(context, buffer, length);
}

static ssize_t write_some(void *context, const void *bytes, size_t length)
{
    return weft_tls_write(context, bytes, length);
}

static int wait_readable(void *context)
{
    return weft_tls_wait(context);
}

static int flush(void *context)
{
    return weft_tls_flush(context);
}

static int shut(void *context)
{
    return weft_tls_shutdown(context);
}

static void hang_up(void *context)
{
    weft_tls *tls = context;
    wf_tls_say_farewell(tls);
    pthread_mutex_lock(&tls->lock);
    tls->is_closed = true;
    pthread_mutex_unlock(&tls->lock);
    if (shutdown(tls->fd, SHUT_RDWR) < 0) { /* a simulated one: its number is never used again */
        weft_close(tls->fd);
    }
}

static void release(void *context)
{
    weft_tls_close(context);
}

const struct weft_transport *weft_tls_transport(void)
{
    static const weft_transport transport = {
        .size = sizeof transport,
        .read = read_some,
        .write = write_some,
        .wait = wait_readable,
        .flush = flush,
        .shut = shut,
        .hang_up = hang_up,
        .release = release,
    };
    return &transport;
}
