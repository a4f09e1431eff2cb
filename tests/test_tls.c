/* SPDX-License-Identifier: MIT */
/* test_tls.c - TLS connections with both ends in this process, over socket pairs. */
#include <fcntl.h>

#include "tls/pair.h"

/* ---- what connections are for ---- */

static intptr_t talk(void *arg)
{
    struct pair pair;
    char byte;
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    exchange(pair.client, pair.server, "question");
    exchange(pair.server, pair.client, "answer");
    wt_check(strcmp(weft_tls_server_name(pair.server), "localhost") == 0);
    wt_check(strcmp(weft_tls_server_name(pair.client), "localhost") == 0);
    wt_check(strcmp(weft_tls_version(pair.client), "TLSv1.3") == 0);
    wt_check(weft_tls_alpn(pair.client)[0] == '\0');
    wt_check(!weft_tls_is_resumed(pair.client));
    wt_check(weft_tls_error_text(pair.client)[0] == '\0');
    wt_check(weft_tls_read(pair.client, &byte, 0) == 0);
    wt_check(weft_tls_write(pair.client, NULL, 0) == 0);
    close_pair(&pair);
    return 0;
}

Test(tls, talk, .timeout = 20)
{
    RUN_WITH(talk, plain, plain, 1);
}

static intptr_t half_close(void *arg)
{
    struct pair pair;
    char byte;
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    exchange(pair.client, pair.server, "last words");
    wt_check(weft_tls_shutdown(pair.client) == 0);
    wt_check(weft_tls_shutdown(pair.client) == 0);
    wt_check(weft_tls_write(pair.client, "x", 1) == -EPIPE);
    wt_check(weft_tls_read(pair.server, &byte, 1) == 0);
    wt_check(weft_tls_read(pair.server, &byte, 1) == 0);
    exchange(pair.server, pair.client, "I go on talking");
    weft_tls_close(pair.server); /* says farewell too */
    pair.server = NULL;
    wt_check(weft_tls_read(pair.client, &byte, 1) == 0);
    close_pair(&pair);
    return 0;
}

Test(tls, half_close, .timeout = 20)
{
    RUN_WITH(half_close, plain, plain, 1);
}

/* An attacker, or a crash: the end of the connection is not the end of what was to be said. */
static intptr_t truncated(void *arg)
{
    struct pair pair;
    char byte;
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    shutdown(weft_tls_fd(pair.client), SHUT_WR);
    wt_check(weft_tls_read(pair.server, &byte, 1) == -ECONNRESET);
    wt_check(weft_tls_read(pair.server, &byte, 1) == -ECONNRESET);
    wt_check(strstr(weft_tls_error_text(pair.server), "farewell") != NULL);
    close_pair(&pair);
    connect_pair(&pair, world.server, world.client, "localhost");
    wt_check(send(weft_tls_fd(pair.client), "not a record at all", 19, MSG_NOSIGNAL) == 19);
    wt_check(weft_tls_read(pair.server, &byte, 1) == -EPROTO);
    wt_check(weft_tls_error_text(pair.server)[0] != '\0');
    wt_check(weft_tls_write(pair.server, "x", 1) == -EPROTO);
    wt_check(weft_tls_read(pair.client, &byte, 1) == -EPROTO); /* the alert has come */
    close_pair(&pair);
    return 0;
}

Test(tls, truncation_and_garbage_are_errors, .timeout = 20)
{
    RUN_WITH(truncated, plain, plain, 1);
}

/* The peer is gone without a word: an error, and no signal. */
static intptr_t broken_pipe(void *arg)
{
    struct pair pair;
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    weft_tls_close(pair.client);
    pair.client = NULL;
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++) {
        rc = write_all(pair.server, "x", 1);
    }
    wt_check(rc == -EPIPE || rc == -ECONNRESET);
    close_pair(&pair);
    return 0;
}

Test(tls, no_sigpipe, .timeout = 20)
{
    RUN_WITH(broken_pipe, plain, plain, 1);
}

/* ---- certificates ---- */

static int try_name(weft_tls_context *server, weft_tls_context *client, const char *name,
                    char *text)
{
    struct pair pair;
    int fds[2];
    intptr_t result = 0;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    int rc = open_over(&pair, fds, server, client, name);
    if (rc == 0) {
        rc = handshake_both(&pair, &result);
        strcpy(text, weft_tls_error_text(pair.client));
        wt_check(rc == 0 || weft_tls_handshake(pair.client) == rc);
    }
    close_pair(&pair);
    return rc;
}

