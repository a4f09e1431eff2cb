// SPDX-License-Identifier: MIT
/* solo.pml - a worker that changes words by plain stores while it is alone, and guests that stop it.
 *
 * What is modelled, and where it lies in src/base/:
 *
 *   Worker      enter, the change, leave, visit, count_down (solo.c; the same in solo_x86_64.S). With PARTS its runtime ends
 *               in between: wf_solo_part, an operation as a plain thread, wf_solo_join
 *   Guest       visit, a locked operation, depart (solo.c)
 *   Second      with CROWD, a worker that comes: wf_solo_join, which ends being alone for good
 *
 * What an operation does. Without LOCKS it adds one, by swaps until one succeeds. With LOCKS the word is a lock: a
 * swap takes it, a plain store gives it back, and what it guards changes by loads and stores. Who finds it held looks at
 * it until it is free, and tries again by another such operation; perhaps he marks it before, by a locked operation
 * whoever he is (lock.c, bitlock.c).
 *
 * With CROSS the Worker and a guest write a word each and then read the other's, as calls on a descriptor and whoever closes
 * it do (wf_fd_begin and hold_for_calls, src/poll/): the Worker's word is the one that the operations change, the guest's is
 * its mark, a plain store before its operation, for which the Worker looks after each of its own.
 *
 * Memory. x86-TSO: `stores` are those of the Worker that nobody else sees yet; process Memory makes the oldest visible at
 * any moment. Its locked operations wait until all are. The heavy fence is a moment at which all are. The others' stores
 * are seen at once: before each of their locked operations they are seen anyway, and in between they only come
 * later. How many operations the Worker makes before it takes its name back is any number.
 *
 * Properties: no addition is lost; nobody has the lock twice; what it guards is as its last owner left it; nobody waits
 * for ever; an addition after which the Worker does not see the mark is one that the guest counts.
 *
 * The macros each break one step; check.sh makes sure that each is found wrong.
 */
#ifndef OPS
#define OPS 3 /* of the Worker, in each of its runtimes */
#endif
#ifndef VISITS
#define VISITS 2 /* of each guest */
#endif

#ifdef PARTS
#define WORKS (2 * OPS + 1)
#else
#define WORKS OPS
#endif
#ifdef CROWD
#define THREADS 4
#elif defined(CROSS)
#define THREADS 2
#else
#define THREADS 3
#endif
#ifdef CROSS
#define STEP 16 /* of a guest, so that the Worker's can be told apart */
#else
#define STEP 1
#endif
#define ALL (WORKS + (THREADS - 1) * VISITS * STEP)

#define NAME 0
#define WITHIN 1
#define WORD 2
#define DATA 3   /* what the lock guards */
#define LOCK 4   /* of changes of the name */
#define COUNT 5  /* guests in an operation */
#define MARK 6   /* of the guest that makes one */

#define NOBODY 0
#define CROWDED 1
#define PAUSED 2
#define STOPPING 3
#define ALONE 4 /* the Worker's name */

byte memory[7];
byte last[7];    /* what the Worker stored last */
byte pending[7]; /* how many of its stores are on their way */
chan stores = [8] of { byte, byte };

bool is_worker; /* wf_solo.worker is the Worker */
byte inside;    /* the lock's owners */
byte unmarked;  /* ghost: the Worker's last addition after which it saw no mark */
byte counted;   /* ghost: the Worker's additions that the guest saw in its own */
byte ended;

inline store(where, what)
{
    atomic { stores!where,what; last[where] = what; pending[where]++ }
}

#define LOAD(where) (pending[where] > 0 -> last[where] : memory[where])

proctype Memory()
{
    byte where, what;
    do
    :: atomic { stores?where,what -> memory[where] = what; pending[where]-- }
    :: ended == THREADS && empty(stores) -> break
    od
}

