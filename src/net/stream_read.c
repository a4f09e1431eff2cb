// SPDX-License-Identifier: MIT
/* stream_read.c - the reading side of a stream.
 *
 * A call first makes sure that the buffer holds all that it is about to give, and only then takes it out.
 * Hence nothing is lost, whatever ends the call before. Where more is asked for than the buffer holds, the
 * memory that a failure would need is taken first, and the bytes go straight to the caller: as long
 * as nothing fails, that memory is never touched.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/stream.h"

/* ---- getting ---- */

/* What the next call may find otherwise. */
static bool is_passing(ssize_t error)
{
    return error == -ECANCELED || error == -ENOMEM || error == -ENOBUFS || error == -EAGAIN ||
           error == -EBUSY || error == -EPERM;
}

/* Some bytes from the transport: how many, 0 at the end, or a negative errno. */
static ssize_t pull(struct wf_stream *s, void *bytes, size_t length)
{
    if (s->end != 0) {
        return s->end < 0 ? s->end : 0;
    }
    if (wf_stream_is_closed(s) || s->transport->read == NULL) {
        return -EBADF;
    }
    ssize_t n = wf_stream_outcome(s, s->transport->read(s->context, bytes, length));
    WF_ASSERT(n <= (ssize_t)length);
    if (n <= 0 && !is_passing(n)) {
        s->end = n == 0 ? 1 : (int)n;
    }
    return n;
}

/* Moves what there is to the front when little room is left behind it. */
static void make_room(struct wf_stream_buffer *in)
{
    size_t behind = in->room - in->first - in->length;
    if (in->length == 0) {
        in->first = 0;
    } else if (in->first > 0 && behind < in->room / 2) {
        memmove(in->bytes, in->bytes + in->first, in->length);
        in->first = 0;
    }
}

/* More into the buffer, which is not full: as pull. */
static ssize_t fill(struct wf_stream *s)
{
    struct wf_stream_buffer *in = &s->in;
    if (wf_stream_reserve(in, s->read_room) < 0) {
        return -ENOMEM;
    }
    make_room(in);
    size_t used = in->first + in->length;
    ssize_t n = pull(s, in->bytes + used, in->room - used);
    in->length += n > 0 ? (size_t)n : 0;
    return n;
}

/* At least `least` bytes, for which there is room: 0; -ENODATA: the end comes before; or another error. */
static int fill_to(struct wf_stream *s, size_t least)
{
    while (s->in.length < least) {
        ssize_t n = fill(s);
        if (n <= 0) {
            return n == 0 ? -ENODATA : (int)n;
        }
    }
    return 0;
}

/* ---- giving ---- */

static inline void skip(struct wf_stream *s, size_t length)
{
    struct wf_stream_buffer *in = &s->in;
    in->first += length;
    in->length -= length;
    if (in->length == 0 && WF_UNLIKELY(in->room > s->read_room)) {
        wf_stream_free(in); /* had grown for one call */
    }
}

static void take(struct wf_stream *s, void *bytes, size_t length)
{
    if (length > 0) {
        memcpy(bytes, s->in.bytes + s->in.first, length);
        skip(s, length);
    }
}

/* ---- some, exactly ---- */

static ssize_t read_some(struct wf_stream *s, void *buffer, size_t length)
{
    if (s->in.length == 0) {
        bool is_direct = length >= s->read_room;
        ssize_t n = is_direct ? pull(s, buffer, length) : fill(s);
        if (n <= 0 || is_direct) {
            return n;
        }
    }
    size_t count = length < s->in.length ? length : s->in.length;
    take(s, buffer, count);
    return (ssize_t)count;
}

ssize_t weft_stream_read(weft_stream *stream, void *buffer, size_t length)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL || (buffer == NULL && length > 0)) {
        return -EINVAL;
    }
    int rc = wf_stream_enter(s, &s->reading, __func__);
    if (rc < 0) {
        return rc;
    }
    return wf_stream_leave(s, &s->reading, length > 0 ? read_some(s, buffer, length) : 0);
}

