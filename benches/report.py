#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""report.py RESULTS PEERS DOCS - writes DOCS/benchmarks.md and its pictures from the JSON of benchmark runs.

RESULTS holds what docs.sh let the benchmarks write, PEERS is the folder of peer programs, whose `versions` say
what they are. Everything in the page comes from these; sentences that explain a loss stand in WHY below and
appear only where there is one."""
import json
import os
import platform
import subprocess
import sys

import plots

PROGRAMS = ["tbb", "boost.fiber", "libuv", "go", "tokio", "tokio.current", "asyncio", "uvloop"]

# Title, file of its picture, what it is, and the figures: "case", or "case.figure".
CHAPTERS = [
    (
        "Fork and join",
        "fork",
        "Trees of tasks with nothing or little to do in them. Everybody does the same work; Boost.Fiber, Go, Tokio "
        "and Python do smaller trees, and what is compared is the time of one task.",
        ["fib", "fib_group", "skynet", "nqueens", "matmul"],
    ),
    (
        "Tasks",
        "tasks",
        "Making tasks and waiting for them; ending a crowd.",
        ["spawn_await", "spawn_many_cold", "spawn_many_warm", "spawn_detached", "gather", "group",
         "cancel_reap", "group_cancel", "wake_crowd"],
    ),
    (
        "Turns",
        "turns",
        "Letting others run, parking and waking.",
        ["yield_two", "yield_lone", "pingpong", "pingpong_across"],
    ),
    (
        "Locks and queues",
        "locks",
        "Locks, permits, items, and the first of several.",
        ["mutex_free", "mutex_shared", "mutex_held", "sem_free", "event_set", "queue_lone",
         "queue_pingpong", "queue_pingpong_across", "queue_4x4", "queue_4x1", "select_2", "select_16"],
    ),
    (
        "Meetings",
        "meet",
        "Tasks that do next to nothing between two meetings, at a lock, a barrier or queues: does a second worker slow them "
        "down? Then one chain of tasks, and a pipeline whose five stages of 0.3 us are work enough for two.",
        ["meet_table", "meet_barrier", "meet_fan_out", "meet_pool", "meet_chain", "meet_pipeline"],
    ),
    (
        "Streams",
        "streams",
        "Lines of a stream that are in its buffer, or fit into it; `beside it` are the same bytes by memchr and memcpy.",
        ["lines_read", "lines_written", "lines_answered"],
    ),
    (
        "Time",
        "time",
        "Timers that are armed and taken back, limits around calls, and how late ten thousand sleeps end.",
        ["timeout_return", "timeout_return_million", "timeout_ready", "timeout_park",
         "timeout_leave_across", "sleep_cancel_million", "lateness.p50", "lateness.p99",
         "lateness.cpu"],
    ),
    (
        "Bursts, hogs, idling",
        "bursts",
        "Does work spread in time, who waits for a task that computes for half a second, and how fast an idle "
        "runtime wakes.",
        ["storm", "storm_detached", "hog.task_late", "hog.timer_late", "hog.io_late",
         "hog.held_late", "hog.held_calls", "hog.held_counted",
         "idle_wake.p50", "idle_wake.p99", "idle_cpu"],
    ),
    (
        "Servers and files",
        "servers",
        "64 bytes sent back over TCP to 64 or 1000 connections. The server has one processor, the load another, and it is "
        "the same load for all; `server` is the server's processor time for each request; of ours the kernel takes nine tenths. "
        "Then 4 KiB read from a file that is in the page cache, 64 reads at a time: processor time of each, and the time "
        "that passes; `pread` is the plain call.",
        ["echo_64", "echo_64.server", "echo_64.p99", "echo_1000", "echo_1000.server", "echo_1000.p99",
         "file_read", "file_read.wall"],
    ),
    (
        "Crowds",
        "crowds",
        "A million tasks: started, parked, woken and joined. Fibers of weft and goroutines have stacks, the first "
        "with a guard; tasks of Tokio have none.",
        ["parked.start", "parked.each", "parked.wake_join", "parked.left_1s", "spawned.each"],
    ),
]

# Why somebody else is ahead, where that is known.
WHY = {
    ("timeout_return", "libuv"): "one timer of one loop in an empty heap, without a lock: nothing else is armed",
    ("timeout_ready", "tokio"): "it polls the call first and arms no timer when the call is ready",
    ("meet_table", "go"): "here the lock goes to whoever has waited longest; once tasks of two workers have met at it, "
    "each use is a hand-over",
    ("mutex_free", "go"): "its lock is one CAS there and one addition back, and nobody can be cancelled in it",
    ("parked.each", "go"): "its stacks begin with 2 KiB and are moved when they grow, which C can't do",
    ("parked.each", "tokio"): "its tasks have no stack: what lives across an await lies in a record",
    ("parked.start", "tokio"): "no stack, so no page fault for each task",
    ("parked.start", "go"): "half as much memory to touch for each",
    ("parked.wake_join", "tokio"): "no stack: a tenth of the memory is visited",
    ("parked.wake_join", "go"): "half as much memory is visited for each",
    ("wake_crowd", "tokio"): "no stack: a tenth of the memory is visited",
    ("wake_crowd", "go"): "smaller stacks, so less memory is visited",
    ("cancel_reap", "tokio"): "a task is dropped where it lies; ours runs on its stack once more, to clean up",
    ("lateness.cpu", "libuv"): "milliseconds: timers that are due in the same one share a wake-up",
    ("lateness.cpu", "tokio"): "milliseconds: timers that are due in the same one share a wake-up",
    ("lateness.p50", "libuv"): "half of its timers fire early",
    ("lateness.p99", "libuv"): "milliseconds, of which half are early",
    ("mutex_shared", "go"): "a lock that is free may be taken by whoever runs; ours goes to whoever has waited longest",
}


def load(folder, name):
    path = os.path.join(folder, name + ".json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def collect(runs):
    """{(figure's name, workers): {"unit": u, "sides": {side: (median, spread, ratio or None, workers)}}}"""
    rows = {}
    for run in runs:
        by_row = {}
        for result in run["results"]:
            by_row.setdefault(result["row"], []).append(result)
        for results in by_row.values():
            workers = results[0]["workers"]
            for one in results:
                name = one["case"] + ("." + one["figure"] if one["figure"] else "")
                row = rows.setdefault((name, workers), {"unit": one["unit"], "sides": {}})
                ratio = one.get("weft_over_peer", {}).get("median")
                row["sides"][one["side"]] = (one["spread"]["median"], one["spread"], ratio, one["workers"])
    return rows


def rows_of(rows, name):
    return [(workers, row) for (case, workers), row in sorted(rows.items()) if case == name and "weft" in row["sides"]]


def unit_of(row):
    return row["unit"].replace("ns/op", "ns").replace("us/op", "us")


def cell(side):
    value, _, ratio, _ = side
    return plots.number(value) + (f" ({ratio:.2g})" if ratio is not None else "")


def others_of(row):
    names = [name for name in row["sides"] if name != "weft" and name not in PROGRAMS]
    return ", ".join(f"{name} {cell(row['sides'][name])}" for name in names)


def table(rows, names, programs):
    present = [p for p in programs if any(p in row["sides"] for name in names for _, row in rows_of(rows, name))]
    lines = ["| | workers | unit | weft | " + "".join(f"{p} | " for p in present) + "beside it |",
             "|---|---|---|---|" + "---|" * len(present) + "---|"]
    for name in names:
        for workers, row in rows_of(rows, name):
            sides = row["sides"]
            peers = "".join(f" {cell(sides[p]) if p in sides else ''} |" for p in present)
            ours = sides["weft"]
            lines.append(f"| `{name}` | {workers} | {unit_of(row)} | **{plots.number(ours[0])}** |{peers} {others_of(row)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def losses(rows, names):
    lines = []
    for name in names:
        for workers, row in rows_of(rows, name):
            ahead = [(p, row["sides"][p]) for p in PROGRAMS if p in row["sides"]]
            for program, (value, _, ratio, _) in ahead:
                if ratio is not None and ratio > 1.03:
                    why = WHY.get((name, program), "")
                    why = f": {why}" if why else ""
                    lines.append(f"* `{name}`, {workers} worker{'s' if workers > 1 else ''}: weft takes {ratio:.2f} times "
                                 f"as much as {program} ({plots.number(row['sides']['weft'][0])} and "
                                 f"{plots.number(value)} {unit_of(row)}){why}.")
    return lines


def draw(rows, title, names):
    blocks = []
    for name in names:
        for workers, row in rows_of(rows, name):
            sides = row["sides"]
            values = [("weft", sides["weft"][0])] + [(p, sides[p][0]) for p in PROGRAMS if p in sides]
            if len(values) == 1:
                values += [(n, s[0]) for n, s in sides.items() if n != "weft"]
            if len(values) > 1:
                plural = "s" if workers > 1 else ""
                blocks.append((f"{name}, {workers} worker{plural}", unit_of(row), values))
    return plots.bars(title, blocks) if blocks else None


def speed_up(rows, name):
    """{side: [(workers, one worker's time / the time)]}; several workers each."""
    series = {}
    for workers, row in rows_of(rows, name):
        for side in ["weft"] + PROGRAMS:
            if side in row["sides"]:
                # The fastest, not the median: rows stand minutes apart, and the machine drifts.
                series.setdefault(side, []).append((workers, row["sides"][side][1]["min"]))
    return {side: [(at, points[0][1] / value) for at, value in points]
            for side, points in series.items() if len(points) > 2}


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown processor"


def memory():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return f"{int(file.readline().split()[1]) / 1048576:.0f} GiB"


def revision():
    command = ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def head(peers):
    versions = "not known"
    path = os.path.join(peers, "versions")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            versions = "; ".join(line.strip() for line in file if line.strip())
    return f"""# Benchmarks

This page and its pictures are written by `./dev bench --docs`, in about ten minutes. The programs are in
[benches](../benches), the peers' in [benches/peers](../benches/peers): idiomatic programs that do the same work,
started by turns with ours, so that ratios hold where absolute times drift.

Machine: {processor()}, {memory()}, Linux {platform.release()}. weft {revision()}.
Compilers and peers: {versions}.

**How to read.** A figure is the median over the repetitions. In brackets: ours divided by theirs, taken repetition by
repetition; below 1 weft is faster or smaller. "Beside it" are functions of the same process: the same by plain calls, with one
worker, or what is beneath. In pictures, a bar is a multiple of weft's; bars that would leave the picture are cut. Times are
for one operation ([benches/README.md](../benches/README.md) says what each of them is, and where peers do
not do quite the same). Differences below a few hundredths are noise. Where weft loses, the page says so, chapter by chapter.
"""


def published(rows):
    names = ["fib", "skynet", "nqueens", "matmul"]
    tables = table(rows, names, ["tbb"])
    if not tables:
        return ""
    return f"""
## At published sizes

fib(39), skynet with 100 million leaves, nqueens(14), matmul(2048); time of one task (`matmul`: of the product).

{tables}
"""


def write(path, content):
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def main():
    results, peers, docs = sys.argv[1:4]
    names = sorted(name[:-5] for name in os.listdir(results) if name.endswith(".json"))
    plain = collect([load(results, n) for n in names if not n.startswith(("full_", "scaling_"))])
    full = collect([load(results, n) for n in names if n.startswith("full_")])
    scaling = collect([load(results, n) for n in names if n.startswith("scaling_")])
    parts = [head(peers)]
    for title, picture, about, cases in CHAPTERS:
        shown = table(plain, cases, PROGRAMS)
        if not shown:
            continue
        parts.append(f"\n## {title}\n\n{about}\n\n{shown}\n")
        image = draw(plain, title, cases)
        if image:
            write(os.path.join(docs, f"bench-{picture}.svg"), image)
            parts.append(f"\n![{title}](bench-{picture}.svg)\n")
        lost = losses(plain, cases)
        parts.append("\n" + ("Where weft loses:\n\n" + "\n".join(lost) if lost else "weft loses to none of them here.") + "\n")
    parts.append(published(full))
    panels = [(name, speed_up(scaling, name)) for name in ("fib", "skynet", "nqueens", "matmul", "storm")]
    panels = [(name, series) for name, series in panels if series]
    if panels:
        processors = os.cpu_count() or 1
        write(os.path.join(docs, "bench-scaling.svg"), plots.lines("Speed-up over one worker", panels, processors + 1))
        beside = table(plain, ["fib_64_workers"], [])
        parts.append(f"""
## Over workers

How many times as fast as the same system with one worker, by workers. This machine has {processors} processors: more workers than
these can only lose, and the picture shows how much. [scaling.md](scaling.md) computes what larger machines would show.

![Speed-up over workers](bench-scaling.svg)

{beside}
""")
    write(os.path.join(docs, "benchmarks.md"), "".join(parts))


main()
