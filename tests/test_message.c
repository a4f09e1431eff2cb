// SPDX-License-Identifier: MIT
/* test_message.c - vectors, datagrams, control data, shutting down. */
#include <limits.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <weft/testing.h>

#include "io_test.h"

/* ---- vectors ---- */

static struct iovec part(char *bytes, size_t length)
{
    return (struct iovec){.iov_base = bytes, .iov_len = length};
}

static intptr_t read_parts(void *arg)
{
    char head[2] = "";
    char body[3] = "";
    struct iovec parts[] = {part(head, 2), part(NULL, 0), part(body, 3)};
    ssize_t n = weft_readv(*(const int *)arg, parts, 3);
    return n == 5 ? memcmp(head, "he", 2) != 0 || memcmp(body, "llo", 3) != 0 : n;
}

static void write_parts(int fd)
{
    char head[] = "hel";
    char body[] = "lo";
    struct iovec parts[] = {part(head, 3), part(body, 2)};
    wt_check(weft_writev(fd, parts, 2) == 5);
}

static void vectors_over(int fds[2])
{
    weft_task *task;
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_parts, &fds[0]) == 0);
    until_parked(mark, 1);
    write_parts(fds[1]);
    wt_check(finish(task) == 0);
    write_parts(fds[1]);
    wt_check(read_parts(&fds[0]) == 0);
    wt_check(weft_readv(fds[0], NULL, 0) == 0);
    wt_check(weft_read(fds[0], NULL, 0) == 0);
    wt_check(weft_close(fds[1]) == 0);
    char byte[1];
    struct iovec one = part(byte, 1);
    wt_check(weft_readv(fds[0], &one, 1) == 0); /* the end */
    wt_check(weft_close(fds[0]) == 0);
}

static intptr_t vectors(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    vectors_over(fds);
    wt_check(pipe(fds) == 0);
    vectors_over(fds);
    int file = make_file();
    write_parts(file);
    wt_check(lseek(file, 0, SEEK_SET) == 0);
    wt_check(read_parts(&file) == 0);
    wt_check(weft_close(file) == 0);
    return 0;
}

Test(message, vectors)
{
    RUN(vectors, NULL, &one_worker);
    RUN(vectors, NULL, &four_workers);
}

enum { FLOOD_PARTS = 8, FLOOD_PART = 32 << 10, FLOOD_ROUNDS = 16 };

static intptr_t drain(void *arg)
{
    static char buffer[1 << 13];
    intptr_t sum = 0;
    ssize_t n;
    while ((n = weft_read(*(const int *)arg, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != (char)((sum + i) % 251)) {
                return -EILSEQ;
            }
        }
        sum += n;
    }
    return n < 0 ? n : sum;
}

/* Partial writes: what is left of the parts goes in the next call. */
static bool write_all(int fd, struct iovec *parts, int count)
{
    bool was_short = false;
    while (count > 0) {
        ssize_t n = weft_writev(fd, parts, count);
        if (!wt_check(n > 0)) {
            break;
        }
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            was_short = true;
            *parts = part((char *)parts->iov_base + n, parts->iov_len - (size_t)n);
        }
    }
    return was_short;
}

static intptr_t flood(void *arg)
{
    static char bytes[FLOOD_PARTS * FLOOD_PART];
    int fds[2];
    weft_task *task;
    bool was_short = false;
    size_t sum = 0;
    if (*(const bool *)arg) {
        wt_check(pipe(fds) == 0);
    } else {
        make_pair(fds, SOCK_STREAM);
    }
    wt_check(weft_spawn(&task, drain, &fds[0]) == 0);
    for (int round = 0; round < FLOOD_ROUNDS; round++) {
        struct iovec parts[FLOOD_PARTS];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (char)(sum++ % 251);
        }
        for (int i = 0; i < FLOOD_PARTS; i++) {
            parts[i] = part(bytes + (size_t)i * FLOOD_PART, FLOOD_PART);
        }
        was_short = write_all(fds[1], parts, FLOOD_PARTS) || was_short;
    }
    wt_check(was_short || wt_is_emulated()); /* an emulator may have buffers of its own */
    wt_check(weft_close(fds[1]) == 0);
    wt_check(finish(task) == (intptr_t)sum);
    wt_check(weft_close(fds[0]) == 0);
    return 0;
}

Test(message, partial_writes, .timeout = 60)
{
    bool kinds[] = {false, true};
    for (int i = 0; i < 2; i++) {
        RUN(flood, &kinds[i], &one_worker);
        RUN(flood, &kinds[i], &four_workers);
    }
}

