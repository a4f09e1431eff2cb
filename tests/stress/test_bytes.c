/* SPDX-License-Identifier: MIT */
/* test_bytes.c - requests against transfers whose buffers lie in short-lived frames: no byte is lost, none comes twice,
 * and the kernel writes into no frame that is gone.
 *
 * A stream of counted bytes goes through each socket pair. Reader and writer are cancelled over and over, by
 * another task and by time limits; the reader checks the count. After each read the stack where its buffer lay is
 * filled with a pattern, which is there after a trip through the queue. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "stress.h"

enum { PAIRS = 4, TOLD = 50000, CHUNK = 300 };

struct pipe {
    int fds[2]; /* read from the first */
    uint64_t seed;
    weft_task *reader;
    weft_task *writer;
    atomic_int begun; /* reader and writer: the first request would else be their end */
    atomic_bool is_over;
    atomic_long told; /* how often the reader was */
    uint64_t written;
    uint64_t read;
};

static unsigned char byte_at(uint64_t position)
{
    return (unsigned char)(position * 7 + (position >> 8));
}

/* Whoever was told goes on as if nothing had been. */
static void forgive(void)
{
    while (weft_cancelling(weft_self()) > 0) {
        wt_check(weft_uncancel(weft_self()) >= 0);
    }
}

static __attribute__((noinline)) void check_stack(void)
{
    unsigned char frame[4 * CHUNK];

    memset(frame, 0xa5, sizeof frame);
    __asm__ __volatile__("" ::"r"(frame) : "memory");
    (void)!weft_yield();
    for (size_t i = 0; i < sizeof frame; i++) {
        if (frame[i] != 0xa5) {
            wt_check(frame[i] == 0xa5);
            return;
        }
    }
}

static __attribute__((noinline)) ssize_t read_some(struct pipe *pipe, uint64_t *random)
{
    unsigned char buffer[CHUNK];
    size_t length = 1 + draw(random) % sizeof buffer;
    int64_t limit_ns = draw(random) % 2 == 0 ? draw_us(random, 30) : WEFT_FOREVER;
    ssize_t n;

    if (draw(random) % 2 == 0) {
        n = weft_within(limit_ns, weft_recv(pipe->fds[0], buffer, length, 0));
    } else {
        n = weft_within(limit_ns, weft_read(pipe->fds[0], buffer, length));
    }
    for (ssize_t i = 0; i < n; i++) {
        if (buffer[i] != byte_at(pipe->read)) {
            wt_check(buffer[i] == byte_at(pipe->read));
            return -EIO;
        }
        pipe->read++;
    }
    return n;
}

static intptr_t read_all(void *arg)
{
    struct pipe *pipe = arg;
    uint64_t random = pipe->seed;
    ssize_t n;

    atomic_fetch_add(&pipe->begun, 1);
    do {
        n = read_some(pipe, &random);
        if (n == -ECANCELED || n == -ETIMEDOUT) {
            atomic_fetch_add(&pipe->told, 1);
        } else if (!wt_check(n > 0)) {
            break;
        }
        forgive();
        if (draw(&random) % 8 == 0) {
            check_stack();
            forgive();
        }
    } while (atomic_load(&pipe->told) < TOLD / WT_TIME_SCALE);
    atomic_store(&pipe->is_over, true);
    return 0;
}

static __attribute__((noinline)) ssize_t write_some(struct pipe *pipe, uint64_t *random)
{
    unsigned char buffer[CHUNK];
    size_t length = 1 + draw(random) % sizeof buffer;

    for (size_t i = 0; i < length; i++) {
        buffer[i] = byte_at(pipe->written + i);
    }
    ssize_t n = weft_send(pipe->fds[1], buffer, length, 0);
    pipe->written += n > 0 ? (uint64_t)n : 0;
    return n;
}

/* Now and then it lets the reader wait. */
static intptr_t write_all(void *arg)
{
    struct pipe *pipe = arg;
    uint64_t random = pipe->seed ^ 0x9e3779b97f4a7c15;

    atomic_fetch_add(&pipe->begun, 1);
    while (!atomic_load(&pipe->is_over)) {
        ssize_t n = write_some(pipe, &random);
        wt_check(n > 0 || n == -ECANCELED);
        forgive();
        if (draw(&random) % 2 == 0) {
            (void)!weft_sleep(draw_us(&random, 20));
            forgive();
        }
    }
    return 0;
}

static intptr_t cancel_both(void *arg)
{
    struct pipe *pipe = arg;
    uint64_t random = pipe->seed + 2;

    while (!atomic_load(&pipe->is_over)) {
        (void)weft_cancel(draw(&random) % 4 == 0 ? pipe->writer : pipe->reader);
        dither(&random);
        if (draw(&random) % 4 == 0) { /* so that workers fall asleep, too */
            (void)!weft_sleep(draw_us(&random, 5));
        } else {
            (void)!weft_yield();
        }
    }
    (void)weft_cancel(pipe->writer); /* nobody reads any more: it may wait for room */
    return 0;
}

static void drain(struct pipe *pipe)
{
    unsigned char buffer[CHUNK];
    ssize_t n;

    while ((n = recv(pipe->fds[0], buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            wt_check(buffer[i] == byte_at(pipe->read++));
        }
    }
    wt_check(pipe->read == pipe->written);
}

static intptr_t run_pipes(void *arg)
{
    static struct pipe pipes[PAIRS];
    weft_task *cancellers[PAIRS];
    uint64_t random = as_seed(arg);
    int room = 4096;

    memset(pipes, 0, sizeof pipes);
    for (int i = 0; i < PAIRS; i++) {
        struct pipe *pipe = &pipes[i];

        pipe->seed = draw(&random) | 1;
        wt_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe->fds) == 0);
        wt_check(setsockopt(pipe->fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
        wt_check(weft_spawn(&pipe->reader, read_all, pipe) == 0);
        wt_check(weft_spawn(&pipe->writer, write_all, pipe) == 0);
        while (atomic_load(&pipe->begun) < 2) {
            (void)!weft_yield();
        }
        wt_check(weft_spawn(&cancellers[i], cancel_both, pipe) == 0);
    }
    for (int i = 0; i < PAIRS; i++) {
        wt_check(weft_await(cancellers[i], NULL) == 0);
        wt_check(weft_await(pipes[i].reader, NULL) == 0);
        wt_check(weft_await(pipes[i].writer, NULL) == 0);
        drain(&pipes[i]);
        fprintf(stderr, "%" PRIu64 " bytes, told %ld times\n", pipes[i].read,
                atomic_load(&pipes[i].told));
        wt_check(weft_close(pipes[i].fds[0]) == 0 && weft_close(pipes[i].fds[1]) == 0);
    }
    return 0;
}

Test(stress_bytes, none_is_lost_two_workers, .timeout = 60)
{
    stress_run(2, run_pipes);
}

Test(stress_bytes, none_is_lost_eight_workers, .timeout = 60)
{
    stress_run(8, run_pipes);
}
