// SPDX-License-Identifier: MIT
/* bias.h - words that each have an owner, who changes them without locked operations until others come.
 *
 * What: several owners, threads all. A biased owner changes what is its own by plain loads and stores (wf_bias_swap).
 *       Anybody else who is to change such a word, or must know that it does not change, is a guest for as long: he stops
 *       one owner, or all, first. A stopped owner makes locked operations for a while (wf_bias_look), and is biased again then,
 *       if there are no guests just now; a longer while, if it has been stopped before it was worth it.
 * How:  the owner's change is a restartable sequence (rseq(2)): it looks whether it is biased still, compares, and stores;
 *       if its thread loses its processor, or gets a signal, before that store, the kernel has it go on elsewhere, and
 *       nothing has been changed. A guest counts himself, takes the bias away, and has the kernel restart the sequences of
 *       all threads of the process that run (membarrier(2)), which is a fence for them, too. Either an owner stored
 *       before that, and the guest sees it; or it will look at the bias, which is gone. So nobody waits for an owner,
 *       wherever the kernel has stopped it. A guest who finds no bias comes after such a restart. An owner that
 *       takes its bias back stores it and looks at the count of guests; a guest counts himself and looks at the bias: one
 *       of them sees the other.
 * Cost: a load and a store beyond the change for owners; two locked operations for a guest, and the system call, some
 *       microseconds, for one who finds a biased owner.
 * Where: x86-64, Linux 5.10, and a C library that registers its threads for such sequences, as glibc does since 2.35.
 *       Elsewhere nobody is ever biased.
 * Source: Kawachiya, Koseki and Onodera, "Lock reservation", OOPSLA 2002; Dice, Huang and Yang, "Asymmetric Dekker
 *       synchronization", 2001. tests/model/bias.pml, tests/model/claim.pml.
 */
#ifndef WF_BASE_BIAS_H
#define WF_BASE_BIAS_H

#include "base/hint.h"
#include "base/lock.h"

#if defined(__x86_64__) && defined(__GLIBC__) && !WF_TSAN_BUILD && defined(__has_include)
#if __has_include(<sys/rseq.h>)
#define WF_BIAS_CAN 1
#endif
#endif
#ifndef WF_BIAS_CAN
#define WF_BIAS_CAN 0
#endif

/* An owner is biased twice: those who come often stop what it does to the first kind of words alone. */
enum wf_bias_kind {
    WF_BIAS_FIRST,  /* wf_bias_swap, wf_bias_swap_and_lower */
    WF_BIAS_SECOND, /* wf_bias_clear_low */
    WF_BIAS_KINDS,
};

enum wf_bias_state {
    WF_BIAS_NONE = 0,
    WF_BIAS_HELD = 1,     /* known to the assembly below */
    WF_BIAS_STOPPING = 2, /* a restart is being made */
};

struct wf_bias_owner {
    /* enum wf_bias_state, for each kind. The owner stores HELD, guests the others, all under the lock (seq_cst); the owner
     * loads them in its sequences, guests when they come (seq_cst). */
    wf_au8 states[WF_BIAS_KINDS];
    /* Looks (wf_bias_look), which come after so many operations that the bias has made cheaper: the owner counts, whoever stops
     * it loads (relaxed: about so many). What they were when it began: as since_ns. */
    wf_au32 looks;
    uint32_t since_looks;
    struct wf_bias_owner *next; /* set before the owners start */
    /* When it may be biased again: stored under the lock, loaded by the owner (relaxed). */
    wf_ai64 again_ns;
    int64_t since_ns;    /* when it began to be; under the lock, and so is the next */
    int64_t patience_ns; /* how long it does without, once stopped */
};

struct wf_bias {
    /* Guests who are there: each adds (seq_cst) and takes away (acq_rel) his one, owners load (seq_cst). */
    _Alignas(64) wf_au32 guests;
    /* 0: no owner is biased. Stored under the lock, 1 by an owner (seq_cst), 0 by a guest of all; guests load (seq_cst). */
    wf_au32 is_any;
    /* 0: nobody will ever be biased (any more). Stored before the owners start, and under the lock where the kernel refuses a
     * restart (release); loaded (acquire) by anybody. */
    wf_au8 is_possible;
    struct wf_lock lock;
    struct wf_bias_owner *owners;
};

/* Before the owners start. */
void wf_bias_add(struct wf_bias *bias, struct wf_bias_owner *owner);

