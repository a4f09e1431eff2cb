// SPDX-License-Identifier: MIT
/* stream.h - the inside of a stream.
 *
 * What: two sides that share nothing but the transport and one word. The word says who is inside; whoever
 * closes marks it, and the last one to leave releases. So nothing is freed under somebody's feet, and
 * the number of a descriptor is not given back while a call may still use it.
 */
#ifndef WF_NET_STREAM_H
#define WF_NET_STREAM_H

#include <errno.h>

#include <weft/stream.h>

#include "base/atomic.h"

/* wf_stream.state */
enum {
    WF_STREAM_READING = 1,
    WF_STREAM_WRITING = 2,
    WF_STREAM_CLOSING = 4, /* somebody is inside weft_stream_close */
    WF_STREAM_CLOSED = 8,
    WF_STREAM_RELEASED = 16,
};

/* Bytes in memory that is taken when it is first needed. */
struct wf_stream_buffer {
    char *bytes;
    size_t room;
    size_t first;
    size_t length;
};

struct wf_stream {
    /* Set once by whoever opens it. */
    const weft_transport *transport;
    void *context;
    size_t read_room;
    size_t write_room;
    bool is_single; /* one descriptor for both sides */

    /* WF_STREAM_*: any thread, or and and (acq_rel: leaving hands the buffers to who enters next). */
    wf_au32 state;

    /* Of descriptors (plain.c): whoever swaps -1 in (acq_rel) closes; loaded (relaxed: own side). */
    wf_aint reader;
    wf_aint writer;

    /* The reading task's. */
    char apart[64];
    struct wf_stream_buffer in;
    int end; /* 0; 1: the end has been read; negative: the error that ended it */

    /* The writing task's. `out` has memory only while it holds bytes. */
    char further_apart[64];
    struct wf_stream_buffer out;
    uint64_t sent; /* bytes that the transport has taken */
    bool is_shut;

    /* Memory for `out` while that is empty: the writing task puts and takes it, the reading task takes it
     * to free it before it waits for long. All by swapping (acq_rel). */
    _Atomic(char *) spare;
};

_Static_assert(sizeof(struct wf_stream) <= sizeof(weft_stream), "weft_stream is too small");

static inline struct wf_stream *wf_stream_inside(const weft_stream *stream)
{
    return (struct wf_stream *)(uintptr_t)stream;
}

/* Begins a call of that side: 0; -EINVAL, -EPERM, -ECHILD, -EBUSY, -EBADF, -ECANCELED. May switch. */
int wf_stream_enter(struct wf_stream *stream, uint32_t side, const char *call);

/* The same without passing the door, also outside of fibers. */
int wf_stream_hold(struct wf_stream *stream, uint32_t side);

/* Ends it, and returns `rc`. The last one to leave a closed stream releases it. */
ssize_t wf_stream_leave(struct wf_stream *stream, uint32_t side, ssize_t rc);

/* What a transport's `rc` means: an end or an error that closing the stream has caused is -EBADF. */
static inline ssize_t wf_stream_outcome(struct wf_stream *stream, ssize_t rc)
{
    bool is_closed = rc <= 0 && (wf_load_acq(&stream->state) & WF_STREAM_CLOSED) != 0;
    return is_closed && rc != -ECANCELED ? -EBADF : rc;
}

static inline bool wf_stream_is_closed(struct wf_stream *stream)
{
    return (wf_load_acq(&stream->state) & WF_STREAM_CLOSED) != 0;
}

/* Room for at least `least` bytes in all, of which there may be some already. 0 or -ENOMEM. */
int wf_stream_reserve(struct wf_stream_buffer *buffer, size_t least);

void wf_stream_free(struct wf_stream_buffer *buffer);

/* Over the descriptors of the stream, which is the context. */
extern const weft_transport wf_stream_plain;

#endif
