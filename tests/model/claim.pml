// SPDX-License-Identifier: MIT
/* claim.pml - the start of a child inside without a locked operation, and who may come in between.
 *
 * What is modelled, and where it lies in src/:
 *
 *   Owner       a biased worker (base/bias.h, bias.c): wf_bias_swap, _swap_and_lower, _clear_low, _count, _renew. Its task
 *               spawns children and joins them, the newest or the oldest first: spawn (sched/spawn.c), claim_at_once,
 *               claim_in_order (await/inside.c), wf_inside_claim (await/inside.h), wf_ready_claim, wf_ready_claim_locked,
 *               wf_ready_count_dead (sched/claim.h, claim.c), wf_state_start_inside (task/state.h), wf_deque_lower, _settle,
 *               _restore (queue/deque.h), wf_inside_stand_back; its own look at requests; the end of the child, quickly as
 *               in wf_inside_end_biased, or slowly. What it does not join, or what somebody else has, it takes from the top
 *               of its deque as its host does
 *   Thief       steal_new, take_along (steal.c), wf_bias_visit_one, wf_deque_steal, wf_state_move; resolve, later
 *   Stranger    has a handle of one child: wf_task_visit (slab.h) and wf_state_request, wf_state_join, or
 *               wf_state_start_inside as a joiner elsewhere; weft_drop
 *   Canceller   of the task that joins: wf_state_request, wf_registry_visit, runs_inside, cancel_inside (task/cancel.c)
 *
 * A child that is run inside may wait until the Canceller's request comes to it, if nobody has taken that before.
 *
 * Memory. x86-TSO: `stores` are those of the Owner that nobody else sees yet; process Memory makes the oldest visible at
 * any moment. The Owner's locked operations wait until all are. The others store by locked operations only, or under the
 * lock of the bias; seen later these would only come later. How many operations the Owner makes before it tries to be biased
 * again is any number.
 *
 * A change of the Owner's is a restartable sequence: `is_under_way` until the store that commits it. A guest's restart is a
 * moment at which all its stores are seen, and such a sequence is `is_restarted`: it goes no further, and is refused. The
 * kernel may do the same to it at any moment.
 *
 * A word is the life, three flags, and 32 times the number of lives before; a token names slot and life.
 *
 * Left out: references but for the Stranger's (bias.pml has them); several owners; where the kernel refuses the restart;
 * lists that link new tasks (nobody claims such a one inside).
 *
 * Properties, by assertions and where nothing moves any more (Monitor):
 *
 *   - each child is started once, or buried once without having been started because it was cancelled; none is forgotten
 *   - what the Stranger has changed stays changed; a child that was cancelled before its start is not started
 *   - the request to the joiner is taken once, and comes to the child inside before the joiner has left that, or the joiner
 *     sees it before it goes on
 *   - nobody waits for ever
 *
 * The other macros each break one step; check.sh makes sure that each is found wrong, but for LOWER_UNCHECKED (the bottom is
 * lowered without a look at the top), which holds.
 */

/* Settings: THIEVES, STRANGER, CANCEL; CHILDREN, ORDERS (not only the newest is joined), BUFFER, DEAD_BEFORE (a dead entry
 * lies at the top of the deque, as it does in src/ after the first claim). */
#ifdef DEAD_BEFORE
#define BEFORE 1
#else
#define BEFORE 0
#endif
#ifndef CHILDREN
#define CHILDREN 2
#endif
#ifndef BUFFER
#define BUFFER 28
#endif

#define STATE 0
#define LOCK 1 /* of the bias */
#define JOINS 2
#define HANDLE 3 /* of one child, for the Stranger */
#define BOTTOM 4
#define WORD 5 /* of each slot */
#define ID (WORD + CHILDREN)
#define PLACE (ID + CHILDREN)
#define ROOM (CHILDREN + BEFORE)
#define PLACES (PLACE + ROOM)

/* of the bias */
#define NONE 0
#define HELD 1
#define STOPPING 2

/* in a word */
#define FREE 0
#define NEW 1
#define RUN 2
#define ENDED 3
#define LIFE_MASK 3
#define MOVED 4
#define ASKED 8
#define JOINED 16
#define LIVES 32
#define FREED(word) (((word) / LIVES + 1) * LIVES)

