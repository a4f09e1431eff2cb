/* SPDX-License-Identifier: MIT */
/* faults.h - system calls that fail: each that a scenario makes, one a run, with each plausible error.
 *
 * What: a scenario is played in a child process under a filter that has the kernel ask this process about each
 *       call in `wt_calls`. The first run only counts them. Each further run lets one call fail: the n-th of its
 *       kind, or from the n-th on all. Then the child looks at what is left, and plays the scenario once more
 *       without a fault, which must go well.
 * Why this way: definitions that take the place of the C library's functions would see neither what it does by
 *       itself, as in making a thread, nor what goes to the kernel directly, as rings do.
 * Environment: WEFT_FAULT_RUNS=N at most so many faults for each scenario, drawn by the seed; 0: all.
 */
#ifndef WEFT_TEST_FAULTS_H
#define WEFT_TEST_FAULTS_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>

#include <weft.h>

#include "base/clock.h"
#include "base/random.h"
#include "fault_calls.h"
#include "support.h"
#include "weft_test.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

#if defined(__SANITIZE_ADDRESS__)
int __lsan_do_recoverable_leak_check(void);
#define WT_LEAKS() __lsan_do_recoverable_leak_check()
#else
#define WT_LEAKS() 0
#endif

enum { WT_FAULT_LIMIT_MS = 10000 * WT_TIME_SCALE };

struct wt_fault {
    int call;  /* in wt_calls; -1: none */
    int error; /* as in its errors */
    int nth;   /* from 1 */
};

struct wt_seen {
    int counts[WT_CALLS];
    int injected;
    int total;
    int status;    /* of wait */
    bool has_hung; /* was killed for it */
};

/* ---- what both sides share ---- */

struct wt_stage {
    atomic_int
        listener; /* the child's number of it, and that the parent has taken it: 0; below 0: an error */
    atomic_bool is_armed; /* the child says when calls count */
    atomic_int kept;      /* numbers whose close has failed */
};

static struct wt_stage *wt_stage;
static int wt_fault_error; /* in the child: what may come out; 0: nothing */

/* ---- in scenarios ---- */

WT_FN bool wt_may_at(int64_t rc, const int *also, const char *file, int line, const char *text)
{
    bool is_known = rc >= 0 || (wt_fault_error != 0 && rc == -wt_fault_error && rc != -EINTR);
    for (; wt_fault_error != 0 && *also != 0; also++) {
        is_known = is_known || rc == -*also;
    }
    if (!is_known) {
        fprintf(stderr, "%s:%d: %s is %s (%d)\n", file, line, text, strerror((int)-rc), (int)rc);
    }
    wt_check_at(is_known, file, line, text);
    return rc >= 0;
}

