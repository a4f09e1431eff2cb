// SPDX-License-Identifier: MIT
/* answers.h - addresses of a host that come in one after the other.
 *
 * What: a name has two answers, its addresses of IPv6 and those of IPv4, and one may come long before the other.
 *       Whoever looks up tells them as they come; whoever uses them looks at `told`, woken by `news`.
 * Threads: one task looks up, one uses. A list is written before the addition to `told` that tells it
 *       (acq_rel) and read after a load of that (acquire); it is then constant.
 */
#ifndef WF_NET_ANSWERS_H
#define WF_NET_ANSWERS_H

#include <weft/event.h>
#include <weft/resolve.h>

#include "base/atomic.h"

enum wf_answer { WF_ANSWER_V6 = 1, WF_ANSWER_V4 = 2, WF_ANSWER_BOTH = 3 };

struct wf_answers {
    weft_event *news;
    wf_au32 told; /* enum wf_answer */

    /* NULL: it failed, or has not been told. An answer that is both, in an order of its own, is `both` alone. */
    weft_addresses *v6;
    weft_addresses *v4;
    weft_addresses *both;
    int error; /* of what failed, the one that says most */
};

/* Looks up and tells what it finds; what it has not told when it returns has failed with its result. An
 * await point, in a task of its own. */
typedef int wf_look_up(const void *question, struct wf_answers *answers);

/* The answer is `list`, or has failed with `error`. A later BOTH takes the place of what has failed. */
void wf_answers_tell(struct wf_answers *answers, enum wf_answer which, int error,
                     weft_addresses *list);

/* Nobody looks up any more. */
void wf_answers_free(struct wf_answers *answers);

static inline uint32_t wf_answers_told(struct wf_answers *answers)
{
    return wf_load_acq(&answers->told);
}

#endif
