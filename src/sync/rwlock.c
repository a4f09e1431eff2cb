// SPDX-License-Identifier: MIT
/* rwlock.c - readers are counted in the word; who must wait does so in one of two lists.
 *
 * Turns: a reader waits if a writer has the lock or waits for it. When a writer leaves, all readers that
 * wait get in; when the last reader leaves, the first writer does. Writers that were cancelled keep nobody
 * out: the last of them to leave lets in those who waited for it alone.
 */
#include <string.h>

#include <weft/rwlock.h>

#include "sync/rwlock.h"
#include "sync/waiters.h"

struct wf_rwlock {
    wf_au32
        word; /* readers, WRITER, QUEUED, the bit lock: any thread, CAS or under the lock (acq_rel) */
    uint32_t leaving; /* under the bit lock */
    /* Token of the writer, 0 for none: the writer stores, or who hands it over; who unlocks clears first.
     * Anybody loads: relaxed, a hint but to the task itself. */
    wf_au64 owner;
    struct wf_list readers; /* under the bit lock */
    struct wf_list writers; /* under the bit lock */
};

enum {
    WRITER = 4,
    QUEUED = 8,  /* somebody is linked or leaving: the lock is needed */
    READER = 64, /* one of them */
    READERS_MOST = (1 << 26) - 1,
};

#define READERS(state) ((state) / READER)

_Static_assert(sizeof(struct wf_rwlock) <= sizeof(weft_rwlock), "weft_rwlock is too small");

static struct wf_rwlock *inside(const weft_rwlock *rwlock)
{
    return (struct wf_rwlock *)(uintptr_t)rwlock;
}

int weft_rwlock_init(weft_rwlock *rwlock)
{
    if (rwlock == NULL) {
        return -EINVAL;
    }
    memset(rwlock, 0, sizeof *rwlock);
    return 0;
}

/* ---- under the lock ---- */

static uint32_t with_queue(const struct wf_rwlock *lock, uint32_t state)
{
    bool is_empty = lock->leaving == 0 && wf_waiters_is_empty(&lock->readers) &&
                    wf_waiters_is_empty(&lock->writers);
    return is_empty ? state & ~(uint32_t)QUEUED : state | (uint32_t)QUEUED;
}

/* Does a writer wait who has not been cancelled? */
static bool has_writer(struct wf_rwlock *lock)
{
    return wf_waiters_has_open(&lock->writers, &lock->leaving);
}

static uint32_t let_readers_in(struct wf_rwlock *lock, uint32_t state, struct wf_later *later)
{
    size_t room = READERS_MOST - READERS(state);
    size_t count = wf_waiters_grant_some(&lock->readers, room, WF_GRANTED, &lock->leaving, later);
    return state + (uint32_t)count * READER;
}

static uint32_t let_writer_in(struct wf_rwlock *lock, uint32_t state, struct wf_later *later)
{
    struct wf_waiter *at;
    while ((at = wf_waiters_first(&lock->writers)) != NULL) {
        uint64_t token = wf_task_token(at->wait->task);
        if (wf_waiters_grant(at, WF_GRANTED, &lock->leaving, later)) {
            wf_store_rlx(&lock->owner, token);
            return state | WRITER;
        }
    }
    return state;
}

/* What the lock comes to when somebody has left it or its queue. */
static uint32_t pass_on(struct wf_rwlock *lock, uint32_t state, bool was_writing,
                        struct wf_later *later)
{
    if ((state & WRITER) == 0 && (was_writing || !has_writer(lock))) {
        state = let_readers_in(lock, state, later);
    }
    if ((state & WRITER) == 0 && READERS(state) == 0) {
        state = let_writer_in(lock, state, later);
    }
    if ((state & WRITER) == 0 && !was_writing && !has_writer(lock)) {
        state = let_readers_in(lock, state, later); /* no writer could take it */
    }
    return with_queue(lock, state);
}

