// SPDX-License-Identifier: MIT
/* trim.c - when the memory of free stacks goes back to the kernel.
 *
 * What: a look every LOOK_NS while some depot has more dirty stacks than it keeps, each of which says
 *       what is surplus (depot.c); in between the surplus goes, a slab at a time. Workers call: idle
 *       ones until nothing is left, busy ones with pauses.
 * Why this way: whoever ends a task does not pay for it, and there is no thread for it. An idle runtime
 *       comes to rest: the tenth look at the latest finds all that is left to be surplus, and the next one nothing.
 * Threads: any; one at a time, others go on. A give that finds WF_FOREVER in trim_ns had the depot's
 *       lock after the look whose trimmer stored it, or that look has seen what was given: so either of
 *       them sees that another look is needed.
 */
#include "fiber/depot.h"
#include "fiber/stack.h"

#define LOOK_NS INT64_C(100000000)

static bool trim_some(struct wf_stacks *stacks)
{
    for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
        if (wf_depot_trim(&stacks->depots[i])) {
            return true;
        }
    }
    return false;
}

/* True: another look is needed. */
static bool look(struct wf_stacks *stacks, int64_t now_ns)
{
    bool is_needed = false;
    wf_store_rlx(&stacks->trim_ns, WF_FOREVER); /* before the depots' locks: see above */
    for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
        is_needed |= wf_depot_look(&stacks->depots[i]);
    }
    stacks->look_ns = now_ns + (is_needed ? LOOK_NS : 0);
    return is_needed;
}

bool wf_stacks_trim(struct wf_stacks *stacks, int64_t now_ns, unsigned pause)
{
    if (now_ns < wf_stacks_trim_ns(stacks) || !wf_trylock(&stacks->trim_lock)) {
        return false;
    }
    bool is_needed = now_ns < stacks->look_ns || look(stacks, now_ns);
    bool has_trimmed = is_needed && trim_some(stacks);
    if (has_trimmed) {
        int64_t end_ns = wf_monotonic_ns();
        wf_store_rlx(&stacks->trim_ns, end_ns + (int64_t)pause * (end_ns - now_ns));
    } else if (is_needed) {
        wf_store_rlx(&stacks->trim_ns, stacks->look_ns);
    }
    wf_unlock(&stacks->trim_lock);
    return has_trimmed;
}
