# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`pymem-bpf heap`: what it says of a process that tells the truth from inside; what it refuses, and how it ends."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pexpect
import pytest

import harness
import heaps
from conftest import pythons
from harness import KIB, MIB, PATIENCE, Target, until
from kernel_side import limited

CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]")
USER = 65534


def readable(python):
    """Is the heap of that interpreter known?"""
    return python.version >= (3, 8) and not python.free_threaded


def facts(python, **env):
    """programs/heap_facts.py, on an interpreter that has a heap to look at."""
    if not readable(python):
        pytest.skip("its heap is not known; test_refused_by_version has it")
    return Target(python.command, "heap_facts", path=harness.program_path("heap_facts"), **env)


def close(figure, truth, part, least=0):
    return abs(figure - truth) <= max(part * truth, least)


# --- the figures ---

def test_types(python):
    """As many objects of each type as the collector knows, and of those that it does not know as were made."""
    with facts(python) as target:
        look = heaps.look(target.pid, "--pause")
        truth = target.first["counts"]
    for name in ("list", "set", "function", "type", "module", "collections.deque"):
        found = look.type(name)["objects"]
        assert truth[name] and close(found, truth[name], 0.02, 5), "%s: %d found, %d known" % (
            name, found, truth[name])
    for name, least in (("__main__.Plain", 3000), ("__main__.Point", 3000), ("__main__.Slotted", 3000),
                        ("__main__.Text", 3000), ("dict", 3000), ("float", 3000), ("bytes", 3000), ("str", 30000)):
        found = look.type(name)["objects"]
        assert found >= least, "%s: %d found, at least %d made" % (name, found, least)
    assert look.type("__main__.Slotted")["objects"] == 3000
    assert look.type("array.array")["bytes"] >= 500000 * 8
    assert look.balance["unexplained"] <= look.rss / 100, look.balance


def test_holders(python):
    with facts(python) as target:
        look = heaps.look(target.pid)
    for path, kind, entries in (("__main__.DICTS", "list", 3000), ("__main__.DEQUE", "collections.deque", 100000),
                                ("__main__.HIDDEN", None, None), ("worker():local_rows", "list", 3000),
                                ("__main__.ARRAY", "array.array", None), ("__main__.LARGE", "str", None)):
        holder = look.holder(path)
        assert kind is None or holder["type"] == kind, holder
        assert entries is None or holder["entries"] == entries, holder
    assert look.holder("worker():local_rows")["local"] is True
    assert look.holder("__main__.LARGE")["retained_bytes"] >= 3000000
    # A chain of 200,000 lists; in memory of malloc's that was another's before, an address of one may be left.
    assert look.holder("__main__.DEEP")["retained_bytes"] >= MIB


def test_collector(python):
    with facts(python, HEAP_FREEZE="1") as target:
        told = heaps.look(target.pid).data["gc"]
        truth = target.first
    assert told["enabled"] is False and told["uncollectable"] == truth["garbage"]
    assert told["frozen"] == truth["frozen"] > 10000
    assert [g["threshold"] for g in told["generations"]][:2] == truth["threshold"][:2]
    for generation, stats in zip(told["generations"], truth["stats"]):
        for key in ("collections", "collected", "uncollectable"):
            assert generation[key] == stats[key], (key, told["generations"], truth["stats"])


def test_rss_is_the_kernels(python):
    """The balance adds up to RSS in every report (heaps.Look); and that is the RSS of the page tables."""
    with facts(python) as target:
        before = harness.rss(target.pid)
        look = heaps.look(target.pid)
        assert close(look.rss, before, 0.005, 64 * KIB), (look.rss, before)


