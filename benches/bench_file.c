// SPDX-License-Identifier: MIT
/* bench_file.c - reading files: 4 KiB at random places of a file that is in the page cache, 64 at a time.
 *
 * What: processor time of each read, of all threads of the process: throughput per processor second is its
 *       inverse. `wall` is the time that passes.
 * Peers: one thread that reads with pread(2), which is the floor; libuv, whose reads are done by a pool of
 *       threads.
 */
#include "harness.h"

#include <sys/resource.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEPTH = 64, BLOCK = 4096, BLOCKS = 16384 };

static int64_t processor_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * WEFT_S +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * WEFT_US;
}

/* A file without a name, all of it in the cache. */
static int make_file(struct bench *b)
{
    static char block[BLOCK];
    char path[] = "/tmp/weft_bench_XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    bench_require(b, fd >= 0 && unlink(path) == 0, "a file in /tmp");
    for (int i = 0; i < BLOCKS; i++) {
        block[0] = (char)i;
        bench_require(b, write(fd, block, BLOCK) == BLOCK, "write");
    }
    return fd;
}

static off_t place(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (off_t)(*seed >> 33) % BLOCKS * BLOCK;
}

struct reader {
    struct bench *b;
    int fd;
    uint64_t seed;
    uint64_t operations;
};

static intptr_t read_blocks(void *arg)
{
    struct reader *reader = arg;
    char block[BLOCK];
    for (uint64_t i = 0; i < reader->operations; i++) {
        off_t at = place(&reader->seed);
        bench_require(reader->b, weft_pread(reader->fd, block, BLOCK, at) == BLOCK, "read");
        bench_require(reader->b, block[0] == (char)(at / BLOCK), "what was written");
    }
    return 0;
}

static void report(struct bench *b, int64_t began_ns)
{
    double operations = (double)b->operations;
    bench_report(b, "", "cpu ns/op", (double)(processor_ns() - began_ns) / operations);
    bench_report(b, "wall", "ns/op", (double)b->elapsed_ns / operations);
}

static void file_read(struct bench *b)
{
    struct reader readers[DEPTH];
    weft_task *tasks[DEPTH];
    int fd = make_file(b);
    for (uint64_t i = 0; i < DEPTH; i++) {
        readers[i] = (struct reader){b, fd, i, b->operations / DEPTH};
    }
    int64_t began_ns = processor_ns();
    bench_start(b);
    for (int i = 0; i < DEPTH; i++) {
        bench_require(b, weft_spawn(&tasks[i], read_blocks, &readers[i]) == 0, "spawn");
    }
    for (int i = 0; i < DEPTH; i++) {
        bench_require(b, weft_await(tasks[i], NULL) == 0, "await");
    }
    bench_stop(b);
    report(b, began_ns);
    close(fd);
}

static void pread_loop(struct bench *b)
{
    char block[BLOCK];
    uint64_t seed = 1;
    int fd = make_file(b);
    int64_t began_ns = processor_ns();
    bench_start(b);
    for (uint64_t i = 0; i < b->operations; i++) {
        off_t at = place(&seed);
        bench_require(b, pread(fd, block, BLOCK, at) == BLOCK, "read");
        bench_require(b, block[0] == (char)(at / BLOCK), "what was written");
    }
    bench_stop(b);
    report(b, began_ns);
    close(fd);
}

static const struct bench_case cases[] = {
    {.name = "file_read",
     .operations = 640000,
     .body = file_read,
     .workers = 1,
     .flags = BENCH_ISOLATED,
     .peers = {{.name = "pread", .body = pread_loop}}},
};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "file", cases, sizeof cases / sizeof cases[0]);
}
