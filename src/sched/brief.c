// SPDX-License-Identifier: MIT
/* brief.c - how long workers stay awake. */
#include "sched/brief.h"

/* What is brief: a few turns, and staying awake for a moment before the next sleep (WF_LINGER_NS). How often in a row it
 * must have been so, how many tasks need nobody else. */
enum { BRIEF_NS = 100000, TRUSTED = 16, FEW = 3 };

void wf_brief_end(struct wf_worker *worker, int64_t now_ns)
{
    struct wf_brief *brief = &worker->brief;
    bool is_brief = brief->since_ns != 0 && now_ns - brief->since_ns < BRIEF_NS;
    uint8_t more = brief->streak < TRUSTED ? brief->streak + 1 : TRUSTED;
    brief->streak = is_brief ? more : 0;
}

bool wf_brief_is_trusted(struct wf_worker *worker)
{
    weft_runtime *runtime = worker->runtime;
    if (worker->brief.streak < TRUSTED) {
        return false;
    }
    if (wf_load_rlx(&runtime->wants_hurry) == 0) {
        wf_store_rlx(&runtime->wants_hurry, (uint8_t)1);
    }
    return wf_load_rlx(&runtime->is_hurried) != 0;
}

bool wf_brief_keeps(struct wf_worker *worker, uint64_t count, uint64_t own)
{
    bool is_on_host = worker->fiber == worker->host;
    bool keeps = is_on_host ? count - own <= FEW && wf_brief_is_trusted(worker)
                            : count <= worker->brief.kept;
    worker->brief.kept = keeps ? (uint8_t)count : 0;
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
