# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""When copies on write begin to be watched. Watching them costs a little for each page that is allocated."""
import os
import resource
import signal

from harness import Target, Tool, attached_links


def test_forked_before(system):
    """Of a parent and its child they are, from the start: no write comes too early."""
    with Target(system.command, "cow_before") as target:
        child = target.first["child"]
        with Tool("-p", "%d,%d" % (target.pid, child)) as tool:
            tool.attached()
            truth = target.go()["children"][0]
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    assert truth["pid"] == child and not report.unwatched()
    report.check_conservation(child)
    report.check_lines(child, target.path, truth["lines"])


def test_same_program_but_another_exec(system):
    """Our own interpreter is its parent, and shares nothing with it."""
    with Target(system.command, "idle") as target, Tool("-p", target.pid) as tool:
        assert os.path.samefile("/proc/%d/exe" % target.pid, "/proc/self/exe")
        tool.attached()
        alone = attached_links(tool.process.pid)
    with Target(system.command, "cow_before") as target, Tool("-p", target.pid) as tool:
        tool.attached()
        assert attached_links(tool.process.pid) == alone + 1


def test_copies_that_cannot_be_watched(system):
    """What is not needed for amounts does not end the profile when it fails: a note says so."""
    with Target(system.command, "fork") as target, Tool("-p", target.pid) as tool:
        tool.attached()
        before = resource.prlimit(tool.process.pid, resource.RLIMIT_NOFILE)
        descriptors = len(os.listdir("/proc/%d/fd" % tool.process.pid))
        resource.prlimit(tool.process.pid, resource.RLIMIT_NOFILE, (descriptors, before[1]))
        truth = target.go()
        tool.polled()
        assert tool.process.poll() is None, tool.stderr
        resource.prlimit(tool.process.pid, resource.RLIMIT_NOFILE, before)
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
        assert target.end() == 0
    assert any(n.startswith("copies on write could not be watched") for n in report.data["notes"])
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, truth["lines"])
