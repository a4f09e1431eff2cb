// SPDX-License-Identifier: MIT
/* simulate_world.c - what a simulation has besides its turns: chance, calls that are to come, interrupts, faults; how it is
 * made and goes. */
#include "sched/simulate_inside.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/task.h>

#include "sched/loop.h"
#include "sched/probe.h"
#include "sched/sched.h"
#include "task/cancel.h"

/* ---- chance ---- */

/* SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
static uint64_t next_random(struct wf_sim *sim)
{
    uint64_t z = (sim->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t wf_sim_draw(struct wf_sim *sim, uint64_t bound)
{
    if (sim->is_strict || bound == 0) {
        return 0;
    }
    return next_random(sim) % bound; /* the bias of a bound far below 2^64 is nothing to a test */
}

uint64_t wf_sim_number(struct wf_sim *sim, uint64_t bound)
{
    if (bound == 0) {
        return 0;
    }
    return sim->is_strict ? sim->count++ % bound : wf_sim_draw(sim, bound);
}

bool wf_sim_chance(struct wf_sim *sim, int permille)
{
    return !sim->is_strict && permille > 0 && wf_sim_draw(sim, 1000) < (uint64_t)permille;
}

bool wf_sim_is_strict(const struct wf_sim *sim)
{
    return sim->is_strict;
}

/* ---- what the rooms above ask ---- */

void wf_sim_main_ended(struct wf_sim *sim)
{
    struct wf_probe *probe = sim->runtime->probe;
    if (probe != NULL) {
        probe->main_ended(probe, sim->runtime);
    }
    if (sim->is_strict) {
        wf_sim_push(sim, WF_TURN_CLOSE, 0);
    } else {
        wf_lifecycle_close(sim->runtime);
    }
}

uint64_t wf_sim_armed(struct wf_sim *sim)
{
    uint64_t armed = 0;
    for (uint32_t i = 0; i < sim->runtime->worker_count; i++) {
        armed += sim->runtime->workers[i].wheel.pending;
    }
    for (const struct wf_list *l = sim->calls.next; l != &sim->calls; l = l->next) {
        armed--;
    }
    return armed;
}

void wf_sim_advance(struct wf_sim *sim, int64_t duration_ns)
{
    struct wf_clock *clock = &sim->runtime->clock;
    clock->virtual_ns = wf_deadline_after(clock->virtual_ns, duration_ns);
}

static void on_time(struct wf_timer *timer, void *context)
{
    struct wf_sim_call *call = WF_CONTAINER(timer, struct wf_sim_call, timer);
    (void)context;
    wf_list_remove(&call->link);
    wf_list_push(&call->sim->due_calls, &call->link);
}

int wf_sim_after(struct wf_sim *sim, int64_t delay_ns, void (*fn)(void *), void *arg)
{
    struct wf_sim_call *call = malloc(sizeof *call);
    if (call == NULL) {
        return -ENOMEM;
    }
    call->sim = sim;
    call->fn = fn;
    call->arg = arg;
    wf_list_init(&call->link);
    wf_list_push(&sim->calls, &call->link);
    struct wf_wheel *wheel = &wf_here()->wheel;
    wf_timer_init(&call->timer, wheel, on_time);
    if (delay_ns < 0 && sim->is_strict) {
        wf_lock(&wheel->lock);
        wf_sim_push(sim, WF_TURN_SOON, wf_timer_arm_soon_locked(&call->timer));
        wf_unlock(&wheel->lock);
    } else {
        (void)wf_timer_arm(&call->timer, wf_deadline_after(wf_runtime_now(sim->runtime), delay_ns));
    }
    return 0;
}

bool wf_sim_interrupt(struct wf_sim *sim)
{
    weft_runtime *runtime = sim->runtime;
    if (!runtime->options.sigint) {
        return false;
    }
    wf_store_rel(&runtime->was_interrupted, ++sim->interrupts);
    if (sim->interrupts == 1) {
        struct wf_later later;
        wf_later_init(&later);
        (void)wf_cancel(runtime->main, 1, WEFT_CAUSE_INTERRUPT, &later);
        wf_sched_flush(&later);
    } else if (sim->interrupts == 2) {
        sim->is_cut = true;
        wf_lifecycle_close(runtime);
    }
    return true;
}

struct wf_fakes *wf_sim_fakes(struct wf_sim *sim)
{
    return &sim->fakes;
}

weft_sim_faults *wf_sim_faults(struct wf_sim *sim)
{
    return &sim->faults;
}

uint32_t wf_sim_open_descriptors(const struct wf_sim *sim)
{
    return sim->fakes.open_count;
}

/* ---- life ---- */

static const weft_sim_faults usual_faults = {.size = sizeof usual_faults,
                                             .short_transfers = 250,
                                             .late = 250,
                                             .late_ns = WEFT_MS,
                                             .resets = 2,
                                             .late_cancels = 250};

int wf_sim_create(weft_runtime *runtime)
{
    struct wf_sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL) {
        return -ENOMEM;
    }
    sim->runtime = runtime;
    sim->is_strict = runtime->options.seed == 0;
    sim->random = runtime->options.seed;
    wf_list_init(&sim->calls);
    wf_list_init(&sim->due_calls);
    wf_fakes_init(&sim->fakes);
    sim->faults = usual_faults;
    if (sim->is_strict) {
        sim->faults = (weft_sim_faults){.size = sizeof sim->faults};
    }
    runtime->sim = sim;
    runtime->registry.has_turns = sim->is_strict;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        runtime->workers[i].sim = sim;
        runtime->workers[i].odd_below = UINT64_MAX;
        runtime->workers[i].host = &runtime->workers[0].own_host;
        runtime->workers[i].fiber = runtime->workers[i].host;
        runtime->workers[i].until_poll = 0; /* fibers always go back to the loop */
    }
    return 0;
}

static void free_calls(struct wf_list *calls)
{
    while (!wf_list_is_empty(calls)) {
        struct wf_sim_call *call = WF_CONTAINER(calls->next, struct wf_sim_call, link);
        wf_list_remove(&call->link);
        free(call);
    }
}

void wf_sim_destroy(struct wf_sim *sim)
{
    if (sim == NULL) {
        return;
    }
    free_calls(&sim->calls);
    free_calls(&sim->due_calls);
    wf_fakes_destroy(&sim->fakes);
    free(sim->turns);
    free(sim);
}
