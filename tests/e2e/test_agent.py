# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent: it records all the time into a folder of a fixed size. Its recordings add up, and whatever happens to it,
to its disk or to its files, what was written can be read, and it goes on."""
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import stat
import subprocess
import time
import urllib.request

import harness
import kernel_side
import pytest
import test_vm_calls
import yaml
from harness import MIB, Report, Tool

pytestmark = pytest.mark.host

STEPS = """
import sys
kept = []
def grow():
    kept.append(bytearray(4 << 20))
print("ready", flush=True)
for word in sys.stdin:
    grow()
    print("done", flush=True)
"""
GROW = 5  # the line


class Agent(Tool):
    """It records each 5 s, unless --interval is among the options."""

    def __init__(self, store, *options, **how):
        super().__init__("agent", "--store", store, *options, output=False, **how)

    def says(self, words):
        harness.until(lambda: self.waits() and words in self.text(), words)

    def text(self):
        return self.stderr.decode("utf-8", "replace")

    def lines(self):
        """What it says of itself, and not of processes of the host that somebody has killed meanwhile."""
        return [line for line in self.text().splitlines() if " was killed by " not in line and " crashed with " not in line]


def stepping(tmp_path):
    path = tmp_path / "steps.py"
    path.write_text(STEPS)
    return harness.Stepping(["/usr/bin/python3", str(path)])


def files(store, end=".pymem"):
    return sorted(p for p in store.iterdir() if p.name.endswith(end))


def image_of(path, pid):
    """What the report of a file has of a process; None: nothing yet."""
    done = subprocess.run([harness.TOOL, "report", str(path), "--format", "json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    report = Report(json.loads(done.stdout.decode()))
    if pid not in report.pids():
        return None
    image, = report.images(pid)
    return image


def grown(image):
    """Bytes of the line that grows."""
    return sum(line["increment_bytes"] for line in image["lines"]
               if line["file"].endswith("steps.py") and line["line"] == GROW) if image else 0


def check_sums(image):
    lines = sum(line["increment_bytes"] for line in image["lines"])
    assert lines + sum(image["lost_bytes"].values()) == image["rss_end_bytes"] - image["rss_start_bytes"], image


def is_recorded(store, pid, amount):
    return sum(grown(image_of(path, pid)) for path in files(store)) >= amount


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def test_files_add_up(store, tmp_path):
    """Each file has what came in its time: where one ends, the next one begins, and together they have what one recording
    has, to the byte."""
    one = tmp_path / "one.pymem"
    with stepping(tmp_path) as target, Agent(store, "--interval", "1", "--rotate", "2", "--size", "64") as agent, \
            Tool("record", "-p", target.pid, "-o", one, output=False) as tool:
        agent.says("and all that will start, to %s" % store)
        tool.attached()
        for _ in range(6):
            target.step()
            subprocess.run(["/usr/bin/python3", "-c", "x = bytearray(1 << 20)"], check=True)
            time.sleep(1)
        pid = target.process.pid
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
        assert "ends: Terminated" in agent.text()
        assert tool.stop() == 0, tool.stderr
    assert len(files(store)) >= 2 and not files(store, "-wal") and not files(store, "-shm")
    images = [image_of(path, pid) for path in files(store)]
    images = [image for image in images if image]
    for image in images:
        check_sums(image)
    for before, after in zip(images, images[1:]):
        assert before["rss_end_bytes"] == after["rss_start_bytes"], (before, after)
    assert sum(map(grown, images)) == grown(image_of(one, pid)) >= 24 * MIB
    assert len([image for image in images if grown(image) >= MIB]) >= 2
    for path in files(store):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    table = subprocess.run([harness.TOOL, "report", str(files(store)[-1])], check=True, stdout=subprocess.PIPE).stdout
    assert b"the recording continues another one" in b" ".join(table.split())
    # Later ones have texts, too: of lines that changed in them, as far as there was time to read them.
    tables = [subprocess.run([harness.TOOL, "report", str(path)], check=True, stdout=subprocess.PIPE).stdout
              for path in files(store)[1:]]
    assert any(b"kept.append(bytearray(4 << 20))" in table for table in tables), tables


CALLS = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.sbrk.argtypes, libc.sbrk.restype = (ctypes.c_long,), ctypes.c_void_p
kept = []
def call():
    kept.append(bytearray(4 << 20))
    libc.sbrk(1 << 20)
print("ready", flush=True)
for word in sys.stdin:
    call()
    print("done", flush=True)
"""
MAPPED, MOVED = 7, 8  # lines


