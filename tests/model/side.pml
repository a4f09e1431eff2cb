// SPDX-License-Identifier: MIT
/* side.pml - who is inside one side of a stream, and who releases the stream once it is closed.
 *
 * What is modelled, and where it lies in src/net/:
 *
 *   Task 0, 1   wf_side_enter, the look at CLOSED, the use, wf_side_leave, the second look (stream_side.c, stream.h)
 *   Task 2      weft_stream_close (stream.c), where CLOSES
 *
 * The side is task 0's at first; with ANEW it is free, and whoever has taken it may make it his own as he leaves. With
 * OWNER_CLOSES task 0 closes after its calls instead.
 *
 * Memory. x86-TSO: each task's stores go through `stores`, and process Memory makes the oldest visible at any moment.
 * Locked operations and full fences wait until all of the task's own are, the heavy fence until all of everybody's are.
 * CLOSED, CLOSING and RELEASED are changed by locked operations only.
 *
 * Properties: one is inside at a time, and nobody once it is released; a closed stream is released in the end; of two
 * calls that meet not both are refused (if there are no others); nobody waits for ever.
 *
 * The macros each break one step; check.sh makes sure that each is found wrong.
 */
#ifndef CALLS
#define CALLS 1 /* of tasks 0 and 1, each */
#endif

#define HOLDER 0
#define MINE 1

#define FREE 0
#define TAKEN 1
#define STOPPING 2
#define NAME(me) (3 + me)

#define OUT 0
#define ENTERING 1
#define INSIDE 2

byte memory[2];
byte last[6];    /* what each stored last */
byte pending[6]; /* how many of such stores are on their way */
chan stores[3] = [6] of { byte, byte };

bool closed, closing, released;
bool is_nobodys; /* changed by whoever holds the side */
byte inside;
byte refused; /* how many of tasks 0 and 1 */
byte ended;

#define AT(me, where) (2 * me + where)
#define LOAD(me, where) (pending[AT(me, where)] > 0 -> last[AT(me, where)] : memory[where])

inline store(me, where, what)
{
    atomic { stores[me]!where,what; last[AT(me, where)] = what; pending[AT(me, where)]++ }
}

proctype Memory(byte me)
{
    byte where, what;
    do
    :: atomic { stores[me]?where,what -> memory[where] = what; pending[AT(me, where)]-- }
    :: ended == 3 && empty(stores[me]) -> break
    od
}

inline fence(me)
{
    empty(stores[me])
}

inline heavy_fence()
{
    empty(stores[0]);
    empty(stores[1]);
    empty(stores[2])
}

inline swap_holder(me, from, to)
{
    atomic {
        empty(stores[me]);
        is_same = memory[HOLDER] == from;
        if
        :: is_same -> memory[HOLDER] = to
        :: else
        fi
    }
}

inline look_back(me)
{
    fence(me);
    if
    :: closing -> skip
    :: else ->
        holder = LOAD(me, HOLDER);
        mine = LOAD(me, MINE);
        if
        :: holder == FREE || (holder > STOPPING && mine == OUT) ->
            atomic { assert(released || inside == 0); released = true }
        :: else
        fi
    fi
}

inline look(me)
{
    if
    :: closed -> look_back(me)
    :: else
    fi
}

/* Sets `rc`: 1: entered; 2: -EBUSY; 0: again. */
inline take_over(me)
{
    owner = holder;
    mine = LOAD(me, MINE);
    if
    :: mine == INSIDE -> rc = 2
    :: else ->
        swap_holder(me, owner, STOPPING);
        if
        :: !is_same -> rc = 0
        :: else ->
#ifndef WITHOUT_FENCE
            heavy_fence();
#endif
#ifndef WITHOUT_WAITING
            LOAD(me, MINE) != ENTERING;
#endif
            mine = LOAD(me, MINE);
            if
            :: mine == INSIDE -> store(me, HOLDER, owner); rc = 2
            :: else -> is_nobodys = true; store(me, HOLDER, TAKEN); rc = 1
            fi
        fi
    fi
}

inline enter(me)
{
    rc = 0;
    do
    :: rc != 0 -> break
    :: else ->
        holder = LOAD(me, HOLDER);
        if
        :: holder == FREE -> swap_holder(me, FREE, TAKEN); rc = (is_same -> 1 : 0)
        :: holder == TAKEN -> rc = 2
        :: holder == STOPPING -> LOAD(me, HOLDER) != STOPPING
        :: holder > STOPPING && holder != NAME(me) -> take_over(me)
        :: holder == NAME(me) ->
            store(me, MINE, ENTERING);
            holder = LOAD(me, HOLDER);
            if
            :: holder == NAME(me) -> store(me, MINE, INSIDE); rc = 1
            :: else -> store(me, MINE, OUT)
            fi
        fi
    od
}

inline leave(me)
{
    holder = LOAD(me, HOLDER);
    if
    :: holder != TAKEN -> store(me, MINE, OUT)
    :: holder == TAKEN -> store(me, HOLDER, FREE)
#ifdef ANEW
    :: holder == TAKEN && !is_nobodys -> store(me, HOLDER, NAME(me))
#endif
    fi
}

inline close(me)
{
    atomic { fence(me); closed = true; closing = true };
    holder = LOAD(me, HOLDER);
    mine = LOAD(me, MINE);
    if
    :: holder == FREE || (holder == NAME(me) && mine == OUT) -> skip
    :: else ->
#ifndef CLOSE_WITHOUT_FENCE
        heavy_fence()
#else
        skip
#endif
    fi;
    closing = false;
    look_back(me)
}

proctype Task(byte me)
{
    byte holder, mine, owner, rc, done;
    bool is_same;
    do
    :: done == CALLS -> break
    :: else ->
        enter(me);
        done++;
        if
        :: rc == 2 ->
            refused++;
#if CALLS == 1 && !defined(CLOSES)
            assert(refused < 2);
#endif
#ifndef REFUSED_WITHOUT_LOOK
            look(me)
#endif
        :: else ->
            if
            :: closed -> skip
            :: else ->
                atomic { assert(inside == 0 && !released); inside++ };
                atomic { assert(!released); inside-- }
            fi;
            leave(me);
            look(me)
        fi
    od;
#ifdef OWNER_CLOSES
    if
    :: me == 0 -> close(me)
    :: else
    fi;
#endif
    ended++
}

proctype Closer()
{
    byte holder, mine;
#ifdef CLOSES
    close(2);
#endif
    ended++
}

init
{
    atomic {
#ifndef ANEW
        memory[HOLDER] = NAME(0);
#endif
        run Task(0);
        run Task(1);
        run Closer();
        run Memory(0);
        run Memory(1);
        run Memory(2)
    };
    ended == 3;
    heavy_fence();
    assert(released == closed)
}
