// SPDX-License-Identifier: MIT
/* idle.pml - workers that fall asleep, and whoever gives them something to do.
 *
 * What is modelled, and where it lies in src/:
 *
 *   needs, wake_one, unpark     wf_sched_notify, wf_idle_needs; wf_idle_pick; wf_unpark (sched/sched.h, idle.c, park.c)
 *   spawn                       weft_spawn_at: wf_deque_add, the light fence, wf_idle_needs (sched/spawn.c)
 *   collect, take, search       wf_ready_collect, wf_ready_take, wf_search, wf_ready_steal (sched/ready.c, take.c, steal.c, look.c)
 *   stop_searching              wf_stop_searching, wf_idle_stop_searching
 *   go_to_sleep, settle, park   wf_worker_sleep, sleep_now (sched/sleep.c), wf_idle_sleep, wf_idle_settle, look_again, wf_park
 *   wake_up                     the end of wf_worker_sleep, wf_idle_wake_up
 *   Injector, Sender, Armer     weft_runtime_submit_at: push_inject; send_home; an arming of another worker's wheel
 *   Closer, close_idle          wf_lifecycle_close, close_idle, all_have_finished, wf_lifecycle_leave
 *   wait_in_poller, poke        sleep_in_poller (sched/park.c), wait_op, poke_op (poll/epoll.c)
 *   Watchdog                    look_at (sched/watchdog.c)
 *
 * Memory. x86-TSO: each thread has a queue of stores that nobody else sees yet (`buffer`); process Memory makes the
 * oldest one of any thread visible at any moment, and a locked operation or a full fence makes all of the thread's own
 * visible first. The heavy fence does that for all threads. Only stores that are neither locked nor followed by
 * one before the next load that counts are in it: a deque's bottom, is_drowsy = 0, the counters of the tasks. A
 * short lock is one step where nothing but one access to the idle word happens under it that others can see.
 *
 * More than the code does: a searcher may overlook anything; it lingers or not; whom a pick wakes is any sleeper;
 * any task may compute for ever. So nothing hangs on what is usual.
 *
 * Four settings, by -D: WORK (tasks from a worker and from a plain thread), MAIL (what one worker only may do, and
 * timers), POLL (events, one worker in the poller), CLOSE (the end of a runtime). Properties, all where nothing
 * can move any more (Monitor), and by assertions on the way:
 *
 *   - no worker sleeps while a task is in a lane, in inject, or in the inbox of a sleeper
 *   - nobody sleeps beyond the next deadline of its wheel
 *   - no worker sleeps while events wait and all that are awake are stuck
 *   - a runtime that closes comes to its end: all workers leave, and not before the last task has finished
 *   - the idle word's counts are those of the sleepers' list and of those who count themselves as searchers
 *
 * The WITHOUT_ macros each break one step; check.sh makes sure that each is found wrong.
 */

#ifndef N
#define N 3 /* workers */
#endif
#ifndef SPAWNS
#define SPAWNS 2 /* by the first task */
#endif
#ifndef SENDS
#define SENDS 1 /* messages, events, tasks from plain threads: of each that the setting has */
#endif
#define THREADS (N + 2) /* workers, and two others, who are numbered N and N + 1 */

mtype = { AWAKE, ON_FUTEX, IN_POLLER, NOTIFIED } /* parker words */
mtype = { BOTTOM, LATE_AWAKE, SPAWNED, FINISHED } /* stores on their way */
mtype = { SLEEPING, POKED }                       /* the poller's word, besides AWAKE */
mtype = { RUNNING, CLOSING, DRAINED }             /* the runtime's phase */
mtype = { MOVES, ASLEEP, STUCK, GONE }            /* where a worker is, for Monitor */

chan buffer[THREADS] = [3] of { mtype }

/* The idle word; both halves are always changed or read in one step. */
byte searching
byte asleep
bool is_sleeper[N]
bool was_picked[N]
bool counts[N] /* ghost: this one is in `searching` */

mtype parker[N] = AWAKE
bool in_futex[N]
mtype at[N] = MOVES

byte lane[N] /* entries that everybody sees: bottom - top */
byte pending[N] /* BOTTOM in the buffer: entries that only the owner sees */
byte inject
byte inbox[N]
bool is_drowsy[N]
bool has_alarm[N]  /* the wheel's next deadline is soon */
bool sleeps_long[N] /* it did not know when it went to sleep */

bool poll_lock
mtype poll_word = AWAKE
bool poke_event
byte events
byte ticks