/* As swap: `seen` becomes what the word was. */
inline change()
{
    atomic {
        seen = memory[WORD];
        if
        :: seen == expected -> memory[WORD] = value
        :: else
        fi
    }
}

/* Under the lock. */
inline stop()
{
    if
    :: memory[NAME] <= PAUSED -> skip
    :: else ->
#ifdef PAUSED_AT_ONCE
        memory[NAME] = PAUSED;
#else
        memory[NAME] = STOPPING;
#endif
#ifndef WITHOUT_FENCE
        empty(stores);
#endif
#ifndef WITHOUT_WAITING
        memory[WITHIN] == 0;
#endif
        memory[NAME] = PAUSED
    fi
}

inline take_lock()
{
    atomic { memory[LOCK] == 0 -> memory[LOCK] = 1 }
}

/* By anybody but the Worker. */
inline swap()
{
    if
    :: memory[NAME] == CROWDED -> change()
    :: else ->
#ifndef UNCOUNTED
        atomic { memory[COUNT]++ };
#endif
        if
        :: memory[NAME] > PAUSED -> take_lock(); stop(); memory[LOCK] = 0
        :: else
        fi;
#ifdef GUEST_AFTER_DEPARTURE
        atomic { memory[COUNT]-- };
        change()
#else
        change();
#ifndef UNCOUNTED
        atomic { memory[COUNT]-- }
#endif
#endif
    fi
}

/* The lock is held: somebody sleeps until it is free. */
inline mark()
{
    atomic {
        if
        :: memory[WORD] == 1 -> memory[WORD] = 2
        :: else
        fi
    }
}

/* VISITS operations. */
inline operate()
{
    do
    :: done == VISITS -> break
    :: else ->
#ifdef LOCKS
        expected = 0;
        value = 1;
        swap();
        if
        :: seen == 0 -> skip
        :: else ->
            if
            :: skip
            :: mark()
            fi;
again:
            memory[WORD] == 0;
#ifdef SLOW_HALF_ANYHOW
            change();
#else
            swap();
#endif
            if
            :: seen == 0 -> skip
            :: else -> goto again
            fi
        fi;
        atomic { assert(inside == 0); inside++ };
        value = memory[DATA];
        memory[DATA] = value + 1;
        inside--;
        memory[WORD] = 0;
        done++
#else
#if defined(CROSS) && !defined(MARK_LATE)
        memory[MARK] = 1;
#endif
        expected = memory[WORD];
        value = expected + STEP;
        swap();
#ifdef MARK_LATE
        memory[MARK] = 1;
#endif
        if
        :: seen == expected -> done++; counted = seen % STEP
        :: else
        fi
#endif
    od
}

/* The Worker is alone, unless there are guests just now. Sequentially consistent stores wait until all are seen. */
inline begin()
{
#ifdef LOOK_FIRST
    if
    :: memory[COUNT] != 0 -> skip
    :: else -> store(NAME, ALONE); empty(stores)
    fi
#else
    store(NAME, ALONE);
    empty(stores);
#ifndef WITHOUT_COUNT
    if
    :: memory[COUNT] != 0 -> store(NAME, PAUSED); empty(stores)
    :: else
    fi
#endif
#endif
}

/* The Worker, paused: it may have its name back. The lock is given back by a plain store. */
inline count_down()
{
    if
    :: skip
    :: LOAD(LOCK) == 0 && memory[COUNT] == 0 ->
        empty(stores);
        atomic {
            if
            :: memory[LOCK] == 0 -> memory[LOCK] = 1; has = true
            :: else
            fi
        };
        if
        :: has ->
            if
            :: LOAD(NAME) == PAUSED -> begin()
            :: else
            fi;
            has = false;
            store(LOCK, 0)
        :: else
        fi
    fi
}

inline join()
{
    atomic { empty(stores) && memory[LOCK] == 0 -> memory[LOCK] = 1 };
    if
    :: LOAD(NAME) == NOBODY -> is_worker = true; begin()
    :: else -> is_worker = false; store(NAME, CROWDED); empty(stores)
    fi;
    store(LOCK, 0)
}

