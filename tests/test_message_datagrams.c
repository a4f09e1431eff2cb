// SPDX-License-Identifier: MIT
/* test_message_datagrams.c - datagrams over loopback and local sockets, and descriptors as control data. */
#include <netinet/in.h>
#include <sys/un.h>

#include "io_test.h"

/* ---- datagrams ---- */

static int bind_udp(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    wt_check(bind(fd, (struct sockaddr *)address, sizeof *address) == 0);
    wt_check(getsockname(fd, (struct sockaddr *)address, &length) == 0);
    return fd;
}

/* Sends each datagram back to where it came from, until an empty one. */
static intptr_t answer(void *arg)
{
    int fd = *(const int *)arg;
    intptr_t count = 0;
    for (;;) {
        char bytes[64];
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n = weft_recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length);
        if (n <= 0) {
            return n < 0 ? n : count;
        }
        wt_check(length == sizeof from);
        wt_check(weft_sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, length) == n);
        count++;
    }
}

static intptr_t datagrams(void *arg)
{
    struct sockaddr_in there;
    struct sockaddr_in here;
    int fds[2] = {bind_udp(&there), bind_udp(&here)};
    weft_task *task;
    (void)arg;
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, answer, &fds[0]) == 0);
    until_parked(mark, 1);
    for (int i = 0; i < 100; i++) {
        char bytes[32];
        struct sockaddr_in from;
        struct iovec one = part(bytes, sizeof bytes);
        struct msghdr message = {
            .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &one, .msg_iovlen = 1};
        int length = snprintf(bytes, sizeof bytes, "number %d", i) + 1;
        wt_check(weft_sendto(fds[1], bytes, (size_t)length, 0, (struct sockaddr *)&there,
                             sizeof there) == length);
        memset(bytes, 0, sizeof bytes);
        wt_check(weft_recvmsg(fds[1], &message, 0) == length);
        wt_check(from.sin_port == there.sin_port && atoi(bytes + 7) == i);
    }
    wt_check(weft_sendto(fds[1], NULL, 0, 0, (struct sockaddr *)&there, sizeof there) == 0);
    wt_check(finish(task) == 100);
    close_both(fds);
    return 0;
}

Test(message, datagrams)
{
    RUN(datagrams, NULL, &one_worker);
    RUN(datagrams, NULL, &four_workers);
}

/* A datagram that is longer than the room for it. */
static intptr_t truncation(void *arg)
{
    int fds[2];
    char bytes[4];
    struct iovec one = part(bytes, sizeof bytes);
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    (void)arg;
    make_pair(fds, SOCK_DGRAM);
    wt_check(weft_sendto(fds[1], "too long", 8, 0, NULL, 0) == 8);
    wt_check(weft_recvmsg(fds[0], &message, 0) == 4);
    wt_check((message.msg_flags & MSG_TRUNC) != 0);
    close_both(fds);
    return 0;
}

/* The same by recvfrom, which has room for four bytes and for half an address. `waits`: the datagram comes later. */
struct narrow {
    int fds[2];
    struct sockaddr_in here;
    struct sockaddr_in there;
    bool waits;
};

static intptr_t receive_narrowly(void *arg)
{
    const struct narrow *narrow = arg;
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in from;
        char bytes[8] = "-------";
        socklen_t length = 4;
        memset(&from, 0x55, sizeof from);
        ssize_t n = weft_recvfrom(narrow->fds[0], bytes, 4, i == 0 ? 0 : MSG_TRUNC,
                                  (struct sockaddr *)&from, &length);
        wt_check(n == (i == 0 ? 4 : 8));
        wt_check(memcmp(bytes, "too ---", 8) == 0);
        wt_check(length == sizeof from); /* as long as it would have been */
        wt_check(from.sin_family == AF_INET && from.sin_port == narrow->there.sin_port);
        wt_check(from.sin_addr.s_addr == 0x55555555); /* no more of it than there was room for */
    }
    socklen_t length = 99;
    wt_check(weft_recvfrom(narrow->fds[0], NULL, 0, 0, NULL, &length) == 0 && length == 0);
    return 0;
}

