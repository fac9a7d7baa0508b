# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attacks on the tables of --events cache, which all users share."""
import contextlib
import os
import shutil
import subprocess
import sys

import pytest

import harness
from serve_fixtures import OTHER_USER, USER
from test_kernel_side import PROGRAMS, ended, work

FILES = 32768  # for which there is room


@contextlib.contextmanager
def folder_of(user, name):
    """On a disk: tmpfs has a page cache of its own."""
    path = os.path.join(harness.DATA, "%s.%d" % (name, os.getpid()))
    os.makedirs(path)
    os.chown(path, user, user)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def start(user, path, count):
    process = subprocess.Popen([sys.executable, os.path.join(PROGRAMS, "many_files.py"), path, str(count)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user, group=user, extra_groups=[])
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.attack("no files for other users' programs",
                    "two processes of a user bring more files into the page cache than there is room for")
def test_a_user_takes_all_files():
    with folder_of(USER, "flood1") as one, folder_of(USER, "flood2") as two, folder_of(OTHER_USER, "victim") as mine:
        attackers = [start(USER, path, FILES * 55 // 100) for path in (one, two)]
        victim = start(OTHER_USER, mine, 100)
        pids = [word for process in (*attackers, victim) for word in ("-p", process.pid)]
        with ended(*attackers, victim), harness.Tool(*pids, "--events", "cache") as tool:
            tool.attached()
            for process in (*attackers, victim):
                work(process)
            tool.process.send_signal(harness.signal.SIGINT)
            report = tool.report()
    taken = [{os.path.basename(f["path"]) for f in report.image(a.pid)["cached_files"] if f["path"]} for a in attackers]
    # Of the first one's half, and of what is left for the user, some is missing; all of it is counted.
    assert sum(len(names) for names in taken) <= FILES * 3 // 4, [len(names) for names in taken]
    for attacker in attackers:
        assert report.image(attacker.pid)["page_cache"]["bytes"] >= FILES * 55 // 100 * 4096
    files = {os.path.basename(f["path"]): f for f in report.image(victim.pid)["cached_files"] if f["path"]}
    assert {"file%05d" % number for number in range(100)} <= set(files), sorted(files)
    assert all(files["file%05d" % number]["unknown_bytes"] == 0 for number in range(100))
