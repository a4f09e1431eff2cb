// SPDX-License-Identifier: MIT
/* calls.pml - system calls in progress on a number, and whoever closes it.
 *
 * What is modelled, and where it lies in src/poll/:
 *
 *   Caller, Late      wf_io_try_begin over wf_fd_begin, a system call, wf_fd_end, wf_fd_end_held (descriptor.h, .c)
 *   Operation         wf_fd_link_op, a submission, which is when the kernel looks up the number, wf_fd_unlink_op
 *   Closer            wf_fd_close: wf_fd_close_begin with end_ops, count_close, hold_for_calls; close_descriptor or
 *                     replace_descriptor; wf_fd_close_end; wf_fd_hold_drop (table.c)
 *   Opener            whoever gets the number next, and wf_fd_wipe
 *
 * One number, one record. File 1 has it at first; once it is free file 2 gets it, and once more file 3. For each of
 * 1 and 2 there are a caller, and a closer who comes at any moment. Besides, a late caller, who comes also between the
 * two halves of a close; with OPERATION an operation for file 1 in a ring instead.
 *
 * The additions are locked ones here. That they do as well where a worker that is alone makes its own by plain stores is
 * in solo.pml (CROSS).
 *
 * Memory. The stamp is stored, not swapped: `stored` is the closer's store that nobody else sees yet, until
 * process Memory or a locked operation of the closer's makes it visible (x86-TSO).
 *
 * Properties, by assertions and where nothing moves any more (Monitor):
 *
 *   - a call or operation that began with a file meets that file, or the dead descriptor in its place, never another
 *   - the number belongs to the file whose closer closes or replaces it: it is given back exactly once
 *   - it is given back: nothing is held in the end
 */

#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif

#define FREE 0
#define DEAD 4
#define NOBODY 0

/* The kernel: what the number stands for, and how often each file's closing has given it back. */
byte number = 1
byte given_back[4]

/* The record. */
bool lock
byte closes   /* the stamp's count of closes ... */
bool closing  /* ... and its bit that one has not ended */
byte count    /* calls */
bool is_held  /* WF_FD_HELD in it */
byte closer   /* who marked the record */
byte held_for /* record->hold, by the file that it is for */
bool has_op, op_is_submitted
byte op_hold

/* A stamp on its way to memory. */
bool is_stored
byte stored_closes
bool stored_closing

/* Holds, by file. */
byte users[4]
bool is_replaced[4]

/* What users of the number know. */
byte opened[4]
bool is_open[4]
bool is_over[4] /* ghost: its close has come to an end, and who uses the number all the same has himself to blame */

inline drain()
{
    if
    :: is_stored -> closes = stored_closes; closing = stored_closing; is_stored = false; stored_closes = 0; stored_closing = false
    :: else
    fi
}

active proctype Memory()
{
end:
    do
    :: d_step { is_stored -> drain() }
    od
}

#define ACQUIRE atomic { !lock -> lock = true }
#define RELEASE d_step { drain(); lock = false } /* what was stored before is seen before */

inline give_back(file)
{
    d_step {
        assert(number == file || number == DEAD);
        number = FREE;
        given_back[file]++;
        assert(given_back[file] == 1)
    }
}

inline drop(file)
{
    d_step { users[file]--; is_last = users[file] == 0 };
    if
    :: is_last && (!is_replaced[file] || number == DEAD) -> is_last = false; give_back(file)
    :: else -> is_last = false
    fi
}

/* ---- calls ---- */

inline end_call()
{
    d_step { count--; is_last = count == 0 && is_held };
    if
    :: is_last ->
        is_last = false;
        ACQUIRE;
        d_step {
            if
            :: count == 0 && is_held -> hold = held_for; held_for = NOBODY; is_held = false
            :: else
            fi
        };
        RELEASE;
        if
        :: hold != NOBODY -> drop(hold); hold = NOBODY
        :: else
        fi
    :: else
    fi
}

proctype Caller(byte file)
{
    byte hold, attempts = ATTEMPTS;
    bool is_last, is_same;
    is_open[file];
    do
    :: attempts > 0 ->
        attempts--;
#ifdef STAMP_FIRST
        is_same = closes == opened[file] && !closing;
        count++;
#else
        count++; /* an addition */
        d_step { /* a load */
            is_same = closes == opened[file] && !closing;
            assert(!is_same || number == file)
        };
#endif
        if
        :: is_same -> is_same = false; assert(number == file || number == DEAD) /* the system call */
        :: else
        fi;
        end_call()
    :: attempts == 0 -> break
    od
}