#define TOKEN(slot, life) (1 + (slot) + CHILDREN * (life))
#define SLOT(token) (((token) - 1) % CHILDREN)
#define LIFE(token) (((token) - 1) / CHILDREN)

byte memory[PLACES];
byte last[PLACES];    /* what the Owner stored last */
byte pending[PLACES]; /* how many of its stores are on their way */
chan stores = [BUFFER] of { byte, byte };

byte top;    /* of the deque: locked operations only */
byte guests;
bool is_any;                     /* some owner may be biased */
bool is_under_way, is_restarted; /* the Owner's sequence */

bool lock, busy, handed, is_asked; /* the task that joins: its lock, and in its word; is_asked: a request is undelivered */
bool has_handle[CHILDREN];         /* the Stranger has a reference */

/* What was */
byte begun[CHILDREN];      /* bits: which lives of the slot were started or buried */
byte begun_count;
bool was_flagged[CHILDREN]; /* somebody has changed the word of this life */
bool was_asked[CHILDREN];   /* by a request, before it was started */
byte joining;               /* the child that a canceller of the joiner may be at */
byte handed_to;             /* the child that has the request to the joiner */
byte deliveries;            /* of that request */
byte ended;

#ifdef STRANGER
#define HAS_STRANGER 1
#else
#define HAS_STRANGER 0
#endif
#ifdef CANCEL
#define HAS_CANCELLER 1
#else
#define HAS_CANCELLER 0
#endif
#define ALL (1 + HAS_STRANGER + HAS_CANCELLER)

#define LOAD(where) (pending[where] > 0 -> last[where] : memory[where])

inline put(where, what)
{
    stores!where,what;
    last[where] = what;
    pending[where]++
}

/* Several in a row are one step, with `put`: nobody can tell. */
inline store(where, what)
{
    atomic { put(where, what) }
}

proctype Memory()
{
    byte where, what;
end:
    do
    :: d_step {
            stores?where,what -> memory[where] = what; pending[where]--;
            if
            :: pending[where] == 0 -> last[where] = 0
            :: else
            fi;
            where = 0;
            what = 0
        }
    od
}

/* ---- guests ---- */

inline count_guest()
{
#ifndef UNCOUNTED
    atomic { guests++ }
#else
    skip
#endif
}

inline leave_bias()
{
#ifndef UNCOUNTED
    atomic { assert(guests > 0); guests-- }
#else
    skip
#endif
}

/* restart_all */
inline restart()
{
#ifdef WITHOUT_FENCE
    skip
#else
    atomic {
        empty(stores);
#ifndef WITHOUT_RESTART
        is_restarted = is_under_way
#endif
    }
#endif
}

/* wf_bias_stop */
inline stop()
{
    atomic { memory[LOCK] == 0 -> memory[LOCK] = 1 };
    if
    :: memory[STATE] == NONE -> skip
    :: else ->
#ifdef WITHOUT_STOPPING
        memory[STATE] = NONE;
#else
        memory[STATE] = STOPPING;
#endif
        restart();
        memory[STATE] = NONE
    fi
}

/* wf_bias_visit, wf_bias_visit_one */
inline come(is_for_all)
{
    count_guest();
    if
    :: (is_for_all -> is_any : memory[STATE] != NONE) ->
        stop();
        if
        :: is_for_all -> is_any = false
        :: else
        fi;
        memory[LOCK] = 0
    :: else
    fi
}

/* ---- the start, and the run, of a child ---- */

/* It was in this moment that the word became RUN. */
inline begin(slot, life)
{
    assert((begun[slot] & (1 << (life))) == 0);
    begun[slot] = begun[slot] | (1 << (life));
    begun_count++
}

/* wf_state_start, for who has an entry: true in `starts` */
inline start(entry, word)
{
    word = LOAD(WORD + SLOT(entry));
    if
    :: LOAD(ID + SLOT(entry)) == LIFE(entry) ->
        do
        :: (word & LIFE_MASK) == NEW ->
            atomic {
                if
                :: memory[WORD + SLOT(entry)] == word ->
                    memory[WORD + SLOT(entry)] = (word & ~(MOVED | LIFE_MASK)) | RUN;
                    begin(SLOT(entry), LIFE(entry));
                    starts = true
                :: memory[WORD + SLOT(entry)] != word && memory[WORD + SLOT(entry)] / LIVES == word / LIVES ->
                    word = memory[WORD + SLOT(entry)]
                :: else -> word = 0
                fi
            };
            if
            :: starts -> break
            :: else
            fi
        :: else -> break
        od
    :: else
    fi
}

