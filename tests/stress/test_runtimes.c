/* SPDX-License-Identifier: MIT */
/* test_runtimes.c - runtimes and the plain threads around them: submitting, waiting, looking. */
#include <weft/future.h>
#include <weft/time.h>

#include "stress.h"

enum { OUTSIDE = 10 };

/* Starts `count` threads of `fn` on its elements of `args`, and waits for them. */
static void run_threads(void *(*fn)(void *), void *args, size_t size, int count)
{
    pthread_t threads[OUTSIDE];

    for (int i = 0; i < count; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, fn, (char *)args + (size_t)i * size), 0);
    }
    for (int i = 0; i < count; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
}

/* ---- plain threads submit and wait (X05), give up waiting and cancel (X06); errors (X03) ---- */

struct client {
    weft_runtime *runtime;
    uint64_t seed;
    long values, errors, timeouts;
};

static intptr_t answer(void *arg)
{
    intptr_t value = (intptr_t)arg;
    int rc = value % 3 == 0 ? weft_yield() : 0;

    return rc < 0 ? rc : value % 4 == 0 ? -EREMOTE : value;
}

static void ask(struct client *client, uint64_t *random)
{
    intptr_t value = 1 + (intptr_t)(draw(random) % 1000), result = 0;
    weft_task *task;

    wt_check(weft_runtime_submit(client->runtime, &task, answer, (void *)value, NULL) == 0);
    wt_check(weft_thread_join(task, WEFT_FOREVER, &result) == 0);
    wt_check(result == (value % 4 == 0 ? -EREMOTE : value));
    wt_check(weft_task_state(task) == (value % 4 == 0 ? WEFT_ERROR : WEFT_OK));
    client->values += value % 4 != 0;
    client->errors += value % 4 == 0;
    weft_drop(task);
}

struct long_wait {
    weft_future future;
    atomic_bool begun;
};

static intptr_t wait_long(void *arg)
{
    struct long_wait *wait = arg;
    intptr_t value = 0;
    int rc;

    atomic_store(&wait->begun, true);
    rc = weft_future_await(&wait->future, &value);
    return rc < 0 ? rc : value;
}

/* A wait that ends cancels nothing: the task takes its value afterwards, or is cancelled by hand. */
static void give_up(struct client *client, uint64_t *random)
{
    struct long_wait wait = {.future = WEFT_FUTURE_INIT};
    bool is_cancelled = draw(random) % 2 == 0;
    intptr_t result = 0;
    weft_task *task;

    wt_check(weft_runtime_submit(client->runtime, &task, wait_long, &wait, NULL) == 0);
    wt_check(weft_thread_join(task, draw_us(random, 100), &result) == -ETIMEDOUT && result == 0);
    wt_check(weft_task_state(task) == WEFT_PENDING && weft_cancelling(task) == 0);
    if (is_cancelled) {
        wt_check(weft_cancel(task) == 1);
    } else {
        wt_check(weft_future_set(&wait.future, 77) == 0);
    }
    wt_check(weft_thread_join(task, WEFT_FOREVER, &result) == 0);
    wt_check(result == (is_cancelled ? -ECANCELED : 77));
    wt_check(weft_task_state(task) == (is_cancelled ? WEFT_CANCELLED : WEFT_OK));
    wt_check(weft_cancelling(task) == (is_cancelled ? 1 : 0) && weft_cancel(task) == 0);
    client->timeouts++;
    weft_drop(task);
}

static void *be_client(void *arg)
{
    struct client *client = arg;
    uint64_t random = client->seed;
    int64_t end_ns = wf_monotonic_ns() + 700 * WEFT_MS;

    while (wf_monotonic_ns() < end_ns) {
        ask(client, &random);
        if (draw(&random) % 4 == 0) {
            give_up(client, &random);
        }
    }
    return NULL;
}

static void run_clients(int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    struct client clients[4] = {{0}};
    uint64_t random = wt_seed() | 1;
    weft_runtime *runtime;
    long values = 0, errors = 0, timeouts = 0;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < 4; i++) {
        clients[i] = (struct client){.runtime = runtime, .seed = draw(&random) | 1};
    }
    run_threads(be_client, clients, sizeof clients[0], 4);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
    for (int i = 0; i < 4; i++) {
        values += clients[i].values;
        errors += clients[i].errors;
        timeouts += clients[i].timeouts;
    }
    fprintf(stderr, "%ld values, %ld errors, %ld given up\n", values, errors, timeouts);
    cr_assert(values > 0 && errors > 0 && timeouts > 0);
}

Test(runtimes, answer_plain_threads_two_workers, .timeout = 30)
{
    run_clients(2);
}

Test(runtimes, answer_plain_threads_eight_workers, .timeout = 30)
{
    run_clients(8);
}

/* ---- ten runtimes in ten threads (X08) ---- */

struct world {
    char name[16];
    int workers;
    uint64_t seed;
    atomic_int alive;
};

static intptr_t live(void *arg)
{
    struct world *world = arg;
    int rc = 0;

    for (int i = 0; i < 4 && rc == 0; i++) {
        rc = weft_yield();
    }
    atomic_fetch_sub(&world->alive, 1);
    return rc;
}

/* Exactly its own: all that were spawned and have not ended, and main; each has the world's name. */
static void look_around(struct world *world, int spawned)
{
    weft_weak weak[80];
    int64_t count = weft_tasks(NULL, weak, 80);

    wt_check(count >= 1 + atomic_load(&world->alive) && count <= 1 + spawned);
    for (int64_t i = 0; i < count && i < 80; i++) {
        weft_task *task = weft_upgrade(weak[i]);

        wt_check(task == NULL || task == weft_self() ||
                 strcmp(weft_task_name(task), world->name) == 0);
        weft_drop(task);
    }
}

