// SPDX-License-Identifier: MIT
/* httpd.h - what the files of the example HTTP server share.
 *
 *   httpd.c             the program: listening, signals, the shutdown; start reading here
 *   httpd_connection.c  one fiber a connection: read, handle, answer, in straight lines
 *   httpd_wire.c        bytes from and to the client
 *   httpd_tls.c         the same through TLS; httpd_plain.c where weft-tls was not built
 *   httpd_routes.c      what the server can do
 *   httpd_request.c     bytes into requests, by llhttp
 *   httpd_answer.c      answers into bytes
 *   httpd_buffer.c      the memory of a connection with a request under way
 *   httpd_counts.c      what the connections counted
 *   httpd_options.c     the command line
 */
#ifndef HTTPD_H
#define HTTPD_H

#include <llhttp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <weft.h>

/* ---- options ---- */

struct options {
    const char *host; /* numeric, IPv4 or IPv6 */
    long port;        /* 0: any free one */

    int64_t timeout_ns; /* for a handler */
    int64_t read_ns;    /* for the rest of a request once its first byte has come, and for a send */
    int64_t idle_ns;    /* between requests */
    int64_t grace_ns;   /* for requests in flight after the first signal */

    size_t connections_max; /* more clients wait, not accepted, until there is room */
    size_t head_bytes_max;  /* request line and headers */
    size_t body_bytes_max;

    const char *certificate_file; /* with --tls; NULL: plain */
    const char *key_file;

    int workers;
    weft_io_backend io;
    bool shares_port;
    bool is_quiet;
    bool has_stats;
};

/* Fills in the command line; prints one line and exits with 2 where it is wrong. */
void options_parse(struct options *options, int argc, char **argv);

/* ---- requests and answers ---- */

enum status {
    STATUS_OK,
    STATUS_BAD_REQUEST,
    STATUS_NOT_FOUND,
    STATUS_METHOD_NOT_ALLOWED,
    STATUS_REQUEST_TIMEOUT,
    STATUS_BODY_TOO_LARGE,
    STATUS_HEAD_TOO_LARGE,
    STATUS_INTERNAL_ERROR,
    STATUS_UNAVAILABLE,
    STATUS_COUNT,
};

/* The strings lie in the connection's buffer and end with the request. */
struct request {
    const char *path;
    size_t path_length;
    const char *query; /* what follows '?' */
    size_t query_length;

    const char *field; /* the name of the header line that is being read */
    size_t field_length;
    unsigned hosts; /* header lines of that name */

    uint64_t body_bytes; /* seen and dropped so far */
    enum status refusal; /* why the parser gave up; STATUS_OK where it did not */
    uint8_t method;      /* HTTP_GET ... of llhttp */
    bool is_begun;       /* its first byte has come */
    bool has_head;       /* all headers have come */
    bool is_continued;   /* "100 Continue" has been sent, or need not be */
    bool is_http_1_0;
    bool keep_alive;
};

enum { ANSWER_BODY_MAX = 64 };

/* All answers of this server are short texts. */
struct answer {
    enum status status;
    size_t length;
    char body[ANSWER_BODY_MAX];
};

__attribute__((format(printf, 2, 3))) void answer_print(struct answer *answer, const char *format,
                                                        ...);

/* "200 OK" and so on. */
const char *status_text(enum status status);

/* ---- routes ---- */

/* Returns 0 with the answer filled in (200 and empty when it comes), or a negative errno. */
typedef int handler(const struct request *request, struct answer *answer);

struct route {
    const char *path;
    handler *handle;
    bool awaits; /* it may suspend: then a time limit and the client's hang-up have to reach it */
};

/* The route of a request; one that answers 404 or 405 where there is none. Never NULL. */
const struct route *route_find(const struct request *request);

/* ---- buffers ---- */

enum { OUT_BYTES = 4096, BODY_ROOM_BYTES = 4096 };

/* Held only while a request is under way or answers wait to be sent. */
struct buffer {
    struct buffer *next; /* in the pool */

    llhttp_t parser;
    struct request request;

    size_t begin;  /* in[begin] is where the request being parsed begins */
    size_t parsed; /* in[parsed..filled) has not been parsed */
    size_t filled;
    size_t kept; /* in[begin..kept) is the request line, once the head is complete */

    time_t date_s; /* the second that `date` says */
    char date[32];

    size_t out_length; /* answers not sent yet */
    char out[OUT_BYTES];

