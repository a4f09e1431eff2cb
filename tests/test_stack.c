// SPDX-License-Identifier: MIT
/* test_stack.c - taking and giving stacks, their guards, and what they cost. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fiber/fiber.h"
#include "fiber/guard.h"
#include "fiber/hooks.h"
#include "fiber/stack.h"
#include "forbid.h"
#include "weft_test.h"

/* True on bare Linux: sanitizers and valgrind keep shadows of what is touched and need the address
 * space; an emulator counts its own memory and ignores limits. */
static bool is_memory_ours(void)
{
    return !WF_ASAN && !WF_TSAN && !wf_hook_on_valgrind() && !wt_is_emulated();
}

static struct wf_stacks stacks;
static struct wf_stack_cache cache;

static void open_all(void)
{
    wf_stacks_init(&stacks);
    wf_stack_cache_open(&cache, &stacks);
}

static void close_all(void)
{
    struct wf_stack_stats stats;
    wf_stacks_stats(&stacks, &stats);
    cr_expect_eq(stats.in_use, 0);
    wf_stack_cache_close(&cache);
    wf_stacks_stats(&stacks, &stats);
    cr_expect_eq(stats.cached, 0);
    cr_expect_eq(stats.in_use, 0);
    wf_stacks_destroy(&stacks);
}

static struct wf_stack_stats count_stacks(void)
{
    struct wf_stack_stats stats;
    wf_stacks_stats(&stacks, &stats);
    return stats;
}

static struct wf_fiber *take(size_t promise_bytes)
{
    struct wf_fiber *f = wf_fiber_take(&cache, promise_bytes);
    cr_assert_not_null(f);
    return f;
}

/* For tests of stacks that give their pages back. */
static void open_all_or_skip(void)
{
    if (wf_hook_keeps_pages()) {
        wt_skip("pages stay under this tool");
    }
    open_all();
}

/* A second goes by between one look and the next, until nobody need look any more. */
static void let_time_pass(void)
{
    int64_t now_ns = wf_monotonic_ns();
    while (wf_stacks_trim_ns(&stacks) != WF_FOREVER) {
        if (!wf_stacks_trim(&stacks, now_ns, 0)) {
            now_ns += 1000000000;
        }
    }
}

/* ---- which stack one gets ---- */

Test(stack, newest_is_reused_first)
{
    open_all();
    struct wf_fiber *a = take(0);
    struct wf_fiber *b = take(0);
    cr_assert(a < b, "a new slab is handed out in address order");
    wf_fiber_give(&cache, b);
    wf_fiber_give(&cache, a);
    cr_assert_eq(take(0), a);
    cr_assert_eq(take(0), b);
    wf_fiber_give(&cache, a);
    wf_fiber_give(&cache, b);
    close_all();
}

Test(stack, promises_are_kept)
{
    static const size_t promises[] = {1,         1 << 10,   64 << 10,  200 << 10,
                                      239 << 10, 240 << 10, 256 << 10, 1 << 20,
                                      4 << 20,   8 << 20,   9 << 20,   100 << 20};
    open_all();
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
        struct wf_fiber *f = take(promises[i]);
        cr_expect_eq(f->promise_bytes, promises[i]);
        cr_expect_geq((size_t)(f->hi - f->lo), promises[i] * WF_STACK_SCALE);
        cr_expect_eq((uintptr_t)f->hi % 16, 0);
        cr_expect_eq(f->hi, (char *)f, "frames begin right below the descriptor");
        f->lo[0] = 1;
        f->hi[-1] = 1;
        wf_fiber_give(&cache, f);
    }
    struct wf_fiber *f = take(0);
    cr_expect_eq(f->promise_bytes, WF_STACK_DEFAULT);
    wf_fiber_give(&cache, f);
    close_all();
}

Test(stack, promises_have_a_limit)
{
    open_all();
    cr_expect_null(wf_fiber_take(&cache, WF_STACK_MAX + 1));
    cr_expect_null(wf_fiber_take(&cache, SIZE_MAX));
    struct wf_fiber *f = take(WF_STACK_MAX);
    wf_fiber_give(&cache, f);
    cr_expect_eq(count_stacks().unmapped, 1, "a mapping of its own goes at once");
    close_all();
}