def test_pause_is_told(system):
    with facts(system) as target:
        paused, free = heaps.look(target.pid, "--pause"), heaps.look(target.pid)
        twice = heaps.look(target.pid, "--pause", "-d", 0.2)
        assert harness.state(target.pid) == "S"
    assert len(paused.data["paused_ms"]) == 1 and free.data["paused_ms"] == []
    assert len(twice.data["paused_ms"]) == 2 and all(ms > 0 for ms in twice.data["paused_ms"])
    assert twice.data["seconds"] >= 0.2


def test_target_is_left_as_it_was(python):
    """It goes on, and ends as it would have: whether it was stopped or not."""
    for options in ([], ["--pause"]):
        with facts(python) as target:
            heaps.look(target.pid, *options)
            assert target.end() == 0


def test_several_processes(system):
    """Each has a report of its own, in the order of -p; those that can't be looked at are named. What all have together
    comes first."""
    with facts(system) as one, facts(system) as other, subprocess.Popen(["sleep", "600"]) as sleeper:
        try:
            done = heaps.run("--format", "json", "-p", "%d,%d" % (other.pid, sleeper.pid), "-p", one.pid)
            table = heaps.run("-p", "%d,%d" % (other.pid, sleeper.pid), "-p", one.pid).stdout.decode()
        finally:
            sleeper.kill()
    assert done.returncode == 0
    data = json.loads(done.stdout.decode())
    assert [p["pid"] for p in data["processes"]] == [other.pid, one.pid]
    assert [(s["pid"], s["comm"]) for s in data["skipped"]] == [(sleeper.pid, "sleep")]
    assert b"is not Python" in done.stderr and b"skipped" in done.stderr
    together = sum(p["rss_bytes"] for p in data["processes"]) / MIB
    said = re.match(r"2 of 3 processes, RSS\s([\d.]+)\sMiB together \(pages that they share count for each\)\. "
                    r"Keeps most: (.*?) \((.*?)\) of PID\s(\d+), [\d.]+\sMiB\.\n\nPID %d " % other.pid, table, re.DOTALL)
    assert said, table[:400]
    assert close(float(said.group(1)), together, 0.02) and int(said.group(4)) in (one.pid, other.pid)
    most = max((h for p in data["processes"] for h in p["holders"]), key=lambda h: h["retained_bytes"])
    assert said.group(2) == most["path"] and said.group(3) == most["type"]


# --- what is refused ---

def refused(*arguments, **how):
    """What it says when it can't look, with status 1 and no report."""
    done = heaps.run(*arguments, **how)
    assert done.returncode == 1 and done.stdout == b"", (done.returncode, done.stdout, done.stderr)
    return done.stderr.decode()


def test_no_such_process():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert "pid %d: no such process" % gone.pid in refused("-p", gone.pid)


def test_refused_by_version(python):
    """By its number, or for what it is."""
    if readable(python):
        pytest.skip("its heap is known, which the other tests look at")
    with Target(python.command, "idle") as target:
        said = refused("-p", target.pid)
    assert "%d.%d" % python.version[:2] in said, said
    assert ("free-threaded" if python.free_threaded else "only that of 3.8 to 3.15 is") in said, said


def test_not_python():
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        try:
            assert "is not Python" in refused("-p", sleeper.pid)
        finally:
            sleeper.kill()


def test_zombie():
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        until(lambda: harness.state(ended.pid) == "Z", "a zombie")
        assert "zombie" in refused("-p", ended.pid)


