// SPDX-License-Identifier: MIT
/* inside.pml - a group that closes and runs its children on the stack of the task that closes it, and everybody who
 * may come in between.
 *
 * What is modelled, and where it lies in src/:
 *
 *   Closer                weft_group_close: begin_closing, see_off_children, last_word (await/group_close.c)
 *   run_inside            wf_group_close_inside: newest_of, claim, run, the last look (await/group_inside.c)
 *   claim                 claim, claim_fully, claim_slowly; wf_inside_claim, wf_inside_stand_back (await/inside.h, inside.c);
 *                         wf_ready_claim, wf_ready_count_dead (sched/claim.h, claim.c); wf_state_start_inside
 *                         (task/state.h); wf_deque_lower, _settle, _restore (queue/deque.h)
 *   run_child             wf_inside_call; end_quickly over wf_inside_end_unseen; end_fully over
 *                         wf_inside_wait_for_cancellers
 *   wait_for_children     the same and wait_once (group_close.c), wf_state_park, wf_door_park (await/door.h)
 *   add_child             weft_group_spawn_at by a child that runs inside: add_slowly (group.c), wf_deque_add
 *   finish                wf_task_finish (task/end.c): wf_state_finish; child_ended, child_left (group.c); wf_sched_flush
 *   cancel_children, ask_all, abort_group   the same in group.c
 *   Taker                 a thief, or the closer's worker while its fiber waits: wf_deque_steal, wf_deque_take;
 *                         resolve (take.c), wf_worker_bury
 *   Canceller, Failing    weft_cancel of the closer: wf_state_request, wf_kick_soon (kick_soon), kick (kick), hand_on,
 *                         wf_cancel_inside, wf_inside_hold, hand_inside, ask_inside, wf_inside_unlock (task/cancel.c)
 *   HandleOwner           weft_cancel of a child, weft_drop
 *   Looker                weft_dump: look_once, look_inside, list_all_inside (sched/waits.c)
 *   Host                  the worker that has parked the closer and found a request: kick
 *   Waiter                the end, on any worker, of a child that has waited until it was cancelled
 *   Stranger              a spawn of somebody else's task into the slot of a child that is gone
 *
 * Two children in the deque of the closer's worker; a third that one of them adds (SPAWN), in a new slot or in that of
 * a child that is gone. What a child does is drawn: it returns a value; fails (FAIL); waits until it is cancelled (WAIT,
 * where somebody is sure to cancel it), after which the closer may find itself on another worker.
 *
 * A token is a slot and which life of it; the closer's word is taken apart (its count of requests, what of them is
 * undelivered, ...), but what is changed by one CAS is one step.
 *
 * Memory. x86-TSO: `stores` are those of the closer that nobody else sees yet: joins, bottom, a slot of the deque. Process
 * Memory makes the oldest visible at any moment, a locked operation of the closer's all of them. Others store nothing
 * outside of locks but by locked operations.
 *
 * Left out: budgets and pauses, shields, callbacks, turns of a simulation; that whoever parks is woken (idle.pml).
 *
 * Properties, by assertions and where nothing moves any more (Monitor):
 *
 *   - each child is started once, or buried once without having been started because it was cancelled; nobody claims
 *     somebody else's task
 *   - a request to the closer reaches every child that has not ended, each once: one that waits for it would wait for ever;
 *     afterwards none can be added
 *   - it is counted once, and either the close tells of it or the next await point does
 *   - nobody touches the group, or the closer's wait, when it is over; nobody asks another group in its place
 *   - all comes to an end: the closer, the children, their references, the marks in the closer's word
 *
 * The other macros each break one step; check.sh makes sure that each is found wrong.
 */

/* Settings: CANCEL, FAIL, HANDLE, LOOK, SPAWN, STRANGER, WAIT; TAKERS. */
#ifndef TAKERS
#define TAKERS 1
#endif

