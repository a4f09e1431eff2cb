/* SPDX-License-Identifier: MIT */
/* io_test.h - what the tests of calls on descriptors share: pairs, storms of signals, counting descriptors. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <weft.h>

#include "support.h"
#include "weft_test.h"

__attribute__((unused)) static const weft_options one_worker = {.workers = 1};
__attribute__((unused)) static const weft_options four_workers = {.workers = 4};
__attribute__((unused)) static const weft_options simulation = {.simulate = true};

WT_FN void make_pair(int fds[2], int type)
{
    wt_check(socketpair(AF_UNIX, type, 0, fds) == 0);
}

WT_FN void close_both(const int fds[2])
{
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_close(fds[1]) == 0);
}

/* A file without a name. */
WT_FN int make_file(void)
{
    char path[] = "/tmp/weft_file_XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    wt_check(fd >= 0 && unlink(path) == 0);
    return fd;
}

/* A connected pair over loopback: [0] accepted, [1] the peer. */
WT_FN void tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    wt_check(bind(listener, (struct sockaddr *)&address, length) == 0);
    wt_check(listen(listener, 1) == 0);
    wt_check(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    wt_check(connect(fds[1], (struct sockaddr *)&address, length) == 0);
    fds[0] = weft_accept(listener, NULL, NULL);
    wt_check(fds[0] >= 0);
    wt_check(weft_close(listener) == 0);
}

/* One part of a vector. */
WT_FN struct iovec part(char *bytes, size_t length)
{
    return (struct iovec){.iov_base = bytes, .iov_len = length};
}

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr header;
};

/* A byte, and a descriptor along with it. */
WT_FN void send_descriptor(int fd, char byte, int sent)
{
    struct iovec one = {.iov_base = &byte, .iov_len = 1};
    union control control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof sent);
    memcpy(CMSG_DATA(header), &sent, sizeof sent);
    wt_check(weft_sendmsg(fd, &message, 0) == 1);
}

/* ---- a storm of signals, whose handler makes system calls end early ---- */

__attribute__((unused)) static atomic_int interruptions;

WT_FN void count_interruption(int number)
{
    (void)number;
    interruptions++;
}

WT_FN void begin_storm(void)
{
    struct sigaction action = {.sa_handler = count_interruption}; /* no SA_RESTART */
    struct itimerval often = {.it_interval = {.tv_usec = 200}, .it_value = {.tv_usec = 200}};
    interruptions = 0;
    wt_check(sigaction(SIGALRM, &action, NULL) == 0);
    wt_check(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

WT_FN void end_storm(void)
{
    struct itimerval never = {.it_value = {.tv_usec = 0}};
    wt_check(setitimer(ITIMER_REAL, &never, NULL) == 0);
    wt_check(interruptions > 0);
}

/* ---- the entry rule ---- */

/* Cancels itself, so that the call that follows must be told, and nothing else happen. */
WT_FN void cancel_next(void)
{
    wt_check(weft_cancel(weft_self()) == 1);
}

/* Told once, and no more. */
WT_FN void was_told(int64_t result)
{
    wt_check(result == -ECANCELED);
    wt_check(weft_uncancel(weft_self()) == 0);
    wt_check(weft_checkpoint() == 0);
}

#endif
