// SPDX-License-Identifier: MIT
/* slab.c - stacks side by side in one lazily committed mapping.
 *
 *     base + i * stride                                              base + (i + 1) * stride
 *     | guard | lo ................ frames grow down ............ hi | descriptor | colour |
 *
 * Why this way: two things keep stacks from getting into each other's way in the processor's
 *       caches. The stride is a power of two and one page: with exactly a power of two the top
 *       pages of all stacks would share a few entries of the address translation cache (1024
 *       fibers in turn: 23 ns a visit against 13). And the top is lowered by 0 to 15 cache lines,
 *       for lines at the same place in every page share a few ways of the first cache (16 fibers:
 *       9.7 ns against 4.3). Huge pages are refused: they would commit two mebibytes for eight
 *       parked fibers.
 */
#include "fiber/slab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/advise.h"
#include "fiber/guard.h"
#include "fiber/hooks.h"

enum {
    LINE_BYTES = 64,
    COLOURS = 16,
    DESCRIPTOR_BYTES = (sizeof(struct wf_fiber) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES,
    TOP_BYTES = DESCRIPTOR_BYTES + (COLOURS - 1) * LINE_BYTES,
};

#define CLASSED_MAX ((size_t)8 << 20) /* the largest promise that is cached */

_Static_assert(LINE_BYTES % 16 == 0, "hi must be aligned for the first frame");

/* Stacks per slab: 16 MiB of address space, more where that would be fewer than four. */
static const uint8_t slab_counts[WF_STACK_CLASSES + 1] = {64, 16, 4, 4, 1};

static size_t class_bytes(unsigned class_index)
{
    return ((size_t)256 << 10 << (2 * class_index)) * WF_STACK_SCALE;
}

unsigned wf_slab_class(size_t promise_bytes)
{
    size_t needed = promise_bytes * WF_STACK_SCALE + wf_guard_bytes() + TOP_BYTES;
    if (promise_bytes > CLASSED_MAX) {
        return WF_STACK_OWN;
    }
    unsigned class_index = 0;
    while (class_bytes(class_index) < needed) {
        class_index++;
    }
    return class_index;
}

static size_t stride_of(unsigned class_index, size_t promise_bytes)
{
    size_t page = wf_page_bytes();
    if (class_index != WF_STACK_OWN) {
        return class_bytes(class_index) + page;
    }
    size_t needed = promise_bytes * WF_STACK_SCALE + wf_guard_bytes() + TOP_BYTES;
    return (needed + page - 1) / page * page;
}

static char *map_stacks(size_t size)
{
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    /* Fails where the kernel has no huge pages, which is as good. */
    (void)madvise(base, size, MADV_NOHUGEPAGE);
    return base;
}

/* All at once: 0.6 us each that way, 0.9 one by one. */
static void guard_stacks(struct wf_slab *slab, enum wf_guard best_guard)
{
    unsigned count = wf_bits_count(slab->all_bits);
    if (best_guard == WF_GUARD_MADVISE && wf_guard_install_row(slab->base, slab->stride, count)) {
        slab->guard_bits[WF_GUARD_MADVISE] = slab->all_bits;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        enum wf_guard kind = wf_guard_install(slab->base + i * slab->stride, best_guard);
        slab->guard_bits[kind] |= (uint64_t)1 << i;
    }
}

struct wf_slab *wf_slab_map(unsigned class_index, size_t promise_bytes, enum wf_guard best_guard)
{
    struct wf_slab *slab = calloc(1, sizeof *slab);
    if (slab == NULL) {
        return NULL;
    }
    unsigned count = slab_counts[class_index];
    slab->stride = stride_of(class_index, promise_bytes);
    slab->base = map_stacks(count * slab->stride);
    if (slab->base == NULL) {
        free(slab);
        return NULL;
    }
    slab->class_index = (uint8_t)class_index;
    slab->all_bits = UINT64_MAX >> (64 - count);
    slab->free_bits = slab->all_bits;
    wf_list_init(&slab->link);
    guard_stacks(slab, best_guard);
    return slab;
}

/* Tells the tools that these stacks are gone; only a dirty one has a descriptor to look at. */
static void dismantle(struct wf_slab *slab)
{
    char *end = slab->base + wf_bits_count(slab->all_bits) * slab->stride;
    for (uint64_t bits = slab->dirty_bits; wf_hook_keeps_pages() && bits != 0; bits &= bits - 1) {
        wf_hook_dismantled(wf_slab_fiber(slab, wf_bits_lowest(bits)));
    }
    wf_hook_unpoison(slab->base, end);
}

bool wf_slab_unmap(struct wf_slab *slab)
{
    dismantle(slab);
    if (munmap(slab->base, wf_bits_count(slab->all_bits) * slab->stride) != 0) {
        return false;
    }
    for (int kind = WF_GUARD_MADVISE; kind <= WF_GUARD_CANARY; kind++) {
        wf_guard_unmapped((enum wf_guard)kind, wf_bits_count(slab->guard_bits[kind]));
    }
    free(slab);
    return true;
}

bool wf_slab_drop(struct wf_slab *slab, uint64_t bits)
{
    struct iovec runs[64];
    unsigned count = 0;
    while (bits != 0) {
        unsigned first = wf_bits_lowest(bits);
        uint64_t rest = ~(bits >> first);
        unsigned length = rest == 0 ? 64 : wf_bits_lowest(rest);
        runs[count++] = (struct iovec){.iov_base = slab->base + first * slab->stride,
                                       .iov_len = length * slab->stride};
        bits &= ~(UINT64_MAX >> (64 - length) << first);
    }
    return wf_advise(runs, count, MADV_DONTNEED);
}

void wf_slab_populate(const struct wf_slab *slab, uint64_t bits)
{
    struct iovec tops[64];
    unsigned count = 0;
    size_t page = wf_page_bytes();
    for (; bits != 0; bits &= bits - 1) {
        char *end = slab->base + (wf_bits_lowest(bits) + 1) * slab->stride;
        tops[count++] = (struct iovec){.iov_base = end - page, .iov_len = page};
    }
    (void)wf_advise(tops, count, MADV_POPULATE_WRITE);
}

struct wf_fiber *wf_slab_fiber(const struct wf_slab *slab, unsigned index)
{
    char *end = slab->base + (index + 1) * slab->stride;
    char *at = end - index % COLOURS * LINE_BYTES - DESCRIPTOR_BYTES;
    return (struct wf_fiber *)(void *)at;
}

static enum wf_guard guard_of(const struct wf_slab *slab, unsigned index)
{
    uint64_t bit = (uint64_t)1 << index;
    if (slab->guard_bits[WF_GUARD_MADVISE] & bit) {
        return WF_GUARD_MADVISE;
    }
    return slab->guard_bits[WF_GUARD_MPROTECT] & bit ? WF_GUARD_MPROTECT : WF_GUARD_CANARY;
}

struct wf_fiber *wf_slab_build(struct wf_slab *slab, unsigned index)
{
    struct wf_fiber *f = wf_slab_fiber(slab, index);
    memset(f, 0, sizeof *f);
    f->lo = slab->base + index * slab->stride + wf_guard_bytes();
    f->hi = (char *)f;
    f->slab = slab;
    f->index = (uint8_t)index;
    f->class_index = slab->class_index;
    f->guard = (uint8_t)guard_of(slab, index);
    wf_hook_built(f);
    return f;
}
