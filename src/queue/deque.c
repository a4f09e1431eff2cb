// SPDX-License-Identifier: MIT
/* deque.c - see deque.h for the argument. */
#include "queue/deque.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

enum { FIRST_SLOTS = 256 };

static struct wf_ring *make_ring(uint64_t slots)
{
    struct wf_ring *ring = malloc(sizeof *ring + (size_t)slots * sizeof ring->slots[0]);
    if (ring != NULL) {
        ring->older = NULL;
        ring->mask = slots - 1;
    }
    return ring;
}

int wf_deque_init(struct wf_deque *deque)
{
    struct wf_ring *ring = make_ring(FIRST_SLOTS);
    if (ring == NULL) {
        return -ENOMEM;
    }
    wf_store_rlx(&deque->bottom, 0);
    wf_store_rlx(&deque->top, 0);
    wf_store_rel(&deque->ring, ring);
    return 0;
}

void wf_deque_destroy(struct wf_deque *deque)
{
    struct wf_ring *ring = wf_load_acq(&deque->ring);
    while (ring != NULL) {
        struct wf_ring *older = ring->older;
        free(ring);
        ring = older;
    }
    wf_store_rlx(&deque->ring, NULL);
}

/* Twice the slots, same entries under the same indices. The old ring stays readable: a thief that
 * holds it reads entries that its CAS on top then validates. */
static struct wf_ring *grow(struct wf_deque *deque, struct wf_ring *old, uint64_t top,
                            uint64_t bottom)
{
    struct wf_ring *ring = make_ring((old->mask + 1) * 2);
    if (ring == NULL) {
        return NULL;
    }
    ring->older = old;
    for (uint64_t i = top; i < bottom; i++) {
        wf_store_rlx(&ring->slots[i & ring->mask], wf_load_rlx(&old->slots[i & old->mask]));
    }
    wf_store_rel(&deque->ring, ring);
    return ring;
}

bool wf_deque_push(struct wf_deque *deque, uint64_t entry)
{
    WF_ASSERT(entry != 0);
    uint64_t bottom = wf_load_rlx(&deque->bottom); /* own */
    uint64_t top = wf_load_acq(&deque->top);
    struct wf_ring *ring = wf_load_rlx(&deque->ring); /* own */
    if (__builtin_expect(bottom - top > ring->mask, 0)) {
        ring = grow(deque, ring, top, bottom);
        if (ring == NULL) {
            return false;
        }
    }
    wf_store_rlx(&ring->slots[bottom & ring->mask], entry);
    wf_store_rel(&deque->bottom, bottom + 1);
    return true;
}

uint64_t wf_deque_take(struct wf_deque *deque)
{
    uint64_t bottom = wf_load_rlx(&deque->bottom);    /* own */
    struct wf_ring *ring = wf_load_rlx(&deque->ring); /* own */
    uint64_t top = wf_load_acq(&deque->top);
    while (top < bottom) {
        uint64_t entry = wf_load_rlx(&ring->slots[top & ring->mask]);
        if (wf_cas_acqrel(&deque->top, &top, top + 1)) {
            return entry;
        }
    }
    return 0;
}

uint32_t wf_deque_steal(struct wf_deque *deque, uint64_t *out, uint32_t cap)
{
    uint64_t top = wf_load_acq(&deque->top);
    uint64_t bottom = wf_load_acq(&deque->bottom);
    if (bottom <= top) {
        return 0;
    }
    struct wf_ring *ring = wf_load_acq(&deque->ring); /* at least as new as bottom */
    uint64_t half = (bottom - top + 1) / 2;
    uint32_t count = half < cap ? (uint32_t)half : cap;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = wf_load_rlx(&ring->slots[(top + i) & ring->mask]);
    }
    return wf_cas_acqrel(&deque->top, &top, top + count) ? count : 0;
}
