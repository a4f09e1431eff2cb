/* SPDX-License-Identifier: MIT */
/* test_deque_steps.c - one thief, stopped before each of its atomic steps while the owner does whatever it may
 * do: nothing is lost, whatever comes between.
 *
 * The deque is built into this file with its loads and its CAS stopping here. The order of steps is all that is
 * tried: that real machines keep to it is what the fences in deque.h are for. */
#include "base/atomic.h"
#include "base/log.h"
#include "weft_test.h"

static void step(void);

/* ---- the deque, with stops ---- */

static uint64_t load_stopping(wf_au64 *at)
{
    step();
    return atomic_load(at);
}

static bool cas_stopping(wf_au64 *at, uint64_t *expected, uint64_t value)
{
    step();
    return atomic_compare_exchange_strong(at, expected, value);
}

#undef wf_load_sc
#undef wf_cas_sc
#define wf_load_sc(p) load_stopping(p)
#define wf_cas_sc(p, expected, v) cas_stopping(p, expected, v)

#define wf_deque_init steps_deque_init
#define wf_deque_destroy steps_deque_destroy
#define wf_deque_grow steps_deque_grow
#define wf_deque_reserve steps_deque_reserve
#define wf_deque_look_for_room steps_deque_look_for_room
#define wf_deque_take steps_deque_take
#define wf_deque_steal steps_deque_steal
#define wf_deque_oldest steps_deque_oldest

#include "queue/deque.c"

/* ---- entries: claimed once, by whoever comes first ---- */

enum { ENTRIES = 16 };

static struct wf_deque deque;
static bool is_claimed[ENTRIES + 1];
static uint64_t pushed;

static void claim(uint64_t entry)
{
    cr_assert(entry >= 1 && entry <= pushed);
    is_claimed[entry] = true;
}

/* ---- the owner ---- */

enum op { PUSH, JOIN, FAIL, TAKE, OPS };

/* As claim.h does it: the newest and what lies dead under it, claimed between lowering and settling. */
static void join_newest(bool succeeds)
{
    uint64_t count = wf_deque_count(&deque);
    uint64_t dead = 1;
    uint64_t before;

    if (count == 0) {
        return;
    }
    while (dead < count && is_claimed[wf_deque_newest(&deque, dead)]) {
        dead++;
    }
    claim(succeeds ? wf_deque_newest(&deque, 0) : wf_deque_newest(&deque, dead - 1));
    before = wf_deque_bottom(&deque);
    wf_deque_lower(&deque, before, dead);
    if (succeeds) {
        wf_deque_settle(&deque, before, dead);
    } else {
        wf_deque_restore(&deque, before);
    }
}

static void do_op(enum op op)
{
    uint64_t entry;

    switch (op) {
    case PUSH:
        cr_assert(pushed < ENTRIES && wf_deque_push(&deque, ++pushed));
        break;
    case JOIN:
    case FAIL:
        join_newest(op == JOIN);
        break;
    case TAKE:
    case OPS:
        entry = wf_deque_take(&deque);
        if (entry != 0) {
            claim(entry);
        }
        break;
    }
}

/* ---- the two of them ---- */

enum { LONGEST = 5 };

static bool is_thief;
static int steps, stop_at;
static int program, program_length; /* its operations: digits to the base OPS */

static void run_program(void)
{
    int rest = program;

    for (int i = 0; i < program_length; i++, rest /= OPS) {
        do_op((enum op)(rest % OPS));
    }
}

static void step(void)
{
    if (is_thief && steps++ == stop_at) {
        is_thief = false; /* the owner's own steps don't stop */
        run_program();
        is_thief = true;
    }
}

static void run_once(uint64_t entries)
{
    uint64_t out[4], entry;
    uint32_t count;

    cr_assert_eq(wf_deque_init(&deque), 0);
    memset(is_claimed, 0, sizeof is_claimed);
    pushed = 0;
    steps = 0;
    while (pushed < entries) {
        do_op(PUSH);
    }
    is_thief = true;
    count = wf_deque_steal(&deque, out, 4);
    is_thief = false;
    for (uint32_t i = 0; i < count; i++) {
        claim(out[i]);
    }
    do_op(PUSH);
    while ((entry = wf_deque_take(&deque)) != 0) {
        claim(entry);
    }
    wf_deque_destroy(&deque);
    for (uint64_t i = 1; i <= pushed; i++) {
        cr_assert(is_claimed[i], "%" PRIu64 " entries, program %d, step %d: %" PRIu64 " was lost",
                  entries, program, stop_at, i);
    }
}

Test(deque_steps, whatever_the_owner_does_between_a_thiefs_steps, .timeout = 60)
{
    int programs = 1, runs = 0;

    for (int i = 0; i < LONGEST; i++) {
        programs *= OPS;
    }
    program_length = LONGEST;
    for (uint64_t entries = 1; entries <= 6; entries++) {
        for (program = 0; program < programs; program++) {
            stop_at = -1;
            do {
                stop_at++;
                run_once(entries);
                runs++;
            } while (stop_at < steps);
        }
    }
    fprintf(stderr, "%d runs\n", runs);
    cr_assert_gt(runs, 6 * programs);
}
