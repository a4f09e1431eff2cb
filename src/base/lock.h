// SPDX-License-Identifier: MIT
/* lock.h - the short lock: four bytes, spins for a few microseconds, then sleeps.
 *
 * What: guards a few list operations (a wheel, a future, a group). Never held across a suspension.
 * Why this way: workers may outnumber cores, so a pure spin lock could wait for a descheduled owner.
 *       It is given back by a load and a store, where a swap would cost as much as taking it did. A mark that
 *       comes between the two is overwritten, and nobody wakes who made it: whoever sleeps therefore looks
 *       again after WF_LOCK_NAP_NS. The two are neighbours, so that is as rare as a thread that loses its
 *       processor between two instructions.
 * Threads: any. value: 0 free, 1 held, 2 held and somebody sleeps. While it is held others only mark it, so
 *       its owner's store takes nothing away but such a mark; and that store is its last touch.
 */
#ifndef WF_BASE_LOCK_H
#define WF_BASE_LOCK_H

#include "base/solo.h"

struct wf_lock {
    /* any thread: CAS (solo.h) takes it, CAS (acq_rel) marks it; its owner's store (release) gives it back. */
    wf_au32 value;
};

/* Pauses before one tries to take a lock again, some 16 ns each. The sections are far shorter: each try
 * takes the word's cache line away from an owner that may take the lock again and again, and undisturbed
 * gets much more done. Who finds locks held again and again pauses for longer. Measured: two workers, eight tasks,
 * one queue: 155 ns an item with tries after every pause, 40 after 32 to 64 of them, 26 after 128 to 256. */
enum { WF_LOCK_TRIES = 6, WF_LOCK_PAUSES = 32, WF_LOCK_PAUSES_HOT = 128 };

/* How long one sleeps before looking again by oneself. */
enum { WF_LOCK_NAP_NS = 1000 * 1000 };

/* How many pauses to begin with, for a thread that has found a lock held. */
int wf_lock_pauses(void);

/* How often this thread has found a lock held, so far. */
uint32_t wf_lock_contentions(void);

/* Before one of the tries: twice as long as before the first. */
static inline void wf_lock_back_off(int pauses, int tries)
{
    for (int i = tries == 0 ? pauses : 2 * pauses; i > 0; i--) {
        wf_relax();
    }
}

void wf_lock_contended(struct wf_lock *lock);
void wf_unlock_contended(struct wf_lock *lock);

static inline __attribute__((always_inline)) bool wf_trylock(struct wf_lock *lock)
{
    uint32_t expected = 0;
    return wf_load_rlx(&lock->value) == 0 && wf_solo_cas32(&lock->value, &expected, 1U);
}

/* Both may fail where others are about; wf_lock and wf_unlock do the rest. Apart for fast paths that leave what
 * is rare to another function as a whole. */
static inline __attribute__((always_inline)) bool wf_lock_quickly(struct wf_lock *lock)
{
    uint32_t expected = 0;
    return __builtin_expect(wf_solo_cas32(&lock->value, &expected, 1U), 1);
}

static inline __attribute__((always_inline)) bool wf_unlock_quickly(struct wf_lock *lock)
{
    if (__builtin_expect(wf_load_rlx(&lock->value) != 1U, 0)) {
        return false;
    }
    wf_store_rel(&lock->value, 0U);
    return true;
}

static inline __attribute__((always_inline)) void wf_lock(struct wf_lock *lock)
{
    if (!wf_lock_quickly(lock)) {
        wf_lock_contended(lock);
    }
}

static inline __attribute__((always_inline)) void wf_unlock(struct wf_lock *lock)
{
    if (!wf_unlock_quickly(lock)) {
        wf_unlock_contended(lock);
    }
}

#endif
