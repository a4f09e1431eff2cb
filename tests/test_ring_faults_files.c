// SPDX-License-Identifier: MIT
/* test_ring_faults_files.c - operations and calls of a ring fail one by one while files are in use, readers are
 * cancelled, and the ring is needed for what is no transfer. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <weft.h>

#include "ring_sweep.h"

/* ---- files ---- */

static void use_file(const char *path)
{
    char part[PART];
    struct statx status;
    int64_t rc;
    int fd;
    CALL(fd, weft_open(path, O_RDWR | O_CREAT, 0600));
    wt_check(fd >= 0);
    for (size_t at = 0; at<PART; at += rc> 0 ? (size_t)rc : PART) {
        for (size_t i = at; i < PART; i++) {
            part[i] = byte_at(i);
        }
        CALL(rc, weft_pwrite(fd, part + at, PART - at, (off_t)at));
        wt_check(rc > 0);
    }
    CALL(rc, weft_fsync(fd));
    wt_check(rc == 0);
    CALL(rc, weft_statx(AT_FDCWD, path, 0, STATX_SIZE, &status));
    wt_check(rc == 0 && status.stx_size == PART);
    wt_check(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0); /* so that it must be read again */
    for (size_t at = 0; at<PART; at += rc> 0 ? (size_t)rc : PART) {
        CALL(rc, weft_pread(fd, part, sizeof part, (off_t)at));
        wt_check(rc > 0 && part[0] == byte_at(at));
    }
    wt_check(weft_close(fd) == 0);
}

static intptr_t use_files(void *arg)
{
    char folder[] = "/tmp/weft-ring-XXXXXX";
    char inner[64];
    char path[80];
    char other[80];
    int64_t rc;
    (void)arg;
    wt_check(mkdtemp(folder) != NULL);
    (void)snprintf(inner, sizeof inner, "%s/in", folder);
    (void)snprintf(path, sizeof path, "%s/one", inner);
    (void)snprintf(other, sizeof other, "%s/other", inner);
    CALL(rc, weft_mkdir(inner, 0700));
    wt_check(rc == 0);
    use_file(path);
    CALL(rc, weft_rename(path, other));
    wt_check(rc == 0);
    CALL(rc, weft_unlink(other));
    wt_check(rc == 0);
    wt_check(rmdir(inner) == 0 && rmdir(folder) == 0);
    return 0;
}

/* ---- ends ---- */

static intptr_t read_one(void *arg)
{
    char byte = 0;
    ssize_t n;
    CALL(n, weft_read(*(int *)arg, &byte, 1));
    return n == 1 ? byte : n;
}

/* Where the reader runs beside this task, it may have been told before the request is taken back. */
static void cancel_for_a_moment(int fds[2])
{
    weft_task *reader;
    char byte = 0;
    wt_check(weft_spawn(&reader, read_one, &fds[0]) == 0 && weft_yield() == 0);
    wt_check(weft_cancel(reader) == 1 && weft_uncancel(reader) == 0);
    wt_check(weft_yield() == 0 && weft_write(fds[1], "y", 1) == 1);
    intptr_t result = finish(reader);
    if (result == -ECANCELED) {
        result = read(fds[0], &byte, 1) == 1 ? byte : -EIO; /* then it has taken nothing */
    }
    wt_check(result == 'y');
}

/* A request ends a read, and takes nothing; so does a close; a request that is taken back does not. */
static intptr_t use_requests(void *arg)
{
    int fds[2];
    weft_task *reader;
    (void)arg;
    make_pair(fds);
    for (int i = 0; i < 2; i++) {
        wt_check(weft_spawn(&reader, read_one, &fds[0]) == 0 && weft_yield() == 0);
        wt_check(weft_cancel(reader) == 1 && finish(reader) == -ECANCELED);
    }
    cancel_for_a_moment(fds);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&reader, read_one, &fds[0]) == 0);
    until_parked(mark, 1); /* a read that begins beside the close would be a mistake of ours */
    wt_check(weft_close(fds[0]) == 0 && finish(reader) == -EBADF);
    return weft_close(fds[1]);
}

/* ---- what the ring does for itself ---- */

static intptr_t nap(void *arg)
{
    for (int i = 0; i < 5; i++) {
        int64_t end_ns = weft_now() + (intptr_t)arg;
        wt_check(weft_sleep((intptr_t)arg) == 0);
        wt_check(weft_now() >= end_ns);
    }
    return 0;
}

static intptr_t use_sleeps(void *arg)
{
    weft_task *one;
    weft_task *other;
    (void)arg;
    wt_check(weft_spawn(&one, nap, word(300 * WEFT_US)) == 0);
    wt_check(weft_spawn(&other, nap, word(700 * WEFT_US)) == 0);
    return finish(one) == 0 ? finish(other) : -EIO;
}

static intptr_t write_on_pool(void *arg)
{
    return write(*(int *)arg, "z", 1);
}

static intptr_t select_one(void *arg)
{
    weft_case one = weft_case_fd(*(int *)arg, WEFT_READABLE);
    char byte = 0;
    wt_check(weft_select(&one, 1, 0) == 0);
    return read(*(int *)arg, &byte, 1) == 1 ? byte : -EIO;
}

/* A thread of the pool wakes the worker, and events of the poller do. */
static intptr_t use_others(void *arg)
{
    int fds[2];
    (void)arg;
    make_pair(fds);
    for (int i = 0; i < 4; i++) {
        weft_task *selecting;
        intptr_t written = 0;
        wt_check(weft_spawn(&selecting, select_one, &fds[0]) == 0 && weft_yield() == 0);
        wt_check(weft_blocking(write_on_pool, &fds[1], NULL, &written) == 0 && written == 1);
        wt_check(finish(selecting) == 'z');
    }
    wt_check(weft_close(fds[0]) == 0);
    return weft_close(fds[1]);
}

FAULT_TEST(files)
FAULT_TEST(requests)
FAULT_TEST(sleeps)
FAULT_TEST(others)
