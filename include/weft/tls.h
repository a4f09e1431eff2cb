// SPDX-License-Identifier: MIT
/* tls.h - TLS over a socket, by OpenSSL: a library of its own, weft-tls, not part of weft.h.
 *
 *     weft_tls_context *context;               once for the program, shared by all connections
 *     int rc = weft_tls_client(&context, NULL, NULL, 0);
 *
 *     weft_tls *tls;
 *     rc = weft_tls_open(&tls, context, fd, "example.org");      0: it owns fd from here on
 *     ssize_t n = weft_tls_write(tls, question, length);
 *     n = weft_tls_read(tls, answer, sizeof answer);
 *     weft_tls_close(tls);
 *
 * The calls that move bytes are await points like weft_recv and weft_send, and may be cancelled at any
 * moment: half a record that has come, or half a record that has left, stays where it is, and the next
 * call goes on from there. No task is ever suspended inside OpenSSL. Two tasks may use a connection at
 * once, one that reads and one that writes. SIGPIPE is never raised.
 *
 * Errors are negative errnos, weft_tls_error_text says more:
 *   -EKEYREJECTED  the peer's certificate is not to be trusted, or is somebody else's
 *   -EPROTO        the peer broke the protocol, refused us by an alert, or has nothing in common with us
 *   -ECONNRESET    the connection ended without the peer's farewell: what was read may not be all
 *   -EPIPE         writing after weft_tls_shutdown, or to a peer that is gone
 *   and what the socket says. After one of the first three the connection is good for nothing but closing.
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN

/* Certificates, keys and settings. Opaque, counted, never changed once made. */
typedef struct weft_tls_context weft_tls_context;

/* One connection. Opaque. */
typedef struct weft_tls weft_tls;

typedef enum weft_tls_verify {
    /* A client insists on a valid certificate for the name that it asked for; a server asks for none. */
    WEFT_TLS_VERIFY_DEFAULT,
    WEFT_TLS_VERIFY_NONE, /* anybody will do: for tests */
    WEFT_TLS_VERIFY_PEER, /* a server insists on a certificate of its client too */
} weft_tls_verify;

/* Zero means the default throughout. Files are in PEM. All strings are borrowed for the call. */
typedef struct weft_tls_options {
    size_t size;                  /* sizeof(weft_tls_options), or 0 for the fields listed here */
    const char *certificate_file; /* one's own, followed by those that lead to the root */
    const char *key_file;         /* its key, without a password */
    const char *authorities_file; /* who is trusted; NULL = what the system trusts */
    weft_tls_verify verify;
    const char *const
        *alpn;       /* application protocols, best first, ended by NULL. A server chooses the
                              * first of its own that the client has, and refuses a client that has none
                              * of them; one that offers nothing is taken as it is */
    bool only_tls13; /* else TLS 1.2 too; nothing older */
    bool no_session_reuse;
    /* Server: the context for a client that asks for `name`; it must last as long as this one does. NULL
     * refuses the client. Called in the handshake, with a lock held: it must neither await nor block. */
    weft_tls_context *(*choose)(const char *name, void *arg);
    void *choose_arg;
} weft_tls_options;

/* Makes a context for servers (certificate_file and key_file are needed) or for clients (`options` may be
 * NULL). Reads files, so it may block: best before the runtime starts, or on the blocking pool.
 *
 * text, text_bytes  receives a line that says what is wrong; may be NULL and 0
 * returns           0; -EINVAL (bad option, or a file that is no good); -ENOMEM; what opening a file says
 * context           any thread; never switches */
WEFT_API WEFT_NODISCARD int weft_tls_server(weft_tls_context **context,
                                            const weft_tls_options *options, char *text,
                                            size_t text_bytes);
WEFT_API WEFT_NODISCARD int weft_tls_client(weft_tls_context **context,
                                            const weft_tls_options *options, char *text,
                                            size_t text_bytes);

/* Gives it up; connections that use it keep it. NULL is allowed. Any thread; never switches. */
WEFT_API void weft_tls_context_drop(weft_tls_context *context);

