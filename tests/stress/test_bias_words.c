/* SPDX-License-Identifier: MIT */
/* test_bias_words.c - owners that change words of their own by plain stores, and guests who stop them.
 *
 * What each has added to a word is counted, so a change that gets lost is missed. Owners and guests meet at an
 * instruction by luck where each has a processor; where all share one, who wakes up takes it from whom it finds
 * there, also within.
 */
#include <sys/prctl.h>
#include <time.h>

#include "base/bias.h"
#include "stress.h"

enum { OWNERS = 3, GUESTS = 3, WORDS = 4 };

struct place {
    _Alignas(64) struct wf_bias_owner owner;
    wf_au64 words[WORDS];
    wf_au64 top, bottom;
    uint64_t added[WORDS]; /* by its owner */
    uint64_t random, renewed;
    bool was_biased;
};

struct hall {
    struct wf_bias bias;
    struct place places[OWNERS];
    _Atomic uint64_t guests_added[OWNERS][WORDS];
    _Atomic uint32_t is_over;
    _Atomic uint64_t visits;
    bool naps;
};

static struct hall hall;

/* ---- owners ---- */

/* Each of the ways to change a word. */
static bool add_biased(struct place *place, wf_au64 *word)
{
    uint64_t seen = wf_load_acq(word);
    uint64_t low = wf_load_rlx(&place->bottom);
    const struct wf_bias_lower lower = {&place->bottom, low - 1, &place->top};

    return draw(&place->random) % 2 == 0
               ? wf_bias_swap(&place->owner, word, seen, seen + 1)
               : wf_bias_swap_and_lower(&place->owner, word, seen, seen + 1, &lower);
}

static void *own(void *arg)
{
    struct place *place = arg;

    while (atomic_load_explicit(&hall.is_over, memory_order_relaxed) == 0) {
        size_t at = draw(&place->random) % WORDS;
        wf_store_rlx(&place->bottom, (uint64_t)1000);
        bool is_biased = add_biased(place, &place->words[at]);
        if (!is_biased) {
            (void)wf_add_sc(&place->words[at], 1U);
        }
        wf_bias_look(&hall.bias, &place->owner, is_biased ? 0 : wf_monotonic_ns());
        place->renewed += is_biased && !place->was_biased;
        place->was_biased = is_biased;
        place->added[at]++;
    }
    return NULL;
}

/* ---- guests ---- */

static void rest(uint64_t *random)
{
    struct timespec nap = {.tv_nsec = (long)(draw(random) % 200000)};

    if (hall.naps) {
        (void)nanosleep(&nap, NULL);
    } else if (draw(random) % 4 == 0) {
        dither(random);
    }
}

/* While he is there only guests change the word, each by a locked operation. */
static void change(size_t whose, uint64_t *random)
{
    size_t at = draw(random) % WORDS;
    wf_au64 *word = &hall.places[whose].words[at];
    uint64_t seen = wf_load_acq(word);

    rest(random);
    while (!wf_cas_sc(word, &seen, seen + 1)) {
    }
    atomic_fetch_add(&hall.guests_added[whose][at], 1);
    atomic_fetch_add(&hall.visits, 1);
}

static void visit(size_t whose, uint64_t *random)
{
    struct wf_bias_owner *owner = &hall.places[whose].owner;
    bool is_guest = false;

    switch (draw(random) % 3) {
    case 0:
        is_guest = wf_bias_visit(&hall.bias);
        change(draw(random) % OWNERS, random);
        break;
    case 1: /* one within the other */
        is_guest = wf_bias_visit_one(&hall.bias, owner);
        visit((whose + 1) % OWNERS, random);
        change(whose, random);
        break;
    default:
        is_guest = wf_bias_visit_one(&hall.bias, owner);
        change(whose, random);
    }
    wf_bias_leave(&hall.bias, is_guest);
}

static void *come_and_go(void *arg)
{
    uint64_t random = as_seed(arg);

    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    while (atomic_load(&hall.is_over) == 0) {
        visit(draw(&random) % OWNERS, &random);
        for (uint64_t i = draw(&random) % 64; i > 0; i--) {
            rest(&random);
        }
    }
    return NULL;
}

/* ---- rounds ---- */

static void check_sums(void)
{
    for (size_t i = 0; i < OWNERS; i++) {
        for (size_t j = 0; j < WORDS; j++) {
            struct place *place = &hall.places[i];
            wt_check(wf_load_acq(&place->words[j]) ==
                     place->added[j] + atomic_load(&hall.guests_added[i][j]));
        }
    }
    wt_check(wf_load_acq(&hall.bias.guests) == 0);
}

static void play(bool naps, int64_t long_ns)
{
    pthread_t owners[OWNERS], guests[GUESTS];
    struct timespec rest_of_us = {.tv_sec = long_ns / WEFT_S, .tv_nsec = long_ns % WEFT_S};
    uint64_t random = wt_seed() | 1, renewed = 0;

    hall.naps = naps;
    for (size_t i = 0; i < OWNERS; i++) {
        hall.places[i].random = draw(&random) | 1;
        wf_bias_add(&hall.bias, &hall.places[i].owner);
    }
    wf_bias_begin(&hall.bias);
    if (wf_load_acq(&hall.bias.is_possible) == 0) {
        wt_skip("nobody is ever biased here");
    }
    for (size_t i = 0; i < OWNERS; i++) {
        cr_assert_eq(pthread_create(&owners[i], NULL, own, &hall.places[i]), 0);
    }
    for (size_t i = 0; i < GUESTS; i++) {
        cr_assert_eq(pthread_create(&guests[i], NULL, come_and_go, as_arg(draw(&random))), 0);
    }
    (void)nanosleep(&rest_of_us, NULL);
    atomic_store(&hall.is_over, 1);
    for (size_t i = 0; i < OWNERS; i++) {
        cr_assert_eq(pthread_join(owners[i], NULL), 0);
        renewed += hall.places[i].renewed;
    }
    for (size_t i = 0; i < GUESTS; i++) {
        cr_assert_eq(pthread_join(guests[i], NULL), 0);
    }
    check_sums();
    wt_assert_clean();
    fprintf(stderr, "%llu visits, biased again %llu times\n",
            (unsigned long long)atomic_load(&hall.visits), (unsigned long long)renewed);
    cr_assert(atomic_load(&hall.visits) > 0 && renewed > 0);
}

Test(stress_bias_words, guests_come_often, .timeout = 30)
{
    play(false, WEFT_S);
}

Test(stress_bias_words, guests_interrupt_owners, .timeout = 30)
{
    stay_on_one_processor();
    play(true, 2 * WEFT_S);
}
