/* SPDX-License-Identifier: MIT */
/* pair.h - a client and a server in one process, over two connected sockets. */
#ifndef PAIR_H
#define PAIR_H

#include <errno.h>
#include <sys/socket.h>

#include <weft.h>
#include <weft/tls.h>

#include "tls/certificates.h"

/* One authority, "localhost" certified by it, and a context for each side. */
struct world {
    struct authority authority;
    weft_tls_context *server;
    weft_tls_context *client;
};

WT_FN weft_tls_context *make_server(const struct authority *authority, const char *name,
                                    weft_tls_options options)
{
    char certificate[256], key[256], text[256] = "";
    weft_tls_context *context = NULL;
    in_directory(certificate, sizeof certificate, authority, name, ".pem");
    in_directory(key, sizeof key, authority, name, ".key");
    options.certificate_file = certificate;
    options.key_file = key;
    cr_assert_eq(weft_tls_server(&context, &options, text, sizeof text), 0, "%s", text);
    return context;
}

/* Trusts the authority. */
WT_FN weft_tls_context *make_client(const struct authority *authority, weft_tls_options options)
{
    char path[256], text[256] = "";
    weft_tls_context *context = NULL;
    in_directory(path, sizeof path, authority, "authority", ".pem");
    options.authorities_file = path;
    cr_assert_eq(weft_tls_client(&context, &options, text, sizeof text), 0, "%s", text);
    return context;
}

WT_FN void world_open(struct world *world, weft_tls_options server, weft_tls_options client)
{
    authority_open(&world->authority, "ED25519");
    certify(&world->authority, "localhost", "DNS:localhost,IP:127.0.0.1", 30);
    world->server = make_server(&world->authority, "localhost", server);
    world->client = make_client(&world->authority, client);
}

WT_FN void world_close(struct world *world)
{
    weft_tls_context_drop(world->server);
    weft_tls_context_drop(world->client);
    authority_close(&world->authority);
}

/* The world of a test. */
__attribute__((unused)) static struct world world;

__attribute__((unused)) static const weft_tls_options plain = {0};

/* In the test itself: runs it in a world with these options, to a good end. */
#define RUN_WITH(Fn, Server, Client, Workers)                                       \
    do {                                                                            \
        world_open(&world, (Server), (Client));                                     \
        intptr_t rc_ = weft_run((Fn), NULL, &(weft_options){.workers = (Workers)}); \
        world_close(&world);                                                        \
        cr_assert_eq(rc_, 0, "the main task ended with %d", (int)rc_);              \
        wt_assert_clean();                                                          \
    } while (0)

/* ---- connections: in fibers ---- */

struct pair {
    weft_tls *server;
    weft_tls *client;
};

WT_FN int open_over(struct pair *pair, const int fds[2], weft_tls_context *server,
                    weft_tls_context *client, const char *name)
{
    pair->server = pair->client = NULL;
    int rc = weft_tls_open(&pair->server, server, fds[0], NULL);
    if (rc < 0) {
        weft_close(fds[0]);
        weft_close(fds[1]);
        return rc;
    }
    rc = weft_tls_open(&pair->client, client, fds[1], name);
    if (rc < 0) {
        weft_tls_close(pair->server);
        pair->server = NULL;
        weft_close(fds[1]);
    }
    return rc;
}

WT_FN void close_pair(struct pair *pair)
{
    weft_tls_close(pair->client);
    weft_tls_close(pair->server);
    pair->client = pair->server = NULL;
}

WT_FN intptr_t shake_hands(void *tls)
{
    return weft_tls_handshake(tls);
}

/* Both sides at once. Returns what became of the client; *server what became of the server. */
WT_FN int handshake_both(struct pair *pair, intptr_t *server)
{
    weft_task *task;
    int rc = weft_spawn(&task, shake_hands, pair->server);
    if (rc < 0) {
        return rc;
    }
    int client = weft_tls_handshake(pair->client);
    if (client == -ECANCELED) {
        (void)weft_cancel(task);
    }
    rc = weft_await(task, server);
    return client < 0 ? client : rc;
}

/* Real sockets, handshake done. */
WT_FN void connect_pair(struct pair *pair, weft_tls_context *server, weft_tls_context *client,
                        const char *name)
{
    int fds[2];
    intptr_t result = -1;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    wt_check(open_over(pair, fds, server, client, name) == 0);
    wt_check(handshake_both(pair, &result) == 0);
    wt_check(result == 0);
}

/* ---- whole texts: in fibers ---- */

WT_FN int write_all(weft_tls *tls, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = weft_tls_write(tls, at, length);
        if (n < 0) {
            return (int)n;
        }
        at += n;
        length -= (size_t)n;
    }
    return weft_tls_flush(tls);
}

/* Returns what came until `length`, the end or an error; the error if nothing did. */
WT_FN ssize_t read_all(weft_tls *tls, void *buffer, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = weft_tls_read(tls, (char *)buffer + done, length - done);
        if (n <= 0) {
            return done > 0 ? (ssize_t)done : n;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

WT_FN void exchange(weft_tls *from, weft_tls *to, const char *text)
{
    char got[64] = "";
    wt_check(write_all(from, text, strlen(text)) == 0);
    wt_check(read_all(to, got, strlen(text)) == (ssize_t)strlen(text));
    wt_check(strcmp(got, text) == 0);
}

#endif
