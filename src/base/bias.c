// SPDX-License-Identifier: MIT
/* bias.c - stopping owners, and their coming back. */
#include "base/bias.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"

#if WF_BIAS_CAN
#include <sys/rseq.h>

_Static_assert(offsetof(struct rseq, rseq_cs) == 8 && offsetof(struct rseq, cpu_id) == 4, "bias.h");
_Static_assert(RSEQ_SIG == 0x53053053, "bias.h");

/* A process of an older C library has none of these. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

ptrdiff_t wf_bias_rseq;

/* Written in place of a struct rseq that the C library has not registered. */
static __attribute__((tls_model("initial-exec"))) _Thread_local struct rseq spare;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool is_registered(void)
{
    return &__rseq_size != NULL && __rseq_size != 0;
}

static void find_rseq(void)
{
    wf_bias_rseq =
        is_registered() ? __rseq_offset : (char *)&spare - (char *)__builtin_thread_pointer();
}
#endif

/* How long an owner makes locked operations once it was stopped. */
#define PATIENCE_LEAST_NS 10000
#define PATIENCE_MOST_NS 20000000

/* How long it must have been biased for: being stopped costs it some microseconds, and the guest twenty. And what it must have
 * done meanwhile: 20 looks are some thousand joins of short children, a hundred of long ones. Who joins less often has nothing
 * of it. */
#define WORTH_NS 200000
enum { WORTH_LOOKS = 20 };

_Static_assert(sizeof(struct wf_bias_owner) <= 48, "beside a worker's free slots");

/* ---- what the kernel and the C library give ---- */

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

static bool can_restart(void)
{
#if WF_BIAS_CAN
    return is_registered() && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0;
#else
    return false;
#endif
}

/* Runs on each processor in turn: who ran there has lost it. */
static void pass_over_processors(void)
{
    cpu_set_t before;
    cpu_set_t one;
    if (sched_getaffinity(0, sizeof before, &before) != 0) {
        return;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof one, &one); /* there may be none */
    }
    (void)sched_setaffinity(0, sizeof before, &before);
}

/* All that run begin their sequences anew, and pass a fence. Where the kernel refuses (a filter was installed), all that run
 * are made to lose their processors; should that be refused, too, time must do, a millisecond. False: so it was. */
static bool restart_all(void)
{
    const int64_t long_ns = 1000000;
    wf_fence_full();
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) == 0) {
        return true;
    }
    int64_t end_ns = wf_monotonic_ns() + long_ns;
    pass_over_processors();
    for (int i = 0; wf_monotonic_ns() < end_ns; i++) {
        wf_let_others(i);
    }
    return false;
}

void wf_bias_end_thread(void)
{
#if WF_BIAS_CAN
    if (wf_bias_rseq != 0) {
        __asm__ __volatile__("movq $0, %%fs:8(%0)" : : "r"(wf_bias_rseq) : "memory");
    }
#endif
}

/* ---- beginning ---- */

void wf_bias_begin_thread(struct wf_bias *bias, struct wf_bias_owner *owner)
{
#if WF_BIAS_CAN
    int32_t cpu = 0;
    if (wf_load_acq(&bias->is_possible) != 0) {
        __asm__ __volatile__("movl %%fs:4(%1), %0" : "=r"(cpu) : "r"(wf_bias_rseq));
    }
    if (cpu < 0) {
        wf_lock(&bias->lock);
        wf_store_sc(&owner->states[WF_BIAS_FIRST], (uint8_t)WF_BIAS_NONE);
        wf_store_sc(&owner->states[WF_BIAS_SECOND], (uint8_t)WF_BIAS_NONE);
        wf_store_rlx(&owner->again_ns, INT64_MAX);
        wf_unlock(&bias->lock);
    }
#else
    (void)bias;
    (void)owner;
#endif
}

void wf_bias_add(struct wf_bias *bias, struct wf_bias_owner *owner)
{
#if WF_BIAS_CAN
    (void)pthread_once(&once, find_rseq);
#endif
    owner->patience_ns = PATIENCE_LEAST_NS;
    owner->next = bias->owners;
    bias->owners = owner;
}

void wf_bias_begin(struct wf_bias *bias)
{
    if (!can_restart()) {
        return;
    }
    for (struct wf_bias_owner *owner = bias->owners; owner != NULL; owner = owner->next) {
        wf_store_rlx(&owner->states[WF_BIAS_FIRST], (uint8_t)WF_BIAS_HELD);
        wf_store_rlx(&owner->states[WF_BIAS_SECOND], (uint8_t)WF_BIAS_HELD);
    }
    wf_store_rlx(&bias->is_any, 1U);
    wf_store_rel(&bias->is_possible, (uint8_t)1);
}

