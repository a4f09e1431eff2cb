# SPDX-License-Identifier: MIT
"""The asyncio peer: asyncio_peer.py LOOP CASE [OPERATIONS [WORKERS]] prints lines "CASE NUMBER"; see
../README.md. LOOP is asyncio or uvloop. An operation takes microseconds here, so there are fewer of them: what
is reported is the time of one. One thread."""
import asyncio
import resource
import socket
import sys
import time

MOST = 20000  # operations of a case
BATCH = 10000
CHILDREN = 100
HOUR = 3600.0
now = time.perf_counter_ns


async def empty():
    pass


async def spawn_await(n):
    start = now()
    for _ in range(n):
        await asyncio.create_task(empty())
    return (now() - start) / n


async def spawn_batches(n, batch):
    start = now()
    for _ in range(n // batch):
        tasks = [asyncio.create_task(empty()) for _ in range(batch)]
        for task in tasks:
            await task
    return (now() - start) / (n // batch * batch)


async def spawn_many(n):
    return await spawn_batches(max(n, BATCH), BATCH)


async def yield_times(n):
    for _ in range(n):
        await asyncio.sleep(0)


async def yield_two(n):
    partner = asyncio.create_task(yield_times(n // 2))
    start = now()
    await yield_times(n // 2)
    await partner
    return (now() - start) / n


async def yield_lone(n):
    start = now()
    await yield_times(n)
    return (now() - start) / n


async def pingpong(n):
    ask, answer = asyncio.Queue(1), asyncio.Queue(1)

    async def reply():
        for _ in range(n):
            await answer.put(await ask.get())

    partner = asyncio.create_task(reply())
    start = now()
    for i in range(n):
        await ask.put(i)
        await answer.get()
    elapsed = now() - start
    await partner
    return elapsed / n


async def queue_lone(n):
    items = asyncio.Queue(128)
    start = now()
    for i in range(n):
        await items.put(i)
        await items.get()
    return (now() - start) / n


async def queue_crowd(n, producers, consumers):
    items = asyncio.Queue(128)

    async def put():
        for i in range(n // producers):
            await items.put(i)

    async def get():
        for _ in range(n // producers * producers // consumers):
            await items.get()

    start = now()
    await asyncio.gather(*[get() for _ in range(consumers)], *[put() for _ in range(producers)])
    return (now() - start) / n


async def timer_arm_cancel(n):
    loop = asyncio.get_running_loop()
    start = now()
    for _ in range(n):
        loop.call_later(30, empty).cancel()
    return (now() - start) / n


async def timer_arm_cancel_million(n):
    loop = asyncio.get_running_loop()
    crowd = [
        loop.call_later(HOUR + i // 200 * 0.007 + i % 200 * 13, empty) for i in range(1000000)
    ]
    each = await timer_arm_cancel(n)
    del crowd
    return each


async def timeout_ready(n):
    start = now()
    for _ in range(n):
        async with asyncio.timeout(30):
            await empty()
    return (now() - start) / n


async def timeout_park(n):
    turns = asyncio.Queue(1)

    async def give():
        for i in range(n):
            await turns.put(i)

    giver = asyncio.create_task(give())
    start = now()
    for _ in range(n):
        async with asyncio.timeout(30):
            await turns.get()
    elapsed = now() - start
    await giver
    return elapsed / n


async def lateness(n):
    late = []
    early = 0

    async def sleep_once(i):
        delay = (1000 + i * 7919 % 10007 * 999000 // 10007) / 1e6
        start = now()
        await asyncio.sleep(delay)
        late.append((now() - start) / 1000 - delay * 1e6)

    use = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*[sleep_once(i) for i in range(n)])
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - use.ru_utime - use.ru_stime
    late.sort()
    early = sum(1 for one in late if one < 0)
    print("lateness.cpu", processor * 1e6 / n)
    print("lateness.p50", late[n // 2])
    print("lateness.p99", late[n * 99 // 100])
    print("lateness.max", late[-1])
    print("lateness.early", early)


async def sleepers(n):
    tasks = [asyncio.create_task(asyncio.sleep(HOUR)) for _ in range(n)]
    await asyncio.sleep(0)
    return tasks


async def reap(tasks):
    for task in tasks:
        task.cancel()
    for task in tasks:
        try:
            await task
        except asyncio.CancelledError:
            pass


async def cancel_reap(n):
    tasks = await sleepers(n)
    start = now()
    await reap(tasks)
    return (now() - start) / n


async def gather(n):
    start = now()
    for _ in range(n // CHILDREN):
        await asyncio.gather(*[empty() for _ in range(CHILDREN)])
    return (now() - start) / (n // CHILDREN * CHILDREN)


async def group(n):
    start = now()
    for _ in range(n // CHILDREN):
        async with asyncio.TaskGroup() as children:
            for _ in range(CHILDREN):
                children.create_task(empty())
    return (now() - start) / (n // CHILDREN * CHILDREN)


async def mutex_free(n):
    mutex = asyncio.Lock()
    start = now()
    for _ in range(n):
        async with mutex:
            pass
    return (now() - start) / n


async def mutex_held(n):
    mutex = asyncio.Lock()

    async def lock_times():
        for _ in range(n // 4):
            async with mutex:
                await asyncio.sleep(0)

    start = now()
    await asyncio.gather(*[lock_times() for _ in range(4)])
    return (now() - start) / n


async def sem_free(n):
    permits = asyncio.Semaphore(2)
    start = now()
    for _ in range(n):
        async with permits:
            pass
    return (now() - start) / n


async def event_set(n):
    event = asyncio.Event()
    event.set()
    start = now()
    for _ in range(n):
        await event.wait()
    return (now() - start) / n


async def wake_crowd(n):
    loop = asyncio.get_running_loop()
    turns = [loop.create_future() for _ in range(n)]

    async def wait(turn):
        await turn

    tasks = [asyncio.create_task(wait(turn)) for turn in turns]
    await asyncio.sleep(0)
    start = now()
    for turn in turns:
        turn.set_result(None)
    for task in tasks:
        await task
    return (now() - start) / n


async def fib_task(n):
    if n < 2:
        return n
    left = asyncio.create_task(fib_task(n - 1))
    right = await fib_task(n - 2)
    return await left + right


def fib_by_adding(n):
    here, following = 0, 1
    for _ in range(n):
        here, following = following, here + following
    return here


async def fib(n):
    n = min(n, 20)
    start = now()
    assert await fib_task(n) == fib_by_adding(n)
    return (now() - start) / (fib_by_adding(n + 1) - 1)


async def skynet_task(first, count):
    if count == 1:
        return first
    each = count // 10
    children = [asyncio.create_task(skynet_task(first + i * each, each)) for i in range(10)]
    return sum([await child for child in children])


async def skynet(n):
    n = min(n, 10000)
    start = now()
    assert await skynet_task(0, n) == n * (n - 1) // 2
    return (now() - start) / n


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo_serve(descriptor):
    """Serves a listening socket that was inherited, for ever. Its connections have TCP_NODELAY, as all of a loop's."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, sock=listener, backlog=4096)
    await server.serve_forever()


CASES = {
    "spawn_await": spawn_await,
    "spawn_many_cold": spawn_many,
    "spawn_many_warm": spawn_many,
    "yield_two": yield_two,
    "yield_lone": yield_lone,
    "pingpong": pingpong,
    "queue_lone": queue_lone,
    "queue_4x4": lambda n: queue_crowd(n, 4, 4),
    "queue_4x1": lambda n: queue_crowd(n, 4, 1),
    "timer_arm_cancel": timer_arm_cancel,
    "timer_arm_cancel_million": timer_arm_cancel_million,
    "timeout_ready": timeout_ready,
    "timeout_park": timeout_park,
    "lateness": lateness,
    "cancel_reap": cancel_reap,
    "gather": gather,
    "group": group,
    "mutex_free": mutex_free,
    "mutex_held": mutex_held,
    "sem_free": sem_free,
    "event_set": event_set,
    "wake_crowd": wake_crowd,
    "fib": fib,
    "skynet": skynet,
    "echo_serve": echo_serve,
}
COLD = ("spawn_many_cold", "lateness", "wake_crowd", "timer_arm_cancel_million", "fib", "skynet", "echo_serve")
SIZES = ("lateness", "fib", "skynet", "echo_serve")  # not a number of operations


async def run(name, n):
    case = CASES[name]
    if name not in SIZES:
        n = min(n, MOST)
    if name not in COLD:
        await case(n // 10 + 1 if n // 10 >= CHILDREN else n)
    each = await case(n)
    if each is not None:
        print(name, each)


def main():
    arguments = sys.argv[2:]
    if not arguments:
        for name in CASES:
            print(name, 1)
        return 0
    if arguments[0] not in CASES or (len(arguments) > 2 and int(arguments[2]) > 1):
        return 77
    make_loop = None
    if sys.argv[1] == "uvloop":
        import uvloop

        make_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(run(arguments[0], int(arguments[1]) if len(arguments) > 1 else MOST))
    return 0


sys.exit(main())
