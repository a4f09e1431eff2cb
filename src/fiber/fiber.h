// SPDX-License-Identifier: MIT
/* fiber.h - a stack and a saved context, and the switch between two of them.
 *
 * What: a worker switches from its own thread's context (an adopted host) to a fiber and back, or
 *       from fiber to fiber. What runs on a fiber, and when, is the business of the rooms above.
 * Why this way: the descriptor lies at the top of the fiber's own mapping and the frames begin
 *       right below it, so a parked fiber costs one touched page; rejected: descriptors in a slab
 *       of their own (a second cache miss and a second page for every switch).
 * Threads: a fiber belongs to whoever runs it or took it out of a queue; the hand-over between
 *       workers is the queue's release and acquire. Nothing here is atomic.
 *
 * Not switched: the floating point control words (mxcsr, x87, fpcr), the signal mask, and errno.
 * They belong to the worker's thread. A task that changes rounding restores it before it awaits.
 */
#ifndef WF_FIBER_FIBER_H
#define WF_FIBER_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clobber.h"
#include "fiber/tools.h"

struct wf_slab;

/* How the low end of a stack is protected. */
enum wf_guard {
    WF_GUARD_NONE = 0, /* a host: the thread library's own guard, if any */
    WF_GUARD_MADVISE,  /* guard markers in the page tables: costs no mapping */
    WF_GUARD_MPROTECT, /* a PROT_NONE hole: costs two mappings */
    WF_GUARD_CANARY,   /* nothing faults: words that must still be zero at give */
};

struct wf_fiber {
    /* The running side of a switch writes it, the next switch to this fiber reads it. */
    void *sp;

    /* The task room's to read and write: the innermost task that runs here. NULL after wf_fiber_take. */
    void *task;

    /* The rooms above: how far down what runs here may run others inside itself. */
    char *floor;

    /* Set by take or adopt, then constant. Frames live in [lo, hi); hi is 16-byte aligned.
     * [lo - wf_guard_bytes(), lo) is the guard, except on a host. */
    char *lo;
    char *hi;
    size_t promise_bytes; /* what was asked for; lo..hi is at least this times WF_STACK_SCALE */

    /* Stack bookkeeping (stack.c). slab is NULL on a host. */
    struct wf_slab *slab;
    uint32_t valgrind_id;
    uint8_t index;       /* of this stack in its slab */
    uint8_t class_index; /* which cache and depot it goes back to */
    uint8_t guard;       /* enum wf_guard */

#if WF_ASAN
    void *fake_stack; /* what the address sanitizer keeps for us while we are switched away */
#endif
#if WF_TSAN
    void *tsan;          /* the thread sanitizer's shadow of this fiber, cached with the stack */
    uint32_t tsan_lives; /* uses since it was created: see hooks.h */
#endif
};

#if !WF_ASAN && !WF_TSAN
_Static_assert(sizeof(struct wf_fiber) <= 64, "one cache line to fetch when a fiber goes on");
#endif

/* switch_<machine>.S: writes a first frame below `top` (16-byte aligned) so that a switch to the
 * returned stack pointer calls wf_fiber_begin(entry, arg) on an empty stack. */
void *wf_context_make(void *top, void (*entry)(void *arg), void *arg);

/* Stores the running context's stack pointer in *save_sp, loads load_sp and continues there. For this room only:
 * others call wf_fiber_switch. */
#if defined(__x86_64__)
/* Written out at each switch. A call that ends in a jump leaves its return address on the processor's return stack,
 * so that every return of the frames above it is predicted wrongly: measured, a yield costs 27 ns with the call and
 * 16 without it. And of the registers that a call must preserve, the compiler saves only those that the function
 * around the switch has not saved already. Whoever includes this is compiled without a red zone (CMakeLists.txt),
 * which the pushes would run over. */
