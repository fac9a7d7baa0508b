# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Amounts on lines, for every interpreter and every program whose truth is known."""
import functools

import harness
import pytest
from conftest import pythons

SUBINTERPRETERS = {"_xxsubinterpreters", "_interpreters"}
# program: modules of which the interpreter needs one
PROGRAMS = {
    "seed": None, "grow": None, "free": None, "threads": None, "nogil": None,
    "syscall_fault": None, "numpy_temporaries": {"numpy"}, "generator": None,
    "coroutine": None, "callers": None, "green": {"greenlet"}, "deep": None, "cells": None,
    "cells_edge": None, "same_file": None, "importing": None,
    "fork": None, "fork_storm": None, "execs": None, "madvise": None, "mremap": None,
    "munmap": None, "cow": None, "prefork": None, "file_map": None, "shared": None, "huge": None,
    "subinterpreter": SUBINTERPRETERS, "wide": None,
}


TOGETHER = 7  # programs under one profiler: each holds up to 100 MiB


@functools.lru_cache(maxsize=1)
def run_together(python, names):
    return harness.profile_together(python.command, names)


def profiled(request, python, name):
    """As harness.profile(). A profiler takes longer to start than such a program to run: those of one
    interpreter are some at a time under one, but for the first interpreter's, where each has its own."""
    if python is pythons()[0]:
        return harness.profile(python.command, name)
    # Those that are asked for; a test that is run again by itself has a profiler of its own.
    names = [item.callspec.params["python_program"][1] for item in request.session.items
             if item.originalname == request.node.originalname and item.fspath == request.node.fspath
             and item.callspec.params["python_program"][0] is python]
    first = names.index(name) // TOGETHER * TOGETHER
    run, report = run_together(python, tuple(names[first:first + TOGETHER]))[name]
    if isinstance(run, Exception):
        raise run
    run.check(report)
    return run.target, run.truth, report


def test_amounts_on_lines(request, python_program):
    python, name = python_program
    target, truth, report = profiled(request, python, name)
    image = report.images(target.pid)[0]
    assert image["python"].startswith("%d.%d" % python.version[:2])
    assert image["engine"] == "walk"
    assert image["rss_peak_bytes"] >= max(image["rss_start_bytes"], image["rss_end_bytes"])
    if name == "huge":
        harness.check_huge(truth)
    if truth.get("truncated"):
        assert sum(i["truncated_stacks"] for i in report.images(target.pid)) > 0


@pytest.mark.parametrize("module", ["numpy", "greenlet"])
def test_module_was_tested(module):
    """The programs above that need a module run only where it is: somewhere it must be."""
    if not any(module in p.modules for p in pythons()):
        if harness.os.environ.get("PYMEM_E2E_PYTHONS"):
            pytest.skip("none of PYMEM_E2E_PYTHONS has " + module)
        pytest.fail("no interpreter has %s: tools/install-deps test installs python3-%s" %
                    (module, module))


@pytest.mark.parametrize("name,status", [("short", 0), ("killed", -9)])
def test_dies_at_once(few_python, name, status):
    """Nothing can be read from the process afterwards; its line is there all the same, and
    the profiler ends with it."""
    with harness.Target(few_python.command, name) as target:
        with harness.Tool("-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            assert target.process.wait(harness.PATIENCE) == status
            report = tool.report()
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])


def test_major_faults(system):
    """Those that waited for the disk are told apart; without counts of faults there are none of
    either kind, and no column."""
    with harness.Target(system.command, "major") as target, harness.Tool(
            "-p", target.pid) as tool, harness.Tool("--no-faults", "-p", target.pid) as without:
        tool.attached()
        without.attached()
        truth = target.go()
        harness.rss_at_rest(target.pid)
        tool.process.send_signal(harness.signal.SIGINT)
        without.process.send_signal(harness.signal.SIGINT)
        report, none = tool.report(), without.report()
    if not truth["major"]:
        pytest.skip("no fault waited for a disk: %s is on a file system without one" %
                    harness.DATA)
    file, line = harness.find_line(target.path, "read")
    rows = report.rows(target.pid, file, line)
    assert sum(r["major_faults"] for r in rows) == truth["major"], (rows, truth)
    both = sum(r["major_faults"] + r["minor_faults"] for r in rows)
    assert both <= truth["faults"], "a fault is of one kind"
    for row in none.image(target.pid)["lines"]:
        assert row["minor_faults"] == row["major_faults"] == 0, row
    none.check_lines(target.pid, target.path, truth["lines"])


def test_launched(python):
    """`-- CMD`: the whole life of the process."""
    command = python.command + [harness.program_path("grow")]
    with harness.Tool("--", *command, stdin=harness.subprocess.PIPE,
                      env=harness.environment(PYMEM_E2E_LAUNCHED="1")) as tool:
        tool.release()
        report = tool.report()
        truth = harness.json.loads(tool.stdout().decode())
    report.check_conservation(truth["pid"])
    report.check_lines(truth["pid"], harness.program_path("grow"), truth["lines"])


def test_several(few_python, system):
    """-p PID,PID: each has its own figures."""
    with harness.Target(few_python.command, "grow") as one, harness.Target(system.command, "munmap") as two:
        before = [harness.rss_at_rest(t.pid) for t in (one, two)]
        with harness.Tool("-p", "%d,%d" % (one.pid, two.pid)) as tool:
            tool.attached()
            truths = [t.go() for t in (one, two)]
            after = [harness.rss_at_rest(t.pid) for t in (one, two)]
            tool.process.send_signal(harness.signal.SIGINT)
            report = tool.report()
    for target, truth, first, last in zip((one, two), truths, before, after):
        report.check_conservation(target.pid)
        report.check_at_rest(target.pid, first, last)
        report.check_lines(target.pid, target.path, truth["lines"])