mtype phase = RUNNING
byte visitors
bool is_sealed
byte spawned[N + 1] /* [N]: by plain threads */
byte finished[N]
byte born = 1 /* ghost: tasks there are, and tasks that are over */
byte dead

/* ---- memory ---- */

inline make_visible(who, what)
{
    if
    :: what == BOTTOM -> lane[who]++; pending[who]--
    :: what == LATE_AWAKE -> is_drowsy[who] = false
    :: what == SPAWNED -> spawned[who]++
    :: what == FINISHED -> finished[who]++
    fi
}

inline drain_one(who)
{
    do
    :: nempty(buffer[who]) -> buffer[who]?stored; make_visible(who, stored)
    :: empty(buffer[who]) -> break
    od;
    stored = 0
}

/* What a locked operation of the calling thread begins with. */
inline drain()
{
    if
    :: me < N -> drain_one(me)
    :: else
    fi
}

inline full_fence()
{
    d_step { drain() }
}

active proctype Memory()
{
    mtype stored;
    byte who;
end:
    do
    :: d_step { nempty(buffer[0]) -> who = 0; buffer[who]?stored; make_visible(who, stored); stored = 0; who = 0 }
    :: d_step { nempty(buffer[1]) -> who = 1; buffer[who]?stored; make_visible(who, stored); stored = 0; who = 0 }
#if N > 2
    :: d_step { nempty(buffer[2]) -> who = 2; buffer[who]?stored; make_visible(who, stored); stored = 0; who = 0 }
#endif
    od
}

/* ---- waking ---- */

/* Under the idle lock, whenever both the word and the list have been changed. */
inline check_counts()
{
    assert(asleep == is_sleeper[0] + is_sleeper[1]
#if N > 2
           + is_sleeper[2]
#endif
    );
    assert(searching == counts[0] + counts[1]
#if N > 2
           + counts[2]
#endif
    )
}

inline poke()
{
    d_step { was = poll_word; poll_word = POKED };
#ifndef WITHOUT_POKE
    if
    :: was == SLEEPING -> poke_event = true
    :: else
    fi
#endif
}

inline unpark(worker)
{
    d_step {
        drain();
        was = parker[worker];
#ifdef WITHOUT_NOTIFIED
        if
        :: was != AWAKE -> parker[worker] = NOTIFIED
        :: else
        fi;
#else
        parker[worker] = NOTIFIED;
#endif
        if
        :: was == ON_FUTEX -> in_futex[worker] = false
        :: else
        fi
    };
#ifdef POLL
    if
    :: was == IN_POLLER -> poke()
    :: else
    fi;
#endif
    was = 0
}

inline wake_one()
{
    atomic {
        drain();
        target = N;
        if
        :: searching == 0 && is_sleeper[0] -> target = 0
        :: searching == 0 && is_sleeper[1] -> target = 1
#if N > 2
        :: searching == 0 && is_sleeper[2] -> target = 2
#endif
        :: searching > 0 || asleep == 0
        fi;
        if
        :: target < N ->
            searching++;
            asleep--;
            is_sleeper[target] = false;
            was_picked[target] = true;
            counts[target] = true;
            check_counts()
        :: else
        fi
    };
    if
    :: target < N -> unpark(target)
    :: else
    fi;
    target = 0
}

/* The load does not wait for what is in the buffer. */
inline notify()
{
    if
    :: asleep > 0 && searching == 0 -> wake_one()
    :: else
    fi
}

inline rouse(worker)
{
    d_step {
        drain();
        yes = is_sleeper[worker];
        if
        :: yes -> is_sleeper[worker] = false; asleep--; check_counts()
        :: else
        fi
    };
    if
    :: yes -> yes = false; unpark(worker)
    :: else
    fi
}

/* ---- a worker's own places ---- */

/* wf_deque_add: a store. */
inline push()
{
    atomic { nfull(buffer[me]) -> buffer[me]!BOTTOM; pending[me]++ }
}

/* What the worker has in its hand. Nobody sees it yet, so this goes with the step before. */
inline push_all()
{
    do
    :: hand > 0 -> push(); hand--
    :: hand == 0 -> break
    od
}

/* wf_ready_take, by a CAS; the slot is left out: nobody but its owner relies on it. */
inline take()
{
    d_step {
        if
        :: mail > 0 -> mail--; has_task = true
        :: mail == 0 && lane[me] + pending[me] > 0 -> drain(); lane[me]--; has_task = true
        :: else
        fi
    }
}

