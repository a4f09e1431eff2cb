// SPDX-License-Identifier: MIT
/* race.c - several attempts of which one is wanted: the heart of happy eyeballs.
 *
 * What: a task for each attempt, in a group that the caller closes before it returns: so their records lie in
 *       its frame. The first one to end with a descriptor swaps it in as the winner; others close theirs.
 * Looking up is one more task of that group, and its answers are lined up as they come.
 * Cancellation needs nothing of its own: whatever ends the caller's wait, closing the group cancels the
 *       attempts and waits for them, and a winner that the caller can't return is closed.
 */
#include "net/race.h"

#include <errno.h>
#include <sys/socket.h>

#include <weft/group.h>
#include <weft/io.h>
#include <weft/select.h>
#include <weft/time.h>

#define RESOLUTION_DELAY_NS (50 * WEFT_MS)

struct race;

struct runner {
    struct race *race;
    const weft_address *address;
    int error;     /* once it has failed */
    uint32_t turn; /* how many had failed before */
};

/* Addresses of one family that have not been tried: those among `items` from `next` on. */
struct queue {
    const weft_address *items;
    size_t count;
    size_t next; /* is of the family, or `count` */
    int family;
};

struct race {
    wf_race_attempt *attempt;
    const void *context;
    wf_look_up *look_up;
    const void *question;
    weft_event news; /* an attempt has ended, or an answer has come */
    wf_aint
        winner; /* -1; the first runner swaps its descriptor in (acq_rel), the caller loads (acquire) */
    wf_au32 failed; /* runners add (acq_rel), the caller loads (acquire) */
    struct wf_answers answers;

    /* The caller's. */
    uint32_t started;
    uint32_t seen;          /* of failed, when the last one was started */
    uint32_t told;          /* of answers.told, what is in the queues */
    int64_t next_ns;        /* when the next one is due */
    struct queue queues[2]; /* [0] is tried first */
    size_t last;            /* the queue that was tried last */
    struct runner runners[WF_RACE_MOST];
};

/* ---- an attempt ---- */

static intptr_t run(void *arg)
{
    struct runner *runner = arg;
    struct race *race = runner->race;
    int none = -1;
    int fd = race->attempt(runner->address, race->context);
    if (fd < 0) {
        runner->error = fd;
        runner->turn = wf_add_acqrel(&race->failed, 1U);
    } else if (!wf_cas_acqrel(&race->winner, &none, fd)) {
        (void)weft_close(fd);
    }
    (void)weft_event_set(&race->news);
    return fd == -ECANCELED ? fd : 0;
}

static intptr_t look_up(void *arg)
{
    struct race *race = arg;
    int rc = race->look_up(race->question, &race->answers);
    uint32_t untold = WF_ANSWER_BOTH & ~wf_answers_told(&race->answers);
    if (untold != 0) {
        wf_answers_tell(&race->answers, (enum wf_answer)untold, rc < 0 ? rc : -ENODATA, NULL);
    }
    return rc == -ECANCELED ? rc : 0;
}

/* ---- their order: by turns of the families, as long as there are both ---- */

static void skip_others(struct queue *queue)
{
    while (queue->next < queue->count &&
           queue->items[queue->next].as.any.sa_family != queue->family) {
        queue->next++;
    }
}

static void fill(struct queue *queue, int family, const weft_address *items, size_t count)
{
    *queue = (struct queue){.items = items, .count = count, .family = family};
    skip_others(queue);
}

/* The first one's family is that of the first address. */
static void fill_both(struct race *race, const weft_address *items, size_t count)
{
    int family = count > 0 ? items[0].as.any.sa_family : AF_INET6;
    fill(&race->queues[0], family, items, count);
    fill(&race->queues[1], family == AF_INET ? AF_INET6 : AF_INET, items, count);
}

static void fill_one(struct queue *queue, int family, const weft_addresses *found)
{
    fill(queue, family, found != NULL ? found->items : NULL, found != NULL ? found->count : 0);
}

static bool has_next(const struct queue *queue)
{
    return queue->next < queue->count;
}

static bool has_more(const struct race *race)
{
    return race->started < WF_RACE_MOST &&
           (has_next(&race->queues[0]) || has_next(&race->queues[1]));
}

static const weft_address *take_next(struct race *race)
{
    size_t other = race->started == 0 ? 0 : 1 - race->last;
    race->last = has_next(&race->queues[other]) ? other : 1 - other;
    struct queue *queue = &race->queues[race->last];
    const weft_address *address = &queue->items[queue->next++];
    skip_others(queue);
    return address;
}

/* ---- the caller ---- */

static int64_t later(int64_t delay_ns)
{
    int64_t now_ns = weft_now();
    return delay_ns < WEFT_FOREVER - now_ns ? now_ns + delay_ns : WEFT_FOREVER;
}

