#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares traces task by task: the order between tasks at one instant is free.

    compare.py EXPECTED ACTUAL [ACTUAL ...]

EXPECTED is cases.json, or a file of {"id", "trace"} lines like the others. A trace is right when it equals the
expected one or a case's `also`; with several EXPECTED variants (--or FILE) any of them will do.
"""

import argparse
import json
import sys


def events_of(trace):
    """{task: [(time, event)]} of a trace."""
    events, time = {}, 0
    for word in trace.split():
        if word.startswith("@"):
            time = int(word[1:])
            continue
        ends = [at for at in (word.find(mark) for mark in ".=!") if at >= 0]
        task = word[: min(ends)] if ends else word
        events.setdefault(task, []).append((time, word))
    return events


def same(one, other):
    return one == other or events_of(one) == events_of(other)


def difference(expected, actual):
    """(task, expected events, actual events) of the task that differs first; None when there is none."""
    wanted, got = events_of(expected), events_of(actual)
    found = []
    for task in set(wanted) | set(got):
        left, right = wanted.get(task, []), got.get(task, [])
        if left != right:
            at = next((i for i, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), None)
            at = min(len(left), len(right)) if at is None else at
            time = min(each[at][0] for each in (left, right) if at < len(each))
            found.append((time, task, left, right))
    return min(found)[1:] if found else None


def read(path):
    """{id: (traces, entry)} of either kind of file."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.lstrip().startswith("["):
        entries = json.loads(text)
    else:
        entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    found = {}
    for entry in entries:
        traces = [entry[key] for key in ("trace", "expect", "also") if key in entry]
        found[entry["id"]] = (traces, entry)
    return found


def show(events):
    return " ".join("@%d %s" % event for event in events) or "(nothing)"


def report(name, entry, expected, actual):
    task, wanted, got = difference(expected, actual)
    print("%s %s: %s differs" % (name, entry.get("title", ""), task))
    if "program" in entry:
        print("  program:  " + entry["program"])
    print("  expected: " + show(wanted))
    print("  actual:   " + show(got))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expected")
    parser.add_argument("actual", nargs="+")
    parser.add_argument("--or", dest="variants", action="append", default=[], metavar="FILE")
    parser.add_argument("--programs", metavar="FILE", help="show the programs of this list with differences")
    parser.add_argument("--ids", action="store_true", help="print only the ids of what differs")
    options = parser.parse_args()
    expected = read(options.expected)
    for variant in options.variants:
        for name, (traces, _) in read(variant).items():
            expected[name][0].extend(traces)
    if options.programs:
        for name, (_, entry) in read(options.programs).items():
            if name in expected:
                expected[name][1].setdefault("program", entry["program"])
    wrong = total = 0
    for path in options.actual:
        actual = read(path)
        for name, (traces, entry) in expected.items():
            if traces[0].startswith("INVALID"):
                continue
            total += 1
            got = actual[name][0][0] if name in actual else ""
            if any(same(each, got) for each in traces):
                continue
            wrong += 1
            if options.ids:
                print(name)
            else:
                report(name, entry, traces[0], got)
    print("%d of %d differ" % (wrong, total), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
