// SPDX-License-Identifier: MIT
/* test_flood.c - diagnostics on standard error: how many lines of a flood are written, and that the rest is counted. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft.h>

#include "sched/flood.h"
#include "support.h"
#include "weft_test.h"

/* ---- what is written on standard error meanwhile ---- */

static int written = -1;
static int saved = -1;

static void begin_capture(void)
{
    fflush(stderr);
    written = memfd_create("lines", MFD_CLOEXEC);
    saved = dup(STDERR_FILENO);
    cr_assert(written >= 0 && saved >= 0);
    cr_assert_eq(fcntl(written, F_SETFL, O_APPEND), 0); /* else two threads write at one place */
    cr_assert_geq(dup2(written, STDERR_FILENO), 0);
}

static void end_capture(void)
{
    cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
    close(saved);
}

/* The lines so far that have `part` in them; *left_out: how many others they say there were. */
static int count_lines(const char *part, uint64_t *left_out)
{
    char text[65536];
    ssize_t length = pread(written, text, sizeof text - 1, 0);
    int count = 0;
    text[length > 0 ? length : 0] = '\0';
    *left_out = 0;
    for (char *next, *line = text; (next = strchr(line, '\n')) != NULL; line = next + 1) {
        *next = '\0';
        if (strstr(line, part) == NULL) {
            continue;
        }
        uint64_t more = 0;
        count++;
        if (strstr(line, "left out, like this one: ") != NULL) {
            *left_out += sscanf(line, "weft: %" SCNu64 " more line", &more) == 1 ? more : 0;
        }
    }
    return count;
}

static void assert_lines(const char *part, int expected, uint64_t expected_left_out)
{
    uint64_t left_out;
    int count = count_lines(part, &left_out);
    cr_assert_eq(count, expected, "%s: %d lines", part, count);
    cr_assert_eq(left_out, expected_left_out, "%s: %d left out", part, (int)left_out);
}

/* ---- floods of failing tasks ---- */

static intptr_t fail_io(void *arg)
{
    (void)arg;
    return -EIO;
}

static intptr_t fail_pipe(void *arg)
{
    (void)arg;
    return -EPIPE;
}

static void fail_times(int times, weft_fn *fn)
{
    weft_group group;
    wt_check(weft_group_open(&group, WEFT_GROUP_INDEPENDENT) == 0);
    for (int i = 0; i < times; i++) {
        wt_check(weft_group_spawn(&group, NULL, fn, NULL, NULL) == 0);
    }
    wt_check(weft_group_close(&group, 0) == 0);
}

static intptr_t flood_and_trickle(void *arg)
{
    (void)arg;
    fail_times(1000, fail_io);
    fail_times(3, fail_pipe);
    return 0;
}

/* Simulated, to a good end, with what it writes kept for assert_lines. */
static void run_captured(weft_fn *fn)
{
    static const weft_options simulated = {.simulate = true};
    begin_capture();
    intptr_t rc = weft_run(fn, NULL, &simulated);
    end_capture();
    cr_assert_eq(rc, 0);
}

Test(flood, of_like_lines_ten_are_written_and_the_rest_is_counted)
{
    run_captured(flood_and_trickle);
    assert_lines("Input/output error", WF_FLOOD_LINES + 1, 1000 - WF_FLOOD_LINES);
    assert_lines("Broken pipe", 3, 0);
    wt_assert_clean();
}

static intptr_t flood_by_seconds(void *arg)
{
    (void)arg;
    for (int second = 0; second < 3; second++) {
        fail_times(WF_FLOOD_LINES + 5, fail_io);
        wt_check(weft_sleep(WEFT_S) == 0);
    }
    fail_times(WF_FLOOD_LINES, fail_io);
    return 0;
}

Test(flood, each_second_has_lines_of_its_own)
{
    run_captured(flood_by_seconds);
    assert_lines("Input/output error", 4 * WF_FLOOD_LINES + 3, 3 * 5);
    wt_assert_clean();
}

/* The program goes on and reports nothing more: the count comes all the same. */
static intptr_t wait_for_count(void *arg)
{
    uint64_t left_out = 0;
    (void)arg;
    fail_times(1000, fail_io);
    while (left_out == 0) {
        wt_check(weft_sleep(10 * WEFT_MS) == 0);
        (void)count_lines("Input/output error", &left_out);
    }
    return 0;
}

Test(flood, a_count_does_not_wait_for_the_next_line, .timeout = 30 * WT_TIME_SCALE)
{
    static const weft_options two_workers = {.workers = 2};
    begin_capture();
    intptr_t rc = weft_run(wait_for_count, NULL, &two_workers);
    end_capture();
    cr_assert_eq(rc, 0);
    wt_assert_clean();
}

static void count_all(const weft_diagnostic *what, void *arg)
{
    wt_check(what->kind == WEFT_DIAG_GROUP_ERROR);
    atomic_fetch_add((atomic_int *)arg, 1);
}

Test(flood, a_hook_is_told_everything)
{
    atomic_int told = 0;
    const weft_options options = {.workers = 2, .diagnostic = count_all, .diagnostic_arg = &told};
    begin_capture();
    cr_assert_eq(weft_run(flood_and_trickle, NULL, &options), 0);
    end_capture();
    cr_assert_eq(told, 1003);
    assert_lines("", 0, 0);
    wt_assert_clean();
}

/* ---- the flood by itself ---- */

enum { SITES = 40, EACH = 3, THREADS = 4, ROUNDS = 5000 };
static const char sites[SITES];
static struct wf_flood flood;

static weft_diagnostic line_of(const char *site)
{
    return (weft_diagnostic){
        .kind = WEFT_DIAG_GROUP_ERROR, .error = -EIO, .name = "", .site = site, .text = "a line"};
}

Test(flood, those_without_a_place_share_one)
{
    const uint64_t shared = (SITES - (WF_FLOOD_PLACES - 1)) * EACH;
    begin_capture();
    for (int i = 0; i < SITES * EACH; i++) {
        const weft_diagnostic what = line_of(&sites[i % SITES]);
        wf_flood_say(&flood, i, &what);
    }
    wf_flood_tell(&flood, WF_FLOOD_NS / 2); /* not yet */
    assert_lines("a line", (WF_FLOOD_PLACES - 1) * EACH + WF_FLOOD_LINES, 0);
    wf_flood_tell(&flood, 2 * WF_FLOOD_NS);
    end_capture();
    assert_lines("a line", (WF_FLOOD_PLACES - 1) * EACH + WF_FLOOD_LINES + 1,
                 shared - WF_FLOOD_LINES);
}

static void *say_often(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        const weft_diagnostic what = line_of(&sites[i % 2]);
        wf_flood_say(&flood, i, &what);
        if (i % 1000 == 0) {
            wf_flood_tell(&flood, INT64_MAX);
        }
    }
    return arg;
}

Test(flood, threads_lose_no_line)
{
    pthread_t threads[THREADS];
    uint64_t left_out;
    begin_capture();
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, say_often, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    wf_flood_tell(&flood, INT64_MAX);
    end_capture();
    (void)count_lines("a line", &left_out);
    cr_assert_eq(left_out + 2 * WF_FLOOD_LINES, THREADS * ROUNDS);
}