#define LAST 3 /* slots: 1 to 3 */
#define LIFE 4 /* a token: the slot, and this for its second life */
#define SLOT_OF(token) ((token) & 3)
#define TOKEN_OF(slot) ((slot) + LIFE * generation[slot])

mtype = { FREE, NEW, RUN, PARKED, ENDED }
mtype = { JOINS, BOTTOM, PLACE } /* the closer's plain stores */

/* ---- records, by slot ---- */

mtype life[4] = FREE
byte undelivered[4]
byte generation[4]
byte owners[4]
byte holds[4]
bool is_strange[4]  /* of no group that we know */
bool is_member[4]   /* in the group's list */
byte birth[4]       /* the list's order */
bool is_waiting[4]  /* not inside: until it is cancelled */
bool was_started[4] /* ghosts: this life of the slot */
bool was_buried[4]
bool was_inside[4]
bool was_asked[4]

/* ---- the closer's record ---- */

mtype self_life = RUN
byte self_count        /* requests not taken back */
byte self_undelivered
byte self_tolls
bool is_busy           /* WF_BUSY */
bool is_handed         /* WF_HANDED */
bool is_early          /* the wait was decided before it was parked */
bool was_told          /* WF_TOLD by the close */
bool self_lock
byte joins             /* a token, with WF_JOINS_INSIDE and _ALL; 0 */

/* ---- its frame ---- */

bool group_lock
byte live = 2
byte births = 2
bool is_aborting
bool is_closed         /* its phase */
bool has_wait          /* g->wait */
bool has_failed        /* codes are recorded */
bool has_request       /* the scope's own */
byte fired_at
bool is_wait_there     /* ghost: the wait record of wait_for_children */
bool is_over           /* ghost: close has returned */
bool handed_on         /* in that record */

/* ---- the deque of the closer's worker ---- */

byte top, bottom = 2
byte ring[4]

chan stores = [6] of { mtype, byte, byte }
bool must_kick         /* for Host */

mtype stored /* within a step only */
byte stored_at, stored_value

/* ---- memory ---- */

inline show_oldest()
{
    stores?stored, stored_at, stored_value;
    if
    :: stored == JOINS -> joins = stored_value
    :: stored == BOTTOM -> bottom = stored_value
    :: stored == PLACE -> ring[stored_at] = stored_value
    fi;
    stored = 0;
    stored_at = 0;
    stored_value = 0
}

active proctype Memory()
{
end:
    do
    :: d_step { nempty(stores) -> show_oldest() }
    od
}

/* Of every process but the closer `is_closer` is false: they have nothing to show. */
inline drain()
{
    do
    :: is_closer && nempty(stores) -> show_oldest()
    :: !is_closer || empty(stores) -> break
    od
}

#define LOCK_GROUP atomic { !group_lock -> drain(); group_lock = true; assert(!is_over) }
#define UNLOCK_GROUP group_lock = false
#define LOCK_SELF atomic { !self_lock -> drain(); self_lock = true }
#define UNLOCK_SELF self_lock = false

/* ---- references ---- */

/* wf_task_release, where both are 0 */
inline free_if_last(slot)
{
    if
    :: owners[slot] == 0 && holds[slot] == 0 ->
        assert(life[slot] == ENDED && !is_member[slot]);
        assert(was_started[slot] != was_buried[slot] || is_strange[slot]);
        life[slot] = FREE;
        undelivered[slot] = 0
    :: else
    fi
}

inline let_go(slot)
{
    d_step { drain(); assert(holds[slot] > 0); holds[slot]--; free_if_last(slot) }
}

/* ---- asking the children ---- */

/* Under the group's lock. One locked operation (wf_state_request) for each that has not ended. */
inline cancel_children()
{
    is_aborting = true;
    each = 1;
    do
    :: each <= LAST && is_member[each] ->
        d_step {
            drain();
            if
            :: life[each] == NEW || life[each] == RUN ->
                assert(!was_asked[each] && !is_strange[each]);
                undelivered[each]++;
                was_asked[each] = true
            :: else
            fi;
            each++
        }
    :: each <= LAST && !is_member[each] -> each++
    :: each > LAST -> each = 0; break
    od;
    skip
}

