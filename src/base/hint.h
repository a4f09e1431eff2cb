// SPDX-License-Identifier: MIT
/* hint.h - what a condition nearly always is, for short ways that consist of many: each of them gets a hint of its
 * own, for compilers spread one hint for all unevenly, and then jump where they could go straight on. */
#ifndef WF_BASE_HINT_H
#define WF_BASE_HINT_H

#define WF_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define WF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* What holds here, and the compiler can't see: a caller that is inline need not ask again. */
#define WF_HOLDS(condition) ((condition) ? (void)0 : __builtin_unreachable())

/* The compiler computes addresses in the object anew from here on, instead of keeping one in a register of its own
 * over a call. */
#define WF_FORGET(pointer) __asm__("" : "+r"(pointer))

#endif