/* wf_ready_collect: on the host, which takes one itself (own = 1), or on a fiber that goes on (own = 0). */
inline collect(own)
{
#ifdef MAIL
    d_step {
        if
        :: inbox[me] > 0 -> drain(); mail = mail + inbox[me]; inbox[me] = 0
        :: else
        fi
    };
#endif
    atomic {
        if
        :: inject > 0 -> drain(); hand = inject; inject = 0
        :: else
        fi;
        push_all()
    };
    if
    :: lane[me] + pending[me] > own -> notify()
    :: else
    fi
}

inline spawn()
{
#ifdef CLOSE
    buffer[me]!SPAWNED;
    born++;
#endif
    push();
#ifdef WITH_FENCE
    full_fence();
#endif
    notify()
}

/* ---- searching ---- */

inline start_searching()
{
    if
    :: !counts[me] && 2 * searching < N -> /* the load */
        d_step { drain(); searching++; counts[me] = true }
    :: else
    fi
}

inline stop_searching()
{
    if
    :: counts[me] ->
        d_step {
            drain();
            assert(searching > 0);
            counts[me] = false;
            searching--;
            yes = searching == 0
        };
        if
        :: yes ->
            yes = false;
#ifndef WITHOUT_NEXT
            notify()
#endif
        :: else
        fi
    :: else
    fi
}

/* Half of what is there, one by one; another thief may come in between. */
inline steal(victim)
{
    wanted = (lane[victim] + 1) / 2;
    do
    :: d_step { wanted > 0 && lane[victim] > 0 -> drain(); lane[victim]--; hand++; wanted-- }
    :: atomic { wanted == 0 || lane[victim] == 0 -> wanted = 0; push_all(); break }
    od;
    take()
}

inline search()
{
    start_searching();
    if
    :: counts[me] && me != 0 && lane[0] > 0 -> steal(0)
    :: counts[me] && me != 1 && lane[1] > 0 -> steal(1)
#if N > 2
    :: counts[me] && me != 2 && lane[2] > 0 -> steal(2)
#endif
#ifndef EXACT
    :: true /* somebody was faster, or it was looked at too early */
#else
    :: else
#endif
    fi
}

/* ---- running ---- */

/* Any task may compute for ever. The first one spawns. */
inline run_task()
{
    has_task = false;
    do
    :: is_first && hand < SPAWNS -> spawn(); hand++
    :: !is_first || hand == SPAWNS -> break
    od;
    hand = 0;
    is_first = false;
#ifdef PAUSE
    /* wf_sched_pause: the fiber looks around, and goes on */
    if
    :: collect(PAUSE_OWN)
    :: true
    fi;
#endif
#ifdef CLOSE
    dead++;
    buffer[me]!FINISHED
#else
    if
    :: at[me] = STUCK; false
    :: true
    fi
#endif
}

/* ---- the end ---- */

inline unpark_all()
{
    do
    :: each < N -> rouse(each); unpark(each); each++
    :: each == N -> each = 0; break
    od
}

inline sum_finished()
{
    do
    :: each < N -> sum = sum + finished[each]; each++
    :: each == N -> each = 0; break
    od
}

inline sum_spawned()
{
    do
    :: each <= N -> sum = sum - spawned[each]; each++
    :: each > N -> each = 0; break
    od
}

/* False: leave. */
inline close_idle()
{
    if
#if defined(WITHOUT_SEAL)
    :: phase == CLOSING ->
#elif defined(COUNT_VISITORS)
    :: phase == CLOSING && visitors == 0 ->
#else
    :: phase == CLOSING && is_sealed ->
#endif
        sum = 0;
#ifndef WITHOUT_SUM_FENCE
        full_fence();
#endif
#ifndef SPAWNED_FIRST
        sum_finished();
        sum_spawned();
#else
        sum_spawned();
        sum_finished();
#endif
        if
        :: sum == 0 ->
            assert(born == dead);
            d_step { drain(); phase = DRAINED };
            unpark_all();
            leaves = true
        :: else -> sum = 0
        fi
    :: phase == DRAINED -> leaves = true
    :: else
    fi
}

/* ---- sleeping ---- */

inline heavy_fence()
{
    d_step {
        drain_one(0);
        drain_one(1);
#if N > 2
        drain_one(2)
#endif
    }
}

inline settle()
{
    if
#if defined(ALWAYS_LAST)
    :: true -> full_fence()
#elif defined(NEVER_HEAVY)
    :: true -> full_fence()
#else
    :: is_last -> full_fence()
    :: else -> heavy_fence()
#endif
    fi
}

/* wf_ready_anywhere: one place after the other. */
inline look_again()
{
    yes = inject > 0;
    do
    :: each < N && !yes -> yes = lane[each] > 0; each++
    :: each == N || yes -> each = 0; break
    od;
    if
    :: yes -> yes = false; notify()
    :: else
    fi
}

