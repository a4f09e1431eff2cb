// SPDX-License-Identifier: MIT
/* advise.c - process_madvise on the own process (Linux 6.15; before that the kernel refuses it). */
#include "base/advise.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names the calling process without a descriptor of it. */
enum { OWN_PROCESS = -10000 };

static bool advise_together(const struct iovec *ranges, unsigned count, int advice)
{
#ifdef SYS_process_madvise
    long total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += (long)ranges[i].iov_len;
    }
    return syscall(SYS_process_madvise, OWN_PROCESS, ranges, (unsigned long)count, advice, 0U) ==
           total;
#else
    (void)ranges;
    (void)count;
    (void)advice;
    return false;
#endif
}

bool wf_advise(const struct iovec *ranges, unsigned count, int advice)
{
    if (count > 1 && advise_together(ranges, count, advice)) {
        return true;
    }
    for (unsigned i = 0; i < count; i++) {
        if (madvise(ranges[i].iov_base, ranges[i].iov_len, advice) != 0) {
            return false;
        }
    }
    return true;
}
