// SPDX-License-Identifier: MIT
/* mutex.c - one CAS while nobody waits; else the bit lock, and the mutex goes from hand to hand.
 *
 * Why hand it over: a mutex that is freed for all lets a task that runs take it before the one that
 * waits is there, again and again. The price is a trip through a queue for each hand-over.
 *
 * Simulation with seed 0 does as an event loop: between the unlock and the next owner's turn it is not
 * locked and not free (HANDED); where the first waiter has been cancelled, nobody gets it until that one
 * has run and gone.
 */
#include "sync/mutex.h"

#include <string.h>

int weft_mutex_init(weft_mutex *mutex, unsigned flags)
{
    if (mutex == NULL || flags > WEFT_MUTEX_UNOWNED) {
        return -EINVAL;
    }
    memset(mutex, 0, sizeof *mutex);
    wf_mutex_inside(mutex)->flags = flags;
    return 0;
}

static void set_owner(struct wf_mutex *mutex, uint64_t token)
{
    if ((mutex->flags & WEFT_MUTEX_UNOWNED) == 0) {
        wf_store_rlx(&mutex->owner, token);
    }
}

static uint32_t without_queue(const struct wf_mutex *mutex, uint32_t state)
{
    return wf_waiters_is_empty(&mutex->waiters) ? state & ~(uint32_t)WF_MUTEX_QUEUED : state;
}

static bool has_open(const struct wf_mutex *mutex, uint32_t *state)
{
    uint32_t leaving = 0;
    bool is_open = wf_waiters_has_open(&mutex->waiters, &leaving);
    *state = without_queue(mutex, *state + leaving * WF_MUTEX_LEAVING);
    return is_open;
}

/* ---- locking ---- */

/* Under the lock: locks it, or refuses, or queues. `waiter` NULL: -EBUSY instead of queueing. */
static int enter(struct wf_mutex *mutex, const weft_task *self, struct wf_waiter *waiter)
{
    uint64_t token = wf_task_token(self);
    int rc = -EBUSY;
    uint32_t state = wf_bitlock(&mutex->word);
    bool is_free = (state & (WF_MUTEX_HELD | WF_MUTEX_HANDED)) == 0;
    if (is_free && !has_open(mutex, &state)) {
        set_owner(mutex, token);
        state |= WF_MUTEX_HELD;
        rc = 0;
    } else if (waiter != NULL && wf_load_rlx(&mutex->owner) == token) {
        rc = -EDEADLK;
    } else if (waiter != NULL) {
        wf_waiters_add(&mutex->waiters, waiter);
        state |= WF_MUTEX_QUEUED;
    }
    wf_bitunlock(&mutex->word, state);
    return rc;
}

/* Gives it, which nobody has, to the first who can take it. Under the lock; the new state. */
static uint32_t hand_over(struct wf_mutex *mutex, uint32_t state, struct wf_later *later)
{
    struct wf_waiter *at;
    uint32_t leaving = 0;
    state &= ~(uint32_t)WF_MUTEX_HELD;
    while ((at = wf_waiters_first(&mutex->waiters)) != NULL) {
        const weft_task *task = at->wait->task;
        bool has_turns = wf_has_turns(task);
        uint64_t token = wf_task_token(task);
        if (has_turns && !wf_wait_is_open(at->wait)) {
            break;
        }
        if (wf_waiters_grant(at, WF_GRANTED, &leaving, later)) {
            set_owner(mutex, token);
            state |= has_turns ? WF_MUTEX_HANDED : WF_MUTEX_HELD;
            break;
        }
    }
    return without_queue(mutex, state + leaving * WF_MUTEX_LEAVING);
}

/* The waiter's wait is over. */
static void leave(struct wf_mutex *mutex, struct wf_waiter *waiter, enum wf_verdict verdict,
                  bool has_turns)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t state = wf_bitlock(&mutex->word);
    uint32_t leaving = state / WF_MUTEX_LEAVING;
    wf_waiters_remove(waiter, &leaving);
    state = state % WF_MUTEX_LEAVING + leaving * WF_MUTEX_LEAVING;
    if (verdict == WF_GRANTED && has_turns) {
        state = (state & ~(uint32_t)WF_MUTEX_HANDED) | WF_MUTEX_HELD;
    } else if (has_turns && (state & (WF_MUTEX_HELD | WF_MUTEX_HANDED)) == 0) {
        state = hand_over(mutex, state, &later);
    }
    wf_bitunlock(&mutex->word, without_queue(mutex, state));
    wf_later_run(&later);
}

static void list_owner(const struct wf_wait *wait, wf_each *each, void *arg)
{
    each(wf_mutex_owner(wait->target), arg);
}

int wf_mutex_wait(struct wf_mutex *mutex, struct wf_wait *wait, const void *site)
{
    weft_task *self = wait->task;
    struct wf_waiter waiter = {.wait = wait};
    wait->target = mutex;
    /* cppcheck-suppress autoVariables - taken back below; where it is not, the wait ends at once */
    wait->waiter = &waiter;
    wait->list = list_owner;
    int rc = enter(mutex, self, &waiter);
    if (rc != -EBUSY) {
        if (rc < 0) {
            wf_misuse(rc, "weft_mutex_lock", mutex, "", 0, "the caller has it already");
        }
        return rc;
    }
    enum wf_verdict verdict = wf_door_park_from(wait, site);
    wait->waiter = NULL;
    bool has_turns = wf_has_turns(self);
    if (verdict != WF_GRANTED || wait->was_early || has_turns) {
        leave(mutex, &waiter, verdict, has_turns);
    }
    return verdict == WF_GRANTED ? 0 : -ECANCELED;
}