static intptr_t flood_in_storm(void *arg)
{
    begin_storm();
    while (interruptions < 100) {
        wt_check(flood(arg) == 0);
    }
    end_storm();
    return 0;
}

Test(message, never_interrupted, .timeout = 60)
{
    bool kinds[] = {false, true};
    RUN(flood_in_storm, &kinds[0], &one_worker);
    RUN(flood_in_storm, &kinds[1], &four_workers);
}

/* ---- SIGPIPE: its disposition is the default, which would end the process ---- */

static intptr_t broken(void *arg)
{
    int fds[2];
    char byte[1] = "x";
    struct iovec one = part(byte, 1);
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_writev(fds[1], &one, 1) == -EPIPE);
    wt_check(weft_sendmsg(fds[1], &message, 0) == -EPIPE);
    wt_check(weft_sendto(fds[1], byte, 1, 0, NULL, 0) == -EPIPE);
    wt_check(weft_close(fds[1]) == 0);
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        sigset_t pending;
        wt_check(pipe2(fds, flags) == 0);
        wt_check(weft_close(fds[0]) == 0);
        wt_check(weft_write(fds[1], byte, 1) == -EPIPE);
        wt_check(weft_writev(fds[1], &one, 1) == -EPIPE);
        wt_check(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
        wt_check(weft_close(fds[1]) == 0);
    }
    return 0;
}

/* A write that waits while the last reader goes. */
static intptr_t write_until_error(void *arg)
{
    static char block[1 << 16];
    ssize_t n;
    do {
        n = weft_write(*(const int *)arg, block, sizeof block);
    } while (n > 0);
    return n;
}

static intptr_t broken_while_waiting(void *arg)
{
    int fds[2];
    weft_task *task;
    (void)arg;
    wt_check(pipe(fds) == 0);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, write_until_error, &fds[1]) == 0);
    until_parked(mark, 1);
    wt_check(weft_close(fds[0]) == 0);
    wt_check(finish(task) == -EPIPE);
    wt_check(weft_close(fds[1]) == 0);
    return 0;
}

Test(message, no_broken_pipe_signal)
{
    cr_assert_neq(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    RUN(broken, NULL, &one_worker);
    RUN(broken_while_waiting, NULL, &one_worker);
    RUN(broken_while_waiting, NULL, &four_workers);
}

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
    RUN(truncation, NULL, &one_worker);
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

static intptr_t read_one(void *arg)
{
    char byte = 0;
    ssize_t n = weft_read(*(const int *)arg, &byte, 1);
    return n == 1 ? byte : n;
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
        wt_check(weft_spawn(&task, read_one, &got) == 0);
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

/* ---- shutting down ---- */

static intptr_t half_open(void *arg)
{
    int fds[2];
    weft_task *task;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_one, &fds[0]) == 0);
    until_parked(mark, 1);
    wt_check(weft_shutdown(fds[1], SHUT_WR) == 0);
    wt_check(finish(task) == 0); /* the end */
    wt_check(weft_write(fds[1], "x", 1) == -EPIPE);
    wt_check(weft_write(fds[0], "y", 1) == 1); /* the other way is open */
    wt_check(read_one(&fds[1]) == 'y');
    mark = parks_now();
    wt_check(weft_spawn(&task, read_one, &fds[1]) == 0);
    until_parked(mark, 1);
    wt_check(weft_shutdown(fds[1], SHUT_RDWR) == 0); /* one's own waiters see it too */
    wt_check(finish(task) == 0);
    wt_check(weft_shutdown(fds[0], 17) == -EINVAL);
    close_both(fds);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    wt_check(weft_shutdown(fd, SHUT_WR) == -ENOTCONN);
    wt_check(weft_close(fd) == 0);
    wt_check(weft_shutdown(fd, SHUT_WR) == -EBADF);
    fd = make_file();
    wt_check(weft_shutdown(fd, SHUT_WR) == -ENOTSOCK);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(message, half_open)
{
    RUN(half_open, NULL, &one_worker);
    RUN(half_open, NULL, &four_workers);
}

/* ---- cancellation, time limits, closing ---- */

static intptr_t receive_message(void *arg)
{
    char byte[1] = "";
    struct sockaddr_in from = {.sin_port = 77};
    struct iovec one = part(byte, 1);
    struct msghdr message = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &one, .msg_iovlen = 1};
    ssize_t n = weft_recvmsg(*(const int *)arg, &message, 0);
    wt_check(n >= 0 || (from.sin_port == 77 && message.msg_namelen == sizeof from));
    return n == 1 ? byte[0] : n;
}

