# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`pymem-bpf serve`: its figures compared with the page tables, and who may see what."""
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
    Client, ENDED, LIMIT, LIVE, NOT_PERMITTED, NO_PROCESS, OK, PARTIAL, Page, SLOTS, STATE, TRACK,
    start_ticks)


# --- figures ---

@pytest.mark.parametrize("uid", [0, USER])
def test_figures_are_the_page_tables(server, uid):
    with Client(server.path, uid) as client:
        reply = client.track()
        assert (reply["status"], reply["pid"], reply["block_bytes"]) == (OK, client.pid, 16384)
        page = client.page()
        assert (page.version, page.state, page.images) == (2, LIVE, 1)
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
        assert eventually(lambda: page.rss == page.start + page.foreign + sum(
            page.net(t) for t in tids + [client.pid]))


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

@pytest.mark.attack("figures of other users' processes",
                    "asking for one of another user, and for root's")
@pytest.mark.parametrize("who, whose, status", [
    (USER, USER, OK), (USER, OTHER_USER, NOT_PERMITTED), (USER, 0, NOT_PERMITTED), (0, USER, OK),
    (0, 0, OK)])
def test_who_may_watch_whom(server, who, whose, status):
    target = sleeper(whose)
    try:
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


@pytest.mark.attack("figures of a privileged program",
                    "starting a setuid or setgid one, and asking for it")
@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_setuid_and_setgid_programs_are_refused(server, folder, mode):
    target = sleeper(USER, (privileged_copy(folder, mode), "1000"))
    try:
        with Client(server.path, USER) as client:
            assert client.track(target.pid)["status"] == NOT_PERMITTED
    finally:
        end(target)


@pytest.mark.attack("figures of a privileged program",
                    "starting one with file capabilities, and asking for it")
def test_capabilities_are_refused(server, folder):
    path = privileged_copy(folder, 0o755)
    setcap = shutil.which("setcap", path="/usr/sbin:/sbin:/usr/bin")
    if not setcap:
        pytest.skip("setcap is not installed")
    subprocess.run([setcap, "cap_net_raw+ep", path], check=True)
    target = sleeper(USER, (path, "1000"))
    try:
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


@pytest.mark.attack("figures of a process that hides",
                    "asking for one of one's own that is not dumpable")
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


@pytest.mark.attack("figures of a privileged program",
                    "having a process watched that then becomes one")
def test_exec_of_a_setuid_program_ends_the_watch(server, folder):
    path = privileged_copy(folder, 0o4755)
    target = sleeper(USER, ("sh", "-c", "read x; exec %s 1000" % path))
    try:
        with Client(server.path, USER) as client:
            assert client.track(target.pid)["status"] == OK
            page = client.page()
            target.stdin.write(b"\n")
            target.stdin.flush()
            assert eventually(lambda: page.state == ENDED)
            assert client.tell("hello")["status"] == OK
    finally:
        end(target)


@pytest.mark.attack("figures of another process",
                    "waiting until a PID that one was allowed is used again")
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


# --- sharing ---

def test_connections_share_a_page(server):
    """Each has its own peaks; the page ends with the last of them."""
    with Client(server.path) as first, Client(server.path) as second:
        assert first.track()["slot"] == 0
        assert first.track()["status"] == STATE, "one process a connection"
        first.slot = 0
        first.tell("grow", BLOCK)
        first.tell("shrink")
        reply = second.track(first.pid)
        assert (reply["status"], reply["pid"], reply["slot"]) == (OK, first.pid, 1)
        one, two = first.page(), second.page()
        assert one.serial == two.serial
        assert one.peak >= one.rss + BLOCK - 64, "what came before the second"
        assert two.peak_now() < one.peak - BLOCK // 2
        first.tell("grow", BLOCK)
        first.tell("shrink")
        assert two.peak > two.rss + BLOCK - 64
        assert first.tell("reset")["status"] == OK
        assert one.peak_now() < two.peak - BLOCK // 2, "the other's reset is not ours"
        assert two.tree_peak > one.tree_peak + BLOCK // 2
        assert (one.resets, two.resets) == (1, 1)
        assert first.tell("untrack")["status"] == OK
        first.tell("grow", 100)
        assert two.state == LIVE and two.rss == rss_pages(first.pid)
        assert first.track()["slot"] == 0
        assert first.page().serial == two.serial
        for client in (first, second):
            assert two.state == LIVE
            assert client.tell("untrack")["status"] == OK
        assert two.state == ENDED
        assert second.track(first.pid)["status"] == OK
        assert second.page().serial != two.serial and second.page().rss == rss_pages(first.pid)


def test_as_many_share_a_page_as_it_has_slots(server):
    target = sleeper(0)
    connections = [server.connect() for _ in range(SLOTS + 1)]
    try:
        slots = [c.ask(TRACK, target.pid)["slot"] for c in connections[:SLOTS]]
        assert slots == list(range(SLOTS))
        reply = connections[SLOTS].ask(TRACK, target.pid)
        assert reply["status"] == LIMIT and "connections" in reply["message"]
        connections[3].close()
        assert eventually(lambda: connections[SLOTS].ask(TRACK, target.pid)["slot"] == 3)
    finally:
        end(target)
        for c in connections:
            c.close()


@pytest.mark.attack("figures of a privileged program",
                    "keeping a page that was shared while one had the right to it")
