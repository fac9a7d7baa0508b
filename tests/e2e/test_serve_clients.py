# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Clients of `pymem-bpf serve` that misbehave, by mistake or on purpose: other clients are not affected."""
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

from harness import TOOL
from serve_fixtures import (  # noqa: F401
    BLOCK, OTHER_USER, USER, answers, end, eventually, folder, rss_pages, server, sleeper)
from serving import (
    BAD_REQUEST, BAD_VERSION, Client, Connection, ENDED, HELLO, LIMIT, LIVE, OK, Page, RESET,
    STATE, Server, TRACK, UNTRACK, request)


@pytest.mark.attack("the server, by what it is sent",
                    "messages that are none: wrong sizes, magics, versions, operations, random bytes")
@pytest.mark.parametrize("message, status", [
    (b"x", BAD_REQUEST), (b"", BAD_REQUEST), (os.urandom(32), BAD_REQUEST),
    (b"\0" * 32, BAD_REQUEST), (request(HELLO)[:31], BAD_REQUEST), (request(HELLO)[:16], BAD_REQUEST),
    (request(HELLO) + b"\0", BAD_REQUEST), (b"A" * 100000, BAD_REQUEST),
    (request(HELLO, magic=1), BAD_REQUEST), (request(0), BAD_REQUEST), (request(5), BAD_REQUEST),
    (request(65535), BAD_REQUEST), (request(TRACK, flags=1), BAD_REQUEST),
    (request(TRACK, pad=1), BAD_REQUEST), (request(HELLO, version=1), BAD_VERSION),
    (request(HELLO, version=9)[:12], BAD_VERSION)], ids=lambda v: str(v)[:24])
def test_garbage(server, message, status):
    connection = server.connect()
    assert connection.ask(TRACK)["status"] == OK
    page = Page(connection.page_fd)
    connection.send(message)
    reply = connection.receive()
    assert reply["status"] == status and reply["message"]
    assert connection.receive() is None, "closed after that"
    assert page.state == ENDED
    assert answers(server)


def test_order_of_requests(server):
    connection = server.connect()
    for op in (RESET, UNTRACK):
        reply = connection.ask(op)
        assert (reply["op"], reply["status"]) == (op, STATE) and "TRACK" in reply["message"]
    reply = connection.ask(HELLO)
    assert (reply["op"], reply["status"]) == (HELLO, OK) and reply["program"]
    connection.close()


@pytest.mark.attack("the server's descriptors, or its time to close them",
                    "sending descriptors along with a request")
def test_descriptors_sent_are_not_taken(server):
    """Closing some takes as long as their sender likes."""
    before = server.descriptors()
    connection = server.connect()
    readable, writable = os.pipe()
    try:
        socket.send_fds(connection.socket, [request(HELLO)], [writable])
        connection.receive()
    except PermissionError:
        pass  # 6.16 and later: refused by the kernel
    os.close(writable)
    connection.close()
    assert os.read(readable, 1) == b"", "the server holds it"
    os.close(readable)
    assert eventually(lambda: server.descriptors() == before)


FLOOD = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
message, read, n, begin = bytes.fromhex(sys.argv[2]), sys.argv[3] == "read", 0, time.monotonic()
print("begun", flush=True)
try:
    for n in range(10000):
        s.send(message)
        if read and not s.recv(1000):
            break
except OSError:
    pass
