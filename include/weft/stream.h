// SPDX-License-Identifier: MIT
/* stream.h - buffered reading and writing over descriptors, or over a transport of one's own.
 *
 *     weft_stream stream;
 *     int rc = weft_stream_open(&stream, fd, fd, NULL);          0: the stream owns fd from here on
 *     ssize_t n = weft_stream_read_line(&stream, line, sizeof line);
 *     rc = weft_stream_write(&stream, answer, length);
 *     rc = rc == 0 ? weft_stream_flush(&stream) : rc;
 *     weft_stream_close(&stream);
 *
 * Two tasks may use a stream at once: one reads, one writes. A second reader, or a second writer, gets
 * -EBUSY at once. Buffers are bounded, and taken when they are first needed.
 *
 * Cancellation. Every call looks for an undelivered request first. A reading call that fails, for whatever
 * reason, has consumed nothing: what it read before stays in the buffer, and the next call finds it. A
 * writing call that fails may have sent a part; weft_stream_written says how much of it was taken,
 * weft_stream_sent how much has left.
 */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN

/* What carries the bytes of a stream. The functions are called with the stream's `context`; `read` and
 * `write` may be under way at the same time, in two tasks. NULL where nothing is said means: as if it
 * did nothing and returned 0. */
typedef struct weft_transport {
    size_t size; /* sizeof(weft_transport), or 0 for the fields listed here */
    /* At least one byte and at most `length` (never 0); 0 at the end, or a negative errno. An await point:
     * entry rule and grant rule hold, so -ECANCELED means that no byte was taken away. NULL: -EBADF. */
    ssize_t (*read)(void *context, void *buffer, size_t length);
    /* Takes at least one byte and at most `length` (never 0), or a negative errno. An await point;
     * -ECANCELED means that no byte was taken over. After that, or another error, the next call may come
     * with other bytes. NULL: -EBADF. */
    ssize_t (*write)(void *context, const void *buffer, size_t length);
    /* Waits until `read` would return without waiting, as far as can be known. Returns 0 or a negative
     * errno. An await point. NULL: weft_stream_wait is -EOPNOTSUPP. */
    int (*wait)(void *context);
    /* Makes what `write` took leave, for transports that hold something back. Returns 0 or a negative
     * errno; repeated after -ECANCELED. An await point. */
    int (*flush)(void *context);
    /* Ends the sending side; everything has been flushed. Returns 0 or a negative errno; repeated after
     * -ECANCELED. An await point. NULL: -EOPNOTSUPP. */
    int (*shut)(void *context);
    /* The stream is closed while somebody is inside one of the calls above: makes them return soon, by
     * shutdown(2) for instance. Called at most once. Never waits. */
    void (*hang_up)(void *context);
    /* Closes descriptors and frees `context`. Called once, after the last call has returned, maybe by the
     * task that made that call. Never waits. */
    void (*release)(void *context);
} weft_transport;

/* Zero means the default throughout. */
typedef struct weft_stream_options {
    size_t size;        /* sizeof(weft_stream_options), or 0 for the fields listed here */
    size_t read_bytes;  /* of the read buffer; 0 = 16 KiB */
    size_t write_bytes; /* of the write buffer; 0 = 16 KiB */
} weft_stream_options;

/* Must not move or go away between opening it and the end of all calls on it. Zeroed memory is a closed stream. */
typedef struct weft_stream {
    uint64_t reserved[40];
} weft_stream;

/* Opens a stream on descriptors: sockets, pipes, terminals. `reader` and `writer` may be the same, -1
 * stands for a side that there is not. The stream owns them if this returns 0.
 * Returns 0, -EINVAL (NULL, bad option), -EBADF (both negative). Any thread; never switches. */
WEFT_API WEFT_NODISCARD int weft_stream_open(weft_stream *stream, int reader, int writer,
                                             const weft_stream_options *options);

/* The same over a transport. The structure must outlive the stream, which owns `context` if this returns
 * 0. Returns 0 or -EINVAL. Any thread; never switches. */
WEFT_API WEFT_NODISCARD int weft_stream_open_on(weft_stream *stream,
                                                const weft_transport *transport, void *context,
                                                const weft_stream_options *options);

/* Closes descriptors and frees buffers. What was written but not flushed is dropped. Somebody inside a
 * call on the stream gets -EBADF; its memory must stay until all such calls have returned, and no call
 * may begin after this one. A socket keeps its number until then; another descriptor is closed at once:
 * where other workers may be about to use it, end those tasks first. Never refused; no await point. Any
 * thread. Does nothing for NULL, and for a stream that is closed. */
WEFT_API void weft_stream_close(weft_stream *stream);

