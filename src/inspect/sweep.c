// SPDX-License-Identifier: MIT
/* sweep.c - the cancel sweep: a run for each moment of each await point, and what it left.
 *
 * Run 1 fills the caches of the program and counts the points. Run 2 writes the trail (probe.h) and the
 * tally with which the others are compared: what the function leaves behind anyway is told once, as point
 * 0. Then for each point one run a moment; a call that does not suspend has no GRANTED run, and its
 * WAITING run shows that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sized.h"
#include "inspect/leaks.h"
#include "sched/probe.h"

enum { POINTS_DEFAULT = 10000, COUNT_TRIES = 8, TURNS_FREE = 100000, TURNS_FACTOR = 100 };

struct sweep {
    struct wf_probe probe; /* of the present run; first */
    weft_fn *fn;
    void *arg;
    weft_sweep_options options;
    weft_options run_options;
    weft_sweep_report report;
    uint32_t *trail; /* of the clean run */
    uint64_t room;
    uint64_t turns;         /* of the clean run */
    struct wf_leaks clean;  /* left without any cancellation */
    struct wf_leaks leaks;  /* of the present run */
    struct wf_open_fds fds; /* before and after it */
    struct wf_open_fds fds_now;
    bool has_run; /* the present run could start */
    bool is_hung;
    char hang[256]; /* the first line of the deadlock's report */
    intptr_t outcome;
};

/* ---- one run ---- */

static void on_diagnostic(const weft_diagnostic *what, void *arg)
{
    struct sweep *sweep = arg;
    if (what->kind == WEFT_DIAG_DEADLOCK && sweep->hang[0] == '\0') {
        (void)snprintf(sweep->hang, sizeof sweep->hang, "%s", what->text);
    }
    if (sweep->options.diagnostic != NULL) {
        sweep->options.diagnostic(what, sweep->options.diagnostic_arg);
    }
}

static void on_main_ended(struct wf_probe *probe, weft_runtime *runtime)
{
    struct sweep *sweep = (struct sweep *)(void *)probe;
    wf_leaks_add_tasks(&sweep->leaks, runtime);
}

static void on_going(struct wf_probe *probe, weft_runtime *runtime)
{
    struct sweep *sweep = (struct sweep *)(void *)probe;
    sweep->has_run = true;
    sweep->is_hung = runtime->is_deadlocked;
    if (!sweep->is_hung) {
        wf_leaks_add_rest(&sweep->leaks, runtime);
    }
}

static void prepare(struct sweep *sweep, uint64_t point, weft_sweep_moment moment)
{
    sweep->probe = (struct wf_probe){
        .main_only = sweep->options.main_only,
        .moment = moment,
        .target = point,
        .trail = sweep->trail,
        .room = sweep->room,
        .most_turns = point != 0 ? TURNS_FREE + TURNS_FACTOR * sweep->turns : 0,
        .main_ended = on_main_ended,
        .going = on_going,
    };
    sweep->leaks.count = 0;
    sweep->has_run = false;
    sweep->is_hung = false;
    sweep->hang[0] = '\0';
}

static int64_t heap_now(const struct sweep *sweep)
{
    return sweep->options.heap != NULL ? sweep->options.heap(sweep->options.heap_arg) : 0;
}

static void find_hang(struct sweep *sweep)
{
    sweep->leaks.count = 0; /* the rest follows from it */
    const char *why = sweep->probe.is_endless ? "the run does not end" : sweep->hang;
    wf_leaks_add(&sweep->leaks, WEFT_SWEEP_HANG, NULL, 1, "%s", why);
}

