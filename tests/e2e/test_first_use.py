# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What people type first, and what they are told: names in place of PIDs, workers of a master, waits,
files, pages, widths."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

import harness
from harness import Tool

ESCAPE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")

# Grows by 2 MiB each time that it reads a byte, and says so.
GROWER = ("import os, sys\nkept = []\ndef grow():\n    kept.append(bytearray(2 << 20))\n"
          "print(os.getpid(), flush=True)\nwhile sys.stdin.buffer.read(1):\n    grow()\n"
          "    print('grown', flush=True)\n")
# Forks two workers that grow when it gets a byte; it only waits itself.
MASTER = ("import os, sys\nkept = []\ndef work():\n    kept.append(bytearray(3 << 20))\nends = []\n"
          "said, tell = os.pipe()\n"
          "for i in range(2):\n    r, w = os.pipe()\n    pid = os.fork()\n    if not pid:\n"
          "        os.close(w)\n        os.write(tell, b'%d\\n' % os.getpid())\n"
          "        while os.read(r, 1):\n            work()\n            os.write(tell, b'x')\n"
          "        os._exit(0)\n    ends.append(w)\n"
          "pids = b''\nwhile pids.count(b'\\n') < 2:\n    pids += os.read(said, 100)\n"
          "print(os.getpid(), *pids.decode().split(), flush=True)\n"
          "while sys.stdin.buffer.read(1):\n    for end in ends:\n        os.write(end, b'x')\n"
          "    for end in ends:\n        os.read(said, 1)\n    print('grown', flush=True)\n"
          "for end in ends:\n    os.close(end)\n"
          "for end in ends:\n    os.wait()\n")


