/* SPDX-License-Identifier: MIT */
/* test_faults_io.c - system calls fail one by one under calls on descriptors: they say so by a negative errno, or cope,
 * and nothing is left open. What for is in faults.h. */
#include <sys/stat.h>

#include "faults.h"
#include "support.h"
#include "weft_test.h"

/* ---- a pair of sockets ---- */

static intptr_t talk(void *arg)
{
    char text[8] = "";
    struct iovec parts[2] = {{text, 2}, {text + 2, 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    int fds[2];

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        wt_check(wt_fault_error != 0);
        return 0;
    }
    if (WT_MAY(weft_send(fds[0], "ab", 2, 0))) {
        WT_MAY(weft_recv(fds[1], text, 2, 0), WAIT_ERRORS);
    }
    if (WT_MAY(weft_write(fds[0], "cdef", 4), WAIT_ERRORS)) {
        WT_MAY(weft_readv(fds[1], parts, 2), WAIT_ERRORS);
    }
    if (WT_MAY(weft_sendmsg(fds[1], &message, 0), WAIT_ERRORS)) {
        WT_MAY(weft_recvmsg(fds[0], &message, 0), WAIT_ERRORS);
    }
    if (WT_MAY(weft_writev(fds[0], parts, 2), WAIT_ERRORS)) {
        WT_MAY(weft_read(fds[1], text, 4), WAIT_ERRORS);
    }
    WT_MAY(weft_shutdown(fds[0], SHUT_WR));
    WT_MAY(weft_close(fds[0]));
    WT_MAY(weft_close(fds[1]));
    return 0;
}

FAULT_TEST(faults_io, pair, talk, 150)

/* ---- waiting for descriptors ---- */

static intptr_t read_one(void *arg)
{
    char byte;
    return weft_read(*(int *)arg, &byte, 1);
}

/* A reader that waits, and is answered or cancelled. */
static void meet_reader(int fds[2])
{
    weft_task *reader;
    intptr_t result = 0;

    if (!WT_MAY(weft_spawn(&reader, read_one, &fds[1]))) {
        return;
    }
    wt_check(weft_yield() == 0);
    if (!WT_MAY(weft_write(fds[0], "x", 1), WAIT_ERRORS)) {
        weft_cancel(reader);
    }
    wt_check(weft_await(reader, &result) == 0);
    WT_MAY(result, WAIT_ERRORS, ECANCELED);
}

static void watch_for(int fd)
{
    weft_watch watch;
    int rc = weft_watch_enter(&watch, fd, 0);

    if (WT_MAY(rc, WAIT_ERRORS)) {
        wt_check(weft_watch_leave(&watch, weft_sleep(50 * WEFT_US)) == 0);
    }
}

static void select_from(int fds[2])
{
    weft_case cases[] = {
        weft_case_fd(fds[0], WEFT_READABLE),
        weft_case_fd(fds[1], WEFT_READABLE),
        weft_case_after(100 * WEFT_US),
    };
    int chosen = weft_select(cases, 3, 0);

    if (WT_MAY(chosen) && chosen < 2) {
        WT_MAY(cases[chosen].outcome, WAIT_ERRORS); /* a byte may have been left there */
    }
}

static intptr_t wait_for_some(void *arg)
{
    int fds[2];
    int rc;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        wt_check(wt_fault_error != 0);
        return 0;
    }
    WT_MAY(weft_wait_fd(fds[0], WEFT_WRITABLE), WAIT_ERRORS);
    meet_reader(fds);
    watch_for(fds[0]);
    select_from(fds);
    rc = (int)weft_within(100 * WEFT_US, weft_wait_fd(fds[0], WEFT_READABLE));
    if (rc != -ETIMEDOUT) {
        wt_check(rc < 0);
        WT_MAY(rc, WAIT_ERRORS);
    }
    WT_MAY(weft_close(fds[0]));
    WT_MAY(weft_close(fds[1]));
    return 0;
}

FAULT_TEST(faults_io, waits, wait_for_some, 200)

/* ---- TCP ---- */

static int converse(int fd)
{
    char text[8];
    weft_stream stream;
    int rc = weft_stream_open(&stream, fd, fd, NULL);

    if (rc < 0) {
        (void)weft_close(fd);
        return rc;
    }
    rc = weft_stream_write(&stream, "hello\r\n", 7);
    rc = rc == 0 ? weft_stream_flush(&stream) : rc;
    rc = rc == 0 ? weft_stream_wait(&stream) : rc;
    rc = rc == 0 ? (int)weft_stream_read_line(&stream, text, sizeof text) : rc;
    wt_check(rc < 0 || strcmp(text, "hello") == 0);
    rc = rc > 0 ? weft_stream_shut(&stream) : rc;
    weft_stream_close(&stream);
    return rc;
}

static int echo_on(int fd)
{
    char text[64];
    ssize_t n;

    do {
        n = weft_recv(fd, text, sizeof text, 0);
        for (ssize_t sent = 0; n > 0 && sent < n;) {
            ssize_t more = weft_send(fd, text + sent, (size_t)(n - sent), 0);
            sent += more > 0 ? more : 0;
            n = more < 0 ? more : n;
        }
    } while (n > 0);
    return (int)n;
}