/* True: it went well. Else it must have failed of the fault, by its own error or one of those that follow. */
#define WT_MAY(Rc, ...) \
    wt_may_at((Rc), (const int[]){__VA_ARGS__ __VA_OPT__(, ) 0}, __FILE__, __LINE__, #Rc)

/* Why a runtime may not start: pthread_create says -EAGAIN whatever it can't have, and a ring that can't be had,
 * whyever, is -ENOSYS. */
#define START_ERRORS ENOMEM, EAGAIN, ENOSYS

/* Of a call that needs a thread, or watches a descriptor. */
#define WAIT_ERRORS ENOMEM, EAGAIN

/* Of one whose peer may have come to grief. */
#define PEER_ERRORS WAIT_ERRORS, ECONNRESET, ECONNREFUSED, EPIPE, ENODATA, ECANCELED

/* With one worker and with two; what is told has been provoked. */
WT_FN void run_on_both(weft_fn *fn)
{
    for (int workers = 1; workers <= 2; workers++) {
        const weft_options options = {.workers = workers, .diagnostic = ignore};
        WT_MAY(weft_run(fn, NULL, &options), START_ERRORS);
    }
}

/* What a scenario does from here on, to clean up, neither counts nor fails. */
WT_FN void wt_stop_faults(void)
{
    atomic_store(&wt_stage->is_armed, false);
}

/* ---- the child ---- */

static long wt_filter(void)
{
    struct sock_filter filter[WT_CALLS + 3] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    for (int i = 0; i < WT_CALLS; i++) {
        filter[i + 1] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (unsigned)wt_calls[i].number, (uint8_t)(WT_CALLS - i), 0);
    }
    filter[WT_CALLS + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[WT_CALLS + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {.len = WT_CALLS + 3, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                   SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                   &program);
}

/* A ring's threads are the kernel's, and stay for a while. */
static bool wt_is_of_ring(const char *thread)
{
    char path[PATH_MAX];
    char name[16] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, name, sizeof name - 1) : 0;
    (void)close(fd);
    return n > 0 && strncmp(name, "iou-", 4) == 0;
}

static int wt_count_threads(void)
{
    int count = 0;
    DIR *all = opendir("/proc/self/task");
    struct dirent *entry;
    while (all != NULL && (entry = readdir(all)) != NULL) {
        count += entry->d_name[0] != '.' && !wt_is_of_ring(entry->d_name) ? 1 : 0;
    }
    if (all != NULL) {
        (void)closedir(all);
    }
    return count;
}

/* One that has been joined may still be on its way out. */
static bool wt_are_threads(int expected)
{
    const int64_t end_ns = wf_monotonic_ns() + WT_FAULT_LIMIT_MS / 4 * WEFT_MS;
    int count = wt_count_threads();
    while (count != expected && wf_monotonic_ns() < end_ns) {
        (void)sched_yield();
        count = wt_count_threads();
    }
    return count == expected;
}

/* `threads` as before the first time. */
static void wt_play(void (*scenario)(void), int threads, bool counts)
{
    int descriptors = count_descriptors();
    atomic_store(&wt_stage->is_armed, counts);
    scenario();
    atomic_store(&wt_stage->is_armed, false);
    int now = count_descriptors() - atomic_exchange(&wt_stage->kept, 0);
    if (!wt_check(now == descriptors)) {
        fprintf(stderr, "%d descriptors, %d before\n", now, descriptors);
    }
    wt_check(wt_are_threads(threads));
    wt_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void *wt_name_itself(void *arg)
{
    (void)snprintf(arg, 64, "/proc/self/task/%ld", syscall(SYS_gettid));
    return NULL;
}

/* A sanitizer makes a thread of its own when the first one is made. */
static void wt_call_up_tool(void)
{
    pthread_t thread;
    char path[64] = "";
    if (WT_IS_SANITIZED && wt_check(pthread_create(&thread, NULL, wt_name_itself, path) == 0)) {
        wt_check(pthread_join(thread, NULL) == 0);
        while (access(path, F_OK) == 0) {
            (void)sched_yield(); /* on its way out */
        }
    }
}

static _Noreturn void wt_be_child(void (*scenario)(void), int error)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    long listener = wt_filter();
    atomic_store(&wt_stage->listener, listener >= 0 ? (int)listener : -errno);
    if (listener < 0) {
        _exit(WT_SKIPPED);
    }
    while (atomic_load(&wt_stage->listener) != 0) {
        (void)sched_yield();
    }
    (void)close((int)listener);
    wt_call_up_tool();
    int threads = wt_count_threads();
    wt_fault_error = error < 0 ? -error : error;
    wt_play(scenario, threads, true);
    wt_fault_error = 0;
    if (error != 0) {
        wt_play(scenario, threads, false);
    }
    wt_check(WT_LEAKS() == 0);
    _exit(atomic_load(&wt_failures) == 0 ? 0 : 1);
}

/* ---- the parent ---- */

static bool wt_has_link(const char *path, const char *expected)
{
    char target[PATH_MAX] = {0};
    return readlink(path, target, sizeof target - 1) > 0 && strcmp(target, expected) == 0;
}

/* By the child, or by a process that it has made and that has not begun another program. */
static bool wt_is_ours(pid_t child, uint32_t thread, bool *is_thread)
{
    static char own[PATH_MAX];
    char path[64];
    if (own[0] == '\0' && readlink("/proc/self/exe", own, sizeof own - 1) < 0) {
        return false;
    }
    (void)snprintf(path, sizeof path, "/proc/%d/task/%u", child, thread);
    *is_thread = access(path, F_OK) == 0;
    (void)snprintf(path, sizeof path, "/proc/%u/exe", thread);
    return *is_thread || wt_has_link(path, own);
}

static bool wt_is_thread_stack(uint64_t bytes)
{
    pthread_attr_t attributes;
    size_t size = 0;
    bool is_known =
        pthread_attr_init(&attributes) == 0 && pthread_attr_getstacksize(&attributes, &size) == 0;
    return is_known && bytes >= size && bytes <= size + 65536; /* with its guard */
}

/* Whether this very call is one that can fail so. */
static bool wt_is_plausible(pid_t child, const struct seccomp_data *data)
{
    char path[64];
    if (data->nr == SYS_munmap) {
        return !wt_is_thread_stack(data->args[1]);
    }
    if (data->nr == SYS_fcntl) {
        return data->args[1] == F_DUPFD || data->args[1] == F_DUPFD_CLOEXEC;
    }
    if (data->nr == SYS_read || data->nr == SYS_write) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", child, (int)data->args[0]);
        return !wt_has_link(path, "anon_inode:[eventfd]");
    }
    return true;
}

