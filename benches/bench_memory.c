// SPDX-License-Identifier: MIT
/* bench_memory.c - what a million tasks cost: spawned but not started, and parked on their stacks.
 *
 * What: spawned  resident bytes of each task that waits to be started: its record.
 *       parked   resident bytes of each fiber that has parked, with its guarded stack; the time to
 *                start one, to wake and join one; and how much of the peak is still resident within
 *                a second after all have ended.
 *       The peer "pages" is the least that can be: it maps as much address space for each, writes
 *       four cache lines of a page and a record of 128 bytes, and later the same again; its start is what
 *       the page faults cost, its wake_join what the cache misses cost.
 * Each repetition has a process of its own: memory that an earlier one left behind is invisible.
 * To the host of a virtual machine it is not: a page that the host does not back yet costs several times as much
 * when it is first touched, and the side that comes first would pay for all. So before a row as many pages as a
 * side needs are touched, and then all but every sixteenth given back: free memory stays in blocks smaller
 * than the 128 KiB from which Linux tells the host that it needs them no more. On the bare machine this
 * changes nothing.
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static double resident(void)
{
    return (double)bench_proc_bytes("/proc/self/status", "VmRSS");
}

/* A quarter of what is available must be left. */
static bool has_room(struct bench *b, double bytes_each)
{
    double available = (double)bench_proc_bytes("/proc/meminfo", "MemAvailable");
    if ((double)b->operations * bytes_each > available * 0.75) {
        bench_skip(b, "not enough memory (--operations N for fewer)");
        return false;
    }
    return true;
}

static weft_task **make_handles(struct bench *b)
{
    weft_task **tasks = malloc(b->operations * sizeof(weft_task *));
    bench_require(b, tasks != NULL, "memory");
    for (uint64_t i = 0; i < b->operations; i++) {
        tasks[i] = NULL; /* touched now, so that it does not count */
    }
    return tasks;
}

static intptr_t empty(void *arg)
{
    (void)arg;
    return 0;
}

static void spawned(struct bench *b)
{
    if (!has_room(b, 512)) {
        return;
    }
    weft_task **tasks = make_handles(b);
    double before = resident();
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_spawn(&tasks[i], empty, NULL) == 0, "spawn");
    }
    bench_stop(b);
    bench_report(b, "each", "bytes", (resident() - before) / (double)b->operations);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
    }
    free(tasks);
}

/* ---- parked ---------------------------------------------------------------------------------------- */

struct crowd {
    struct bench *b;
    uint64_t parked; /* atomic: about to park */
    weft_future go;
};

static intptr_t wait_for_it(void *arg)
{
    struct crowd *crowd = arg;
    __atomic_add_fetch(&crowd->parked, 1, __ATOMIC_RELAXED);
    bench_require(crowd->b, weft_future_await(&crowd->go, NULL) == 0, "future");
    return 0;
}

static void start_all(struct crowd *crowd, weft_task **tasks)
{
    struct bench *b = crowd->b;
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_spawn(&tasks[i], wait_for_it, crowd) == 0, "spawn");
    }
    while (__atomic_load_n(&crowd->parked, __ATOMIC_RELAXED) < b->operations) {
        bench_require(b, weft_yield() == 0, "yield");
    }
}

static void report_guards(struct bench *b)
{
    weft_stats_t stats = {.size = sizeof stats};
    bench_require(b, weft_stats(NULL, &stats) == 0, "stats");
    double unguarded = (double)stats.stacks_unguarded;
    bench_report(b, "guarded", "%", 100 * (1 - unguarded / (double)b->operations));
}

static void wait_for_memory(struct bench *b, double before, double peak)
{
    bench_require(b, weft_sleep(WEFT_S) == 0, "sleep");
    bench_report(b, "left_1s", "%", 100 * (resident() - before) / (peak - before));
}

