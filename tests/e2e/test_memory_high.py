# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--events reclaim: the sleep of a thread whose control group is beyond its memory.high, against what the program slept
and the group's memory.pressure. It takes control groups of version 2, and a kernel that lets programs be attached to
its functions; the guests of tests/vm have both."""
import contextlib
import os
import signal
import subprocess

import pytest

import harness
from harness import MIB, Target, Tool

GROUPS = "/sys/fs/cgroup"
HIGH, STEPS = 40 * MIB, 14
NAMED = "BPF programs at mem_cgroup_handle_over_high (for --events reclaim)"
NOTE = ("this kernel lets no BPF program be attached to mem_cgroup_handle_over_high: the sleep of a group beyond its "
        "memory.high is not counted")


def can():
    """Does this kernel let the sleep be counted? By what the profiler says itself."""
    said = subprocess.run([harness.TOOL, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    line, = [line for line in said.splitlines() if NAMED in line]
    return line.split()[0] == "ok"


@contextlib.contextmanager
def slowed(bytes_):
    """A control group that is slowed down beyond so much memory; its folder."""
    folder = os.path.join(GROUPS, "pymem-high.%d" % os.getpid())
    os.mkdir(folder)
    try:
        with open(os.path.join(folder, "memory.high"), "w") as f:
            f.write(str(bytes_))
        yield folder
    finally:
        def gone():
            with contextlib.suppress(OSError):
                os.rmdir(folder)
            return not os.path.exists(folder)
        harness.until(gone, "without members")


def near(found, truth):
    return abs(found - truth) <= truth / 10


def check_high(system):
    """The sleep is on its line and in no other, and as long as the program says; with what it reclaims, it is as long as
    the group's memory.pressure says: nothing is counted twice. Returns what was found, and the truth."""
    with slowed(HIGH) as folder:
        enter = ["/bin/sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', folder]
        with Target(enter + system.command, "over_high", arguments=(folder, str(STEPS))) as target, \
                Tool("-p", target.pid, "--events", "reclaim") as tool:
            tool.attached()
            truth = target.go()["truth"]
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
            assert target.end() == 0
    report.check_conservation(target.pid)
    image, labels = report.image(target.pid), harness.labels(target.path)
    rows = {row["line"]: row for row in image["lines"] if row["file"] == target.path}
    row = rows[labels["beyond"]]
    kinds = row["stall_kinds"]
    passed, slept, pressed = truth["beyond"]
    assert slept >= 10 ** 9, "it was not slowed down: %r" % truth
    assert near(kinds["high"]["ns"], slept), (kinds, truth)
    assert near(row["stalled_ns"], pressed) and row["stalled_ns"] <= passed, (row, truth)
    assert row["stalled_ns"] == sum(kind["ns"] for kind in kinds.values())
    # As many times as it went on to the next batch of pages, at most.
    assert 0 < kinds["high"]["stalls"] <= STEPS * MIB // 4 // harness.PAGE, kinds
    for label in ("below", "quiet"):
        assert "high" not in rows.get(labels[label], {}).get("stall_kinds", {}), (label, rows[labels[label]])
    assert NOTE not in report.data["notes"]
    return kinds, truth


def test_beyond(system):
    if not os.path.exists(os.path.join(GROUPS, "cgroup.controllers")) or not can():
        pytest.skip("no control groups of version 2, or no programs at the kernel's functions")
    with open(os.path.join(GROUPS, "cgroup.subtree_control")) as f:
        if "memory" not in f.read().split():
            pytest.skip("no control groups of memory here")
    check_high(system)


def test_lack_is_said(system):
    """Where the kernel lacks it, the report names it; where nobody asked, it does not."""
    for options in ((), ("--events", "reclaim")):
        with Target(system.command, "grow") as target, Tool("-p", target.pid, *options) as tool:
            tool.attached()
            target.go(tool.polled)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
            assert target.end() == 0
        assert (NOTE in report.data["notes"]) == (bool(options) and not can()), report.data["notes"]
