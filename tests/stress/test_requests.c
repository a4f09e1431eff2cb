/* SPDX-License-Identifier: MIT */
/* test_requests.c - how many requests a task has, and which of them it is told of.
 *
 * Three rules under storms from fibers and plain threads:
 *   exact    weft_cancelling is what was accepted less what was taken back: between two moments while
 *            both go on, to the last one afterwards. Never negative, never a delivery too many
 *   told     after the last request the task is told at least once, if the count never fell to 0
 *   forgone  requests that are all taken back before the task looks are never told */
#include <weft/shield.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

/* ---- cancellers and uncancellers against one task ---- */

enum { FIBERS = 4, THREADS = 2, MOVES = 200 };

struct ledger {
    weft_task *victim;
    int base;                 /* requests made beforehand that nobody takes back */
    _Atomic uint64_t drawn;   /* calls of cancel that have begun */
    _Atomic uint64_t told_at; /* the same when the victim was last told */
    _Atomic uint64_t highest; /* the latest one accepted */
    atomic_long cancelled, took_back, taken_back; /* ended, begun, ended */
    atomic_long credit; /* accepted, and nobody is about to take it back */
    atomic_long told;
    atomic_bool has_begun; /* the victim: the first request would else be its end */
    atomic_bool is_over;
};

struct mover {
    struct ledger *ledger;
    uint64_t seed;
};

static intptr_t heard(struct ledger *ledger, intptr_t rc)
{
    if (rc == -ECANCELED) {
        raise_to(&ledger->told_at, atomic_load(&ledger->drawn));
        atomic_fetch_add(&ledger->told, 1);
    }
    return rc;
}

static intptr_t be_short(void *arg)
{
    (void)arg;
    return weft_yield();
}

static intptr_t join_one(void)
{
    weft_task *task;
    int rc;

    if (!wt_check(weft_spawn(&task, be_short, NULL) == 0)) {
        return 0;
    }
    rc = weft_join_shielded(task, NULL);
    weft_drop(task);
    return rc;
}

static intptr_t move_on(uint64_t *random)
{
    switch (draw(random) % 6) {
    case 0:
        return weft_sleep(draw_us(random, 30));
    case 1:
        return weft_checkpoint();
    case 2:
        return join_one();
    case 3:
        dither(random);
        return 0;
    default:
        return weft_yield();
    }
}

/* Swallows whatever it is told. */
static intptr_t be_victim(void *arg)
{
    const struct mover *self = arg;
    uint64_t random = self->seed;

    atomic_store(&self->ledger->has_begun, true);
    while (!atomic_load(&self->ledger->is_over)) {
        heard(self->ledger, move_on(&random));
    }
    heard(self->ledger, weft_checkpoint());
    wt_check(weft_checkpoint() == 0); /* they merge: there is one delivery for all that is left */
    return 1;
}

/* The count can't leave the corridor that the calls ended and begun so far leave it. */
static void check_count(struct ledger *ledger)
{
    long cancelled = atomic_load(&ledger->cancelled);
    long taken_back = atomic_load(&ledger->taken_back);
    long count = weft_cancelling(ledger->victim);

    wt_check(count >= 0);
    wt_check(count >= ledger->base + cancelled - atomic_load(&ledger->took_back));
    wt_check(count <= ledger->base + (long)atomic_load(&ledger->drawn) - taken_back);
}

static bool take_credit(struct ledger *ledger)
{
    long credit = atomic_load(&ledger->credit);

    while (credit > 0 && !atomic_compare_exchange_weak(&ledger->credit, &credit, credit - 1)) {
    }
    return credit > 0;
}

static void make_move(struct ledger *ledger, uint64_t *random)
{
    if (draw(random) % 2 == 0 && take_credit(ledger)) {
        atomic_fetch_add(&ledger->took_back, 1);
        wt_check(weft_uncancel(ledger->victim) >= ledger->base);
        atomic_fetch_add(&ledger->taken_back, 1);
    } else {
        uint64_t number = atomic_fetch_add(&ledger->drawn, 1) + 1;

        wt_check(weft_cancel(ledger->victim) == 1);
        raise_to(&ledger->highest, number);
        atomic_fetch_add(&ledger->cancelled, 1);
        atomic_fetch_add(&ledger->credit, 1);
    }
    check_count(ledger);
}

