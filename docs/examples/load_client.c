// SPDX-License-Identifier: MIT
/* load_client.c - one fiber a connection: send, receive, count.
 *
 * A client sends a batch, as many requests as it may have under way, and waits for their answers.
 * With a rate each request has a moment at which it is to be sent, whatever the server does. Its
 * latency counts from there: a request that had to wait for a slow answer before it is slow too, and
 * not missing from the figures ("coordinated omission"). */
#include "load.h"

#include <errno.h>
#include <llhttp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 64 };

#define RECONNECT_PAUSE_NS (20 * WEFT_MS)
#define HANG_UP_MAX_NS (2 * WEFT_MS)

/* On the heap: a fiber's stack should stay small. */
struct session {
    struct client *client;
    int fd;             /* the stream's */
    weft_stream stream; /* plain, or through TLS */
    llhttp_t parser;
    bool is_closing; /* the server has said that it will close */

    /* the batch under way */
    const struct load_route *routes[BATCH_MAX];
    int64_t intended_ns[BATCH_MAX];
    long count;
    long answered;
    bool hangs_up;
    int64_t received_ns;
};

static void add(atomic_uint_fast64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/* xorshift64: what a client does depends on its index alone. */
static uint64_t draw(struct client *client)
{
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return client->random;
}

/* ---- answers ---- */

static int on_answer(llhttp_t *parser)
{
    struct session *session = parser->data;
    struct meter *meter = session->client->meter;
    unsigned status_class = (unsigned)llhttp_get_status_code(parser) / 100;
    if (session->answered == session->count || status_class >= STATUS_CLASSES) {
        return HPE_USER; /* an answer to nothing */
    }
    session->is_closing = !llhttp_should_keep_alive(parser);
    add(&meter->answers[status_class], 1);
    histogram_add(&meter->histogram,
                  session->received_ns - session->intended_ns[session->answered]);
    session->answered++;
    return 0;
}

static const llhttp_settings_t settings = {.on_message_complete = on_answer};

/* Parses in the stream's buffer what has come, at least a byte. Returns 0 or a negative errno; -ESHUTDOWN:
 * the end. */
static int receive_some(struct session *session)
{
    const void *bytes;
    ssize_t count = weft_stream_peek(&session->stream, 1, &bytes);
    if (count < 0 && count != -ENODATA) {
        return (int)count;
    }
    session->received_ns = weft_now();
    if (count <= 0) {
        (void)llhttp_finish(&session->parser); /* the end may be that of an answer */
        return session->answered < session->count ? -ESHUTDOWN : 0;
    }
    if (llhttp_execute(&session->parser, bytes, (size_t)count) != HPE_OK) {
        return -EPROTO;
    }
    return weft_stream_skip(&session->stream, (size_t)count);
}

/* Returns 0 when all answers are there, or a negative errno; -EPROTO and -ESHUTDOWN say that the
 * server did not keep to the protocol or has closed. */
static int receive_answers(struct session *session)
{
    int rc = 0;
    while (rc == 0 && session->answered < session->count) {
        rc = receive_some(session);
    }
    return rc;
}

/* ---- requests ---- */

/* Waits until a request is due and takes all that are. Returns how many; 0 at the end of the run. */
static int take_due(struct session *session)
{
    struct client *client = session->client;
    const struct load *load = client->load;
    const struct options *options = &load->options;
    int64_t interval_ns = 0;
    if (options->rate > 0) {
        interval_ns = (int64_t)(1e9 * (double)options->connections / options->rate);
        int64_t until_ns = client->next_ns < load->end_ns ? client->next_ns : load->end_ns;
        int rc = until_ns > weft_now() ? weft_sleep_until(until_ns) : 0;
        if (rc < 0) {
            return rc;
        }
    }
    int64_t now_ns = weft_now();
    session->count = 0;
    session->answered = 0;
    while (now_ns < load->end_ns && session->count < options->pipeline &&
           (interval_ns == 0 || client->next_ns <= now_ns)) {
        session->intended_ns[session->count++] = interval_ns == 0 ? now_ns : client->next_ns;
        client->next_ns += interval_ns;
    }
    return (int)session->count;
}

static const struct load_route *draw_route(struct client *client)
{
    const struct options *options = &client->load->options;
    const struct load_route *route = options->routes;
    long sum = route[options->route_count - 1].weight_sum;
    long drawn = (long)(draw(client) % (uint64_t)sum);
    while (route->weight_sum <= drawn) {
        route++;
    }
    return route;
}

/* Decides what the batch asks for, and whether the client leaves in its middle. */
static void choose_routes(struct session *session)
{
    struct client *client = session->client;
    double flaky_share = client->load->options.flaky_share;
    session->hangs_up = false;
    for (long i = 0; i < session->count && !session->hangs_up; i++) {
        session->routes[i] = draw_route(client);
        if (flaky_share > 0 && (double)(draw(client) >> 11) * 0x1p-53 < flaky_share) {
            session->hangs_up = true;
            session->count = i + 1;
        }
    }
}

static int send_batch(struct session *session)
{
    int rc = 0;
    for (long i = 0; i < session->count && rc == 0; i++) {
        const struct load_route *route = session->routes[i];
        rc = weft_stream_write(&session->stream, route->request, route->length);
    }
    return rc == 0 ? weft_stream_flush(&session->stream) : rc;
}

static int exchange(struct session *session)
{
    int rc = send_batch(session);
    return rc == 0 ? receive_answers(session) : rc;
}

/* Goes away in the middle, every other time with a reset instead of an ordinary close. */
static int hang_up(struct session *session)
{
    struct client *client = session->client;
    int rc = send_batch(session);
    if (rc == 0) {
        rc = weft_sleep((int64_t)(draw(client) % HANG_UP_MAX_NS));
    }
    if (draw(client) % 2 == 0) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    add(&client->meter->hang_ups, 1);
    return rc;
}

/* ---- a connection ---- */

static enum failure failure_of(int rc)
{
    switch (rc) {
    case -ETIMEDOUT:
        return FAILED_TIMEOUT;
    case -EPROTO:
        return FAILED_PROTOCOL;
    case -ESHUTDOWN:
        return FAILED_CLOSED;
    default:
        return FAILED_RESET;
    }
}

/* Returns 1 when the connection can take another batch, 0 when not, -ECANCELED. */
static int run_batch(struct session *session)
{
    struct meter *meter = session->client->meter;
    int rc = take_due(session);
    if (rc <= 0) {
        return rc;
    }
    choose_routes(session);
    add(&meter->sent, (uint64_t)session->count);
    if (session->hangs_up) {
        rc = hang_up(session);
        return rc == -ECANCELED ? rc : 0;
    }
    int64_t timeout_ns = session->client->load->options.timeout_ns;
    rc = (int)weft_within(timeout_ns, exchange(session));
    if (rc < 0 && rc != -ECANCELED) {
        add(&meter->failures[failure_of(rc)], (uint64_t)(session->count - session->answered));
        return 0;
    }
    return rc == 0 ? !session->is_closing : rc;
}

/* Not inlined: where errno lies differs from thread to thread, and a fiber may have moved since the
 * caller last asked. Code that waits only uses what functions return. */
static __attribute__((noinline)) int open_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0) {
        return -errno;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Returns a connected socket or a negative errno. */
static int connect_to_server(const struct options *options)
{
    int fd = open_socket(options->address.ss_family);
    if (fd < 0) {
        return fd;
    }
    const struct sockaddr *address = (const struct sockaddr *)&options->address;
    int rc =
        (int)weft_within(options->timeout_ns, weft_connect(fd, address, options->address_length));
    if (rc < 0) {
        weft_close(fd);
        return rc;
    }
    return fd;
}

/* Connects, and puts the stream on top. Returns 0 or a negative errno. */
static int open_session(struct session *session)
{
    const struct load *load = session->client->load;
    session->fd = connect_to_server(&load->options);
    if (session->fd < 0) {
        return session->fd;
    }
    if (load->tls != NULL) {
        return (int)weft_within(load->options.timeout_ns,
                                secure_open(load, &session->stream, session->fd));
    }
    int rc = weft_stream_open(&session->stream, session->fd, session->fd, NULL);
    if (rc < 0) {
        weft_close(session->fd);
    }
    return rc;
}

/* One connection, until it can't be used any more. Returns 0 or -ECANCELED. */
static int run_session(struct session *session)
{
    struct client *client = session->client;
    int rc = open_session(session);
    if (rc < 0) {
        if (rc == -ECANCELED) {
            return -ECANCELED;
        }
        add(&client->meter->failures[FAILED_CONNECT], 1);
        return weft_sleep(RECONNECT_PAUSE_NS);
    }
    llhttp_init(&session->parser, HTTP_RESPONSE, &settings);
    session->parser.data = session;
    session->is_closing = false;
    do {
        rc = run_batch(session);
    } while (rc > 0);
    weft_stream_close(&session->stream);
    return rc;
}

intptr_t client_run(void *arg)
{
    struct client *client = arg;
    const struct load *load = client->load;
    struct session *session = malloc(sizeof *session);
    if (session == NULL) {
        return -ENOMEM;
    }
    session->client = client;
    int rc = 0;
    while (rc == 0 && weft_now() < load->end_ns) {
        rc = run_session(session);
    }
    free(session);
    return rc;
}
