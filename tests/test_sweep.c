/* SPDX-License-Identifier: MIT */
/* test_sweep.c - the cancel sweep finds what was planted, where it was planted, and nothing else.
 *
 * test_sweep_awaits.c sweeps the await points themselves. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <weft.h>
#include <weft/testing.h>

#include "weft_test.h"

enum { MOST = 64 };

/* What the last sweep found. */
static weft_sweep_leak found[MOST];
static char texts[MOST][640];
static int found_count;
static weft_sweep_report report;

static void on_found(const weft_sweep_leak *leak, void *arg)
{
    (void)arg;
    if (found_count < MOST) {
        found[found_count] = *leak;
        snprintf(texts[found_count], sizeof texts[0], "%s", leak->text);
        found[found_count].text = texts[found_count];
    }
    found_count++;
}

static int64_t on_heap; /* planted "memory": nothing is allocated, so that leak checkers agree */

static int64_t heap(void *arg)
{
    (void)arg;
    return on_heap;
}

static int64_t sweep_with(weft_fn *fn, void *arg, weft_sweep_options options)
{
    found_count = 0;
    options.found = on_found;
    options.heap = heap;
    report = (weft_sweep_report){.size = sizeof report};
    int64_t findings = weft_cancel_sweep(fn, arg, &options, &report);
    for (int i = 0; i < found_count && i < MOST; i++) {
        fprintf(stderr, "%s\n", found[i].text);
    }
    return findings;
}

static int64_t sweep(weft_fn *fn)
{
    return sweep_with(fn, NULL, (weft_sweep_options){0});
}

static void assert_only(weft_sweep_finding finding, uint64_t point, weft_sweep_moment moment)
{
    cr_assert_eq(found_count, 1);
    cr_assert_eq(report.findings, 1);
    cr_assert_eq(found[0].finding, finding);
    cr_assert_eq(found[0].point, point);
    cr_assert_eq(found[0].moment, moment);
}

static intptr_t nap(void *arg)
{
    return weft_sleep((intptr_t)arg * WEFT_MS);
}

static void *ms(intptr_t n)
{
    return (void *)n;
}

/* ---- what is clean ---- */

static intptr_t clean(void *arg)
{
    weft_task *tasks[2];
    (void)arg;
    int rc = weft_spawn(&tasks[0], nap, ms(1));
    if (rc < 0) {
        return rc;
    }
    rc = weft_spawn(&tasks[1], nap, ms(2));
    if (rc < 0) {
        weft_drop(tasks[0]);
        return rc;
    }
    rc = weft_gather(tasks, 2, NULL, WEFT_GATHER_COLLECT, NULL);
    weft_drop_all(tasks, 2);
    int checked = weft_checkpoint();
    return rc < 0 ? rc : checked;
}

Test(sweep, clean_function)
{
    cr_assert_eq(sweep(clean), 0);
    cr_assert_eq(report.points, 4); /* gather, two sleeps, checkpoint */
    /* 2 + 4 on entry + 4 waiting + 3 granted: the checkpoint never suspends */
    cr_assert_eq(report.runs, 13);
    cr_assert_eq(report.findings, 0);
    /* Not after the grants of the sleeps: no call comes after them. */
    cr_assert_eq(report.delivered, 8);
    cr_assert_eq(report.swallowed, 4); /* COLLECT does not mind a cancelled task */
}

Test(sweep, main_only)
{
    cr_assert_eq(sweep_with(clean, NULL, (weft_sweep_options){.main_only = true}), 0);
    cr_assert_eq(report.points, 2);
}

static intptr_t no_points(void *arg)
{
    (void)arg;
    return 7;
}

Test(sweep, no_points)
{
    cr_assert_eq(sweep(no_points), 0);
    cr_assert_eq(report.points, 0);
    cr_assert_eq(report.runs, 2);
}

/* ---- one of each kind ---- */

