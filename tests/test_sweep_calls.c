/* SPDX-License-Identifier: MIT */
/* test_sweep_calls.c - the calls on descriptors, files and processes under the cancel sweep. */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>

#include <weft.h>

#include "sweep_test.h"

/* ---- on simulated descriptors ---- */

static void close_two(const int fds[2])
{
    wt_check(weft_close(fds[0]) == 0);
    wt_check(weft_close(fds[1]) == 0);
}

/* Only in a world that is unkind. */
static bool is_fault(ssize_t n)
{
    return n == -ECONNRESET || n == -EPIPE || n == -ENOTCONN;
}

static ssize_t read_parts(int fd, char *bytes, int kind)
{
    struct iovec parts[] = {{bytes, 1}, {bytes + 1, 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return kind == 0   ? weft_readv(fd, parts, 2)
           : kind == 1 ? weft_recvmsg(fd, &message, 0)
                       : weft_recvfrom(fd, bytes, 4, 0, NULL, NULL);
}

static ssize_t write_parts(int fd, char *bytes, int kind)
{
    struct iovec parts[] = {{bytes, 1}, {bytes + 1, 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return kind == 0   ? weft_writev(fd, parts, 2)
           : kind == 1 ? weft_sendmsg(fd, &message, 0)
                       : weft_sendto(fd, bytes, 4, 0, NULL, 0);
}

struct reader {
    int fd;
    int kind;
    char bytes[16];
    int64_t taken;
};

/* Reads to the end; what was taken is counted in the caller's frame, whatever ends it. */
static intptr_t take_all(void *arg)
{
    struct reader *reader = arg;
    char bytes[4];
    held++;
    ssize_t n;
    while ((n = read_parts(reader->fd, bytes, reader->kind)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            wt_check(bytes[i] == (char)('a' + (reader->taken + i) % 4));
        }
        reader->taken += n;
    }
    held--;
    return n;
}

static ssize_t give_all(int fd, int kind, int64_t *given)
{
    char bytes[] = "abcdabcd";
    while (*given < 8) {
        ssize_t n = write_parts(fd, bytes + *given % 4, kind);
        if (n < 0) {
            return n;
        }
        *given += n;
    }
    return weft_shutdown(fd, SHUT_WR);
}

static intptr_t transfers(void *arg)
{
    struct reader reader = {.kind = (int)(intptr_t)arg};
    int fds[2];
    int64_t given = 0;
    weft_task *task;
    intptr_t result = 0;
    int rc = weft_sim_socketpair(fds);
    if (rc < 0) {
        return rc;
    }
    reader.fd = fds[1];
    rc = weft_spawn(&task, take_all, &reader);
    if (rc < 0) {
        close_two(fds);
        return rc;
    }
    ssize_t n = give_all(fds[0], reader.kind, &given);
    if (n < 0) {
        (void)weft_cancel(task);
    }
    rc = weft_await(task, &result);
    close_two(fds);
    wt_check(reader.taken <= given);
    wt_check(n < 0 || rc < 0 || result < 0 || reader.taken == given);
    wt_check(result == 0 || result == -ECANCELED || is_fault(result));
    return is_fault(n) ? rc : n < 0 ? n : rc;
}

static intptr_t transfers_by_vector(void *arg)
{
    (void)arg;
    return transfers((void *)0);
}

static intptr_t transfers_by_message(void *arg)
{
    (void)arg;
    return transfers((void *)1);
}

static intptr_t transfers_by_address(void *arg)
{
    (void)arg;
    return transfers((void *)2);
}

Test(sweep_calls, vectors)
{
    sweep(transfers_by_vector, 4);
}

Test(sweep_calls, messages)
{
    sweep(transfers_by_message, 4);
}

Test(sweep_calls, addresses)
{
    sweep(transfers_by_address, 4);
}

/* ---- what a simulation does not have: each is a point, and tells a request first ---- */

static int only_simulated(int rc)
{
    return rc == -ENOTSUP ? 0 : rc < 0 ? rc : -EIO;
}

static intptr_t files(void *arg)
{
    struct statx status;
    char byte = 0;
    (void)arg;
    int rc = only_simulated(weft_open("/", O_RDONLY, 0));
    rc = rc == 0 ? only_simulated(weft_openat(AT_FDCWD, "/", O_RDONLY, 0)) : rc;
    rc = rc == 0 ? only_simulated((int)weft_pread(0, &byte, 1, 0)) : rc;
    rc = rc == 0 ? only_simulated((int)weft_pwrite(0, &byte, 1, 0)) : rc;
    rc = rc == 0 ? only_simulated(weft_fsync(0)) : rc;
    rc = rc == 0 ? only_simulated(weft_fdatasync(0)) : rc;
    rc = rc == 0 ? only_simulated(weft_statx(AT_FDCWD, "/", 0, 0, &status)) : rc;
    rc = rc == 0 ? only_simulated(weft_unlink("/")) : rc;
    rc = rc == 0 ? only_simulated(weft_unlinkat(AT_FDCWD, "/", 0)) : rc;
    rc = rc == 0 ? only_simulated(weft_rename("/", "/")) : rc;
    rc = rc == 0 ? only_simulated(weft_renameat(AT_FDCWD, "/", AT_FDCWD, "/", 0)) : rc;
    rc = rc == 0 ? only_simulated(weft_mkdir("/", 0)) : rc;
    rc = rc == 0 ? only_simulated(weft_mkdirat(AT_FDCWD, "/", 0)) : rc;
    rc = rc == 0 ? only_simulated((int)weft_splice(0, NULL, 1, NULL, 1, 0)) : rc;
    return rc == 0 ? only_simulated((int)weft_sendfile(1, 0, NULL, 1)) : rc;
}

Test(sweep_calls, files)
{
    sweep(files, 15);
}

static intptr_t processes(void *arg)
{
    static char name[] = "true";
    char *const argv[] = {name, NULL};
    weft_process process;
    (void)arg;
    int rc = only_simulated(weft_process_spawn(&process, argv, NULL));
    return rc == 0 ? only_simulated(weft_process_run(argv, NULL, NULL)) : rc;
}

Test(sweep_calls, processes)
{
    sweep(processes, 2);
}