void wf_bias_forked(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    wf_store_rlx(&owner->states[WF_BIAS_FIRST], (uint8_t)WF_BIAS_NONE);
    wf_store_rlx(&owner->states[WF_BIAS_SECOND], (uint8_t)WF_BIAS_NONE);
    wf_store_rlx(&bias->is_any, 0U);
    wf_store_rlx(&bias->is_possible, (uint8_t)0);
}

/* ---- stopping, under the lock ---- */

static bool begin_stopping(struct wf_bias_owner *owner, enum wf_bias_kind kind)
{
    if (wf_load_rlx(&owner->states[kind]) == WF_BIAS_NONE) {
        return false;
    }
    wf_store_sc(&owner->states[kind], (uint8_t)WF_BIAS_STOPPING);
    return true;
}

static bool was_worth_it(struct wf_bias_owner *owner, int64_t now_ns)
{
    return now_ns - owner->since_ns >= WORTH_NS &&
           wf_load_rlx(&owner->looks) - owner->since_looks >= WORTH_LOOKS;
}

/* What its bias has brought says when it may be biased again. */
static bool take_first(struct wf_bias_owner *owner, int64_t now_ns)
{
    if (!begin_stopping(owner, WF_BIAS_FIRST)) {
        return false;
    }
    bool is_worth_it = was_worth_it(owner, now_ns);
    if (is_worth_it && owner->patience_ns > PATIENCE_LEAST_NS) {
        owner->patience_ns /= 2;
    } else if (!is_worth_it && owner->patience_ns < PATIENCE_MOST_NS) {
        owner->patience_ns *= 2;
    }
    wf_store_rlx(&owner->again_ns, now_ns + owner->patience_ns);
    return true;
}

static bool take_all(struct wf_bias *bias, int64_t now_ns)
{
    bool is_taken = false;
    for (struct wf_bias_owner *owner = bias->owners; owner != NULL; owner = owner->next) {
        is_taken = take_first(owner, now_ns) || is_taken;
        is_taken = begin_stopping(owner, WF_BIAS_SECOND) || is_taken;
    }
    return is_taken;
}

static void end_stopping(struct wf_bias_owner *owner)
{
    for (int kind = 0; kind < WF_BIAS_KINDS; kind++) {
        if (wf_load_rlx(&owner->states[kind]) == WF_BIAS_STOPPING) {
            wf_store_sc(&owner->states[kind], (uint8_t)WF_BIAS_NONE);
        }
    }
}

/* Those that are being stopped have stopped. Where the kernel refuses it is all of them, and for good. */
static void finish_stopping(struct wf_bias *bias, int64_t now_ns)
{
    bool is_possible = restart_all();
    if (!is_possible) {
        (void)take_all(bias, now_ns);
        (void)restart_all();
    }
    for (struct wf_bias_owner *owner = bias->owners; owner != NULL; owner = owner->next) {
        end_stopping(owner);
    }
    if (!is_possible) {
        wf_store_rel(&bias->is_possible, (uint8_t)0);
    }
}

__attribute__((noinline)) void wf_bias_stop(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    wf_lock(&bias->lock);
    int64_t now_ns = wf_monotonic_ns();
    if (owner != NULL ? take_first(owner, now_ns) : take_all(bias, now_ns)) {
        finish_stopping(bias, now_ns);
    }
    if (owner == NULL) {
        wf_store_sc(&bias->is_any, 0U);
    }
    wf_unlock(&bias->lock);
}

/* ---- coming back ---- */

/* Under the lock. Where there are guests: its last changes by it are seen before they find it gone. */
static bool try_renew(struct wf_bias *bias, struct wf_bias_owner *owner)
{
    uint8_t second = wf_load_rlx(&owner->states[WF_BIAS_SECOND]);
    wf_store_sc(&bias->is_any, 1U);
    wf_store_sc(&owner->states[WF_BIAS_FIRST], (uint8_t)WF_BIAS_HELD);
    wf_store_sc(&owner->states[WF_BIAS_SECOND], (uint8_t)WF_BIAS_HELD);
    if (wf_load_sc(&bias->guests) == 0 && wf_load_rlx(&bias->is_possible) != 0) {
        return true;
    }
    wf_store_sc(&owner->states[WF_BIAS_FIRST], (uint8_t)WF_BIAS_NONE);
    wf_store_sc(&owner->states[WF_BIAS_SECOND], second);
    return false;
}

__attribute__((noinline)) void wf_bias_renew(struct wf_bias *bias, struct wf_bias_owner *owner,
                                             int64_t now_ns)
{
    if (wf_load_rlx(&bias->is_possible) == 0) {
        wf_store_rlx(&owner->again_ns, INT64_MAX);
    } else if (wf_load_rlx(&bias->guests) == 0 && wf_trylock(&bias->lock)) {
        if (try_renew(bias, owner)) {
            owner->since_ns = now_ns;
            owner->since_looks = wf_load_rlx(&owner->looks);
        }
        wf_unlock(&bias->lock);
    }
}
