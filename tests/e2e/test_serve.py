# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`pymem-bpf serve`: its figures against the page tables, and who may see what."""
import os
import shutil
import subprocess
import sys
import time

import pytest

import harness
from serve_fixtures import (  # noqa: F401
    BLOCK, OTHER_USER, USER, end, eventually, folder, rss_pages, server, sleeper)
from serving import (
    Client, ENDED, LIVE, NOT_PERMITTED, NO_PROCESS, OK, Page, STATE, TRACK, start_ticks)


# --- figures ---

@pytest.mark.parametrize("uid", [0, USER])
def test_figures_are_the_page_tables(server, uid):
    with Client(server.path, uid) as client:
        reply = client.track()
        assert (reply["status"], reply["pid"], reply["page_bytes"]) == (OK, client.pid, 16384)
        page = client.page()
        assert (page.version, page.state, page.images) == (1, LIVE, 1)
        before = rss_pages(client.pid)
        assert page.rss == before
        client.tell("grow", BLOCK)
        grown = rss_pages(client.pid)
        assert page.rss == grown and before + BLOCK <= grown <= before + BLOCK + 32
        assert grown <= page.peak_now() <= grown + 8
        client.tell("shrink")
        assert rss_pages(client.pid) == page.rss <= grown - BLOCK + 16
        assert page.peak_now() >= grown, "the peak stays"
        assert client.tell("reset")["status"] == OK
        assert page.resets == 1
        # Answering takes a page or two.
        assert page.rss <= page.peak_now() <= page.rss + 8
        client.tell("grow", 100)
        assert rss_pages(client.pid) == page.rss == page.peak_now()
        assert page.missed == 0


def test_short_peak(server):
    """A block that lives as long as touching it takes, 20 times of 20."""
    with Client(server.path) as client:
        client.track()
        page = client.page()
        for _ in range(20):
            client.tell("reset")
            before = page.rss
            client.tell("grow", BLOCK)
            client.tell("shrink")
            assert before + BLOCK <= page.peak <= before + BLOCK + 32
            assert page.rss < before + 64


def test_threads(server):
    with Client(server.path) as client:
        client.track()
        page = client.page()
        client.tell("grow", 1)
        main = page.net(client.pid)
        tids = [client.tell("thread", BLOCK + i) for i in range(3)]
        for i, tid in enumerate(tids):
            assert BLOCK + i <= page.net(tid) <= BLOCK + i + 64
        assert page.net(client.pid) - main < 64, "threads' growth is not the main thread's"
        client.tell("grow", 500)
        assert 500 <= page.net(client.pid) - main < 564
        total = sum(page.net(t) for t in tids + [client.pid])
        assert page.rss == page.start + total + page.foreign


def test_tree(server):
    with Client(server.path) as client:
        client.track()
        page = client.page()
        assert page.tree == page.rss
        children = [client.tell("fork", BLOCK) for _ in range(3)]
        sums = [rss_pages(p) for p in children + [client.pid]]
        assert page.tree == sum(sums)
        assert page.rss == sums[-1]
        assert page.tree_peak >= page.tree
        highest = page.tree_peak
        client.tell("end_children")
        assert eventually(lambda: page.tree == page.rss == rss_pages(client.pid))
        assert page.tree_peak == highest
        client.tell("reset")
        assert max(page.tree, page.tree_peak) < highest - 3 * BLOCK


def test_children_that_were_there_before(server):
    """They count as those that come later do, and are let go with the rest."""
    with Client(server.path) as client:
        children = [client.tell("fork", BLOCK) for _ in range(3)]
        client.track()
        page = client.page()
        everybody = children + [client.pid]
        assert eventually(lambda: page.tree == sum(rss_pages(p) for p in everybody))
        everybody.append(client.tell("fork", BLOCK))
        assert eventually(lambda: page.tree == sum(rss_pages(p) for p in everybody))
        client.tell("untrack")
        client.track()
        page = client.page()
        assert eventually(lambda: page.tree == sum(rss_pages(p) for p in everybody))
        client.tell("end_children")
        assert eventually(lambda: page.tree == page.rss == rss_pages(client.pid))


def test_exec_goes_on(server):
    """The page follows the process through an exec."""
    held = subprocess.Popen(["sh", "-c", "read x; exec sleep 1000"], stdin=subprocess.PIPE)
    try:
        with Client(server.path) as client:
            assert client.track(held.pid)["status"] == OK
            page = client.page()
            held.stdin.write(b"\n")
            held.stdin.flush()
            assert eventually(lambda: page.images == 2)
            assert rss_pages(held.pid) == page.rss
            time.sleep(1.5)
            assert page.state == LIVE, "one's own program may be followed"
            held.kill()
            held.wait()
            assert eventually(lambda: page.state == ENDED)
            assert client.tell("reset")["status"] == NO_PROCESS
            assert client.tell("hello")["status"] == OK
            assert client.track()["status"] == STATE
            assert client.tell("untrack")["status"] == OK
            assert client.track()["status"] == OK
    finally:
        held.kill()
        held.wait()
        held.stdin.close()


