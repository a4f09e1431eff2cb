// SPDX-License-Identifier: MIT
/* httpd_request.c - bytes into requests, by llhttp.
 *
 * A head is kept in one piece, at most head_bytes_max long, so that the path can be pointed at
 * instead of copied. What is known of the body is its length: its bytes are dropped as they come.
 *
 *     in:  ... answered ...|begin  head, body so far  |parsed  not looked at  |filled      |in_bytes
 */
#include "httpd.h"

#include <string.h>
#include <strings.h>

static struct buffer *buffer_of(llhttp_t *parser)
{
    return parser->data;
}

/* ---- what llhttp calls; HPE_USER and HPE_PAUSED end llhttp_execute ---- */

static int on_begin(llhttp_t *parser)
{
    buffer_of(parser)->request.is_begun = true;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    struct request *request = &buffer_of(parser)->request;
    if (request->path == NULL) {
        request->path = at;
    }
    request->path_length += length; /* a later piece follows the earlier one in memory */
    return 0;
}

/* What follows the body has such lines too, but they are none of the head. */
static int on_field(llhttp_t *parser, const char *at, size_t length)
{
    struct request *request = &buffer_of(parser)->request;
    if (request->field_length == 0) {
        request->field = at;
    }
    request->field_length += length;
    return 0;
}

/* Of any case: a letter's is one bit. Every line of a head is asked, so no function is called for it. */
static bool is_host(const char *name, size_t length)
{
    static const char host[] = "host";
    const uint32_t lower = 0x20202020;
    uint32_t wanted;
    uint32_t word;
    if (length != sizeof word) {
        return false;
    }
    memcpy(&wanted, host, sizeof wanted);
    memcpy(&word, name, sizeof word);
    return (word | lower) == wanted;
}

static int on_field_complete(llhttp_t *parser)
{
    struct request *request = &buffer_of(parser)->request;
    request->hosts += !request->has_head && is_host(request->field, request->field_length);
    request->field_length = 0;
    return 0;
}

/* RFC 9112, 3.2: whoever speaks HTTP/1.1 names the host, and nobody names two. */
static bool is_host_clear(const struct request *request)
{
    return request->hosts == 1 || (request->hosts == 0 && request->is_http_1_0);
}

static void split_query(struct request *request)
{
    const char *mark = memchr(request->path, '?', request->path_length);
    if (mark != NULL) {
        request->query = mark + 1;
        request->query_length = request->path_length - (size_t)(mark + 1 - request->path);
        request->path_length = (size_t)(mark - request->path);
    }
}

/* "http://host/path", as proxies ask for it, means "/path". */
static void strip_authority(struct request *request)
{
    if (*request->path == '/') {
        return;
    }
    const char *end = request->path + request->path_length;
    const char *mark = memmem(request->path, request->path_length, "://", 3);
    if (mark != NULL) {
        const char *path = memchr(mark + 3, '/', (size_t)(end - mark - 3));
        request->path_length = path == NULL ? 1 : (size_t)(end - path);
        request->path = path == NULL ? mark + 1 : path; /* some '/' will do */
    }
}

