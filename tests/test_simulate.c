// SPDX-License-Identifier: MIT
/* test_simulate.c - seeds and virtual time: the same seed gives the same run, other seeds other ones. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include <weft.h>
#include <weft/testing.h>

#include "sched/simulate.h"
#include "weft_test.h"

enum { SEEDS = 200 };

static intptr_t run_seed(weft_fn *fn, void *arg, uint64_t seed)
{
    const weft_options options = {.simulate = true, .seed = seed, .workers = 4};
    return weft_run(fn, arg, &options);
}

/* ---- a program that does a bit of everything, and the bytes it leaves ---- */

struct trace {
    char text[16 << 10];
    size_t length;
};

static void note(struct trace *trace, const char *what, int64_t number)
{
    int n = snprintf(trace->text + trace->length, sizeof trace->text - trace->length,
                     "%s %" PRId64 " at %" PRId64 " on %u\n", what, number, weft_now(),
                     wf_here()->index);
    trace->length += (size_t)n;
    wt_check(trace->length < sizeof trace->text);
}

struct part {
    struct trace *trace;
    weft_future *future;
    int number;
    int fds[2];
};

static intptr_t compute(void *arg)
{
    struct part *part = arg;
    note(part->trace, "blocking", part->number);
    return part->number;
}

static intptr_t sleeper(void *arg)
{
    struct part *part = arg;
    for (int i = 0; i < 3; i++) {
        int rc = weft_sleep((int64_t)weft_sim_random(2) * WEFT_MS);
        note(part->trace, "slept", rc);
        if (rc < 0) {
            return rc;
        }
    }
    intptr_t value = 0;
    int rc = weft_blocking(compute, part, NULL, &value);
    note(part->trace, "computed", rc < 0 ? rc : value);
    return rc < 0 ? rc : value;
}

static intptr_t future_waiter(void *arg)
{
    struct part *part = arg;
    intptr_t value = 0;
    int rc = weft_future_await(part->future, &value);
    note(part->trace, "future", rc < 0 ? rc : value);
    return 0;
}

static intptr_t pipe_reader(void *arg)
{
    struct part *part = arg;
    char bytes[64];
    ssize_t n;
    do {
        n = weft_read(part->fds[0], bytes, sizeof bytes);
        note(part->trace, "read", n);
    } while (n > 0);
    return n;
}

static intptr_t pipe_writer(void *arg)
{
    struct part *part = arg;
    char bytes[256] = "";
    for (int i = 0; i < 3; i++) {
        note(part->trace, "wrote", weft_write(part->fds[1], bytes, sizeof bytes));
    }
    return weft_close(part->fds[1]);
}

static void canceller(void *arg)
{
    (void)weft_cancel(arg);
}

static intptr_t mixture(void *arg)
{
    static weft_fn *const kinds[] = {sleeper, future_waiter, sleeper, pipe_reader, pipe_writer};
    struct trace *trace = arg;
    struct part parts[10];
    weft_task *victim = NULL;
    weft_future future;
    weft_group group;
    int fds[2][2];
    wt_check(weft_future_init(&future) == 0);
    wt_check(weft_sim_pipe(fds[0]) == 0 && weft_sim_pipe(fds[1]) == 0);
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < 10; i++) {
        const int *pipe = fds[i / 5];
        parts[i] = (struct part){trace, &future, i, {pipe[0], pipe[1]}};
        wt_check(weft_group_spawn(&group, i == 0 ? &victim : NULL, kinds[i % 5], &parts[i], NULL) ==
                 0);
    }
    wt_check(weft_sim_after((int64_t)weft_sim_random(3) * WEFT_MS, canceller, victim) == 0);
    wt_check(weft_sleep(WEFT_MS) == 0);
    wt_check(weft_future_set(&future, 42) == 0);
    note(trace, "closed", weft_group_close(&group, 0));
    weft_drop(victim);
    return 0;
}