def test_a_shared_page_ends_with_the_right_of_who_ever_had_it(server, folder):
    """Who may no longer watch the process, after its exec, may have the page mapped still; root,
    who shares it, asks anew."""
    path = privileged_copy(folder, 0o4755)
    target = sleeper(USER, ("sh", "-c", "read x; exec %s 1000" % path))
    try:
        with Client(server.path, USER) as client, Client(server.path) as root:
            assert root.track(target.pid)["status"] == OK
            assert client.track(target.pid)["status"] == OK
            page = client.page()
            assert client.tell("untrack")["status"] == OK
            assert page.state == LIVE
            target.stdin.write(b"\n")
            target.stdin.flush()
            assert eventually(lambda: page.state == ENDED)
            assert root.tell("untrack")["status"] == OK
            assert root.track(target.pid)["status"] == OK
            assert root.page().rss == rss_pages(target.pid)
    finally:
        end(target)


# --- within one another ---

def tree_of(pids):
    return sum(rss_pages(pid) for pid in pids)


def is_sum(page, pids):
    return eventually(lambda: page.tree == tree_of(pids)) or (page.tree, tree_of(pids))


@pytest.mark.parametrize("inner_first", [False, True])
def test_a_descendant_is_watched_too(server, inner_first):
    """Each sum is that of the page tables, whoever came first, and stays so when either goes."""
    with Client(server.path) as client, Client(server.path) as looks:
        child = client.tell("fork", BLOCK)
        if inner_first:
            assert looks.track(child)["status"] == OK
        assert client.track()["status"] == OK
        if not inner_first:
            assert looks.track(child)["status"] == OK
        outer, inner = client.page(), looks.page()
        assert inner.outer == outer.serial and not outer.outer
        assert is_sum(outer, [client.pid, child]) is True
        assert is_sum(inner, [child]) is True
        assert not outer.flags & PARTIAL and not inner.flags & PARTIAL
        more = client.tell("fork", 300)
        assert is_sum(outer, [client.pid, child, more]) is True
        assert inner.tree == inner.rss
        looks.tell("untrack")
        assert is_sum(outer, [client.pid, child, more]) is True
        client.tell("grow", BLOCK)
        assert is_sum(outer, [client.pid, child, more]) is True
        assert looks.track(child)["status"] == OK
        inner = looks.page()
        client.tell("untrack")
        assert is_sum(inner, [child]) is True
        client.tell("end_children")
        assert eventually(lambda: inner.state == ENDED)


def test_generations_watched_each_in_any_order(server):
    """A chain of processes, of which the last changes all the time; pages come and go in
    every order, and each is right when it rests."""
    with Client(server.path) as client:
        chain = [client.pid]
        client.tell("lineage", 4, 300)
        chain += client.tell("descendants")
        assert len(chain) == 5
        connections = {}
        for pid in (chain[2], chain[0], chain[4], chain[1], chain[3]):
            connections[pid] = server.connect()
            assert connections[pid].ask(TRACK, pid)["status"] == OK
        pages = {pid: Page(c.page_fd) for pid, c in connections.items()}

        def check():
            for pid, page in pages.items():
                assert is_sum(page, chain[chain.index(pid):]) is True, (chain.index(pid), len(pages))
                assert not page.flags & PARTIAL

        check()
        for i, pid in enumerate(chain[1:], 1):
            assert pages[pid].outer == pages[chain[i - 1]].serial
        os.kill(chain[4], 10)  # it grows
        check()
        for pid in (chain[3], chain[1]):
            connections.pop(pid).close()
            pages.pop(pid)
            os.kill(chain[4], 10)
            check()
        assert eventually(lambda: pages[chain[2]].outer == pages[chain[0]].serial)
        connections[chain[3]] = server.connect()
        assert connections[chain[3]].ask(TRACK, chain[3])["status"] == OK
        pages[chain[3]] = Page(connections[chain[3]].page_fd)
        os.kill(chain[4], 10)
        check()
        connections.pop(chain[0]).close()
        pages.pop(chain[0])
        os.kill(chain[4], 10)
        check()
        for connection in connections.values():
            connection.close()


@pytest.mark.attack("sums that lack processes and don't say so",
                    "more watched processes within one another than a sum has levels")
def test_a_sum_of_too_many_levels_says_so(server):
    """More than 8 pages within one another: the outermost sum lacks some, and says so."""
    with Client(server.path) as client:
        client.tell("lineage", 9, 10)
        chain = [client.pid] + client.tell("descendants")
        connections = [server.connect() for _ in chain]
        for connection, pid in zip(connections, chain):
            assert connection.ask(TRACK, pid)["status"] == OK
        pages = [Page(c.page_fd) for c in connections]
        os.kill(chain[-1], 10)
        assert eventually(lambda: pages[0].flags & PARTIAL)
        for page, i in zip(pages[2:], range(2, 10)):
            assert is_sum(page, chain[i:]) is True and not page.flags & PARTIAL
        for connection in connections:
            connection.close()


@pytest.mark.attack("false figures for others",
                    "mapping a page for writing")
def test_page_cannot_be_written(server):
    import mmap
    connection = server.connect()
    assert connection.ask(TRACK)["status"] == OK
    with pytest.raises(PermissionError):
        mmap.mmap(connection.page_fd, 16384, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    page = Page(connection.page_fd)
    connection.close()
    assert eventually(lambda: page.state == ENDED)
