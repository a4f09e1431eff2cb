// SPDX-License-Identifier: MIT
/* stack.h - where fibers come from: caches of stacks per worker, a depot per runtime.
 *
 * What: wf_fiber_take gives a fiber with at least the promised stack, wf_fiber_give takes it back.
 *       A worker's cache answers both without a lock; it trades batches with the depot.
 * Why this way: stacks are reused newest first, because the newest is warm in the cache and the
 *       first touch of a page costs as much as hundreds of switches. What free stacks keep resident
 *       goes back when nobody has needed it for a while: see depot.c and trim.c.
 * Threads: wf_stacks any thread; a wf_stack_cache its owner only.
 */
#ifndef WF_FIBER_STACK_H
#define WF_FIBER_STACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "fiber/fiber.h"

#define WF_STACK_DEFAULT ((size_t)64 << 10) /* promise, where nothing was asked for */
#define WF_STACK_MAX ((size_t)1 << 30)      /* the largest promise */

enum {
    WF_STACK_CLASSES = 4, /* about 256 KiB, 1 MiB, 4 MiB, 16 MiB; promises over 8 MiB: one each */
    WF_STACK_CACHED = 64, /* most stacks that a worker keeps of one class */
    WF_STACK_GRADES = 5,  /* slabs with dirty free stacks, sorted by how many */
};

struct wf_stack_stats {
    uint64_t mapped;              /* stacks that have address space */
    uint64_t in_use;              /* taken and not given back */
    uint64_t cached;              /* free, in a worker's cache */
    uint64_t dirty;               /* free, in the depot, with touched pages */
    uint64_t guarded_by_madvise;  /* of mapped */
    uint64_t guarded_by_mprotect; /* of mapped */
    uint64_t guarded_by_canary;   /* of mapped */
    uint64_t decommitted;         /* stacks whose pages went back to the kernel, ever */
    uint64_t unmapped;            /* stacks whose address space went back, ever */
};

/* Free stacks of one class, and all of its slabs: each is in one of the lists. Under `lock`. */
struct wf_depot {
    struct wf_lock lock;
    uint8_t class_index;                   /* set once */
    bool is_resident;                      /* the kernel keeps our pages (mlockall) */
    struct wf_list full;                   /* slabs with no free stack */
    struct wf_list clean;                  /* slabs with free stacks, none of them dirty */
    struct wf_list dirty[WF_STACK_GRADES]; /* the last: all of the slab is free */
    uint64_t out_count;                    /* stacks in caches or in use */
    uint64_t dirty_count;                  /* free, and with pages of their own */
    uint64_t least_dirty;                  /* since the last look */
    uint64_t least_excess;                 /* ... beyond the floor, since five looks ago */
    uint64_t looks;
    uint64_t surplus;                      /* dirty ones that are to be trimmed */
    uint64_t clean_count;                  /* free, and never touched or decommitted */
    uint64_t guarded[WF_GUARD_CANARY + 1]; /* mapped stacks by enum wf_guard */
    uint64_t decommitted;
    uint64_t unmapped;
};

/* All stacks of one runtime. */
struct wf_stacks {
    /* Set once by init: the best that this kernel has. A test may set a worse one at once. */
    enum wf_guard best_guard;

    /* One per class, and a last one for stacks with a mapping of their own. */
    struct wf_depot depots[WF_STACK_CLASSES + 1];

    /* When somebody should look what can be trimmed, by the monotonic clock: 0 at once, WF_FOREVER
     * never. Whoever gives more back than is kept stores 0 over WF_FOREVER, whoever has trim_lock
     * stores the rest, before it looks into the depots: see trim.c. Loads relaxed: a look that comes
     * late does no harm. */
    wf_ai64 trim_ns;
    struct wf_lock trim_lock; /* who trims */
    int64_t look_ns;          /* under trim_lock: when the depots are to be looked at next */

    /* Under caches_lock: every cache, for statistics. */
    struct wf_lock caches_lock;
    struct wf_list caches;
};

/* Free stacks of one class that one worker owns. */
struct wf_stack_shelf {
    /* Both counts: the owner stores (relaxed), wf_stacks_stats loads (relaxed), for people only. */
    wf_au32 count;       /* of items */
    wf_au32 fresh_count; /* of fresh_bits */
    uint32_t cold_count; /* of items, the first: from the depot, not used since */
    struct wf_fiber *items[WF_STACK_CACHED]; /* newest last */
    struct wf_slab *fresh_slab;              /* of clean stacks, built as they are taken */
    uint64_t fresh_bits;
};

struct wf_stack_cache {
    struct wf_stacks *stacks;
    struct wf_list link; /* in stacks->caches */
    /* The owner writes and reads. */
    struct wf_stack_shelf shelves[WF_STACK_CLASSES];
};

void wf_stacks_init(struct wf_stacks *stacks);

/* Unmaps every stack. All caches are closed and nobody stands on one of them. */
void wf_stacks_destroy(struct wf_stacks *stacks);

void wf_stack_cache_open(struct wf_stack_cache *cache, struct wf_stacks *stacks);

/* Hands everything cached to the depot: when a worker goes idle for long. */
void wf_stack_cache_flush(struct wf_stack_cache *cache);

/* Flushes, and forgets the cache. */
void wf_stack_cache_close(struct wf_stack_cache *cache);

/* A fiber whose frames have `promise_bytes` of room (0: WF_STACK_DEFAULT). Its task is
 * NULL; wf_fiber_prepare comes next.
 *
 * returns  NULL if there is no memory, or if the promise is above WF_STACK_MAX (look first)
 * threads  the cache's owner
 */
__attribute__((warn_unused_result)) struct wf_fiber *wf_fiber_take(struct wf_stack_cache *cache,
                                                                   size_t promise_bytes);

/* Takes a fiber back; nobody may stand on its stack. It may have been taken through any cache of
 * the same runtime. Aborts with a report if the stack overran a guard that could not fault. */
void wf_fiber_give(struct wf_stack_cache *cache, struct wf_fiber *f);

/* Looks for memory that nobody has needed for a while, if it is time, and gives a slab's worth of it
 * back: tens of microseconds. True: it has, and there may be more. Next time is after `pause` times as
 * long as it took. now_ns by the monotonic clock.
 *
 * threads  any */
bool wf_stacks_trim(struct wf_stacks *stacks, int64_t now_ns, unsigned pause);

/* When wf_stacks_trim is to be called next; WF_FOREVER: when more stacks have come back. */
static inline int64_t wf_stacks_trim_ns(struct wf_stacks *stacks)
{
    return wf_load_rlx(&stacks->trim_ns);
}

/* A snapshot, from any thread; numbers that change meanwhile may not add up. */
void wf_stacks_stats(struct wf_stacks *stacks, struct wf_stack_stats *out);

#endif
