# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The exact engine, on each interpreter that has line probes; and what the others say."""
import re
import signal

import harness
from conftest import probed, pythons

PAGE = 4096
PROGRAMS = {"seed": None, "grow": None, "free": None, "threads": None, "nogil": None,
            "generator": None, "coroutine": None, "deep": None, "cells": None, "importing": None,
            "huge": None, "munmap": None}
SLACK = 64 * 1024


def lines_of(python, name, *arguments):
    """Runs a program from GO to its truth under --lines; (truth, report, path)."""
    with harness.Target(python.command, name) as target:
        with harness.Tool("--lines", "-p", target.pid, *arguments) as tool:
            tool.attached()
            truth = target.go()
            harness.rss_at_rest(target.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0, "the program must not notice"
    report.check_conservation(target.pid)
    assert report.image(target.pid)["engine"] == "lines"
    return target, truth, report


def test_some_python_has_line_probes():
    """The tests below run where they can: somewhere it must be."""
    assert probed(), "no interpreter here has line probes"


def test_counted(line_python):
    """Occurrences to the one, increments to some pages, what a collection freed."""
    target, truth, report = lines_of(line_python, "counted")
    for label, want in truth["lines"].items():
        file, line = harness.find_line(target.path, label)
        rows = [r for r in report.rows(target.pid, file, line) if r["occurrences"] is not None]
        assert rows, "%s (line %d) did not run" % (label, line)
        assert sum(r["occurrences"] for r in rows) == want["occurrences"], (label, rows)
        got = sum(r["run_increment_bytes"] for r in rows)
        assert abs(got - want["run_increment"]) <= SLACK, (label, got, want)
        if "gc" in want:
            assert abs(sum(r["gc_bytes"] for r in rows) - want["gc"]) <= SLACK, (label, rows)
            assert sum(r["collections"] for r in rows) == want["collections"]
        else:
            assert not any(r["collections"] for r in rows if label != "call_cycles"), (label, rows)
    file, line = harness.find_line(target.path, "comprehension")
    ran = sum(r["occurrences"] or 0 for r in report.rows(target.pid, file, line))
    assert ran >= 100, "a comprehension's iterations count"
    assert not [n for n in report.data["notes"] if "not counted" in n], report.data["notes"]


def test_amounts_on_lines(line_program):
    """The walk's figures are as right as without --lines, and the two engines, which see the same
    events by different means, agree line by line."""
    python, name = line_program
    target, truth, report = lines_of(python, name)
    report.check_lines(target.pid, target.path, truth["lines"])
    compared = 0
    for row in report.image(target.pid)["lines"]:
        if row["occurrences"] is None or name == "deep":
            continue
        # The line that called begin() was running before: its run is not seen.
        difference = abs(row["run_increment_bytes"] - row["total_bytes"])
        assert difference <= PAGE * row["occurrences"], row
        compared += 1
    assert compared or name == "deep"


def test_separate_runs_agree(line_python):
    """The same program under one engine and then under the other."""
    target, truth, exact = lines_of(line_python, "counted")
    walked_target, _, walked = harness.profile(line_python.command, "counted", arguments=(),
                                               check=False)
    for label, want in truth["lines"].items():
        if label.startswith("recurse"):
            continue  # the walk counts a recursive line once per stack
        file, line = harness.find_line(target.path, label)
        a = sum(r["run_increment_bytes"] for r in exact.rows(target.pid, file, line)
                if r["occurrences"] is not None)
        b = sum(r["total_bytes"] for r in walked.rows(walked_target.pid, file, line))
        assert abs(a - b) <= PAGE * want["occurrences"] + SLACK, (label, a, b)


def test_memory_usage_and_peak(line_python):
    """Mem usage: RSS when the line ended. Peak: while it ran."""
    target, _, report = lines_of(line_python, "counted")
    file, free = harness.find_line(target.path, "free_grown")
    _, call = harness.find_line(target.path, "call_grow")
    freed = [r for r in report.rows(target.pid, file, free) if r["occurrences"]][0]
    called = [r for r in report.rows(target.pid, file, call) if r["occurrences"]][0]
    assert abs(called["mem_usage_bytes"] - freed["mem_usage_bytes"] - (7 << 20)) <= SLACK
    assert called["peak_bytes"] >= called["mem_usage_bytes"] - PAGE
    assert freed["peak_bytes"] >= called["mem_usage_bytes"] - SLACK


def test_threads_do_not_mix(line_python):
    target, truth, report = lines_of(line_python, "lines_threads")
    for label, want in truth["lines"].items():
        file, line = harness.find_line(target.path, label)
        rows = [r for r in report.rows(target.pid, file, line) if r["occurrences"] is not None]
        assert sum(r["occurrences"] for r in rows) == want["occurrences"], (label, rows)
        got = sum(r["run_increment_bytes"] for r in rows)
        assert abs(got - want["run_increment"]) <= SLACK, (label, got, want)


def test_table(line_python):
    """-f: memory_profiler's layout."""
    for extra, width in ([], 61), (["--peak"], 75):
        with harness.Target(line_python.command, "counted") as target:
            with harness.Tool("--lines", "-p", target.pid, "-f", "grow", *extra,
                              output=False) as tool:
                tool.attached()
                target.go()
                assert tool.stop() == 0, tool.stderr
                text = tool.stdout().decode()
            assert target.end() == 0
        rows = text[text.index("Filename: "):].splitlines()
        assert rows[0] == "Filename: " + target.path and rows[1] == ""
        assert rows[2].split() == (["Line", "#", "Mem", "usage", "Increment"] + ["Peak"] * bool(extra)
                                   + ["Occurrences", "Line", "Contents"])
        assert rows[3] == "=" * width
        first = harness.find_line(target.path, "grow_def")[1]
        for i, (runs, increment) in enumerate([(1, "0.0"), (8, "0.0"), (7, "7.0"), (1, "0.0")]):
            row = rows[4 + i]
            peak = r" +\d+\.\d MiB" if extra else ""
            assert re.match(r" *%d +\d+\.\d MiB +%s MiB%s +%d   \S*" % (
                first + i, re.escape(increment), peak, runs), row), row
            assert len(row[:row.index("   ", 34 if not extra else 48)]) >= 34
        assert rows[8] == ""


def test_launched(line_python):
    """`-- CMD`: from its first line on, where the command is the interpreter itself. (Through
    wrappers only from when it is found, which for so short a program may be too late.)"""
    path = harness.program_path("counted")
    with harness.Tool("--lines", "--", *line_python.command, path,
                      env=harness.environment(PYMEM_E2E_LAUNCHED="1")) as tool:
        report = tool.report()
    pid = report.pids()[0]
    if len(line_python.command) > 1:
        image = report.images(pid)[0]
        assert image["lost_bytes"]["unidentified"] if image["python"] is None else \
            image["python"].startswith("%d.%d" % line_python.version[:2])
        return
    assert report.images(pid)[0]["engine"] == "lines"
    file, line = harness.find_line(path, "grow_append")
    assert sum(r["occurrences"] for r in report.rows(pid, file, line)) == 7
    module = [r for r in report.images(pid)[0]["lines"] if r["function"] == "<module>" and
              r["file"] == path and r["occurrences"]]
    assert len(module) > 10, "the module's own lines are seen"


def test_whole_host(line_python):
    """-a --lines: all processes of a binary, those that start later too; the others by the walk."""
    others = [p for p in pythons() if p.name not in probed()][:1]
    with harness.Tool("-a", "--lines") as tool:
        tool.attached()
        with harness.Target(line_python.command, "counted") as target:
            truth = target.go()
            assert target.end() == 0
        for other in others:
            with harness.Target(other.command, "grow") as plain:
                plain.go()
                assert plain.end() == 0
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
    file, line = harness.find_line(target.path, "grow_append")
    rows = report.rows(target.pid, file, line)
    assert sum(r["occurrences"] or 0 for r in rows) == truth["lines"]["grow_append"]["occurrences"]
    for other in others:
        assert report.images(plain.pid)[0]["engine"] == "walk"


def test_children(line_python):
    """A forked child's lines are counted, from the moment it is known."""
    target, truth, report = lines_of(line_python, "lines_fork")
    file, line = harness.find_line(target.path, "child_grow")
    rows = report.rows(truth["child"], file, line)
    assert report.images(truth["child"])[0]["engine"] == "lines"
    assert sum(r["occurrences"] or 0 for r in rows) == truth["runs"]
    assert abs(sum(r["run_increment_bytes"] for r in rows if r["occurrences"])
               - (truth["runs"] << 20)) <= 3 * SLACK


def test_no_probe(plain_python):
    """By name, with the alternatives; the target is left alone."""
    python = plain_python
    with harness.Target(python.command, "grow") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            assert tool.wait() == 1
            said = tool.stderr.decode()
        assert "has no line probe" in said and "%mprun" in said and str(target.pid) in said
        assert "%d.%d" % python.version[:2] in said
        target.go()
        assert target.end() == 0


def test_killed_tool_leaves_nothing(line_python):
    """SIGKILL of the profiler: the probes go with it, and the target goes on."""
    with harness.Target(line_python.command, "counted") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            tool.attached()
            tool.stop(signal.SIGKILL)
        target.go()
        assert target.end() == 0


def test_target_killed(line_python):
    """What it ran is in the report, names and all."""
    with harness.Target(line_python.command, "counted") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            tool.attached()
            target.go()
            target.process.kill()
            report = tool.report()
    file, line = harness.find_line(target.path, "grow_append")
    rows = report.rows(target.pid, file, line)
    assert sum(r["occurrences"] for r in rows) == 7
