// SPDX-License-Identifier: MIT
/* idle.h - who sleeps, who searches, and whom a new task wakes.
 *
 * What: one word counts the workers that sleep and those that search for work; a small
 *       stack names the sleepers. A new task wakes a sleeper only if nobody searches; the last
 *       searcher that finds something wakes the next. So wake-ups are throttled and none is lost:
 *         queue a task:   publish it; the light fence;                       read the word
 *         fall asleep:    leave the word (a locked add); the heavy fence;    look at every queue again
 *       Either the queuer sees the searcher gone, or the searcher sees the task. (base/fence.h)
 * Source: the protocol of Go's scheduler and of Tokio's idle set; proof in docs/architecture.md.
 */
#ifndef WF_SCHED_IDLE_H
#define WF_SCHED_IDLE_H

#include "base/fence.h"
#include "base/hint.h"
#include "base/lock.h"

enum { WF_NOBODY = -1 };

struct wf_idle {
    /* {asleep:16 at bit 16, searching:16}: any worker, by locked adds (seq_cst). */
    wf_au64 word;
    struct wf_lock lock;
    uint32_t worker_count;
    /* See base/fence.h. Cleared (relaxed) by a worker whose heavy fence the kernel refuses, loaded (relaxed) by
     * whoever queues; who loads it late is covered by that worker's next look (sleep.c). */
    wf_au8 is_asymmetric;
    uint32_t sleeper_count; /* under lock */
    uint16_t *sleepers;     /* under lock: the last to fall asleep is woken first */
    uint8_t *was_picked;    /* under lock, per worker: taken off the sleepers as a searcher */
};

int wf_idle_init(struct wf_idle *idle, uint32_t worker_count);
void wf_idle_destroy(struct wf_idle *idle);

/* Whoever has published work asks first: false, nobody is to be woken. Contains the light fence. */
static inline bool wf_idle_needs(struct wf_idle *idle, bool is_asymmetric)
{
    wf_fence_light(is_asymmetric);
    uint64_t word = wf_load_sc(&idle->word);
    return __builtin_expect(word != 0, 0) && (word & 0xffff) == 0;
}

/* A worker to wake for new work, already counted as awake and searching; WF_NOBODY if it is not
 * needed. */
int wf_idle_pick(struct wf_idle *idle);

/* May this worker search? At most half of them do. */
bool wf_idle_start_searching(struct wf_idle *idle);

/* It found something. True when it was the last searcher: then another must be woken. */
bool wf_idle_stop_searching(struct wf_idle *idle);

/* Goes to the sleepers, but not to sleep yet. True: wf_idle_settle may leave the heavy fence out, since nobody
 * is awake who would need it. */
bool wf_idle_sleep(struct wf_idle *idle, uint32_t worker, bool is_searching);

/* The heavy fence. Then the worker must look at every queue once more before it blocks. Costs ten microseconds
 * where another worker runs: not for one that is woken before it has slept. False: the kernel makes none any more;
 * fences are full ones on both sides from now on, and this worker looks again soon. */
bool wf_idle_settle(struct wf_idle *idle, bool is_last);

/* Takes a certain worker off the sleepers, awake but not searching. False: it was not among them. */
bool wf_idle_rouse(struct wf_idle *idle, uint32_t worker);

/* A sleeper wakes up, for whatever reason. True: somebody picked it, and it counts as searching. */
bool wf_idle_wake_up(struct wf_idle *idle, uint32_t worker);

static inline uint32_t wf_idle_searching(struct wf_idle *idle)
{
    return (uint32_t)wf_load_sc(&idle->word) & 0xffff;
}

static inline uint32_t wf_idle_asleep(struct wf_idle *idle)
{
    return (uint32_t)(wf_load_sc(&idle->word) >> 16) & 0xffff;
}

/* The caller is awake: is nobody else? */
static inline bool wf_idle_is_last_awake(struct wf_idle *idle)
{
    return wf_idle_asleep(idle) + 1 >= idle->worker_count;
}

static inline bool wf_idle_all_asleep(struct wf_idle *idle)
{
    return wf_idle_asleep(idle) == idle->worker_count;
}

#endif
