// SPDX-License-Identifier: MIT
/* bias.pml - the end of a child inside without a locked operation, and who may come in between.
 *
 * What is modelled, and where it lies in src/:
 *
 *   Ender       the worker whose task joins: spawn, claim (of which claim.pml has more), the child, wf_inside_left,
 *               wf_inside_end_biased, else wf_inside_end_unseen, end_fully, leave (await/inside.h, inside.c); its next
 *               child has the same slot. wf_bias_clear_low, and wf_bias_renew at the claim (base/bias.h, bias.c)
 *   visit       wf_registry_visit (task/slab.h), wf_bias_visit, wf_bias_stop, restart_all (base/bias.h, bias.c)
 *   Upgrader    weft_upgrade (await/task.c); wf_task_try_hold is the same with the other kind of reference. Then it may
 *               change the word: a request, a callback at the end. With a reference, it is no guest for that
 *   Canceller   a request to the task that joins: wf_cancel_inside, wf_inside_hold, hand_inside, wf_inside_unlock
 *               (task/cancel.c)
 *
 * Memory. x86-TSO: `stores` are those of the Ender that nobody else sees yet; process Memory makes the oldest visible at
 * any moment. Its locked operations wait until all are. The others store by locked operations, or under the lock of the
 * bias. How many operations the Ender makes before it is biased again is any number.
 *
 * A change of the Ender's is a restartable sequence: `is_under_way` until its one store. A guest's restart is a moment at
 * which all its stores are seen, and such a sequence is `is_restarted`: it goes no further, and is refused. The kernel may
 * do the same to it at any moment.
 *
 * `refs` is 8 times the life of the slot, and the number of references: 2 are the Ender's.
 *
 * Properties: a reference that was taken is there until it is given back; who changed the word is heeded, even if he has
 * dropped his handle since (REFS_LAST: the word is looked at first, and then he is not); a request that was handed to a
 * child comes before the joiner has left that child, and the joiner knows of it; nobody waits for ever.
 *
 * The macros each break one step; check.sh makes sure that each is found wrong.
 */
#ifndef LIVES
#define LIVES 2
#endif

#define JOINS 0
#define REFS 1
#define STATE 2
#define LOCK 3 /* of the bias */

/* of the bias */
#define NONE 0
#define HELD 1
#define STOPPING 2

byte memory[4];
byte last[4];    /* what the Ender stored last */
byte pending[4]; /* how many of its stores are on their way */
chan stores = [16] of { byte, byte };

bool is_under_way, is_restarted; /* the Ender's sequence */
byte guests;
bool is_any = true;      /* some worker may be biased */
bool lock, busy, handed; /* of the task that joins */
bool told[LIVES + 1];    /* of each child */
bool left[LIVES + 1];    /* the joiner has left it */
byte ended;

inline store(where, what)
{
    atomic { stores!where,what; last[where] = what; pending[where]++ }
}

#define LOAD(where) (pending[where] > 0 -> last[where] : memory[where])
#define SOLE(life) (8 * (life) + 2)