def calls_of(store, pid, line, name):
    """(calls, bytes) of that line, in all files."""
    images = [image_of(path, pid) for path in files(store)]
    rows = [row["vm_calls"][name] for image in images if image for row in image["lines"]
            if row["file"].endswith("calls.py") and row["line"] == line and name in row.get("vm_calls", {})]
    return sum(row["calls"] for row in rows), sum(row["bytes"] for row in rows)


def test_system_calls(store, tmp_path):
    """It runs all the time, so it must not make each system call of the host dearer. It counts those that change
    mappings all the same."""
    if not test_vm_calls.can(test_vm_calls.FUNCTIONS) and not test_vm_calls.can(test_vm_calls.LOCKS):
        pytest.skip("this kernel has no cheap way")
    program, steps = tmp_path / "calls.py", 5
    program.write_text(CALLS)
    with harness.Stepping(["/usr/bin/python3", str(program)]) as target, Agent(store) as agent:
        agent.says("records")
        assert "rss_stat" in kernel_side.attached(agent.process.pid)
        assert not kernel_side.at_all_calls(agent.process.pid)
        for _ in range(steps):
            target.step()
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert calls_of(store, target.pid, MOVED, "brk") == (steps, steps * MIB)
    calls, size = calls_of(store, target.pid, MAPPED, "mmap")
    assert calls == steps and 0 <= size - steps * 4 * MIB <= steps * 2 * harness.PAGE


def size_of(store):
    return sum(path.stat().st_blocks * 512 for path in store.iterdir())


def test_size(store):
    """The oldest go when all together have more than their size."""
    with Agent(store, "--no-sources") as agent:
        agent.says("records")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    first, = files(store)
    # Newer, and the agent's to remove, but only when its turn comes.
    second = store / (str(int(first.name[:8]) + 10000) + first.name[8:] + ".corrupt")
    second.write_bytes(b"x" * 6 * MIB)
    third = store / second.name.replace("Z.pymem.corrupt", "Z.pymem.bak")
    third.write_bytes(b"x" * 8 * MIB)
    with Agent(store, "--interval", "1", "--rotate", "1", "--size", "8", "--no-sources") as agent:
        harness.until(lambda: len(files(store)) > 2, "began others")
        first.write_bytes(b"x" * 2 * MIB)
        harness.until(lambda: not first.exists(), "the oldest is gone")
        assert size_of(store) - third.stat().st_size <= 8 * MIB
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert size_of(store) - third.stat().st_size <= 8 * MIB
    assert third.exists() and files(store)


def intervals(store):
    """Seconds of those that are recorded, but for the first and the last one."""
    path, = files(store)
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        ends = [until for until, in db.execute("SELECT until FROM interval ORDER BY id")]
    return [after - before for before, after in zip(ends, ends[1:])][:-1]


@pytest.mark.parametrize("options, seconds", [((), 5), (("--interval", "2"), 2)], ids=["default", "two"])
def test_interval(store, tmp_path, options, seconds):
    """So far apart are readings, and what was recorded is there after kill -9."""
    with stepping(tmp_path) as target, Agent(store, *options) as agent:
        agent.says("records")
        steps, deadline = [], time.monotonic() + 4.5 * seconds
        while time.monotonic() < deadline:
            target.step()
            steps.append(time.monotonic())
            time.sleep(0.3)
        killed = time.monotonic()
        agent.process.kill()
        agent.wait()
    found = intervals(store)
    # A late one is followed by an early one.
    assert len(found) >= 2 and 0.8 * seconds <= sum(found) / len(found) <= 1.3 * seconds, found
    assert max(found) >= 0.9 * seconds, found
    # What came in the last interval may be missing, and no more.
    early = [step for step in steps if step < killed - 1.3 * seconds]
    assert len(early) > 3
    assert grown(image_of(files(store)[0], target.process.pid)) >= 4 * MIB * len(early), (len(early), len(steps))