static intptr_t narrow_datagrams(void *arg)
{
    struct narrow narrow = {.waits = *(const bool *)arg};
    const struct sockaddr *to = (const struct sockaddr *)&narrow.here;
    weft_task *task = NULL;
    narrow.fds[0] = bind_udp(&narrow.here);
    narrow.fds[1] = bind_udp(&narrow.there);
    uint64_t mark = parks_now();
    if (narrow.waits) {
        wt_check(weft_spawn(&task, receive_narrowly, &narrow) == 0);
        until_parked(mark, 1);
    }
    for (int i = 0; i < 3; i++) {
        size_t length = i < 2 ? 8 : 0;
        wt_check(weft_sendto(narrow.fds[1], "too long", length, 0, to, sizeof narrow.here) ==
                 (ssize_t)length);
    }
    wt_check(narrow.waits ? finish(task) == 0 : receive_narrowly(&narrow) == 0);
    close_both(narrow.fds);
    return 0;
}

/* Lengths of addresses that are none, and more bytes than there can be: nothing is sent or taken. */
static intptr_t wrong_lengths(void *arg)
{
    struct sockaddr_in address;
    struct sockaddr *name = (struct sockaddr *)&address;
    socklen_t length = (socklen_t)-1;
    char byte = 0;
    (void)arg;
    int fd = bind_udp(&address);
    wt_check(weft_sendto(fd, "x", 1, 0, name, 4) == -EINVAL);
    wt_check(weft_sendto(fd, "x", 1, 0, name, length) == -EINVAL);
    wt_check(weft_sendto(fd, "x", 1, 0, NULL, 4) == -EDESTADDRREQ);
    wt_check(weft_sendto(fd, "x", 1, 0, name, 0) == -EINVAL);
    wt_check(weft_sendto(fd, "x", 1, 0, name, sizeof address) == 1);
    wt_check(weft_recvfrom(fd, &byte, 1, 0, name, &length) == -EINVAL);
    wt_check(weft_recvfrom(fd, &byte, 1, 0, name, NULL) == -EINVAL);
    length = sizeof address;
    wt_check(weft_recvfrom(fd, &byte, 1, 0, name, &length) == 1 && byte == 'x');
    wt_check(weft_close(fd) == 0);
    return 0;
}

/* Of a stream: no address, the end, and no SIGPIPE. */
static intptr_t streams_by_recvfrom(void *arg)
{
    int fds[2];
    char bytes[4];
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_sendto(fds[1], "ab", 2, 0, NULL, 0) == 2);
    wt_check(weft_recvfrom(fds[0], bytes, 4, 0, (struct sockaddr *)&from, &length) == 2);
    wt_check(length == 0);
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_recvfrom(fds[0], bytes, 4, 0, NULL, NULL) == 0);
    wt_check(weft_sendto(fds[0], "x", 1, 0, NULL, 0) == -EPIPE);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

/* ENOBUFS is an answer, and not a reason to wait: here the control data is larger than may be. */
static intptr_t no_buffers(void *arg)
{
    static char control[1 << 20];
    struct sockaddr_in address;
    char byte[1] = "x";
    struct iovec one = part(byte, 1);
    int fd = bind_udp(&address);
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = sizeof address,
                             .msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    (void)arg;
    wt_check(weft_sendmsg(fd, &message, 0) == -ENOBUFS);
    message.msg_namelen = 0;
    wt_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    wt_check(weft_sendmsg(fd, &message, 0) == -ENOBUFS);
    wt_check(weft_close(fd) == 0);
    return 0;
}

