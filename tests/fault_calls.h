/* SPDX-License-Identifier: MIT */
/* fault_calls.h - the system calls that faults.h lets fail, and with what.
 *
 * Left out: the C library's own munmap of a thread's stack, on whose failure it aborts; futex, brk, signal
 *       masks and what threads do at their start, for it does not look at the results; kill, for who is not
 *       killed lives on; operations inside a ring, which are no calls (ring_faults.h); EAGAIN of what is ready, EINTR of
 *       connect and dup2, and errors of an eventfd, which the kernel never gives. A close that fails has
 *       closed the file all the same, as in the kernel.
 */
#ifndef WEFT_TEST_FAULT_CALLS_H
#define WEFT_TEST_FAULT_CALLS_H

#include <sys/syscall.h>
#include <errno.h>
#include <stdbool.h>

#include "weft_test.h"

enum { WT_FAULT_ERRORS = 8 };

struct wt_call {
    const char *name;
    int number;
    bool is_tools;               /* a sanitizer makes it too, and takes no error */
    int errors[WT_FAULT_ERRORS]; /* below 0: from then on always */
};

#define WT_CALL(Name, ...)        \
    {                             \
#Name, SYS_##Name, false, \
        {                         \
            __VA_ARGS__           \
        }                         \
    }
#define WT_TOOLS_CALL(Name, ...) \
    {                            \
#Name, SYS_##Name, true, \
        {                        \
            __VA_ARGS__          \
        }                        \
    }

static const struct wt_call wt_calls[] = {
    WT_TOOLS_CALL(mmap, ENOMEM, -ENOMEM),
    WT_TOOLS_CALL(munmap, ENOMEM),
    WT_TOOLS_CALL(mprotect, ENOMEM, -ENOMEM),
    WT_TOOLS_CALL(madvise, ENOMEM, EAGAIN, -EINVAL),
    WT_CALL(process_madvise, EINTR, -ENOSYS, -EPERM),
    WT_TOOLS_CALL(clone3, EAGAIN, ENOMEM, -EAGAIN, -ENOSYS),
    WT_TOOLS_CALL(clone, EAGAIN),
    WT_CALL(membarrier, -ENOSYS, -EPERM),
    WT_TOOLS_CALL(sched_getaffinity, EPERM, -ENOSYS),
    WT_TOOLS_CALL(sched_setaffinity, EINVAL, -EPERM),
    WT_TOOLS_CALL(sigaltstack, ENOMEM),
    WT_TOOLS_CALL(rt_sigaction, EINVAL),
    WT_CALL(epoll_create1, EMFILE, ENFILE, ENOMEM, -EPERM),
    WT_CALL(epoll_ctl, ENOMEM, ENOSPC, -ENOMEM),
#ifdef SYS_epoll_wait
    WT_CALL(epoll_wait, EINTR),
#endif
    WT_CALL(epoll_pwait, EINTR),
    WT_CALL(epoll_pwait2, EINTR, -ENOSYS, -EPERM),
    WT_CALL(eventfd2, EMFILE, ENFILE, ENOMEM, -EMFILE),
    WT_CALL(io_uring_setup, EMFILE, ENFILE, ENOMEM, -ENOSYS, -EPERM, -EINVAL),
    WT_CALL(io_uring_enter, EINTR, EAGAIN, EBUSY),
    WT_CALL(io_uring_register, EINVAL, ENOMEM, -EINVAL, -EPERM),
    WT_CALL(socket, EMFILE, ENFILE, ENOBUFS, -EMFILE, -EAFNOSUPPORT),
    WT_CALL(bind, EADDRINUSE, EACCES, ENOMEM),
    WT_CALL(listen, EADDRINUSE),
    WT_CALL(accept4, EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EINTR, EPROTO),
    WT_CALL(connect, ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, ENOBUFS),
    WT_CALL(getsockname, ENOBUFS),
    WT_CALL(getsockopt, ENOMEM),
    WT_CALL(setsockopt, ENOMEM, -EPERM),
    WT_CALL(recvfrom, EINTR, ECONNRESET, ENOMEM),
    WT_CALL(recvmsg, EINTR, ECONNRESET, ENOMEM),
    WT_CALL(sendto, EINTR, ENOBUFS, ENOMEM, EPIPE),
    WT_CALL(sendmsg, EINTR, ENOBUFS, ENOMEM, EPIPE),
    WT_CALL(shutdown, ENOTCONN),
    WT_TOOLS_CALL(read, EINTR, EIO),
    WT_TOOLS_CALL(write, EINTR, EIO, ENOSPC),
    WT_CALL(readv, EINTR, EIO),
    WT_CALL(writev, EINTR, EIO),
    WT_CALL(pread64, EINTR, EIO),
    WT_CALL(pwrite64, EINTR, EIO, ENOSPC),
    WT_CALL(preadv2, EINTR, EIO, -EOPNOTSUPP, -ENOSYS),
    WT_CALL(pwritev2, EINTR, EIO, ENOSPC, -EOPNOTSUPP, -ENOSYS),
    WT_TOOLS_CALL(openat, EMFILE, ENFILE, ENOMEM, EACCES, EINTR, -EMFILE),
    WT_CALL(openat2, EMFILE, EINTR, -ENOSYS, -EPERM),
    WT_TOOLS_CALL(close, EINTR, EIO),
    WT_TOOLS_CALL(fstatfs, EIO),
    WT_TOOLS_CALL(newfstatat, ENOMEM),
    WT_CALL(statx, ENOMEM, -ENOSYS),
    WT_CALL(fcntl, EMFILE),
    WT_CALL(dup3, EMFILE),
#ifdef SYS_dup2
    WT_CALL(dup2, EMFILE),
#endif
    WT_CALL(close_range, ENOMEM, -ENOSYS),
    WT_CALL(pipe2, EMFILE, ENFILE),
    WT_CALL(execve, ENOENT, EACCES, ENOMEM, E2BIG),
    WT_CALL(pidfd_open, EMFILE, ENFILE, ENOMEM, -ENOSYS, -EPERM),
    WT_CALL(waitid, EINTR),
    WT_CALL(splice, EINTR, ENOMEM, EINVAL),
    WT_CALL(sendfile, EINTR, ENOMEM, EIO),
    WT_CALL(fsync, EINTR, EIO),
    WT_CALL(fdatasync, EINTR, EIO),
    WT_CALL(unlinkat, EIO),
    WT_CALL(renameat2, EIO, -ENOSYS),
    WT_CALL(mkdirat, ENOSPC),
#ifdef SYS_poll
    WT_CALL(poll, EINTR, ENOMEM),
#endif
    WT_CALL(ppoll, EINTR, ENOMEM),
    WT_TOOLS_CALL(getrandom, EINTR, -ENOSYS),
    WT_TOOLS_CALL(prctl, -EINVAL),
};

enum { WT_CALLS = sizeof wt_calls / sizeof wt_calls[0] };

#endif