/* The file is gone, the number is not: something harmless has it. */
static void wt_close_under(int listener, const struct seccomp_notif *asked)
{
    int harmless = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct seccomp_notif_addfd put = {.id = asked->id,
                                      .flags = SECCOMP_ADDFD_FLAG_SETFD,
                                      .srcfd = (unsigned)harmless,
                                      .newfd = (unsigned)asked->data.args[0],
                                      .newfd_flags = O_CLOEXEC};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &put) >= 0) {
        atomic_fetch_add(&wt_stage->kept, 1);
    }
    (void)close(harmless);
}

static bool wt_fails(pid_t child, int listener, const struct seccomp_notif *asked,
                     const struct wt_fault *fault, struct wt_seen *seen)
{
    bool is_thread = false;
    int call = 0;
    while (call < WT_CALLS && wt_calls[call].number != asked->data.nr) {
        call++;
    }
    seen->total++;
    if (call == WT_CALLS || !atomic_load(&wt_stage->is_armed) ||
        !wt_is_ours(child, asked->pid, &is_thread) || !wt_is_plausible(child, &asked->data)) {
        return false;
    }
    int nth = ++seen->counts[call];
    bool is_it =
        call == fault->call && (nth == fault->nth || (nth > fault->nth && fault->error < 0));
    seen->injected += is_it ? 1 : 0;
    if (is_it && asked->data.nr == SYS_close && is_thread) {
        wt_close_under(listener, asked);
    }
    return is_it;
}

