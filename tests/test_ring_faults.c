// SPDX-License-Identifier: MIT
/* test_ring_faults.c - operations and calls of a ring fail one by one: a call tells the error, or it is made again;
 * nothing is lost, nothing hangs, nothing stays open. How is in ring_faults.h. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <weft.h>

#include "crowd.h"
#include "ring_faults.h"
#include "support.h"

/* The error that a call may tell, once for each operation that has failed of it; 0: none may. */
static int32_t expected;
static atomic_int told;

static bool is_told(int64_t rc)
{
    bool yes = expected != 0 && rc == expected && atomic_load(&told) < wt_ring_spoilt();
    if (yes) {
        atomic_fetch_add(&told, 1);
    }
    return yes;
}

/* The call, again until it does not tell the fault any more. */
#define CALL(Rc, ...)         \
    do {                      \
        (Rc) = (__VA_ARGS__); \
    } while (is_told(Rc))

/* ---- bytes from one task to another ---- */

enum { BYTES = 24000, PART = 1500 };

struct way {
    ssize_t (*read)(int fd, void *buffer, size_t length);
    ssize_t (*write)(int fd, const void *buffer, size_t length);
    int fds[2];
};

static char byte_at(size_t at)
{
    return (char)(at * 7 + (at >> 8));
}

static intptr_t produce(void *arg)
{
    struct way *way = arg;
    char part[PART];
    for (size_t sent = 0; sent < BYTES;) {
        size_t count = BYTES - sent < PART ? BYTES - sent : PART;
        for (size_t i = 0; i < count; i++) {
            part[i] = byte_at(sent + i);
        }
        ssize_t n;
        CALL(n, way->write(way->fds[1], part, count));
        if (!wt_check(n > 0 && (size_t)n <= count)) {
            break;
        }
        sent += (size_t)n;
    }
    return weft_close(way->fds[1]);
}