/* wf_state_finish, not inside */
inline finish(slot)
{
    atomic {
        assert((memory[WORD + slot] & LIFE_MASK) == RUN);
        assert(!was_flagged[slot] || (memory[WORD + slot] & (ASKED | JOINED)) != 0);
        memory[WORD + slot] = memory[WORD + slot] | ENDED
    }
}

/* ---- who comes in between ---- */

/* ask_inside for what was taken, else give_back */
inline hand(token)
{
    atomic {
        if
        :: memory[WORD + SLOT(token)] / LIVES == LIFE(token) &&
            ((memory[WORD + SLOT(token)] & LIFE_MASK) == NEW || (memory[WORD + SLOT(token)] & LIFE_MASK) == RUN) ->
            was_asked[SLOT(token)] = (memory[WORD + SLOT(token)] & LIFE_MASK) == NEW;
            was_flagged[SLOT(token)] = true;
            memory[WORD + SLOT(token)] = memory[WORD + SLOT(token)] | ASKED;
            handed = true;
            handed_to = token
        :: else -> is_asked = true; deliveries-- /* it has ended */
        fi
    }
}

proctype Thief()
{
    byte at, entry, word;
    bool starts, has;
end:
    do
    :: atomic { top < memory[BOTTOM] -> skip };
#ifndef THIEF_UNVISITED
        come(false);
#endif
        at = top; /* wf_deque_steal; a full fence */
        if
        :: memory[BOTTOM] > at ->
            entry = memory[PLACE + at % ROOM];
            atomic {
                if
                :: top == at -> top++
                :: else -> entry = 0
                fi
            }
        :: else -> entry = 0
        fi;
        at = 0;
#ifdef MOVED_LATE
        leave_bias();
#endif
        if
        :: entry != 0 ->
#ifndef WITHOUT_MOVED
            word = memory[WORD + SLOT(entry)]; /* take_along */
            if
            :: memory[ID + SLOT(entry)] == LIFE(entry) ->
                do
                :: (word & LIFE_MASK) == NEW ->
                    atomic { /* wf_state_move */
                        if
                        :: memory[WORD + SLOT(entry)] == word ->
                            memory[WORD + SLOT(entry)] = word | MOVED;
                            has = true
                        :: memory[WORD + SLOT(entry)] != word && memory[WORD + SLOT(entry)] / LIVES == word / LIVES ->
                            word = memory[WORD + SLOT(entry)]
                        :: else -> word = 0
                        fi
                    };
                    if
                    :: has -> break
                    :: else
                    fi
                :: else -> break
                od
            :: else
            fi;
            word = 0
#else
            has = true
#endif
        :: else
        fi;
#if !defined(THIEF_UNVISITED) && !defined(MOVED_LATE)
        leave_bias();
#endif
        if
        :: has ->
            has = false;
            start(entry, word);
            if
            :: starts ->
                starts = false;
                assert(!was_asked[SLOT(entry)] || (word & ASKED) != 0); /* it is buried, then */
                finish(SLOT(entry))
            :: else
            fi;
            word = 0
        :: else
        fi;
        entry = 0
    od
}

proctype Stranger()
{
    byte slot, word, flag;
    bool is_guest, has;
    atomic { memory[HANDLE] != 0 -> slot = SLOT(memory[HANDLE]) };
    if
    :: flag = ASKED
    :: flag = JOINED
    :: flag = RUN /* claims it */
    fi;
#ifndef STRANGER_UNVISITED
    word = memory[WORD + slot];
    if
    :: (word & (LIFE_MASK | MOVED)) == NEW -> is_guest = true; come(false)
    :: else
    fi;
#endif
    word = memory[WORD + slot];
    do
    :: (word & LIFE_MASK) == ENDED || (flag == RUN && (word & LIFE_MASK) != NEW) -> break
    :: else ->
        atomic {
            if
            :: memory[WORD + slot] != word -> word = memory[WORD + slot]
            :: memory[WORD + slot] == word && flag == RUN ->
                memory[WORD + slot] = (word & ~(MOVED | LIFE_MASK)) | RUN;
                begin(slot, word / LIVES);
                has = true
            :: else ->
                memory[WORD + slot] = word | flag;
                was_flagged[slot] = true;
                was_asked[slot] = was_asked[slot] || (flag == ASKED && (word & LIFE_MASK) == NEW);
                has = true
            fi
        };
        if
        :: has -> break
        :: else
        fi
    od;
    if
    :: is_guest -> leave_bias()
    :: else
    fi;
    if
    :: has && flag == RUN -> finish(slot)
    :: else
    fi;
    atomic { has_handle[slot] = false; ended++ }
}

