// SPDX-License-Identifier: MIT
/* bench_hog.c - one task computes for half a second: who waits for it?
 *
 * What: a hundred tasks are queued behind it, a hundred timers come due meanwhile, and a byte arrives for each
 *       of a hundred fibers. Two workers: the second can do all of that; with one, everybody would wait. In
 *       microseconds:
 *       task_late   the latest start of a task
 *       timer_late  the latest end of a sleep
 *       io_late     the latest byte of those whose call the other worker made
 *       held_late   the latest byte of those whose call was made on the hog's worker: where that one has a
 *                   ring, nobody else may take what ends there
 *       And how many: held_calls were made there and told later than LATE_MS, held_counted is what the
 *       runtime says of it (weft_stats.io_held).
 */
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain.h"

enum { FOLLOWERS = 100, HOG_MS = 500, BYTE_AFTER_MS = 100, LATE_MS = 5 };

struct scene {
    struct bench *b;
    int64_t start_ns;
    int hog_thread;
    uint64_t ready; /* atomic: sleepers and readers that are about to wait */
};

struct follower {
    struct scene *scene;
    int64_t delay_ns;
    int64_t late_ns;
};

struct reader {
    struct scene *scene;
    int fds[2];
    int thread; /* that made the call */
    int64_t sent_ns;
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
    struct reader *reader = arg;
    char byte;
    reader->thread = (int)gettid();
    __atomic_add_fetch(&reader->scene->ready, 1, __ATOMIC_RELAXED);
    bench_require(reader->scene->b, weft_recv(reader->fds[1], &byte, 1, 0) == 1, "recv");
    reader->late_ns = bench_now_ns() - __atomic_load_n(&reader->sent_ns, __ATOMIC_ACQUIRE);
    return 0;
}

/* One each millisecond, from the middle of the computation on. */
static void *send_bytes(void *arg)
{
    struct reader *readers = arg;
    usleep(BYTE_AFTER_MS * 1000);
    for (int i = 0; i < FOLLOWERS; i++) {
        __atomic_store_n(&readers[i].sent_ns, bench_now_ns(), __ATOMIC_RELEASE);
        if (write(readers[i].fds[0], "", 1) != 1) {
            abort();
        }
        usleep(1000);
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

/* Sleepers and readers wait before the computation begins. */
static void set_scene(struct scene *scene, struct follower *sleepers, struct reader *readers,
                      weft_task **tasks)
{
    struct bench *b = scene->b;
    for (int i = 0; i < FOLLOWERS; i++) {
        sleepers[i] = (struct follower){.scene = scene, .delay_ns = (50 + 4 * i) * WEFT_MS};
        bench_require(b, weft_spawn(&tasks[i], sleep_through, &sleepers[i]) == 0, "spawn");
    }
    for (int i = 0; i < FOLLOWERS; i++) {
        struct reader *reader = &readers[i];
        *reader = (struct reader){.scene = scene};
        int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, reader->fds);
        bench_require(b, rc == 0, "socketpair");
        bench_require(b, weft_spawn(&tasks[FOLLOWERS + i], read_byte, reader) == 0, "spawn");
    }
    while (__atomic_load_n(&scene->ready, __ATOMIC_RELAXED) < 2 * FOLLOWERS) {
        bench_require(b, weft_yield() == 0, "yield");
    }
}

static void report_reads(const struct scene *scene, const struct reader *readers, uint64_t counted)
{
    int64_t latest_ns[2] = {0, 0}; /* elsewhere, on the hog's worker */
    double held = 0;
    for (int i = 0; i < FOLLOWERS; i++) {
        int is_here = readers[i].thread == scene->hog_thread;
        int64_t late_ns = readers[i].late_ns;
        latest_ns[is_here] = late_ns > latest_ns[is_here] ? late_ns : latest_ns[is_here];
        held += is_here && late_ns >= LATE_MS * WEFT_MS;
    }
    bench_report(scene->b, "io_late", "us", (double)latest_ns[0] / 1000);
    bench_report(scene->b, "held_late", "us", (double)latest_ns[1] / 1000);
    bench_report(scene->b, "held_calls", "calls", held);
    bench_report(scene->b, "held_counted", "calls", (double)counted);
}

static uint64_t held_so_far(struct bench *b)
{
    weft_stats_t stats = {.size = sizeof stats};
    bench_require(b, weft_stats(NULL, &stats) == 0, "stats");
    return stats.io_held;
}

static void close_all(struct reader *readers)
{
    for (int i = 0; i < FOLLOWERS; i++) {
        (void)weft_close(readers[i].fds[1]);
        close(readers[i].fds[0]);
    }
}

static void hog(struct bench *b)
{
    struct scene scene = {.b = b};
    struct follower sleepers[FOLLOWERS];
    struct follower queued[FOLLOWERS];
    static struct reader readers[FOLLOWERS];
    weft_task *waiting[2 * FOLLOWERS];
    weft_task *started[FOLLOWERS];
    pthread_t sender;
    uint64_t held_before = held_so_far(b);
    set_scene(&scene, sleepers, readers, waiting);
    bench_require(b, pthread_create(&sender, NULL, send_bytes, readers) == 0, "thread");
    scene.hog_thread = (int)gettid();
    scene.start_ns = bench_now_ns();
    for (int i = 0; i < FOLLOWERS; i++) {
        queued[i] = (struct follower){.scene = &scene};
        bench_require(b, weft_spawn(&started[i], start_late, &queued[i]) == 0, "spawn");
    }
    compute_ms(HOG_MS);
    await_all(b, started, FOLLOWERS);
    await_all(b, waiting, 2 * FOLLOWERS);
    pthread_join(sender, NULL);
    bench_report(b, "task_late", "us", latest_us(queued));
    bench_report(b, "timer_late", "us", latest_us(sleepers));
    report_reads(&scene, readers, held_so_far(b) - held_before);
    close_all(readers);
}

static const struct bench_case cases[] = {
    {.name = "hog",
     .operations = 1,
     .quick_operations = 1,
     .body = hog,
     .workers = 2,
     .reps_most = 7,
     .flags = BENCH_ONCE},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "hog", cases, sizeof cases / sizeof *cases);
}
