// SPDX-License-Identifier: MIT
/* test_uring.c - what only rings have: being refused, full queues, numbers that are held, and which of the two it is.
 *
 * WEFT_IO in the environment overrides options, so tests that choose for themselves unset it. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "crowd.h"
#include "forbid.h"
#include "poll/uring.h"
#include "support.h"
#include "weft_test.h"

static const weft_options one_ring = {.workers = 1, .io = WEFT_IO_URING};
static const weft_options two_rings = {.workers = 2, .io = WEFT_IO_URING};

static bool is_there(void)
{
    struct wf_uring *ring = NULL;
    int rc = wf_uring_create(&ring);
    if (rc == 0) {
        wf_uring_destroy(ring);
    }
    return rc == 0;
}

#define NEEDS_RING()                     \
    do {                                 \
        (void)unsetenv("WEFT_IO");       \
        if (!is_there()) {               \
            wt_skip("no io_uring here"); \
        }                                \
    } while (0)

static void make_pair(int fds[2])
{
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
}

/* ---- choosing ---- */

static void look_for_io(const char *line, void *arg)
{
    char *said = arg;
    if (strncmp(line, "descriptors: ", 13) == 0) {
        (void)snprintf(said, 16, "%s", line + 13);
    }
}

static intptr_t tell_io(void *arg)
{
    return weft_dump(NULL, look_for_io, arg);
}

static void assert_io(const weft_options *options, const char *expected)
{
    char said[16] = "";
    RUN(tell_io, said, options);
    cr_assert_str_eq(said, expected);
}

Test(uring, a_dump_says_which)
{
    const weft_options epoll = {.workers = 1, .io = WEFT_IO_EPOLL};
    NEEDS_RING();
    assert_io(&one_ring, "io_uring");
    assert_io(&epoll, "epoll");
    cr_assert_eq(setenv("WEFT_IO", "epoll", 1), 0);
    assert_io(&one_ring, "epoll");
    cr_assert_eq(setenv("WEFT_IO", "uring", 1), 0);
    assert_io(&epoll, "io_uring");
    cr_assert_eq(setenv("WEFT_IO", "auto", 1), 0);
    assert_io(&epoll, "epoll");
    cr_assert_eq(setenv("WEFT_IO", "neither", 1), 0);
    assert_io(&epoll, "epoll");
}

static intptr_t pass_a_byte(void *arg)
{
    int fds[2];
    char byte = 'a';
    (void)arg;
    make_pair(fds);
    wt_check(weft_write(fds[1], &byte, 1) == 1 && weft_read(fds[0], &byte, 1) == 1);
    wt_check(weft_close(fds[0]) == 0 && weft_close(fds[1]) == 0);
    return byte;
}

/* 0, or which of the rows failed. */
static int run_forbidden(void)
{
    const weft_options automatic = {.workers = 2};
    /* as a container's filter does; under an emulator there are no rings anyway, nor filters */
    if (!wt_is_emulated() && !wt_forbid(SYS_io_uring_setup, EPERM)) {
        return 1;
    }
    if (weft_run(pass_a_byte, NULL, &one_ring) != -ENOSYS) {
        return 2;
    }
    if (weft_run(pass_a_byte, NULL, &automatic) != 'a') {
        return 3;
    }
    (void)setenv("WEFT_IO", "uring", 1);
    return weft_run(pass_a_byte, NULL, &one_ring) == 'a' ? 0 : 4;
}

