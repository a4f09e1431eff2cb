# SPDX-License-Identifier: MIT
"""The statements of the scenario language: STATEMENTS maps a word to what it does.

A plain statement is called with (scenario, task, words) and may return something to await; one with blocks is
awaited and called with the clauses and the error being handled too.
"""

import asyncio

import oracle
from oracle import C, AsCompleted, Completion, Gather, Group, Task, Timeout
from scenario import CAUGHT, GroupError, UserError, code_of, error_of, show

STATEMENTS = {}


def statement(function):
    STATEMENTS[function.__name__.rstrip("_")] = function
    return function


def delay_of(word):
    return None if word == "none" else int(word)


async def logged(s, me, op, awaitable, value=None):
    """Awaits; logs a failure always, success where `value` says how (a format, or a function)."""
    try:
        result = await awaitable
    except CAUGHT as error:
        s.log("%s.%s!%s" % (me.label, op, code_of(error)))
        raise
    if value is not None:
        s.log("%s.%s%s" % (me.label, op, value(result)))
    return result


def equals(result):
    return "=" + show(result)


def ok(_):
    return ".ok"


async def observing(me, awaitable_of):
    """The entry rule, then the wait."""
    me.observe()
    return await awaitable_of()


def tried(s, me, op, call, value=None):
    """Something that never suspends: an error is logged, not raised."""
    try:
        result = call()
    except Exception as error:
        s.log("%s.%s!%s" % (me.label, op, code_of(error)))
        return
    if value is not None:
        s.log("%s.%s%s" % (me.label, op, value(result)))


# ---- control ----------------------------------------------------------------------------------------


@statement
def log(s, me, words):
    s.log("%s.%s" % (me.label, " ".join(words)))


@statement
def ret(s, me, words):
    pass  # block() does it


@statement
def raise_(s, me, words):
    pass  # block() does it


@statement
def advance(s, me, words):
    s.loop.now += max(0, int(words[0]))


@statement
async def call(s, me, words):
    if words[0] not in s.bodies:
        s.loop.give_up("no such body")
    await s.block(s.bodies[words[0]], me, None)


@statement
async def loop(s, me, words, clauses, handled):
    for _ in range(int(words[0])):
        returned = await s.block(clauses[0][1], me, handled)
        if returned is not None:
            return returned


def catches(pattern, error):
    if pattern == "*":
        return True
    if pattern == "EG":
        return isinstance(error, GroupError)
    return code_of(error) == pattern


@statement
async def try_(s, me, words, clauses, handled):
    failed, returned = None, None
    try:
        returned = await s.block(clauses[0][1], me, handled)
    except CAUGHT as error:
        failed = error
    for head, block in clauses[1:]:
        if head[0] == "catch" and failed is not None and catches(head[1], failed):
            caught, failed = failed, None
            try:
                returned = await s.block(block, me, caught)
            except CAUGHT as error:
                failed = error
            break
    for head, block in clauses[1:]:
        if head[0] == "finally":
            late = await s.block(block, me, failed or handled)
            if late is not None:
                return late
    if failed is not None:
        raise failed
    return returned


# ---- tasks ------------------------------------------------------------------------------------------


class Refused(Task):
    """Stands for a task that a stopping runtime refused: it never runs and counts as cancelled."""

    def __init__(self, loop, label):
        async def nothing():
            pass

        super().__init__(nothing(), loop, label)
        loop.ready.pop()
        loop.spawned.pop()
        self._coro.close()
        oracle.Future.cancel(self)


@statement
def spawn(s, me, words):
    label = words[2] if len(words) > 2 else words[0]
    if s.shutting_down:
        s.define(label, Refused(s.loop, label))
        return
    if label in s.objects:
        s.loop.give_up("defined twice: " + label)
    s.define(label, s.start(words[0], label, me.values))


@statement
def cancel(s, me, words):
    target = me if words[0] == "self" else s.find(words[0])
    name = me.label if words[0] == "self" else words[0]
    s.log("%s.cancel(%s)=%d" % (me.label, name, target.cancel()))