Test(stack, no_two_fibers_overlap)
{
    enum { COUNT = 300 };
    static struct wf_fiber *fibers[COUNT];
    open_all();
    for (int i = 0; i < COUNT; i++) {
        fibers[i] = take(i % 3 == 0 ? 0 : (size_t)1 << (12 + i % 9));
        memset(fibers[i]->hi - 1024, i, 1024);
        fibers[i]->task = fibers[i];
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(fibers[i]->task, fibers[i]);
        cr_assert_eq(fibers[i]->hi[-1024], (char)i);
        cr_assert_eq(fibers[i]->hi[-1], (char)i);
        wf_fiber_give(&cache, fibers[i]);
    }
    close_all();
}

Test(stack, statistics_add_up)
{
    enum { COUNT = 1000 };
    static struct wf_fiber *fibers[COUNT];
    open_all();
    for (int i = 0; i < COUNT; i++) {
        fibers[i] = take(0);
    }
    struct wf_stack_stats full = count_stacks();
    cr_expect_eq(full.in_use, COUNT);
    cr_expect_geq(full.mapped, COUNT);
    cr_expect_eq(full.mapped,
                 full.guarded_by_madvise + full.guarded_by_mprotect + full.guarded_by_canary);
    for (int i = 0; i < COUNT; i++) {
        wf_fiber_give(&cache, fibers[i]);
    }
    struct wf_stack_stats empty = count_stacks();
    cr_expect_eq(empty.in_use, 0);
    cr_expect_eq(empty.mapped, full.mapped);
    cr_expect_leq(empty.cached, WF_STACK_CACHED + WF_STACK_CACHED / 2, "used, and unused ones");
    cr_expect_geq(empty.cached + empty.dirty, COUNT);
    cr_expect_leq(empty.cached + empty.dirty, COUNT + WF_STACK_CACHED / 2);
    close_all();
}

Test(stack, given_through_another_cache)
{
    static struct wf_stack_cache other;
    open_all();
    wf_stack_cache_open(&other, &stacks);
    for (int i = 0; i < 1000; i++) {
        wf_fiber_give(&other, take(i % 10 == 0 ? 2 << 20 : 0));
    }
    cr_expect_leq(count_stacks().mapped, 300, "the depot hands them round");
    wf_stack_cache_close(&other);
    close_all();
}

/* ---- guards ---- */

/* How a child ends that writes right below the stack. */
static int die_in_guard(enum wf_guard guard)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        open_all();
        if (guard != WF_GUARD_MADVISE) {
            stacks.best_guard = guard;
        }
        struct wf_fiber *f = wf_fiber_take(&cache, 0);
        memset(f->lo, 1, 4096); /* the lowest page is still usable */
        memset(f->lo - 4096, 1, 8);
        wf_fiber_give(&cache, f);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(stack, guards_fault)
{
    cr_expect_eq(die_in_guard(WF_GUARD_MADVISE), SIGSEGV);
    cr_expect_eq(die_in_guard(WF_GUARD_MPROTECT), SIGSEGV);
}

Test(stack, canary_is_found_at_give)
{
    cr_expect_eq(die_in_guard(WF_GUARD_CANARY), SIGABRT);
}

Test(stack, guard_survives_decommit)
{
    enum { COUNT = 4000 };
    static struct wf_fiber *fibers[COUNT];
    open_all_or_skip();
    for (int i = 0; i < COUNT; i++) {
        fibers[i] = take(0);
    }
    for (int i = 0; i < COUNT; i++) {
        wf_fiber_give(&cache, fibers[i]);
    }
    cr_assert_eq(count_stacks().decommitted, 0, "whoever gives does not pay");
    let_time_pass();
    cr_assert_gt(count_stacks().decommitted, 0);
    /* Without a signal: a write by the kernel tells whether the page is accessible. */
    int zero = open("/dev/zero", O_RDONLY);
    for (int i = 0; i < COUNT; i++) {
        fibers[i] = take(0);
        if (fibers[i]->guard != WF_GUARD_CANARY) {
            cr_assert_eq(read(zero, fibers[i]->lo - 1, 1), -1);
        }
        cr_assert_eq(read(zero, fibers[i]->lo, 1), 1);
    }
    close(zero);
    for (int i = 0; i < COUNT; i++) {
        wf_fiber_give(&cache, fibers[i]);
    }
    close_all();
}

