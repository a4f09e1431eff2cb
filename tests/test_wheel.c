/* SPDX-License-Identifier: MIT */
/* test_wheel.c - the timer wheel against a model that sorts.
 *
 * The model keeps deadline and order of arming of every timer. After each look at the wheel it says
 * what must have fired, what may not have fired yet, and in which order. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "fiber/tools.h"
#include "forbid.h"
#include "timer/wheel_inside.h"
#include "weft_test.h"

enum { TIMERS = 256 };
#define TICK_NS (INT64_C(1) << WF_TICK_SHIFT)
#define DAY_NS (INT64_C(86400) * 1000000000)
#define SPAN_NS (INT64_C(1) << (WF_TICK_SHIFT + 36)) /* what the levels cover: 52 days */

struct model {
    struct wf_timer timer;
    int64_t deadline_ns;
    uint64_t number;
    bool is_armed;
    bool has_fired; /* in this look */
};

static struct wf_wheel wheel;
static struct model models[TIMERS];
static uint64_t numbers;
static int64_t now_ns;
static int longest_bits = 55; /* of random delays: 55 is longer than the wheel is round */

/* Of the look that is going on. */
static const struct model *last_fired;
static uint32_t fired_now;

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void on_fire(struct wf_timer *timer, void *context)
{
    struct model *m = WF_CONTAINER(timer, struct model, timer);

    wt_check(context == &now_ns);
    wt_check(m->is_armed);
    wt_check(m->deadline_ns <= now_ns); /* never early */
    wt_check(!wf_timer_is_armed(timer));
    if (last_fired != NULL) {
        wt_check(last_fired->deadline_ns < m->deadline_ns ||
                 (last_fired->deadline_ns == m->deadline_ns && last_fired->number < m->number));
    }
    last_fired = m;
    fired_now++;
    m->is_armed = false;
    m->has_fired = true;
}

static void open_wheel(int64_t start_ns, bool is_exact)
{
    now_ns = start_ns;
    numbers = 0;
    memset(models, 0, sizeof models);
    wf_wheel_destroy(&wheel); /* of the run before */
    wf_wheel_init(&wheel, now_ns, is_exact);
    for (int i = 0; i < TIMERS; i++) {
        wf_timer_init(&models[i].timer, &wheel, on_fire);
    }
}

static int64_t first_deadline(void)
{
    int64_t first = WF_FOREVER;

    for (int i = 0; i < TIMERS; i++) {
        if (models[i].is_armed && models[i].deadline_ns < first) {
            first = models[i].deadline_ns;
        }
    }
    return first;
}

static int64_t round_up(int64_t ns)
{
    if (ns <= 0 || ns > WF_FOREVER - TICK_NS) {
        return ns <= 0 ? 0 : WF_FOREVER;
    }
    return (ns + TICK_NS - 1) / TICK_NS * TICK_NS;
}

/* Whoever sleeps until wf_wheel_next must not sleep past a timer. */
static void check_next(void)
{
    int64_t first = first_deadline(), next = wf_wheel_next(&wheel), due = first;

    if (!wheel.is_exact && first != WF_FOREVER) {
        due = round_up(first) > now_ns ? round_up(first) : now_ns + TICK_NS;
    }
    cr_assert(next <= due, "next %" PRId64 ", first %" PRId64 ", now %" PRId64, next, first,
              now_ns);
}

static void arm(struct model *m, int64_t deadline_ns)
{
    bool is_earliest = deadline_ns < wf_wheel_next(&wheel);

    if (m->is_armed && m->deadline_ns == first_deadline()) {
        is_earliest = false; /* either answer may do: what was the earliest has just moved */
        (void)wf_timer_arm(&m->timer, deadline_ns);
    } else {
        cr_assert_eq(wf_timer_arm(&m->timer, deadline_ns), is_earliest);
    }
    m->is_armed = deadline_ns != WF_FOREVER;
    m->deadline_ns = deadline_ns;
    m->number = numbers++;
}

static void disarm(struct model *m)
{
    cr_assert_eq(wf_timer_disarm(&m->timer), m->is_armed);
    m->is_armed = false;
}

