#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a scenario on which two programs differ as small as it can.

    shrink.py PROGRAM EXPECTED_COMMAND ACTUAL_COMMAND

Each command reads a program on standard input and prints its trace. Statements, clauses and blocks are taken
out, blocks are replaced by what is in them, numbers are made smaller, as long as the traces still differ.
"""

import argparse
import re
import shlex
import subprocess
import sys

from compare import difference, same


def tree(text):
    """[(head, block), ...]: block is None, or a list of the same; a try has its clauses as blocks."""
    tokens = re.findall(r"[{};]|[^\s{};]+", text)[::-1]

    def block():
        made = []
        while tokens and tokens[-1] != "}":
            words = []
            while tokens and tokens[-1] not in "{};":
                words.append(tokens.pop())
            if tokens and tokens[-1] == "{":
                tokens.pop()
                inner = block()
                tokens.pop()
                made.append((" ".join(words), inner))
            elif words:
                made.append((" ".join(words), None))
            if tokens and tokens[-1] == ";":
                tokens.pop()
        return made

    return block()


def is_clause(head):
    return head.startswith("catch ") or head == "finally"


def text_of(nodes, top=True):
    words = []
    for head, block in nodes:
        made = head if block is None else "%s{ %s }" % (head, text_of(block, False))
        if words and not (top or is_clause(head)):
            words[-1] += ";"
        words.append(made)
    return " ".join(words).replace("{  }", "{ }")


def smaller(nodes, top=True):
    """Every tree that is one step smaller, the big steps first."""
    for i, (head, block) in enumerate(nodes):
        before, after = nodes[:i], nodes[i + 1 :]
        if head == "try":
            clauses = sum(1 for _ in iter_clauses(after))
            yield before + after[clauses:]
            yield before + block + after[clauses:]
        elif not (top and head == "main"):
            yield before + after
            if block is not None and not top and not is_clause(head):
                yield before + block + after
    for i, (head, block) in enumerate(nodes):
        before, after = nodes[:i], nodes[i + 1 :]
        if block is not None:
            for inner in smaller(block, False):
                yield before + [(head, inner)] + after
        for less in smaller_head(head):
            yield before + [(less, block)] + after


def iter_clauses(nodes):
    for head, _ in nodes:
        if not is_clause(head):
            return
        yield head


def smaller_head(head):
    words = head.split()
    for i in range(1, len(words)):
        if words[i].isdigit() and int(words[i]) > 0:
            for less in {0, 1, int(words[i]) - 1}:
                if less < int(words[i]):
                    yield " ".join(words[:i] + [str(less)] + words[i + 1 :])
        elif words[0] in ("gjoin", "wait", "ascomp", "gather") and i > 1:
            yield " ".join(words[:i] + words[i + 1 :])


def well_formed(nodes):
    """No try without a clause, no clause without a try."""
    for i, (head, block) in enumerate(nodes):
        follows = i + 1 < len(nodes) and is_clause(nodes[i + 1][0])
        if head == "try" and not follows:
            return False
        if is_clause(head) and (i == 0 or not (nodes[i - 1][0] == "try" or is_clause(nodes[i - 1][0]))):
            return False
        if block is not None and not well_formed(block):
            return False
    return True


def trace_of(command, text):
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "TIMEOUT"
    return done.stdout.strip() if done.returncode == 0 else "FAILED %d" % done.returncode


def shrink(text, differs, told=lambda text: None):
    """The smallest text found that still `differs`."""
    nodes = tree(text)
    progress = True
    while progress:
        progress = False
        for candidate in smaller(nodes):
            if well_formed(candidate) and differs(text_of(candidate)):
                nodes, progress = candidate, True
                told(text_of(nodes))
                break
    return text_of(nodes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="a file, or - for standard input")
    parser.add_argument("expected", help="command of the one")
    parser.add_argument("actual", help="command of the other")
    options = parser.parse_args()
    text = sys.stdin.read() if options.program == "-" else open(options.program, encoding="utf-8").read()
    commands = [shlex.split(options.expected), shlex.split(options.actual)]

    def traces(program):
        return [trace_of(command, program) for command in commands]

    def differs(program):
        expected, actual = traces(program)
        return not expected.startswith(("INVALID", "TIMEOUT", "FAILED")) and not same(expected, actual)

    if not differs(text):
        print("no difference", file=sys.stderr)
        return 1
    found = shrink(text, differs)
    print(found)
    expected, actual = traces(found)
    print("expected: " + expected)
    print("actual:   " + actual)
    print("first in: " + difference(expected, actual)[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