Test(stack, guards_degrade_with_the_map_budget)
{
    enum { COUNT = 17000 };
    static struct wf_fiber *fibers[COUNT];
    if (!is_memory_ours()) {
        wt_skip("a tool needs the address space");
    }
    open_all();
    stacks.best_guard = WF_GUARD_MPROTECT;
    for (int i = 0; i < COUNT; i++) {
        fibers[i] = take(0);
    }
    struct wf_stack_stats stats = count_stacks();
    cr_expect_eq(stats.guarded_by_madvise, 0);
    cr_expect_gt(stats.guarded_by_mprotect, 1000);
    if (stats.guarded_by_canary == 0) {
        cr_log_info("this machine allows many mappings: no canary was needed");
    }
    for (int i = 0; i < COUNT; i++) {
        wf_fiber_give(&cache, fibers[i]);
    }
    close_all();
}

/* ---- memory ---- */

static size_t resident_bytes(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*u %zu", &pages) != 1) {
        pages = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return pages * wf_page_bytes();
}

static struct wf_fiber host;

struct parked {
    struct wf_fiber *self;
    bool has_ended;
};

static void park_once(void *arg)
{
    struct parked *parked = arg;
    wf_fiber_switch(parked->self, &host);
    parked->has_ended = true;
    wf_fiber_switch_final(parked->self, &host);
}

enum { BURST = 20000 };

static struct parked burst[BURST];

static void start_burst(void)
{
    for (int i = 0; i < BURST; i++) {
        burst[i] = (struct parked){.self = take(0)};
        wf_fiber_prepare(burst[i].self, park_once, &burst[i]);
        wf_fiber_switch(&host, burst[i].self);
    }
}

/* The order in which they end: as they came, or any. */
static void fill_order(int *order, bool is_shuffled)
{
    uint64_t seed = is_shuffled ? wt_seed() : 0;
    for (int i = 0; i < BURST; i++) {
        order[i] = i;
    }
    for (int i = BURST - 1; is_shuffled && i > 0; i--) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        int j = (int)((seed >> 33) % (uint64_t)(i + 1));
        int other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
}

static void end_burst(bool is_shuffled)
{
    static int order[BURST];
    fill_order(order, is_shuffled);
    for (int i = 0; i < BURST; i++) {
        struct parked *parked = &burst[order[i]];
        wf_fiber_switch(&host, parked->self);
        cr_assert(parked->has_ended);
        wf_fiber_give(&cache, parked->self);
    }
}

static void check_burst(bool is_shuffled)
{
    if (!is_memory_ours()) {
        wt_skip("a tool's memory is counted too");
    }
    open_all();
    wf_fiber_adopt(&host);
    memset(burst, 0, sizeof burst);
    size_t before = resident_bytes();
    for (int wave = 0; wave < 3; wave++) {
        start_burst();
        size_t peak = resident_bytes() - before;
        cr_expect_leq(peak / BURST, 4600, "%zu bytes a parked fiber", peak / BURST);
        end_burst(is_shuffled);
        let_time_pass();
        size_t after = resident_bytes();
        after = after > before ? after - before : 0;
        cr_expect_leq(after, peak / 10, "%zu of %zu bytes stay", after, peak);
    }
    wf_fiber_unadopt(&host);
    close_all();
}

Test(stack, burst_memory_goes_back)
{
    check_burst(false);
}

Test(stack, burst_memory_goes_back_in_any_order)
{
    check_burst(true);
}

Test(stack, burst_memory_goes_back_range_by_range)
{
    /* as a kernel before Linux 6.15 answers */
    if (wt_is_emulated() || !wt_forbid(SYS_process_madvise, EINVAL)) {
        wt_skip("no system call can be forbidden here");
    }
    check_burst(true);
}

static void swing(struct wf_fiber **fibers, int count)
{
    for (int i = 0; i < count; i++) {
        fibers[i] = take(0);
    }
    for (int i = 0; i < count; i++) {
        wf_fiber_give(&cache, fibers[i]);
    }
}