print(n + 1, time.monotonic() - begin, flush=True)
"""


@pytest.mark.attack("the server's time",
                    "10,000 requests as fast as it goes, reading the answers or not")
@pytest.mark.parametrize("read", ["read", "deaf"])
def test_flood(server, read):
    """10,000 messages as fast as it goes: held back, or dropped; others don't notice."""
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, server.path, request(HELLO).hex(), read],
                             stdout=subprocess.PIPE, user=USER, group=USER, extra_groups=[], cwd="/")
    try:
        assert flood.stdout.readline() == b"begun\n"
        times = []
        # Who does not read may be dropped before the first answer.
        while not times or flood.poll() is None:
            before = time.monotonic()
            assert answers(server)
            times.append(time.monotonic() - before)
            time.sleep(0.02)
        sent, seconds = flood.stdout.read().split()
        if read == "read":
            assert int(sent) == 10000
            assert float(seconds) > 3, "2000 a second, after the first 2000"
        else:
            assert int(sent) < 10000, "who does not read is dropped"
            assert eventually(lambda: b"does not read" in server.said)
        # Of a machine that is busy otherwise, some answers may come late; most do not.
        assert statistics.median(times) < 0.3, times
    finally:
        flood.kill()
        flood.wait()
        flood.stdout.close()


FLOOD_OF_WATCHES = """
import socket, struct, subprocess, sys, time
def request(op, pid=0):
    return struct.pack("=IHHiIQQ", 0x53424D50, 2, op, pid, 0, 0, 0)
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    return s
targets = [subprocess.Popen(["sleep", "60"]) for _ in range(40)]
connections = [connect() for _ in targets]
print("begun", flush=True)
end, done = time.monotonic() + 4, 0
# All at once, again and again; then all of them at once again by hanging up.
while time.monotonic() < end or done <= 40:
    for op in (2, 4):
        for s, target in zip(connections, targets):
            s.send(request(op, target.pid))
        for s in connections:
            assert len(s.recv(1000)) == 248
            done += op == 2
for s, target in zip(connections, targets):
    s.send(request(2, target.pid))
for s in connections:
    s.recv(1000)
for s in connections:
    s.close()
print(done, flush=True)
time.sleep(1)
for target in targets:
    target.kill()
"""


@pytest.mark.attack("the server's time",
                    "40 connections that begin and end watching 40 processes again and again")
def test_flood_of_watches(server):
    """40 connections that begin and end watching 40 processes as fast as it goes, then hang up all at
    once: others are answered between any two of them, and may watch meanwhile."""
    flood = subprocess.Popen([sys.executable, "-c", FLOOD_OF_WATCHES, server.path],
                             stdout=subprocess.PIPE, user=USER, group=USER, extra_groups=[], cwd="/")
    try:
        with Client(server.path, OTHER_USER) as other:
            assert flood.stdout.readline() == b"begun\n"
            hellos, tracks = [], []
            while flood.poll() is None:
                before = time.monotonic()
                assert answers(server)
                hellos.append(time.monotonic() - before)
                before = time.monotonic()
                assert other.track()["status"] == OK
                assert other.tell("untrack")["status"] == OK
                tracks.append(time.monotonic() - before)
                time.sleep(0.05)
        assert flood.wait() == 0
        assert int(flood.stdout.read()) > 40
        print("HELLO %.3f s at most, TRACK %.3f s" % (max(hellos), max(tracks)))
        assert statistics.median(hellos) < 0.3 and statistics.median(tracks) < 0.6
    finally:
        flood.kill()
        flood.wait()
        flood.stdout.close()


def ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))


def ticks_of_a_second(pid):
    before = ticks(pid)
    time.sleep(1)
    return ticks(pid) - before


@pytest.mark.attack("the server's time",
                    "connections that say nothing")
def test_silent_and_slow_clients_cost_nothing(server):
    silent = [server.connect() for _ in range(20)]
    half = server.connect()
    half.ask(HELLO)
    # In one second of some: it also looks at what others start on this machine.
    assert eventually(lambda: ticks_of_a_second(server.process.pid) <= 1), "ticks of 10 ms in a second"
    assert answers(server)
    for connection in silent + [half]:
        connection.close()


def is_admitted(path):
    """One over the limit is told so and hung up on, perhaps before it has asked."""
    connection = Connection(path)
    try:
        return connection.ask(HELLO)["status"] == OK
    except (BrokenPipeError, ConnectionResetError):
        return False
    finally:
        connection.close()


