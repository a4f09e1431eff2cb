// SPDX-License-Identifier: MIT
/* httpd_buffer.c - the memory of a connection with a request under way.
 *
 * Why this way: an idle connection should cost its fiber's stack and nothing more, and a request no
 * malloc. So buffers are taken when bytes have come and given back when the answers are sent. */
#include "httpd.h"

#include <stdlib.h>

void pool_init(struct pool *pool)
{
    for (int i = 0; i < POOL_SHARDS; i++) {
        pthread_mutex_init(&pool->shards[i].lock, NULL);
        pool->shards[i].first = NULL;
        pool->shards[i].count = 0;
    }
}

void pool_free(struct pool *pool)
{
    for (int i = 0; i < POOL_SHARDS; i++) {
        struct pool_shard *shard = &pool->shards[i];
        while (shard->first != NULL) {
            struct buffer *buffer = shard->first;
            shard->first = buffer->next;
            free(buffer);
        }
        pthread_mutex_destroy(&shard->lock);
    }
}

static struct buffer *take_free(struct pool_shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    struct buffer *buffer = shard->first;
    if (buffer != NULL) {
        shard->first = buffer->next;
        shard->count--;
    }
    pthread_mutex_unlock(&shard->lock);
    return buffer;
}

struct buffer *buffer_take(struct pool *pool, unsigned shard, size_t head_bytes_max)
{
    struct buffer *buffer = take_free(&pool->shards[shard % POOL_SHARDS]);
    if (buffer == NULL) {
        size_t in_bytes = head_bytes_max + BODY_ROOM_BYTES;
        buffer = malloc(sizeof *buffer + in_bytes);
        if (buffer == NULL) {
            return NULL;
        }
        buffer->in_bytes = in_bytes;
        buffer->date_s = 0;
    }
    request_init(buffer);
    return buffer;
}

void buffer_give(struct pool *pool, unsigned shard_index, struct buffer *buffer)
{
    struct pool_shard *shard = &pool->shards[shard_index % POOL_SHARDS];
    pthread_mutex_lock(&shard->lock);
    bool is_kept = shard->count < POOL_KEPT_MAX;
    if (is_kept) {
        buffer->next = shard->first;
        shard->first = buffer;
        shard->count++;
    }
    pthread_mutex_unlock(&shard->lock);
    if (!is_kept) { /* a burst is over */
        free(buffer);
    }
}