/* Straight to the caller; a failure puts it into the buffer, where there is room for all of it. */
static int read_past(struct wf_stream *s, char *bytes, size_t length)
{
    struct wf_stream_buffer *in = &s->in;
    int rc = wf_stream_reserve(in, length);
    if (rc < 0) {
        return rc;
    }
    size_t had = in->length;
    size_t got = had;
    while (got < length) {
        ssize_t n = pull(s, bytes + got, length - got);
        if (n <= 0) {
            if (in->first > 0) {
                memmove(in->bytes, in->bytes + in->first, had);
                in->first = 0;
            }
            memcpy(in->bytes + had, bytes + had, got - had);
            in->length = got;
            skip(s, 0);
            return n == 0 ? -ENODATA : (int)n;
        }
        got += (size_t)n;
    }
    if (had > 0) {
        memcpy(bytes, in->bytes + in->first, had);
    }
    skip(s, had);
    return 0;
}

static int read_exactly(struct wf_stream *s, void *buffer, size_t length)
{
    if (length > s->read_room && length > s->in.length) {
        return read_past(s, buffer, length);
    }
    int rc = fill_to(s, length);
    if (rc == 0) {
        take(s, buffer, length);
    }
    return rc;
}

ssize_t weft_stream_read_exactly(weft_stream *stream, void *buffer, size_t length)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL || (buffer == NULL && length > 0) || length > SSIZE_MAX) {
        return -EINVAL;
    }
    int rc = wf_stream_enter(s, &s->reading, __func__);
    if (rc < 0) {
        return rc;
    }
    rc = read_exactly(s, buffer, length);
    return wf_stream_leave(s, &s->reading, rc < 0 ? rc : (ssize_t)length);
}

/* ---- up to a delimiter ---- */

struct delimiter {
    const void *bytes;
    size_t length;
};

/* How many of the first `size` bytes there are up to its end, 0 if it is not among them; those before
 * `seen` have been looked at. */
static size_t find(const struct wf_stream_buffer *in, size_t size, size_t seen,
                   const struct delimiter *delimiter)
{
    size_t end = in->length < size ? in->length : size;
    size_t from = seen >= delimiter->length ? seen - delimiter->length + 1 : 0;
    if (end <= from) {
        return 0;
    }
    const char *start = in->bytes + in->first;
    const char *at = delimiter->length == 1
                         ? memchr(start + from, *(const char *)delimiter->bytes, end - from)
                         : memmem(start + from, end - from, delimiter->bytes, delimiter->length);
    return at != NULL ? (size_t)(at - start) + delimiter->length : 0;
}

/* A full buffer becomes larger, up to `size`. */
static int grow(struct wf_stream *s, size_t size)
{
    struct wf_stream_buffer *in = &s->in;
    if (in->length < in->room || in->room == 0) {
        return 0;
    }
    return wf_stream_reserve(in, in->room < size / 2 ? in->room * 2 : size);
}

/* How many bytes there are up to the end of the delimiter, or why not; those before `seen` have been looked at. */
static ssize_t fill_until(struct wf_stream *s, size_t size, size_t seen,
                          const struct delimiter *delimiter)
{
    for (;;) {
        size_t found = find(&s->in, size, seen, delimiter);
        if (found > 0) {
            return (ssize_t)found;
        }
        if (s->in.length >= size) {
            return -EMSGSIZE;
        }
        seen = s->in.length;
        ssize_t n = grow(s, size);
        n = n == 0 ? fill(s) : n;
        if (n <= 0) {
            return n == 0 ? -ENODATA : n;
        }
    }
}

static ssize_t take_until(struct wf_stream *s, void *buffer, size_t size,
                          const struct delimiter *delimiter)
{
    ssize_t n = fill_until(s, size, 0, delimiter);
    if (n > 0) {
        take(s, buffer, (size_t)n);
    }
    return n;
}

ssize_t weft_stream_read_until(weft_stream *stream, void *buffer, size_t size,
                               const void *delimiter, size_t delimiter_length)
{
    struct wf_stream *s = wf_stream_inside(stream);
    struct delimiter end = {delimiter, delimiter_length};
    if (s == NULL || buffer == NULL || delimiter == NULL || delimiter_length == 0 ||
        size > SSIZE_MAX) {
        return -EINVAL;
    }
    int rc = wf_stream_enter(s, &s->reading, __func__);
    if (rc < 0) {
        return rc;
    }
    ssize_t n = take_until(s, buffer, size, &end);
    return wf_stream_leave(s, &s->reading, n);
}

