# SPDX-License-Identifier: MIT
"""The scenario language on the oracle's event loop: parser, statements, the sequence of a run."""

import asyncio
import re
from asyncio import events

import oracle
from oracle import C, Completion, Gather, Group, GroupError, Invalid, Task, Timeout

CAUGHT = (Exception, C)


class UserError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


NAMES = (
    (TimeoutError, "T"),
    (asyncio.QueueShutDown, "SHUT"),
    (asyncio.BrokenBarrierError, "BRK"),
    (asyncio.InvalidStateError, "INV"),
    (asyncio.QueueEmpty, "EMPTY"),
    (asyncio.QueueFull, "FULL"),
    (ValueError, "V"),
    (RuntimeError, "R"),
)


def code_of(error):
    """An error as the trace writes it."""
    if isinstance(error, C):
        return "C"
    if isinstance(error, UserError):
        return error.code
    if isinstance(error, GroupError):
        return "EG[%s]" % ",".join(sorted(code_of(each) for each in error.errors))
    for kind, name in NAMES:
        if isinstance(error, kind):
            return name
    raise error


def error_of(code):
    made = {"C": C, "T": TimeoutError, "R": RuntimeError}.get(code)
    return made() if made else UserError(code)


def show(value):
    """An outcome inside a list of outcomes."""
    if isinstance(value, list):
        return "[%s]" % ",".join(show(each) for each in value)
    if isinstance(value, BaseException):
        return "!" + code_of(value)
    return str(value)


# ---- parser -----------------------------------------------------------------------------------------


def parse(text):
    """{name: block}; a block is a list of (words, [(words, block) ...])."""
    tokens = re.findall(r"[{};]|[^\s{};]+", text)
    tokens.reverse()
    bodies = {}
    while tokens:
        name = tokens.pop()
        if name == ";":
            continue
        if tokens.pop() != "{":
            raise ValueError("expected {")
        bodies[name] = parse_block(tokens)
    return bodies


def parse_block(tokens):
    block = []
    while True:
        token = tokens.pop()
        if token == "}":
            return block
        if token == ";":
            continue
        words = [token]
        while tokens[-1] not in "{};":
            words.append(tokens.pop())
        if tokens[-1] != "{":
            block.append((words, None))
            continue
        tokens.pop()
        clauses = [(words, parse_block(tokens))]
        while words[0] == "try" and tokens and tokens[-1] in ("catch", "finally"):
            clause = [tokens.pop()]
            while tokens[-1] != "{":
                clause.append(tokens.pop())
            tokens.pop()
            clauses.append((clause, parse_block(tokens)))
        block.append((words, clauses))


# ---- a run ------------------------------------------------------------------------------------------