static int on_head(llhttp_t *parser)
{
    struct buffer *buffer = buffer_of(parser);
    struct request *request = &buffer->request;
    request->has_head = true;
    request->method = llhttp_get_method(parser);
    request->is_http_1_0 = llhttp_get_http_minor(parser) == 0;
    if (request->path == NULL || !is_host_clear(request)) {
        return HPE_USER;
    }
    buffer->kept = (size_t)(request->path + request->path_length - buffer->in);
    split_query(request);
    strip_authority(request);
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    (void)at;
    buffer_of(parser)->request.body_bytes += length;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    /* There is nothing to upgrade to: an answer, and then no more requests. */
    buffer_of(parser)->request.keep_alive =
        llhttp_should_keep_alive(parser) != 0 && !llhttp_get_upgrade(parser);
    return HPE_PAUSED; /* one request at a time */
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* ---- the buffer ---- */

void request_init(struct buffer *buffer)
{
    buffer->begin = 0;
    buffer->parsed = 0;
    buffer->filled = 0;
    buffer->out_length = 0;
    llhttp_init(&buffer->parser, HTTP_REQUEST, &settings);
    buffer->parser.data = buffer;
    buffer->request = (struct request){0};
}

void request_end(struct buffer *buffer)
{
    llhttp_resume(&buffer->parser);
    buffer->begin = buffer->parsed;
    buffer->request = (struct request){0};
}

static enum parsed refuse(struct request *request, enum status status)
{
    request->refusal = status;
    return PARSED_REFUSED;
}

/* Announced or already sent. */
static bool is_body_too_large(const struct buffer *buffer, size_t max)
{
    bool is_announced = (buffer->parser.flags & F_CONTENT_LENGTH) != 0;
    return buffer->request.body_bytes > max ||
           (is_announced && buffer->parser.content_length > max - buffer->request.body_bytes);
}

enum parsed request_parse(struct buffer *buffer, const struct options *options)
{
    struct request *request = &buffer->request;
    if (buffer->parsed == buffer->filled && !request->is_begun) {
        return PARSED_NOTHING;
    }
    llhttp_errno_t result = llhttp_execute(&buffer->parser, buffer->in + buffer->parsed,
                                           buffer->filled - buffer->parsed);
    if (result == HPE_PAUSED) { /* by on_complete */
        buffer->parsed = (size_t)(llhttp_get_error_pos(&buffer->parser) - buffer->in);
    } else if (result == HPE_OK) {
        buffer->parsed = buffer->filled;
    } else {
        return refuse(request, STATUS_BAD_REQUEST);
    }
    if (request->has_head && is_body_too_large(buffer, options->body_bytes_max)) {
        return refuse(request, STATUS_BODY_TOO_LARGE);
    }
    if (result == HPE_PAUSED) {
        return PARSED_REQUEST;
    }
    return request->is_begun ? PARSED_PART : PARSED_NOTHING;
}

/* Moves the beginning of a head to the front. The parser has seen it elsewhere and starts again,
 * which happens at most once for a request. */
static void move_head(struct buffer *buffer, const struct options *options)
{
    size_t length = buffer->filled - buffer->begin;
    memmove(buffer->in, buffer->in + buffer->begin, length);
    buffer->begin = 0;
    buffer->parsed = 0;
    buffer->filled = length;
    buffer->request = (struct request){0};
    llhttp_reset(&buffer->parser);
    (void)request_parse(buffer, options); /* ends as it did before: more bytes are needed */
}

/* Once the head is complete only its path and query are needed, and the body is not. */
static void keep_path(struct buffer *buffer)
{
    struct request *request = &buffer->request;
    memmove(buffer->in, buffer->in + buffer->begin, buffer->kept - buffer->begin);
    request->path -= buffer->begin;
    if (request->query != NULL) {
        request->query -= buffer->begin;
    }
    buffer->kept -= buffer->begin;
    buffer->begin = 0;
    buffer->parsed = buffer->filled = buffer->kept;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t request_room(struct buffer *buffer, const struct options *options, char **room)
{
    size_t end = options->head_bytes_max;
    if (!buffer->request.is_begun) {
        buffer->begin = buffer->parsed = buffer->filled = 0;
    } else if (buffer->request.has_head) {
        keep_path(buffer);
        /* What follows the body may be the next head, for which the same limit holds. */
        end = buffer->kept + smaller(BODY_ROOM_BYTES, options->head_bytes_max);
    } else if (buffer->begin > 0) {
        move_head(buffer, options);
    }
    *room = buffer->in + buffer->filled;
    return end - smaller(buffer->filled, end);
}

/* A header line that says so; any blanks may stand before the value. */
static bool is_wish(const char *at, const char *end)
{
    static const char name[] = "expect:";
    static const char value[] = "100-continue";
    if ((size_t)(end - at) < sizeof name || strncasecmp(at, name, sizeof name - 1) != 0) {
        return false;
    }
    at += sizeof name - 1;
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    return (size_t)(end - at) >= sizeof value && strncasecmp(at, value, sizeof value - 1) == 0;
}

bool request_wants_continue(struct buffer *buffer)
{
    struct request *request = &buffer->request;
    if (!request->has_head || request->is_continued) {
        return false;
    }
    request->is_continued = true;
    if (request->is_http_1_0 || request->body_bytes > 0) {
        return false;
    }
    const char *at = buffer->in + buffer->begin;
    const char *end = buffer->in + buffer->filled;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if (is_wish(at, end)) {
            return true;
        }
    }
    return false;
}
