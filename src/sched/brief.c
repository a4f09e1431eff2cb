// SPDX-License-Identifier: MIT
/* brief.c - how long workers stay awake. */
#include "sched/brief.h"

/* What is brief: a few turns, and staying awake for a moment before the next sleep (WF_LINGER_NS). What is frequent: by then
 * the watchdog looks again. How often in a row it must have been so, how many tasks need nobody else. */
enum { BRIEF_NS = 100000, FREQUENT_NS = 2500000, TRUSTED = 16, FEW = 3 };

/* A sleep that ended for nothing says nothing. */
void wf_brief_end(struct wf_worker *worker, int64_t now_ns)
{
    struct wf_brief *brief = &worker->brief;
    if (brief->since_ns == 0 || wf_load_rlx(&worker->turns) != brief->turns) {
        bool is_brief =
            brief->is_frequent && brief->since_ns != 0 && now_ns - brief->since_ns < BRIEF_NS;
        uint8_t more = brief->streak < TRUSTED ? brief->streak + 1 : TRUSTED;
        brief->streak = is_brief ? more : 0;
    }
    brief->since_ns = 0;
}

void wf_brief_begin(struct wf_worker *worker, int64_t slept_ns, int64_t now_ns)
{
    struct wf_brief *brief = &worker->brief;
    brief->since_ns = now_ns;
    brief->turns = wf_load_rlx(&worker->turns);
    brief->is_frequent = now_ns - slept_ns < FREQUENT_NS;
}

/* Who leans sleeps for long: he is trusted while others make the watchdog hurry. */
bool wf_brief_is_trusted(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    if (worker->brief.streak < TRUSTED) {
        return false;
    }
    if (worker->brief.is_frequent && wf_load_rlx(&runtime->wants_hurry) == 0) {
        wf_store_rlx(&runtime->wants_hurry, (uint8_t)1);
    }
    return wf_load_rlx(&runtime->is_hurried) != 0;
}

static bool is_still_brief(const struct wf_worker *worker)
{
    int64_t since_ns = worker->brief.since_ns;
    return since_ns != 0 && wf_monotonic_ns() - since_ns < BRIEF_NS;
}

/* On a fiber: nobody has been woken since. Whoever spawns wakes somebody for that. */
bool wf_brief_keeps(struct wf_worker *worker, uint64_t count, uint64_t own)
{
    struct wf_brief *brief = &worker->brief;
    uint64_t end = wf_deque_bottom(&worker->woken);
    bool is_on_host = worker->fiber == worker->host;
    bool keeps = is_on_host
                     ? count - own <= FEW && wf_brief_is_trusted(worker) && is_still_brief(worker)
                     : count <= brief->kept && end == brief->kept_end;
    brief->kept = keeps ? (uint8_t)count : 0;
    brief->kept_end = end;
    return keeps;
}

bool wf_brief_hurries(weft_runtime *runtime, uint32_t *unwanted)
{
    bool is_wanted = wf_load_rlx(&runtime->wants_hurry) != 0;
    if (is_wanted) {
        wf_store_rlx(&runtime->wants_hurry, (uint8_t)0);
    }
    uint32_t more = *unwanted < WF_BRIEF_UNWANTED ? *unwanted + 1 : WF_BRIEF_UNWANTED;
    *unwanted = is_wanted ? 0 : more;
    bool hurries = *unwanted < WF_BRIEF_UNWANTED;
    if (hurries != (wf_load_rlx(&runtime->is_hurried) != 0)) {
        wf_store_rlx(&runtime->is_hurried, (uint8_t)hurries);
    }
    return hurries;
}