class Scenario:
    def __init__(self, text, variants):
        self.bodies = parse(text)
        self.loop = oracle.Loop(variants)
        self.events = []
        self.objects = {}  # label -> task, future, gather, shield
        self.scopes, self.groups = {}, {}
        self.things = {}  # locks, events, ... and variables
        self.interrupts = 0
        self.main = None
        self.shutting_down = False

    # -- trace --

    def log(self, word):
        self.events.append((self.loop.now, word))

    def trace(self):
        words, at = [], None
        for time, word in self.events:
            if time != at:
                words.append("@%d" % time)
                at = time
            words.append(word)
        return " ".join(words)

    # -- labels --

    def find(self, label, kinds=(Task, asyncio.Future, oracle.Future)):
        found = self.objects.get(label)
        if found is None or not isinstance(found, kinds):
            self.loop.give_up("no such label: " + label)
        if getattr(found, "dropped", False):
            self.loop.give_up("dropped: " + label)
        return found

    def define(self, label, thing):
        if label in self.objects:
            self.loop.give_up("defined twice: " + label)
        self.objects[label] = thing

    def thing(self, label):
        if label not in self.things:
            self.loop.give_up("no such label: " + label)
        return self.things[label]

    # -- tasks --

    def start(self, body, label, values):
        if body not in self.bodies:
            self.loop.give_up("no such body: " + body)
        task = Task(self.body(body), self.loop, label)
        task.values = dict(values)
        return task

    async def body(self, name):
        """The body of a task."""
        me = asyncio.current_task(self.loop)
        try:
            returned = await self.block(self.bodies[name], me, None)
        except CAUGHT as error:
            self.log("%s.end!%s" % (me.label, code_of(error)))
            if me.dropped and not isinstance(error, C):
                me.add_done_callback(self.report_dropped)
            raise
        value = returned[0] if returned else 0
        self.log("%s.end=%s" % (me.label, value))
        return value

    def report_dropped(self, task):
        if not task.looked and not task.was_left and task.group is None:
            task.looked = True
            self.log("diag.error_never_retrieved:" + code_of(task.failure()))

    def guarded(self, callback):
        """A callback of the loop in which the program may turn out to be invalid."""

        def fire():
            try:
                callback()
            except Invalid:
                pass

        return fire

    # -- the run --

    def interrupt(self, from_task):
        if self.main.done() or self.shutting_down or (from_task and self.interrupts):
            self.loop.give_up("interrupt at an undefined moment")
        self.interrupts += 1
        if self.interrupts == 1:
            self.main.cancel()
        else:
            raise KeyboardInterrupt

    def run(self):
        loop = self.loop
        events._set_running_loop(loop)
        try:
            self.main = self.start("main", "main", {})
            self.objects["main"] = self.main
            self.main.add_done_callback(self.stopper())
            try:
                while not loop.stopping and not loop.invalid:
                    if not loop.turn():
                        return self.deadlock()
                result = self.result_of_main()
            except KeyboardInterrupt:
                result = "!KI"
            if not loop.invalid:
                self.log("run" + result)
                self.shut_down()
        except Invalid:
            pass
        finally:
            events._set_running_loop(None)
            oracle.UNFINISHED.extend(task for task in loop.spawned if not task.done())
        return "INVALID " + loop.invalid if loop.invalid else self.trace()

    def stopper(self):
        """A callback that ends the run."""

        def stop(_):
            self.loop.stopping = True

        stop.wakes = self.loop.prompt
        return stop

    def deadlock(self):
        self.log("run.DEADLOCK")
        return self.trace()

    def result_of_main(self):
        main = self.main
        if self.loop.invalid or not main.done():
            return ""
        if main.cancelled():
            if self.interrupts and main.uncancel() == 0:
                return "!KI"
            return "!C"
        if main.exception() is not None:
            return "!" + code_of(main.exception())
        return "=%s" % main.result()

    def shut_down(self):
        loop = self.loop
        self.shutting_down, loop.stopping = True, False
        left = [task for task in loop.spawned if not task.done()]
        for task in left:
            task.was_left = True
            task.cancel()
        while any(not task.done() for task in left):
            if not loop.turn():
                self.deadlock()
                return
            if loop.invalid:
                return
        if any(when <= loop.now and not handle.cancelled for when, _, handle in loop.timers):
            loop.give_up("something is due as the run ends")
        for task in left:
            if not task.cancelled() and task.exception() is not None:
                self.log("diag.error_at_shutdown:" + code_of(task.exception()))
        for _ in range(4):  # asyncio's runner closes its generators and threads: callbacks still queued run
            if loop.ready:
                loop.turn()
        for task in loop.spawned:
            if not task.cancelled() and task.failure() is not None and not task.looked:
                if task is not self.main and task.group is None and not task.dropped:
                    self.log("diag.error_never_retrieved:" + code_of(task.failure()))

    # -- statements --

    async def block(self, block, me, handled):
        """Runs a block. None, or (value,) when `ret` was met."""
        for words, clauses in block:
            name = words[0]
            statement = STATEMENTS.get(name)
            if statement is None:
                self.loop.give_up("no such statement: " + name)
            self.loop.steps_left -= 1
            if self.loop.steps_left < 0:
                self.loop.give_up("endless")
            if clauses is not None:
                returned = await statement(self, me, words[1:], clauses, handled)
                if returned is not None:
                    return returned
            elif name == "ret":
                return (int(words[1]) if len(words) > 1 else 0,)
            elif name == "raise":
                if len(words) > 1:
                    raise error_of(words[1])
                if handled is None:
                    self.loop.give_up("nothing to raise")
                raise handled
            else:
                running = statement(self, me, words[1:])
                if running is not None:
                    await running
        return None

    def reach(self, me, targets, joining):
        """Would waiting for `targets` close a cycle? True for one of plain joins; others are left open."""
        todo = [(target, joining) for target in targets]
        seen, cycle = set(), False
        while todo:
            task, plain = todo.pop()
            if task is me:
                if not plain:
                    self.loop.give_up("cycle")
                cycle = True
                continue
            if (id(task), plain) in seen or task.done():
                continue
            seen.add((id(task), plain))
            for each in children_of(task):
                todo.append((each, plain and getattr(task, "joins", False)))
        return cycle

    async def waiting(self, me, targets, awaitable, joining=False):
        """Awaits while the wait graph shows what for."""
        me.waits_for, me.joins = targets, joining
        try:
            return await awaitable
        finally:
            me.waits_for = None


def children_of(task):
    """What a task, a gather or a shield waits for right now."""
    if isinstance(task, Gather):
        return list(task.left)
    if isinstance(task, Task):
        found = task.waits_for or ()
        if isinstance(found, Group):
            return list(found.children)
        return list(found)
    inner = getattr(task, "inner", None)
    return [inner] if inner is not None else []


def run_text(text, variants=()):
    return Scenario(text, variants).run()


from statements import STATEMENTS  # noqa: E402  (it needs the names above)