proctype Canceller()
{
    byte joins;
    bool keeps;
    is_asked = true;
#ifndef CANCEL_UNVISITED
    come(true);
#endif
    if
    :: memory[JOINS] != 0 ->
        atomic { !lock -> lock = true };
        atomic { keeps = is_asked; busy = keeps };
        joins = memory[JOINS];
        if
        :: keeps && joins != 0 ->
            atomic { /* wf_state_take */
                keeps = is_asked;
                is_asked = false;
                deliveries = deliveries + keeps
            };
            if
            :: keeps ->
                assert(joining == joins);
#ifdef CANCEL_UNVISITED
                come(false); /* wf_task_visit, which within another visit does nothing */
#endif
                hand(joins);
#ifdef CANCEL_UNVISITED
                leave_bias();
#endif
                assert(joining == joins)
            :: else
            fi
        :: else
        fi;
        busy = false;
        lock = false
    :: else -> skip /* the joiner will see the request by itself */
    fi;
#ifndef CANCEL_UNVISITED
    leave_bias();
#endif
    ended++
}

/* ---- the owner ---- */

/* wf_bias_renew; a sequentially consistent store waits until all are seen */
inline renew()
{
    if
    :: true
    :: guests == 0 && LOAD(LOCK) == 0 ->
        empty(stores);
        atomic {
            if
            :: memory[LOCK] == 0 -> memory[LOCK] = 1; is_ours = true
            :: else
            fi
        };
        if
        :: is_ours ->
            is_ours = false;
            is_any = true;
            store(STATE, HELD);
#ifndef RENEW_UNFENCED
            empty(stores);
#endif
#ifndef RENEW_BLIND
            if
            :: guests != 0 -> store(STATE, NONE); empty(stores)
            :: else
            fi;
#endif
            store(LOCK, 0)
        :: else
        fi
    fi
}

/* A sequence begins: in `is_biased`. */
inline enter()
{
#ifdef LOOK_EARLY
    is_biased = LOAD(STATE) == HELD;
    is_under_way = true
#else
    is_under_way = true;
    is_biased = LOAD(STATE) == HELD
#endif
}

/* Looks. Who was restarted may look in vain. */
#define LOOK(condition) is_biased = is_biased && !is_restarted && (condition)

/* In the step that commits it, or refuses. */
inline leave_sequence()
{
    is_under_way = false;
    is_restarted = false
}

inline spawn()
{
    slot = 0;
    do
    :: !is_free[slot] -> slot++
    :: else -> break
    od;
    atomic {
        is_free[slot] = false;
        word = LOAD(WORD + slot);
        was_flagged[slot] = false;
        was_asked[slot] = false
    };
    atomic {
        if
        :: word / LIVES != 0 -> put(ID + slot, word / LIVES)
        :: else
        fi;
        put(WORD + slot, word | NEW);
        entry = TOKEN(slot, word / LIVES);
        put(PLACE + bottom % ROOM, entry);
        bottom++;
        put(BOTTOM, bottom);
        children[children_count] = entry;
        children_count++;
        spawned++;
#ifdef STRANGER
        if
        :: !has_given -> has_given = true; has_handle[slot] = true; put(HANDLE, entry)
        :: has_given || spawned < CHILDREN
        fi;
#endif
        slot = 0;
        entry = 0;
        word = 0
    }
}

/* claim_at_once or claim_in_order, with no look at what else may be dead; or wf_ready_count_dead */
inline count_dead()
{
    d_step {
        count = (bottom > top -> bottom - top : 0);
        dead = (LOAD(PLACE + (bottom - 1) % ROOM) == child -> 1 : 0)
    };
    if
    :: true
    :: true ->
        if
        :: count == 0 -> dead = 0
        :: else
        fi;
        do
        :: dead < count ->
            d_step {
                entry = LOAD(PLACE + (bottom - 1 - dead) % ROOM);
                if
                :: entry == 0 -> is_dead = true
                :: else -> is_dead = (LOAD(WORD + SLOT(entry)) & LIFE_MASK) != NEW || LOAD(ID + SLOT(entry)) != LIFE(entry)
                fi;
                entry = 0
            };
            if
            :: is_dead -> dead++
            :: else -> break
            fi
        :: else -> break
        od
    fi;
    is_dead = false;
    count = 0
}