static intptr_t consume(void *arg)
{
    struct way *way = arg;
    char part[PART];
    size_t got = 0;
    ssize_t n;
    do {
        CALL(n, way->read(way->fds[0], part, sizeof part));
        wt_check(n >= 0);
        for (ssize_t i = 0; i < n; i++) {
            wt_check(part[i] == byte_at(got + (size_t)i));
        }
        got += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    wt_check(got == BYTES);
    return weft_close(way->fds[0]);
}

static intptr_t move(struct way *way)
{
    weft_task *consumer;
    weft_task *producer;
    wt_check(weft_spawn(&consumer, consume, way) == 0 && weft_yield() == 0);
    wt_check(weft_spawn(&producer, produce, way) == 0);
    return finish(consumer) == 0 ? finish(producer) : -EIO;
}

/* Two ends with little room between them. */
static void make_pair(int fds[2])
{
    int room = 4096;
    wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    wt_check(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
}

static ssize_t receive_message(int fd, void *buffer, size_t length)
{
    struct iovec part = {buffer, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return weft_recvmsg(fd, &message, 0);
}

static ssize_t send_message(int fd, const void *buffer, size_t length)
{
    struct iovec part = {(void *)(uintptr_t)buffer, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return weft_sendmsg(fd, &message, 0);
}

static intptr_t use_sockets(void *arg)
{
    struct way way = {.read = weft_read, .write = weft_write};
    (void)arg;
    make_pair(way.fds);
    return move(&way);
}

static intptr_t use_messages(void *arg)
{
    struct way way = {.read = receive_message, .write = send_message};
    (void)arg;
    make_pair(way.fds);
    return move(&way);
}

static intptr_t use_pipe(void *arg)
{
    struct way way = {.read = weft_read, .write = weft_write};
    (void)arg;
    wt_check(pipe2(way.fds, O_CLOEXEC) == 0 && fcntl(way.fds[1], F_SETPIPE_SZ, 4096) >= 0);
    return move(&way);
}

/* ---- connections ---- */

static intptr_t take_one(void *arg)
{
    int listener = *(int *)arg;
    int fd;
    ssize_t n;
    char byte = 0;
    CALL(fd, weft_accept(listener, NULL, NULL));
    wt_check(fd >= 0);
    CALL(n, weft_read(fd, &byte, 1));
    wt_check(n == 1 && byte == 'x');
    return weft_close(fd);
}

static intptr_t use_connections(void *arg)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)arg;
    wt_check(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 4) == 0);
    wt_check(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    for (int i = 0; i < 2; i++) {
        weft_task *taker;
        int64_t rc;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        wt_check(weft_spawn(&taker, take_one, &listener) == 0 && weft_yield() == 0);
        CALL(rc, weft_connect(fd, (struct sockaddr *)&address, length));
        wt_check(rc == 0);
        CALL(rc, weft_wait_fd(fd, WEFT_WRITABLE));
        wt_check((rc & WEFT_WRITABLE) != 0);
        CALL(rc, weft_write(fd, "x", 1));
        wt_check(rc == 1 && finish(taker) == 0 && weft_close(fd) == 0);
    }
    return weft_close(listener);
}

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

/* ---- runs ---- */

static void run_once(const char *name, weft_fn *fn, int workers, const struct wt_ring_plan *plan)
{
    const weft_options options = {.workers = workers, .io = WEFT_IO_URING, .diagnostic = ignore};
    int before = count_descriptors();
    wt_ring_begin(name, plan);
    atomic_store(&told, 0);
    wt_check(weft_run(fn, NULL, &options) == 0);
    wt_ring_end();
    wt_check(count_descriptors() == before);
    bool may_be_silent = expected == -EAGAIN; /* some wait, and try again */
    wt_check(expected == 0 || (atomic_load(&told) <= wt_ring_seen.spoilt &&
                               (may_be_silent || atomic_load(&told) == wt_ring_seen.spoilt)));
    if (atomic_load(&wt_failures) != 0) {
        fprintf(stderr, "%s, %d workers: told %d of %d\n", wt_ring_text, workers,
                atomic_load(&told), wt_ring_seen.spoilt);
        wt_assert_clean();
    }
}

struct sweep {
    const char *name;
    weft_fn *fn;
    int workers;
    struct wt_ring_seen clean;
    int runs, missed;
};

static void try_plan(struct sweep *sweep, const struct wt_ring_plan *plan)
{
    run_once(sweep->name, sweep->fn, sweep->workers, plan);
    sweep->runs++;
    sweep->missed += wt_ring_seen.spoilt + wt_ring_seen.refused == 0;
}

/* The first, the second and the last of `count`, alone and three in a row. */
static void try_some(struct sweep *sweep, struct wt_ring_plan plan, int count)
{
    for (plan.times = 1; plan.times <= 3; plan.times += 2) {
        for (plan.nth = 1; plan.nth <= count && plan.nth <= 2; plan.nth++) {
            try_plan(sweep, &plan);
        }
        if (count > 2) {
            plan.nth = count;
            try_plan(sweep, &plan);
        }
    }
}

/* ---- completions ---- */

/* Of those a call tells: what ended it, and did nothing, is made again. */
static bool is_telling(int32_t result)
{
    return result != 0 && result != -EINTR && result != -ECANCELED;
}

static void spoil_operations(struct sweep *sweep)
{
    const int32_t results[] = {0, -EINTR, -ECANCELED, -ENOMEM, -ENOBUFS, -EBADF, -EAGAIN};
    for (unsigned opcode = 0; opcode < WT_OPCODES; opcode++) {
        for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
            bool has_length = opcode == IORING_OP_RECV || opcode == IORING_OP_SEND ||
                              opcode == IORING_OP_READ || opcode == IORING_OP_WRITE;
            if (results[i] != 0 || has_length) {
                expected = is_telling(results[i]) ? results[i] : 0;
                try_some(sweep,
                         (struct wt_ring_plan){
                             .kind = WT_RING_OP, .opcode = opcode, .result = results[i]},
                         sweep->clean.opcodes[opcode]);
            }
        }
    }
    expected = 0;
}

/* What is the ring's own no call hears of. */
static void spoil_own(struct sweep *sweep)
{
    static const struct {
        enum wt_ring_kind kind;
        int32_t result;
    } faults[] = {
        {WT_RING_CANCEL, -ENOENT},   {WT_RING_CANCEL, -ENOMEM},    {WT_RING_CANCEL, -EINTR},
        {WT_RING_CANCEL, -EAGAIN},   {WT_RING_CANCEL, -ECANCELED}, {WT_RING_WAKE, -ENOMEM},
        {WT_RING_WAKE, -ECANCELED},  {WT_RING_WAKE, -EBADF},       {WT_RING_WATCH, -ENOMEM},
        {WT_RING_WATCH, -ECANCELED}, {WT_RING_ALARM, -EBUSY},      {WT_RING_ALARM, -ENOMEM},
        {WT_RING_ALARM, -ECANCELED}, {WT_RING_ALARM, -EINTR},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct wt_ring_plan plan = {.kind = faults[i].kind, .result = faults[i].result};
        try_some(sweep, plan, sweep->clean.kinds[faults[i].kind]);
    }
}

/* ---- calls ---- */

static void refuse_calls(struct sweep *sweep)
{
    enum { CALLS_MOST = 8 };
    const int errors[] = {0, EINTR, EAGAIN, EBUSY, ENOMEM};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct wt_ring_plan plan = {.kind = WT_RING_NOTHING, .call_error = errors[i]};
        for (plan.calls = 1; plan.calls <= 4; plan.calls += 3) {
            for (plan.call_nth = 1;
                 plan.call_nth <= sweep->clean.calls && plan.call_nth <= CALLS_MOST;
                 plan.call_nth++) {
                try_plan(sweep, &plan);
            }
        }
    }
}