Test(simulate, the_same_seed_gives_the_same_bytes, .timeout = 60)
{
    static struct trace traces[2];
    static char first[16 << 10];
    int repeated = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (int i = 0; i < 2; i++) {
            traces[i].length = 0;
            cr_assert_eq(run_seed(mixture, &traces[i], seed), 0, "seed %" PRIu64, seed);
        }
        cr_assert_eq(traces[0].length, traces[1].length, "seed %" PRIu64, seed);
        cr_assert_eq(memcmp(traces[0].text, traces[1].text, traces[0].length), 0, "seed %" PRIu64,
                     seed);
        repeated += seed > 0 && strcmp(first, traces[0].text) == 0;
        memcpy(first, traces[0].text, sizeof first);
    }
    cr_assert(repeated == 0, "%d seeds did as the one before", repeated);
    wt_assert_clean();
}

/* ---- orders ---- */

enum { RUNNERS = 5 };

struct order {
    int next;
    int runners[RUNNERS];
    bool sleeps;
};

static struct order order;

static intptr_t come(void *arg)
{
    int number = (int)(intptr_t)arg;
    if (order.sleeps) {
        wt_check(weft_sleep_until(WEFT_S) == 0);
        wt_check(weft_now() == WEFT_S);
    }
    order.runners[order.next++] = number;
    return 0;
}

static intptr_t race(void *arg)
{
    weft_group group;
    order = (struct order){.sleeps = *(const bool *)arg};
    wt_check(weft_group_open(&group, 0) == 0);
    for (intptr_t i = 0; i < RUNNERS; i++) {
        wt_check(weft_group_spawn(&group, NULL, come, (void *)i, NULL) == 0);
    }
    wt_check(weft_group_close(&group, 0) == 0);
    return order.next;
}

static int order_number(void)
{
    int number = 0;
    for (int i = 0; i < RUNNERS; i++) {
        number = number * RUNNERS + order.runners[i];
    }
    return number;
}

static void expect_many_orders(bool sleeps)
{
    static bool is_known[RUNNERS * RUNNERS * RUNNERS * RUNNERS * RUNNERS];
    int different = 0;
    memset(is_known, 0, sizeof is_known);
    for (uint64_t seed = 1; seed <= 3 * SEEDS; seed++) {
        cr_assert_eq(run_seed(race, &sleeps, seed), RUNNERS);
        different += !is_known[order_number()];
        is_known[order_number()] = true;
    }
    cr_assert(different > 100, "%d of 120 orders in 600 seeds", different);
    cr_assert_eq(run_seed(race, &sleeps, 0), RUNNERS);
    for (int i = 0; i < RUNNERS; i++) {
        cr_assert_eq(order.runners[i], i);
    }
    wt_assert_clean();
}

Test(simulate, seeds_give_different_orders)
{
    expect_many_orders(false);
}

Test(simulate, timers_at_one_instant_come_in_any_order)
{
    expect_many_orders(true);
}

/* ---- logical workers ---- */

static intptr_t count_workers(void *arg)
{
    int *runs = arg;
    for (int i = 0; i < 50; i++) {
        wt_check(weft_yield() == 0);
        runs[wf_here()->index]++;
    }
    return 0;
}

Test(simulate, every_logical_worker_runs_tasks)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        int runs[4] = {0};
        cr_assert_eq(run_seed(count_workers, runs, seed), 0);
        for (int i = 0; i < 4; i++) {
            cr_assert(runs[i] > 0, "seed %" PRIu64 ": worker %d ran nothing", seed, i);
        }
    }
    int runs[4] = {0};
    cr_assert_eq(run_seed(count_workers, runs, 0), 0);
    cr_assert_eq(runs[0], 50);
    wt_assert_clean();
}

static intptr_t stay(void *arg)
{
    uint32_t home = wf_here()->index;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        wt_check((i % 2 == 0 ? weft_yield() : weft_sleep(i)) == 0);
        wt_check(wf_here()->index == home);
    }
    return (intptr_t)home;
}

static intptr_t spawn_pinned(void *arg)
{
    const weft_spawn_options pinned = {.pinned = true};
    int *homes = arg;
    for (int i = 0; i < 4; i++) {
        weft_task *task;
        intptr_t home = 0;
        wt_check(weft_spawn_with(&task, stay, NULL, &pinned) == 0);
        wt_check(weft_await(task, &home) == 0);
        homes[home]++;
    }
    return 0;
}