/* Takes it, refuses, or links the waiter: 0, -EDEADLK, -EAGAIN, -EBUSY. */
static int enter(struct wf_rwlock *lock, const weft_task *self, bool writes,
                 struct wf_waiter *waiter)
{
    uint64_t token = wf_task_token(self);
    struct wf_later later;
    wf_later_init(&later);
    uint32_t state = wf_bitlock(&lock->word);
    if ((state & (WRITER | QUEUED)) == QUEUED) {
        state = pass_on(lock, state, false, &later); /* cancelled writers have not gone yet */
    }
    bool is_free = (state & WRITER) == 0 && !has_writer(lock) && (!writes || READERS(state) == 0);
    int rc = -EBUSY;
    if (is_free && writes) {
        wf_store_rlx(&lock->owner, token);
        state |= WRITER;
        rc = 0;
    } else if (is_free) {
        rc = READERS(state) == READERS_MOST ? -EAGAIN : 0;
        state += rc == 0 ? READER : 0;
    } else if (waiter != NULL && wf_load_rlx(&lock->owner) == token) {
        rc = -EDEADLK;
    } else if (waiter != NULL) {
        wf_waiters_add(writes ? &lock->writers : &lock->readers, waiter);
    }
    wf_bitunlock(&lock->word, with_queue(lock, state));
    wf_later_run(&later);
    return rc;
}

static void leave(struct wf_rwlock *lock, struct wf_waiter *waiter, enum wf_verdict verdict)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t state = wf_bitlock(&lock->word);
    wf_waiters_remove(waiter, &lock->leaving);
    state = verdict == WF_GRANTED ? with_queue(lock, state) : pass_on(lock, state, false, &later);
    wf_bitunlock(&lock->word, state);
    wf_later_run(&later);
}

/* ---- locking ---- */

/* While nobody waits. */
static inline bool take_free(struct wf_rwlock *lock, const weft_task *self, bool writes)
{
    uint32_t seen = writes ? 0 : wf_load_rlx(&lock->word);
    if (writes) {
        if (!wf_solo_cas32(&lock->word, &seen, (uint32_t)WRITER)) {
            return false;
        }
        wf_store_rlx(&lock->owner, wf_task_token(self));
        return true;
    }
    while ((seen & (WRITER | QUEUED | WF_BITLOCK_MASK)) == 0 && READERS(seen) < READERS_MOST) {
        if (wf_solo_cas32(&lock->word, &seen, seen + READER)) {
            return true;
        }
    }
    return false;
}

static void list_writer(const struct wf_wait *wait, wf_each *each, void *arg)
{
    each(wf_rwlock_owner(wait->target), arg);
}

static __attribute__((noinline)) int lock_slowly(struct wf_rwlock *lock, weft_task *self,
                                                 bool writes)
{
    struct wf_seat *seat = wf_seat_own(self);
    wf_seat_take(seat, self, WF_WAIT_RWLOCK, lock);
    seat->wait.list = list_writer;
    int rc = enter(lock, self, writes, &seat->waiter);
    if (rc == -EDEADLK) {
        wf_misuse(rc, writes ? "weft_rwlock_write_lock" : "weft_rwlock_read_lock", lock, "", 0,
                  "the caller has it for writing");
    }
    if (rc != -EBUSY) {
        return rc;
    }
    enum wf_verdict verdict = wf_door_park_from(&seat->wait, WF_GO_SITE);
    if (verdict != WF_GRANTED || seat->wait.was_early) {
        leave(lock, &seat->waiter, verdict);
    }
    return wf_go_return(verdict == WF_GRANTED ? 0 : -ECANCELED, WF_GO_SITE);
}

static __attribute__((noinline)) int lock_anew(weft_rwlock *rwlock, bool writes)
{
    int rc = 0;
    weft_task *self =
        wf_sync_enter(rwlock, writes ? "weft_rwlock_write_lock" : "weft_rwlock_read_lock", &rc);
    if (self == NULL) {
        return rc;
    }
    struct wf_rwlock *lock = inside(rwlock);
    return take_free(lock, self, writes) ? 0 : lock_slowly(lock, self, writes);
}

