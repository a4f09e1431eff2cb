// SPDX-License-Identifier: MIT
/* bench_idle.c - what waiting costs, and how fast it ends.
 *
 * What: cpu   eight workers wait for one timer, ten seconds away (--set seconds=N): processor time
 *             that the whole process uses meanwhile.
 *       wake  a plain thread writes a byte into a socket pair while everything sleeps: the time
 *             until the fiber that waits for it has it. The peer is a thread in epoll_wait.
 *             The writer, which often shares its processor with the reader, then blocks until that has the
 *             byte. By usleep it would set a timer first, 8 us in a virtual machine, unless the
 *             kernel lets the reader go first: which it does or not by who has run for longer lately.
 */
#include "harness.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static double processor_ms(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000 +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1000;
}

/* A moment first, in which the workers find that there is nothing to do. */
static void idle_cpu(struct bench *b)
{
    double seconds = bench_setting("seconds", b->is_quick ? 1 : 10);
    bench_require(b, weft_sleep(100 * WEFT_MS) == 0, "sleep");
    double before_ms = processor_ms();
    bench_require(b, weft_sleep((int64_t)(seconds * 1e9)) == 0, "sleep");
    bench_report(b, "", "cpu ms", processor_ms() - before_ms);
    bench_report(b, "seconds", "s", seconds);
}

/* ---- waking ------------------------------------------------------------------------------------------- */

/* One byte at a time, after a pause in which the other side has gone to sleep again. */
struct post {
    struct bench *b;
    int fds[2]; /* [0] is written, [1] is read */
    pthread_t thread;
    int64_t sent_ns;   /* before the write, after which the reader reads it */
    uint32_t received; /* atomic, a futex: messages that the reader has taken */
    double *late_us;
};

static void await_reader(struct post *post, uint32_t count)
{
    uint32_t seen;
    while ((seen = __atomic_load_n(&post->received, __ATOMIC_ACQUIRE)) < count) {
        (void)syscall(SYS_futex, &post->received, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
}

static void *write_all(void *arg)
{
    struct post *post = arg;
    for (uint32_t i = 0; i < post->b->operations; i++) {
        await_reader(post, i);
        usleep(1000);
        __atomic_store_n(&post->sent_ns, bench_now_ns(), __ATOMIC_RELEASE);
        if (write(post->fds[0], "", 1) != 1) {
            abort();
        }
    }
    return NULL;
}

static void note_arrival(struct post *post)
{
    int64_t sent_ns = __atomic_load_n(&post->sent_ns, __ATOMIC_ACQUIRE);
    post->late_us[post->received] = (double)(bench_now_ns() - sent_ns) / 1000;
    __atomic_add_fetch(&post->received, 1, __ATOMIC_RELEASE);
    (void)syscall(SYS_futex, &post->received, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void open_post(struct post *post, struct bench *b)
{
    *post = (struct post){.b = b, .late_us = calloc(b->operations, sizeof(double))};
    bench_require(b, post->late_us != NULL, "memory");
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, post->fds);
    bench_require(b, rc == 0, "socketpair");
    rc = pthread_create(&post->thread, NULL, write_all, post);
    bench_require(b, rc == 0, "thread");
}

static void close_post(struct post *post)
{
    size_t count = post->b->operations;
    pthread_join(post->thread, NULL);
    bench_sort(post->late_us, count);
    bench_report(post->b, "p50", "us", bench_quantile(post->late_us, count, 0.5));
    bench_report(post->b, "p99", "us", bench_quantile(post->late_us, count, 0.99));
    free(post->late_us);
}

static void idle_wake(struct bench *b)
{
    struct post post;
    char byte;
    open_post(&post, b);
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, weft_recv(post.fds[1], &byte, 1, 0) == 1, "recv");
        note_arrival(&post);
    }
    close_post(&post);
    (void)weft_close(post.fds[1]);
    close(post.fds[0]);
}

/* What this thread's last ring left to the kernel may interrupt it. */
static bool await_one(int epoll)
{
    struct epoll_event event;
    int count;
    do {
        count = epoll_wait(epoll, &event, 1, -1);
    } while (count < 0 && errno == EINTR);
    return count == 1;
}

static void epoll_loop(struct bench *b)
{
    struct post post;
    char byte;
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    open_post(&post, b);
    bench_require(b, epoll_ctl(epoll, EPOLL_CTL_ADD, post.fds[1], &event) == 0, "epoll_ctl");
    for (uint64_t i = 0; i < b->operations; i++) {
        bench_require(b, await_one(epoll), "epoll_wait");
        bench_require(b, recv(post.fds[1], &byte, 1, 0) == 1, "recv");
        note_arrival(&post);
    }
    close_post(&post);
    close(post.fds[0]);
    close(post.fds[1]);
    close(epoll);
}

static const struct bench_case cases[] = {
    {.name = "idle_cpu",
     .operations = 1,
     .quick_operations = 1,
     .body = idle_cpu,
     .workers = 8,
     .reps_most = 1,
     .flags = BENCH_ISOLATED | BENCH_ONCE},
    {.name = "idle_wake",
     .operations = 500,
     .quick_operations = 100,
     .body = idle_wake,
     .reps_most = 5,
     .peers = {{.name = "epoll", .body = epoll_loop}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "idle", cases, sizeof cases / sizeof *cases);
}