/* Lines up what has been told since. */
static void take_answers(struct race *race)
{
    uint32_t told = wf_answers_told(&race->answers);
    uint32_t fresh = told & ~race->told;
    if (fresh == 0) {
        return;
    }
    race->told = told;
    if (told == WF_ANSWER_BOTH && race->answers.both != NULL) {
        fill_both(race, race->answers.both->items, race->answers.both->count);
        return;
    }
    if ((fresh & WF_ANSWER_V6) != 0) {
        fill_one(&race->queues[0], AF_INET6, race->answers.v6);
    }
    if ((fresh & WF_ANSWER_V4) != 0) {
        fill_one(&race->queues[1], AF_INET, race->answers.v4);
        race->next_ns = race->started == 0 ? later(RESOLUTION_DELAY_NS) : race->next_ns;
    }
}

static bool is_decided(struct race *race)
{
    bool is_exhausted = race->told == WF_ANSWER_BOTH && !has_more(race) &&
                        wf_load_acq(&race->failed) == race->started;
    return wf_load_acq(&race->winner) >= 0 || is_exhausted;
}

/* Whether the next one begins now: the first one when the better family has answered. */
static bool is_time(const struct race *race, uint32_t failed)
{
    if (!has_more(race)) {
        return false;
    }
    bool may_begin = race->started == 0 ? (race->told & WF_ANSWER_V6) != 0
                                        : failed > race->seen || failed == race->started;
    return may_begin || weft_now() >= race->next_ns;
}

static int start_next(struct race *race, weft_group *group, uint32_t failed, int64_t stagger_ns)
{
    struct runner *runner = &race->runners[race->started];
    runner->race = race;
    runner->address = take_next(race);
    int rc = weft_group_spawn(group, NULL, run, runner, NULL);
    race->started += rc == 0 ? 1U : 0U;
    race->seen = failed;
    race->next_ns = later(stagger_ns);
    return rc;
}

/* Until there is a winner, one more attempt has failed than `failed`, an answer has come or the time. */
static int wait_for_news(struct race *race, uint32_t failed, int64_t deadline_ns)
{
    for (;;) {
        (void)weft_event_clear(&race->news);
        if (wf_load_acq(&race->winner) >= 0 || wf_load_acq(&race->failed) > failed ||
            wf_answers_told(&race->answers) != race->told) {
            return 0;
        }
        weft_case cases[] = {weft_case_event(&race->news), weft_case_at(deadline_ns)};
        int chosen = weft_select(cases, 2, 0);
        if (chosen != 0) {
            return chosen < 0 ? chosen : 0;
        }
    }
}

static int supervise(struct race *race, weft_group *group, int64_t stagger_ns)
{
    int rc = 0;
    take_answers(race);
    while (rc == 0 && !is_decided(race)) {
        uint32_t failed = wf_load_acq(&race->failed);
        if (is_time(race, failed)) {
            rc = start_next(race, group, failed, stagger_ns);
        }
        if (rc == 0) {
            rc = wait_for_news(race, failed, has_more(race) ? race->next_ns : WEFT_FOREVER);
            take_answers(race);
        }
    }
    return rc;
}

/* Says that this machine knows no way, which says less than what another one answers. */
static bool is_local(int error)
{
    return error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EADDRNOTAVAIL ||
           error == -EAFNOSUPPORT || error == -ECANCELED;
}

/* All have failed: the last error that says most. */
static int summarise(const struct race *race)
{
    const struct runner *last = &race->runners[0];
    if (race->started == 0) {
        return race->answers.error;
    }
    for (uint32_t i = 1; i < race->started; i++) {
        const struct runner *runner = &race->runners[i];
        bool says_more = is_local(last->error) && !is_local(runner->error);
        bool says_less = !is_local(last->error) && is_local(runner->error);
        if (says_more || (!says_less && runner->turn > last->turn)) {
            last = runner;
        }
    }
    return last->error;
}

static int run_race(struct race *race, int64_t stagger_ns)
{
    weft_group group;
    wf_store_rlx(&race->winner, -1);
    race->answers.news = &race->news;
    int rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    if (race->look_up != NULL) {
        rc = weft_group_spawn(&group, NULL, look_up, race, NULL);
    }
    rc = rc == 0 ? supervise(race, &group, stagger_ns) : rc;
    if (rc == 0) {
        (void)weft_group_cancel(&group);
    }
    rc = (int)weft_group_close(&group, rc);
    int fd = wf_load_acq(&race->winner);
    if (rc < 0 && fd >= 0) {
        (void)weft_close(fd);
    }
    return rc < 0 ? rc : fd >= 0 ? fd : summarise(race);
}

int wf_race(const weft_address *addresses, size_t count, int64_t stagger_ns,
            wf_race_attempt *attempt, const void *context)
{
    struct race race = {.attempt = attempt, .context = context, .told = WF_ANSWER_BOTH};
    wf_store_rlx(&race.answers.told, (uint32_t)WF_ANSWER_BOTH);
    fill_both(&race, addresses, count);
    return run_race(&race, stagger_ns);
}

int wf_race_answers(wf_look_up *look_up_with, const void *question, int64_t stagger_ns,
                    wf_race_attempt *attempt, const void *context)
{
    struct race race = {
        .attempt = attempt, .context = context, .look_up = look_up_with, .question = question};
    fill_both(&race, NULL, 0);
    int rc = run_race(&race, stagger_ns);
    wf_answers_free(&race.answers);
    return rc;
}
