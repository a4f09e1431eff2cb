// SPDX-License-Identifier: MIT
/* test_connect.c - accepting and making connections, over loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <weft.h>

#include "support.h"
#include "weft_test.h"

static const weft_options one_worker = {.workers = 1};
static const weft_options four_workers = {.workers = 4};

struct listener {
    int fd;
    struct sockaddr_in address;
};

/* Blocking unless `flags` say otherwise. */
static void open_listener(struct listener *listener, int flags, int backlog)
{
    socklen_t length = sizeof listener->address;
    memset(&listener->address, 0, sizeof listener->address);
    listener->address.sin_family = AF_INET;
    listener->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener->fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    wt_check(listener->fd >= 0);
    wt_check(bind(listener->fd, (struct sockaddr *)&listener->address, length) == 0);
    wt_check(listen(listener->fd, backlog) == 0);
    wt_check(getsockname(listener->fd, (struct sockaddr *)&listener->address, &length) == 0);
}

/* A socket connected to the listener, or a negative errno. */
static int dial(const struct listener *listener, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    int rc =
        weft_connect(fd, (const struct sockaddr *)&listener->address, sizeof listener->address);
    if (rc < 0) {
        wt_check(weft_close(fd) == 0);
        return rc;
    }
    return fd;
}

/* ---- one connection ---- */

