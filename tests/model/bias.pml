// SPDX-License-Identifier: MIT
/* bias.pml - the end of a child inside without a locked operation, and who may come in between.
 *
 * What is modelled, and where it lies in src/:
 *
 *   Ender       the worker whose task joins: spawn, claim, the child, wf_inside_left, wf_inside_end_biased, else
 *               wf_inside_end_unseen, end_fully, leave (await/inside.h, inside.c); its next child has the same slot
 *   unbias      wf_registry_unbias, wf_registry_unbias_slowly (task/slab.h, slab.c)
 *   Upgrader    weft_upgrade (await/task.c); wf_task_try_hold is the same with the other kind of reference
 *   Canceller   a request to the task that joins: wf_cancel_inside, wf_inside_hold, hand_inside, wf_inside_unlock
 *               (task/cancel.c)
 *
 * Memory. x86-TSO: `stores` are those of the Ender that nobody else sees yet; process Memory makes the oldest visible at
 * any moment. Its locked operations wait until all are. The heavy fence is a moment at which all are. The others store by
 * locked operations, or within unbias before the fence, which is one for them too.
 *
 * `refs` is 8 times the life of the slot, and the number of references: 2 are the Ender's.
 *
 * Properties: a reference that was taken is there until it is given back; a request that was handed to a child comes
 * before the joiner has left that child, and the joiner knows of it; nobody waits for ever.
 *
 * The macros each break one step; check.sh makes sure that each is found wrong.
 */
#ifndef LIVES
#define LIVES 2
#endif

#define JOINS 0
#define REFS 1
#define ENDING 2

byte memory[3];
byte last[3];    /* what the Ender stored last */
byte pending[3]; /* how many of its stores are on their way */
chan stores = [8] of { byte, byte };

bool is_biased = true; /* of the Ender's cache */
bool biased = true;    /* of the registry */
bool bias_lock;
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

inline unbias()
{
    if
    :: !biased -> skip
    :: else ->
        atomic { !bias_lock -> bias_lock = true };
        if
        :: !biased -> skip
        :: else ->
            is_biased = false;
#ifndef WITHOUT_FENCE
            empty(stores);
#endif
#ifndef WITHOUT_WAITING
            memory[ENDING] == 0;
#endif
            biased = false
        fi;
        bias_lock = false
    fi
}

proctype Ender()
{
    byte life = 1;
    byte refs;
    bool may, is_told, is_marked, is_alone;
    do
    :: life > LIVES -> break
    :: else ->
        store(REFS, SOLE(life));
        store(JOINS, life);
        empty(stores); /* the claim */
        store(JOINS, 0);
        if
        :: !is_biased -> may = false; goto locked
        :: else
        fi;
#ifdef LOOK_EARLY
        may = is_biased;
#endif
#ifndef WITHOUT_MARK
        store(ENDING, 1);
#endif
        refs = LOAD(REFS);
        is_told = told[life];
        is_marked = busy || handed;
#ifndef LOOK_EARLY
        may = is_biased;
#endif
        if
        :: may && !is_told && !is_marked && refs == SOLE(life) ->
            store(REFS, 8 * life);
            store(ENDING, 0);
            left[life] = true
        :: else ->
            store(ENDING, 0);
locked:
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
#ifndef WITHOUT_UNBIAS
    unbias();
#endif
    atomic {
        has = memory[REFS] / 8 == life && memory[REFS] % 8 > 0;
        if
        :: has -> memory[REFS]++
        :: else
        fi
    };
    if
    :: has -> atomic { assert(memory[REFS] / 8 == life && memory[REFS] % 8 > 0); memory[REFS]-- }
    :: else
    fi;
    ended++
}

proctype Canceller()
{
    byte joins;
    bool has, is_it;
    joins = memory[JOINS];
    if
    :: joins == 0 -> goto out /* the joiner will see the request by itself */
    :: else
    fi;
#ifndef CANCEL_WITHOUT
    unbias();
#endif
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
    ended++
}

proctype Monitor()
{
    timeout;
    assert(ended == 3 && empty(stores));
    assert(memory[REFS] % 8 == 0 && memory[ENDING] == 0 && !busy && !lock)
}

init
{
    atomic { run Memory(); run Ender(); run Upgrader(); run Canceller(); run Monitor() }
}
