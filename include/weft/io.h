// SPDX-License-Identifier: MIT
/* io.h - sockets and descriptors as await points.
 *
 * Plain file descriptors, straight-line calls. weft never changes the flags of a descriptor that it
 * did not create. On epoll each call tries the system call before it waits, and suspends only when that
 * would block; on io_uring it may suspend for a moment, so that many go by one system call. The buffer is the
 * caller's again when the call returns, whatever it returns, so it may lie on the stack. In a simulation the
 * calls take simulated descriptors (testing.h); a real one is -ENOTSUP, but to weft_close.
 */
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <weft/base.h>

WEFT_BEGIN

enum {
    WEFT_READABLE = 1,
    WEFT_WRITABLE = 2,
    WEFT_HANGUP = 4, /* reported, whether asked for or not */
};

/* Waits until `fd` is ready for one of `events`.
 *
 * returns  the events that are ready; -ECANCELED; -EBADF (also when weft_close closes it meanwhile);
 *          -EPERM (not a fiber, or a descriptor that can't be polled, such as a regular file);
 *          -EINVAL; -ENOMEM
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD int weft_wait_fd(int fd, unsigned events);

/* Reads up to `length` bytes: sockets, pipes, terminals; of files, at their position, what the kernel has at
 * hand, else on the blocking pool, where a read that has begun is waited for. So does, with epoll, what is blocking and
 * neither socket nor pipe, as terminals are, once it is ready: should somebody else take what was there in
 * between, the call waits for more, and a cancellation for the call.
 * Returns the bytes, 0 at the end, or a negative errno. -ECANCELED: nothing was read. -EBADF also when
 * weft_close closes it meanwhile. Fiber only; await point. */
WEFT_API WEFT_NODISCARD ssize_t weft_read(int fd, void *buffer, size_t length);

/* Writes up to `length` bytes; may be fewer. No call here ever raises SIGPIPE: -EPIPE.
 * -ECANCELED: nothing was written. As above. */
WEFT_API WEFT_NODISCARD ssize_t weft_write(int fd, const void *buffer, size_t length);

/* recv and send with `flags` of the system calls; MSG_DONTWAIT is always added. As above. */
WEFT_API WEFT_NODISCARD ssize_t weft_recv(int fd, void *buffer, size_t length, int flags);
WEFT_API WEFT_NODISCARD ssize_t weft_send(int fd, const void *buffer, size_t length, int flags);

/* Reads into, or writes from, up to `count` parts one after the other; as weft_read and weft_write.
 * No parts, or empty ones, move nothing: 0, no datagram is taken or sent, whereas a weft_write of no bytes sends an
 * empty one, as the system calls do. -EINVAL: more than IOV_MAX parts, or more than SSIZE_MAX bytes. */
WEFT_API WEFT_NODISCARD ssize_t weft_readv(int fd, const struct iovec *parts, int count);
WEFT_API WEFT_NODISCARD ssize_t weft_writev(int fd, const struct iovec *parts, int count);

/* sendto(2) and sendmsg(2): one datagram, or a part of a stream.
 *
 * address   NULL: to whom the socket is connected
 * returns   the bytes, or a negative errno as of send(2). -ECANCELED: nothing was sent. -ENOBUFS is no
 *           reason to wait, and is passed on
 * context   fiber only; await point; waits for room. A local datagram socket that is not connected can't
 *           tell when the receiver has room: then this tries again, at last every 10 ms */
WEFT_API WEFT_NODISCARD ssize_t weft_sendto(int fd, const void *buffer, size_t length, int flags,
                                            const struct sockaddr *address,
                                            socklen_t address_length);
WEFT_API WEFT_NODISCARD ssize_t weft_sendmsg(int fd, const struct msghdr *message, int flags);

/* recvfrom(2) and recvmsg(2). Descriptors that come with a message (SCM_RIGHTS, SCM_PIDFD) are closed on exec.
 *
 * address, address_length  as recvfrom's; may be NULL
 * returns                  the bytes, 0 for an empty datagram or at the end of a stream, or a negative
 *                          errno. -ECANCELED: nothing was taken; address and message are as they were
 * context                  fiber only; await point */
WEFT_API WEFT_NODISCARD ssize_t weft_recvfrom(int fd, void *buffer, size_t length, int flags,
                                              struct sockaddr *address, socklen_t *address_length);
WEFT_API WEFT_NODISCARD ssize_t weft_recvmsg(int fd, struct msghdr *message, int flags);

/* shutdown(2): SHUT_RD, SHUT_WR or SHUT_RDWR. Waits for nothing but a weft_close of the
 * same number that is not over; tasks that wait for the socket see what it brings
 * about. Returns 0, -ENOTCONN, -ENOTSOCK, -EBADF, -EINVAL, -ECANCELED (nothing was done). Fiber only; await
 * point: a cancelled task that wants the peer to know at once closes the socket. */
WEFT_API WEFT_NODISCARD int weft_shutdown(int fd, int how);

/* Accepts one connection; the new descriptor is non-blocking and closed on exec.
 *
 * address, address_length  as accept4's; may be NULL
 * returns  the descriptor; -ECANCELED: no connection was taken; -EBADF, also when weft_close closes the
 *          listener meanwhile; -EINVAL: it does not listen, or an address without a length; -ENOTSOCK,
 *          -EOPNOTSUPP: it can't listen; -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: the client stays in the queue;
 *          -ECONNABORTED, -EPROTO, -EPERM and other errors of the network, as of accept(2): that one client is
 *          lost, the next call may do better; -EPERM also when not in a fiber
 * context  fiber only; await point. A listener that others accept from too, other processes or
 *          by accept(2), should be O_NONBLOCK */
WEFT_API WEFT_NODISCARD int weft_accept(int fd, struct sockaddr *address,
                                        socklen_t *address_length);

/* Connects a socket (best one made with SOCK_NONBLOCK; without io_uring a blocking one is connected on the pool).
 * A local socket waits for room in its listener's queue; one with O_NONBLOCK tries again, at last every 10 ms, and a
 * blocking one may have another SO_SNDTIMEO meanwhile.
 *
 * returns  0; -ECANCELED: the attempt may still succeed, close the descriptor; -ECONNREFUSED, -ETIMEDOUT,
 *          -ENETUNREACH, -EHOSTUNREACH, -ECONNRESET: the peer or the way to it; -ENOENT, -EACCES: the path of a local
 *          one; -EADDRNOTAVAIL, -EADDRINUSE: no port is left; -EAFNOSUPPORT; -EISCONN; -EALREADY: another call connects
 *          it; -ENOTSOCK; -EBADF, also when weft_close closes it meanwhile; -EINVAL (NULL, an address that is too long
 *          or too short); -EPERM: not a fiber, or forbidden here; -EAGAIN: SO_SNDTIMEO is over on a local socket, or
 *          no thread could be had; -ENOMEM; others as of connect(2). After a failure a new socket is better: what
 *          this one says next is the kernel's affair (-ECONNABORTED, for instance)
 * context  fiber only; await point */
WEFT_API WEFT_NODISCARD int weft_connect(int fd, const struct sockaddr *address,
                                         socklen_t address_length);

/* Closes `fd`. Fibers that wait for it get -EBADF, never a reused descriptor. Calls that are in the kernel on
 * another thread at that moment end as they may; the file is closed, but the number is not given out again
 * before they are over, and closing it once more says -EBADF. Never refused because of a cancellation; no await
 * point. Returns 0 or a negative errno. Any thread; fibers that wait on
 * a descriptor closed behind weft's back wait for ever. */
WEFT_API int weft_close(int fd);

WEFT_END

#endif
