// SPDX-License-Identifier: MIT
/* solo.c - who is alone, and what guests do.
 *
 *     NOBODY --a worker begins--> its name --a guest comes--> STOPPING --> PAUSED --64 operations--> its name
 *     its name, PAUSED --it ends--> NOBODY
 *     any of them --another worker begins, or the kernel refuses a fence--> CROWD
 *     CROWD --a runtime of one worker is made in a process of one thread--> NOBODY
 *
 * The name changes under a lock. A guest does not need it where none stands there: it is counted, then looks at the
 * name, and makes its operation. A worker that takes its name back writes it and then looks at the count: if there
 * are guests it takes the name away again, before it has made any operation by it. So of a guest and a worker one
 * sees the other.
 */
#include "base/solo.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/futex.h"

/* How many operations a worker makes before it is alone again: the more, the more often guests have come before it
 * was worth its while. */
enum { PATIENCE_LEAST = 64, PATIENCE_MOST = 1 << 20 };

#define WORTH_NS 5000000

struct wf_solo wf_solo;

_Static_assert(offsetof(struct wf_solo, thread) == 0 && offsetof(struct wf_solo, worker) == 8 &&
                   offsetof(struct wf_solo, left) == 64 &&
                   offsetof(struct wf_solo, is_within) == 68 && WF_SOLO_PAUSED == 2,
               "solo_x86_64.S");

static struct {
    /* Guests that make an operation: each adds (seq_cst) and takes away (acq_rel) its one; a worker that begins to
     * be alone loads (seq_cst; relaxed before, to see whether it is of any use). */
    _Alignas(64) wf_au32 count;
    wf_au32
        lock; /* any thread: CAS (acq_rel) takes it, a store (release) gives it back. It guards the rest: */
    uint32_t patience;
    int64_t since_ns; /* when the worker began to be alone */
} guests;

/* Changed by workers that begin: all find the same, nearly. */
static wf_aint worth; /* 0: not known; 1: it is worth it; -1: it is not */

/* ---- once for each process ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool can_fence; /* from then on under the lock */

/* The child has one thread, which may be another than the worker, and is in the middle of nothing. */
static void in_child(void)
{
    wf_store_rlx(&wf_solo.is_within, (uint8_t)0);
    wf_store_rlx(&wf_solo.worker, (uintptr_t)0);
    wf_store_rlx(&guests.count, 0U);
    wf_store_rlx(&guests.lock, 0U);
    wf_store_sc(&wf_solo.thread, (uintptr_t)WF_SOLO_NOBODY);
}

static void prepare(void)
{
    can_fence = pthread_atfork(NULL, NULL, in_child) == 0 && wf_fence_prepare();
}

/* ---- the lock ---- */

static bool try_lock(void)
{
    uint32_t is_free = 0;
    return wf_load_rlx(&guests.lock) == 0 && wf_cas_acqrel(&guests.lock, &is_free, 1U);
}

static void lock(void)
{
    enum { PAUSES = 64 };
    (void)pthread_once(&once, prepare);
    for (int i = 0; !try_lock(); i++) {
        if (i < PAUSES) {
            wf_relax();
        } else {
            wf_let_others(i - PAUSES);
        }
    }
}

static void unlock(void)
{
    wf_store_rel(&guests.lock, 0U);
}

/* ---- changes of the name, under the lock ---- */

static uintptr_t name_now(void)
{
    return wf_load_sc(&wf_solo.thread);
}

static void set_name(uintptr_t name)
{
    wf_store_sc(&wf_solo.thread, name);
}

static void pause_worker(uintptr_t pause)
{
    wf_store_rlx(&wf_solo.left, guests.patience);
    set_name(pause);
}

/* The worker `self` is alone, unless there are guests just now. */
static void begin(uintptr_t self)
{
    guests.since_ns = wf_monotonic_ns();
    set_name(self);
    if (wf_load_sc(&guests.count) != 0) {
        pause_worker(WF_SOLO_PAUSED);
    }
}

/* If somebody is alone, he is not any more; where the kernel makes no heavy fences by now, nobody ever again. */
static void stop(void)
{
    if (name_now() <= WF_SOLO_PAUSED) {
        return;
    }
    bool was_worth_it = wf_monotonic_ns() - guests.since_ns >= WORTH_NS;
    uint32_t more = guests.patience < PATIENCE_MOST ? 2 * guests.patience : PATIENCE_MOST;
    guests.patience = was_worth_it ? PATIENCE_LEAST : more;
    pause_worker(WF_SOLO_STOPPING);
    can_fence = wf_fence_all();
    wf_fence_await(&wf_solo.is_within);
    set_name(can_fence ? WF_SOLO_PAUSED : WF_SOLO_CROWD);
}

/* ---- operations ---- */

/* Is the caller the one of that name? Then it changes what it wants by plain stores until leave, soon. */
static inline bool enter(uintptr_t name)
{
    if (WF_UNLIKELY(name != wf_solo_self())) {
        return false;
    }
    wf_store_rlx(&wf_solo.is_within, (uint8_t)1);
    wf_fence_light(true);
    if (WF_LIKELY(wf_load_rlx(&wf_solo.thread) == name)) {
        return true;
    }
    wf_store_rel(&wf_solo.is_within, (uint8_t)0);
    return false;
}

static inline void leave(void)
{
    wf_store_rel(&wf_solo.is_within, (uint8_t)0);
}

