/* SPDX-License-Identifier: MIT */
/* dns_server.h - a name server on loopback for tests: what it knows, and how it misbehaves.
 *
 * A fiber for UDP and one for TCP, in the test's own runtime. What a name stands for says its first label:
 *     both      A 192.0.2.1, 192.0.2.2, AAAA 2001:db8::1
 *     four      A 192.0.2.4, no AAAA          six       AAAA 2001:db8::6, no A
 *     alias     a CNAME of both, with both's addresses
 *     many      40 of A: truncated over UDP   empty     neither
 *     none      no such name                  fail      SERVFAIL
 *     silent    no answer                     garbage   an answer that is none
 *     unread    FORMERR: the server could not read the question
 *     second    silent at first, then as four
 *     home      A 127.0.0.1, AAAA ::1
 *     half      A 127.0.0.1, and no answer for AAAA
 * All but those are none. */
#ifndef DNS_SERVER_H
#define DNS_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <weft.h>

#include "weft_test.h"

enum { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28 };

struct dns_server {
    int udp;
    int tcp;
    char address[32];       /* "127.0.0.1:port", for the resolver */
    atomic_int queries;     /* how many have come */
    atomic_int connections; /* over TCP */
    atomic_int second_met;  /* queries for "second" */
    atomic_flag is_noting;  /* guards ... */
    char last[128];         /* ... the last name asked for; read when none is being asked for */
    weft_task *tasks[2];
    /* Called for each query before it is answered. */
    void (*on_query)(struct dns_server *server, void *arg);
    void *arg;
};

/* ---- packets ---- */

struct dns_packet {
    uint8_t bytes[4096];
    size_t length;
};

static inline void dns_put(struct dns_packet *packet, const void *bytes, size_t length)
{
    wt_check(packet->length + length <= sizeof packet->bytes);
    memcpy(packet->bytes + packet->length, bytes, length);
    packet->length += length;
}

static inline void dns_put16(struct dns_packet *packet, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    dns_put(packet, bytes, 2);
}

/* One record whose name is that of the question. */
static inline void dns_put_record(struct dns_packet *packet, unsigned type, const void *data,
                                  size_t length)
{
    dns_put16(packet, 0xc00c);
    dns_put16(packet, type);
    dns_put16(packet, 1); /* IN */
    dns_put16(packet, 0);
    dns_put16(packet, 60); /* TTL */
    dns_put16(packet, (unsigned)length);
    dns_put(packet, data, length);
    packet->bytes[7]++; /* answers */
}

static inline void dns_put_address(struct dns_packet *packet, unsigned type, const char *text)
{
    uint8_t address[16];
    wt_check(inet_pton(type == DNS_A ? AF_INET : AF_INET6, text, address) == 1);
    dns_put_record(packet, type, address, type == DNS_A ? 4 : 16);
}

/* The name of the question as text; the length of the question with type and class, 0: malformed. */
static inline size_t dns_read_question(const uint8_t *query, size_t length, char *name, size_t size,
                                       unsigned *type)
{
    size_t at = 12;
    size_t out = 0;
    while (at < length && query[at] != 0) {
        size_t label = query[at++];
        if (label > 63 || at + label > length || out + label + 2 > size) {
            return 0;
        }
        memcpy(name + out, query + at, label);
        out += label;
        name[out++] = '.';
        at += label;
    }
    name[out > 0 ? out - 1 : 0] = '\0';
    if (at + 5 > length) {
        return 0;
    }
    *type = (unsigned)query[at + 1] << 8 | query[at + 2];
    return at + 5 - 12;
}

/* ---- what it knows ---- */

enum { DNS_OK = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3 };

static inline int dns_answer_name(struct dns_server *server, const char *name, unsigned type,
                                  bool is_tcp, struct dns_packet *out)
{
    size_t label = strcspn(name, ".");
#define DNS_IS(Text) (label == sizeof(Text) - 1 && memcmp(name, Text, label) == 0)
    if (DNS_IS("both") || DNS_IS("alias")) {
        if (DNS_IS("alias")) {
            static const uint8_t other[] = "\4both\4test"; /* with the root's 0 */
            dns_put_record(out, DNS_CNAME, other, sizeof other);
            /* The addresses follow under the other name, which begins in that record. */
        }
        unsigned from = DNS_IS("alias") ? (unsigned)(out->length - 11) : 0x0c;
        const char *v4[] = {"192.0.2.1", "192.0.2.2"};
        for (size_t i = 0; i < (type == DNS_A ? 2 : 1); i++) {
            size_t start = out->length;
            dns_put_address(out, type, type == DNS_A ? v4[i] : "2001:db8::1");
            out->bytes[start] = (uint8_t)(0xc0 | from >> 8);
            out->bytes[start + 1] = (uint8_t)from;
        }
        return DNS_OK;
    }
    if (DNS_IS("second") && server->second_met++ < 2) { /* one of each type */
        return -1;
    }
    if (DNS_IS("four") || DNS_IS("second")) {
        if (type == DNS_A) {
            dns_put_address(out, DNS_A, "192.0.2.4");
        }
        return DNS_OK;
    }
    if (DNS_IS("six")) {
        if (type == DNS_AAAA) {
            dns_put_address(out, DNS_AAAA, "2001:db8::6");
        }
        return DNS_OK;
    }
    if (DNS_IS("home")) {
        dns_put_address(out, type, type == DNS_A ? "127.0.0.1" : "::1");
        return DNS_OK;
    }
    if (DNS_IS("half")) {
        if (type == DNS_AAAA) {
            return -1;
        }
        dns_put_address(out, DNS_A, "127.0.0.1");
        return DNS_OK;
    }
    if (DNS_IS("many")) {
        for (int i = 0; i < 40 && is_tcp && type == DNS_A; i++) {
            char text[32];
            (void)snprintf(text, sizeof text, "192.0.2.%d", i + 1);
            dns_put_address(out, DNS_A, text);
        }
        out->bytes[2] = (uint8_t)(out->bytes[2] | (is_tcp ? 0 : 2)); /* truncated */
        return DNS_OK;
    }
    if (DNS_IS("garbage")) {
        out->bytes[5] = 7; /* questions that are not there */
        out->bytes[7] = 9;
        out->length -= 3;
        return DNS_OK;
    }
    return DNS_IS("silent")   ? -1
           : DNS_IS("empty")  ? DNS_OK
           : DNS_IS("fail")   ? DNS_SERVFAIL
           : DNS_IS("unread") ? DNS_FORMERR
                              : DNS_NXDOMAIN;
#undef DNS_IS
}

