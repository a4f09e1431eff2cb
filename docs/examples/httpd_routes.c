// SPDX-License-Identifier: MIT
/* httpd_routes.c - what the server can do.
 *
 * A handler is straight-line code. Whether its client hangs up, its time is over or the server shuts
 * down: the await point that it is in returns -ECANCELED, and it cleans up and returns that. What
 * the reason was is the business of whoever opened the scope (httpd_connection.c). */
#include "httpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers in the query ---- */

/* The value of "name=N"; false unless N is a number of at most `max`. */
static bool query_number(const struct request *request, const char *name, uint64_t max,
                         uint64_t *number)
{
    const char *at = request->query;
    const char *end = at + request->query_length;
    size_t length = strlen(name);
    while (at != NULL && ((size_t)(end - at) <= length || memcmp(at, name, length) != 0)) {
        at = memchr(at, '&', (size_t)(end - at));
        at += at != NULL;
    }
    if (at == NULL) {
        return false;
    }
    uint64_t value = 0;
    const char *digit = at + length;
    for (; digit < end && *digit >= '0' && *digit <= '9' && value <= max; digit++) {
        value = value * 10 + (uint64_t)(*digit - '0');
    }
    *number = value;
    return digit > at + length && value <= max && (digit == end || *digit == '&');
}

static int answer_bad_query(struct answer *answer, const char *wanted)
{
    answer->status = STATUS_BAD_REQUEST;
    answer_print(answer, "wanted: %s\n", wanted);
    return 0;
}

/* ---- /: what a server can do at most ---- */

static int hello(const struct request *request, struct answer *answer)
{
    (void)request;
    static const char text[] = "hello\n";
    answer->length = sizeof text - 1;
    memcpy(answer->body, text, sizeof text - 1);
    return 0;
}

/* ---- /sleep?ms=N: waiting, as for a database ---- */

static int sleep_for(const struct request *request, struct answer *answer)
{
    uint64_t ms;
    if (!query_number(request, "ms=", 3600000, &ms)) {
        return answer_bad_query(answer, "ms=N, at most an hour");
    }
    int rc = weft_sleep((int64_t)ms * WEFT_MS);
    if (rc < 0) {
        return rc;
    }
    answer_print(answer, "slept %llu ms\n", (unsigned long long)ms);
    return 0;
}

/* ---- /fan?n=N: N child tasks, then the sum of what they found ---- */

struct part {
    uint64_t number;
    uint64_t found;
};

static intptr_t find_part(void *arg)
{
    struct part *part = arg;
    part->found = part->number;
    return 0;
}

/* Closing the group waits for every child, so `parts` may go away afterwards, whatever happens. */
static int find_parts(struct part *parts, size_t count)
{
    weft_group group;
    int rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        parts[i].number = i + 1;
        rc = weft_group_spawn(&group, NULL, find_part, &parts[i], NULL);
    }
    return (int)weft_group_close(&group, rc);
}

static int fan_out(const struct request *request, struct answer *answer)
{
    uint64_t count;
    if (!query_number(request, "n=", 100000, &count)) {
        return answer_bad_query(answer, "n=N, at most 100000");
    }
    struct part *parts = calloc(count + 1, sizeof *parts);
    if (parts == NULL) {
        return -ENOMEM;
    }
    int rc = find_parts(parts, count);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += parts[i].found;
    }
    free(parts);
    answer_print(answer, "%llu\n", (unsigned long long)sum);
    return rc;
}

/* ---- /work?us=N: computing ---- */

enum { SLICE_NS = 100000 };

/* Long work makes room for others, and hears of a cancellation, by yielding now and then. */
static int work(const struct request *request, struct answer *answer)
{
    uint64_t us;
    if (!query_number(request, "us=", 60000000, &us)) {
        return answer_bad_query(answer, "us=N, at most a minute");
    }
    int64_t left_ns = (int64_t)us * WEFT_US;
    for (int rc = 0; left_ns > 0; rc = weft_yield()) {
        if (rc < 0) {
            return rc;
        }
        int64_t slice_ns = left_ns < SLICE_NS ? left_ns : SLICE_NS;
        int64_t begin_ns = weft_now();
        while (weft_now() - begin_ns < slice_ns) {
        }
        left_ns -= slice_ns;
    }
    answer_print(answer, "worked %llu us\n", (unsigned long long)us);
    return 0;
}

/* ---- finding one ---- */

static int not_found(const struct request *request, struct answer *answer)
{
    (void)request;
    answer->status = STATUS_NOT_FOUND;
    answer_print(answer, "not found\n");
    return 0;
}

static int method_not_allowed(const struct request *request, struct answer *answer)
{
    (void)request;
    answer->status = STATUS_METHOD_NOT_ALLOWED;
    answer_print(answer, "method not allowed\n");
    return 0;
}

/* A POST is served like a GET, its body is dropped. */
static bool is_allowed(uint8_t method)
{
    return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_POST;
}

const struct route *route_find(const struct request *request)
{
    static const struct route routes[] = {
        {"/", hello, false},
        {"/sleep", sleep_for, true},
        {"/fan", fan_out, true},
        {"/work", work, true},
    };
    static const struct route none = {"", not_found, false};
    static const struct route refused = {"", method_not_allowed, false};

    if (!is_allowed(request->method)) {
        return &refused;
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strlen(routes[i].path) == request->path_length &&
            memcmp(routes[i].path, request->path, request->path_length) == 0) {
            return &routes[i];
        }
    }
    return &none;
}