static void expire(int64_t to_ns)
{
    uint32_t fired;

    now_ns = to_ns;
    last_fired = NULL;
    fired_now = 0;
    fired = wf_wheel_expire(&wheel, now_ns, &now_ns);
    wt_assert_clean();
    cr_assert_eq(fired, fired_now);
    for (int i = 0; i < TIMERS; i++) {
        int64_t due = wheel.is_exact ? models[i].deadline_ns : round_up(models[i].deadline_ns);

        cr_assert(!models[i].is_armed || due > now_ns, "late: deadline %" PRId64 ", now %" PRId64,
                  models[i].deadline_ns, now_ns);
        models[i].has_fired = false;
    }
    check_next();
    /* Virtual time jumps to the very deadline; for what is beyond the levels it may stop between. */
    if (wheel.is_exact && fired > 0 && longest_bits < 50) {
        cr_assert_eq(wf_wheel_next(&wheel), first_deadline());
    }
}

/* A delay of a random magnitude. */
static int64_t draw_delay(uint64_t *random)
{
    int bits = (int)(draw(random) % (uint64_t)longest_bits);
    int64_t delay = (int64_t)(draw(random) & ((UINT64_C(1) << bits) - 1));

    return draw(random) % 16 == 0 ? -delay : delay;
}

static void run_random(uint64_t seed, int64_t start_ns, bool is_exact, int steps)
{
    uint64_t random = seed | 1;

    open_wheel(start_ns, is_exact);
    for (int i = 0; i < steps; i++) {
        struct model *m = &models[draw(&random) % TIMERS];
        int64_t next;

        switch (draw(&random) % 8) {
        case 0:
        case 1:
        case 2:
        case 3:
            arm(m, now_ns + draw_delay(&random)); /* arms or moves */
            check_next();
            break;
        case 4:
            disarm(m);
            check_next();
            break;
        case 5:
            expire(now_ns + (int64_t)(draw(&random) % (UINT64_C(1) << (draw(&random) % 46))));
            break;
        default: /* as an idle worker does */
            next = wf_wheel_next(&wheel);
            if (next != WF_FOREVER) {
                expire(next > now_ns ? next : now_ns);
            }
            break;
        }
    }
    for (int i = 0; i < 100000 && first_deadline() != WF_FOREVER; i++) {
        int64_t next = wf_wheel_next(&wheel);

        cr_assert_neq(next, WF_FOREVER);
        expire(next > now_ns ? next : now_ns + 1);
    }
    cr_assert_eq(first_deadline(), WF_FOREVER, "the wheel never comes to its last timers");
    cr_assert_eq(wf_wheel_next(&wheel), WF_FOREVER);
    cr_assert_eq(wheel.pending, 0U);
}

Test(wheel, ticks_against_the_model)
{
    uint64_t seed = wt_seed();

    for (uint64_t i = 0; i < 40; i++) {
        run_random(seed + i * 7919, (int64_t)(i * 12345678901), false, 500);
    }
}

Test(wheel, exact_against_the_model)
{
    uint64_t seed = wt_seed();

    for (uint64_t i = 0; i < 60; i++) {
        longest_bits = i < 30 ? 45 : 55;
        run_random(seed + i * 104729, i % 2 == 0 ? 0 : (int64_t)i * DAY_NS, true, 500);
    }
}

/* Every power of two in the tick is a boundary of some level; uptime crosses all of them. */
Test(wheel, boundaries_of_all_levels)
{
    for (int exact = 0; exact < 2; exact++) {
        for (int bit = WF_TICK_SHIFT; bit < 56; bit++) {
            for (int64_t multiple = 1; multiple < 4; multiple++) {
                int64_t edge = multiple << bit;

                if (edge < 3 * TICK_NS) {
                    continue;
                }
                open_wheel(edge - 2 * TICK_NS, exact != 0);
                for (int i = 0; i < 8; i++) {
                    arm(&models[i], edge + (i - 1) * TICK_NS + i);
                }
                arm(&models[8], edge + DAY_NS);
                for (int i = 0; i < 16; i++) {
                    expire(now_ns + TICK_NS);
                }
                for (int i = 0; i < 8; i++) {
                    cr_assert(!models[i].is_armed, "bit %d", bit);
                }
                expire(edge + DAY_NS + TICK_NS);
                cr_assert(!models[8].is_armed, "bit %d, a day later", bit);
            }
        }
    }
}