@statement
def uncancel(s, me, words):
    target = s.find(words[0], Task) if words else me
    s.log("%s.uncancel(%s)=%d" % (me.label, words[0] if words else me.label, target.uncancel()))


@statement
def count(s, me, words):
    target = s.find(words[0], Task) if words else me
    s.log("%s.count(%s)=%d" % (me.label, words[0] if words else me.label, target.cancelling()))


def state_of(target):
    if not target.done():
        return "pending"
    if target.cancelled():
        return "cancelled"
    error = target.exception()
    return "err(%s)" % code_of(error) if error is not None else "ok(%s)" % show(target.result())


@statement
def state(s, me, words):
    s.log("%s.state(%s)=%s" % (me.label, words[0], state_of(s.find(words[0]))))


class CycleError(RuntimeError):
    """Of the join that would have closed a cycle."""

    def __init__(self, task):
        super().__init__("cycle")
        self.task = task


async def join_task(s, me, target):
    if isinstance(target, Completion):
        s.loop.give_up("join of a completion")
    waits = not target.done()
    if waits and s.reach(me, [target], isinstance(target, Task)):
        raise RuntimeError if target is me else CycleError(me)
    try:
        return await s.waiting(me, [target], target, isinstance(target, Task))
    except CycleError as error:
        # A join that a cycle broke is granted nothing: like a yield it reports the request that came meanwhile.
        if waits and error.task is target:
            me.observe()
        raise


@statement
def join(s, me, words):
    return logged(s, me, "join(%s)" % words[0], join_task(s, me, s.find(words[0])), equals)


async def pause(s, me, delay):
    me.observe()
    await asyncio.sleep(delay)


@statement
def yield_(s, me, words):
    return logged(s, me, "yield", pause(s, me, 0))


@statement
def sleep(s, me, words):
    return logged(s, me, "sleep", pause(s, me, int(words[0])))


@statement
def park(s, me, words):
    return logged(s, me, "park", observing(me, s.loop.create_future))


def in_use(s, task):
    """Somebody waits for the task, or has been woken by it and has not looked yet."""
    for handle in s.loop.ready:
        if task in handle.args:
            return True
    if task._callbacks and not (task.group is not None and len(task._callbacks) == 1):
        return True
    return any(other._fut_waiter is task or task in children_of_safe(other) for other in s.loop.spawned)


def children_of_safe(task):
    from scenario import children_of

    return children_of(task)


@statement
def drop(s, me, words):
    task = s.find(words[0], Task)
    if task is me or task is s.main or in_use(s, task):
        s.loop.give_up("drop of a task in use")
    task.dropped = True
    if task.group is not None:
        return
    if not task.done():
        s.log("diag.dropped_while_pending(%s)" % words[0])
        task.cancel()
    elif not task.cancelled() and task.failure() is not None and not task.looked:
        task.looked = True
        s.log("diag.error_never_retrieved:" + code_of(task.failure()))


@statement
def ntasks(s, me, words):
    s.log("%s.ntasks=%d" % (me.label, sum(not task.done() for task in s.loop.spawned)))


# ---- completions ------------------------------------------------------------------------------------


@statement
def fut(s, me, words):
    s.define(words[0], Completion(loop=s.loop))


@statement
def set_(s, me, words):
    tried(s, me, "set(%s)" % words[0], lambda: s.find(words[0], Completion).set_result(int(words[1])))


@statement
def fail(s, me, words):
    future = s.find(words[0], Completion)
    tried(s, me, "fail(%s)" % words[0], lambda: future.set_exception(error_of(words[1])))


@statement
def await_(s, me, words):
    future = s.find(words[0], Completion)
    op = "await(%s)" % words[0]
    return logged(s, me, op, observing(me, lambda: oracle.await_privately(future)), equals)


@statement
def at_set(s, me, words):
    def fire():
        future = s.find(words[1], Completion)
        if not future.cancelled():
            try:
                future.set_result(int(words[2]))
            except asyncio.InvalidStateError:
                s.log("loop.set(%s)!INV" % words[1])

    s.loop.call_later(int(words[0]), s.guarded(fire))


