// SPDX-License-Identifier: MIT
/* httpd_connection.c - one fiber a connection: read, handle, answer, in straight lines.
 *
 * While its client pauses the fiber waits with a shallow stack and no buffer. Everything that can wait
 * has a time limit around it, and every result of an await point is looked at: 1 means go on, 0 that
 * the conversation is over, a negative errno that it ends for that reason, -ECANCELED that somebody
 * wants this task to end. */
#include "httpd.h"

#include <errno.h>
#include <string.h>

#define BUSY_NS (100 * WEFT_MS) /* a client that pauses for longer is idle */

/* ---- sending ---- */

/* Sends the answers that wait. Returns 1 or a negative errno; -EPIPE also for a client that does not
 * read them in time. */
static int flush(struct connection *connection)
{
    struct buffer *buffer = connection->buffer;
    if (buffer->out_length == 0) {
        return 1;
    }
    connection->looked_ns = weft_now();
    int rc =
        wire_send(connection, buffer->out, buffer->out_length, connection->server->options.read_ns);
    if (rc < 0) {
        connection->counts.disconnects += rc != -ECANCELED;
        return rc == -ETIMEDOUT ? -EPIPE : rc;
    }
    buffer->out_length = 0;
    return 1;
}

/* Puts an answer behind those that wait, which go together as long as they fit. */
static int queue_answer(struct connection *connection, const struct answer *answer, bool keep_alive)
{
    connection->counts.requests++;
    connection->counts.by_status[answer->status]++;
    while (!answer_append(connection->buffer, answer, keep_alive)) {
        int rc = flush(connection);
        if (rc < 0) {
            return rc;
        }
    }
    return 1;
}

static int linger(struct connection *connection)
{
    return wire_linger(connection, connection->buffer->in, connection->buffer->in_bytes);
}

/* The last answer of a connection whose input is of no use any more. */
static int refuse(struct connection *connection, enum status status)
{
    struct answer refusal = {.status = status};
    answer_print(&refusal, "%s\n", status_text(status));
    int rc = queue_answer(connection, &refusal, false);
    rc = rc > 0 ? flush(connection) : rc;
    return rc > 0 ? linger(connection) : rc;
}

/* ---- handling a request ---- */

/* Calls a handler that may wait. The scopes tell what ended it: -ECONNRESET, the client is gone;
 * -ETIMEDOUT, it took too long; -ECANCELED, somebody outside wants this task to end. */
static int handle_within_limits(struct connection *connection, const struct route *route,
                                struct answer *answer)
{
    const struct request *request = &connection->buffer->request;
    weft_watch watch;
    int rc = weft_watch_enter(&watch, connection->fd, WEFT_WATCH_PROBE);
    if (rc < 0) {
        return rc;
    }
    intptr_t result =
        weft_within(connection->server->options.timeout_ns, route->handle(request, answer));
    return (int)weft_watch_leave(&watch, result);
}

/* More of what the client has sent before it knew of the shutdown is answered too. */
static bool keeps_alive(struct connection *connection)
{
    const struct buffer *buffer = connection->buffer;
    return buffer->request.keep_alive && (!weft_server_is_stopping(&connection->server->helper) ||
                                          buffer->parsed < buffer->filled);
}

static int close_politely(struct connection *connection)
{
    const struct buffer *buffer = connection->buffer;
    int rc = flush(connection);
    if (rc < 0) {
        return rc;
    }
    bool may_send_more = buffer->request.keep_alive || buffer->parsed < buffer->filled;
    return may_send_more ? linger(connection) : 0;
}

/* Counts how a handler ended, and finds the answer for one that has none. False: nobody is there
 * to be answered. */
static bool conclude(struct counts *counts, int rc, struct answer *answer)
{
    bool is_gone = rc == -ECONNRESET;
    bool is_unavailable = rc == -ETIMEDOUT || rc == -ECANCELED;
    counts->cancelled += is_gone || is_unavailable;
    counts->disconnects += is_gone;
    if (rc < 0) {
        answer->status = is_unavailable ? STATUS_UNAVAILABLE : STATUS_INTERNAL_ERROR;
        answer_print(answer, "%s\n", status_text(answer->status));
    }
    return !is_gone;
}

static int serve(struct connection *connection)
{
    struct buffer *buffer = connection->buffer;
    const struct route *route = route_find(&buffer->request);
    struct answer answer = {.status = STATUS_OK};
    int rc;
    if (route->awaits) {
        rc = flush(connection); /* earlier answers do not wait for this one */
        if (rc < 0) {
            return rc;
        }
        rc = handle_within_limits(connection, route, &answer);
    } else {
        rc = route->handle(&buffer->request, &answer);
    }
    if (!conclude(&connection->counts, rc, &answer)) {
        return 0;
    }
    bool keep_alive = rc != -ECANCELED && keeps_alive(connection);
    int answered = queue_answer(connection, &answer, keep_alive);
    if (answered > 0 && !keep_alive) {
        answered = close_politely(connection);
    }
    request_end(buffer);
    return rc == -ECANCELED ? rc : answered;
}

