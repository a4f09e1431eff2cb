// SPDX-License-Identifier: MIT
/* probe.c - counting points, and one request at the right moment. */
#include "sched/probe.h"

#include <stdio.h>

#include "task/cancel.h"
#include "task/end.h"

/* FNV-1a: Fowler, Noll and Vo. */
static uint32_t add_to_sum(uint32_t sum, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        sum = (sum ^ (uint32_t)(number & 0xff)) * UINT32_C(16777619);
        number >>= 8;
    }
    return sum;
}

static void make_request(struct wf_probe *probe, weft_task *task)
{
    if (!wf_task_try_hold(task)) {
        return;
    }
    probe->victim = task; /* kept until the end, to see whether it was told */
    probe->inside = 0;
    probe->was_made = true;
    probe->tolls = wf_word_tolls(wf_load_acq(&task->word));
    struct wf_later later;
    wf_later_init(&later);
    (void)wf_cancel(task, 1, WEFT_CAUSE_NONE, &later);
    wf_sched_flush(&later);
}

static void note_victim(struct wf_probe *probe, weft_task *task, const char *call)
{
    probe->call = call;
    probe->site = task->site;
    if ((wf_task_flags(task) & WF_TASK_MAIN) != 0) {
        (void)snprintf(probe->who, sizeof probe->who, "the main task");
    } else {
        (void)wf_task_describe(task, probe->who, sizeof probe->who);
    }
}

void wf_probe_point(struct wf_probe *probe, weft_task *self, const char *call)
{
    uint64_t id = wf_task_id(self);
    probe->inside = probe->inside == id ? 0 : probe->inside;
    uint64_t point = ++probe->points;
    probe->sum = add_to_sum(add_to_sum(probe->sum, id), (uintptr_t)call);
    if (probe->target == 0 && point <= probe->room) {
        probe->trail[point - 1] = probe->sum;
    }
    if (probe->target == 0 || point != probe->target) {
        return;
    }
    note_victim(probe, self, call);
    probe->is_reached = probe->trail[point - 1] == probe->sum;
    if (probe->is_reached && probe->moment == WEFT_SWEEP_ENTRY) {
        make_request(probe, self);
    } else if (probe->is_reached) {
        probe->inside = id;
        probe->suspect = self;
    }
}

/* A decided wait that is not the request's own doing: the call returns what it was granted. A trip through
 * the ready queue has no wait and is granted nothing. */
static bool is_decided(const weft_task *task)
{
    enum wf_verdict verdict = wf_word_verdict(wf_load_acq(&((weft_task *)(uintptr_t)task)->word));
    return wf_load_rlx(&task->wait) != NULL && verdict != WF_NONE && verdict != WF_TOLD_OFF;
}

void wf_probe_resume(struct wf_probe *probe, weft_task *task, bool is_new)
{
    if (is_new) {
        bool counts = !probe->main_only || (wf_task_flags(task) & WF_TASK_MAIN) != 0;
        wf_task_add_flags(task, counts ? WF_TASK_PROBED : 0);
        return;
    }
    if (probe->inside == wf_task_id(task) && probe->moment == WEFT_SWEEP_GRANTED &&
        is_decided(task)) {
        make_request(probe, task);
    }
}

/* Does the task that is watched run others on its stack, the innermost of them `task`, which waits? Then the
 * watched one waits, too: for a child. */
static bool waits_below(const struct wf_probe *probe, const weft_task *task)
{
    weft_task *at = probe->suspect;
    uint64_t joins;
    while (((joins = wf_load_sc(&at->joins)) & WF_JOINS_INSIDE) != 0) {
        at = wf_token_task(joins);
    }
    return at == task && at != probe->suspect && wf_word_life(wf_load_acq(&at->word)) == WF_PARKED;
}

void wf_probe_left(struct wf_probe *probe, weft_task *task)
{
    if (probe->inside != 0 && probe->inside != wf_task_id(task) &&
        probe->moment == WEFT_SWEEP_WAITING && wf_task_id(probe->suspect) == probe->inside &&
        waits_below(probe, task)) {
        make_request(probe, probe->suspect);
        return;
    }
    if (probe->inside == 0 || probe->inside != wf_task_id(task)) {
        return;
    }
    enum wf_life life = wf_word_life(wf_load_acq(&task->word));
    if (life != WF_RUN && life != WF_PARKED) {
        probe->inside = 0; /* it has ended */
    } else if (probe->moment == WEFT_SWEEP_WAITING &&
               (life == WF_PARKED || wf_load_rlx(&task->wait) == NULL)) {
        make_request(probe, task);
    }
}

bool wf_probe_turn(struct wf_probe *probe)
{
    probe->is_endless = probe->most_turns != 0 && probe->turns >= probe->most_turns;
    probe->turns++;
    return !probe->is_endless;
}

void wf_probe_end(struct wf_probe *probe)
{
    if (probe->victim != NULL) {
        uint32_t tolls = wf_word_tolls(wf_load_acq(&probe->victim->word));
        probe->was_delivered = tolls != probe->tolls;
        wf_task_let_go(probe->victim, NULL);
        probe->victim = NULL;
    }
}
