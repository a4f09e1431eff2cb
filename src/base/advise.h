// SPDX-License-Identifier: MIT
/* advise.h - madvise for many ranges at once.
 *
 * Threads: any.
 */
#ifndef WF_BASE_ADVISE_H
#define WF_BASE_ADVISE_H

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/uio.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; before that the kernel refuses it */
#endif

/* The same advice for each range, at most 64 of them: by one system call where the kernel has it, which
 * costs half of one for each and empties the address translation caches once, else by one for each. False:
 * the kernel refused it for one of them; others may have been advised. */
bool wf_advise(const struct iovec *ranges, unsigned count, int advice);

#endif
