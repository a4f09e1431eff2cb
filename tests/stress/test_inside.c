/* SPDX-License-Identifier: MIT */
/* test_inside.c - children that run on their joiners' stacks, while thieves want them and requests come.
 *
 * told    a joiner whose request ended its child is told so by that join, else by its next await: once, never
 *         not at all, whoever has started the child, and however deep it runs
 * trees   fork and join with cancels, timeouts, handles and snapshots at random: every task ends once, every
 *         argument goes to fn or to drop_arg, the counters of weft_stats agree
 * slots   the record of a child that has gone is at once that of a pinned task: it runs once, at home */
#include <weft/stats.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "sched/worker.h"
#include "disturb.h"

/* ---- told: one request for each join ---- */

enum { ROUNDS = 20000 };

struct round {
    struct target *target;
    uint64_t random;
    uint64_t child_random;
    bool is_endless; /* the child ends by the request alone */
};

static struct round rounds[TARGETS];
static atomic_long told_by_join, told_later;

static intptr_t be_joined(void *arg)
{
    struct round *round = arg;
    uint64_t random = round->child_random;

    if (round->is_endless) {
        return weft_sleep(WEFT_FOREVER);
    }
    for (uint64_t i = draw(&random) % 3; i > 0; i--) {
        int rc = weft_yield();
        if (rc < 0) {
            return rc;
        }
    }
    dither(&random);
    return 1;
}

static intptr_t be_between(void *arg)
{
    weft_task *child;
    intptr_t value = 0;
    int rc;

    wt_check(weft_spawn(&child, be_joined, arg) == 0);
    rc = weft_await(child, &value);
    wt_check((rc == -ECANCELED) == (value == -ECANCELED));
    return rc < 0 ? rc : value;
}

static void be_told_once(struct round *round)
{
    weft_task *child;
    intptr_t value = 0;
    int rc;

    atomic_store(&round->target->was_asked, false);
    round->is_endless = draw(&round->random) % 2 == 0;
    round->child_random = draw(&round->random);
    wt_check(weft_spawn(&child, draw(&round->random) % 2 == 0 ? be_joined : be_between, round) ==
             0);
    atomic_store(&round->target->victim, weft_self());
    dither(&round->random);
    rc = weft_await(child, &value);
    wait_for_asker(round->target);
    wt_check((rc == -ECANCELED) == (value == -ECANCELED));
    if (rc == 0) {
        wt_check(value == 1);
        rc = weft_yield();
        atomic_fetch_add(&told_later, 1);
    } else {
        atomic_fetch_add(&told_by_join, 1);
    }
    wt_check(rc == -ECANCELED);
    wt_check(weft_cancelling(weft_self()) == 1 && weft_uncancel(weft_self()) == 0);
    wt_check(weft_yield() == 0);
}

static intptr_t be_a_victim(void *arg)
{
    for (int i = 0; i < STRESS_COUNT(ROUNDS) && atomic_load(&wt_failures) == 0; i++) {
        be_told_once(arg);
    }
    return 0;
}

