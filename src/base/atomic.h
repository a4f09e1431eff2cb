// SPDX-License-Identifier: MIT
/* atomic.h - the one door to atomic operations.
 *
 * What: C11 atomics under names that carry their memory order, so that an order can be read at the
 *       call site and found by grep. Nothing else in the tree names a memory order.
 * Why this way: ThreadSanitizer and weakly ordered machines must see the orders. ConcurrencyKit's
 *       inline assembly hides them, so it is used only inside its own structures (see ck_tsan.h).
 */
#ifndef WF_BASE_ATOMIC_H
#define WF_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define WF_TSAN_BUILD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WF_TSAN_BUILD 1
#endif
#endif
#ifndef WF_TSAN_BUILD
#define WF_TSAN_BUILD 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WF_ASAN_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WF_ASAN_BUILD 1
#endif
#endif
#ifndef WF_ASAN_BUILD
#define WF_ASAN_BUILD 0
#endif

typedef _Atomic uint8_t wf_au8;
typedef _Atomic int16_t wf_ai16;
typedef _Atomic uint32_t wf_au32;
typedef _Atomic uint64_t wf_au64;
typedef _Atomic int64_t wf_ai64;
typedef _Atomic int wf_aint;

#define wf_load_rlx(p) atomic_load_explicit((p), memory_order_relaxed)
#define wf_load_acq(p) atomic_load_explicit((p), memory_order_acquire)
#define wf_load_sc(p) atomic_load_explicit((p), memory_order_seq_cst)

#define wf_store_rlx(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define wf_store_rel(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define wf_store_sc(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#define wf_swap_acqrel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define wf_swap_sc(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)

/* Compare and swap: true when *p was *expected; else *expected becomes what *p was (acquire). */
#define wf_cas_acqrel(p, expected, v)                                                   \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, \
                                            memory_order_acquire)
#define wf_cas_sc(p, expected, v)                                                       \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, \
                                            memory_order_seq_cst)
/* May fail without a reason: for loops only. */
#define wf_cas_weak_acqrel(p, expected, v)                                            \
    atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_acq_rel, \
                                          memory_order_acquire)

#define wf_add_rlx(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define wf_add_acqrel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define wf_add_sc(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define wf_sub_acqrel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define wf_sub_sc(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define wf_or_sc(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define wf_and_sc(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define wf_or_acqrel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define wf_and_acqrel(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)

/* A counter that one thread writes and others only read: no locked instruction. On x86-64 it is one instruction,
 * which compilers do not make of a load and a store. */
static inline void wf_bump_own(wf_au64 *p, uint64_t by)
{
#if defined(__x86_64__) && !WF_TSAN_BUILD
    __asm__ __volatile__("addq %1, %0" : "+m"(*(uint64_t *)p) : "er"(by) : "cc");
#else
    wf_store_rlx(p, wf_load_rlx(p) + by);
#endif
}

/* The same by one, where readers acquire. */
static inline void wf_bump_own_rel(wf_au64 *p)
{
#if defined(__x86_64__) && !WF_TSAN_BUILD
    __asm__ __volatile__("addq $1, %0" : "+m"(*(uint64_t *)p) : : "memory", "cc");
#else
    wf_store_rel(p, wf_load_rlx(p) + 1);
#endif
}

/* Is any of some bits set in a word? On x86-64 one instruction looks, which compilers don't make of an atomic load and a
 * test. `bits` is best a constant that 32 bits with their sign tell. */
static inline __attribute__((always_inline)) bool wf_has_acq(wf_au64 *p, uint64_t bits)
{
#if defined(__x86_64__) && !WF_TSAN_BUILD
    bool has;
    __asm__ __volatile__("testq %2, %1"
                         : "=@ccnz"(has)
                         : "m"(*(uint64_t *)p), "er"(bits)
                         : "memory");
    return has;
#else
    return (wf_load_acq(p) & bits) != 0;
#endif
}

/* Is a word of that value? Likewise. */
static inline __attribute__((always_inline)) bool wf_is_acq(_Atomic(uintptr_t) *p, uintptr_t value)
{
#if defined(__x86_64__) && !WF_TSAN_BUILD
    bool is;
    __asm__ __volatile__("cmpq %2, %1"
                         : "=@cce"(is)
                         : "m"(*(uintptr_t *)p), "er"(value)
                         : "memory");
    return is;
#else
    return wf_load_acq(p) == value;
#endif
}

/* The same of a byte that others change in ways that order nothing. */
static inline __attribute__((always_inline)) bool wf_has_rlx(wf_au8 *p, uint8_t bits)
{
#if defined(__x86_64__) && !WF_TSAN_BUILD
    bool has;
    __asm__ __volatile__("testb %2, %1" : "=@ccnz"(has) : "m"(*(uint8_t *)p), "qi"(bits));
    return has;
#else
    return (wf_load_rlx(p) & bits) != 0;
#endif
}

/* Store-load barrier. On x86-64 an empty locked operation on the stack costs a quarter of mfence,
 * which is what clang makes of a seq_cst fence. */
static inline void wf_fence_full(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("lock; orl $0, (%%rsp)" ::: "memory", "cc");
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* The same right after a locked operation, which on x86-64 is one already. */
static inline void wf_fence_after_rmw(void)
{
#if defined(__x86_64__)
    atomic_signal_fence(memory_order_seq_cst); /* the compiler's part */
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* A pause inside a bounded spin. */
static inline void wf_relax(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("pause" ::: "memory");
#elif defined(__aarch64__)
    __asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
