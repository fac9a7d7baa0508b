# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Recordings: what `report` prints of one is what the live run printed, byte for byte; parts of it; whatever
ends the recorder, what was recorded can be read. Files that are no recordings: test_record_files.py."""
import datetime
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time

import harness
import pytest
from harness import MIB, Report, Target, Tool

X86 = harness.platform.machine() == "x86_64"
STEPS = """
import sys
kept = []
def first():
    kept.append(bytearray(4 << 20))
def second():
    kept.append(bytearray(8 << 20))
print("ready", flush=True)
for number, _ in enumerate(sys.stdin):
    second() if number % 2 else first()
    print("done", flush=True)
"""


def report(path, *options, status=0, **run):
    done = subprocess.run([harness.TOOL, "report", str(path), *options], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE, **run)
    assert done.returncode == status, (done.returncode, done.stderr)
    return done.stderr.decode("utf-8", "replace") if status else done.stdout


def report_of(path, *options, **run):
    return Report(json.loads(report(path, "--format", "json", *options, **run).decode()))


def recorded(target, path, *options, work=True):
    """Records the target's work with `record`."""
    with Tool("record", "-p", target.pid, "-o", path, *options, output=False) as tool:
        tool.attached()
        if work:
            target.go(tool.polled)
        assert tool.stop() == 0, tool.stderr
        tool.printed = tool.stdout()
    return tool


