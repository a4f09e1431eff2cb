// SPDX-License-Identifier: MIT
/* fetch.c - what the next tasks will touch is fetched into the cache while others run.
 *
 * What: whoever takes an entry of the deque looks a few entries further. Of the farther one the record is
 *       fetched, every line of which a task needs that ends, and who joins it; of the nearer one, whose record is there
 *       by now, the top of its stack: as many lines as a task has used that waits in a call of the library.
 * Why this way: a task that has waited for long finds none of its lines in a cache, and touches them one
 *       after the other: a page to translate, a descriptor, a saved frame, the frames above it. Fetched
 *       together and early they cost less than half (docs/decisions.md). Tasks that yield are still warm,
 *       so only woken ones are fetched.
 * Threads: the deque's owner. A thief may have been faster: what is read then is stale, and a hint for the
 *       processor only. Records are never unmapped, and fetching never faults.
 */
#include "sched/ready.h"

enum { LINE_BYTES = 64, LINES = 9 };

/* Three cache lines, the last of which has `at`. In a row: a loop costs more than it fetches. */
static inline void fetch_lines(const char *at)
{
    wf_fetch(at);
    wf_fetch(at - LINE_BYTES);
    wf_fetch(at - (ptrdiff_t)2 * LINE_BYTES);
}

void wf_ready_fetch(struct wf_deque *lane, uint64_t at)
{
    weft_task *near = wf_token_task(wf_deque_at(lane, at + WF_FETCH_STACK));
    weft_task *middle = wf_token_task(wf_deque_at(lane, at + 2*WF_FETCH_STACK));
    weft_task *far = wf_token_task(wf_deque_at(lane, at + WF_FETCH_RECORD));
    const struct wf_fiber *fiber = wf_load_rlx(&near->fiber);
    const char *sp = fiber->sp;
    for (int i = 0; i < LINES; i++) wf_fetch(sp + (ptrdiff_t)i * LINE_BYTES);
    wf_fetch(wf_load_rlx(&middle->fiber));
    fetch_lines((const char *)far + (ptrdiff_t)2 * LINE_BYTES);
}
