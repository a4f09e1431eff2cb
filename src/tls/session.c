// SPDX-License-Identifier: MIT
/* session.c - sessions that a client may take up again, by the name of the server.
 *
 * A small table, the oldest entry goes first. Why not OpenSSL's own: that one is asked by the servers'
 * side only. A session of TLS 1.3 is used once, so that nobody can tell that two connections are of one
 * client; an older one as often as the server likes. */
#include <stdlib.h>
#include <string.h>

#include "tls/tls.h"

void wf_tls_sessions_init(struct wf_tls_sessions *sessions)
{
    pthread_mutex_init(&sessions->lock, NULL);
}

static void clear(struct wf_tls_session *entry)
{
    free(entry->name);
    SSL_SESSION_free(entry->session);
    *entry = (struct wf_tls_session){0};
}

void wf_tls_sessions_destroy(struct wf_tls_sessions *sessions)
{
    for (size_t i = 0; i < WF_TLS_SESSIONS; i++) {
        clear(&sessions->kept[i]);
    }
    pthread_mutex_destroy(&sessions->lock);
}

/* OpenSSL's callback: 1 keeps the reference. Under the connection's lock. */
static int keep(SSL *ssl, SSL_SESSION *session)
{
    weft_tls *tls = SSL_get_app_data(ssl);
    struct wf_tls_sessions *sessions = &tls->context->sessions;
    char *name =
        tls->name[0] != '\0' && SSL_SESSION_is_resumable(session) ? strdup(tls->name) : NULL;
    if (name == NULL) {
        return 0;
    }
    pthread_mutex_lock(&sessions->lock);
    struct wf_tls_session *entry = &sessions->kept[sessions->next];
    sessions->next = (sessions->next + 1) % WF_TLS_SESSIONS;
    clear(entry);
    entry->name = name;
    entry->session = session;
    pthread_mutex_unlock(&sessions->lock);
    return 1;
}

void wf_tls_sessions_watch(SSL_CTX *ssl_context)
{
    SSL_CTX_set_session_cache_mode(ssl_context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl_context, keep);
}

/* The newest one with that name. */
static struct wf_tls_session *find(struct wf_tls_sessions *sessions, const char *name)
{
    for (size_t i = 1; i <= WF_TLS_SESSIONS; i++) {
        size_t at = (sessions->next + WF_TLS_SESSIONS - i) % WF_TLS_SESSIONS;
        if (sessions->kept[at].name != NULL && strcmp(sessions->kept[at].name, name) == 0) {
            return &sessions->kept[at];
        }
    }
    return NULL;
}

void wf_tls_sessions_use(weft_tls *tls)
{
    struct wf_tls_sessions *sessions = &tls->context->sessions;
    pthread_mutex_lock(&sessions->lock);
    struct wf_tls_session *entry = find(sessions, tls->name);
    if (entry != NULL) {
        SSL_set_session(tls->ssl, entry->session);
        if (SSL_SESSION_get_protocol_version(entry->session) >= TLS1_3_VERSION) {
            clear(entry);
        }
    }
    pthread_mutex_unlock(&sessions->lock);
}