/* 0, or the error with which the run could not start. */
static int run(struct sweep *sweep, uint64_t point, weft_sweep_moment moment)
{
    prepare(sweep, point, moment);
    bool has_fds = wf_open_fds_list(&sweep->fds);
    int64_t heap = heap_now(sweep);
    sweep->outcome = wf_run_probed(sweep->fn, sweep->arg, &sweep->run_options, &sweep->probe);
    heap = heap_now(sweep) - heap;
    sweep->report.runs++;
    if (!sweep->has_run) {
        return (int)sweep->outcome;
    }
    if (sweep->is_hung) {
        find_hang(sweep);
        return 0;
    }
    if (has_fds && wf_open_fds_list(&sweep->fds_now)) {
        wf_leaks_add_fds(&sweep->leaks, &sweep->fds, &sweep->fds_now);
    }
    if (heap > 0) {
        wf_leaks_add(&sweep->leaks, WEFT_SWEEP_HEAP, NULL, heap, "the heap has grown");
    }
    return 0;
}

/* ---- telling ---- */

static const char *const moments[] = {
    [WEFT_SWEEP_NEVER] = "never cancelled",
    [WEFT_SWEEP_ENTRY] = "cancelled on entry",
    [WEFT_SWEEP_WAITING] = "cancelled while it waits",
    [WEFT_SWEEP_GRANTED] = "cancelled after the grant",
};

static void describe_point(const struct sweep *sweep, char *text, size_t size)
{
    const struct wf_probe *probe = &sweep->probe;
    unsigned long long point = probe->target;
    unsigned long long points = sweep->report.points;
    if (point == 0) {
        (void)snprintf(text, size, "without a cancellation");
    } else if (probe->call == NULL) {
        (void)snprintf(text, size, "point %llu of %llu", point, points);
    } else {
        (void)snprintf(text, size, "point %llu of %llu, %s in %s, %s", point, points, probe->call,
                       probe->who, moments[probe->moment]);
    }
}

static void tell(struct sweep *sweep, const struct wf_leak *found, int64_t amount)
{
    const struct wf_probe *probe = &sweep->probe;
    char where[320];
    char many[48] = "";
    char text[640];
    describe_point(sweep, where, sizeof where);
    if (amount > 1) {
        (void)snprintf(many, sizeof many, " (%lld in all)", (long long)amount);
    }
    (void)snprintf(text, sizeof text, "%s: %s%s", where, found->text, many);
    sweep->report.findings++;
    if (sweep->options.found == NULL) {
        wf_say("%s", text);
        return;
    }
    const weft_sweep_leak leak = {
        .finding = found->finding,
        .moment = probe->moment,
        .point = probe->target,
        .amount = amount,
        .site = found->site != NULL   ? found->site
                : probe->site != NULL ? probe->site
                                      : "",
        .text = text,
    };
    sweep->options.found(&leak, sweep->options.found_arg);
}

/* What is more than without a cancellation. */
static void tell_new(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->leaks.count; i++) {
        const struct wf_leak *leak = &sweep->leaks.at[i];
        int64_t more = leak->amount - wf_leaks_amount(&sweep->clean, leak->finding, leak->site);
        if (more > 0) {
            tell(sweep, leak, more);
        }
    }
}

static void tell_astray(struct sweep *sweep)
{
    static const struct wf_leak astray = {
        .finding = WEFT_SWEEP_ASTRAY,
        .text = "the run did not come here by the way of the first one: choices are made outside "
                "the seed",
    };
    tell(sweep, &astray, 1);
}

/* ---- the runs without a cancellation ---- */

static int make_room(struct sweep *sweep, uint64_t points)
{
    uint32_t *trail = realloc(sweep->trail, points * sizeof *trail);
    if (trail == NULL) {
        return -ENOMEM;
    }
    sweep->trail = trail;
    sweep->room = points;
    return 0;
}

