/* SPDX-License-Identifier: MIT */
/* test_stream_sides.c - who is inside a stream: sides that one task has had for itself, and others that come.
 *
 * The bytes come from a transport in memory, so that nearly all calls are over in nanoseconds and meet. Each round
 * is a stream of its own, for a side that was taken away from its task once is nobody's from then on. */
#include <weft/mutex.h>
#include <weft/stream.h>
#include <weft/time.h>

#include "stress.h"

enum { OWN = 80, SOME = 4096 }; /* calls after which a side is the task's */

struct store {
    uint32_t next;     /* the number that is read next */
    uint64_t written;  /* bytes */
    bool is_released;  /* plain on purpose: the last one to leave comes after all others */
    atomic_int *ended; /* how many were released */
};

static ssize_t give_numbers(void *context, void *buffer, size_t length)
{
    struct store *store = context;
    size_t count = length / sizeof store->next;
    for (size_t i = 0; i < count; i++) {
        memcpy((char *)buffer + i * sizeof store->next, &store->next, sizeof store->next);
        store->next++;
    }
    return wt_check(count > 0 && !store->is_released) ? (ssize_t)(count * sizeof store->next)
                                                      : -EIO;
}

static ssize_t take_bytes(void *context, const void *bytes, size_t length)
{
    struct store *store = context;
    (void)bytes;
    store->written += length;
    return wt_check(!store->is_released) ? (ssize_t)length : -EIO;
}

static void let_go(void *context)
{
    struct store *store = context;
    atomic_int *ended = store->ended;
    store->is_released = true;
    memset(store, 0x5a, sizeof *store);
    free(store);
    atomic_fetch_add(ended, 1);
}

static const weft_transport numbers = {
    .read = give_numbers, .write = take_bytes, .release = let_go};

static void open_numbers(weft_stream *stream, atomic_int *ended)
{
    struct store *store = calloc(1, sizeof *store);
    static const weft_stream_options small = {.read_bytes = SOME, .write_bytes = 64};
    store->ended = ended;
    wt_check(weft_stream_open_on(stream, &numbers, store, &small) == 0);
}

/* ---- closed at any moment ---- */

struct user {
    weft_stream stream;
    atomic_int ended;
    uint64_t seed;
};

static intptr_t read_until_closed(void *arg)
{
    struct user *user = arg;
    uint32_t before = 0;
    uint32_t number = 0;
    ssize_t n = 0;
    for (int i = 0; n != -EBADF; i++) {
        n = weft_stream_read_exactly(&user->stream, &number, sizeof number);
        if (n == -EBUSY) {
            wt_check(weft_yield() == 0);
        } else if (n > 0) {
            wt_check(i == 0 || number >= before); /* in their order, however many others take */
            before = number;
        } else if (!wt_check(n == -EBADF)) {
            break;
        }
    }
    return 0;
}

static intptr_t write_until_closed(void *arg)
{
    struct user *user = arg;
    int rc;
    do {
        rc = weft_stream_write(&user->stream, "0123456789", 10);
    } while (rc == 0);
    return wt_check(rc == -EBADF) ? 0 : rc;
}

/* Does not wait for others, who may be inside: takes a number where it can. */
static intptr_t read_now_and_then(void *arg)
{
    struct user *user = arg;
    uint64_t random = user->seed;
    uint32_t number = 0;
    ssize_t n = 0;
    for (int i = 0; i < 4 && n != -EBADF; i++) {
        dither(&random);
        n = weft_stream_read_exactly(&user->stream, &number, sizeof number);
        wt_check(n > 0 || n == -EBUSY || n == -EBADF);
    }
    return 0;
}

static void close_one(uint64_t *random)
{
    struct user *user = calloc(1, sizeof *user);
    weft_task *tasks[3];
    user->seed = draw(random) | 1;
    open_numbers(&user->stream, &user->ended);
    wt_check(weft_spawn(&tasks[0], read_until_closed, user) == 0);
    wt_check(weft_spawn(&tasks[1], write_until_closed, user) == 0);
    wt_check(weft_spawn(&tasks[2], read_now_and_then, user) == 0);
    int rc = draw(random) % 2 == 0 ? weft_sleep(draw_us(random, 60)) : weft_yield();
    wt_check(rc == 0);
    weft_stream_close(&user->stream);
    for (int i = 0; i < 3; i++) {
        wt_check(weft_await(tasks[i], NULL) == 0);
    }
    wt_check(atomic_load(&user->ended) == 1);
    free(user);
}

static intptr_t close_many(void *arg)
{
    uint64_t random = as_seed(arg);
    for (int i = 0; i < STRESS_COUNT(2000); i++) {
        close_one(&random);
    }
    return 0;
}

STRESS_TEST(stream_sides, are_closed_at_any_moment, close_many);

