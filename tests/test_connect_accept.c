// SPDX-License-Identifier: MIT
/* test_connect_accept.c - accepting connections: two who accept, a number closed and used again, many clients. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "connect_test.h"

/* ---- plain close(2) ---- */

enum { REUSES = 20 };

/* How many reads each side has begun: with one worker, whoever sees it knows that the other waits. */
struct reuse {
    struct listener listener;
    int reads[2];
};

static void until_reading(const struct reuse *reuse, int side, int count)
{
    while (reuse->reads[side] < count) {
        wt_check(weft_yield() == 0);
    }
}

static intptr_t dial_and_forget(void *arg)
{
    struct reuse *reuse = arg;
    for (int i = 0; i < REUSES; i++) {
        char byte = 0;
        int fd = dial(&reuse->listener, SOCK_NONBLOCK);
        until_reading(reuse, 0, i + 1);
        wt_check(weft_write(fd, "c", 1) == 1);
        reuse->reads[1]++;
        wt_check(weft_read(fd, &byte, 1) == 1 && byte == 's');
        wt_check(close(fd) == 0);
    }
    return 0;
}

/* The same task waits for the same number again and again, each time another descriptor. weft made
 * them, so it knows, whoever closes them. */
static intptr_t accept_and_forget(void *arg)
{
    struct reuse reuse = {.reads = {0, 0}};
    weft_task *task;
    (void)arg;
    open_listener(&reuse.listener, SOCK_NONBLOCK, 8);
    wt_check(weft_spawn(&task, dial_and_forget, &reuse) == 0);
    for (int i = 0; i < REUSES; i++) {
        char byte = 0;
        int fd = weft_accept(reuse.listener.fd, NULL, NULL);
        reuse.reads[0]++;
        wt_check(weft_read(fd, &byte, 1) == 1 && byte == 'c');
        until_reading(&reuse, 1, i + 1);
        wt_check(weft_write(fd, "s", 1) == 1);
        wt_check(close(fd) == 0);
    }
    wt_check(weft_await(task, NULL) == 0);
    wt_check(weft_close(reuse.listener.fd) == 0);
    return 0;
}

Test(connect, plain_close_and_reuse, .timeout = 20)
{
    RUN(accept_and_forget, NULL, &one_worker);
}

/* ---- two who accept ---- */

enum { TAKEN = 1500 / (WT_TIME_SCALE * WT_TIME_SCALE) }; /* fewer in builds that are slower */

struct race {
    struct listener listener;
    int other_fd;      /* of the listener, too: of the one who does not wait */
    _Atomic int looks; /* of the one who does not wait */
    _Atomic int taken; /* connections, by both */
};

static void count_taken(struct race *race, int fd)
{
    wt_check(weft_close(fd) == 0);
    race->taken++;
}

static intptr_t accept_until_closed(void *arg)
{
    struct race *race = arg;
    int fd;
    while ((fd = weft_accept(race->listener.fd, NULL, NULL)) >= 0) {
        count_taken(race, fd);
    }
    return fd;
}

static intptr_t accept_what_is_there(void *arg)
{
    struct race *race = arg;
    intptr_t fd;
    do {
        fd = weft_within(0, weft_accept(race->other_fd, NULL, NULL));
        if (fd >= 0) {
            count_taken(race, (int)fd);
        }
        race->looks++;
        wt_check(fd >= 0 || fd == -ETIMEDOUT || fd == -EBADF);
    } while (fd != -EBADF);
    return fd;
}

struct kind {
    int flags;
    bool has_two_numbers;
};

/* Of a connection that both see only one gets it, and the other one must not wait for the next in the kernel. */
static intptr_t one_waits_one_looks(void *arg)
{
    const struct kind *kind = arg;
    struct race race = {.looks = 0};
    weft_task *tasks[2];
    intptr_t result = 0;
    open_listener(&race.listener, kind->flags, 8);
    race.other_fd = kind->has_two_numbers ? dup(race.listener.fd) : race.listener.fd;
    wt_check(weft_spawn(&tasks[0], accept_until_closed, &race) == 0);
    wt_check(weft_spawn(&tasks[1], accept_what_is_there, &race) == 0);
    for (int i = 0; i < TAKEN; i++) {
        int looks = race.looks;
        int fd = dial(&race.listener, SOCK_NONBLOCK);
        wt_check(fd >= 0);
        while (race.taken <= i || race.looks < looks + 2) {
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_close(fd) == 0);
    }
    wt_check(weft_close(race.listener.fd) == 0);
    wt_check(!kind->has_two_numbers || weft_close(race.other_fd) == 0);
    for (int i = 0; i < 2; i++) {
        wt_check(weft_await(tasks[i], &result) == 0);
        wt_check(result == -EBADF);
    }
    wt_check(race.taken == TAKEN);
    return 0;
}

Test(connect, one_waits_one_looks, .timeout = 30)
{
    struct kind kinds[] = {{0, false}, {SOCK_NONBLOCK, false}, {0, true}, {SOCK_NONBLOCK, true}};
    for (int i = 0; i < 4; i++) {
        RUN(one_waits_one_looks, &kinds[i], &four_workers);
    }
}