/* wf_deque_settle. `bottom` is where it was. */
inline settle()
{
    if
    :: dead > 0 ->
        d_step {
            count = top;
            entry = bottom;
            bottom = bottom - dead
        };
#ifndef WITHOUT_SETTLE
        if
        :: count >= bottom ->
            bottom = (count < entry -> count + 1 : entry);
            store(BOTTOM, bottom)
        :: else
        fi;
#endif
        d_step { count = 0; entry = 0 }
    :: else
    fi
}

#ifdef START_MOVED
#define MAY_START(word) true
#else
#define MAY_START(word) (((word) & MOVED) == 0)
#endif

/* wf_bias_swap_and_lower, wf_bias_swap: in `is_ours` */
inline claim_biased()
{
    enter();
    LOOK(LOAD(WORD + slot) == word);
    if
    :: is_biased && dead > 0 ->
#ifndef LOWER_UNCHECKED
        LOOK(top < bottom - dead);
#endif
        atomic {
            if
            :: is_biased && !is_restarted -> put(BOTTOM, bottom - dead)
            :: else
            fi
        }
    :: else
    fi;
    atomic {
        if
        :: is_biased && !is_restarted ->
            put(WORD + slot, word + RUN - NEW);
            begin(slot, LIFE(child));
            assert(!was_asked[slot]);
            is_ours = true;
            is_sure = true;
            bottom = bottom - dead
        :: true /* the kernel may always have come */
        fi;
        leave_sequence()
    }
}

/* wf_inside_claim: in `is_ours`. `word` was seen. */
inline claim()
{
    atomic { put(JOINS, child); joining = child };
#ifdef RENEW_BETWEEN
    renew();
#endif
    if
    :: MAY_START(word) -> claim_biased()
    :: else
    fi;
    if
    :: is_ours -> skip
    :: else -> /* wf_ready_claim_locked */
        renew();
        if
        :: dead > 0 -> store(BOTTOM, bottom - dead)
        :: else
        fi;
        atomic {
            empty(stores);
            if
            :: memory[WORD + slot] == word ->
                memory[WORD + slot] = (word & ~MOVED) + RUN - NEW;
                begin(slot, LIFE(child));
                assert(!was_asked[slot]);
                is_ours = true
            :: else
            fi
        };
        if
        :: is_ours -> settle()
        :: else ->
            atomic {
                if
                :: dead > 0 -> put(BOTTOM, bottom)
                :: else
                fi;
                put(JOINS, 0) /* wf_inside_stand_back */
            };
            empty(stores);
            atomic { !lock -> joining = 0 }
        fi
    fi;
    is_biased = false;
    dead = 0
}

/* Nobody has a reference to the ended child but the Owner. */
inline free_slot()
{
    atomic {
        word = LOAD(WORD + slot);
        put(WORD + slot, FREED(word)); /* wf_word_freed */
        is_free[slot] = true
    }
}

inline free_unless_held()
{
    if
    :: has_handle[slot] -> skip
    :: else -> free_slot()
    fi
}

/* wf_inside_end_biased: in `is_ours` */
inline end_biased()
{
    enter();
    /* One by one, and in an order that matters: bias.pml. */
    LOOK(!busy && !handed && (LOAD(WORD + slot) & (ASKED | JOINED)) == 0 && !has_handle[slot]);
    atomic {
        assert((LOAD(WORD + slot) & LIFE_MASK) == RUN);
        is_ours = is_biased && !is_restarted;
        if
        :: is_ours ->
            assert(!was_flagged[slot] && handed_to != child);
            joining = 0
        :: true -> is_ours = false
        fi;
        leave_sequence()
    }
}

