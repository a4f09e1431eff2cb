// SPDX-License-Identifier: MIT
/* test_message.c - messages cancelled, under limits, badly called, simulated; shutting down. */
#include <limits.h>
#include <netinet/in.h>

#include <weft/testing.h>

#include "io_test.h"

/* ---- shutting down ---- */

static intptr_t half_open(void *arg)
{
    int fds[2];
    weft_task *task;
    (void)arg;
    make_pair(fds, SOCK_STREAM);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_byte, &fds[0]) == 0);
    until_parked(mark, 1);
    wt_check(weft_shutdown(fds[1], SHUT_WR) == 0);
    wt_check(finish(task) == 0); /* the end */
    wt_check(weft_write(fds[1], "x", 1) == -EPIPE);
    wt_check(weft_write(fds[0], "y", 1) == 1); /* the other way is open */
    wt_check(read_byte(&fds[1]) == 'y');
    mark = parks_now();
    wt_check(weft_spawn(&task, read_byte, &fds[1]) == 0);
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
            wt_check(read_byte(&fds[0]) == 'k');
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
    wt_check(read_byte(&fds[0]) == 'k'); /* not taken, not shut down, and nothing was sent */
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
    wt_check(read_byte(&fds[0]) == 'b');
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
