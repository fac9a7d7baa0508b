# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""counter.py with servers that lie, flood, die or have another version. Each is written here. The real server
is in test_counter_real.py."""
import array
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
import sessions

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import _helper, _proc, counter  # noqa: E402
from pymem_bpf.counter import Counter, HelperError, HelperMissing  # noqa: E402

INCLUDE = os.path.join(sessions.PROJECT, "include")


def block_fd(version=2, state=1, size=counter.BLOCK_BYTES, seal=True, rss=5, peak=9, flags=0):
    fd = os.memfd_create("block", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(fd, size)
    block = struct.pack("=IIIIqqqqIIII", version, state, 0, 1, 4, rss, 6, 0, flags, 1, 0, 3)
    block += struct.pack("=qqQQ", 1000, 1000, 0, 0) * 2 + struct.pack("=qqQQ", peak, 11, 0, 0)
    os.pwrite(fd, block[:size], 0)
    if seal:
        fcntl.fcntl(fd, 1033, counter.F_SEAL_SHRINK)
    return fd


def reply(op, status=0, magic=counter.MAGIC, version=2, block=counter.BLOCK_BYTES, pid=77, message=b"",
          slot=2):
    return counter.REPLY.pack(magic, version, op, status, block, pid, slot, b"0.1.0", message)


def hang_up(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the client was first


class Fake:
    """A server whose answer to each operation the test gives: bytes, or (bytes, descriptors)."""

    def __init__(self, path, **answers):
        self.path, self.requests, self.answers = str(path), [], answers
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.connections = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        while True:
            try:
                data = connection.recv(4096)
            except OSError:
                return
            if not data:
                return
            request = counter.REQUEST.unpack(data)
            self.requests.append(request)
            name = ("", "hello", "track", "reset", "untrack")[request[2]]
            said = self.answers.get(name, reply(request[2]))
            if callable(said):
                said = said(connection)
            if said is None:
                return hang_up(connection)
            data, fds = said if isinstance(said, tuple) else (said, [])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                connection.sendmsg([data], rights)
            except OSError:
                return  # the client has had enough

    def stop(self):
        for connection in self.connections:
            connection.close()
        self.listener.close()


@pytest.fixture
def fake(tmp_path):
    started = []

    def start(**answers):
        answers.setdefault("track", (reply(counter.TRACK), [block_fd()]))
        started.append(Fake(tmp_path / "sock", **answers))
        return started[-1]
    yield start
    for one in started:
        one.stop()


def open_fds():
    return len(os.listdir("/proc/self/fd"))


def header(name):
    with open(os.path.join(INCLUDE, name)) as f:
        return f.read()


def test_formats_are_those_of_the_headers(tmp_path):
    """The compiler says what the headers mean."""
    fields = ["version", "state", "start_pages", "rss_pages", "tree_pages", "flags", "peaks",
              "peaks[1]", "peaks[0].peak_pages", "peaks[0].tree_peak_pages"]
    source = tmp_path / "x.c"
    source.write_text("""#include <stdio.h>