Test(simulate, pinned_tasks_stay)
{
    int homes[4] = {0};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        cr_assert_eq(run_seed(spawn_pinned, homes, seed), 0);
    }
    wt_assert_clean();
    for (int i = 0; i < 4; i++) {
        cr_assert(homes[i] > 0, "worker %d had none", i);
    }
}

/* ---- time ---- */

static intptr_t exact_time(void *arg)
{
    int64_t then = weft_now();
    (void)arg;
    for (int i = 0; i < 40; i++) {
        int64_t delay = (INT64_C(1) << i) + i;
        then += delay;
        wt_check(weft_sleep(delay) == 0);
        wt_check(weft_now() == then);
    }
    wt_check(weft_within(17, weft_sleep(18)) == -ETIMEDOUT);
    wt_check(weft_now() == then + 17);
    wt_check(weft_sim_advance(5) == 0);
    wt_check(weft_now() == then + 22);
    wt_check(weft_sim_advance(-1) == -EINVAL);
    wt_check(weft_within(10, weft_sim_advance(11)) ==
             0); /* nothing waited, so nothing was cut short */
    wt_check(weft_now() == then + 33);
    return 0;
}

Test(simulate, virtual_time_is_exact)
{
    for (uint64_t seed = 0; seed <= 20; seed++) {
        cr_assert_eq(run_seed(exact_time, NULL, seed), 0);
    }
    wt_assert_clean();
}

struct calls {
    int count;
    int64_t at[4];
};

static void call_back(void *arg)
{
    struct calls *calls = arg;
    wt_check(weft_self() == NULL);
    calls->at[calls->count++] = weft_now();
}

static intptr_t from_outside(void *arg)
{
    struct calls *calls = arg;
    wt_check(weft_sim_after(0, NULL, NULL) == -EINVAL);
    wt_check(weft_sim_after(30, call_back, calls) == 0);
    wt_check(weft_sim_after(10, call_back, calls) == 0);
    wt_check(weft_sim_after(WEFT_S, call_back, calls) == 0); /* never */
    wt_check(calls->count == 0);
    return weft_sleep(31);
}

Test(simulate, calls_from_outside)
{
    for (uint64_t seed = 0; seed <= 20; seed++) {
        struct calls calls = {.count = 0};
        cr_assert_eq(run_seed(from_outside, &calls, seed), 0);
        cr_assert_eq(calls.count, 2);
        cr_assert_eq(calls.at[0], 10);
        cr_assert_eq(calls.at[1], 30);
    }
    wt_assert_clean();
}

struct script {
    char text[8];
    int length;
};

static void add(struct script *script, char who)
{
    script->text[script->length++] = who;
}

static void timer_turn(void *arg)
{
    add(arg, 't');
}

static void own_turn(void *arg)
{
    add(arg, 'o');
}

static intptr_t neighbour(void *arg)
{
    add(arg, 'n');
    return 0;
}

/* A timer comes after all that is ready, a negative delay where the call was made. */
static intptr_t calls_in_turn(void *arg)
{
    wt_check(weft_sim_after(0, timer_turn, arg) == 0);
    wt_check(weft_sim_after(-1, own_turn, arg) == 0);
    wt_check(weft_spawn(NULL, neighbour, arg) == 0);
    return weft_sleep(1);
}

Test(simulate, a_call_without_delay_has_its_place)
{
    struct script script = {.length = 0};
    cr_assert_eq(run_seed(calls_in_turn, &script, 0), 0);
    cr_assert_str_eq(script.text, "ont");
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct script drawn = {.length = 0};
        cr_assert_eq(run_seed(calls_in_turn, &drawn, seed), 0);
        cr_assert_eq(drawn.length, 3);
    }
    wt_assert_clean();
}

static void on_done(weft_task *task, void *arg)
{
    (void)task;
    add(arg, 'c');
}

struct joining {
    struct script *order;
    weft_task *task;
    char who;
};

