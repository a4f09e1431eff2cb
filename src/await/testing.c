// SPDX-License-Identifier: MIT
/* testing.c - the public calls of a simulation: time and chance. */
#include <errno.h>

#include <weft/testing.h>

#include "await/door.h"

/* The simulation that the caller runs in, as a fiber or as a call of weft_sim_after; NULL with *error. */
static struct wf_sim *sim_here(int *error)
{
    struct wf_worker *worker = wf_here();
    if (worker == NULL) {
        *error = -EPERM;
        return NULL;
    }
    *error = wf_runtime_is_forked(worker->runtime) ? -ECHILD : -ENOTSUP;
    return *error == -ECHILD ? NULL : worker->sim;
}

int weft_sim_advance(int64_t duration_ns)
{
    int rc = 0;
    struct wf_sim *sim = sim_here(&rc);
    if (sim == NULL || duration_ns < 0) {
        return sim == NULL ? rc : -EINVAL;
    }
    wf_sim_advance(sim, duration_ns);
    return 0;
}

int weft_sim_after(int64_t delay_ns, void (*fn)(void *arg), void *arg)
{
    int rc = 0;
    struct wf_sim *sim = sim_here(&rc);
    if (sim == NULL || fn == NULL) {
        return sim == NULL ? rc : -EINVAL;
    }
    return wf_sim_after(sim, delay_ns, fn, arg);
}

int weft_sim_interrupt(void)
{
    int rc = 0;
    struct wf_sim *sim = sim_here(&rc);
    if (sim == NULL) {
        return rc;
    }
    return wf_sim_interrupt(sim) ? 0 : -ENOTSUP;
}

uint64_t weft_sim_random(uint64_t bound)
{
    int rc = 0;
    struct wf_sim *sim = sim_here(&rc);
    return sim != NULL ? wf_sim_number(sim, bound) : 0;
}
