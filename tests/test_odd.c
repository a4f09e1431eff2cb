// SPDX-License-Identifier: MIT
/* test_odd.c - calls on descriptors that are not what one expects there. */
#include <netinet/in.h>
#include <sys/inotify.h>

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