static intptr_t leaks_task(void *arg)
{
    weft_task *task;
    (void)arg;
    int rc = weft_spawn(&task, nap, ms(5));
    if (rc == 0) {
        rc = weft_sleep(WEFT_MS);
    }
    if (rc < 0) {
        weft_drop(task); /* cancelled, but not waited for */
        return rc;
    }
    return weft_await(task, NULL);
}

Test(sweep, finds_task)
{
    cr_assert_eq(sweep(leaks_task), 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(found[i].finding, WEFT_SWEEP_TASK);
        cr_assert_eq(found[i].point, 1);
        cr_assert_eq(found[i].moment, i == 0 ? WEFT_SWEEP_ENTRY : WEFT_SWEEP_WAITING);
        cr_assert_eq(found[i].amount, 1);
        cr_assert(strstr(found[i].site, "test_sweep.c:") != NULL);
    }
}

static intptr_t leaks_handle(void *arg)
{
    weft_task *task;
    (void)arg;
    int rc = weft_spawn(&task, nap, ms(0));
    rc = rc == 0 ? weft_join(task, NULL) : rc;
    if (rc == 0) {
        weft_drop(task);
    }
    return rc;
}

Test(sweep, finds_handle)
{
    cr_assert_geq(sweep(leaks_handle), 2);
    for (int i = 0; i < found_count; i++) {
        cr_assert_eq(found[i].finding, WEFT_SWEEP_HANDLE);
        cr_assert_eq(found[i].point, 1);
    }
    cr_assert_eq(found[0].moment, WEFT_SWEEP_ENTRY);
    cr_assert_eq(found[1].moment, WEFT_SWEEP_WAITING);
}

static intptr_t leaks_descriptor(void *arg)
{
    (void)arg;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int rc = weft_sleep(WEFT_MS);
    if (rc == 0) {
        rc = weft_yield();
        close(fd);
    }
    return rc;
}

Test(sweep, finds_descriptor)
{
    cr_assert_eq(sweep(leaks_descriptor), 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(found[i].finding, WEFT_SWEEP_DESCRIPTOR);
        cr_assert_eq(found[i].point, 1);
        cr_assert(strstr(found[i].text, "/dev/null") != NULL);
        cr_assert(strstr(found[i].text, "point 1 of 2, weft_sleep in the main task") != NULL);
        cr_assert_str_eq(found[i].site, "main");
    }
}

/* The peer hangs up in any case, so that only the descriptor is left. */
static intptr_t leaks_simulated(void *arg)
{
    int fds[2];
    char byte;
    (void)arg;
    int rc = weft_sim_pipe(fds);
    if (rc < 0) {
        return rc;
    }
    (void)weft_close(fds[1]);
    rc = (int)weft_read(fds[0], &byte, 1);
    if (rc == 0) {
        (void)weft_close(fds[0]);
    }
    return rc;
}

Test(sweep, finds_simulated_descriptor)
{
    cr_assert_eq(sweep(leaks_simulated), 1); /* the read never waits */
    assert_only(WEFT_SWEEP_DESCRIPTOR, 1, WEFT_SWEEP_ENTRY);
    cr_assert_eq(found[0].amount, 1);
    cr_assert(strstr(found[0].text, "a simulated descriptor was left open") != NULL);
}

/* The guard is set up only after the sleep, so one moment of one point is not covered: the sleep is over,
 * the request comes before the next call. */
static intptr_t leaks_once(void *arg)
{
    (void)arg;
    int rc = weft_yield();
    if (rc < 0) {
        return rc;
    }
    on_heap += 100;
    rc = weft_sleep(WEFT_MS);
    if (rc < 0) {
        on_heap -= 100;
        return rc;
    }
    rc = weft_checkpoint();
    if (rc < 0) {
        return rc;
    }
    on_heap -= 100;
    return weft_yield();
}