Test(wheel, far_deadlines_come_when_they_are_due)
{
    open_wheel(5 * DAY_NS, false);
    arm(&models[0], now_ns + 400 * DAY_NS);
    arm(&models[1], now_ns + SPAN_NS - TICK_NS);
    arm(&models[2], now_ns + SPAN_NS);
    arm(&models[3], now_ns + 30 * 365 * DAY_NS);
    arm(&models[4], WF_FOREVER - 1);
    for (int day = 0; day < 500; day++) {
        expire(now_ns + DAY_NS);
    }
    cr_assert(!models[0].is_armed && !models[1].is_armed && !models[2].is_armed);
    cr_assert(models[3].is_armed && models[4].is_armed);
    disarm(&models[4]);
    expire(5 * DAY_NS + 30 * 365 * DAY_NS + TICK_NS); /* one long sleep */
    cr_assert(!models[3].is_armed);
}

Test(wheel, equal_deadlines_fire_in_order_of_arming)
{
    for (int exact = 0; exact < 2; exact++) {
        open_wheel(1000, exact != 0);
        for (int i = 0; i < TIMERS; i++) {
            arm(&models[(i * 77) % TIMERS], 50 * TICK_NS + (i % 3 == 0 ? 1 : 0));
        }
        arm(&models[3], 50 * TICK_NS); /* moved: now the last of its instant */
        expire(51 * TICK_NS);          /* on_fire checks the order */
        cr_assert_eq(fired_now, (uint32_t)TIMERS);
    }
}

Test(wheel, moved_and_disarmed_timers_do_not_fire)
{
    open_wheel(0, true);
    arm(&models[0], 100);
    arm(&models[1], 200);
    arm(&models[0], 300); /* later */
    arm(&models[1], 50);  /* earlier */
    expire(100);
    cr_assert(models[0].is_armed && !models[1].is_armed);
    arm(&models[0], WF_FOREVER); /* the same as disarming */
    cr_assert_eq(wheel.pending, 0U);
    expire(1000);
    cr_assert_eq(fired_now, 0U);
    cr_assert_eq(wf_wheel_next(&wheel), WF_FOREVER);
    disarm(&models[0]);
    arm(&models[0], 900); /* already past: the next look fires it */
    expire(1000);
    cr_assert_eq(fired_now, 1U);
    cr_assert(!wf_timer_disarm(&models[0].timer));
}

static struct wf_wheel_plan plan_of(int64_t window_ns)
{
    struct wf_wheel_outlook outlook;
    wf_wheel_outlook_init(&outlook);
    wf_wheel_foresee(&wheel, &outlook);
    return wf_wheel_plan(&outlook, window_ns);
}

static void expect_plan(int64_t window_ns, int64_t next_ns, int64_t following_ns)
{
    struct wf_wheel_plan plan = plan_of(window_ns);
    cr_assert_eq(plan.next_ns, next_ns, "%" PRId64 ", not %" PRId64, plan.next_ns, next_ns);
    cr_assert_eq(plan.following_ns, following_ns, "%" PRId64 ", not %" PRId64, plan.following_ns,
                 following_ns);
}

