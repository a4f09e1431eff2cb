/* SPDX-License-Identifier: MIT */
/* test_lean.c - who watches for timers and who leans, and who is trusted to keep what it wakes up to; of workers that do not
 * run. */
#include "base/clock.h"
#include "sched/brief.h"
#include "sched/lean.h"
#include "weft_test.h"

enum { WORKERS = 66, TRUSTED = 16 };

static const int64_t window_ns = 190000;

static weft_runtime runtime;
static struct wf_worker *workers;
static struct wf_timer timers[WORKERS];

static void fire(struct wf_timer *timer, void *context)
{
    (void)timer;
    (void)context;
}

/* Trusted so far, and awake since just now: a sleep that ended for nothing. */
static void wake_before(struct wf_worker *worker)
{
    wf_brief_begin(worker, wf_monotonic_ns(), wf_monotonic_ns());
}

static void make_world(void)
{
    workers = calloc(WORKERS, sizeof *workers);
    cr_assert_not_null(workers);
    runtime.workers = workers;
    runtime.worker_count = WORKERS;
    wf_store_rlx(&runtime.watch_ns, WF_FOREVER);
    wf_store_rlx(&runtime.is_hurried, (uint8_t)1);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i].runtime = &runtime;
        workers[i].index = i;
        wf_wheel_init(&workers[i].wheel, 0, false);
        wf_timer_init(&timers[i], &workers[i].wheel, fire);
        workers[i].brief.streak = TRUSTED;
        wake_before(&workers[i]);
    }
}

static void unmake_world(void)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        (void)wf_timer_disarm(&timers[i]);
        wf_wheel_destroy(&workers[i].wheel);
    }
    free(workers);
}

/* Goes to sleep with its timer armed for then; when it would wake up. */
static int64_t sleep_for(int at, int64_t due_ns)
{
    (void)wf_timer_arm(&timers[at], due_ns);
    return wf_lean_plan(&workers[at], window_ns).next_ns;
}

static void wake(int at)
{
    wf_lean_end(&workers[at]);
    wake_before(&workers[at]);
}

static int due_at(int64_t now_ns)
{
    uint64_t bits = wf_lean_bits(&runtime);
    struct wf_worker *worker = wf_lean_next_due(&runtime, &bits, now_ns);
    return worker != NULL ? (int)worker->index : -1;
}

Test(lean, the_first_sleeper_watches_and_those_with_later_timers_lean, .init = make_world,
     .fini = unmake_world)
{
    cr_assert_eq(sleep_for(0, 10 * WEFT_MS), 10 * WEFT_MS);
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), 10 * WEFT_MS);
    cr_assert_eq(wf_lean_bits(&runtime), 0U, "nobody leans yet");
    cr_assert_eq(sleep_for(3, 20 * WEFT_MS), 20 * WEFT_MS + WF_LEAN_LATER_NS);
    cr_assert_eq(sleep_for(63, 10 * WEFT_MS), 10 * WEFT_MS + WF_LEAN_LATER_NS);
    cr_assert_eq(wf_lean_bits(&runtime), UINT64_C(1) << 63 | 8U);
    cr_assert_eq(sleep_for(5, WF_FOREVER), WF_FOREVER, "without timers there is no need");
    cr_assert_eq(wf_lean_bits(&runtime), UINT64_C(1) << 63 | 8U);
}

Test(lean, who_has_an_earlier_timer_watches_instead, .init = make_world, .fini = unmake_world)
{
    (void)sleep_for(0, 10 * WEFT_MS);
    cr_assert_eq(sleep_for(1, 5 * WEFT_MS), 5 * WEFT_MS);
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), 5 * WEFT_MS);
    wake(0); /* what it had put there has been replaced */
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), 5 * WEFT_MS);
    wake(1);
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), WF_FOREVER);
}

Test(lean, who_wakes_up_finds_what_is_due_elsewhere, .init = make_world, .fini = unmake_world)
{
    (void)sleep_for(0, 10 * WEFT_MS);
    (void)sleep_for(1, 11 * WEFT_MS);
    (void)sleep_for(2, 12 * WEFT_MS);
    wake(0);
    cr_assert_eq(due_at(10 * WEFT_MS), -1);
    cr_assert_eq(due_at(11 * WEFT_MS), 1);
    uint64_t bits = wf_lean_bits(&runtime);
    cr_assert_eq(wf_lean_next_due(&runtime, &bits, 12 * WEFT_MS), &workers[1]);
    cr_assert_eq(wf_lean_next_due(&runtime, &bits, 12 * WEFT_MS), &workers[2]);
    cr_assert_null(wf_lean_next_due(&runtime, &bits, 12 * WEFT_MS));
    wake(1);
    cr_assert_eq(due_at(11 * WEFT_MS), -1, "its own again");
}

