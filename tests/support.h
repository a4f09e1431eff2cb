/* SPDX-License-Identifier: MIT */
/* support.h - the small task functions and helpers that many test files want.
 *
 * All but RUN, word() and count_descriptors() are for fibers. */
#ifndef WEFT_SUPPORT_H
#define WEFT_SUPPORT_H

#include <dirent.h>

#include <weft.h>

#include "weft_test.h"

/* ---- runs ---- */

/* In the test itself: runs it with these options, to a good end. */
#define RUN(Fn, Arg, Options)                                                \
    do {                                                                     \
        intptr_t wt_rc = weft_run((Fn), (Arg), (Options));                   \
        cr_assert_eq(wt_rc, 0, "the main task ended with %" PRIdPTR, wt_rc); \
        wt_assert_clean();                                                   \
    } while (0)

/* ---- the process ---- */

/* Descriptors that are open in this process. */
WT_FN int count_descriptors(void)
{
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    while (all != NULL && readdir(all) != NULL) {
        count++;
    }
    if (all != NULL) {
        (void)closedir(all);
    }
    return count;
}

/* ---- arguments ---- */

/* A number as the argument of a task. */
WT_FN void *word(intptr_t value)
{
    return (void *)value;
}

/* ---- what tasks run ---- */

/* Returns its argument. */
WT_FN intptr_t give(void *arg)
{
    return (intptr_t)arg;
}

/* Sleeps that many seconds, which is for simulations. */
WT_FN intptr_t sleep_s(void *arg)
{
    return weft_sleep((intptr_t)arg * WEFT_S);
}

/* Reads a byte from a descriptor: that, or what the read returned. */
WT_FN intptr_t read_byte(void *fd)
{
    char byte = 0;
    ssize_t n = weft_read(*(const int *)fd, &byte, 1);
    return n == 1 ? byte : n;
}

/* ---- tasks ---- */

/* Spawns, and lets it come to its first wait: in a simulation with seed 0. */
WT_FN weft_task *spawn_parked(weft_fn *fn, void *arg)
{
    weft_task *task = NULL;

    wt_check(weft_spawn(&task, fn, arg) == 0);
    wt_check(weft_yield() == 0);
    return task;
}

/* What becomes of it; drops the handle. */
WT_FN intptr_t finish(weft_task *task)
{
    intptr_t result = 0;

    wt_check(weft_await(task, &result) == 0);
    return result;
}

/* ---- time and progress ---- */

WT_FN int64_t now_s(void)
{
    return weft_now() / WEFT_S;
}

/* Waits that have suspended a fiber of this runtime. */
WT_FN uint64_t parks_now(void)
{
    weft_stats_t stats = {.size = sizeof stats};
    return wt_check(weft_stats(NULL, &stats) == 0) ? stats.parks : 0;
}

/* Yields until there are `count` more of them than `mark`. */
WT_FN void until_parked(uint64_t mark, uint64_t count)
{
    while (parks_now() < mark + count) {
        wt_check(weft_yield() == 0);
    }
}

/* ---- traces ---- */

/* Events of several tasks in their order. */
__attribute__((unused)) static char trace[256];

WT_FN void mark(const char *text)
{
    strncat(trace, text, sizeof trace - strlen(trace) - 1);
    strncat(trace, " ", sizeof trace - strlen(trace) - 1);
}

WT_FN bool traced(const char *expected)
{
    bool same = strcmp(trace, expected) == 0;

    if (!same) {
        fprintf(stderr, "traced: %s\n", trace);
    }
    trace[0] = '\0';
    return same;
}

/* ---- tasks that are to be cancelled ---- */

__attribute__((unused)) static bool was_called;

WT_FN intptr_t must_not_run(void *arg)
{
    was_called = true;
    return (intptr_t)arg;
}

WT_FN intptr_t mark_when_told(void *arg)
{
    intptr_t rc = weft_sleep(9 * WEFT_S);

    mark(arg);
    return rc;
}

/* Marks whether its clean-up was left alone. */
WT_FN intptr_t clean_up(void *arg)
{
    int rc = weft_sleep(10 * WEFT_S);

    wt_check(rc == -ECANCELED);
    if (weft_sleep(5 * WEFT_S) == -ECANCELED) {
        mark("again");
    } else {
        mark("cleaned");
    }
    (void)arg;
    return rc;
}

WT_FN intptr_t await_future(void *arg)
{
    intptr_t value = 0;
    int rc = weft_future_await(arg, &value);

    return rc < 0 ? rc : value;
}

WT_FN intptr_t yield_twice(void *arg)
{
    int rc = weft_yield();

    (void)arg;
    mark(rc == 0 ? "0" : "C");
    return rc < 0 ? rc : weft_yield();
}

/* ---- diagnostics ---- */

/* A hook for tests that provoke what it would tell. */
WT_FN void ignore(const weft_diagnostic *what, void *arg)
{
    (void)what;
    (void)arg;
}

/* A literal as an argument of a program, whose words are not const. */
WT_FN char *wt_word(const char *text)
{
    union {
        const char *text;
        char *word;
    } both = {text};
    return both.word;
}

#endif
