// SPDX-License-Identifier: MIT
/* fiber.c - first arrival on a stack, adopted threads, and the switch as sanitizers need it.
 *
 * What: in an ordinary build the switch is inline (fiber.h) and only begin and adopt are here.
 * Why this way: whoever returns from a switch has nothing to do: the hooked switch tells the tools
 *       on both of its ends, and a fresh fiber, which has no end to return to, tells them in
 *       wf_fiber_begin.
 */
#include "fiber/fiber.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "fiber/hooks.h"

/* Called by the entry stub of switch_<machine>.S, as the second frame of every fiber. */
__attribute__((noreturn, used, visibility("hidden"))) void wf_fiber_begin(void (*entry)(void *arg),
                                                                          void *arg);

/* ---- the switch under a sanitizer ----
 *
 * One function for every switch, so that what the thread sanitizer pushes on its shadow stack when
 * one fiber enters it is what it pops when another leaves it. Nothing that it instruments may stand
 * between its own switch and ours. */

#if WF_TSAN

enum {
    /* Entries that a life may leave behind are some ten, a shadow stack has 65536. */
    TSAN_LIVES = 512,
/* The tool aborts the process beyond its own limit of threads and fibers: gcc's has 8128,
     * clang's has more than any test needs. */
#ifdef __clang__
    TSAN_FIBERS = 100000,
#else
    TSAN_FIBERS = 8000,
#endif
};

/* How many handles this process has: the tool's limit is per process. Relaxed: only a count. */
static wf_aint tsan_count;

char wf_hook_bytes; /* an address only */

bool wf_hook_tsan_begin_life(struct wf_fiber *f)
{
    if (f->tsan != NULL && f->tsan_lives++ < TSAN_LIVES) {
        return true;
    }
    wf_hook_tsan_dismantled(f);
    if (wf_add_rlx(&tsan_count, 1) >= TSAN_FIBERS) {
        wf_add_rlx(&tsan_count, -1);
        return false;
    }
    f->tsan = __tsan_create_fiber(0);
    f->tsan_lives = 0;
    return true;
}

void wf_hook_tsan_dismantled(struct wf_fiber *f)
{
    if (f->tsan != NULL) {
        __tsan_destroy_fiber(f->tsan);
        f->tsan = NULL;
        wf_add_rlx(&tsan_count, -1);
    }
}

WF_NO_SANITIZE __attribute__((noinline)) void wf_fiber_switch(struct wf_fiber *from,
                                                              struct wf_fiber *to)
{
    void *sp = to->sp;
    __tsan_switch_to_fiber(to->tsan, 0); /* 0: what we did happens before what `to` does */
    wf_context_go(&from->sp, sp);
}

void wf_fiber_switch_final(struct wf_fiber *from, struct wf_fiber *to)
{
    wf_fiber_switch(from, to);
    wf_die("a fiber that has ended was continued");
}

static void arrive(void)
{
}

static void adopt_hook(struct wf_fiber *host)
{
    host->tsan = __tsan_get_current_fiber();
}

#elif WF_ASAN

WF_NO_SANITIZE __attribute__((noinline)) void wf_fiber_switch(struct wf_fiber *from,
                                                              struct wf_fiber *to)
{
    __sanitizer_start_switch_fiber(&from->fake_stack, to->lo, (size_t)(to->hi - to->lo));
    wf_context_go(&from->sp, to->sp);
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
}

/* NULL instead of a place to save: the sanitizer frees what it kept for `from`. */
WF_NO_SANITIZE __attribute__((noinline)) void wf_fiber_switch_final(struct wf_fiber *from,
                                                                    struct wf_fiber *to)
{
    __sanitizer_start_switch_fiber(NULL, to->lo, (size_t)(to->hi - to->lo));
    wf_context_go(&from->sp, to->sp);
    __builtin_trap();
}

WF_NO_SANITIZE static void arrive(void)
{
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
}

static void adopt_hook(struct wf_fiber *host)
{
    (void)host;
}

#else

static void arrive(void)
{
}

static void adopt_hook(struct wf_fiber *host)
{
    (void)host;
}

#endif

/* ---- first arrival ---- */

WF_NO_SANITIZE void wf_fiber_begin(void (*entry)(void *arg), void *arg)
{
    arrive();
    entry(arg);
    wf_die("the entry function of a fiber returned");
}

void wf_fiber_prepare(struct wf_fiber *f, void (*entry)(void *arg), void *arg)
{
    WF_ASSERT(((uintptr_t)f->hi & 15) == 0);
    f->sp = wf_context_make(f->hi, entry, arg);
}

/* ---- a thread's own context ---- */

/* Of the process's first thread the C library reads it from /proc, which may be missing, or no descriptor left for
 * it. Then what is near the frame must do: it is for tools, and no guard of ours lies below it. */
static void find_thread_stack(char **lo, char **hi)
{
    enum { NEAR_BYTES = 16384 };
    pthread_attr_t attr;
    void *base = NULL;
    size_t size = 0;
    int rc = pthread_getattr_np(pthread_self(), &attr);
    if (rc == 0) {
        rc = pthread_attr_getstack(&attr, &base, &size);
        pthread_attr_destroy(&attr);
    }
    if (rc != 0) {
        size = NEAR_BYTES;
        base = (char *)__builtin_frame_address(0) - size / 2;
    }
    *lo = base;
    *hi = *lo + size;
}

void wf_fiber_adopt(struct wf_fiber *host)
{
    memset(host, 0, sizeof *host);
    find_thread_stack(&host->lo, &host->hi);
    host->promise_bytes = (size_t)(host->hi - host->lo) / WF_STACK_SCALE;
    adopt_hook(host);
}

void wf_fiber_unadopt(struct wf_fiber *host)
{
    /* The thread's stack is the thread library's; the tools know it as such. */
    memset(host, 0, sizeof *host);
}
