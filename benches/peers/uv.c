// SPDX-License-Identifier: MIT
/* uv.c - the libuv peer: peer_uv CASE [OPERATIONS [WORKERS]] prints lines "CASE NUMBER"; see
 * ../README.md. Timers, files, and a server; a loop has one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

static void never(uv_timer_t *timer)
{
    (void)timer;
}

static void arm_cancel(const char *name, long n)
{
    uv_timer_t timer;
    uv_timer_init(uv_default_loop(), &timer);
    uint64_t start_ns = 0;
    for (long i = -n / 10; i < n; i++) {
        if (i == 0) {
            start_ns = uv_hrtime();
        }
        uv_timer_start(&timer, never, 30000, 0);
        uv_timer_stop(&timer);
    }
    printf("%s %f\n", name, (double)(uv_hrtime() - start_ns) / (double)n);
}

static void arm_crowd(void)
{
    const uint64_t count = 1000000;
    uv_timer_t *crowd = calloc(count, sizeof *crowd);
    for (uint64_t i = 0; crowd != NULL && i < count; i++) {
        uv_timer_init(uv_default_loop(), &crowd[i]);
        uv_timer_start(&crowd[i], never, 3600000 + i / 200 * 7 + i % 200 * 13000, 0);
    }
}

struct sleeper {
    uv_timer_t timer;
    uint64_t start_ns;
    uint64_t delay_us;
    double late_us;
};

static void wake(uv_timer_t *timer)
{
    struct sleeper *sleeper = timer->data;
    sleeper->late_us =
        (double)(uv_hrtime() - sleeper->start_ns) / 1000 - (double)sleeper->delay_us;
}

static int compare(const void *a, const void *b)
{
    const struct sleeper *x = a;
    const struct sleeper *y = b;
    return (x->late_us > y->late_us) - (x->late_us < y->late_us);
}

static double processor_us(void)
{
    uv_rusage_t use;
    uv_getrusage(&use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* Its timers count whole milliseconds from the time that the loop last saw: delays are rounded up, and
 * the time is brought up to date first. */