@pytest.mark.attack("all places of the server",
                    "one user connects again and again")
def test_limits(folder):
    path = os.path.join(folder, "s")
    with Server(TOOL, path, "-v", "--max-clients", "5", "--max-per-user", "3"):
        mine = [Connection(path) for _ in range(3)]
        assert all(c.ask(HELLO)["status"] == OK for c in mine)
        refused = Connection(path)
        reply = refused.receive()
        assert reply["status"] == LIMIT and "--max-per-user" in reply["message"]
        assert refused.receive() is None
        with Client(path, USER), Client(path, OTHER_USER):
            refused = Connection(path)
            reply = refused.receive()
            assert reply["status"] == LIMIT and "--max-clients" in reply["message"]
        mine.pop().close()
        assert eventually(lambda: is_admitted(path)), "its place is free again"


def map_id(fd):
    with open("/proc/self/fdinfo/%d" % fd) as f:
        return int(f.read().split("map_id:")[1].split()[0])


def is_map(number):
    return subprocess.run(["/usr/sbin/bpftool", "map", "show", "id", str(number)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.attack("the server's memory and descriptors",
                    "200 clients that are killed while they are watched")
def test_clients_come_and_go(server):
    """200 of them, some killed while they are watched: nothing stays."""
    connection = server.connect()
    connection.ask(HELLO)
    before, maps = server.descriptors(), []
    for i in range(190):
        one = server.connect()
        assert one.ask(TRACK)["status"] == OK, i
        assert Page(one.page_fd).rss > 0
        maps.append(map_id(one.page_fd))
        one.close()
    assert len(set(maps)) == 190
    for i in range(10):
        with Client(server.path, USER) as client:
            assert client.track()["status"] == OK
            child = client.tell("fork", 10)
            page = client.page()
            client.kill()
            assert eventually(lambda: page.state == ENDED)
            os.kill(child, signal.SIGKILL)
    assert connection.ask(HELLO)["status"] == OK
    assert eventually(lambda: server.descriptors() == before)
    assert eventually(lambda: not is_map(maps[0]) and not is_map(maps[-1]))


@pytest.mark.attack("others' pages",
                    "dying while one is watched, a child keeping the connection")
def test_death_of_a_client_disturbs_no_other(server):
    with Client(server.path, USER) as stays:
        stays.track()
        page = stays.page()
        with Client(server.path, USER) as dies:
            dies.track()
            other = dies.page()
            child = dies.tell("fork", BLOCK)
            dies.kill()
        # Its child still holds the connection, and is of no concern any more.
        assert eventually(lambda: other.state == ENDED)
        os.kill(child, signal.SIGKILL)
        stays.tell("grow", BLOCK)
        assert rss_pages(stays.pid) == page.rss and page.state == LIVE


@pytest.mark.attack("the server's table of processes for oneself",
                    "one process that forks without end")
def test_many_children_are_too_many(server):
    """A tree of more processes than one watch may have is let go; others go on."""
    target = sleeper(USER, (sys.executable, "-c", MANY))
    try:
        with Client(server.path, USER) as client, Client(server.path) as other:
            other.track()
            still = other.page()
            assert client.track(target.pid)["status"] == OK
            page = client.page()
            target.stdin.write(b"\n")
            target.stdin.flush()
            assert target.stdout.readline() == b"forked\n"
            assert eventually(lambda: page.state == ENDED)
            assert eventually(lambda: b"too many children" in server.said)
            assert still.state == LIVE
    finally:
        end(target)


MANY = """
import ctypes, os, sys, time
prctl = ctypes.CDLL(None).prctl
sys.stdin.readline()
for i in range(1100):
    if not os.fork():
        prctl(1, 9, 0, 0, 0)  # ends with its parent
        if os.getppid() == 1:
            os._exit(0)
        time.sleep(1000)
        os._exit(0)
print("forked", flush=True)
time.sleep(1000)
"""