/* A worker that has guests makes one more operation. */
static void count_down(uintptr_t self)
{
    uint32_t left = wf_load_rlx(&wf_solo.left);
    if (left > 0) {
        wf_store_rlx(&wf_solo.left, left - 1);
    } else if (wf_load_rlx(&guests.count) != 0) {
        wf_store_rlx(&wf_solo.left, (uint32_t)PATIENCE_LEAST);
    } else if (try_lock()) {
        if (name_now() == WF_SOLO_PAUSED && wf_load_rlx(&wf_solo.worker) == self) {
            begin(self);
        }
        unlock();
    }
}

/* Before an operation; true: it is a guest's, and depart comes after it. */
static __attribute__((noinline)) bool visit(void)
{
    uintptr_t self = wf_solo_self();
    if (wf_load_rlx(&wf_solo.worker) == self) {
        count_down(self);
        return false;
    }
    (void)pthread_once(&once, prepare);
    (void)wf_add_sc(&guests.count, 1U);
    if (name_now() > WF_SOLO_PAUSED) {
        lock(); /* perhaps for another guest that is just stopping the worker */
        stop();
        unlock();
    }
    return true;
}

static void depart(void)
{
    (void)wf_sub_acqrel(&guests.count, 1U);
}

/* Called by solo_x86_64.S, which the compiler does not see. */
#define FOR_ASSEMBLY __attribute__((noinline, used))

FOR_ASSEMBLY uint32_t wf_solo_swap32(wf_au32 *word, uint32_t expected, uint32_t value)
{
    uint32_t seen = expected;
    if (enter(wf_load_acq(&wf_solo.thread))) {
        seen = wf_load_acq(word);
        if (WF_LIKELY(seen == expected)) {
            wf_store_rel(word, value);
        }
        leave();
        return seen;
    }
    bool is_guest = visit();
    (void)wf_cas_sc(word, &seen, value);
    if (is_guest) {
        depart();
    }
    return seen;
}

FOR_ASSEMBLY uint64_t wf_solo_swap64(wf_au64 *word, uint64_t expected, uint64_t value)
{
    uint64_t seen = expected;
    if (enter(wf_load_acq(&wf_solo.thread))) {
        seen = wf_load_acq(word);
        if (WF_LIKELY(seen == expected)) {
            wf_store_rel(word, value);
        }
        leave();
        return seen;
    }
    bool is_guest = visit();
    (void)wf_cas_sc(word, &seen, value);
    if (is_guest) {
        depart();
    }
    return seen;
}

/* ---- is it worth it? ---- */

enum { BATCHES = 8, BATCH = 64 };

static int64_t time_batch(wf_au64 *word, bool is_locked)
{
    int64_t start_ns = wf_monotonic_ns();
    for (uint64_t i = 0; i < BATCH; i++) {
        uint64_t expected = i;
        bool is_same =
            is_locked ? wf_cas_sc(word, &expected, i + 1) : wf_solo_cas64(word, &expected, i + 1);
        (void)is_same;
    }
    wf_store_rlx(word, UINT64_C(0));
    return wf_monotonic_ns() - start_ns;
}

/* The least time of a batch, which nothing else has disturbed. */
static int64_t time_least(bool is_locked)
{
    wf_au64 word = 0;
    int64_t least_ns = INT64_MAX;
    for (int i = 0; i < BATCHES; i++) {
        int64_t batch_ns = time_batch(&word, is_locked);
        least_ns = batch_ns < least_ns ? batch_ns : least_ns;
    }
    return least_ns;
}

/* By a worker that is alone. If a guest comes meanwhile the next one finds it out. */
static void find_out(void)
{
    bool is_worth_it = time_least(true) > 2 * time_least(false);
    if (wf_load_acq(&wf_solo.thread) == wf_solo_self()) {
        wf_solo_find(is_worth_it);
    }
}

void wf_solo_find(bool is_worth_it)
{
    wf_store_rlx(&worth, is_worth_it ? 1 : -1);
}

/* ---- beginning and end ---- */

static void end(void)
{
    if (name_now() == WF_SOLO_CROWD && wf_load_rlx(&wf_solo.worker) == 0) {
        return; /* all workers read that line */
    }
    stop();
    wf_store_rlx(&wf_solo.worker, (uintptr_t)0);
    set_name(WF_SOLO_CROWD);
}

void wf_solo_join(void)
{
    uintptr_t self = wf_solo_self();
    lock();
    if (name_now() == WF_SOLO_NOBODY && can_fence && wf_load_rlx(&worth) >= 0) {
        wf_store_rlx(&wf_solo.worker, self);
        guests.patience = PATIENCE_LEAST;
        begin(self);
    } else {
        end();
    }
    unlock();
    if (wf_load_rlx(&worth) == 0 && wf_load_acq(&wf_solo.thread) == self) {
        find_out();
        if (wf_load_rlx(&worth) < 0) {
            wf_solo_end();
        }
    }
}

void wf_solo_part(void)
{
    lock();
    if (wf_load_rlx(&wf_solo.worker) == wf_solo_self()) {
        wf_store_rlx(&wf_solo.worker, (uintptr_t)0);
        if (name_now() != WF_SOLO_CROWD) {
            set_name(WF_SOLO_NOBODY);
        }
    }
    unlock();
}

void wf_solo_end(void)
{
    lock();
    end();
    unlock();
}

/* A process's threads have a directory each: one, and the two links that every directory has. Where that can't be
 * seen there may be several. */
void wf_solo_renew(void)
{
    enum { LINKS_OF_ONE = 3 };
    struct stat threads;
    if (name_now() == WF_SOLO_CROWD && stat("/proc/self/task", &threads) == 0 &&
        threads.st_nlink == LINKS_OF_ONE) {
        set_name(WF_SOLO_NOBODY);
    }
}
