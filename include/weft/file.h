// SPDX-License-Identifier: MIT
/* file.h - files as await points: at an offset, by name, and moved without copying.
 *
 * Files are never "ready", so what may have to wait for a disk is done elsewhere while the task waits and
 * its worker runs others; what is in the page cache is read on the spot. Everything that a call is given
 * (buffers, names, offsets) is the caller's again when it returns, whatever it returns.
 *
 * All calls: fiber only; await point. Besides what the system call of that name says they return
 *     -ECANCELED  nothing was done, unless the call says otherwise. One that is already being done elsewhere
 *                 is waited for, and its result returned: the request stays for the next await point. So a
 *                 time limit is as late as the disk.
 *     -EBADF      also when weft_close closes the descriptor before the operation has begun
 *     -EINVAL     a NULL where something is needed
 *     -ENOMEM     also when no thread could be had
 *     -ENOTSUP    in a simulation
 * and never -EINTR.
 */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN

struct statx; /* sys/stat.h */

/* ---- at an offset: regular files, block devices ---- */

/* Reads up to `length` bytes at `offset`, and moves no file position. Returns the bytes, fewer only at the
 * end of the file or before an error, 0 at the end; -ESPIPE for what has no offsets. -ECANCELED: the
 * buffer may have been written. */
WEFT_API WEFT_NODISCARD ssize_t weft_pread(int fd, void *buffer, size_t length, off_t offset);

/* Writes; may be fewer bytes. */
WEFT_API WEFT_NODISCARD ssize_t weft_pwrite(int fd, const void *buffer, size_t length,
                                            off_t offset);

/* Waits until what was written is on the disk. -ECANCELED: it may be, or not. */
WEFT_API WEFT_NODISCARD int weft_fsync(int fd);
WEFT_API WEFT_NODISCARD int weft_fdatasync(int fd);

/* ---- by name; those with `at` take names relative to an open directory, or AT_FDCWD ---- */

/* Opens a file; the new descriptor is closed on exec.
 *
 * flags, mode  as open's; O_CLOEXEC is always added
 * returns      the descriptor, or a negative errno. -ECANCELED: at once, even while a FIFO waits for its
 *              other end. What has begun may go on without the caller: the file is yet made or cut
 *              short (O_CREAT, O_TRUNC), and its descriptor is closed */
WEFT_API WEFT_NODISCARD int weft_open(const char *path, int flags, mode_t mode);
WEFT_API WEFT_NODISCARD int weft_openat(int directory, const char *path, int flags, mode_t mode);

/* statx(2); with AT_EMPTY_PATH and "" of the descriptor itself. */
WEFT_API WEFT_NODISCARD int weft_statx(int directory, const char *path, int flags, unsigned mask,
                                       struct statx *status);

/* Removes a name; with AT_REMOVEDIR that of an empty directory. */
WEFT_API WEFT_NODISCARD int weft_unlink(const char *path);
WEFT_API WEFT_NODISCARD int weft_unlinkat(int directory, const char *path, int flags);

/* Renames, replacing what was there; `flags` as renameat2's. */
WEFT_API WEFT_NODISCARD int weft_rename(const char *from, const char *to);
WEFT_API WEFT_NODISCARD int weft_renameat(int from_directory, const char *from, int to_directory,
                                          const char *to, unsigned flags);

WEFT_API WEFT_NODISCARD int weft_mkdir(const char *path, mode_t mode);
WEFT_API WEFT_NODISCARD int weft_mkdirat(int directory, const char *path, mode_t mode);

/* ---- from one descriptor to another, without passing through the program ---- */

/* splice(2): one end is a pipe. Waits until one has something and the other has room.
 *
 * from_offset, to_offset  of files, moved along; NULL: the file's own position
 * flags     SPLICE_F_MOVE, SPLICE_F_MORE
 * returns   bytes, at most 1 MiB at a time and often fewer; 0: the end of what is read; -EPIPE, never SIGPIPE.
 *           -ECANCELED: nothing was moved
 * Sockets should be O_NONBLOCK: those that are not get 4 KiB at a time, by way of another thread. */
WEFT_API WEFT_NODISCARD ssize_t weft_splice(int from, off_t *from_offset, int to, off_t *to_offset,
                                            size_t length, unsigned flags);

/* sendfile(2): from a file to a socket, pipe or file. As weft_splice. */
WEFT_API WEFT_NODISCARD ssize_t weft_sendfile(int to, int from, off_t *offset, size_t length);

WEFT_END

#endif