@statement
def at_cancel(s, me, words):
    def fire():
        s.log("loop.cancel(%s)=%d" % (words[1], s.find(words[1]).cancel()))

    s.loop.call_later(int(words[0]), s.guarded(fire))


# ---- shield, timeouts, wait_for ---------------------------------------------------------------------


@statement
def shield(s, me, words):
    task = s.find(words[0])

    async def shielded():
        if not task.done():
            s.reach(me, [task], False)
        me.observe()
        return await s.waiting(me, [task], oracle.shield(task, s.loop))

    return logged(s, me, "shield(%s)" % words[0], shielded(), equals)


@statement
def shieldobj(s, me, words):
    inner = s.find(words[1])
    s.define(words[0], oracle.shield(inner, s.loop))


@statement
async def tmo(s, me, words, clauses, handled):
    label = words[0]
    if label in s.scopes and s.scopes[label].phase not in ("expired", "finished"):
        s.loop.give_up("scope entered twice")
    delay = delay_of(words[1])
    scope = s.scopes[label] = Timeout(None if delay is None else s.loop.now + delay)
    scope.owner = me
    try:
        async with scope:
            returned = await s.block(clauses[0][1], me, handled)
    except CAUGHT as error:
        s.log("%s.tmo(%s)!%s" % (me.label, label, code_of(error)))
        raise
    s.log("%s.tmo(%s).ok" % (me.label, label))
    return returned


def scope_of(s, label):
    if label not in s.scopes:
        s.loop.give_up("no such scope: " + label)
    return s.scopes[label]


@statement
def tstate(s, me, words):
    s.log("%s.tstate(%s)=%s" % (me.label, words[0], scope_of(s, words[0]).phase))


@statement
def resched(s, me, words):
    scope, delay = scope_of(s, words[0]), delay_of(words[1])
    when = None if delay is None else s.loop.now + delay
    tried(s, me, "resched(%s)" % words[0], lambda: scope.reschedule(when), ok)


async def wait_for(s, me, target, delay):
    over = delay is not None and delay <= 0  # the wait is private then
    if over and isinstance(target, Completion):
        s.loop.give_up("waitfor of a completion without time")
    if over and me._undelivered and not target.done():
        s.loop.give_up("two rules meet")
    if not target.done() and not isinstance(target, Completion):
        if s.reach(me, [target], not over):
            raise RuntimeError
    if isinstance(target, Completion):
        me.observe()
    return await s.waiting(me, [target], asyncio.wait_for(target, delay), not over)


@statement
def waitfor(s, me, words):
    waited = wait_for(s, me, s.find(words[0]), delay_of(words[1]))
    return logged(s, me, "waitfor(%s)" % words[0], waited, equals)


@statement
def waitforshield(s, me, words):
    task, delay = s.find(words[0]), delay_of(words[1])

    async def waited():
        if not task.done():
            s.reach(me, [task], False)
        me.observe()
        return await s.waiting(me, [task], asyncio.wait_for(oracle.shield(task, s.loop), delay))

    return logged(s, me, "waitforshield(%s)" % words[0], waited(), equals)


async def call_for(s, me, function, delay):
    """A function under a time limit; without time asyncio makes a task of it, which is cancelled unstarted."""
    if delay is not None and delay <= 0:
        me.observe()
        return await asyncio.wait_for(function(), delay)
    async with Timeout(None if delay is None else s.loop.now + delay):
        return await function()


@statement
def wfcall(s, me, words):
    async def function():
        returned = await s.block(s.bodies[words[0]], me, None)
        return returned[0] if returned else 0

    if words[0] not in s.bodies:
        s.loop.give_up("no such body")
    called = call_for(s, me, function, delay_of(words[1]))
    return logged(s, me, "wfcall(%s)" % words[0], called, equals)


# ---- gather, wait -----------------------------------------------------------------------------------


def several(s, labels):
    return [s.find(label) for label in labels]


@statement
def gather(s, me, words):
    collect = words[1:2] == ["rx"]
    children = several(s, words[2 if collect else 1 :])
    if any(isinstance(child, Gather) for child in children):
        s.loop.give_up("gather of a gather")
    s.define(words[0], Gather(children, collect, s.loop))


