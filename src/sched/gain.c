// SPDX-License-Identifier: MIT
/* gain.c - measuring thefts, and waiting for better ones. */
#include "sched/gain.h"

#include "sched/loop.h"
#include "sched/park.h"
#include "sched/ready.h"
#include "sched/squeeze.h"

/* What first turns must take on average; some 60 of it are the theft's, and the rest is longer than it would have been at home.
 * New tasks of 200 to 250 break even. One that was alone there is likely to be a step of something that has only one at a
 * time. One that was woken shares lines with those it was taken away from: 50 ns at home become up to 1000. Measured for two
 * workers: a lock for readers and writers 66 ns with 1000 to 1500 and 330 with 300; a barrier of eight 380 and 2800;
 * pipelines whose stages take 0.3 us, and messages worth 0.5, are spread with all of these. */
static const int32_t worth_ns[WF_GAIN_KINDS] = {
    [WF_GAIN_NEW] = 300, [WF_GAIN_NEW_ALONE] = 450, [WF_GAIN_WOKEN] = 1250};

/* A long one counts for as much as it brings, up to a bound. */
enum { MOST_TURN_NS = 4800, MEAN_OF = 8 };

/* What first turns are taken to last until some have been timed. */
enum { AT_FIRST_NS = 1500 };

/* Less than that from one await to the next, at a lock that is contended, is the lock. Measured for a queue of 128: 12 ns an item
 * at one worker, 44 at two. Items that take 500 ns are worth a second worker even so. */
enum { AWAIT_NS = 100 };

/* How long to wait after the first theft that has not paid, and at most. */
enum { FIRST_NS = 4000, MOST_NS = 1000000 };

/* A look costs the owner two or three cache lines. So many without progress, and it is at something long. */
enum { LOOK_NS = 5000, STUCK_LOOKS = 2 };

/* What a look has found: something that is the worker's own to do, an owner who gets on, one who is at something long while
 * others wait, nothing. */
enum look { LOOK_OWN, LOOK_MOVES, LOOK_STUCK, LOOK_IDLE };

void wf_gain_init(struct wf_gain *gain)
{
    for (int i = 0; i < WF_GAIN_KINDS; i++) {
        gain->mean_ns[i] = AT_FIRST_NS;
    }
}

void wf_gain_note(struct wf_worker *worker, enum wf_gain_kind kind)
{
    struct wf_gain *gain = &worker->gain;
    gain->is_futile = false;
    gain->kind = kind;
    gain->since_ns = wf_monotonic_ns();
    gain->until_poll = worker->until_poll;
    gain->contentions = wf_lock_contentions();
    worker->until_poll = 1;
    worker->left_awaits = 0; /* who yields says nothing */
}

static void be_patient(struct wf_gain *gain, int64_t now_ns)
{
    uint32_t more = 2 * gain->patience_ns;
    gain->patience_ns = more == 0 ? FIRST_NS : more < MOST_NS ? more : MOST_NS;
    gain->until_ns = now_ns + gain->patience_ns;
}

static void be_quick(struct wf_gain *gain)
{
    gain->patience_ns = gain->patience_ns / 4 >= FIRST_NS ? gain->patience_ns / 4 : 0;
    gain->until_ns = 0;
}

static bool has_any(struct wf_worker *victim)
{
    return wf_ready_count(victim) > 0 || wf_load_rlx(&victim->slot) != 0;
}

/* What moves while its tasks begin and end. */
static uint64_t progress(struct wf_worker *victim)
{
    return wf_load_rlx(&victim->counters.spawned) + wf_load_rlx(&victim->counters.finished) +
           wf_load_rlx(&victim->turns);
}

/* Does what waits at a stuck worker still wait there? Then it is taken, whatever it is. */
static bool is_stuck(struct wf_gain *gain)
{
    if (gain->stuck != NULL && progress(gain->stuck) != gain->stuck_at) {
        gain->stuck = NULL;
    }
    return gain->stuck != NULL;
}

/* It has met the one that it stole from at a lock, and has done little between its awaits but that: two workers take the same
 * lines from each other, and each makes the other's turns long. */
static bool is_in_the_way(const struct wf_worker *worker, int64_t now_ns)
{
    const struct wf_gain *gain = &worker->gain;
    return wf_lock_contentions() != gain->contentions &&
           now_ns - gain->since_ns < (int64_t)worker->left_awaits * AWAIT_NS;
}