static void lateness(long n)
{
    struct sleeper *sleepers = calloc((size_t)n, sizeof *sleepers);
    long early = 0;
    double before_us = processor_us();
    for (long i = 0; i < n; i++) {
        uint64_t delay_us = 1000 + (uint64_t)i * 7919 % 10007 * 999000 / 10007;
        sleepers[i].delay_us = (delay_us + 999) / 1000 * 1000;
        uv_timer_init(uv_default_loop(), &sleepers[i].timer);
        sleepers[i].timer.data = &sleepers[i];
        uv_update_time(uv_default_loop());
        sleepers[i].start_ns = uv_hrtime();
        uv_timer_start(&sleepers[i].timer, wake, sleepers[i].delay_us / 1000, 0);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    printf("lateness.cpu %f\n", (processor_us() - before_us) / (double)n);
    qsort(sleepers, (size_t)n, sizeof *sleepers, compare);
    while (early < n && sleepers[early].late_us < 0) {
        early++;
    }
    printf("lateness.p50 %f\nlateness.p99 %f\n", sleepers[n / 2].late_us,
           sleepers[n * 99 / 100].late_us);
    printf("lateness.max %f\nlateness.early %ld\n", sleepers[n - 1].late_us, early);
}

/* ---- files: as many reads at a time as bench_file has ---- */

enum { DEPTH = 64, BLOCK = 4096, BLOCKS = 16384 };

struct file_reader {
    uv_fs_t request;
    uint64_t seed;
    long left;
    char block[BLOCK];
};

static int file;

static void read_next(struct file_reader *reader);

static void was_read(uv_fs_t *request)
{
    struct file_reader *reader = request->data;
    if (request->result != BLOCK) {
        abort();
    }
    uv_fs_req_cleanup(request);
    read_next(reader);
}

static void read_next(struct file_reader *reader)
{
    if (reader->left-- == 0) {
        return;
    }
    reader->seed = reader->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    int64_t at = (int64_t)(reader->seed >> 33) % BLOCKS * BLOCK;
    uv_buf_t buffer = uv_buf_init(reader->block, BLOCK);
    uv_fs_read(uv_default_loop(), &reader->request, file, &buffer, 1, at, was_read);
}

static void fill_file(void)
{
    static char block[BLOCK];
    char path[] = "/tmp/weft_peer_XXXXXX";
    file = mkstemp(path);
    if (file < 0 || unlink(path) != 0) {
        exit(77);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (write(file, block, BLOCK) != BLOCK) {
            exit(77);
        }
    }
}

static double processor_ns(void)
{
    uv_rusage_t usage;
    uv_getrusage(&usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static void run_readers(struct file_reader *readers, long n)
{
    for (int i = 0; i < DEPTH; i++) {
        readers[i].request.data = &readers[i];
        readers[i].seed = (uint64_t)i;
        readers[i].left = n / DEPTH;
        read_next(&readers[i]);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

/* Processor time of all threads, which is what the case is about; the time that passed beside it. */
static void file_read(long n)
{
    static struct file_reader readers[DEPTH];
    fill_file();
    run_readers(readers, n / 10);
    double began = processor_ns();
    uint64_t start_ns = uv_hrtime();
    run_readers(readers, n);
    printf("file_read %f\n", (processor_ns() - began) / (double)n);
    printf("file_read.wall %f\n", (double)(uv_hrtime() - start_ns) / (double)n);
}

/* ---- a server that sends back what comes: an answer is tried at once, the rest of it is queued ---- */

struct connection {
    uv_tcp_t socket;
    uv_write_t request; /* nothing is read while it is under way */
    char buffer[1024];
};

static void allocate(uv_handle_t *socket, size_t hint, uv_buf_t *buffer)
{
    struct connection *c = socket->data;
    (void)hint;
    *buffer = uv_buf_init(c->buffer, sizeof c->buffer);
}

static void was_closed(uv_handle_t *socket)
{
    free(socket->data);
}

static void came(uv_stream_t *socket, ssize_t n, const uv_buf_t *buffer);

static void was_written(uv_write_t *request, int status)
{
    uv_stream_t *socket = request->handle;
    if (status != 0 || uv_read_start(socket, allocate, came) != 0) {
        uv_close((uv_handle_t *)socket, was_closed);
    }
}

static void write_rest(struct connection *c, uv_buf_t rest)
{
    uv_stream_t *socket = (uv_stream_t *)&c->socket;
    uv_read_stop(socket);
    if (uv_write(&c->request, socket, &rest, 1, was_written) != 0) {
        uv_close((uv_handle_t *)socket, was_closed);
    }
}

static void came(uv_stream_t *socket, ssize_t n, const uv_buf_t *buffer)
{
    if (n < 0) {
        uv_close((uv_handle_t *)socket, was_closed);
    } else if (n > 0) {
        uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)n);
        int sent = uv_try_write(socket, &answer, 1);
        sent = sent < 0 ? 0 : sent; /* what is wrong, uv_write finds too */
        if (sent < n) {
            write_rest(socket->data, uv_buf_init(buffer->base + sent, (unsigned)(n - sent)));
        }
    }
}

static void was_connected(uv_stream_t *listener, int status)
{
    struct connection *c = status == 0 ? malloc(sizeof *c) : NULL;
    if (c == NULL) {
        return;
    }
    uv_tcp_init(listener->loop, &c->socket);
    c->socket.data = c;
    uv_stream_t *socket = (uv_stream_t *)&c->socket;
    if (uv_accept(listener, socket) != 0 || uv_tcp_nodelay(&c->socket, 1) != 0 ||
        uv_read_start(socket, allocate, came) != 0) {
        uv_close((uv_handle_t *)socket, was_closed);
    }
}

/* Of a listening socket that was inherited; for ever. */
static int echo_serve(int descriptor)
{
    uv_tcp_t listener;
    uv_tcp_init(uv_default_loop(), &listener);
    int rc = uv_tcp_open(&listener, descriptor);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)&listener, 4096, was_connected);
    if (rc == 0) {
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    }
    fprintf(stderr, "peer_uv: echo_serve: %s\n", rc != 0 ? uv_strerror(rc) : "ended");
    return 1;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    long n = argc > 2 ? atol(argv[2]) : 10000;
    if (argc < 2) {
        puts("timer_arm_cancel 1\ntimer_arm_cancel_million 1\nlateness 1\nfile_read 1\n"
             "echo_serve 1");
        return 0;
    }
    if (argc > 3 && atol(argv[3]) > 1) {
        return 77;
    }
    if (strcmp(name, "timer_arm_cancel") == 0) {
        arm_cancel(name, n);
    } else if (strcmp(name, "timer_arm_cancel_million") == 0) {
        arm_crowd();
        arm_cancel(name, n);
    } else if (strcmp(name, "file_read") == 0) {
        file_read(n);
    } else if (strcmp(name, "lateness") == 0) {
        lateness(n);
    } else if (strcmp(name, "echo_serve") == 0) {
        return echo_serve((int)n);
    } else {
        return 77;
    }
    return 0;
}