/* Before they start: all are biased, where that is possible. */
void wf_bias_begin(struct wf_bias *bias);

/* In a forked child, whose only thread is `owner`: never again. */
void wf_bias_forked(struct wf_bias *bias, struct wf_bias_owner *owner);

/* ---- the owner ---- */

/* What must not be for a change: bits of two words. */
struct wf_bias_unless {
    wf_au64 *words[2];
    uint64_t first_bits; /* any of these of the first, */
    uint8_t second_bits; /* any of these lowest of the second */
};

/* A place in a deque that is lowered with the change, if its other end, `top`, is not above `to`. */
struct wf_bias_lower {
    wf_au64 *bottom;
    uint64_t to;
    wf_au64 *top;
};

#if WF_BIAS_CAN

/* Where a thread's struct rseq lies, from its thread pointer on, or, where threads have none, something that may be written
 * instead. Set before there are owners. */
extern __attribute__((visibility("hidden"))) ptrdiff_t wf_bias_rseq;

/* The pointer to the sequence that is under way is the second word of struct rseq; it is stored also where there is no bias,
 * which is seen in the sequence alone. The signature in front of the place where the kernel has a thread go on is what glibc
 * registers for this architecture. */
#define WF_BIAS_BEGIN                                    \
    ".pushsection __rseq_cs, \"aw\"\n\t"                 \
    ".balign 32\n"                                       \
    "11:\t.long 0, 0\n\t"                                \
    ".quad 12f, 13f - 12f, 14f\n\t"                      \
    ".popsection\n\t"                                    \
    ".pushsection .text.unlikely, \"ax\", @progbits\n\t" \
    ".byte 0x0f, 0xb9, 0x3d\n\t"                         \
    ".long 0x53053053\n"                                 \
    "14:\tjmp %l[refused]\n\t"                           \
    ".popsection\n\t"                                    \
    "leaq 11b(%%rip), %%rax\n\t"                         \
    "movq %%rax, %%fs:8(%[rseq])\n"                      \
    "12:\tcmpb $1, %[state]\n\t"                         \
    "jne %l[refused]\n\t"

#define WF_BIAS_COMMIT         \
    "movq %[value], %[word]\n" \
    "13:\n"

/* Changes `word` of the owner's from `expected` to `value`. False: it is not biased, or was interrupted, or the word is
 * another, or what is there also; nothing has changed. */
static inline __attribute__((always_inline)) bool wf_bias_swap(struct wf_bias_owner *owner,
                                                               wf_au64 *word, uint64_t expected,
                                                               uint64_t value)
{
    __asm__ goto(WF_BIAS_BEGIN "cmpq %[expected], %[word]\n\t"
                               "jne %l[refused]\n\t" WF_BIAS_COMMIT
                 :
                 : [rseq] "r"(wf_bias_rseq), [state] "m"(owner->states[WF_BIAS_FIRST]),
                   [word] "m"(*word), [expected] "r"(expected), [value] "r"(value)
                 : "memory", "cc", "rax"
                 : refused);
    return true;
refused:
    return false;
}

/* Changes the lower half of `word` from `expected` to 0, unless. Else as wf_bias_swap. The other words are looked at last:
 * while the first is as expected nobody but guests changes them. */
static inline __attribute__((always_inline)) bool wf_bias_clear_low(
    struct wf_bias_owner *owner, wf_au64 *word, uint32_t expected,
    const struct wf_bias_unless *unless)
{
    __asm__ goto(
        WF_BIAS_BEGIN "cmpl %[expected], %[word]\n\t"
                      "jne %l[refused]\n\t"
                      "testq %[first], %[one]\n\t"
                      "jne %l[refused]\n\t"
                      "testb %[second], %[other]\n\t"
                      "jne %l[refused]\n\t"
                      "movl $0, %[word]\n"
                      "13:\n"
        :
        : [rseq] "r"(wf_bias_rseq), [state] "m"(owner->states[WF_BIAS_SECOND]), [word] "m"(*word),
          [expected] "er"(expected), [one] "m"(*unless->words[0]), [first] "r"(unless->first_bits),
          [other] "m"(*unless->words[1]), [second] "iq"(unless->second_bits)
        : "memory", "cc", "rax"
        : refused);
    return true;
refused:
    return false;
}

