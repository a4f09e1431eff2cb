// SPDX-License-Identifier: MIT
/* bench_hog.c - one task computes for half a second: who waits for it?
 *
 * What: a hundred tasks are queued behind it, a hundred timers of its worker come due meanwhile, and a byte
 *       arrives for a fiber of its worker. The figures are the latest start of a task, the latest
 *       end of a sleep, and the lateness of the byte, in microseconds. Two workers: the second can
 *       do all of that; with one, everybody would wait.
 */
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain.h"

enum { FOLLOWERS = 100, HOG_MS = 500, BYTE_AFTER_MS = 100 };

struct scene {
    struct bench *b;
    int fds[2];
    int64_t start_ns;
    uint64_t ready; /* atomic: sleepers and the reader that are about to wait */
    int64_t sent_ns;
    int64_t received_ns;
};

struct follower {
    struct scene *scene;
    int64_t delay_ns;
    int64_t late_ns;
};

static intptr_t start_late(void *arg)
{
    struct follower *follower = arg;
    follower->late_ns = bench_now_ns() - follower->scene->start_ns;
    return 0;
}

static intptr_t sleep_through(void *arg)
{
    struct follower *follower = arg;
    __atomic_add_fetch(&follower->scene->ready, 1, __ATOMIC_RELAXED);
    int64_t start_ns = bench_now_ns();
    bench_require(follower->scene->b, weft_sleep(follower->delay_ns) == 0, "sleep");
    follower->late_ns = bench_now_ns() - start_ns - follower->delay_ns;
    return 0;
}

static intptr_t read_byte(void *arg)
{
    struct scene *scene = arg;
    char byte;
    __atomic_add_fetch(&scene->ready, 1, __ATOMIC_RELAXED);
    bench_require(scene->b, weft_recv(scene->fds[1], &byte, 1, 0) == 1, "recv");
    scene->received_ns = bench_now_ns();
    return 0;
}

static void *send_byte(void *arg)
{
    struct scene *scene = arg;
    usleep(BYTE_AFTER_MS * 1000);
    scene->sent_ns = bench_now_ns();
    if (write(scene->fds[0], "", 1) != 1) {
        abort();
    }
    return NULL;
}

static double latest_us(const struct follower *followers)
{
    int64_t latest_ns = 0;
    for (int i = 0; i < FOLLOWERS; i++) {
        latest_ns = followers[i].late_ns > latest_ns ? followers[i].late_ns : latest_ns;
    }
    return (double)latest_ns / 1000;
}

static void await_all(struct bench *b, weft_task **tasks, int count)
{
    for (int i = 0; i < count; i++) {
        bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
    }
}

static void compute_ms(int64_t ms)
{
    int64_t end_ns = bench_now_ns() + ms * 1000000;
    while (bench_now_ns() < end_ns) {
        bench_chain(10 * CHAIN_US);
    }
}

/* Sleepers and the reader wait at this worker before the computation begins. */
static void set_scene(struct scene *scene, struct follower *sleepers, weft_task **tasks)
{
    struct bench *b = scene->b;
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, scene->fds);
    bench_require(b, rc == 0, "socketpair");
    for (int i = 0; i < FOLLOWERS; i++) {
        sleepers[i] = (struct follower){.scene = scene, .delay_ns = (50 + 4 * i) * WEFT_MS};
        bench_require(b, weft_spawn(&tasks[i], sleep_through, &sleepers[i]) == 0, "spawn");
    }
    bench_require(b, weft_spawn(&tasks[FOLLOWERS], read_byte, scene) == 0, "spawn");
    while (__atomic_load_n(&scene->ready, __ATOMIC_RELAXED) <= FOLLOWERS) {
        bench_require(b, weft_yield() == 0, "yield");
    }
}

static void hog(struct bench *b)
{
    struct scene scene = {.b = b};
    struct follower sleepers[FOLLOWERS];
    struct follower queued[FOLLOWERS];
    weft_task *waiting[FOLLOWERS + 1];
    weft_task *started[FOLLOWERS];
    pthread_t sender;
    set_scene(&scene, sleepers, waiting);
    bench_require(b, pthread_create(&sender, NULL, send_byte, &scene) == 0, "thread");
    scene.start_ns = bench_now_ns();
    for (int i = 0; i < FOLLOWERS; i++) {
        queued[i] = (struct follower){.scene = &scene};
        bench_require(b, weft_spawn(&started[i], start_late, &queued[i]) == 0, "spawn");
    }
    compute_ms(HOG_MS);
    await_all(b, started, FOLLOWERS);
    await_all(b, waiting, FOLLOWERS + 1);
    pthread_join(sender, NULL);
    bench_report(b, "task_late", "us", latest_us(queued));
    bench_report(b, "timer_late", "us", latest_us(sleepers));
    bench_report(b, "io_late", "us", (double)(scene.received_ns - scene.sent_ns) / 1000);
    (void)weft_close(scene.fds[1]);
    close(scene.fds[0]);
}

static const struct bench_case cases[] = {
    {.name = "hog",
     .operations = 1,
     .quick_operations = 1,
     .body = hog,
     .workers = 2,
     .reps_most = 3,
     .flags = BENCH_ONCE},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "hog", cases, sizeof cases / sizeof *cases);
}
