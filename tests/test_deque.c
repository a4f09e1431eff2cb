/* SPDX-License-Identifier: MIT */
/* test_deque.c - order, growth, and stealing by threads: nothing lost, nothing twice. */
#include <pthread.h>
#include <sched.h>

#include "queue/deque.h"
#include "weft_test.h"

static struct wf_deque deque;

static void open_deque(void)
{
    cr_assert_eq(wf_deque_init(&deque), 0);
}

static void close_deque(void)
{
    wf_deque_destroy(&deque);
}

static void push_range(uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        cr_assert(wf_deque_push(&deque, i));
    }
}

static void take_range(uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        cr_assert_eq(wf_deque_take(&deque), i);
    }
}

Test(deque, empty_gives_nothing, .init = open_deque, .fini = close_deque)
{
    uint64_t out[4] = {7, 7, 7, 7};

    cr_assert_eq(wf_deque_take(&deque), 0U);
    cr_assert_eq(wf_deque_steal(&deque, out, 4), 0U);
    cr_assert_eq(wf_deque_count(&deque), 0U);
    push_range(1, 2);
    cr_assert_eq(wf_deque_count(&deque), 1U);
    take_range(1, 2);
    cr_assert_eq(wf_deque_take(&deque), 0U);
    cr_assert_eq(wf_deque_steal(&deque, out, 4), 0U);
    cr_assert_eq(out[0], 7U);
}

Test(deque, first_in_first_out_through_growth, .init = open_deque, .fini = close_deque)
{
    uint64_t pushed = 1, taken = 1;

    /* the window moves and widens, so every ring starts at some other index than 0 */
    for (uint64_t round = 1; round < 150; round++) {
        push_range(pushed, pushed + 3 * round);
        pushed += 3 * round;
        take_range(taken, taken + round);
        taken += round;
        cr_assert_eq(wf_deque_count(&deque), pushed - taken);
    }
    take_range(taken, pushed);
    cr_assert_eq(wf_deque_take(&deque), 0U);
}

Test(deque, entries_are_opaque_words, .init = open_deque, .fini = close_deque)
{
    static const uint64_t words[] = {UINT64_MAX, 1, UINT64_C(1) << 63,
                                     UINT64_C(0xffff000000000001)};

    for (int i = 0; i < 4; i++) {
        cr_assert(wf_deque_push(&deque, words[i]));
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(wf_deque_take(&deque), words[i]);
    }
}

Test(deque, a_thief_takes_the_oldest_half, .init = open_deque, .fini = close_deque)
{
    uint64_t out[64];

    push_range(1, 11);
    cr_assert_eq(wf_deque_steal(&deque, out, 64), 5U);
    for (uint64_t i = 0; i < 5; i++) {
        cr_assert_eq(out[i], i + 1);
    }
    cr_assert_eq(wf_deque_steal(&deque, out, 2), 2U); /* at most what fits */
    cr_assert(out[0] == 6 && out[1] == 7);
    cr_assert_eq(wf_deque_steal(&deque, out, 64), 2U); /* half of 3, rounded up */
    cr_assert_eq(wf_deque_steal(&deque, out, 64), 1U); /* the last one too */
    cr_assert_eq(out[0], 10U);
    cr_assert_eq(wf_deque_steal(&deque, out, 64), 0U);
    push_range(11, 12);
    take_range(11, 12);
}

Test(deque, steals_and_takes_share_one_order, .init = open_deque, .fini = close_deque)
{
    uint64_t out[32], next = 1;

    push_range(1, 2001);
    while (next < 2001) {
        uint32_t count = wf_deque_steal(&deque, out, (uint32_t)(next % 31) + 1);

        for (uint32_t i = 0; i < count; i++) {
            cr_assert_eq(out[i], next++);
        }
        if (next < 2001) {
            cr_assert_eq(wf_deque_take(&deque), next++);
        }
    }
}

/* ---- thieves ---- */

enum { ENTRIES = 300000, THIEVES = 3 };

static _Atomic uint8_t seen[ENTRIES + 1];
static atomic_bool is_done;
static atomic_long total;

static void note(uint64_t entry)
{
    if (wt_check(entry >= 1 && entry <= ENTRIES)) {
        wt_check(atomic_fetch_add(&seen[entry], 1) == 0);
        atomic_fetch_add(&total, 1);
    }
}

static void *steal_all(void *unused)
{
    uint64_t out[32];

    (void)unused;
    for (;;) {
        bool was_done = atomic_load(&is_done);
        uint32_t count = wf_deque_steal(&deque, out, 32);

        for (uint32_t i = 0; i < count; i++) {
            wt_check(i == 0 || out[i] == out[i - 1] + 1); /* a batch is a run of neighbours */
            note(out[i]);
        }
        if (count == 0 && was_done && wf_deque_count(&deque) == 0) {
            return NULL;
        }
        if (count == 0) {
            sched_yield();
        }
    }
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Bursts of random length, so that the deque is now empty, now long enough to grow under thieves. */
Test(deque, threads_lose_and_double_nothing, .init = open_deque, .fini = close_deque)
{
    pthread_t thieves[THIEVES];
    uint64_t random = wt_seed() | 1, next = 1, last = 0;

    for (int i = 0; i < THIEVES; i++) {
        cr_assert_eq(pthread_create(&thieves[i], NULL, steal_all, NULL), 0);
    }
    while (next <= ENTRIES) {
        uint64_t burst = draw(&random) % (draw(&random) % 16 == 0 ? 20000 : 40);
        uint64_t takes = draw(&random) % 40;

        for (uint64_t i = 0; i < burst && next <= ENTRIES; i++) {
            wt_check(wf_deque_push(&deque, next++));
        }
        for (uint64_t i = 0; i < takes; i++) {
            uint64_t entry = wf_deque_take(&deque);

            if (entry == 0) {
                break;
            }
            wt_check(entry > last); /* the owner sees them in order too */
            last = entry;
            note(entry);
        }
    }
    atomic_store(&is_done, true);
    for (int i = 0; i < THIEVES; i++) {
        cr_assert_eq(pthread_join(thieves[i], NULL), 0);
    }
    wt_assert_clean();
    cr_assert_eq(atomic_load(&total), ENTRIES);
    cr_assert_eq(wf_deque_count(&deque), 0U);
}