/* Closes the listener, so that a client whom nobody serves learns it. */
static intptr_t serve_one(void *arg)
{
    int listener = *(int *)arg;
    int fd = weft_accept(listener, NULL, NULL);
    int rc = fd < 0 ? fd : echo_on(fd);

    if (fd >= 0) {
        (void)weft_close(fd);
    }
    (void)weft_close(listener);
    return rc;
}

static intptr_t over_loopback(void *arg)
{
    const weft_connect_options quickly = {.no_delay = true};
    weft_address address = {.length = sizeof address.as.v4};
    int listener = weft_listen_tcp("127.0.0.1", 0, NULL);
    int port = listener >= 0 ? weft_local_port(listener) : -1;
    weft_task *server;
    intptr_t result = 0;
    int fd;

    (void)arg;
    if (!WT_MAY(listener) || !WT_MAY(port) || !WT_MAY(weft_spawn(&server, serve_one, &listener))) {
        (void)(listener >= 0 ? weft_close(listener) : 0);
        return 0;
    }
    address.as.v4 = (struct sockaddr_in){.sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fd = weft_connect_any(&address, 1, &quickly);
    if (WT_MAY(fd, PEER_ERRORS)) {
        WT_MAY(converse(fd), PEER_ERRORS);
    } else {
        weft_cancel(server);
    }
    wt_check(weft_await(server, &result) == 0);
    WT_MAY(result, PEER_ERRORS);
    return 0;
}

FAULT_TEST(faults_io, tcp, over_loopback, 200)

/* ---- files ---- */

static char directory[] = "/tmp/weft_faults_XXXXXX";

static char *in_directory(const char *name)
{
    static char paths[4][64];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void write_and_read(int fd)
{
    char text[8] = "";
    struct statx status;

    if (WT_MAY(weft_write(fd, "abcd", 4), WAIT_ERRORS) &&
        WT_MAY(weft_pwrite(fd, "efgh", 4, 4), WAIT_ERRORS)) {
        WT_MAY(weft_fsync(fd), WAIT_ERRORS);
        WT_MAY(weft_fdatasync(fd), WAIT_ERRORS);
        if (WT_MAY(weft_pread(fd, text, 8, 0), WAIT_ERRORS)) {
            wt_check(memcmp(text, "abcdefgh", 8) == 0);
        }
        WT_MAY(weft_read(fd, text, 4), WAIT_ERRORS);
        WT_MAY(weft_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status), WAIT_ERRORS);
    }
}

static intptr_t use_file(void *arg)
{
    int fd = weft_open(in_directory("file"), O_RDWR | O_CREAT | O_TRUNC, 0600);

    (void)arg;
    if (!WT_MAY(fd, WAIT_ERRORS)) {
        return 0;
    }
    write_and_read(fd);
    WT_MAY(weft_close(fd));
    WT_MAY(weft_rename(in_directory("file"), in_directory("other")), WAIT_ERRORS);
    WT_MAY(weft_unlink(in_directory("other")), WAIT_ERRORS, ENOENT);
    if (WT_MAY(weft_mkdir(in_directory("room"), 0700), WAIT_ERRORS, EEXIST)) {
        WT_MAY(weft_unlinkat(AT_FDCWD, in_directory("room"), AT_REMOVEDIR), WAIT_ERRORS);
    }
    return 0;
}

static void file(void)
{
    run_on_both(use_file);
    wt_stop_faults();
    (void)unlink(in_directory("file"));
    (void)unlink(in_directory("other"));
    (void)rmdir(in_directory("room"));
}

static void make_directory(void)
{
    cr_assert_not_null(mkdtemp(directory));
}

static void remove_directory(void)
{
    (void)rmdir(directory);
}

Test(faults_io, file, .init = make_directory, .fini = remove_directory,
     .timeout = 300 * WT_TIME_SCALE)
{
    wt_sweep_faults("file", file, 200);
}

/* ---- from one to another ---- */

static intptr_t move_bytes(void *arg)
{
    int both[2];
    int pair[2];
    off_t offset = 0;
    int fd = weft_open("/proc/self/exe", O_RDONLY, 0);

    (void)arg;
    if (!WT_MAY(fd, WAIT_ERRORS)) {
        return 0;
    }
    if (pipe2(both, O_CLOEXEC | O_NONBLOCK) == 0) {
        if (WT_MAY(weft_splice(fd, &offset, both[1], NULL, 512, 0), WAIT_ERRORS) &&
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) {
            WT_MAY(weft_splice(both[0], NULL, pair[0], NULL, 512, 0), WAIT_ERRORS);
            WT_MAY(weft_sendfile(pair[0], fd, &offset, 512), WAIT_ERRORS);
            WT_MAY(weft_close(pair[0]));
            WT_MAY(weft_close(pair[1]));
        }
        WT_MAY(weft_close(both[0]));
        WT_MAY(weft_close(both[1]));
    }
    WT_MAY(weft_close(fd));
    return 0;
}

FAULT_TEST(faults_io, moves, move_bytes, 200)
