# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ends of all kinds: the target runs on unaffected, nothing stays attached, and a report is complete or
does not exist."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

import harness
from harness import MIB, Target, Tool
from kernel_side import bpftool


def is_ours(pid):
    """Was it started by this run of tests? One that has ended may have been."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as f:
            return ("%s=%s" % (harness.RUN, os.environ[harness.RUN])).encode() in f.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return True
    except PermissionError:
        return False  # root may read those that it started


def held_by(pid):
    """The BPF programs and links whose descriptors the process has."""
    found, folder = set(), "/proc/%d/" % pid
    try:
        for number in os.listdir(folder + "fd"):
            if not os.readlink(folder + "fd/" + number).startswith(("anon_inode:bpf", "anon_inode:[bpf")):
                continue
            with open(folder + "fdinfo/" + number) as f:
                pairs = re.findall(r"^(prog|link)_id:\s*(\d+)", f.read(), re.M)
            found.update((kind, int(n)) for kind, n in pairs)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it closes them, or ends: what is looked for is looked for again
    return found


def bpf_objects():
    """Identifiers of the BPF programs and links there are, but those that others' processes hold: there
    may be other profilers on this machine."""
    listed = {(kind, o["id"]) for kind in ("prog", "link") for o in bpftool(kind, "list")}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if not is_ours(pid):
            listed -= held_by(pid)
    return listed


def assert_nothing_left(before):
    """The kernel frees programs a moment after their owner's end."""
    harness.until(lambda: not bpf_objects() - before, "free of BPF objects")


@pytest.fixture
def memory_disk(tmp_path):
    """A folder on a tmpfs of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("earlier", [False, True])
def test_report_gets_its_name_at_the_end(system, memory_disk, earlier):
    """Nothing is to be seen before; then the file is there, for its owner alone."""
    path = memory_disk / "report"
    if earlier:
        path.write_text("earlier")
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid, "-o", path, output=False, preexec_fn=lambda: os.umask(0o002)) as tool:
            tool.attached()
            assert os.listdir(str(memory_disk)) == (["report"] if earlier else [])
            target.go()
            assert tool.stop() == 0, tool.stderr
    assert os.listdir(str(memory_disk)) == ["report"]
    assert "grow.py" in path.read_text() and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_with_a_report(system, number):
    before = bpf_objects()
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid) as tool:
            tool.attached()
            assert bpf_objects() - before, "a running profiler has programs of its own"
            truth = target.go()
            tool.process.send_signal(number)
            report = tool.report()
        assert target.end() == 0
    report.check_lines(target.pid, target.path, truth["lines"])
    assert_nothing_left(before)


def full_pipe():
    """(reader, writer): a pipe that takes not a byte more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, os.fdopen(writer, "wb")


def writes_to_stdout(pid):
    """Does it wait in a system call whose first argument is 1?"""
    with open("/proc/%d/syscall" % pid) as f:
        return f.read().split()[1:2] == ["0x1"]


def test_ctrl_c_twice(system):
    """The first one ends the profile, the second one gives up the report, whatever it is stuck on:
    here nobody reads it."""
    before = bpf_objects()
    reader, writer = full_pipe()
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid, output=False, stdout=writer) as tool:
            tool.attached()
            target.go()
            tool.process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + harness.PATIENCE
            while not writes_to_stdout(tool.process.pid):
                assert time.monotonic() < deadline, "the report is not being written"
                time.sleep(0.02)
            time.sleep(0.3)
            assert tool.process.poll() is None, "the first one gave up the report"
            tool.process.send_signal(signal.SIGINT)
            assert tool.wait() == 130, tool.stderr
        assert target.end() == 0
    os.close(reader)
    assert_nothing_left(before)


def test_signals_after_the_commands_end(system):
    """-d is over and nobody reads the report: the first signal is the command's, which ends by it and is not
    waited for yet; the next ones are ours."""
    reader, writer = full_pipe()
    with Tool("-q", "-d", "0.5", "--", *system.command, "-c", "import time; time.sleep(1000)", output=False,
              stdout=writer) as tool:
        harness.until(lambda: writes_to_stdout(tool.process.pid), "writing the report")
        with open("/proc/%d/task/%d/children" % (tool.process.pid, tool.process.pid)) as f:
            command = int(f.read().split()[-1])
        tool.process.send_signal(signal.SIGTERM)
        harness.until(lambda: harness.state(command) == "Z", "at the command's end")
        tool.process.send_signal(signal.SIGTERM)
        # Two kinds, or they could come as one.
        tool.process.send_signal(signal.SIGINT)
        assert tool.wait() in (130, 143), tool.stderr
    os.close(reader)


NOHUP = ["env", "--ignore-signal=HUP"]