def test_what_is_soon(store, tmp_path):
    """Alarms, last words, metrics and the end do not wait for the next reading."""
    config = tmp_path / "agent.toml"
    config.write_text("interval = 60\nalarm = 'process:rss>64MiB'\nlisten = '127.0.0.1:0'\n")
    with stepping(tmp_path) as target, Agent(store, "--config", config) as agent:
        pid = target.process.pid
        agent.says("serves metrics at ")
        url, = re.findall(r"serves metrics at (\S+)", agent.text())
        harness.until(lambda: any(image_of(path, pid) for path in files(store)), "read once")
        began = time.monotonic()
        for _ in range(15):
            target.step()
        agent.says("alarm process:rss>64MiB: steps.py, PID %d" % pid)
        line, = [line for line in agent.text().splitlines() if "alarm process:rss>64MiB: steps.py" in line]
        assert "steps.py:%d grow: +" % GROW in line, line
        with urllib.request.urlopen(url, timeout=harness.PATIENCE) as answer:
            text = answer.read().decode()
        rss, = re.findall(r'^pymem_rss_bytes\{program="steps.py"[^}]*\} (\S+)$', text, re.M)
        assert float(rss) >= 60 * MIB, rss
        target.process.kill()
        harness.until(lambda: [path for path in store.iterdir() if path.name.startswith("kill-") and
                               path.name.endswith("-%d.json" % pid)], "last words")
        assert time.monotonic() - began < 45, "it was read again meanwhile"
        assert grown(image_of(files(store)[0], pid)) < 60 * MIB
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert grown(image_of(files(store)[0], pid)) >= 60 * MIB


def read_again(agent, config, text):
    config.write_text(text)
    before = agent.text().count("--size is ")
    agent.process.send_signal(signal.SIGHUP)
    harness.until(lambda: agent.text().count("--size is ") > before, "read again")


def test_intervals_change(store, tmp_path):
    """SIGHUP: an alarm that comes is looked at each second, another interval holds at once, and what is none is refused."""
    config = tmp_path / "agent.toml"
    config.write_text("interval = 60\n")
    with stepping(tmp_path) as target, Agent(store, "--config", config) as agent:
        pid = target.process.pid
        agent.says("records")
        harness.until(lambda: any(image_of(path, pid) for path in files(store)), "read once")
        began = time.monotonic()
        read_again(agent, config, "interval = 60\nalarm = 'process:rss>64MiB'\n")
        for _ in range(15):
            target.step()
        agent.says("alarm process:rss>64MiB: steps.py, PID %d" % pid)
        for refused, wrong in enumerate(("0.5", "61")):
            config.write_text("interval = %s\n" % wrong)
            agent.process.send_signal(signal.SIGHUP)
            harness.until(lambda: agent.text().count("goes on as it was") > refused, "refused")
        assert time.monotonic() - began < 45, "it was read again meanwhile"
        assert grown(image_of(files(store)[0], pid)) < 60 * MIB
        read_again(agent, config, "interval = 1\nalarm = 'process:rss>64MiB'\n")
        assert ", --interval 1s, 1 alarm" in agent.text()

        def are_seconds():
            target.step()
            last = intervals(store)[-3:]
            return len(last) == 3 and max(last) < 3
        harness.until(are_seconds, "intervals of a second")
        assert is_recorded(store, pid, 60 * MIB)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_signals_hold_nothing_up(store, tmp_path):
    """However often options are read again, passes come."""
    config = tmp_path / "agent.toml"
    text = "interval = 3\nalarm = 'process:rss>1GiB'\n"
    config.write_text(text)
    with stepping(tmp_path) as target, Agent(store, "--config", config) as agent:
        agent.says("records")
        target.step()
        deadline = time.monotonic() + harness.PATIENCE
        while not is_recorded(store, target.process.pid, 8 * MIB):
            assert time.monotonic() < deadline, agent.text()
            target.step()
            read_again(agent, config, text)
            time.sleep(0.3)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_killed(store, tmp_path):
    """What a killed agent left stays and can be read; the next one records to another file."""
    with stepping(tmp_path) as target:
        pid = target.process.pid
        with Agent(store) as agent:
            agent.says("records")
            target.step()
            harness.until(lambda: is_recorded(store, pid, 4 * MIB), "recorded")
            agent.process.kill()
            agent.wait()
        left = files(store)
        assert len(left) == 1 and (store / (left[0].name + "-wal")).exists()
        with Agent(store) as agent:
            agent.says("records")
            target.step()
            harness.until(lambda: is_recorded(store, pid, 8 * MIB), "recorded")
            assert agent.stop(signal.SIGTERM) == 0, agent.text()
            assert "corrupt" not in agent.text()
    assert len(files(store)) == 2 and files(store)[0] == left[0]
    for path in files(store):
        assert 4 * MIB <= grown(image_of(path, pid)) <= 4 * MIB + harness.TOLERANCE


