# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""counter.py with the real server: as root with a private helper, through a socket, as an ordinary user.
test_counter.py has servers that lie."""
import mmap
import os
import sys
import time

import pytest
import sessions
from sessions import needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf.counter import Counter, HelperError  # noqa: E402


@pytest.fixture(scope="module")
def server():
    one = sessions.Server()
    yield one
    one.close()


REAL = """
import mmap, os, sys
from pymem_bpf import _proc
from pymem_bpf.counter import Counter
own = os.getpid()
with Counter() as c:
    assert c.pid == own and c.alive()
    for _ in range(20):
        block = mmap.mmap(-1, 32 << 20)
        c.reset()
        before = c.rss_bytes
        for at in range(0, len(block), 4096):
            block[at] = 1
        block.close()
        assert abs(c.peak_bytes - before - (32 << 20)) < (1 << 20), (c.peak_bytes, before)
    assert abs(c.rss_bytes - _proc.exact_rss_bytes(own)) <= 65536
    c.reset()
    pid = os.fork()
    if not pid:
        block = bytearray(100000000)
        os._exit(0)
    os.waitpid(pid, 0)
    assert c.tree_peak_bytes - c.rss_bytes > 100000000, (c.tree_peak_bytes, c.rss_bytes)
    assert c.peak_bytes - c.rss_bytes < 2 << 20
    assert c.alive()
print("fine")
"""


@needs_program
def test_real_private():
    stage = sessions.Stage()
    try:
        assert stage.run([sessions.PYTHON, "-X", "dev", stage.write("real.py", REAL)]) == (0, "fine\n")
    finally:
        stage.close()


@needs_program
@pytest.mark.parametrize("user", [0, sessions.USER])
def test_real_through_a_socket(server, user):
    stage = sessions.Stage(user)
    try:
        done = stage.run([sessions.PYTHON, stage.write("real.py", REAL)], PYMEM_BPF_SOCKET=server.path)
        assert done == (0, "fine\n")
    finally:
        stage.close()


WITHIN = """
import os
from pymem_bpf import _proc, memory_usage
from pymem_bpf.counter import Counter
MIB = 1 << 20

def grow():
    return bytearray(50 * MIB)

def tree(pids):
    return sum(_proc.exact_rss_bytes(pid) for pid in pids)

def near(got, want):
    assert abs(got - want) <= MIB, (got, want)

def fork(work):
    # A child that does its work, says so, and stays until told: (pid, function that ends it).
    ask, answer = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            kept = work()
            os.write(answer[1], b"!")
            os.read(ask[0], 1)
            status = 0
        finally:
            os._exit(status)
    os.close(answer[1])
    assert os.read(answer[0], 1) == b"!", "the child failed"

    def end():
        os.write(ask[1], b"!")
        assert os.waitpid(pid, 0)[1] == 0
    return pid, end

def in_child():
    # On its parent's sum, with one of its own.
    with Counter() as own, Counter() as again:
        near(own.tree_bytes, tree([os.getpid()]))
        grandchild, end = fork(lambda: bytearray(100 * MIB))
        both = tree([os.getpid(), grandchild])
        near(own.tree_bytes, both)
        end()
        again.reset()
        near(own.tree_peak_bytes, both)
        peak = memory_usage((grow,), max_usage=True, include_children=True) * MIB
        near(peak, own.rss_bytes + 50 * MIB)
        near(own.tree_bytes, tree([os.getpid()]))
        again.reset()
        near(again.tree_peak_bytes, again.tree_bytes)
        near(own.tree_peak_bytes, both)
    return bytearray(30 * MIB)

with Counter() as c:
    child, end = fork(in_child)
    near(c.tree_bytes, tree([os.getpid(), child]))
    assert c.tree_peak_bytes > c.tree_bytes + 70 * MIB
    end()
    near(c.tree_bytes, tree([os.getpid()]))
print("fine")
"""


@needs_program
def test_sums_within_one_another(server):
    """A child of what is watched has its own figures, and its parent's sum has all of it."""
    stage = sessions.Stage(sessions.USER)
    try:
        done = stage.run([sessions.PYTHON, stage.write("within.py", WITHIN)],
                         PYMEM_BPF_SOCKET=server.path)
        assert done == (0, "fine\n")
    finally:
        stage.close()


@needs_program
def test_real_in_a_pid_namespace(server):
    """The server names our PID; ours is 1."""
    stage = sessions.Stage()
    try:
        program = stage.write("inside.py", "from pymem_bpf.counter import Counter\nimport os\n"
                              "with Counter() as c:\n"
                              "    print(os.getpid() < 5, c.pid > 5, c.rss_bytes > 0)\n")
        done = stage.run(["unshare", "--pid", "--fork", "--mount-proc", sessions.PYTHON, program],
                         PYMEM_BPF_SOCKET=server.path)
        assert done == (0, "True True True\n")
    finally:
        stage.close()


@needs_program
def test_real_another_users_process_is_refused(server):
    stage = sessions.Stage(sessions.USER)
    try:
        program = stage.write("other.py", "from pymem_bpf.counter import Counter, HelperError\n"
                              "try:\n    Counter(%d)\nexcept HelperError as e:\n    print(e)\n" % os.getpid())
        status, said = stage.run([sessions.PYTHON, program], PYMEM_BPF_SOCKET=server.path)
        assert status == 0 and "user" in said and "\n" == said[-1], said
    finally:
        stage.close()


@needs_program
def test_real_page_cannot_be_made_writable(server):
    with Counter(socket=server.path) as c:
        with pytest.raises(TypeError):
            c.block[0] = 0
        with pytest.raises(HelperError, match="process"):
            Counter(2 ** 22 + 1, socket=server.path)
        assert c.alive()


@needs_program
def test_real_server_killed():
    one = sessions.Server()
    try:
        with Counter(socket=one.path) as c:
            one.kill()
            end = time.monotonic() + sessions.PATIENCE
            while c.alive() and time.monotonic() < end:
                time.sleep(0.02)  # its end of the socket is closed some time after it
            assert not c.alive() and c.rss_bytes > 0
            with pytest.raises(HelperError, match="start it again"):
                c.reset()
            assert isinstance(c.block, mmap.mmap)
    finally:
        one.close()