static void parked(struct bench *b)
{
    if (!has_room(b, 6 * 1024)) {
        return;
    }
    struct crowd crowd = {.b = b};
    weft_task **tasks = make_handles(b);
    double count = (double)b->operations;
    double before = resident();
    int64_t start_ns = bench_now_ns();
    start_all(&crowd, tasks);
    bench_report(b, "start", "ns", (double)(bench_now_ns() - start_ns) / count);
    double peak = resident();
    bench_report(b, "each", "bytes", (peak - before) / count);
    report_guards(b);
    start_ns = bench_now_ns();
    weft_future_set(&crowd.go, 0);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
    }
    bench_report(b, "wake_join", "ns", (double)(bench_now_ns() - start_ns) / count);
    wait_for_memory(b, before, peak);
    free(tasks);
}

/* ---- before it ----------------------------------------------------------------------------------------- */

enum { PAGE = 4096, KEPT_OF = 16 };

/* A page for each stack, and a quarter of one for records and the kernel's page tables. What is kept, until the
 * next row, is this process's alone: the sides' own do not inherit it. */
static void back_pages(struct bench *b)
{
    static char *pages = MAP_FAILED;
    static size_t bytes;
    if (pages != MAP_FAILED) {
        (void)munmap(pages, bytes);
    }
    bytes = has_room(b, 6 * 1024) ? (b->operations + b->operations / 4) * PAGE : 0;
    pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
    if (pages == MAP_FAILED) {
        return; /* of no bytes at all, too: there is no room */
    }
    (void)madvise(pages, bytes, MADV_NOHUGEPAGE);
    (void)madvise(pages, bytes, MADV_DONTFORK);
    for (size_t at = 0; at < bytes; at += PAGE) {
        pages[at] = 1;
    }
    for (size_t at = 0; at + KEPT_OF * PAGE <= bytes; at += KEPT_OF * PAGE) {
        (void)madvise(pages + at + PAGE, (KEPT_OF - 1) * PAGE, MADV_DONTNEED);
    }
}

/* ---- the pages alone ----------------------------------------------------------------------------------- */

enum { STRIDE = 256 * 1024, TOUCHED = 256, RECORD = 128 };

static void touch_all(char *stacks, char *records, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        /* At the top, below what colours it: 64 bytes further down each time. */
        char *top = stacks + (i + 1) * STRIDE - TOUCHED - i % 32 * 64;
        for (int line = 0; line < TOUCHED; line += 64) {
            top[line]++;
        }
        for (int line = 0; line < RECORD; line += 64) {
            records[i * RECORD + (uint64_t)line]++;
        }
    }
}

static void touch_pages(struct bench *b)
{
    if (!has_room(b, 6 * 1024)) {
        return;
    }
    double count = (double)b->operations;
    char *records = malloc(b->operations * RECORD);
    char *stacks = mmap(NULL, b->operations * STRIDE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bench_require(b, records != NULL && stacks != MAP_FAILED, "memory");
    (void)madvise(stacks, b->operations * STRIDE, MADV_NOHUGEPAGE);
    double before = resident();
    int64_t start_ns = bench_now_ns();
    touch_all(stacks, records, b->operations);
    bench_report(b, "start", "ns", (double)(bench_now_ns() - start_ns) / count);
    bench_report(b, "each", "bytes", (resident() - before) / count);
    start_ns = bench_now_ns();
    touch_all(stacks, records, b->operations);
    bench_report(b, "wake_join", "ns", (double)(bench_now_ns() - start_ns) / count);
    munmap(stacks, b->operations * STRIDE);
    free(records);
}

static const struct bench_case cases[] = {
    {.name = "spawned",
     .operations = 1000000,
     .body = spawned,
     .workers = 1,
     .reps_most = 3,
     .flags = BENCH_ISOLATED | BENCH_ONCE},
    {.name = "parked",
     .operations = 1000000,
     .body = parked,
     .reps_most = 2,
     .flags = BENCH_ISOLATED | BENCH_ONCE,
     .prepare = back_pages,
     .peers = {{.name = "pages", .body = touch_pages, .workers = 1}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "memory", cases, sizeof cases / sizeof *cases);
}