/* What follows is what comes next once the first has gone, and asking again gives the same answer. */
Test(wheel, a_plan_names_the_next_two)
{
    open_wheel(1000 * TICK_NS, false);
    expect_plan(0, WF_FOREVER, WF_FOREVER);
    arm(&models[0], 1003 * TICK_NS);
    expect_plan(0, 1003 * TICK_NS, WF_FOREVER);
    arm(&models[1], 1003 * TICK_NS - 5); /* the same slot */
    expect_plan(0, 1003 * TICK_NS - 5, 1003 * TICK_NS);
    arm(&models[2], 5000 * TICK_NS);
    expect_plan(0, 1003 * TICK_NS - 5, 1003 * TICK_NS);
    expire(1003 * TICK_NS - 5);
    cr_assert_eq(fired_now, 1U);
    int64_t far_ns = plan_of(0).following_ns; /* its slot is to be emptied then */
    cr_assert(far_ns > 1003 * TICK_NS && far_ns <= 5000 * TICK_NS);
    arm(&models[3], 1009 * TICK_NS);
    expect_plan(0, 1003 * TICK_NS, 1009 * TICK_NS);
    expire(1003 * TICK_NS);
    expect_plan(0, 1009 * TICK_NS, far_ns);
    disarm(&models[3]);
    expire(5000 * TICK_NS);
    cr_assert_eq(fired_now, 1U);
    expect_plan(0, WF_FOREVER, WF_FOREVER);
}

/* Who follows the first within the window is waited for, and not who follows those. */
Test(wheel, a_plan_gathers)
{
    open_wheel(1000 * TICK_NS, false);
    const int64_t start_ns = 1001 * TICK_NS + 7;
    const int64_t after_ns[] = {0, TICK_NS / 2, TICK_NS, 2 * TICK_NS, 5 * TICK_NS, 6 * TICK_NS};
    for (int i = 0; i < 6; i++) {
        arm(&models[i], start_ns + after_ns[i]);
    }
    expect_plan(0, start_ns, start_ns + TICK_NS / 2);
    expect_plan(TICK_NS, start_ns + TICK_NS, start_ns + 2 * TICK_NS);
    expect_plan(3 * TICK_NS, start_ns + 2 * TICK_NS, start_ns + 6 * TICK_NS);
    expire(start_ns + 2 * TICK_NS);
    cr_assert_eq(fired_now, 4U);
    expect_plan(TICK_NS, start_ns + 6 * TICK_NS, WF_FOREVER);
}

/* A timer that was disarmed is no reason to let one that is armed later wait for the planned sleep's end. */
Test(wheel, a_plan_forgets_what_was_disarmed)
{
    open_wheel(1000 * TICK_NS, false);
    arm(&models[0], 1003 * TICK_NS);
    arm(&models[1], 9000 * TICK_NS);
    disarm(&models[0]);
    int64_t until_ns = plan_of(TICK_NS).next_ns;
    cr_assert(until_ns > 2000 * TICK_NS);
    cr_assert(wf_timer_arm(&models[2].timer, 1500 * TICK_NS), "the sleeper is not woken");
    cr_assert(!wf_timer_arm(&models[3].timer, until_ns + TICK_NS));
    cr_assert(plan_of(TICK_NS).next_ns <= 1500 * TICK_NS);
}

/* Few timers of a tick fire at their deadlines, never before, and a crowd all together when it is over. */
Test(wheel, few_timers_need_not_wait_for_their_tick)
{
    open_wheel(1000 * TICK_NS, false);
    for (int i = 0; i < 5; i++) {
        arm(&models[i], 1000 * TICK_NS + 100 * (i + 1));
    }
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(wf_wheel_next(&wheel), 1000 * TICK_NS + 100 * (i + 1));
        expire(1000 * TICK_NS + 100 * (i + 1) - 1);
        cr_assert_eq(fired_now, 0U);
        expire(1000 * TICK_NS + 100 * (i + 1));
        cr_assert_eq(fired_now, 1U);
    }
    for (int i = 0; i < 40; i++) {
        arm(&models[i], 1002 * TICK_NS + 100 + i);
    }
    expire(1002 * TICK_NS + 100);
    cr_assert_eq(fired_now, 1U); /* who looks at it anyway */
    cr_assert_eq(wf_wheel_next(&wheel), 1003 * TICK_NS);
    expect_plan(0, 1003 * TICK_NS, WF_FOREVER);
    expire(1003 * TICK_NS);
    cr_assert_eq(fired_now, 39U);
}

/* Whoever sleeps as planned finds something to do each time, but for what has been disarmed or has to be filed
 * again. */