def run(*arguments, **how):
    env = dict(os.environ, **how.pop("more", {}))
    return subprocess.run([harness.TOOL, *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE, env=env, **how)


class Program:
    """A script of that name, which runs."""

    def __init__(self, folder, name, source, arguments=(), before=(), how=("{python}", "{path}")):
        path = os.path.join(str(folder), name)
        with open(path, "w") as f:
            f.write(source)
        words = [w.format(python=sys.executable, path=path) for w in how]
        self.process = subprocess.Popen([*before, *words, *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=harness.environment())
        self.lines = harness.Lines(self.process.stdout)
        self.pids = list(map(int, self.lines.next().split()))
        self.pid = self.pids[0]

    def grow(self):
        self.process.stdin.write(b"x")
        self.process.stdin.flush()
        assert self.lines.next() == b"grown"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Its children end with the ends of their pipes.
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(harness.PATIENCE)
        harness.end_process(self.process)


class Screen:
    """The profiler on a terminal; what it wrote there is in `said`."""

    def __init__(self, *arguments, columns=100, rows=30, stdout=True, **more):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "PAGER", "LESS")}
        env.update({"TERM": "xterm", "LC_ALL": "C.UTF-8"}, **more)
        self.process = subprocess.Popen([harness.TOOL, *map(str, arguments)], stdin=slave,
                                        stdout=slave if stdout else subprocess.DEVNULL, stderr=slave,
                                        start_new_session=True, env=env)
        os.close(slave)
        self.said, self.over = b"", False

    def read(self, seconds):
        """False: nothing came."""
        if self.over or not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last user of the terminal is gone
            data = b""
        self.over = not data
        self.said += data
        return bool(data)

    def until(self, pattern):
        deadline = time.monotonic() + harness.PATIENCE
        while not re.search(pattern, self.said):
            assert time.monotonic() < deadline and not self.over, self.said[-3000:]
            self.read(0.2)
        return self

    def end(self, number=signal.SIGINT):
        """Its exit status, after that signal; None: it ends by itself."""
        if number:
            self.process.send_signal(number)
        deadline = time.monotonic() + harness.PATIENCE
        while not self.over and time.monotonic() < deadline and (self.process.poll() is None or self.read(1)):
            self.read(0.2)
        return self.process.wait(harness.PATIENCE)

    def text(self):
        return ESCAPE.sub(b"", self.said).replace(b"\r\n", b"\n").decode("utf-8", "replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


# --- words that are nearly right ---

@pytest.mark.parametrize("words, said", [
    (["5849"], "pymem-bpf: 5849 is a PID: pymem-bpf -p 5849\n"),
    (["heap", "5849"], "pymem-bpf heap: 5849 is a PID: pymem-bpf heap -p 5849\n"),
    (["memit", "-p", "1", "-d", "5x"], "pymem-bpf memit: -d 5x: expected seconds from 0.001 to "
                                       "1000000000, or a time such as 30s, 5m or 1h\n"),
    (["--pager", "-o", "x", "-a"], "pymem-bpf: --pager and -o exclude one another\n")])
def test_nearly_right(words, said):
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", said)


def test_help_fits_a_screen():
    text = run("--help").stdout.decode()
    lines = text.splitlines()
    assert len(lines) <= 23 and max(map(len, lines)) <= 80
    assert [re.split("  +", line)[1] for line in lines[2:5]] == [
        "sudo pymem-bpf -p PID", "sudo pymem-bpf heap -p PID -d 30", "sudo pymem-bpf -a -d 10"]
    assert run("help").stdout.decode().startswith(text)


@pytest.mark.parametrize("topic, word", [
    ("first-touch", "del"), ("losses", "no-frame"), ("notebooks", "%load_ext"), ("containers", "--pid=host"),
    ("options", "--max-stacks")])
def test_topics(topic, word):
    """They are the manual's sections, for the width that there is."""
    done = run("help", topic, more={"COLUMNS": "60"})
    assert done.returncode == 0 and word in done.stdout.decode() and done.stderr == b""
    if topic != "options":
        assert max(map(len, done.stdout.decode().splitlines())) <= 60
        assert not re.search(r"^\.|\\", done.stdout.decode(), re.MULTILINE), "no roff"
    assert run("help", "nonsense").returncode == 2


# --- names ---

def watched(*arguments):
    """The report of a tool that was attached with these words, and ended at once."""
    with Tool(*arguments) as tool:
        tool.attached()
        tool.process.send_signal(signal.SIGINT)
        return tool.report()


def test_name_means_a_program(tmp_path):
    """By the script's name with and without its ending, or its path; all its processes."""
    name = "first_use_%d" % os.getpid()
    with Program(tmp_path, name + ".py", GROWER, ["--shard", "token%d" % os.getpid()]) as one, \
            Program(tmp_path, name + ".py", GROWER, ["--shard", "2"]) as two:
        for word in name + ".py", name, one.process.args[1]:
            assert set(watched("-p", word).pids()) == {one.pid, two.pid}
        assert watched("-p", name + ".py,%d" % one.pid).pids().count(one.pid) == 1
        heap = run("heap", "-p", name, "--format", "json")
        assert heap.returncode == 0, heap.stderr
        assert {p["pid"] for p in json.loads(heap.stdout.decode())["processes"]} == {one.pid, two.pid}


def test_name_of_a_module(tmp_path):
    """With and without -m."""
    module = "first_module_%d" % os.getpid()
    how = ("sh", "-c", "cd %s && exec {python} -m %s" % (tmp_path, module))
    with Program(tmp_path, module + ".py", GROWER, how=how) as one:
        for word in module, "-m " + module:
            assert watched("-p", word).pids() == [one.pid]


def test_argument_is_no_name(tmp_path):
    """What stands behind the script names nothing: the process is listed, and not profiled."""
    name, token = "first_use_%d.py" % os.getpid(), "token%d" % os.getpid()
    with Program(tmp_path, name, GROWER, ["--shard", token]) as one:
        for word in token, token[:-1]:
            for command in [], ["heap"]:
                done = run(*command, "-p", word)
                said = done.stderr.decode()
                assert done.returncode == 1 and not done.stdout
                assert "-p %s: no Python program is called that; command lines that have it:\n" % word in said
                assert "  -p %d  %s --shard %s\n" % (one.pid, name, token) in said


def test_name_of_several_programs(tmp_path):
    """None is profiled; each is listed with what to type."""
    name = "first_use_%d.py" % os.getpid()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Program(tmp_path / "a", name, GROWER) as one, Program(tmp_path / "b", name, GROWER, ["--x"]) as two:
        done = run("-p", name)
    said = done.stderr.decode()
    assert done.returncode == 1 and "2 different programs are called that" in said
    assert "  -p %d  %s\n" % (one.pid, name) in said and "  -p %d  %s --x\n" % (two.pid, name) in said


def test_name_of_nothing():
    done = run("-p", "no-such-program-%d" % os.getpid())
    said = done.stderr.decode().splitlines()
    assert done.returncode == 1 and not done.stdout
    assert said[0].endswith(": no Python program is called that, and no command line has it; Pythons that run:"), said
    assert 2 <= len(said) <= 12 and all(re.match(r"  -p \d+(,\d+)*(,…)?  \S|  pymem-bpf ps -v lists all$", line)
                                        for line in said[1:]), said


def test_script_that_a_server_loads(tmp_path):
    """gunicorn app:create and -p app.py: no program is called that, and those whose words have "app" are listed."""
    server, module = "first_server_%d.py" % os.getpid(), "app%d" % os.getpid()
    with Program(tmp_path, server, GROWER, ["-w", "3", module + ":create"]) as one, \
            Program(tmp_path, "other_" + server, GROWER, [module + "lication:create"]):
        for command in [], ["heap"]:
            done = run(*command, "-p", module + ".py")
            said = done.stderr.decode()
            assert done.returncode == 1 and not done.stdout
            assert said.endswith("-p %s.py: no Python program is called that; command lines that have \"%s\":\n"
                                 "  -p %d  %s -w 3 %s:create\n" % (module, module, one.pid, server, module)), said


@pytest.mark.host
def test_largest_is_listed_first(tmp_path):
    """Of a name that means nothing, the Pythons that run: the largest first, at most ten programs, and not each PID of
    many."""
    name, big = "first_use_%d.py" % os.getpid(), "large = b'x' * (300 << 20)\n" + GROWER
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(Program(tmp_path, name, GROWER if i else big)) for i in range(10)]
        done = run("-p", "no-such-program-%d" % os.getpid())
    line, = [line for line in done.stderr.decode().splitlines() if line.endswith("  " + name)]
    assert re.match(r"  -p %d(,\d+){7},…  " % many[0].pid, line), line