/* All that is rare is the last act, so that the two calls have no frames. */
static inline __attribute__((always_inline)) int lock_here(weft_rwlock *rwlock, bool writes)
{
    weft_task *self = wf_sync_enter_here(rwlock);
    if (WF_UNLIKELY(self == NULL)) {
        return lock_anew(rwlock, writes);
    }
    struct wf_rwlock *lock = inside(rwlock);
    return WF_LIKELY(take_free(lock, self, writes)) ? 0 : lock_slowly(lock, self, writes);
}

WF_AT_LINE int weft_rwlock_read_lock(weft_rwlock *rwlock)
{
    return lock_here(rwlock, false);
}

WF_AT_LINE int weft_rwlock_write_lock(weft_rwlock *rwlock)
{
    return lock_here(rwlock, true);
}

static int try_lock(weft_rwlock *rwlock, bool writes)
{
    int rc = 0;
    struct wf_worker *worker = wf_fiber_worker(&rc);
    if (worker == NULL || rwlock == NULL) {
        return worker == NULL ? rc : -EINVAL;
    }
    struct wf_rwlock *lock = inside(rwlock);
    const weft_task *self = wf_self_on(worker);
    rc = take_free(lock, self, writes) ? 0 : enter(lock, self, writes, NULL);
    return rc == -EAGAIN ? -EBUSY : rc;
}

int weft_rwlock_try_read_lock(weft_rwlock *rwlock)
{
    return try_lock(rwlock, false);
}

int weft_rwlock_try_write_lock(weft_rwlock *rwlock)
{
    return try_lock(rwlock, true);
}

/* ---- unlocking ---- */

static __attribute__((noinline)) int unlock_slowly(struct wf_rwlock *lock)
{
    struct wf_later later;
    wf_later_init(&later);
    uint32_t state = wf_bitlock(&lock->word);
    bool was_writing = (state & WRITER) != 0;
    bool is_locked = was_writing || READERS(state) > 0;
    if (is_locked) {
        state = was_writing ? state & ~(uint32_t)WRITER : state - READER;
        state = pass_on(lock, state, was_writing, &later);
    }
    wf_bitunlock(&lock->word, state);
    wf_later_run(&later);
    if (!is_locked) {
        wf_misuse(-EPERM, "weft_rwlock_unlock", lock, "", 0, "not locked");
        return -EPERM;
    }
    return 0;
}

int weft_rwlock_unlock(weft_rwlock *rwlock)
{
    if (rwlock == NULL) {
        return -EINVAL;
    }
    struct wf_rwlock *lock = inside(rwlock);
    uint32_t seen = wf_load_acq(&lock->word);
    if ((seen & WRITER) != 0) {
        wf_store_rlx(&lock->owner, UINT64_C(0));
        seen = WRITER;
        return wf_solo_cas32(&lock->word, &seen, UINT32_C(0)) ? 0 : unlock_slowly(lock);
    }
    while ((seen & (WRITER | QUEUED | WF_BITLOCK_MASK)) == 0 && READERS(seen) > 0) {
        if (wf_solo_cas32(&lock->word, &seen, seen - READER)) {
            return 0;
        }
    }
    return unlock_slowly(lock);
}

/* For reports: who writes, else who waits; 0 where only readers have it. */
static uint64_t user_of(struct wf_rwlock *lock)
{
    uint64_t writer = wf_rwlock_owner(lock);
    uint64_t waiter = wf_waiters_token(&lock->word, &lock->writers);
    waiter = waiter != 0 ? waiter : wf_waiters_token(&lock->word, &lock->readers);
    return writer != 0 ? writer : waiter;
}

int weft_rwlock_destroy(weft_rwlock *rwlock)
{
    if (rwlock == NULL) {
        return -EINVAL;
    }
    struct wf_rwlock *lock = inside(rwlock);
    if (wf_load_acq(&lock->word) == 0) {
        return 0;
    }
    wf_misuse(-EBUSY, __func__, rwlock, "by", user_of(lock), "it is in use");
    return -EBUSY;
}

uint64_t wf_rwlock_owner(const void *rwlock)
{
    return wf_load_rlx(&inside(rwlock)->owner);
}