@statement
def gjoin(s, me, words):
    collect = words[:1] == ["rx"]
    children = several(s, words[1 if collect else 0 :])

    async def joined():
        s.reach(me, [child for child in children if not child.done()], False)
        return await s.waiting(me, children, Gather(children, collect, s.loop))

    return logged(s, me, "gjoin", joined(), equals)


@statement
def wait(s, me, words):
    when, words, delay = words[0], words[1:], None
    if words[:1] == ["timeout"]:
        delay, words = delay_of(words[1]), words[2:]
    children = list(dict.fromkeys(several(s, words)))

    async def waited():
        s.reach(me, [child for child in children if not child.done()], False)
        me.observe()
        if not children:
            raise ValueError
        await s.waiting(me, children, oracle.wait(children, delay, when, s.loop))

    def split(_):
        labels = list(dict.fromkeys(words))
        done = [label for label in labels if s.objects[label].done()]
        pending = [label for label in labels if label not in done]
        return "{%s|%s}" % (",".join(done), ",".join(pending))

    return logged(s, me, "wait", waited(), split)


@statement
async def ascomp(s, me, words):
    children = list(dict.fromkeys(several(s, words[1:])))
    s.reach(me, [child for child in children if not child.done()], False)
    if words[0] != "none" and int(words[0]) <= 0:
        s.loop.give_up("as_completed without time")
    each = AsCompleted(children, delay_of(words[0]), s.loop)
    for _ in range(each.count):
        task = await logged(s, me, "asc", s.waiting(me, children, observing(me, each.next)))
        if task is None:
            s.log("%s.asc!T" % me.label)
        elif task.cancelled():
            s.log("%s.asc!C" % me.label)
        else:
            s.log("%s.asc%s" % (me.label, "!" + code_of(task.exception()) if task.exception() else equals(task.result())))


# ---- groups -----------------------------------------------------------------------------------------


@statement
def mktg(s, me, words):
    if words[0] in s.groups:
        s.loop.give_up("group made twice")
    s.groups[words[0]] = Group(s.loop)


@statement
async def tg(s, me, words, clauses, handled):
    label = words[0]
    group = s.groups.get(label)
    if group is not None and group.entered and not group.left:
        s.loop.give_up("group entered twice")
    if group is None or group.entered:
        group = s.groups[label] = Group(s.loop)
    group.left = False
    group.enter(me)
    failed = returned = None
    try:
        returned = await s.block(clauses[0][1], me, handled)
    except CAUGHT as error:
        failed = error
    s.reach(me, [child for child in group.children if not child.done()], False)
    failed = await s.waiting(me, group, group.close(me, failed))
    group.left = True
    if failed is not None:
        s.log("%s.tg(%s)!%s" % (me.label, label, code_of(failed)))
        raise failed
    s.log("%s.tg(%s).ok" % (me.label, label))
    return returned


def group_of(s, label):
    if label not in s.groups:
        s.loop.give_up("no such group: " + label)
    return s.groups[label]


@statement
def gspawn(s, me, words):
    group, label = group_of(s, words[0]), words[3] if len(words) > 3 else words[1]
    if label in s.objects:
        s.loop.give_up("defined twice: " + label)
    if s.shutting_down or group.refuses():
        s.log("%s.gspawn(%s)!R" % (me.label, label))
        return
    task = s.start(words[1], label, me.values)
    s.define(label, task)
    group.adopt(task)


@statement
def gcancel(s, me, words):
    group_of(s, words[0]).cancel()


# ---- other ------------------------------------------------------------------------------------------


@statement
def ctxset(s, me, words):
    me.values[words[0]] = int(words[1])


@statement
def ctxget(s, me, words):
    if words[0] not in me.values:
        s.loop.give_up("no such value: " + words[0])
    s.log("%s.ctx(%s)=%s" % (me.label, words[0], me.values[words[0]]))


@statement
def sigint(s, me, words):
    s.interrupt(True)


@statement
def sigint_at(s, me, words):
    s.loop.call_later(int(words[0]), s.guarded(lambda: s.interrupt(False)))


import synchronisation  # noqa: E402,F401  (registers the rest)
