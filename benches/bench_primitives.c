// SPDX-License-Identifier: MIT
/* bench_primitives.c - what the machine charges for what a scheduler is made of.
 *
 * What: switch      a register switch between two stacks.
 *       locked_add  a locked instruction on a line that this processor owns.
 *       fence       a full fence, as weft makes one; fence_mfence: the instruction of that name.
 *       membarrier  a fence in all threads of the process, with an idle and with a busy thread beside.
 *       futex_wake  waking nobody; futex_turn: two threads that wake each other, for one way.
 *       line_turn   a cache line to another processor, one way; line_shared: locked additions of two
 *                   processors to one line, for each of them.
 *       page_touch  the first write to a page of fresh memory.
 *       clock_read  the monotonic clock; counter_read: the time stamp counter.
 * These are the numbers that docs/scaling.md multiplies and docs/decisions.md compares.
 */
#include "harness.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "bare_switch.h"

/* ---- by oneself ----------------------------------------------------------------------------------- */

static void locked_add(struct bench *b)
{
    uint64_t word = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        __atomic_add_fetch(&word, 1, __ATOMIC_RELAXED);
    }
    bench_stop(b);
}

/* Behind a store, as it is used: what it waits for is the store. */
static void fence(struct bench *b)
{
    uint64_t word = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        __atomic_store_n(&word, i, __ATOMIC_RELAXED);
        wf_fence_full();
    }
    bench_stop(b);
}

#ifdef __x86_64__
static void fence_mfence(struct bench *b)
{
    uint64_t word = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        __atomic_store_n(&word, i, __ATOMIC_RELAXED);
        __asm__ volatile("mfence" ::: "memory");
    }
    bench_stop(b);
}

static void counter_read(struct bench *b)
{
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        __asm__ volatile("rdtsc" ::: "rax", "rdx");
    }
    bench_stop(b);
}
#endif

static void clock_read(struct bench *b)
{
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        __asm__ volatile("" ::"r"(bench_now_ns()));
    }
    bench_stop(b);
}

static void page_touch(struct bench *b)
{
    enum { PAGE = 4096 };
    char *pages = mmap(NULL, b->operations * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bench_require(b, pages != MAP_FAILED, "memory");
    (void)madvise(pages, b->operations * PAGE, MADV_NOHUGEPAGE);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        pages[i * PAGE] = 1;
    }
    bench_stop(b);
    munmap(pages, b->operations * PAGE);
}

static uint32_t futex_word; /* atomic */

static long futex(uint32_t *word, int operation, uint32_t value)
{
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void futex_wake(struct bench *b)
{
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        (void)futex(&futex_word, FUTEX_WAKE, 1);
    }
    bench_stop(b);
}

/* ---- with another thread ---------------------------------------------------------------------------- */

/* Words that two threads pass to and fro, each on a line of its own. */
struct pair {
    uint64_t times;
    uint64_t turn __attribute__((aligned(128)));  /* atomic: even: ours, odd: theirs */
    uint64_t word __attribute__((aligned(128)));  /* atomic */
    uint32_t ready __attribute__((aligned(128))); /* atomic */
    uint32_t is_over;                             /* atomic */
};

static void start_thread(struct bench *b, pthread_t *thread, void *(*fn)(void *), struct pair *pair)
{
    bench_require(b, pthread_create(thread, NULL, fn, pair) == 0, "thread");
    while (__atomic_load_n(&pair->ready, __ATOMIC_ACQUIRE) == 0) {
        usleep(10);
    }
}

static void is_ready(struct pair *pair)
{
    __atomic_store_n(&pair->ready, 1, __ATOMIC_RELEASE);
}

static void *spin_until_over(void *arg)
{
    struct pair *pair = arg;
    is_ready(pair);
    while (__atomic_load_n(&pair->is_over, __ATOMIC_ACQUIRE) == 0) {
        wf_relax();
    }
    return NULL;
}

static void *sleep_until_over(void *arg)
{
    struct pair *pair = arg;
    is_ready(pair);
    while (__atomic_load_n(&pair->is_over, __ATOMIC_ACQUIRE) == 0) {
        (void)futex(&pair->is_over, FUTEX_WAIT, 0);
    }
    return NULL;
}