/* Knows nothing of files: comes when it comes. If the number was an open file's when it began, it meets that one. */
proctype Late()
{
    byte hold, began_with, met;
    bool is_last, is_same;
    began_with = closes;
    count++;
    d_step {
#ifdef IGNORE_CLOSING
        is_same = closes == began_with;
#else
        is_same = closes == began_with && !closing;
#endif
        met = (is_same && number != DEAD && !is_over[number] -> number : FREE);
        began_with = 0
    };
    if
    :: is_same -> is_same = false; assert(met == FREE || number == met || number == DEAD); met = 0
    :: else
    fi;
    end_call()
}

/* Queued in a ring for file 1, submitted by its worker at any moment. */
proctype Operation()
{
    byte hold;
    bool is_last, is_linked;
    ACQUIRE;
    is_linked = closes == opened[1] && closer == NOBODY;
    has_op = is_linked;
    RELEASE;
    if
    :: is_linked ->
        assert(number == 1 || number == DEAD); /* the kernel looks the number up ... */
        op_is_submitted = true;                /* ... and then moves the head of its queue */
        ACQUIRE;
        has_op = false;
        hold = op_hold;
        op_hold = NOBODY;
        RELEASE;
        if
        :: hold != NOBODY -> drop(hold); hold = NOBODY
        :: else
        fi
    :: else
    fi
}

/* ---- closing ---- */

inline hold_number(file)
{
    d_step {
        if
        :: hold == NOBODY ->
            hold = file;
#ifndef CLOSER_UNCOUNTED
            users[file]++
#endif
        :: else
        fi;
        users[file]++
    }
}

inline count_close(file)
{
    d_step {
        drain();
        closer = file;
        is_stored = true;
        stored_closes = closes + 1;
        stored_closing = true
    }
}

inline hold_for_calls(file)
{
#ifndef WITHOUT_HOLD
    d_step {
#ifndef PLAIN_LOAD
        drain(); /* the addition of 0 */
#endif
        is_busy = count > 0 || is_held
    };
    if
    :: is_busy ->
        is_busy = false;
        assert(held_for == NOBODY); /* nobody closes what is held: that would be a number closed twice */
        d_step { drain(); is_held = true; is_busy = count > 0 };
        if
        :: is_busy -> is_busy = false; hold_number(file); held_for = file
        :: else -> d_step { drain(); is_held = false }
        fi
    :: else
    fi
#else
    skip
#endif
}

proctype Closer(byte file)
{
    byte hold;
    bool is_last, is_busy;
    is_open[file];
    ACQUIRE;
#ifndef WITHOUT_OPS
    if
    :: has_op && op_hold == NOBODY && !op_is_submitted -> hold_number(file); op_hold = file
    :: else
    fi;
#endif
#ifdef COUNT_FIRST
    hold_for_calls(file);
    count_close(file);
#else
    count_close(file);
    hold_for_calls(file);
#endif
    RELEASE;
#ifndef WITHOUT_REPLACEMENT
    if
    :: hold == NOBODY -> assert(number == file); give_back(file)
    :: hold != NOBODY -> d_step { assert(number == file); number = DEAD; is_replaced[file] = true }
    :: hold != NOBODY /* there was no descriptor to put there */
    fi;
#else
    give_back(file);
#endif
    ACQUIRE;
    is_over[file] = true;
    if
    :: closer == file -> closer = NOBODY; closing = false
    :: else
    fi;
    RELEASE;
    if
    :: hold != NOBODY -> drop(hold); hold = NOBODY
    :: else
    fi
}

proctype Opener()
{
    byte file = 2;
    do
    :: file <= 3 ->
        d_step { number == FREE -> number = file };
        ACQUIRE; /* wf_fd_wipe */
        closer = NOBODY;
        d_step { closes++; closing = false };
        RELEASE;
        opened[file] = closes;
        is_open[file] = true;
        file++
    :: file > 3 -> break
    od
}

proctype Monitor()
{
    timeout ->
    assert(!lock && count == 0 && !is_held && held_for == NOBODY && op_hold == NOBODY);
    assert(users[1] == 0 && users[2] == 0);
    assert(given_back[1] == 1 && given_back[2] == 1 && number == 3)
}

init
{
    atomic {
        is_open[1] = true;
        run Caller(1);
        run Caller(2);
#ifdef OPERATION
        run Operation();
#else
        run Late();
#endif
        run Closer(1);
        run Closer(2);
        run Opener();
        run Monitor()
    }
}
