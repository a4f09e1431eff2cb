// SPDX-License-Identifier: MIT
/* leaks.h - what a run has left behind, for the cancel sweep.
 *
 * What: a tally with one entry for each kind and place, so that the tally of one run can be compared with
 *       that of another.
 * Threads: one, with no runtime running, or the one of a simulation.
 */
#ifndef WF_INSPECT_LEAKS_H
#define WF_INSPECT_LEAKS_H

#include <weft/testing.h>

enum { WF_LEAKS_MAX = 32 };

struct wf_leak {
    weft_sweep_finding finding;
    const char *site; /* of a task; NULL: none */
    int64_t amount;
    char text[224]; /* about the first of them */
};

/* More kinds and places than there is room for count as the last one. */
struct wf_leaks {
    size_t count;
    struct wf_leak at[WF_LEAKS_MAX];
};

/* One more, or `amount` more, of a kind and place. */
__attribute__((format(printf, 5, 6))) void wf_leaks_add(struct wf_leaks *leaks,
                                                        weft_sweep_finding finding,
                                                        const char *site, int64_t amount,
                                                        const char *text, ...);

/* How many of that kind and place there are. */
int64_t wf_leaks_amount(const struct wf_leaks *leaks, weft_sweep_finding finding, const char *site);

/* Unfinished tasks that are not detached. When main has ended. */
void wf_leaks_add_tasks(struct wf_leaks *leaks, weft_runtime *runtime);

/* Handles, armed timers, simulated descriptors. When the runtime is about to go. */
void wf_leaks_add_rest(struct wf_leaks *leaks, weft_runtime *runtime);

/* The process's open descriptors, in no order. Zeroed: none; `numbers` is free()d by the owner. */
struct wf_open_fds {
    int *numbers;
    size_t count;
    size_t room;
};

/* False without memory or /proc: what it holds then must not be compared. */
bool wf_open_fds_list(struct wf_open_fds *fds);

/* Those of `now` that `before` does not have. */
void wf_leaks_add_fds(struct wf_leaks *leaks, const struct wf_open_fds *before,
                      const struct wf_open_fds *now);

#endif