def test_corrupt(store, tmp_path):
    """A file that is no recording is set aside; the clock that was ahead when it was made does not matter."""
    store.mkdir(mode=0o700)
    (store / "20991231T235959Z.pymem").write_bytes(b"no recording" * 1000)
    (store / "notes.txt").write_text("mine")
    with Agent(store) as agent:
        agent.says("20991231T235959Z.pymem: ")
        agent.says("it is set aside as 20991231T235959Z.pymem.corrupt")
        agent.says("records")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert [path.name for path in files(store)] == ["21000101T000000Z.pymem"]
    assert (store / "notes.txt").read_text() == "mine"
    assert len(files(store, ".corrupt")) == 1


@pytest.fixture
def disk(tmp_path):
    """A folder on a small disk."""
    path = tmp_path / "disk"
    path.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=700", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_full_disk(disk, tmp_path):
    """The recording ends by name, the profile goes on, and so does recording when there is room again."""
    with stepping(tmp_path) as target, Agent(disk, "--no-sources") as agent:
        pid = target.process.pid
        agent.says("records")
        target.step()
        harness.until(lambda: is_recorded(disk, pid, 4 * MIB), "recorded")
        with open(str(disk / "other"), "wb", buffering=0) as other, pytest.raises(OSError):
            while True:
                other.write(b"x" * 4096)

        def is_said():
            target.step()
            return agent.waits() and "another one is tried every 10 s: " in agent.text()
        harness.until(is_said, "said")
        said = len(agent.lines())
        first = files(disk)[0]
        os.unlink(str(disk / "other"))
        agent.says("recording again, to %s/" % disk)
        assert "is in no recording" in agent.text()
        target.step()
        harness.until(lambda: grown(image_of(files(disk)[-1], pid)) >= 4 * MIB, "recorded again")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert len(agent.lines()) <= said + 3, agent.text()
    assert grown(image_of(first, pid)) >= 4 * MIB
    assert len(files(disk)) == 2