/* wf_group_cancel_once */
inline cancel_once()
{
    LOCK_GROUP;
    if
#ifndef ABORT_AGAIN
    :: is_aborting
    :: !is_aborting -> cancel_children()
#else
    :: cancel_children()
#endif
    fi;
    UNLOCK_GROUP
}

/* ---- requests to the closer ---- */

/* wf_inside_hold: `held` is to be given up in any case, `is_it` says whether it is the child inside. `seen` is what
 * `joins` was before the lock was taken. */
inline inside_hold()
{
#ifndef WITHOUT_SECOND_LOOK
    seen = joins; /* a load */
#endif
    if
    :: seen != 0 ->
        d_step { /* wf_task_try_hold */
            drain();
            if
            :: owners[SLOT_OF(seen)] + holds[SLOT_OF(seen)] > 0 -> held = SLOT_OF(seen); holds[held]++
            :: else
            fi
        };
        if
#ifndef WITHOUT_TOKEN
        /* stays while it is held; one more load of `joins` only makes up for a token's few bits */
        :: held != 0 -> is_it = TOKEN_OF(held) == seen
#else
        :: held != 0 -> is_it = true
#endif
        :: else
        fi
    :: else
    fi;
    seen = 0
}

/* wf_inside_unlock */
inline inside_unlock()
{
    if
    :: held != 0 ->
        d_step {
            drain();
            holds[held]--;
            assert(owners[held] + holds[held] > 0 || !was_inside[held]); /* who drops its result is the closer */
            free_if_last(held);
            held = 0
        }
    :: else
    fi;
    UNLOCK_SELF
}

/* wf_state_take: true in `is_taken`; false: and BUSY has ended */
inline take()
{
    d_step {
        drain();
        is_taken = self_undelivered > 0;
        if
        :: is_taken -> self_undelivered = 0; self_tolls++
        :: else -> is_busy = false
        fi
    }
}

inline hand_inside()
{
    do
    :: take();
        if
        :: is_taken ->
            is_taken = false;
            assert(!is_strange[held]); /* child->owner */
            cancel_once();
#ifndef WITHOUT_HANDED
            d_step { drain(); is_handed = true }
#endif
        :: else -> break
        fi
    od
}

inline cancel_inside()
{
    seen = joins;
    if
    :: seen != 0 ->
        LOCK_SELF;
        d_step { /* wf_state_keep_inside */
            drain();
            is_kept = self_life == RUN && self_undelivered > 0;
            is_busy = is_busy || is_kept
        };
        if
        :: is_kept ->
            is_kept = false;
            inside_hold();
            if
            :: is_it -> is_it = false; hand_inside()
            :: else -> d_step { drain(); is_busy = false } /* wf_state_looked */
            fi
        :: else
        fi;
        seen = 0;
        inside_unlock()
    :: else
    fi
}

/* cancel.c's hand_on with absorb: under the lock, and BUSY. */
inline hand_on()
{
    do
    :: take();
        if
        :: is_taken ->
            is_taken = false;
            assert(is_wait_there);
            cancel_once();
            assert(is_wait_there);
            handed_on = true
        :: else -> break
        fi
    od
}

#define GOES_INSIDE (self_undelivered > 0 && self_life == RUN)

inline kick()
{
    wants_kick = false;
    d_step { /* wf_state_deliver */
        goes_inside = GOES_INSIDE;
        goes_lock = self_undelivered > 0 && self_life == PARKED
    };
    if
    :: goes_lock ->
        goes_lock = false;
        LOCK_SELF;
        d_step {
            drain();
            goes_inside = GOES_INSIDE;
            goes_lock = self_undelivered > 0 && self_life == PARKED;
            is_busy = is_busy || goes_lock
        };
        if
        :: goes_lock -> goes_lock = false; hand_on()
        :: else
        fi;
        UNLOCK_SELF
    :: else
    fi;
    if
    :: goes_inside -> goes_inside = false; cancel_inside()
    :: else
    fi
}

