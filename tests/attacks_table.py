#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes the table of attacks from the outcomes of a run.

  tests/attacks_table.py FOLDER FILE     FOLDER has security.json, e2e.json … (tests/attacks.py)
  tests/attacks_table.py --check FILE    checks that FILE's table has each attack, and no other row

The table lies between two marker lines of FILE. It is written only from a complete run in which all
attacks were held: each test with the mark ran, and none failed or was skipped altogether.
"""
import json
import os
import sys

import attacks

BEGIN, END = "<!-- attacks: begin, written by make check-security -->", "<!-- attacks: end -->"


def load(folder):
    """{test: {its parameters: outcome}}"""
    outcomes = {}
    for group in attacks.FOLDERS:
        with open(os.path.join(folder, group + ".json"), encoding="utf-8") as f:
            outcomes.update(json.load(f))
    return outcomes


def word(outcomes):
    """The cell for one test."""
    passed = [o for o in outcomes.values() if o == "passed"]
    return "held" if len(outcomes) == 1 else "held, %d of %d ways" % (len(passed), len(outcomes))


def problems(marked, outcomes):
    """Why there is no table to be written."""
    found = []
    for test in marked:
        results = set(outcomes.get(test, {}).values())
        if "failed" in results:
            found.append("%s: not held" % test)
        elif "passed" not in results:
            found.append("%s: was not tried%s" % (test, ", all of it was skipped" if results else ""))
    return found


def cell(text):
    return text.replace("|", "\\|")


def table(marked, outcomes):
    lines = ["| wanted | tried | outcome | test |", "|---|---|---|---|"]
    for test, (goal, how) in sorted(marked.items(), key=lambda pair: (pair[1][0], pair[0])):
        lines.append("| %s | %s | %s | `%s` |" % (cell(goal), cell(how), word(outcomes[test]), test))
    return "\n".join(lines)


def split(text, path):
    """What is before the table, the table, and what is after it."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit("%s: the two lines between which the table goes are not there once, in order" % path)
    before, rest = text.split(BEGIN)
    between, after = rest.split(END)
    return before, between.strip("\n"), after


def rows(between):
    """{test: (goal, how)} of the table as it is."""
    found = {}
    for line in between.splitlines()[2:]:
        cells = [c.strip() for c in line.replace("\\|", "\0").strip("|").split("|")]
        goal, how, _, test = (c.replace("\0", "|") for c in cells)
        found[test.strip("`")] = (goal, how)
    return found


def check(path):
    """What the table lacks, has too many, or says otherwise than the tests."""
    with open(path, encoding="utf-8") as f:
        said, marked = rows(split(f.read(), path)[1]), attacks.marked()
    found = ["%s: not in the table" % test for test in sorted(set(marked) - set(said))]
    found += ["%s: in the table, but there is no such attack" % test
              for test in sorted(set(said) - set(marked))]
    return found + ["%s: the table says something else of it" % test
                    for test in sorted(set(said) & set(marked)) if said[test] != marked[test]]


def write(path, between):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    before, old, after = split(text, path)
    if old != between:
        with open(path, "w", encoding="utf-8") as f:
            f.write("%s%s\n%s\n%s%s" % (before, BEGIN, between, END, after))
    print("%s: %s" % (path, "unchanged" if old == between else "written"))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--check":
        found = check(sys.argv[2])
    else:
        marked, outcomes = attacks.marked(), load(sys.argv[1])
        found = problems(marked, outcomes)
    for problem in found:
        print("FAIL %s" % problem)
    if sys.argv[1] != "--check" and found:
        print("%s is left alone" % sys.argv[2])
    elif sys.argv[1] != "--check":
        write(sys.argv[2], table(marked, outcomes))
        print("%d attacks, all held" % len(marked))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
