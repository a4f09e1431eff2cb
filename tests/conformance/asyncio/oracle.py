#!/usr/bin/env python3.13
# SPDX-License-Identifier: MIT
"""What a scenario has to print, computed on CPython 3.13's asyncio under virtual time.

Tasks, futures, timeouts, wait_for, shields, locks and queues are asyncio's own. Laid over them are the entry
rule, the grant rule and the intended divergences; what they change too much (gather, wait, groups) is written
here. `scenario.py` holds the language, this file the event loop, the tasks and the command line.
"""

import argparse
import asyncio
import collections
import heapq
import json
import os
import sys
import warnings
from asyncio import futures, tasks, timeouts

C = asyncio.CancelledError
warnings.filterwarnings("ignore", message="coroutine .* was never awaited")  # bodies that never start


UNFINISHED = []  # what a run leaves behind: collecting it would run its clean-up in the midst of another run


def leave():
    """Ends the process without collecting what is unfinished."""
    sys.stdout.flush()
    os._exit(0)


class Invalid(BaseException):
    """The program does something that the rules leave open."""


class Handle:
    __slots__ = ("callback", "args", "cancelled")

    def __init__(self, callback, args):
        self.callback, self.args, self.cancelled = callback, args, False

    def cancel(self):
        self.cancelled = True


class Loop(asyncio.AbstractEventLoop):
    """Turns as asyncio makes them, time as nobody does: it jumps to the next timer when nothing is ready.

    direct: what waits for several tasks is woken by the last of them itself, not by a callback one trip later.
    prompt: the run stops when main has ended, not when the turn after that is over.
    hand-on: a request to a task that closes a group goes to the children at once, without waking it first.
    """

    def __init__(self, variants=(), max_steps=20000):
        self.now, self.direct, self.prompt = 0, "direct" in variants, "prompt" in variants
        self.hands_on = "hand-on" in variants
        self.ready, self.timers, self.armed = collections.deque(), [], 0
        self.stopping, self.invalid, self.steps_left = False, None, max_steps
        self.spawned = []

    def time(self):
        return self.now

    def get_debug(self):
        return False

    def is_running(self):
        return True

    def call_exception_handler(self, context):
        pass

    def call_soon(self, callback, *args, context=None):
        handle = Handle(callback, args)
        self.ready.append(handle)
        return handle

    def call_at(self, when, callback, *args, context=None):
        handle = Handle(callback, args)
        self.armed += 1
        heapq.heappush(self.timers, (when, self.armed, handle))
        return handle

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.now + delay, callback, *args)

    def create_future(self):
        return Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        return Task(coro, self)

    def give_up(self, why):
        self.invalid = self.invalid or why
        raise Invalid(why)

    def turn(self):
        """One turn. False when nothing can ever run again."""
        while self.timers and self.timers[0][2].cancelled:
            heapq.heappop(self.timers)
        if not self.ready:
            if not self.timers:
                return False
            self.now = max(self.now, self.timers[0][0])
        while self.timers and self.timers[0][0] <= self.now:
            self.ready.append(heapq.heappop(self.timers)[2])
        for _ in range(len(self.ready)):
            handle = self.ready.popleft()
            if handle.cancelled:
                continue
            self.steps_left -= 1
            if self.steps_left < 0:
                self.invalid = self.invalid or "endless"
            handle.callback(*handle.args)
            if self.invalid or (self.stopping and self.prompt):
                break
        return True


class Future(futures._PyFuture):
    """Callbacks marked as direct are called by the completion itself where the loop asks for it."""

    def _Future__schedule_callbacks(self):
        callbacks, self._callbacks = self._callbacks, []
        for callback, _ in callbacks:
            if getattr(callback, "wakes", False) or (
                self._loop.direct and getattr(callback, "direct", False)
            ):
                callback(self)
            else:
                self._loop.call_soon(callback, self)

    def add_done_callback(self, fn, *, context=None):
        if self._state != futures._PENDING:
            self._loop.call_soon(fn, self)
        else:
            self._callbacks.append((fn, None))

    def __del__(self):
        pass


def release(waiter):
    """A callback that completes `waiter` without a trip through the ready queue of its own."""

    def wake(_):
        if not waiter.done():
            waiter.set_result(None)

    wake.wakes = True
    return wake