Test(wheel, plans_against_the_model)
{
    uint64_t random = wt_seed() | 1;

    open_wheel(77 * TICK_NS, false);
    for (int round = 0; round < 3000; round++) {
        for (int i = (int)(draw(&random) % 4); i > 0; i--) {
            arm(&models[draw(&random) % TIMERS],
                now_ns + (int64_t)(draw(&random) % (UINT64_C(1) << (10 + draw(&random) % 14))));
        }
        int64_t window_ns = (int64_t)(draw(&random) % (4 * TICK_NS));
        struct wf_wheel_plan plan = plan_of(window_ns);
        int64_t first_ns = first_deadline();
        if (first_ns == WF_FOREVER) {
            cr_assert_eq(plan.next_ns, WF_FOREVER);
            continue;
        }
        int64_t latest_ns = first_ns + window_ns;
        latest_ns = latest_ns > round_up(first_ns) ? latest_ns : round_up(first_ns);
        cr_assert_leq(plan.next_ns, latest_ns > now_ns + TICK_NS ? latest_ns : now_ns + TICK_NS);
        cr_assert(plan.following_ns > plan.next_ns || plan.following_ns == WF_FOREVER);
        expire(plan.next_ns > now_ns ? plan.next_ns : now_ns);
        cr_assert(fired_now > 0 || plan.next_ns < first_ns);
    }
}

/* ---- where entries lie ---- */

static int count_own(void)
{
    int count = 0;

    for (int i = 0; i < TIMERS; i++) {
        count += models[i].timer.entry == &models[i].timer.own;
    }
    return count;
}

static void arm_all(void)
{
    for (int i = 0; i < TIMERS; i++) {
        arm(&models[i], now_ns + (int64_t)(i + 1) * 1000000);
    }
}

Test(wheel, many_timers_lie_in_entries_that_are_used_again)
{
    open_wheel(0, false);
    for (int round = 0; round < 100; round++) {
        arm_all();
        cr_assert_eq(count_own(), WF_WHEEL_FEW);
        for (int i = 0; i < TIMERS; i++) {
            disarm(&models[(i * 7 + round) % TIMERS]);
        }
        cr_assert_eq(wheel.pending, 0U);
    }
    cr_assert_leq(wheel.fresh_from, TIMERS, "of one piece");
    arm_all();
    expire(now_ns + DAY_NS);
    cr_assert_eq(fired_now, (uint32_t)TIMERS);
    wf_wheel_destroy(&wheel);
}

Test(wheel, without_memory_timers_lie_in_their_own)
{
    /* a sanitizer makes the call itself, and dies of it */
    if (WF_ASAN || WF_TSAN || wt_is_emulated() || !wt_forbid(SYS_mmap, ENOMEM)) {
        wt_skip("this call can't be forbidden here");
    }
    open_wheel(0, false);
    arm_all();
    cr_assert_eq(count_own(), TIMERS);
    disarm(&models[100]);
    expire(now_ns + DAY_NS);
    cr_assert_eq(fired_now, (uint32_t)TIMERS - 1);
}

/* ---- arming and disarming from within a callback's lock is for wf_timer_arm_locked ---- */

static int rearmed;

static void fire_again(struct wf_timer *timer, void *context)
{
    (void)context;
    if (++rearmed < 5) {
        (void)wf_timer_arm_locked(timer, timer->deadline_ns + 10);
    }
}

Test(wheel, a_callback_may_arm_again_under_the_lock)
{
    struct wf_timer timer;

    wf_wheel_init(&wheel, 0, true);
    wf_timer_init(&timer, &wheel, fire_again);
    (void)wf_timer_arm(&timer, 10);
    for (int64_t at = 10; at <= 50; at += 10) {
        cr_assert_eq(wf_wheel_next(&wheel), at);
        cr_assert_eq(wf_wheel_expire(&wheel, at, NULL), 1U);
    }
    cr_assert_eq(rearmed, 5);
    cr_assert_eq(wf_wheel_next(&wheel), WF_FOREVER);
}