def test_started_by_nohup(system):
    """It goes on when its terminal goes. An ignored SIGINT, which shells without job control give to all that
    they start with &, ends it all the same."""
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid, before=NOHUP + ["--ignore-signal=INT"]) as tool:
            tool.attached()
            for _ in range(2):
                tool.process.send_signal(signal.SIGHUP)
                tool.polled()
            truth = target.go()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    report.check_lines(target.pid, target.path, truth["lines"])


def test_hangup_after_the_commands_end(system):
    """With nohup the report is written to its end."""
    reader, writer = full_pipe()
    with Tool("-q", "-d", "0.5", "--", *system.command, "-c", "import time; time.sleep(1000)", output=False,
              stdout=writer, before=NOHUP) as tool:
        harness.until(lambda: writes_to_stdout(tool.process.pid), "writing the report")
        os.kill(command_of(tool), signal.SIGKILL)
        harness.until(lambda: harness.state(command_of(tool)) == "Z", "at the command's end")
        for _ in range(2):
            tool.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)  # or they could come as one
        with os.fdopen(reader, "rb") as pipe:
            written = pipe.read()
        assert tool.wait() == 128 + signal.SIGKILL, tool.stderr
    assert b"RSS " in written.lstrip(b"x")


def test_second_signal_on_a_stopped_terminal(system):
    """After Ctrl-S nothing can be written, not even what leaves the live screen."""
    with Target(system.command, "grow") as target:
        pid, terminal = pty.fork()
        if not pid:
            os.execve(harness.TOOL, [harness.TOOL, "-p", str(target.pid)], harness.environment())
        deadline, said, ended = time.monotonic() + harness.PATIENCE, b"", 0
        try:
            while b"\033[J" not in said:
                said += os.read(terminal, 4096)
            os.write(terminal, b"\x13")
            while not writes_to_stdout(pid):
                assert time.monotonic() < deadline, "it draws no more"
                time.sleep(0.02)
            # Two kinds, or they could come as one.
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
            while not ended:
                assert time.monotonic() < deadline, "the second signal did not end it"
                time.sleep(0.02)
                ended, status = os.waitpid(pid, os.WNOHANG)
        finally:
            if not ended:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(terminal)
        assert os.waitstatus_to_exitcode(status) in (130, 143)


def test_kill_9(system, memory_disk):
    before = bpf_objects()
    folder = str(memory_disk)
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid, "-o", folder + "/report") as tool:
            tool.attached()
            assert bpf_objects() - before
            tool.process.kill()
            assert tool.wait() == -signal.SIGKILL
            assert not os.path.exists(tool.file)
            # tmpfs: has files without names.
            assert not os.listdir(folder), "a temporary file stays"
        assert_nothing_left(before)
        target.go()
        assert target.end() == 0


def test_duration(system):
    with Target(system.command, "idle") as target, Tool("-p", target.pid, "-d", "0.5") as tool:
        start = time.monotonic()
        report = tool.report()
        assert time.monotonic() - start > 0.3
    report.check_conservation(target.pid)


def test_target_killed(system):
    with Target(system.command, "grow") as target, Tool("-p", target.pid) as tool:
        tool.attached()
        truth = target.go()
        target.process.kill()
        target.process.wait()
        report = tool.report()
    report.check_conservation(target.pid)
    report.check_lines(target.pid, target.path, {"grow": {"grown": truth["lines"]["grow"]["grown"]}})