def test_traced_by_another(system):
    """A debugger is attached: with --pause it is refused, without it is looked at."""
    code = ("import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True)\n"
            "libc.ptrace.argtypes = [ctypes.c_long] * 4\n"
            "assert libc.ptrace(0x4206, int(sys.argv[1]), 0, 0) == 0, ctypes.get_errno()\n"
            "os.write(1, b'x'); os.read(0, 1)")
    with facts(system) as target:
        with subprocess.Popen(["/usr/bin/python3", "-c", code, str(target.pid)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as tracer:
            try:
                assert tracer.stdout.read(1) == b"x"
                said = refused("-p", target.pid, "--pause")
                assert "can't be stopped" in said and "without --pause" in said, said
                heaps.look(target.pid)
            finally:
                tracer.kill()
        heaps.look(target.pid, "--pause")


@pytest.mark.parametrize("words, said", [
    ([], "say whose heap"), (["-p", "1", "-d", "1", "--births", "x"], "--births x"),
    (["-p", "1", "--until-input"], "goes with -d"),
    (["-p", "1", "--types-only", "--pause"], "--types-only makes none"),
    (["-p", "1", "-d", "1", "--types-only", "--births", "off"], "--types-only finds none"),
    (["-p", "1", "--births", "off"], "goes with -d"), (["-p", "1", "-d", "0"], "-d 0"),
    (["-p", "1", "-n", "x"], "-n x"), (["-p", "1", "--format", "csv"], "--format csv")])
def test_wrong_command_lines(words, said):
    done = heaps.run(*words)
    assert done.returncode == 2 and done.stdout == b""
    assert said in done.stderr.decode(), done.stderr


# --- types alone ---

def test_types_only(python):
    """What there is of each type, as the whole look finds it; no holders; the table says what is in it."""
    with facts(python) as target:
        until(lambda: harness.in_read(target.pid), "at rest in read()")
        whole, types = heaps.look(target.pid), heaps.look(target.pid, "--types-only")
        table = heaps.run("-p", target.pid, "--types-only").stdout.decode()
    assert types.data["types_only"] and not whole.data["types_only"]
    assert whole.holders and not types.holders and not types.data["births"] and not types.data["skipped"]
    assert types.rss == whole.rss and types.data["gc"] == whole.data["gc"]
    for name in ("list", "dict", "function", "type", "__main__.Slotted", "float"):
        assert types.type(name)["objects"] == whole.type(name)["objects"] > 0, name
    # Buffers are in no type.
    assert types.type("array.array")["bytes"] < MIB < whole.type("array.array")["bytes"]
    assert types.balance["buffers"] + types.balance["mapped_buffers"] >= whole.balance["buffers"]
    assert "buffers" in types.verdict and " objects), " in types.verdict
    assert "Type, without buffers" in table and "Holder" not in table
    fullness = types.data["pools"]["by_fullness"]
    assert sum(fullness) == types.data["pools"]["count"]
    assert close(types.data["pools"]["count"], whole.data["pools"]["count"], 0.001, 1)


def test_types_only_twice(system):
    with heaps.Keeper(system.command, "audit") as keeper:
        with heaps.Running("-p", keeper.pid, "-d", 600, "--until-input", "--types-only") as running:
            assert b"second look" in running.lines.next()
            keeper.asked("more", 20000)
            running.process.stdin.close()
            look = running.look()
    grown = [row for row in look.types if row["bytes_grown"] > 0]
    assert grown and grown[0]["objects_grown"] >= 20000, look.types[:3]
    assert look.types[0] == grown[0]
    assert not look.holders and "Grows by" in look.verdict and grown[0]["type"] in look.verdict, look.verdict


@pytest.mark.parametrize("words", [(), ("--pause",)], ids=["runs", "paused"])
def test_little_memory(system, words):
    """Where there is not so much memory as a whole look takes it is a smaller one, and says so."""
    with Target(system.command, "heap_many", path=harness.program_path("heap_many")) as target, \
            limited(100 * MIB) as members:
        def enter():
            with open(members, "w") as f:
                f.write(str(os.getpid()))
        small = heaps.look(target.pid, *words, preexec_fn=enter)
        assert small.rss > 190 * MIB
    assert small.data["types_only"] and not small.holders and not small.data["paused_ms"]
    assert small.type("tuple")["objects"] >= 700000
    said = small.data["skipped"]
    assert len(said) == 1 and "not enough memory" in said[0] and "--types-only" in said[0], said
    assert ("was not stopped" in said[0]) == bool(words)


# --- without root ---

def as_user(*words):
    return ["setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all"] + list(map(str, words))


@pytest.fixture(scope="module")
def users_tool(tmp_path_factory):
    """The program where an ordinary user can run it."""
    folder = tmp_path_factory.mktemp("tool")
    for part in [folder] + list(folder.parents)[:-1]:
        with contextlib.suppress(PermissionError):
            os.chmod(str(part), 0o755)
    path = str(folder / "pymem-bpf")
    shutil.copy(harness.TOOL, path)
    os.chmod(path, 0o755)
    return path


def ptrace_scope():
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as f:
            return int(f.read())
    except FileNotFoundError:
        return 0


def test_own_process_without_root(users_tool):
    """Where the kernel lets a user read their own process, they may look at its heap."""
    code = "import os; KEPT = ['x%d' % n for n in range(50000)]; os.write(1, b'x'); os.read(0, 1)"
    with subprocess.Popen(as_user("/usr/bin/python3", "-c", code), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.read(1) == b"x"
            done = subprocess.run(as_user(users_tool, "heap", "--format", "json", "-p", target.pid),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        finally:
            target.kill()
    if ptrace_scope() > 0:
        assert done.returncode == 1 and b"ptrace_scope" in done.stderr, done.stderr
        return
    assert done.returncode == 0, done.stderr
    look = heaps.Look(json.loads(done.stdout.decode())["processes"][0])
    assert look.holders[0]["path"] == "__main__.KEPT"


@pytest.mark.attack("figures of other users' processes", "heap of another user's process, without root")
def test_another_users_process(system, users_tool):
    with facts(system) as target:
        done = subprocess.run(as_user(users_tool, "heap", "-p", target.pid), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 1 and done.stdout == b"", done.stdout
    assert b"may not be read" in done.stderr and b"sudo" in done.stderr, done.stderr


# --- where the report goes ---

def test_table(system):
    """The answer first; no control byte where it is no terminal; -n."""
    with facts(system) as target:
        done = heaps.run("-p", target.pid, "-n", 3)
        all_of_it = heaps.run("-p", target.pid, "-n", 0)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("PID %d  " % target.pid) and lines[1].startswith("Python 3.")
    assert " are live, " in lines[3]
    assert any(line.startswith("RSS ") and " = objects " in line for line in lines)
    assert re.search(r"and \d+ more holders \(-n 0 shows all\)", done.stdout.decode())
    assert not CONTROL.search(done.stdout)
    assert len(all_of_it.stdout) > 2 * len(done.stdout) and b"more holders" not in all_of_it.stdout


@pytest.mark.parametrize("width", [40, 80, 132])
def test_width_of_a_terminal(system, width):
    with facts(system) as target:
        screen = pexpect.spawn(harness.TOOL, ["heap", "-p", str(target.pid)], encoding="utf-8", timeout=PATIENCE,
                               dimensions=(100, width), env=dict(os.environ, NO_COLOR="1", TERM="xterm"))
        text = screen.read()
        screen.close()
    assert "__main__.DE" in text
    assert max(map(len, text.splitlines())) <= width


def test_output_is_whole_or_not_there(system, tmp_path):
    path = tmp_path / "report"
    with facts(system) as target:
        done = heaps.run("-p", target.pid, "-o", path)
        assert done.returncode == 0 and done.stdout == b""
        assert path.read_text().startswith("PID ")
        assert path.stat().st_mode & 0o777 == 0o600
        assert heaps.run("-p", target.pid, "-o", tmp_path / "no" / "folder").returncode == 1
        before = path.read_text()
        with heaps.Running("-p", target.pid, "-d", 600) as running:
            assert running.lines.next().startswith(b"looked at 1 process;")
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(PATIENCE) == 128 + signal.SIGTERM
            assert os.listdir(running.folder.name) == []
    assert path.read_text() == before
    assert os.listdir(str(tmp_path)) == ["report"]


def test_full_disk(system):
    with facts(system) as target, open("/dev/full", "wb") as full:
        done = subprocess.run([harness.TOOL, "heap", "-p", str(target.pid)], stdout=full, stderr=subprocess.PIPE,
                              timeout=PATIENCE)
    assert done.returncode == 1 and b"could not be written" in done.stderr


def test_closed_pipe(system):
    reader, writer = os.pipe()
    os.close(reader)
    with facts(system) as target:
        done = subprocess.run([harness.TOOL, "heap", "-n", "0", "-p", str(target.pid)], stdout=writer,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
    os.close(writer)
    assert done.returncode == 1 and b"could not be written" in done.stderr


# --- ends ---

def children(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(number) for number in f.read().split()]
    return []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_at_once(system, number):
    """Between two looks; its helpers go with it, and the process goes on."""
    times = []
    for _ in range(5):
        with facts(system) as target, heaps.Running("-p", target.pid, "-d", 600, "--pause") as running:
            assert running.lines.next().startswith(b"looked at 1 process; the second look follows in 600 s")
            helpers = children(running.process.pid)
            begin = time.monotonic()
            running.process.send_signal(number)
            assert running.process.wait(PATIENCE) == 128 + number
            times.append(time.monotonic() - begin)
            for helper in helpers:
                until(lambda pid=helper: harness.state(pid) in "XZ", "ended")
            assert not os.path.exists(running.path)
            assert harness.state(target.pid) == "S"
            assert target.end() == 0
    assert sorted(times)[2] < 0.1, times


def test_ctrl_c_between_looks(system):
    """The second look comes at once, over the time that has passed: what was seen is not lost."""
    with heaps.Keeper(system.command, "audit") as keeper, heaps.Running("-p", keeper.pid, "-d", 600) as running:
        assert running.lines.next() == b"looked at 1 process; the second look follows in 600 s; Ctrl-C makes it now"
        keeper.asked("more", 20000)
        running.process.send_signal(signal.SIGINT)
        look = running.look()
        assert re.fullmatch(rb"the second look comes now, after \d+\.\d s; Ctrl-C gives up", running.lines.next())
    assert 0 < look.data["seconds"] < 600
    assert look.holder(keeper.holder)["entries_grown"] == 20000, look.verdict


def test_ctrl_c_twice(system):
    """The second one gives up, without a report: no helper stays, and the process goes on."""
    with Target(system.command, "heap_many", path=harness.program_path("heap_many")) as target, \
            heaps.Running("-p", target.pid, "-d", 600) as running:
        assert running.lines.next().startswith(b"looked at 1 process; ")
        helpers = children(running.process.pid)
        running.process.send_signal(signal.SIGINT)
        assert running.lines.next().startswith(b"the second look comes now, ")
        time.sleep(0.2)  # one that comes at once is the same
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(PATIENCE) == 128 + signal.SIGINT
        for helper in helpers:
            until(lambda pid=helper: harness.state(pid) in "XZ", "ended")
        assert not os.path.exists(running.path) and harness.state(target.pid) == "S"


def test_ctrl_c_that_comes_double(system):
    """As timeout(1) sends it, to the process and to its group: it is one. A busy machine may deliver the second one so
    late that it is a second one."""
    for _ in range(10):
        with heaps.Keeper(system.command, "audit") as keeper, heaps.Running("-p", keeper.pid, "-d", 600) as running:
            running.lines.next()
            running.process.send_signal(signal.SIGINT)
            assert running.lines.next().startswith(b"the second look comes now, ")
            running.process.send_signal(signal.SIGINT)
            if running.process.wait(harness.PATIENCE) == 0:
                assert 0 < running.look().data["seconds"] < 600
                return
    pytest.fail("they were two, ten times of ten")


def test_ctrl_c_while_it_looks(system):
    """One look, or the first of two: it ends at once."""
    with Target(system.command, "heap_many", path=harness.program_path("heap_many")) as target:
        for words in ([], ["-d", "600"]):
            with heaps.Running("-p", target.pid, *words) as running:
                until(lambda: len(children(running.process.pid)) >= 2, "helpers, forked after signals are caught")
                running.process.send_signal(signal.SIGINT)
                assert running.process.wait(PATIENCE) == 128 + signal.SIGINT
                assert not os.path.exists(running.path) and harness.state(target.pid) == "S"


def test_killed_while_it_reads(system):
    """At any moment, kill -9 too: nothing is stopped afterwards."""
    with facts(system) as target:
        for delay in (0.005, 0.02, 0.05, 0.1, 0.2):
            with subprocess.Popen([harness.TOOL, "heap", "--pause", "-p", str(target.pid)], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as tool:
                time.sleep(delay)
                tool.kill()
            until(lambda: harness.state(target.pid) == "S", "at rest")
        assert target.end() == 0


def test_target_ends_between_looks(system):
    with facts(system) as target, heaps.Running("-p", target.pid, "-d", 600, "--until-input") as running:
        running.lines.next()
        assert target.end() == 0
        running.process.stdin.close()
        assert running.process.wait(PATIENCE) == 1
        assert b"has ended" in running.lines.next()
        assert not os.path.exists(running.path)


def test_second_look_at_input(system):
    """--until-input: the second look comes when the caller says so."""
    with heaps.Keeper(system.command, "closure") as keeper:
        keeper.asked("more", 1000)
        with heaps.Running("-p", keeper.pid, "-d", 600, "--until-input") as running:
            running.lines.next()
            keeper.asked("more", 4000)
            running.process.stdin.write(b"\n")
            running.process.stdin.flush()
            look = running.look()
    assert look.data["seconds"] < 600
    first = look.holders[0]
    assert "records" in first["path"] and first["entries_grown"] == 4000 and first["entries"] == 5000


def test_changing_process(python):
    """A process that allocates and frees all the time: it is looked at while it does, and each report adds up. A
    look that begins while the container is being replaced may not see it."""
    if not readable(python):
        pytest.skip("its heap is not known")
    with heaps.Keeper(python.command, "replaced") as keeper:
        keeper.asked("more", 10000)
        keeper.tell(b"run")
        named = 0
        for _ in range(5):
            look = heaps.look(keeper.pid)
            named += any(keeper.holder in holder["path"] for holder in look.holders)
            assert look.balance["unexplained"] <= look.rss / 20, look.balance
        assert named
        keeper.asked("more", 0)


def test_stopped_process(system):
    """SIGSTOP does not matter, and it stays stopped."""
    with facts(system) as target:
        os.kill(target.pid, signal.SIGSTOP)
        until(lambda: harness.state(target.pid) == "T", "stopped")
        heaps.look(target.pid)
        heaps.look(target.pid, "--pause")
        assert harness.state(target.pid) == "T"
        os.kill(target.pid, signal.SIGCONT)
        assert target.end() == 0


def test_two_at_once(system):
    with facts(system) as target:
        with subprocess.Popen([harness.TOOL, "heap", "-q", "--format", "json", "-p", str(target.pid)],
                              stdout=subprocess.PIPE) as other:
            look = heaps.look(target.pid)
            said = json.loads(other.communicate(timeout=PATIENCE)[0].decode())
    assert close(heaps.Look(said["processes"][0]).live(), look.live(), 0.02)


@pytest.mark.attack("root's terminal", "control characters in names of variables, keys and types, seen by heap")
def test_control_bytes_are_escaped(system):
    code = ("import os; T = type('evil\\x1b[31m\\u202e', (), {'__module__': 'm\\x07'})\n"
            "globals()['K\\x1b]0;owned\\x07\\u202e'] = {'\\x1b[2Jkey': [T() for _ in range(20000)]}\n"
            "os.write(1, b'x'); os.read(0, 1)")
    with subprocess.Popen(system.command + ["-c", code, b"\x1b[31m"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        try:
            process.stdout.read(1)
            for form in ([], ["--format", "json"]):
                done = heaps.run("-p", process.pid, *form)
                assert done.returncode == 0, done.stderr
                assert not CONTROL.search(done.stdout), CONTROL.search(done.stdout)
                assert b"evil" in done.stdout and b"owned" in done.stdout
        finally:
            process.kill()


def test_memory_is_given_up_before_the_second_look(system):
    """Of a first look little is kept: between two, it has less than a tenth of what the process has."""
    with heaps.Keeper(system.command, "sessions") as keeper:
        keeper.asked("more", 60000)
        # The table of pages that lines touch is the kernel's, by the size of the host.
        with heaps.Running("-p", keeper.pid, "-d", 600, "--touched", "off") as running:
            running.lines.next()
            assert harness.rss(running.process.pid) < 10 * MIB + harness.rss(keeper.pid) / 10


def test_pythons_are_there():
    """What the tests above are about: interpreters whose heap is known."""
    assert sum(map(readable, pythons())) >= 1


# --- what a function works on ---

WORKS = """
import os

def step(n):
    if n in (40000, 80000):
        os.write(1, b"x")
        os.read(0, 1)
    return "row %d" % n

def report():
    return len([step(n) for n in range(80001)])

report()
"""


def test_temporary_is_no_growth(python):
    """What a function is in the midst of making has no name and may go at once, also where it was begun before the
    first look: it is said, and not called growth."""
    if not readable(python):
        pytest.skip("its heap is not known")
    with subprocess.Popen(python.command + ["-c", WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.read(1) == b"x"
            with heaps.Running("-p", target.pid, "-d", 600, "--until-input",
                               "--births", "off") as running:
                running.lines.next()
                os.write(target.stdin.fileno(), b"x")
                assert target.stdout.read(1) == b"x"
                os.write(running.process.stdin.fileno(), b"\n")
                look = running.look()
        finally:
            target.kill()
    rows = look.holder("<temporary>")
    assert rows["local"] and rows["entries"] == 80000 and 39999 <= rows["entries_grown"] <= 40001, rows
    assert look.verdict.startswith("Does not grow: in "), look.verdict
    said = look.verdict.partition(" of it what functions work on (most in ")[2]
    assert said.startswith(rows["path"] + "), which may pass."), look.verdict


# --- the README's example ---

EXAMPLE = os.path.join(harness.PROJECT, "examples", "shop.py")
LEAKS, SOLVED = "AUDIT = []\n", "import collections\nAUDIT = collections.deque(maxlen=10000)\n"


def look_at_example(command, path):
    with subprocess.Popen(command + [path, "600"]) as shop:
        try:
            until(lambda: any(h["path"] == "__main__.AUDIT" and h["entries"] >= 10000
                              for h in heaps.look(shop.pid).holders), "audited 10,000 times")
            return heaps.look(shop.pid, "-d", 4, "--births", "off")
        finally:
            shop.kill()


def test_example(system, tmp_path):
    """The line that touches most is not the one that keeps; the holder is named; once it is bounded, nothing grows."""
    with open(EXAMPLE) as f:
        text = f.read()
    assert text.count(LEAKS) == 1
    leaking = look_at_example(system.command, EXAMPLE)
    assert leaking.verdict.startswith("Grows by ") and "kept by __main__.AUDIT (list, " in leaking.verdict, leaking.verdict
    assert leaking.holders[0]["path"] == "__main__.AUDIT"
    solved = tmp_path / "shop.py"
    solved.write_text(text.replace(LEAKS, SOLVED))
    bounded = look_at_example(system.command, str(solved))
    assert bounded.holder("__main__.AUDIT")["entries"] == 10000
    assert bounded.verdict.startswith("Does not grow"), bounded.verdict
