// SPDX-License-Identifier: MIT
/* tls.c - the calls on a connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <weft/io.h>
#include <weft/task.h>
#include <weft/time.h>

#include "tls/tls.h"

/* ---- opening ---- */

static bool is_numeric(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* Whom a client wants to talk to. Returns 0, -EINVAL or -ENOMEM. */
static int set_name(weft_tls *tls, const char *name)
{
    if (name == NULL) {
        return tls->context->verifies ? -EINVAL : 0;
    }
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof tls->name) {
        return -EINVAL;
    }
    memcpy(tls->name, name, length + 1);
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);
    if (is_numeric(name)) {
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 ? 0 : -ENOMEM;
    }
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool is_set = X509_VERIFY_PARAM_set1_host(parameters, name, length) == 1 &&
                  SSL_set_tlsext_host_name(tls->ssl, name) == 1;
    return is_set ? 0 : -EINVAL;
}

static int set_up(weft_tls *tls, const char *name)
{
    BIO *bio;
    tls->ssl = SSL_new(tls->context->ssl);
    if (tls->ssl == NULL || (bio = wf_tls_bio_new(tls)) == NULL) {
        return -ENOMEM;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_app_data(tls->ssl, tls);
    if (tls->context->is_server) {
        SSL_set_accept_state(tls->ssl);
        return name == NULL ? 0 : -EINVAL;
    }
    SSL_set_connect_state(tls->ssl);
    int rc = set_name(tls, name);
    if (rc == 0) {
        wf_tls_sessions_use(tls);
    }
    return rc;
}

void wf_tls_free(weft_tls *tls)
{
    SSL_free(tls->ssl);
    free(tls->in.bytes);
    free(tls->out.bytes);
    free(tls->arriving.bytes);
    free(tls->sending.bytes);
    pthread_mutex_destroy(&tls->lock);
    weft_tls_context_drop(tls->context);
    free(tls);
}

int weft_tls_open(weft_tls **out, weft_tls_context *context, int fd, const char *name)
{
    if (out == NULL || context == NULL || fd < 0) {
        return -EINVAL;
    }
    weft_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        return -ENOMEM;
    }
    wf_add_rlx(&context->owners, 1);
    tls->context = context;
    tls->fd = fd;
    tls->receive_bytes = WF_TLS_RECEIVE_BYTES;
    pthread_mutex_init(&tls->lock, NULL);
    int rc = set_up(tls, name);
    ERR_clear_error();
    if (rc < 0) {
        wf_tls_free(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

/* ---- what all calls begin with ---- */

/* Marks a side as in use. Returns 0, -EBUSY, or the entry rule's -ECANCELED. */
static int enter(weft_tls *tls, bool *side)
{
    int rc = weft_checkpoint();
    if (rc < 0 || side == NULL) {
        return rc;
    }
    pthread_mutex_lock(&tls->lock);
    rc = *side ? -EBUSY : 0;
    *side = true;
    pthread_mutex_unlock(&tls->lock);
    return rc;
}

static void leave(weft_tls *tls, bool *side)
{
    pthread_mutex_lock(&tls->lock);
    *side = false;
    pthread_mutex_unlock(&tls->lock);
}

static void keep_alpn(weft_tls *tls)
{
    const unsigned char *name = NULL;
    unsigned length = 0;
    pthread_mutex_lock(&tls->lock);
    SSL_get0_alpn_selected(tls->ssl, &name, &length);
    if (length > 0 && length < sizeof tls->alpn) {
        memcpy(tls->alpn, name, length);
        tls->alpn[length] = '\0';
    }
    pthread_mutex_unlock(&tls->lock);
}

/* After the last step there may still be something to be sent: the peer waits for it. */
static int shake_hands(weft_tls *tls)
{
    static const struct wf_tls_step step = {.operation = WF_TLS_HANDSHAKE};
    if (wf_tls_is_established(tls)) {
        return 0;
    }
    int rc = (int)wf_tls_run(tls, &step);
    if (rc == 0) {
        keep_alpn(tls);
        rc = wf_tls_flush(tls);
    }
    return rc;
}

int weft_tls_handshake(weft_tls *tls)
{
    if (tls == NULL) {
        return -EINVAL;
    }
    int rc = enter(tls, NULL);
    rc = rc == 0 ? shake_hands(tls) : rc;
    return rc == 0 ? wf_tls_flush(tls) : rc;
}

/* ---- reading and writing ---- */

ssize_t weft_tls_read(weft_tls *tls, void *buffer, size_t length)
{
    struct wf_tls_step step = {.operation = WF_TLS_READ, .in = buffer, .length = length};
    if (tls == NULL || (buffer == NULL && length > 0)) {
        return -EINVAL;
    }
    ssize_t rc = enter(tls, &tls->is_reading);
    if (rc < 0) {
        return rc;
    }
    rc = shake_hands(tls);
    if (rc == 0 && length > 0) {
        rc = wf_tls_run(tls, &step);
    }
    leave(tls, &tls->is_reading);
    return rc;
}

/* What was taken before has to leave first: that bounds what waits to one record. */
static ssize_t write_record(weft_tls *tls, const struct wf_tls_step *step)
{
    ssize_t rc = shake_hands(tls);
    rc = rc == 0 ? wf_tls_flush(tls) : rc;
    return rc == 0 && step->length > 0 ? wf_tls_run(tls, step) : rc;
}

ssize_t weft_tls_write(weft_tls *tls, const void *bytes, size_t length)
{
    struct wf_tls_step step = {.operation = WF_TLS_WRITE, .out = bytes};
    if (tls == NULL || (bytes == NULL && length > 0)) {
        return -EINVAL;
    }
    step.length = length < WF_TLS_RECORD_BYTES ? length : WF_TLS_RECORD_BYTES;
    ssize_t rc = enter(tls, &tls->is_writing);
    if (rc < 0) {
        return rc;
    }
    rc = write_record(tls, &step);
    leave(tls, &tls->is_writing);
    return rc;
}

int weft_tls_flush(weft_tls *tls)
{
    return tls != NULL ? wf_tls_flush(tls) : -EINVAL;
}

/* ---- the end ---- */

static bool has_said_farewell(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    bool has = (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) != 0;
    pthread_mutex_unlock(&tls->lock);
    return has;
}

static int say_farewell(weft_tls *tls)
{
    static const struct wf_tls_step step = {.operation = WF_TLS_SHUTDOWN};
    if (!wf_tls_is_established(tls)) {
        return tls->error != 0 ? tls->error : -ENOTCONN;
    }
    int rc = has_said_farewell(tls) ? 0 : (int)wf_tls_run(tls, &step);
    return rc == 0 ? wf_tls_flush(tls) : rc;
}

int weft_tls_shutdown(weft_tls *tls)
{
    if (tls == NULL) {
        return -EINVAL;
    }
    int rc = enter(tls, &tls->is_writing);
    if (rc == 0) {
        rc = say_farewell(tls);
        leave(tls, &tls->is_writing);
    }
    return rc;
}

static bool has_input(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    bool has = SSL_pending(tls->ssl) > 0 || wf_tls_buffer_count(&tls->in) > 0 || tls->has_ended ||
               tls->error != 0 || (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
    pthread_mutex_unlock(&tls->lock);
    return has;
}

int weft_tls_wait(weft_tls *tls)
{
    if (tls == NULL) {
        return -EINVAL;
    }
    int rc = enter(tls, &tls->is_reading);
    if (rc < 0) {
        return rc;
    }
    rc = shake_hands(tls);
    rc = rc == 0 && !has_input(tls) ? wf_tls_await_input(tls) : rc;
    if (rc == 0 && !has_input(tls)) {
        rc = weft_wait_fd(tls->fd, WEFT_READABLE);
    }
    leave(tls, &tls->is_reading);
    return rc < 0 ? rc : 0;
}

/* Under the lock. Only where it is the next thing to be said. */
static bool may_say_farewell(const weft_tls *tls)
{
    return !tls->is_closed && !wf_tls_has_output(tls) && tls->error == 0 &&
           SSL_is_init_finished(tls->ssl) == 1 &&
           (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) == 0;
}

void wf_tls_say_farewell(weft_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    bool says = may_say_farewell(tls);
    if (says) {
        SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
    pthread_mutex_unlock(&tls->lock);
    if (says) {
        (void)wf_tls_push_now(tls);
    }
}

void weft_tls_close(weft_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    wf_tls_say_farewell(tls);
    weft_close(tls->fd);
    wf_tls_free(tls);
}

/* ---- looking at it ---- */

int weft_tls_fd(const weft_tls *tls)
{
    return tls != NULL ? tls->fd : -EINVAL;
}

const char *weft_tls_error_text(const weft_tls *tls)
{
    return tls != NULL ? tls->text : "";
}

const char *weft_tls_version(const weft_tls *tls)
{
    return tls != NULL ? SSL_get_version(tls->ssl) : "";
}

bool weft_tls_is_resumed(const weft_tls *tls)
{
    return tls != NULL && SSL_session_reused(tls->ssl) == 1;
}

const char *weft_tls_alpn(const weft_tls *tls)
{
    return tls != NULL ? tls->alpn : "";
}

const char *weft_tls_server_name(const weft_tls *tls)
{
    if (tls == NULL) {
        return "";
    }
    const char *asked = tls->context->is_server
                            ? SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name)
                            : tls->name;
    return asked != NULL ? asked : "";
}