def test_target_becomes_something_else(system):
    """It execs a program that is no Python: its Python lines are reported still."""
    code = ("import os\nos.write(1, b'{\"pid\": %d}\\n' % os.getpid())\nos.read(0, 3)\n"
            "keep = bytearray(20 << 20)\nos.execv('/bin/sleep', ['sleep', '0.3'])\n")
    with subprocess.Popen(system.command + ["-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with Tool("-p", process.pid) as tool:
            tool.attached()
            process.stdin.write(b"GO\n")
            process.stdin.flush()
            report = tool.report()
        assert process.wait() == 0
    report.check_conservation(process.pid)
    grown = sum(r["grown_bytes"] for r in report.rows(process.pid, "<string>", 4))
    assert abs(grown - 20 * MIB) <= harness.TOLERANCE


STATUSES = [("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 255", 255),
            ("signal 15", 143), ("signal 9", 137), ("signal 11", 139)]


@pytest.mark.parametrize("how,expected", STATUSES, ids=[s[0] for s in STATUSES])
def test_status_of_command(system, how, expected):
    command = system.command + [harness.program_path("status")] + how.split()
    with Tool("--", *command) as tool:
        report = tool.report(expected)
    assert len(report.data["processes"]) == 1


def test_command_is_known_before_it_runs(system):
    """It waits for that, and is not traced when it runs."""
    code = "block = bytearray(16 << 20)\nprint([w for w in open('/proc/self/status') if 'TracerPid' in w])"
    for _ in range(3):
        with Tool("--", *system.command, "-S", "-c", code, env=harness.environment()) as tool:
            report = tool.report()
            assert tool.stdout() == b"['TracerPid:\\t0\\n']\n"
        pid, = report.pids()
        report.check_conservation(pid)
        assert report.image(pid)["lost_bytes"]["unidentified"] == 0
        assert sum(r["grown_bytes"] for r in report.rows(pid, "<string>", 1)) >= 16 * MIB


def test_command_runs_whenever_the_profiler_is_killed(tmp_path):
    """Held back, held at its exec, or running: it goes on. The second lasts a moment only, which one of
    some rounds hits."""
    held = 0
    for i in range(20):
        path = tmp_path / str(i)
        with Tool("--", "sh", "-c", "echo done >" + str(path)) as tool:
            child = command_of(tool)
            if i % 4:
                while harness.state(child) not in "XZ" and not tracer(child):
                    pass
                held += bool(tracer(child))
            elif i % 8:
                time.sleep(0.3)
            tool.process.kill()
            tool.process.wait()
            harness.until(path.exists, "done, though its profiler was killed")
    assert held, "it was never hit while it is held at its exec"


def command_of(tool):
    """PID of the command, as soon as it is there."""
    path = "/proc/%d/task/%d/children" % (tool.process.pid, tool.process.pid)

    def children():
        with open(path) as f:
            return f.read().split()
    # The examiner's keeper is forked before it.
    harness.until(lambda: len(children()) > 1, "forked")
    return int(children()[-1])


def tracer(pid):
    """PID of who traces it, 0 if nobody does."""
    try:
        with open("/proc/%d/status" % pid) as f:
            return int(re.search(r"TracerPid:\t(\d+)", f.read()).group(1))
    except (FileNotFoundError, ProcessLookupError):
        return 0


@pytest.mark.parametrize("number, expected", [(None, 5), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_command_that_is_stopped_before_it_starts(number, expected):
    """It stays so until it is told to go on; signals that it got meanwhile are its own."""
    with Tool("--", "sh", "-c", "exit 5") as tool:
        child = command_of(tool)
        os.kill(child, signal.SIGSTOP)
        harness.until(lambda: tracer(child), "seized")
        harness.until(lambda: harness.state(child) in "Tt", "stopped")
        if number:
            os.kill(child, number)
        time.sleep(0.2)
        assert tool.process.poll() is None and harness.state(child) in "Tt"
        os.kill(child, signal.SIGCONT)
        assert tool.wait() == expected


def test_profiler_killed_while_its_command_is_stopped(tmp_path):
    path = tmp_path / "done"
    with Tool("--", "sh", "-c", "echo done >" + str(path)) as tool:
        child = command_of(tool)
        os.kill(child, signal.SIGSTOP)
        harness.until(lambda: tracer(child), "seized")
        tool.process.kill()
        tool.process.wait()
        harness.until(lambda: harness.state(child) == "T", "stopped, though its profiler was killed")
        assert not path.exists()
        os.kill(child, signal.SIGCONT)
        harness.until(path.exists, "done")


def test_command_that_ends_where_ends_are_ignored(tmp_path):
    """SIGCHLD is ignored: the kernel would tell nobody of its end. The command has it as it was."""
    words = ["env", "--ignore-signal=CHLD", harness.TOOL]
    command = ["--", "/usr/bin/python3", "-c", "print(open('/proc/self/status').read()); raise SystemExit(5)"]
    for options in ["-q"], ["memit"]:
        done = subprocess.run(words + options + command, stdout=subprocess.PIPE, timeout=harness.PATIENCE)
        assert done.returncode == 5
        ignored = int(re.search(rb"SigIgn:\s*([0-9a-f]+)", done.stdout).group(1), 16)
        assert ignored >> (signal.SIGCHLD - 1) & 1


def test_command_that_stops_itself(system):
    """It stays stopped until it is told to go on, as without a profiler."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP); print('again')"
    with Tool("--", *system.command, "-c", code, env=harness.environment()) as tool:
        child = command_of(tool)
        harness.until(lambda: harness.state(child) == "T", "stopped")
        assert not tool.stdout()
        os.kill(child, signal.SIGCONT)
        report = tool.report()
        assert tool.stdout() == b"again\n"
    assert report.pids() == [child]


def test_command_is_let_go_when_time_is_up(tmp_path):
    """-d is over and nobody reads the report. Whatever the command does then, it is held no more."""
    reader, writer = full_pipe()
    path = tmp_path / "done"
    script = "read go; exec sh -c 'kill -CONT $$; echo done >%s'" % path
    with Tool("-q", "-d", "0.3", "--format", "json", "--", "sh", "-c", script, output=False, stdout=writer,
              stdin=subprocess.PIPE) as tool:
        harness.until(lambda: writes_to_stdout(tool.process.pid), "writing the report")
        assert tracer(command_of(tool)) == tool.process.pid, "it was known before: nothing is tried here"
        tool.process.stdin.write(b"\n")
        tool.process.stdin.flush()
        harness.until(path.exists, "done, while the report is being written")
        os.close(reader)
        assert tool.wait() == 1  # the report could not be written


def test_command_that_is_no_python():
    """Nothing to report, but its output and status are its own."""
    with Tool("--", "sh", "-c", "echo hello; exit 7") as tool:
        assert tool.wait() == 7
        assert tool.stdout() == b"hello\n"


def test_interrupted_command(system):
    """A signal to the profiler alone is the command's: it ends by it, its status is ours, and
    the report is whole."""
    command = system.command + [harness.program_path("grow")]
    with Tool("--", *command, stdin=subprocess.PIPE, env=harness.environment()) as tool:
        deadline = time.monotonic() + harness.PATIENCE
        while not tool.stdout() and time.monotonic() < deadline:
            time.sleep(0.02)
        child = json.loads(tool.stdout().splitlines()[0].decode())["pid"]
        tool.polled()
        tool.process.stdin.write(b"GO\n")
        tool.process.stdin.flush()
        while len(tool.stdout().splitlines()) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        tool.process.send_signal(signal.SIGTERM)
        report = tool.report(128 + signal.SIGTERM)
    report.check_conservation(child)
    assert sum(r["grown_bytes"] for r in report.images(child)[0]["lines"]) >= 64 * MIB


SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]
# print() can't be used in a handler: the signal may have come within one.
LISTENER = """
import os, signal, time
def note(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
for name in %r:
    signal.signal(getattr(signal, name), note)
os.write(1, b"ready\\n")
deadline = time.monotonic() + 1000
while time.monotonic() < deadline:
    time.sleep(0.01)
""" % SIGNALS


def wait_for_output(tool, text):
    deadline = time.monotonic() + harness.PATIENCE
    while text not in tool.stdout().decode():
        assert time.monotonic() < deadline, "%r was not said: %r" % (text, tool.stdout())
        time.sleep(0.02)


def test_signals_are_the_commands(system):
    """Each signal to the profiler alone reaches the command, once, as long as it lives: a second one of
    a kind, too."""
    with Tool("--", *system.command, "-c", LISTENER, env=harness.environment()) as tool:
        wait_for_output(tool, "ready")
        expected = "ready\n"
        for name in SIGNALS + ["SIGINT", "SIGTERM", "SIGINT"]:
            tool.process.send_signal(getattr(signal, name))
            expected += name + "\n"
            wait_for_output(tool, expected)
        time.sleep(0.2)
        assert tool.stdout().decode() == expected
        os.kill(command_of(tool), signal.SIGKILL)
        report = tool.report(128 + signal.SIGKILL)
    assert len(report.data["processes"]) == 1


def test_signals_of_a_terminal(system):
    """What is typed reaches the command once: the terminal sends it to both."""
    pid, terminal = pty.fork()
    if not pid:
        os.execve(harness.TOOL, [harness.TOOL, "-q", "--"] + system.command + ["-c", LISTENER],
                  harness.environment())
    said = b""

    def read_until(text, count=1, seconds=harness.PATIENCE):
        nonlocal said
        deadline = time.monotonic() + seconds
        while said.count(text) < count and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 4096)
        return said.count(text) >= count

    try:
        assert read_until(b"ready"), said
        for count in 1, 2:
            os.write(terminal, b"\x03")
            assert read_until(b"SIGINT\r\n", count), said
        os.write(terminal, b"\x1c")
        assert read_until(b"SIGQUIT\r\n"), said
        read_until(b"never", seconds=0.5)
        assert said.count(b"SIGINT") == 2 and said.count(b"SIGQUIT") == 1, said
    finally:
        subprocess.run(["pkill", "-KILL", "-P", str(pid)], check=False)
        os.close(terminal)  # or a report that nobody reads fills it
        os.waitpid(pid, 0)


def test_killed_before_it_started(system):
    """The command's end is ours, also when it came before the command could be tracked."""
    with Tool("--", *system.command, "-c", "import time; time.sleep(1000)") as tool:
        os.kill(command_of(tool), signal.SIGKILL)
        assert tool.wait() == 128 + signal.SIGKILL, tool.stderr
        assert b"No such process" not in tool.stderr, tool.stderr
