// SPDX-License-Identifier: MIT
/* quiet.h - writing without SIGPIPE, to what knows no MSG_NOSIGNAL: pipes, and whatever splices.
 *
 * The kernel sends that signal to the thread that writes. Kernels since 6.18 can be told not to; on others,
 * and around calls that take no such flag, it is blocked in this thread while the call lasts, and taken
 * back if it came. Nothing is changed for the process, and between begin and end nothing may switch.
 */
#ifndef WF_AWAIT_QUIET_H
#define WF_AWAIT_QUIET_H

#include <sys/uio.h>
#include <signal.h>
#include <stdbool.h>

/* RWF_NOSIGNAL, for C libraries that do not know it. */
enum { WF_QUIET_FLAG = 0x100 };

struct wf_quiet {
    sigset_t before;
    bool was_pending; /* one that is not ours to take */
};

void wf_quiet_begin(struct wf_quiet *quiet);

/* `result` is the call's own, or its negative errno. errno is lost. */
void wf_quiet_end(const struct wf_quiet *quiet, ssize_t result);

/* pwritev2, an offset of -1 being the current position. What it returned, or the negative errno. */
ssize_t wf_quiet_write(int fd, const struct iovec *parts, int count, off_t offset, int flags);

#endif