# --- those that are there already ---

def test_workers_are_taken_along(tmp_path):
    """-p of a master: its workers' lines are in the report; with --no-children they are named."""
    with Program(tmp_path, "master.py", MASTER) as master:
        with Tool("-p", master.pid) as tool:
            tool.attached()
            assert b"attached, with 2 processes that it started before" in tool.stderr
            master.grow()
            tool.polled()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert set(report.pids()) == set(master.pids)
        for pid in master.pids[1:]:
            report.check_conservation(pid)
            assert sum(r["increment_bytes"] for r in report.rows(pid, "master.py", 4)) >= 3 << 20
        with Tool("-p", master.pid, "--no-children") as tool:
            tool.attached()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert report.pids() == [master.pid]
        assert any("-p" in note and str(master.pids[1]) in note for note in report.data["notes"])


def test_shell_in_front(tmp_path):
    """-p of a shell that has started a Python: that one is profiled, and the shell is named once."""
    with Program(tmp_path, "behind.py", GROWER, how=("sh", "-c", "{python} {path}; exit 0")) as behind:
        shell = behind.process.pid
        assert shell != behind.pid
        with Tool("-p", shell) as tool:
            tool.attached()
            behind.grow()
            tool.polled()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert report.pids() == [behind.pid], "the shell is no error of the report"
        assert sum(r["increment_bytes"] for r in report.rows(behind.pid, "behind.py", 4)) >= 2 << 20
        said = tool.stderr.decode()
        assert said.count("pid %d (sh) is not Python: profiled in its place: 1 that it started" % shell) == 1


def test_shell_without_a_python():
    with subprocess.Popen(["sh", "-c", "read line"], stdin=subprocess.PIPE) as shell:
        done = run("-p", shell.pid)
        shell.stdin.close()
    assert done.returncode == 1 and b"is not Python" in done.stderr


# --- times, files, widths ---