static intptr_t receive_from(void *arg)
{
    char byte = 0;
    ssize_t n = weft_recvfrom(*(const int *)arg, &byte, 1, 0, NULL, NULL);
    return n == 1 ? byte : n;
}

static intptr_t receive_parts(void *arg)
{
    char byte[1] = "";
    struct iovec one = part(byte, 1);
    ssize_t n = weft_readv(*(const int *)arg, &one, 1);
    return n == 1 ? byte[0] : n;
}

static weft_fn *const receivers[] = {receive_message, receive_from, receive_parts};

static intptr_t cancel_waits(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        int fds[2];
        weft_task *task;
        make_pair(fds, SOCK_STREAM);
        uint64_t mark = parks_now();
        wt_check(weft_spawn(&task, receivers[i], &fds[0]) == 0);
        until_parked(mark, 1);
        wt_check(weft_cancel(task) == 1);
        wt_check(finish(task) == -ECANCELED);
        wt_check(weft_within(WEFT_MS, receivers[i](&fds[0])) == -ETIMEDOUT);
        wt_check(weft_write(fds[1], "k", 1) == 1);
        wt_check(receivers[i](&fds[0]) == 'k'); /* nothing was lost */
        mark = parks_now();
        wt_check(weft_spawn(&task, receivers[i], &fds[0]) == 0);
        until_parked(mark, 1);
        wt_check(weft_close(fds[0]) == 0);
        wt_check(finish(task) == -EBADF);
        wt_check(weft_close(fds[1]) == 0);
    }
    return 0;
}

Test(message, cancelled_waits, .timeout = 20)
{
    RUN(cancel_waits, NULL, &one_worker);
    RUN(cancel_waits, NULL, &four_workers);
}

/* A request and a byte at once: either the byte or the request, never neither, never a lost byte. */
static intptr_t race(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        int fds[2];
        weft_task *task;
        make_pair(fds, SOCK_STREAM);
        wt_check(weft_spawn(&task, receivers[i % 3], &fds[0]) == 0);
        if (i % 2 == 0) {
            wt_check(weft_yield() == 0);
        }
        wt_check(weft_write(fds[1], "k", 1) == 1);
        (void)weft_cancel(task);
        intptr_t raw = 0;
        wt_check(weft_join(task, NULL) == 0);
        if (weft_task_raw_result(task, &raw) < 0 || raw != 'k') {
            wt_check(read_one(&fds[0]) == 'k');
        }
        weft_drop(task);
        close_both(fds);
    }
    return 0;
}

Test(message, cancel_loses_nothing, .timeout = 60)
{
    RUN(race, NULL, &one_worker);
    RUN(race, NULL, &four_workers);
}

static intptr_t entry_rule(void *arg)
{
    int fds[2];
    char byte[1] = "e";
    struct iovec one = part(byte, 1);
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_write(fds[1], "k", 1) == 1);
    cancel_next();
    was_told(weft_readv(fds[0], &one, 1));
    cancel_next();
    was_told(weft_writev(fds[0], &one, 1));
    cancel_next();
    was_told(weft_recvfrom(fds[0], byte, 1, 0, NULL, NULL));
    cancel_next();
    was_told(weft_recvmsg(fds[0], &message, 0));
    cancel_next();
    was_told(weft_sendto(fds[0], byte, 1, 0, NULL, 0));
    cancel_next();
    was_told(weft_sendmsg(fds[0], &message, 0));
    cancel_next();
    was_told(weft_shutdown(fds[0], SHUT_RDWR));
    wt_check(byte[0] == 'e');
    wt_check(read_one(&fds[0]) == 'k'); /* not taken, not shut down, and nothing was sent */
    wt_check(recv(fds[1], byte, 1, MSG_DONTWAIT) == -1);
    close_both(fds);
    return 0;
}

Test(message, entry_rule)
{
    RUN(entry_rule, NULL, &one_worker);
}

/* ---- bad calls ---- */

