# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attacks on the table of --events kernel, which all users share: whose each object of the kernel is."""
import os
import subprocess
import sys

import pytest

import harness
from serve_fixtures import OTHER_USER, USER
from test_kernel_side import PROGRAMS, ended, work

OBJECTS = 262144  # for which there is room
MANY, FEW = OBJECTS * 55 // 100, 400


def start(user, count):
    process = subprocess.Popen([sys.executable, os.path.join(PROGRAMS, "many_objects.py"), str(count)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user, group=user, extra_groups=[])
    assert process.stdout.readline() == b"ready\n"
    return process


def counted(processes):
    """What `--events kernel` says of each, one after the other at work."""
    pids = [word for process in processes for word in ("-p", process.pid)]
    with ended(*processes), harness.Tool(*pids, "--events", "kernel") as tool:
        tool.attached()
        for process in processes:
            work(process)
        tool.process.send_signal(harness.signal.SIGINT)
        report = tool.report()
    return [report.image(process.pid) for process in processes]


def objects(image):
    return sum(kind["objects"] for row in image["lines"] for kind in row.get("kernel_kinds", {}).values())


@pytest.mark.attack("no ends of kernel objects for other users' programs",
                    "two processes of a user make more of them than there is room for")
def test_a_user_takes_all_objects():
    *attackers, victim = counted([start(USER, MANY), start(USER, MANY), start(OTHER_USER, FEW)])
    # Of the first one's half, and of what is left for the user, some is missing; all of it is counted.
    assert all(objects(image) >= MANY for image in attackers), [objects(image) for image in attackers]
    assert sum(image["kernel_memory"]["unknown_bytes"] for image in attackers) >= (2 * MANY - OBJECTS * 3 // 4) * 64
    assert objects(victim) >= FEW
    assert victim["kernel_memory"]["unknown_bytes"] == 0, victim["kernel_memory"]


@pytest.mark.attack("no ends of kernel objects for root's programs",
                    "two users, each of whom may have three quarters of what is free, make more of them than there is room for")
def test_users_leave_root_its_part():
    *attackers, victim = counted([start(USER, MANY), start(USER, MANY), start(OTHER_USER, MANY),
                                  start(OTHER_USER, MANY), start(0, FEW)])
    assert all(image["kernel_memory"]["unknown_bytes"] > 0 for image in attackers)
    assert objects(victim) >= FEW
    assert victim["kernel_memory"]["unknown_bytes"] == 0, victim["kernel_memory"]
