// SPDX-License-Identifier: MIT
/* stream.c - opening and closing streams; who is inside; their buffers. */
#include "net/stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/sized.h"

enum { DEFAULT_BYTES = 16 << 10 };

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

void wf_stream_look_back(struct wf_stream *s)
{
    wf_fence_full();
    if ((wf_load_acq(&s->state) & WF_STREAM_CLOSING) == 0 && !wf_side_is_inside(&s->reading) &&
        !wf_side_is_inside(&s->writing)) {
        release(s);
    }
}

void wf_stream_leave_slowly(struct wf_stream *s, struct wf_side *side)
{
    wf_side_leave(side, wf_self_on(wf_here()));
    wf_fence_light(s->is_asymmetric);
    if (wf_stream_is_closed(s)) {
        wf_stream_look_back(s);
    }
}

/* Who was about to enter, and did not, may have been seen to be inside, too. */
int wf_stream_hold_slowly(struct wf_stream *s, struct wf_side *side)
{
    if (s->transport == NULL) { /* zeroed memory was never opened, and its sides are nobody's */
        return -EBADF;
    }
    int rc = wf_side_enter(side, wf_self_on(wf_here()));
    if (wf_stream_is_closed(s)) {
        if (rc < 0) {
            wf_stream_look_back(s);
        } else {
            rc = -EBADF;
            wf_stream_leave_slowly(s, side);
        }
    }
    return rc;
}

int wf_stream_pass(struct wf_stream *s, struct wf_side *side, const char *call)
{
    int rc = wf_door_enter_quickly(wf_self_on(wf_here()), call);
    return rc < 0 ? (int)wf_stream_leave(s, side, rc) : rc;
}

int wf_stream_enter_slowly(struct wf_stream *s, struct wf_side *side, const char *call)
{
    int rc = 0;
    if (wf_fiber_worker(&rc) == NULL) {
        return rc;
    }
    rc = wf_stream_hold_slowly(s, side);
    return rc < 0 ? rc : wf_stream_pass(s, side, call);
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

static bool can_fence;

static void prepare(void)
{
    can_fence = wf_fence_prepare();
}

static int open_on(weft_stream *stream, const weft_transport *transport, void *context,
                   const weft_stream_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    weft_stream_options given = {0};
    if (options != NULL) {
        if (!wf_size_is_known(options->size, sizeof given)) {
            return -EINVAL;
        }
        given = *options;
    }
    struct wf_stream *s = wf_stream_inside(stream);
    (void)pthread_once(&once, prepare);
    memset(stream, 0, sizeof *stream);
    s->is_asymmetric = can_fence;
    s->reading.is_nobodys = !can_fence;
    s->writing.is_nobodys = !can_fence;
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

/* Is somebody inside? Who enters from here on finds the stream closed. */
static bool is_in_use(struct wf_stream *s)
{
    const weft_task *self = wf_self_on(wf_here());
    if (wf_side_is_calm(&s->reading, self) && wf_side_is_calm(&s->writing, self)) {
        return false;
    }
    if (s->is_asymmetric) {
        (void)wf_fence_all();
    }
    return wf_side_is_inside(&s->reading) || wf_side_is_inside(&s->writing);
}

void weft_stream_close(weft_stream *stream)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL || s->transport == NULL) {
        return;
    }
    uint32_t is_open = 0;
    if (!wf_cas_acqrel(&s->state, &is_open,
                       (uint32_t)WF_STREAM_CLOSED | (uint32_t)WF_STREAM_CLOSING)) {
        return;
    }
    wf_fence_after_rmw();
    if (is_in_use(s) && s->transport->hang_up != NULL) {
        s->transport->hang_up(s->context);
    }
    (void)wf_and_acqrel(&s->state, ~(uint32_t)WF_STREAM_CLOSING);
    wf_stream_look_back(s);
}
