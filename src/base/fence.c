// SPDX-License-Identifier: MIT
/* fence.c - the heavy side. */
#include "base/fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

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
