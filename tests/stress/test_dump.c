// SPDX-License-Identifier: MIT
/* test_dump.c - looking at waits while tasks go on: from a plain thread and from a task, under cancels.
 *
 * The tasks take two mutexes in one order, so however the looks fall, no cycle through mutexes, joins and
 * groups may ever be told. */
#include <weft.h>

#include "stress/stress.h"

enum { TASKS = 12, MUTEXES = 4 };

#define BUDGET_NS (2 * WEFT_S)

static struct {
    weft_mutex mutexes[MUTEXES];
    weft_rwlock rwlock;
    weft_queue queue;
    _Atomic bool is_over;
    _Atomic uint64_t dumps;
    _Atomic uint64_t lines;
    _Atomic uint64_t owners; /* lines that name somebody */
} yard;

/* ---- looking ---- */

static void on_line(const char *text, void *arg)
{
    (void)arg;
    atomic_fetch_add(&yard.lines, 1);
    atomic_fetch_add(&yard.owners, strstr(text, ", held by task #") != NULL);
    bool is_false = strncmp(text, "cycle: ", 7) == 0 && strstr(text, "queue") == NULL;
    if (is_false) {
        fprintf(stderr, "%s\n", text);
    }
    wt_check(!is_false);
}

static void *look_from_outside(void *arg)
{
    weft_runtime *runtime = arg;
    while (!atomic_load(&yard.is_over)) {
        wt_check(weft_dump(runtime, on_line, NULL) == 0);
        atomic_fetch_add(&yard.dumps, 1);
    }
    return NULL;
}

static intptr_t look_from_inside(void *arg)
{
    (void)arg;
    while (!atomic_load(&yard.is_over)) {
        wt_check(weft_dump(NULL, on_line, NULL) == 0);
        wt_check(weft_sleep(WEFT_MS) == 0);
    }
    return 0;
}

/* ---- things to look at ---- */

static void pause_a_little(uint64_t *random)
{
    if (draw(random) % 4 == 0) {
        (void)!weft_sleep(draw_us(random, 20));
    } else {
        (void)!weft_yield();
    }
}

static void take_two(uint64_t *random)
{
    size_t low = draw(random) % (MUTEXES - 1);
    size_t high = low + 1 + draw(random) % (MUTEXES - 1 - low);
    if (weft_mutex_lock(&yard.mutexes[low]) != 0) {
        return;
    }
    pause_a_little(random);
    if (weft_mutex_lock(&yard.mutexes[high]) == 0) {
        pause_a_little(random);
        wt_check(weft_mutex_unlock(&yard.mutexes[high]) == 0);
    }
    wt_check(weft_mutex_unlock(&yard.mutexes[low]) == 0);
}

static void read_or_write(uint64_t *random)
{
    bool writes = draw(random) % 3 == 0;
    int rc = writes ? weft_rwlock_write_lock(&yard.rwlock) : weft_rwlock_read_lock(&yard.rwlock);
    if (rc == 0) {
        pause_a_little(random);
        wt_check(weft_rwlock_unlock(&yard.rwlock) == 0);
    }
}

static void put_and_get(uint64_t *random)
{
    uint64_t item = draw(random);
    if (draw(random) % 2 == 0) {
        (void)!weft_within(draw_us(random, 50), weft_queue_put(&yard.queue, &item));
    } else {
        (void)!weft_within(draw_us(random, 50), weft_queue_get(&yard.queue, &item));
    }
}

static intptr_t little_work(void *arg)
{
    uint64_t random = as_seed(arg);
    take_two(&random);
    return 0;
}

static void own_group(uint64_t *random)
{
    weft_group group;
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < 3; i++) {
        (void)!weft_group_spawn(&group, NULL, little_work, as_arg(draw(random)), NULL);
    }
    if (draw(random) % 3 == 0) {
        (void)weft_group_cancel(&group);
    }
    (void)!weft_group_close(&group, 0);
}

static void join_some(uint64_t *random)
{
    weft_task *tasks[3];
    for (size_t i = 0; i < 3; i++) {
        wt_check(weft_spawn(&tasks[i], little_work, as_arg(draw(random))) == 0);
    }
    if (draw(random) % 4 == 0) {
        (void)weft_cancel(tasks[draw(random) % 3]);
    }
    (void)!weft_gather(tasks, 3, NULL, WEFT_GATHER_COLLECT, NULL);
    (void)!weft_join(tasks[0], NULL);
    weft_drop_all(tasks, 3);
}

static intptr_t work(void *arg)
{
    uint64_t random = as_seed(arg);
    while (!atomic_load(&yard.is_over)) {
        switch (draw(&random) % 6) {
        case 0:
            read_or_write(&random);
            break;
        case 1:
            put_and_get(&random);
            break;
        case 2:
            own_group(&random);
            break;
        case 3:
            join_some(&random);
            break;
        default:
            take_two(&random);
            break;
        }
        (void)weft_uncancel(weft_self());
    }
    return 0;
}

static void disturb(weft_task *const *tasks, uint64_t *random)
{
    int64_t end_ns = wf_monotonic_ns() + BUDGET_NS;
    while (wf_monotonic_ns() < end_ns) {
        (void)weft_cancel(tasks[draw(random) % TASKS]);
        wt_check(weft_sleep(draw_us(random, 500)) == 0);
    }
    atomic_store(&yard.is_over, true);
}

static intptr_t look_at_all(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_task *tasks[TASKS + 1];
    pthread_t thread;
    memset(&yard, 0, sizeof yard);
    wt_check(weft_queue_init(&yard.queue, sizeof(uint64_t), 2, NULL) == 0);
    for (size_t i = 0; i < TASKS; i++) {
        const weft_spawn_options name = {.name = i % 2 == 0 ? "even" : NULL};
        wt_check(weft_spawn_with(&tasks[i], work, as_arg(draw(&random)), &name) == 0);
    }
    wt_check(weft_spawn(&tasks[TASKS], look_from_inside, NULL) == 0);
    wt_check(pthread_create(&thread, NULL, look_from_outside, weft_runtime_current()) == 0);
    disturb(tasks, &random);
    for (size_t i = 0; i <= TASKS; i++) {
        intptr_t result;
        (void)!weft_await(tasks[i], &result);
    }
    wt_check(pthread_join(thread, NULL) == 0);
    wt_check(weft_queue_destroy(&yard.queue) == 0);
    wt_check(yard.dumps > 0 && yard.lines > TASKS && yard.owners > 0);
    fprintf(stderr, "dumps %" PRIu64 ", lines %" PRIu64 ", with owners %" PRIu64 "\n", yard.dumps,
            yard.lines, yard.owners);
    return 0;
}

STRESS_TEST(dump, looks_while_tasks_go_on, look_at_all);