void wf_gain_settle(struct wf_worker *worker)
{
    struct wf_gain *gain = &worker->gain;
    int64_t now_ns = wf_monotonic_ns();
    int64_t took_ns = is_in_the_way(worker, now_ns) ? 0 : now_ns - gain->since_ns;
    int32_t counts_ns = took_ns < MOST_TURN_NS ? (int32_t)took_ns : MOST_TURN_NS;
    int32_t *mean_ns = &gain->mean_ns[gain->kind];
    *mean_ns += (counts_ns - *mean_ns) / MEAN_OF;
    if (is_stuck(gain) || *mean_ns >= worth_ns[gain->kind]) {
        be_quick(gain);
    } else {
        be_patient(gain, now_ns);
    }
    gain->since_ns = 0;
    worker->until_poll = gain->until_poll > 0 ? gain->until_poll - 1 : 0; /* that turn counts */
}

/* Somebody from whom something could be stolen, from `*at` on; NULL: nobody. */
static struct wf_worker *find_victim(const struct wf_worker *worker, uint32_t *at)
{
    weft_runtime *runtime = worker->runtime;
    for (uint32_t i = 0; i < runtime->worker_count; i++) {
        struct wf_worker *other = &runtime->workers[*at];
        if (other != worker && has_any(other)) {
            return other;
        }
        *at = *at + 1 < runtime->worker_count ? *at + 1 : 0;
    }
    return NULL;
}

/* Something has come that is this worker's to do. */
static bool has_own(struct wf_worker *worker, int64_t now_ns)
{
    return wf_look_has_mail(worker) || wf_load_rlx(&worker->runtime->phase) != WF_RUNNING ||
           wf_wheel_next(&worker->wheel) <= now_ns;
}

/* True: something has come. */
static bool stand_by(struct wf_worker *worker, int64_t end_ns)
{
    int64_t now_ns;
    do {
        for (int i = 0; i < 8; i++) {
            wf_relax();
        }
        now_ns = wf_monotonic_ns();
        if (has_own(worker, now_ns)) {
            return true;
        }
    } while (now_ns < end_ns);
    return false;
}

static bool are_others_awake(const struct wf_worker *worker)
{
    return !wf_idle_is_last_awake(&worker->runtime->idle);
}

/* Events are looked for meanwhile as before a sleep that does not come. */
static bool has_news(struct wf_worker *worker)
{
    (void)wf_poll_now(worker);
    return !wf_ready_is_empty(worker);
}

/* Looks at one of the others for a moment. */
static enum look look_on(struct wf_worker *worker, uint32_t *at, int64_t now_ns)
{
    struct wf_worker *first = &worker->runtime->workers[0];
    struct wf_worker *victim = find_victim(worker, at);
    struct wf_worker *other = victim != NULL ? victim : first == worker ? first + 1 : first;
    uint64_t before = progress(other);
    if (stand_by(worker, now_ns + LOOK_NS) || has_news(worker)) {
        return LOOK_OWN;
    }
    if (progress(other) != before) {
        *at = *at + 1 < worker->runtime->worker_count ? *at + 1 : 0;
        return LOOK_MOVES;
    }
    return victim != NULL ? LOOK_STUCK : LOOK_IDLE;
}

/* Somebody else searches, or stands by: that is enough. */
static bool is_one_too_many(const struct wf_worker *worker)
{
    return wf_idle_searching(&worker->runtime->idle) > 1;
}

/* Until it has not paid for long enough, or something happens. */
static void wait(struct wf_worker *worker)
{
    struct wf_gain *gain = &worker->gain;
    uint32_t at = worker->index;
    int still = 0;
    int64_t now_ns;
    while (are_others_awake(worker) && (now_ns = wf_monotonic_ns()) < gain->until_ns) {
        enum look look = look_on(worker, &at, now_ns);
        still = look == LOOK_STUCK ? still + 1 : 0;
        if (look == LOOK_OWN || look == LOOK_IDLE) {
            return;
        }
        if (still == STUCK_LOOKS) {
            gain->patience_ns = 0;
            gain->until_ns = 0;
            gain->stuck = &worker->runtime->workers[at];
            gain->stuck_at = progress(gain->stuck);
            return;
        }
    }
}

bool wf_gain_wait(struct wf_worker *worker)
{
    if (worker->gain.until_ns != 0 && wf_monotonic_ns() < worker->gain.until_ns) {
        if (wf_squeeze_holds(worker)) {
            return true; /* whoever takes it, it is the same processor */
        }
        if (is_one_too_many(worker)) {
            return false;
        }
        wait(worker);
    }
    return true;
}

bool wf_gain_wait_more(struct wf_worker *worker)
{
    if (!worker->gain.is_futile) {
        return false;
    }
    worker->gain.is_futile = false;
    if (wf_squeeze_holds(worker) || !are_others_awake(worker) || is_one_too_many(worker)) {
        return false;
    }
    be_patient(&worker->gain, wf_monotonic_ns());
    wait(worker);
    return true;
}
