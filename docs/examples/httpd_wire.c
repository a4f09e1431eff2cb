// SPDX-License-Identifier: MIT
/* httpd_wire.c - bytes from and to the client, plain or through TLS. */
#include "httpd.h"

#include <errno.h>
#include <sys/socket.h>

#define LINGER_NS (1 * WEFT_S)

int wire_wait(struct connection *connection, int64_t delay_ns)
{
    int rc = weft_connection_wait(connection->handle, connection->fd, delay_ns);
    return rc == -ETIMEDOUT ? 0 : rc;
}

ssize_t wire_receive(struct connection *connection, char *room, size_t length)
{
    return connection->tls != NULL ? secure_read(connection, room, length)
                                   : weft_recv(connection->fd, room, length, 0);
}

/* ---- sending ---- */

static int send_secure(struct connection *connection, const char *bytes, size_t length,
                       int64_t delay_ns)
{
    while (length > 0) {
        intptr_t rc = weft_within(delay_ns, secure_write(connection, bytes, length));
        if (rc < 0) {
            return (int)rc;
        }
        bytes += rc;
        length -= (size_t)rc;
    }
    return (int)weft_within(delay_ns, secure_flush(connection));
}

static intptr_t send_until(int fd, const char *bytes, size_t length, int64_t deadline_ns)
{
    weft_timeout limit;
    int rc = weft_timeout_enter_at(&limit, deadline_ns);
    return rc < 0 ? rc : weft_timeout_leave(&limit, weft_send(fd, bytes, length, 0));
}

/* Nearly always there is one piece, and the clock has been looked at for it. */
static int send_plain(const struct connection *connection, const char *bytes, size_t length,
                      int64_t delay_ns)
{
    int64_t looked_ns = connection->looked_ns;
    for (;;) {
        intptr_t rc = send_until(connection->fd, bytes, length, looked_ns + delay_ns);
        if (rc < 0 || (size_t)rc == length) {
            return rc < 0 ? (int)rc : 0;
        }
        bytes += rc;
        length -= (size_t)rc;
        looked_ns = weft_now();
    }
}

int wire_send(struct connection *connection, const char *bytes, size_t length, int64_t delay_ns)
{
    return connection->tls != NULL ? send_secure(connection, bytes, length, delay_ns)
                                   : send_plain(connection, bytes, length, delay_ns);
}

/* ---- the end ---- */

/* Closing a socket with unread bytes makes the kernel send a reset, which may overtake the answer.
 * So the client is given time to read it and to close its side. */
int wire_linger(struct connection *connection, char *room, size_t length)
{
    intptr_t rc = 0;
    int64_t deadline_ns = weft_now() + LINGER_NS;
    if (connection->tls != NULL) {
        rc = weft_within(LINGER_NS, secure_shutdown(connection));
    }
    shutdown(connection->fd, SHUT_WR);
    while (rc != -ECANCELED && weft_now() < deadline_ns) {
        rc = weft_within(deadline_ns - weft_now(), weft_recv(connection->fd, room, length, 0));
        if (rc <= 0) {
            break;
        }
    }
    return rc == -ECANCELED ? -ECANCELED : 0;
}

void wire_close(struct connection *connection)
{
    if (connection->tls != NULL) {
        secure_close(connection);
    } else {
        weft_close(connection->fd);
    }
}
