// SPDX-License-Identifier: MIT
/* test_odd.c - calls on descriptors that are not what one expects there. */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "io_test.h"

/* ---- a local read that is short, and is not the end of what there is ---- */

/* The kernel ends a read where descriptors were sent along, and no event will tell of the rest. */
static intptr_t short_local_reads(void *arg)
{
    int fds[2];
    char got[64];
    (void)arg;
    make_pair(fds, SOCK_STREAM | SOCK_NONBLOCK);
    wt_check(weft_within(WEFT_MS, weft_read(fds[0], got, sizeof got)) == -ETIMEDOUT);
    for (int i = 0; i < 100; i++) {
        send_descriptor(fds[1], 'a', fds[1]);
        wt_check(weft_write(fds[1], "b", 1) == 1);
        wt_check(weft_wait_fd(fds[0], WEFT_READABLE) == WEFT_READABLE);
        wt_check(weft_sleep(0) == 0); /* the events of both are told by now, nearly always */
        wt_check(weft_read(fds[0], got, sizeof got) == 1 && got[0] == 'a');
        wt_check(weft_within(10 * WEFT_S, weft_read(fds[0], got, sizeof got)) == 1);
        wt_check(got[0] == 'b');
    }
    close_both(fds);
    return 0;
}

Test(odd, short_local_reads, .timeout = 60)
{
    RUN(short_local_reads, NULL, &one_worker);
    RUN(short_local_reads, NULL, &four_workers);
}

/* ---- urgent data ---- */

/* That a read was short says nothing of what other reads would find. */
static intptr_t urgent_data(void *arg)
{
    int fds[2];
    char got[64];
    (void)arg;
    tcp_pair(fds);
    for (int i = 0; i < 20; i++) {
        wt_check(weft_send(fds[0], "abc", 3, 0) == 3);
        wt_check(weft_read(fds[1], got, sizeof got) == 3);
        wt_check(weft_within(10 * WEFT_S, weft_recv(fds[1], got, 1, MSG_OOB)) == -EINVAL);
    }
    wt_check(weft_send(fds[0], "abc", 3, 0) == 3 && weft_send(fds[0], "x", 1, MSG_OOB) == 1);
    wt_check(weft_send(fds[0], "def", 3, 0) == 3);
    wt_check(weft_within(10 * WEFT_S, weft_read(fds[1], got, sizeof got)) == 3); /* to the mark */
    wt_check(weft_within(10 * WEFT_S, weft_recv(fds[1], got, 1, MSG_OOB)) == 1 && got[0] == 'x');
    wt_check(weft_within(10 * WEFT_S, weft_read(fds[1], got, sizeof got)) == 3 && got[0] == 'd');
    close_both(fds);
    return 0;
}

Test(odd, urgent_data, .timeout = 60)
{
    RUN(urgent_data, NULL, &one_worker);
    RUN(urgent_data, NULL, &four_workers);
}

/* ---- nothing to be read waits for nothing ---- */

static intptr_t reads_of_nothing(void *arg)
{
    char byte;
    int news = inotify_init1(IN_CLOEXEC); /* on which a read(2) of nothing blocks */
    (void)arg;
    wt_check(weft_read(news, &byte, 0) == 0);
    wt_check(weft_read(news, NULL, 0) == 0);
    wt_check(weft_readv(news, NULL, 0) == 0);
    wt_check(weft_close(news) == 0);
    int64_t gone = weft_read(news, &byte, 0);
    wt_check(gone == -EBADF || wt_is_emulated()); /* an emulator asks nobody for nothing */
    return 0;
}

Test(odd, reads_of_nothing, .timeout = 10)
{
    RUN(reads_of_nothing, NULL, &one_worker);
}

/* ---- what has no connections to give ---- */

static intptr_t accept_from_others(void *arg)
{
    int fds[2];
    (void)arg;
    wt_check(pipe2(fds, O_CLOEXEC) == 0);
    wt_check(weft_accept(fds[0], NULL, NULL) == -ENOTSOCK);
    close_both(fds);
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        make_pair(fds, SOCK_STREAM | flags);
        wt_check(weft_accept(fds[0], NULL, NULL) == -EINVAL);
        close_both(fds);
        int fd = socket(AF_INET, SOCK_DGRAM | flags, 0);
        wt_check(weft_accept(fd, NULL, NULL) == -EOPNOTSUPP);
        wt_check(weft_close(fd) == 0);
        fd = socket(AF_INET, SOCK_STREAM | flags, 0);
        wt_check(weft_accept(fd, NULL, NULL) == -EINVAL);
        wt_check(listen(fd, 1) == 0);
        wt_check(weft_within(WEFT_MS, weft_accept(fd, NULL, NULL)) == -ETIMEDOUT);
        wt_check(weft_close(fd) == 0);
    }
    return 0;
}

Test(odd, accept_from_others, .timeout = 10)
{
    RUN(accept_from_others, NULL, &one_worker);
}

