# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The helper that a process of root starts for itself: it is none of its children, and ends with it."""
import os
import sys
import time

import sessions
from sessions import needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import _helper, _proc  # noqa: E402

WAITS = """
import os, subprocess, sys, time
from pymem_bpf.counter import Counter
with Counter(private=True) as c:
    print(c._process.pid)
    pid = os.fork()
    if not pid:
        os._exit(3)
    ended = []
    try:
        while True:
            ended.append(os.wait())
    except ChildProcessError:
        pass
    assert ended == [(pid, 3 << 8)], ended
    c.reset()
    assert c.alive() and c.peak_bytes > 0
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    pass
else:
    sys.exit("a child is left")
"""


LOOP = """
import os
@profile
def f():
    return 1
f()
pid = os.fork()
if not pid:
    os._exit(3)
ended = []
try:
    while True:
        ended.append(os.wait())
except ChildProcessError:
    pass
assert ended == [(pid, 3 << 8)], ended
print('waited')
"""


def gone(pid, seconds=20):
    deadline = time.monotonic() + seconds
    while not _proc.ended(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@needs_program
def test_is_no_child():
    """A program that waits for all of its children finds its own."""
    stage = sessions.Stage()
    try:
        status, said = stage.run([sessions.PYTHON, "-X", "dev", stage.write("waits.py", WAITS)])
        assert status == 0, said
        assert gone(int(said))
        status, said = stage.run([sessions.PYTHON, "-m", "pymem_bpf", stage.write("loop.py", LOOP)])
        assert status == 0 and said.startswith("waited\n") and "Occurrences" in said, said
    finally:
        stage.close()


@needs_program
def test_ends_with_a_program_that_is_killed():
    stage = sessions.Stage()
    program = stage.write("killed.py", "import os, signal\nfrom pymem_bpf.counter import Counter\n"
                          "c = Counter()\nprint(c._process.pid, c.alive(), flush=True)\n"
                          "os.kill(os.getpid(), signal.SIGKILL)\n")
    try:
        status, said = stage.run([sessions.PYTHON, program])
        assert status == -9 and said.endswith("True\n")
        assert gone(int(said.split()[0]))
    finally:
        stage.close()


@needs_program
def test_of_a_process_that_gets_orphans():
    """PID 1 of a container, or a subreaper: the helper comes back to it, and goes with the Counter."""
    stage = sessions.Stage()
    program = stage.write("reaper.py", '''
import ctypes, os
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
from pymem_bpf import _proc
from pymem_bpf.counter import Counter
with Counter() as c:
    print(_proc.descendants(os.getpid()) == [c._process.pid], abs(c.tree_bytes - c.rss_bytes) < 1 << 16)
print(_proc.descendants(os.getpid()))
''')
    try:
        assert stage.run([sessions.PYTHON, program]) == (0, "True True\n[]\n")
    finally:
        stage.close()


def test_program_of_the_source_tree(monkeypatch):
    """In a checkout, the helper is the program that was built there, not one in PATH."""
    monkeypatch.delenv("PYMEM_BPF", raising=False)
    assert _helper.program() == sessions.PROGRAM


def test_program_of_an_environment(monkeypatch, tmp_path):
    """Where pip has put both, it is the one of the package's environment, which a notebook does not have in PATH."""
    monkeypatch.delenv("PYMEM_BPF", raising=False)
    monkeypatch.setattr(_helper, "__file__", str(tmp_path / "lib" / "site" / "pymem_bpf" / "_helper.py"))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pymem-bpf"
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "pymem-bpf"
    for path in (program, other):
        path.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    other.chmod(0o755)
    assert _helper.program() == str(other)  # the other can't be run
    program.chmod(0o755)
    assert _helper.program() == str(program)