def test_times_and_stdout(tmp_path):
    """-d 1s ends by itself; -o - is stdout, not a file."""
    with Program(tmp_path, "timed.py", GROWER) as timed:
        begin = time.monotonic()
        done = run("-p", timed.pid, "-d", "1s", "-o", "-", cwd=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begin >= 1 and b"timed.py" in done.stdout
    assert not os.path.exists(str(tmp_path / "-"))


@pytest.mark.parametrize("options, more", [(["--width", "50"], {}), ([], {"COLUMNS": "50"})])
def test_width(tmp_path, options, more):
    """Of what goes through a pipe."""
    with Program(tmp_path, "wide_%s.py" % ("x" * 60), GROWER) as wide:
        for command in (["-p", wide.pid, "-d", "0.5", "-q"], ["heap", "-p", wide.pid, "-q"], ["ps"]):
            done = run(*command, *options, more=more)
            assert done.returncode == 0, done.stderr
            lines = done.stdout.decode().splitlines()
            # Columns of ps that say which process it is stay.
            assert lines and max(map(len, lines)) <= (70 if command == ["ps"] else 50), max(lines, key=len)


def test_file_on_a_terminal(tmp_path):
    """What goes on is told while one waits, wiped out, and then which file was written; with -q nothing is."""
    path = str(tmp_path / "r.txt")
    with Program(tmp_path, "filed.py", GROWER) as filed:
        with Screen("-p", filed.pid, "-d", "4", "-o", path) as screen:
            assert screen.end(None) == 0
        text = screen.said.decode()
        assert re.search(r"\rprofiling … [23] s", text), text
        last = text.replace("\r\n", "\n").rstrip("\n").rpartition("\n")[2].rpartition("\r")[2]
        size = os.path.getsize(path)
        shown = "%.1f KB" % (size / 1000) if size >= 1000 else "%d B" % size
        assert last == "report written: %s (%s)" % (path, shown)
        with Screen("-p", filed.pid, "-d", "1", "-q", "-o", path) as screen:
            assert screen.end(None) == 0
        assert screen.said == b""


def test_heap_says_that_it_waits(tmp_path):
    """The time between two looks, on a terminal."""
    path = str(tmp_path / "heap.txt")
    with Program(tmp_path, "looked_at.py", GROWER) as program:
        with Screen("heap", "-p", program.pid, "-d", "4", "--births", "off", "-o", path) as screen:
            assert screen.end(None) == 0
    assert re.search(r"\rwaiting for the second look … [23] s", screen.said.decode())
    assert re.search(r"\r +\r", screen.said.decode()) and "report written: %s (" % path in screen.said.decode()


# --- terminals ---

def test_live_function_waits(tmp_path):
    """-f of what has not changed memory: the screen says that it waits; then it shows the function."""
    with Program(tmp_path, "later.py", GROWER) as later:
        with Screen("-p", later.pid, "-f", "grow") as screen:
            screen.until(rb"waiting: grow has not changed memory yet")
            later.grow()
            screen.until(rb"def grow")
            assert screen.end() == 0


def test_dumb_terminal(tmp_path):
    """TERM=dumb: not one escape, not even in the report at the end."""
    with Program(tmp_path, "dumb.py", GROWER) as dumb:
        with Screen("-p", dumb.pid, "-d", "2", TERM="dumb") as screen:
            screen.until(b"attached")
            dumb.grow()
            assert screen.end(None) == 0
    assert b"\x1b" not in screen.said and b"dumb.py" in screen.said


@pytest.mark.parametrize("value, colored", [("", True), ("1", False)])
def test_no_color(tmp_path, value, colored):
    with Program(tmp_path, "colored.py", GROWER) as program:
        with Screen("-p", program.pid, "-d", "1", "-q", NO_COLOR=value) as screen:
            assert screen.end(None) == 0
    assert (b"\x1b[1m" in screen.said) == colored


def test_pager(tmp_path):
    """The report goes through PAGER, all of it; a reader who stops early is no failure."""
    with Program(tmp_path, "paged.py", GROWER) as paged:
        with Screen("-p", paged.pid, "-d", "1", "-q", "--pager", PAGER="sed s/^/paged:/") as screen:
            assert screen.end(None) == 0
        lines = [line for line in screen.text().splitlines() if line]
        assert lines and all(line.startswith("paged:") for line in lines), lines
        with Screen("-p", paged.pid, "-d", "1", "-q", "--pager", PAGER="true") as screen:
            assert screen.end(None) == 0
        assert screen.said == b""
        with Screen("-p", paged.pid, "-d", "1", "-q", "--pager", PAGER="/no/such/pager") as screen:
            assert screen.end(None) == 1
        assert "the pager could not be run (status 127)" in screen.text()
        # Without a terminal there is nothing to page.
        done = run("-p", paged.pid, "-d", "1", "-q", "--pager", more={"PAGER": "/no/such/pager"})
        assert done.returncode == 0 and b"paged.py" in done.stdout


# --- ps ---

@pytest.mark.host
def test_ps_gathers(tmp_path):
    """One row for the processes of a program, without the interpreter and the folder; the sums."""
    name = "shards_%d.py" % os.getpid()
    with contextlib.ExitStack() as stack:
        shards = [stack.enter_context(Program(tmp_path, name, GROWER, ["--shard", str(i)])) for i in range(3)]
        master = stack.enter_context(Program(tmp_path, "master.py", MASTER))
        shards[1].grow()
        text = run("ps").stdout.decode()
        each = run("ps", "-v").stdout.decode()
    assert re.match(r" +RSS +PID  PYTHON   COMMAND\n", text)
    row = re.search(r"^ +[\d.]+ [MG]iB +(\d+)  [\d.]+ +%s --shard 1  ×3" % re.escape(name), text, re.MULTILINE)
    assert row and int(row.group(1)) == shards[1].pid, text
    assert re.search(r" master\.py  ×2  \(children of %d\)$" % master.pid, text, re.MULTILINE), text
    assert re.search(r"^ +[\d.]+ [MG]iB +\d+  Pythons$", text, re.MULTILINE)
    sizes = [float(n) * {"MiB": 1, "GiB": 1024}[u] for n, u in re.findall(r"^ +([\d.]+) (\wiB) +\d+  \d", text, re.M)]
    assert len(sizes) > 1 and sizes == sorted(sizes, reverse=True)
    for pid in [s.pid for s in shards] + master.pids:
        assert re.search(r"^ *%d " % pid, each, re.MULTILINE)
    assert str(tmp_path / name) in each


# --- a host ---

@pytest.mark.host
def test_host(tmp_path):
    """-a begins with the programs; what did not change has no section, but with -v."""
    with Program(tmp_path, "growing.py", GROWER) as growing, Program(tmp_path, "idling.py", GROWER) as idling:
        with Tool("-a", output=False) as tool:
            tool.attached()
            growing.grow()
            tool.polled()
            assert tool.stop() == 0
            text = tool.stdout().decode()
        with Tool("-a", "-v", output=False) as tool:
            tool.attached()
            assert tool.stop() == 0
            every = tool.stdout().decode()
    assert re.match(r"\d+ Pythons, \d+ programs?(, \d+ containers?)?   [\d.]+ s   RSS [\d.]+ [MG]iB "
                    r"\(shared once\)   [+-]?[\d.]+ [MK]iB \([+-][\d.]+/min\)\n", text), text[:300]
    assert re.search(r"^ +\+2\.\d +\+[\d.]+ +[\d.]+ +1  growing\.py .*growing\.py:4 grow$", text, re.MULTILINE), text
    assert "PID %d " % growing.pid in text and "PID %d " % idling.pid not in text
    assert re.search(r"^\d+ other process(es)? did not change \(-v lists them\)$", text, re.MULTILINE)
    assert "PID %d " % idling.pid in every


# --- a sandbox ---

def test_refused_by_a_sandbox(tmp_path):
    """Root with all capabilities, to whom the kernel says no all the same: in a user namespace, of a process
    outside. Nobody is told to get a capability that he has."""
    sandbox = ["unshare", "--user", "--map-root-user"]
    with Program(tmp_path, "outside.py", GROWER) as outside:
        for words in (["ps"], ["heap", "-p", str(outside.pid)]):
            done = subprocess.run(sandbox + [harness.TOOL] + words, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=harness.PATIENCE)
            said = done.stderr.decode()
            assert "refused by the kernel (sandbox?)" in said and "CAP_" not in said, said
