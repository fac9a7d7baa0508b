# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`pymem-bpf top`, as its user sees it: in a terminal of some size, by its keys."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

import harness
from harness import MIB, TOOL
from terminals import Terminal, compare

pytestmark = [pytest.mark.host,
              pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is missing: tools/install-deps test installs it")]

STEPS = '''import sys

kept = []


def keep():
    kept.append(b"x" * (8 << 20))


def work():
    held = b"y" * (2 << 20)
    return len(held)


print("ready", flush=True)
for line in sys.stdin:
    keep()
    work()
    print("done", flush=True)
'''
KEEP = 7  # its line that keeps 8 MiB a step


class Steps(harness.Stepping):
    """A program that keeps 8 MiB on one line and uses 2 MiB on another, at each step."""

    def __init__(self, python, folder, arguments=(), name="steps.py"):
        path = os.path.join(str(folder), name)
        with open(path, "w") as f:
            f.write(STEPS)
        harness.Stepping.__init__(self, python.command + [path, *arguments])

    def end(self):
        self.process.stdin.close()
        return self.process.wait(harness.PATIENCE)


@pytest.fixture
def steps(system, tmp_path):
    with Steps(system, tmp_path) as target:
        yield target


def start(terminal, *arguments):
    """Begins `top`, and waits for its first rates."""
    terminal.run(TOOL, "top", *arguments)
    terminal.see(r"^q quit")
    terminal.see(r"^RSS [1-9]")


def lines_of(terminal, target, steps=2):
    """On the lines of the process, after some growth, when rates are known."""
    start(terminal, "-p", str(target.pid))
    for _ in range(steps):
        target.step()
    return terminal.see(r"^>.*M \+\d+\.\d[MG] .*steps\.py:%d keep" % KEEP)


def quits(terminal):
    terminal.keys("q")
    terminal.see(r"^ended with 0$")
    assert not terminal.alternate()


# --- what is seen ---

@pytest.mark.parametrize("columns, rows", [(40, 10), (80, 24), (120, 40), (200, 50)])
def test_screens(steps, columns, rows):
    """Each level in four sizes, as stored; in and out by Enter and Backspace."""
    with Terminal(columns, rows) as terminal:
        start(terminal, "-p", str(steps.pid))
        steps.step()
        steps.step()
        terminal.keys("/")
        terminal.keys("-l", "keep")
        terminal.keys("Enter")
        time.sleep(6)  # the trend of a line begins when it is seen first
        name = "top-%%s-%d.txt" % columns
        compare(name % "lines", terminal.see(r"^>.*:%d keep" % KEEP))
        terminal.keys("Enter")
        compare(name % "source", terminal.see(r"^> +%d .*kept\.append" % KEEP))
        terminal.keys("BSpace", "BSpace")
        compare(name % "processes", terminal.see(r"^> +%d " % steps.pid))
        terminal.keys("Left")
        compare(name % "programs", terminal.see(r"^>.* 1 steps\.py$"))
        terminal.keys("?")
        compare(name % "help", terminal.see(r"^keys and columns$"))
        terminal.keys("q", "Enter", "Enter")
        terminal.see(r"^>.*:%d keep" % KEEP)
        quits(terminal)


def test_resized(steps):
    """A screen that was made larger or smaller is as one that began so."""
    with Terminal(80, 24) as terminal:
        start(terminal, "-p", str(steps.pid))
        steps.step()
        steps.step()
        terminal.keys("BSpace", "BSpace")
        time.sleep(6)
        for columns, rows in (200, 50), (40, 10), (120, 40), (80, 24):
            terminal.resize(columns, rows)
            terminal.see(r"^q quit", gone=False)
            time.sleep(1)
            compare("top-programs-%d.txt" % columns, terminal.see(r"^>.* 1 steps\.py$"))
        terminal.resize(15, 5)
        terminal.see(r"^too small$")
        terminal.resize(80, 24)
        terminal.see(r"^>.* 1 steps\.py$")
        quits(terminal)


def test_amounts(steps):
    """The figures are those of the program: 8 MiB a step on its line."""
    with Terminal(100, 24) as terminal:
        seen = lines_of(terminal, steps, 3)
        assert re.search(r"\+24\.[0-2]M .*:%d keep" % KEEP, seen), seen
        terminal.keys("r")
        terminal.see(r"growth counts from now on")
        terminal.see(r"no line has changed memory")
        steps.step()
        seen = terminal.see(r"^>.*:%d keep" % KEEP)
        assert re.search(r"\+8\.[01]M .*:%d keep" % KEEP, seen), seen
        assert re.search(r"growth of the last 0:\d\d", seen), seen
        quits(terminal)


def test_all(system, tmp_path):
    """All Pythons: programs are gathered, and one can be looked into. The largest is first and stays."""
    with Steps(system, tmp_path, name="top_aa.py") as one, Steps(system, tmp_path, name="top_aa.py") as two, \
            Steps(system, tmp_path, name="top_bb.py") as three, Terminal(120, 30) as terminal:
        start(terminal)
        for target in (one, two, three, one):
            target.step()
        terminal.keys("/")
        terminal.keys("-l", "top_")
        terminal.keys("Enter")
        seen = terminal.see(r" 2 top_aa\.py$")
        assert re.search(r"all Pythons", seen), seen
        terminal.see(r"shared once")
        # What they grew by decides, as soon as it is counted.
        terminal.see(r"2 top_aa\.py\n(.*\n)*.* 1 top_bb\.py$")
        # Containers, where the tests run in some, are the level above.
        terminal.keys("Home", "Enter")
        terminal.see(r"top_aa\.py > processes")
        terminal.see(r" %d " % one.pid)
        terminal.see(r" %d " % two.pid)
        quits(terminal)


# --- terminals ---

def colors(terminal):
    return set(re.findall(r"\x1b\[(?:[\d;]*;)?(3[1-7])m", terminal.screen(styles=True)))


@pytest.mark.parametrize("env, wanted", [({}, {"31"}), ({"NO_COLOR": ""}, {"31"}), ({"NO_COLOR": "1"}, set()),
                                         ({"TERM": "vt100"}, set())])
def test_color(steps, env, wanted):
    """What grew most is red, if colours are wanted and there are some. A selected row is reversed and has none."""
    with Terminal(80, 24, **env) as terminal:
        lines_of(terminal, steps)
        terminal.keys("t")
        terminal.see(r"TOTAL")
        terminal.see(r"^ .*<module>")
        terminal.keys("Down", "Down")
        terminal.see(r"^>.*:11 work")
        assert colors(terminal) == wanted, terminal.screen(styles=True)
        quits(terminal)


def test_ascii(system, tmp_path):
    """Where the locale is not UTF-8, nothing but ASCII is written."""
    with Steps(system, tmp_path, ["é…\u202e\x1b]0;title\x07"]) as target, Terminal(140, 24, LANG="C") as terminal:
        lines_of(terminal, target)
        terminal.see(r"OWNv")
        terminal.keys("BSpace")
        seen = terminal.see(r"steps\.py \\u00e9~\\u202e\\x1b\]0;title\\x07$")
        assert seen.isascii(), seen
        quits(terminal)


def test_hostile(system, tmp_path):
    """What a target chooses can't move the cursor or end the line."""
    with Steps(system, tmp_path, ["a\x1b[2J\nb\u202e" + "c" * 500]) as target, Terminal(80, 24) as terminal:
        lines_of(terminal, target)
        terminal.keys("BSpace")
        seen = terminal.see(r"steps\.py a\\x1b\[2J\\nb")
        assert all(len(line) <= 80 for line in seen.split("\n")), seen
        assert seen.startswith("pymem-bpf "), seen
        quits(terminal)


@pytest.mark.parametrize("env, why", [({"TERM": "dumb"}, r"can't move its cursor \(TERM=dumb\)"),
                                      ({"TERM": "no-such-terminal"}, r"is not known \(TERM=no-such-terminal"),
                                      ({"TERM": None}, r"TERM is not set")])
def test_poor_terminals(steps, env, why):
    """Refused, with what is missing and what helps."""
    with Terminal(100, 24, **env) as terminal:
        terminal.run(TOOL, "top", "-p", str(steps.pid))
        seen = terminal.see(r"^ended with 1$")
        assert re.search(why, seen), seen
        assert "pymem-bpf -p PID -d SEC" in seen.replace("\n", ""), seen


def test_no_terminal(steps):
    """Standard output or input that is none."""
    for what, name in ({"stdin": subprocess.DEVNULL}, "output"), ({}, "output"):
        ended = subprocess.run([TOOL, "top", "-p", str(steps.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               timeout=harness.PATIENCE, **what)
        assert ended.returncode == 1 and not ended.stdout
        assert b"standard %s is no terminal" % name.encode() in ended.stderr
        assert b"pymem-bpf -p PID -d SEC" in ended.stderr


@pytest.mark.parametrize("name", ["/dev/stderr", "/dev/stdout", "/dev/fd/2", "/proc/self/fd/2"])
def test_report_to_a_descriptor(tmp_path, name):
    """It is refused at once, also where it leads to a file: the helper that writes reports has other descriptors."""
    for where in str(tmp_path / "said"), os.devnull:
        with open(where, "w") as said:
            ended = subprocess.run([TOOL, "top", "-a", "-o", name], stdout=said, stderr=subprocess.PIPE,
                                   timeout=harness.PATIENCE)
        assert ended.returncode == 2
        assert ended.stderr == b"pymem-bpf top: -o %s: w writes to a file; give its name\n" % name.encode()


def test_wrong_words(steps):
    ended = subprocess.run([TOOL, "top", "-a", "-p", str(steps.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=harness.PATIENCE)
    assert ended.returncode == 2 and b"exclude one another" in ended.stderr
    with Terminal(100, 24) as terminal:
        with subprocess.Popen(["sleep", "1000"]) as other:
            terminal.run(TOOL, "top", "-p", str(other.pid))
            terminal.see(r"is not Python")
            terminal.see(r"^ended with 1$")
            other.kill()
        for name in "/dev/stdout", "/dev/tty", "-":
            terminal.run(TOOL, "top", "-p", str(steps.pid), "-o", name)
            terminal.see(r"-o %s: (the screen is there; give the name of a file|w writes to a file; give its name)$" % name)
            terminal.see(r"^ended with 2$")
        terminal.run(TOOL, "top", "-p", str(steps.pid), "-o", "/no/such/folder/x")
        terminal.see(r"-o /no/such/folder/x: No such file")
        terminal.see(r"^ended with 1$")


# --- keys ---

def test_filter_and_sort(steps):
    with Terminal(120, 24) as terminal:
        lines_of(terminal, steps)
        terminal.keys("/")
        terminal.keys("-l", "nothing")
        terminal.see(r"^filter: nothing_$")
        terminal.see(r"nothing passes the filter")
        terminal.keys("Escape")
        terminal.see(r":%d keep" % KEEP)
        terminal.keys("s")
        terminal.see(r" /MIN↓")
        terminal.keys("<", "<")
        terminal.see(r"(RSS|PSS|LINE)↓")
        terminal.keys("I")
        terminal.see(r"(RSS|PSS|LINE)↑")
        terminal.keys("t")
        terminal.see(r":\d+ <module>")
        quits(terminal)


def test_pause(steps):
    """A paused screen stands still, and goes on where the program is by then."""
    with Terminal(80, 24) as terminal:
        lines_of(terminal, steps)
        terminal.keys("Space")
        terminal.see(r"PAUSED")
        terminal.keys("F9")  # no key of ours: it does nothing
        before = terminal.see(r"PAUSED")
        steps.step()
        time.sleep(2.5)
        assert terminal.screen() == before
        terminal.keys("Space")
        terminal.see(r"\+24\.\dM .*:%d keep" % KEEP)
        quits(terminal)


def clicks(terminal, button, column, row):
    """What a terminal sends of a button, 0 or the wheel (64, 65), at a place that is counted from 1."""
    for end in "Mm":
        text = "\x1b[<%d;%d;%d%s" % (button, column, row, end)
        terminal.tmux("send-keys", "-H", *("%02x" % ord(c) for c in text))


def test_mouse(steps):
    """A click selects, one on the selected row goes in; the wheel moves."""
    with Terminal(80, 24, TERM="xterm-256color") as terminal:
        lines_of(terminal, steps)
        terminal.keys("t")
        terminal.see(r"^ .*<module>")
        row = [line[:1] for line in terminal.screen().split("\n")].index(">") + 1
        clicks(terminal, 65, 5, 3)
        terminal.see(r"^>.*:11 work")
        clicks(terminal, 0, 5, row)
        clicks(terminal, 0, 5, row)
        terminal.see(r"^> +\d+ ")
        terminal.see(r"> source$")
        clicks(terminal, 0, 5, 1)  # above the list
        clicks(terminal, 0, 5, 24)
        terminal.keys("?")
        terminal.see(r"^keys and columns$")
        clicks(terminal, 65, 5, 10)
        terminal.see(r"^Enter, right ", gone=True)
        terminal.keys("q")
        quits(terminal)


def test_no_mouse(steps):
    with Terminal(80, 24, TERM="xterm-256color") as terminal:
        start(terminal, "-p", str(steps.pid), "--no-mouse")
        assert terminal.tmux("display-message", "-p", "#{mouse_any_flag}").strip() == "0"
        quits(terminal)
        start(terminal, "-p", str(steps.pid))
        assert terminal.tmux("display-message", "-p", "#{mouse_any_flag}").strip() == "1"
        quits(terminal)
        assert terminal.tmux("display-message", "-p", "#{mouse_any_flag}").strip() == "0"


def test_what_it_keeps(steps):
    """k looks at the heap, in a process of its own, while the screen goes on."""
    with Terminal(120, 30) as terminal:
        lines_of(terminal, steps)
        terminal.keys("k")
        seen = terminal.see(r"__main__\.kept")
        assert re.search(r"^what pid %d keeps$" % steps.pid, seen, re.M), seen
        first = re.search(r"0:\d\d", seen).group()
        terminal.see(re.escape(first), gone=True)
        terminal.keys("q")
        terminal.see(r":%d keep" % KEEP)
        # One that is given up is ended.
        terminal.keys("k", "q")
        terminal.see(r":%d keep" % KEEP)
        quits(terminal)


def test_write(steps):
    """w asks for a name in the folder where it began. It replaces nothing, and writes nowhere else."""
    with Terminal(120, 24) as terminal:
        lines_of(terminal, steps)
        for name, said in (("r1.txt", r"report written: r1\.txt \("), ("r1.txt", r"r1\.txt is there already"),
                           ("../x", r"a name of letters"), ("r2.json", r"report written: r2\.json \(")):
            terminal.keys("w")
            terminal.see(r"^write report to: pymem-bpf-\d{6}\.txt_$")
            terminal.keys("C-u")
            terminal.keys("-l", name)
            terminal.keys("Enter")
            terminal.see(said)
        folder = terminal.folder.name
        with open(os.path.join(folder, "r1.txt")) as f:
            assert re.search(r"steps\.py:%d" % KEEP, f.read())
        with open(os.path.join(folder, "r2.json")) as f:
            assert '"pymem-bpf/1"' in f.read()
        assert os.stat(os.path.join(folder, "r1.txt")).st_mode & 0o777 == 0o600
        assert sorted(n for n in os.listdir(folder) if n.startswith("r")) == ["r1.txt", "r2.json"]
        quits(terminal)


def test_write_to_a_file_of_ones_own(steps, tmp_path):
    """With -o it is that file, at once, and again."""
    path = tmp_path / "report.txt"
    path.write_text("old")
    with Terminal(120, 24) as terminal:
        start(terminal, "-p", str(steps.pid), "-o", str(path), "--mode", "640")
        assert path.read_text() == "old"
        steps.step()
        terminal.see(r":%d keep" % KEEP)
        for _ in range(2):
            terminal.keys("w")
            terminal.see(r"report written: ")
            assert re.search(r"steps\.py:%d" % KEEP, path.read_text())
        assert path.stat().st_mode & 0o777 == 0o640
        quits(terminal)


# --- ends ---

def test_the_target_ends(steps):
    """It stays on the screen, marked, with what it did."""
    with Terminal(80, 24) as terminal:
        lines_of(terminal, steps)
        steps.end()
        terminal.see(r"ENDED")
        terminal.see(r"\+16\.\dM .*:%d keep" % KEEP)
        terminal.keys("BSpace")
        terminal.see(r"^> +%d +ended .*\(ended\) steps" % steps.pid)
        quits(terminal)


def stewards_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        children = f.read().split()
    found = []
    for child in children:
        with open("/proc/%s/comm" % child) as comm:
            if comm.read().strip() in ("pymem-looker", "pymem-scribe"):
                found.append(int(child))
    assert len(found) == 2
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV, signal.SIGABRT])
def test_signals_restore_the_terminal(steps, number):
    with Terminal(80, 24) as terminal:
        before = terminal.modes()
        lines_of(terminal, steps)
        assert terminal.alternate() and terminal.modes() != before
        pid = terminal.pid_of("pymem-bpf")
        helpers = [*harness.helpers_of(pid), *stewards_of(pid)]
        os.kill(pid, number)
        crash = number in (signal.SIGSEGV, signal.SIGABRT)
        terminal.see(r"^ended with %d$" % (128 + number if crash else 0))
        assert not terminal.alternate()
        # The shell makes its own modes again in any case; what is typed must be seen.
        terminal.keys("-l", "echo it is se''en")
        terminal.keys("Enter")
        terminal.see(r"^it is seen$")
        harness.until(lambda: all(harness.state(one) in "XZ" for one in helpers), "free of helpers")
        steps.step()


def test_control_c(steps):
    with Terminal(80, 24) as terminal:
        lines_of(terminal, steps)
        terminal.keys("C-c")
        terminal.see(r"^ended with 0$")
        assert not terminal.alternate()


def test_stopped_and_continued(steps):
    """Ctrl-Z gives the terminal back; fg goes on."""
    with Terminal(80, 24) as terminal:
        lines_of(terminal, steps)
        pid = terminal.pid_of("pymem-bpf")
        terminal.keys("C-z")
        harness.until(lambda: harness.state(pid) == "T", "stopped")
        terminal.see(r"\$ $|\$$|Stopped")
        steps.step()
        terminal.keys("-l", "fg")
        terminal.keys("Enter")
        terminal.see(r"\+24\.\dM .*:%d keep" % KEEP)
        terminal.keys("q")
        harness.until(lambda: harness.state(pid) == "X", "ended")


# --- what it costs ---

def test_wakes_seldom(steps):
    """It looks ten times a second, whatever it draws, and its helpers sleep. What that costs: bench/top.py."""
    with Terminal(80, 24) as terminal:
        lines_of(terminal, steps)
        pids = [terminal.pid_of("pymem-bpf")]
        pids += harness.helpers_of(pids[0])
        begun, before = time.monotonic(), sum(map(harness.waits, pids))
        time.sleep(10)
        rate = (sum(map(harness.waits, pids)) - before) / (time.monotonic() - begun)
        print("top of one process: waits %.1f times a second" % rate, file=sys.stderr)
        assert 5 < rate < 25
        quits(terminal)
    assert harness.rss(steps.pid) > 16 * MIB
