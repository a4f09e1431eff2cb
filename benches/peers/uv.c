// SPDX-License-Identifier: MIT
/* uv.c - the libuv peer: peer_uv CASE [OPERATIONS [WORKERS]] prints lines "CASE NUMBER"; see
 * ../README.md. Timers only; a loop has one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    long n = argc > 2 ? atol(argv[2]) : 10000;
    if (argc > 3 && atol(argv[3]) > 1) {
        return 77;
    }
    if (strcmp(name, "timer_arm_cancel") == 0) {
        arm_cancel(name, n);
    } else if (strcmp(name, "timer_arm_cancel_million") == 0) {
        arm_crowd();
        arm_cancel(name, n);
    } else if (strcmp(name, "lateness") == 0) {
        lateness(n);
    } else {
        return 77;
    }
    return 0;
}