/* What is needed again between two looks is no surplus, the rest is. */
Test(stack, a_load_that_swings_keeps_its_stacks)
{
    enum { COUNT = 12000, KEPT = 11000 };
    static struct wf_fiber *fibers[COUNT];
    int64_t now_ns = wf_monotonic_ns();
    open_all_or_skip();
    swing(fibers, COUNT);
    cr_assert_eq(wf_stacks_trim_ns(&stacks), 0, "somebody should look");
    cr_assert_not(wf_stacks_trim(&stacks, now_ns, 0));
    for (int i = 0; i < 20; i++) {
        cr_assert_gt(wf_stacks_trim_ns(&stacks), now_ns);
        now_ns = wf_stacks_trim_ns(&stacks);
        swing(fibers, COUNT);
        cr_assert_not(wf_stacks_trim(&stacks, now_ns, 0));
    }
    cr_assert_eq(count_stacks().decommitted, 0);
    now_ns = wf_stacks_trim_ns(&stacks);
    swing(fibers, KEPT);
    while (wf_stacks_trim(&stacks, now_ns, 0)) {
    }
    struct wf_stack_stats stats = count_stacks();
    cr_assert_geq(stats.dirty + stats.cached, KEPT);
    close_all();
}

/* Looks once more; what has become surplus goes. */
static void look_once_more(void)
{
    int64_t now_ns = wf_stacks_trim_ns(&stacks);
    cr_assert_neq(now_ns, WF_FOREVER, "another look is needed");
    int64_t later_ns = wf_monotonic_ns() + 1000000000; /* than any time that trimming reads */
    now_ns = now_ns > later_ns ? now_ns : later_ns;
    while (wf_stacks_trim(&stacks, now_ns, 0)) {
    }
}

/* A moderate load is given five looks and more to come back, and no more than ten. */
Test(stack, a_reserve_stays_for_longer)
{
    enum { COUNT = 4000, LOOKS = 5 };
    static struct wf_fiber *fibers[COUNT];
    open_all_or_skip();
    for (int i = 0; i < 5; i++) {
        swing(fibers, COUNT);
        for (int look = 0; look < LOOKS; look++) {
            look_once_more();
        }
    }
    cr_assert_eq(count_stacks().decommitted, 0);
    for (int look = 0; look < LOOKS; look++) {
        look_once_more();
    }
    cr_assert_gt(count_stacks().decommitted, COUNT / 2);
    let_time_pass();
    close_all();
}

/* A reserve is left of many, too: whole slabs that went do not count as free ones at the next look. */
Test(stack, a_reserve_stays_of_many)
{
    enum { COUNT = 20000, RESERVE = 8192 };
    static struct wf_fiber *fibers[COUNT];
    open_all_or_skip();
    swing(fibers, COUNT);
    for (int look = 0; look < 8; look++) {
        look_once_more();
    }
    struct wf_stack_stats stats = count_stacks();
    cr_assert_gt(stats.unmapped, 0);
    cr_assert_geq(stats.dirty, RESERVE - 64);
    cr_assert_leq(stats.dirty, RESERVE);
    let_time_pass();
    cr_assert_leq(count_stacks().dirty, RESERVE / 4);
    close_all();
}

/* Where trimming is slower than looks come, what a look found to be surplus goes all the same. */
Test(stack, a_reserve_goes_though_trimming_is_slow)
{
    enum { COUNT = 4000, LOOKS = 40 };
    static struct wf_fiber *fibers[COUNT];
    open_all_or_skip();
    swing(fibers, COUNT);
    int64_t now_ns = wf_monotonic_ns();
    for (int look = 0; look < LOOKS; look++) {
        now_ns += 1000000000;
        (void)wf_stacks_trim(&stacks, now_ns, 0); /* a look, and one slab at most */
    }
    cr_assert_geq(count_stacks().decommitted, 15 * 32);
    let_time_pass();
    close_all();
}

/* The busy have other things to do. */
Test(stack, trimming_pauses)
{
    enum { COUNT = 10000, PAUSE = 1000 };
    static struct wf_fiber *fibers[COUNT];
    open_all_or_skip();
    swing(fibers, COUNT);
    cr_assert_not(wf_stacks_trim(&stacks, wf_monotonic_ns(), PAUSE));
    int64_t now_ns = wf_stacks_trim_ns(&stacks);
    while (wf_monotonic_ns() < now_ns) {
    }
    now_ns = wf_monotonic_ns();
    cr_assert(wf_stacks_trim(&stacks, now_ns, PAUSE));
    cr_assert_leq(count_stacks().decommitted, 64, "a slab's worth");
    int64_t next_ns = wf_stacks_trim_ns(&stacks);
    cr_assert_gt(next_ns - now_ns, PAUSE * INT64_C(1000), "it took a microsecond at least");
    cr_assert_not(wf_stacks_trim(&stacks, next_ns - 1, PAUSE), "not yet");
    close_all();
}

