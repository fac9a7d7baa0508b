# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ends of all kinds: the target goes on untouched, nothing stays attached, and a report is
either whole or not there."""
import json
import os
import signal
import subprocess
import time

import pytest

import harness
from harness import MIB, Target, Tool


def bpftool_list(kind):
    """bpftool fails where an object goes while it lists them: then again."""
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin")
    for _ in range(20):
        done = subprocess.run(["bpftool", "-j", kind, "list"], stdout=subprocess.PIPE, env=env)
        if done.returncode == 0:
            return json.loads(done.stdout.decode() or "[]")
        time.sleep(0.05)
    raise AssertionError("bpftool %s list fails" % kind)


def bpf_objects():
    """Identifiers of the BPF programs and links there are."""
    return {(kind, o["id"]) for kind in ("prog", "link") for o in bpftool_list(kind)}


def assert_nothing_left(before):
    """The kernel frees programs a moment after their owner's end."""
    deadline = time.monotonic() + 5
    while bpf_objects() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not bpf_objects() - before


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


def test_ctrl_c_twice(system):
    """The second one gives up the report; what the first wrote is whole or absent."""
    before = bpf_objects()
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid) as tool:
            tool.attached()
            target.go()
            tool.process.send_signal(signal.SIGINT)
            tool.process.send_signal(signal.SIGINT)
            assert tool.wait() in (0, 130), tool.stderr
            if os.path.exists(tool.file):
                with open(tool.file) as f:
                    json.load(f)
        assert target.end() == 0
    assert_nothing_left(before)


def test_kill_9(system):
    before = bpf_objects()
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid) as tool:
            tool.attached()
            assert bpf_objects() - before
            tool.process.kill()
            assert tool.wait() == -signal.SIGKILL
            assert not os.path.exists(tool.file)
        assert_nothing_left(before)
        target.go()
        assert target.end() == 0


def test_duration(system):
    with Target(system.command, "idle") as target, Tool("-p", target.pid, "-d", "0.5") as tool:
        start = time.monotonic()
        report = tool.report()
        assert 0.3 < time.monotonic() - start < 5
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
        tool.process.stdin.write(b"GO\n")
        tool.process.stdin.flush()
        while len(tool.stdout().splitlines()) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        tool.process.send_signal(signal.SIGTERM)
        report = tool.report(128 + signal.SIGTERM)
    report.check_conservation(child)
    assert sum(r["grown_bytes"] for r in report.images(child)[0]["lines"]) >= 64 * MIB
