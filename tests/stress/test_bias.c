/* SPDX-License-Identifier: MIT */
/* test_bias.c - the first reference that somebody takes by chance, while children end inside their joiners.
 *
 * Until then these ends need no locked operation; from then on they do. That moment comes once in the life of a runtime,
 * so every round has a runtime of its own, and a plain thread that comes at a moment of chance: upgrades weak handles of
 * tasks that run inside others, cancels the tree, or lists all tasks.
 */
#include <weft/dump.h>

#include "stress.h"

enum { ROUNDS = 1200, DEPTH = 9, PLACES = 16, VISITS = 12 };

/* The latest tasks, as weak handles: the tree writes, the visitor reads. */
struct board {
    struct spin lock;
    weft_weak places[PLACES];
    uint32_t next;
};

struct round {
    struct board board;
    weft_runtime *runtime;
    weft_task *root;
    uint64_t random;
    _Atomic uint32_t has_begun, is_over;
    bool may_cancel;
    long upgraded, cancelled;
};

static struct round *round_now;

static void publish(struct board *board, weft_task *task)
{
    spin_lock(&board->lock);
    board->places[board->next++ % PLACES] = weft_weak_of(task);
    spin_unlock(&board->lock);
}

static intptr_t grow(void *arg)
{
    intptr_t depth = (intptr_t)arg, here, there = 0;
    weft_task *child;

    if (depth == 0) {
        return 1;
    }
    wt_check(weft_spawn(&child, grow, (void *)(depth - 1)) == 0);
    if (depth % 2 == 0) {
        publish(&round_now->board, child);
    }
    atomic_store_explicit(&round_now->has_begun, 1, memory_order_release);
    here = grow((void *)(depth - 1));
    int rc = weft_await(child, &there);
    there = rc < 0 ? rc : there;
    return here < 0 ? here : there < 0 ? there : here + there;
}

/* For as long as the visitor is there, however slow it is. */
static intptr_t grow_on(void *arg)
{
    struct round *round = arg;
    intptr_t sum;

    do {
        sum = grow((void *)(intptr_t)DEPTH);
    } while (sum == 1 << DEPTH && atomic_load(&round->is_over) == 0);
    return sum;
}

/* What it was a handle of is there for as long as the new one is kept. */
static void upgrade_one(struct round *round)
{
    spin_lock(&round->board.lock);
    weft_weak weak = round->board.places[draw(&round->random) % PLACES];
    spin_unlock(&round->board.lock);
    weft_task *task = weft_upgrade(weak);
    if (task == NULL) {
        return;
    }
    round->upgraded++;
    wt_check(weft_weak_of(task).id == weak.id);
    weft_state state = weft_task_state(task);
    dither(&round->random);
    wt_check(weft_weak_of(task).id == weak.id);
    wt_check(state == WEFT_PENDING || weft_task_state(task) == state);
    if (round->may_cancel && draw(&round->random) % 8 == 0) {
        round->cancelled += weft_cancel(task) == 1;
    }
    weft_drop(task);
}

static void *visit(void *arg)
{
    struct round *round = arg;
    weft_weak all[8];

    while (atomic_load_explicit(&round->has_begun, memory_order_acquire) == 0) {
        wf_relax();
    }
    dither(&round->random);
    /* Where nobody cancels, the tree grows until an upgrade has come in time. */
    for (int i = 0; i < VISITS || (!round->may_cancel && round->upgraded == 0); i++) {
        switch (draw(&round->random) % 8) {
        case 0:
            (void)weft_tasks(round->runtime, all, 8);
            break;
        case 1:
            round->cancelled += round->may_cancel && weft_cancel(round->root) == 1;
            break;
        default:
            upgrade_one(round);
        }
        dither(&round->random);
    }
    round->cancelled += round->may_cancel && weft_cancel(round->root) == 1;
    atomic_store(&round->is_over, 1);
    return NULL;
}

static void play(struct round *round, int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    intptr_t sum = 0;
    pthread_t visitor;

    round_now = round;
    cr_assert_eq(weft_runtime_start(&round->runtime, &options), 0);
    cr_assert_eq(pthread_create(&visitor, NULL, visit, round), 0);
    cr_assert_eq(weft_runtime_submit(round->runtime, &round->root, grow_on, round, NULL), 0);
    cr_assert_eq(weft_thread_join(round->root, WEFT_FOREVER, &sum), 0);
    cr_assert_eq(pthread_join(visitor, NULL), 0);
    wt_check(sum == 1 << DEPTH || (sum == -ECANCELED && round->cancelled > 0));
    weft_drop(round->root);
    cr_assert_eq(weft_runtime_stop(round->runtime), 0);
}

static void play_rounds(int workers)
{
    uint64_t random = wt_seed() | 1;
    long upgraded = 0, cancelled = 0;

    for (int i = 0; i < STRESS_COUNT(ROUNDS); i++) {
        struct round round = {.random = draw(&random) | 1, .may_cancel = i % 2 == 0};
        play(&round, workers);
        upgraded += round.upgraded;
        cancelled += round.cancelled;
    }
    wt_assert_clean();
    fprintf(stderr, "%ld upgraded, %ld cancelled\n", upgraded, cancelled);
    cr_assert(upgraded > 0 && cancelled > 0);
}

Test(stress_bias, one_worker, .timeout = 60)
{
    play_rounds(1);
}

Test(stress_bias, two_workers, .timeout = 60)
{
    play_rounds(2);
}

Test(stress_bias, eight_workers, .timeout = 60)
{
    play_rounds(8);
}
