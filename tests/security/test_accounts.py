# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Whose account is it, and does it come to nothing in the end? Tables that all share have a bound for
what the processes of one user hold together (bpf/account/owner.bpf.h, quota.bpf.h)."""
import os
import re
import subprocess
import sys

import pytest

import harness
from serve_fixtures import OTHER_USER, PAGE, USER
from test_kernel_side import PROGRAMS, ended, start, work

STRANGERS = list(range(70001, 70010))  # numbers that are nobody's
TABLES = ("stacks", "stacks of system calls", "code objects", "lines", "threads")

def start_launcher(stacks, users):
    """As USER by its real number, by which accounts go, and with the right to become others: what a
    set-user-ID file gives."""
    process = subprocess.Popen(
        [sys.executable, os.path.join(PROGRAMS, "many_users.py"), str(stacks), *map(str, users)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=lambda: os.setresuid(USER, 0, 0))
    assert process.stdout.readline() == b"ready\n"
    return process

def check_held(report, victim, pages):
    """The victim has its lines. USER met the quota, and nobody else: all that the others hold is his."""
    report.check_conservation(victim.pid)
    grow = harness.labels(os.path.join(PROGRAMS, "one_line.py"))["grow"]
    lines = [line for line in report.image(victim.pid)["lines"] if line["line"] == grow]
    assert report.image(victim.pid)["lost_bytes"]["map-full"] == 0
    assert lines and lines[0]["increment_bytes"] >= pages * PAGE
    told = [word for note in report.data["notes"]
            for word in re.findall(r"the processes of user (\d+) together reached the quota of stacks", note)]
    assert told == [str(USER)], report.data["notes"]

@pytest.mark.attack("no lines for other users' programs",
                    "a program's children become nine other users by set-user-ID files, and make more "
                    "stacks than there are")
def test_children_who_are_other_users():
    room, pages = 2048, 512
    launcher = start_launcher(room, STRANGERS)
    victim = start("one_line.py", pages, user=OTHER_USER, group=OTHER_USER, extra_groups=[])
    with ended(launcher, victim), \
            harness.Tool("-p", launcher.pid, "-p", victim.pid, "--max-stacks", room) as tool:
        tool.attached()
        work(launcher)
        work(victim)
        tool.process.send_signal(harness.signal.SIGINT)
        report = tool.report()
    check_held(report, victim, pages)

@pytest.mark.attack("no lines for other users' programs",
                    "nine numbers of a user's range in /etc/subuid, got outside a user namespace, make "
                    "more stacks than there are")
def test_numbers_of_subuid(tmp_path):
    room, pages, first = 2048, 512, 1 << 20
    ranges = tmp_path / "subuid"
    ranges.write_text("%d:%d:65536\n" % (USER, first))
    if not os.path.exists("/etc/subuid"):
        pytest.skip("no /etc/subuid to put another one in place of")
    before = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/subuid && exec "$@"', str(ranges))
    attackers = [start("many_stacks.py", room, user=first + n, group=USER, extra_groups=[])
                 for n in range(9)]
    victim = start("one_line.py", pages, user=OTHER_USER, group=OTHER_USER, extra_groups=[])
    pids = [word for process in [*attackers, victim] for word in ("-p", process.pid)]
    with ended(*attackers, victim), harness.Tool(*pids, "--max-stacks", room, before=before) as tool:
        tool.attached()
        for attacker in attackers:
            work(attacker)
        work(victim)
        tool.process.send_signal(harness.signal.SIGINT)
        report = tool.report()
    check_held(report, victim, pages)

def books(pid):
    """Of each table: how many entries it has, what all accounts hold of them, what those of users do."""
    now = harness.bpf_variables(pid)
    held = [account["held"] for account in now["accounts"]]
    signed = [[n - (1 << 32) if n >> 31 else n for n in tables] for tables in held]
    return (now["places_used"], [sum(column) for column in zip(*signed)],
            [sum(map(abs, column)) for column in zip(*signed[1:])])

def test_accounts_come_to_nothing():
    """What each user's processes hold is on accounts while they are there, and on none when they have
    ended. Two kinds of books, of tables and of accounts, agree then to the entry."""
    launcher = start_launcher(300, STRANGERS)
    # Root's, so that there is something to profile when the others have ended.
    idle = start("one_line.py", 1)
    with ended(launcher, idle), harness.Tool("-p", launcher.pid, "-p", idle.pid) as tool:
        tool.attached()
        work(launcher)
        used, _, of_users = books(tool.process.pid)
        # The children ran Python, each with stacks of its own, as users.
        assert of_users[0] >= 9 * 300 and of_users[2] >= 9 * 300, dict(zip(TABLES, of_users))
        assert used[0] >= of_users[0]
        launcher.stdin.write(b"\n")
        launcher.stdin.flush()
        assert launcher.stdout.readline() == b"ended\n"
        launcher.communicate(b"\n")
        harness.until(lambda: books(tool.process.pid)[2] == [0] * len(TABLES), "accounts are empty")
        used, held, _ = books(tool.process.pid)
        assert used == held, dict(zip(TABLES, zip(used, held)))
        idle.communicate(b"\n\n")
        report = tool.report()
    report.check_conservation(launcher.pid)
