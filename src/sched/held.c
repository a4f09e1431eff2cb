// SPDX-License-Identifier: MIT
/* held.c - in front of pthread_mutex_lock and its like: who holds what.
 *
 * The list is the thread's, short and of fixed size: nothing is allocated, because malloc may itself
 * lock. A lock beyond its end is not watched. The real functions are looked up before main; if looking them
 * up locks something (an allocator of the program's), that is let through without a lock, since there is but
 * one thread yet. A statically linked program has no next function to look up: there the C library's inner
 * names stand in, of which the timed ones are not to be had, and are made of trying.
 */
#include "sched/held.h"

#if WF_HELD

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sched/report.h"
#include "task/end.h"

enum { HELD_MAX = 32 };

struct held {
    const pthread_mutex_t *mutex;
    uint64_t token;  /* of the task that locked it */
    uint32_t levels; /* of a recursive one */
};

/* The thread's own. Accessors are not inlined: a fiber may be on another thread after each call. */
static _Thread_local struct held held_here[HELD_MAX];
static _Thread_local uint32_t held_count;
static _Thread_local bool is_looking_up;

/* ---- the real ones ---- */

/* Set before main (relaxed), or by whoever comes first before that. */
static struct {
    _Atomic(int (*)(pthread_mutex_t *)) lock, try_lock, unlock;
    _Atomic(int (*)(pthread_mutex_t *, const struct timespec *)) timed_lock;
    _Atomic(int (*)(pthread_mutex_t *, clockid_t, const struct timespec *)) clock_lock;
} real;

/* POSIX has dlsym's object pointers hold functions; ISO C has no cast for it. */
#define LOOK_UP(Member, Name)                           \
    do {                                                \
        void *found = dlsym(RTLD_NEXT, Name);           \
        __typeof__(wf_load_rlx(&real.Member)) fn;       \
        memcpy((void *)&fn, (void *)&found, sizeof fn); \
        wf_store_rlx(&real.Member, fn);                 \
    } while (0)

/* The C library's own, under names that nobody stands in front of: only its archive has them. */
#define INNER __attribute__((weak))
INNER int __pthread_mutex_lock(pthread_mutex_t *mutex);
INNER int __pthread_mutex_trylock(pthread_mutex_t *mutex);
INNER int __pthread_mutex_unlock(pthread_mutex_t *mutex);

static int lock_by_trying(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    const struct timespec pause = {0, 100000};
    struct timespec now;
    int rc;
    while ((rc = __pthread_mutex_trylock(mutex)) == EBUSY) {
        (void)clock_gettime(clock, &now);
        if (now.tv_sec > until->tv_sec ||
            (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec)) {
            return ETIMEDOUT;
        }
        (void)nanosleep(&pause, NULL);
    }
    return rc;
}

static int lock_by_trying_until(pthread_mutex_t *mutex, const struct timespec *until)
{
    return lock_by_trying(mutex, CLOCK_REALTIME, until);
}

/* Nothing is looked up in a program without dynamic linking. */
static void stand_in(void)
{
    wf_store_rlx(&real.lock, __pthread_mutex_lock);
    wf_store_rlx(&real.try_lock, __pthread_mutex_trylock);
    wf_store_rlx(&real.unlock, __pthread_mutex_unlock);
    wf_store_rlx(&real.timed_lock, lock_by_trying_until);
    wf_store_rlx(&real.clock_lock, lock_by_trying);
}

__attribute__((constructor)) static void look_up(void)
{
    is_looking_up = true;
    LOOK_UP(lock, "pthread_mutex_lock");
    LOOK_UP(try_lock, "pthread_mutex_trylock");
    LOOK_UP(unlock, "pthread_mutex_unlock");
    LOOK_UP(timed_lock, "pthread_mutex_timedlock");
    LOOK_UP(clock_lock, "pthread_mutex_clocklock");
    if (wf_load_rlx(&real.lock) == NULL) {
        stand_in();
    }
    is_looking_up = false;
}

/* False: looking up itself locks something. */
static bool is_ready(void)
{
    if (wf_load_rlx(&real.clock_lock) == NULL && !is_looking_up) {
        look_up();
    }
    return !is_looking_up;
}

/* ---- the list ---- */

static __attribute__((noinline)) void note_locked(const pthread_mutex_t *mutex)
{
    struct wf_worker *worker = wf_here();
    const weft_task *task = worker != NULL ? wf_self_on(worker) : NULL;
    if (task == NULL) {
        return; /* a plain thread, or the scheduler itself */
    }
    for (uint32_t i = 0; i < held_count; i++) {
        if (held_here[i].mutex == mutex) {
            held_here[i].levels++;
            return;
        }
    }
    if (held_count < HELD_MAX) {
        held_here[held_count++] = (struct held){mutex, wf_task_token(task), 1};
    }
}

