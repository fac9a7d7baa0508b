# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attacks of ordinary users on the server: on its tables, its places, its rules, its log."""
import os
import signal
import socket
import subprocess
import sys

import pytest

from harness import TOOL, compiled
from kernel_side import variable
from serve_fixtures import (  # noqa: F401
    OTHER_USER, USER, end, eventually, folder, rss_pages, server, sleeper)
from serving import (
    Client, Connection, HELLO, LIMIT, LIVE, NO_PROCESS, NOT_PERMITTED, OK, Server, TRACK, request)

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
PARTIAL = 1


@pytest.fixture(scope="module")
def forks():
    with compiled(os.path.join(PROGRAMS, "forks.c")) as path:
        yield path


def forker(forks, uid, before, after=0):
    process = sleeper(uid, (forks, str(before), str(after)))
    assert process.stdout.readline() == b"forked\n"
    return process


def fork_more(process):
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"forked\n"


def watch(client, process):
    """The page of that process, watched by the client."""
    reply = client.track(process.pid)
    assert reply["status"] == OK, reply
    return client.page()


@pytest.mark.attack("the server's table of processes for oneself",
                    "watching processes that have, and then fork, as many children as go")
def test_processes_are_on_their_users_account(folder, forks):
    targets = [forker(forks, USER, 30), forker(forks, USER, 0, 60), forker(forks, OTHER_USER, 5)]
    try:
        with Server(TOOL, os.path.join(folder, "s"), "-v", "--max-processes", "50") as server, \
                Client(server.path, USER) as one, Client(server.path, USER) as two, \
                Client(server.path, OTHER_USER) as other, Client(server.path) as root:
            mine, more = watch(one, targets[0]), watch(two, targets[1])
            assert mine.flags == 0, "31 of 50"
            fork_more(targets[1])
            assert more.flags & PARTIAL, "32 and 60"
            assert eventually(lambda: b"user %d has met the quota" % USER in server.said)
            with Client(server.path, USER) as third:
                target = sleeper(USER)
                reply = third.track(target.pid)
                end(target)
            assert reply["status"] == LIMIT
            assert "user %d has 50 processes" % USER in reply["message"]
            assert "--max-processes" in reply["message"]
            theirs, roots = watch(other, targets[2]), watch(root, targets[2])
            assert theirs.flags == roots.flags == 0 and theirs.state == LIVE
            assert b"user %d" % OTHER_USER not in server.said
            # What has ended is off the account.
            end(targets[1])
            two.tell("untrack")
            assert eventually(lambda: answered(two, targets[0].pid) == OK)
    finally:
        for target in targets:
            if target.poll() is None:
                end(target)


def test_exec_keeps_its_place(folder):
    """Between the end of what ran before an exec and the begin of what runs then, a relative's fork must not
    find its place. That moment is less than a microsecond. Here the account is overdrawn from the start, as if
    many had forked in it: who asked for a place would be refused."""
    target = sleeper(USER, ("sh", "-c", "read go; exec sleep 1000"))
    try:
        with Server(TOOL, os.path.join(folder, "s"), "--max-processes", "50") as server, \
                Client(server.path, USER) as client, Client(server.path, USER) as other:
            page = watch(client, target)
            with variable(server.process.pid, "payers") as payers:
                accounts = [i for i in range(2, len(payers), 2) if payers[i]]  # of pairs: images, refused
                assert [payers[i] for i in accounts] == [1]
                payers[accounts[0]] += 50
                assert other.track()["status"] == LIMIT
                target.stdin.write(b"\n")
                target.stdin.flush()
                assert eventually(lambda: name_of(target.pid) == "sleep")
                assert page.rss == rss_pages(target.pid) and page.state == LIVE
                payers[accounts[0]] -= 50
            assert other.track()["status"] == OK
            # The place is given back once.
            other.tell("untrack")
            client.tell("untrack")
            with variable(server.process.pid, "payers") as payers:
                assert eventually(lambda: payers[0] == payers[accounts[0]] == 0)
    finally:
        end(target)


USERS_IMAGES = 8192 - 1024  # as SERVE_USERS_IMAGES of user/serve/serve_quota.h


@pytest.mark.attack("the server's table of processes for oneself",
                    "as many users as it takes have all places of the table between them")
def test_processes_are_kept_for_root(folder):
    """Here the sum of all users says that there are so many images, as if there were seven thousand processes."""
    with Server(TOOL, os.path.join(folder, "s")) as server, Client(server.path, USER) as one, \
            Client(server.path, OTHER_USER) as other, Client(server.path) as root:
        with variable(server.process.pid, "payers") as payers:
            assert payers[0] == 0
            payers[0] += USERS_IMAGES - 1
            assert one.track()["status"] == OK and payers[0] == USERS_IMAGES, "the last place of users"
            reply = other.track()
            assert reply["status"] == LIMIT
            assert "all users together have %d processes watched" % USERS_IMAGES in reply["message"]
            assert payers[0] == USERS_IMAGES, "who is refused has no place"
            assert root.track()["status"] == OK
            page = root.page()
            assert page.state == LIVE and page.flags == 0 and page.rss
            assert payers[0] == USERS_IMAGES, "root's are no user's"
            one.tell("untrack")
            assert eventually(lambda: answered(other, 0) == OK), "a place that is given back"
            payers[0] -= USERS_IMAGES - 1
            assert eventually(lambda: payers[0] == 0)


