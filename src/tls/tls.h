// SPDX-License-Identifier: MIT
/* tls.h - what the files of weft-tls share.
 *
 *   context.c  options into contexts            session.c  sessions that a client may take up again
 *   buffer.c   bytes that wait                  bio.c      OpenSSL's view of them
 *   wire.c     between the buffers and the socket: the only place that waits
 *   step.c     one call of OpenSSL, and what it answered
 *   tls.c      the calls on a connection        stream.c   the same as a stream's transport
 *
 * Why so: OpenSSL keeps its errors for each thread, and a fiber that waits may go on at another one. So
 * OpenSSL reads and writes buffers only, its calls never wait, and the waiting is done between them.
 *
 * Built upon the public headers alone; of the other rooms only base/atomic.h is used.
 */
#ifndef WF_TLS_TLS_H
#define WF_TLS_TLS_H

#include <pthread.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include <weft/mutex.h>
#include <weft/tls.h>

#include "base/atomic.h"

enum {
    WF_TLS_RECORD_BYTES = 16384, /* what one record carries at most */
    WF_TLS_RECEIVE_BYTES = 4096, /* received at once; more where that is filled */
    WF_TLS_RECEIVE_BYTES_MOST = 65536,
    WF_TLS_SESSIONS = 64, /* kept by a client's context */
    WF_TLS_TEXT_BYTES = 512,
    WF_TLS_NAME_BYTES = 256, /* of a host, with its end */
};

/* ---- buffers ---- */

/* Bytes from begin to end. Holds no memory while it is empty. */
struct wf_tls_buffer {
    char *bytes;
    size_t begin;
    size_t end;
    size_t capacity;
};

static inline size_t wf_tls_buffer_count(const struct wf_tls_buffer *buffer)
{
    return buffer->end - buffer->begin;
}

/* Room for `length` bytes at `end`. Returns 0 or -ENOMEM. */
int wf_tls_buffer_reserve(struct wf_tls_buffer *buffer, size_t length);

/* Drops the first `length` bytes; with the last one the memory goes. */
void wf_tls_buffer_drop(struct wf_tls_buffer *buffer, size_t length);
void wf_tls_buffer_swap(struct wf_tls_buffer *a, struct wf_tls_buffer *b);

/* ---- sessions ---- */

struct wf_tls_sessions {
    pthread_mutex_t lock;
    size_t next;
    struct wf_tls_session { /* under the lock */
        char *name;
        SSL_SESSION *session;
    } kept[WF_TLS_SESSIONS];
};

void wf_tls_sessions_init(struct wf_tls_sessions *sessions);
void wf_tls_sessions_destroy(struct wf_tls_sessions *sessions);

/* Keeps sessions that connections of this context get. */
void wf_tls_sessions_watch(SSL_CTX *ssl_context);

/* Gives a new connection the session of an earlier one with the same name, if there is one. */
void wf_tls_sessions_use(weft_tls *tls);

/* ---- contexts ---- */

struct weft_tls_context {
    SSL_CTX *ssl;
    bool is_server;
    bool verifies;
    unsigned char *alpn; /* server: its protocols, each with its length in front */
    unsigned alpn_length;
    weft_tls_context *(*choose)(const char *name, void *arg);
    void *choose_arg;
    struct wf_tls_sessions sessions;

    /* Whoever has it adds and subtracts (acq_rel); the one who comes to 0 frees it. */
    wf_aint owners;
};

/* OpenSSL's latest error as "reason: detail", or `fallback`. Empties its queue. */
void wf_tls_describe(char *text, size_t text_bytes, const char *fallback);

/* ---- connections ---- */

struct weft_tls {
    weft_tls_context *context;
    SSL *ssl;             /* under `lock`, as all that follows up to the next caption */
    pthread_mutex_t lock; /* held for one call of OpenSSL or one system call that does not wait */
    struct wf_tls_buffer in;  /* received, not yet read by OpenSSL */
    struct wf_tls_buffer out; /* written by OpenSSL, not yet taken to be sent */
    uint64_t arrivals;        /* counts what has been put into `in`, and the end */
    bool has_ended;           /* the socket says so */
    bool is_closed;
    bool is_reading; /* a task is inside weft_tls_read */
    bool is_writing;
    bool is_sending; /* `sending` belongs to the task that holds `sender` */
    int error;       /* the connection is good for nothing any more */
    char text[WF_TLS_TEXT_BYTES];
    char alpn[WF_TLS_NAME_BYTES]; /* once the handshake is done */

    /* under `receiver` */
    struct wf_tls_buffer arriving;
    size_t receive_bytes;

    /* the task that holds `sender`; under `lock` while is_sending is false */
    struct wf_tls_buffer sending;

    weft_mutex receiver;
    weft_mutex sender;

    /* set at the beginning */
    int fd;
    char name[WF_TLS_NAME_BYTES];
};

/* The BIO through which `tls->ssl` reads `in` and writes `out`. NULL: no memory. */
BIO *wf_tls_bio_new(weft_tls *tls);

/* ---- wire ---- */

/* Receives once, unless something has arrived since `arrivals` was `seen`. Returns 0 or a negative errno.
 * Await point. */
int wf_tls_receive(weft_tls *tls, uint64_t seen);

/* Where something waits to be sent, sends it as it goes, until all has left or there is something to receive.
 * Returns 0 or a negative errno. Await point, but observes nothing where nothing waits. */
int wf_tls_await_input(weft_tls *tls);

bool wf_tls_has_output(const weft_tls *tls);

/* Sends all of `out`, waiting. Returns 0 or a negative errno. Await point. */
int wf_tls_flush(weft_tls *tls);

/* Sends of it what goes at once: 0; -EAGAIN: some is left; another negative errno. Observes nothing. Not under
 * the lock. */
ssize_t wf_tls_push(weft_tls *tls);

/* The same for real descriptors only: never switches. */
ssize_t wf_tls_push_now(weft_tls *tls);

/* ---- steps ---- */

enum wf_tls_operation {
    WF_TLS_HANDSHAKE,
    WF_TLS_READ,
    WF_TLS_WRITE,
    WF_TLS_SHUTDOWN,
};

struct wf_tls_step {
    enum wf_tls_operation operation;
    union {
        void *in;
        const void *out;
    };
    size_t length;
};

/* One call of OpenSSL at a time, waiting in between for what it wants, until it is done. Returns the bytes
 * or 0, or a negative errno. Await point, but where nothing has to be waited for it observes nothing. */
ssize_t wf_tls_run(weft_tls *tls, const struct wf_tls_step *step);

bool wf_tls_is_established(weft_tls *tls);

/* ---- the end ---- */

/* Sends the farewell if it is the next thing to be said and the socket takes it at once. Never switches. */
void wf_tls_say_farewell(weft_tls *tls);

/* Frees everything but the socket. */
void wf_tls_free(weft_tls *tls);

#endif