static inline __attribute__((always_inline)) void wf_context_go(void **save_sp, void *load_sp)
{
    __asm__ __volatile__("leaq 1f(%%rip), %%rax\n\t"
                         "pushq %%rax\n\t"
                         "pushq %%rbp\n\t"
                         "movq %%rsp, (%%rdi)\n\t"
                         "movq %%rsi, %%rsp\n\t"
                         "popq %%rbp\n\t"
                         "popq %%rcx\n\t"
                         "notrack jmp *%%rcx\n"
                         "1:"
                         : "+D"(save_sp), "+S"(load_sp)
                         :
                         : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
                           "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                           "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                           "xmm15", "memory", "cc" WF_CLOBBER_MORE);
}
#else
/* switch_<machine>.S: pushes the registers that a call must preserve first. */
void wf_context_switch(void **save_sp, void *load_sp);

static inline void wf_context_go(void **save_sp, void *load_sp)
{
    wf_context_switch(save_sp, load_sp);
}
#endif

/* As the last act of a function: returns 0 to its caller, and leaves what the processor remembers of calls alone. Without
 * arguments: so clang, too, jumps here from a function whose locals others have seen. */
#if defined(__x86_64__) && !WF_SWITCH_HOOKS
__attribute__((const)) int wf_return_far(void);
#else
static inline int wf_return_far(void)
{
    return 0;
}
#endif

#if WF_SWITCH_HOOKS

void wf_fiber_switch(struct wf_fiber *from, struct wf_fiber *to);
__attribute__((noreturn)) void wf_fiber_switch_final(struct wf_fiber *from, struct wf_fiber *to);

#else

/* Suspends `from`, which is the running one, and continues `to`. Returns when somebody switches to
 * `from` again, perhaps on another thread: nothing thread-local may be kept across it. Inline: the
 * hottest call of the runtime is then no call at all. */
static inline void wf_fiber_switch(struct wf_fiber *from, struct wf_fiber *to)
{
    wf_context_go(&from->sp, to->sp);
}

/* As wf_fiber_switch, for a fiber that will never be switched to again as it is. The arriving side
 * may give it back (wf_fiber_give) or prepare it anew. */
__attribute__((noreturn)) static inline void wf_fiber_switch_final(struct wf_fiber *from,
                                                                   struct wf_fiber *to)
{
    wf_context_go(&from->sp, to->sp);
    __builtin_unreachable();
}

#endif

/* The next switch to `f` calls entry(arg) on an empty stack. entry must not return: it leaves by
 * wf_fiber_switch_final. Never call this on the fiber that runs. */
void wf_fiber_prepare(struct wf_fiber *f, void (*entry)(void *arg), void *arg);

/* Makes `host` stand for the calling thread's own stack, so that it can take part in switches. */
void wf_fiber_adopt(struct wf_fiber *host);

/* Ends an adoption, on the same thread, while `host` is the running one. */
void wf_fiber_unadopt(struct wf_fiber *host);

/* Stack left below the caller's frame, in the unit of promises. `f` must be the running fiber. */
static inline size_t wf_fiber_room(const struct wf_fiber *f)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t lo = (uintptr_t)f->lo;
    return here > lo ? (here - lo) / WF_STACK_SCALE : 0;
}

/* Is there stack below the caller's frame down to the fiber's floor? `f` must be the running fiber. Inline:
 * a joiner asks this on its fast path before it runs a task on its own stack. */
static inline bool wf_fiber_has_room(const struct wf_fiber *f)
{
    return (char *)__builtin_frame_address(0) > f->floor;
}

/* From now on wf_fiber_has_room says that there is none. */
static inline void wf_fiber_set_no_room(struct wf_fiber *f)
{
    f->floor = (char *)UINTPTR_MAX;
}

/* Sets the floor: `bytes`, in the unit of promises, are left below it. */
static inline void wf_fiber_set_floor(struct wf_fiber *f, size_t bytes)
{
    f->floor = f->lo + bytes * WF_STACK_SCALE;
}

#endif