def name_of(pid):
    with open("/proc/%d/comm" % pid) as f:
        return f.read().strip()


def answered(client, pid):
    reply = client.track(pid)
    if reply["status"] == OK:
        client.tell("untrack")
    return reply["status"]


@pytest.mark.attack("the server's table of processes for oneself",
                    "TRACK of a process that has too many children already")
def test_children_that_are_there_are_counted_too(folder, forks):
    target = forker(forks, USER, 60)
    try:
        with Server(TOOL, os.path.join(folder, "s"), "-v", "--max-processes", "50") as server, \
                Client(server.path, USER) as client, Client(server.path, OTHER_USER) as other:
            assert watch(client, target).flags & PARTIAL
            assert other.track()["status"] == OK
            assert eventually(lambda: b"user %d has met the quota" % USER in server.said)
    finally:
        end(target)


@pytest.mark.attack("all places of the server", "four users connect as often as they may")
def test_places_are_kept(folder):
    with open(os.path.join(PROGRAMS, "take_places.py")) as f:
        code = f.read()
    with Server(TOOL, os.path.join(folder, "s"), "--max-clients", "32", "--max-per-user", "8") as server:
        takers = [sleeper(20000 + i, (sys.executable, "-c", code, server.path, "20"))
                  for i in range(4)]
        try:
            taken = sum(int(taker.stdout.readline()) for taker in takers)
            assert taken == 32 - 2 - 4, "2 are root's, 4 of users who have none"
            with Client(server.path, USER) as other, Client(server.path) as root:
                assert other.track()["status"] == OK
                assert root.track()["status"] == OK
                more = sleeper(20001, (sys.executable, "-c", code, server.path, "1"))
                assert more.stdout.readline() == b"0\n"
                end(more)
        finally:
            for taker in takers:
                end(taker)


def in_own_namespace(path, uid):
    """A client that is root, with all capabilities, of a user namespace that it made."""
    client = Client.__new__(Client)
    with open(sys.modules["serving"].__file__) as f:
        code = f.read()
    client.process = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", code, path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", user=uid, group=uid, extra_groups=[])
    client.pid = client.process.pid
    return client


@pytest.mark.attack("a process with more rights than one's own",
                    "asking for it from a user namespace in which one has all capabilities")
def test_capabilities_of_another_namespace(server):
    setpriv = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups",
               "--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"]
    target = subprocess.Popen(setpriv + ["sleep", "1000"], cwd="/")
    try:
        assert eventually(lambda: open("/proc/%d/comm" % target.pid).read() == "sleep\n")
        with Client(server.path, USER) as plain:
            assert plain.track(target.pid)["status"] == NOT_PERMITTED
        with in_own_namespace(server.path, USER) as client:
            assert client.tell("hello")["status"] == OK
            with open("/proc/%d/status" % client.pid) as f:
                assert "CapPrm:\t0000000000000000" not in f.read(), "it has capabilities there"
            assert client.track(target.pid)["status"] == NOT_PERMITTED
            assert client.track()["status"] == OK, "itself, in the same namespace"
    finally:
        target.kill()
        target.wait()


@pytest.mark.attack("more than one user's share", "many user IDs in a user namespace of one's own")
def test_users_of_a_namespace_are_its_makers(folder):
    """An ID in there that has a range of its own is still the account of who made it."""
    limits = ["--max-clients", "32", "--max-per-user", "2"]
    with Server(TOOL, os.path.join(folder, "s"), "-v", *limits) as server, \
            Client(server.path, USER), in_own_namespace(server.path, USER) as second:
        assert second.tell("hello")["status"] == OK
        namespace = os.open("/proc/%d/ns/user" % second.pid, os.O_RDONLY)
        third = subprocess.Popen(
            [sys.executable, "-c", ENTER + "c = Connection(sys.argv[1]); print(c.receive()['message'])",
             server.path, str(namespace), os.path.dirname(sys.modules["serving"].__file__)],
            pass_fds=[namespace], stdout=subprocess.PIPE, cwd="/")
        os.close(namespace)
        said = third.communicate()[0].decode()
        assert "too many connections of user %d (2)" % USER in said


ENTER = """
import ctypes, sys
sys.path.insert(0, sys.argv[3])
from serving import Connection
assert ctypes.CDLL(None).setns(int(sys.argv[2]), 0x10000000) == 0
"""

NAMED = """
import ctypes, time
ctypes.CDLL(None).prctl(15, ctypes.c_char_p(%r), 0, 0, 0)  # PR_SET_NAME
print("named", flush=True)
time.sleep(1000)
"""


def named(uid, name):
    process = sleeper(uid, (sys.executable, "-c", NAMED % name))
    assert process.stdout.readline() == b"named\n"
    return process


