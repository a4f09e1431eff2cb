// SPDX-License-Identifier: MIT
/* quiet.c - the signal's mask, and the flag that does without. */
#include "await/quiet.h"

#include <errno.h>
#include <time.h>

static bool holds_broken_pipe(const sigset_t *set)
{
    return sigismember(set, SIGPIPE) == 1;
}

void wf_quiet_begin(struct wf_quiet *quiet)
{
    sigset_t broken_pipe;
    (void)sigemptyset(&broken_pipe);
    (void)sigaddset(&broken_pipe, SIGPIPE);
    (void)sigemptyset(&quiet->before);
    (void)pthread_sigmask(SIG_BLOCK, &broken_pipe, &quiet->before);
    sigset_t pending;
    quiet->was_pending = holds_broken_pipe(&quiet->before) && sigpending(&pending) == 0 &&
                         holds_broken_pipe(&pending);
}

void wf_quiet_end(const struct wf_quiet *quiet, ssize_t result)
{
    static const struct timespec at_once;
    if (result == -EPIPE && !quiet->was_pending) {
        sigset_t broken_pipe;
        (void)sigemptyset(&broken_pipe);
        (void)sigaddset(&broken_pipe, SIGPIPE);
        while (sigtimedwait(&broken_pipe, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}

/* Older kernels refuse the flag, and so do files that take no flags at all. */
static ssize_t write_masked(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    struct wf_quiet quiet;
    wf_quiet_begin(&quiet);
    ssize_t n = pwritev2(fd, parts, count, offset, flags);
    n = n >= 0 ? n : -errno;
    wf_quiet_end(&quiet, n);
    return n;
}

__attribute__((noinline)) ssize_t wf_quiet_write(int fd, const struct iovec *parts, int count,
                                                 off_t offset, int flags)
{
    ssize_t n = pwritev2(fd, parts, count, offset, flags | WF_QUIET_FLAG);
    n = n >= 0 ? n : -errno;
    return n == -EOPNOTSUPP || n == -EINVAL ? write_masked(fd, parts, count, offset, flags) : n;
}