/* `length` bytes with the "\n" at their end become a string without it. Returns its length. */
static inline ssize_t take_line(struct wf_stream *s, char *line, size_t length)
{
    const char *from = s->in.bytes + s->in.first;
    size_t count = length - 1;
    if (count > 0 && from[count - 1] == '\r') {
        count--;
    }
    memcpy(line, from, count);
    line[count] = '\0';
    skip(s, length);
    return (ssize_t)count;
}

/* None is among the first `size` bytes so far. */
static __attribute__((noinline)) ssize_t await_line(struct wf_stream *s, char *line, size_t size)
{
    static const struct delimiter end = {"\n", 1};
    ssize_t n = fill_until(s, size, s->in.length, &end);
    return wf_stream_leave(s, &s->reading, n > 0 ? take_line(s, line, (size_t)n) : n);
}

/* How many bytes of the buffer are its first line, if that has its end among the first `size`; else 0. */
static inline size_t find_line(const struct wf_stream_buffer *in, size_t size)
{
    const char *from = in->bytes + in->first;
    size_t length = in->length < size ? in->length : size;
    const char *end = length > 0 ? memchr(from, '\n', length) : NULL;
    return end != NULL ? (size_t)(end - from) + 1 : 0;
}

ssize_t weft_stream_read_line(weft_stream *stream, char *line, size_t size)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL || line == NULL || size == 0 || size > SSIZE_MAX) {
        return -EINVAL;
    }
    int rc = wf_stream_enter(s, &s->reading, __func__);
    if (rc < 0) {
        return rc;
    }
    size_t length = find_line(&s->in, size);
    if (WF_UNLIKELY(length == 0)) {
        return await_line(s, line, size);
    }
    return wf_stream_leave(s, &s->reading, take_line(s, line, length));
}

/* ---- looking ---- */

static ssize_t look(struct wf_stream *s, size_t least, const void **bytes)
{
    if (least > s->read_room && least > s->in.room) {
        return -EMSGSIZE;
    }
    int rc = fill_to(s, least > 0 ? least : 1);
    if (rc < 0) {
        return rc == -ENODATA && least <= 1 ? 0 : rc;
    }
    *bytes = s->in.bytes + s->in.first;
    return (ssize_t)s->in.length;
}

ssize_t weft_stream_peek(weft_stream *stream, size_t least, const void **bytes)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL || bytes == NULL) {
        return -EINVAL;
    }
    int rc = wf_stream_enter(s, &s->reading, __func__);
    if (rc < 0) {
        return rc;
    }
    return wf_stream_leave(s, &s->reading, look(s, least, bytes));
}

int weft_stream_skip(weft_stream *stream, size_t length)
{
    struct wf_stream *s = wf_stream_inside(stream);
    if (s == NULL) {
        return -EINVAL;
    }
    int rc = wf_stream_hold(s, &s->reading);
    if (rc < 0) {
        return rc;
    }
    rc = length <= s->in.length ? 0 : -EINVAL;
    if (rc == 0) {
        skip(s, length);
    }
    return (int)wf_stream_leave(s, &s->reading, rc);
}

size_t weft_stream_buffered(const weft_stream *stream)
{
    return stream != NULL ? wf_stream_inside(stream)->in.length : 0;
}

/* ---- waiting ---- */

static int await_bytes(struct wf_stream *s)
{
    if (s->transport->wait == NULL) {
        return -EOPNOTSUPP;
    }
    return (int)wf_stream_outcome(s, s->transport->wait(s->context));
}

int weft_stream_wait(weft_stream *stream)
{
    struct wf_stream *s = wf_stream_inside(stream);
    int rc = s == NULL ? -EINVAL : wf_stream_enter(s, &s->reading, __func__);
    if (rc < 0) {
        return rc;
    }
    if (s->in.length == 0 && s->end == 0) {
        wf_stream_free(&s->in);
        free(wf_swap_acqrel(&s->spare, NULL));
        rc = await_bytes(s);
    }
    return (int)wf_stream_leave(s, &s->reading, rc);
}