Test(uring, forbidden_it_starts_without)
{
    (void)unsetenv("WEFT_IO");
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        _exit(run_forbidden());
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

/* ---- more than the queue has room for ---- */

enum { CROWD = 1500 };

static intptr_t read_in_a_crowd(void *arg)
{
    static weft_task *tasks[CROWD];
    (void)arg;
    return read_in_crowd(tasks, CROWD);
}

Test(uring, a_crowd_that_is_cancelled, .timeout = 30)
{
    NEEDS_RING();
    RUN(read_in_a_crowd, NULL, &one_ring);
    RUN(read_in_a_crowd, NULL, &two_rings);
}

static intptr_t close_under_a_crowd(void *arg)
{
    static weft_task *tasks[CROWD];
    static int fds[2];
    (void)arg;
    make_pair(fds);
    uint64_t mark = parks_now();
    for (int i = 0; i < CROWD; i++) {
        wt_check(weft_spawn(&tasks[i], read_byte, &fds[0]) == 0);
    }
    until_parked(mark, CROWD);
    wt_check(weft_close(fds[0]) == 0);
    for (int i = 0; i < CROWD; i++) {
        intptr_t result = 0;
        wt_check(weft_await(tasks[i], &result) == 0);
        wt_check(result == -EBADF);
    }
    return weft_close(fds[1]);
}

Test(uring, a_crowd_whose_descriptor_closes, .timeout = 30)
{
    NEEDS_RING();
    RUN(close_under_a_crowd, NULL, &one_ring);
    RUN(close_under_a_crowd, NULL, &two_rings);
}

/* ---- numbers ---- */

struct held {
    int fds[2];
    weft_task *reader;
    weft_task *spinner;
    atomic_int
        stage; /* 1: somebody keeps the other worker busy, with the reader behind; 2: enough */
};

static intptr_t keep_busy(void *arg)
{
    struct held *held = arg;
    atomic_store(&held->stage, 1);
    while (atomic_load(&held->stage) == 1) {
        wf_relax();
    }
    return 0;
}

/* On the other worker, which main leaves alone: the reader queues its operation and waits, and before
 * anything is submitted the spinner runs. */
static intptr_t start_both(void *arg)
{
    struct held *held = arg;
    const weft_spawn_options pinned = {.pinned = true};
    wt_check(weft_spawn_with(&held->reader, read_byte, &held->fds[0], &pinned) == 0);
    wt_check(weft_spawn_with(&held->spinner, keep_busy, held, &pinned) == 0);
    return 0;
}

/* Whether the number was held. Whoever gets it next keeps what it is sent. */
static bool close_and_reuse(struct held *held)
{
    int next[2];
    char byte = 0;
    int number = held->fds[0];
    wt_check(weft_close(number) == 0);
    bool was_held = fcntl(number, F_GETFD) >= 0;
    wt_check(!was_held || (read(number, &byte, 1) < 0 && errno == EBADF));
    make_pair(next);
    wt_check(!was_held || (next[0] != number && next[1] != number));
    wt_check(write(next[0], "a", 1) == 1 && write(next[1], "b", 1) == 1);
    atomic_store(&held->stage, 2);
    intptr_t result = 0;
    wt_check(weft_await(held->reader, &result) == 0 && result == -EBADF);
    wt_check(weft_await(held->spinner, NULL) == 0);
    wt_check(!was_held || (fcntl(number, F_GETFD) < 0 && errno == EBADF));
    wt_check(weft_read(next[1], &byte, 1) == 1 && byte == 'a');
    wt_check(weft_read(next[0], &byte, 1) == 1 && byte == 'b');
    wt_check(weft_close(next[0]) == 0 && weft_close(next[1]) == 0);
    return was_held;
}

static intptr_t hold_numbers(void *arg)
{
    int held_count = 0;
    (void)arg;
    for (int i = 0; i < 200; i++) {
        struct held held = {.stage = 0};
        weft_task *starter;
        make_pair(held.fds);
        wt_check(weft_spawn(&starter, start_both, &held) == 0);
        while (atomic_load(&held.stage) == 0) {
            wf_relax(); /* the other worker steals it */
        }
        held_count += close_and_reuse(&held);
        wt_check(weft_await(starter, NULL) == 0);
        wt_check(weft_close(held.fds[1]) == 0);
    }
    wt_check(held_count > 0);
    return 0;
}

Test(uring, a_number_is_held_while_a_ring_names_it, .timeout = 30)
{
    NEEDS_RING();
    RUN(hold_numbers, NULL, &two_rings);
}

/* ---- kinds of descriptors ---- */

static char in_file[1 << 20];
static char out_of_file[1 << 20];

static intptr_t copy_file(void *arg)
{
    char path[] = "/tmp/weft-uring-XXXXXX";
    int fd = mkstemp(path);
    (void)arg;
    wt_check(fd >= 0 && unlink(path) == 0);
    for (size_t i = 0; i < sizeof in_file; i++) {
        in_file[i] = (char)(i * 31 + (i >> 12));
    }
    wt_check(weft_write(fd, in_file, sizeof in_file) == (ssize_t)sizeof in_file);
    wt_check(fsync(fd) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* so that it must be read again */
    size_t got = 0;
    ssize_t n;
    while (got < sizeof out_of_file &&
           (n = weft_read(fd, out_of_file + got, sizeof out_of_file - got)) > 0) {
        got += (size_t)n;
    }
    wt_check(got == sizeof in_file && memcmp(in_file, out_of_file, got) == 0);
    wt_check(weft_read(fd, out_of_file, 1) == 0);
    wt_check(weft_wait_fd(fd, WEFT_READABLE) == -EPERM);
    return weft_close(fd);
}

Test(uring, files)
{
    NEEDS_RING();
    RUN(copy_file, NULL, &one_ring);
}

/* Terminals have neither MSG_DONTWAIT nor RWF_NOWAIT; blocking and not. */
static intptr_t use_terminal(void *arg)
{
    int ends[2];
    (void)arg;
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        weft_task *reader;
        intptr_t result = 0;
        wt_check(openpty(&ends[0], &ends[1], NULL, NULL, NULL) == 0);
        wt_check(fcntl(ends[1], F_SETFL, O_RDWR | flags) == 0);
        wt_check(weft_spawn(&reader, read_byte, &ends[1]) == 0);
        wt_check(weft_sleep(WEFT_MS) == 0);
        wt_check(weft_write(ends[0], "k\n", 2) == 2);
        wt_check(weft_await(reader, &result) == 0 && result == 'k');
        char rest;
        wt_check(weft_read(ends[1], &rest, 1) == 1 && rest == '\n');
        wt_check(weft_spawn(&reader, read_byte, &ends[1]) == 0);
        wt_check(weft_sleep(WEFT_MS) == 0 && weft_cancel(reader) == 1);
        wt_check(weft_await(reader, &result) == 0 && result == -ECANCELED);
        wt_check(weft_close(ends[0]) == 0 && weft_close(ends[1]) == 0);
    }
    return 0;
}

Test(uring, terminals)
{
    NEEDS_RING();
    RUN(use_terminal, NULL, &one_ring);
}

/* ---- connecting ---- */

struct caller {
    int fd;
    struct sockaddr_in address;
};

static intptr_t call_up(void *arg)
{
    struct caller *caller = arg;
    return weft_connect(caller->fd, (struct sockaddr *)&caller->address, sizeof caller->address);
}

/* A listener whose queue is full: the next connection is on its way until the kernel tries again, in a second. */
static int open_busy_listener(struct sockaddr_in *address, int *other)
{
    socklen_t length = sizeof *address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    wt_check(bind(listener, (struct sockaddr *)address, length) == 0 && listen(listener, 0) == 0);
    wt_check(getsockname(listener, (struct sockaddr *)address, &length) == 0);
    *other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    wt_check(connect(*other, (struct sockaddr *)address, length) == 0);
    return listener;
}

/* The operation is ended and made again, and the kernel says that it is at it already. */
static intptr_t connect_with_a_request_taken_back(void *arg)
{
    struct caller caller = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int other;
    weft_task *task;
    intptr_t result = -1;
    (void)arg;
    int listener = open_busy_listener(&caller.address, &other);
    wt_check(weft_spawn(&task, call_up, &caller) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0); /* the ring has it */
    wt_check(weft_cancel(task) == 1 && weft_uncancel(task) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    int taken = weft_accept(listener, NULL, NULL); /* there is room now */
    wt_check(taken >= 0 && weft_close(taken) == 0);
    wt_check(weft_await(task, &result) == 0 && result == 0);
    wt_check(weft_close(other) == 0);
    return weft_close(caller.fd) == 0 ? weft_close(listener) : -EIO;
}

Test(uring, a_request_taken_back_leaves_a_connection_alone, .timeout = 20)
{
    NEEDS_RING();
    RUN(connect_with_a_request_taken_back, NULL, &one_ring);
}

/* ---- waits that last longer ---- */

/* A selection and a watch go to the poller, which a ring looks after while its worker sleeps in it. */
static intptr_t hang_up_later(void *arg)
{
    wt_check(weft_sleep(WEFT_MS) == 0);
    return weft_close(*(const int *)arg);
}

static intptr_t watch_and_select(void *arg)
{
    int fds[2];
    weft_task *other;
    weft_watch watch;
    (void)arg;
    make_pair(fds);
    weft_case one = weft_case_fd(fds[0], WEFT_READABLE);
    wt_check(weft_spawn(&other, hang_up_later, &fds[1]) == 0);
    wt_check(weft_watch_enter(&watch, fds[0], 0) == 0);
    wt_check(weft_watch_leave(&watch, weft_sleep(10 * WEFT_S)) == -ECONNRESET);
    wt_check(weft_select(&one, 1, 0) == 0 && (one.outcome & WEFT_HANGUP) != 0);
    wt_check(weft_await(other, NULL) == 0);
    return weft_close(fds[0]);
}

Test(uring, watches_and_selections, .timeout = 20)
{
    NEEDS_RING();
    RUN(watch_and_select, NULL, &one_ring);
    RUN(watch_and_select, NULL, &two_rings);
}

/* What was done before the bytes were sent is seen by whoever has them: for ThreadSanitizer to object to. */
struct parcel {
    int fds[2];
    int content; /* not atomic: the bytes order it */
};

static intptr_t send_parcels(void *arg)
{
    struct parcel *parcel = arg;
    char byte = 0;
    for (int i = 1; i <= 500; i++) {
        parcel->content = i;
        wt_check(weft_send(parcel->fds[1], "p", 1, 0) == 1);
        wt_check(weft_recv(parcel->fds[1], &byte, 1, 0) == 1);
    }
    return 0;
}

static intptr_t pass_parcels(void *arg)
{
    struct parcel parcel = {.content = 0};
    weft_task *sender;
    char byte = 0;
    (void)arg;
    make_pair(parcel.fds);
    wt_check(weft_spawn(&sender, send_parcels, &parcel) == 0);
    for (int i = 1; i <= 500; i++) {
        wt_check(weft_recv(parcel.fds[0], &byte, 1, 0) == 1);
        wt_check(parcel.content == i);
        wt_check(weft_send(parcel.fds[0], "t", 1, 0) == 1);
    }
    wt_check(weft_await(sender, NULL) == 0);
    return weft_close(parcel.fds[0]) == 0 ? weft_close(parcel.fds[1]) : -EIO;
}

Test(uring, bytes_order_what_tasks_do)
{
    NEEDS_RING();
    RUN(pass_parcels, NULL, &two_rings);
}

/* ---- alarms: a ring without a runtime, slept in by the test's thread ---- */

enum { US = 1000 };

static struct wf_uring *open_own_ring(void)
{
    struct wf_uring *ring = NULL;
    cr_assert_eq(wf_uring_create(&ring), 0);
    cr_assert_eq(wf_uring_enable(ring), 0);
    return ring;
}

static void close_own_ring(struct wf_uring *ring)
{
    wf_uring_leave(ring);
    wf_uring_destroy(ring);
}

/* Another ring that the thread had, such as the one that NEEDS_RING has tried, interrupts a sleep when the kernel
 * comes to end it. */
enum { INTERRUPTED_MOST = 2 };
static int early_ends;

/* Returns how many entries the sleep has queued. */
static uint32_t sleep_until(struct wf_uring *ring, int64_t deadline_ns, int64_t following_ns)
{
    uint32_t before = ring->tail;
    int64_t now_ns = wf_monotonic_ns();
    while (now_ns < deadline_ns) {
        struct wf_uring_limit limit = {now_ns, deadline_ns, following_ns};
        struct wf_later later;
        wf_later_init(&later);
        cr_assert_eq(wf_uring_sleep(ring, &limit, &later), 0);
        now_ns = wf_monotonic_ns();
        early_ends += now_ns < deadline_ns;
    }
    cr_assert_leq(early_ends, INTERRUPTED_MOST, "sleeps have ended early");
    return ring->tail - before;
}

/* Where the kernel can tell: newer than the headers. */
Test(uring, a_sleeper_waits_for_no_disk, .timeout = 10)
{
    NEEDS_RING();
    const uint32_t can_tell = 1U << 17;
    struct io_uring_params params = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 4, &params);
    cr_assert_geq(fd, 0);
    (void)close(fd);
    struct wf_uring *ring = open_own_ring();
    bool is_told = (ring->enter_flags & WF_URING_NO_IOWAIT) != 0;
    cr_assert_eq(is_told, (params.features & can_tell) != 0);
    (void)sleep_until(ring, wf_monotonic_ns() + 100 * US, WF_FOREVER);
    cr_assert_not(wf_uring_has_queued(ring), "and takes it");
    close_own_ring(ring);
}

Test(uring, an_alarm_for_the_next_sleep_is_there, .timeout = 10)
{
    NEEDS_RING();
    struct wf_uring *ring = open_own_ring();
    int64_t start_ns = wf_monotonic_ns();
    (void)sleep_until(ring, start_ns + 100 * US, WF_FOREVER); /* the ring's own poll is there now */
    start_ns = wf_monotonic_ns();
    cr_assert_eq(sleep_until(ring, start_ns + 500 * US, start_ns + 3500 * US), 2U);
    cr_assert(wf_uring_has_alarm_any(ring));
    if (wf_monotonic_ns() < start_ns + 3500 * US) { /* this machine has not been away for so long */
        cr_assert_eq(sleep_until(ring, start_ns + 3500 * US, WF_FOREVER), 0U);
        cr_assert_not(wf_uring_has_alarm_any(ring));
    }
    close_own_ring(ring);
}

Test(uring, an_alarm_for_nothing_ends_no_sleep, .timeout = 10)
{
    NEEDS_RING();
    struct wf_uring *ring = open_own_ring();
    for (int i = 0; i < 20; i++) {
        int64_t start_ns = wf_monotonic_ns();
        (void)sleep_until(ring, start_ns + 100 * US, start_ns + 200 * US);
        if (i % 2 == 0) { /* one that has rung while the thread was awake */
            while (wf_monotonic_ns() < start_ns + 300 * US) {
            }
        }
        (void)sleep_until(ring, start_ns + 900 * US, WF_FOREVER);
    }
    close_own_ring(ring);
}

/* Each of these sleeps would last for ever if it had neither. */
Test(uring, without_an_alarm_there_is_a_limit, .timeout = 10)
{
    NEEDS_RING();
    struct wf_uring *ring = open_own_ring();
    (void)sleep_until(ring, wf_monotonic_ns() + 6000 * US, WF_FOREVER); /* too far away for one */
    cr_assert_not(wf_uring_has_alarm_any(ring));
    wf_uring_end_alarm(ring, 0, -EINVAL);
    for (int i = 0; i < 3; i++) {
        int64_t start_ns = wf_monotonic_ns();
        cr_assert_eq(sleep_until(ring, start_ns + 500 * US, start_ns + 600 * US), 0U);
    }
    close_own_ring(ring);
}
