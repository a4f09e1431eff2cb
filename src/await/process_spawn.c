// SPDX-License-Identifier: MIT
/* process_spawn.c - weft_process_spawn: pipes, the new program, and the descriptor that stands for it.
 *
 * posix_spawn does it without copying the address space, and tells why a program can't be executed. The thread
 * that calls it stands still until then, so it is one of the pool's. Everything made here is closed on exec
 * from the beginning: a program that another thread starts at the same time inherits none of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "await/blocking.h"
#include "await/process.h"
#include "base/sized.h"

enum { FIRST_FREE = 3 };

#define GRACE_NS (5 * WEFT_S)

extern char **environ;

struct spawning {
    char *const *argv;
    weft_process_options options;
    sigset_t mask;
    int ends[3];           /* ours */
    int theirs[3];         /* what is to become 0, 1 and 2; -1: stays as it is */
    struct wf_io given[3]; /* the caller's, for those that are his */
    int made[3];           /* of those, what was made for it; -1: none */
    int pid;
    int pid_fd;
};

/* ---- options ---- */

int wf_process_check(const weft_process_options *given, weft_process_options *out)
{
    static const weft_process_options none;
    *out = given != NULL ? *given : none;
    const unsigned flags = (unsigned)WEFT_PROCESS_GROUP | (unsigned)WEFT_PROCESS_KEEP_DESCRIPTORS;
    if (!wf_size_is_known(out->size, sizeof *out) || (out->flags & ~flags) != 0 ||
        out->input < WEFT_PROCESS_PIPE || out->output < WEFT_PROCESS_PIPE ||
        out->error < WEFT_PROCESS_OUTPUT) {
        return -EINVAL;
    }
    out->grace_ns = out->grace_ns == 0 ? GRACE_NS : out->grace_ns;
    return 0;
}

/* ---- standard descriptors ---- */

static void close_if(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* A copy that none of the three numbers hides. */
static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);
    return copy >= 0 ? copy : -errno;
}

static int open_null(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd >= 0 ? fd : -errno;
}

static int open_pipe(struct spawning *spawning, int number)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC) < 0) {
        return -errno;
    }
    bool reads = number == STDIN_FILENO;
    spawning->ends[number] = both[reads ? 1 : 0];
    (void)fcntl(spawning->ends[number], F_SETFL, O_NONBLOCK);
    return both[reads ? 0 : 1];
}

/* What is made must not have one of the three numbers, or another of them would overwrite it. */
static int keep_high(int fd)
{
    if (fd < 0 || fd >= FIRST_FREE) {
        return fd;
    }
    int copy = duplicate(fd);
    (void)close(fd);
    return copy;
}

/* What the caller wants as 0, 1 or 2. */
static int choice_of(const struct spawning *spawning, int number)
{
    const weft_process_options *options = &spawning->options;
    return number == 0 ? options->input : number == 1 ? options->output : options->error;
}

/* The caller's descriptor, as it was found when the call began. */
static int duplicate_given(const struct wf_io *io)
{
    uint64_t stamp;
    int rc = wf_io_begin(io, &stamp);
    if (rc == 0) {
        rc = duplicate(io->fd);
        wf_io_end(io);
    }
    return rc;
}

static int prepare_one(struct spawning *spawning, int number, int choice)
{
    if (choice == WEFT_PROCESS_INHERIT) {
        return 0;
    }
    if (choice == WEFT_PROCESS_OUTPUT) { /* 1 is in place by then */
        spawning->theirs[number] = STDOUT_FILENO;
        return 0;
    }
    int fd = choice == WEFT_PROCESS_NULL   ? keep_high(open_null())
             : choice == WEFT_PROCESS_PIPE ? keep_high(open_pipe(spawning, number))
                                           : duplicate_given(&spawning->given[number]);
    spawning->theirs[number] = fd;
    spawning->made[number] = fd;
    return fd < 0 ? fd : 0;
}

__attribute__((noinline)) static int prepare(struct spawning *spawning)
{
    int rc = 0;
    for (int i = 0; i < 3; i++) {
        spawning->ends[i] = spawning->theirs[i] = spawning->made[i] = -1;
    }
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = prepare_one(spawning, i, choice_of(spawning, i));
    }
    (void)pthread_sigmask(SIG_BLOCK, NULL, &spawning->mask);
    return rc;
}

static void close_theirs(struct spawning *spawning)
{
    for (int i = 0; i < 3; i++) {
        close_if(&spawning->made[i]);
    }
}

