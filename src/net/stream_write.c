// SPDX-License-Identifier: MIT
/* stream_write.c - the writing side of a stream.
 *
 * Two numbers say where it stands: how many bytes the transport has taken, and how many wait in the buffer.
 * Both are right at every moment at which a call can fail, so the caller always knows what has left.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/stream.h"

/* ---- sending ---- */

/* Some of `bytes` to the transport: how many, or a negative errno. */
static ssize_t push(struct wf_stream *s, const void *bytes, size_t length)
{
    if (wf_stream_is_closed(s) || s->transport->write == NULL) {
        return -EBADF;
    }
    ssize_t n = wf_stream_outcome(s, s->transport->write(s->context, bytes, length));
    WF_ASSERT(n != 0 && n <= (ssize_t)length);
    s->sent += n > 0 ? (uint64_t)n : 0;
    return n;
}

/* Its memory waits for the next bytes, where the other side can get at it. */
static void put_aside(struct wf_stream *s)
{
    free(wf_swap_acqrel(&s->spare, s->out.bytes));
    memset(&s->out, 0, sizeof s->out);
}

/* Until the buffer is empty: 0 or a negative errno. */
static int drain(struct wf_stream *s)
{
    struct wf_stream_buffer *out = &s->out;
    while (out->length > 0) {
        ssize_t n = push(s, out->bytes + out->first, out->length);
        if (n < 0) {
            return (int)n;
        }
        out->first += (size_t)n;
        out->length -= (size_t)n;
    }
    if (out->bytes != NULL) {
        put_aside(s);
    }
    return 0;
}

/* ---- taking ---- */

static int have_memory(struct wf_stream *s)
{
    struct wf_stream_buffer *out = &s->out;
    if (out->bytes != NULL) {
        return 0;
    }
    out->bytes = wf_swap_acqrel(&s->spare, NULL);
    if (out->bytes != NULL) {
        out->room = s->write_room;
        return 0;
    }
    return wf_stream_reserve(out, s->write_room);
}

/* As many of `bytes` as there is room for. */
static size_t put(struct wf_stream *s, const char *bytes, size_t length)
{
    struct wf_stream_buffer *out = &s->out;
    if (out->first > 0 && out->room - out->first - out->length < length) {
        memmove(out->bytes, out->bytes + out->first, out->length);
        out->first = 0;
    }
    size_t behind = out->room - out->first - out->length;
    size_t count = length < behind ? length : behind;
    memcpy(out->bytes + out->first + out->length, bytes, count);
    out->length += count;
    return count;
}

/* What fits behind the rest. */
static inline bool put_quickly(struct wf_stream *s, const char *bytes, size_t length)
{
    struct wf_stream_buffer *out = &s->out;
    size_t used = out->first + out->length;
    if (WF_UNLIKELY(length > out->room - used) || WF_UNLIKELY(length == 0)) {
        return false;
    }
    memcpy(out->bytes + used, bytes, length);
    out->length += length;
    return true;
}

/* What would fill the buffer anyway does not go through it. */
static int write_all(struct wf_stream *s, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n;
        if (s->out.length == 0 && length >= s->write_room) {
            n = push(s, bytes, length);
        } else {
            n = have_memory(s);
            n = n < 0 ? n : (ssize_t)put(s, bytes, length);
        }
        if (n < 0) {
            return (int)n;
        }
        bytes += n;
        length -= (size_t)n;
        int rc = length > 0 && s->out.length > 0 ? drain(s) : 0;
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* More than fits. */
static __attribute__((noinline)) int write_further(struct wf_stream *s, const void *bytes,
                                                   size_t length)
{
    int rc = s->is_shut ? -EPIPE : write_all(s, bytes, length);
    return (int)wf_stream_leave(s, &s->writing, rc);
}

int weft_stream_write(weft_stream *stream, const void *bytes, size_t length)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL || (bytes == NULL && length > 0)) {
        return -EINVAL;
    }
    int rc = wf_stream_enter(s, &s->writing, __func__);
    if (rc < 0) {
        return rc;
    }
    if (WF_UNLIKELY(s->is_shut) || !put_quickly(s, bytes, length)) {
        return write_further(s, bytes, length);
    }
    return (int)wf_stream_leave(s, &s->writing, 0);
}

/* ---- sending the rest ---- */

static int flush(struct wf_stream *s)
{
    int rc = drain(s);
    if (rc == 0 && s->transport->flush != NULL && !s->is_shut) {
        rc = (int)wf_stream_outcome(s, s->transport->flush(s->context));
    }
    return rc;
}

int weft_stream_flush(weft_stream *stream)
{
    struct wf_stream *s = wf_stream_inside(stream);
    int rc = s == NULL ? -EINVAL : wf_stream_enter(s, &s->writing, __func__);
    return rc < 0 ? rc : (int)wf_stream_leave(s, &s->writing, flush(s));
}

static int shut(struct wf_stream *s)
{
    if (s->is_shut) {
        return 0;
    }
    int rc = flush(s);
    if (rc == 0) {
        rc = s->transport->shut == NULL ? -EOPNOTSUPP : s->transport->shut(s->context);
    }
    s->is_shut = rc == 0;
    return rc;
}

int weft_stream_shut(weft_stream *stream)
{
    struct wf_stream *s = wf_stream_inside(stream);
    int rc = s == NULL ? -EINVAL : wf_stream_enter(s, &s->writing, __func__);
    return rc < 0 ? rc : (int)wf_stream_leave(s, &s->writing, shut(s));
}

/* ---- how far it has come ---- */

uint64_t weft_stream_sent(const weft_stream *stream)
{
    return stream != NULL ? wf_stream_inside(stream)->sent : 0;
}

uint64_t weft_stream_written(const weft_stream *stream)
{
    const struct wf_stream *s = wf_stream_inside(stream);
    return s != NULL ? s->sent + s->out.length : 0;
}

static int take_back(struct wf_stream *s, uint64_t mark)
{
    if (mark > s->sent + s->out.length) {
        return -EINVAL;
    }
    if (mark < s->sent) {
        return -EALREADY;
    }
    s->out.length = (size_t)(mark - s->sent);
    return 0;
}

int weft_stream_unwrite(weft_stream *stream, uint64_t mark)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL) {
        return -EINVAL;
    }
    int rc = wf_stream_hold(s, &s->writing);
    return rc < 0 ? rc : (int)wf_stream_leave(s, &s->writing, take_back(s, mark));
}