static intptr_t move_in_fiber(void *arg)
{
    const struct mover *self = arg;
    uint64_t random = self->seed;

    for (int i = 0; i < MOVES; i++) {
        make_move(self->ledger, &random);
        if (draw(&random) % 4 == 0) {
            wt_check((draw(&random) % 4 == 0 ? weft_sleep(draw_us(&random, 10)) : weft_yield()) ==
                     0);
        }
    }
    return 0;
}

static void *move_in_thread(void *arg)
{
    const struct mover *self = arg;
    uint64_t random = self->seed;

    for (int i = 0; i < MOVES; i++) {
        make_move(self->ledger, &random);
        dither(&random);
        if (draw(&random) % 8 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void move_all(struct ledger *ledger, uint64_t *random)
{
    struct mover movers[FIBERS + THREADS];
    weft_task *fibers[FIBERS];
    pthread_t threads[THREADS];

    for (int i = 0; i < FIBERS + THREADS; i++) {
        movers[i] = (struct mover){ledger, draw(random) | 1};
    }
    for (int i = 0; i < THREADS; i++) {
        wt_check(pthread_create(&threads[i], NULL, move_in_thread, &movers[FIBERS + i]) == 0);
    }
    for (int i = 0; i < FIBERS; i++) {
        wt_check(weft_spawn(&fibers[i], move_in_fiber, &movers[i]) == 0);
    }
    for (int i = 0; i < FIBERS; i++) {
        wt_check(weft_await(fibers[i], NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        wt_check(pthread_join(threads[i], NULL) == 0);
    }
}

static void judge(struct ledger *ledger)
{
    long accepted = ledger->base + atomic_load(&ledger->cancelled);
    intptr_t result = 0;

    wt_check(weft_join(ledger->victim, &result) == 0 && result == 1);
    wt_check(weft_cancelling(ledger->victim) == accepted - atomic_load(&ledger->taken_back));
    wt_check(atomic_load(&ledger->told) <= accepted);
    if (ledger->base > 0) {
        wt_check(atomic_load(&ledger->told_at) >= atomic_load(&ledger->highest));
    }
    weft_drop(ledger->victim);
}

static void storm_once(int base, uint64_t *random)
{
    struct ledger ledger = {.base = base};
    struct mover victim = {&ledger, draw(random) | 1};

    if (!wt_check(weft_spawn(&ledger.victim, be_victim, &victim) == 0)) {
        return;
    }
    while (!atomic_load(&ledger.has_begun)) {
        wt_check(weft_yield() == 0);
    }
    while (base > 0 && atomic_load(&ledger.told) == 0) { /* else it might never begin */
        if (weft_cancelling(ledger.victim) == 0) {
            wt_check(weft_sleep(100 * WEFT_US) == 0);
            wt_check(weft_cancel(ledger.victim) == 1);
        }
        wt_check(weft_yield() == 0);
    }
    move_all(&ledger, random);
    atomic_store(&ledger.is_over, true);
    judge(&ledger);
}

static intptr_t storm(void *arg)
{
    uint64_t random = as_seed(arg);

    for (int i = 0; i < STRESS_COUNT(500); i++) {
        storm_once(i % 2, &random);
    }
    return 0;
}

STRESS_TEST(requests, are_counted_and_told_in_a_storm, storm);

/* ---- taken back before the task looks ---- */

enum { AT_ONCE = 50, TAKERS = 3 };

struct busy {
    atomic_bool is_running, may_look;
    uint64_t seed;
    int kept; /* requests that nobody takes back: 0 or 1 */
    weft_task *task;
    atomic_int takers;
};

/* Sits on its worker until it may look, inside of this and that. */
static intptr_t look_late(void *arg)
{
    struct busy *busy = arg;
    weft_timeout limit;
    weft_shield section;
    int told = 0;
    intptr_t rc;

    wt_check(weft_timeout_enter(&limit, 100 * WEFT_S) == 0);
    if (busy->seed % 2 == 0) {
        wt_check(weft_shield_enter(&section, WEFT_FOREVER) == 0);
    }
    atomic_store(&busy->is_running, true);
    while (!atomic_load(&busy->may_look)) {
        sched_yield();
    }
    rc = busy->seed % 3 == 0 ? weft_yield() : weft_checkpoint();
    if (busy->seed % 2 == 0) {
        wt_check(rc == 0);
        rc = weft_shield_leave(&section, rc);
    }
    rc = weft_timeout_leave(&limit, rc);
    wt_check(rc == 0 || rc == -ECANCELED);
    told = (rc == -ECANCELED) + (weft_checkpoint() == -ECANCELED);
    wt_check(told == busy->kept && weft_sleep(0) == 0);
    return 7;
}

static void *make_and_take_back(void *arg)
{
    struct busy *busy = arg;
    int kept = atomic_fetch_add(&busy->takers, 1) == 0 ? busy->kept : 0;

    for (int i = 0; i < AT_ONCE; i++) {
        wt_check(weft_cancel(busy->task) == 1);
    }
    for (int i = kept; i < AT_ONCE; i++) {
        wt_check(weft_uncancel(busy->task) >= 0);
    }
    return NULL;
}

static void forgo_once(weft_runtime *runtime, uint64_t seed)
{
    struct busy busy = {.seed = seed, .kept = seed % 5 < 2 ? 1 : 0};
    pthread_t threads[TAKERS];
    intptr_t result = 0;

    cr_assert_eq(weft_runtime_submit(runtime, &busy.task, look_late, &busy, NULL), 0);
    while (!atomic_load(&busy.is_running)) {
        sched_yield();
    }
    for (int i = 0; i < TAKERS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, make_and_take_back, &busy), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    wt_check(weft_cancelling(busy.task) == busy.kept);
    atomic_store(&busy.may_look, true);
    cr_assert_eq(weft_thread_join(busy.task, WEFT_FOREVER, &result), 0);
    wt_check(result == 7 && weft_task_state(busy.task) == WEFT_OK);
    weft_drop(busy.task);
}

static void run_forgone(int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    uint64_t random = wt_seed() | 1;
    weft_runtime *runtime;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < STRESS_COUNT(3000); i++) {
        forgo_once(runtime, draw(&random));
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
}

Test(requests, taken_back_in_time_are_never_told_two_workers, .timeout = 30)
{
    run_forgone(2);
}

Test(requests, taken_back_in_time_are_never_told_eight_workers, .timeout = 30)
{
    run_forgone(8);
}

/* ---- cancelling in a loop until the task has ended (X12) ---- */

enum { HUNT_FIBERS = 3, HUNT_THREADS = 1, HUNTERS = HUNT_FIBERS + HUNT_THREADS, HERD = 24 };

struct prey {
    weft_task *task;
    uint64_t seed;
    long told;
    atomic_int began, dropped;
    atomic_long accepted;
};

static struct {
    struct prey herd[HERD];
    atomic_int round; /* raised when there is a new herd, negative when the game is over */
    atomic_int done;  /* hunters that have seen all of it end */
} hunt;

/* Fibers make room for the prey; threads have a processor of their own, or share one. */
static void hunt_one(struct prey *prey, uint64_t *random, bool is_fiber)
{
    int rc;

    do {
        dither(random);
        if (draw(random) % 4 == 0) {
            wt_check((is_fiber ? weft_yield() : sched_yield()) == 0);
        }
        rc = weft_cancel(prey->task);
        wt_check(rc == 0 || rc == 1);
        atomic_fetch_add(&prey->accepted, rc == 1);
    } while (rc == 1);
    wt_check(weft_task_state(prey->task) != WEFT_PENDING);
}

static void hunt_rounds(uint64_t random, bool is_fiber)
{
    for (int round = 1, now; (now = atomic_load(&hunt.round)) >= 0;) {
        uint64_t first = draw(&random) % 4;

        for (uint64_t i = 0; now == round && i < HERD; i++) {
            hunt_one(&hunt.herd[(first + i) % HERD], &random, is_fiber);
        }
        if (now == round) {
            atomic_fetch_add(&hunt.done, 1);
            round++;
        }
        wt_check((is_fiber ? weft_yield() : sched_yield()) == 0);
    }
}

static intptr_t hunt_in_fiber(void *arg)
{
    hunt_rounds(as_seed(arg), true);
    return 0;
}

static void *hunt_in_thread(void *arg)
{
    hunt_rounds(as_seed(arg), false);
    return NULL;
}

static intptr_t be_prey(void *arg)
{
    struct prey *prey = arg;
    uint64_t random = prey->seed;

    atomic_store(&prey->began, 1);
    for (uint64_t i = draw(&random) % 6; i > 0; i--) {
        prey->told += move_on(&random) == -ECANCELED;
    }
    return 5;
}

static void drop_prey(void *arg)
{
    atomic_fetch_add(&((struct prey *)arg)->dropped, 1);
}

static void judge_prey(struct prey *prey)
{
    long accepted = atomic_load(&prey->accepted);
    weft_state state = weft_task_state(prey->task);
    bool never_ran = atomic_load(&prey->dropped) > 0;
    intptr_t raw = 0;

    wt_check(weft_cancelling(prey->task) == accepted);
    wt_check(prey->told <= accepted);
    wt_check(atomic_load(&prey->began) + atomic_load(&prey->dropped) == 1);
    wt_check(state == WEFT_OK || (state == WEFT_CANCELLED && accepted > 0));
    wt_check(state != WEFT_OK || accepted == 0 || prey->told > 0);
    wt_check(weft_task_raw_result(prey->task, &raw) == (never_ran ? -ENODATA : 0));
    wt_check(raw == (never_ran ? 0 : 5));
}

static void play(int round, uint64_t *random)
{
    static const weft_spawn_options options = {.drop_arg = drop_prey};

    memset(hunt.herd, 0, sizeof hunt.herd);
    atomic_store(&hunt.done, 0);
    for (int i = 0; i < HERD; i++) {
        struct prey *prey = &hunt.herd[i];

        prey->seed = draw(random) | 1;
        wt_check(weft_spawn_with(&prey->task, be_prey, prey, &options) == 0);
    }
    atomic_store(&hunt.round, round);
    while (atomic_load(&hunt.done) < HUNTERS) {
        wt_check(weft_yield() == 0);
    }
    for (int i = 0; i < HERD; i++) {
        wt_check(weft_join(hunt.herd[i].task, NULL) == 0);
        judge_prey(&hunt.herd[i]);
        weft_drop(hunt.herd[i].task);
    }
}

static intptr_t hunt_all(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *fibers[HUNT_FIBERS];
    pthread_t threads[HUNT_THREADS];
    int64_t end_ns = wf_monotonic_ns() + WEFT_S;

    atomic_store(&hunt.round, 0);
    for (int i = 0; i < HUNT_FIBERS; i++) {
        wt_check(weft_spawn(&fibers[i], hunt_in_fiber, as_arg(draw(&random))) == 0);
    }
    for (int i = 0; i < HUNT_THREADS; i++) {
        wt_check(pthread_create(&threads[i], NULL, hunt_in_thread, as_arg(draw(&random))) == 0);
    }
    for (int round = 1; wf_monotonic_ns() < end_ns; round++) {
        play(round, &random);
    }
    fprintf(stderr, "%d rounds\n", atomic_load(&hunt.round));
    atomic_store(&hunt.round, -1);
    for (int i = 0; i < HUNT_FIBERS; i++) {
        wt_check(weft_await(fibers[i], NULL) == 0);
    }
    for (int i = 0; i < HUNT_THREADS; i++) {
        wt_check(pthread_join(threads[i], NULL) == 0);
    }
    return 0;
}

STRESS_TEST(requests, are_counted_until_the_task_has_ended, hunt_all);