/* Both fibers answer, perhaps on two workers. */
static inline void dns_note(struct dns_server *server, const char *name)
{
    while (atomic_flag_test_and_set(&server->is_noting)) {
    }
    snprintf(server->last, sizeof server->last, "%s", name);
    atomic_flag_clear(&server->is_noting);
}

/* False: there is no answer. */
static inline bool dns_answer(struct dns_server *server, const uint8_t *query, size_t length,
                              bool is_tcp, struct dns_packet *out)
{
    static const uint8_t rest[10] = {0x81, 0x80, 0, 1};
    unsigned type = 0;
    char name[sizeof server->last] = "";
    size_t question = length > 12 ? dns_read_question(query, length, name, sizeof name, &type) : 0;
    dns_note(server, name);
    server->queries++;
    if (server->on_query != NULL) {
        server->on_query(server, server->arg);
    }
    if (!wt_check(question > 0)) {
        return false;
    }
    out->length = 0;
    dns_put(out, query, 2);
    dns_put(out, rest, sizeof rest);
    dns_put(out, query + 12, question);
    int code = dns_answer_name(server, name, type, is_tcp, out);
    if (code > 0) {
        out->bytes[3] = (uint8_t)(out->bytes[3] | code);
    }
    return code >= 0;
}

/* ---- the fibers ---- */

static inline intptr_t dns_serve_udp(void *arg)
{
    struct dns_server *server = arg;
    struct dns_packet out;
    uint8_t query[512];
    int rc;
    while ((rc = weft_wait_fd(server->udp, WEFT_READABLE)) >= 0) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(server->udp, query, sizeof query, MSG_DONTWAIT,
                             (struct sockaddr *)&from, &size);
        if (n > 0 && dns_answer(server, query, (size_t)n, false, &out)) {
            (void)sendto(server->udp, out.bytes, out.length, MSG_DONTWAIT, (struct sockaddr *)&from,
                         size);
        }
    }
    return rc;
}

static inline ssize_t dns_serve_connection(struct dns_server *server, weft_stream *stream)
{
    struct dns_packet out;
    uint8_t query[512];
    uint8_t size[2];
    ssize_t n;
    while ((n = weft_stream_read_exactly(stream, size, 2)) == 2) {
        size_t length = (size_t)size[0] << 8 | size[1];
        if (!wt_check(length <= sizeof query)) {
            return -EMSGSIZE;
        }
        n = weft_stream_read_exactly(stream, query, length);
        if (n < 0 || !dns_answer(server, query, length, true, &out)) {
            break;
        }
        size[0] = (uint8_t)(out.length >> 8);
        size[1] = (uint8_t)out.length;
        int rc = weft_stream_write(stream, size, 2);
        rc = rc == 0 ? weft_stream_write(stream, out.bytes, out.length) : rc;
        rc = rc == 0 ? weft_stream_flush(stream) : rc;
        if (rc < 0) {
            return rc;
        }
    }
    return n;
}

static inline intptr_t dns_serve_tcp(void *arg)
{
    struct dns_server *server = arg;
    for (;;) {
        weft_stream stream;
        int fd = weft_accept(server->tcp, NULL, NULL);
        if (fd < 0) {
            return fd;
        }
        server->connections++;
        wt_check(weft_stream_open(&stream, fd, fd, NULL) == 0);
        ssize_t n = dns_serve_connection(server, &stream);
        weft_stream_close(&stream);
        if (n == -ECANCELED) {
            return n;
        }
    }
}

/* In a fiber. The same port for both; the server's memory stays until dns_stop. */
static inline void dns_start(struct dns_server *server)
{
    for (int i = 0; i < 50; i++) {
        server->tcp = weft_listen_tcp("127.0.0.1", 0, NULL);
        int port = weft_local_port(server->tcp);
        server->udp = weft_bind_udp("127.0.0.1", (uint16_t)port, NULL);
        (void)snprintf(server->address, sizeof server->address, "127.0.0.1:%d", port);
        if (server->udp >= 0) {
            break;
        }
        wt_check(weft_close(server->tcp) == 0);
    }
    wt_check(server->udp >= 0 && server->tcp >= 0);
    wt_check(weft_spawn(&server->tasks[0], dns_serve_udp, server) == 0);
    wt_check(weft_spawn(&server->tasks[1], dns_serve_tcp, server) == 0);
}

static inline void dns_stop(struct dns_server *server)
{
    for (int i = 0; i < 2; i++) {
        intptr_t result = 0;
        (void)weft_cancel(server->tasks[i]);
        wt_check(weft_await(server->tasks[i], &result) == 0);
        wt_check(result == -ECANCELED);
    }
    wt_check(weft_close(server->udp) == 0 && weft_close(server->tcp) == 0);
}

#endif
