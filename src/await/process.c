// SPDX-License-Identifier: MIT
/* process.c - waiting for a process, signals to it, and its end.
 *
 * The process's descriptor becomes readable when it has ended. Whoever sees that first reaps it, under the lock, and
 * keeps the status for the others.
 */
#include "await/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/shield.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "await/io.h"

/* For C libraries whose idtype_t does not know it. */
#define PIDFD ((idtype_t)3)

#define LOOK_NS (10 * WEFT_MS)

/* ---- reaping ---- */

static int status_of(const siginfo_t *info)
{
    int low = info->si_code == CLD_EXITED ? (info->si_status & 0xff) << 8 : info->si_status & 0x7f;
    return low | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

static int reap_locked(struct wf_process *process)
{
    siginfo_t info = {.si_pid = 0};
    int rc;
    do {
        rc = waitid(PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        process->state = WF_PROCESS_DISOWNED;
        return -ECHILD;
    }
    if (info.si_pid == 0) {
        return -EAGAIN;
    }
    process->status = status_of(&info);
    process->state = WF_PROCESS_ENDED;
    return 0;
}

/* 0: it has ended; -EAGAIN: not yet; -ECHILD; -EINVAL: there is none. */
static __attribute__((noinline)) int look_at(struct wf_process *process, int *status)
{
    wf_lock(&process->lock);
    int rc = process->state == WF_PROCESS_ENDED      ? 0
             : process->state == WF_PROCESS_DISOWNED ? -ECHILD
             : process->state != WF_PROCESS_RUNNING  ? -EINVAL
                                                     : reap_locked(process);
    if (rc == 0 && status != NULL) {
        *status = process->status;
    }
    wf_unlock(&process->lock);
    return rc;
}

/* False for zeroed memory. */
static bool was_spawned(struct wf_process *process)
{
    wf_lock(&process->lock);
    bool is_known = process->state != 0;
    wf_unlock(&process->lock);
    return is_known;
}

/* ---- waiting ---- */

static int await_end(weft_task *self, struct wf_process *process, int *status)
{
    struct wf_io io;
    int rc = look_at(process, status);
    if (rc != -EAGAIN) {
        return rc;
    }
    rc = wf_io_find(&io, self, process->pid_fd);
    while (rc == 0) {
        uint64_t stamp;
        rc = wf_io_begin(&io, &stamp);
        if (rc < 0) {
            return rc;
        }
        int seen = look_at(process, status);
        wf_io_end(&io);
        if (seen != -EAGAIN) {
            return seen;
        }
        rc = wf_io_wait(&io, WF_FD_READ, stamp, WF_WAIT_FD);
    }
    return rc;
}

int weft_process_wait(weft_process *process, int *status)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || process == NULL || !was_spawned(wf_process_of(process))) {
        return worker == NULL ? rc : -EINVAL;
    }
    weft_task *self = wf_self_on(worker);
    rc = wf_door_enter(self, __func__);
    return rc == 0 ? await_end(self, wf_process_of(process), status) : rc;
}

/* ---- signals ---- */

/* Under lock: as long as it has not been reaped the number is its own, and so is that of its group. */
static int send_locked(const struct wf_process *process, int number)
{
    bool leads = (process->flags & WEFT_PROCESS_GROUP) != 0;
    long rc = leads ? kill(-process->pid, number)
                    : syscall(SYS_pidfd_send_signal, process->pid_fd, number, NULL, 0);
    return rc == 0 ? 0 : -errno;
}

__attribute__((noinline)) int weft_process_signal(weft_process *handle, int number)
{
    if (handle == NULL) {
        return -EINVAL;
    }
    struct wf_process *process = wf_process_of(handle);
    wf_lock(&process->lock);
    int rc = process->state == WF_PROCESS_RUNNING ? send_locked(process, number)
             : process->state == 0                ? -EINVAL
                                                  : -ESRCH;
    wf_unlock(&process->lock);
    return rc;
}

/* ---- the end ---- */

static void close_ends(struct wf_process *process)
{
    for (int i = 0; i < 3; i++) {
        if (process->ends[i] >= 0) {
            (void)weft_close(process->ends[i]);
            process->ends[i] = -1;
        }
    }
}

/* Until it has ended, or a scope of the caller's says -ECANCELED; reaps nothing. Where the poller can't take the
 * descriptor, for want of memory or of watches, this looks now and then: a close must not leave a zombie. */
static int await_unreaped(const struct wf_process *process)
{
    int rc = weft_wait_fd(process->pid_fd, WEFT_READABLE);
    while (rc < 0 && rc != -ECANCELED && wf_io_poll(process->pid_fd, POLLIN) <= 0) {
        int slept = weft_sleep(LOOK_NS);
        rc = slept < 0 ? slept : rc;
    }
    return rc == -ECANCELED ? rc : 0;
}

/* Within the grace. A leader is not reaped yet: its group is to be killed before its number is free. */
static void ask_to_end(struct wf_process *process, weft_process *handle)
{
    weft_timeout grace;
    if (process->grace_ns < 0 || weft_process_signal(handle, SIGTERM) < 0) {
        return;
    }
    /* A stopped process would not hear it. */
    (void)weft_process_signal(handle, SIGCONT);
    if (weft_timeout_enter(&grace, process->grace_ns) == 0) {
        intptr_t rc = weft_timeout_leave(&grace, await_unreaped(process));
        (void)rc;
    }
}

/* Inside a shield: no request ends these waits. */
static void end_process(weft_process *handle)
{
    struct wf_process *process = wf_process_of(handle);
    bool leads = (process->flags & WEFT_PROCESS_GROUP) != 0;
    if (!leads && look_at(process, NULL) != -EAGAIN) {
        return;
    }
    ask_to_end(process, handle);
    (void)weft_process_signal(handle, SIGKILL);
    (void)await_unreaped(process);
    (void)look_at(process, NULL);
}

int weft_process_close(weft_process *handle, int rc)
{
    weft_shield section;
    if (handle == NULL) {
        return -EINVAL;
    }
    struct wf_process *process = wf_process_of(handle);
    if (process->state == 0 || process->pid_fd < 0) {
        return -EINVAL;
    }
    int entered = weft_shield_enter(&section, WEFT_FOREVER);
    if (entered < 0) {
        return entered;
    }
    close_ends(process);
    if (process->state == WF_PROCESS_RUNNING) {
        end_process(handle);
    }
    (void)weft_close(process->pid_fd);
    process->pid_fd = -1;
    return (int)weft_shield_leave(&section, rc);
}

int weft_process_run(char *const argv[], const weft_process_options *options, int *status)
{
    weft_process process;
    if (options != NULL &&
        (options->input == WEFT_PROCESS_PIPE || options->output == WEFT_PROCESS_PIPE ||
         options->error == WEFT_PROCESS_PIPE)) {
        return -EINVAL;
    }
    int rc = weft_process_spawn(&process, argv, options);
    if (rc == 0) {
        rc = weft_process_wait(&process, status);
        rc = weft_process_close(&process, rc);
    }
    return rc;
}
