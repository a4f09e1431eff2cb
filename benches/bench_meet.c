// SPDX-License-Identifier: MIT
/* bench_meet.c - tasks that do next to nothing between two meetings: does a second worker slow them down?
 *
 * What: meet_table      20 tasks at one lock for readers and writers, one in 20 writes; an operation is one of these.
 *       meet_barrier    eight tasks at a barrier; an operation is a round of all.
 *       meet_fan_out    one task and 60 others, each with a queue of 64; an operation is an item.
 *       meet_pool       a dispatcher, 16 workers and a collector, by queues that hold nothing; an operation is a job.
 *       meet_chain      each task spawns its successor into one group; an operation is a task.
 *       meet_pipeline   five stages of 0.3 us, queues of 16; an operation is an item. The only one that has work enough for two.
 */
#include "chain.h"
#include "harness.h"

enum {
    READERS = 20,
    PARTIES = 8,
    OUTPUTS = 60,
    POOL = 16,
    STAGES = 5,
    KEYS = 4096,
    MOST = 64,
};

struct meeting {
    struct bench *b;
    uint64_t each; /* operations of each task */
    weft_rwlock lock;
    weft_barrier barrier;
    weft_queue queues[MOST];
    weft_group group;
    uint64_t left;
    uint64_t keys[KEYS];
};

struct member {
    struct meeting *meeting;
    int number;
};

static struct meeting meeting;
static struct member members[MOST];

static struct meeting *begin(struct bench *b, uint64_t each)
{
    meeting.b = b;
    meeting.each = each;
    return &meeting;
}

static void make_queues(struct bench *b, int count, size_t capacity)
{
    for (int i = 0; i < count; i++) {
        int rc = weft_queue_init(&meeting.queues[i], sizeof(uint64_t), capacity, NULL);
        bench_require(b, rc == 0, "init");
    }
}

static void start(struct bench *b, weft_task **tasks, int count, weft_fn *fn)
{
    for (int i = 0; i < count; i++) {
        members[i] = (struct member){&meeting, i};
        bench_require(b, weft_spawn(&tasks[i], fn, &members[i]) == 0, "spawn");
    }
}

static void await_all(struct bench *b, weft_task **tasks, int count)
{
    for (int i = 0; i < count; i++) {
        bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
    }
}

static void meet(struct bench *b, int count, weft_fn *fn)
{
    weft_task *tasks[MOST];
    bench_start(b);
    start(b, tasks, count, fn);
    await_all(b, tasks, count);
    bench_stop(b);
}

/* ---- at a lock, at a barrier ---- */

static intptr_t look_up(void *arg)
{
    struct member *self = arg;
    struct meeting *m = self->meeting;
    uint64_t random = 12345 + (uint64_t)self->number * 1000;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < m->each; i++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        uint64_t *value = &m->keys[(random >> 40) % KEYS];
        bool writes = (random >> 20) % 20 == 0;
        int rc = writes ? weft_rwlock_write_lock(&m->lock) : weft_rwlock_read_lock(&m->lock);
        bench_require(m->b, rc == 0, "lock");
        sum += writes ? (*value += random) : *value;
        bench_require(m->b, weft_rwlock_unlock(&m->lock) == 0, "unlock");
    }
    return (intptr_t)(sum & 1);
}

static void table(struct bench *b)
{
    bench_require(b, weft_rwlock_init(&begin(b, b->operations / READERS)->lock) == 0, "init");
    meet(b, READERS, look_up);
}

static intptr_t come(void *arg)
{
    struct meeting *m = ((struct member *)arg)->meeting;
    for (uint64_t i = 0; i < m->each; i++) {
        bench_require(m->b, weft_barrier_wait(&m->barrier) >= 0, "barrier");
    }
    return 0;
}

static void barrier(struct bench *b)
{
    int rc = weft_barrier_init(&begin(b, b->operations)->barrier, PARTIES);
    bench_require(b, rc == 0, "init");
    meet(b, PARTIES, come);
}

/* ---- at queues ---- */

static intptr_t take_all(void *arg)
{
    struct member *self = arg;
    uint64_t item;
    intptr_t count = 0;
    while (weft_queue_get(&self->meeting->queues[self->number], &item) == 0) {
        count++;
    }
    return count;
}