static intptr_t bad_calls(void *arg)
{
    int fds[2];
    char byte[1] = "";
    struct iovec one = part(byte, 1);
    struct iovec null = part(NULL, 1);
    struct iovec huge[2] = {one, part(byte, SSIZE_MAX)};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    wt_check(weft_readv(fds[0], NULL, 1) == -EINVAL);
    wt_check(weft_readv(fds[0], &one, -1) == -EINVAL);
    wt_check(weft_readv(fds[0], &one, IOV_MAX + 1) == -EINVAL);
    wt_check(weft_readv(fds[0], &null, 1) == -EINVAL);
    wt_check(weft_writev(fds[0], huge, 2) == -EINVAL);
    wt_check(weft_recvmsg(fds[0], NULL, 0) == -EINVAL);
    wt_check(weft_sendmsg(fds[0], NULL, 0) == -EINVAL);
    wt_check(weft_sendto(fds[0], NULL, 1, 0, NULL, 0) == -EINVAL);
    wt_check(weft_recvfrom(fds[0], NULL, 1, 0, NULL, NULL) == -EINVAL);
    wt_check(weft_recvfrom(fds[0], byte, 1, 0, (struct sockaddr *)byte, NULL) == -EINVAL);
    close_both(fds);
    wt_check(weft_readv(fds[0], &one, 1) == -EBADF);
    wt_check(weft_writev(-1, &one, 1) == -EBADF);
    wt_check(weft_recvmsg(fds[0], &message, 0) == -EBADF);
    wt_check(weft_sendmsg(-1, &message, 0) == -EBADF);
    wt_check(weft_sendto(1 << 29, byte, 1, 0, NULL, 0) == -EBADF);
    wt_check(weft_recvfrom(-1, byte, 1, 0, NULL, NULL) == -EBADF);
    int file = make_file();
    wt_check(weft_recvmsg(file, &message, 0) == -ENOTSOCK);
    wt_check(weft_sendto(file, byte, 1, 0, NULL, 0) == -ENOTSOCK);
    wt_check(weft_close(file) == 0);
    return 0;
}

static intptr_t simulated(void *arg)
{
    char byte[1] = "";
    struct iovec one = part(byte, 1);
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    (void)arg;
    wt_check(weft_readv(0, &one, 1) == -ENOTSUP);
    wt_check(weft_writev(1, &one, 1) == -ENOTSUP);
    wt_check(weft_recvmsg(0, &message, 0) == -ENOTSUP);
    wt_check(weft_sendto(1, byte, 1, 0, NULL, 0) == -ENOTSUP);
    wt_check(weft_shutdown(0, SHUT_WR) == -ENOTSUP);
    return 0;
}

Test(message, bad_calls)
{
    char byte[1] = "";
    struct iovec one = part(byte, 1);
    RUN(bad_calls, NULL, &one_worker);
    RUN(simulated, NULL, &simulation);
    cr_assert_eq(weft_readv(0, &one, 1), -EPERM);
    cr_assert_eq(weft_recvfrom(0, byte, 1, 0, NULL, NULL), -EPERM);
    cr_assert_eq(weft_shutdown(0, SHUT_WR), -EPERM);
}

/* ---- simulated descriptors ---- */

static intptr_t read_to_end(void *arg)
{
    char bytes[64];
    size_t length = 0;
    ssize_t n;
    do {
        struct iovec parts[] = {part(bytes + length, 1), part(bytes + length + 1, 5)};
        n = weft_readv(*(const int *)arg, parts, 2);
        length += n > 0 ? (size_t)n : 0;
    } while (n > 0 && length < sizeof bytes - 8);
    return n < 0 ? n : length == 11 && memcmp(bytes, "hello world", 11) == 0 ? 0 : -EILSEQ;
}

static intptr_t simulated_shutdown(void *arg)
{
    int fds[2];
    char first[] = "hello ";
    char second[] = "world";
    struct iovec parts[] = {part(first, 6), part(second, 5)};
    weft_task *task;
    weft_sim_faults faults = {.short_transfers = 500, .late = 500, .late_ns = WEFT_MS};
    (void)arg;
    wt_check(weft_sim_set_faults(&faults) == 0);
    wt_check(weft_sim_socketpair(fds) == 0);
    wt_check(weft_spawn(&task, read_to_end, &fds[1]) == 0);
    ssize_t n = weft_writev(fds[0], parts, 2);
    wt_check(n > 0);
    if (n < 11) {
        char all[] = "hello world";
        for (ssize_t more; n < 11; n += more) {
            more = weft_write(fds[0], all + n, (size_t)(11 - n));
            wt_check(more > 0);
        }
    }
    wt_check(weft_shutdown(fds[0], SHUT_WR) == 0);
    wt_check(weft_write(fds[0], "x", 1) == -EPIPE);
    wt_check(finish(task) == 0);
    wt_check(weft_sendto(fds[1], "back", 4, 0, NULL, 0) > 0);
    wt_check(read_one(&fds[0]) == 'b');
    wt_check(weft_shutdown(fds[1], SHUT_WR) == 0);
    wt_check((weft_wait_fd(fds[1], WEFT_READABLE) & WEFT_HANGUP) != 0);
    close_both(fds);
    return 0;
}

Test(message, simulated_descriptors)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        weft_options options = {.simulate = true, .seed = seed};
        RUN(simulated_shutdown, NULL, &options);
    }
}
