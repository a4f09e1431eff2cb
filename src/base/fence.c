// SPDX-License-Identifier: MIT
/* fence.c - the heavy side. */
#include "base/fence.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

bool wf_fence_prepare(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

bool wf_fence_heavy(bool is_asymmetric)
{
    wf_fence_full();
    return !is_asymmetric || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

/* No store stays in a processor's buffer for that long. */
bool wf_fence_all(void)
{
    const int64_t long_ns = 1000000;
    if (wf_fence_heavy(true)) {
        return true;
    }
    int64_t end_ns = wf_monotonic_ns() + long_ns;
    while (wf_monotonic_ns() < end_ns) {
        sched_yield();
    }
    return false;
}

void wf_fence_await(wf_au8 *is_within)
{
    for (int i = 0; wf_load_acq(is_within) != 0; i++) {
        wf_let_others(i);
    }
}