# --- permission ---

@pytest.mark.parametrize("who, whose, status", [
    (USER, USER, OK), (USER, OTHER_USER, NOT_PERMITTED), (USER, 0, NOT_PERMITTED), (0, USER, OK),
    (0, 0, OK)])
def test_who_may_watch_whom(server, who, whose, status):
    target = sleeper(whose)
    try:
        time.sleep(0.1)
        with Client(server.path, who) as client:
            reply = client.track(target.pid)
            assert reply["status"] == status, reply
            if status == OK:
                page = client.page()
                assert rss_pages(target.pid) == page.rss
            else:
                assert str(target.pid) in reply["message"] and "root" in reply["message"]
                assert client.tell("descriptor") == -1
                assert client.track()["status"] == OK, "one's own is still allowed"
    finally:
        end(target)


def privileged_copy(folder, mode):
    path = os.path.join(folder, "privileged-sleep")
    shutil.copy(shutil.which("sleep"), path)
    os.chmod(path, mode)
    if os.statvfs(folder).f_flag & os.ST_NOSUID:
        pytest.skip("%s is mounted nosuid" % folder)
    return path


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_setuid_and_setgid_programs_are_refused(server, folder, mode):
    target = sleeper(USER, (privileged_copy(folder, mode), "1000"))
    try:
        time.sleep(0.2)
        with Client(server.path, USER) as client:
            assert client.track(target.pid)["status"] == NOT_PERMITTED
    finally:
        end(target)


def test_capabilities_are_refused(server, folder):
    path = privileged_copy(folder, 0o755)
    setcap = shutil.which("setcap", path="/usr/sbin:/sbin:/usr/bin")
    if not setcap:
        pytest.skip("setcap is not installed")
    subprocess.run([setcap, "cap_net_raw+ep", path], check=True)
    target = sleeper(USER, (path, "1000"))
    try:
        time.sleep(0.2)
        with Client(server.path, USER) as client:
            assert client.track(target.pid)["status"] == NOT_PERMITTED
    finally:
        end(target)


HIDING = """
import ctypes, time
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
print("hidden", flush=True)
time.sleep(1000)
"""


def test_process_that_hides_is_refused(server):
    target = sleeper(USER, (sys.executable, "-c", HIDING))
    try:
        assert target.stdout.readline() == b"hidden\n"
        with Client(server.path, USER) as client:
            reply = client.track(target.pid)
            assert reply["status"] == NOT_PERMITTED and "dumpable" in reply["message"]
        with Client(server.path) as root:
            assert root.track(target.pid)["status"] == OK
    finally:
        end(target)


def test_exec_of_a_setuid_program_ends_the_watch(server, folder):
    path = privileged_copy(folder, 0o4755)
    target = sleeper(USER, ("sh", "-c", "read x; exec %s 1000" % path))
    try:
        time.sleep(0.1)
        with Client(server.path, USER) as client:
            assert client.track(target.pid)["status"] == OK
            page = client.page()
            target.stdin.write(b"\n")
            target.stdin.flush()
            assert eventually(lambda: page.state == ENDED, 4)
            assert client.tell("hello")["status"] == OK
    finally:
        end(target)


def test_reused_pid(server):
    target = sleeper(0)
    try:
        with Client(server.path) as client:
            ticks = start_ticks(target.pid)
            reply = client.track(target.pid, ticks - 1)
            assert reply["status"] == NO_PROCESS and "another process" in reply["message"]
            assert client.track(target.pid, ticks)["status"] == OK
    finally:
        end(target)


def test_no_such_process(server):
    zombie = subprocess.Popen(["true"])
    assert eventually(lambda: harness.state(zombie.pid) == "Z")
    with Client(server.path) as client:
        tid = client.tell("thread", 1)
        for pid, word in [(1 << 22, "no such"), (-1, "no such"), (-(1 << 31), "no such"),
                          (zombie.pid, "ended"), (2, "kernel thread"), (tid, "thread of")]:
            reply = client.track(pid)
            assert reply["status"] == NO_PROCESS and word in reply["message"], reply
    zombie.wait()


def test_one_connection_at_a_time_watches_a_process(server):
    with Client(server.path) as client, Client(server.path) as second:
        assert client.track()["status"] == OK
        assert client.track()["status"] == STATE
        reply = second.track(client.pid)
        assert reply["status"] == STATE and "already" in reply["message"]
        assert second.track()["status"] == OK
        client.tell("untrack")
        assert second.tell("untrack")["status"] == OK
        assert second.track(client.pid)["status"] == OK


def test_page_cannot_be_written(server):
    import mmap
    connection = server.connect()
    assert connection.ask(TRACK)["status"] == OK
    with pytest.raises(PermissionError):
        mmap.mmap(connection.page_fd, 16384, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    page = Page(connection.page_fd)
    connection.close()
    assert eventually(lambda: page.state == ENDED)