static void membarrier_beside(struct bench *b, void *(*fn)(void *))
{
    struct pair pair = {0};
    pthread_t thread;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0) {
        bench_skip(b, "the kernel has no membarrier");
        return;
    }
    start_thread(b, &thread, fn, &pair);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
    bench_stop(b);
    __atomic_store_n(&pair.is_over, 1, __ATOMIC_RELEASE);
    (void)futex(&pair.is_over, FUTEX_WAKE, 1);
    pthread_join(thread, NULL);
}

static void membarrier_idle(struct bench *b)
{
    membarrier_beside(b, sleep_until_over);
}

static void membarrier_busy(struct bench *b)
{
    membarrier_beside(b, spin_until_over);
}

static void pass_line(struct pair *pair, uint64_t mine)
{
    for (uint64_t i = mine; i < pair->times; i += 2) {
        while (__atomic_load_n(&pair->turn, __ATOMIC_ACQUIRE) != i) {
        }
        __atomic_store_n(&pair->turn, i + 1, __ATOMIC_RELEASE);
    }
}

static void *pass_line_back(void *arg)
{
    struct pair *pair = arg;
    is_ready(pair);
    pass_line(pair, 1);
    return NULL;
}

static void line_turn(struct bench *b)
{
    struct pair pair = {.times = b->operations};
    pthread_t thread;
    start_thread(b, &thread, pass_line_back, &pair);
    bench_start(b);
    pass_line(&pair, 0);
    pthread_join(thread, NULL);
    bench_stop(b);
}

static void add_times(struct pair *pair)
{
    for (uint64_t i = 0; i < pair->times; i++) {
        __atomic_add_fetch(&pair->word, 1, __ATOMIC_RELAXED);
    }
}

static void *add_beside(void *arg)
{
    struct pair *pair = arg;
    is_ready(pair);
    add_times(pair);
    return NULL;
}

static void line_shared(struct bench *b)
{
    struct pair pair = {.times = b->operations / 2};
    pthread_t thread;
    start_thread(b, &thread, add_beside, &pair);
    bench_start(b);
    add_times(&pair);
    pthread_join(thread, NULL);
    bench_stop(b);
}

/* The turn is the futex's word: each waits until it is theirs. */
static void pass_futex(struct pair *pair, uint32_t mine)
{
    for (uint32_t i = mine; i < pair->times; i += 2) {
        uint32_t seen;
        while ((seen = __atomic_load_n(&futex_word, __ATOMIC_ACQUIRE)) != i) {
            (void)futex(&futex_word, FUTEX_WAIT, seen);
        }
        __atomic_store_n(&futex_word, i + 1, __ATOMIC_RELEASE);
        (void)futex(&futex_word, FUTEX_WAKE, 1);
    }
}

static void *pass_futex_back(void *arg)
{
    struct pair *pair = arg;
    is_ready(pair);
    pass_futex(pair, 1);
    return NULL;
}

static void futex_turn(struct bench *b)
{
    struct pair pair = {.times = b->operations};
    pthread_t thread;
    __atomic_store_n(&futex_word, 0, __ATOMIC_RELAXED);
    start_thread(b, &thread, pass_futex_back, &pair);
    bench_start(b);
    pass_futex(&pair, 0);
    pthread_join(thread, NULL);
    bench_stop(b);
}

#define PLAIN(of, count)                                                                     \
    {                                                                                        \
        .name = #of, .operations = (count), .body = (of), .workers = 1, .flags = BENCH_PLAIN \
    }

static const struct bench_case cases[] = {
    {.name = "switch",
     .operations = 10000000,
     .body = bare_switch,
     .workers = 1,
     .flags = BENCH_PLAIN},
    PLAIN(locked_add, 10000000),
    PLAIN(fence, 10000000),
#ifdef __x86_64__
    PLAIN(fence_mfence, 3000000),
    PLAIN(counter_read, 3000000),
#endif
    PLAIN(clock_read, 3000000),
    PLAIN(page_touch, 50000),
    PLAIN(futex_wake, 500000),
    PLAIN(membarrier_idle, 200000),
    PLAIN(membarrier_busy, 20000),
    PLAIN(line_turn, 500000),
    PLAIN(line_shared, 2000000),
    PLAIN(futex_turn, 20000),
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "primitives", cases, sizeof cases / sizeof *cases);
}