#include <stddef.h>
#include "pymem_block.h"
#include "pymem_serve.h"
int main(void) { printf("%d %d %zu %zu %zu %zu %zu %zu %d\\n", PYMEM_BLOCK_VERSION, PYMEM_SERVE_VERSION,
sizeof(struct pymem_serve_request), sizeof(struct pymem_serve_reply), sizeof(struct pymem_block),
offsetof(struct pymem_serve_request, start_ticks), offsetof(struct pymem_serve_reply, program),
offsetof(struct pymem_serve_reply, message), PYMEM_SERVE_MAGIC);
printf("%d %d %d %d %d %d %d %d\\n", PYMEM_SERVE_HELLO, PYMEM_SERVE_TRACK, PYMEM_SERVE_RESET,
PYMEM_SERVE_UNTRACK, PYMEM_SERVE_FAILED, PYMEM_BLOCK_ENDED, PYMEM_BLOCK_PARTIAL,
PYMEM_BLOCK_WATCHERS);""" + "".join(
        'printf("%%zu ", offsetof(struct pymem_block, %s));' % field for field in fields) + "}")
    subprocess.check_call(["cc", "-I", INCLUDE, str(source), "-o", str(tmp_path / "x")])
    said = [int(word) for word in subprocess.check_output([str(tmp_path / "x")]).split()]
    assert said == [counter.BLOCK_VERSION, counter.VERSION, counter.REQUEST.size, counter.REPLY.size,
                    counter.BLOCK_BYTES, 16, 24, 40, counter.MAGIC,
                    counter.HELLO, counter.TRACK, counter.RESET, counter.UNTRACK, counter.FAILED,
                    counter.BLOCK_ENDED, counter.PARTIAL, counter.SLOTS,
                    counter.AT_VERSION, counter.AT_STATE, counter.AT_START, counter.AT_RSS,
                    counter.AT_TREE, counter.AT_FLAGS, counter.AT_SLOTS,
                    counter.AT_SLOTS + counter.SLOT_BYTES, counter.AT_SLOTS + counter.AT_PEAK,
                    counter.AT_SLOTS + counter.AT_TREE_PEAK]
    assert re.search(r'PYMEM_SERVE_SOCKET\s+"%s"' % _helper.SOCKET_PATH, header("pymem_serve.h"))


def test_a_sum_that_lacks_some_is_refused(fake):
    """Never a number that is silently too low; the process's own figures are not concerned."""
    server = fake(track=(reply(counter.TRACK), [block_fd(flags=counter.PARTIAL)]))
    with Counter(socket=server.path) as c:
        assert c.rss_bytes == 5 * _proc.PAGE_BYTES and c.peak_bytes == 9 * _proc.PAGE_BYTES
        for name in ("tree_bytes", "tree_peak_bytes"):
            with pytest.raises(HelperError, match="children"):
                getattr(c, name)


def test_a_page_is_read(fake):
    server, before = fake(), open_fds()
    with Counter(socket=server.path) as c:
        size = _proc.PAGE_BYTES
        assert (c.rss_bytes, c.peak_bytes, c.tree_bytes, c.tree_peak_bytes) == \
            (5 * size, 9 * size, 6 * size, 11 * size)
        assert c.pid == 77 and c.program == "0.1.0" and c.alive() and not c.ended
        assert len(c.block) == counter.BLOCK_BYTES and c.fileno() >= 0
        with pytest.raises(TypeError):
            c.block[0] = 1
        c.reset()
    assert [request[2] for request in server.requests] == [counter.HELLO, counter.TRACK, counter.RESET]
    track = server.requests[1]
    assert track[3] == 0 and track[5] == _proc.start_ticks(os.getpid())
    with pytest.raises(HelperError, match="closed"):
        c.rss_bytes
    assert c.fileno() == -1 and not c.alive()
    c.close()
    server.stop()
    time.sleep(0.05)
    assert open_fds() <= before


def test_a_peak_lower_than_rss_is_rss(fake):
    server = fake(track=(reply(counter.TRACK), [block_fd(rss=12, peak=9)]))
    with Counter(socket=server.path) as c:
        assert c.peak_bytes == 12 * _proc.PAGE_BYTES


def track(**more):
    return reply(counter.TRACK, **more)


NONSENSE = {
    "empty": (dict(hello=b""), "closed the connection"),
    "short": (dict(hello=b"x"), "no pymem-bpf server"),
    "long": (dict(hello=reply(1) + b"x" * 5000), "no pymem-bpf server"),
    "magic": (dict(hello=reply(1, magic=7)), "no pymem-bpf server"),
    "other operation": (dict(hello=reply(2)), "no pymem-bpf server"),
    "status": (dict(hello=reply(1, status=99)), "no pymem-bpf server"),
    "newer": (dict(hello=reply(1, version=3)), r"program 0\.1\.0.*version 3 .*version 2: install"),
    "older": (dict(hello=reply(1, version=1)), r"version 1 .*version 2: install"),
    "newer, other size": (dict(hello=reply(1, version=3)[:100]), "unknown version.*same release"),
    "refuses the version": (dict(hello=reply(1, status=2)), "another version.*same release"),
    "hangs up": (dict(hello=lambda _: None), "closed the connection.*serve"),
    "no descriptor": (dict(track=track()), "0 descriptors"),
    "block size": (dict(track=lambda _: (track(block=4096), [block_fd()])), "block of 4096 bytes"),
    "two": (dict(track=lambda _: (track(), [block_fd(), block_fd()])), "2 descriptors"),
    "twenty": (dict(track=lambda _: (track(), [block_fd() for _ in range(20)])), "no pymem-bpf server"),
    "file too short": (dict(track=lambda _: (track(), [block_fd(size=100)])), "can't be used"),
    "file not sealed": (dict(track=lambda _: (track(), [block_fd(seal=False)])), "could be shortened"),
    "no memory": (dict(track=lambda _: (track(), [os.open("/dev/null", os.O_RDONLY)])), "can't be used"),
    "block version": (dict(track=lambda _: (track(), [block_fd(version=3)])), "version 3"),
    "older block": (dict(track=lambda _: (track(), [block_fd(version=1)])), "version 1"),
    "slot": (dict(track=lambda _: (track(slot=8), [block_fd()])), "9 peaks"),
    "block state": (dict(track=lambda _: (track(), [block_fd(state=9)])), "version 2"),
    "refused": (dict(track=reply(2, status=3)), "another user"),
    "refused, says why": (dict(track=reply(2, status=7, message=b"no \x1b[31mBTF")), r"no \?\[31mBTF"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense(fake, case):
    answers, said = NONSENSE[case]
    server = fake(**answers)
    with pytest.raises(HelperError, match=said) as e:
        Counter(socket=server.path)
    assert "\x1b" not in str(e.value) and len(str(e.value)) < 600


def link(fd):
    try:
        return os.readlink("/proc/self/fd/" + fd)
    except OSError:
        return ""


def test_descriptors_of_bad_answers_are_closed(fake):
    sent = block_fd()
    server = fake(hello=lambda _: (b"garbage", [sent]))
    inode = identity(sent)
    with pytest.raises(HelperError):
        Counter(socket=server.path)
    holders = [fd for fd in os.listdir("/proc/self/fd") if link(fd) and same(fd, inode)]
    assert holders == [str(sent)]


def identity(fd):
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def same(fd, inode):
    try:
        return identity(int(fd)) == inode
    except OSError:
        return False


def test_a_server_that_talks_unasked_is_not_believed(fake):
    server = fake()
    with Counter(socket=server.path) as c:
        for _ in range(100):
            server.connections[0].send(reply(3, status=1))
        assert not c.alive()
        with pytest.raises(HelperError):
            c.reset()


def test_no_answer(fake, monkeypatch):
    monkeypatch.setattr(counter, "ANSWER_SECONDS", 0.2)
    asked = threading.Event()
    server = fake(hello=lambda _: asked.wait(60) and None)
    try:
        with pytest.raises(HelperError, match="has not answered"):
            Counter(socket=server.path)
    finally:
        asked.set()


def test_a_server_that_dies_leaves_the_last_figures(fake):
    server = fake()
    with Counter(socket=server.path) as c:
        server.connections[0].shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        assert not c.alive()
        assert c.rss_bytes == 5 * _proc.PAGE_BYTES
        with pytest.raises(HelperError, match="serve"):
            c.reset()


def test_shared_opens_again(fake, monkeypatch):
    server = fake(track=lambda _: (track(), [block_fd()]))
    monkeypatch.setenv("PYMEM_BPF_SOCKET", server.path)
    monkeypatch.setattr(counter, "_shared", None)
    one = counter.shared()
    assert counter.shared() is one
    server.connections[0].shutdown(socket.SHUT_RDWR)
    time.sleep(0.05)
    two = counter.shared()
    assert two is not one and two.alive()
    two.close()


def test_after_a_fork_the_childs_copy_is_closed(fake):
    server = fake()
    with Counter(socket=server.path) as c:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                c.rss_bytes
            except HelperError as e:
                status = 0 if "fork" in str(e) and not c.alive() and counter._shared is None else 2
            os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert c.alive() and c.rss_bytes == 5 * _proc.PAGE_BYTES


def test_none_there_says_what_to_run(monkeypatch):
    monkeypatch.setenv("PYMEM_BPF", "/opt/x/pymem-bpf")
    with pytest.raises(HelperMissing, match="sudo /opt/x/pymem-bpf serve"):
        Counter(socket=sessions.NO_SOCKET, private=False)
    with pytest.raises(HelperMissing, match="/opt/x/pymem-bpf can't be started"):
        Counter(socket=sessions.NO_SOCKET)
    monkeypatch.delenv("PYMEM_BPF")
    monkeypatch.setattr(_helper, "program", lambda: None)
    with pytest.raises(HelperMissing, match="not where PATH"):
        Counter(socket=sessions.NO_SOCKET)


@pytest.mark.parametrize("path, words", [
    ("", ""), ("/run/pymem-bpf.sock", ""), ("/tmp/my socket", " --socket '/tmp/my socket'")])
def test_command_starts_a_server_that_is_found(monkeypatch, path, words):
    """Where the socket is another one than the server's own, the command says so."""
    monkeypatch.setenv("PYMEM_BPF", "/opt/x/pymem-bpf")
    monkeypatch.setenv("PYMEM_BPF_SOCKET", path)
    assert _helper.command() == "sudo /opt/x/pymem-bpf serve" + words
    monkeypatch.setenv("PYMEM_BPF_SOCKET", "/elsewhere")
    assert _helper.command(path or _helper.SOCKET_PATH) == "sudo /opt/x/pymem-bpf serve" + words


def test_a_private_helper_that_ends_says_why(monkeypatch, tmp_path):
    program = tmp_path / "pymem-bpf"
    program.write_text("#!/bin/sh\necho 'this kernel has no BTF' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PYMEM_BPF", str(program))
    with pytest.raises(HelperError, match="no BTF"):
        Counter(socket=sessions.NO_SOCKET)


def test_other_sockets(tmp_path):
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.bind(str(tmp_path / "stream"))
    stream.listen(1)
    with pytest.raises(HelperError, match="another program's socket"):
        Counter(socket=str(tmp_path / "stream"))
    stream.close()
