// SPDX-License-Identifier: MIT
/* bench_timers.c - timers: arming and taking back, time limits, and how late sleeps end.
 *
 * What: sleep_cancel   a sleep of an hour begins and is cancelled: arm, park, cancel, wake, disarm.
 *       timeout_return a time limit around a call that returns at once: arm and disarm.
 *       timeout_ready  a time limit around an await that need not wait: what an asynchronous call under a
 *                      limit costs when its answer is there.
 *       timeout_park   a time limit around a call that parks, beside the same call without one.
 *       timeout_leave_across  leaving a time limit on another worker than it was entered on.
 *       lateness       ten thousand sleeps of 1 to 1000 ms at once: how late they end, and the processor
 *                      time of the whole process for each. Never early.
 *                      Cold: in a new runtime, where the first ones end while others still start.
 * The first two also with a million other timers pending. Those are time limits, hundreds in each of
 * a few thousand parked tasks: a timer is a timer, and it costs no million stacks.
 */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const int64_t hour_ns = 3600 * WEFT_S;

/* ---- other timers ------------------------------------------------------------------------------ */

enum { SCOPES = 200 };

struct crowd {
    struct bench *b;
    weft_task **tasks;
    uint64_t count;
    uint64_t ready; /* atomic: members may run on any worker */
};

struct member {
    struct crowd *crowd;
    weft_timeout scopes[SCOPES];
};

/* Deadlines all over the coming hours. */
static intptr_t hold_scopes(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;
    uint64_t before = __atomic_load_n(&crowd->ready, __ATOMIC_RELAXED);
    int64_t base_ns = hour_ns + (int64_t)before * 7 * WEFT_MS;
    for (int i = 0; i < SCOPES; i++) {
        int rc = weft_timeout_enter(&member->scopes[i], base_ns + i * 13 * WEFT_S);
        bench_require(crowd->b, rc == 0, "timeout enter");
    }
    __atomic_add_fetch(&crowd->ready, 1, __ATOMIC_RELAXED);
    intptr_t rc = weft_sleep(WEFT_FOREVER);
    for (int i = SCOPES - 1; i >= 0; i--) {
        rc = weft_timeout_leave(&member->scopes[i], rc);
    }
    free(member);
    return rc;
}

static void gather_crowd(struct crowd *crowd, struct bench *b, uint64_t timers)
{
    *crowd = (struct crowd){.b = b, .count = (timers + SCOPES - 1) / SCOPES};
    crowd->tasks = calloc(crowd->count + 1, sizeof(weft_task *));
    bench_require(b, crowd->tasks != NULL, "memory");
    for (uint64_t i = 0; i < crowd->count; i++) {
        struct member *member = calloc(1, sizeof *member);
        bench_require(b, member != NULL, "memory");
        member->crowd = crowd;
        bench_require(b, weft_spawn(&crowd->tasks[i], hold_scopes, member) == 0, "spawn");
    }
    while (__atomic_load_n(&crowd->ready, __ATOMIC_RELAXED) < crowd->count) {
        bench_require(b, weft_yield() == 0, "yield");
    }
}

static void dismiss_crowd(struct crowd *crowd)
{
    for (uint64_t i = 0; i < crowd->count; i++) {
        weft_cancel(crowd->tasks[i]);
        bench_require(crowd->b, weft_await(crowd->tasks[i], NULL) == 0, "await");
    }
    free(crowd->tasks);
}

static uint64_t pending_timers(const struct bench *b)
{
    return (uint64_t)bench_setting("pending", b->is_quick ? 100000 : 1000000);
}

/* ---- arming and taking back ----------------------------------------------------------------------- */

static intptr_t sleep_on(void *arg)
{
    struct bench *b = arg;
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_sleep(hour_ns) == -ECANCELED, "sleep was not cancelled");
        weft_uncancel(weft_self());
    }
    return 0;
}

static void sleep_cancel(struct bench *b)
{
    weft_task *sleeper;
    bench_require(b, weft_spawn(&sleeper, sleep_on, b) == 0, "spawn");
    bench_require(b, weft_yield() == 0, "yield");
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        weft_cancel(sleeper);
        bench_require(b, weft_yield() == 0, "yield");
    }
    bench_stop(b);
    bench_require(b, weft_await(sleeper, NULL) == 0, "await");
}

static void timeout_return(struct bench *b)
{
    weft_timeout limit;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_timeout_enter(&limit, 30 * WEFT_S) == 0, "enter");
        bench_require(b, weft_timeout_leave(&limit, 0) == 0, "leave");
    }
    bench_stop(b);
}

