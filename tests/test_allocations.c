/* SPDX-License-Identifier: MIT */
/* test_allocations.c - what allocates nothing: counted at malloc and mmap themselves.
 *
 * Each subject is played often enough to be warm, and then counted. Its caches are full by then: the task
 * records, the stacks, the queues. One that only a single worker runs must find everything in them. With two,
 * records and stacks travel from one worker's caches to the other's, so a new batch may be due now and then;
 * what neither makes nor ends a task allocates nothing there either. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/shield.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "weft_test.h"

#if defined(__GLIBC__)
#define CAN_COUNT (!WT_IS_SANITIZED)
#else
#define CAN_COUNT 0
#endif

static atomic_bool is_counting;
static atomic_long allocations, mappings;

#if CAN_COUNT

/* The program's own definitions go before the C library's. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void count(atomic_long *what)
{
    if (atomic_load_explicit(&is_counting, memory_order_relaxed)) {
        atomic_fetch_add_explicit(what, 1, memory_order_relaxed);
    }
}

void *malloc(size_t size)
{
    count(&allocations);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    count(&allocations);
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    count(&allocations);
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count(&allocations);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    count(&allocations);
    *out = __libc_memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    count(&mappings);
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

#endif

/* ---- subjects: one round each ---- */

static intptr_t end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static void spawn_await(void)
{
    weft_task *task;

    wt_check(weft_spawn(&task, end_at_once, NULL) == 0);
    wt_check(weft_await(task, NULL) == 0);
}

enum { CROWD = 100 };

static void spawn_crowd(void)
{
    weft_task *tasks[CROWD];

    for (int i = 0; i < CROWD; i++) {
        wt_check(weft_spawn(&tasks[i], end_at_once, NULL) == 0);
    }
    for (int i = 0; i < CROWD; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
}

static intptr_t await_future(void *arg)
{
    return weft_future_await(arg, NULL);
}

static void park_wake(void)
{
    weft_future future = WEFT_FUTURE_INIT;
    weft_task *task;
    intptr_t result = -1;

    wt_check(weft_spawn(&task, await_future, &future) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_future_set(&future, 1) == 0);
    wt_check(weft_await(task, &result) == 0 && result == 0);
}

static intptr_t sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(100 * WEFT_S);
}

static void cancel_sleeper(void)
{
    weft_task *task;
    intptr_t result = 0;

    wt_check(weft_spawn(&task, sleep_long, NULL) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(task) == 1);
    wt_check(weft_await(task, &result) == 0 && result == -ECANCELED);
}

/* As many as a group has room for codes in itself. */
static void run_group(void)
{
    weft_group group;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < 4; i++) {
        wt_check(weft_group_spawn(&group, NULL, end_at_once, NULL, NULL) == 0);
    }
    wt_check(weft_group_close(&group, 0) == 0);
}

