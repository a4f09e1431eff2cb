// SPDX-License-Identifier: MIT
/* test_file.c - files at an offset and by name. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "io_test.h"

/* ---- a folder for the time of a test ---- */

static char folder[64];

static const char *inside(const char *name)
{
    static _Thread_local char paths[4][128];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void make_folder(void)
{
    strcpy(folder, "/tmp/weft_files_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

/* Fails if a test leaves something in it. */
static void remove_folder(void)
{
    cr_assert_eq(rmdir(folder), 0, "errno %d", errno);
}

/* ---- at an offset ---- */

enum { FILE_BYTES = 300000 };

static char pattern(size_t at)
{
    return (char)(at * 2654435761U >> 13);
}

static int make_patterned(void)
{
    static char bytes[FILE_BYTES];
    int fd = make_file();
    for (size_t i = 0; i < FILE_BYTES; i++) {
        bytes[i] = pattern(i);
    }
    wt_check(weft_pwrite(fd, bytes, FILE_BYTES, 0) == FILE_BYTES);
    return fd;
}

static bool reads_right(int fd, size_t length, size_t offset)
{
    static char buffer[4][2 << 20];
    static atomic_uint next;
    char *bytes = buffer[atomic_fetch_add(&next, 1) % 4];
    size_t expected = offset >= FILE_BYTES ? 0 : FILE_BYTES - offset;
    expected = length < expected ? length : expected;
    bool is_right = weft_pread(fd, bytes, length, (off_t)offset) == (ssize_t)expected;
    for (size_t i = 0; i < expected && is_right; i++) {
        is_right = bytes[i] == pattern(offset + i);
    }
    return is_right;
}

static intptr_t offsets(void *arg)
{
    int fd = make_patterned();
    (void)arg;
    wt_check(reads_right(fd, 10, 0));
    wt_check(reads_right(fd, 4096, 4095));
    wt_check(reads_right(fd, FILE_BYTES, 0));
    wt_check(reads_right(fd, FILE_BYTES, 1)); /* short: the end */
    wt_check(reads_right(fd, 2 << 20, 0));    /* for a thread, and short */
    wt_check(reads_right(fd, 1, FILE_BYTES));
    wt_check(reads_right(fd, 0, 0));
    wt_check(reads_right(fd, 4096, 1 << 30));
    wt_check(lseek(fd, 0, SEEK_CUR) == 0); /* no position has moved */
    wt_check(weft_pwrite(fd, "far", 3, FILE_BYTES + 5000) == 3);
    char gap[4] = "xxx";
    wt_check(weft_pread(fd, gap, 4, FILE_BYTES + 4999) == 4);
    wt_check(memcmp(gap, "\0far", 4) == 0);
    wt_check(weft_fsync(fd) == 0);
    wt_check(weft_fdatasync(fd) == 0);
    wt_check(weft_close(fd) == 0);
    return 0;
}

/* What the cache has lost must come from the disk. */
static intptr_t uncached(void *arg)
{
    int fd = make_patterned();
    (void)arg;
    wt_check(weft_fsync(fd) == 0);
    for (int i = 0; i < 20; i++) {
        wt_check(posix_fadvise(fd, i % 2 == 0 ? 0 : 40960, 0, POSIX_FADV_DONTNEED) == 0);
        wt_check(reads_right(fd, FILE_BYTES, 0));
    }
    wt_check(weft_close(fd) == 0);
    return 0;
}

static intptr_t other_files(void *arg)
{
    char bytes[64];
    (void)arg;
    int fd = weft_open("/proc/self/status", O_RDONLY, 0);
    wt_check(fd >= 0 && weft_pread(fd, bytes, 5, 0) == 5 && memcmp(bytes, "Name:", 5) == 0);
    wt_check(weft_close(fd) == 0);
    fd = weft_open("/dev/zero", O_RDWR, 0);
    wt_check(fd >= 0 && weft_pread(fd, bytes, 5, 7) == 5 && bytes[4] == 0);
    wt_check(weft_pwrite(fd, bytes, 5, 7) == 5);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(file, offsets, .timeout = 60)
{
    RUN(offsets, NULL, &one_worker);
    RUN(offsets, NULL, &four_workers);
    RUN(uncached, NULL, &one_worker);
    RUN(uncached, NULL, &four_workers);
    RUN(other_files, NULL, &one_worker);
}

/* ---- by name ---- */

static intptr_t names(void *arg)
{
    struct statx status;
    int at = *(const int *)arg != 0 ? weft_open(folder, O_RDONLY | O_DIRECTORY, 0) : AT_FDCWD;
    const char *first = at == AT_FDCWD ? inside("first") : "first";
    const char *second = at == AT_FDCWD ? inside("second") : "second";
    const char *below = at == AT_FDCWD ? inside("below") : "below";
    wt_check(at == AT_FDCWD || at >= 0);
    wt_check(weft_openat(at, first, O_RDWR, 0) == -ENOENT);
    int fd = weft_openat(at, first, O_RDWR | O_CREAT | O_EXCL, 0640);
    wt_check(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    wt_check(weft_openat(at, first, O_RDWR | O_CREAT | O_EXCL, 0640) == -EEXIST);
    wt_check(weft_pwrite(fd, "12345", 5, 0) == 5);
    wt_check(weft_statx(at, first, 0, STATX_BASIC_STATS, &status) == 0);
    wt_check(status.stx_size == 5 && (status.stx_mode & 0777) == 0640);
    wt_check(weft_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status) == 0 && status.stx_size == 5);
    wt_check(weft_renameat(at, first, at, second, 0) == 0);
    wt_check(weft_statx(at, first, 0, STATX_SIZE, &status) == -ENOENT);
    wt_check(weft_mkdirat(at, below, 0700) == 0);
    wt_check(weft_mkdirat(at, below, 0700) == -EEXIST);
    wt_check(weft_renameat(at, second, at, below, RENAME_NOREPLACE) == -EEXIST);
    wt_check(weft_unlinkat(at, below, 0) == -EISDIR);
    wt_check(weft_unlinkat(at, below, AT_REMOVEDIR) == 0);
    wt_check(weft_unlinkat(at, second, 0) == 0);
    wt_check(weft_unlinkat(at, second, 0) == -ENOENT);
    wt_check(weft_close(fd) == 0);
    wt_check(at == AT_FDCWD || weft_close(at) == 0);
    return 0;
}

static intptr_t short_names(void *arg)
{
    (void)arg;
    int fd = weft_open(inside("one"), O_WRONLY | O_CREAT, 0600);
    wt_check(fd >= 0 && weft_close(fd) == 0);
    wt_check(weft_rename(inside("one"), inside("two")) == 0);
    wt_check(weft_mkdir(inside("three"), 0700) == 0);
    wt_check(weft_unlinkat(AT_FDCWD, inside("three"), AT_REMOVEDIR) == 0);
    wt_check(weft_unlink(inside("two")) == 0);
    wt_check(weft_unlink(inside("two")) == -ENOENT);
    struct statx status;
    wt_check(weft_statx(1 << 20, folder, 0, STATX_TYPE, &status) ==
             0); /* an absolute name needs none */
    wt_check(weft_statx(1 << 20, "one", 0, STATX_TYPE, &status) == -EBADF);
    return 0;
}

Test(file, names, .init = make_folder, .fini = remove_folder)
{
    int kinds[] = {0, 1};
    for (int i = 0; i < 2; i++) {
        RUN(names, &kinds[i], &one_worker);
        RUN(names, &kinds[i], &four_workers);
    }
    RUN(short_names, NULL, &one_worker);
}

/* ---- directories that are closed meanwhile ---- */

struct maker {
    int directory;
    bool makes_folder;
};

static intptr_t make_there(void *arg)
{
    const struct maker *maker = arg;
    int rc = maker->makes_folder ? weft_mkdirat(maker->directory, "made", 0700)
                                 : weft_openat(maker->directory, "made", O_WRONLY | O_CREAT, 0600);
    return rc > 0 && !maker->makes_folder ? weft_close(rc) : rc;
}

/* The number of a directory goes to another one while something is being made in the first: there it is made, or
 * nowhere. */
static intptr_t close_directory(void *arg)
{
    (void)arg;
    wt_check(mkdir(inside("first"), 0700) == 0 && mkdir(inside("other"), 0700) == 0);
    for (int i = 0; i < 300; i++) {
        struct maker maker = {open(inside("first"), O_RDONLY | O_DIRECTORY), i % 2 == 0};
        weft_task *task;
        intptr_t result = 0;
        wt_check(weft_spawn(&task, make_there, &maker) == 0);
        wt_check(weft_yield() == 0);
        wt_check(weft_close(maker.directory) == 0);
        int other = open(inside("other"), O_RDONLY | O_DIRECTORY);
        wt_check(weft_await(task, &result) == 0 && (result == 0 || result == -EBADF));
        wt_check(faccessat(other, "made", F_OK, 0) < 0);
        wt_check(close(other) == 0);
        (void)unlinkat(AT_FDCWD, inside("first/made"), maker.makes_folder ? AT_REMOVEDIR : 0);
    }
    wt_check(rmdir(inside("first")) == 0 && rmdir(inside("other")) == 0);
    return 0;
}

Test(file, directories_that_close, .init = make_folder, .fini = remove_folder, .timeout = 60)
{
    RUN(close_directory, NULL, &one_worker);
}

/* Whether a file is known by heart or not makes no difference. */
static intptr_t known_names(void *arg)
{
    struct statx status;
    (void)arg;
    int fd = weft_open(inside("one"), O_WRONLY | O_CREAT, 0600);
    wt_check(fd >= 0 && weft_pwrite(fd, "12", 2, 0) == 2 && weft_close(fd) == 0);
    wt_check(symlink("one", inside("link")) == 0);
    for (int i = 0; i < 3; i++) {
        fd = weft_open(inside("link"), O_WRONLY | O_APPEND, 0);
        int flags = fcntl(fd, F_GETFL);
        wt_check((flags & O_NONBLOCK) == 0 && (flags & O_APPEND) != 0);
        wt_check((flags & O_ACCMODE) == O_WRONLY && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        wt_check(weft_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status) == 0);
        wt_check(status.stx_size == 2);
        wt_check(weft_statx(fd, "", 0, STATX_SIZE, &status) == -ENOENT);
        wt_check(weft_close(fd) == 0);
        fd = weft_open(inside("link"), O_RDONLY | O_NONBLOCK, 0);
        wt_check((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && weft_close(fd) == 0);
        wt_check(weft_open(inside("link"), O_RDONLY | O_NOFOLLOW, 0) == -ELOOP);
        wt_check(weft_open(inside("one"), O_RDONLY | O_DIRECTORY, 0) == -ENOTDIR);
        wt_check(weft_open(folder, O_WRONLY, 0) == -EISDIR);
        wt_check(weft_statx(AT_FDCWD, inside("link"), 0, STATX_TYPE, &status) == 0);
        wt_check(S_ISREG(status.stx_mode));
        wt_check(weft_statx(AT_FDCWD, inside("link"), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) ==
                 0);
        wt_check(S_ISLNK(status.stx_mode));
        fd = weft_open(inside("one"), O_WRONLY | O_TRUNC, 0);
        wt_check(fd >= 0 && weft_pwrite(fd, "12", 2, 0) == 2 && weft_close(fd) == 0);
        fd = weft_open(folder, O_RDWR | O_TMPFILE, 0600);
        wt_check(fd == -EOPNOTSUPP || (fd >= 0 && weft_close(fd) == 0));
        fd = weft_open(inside("one"), O_PATH, 0);
        wt_check((fcntl(fd, F_GETFL) & O_PATH) != 0 && weft_close(fd) == 0);
    }
    wt_check(weft_unlink(inside("link")) == 0);
    wt_check(weft_unlink(inside("one")) == 0);
    return 0;
}

Test(file, known_names, .init = make_folder, .fini = remove_folder)
{
    RUN(known_names, NULL, &one_worker);
}

/* ---- running out of descriptors ---- */

static intptr_t run_out(void *arg)
{
    int fds[64];
    int count = 0;
    (void)arg;
    do {
        fds[count] = weft_open("/dev/null", O_RDONLY, 0);
    } while (fds[count] >= 0 && ++count < 64);
    wt_check(count > 0 && count < 64 && fds[count] == -EMFILE);
    while (count > 0) {
        wt_check(weft_close(fds[--count]) == 0);
    }
    int fd = weft_open("/dev/null", O_RDONLY, 0);
    wt_check(fd >= 0 && weft_close(fd) == 0);
    return 0;
}

static intptr_t with_few_descriptors(void *arg)
{
    struct rlimit before;
    int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
    wt_check(close(first) == 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit few = {.rlim_cur = (rlim_t)first + 20, .rlim_max = before.rlim_max};
    wt_check(setrlimit(RLIMIT_NOFILE, &few) == 0);
    intptr_t rc = run_out(arg);
    wt_check(setrlimit(RLIMIT_NOFILE, &before) == 0);
    return rc;
}

Test(file, no_descriptors_left)
{
    RUN(with_few_descriptors, NULL, &one_worker);
}

/* ---- opening what does not open ---- */

static intptr_t open_fifo(void *arg)
{
    return weft_open(inside("fifo"), *(const int *)arg, 0);
}

static intptr_t open_other_end(void *arg)
{
    int flags[] = {O_RDONLY, O_WRONLY};
    weft_task *tasks[2];
    intptr_t fds[2];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        wt_check(weft_spawn(&tasks[i], open_fifo, &flags[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        fds[i] = finish(tasks[i]);
        wt_check(fds[i] >= 0);
    }
    for (int i = 0; i < 2; i++) {
        wt_check(weft_close((int)fds[i]) == 0);
    }
    return 0;
}

static int keeper;

/* The other end comes when nobody wants the first one any more. */
static intptr_t leave_fifo(void *arg)
{
    static int reads = O_RDONLY;
    weft_task *task;
    (void)arg;
    wt_check(open_other_end(NULL) == 0);
    uint64_t mark = parks_now();
    wt_check(weft_spawn(&task, open_fifo, &reads) == 0);
    until_parked(mark, 1);
    wt_check(weft_cancel(task) == 1);
    wt_check(finish(task) == -ECANCELED);
    wt_check(weft_within(WEFT_MS, open_fifo(&reads)) == -ETIMEDOUT);
    keeper =
        open(inside("fifo"), O_RDWR | O_CLOEXEC); /* both ends: whoever waits there comes through */
    wt_check(keeper >= 0);
    return 0;
}

Test(file, fifo, .init = make_folder, .fini = remove_folder, .timeout = 20)
{
    cr_assert_eq(mkfifo(inside("fifo"), 0600), 0);
    int before = count_descriptors();
    RUN(leave_fifo, NULL, &one_worker); /* ends when all have come through */
    cr_assert_eq(close(keeper), 0);
    cr_assert_eq(count_descriptors(), before);
    cr_assert_eq(unlink(inside("fifo")), 0);
}

/* ---- cancellation ---- */

/* Requests at any moment of a read on the pool: the result or -ECANCELED, and nobody writes into the frame
 * after that. */
static intptr_t read_into_frame(void *arg)
{
    char bytes[8192];
    int fd = *(const int *)arg;
    memset(bytes, 0, sizeof bytes);
    ssize_t n = weft_pread(fd, bytes, sizeof bytes, 4096);
    if (n == sizeof bytes) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            if (bytes[i] != pattern(4096 + i)) {
                return -EILSEQ;
            }
        }
    }
    return n;
}

/* On the same stacks, with other content. */
static intptr_t watch_frame(void *arg)
{
    char bytes[8192];
    memset(bytes, 0x5a, sizeof bytes);
    for (int i = 0; i < *(const int *)arg; i++) {
        wt_check(weft_yield() == 0);
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (bytes[i] != 0x5a) {
            return -EFAULT;
        }
    }
    return 0;
}

static intptr_t cancel_reads(void *arg)
{
    int fd = make_patterned();
    int turns = 3;
    int cancelled = 0;
    (void)arg;
    wt_check(weft_fsync(fd) == 0);
    for (int i = 0; i < 1000; i++) {
        weft_task *reader;
        weft_task *watcher;
        wt_check(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
        wt_check(weft_spawn(&reader, read_into_frame, &fd) == 0);
        for (int k = i % 5; k > 0; k--) {
            wt_check(weft_yield() == 0);
        }
        int64_t moment_ns = weft_now() + i % 50 * 2 * WEFT_US;
        while (weft_now() < moment_ns) { /* on its worker, the pool's thread meanwhile at work */
        }
        (void)weft_cancel(reader);
        wt_check(weft_spawn(&watcher, watch_frame, &turns) == 0);
        intptr_t result = finish(reader);
        wt_check(result == 8192 || result == -ECANCELED);
        cancelled += result == -ECANCELED;
        wt_check(finish(watcher) == 0);
    }
    fprintf(stderr, "%d of 1000 reads cancelled\n", cancelled);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(file, cancelled_reads, .timeout = 60)
{
    RUN(cancel_reads, NULL, &one_worker);
    RUN(cancel_reads, NULL, &four_workers);
}

static intptr_t entry_rule(void *arg)
{
    struct statx status;
    char byte = 'e';
    int fd = make_file();
    int before = count_descriptors();
    (void)arg;
    wt_check(weft_pwrite(fd, "f", 1, 0) == 1);
    cancel_next();
    was_told(weft_pread(fd, &byte, 1, 0));
    cancel_next();
    was_told(weft_pwrite(fd, &byte, 1, 0));
    cancel_next();
    was_told(weft_fsync(fd));
    cancel_next();
    was_told(weft_fdatasync(fd));
    cancel_next();
    was_told(weft_open(inside("new"), O_RDWR | O_CREAT, 0600));
    cancel_next();
    was_told(weft_openat(AT_FDCWD, inside("new"), O_RDWR | O_CREAT, 0600));
    cancel_next();
    was_told(weft_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status));
    cancel_next();
    was_told(weft_mkdir(inside("new"), 0700));
    cancel_next();
    was_told(weft_mkdirat(AT_FDCWD, inside("new"), 0700));
    cancel_next();
    was_told(weft_rename(folder, inside("new")));
    cancel_next();
    was_told(weft_renameat(AT_FDCWD, folder, AT_FDCWD, inside("new"), 0));
    cancel_next();
    was_told(weft_unlink(folder));
    cancel_next();
    was_told(weft_unlinkat(AT_FDCWD, folder, AT_REMOVEDIR));
    wt_check(byte == 'e');
    wt_check(weft_pread(fd, &byte, 1, 0) == 1 && byte == 'f');
    wt_check(count_descriptors() == before);
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(file, entry_rule, .init = make_folder, .fini = remove_folder)
{
    RUN(entry_rule, NULL, &one_worker);
}

/* ---- signals ---- */

static intptr_t in_storm(void *arg)
{
    int fd = make_patterned();
    (void)arg;
    begin_storm();
    do {
        wt_check(reads_right(fd, FILE_BYTES, 0));
        wt_check(reads_right(fd, 2 << 20, 0));
        wt_check(weft_pwrite(fd, "x", 1, FILE_BYTES - 1) == 1);
        char last = pattern(FILE_BYTES - 1);
        wt_check(weft_pwrite(fd, &last, 1, FILE_BYTES - 1) == 1);
        wt_check(short_names(NULL) == 0);
    } while (interruptions < 200);
    end_storm();
    wt_check(weft_close(fd) == 0);
    return 0;
}

Test(file, never_interrupted, .init = make_folder, .fini = remove_folder, .timeout = 60)
{
    RUN(in_storm, NULL, &one_worker);
    RUN(in_storm, NULL, &four_workers);
}

/* ---- bad calls ---- */

static intptr_t bad_calls(void *arg)
{
    struct statx status;
    char byte = 0;
    int fds[2];
    int fd = make_file();
    (void)arg;
    wt_check(weft_pread(fd, NULL, 1, 0) == -EINVAL);
    wt_check(weft_pwrite(fd, NULL, 1, 0) == -EINVAL);
    wt_check(weft_pread(fd, &byte, 1, -1) == -EINVAL);
    wt_check(weft_pwrite(fd, &byte, 1, -1) == -EINVAL);
    wt_check(weft_pread(-1, &byte, 1, 0) == -EBADF);
    wt_check(weft_pread(1 << 29, &byte, 1, 0) == -EBADF);
    wt_check(weft_fsync(-1) == -EBADF);
    wt_check(weft_open(NULL, O_RDONLY, 0) == -EINVAL);
    wt_check(weft_open("", O_RDONLY, 0) == -ENOENT);
    wt_check(weft_openat(-1, "x", O_RDONLY, 0) == -EBADF);
    wt_check(weft_openat(fd, "x", O_RDONLY, 0) == -ENOTDIR);
    wt_check(weft_statx(AT_FDCWD, "/", 0, STATX_SIZE, NULL) == -EINVAL);
    wt_check(weft_statx(AT_FDCWD, NULL, 0, STATX_SIZE, &status) == -EINVAL);
    wt_check(weft_rename(NULL, "x") == -EINVAL);
    wt_check(weft_rename("x", NULL) == -EINVAL);
    wt_check(weft_unlink(NULL) == -EINVAL);
    wt_check(weft_mkdir(NULL, 0) == -EINVAL);
    wt_check(weft_mkdir("/proc/new", 0) < 0);
    wt_check(weft_close(fd) == 0);
    wt_check(weft_pread(fd, &byte, 1, 0) == -EBADF);
    wt_check(pipe(fds) == 0);
    wt_check(weft_pread(fds[0], &byte, 1, 0) == -ESPIPE);
    wt_check(weft_pwrite(fds[1], &byte, 1, 0) == -ESPIPE);
    wt_check(weft_fsync(fds[0]) == -EINVAL);
    close_both(fds);
    return 0;
}

static intptr_t simulated(void *arg)
{
    char byte = 0;
    (void)arg;
    wt_check(weft_pread(0, &byte, 1, 0) == -ENOTSUP);
    wt_check(weft_fsync(0) == -ENOTSUP);
    wt_check(weft_open("/", O_RDONLY, 0) == -ENOTSUP);
    wt_check(weft_unlink("/none") == -ENOTSUP);
    cancel_next();
    was_told(weft_pread(0, &byte, 1, 0));
    cancel_next();
    was_told(weft_open("/", O_RDONLY, 0));
    return 0;
}

Test(file, bad_calls)
{
    char byte;
    RUN(bad_calls, NULL, &one_worker);
    RUN(simulated, NULL, &simulation);
    cr_assert_eq(weft_pread(0, &byte, 1, 0), -EPERM);
    cr_assert_eq(weft_open("/", O_RDONLY, 0), -EPERM);
    cr_assert_eq(weft_unlink("/none"), -EPERM);
}