inline sleep_on_futex()
{
    d_step {
        drain();
        yes = parker[me] == AWAKE;
        if
        :: yes -> parker[me] = ON_FUTEX
        :: else
        fi
    };
    if
    :: yes ->
        yes = false;
        /* The kernel compares, and queues the thread, in one step. */
        d_step {
            if
            :: parker[me] == ON_FUTEX -> in_futex[me] = true; at[me] = ASLEEP
            :: else
            fi
        };
        !in_futex[me] -> at[me] = MOVES
    :: else
    fi
}

inline wait_in_poller(sleeps)
{
    if
    :: sleeps ->
        d_step { was = poll_word; poll_word = SLEEPING };
        if
#ifdef WITHOUT_POKED
        :: true ->
#else
        :: was != POKED ->
#endif
            at[me] = ASLEEP;
            d_step {
                events > 0 || poke_event -> hand = events; events = 0; poke_event = false; at[me] = MOVES
            }
#ifndef WITHOUT_POKED
        :: else -> d_step { hand = events; events = 0; poke_event = false }
#endif
        fi;
        was = 0;
        poll_word = AWAKE
    :: else -> d_step { hand = events; events = 0; poke_event = false }
    fi
}

inline sleep_in_poller()
{
    d_step {
        drain();
        yes = parker[me] == AWAKE;
        if
        :: yes -> parker[me] = IN_POLLER
        :: else
        fi
    };
    if
    :: yes -> yes = false; wait_in_poller(true)
    :: else
    fi;
    poll_lock = false
}

/* What events have woken goes to the lane of the worker that took them, which then runs one of them itself. */
inline flush()
{
    if
    :: hand > 0 ->
        push_all();
        if
        :: lane[me] + pending[me] > 1 -> notify()
        :: else
        fi
    :: else
    fi
}

/* take_events: of what a sleep's events have woken a single task runs at once. Whoever was picked does not do it; the code
 * has more conditions. */
inline take_events()
{
    if
    :: hand == 1 && !counts[me] -> hand = 0; has_task = true
    :: flush()
    fi
}

inline park()
{
#ifdef POLL
    if
    :: atomic { parker[me] != NOTIFIED && !poll_lock -> drain(); poll_lock = true }; sleep_in_poller()
    :: else -> sleep_on_futex()
    fi;
#else
    sleep_on_futex();
#endif
    d_step { drain(); parker[me] = AWAKE }
}

inline go_to_sleep()
{
#if defined(MAIL) && !defined(DROWSY_LATE)
    d_step { drain(); is_drowsy[me] = true };
#endif
#ifdef ALARM_FIRST
    sleeps_long[me] = !has_alarm[me];
#endif
#ifdef MAIL_FIRST
    yes = inbox[me] > 0;
#endif
    d_step { /* wf_idle_sleep */
        drain();
        asleep++;
        if
        :: counts[me] -> counts[me] = false; searching--
        :: else
        fi;
        is_last = asleep == N;
        is_sleeper[me] = true;
        was_picked[me] = false;
        check_counts()
    };
#ifndef MAIL_FIRST
    yes = inbox[me] > 0;
#endif
#ifdef DROWSY_LATE
    d_step { drain(); is_drowsy[me] = true };
#endif
    if
    :: !yes && phase != DRAINED ->
#ifndef ALARM_FIRST
        sleeps_long[me] = !has_alarm[me];
#endif
        settle();
        is_last = false;
#ifndef WITHOUT_SECOND_LOOK
        look_again();
#endif
        park()
    :: else ->
        yes = false;
        is_last = false;
        notify()
    fi;
#ifdef MAIL
    buffer[me]!LATE_AWAKE;
#endif
    d_step { /* wf_idle_wake_up */
        drain();
        if
        :: is_sleeper[me] -> is_sleeper[me] = false; asleep--
        :: else -> assert(counts[me] == was_picked[me])
        fi;
        sleeps_long[me] = false;
        was_picked[me] = false;
        check_counts()
    };
    take_events()
}

/* ---- who takes part ---- */

#define ANY_LANE (lane[0] > 0 || lane[1] > 0 || (N > 2 && lane[N - 1] > 0))

