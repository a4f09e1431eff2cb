// SPDX-License-Identifier: MIT
/* bench_mutex.c - locks: while nobody waits, wanted by four tasks, and held while others run.
 *
 * What: *_free is one task that locks and unlocks. *_shared are four tasks that do so as fast as they can:
 *       on one worker nobody ever meets the other, on two they do. *_held gives way while it has the lock,
 *       so that the others must wait: each operation is a hand-over. event_wake is a round trip of two tasks.
 */
#include "harness.h"

#include <weft/event.h>
#include <weft/mutex.h>
#include <weft/sem.h>

enum { LOCKERS = 4 };

/* ---- nobody waits --------------------------------------------------------------------------------- */

static void mutex_free(struct bench *b)
{
    weft_mutex mutex = WEFT_MUTEX_INIT;
    int rc = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        rc |= weft_mutex_lock(&mutex);
        rc |= weft_mutex_unlock(&mutex);
    }
    bench_stop(b);
    bench_require(b, rc == 0, "lock");
}

static void sem_free(struct bench *b)
{
    weft_sem sem = WEFT_SEM_INIT(2);
    int rc = 0;
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        rc |= weft_sem_acquire(&sem, 1);
        rc |= weft_sem_release(&sem, 1);
    }
    bench_stop(b);
    bench_require(b, rc == 0, "acquire");
}

static void event_set(struct bench *b)
{
    weft_event event = WEFT_EVENT_INIT;
    int rc = weft_event_set(&event);
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        rc |= weft_event_wait(&event);
    }
    bench_stop(b);
    bench_require(b, rc == 0, "wait");
}

/* ---- wanted by several ---------------------------------------------------------------------------- */

struct table {
    struct bench *b;
    weft_mutex mutex;
    weft_sem sem;
    weft_event ask, answer;
    uint64_t counter; /* under the mutex */
    bool is_held;
};

static intptr_t lock_often(void *arg)
{
    struct table *table = arg;
    for (uint64_t i = 0; i < table->b->operations / LOCKERS; i++) {
        bench_require(table->b, weft_mutex_lock(&table->mutex) == 0, "lock");
        table->counter++;
        bench_require(table->b, !table->is_held || weft_yield() == 0, "yield");
        weft_mutex_unlock(&table->mutex);
    }
    return 0;
}

static intptr_t acquire_often(void *arg)
{
    struct table *table = arg;
    for (uint64_t i = 0; i < table->b->operations / LOCKERS; i++) {
        bench_require(table->b, weft_sem_acquire(&table->sem, 1) == 0, "acquire");
        bench_require(table->b, weft_yield() == 0, "yield");
        weft_sem_release(&table->sem, 1);
    }
    return 0;
}

static void compete(struct table *table, weft_fn *fn)
{
    weft_task *tasks[LOCKERS];
    struct bench *b = table->b;
    bench_start(b);
    for (int i = 0; i < LOCKERS; i++) {
        bench_require(b, weft_spawn(&tasks[i], fn, table) == 0, "spawn");
    }
    for (int i = 0; i < LOCKERS; i++) {
        bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
    }
    bench_stop(b);
}

static void mutex_shared(struct bench *b)
{
    struct table table = {.b = b, .mutex = WEFT_MUTEX_INIT};
    compete(&table, lock_often);
    bench_require(b, table.counter == b->operations / LOCKERS * LOCKERS, "exclusion");
}

static void mutex_held(struct bench *b)
{
    struct table table = {.b = b, .mutex = WEFT_MUTEX_INIT, .is_held = true};
    compete(&table, lock_often);
    bench_require(b, table.counter == b->operations / LOCKERS * LOCKERS, "exclusion");
}

static void sem_held(struct bench *b)
{
    struct table table = {.b = b, .sem = WEFT_SEM_INIT(2)};
    compete(&table, acquire_often);
    bench_require(b, weft_sem_value(&table.sem) == 2, "permits");
}

/* ---- woken ---------------------------------------------------------------------------------------- */

static intptr_t answer_all(void *arg)
{
    struct table *table = arg;
    for (uint64_t i = 0; i < table->b->operations; i++) {
        bench_require(table->b, weft_event_wait(&table->ask) == 0, "ask");
        weft_event_clear(&table->ask);
        weft_event_set(&table->answer);
    }
    return 0;
}

static void event_wake(struct bench *b)
{
    struct table table = {.b = b, .ask = WEFT_EVENT_INIT, .answer = WEFT_EVENT_INIT};
    weft_task *partner;
    bench_require(b, weft_spawn(&partner, answer_all, &table) == 0, "spawn");
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        weft_event_set(&table.ask);
        bench_require(b, weft_event_wait(&table.answer) == 0, "answer");
        weft_event_clear(&table.answer);
    }
    bench_stop(b);
    bench_require(b, weft_await(partner, NULL) == 0, "await");
}

static const struct bench_case cases[] = {
    {.name = "mutex_free", .operations = 5000000, .body = mutex_free, .workers = 1},
    {.name = "mutex_shared", .operations = 2000000, .body = mutex_shared},
    {.name = "mutex_held", .operations = 500000, .body = mutex_held},
    {.name = "sem_free", .operations = 5000000, .body = sem_free, .workers = 1},
    {.name = "sem_held", .operations = 500000, .body = sem_held},
    {.name = "event_set", .operations = 5000000, .body = event_set, .workers = 1},
    {.name = "event_wake", .operations = 500000, .body = event_wake},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "mutex", cases, sizeof cases / sizeof *cases);
}