static intptr_t verification(void *arg)
{
    char text[512] = "";
    (void)arg;
    certify(&world.authority, "old", "DNS:localhost", -1);
    certify(&world.authority, "wild", "DNS:*.example.org", 30);
    weft_tls_context *old = make_server(&world.authority, "old", plain);
    weft_tls_context *wild = make_server(&world.authority, "wild", plain);
    wt_check(try_name(world.server, world.client, "localhost", text) == 0);
    wt_check(try_name(world.server, world.client, "127.0.0.1", text) == 0);
    wt_check(try_name(world.server, world.client, "127.0.0.2", text) == -EKEYREJECTED);
    wt_check(try_name(world.server, world.client, "elsewhere", text) == -EKEYREJECTED);
    wt_check(strstr(text, "elsewhere") != NULL && strstr(text, "ostname mismatch") != NULL);
    wt_check(try_name(old, world.client, "localhost", text) == -EKEYREJECTED);
    wt_check(strstr(text, "expired") != NULL);
    wt_check(try_name(wild, world.client, "a.example.org", text) == 0);
    wt_check(try_name(wild, world.client, "a.b.example.org", text) == -EKEYREJECTED);
    wt_check(try_name(world.server, world.client, NULL, text) == -EINVAL);
    weft_tls_context_drop(old);
    weft_tls_context_drop(wild);
    return 0;
}

Test(tls, a_client_insists_on_the_right_certificate, .timeout = 20)
{
    RUN_WITH(verification, plain, plain, 1);
}

static intptr_t trust_nobody(void *arg)
{
    char text[512] = "";
    weft_tls_context *systems, *careless;
    (void)arg;
    wt_check(weft_tls_client(&systems, NULL, NULL, 0) == 0);
    wt_check(weft_tls_client(&careless, &(weft_tls_options){.verify = WEFT_TLS_VERIFY_NONE}, NULL,
                             0) == 0);
    wt_check(try_name(world.server, systems, "localhost", text) == -EKEYREJECTED);
    wt_check(try_name(world.server, careless, NULL, text) == 0);
    wt_check(try_name(world.server, careless, "elsewhere", text) == 0);
    weft_tls_context_drop(systems);
    weft_tls_context_drop(careless);
    return 0;
}

Test(tls, strangers_are_trusted_only_on_request, .timeout = 20)
{
    RUN_WITH(trust_nobody, plain, plain, 1);
}

/* In TLS 1.3 the client is done before the server has seen its certificate: it hears of it later. */
static intptr_t certified_clients(void *arg)
{
    char path[256], certificate[256], key[256], byte;
    struct pair pair;
    intptr_t result = 0;
    int fds[2];
    (void)arg;
    certify(&world.authority, "client", "DNS:client", 30);
    in_directory(path, sizeof path, &world.authority, "authority", ".pem");
    in_directory(certificate, sizeof certificate, &world.authority, "client", ".pem");
    in_directory(key, sizeof key, &world.authority, "client", ".key");
    weft_tls_context *strict =
        make_server(&world.authority, "localhost",
                    (weft_tls_options){.verify = WEFT_TLS_VERIFY_PEER, .authorities_file = path});
    weft_tls_context *certified = make_client(
        &world.authority, (weft_tls_options){.certificate_file = certificate, .key_file = key});
    connect_pair(&pair, strict, certified, "localhost");
    exchange(pair.client, pair.server, "it is me");
    close_pair(&pair);
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    wt_check(open_over(&pair, fds, strict, world.client, "localhost") == 0);
    wt_check(handshake_both(&pair, &result) == 0);
    wt_check(result == -EPROTO);
    wt_check(weft_tls_read(pair.client, &byte, 1) == -EPROTO);
    wt_check(strstr(weft_tls_error_text(pair.client), "certificate") != NULL);
    close_pair(&pair);
    weft_tls_context_drop(strict);
    weft_tls_context_drop(certified);
    return 0;
}

Test(tls, a_server_may_insist_too, .timeout = 20)
{
    RUN_WITH(certified_clients, plain, plain, 1);
}