/* From the claim to what the join returns. */
inline run_child()
{
    if
#ifndef WITHOUT_OWN_LOOK
    :: is_asked && !is_sure -> /* wf_inside_look */
        empty(stores);
        atomic { !lock -> lock = true };
        atomic {
            if
            :: is_asked -> is_asked = false; deliveries++; hand(child)
            :: else
            fi
        };
        lock = false
#endif
    :: else
    fi;
    is_sure = false;
#ifdef CANCEL
    if
    :: true
    :: deliveries == 0 || handed_to == child -> (LOAD(WORD + slot) & ASKED) != 0
    fi;
#endif
    store(JOINS, 0);
    end_biased();
    if
    :: is_ours -> free_slot()
    :: else ->
        empty(stores);
        finish(slot);
        atomic { /* wf_inside_wait_for_cancellers, wf_inside_was_handed */
            if
            :: busy || handed -> !lock
            :: else
            fi;
            assert(handed || handed_to != child);
            handed = false;
            joining = 0
        };
        free_unless_held()
    fi;
    is_biased = false;
    is_ours = false
}

/* The host's turn: what is oldest in the deque. */
inline take_oldest()
{
    d_step { count = top; entry = (count < bottom -> LOAD(PLACE + count % ROOM) : 0) };
    if
    :: count < bottom ->
        atomic {
            empty(stores);
            if
            :: top == count -> top++
            :: else -> entry = 0
            fi
        }
    :: else
    fi;
    count = 0;
    if
    :: entry != 0 ->
        start(entry, word);
        if
        :: starts ->
            starts = false;
            assert(!was_asked[SLOT(entry)] || (word & ASKED) != 0);
            finish(SLOT(entry))
        :: else
        fi;
        d_step { entry = 0; word = 0 }
    :: else
    fi
}

/* wf_state_observe */
inline observe()
{
    if
    :: is_asked ->
        empty(stores);
        atomic {
            if
            :: is_asked -> is_asked = false; deliveries++
            :: else
            fi
        }
    :: else
    fi
}

/* Waits for the child; the worker does other things meanwhile. */
inline join_elsewhere()
{
    observe();
    do
    :: (LOAD(WORD + slot) & LIFE_MASK) == ENDED -> break
    :: (LOAD(WORD + slot) & LIFE_MASK) != ENDED && top < bottom -> take_oldest()
    od;
    empty(stores);
    handed = false; /* and what was handed on before the claim failed has come to it, too */
    free_unless_held()
}

inline join()
{
    d_step {
        children_count--;
        child = children[which];
        children[which] = children[children_count]; /* in any order */
        children[children_count] = 0;
        which = 0;
        slot = SLOT(child);
        word = LOAD(WORD + slot)
    };
    if
    :: (word & (LIFE_MASK | ASKED)) == NEW && !is_asked ->
        count_dead();
        claim()
    :: else
    fi;
    if
    :: is_ours -> is_ours = false; run_child()
    :: else -> join_elsewhere()
    fi;
    d_step { child = 0; slot = 0; word = 0 }
}

proctype Owner()
{
    byte spawned, children[CHILDREN], children_count, which;
    byte bottom = BEFORE;
    byte child, slot, word, entry, dead, count;
    bool is_biased, is_ours, is_sure, is_dead, starts, has_given;
    bool is_free[CHILDREN] = true;
    do
    :: spawned < CHILDREN -> spawn()
    :: children_count > 0 ->
        which = children_count - 1;
#ifdef ORDERS
        if
        :: true
        :: children_count > 1 -> which = 0
        fi;
#endif
        join()
    :: spawned == CHILDREN -> break
    od;
    observe();
    do
    :: top < bottom -> take_oldest()
    :: else -> break
    od;
    empty(stores);
    ended++
}

proctype Monitor()
{
    timeout;
    assert(ended == ALL && empty(stores));
    assert(memory[LOCK] == 0 && memory[JOINS] == 0 && guests == 0);
    assert(begun_count == CHILDREN);
    assert(!lock && !busy);
    assert(deliveries + is_asked == HAS_CANCELLER) /* it may come when all is over */
}

init
{
    atomic {
        memory[STATE] = HELD;
        memory[BOTTOM] = BEFORE;
        is_any = true;
        run Memory();
        run Owner();
#if THIEVES > 0
        run Thief();
#endif
#if THIEVES > 1
        run Thief();
#endif
#ifdef STRANGER
        run Stranger();
#endif
#ifdef CANCEL
        run Canceller();
#endif
        run Monitor()
    }
}
