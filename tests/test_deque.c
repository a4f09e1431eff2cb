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

Test(deque, where_nobody_steals_the_oldest_is_exchanged, .init = open_deque, .fini = close_deque)
{
    cr_assert_eq(wf_deque_exchange(&deque, 2, 1), 0U); /* there is none */
    push_range(1, 2);
    cr_assert_eq(wf_deque_exchange(&deque, 4, 1), 0U); /* it has the bit */
    cr_assert_eq(wf_deque_count(&deque), 1U);
    take_range(1, 2);
    for (uint64_t i = 2; i < 2 + 2 * 256; i += 2) {
        cr_assert(wf_deque_push(&deque, i)); /* the ring is full */
    }
    for (uint64_t i = 2; i < 2000; i += 2) {
        cr_assert_eq(wf_deque_exchange(&deque, i + 2 * 256, 1), i);
        cr_assert_eq(wf_deque_count(&deque), 256U);
    }
    cr_assert(wf_deque_push(&deque, 2000 + 2 * 256)); /* grows */
    for (uint64_t i = 2000; i <= 2000 + 2 * 256; i += 2) {
        cr_assert_eq(wf_deque_take(&deque), i);
    }
    cr_assert_eq(wf_deque_take(&deque), 0U);
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

/* ---- what the owner takes off the bottom ---- */

Test(deque, the_newest_go_off_the_bottom, .init = open_deque, .fini = close_deque)
{
    uint64_t before;

    push_range(1, 6);
    cr_assert_eq(wf_deque_newest(&deque, 0), 5U);
    cr_assert_eq(wf_deque_newest(&deque, 2), 3U);
    before = wf_deque_bottom(&deque);
    wf_deque_lower(&deque, before, 2);
    cr_assert_eq(wf_deque_count(&deque), 3U);
    wf_fence_full();
    wf_deque_restore(&deque, before); /* after all not */
    cr_assert_eq(wf_deque_count(&deque), 5U);
    before = wf_deque_bottom(&deque);
    wf_deque_lower(&deque, before, 2);
    wf_fence_full();
    wf_deque_settle(&deque, before, 2);
    push_range(6, 8);
    take_range(1, 4);
    take_range(6, 8);
    cr_assert_eq(wf_deque_take(&deque), 0U);
}

/* A thief has been there meanwhile: what it may still be about to take keeps its index. */
Test(deque, an_index_at_the_top_is_not_used_again, .init = open_deque, .fini = close_deque)
{
    uint64_t out[1], before;

    push_range(1, 4);
    before = wf_deque_bottom(&deque);
    wf_deque_lower(&deque, before, 3);
    wf_store_rlx(&deque.bottom, before); /* it has seen the bottom as it was */
    cr_assert_eq(wf_deque_steal(&deque, out, 1), 1U);
    wf_deque_lower(&deque, before, 3);
    wf_deque_settle(&deque, before, 3);
    cr_assert_eq(wf_deque_count(&deque), 1U); /* 2 is dead, and for whoever finds it */
    push_range(7, 8);
    cr_assert_eq(wf_deque_take(&deque), 2U);
    cr_assert_eq(wf_deque_take(&deque), 7U);
    cr_assert_eq(wf_deque_take(&deque), 0U);
}

/* The owner as a joiner: it claims an entry of its own by another word, as do those who take entries. Each is
 * claimed once, by whoever comes first, and none is left over. */
enum { CLAIMS = 1 << 20 };

static _Atomic uint8_t claims[CLAIMS + 1];
static atomic_long claimed;

static bool claim(uint64_t entry)
{
    uint8_t is_free = 0;

    if (entry == 0 || !wt_check(entry >= 1 && entry <= CLAIMS) ||
        !atomic_compare_exchange_strong(&claims[entry], &is_free, 1)) {
        return false; /* it was dead */
    }
    atomic_fetch_add(&claimed, 1);
    return true;
}

static void *claim_all(void *unused)
{
    uint64_t out[32];

    (void)unused;
    for (;;) {
        bool was_done = atomic_load(&is_done);
        uint32_t count = wf_deque_steal(&deque, out, 32);

        for (uint32_t i = 0; i < count; i++) {
            (void)claim(out[i]);
        }
        if (count == 0 && was_done && wf_deque_count(&deque) == 0) {
            return NULL;
        }
        if (count == 0) {
            sched_yield();
        }
    }
}

/* As claim.h does it: how many lie dead at the bottom with the newest, then the claim between the two. */
static bool join_newest(uint64_t entry)
{
    uint64_t count = wf_deque_count(&deque);
    uint64_t dead = wf_deque_newest(&deque, 0) == entry ? 1 : 0;
    uint64_t before;

    while (dead < count && atomic_load(&claims[wf_deque_newest(&deque, dead)]) != 0) {
        dead++;
    }
    before = wf_deque_bottom(&deque);
    wf_deque_lower(&deque, before, dead);
    if (!claim(entry)) {
        wf_deque_restore(&deque, before);
        return false;
    }
    wf_fence_after_rmw();
    wf_deque_settle(&deque, before, dead);
    return true;
}

/* Families of random size, joined newest first, oldest first, in part by way of the top, or with some left to
 * whoever finds them: those are lost if an index is used twice. */
static void join_family(uint64_t *random, uint64_t first, uint64_t end)
{
    uint64_t how = draw(random) % 4;

    for (uint64_t i = first; i < end; i++) {
        uint64_t entry = how == 0 ? i : end - 1 - (i - first);

        if (how >= 2 && draw(random) % 2 == 0) {
            continue;
        }
        if (how == 1 && draw(random) % 2 == 0) {
            uint64_t oldest = wf_deque_take(&deque);

            if (oldest != 0) {
                (void)claim(oldest);
            }
        }
        if (!join_newest(entry)) {
            wt_check(atomic_load(&claims[entry]) == 1);
        }
    }
}

Test(deque, joins_at_the_bottom_and_thieves_claim_each_once, .init = open_deque,
     .fini = close_deque, .timeout = 60)
{
    pthread_t thieves[THIEVES];
    uint64_t random = wt_seed() | 1, next = 1, most = 0;
    const uint64_t end = CLAIMS / (WT_TIME_SCALE * WT_TIME_SCALE);

    for (int i = 0; i < THIEVES; i++) {
        cr_assert_eq(pthread_create(&thieves[i], NULL, claim_all, NULL), 0);
    }
    while (next <= end) {
        uint64_t first = next;
        uint64_t size = 1 + draw(&random) % (draw(&random) % 256 == 0 ? 3000 : 2);

        for (; next <= end && next < first + size; next++) {
            wt_check(wf_deque_push(&deque, next));
        }
        most = wf_deque_count(&deque) > most ? wf_deque_count(&deque) : most;
        join_family(&random, first, next);
        for (uint64_t left = draw(&random) % 4; wf_deque_count(&deque) > left;) {
            (void)claim(wf_deque_take(&deque)); /* mostly short, so that both ends meet */
        }
    }
    for (uint64_t entry; (entry = wf_deque_take(&deque)) != 0;) {
        (void)claim(entry);
    }
    atomic_store(&is_done, true);
    for (int i = 0; i < THIEVES; i++) {
        cr_assert_eq(pthread_join(thieves[i], NULL), 0);
    }
    wt_assert_clean();
    fprintf(stderr, "%ld claimed, at most %" PRIu64 " at once\n", atomic_load(&claimed), most);
    cr_assert_eq(atomic_load(&claimed), (long)end);
    cr_assert_eq(wf_deque_count(&deque), 0U);
}
