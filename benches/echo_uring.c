// SPDX-License-Identifier: MIT
/* echo_uring.c - the raw io_uring loop: one system call for all that is ready.
 *
 * Single issuer, deferred task work; a receive and a send for each request, the receive told not to
 * look first; all submitted by the call that waits.
 */
#include "echo.h"

#include <errno.h>

#if defined(WITH_LIBURING)

#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 4096 };

enum kind { ACCEPT, RECEIVE, SEND };

struct connection {
    int fd;
    char buffer[ECHO_BUFFER];
};

static struct io_uring ring;

static struct io_uring_sqe *next_entry(void *data, enum kind kind)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    if (entry == NULL) {
        (void)io_uring_submit(&ring);
        entry = io_uring_get_sqe(&ring);
    }
    entry->user_data = (uint64_t)(uintptr_t)data | (uint64_t)kind;
    return entry;
}

static void ask_accept(int listener)
{
    struct io_uring_sqe *entry = next_entry(NULL, ACCEPT);
    uint64_t data = entry->user_data;
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    entry->user_data = data;
}

static void ask_receive(struct connection *c)
{
    struct io_uring_sqe *entry = next_entry(c, RECEIVE);
    uint64_t data = entry->user_data;
    io_uring_prep_recv(entry, c->fd, c->buffer, sizeof c->buffer, 0);
    entry->ioprio = IORING_RECVSEND_POLL_FIRST;
    entry->user_data = data;
}

static void ask_send(struct connection *c, size_t bytes)
{
    struct io_uring_sqe *entry = next_entry(c, SEND);
    uint64_t data = entry->user_data;
    io_uring_prep_send(entry, c->fd, c->buffer, bytes, MSG_NOSIGNAL | MSG_WAITALL);
    entry->user_data = data;
}

static void begin(int fd)
{
    struct connection *c = malloc(sizeof *c);
    if (c == NULL) {
        (void)close(fd);
        return;
    }
    c->fd = fd;
    ask_receive(c);
}

static void finish(struct connection *c)
{
    (void)close(c->fd);
    free(c);
}

static void handle(int listener, const struct io_uring_cqe *completion)
{
    enum kind kind = (enum kind)(completion->user_data & 3);
    struct connection *c = (struct connection *)(uintptr_t)(completion->user_data & ~(uint64_t)3);
    if (kind == ACCEPT) {
        if (completion->res >= 0) {
            begin(completion->res);
        }
        if ((completion->flags & IORING_CQE_F_MORE) == 0) {
            ask_accept(listener);
        }
    } else if (completion->res <= 0) {
        finish(c);
    } else if (kind == RECEIVE) {
        ask_send(c, (size_t)completion->res);
    } else {
        ask_receive(c);
    }
}

int echo_raw_uring(int listener)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL,
        .cq_entries = 2 * ENTRIES,
    };
    int rc = io_uring_queue_init_params(ENTRIES, &ring, &params);
    if (rc < 0) {
        return rc;
    }
    (void)io_uring_register_ring_fd(&ring);
    ask_accept(listener);
    for (;;) {
        (void)io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *completion;
        unsigned head;
        unsigned count = 0;
        io_uring_for_each_cqe(&ring, head, completion)
        {
            handle(listener, completion);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}

#else

int echo_raw_uring(int listener)
{
    (void)listener;
    return -ENOSYS;
}

#endif
