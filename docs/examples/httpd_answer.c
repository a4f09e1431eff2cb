// SPDX-License-Identifier: MIT
/* httpd_answer.c - answers into bytes.
 *
 * Why by memcpy: this runs for every request, and printf would cost more than all the rest. */
#include "httpd.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_BYTES_MAX = 320 }; /* of an answer: status line, headers, empty line */

static const char *const status_texts[STATUS_COUNT] = {
    [STATUS_OK] = "200 OK",
    [STATUS_BAD_REQUEST] = "400 Bad Request",
    [STATUS_NOT_FOUND] = "404 Not Found",
    [STATUS_METHOD_NOT_ALLOWED] = "405 Method Not Allowed",
    [STATUS_REQUEST_TIMEOUT] = "408 Request Timeout",
    [STATUS_BODY_TOO_LARGE] = "413 Content Too Large",
    [STATUS_HEAD_TOO_LARGE] = "431 Request Header Fields Too Large",
    [STATUS_INTERNAL_ERROR] = "500 Internal Server Error",
    [STATUS_UNAVAILABLE] = "503 Service Unavailable",
};

const char *status_text(enum status status)
{
    return status_texts[status];
}

void answer_print(struct answer *answer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(answer->body, sizeof answer->body, format, arguments);
    va_end(arguments);
    answer->length = length < 0 ? 0 : (size_t)length;
    if (answer->length >= sizeof answer->body) {
        answer->length = sizeof answer->body - 1;
    }
}

static char *put(char *at, const char *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

/* Once a second and buffer: a request only compares the second. */
static char *put_date(char *at, struct buffer *buffer)
{
    time_t now_s = time(NULL);
    if (buffer->date_s != now_s) {
        struct tm parts;
        gmtime_r(&now_s, &parts);
        strftime(buffer->date, sizeof buffer->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        buffer->date_s = now_s;
    }
    return put(PUT(at, "\r\nDate: "), buffer->date, sizeof "Thu, 01 Jan 1970 00:00:00 GMT" - 1);
}

static char *put_number(char *at, size_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[sizeof digits - ++count] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return put(at, digits + sizeof digits - count, count);
}

static char *put_connection(char *at, const struct request *request, bool keep_alive)
{
    if (!keep_alive) {
        return PUT(at, "\r\nConnection: close");
    }
    if (request->is_http_1_0) {
        return PUT(at, "\r\nConnection: keep-alive");
    }
    return at; /* what HTTP/1.1 takes for granted */
}

bool answer_append(struct buffer *buffer, const struct answer *answer, bool keep_alive)
{
    if (buffer->out_length + HEAD_BYTES_MAX + ANSWER_BODY_MAX > OUT_BYTES) {
        return false;
    }
    const char *status = status_texts[answer->status];
    char *at = PUT(buffer->out + buffer->out_length, "HTTP/1.1 ");
    at = put(at, status, strlen(status));
    at = put_date(at, buffer);
    at = PUT(at, "\r\nContent-Type: text/plain\r\nContent-Length: ");
    at = put_number(at, answer->length);
    if (answer->status == STATUS_METHOD_NOT_ALLOWED) {
        at = PUT(at, "\r\nAllow: GET, HEAD, POST");
    }
    at = put_connection(at, &buffer->request, keep_alive);
    at = PUT(at, "\r\n\r\n");
    if (buffer->request.method != HTTP_HEAD) {
        at = put(at, answer->body, answer->length);
    }
    buffer->out_length = (size_t)(at - buffer->out);
    return true;
}