/* Makes a connection of a connected stream socket, which it owns if this returns 0. Nothing is sent yet.
 *
 * name     client: whom to ask for (SNI) and whose certificate to insist on: a host name or a numeric
 *          address; may be NULL only where nothing is verified. Server: NULL
 * returns  0; -EINVAL, -ENOMEM: there is nothing to close, and fd stays the caller's
 * context  any thread; never switches */
WEFT_API WEFT_NODISCARD int weft_tls_open(weft_tls **tls, weft_tls_context *context, int fd,
                                          const char *name);

/* Does the handshake, or the rest of it; reading and writing do it too where it has not been done.
 * Returns 0 or a negative errno; -ECANCELED: what was done is kept, a repeated call goes on.
 * Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_tls_handshake(weft_tls *tls);

/* Reads up to `length` bytes.
 *
 * returns  the bytes; 0: the peer has said farewell, nothing more will come; or a negative errno.
 *          -ECANCELED: nothing was read, what has come of the next record is kept. -EBUSY: another task
 *          reads. -EBADF: closed meanwhile
 * context  fiber only; await point; does not suspend when bytes are there */
WEFT_API WEFT_NODISCARD ssize_t weft_tls_read(weft_tls *tls, void *buffer, size_t length);

/* Writes up to `length` bytes; may be fewer: a record has 16 KiB at most. It waits until all that was
 * written before has left, then takes the bytes, and sends what goes at once. The rest of the record leaves
 * during the next calls on the connection, whichever: after the last write comes weft_tls_flush or
 * weft_tls_shutdown.
 *
 * returns  the bytes taken, or a negative errno. -ECANCELED: none of them was. -EBUSY: another task writes
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD ssize_t weft_tls_write(weft_tls *tls, const void *bytes, size_t length);

/* Waits until all that was written has gone into the socket. Returns 0 or a negative errno;
 * -ECANCELED: some may have gone, the rest is kept. Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_tls_flush(weft_tls *tls);

/* Says farewell: flushes, and tells the peer that nothing more will come. Reading goes on. Returns 0 or a
 * negative errno, -ENOTCONN before the handshake; after -ECANCELED it may be repeated. Fiber only; await
 * point. */
WEFT_API WEFT_NODISCARD int weft_tls_shutdown(weft_tls *tls);

/* Waits until reading would not wait, as far as can be known, or the end. Holds little memory meanwhile: for
 * connections that are silent for long. Returns 0 or a negative errno. Fiber only; await point. */
WEFT_API WEFT_NODISCARD int weft_tls_wait(weft_tls *tls);

/* Closes the socket and frees the connection. If nothing waits to be sent and no farewell was said yet,
 * one is sent, if the socket takes it at once. Never refused because of a cancellation; no await point.
 * No other task may be inside a call on it. NULL is allowed. */
WEFT_API void weft_tls_close(weft_tls *tls);

/* For weft_stream_open_on(&stream, weft_tls_transport(), tls, NULL): a buffered stream, which owns the
 * connection if that returns 0. Any thread; never switches. */
struct weft_transport;
WEFT_API const struct weft_transport *weft_tls_transport(void);

/* ---- looking at it: any thread, never switches, valid until it is closed ---- */

/* The socket. */
WEFT_API int weft_tls_fd(const weft_tls *tls);

/* What went wrong last, as a line for people; "" if nothing did. By the tasks that use it. */
WEFT_API const char *weft_tls_error_text(const weft_tls *tls);

/* After the handshake: the application protocol agreed upon, or ""; the protocol, "TLSv1.3"; true if an
 * earlier session was taken up again. */
WEFT_API const char *weft_tls_alpn(const weft_tls *tls);
WEFT_API const char *weft_tls_version(const weft_tls *tls);
WEFT_API bool weft_tls_is_resumed(const weft_tls *tls);

/* Server: the name that the client asked for, or "". Client: the name given to weft_tls_open. */
WEFT_API const char *weft_tls_server_name(const weft_tls *tls);

WEFT_END

#endif