static void timeout_ready(struct bench *b)
{
    weft_future future = WEFT_FUTURE_INIT;
    bench_require(b, weft_future_set(&future, 0) == 0, "future");
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        intptr_t rc = weft_within(30 * WEFT_S, weft_future_await(&future, NULL));
        bench_require(b, rc == 0, "await");
    }
    bench_stop(b);
}

static void await_ready(struct bench *b)
{
    weft_future future = WEFT_FUTURE_INIT;
    bench_require(b, weft_future_set(&future, 0) == 0, "future");
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_future_await(&future, NULL) == 0, "await");
    }
    bench_stop(b);
}

static void sleep_cancel_crowd(struct bench *b)
{
    struct crowd crowd;
    gather_crowd(&crowd, b, pending_timers(b));
    sleep_cancel(b);
    dismiss_crowd(&crowd);
}

static void timeout_return_crowd(struct bench *b)
{
    struct crowd crowd;
    gather_crowd(&crowd, b, pending_timers(b));
    timeout_return(b);
    dismiss_crowd(&crowd);
}

/* A limit reads the clock once: what is beyond this is its own. */
static void read_clock(struct bench *b)
{
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        __asm__ volatile("" ::"r"(bench_now_ns()));
    }
    bench_stop(b);
}

/* ---- a limit around a call that parks --------------------------------------------------------------- */

enum { TURNS = 4 };

struct giver {
    struct bench *b;
    weft_future turns[TURNS];
};

static intptr_t give_turns(void *arg)
{
    struct giver *giver = arg;
    for (uint64_t i = 0; i < giver->b->operations; i++) {
        weft_future_set(&giver->turns[i % TURNS], 0);
        bench_require(giver->b, weft_yield() == 0, "yield");
    }
    return 0;
}

/* One worker: the giver sets one future for each time that this fiber has parked. */
static void take_turns(struct bench *b, bool is_limited)
{
    struct giver giver = {.b = b};
    weft_task *task;
    bench_require(b, weft_spawn(&task, give_turns, &giver) == 0, "spawn");
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        weft_future *turn = &giver.turns[i % TURNS];
        intptr_t rc = is_limited ? weft_within(30 * WEFT_S, weft_future_await(turn, NULL))
                                 : weft_future_await(turn, NULL);
        bench_require(b, rc == 0, "future");
        weft_future_init(turn);
    }
    bench_stop(b);
    bench_require(b, weft_await(task, NULL) == 0, "await");
}

static void timeout_park(struct bench *b)
{
    take_turns(b, true);
}

static void without_limit(struct bench *b)
{
    take_turns(b, false);
}

/* ---- leaving on another worker ------------------------------------------------------------------------- */

struct holder {
    int is_over; /* atomic */
};

/* Holds its worker, so that whoever was behind it goes on elsewhere. */
static intptr_t hold_worker(void *arg)
{
    struct holder *holder = arg;
    while (__atomic_load_n(&holder->is_over, __ATOMIC_ACQUIRE) == 0) {
        __asm__ volatile("" ::: "memory");
    }
    return 0;
}

static void move_away(struct bench *b, struct holder *holder, weft_task **task)
{
    weft_spawn_options options = {.size = sizeof options, .pinned = true};
    int thread = (int)gettid();
    holder->is_over = 0;
    bench_require(b, weft_spawn_with(task, hold_worker, holder, &options) == 0, "spawn");
    while ((int)gettid() == thread) {
        bench_require(b, weft_yield() == 0, "yield");
    }
}

static void leave_across(struct bench *b)
{
    static weft_timeout scopes[SCOPES];
    struct crowd crowd;
    struct holder holder;
    weft_task *task;
    gather_crowd(&crowd, b, pending_timers(b));
    b->done = 0;
    for (; b->done < b->operations; b->done += SCOPES) {
        for (int i = 0; i < SCOPES; i++) {
            bench_require(b, weft_timeout_enter(&scopes[i], 30 * WEFT_S) == 0, "enter");
        }
        move_away(b, &holder, &task);
        bench_start(b);
        for (int i = SCOPES - 1; i >= 0; i--) {
            bench_require(b, weft_timeout_leave(&scopes[i], 0) == 0, "leave");
        }
        bench_stop(b);
        __atomic_store_n(&holder.is_over, 1, __ATOMIC_RELEASE);
        bench_require(b, weft_await(task, NULL) == 0, "await");
    }
    dismiss_crowd(&crowd);
}

