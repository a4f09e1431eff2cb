/* SPDX-License-Identifier: MIT */
/* ck_tsan.h - ConcurrencyKit's atomics in a form that ThreadSanitizer sees.
 *
 * What: the ck_pr_* functions that CK's inline headers call, written with the compiler's builtins.
 *       The build for ThreadSanitizer includes this file ahead of every C source, so that CK's own
 *       ck_pr.h (inline assembly, which the sanitizer can't look into) finds its guard defined.
 * Why this way: every access is sequentially consistent, because the sanitizer ignores fences and
 *       CK expresses its orders by fences. It therefore finds missing synchronisation, not wrong
 *       orders. Rejected: CK's builtin fallback, whose loads and stores are plain accesses.
 * Limits: no double-width compare-and-swap, so ck_stack_pop_mpmc does not exist here. Functions
 *       that live in libck (ck_ec's sleeping path, ck_epoch's synchronize and poll) stay invisible:
 *       their caller needs a visible load of its own after them. */

#ifndef WF_CK_TSAN_H
#define WF_CK_TSAN_H
#define CK_PR_H

#include <ck_cc.h>
#include <ck_limits.h>
#include <ck_md.h>
#include <ck_stdbool.h>
#include <ck_stddef.h>
#include <ck_stdint.h>
#include <sys/time.h>
#include <time.h>

/* Warnings about these functions belong to CK's shape, not to the file that includes them. */
#pragma GCC system_header

/* What CK's headers ask before they offer a function. The _2 forms are left out on purpose. */
#define CK_F_PR_AND_UINT
#define CK_F_PR_CAS_32
#define CK_F_PR_CAS_64
#define CK_F_PR_FAA_8
#define CK_F_PR_FAA_32
#define CK_F_PR_FAA_64
#define CK_F_PR_INC_16
#define CK_F_PR_INC_32
#define CK_F_PR_LOAD_32
#define CK_F_PR_LOAD_64
#define CK_F_PR_LOAD_UINT
#define CK_F_PR_OR_UINT
#define CK_F_PR_STORE_UINT

#define WF_CK_FN CK_CC_INLINE static
#define WF_CK_SC __ATOMIC_SEQ_CST

/* X(suffix, type of the target as CK declares it, type of the value) */
#define WF_CK_INTEGERS(X)               \
    X(char, char, char)                 \
    X(int, int, int)                    \
    X(uint, unsigned int, unsigned int) \
    X(64, uint64_t, uint64_t)           \
    X(32, uint32_t, uint32_t)           \
    X(16, uint16_t, uint16_t)           \
    X(8, uint8_t, uint8_t)

/* Everything but arithmetic; a pointer target is a `void *` to any pointer. */
#define WF_CK_ACCESS(S, M, T)                                                                \
    WF_CK_FN T ck_pr_md_load_##S(const M *target)                                            \
    {                                                                                        \
        return __atomic_load_n((const T *)target, WF_CK_SC);                                 \
    }                                                                                        \
    WF_CK_FN void ck_pr_md_store_##S(M *target, T value)                                     \
    {                                                                                        \
        __atomic_store_n((T *)target, value, WF_CK_SC);                                      \
    }                                                                                        \
    WF_CK_FN T ck_pr_fas_##S(M *target, T value)                                             \
    {                                                                                        \
        return __atomic_exchange_n((T *)target, value, WF_CK_SC);                            \
    }                                                                                        \
    WF_CK_FN bool ck_pr_cas_##S##_value(M *target, T old, T value, M *seen)                  \
    {                                                                                        \
        bool swapped =                                                                       \
            __atomic_compare_exchange_n((T *)target, &old, value, 0, WF_CK_SC, WF_CK_SC);    \
        *(T *)seen = old;                                                                    \
        return swapped;                                                                      \
    }                                                                                        \
    WF_CK_FN bool ck_pr_cas_##S(M *target, T old, T value)                                   \
    {                                                                                        \
        return __atomic_compare_exchange_n((T *)target, &old, value, 0, WF_CK_SC, WF_CK_SC); \
    }

#define WF_CK_ARITHMETIC(S, T, K, Op)                       \
    WF_CK_FN void ck_pr_##K##_##S(T *target, T value)       \
    {                                                       \
        (void)__atomic_fetch_##Op(target, value, WF_CK_SC); \
    }

#define WF_CK_STEP(S, T, K, Op, Last)                                    \
    WF_CK_FN void ck_pr_##K##_##S(T *target)                             \
    {                                                                    \
        (void)__atomic_fetch_##Op(target, (T)1, WF_CK_SC);               \
    }                                                                    \
    WF_CK_FN bool ck_pr_##K##_##S##_is_zero(T *target)                   \
    {                                                                    \
        return __atomic_fetch_##Op(target, (T)1, WF_CK_SC) == (T)(Last); \
    }                                                                    \
    WF_CK_FN void ck_pr_##K##_##S##_zero(T *target, bool *zero)          \
    {                                                                    \
        *zero = ck_pr_##K##_##S##_is_zero(target);                       \
    }

