#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes the table of interpreters and features from the outcomes of a run of the matrix.

  tests/matrix_table.py FOLDER FILE     FOLDER has e2e.json and python.json (tests/matrix.py)

FILE is written only if it changes, and only from a complete run: each test that matrix.py names ran
somewhere, and each interpreter has each feature except those that ABSENT explains. The exit status is not
0 if a cell is "no" or the run was not complete.
"""
import json
import os
import re
import sys

import matrix

HEAD = """# Interpreters

Written by `make check-pythons` from the outcomes of its tests; do not edit. What runs and what a
column means is in [TESTING.md](TESTING.md#interpreters).

- **yes**: all tests of that feature passed on that interpreter.
- **no**: one failed.
- **refused**: the program says by name that it can't, and a test asserts that.
- **-**: not applicable, for the reason given below.

Probes are CPython's own (USDT): `--lines` needs `line`, `--functions` that or `entry`: `function__entry`
without a line probe. Debug builds of 3.11 have `line` too, but an assertion of theirs fails once it is on.
"""


def load(folder):
    """(facts by interpreter, results)"""
    facts, results = {}, []
    for group in ("e2e", "python"):
        with open(os.path.join(folder, group + ".json")) as f:
            data = json.load(f)
        facts.update(data["pythons"])
        results += data["results"]
    return facts, results


def cell(results):
    """The word for the outcomes of one feature on one interpreter."""
    outcomes = {r["outcome"] for r in results}
    if "failed" in outcomes:
        return "no"
    if "passed" not in outcomes:
        return "-"
    if "skipped" in outcomes:
        return "in part"
    return "refused" if all(r["refusal"] for r in results) else "yes"


def order(name, facts):
    version = tuple(int(n) for n in re.findall(r"\d+", facts["version"]))
    return version, bool(facts["free_threaded"]), bool(facts["debug"]), name


def build_of(facts):
    words = [facts["build"] or "unknown"]
    words += ["debug"] if facts["debug"] else []
    words += ["free-threaded"] if facts["free_threaded"] else []
    return ", ".join(words)


def table(facts, results):
    """(rows of cells by interpreter, features that are absent somewhere, what is missing)"""
    rows, absent, missing = {}, {}, []
    for name in sorted(facts, key=lambda n: order(n, facts[n])):
        rows[name] = {}
        for feature in matrix.FEATURES:
            of_this = [r for r in results if r["python"] == name and r["feature"] == feature]
            word = rows[name][feature] = cell(of_this)
            if word != "-":
                continue
            if feature in matrix.ABSENT:
                absent.setdefault(feature, len(absent) + 1)
            else:
                missing.append("%s: %s was not tested" % (name, feature))
    return rows, absent, missing


def never_ran(results):
    ran = {tuple(r["test"]) for r in results}
    return ["%s %s ran nowhere" % (path, name) for path, tests in matrix.TESTS.items()
            for name in tests if (path, name) not in ran]


def markdown(rows, facts, absent):
    titles = ["name", "version", "build", "probes"] + list(matrix.FEATURES.values())
    lines = [HEAD, "| %s |" % " | ".join(titles), "|" + "---|" * len(titles)]
    for name, cells in rows.items():
        words = [name, facts[name]["version"], build_of(facts[name]), facts[name]["probes"]]
        for feature, word in cells.items():
            words.append("- (%d)" % absent[feature] if word == "-" and feature in absent else word)
        lines.append("| %s |" % " | ".join(words))
    lines.append("")
    for feature, number in absent.items():
        lines.append("%d. %s: %s." % (number, matrix.FEATURES[feature], matrix.ABSENT[feature]))
    return "\n".join(lines).rstrip() + "\n"


def write(path, text):
    old = None
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            old = f.read()
    if text != old:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    print("%s: %s" % (path, "unchanged" if text == old else "written"))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    facts, results = load(sys.argv[1])
    rows, absent, missing = table(facts, results)
    missing += never_ran(results)
    failed = ["%s: %s: no" % (name, feature) for name, cells in rows.items()
              for feature, word in cells.items() if word == "no"]
    if os.environ.get("PYMEM_E2E_PYTHONS"):
        missing.append("only those of PYMEM_E2E_PYTHONS ran")
    for problem in failed + missing:
        print("FAIL %s" % problem)
    if missing or not rows:
        print("the run was not complete: %s is left alone" % sys.argv[2])
    else:
        write(sys.argv[2], markdown(rows, facts, absent))
    sys.exit(1 if failed or missing or not rows else 0)


if __name__ == "__main__":
    main()
