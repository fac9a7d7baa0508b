# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`pymem-bpf serve`: its figures against the page tables, who may see what, and clients that
misbehave in every way."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

import harness
from harness import TOOL
from serving import (BAD_REQUEST, BAD_VERSION, ENDED, HELLO, LIMIT, LIVE, NO_PROCESS,
                     NOT_PERMITTED, OK, PAGE, RESET, STATE, TRACK, UNTRACK, Client, Connection, Page,
                     Server, request, start_ticks)
from test_ends import assert_nothing_left, bpf_objects

USER, OTHER_USER = 65534, 12345
BLOCK = 2048  # pages


def links(server):
    """Links that the server holds: what is attached."""
    folder = "/proc/%d/fd" % server.process.pid
    return sum("bpf_link" in os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder))


def eventually(true, seconds=5):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def folder():
    """Open to all users, unlike pytest's own."""
    path = tempfile.mkdtemp(prefix="pymem-serve.")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(folder):
    with Server(TOOL, os.path.join(folder, "s"), "-v") as running:
        yield running
        if running.process.poll() is None:
            assert running.stop() == 0
        assert not os.path.exists(running.path)


def rss_pages(pid):
    return harness.rss_at_rest(pid) // PAGE


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
        assert page.rss == rss_pages(client.pid) <= grown - BLOCK + 16
        assert page.peak_now() >= grown, "the peak stays"
        assert client.tell("reset")["status"] == OK
        assert page.resets == 1
        # Answering takes a page or two.
        assert page.rss <= page.peak_now() <= page.rss + 8
        client.tell("grow", 100)
        assert page.peak_now() == page.rss == rss_pages(client.pid)
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
        assert page.tree == page.rss == rss_pages(client.pid)
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
        assert page.tree == sum(rss_pages(p) for p in everybody)
        everybody.append(client.tell("fork", BLOCK))
        assert page.tree == sum(rss_pages(p) for p in everybody)
        client.tell("untrack")
        client.track()
        page = client.page()
        assert page.tree == sum(rss_pages(p) for p in everybody)
        client.tell("end_children")
        assert page.tree == page.rss == rss_pages(client.pid)


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
            assert page.rss == rss_pages(held.pid)
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

def sleeper(uid, command=("sleep", "1000")):
    user = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
    return subprocess.Popen(list(command), stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd="/",
                            **user)


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()


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
                assert page.rss == rss_pages(target.pid)
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


# --- bad clients ---

def answers(server):
    """Is it there for others?"""
    connection = server.connect()
    reply = connection.ask(HELLO)
    connection.close()
    return reply["status"] == OK


@pytest.mark.parametrize("message, status", [
    (b"x", BAD_REQUEST), (b"", BAD_REQUEST), (os.urandom(32), BAD_REQUEST),
    (b"\0" * 32, BAD_REQUEST), (request(HELLO)[:31], BAD_REQUEST), (request(HELLO)[:16], BAD_REQUEST),
    (request(HELLO) + b"\0", BAD_REQUEST), (b"A" * 100000, BAD_REQUEST),
    (request(HELLO, magic=1), BAD_REQUEST), (request(0), BAD_REQUEST), (request(5), BAD_REQUEST),
    (request(65535), BAD_REQUEST), (request(TRACK, flags=1), BAD_REQUEST),
    (request(TRACK, pad=1), BAD_REQUEST), (request(HELLO, version=2), BAD_VERSION),
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


@pytest.mark.parametrize("read", ["read", "deaf"])
def test_flood(server, read):
    """10,000 messages as fast as it goes: held back, or dropped; others don't notice."""
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, server.path, request(HELLO).hex(), read],
                             stdout=subprocess.PIPE, user=USER, group=USER, extra_groups=[], cwd="/")
    try:
        assert flood.stdout.readline() == b"begun\n"
        slowest = 0
        while flood.poll() is None:
            before = time.monotonic()
            assert answers(server)
            slowest = max(slowest, time.monotonic() - before)
            time.sleep(0.02)
        sent, seconds = flood.stdout.read().split()
        if read == "read":
            assert int(sent) == 10000
            assert float(seconds) > 3, "2000 a second, after the first 2000"
        else:
            assert int(sent) < 10000, "who does not read is dropped"
            assert b"does not read" in server.said
        assert slowest < 1, slowest
    finally:
        flood.kill()
        flood.wait()
        flood.stdout.close()


