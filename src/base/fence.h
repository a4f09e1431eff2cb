// SPDX-License-Identifier: MIT
/* fence.h - a store-load fence between threads that only one side pays for.
 *
 * What: the frequent side publishes, passes wf_fence_light and looks; the rare side publishes, passes
 *       wf_fence_heavy and looks. At least one of the two sees what the other has published.
 * Why this way: the frequent side is every spawn, the rare one a worker that falls asleep. A locked
 *       instruction costs 2 to 5 ns here, membarrier 0.4 to 10 us, the more threads of the process run
 *       (docs/decisions.md). Without membarrier (old kernels, seccomp) both sides pass a full fence.
 * Source: membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.
 */
#ifndef WF_BASE_FENCE_H
#define WF_BASE_FENCE_H

#include "base/atomic.h"

/* Asks the kernel: true if the heavy side alone may pay. Once for each runtime, before its threads. */
bool wf_fence_prepare(void);

/* `is_asymmetric` as wf_fence_prepare said, on both sides. */
static inline void wf_fence_light(bool is_asymmetric)
{
    if (__builtin_expect(is_asymmetric, 1)) {
        __asm__ __volatile__("" ::: "memory");
    } else {
        wf_fence_full();
    }
}

/* False: the kernel refuses by now (a filter was installed), and both sides must pass full fences from here on. */
bool wf_fence_heavy(bool is_asymmetric);

/* The heavy side that must not fail: where the kernel refuses, time does, a millisecond of it. Where wf_fence_prepare
 * said so once. False: it does, and the next one takes that long, too. */
bool wf_fence_all(void);

/* After that: waits until the frequent side, which marks that it is within for a few instructions, is not any more
 * (acquire). If the kernel has taken it off its processor there, that may take long. */
void wf_fence_await(wf_au8 *is_within);

#endif
