// SPDX-License-Identifier: MIT
/* harness_json.c - the report for programs. */
#include "harness_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static void json_string(const char *text)
{
    fputc('"', bench_run.out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', bench_run.out);
        }
        fputc((unsigned char)*text < ' ' ? ' ' : *text, bench_run.out);
    }
    fputc('"', bench_run.out);
}

static void json_spread(const char *name, struct spread s)
{
    fprintf(bench_run.out,
            "\"%s\":{\"min\":%.6g,\"p25\":%.6g,\"median\":%.6g,\"p75\":%.6g,\"max\":%.6g}", name,
            s.min, s.p25, s.median, s.p75, s.max);
}

/* `number` tells rows apart. */
static void json_series(int number, const struct row *row, const struct side *side,
                        const struct series *series, bool is_first)
{
    struct spread ratio;
    const struct series *ours = bench_find_series(&row->sides[0], series->name);
    fprintf(bench_run.out,
            "%s\n  {\"row\":%d,\"case\":\"%s\",\"side\":\"%s\",\"figure\":\"%s\",\"unit\":\"%s\",",
            is_first ? "" : ",", number, row->what->name, side->name, series->name, series->unit);
    fprintf(bench_run.out, "\"workers\":%d,\"operations\":%llu,\"repetitions\":%d,", side->workers,
            (unsigned long long)side->operations, series->count);
    json_spread("spread", bench_spread_of(series->values, series->count));
    if (!side->is_ours && ours != NULL && bench_ratio_of(ours, series, &ratio)) {
        fputc(',', bench_run.out);
        json_spread("weft_over_peer", ratio);
    }
    fputs(",\"values\":[", bench_run.out);
    for (int i = 0; i < series->count; i++) {
        fprintf(bench_run.out, "%s%.6g", i == 0 ? "" : ",", series->values[i]);
    }
    fputs("]}", bench_run.out);
}

void bench_json_row(const struct row *row)
{
    static int number;
    static bool is_second;
    for (int i = 0; i < row->side_count; i++) {
        for (int j = 0; j < row->sides[i].series_count; j++) {
            json_series(number, row, &row->sides[i], &row->sides[i].series[j], !is_second);
            is_second = true;
        }
    }
    number++;
}

static void read_processor(char *out, size_t size)
{
    FILE *in = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(out, size, "unknown");
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%.*s", (int)size - 1, colon + 2);
            break;
        }
    }
    if (in != NULL) {
        fclose(in);
    }
}

void bench_json_head(void)
{
    char processor[128];
    struct utsname system;
    read_processor(processor, sizeof processor);
    fprintf(bench_run.out,
            "{\"format\":1,\"bench\":\"%s\",\"quick\":%s,\"pinned\":%s,\"processors\":%d,",
            bench_run.bench, bench_run.is_quick ? "true" : "false",
            bench_run.is_pinned ? "true" : "false", CPU_COUNT(&bench_run.allowed));
    fputs("\"processor\":", bench_run.out);
    json_string(processor);
    fputs(",\"kernel\":", bench_run.out);
    json_string(uname(&system) == 0 ? system.release : "unknown");
    fputs(",\"compiler\":", bench_run.out);
    json_string(__VERSION__);
    fputs(",\"results\":[", bench_run.out);
}

void bench_json_end(void)
{
    if (bench_run.out != NULL) {
        fputs("\n]}\n", bench_run.out);
        if (fflush(bench_run.out) != 0 || (bench_run.out != stdout && fclose(bench_run.out) != 0)) {
            perror(bench_run.json);
            exit(BENCH_EXIT_FAILED);
        }
    }
}
