// SPDX-License-Identifier: MIT
/* buffer.c - bytes that wait: between OpenSSL and the socket.
 *
 * Why the memory goes when the last byte does: a connection that is silent should cost what OpenSSL
 * needs and no more; taking it again costs nothing beside encrypting a record. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls.h"

int wf_tls_buffer_reserve(struct wf_tls_buffer *buffer, size_t length)
{
    if (buffer->capacity - buffer->end >= length) {
        return 0;
    }
    size_t count = wf_tls_buffer_count(buffer);
    if (count > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->begin, count);
    }
    buffer->begin = 0;
    buffer->end = count;
    if (buffer->capacity - count >= length) {
        return 0;
    }
    size_t capacity = buffer->capacity * 2 > count + length ? buffer->capacity * 2 : count + length;
    char *bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 0;
}

void wf_tls_buffer_drop(struct wf_tls_buffer *buffer, size_t length)
{
    buffer->begin += length;
    if (buffer->begin == buffer->end) {
        free(buffer->bytes);
        *buffer = (struct wf_tls_buffer){0};
    }
}

void wf_tls_buffer_swap(struct wf_tls_buffer *a, struct wf_tls_buffer *b)
{
    struct wf_tls_buffer other = *a;
    *a = *b;
    *b = other;
}