    size_t in_bytes; /* the longest head, and BODY_ROOM_BYTES more */
    char in[];
};

enum { POOL_SHARDS = 8, POOL_KEPT_MAX = 64 };

/* Free buffers, newest first. Split, so that workers do not queue for one lock. */
struct pool {
    struct pool_shard {
        pthread_mutex_t lock; /* never held across an await point */
        struct buffer *first;
        size_t count;
    } __attribute__((aligned(64))) shards[POOL_SHARDS];
};

void pool_init(struct pool *pool);
void pool_free(struct pool *pool);

/* NULL when there is no memory. */
struct buffer *buffer_take(struct pool *pool, unsigned shard, size_t head_bytes_max);
void buffer_give(struct pool *pool, unsigned shard, struct buffer *buffer);

/* ---- parsing and printing into a buffer ---- */

enum parsed {
    PARSED_NOTHING, /* no byte of a next request is there */
    PARSED_PART,    /* more bytes are needed */
    PARSED_REQUEST, /* buffer->request is complete */
    PARSED_REFUSED, /* it can't be served: buffer->request.refusal says why */
};

void request_init(struct buffer *buffer);
enum parsed request_parse(struct buffer *buffer, const struct options *options);

/* Forgets the request that has been answered. */
void request_end(struct buffer *buffer);

/* Where to receive more bytes, and how many at most; moves what is there if it must. 0: the head is
 * longer than a head may be. */
size_t request_room(struct buffer *buffer, const struct options *options, char **room);

/* True, once, when the client waits for leave to send the body. */
bool request_wants_continue(struct buffer *buffer);

/* Appends an answer; false when there is no room before what is there has been sent. */
bool answer_append(struct buffer *buffer, const struct answer *answer, bool keep_alive);

/* ---- what is counted ---- */

/* Each connection counts for itself and is added up when it ends, so that nothing is shared while
 * requests are served. */
struct counts {
    uint64_t connections;
    uint64_t requests;
    uint64_t by_status[STATUS_COUNT];
    uint64_t disconnects; /* clients that went away in the middle of a request */
    uint64_t cancelled;   /* handlers cancelled: client gone, too slow, or the grace over */
};

struct totals {
    pthread_mutex_t lock; /* never held across an await point */
    struct counts counts;
};

void totals_add(struct totals *totals, const struct counts *counts);

/* ---- connections ---- */

/* In the frame of its task. */
struct connection {
    weft_connection *handle;
    struct server *server;
    int fd;
    struct weft_tls *tls;  /* NULL: plain, or not begun */
    struct buffer *buffer; /* NULL between requests */
    int64_t looked_ns;     /* at the clock, before the last answers were sent: for two limits */
    struct counts counts;
};

/* The task of a connection: owns `fd` and closes it. */
intptr_t connection_run(weft_connection *handle, int fd, void *server);

/* ---- bytes from and to the client ---- */

/* Waits until the client has sent something. 1: it has; 0: the server stops, or it was silent for
 * too long; or a negative errno. No buffer is needed meanwhile. */
int wire_wait(struct connection *connection, int64_t delay_ns);

/* What there is, at least a byte; 0 at the end, or a negative errno. */
ssize_t wire_receive(struct connection *connection, char *room, size_t length);

/* All of it, each piece within delay_ns, without TLS the first one from looked_ns on. 0 or a negative errno. */
int wire_send(struct connection *connection, const char *bytes, size_t length, int64_t delay_ns);

/* No more will be sent: waits until the client has closed its side too, but not for long. */
int wire_linger(struct connection *connection, char *room, size_t length);

void wire_close(struct connection *connection);

/* ---- TLS ---- */

/* Exits with a message where the files are no good, or TLS was not built. */
struct weft_tls_context *secure_load(const struct options *options);
void secure_unload(struct weft_tls_context *context);

/* All of them as the weft_tls calls of the same names. */
int secure_begin(struct connection *connection);
ssize_t secure_read(struct connection *connection, char *room, size_t length);
ssize_t secure_write(struct connection *connection, const char *bytes, size_t length);
int secure_flush(struct connection *connection);
int secure_shutdown(struct connection *connection);
void secure_close(struct connection *connection);

/* ---- the server ---- */

struct server {
    struct options options;
    int listener;
    struct weft_tls_context *tls; /* NULL: plain */
    weft_server helper;
    struct totals totals;
    struct pool pool;
};

#endif