/* ---- no memory ---- */

Test(stack, out_of_address_space)
{
    enum { MOST = 20000 };
    static struct wf_fiber *fibers[MOST];
    if (!is_memory_ours()) {
        wt_skip("a tool needs the address space");
    }
    struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    int n = 0;
    open_all();
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    while (n < MOST && (fibers[n] = wf_fiber_take(&cache, 0)) != NULL) {
        n++;
    }
    cr_expect_gt(n, 1000);
    cr_expect_lt(n, 4096, "the limit is a gibibyte");
    cr_expect_null(wf_fiber_take(&cache, 0), "and again");
    cr_expect_null(wf_fiber_take(&cache, 1 << 20), "another class");
    cr_expect_null(wf_fiber_take(&cache, 900 << 20), "a mapping of its own");
    cr_expect_eq(count_stacks().in_use, (uint64_t)n);
    wf_fiber_give(&cache, fibers[--n]);
    fibers[n] = wf_fiber_take(&cache, 0);
    cr_expect_not_null(fibers[n], "one came free");
    for (int i = 0; i <= n; i++) {
        wf_fiber_give(&cache, fibers[i]);
    }
    close_all();
}

/* ---- threads ---- */

enum { THREADS = 4, STEPS = 20000, HELD = 100 };

static void *churn(void *arg)
{
    struct wf_fiber *held[HELD] = {NULL};
    struct wf_stack_cache own;
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    wf_stack_cache_open(&own, &stacks);
    for (int i = 0; i < STEPS; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        struct wf_fiber **slot = &held[(seed >> 33) % HELD];
        if (*slot != NULL) {
            wt_check((*slot)->task == arg);
            wf_fiber_give(&own, *slot);
            *slot = NULL;
        } else if ((*slot = wf_fiber_take(&own, seed >> 60 == 0 ? 1 << 20 : 0)) != NULL) {
            (*slot)->task = arg;
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i] != NULL) {
            wf_fiber_give(&own, held[i]);
        }
    }
    wf_stack_cache_close(&own);
    return NULL;
}

static void run_threads(void *(*body)(void *))
{
    pthread_t threads[THREADS];
    uint64_t seed = wt_seed();
    open_all();
    for (uint64_t i = 0; i < THREADS; i++) {
        void *arg = (void *)(uintptr_t)(seed + i);
        cr_assert_eq(pthread_create(&threads[i], NULL, body, arg), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    wt_assert_clean();
}

Test(stack, many_threads_share_a_depot)
{
    run_threads(churn);
    close_all();
}

enum { SURGES = 20, SURGE = 1500, TRIMS = 30 };

/* Takes many, gives all of them back, and trims while others take. */
static void *surge(void *arg)
{
    struct wf_fiber **held = calloc(SURGE, sizeof *held);
    struct wf_stack_cache own;
    int64_t now_ns = wf_monotonic_ns();
    wf_stack_cache_open(&own, &stacks);
    for (int round = 0; round < SURGES; round++) {
        for (int i = 0; i < SURGE; i++) {
            held[i] = wf_fiber_take(&own, 0);
            wt_check(held[i] != NULL);
            held[i]->task = arg;
        }
        for (int i = 0; i < SURGE; i++) {
            wt_check(held[i]->task == arg); /* its page has not gone */
            wf_fiber_give(&own, held[i]);
        }
        for (int i = 0; i < TRIMS; i++) {
            now_ns += 1000000000;
            (void)wf_stacks_trim(&stacks, now_ns, 0);
        }
    }
    wf_stack_cache_close(&own);
    free(held);
    return NULL;
}

Test(stack, threads_trim_while_others_take)
{
    run_threads(surge);
    cr_assert(wf_hook_keeps_pages() || count_stacks().decommitted > 0);
    close_all();
}
