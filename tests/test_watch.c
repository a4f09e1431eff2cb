// SPDX-License-Identifier: MIT
/* test_watch.c - scopes that fire when the peer hangs up. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <weft.h>

#include "io_test.h"

static void local_pair(int fds[2])
{
    wt_check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
}

/* Ends the connection by a reset. */
static void reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    wt_check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    wt_check(weft_close(fd) == 0);
}

static intptr_t close_later(void *arg)
{
    wt_check(weft_yield() == 0);
    return weft_close(*(const int *)arg);
}

static intptr_t reset_later(void *arg)
{
    wt_check(weft_yield() == 0);
    reset(*(const int *)arg);
    return 0;
}

static intptr_t shut_later(void *arg)
{
    wt_check(weft_yield() == 0);
    return shutdown(*(const int *)arg, SHUT_WR);
}

/* Watches fds[0] while `peer` does something to fds[1]; what leaving makes of a sleep of `ns`. */
static intptr_t watch_while(int fds[2], weft_fn *peer, unsigned flags, int64_t ns)
{
    weft_watch watch;
    weft_task *task;
    wt_check(weft_watch_enter(&watch, fds[0], flags) == 0);
    wt_check(weft_spawn(&task, peer, &fds[1]) == 0);
    intptr_t rc = weft_watch_leave(&watch, weft_sleep(ns));
    wt_check(weft_watch_fired(&watch) == (rc == -ECONNRESET));
    wt_check(weft_cancelling(weft_self()) == 0);
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_close(fds[0]) == 0);
    return rc;
}

/* ---- what fires ---- */

static intptr_t hang_ups(void *arg)
{
    int fds[2];
    (void)arg;
    local_pair(fds);
    wt_check(watch_while(fds, close_later, 0, WEFT_FOREVER) == -ECONNRESET);
    tcp_pair(fds);
    wt_check(watch_while(fds, reset_later, 0, WEFT_FOREVER) == -ECONNRESET);
    tcp_pair(fds);
    wt_check(watch_while(fds, shut_later, WEFT_WATCH_HALF_CLOSE, WEFT_FOREVER) == -ECONNRESET);
    wt_check(weft_close(fds[1]) == 0);
    tcp_pair(fds);
    wt_check(watch_while(fds, close_later, WEFT_WATCH_HALF_CLOSE, WEFT_FOREVER) == -ECONNRESET);
    return 0;
}

Test(watch, hang_ups, .timeout = 20)
{
    RUN(hang_ups, NULL, &one_worker);
    RUN(hang_ups, NULL, &four_workers);
}

static intptr_t half_closed(void *arg)
{
    int fds[2];
    (void)arg;
    tcp_pair(fds);
    wt_check(watch_while(fds, shut_later, 0, 5 * WEFT_MS) == 0);
    wt_check(weft_close(fds[1]) == 0);
    return 0;
}

Test(watch, half_close_alone_does_not_fire)
{
    RUN(half_closed, NULL, &one_worker);
}

static intptr_t already_gone(void *arg)
{
    int fds[2];
    char byte = 0;
    weft_watch watch;
    (void)arg;
    local_pair(fds);
    wt_check(weft_write(fds[1], "x", 1) == 1);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0); /* registers: the event is on its way */
    wt_check(weft_watch_leave(&watch, weft_sleep(WEFT_FOREVER)) == -ECONNRESET);
    /* Seen before, so it fires at once; the body's value stays if it does not await. */
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_watch_fired(&watch));
    wt_check(weft_watch_leave(&watch, 7) == 7);
    wt_check(weft_watch_fired(&watch));
    wt_check(weft_cancelling(weft_self()) == 0);
    wt_check(weft_read(fds[0], &byte, 1) == 1); /* no request is left */
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_watch_leave(&watch, weft_yield()) == -ECONNRESET);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(watch, hang_up_before_the_scope, .timeout = 20)
{
    RUN(already_gone, NULL, &one_worker);
    RUN(already_gone, NULL, &four_workers);
}