def seconds(text):
    """A time of a report, in seconds since the epoch."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def about(path):
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        return dict(db.execute("SELECT name, value FROM about"))


def compare(path, live, *options):
    """The report of the recording is the live one; as bytes, or what differs."""
    played = report(path, *options)
    if live != played:
        for ours, theirs in zip(live.splitlines(), played.splitlines()):
            assert ours == theirs
    assert live == played


# --- byte for byte ---

CASES = {
    "table": ("fork", ["--format", "table"], []),
    "verbose": ("fork", ["-v"], []),
    "function": ("seed", ["-f", "sum_of_lists"], []),
    "tree": ("callers", ["--tree"], []),
    "json": ("fork", ["--format", "json"], []),
    "csv": ("fork", ["--format", "csv"], []),
    "folded": ("callers", ["--format", "folded", "--metric", "net"], []),
    "pprof": ("callers", ["--format", "pprof"], []),
    "speedscope": ("callers", ["--format", "speedscope"], []),
    "openmetrics": ("fork", ["--format", "openmetrics"], []),
    "sort": ("free", ["-s", "freed", "-n", "3"], []),
    "execs": ("execs", ["--format", "json"], []),
    "threads": ("threads", ["--format", "json"], []),
    "cow": ("cow", ["--format", "json"], []),
}
CASES_OF_TOUCHED = {
    "touched": ("touched", ["--format", "json"], ["--touched"]),
    "touched-table": ("touched", ["-s", "resident"], []),
}


@pytest.mark.parametrize("case", list(CASES) + (list(CASES_OF_TOUCHED) if X86 else []))
def test_as_live(system, tmp_path, case):
    name, options, more = dict(CASES, **CASES_OF_TOUCHED)[case]
    path, out = tmp_path / "run.pymem", tmp_path / "live"
    with Target(system.command, name) as target:
        with Tool("-p", target.pid, "--record", path, "-o", out, *options, *more, output=False) as tool:
            tool.attached()
            target.go(tool.polled)
            time.sleep(1.2)  # more than one interval
            assert tool.stop() == 0, tool.stderr
    live = out.read_bytes()
    assert os.path.basename(target.path).encode() in live or case in ("function", "pprof", "table")
    compare(path, live, *options)
    assert os.listdir(str(tmp_path)) and not list(tmp_path.glob("run.pymem-*"))


@pytest.mark.parametrize("options", [["--format", "json"], ["-f", "sum_of_lists", "--peak"]], ids=" ".join)
def test_as_live_of_lines(request, tmp_path, options):
    """The exact engine."""
    from conftest import probed, pythons
    python = next((p for p in pythons() if p.name in probed()), None)
    if not python:
        pytest.skip("no interpreter has line probes")
    path, out = tmp_path / "run.pymem", tmp_path / "live"
    with Target(python.command, "seed") as target:
        with Tool("-l", "-p", target.pid, "--record", path, "-o", out, *options, output=False) as tool:
            tool.attached()
            target.go(tool.polled)
            assert tool.stop() == 0, tool.stderr
    compare(path, out.read_bytes(), *options)


@pytest.mark.parametrize("options", [["--format", "json"], []], ids=["json", "table"])
@pytest.mark.host
def test_as_live_of_all(system, tmp_path, options):
    """A whole host, with what comes and goes on it."""
    path, out = tmp_path / "run.pymem", tmp_path / "live"
    with Target(system.command, "fork_storm") as target:
        with Tool("-a", "--record", path, "-o", out, *options, output=False) as tool:
            tool.attached()
            target.go(tool.polled)
            time.sleep(1.2)
            assert tool.stop() == 0, tool.stderr
    compare(path, out.read_bytes(), *options)
    assert about(path)["of_host"] == 1


def test_command(system, tmp_path):
    """-- CMD: its status is ours, and its report may be printed as well."""
    path = tmp_path / "run.pymem"
    with Tool("record", "-o", path, "--format", "json", "--", *system.command, "-c",
              "keep = bytearray(20 << 20); import sys; sys.exit(7)", output=False) as tool:
        assert tool.wait() == 7, tool.stderr
        live = tool.stdout()
    compare(path, live, "--format", "json")
    assert b"recorded: 1 process in " in tool.stderr and b"pymem-bpf report " in tool.stderr


def test_command_not_found(tmp_path):
    """Nothing was recorded, and nothing is left."""
    with Tool("record", "-o", tmp_path / "run.pymem", "--", "/no/such/command", output=False) as tool:
        assert tool.wait() == 127
    assert os.listdir(str(tmp_path)) == []


# --- who may read it, and where ---

def test_as_another_user(system, tmp_path):
    """Without root, capabilities, and a folder to write to."""
    folder = tmp_path / "closed"
    folder.mkdir()
    for each in [tmp_path, *tmp_path.parents][:-1]:
        if each.owner() == "root" and not each.stat().st_mode & 1:
            os.chmod(str(each), each.stat().st_mode | 0o511)
    path, copy = folder / "run.pymem", folder / "pymem-bpf"
    shutil.copy(harness.TOOL, str(copy))
    with Target(system.command, "grow") as target:
        recorded(target, path, "--mode", "0644")
    os.chmod(str(folder), 0o555)
    wanted = report(path, "-v")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
         str(copy), "report", str(path), "-v"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == wanted and b"grow.py" in wanted
    assert sorted(os.listdir(str(folder))) == ["pymem-bpf", "run.pymem"]


@pytest.mark.parametrize("mode", [None, "0640"])
def test_permissions(system, tmp_path, mode):
    path = tmp_path / "run.pymem"
    with Target(system.command, "idle") as target:
        recorded(target, path, *(["--mode", mode] if mode else []), work=False)
    assert stat.S_IMODE(os.stat(str(path)).st_mode) == int(mode or "0600", 8)


@pytest.mark.attack("another's file written to by root", "a file or a link where a recording is to be")
def test_existing_files_stay(system, tmp_path):
    """A recording replaces nothing, and follows no link."""
    path, link, aim = tmp_path / "mine", tmp_path / "link", tmp_path / "aim"
    path.write_text("mine")
    link.symlink_to(aim)
    with Target(system.command, "idle") as target:
        for name in path, link:
            with Tool("record", "-p", target.pid, "-o", name, output=False) as tool:
                assert tool.wait() == 1
            assert str(name).encode() in tool.stderr and b"it exists" in tool.stderr, tool.stderr
            with Tool("record", "-p", target.pid, "-o", tmp_path / "no" / "folder", output=False) as tool:
                assert tool.wait() == 1
            assert b"No such file or directory" in tool.stderr, tool.stderr
    assert path.read_text() == "mine" and not aim.exists()
    assert sorted(os.listdir(str(tmp_path))) == ["link", "mine"]


# --- sources ---

def test_sources(system, tmp_path):
    """The text as it was while it ran, wherever the recording is read. --no-sources keeps none."""
    program = tmp_path / "steps.py"
    for name, options in ("with", []), ("without", ["--no-sources"]):
        path = tmp_path / (name + ".pymem")
        program.write_text(STEPS)
        with harness.Stepping(system.command + [str(program)]) as target:
            with Tool("record", "-p", target.pid, "-o", path, *options, output=False) as tool:
                tool.attached()
                target.step()
                assert tool.stop() == 0, tool.stderr
        program.write_text("\n" * 30 + "something_else()\n")
        said = report(path, "-v").decode()
        assert "steps.py:5" in said and "something_else" not in said
        assert ("kept.append(bytearray(4 << 20))" in said) == (name == "with"), said
        assert (STEPS.encode()[:20] in path.read_bytes()) is False  # it is packed
    with sqlite3.connect(str(tmp_path / "without.pymem")) as db:
        assert db.execute("SELECT count(*) FROM content").fetchone() == (0,)


# --- parts ---

def test_parts(system, tmp_path):
    """--since, --until: what came between; the parts add up to the whole, to the byte."""
    path, program = tmp_path / "run.pymem", tmp_path / "steps.py"
    program.write_text(STEPS)
    with harness.Stepping(system.command + [str(program)]) as target:
        with Tool("record", "-p", target.pid, "-o", path, output=False) as tool:
            tool.attached()
            time.sleep(1.5)
            target.step()
            time.sleep(2.5)
            between = time.time()
            time.sleep(2.5)
            target.step()
            time.sleep(1.5)
            # While it is recorded, all but the last interval is there.
            running = report_of(path)
            assert tool.stop() == 0, tool.stderr
    assert any("was not ended by its recorder" in note for note in running.data["notes"])
    middle = "%.3f" % (between - about(path)["start"])
    whole, before, after = report_of(path), report_of(path, "--until", middle), report_of(path, "--since", middle)
    assert running.rows(target.pid, str(program), 7)[0]["increment_bytes"] >= 8 * MIB
    rows = {line: [sum(row["increment_bytes"] for row in part.rows(target.pid, str(program), line))
                   for part in (whole, before, after)] for line in (5, 7)}
    assert rows[5][1] >= 4 * MIB and rows[5][2] == 0 and rows[5][0] == rows[5][1]
    assert rows[7][2] >= 8 * MIB and rows[7][1] == 0 and rows[7][0] == rows[7][2]
    images = [part.image(target.pid) for part in (whole, before, after)]
    for key in "charged_bytes", "lost_bytes":
        sums = [sum(i[key].values()) if key == "lost_bytes" else i[key] for i in images]
        assert sums[0] == sums[1] + sums[2]
    assert images[1]["rss_end_bytes"] == images[2]["rss_start_bytes"]
    for part in whole, before, after:
        part.check_conservation(target.pid)
    assert any("a part of a recording" in note for note in after.data["notes"])
    assert "is not in the recording" in report(path, "--since", "2h", status=2)
    assert "is not after" in report(path, "--since", "3", "--until", "2", status=2)


def test_processes(system, tmp_path):
    """-p and --program: only these."""
    path = tmp_path / "run.pymem"
    with Target(system.command, "grow") as grow, Target(system.command, "free") as free:
        with Tool("record", "-p", "%d,%d" % (grow.pid, free.pid), "-o", path, output=False) as tool:
            tool.attached()
            grow.go(), free.go()
            assert tool.stop() == 0, tool.stderr
    assert sorted(report_of(path).pids()) == sorted([grow.pid, free.pid])
    assert report_of(path, "-p", str(free.pid)).pids() == [free.pid]
    assert report_of(path, "--program", "grow.py").pids() == [grow.pid]
    assert report_of(path, "--program", "no such").pids() == []


# --- PSS ---

SHARED = """
import os, sys, time
kept = bytearray(64 << 20)
for i in range(0, len(kept), 4096): kept[i] = 1
child = os.fork()
if child: print(child, flush=True)
os.read(0, 1)
if not child: os._exit(0)
os.kill(child, 9)
os.waitpid(child, 0)
time.sleep(1000)
"""


def pss_of(path, pid):
    """What a recording, which may still be written, has of PSS: bytes or None, by time."""
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        return [row[0] for row in db.execute(
            "SELECT bytes FROM pss JOIN image ON image.id = image WHERE pid = ? ORDER BY interval", (pid,))]


def test_pss(tmp_path):
    """What two processes share counts half for each; once one has ended, all of it for the other."""
    path = tmp_path / "run.pymem"
    process = subprocess.Popen(["/usr/bin/python3", "-c", SHARED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child = int(process.stdout.readline())
        with Tool("record", "--pss", "-p", process.pid, "-o", path, output=False) as tool:
            tool.attached()
            harness.until(lambda: pss_of(path, process.pid) and pss_of(path, child), "PSS of both")
            assert all(32 * MIB <= pss_of(path, pid)[0] < 56 * MIB for pid in (process.pid, child))
            # Whichever reads it: the child ends.
            process.stdin.write(b"x")
            process.stdin.flush()
            harness.until(lambda: pss_of(path, process.pid)[-1] >= 64 * MIB, "all of it is one process's")
            told = len(pss_of(path, child))
            assert tool.stop() == 0, tool.stderr
        assert len(pss_of(path, child)) == told, "nothing is known of it after its end"
        words = re.search(rb"PSS read (\d+) times? \(0 more failed\)", tool.stderr)
        assert words and int(words[1]) >= 3, tool.stderr
        assert harness.rss_at_rest(process.pid) >= pss_of(path, process.pid)[-1]
    finally:
        harness.end_process(process)
    page = report(path, "--format", "html").decode()
    assert page.count(',"pss":[') == 2
    # Without the option, nothing of it is there, and no process of ours more.
    with Target(["/usr/bin/python3"], "idle") as target:
        tool = recorded(target, tmp_path / "without.pymem", work=False)
    assert b"PSS" not in tool.stderr and pss_of(tmp_path / "without.pymem", target.pid) == []


def test_pss_of_a_stopped_process(tmp_path):
    """It can be read, and the recorder goes on."""
    path = tmp_path / "run.pymem"
    with Target(["/usr/bin/python3"], "idle") as target:
        os.kill(target.pid, signal.SIGSTOP)
        with Tool("record", "--pss", "-p", target.pid, "-o", path, output=False) as tool:
            tool.attached()
            harness.until(lambda: pss_of(path, target.pid), "PSS")
            assert tool.stop() == 0, tool.stderr
        os.kill(target.pid, signal.SIGCONT)
    assert b"(0 more failed)" in tool.stderr and pss_of(path, target.pid)[0] > MIB


def helpers_of(pid):
    """Its children that read PSS."""
    children, found = "/proc/%d/task/%d/children" % (pid, pid), []
    with open(children, encoding="ascii") as listed:
        for child in listed.read().split():
            with open("/proc/%s/comm" % child, encoding="ascii") as name:
                if name.read() == "pymem-pss\n":
                    found.append(int(child))
    return found


def test_pss_helper_is_killed(tmp_path):
    """The recording goes on without PSS, and it is said."""
    path = tmp_path / "run.pymem"
    with Target(["/usr/bin/python3"], "idle") as target:
        with Tool("record", "--pss", "-p", target.pid, "-o", path, output=False) as tool:
            tool.attached()
            harness.until(lambda: pss_of(path, target.pid), "PSS")
            helper, = helpers_of(tool.process.pid)
            os.kill(helper, signal.SIGKILL)
            harness.until(lambda: not helpers_of(tool.process.pid), "the helper's end is seen")
            target.go(tool.polled)
            assert tool.stop() == 0, tool.stderr
    assert b"the helper that reads PSS is gone: it was not read from then on" in tool.stderr, tool.stderr
    assert report_of(path).image(target.pid)["charged_bytes"] >= 0


# --- ends ---

def test_ctrl_c(system, tmp_path):
    path = tmp_path / "run.pymem"
    with Target(system.command, "grow") as target:
        tool = recorded(target, path)
    assert b"Ctrl-C ends the recording" in tool.stderr and b"recorded: 1 process in " in tool.stderr
    assert tool.printed == b""
    assert os.listdir(str(tmp_path)) == ["run.pymem"]
    assert report_of(path).image(target.pid)["charged_bytes"] >= 64 * MIB


def test_target_is_killed(system, tmp_path):
    """SIGKILL of what is recorded: that ends the recording, which has all of it."""
    path = tmp_path / "run.pymem"
    with Target(system.command, "grow") as target:
        with Tool("record", "-p", target.pid, "-o", path, output=False) as tool:
            tool.attached()
            target.go()
            target.process.kill()
            assert tool.wait() == 0, tool.stderr
    said = report_of(path)
    assert said.image(target.pid)["exited"]
    said.check_conservation(target.pid)
    assert said.rows(target.pid, target.path, harness.labels(target.path)["grow"])[0]["grown_bytes"] >= 64 * MIB


def test_recorder_is_killed(system, tmp_path):
    """SIGKILL at any time: 20 of 20 can be read, a second is missing at most, and a note says so."""
    chance = random.Random(1)
    with Target(system.command, "busy") as target:
        target.tell(b"GO")
        for number in range(20):
            path = tmp_path / ("%d.pymem" % number)
            with Tool("record", "-p", target.pid, "-o", path, output=False) as tool:
                tool.attached()
                time.sleep(1.1 + chance.random() * 1.5)
                tool.process.kill()
                killed = time.time()
                tool.process.wait()
            said = report_of(path)
            assert any("was not ended by its recorder" in note for note in said.data["notes"])
            # A second, on a machine with much to do.
            assert killed - 3 < seconds(said.data["end"]) <= killed, (said.data["end"], killed)
            image = said.image(target.pid)
            said.check_conservation(target.pid)
            assert image["rss_end_bytes"] > 0 and said.rows(target.pid, target.path, 9), image
            for end in "", "-wal", "-shm":
                if os.path.exists(str(path) + end):
                    os.unlink(str(path) + end)


@pytest.fixture
def memory_disk(tmp_path):
    """A folder on a tmpfs of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(path):
    with open(str(path), "wb", buffering=0) as f:
        for size in 65536, 1:
            try:
                while True:
                    f.write(b"x" * size)
            except OSError:
                pass