/* The same as wf_bias_swap, and lowers. Where it is interrupted the bottom may be lowered all the same. */
static inline __attribute__((always_inline)) bool wf_bias_swap_and_lower(
    struct wf_bias_owner *owner, wf_au64 *word, uint64_t expected, uint64_t value,
    const struct wf_bias_lower *lower)
{
    __asm__ goto(WF_BIAS_BEGIN "cmpq %[expected], %[word]\n\t"
                               "jne %l[refused]\n\t"
                               "cmpq %[to], %[top]\n\t"
                               "ja %l[refused]\n\t"
                               "movq %[to], %[bottom]\n\t" WF_BIAS_COMMIT
                 :
                 : [rseq] "r"(wf_bias_rseq), [state] "m"(owner->states[WF_BIAS_FIRST]),
                   [word] "m"(*word), [expected] "r"(expected), [value] "r"(value),
                   [top] "m"(*lower->top), [to] "r"(lower->to), [bottom] "m"(*lower->bottom)
                 : "memory", "cc", "rax"
                 : refused);
    return true;
refused:
    return false;
}

#else

static inline bool wf_bias_swap(struct wf_bias_owner *owner, wf_au64 *word, uint64_t expected,
                                uint64_t value)
{
    (void)owner;
    (void)word;
    (void)expected;
    (void)value;
    return false;
}

static inline bool wf_bias_clear_low(struct wf_bias_owner *owner, wf_au64 *word, uint32_t expected,
                                     const struct wf_bias_unless *unless)
{
    (void)unless;
    return wf_bias_swap(owner, word, expected, 0);
}

static inline bool wf_bias_swap_and_lower(struct wf_bias_owner *owner, wf_au64 *word,
                                          uint64_t expected, uint64_t value,
                                          const struct wf_bias_lower *lower)
{
    (void)lower;
    return wf_bias_swap(owner, word, expected, value);
}

#endif

/* First on its thread, which may not be registered with the kernel: made by other means than the C library's. */
void wf_bias_begin_thread(struct wf_bias *bias, struct wf_bias_owner *owner);

/* Before its thread ends: the kernel is not to look at this library's sequences any more, which may be unloaded. */
void wf_bias_end_thread(void);

/* The owner. */
static inline bool wf_bias_is_held(struct wf_bias_owner *owner)
{
    return WF_LIKELY(wf_load_rlx(&owner->states[WF_BIAS_FIRST]) == WF_BIAS_HELD);
}

/* It is biased again, if there are no guests. */
void wf_bias_renew(struct wf_bias *bias, struct wf_bias_owner *owner, int64_t now_ns);

/* Now and then, by an owner that makes locked operations where none would do. */
static inline void wf_bias_look(struct wf_bias *bias, struct wf_bias_owner *owner, int64_t now_ns)
{
    wf_store_rlx(&owner->looks, wf_load_rlx(&owner->looks) + 1);
    if (WF_UNLIKELY(!wf_bias_is_held(owner)) && now_ns >= wf_load_rlx(&owner->again_ns)) {
        wf_bias_renew(bias, owner, now_ns);
    }
}

/* ---- guests: any thread, also under locks ---- */

/* Takes the first bias of `owner`, or both of all (NULL), if they are not gone by now. */
void wf_bias_stop(struct wf_bias *bias, struct wf_bias_owner *owner);

/* Comes: until he leaves nobody is biased in any way. True: he must leave. May nest. */
static inline bool wf_bias_visit(struct wf_bias *bias)
{
    if (wf_load_acq(&bias->is_possible) == 0) {
        return false;
    }
    (void)wf_add_sc(&bias->guests, 1U);
    if (WF_UNLIKELY(wf_load_sc(&bias->is_any) != 0)) {
        wf_bias_stop(bias, NULL);
    }
    return true;
}

/* The same for words of the first kind of one of them. */
static inline bool wf_bias_visit_one(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    if (wf_load_acq(&bias->is_possible) == 0) {
        return false;
    }
    (void)wf_add_sc(&bias->guests, 1U);
    if (WF_UNLIKELY(wf_load_sc(&owner->states[WF_BIAS_FIRST]) != WF_BIAS_NONE)) {
        wf_bias_stop(bias, owner);
    }
    return true;
}

/* `is_guest`: what the visit said. */
static inline void wf_bias_leave(struct wf_bias *bias, bool is_guest)
{
    if (is_guest) {
        (void)wf_sub_acqrel(&bias->guests, 1U);
    }
}

#endif