Test(lean, who_watches_wakes_up_for_all_and_gathers_them, .init = make_world, .fini = unmake_world)
{
    (void)sleep_for(0, 10 * WEFT_MS);
    (void)sleep_for(1, 11 * WEFT_MS);
    (void)sleep_for(2, 11 * WEFT_MS + window_ns - 1);
    (void)sleep_for(3, 12 * WEFT_MS);
    wake(0);
    cr_assert_eq(sleep_for(0, 30 * WEFT_MS), 11 * WEFT_MS + window_ns - 1);
    wake(0);
    (void)wf_wheel_expire(&workers[1].wheel, 12 * WEFT_MS - 1, NULL);
    (void)wf_wheel_expire(&workers[2].wheel, 12 * WEFT_MS - 1, NULL);
    cr_assert_eq(sleep_for(0, WF_FOREVER), 12 * WEFT_MS, "also without a timer of its own");
}

/* What a wheel says it has next may have been taken back. */
Test(lean, a_timer_taken_back_hides_nobody_elses, .init = make_world, .fini = unmake_world)
{
    struct wf_timer far;
    wf_timer_init(&far, &workers[1].wheel, fire);
    (void)wf_timer_arm(&far, 500 * WEFT_MS);
    (void)sleep_for(0, WEFT_MS);
    (void)sleep_for(1, 5 * WEFT_MS);
    (void)sleep_for(2, 10 * WEFT_MS);
    cr_assert(wf_timer_disarm(&timers[1]));
    wake(0);
    cr_assert_leq(sleep_for(0, WF_FOREVER), 10 * WEFT_MS);
    (void)wf_timer_disarm(&far);
}

Test(lean, whom_nobody_trusts_minds_its_own_timers_and_those_of_who_leans, .init = make_world,
     .fini = unmake_world)
{
    workers[0].brief.streak = TRUSTED - 1;
    cr_assert_eq(sleep_for(0, 10 * WEFT_MS), 10 * WEFT_MS);
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), WF_FOREVER, "nobody is to lean on it");
    cr_assert_eq(sleep_for(1, 20 * WEFT_MS), 20 * WEFT_MS, "and so this one watches");
    (void)sleep_for(2, 30 * WEFT_MS);
    wake(0);
    cr_assert_eq(sleep_for(0, 40 * WEFT_MS), 40 * WEFT_MS, "it leans on nobody");
    wake(1);
    wake(0);
    cr_assert_eq(sleep_for(0, 40 * WEFT_MS), 30 * WEFT_MS, "who leaned is left to it");
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), WF_FOREVER);
}

Test(lean, without_a_watchdog_that_hurries_nobody_is_trusted, .init = make_world,
     .fini = unmake_world)
{
    wf_store_rlx(&runtime.is_hurried, (uint8_t)0);
    (void)sleep_for(0, 10 * WEFT_MS);
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), WF_FOREVER);
    cr_assert_eq(wf_load_rlx(&runtime.wants_hurry), 1U, "but it is asked to");
    cr_assert_eq(sleep_for(1, 20 * WEFT_MS), 20 * WEFT_MS);
}

Test(lean, more_workers_than_bits_and_a_lone_one_do_without, .init = make_world,
     .fini = unmake_world)
{
    (void)sleep_for(0, 10 * WEFT_MS);
    cr_assert_eq(sleep_for(64, 20 * WEFT_MS), 20 * WEFT_MS);
    cr_assert_eq(sleep_for(65, 5 * WEFT_MS), 5 * WEFT_MS);
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), 5 * WEFT_MS, "it may watch");
    cr_assert_eq(wf_lean_bits(&runtime), 0U);
    wake(65);
    runtime.worker_count = 1;
    cr_assert_eq(sleep_for(0, 10 * WEFT_MS), 10 * WEFT_MS);
    cr_assert_eq(wf_load_sc(&runtime.watch_ns), WF_FOREVER);
}

/* ---- trust ---- */

/* So many times: sleeps, wakes up, has that many turns, goes to sleep. */
static void stay_awake(struct wf_worker *worker, int64_t for_ns, uint64_t turns, int times)
{
    for (int i = 0; i < times; i++) {
        wf_brief_begin(worker, WEFT_S - 300 * WEFT_US, WEFT_S);
        wf_bump_own(&worker->turns, turns);
        wf_brief_end(worker, WEFT_S + for_ns);
        wf_brief_forget(worker);
    }
}

Test(lean, trust_is_earned_by_brief_turns_awake_and_lost_by_a_long_one, .init = make_world,
     .fini = unmake_world)
{
    struct wf_worker *worker = &workers[0];
    stay_awake(worker, WEFT_MS, 1, 1);
    cr_assert(!wf_brief_is_trusted(worker));
    stay_awake(worker, 20 * WEFT_US, 2, TRUSTED - 1);
    cr_assert(!wf_brief_is_trusted(worker));
    stay_awake(worker, 20 * WEFT_US, 2, 1);
    cr_assert(wf_brief_is_trusted(worker));
    stay_awake(worker, 20 * WEFT_US, 2, 1000);
    cr_assert(wf_brief_is_trusted(worker));
    stay_awake(worker, WEFT_MS, 2, 1);
    cr_assert(!wf_brief_is_trusted(worker));
}