Test(sweep, finds_heap_after_a_grant)
{
    cr_assert_eq(sweep(leaks_once), 2);
    cr_assert_eq(found[0].finding, WEFT_SWEEP_HEAP);
    cr_assert_eq(found[0].point, 2);
    cr_assert_eq(found[0].moment, WEFT_SWEEP_GRANTED);
    cr_assert_eq(found[0].amount, 100);
    cr_assert_eq(found[1].point, 3);
    cr_assert_eq(found[1].moment, WEFT_SWEEP_ENTRY);
}

/* As above without a call at which the request could be made: only the grant's moment shows it. */
static intptr_t leaks_after_grant(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    if (rc < 0) {
        return rc;
    }
    on_heap++;
    if (weft_cancelling(weft_self()) == 0) {
        on_heap--;
    }
    return 0;
}

Test(sweep, finds_what_only_a_grant_shows)
{
    cr_assert_eq(sweep(leaks_after_grant), 1);
    assert_only(WEFT_SWEEP_HEAP, 1, WEFT_SWEEP_GRANTED);
    cr_assert_eq(report.delivered, 2);
}

static weft_future never;

static intptr_t set_never(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    if (rc == 0) { /* the wake-up is lost when it is cancelled */
        (void)weft_future_set(&never, 1);
    }
    return rc;
}

static intptr_t hangs(void *arg)
{
    (void)arg;
    (void)weft_future_init(&never);
    int rc = weft_spawn(NULL, set_never, NULL);
    return rc < 0 ? rc : weft_future_await(&never, NULL);
}

Test(sweep, finds_hang)
{
    cr_assert_eq(sweep(hangs), 2);
    cr_assert_eq(found[0].moment, WEFT_SWEEP_ENTRY);
    cr_assert_eq(found[1].moment, WEFT_SWEEP_WAITING);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(found[i].finding, WEFT_SWEEP_HANG);
        cr_assert_eq(found[i].point, 2);
        cr_assert(strstr(found[i].text, "waits for future 1") != NULL);
        cr_assert(strstr(found[i].site, "test_sweep.c:") != NULL);
    }
}

static bool is_set;

static intptr_t set_flag(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS);
    is_set = rc == 0;
    return rc;
}

static intptr_t polls_for_ever(void *arg)
{
    (void)arg;
    is_set = false;
    int rc = weft_spawn(NULL, set_flag, NULL);
    while (rc == 0 && !is_set) {
        rc = weft_sleep(WEFT_MS);
    }
    return rc;
}

Test(sweep, finds_a_run_without_end)
{
    cr_assert_eq(sweep(polls_for_ever), 2);
    cr_assert_eq(found[0].finding, WEFT_SWEEP_HANG);
    cr_assert_eq(found[0].moment, WEFT_SWEEP_ENTRY);
    cr_assert_eq(found[1].moment, WEFT_SWEEP_WAITING);
    cr_assert_eq(found[1].point, found[0].point);
}

/* ---- without a cancellation ---- */

static intptr_t leaks_always(void *arg)
{
    (void)arg;
    on_heap += 8;
    return weft_sleep(WEFT_MS);
}

Test(sweep, tells_once_what_is_always_left)
{
    cr_assert_eq(sweep(leaks_always), 1);
    assert_only(WEFT_SWEEP_HEAP, 0, WEFT_SWEEP_NEVER);
    cr_assert_eq(found[0].amount, 8);
    cr_assert_gt(report.runs, 2);
}

static bool is_warm;

static intptr_t warms_up(void *arg)
{
    (void)arg;
    on_heap += is_warm ? 0 : 64;
    is_warm = true;
    return weft_sleep(WEFT_MS);
}

Test(sweep, first_run_fills_caches)
{
    is_warm = false;
    cr_assert_eq(sweep(warms_up), 0);
}