static void gather_few(void)
{
    weft_task *tasks[8];

    for (int i = 0; i < 8; i++) {
        wt_check(weft_spawn(&tasks[i], end_at_once, NULL) == 0);
    }
    wt_check(weft_gather(tasks, 8, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    weft_drop_all(tasks, 8);
}

static void yield_sleep(void)
{
    wt_check(weft_yield() == 0);
    wt_check(weft_sleep(20 * WEFT_US) == 0);
}

static void enter_scopes(void)
{
    weft_timeout limit;
    weft_shield section;
    intptr_t rc;

    wt_check(weft_timeout_enter(&limit, 20 * WEFT_US) == 0);
    rc = weft_timeout_leave(&limit, weft_sleep(100 * WEFT_S));
    wt_check(rc == -ETIMEDOUT);
    wt_check(weft_timeout_enter(&limit, 100 * WEFT_S) == 0);
    wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    wt_check(weft_shield_leave(&section, 0) == 0);
    wt_check(weft_timeout_leave(&limit, weft_yield()) == 0);
}

/* ---- two tasks that wake each other by turns, on whatever worker ---- */

enum { TURNS = 4000 };

static struct {
    weft_future ping[TURNS], pong[TURNS];
} court;

static intptr_t answer(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        wt_check(weft_future_await(&court.ping[i], NULL) == 0);
        wt_check(weft_future_set(&court.pong[i], i) == 0);
    }
    return 0;
}

static intptr_t play(void *arg)
{
    weft_task *other;

    (void)arg;
    memset(&court, 0, sizeof court); /* pending, and its pages are there */
    wt_check(weft_spawn(&other, answer, NULL) == 0);
    for (int i = 0; i < TURNS; i++) {
        if (i == TURNS / 2) {
            atomic_store(&is_counting, true);
        }
        wt_check(weft_future_set(&court.ping[i], i) == 0);
        wt_check(weft_future_await(&court.pong[i], NULL) == 0);
    }
    atomic_store(&is_counting, false);
    wt_check(weft_await(other, NULL) == 0);
    return 0;
}

/* ---- counting ---- */

enum { WARM = 3000, ROUNDS = 2000 };

static const struct subject {
    const char *name;
    void (*round)(void);
} subjects[] = {
    {"spawn and await", spawn_await},
    {"a hundred at once", spawn_crowd},
    {"park and wake", park_wake},
    {"cancel a sleeper", cancel_sleeper},
    {"group", run_group},
    {"gather", gather_few},
    {"yield and sleep", yield_sleep},
    {"limits and sections", enter_scopes},
};

enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

struct counted {
    long allocations, mappings;
};

static intptr_t count_all(void *arg)
{
    struct counted *counted = arg;

    for (int s = 0; s < SUBJECTS; s++) {
        int warm = subjects[s].round == spawn_crowd ? WARM / 20 : WARM;

        for (int i = 0; i < warm + ROUNDS; i++) {
            atomic_store(&is_counting, i >= warm);
            subjects[s].round();
        }
        atomic_store(&is_counting, false);
        counted[s].allocations = atomic_exchange(&allocations, 0);
        counted[s].mappings = atomic_exchange(&mappings, 0);
        fprintf(stderr, "%s: %ld allocations, %ld mappings\n", subjects[s].name,
                counted[s].allocations, counted[s].mappings);
    }
    return 0;
}

static void require_counting(void)
{
    if (!CAN_COUNT) {
        wt_skip("a tool's malloc is not to be replaced");
    }
#if CAN_COUNT
    /* It does count what goes on here. */
    atomic_store(&is_counting, true);
    void *volatile one = malloc(1); /* or the compiler leaves both calls out */
    free(one);
    (void)munmap(mmap(NULL, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1);
    atomic_store(&is_counting, false);
    cr_assert(atomic_exchange(&allocations, 0) == 1 && atomic_exchange(&mappings, 0) == 1);
#endif
}

Test(allocations, one_worker_makes_none_once_warm)
{
    const weft_options options = {.workers = 1};
    static struct counted counted[SUBJECTS];

    require_counting();
    cr_assert_eq(weft_run(count_all, counted, &options), 0);
    wt_assert_clean();
    for (int s = 0; s < SUBJECTS; s++) {
        cr_assert(counted[s].allocations == 0 && counted[s].mappings == 0,
                  "%s: %ld allocations, %ld mappings", subjects[s].name, counted[s].allocations,
                  counted[s].mappings);
    }
}

/* One in a hundred rounds is what refilling caches may cost; an allocation a round would be a hundred times
 * that. */
Test(allocations, two_workers_make_next_to_none)
{
    const weft_options options = {.workers = 2};
    static struct counted counted[SUBJECTS];

    require_counting();
    cr_assert_eq(weft_run(count_all, counted, &options), 0);
    wt_assert_clean();
    for (int s = 0; s < SUBJECTS; s++) {
        cr_assert(counted[s].allocations + counted[s].mappings <= ROUNDS / 100,
                  "%s: %ld allocations, %ld mappings", subjects[s].name, counted[s].allocations,
                  counted[s].mappings);
    }
}

/* With two workers the one that joins late may still fill its caches. */
static void run_court(int workers)
{
    const long most = workers > 1 ? ROUNDS / 100 : 0;
    const weft_options options = {.workers = workers};

    require_counting();
    cr_assert_eq(weft_run(play, NULL, &options), 0);
    wt_assert_clean();
    cr_assert(atomic_load(&allocations) <= most && atomic_load(&mappings) <= most,
              "%ld allocations, %ld mappings", atomic_load(&allocations), atomic_load(&mappings));
}

Test(allocations, waking_makes_none_one_worker)
{
    run_court(1);
}

Test(allocations, waking_makes_none_two_workers)
{
    run_court(2);
}
