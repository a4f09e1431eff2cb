// SPDX-License-Identifier: MIT
/* lean.pml - sleepers that leave their timers to another's alarm.
 *
 * What is modelled, and where it lies in src/sched/:
 *
 *   Worker      goes to sleep: wf_lean_plan, lean, watch; wakes up: wf_lean_end, mind (lean.c, look.c). Before that it arms
 *               its own timer anew, or one on the wheel of another that sleeps, and rouses it
 *
 * Each has one timer. Its time is 1 or 2; at FOREVER there is none. Workers wake up whenever they like, as by events;
 * whoever is awake fires what it likes of those who lean. Whether a worker is trusted changes each time.
 *
 * Memory. All of it is seq_cst.
 *
 * Property: where all sleep each timer has somebody who wakes up for it at its time at the latest: its owner, or if that leans
 * anybody, since whoever wakes up looks after those who lean. (While somebody is awake he does; if he computes for
 * long the watchdog does, and at last the owner, by an alarm of its own which counts for nothing here.)
 *
 * The macros each break one step; check.sh makes sure that each is found wrong.
 */
#ifndef ROUNDS
#define ROUNDS 1 /* sleeps of each that end, before one that does not */
#endif

#define N 3
#define other(me) ((me + 1) % N)
#define FOREVER 3

byte due[N] = FOREVER;    /* under the wheel's lock */
byte alarm[N] = FOREVER;  /* of the sleep */
byte put[N];              /* what each has put into watch; 0: nothing */
bool sleeps[N];
bool has_ended[N]; /* sleeps for ever */
bool leaning[N];
byte watch = FOREVER;

inline fall_asleep(me)
{
    skip;
    d_step {
        sleeps[me] = true;
        asleep = 0; earliest = FOREVER; i = 0;
        do
        :: i < N ->
            asleep = asleep + (sleeps[i] -> 1 : 0);
            earliest = (alarm[i] < earliest -> alarm[i] : earliest);
            i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < N && asleep == N ->
            assert(due[i] == FOREVER || alarm[i] <= due[i] || (leaning[i] && earliest <= due[i]));
            i++
        :: else -> break
        od;
        i = 0; asleep = 0; earliest = 0
    }
}

inline arm(me)
{
    atomic {
        if
        :: due[me] = 1
        :: due[me] = 2
        :: due[me] = FOREVER
        :: skip
        fi
    }
    if
    :: true
    :: atomic { sleeps[other(me)] && !has_ended[other(me)] && due[other(me)] > 1 ->
                due[other(me)] = 1; sleeps[other(me)] = false }
    fi
}

/* What those have next who lean. One step: a leaner's timer that is armed earlier meanwhile wakes him up. */
inline foresee()
{
    d_step {
        others = FOREVER; i = 0;
        do
        :: i < N ->
            others = (leaning[i] && due[i] < others -> due[i] : others);
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* The alarm for this sleep. */
inline plan(me)
{
#ifndef CLEAR_LATE
    foresee();
#endif
#ifdef WITHOUT_OTHERS
    others = FOREVER;
#endif
    atomic {
        all = (others < due[me] -> others : due[me]);
        others = 0;
        seen = watch;
        alarm[me] = due[me];
        if
        :: all == FOREVER -> goto planned
        :: all < FOREVER && seen > all -> alarm[me] = all
        :: all < FOREVER && seen <= all && due[me] != FOREVER -> goto may_lean
        :: all < FOREVER && seen <= all && due[me] == FOREVER -> goto planned
        fi
    }
    if /* is it trusted? */
    :: true
    :: atomic { watch > all -> watch = all; put[me] = all }
    fi;
    goto planned;
may_lean:
    if
    :: goto planned
    :: true
    fi;
#ifdef LOOK_FIRST
    seen = watch;
    leaning[me] = true;
#else
    leaning[me] = true;
    seen = watch;
#endif
    if
    :: seen > due[me] -> leaning[me] = false
    :: else -> alarm[me] = FOREVER
    fi;
planned:
    atomic { all = 0; seen = 0 }
}

inline wake_up(me)
{
#ifndef KEEP_ALARM
    d_step { watch = (put[me] != 0 && watch == put[me] -> FOREVER : watch); put[me] = 0 }
#endif
    leaning[me] = false;
    if
    :: leaning[other(me)] -> due[other(me)] = FOREVER
    :: true
    fi
}

proctype Worker(byte me)
{
    byte round;
    byte all, others, seen, asleep, earliest, i;
    do
    :: arm(me);
       plan(me);
       has_ended[me] = round == ROUNDS;
       fall_asleep(me);
       if
       :: round == ROUNDS -> break
       :: else -> round++
       fi;
       sleeps[me] = false; /* whenever it likes, if nobody has */
#ifdef CLEAR_LATE
       foresee();
#endif
       wake_up(me)
    od
}

init
{
    atomic {
        byte n = 0;
        do
        :: n < N -> run Worker(n); n++
        :: else -> break
        od
    }
}
