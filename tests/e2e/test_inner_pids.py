# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Processes in PID namespaces of their own, as containers have: both PIDs are shown, -p says which one it wants, and
the program says what it lacks inside of one."""
import contextlib
import json
import os
import shutil
import signal
import subprocess

import pytest

import harness
import heaps
from harness import TOOL, Target, Tool
from terminals import Terminal
from test_bad_input import refused

# The shell is PID 1 there, as an init of a container often is.
INIT = '/bin/true; "$@"; /bin/true'
GROW = """
import os, time
os.write(1, b'ready\\n')
kept = []
while True:
    word = os.read(0, 1)
    forked = word == b'f' and not os.fork()
    if word == b'x' or forked:
        kept.append(bytearray(8 << 20))
        os.write(1, b'done\\n')
    if not word or forked:
        time.sleep(1000)
"""


def status(pid, key):
    with open("/proc/%d/status" % pid) as f:
        return next(line.split()[1:] for line in f if line.startswith(key + ":"))


class Inside:
    """A Python in a PID namespace of its own: `pid` here, `inner` there."""

    def __init__(self, command, folder):
        path = os.path.join(str(folder), "inside.py")
        with open(path, "w") as f:
            f.write(GROW)
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", INIT, "sh",
             *command, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env=harness.environment())
        self.lines = harness.Lines(self.process.stdout)
        assert self.lines.next() == b"ready"
        self.pid = self._find(self.process.pid)
        self.inner = int(status(self.pid, "NSpid")[-1])
        assert self.inner != self.pid

    def _find(self, pid):
        """Below unshare and the shell."""
        while True:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                children = f.read().split()
            if not children:
                return pid
            pid = int(children[0])

    def step(self, word=b"x"):
        self.process.stdin.write(word)
        self.process.stdin.flush()
        assert self.lines.next() == b"done"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def inside(system, tmp_path):
    with Inside(system.command, tmp_path) as target:
        yield target


def run(*words, before=()):
    done = subprocess.run([*before, TOOL, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE, env=harness.environment())
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def both(target):
    return "%d (%d inside)" % (target.pid, target.inner)


def test_report(inside, tmp_path):
    """In each kind of report, and in a recording of it."""
    recording = str(tmp_path / "inside.pymem")
    with Tool("-p", inside.pid) as tool:
        tool.attached()
        inside.step()
        assert tool.stop() == 0, tool.stderr
        process = tool.report().data["processes"][0]
        assert (process["pid"], process["ns_pid"]) == (inside.pid, inside.inner)
    with Tool("record", "-p", inside.pid, "-o", recording, output=False) as tool:
        tool.attached()
        inside.step()
        assert tool.stop() == 0, tool.stderr
    shown = {}
    for words in ([], ["-v"], ["--by", "process"]):
        code, shown[tuple(words)], said = run("report", recording, *words)
        assert code == 0, said
    assert "PID " + both(inside) in shown[()] and "PID " + both(inside) in shown[("-v",)]
    assert "PID %s inside.py" % both(inside) in shown[("--by", "process")]
    code, text, said = run("report", recording, "--format", "json", "--by", "process")
    report = json.loads(text)
    assert report["processes"][0]["ns_pid"] == report["groups"]["rows"][0]["ns_pid"] == inside.inner


def test_child(inside):
    """A worker that is forked while it is watched."""
    with Tool("-p", inside.pid) as tool:
        tool.attached()
        inside.step(b"f")
        with open("/proc/%d/task/%d/children" % (inside.pid, inside.pid)) as f:
            child = int(f.read())
        assert tool.stop() == 0, tool.stderr
        inner = {p["pid"]: p["ns_pid"] for p in tool.report().data["processes"]}
        assert inner == {inside.pid: inside.inner, child: int(status(child, "NSpid")[-1])}


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is missing: tools/install-deps test installs it")
def test_top(inside):
    """Its path in the live screen."""
    with Terminal(110, 20) as terminal:
        terminal.run(TOOL, "top", "-p", str(inside.pid))
        terminal.see(r"%d \(%d inside\)" % (inside.pid, inside.inner))
        terminal.keys("q")
        terminal.see(r"^ended with 0")


def test_not_inside(system):
    """A process of our own namespace has one PID."""
    with Target(system.command, "idle") as target, Tool("-p", target.pid) as tool:
        tool.attached()
        assert tool.stop() == 0, tool.stderr
        assert tool.report().data["processes"][0]["ns_pid"] is None


@pytest.mark.host
def test_ps(inside):
    code, text, said = run("ps", "-v")
    row = next(line for line in text.splitlines() if line.split()[0] == str(inside.pid))
    assert code == 0 and row.endswith("  (%d inside)" % inside.inner), (row, said)
    assert "only this container's" not in said
    processes = json.loads(run("ps", "--format", "json")[1])["processes"]
    assert {p["pid"]: p["ns_pid"] for p in processes}[inside.pid] == inside.inner
    row = next(line for line in run("ps")[1].splitlines() if " %d " % inside.pid in line)
    assert "  (%d inside)" % inside.inner in row


def test_heap(inside):
    done = heaps.run("-p", inside.pid, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["processes"][0]["ns_pid"] == inside.inner
    assert "PID " + both(inside) in heaps.run("-p", inside.pid).stdout.decode()


def test_wrong_namespace(inside):
    """The inner PID of a process, which here is that of no process, or of one that is no Python."""
    with Tool("-p", inside.inner) as tool:
        # Others may have the same PID in theirs.
        refused(tool, 1, "pid %d" % inside.inner, "; %d is the PID in " % inside.inner, " of what is ",
                str(inside.pid), " here")
    done = heaps.run("-p", inside.inner)
    said = done.stderr.decode()
    assert done.returncode == 1 and " of what is " in said and str(inside.pid) in said, said


@pytest.mark.parametrize("words", [["-a", "-d", "1"], ["memit", "--", "true"]], ids=str)
def test_in_a_container(words):
    """Without the host's PIDs: what is missing, before anything is done."""
    code, text, said = run(*words, before=["unshare", "--pid", "--fork", "--mount-proc"])
    assert code == 3 and "in which process numbers are not the kernel's" in said and not text, (code, said)
    for word in ("hostPID: true", "--pid=host", "pid: host"):
        assert word in said
    # Nor are its capabilities the kernel's.
    code, text, said = run(*words, before=["unshare", "--user", "--map-root-user"])
    assert code == 3 and "hostUsers: true" in said and "--userns=host" in said, (code, said)


def test_check_in_a_container():
    code, text, said = run("check", before=["unshare", "--pid", "--fork", "--mount-proc"])
    assert code == 3 and "MISSING the host's PID namespace\n" in text and "hostPID: true" in text, text + said
    assert "ok      the host's user namespace\n" in text
    code, text, said = run("check", before=["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"])
    assert code == 3 and "MISSING the host's PID namespace\n" in text, text
    assert "MISSING the host's user namespace\n" in text and "hostUsers: true" in text, text


def test_ps_in_a_container(system):
    """It lists what is there, and says that this is not all."""
    code, text, said = run("ps", before=["unshare", "--pid", "--fork", "--mount-proc"])
    assert code == 0 and "only this container's processes are seen: " in said and "hostPID: true" in said
    assert "0  Pythons" in text
