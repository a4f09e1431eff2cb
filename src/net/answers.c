// SPDX-License-Identifier: MIT
/* answers.c - see answers.h. */
#include "net/answers.h"

#include <errno.h>

/* That there is no such address says less than what kept us from hearing of it. */
static bool says_more(int error, int former)
{
    return former == 0 || former == -ENODATA || (former == -ENOENT && error != -ENODATA);
}

void wf_answers_tell(struct wf_answers *answers, enum wf_answer which, int error,
                     weft_addresses *list)
{
    if (list == NULL && says_more(error, answers->error)) {
        answers->error = error;
    }
    switch (which) {
    case WF_ANSWER_V6:
        answers->v6 = list;
        break;
    case WF_ANSWER_V4:
        answers->v4 = list;
        break;
    case WF_ANSWER_BOTH:
        answers->both = list;
        break;
    }
    (void)wf_or_acqrel(&answers->told, (uint32_t)which);
    (void)weft_event_set(answers->news);
}

void wf_answers_free(struct wf_answers *answers)
{
    weft_addresses_free(answers->v6);
    weft_addresses_free(answers->v4);
    weft_addresses_free(answers->both);
}