static intptr_t join_and_say(void *arg)
{
    const struct joining *joining = arg;
    wt_check(weft_join(joining->task, NULL) == 0);
    add(joining->order, joining->who);
    return 0;
}

static intptr_t sleeps(void *arg)
{
    (void)arg;
    return weft_sleep(5);
}

/* Of one joiner before the callback and one after it each is told in its place. */
static intptr_t callback_between_joiners(void *arg)
{
    weft_task *task;
    weft_task *joiners[2];
    wt_check(weft_spawn(&task, sleeps, NULL) == 0);
    struct joining first = {arg, task, '1'};
    struct joining last = {arg, task, '2'};
    wt_check(weft_spawn(&joiners[0], join_and_say, &first) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_on_done(task, on_done, arg) == 0);
    wt_check(weft_spawn(&joiners[1], join_and_say, &last) == 0);
    wt_check(weft_join(joiners[0], NULL) == 0 && weft_join(joiners[1], NULL) == 0);
    weft_drop_all(joiners, 2);
    weft_drop(task);
    return 0;
}

Test(simulate, callbacks_and_joiners_are_told_in_the_order_of_their_coming)
{
    struct script script = {.length = 0};
    cr_assert_eq(run_seed(callback_between_joiners, &script, 0), 0);
    cr_assert_str_eq(script.text, "1c2");
    wt_assert_clean();
}

/* ---- a limit and an end in one instant ---- */

static intptr_t sleeps_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

struct ending {
    weft_task *task;
    int rc;
};

static intptr_t waits_a_second(void *arg)
{
    struct ending *ending = arg;
    intptr_t result;
    ending->rc = weft_wait_for(ending->task, WEFT_S, &result);
    return 0;
}

/* The task ends cancelled, by somebody else, in the turn in which the limit fires as well. */
static intptr_t limit_after_end(void *arg)
{
    struct ending *ending = arg;
    weft_task *waiter;
    wt_check(weft_spawn(&ending->task, sleeps_long, NULL) == 0);
    wt_check(weft_spawn(&waiter, waits_a_second, ending) == 0);
    wt_check(weft_yield() == 0);
    wt_check(weft_cancel(ending->task) == 1);
    wt_check(weft_sim_advance(WEFT_S) == 0);
    wt_check(weft_join(waiter, NULL) == 0);
    weft_drop(waiter);
    weft_drop(ending->task);
    return 0;
}

Test(simulate, a_limit_that_fires_with_a_cancelled_end_is_reported)
{
    struct ending ending = {.rc = 0};
    cr_assert_eq(run_seed(limit_after_end, &ending, 0), 0);
    cr_assert_eq(ending.rc, -ETIMEDOUT);
    wt_assert_clean();
}

/* ---- blocking calls ---- */

struct blocking {
    int ran;
    int dropped;
    int64_t at;
};

static intptr_t run_blocking(void *arg)
{
    struct blocking *call = arg;
    call->ran++;
    call->at = weft_now();
    return 5;
}

static void drop_blocking(void *arg)
{
    ((struct blocking *)arg)->dropped++;
}

static struct blocking all_calls;

static intptr_t block(void *arg)
{
    struct blocking borrowed = {0};
    struct blocking owned = {0};
    intptr_t value = 0;
    int64_t start = weft_now();
    (void)arg;
    wt_check(weft_blocking(run_blocking, &borrowed, NULL, &value) == 0 && value == 5);
    wt_check(borrowed.ran == 1 && borrowed.at >= start && borrowed.at <= start + WEFT_MS);
    intptr_t rc =
        weft_within(WEFT_MS / 2, weft_blocking(run_blocking, &owned, drop_blocking, &value));
    wt_check(rc == 0 || rc == -ETIMEDOUT);
    wt_check(owned.dropped == 1 && owned.ran == (rc == 0));
    rc = weft_within(WEFT_MS / 2, weft_blocking(run_blocking, &borrowed, NULL, &value));
    wt_check(borrowed.ran == 1 + (rc == 0));
    all_calls.ran += owned.ran;
    all_calls.at += borrowed.at - start;
    return 0;
}

