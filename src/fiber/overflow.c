// SPDX-License-Identifier: MIT
/* overflow.c - the fault handler.
 *
 * What: the first runtime installs it, the last one takes it away. It looks whether the fault lies
 *       in the guard of the fiber that runs here, says so, and hands every fault on to what was
 *       installed before. Where that is the default, the default is restored and the handler
 *       returns: the instruction faults again and the core dump shows it, not us.
 * Why this way: a report, not a repair. The fault may have hit the user's code anywhere, with locks
 *       held, so nothing but dying is safe.
 * Threads: start and stop under `lock`. The handler takes no lock: what it reads was stored before
 *       it was installed, and is never taken back while it is.
 */
#include "fiber/overflow.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "fiber/guard.h"

#define ALT_BYTES ((size_t)64 * WF_STACK_SCALE << 10)

enum { SIGNALS = 2, REPORT_BYTES = 768, WHO_BYTES = 512 };

static const int signals[SIGNALS] = {SIGSEGV, SIGBUS};

static struct wf_lock lock;
static unsigned start_count; /* under lock */
static bool is_installed;    /* under lock; stays true if somebody's handler stands before ours */

/* Written under lock before our handlers are installed, then read by them. */
static struct sigaction formers[SIGNALS];

/* start stores (release), the handler loads (acquire); NULL while no runtime runs. */
static _Atomic(const struct wf_overflow_hooks *) active_hooks;

/* ---- the report ---- */

struct report {
    char text[REPORT_BYTES];
    size_t length;
};

static void add_text(struct report *report, const char *text)
{
    while (*text != '\0' && report->length < sizeof report->text) {
        report->text[report->length++] = *text++;
    }
}

static void add_kib(struct report *report, size_t bytes)
{
    char digits[24];
    size_t at = sizeof digits;
    size_t value = bytes >> 10;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    add_text(report, digits + at);
    add_text(report, " KiB");
}

static void write_report(const struct wf_overflow_hooks *hooks, const struct wf_fiber *f)
{
    char who[WHO_BYTES] = "a fiber";
    struct report report = {.length = 0};
    hooks->describe(f, who, sizeof who);
    who[sizeof who - 1] = '\0';
    add_text(&report, "weft: stack overflow: ");
    add_text(&report, who);
    add_text(&report, ", stack ");
    add_kib(&report, f->promise_bytes);
    add_text(&report, " promised, all ");
    add_kib(&report, (size_t)(f->hi - f->lo));
    add_text(&report, " used: raise stack_bytes, or keep large buffers off the stack\n");
    ssize_t written = write(STDERR_FILENO, report.text, report.length);
    (void)written; /* nowhere left to report to */
}

static bool is_guard_of(const struct wf_fiber *f, const void *address)
{
    uintptr_t lo = (uintptr_t)f->lo;
    uintptr_t at = (uintptr_t)address;
    return f->guard != WF_GUARD_NONE && at < lo && at >= lo - wf_guard_bytes();
}

/* ---- handing on ---- */

static void restore_default(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

/* A fault happens again when we return; a signal that was sent must be sent again. */
static void end_by_default(int signal, siginfo_t *info)
{
    restore_default(signal);
    if (info->si_code <= 0) {
        syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), signal, info);
    }
}

static void call_former(const struct sigaction *former, int signal, siginfo_t *info, void *context)
{
    sigset_t mask;
    if (former->sa_flags & (int)SA_RESETHAND) {
        restore_default(signal);
    }
    sigprocmask(SIG_BLOCK, &former->sa_mask, &mask);
    if (former->sa_flags & SA_SIGINFO) {
        former->sa_sigaction(signal, info, context);
    } else {
        former->sa_handler(signal);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

static bool is_handler(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) ||
           (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static void hand_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *former = &formers[signal == SIGSEGV ? 0 : 1];
    if (is_handler(former)) {
        call_former(former, signal, info, context);
    } else if (former->sa_handler == SIG_DFL || info->si_code > 0) {
        end_by_default(signal, info); /* the kernel ignores no fault, whatever was asked for */
    }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    const struct wf_overflow_hooks *hooks = wf_load_acq(&active_hooks);
    const struct wf_fiber *f = hooks != NULL ? hooks->current() : NULL;
    bool is_overflow = f != NULL && info->si_code > 0 && is_guard_of(f, info->si_addr);
    if (is_overflow) {
        write_report(hooks, f);
    }
    hand_on(signal, info, context);
    if (is_overflow) {
        restore_default(signal); /* a handler that came back has not cured it */
    }
    errno = saved_errno;
}

/* ---- start and stop ---- */

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_fault;
}

static int install_locked(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++) {
        if (sigaction(signals[i], NULL, &formers[i]) != 0) {
            return -errno;
        }
    }
    for (int i = 0; i < SIGNALS; i++) {
        if (sigaction(signals[i], &action, NULL) != 0) {
            int rc = -errno;
            while (i-- > 0) {
                sigaction(signals[i], &formers[i], NULL);
            }
            return rc;
        }
    }
    return 0;
}

/* Puts back what was there, where nobody has come after us. A later handler may call ours, so ours
 * then stays good, and a later start finds it in place. */
static bool uninstall_locked(void)
{
    struct sigaction now;
    bool all = true;
    for (int i = 0; i < SIGNALS; i++) {
        all = sigaction(signals[i], NULL, &now) == 0 && is_ours(&now) && all;
    }
    for (int i = 0; all && i < SIGNALS; i++) {
        sigaction(signals[i], &formers[i], NULL);
    }
    return all;
}

int wf_overflow_start(const struct wf_overflow_hooks *hooks)
{
    int rc = 0;
    wf_lock(&lock);
    if (!is_installed) {
        rc = install_locked();
        is_installed = rc == 0;
    }
    if (rc == 0) {
        start_count++;
        wf_store_rel(&active_hooks, hooks); /* pairs with the load in on_fault */
    }
    wf_unlock(&lock);
    return rc;
}

void wf_overflow_stop(void)
{
    wf_lock(&lock);
    if (--start_count == 0) {
        wf_store_rel(&active_hooks, NULL); /* pairs with the load in on_fault */
        is_installed = !uninstall_locked();
    }
    wf_unlock(&lock);
}

/* ---- alternate stacks ---- */

static size_t alternate_bytes(void)
{
    long least = sysconf(_SC_MINSIGSTKSZ); /* what the kernel saves: large with wide registers */
    return ALT_BYTES + (least > 0 ? (size_t)least : 0) / 4096 * 4096;
}

int wf_overflow_enter_thread(struct wf_overflow_thread *thread)
{
    memset(thread, 0, sizeof *thread);
    size_t size = alternate_bytes();
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        return -errno;
    }
    stack_t alternate = {.ss_sp = stack, .ss_size = size};
    if (sigaltstack(&alternate, &thread->former) != 0) {
        int rc = -errno;
        munmap(stack, size);
        return rc;
    }
    thread->stack = stack;
    thread->size = size;
    return 0;
}

void wf_overflow_leave_thread(struct wf_overflow_thread *thread)
{
    stack_t now;
    if (thread->stack == NULL) {
        return;
    }
    /* Whoever has set another one since keeps it. */
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == thread->stack) {
        sigaltstack(&thread->former, NULL);
    }
    munmap(thread->stack, thread->size);
    thread->stack = NULL;
}
