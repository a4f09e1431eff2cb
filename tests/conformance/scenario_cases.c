/* SPDX-License-Identifier: MIT */
/* scenario_cases.c - lists of programs in JSON files. */
#include "scenario_cases.h"

#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "scenario_compare.h"
#include "scenario_run.h"

enum { READ_BYTES = 64 * 1024 };

char *file_read(struct arena *arena, const char *path)
{
    FILE *file = path != NULL ? fopen(path, "rb") : stdin;
    if (file == NULL) {
        return NULL;
    }
    size_t room = READ_BYTES;
    size_t length = 0;
    char *text = arena_take(arena, room + 1);
    size_t count;
    while ((count = fread(text + length, 1, room - length, file)) > 0) {
        length += count;
        if (length == room) {
            char *more = arena_take(arena, room * 2 + 1);
            memcpy(more, text, length);
            text = more;
            room *= 2;
        }
    }
    bool is_read = ferror(file) == 0;
    text[length] = '\0';
    if (path != NULL) {
        (void)fclose(file);
    }
    return is_read ? text : NULL;
}

/* ---- one case after the other ---- */

typedef void case_fn(const cJSON *entry, FILE *out, void *arg);

static const char *text_of(const cJSON *entry, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, key));
}

static bool is_list_of_cases(const cJSON *list)
{
    const cJSON *entry;
    if (!cJSON_IsArray(list)) {
        return false;
    }
    cJSON_ArrayForEach(entry, list)
    {
        if (text_of(entry, "id") == NULL || text_of(entry, "program") == NULL) {
            return false;
        }
    }
    return true;
}

static bool for_each_case(const char *path, FILE *out, case_fn *fn, void *arg)
{
    struct arena arena = {0};
    const char *text = file_read(&arena, path);
    if (text == NULL) {
        fprintf(stderr, "weft-scenario: %s: %s\n", path, strerror(errno));
        arena_free(&arena);
        return false;
    }
    const char *end = text;
    cJSON *list = cJSON_ParseWithOpts(text, &end, 1);
    bool is_good = is_list_of_cases(list);
    if (is_good) {
        const cJSON *entry;
        cJSON_ArrayForEach(entry, list)
        {
            fn(entry, out, arg);
        }
    } else if (list == NULL) {
        fprintf(stderr, "weft-scenario: %s: no JSON from byte %ld on\n", path, (long)(end - text));
    } else {
        fprintf(stderr, "weft-scenario: %s: not a list of {\"id\", \"program\"}\n", path);
    }
    cJSON_Delete(list);
    arena_free(&arena);
    return is_good;
}

/* ---- tracing ---- */

static void print_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        if ((unsigned char)*text < ' ') {
            fprintf(out, "\\u%04x", (unsigned)*text);
        } else {
            fputc(*text, out);
        }
    }
    fputc('"', out);
}

static void trace_case(const cJSON *entry, FILE *out, void *arg)
{
    (void)arg;
    struct arena arena = {0};
    struct run_result result = scenario_run(&arena, text_of(entry, "program"));
    fputs("{\"id\": ", out);
    print_json(out, text_of(entry, "id"));
    fputs(result.end == RUN_TRACED ? ", \"trace\": " : ", \"error\": ", out);
    print_json(out, result.text);
    fputs("}\n", out);
    arena_free(&arena);
}

bool cases_trace(const char *path, FILE *out)
{
    return for_each_case(path, out, trace_case, NULL);
}

/* ---- checking ---- */

static void report(const cJSON *entry, FILE *out, const struct difference *difference)
{
    const char *title = text_of(entry, "title");
    fprintf(out, "%s: %s\n  program:  %s\n", text_of(entry, "id"), title != NULL ? title : "",
            text_of(entry, "program"));
    fprintf(out, "  task:     %s\n  expected: %s\n  actual:   %s\n", difference->task,
            difference->expected, difference->actual);
}

static bool check_trace(struct arena *arena, const cJSON *entry, FILE *out, const char *trace)
{
    const char *expect = text_of(entry, "expect");
    const char *also = text_of(entry, "also");
    struct difference difference =
        trace_compare(arena, expect != NULL ? expect : "(none given)", trace);
    if (difference.task == NULL ||
        (also != NULL && trace_compare(arena, also, trace).task == NULL)) {
        return true;
    }
    report(entry, out, &difference);
    return false;
}

static void check_case(const cJSON *entry, FILE *out, void *arg)
{
    struct tally *tally = arg;
    struct arena arena = {0};
    struct run_result result = scenario_run(&arena, text_of(entry, "program"));
    if (result.end == RUN_BAD) {
        tally->different++;
        fprintf(out, "%s: bad program: %s\n", text_of(entry, "id"), result.text);
    } else if (check_trace(&arena, entry, out, result.text)) {
        tally->same++;
    } else {
        tally->different++;
    }
    arena_free(&arena);
}

bool cases_check(const char *path, FILE *out, struct tally *tally)
{
    *tally = (struct tally){0, 0};
    bool is_good = for_each_case(path, out, check_case, tally);
    fprintf(out, "%d as expected, %d differ\n", tally->same, tally->different);
    return is_good;
}