/* Until the trail has had room for all: the second run as a rule. Until then nothing is told. */
static int run_clean(struct sweep *sweep)
{
    for (int i = 0; i < COUNT_TRIES; i++) {
        int rc = run(sweep, 0, WEFT_SWEEP_NEVER);
        uint64_t points = sweep->probe.points;
        if (rc < 0) {
            return rc;
        }
        sweep->report.points = points;
        if (i > 0 && points <= sweep->room) {
            tell_new(sweep);
            sweep->clean = sweep->leaks;
            sweep->turns = sweep->probe.turns;
            return sweep->is_hung ? 1 : 0;
        }
        rc = points > sweep->room ? make_room(sweep, points) : 0;
        if (rc < 0) {
            return rc;
        }
    }
    tell_astray(sweep);
    return 1;
}

/* ---- the points ---- */

static int run_at(struct sweep *sweep, uint64_t point, weft_sweep_moment moment)
{
    int rc = run(sweep, point, moment);
    if (rc < 0) {
        return rc;
    }
    if (!sweep->probe.is_reached) {
        tell_astray(sweep);
        return 0;
    }
    if (!sweep->probe.was_made) {
        return 0;
    }
    if (sweep->probe.was_delivered) {
        sweep->report.delivered++;
        sweep->report.swallowed += !sweep->is_hung && !weft_is_error(sweep->outcome) ? 1U : 0U;
    }
    tell_new(sweep);
    return 0;
}

static int sweep_point(struct sweep *sweep, uint64_t point)
{
    int rc = run_at(sweep, point, WEFT_SWEEP_ENTRY);
    if (rc == 0 && sweep->probe.is_reached) {
        rc = run_at(sweep, point, WEFT_SWEEP_WAITING);
    }
    if (rc == 0 && sweep->probe.was_made && sweep->probe.is_reached) {
        rc = run_at(sweep, point, WEFT_SWEEP_GRANTED);
    }
    return rc;
}

static int sweep_all(struct sweep *sweep)
{
    uint64_t points = sweep->report.points;
    uint64_t most = sweep->options.max_points;
    uint64_t chosen = points < most ? points : most;
    int rc = 0;
    for (uint64_t i = 0; i < chosen && rc == 0; i++) {
        uint64_t last = chosen > 1 ? chosen - 1 : 1;
        rc = sweep_point(sweep, 1 + i * (points - 1) / last);
    }
    return rc;
}

/* ---- the call ---- */

static int check_options(const weft_sweep_options *options, const weft_sweep_report *report)
{
    if (options != NULL && !wf_size_is_known(options->size, sizeof *options)) {
        return -EINVAL;
    }
    return report != NULL && report->size > sizeof *report ? -EINVAL : 0;
}

static void set_up(struct sweep *sweep, const weft_sweep_options *options)
{
    if (options != NULL) {
        sweep->options = *options;
    }
    if (sweep->options.max_points == 0) {
        sweep->options.max_points = POINTS_DEFAULT;
    }
    sweep->run_options = (weft_options){
        .simulate = true,
        .seed = sweep->options.seed,
        .stack_bytes = sweep->options.stack_bytes,
        .diagnostic = on_diagnostic,
        .diagnostic_arg = sweep,
    };
}

int64_t weft_cancel_sweep(weft_fn *fn, void *arg, const weft_sweep_options *options,
                          weft_sweep_report *report)
{
    int rc = fn == NULL ? -EINVAL : check_options(options, report);
    if (rc < 0 || wf_here() != NULL) {
        return rc < 0 ? rc : -EPERM;
    }
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (sweep == NULL) {
        return -ENOMEM;
    }
    sweep->fn = fn;
    sweep->arg = arg;
    set_up(sweep, options);
    rc = run_clean(sweep);
    if (rc == 0) {
        rc = sweep_all(sweep);
    }
    if (report != NULL) {
        size_t size = report->size != 0 ? report->size : sizeof *report;
        sweep->report.size = size;
        memcpy(report, &sweep->report, size);
    }
    int64_t findings = (int64_t)sweep->report.findings;
    free(sweep->trail);
    free(sweep->fds.numbers);
    free(sweep->fds_now.numbers);
    free(sweep);
    return rc < 0 ? rc : findings;
}
