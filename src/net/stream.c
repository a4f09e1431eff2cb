// SPDX-License-Identifier: MIT
/* stream.c - opening and closing streams; who is inside; their buffers. */
#include "net/stream.h"

#include <stdlib.h>
#include <string.h>

#include "await/door.h"
#include "base/sized.h"

enum { DEFAULT_BYTES = 16 << 10 };

#define INSIDE \
    ((uint32_t)WF_STREAM_READING | (uint32_t)WF_STREAM_WRITING | (uint32_t)WF_STREAM_CLOSING)

/* ---- who is inside ---- */

static void release(struct wf_stream *s)
{
    uint32_t old = wf_or_acqrel(&s->state, (uint32_t)WF_STREAM_RELEASED);
    if ((old & WF_STREAM_RELEASED) != 0) {
        return;
    }
    wf_stream_free(&s->in);
    wf_stream_free(&s->out);
    free(wf_swap_acqrel(&s->spare, NULL));
    if (s->transport->release != NULL) {
        s->transport->release(s->context);
    }
}

ssize_t wf_stream_leave(struct wf_stream *s, uint32_t side, ssize_t rc)
{
    uint32_t old = wf_and_acqrel(&s->state, ~side);
    if (__builtin_expect((old & WF_STREAM_CLOSED) == 0, 1)) {
        return rc;
    }
    if ((old & INSIDE & ~side) == 0) {
        release(s);
    }
    return rc;
}

int wf_stream_hold(struct wf_stream *s, uint32_t side)
{
    uint32_t old = wf_or_acqrel(&s->state, side);
    if ((old & side) != 0) {
        return -EBUSY;
    }
    return (old & WF_STREAM_CLOSED) != 0 ? (int)wf_stream_leave(s, side, -EBADF) : 0;
}

int wf_stream_enter(struct wf_stream *s, uint32_t side, const char *call)
{
    int rc = 0;
    if (s == NULL) {
        return -EINVAL;
    }
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || s->transport == NULL) { /* zeroed memory was never opened */
        return worker == NULL ? rc : -EBADF;
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_stream_hold(s, side);
    if (rc < 0) {
        return rc;
    }
    rc = wf_door_enter_quickly(self, call);
    if (rc < 0) {
        (void)wf_stream_leave(s, side, 0);
    }
    return rc;
}

/* ---- buffers ---- */

void wf_stream_free(struct wf_stream_buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

int wf_stream_reserve(struct wf_stream_buffer *buffer, size_t least)
{
    if (buffer->room >= least) {
        return 0;
    }
    char *bytes = malloc(least);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    if (buffer->length > 0) {
        memcpy(bytes, buffer->bytes + buffer->first, buffer->length);
    }
    free(buffer->bytes);
    buffer->bytes = bytes;
    buffer->room = least;
    buffer->first = 0;
    return 0;
}

/* ---- opening and closing ---- */

static int open_on(weft_stream *stream, const weft_transport *transport, void *context,
                   const weft_stream_options *options)
{
    weft_stream_options given = {0};
    if (options != NULL) {
        if (!wf_size_is_known(options->size, sizeof given)) {
            return -EINVAL;
        }
        given = *options;
    }
    struct wf_stream *s = wf_stream_inside(stream);
    memset(stream, 0, sizeof *stream);
    s->transport = transport;
    s->context = context;
    s->read_room = given.read_bytes != 0 ? given.read_bytes : DEFAULT_BYTES;
    s->write_room = given.write_bytes != 0 ? given.write_bytes : DEFAULT_BYTES;
    return 0;
}

int weft_stream_open_on(weft_stream *stream, const weft_transport *transport, void *context,
                        const weft_stream_options *options)
{
    if (stream == NULL || transport == NULL ||
        !wf_size_is_known(transport->size, sizeof *transport)) {
        return -EINVAL;
    }
    return open_on(stream, transport, context, options);
}

int weft_stream_open(weft_stream *stream, int reader, int writer,
                     const weft_stream_options *options)
{
    if (stream == NULL || (reader < 0 && writer < 0)) {
        return stream == NULL ? -EINVAL : -EBADF;
    }
    int rc = open_on(stream, &wf_stream_plain, stream, options);
    if (rc == 0) {
        struct wf_stream *s = wf_stream_inside(stream);
        s->is_single = reader == writer;
        wf_store_rlx(&s->reader, reader);
        wf_store_rlx(&s->writer, writer);
    }
    return rc;
}

void weft_stream_close(weft_stream *stream)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL || s->transport == NULL) {
        return;
    }
    uint32_t closing = (uint32_t)WF_STREAM_CLOSED | (uint32_t)WF_STREAM_CLOSING;
    uint32_t old = wf_or_acqrel(&s->state, closing);
    if ((old & WF_STREAM_CLOSED) != 0) {
        if ((old & WF_STREAM_CLOSING) == 0) {
            (void)wf_stream_leave(s, WF_STREAM_CLOSING, 0);
        }
        return;
    }
    if ((old & INSIDE) != 0 && s->transport->hang_up != NULL) {
        s->transport->hang_up(s->context);
    }
    (void)wf_stream_leave(s, WF_STREAM_CLOSING, 0);
}
