/* SPDX-License-Identifier: MIT */
/* scenario_compare.c - traces task by task. */
#include "scenario_compare.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct item {
    int64_t second;
    const char *text; /* not terminated */
    size_t length;
    size_t task_length; /* the task's name comes first */
};

struct items {
    struct item *at;
    size_t count;
};

static size_t task_length_of(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && text[at] != '.' && text[at] != '=' && text[at] != '!') {
        at++;
    }
    return at;
}

static struct items split(struct arena *arena, const char *trace)
{
    struct items items = {arena_take(arena, (strlen(trace) / 2 + 1) * sizeof(struct item)), 0};
    int64_t second = 0;
    for (trace += strspn(trace, " "); *trace != '\0'; trace += strspn(trace, " ")) {
        size_t length = strcspn(trace, " ");
        if (*trace == '@') {
            second = strtoll(trace + 1, NULL, 10);
        } else {
            items.at[items.count++] =
                (struct item){second, trace, length, task_length_of(trace, length)};
        }
        trace += length;
    }
    return items;
}

static bool same_task(const struct item *a, const struct item *b)
{
    return a->task_length == b->task_length && memcmp(a->text, b->text, a->task_length) == 0;
}

static bool same(const struct item *a, const struct item *b)
{
    return a->second == b->second && a->length == b->length &&
           memcmp(a->text, b->text, a->length) == 0;
}

/* The next event of `who` at or after `from`; NULL: none. */
static const struct item *next_of(const struct items *items, size_t *from, const struct item *who)
{
    while (*from < items->count) {
        const struct item *item = &items->at[(*from)++];
        if (same_task(item, who)) {
            return item;
        }
    }
    return NULL;
}

/* When the events of `who` part; -1: they never do. */
static int64_t parts_at(const struct items *a, const struct items *b, const struct item *who)
{
    size_t in_a = 0;
    size_t in_b = 0;
    for (;;) {
        const struct item *one = next_of(a, &in_a, who);
        const struct item *other = next_of(b, &in_b, who);
        if (one == NULL || other == NULL) {
            const struct item *left = one != NULL ? one : other;
            return left != NULL ? left->second : -1;
        }
        if (!same(one, other)) {
            return one->second < other->second ? one->second : other->second;
        }
    }
}

static const char *events_of(struct arena *arena, const struct items *items, const struct item *who)
{
    const char *text = "";
    int64_t second = -1;
    size_t from = 0;
    const struct item *item;
    while ((item = next_of(items, &from, who)) != NULL) {
        const char *space = *text != '\0' ? " " : "";
        if (item->second != second) {
            text = arena_print(arena, "%s%s@%lld", text, space, (long long)item->second);
            second = item->second;
        }
        text = arena_print(arena, "%s %.*s", text, (int)item->length, item->text);
    }
    return *text != '\0' ? text : "nothing";
}

/* Of the tasks that `from` names, the one to differ first, if that is before *second. */
static const struct item *look(const struct items *from, const struct items *other, int64_t *second)
{
    const struct item *first = NULL;
    for (size_t i = 0; i < from->count; i++) {
        int64_t at = parts_at(from, other, &from->at[i]);
        if (at >= 0 && (*second < 0 || at < *second)) {
            *second = at;
            first = &from->at[i];
        }
    }
    return first;
}

struct difference trace_compare(struct arena *arena, const char *expected, const char *actual)
{
    struct difference difference = {NULL, NULL, NULL};
    if (strcmp(expected, actual) == 0) {
        return difference;
    }
    struct items wanted = split(arena, expected);
    struct items got = split(arena, actual);
    int64_t second = -1;
    const struct item *who = look(&wanted, &got, &second);
    const struct item *extra = look(&got, &wanted, &second);
    who = extra != NULL ? extra : who;
    if (who != NULL) {
        difference.task = arena_copy(arena, who->text, who->task_length);
        difference.expected = events_of(arena, &wanted, who);
        difference.actual = events_of(arena, &got, who);
    }
    return difference;
}