def test_silent_and_slow_clients_cost_nothing(server):
    silent = [server.connect() for _ in range(20)]
    half = server.connect()
    half.ask(HELLO)
    time.sleep(0.3)
    with open("/proc/%d/stat" % server.process.pid) as f:
        before = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    time.sleep(1)
    with open("/proc/%d/stat" % server.process.pid) as f:
        after = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    assert after - before <= 1, "ticks of 10 ms in a second"
    assert answers(server)
    for connection in silent + [half]:
        connection.close()


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
        time.sleep(0.1)
        assert Connection(path).ask(HELLO)["status"] == OK


def map_id(fd):
    with open("/proc/self/fdinfo/%d" % fd) as f:
        return int(f.read().split("map_id:")[1].split()[0])


def is_map(number):
    return subprocess.run(["/usr/sbin/bpftool", "map", "show", "id", str(number)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


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
        assert page.rss == rss_pages(stays.pid) and page.state == LIVE


# --- the server itself ---

def test_attached_only_while_needed(server):
    assert links(server) == 0
    with Client(server.path) as client:
        assert links(server) == 0, "connecting attaches nothing"
        client.track()
        assert links(server) > 0
        client.tell("untrack")
        assert eventually(lambda: links(server) == 0)
        client.track()
        page = client.page()
        client.tell("grow", BLOCK)
        assert page.rss == rss_pages(client.pid), "and it counts again"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it(server, number):
    before = bpf_objects()
    with Client(server.path) as client:
        client.track()
        page = client.page()
        assert server.stop(number) == 0
        assert client.tell("receive") is None
        assert page.state == ENDED
        client.tell("grow", 10)
    assert not os.path.exists(server.path)
    assert_nothing_left(before)


def test_server_killed(folder):
    before = bpf_objects()
    path = os.path.join(folder, "s")
    with Server(TOOL, path) as server, Client(path, USER) as client:
        client.track()
        page = client.page()
        server.process.kill()
        server.wait()
        assert client.tell("receive") is None
        client.tell("grow", BLOCK)
        frozen = page.rss
        client.tell("shrink")
        assert page.rss == frozen
        assert_nothing_left(before)
    # The file it left is replaced.
    assert os.path.exists(path)
    with Server(TOOL, path) as server:
        assert answers(server)
        # A live one is not.
        with Server(TOOL, path, wait=False) as second:
            assert second.wait() == 1
            assert b"another server listens there already" in second.said
        assert answers(server)
        assert server.stop() == 0
    assert not os.path.exists(path)


def test_other_files_are_left_alone(folder):
    path = os.path.join(folder, "s")
    with open(path, "w") as f:
        f.write("precious")
    with Server(TOOL, path, wait=False) as server:
        assert server.wait() == 1
        assert b"no socket" in server.said
    with open(path) as f:
        assert f.read() == "precious"


def test_path_taken_over_is_left_to_the_other(folder):
    path = os.path.join(folder, "s")
    with Server(TOOL, path) as server:
        os.unlink(path)
        with Server(TOOL, path) as second:
            assert server.stop() == 0
            assert answers(second)


def test_socket_activation(folder):
    path = os.path.join(folder, "s")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(8)
    command = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve 3<&%d %d<&-" % ((listener.fileno(),) * 2)
    process = subprocess.Popen(["bash", "-c", command, TOOL], stderr=subprocess.PIPE,
                               pass_fds=[listener.fileno()])
    try:
        assert b"passed by systemd" in process.stderr.readline()
        connection = Connection(path)
        assert connection.ask(TRACK)["status"] == OK
        process.terminate()
        assert process.wait(10) == 0
        assert os.path.exists(path), "it is systemd's to remove"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        listener.close()


def private_helper(inherited, **popen):
    return subprocess.Popen([TOOL, "serve", "--fd", str(inherited)], stderr=subprocess.PIPE,
                            pass_fds=[inherited], **popen)


def test_private_helper():
    before = bpf_objects()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    helper = private_helper(theirs.fileno())
    try:
        theirs.close()
        connection = Connection(sock=ours)
        assert connection.ask(TRACK)["pid"] == os.getpid()
        page = Page(connection.page_fd)
        assert page.state == LIVE
        # The helper is our child, and not counted as one.
        assert page.tree == page.rss
        # Ctrl-C is the client's own business.
        helper.send_signal(signal.SIGINT)
        assert connection.ask(HELLO)["status"] == OK
        connection.close()
        assert helper.wait(10) == 0
        assert page.state == ENDED
    finally:
        helper.kill()
        helper.wait()
        helper.stderr.close()
    assert_nothing_left(before)


PARENT = """
import os, socket, subprocess, sys, time
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
helper = subprocess.Popen([sys.argv[1], "serve", "--fd", str(theirs.fileno())],
                          pass_fds=[theirs.fileno()])
theirs.close()
print(helper.pid, flush=True)
ours.send(bytes.fromhex(sys.argv[2]))
ours.recv(1000)
if not os.fork():
    time.sleep(1000)  # holds the connection
print("answered", flush=True)
time.sleep(1000)
"""


def test_private_helper_ends_with_its_client():
    parent = subprocess.Popen([sys.executable, "-c", PARENT, TOOL, request(HELLO).hex()],
                              stdout=subprocess.PIPE, start_new_session=True)
    try:
        helper = int(parent.stdout.readline())
        assert parent.stdout.readline() == b"answered\n"
        parent.kill()
        parent.wait()
        assert eventually(lambda: harness.state(helper) in "XZ", 10)
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()


@pytest.mark.parametrize("arguments, status, word", [
    (["--fd", "77"], 2, b"--fd 77"), (["--fd", "x"], 2, b"whole number"), (["--fd", "0"], 2, b"--fd 0"),
    (["--max-clients", "0"], 2, b"from 1"), (["--max-per-user", "1e3"], 2, b"whole number"),
    (["--socket", ""], 1, b"--socket"), (["--socket", "/x" * 80], 1, b"--socket"),
    (["--socket", "/nonexistent/s"], 1, b"No such file"), (["extra"], 2, b"unexpected"),
    (["--nonsense"], 2, b"--help"), (["--socket", "/tmp/x", "--fd", "3"], 2, b"exclude")])
def test_wrong_command_lines(arguments, status, word):
    done = subprocess.run([TOOL, "serve"] + arguments, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, timeout=20)
    assert done.returncode == status and word in done.stderr, done.stderr


def test_not_root(folder):
    tool = os.path.join(folder, "pymem-bpf")
    shutil.copy(TOOL, tool)
    for command in (["serve", "--socket", os.path.join(folder, "s")], ["memit", "--", "true"]):
        done = subprocess.run([tool] + command, stderr=subprocess.PIPE, timeout=20, cwd="/",
                              user=USER, group=USER, extra_groups=[])
        assert done.returncode == 3 and b"sudo pymem-bpf " + command[0].encode() in done.stderr


def test_help():
    done = subprocess.run([TOOL, "serve", "--help"], stdout=subprocess.PIPE, timeout=20)
    assert done.returncode == 0
    for word in (b"--socket", b"--fd", b"--max-clients", b"--max-per-user", b"-v", b"-q"):
        assert word in done.stdout


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
            assert eventually(lambda: page.state == ENDED, 5)
            assert b"too many children" in server.said
            assert still.state == LIVE
    finally:
        end(target)


MANY = """
import os, sys, time
sys.stdin.readline()
for i in range(1100):
    if not os.fork():
        import ctypes
        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # ends with its parent
        if os.getppid() == 1:
            os._exit(0)
        time.sleep(60)
        os._exit(0)
print("forked", flush=True)
time.sleep(60)
"""



def test_installed_units(folder):
    """What is installed names the program's place, and allows the server what it needs."""
    subprocess.run(["make", "-s", "-C", harness.PROJECT, "install", "DESTDIR=" + folder,
                    "PREFIX=/usr"], check=True, timeout=300)
    units = os.path.join(folder, "usr/lib/systemd/system")
    with open(os.path.join(units, "pymem-bpf.service")) as f:
        service = dict(line.strip().split("=", 1) for line in f if "=" in line and line[0] != "#")
    assert service["ExecStart"] == "/usr/sbin/pymem-bpf serve"
    assert os.access(folder + service["ExecStart"].split()[0], os.X_OK)
    with open(os.path.join(units, "pymem-bpf.socket")) as f:
        assert "ListenSequentialPacket=/run/pymem-bpf.sock" in f.read()
    capabilities = ",".join("+" + c[4:].lower() for c in service["CapabilityBoundingSet"].split())
    path = os.path.join(folder, "s")
    process = subprocess.Popen(["setpriv", "--no-new-privs", "--bounding-set=-all," + capabilities,
                                TOOL, "serve", "--socket", path], stderr=subprocess.PIPE)
    try:
        assert b"listening" in process.stderr.readline()
        with Client(path, USER) as client:
            assert client.track()["status"] == OK
            page = client.page()
            client.tell("grow", BLOCK)
            assert page.rss == rss_pages(client.pid)
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
