/* SPDX-License-Identifier: MIT */
/* test_cycles.c - joins and gathers that look like a cycle and are none.
 *
 * Who looks for a cycle follows tasks that end meanwhile, whose slots are used again, and gathers that an error
 * has decided. Here nobody ever waits for itself, so no wait may be refused. */
#include <weft/future.h>
#include <weft/gather.h>
#include <weft/task.h>
#include <weft/time.h>

#include "stress.h"

enum { CHILDREN = 6, LEVELS = 4, WIDTH = 8 };

/* ---- slots that are used again ---- */

struct reuse {
    weft_task *upper, *lower;
    weft_task *late[CHILDREN];
    _Atomic int is_ready;
    uint64_t seed;
};

static intptr_t linger(void *arg)
{
    uint64_t random = as_seed(arg);

    dither(&random);
    return draw(&random) % 2 == 0 ? weft_yield() : 0;
}

static intptr_t join_upper(void *arg)
{
    struct reuse *reuse = arg;

    return weft_join(reuse->upper, NULL);
}

static void await_ready(struct reuse *reuse)
{
    while (atomic_load(&reuse->is_ready) == 0) {
        wt_check(weft_yield() == 0);
    }
}

/* Joins children; each one's slot goes to a task that joins the upper one, which nobody here waits for. */
static intptr_t join_children(void *arg)
{
    struct reuse *reuse = arg;
    uint64_t random = reuse->seed;

    await_ready(reuse);
    for (int i = 0; i < CHILDREN; i++) {
        weft_task *child;

        wt_check(weft_spawn(&child, linger, as_arg(draw(&random))) == 0);
        if (draw(&random) % 2 == 0) {
            wt_check(weft_join(child, NULL) == 0);
        } else {
            wt_check(weft_gather(&child, 1, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
        }
        weft_drop(child);
        wt_check(weft_spawn(&reuse->late[i], join_upper, reuse) == 0);
        wt_check(weft_yield() == 0);
    }
    return 0;
}

static intptr_t join_lower(void *arg)
{
    struct reuse *reuse = arg;
    uint64_t random = reuse->seed * 3;

    await_ready(reuse);
    dither(&random);
    return weft_join(reuse->lower, NULL);
}

static void reuse_slots(uint64_t *random)
{
    struct reuse reuse = {.seed = draw(random)};
    intptr_t result = -1;

    wt_check(weft_spawn(&reuse.lower, join_children, &reuse) == 0);
    wt_check(weft_spawn(&reuse.upper, join_lower, &reuse) == 0);
    atomic_store(&reuse.is_ready, 1);
    wt_check(weft_join(reuse.upper, &result) == 0 && result == 0);
    for (int i = 0; i < CHILDREN; i++) {
        wt_check(weft_await(reuse.late[i], &result) == 0 && result == 0);
    }
    wt_check(weft_await(reuse.lower, &result) == 0 && result == 0);
    weft_drop(reuse.upper);
}

/* ---- gathers that are decided ---- */

struct decided {
    weft_task *failing, *gathering, *joined, *upper;
    weft_future go;
};

static intptr_t fail_when_told(void *arg)
{
    struct decided *decided = arg;

    wt_check(weft_future_await(&decided->go, NULL) == 0);
    return -EIO;
}

static intptr_t join_the_upper(void *arg)
{
    struct decided *decided = arg;

    return weft_join(decided->upper, NULL);
}

static intptr_t gather_two(void *arg)
{
    struct decided *decided = arg;
    weft_task *both[2] = {decided->joined, decided->failing};

    return weft_gather(both, 2, NULL, WEFT_GATHER_FIRST_ERROR, NULL);
}

/* Once the gather has its error it waits for nobody, so joining its task is no cycle. */
static intptr_t join_gathering(void *arg)
{
    struct decided *decided = arg;

    while (weft_task_state(decided->failing) == WEFT_PENDING) {
        wt_check(weft_yield() == 0);
    }
    return weft_join(decided->gathering, NULL);
}

static void decide(uint64_t *random)
{
    struct decided decided;
    intptr_t result;

    weft_future_init(&decided.go);
    wt_check(weft_spawn(&decided.failing, fail_when_told, &decided) == 0);
    wt_check(weft_spawn(&decided.upper, join_gathering, &decided) == 0);
    wt_check(weft_spawn(&decided.joined, join_the_upper, &decided) == 0);
    wt_check(weft_spawn(&decided.gathering, gather_two, &decided) == 0);
    for (uint64_t i = draw(random) % 16; i > 0; i--) {
        wt_check(weft_yield() == 0);
    }
    wt_check(weft_future_set(&decided.go, 0) == 0);
    wt_check(weft_join(decided.upper, &result) == 0 && result == 0);
    wt_check(weft_join(decided.gathering, &result) == 0 && result == 0);
    wt_check(weft_join(decided.joined, &result) == 0 && result == 0);
    wt_check(weft_await(decided.failing, NULL) == 0);
    weft_drop(decided.upper);
    weft_drop(decided.gathering);
    weft_drop(decided.joined);
}

/* ---- levels: tasks wait for those below them only ---- */

struct levels {
    weft_task *tasks[LEVELS][WIDTH];
    uint64_t seed;
};

struct place {
    struct levels *levels;
    int level;
    uint64_t seed;
};

static intptr_t wait_below(void *arg)
{
    struct place *place = arg;
    uint64_t random = place->seed | 1;
    weft_task *some[WIDTH];
    size_t count = 1 + draw(&random) % WIDTH;
    int rc;

    if (place->level == 0) {
        dither(&random);
        return draw(&random) % 3 == 0 ? -EIO : weft_yield();
    }
    for (size_t i = 0; i < count; i++) {
        some[i] = place->levels->tasks[place->level - 1][draw(&random) % WIDTH];
    }
    switch (draw(&random) % 3) {
    case 0:
        rc = weft_join(some[0], NULL);
        break;
    case 1:
        rc = weft_gather(some, count, NULL, WEFT_GATHER_COLLECT, NULL);
        break;
    default:
        rc = weft_gather(some, count, NULL, WEFT_GATHER_FIRST_ERROR, NULL);
        break;
    }
    wt_check(rc == 0);
    return draw(&random) % 4 == 0 ? -EIO : rc;
}

static void climb(uint64_t *random)
{
    struct levels levels;
    struct place places[LEVELS][WIDTH];

    for (int level = 0; level < LEVELS; level++) {
        for (int i = 0; i < WIDTH; i++) {
            places[level][i] = (struct place){&levels, level, draw(random)};
            wt_check(weft_spawn(&levels.tasks[level][i], wait_below, &places[level][i]) == 0);
        }
    }
    for (int level = 0; level < LEVELS; level++) {
        wt_check(weft_gather(levels.tasks[level], WIDTH, NULL, WEFT_GATHER_COLLECT, NULL) == 0);
    }
    for (int level = 0; level < LEVELS; level++) {
        weft_drop_all(levels.tasks[level], WIDTH);
    }
}

/* ---- rounds ---- */

static intptr_t play(void *arg)
{
    uint64_t random = as_seed(arg);
    int64_t end_ns = wf_monotonic_ns() + 2 * WEFT_S;

    while (wf_monotonic_ns() < end_ns) {
        reuse_slots(&random);
        decide(&random);
        climb(&random);
    }
    return 0;
}

STRESS_TEST(cycles, none_is_seen_where_none_is, play);
