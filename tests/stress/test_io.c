/* SPDX-License-Identifier: MIT */
/* test_io.c - transfers that complete while their task is cancelled, twice (X21).
 *
 * A read returns what it has read, and the requests are told at the next await point, once; or it returns
 * -ECANCELED, and what was written is there for the next read. */
#include <sys/socket.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/time.h>

#include "stress.h"

enum { PAIRS = 4 };

struct pair {
    int fds[2];
    uint64_t seed;
    weft_task *reader;
    atomic_int asked;  /* round that the reader is in, negative when it is over */
    atomic_int served; /* round in which a byte was written and the reader cancelled twice */
};

static atomic_long completed, cancelled;

/* Waits on its worker, without an await point. */
static void spin_until(atomic_int *at, int round)
{
    while (atomic_load(at) != round) {
        sched_yield();
    }
}

static void read_again(int fd, unsigned char expected)
{
    unsigned char byte = 0;

    wt_check(weft_read(fd, &byte, 1) == 1 && byte == expected);
}

static void read_once(struct pair *pair, int round)
{
    unsigned char byte = 0;
    int told = 0;
    ssize_t rc;

    atomic_store(&pair->asked, round);
    rc = weft_read(pair->fds[0], &byte, 1);
    spin_until(&pair->served, round);
    while (weft_checkpoint() == -ECANCELED) {
        told++;
    }
    if (rc == 1) {
        wt_check(byte == (unsigned char)round && told == 1);
        atomic_fetch_add(&completed, 1);
    } else {
        wt_check(rc == -ECANCELED && told <= 1);
        atomic_fetch_add(&cancelled, 1);
        read_again(pair->fds[0], (unsigned char)round);
    }
    wt_check(weft_cancelling(weft_self()) == 2);
    wt_check(weft_uncancel(weft_self()) == 1 && weft_uncancel(weft_self()) == 0);
}

/* On a busy machine it may take longer until both have happened. */
static bool has_seen_enough(int64_t start_ns)
{
    int64_t took_ns = wf_monotonic_ns() - start_ns;
    bool has_both = atomic_load(&completed) > 0 && atomic_load(&cancelled) > 0;

    return took_ns > (has_both ? 700 * WEFT_MS : 20 * WEFT_S);
}

static intptr_t read_all(void *arg)
{
    struct pair *pair = arg;
    int64_t start_ns = wf_monotonic_ns();

    for (int round = 1; !has_seen_enough(start_ns); round++) {
        read_once(pair, round);
    }
    atomic_store(&pair->asked, -1);
    return 0;
}

static void *serve(void *arg)
{
    struct pair *pair = arg;
    uint64_t random = pair->seed;

    for (int round = 1, asked; (asked = atomic_load(&pair->asked)) >= 0;) {
        unsigned char byte = (unsigned char)round;
        uint64_t when = draw(&random) % 3; /* of the two requests, how many come before the byte */

        if (asked != round) {
            sched_yield();
            continue;
        }
        dither(&random);
        for (uint64_t i = 0; i < 3; i++) {
            wt_check(i == when ? write(pair->fds[1], &byte, 1) == 1
                               : weft_cancel(pair->reader) == 1);
            dither(&random);
        }
        atomic_store(&pair->served, round++);
    }
    return NULL;
}

static void run_pairs(int workers)
{
    const weft_options options = {.workers = workers, .diagnostic = ignore};
    static struct pair pairs[PAIRS];
    uint64_t random = wt_seed() | 1;
    pthread_t threads[PAIRS];
    weft_runtime *runtime;
    int count = workers < PAIRS ? 1 : PAIRS;

    memset(pairs, 0, sizeof pairs);
    cr_assert_eq(weft_runtime_start(&runtime, &options), 0);
    for (int i = 0; i < count; i++) {
        struct pair *pair = &pairs[i];

        pair->seed = draw(&random) | 1;
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fds), 0);
        cr_assert_eq(weft_runtime_submit(runtime, &pair->reader, read_all, pair, NULL), 0);
        cr_assert_eq(pthread_create(&threads[i], NULL, serve, pair), 0);
    }
    for (int i = 0; i < count; i++) {
        cr_assert_eq(weft_thread_join(pairs[i].reader, WEFT_FOREVER, NULL), 0);
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        weft_drop(pairs[i].reader);
        cr_assert(weft_close(pairs[i].fds[0]) == 0 && weft_close(pairs[i].fds[1]) == 0);
    }
    cr_assert_eq(weft_runtime_stop(runtime), 0);
    wt_assert_clean();
    fprintf(stderr, "%ld completed, %ld cancelled\n", atomic_load(&completed),
            atomic_load(&cancelled));
    cr_assert(atomic_load(&completed) > 0 && atomic_load(&cancelled) > 0);
}

Test(io, completes_or_is_cancelled_two_workers, .timeout = 30)
{
    run_pairs(2);
}

Test(io, completes_or_is_cancelled_eight_workers, .timeout = 30)
{
    run_pairs(8);
}
