// SPDX-License-Identifier: MIT
/* race.c - several attempts of which one is wanted: the heart of happy eyeballs.
 *
 * What: a task for each attempt, in a group that the caller closes before it returns: so their records lie in
 *       its frame. The first one to end with a descriptor swaps it in as the winner; others close theirs.
 * Cancellation needs nothing of its own: whatever ends the caller's wait, closing the group cancels the
 *       attempts and waits for them, and a winner that the caller can't return is closed.
 */
#include "net/race.h"

#include <errno.h>

#include <weft/event.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/select.h>
#include <weft/time.h>

#include "base/atomic.h"

struct race;

struct runner {
    struct race *race;
    const weft_address *address;
    int error;     /* once it has failed */
    uint32_t turn; /* how many had failed before */
};

struct race {
    wf_race_attempt *attempt;
    const void *context;
    weft_event news; /* an attempt has ended */
    wf_aint
        winner; /* -1; the first runner swaps its descriptor in (acq_rel), the caller loads (acquire) */
    wf_au32 failed;   /* runners add (acq_rel), the caller loads (acquire) */
    uint32_t started; /* the caller's, as the rest */
    uint32_t count;
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

/* ---- their order ---- */

/* The first of `from` and after it that is of `family`, or is not; `count`: none. */
static size_t next_of(const weft_address *addresses, size_t count, size_t from, int family, bool is)
{
    while (from < count && (addresses[from].as.any.sa_family == family) != is) {
        from++;
    }
    return from;
}

/* The family of the first one, then another, by turns, as long as there are both. */
static void line_up(struct race *race, const weft_address *addresses, size_t count)
{
    int family = addresses[0].as.any.sa_family;
    size_t next[2] = {next_of(addresses, count, 0, family, false), 0};
    race->count = 0;
    while (race->count < WF_RACE_MOST && (next[0] < count || next[1] < count)) {
        bool is_first = next[0] >= count || (next[1] < count && race->count % 2 == 0);
        size_t *at = &next[is_first];
        struct runner *runner = &race->runners[race->count++];
        runner->race = race;
        runner->address = &addresses[*at];
        *at = next_of(addresses, count, *at + 1, family, is_first);
    }
}

/* ---- the caller ---- */

static bool is_decided(struct race *race)
{
    return wf_load_acq(&race->winner) >= 0 || wf_load_acq(&race->failed) == race->count;
}

/* Until the race is decided, one more attempt has failed than `failed`, or the time has come. */
static int wait_for_news(struct race *race, uint32_t failed, int64_t deadline_ns)
{
    for (;;) {
        (void)weft_event_clear(&race->news);
        if (is_decided(race) || wf_load_acq(&race->failed) > failed) {
            return 0;
        }
        weft_case cases[] = {weft_case_event(&race->news), weft_case_at(deadline_ns)};
        int chosen = weft_select(cases, 2, 0);
        if (chosen != 0) {
            return chosen < 0 ? chosen : 0;
        }
    }
}

static int64_t later(int64_t delay_ns)
{
    int64_t now_ns = weft_now();
    return delay_ns < WEFT_FOREVER - now_ns ? now_ns + delay_ns : WEFT_FOREVER;
}

static int supervise(struct race *race, weft_group *group, int64_t stagger_ns)
{
    int rc = 0;
    while (rc == 0 && !is_decided(race)) {
        uint32_t failed = wf_load_acq(&race->failed);
        bool has_more = race->started < race->count;
        if (has_more) {
            rc = weft_group_spawn(group, NULL, run, &race->runners[race->started], NULL);
            race->started += rc == 0 ? 1U : 0U;
            has_more = race->started < race->count;
        }
        if (rc == 0) {
            rc = wait_for_news(race, failed, has_more ? later(stagger_ns) : WEFT_FOREVER);
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

int wf_race(const weft_address *addresses, size_t count, int64_t stagger_ns,
            wf_race_attempt *attempt, const void *context)
{
    weft_group group;
    struct race race = {.attempt = attempt, .context = context};
    wf_store_rlx(&race.winner, -1);
    line_up(&race, addresses, count);
    int rc = weft_group_open(&group, 0);
    if (rc < 0) {
        return rc;
    }
    rc = supervise(&race, &group, stagger_ns);
    if (rc == 0) {
        (void)weft_group_cancel(&group);
    }
    rc = (int)weft_group_close(&group, rc);
    int fd = wf_load_acq(&race.winner);
    if (rc < 0 && fd >= 0) {
        (void)weft_close(fd);
    }
    return rc < 0 ? rc : fd >= 0 ? fd : summarise(&race);
}