/* A port where nobody listens says so to whoever is connected to it. */
static intptr_t refused(void *arg)
{
    struct sockaddr_in address;
    char byte;
    (void)arg;
    int gone = bind_udp(&address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    wt_check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    wt_check(weft_close(gone) == 0);
    wt_check(weft_sendto(fd, "x", 1, 0, NULL, 0) == 1);
    wt_check(weft_recvfrom(fd, &byte, 1, 0, NULL, NULL) == -ECONNREFUSED);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(message, odd_datagrams)
{
    if (wt_is_emulated()) {
        wt_skip("emulators know not all that the kernel says of a datagram");
    }
    bool waits[] = {false, true};
    RUN(truncation, NULL, &one_worker);
    RUN(narrow_datagrams, &waits[0], &one_worker);
    RUN(narrow_datagrams, &waits[1], &one_worker);
    RUN(wrong_lengths, NULL, &one_worker);
    RUN(streams_by_recvfrom, NULL, &one_worker);
    RUN(no_buffers, NULL, &one_worker);
    RUN(refused, NULL, &one_worker);
}

/* A local datagram socket that is not connected is never told of room: it asks again. */
struct sender {
    int fd;
    struct sockaddr_un address;
    socklen_t length;
};

enum { LOCAL_DATAGRAMS = 2000 };

static intptr_t send_many(void *arg)
{
    const struct sender *sender = arg;
    for (int i = 0; i < LOCAL_DATAGRAMS; i++) {
        ssize_t n = weft_sendto(sender->fd, &i, sizeof i, 0,
                                (const struct sockaddr *)&sender->address, sender->length);
        if (n != sizeof i) {
            return n;
        }
    }
    return 0;
}

static void make_sender(struct sender *sender, int *receiver)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sender->address.sun_family = AF_UNIX; /* no name: the kernel finds one */
    sender->length = sizeof sender->address;
    wt_check(bind(fd, (struct sockaddr *)&sender->address, sizeof(sa_family_t)) == 0);
    wt_check(getsockname(fd, (struct sockaddr *)&sender->address, &sender->length) == 0);
    sender->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *receiver = fd;
}

static intptr_t local_datagrams(void *arg)
{
    struct sender sender = {.fd = -1};
    int receiver;
    weft_task *task;
    (void)arg;
    make_sender(&sender, &receiver);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, send_many, &sender) == 0);
    until_parked(mark, 1); /* the receiver's queue is full */
    for (int i = 0; i < LOCAL_DATAGRAMS; i++) {
        int number = -1;
        wt_check(weft_recvfrom(receiver, &number, sizeof number, 0, NULL, NULL) == sizeof number);
        wt_check(number == i);
    }
    wt_check(finish(task) == 0);
    mark = parks_now();
    wt_check(weft_spawn(&task, send_many, &sender) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_within(5 * WEFT_MS, send_many(&sender)) == -ETIMEDOUT);
    wt_check(weft_close(sender.fd) == 0);
    wt_check(weft_close(receiver) == 0);
    return 0;
}

Test(message, local_datagrams, .timeout = 60)
{
    RUN(local_datagrams, NULL, &one_worker);
    RUN(local_datagrams, NULL, &four_workers);
}

/* ---- descriptors as control data ---- */

static intptr_t take_descriptor(void *arg)
{
    char byte[1];
    struct iovec one = part(byte, 1);
    union control control;
    struct msghdr message = {.msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = weft_recvmsg(*(const int *)arg, &message, 0);
    int fd = -1;
    if (wt_check(n == 1 && CMSG_FIRSTHDR(&message) != NULL)) {
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    }
    return fd;
}

/* The number that comes in was used and closed behind weft's back before. */
static intptr_t rights(void *arg)
{
    int fds[2];
    int ends[2];
    weft_task *task;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    for (int i = 0; i < 100; i++) {
        uint64_t mark = parks_now();
        make_pair(ends, SOCK_STREAM);
        wt_check(weft_spawn(&task, take_descriptor, &fds[0]) == 0);
        until_parked(mark, 1);
        send_descriptor(fds[1], 'd', ends[0]);
        int got = (int)finish(task);
        wt_check((fcntl(got, F_GETFD) & FD_CLOEXEC) != 0);
        mark = parks_now();
        wt_check(weft_spawn(&task, read_byte, &got) == 0);
        until_parked(mark, 1);
        wt_check(weft_write(ends[1], "r", 1) == 1);
        wt_check(finish(task) == 'r');
        wt_check(close(got) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
    }
    close_both(fds);
    return 0;
}

Test(message, rights, .timeout = 20)
{
    RUN(rights, NULL, &one_worker);
}