static intptr_t always_hangs(void *arg)
{
    static weft_future pending;
    (void)arg;
    (void)weft_future_init(&pending); /* the run before has left a waiter whose stack is gone */
    return weft_future_await(&pending, NULL);
}

Test(sweep, hangs_without_a_cancellation)
{
    cr_assert_eq(sweep(always_hangs), 1);
    assert_only(WEFT_SWEEP_HANG, 0, WEFT_SWEEP_NEVER);
    cr_assert_eq(report.runs, 2);
}

/* ---- astray ---- */

static int run_number;

static intptr_t differs(void *arg)
{
    (void)arg;
    int number = ++run_number;
    int rc = weft_yield();
    if (rc == 0 && number == 5) { /* the first run with a request at point 2 takes another way */
        rc = weft_checkpoint();
    }
    return rc < 0 ? rc : weft_sleep(WEFT_MS);
}

Test(sweep, finds_that_runs_differ)
{
    run_number = -1; /* two runs without, three for point 1 */
    cr_assert_eq(sweep(differs), 1);
    assert_only(WEFT_SWEEP_ASTRAY, 2, WEFT_SWEEP_ENTRY);
}

/* ---- options and misuse ---- */

static intptr_t ten_points(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++) {
        rc = weft_checkpoint();
    }
    return rc;
}

Test(sweep, chooses_evenly)
{
    cr_assert_eq(sweep_with(ten_points, NULL, (weft_sweep_options){.max_points = 4}), 0);
    cr_assert_eq(report.points, 10);
    cr_assert_eq(report.runs, 2 + 2 * 4);
    cr_assert_eq(report.delivered, 4);
    cr_assert_eq(report.swallowed, 0);
    cr_assert_eq(sweep_with(ten_points, NULL, (weft_sweep_options){.max_points = 1}), 0);
    cr_assert_eq(report.runs, 2 + 2);
}

static int told;

static void on_diagnostic(const weft_diagnostic *what, void *arg)
{
    (void)arg;
    told += what->kind == WEFT_DIAG_DROPPED_WHILE_PENDING;
}

Test(sweep, diagnostics_are_told_on_request)
{
    told = 0;
    cr_assert_eq(sweep_with(leaks_task, NULL, (weft_sweep_options){.diagnostic = on_diagnostic}),
                 2);
    cr_assert_eq(told, 2);
}

static intptr_t swallows(void *arg)
{
    (void)arg;
    (void)!weft_sleep(WEFT_MS);
    return 1;
}

Test(sweep, counts_swallowed)
{
    cr_assert_eq(sweep(swallows), 0);
    cr_assert_eq(report.delivered, 2);
    cr_assert_eq(report.swallowed, 2);
}

static intptr_t sweeps_inside(void *arg)
{
    (void)arg;
    return weft_cancel_sweep(no_points, NULL, NULL, NULL);
}

Test(sweep, misuse)
{
    weft_sweep_options options = {.size = 1};
    weft_sweep_report large = {.size = sizeof large + 1};
    cr_assert_eq(weft_cancel_sweep(NULL, NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(weft_cancel_sweep(clean, NULL, &options, NULL), -EINVAL);
    cr_assert_eq(weft_cancel_sweep(clean, NULL, NULL, &large), -EINVAL);
    cr_assert_eq(weft_run(sweeps_inside, NULL, NULL), -EPERM);
    options = (weft_sweep_options){.stack_bytes = SIZE_MAX};
    cr_assert_eq(weft_cancel_sweep(clean, NULL, &options, NULL), -EINVAL);
}

Test(sweep, seeds)
{
    for (uint64_t seed = 0; seed <= 20; seed++) {
        cr_assert_eq(sweep_with(clean, NULL, (weft_sweep_options){.seed = seed}), 0, "seed %d",
                     (int)seed);
        cr_assert_eq(report.points, 4);
        cr_assert_eq(sweep_with(leaks_after_grant, NULL, (weft_sweep_options){.seed = seed}), 1);
    }
}