async def await_privately(future):
    """Waits so that a request to the caller leaves `future` and its other waiters alone."""
    if not future.done():
        waiter = future._loop.create_future()
        wake = release(waiter)
        future.add_done_callback(wake)
        try:
            await waiter
        finally:
            future.remove_done_callback(wake)
    return future.result()


class Completion(Future):
    """A future of the program: awaiting it is private."""

    def __await__(self):
        return (yield from await_privately(self).__await__())


class Task(tasks._PyTask, Future):
    """asyncio's task; a request after a grant stays undelivered, and undelivered ones are counted."""

    _Future__schedule_callbacks = Future._Future__schedule_callbacks
    add_done_callback = Future.add_done_callback

    def __init__(self, coro, loop, label=None):
        self._undelivered = 0  # requests accepted since the last delivery and not withdrawn
        self.deliveries = 0
        self.aborted = False  # a request has ended the present wait
        self.masks = False  # inside an await whose own waits do not look for undelivered requests
        self.label, self.looked, self.dropped, self.group = label, False, False, None
        self.values, self.waits_for = {}, None
        self.was_left = False  # unfinished when main had ended
        super().__init__(coro, loop=loop)
        loop.spawned.append(self)

    def __del__(self):
        pass

    @property
    def _must_cancel(self):
        return self._undelivered > 0 and not self.masks

    @_must_cancel.setter
    def _must_cancel(self, armed):
        if armed:
            self._undelivered += 1
        elif self._undelivered:
            self._undelivered = 0
            self.deliveries += 1

    @property
    def stale(self):
        """The baseline of scopes: requests that were delivered before."""
        return self._num_cancels_requested - self._undelivered

    def cancel(self, msg=None):
        if self.done():
            self.looked = True
            return False
        self._num_cancels_requested += 1
        waiter = self._fut_waiter
        if waiter is not None and waiter.cancel():
            self.aborted = waiter.cancelled()
            return True
        self._undelivered += 1
        return True

    def uncancel(self):
        if self._num_cancels_requested > 0:
            self._num_cancels_requested -= 1
            if self._num_cancels_requested == 0:
                self._undelivered = 0
            self._undelivered = min(self._undelivered, self._num_cancels_requested)
        return self._num_cancels_requested

    def observe(self):
        """The entry rule."""
        if self._undelivered:
            self._must_cancel = False
            raise C()

    def result(self):
        self.looked = True
        return super().result()

    def exception(self):
        self.looked = True
        return super().exception()

    def failure(self):
        """The error without looking at it."""
        return self._exception

    def _Task__wakeup(self, future):
        try:
            future.result()
            exc = None
        except Exception as error:
            exc = error
        except C as error:
            exc = error
        self._step(exc, granted=not self.aborted)

    def _Task__step(self, exc=None):
        self._step(exc, granted=False)

    def _step(self, exc, granted):
        if self.done():
            return
        if self._undelivered and not granted:
            if not isinstance(exc, C):
                exc = C()
            self._must_cancel = False
        self._fut_waiter, self.aborted = None, False
        tasks._enter_task(self._loop, self)
        try:
            self._Task__step_run_and_handle_result(exc)
        finally:
            tasks._leave_task(self._loop, self)
        if self._fut_waiter is not None and self._fut_waiter.cancelled():
            self.aborted = True


class Requests:
    """A scope's own requests to its task: withdrawn precisely, whatever stale count there is."""

    def __init__(self, task):
        self.task = task
        self.baseline = task.stale
        self.undelivered_at = None

    def cancel(self):
        before = self.task._undelivered
        self.task.cancel()
        if self.task._undelivered > before:
            self.undelivered_at = self.task.deliveries

    def own_undelivered(self):
        return self.undelivered_at == self.task.deliveries and self.task._undelivered > 0

    def uncancel(self):
        """Withdraws one request of the scope; returns how many remain."""
        task = self.task
        own = self.own_undelivered()
        if task._num_cancels_requested > 0:
            task._num_cancels_requested -= 1
        if own:
            task._undelivered -= 1
        if task._num_cancels_requested == 0:
            task._undelivered = 0
        return task._num_cancels_requested

    def cancelling(self):
        return self.baseline