proctype Worker(byte me)
{
    bool yes, has_task, is_first, is_last, leaves, has_lingered;
    byte target, hand, wanted, each, mail, sum;
    mtype was, stored;

    has_task = me == 0;
    is_first = me == 0;
    do
    :: has_task -> stop_searching(); run_task()
    :: else ->
#ifdef POLL
        if
        :: atomic { !poll_lock -> drain(); poll_lock = true }; wait_in_poller(false); poll_lock = false; flush()
        :: true
        fi;
#endif
        collect(1);
#ifdef CLOSE
        if
        :: phase == DRAINED -> break
        :: else
        fi;
#endif
        take();
        if
        :: !has_task -> search()
        :: else
        fi;
        if
        :: has_task
        :: else ->
#ifdef CLOSE
            close_idle();
            if
            :: leaves -> break
            :: else
            fi;
#endif
            if
            :: mail > 0 || lane[me] + pending[me] > 0
#ifndef PROMPT
            :: mail == 0 && lane[me] + pending[me] == 0 && !has_lingered &&
               (inbox[me] > 0 || inject > 0 || ANY_LANE) -> has_lingered = true
#endif
            :: mail == 0 && lane[me] + pending[me] == 0 -> has_lingered = false; go_to_sleep()
            fi
        fi
    od;
    stop_searching();
    at[me] = GONE
}

#if defined(WORK) || defined(CLOSE)
/* A plain thread. */
proctype Injector(byte me)
{
    bool yes;
    byte target;
    mtype was, stored;
    byte sends = SENDS;
    do
    :: sends > 0 ->
        sends--;
        visitors++;
        if
        :: phase == RUNNING ->
#ifdef CLOSE
            d_step { spawned[N]++; born++ };
#endif
            inject++; /* a CAS, and a full fence */
            notify()
        :: else
        fi;
        visitors--
    :: sends == 0 -> break
    od
}
#endif

#ifdef MAIL
/* send_home, to the last worker. */
proctype Sender(byte me)
{
    bool yes;
    byte target;
    mtype was, stored;
    byte sends = SENDS;
    do
    :: sends > 0 ->
        sends--;
        inbox[N - 1]++; /* a CAS */
        if
        :: is_drowsy[N - 1] -> rouse(N - 1)
        :: else
        fi
    :: sends == 0 -> break
    od
}

/* Arms a timer in the wheel of the last worker, which becomes its first. */
proctype Armer(byte me)
{
    bool yes;
    byte target;
    mtype was, stored;
    has_alarm[N - 1] = true;
    rouse(N - 1)
}
#endif

#ifdef POLL
active proctype Kernel()
{
    byte sends = SENDS;
    do
    :: sends > 0 -> sends--; events++
    :: sends == 0 -> break
    od
}

#define IS_ANY(where) (at[0] == where || at[1] == where || (N > 2 && at[N - 1] == where))

/* Ticks when nothing else moves any more. */
proctype Watchdog(byte me)
{
    bool yes;
    byte target;
    mtype was, stored;
    do
    :: timeout ->
        if
#ifndef WITHOUT_WATCHDOG
        :: ticks < 2 && IS_ANY(STUCK) -> ticks++; notify()
#endif
        :: else -> ticks = 2; break
        fi
    od
}
#endif

#ifdef CLOSE
proctype Closer(byte me)
{
    bool yes;
    byte target, each;
    mtype was, stored;
    phase = CLOSING; /* a CAS */
    visitors == 0;
    is_sealed = true;
#ifndef WITHOUT_UNPARK_ALL
    unpark_all()
#endif
}
#endif

proctype Monitor()
{
    byte i;
#ifdef POLL
    ticks == 2;
#endif
    timeout ->
    do
    :: i < N ->
        assert(at[i] != MOVES);
#ifdef CLOSE
        assert(at[i] == GONE);
#endif
        if
        :: at[i] == ASLEEP ->
            assert(inject == 0 && !ANY_LANE); /* no task is stranded */
            assert(inbox[i] == 0);
            assert(!sleeps_long[i] || !has_alarm[i]);
            assert(events == 0)
        :: else
        fi;
        i++
    :: i == N -> break
    od;
    assert(searching == 0);
#ifdef CLOSE
    assert(phase == DRAINED && born == dead && inject == 0 && !ANY_LANE)
#endif
}

init
{
    atomic {
        spawned[N] = 1; /* the first task */
        run Worker(0);
        run Worker(1);
#if N > 2
        run Worker(2);
#endif
#if (defined(WORK) || defined(CLOSE)) && SENDS > 0
        run Injector(N);
#endif
#ifdef MAIL
        run Sender(N);
        run Armer(N + 1);
#endif
#ifdef POLL
        run Watchdog(N);
#endif
#ifdef CLOSE
        run Closer(N + 1);
#endif
        run Monitor()
    }
}