/* ---- reading ----
 *
 * All of them are await points for fibers, and return, where nothing else is said, a negative errno with
 * nothing consumed: -ECANCELED; -EBUSY (another task reads); -EBADF (closed meanwhile, or no such side);
 * -ENOMEM; -EPERM; -EINVAL; and what the descriptor says, from then on every time. What was buffered
 * before the end or an error is returned first. */

/* Some bytes: at least one, unless `length` is 0. Returns how many, 0 at the end. */
WEFT_API WEFT_NODISCARD ssize_t weft_stream_read(weft_stream *stream, void *buffer, size_t length);

/* `length` bytes, which may be more than the buffer holds. Returns `length`; -ENODATA: the end comes
 * before that, and what there is stays to be read. `buffer` is written to even if the call fails. */
WEFT_API WEFT_NODISCARD ssize_t weft_stream_read_exactly(weft_stream *stream, void *buffer,
                                                         size_t length);

/* All up to and with the first `delimiter`. Returns how many bytes, with the delimiter's; -EMSGSIZE: it
 * is not among the first `size` ones; -ENODATA: the end comes before it. Where `size` is larger than the
 * read buffer, that grows for as long as it has to. */
WEFT_API WEFT_NODISCARD ssize_t weft_stream_read_until(weft_stream *stream, void *buffer,
                                                       size_t size, const void *delimiter,
                                                       size_t delimiter_length);

/* A line that ends with "\n" or "\r\n", without that, as a string. Returns its length; -EMSGSIZE: it does
 * not fit into `size` with its end; -ENODATA: the end comes before that of a line. */
WEFT_API WEFT_NODISCARD ssize_t weft_stream_read_line(weft_stream *stream, char *line, size_t size);

/* A look at the buffer: waits until it holds at least `least` bytes, or 1 for 0, and sets *bytes to them;
 * they stay valid until the next reading call. Returns how many there are; 0: none, and the end;
 * -EMSGSIZE: more than the buffer can hold; -ENODATA: the end comes before that. */
WEFT_API WEFT_NODISCARD ssize_t weft_stream_peek(weft_stream *stream, size_t least,
                                                 const void **bytes);

/* Drops the first `length` bytes of the buffer, after weft_stream_peek. Returns 0, -EINVAL (there are not
 * so many), -EBUSY. By the reading task; no await point. */
WEFT_API int weft_stream_skip(weft_stream *stream, size_t length);

/* Waits until there is something to read, or the end. A stream whose buffers are empty holds no memory
 * while it waits here: for connections that are silent for long. Returns 0. */
WEFT_API WEFT_NODISCARD int weft_stream_wait(weft_stream *stream);

/* How many bytes wait in the read buffer; 0 for NULL. By the reading task; never switches. */
WEFT_API size_t weft_stream_buffered(const weft_stream *stream);

/* ---- writing ----
 *
 * Await points for fibers: 0, or -ECANCELED, -EBUSY (another task writes), -EBADF, -ENOMEM, -EPERM,
 * -EINVAL, and what the descriptor says; -EPIPE without a signal. */

/* Takes all of `bytes`, into the buffer or further; waits where the peer is slower. */
WEFT_API WEFT_NODISCARD int weft_stream_write(weft_stream *stream, const void *bytes,
                                              size_t length);

/* Sends what the buffer holds. After a failure the rest is still there. */
WEFT_API WEFT_NODISCARD int weft_stream_flush(weft_stream *stream);

/* Flushes, and ends the sending side: the peer reads the end, this side can go on reading. Writing is
 * -EPIPE afterwards. May be repeated after a failure. */
WEFT_API WEFT_NODISCARD int weft_stream_shut(weft_stream *stream);

/* How many bytes have left since the stream was opened, and how many were taken: those and what waits in
 * the buffer. By the writing task, also after a failure:
 *
 *     uint64_t start = weft_stream_written(&stream);
 *     int rc = answer(&stream);
 *     if (rc < 0 && weft_stream_sent(&stream) > start) the answer has begun: only closing is left
 *     if (rc < 0 && weft_stream_sent(&stream) <= start) weft_stream_unwrite and answer something else
 */
WEFT_API uint64_t weft_stream_sent(const weft_stream *stream);
WEFT_API uint64_t weft_stream_written(const weft_stream *stream);

/* Takes back what was taken after weft_stream_written returned `mark`. Returns 0; -EALREADY, and nothing
 * is changed, when some of it has left; -EINVAL (a mark in the future), -EBUSY. By the writing task; no
 * await point. */
WEFT_API int weft_stream_unwrite(weft_stream *stream, uint64_t mark);

WEFT_END

#endif