@pytest.mark.parametrize("options", [(), ("--interval", "60")], ids=["default", "seldom"])
def test_read_only(disk, options):
    """An agent starts without a disk to write to, says so once, and records when it can: as soon as it says, however
    seldom it reads."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Agent(disk, *options) as agent:
        agent.says("no recording can be begun, which is tried again every 10 s: ")
        agent.says("records")
        assert not files(disk)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        began = time.monotonic()
        agent.says("recording again, to %s/" % disk)
        assert time.monotonic() - began < 40
        assert agent.text().count("no recording can be begun") == 1
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert len(files(disk)) == 1


def test_one_at_a_time(store):
    with Agent(store) as first:
        first.says("records")
        with Agent(store) as second:
            assert second.wait() == 1
        assert "%s: another agent records to this folder" % store in second.text()
        assert first.stop(signal.SIGTERM) == 0, first.text()


def test_unsafe_folder(store):
    store.mkdir()
    store.chmod(0o777)
    with Agent(store) as agent:
        assert agent.wait() == 1
    assert "others may write to the folder" in agent.text()
    with Agent("/nowhere/at/all") as agent:
        assert agent.wait() == 1
    assert "/nowhere/at/all: No such file or directory" in agent.text()


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_service_manager(store, tmp_path, abstract):
    """sd_notify: it is ready when it records, tells how it is, feeds the watchdog, and says that it ends."""
    name = "@pymem-test-%d" % os.getpid() if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(harness.PATIENCE)
        env = dict(os.environ, NOTIFY_SOCKET=name, WATCHDOG_USEC="1000000")
        with Agent(store, env=env) as agent:
            heard = []

            def hear(word):
                while not any(word in text for text in heard):
                    heard.append(manager.recv(4096).decode())
            hear("READY=1")
            assert files(store)
            hear("STATUS=")
            fed = sum("WATCHDOG=1" in text for text in heard)
            began = time.monotonic()
            while sum("WATCHDOG=1" in text for text in heard) < fed + 4:
                heard.append(manager.recv(4096).decode())
            assert time.monotonic() - began < 30
            agent.process.send_signal(signal.SIGTERM)
            hear("STOPPING=1")
            assert agent.wait() == 0, agent.text()
    status = next(text for text in heard if "STATUS=" in text)
    assert " Python process" in status and " MiB" in status, status


def test_config(store, tmp_path):
    """Options of a file; the command line counts more; SIGHUP reads it again."""
    config = tmp_path / "agent.toml"
    config.write_text("# all of it\n\n size = 32\nrotate='1h'\nstore = \"%s\"\nno-sources = true\nquiet = false\n" % store)
    with Tool("agent", "--config", config, "--rotate", "30m", output=False) as tool:
        agent = tool
        harness.until(lambda: agent.waits() and b"records" in agent.stderr, "records")
        agent.process.send_signal(signal.SIGHUP)
        harness.until(lambda: b"--size is 32, --rotate 1800s" in agent.stderr, "read again")
        config.write_text("size = 6_4\r\nstore = '/elsewhere' # there\nmax-stacks = 100\nno-sources = false\n")
        agent.process.send_signal(signal.SIGHUP)
        harness.until(lambda: b"--size is 64, --rotate 1800s" in agent.stderr, "read again")
        for option in b"--store", b"--no-sources", b"--max-stacks":
            assert option + b" can't be changed while it runs: restart it" in agent.stderr, agent.stderr
        config.write_text("\nsize = 1\n")
        agent.process.send_signal(signal.SIGHUP)
        harness.until(lambda: b"goes on as it was" in agent.stderr, "refused")
        assert b"--config %s: that is wrong in it, in line 2, column 8\n" % str(config).encode() in agent.stderr
        config.write_text("size = 16\nrotate = 1h\n")
        agent.process.send_signal(signal.SIGHUP)
        harness.until(lambda: agent.stderr.count(b"goes on as it was") == 2, "refused")
        assert b"--config %s: line 2, column 10: a text needs quotes: write rotate = \"1h\"\n" % str(config).encode() in agent.stderr
        # Nothing of either was taken over.
        assert b"--size is 1" not in agent.stderr
        assert agent.stop(signal.SIGTERM) == 0, agent.stderr
    assert len(files(store)) == 1
    with sqlite3.connect(str(files(store)[0])) as db:
        assert db.execute("SELECT count(*) FROM content").fetchone() == (0,)


@pytest.mark.parametrize("text, words", [
    # As it was written before.
    ("rotate = 1h", "line 2, column 10: a text needs quotes: write rotate = \"1h\""),
    ("no-sources", "line 2, column 11: a value is missing: write no-sources = true, or another value"),
    ("size = 16 MiB", "line 2, column 11: there is more after the value"),
    ("alarm = growth>50MiB/h", "line 2, column 9: a text needs quotes: write alarm = \"growth>50MiB/h\""),
    ("alarm = 'rss>1GiB'\nalarm = 'rss>2GiB'", "line 3, column 1: alarm is there twice, first in line 2"),
    # What TOML has beyond it, and what is none.
    ("[agent]", "line 2, column 1: a table, [ ], is not taken"),
    ("size = 0x10", "line 2, column 8: a hexadecimal, octal or binary number is not taken: write it in decimal"),
    ("store = \"\\x41\"", "line 2, column 10: this is no escape"),
    ("store = '\x1b[2J'", "line 2, column 10: a control character, U+001B"),
    # Options.
    ("siz = 16", "line 2, column 1: siz is no option of the file"),
    ("help = true", "line 2, column 1: help is no option of the file"),
    ("config = 'x'", "line 2, column 1: config is no option of the file"),
    ("size = 'many'", "that is wrong in it, in line 2, column 8"),
    ("size = [8, 16]", "line 2, column 1: size takes one value: write it without [ ]"),
    ("no-sources = 1", "line 2, column 14: no-sources is true or false, without quotes"),
    ("listen = 9746", "line 2, column 10: listen is a text: write it in quotes"),
])
def test_wrong_config(store, tmp_path, text, words):
    config = tmp_path / "agent.toml"
    config.write_text("# \u00e4\n" + text + "\n", encoding="utf-8")
    with Agent(store, "--config", config) as agent:
        assert agent.wait() == 2
    assert "--config %s: %s" % (config, words) in agent.text() and "\x1b" not in agent.text(), agent.text()
    assert not store.exists()


def test_example(store, tmp_path):
    """The file that packages install: nothing, and each of its lines is an option as it is written."""
    with open(os.path.join(harness.PROJECT, "packaging", "agent.toml"), encoding="utf-8") as f:
        text = f.read()
    lines = re.findall(r"^#([a-z-]+ = .*)$", text, re.M)
    assert len(lines) >= 6 and not re.search(r"^[^#]", text.replace("\n\n", "\n"), re.M)
    config = tmp_path / "agent.toml"
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("name:password\n")
    needed = {"metrics-lines": 'listen = "127.0.0.1:0"', "alarm-heap": 'alarm = ["rss>100GiB"]',
              "alarm-heap-rss": 'alarm-heap = true\nalarm = ["rss>100GiB"]', "push-password-file": 'push = "http://127.0.0.1:1"'}
    for one in [text] + [line for line in lines if not line.startswith("listen")]:
        config.write_text(one.replace("/etc/pymem-bpf/profiles", str(password)) + "\n" + needed.get(one.split(" = ")[0], "") + "\n")
        with Agent(store, "--config", config) as agent:
            agent.says("and all that will start")
            assert agent.stop(signal.SIGTERM) == 0, agent.text()


def test_command_line_counts_more(store, tmp_path):
    """Also with a 0; what takes no argument is that of both."""
    config = tmp_path / "agent.toml"
    config.write_text("metrics-lines = 5\nquiet = true\n")
    with Agent(store, "--config", config) as agent:
        assert agent.wait() == 2 and "--metrics-lines need --listen" in agent.text(), agent.text()
    with Agent(store, "--config", config, "--metrics-lines", "0") as agent:
        harness.until(lambda: agent.waits() and store.exists() and files(store), "records")
        assert agent.stop(signal.SIGTERM) == 0 and not agent.lines(), agent.text()


def by_default(files):
    """What an agent says that finds these files in its folder below /etc, and its status."""
    script = "mount --make-rprivate / && mount -t tmpfs tmpfs /etc && mkdir /etc/pymem-bpf && cd /etc/pymem-bpf"
    for name, text in files.items():
        script += " && printf %%s %s > %s" % (shlex.quote(text), name)
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script + ' && exec "$@"', "sh", harness.TOOL, "agent", "--alarm", "rss"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=harness.PATIENCE)
    return done.stdout.decode(), done.returncode


def test_where_the_config_is():
    """/etc/pymem-bpf/agent.toml. The name and format of before are not passed over in silence."""
    wrong = "pymem-bpf agent: --alarm rss: column 4: it ends too early"
    before = "pymem-bpf agent: /etc/pymem-bpf/agent.conf is not read any more: write it as TOML to /etc/pymem-bpf/agent.toml, or remove it\n"
    assert by_default({"agent.conf": "size = 64\n"}) == (before, 2)
    toml = "pymem-bpf agent: --config /etc/pymem-bpf/agent.toml: line 1, column 1: siz is no option of the file"
    for files in {"agent.toml": "siz = 64\n"}, {"agent.toml": "siz = 64\n", "agent.conf": "size = 64\n"}:
        said, status = by_default(files)
        assert said.startswith(toml) and status == 2, said
    for files in {}, {"agent.toml": ""}, {"agent.toml": "size = 64\n", "agent.conf": "size = 64\n"}:
        said, status = by_default(files)
        assert said.startswith(wrong) and status == 2, said


def test_no_config(store, tmp_path):
    with Agent(store, "--config", tmp_path / "none") as agent:
        assert agent.wait() == 2
    assert "--config %s: No such file or directory" % (tmp_path / "none") in agent.text()


def test_endless_config(store):
    with Agent(store, "--config", "/dev/zero") as agent:
        assert agent.wait() == 2
    assert "--config /dev/zero: Invalid argument" in agent.text()


# --- what is shipped ---

def packaged(name):
    with open(os.path.join(harness.PROJECT, "packaging", name), encoding="utf-8") as f:
        return f.read()


def rights_of_the_unit():
    line, = re.findall(r"^CapabilityBoundingSet=(.*)$", packaged("pymem-bpf-agent.service.in"), re.MULTILINE)
    return line.replace("CAP_", "").split()


def container():
    agent, = yaml.safe_load(packaged("pymem-bpf-agent.yaml"))["spec"]["template"]["spec"]["containers"]
    return agent


def rights_of_the_pod():
    rights = container()["securityContext"]["capabilities"]
    assert rights["drop"] == ["ALL"]
    return rights["add"]


@pytest.mark.parametrize("rights", [rights_of_the_unit, rights_of_the_pod])
def test_rights(store, tmp_path, rights):
    """The unit and the manifest give it as many capabilities as it needs: source texts are read, too."""
    limited = ["setpriv", "--bounding-set", "-all," + ",".join("+" + name.lower() for name in rights())]
    with stepping(tmp_path) as target, Agent(store, before=limited) as agent:
        agent.says("records")
        target.step()
        harness.until(lambda: is_recorded(store, target.process.pid, 4 * MIB), "recorded")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert len(agent.lines()) == 2, agent.text()
    table = subprocess.run([harness.TOOL, "report", str(files(store)[0])], check=True, stdout=subprocess.PIPE).stdout
    assert b"kept.append(bytearray(4 << 20))" in table, table


def test_manifest():
    """It has the host's PIDs, a folder of the node, and options that there are."""
    manifest = yaml.safe_load(packaged("pymem-bpf-agent.yaml"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("apps/v1", "DaemonSet")
    pod = manifest["spec"]["template"]
    assert manifest["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert pod["spec"]["hostPID"] is True
    volume, = pod["spec"]["volumes"]
    mount, = container()["volumeMounts"]
    program, command, *options = container()["command"]
    assert (program, command) == ("pymem-bpf", "agent") and mount["name"] == volume["name"]
    assert options[options.index("--store") + 1] == mount["mountPath"]
    known = subprocess.run([harness.TOOL, "agent", "--help"], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert all(option in known for option in options if option.startswith("--"))