/* wf_kick_soon: what can't be done here and now goes on the list (wants_kick). */
inline kick_soon()
{
    d_step {
        goes_inside = GOES_INSIDE;
        wants_kick = wants_kick || (self_undelivered > 0 && self_life == PARKED)
    };
    if
    :: goes_inside -> d_step { goes_inside = false; wants_kick = wants_kick || joins != 0 }
    :: else
    fi
}

/* ---- the end of a child ---- */

/* group.c: abort_group over wf_scope_fire, wf_cancel_add_own. Under the group's lock. */
inline abort_group()
{
    cancel_children();
    d_step { drain(); self_count++; self_undelivered++; has_request = true; fired_at = self_tolls };
    kick_soon()
}

/* wf_task_finish, wf_sched_flush */
inline finish(slot, fails)
{
    d_step { drain(); assert(life[slot] == RUN); life[slot] = ENDED };
    if
    :: fails -> /* child_ended */
        LOCK_GROUP;
        has_failed = true;
        if
        :: !is_aborting -> abort_group()
        :: else
        fi;
        UNLOCK_GROUP
    :: else
    fi;
    LOCK_GROUP; /* child_left */
    d_step { is_member[slot] = false; live-- };
    if
    :: live == 0 && has_wait ->
        d_step { /* wf_state_wake */
            drain();
            assert(is_wait_there);
            if
            :: self_life == PARKED -> self_life = RUN
            :: else -> is_early = true
            fi
        }
    :: else
    fi;
    UNLOCK_GROUP;
    d_step { drain(); assert(owners[slot] > 0); owners[slot]--; free_if_last(slot) }; /* wf_task_disown */
    let_go(slot);
    if
    :: wants_kick -> kick()
    :: else
    fi
}

inline begin_body(slot)
{
    assert(!was_started[slot] && !was_buried[slot] && !is_strange[slot]);
    was_started[slot] = true
}

/* ---- taking entries from the deque, and running what they name ---- */

/* An entry was taken: resolve, and the task's turn. */
inline resolve()
{
    d_step {
        mine = SLOT_OF(entry);
        if
        :: TOKEN_OF(mine) == entry && life[mine] == NEW -> /* wf_state_start */
            life[mine] = RUN;
            starts = undelivered[mine] == 0;
            buries = undelivered[mine] > 0
        :: else
        fi;
        entry = 0
    };
    if
    :: starts ->
        d_step { starts = false; begin_body(mine) };
        if
        :: finish(mine, false)
#ifdef FAIL
        :: finish(mine, true)
#endif
#ifdef WAIT
        :: is_waiting[mine] = true
#endif
        fi
    :: buries ->
        d_step { buries = false; assert(!was_started[mine]); was_buried[mine] = true };
        finish(mine, false)
    :: else
    fi;
    mine = 0
}

#define NEEDED_TO_ASK byte each, seen, held; bool is_it, is_kept, is_taken, wants_kick, goes_inside, goes_lock

proctype Taker()
{
    bool is_closer, starts, buries;
    byte at, entry, mine;
    NEEDED_TO_ASK;
end:
    do
    :: atomic { top < bottom -> at = top }; /* wf_deque_steal; a full fence */
        if
        :: bottom > at ->
            entry = ring[at];
            d_step {
                if
                :: top == at -> top++ /* a CAS */
                :: else -> entry = 0
                fi;
                at = 0
            };
            if
            :: entry != 0 -> resolve()
            :: else
            fi
        :: else -> at = 0
        fi
    od
}

