# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a review found: ends that race, names that are used again, few descriptors, native threads,
a live screen that has data."""
import os
import pty
import re
import resource
import select
import signal
import subprocess
import time

import harness
from harness import launch

PAGE = 4096


def test_threads_exit_at_once(system):
    """What each of them holds is counted, whichever ends the process."""
    report = launch("--", *system.command, harness.program_path("exit_race"), 40)
    assert len(report.data["processes"]) == 41
    for process in report.data["processes"]:
        report.check_conservation(process["pid"])


def test_replaced_at_exit(system):
    """No line is charged with what ran after it at its address."""
    report = launch("--", *system.command, harness.program_path("exit_replaced"))
    pid = report.pids()[0]
    report.check_conservation(pid)
    first = sum(r["increment_bytes"] for r in report.rows(pid, "<first>", 4))
    second = sum(r["increment_bytes"] for r in report.rows(pid, "<second>", 4))
    lost = report.images(pid)[0]["lost_bytes"]["replaced"]
    assert first <= 2000 * PAGE + 32 * PAGE, "the second's are not the first's"
    assert first >= (2000 - 64) * PAGE
    # On kernels before 6.16 nothing can be looked at when a process ends.
    assert abs(first + second + lost - 2040 * PAGE) <= 128 * PAGE


def test_native_callbacks(system):
    harness.profile(system.command, "callbacks")


def test_old_thread_state(system):
    """A thread that was in C finds its way back to its state, however many are newer."""
    target, _, report = harness.profile(system.command, "old_state")
    assert report.image(target.pid)["lost_bytes"]["no-thread"] == 0


def test_no_children_with_vfork(system):
    """A child that runs on its parent's memory until it execs: its page is the parent's."""
    code = "import os, subprocess; os.read(0, 1)\nfor i in range(50): subprocess.run(['/bin/true'])"
    report = launch("--no-children", "--", *system.command, "-c", code)
    assert len(report.data["processes"]) == 1
    report.check_conservation(report.pids()[0])


def test_few_descriptors(system):
    """More processes than descriptors: the report comes all the same."""
    for _, command in harness.list_pythons():
        report = harness.launch("--", *command, harness.program_path("chunks"))
        image = report.data["processes"][0]
        report.check_conservation(image["pid"])
        assert image["lost_bytes"]["unreadable"] == 0, command
