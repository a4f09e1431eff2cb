// SPDX-License-Identifier: MIT
/* once.h - who is at it, for reports. */
#ifndef WF_SYNC_ONCE_H
#define WF_SYNC_ONCE_H

#include <stdint.h>

/* Token of the task that runs the function of a weft_once, 0 for none. Any thread. */
uint64_t wf_once_owner(const void *once);

#endif
