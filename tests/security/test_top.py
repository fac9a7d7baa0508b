# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The live screen: which rights it and its helpers have, and what a target can do to the terminal of who
watches."""
import os
import re
import shutil
import sys
import tempfile

import pytest

import harness
from harness import TOOL
from terminals import Terminal
from test_confined import DAC_OVERRIDE, EXAMINE, FOWNER, PROFILE, check_confined

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is missing: tools/install-deps test installs it")

MARK = 7777  # a parameter of escape sequences that nobody else uses
ESCAPES = "\x1b[%d;1H\x1b]0;taken\x07\x9b%dm\x90q\x9c\u202e\r\x7f\x08" % (MARK, MARK)
WIDE = "\u6f22" * 20 + "a" + "\u0301" * 40

# Works under a file name, function name, class name, command line and process name of its user's choice.
HOSTILE = '''# -*- coding: latin-1 -*-
import ctypes, sys
ESCAPES = %r
ctypes.CDLL(None).prctl(15, b"\\x1b[7777m\\x9b1m", 0, 0, 0)
Kept = type("Kept" + ESCAPES, (), {})
kept, held = [], []
globals()["held" + ESCAPES] = held
del held
def work():
    kept.append(b"x" * (4 << 20))  # \x1b[7777;1H\x9b7777m\xff
    globals()["held" + ESCAPES].extend([Kept(), bytearray(3 << 20)])
more = {"co_qualname": ESCAPES} if hasattr(work.__code__, "co_qualname") else {}
work.__code__ = work.__code__.replace(co_name="work" + ESCAPES, **more)
print("ready", flush=True)
for line in sys.stdin:
    work()
    print("done", flush=True)
''' % ESCAPES


class Hostile(harness.Stepping):
    """A process that grows when told, and whose every name is an attack."""

    def __init__(self, python, folder):
        name = os.fsencode(folder) + b"/top" + (ESCAPES + WIDE).encode()[:150] + b"\xff\xfe\n.py"
        with open(name, "w", encoding="latin-1") as f:
            f.write(HOSTILE)
        harness.Stepping.__init__(self, [*python, name, ESCAPES.encode() + b"\xff\n", WIDE.encode() * 20])


@pytest.fixture
def hostile(system, tmp_path):
    with Hostile(system, tmp_path) as target:
        yield target


@pytest.fixture
def record():
    """A file for all that the terminal gets."""
    handle, path = tempfile.mkstemp(prefix="pymem-top.")
    os.close(handle)
    yield path
    os.unlink(path)


def cgroup_mount():
    """Where cgroup v2 is. None: nowhere, or nothing can be made there."""
    with open("/proc/mounts") as f:
        for line in f:
            words = line.split()
            if words[2] == "cgroup2" and os.access(words[1], os.W_OK):
                return words[1]
    return None


@pytest.fixture
def container(hostile):
    """The name of a container whose name is an attack, with the process in it; None: none can be made here."""
    mount = cgroup_mount()
    if not mount:
        print("no cgroup can be made here: names of containers are not tried", file=sys.stderr)
        yield None
        return
    folder = os.path.join(mount, "machine-pymem%d%s.scope" % (os.getpid(), ESCAPES.replace("/", "")))
    os.mkdir(folder)
    try:
        with open(os.path.join(folder, "cgroup.procs"), "w") as f:
            f.write(str(hostile.pid))
        yield "nspawn:pymem%d" % os.getpid()
    finally:
        harness.end_process(hostile.process)
        harness.until(lambda: not open(os.path.join(folder, "cgroup.procs")).read(), "empty")
        os.rmdir(folder)


def check_bytes(path):
    """Nothing but what curses sends: no control character of a target's, no sequence, no text that is not
    UTF-8."""
    with open(path, "rb") as f:
        text = f.read().decode()
    assert len(text) > 1000
    ours = re.sub(r"\x1b(\[\??[\d;]*[@-~]|[()][0AB]|[=>78M])", "", text)
    assert "\x1b" not in ours, ours[ours.index("\x1b") - 20:][:80]
    assert not re.search(r"\x1b\[\??[\d;]*%d" % MARK, text)
    assert not re.search("[\x00-\x06\x0b\x0c\x10-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", ours)
    assert "\x07" not in ours


@pytest.mark.attack("the terminal of who watches",
                    "escape sequences, wide and combining characters in names of files, functions, classes, "
                    "processes and containers, in arguments and source, on the live screen")
@pytest.mark.parametrize("env", [{}, {"LANG": "C"}, {"TERM": "xterm-256color", "NO_COLOR": "1"}],
                         ids=["utf-8", "ascii", "no-color"])
def test_names(hostile, container, record, env):
    with Terminal(120, 30, **env) as terminal:
        terminal.tmux("pipe-pane", "cat > " + record)
        terminal.run(TOOL, "top", "-p", str(hostile.pid))
        terminal.see(r"^RSS [1-9]")
        hostile.step()
        hostile.step()
        seen = terminal.see(r"^>.*\\x08")
        terminal.keys("Enter")
        terminal.see(r"^> +\d+ .*kept\.append.*\\x1b\[%d" % MARK)
        terminal.keys("BSpace", "BSpace")
        seen = terminal.see(r"^> +%d .*\\x1b\[%d" % (hostile.pid, MARK))
        assert all(len(line) <= 120 for line in seen.split("\n"))
        terminal.keys("BSpace")
        terminal.see(r"^>.* 1 top\\x1b\[%d" % MARK)
        if container:
            terminal.keys("BSpace")
            terminal.see(r"^>.* 1 %s\\x1b\[%d" % (container, MARK))
            terminal.keys("Enter")
        terminal.keys("Enter", "k")
        terminal.see(r"^what pid %d keeps$" % hostile.pid)
        terminal.see(r"Garbage collector")
        terminal.see(r"held\\x1b\[%d" % MARK)
        terminal.keys("q", "n")
        terminal.see("^notes$")
        terminal.keys("q", "q")
        terminal.see(r"^ended with 0$")
        terminal.tmux("pipe-pane")
    check_bytes(record)


def child_named(pid, name):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        found = [int(child) for child in f.read().split()]
    named = []
    for child in found:
        with open("/proc/%d/comm" % child) as f:
            if f.read().strip() == name:
                named.append(child)
    assert len(named) == 1, name
    return named[0]


@pytest.mark.attack("root, through a mistake in the profiler", "taking over the live screen, or a helper of it")
def test_rights(hostile):
    with Terminal(80, 24) as terminal:
        terminal.run(TOOL, "top", "-p", str(hostile.pid))
        terminal.see(r"^RSS [1-9]")
        pid = terminal.pid_of("pymem-bpf")
        check_confined(pid, PROFILE)
        for helper in harness.helpers_of(pid):
            check_confined(helper, EXAMINE)
        check_confined(child_named(pid, "pymem-looker"), EXAMINE)
        scribe = child_named(pid, "pymem-scribe")
        check_confined(scribe, {DAC_OVERRIDE, FOWNER})
        assert {os.readlink("/proc/%d/fd/%d" % (scribe, fd)) for fd in range(3)} == {"/"}
        terminal.keys("q")
        terminal.see(r"^ended with 0$")


@pytest.mark.attack("root's files are overwritten", "a link where the live screen is to write a report")
@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "to nothing"])
def test_report_is_a_link(hostile, tmp_path, dangling):
    own = tmp_path / "own"
    if not dangling:
        own.write_text("root's own")
    with Terminal(120, 24) as terminal:
        os.symlink(str(own), os.path.join(terminal.folder.name, "r.txt"))
        terminal.run(TOOL, "top", "-p", str(hostile.pid))
        terminal.see(r"^RSS [1-9]")
        for name, said in (("r.txt", r"r\.txt is there already"), ("s.txt", r"report written: s\.txt")):
            terminal.keys("w")
            terminal.see(r"^write report to: ")
            terminal.keys("C-u")
            terminal.keys("-l", name)
            terminal.keys("Enter")
            terminal.see(said)
        assert own.read_text() == "root's own" if not dangling else not own.exists()
        written = os.lstat(os.path.join(terminal.folder.name, "s.txt"))
        assert written.st_mode & 0o777 == 0o600 and written.st_nlink == 1
        terminal.keys("q")
        terminal.see(r"^ended with 0$")
