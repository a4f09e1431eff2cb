// SPDX-License-Identifier: MIT
/* step.c - one call of OpenSSL, and what it answered.
 *
 * OpenSSL keeps its errors in a queue of the thread: emptied before each call, read right after it, with
 * nothing in between that may switch. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "tls/tls.h"

/* What a step wants; no errno is so large. */
enum { WANTS_INPUT = -10000 };

/* ---- what OpenSSL answered ---- */

static ssize_t call(weft_tls *tls, const struct wf_tls_step *step)
{
    size_t done = 0;
    int rc = 0;
    switch (step->operation) {
    case WF_TLS_HANDSHAKE:
        rc = SSL_do_handshake(tls->ssl);
        break;
    case WF_TLS_READ:
        rc = SSL_read_ex(tls->ssl, step->in, step->length, &done);
        break;
    case WF_TLS_WRITE:
        rc = SSL_write_ex(tls->ssl, step->out, step->length, &done);
        break;
    case WF_TLS_SHUTDOWN:
        rc = SSL_shutdown(tls->ssl) >= 0; /* 0: the peer has not said farewell yet */
        break;
    }
    return rc > 0 ? (ssize_t)done : -1;
}

/* Why the peer's certificate was refused, where that is what happened. */
static bool describe_verification(weft_tls *tls)
{
    long result = SSL_get_verify_result(tls->ssl);
    unsigned long code = ERR_peek_error();
    if (ERR_GET_LIB(code) != ERR_LIB_SSL ||
        ERR_GET_REASON(code) != SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return false;
    }
    snprintf(tls->text, sizeof tls->text, "certificate of %s: %s",
             tls->name[0] != '\0' ? tls->name : "the peer", X509_verify_cert_error_string(result));
    return true;
}

/* The connection is good for nothing any more. Returns why. */
static int fail(weft_tls *tls)
{
    int rc = -EPROTO;
    unsigned long code = ERR_peek_error();
    bool is_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
    if (describe_verification(tls)) {
        rc = -EKEYREJECTED;
        ERR_clear_error();
    } else if (code == 0 ||
               (is_ssl && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        rc = -ECONNRESET;
        ERR_clear_error();
        snprintf(tls->text, sizeof tls->text, "the connection ended without a farewell");
    } else {
        wf_tls_describe(tls->text, sizeof tls->text, "protocol error");
    }
    tls->error = rc;
    return rc;
}

static ssize_t answer(weft_tls *tls)
{
    int error = SSL_get_error(tls->ssl, 0);
    switch (error) {
    case SSL_ERROR_WANT_READ:
        return WANTS_INPUT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SSL:
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_PROTOCOL_IS_SHUTDOWN) {
            ERR_clear_error();
            return -EPIPE;
        }
        return fail(tls);
    case SSL_ERROR_SYSCALL: /* what the BIO refused: the end, or no memory for half of a record */
        if (tls->has_ended) {
            return fail(tls);
        }
        tls->error = -ENOMEM;
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

static ssize_t step_once(weft_tls *tls, const struct wf_tls_step *step, uint64_t *seen)
{
    pthread_mutex_lock(&tls->lock);
    *seen = tls->arrivals;
    ssize_t rc = tls->error != 0 ? tls->error : tls->is_closed ? -EBADF : 0;
    if (rc == 0) {
        ERR_clear_error();
        rc = call(tls, step);
        rc = rc < 0 ? answer(tls) : rc;
    }
    bool has_output = wf_tls_buffer_count(&tls->out) > 0;
    pthread_mutex_unlock(&tls->lock);
    if (has_output) {
        (void)wf_tls_push(tls); /* what is left, or wrong, is found by the flush that follows */
    }
    return rc;
}

/* ---- until it is done ---- */

bool wf_tls_is_established(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    bool is = SSL_is_init_finished(tls->ssl) == 1;
    pthread_mutex_unlock(&tls->lock);
    return is;
}

ssize_t wf_tls_run(weft_tls *tls, const struct wf_tls_step *step)
{
    for (;;) {
        uint64_t seen;
        ssize_t rc = step_once(tls, step, &seen);
        if (rc != WANTS_INPUT) {
            return rc;
        }
        int done = wf_tls_await_input(tls);
        done = done == 0 ? wf_tls_receive(tls, seen) : done;
        if (done < 0) {
            return done;
        }
    }
}
