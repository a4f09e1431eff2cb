// SPDX-License-Identifier: MIT
/* test_frugal.c - system calls that are not made, because what they would say is known: counted under the filter of
 * faults.h, with no fault. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "faults.h"
#include "support.h"
#include "weft_test.h"

enum { ROUNDS = 100 };

/* What the scenario makes on one worker; skipped where nothing can be counted. */
static void count_calls(void (*scenario)(void), struct wt_seen *seen)
{
    const struct wt_fault none = {.call = -1};
    wt_stage =
        mmap(NULL, sizeof *wt_stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(wt_stage != MAP_FAILED);
    if (!wt_run_fault(scenario, &none, seen)) {
        wt_skip("no filter that asks can be had here");
    }
    cr_assert(seen->status == 0 && !seen->has_hung);
}

static int made(const struct wt_seen *seen, const char *name)
{
    for (int i = 0; i < WT_CALLS; i++) {
        if (strcmp(wt_calls[i].name, name) == 0) {
            return seen->counts[i];
        }
    }
    cr_assert_fail("%s is not counted", name);
    return 0;
}

static void play(weft_fn *fn)
{
    wt_check(weft_run(fn, NULL, &(weft_options){.workers = 1}) == 0);
}

/* ---- what is no socket is not asked to receive ---- */

static const char folder[] = "/tmp";

static intptr_t read_files(void *arg)
{
    char name[] = "/tmp/weft_frugal_XXXXXX";
    char byte;
    (void)arg;
    int made_fd = mkostemp(name, O_CLOEXEC);
    wt_check(made_fd >= 0 && write(made_fd, "x", 1) == 1 && close(made_fd) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        int fd = weft_open(name, O_RDONLY, 0);
        wt_check(fd >= 0 && weft_read(fd, &byte, 1) == 1 && byte == 'x');
        wt_check(weft_close(fd) == 0);
    }
    wt_check(unlink(name) == 0);
    return 0;
}

static void play_files(void)
{
    play(read_files);
}

static bool is_known_and_numbered(void)
{
    struct statfs system;
    struct statx status;
    return statfs(folder, &system) == 0 &&
           (system.f_type == TMPFS_MAGIC || system.f_type == EXT4_SUPER_MAGIC) &&
           statx(AT_FDCWD, folder, 0, STATX_TYPE | 0x4000, &status) == 0 &&
           (status.stx_mask & 0x4000) != 0; /* STATX_MNT_ID_UNIQUE */
}

Test(frugal, files, .timeout = 60)
{
    struct wt_seen seen;
    if (!is_known_and_numbered()) {
        wt_skip("mounts have no numbers of their own here");
    }
    count_calls(play_files, &seen);
    cr_assert_lt(made(&seen, "recvfrom"), 5);
    cr_assert_lt(made(&seen, "fstatfs"), 5);
    cr_assert_geq(made(&seen, "preadv2"), ROUNDS);
}

static intptr_t use_pipe(void *arg)
{
    char byte;
    int ends[2];
    (void)arg;
    wt_check(pipe2(ends, O_CLOEXEC) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct iovec part = {.iov_base = &byte, .iov_len = 1};
        wt_check(weft_write(ends[1], "x", 1) == 1 && weft_read(ends[0], &byte, 1) == 1);
        wt_check(weft_writev(ends[1], &part, 1) == 1 && weft_readv(ends[0], &part, 1) == 1);
    }
    wt_check(weft_close(ends[0]) == 0 && weft_close(ends[1]) == 0);
    return 0;
}

static void play_pipe(void)
{
    play(use_pipe);
}

Test(frugal, pipes, .timeout = 60)
{
    struct wt_seen seen;
    count_calls(play_pipe, &seen);
    cr_assert_lt(made(&seen, "recvfrom") + made(&seen, "recvmsg"), 5);
    cr_assert_lt(made(&seen, "sendto") + made(&seen, "sendmsg"), 5);
}

/* ---- a local stream that was read empty is not read in vain ---- */

static intptr_t answer(void *arg)
{
    char got[64];
    int fd = *(int *)arg;
    ssize_t n;
    while ((n = weft_read(fd, got, sizeof got)) > 0) {
        wt_check(weft_write(fd, got, (size_t)n) == n);
    }
    return weft_close(fd);
}

static intptr_t ask(void *arg)
{
    char got[64];
    int fds[2];
    weft_task *other;
    intptr_t result;
    (void)arg;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    wt_check(weft_spawn(&other, answer, &fds[1]) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        wt_check(weft_write(fds[0], "ask", 3) == 3);
        wt_check(weft_read(fds[0], got, sizeof got) == 3);
    }
    wt_check(weft_close(fds[0]) == 0 && weft_await(other, &result) == 0 && result == 0);
    return 0;
}

static void play_local(void)
{
    play(ask);
}

/* Two reads a round; one in 16 is tried in vain all the same. */
Test(frugal, local_streams, .timeout = 60)
{
    struct wt_seen seen;
    count_calls(play_local, &seen);
    int reads = made(&seen, "recvfrom") + made(&seen, "recvmsg");
    cr_assert_lt(reads, 2 * ROUNDS + 2 * ROUNDS / 4, "%d", reads);
}

/* ---- the same while calls fail: what is not known is asked for, or done without ---- */

static bool send_some(const int fds[2])
{
    return WT_MAY(weft_write(fds[1], "abc", 3), WAIT_ERRORS);
}

static intptr_t read_shortly(void *arg)
{
    char got[64];
    int fds[2];
    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        wt_check(wt_fault_error != 0);
        return 0;
    }
    for (int i = 0; i < 3 && send_some(fds); i++) {
        WT_MAY(weft_read(fds[0], got, sizeof got), WAIT_ERRORS);
    }
    WT_MAY(weft_close(fds[0]));
    WT_MAY(weft_close(fds[1]));
    return 0;
}

FAULT_TEST(frugal, local_streams_that_fail, read_shortly, 100)