/* ---- probing ---- */

static intptr_t probed(void *arg)
{
    int fds[2];
    (void)arg;
    tcp_pair(fds);
    wt_check(watch_while(fds, close_later, WEFT_WATCH_PROBE, WEFT_FOREVER) == -ECONNRESET);
    return 0;
}

Test(watch, probe_finds_a_peer_that_is_gone, .timeout = 20)
{
    RUN(probed, NULL, &one_worker);
    RUN(probed, NULL, &four_workers);
}

static intptr_t probed_alive(void *arg)
{
    int fds[2];
    char text[4] = "";
    (void)arg;
    tcp_pair(fds);
    int server = dup(fds[0]); /* watch_while closes fds[0] */
    wt_check(watch_while(fds, shut_later, WEFT_WATCH_PROBE, 20 * WEFT_MS) == 0);
    wt_check(weft_write(server, "abc", 3) == 3); /* the peer goes on, and skips the probe */
    wt_check(weft_read(fds[1], text, 4) == 3 && memcmp(text, "abc", 3) == 0);
    wt_check(weft_close(server) == 0);
    wt_check(weft_close(fds[1]) == 0);
    return 0;
}

Test(watch, probe_spares_a_peer_that_listens, .timeout = 20)
{
    RUN(probed_alive, NULL, &one_worker);
}

/* The half-close was seen before the scope, which must probe by itself. */
static intptr_t probed_late(void *arg)
{
    int fds[2];
    char byte = 0;
    weft_watch watch;
    (void)arg;
    tcp_pair(fds);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_watch_leave(&watch, 0) == 0);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_wait_fd(fds[0], WEFT_READABLE) > 0);
    wt_check(weft_read(fds[0], &byte, 1) == 0);
    wt_check(weft_sleep(2 * WEFT_MS) == 0); /* the event has been collected by now, or will be */
    wt_check(weft_watch_enter(&watch, fds[0], WEFT_WATCH_PROBE) == 0);
    wt_check(weft_watch_leave(&watch, weft_sleep(WEFT_FOREVER)) == -ECONNRESET);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(watch, probe_after_the_fact, .timeout = 20)
{
    RUN(probed_late, NULL, &one_worker);
}

/* ---- with other scopes and requests ---- */

static intptr_t nesting(void *arg)
{
    int fds[2];
    weft_watch outer;
    weft_watch inner;
    weft_timeout limit;
    (void)arg;
    local_pair(fds);
    wt_check(weft_watch_enter(&outer, fds[0], 0) == 0);
    wt_check(weft_watch_enter(&outer, fds[0], 0) == -EBUSY);
    wt_check(weft_timeout_enter(&limit, WEFT_FOREVER) == 0);
    wt_check(weft_watch_leave(&outer, 0) == -EINVAL);
    wt_check(weft_watch_enter(&inner, fds[0], 0) == 0);
    wt_check(weft_close(fds[1]) == 0); /* both fire: one is the outer one's, and stays */
    wt_check(weft_sleep(WEFT_FOREVER) == -ECANCELED);
    intptr_t rc = weft_watch_leave(&inner, -ECANCELED);
    wt_check(rc == -ECANCELED); /* the outer scope has asked, too */
    rc = weft_timeout_leave(&limit, rc);
    wt_check(rc == -ECANCELED);
    wt_check(weft_watch_leave(&outer, rc) == -ECONNRESET);
    wt_check(weft_cancelling(weft_self()) == 0);
    wt_check(weft_watch_leave(&outer, 0) == -EINVAL);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(watch, nesting, .timeout = 20)
{
    RUN(nesting, NULL, &one_worker);
}

static intptr_t body_of_cancelled(void *arg)
{
    weft_watch watch;
    const int *fd = arg;
    wt_check(weft_watch_enter(&watch, *fd, 0) == 0);
    intptr_t rc = weft_watch_leave(&watch, weft_sleep(WEFT_FOREVER));
    wt_check(!weft_watch_fired(&watch));
    return rc;
}

static intptr_t cancelled_from_outside(void *arg)
{
    int fds[2];
    weft_task *task;
    intptr_t result = 0;
    (void)arg;
    local_pair(fds);
    wt_check(weft_spawn(&task, body_of_cancelled, &fds[0]) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -ECANCELED); /* not the scope's own */
    wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    return 0;
}

Test(watch, cancelled_from_outside)
{
    RUN(cancelled_from_outside, NULL, &one_worker);
}

static intptr_t close_inside(void *arg)
{
    int fds[2];
    weft_watch watch;
    (void)arg;
    local_pair(fds);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_close(fds[0]) == 0);
    int next[2];
    local_pair(next); /* the number again, unless a thread opens something in passing */
    wt_check(weft_wait_fd(next[0], WEFT_WRITABLE) == WEFT_WRITABLE);
    wt_check(weft_close(next[1]) == 0);
    wt_check(weft_sleep(2 * WEFT_MS) == 0); /* its hang-up is nothing to us */
    wt_check(weft_watch_leave(&watch, 0) == 0);
    wt_check(!weft_watch_fired(&watch));
    wt_check(weft_close(next[0]) == 0 && weft_close(fds[1]) == 0);
    return 0;
}