#define WF_CK_BIT(S, T, K, Op, Sign)                                                \
    WF_CK_FN bool ck_pr_##K##_##S(T *target, unsigned int bit)                      \
    {                                                                               \
        T mask = (T)((T)1 << bit);                                                  \
        return (__atomic_fetch_##Op(target, (T)(Sign mask), WF_CK_SC) & mask) != 0; \
    }

#define WF_CK_INTEGER(S, M, T)                              \
    WF_CK_ACCESS(S, M, T)                                   \
    WF_CK_FN T ck_pr_faa_##S(T *target, T value)            \
    {                                                       \
        return __atomic_fetch_add(target, value, WF_CK_SC); \
    }                                                       \
    WF_CK_ARITHMETIC(S, T, add, add)                        \
    WF_CK_ARITHMETIC(S, T, sub, sub)                        \
    WF_CK_ARITHMETIC(S, T, and, and)                        \
    WF_CK_ARITHMETIC(S, T, or, or)                          \
    WF_CK_ARITHMETIC(S, T, xor, xor)                        \
    WF_CK_STEP(S, T, inc, add, -1)                          \
    WF_CK_STEP(S, T, dec, sub, 1)                           \
    WF_CK_BIT(S, T, bts, or, )                              \
    WF_CK_BIT(S, T, btr, and, ~)                            \
    WF_CK_BIT(S, T, btc, xor, )

WF_CK_INTEGERS(WF_CK_INTEGER)
WF_CK_ACCESS(ptr, void, void *)

#define WF_CK_STORE(Target, Value, S) \
    ck_pr_md_store_##S(((void)sizeof(*(Target) = (Value)), (Target)), (Value))
#define ck_pr_store_char(Target, Value) WF_CK_STORE(Target, Value, char)
#define ck_pr_store_int(Target, Value) WF_CK_STORE(Target, Value, int)
#define ck_pr_store_uint(Target, Value) WF_CK_STORE(Target, Value, uint)
#define ck_pr_store_64(Target, Value) WF_CK_STORE(Target, Value, 64)
#define ck_pr_store_32(Target, Value) WF_CK_STORE(Target, Value, 32)
#define ck_pr_store_16(Target, Value) WF_CK_STORE(Target, Value, 16)
#define ck_pr_store_8(Target, Value) WF_CK_STORE(Target, Value, 8)
#define ck_pr_store_ptr(Target, Value) \
    ck_pr_md_store_ptr(((void)sizeof(*(Target) = (Value)), (Target)), CK_CC_DECONST_PTR(Value))
#define ck_pr_store_ptr_unsafe(Target, Value) ck_pr_md_store_ptr((Target), CK_CC_DECONST_PTR(Value))

#define ck_pr_load_char(Source) ck_pr_md_load_char(Source)
#define ck_pr_load_int(Source) ck_pr_md_load_int(Source)
#define ck_pr_load_uint(Source) ck_pr_md_load_uint(Source)
#define ck_pr_load_64(Source) ck_pr_md_load_64(Source)
#define ck_pr_load_32(Source) ck_pr_md_load_32(Source)
#define ck_pr_load_16(Source) ck_pr_md_load_16(Source)
#define ck_pr_load_8(Source) ck_pr_md_load_8(Source)
#define ck_pr_load_ptr(Source) \
    (CK_CC_TYPEOF(*(Source), (void *))) ck_pr_md_load_ptr(CK_CC_DECONST_PTR(Source))

/* Fences keep the hardware and the compiler in order; the sanitizer takes no notice of them. */
WF_CK_FN void ck_pr_barrier(void)
{
    __atomic_signal_fence(WF_CK_SC);
}

WF_CK_FN void ck_pr_stall(void)
{
    ck_pr_barrier();
}

WF_CK_FN void ck_pr_rfo(const void *target)
{
    (void)target;
}

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
#define WF_CK_FENCE(K)                         \
    WF_CK_FN void ck_pr_fence_strict_##K(void) \
    {                                          \
        __atomic_thread_fence(WF_CK_SC);       \
    }                                          \
    WF_CK_FN void ck_pr_fence_##K(void)        \
    {                                          \
        __atomic_thread_fence(WF_CK_SC);       \
    }
WF_CK_FENCE(atomic)
WF_CK_FENCE(atomic_load)
WF_CK_FENCE(atomic_store)
WF_CK_FENCE(store_atomic)
WF_CK_FENCE(load_atomic)
WF_CK_FENCE(load_depends)
WF_CK_FENCE(load_store)
WF_CK_FENCE(store_load)
WF_CK_FENCE(load)
WF_CK_FENCE(store)
WF_CK_FENCE(memory)
WF_CK_FENCE(acquire)
WF_CK_FENCE(release)
WF_CK_FENCE(acqrel)
WF_CK_FENCE(lock)
WF_CK_FENCE(unlock)
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* On x86 ck_ec.h increments by assembly of its own. Hiding the machine's name while it is read
 * makes it take the portable path; the layout is the same, so libck's half still fits. */
#if defined(__x86_64__)
#pragma push_macro("__x86_64__")
#undef __x86_64__
#include <ck_ec.h>
#pragma pop_macro("__x86_64__")
#endif

#undef WF_CK_FENCE
#undef WF_CK_BIT
#undef WF_CK_STEP
#undef WF_CK_ARITHMETIC
#undef WF_CK_INTEGER
#undef WF_CK_INTEGERS
#undef WF_CK_ACCESS

#endif
