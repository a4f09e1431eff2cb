// SPDX-License-Identifier: MIT
/* context.c - options into contexts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/sized.h"
#include "tls/tls.h"

/* ---- what went wrong ---- */

void wf_tls_describe(char *text, size_t text_bytes, const char *fallback)
{
    const char *detail = NULL;
    int flags = 0;
    unsigned long code = ERR_peek_last_error_all(NULL, NULL, NULL, &detail, &flags);
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    bool has_detail = detail != NULL && detail[0] != '\0' && (flags & ERR_TXT_STRING) != 0;
    if (text_bytes > 0) {
        snprintf(text, text_bytes, "%s%s%s", reason != NULL ? reason : fallback,
                 has_detail ? ": " : "", has_detail ? detail : "");
    }
    ERR_clear_error();
}

/* Where a caller's line goes. */
struct report {
    char *text;
    size_t bytes;
};

/* Always `rc`. */
static int refuse(const struct report *report, int rc, const char *what, const char *which)
{
    char reason[256];
    wf_tls_describe(reason, sizeof reason, rc == -EINVAL ? "" : strerror(-rc));
    if (report->bytes > 0) {
        snprintf(report->text, report->bytes, "%s%s%s%s%s", what, which[0] != '\0' ? " " : "",
                 which, reason[0] != '\0' ? ": " : "", reason);
    }
    return rc;
}

/* ---- certificates ---- */

/* 0 or what is wrong with opening it, which OpenSSL would hide in its own codes. */
static int check_file(const struct report *report, const char *file)
{
    return access(file, R_OK) == 0 ? 0 : refuse(report, -errno, "can't read", file);
}

/* Keys with passwords are not for servers: nobody is there to type. */
static int no_password(char *buffer, int size, int is_written, void *arg)
{
    (void)buffer;
    (void)size;
    (void)is_written;
    (void)arg;
    return -1;
}

static int load_identity(weft_tls_context *context, const weft_tls_options *options,
                         const struct report *report)
{
    const char *certificate = options->certificate_file;
    const char *key = options->key_file;
    if (certificate == NULL && key == NULL && !context->is_server) {
        return 0;
    }
    if (certificate == NULL || key == NULL) {
        return refuse(report, -EINVAL, "a certificate and its key are needed", "");
    }
    int rc = check_file(report, certificate);
    rc = rc == 0 ? check_file(report, key) : rc;
    if (rc < 0) {
        return rc;
    }
    SSL_CTX_set_default_passwd_cb(context->ssl, no_password);
    if (SSL_CTX_use_certificate_chain_file(context->ssl, certificate) != 1) {
        return refuse(report, -EINVAL, "no good certificate in", certificate);
    }
    if (SSL_CTX_use_PrivateKey_file(context->ssl, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context->ssl) != 1) {
        return refuse(report, -EINVAL, "no good key in", key);
    }
    return 0;
}

static int load_authorities(weft_tls_context *context, const weft_tls_options *options,
                            const struct report *report)
{
    if (!context->verifies) {
        return 0;
    }
    const char *file = options->authorities_file;
    int mode = SSL_VERIFY_PEER | (context->is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(context->ssl, mode, NULL);
    if (file == NULL) {
        int done = SSL_CTX_set_default_verify_paths(context->ssl);
        return done == 1 ? 0 : refuse(report, -EINVAL, "the system's certificates", "");
    }
    int rc = check_file(report, file);
    if (rc == 0 && SSL_CTX_load_verify_file(context->ssl, file) != 1) {
        rc = refuse(report, -EINVAL, "no good certificates in", file);
    }
    if (rc == 0 && context->is_server) { /* whom a client may be certified by */
        SSL_CTX_set_client_CA_list(context->ssl, SSL_load_client_CA_file(file));
    }
    return rc;
}

/* ---- application protocols ---- */

static int choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                       const unsigned char *offered, unsigned offered_length, void *arg)
{
    const weft_tls_context *context = arg;
    unsigned char *protocol;
    (void)ssl;
    int found = SSL_select_next_proto(&protocol, chosen_length, context->alpn, context->alpn_length,
                                      offered, offered_length);
    *chosen = protocol;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Each with its length in front; false when one is empty or too long. */
static bool pack_alpn(weft_tls_context *context, const char *const *alpn)
{
    for (size_t i = 0; alpn[i] != NULL; i++) {
        size_t length = strlen(alpn[i]);
        if (length == 0 || length > 255 || context->alpn_length + length + 1 > 65535) {
            return false;
        }
        context->alpn[context->alpn_length++] = (unsigned char)length;
        memcpy(context->alpn + context->alpn_length, alpn[i], length);
        context->alpn_length += (unsigned)length;
    }
    return true;
}

static int set_alpn(weft_tls_context *context, const weft_tls_options *options,
                    const struct report *report)
{
    size_t bytes = 0;
    if (options->alpn == NULL || options->alpn[0] == NULL) {
        return 0;
    }
    for (size_t i = 0; options->alpn[i] != NULL; i++) {
        bytes += strlen(options->alpn[i]) + 1;
    }
    context->alpn = malloc(bytes);
    if (context->alpn == NULL) {
        return refuse(report, -ENOMEM, "application protocols", "");
    }
    if (!pack_alpn(context, options->alpn)) {
        return refuse(report, -EINVAL, "a bad name among the application protocols", "");
    }
    if (context->is_server) {
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_alpn, context);
    } else if (SSL_CTX_set_alpn_protos(context->ssl, context->alpn, context->alpn_length) != 0) {
        return refuse(report, -ENOMEM, "application protocols", "");
    }
    return 0;
}