static void forget(uint32_t i)
{
    held_count--;
    memmove(&held_here[i], &held_here[i + 1], (held_count - i) * sizeof held_here[0]);
}

static __attribute__((noinline)) void note_unlocked(const pthread_mutex_t *mutex)
{
    for (uint32_t i = held_count; i > 0; i--) {
        if (held_here[i - 1].mutex == mutex) {
            if (--held_here[i - 1].levels == 0) {
                forget(i - 1);
            }
            return;
        }
    }
}

/* Takes the oldest lock of a task that has not ended out of the list, and a hold on the task to `owner`. What
 * others on this thread had locked was taken when they were suspended: it is the running task's, or that of
 * one in which it runs inside (await/inside.c). */
static __attribute__((noinline)) const pthread_mutex_t *take_held(struct wf_registry *registry,
                                                                  weft_task **owner)
{
    for (uint32_t i = 0; i < held_count; i++) {
        weft_task *task = wf_token_hold(registry, held_here[i].token);
        if (task != NULL && wf_word_life(wf_load_acq(&task->word)) == WF_RUN) {
            const pthread_mutex_t *mutex = held_here[i].mutex;
            forget(i);
            *owner = task;
            return mutex;
        }
        if (task != NULL) {
            wf_task_let_go(task, NULL);
        }
    }
    return NULL;
}

/* ---- the report ---- */

/* A symbol, and the address with the place in the file that addr2line and gdb understand; in a simulation
 * the symbol alone: addresses are not the same in every run. */
static void name_lock(const void *address, bool is_simulated, char *text, size_t size)
{
    Dl_info info = {0};
    bool is_known = dladdr(address, &info) != 0;
    size_t offset = (size_t)((const char *)address - (const char *)info.dli_saddr);
    text[0] = '\0';
    if (is_simulated) {
        if (is_known && info.dli_sname != NULL) {
            (void)snprintf(text, size, " %s+%zu", info.dli_sname, offset);
        }
    } else if (!is_known) {
        (void)snprintf(text, size, " %p", address);
    } else if (info.dli_sname != NULL) {
        (void)snprintf(text, size, " %s+%zu (%p)", info.dli_sname, offset, address);
    } else {
        (void)snprintf(text, size, " %p (%s+0x%zx)", address, info.dli_fname,
                       (size_t)((const char *)address - (const char *)info.dli_fbase));
    }
}

void wf_held_check(struct wf_worker *worker)
{
    if (held_count == 0 || wf_self_on(worker) == NULL) {
        return;
    }
    weft_task *task;
    const pthread_mutex_t *mutex;
    while ((mutex = take_held(&worker->runtime->registry, &task)) != NULL) {
        char who[192];
        char lock[256];
        char text[512];
        (void)wf_task_describe(task, who, sizeof who);
        name_lock(mutex, worker->sim != NULL, lock, sizeof lock);
        (void)snprintf(text, sizeof text, "%s is suspended while it holds pthread mutex%s", who,
                       lock);
        wf_report_text(worker->runtime, WEFT_DIAG_LOCK_HELD, task, 0, text);
        wf_task_let_go(task, NULL);
    }
}

/* ---- in front ---- */

#define IN_FRONT __attribute__((visibility("default")))

static bool is_locked_by(int rc)
{
    return rc == 0 || rc == EOWNERDEAD;
}

IN_FRONT int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!is_ready()) {
        return 0;
    }
    int rc = wf_load_rlx(&real.lock)(mutex);
    if (is_locked_by(rc)) {
        note_locked(mutex);
    }
    return rc;
}

IN_FRONT int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    if (!is_ready()) {
        return 0;
    }
    int rc = wf_load_rlx(&real.try_lock)(mutex);
    if (is_locked_by(rc)) {
        note_locked(mutex);
    }
    return rc;
}

IN_FRONT int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
    if (!is_ready()) {
        return 0;
    }
    int rc = wf_load_rlx(&real.timed_lock)(mutex, until);
    if (is_locked_by(rc)) {
        note_locked(mutex);
    }
    return rc;
}

IN_FRONT int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
                                     const struct timespec *until)
{
    if (!is_ready()) {
        return 0;
    }
    int rc = wf_load_rlx(&real.clock_lock)(mutex, clock, until);
    if (is_locked_by(rc)) {
        note_locked(mutex);
    }
    return rc;
}

IN_FRONT int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (!is_ready()) {
        return 0;
    }
    note_unlocked(mutex);
    return wf_load_rlx(&real.unlock)(mutex);
}

#endif
