// SPDX-License-Identifier: MIT
/* cached.h - opening and looking at files that the kernel has in memory: on the spot. */
#ifndef WF_AWAIT_CACHED_H
#define WF_AWAIT_CACHED_H

#include "await/file.h"

/* What wf_file_run would return, for WF_FILE_OPEN and WF_FILE_STATX; -EAGAIN: it may have to wait, or fails, and
 * nothing was done. Does not block. */
intptr_t wf_file_try_cached(const struct wf_file_call *call);

#endif