/* ---- choices ---- */

static const char *const http[] = {"h2", "http/1.1", NULL};
static const char *const old_http[] = {"http/1.1", NULL};
static const char *const mail[] = {"imap", NULL};

static intptr_t protocols(void *arg)
{
    struct pair pair;
    char text[512] = "";
    (void)arg;
    weft_tls_context *old = make_client(&world.authority, (weft_tls_options){.alpn = old_http});
    weft_tls_context *reader = make_client(&world.authority, (weft_tls_options){.alpn = mail});
    weft_tls_context *silent = make_client(&world.authority, plain);
    connect_pair(&pair, world.server, world.client, "localhost");
    wt_check(strcmp(weft_tls_alpn(pair.client), "h2") == 0);
    wt_check(strcmp(weft_tls_alpn(pair.server), "h2") == 0);
    close_pair(&pair);
    connect_pair(&pair, world.server, old, "localhost");
    wt_check(strcmp(weft_tls_alpn(pair.client), "http/1.1") == 0);
    close_pair(&pair);
    connect_pair(&pair, world.server, silent, "localhost");
    wt_check(weft_tls_alpn(pair.client)[0] == '\0');
    close_pair(&pair);
    wt_check(try_name(world.server, reader, "localhost", text) == -EPROTO);
    weft_tls_context_drop(old);
    weft_tls_context_drop(reader);
    weft_tls_context_drop(silent);
    return 0;
}

Test(tls, alpn, .timeout = 20)
{
    RUN_WITH(protocols, (weft_tls_options){.alpn = http}, (weft_tls_options){.alpn = http}, 1);
}

static weft_tls_context *other;

static weft_tls_context *choose(const char *name, void *arg)
{
    return strcmp(name, "localhost") == 0 ? *(weft_tls_context **)arg
           : strcmp(name, "other") == 0   ? other
                                          : NULL;
}

static intptr_t names(void *arg)
{
    char text[512] = "";
    (void)arg;
    certify(&world.authority, "other", "DNS:other", 30);
    other = make_server(&world.authority, "other", plain);
    wt_check(try_name(world.server, world.client, "localhost", text) == 0);
    wt_check(try_name(world.server, world.client, "other", text) == 0);
    wt_check(try_name(world.server, world.client, "third", text) == -EPROTO);
    wt_check(strstr(text, "unrecognized name") != NULL);
    weft_tls_context_drop(other);
    return 0;
}

Test(tls, a_server_of_several_names, .timeout = 20)
{
    weft_tls_options options = {.choose = choose, .choose_arg = &world.server};
    RUN_WITH(names, options, plain, 1);
}

/* The tickets of TLS 1.3 come with the first bytes that the client reads. */
static bool resumes(weft_tls_context *client, const char *name)
{
    struct pair pair;
    connect_pair(&pair, world.server, client, name);
    exchange(pair.server, pair.client, "hello");
    bool is = weft_tls_is_resumed(pair.client);
    wt_check(is == weft_tls_is_resumed(pair.server));
    close_pair(&pair);
    return is;
}

static intptr_t sessions(void *arg)
{
    weft_tls_context *forgetful =
        make_client(&world.authority, (weft_tls_options){.no_session_reuse = true});
    (void)arg;
    wt_check(!resumes(world.client, "localhost"));
    wt_check(resumes(world.client, "localhost"));
    wt_check(resumes(world.client, "localhost"));
    wt_check(!resumes(world.client, "127.0.0.1"));
    wt_check(!resumes(forgetful, "localhost"));
    wt_check(!resumes(forgetful, "localhost"));
    weft_tls_context_drop(forgetful);
    return 0;
}

Test(tls, sessions_are_taken_up_again, .timeout = 20)
{
    RUN_WITH(sessions, plain, plain, 1);
}

/* ---- misuse, and files that are no good ---- */

static void write_garbage(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_eq(write(fd, "nothing\n", 8), 8);
    close(fd);
}