/* It goes on, wherever, when it has been cancelled. */
proctype Waiter()
{
    bool is_closer;
    byte mine;
    NEEDED_TO_ASK;
end:
    do
    :: d_step { is_waiting[1] && undelivered[1] > 0 -> mine = 1; is_waiting[1] = false }; finish(mine, false); mine = 0
    :: d_step { is_waiting[2] && undelivered[2] > 0 -> mine = 2; is_waiting[2] = false }; finish(mine, false); mine = 0
    :: d_step { is_waiting[3] && undelivered[3] > 0 -> mine = 3; is_waiting[3] = false }; finish(mine, false); mine = 0
    od
}

/* ---- the closer ---- */

inline store(kind, where, value)
{
    atomic { nfull(stores) -> stores!kind, where, value }
}

/* Under the group's lock: into `offer`, 0 if it is not to be had. */
inline find_newest()
{
    d_step {
        offer = 0;
        each = 1;
        do
        :: each <= LAST ->
            if
            :: is_member[each] && (offer == 0 || birth[each] > birth[SLOT_OF(offer)]) -> offer = TOKEN_OF(each)
            :: else
            fi;
            each++
        :: each > LAST -> each = 0; break
        od;
        if
#ifndef CLAIM_CANCELLED
        :: offer != 0 && (life[SLOT_OF(offer)] != NEW || undelivered[SLOT_OF(offer)] > 0) -> offer = 0
#else
        :: offer != 0 && life[SLOT_OF(offer)] != NEW -> offer = 0
#endif
        :: else
        fi
    }
}

/* is_dead in claim.c, of the entry that lies `dead` under the newest */
#define AT_BOTTOM own_ring[own_bottom - 1 - dead]
#define IS_DEAD (life[SLOT_OF(AT_BOTTOM)] != NEW || TOKEN_OF(SLOT_OF(AT_BOTTOM)) != AT_BOTTOM)

#ifdef CLAIM_CANCELLED
#define MAY_CLAIM (life[mine] == NEW && TOKEN_OF(mine) == offer)
#elif defined(CLAIM_ANY_LIFE)
#define MAY_CLAIM (life[mine] == NEW && undelivered[mine] == 0)
#else
#define MAY_CLAIM (life[mine] == NEW && undelivered[mine] == 0 && TOKEN_OF(mine) == offer)
#endif

/* One's own entry if it is the newest, and dead ones below it; not less, but perhaps not all. */
inline count_dead()
{
    dead = 0;
    do
    :: !has_moved && own_bottom > top + dead && AT_BOTTOM == offer && dead == 0 -> dead++
    :: !has_moved && own_bottom > top + dead && (AT_BOTTOM != offer || dead > 0) && IS_DEAD -> dead++
    :: has_moved || dead > 0 || own_bottom <= top || AT_BOTTOM != offer -> break
    od
}

/* From an offer to a claimed child in `mine`; 0: not so. */
inline claim()
{
    mine = SLOT_OF(offer);
    if
    :: self_undelivered > 0 -> mine = 0 /* the look of claim */
    :: self_undelivered == 0 && TOKEN_OF(mine) != offer -> mine = 0
    :: else ->
#ifndef JOINS_LATE
        store(JOINS, 0, offer); /* wf_inside_claim */
#endif
        count_dead();
        if
        :: dead > 0 -> store(BOTTOM, 0, own_bottom - dead) /* wf_deque_lower */
        :: else
        fi;
        d_step { /* wf_state_start_inside */
            drain();
            is_claimed = MAY_CLAIM;
            assert(!is_claimed || undelivered[mine] == 0);
            if
            :: is_claimed -> life[mine] = RUN
            :: else
            fi
        };
#ifdef JOINS_LATE
        store(JOINS, 0, offer);
#endif
        if
        :: is_claimed ->
            is_claimed = false;
            if
#ifndef WITHOUT_SETTLE
            :: dead > 0 && top >= own_bottom - dead -> /* wf_deque_settle: a load */
                atomic {
                    own_bottom = (top < own_bottom -> top + 1 : own_bottom);
                    stores!BOTTOM, 0, own_bottom
                }
            :: dead > 0 && top < own_bottom - dead -> own_bottom = own_bottom - dead
#else
            :: dead > 0 -> own_bottom = own_bottom - dead
#endif
            :: dead == 0
            fi
        :: else ->
            if
            :: dead > 0 -> store(BOTTOM, 0, own_bottom) /* wf_deque_restore */
            :: else
            fi;
            store(JOINS, 0, 0); /* wf_inside_stand_back */
#ifndef WITHOUT_STANDING_BACK
            d_step { drain() };
            LOCK_SELF;
            UNLOCK_SELF;
#endif
            mine = 0
        fi;
        dead = 0
    fi;
    offer = 0
}

