// SPDX-License-Identifier: MIT
/* store.h - where a queue's items lie.
 *
 * What: chunks of memory in a row, a place to write and a place to read. A bounded queue has one chunk of
 *       its capacity that follows itself, made once; an unbounded one has chunks of about 4 KiB, made as they
 *       are needed. One that has been read empty is kept for the next.
 * Why this way: no put copies what is there (a growing ring would), and one without memory leaves
 *       everything as it was. The two places are apart from the rest so that a queue can lay out what one
 *       put or get touches.
 * Threads: whoever holds the queue's lock.
 */
#ifndef WF_SYNC_STORE_H
#define WF_SYNC_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How an item is copied: those of the usual sizes by plain moves. */
enum wf_item_kind { WF_ITEM_BYTES = 0, WF_ITEM_4, WF_ITEM_8, WF_ITEM_16 };

struct wf_chunk {
    struct wf_chunk *next;
    _Alignas(max_align_t) char items[];
};

/* A place in a chunk, and where that chunk ends: at == end means that the next chunk comes first. */
struct wf_place {
    char *at;
    char *end;
};

struct wf_store {
    size_t item_bytes;
    size_t chunk_bytes;      /* of items in a chunk */
    struct wf_chunk *newest; /* written to; NULL: there has been no need yet */
    struct wf_chunk *oldest; /* read from */
    struct wf_chunk *spare;
};

/* `capacity` SIZE_MAX: unbounded; 0: nothing ever lies in it. 0 or -ENOMEM. */
int wf_store_init(struct wf_store *store, struct wf_place *in, struct wf_place *out,
                  size_t item_bytes, size_t capacity);

/* Calls drop(item) for the `count` items that are left, and frees the chunks. drop may be NULL. */
void wf_store_end(struct wf_store *store, struct wf_place *out, size_t count,
                  void (*drop)(void *item));

/* The slow halves of wf_store_put and wf_store_get. */
bool wf_store_next_in(struct wf_store *store, struct wf_place *in, struct wf_place *out);
void wf_store_next_out(struct wf_store *store, struct wf_place *out);

/* Where a place is at the end of its chunk: goes on at the beginning, if that is a ring, which has what comes next. One of
 * a queue for a single item comes there with each item. False: nothing has been done. */
static inline bool wf_store_turn(struct wf_chunk *chunk, struct wf_place *place)
{
    if (chunk == NULL || chunk->next != chunk) {
        return false;
    }
    place->at = chunk->items;
    return true;
}

static inline enum wf_item_kind wf_item_kind_of(size_t item_bytes)
{
    return item_bytes == 8    ? WF_ITEM_8
           : item_bytes == 4  ? WF_ITEM_4
           : item_bytes == 16 ? WF_ITEM_16
                              : WF_ITEM_BYTES;
}

/* Copies one item; returns its size. On the hot path: the store is read only for odd sizes. */
static inline size_t wf_item_copy(const struct wf_store *store, enum wf_item_kind kind, void *to,
                                  const void *from)
{
    switch (kind) {
    case WF_ITEM_8:
        __builtin_memcpy(to, from, 8);
        return 8;
    case WF_ITEM_4:
        __builtin_memcpy(to, from, 4);
        return 4;
    case WF_ITEM_16:
        __builtin_memcpy(to, from, 16);
        return 16;
    case WF_ITEM_BYTES:
        break;
    default:
        __builtin_unreachable(); /* no call where the kind is known not to be BYTES */
    }
    memcpy(to, from, store->item_bytes);
    return store->item_bytes;
}

/* Adds one item, for which there is room in the queue; its size, or 0 for no memory. */
static inline size_t wf_store_put(struct wf_store *store, enum wf_item_kind kind,
                                  struct wf_place *in, struct wf_place *out, const void *item)
{
    if (__builtin_expect(in->at == in->end, 0) && !wf_store_next_in(store, in, out)) {
        return 0;
    }
    size_t bytes = wf_item_copy(store, kind, in->at, item);
    in->at += bytes;
    return bytes;
}

/* Takes the oldest item, which is there; its size. */
static inline size_t wf_store_get(struct wf_store *store, enum wf_item_kind kind,
                                  struct wf_place *out, void *item)
{
    if (__builtin_expect(out->at == out->end, 0)) {
        wf_store_next_out(store, out);
    }
    size_t bytes = wf_item_copy(store, kind, item, out->at);
    out->at += bytes;
    return bytes;
}

#endif
