// SPDX-License-Identifier: MIT
/* hooks.h - the moments in a stack's life that sanitizers and valgrind must hear of.
 *
 * What: built, life begins, life ends, dismantled, dropped. Each is empty in an ordinary build, but
 *       for valgrind, whose requests cost a few instructions and are made only when a stack is
 *       built or dismantled.
 * Address sanitizer: a free stack is poisoned, so that a stale pointer into it is reported. A life
 *       may end in the middle of frames, whose red zones the unpoisoning clears.
 * Thread sanitizer: it keeps a shadow call stack for each fiber. A fiber that ends never returns
 *       from its frames, so their entries stay; after many lives they would overrun the shadow.
 *       The handle is therefore cached with the stack, as making one costs 8 us, but replaced
 *       after some lives.
 */
#ifndef WF_FIBER_HOOKS_H
#define WF_FIBER_HOOKS_H

#include <stdbool.h>

#include "base/atomic.h"
#include "fiber/fiber.h"

/* A switch crosses frames that return on another fiber; only calls that tools make sense of
 * on both sides may be in it. */
#define WF_NO_SANITIZE __attribute__((no_sanitize("address", "thread")))

/* ---- valgrind ---- */

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define WF_VALGRIND 1
#endif
#endif

#ifdef WF_VALGRIND

static inline bool wf_hook_on_valgrind(void)
{
    return RUNNING_ON_VALGRIND != 0;
}

static inline void wf_hook_valgrind_built(struct wf_fiber *f)
{
    f->valgrind_id = (uint32_t)VALGRIND_STACK_REGISTER(f->lo, f->hi);
}

static inline void wf_hook_valgrind_dismantled(struct wf_fiber *f)
{
    VALGRIND_STACK_DEREGISTER(f->valgrind_id);
}

#else

static inline bool wf_hook_on_valgrind(void)
{
    return false;
}

static inline void wf_hook_valgrind_built(struct wf_fiber *f)
{
    f->valgrind_id = 0;
}

static inline void wf_hook_valgrind_dismantled(struct wf_fiber *f)
{
    (void)f;
}

#endif

/* ---- address sanitizer ---- */

#if WF_ASAN

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static inline void wf_hook_poison(char *lo, char *hi)
{
    __asan_poison_memory_region(lo, (size_t)(hi - lo));
}

static inline void wf_hook_unpoison(char *lo, char *hi)
{
    __asan_unpoison_memory_region(lo, (size_t)(hi - lo));
}

#else

static inline void wf_hook_poison(char *lo, char *hi)
{
    (void)lo;
    (void)hi;
}

static inline void wf_hook_unpoison(char *lo, char *hi)
{
    (void)lo;
    (void)hi;
}

#endif

/* ---- thread sanitizer ---- */

#if WF_TSAN

#if defined(__has_include)
#if __has_include(<sanitizer/tsan_interface.h>)
#include <sanitizer/tsan_interface.h>
#endif
#endif

/* Bytes that go through the kernel order what was done before they were sent and what is done after they have come.
 * The tool knows that of system calls, but not of what a ring does. Any bytes and any descriptor, as it has it for
 * sockets. */
extern char wf_hook_bytes;

static inline void wf_hook_sent(void)
{
    __tsan_release(&wf_hook_bytes);
}

static inline void wf_hook_received(void)
{
    __tsan_acquire(&wf_hook_bytes);
}

/* fiber.c. False: the tool has no room for another fiber. */
bool wf_hook_tsan_begin_life(struct wf_fiber *f);
void wf_hook_tsan_dismantled(struct wf_fiber *f);

#else

static inline void wf_hook_sent(void)
{
}

static inline void wf_hook_received(void)
{
}

static inline bool wf_hook_tsan_begin_life(struct wf_fiber *f)
{
    (void)f;
    return true;
}

static inline void wf_hook_tsan_dismantled(struct wf_fiber *f)
{
    (void)f;
}

#endif

/* ---- what stack.c calls ---- */

/* The descriptor has just been written. */
static inline void wf_hook_built(struct wf_fiber *f)
{
    wf_hook_valgrind_built(f);
}

/* The fiber is about to be taken. False: it can't be, and stays free. */
static inline bool wf_hook_begin_life(struct wf_fiber *f)
{
    wf_hook_unpoison(f->lo, f->hi);
    return wf_hook_tsan_begin_life(f);
}

/* The fiber has been given back. */
static inline void wf_hook_end_life(struct wf_fiber *f)
{
    wf_hook_poison(f->lo, f->hi);
}

/* The mapping is about to go. */
static inline void wf_hook_dismantled(struct wf_fiber *f)
{
    wf_hook_valgrind_dismantled(f);
    wf_hook_tsan_dismantled(f);
}

/* Descriptors hold what a tool must get back: pages may not be dropped before dismantling. */
static inline bool wf_hook_keeps_pages(void)
{
    return WF_TSAN || wf_hook_on_valgrind();
}

#endif