/* What a child that runs inside adds to the group, and to the deque. */
inline add_child()
{
    LOCK_GROUP;
    if
    :: !is_aborting && live > 0 ->
        d_step {
            if
            :: life[2] == FREE && owners[2] + holds[2] == 0 && generation[2] == 0 ->
                made = 2;
                generation[2] = 1;
                was_started[2] = false;
                was_buried[2] = false;
                was_inside[2] = false;
                was_asked[2] = false
            :: else -> made = 3
            fi;
            owners[made] = 1;
            holds[made] = 1;
            births++;
            birth[made] = births;
            live++;
            life[made] = NEW;
            is_member[made] = true;
            made = TOKEN_OF(made)
        }
    :: else
    fi;
    UNLOCK_GROUP;
    if
    :: made != 0 ->
        store(PLACE, own_bottom, made);
        d_step { own_ring[own_bottom] = made; own_bottom++; made = 0 };
        store(BOTTOM, 0, own_bottom)
    :: else
    fi
}

inline body()
{
    if
    :: true /* a value */
#ifdef FAIL
    :: fails = true
#endif
#ifdef WAIT
    :: d_step { drain() };
        d_step { undelivered[mine] > 0 -> undelivered[mine] = 0; is_told = true };
        if
        :: true
        :: has_moved = true
        fi
#endif
#ifdef SPAWN
    :: birth[mine] == 1 && !has_moved -> add_child()
#endif
    fi
}

/* Nothing is left of the child, or (not has_ended) nothing has changed. */
inline end_quickly()
{
    LOCK_GROUP;
    d_step { /* wf_inside_end_unseen: a CAS */
        drain();
#ifndef END_HELD
        has_ended = owners[mine] == 1 && holds[mine] == 1;
#else
        has_ended = owners[mine] == 1;
#endif
        if
        :: has_ended -> owners[mine] = 0; holds[mine] = 0
        :: else
        fi
    };
    if
    :: has_ended && undelivered[mine] > 0 -> d_step { owners[mine] = 1; holds[mine] = 1; has_ended = false }
    :: else
    fi;
    if
    :: has_ended ->
        d_step { is_member[mine] = false; live--; is_closed = live == 0 };
        find_newest();
        UNLOCK_GROUP;
        d_step { life[mine] = FREE; undelivered[mine] = 0 } /* wf_task_free_quickly */
    :: else -> UNLOCK_GROUP
    fi
}

inline end_fully()
{
    d_step { drain(); holds[mine]++ };
    finish(mine, fails);
    fails = false;
#ifndef WITHOUT_WAIT_FOR_CANCELLERS
    LOCK_SELF; /* wf_inside_wait_for_cancellers: there is a hold, one's own */
    UNLOCK_SELF;
#endif
    let_go(mine);
    LOCK_GROUP; /* find_first */
    find_newest();
    UNLOCK_GROUP
}

