// SPDX-License-Identifier: MIT
/* harness_table.c - the report for people. */
#include "harness_inside.h"

#include <math.h>
#include <stdio.h>

static void print_number(double value)
{
    int decimals = fabs(value) < 10 ? 2 : fabs(value) < 1000 ? 1 : 0;
    fprintf(bench_run.table, " %11.*f", decimals, value);
}

static void print_line(const char *label, const struct side *side, const struct series *series,
                       const struct series *ours)
{
    struct spread s = bench_spread_of(series->values, series->count);
    struct spread ratio;
    fprintf(bench_run.table, "%-34s %3d %-7s", label, side->workers, series->unit);
    print_number(s.min);
    print_number(s.p25);
    print_number(s.median);
    print_number(s.p75);
    print_number(s.max);
    if (ours != NULL && bench_ratio_of(ours, series, &ratio)) {
        fprintf(bench_run.table, "  %.3g [%.3g %.3g]", ratio.median, ratio.p25, ratio.p75);
    }
    fputc('\n', bench_run.table);
}

void bench_print_row(const struct row *row)
{
    const struct side *ours = &row->sides[0];
    char label[128];
    for (int i = 0; i < ours->series_count; i++) {
        const struct series *series = &ours->series[i];
        snprintf(label, sizeof label, "%s%s%s", row->what->name, *series->name ? "." : "",
                 series->name);
        print_line(label, ours, series, NULL);
        for (int j = 1; j < row->side_count; j++) {
            const struct series *theirs = bench_find_series(&row->sides[j], series->name);
            if (theirs != NULL && theirs->count > 0) {
                snprintf(label, sizeof label, "    %s", row->sides[j].name);
                print_line(label, &row->sides[j], theirs, series);
            }
        }
    }
    fflush(bench_run.table);
}

void bench_print_head(void)
{
    fprintf(bench_run.table, "bench_%s: %d repetitions%s%s\n", bench_run.bench, bench_run.reps,
            bench_run.is_quick ? ", quick" : "", bench_run.is_pinned ? ", pinned" : "");
    fprintf(bench_run.table, "%-34s %3s %-7s %11s %11s %11s %11s %11s  %s\n", "case", "wrk", "unit",
            "min", "p25", "median", "p75", "max", "weft/peer [p25 p75]");
}
