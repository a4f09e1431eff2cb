/* SPDX-License-Identifier: MIT */
/* test_httpd_host.c - the example server wants to know for which host a request is (RFC 9112, 3.2). */
#include "httpd/outside.h"

Test(httpd_host, is_named_once, .timeout = 20)
{
    struct program server;
    START(&server, "--workers", "2");
    expect_refusal(&server, "GET / HTTP/1.1\r\n\r\n", 400);
    expect_refusal(&server, "GET http://test/ HTTP/1.1\r\nHosts: test\r\nHos: test\r\n\r\n", 400);
    expect_refusal(&server, "GET / HTTP/1.1\r\nHost: test\r\nHost: test\r\n\r\n", 400);
    expect_refusal(&server, "GET / HTTP/1.1\r\nHost: test\r\nA: b\r\nhOST:\r\n\r\n", 400);
    expect_refusal(&server, "GET / HTTP/1.0\r\nHost: test\r\nHost: test\r\n\r\n", 400);
    expect_refusal(&server, "GET / HTTP/1.0\r\n\r\n", 200); /* HTTP/1.0 knows no such line */
    int fd = dial_and_say(&server, GET("/") "GET / HTTP/1.1\r\nA: b\r\nHOST:\r\n\r\n");
    expect_reply(fd, 200, "hello\n");
    expect_reply(fd, 200, "hello\n"); /* one without a value is one */
    say(fd, "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            "1\r\na\r\n0\r\nHost: late\r\n\r\n");
    expect_reply(fd, 200, "hello\n"); /* what follows the body is none */
    say(fd, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            "0\r\nHost: late\r\n\r\n");
    expect_reply(fd, 400, NULL);
    expect_end(fd);
    stop(&server);
    cr_assert_eq(counter(&server, "400"), 6);
}

/* The line comes in pieces, and the head in which it stands moves. */
Test(httpd_host, is_found_in_pieces, .timeout = 20)
{
    enum { COUNT = 12 };
    static char text[COUNT * 64];
    struct program server;
    for (int i = 0; i < COUNT; i++) {
        (void)strcat(text, GET("/fan?n=3"));
    }
    START(&server, "--max-header", "256");
    for (size_t step = 1; step < 50; step++) {
        int fd = dial(&server);
        for (size_t at = 0; at < strlen(text); at += step) {
            size_t left = strlen(text) - at;
            size_t size = step < left ? step : left;
            cr_assert_eq(send(fd, text + at, size, MSG_NOSIGNAL), (ssize_t)size);
        }
        for (int i = 0; i < COUNT; i++) {
            expect_reply(fd, 200, "6\n");
        }
        close(fd);
    }
    stop(&server);
}
