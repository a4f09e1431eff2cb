// SPDX-License-Identifier: MIT
/* fake_open.c - making simulated descriptors, and how unkind they are to be. */
#include <errno.h>

#include <weft/testing.h>

#include "await/fake.h"
#include "base/sized.h"

static int open_two(int fds[2], int (*make)(struct wf_fakes *world, struct wf_fake *ends[2]))
{
    int rc = 0;
    struct wf_fake *ends[2];
    struct wf_sim *sim = wf_sim_here(&rc);
    if (sim == NULL || fds == NULL) {
        return sim == NULL ? rc : -EINVAL;
    }
    rc = make(wf_sim_fakes(sim), ends);
    if (rc == 0) {
        fds[0] = ends[0]->number;
        fds[1] = ends[1]->number;
    }
    return rc;
}

int weft_sim_pipe(int fds[2])
{
    return open_two(fds, wf_fake_pipe);
}

int weft_sim_socketpair(int fds[2])
{
    return open_two(fds, wf_fake_pair);
}

int weft_sim_listen(uint16_t port)
{
    int rc = 0;
    struct wf_fake *fake;
    struct wf_sim *sim = wf_sim_here(&rc);
    if (sim == NULL || port == 0) {
        return sim == NULL ? rc : -EINVAL;
    }
    rc = wf_fake_listen(wf_sim_fakes(sim), port, &fake);
    return rc < 0 ? rc : fake->number;
}

int weft_sim_socket(void)
{
    int rc = 0;
    struct wf_fake *fake;
    struct wf_sim *sim = wf_sim_here(&rc);
    if (sim == NULL) {
        return rc;
    }
    rc = wf_fake_socket(wf_sim_fakes(sim), &fake);
    return rc < 0 ? rc : fake->number;
}

static bool is_chance(int permille)
{
    return permille >= 0 && permille <= 1000;
}

int weft_sim_set_faults(const weft_sim_faults *faults)
{
    int rc = 0;
    struct wf_sim *sim = wf_sim_here(&rc);
    if (sim == NULL) {
        return rc;
    }
    if (faults == NULL || !wf_size_is_known(faults->size, sizeof *faults) ||
        !is_chance(faults->short_transfers) || !is_chance(faults->late) || faults->late_ns < 0 ||
        !is_chance(faults->resets) || !is_chance(faults->late_cancels)) {
        return -EINVAL;
    }
    *wf_sim_faults(sim) = *faults;
    return 0;
}
