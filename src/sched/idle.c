// SPDX-License-Identifier: MIT
/* idle.c - the transitions of the idle word. */
#include "sched/idle.h"

#include <errno.h>
#include <stdlib.h>

#define SEARCHING_ONE UINT64_C(1)
#define ASLEEP_ONE (UINT64_C(1) << 16)

static uint32_t searching_in(uint64_t word)
{
    return (uint32_t)(word & 0xffff);
}

static uint32_t asleep_in(uint64_t word)
{
    return (uint32_t)((word >> 16) & 0xffff);
}

int wf_idle_init(struct wf_idle *idle, uint32_t worker_count)
{
    idle->sleepers = calloc(worker_count, sizeof idle->sleepers[0]);
    idle->was_picked = calloc(worker_count, sizeof idle->was_picked[0]);
    if (idle->sleepers == NULL || idle->was_picked == NULL) {
        wf_idle_destroy(idle);
        return -ENOMEM;
    }
    idle->worker_count = worker_count;
    wf_store_rlx(&idle->is_asymmetric, worker_count == 1 || wf_fence_prepare() ? 1U : 0U);
    idle->sleeper_count = 0;
    wf_store_rlx(&idle->lock.value, 0);
    wf_store_rlx(&idle->word, UINT64_C(0));
    return 0;
}

void wf_idle_destroy(struct wf_idle *idle)
{
    free(idle->sleepers);
    free(idle->was_picked);
    idle->sleepers = NULL;
    idle->was_picked = NULL;
}

int wf_idle_pick(struct wf_idle *idle)
{
    int worker = WF_NOBODY;
    wf_lock(&idle->lock);
    if (searching_in(wf_load_sc(&idle->word)) == 0 && idle->sleeper_count > 0) {
        (void)wf_add_sc(&idle->word, SEARCHING_ONE - ASLEEP_ONE);
        worker = idle->sleepers[--idle->sleeper_count];
        idle->was_picked[worker] = 1;
    }
    wf_unlock(&idle->lock);
    return worker;
}

bool wf_idle_start_searching(struct wf_idle *idle)
{
    uint64_t word = wf_load_sc(&idle->word);
    if (2 * searching_in(word) >= idle->worker_count && idle->worker_count > 1) {
        return false;
    }
    (void)wf_add_sc(&idle->word, SEARCHING_ONE);
    return true;
}

bool wf_idle_stop_searching(struct wf_idle *idle)
{
    return searching_in(wf_sub_sc(&idle->word, SEARCHING_ONE)) == 1;
}

bool wf_idle_sleep(struct wf_idle *idle, uint32_t worker, bool is_searching)
{
    wf_lock(&idle->lock);
    uint64_t more = ASLEEP_ONE - (is_searching ? SEARCHING_ONE : UINT64_C(0));
    bool is_last = asleep_in(wf_add_sc(&idle->word, more)) == idle->worker_count - 1;
    idle->sleepers[idle->sleeper_count++] = (uint16_t)worker;
    idle->was_picked[worker] = 0;
    wf_unlock(&idle->lock);
    return is_last;
}

bool wf_idle_settle(struct wf_idle *idle, bool is_last)
{
    /* Who was not awake then queues nothing without a full fence of its own: a plain thread (wf_visit_begin),
     * or a worker that has woken up since (a locked add). */
    bool is_asymmetric = wf_load_rlx(&idle->is_asymmetric) != 0;
    if (wf_fence_heavy(is_asymmetric && !is_last)) {
        return true;
    }
    wf_store_rlx(&idle->is_asymmetric, (uint8_t)0);
    return false;
}

/* Takes `worker` off the sleepers if it is there; under the lock. */
WF_WAKING static bool remove_sleeper(struct wf_idle *idle, uint32_t worker)
{
    for (uint32_t i = 0; i < idle->sleeper_count; i++) {
        if (idle->sleepers[i] == worker) {
            idle->sleeper_count--;
            for (uint32_t j = i; j < idle->sleeper_count; j++) {
                idle->sleepers[j] = idle->sleepers[j + 1];
            }
            (void)wf_sub_sc(&idle->word, ASLEEP_ONE);
            return true;
        }
    }
    return false;
}

bool wf_idle_rouse(struct wf_idle *idle, uint32_t worker)
{
    wf_lock(&idle->lock);
    bool found = remove_sleeper(idle, worker);
    wf_unlock(&idle->lock);
    return found;
}

WF_WAKING bool wf_idle_wake_up(struct wf_idle *idle, uint32_t worker)
{
    wf_lock(&idle->lock);
    bool was_picked = !remove_sleeper(idle, worker) && idle->was_picked[worker] != 0;
    wf_unlock(&idle->lock);
    return was_picked;
}