inline run_child()
{
#ifndef WITHOUT_OWN_LOOK
    if
    :: self_undelivered > 0 -> cancel_inside() /* wf_inside_hand_on */
    :: else
    fi;
#endif
    d_step { begin_body(mine); was_inside[mine] = true };
    body();
    store(JOINS, 0, 0);
    if
    :: !fails && !is_told -> end_quickly()
    :: else
    fi;
    is_told = false;
    if
    :: has_ended -> has_ended = false
    :: else -> end_fully()
    fi;
    mine = 0
}

inline run_inside()
{
    LOCK_GROUP;
    find_newest();
    UNLOCK_GROUP;
    do
    :: offer != 0 ->
        claim();
        if
        :: mine != 0 -> run_child()
        :: else -> break
        fi
    :: offer == 0 -> break
    od;
#ifndef WITHOUT_LAST_LOOK
    if
    :: is_busy || is_handed -> /* wf_inside_was_handed */
        if
        :: is_busy -> LOCK_SELF; UNLOCK_SELF
        :: else
        fi;
        d_step {
            drain();
            absorbed = absorbed || is_handed;
            is_handed = false
        }
    :: else
    fi
#endif
}

/* wf_state_observe */
inline observe()
{
    d_step {
        drain();
        if
        :: self_undelivered > 0 -> self_undelivered = 0; self_tolls++; is_taken = true
        :: else
        fi
    }
}

inline wait_for_children()
{
    is_wait_there = true;
    LOCK_GROUP; /* wait_once */
    has_wait = live > 0;
    UNLOCK_GROUP;
    if
    :: has_wait ->
        d_step { /* wf_state_park */
            drain();
            if
            :: is_early
            :: else -> self_life = PARKED; must_kick = self_undelivered > 0
            fi
        };
        d_step { self_life == RUN -> is_early = false };
#ifndef WITHOUT_WAIT_FOR_READERS
        if
        :: is_busy -> LOCK_SELF; UNLOCK_SELF; assert(!is_busy) /* wf_door_let_read */
        :: else
        fi;
#endif
        LOCK_GROUP;
        has_wait = false;
        UNLOCK_GROUP
    :: else
    fi;
    absorbed = absorbed || handed_on;
    is_wait_there = false
}

inline conclude()
{
    had_request = has_request;
    if
    :: has_request -> /* wf_state_withdraw */
        d_step {
            drain();
            has_request = false;
            self_count--;
            if
            :: (self_undelivered > 0 && self_tolls == fired_at) || self_undelivered > self_count -> self_undelivered--
            :: else
            fi;
            fired_at = 0
        }
    :: else
    fi;
    others = self_count > self_undelivered; /* wf_scope_tally: a load */
    if
    :: has_failed && others ->
        d_step { /* wf_state_rearm */
            drain();
            if
            :: self_undelivered < self_count -> self_undelivered++
            :: else
            fi
        }
    :: !has_failed && absorbed && (others || !had_request) -> was_told = true
    :: else
    fi
}

proctype Closer()
{
    bool is_closer = true;
    bool absorbed, has_moved, is_claimed, fails, is_told, has_ended, had_request, others;
    byte own_bottom = 2, own_ring[4], offer, mine, dead, made;
    NEEDED_TO_ASK;
    own_ring[0] = 1;
    own_ring[1] = 2;
    observe();
    d_step { absorbed = is_taken; is_taken = false };
    LOCK_GROUP; /* begin_closing */
    if
    :: absorbed && !is_aborting -> cancel_children()
    :: else
    fi;
    is_closed = live == 0;
    UNLOCK_GROUP;
    if
    :: !is_closed ->
        run_inside();
        if
        :: !is_closed ->
            observe();
            if
            :: is_taken -> d_step { is_taken = false; absorbed = true }; cancel_once() /* absorb_now */
            :: else
            fi;
            wait_for_children();
            LOCK_GROUP;
            is_closed = true;
            UNLOCK_GROUP
        :: else
        fi
    :: else
    fi;
    assert(!absorbed || is_aborting);
    conclude();
    d_step { drain(); is_over = true }
}

