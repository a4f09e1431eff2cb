// SPDX-License-Identifier: MIT
/* echo_load.c - one thread that keeps every connection busy, and what each answer took.
 *
 * Level-triggered epoll: an answer of 64 bytes is one read. Times go to buckets of a tenth of a microsecond
 * up to 100 us and of 10 us up to a second. Measuring begins when every connection has had an answer and
 * some time has passed since: a program takes its time to start.
 */
#include "echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

enum { FINE = 1000, COARSE = 100000, EVENTS = 256 };

struct session {
    int fd;
    bool is_served; /* has had an answer */
    int64_t sent_ns;
};

struct state {
    struct session *sessions;
    int poller;
    int served; /* sessions */
    uint64_t requests;
    uint64_t fine[FINE];
    uint64_t coarse[COARSE];
};

static void record(struct state *state, int64_t ns)
{
    if (ns < 100 * FINE) {
        state->fine[ns / 100]++;
    } else {
        int64_t at = ns / 10000;
        state->coarse[at < COARSE ? at : COARSE - 1]++;
    }
    state->requests++;
}

static double quantile_us(const struct state *state, double share)
{
    uint64_t rank = (uint64_t)((double)state->requests * share);
    uint64_t seen = 0;
    for (int i = 0; i < FINE; i++) {
        seen += state->fine[i];
        if (seen > rank) {
            return 0.1 * i;
        }
    }
    for (int i = 0; i < COARSE; i++) {
        seen += state->coarse[i];
        if (seen > rank) {
            return 10.0 * i;
        }
    }
    return 1e6;
}

static bool send_one(struct session *session)
{
    static const char text[ECHO_BYTES] = "sixty-four bytes that come back";
    session->sent_ns = bench_now_ns();
    return send(session->fd, text, sizeof text, MSG_NOSIGNAL) == (ssize_t)sizeof text;
}

static bool open_session(struct state *state, struct session *session, int port)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
    session->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return session->fd >= 0 &&
           connect(session->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
           setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 &&
           epoll_ctl(state->poller, EPOLL_CTL_ADD, session->fd, &event) == 0;
}

static bool answer(struct state *state, struct session *session, bool counts)
{
    char buffer[ECHO_BYTES];
    if (recv(session->fd, buffer, sizeof buffer, 0) != (ssize_t)sizeof buffer) {
        return false;
    }
    state->served += !session->is_served;
    session->is_served = true;
    if (counts) {
        record(state, bench_now_ns() - session->sent_ns);
    }
    return send_one(session);
}

static bool turn(struct state *state, bool counts)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(state->poller, events, EVENTS, 1000);
    for (int i = 0; i < count; i++) {
        if (!answer(state, events[i].data.ptr, counts)) {
            return false;
        }
    }
    return true;
}

static bool run(struct state *state, int64_t for_ns, bool counts)
{
    int64_t until_ns = bench_now_ns() + for_ns;
    bool ok = true;
    while (ok && bench_now_ns() < until_ns) {
        ok = turn(state, counts);
    }
    return ok;
}

/* Until every connection has had an answer, or none comes in ten seconds; then a while longer. */
static bool warm_up(struct state *state, int connections)
{
    const int64_t patience_ns = 10 * WEFT_S;
    const int64_t warm_ns = 200 * WEFT_MS;
    int64_t until_ns = bench_now_ns() + patience_ns;
    bool ok = true;
    while (ok && state->served < connections) {
        ok = turn(state, false) && bench_now_ns() < until_ns;
    }
    return ok && run(state, warm_ns, false);
}

static bool open_all(struct state *state, int port, int count)
{
    for (int i = 0; i < count; i++) {
        if (!open_session(state, &state->sessions[i], port) || !send_one(&state->sessions[i])) {
            return false;
        }
    }
    return true;
}

bool echo_run_load(int port, struct echo_load *load)
{
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return false;
    }
    state->sessions = calloc((size_t)load->connections, sizeof *state->sessions);
    state->poller = epoll_create1(EPOLL_CLOEXEC);
    bool ok = state->sessions != NULL && state->poller >= 0 &&
              open_all(state, port, load->connections) && warm_up(state, load->connections);
    if (ok && load->begin != NULL) {
        load->begin(load->arg);
    }
    ok = ok && run(state, load->duration_ns, true);
    load->requests = state->requests;
    load->p50_us = quantile_us(state, 0.5);
    load->p99_us = quantile_us(state, 0.99);
    load->p999_us = quantile_us(state, 0.999);
    for (int i = 0; i < load->connections && state->sessions != NULL; i++) {
        if (state->sessions[i].fd > 0) {
            (void)close(state->sessions[i].fd);
        }
    }
    if (state->poller >= 0) {
        (void)close(state->poller);
    }
    free(state->sessions);
    free(state);
    return ok;
}
