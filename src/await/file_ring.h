// SPDX-License-Identifier: MIT
/* file_ring.h - operations on files that the kernel does in a worker's ring. */
#ifndef WF_AWAIT_FILE_RING_H
#define WF_AWAIT_FILE_RING_H

#include "await/file.h"

/* As wf_file_run, but an open too is ended or done; -ENOSYS: not here, nothing was done. */
intptr_t wf_file_run_in_ring(weft_task *self, const struct wf_file_call *call);

#endif