static void need_ring(void)
{
    struct wf_uring *ring = NULL;
    (void)unsetenv("WEFT_IO");
    if (wf_uring_create(&ring) < 0) {
        wt_skip("no io_uring here");
    }
    wf_uring_destroy(ring);
}

static void sweep_faults(const char *name, weft_fn *fn)
{
    need_ring();
    for (int workers = 1; workers <= 2; workers++) {
        struct sweep sweep = {.name = name, .fn = fn, .workers = workers};
        try_plan(&sweep, &(struct wt_ring_plan){.kind = WT_RING_NOTHING});
        sweep.clean = wt_ring_seen;
        sweep.runs = 0;
        sweep.missed = 0;
        spoil_operations(&sweep);
        spoil_own(&sweep);
        refuse_calls(&sweep);
        for (unsigned entries = 1; entries <= 4; entries *= 2) {
            try_plan(&sweep, &(struct wt_ring_plan){.kind = WT_RING_NOTHING, .entries = entries});
        }
        fprintf(stderr, "%s, %d workers: %d runs, %d without their fault\n", name, workers,
                sweep.runs, sweep.missed);
        cr_assert(sweep.runs > 2 * sweep.missed);
    }
}

#define FAULT_TEST(Name)                                    \
    Test(ring_faults, Name, .timeout = 200 * WT_TIME_SCALE) \
    {                                                       \
        sweep_faults(#Name, use_##Name);                    \
    }

FAULT_TEST(sockets)
FAULT_TEST(messages)
FAULT_TEST(pipe)
FAULT_TEST(connections)
FAULT_TEST(files)
FAULT_TEST(requests)
FAULT_TEST(sleeps)
FAULT_TEST(others)

/* ---- more completions than there is room for ---- */

enum { CROWD = 300 };

static intptr_t read_in_a_crowd(void *arg)
{
    static weft_task *tasks[CROWD];
    (void)arg;
    return read_in_crowd(tasks, CROWD);
}

Test(ring_faults, completions_without_room, .timeout = 100 * WT_TIME_SCALE)
{
    need_ring();
    for (unsigned entries = 1; entries <= 8; entries *= 2) {
        struct wt_ring_plan plan = {.kind = WT_RING_NOTHING, .entries = entries};
        run_once("crowd", read_in_a_crowd, 1, &plan);
        cr_assert_gt(wt_ring_seen.overflows, 0);
        run_once("crowd", read_in_a_crowd, 2, &plan);
        plan.call_nth = (int)entries;
        plan.calls = 5;
        plan.call_error = EBUSY;
        run_once("crowd", read_in_a_crowd, 1, &plan);
        cr_assert_eq(wt_ring_seen.refused, 5);
    }
}

/* ---- no room for what ends a sleep: a ring without a runtime ---- */

enum { QUEUED = 256 };

static struct wf_op queued[QUEUED];
static struct io_uring_sqe silent;
static int silence[2];

/* The next call that submits is refused, and so there will be no room before the one after it. */
static struct wf_uring *open_full_ring(const char *name)
{
    const struct wt_ring_plan plan = {
        .kind = WT_RING_NOTHING, .call_nth = 1, .calls = 1, .call_error = EAGAIN};
    struct wf_uring *ring = NULL;
    cr_assert_eq(wf_uring_create(&ring), 0);
    cr_assert_eq(wf_uring_enable(ring), 0);
    wt_ring_own = ring;
    wt_ring_begin(name, &plan);
    cr_assert_eq(pipe2(silence, O_CLOEXEC), 0);
    silent = (struct io_uring_sqe){
        .opcode = IORING_OP_POLL_ADD, .fd = silence[0], .poll32_events = POLLIN};
    cr_assert_eq(ring->sq_mask, QUEUED - 1U);
    return ring;
}

static void fill(struct wf_uring *ring)
{
    for (int i = 0; i < QUEUED; i++) {
        queued[i].entry = &silent;
        wf_uring_push(ring, &queued[i]);
    }
}

static void sleep_for_ever(struct wf_uring *ring)
{
    struct wf_uring_limit limit = {wf_monotonic_ns(), WF_FOREVER, WF_FOREVER};
    struct wf_later later;
    wf_later_init(&later);
    (void)wf_uring_sleep(ring, &limit, &later);
}

static void close_full_ring(struct wf_uring *ring)
{
    wt_ring_end();
    wt_ring_own = NULL;
    wf_uring_leave(ring);
    wf_uring_destroy(ring);
    (void)close(silence[0]);
    (void)close(silence[1]);
}

Test(ring_faults, no_room_for_the_poll_that_ends_sleeps, .timeout = 30 * WT_TIME_SCALE)
{
    need_ring();
    struct wf_uring *ring = open_full_ring("wake");
    fill(ring);
    sleep_for_ever(ring); /* comes back, since nobody could end it */
    cr_assert_eq(wt_ring_seen.refused, 1);
    wf_uring_poke_any(ring);
    sleep_for_ever(ring);
    cr_assert_eq(wt_ring_seen.kinds[WT_RING_WAKE], 1);
    close_full_ring(ring);
}

Test(ring_faults, no_room_for_the_poll_of_the_poller, .timeout = 30 * WT_TIME_SCALE)
{
    need_ring();
    int other[2];
    struct wf_uring *ring = open_full_ring("watch");
    cr_assert_eq(pipe2(other, O_CLOEXEC), 0);
    wt_ring_plan.call_nth = 2;
    wf_uring_poke_any(ring);
    sleep_for_ever(ring); /* its own poll is there now */
    fill(ring);
    wf_uring_watch(ring, other[0]);
    cr_assert_eq(wt_ring_seen.refused, 1);
    sleep_for_ever(ring); /* comes back, and says that one should look */
    cr_assert(ring->was_ready);
    ring->was_ready = false;
    wf_uring_watch(ring, other[0]);
    cr_assert_eq(write(other[1], "x", 1), 1);
    while (!ring->was_ready) {
        sleep_for_ever(ring);
    }
    cr_assert_eq(wt_ring_seen.kinds[WT_RING_WATCH], 1);
    close_full_ring(ring);
    (void)close(other[0]);
    (void)close(other[1]);
}
