// SPDX-License-Identifier: MIT
/* harness_options.c - the command line. */
#include "harness_inside.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_peers[] = "build/peers";

struct bench_options bench_run;

static void usage(FILE *to)
{
    fprintf(to,
            "bench_%s [options] [case, or pattern such as 'spawn_*'...]\n"
            "  --quick             fewer operations and repetitions: does it run?\n"
            "  --full              the sizes that published figures have, where cases have such\n"
            "  --reps N            repetitions of each case (11; quick: 3)\n"
            "  --warmup N          repetitions before them that do not count (1)\n"
            "  --workers N[,N...]  rows for these numbers of workers (1 and one per processor)\n"
            "  --operations N      per repetition, instead of what each case says\n"
            "  --pin               workers and peers on the first processors\n"
            "  --json FILE         JSON too; - is standard output, the table then goes to stderr\n"
            "  --peers DIR         where peer programs are (%s); `none` leaves all peers out\n"
            "  --set NAME=NUMBER   a setting of a case\n"
            "  --only NAME[,...]   of the peers only these; patterns\n"
            "  --budget S          no further repetition of a row that has taken so long\n"
            "  --timeout S         a repetition that takes longer has hung (300)\n"
            "  --list              the cases' names\n"
            "WEFT_BENCH in the environment holds options that come before these.\n",
            bench_run.bench, default_peers);
}

__attribute__((noreturn)) static void bad_usage(const char *what)
{
    fprintf(stderr, "bench_%s: bad or missing value: %s\n", bench_run.bench, what);
    usage(stderr);
    exit(BENCH_EXIT_USAGE);
}

static long parse_number(const char *option, const char *text, long least, long most)
{
    char *end = NULL;
    errno = 0;
    long value = text != NULL ? strtol(text, &end, 10) : 0;
    if (text == NULL || end == text || *end != '\0' || errno != 0 || value < least ||
        value > most) {
        bad_usage(option);
    }
    return value;
}

static void parse_workers(const char *text)
{
    char copy[256];
    char *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text != NULL ? text : "");
    bench_run.worker_count = 0;
    for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        if (bench_run.worker_count == BENCH_MOST_WORKER_COUNTS) {
            bad_usage("--workers");
        }
        bench_run.workers[bench_run.worker_count++] = (int)parse_number("--workers", one, 1, 1024);
    }
    if (bench_run.worker_count == 0) {
        bad_usage("--workers");
    }
}

static void parse_only(const char *text)
{
    static char copy[256]; /* what the patterns point to */
    char *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    bench_run.only_count = 0;
    for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        if (bench_run.only_count == BENCH_MOST_PEERS) {
            bad_usage("--only");
        }
        bench_run.only[bench_run.only_count++] = one;
    }
}

/* Options without a value. */
static bool parse_switch(const char *option)
{
    if (strcmp(option, "--quick") == 0) {
        bench_run.is_quick = true;
    } else if (strcmp(option, "--full") == 0) {
        bench_run.is_full = true;
    } else if (strcmp(option, "--pin") == 0) {
        bench_run.is_pinned = true;
    } else if (strcmp(option, "--list") == 0) {
        bench_run.is_list = true;
    } else if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
        usage(stdout);
        exit(0);
    } else {
        return false;
    }
    return true;
}

static void parse_valued(const char *option, const char *value)
{
    if (strcmp(option, "--reps") == 0) {
        bench_run.reps = (int)parse_number(option, value, 1, BENCH_MOST_REPS);
    } else if (strcmp(option, "--warmup") == 0) {
        bench_run.warmups = (int)parse_number(option, value, 0, BENCH_MOST_REPS);
    } else if (strcmp(option, "--workers") == 0) {
        parse_workers(value);
    } else if (strcmp(option, "--operations") == 0) {
        bench_run.operations = (uint64_t)parse_number(option, value, 1, INT64_MAX);
    } else if (strcmp(option, "--timeout") == 0) {
        bench_run.timeout_s = (int)parse_number(option, value, 1, 86400);
    } else if (strcmp(option, "--budget") == 0) {
        bench_run.budget_s = (double)parse_number(option, value, 1, 86400);
    } else if (value != NULL && strcmp(option, "--only") == 0) {
        parse_only(value);
    } else if (value != NULL && strcmp(option, "--json") == 0) {
        bench_run.json = value;
    } else if (value != NULL && strcmp(option, "--peers") == 0) {
        bench_run.peers = value;
        bench_run.no_peers = strcmp(value, "none") == 0;
    } else if (value != NULL && strcmp(option, "--set") == 0 && strchr(value, '=') != NULL &&
               bench_run.setting_count < BENCH_MOST_SETTINGS) {
        bench_run.settings[bench_run.setting_count++] = value;
    } else {
        bad_usage(option);
    }
}

static void parse(int count, char **words)
{
    for (int i = 0; i < count; i++) {
        if (words[i][0] != '-') {
            if (bench_run.filter_count == BENCH_MOST_FILTERS) {
                bad_usage(words[i]);
            }
            bench_run.filters[bench_run.filter_count++] = words[i];
        } else if (!parse_switch(words[i])) {
            parse_valued(words[i], i + 1 < count ? words[i + 1] : NULL);
            i++;
        }
    }
}

static void parse_environment(void)
{
    enum { MOST_WORDS = 64 };
    static char copy[1024]; /* what the options point to */
    char *words[MOST_WORDS];
    char *rest = NULL;
    int count = 0;
    const char *text = getenv("WEFT_BENCH");
    snprintf(copy, sizeof copy, "%s", text != NULL ? text : "");
    for (char *word = strtok_r(copy, " ", &rest); word != NULL && count < MOST_WORDS;
         word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    parse(count, words);
}

static void set_defaults(const char *name)
{
    bench_run.bench = name;
    bench_run.peers = default_peers;
    bench_run.warmups = 1;
    bench_run.timeout_s = 300;
    (void)sched_getaffinity(0, sizeof bench_run.allowed, &bench_run.allowed);
    int processors = CPU_COUNT(&bench_run.allowed);
    bench_run.workers[bench_run.worker_count++] = 1;
    if (processors > 1) {
        bench_run.workers[bench_run.worker_count++] = processors;
    }
}

bool bench_is_wanted(const char *name)
{
    for (int i = 0; i < bench_run.filter_count; i++) {
        if (fnmatch(bench_run.filters[i], name, 0) == 0) {
            return true;
        }
    }
    return bench_run.filter_count == 0;
}

bool bench_is_wanted_peer(const char *name)
{
    for (int i = 0; i < bench_run.only_count; i++) {
        if (fnmatch(bench_run.only[i], name, 0) == 0) {
            return true;
        }
    }
    return bench_run.only_count == 0;
}

void bench_parse(int argc, char **argv, const char *name)
{
    set_defaults(name);
    parse_environment();
    parse(argc - 1, argv + 1);
    bench_run.reps = bench_run.reps != 0 ? bench_run.reps : bench_run.is_quick ? 3 : 11;
}
