// SPDX-License-Identifier: MIT
/* bench_pingpong.c - parking and waking: two fibers hand a turn to and fro through futures.
 *
 * What: an operation is a round trip: two futures set, two waits. On one worker it is two parks and
 *       two wakes; on two workers it is the way to the other processor and back.
 * Peers: two threads with a mutex and condition variables, as a C program would do it; for the way across also what is
 *        beneath: two threads that do nothing but watch a word each, on a processor each.
 *
 * Futures are one-shot, so four pairs are used in turn. Player A renews pair i - 2 once answer i has
 * come: B has then left answer i - 1, and with it everything that it did before.
 */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

enum { PAIRS = 4 };

struct table {
    struct bench *b;
    weft_future ask[PAIRS];
    weft_future answer[PAIRS];
    weft_task *partner; /* two_workers: set by the courier */
    int partner_thread; /* atomic: 0 until the partner has started */
};

static intptr_t answer_all(void *arg)
{
    struct table *table = arg;
    __atomic_store_n(&table->partner_thread, (int)gettid(), __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < table->b->operations; i++) {
        bench_require(table->b, weft_future_await(&table->ask[i % PAIRS], NULL) == 0, "ask");
        weft_future_set(&table->answer[i % PAIRS], 0);
    }
    return 0;
}

static void ask_all(struct table *table)
{
    for (uint64_t i = 0; i < table->b->operations; i++) {
        weft_future_set(&table->ask[i % PAIRS], 0);
        bench_require(table->b, weft_future_await(&table->answer[i % PAIRS], NULL) == 0, "answer");
        weft_future_init(&table->ask[(i + 2) % PAIRS]);
        weft_future_init(&table->answer[(i + 2) % PAIRS]);
    }
}

static void play(struct table *table, weft_task *partner)
{
    bench_start(table->b);
    ask_all(table);
    bench_stop(table->b);
    bench_require(table->b, weft_await(partner, NULL) == 0, "await");
}

static void same_worker(struct bench *b)
{
    struct table table = {.b = b};
    weft_task *partner;
    bench_require(b, weft_spawn(&partner, answer_all, &table) == 0, "spawn");
    play(&table, partner);
}

/* A pinned task starts where it was spawned: a courier that another worker took spawns it there. */
static intptr_t send_partner(void *arg)
{
    struct table *table = arg;
    weft_spawn_options options = {.size = sizeof options, .pinned = true};
    int rc = weft_spawn_with(&table->partner, answer_all, table, &options);
    bench_require(table->b, rc == 0, "spawn");
    return 0;
}

/* Whoever spawned the courier does not leave its worker until another one took it. */
static void two_workers(struct bench *b)
{
    struct table table = {.b = b};
    weft_task *courier;
    bench_require(b, weft_spawn(&courier, send_partner, &table) == 0, "spawn");
    int64_t limit_ns = bench_now_ns() + WEFT_S;
    while (__atomic_load_n(&table.partner_thread, __ATOMIC_ACQUIRE) == 0 &&
           bench_now_ns() < limit_ns) {
    }
    int thread = __atomic_load_n(&table.partner_thread, __ATOMIC_ACQUIRE);
    bench_require(b, thread != 0 && thread != (int)gettid(), "no other worker took the partner");
    bench_require(b, weft_await(courier, NULL) == 0, "await");
    play(&table, table.partner);
}

/* ---- threads -------------------------------------------------------------------------------------- */

struct turn {
    pthread_mutex_t lock;
    pthread_cond_t changed[2];
    int whose;
    uint64_t times;
};

static void take_turns(struct turn *turn, int me)
{
    pthread_mutex_lock(&turn->lock);
    for (uint64_t i = 0; i < turn->times; i++) {
        while (turn->whose != me) {
            pthread_cond_wait(&turn->changed[me], &turn->lock);
        }
        turn->whose = !me;
        pthread_cond_signal(&turn->changed[!me]);
    }
    pthread_mutex_unlock(&turn->lock);
}

static void *other_thread(void *arg)
{
    take_turns(arg, 1);
    return NULL;
}

static void threads(struct bench *b)
{
    struct turn turn = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER},
                        .times = b->operations / 10 + 1};
    pthread_t thread;
    b->done = turn.times;
    bench_require(b, pthread_create(&thread, NULL, other_thread, &turn) == 0, "thread");
    bench_start(b);
    take_turns(&turn, 0);
    pthread_join(thread, NULL);
    bench_stop(b);
}

/* ---- words ---------------------------------------------------------------------------------------- */

/* Each on cache lines of its own; atomic. */
struct words {
    _Alignas(128) uint64_t ask;
    _Alignas(128) uint64_t answer;
    uint64_t times;
    cpu_set_t cpus[2]; /* one processor each */
};

/* The first two of those that this process may use. */
static bool find_two(struct words *words)
{
    cpu_set_t all;
    int found = 0;
    CPU_ZERO(&words->cpus[0]);
    CPU_ZERO(&words->cpus[1]);
    if (sched_getaffinity(0, sizeof all, &all) != 0) {
        return false;
    }
    for (size_t i = 0; i < CPU_SETSIZE && found < 2; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &words->cpus[found++]);
        }
    }
    return found == 2;
}

static void await_word(const uint64_t *word, uint64_t value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
    }
}

static void *answer_words(void *arg)
{
    struct words *words = arg;
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cpu_set_t), &words->cpus[1]);
    for (uint64_t i = 1; i <= words->times; i++) {
        await_word(&words->ask, i);
        __atomic_store_n(&words->answer, i, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* The first round trip waits for the thread to be on its processor. */
static void ask_words(struct bench *b, struct words *words)
{
    for (uint64_t i = 1; i <= words->times; i++) {
        if (i == 2) {
            bench_start(b);
        }
        __atomic_store_n(&words->ask, i, __ATOMIC_RELEASE);
        await_word(&words->answer, i);
    }
    bench_stop(b);
}

static void watched_words(struct bench *b)
{
    struct words words = {.times = b->operations + 1};
    cpu_set_t before;
    pthread_t thread;
    bool has_two = find_two(&words) && sched_getaffinity(0, sizeof before, &before) == 0;
    bench_require(b, has_two, "two processors");
    bench_require(b, pthread_create(&thread, NULL, answer_words, &words) == 0, "thread");
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cpu_set_t), &words.cpus[0]);
    ask_words(b, &words);
    pthread_join(thread, NULL);
    (void)pthread_setaffinity_np(pthread_self(), sizeof before, &before);
}

static const struct bench_case cases[] = {
    {.name = "pingpong",
     .operations = 500000,
     .body = same_worker,
     .workers = 1,
     .peers = {{.name = "threads", .body = threads}}},
    {.name = "pingpong_across",
     .operations = 50000,
     .body = two_workers,
     .workers = 2,
     .flags = BENCH_PINNED,
     .peers = {{.name = "threads", .body = threads}, {.name = "words", .body = watched_words}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "pingpong", cases, sizeof cases / sizeof *cases);
}