class Timeout(timeouts.Timeout):
    """asyncio's, with a baseline that leaves out undelivered requests."""

    async def __aenter__(self):
        await super().__aenter__()
        self._task = Requests(self._task)
        self._cancelling = self._task.baseline
        return self

    async def __aexit__(self, kind, error, trace):
        return await super().__aexit__(kind, error, trace)

    @property
    def phase(self):
        return self._state.value


timeouts.Timeout = Timeout  # wait_for and timeout() find it here


class Shield(Future):
    """asyncio's shielded future, except that an error handed to it counts as looked at only when somebody looks
    at the shield."""

    def __init__(self, inner, loop):
        super().__init__(loop=loop)
        self.inner, self.has_let_go = inner, False

        def inner_done(inner):
            if self.cancelled():
                if not inner.cancelled():
                    inner.exception()  # it failed in the moment in which the shield went
            elif inner.cancelled():
                self.cancel()
            else:
                error = failure_of(inner)
                if error is not None:
                    self.set_exception(error)
                else:
                    self.set_result(inner.result())

        def outer_done(_):
            if not inner.done():
                inner.remove_done_callback(inner_done)
            self.has_let_go = True

        inner_done.direct = outer_done.direct = True
        inner.add_done_callback(inner_done)
        self.add_done_callback(outer_done)

    def look(self):
        if self.done() and not self.cancelled() and self.inner.done() and not self.inner.cancelled():
            self.inner.exception()

    def result(self):
        self.look()
        return super().result()

    def exception(self):
        self.look()
        return super().exception()

    def failure(self):
        return self._exception


def failure_of(future):
    """A future's error without looking at it."""
    return future.failure() if hasattr(future, "failure") else future._exception


def shield(inner, loop):
    """A future that shields `inner`; itself where nothing is left to shield."""
    return inner if inner.done() else Shield(inner, loop)


class Gather(Future):
    """gather's result. After an accepted request it waits for all children, then it ends with C."""

    def __init__(self, children, collect, loop):
        super().__init__(loop=loop)
        self.children, self.collect = children, collect
        self.left, self.error, self.requested = set(), None, False
        self.in_flight = ()
        ended = []
        for child in dict.fromkeys(children):
            self.left.add(child)
            if child.done():
                ended.append(child)
            else:
                child.add_done_callback(self.on_done())
        for child in ended:
            self.child_done(child)
        if not children:
            self.set_result([])

    def on_done(self):
        def done(child):
            self.child_done(child)

        done.direct = True
        return done

    def child_done(self, child):
        self.left.discard(child)
        error = C() if child.cancelled() else child.exception()
        if self.done():
            return
        if error is not None and not self.collect and self.error is None:
            if not self.requested or child in self.in_flight:
                self.error = error
        if self.error is not None and not self.requested:
            self.set_exception(self.error)
        elif not self.left:
            if self.error is not None:
                self.set_exception(self.error)
            elif self.requested:
                self.set_exception(C())
            else:
                self.set_result([outcome_of(child) for child in self.children])

    def cancel(self, msg=None):
        if self.done():
            return False
        in_flight = [child for child in self.left if child.done()]
        accepted = [child.cancel() for child in self.children]  # one that stands twice gets two
        if not any(accepted):
            return False
        if not self.requested:
            self.requested, self.in_flight = True, in_flight
        return True


def outcome_of(task):
    if task.cancelled():
        return C()
    return task.exception() or task.result()


async def wait(children, timeout, when, loop):
    """asyncio's wait, which does not count as looking at an error."""
    waiter = loop.create_future()
    timer = None
    if timeout is not None:
        timer = loop.call_later(timeout, lambda: waiter.done() or waiter.set_result(None))
    left = len(children)

    def done(child):
        nonlocal left
        left -= 1
        failed = not child.cancelled() and failure_of(child) is not None
        if left <= 0 or when == "FC" or (when == "FX" and failed):
            if timer is not None:
                timer.cancel()
            if not waiter.done():
                waiter.set_result(None)

    done.direct = True
    for child in children:
        child.add_done_callback(done)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        for child in children:
            child.remove_done_callback(done)


