// SPDX-License-Identifier: MIT
/* store.c - making, following and giving back chunks. */
#include "sync/store.h"

#include <errno.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 4096 };

static struct wf_place beginning(const struct wf_store *store, struct wf_chunk *chunk)
{
    return (struct wf_place){chunk->items, chunk->items + store->chunk_bytes};
}

static struct wf_chunk *make_chunk(const struct wf_store *store)
{
    size_t bytes;
    if (__builtin_add_overflow(sizeof(struct wf_chunk), store->chunk_bytes, &bytes)) {
        return NULL;
    }
    return malloc(bytes);
}

static int init_ring(struct wf_store *store, struct wf_place *in, struct wf_place *out,
                     size_t capacity)
{
    if (__builtin_mul_overflow(store->item_bytes, capacity, &store->chunk_bytes)) {
        return -ENOMEM;
    }
    struct wf_chunk *ring = make_chunk(store);
    if (ring == NULL) {
        return -ENOMEM;
    }
    ring->next = ring;
    store->newest = ring;
    store->oldest = ring;
    *in = beginning(store, ring);
    *out = *in;
    return 0;
}

int wf_store_init(struct wf_store *store, struct wf_place *in, struct wf_place *out,
                  size_t item_bytes, size_t capacity)
{
    memset(store, 0, sizeof *store);
    *in = (struct wf_place){NULL, NULL};
    *out = *in;
    store->item_bytes = item_bytes;
    if (capacity == SIZE_MAX) {
        size_t each = (CHUNK_BYTES - sizeof(struct wf_chunk)) / item_bytes;
        store->chunk_bytes = (each > 0 ? each : 1) * item_bytes;
        return 0;
    }
    return capacity == 0 ? 0 : init_ring(store, in, out, capacity);
}

/* One that has been read empty, whose reader has not moved on yet, before new memory. */
static struct wf_chunk *find_chunk(struct wf_store *store, struct wf_place *out)
{
    if (store->spare == NULL && store->oldest != store->newest && out->at == out->end) {
        wf_store_next_out(store, out);
    }
    struct wf_chunk *chunk = store->spare != NULL ? store->spare : make_chunk(store);
    store->spare = NULL;
    return chunk;
}

/* All chunks but the ring end in NULL. */
bool wf_store_next_in(struct wf_store *store, struct wf_place *in, struct wf_place *out)
{
    struct wf_chunk *newest = store->newest;
    if (newest != NULL && newest->next != NULL) {
        *in = beginning(store, newest->next);
        return true;
    }
    if (newest != NULL && newest == store->oldest && out->at == out->end) {
        *in = beginning(store, newest); /* the only one, and empty */
        *out = *in;
        return true;
    }
    struct wf_chunk *chunk = find_chunk(store, out);
    if (chunk == NULL) {
        return false;
    }
    chunk->next = NULL;
    *in = beginning(store, chunk);
    if (newest != NULL) {
        newest->next = chunk;
    } else {
        store->oldest = chunk;
        *out = *in;
    }
    store->newest = chunk;
    return true;
}

void wf_store_next_out(struct wf_store *store, struct wf_place *out)
{
    struct wf_chunk *empty = store->oldest;
    store->oldest = empty->next;
    *out = beginning(store, store->oldest);
    if (empty == store->oldest) {
        return; /* the ring */
    }
    if (store->spare == NULL) {
        store->spare = empty;
    } else {
        free(empty);
    }
}

void wf_store_end(struct wf_store *store, struct wf_place *out, size_t count,
                  void (*drop)(void *item))
{
    for (; drop != NULL && count > 0; count--) {
        if (out->at == out->end) {
            wf_store_next_out(store, out);
        }
        char *item = out->at;
        out->at += store->item_bytes;
        drop(item);
    }
    struct wf_chunk *chunk = store->oldest;
    bool is_last = chunk == NULL;
    while (!is_last) {
        struct wf_chunk *next = chunk->next;
        is_last = chunk == store->newest;
        free(chunk);
        chunk = next;
    }
    free(store->spare);
    memset(store, 0, sizeof *store);
}