proctype Memory()
{
    byte where, what;
    do
    :: atomic { stores?where,what -> memory[where] = what; pending[where]-- }
    :: ended == 3 && empty(stores) -> break
    od
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

inline visit()
{
#ifndef UNCOUNTED
    atomic { guests++ };
#endif
    if
    :: !is_any -> skip
    :: else ->
        atomic { memory[LOCK] == 0 -> memory[LOCK] = 1 };
#ifdef ANY_FIRST
        is_any = false;
#endif
        if
        :: memory[STATE] == NONE -> skip
        :: else ->
            memory[STATE] = STOPPING;
            restart();
            memory[STATE] = NONE
        fi;
        is_any = false;
        memory[LOCK] = 0
    fi
}

inline leave()
{
#ifndef UNCOUNTED
    atomic { assert(guests > 0); guests-- }
#else
    skip
#endif
}

/* Sequentially consistent stores wait until all are seen. */
inline renew()
{
    if
    :: true
    :: guests == 0 && LOAD(LOCK) == 0 ->
        empty(stores);
        atomic {
            if
            :: memory[LOCK] == 0 -> memory[LOCK] = 1; may = true
            :: else
            fi
        };
        if
        :: may ->
            may = false;
            is_any = true;
            store(STATE, HELD);
            empty(stores);
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

/* Looks, in `may`. Who was restarted may look in vain. */
#define LOOK(condition) may = may && !is_restarted && (condition)

/* wf_inside_end_biased: in `may` */
inline end_biased()
{
#ifdef LOOK_EARLY
    may = LOAD(STATE) == HELD;
    is_under_way = true;
#else
    is_under_way = true;
    may = LOAD(STATE) == HELD;
#endif
#ifndef REFS_LAST
    LOOK(LOAD(REFS) == SOLE(life));
#endif
    LOOK(!told[life]);
    LOOK(!busy && !handed);
#ifdef REFS_LAST
    LOOK(LOAD(REFS) == SOLE(life));
#endif
    atomic {
        if
        :: may && !is_restarted ->
            assert(!told[life]);
            stores!REFS,8 * life;
            last[REFS] = 8 * life;
            pending[REFS]++;
            left[life] = true
        :: true -> may = false /* the kernel may always have come */
        fi;
        is_under_way = false;
        is_restarted = false
    }
}

proctype Ender()
{
    byte life = 1;
    bool may, is_alone;
    do
    :: life > LIVES -> break
    :: else ->
        store(REFS, SOLE(life));
        store(JOINS, life);
        if
        :: LOAD(STATE) == HELD -> skip /* the claim, biased or, as if all were seen by now, locked */
        :: else -> renew(); empty(stores)
        fi;
        store(JOINS, 0);
        end_biased();
        if
        :: may -> skip
        :: else ->
            empty(stores);
            atomic {
                is_alone = memory[REFS] == SOLE(life) && !told[life];
                if
                :: is_alone -> memory[REFS] = 8 * life
                :: else
                fi
            };
            if
            :: is_alone -> skip
            :: else ->
                !lock; /* wf_inside_wait_for_cancellers */
                atomic { assert(memory[REFS] >= SOLE(life)); memory[REFS] = memory[REFS] - 2 }
            fi;
            if
            :: busy || handed -> !lock; handed = false
            :: else -> assert(!told[life] || !is_alone)
            fi;
            left[life] = true;
            memory[REFS] % 8 == 0 /* else the next child has another slot */
        fi;
        life++
    od;
    empty(stores);
    ended++
}

proctype Upgrader()
{
    byte life;
    bool has;
    select (life : 1 .. LIVES);
#ifndef WITHOUT_VISIT
    visit();
#endif
    atomic {
        has = memory[REFS] / 8 == life && memory[REFS] % 8 > 0;
        if
        :: has -> memory[REFS]++
        :: else
        fi
    };
    if
    :: has ->
#ifndef WITHOUT_VISIT
        leave();
#endif
        if
        :: told[life] = true
        :: true
        fi;
        atomic { assert(memory[REFS] / 8 == life && memory[REFS] % 8 > 0); memory[REFS]-- }
    :: else ->
#ifndef WITHOUT_VISIT
        leave()
#else
        skip
#endif
    fi;
    ended++
}

proctype Canceller()
{
    byte joins;
    bool has, is_it;
#ifndef CANCEL_UNVISITED
    visit();
#endif
    joins = memory[JOINS];
    if
    :: joins == 0 -> goto out /* the joiner will see the request by itself */
    :: else
    fi;
    atomic { !lock -> lock = true };
    busy = true;
    joins = memory[JOINS];
    if
    :: joins != 0 ->
        atomic {
            has = memory[REFS] % 8 > 0;
            if
            :: has -> memory[REFS]++
            :: else
            fi
        };
        is_it = has && memory[REFS] / 8 == joins;
        is_it = is_it && memory[JOINS] == joins;
        if
        :: is_it -> assert(!left[joins]); told[joins] = true; handed = true; assert(!left[joins])
        :: else
        fi;
        busy = false;
        if
        :: has -> atomic { assert(memory[REFS] % 8 > 0); memory[REFS]-- }
        :: else
        fi
    :: else -> busy = false
    fi;
    lock = false;
out:
#ifndef CANCEL_UNVISITED
    leave();
#endif
    ended++
}

proctype Monitor()
{
    timeout;
    assert(ended == 3 && empty(stores));
    assert(memory[REFS] % 8 == 0 && memory[LOCK] == 0 && guests == 0 && !busy && !lock)
}

init
{
    atomic { memory[STATE] = HELD; run Memory(); run Ender(); run Upgrader(); run Canceller(); run Monitor() }
}
