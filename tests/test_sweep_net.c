/* SPDX-License-Identifier: MIT */
/* test_sweep_net.c - streams, connecting and looking up names under the cancel sweep.
 *
 * The descriptors are simulated, so the sweep finds those that are left open; `held` counts the rest. */
#include <errno.h>

#include <weft.h>

#include "net/race.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "sweep_test.h"

/* ---- streams ---- */

static intptr_t writes_stream(void *arg)
{
    static const char text[] = "first\nsecond\n0123456789;;and the rest of it\n";
    weft_stream out;
    int rc = weft_stream_open(&out, -1, *(const int *)arg, NULL);
    if (rc < 0) {
        (void)weft_close(*(const int *)arg);
        return rc;
    }
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = weft_stream_write(&out, text, sizeof text - 1);
        rc = rc == 0 ? weft_stream_flush(&out) : rc;
    }
    rc = rc == 0 ? weft_stream_shut(&out) : rc;
    weft_stream_close(&out);
    return rc;
}

/* One of each call; a request between two of them loses nothing. */
static ssize_t read_each_way(weft_stream *in)
{
    char text[64];
    const void *bytes = NULL;
    ssize_t n = weft_stream_wait(in);
    n = n >= 0 ? weft_stream_read_line(in, text, sizeof text) : n;
    wt_check(n < 0 || (n == 5 && strcmp(text, "first") == 0));
    n = n >= 0 ? weft_stream_read_exactly(in, text, 7) : n;
    wt_check(n < 0 || memcmp(text, "second\n", 7) == 0);
    n = n >= 0 ? weft_stream_read_until(in, text, sizeof text, ";;", 2) : n;
    wt_check(n < 0 || (n == 12 && memcmp(text, "0123456789;;", 12) == 0));
    n = n >= 0 ? weft_stream_peek(in, 3, &bytes) : n;
    wt_check(n < 0 || memcmp(bytes, "and", 3) == 0);
    while (n > 0) {
        n = weft_stream_read(in, text, sizeof text);
    }
    return n;
}

static intptr_t streams(void *arg)
{
    static const weft_stream_options small = {.read_bytes = 16, .write_bytes = 16};
    int fds[2];
    weft_stream in;
    weft_task *writer;
    (void)arg;
    int rc = weft_sim_pipe(fds);
    if (rc < 0) {
        return rc;
    }
    rc = weft_stream_open(&in, fds[0], -1, &small);
    wt_check(rc == 0);
    rc = weft_spawn(&writer, writes_stream, &fds[1]);
    if (rc < 0) {
        (void)weft_close(fds[1]);
        weft_stream_close(&in);
        return rc;
    }
    ssize_t n = read_each_way(&in);
    weft_stream_close(&in); /* the writer is told -EPIPE at the latest */
    int ended = weft_await(writer, NULL);
    if (weft_wait_fd(fds[1], WEFT_WRITABLE) >= 0) {
        (void)weft_close(fds[1]); /* it was cancelled before it began */
    }
    return n < 0 ? n : ended;
}

Test(sweep_net, streams)
{
    sweep(streams, 12);
}

/* ---- connecting ---- */

/* Takes as many milliseconds as the port says, and fails if it is odd. */
static int take_time(const weft_address *address, const void *context)
{
    int port = ntohs(address->as.v4.sin_port);
    (void)context;
    int fd = weft_sim_socket();
    if (fd < 0) {
        return fd;
    }
    int rc = weft_sleep(port * WEFT_MS);
    rc = rc == 0 && port % 2 == 1 ? -ECONNREFUSED : rc;
    if (rc < 0) {
        (void)weft_close(fd);
    }
    return rc < 0 ? rc : fd;
}

static int race_ports(const uint16_t *ports, size_t count)
{
    weft_address addresses[4];
    for (size_t i = 0; i < count; i++) {
        wt_check(wf_address_parse("192.0.2.1", ports[i], &addresses[i]) == 0);
    }
    int fd = wf_race(addresses, count, 2 * WEFT_MS, take_time, NULL);
    return fd < 0 ? fd : weft_close(fd);
}

static intptr_t races(void *arg)
{
    static const uint16_t second[] = {30, 4, 6};
    static const uint16_t tie[] = {4, 2, 40};
    static const uint16_t failing[] = {1, 3, 1};
    (void)arg;
    int rc = race_ports(second, 3);
    rc = rc == 0 ? race_ports(tie, 3) : rc;
    rc = rc == 0 ? race_ports(failing, 3) : rc;
    return rc == -ECONNREFUSED ? weft_checkpoint() : rc;
}

Test(sweep_net, races)
{
    sweep(races, 15);
}

static intptr_t accepts_one(void *arg)
{
    int fd = weft_accept(*(const int *)arg, NULL, NULL);
    return fd < 0 ? fd : weft_close(fd);
}

static intptr_t connects(void *arg)
{
    weft_task *task;
    (void)arg;
    int listener = weft_sim_listen(80);
    if (listener < 0) {
        return listener;
    }
    int rc = weft_spawn(&task, accepts_one, &listener);
    int ended = 0;
    if (rc == 0) {
        int fd = weft_connect_host("localhost", 80, NULL);
        rc = fd < 0 ? fd : weft_close(fd);
        (void)weft_cancel(task);
        ended = weft_await(task, NULL);
    }
    (void)weft_close(listener);
    return rc < 0 ? rc : ended;
}

Test(sweep_net, connect_host)
{
    sweep(connects, 6);
}

/* ---- names ---- */

static intptr_t resolves(void *arg)
{
    weft_addresses *found = NULL;
    (void)arg;
    int rc = weft_resolve("127.0.0.1", 80, NULL, &found);
    held += rc == 0 ? 1 : 0;
    if (rc == 0) {
        weft_addresses_free(found);
        held--;
        rc = weft_resolve("localhost", 80, NULL, &found);
    }
    if (rc == 0) {
        weft_addresses_free(found);
    }
    return rc < 0 ? rc : weft_checkpoint();
}

/* What stands for getaddrinfo needs neither a file nor a server. */
static int numeric_only(const char *host, const char *service, const struct addrinfo *hints,
                        struct addrinfo **found)
{
    struct addrinfo numeric = *hints;
    numeric.ai_flags = AI_NUMERICHOST;
    held++;
    int rc = getaddrinfo(host, service, &numeric, found);
    held--;
    return rc;
}

static intptr_t resolves_on_pool(void *arg)
{
    struct wf_question question = {.host = "192.0.2.1", .port = 80};
    weft_addresses *found = NULL;
    (void)arg;
    int rc = wf_resolve_on_pool(&question, numeric_only, &found);
    wt_check(rc == 0 ? found->count == 1 : rc == -ECANCELED);
    weft_addresses_free(found);
    return rc < 0 ? rc : weft_checkpoint();
}

Test(sweep_net, resolve)
{
    sweep(resolves, 3);
    sweep(resolves_on_pool, 2);
}