static void fan_out(struct bench *b)
{
    struct meeting *m = begin(b, b->operations / OUTPUTS);
    weft_task *tasks[MOST];
    make_queues(b, OUTPUTS, 64);
    bench_start(b);
    start(b, tasks, OUTPUTS, take_all);
    for (uint64_t i = 0; i < m->each; i++) {
        for (int k = 0; k < OUTPUTS; k++) {
            bench_require(b, weft_queue_put(&m->queues[k], &i) == 0, "put");
        }
    }
    for (int k = 0; k < OUTPUTS; k++) {
        weft_queue_close(&m->queues[k]);
    }
    await_all(b, tasks, OUTPUTS);
    bench_stop(b);
}

/* From the first queue to the second. */
static intptr_t work_off(void *arg)
{
    struct meeting *m = ((struct member *)arg)->meeting;
    uint64_t job;
    while (weft_queue_get(&m->queues[0], &job) == 0) {
        bench_require(m->b, weft_queue_put(&m->queues[1], &job) == 0, "put");
    }
    return 0;
}

static intptr_t dispatch(void *arg)
{
    struct meeting *m = arg;
    for (uint64_t i = 0; i < m->each; i++) {
        bench_require(m->b, weft_queue_put(&m->queues[0], &i) == 0, "put");
    }
    weft_queue_close(&m->queues[0]);
    return 0;
}

static void collect(struct bench *b, weft_queue *from)
{
    uint64_t item;
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_queue_get(from, &item) == 0, "get");
    }
}

static void pool(struct bench *b)
{
    struct meeting *m = begin(b, b->operations);
    weft_task *tasks[MOST];
    weft_task *dispatcher;
    make_queues(b, 2, 0);
    bench_start(b);
    start(b, tasks, POOL, work_off);
    bench_require(b, weft_spawn(&dispatcher, dispatch, m) == 0, "spawn");
    collect(b, &m->queues[1]);
    bench_require(b, weft_await(dispatcher, NULL) == 0, "await");
    await_all(b, tasks, POOL);
    bench_stop(b);
}

/* From one's own queue to the next. */
static intptr_t pass_on(void *arg)
{
    struct member *self = arg;
    weft_queue *own = &self->meeting->queues[self->number];
    uint64_t item;
    while (weft_queue_get(own, &item) == 0) {
        bench_chain(3 * CHAIN_US / 10);
        bench_require(self->meeting->b, weft_queue_put(own + 1, &item) == 0, "put");
    }
    weft_queue_close(own + 1);
    return 0;
}

static void pipeline(struct bench *b)
{
    struct meeting *m = begin(b, b->operations);
    weft_task *tasks[MOST];
    weft_task *source;
    make_queues(b, STAGES + 1, 16);
    bench_start(b);
    start(b, tasks, STAGES, pass_on);
    bench_require(b, weft_spawn(&source, dispatch, m) == 0, "spawn");
    collect(b, &m->queues[STAGES]);
    bench_require(b, weft_await(source, NULL) == 0, "await");
    await_all(b, tasks, STAGES);
    bench_stop(b);
}

/* ---- one after the other ---- */

static intptr_t spawn_next(void *arg)
{
    struct meeting *m = arg;
    return --m->left > 0 ? weft_group_spawn(&m->group, NULL, spawn_next, m, NULL) : 0;
}

static void chain(struct bench *b)
{
    struct meeting *m = begin(b, 1);
    m->left = b->operations;
    bench_start(b);
    intptr_t rc = weft_group_open(&m->group, 0);
    bench_require(b, rc == 0, "open");
    rc = weft_group_spawn(&m->group, NULL, spawn_next, m, NULL);
    bench_require(b, weft_group_close(&m->group, rc) == 0 && m->left == 0, "close");
    bench_stop(b);
}

#define BESIDE(fn) .peers = {{.name = "one worker", .body = (fn), .in_runtime = true, .workers = 1}}

static const struct bench_case cases[] = {
    {.name = "meet_table", .operations = 1000000, .body = table, BESIDE(table)},
    {.name = "meet_barrier", .operations = 20000, .body = barrier, BESIDE(barrier)},
    {.name = "meet_fan_out", .operations = 600000, .body = fan_out, BESIDE(fan_out)},
    {.name = "meet_pool", .operations = 100000, .body = pool, BESIDE(pool)},
    {.name = "meet_chain", .operations = 200000, .body = chain, BESIDE(chain)},
    {.name = "meet_pipeline", .operations = 40000, .body = pipeline, BESIDE(pipeline)},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "meet", cases, sizeof cases / sizeof *cases);
}