def test_disk_is_full(system, memory_disk):
    """It ends by name, and what was recorded until then can be read."""
    path = memory_disk / "run.pymem"
    with Target(system.command, "busy") as target:
        target.tell(b"GO")
        with Tool("record", "-p", target.pid, "-o", path, output=False) as tool:
            tool.attached()
            time.sleep(2.5)
            fill(memory_disk / "filler")
            assert tool.wait() == 1
        assert str(path).encode() in tool.stderr and b"disk is full" in tool.stderr, tool.stderr
        assert b"What was recorded until then can be read." in tool.stderr
        said = report_of(path)
        assert said.image(target.pid)["charged_bytes"] is not None
        said.check_conservation(target.pid)
        assert any("was not ended by its recorder" in note for note in said.data["notes"])
        # From the beginning: nothing is left.
        before = sorted(os.listdir(str(memory_disk)))
        with Tool("record", "-p", target.pid, "-o", memory_disk / "other.pymem", output=False) as tool:
            assert tool.wait() == 1
        assert b"disk is full" in tool.stderr, tool.stderr
        assert sorted(os.listdir(str(memory_disk))) == before


def test_size_limit(system, tmp_path):
    """--max-size that is too small, ended by name."""
    with Target(system.command, "wide") as target:
        tool = recorded(target, tmp_path / "run.pymem", "--max-size", "1")
    assert b"recorded" in tool.stderr
    assert os.stat(str(tmp_path / "run.pymem")).st_size <= MIB + (MIB >> 1)