/* ---- server names ---- */

static int choose_context(SSL *ssl, int *alert, void *arg)
{
    const weft_tls_context *context = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    if (context->choose == NULL) { /* acknowledged, so that a resumed session knows it too */
        return SSL_TLSEXT_ERR_OK;
    }
    const weft_tls_context *chosen = context->choose(name, context->choose_arg);
    if (chosen == NULL) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (chosen != context) {
        SSL_set_SSL_CTX(ssl, chosen->ssl);
        /* The certificate comes along with the context, what is asked of the client does not. */
        SSL_set_verify(ssl, SSL_CTX_get_verify_mode(chosen->ssl), NULL);
    }
    return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

static void set_sessions(weft_tls_context *context, const weft_tls_options *options)
{
    static const unsigned char id[] = "weft";
    if (options->no_session_reuse) {
        SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context->ssl, 0);
    } else if (context->is_server) {
        SSL_CTX_set_session_id_context(context->ssl, id, sizeof id - 1);
    } else {
        wf_tls_sessions_watch(context->ssl);
    }
}

static int set_up(weft_tls_context *context, const weft_tls_options *options,
                  const struct report *report)
{
    context->ssl = SSL_CTX_new(context->is_server ? TLS_server_method() : TLS_client_method());
    if (context->ssl == NULL) {
        return refuse(report, -ENOMEM, "can't make a context", "");
    }
    SSL_CTX_set_min_proto_version(context->ssl,
                                  options->only_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (context->is_server) {
        SSL_CTX_set_tlsext_servername_callback(context->ssl, choose_context);
        SSL_CTX_set_tlsext_servername_arg(context->ssl, context);
    }
    set_sessions(context, options);
    int rc = load_identity(context, options, report);
    rc = rc == 0 ? load_authorities(context, options, report) : rc;
    return rc == 0 ? set_alpn(context, options, report) : rc;
}

static void free_context(weft_tls_context *context)
{
    wf_tls_sessions_destroy(&context->sessions);
    SSL_CTX_free(context->ssl);
    free(context->alpn);
    free(context);
}

static int make(weft_tls_context **out, const weft_tls_options *options, bool is_server,
                const struct report *report)
{
    static const weft_tls_options defaults = {0};
    options = options != NULL ? options : &defaults;
    bool is_known = wf_size_is_known(options->size, sizeof *options);
    if (out == NULL || !is_known || (unsigned)options->verify > WEFT_TLS_VERIFY_PEER ||
        (options->choose != NULL && !is_server)) {
        return refuse(report, -EINVAL, "bad options", "");
    }
    weft_tls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        return refuse(report, -ENOMEM, "no memory", "");
    }
    context->is_server = is_server;
    context->verifies = options->verify == WEFT_TLS_VERIFY_PEER ||
                        (options->verify == WEFT_TLS_VERIFY_DEFAULT && !is_server);
    context->choose = options->choose;
    context->choose_arg = options->choose_arg;
    wf_tls_sessions_init(&context->sessions);
    wf_store_rlx(&context->owners, 1);
    ERR_clear_error();
    int rc = set_up(context, options, report);
    if (rc < 0) {
        free_context(context);
        return rc;
    }
    *out = context;
    return 0;
}

int weft_tls_server(weft_tls_context **context, const weft_tls_options *options, char *text,
                    size_t text_bytes)
{
    struct report report = {text, text != NULL ? text_bytes : 0};
    return make(context, options, true, &report);
}

int weft_tls_client(weft_tls_context **context, const weft_tls_options *options, char *text,
                    size_t text_bytes)
{
    struct report report = {text, text != NULL ? text_bytes : 0};
    return make(context, options, false, &report);
}

void weft_tls_context_drop(weft_tls_context *context)
{
    if (context != NULL && wf_sub_acqrel(&context->owners, 1) == 1) {
        free_context(context);
    }
}
