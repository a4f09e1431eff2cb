// SPDX-License-Identifier: MIT
/* test_receive.c - what a read in a ring says of the next one, where each asks for just what there is. */
#include <stdlib.h>

#include "io_test.h"
#include "poll/descriptor.h"
#include "poll/poller.h"
#include "poll/uring.h"
#include "sched/runtime.h"
#include "sched/worker.h"

static const weft_options one_ring = {.workers = 1, .io = WEFT_IO_URING};

#define NEEDS_RING()                      \
    do {                                  \
        struct wf_uring *ring = NULL;     \
        (void)unsetenv("WEFT_IO");        \
        if (wf_uring_create(&ring) < 0) { \
            wt_skip("no io_uring here");  \
        }                                 \
        wf_uring_destroy(ring);           \
    } while (0)

/* Whether the reader need not ask again before it waits. */
static bool is_known_empty(int fd)
{
    return wf_load_rlx(&wf_fd_at(wf_here()->runtime->poller->table, fd)->drained_at) != 0;
}

struct sent {
    int fd;
    const char *bytes;
};

/* After its reader has begun to wait. */
static intptr_t send_late(void *arg)
{
    const struct sent *sent = arg;
    ssize_t length = (ssize_t)strlen(sent->bytes);
    return weft_send(sent->fd, sent->bytes, (size_t)length, 0) == length ? 0 : -EIO;
}

/* Reads a byte, for which it has to wait. */
static char read_one(int fds[2], const char *bytes)
{
    char byte = 0;
    weft_task *sender;
    struct sent sent = {fds[1], bytes};
    wt_check(weft_spawn(&sender, send_late, &sent) == 0);
    wt_check(weft_recv(fds[0], &byte, 1, 0) == 1);
    wt_check(weft_await(sender, NULL) == 0);
    return byte;
}

/* The number of bytes in TCP's queue is told by every kernel that lets a ring wait first. */
static intptr_t exact_reads(void *arg)
{
    (void)arg;
    int fds[2];
    char rest[4];
    tcp_pair(fds);
    (void)read_one(fds, "-"); /* what kind of socket it is comes to be known */
    wt_check(read_one(fds, "a") == 'a');
    wt_check(is_known_empty(fds[0]));
    wt_check(read_one(fds, "bcd") == 'b');
    wt_check(!is_known_empty(fds[0]));
    wt_check(weft_recv(fds[0], rest, 2, 0) == 2 && rest[0] == 'c' && rest[1] == 'd');
    wt_check(read_one(fds, "e") == 'e');
    wt_check(weft_close(fds[1]) == 0);
    wt_check(weft_recv(fds[0], rest, 1, 0) ==
             0); /* the end is no byte that a sender would be waited for */
    return weft_close(fds[0]);
}

Test(receive, exact_reads_tell_what_is_left, .timeout = 20)
{
    NEEDS_RING();
    RUN(exact_reads, NULL, &one_ring);
}

/* The same bytes come in the same order by whatever ways. */
enum { MESSAGES = 2000, MOST = 7 };

static intptr_t send_all(void *arg)
{
    const int *fd = arg;
    uint8_t burst[3 * MOST];
    uint8_t next = 0;
    for (int i = 0; i < MESSAGES; i++) {
        int length = 1 + i * 5 % (3 * MOST);
        for (int at = 0; at < length; at++) {
            burst[at] = next++;
        }
        wt_check(weft_send(*fd, burst, (size_t)length, 0) == length);
        if (i % 3 == 0) {
            wt_check(weft_yield() == 0);
        }
    }
    return weft_close(*fd);
}

static intptr_t read_by_lengths(void *arg)
{
    void (*make)(int fds[2]) = *(void (**)(int fds[2]))arg;
    int fds[2];
    uint8_t expected = 0;
    weft_task *sender;
    make(fds);
    wt_check(weft_spawn(&sender, send_all, &fds[1]) == 0);
    for (int i = 0;; i++) {
        uint8_t bytes[MOST];
        ssize_t n = weft_recv(fds[0], bytes, (size_t)(1 + i % MOST), 0);
        wt_check(n >= 0);
        if (n == 0) {
            break;
        }
        for (ssize_t at = 0; at < n; at++) {
            wt_check(bytes[at] == expected++);
        }
    }
    wt_check(weft_await(sender, NULL) == 0);
    uint8_t all = 0;
    for (int i = 0; i < MESSAGES; i++) {
        all = (uint8_t)(all + 1 + i * 5 % (3 * MOST));
    }
    wt_check(all == expected);
    return weft_close(fds[0]);
}

static void local_pair(int fds[2])
{
    make_pair(fds, SOCK_STREAM);
}

Test(receive, bytes_in_a_row_by_any_lengths, .timeout = 60)
{
    void (*pairs[])(int fds[2]) = {tcp_pair, local_pair};
    for (int i = 0; i < 2; i++) {
        RUN(read_by_lengths, &pairs[i], &one_worker);
        RUN(read_by_lengths, &pairs[i], &four_workers);
    }
}