class AsCompleted:
    """asyncio's as_completed, in the order of the arguments where several have ended before."""

    def __init__(self, children, timeout, loop):
        self.todo, self.ended = list(children), asyncio.Queue()
        self.count, self.timer = len(self.todo), None

        def done(child):
            if child in self.todo:
                self.todo.remove(child)
                self.ended.put_nowait(child)
                if not self.todo and self.timer is not None:
                    self.timer.cancel()

        done.direct = True
        self.done = done
        for child in self.todo:
            child.add_done_callback(done)
        if self.todo and timeout is not None:
            self.timer = loop.call_later(timeout, self.time_over)

    def time_over(self):
        for child in self.todo:
            child.remove_done_callback(self.done)
            self.ended.put_nowait(None)
        self.todo = []

    async def next(self):
        """The next one that has ended; None when the time is over."""
        return await self.ended.get()


class GroupError(Exception):
    def __init__(self, errors):
        super().__init__("errors in a group")
        self.errors = errors


class GroupWait(Future):
    """The wait for a group's children in the variant that hands requests on."""

    def __init__(self, group):
        super().__init__(loop=group.loop)
        self.group = group

    def cancel(self, msg=None):
        if self.done():
            return False
        self.group.absorbed = True
        if not self.group.aborting:
            self.group.abort()
        return True


class Group:
    """3.15's TaskGroup with a baseline; closing observes first and gives back what is not its own."""

    def __init__(self, loop):
        self.loop = loop
        self.entered = self.closing = self.aborting = self.requested = self.cancel_at_entry = False
        self.children, self.errors = [], []
        self.requests, self.waiter, self.absorbed = None, None, False

    @property
    def finished(self):
        return self.closing and not self.children

    def enter(self, task):
        self.entered, self.requests = True, Requests(task)
        if self.cancel_at_entry:
            self.cancel()

    def refuses(self):
        return not self.entered or self.finished or self.aborting

    def adopt(self, task):
        self.children.append(task)
        task.group = self

        def done(child):
            self.child_done(child)

        done.direct = True
        task.add_done_callback(done)

    def child_done(self, child):
        self.children.remove(child)
        if self.waiter is not None and not self.children and not self.waiter.done():
            self.waiter.set_result(None)
        error = None if child.cancelled() else child.exception()
        if error is not None:
            self.errors.append(error)
            self.stop()

    def abort(self):
        self.aborting = True
        for child in list(self.children):
            child.cancel()

    def stop(self):
        if not self.aborting:
            self.abort()
            self.requested = True
            self.requests.cancel()

    def cancel(self):
        if not self.entered:
            self.cancel_at_entry = True
        elif not self.finished:
            self.stop()

    async def close(self, task, error):
        """Ends the group; `error` is what the body ended with. Returns what leaves, None for nothing."""
        self.closing = True
        cancelled = isinstance(error, C)
        body_error = None if cancelled else error
        if task._undelivered:
            task._must_cancel = False
            cancelled = True
        if (cancelled or body_error is not None) and not self.aborting:
            self.abort()
        while self.children:
            self.waiter = GroupWait(self) if self.loop.hands_on else self.loop.create_future()
            try:
                await self.waiter
            except C:
                cancelled = True
                if not self.aborting:
                    self.abort()
            self.waiter = None
        cancelled = cancelled or self.absorbed
        return self.outcome(task, cancelled, body_error)

    def outcome(self, task, cancelled, body_error):
        if self.requested:
            self.requests.uncancel()
            if task.stale <= self.requests.baseline:  # what is undelivered comes by itself
                cancelled = False
        if body_error is not None:
            self.errors.append(body_error)
        if self.errors:
            if task._num_cancels_requested > self.requests.baseline and not task._undelivered:
                task._undelivered = 1
            return GroupError(self.errors)
        return C() if cancelled else None


def main():
    from scenario import run_text

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="one program as text; standard input without it")
    parser.add_argument("--json", metavar="FILE", help="a list of {id, program}: one {id, trace} line each")
    parser.add_argument("--variant", action="append", default=[], choices=("direct", "prompt", "hand-on"))
    options = parser.parse_args()
    if options.json:
        with open(options.json, encoding="utf-8") as file:
            for case in json.load(file):
                trace = run_text(case["program"], options.variant)
                print(json.dumps({"id": case["id"], "trace": trace}, ensure_ascii=False))
        leave()
    text = open(options.file, encoding="utf-8").read() if options.file else sys.stdin.read()
    print(run_text(text, options.variant))
    leave()


if __name__ == "__main__":
    # scenario.py imports this file by its name: let both be the same module.
    sys.modules["oracle"] = sys.modules["__main__"]
    main()