inline part()
{
    atomic { empty(stores) && memory[LOCK] == 0 -> memory[LOCK] = 1 };
    if
    :: is_worker -> is_worker = false; store(NAME, NOBODY); empty(stores)
    :: else
    fi;
    store(LOCK, 0)
}

proctype Worker()
{
    byte done, seen, expected, value;
    bool has;
    join();
    do
    :: done == WORKS -> break
    :: else ->
#ifdef PARTS
        if
        :: done == OPS && is_worker -> part()
        :: done == OPS + 1 && !is_worker && LOAD(NAME) != CROWDED -> join()
        :: else
        fi;
#endif
#ifdef LOCKS
        expected = 0; /* whether it is free or not */
        value = 1;
#else
        expected = LOAD(WORD);
        value = expected + 1;
#endif
attempt:
        if
        :: LOAD(NAME) == CROWDED -> goto locked
        :: LOAD(NAME) != ALONE -> goto visit /* also where a crowd is seen at the second look only */
        :: LOAD(NAME) == ALONE
        fi;
#ifndef WITHOUT_MARK
        store(WITHIN, 1);
#endif
#ifndef LOOK_EARLY
        if
        :: LOAD(NAME) != ALONE -> store(WITHIN, 0); goto visit
        :: else
        fi;
#endif
        seen = LOAD(WORD);
        if
        :: seen == expected -> store(WORD, value)
        :: else ->
#ifdef LOADED_TWICE
            seen = LOAD(WORD);
#endif
            skip
        fi;
        store(WITHIN, 0);
        goto made;
visit:
        if
        :: is_worker -> count_down()
        :: else ->
            atomic { empty(stores) -> memory[COUNT]++ };
            has = true /* it has no name that it could be stopped by */
        fi;
locked:
        empty(stores);
        change();
        if
        :: has -> has = false; atomic { empty(stores) -> memory[COUNT]-- }
        :: else
        fi;
made:
#ifdef LOCKS
        if
        :: expected == 0 && seen == 0 ->
            atomic { assert(inside == 0); inside++ };
            value = LOAD(DATA);
            store(DATA, value + 1);
            inside--;
            store(WORD, 0);
            done++
        :: else ->
            if
            :: skip
#ifdef MARK_ALONE
            :: expected == 0 -> expected = 1; value = 2; goto attempt
#else
            :: empty(stores); mark()
#endif
            fi;
            LOAD(WORD) == 0
        fi
#else
        if
        :: seen == expected ->
            done++;
#ifdef CROSS
            if
            :: LOAD(MARK) == 0 -> unmarked = done
            :: else
            fi
#endif
        :: else
        fi
#endif
    od;
    empty(stores);
    ended++
}

proctype Guest()
{
    byte done, seen, expected, value;
    operate();
    ended++
}

proctype Second()
{
    byte done, seen, expected, value;
    take_lock();
#ifndef CROWD_AT_ONCE
    stop();
#endif
    is_worker = false;
    memory[NAME] = CROWDED;
    memory[LOCK] = 0;
    operate();
    ended++
}

proctype Monitor()
{
    timeout;
    assert(ended == THREADS && empty(stores));
    assert(memory[WITHIN] == 0 && memory[LOCK] == 0 && memory[COUNT] == 0 && inside == 0);
#ifdef LOCKS
    assert(memory[WORD] == 0 && memory[DATA] == ALL)
#else
    assert(memory[WORD] == ALL)
#endif
#ifdef CROSS
    assert(unmarked <= counted)
#endif
}

init
{
    atomic {
        run Memory(); run Worker(); run Guest(); run Monitor();
#ifndef CROSS
        run Guest();
#endif
#ifdef CROWD
        run Second()
#endif
    }
}
