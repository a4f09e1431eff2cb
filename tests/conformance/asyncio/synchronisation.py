# SPDX-License-Identifier: MIT
"""The statements about locks, events, conditions, semaphores, barriers and queues: asyncio's own ones."""

import asyncio
from asyncio.locks import _BarrierState

from statements import call_for, delay_of, equals, logged, observing, ok, statement, tried

FILLING = _BarrierState.FILLING


class Condition(asyncio.Condition):
    """A request between notify and resume stays undelivered, also where the lock has to be waited for."""

    def __init__(self):
        super().__init__()
        self.take = self.acquire
        self.acquire = self.acquire_again

    async def acquire_again(self):
        me = asyncio.current_task()
        me.masks = True
        try:
            return await self.take()
        finally:
            me.masks = False

    async def wait_for(self, predicate):
        """Each wait is an await point of its own."""
        while not predicate():
            asyncio.current_task().observe()
            await self.wait()


class Arrival:
    through = False


class Barrier(asyncio.Barrier):
    """Who has been let through has come through, whatever is done to the barrier meanwhile."""

    def __init__(self, parties):
        super().__init__(parties)
        self.filling = []

    async def _release(self):
        for arrival in self.filling:
            arrival.through = True
        await super()._release()

    async def _wait(self):
        arrival = Arrival()
        self.filling.append(arrival)
        try:
            await self._cond.wait_for(lambda: arrival.through or self._state is not FILLING)
        finally:
            self.filling.remove(arrival)
        if not arrival.through:
            raise asyncio.BrokenBarrierError


def make(s, label, thing):
    if label in s.things:
        s.loop.give_up("made twice: " + label)
    s.things[label] = thing


def make_of(s, me, op, label, kind, number):
    """What a wrong number makes impossible is an error that the task gets."""
    try:
        make(s, label, kind(number))
    except ValueError:
        s.log("%s.%s(%s)!V" % (me.label, op, label))
        raise


# ---- locks and conditions ---------------------------------------------------------------------------


@statement
def lock(s, me, words):
    make(s, words[0], asyncio.Lock())


@statement
def cond(s, me, words):
    make(s, words[0], Condition())


@statement
def acq(s, me, words):
    thing = s.thing(words[0])
    return logged(s, me, "acq(%s)" % words[0], observing(me, getattr(thing, "take", thing.acquire)), ok)


@statement
def rel(s, me, words):
    tried(s, me, "rel(%s)" % words[0], s.thing(words[0]).release)


@statement
def locked(s, me, words):
    s.log("%s.locked(%s)=%d" % (me.label, words[0], s.thing(words[0]).locked()))


@statement
def cwait(s, me, words):
    return logged(s, me, "cwait(%s)" % words[0], observing(me, s.thing(words[0]).wait), ok)


@statement
def cwaitge(s, me, words):
    condition = s.thing(words[0])

    def enough():
        return s.things.get("$" + words[1], 0) >= int(words[2])

    waited = observing(me, lambda: condition.wait_for(enough))
    return logged(s, me, "cwaitge(%s)" % words[0], waited, ok)


@statement
def notify(s, me, words):
    number = int(words[1]) if len(words) > 1 else 1
    tried(s, me, "notify(%s)" % words[0], lambda: s.thing(words[0]).notify(number))


@statement
def notifyall(s, me, words):
    tried(s, me, "notifyall(%s)" % words[0], s.thing(words[0]).notify_all)


@statement
def setv(s, me, words):
    s.things["$" + words[0]] = int(words[1])


@statement
def addv(s, me, words):
    s.things["$" + words[0]] = s.things.get("$" + words[0], 0) + int(words[1])


@statement
def getv(s, me, words):
    s.log("%s.getv(%s)=%d" % (me.label, words[0], s.things.get("$" + words[0], 0)))


# ---- events, semaphores, barriers -------------------------------------------------------------------


@statement
def event(s, me, words):
    make(s, words[0], asyncio.Event())


@statement
def eset(s, me, words):
    s.thing(words[0]).set()


@statement
def eclr(s, me, words):
    s.thing(words[0]).clear()


@statement
def ewait(s, me, words):
    return logged(s, me, "ewait(%s)" % words[0], observing(me, s.thing(words[0]).wait), ok)


@statement
def sem(s, me, words):
    make_of(s, me, "sem", words[0], asyncio.Semaphore, int(words[1]))


@statement
def bsem(s, me, words):
    make_of(s, me, "bsem", words[0], asyncio.BoundedSemaphore, int(words[1]))


@statement
def sacq(s, me, words):
    return logged(s, me, "sacq(%s)" % words[0], observing(me, s.thing(words[0]).acquire), ok)


@statement
def srel(s, me, words):
    tried(s, me, "srel(%s)" % words[0], s.thing(words[0]).release)


@statement
def sval(s, me, words):
    s.log("%s.sval(%s)=%d" % (me.label, words[0], s.thing(words[0])._value))


@statement
def barrier(s, me, words):
    make_of(s, me, "barrier", words[0], Barrier, int(words[1]))


@statement
def bwait(s, me, words):
    return logged(s, me, "bwait(%s)" % words[0], observing(me, s.thing(words[0]).wait), equals)


@statement
async def breset(s, me, words):
    await s.thing(words[0]).reset()


@statement
async def babort(s, me, words):
    await s.thing(words[0]).abort()


@statement
def bstat(s, me, words):
    thing = s.thing(words[0])
    s.log("%s.bstat(%s)=%d,%s" % (me.label, words[0], thing.n_waiting, "broken" if thing.broken else "ok"))


# ---- queues -----------------------------------------------------------------------------------------


@statement
def queue(s, me, words):
    make(s, words[0], asyncio.Queue(int(words[1]) if len(words) > 1 else 0))


@statement
def put(s, me, words):
    item = int(words[1])
    waited = observing(me, lambda: s.thing(words[0]).put(item))
    return logged(s, me, "put(%s,%d)" % (words[0], item), waited, ok)


@statement
def get(s, me, words):
    return logged(s, me, "get(%s)" % words[0], observing(me, s.thing(words[0]).get), equals)


@statement
def putnw(s, me, words):
    item = int(words[1])
    tried(s, me, "putnw(%s,%d)" % (words[0], item), lambda: s.thing(words[0]).put_nowait(item))


@statement
def getnw(s, me, words):
    tried(s, me, "getnw(%s)" % words[0], s.thing(words[0]).get_nowait, equals)


@statement
def qsize(s, me, words):
    s.log("%s.qsize(%s)=%d" % (me.label, words[0], s.thing(words[0]).qsize()))


@statement
def qdone(s, me, words):
    tried(s, me, "qdone(%s)" % words[0], s.thing(words[0]).task_done)


@statement
def qjoin(s, me, words):
    return logged(s, me, "qjoin(%s)" % words[0], observing(me, s.thing(words[0]).join), ok)


@statement
def shutdown(s, me, words):
    s.thing(words[0]).shutdown(words[1:] == ["now"])


@statement
def wfget(s, me, words):
    queue = s.thing(words[0])
    waited = call_for(s, me, lambda: observing(me, queue.get), delay_of(words[1]))
    return logged(s, me, "wfget(%s)" % words[0], waited, equals)