/* ---- reading requests ---- */

/* Receives some bytes. Returns 1, 0 at the end of the stream, or a negative errno. */
static int receive(struct connection *connection, char *room, size_t length, int64_t deadline_ns)
{
    weft_timeout limit;
    intptr_t rc = weft_timeout_enter_at(&limit, deadline_ns);
    if (rc == 0) {
        rc = weft_timeout_leave(&limit, wire_receive(connection, room, length));
    }
    if (rc > 0) {
        connection->buffer->filled += (size_t)rc;
        rc = 1;
    }
    return (int)rc;
}

/* Receives the beginning of a request. A busy client sends the next one soon after it was answered: for
 * that long the buffer is kept, and the connection is not idle, whatever else happens. The clock was
 * looked at for sending the answer; a client that took it slowly is not busy. -ETIMEDOUT: none came. */
static int receive_first(struct connection *connection)
{
    char *room;
    size_t length = request_room(connection->buffer, &connection->server->options, &room);
    return receive(connection, room, length, connection->looked_ns + BUSY_NS);
}

/* Receives more of a request of which a part is there. */
static int receive_rest(struct connection *connection, int64_t deadline_ns)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct buffer *buffer = connection->buffer;
    int rc = flush(connection); /* the client may send the rest only when it has its answers */
    if (rc > 0 && request_wants_continue(buffer)) {
        memcpy(buffer->out, go_on, sizeof go_on - 1);
        buffer->out_length = sizeof go_on - 1;
        rc = flush(connection);
    }
    if (rc < 0) {
        return rc;
    }
    char *room;
    size_t length = request_room(buffer, &connection->server->options, &room);
    if (length == 0) {
        return refuse(connection, STATUS_HEAD_TOO_LARGE);
    }
    rc = receive(connection, room, length, deadline_ns);
    if (rc == -ETIMEDOUT) {
        return refuse(connection, STATUS_REQUEST_TIMEOUT);
    }
    connection->counts.disconnects += rc <= 0 && rc != -ECANCELED;
    return rc;
}

/* Answers what the client sends, until it pauses: then it returns 1. A request has to be complete
 * by its deadline, however many pieces it comes in. */
static int converse(struct connection *connection)
{
    const struct options *options = &connection->server->options;
    int64_t deadline_ns = 0;
    int rc = 1;
    connection->looked_ns = weft_now();
    while (rc > 0) {
        switch (request_parse(connection->buffer, options)) {
        case PARSED_NOTHING:
            rc = flush(connection);
            rc = rc > 0 ? receive_first(connection) : rc;
            if (rc == -ETIMEDOUT) {
                return 1;
            }
            break;
        case PARSED_PART:
            deadline_ns = deadline_ns != 0 ? deadline_ns : weft_now() + options->read_ns;
            rc = receive_rest(connection, deadline_ns);
            break;
        case PARSED_REQUEST:
            rc = serve(connection);
            deadline_ns = 0;
            break;
        case PARSED_REFUSED:
            return refuse(connection, connection->buffer->request.refusal);
        }
    }
    return rc;
}

/* ---- the life of a connection ---- */

static unsigned shard_of(const struct connection *connection)
{
    return (unsigned)connection->fd;
}

static int converse_with_buffer(struct connection *connection)
{
    struct server *server = connection->server;
    connection->buffer =
        buffer_take(&server->pool, shard_of(connection), server->options.head_bytes_max);
    if (connection->buffer == NULL) {
        return -ENOMEM;
    }
    int rc = converse(connection);
    buffer_give(&server->pool, shard_of(connection), connection->buffer);
    connection->buffer = NULL;
    return rc;
}

/* The client has sent its first byte. Returns 1, or a negative errno: it does not speak TLS, or is too
 * slow at it. */
static int begin(struct connection *connection)
{
    const struct server *server = connection->server;
    if (server->tls == NULL || connection->tls != NULL) {
        return 1;
    }
    intptr_t rc = weft_within(server->options.read_ns, secure_begin(connection));
    connection->counts.disconnects += rc < 0 && rc != -ECANCELED;
    return rc == 0 ? 1 : (int)rc;
}

/* Until the client has sent something, and whenever it pauses, there is a shallow stack and nothing
 * else. The group of the connections is told of errors; a client that goes away is none. */
intptr_t connection_run(weft_connection *handle, int fd, void *arg)
{
    struct connection connection = {.handle = handle, .server = arg, .fd = fd};
    struct server *server = connection.server;
    connection.counts.connections = 1;
    int rc;
    do {
        rc = wire_wait(&connection, server->options.idle_ns);
        rc = rc > 0 ? begin(&connection) : rc;
        rc = rc > 0 ? converse_with_buffer(&connection) : rc;
    } while (rc > 0);
    totals_add(&server->totals, &connection.counts);
    wire_close(&connection);
    return rc == -ECANCELED || rc == -ENOMEM ? rc : 0;
}