Test(lean, sleeps_that_end_for_nothing_say_nothing, .init = make_world, .fini = unmake_world)
{
    struct wf_worker *worker = &workers[0];
    stay_awake(worker, WEFT_MS, 0, 1);
    cr_assert(wf_brief_is_trusted(worker));
    stay_awake(worker, WEFT_MS, 1, 1);
    stay_awake(worker, 20 * WEFT_US, 0, 1000);
    cr_assert_eq(worker->brief.streak, 0U);
}

Test(lean, who_sleeps_for_long_makes_no_watchdog_hurry, .init = make_world, .fini = unmake_world)
{
    struct wf_worker *worker = &workers[0];
    wf_brief_begin(worker, WEFT_S - 50 * WEFT_MS, WEFT_S); /* by its own alarm, for nothing */
    wf_brief_end(worker, WEFT_S + 20 * WEFT_US);
    cr_assert(wf_brief_is_trusted(worker), "others make it hurry");
    cr_assert_eq(wf_load_rlx(&runtime.wants_hurry), 0U);
    stay_awake(worker, 20 * WEFT_US, 1, TRUSTED);
    cr_assert(wf_brief_is_trusted(worker));
    cr_assert_eq(wf_load_rlx(&runtime.wants_hurry), 1U);
}

Test(lean, who_sleeps_for_long_or_without_a_limit_is_not_trusted, .init = make_world,
     .fini = unmake_world)
{
    struct wf_worker *worker = &workers[0];
    wf_brief_begin(worker, WEFT_S - 10 * WEFT_MS, WEFT_S);
    wf_bump_own(&worker->turns, 1);
    wf_brief_end(worker, WEFT_S + 20 * WEFT_US);
    cr_assert(!wf_brief_is_trusted(worker));
    stay_awake(worker, 20 * WEFT_US, 1, TRUSTED);
    cr_assert(wf_brief_is_trusted(worker));
    wf_brief_begin(worker, WEFT_S - 300 * WEFT_US, WEFT_S);
    wf_brief_forget(worker);
    cr_assert(!wf_brief_is_trusted(worker), "nobody has asked the clock before that sleep");
    wf_brief_end(worker, WEFT_S + 20 * WEFT_US); /* since when it was awake is not known */
    cr_assert_eq(worker->brief.streak, 0U);
}

Test(lean, few_tasks_are_kept_until_something_is_added_to_them, .init = make_world,
     .fini = unmake_world)
{
    static struct wf_fiber host;
    static struct wf_fiber fiber;
    struct wf_worker *worker = &workers[0];
    cr_assert_eq(wf_deque_init(&worker->woken), 0);
    worker->host = &host;
    worker->fiber = &host;
    worker->brief.since_ns =
        wf_monotonic_ns() + WEFT_S; /* the test's own time makes no difference */
    cr_assert(!wf_brief_keeps(worker, 5, 1), "too many");
    cr_assert(wf_brief_keeps(worker, 4, 1));
    worker->fiber = &fiber;
    cr_assert(wf_brief_keeps(worker, 3, 0));
    cr_assert(wf_brief_keeps(worker, 2, 0));
    cr_assert(!wf_brief_keeps(worker, 3, 0), "one is new");
    cr_assert(!wf_brief_keeps(worker, 2, 0), "somebody has been told");
    worker->fiber = &host;
    cr_assert(wf_brief_keeps(worker, 4, 1));
    worker->fiber = &fiber;
    cr_assert(wf_deque_push(&worker->woken, 16));
    cr_assert(!wf_brief_keeps(worker, 3, 0),
              "another one has taken the place of one that was kept");
    worker->fiber = &host;
    worker->brief.since_ns = wf_monotonic_ns() - WEFT_S;
    cr_assert(!wf_brief_keeps(worker, 2, 1), "it has been awake for long");
    worker->brief.since_ns = wf_monotonic_ns() + WEFT_S;
    worker->brief.streak = 0;
    cr_assert(!wf_brief_keeps(worker, 2, 1));
    wf_deque_destroy(&worker->woken);
}

Test(lean, the_watchdog_hurries_while_it_is_wanted, .init = make_world, .fini = unmake_world)
{
    uint32_t unwanted = WF_BRIEF_UNWANTED;
    wf_store_rlx(&runtime.is_hurried, (uint8_t)0);
    cr_assert(!wf_brief_hurries(&runtime, &unwanted));
    cr_assert(!wf_brief_is_trusted(&workers[0]));
    for (int i = 0; i < WF_BRIEF_UNWANTED; i++) {
        cr_assert(wf_brief_hurries(&runtime, &unwanted), "look %d", i);
    }
    cr_assert(!wf_brief_hurries(&runtime, &unwanted));
    cr_assert_eq(wf_load_rlx(&runtime.is_hurried), 0U);
}