static void wt_answer(pid_t child, int listener, const struct wt_fault *fault, struct wt_seen *seen)
{
    struct seccomp_notif asked;
    memset(&asked, 0, sizeof asked);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) {
        return; /* who asked is gone */
    }
    struct seccomp_notif_resp answer = {.id = asked.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (wt_fails(child, listener, &asked, fault, seen)) {
        answer.flags = 0;
        answer.error = fault->error < 0 ? fault->error : -fault->error;
    }
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void wt_serve(pid_t child, int pid_fd, int listener, const struct wt_fault *fault,
                     struct wt_seen *seen)
{
    struct pollfd both[2] = {{.fd = pid_fd, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    int64_t end_ns = wf_monotonic_ns() + WT_FAULT_LIMIT_MS * WEFT_MS;
    for (;;) {
        int64_t left_ms = (end_ns - wf_monotonic_ns()) / WEFT_MS;
        if (left_ms <= 0 && !seen->has_hung) {
            seen->has_hung = true;
            (void)kill(child, SIGKILL);
        }
        (void)poll(both, 2, left_ms > 0 ? (int)left_ms : -1);
        if ((both[1].revents & POLLIN) != 0) {
            wt_answer(child, listener, fault, seen);
        }
        if ((both[0].revents & POLLIN) != 0) {
            return;
        }
    }
}

/* The child's listener; below 0: there can be none. */
static int wt_take_listener(int pid_fd)
{
    int theirs;
    while ((theirs = atomic_load(&wt_stage->listener)) == 0) {
        (void)sched_yield();
    }
    int listener = theirs > 0 ? (int)syscall(SYS_pidfd_getfd, pid_fd, theirs, 0) : -1;
    atomic_store(&wt_stage->listener, 0);
    return listener;
}

/* False: filters, or this kind of them, can't be had here. */
static bool wt_run_fault(void (*scenario)(void), const struct wt_fault *fault, struct wt_seen *seen)
{
    memset(seen, 0, sizeof *seen);
    atomic_store(&wt_stage->listener, 0);
    atomic_store(&wt_stage->kept, 0);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        wt_be_child(scenario, fault->error);
    }
    cr_assert(child > 0);
    int pid_fd = (int)syscall(SYS_pidfd_open, child, 0);
    int listener = pid_fd >= 0 ? wt_take_listener(pid_fd) : -1;
    if (listener >= 0) {
        wt_serve(child, pid_fd, listener, fault, seen);
        (void)close(listener);
    } else {
        (void)kill(child, SIGKILL);
    }
    (void)close(pid_fd);
    cr_assert_eq(waitpid(child, &seen->status, 0), child);
    return listener >= 0;
}

/* ---- the sweep ---- */

static bool wt_went_well(const char *name, const struct wt_fault *fault, const struct wt_seen *seen)
{
    if (!seen->has_hung && seen->status == 0) {
        return true;
    }
    fprintf(stderr, "--- %s, ", name);
    if (fault->call >= 0) {
        fprintf(stderr, "%s %d%s: %s: ", wt_calls[fault->call].name, fault->nth,
                fault->error < 0 ? " and on" : "", strerror(abs(fault->error)));
    }
    if (seen->has_hung) {
        fprintf(stderr, "it hung (%d calls)\n", seen->total);
    } else if (WIFSIGNALED(seen->status)) {
        fprintf(stderr, "killed by signal %d\n", WTERMSIG(seen->status));
    } else {
        fprintf(stderr, "checks failed, see above\n");
    }
    return false;
}

struct wt_sweep {
    const char *name;
    void (*scenario)(void);
    struct wt_seen clean;
    uint64_t random;
    int64_t planned, most;
    int runs, missed, failed;
};

/* Calls `each` for all faults. */
static void wt_each_fault(struct wt_sweep *sweep,
                          void (*each)(struct wt_sweep *sweep, const struct wt_fault *fault))
{
    for (int call = 0; call < WT_CALLS; call++) {
        bool is_left_out = WT_IS_SANITIZED && wt_calls[call].is_tools;
        for (int i = 0; i < WT_FAULT_ERRORS && wt_calls[call].errors[i] != 0; i++) {
            for (int nth = 1; nth <= sweep->clean.counts[call] && !is_left_out; nth++) {
                each(sweep, &(struct wt_fault){call, wt_calls[call].errors[i], nth});
            }
        }
    }
}

static void wt_plan(struct wt_sweep *sweep, const struct wt_fault *fault)
{
    (void)fault;
    sweep->planned++;
}

/* The first of a kind always, of the others as many as fit. */
static void wt_try(struct wt_sweep *sweep, const struct wt_fault *fault)
{
    struct wt_seen seen;
    bool is_drawn = sweep->most == 0 ||
                    (int64_t)(wf_random(&sweep->random) % (uint64_t)sweep->planned) < sweep->most;
    if (!is_drawn && fault->nth > 1) {
        return;
    }
    cr_assert(wt_run_fault(sweep->scenario, fault, &seen));
    sweep->runs++;
    sweep->missed += seen.injected == 0 ? 1 : 0;
    sweep->failed += wt_went_well(sweep->name, fault, &seen) ? 0 : 1;
}

static void wt_sweep_faults(const char *name, void (*scenario)(void), int most)
{
    const char *text = getenv("WEFT_FAULT_RUNS");
    struct wt_sweep sweep = {.name = name, .scenario = scenario, .random = wt_seed()};
    const struct wt_fault none = {.call = -1};
    sweep.most = text != NULL ? atoi(text) : WT_IS_SANITIZED ? most / 8 : most;
    wt_stage =
        mmap(NULL, sizeof *wt_stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(wt_stage != MAP_FAILED);
    if (!wt_run_fault(scenario, &none, &sweep.clean)) {
        wt_skip("no filters that ask another process here");
    }
    cr_assert(wt_went_well(name, &none, &sweep.clean));
    wt_each_fault(&sweep, wt_plan);
    wt_each_fault(&sweep, wt_try);
    fprintf(stderr, "%s: %d of %lld faults, %d of them not met\n", name, sweep.runs,
            (long long)sweep.planned, sweep.missed);
    cr_assert(sweep.runs > sweep.missed);
    cr_assert_eq(sweep.failed, 0, "%s: %d faults were not dealt with, see above", name,
                 sweep.failed);
}

/* A test whose scenario is a task on one worker, and then on two. */
#define FAULT_TEST(Suite, Name, Fn, Most)               \
    static void Name##_on_both(void)                    \
    {                                                   \
        run_on_both(Fn);                                \
    }                                                   \
    Test(Suite, Name, .timeout = 300 * WT_TIME_SCALE)   \
    {                                                   \
        wt_sweep_faults(#Name, Name##_on_both, (Most)); \
    }

#endif
