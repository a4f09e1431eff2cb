// SPDX-License-Identifier: MIT
/* deque.c - see deque.h for the argument. */
#include "queue/deque.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

static struct wf_ring *make_ring(uint64_t slots)
{
    struct wf_ring *ring = calloc(1, sizeof *ring + (size_t)slots * sizeof ring->slots[0]);
    if (ring != NULL) {
        ring->mask = slots - 1;
    }
    return ring;
}

static void put_ring(struct wf_deque *deque, struct wf_ring *ring)
{
    deque->slots = ring->slots;
    deque->mask = ring->mask;
    wf_store_rel(&deque->ring, ring);
}

int wf_deque_init(struct wf_deque *deque)
{
    struct wf_ring *ring = make_ring(WF_DEQUE_SLOTS);
    if (ring == NULL) {
        return -ENOMEM;
    }
    wf_store_rlx(&deque->bottom, 1);
    wf_store_rlx(&deque->top, 1);
    put_ring(deque, ring);
    deque->limit = 1 + WF_DEQUE_SLOTS;
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

bool wf_deque_look_for_room(struct wf_deque *deque)
{
    deque->limit = wf_load_acq(&deque->top) + deque->mask + 1;
    return wf_load_rlx(&deque->bottom) < deque->limit;
}

/* Same entries under the same indices. The old ring stays readable: a thief that holds it reads entries
 * that its CAS on top then validates. */
bool wf_deque_grow(struct wf_deque *deque)
{
    struct wf_ring *old = wf_load_rlx(&deque->ring); /* own */
    struct wf_ring *ring = make_ring((old->mask + 1) * 4);
    if (ring == NULL) {
        return false;
    }
    ring->older = old;
    uint64_t bottom = wf_load_rlx(&deque->bottom); /* own */
    for (uint64_t i = wf_load_acq(&deque->top); i < bottom; i++) {
        wf_store_rlx(&ring->slots[i & ring->mask], wf_load_rlx(&old->slots[i & old->mask]));
    }
    put_ring(deque, ring);
    return wf_deque_look_for_room(deque);
}

bool wf_deque_reserve(struct wf_deque *deque, uint32_t count)
{
    uint64_t used = wf_load_rlx(&deque->bottom) - wf_load_acq(&deque->top);
    while (used + count > deque->mask + 1) {
        if (!wf_deque_grow(deque)) {
            return false;
        }
    }
    return true;
}

uint64_t wf_deque_take(struct wf_deque *deque)
{
    uint64_t at;
    uint64_t entry;
    while ((entry = wf_deque_oldest(deque, &at)) != 0 && !wf_deque_take_at(deque, at, false)) {
    }
    return entry;
}

/* One by one: that nobody takes off the bottom what lies there is certain only for the entry at the top
 * that the fence separates from the look at bottom. */
uint32_t wf_deque_steal(struct wf_deque *deque, uint64_t *out, uint32_t cap)
{
    uint64_t top = wf_load_sc(&deque->top);
    uint32_t count = 0;
    uint64_t wanted = cap;
    wf_fence_full();
    while (count < wanted) {
        uint64_t bottom = wf_load_sc(&deque->bottom);
        if (bottom <= top) {
            break;
        }
        if (count == 0) {
            uint64_t half = (bottom - top + 1) / 2;
            wanted = half < cap ? half : cap;
        }
        struct wf_ring *ring = wf_load_acq(&deque->ring); /* at least as new as bottom */
        uint64_t entry = wf_load_rlx(&ring->slots[top & ring->mask]);
        if (!wf_cas_sc(&deque->top, &top, top + 1)) {
            break;
        }
        wf_fence_after_rmw();
        top++;
        out[count++] = entry;
    }
    return count;
}
