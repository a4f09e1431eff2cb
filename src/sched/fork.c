// SPDX-License-Identifier: MIT
/* fork.c - a forked child inherits the memory of a runtime, but not its threads.
 *
 * The one piece of state that is not a runtime's: a count that the child's fork handler raises, so that
 * every call can tell a parent's runtime from one of its own.
 */
#include <pthread.h>

#include "sched/loop.h"

wf_au32 wf_forks;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_child(void)
{
    struct wf_worker *worker = wf_here();
    (void)wf_add_rlx(&wf_forks, 1U);
    if (worker != NULL) {
        /* No short ways, also when it comes back from a child inside. */
        wf_here_cut_short_ways();
        wf_store_rlx(&worker->running, &wf_no_task);
        wf_store_rlx(&worker->is_open, (uint8_t)0);
        wf_bias_forked(&worker->tasks.registry->bias, &worker->tasks.owner);
        wf_fiber_set_no_room(worker->fiber);
    }
}

static void install(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

uint32_t wf_fork_epoch(void)
{
    (void)pthread_once(&once, install);
    return wf_load_rlx(&wf_forks);
}
