# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory system calls: each line has as many as it made, whichever way they are counted; and the way that makes
each system call of the host dearer is taken only if it was asked for."""
import re
import subprocess

import harness
import kernel_side
import pytest
from harness import MIB

SIZE, TIMES = 1 * MIB, 10
# {line: (call, calls, bytes)}.
TRUTH = {"mapped": ("mmap", TIMES, TIMES * SIZE), "refused": ("mmap", 0, 0),
         "replaced": ("mmap", TIMES, TIMES * SIZE), "shrunk": ("mremap", TIMES, -TIMES * SIZE // 2),
         "moved": ("mremap", TIMES, TIMES * 3 * SIZE // 2), "stuck": ("mremap", 0, 0),
         "unmapped": ("munmap", TIMES, TIMES * 2 * SIZE), "wrong": ("munmap", 0, 0),
         "grown": ("brk", TIMES, TIMES * SIZE), "fallen": ("brk", TIMES, -TIMES * SIZE)}
ADVICE = {"given": ("madvise", TIMES, TIMES * SIZE)}
FUNCTIONS, LOCKS = "BPF programs at the end of functions", "tracepoints mmap_lock:*"


def can(what):
    said = subprocess.run([harness.TOOL, "check"], stdout=subprocess.PIPE, timeout=harness.PATIENCE).stdout.decode()
    return re.search("^ok +%s" % re.escape(what), said, re.MULTILINE) is not None


@pytest.fixture(scope="module")
def functions():
    return can(FUNCTIONS)


@pytest.fixture(scope="module")
def locks():
    return can(LOCKS)


def made(report, target, label):
    """{call: [calls, bytes]} of that line."""
    file, line = harness.find_line(target.path, label)
    found = {}
    for row in report.rows(target.pid, file, line):
        for name, figures in row.get("vm_calls", {}).items():
            sums = found.setdefault(name, [0, 0])
            sums[0] += figures["calls"]
            sums[1] += figures["bytes"]
    return found


def check(report, target, truth):
    for label, (call, calls, size) in truth.items():
        found = made(report, target, label)
        assert found.get(call, [0, 0]) == [calls, size], (label, found)


def advised(report):
    return [note for note in report.data["notes"] if "given back by madvise" in note]


def test_counted(few_python, functions, locks):
    """By default."""
    if not functions and not locks:
        pytest.skip("this kernel has no cheap way")
    target, _, report = harness.profile(few_python.command, "vm_calls")
    check(report, target, TRUTH)
    if functions:
        check(report, target, ADVICE)
        assert not advised(report)
    else:
        assert "madvise" not in made(report, target, "given")
        note, = advised(report)
        assert int(note.split()[0]) >= TIMES * SIZE // harness.PAGE and "--sys-exit" in note


def test_asked_for(system):
    """All are counted; nothing is left to be said."""
    target, _, report = harness.profile(system.command, "vm_calls", options=("--sys-exit",))
    check(report, target, TRUTH)
    check(report, target, ADVICE)
    assert not advised(report) and "--sys-exit" not in " ".join(report.data["notes"])


def test_not_counted(system):
    target, _, report = harness.profile(system.command, "vm_calls", options=("--no-syscalls",))
    assert not any("vm_calls" in row for image in report.images(target.pid) for row in image["lines"])
    assert "--sys-exit" not in " ".join(report.data["notes"])


@pytest.mark.parametrize("options", [(), ("--touched",), ("--events", "syscalls,reclaim"), ("--lines",)])
def test_no_tax(system, options):
    """Nothing is attached where all system calls pass, whatever else is asked for."""
    with harness.Target(system.command, "idle") as target, harness.Tool("-p", target.pid, *options) as tool:
        tool.attached()
        assert "rss_stat" in kernel_side.attached(tool.process.pid)
        assert not kernel_side.at_all_calls(tool.process.pid)


def test_tax_if_asked(system, functions):
    """And not even then where functions tell the same."""
    with harness.Target(system.command, "idle") as target, harness.Tool("-p", target.pid, "--sys-exit") as tool:
        tool.attached()
        names = kernel_side.attached(tool.process.pid)
        assert ("sys_exit" in names) == (not functions), names
        assert "mmap_lock_released" not in names


@pytest.mark.parametrize("words", [("top", "--help"), ("heap", "--help")])
def test_others_can_not_ask(words):
    """Commands that watch long, or by default, have no such option."""
    said = subprocess.run([harness.TOOL, *words], stdout=subprocess.PIPE, check=True).stdout
    assert b"--sys-exit" not in said