static intptr_t inhabit(void *arg)
{
    struct world *world = arg;
    const weft_spawn_options options = {.name = world->name};
    uint64_t random = world->seed;
    int64_t end_ns = wf_monotonic_ns() + 600 * WEFT_MS;
    weft_task *tasks[64];

    while (wf_monotonic_ns() < end_ns) {
        size_t count = 1 + draw(&random) % 64;

        for (size_t i = 0; i < count; i++) {
            atomic_fetch_add(&world->alive, 1);
            wt_check(weft_spawn_with(&tasks[i], live, world, &options) == 0);
        }
        look_around(world, (int)count);
        for (size_t i = 0; i < count; i++) {
            wt_check(weft_await(tasks[i], NULL) == 0);
        }
        wt_check(weft_tasks(NULL, NULL, 0) == 1 && atomic_load(&world->alive) == 0);
    }
    return 0;
}

static void *run_world(void *arg)
{
    struct world *world = arg;
    const weft_options options = {.workers = world->workers, .diagnostic = ignore};

    for (int i = 0; i < 2; i++) {
        wt_check(weft_run(inhabit, world, &options) == 0);
    }
    return NULL;
}

static void run_worlds(int workers)
{
    static struct world worlds[OUTSIDE];
    uint64_t random = wt_seed() | 1;

    for (int i = 0; i < OUTSIDE; i++) {
        worlds[i] = (struct world){.workers = workers, .seed = draw(&random) | 1};
        snprintf(worlds[i].name, sizeof worlds[i].name, "w%d", i);
    }
    run_threads(run_world, worlds, sizeof worlds[0], OUTSIDE);
    wt_assert_clean();
}

Test(runtimes, ten_see_their_own_tasks_only_two_workers, .timeout = 30)
{
    run_worlds(2);
}

Test(runtimes, ten_see_their_own_tasks_only_eight_workers, .timeout = 30)
{
    run_worlds(8);
}

/* ---- one runtime, ten onlookers (X09) ---- */

enum { BLOCK = 64 };

static atomic_bool is_over;
static atomic_long looks, found;

/* What holds of a task while we hold it: its id stays, and an end is final. */
static void watch_one(weft_weak weak, uint64_t *random)
{
    weft_task *task = weft_upgrade(weak);
    weft_state state;

    if (task == NULL) {
        return;
    }
    state = weft_task_state(task);
    wt_check(weft_task_id(task) == weak.id && strcmp(weft_task_name(task), "busy") == 0);
    dither(random);
    wt_check(state == WEFT_PENDING || weft_task_state(task) == state);
    wt_check(state == WEFT_PENDING || state == WEFT_OK);
    atomic_fetch_add(&found, 1);
    weft_drop(task);
}

static void *look_on(void *arg)
{
    struct client *client = arg;
    uint64_t random = client->seed;
    weft_weak weak[BLOCK + 1];

    while (!atomic_load(&is_over)) {
        int64_t count = weft_tasks(client->runtime, weak, BLOCK);

        wt_check(count >= 1 || atomic_load(&is_over));
        count = count < BLOCK ? count : BLOCK;
        for (int64_t i = 0; i < count; i++) {
            wt_check(i == 0 || weak[i - 1].id < weak[i].id);
            watch_one(weak[i], &random);
        }
        atomic_fetch_add(&looks, 1);
    }
    return NULL;
}

/* Spawns and awaits block after block, so that the same slots serve all the time. */
static intptr_t spawn_blocks(void *arg)
{
    static const weft_spawn_options options = {.name = "busy"};
    int64_t end_ns = wf_monotonic_ns() + 700 * WEFT_MS;
    weft_task *tasks[BLOCK];

    (void)arg;
    while (wf_monotonic_ns() < end_ns || atomic_load(&looks) == 0) {
        for (int i = 0; i < BLOCK; i++) {
            wt_check(weft_spawn_with(&tasks[i], answer, (void *)(intptr_t)(4 * i + 3), &options) ==
                     0);
        }
        for (int i = 0; i < BLOCK; i++) {
            intptr_t result = 0;

            wt_check(weft_await(tasks[i], &result) == 0 && result == 4 * i + 3);
        }
    }
    atomic_store(&is_over, true);
    return 0;
}

static void run_onlookers(int workers)
{
    static const weft_spawn_options named = {.name = "busy"};
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    struct client onlookers[OUTSIDE] = {{0}};
    uint64_t random = wt_seed() | 1;
    weft_runtime *runtime;
    weft_task *spawner;

    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < OUTSIDE; i++) {
        onlookers[i] = (struct client){.runtime = runtime, .seed = draw(&random) | 1};
    }
    cr_assert_eq(weft_runtime_submit(runtime, &spawner, spawn_blocks, NULL, &named), 0);
    run_threads(look_on, onlookers, sizeof onlookers[0], OUTSIDE);
    cr_assert_eq(weft_thread_join(spawner, WEFT_FOREVER, NULL), 0);
    weft_drop(spawner);
    cr_assert_eq(weft_tasks(runtime, NULL, 0), 0);
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
    fprintf(stderr, "%ld looks, %ld found\n", atomic_load(&looks), atomic_load(&found));
    cr_assert(atomic_load(&found) > 0);
}

Test(runtimes, are_looked_at_by_ten_threads_two_workers, .timeout = 30)
{
    run_onlookers(2);
}

Test(runtimes, are_looked_at_by_ten_threads_eight_workers, .timeout = 30)
{
    run_onlookers(8);
}