Test(simulate, blocking_calls_take_a_drawn_time)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cr_assert_eq(run_seed(block, NULL, seed), 0);
    }
    wt_assert_clean();
    cr_assert(all_calls.ran > SEEDS / 4 && all_calls.ran < SEEDS * 3 / 4, "%d", all_calls.ran);
    all_calls.at = 0;
    cr_assert_eq(run_seed(block, NULL, 0), 0);
    cr_assert_eq(all_calls.at, 0); /* at once */
    wt_assert_clean();
}

/* ---- ends ---- */

static char diagnostics[2048];

static void on_report(const weft_diagnostic *what, void *arg)
{
    size_t length = strlen(diagnostics);
    (void)arg;
    (void)snprintf(diagnostics + length, sizeof diagnostics - length, "%s\n", what->text);
}

static intptr_t run_reported(weft_fn *fn, void *arg, const weft_options *more, uint64_t seed)
{
    weft_options options = *more;
    options.simulate = true;
    options.seed = seed;
    options.diagnostic = on_report;
    diagnostics[0] = '\0';
    return weft_run(fn, arg, &options);
}

static intptr_t await_future(void *arg)
{
    return weft_future_await(arg, NULL);
}

static intptr_t await_descriptor(void *arg)
{
    char byte;
    (void)arg;
    int fds[2];
    wt_check(weft_sim_pipe(fds) == 0);
    return weft_read(fds[0], &byte, 1);
}

static intptr_t await_two(void *arg)
{
    const weft_spawn_options names[2] = {{.name = "first"}, {.name = "second"}};
    weft_future future;
    weft_task *tasks[2];
    (void)arg;
    wt_check(weft_future_init(&future) == 0);
    wt_check(weft_spawn_with(&tasks[0], await_future, &future, &names[0]) == 0);
    wt_check(weft_spawn_with(&tasks[1], await_descriptor, NULL, &names[1]) == 0);
    int rc = weft_join(tasks[0], NULL);
    weft_drop_all(tasks, 2); /* not reached */
    return rc;
}

Test(simulate, a_deadlock_names_who_waits_for_whom)
{
    const weft_options usual = {.workers = 2};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        cr_assert_eq(run_reported(await_two, NULL, &usual, seed), -EDEADLK);
        cr_assert_not_null(strstr(diagnostics, "joins task #"), "%s", diagnostics);
        cr_assert_not_null(strstr(diagnostics, "waits for future 1"), "%s", diagnostics);
        cr_assert_not_null(strstr(diagnostics, "waits for descriptor "), "%s", diagnostics);
    }
    wt_assert_clean();
}

static intptr_t never_end(void *arg)
{
    (void)arg;
    while (weft_now() < WEFT_FOREVER) {
        (void)!weft_sleep(WEFT_MS);
    }
    return 0;
}

static intptr_t leave_one(void *arg)
{
    const weft_spawn_options name = {.name = "stubborn"};
    weft_task *task;
    (void)arg;
    wt_check(weft_spawn_with(&task, never_end, NULL, &name) == 0);
    wt_check(weft_detach(task) == 0);
    return weft_sleep(1); /* so that it has started */
}

Test(simulate, the_grace_ends_in_virtual_time)
{
    const weft_options grace = {.workers = 2, .shutdown_grace_ns = 60 * WEFT_S};
    for (uint64_t seed = 0; seed <= 5; seed++) {
        cr_assert_eq(run_reported(leave_one, NULL, &grace, seed), -EBUSY);
        cr_assert_not_null(strstr(diagnostics, "\"stubborn\""), "%s", diagnostics);
        cr_assert_not_null(strstr(diagnostics, "is left after the grace"), "%s", diagnostics);
    }
    wt_assert_clean();
}

static void interrupt(void *arg)
{
    (void)arg;
    wt_check(weft_sim_interrupt() == 0);
}