static intptr_t accept_one(void *arg)
{
    struct listener *listener = arg;
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int fd = weft_accept(listener->fd, (struct sockaddr *)&peer, &length);
    if (fd >= 0) {
        wt_check(length == sizeof peer && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
        wt_check((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        wt_check((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    return fd;
}

struct flags {
    int listener;
    int client;
};

static intptr_t connect_once(void *arg)
{
    const struct flags *flags = arg;
    struct listener listener;
    weft_task *task;
    intptr_t server = -1;
    char byte = 0;
    open_listener(&listener, flags->listener, 8);
    int before = fcntl(listener.fd, F_GETFL);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, accept_one, &listener) == 0);
    until_parked(mark, 1);
    int client = dial(&listener, flags->client);
    wt_check(client >= 0);
    wt_check(weft_await(task, &server) == 0);
    wt_check(server >= 0);
    wt_check(weft_write(client, "c", 1) == 1);
    wt_check(weft_read((int)server, &byte, 1) == 1 && byte == 'c');
    wt_check(weft_write((int)server, "s", 1) == 1);
    wt_check(weft_read(client, &byte, 1) == 1 && byte == 's');
    wt_check(fcntl(listener.fd, F_GETFL) == before); /* flags are not ours to change */
    wt_check((fcntl(client, F_GETFL) & O_NONBLOCK) == (flags->client != 0 ? O_NONBLOCK : 0));
    wt_check(weft_close(client) == 0);
    wt_check(weft_close((int)server) == 0);
    wt_check(weft_close(listener.fd) == 0);
    return 0;
}

Test(connect, blocking_or_not, .timeout = 30)
{
    for (int i = 0; i < 4; i++) {
        struct flags flags = {(i & 1) != 0 ? SOCK_NONBLOCK : 0, (i & 2) != 0 ? SOCK_NONBLOCK : 0};
        RUN(connect_once, &flags, &one_worker);
        RUN(connect_once, &flags, &four_workers);
    }
}

/* ---- refusals ---- */

static intptr_t refused(void *arg)
{
    const int *flags = arg;
    struct listener listener;
    open_listener(&listener, 0, 8);
    wt_check(close(listener.fd) == 0); /* nobody listens there now */
    wt_check(dial(&listener, *flags) == -ECONNREFUSED);
    return 0;
}

Test(connect, refused)
{
    int flags[] = {0, SOCK_NONBLOCK};
    RUN(refused, &flags[0], &one_worker);
    RUN(refused, &flags[1], &one_worker);
}

static intptr_t bad_calls(void *arg)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)arg;
    wt_check(weft_connect(fd, NULL, 0) == -EINVAL);
    wt_check(weft_connect(fd, (struct sockaddr *)&address, 4096) == -EINVAL);
    wt_check(weft_connect(-1, (struct sockaddr *)&address, sizeof address) == -EBADF);
    wt_check(weft_accept(fd, NULL, NULL) == -EINVAL); /* does not listen */
    wt_check(weft_accept(fd, (struct sockaddr *)&address, NULL) == -EINVAL);
    wt_check(weft_accept(-1, NULL, NULL) == -EBADF);
    wt_check(weft_close(fd) == 0);
    fd = open("/dev/null", O_RDWR);
    wt_check(weft_accept(fd, NULL, NULL) == -ENOTSOCK);
    wt_check(weft_connect(fd, (struct sockaddr *)&address, sizeof address) == -ENOTSOCK);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(connect, bad_calls)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    cr_assert_eq(weft_accept(0, NULL, NULL), -EPERM);
    cr_assert_eq(weft_connect(0, (struct sockaddr *)&address, sizeof address), -EPERM);
    RUN(bad_calls, NULL, &one_worker);
}

/* ---- cancellation ---- */

static intptr_t cancel_acceptor(void *arg)
{
    struct listener listener;
    weft_task *task;
    intptr_t result = 0;
    open_listener(&listener, *(const int *)arg, 8);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, accept_one, &listener) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -ECANCELED);
    int client = dial(&listener, SOCK_NONBLOCK);
    wt_check(client >= 0);
    wt_check(weft_cancel(weft_self()) == 1);
    wt_check(weft_accept(listener.fd, NULL, NULL) == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    int server = weft_accept(listener.fd, NULL, NULL); /* no connection was taken */
    wt_check(server >= 0);
    wt_check(weft_close(server) == 0);
    wt_check(weft_close(client) == 0);
    wt_check(weft_close(listener.fd) == 0);
    return 0;
}

Test(connect, cancelled_accept)
{
    int flags[] = {0, SOCK_NONBLOCK};
    RUN(cancel_acceptor, &flags[0], &one_worker);
    RUN(cancel_acceptor, &flags[1], &one_worker);
}

struct stuck {
    struct listener listener;
    int flags;
};

static intptr_t dial_stuck(void *arg)
{
    struct stuck *stuck = arg;
    int fd = socket(AF_INET, SOCK_STREAM | stuck->flags, 0);
    int rc = weft_connect(fd, (const struct sockaddr *)&stuck->listener.address,
                          sizeof stuck->listener.address);
    wt_check(weft_close(fd) == 0);
    return rc;
}

/* A full backlog: the kernel drops the handshake, so the attempt hangs until it is cancelled. */
static intptr_t cancel_connector(void *arg)
{
    struct stuck stuck = {.flags = *(const int *)arg};
    int fillers[4];
    intptr_t result = 0;
    weft_task *task;
    open_listener(&stuck.listener, SOCK_NONBLOCK, 0);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&stuck.listener.address,
                      sizeof stuck.listener.address);
    }
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, dial_stuck, &stuck) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0);
    wt_check(result == -ECANCELED);
    for (int i = 0; i < 4; i++) {
        wt_check(weft_close(fillers[i]) == 0);
    }
    wt_check(weft_close(stuck.listener.fd) == 0);
    return 0;
}

/* A blocking socket's attempt is left to the pool, which the runtime waits for at its end: the
 * time limit of the test sees to it that it does not take the system's minutes. */
Test(connect, cancelled_connect, .timeout = 20)
{
    int flags[] = {0, SOCK_NONBLOCK};
    for (int i = 0; i < 5; i++) {
        RUN(cancel_connector, &flags[0], &one_worker);
        RUN(cancel_connector, &flags[1], &four_workers);
    }
}

/* ---- other families ---- */