@pytest.mark.attack("the administrator's terminal",
                    "control and bidirectional characters in a process's name")
def test_names_are_escaped(server):
    target = named(USER, b"a\x9b2J\xc2\x9b\xe2\x80\xae\x1b")
    try:
        with Client(server.path, USER) as client:
            reply = client.track(target.pid, 1)
        assert reply["status"] == NO_PROCESS
        assert r"(a\x9b2J\u009b\u202e\x1b)" in reply["message"]
        assert eventually(lambda: rb"(a\x9b2J\u009b\u202e\x1b)" in server.said)
        assert all(byte == 10 or 32 <= byte < 127 for byte in server.said)
    finally:
        end(target)


@pytest.mark.attack("what runs as other users", "asking for every PID, and reading why it is refused")
def test_refusals_tell_nothing(server):
    target = named(OTHER_USER, b"secret-name")
    try:
        with Client(server.path, USER) as client:
            replies = [client.track(target.pid, ticks) for ticks in (0, 1)]
            kernel = client.track(2)
            told = client.track(os.getpid())
        assert replies[0] == replies[1], "nor when it started"
        assert replies[0]["status"] == kernel["status"] == NOT_PERMITTED
        assert "secret" not in replies[0]["message"]
        for reply, pid in ((kernel, 2), (told, os.getpid())):
            assert reply["message"].replace("pid %d:" % pid, "") == \
                replies[0]["message"].replace("pid %d:" % target.pid, "")
        assert b"secret" not in server.said
    finally:
        end(target)


@pytest.mark.attack("which process a thread is of", "asking for thread IDs of other users' processes")
def test_threads_of_others_tell_nothing(server):
    code = ("import threading, time\nt = threading.Thread(target=time.sleep, args=(1000,), daemon=True)\n"
            "t.start()\nprint(t.native_id, flush=True)\ntime.sleep(1000)")
    target = sleeper(OTHER_USER, (sys.executable, "-c", code))
    try:
        thread = int(target.stdout.readline())
        with Client(server.path, USER) as client:
            reply = client.track(thread)
        assert reply["status"] == NO_PROCESS and str(target.pid) not in reply["message"]
    finally:
        end(target)


def test_who_is_refused_reads_why(folder):
    """Also if a request came first, whichever of the two is faster."""
    with Server(TOOL, os.path.join(folder, "s"), "--max-clients", "1") as server:
        first = server.connect()
        assert first.ask(HELLO)["status"] == OK
        os.kill(server.process.pid, signal.SIGSTOP)
        waiting = [Connection(server.path) for _ in range(20)]
        for connection in waiting:
            for _ in range(3):
                connection.send(request(TRACK))
        os.kill(server.process.pid, signal.SIGCONT)
        for connection in waiting:
            reply = connection.receive()
            assert reply["status"] == LIMIT and "--max-" in reply["message"]
            assert connection.receive() is None
            connection.close()
        os.kill(server.process.pid, signal.SIGSTOP)
        first.send(b"no request")
        first.send(b"nor this")
        os.kill(server.process.pid, signal.SIGCONT)
        assert first.receive()["message"]


@pytest.mark.attack("the server's time", "connections refused for want of a place, as fast as it goes")
def test_refused_connections_cost_little(folder):
    with Server(TOOL, os.path.join(folder, "s"), "--max-clients", "1") as server, \
            Client(server.path, USER) as client:
        assert client.track()["status"] == OK
        before = server.descriptors()
        for _ in range(300):
            refused = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            refused.connect(server.path)
            refused.close()
        assert client.tell("hello")["status"] == OK
        # Those closed that are still to be looked at go, and what tracking a process took for a moment.
        assert eventually(lambda: server.descriptors() <= before)


@pytest.mark.attack("the server's time", "senders that go on while it closes their connection")
def test_senders_that_go_on_are_closed(folder):
    """What a connection that is closed still has to be read has an end, however fast more is sent."""
    code = ("import socket, sys\n"
            "s = socket.socket(fileno=int(sys.argv[1]))\n"
            "print(flush=True)\n"
            "try:\n"
            "    while True:\n"
            "        s.send(b'no request')\n"
            "except OSError:\n"
            "    pass\n")
    with Server(TOOL, os.path.join(folder, "s")) as server:
        hostile = server.connect()
        hostile.socket.setblocking(True)
        os.kill(server.process.pid, signal.SIGSTOP)
        senders = [subprocess.Popen([sys.executable, "-c", code, str(hostile.socket.fileno())],
                                    pass_fds=[hostile.socket.fileno()], stdout=subprocess.PIPE)
                   for _ in range(6)]
        try:
            for sender in senders:
                assert sender.stdout.readline() == b"\n"
            os.kill(server.process.pid, signal.SIGCONT)
            for sender in senders:
                assert sender.wait(60) == 0
            other = server.connect()
            assert other.ask(HELLO)["status"] == OK
            other.close()
        finally:
            for sender in senders:
                sender.kill()
                sender.wait()
                sender.stdout.close()
            hostile.close()