/* ---- a listener that has become one that may block ---- */

static void nobody_comes(int fd)
{
    for (int i = 0; i < 3; i++) {
        wt_check(weft_within(WEFT_MS, weft_accept(fd, NULL, NULL)) == -ETIMEDOUT);
    }
}

static intptr_t listeners_change(void *arg)
{
    struct listener listener;
    (void)arg;
    open_listener(&listener, SOCK_NONBLOCK, 8);
    int number = listener.fd;
    nobody_comes(number);
    wt_check(fcntl(number, F_SETFL, 0) == 0);
    nobody_comes(number);
    wt_check(fcntl(number, F_SETFL, O_NONBLOCK) == 0);
    nobody_comes(number);
    wt_check(close(number) == 0);
    open_listener(&listener, 0, 8);
    wt_check(listener.fd == number);
    nobody_comes(number);
    return weft_close(number);
}

Test(connect, listeners_change, .timeout = 10)
{
    RUN(listeners_change, NULL, &one_worker);
}

static void dial_many(const struct listener *listener, int fds[], int count)
{
    for (int i = 0; i < count; i++) {
        fds[i] = dial(listener, SOCK_NONBLOCK);
        wt_check(fds[i] >= 0);
    }
}

static void accept_many(int listener, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = weft_accept(listener, NULL, NULL);
        wt_check(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        wt_check(weft_close(fd) == 0);
    }
}

enum { BURST_MOST = 24 };

/* The flag changes after some connections of a burst, and the queue is empty after the last. */
static intptr_t listeners_change_in_bursts(void *arg)
{
    static const int bursts[] = {1, 2, 7, 8, 9, BURST_MOST, 1, 2};
    int fds[BURST_MOST];
    struct listener listener;
    (void)arg;
    open_listener(&listener, SOCK_NONBLOCK, BURST_MOST);
    for (int i = 0; i < 16; i++) {
        int count = bursts[i % 8];
        int before = i % 3 < count ? i % 3 : count;
        dial_many(&listener, fds, count);
        accept_many(listener.fd, before);
        wt_check(fcntl(listener.fd, F_SETFL, i % 2 == 0 ? 0 : O_NONBLOCK) == 0);
        accept_many(listener.fd, count - before);
        nobody_comes(listener.fd);
        for (int k = 0; k < count; k++) {
            wt_check(weft_close(fds[k]) == 0);
        }
    }
    return weft_close(listener.fd);
}

/* Half a burst is taken, and the number is that of a blocking listener without clients. */
static intptr_t listeners_are_replaced(void *arg)
{
    int fds[2];
    struct listener listener;
    struct listener next;
    (void)arg;
    open_listener(&listener, SOCK_NONBLOCK, 8);
    dial_many(&listener, fds, 2);
    accept_many(listener.fd, 1);
    open_listener(&next, 0, 8);
    wt_check(dup2(next.fd, listener.fd) == listener.fd);
    nobody_comes(listener.fd);
    for (int i = 0; i < 2; i++) {
        wt_check(weft_close(fds[i]) == 0);
    }
    wt_check(weft_close(next.fd) == 0);
    return weft_close(listener.fd);
}

/* Likewise, and the number is that of something that takes no connections. */
static intptr_t listeners_are_gone(void *arg)
{
    int peer;
    struct listener listener;
    (void)arg;
    open_listener(&listener, SOCK_NONBLOCK, 8);
    dial_many(&listener, &peer, 1);
    accept_many(listener.fd, 1);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    wt_check(datagrams >= 0 && dup2(datagrams, listener.fd) == listener.fd);
    wt_check(weft_within(10 * WEFT_S, weft_accept(listener.fd, NULL, NULL)) == -EOPNOTSUPP);
    wt_check(weft_close(peer) == 0 && weft_close(datagrams) == 0);
    return weft_close(listener.fd);
}

Test(connect, listeners_change_in_bursts, .timeout = 20)
{
    RUN(listeners_change_in_bursts, NULL, &one_worker);
    RUN(listeners_are_replaced, NULL, &one_worker);
    RUN(listeners_are_gone, NULL, &one_worker);
}

/* ---- what is known of an accepted connection ---- */

static intptr_t wait_readable(void *arg)
{
    return weft_wait_fd(*(const int *)arg, WEFT_READABLE);
}

