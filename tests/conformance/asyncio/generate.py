#!/usr/bin/env python3.13
# SPDX-License-Identifier: MIT
"""Random scenarios: short programs that crowd many requests, ends and deadlines into few instants.

Only programs that the rules leave nothing open in are kept: each is run by the oracle once. Sets of features:
core (always), objects (gather and shield objects), signals, drops, sync (locks, queues and the like), dense (more
of these than of anything else), loops, wide (rare forms and operands: objects and completions where tasks are usual, limits that have passed, spawns in
the middle, groups from outside).
"""

import argparse
import json
import random

import oracle  # first: the modules below need it
from scenario import run_text

DEFAULT = "core,objects,signals,drops,loops,wide"
ERRORS = ("E1", "E2", "E3", "B1")


class Program:
    """One program while it is being written."""

    def __init__(self, rng, features):
        self.rng, self.features = rng, features
        self.tasks = list("ABDEFH"[: rng.randint(1, 5)])
        self.children, self.functions, self.groups, self.scopes = [], [], [], []
        self.futures = ["P", "Q"][: rng.randint(0, 2)]
        self.objects, self.made = [], 0
        self.budget = 0
        self.bodies, self.waiting = {}, []
        self.locks = self.lock_names() if "sync" in features else []

    def lock_names(self):
        pick = self.rng.choice
        kinds = {
            "L": "lock L",
            "V": "event V",
            "K": "cond K",
            "S": pick(("sem", "sem", "bsem")) + " S %d" % self.rng.randint(0, 2),
            "U": "queue U %s" % pick(("", "1", "1", "2")),
            "R": "barrier R %d" % pick((1, 2, 2, 2, 3, 3)),
        }
        return [(name, kinds[name]) for name in self.rng.sample(list(kinds), self.rng.randint(1, 2))]

    def chance(self, share):
        return self.rng.random() < share

    def wide(self, share):
        return "wide" in self.features and self.chance(share)

    def pick(self, several):
        return self.rng.choice(several)

    def delay(self):
        return self.pick((0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6))

    def label(self):
        """A task to refer to; those that groups spawn are there less often."""
        if self.children and self.chance(0.3):
            return self.pick(self.children)
        if self.objects and self.wide(0.12):
            return self.pick(self.objects)
        return self.pick(self.tasks + (["main"] if self.chance(0.1) else []))

    def name(self, prefix):
        self.made += 1
        return "%s%d" % (prefix, self.made)

    # ---- statements ----

    def block(self, me, depth, least=1, most=5):
        statements = []
        for _ in range(self.rng.randint(least, most)):
            if self.budget <= 0:
                break
            self.budget -= 1
            statements.append(self.statement(me, depth))
        if not statements:
            statements.append("log " + self.pick("pqrst"))
        return "; ".join(statements)

    def statement(self, me, depth):
        kinds = [(30, self.waits), (22, self.requests), (8, self.looks), (10, self.completions)]
        kinds += [(6, self.says), (3, self.leaves), (3, self.contexts)]
        if depth < 4:
            kinds += [(14, self.tries), (12, self.scoped), (8, self.grouped)]
            if "loops" in self.features:
                kinds += [(2, self.loops)]
        if "objects" in self.features:
            kinds += [(3, self.makes_objects)]
        if "drops" in self.features:
            kinds += [(2, self.drops)]
        if "wide" in self.features:
            kinds += [(4, self.spawns)]
        if self.locks:
            kinds += [(150 if "dense" in self.features else 30, self.synchronises)]
        weights = [weight for weight, _ in kinds]
        return self.rng.choices([kind for _, kind in kinds], weights)[0](me, depth)

    def says(self, me, depth):
        return "log " + self.pick("abcdefgh") if self.chance(0.8) else "advance %d" % self.rng.randint(1, 3)

    def leaves(self, me, depth):
        return self.pick(("ret %d" % self.rng.randint(1, 9), "raise " + self.pick(ERRORS + ("C", "T"))))

    def contexts(self, me, depth):
        return self.pick(("ctxset v %d" % self.rng.randint(1, 9), "ctxget v", "ntasks"))

    def several(self):
        labels = [self.label() for _ in range(self.rng.randint(1, 3))]
        if self.futures and self.wide(0.15):
            labels.append(self.pick(self.futures))
        return " ".join(label for label in labels if label != "main") or self.pick(self.tasks)

    def waits(self, me, depth):
        made = self.wait_of(me, depth)
        if self.chance(0.5):
            return "try{ %s } catch %s{ %s }" % (
                made,
                self.pick(("C", "*", "*", "T", "E1")),
                self.pick(("log w", "count", "yield", "sleep 1", "cancel self", "raise")),
            )
        return made

    def wait_of(self, me, depth):
        rng = self.rng
        kind = rng.choices(
            ("yield", "sleep", "park", "join", "await", "shield", "waitfor", "wfs", "wfcall", "gjoin", "wait", "asc"),
            (14, 22, 3, 18, 10, 8, 8, 4, 5, 9, 7, 5),
        )[0]
        if kind == "sleep":
            return "sleep %d" % self.delay()
        if kind == "await":
            return "await " + self.pick(self.futures) if self.futures else "yield"
        if kind in ("join", "shield"):
            return "%s %s" % (kind, self.label())
        limit = self.pick((0, 1, 1, 2, 2, 3, 4, "none"))
        if self.wide(0.1):
            limit = self.pick((-1, 0, "none"))
        if kind == "waitfor":
            if self.futures and limit not in (-1, 0) and self.chance(0.2):
                return "waitfor %s %s" % (self.pick(self.futures), limit)
            return "waitfor %s %s" % (self.label(), limit)
        if kind == "wfs":
            return "waitforshield %s %s" % (self.label(), limit if self.wide(0.3) else self.delay())
        if kind == "wfcall":
            if self.wide(0.3):
                return "call " + self.function(depth)
            return "wfcall %s %s" % (self.function(depth), limit if self.wide(0.5) else limit or 1)
        if kind == "gjoin":
            return "gjoin %s%s" % (self.pick(("", "rx ")), self.several())
        if kind == "wait":
            timeout = "timeout %d " % self.delay() if self.chance(0.4) else ""
            if self.wide(0.1):
                timeout = "timeout %s " % limit
            return "wait %s %s%s" % (self.pick(("ALL", "FC", "FX")), timeout, self.several())
        if kind == "asc":
            return "ascomp %s %s" % (1 if limit in (-1, 0) else limit, self.several())
        return kind

    def function(self, depth):
        """The name of a body that is called, not spawned."""
        if self.functions and self.chance(0.5):
            return self.pick(self.functions)
        name = self.name("c")
        self.bodies[name] = "log k"  # no recursion
        self.bodies[name] = self.block(name, depth + 2, 1, 3)
        self.functions.append(name)
        return name

    def requests(self, me, depth):
        kind = self.rng.choices(("cancel", "self", "uncancel", "at", "gcancel", "sigint"), (24, 6, 7, 5, 5, 1))[0]
        if kind == "self":
            return "cancel self"
        if kind == "uncancel":
            return "uncancel" + self.pick(("", " " + self.label()))
        if kind == "at" and self.futures and self.wide(0.2):
            return "at_cancel %d %s" % (self.delay(), self.pick(self.futures))
        if kind == "at":
            return "at_cancel %d %s" % (self.delay(), self.label())
        if kind == "gcancel" and self.groups:
            return "gcancel " + self.pick(self.groups)
        if kind == "sigint" and "signals" in self.features:
            return self.pick(("sigint", "sigint_at %d" % self.delay()))
        return "cancel " + self.label()

    def looks(self, me, depth):
        kind = self.pick(("count", "count", "state", "state", "tstate"))
        if kind == "tstate" and self.scopes:
            return "tstate " + self.pick(self.scopes)
        if kind == "count":
            return "count" + self.pick(("", " " + self.label()))
        return "state " + self.label()

    def completions(self, me, depth):
        if not self.futures:
            return "yield"
        future, kind = self.pick(self.futures), self.pick(("set", "set", "fail", "cancel", "at_set", "state"))
        if kind == "set":
            return "set %s %d" % (future, self.rng.randint(1, 9))
        if kind == "fail":
            return "fail %s %s" % (future, self.pick(ERRORS))
        if kind == "at_set":
            return "at_set %d %s %d" % (self.delay(), future, self.rng.randint(1, 9))
        return "%s %s" % (kind, future)

    def tries(self, me, depth):
        made = "try{ %s }" % self.block(me, depth + 1, 1, 4)
        kind = self.rng.random()
        if kind < 0.75:
            for pattern in self.rng.sample(("C", "*", "T", "E1", "EG", "R"), self.pick((1, 1, 2))):
                again = "; raise" if self.chance(0.25) else ""
                made += " catch %s{ %s%s }" % (pattern, self.block(me, depth + 1, 0, 2), again)
        if kind > 0.6:
            made += " finally{ %s }" % self.block(me, depth + 1, 1, 2)
        return made

    def scoped(self, me, depth):
        kind = self.rng.random()
        if self.scopes and kind < 0.2:
            return "resched %s %s" % (self.pick(self.scopes), self.pick(("none", -1, 0, 1, 2, 3)))
        name = self.name("x")
        self.scopes.append(name)
        limit = self.pick((0, 1, 1, 2, 2, 2, 3, 4, -1, "none"))
        made = "tmo %s %s{ %s }" % (name, limit, self.block(me, depth + 1, 1, 4))
        if self.chance(0.4):
            made = "try{ %s } catch %s{ count }" % (made, self.pick("TTC*"))
        if self.chance(0.3):
            made += "; tstate " + name
        return made

    def grouped(self, me, depth):
        if self.groups and self.chance(0.2):
            return self.spawn_in(self.pick(self.groups), depth)
        if self.wide(0.1):
            name = self.name("G")
            self.groups.append(name)
            return "mktg %s; %s; tg %s{ %s }" % (
                name,
                self.pick((self.spawn_in(name, depth), "gcancel " + name, "yield")),
                name,
                self.spawn_in(name, depth) + "; " + self.block(me, depth + 1, 0, 2),
            )
        name = self.name("G")
        self.groups.append(name)
        parts = [self.spawn_in(name, depth) for _ in range(self.rng.randint(0, 3))]
        parts.append(self.block(me, depth + 1, 0, 3))
        made = "tg %s{ %s }" % (name, "; ".join(parts))
        if self.chance(0.15):
            made = "mktg %s; %s" % (name, made)
        if self.chance(0.5):
            made = "try{ %s } catch %s{ count }" % (made, self.pick(("EG", "EG", "*", "C")))
        return made

    def spawn_in(self, group, depth):
        name = self.name("t")
        self.bodies[name] = ""
        self.waiting.append((name, depth))
        self.children.append(name)
        return "gspawn %s %s" % (group, name)

    def loops(self, me, depth):
        block = self.block(me, 4, 1, 3)
        return "loop %d{ %s }" % (self.rng.randint(2, 3), block)

    def makes_objects(self, me, depth):
        if self.objects and self.chance(0.6):
            forms = ("join %s", "cancel %s", "join %s")
            if self.wide(0.3):
                forms = ("state %s", "at_cancel 1 %s", "shield %s", "waitfor %s 1", "wait ALL %s", "try{ join %s } catch *{ yield }")
            return self.pick(forms) % self.pick(self.objects)
        name = self.name("o")
        self.objects.append(name)
        if self.wide(0.2):
            made = "gather %s %s%s" % (name, self.pick(("", "rx ")), self.several())
            return made + self.pick(("; join %s", "; sleep 1; cancel %s", "; at_cancel 1 %s; join %s")).replace("%s", name)
        if self.chance(0.5):
            return "shieldobj %s %s" % (name, self.label())
        return "gather %s %s%s" % (name, self.pick(("", "rx ")), self.several())

    def drops(self, me, depth):
        return "drop " + self.pick(self.tasks + self.children)

    def spawns(self, me, depth):
        name = self.name("s")
        self.children.append(name)
        if self.chance(0.5):
            return "spawn %s as %s" % (self.function(depth), name)
        self.bodies[name] = ""
        self.waiting.append((name, depth))
        return "spawn " + name

    def synchronises(self, me, depth):
        made = self.sync_statement(self.pick(self.locks)[0])
        kind = self.rng.random()
        if kind < 0.15:
            name = self.name("x")
            self.scopes.append(name)
            made = "tmo %s %d{ %s }" % (name, self.delay(), made)
        if 0.1 < kind < 0.35:
            made = "try{ %s } catch %s{ %s }" % (
                made,
                self.pick(("C", "*", "*", "T", "SHUT", "BRK")),
                self.pick(("log w", "count", "yield", "sleep 1", self.sync_statement(self.pick(self.locks)[0]), "raise")),
            )
        return made

    def sync_statement(self, name):
        number, few = self.rng.randint(1, 9), self.rng.randint(0, 3)
        later = self.pick(("yield", "sleep 1", "sleep 2"))
        locks = ("acq %s", "acq %s; rel %s", "acq %s; {later}; rel %s", "acq %s; try{ {later} } finally{ rel %s }")
        locks += ("rel %s", "locked %s")
        conditions = ("acq K; try{ cwait K } finally{ rel K }", "acq K; cwait K; rel K", "cwait K", "cwait K")
        conditions += ("acq K; try{ cwaitge K v {few} } finally{ locked K; rel K }", "cwaitge K v {few}")
        conditions += ("acq K; notify K; rel K", "acq K; notify K {few}; {later}; rel K", "acq K; notifyall K; rel K")
        conditions += ("acq K; addv v 1; notifyall K; rel K", "addv v 1; getv v", "setv v {few}", "notify K {few}")
        choices = {
            "L": locks,
            "V": ("ewait V", "ewait V", "ewait V", "eset V", "eclr V", "eset V; eclr V"),
            "K": conditions + conditions + locks,
            "S": ("sacq S", "sacq S", "sacq S; {later}; srel S", "sacq S; try{ {later} } finally{ srel S }")
            + ("srel S", "srel S; srel S", "sval S"),
            "U": ("put U {number}", "put U {number}", "get U", "get U", "get U; qdone U", "wfget U {few}", "wfget U none")
            + ("putnw U {number}", "getnw U", "qsize U", "qdone U", "qjoin U", "qjoin U")
            + (("shutdown U", "shutdown U now") if self.chance(0.3) else ()),
            "R": ("bwait R", "bwait R", "bwait R", "bwait R", "bwait R; bwait R", "bstat R")
            + (("breset R", "babort R") if self.chance(0.4) else ()),
        }
        made = self.pick(choices[name]).replace("%s", name)
        return made.replace("{few}", str(few)).replace("{number}", str(number)).replace("{later}", later)

    # ---- the whole ----

    def whole(self, name, depth, most):
        self.budget = self.rng.randint(1, most)
        return self.block(name, depth, 1, most)

    def ending(self):
        """main mostly stays until the others have ended, or for some time."""
        kind = self.rng.random()
        if kind < 0.5:
            return "".join("; try{ join %s } catch *{ }" % name for name in self.tasks)
        return "; sleep %d" % self.rng.randint(1, 9) if kind < 0.8 else ""

    def text(self):
        for name in self.tasks + ["main"]:
            self.bodies[name] = ""
        spawner = {name: "main" if self.chance(0.85) else self.pick(self.tasks) for name in self.tasks}
        self.bodies["main"] = self.whole("main", 0, 12) + self.ending()
        for name in self.tasks:
            self.bodies[name] = self.whole(name, 0, 9)
        while self.waiting:
            name, depth = self.waiting.pop()
            self.bodies[name] = self.whole(name, depth + 1, 4)
        for name in reversed(self.tasks):
            parent = spawner[name]
            parent = "main" if parent == name else parent
            self.bodies[parent] = "spawn %s; %s" % (name, self.bodies[parent])
        first = ["fut " + future for future in self.futures] + [made for _, made in self.locks]
        if self.chance(0.3):
            first.append("ctxset v 1")
        if "signals" in self.features and self.chance(0.05):
            first.append("sigint_at %d" % self.delay())
        self.bodies["main"] = "; ".join(first + [self.bodies["main"]])
        return " ".join("%s{ %s }" % (name, self.bodies[name]) for name in sorted(self.bodies, key=main_first))


def main_first(name):
    return (name != "main", name)


def programs(seed, count, features):
    rng, made = random.Random(seed), 0
    while made < count:
        text = Program(rng, features).text()
        trace = run_text(text)
        if trace.startswith("INVALID") or len(trace.split()) < 8:
            continue
        yield {"id": "r%d-%d" % (seed, made), "program": text}
        made += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--features", default=DEFAULT, help="comma separated; default " + DEFAULT)
    options = parser.parse_args()
    features = set(options.features.split(","))
    print(json.dumps(list(programs(options.seed, options.count, features)), indent=1))
    oracle.leave()


if __name__ == "__main__":
    main()
