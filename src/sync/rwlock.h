// SPDX-License-Identifier: MIT
/* rwlock.h - who writes, for reports. */
#ifndef WF_SYNC_RWLOCK_H
#define WF_SYNC_RWLOCK_H

#include <stdint.h>

/* Token of the task that has a weft_rwlock for writing, 0 for none. Any thread. */
uint64_t wf_rwlock_owner(const void *rwlock);

#endif