@pytest.mark.parametrize("options, words", [
    (["record", "-p", "1"], b"say where the recording goes: -o FILE"),
    (["record", "-o", "x"], b"say what to profile"),
    (["record", "-p", "1", "-o", ""], b"expected a file name"),
    (["report"], b"name a recording"),
    (["report", "a", "b"], b"b"),
    (["report", "x", "--format", "folded", "-f", "g"], b"-f"),
], ids=lambda o: " ".join(o) if isinstance(o, list) else "")
def test_usage(tmp_path, options, words):
    done = subprocess.run([harness.TOOL, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE, cwd=str(tmp_path))
    assert done.returncode == 2 and words in done.stderr and done.stdout == b"", done.stderr
    assert os.listdir(str(tmp_path)) == []


def test_touched_was_not_recorded(system, tmp_path):
    path = tmp_path / "run.pymem"
    with Target(system.command, "idle") as target:
        recorded(target, path, work=False)
    assert "record with --touched" in report(path, "-s", "resident", status=2)


def test_is_a_database(system, tmp_path):
    """docs/RECORDING.md: it can be read with Python's sqlite3."""
    path = tmp_path / "run.pymem"
    with Target(system.command, "grow") as target:
        recorded(target, path)
    with sqlite3.connect(str(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("SELECT pid FROM image").fetchall() == [(target.pid,)]
    assert sys.byteorder in ("little", "big")


def test_wakes_seldom(system, tmp_path):
    """While nothing happens, it wakes up twice a second to look and a few times to write: a recorder runs for days,
    and to wake up is what costs most then. A profile looks ten times a second."""
    with Target(system.command, "idle") as target:
        def woken(*words):
            with Tool(*words, "-p", target.pid, output=False) as tool:
                tool.attached()
                time.sleep(1)  # new processes are looked after at once
                before, start = tool.waits(), time.monotonic()
                time.sleep(5)
                rate = (tool.waits() - before) / (time.monotonic() - start)
                assert tool.stop() == 0, tool.stderr
            return rate
        assert woken() > 8
        assert woken("record", "-o", tmp_path / "run.pymem") < 7