static __attribute__((noinline)) int lock_slowly(struct wf_mutex *mutex, weft_task *self)
{
    struct wf_wait wait;
    wf_wait_begin(&wait, self, WF_WAIT_MUTEX);
    return wf_go_return(wf_mutex_wait(mutex, &wait, WF_GO_SITE), WF_GO_SITE);
}

static __attribute__((noinline)) int lock_anew(weft_mutex *mutex)
{
    int rc = 0;
    weft_task *self = wf_sync_enter(mutex, "weft_mutex_lock", &rc);
    if (self == NULL) {
        return rc;
    }
    struct wf_mutex *m = wf_mutex_inside(mutex);
    return wf_mutex_take_free(m, self) ? 0 : lock_slowly(m, self);
}

/* Here and in its like all that is rare is the last act, so that there is no frame. */
WF_AT_LINE int weft_mutex_lock(weft_mutex *mutex)
{
    weft_task *self = wf_sync_enter_here(mutex);
    if (WF_UNLIKELY(self == NULL)) {
        return lock_anew(mutex);
    }
    struct wf_mutex *m = wf_mutex_inside(mutex);
    return WF_LIKELY(wf_mutex_take_free(m, self)) ? 0 : lock_slowly(m, self);
}

int weft_mutex_try_lock(weft_mutex *mutex)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || mutex == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    struct wf_mutex *m = wf_mutex_inside(mutex);
    const weft_task *self = wf_self_on(worker);
    return wf_mutex_take_free(m, self) ? 0 : enter(m, self, NULL);
}

/* ---- unlocking ---- */

static __attribute__((noinline)) int give_slowly(struct wf_mutex *mutex)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t state = wf_bitlock(&mutex->word);
    bool is_held = (state & WF_MUTEX_HELD) != 0;
    wf_bitunlock(&mutex->word, is_held ? hand_over(mutex, state, &later) : state);
    wf_later_run(&later);
    return is_held ? 0 : -EPERM;
}

/* One that is locked, if nobody waits for it. */
static inline bool give_free(struct wf_mutex *mutex)
{
    uint32_t seen = WF_MUTEX_HELD;
    wf_store_rlx(&mutex->owner, UINT64_C(0));
    return wf_solo_cas32(&mutex->word, &seen, UINT32_C(0));
}

int wf_mutex_give(struct wf_mutex *mutex)
{
    if ((wf_load_acq(&mutex->word) & WF_MUTEX_HELD) == 0) {
        return -EPERM;
    }
    return give_free(mutex) ? 0 : give_slowly(mutex);
}

bool wf_mutex_is_mine(struct wf_mutex *mutex, const weft_task *self)
{
    if ((wf_load_acq(&mutex->word) & WF_MUTEX_HELD) == 0) {
        return false;
    }
    bool is_unowned = (mutex->flags & WEFT_MUTEX_UNOWNED) != 0;
    return is_unowned || (self != NULL && wf_load_rlx(&mutex->owner) == wf_task_token(self));
}

static __attribute__((noinline)) int unlock_anew(weft_mutex *mutex)
{
    if (mutex == NULL) {
        return -EINVAL;
    }
    struct wf_mutex *m = wf_mutex_inside(mutex);
    bool is_owned = (m->flags & WEFT_MUTEX_OWNED) != 0;
    int rc = is_owned && !wf_mutex_is_mine(m, wf_self_on(wf_here())) ? -EPERM : wf_mutex_give(m);
    if (rc < 0) {
        wf_misuse(rc, "weft_mutex_unlock", mutex, "but by", wf_mutex_owner(m), "not locked%s",
                  is_owned ? " by the caller" : "");
    }
    return rc;
}

/* Somebody has linked himself, or it was not locked after all. */
static __attribute__((noinline)) int unlock_slowly(weft_mutex *mutex)
{
    struct wf_mutex *m = wf_mutex_inside(mutex);
    int rc = give_slowly(m);
    if (rc < 0) {
        wf_misuse(rc, "weft_mutex_unlock", mutex, "but by", wf_mutex_owner(m), "not locked");
    }
    return rc;
}

WF_AT_LINE int weft_mutex_unlock(weft_mutex *mutex)
{
    struct wf_mutex *m = wf_mutex_inside(mutex);
    if (WF_UNLIKELY(mutex == NULL) || WF_UNLIKELY((m->flags & WEFT_MUTEX_OWNED) != 0) ||
        WF_UNLIKELY((wf_load_acq(&m->word) & WF_MUTEX_HELD) == 0)) {
        return unlock_anew(mutex);
    }
    return WF_LIKELY(give_free(m)) ? 0 : unlock_slowly(mutex);
}

/* ---- looking ---- */

bool weft_mutex_is_locked(const weft_mutex *mutex)
{
    return mutex != NULL && (wf_load_acq(&wf_mutex_inside(mutex)->word) & WF_MUTEX_HELD) != 0;
}

int weft_mutex_destroy(weft_mutex *mutex)
{
    if (mutex == NULL) {
        return -EINVAL;
    }
    struct wf_mutex *m = wf_mutex_inside(mutex);
    if (wf_load_acq(&m->word) == 0) {
        return 0;
    }
    if (wf_mutex_owner(m) == 0) {
        return wf_waiters_refuse(__func__, mutex, &m->word, &m->waiters);
    }
    wf_misuse(-EBUSY, __func__, mutex, "by", wf_mutex_owner(m), "it is in use");
    return -EBUSY;
}