Test(watch, own_close_does_not_fire)
{
    RUN(close_inside, NULL, &one_worker);
}

/* ---- bad calls, and the price ---- */

static intptr_t bad_calls(void *arg)
{
    weft_watch watch;
    int fds[2];
    (void)arg;
    wt_check(weft_watch_enter(NULL, 0, 0) == -EINVAL);
    wt_check(weft_watch_enter(&watch, 0, 4) == -EINVAL);
    wt_check(weft_watch_enter(&watch, -1, 0) == -EBADF);
    wt_check(weft_watch_enter(&watch, 1000, 0) == -EBADF);
    wt_check(weft_watch_leave(NULL, 0) == -EINVAL);
    int file = open("/proc/self/exe", O_RDONLY);
    wt_check(weft_watch_enter(&watch, file, 0) == -EPERM);
    wt_check(weft_close(file) == 0);
    wt_check(weft_sleep(0) == 0); /* no scope is left open */
    local_pair(fds);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_watch_leave(&watch, 42) == 42);
    wt_check(weft_watch_leave(&watch, 42) == -EINVAL);
    wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    return 0;
}

Test(watch, bad_calls)
{
    weft_watch watch;
    memset(&watch, 0, sizeof watch);
    cr_assert_eq(weft_watch_enter(&watch, 0, 0), -EPERM);
    cr_assert_eq(weft_watch_leave(&watch, 0), -EPERM);
    cr_assert_not(weft_watch_fired(&watch));
    cr_assert_not(weft_watch_fired(NULL));
    RUN(bad_calls, NULL, &one_worker);
}

/* Fires and leaving race. */
static intptr_t race(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        int fds[2];
        weft_task *task;
        weft_watch watch;
        local_pair(fds);
        wt_check(weft_spawn(&task, close_later, &fds[1]) == 0);
        wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
        int rc = weft_sleep(i % 3 == 0 ? 100 * WEFT_US : 0);
        rc = (int)weft_watch_leave(&watch, rc);
        wt_check(rc == 0 || rc == -ECONNRESET);
        wt_check(weft_cancelling(weft_self()) == 0);
        wt_check(weft_await(task, NULL) == 0);
        wt_check(weft_close(fds[0]) == 0);
    }
    return 0;
}

Test(watch, leaving_races_with_the_hang_up, .timeout = 60)
{
    RUN(race, NULL, &one_worker);
    RUN(race, NULL, &four_workers);
}
