// SPDX-License-Identifier: MIT
/* test_connect.c - making connections, over loopback and local sockets: refused, cancelled, in a full queue. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/un.h>
#include <unistd.h>

#include "connect_test.h"

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
