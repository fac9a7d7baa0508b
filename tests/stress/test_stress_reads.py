# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attacks on what the profiler reads that take a thousand processes, or a minute."""
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

import harness
from harness import Lines, Tool

SECURITY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "security")
sys.path.insert(0, SECURITY)

from hostile_elf import sparse_elf  # noqa: E402

# As TRACKER_SKIPS_MAX of user/track/tracker.h.
NAMED = 1000


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="pymem-stress.")
    yield path
    shutil.rmtree(path)


class Mapper:
    """programs/mapper.c of tests/security, once it has mapped all."""

    def __init__(self, folder, *arguments):
        program = os.path.join(folder, "mapper")
        subprocess.run(["cc", "-O1", "-o", program, os.path.join(SECURITY, "programs", "mapper.c")], check=True)
        self.process = subprocess.Popen([program] + [str(a) for a in arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def __enter__(self):
        assert Lines(self.process.stdout).next() == b"mapped"
        return self

    def __exit__(self, *_):
        harness.end_process(self.process)


@pytest.mark.attack("memory, and a report without end", "a thousand processes and more that can't be profiled, under -a")
def test_many_skips(folder):
    """Processes that can't be profiled, without end: so many are named, of the others there is a number."""
    path = os.path.join(folder, "python")
    sparse_elf(path, 1 << 20)
    with Mapper(folder, "-n", NAMED + 100, path), Tool("-a", "--max-processes", "8192") as tool:
        tool.attached()
        tool.polled(30)
        tool.process.send_signal(harness.signal.SIGINT)
        report = tool.report()
    assert len(report.data["skipped"]) == NAMED
    notes = [n for n in report.data["notes"] if "more processes were skipped" in n]
    assert len(notes) == 1 and int(notes[0].split()[1]) >= 100


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


@pytest.mark.attack("the profiler's time", "a process with 60,000 mappings maps one more, a hundred times a second")
def test_many_mappings(folder):
    """A process that maps files without end is looked at now and then, not each time."""
    path = os.path.join(folder, "plain")
    with open(path, "wb") as f:
        f.write(b"no ELF file" * 1000)
    with Mapper(folder, "-m", 60000, path), Tool("-a") as tool:
        tool.attached()
        examiner = children(children(tool.process.pid)[0])[0]
        before, polls = cpu_seconds(examiner), tool.waits()
        # It maps a hundred times a second, and each look would take a second.
        tool.polled(150)
        used = cpu_seconds(examiner) - before
        assert tool.waits() > polls
        tool.process.send_signal(harness.signal.SIGINT)
        tool.report()
    assert used < 3, "CPU seconds of looking"