static intptr_t interrupted(void *arg)
{
    int *times = arg;
    wt_check(weft_sim_after(10, interrupt, NULL) == 0);
    if (*times == 2) {
        wt_check(weft_sim_after(20, interrupt, NULL) == 0);
    }
    int rc = weft_sleep(WEFT_S);
    wt_check(rc == -ECANCELED && weft_now() == 10);
    (void)!weft_sleep(WEFT_MS); /* a clean-up that takes long */
    wt_check(weft_now() == (*times == 2 ? 20 : 10 + WEFT_MS));
    return rc;
}

static intptr_t not_asked_for(void *arg)
{
    (void)arg;
    return weft_sim_interrupt();
}

Test(simulate, interrupts)
{
    const weft_options sigint = {.workers = 2, .sigint = true};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        for (int times = 1; times <= 2; times++) {
            cr_assert_eq(run_reported(interrupted, &times, &sigint, seed), -EINTR);
        }
        cr_assert_eq(run_seed(not_asked_for, NULL, seed), -ENOTSUP);
    }
    wt_assert_clean();
}

/* ---- a plain thread beside a simulation ---- */

static weft_future from_thread = WEFT_FUTURE_INIT;
static atomic_int thread_may_set, thread_has_set;

static intptr_t wait_for_thread(void *arg)
{
    (void)arg;
    return weft_future_await(&from_thread, NULL);
}

static void *set_from_thread(void *arg)
{
    while (atomic_load(&thread_may_set) == 0) {
        sched_yield();
    }
    wt_check(weft_future_set(&from_thread, 0) == 0);
    atomic_store(&thread_has_set, 1);
    return arg;
}

static intptr_t wake_pinned(void *arg)
{
    const weft_spawn_options pinned = {.pinned = true};
    weft_task *task;
    intptr_t result = -1;

    (void)arg;
    wt_check(weft_spawn_with(&task, wait_for_thread, NULL, &pinned) == 0);
    for (int i = 0; i < 10; i++) {
        wt_check(weft_yield() == 0);
    }
    atomic_store(&thread_may_set, 1);
    while (atomic_load(&thread_has_set) == 0) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_await(task, &result) == 0 && result == 0);
    return 0;
}

Test(simulate, a_plain_thread_wakes_a_pinned_task)
{
    for (uint64_t seed = 0; seed < 6; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};
        pthread_t thread;

        weft_future_init(&from_thread);
        atomic_store(&thread_may_set, 0);
        atomic_store(&thread_has_set, 0);
        cr_assert_eq(pthread_create(&thread, NULL, set_from_thread, NULL), 0);
        cr_assert_eq(weft_run(wake_pinned, NULL, &options), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        wt_assert_clean();
    }
}

/* ---- calls that ask for the next one ---- */

static long calls_made;

static void call_again(void *arg)
{
    (void)arg;
    if (++calls_made < 1000000) {
        wt_check(weft_sim_after(0, call_again, NULL) == 0);
    }
}

static intptr_t start_calling(void *arg)
{
    (void)arg;
    wt_check(weft_sim_after(0, call_again, NULL) == 0);
    return weft_yield();
}

Test(simulate, calls_do_not_outlive_the_run)
{
    for (uint64_t seed = 0; seed < 6; seed++) {
        const weft_options options = {.simulate = true, .seed = seed};

        calls_made = 0;
        cr_assert_eq(weft_run(start_calling, NULL, &options), 0);
        cr_assert_lt(calls_made, 1000);
        wt_assert_clean();
    }
}

/* ---- what may happen in either order does ---- */

static intptr_t set_in_1_ms(void *arg)
{
    int rc = weft_sleep(WEFT_MS);
    return rc < 0 ? rc : weft_future_set(arg, 1);
}

/* The limit of a wait and the timer whose task grants it: 0, or -ETIMEDOUT. */
static intptr_t grant_at_the_limit(void *arg)
{
    weft_task *task;
    weft_future future;
    weft_timeout limit;
    (void)arg;
    wt_check(weft_future_init(&future) == 0);
    wt_check(weft_spawn(&task, set_in_1_ms, &future) == 0);
    wt_check(weft_timeout_enter(&limit, WEFT_MS) == 0);
    intptr_t rc = weft_timeout_leave(&limit, weft_future_await(&future, NULL));
    wt_check(weft_await(task, NULL) == 0);
    return rc;
}