/* ---- lateness ------------------------------------------------------------------------------------------- */

struct sleeper {
    struct bench *b;
    int64_t delay_ns;
    double late_us;
};

static intptr_t sleep_once(void *arg)
{
    struct sleeper *sleeper = arg;
    int64_t start_ns = bench_now_ns();
    bench_require(sleeper->b, weft_sleep(sleeper->delay_ns) == 0, "sleep");
    sleeper->late_us = (double)(bench_now_ns() - start_ns - sleeper->delay_ns) / 1000;
    return 0;
}

static void report_lateness(struct bench *b, const struct sleeper *sleepers)
{
    double *late_us = calloc(b->operations, sizeof *late_us);
    bench_require(b, late_us != NULL, "memory");
    uint64_t early = 0;
    for (uint64_t i = 0; i < b->operations; i++) {
        late_us[i] = sleepers[i].late_us;
        early += late_us[i] < 0;
    }
    bench_sort(late_us, b->operations);
    bench_report(b, "p50", "us", bench_quantile(late_us, b->operations, 0.5));
    bench_report(b, "p99", "us", bench_quantile(late_us, b->operations, 0.99));
    bench_report(b, "max", "us", bench_quantile(late_us, b->operations, 1));
    bench_report(b, "early", "sleeps", (double)early);
    free(late_us);
}

static double processor_us(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* The delays are spread over 1 to 1000 ms with the odd microsecond, in no order. */
static void lateness(struct bench *b)
{
    struct sleeper *sleepers = calloc(b->operations, sizeof *sleepers);
    weft_task **tasks = calloc(b->operations, sizeof(weft_task *));
    bench_require(b, sleepers != NULL && tasks != NULL, "memory");
    double before_us = processor_us();
    for (uint64_t i = 0; i < b->operations; i++) {
        int64_t delay_us = 1000 + (int64_t)(i * 7919 % 10007) * 999000 / 10007;
        sleepers[i] = (struct sleeper){.b = b, .delay_ns = delay_us * 1000};
        bench_require(b, weft_spawn(&tasks[i], sleep_once, &sleepers[i]) == 0, "spawn");
    }
    /* Not by await: a task that it runs in place would sleep before the next one starts. */
    bench_require(b, weft_gather(tasks, b->operations, NULL, WEFT_GATHER_FIRST_ERROR, NULL) == 0,
                  "gather");
    weft_drop_all(tasks, b->operations);
    bench_report(b, "cpu", "us/op", (processor_us() - before_us) / (double)b->operations);
    report_lateness(b, sleepers);
    free(tasks);
    free(sleepers);
}

static const struct bench_case cases[] = {
    {.name = "sleep_cancel", .operations = 500000, .body = sleep_cancel, .workers = 1},
    {.name = "sleep_cancel_million",
     .operations = 500000,
     .body = sleep_cancel_crowd,
     .workers = 1,
     .reps_most = 5},
    {.name = "timeout_return",
     .operations = 1000000,
     .body = timeout_return,
     .workers = 1,
     .programs_as = "timer_arm_cancel",
     .peers = {{.name = "clock read", .body = read_clock}}},
    {.name = "timeout_ready",
     .operations = 1000000,
     .body = timeout_ready,
     .workers = 1,
     .peers = {{.name = "without limit", .body = await_ready, .in_runtime = true},
               {.name = "clock read", .body = read_clock}}},
    {.name = "timeout_return_million",
     .operations = 1000000,
     .body = timeout_return_crowd,
     .workers = 1,
     .reps_most = 5,
     .programs_as = "timer_arm_cancel_million",
     .peers = {{.name = "clock read", .body = read_clock}}},
    {.name = "timeout_park",
     .operations = 500000,
     .body = timeout_park,
     .workers = 1,
     .peers = {{.name = "without limit", .body = without_limit, .in_runtime = true},
               {.name = "clock read", .body = read_clock}}},
    {.name = "timeout_leave_across",
     .operations = 20000,
     .body = leave_across,
     .workers = 2,
     .reps_most = 5,
     .flags = BENCH_ONCE},
    {.name = "lateness",
     .operations = 10000,
     .quick_operations = 10000,
     .body = lateness,
     .reps_most = 3},
    {.name = "lateness_cold",
     .operations = 10000,
     .quick_operations = 10000,
     .body = lateness,
     .reps_most = 3,
     .flags = BENCH_FRESH | BENCH_ONCE},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "timers", cases, sizeof cases / sizeof *cases);
}