/* ---- on the pool ---- */

static int fill_actions(posix_spawn_file_actions_t *actions, const struct spawning *spawning)
{
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        if (spawning->theirs[i] >= 0) {
            rc = posix_spawn_file_actions_adddup2(actions, spawning->theirs[i], i);
        }
    }
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    if (rc == 0 && (spawning->options.flags & WEFT_PROCESS_KEEP_DESCRIPTORS) == 0) {
        rc = posix_spawn_file_actions_addclosefrom_np(actions, FIRST_FREE);
    }
#endif
    if (rc == 0 && spawning->options.directory != NULL) {
        rc = posix_spawn_file_actions_addchdir_np(actions, spawning->options.directory);
    }
    return rc;
}

static int fill_attributes(posix_spawnattr_t *attributes, const struct spawning *spawning)
{
    bool leads = (spawning->options.flags & WEFT_PROCESS_GROUP) != 0;
    int rc = posix_spawnattr_setsigmask(attributes, &spawning->mask);
    if (rc == 0) {
        int flags = POSIX_SPAWN_SETSIGMASK | (leads ? POSIX_SPAWN_SETPGROUP : 0);
        rc = posix_spawnattr_setflags(attributes, (short)flags);
    }
    return rc;
}

static int start(struct spawning *spawning)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *const *environment = spawning->options.environment;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return -rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = fill_actions(&actions, spawning);
        rc = rc == 0 ? fill_attributes(&attributes, spawning) : rc;
        rc = rc == 0 ? posix_spawnp(&spawning->pid, spawning->argv[0], &actions, &attributes,
                                    spawning->argv, environment != NULL ? environment : environ)
                     : rc;
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* Until it is reaped the number is its own. */
static intptr_t spawn_on_pool(void *arg)
{
    struct spawning *spawning = arg;
    int rc = start(spawning);
    if (rc < 0) {
        return rc;
    }
    spawning->pid_fd = (int)syscall(SYS_pidfd_open, spawning->pid, 0);
    if (spawning->pid_fd >= 0) {
        return 0;
    }
    rc = -errno;
    (void)kill(spawning->pid, SIGKILL);
    while (waitpid(spawning->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return rc;
}

/* ---- the call ---- */

static void hand_over(struct wf_process *process, struct spawning *spawning,
                      struct wf_poller *poller)
{
    *process = (struct wf_process){.pid = spawning->pid,
                                   .state = WF_PROCESS_RUNNING,
                                   .pid_fd = spawning->pid_fd,
                                   .flags = spawning->options.flags,
                                   .grace_ns = spawning->options.grace_ns};
    wf_io_adopt(poller, process->pid_fd, WF_FD_IS_NO_SOCKET);
    for (int i = 0; i < 3; i++) {
        process->ends[i] = spawning->ends[i];
        if (process->ends[i] >= 0) {
            wf_io_adopt(poller, process->ends[i], 0);
        }
    }
}

static int spawn(weft_task *self, struct wf_process *process, struct spawning *spawning)
{
    intptr_t outcome = 0;
    int rc = prepare(spawning);
    rc = rc == 0 ? wf_blocking_borrow(self, spawn_on_pool, spawning, &outcome) : rc;
    rc = rc == 0 ? (int)outcome : rc;
    close_theirs(spawning);
    if (rc < 0) {
        for (int i = 0; i < 3; i++) {
            close_if(&spawning->ends[i]);
        }
        return rc;
    }
    hand_over(process, spawning, wf_runtime_of(self)->poller);
    return 0;
}

/* Before the door, which may let others run: what the caller's numbers stand for. */
static int find_given(struct spawning *spawning, weft_task *self)
{
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        int choice = choice_of(spawning, i);
        rc = choice > 0 ? wf_io_find(&spawning->given[i], self, choice) : 0;
    }
    return rc;
}

int weft_process_spawn(weft_process *process, char *const argv[],
                       const weft_process_options *options)
{
    struct spawning spawning = {.argv = argv};
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL) {
        return rc;
    }
    if (process == NULL || argv == NULL || argv[0] == NULL ||
        wf_process_check(options, &spawning.options) < 0) {
        return -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    bool is_simulated = worker->runtime->poller == NULL;
    rc = is_simulated ? 0 : find_given(&spawning, self);
    rc = rc == 0 ? wf_door_enter(self, __func__) : rc;
    if (rc == 0) {
        rc = is_simulated ? -ENOTSUP : spawn(self, wf_process_of(process), &spawning);
    }
    return rc;
}
