// SPDX-License-Identifier: MIT
/* plain.c - descriptors as the transport of a stream.
 *
 * Closed while somebody is inside, a socket is shut down first, which ends every wait on it, and keeps its
 * number until the last one has left. Other descriptors can't be shut down: weft_close wakes those who wait,
 * and whoever is just about to may find the number closed or somebody else's.
 */
#include <errno.h>
#include <sys/socket.h>

#include <weft/io.h>

#include "await/io.h"
#include "net/stream.h"
#include "poll/fake.h"

WF_ATTEMPT int shut_down(int fd, int how)
{
    return shutdown(fd, how) == 0 ? 0 : -errno;
}

/* Whoever takes it closes it. */
static void close_side(wf_aint *side)
{
    int fd = wf_swap_acqrel(side, -1);
    if (fd >= 0) {
        (void)weft_close(fd);
    }
}

static ssize_t plain_read(void *context, void *buffer, size_t length)
{
    struct wf_stream *s = context;
    int fd = wf_load_rlx(&s->reader);
    return fd >= 0 ? weft_read(fd, buffer, length) : -EBADF;
}

static ssize_t plain_write(void *context, const void *buffer, size_t length)
{
    struct wf_stream *s = context;
    int fd = wf_load_rlx(&s->writer);
    return fd >= 0 ? weft_write(fd, buffer, length) : -EBADF;
}

static int plain_wait(void *context)
{
    struct wf_stream *s = context;
    int fd = wf_load_rlx(&s->reader);
    int seen = fd >= 0 ? weft_wait_fd(fd, WEFT_READABLE) : -EBADF;
    return seen >= 0 || seen == -EPERM ? 0 : seen; /* what can't be polled is always ready */
}

static int plain_shut(void *context)
{
    struct wf_stream *s = context;
    if (!s->is_single) {
        close_side(&s->writer);
        return 0;
    }
    return weft_shutdown(wf_load_rlx(&s->writer), SHUT_WR);
}

static void plain_release(void *context)
{
    struct wf_stream *s = context;
    close_side(&s->reader);
    if (!s->is_single) {
        close_side(&s->writer);
    }
}

static void plain_hang_up(void *context)
{
    struct wf_stream *s = context;
    int fd = wf_load_rlx(&s->reader);
    if (!s->is_single || wf_fake_is_number(fd) || shut_down(fd, SHUT_RDWR) == -ENOTSOCK) {
        plain_release(context);
    }
}

const weft_transport wf_stream_plain = {
    .size = sizeof wf_stream_plain,
    .read = plain_read,
    .write = plain_write,
    .wait = plain_wait,
    .shut = plain_shut,
    .hang_up = plain_hang_up,
    .release = plain_release,
};