/* ---- flags that ask not to wait ---- */

struct reading {
    int fd;
    int flags;
};

static intptr_t receive_byte(void *arg)
{
    const struct reading *reading = arg;
    char byte = 0;
    ssize_t n = weft_recv(reading->fd, &byte, 1, reading->flags);
    return n == 1 ? byte : n;
}

static intptr_t receive_byte_from(void *arg)
{
    const struct reading *reading = arg;
    char byte = 0;
    ssize_t n = weft_recvfrom(reading->fd, &byte, 1, reading->flags, NULL, NULL);
    return n == 1 ? byte : n;
}

static void waits_all_the_same(int type, weft_fn *receive)
{
    int fds[2];
    weft_task *task;
    make_pair(fds, type);
    struct reading reading = {fds[0], MSG_DONTWAIT};
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, receive, &reading) == 0);
    until_parked(mark, 1);
    wt_check(weft_send(fds[1], "w", 1, MSG_DONTWAIT) == 1);
    wt_check(finish(task) == 'w');
    mark = parks_now();
    wt_check(weft_spawn(&task, receive, &reading) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    close_both(fds);
}

/* These calls always ask that of the system call, and wait by themselves. */
static intptr_t told_not_to_wait(void *arg)
{
    (void)arg;
    waits_all_the_same(SOCK_STREAM, receive_byte);
    waits_all_the_same(SOCK_DGRAM, receive_byte);
    waits_all_the_same(SOCK_STREAM, receive_byte_from);
    waits_all_the_same(SOCK_DGRAM, receive_byte_from);
    return 0;
}

Test(odd, told_not_to_wait, .timeout = 10)
{
    RUN(told_not_to_wait, NULL, &one_worker);
}

static int64_t processor_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * WEFT_S + now.tv_nsec;
}

/* That there is something to be read, or a hang-up, says nothing of the queue of errors. */
static void no_errors(int fd)
{
    char byte;
    struct iovec one = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    int64_t before = processor_ns();
    wt_check(weft_within(100 * WEFT_MS, weft_recv(fd, &byte, 1, MSG_ERRQUEUE)) == -ETIMEDOUT);
    wt_check(weft_within(100 * WEFT_MS, weft_recvmsg(fd, &message, MSG_ERRQUEUE)) == -ETIMEDOUT);
    wt_check(processor_ns() - before < 40 * WEFT_MS);
}

static intptr_t read_error(void *arg)
{
    char byte = 0;
    ssize_t n = weft_recv(*(const int *)arg, &byte, 1, MSG_ERRQUEUE);
    return n == 1 ? byte : n;
}

static intptr_t queue_of_errors(void *arg)
{
    int fds[2];
    int yes = 1;
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    weft_task *task;
    (void)arg;
    tcp_pair(fds);
    no_errors(fds[0]);
    wt_check(weft_send(fds[1], "d", 1, 0) == 1);
    no_errors(fds[0]);
    wt_check(weft_close(fds[1]) == 0 && weft_shutdown(fds[0], SHUT_WR) == 0);
    no_errors(fds[0]);
    wt_check(weft_close(fds[0]) == 0);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    nobody.sin_port = htons(9);
    wt_check(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &yes, sizeof yes) == 0);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, read_error, &fd) == 0);
    until_parked(mark, 1);
    wt_check(weft_sendto(fd, "e", 1, 0, (const struct sockaddr *)&nobody, sizeof nobody) == 1);
    wt_check(finish(task) == 'e');
    return weft_close(fd);
}

Test(odd, queue_of_errors, .timeout = 20)
{
    RUN(queue_of_errors, NULL, &one_worker);
}

/* ---- a process descriptor that comes with a message ---- */

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* Sends a byte, and ends when it can read one. */
static pid_t fork_sender(int fd)
{
    pid_t pid = fork();
    char byte = 'p';
    if (pid == 0) {
        (void)!write(fd, &byte, 1);
        (void)!read(fd, &byte, 1);
        _exit(0);
    }
    return pid;
}

static int take_process(int fd)
{
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    union control control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int taken = -1;
    wt_check(weft_recvmsg(fd, &message, 0) == 1);
    if (wt_check(CMSG_FIRSTHDR(&message) != NULL)) {
        memcpy(&taken, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof taken);
    }
    return taken;
}

/* Its number was waited for, and closed behind weft's back, before. */
static intptr_t process_descriptor(void *arg)
{
    const int *fds = arg;
    int ends[2];
    make_pair(ends, SOCK_STREAM);
    intptr_t rc = weft_within(WEFT_MS, weft_wait_fd(ends[0], WEFT_READABLE));
    wt_check(rc == -ETIMEDOUT && close(ends[0]) == 0);
    pid_t pid = fork_sender(fds[1]);
    int taken = take_process(fds[0]);
    wt_check(pid > 0 && taken == ends[0]);
    rc = weft_within(20 * WEFT_MS, weft_wait_fd(taken, WEFT_READABLE));
    wt_check(rc == -ETIMEDOUT);
    wt_check(write(fds[0], "e", 1) == 1);
    rc = weft_within(10 * WEFT_S, weft_wait_fd(taken, WEFT_READABLE));
    wt_check((rc & WEFT_READABLE) != 0 && waitpid(pid, NULL, 0) == pid);
    wt_check(weft_close(taken) == 0 && weft_close(ends[1]) == 0);
    return 0;
}

