// SPDX-License-Identifier: MIT
/* harness_numbers.c - medians, spreads, ratios; a loop of a known length; figures from /proc. */
#include "harness_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
}

double bench_quantile(const double *sorted, size_t count, double share)
{
    if (count == 0) {
        return 0;
    }
    double at = share * (double)(count - 1);
    size_t below = (size_t)at;
    size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (at - (double)below);
}

struct spread bench_spread_of(const double *values, int count)
{
    double sorted[BENCH_MOST_REPS];
    size_t n = (size_t)count;
    memcpy(sorted, values, n * sizeof *sorted);
    bench_sort(sorted, n);
    return (struct spread){bench_quantile(sorted, n, 0), bench_quantile(sorted, n, 0.25),
                           bench_quantile(sorted, n, 0.5), bench_quantile(sorted, n, 0.75),
                           bench_quantile(sorted, n, 1)};
}

uint64_t bench_proc_bytes(const char *file, const char *field)
{
    FILE *in = fopen(file, "re");
    char line[256];
    unsigned long long kib = 0;
    size_t length = strlen(field);
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, field, length) == 0 && line[length] == ':') {
            (void)sscanf(line + length + 1, "%llu", &kib);
            break;
        }
    }
    if (in != NULL) {
        fclose(in);
    }
    return (uint64_t)kib * 1024;
}

static void spin_rounds(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        __asm__ volatile("" ::: "memory");
    }
}

static double rounds_per_ns;

/* The best of several, so that a preemption does not count. */
void bench_calibrate_spin(void)
{
    enum { ROUNDS = 200000, TRIES = 50 };
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        int64_t start_ns = bench_now_ns();
        spin_rounds(ROUNDS);
        int64_t took_ns = bench_now_ns() - start_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    rounds_per_ns = (double)ROUNDS / (double)best_ns;
}

void bench_spin(int64_t ns)
{
    spin_rounds((uint64_t)((double)ns * rounds_per_ns));
}

const struct series *bench_find_series(const struct side *side, const char *name)
{
    for (int i = 0; i < side->series_count; i++) {
        if (strcmp(side->series[i].name, name) == 0) {
            return &side->series[i];
        }
    }
    return NULL;
}

/* ours / theirs, repetition by repetition. */
bool bench_ratio_of(const struct series *ours, const struct series *theirs, struct spread *out)
{
    double ratios[BENCH_MOST_REPS];
    int count = ours->count < theirs->count ? ours->count : theirs->count;
    for (int i = 0; i < count; i++) {
        if (!(theirs->values[i] > 0)) {
            return false;
        }
        ratios[i] = ours->values[i] / theirs->values[i];
    }
    if (count > 0) {
        *out = bench_spread_of(ratios, count);
    }
    return count > 0;
}
