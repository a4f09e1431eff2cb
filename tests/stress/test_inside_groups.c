/* SPDX-License-Identifier: MIT */
/* test_inside_groups.c - groups whose children run on the stack of the task that closes, while thieves want them
 * and requests come.
 *
 * told    a task that closes and is asked is told by that close, else by its next await: once, never not at all,
 *         and no child is left behind that would wait for ever
 * trees   groups within groups with cancels, limits, errors, handles and snapshots at random: when a group has
 *         closed every child has run to its end or was dropped, and nobody is in its frame any more */
#include <weft/group.h>
#include <weft/stats.h>
#include <weft/time.h>
#include <weft/timeout.h>

#include "disturb.h"

/* ---- told ---- */

enum { ROUNDS = 10000, MEMBERS = 3 };

struct round {
    struct target *target;
    atomic_int running; /* children that have begun and not ended */
    uint64_t random;
};

struct member {
    struct round *round;
    uint64_t random;
    bool is_endless; /* it ends by the request alone */
};

static struct round rounds[TARGETS];
static atomic_long told_by_close, told_later;

static intptr_t wait_a_little(struct member *member)
{
    if (member->is_endless) {
        return weft_sleep(WEFT_FOREVER);
    }
    for (uint64_t i = draw(&member->random) % 3; i > 0; i--) {
        int rc = weft_yield();
        if (rc < 0) {
            return rc;
        }
    }
    dither(&member->random);
    return 0;
}

static intptr_t be_a_member(void *arg)
{
    struct member *member = arg;

    atomic_fetch_add(&member->round->running, 1);
    intptr_t rc = wait_a_little(member);
    wt_check(weft_cancelling(weft_self()) <= 1); /* a group asks each once */
    atomic_fetch_sub(&member->round->running, 1);
    return rc;
}

static intptr_t close_members(struct round *round, bool is_endless)
{
    struct member members[MEMBERS];
    weft_group group;

    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < MEMBERS; i++) {
        members[i] = (struct member){round, draw(&round->random), is_endless && i % 2 == 0};
        wt_check(weft_group_spawn(&group, NULL, be_a_member, &members[i], NULL) == 0);
    }
    atomic_store(&round->target->victim, weft_self());
    dither(&round->random);
    intptr_t rc = weft_group_close(&group, 0);
    wt_check(atomic_load(&round->running) == 0);
    return rc;
}

static void be_told_once(struct round *round)
{
    bool is_endless = draw(&round->random) % 2 == 0;

    atomic_store(&round->target->was_asked, false);
    intptr_t rc = close_members(round, is_endless);
    wait_for_asker(round->target);
    wt_check(rc == 0 || rc == -ECANCELED);
    wt_check(rc == -ECANCELED || !is_endless);
    atomic_fetch_add(rc == 0 ? &told_later : &told_by_close, 1);
    wt_check(rc == -ECANCELED || weft_yield() == -ECANCELED);
    wt_check(weft_cancelling(weft_self()) == 1 && weft_uncancel(weft_self()) == 0);
    wt_check(weft_yield() == 0);
}

static intptr_t be_a_victim(void *arg)
{
    for (int i = 0; i < STRESS_COUNT(ROUNDS) && atomic_load(&wt_failures) == 0; i++) {
        be_told_once(arg);
    }
    return 0;
}

static intptr_t tell_all(void *arg)
{
    uint64_t random = as_seed(arg);
    weft_group group;

    for (int i = 0; i < TARGETS; i++) {
        rounds[i] = (struct round){.target = &targets[i], .random = draw(&random) | 1};
    }
    start_askers(&random);
    wt_check(weft_group_open(&group, 0) == 0);
    for (int i = 0; i < TARGETS; i++) {
        wt_check(weft_group_spawn(&group, NULL, be_a_victim, &rounds[i], NULL) == 0);
    }
    wt_check(weft_group_close(&group, 0) == 0);
    stop_askers();
    fprintf(stderr, "told by the close %ld times, later %ld times\n", atomic_load(&told_by_close),
            atomic_load(&told_later));
    wt_check(atomic_load(&told_by_close) > 0 && atomic_load(&told_later) > 0);
    return 0;
}

STRESS_TEST(inside_groups, closers_are_told_once, tell_all);

/* ---- trees ---- */

enum { DEPTH = 6, CHILDREN = 4 };
#define BUDGET_NS (INT64_C(1500) * WEFT_MS)

static atomic_long nodes, ran, dropped, failed;

enum { IN_USE = 0x600d, CLOSED = 0xdead };

/* In the frame of the task that closes. */
struct family {
    weft_group group;
    atomic_int state;
    atomic_int gone; /* children that have ended, or were dropped */
};

struct node {
    struct family *family;
    uint64_t random;
    int depth;
    bool may_fail;
};

static void leave_family(struct family *family)
{
    wt_check(atomic_load(&family->state) == IN_USE);
    atomic_fetch_add(&family->gone, 1);
}

static void drop_node(void *arg)
{
    struct node *node = arg;

    atomic_fetch_add(&dropped, 1);
    leave_family(node->family);
}

static intptr_t be_a_node(void *arg);

