/* SPDX-License-Identifier: MIT */
/* test_tls_httpd.c - the example server with --tls, seen by a client of weft-tls, and by whoever does not
 * speak TLS. */
#include <weft.h>
#include <weft/tls.h>

#include "httpd/outside.h"
#include "tls/certificates.h"

static struct authority authority;
static char certificate[256], key[256], trusted[256];

static void make_files(void)
{
    authority_open(&authority, "P-256");
    certify(&authority, "localhost", "DNS:localhost", 30);
    in_directory(certificate, sizeof certificate, &authority, "localhost", ".pem");
    in_directory(key, sizeof key, &authority, "localhost", ".key");
    in_directory(trusted, sizeof trusted, &authority, "authority", ".pem");
}

/* ---- a client, in a fiber ---- */

struct visit {
    const struct program *server;
    weft_tls_context *context;
    const char *request;
    char text[4096];
    ssize_t end; /* what the last read returned */
};

static ssize_t read_to_end(weft_tls *tls, struct visit *visit)
{
    size_t length = 0;
    ssize_t n;
    do {
        n = weft_tls_read(tls, visit->text + length, sizeof visit->text - 1 - length);
        length += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    visit->text[length] = '\0';
    return n;
}

static intptr_t pay_visit(void *arg)
{
    struct visit *visit = arg;
    weft_tls *tls;
    int fd = dial(visit->server);
    wt_check(weft_tls_open(&tls, visit->context, fd, "localhost") == 0);
    size_t length = strlen(visit->request);
    wt_check(weft_tls_write(tls, visit->request, length) == (ssize_t)length);
    wt_check(weft_tls_flush(tls) == 0);
    visit->end = read_to_end(tls, visit);
    wt_check(strcmp(weft_tls_alpn(tls), "http/1.1") == 0);
    weft_tls_close(tls);
    return 0;
}

static void visit_with(struct visit *visit, const char *request)
{
    static const char *const protocols[] = {"h2", "http/1.1", NULL};
    const weft_tls_options options = {.authorities_file = trusted, .alpn = protocols};
    cr_assert_eq(weft_tls_client(&visit->context, &options, NULL, 0), 0);
    visit->request = request;
    cr_assert_eq(weft_run(pay_visit, visit, NULL), 0);
    weft_tls_context_drop(visit->context);
    wt_assert_clean();
}

/* ---- the tests ---- */

static size_t count(const char *text, const char *what)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        found++;
    }
    return found;
}

Test(tls_httpd, answers, .timeout = 30)
{
    struct program server;
    struct visit visit = {.server = &server};
    make_files();
    START(&server, "--tls", certificate, key);
    visit_with(&visit, GET("/") GET("/sleep?ms=5") GET("/fan?n=10") GET(
                           "/nowhere") "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    cr_assert_eq(visit.end, 0, "no farewell, but %d", (int)visit.end);
    cr_assert_eq(count(visit.text, "200 OK"), 4, "%s", visit.text);
    cr_assert_eq(count(visit.text, "404 Not Found"), 1, "%s", visit.text);
    cr_assert_not_null(strstr(visit.text, "\r\n\r\n55\n"));
    stop(&server);
    cr_assert_eq(counter(&server, "requests"), 5);
    authority_close(&authority);
}

/* Those who speak no TLS, who say nothing, or who leave in the middle of the handshake. */
Test(tls_httpd, strangers_do_no_harm, .timeout = 30)
{
    struct program server;
    struct visit visit = {.server = &server};
    char bytes[256];
    make_files();
    /* Long enough for the visitor, who has to begin a runtime on a busy machine. */
    START(&server, "--tls", certificate, key, "--read-timeout", "700ms", "--grace", "600s");
    int plain = dial_and_say(&server, GET("/"));
    while (receive(plain, bytes, sizeof bytes, 0) > 0) { /* an alert, then the end */
    }
    close(plain);
    int slow = dial_and_say(&server, "\x16\x03\x01\x02");
    cr_assert_leq(receive(slow, bytes, sizeof bytes, 0), 0);
    close(slow);
    int silent = dial(&server);
    hang_up(dial_and_say(&server, "\x16\x03\x01"), true);
    visit_with(&visit, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    cr_assert_eq(count(visit.text, "200 OK"), 1, "%s", visit.text);
    kill(server.pid, SIGTERM);
    expect_end(silent);
    cr_assert_eq(finish(&server), 0);
    cr_assert_eq(counter(&server, "requests"), 1);
    authority_close(&authority);
}

/* As without TLS: clients that ask one request after the other get an answer to each, the last one with the
 * news that the server closes. What comes later finds nobody listening. */
Test(tls_httpd, sigterm_under_load_loses_no_request, .timeout = 30)
{
    struct program server;
    struct program load = {0};
    char port[16];
    make_files();
    START(&server, "--workers", "2", "--tls", certificate, key);
    sprintf(port, "%d", server.port);
    start_program(&load, "load",
                  (const char *const[]){"--tls", "--host", "localhost", "--authorities", trusted,
                                        "--port", port, "--duration", "1200ms", "--connections",
                                        "20", "--mix", "/:3,/sleep?ms=5:1", "--json", NULL});
    stop_under_load(&server, &load);
    authority_close(&authority);
}

Test(tls_httpd, bad_files_are_told, .timeout = 30)
{
    struct program program = {0};
    start_program(
        &program, "httpd",
        (const char *const[]){"--port", "0", "--tls", "/nowhere.pem", "/nowhere.key", NULL});
    cr_assert_eq(finish(&program), 2, "%s", program.text);
    cr_assert_not_null(strstr(program.text, "can't read /nowhere.pem"), "%s", program.text);
    memset(&program, 0, sizeof program);
    start_program(&program, "httpd",
                  (const char *const[]){"--port", "0", "--tls", "/nowhere.pem", NULL});
    cr_assert_eq(finish(&program), 2, "%s", program.text);
}
