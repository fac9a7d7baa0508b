# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A target under a memory limit: what reclaim takes is charged to no line, and a process that is killed for
want of memory is reported as a whole."""
import contextlib
import os
import time

import pytest

import harness
from harness import MIB, PAGE, Target, Tool
from test_stress import path_of

V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"


def write(path, text):
    with open(path, "w") as f:
        f.write(str(text))


class Limit:
    """A memory cgroup, version 1 or 2."""

    def __init__(self, folder, file):
        self.folder, self.file = folder, os.path.join(folder, file)

    def add(self, pid, limit):
        write(self.file, limit)
        swap = os.path.join(self.folder, "memory.swap.max")
        if os.path.exists(swap):
            write(swap, 0)
        write(os.path.join(self.folder, "cgroup.procs"), pid)


def hierarchy():
    """(folder, name of its limit) of the memory controller; skips where there is none to use."""
    if os.path.exists(os.path.join(V1, "memory.limit_in_bytes")):
        return V1, "memory.limit_in_bytes"
    with contextlib.suppress(OSError):
        write(os.path.join(V2, "cgroup.subtree_control"), "+memory")
        return V2, "memory.max"
    pytest.skip("no memory controller of cgroups can be used here")


@pytest.fixture
def limit():
    root, file = hierarchy()
    folder = os.path.join(root, "pymem-bpf-test-%d" % os.getpid())
    try:
        os.mkdir(folder)
    except OSError as e:
        pytest.skip("no cgroup can be made here: %s" % e)
    yield Limit(folder, file)
    # Its processes have just ended.
    for _ in range(100):
        try:
            os.rmdir(folder)
            return
        except OSError:
            time.sleep(0.05)
    os.rmdir(folder)


def swaps():
    with open("/proc/swaps") as f:
        return len(f.readlines()) > 1


@pytest.fixture
def data(request):
    """A file none of which is in memory, so that whoever reads it has it on its account."""
    path = os.path.join(harness.DATA, "stress-%d" % os.getpid())
    with open(path, "wb") as f:
        for i in range(48):
            f.write(os.urandom(MIB))
        f.flush()
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    yield path
    os.unlink(path)


@pytest.mark.skipif(swaps(), reason="there is swap: a reclaim may take other memory first")
def test_reclaim(system, limit, data):
    """The faulting thread reclaims for itself. The line it is in did not free that, and its own pages
    and faults are all there."""
    grow = 16 * MIB
    with Target(system, "limited", path_of("limited"), [data, str(48 * MIB), str(grow)]) as target:
        limit.add(target.pid, 40 * MIB)
        before = harness.rss_at_rest(target.pid)
        with Tool("-p", target.pid) as tool:
            tool.attached()
            truth = target.go()
            after = harness.rss_at_rest(target.pid)
            tool.process.send_signal(harness.signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    report.check_conservation(target.pid)
    report.check_at_rest(target.pid, before, after)
    report.check_lines(target.pid, target.path, truth["lines"])
    lost = report.image(target.pid)["lost_bytes"]
    assert lost["other-task"] <= -32 * MIB, "there was no reclaim to speak of: %s" % lost
    assert sum(r["freed_bytes"] for r in report.image(target.pid)["lines"]) <= 64 * PAGE, report.top(target.pid)


@pytest.mark.skipif(swaps(), reason="there is swap: the file may stay in memory")
def test_reclaim_that_was_asked_for(system, data):
    """madvise(MADV_PAGEOUT) is the line's own doing."""
    target, truth, report = harness.profile(system, "pageout", path_of("pageout"), [data, str(4 * MIB)])
    assert truth["status"] == 0
    assert report.image(target.pid)["lost_bytes"]["other-task"] == 0


@pytest.mark.skipif(swaps(), reason="there is swap: memory may go there instead")
def test_killed_for_want_of_memory(system, limit):
    """The line still has what it grew by; the reaper's share is another task's."""
    with Target(system, "oom", path_of("oom")) as target:
        limit.add(target.pid, 64 * MIB)
        with Tool("-p", target.pid) as tool:
            tool.attached()
            target.tell(b"GO")
            said = 0
            while True:
                line = target.lines.next()
                if line is None:
                    break
                said = int(line)
            assert target.process.wait(harness.PATIENCE) == -harness.signal.SIGKILL
            report = tool.report()
    report.check_conservation(target.pid)
    image = report.image(target.pid)
    grown = sum(r["grown_bytes"] for r in report.rows(target.pid, *harness.find_line(target.path, "grow")))
    assert said >= 32 * MIB
    assert said <= grown <= said + 2 * MIB
    assert image["exited"]
    assert image["rss_peak_bytes"] >= image["rss_start_bytes"] + said
    named = {cause for cause, amount in image["lost_bytes"].items() if amount}
    assert named <= {"other-task", "no-frame", "unsettled"}, image["lost_bytes"]
