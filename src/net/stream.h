// SPDX-License-Identifier: MIT
/* stream.h - the inside of a stream.
 *
 * What: two sides that share nothing but the transport and one word. Each side knows whether somebody is inside
 *       (stream_side.h); whoever closes marks the word, and the last one to leave releases. So nothing is freed under
 *       somebody's feet, and the number of a descriptor is not given back while a call may still use it.
 * How:  a call enters its side, then looks at the word: CLOSED is -EBADF. It leaves, and looks again. Whoever finds CLOSED
 *       after leaving passes a full fence and releases if nobody else is inside, or closing.
 *       Whoever closes sets CLOSED and CLOSING, then looks at the sides. One that is his own or free is calm: entering
 *       anew passes a full fence before its look, and finds CLOSED. If one is not, he has a heavy fence made: a call
 *       that has entered before it is seen to be inside, one that enters or leaves later sees CLOSED. Then he takes CLOSING
 *       away, and is one that leaves himself.
 *       So none is overlooked: calls that leave without a look at the sides did so before the heavy fence, and nobody
 *       releases before that, for CLOSING is set. Of the others, and the one who closes, the last sees that all have left.
 */
#ifndef WF_NET_STREAM_H
#define WF_NET_STREAM_H

#include <errno.h>
#include <weft/stream.h>

#include "await/door.h"
#include "net/stream_side.h"

/* wf_stream.state */
enum {
    WF_STREAM_CLOSING = 1, /* somebody is inside weft_stream_close */
    WF_STREAM_CLOSED = 2,
    WF_STREAM_RELEASED = 4,
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
    bool is_single;     /* one descriptor for both sides */
    bool is_asymmetric; /* as wf_fence_prepare said */

    /* WF_STREAM_*: any thread, or and and (acq_rel); loaded (acquire). */
    wf_au32 state;

    /* Of descriptors (plain.c): whoever swaps -1 in (acq_rel) closes; loaded (relaxed: own side). */
    wf_aint reader;
    wf_aint writer;

    /* The reading task's. */
    char apart[64];
    struct wf_side reading;
    struct wf_stream_buffer in;
    int end; /* 0; 1: the end has been read; negative: the error that ended it */

    /* The writing task's. `out` has memory only while it holds bytes. */
    char further_apart[64];
    struct wf_side writing;
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

static inline bool wf_stream_is_closed(struct wf_stream *stream)
{
    return WF_UNLIKELY((wf_load_acq(&stream->state) & WF_STREAM_CLOSED) != 0);
}

/* What a transport's `rc` means: an end or an error that closing the stream has caused is -EBADF. */
static inline ssize_t wf_stream_outcome(struct wf_stream *stream, ssize_t rc)
{
    bool is_closed = rc <= 0 && wf_stream_is_closed(stream);
    return is_closed && rc != -ECANCELED ? -EBADF : rc;
}

/* Somebody has left, and finds the stream closed: releases it if he was the last. */
void wf_stream_look_back(struct wf_stream *stream);

/* As wf_stream_hold, wf_stream_leave and wf_stream_enter, any way; the last one behind the door's short way. */
int wf_stream_hold_slowly(struct wf_stream *stream, struct wf_side *side);
void wf_stream_leave_slowly(struct wf_stream *stream, struct wf_side *side);
int wf_stream_enter_slowly(struct wf_stream *stream, struct wf_side *side, const char *call);
int wf_stream_pass(struct wf_stream *stream, struct wf_side *side, const char *call);

#define WF_STREAM_SHORT static inline __attribute__((always_inline))

/* Ends a call, and returns `rc`. The last one to leave a closed stream releases it. */
WF_STREAM_SHORT ssize_t wf_stream_leave(struct wf_stream *stream, struct wf_side *side, ssize_t rc)
{
    if (WF_UNLIKELY(!wf_side_leave_quickly(side))) {
        wf_stream_leave_slowly(stream, side);
        return rc;
    }
    wf_fence_light(true);
    if (wf_stream_is_closed(stream)) {
        wf_stream_look_back(stream);
    }
    return rc;
}

WF_STREAM_SHORT bool wf_stream_hold_quickly(struct wf_stream *stream, struct wf_side *side,
                                            const weft_task *self)
{
    if (!wf_side_enter_quickly(side, self)) {
        return false;
    }
    if (wf_stream_is_closed(stream)) {
        (void)wf_stream_leave(stream, side, 0);
        return false;
    }
    return true;
}

/* Begins a call without passing the door, also outside of fibers: 0, -EBUSY or -EBADF. */
static inline int wf_stream_hold(struct wf_stream *stream, struct wf_side *side)
{
    const weft_task *self = wf_load_rlx(&wf_here_quick()->running);
    return wf_stream_hold_quickly(stream, side, self) ? 0 : wf_stream_hold_slowly(stream, side);
}

/* Begins a call: 0; -EPERM, -ECHILD, -EBUSY, -EBADF, -ECANCELED. May switch. */
WF_STREAM_SHORT int wf_stream_enter(struct wf_stream *stream, struct wf_side *side,
                                    const char *call)
{
    weft_task *self = wf_load_rlx(&wf_here_quick()->running);
    if (WF_UNLIKELY(!wf_stream_hold_quickly(stream, side, self))) {
        return wf_stream_enter_slowly(stream, side, call);
    }
    return wf_door_pass(self) ? 0 : wf_stream_pass(stream, side, call);
}

/* Room for at least `least` bytes in all, of which there may be some already. 0 or -ENOMEM. */
int wf_stream_reserve(struct wf_stream_buffer *buffer, size_t least);

void wf_stream_free(struct wf_stream_buffer *buffer);

/* Over the descriptors of the stream, which is the context. */
extern const weft_transport wf_stream_plain;

#endif