/* Both timers are the task's own. */
static intptr_t sleep_to_the_limit(void *arg)
{
    weft_timeout limit;
    (void)arg;
    wt_check(weft_timeout_enter(&limit, WEFT_MS) == 0);
    return weft_timeout_leave(&limit, weft_sleep(WEFT_MS));
}

static void assert_both_outcomes(weft_fn *fn)
{
    int granted = 0;
    int timed_out = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const weft_options options = {.simulate = true, .seed = seed, .workers = 1};
        intptr_t rc = weft_run(fn, NULL, &options);
        granted += rc == 0;
        timed_out += rc == -ETIMEDOUT;
    }
    cr_assert_eq(granted + timed_out, SEEDS);
    cr_assert(granted > 0 && timed_out > 0, "%d granted, %d timed out", granted, timed_out);
    wt_assert_clean();
}

Test(simulate, of_timers_with_one_deadline_any_comes_first)
{
    assert_both_outcomes(grant_at_the_limit);
    assert_both_outcomes(sleep_to_the_limit);
}

/* An environment that asks for a poller that is not there changes nothing where there is none. */
Test(simulate, the_environment_decides_nothing)
{
    cr_assert_eq(setenv("WEFT_IO", "uring", 1), 0);
    cr_assert_eq(setenv("WEFT_WORKERS", "2", 1), 0);
    cr_assert_eq(run_seed(sleep_to_the_limit, NULL, 0), -ETIMEDOUT);
    cr_assert_eq(unsetenv("WEFT_IO"), 0);
    cr_assert_eq(unsetenv("WEFT_WORKERS"), 0);
    wt_assert_clean();
}

/* ---- addresses are in no report ---- */

/* Two futures and a mutex somewhere in `room`: `shift` changes which of them lies first. */
struct places {
    size_t shift;
    char room[8192];
};

static intptr_t lock_it(void *arg)
{
    return weft_mutex_lock(arg);
}

static intptr_t wait_in_places(void *arg)
{
    struct places *places = arg;
    weft_future *futures = (weft_future *)(void *)(places->room + places->shift);
    weft_mutex *mutex = (weft_mutex *)(void *)(places->room + 4032 - places->shift);
    weft_task *task;
    (void)weft_mutex_init(mutex, 0);
    wt_check(weft_mutex_lock(mutex) == 0);
    for (int i = 0; i < 4; i++) {
        (void)weft_future_init(&futures[i % 2]);
    }
    for (int i = 0; i < 4; i++) {
        wt_check(weft_spawn(&task, await_future, &futures[i % 2]) == 0);
        wt_check(weft_detach(task) == 0);
        wt_check(weft_spawn(&task, lock_it, mutex) == 0);
        wt_check(weft_detach(task) == 0);
    }
    wt_check(weft_mutex_unlock(&(weft_mutex)WEFT_MUTEX_INIT) ==
             -EPERM); /* misuse: told in debug builds */
    return weft_future_await(&futures[1], NULL);
}

Test(simulate, reports_are_the_same_wherever_things_lie)
{
    static struct places places;
    static char first[sizeof diagnostics];
    const weft_options usual = {.workers = 2};
    for (uint64_t seed = 0; seed <= 20; seed++) {
        for (places.shift = 0; places.shift <= 3072; places.shift += 1536) {
            cr_assert_eq(run_reported(wait_in_places, &places, &usual, seed), -EDEADLK);
            cr_assert_not_null(strstr(diagnostics, "waits for future 1\n"), "%s", diagnostics);
            cr_assert_not_null(strstr(diagnostics, "waits for mutex 3, held by"), "%s",
                               diagnostics);
            cr_assert_not_null(strstr(diagnostics, "waits for future 2\n"), "%s", diagnostics);
            cr_assert_null(strstr(diagnostics, "0x"), "%s", diagnostics);
            if (places.shift == 0) {
                memcpy(first, diagnostics, sizeof first);
            }
            cr_assert_str_eq(first, diagnostics);
        }
    }
    wt_assert_clean();
}