Test(odd, process_descriptor, .timeout = 60)
{
    int fds[2];
    int on = 1;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    if (setsockopt(fds[0], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) < 0) {
        wt_skip("this kernel sends no process descriptors");
    }
    RUN(process_descriptor, fds, &one_worker);
    cr_assert_eq(close(fds[0]) + close(fds[1]), 0);
}

/* ---- nothing, written in parts ---- */

/* Datagrams that are there; they are taken. */
static int count_datagrams(int fd)
{
    char got[8];
    int count = 0;
    while (recv(fd, got, sizeof got, MSG_DONTWAIT) >= 0 && count < 8) {
        count++;
    }
    return count;
}

/* As writev(2) and write(2): only the latter makes an empty datagram. */
static intptr_t parts_of_nothing(void *arg)
{
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    char byte = 'x';
    struct iovec parts[2] = {{.iov_base = &byte}, {.iov_base = NULL}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    int fds[2];
    (void)arg;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        make_pair(fds, types[i]);
        wt_check(weft_writev(fds[0], NULL, 0) == 0 && writev(fds[0], NULL, 0) == 0);
        wt_check(weft_writev(fds[0], parts, 0) == 0 && weft_writev(fds[0], parts, 2) == 0);
        wt_check(writev(fds[0], parts, 2) == 0);
        wt_check(count_datagrams(fds[1]) == 0);
        wt_check(weft_write(fds[0], &byte, 0) == 0 && weft_send(fds[0], &byte, 0, 0) == 0);
        wt_check(weft_sendmsg(fds[0], &message, 0) == 0);
        wt_check(count_datagrams(fds[1]) == 3);
        wt_check(weft_write(fds[1], &byte, 1) == 1);
        wt_check(weft_readv(fds[0], parts, 2) == 0); /* nor does it take one */
        wt_check(count_datagrams(fds[0]) == 1);
        close_both(fds);
    }
    make_pair(fds, SOCK_STREAM);
    wt_check(shutdown(fds[0], SHUT_WR) == 0);
    wt_check(weft_writev(fds[0], parts, 2) == 0 && weft_write(fds[0], &byte, 1) == -EPIPE);
    close_both(fds);
    int sink = open("/dev/null", O_RDONLY | O_CLOEXEC);
    wt_check(weft_writev(sink, parts, 2) == -EBADF && weft_close(sink) == 0);
    wt_check(weft_writev(sink, parts, 2) == -EBADF);
    return 0;
}

Test(odd, parts_of_nothing)
{
    RUN(parts_of_nothing, NULL, &one_worker);
}

/* ---- several at one position of a file ---- */

enum { TOGETHER = 4, RECORDS = 200, RECORD = 64 };

static intptr_t write_records(void *arg)
{
    char record[RECORD];
    memset(record, 'r', sizeof record);
    for (int i = 0; i < RECORDS; i++) {
        wt_check(weft_write(*(const int *)arg, record, sizeof record) == RECORD);
    }
    return 0;
}

static intptr_t read_records(void *arg)
{
    char record[RECORD];
    intptr_t sum = 0;
    ssize_t n;
    while ((n = weft_read(*(const int *)arg, record, sizeof record)) > 0) {
        sum += n;
    }
    return n < 0 ? n : sum;
}

static intptr_t all_together(weft_fn *fn, int *fd)
{
    weft_task *tasks[TOGETHER];
    intptr_t sum = 0;
    for (int i = 0; i < TOGETHER; i++) {
        wt_check(weft_spawn(&tasks[i], fn, fd) == 0);
    }
    for (int i = 0; i < TOGETHER; i++) {
        sum += finish(tasks[i]);
    }
    return sum;
}

/* Nobody overwrites what another one wrote, and nobody reads it twice. */
static intptr_t one_position(void *arg)
{
    const off_t bytes = TOGETHER * RECORDS * RECORD;
    struct stat status;
    int fd = make_file();
    (void)arg;
    wt_check(all_together(write_records, &fd) == 0);
    wt_check(fstat(fd, &status) == 0 && status.st_size == bytes);
    wt_check(lseek(fd, 0, SEEK_SET) == 0 && weft_fdatasync(fd) == 0);
    wt_check(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0); /* to be read from the disk */
    wt_check(all_together(read_records, &fd) == bytes);
    return weft_close(fd);
}

Test(odd, one_position, .timeout = 60)
{
    RUN(one_position, NULL, &one_worker);
    RUN(one_position, NULL, &four_workers);
}