static intptr_t tell_all(void *arg)
{
    weft_task *tasks[TARGETS];
    uint64_t random = as_seed(arg);

    for (int i = 0; i < TARGETS; i++) {
        rounds[i] = (struct round){.target = &targets[i], .random = draw(&random) | 1};
    }
    start_askers(&random);
    for (int i = 0; i < TARGETS; i++) {
        wt_check(weft_spawn(&tasks[i], be_a_victim, &rounds[i]) == 0);
    }
    for (int i = 0; i < TARGETS; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    stop_askers();
    fprintf(stderr, "told by the join %ld times, later %ld times\n", atomic_load(&told_by_join),
            atomic_load(&told_later));
    wt_check(atomic_load(&told_by_join) > 0 && atomic_load(&told_later) > 0);
    return 0;
}

STRESS_TEST(inside, joiners_are_told_once, tell_all);

/* ---- trees ---- */

enum { DEPTH = 7, CHILDREN = 4 };
#define BUDGET_NS (INT64_C(1500) * WEFT_MS)

static atomic_long spawned, ran, ended;
static atomic_long args_given, args_taken, args_dropped, results_made, results_dropped;

static void drop_arg(void *arg)
{
    (void)arg;
    atomic_fetch_add(&args_dropped, 1);
}

static void drop_result(intptr_t value)
{
    wt_check(value > 0);
    atomic_fetch_add(&results_dropped, 1);
}

/* In the argument of a node: its depth, whether it has a drop_arg, and its chance. */
enum { DEPTH_MASK = 15, HAS_DROP = 16 };

static void *node_arg(uint64_t depth, bool has_drop, uint64_t *random)
{
    return as_arg((draw(random) << 5) | (has_drop ? HAS_DROP : 0) | depth);
}

static intptr_t be_a_node(void *arg);

static int spawn_node(weft_task **task, uint64_t depth, uint64_t *random)
{
    weft_spawn_options options = {.drop_arg = drop_arg, .drop_result = drop_result};
    bool has_drop = draw(random) % 2 == 0;
    int rc;

    options.pinned = draw(random) % 16 == 0;
    rc = weft_spawn_with(task, be_a_node, node_arg(depth, has_drop, random),
                         has_drop ? &options : NULL);
    if (wt_check(rc == 0)) {
        atomic_fetch_add(&spawned, 1);
        atomic_fetch_add(&args_given, has_drop);
        post(*task, draw(random));
    }
    return rc;
}

/* The sum of those below, or -ECANCELED; what is left of the handles goes. */
static intptr_t join_node(weft_task *task, uint64_t how)
{
    weft_task *again = how % 8 == 0 ? weft_retain(task) : NULL;
    weft_timeout limit;
    intptr_t value = -1;
    intptr_t rc;

    if (how % 16 < 2) {
        wt_check(weft_timeout_enter(&limit, (int64_t)(how >> 8 & 0xfff) * 16) == 0);
    }
    rc = weft_await(task, &value);
    wt_check(rc == 0 ? value > 0 || value == -ECANCELED : rc == -ECANCELED && value == rc);
    if (how % 16 < 2) {
        rc = weft_timeout_leave(&limit, rc);
        wt_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
    }
    atomic_fetch_add(&ended, 1);
    if (again != NULL) {
        wt_check(weft_task_state(again) == (value > 0 ? WEFT_OK : WEFT_CANCELLED));
        weft_drop(again);
    }
    return rc == -ECANCELED ? rc : value > 0 ? value : 0;
}

static intptr_t be_a_leaf(uint64_t *random)
{
    switch (draw(random) % 8) {
    case 0:
        return weft_yield();
    case 1:
        return weft_sleep(draw_us(random, 20));
    case 2:
        disturb(random);
        return 0;
    default:
        dither(random);
        return 0;
    }
}

static intptr_t be_a_node(void *arg)
{
    uint64_t depth = (uint64_t)(uintptr_t)arg & DEPTH_MASK;
    uint64_t random = (uint64_t)(uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15) | 1;
    uint64_t count = depth == 0 ? 0 : 1 + draw(&random) % CHILDREN;
    weft_task *tasks[CHILDREN];
    intptr_t sum = 1;
    intptr_t rc = 0;

    atomic_fetch_add(&ran, 1);
    atomic_fetch_add(&args_taken, ((uint64_t)(uintptr_t)arg & HAS_DROP) != 0);
    for (uint64_t i = 0; i < count; i++) {
        if (spawn_node(&tasks[i], depth - 1, &random) < 0) {
            count = i;
        }
    }
    if (draw(&random) % 4 == 0) {
        rc = be_a_leaf(&random);
    }
    for (uint64_t i = 0; i < count; i++) { /* all of them, whatever is told */
        uint64_t at = draw(&random) % 2 == 0 ? count - 1 : i;
        weft_task *task = tasks[at];

        tasks[at] = tasks[i];
        intptr_t below = join_node(task, draw(&random));
        rc = below < 0 ? below : rc;
        sum += below > 0 ? below : 0;
    }
    if (rc < 0) {
        return rc;
    }
    atomic_fetch_add(&results_made, 1);
    return sum;
}

static bool counters_agree(void)
{
    weft_stats_t stats = {.size = sizeof stats};

    wt_check(weft_stats(NULL, &stats) == 0);
    return stats.tasks_finished + 1 == stats.tasks_spawned && /* main goes on */
           stats.tasks_spawned == (uint64_t)atomic_load(&spawned) + 1 &&
           stats.cancel_requests == (uint64_t)atomic_load(&asked);
}

static intptr_t grow_trees(void *arg)
{
    uint64_t random = as_seed(arg);
    int64_t end_ns = weft_now() + BUDGET_NS;
    int trees = 0;

    start_disturber(&random);
    for (; weft_now() < end_ns && atomic_load(&wt_failures) == 0; trees++) {
        weft_task *tree;

        if (spawn_node(&tree, draw(&random) % DEPTH, &random) == 0) {
            (void)join_node(tree, draw(&random) | 15);
        }
    }
    stop_disturber();
    while (!counters_agree() && weft_now() < end_ns + 10 * WEFT_S) {
        wt_check(weft_yield() == 0);
    }
    wt_check(counters_agree());
    fprintf(stderr, "%d trees, %ld nodes, %ld ran, %ld requests\n", trees, atomic_load(&spawned),
            atomic_load(&ran), atomic_load(&asked));
    wt_check(atomic_load(&ended) == atomic_load(&spawned));
    wt_check(atomic_load(&args_taken) + atomic_load(&args_dropped) == atomic_load(&args_given));
    wt_check(atomic_load(&results_dropped) <= atomic_load(&results_made));
    return 0;
}

STRESS_TEST(inside, trees, grow_trees);

/* ---- slots: used again at once, for a pinned task ---- */

struct job {
    const struct wf_worker *home;
    atomic_int runs;
};

static intptr_t be_pinned(void *arg)
{
    struct job *job = arg;

    wt_check(job->home == wf_here());
    wt_check(atomic_fetch_add(&job->runs, 1) == 0);
    return 0;
}

static intptr_t be_nothing(void *arg)
{
    return (intptr_t)arg;
}

static intptr_t reuse_slots(void *arg)
{
    const weft_spawn_options options = {.pinned = true};
    uint64_t random = as_seed(arg);

    for (int i = 0; i < STRESS_COUNT(20000) && atomic_load(&wt_failures) == 0; i++) {
        struct job job = {.home = NULL};
        weft_task *first, *second, *pinned;

        wt_check(weft_spawn(&first, be_nothing, NULL) == 0);
        wt_check(weft_spawn(&second, be_nothing, NULL) == 0);
        dither(&random);
        wt_check(weft_await(first, NULL) == 0); /* its entry stays for thieves */
        job.home = wf_here();
        wt_check(weft_spawn_with(&pinned, be_pinned, &job, &options) == 0);
        wt_check(weft_await(second, NULL) == 0);
        wt_check(weft_await(pinned, NULL) == 0);
        wt_check(atomic_load(&job.runs) == 1);
    }
    return 0;
}

static intptr_t reuse_everywhere(void *arg)
{
    weft_task *tasks[16];
    uint64_t random = as_seed(arg);

    for (int i = 0; i < 16; i++) {
        wt_check(weft_spawn(&tasks[i], reuse_slots, as_arg(draw(&random))) == 0);
    }
    for (int i = 0; i < 16; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    return 0;
}

STRESS_TEST(inside, slots, reuse_everywhere);