/* Waits that need not wait, that wait, and that a close ends; then the number is another's. */
static intptr_t accepted_and_waited_for(void *arg)
{
    struct listener listener;
    weft_task *task;
    intptr_t result = 0;
    char byte;
    (void)arg;
    open_listener(&listener, SOCK_NONBLOCK, 8);
    int peer = dial(&listener, SOCK_NONBLOCK);
    int fd = weft_accept(listener.fd, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        wt_check(weft_within(WEFT_MS, wait_readable(&fd)) == -ETIMEDOUT);
        wt_check(weft_write(peer, "x", 1) == 1);
        wt_check(wait_readable(&fd) == WEFT_READABLE);
        wt_check(wait_readable(&fd) == WEFT_READABLE);
        wt_check(weft_read(fd, &byte, 1) == 1);
    }
    int copy = dup(fd);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, wait_readable, &fd) == 0);
    until_parked(mark, 1);
    wt_check(weft_close(fd) == 0);
    wt_check(weft_await(task, &result) == 0 && result == -EBADF);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    wt_check(file == fd);
    wt_check(weft_write(peer, "x", 1) == 1); /* for the copy */
    wt_check(wait_readable(&file) == -EPERM);
    wt_check(weft_close(file) == 0);
    wt_check(wait_readable(&copy) == WEFT_READABLE);
    wt_check(weft_close(copy) == 0 && weft_close(peer) == 0);
    return weft_close(listener.fd);
}

static void reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};
    wt_check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    wt_check(weft_close(fd) == 0);
}

/* What the first wait of a connection says of bytes, of the end and of a reset that come while it waits. */
static intptr_t first_waits(void *arg)
{
    struct listener listener;
    (void)arg;
    open_listener(&listener, SOCK_NONBLOCK, 8);
    for (int i = 0; i < 9; i++) {
        weft_task *task;
        intptr_t result = 0;
        int peer = dial(&listener, SOCK_NONBLOCK);
        int fd = weft_accept(listener.fd, NULL, NULL);
        uint64_t mark = parks_now();
        wt_check(weft_spawn(&task, wait_readable, &fd) == 0);
        until_parked(mark, 1);
        if (i % 3 == 0) {
            wt_check(weft_write(peer, "x", 1) == 1);
        } else if (i % 3 == 1) {
            wt_check(weft_shutdown(peer, SHUT_WR) == 0);
        } else {
            reset(peer);
        }
        wt_check(weft_await(task, &result) == 0);
        wt_check(result == (i % 3 == 2 ? WEFT_READABLE | WEFT_HANGUP : WEFT_READABLE));
        wt_check(i % 3 == 2 || weft_close(peer) == 0);
        wt_check(weft_close(fd) == 0);
    }
    return weft_close(listener.fd);
}

Test(connect, accepted_and_waited_for, .timeout = 10)
{
    RUN(first_waits, NULL, &one_worker);
    RUN(first_waits, NULL, &four_workers);
    RUN(accepted_and_waited_for, NULL, &one_worker);
    RUN(accepted_and_waited_for, NULL, &four_workers);
}

/* ---- many ---- */

enum { CLIENTS = 64, ROUNDS = 20 };

static intptr_t serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[32];
    ssize_t n;
    while ((n = weft_read(fd, buffer, sizeof buffer)) > 0) {
        wt_check(weft_write(fd, buffer, (size_t)n) == n);
    }
    wt_check(n == 0 || n == -ECANCELED); /* detached: the run may end before it has seen the end */
    wt_check(weft_close(fd) == 0);
    return 0;
}

/* Until its listener is closed. */
static intptr_t serve(void *arg)
{
    struct listener *listener = arg;
    for (;;) {
        int fd = weft_accept(listener->fd, NULL, NULL);
        if (fd < 0) {
            return fd == -EBADF ? 0 : fd;
        }
        wt_check(weft_spawn(NULL, serve_one, (void *)(intptr_t)fd) == 0);
    }
}

/* Numbers are used again all the time. */
static intptr_t visit(void *arg)
{
    struct listener *listener = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char out[24];
        char in[24] = "";
        int fd = dial(listener, SOCK_NONBLOCK);
        if (!wt_check(fd >= 0)) {
            return fd;
        }
        for (int k = 0; k < 3; k++) {
            memset(out, 0, sizeof out);
            snprintf(out, sizeof out, "%d-%d", i, k);
            wt_check(weft_write(fd, out, sizeof out) == sizeof out);
            wt_check(weft_recv(fd, in, sizeof in, 0) == sizeof in);
            wt_check(memcmp(in, out, sizeof in) == 0);
        }
        wt_check(weft_close(fd) == 0);
    }
    return 0;
}

static intptr_t many(void *arg)
{
    struct listener listener;
    weft_task *acceptors[2];
    weft_task *clients[CLIENTS];
    intptr_t result = -1;
    open_listener(&listener, *(const int *)arg, 1024);
    for (int i = 0; i < 2; i++) {
        wt_check(weft_spawn(&acceptors[i], serve, &listener) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        wt_check(weft_spawn(&clients[i], visit, &listener) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        wt_check(weft_await(clients[i], &result) == 0);
        wt_check(result == 0);
    }
    wt_check(weft_close(listener.fd) == 0);
    for (int i = 0; i < 2; i++) {
        wt_check(weft_await(acceptors[i], &result) == 0);
        wt_check(result == 0);
    }
    return 0;
}

Test(connect, many, .timeout = 60)
{
    int flags[] = {0, SOCK_NONBLOCK};
    RUN(many, &flags[0], &one_worker);
    RUN(many, &flags[0], &four_workers);
    RUN(many, &flags[1], &four_workers);
}