/* ---- handed on in turns ---- */

struct turns {
    weft_stream stream;
    weft_mutex lock;
    uint32_t next; /* under the lock */
    atomic_int ended;
};

/* Some numbers in a row: often enough to make the side one's own, or not. */
static void take_turn(struct turns *turns, uint64_t *random)
{
    uint64_t count = draw(random) % (2 * OWN);
    wt_check(weft_mutex_lock(&turns->lock) == 0);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t number = 0;
        ssize_t n = weft_stream_read_exactly(&turns->stream, &number, sizeof number);
        if (!wt_check(n == sizeof number && number == turns->next++)) {
            break;
        }
    }
    wt_check(weft_mutex_unlock(&turns->lock) == 0);
}

static intptr_t take_turns(void *arg)
{
    struct turns *turns = arg;
    uint64_t random = as_seed(arg);
    for (int i = 0; i < 8; i++) {
        take_turn(turns, &random);
        wt_check(weft_yield() == 0);
    }
    return 0;
}

/* Under a lock nobody is ever told that somebody is inside, and no number is given twice or left out. */
static intptr_t hand_on(void *arg)
{
    enum { TASKS = 4 };
    (void)arg;
    for (int i = 0; i < STRESS_COUNT(2000); i++) {
        struct turns turns = {.lock = WEFT_MUTEX_INIT};
        weft_task *tasks[TASKS];
        open_numbers(&turns.stream, &turns.ended);
        for (int j = 0; j < TASKS; j++) {
            wt_check(weft_spawn(&tasks[j], take_turns, &turns) == 0);
        }
        for (int j = 0; j < TASKS; j++) {
            wt_check(weft_await(tasks[j], NULL) == 0);
        }
        weft_stream_close(&turns.stream);
        wt_check(atomic_load(&turns.ended) == 1);
    }
    return 0;
}

STRESS_TEST(stream_sides, are_handed_on, hand_on);

/* ---- two at once ---- */

/* A thread that is no worker skips a byte of the stream whenever a round begins. */
struct rival {
    weft_stream *stream; /* before the round */
    atomic_uint begun;   /* rounds */
    atomic_uint done;
    int rc;
};

static void await_count(atomic_uint *count, unsigned least)
{
    for (int i = 0; atomic_load(count) < least; i++) {
        if (i > 1000) {
            sched_yield();
        }
    }
}

enum { ROUNDS = STRESS_COUNT(20000) };

static void *skip_each_round(void *arg)
{
    struct rival *rival = arg;
    uint64_t random = 77;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        await_count(&rival->begun, round);
        dither(&random);
        rival->rc = weft_stream_skip(rival->stream, 1);
        atomic_store(&rival->done, round);
    }
    return NULL;
}

/* How many of that many calls were not refused. */
static size_t skip_often(weft_stream *stream, uint64_t calls)
{
    size_t skipped = 0;
    for (uint64_t i = 0; i < calls; i++) {
        int rc = weft_stream_skip(stream, 1);
        wt_check(rc == 0 || rc == -EBUSY);
        skipped += rc == 0 ? 1 : 0;
    }
    return skipped;
}

/* The side has become this task's. Of two calls at the same time one, at least, is not refused; nor do two of many
 * go through at once, which would skip one byte for both. */
static void meet(struct rival *rival, unsigned round, uint64_t *random)
{
    weft_stream stream;
    atomic_int ended = 0;
    const void *bytes;
    open_numbers(&stream, &ended);
    wt_check(weft_stream_peek(&stream, 1, &bytes) == SOME);
    for (int i = 0; i < OWN; i++) {
        wt_check(weft_stream_skip(&stream, 0) == 0);
    }
    rival->stream = &stream;
    atomic_store(&rival->begun, round);
    if (round % 4 == 0) {
        dither(random);
    }
    size_t skipped = skip_often(&stream, round % 4 == 0 ? 1 : 1 + draw(random) % 1000);
    await_count(&rival->done, round);
    wt_check(rival->rc == 0 || rival->rc == -EBUSY);
    skipped += rival->rc == 0 ? 1 : 0;
    wt_check(skipped > 0 && weft_stream_buffered(&stream) == SOME - skipped);
    wt_check(weft_stream_skip(&stream, 1) == 0);
    weft_stream_close(&stream);
    wt_check(atomic_load(&ended) == 1);
}

static intptr_t meet_often(void *arg)
{
    struct rival rival = {0};
    uint64_t random = as_seed(arg);
    pthread_t thread;
    wt_check(pthread_create(&thread, NULL, skip_each_round, &rival) == 0);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        meet(&rival, round, &random);
    }
    wt_check(pthread_join(thread, NULL) == 0);
    return 0;
}

STRESS_TEST(stream_sides, meet_and_one_goes_through, meet_often);
