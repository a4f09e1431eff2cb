// SPDX-License-Identifier: MIT
/* slab.h - one mapping that holds up to 64 stacks, and what the kernel is told about it.
 *
 * What: mapping, guarding, dropping pages, building descriptors. Which stack is free is written
 *       here but decided in stack.c.
 * Why this way: what must be known about a free stack is kept in a few bit sets outside the
 *       mapping, because the pages of a free stack may be dropped: about 1.5 bytes a stack.
 * Threads: the bit sets under the depot's lock; the rest is set once.
 */
#ifndef WF_FIBER_SLAB_H
#define WF_FIBER_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "fiber/fiber.h"
#include "fiber/stack.h"

/* The class of a stack that has a mapping of its own. */
enum { WF_STACK_OWN = WF_STACK_CLASSES };

struct wf_slab {
    /* Set once. Bit i of a set is stack i, which begins at base + i * stride. */
    char *base;
    size_t stride;
    uint64_t all_bits;
    uint64_t guard_bits[WF_GUARD_CANARY + 1]; /* by enum wf_guard */
    uint8_t class_index;

    /* Under the depot's lock. dirty_bits is a part of free_bits. */
    struct wf_list link;
    uint64_t free_bits;  /* in the depot */
    uint64_t dirty_bits; /* with a descriptor and pages */
};

static inline unsigned wf_bits_count(uint64_t bits)
{
    if (bits == 0 || ~bits == 0) {
        return bits == 0 ? 0 : 64; /* most sets; else it is a call on many processors */
    }
    return (unsigned)__builtin_popcountll(bits);
}

static inline unsigned wf_bits_lowest(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

/* The smallest class whose stacks hold the promise; WF_STACK_OWN for the largest promises. */
unsigned wf_slab_class(size_t promise_bytes);

/* Maps a slab of free, clean stacks. NULL: no memory. promise_bytes matters for WF_STACK_OWN. */
struct wf_slab *wf_slab_map(unsigned class_index, size_t promise_bytes, enum wf_guard best_guard);

/* Unmaps a slab whose stacks are all free, and frees `slab`. False if the kernel can't (it would
 * have to split a mapping and has no room for another): nothing has changed then. */
bool wf_slab_unmap(struct wf_slab *slab);

/* Gets the first page of each of these stacks, by one system call: two thirds of what the faults cost. A hint. */
void wf_slab_populate(const struct wf_slab *slab, uint64_t bits);

/* Gives the pages of these free stacks back, by one system call where the kernel can. Their
 * guards stay, their descriptors do not. False if the kernel refused. */
bool wf_slab_drop(struct wf_slab *slab, uint64_t bits);

/* Where the descriptor of a stack is. */
struct wf_fiber *wf_slab_fiber(const struct wf_slab *slab, unsigned index);

/* Writes the descriptor of a clean stack: the first touch of its one page. */
struct wf_fiber *wf_slab_build(struct wf_slab *slab, unsigned index);

#endif
