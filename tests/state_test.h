/* SPDX-License-Identifier: MIT */
/* state_test.h - one state word and its steps.
 *
 * A race between a waker, a canceller and the worker that parks is a sequence of transitions on one
 * word. What is tested is each order of them; that each step is atomic is the CAS's business. */
#ifndef WEFT_STATE_TEST_H
#define WEFT_STATE_TEST_H

#include "task/request.h"
#include "task/state.h"
#include "weft_test.h"

WT_FN uint64_t take_back(wf_au64 *word)
{
    uint64_t after = 0;
    (void)wf_state_uncancel(word, false, 0, &after);
    return after;
}

static wf_au64 word;
static uint64_t after;

WT_FN uint64_t now(void)
{
    return wf_load_acq(&word);
}

WT_FN enum wf_life life(void)
{
    return wf_word_life(now());
}

WT_FN uint32_t count(void)
{
    return wf_word_count(now());
}

WT_FN uint32_t undelivered(void)
{
    return wf_word_undelivered(now());
}

WT_FN uint8_t next_epoch(void)
{
    return (uint8_t)(wf_word_epoch(now()) + 1U);
}

WT_FN void make_new(void)
{
    wf_store_rlx(&word, 0);
    wf_state_spawn(&word, false);
}

WT_FN void make_running(void)
{
    make_new();
    cr_assert_eq(wf_state_start(&word, now(), false), WF_START_RUN);
}

WT_FN void request(uint32_t n)
{
    cr_assert_eq(wf_state_request(&word, n, false, false, &after), WF_REQUEST_ADDED);
    cr_assert_eq(after, now());
}

#endif
