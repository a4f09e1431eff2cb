// SPDX-License-Identifier: MIT
/* wire.c - between the buffers and the socket.
 *
 * Receiving: one task at a time, into a buffer of its own, which then takes the place of the empty `in`.
 * Whoever comes second finds that something has arrived, and looks whether that was what it wanted.
 *
 * Sending: `out` is swapped for `sending`, which the sender empties while OpenSSL fills the other one.
 * Whether somebody is at it is known under the lock, so bytes never leave in the wrong order:
 *   flush  waits for the socket, outside the lock, is_sending
 *   push   one system call that does not wait, under the lock, unless is_sending; then the flusher goes on
 *          until both buffers are empty, so what was to be pushed leaves too
 * A reader that has to wait sends what is left alone meanwhile: its peer may wait for just that.
 * Half a record that has left is no harm: the rest is in `sending`, and comes before anything else. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weft/io.h>
#include <weft/shield.h>
#include <weft/timeout.h>

#include "tls/tls.h"

/* ---- receiving ---- */

static void arrive(weft_tls *tls, ssize_t count)
{
    pthread_mutex_lock(&tls->lock);
    if (count > 0) {
        tls->arriving.end += (size_t)count;
        /* Whoever has waited for this has found `in` empty, and nobody else fills it. */
        wf_tls_buffer_swap(&tls->in, &tls->arriving);
    }
    tls->has_ended = tls->has_ended || count == 0;
    tls->arrivals++;
    pthread_mutex_unlock(&tls->lock);
}

/* Much at once while much comes; little memory for those who wait. */
static void adapt(weft_tls *tls, size_t count)
{
    if (count == tls->receive_bytes && count < WF_TLS_RECEIVE_BYTES_MOST) {
        tls->receive_bytes *= 2;
    } else if (count < tls->receive_bytes / 4 && tls->receive_bytes > WF_TLS_RECEIVE_BYTES) {
        tls->receive_bytes /= 2;
    }
}

static int receive_once(weft_tls *tls)
{
    int rc = wf_tls_buffer_reserve(&tls->arriving, tls->receive_bytes);
    if (rc < 0) {
        return rc;
    }
    ssize_t count = weft_recv(tls->fd, tls->arriving.bytes, tls->receive_bytes, 0);
    if (count < 0) {
        wf_tls_buffer_drop(&tls->arriving, 0); /* it is empty: its memory goes */
        return (int)count;
    }
    adapt(tls, (size_t)count);
    arrive(tls, count);
    return 0;
}

static bool has_arrived(weft_tls *tls, uint64_t seen)
{
    pthread_mutex_lock(&tls->lock);
    bool has = tls->arrivals != seen;
    pthread_mutex_unlock(&tls->lock);
    return has;
}

int wf_tls_receive(weft_tls *tls, uint64_t seen)
{
    int rc = weft_mutex_lock(&tls->receiver);
    if (rc < 0) {
        return rc;
    }
    if (!has_arrived(tls, seen)) {
        rc = receive_once(tls);
    }
    weft_mutex_unlock(&tls->receiver);
    return rc;
}

/* ---- sending ---- */

/* The next bytes to leave; 0: none, and nobody is sending any more. */
static size_t take(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    if (wf_tls_buffer_count(&tls->sending) == 0) {
        wf_tls_buffer_swap(&tls->sending, &tls->out);
    }
    size_t count = wf_tls_buffer_count(&tls->sending);
    tls->is_sending = count > 0;
    pthread_mutex_unlock(&tls->lock);
    return count;
}

static void let_go(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    tls->is_sending = false;
    pthread_mutex_unlock(&tls->lock);
}

/* By the task that holds `sender`. */
static int send_all(weft_tls *tls)
{
    for (size_t count; (count = take(tls)) > 0;) {
        ssize_t sent = weft_send(tls->fd, tls->sending.bytes + tls->sending.begin, count, 0);
        if (sent < 0) {
            let_go(tls);
            return (int)sent;
        }
        wf_tls_buffer_drop(&tls->sending, (size_t)sent);
    }
    return 0;
}

int wf_tls_flush(weft_tls *tls)
{
    int rc = weft_mutex_lock(&tls->sender);
    if (rc == 0) {
        rc = send_all(tls);
        weft_mutex_unlock(&tls->sender);
    }
    return rc;
}

/* A function of its own: errno's address must not be kept while the fiber may move. */
static __attribute__((noinline)) ssize_t send_now(int fd, const char *bytes, size_t length)
{
    ssize_t sent;
    do {
        sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

/* Under the lock. Whatever is left is for flush, which meets the same error. */
static ssize_t push_under_lock(weft_tls *tls)
{
    ssize_t sent = 0;
    while (sent >= 0 && !tls->is_sending && !tls->is_closed) {
        if (wf_tls_buffer_count(&tls->sending) == 0) {
            wf_tls_buffer_swap(&tls->sending, &tls->out);
        }
        size_t count = wf_tls_buffer_count(&tls->sending);
        if (count == 0) {
            return 0;
        }
        sent = send_now(tls->fd, tls->sending.bytes + tls->sending.begin, count);
        wf_tls_buffer_drop(&tls->sending, sent > 0 ? (size_t)sent : 0);
    }
    return sent;
}

/* For descriptors that the kernel does not know: a limit of 0 ends what would wait, and the shield keeps
 * requests for later. */
static ssize_t push_simulated(weft_tls *tls)
{
    weft_shield shield;
    int rc = weft_shield_enter(&shield, WEFT_FOREVER);
    if (rc < 0) {
        return rc;
    }
    intptr_t pushed = weft_shield_leave(&shield, weft_within(0, wf_tls_flush(tls)));
    return pushed == -ETIMEDOUT ? -EAGAIN : (ssize_t)pushed;
}

ssize_t wf_tls_push_now(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    ssize_t sent = push_under_lock(tls);
    pthread_mutex_unlock(&tls->lock);
    return sent < 0 ? sent : 0;
}

ssize_t wf_tls_push(weft_tls *tls)
{
    ssize_t rc = wf_tls_push_now(tls);
    return rc == -EBADF || rc == -ENOTSOCK ? push_simulated(tls) : rc;
}

/* ---- both ---- */

/* Under the lock. Something waits to be sent, or is being sent: then `sending` is not ours to look at. */
bool wf_tls_has_output(const weft_tls *tls)
{
    return tls->is_sending || wf_tls_buffer_count(&tls->out) > 0 ||
           wf_tls_buffer_count(&tls->sending) > 0;
}

/* Something waits, and nobody else sees to it. */
static bool is_left_alone(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    bool is = !tls->is_sending && wf_tls_has_output(tls);
    pthread_mutex_unlock(&tls->lock);
    return is;
}

/* Waiting for room alone would be wrong: the peer may have none before it has been read from. */
int wf_tls_await_input(weft_tls *tls)
{
    while (is_left_alone(tls)) {
        int events = weft_wait_fd(tls->fd, WEFT_READABLE | WEFT_WRITABLE);
        if (events < 0) {
            return events;
        }
        ssize_t pushed = (events & WEFT_WRITABLE) != 0 ? wf_tls_push(tls) : 0;
        bool is_hopeless =
            pushed < 0 && pushed != -EAGAIN; /* but there may still be something to read */
        if (is_hopeless || (events & (WEFT_READABLE | WEFT_HANGUP)) != 0) {
            return 0;
        }
    }
    return 0;
}
