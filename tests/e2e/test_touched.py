# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--touched: who touched first what is resident now. For each process lines + before + unknown = RSS;
harness.Report.check_conservation() has that for every report that knows it."""
import os
import signal

import harness
import pytest
from harness import MIB, PAGE, Target, Tool

pytestmark = pytest.mark.skipif(harness.platform.machine() != "x86_64",
                                reason="no page fault tracepoints: refused by name")


def known(report, pid):
    image = report.image(pid)
    assert image["resident_before_bytes"] is not None, report.data["notes"]
    return image


def unknown_at_most(image, pages):
    assert 0 <= image["resident_unknown_bytes"] <= pages * PAGE, image


def test_pages(few_python):
    """Each line has the pages that it touched first, and the sum is RSS to the page."""
    target, truth, report = harness.profile(few_python.command, "touched", options=("--touched",))
    image = known(report, target.pid)
    # What was there is still there: early, the interpreter.
    assert image["resident_before_bytes"] > 8 * MIB
    unknown_at_most(image, 16)
    child = known(report, truth["children"][0]["pid"])
    unknown_at_most(child, 16)


@pytest.mark.parametrize("name", ["grow", "free", "threads", "fork", "madvise", "mremap", "munmap", "cow",
                                  "file_map", "shared", "huge", "syscall_fault"])
def test_sum(system, name):
    """Whatever a program does, all that is resident has a name, and next to nothing is unknown."""
    target, _, report = harness.profile(system.command, name, options=("--touched",))
    unknown_at_most(known(report, target.pid), 64)


def test_huge(system):
    """A huge page is one fault, and 512 pages of its line."""
    with Target(system.command, "touched_huge") as target, Tool("-p", target.pid, "--touched") as tool:
        tool.attached()
        truth = target.go(tool.polled)
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
        assert target.end() == 0
    assert (truth["huge"] > 0) == (harness.thp() != "never")
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])
    unknown_at_most(known(report, target.pid), 16)


def test_exec(few_python):
    """An exec forgets what was touched before it."""
    target, _, report = harness.profile(few_python.command, "execs", options=("--touched",))
    first, last = sorted(report.images(target.pid), key=lambda image: not image["exited"])
    assert first["exited"] and not last["exited"] and first["resident_before_bytes"] is None
    assert all(row["resident_bytes"] is None for row in first["lines"])
    rows = [row for row in last["lines"] if row["file"].endswith("execed.py")]
    assert sum(row["resident_bytes"] for row in rows) >= 28 * MIB
    assert last["resident_before_bytes"] == 0


@pytest.mark.parametrize("wait", [False, True])
def test_orphan(system, wait):
    """A child keeps what its parent touched under the parent's lines, when that has ended: just now, or
    for so long that all else of it has been freed."""
    with Target(system.command, "idle") as other, Target(system.command, "touched_orphan") as target:
        with Tool("-p", "%d,%d" % (target.pid, other.pid), "--touched") as tool:
            tool.attached()
            child = target.go(tool.polled)["children"][0]
            try:
                assert target.end() == 0
                if wait:
                    tool.polled(15)  # it is finished 200 ms after its end
                assert tool.stop() == 0
                report = tool.report()
            finally:
                os.kill(child["pid"], signal.SIGKILL)
    report.check_conservation(child["pid"])
    report.check_lines(child["pid"], target.path, child["lines"])
    unknown_at_most(known(report, child["pid"]), 16)


def test_not_asked_for(system):
    """Without it nothing is known."""
    target, _, report = harness.profile(system.command, "grow")
    image = report.image(target.pid)
    assert image["resident_before_bytes"] is None and image["resident_unknown_bytes"] is None
    assert all(row["resident_bytes"] is None for row in image["lines"])


def test_of_ended(system):
    """A process that has ended has nothing resident, which is not 0: nobody looked."""
    with Target(system.command, "grow") as target, Tool("-p", target.pid, "--touched") as tool:
        tool.attached()
        target.go(tool.polled)
        assert target.end() == 0
        report = tool.report()
    image = report.image(target.pid)
    assert image["exited"] and image["resident_before_bytes"] is None
    assert all(row["resident_bytes"] is None for row in image["lines"])


def test_sorted(system):
    """-s resident asks for it, and the table has the column."""
    with Target(system.command, "touched") as target:
        with Tool("-p", target.pid, "-s", "resident", "-n", "3", output=False) as tool:
            tool.attached()
            target.go(tool.polled)
            assert tool.stop() == 0
            text = tool.stdout().decode()
        assert target.end() == 0
    assert ["Change", "Resident"] in [line.split() for line in text.splitlines()], text