Test(tls, contexts_say_what_is_wrong, .timeout = 20)
{
    struct authority authority;
    weft_tls_context *context = NULL;
    char good[256], key[256], other_key[256], bad[256], text[256];
    authority_open(&authority, "P-256");
    certify(&authority, "localhost", "DNS:localhost", 30);
    certify(&authority, "second", "DNS:second", 30);
    in_directory(good, sizeof good, &authority, "localhost", ".pem");
    in_directory(key, sizeof key, &authority, "localhost", ".key");
    in_directory(other_key, sizeof other_key, &authority, "second", ".key");
    in_directory(bad, sizeof bad, &authority, "bad", ".pem");
    write_garbage(bad);
    const struct {
        weft_tls_options options;
        int rc;
    } wrong[] = {
        {{0}, -EINVAL},
        {{.certificate_file = good}, -EINVAL},
        {{.certificate_file = good, .key_file = "/nowhere"}, -ENOENT},
        {{.certificate_file = bad, .key_file = key}, -EINVAL},
        {{.certificate_file = good, .key_file = bad}, -EINVAL},
        {{.certificate_file = good, .key_file = other_key}, -EINVAL},
        {{.certificate_file = good, .key_file = key, .size = 3}, -EINVAL},
        {{.certificate_file = good, .key_file = key, .alpn = (const char *const[]){"", NULL}},
         -EINVAL},
        {{.certificate_file = good, .key_file = key, .verify = (weft_tls_verify)7}, -EINVAL},
        {{.certificate_file = good,
          .key_file = key,
          .verify = WEFT_TLS_VERIFY_PEER,
          .authorities_file = bad},
         -EINVAL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        text[0] = '\0';
        int rc = weft_tls_server(&context, &wrong[i].options, text, sizeof text);
        cr_assert_eq(rc, wrong[i].rc, "case %zu: %d: %s", i, rc, text);
        cr_assert(text[0] != '\0', "case %zu says nothing", i);
    }
    cr_assert_null(context);
    authority_close(&authority);
}

static intptr_t misuse(void *arg)
{
    weft_tls *tls = NULL;
    char byte;
    (void)arg;
    wt_check(weft_tls_open(&tls, NULL, 0, NULL) == -EINVAL);
    wt_check(weft_tls_open(&tls, world.server, -1, NULL) == -EINVAL);
    wt_check(weft_tls_open(&tls, world.server, 0, "name") == -EINVAL);
    wt_check(tls == NULL);
    wt_check(weft_tls_read(NULL, &byte, 1) == -EINVAL);
    wt_check(weft_tls_write(NULL, &byte, 1) == -EINVAL);
    wt_check(weft_tls_handshake(NULL) == -EINVAL);
    wt_check(weft_tls_flush(NULL) == -EINVAL);
    wt_check(weft_tls_shutdown(NULL) == -EINVAL);
    wt_check(weft_tls_wait(NULL) == -EINVAL);
    weft_tls_close(NULL);
    weft_tls_context_drop(NULL);
    return 0;
}

Test(tls, misuse_is_told, .timeout = 20)
{
    RUN_WITH(misuse, plain, plain, 1);
}

static intptr_t by_a_cancelled_task(void *arg)
{
    struct pair *pair = arg;
    char byte;
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_tls_read(pair->client, &byte, 1) == -ECANCELED); /* although bytes are there */
    wt_check(weft_tls_read(pair->client, &byte, 1) == 1 && byte == 'a');
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_tls_write(pair->client, "x", 1) == -ECANCELED);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_tls_wait(pair->client) == -ECANCELED);
    wt_check(weft_tls_wait(pair->client) == 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_tls_flush(pair->client) == -ECANCELED);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_tls_shutdown(pair->client) == -ECANCELED);
    return -ECANCELED;
}

static intptr_t entry_rule(void *arg)
{
    struct pair pair;
    weft_task *task;
    intptr_t result = 0;
    char bytes[3];
    (void)arg;
    connect_pair(&pair, world.server, world.client, "localhost");
    wt_check(write_all(pair.server, "ab", 2) == 0);
    wt_check(weft_spawn(&task, by_a_cancelled_task, &pair) == 0);
    wt_check(weft_await(task, &result) == 0 && result == -ECANCELED);
    wt_check(weft_tls_read(pair.client, bytes, 3) == 1 && bytes[0] == 'b');
    wt_check(weft_tls_write(pair.client, "y", 1) == 1); /* no farewell was said */
    close_pair(&pair);
    return 0;
}

Test(tls, every_call_looks_for_a_request_first, .timeout = 20)
{
    RUN_WITH(entry_rule, plain, plain, 1);
}