static intptr_t local_sockets(void *arg)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)arg;
    /* an abstract name: no file */
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "weft-test-%d", (int)getpid());
    socklen_t length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
    for (int i = 0; i < 2; i++) {
        int flags = i == 0 ? 0 : SOCK_NONBLOCK;
        int listener = socket(AF_UNIX, SOCK_STREAM, 0);
        wt_check(bind(listener, (struct sockaddr *)&address, length) == 0);
        wt_check(listen(listener, 4) == 0);
        int client = socket(AF_UNIX, SOCK_STREAM | flags, 0);
        wt_check(weft_connect(client, (struct sockaddr *)&address, length) == 0);
        int server = weft_accept(listener, NULL, NULL);
        wt_check(server >= 0);
        wt_check(weft_close(server) == 0);
        wt_check(weft_close(client) == 0);
        wt_check(weft_close(listener) == 0);
    }
    return 0;
}

Test(connect, local_sockets)
{
    RUN(local_sockets, NULL, &one_worker);
}

/* ---- a local listener whose queue is full ---- */

struct local {
    struct sockaddr_un address;
    socklen_t length;
    int flags;
};

/* Connects and returns the socket, or why not. */
static intptr_t dial_local(void *arg)
{
    const struct local *local = arg;
    int fd = socket(AF_UNIX, SOCK_STREAM | local->flags, 0);
    int rc = weft_connect(fd, (const struct sockaddr *)&local->address, local->length);
    if (rc < 0) {
        wt_check(weft_close(fd) == 0);
        return rc;
    }
    return fd;
}

static int open_local(struct local *local, int flags)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    local->flags = flags;
    local->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    local->length = sizeof local->address;
    wt_check(bind(fd, (struct sockaddr *)&local->address, sizeof(sa_family_t)) == 0);
    wt_check(getsockname(fd, (struct sockaddr *)&local->address, &local->length) == 0);
    wt_check(listen(fd, 0) == 0);
    return fd;
}

enum { COMERS = 16 };

/* As many as there is room for, until one waits so long that it is cancelled. How many came in. */
static size_t fill_queue(struct local *local, intptr_t *fds, size_t count)
{
    intptr_t rc = 0;
    while (rc >= 0 && wt_check(count < COMERS)) {
        rc = weft_within(20 * WEFT_MS, dial_local(local));
        fds[count] = rc;
        count += rc >= 0 ? 1 : 0;
    }
    wt_check(rc == -ETIMEDOUT);
    return count;
}

/* One comes in, one waits until that is accepted, and one that is cancelled meanwhile leaves no thread behind,
 * which would hold up the end of the runtime. Who was cancelled may come in all the same, and is accepted too. */
static intptr_t full_queue(void *arg)
{
    struct local local;
    weft_task *late;
    intptr_t fds[COMERS];
    int listener = open_local(&local, *(const int *)arg);
    fds[0] = dial_local(&local);
    wt_check(fds[0] >= 0);
    size_t count = fill_queue(&local, fds, 1);
    wt_check(weft_spawn(&late, dial_local, &local) == 0);
    size_t done = 0;
    wt_check(weft_wait(&late, 1, WEFT_WAIT_ALL, 5 * WEFT_MS, &done) == 0);
    while (done == 0) {
        int accepted = weft_accept(listener, NULL, NULL);
        wt_check(accepted >= 0 && weft_close(accepted) == 0);
        wt_check(weft_wait(&late, 1, WEFT_WAIT_ALL, 100 * WEFT_MS, &done) == 0);
    }
    wt_check(weft_await(late, &fds[count]) == 0 && fds[count] >= 0);
    count = fill_queue(&local, fds, count + 1);
    for (size_t i = 0; i < count; i++) {
        wt_check(weft_close((int)fds[i]) == 0);
    }
    return listener; /* full to the end */
}

Test(connect, a_full_local_queue, .timeout = 20)
{
    int flags[] = {0, SOCK_NONBLOCK};
    for (int i = 0; i < 2; i++) {
        intptr_t listener = weft_run(full_queue, &flags[i], &four_workers);
        wt_check(listener >= 0 && close((int)listener) == 0);
    }
    wt_assert_clean();
}

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

enum { TAKEN = 4000 / (WT_TIME_SCALE * WT_TIME_SCALE) }; /* fewer in builds that are slower */

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