/* The node is the task's from here on. */
static void spawn_node(struct family *into, struct node *node, uint64_t chance)
{
    weft_spawn_options options = {.drop_arg = drop_node};
    weft_task *task = NULL;
    bool keeps = chance % 4 == 0;

    node->family = into;
    options.pinned = (chance >> 8) % 32 == 0;
    int rc = weft_group_spawn(&into->group, keeps ? &task : NULL, be_a_node, node, &options);
    if (rc < 0) {
        wt_check(rc == -ESHUTDOWN);
        atomic_fetch_add(&into->gone, 1);
        return;
    }
    atomic_fetch_add(&nodes, 1);
    if (keeps) {
        post(task, chance >> 16);
        weft_drop(task);
    }
}

/* Plain children, that may run and leave in the quickest way. */
static intptr_t be_plain(void *arg)
{
    struct family *family = arg;

    leave_family(family);
    return 0;
}

static intptr_t be_a_leaf(struct node *node)
{
    switch (draw(&node->random) % 8) {
    case 0:
        return weft_yield();
    case 1:
        return weft_sleep(draw_us(&node->random, 20));
    case 2:
        disturb(&node->random);
        return 0;
    default:
        dither(&node->random);
        return node->may_fail && draw(&node->random) % 64 == 0 ? -EIO : 0;
    }
}

static intptr_t be_many(struct node *node)
{
    struct family family = {.gone = 0};
    struct node children[CHILDREN];
    int count = 1 + (int)(draw(&node->random) % CHILDREN);
    int plain = 0;
    weft_timeout limit;
    bool is_limited = draw(&node->random) % 8 == 0;

    atomic_store(&family.state, IN_USE);
    if (is_limited) {
        wt_check(weft_timeout_enter(&limit, draw_us(&node->random, 100)) == 0);
    }
    wt_check(weft_group_open(&family.group, 0) == 0);
    for (int i = 0; i < count; i++) {
        children[i] = (struct node){.random = draw(&node->random) | 1,
                                    .depth = node->depth - 1,
                                    .may_fail = node->may_fail};
        spawn_node(&family, &children[i], draw(&node->random));
        if (draw(&node->random) % 2 == 0) {
            plain += weft_group_spawn(&family.group, NULL, be_plain, &family, NULL) == 0;
        }
    }
    intptr_t rc = draw(&node->random) % 4 == 0 ? be_a_leaf(node) : 0;
    rc = weft_group_close(&family.group, rc);
    /* Plain ones that were cancelled before they ran have told nobody. */
    wt_check(atomic_load(&family.gone) >= count && atomic_load(&family.gone) <= count + plain);
    atomic_store(&family.state, CLOSED);
    if (is_limited) {
        rc = weft_timeout_leave(&limit, rc);
    }
    return rc == -ETIMEDOUT ? 0 : rc;
}

static intptr_t be_a_node(void *arg)
{
    struct node *node = arg;
    intptr_t rc;

    atomic_fetch_add(&ran, 1);
    rc = node->depth == 0 ? be_a_leaf(node) : be_many(node);
    wt_check(rc == 0 || rc == -ECANCELED || (rc == -EIO && node->may_fail));
    atomic_fetch_add(&failed, rc == -EIO);
    leave_family(node->family);
    return rc;
}

static void grow_one(uint64_t *random)
{
    struct family family = {.gone = 0};
    struct node node = {.random = draw(random) | 1, .depth = (int)(draw(random) % DEPTH)};

    node.may_fail = draw(random) % 4 == 0;
    atomic_store(&family.state, IN_USE);
    wt_check(weft_group_open(&family.group, 0) == 0);
    spawn_node(&family, &node, draw(random));
    intptr_t rc = weft_group_close(&family.group, 0);
    wt_check(rc == 0 || (rc == -EIO && node.may_fail));
    wt_check(atomic_load(&family.gone) == 1 && weft_cancelling(weft_self()) == 0);
    atomic_store(&family.state, CLOSED);
}

static bool all_finished(void)
{
    weft_stats_t stats = {.size = sizeof stats};

    wt_check(weft_stats(NULL, &stats) == 0);
    return stats.tasks_finished + 1 == stats.tasks_spawned; /* main goes on */
}

static intptr_t grow_trees(void *arg)
{
    uint64_t random = as_seed(arg);
    int64_t end_ns = weft_now() + BUDGET_NS;
    int trees = 0;

    start_disturber(&random);
    for (; weft_now() < end_ns && atomic_load(&wt_failures) == 0; trees++) {
        grow_one(&random);
    }
    stop_disturber();
    while (!all_finished() && weft_now() < end_ns + 10 * WEFT_S) {
        wt_check(weft_yield() == 0);
    }
    wt_check(all_finished());
    fprintf(stderr, "%d trees, %ld nodes, %ld ran, %ld dropped, %ld requests, %ld errors\n", trees,
            atomic_load(&nodes), atomic_load(&ran), atomic_load(&dropped), atomic_load(&asked),
            atomic_load(&failed));
    wt_check(atomic_load(&ran) + atomic_load(&dropped) == atomic_load(&nodes));
    return 0;
}

STRESS_TEST(inside_groups, trees, grow_trees);
