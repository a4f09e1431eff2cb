// SPDX-License-Identifier: MIT
/* process.h - what is behind weft_process. */
#ifndef WF_AWAIT_PROCESS_H
#define WF_AWAIT_PROCESS_H

#include <weft/process.h>

#include "await/io.h"

enum wf_process_state {
    WF_PROCESS_RUNNING = 1,
    WF_PROCESS_ENDED,    /* status is there */
    WF_PROCESS_DISOWNED, /* somebody else has taken it */
};

struct wf_process {
    int pid;
    int ends[3]; /* ours: input, output, error */

    /* Under lock: whoever waits may be the one that reaps. */
    struct wf_lock lock;
    uint32_t state; /* enum wf_process_state */
    int status;
    int pid_fd; /* -1: closed */

    /* Set once, by the spawn. */
    uint32_t flags;
    int64_t grace_ns;
};

_Static_assert(sizeof(struct wf_process) <= sizeof(weft_process), "it lies in the caller's memory");

static inline struct wf_process *wf_process_of(weft_process *process)
{
    return (struct wf_process *)(void *)process;
}

/* 0 or -EINVAL; *out is what the caller gave, with the defaults filled in. */
int wf_process_check(const weft_process_options *given, weft_process_options *out);

#endif