/* ---- who comes in between ---- */

proctype Canceller()
{
    bool is_closer;
    NEEDED_TO_ASK;
    d_step { self_count++; self_undelivered++ }; /* wf_state_request */
    kick_soon();
    if
    :: wants_kick -> kick()
    :: else
    fi
}

proctype Host()
{
    bool is_closer;
    NEEDED_TO_ASK;
end:
    do
    :: atomic { must_kick -> must_kick = false }; kick()
    od
}

/* Has a handle of the first child. */
proctype HandleOwner()
{
    d_step {
        if
        :: life[1] == NEW || life[1] == RUN -> undelivered[1]++
        :: else
        fi
    };
    d_step { assert(owners[1] > 0); owners[1]--; free_if_last(1) }
}

proctype Looker()
{
    bool is_closer;
    NEEDED_TO_ASK;
    LOCK_SELF;
    d_step { /* wf_state_look */
        goes_lock = self_life == PARKED;
        is_busy = is_busy || goes_lock
    };
    if
    :: goes_lock -> /* wait->list: list_children */
        goes_lock = false;
        assert(is_wait_there);
        LOCK_GROUP;
        UNLOCK_GROUP;
        assert(is_wait_there);
        is_busy = false
    :: else ->
        seen = joins;
        if
        :: seen != 0 -> /* look_inside */
            d_step { /* wf_state_look_inside */
                is_kept = self_life == RUN;
                is_busy = is_busy || is_kept
            };
            if
            :: is_kept ->
                is_kept = false;
                inside_hold();
                if
                :: is_it ->
                    is_it = false;
                    assert(!is_strange[held]);
                    LOCK_GROUP;
                    UNLOCK_GROUP
                :: else
                fi;
                is_busy = false
            :: else
            fi;
            seen = 0
        :: else
        fi
    fi;
    inside_unlock()
}

inline move_in(slot)
{
    d_step {
        life[slot] == FREE && owners[slot] + holds[slot] == 0 && generation[slot] == 0 ->
        generation[slot] = 1;
        is_strange[slot] = true;
        was_inside[slot] = false;
        life[slot] = NEW;
        owners[slot] = 1;
        holds[slot] = 1
    }
}

proctype Stranger()
{
end:
    if
    :: move_in(1)
    :: move_in(2)
    fi
}

proctype Monitor()
{
    byte i = 1;
    timeout ->
    assert(is_over && !group_lock && !self_lock && empty(stores));
    assert(live == 0 && joins == 0 && self_life == RUN);
    assert(!is_busy && !is_handed && !must_kick);
    do
    :: i <= LAST -> assert(life[i] == FREE || is_strange[i]); i++
    :: i > LAST -> break
    od;
#ifdef CANCEL
    assert(self_count == 1);
    assert(was_told == (self_undelivered == 0) && self_undelivered <= 1)
#else
    assert(self_count == 0 && !was_told && self_undelivered == 0)
#endif
}

init
{
    atomic {
        life[1] = NEW;
        life[2] = NEW;
        owners[1] = 1;
        owners[2] = 1;
        holds[1] = 1;
        holds[2] = 1;
        is_member[1] = true;
        is_member[2] = true;
        birth[1] = 1;
        birth[2] = 2;
        ring[0] = 1;
        ring[1] = 2;
        run Closer();
        run Taker();
#if TAKERS > 1
        run Taker();
#endif
#ifdef WAIT
        run Waiter();
#endif
#ifdef CANCEL
        run Canceller();
#endif
#if defined(CANCEL) || defined(FAIL)
        run Host();
#endif
#ifdef HANDLE
        owners[1]++;
        run HandleOwner();
#endif
#ifdef LOOK
        run Looker();
#endif
#ifdef STRANGER
        run Stranger();
#endif
        run Monitor()
    }
}
