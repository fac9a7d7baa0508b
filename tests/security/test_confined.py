# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The rights that a profiler which runs as root still has when it reads what others wrote."""
import contextlib
import os
import signal
import socket
import subprocess

import pytest

import harness
from harness import TOOL, Target, Tool
from serve_fixtures import eventually, folder  # noqa: F401
from serving import HELLO, OK, Server
from test_reads import hanging, mapper  # noqa: F401

KILL, SETGID, SETUID, DAC_OVERRIDE, READ_SEARCH, FOWNER = 5, 6, 7, 1, 2, 3
PTRACE, ADMIN, NICE, PERFMON, BPF, CHECKPOINT = 19, 21, 23, 38, 39, 40
PROFILE = SERVE = {PTRACE, PERFMON, BPF}
EXAMINE = {READ_SEARCH, SETGID, SETUID, PTRACE, CHECKPOINT}


def status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(word) for word in f.read().split()]


def capabilities(mask):
    return {bit for bit in range(64) if int(mask, 16) >> bit & 1}


def check_confined(pid, expected):
    """No more than these, in no set, and no way back."""
    assert eventually(lambda: status(pid)["Seccomp"] == "2"), "no seccomp filter"
    said = status(pid)
    for which in ("CapEff", "CapPrm", "CapBnd"):
        assert capabilities(said[which]) == expected, which
    assert capabilities(said["CapInh"]) <= expected and capabilities(said["CapAmb"]) == set()
    assert said["NoNewPrivs"] == "1"


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over a profiler that is attached by -p, also with --lines and -o")
@pytest.mark.parametrize("options, more", [((), set()), (("-l",), {ADMIN})], ids=["walk", "lines"])
@pytest.mark.parametrize("output", [True, False], ids=["-o", "stdout"])
def test_attached(system, options, more, output):
    with Target(system, "idle") as target:
        tool = Tool(*options, "-p", target.pid, output=output).attached()
        check_confined(tool.process.pid, PROFILE | more | ({DAC_OVERRIDE, FOWNER} if output else set()))
        assert tool.stop() == 0, tool.stderr


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over a profiler that watches all, by -a")
def test_all(system):
    tool = Tool("-a").attached()
    check_confined(tool.process.pid, PROFILE | {DAC_OVERRIDE, FOWNER})
    assert tool.stop() == 0, tool.stderr


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over the helper that reads ELF files and memory of others")
def test_helpers():
    tool = Tool("-a").attached()
    for pid in harness.helpers_of(tool.process.pid):
        check_confined(pid, EXAMINE)
    assert tool.stop() == 0, tool.stderr


@pytest.mark.parametrize("pause", [(), ("--pause",)], ids=["running", "--pause"])
def test_heap_keeper(system, pause):
    """Who copies may raise its priority only where it may stop a process. Afterwards it is scheduled as before."""
    before = os.sched_getscheduler(0)
    with Target(system, "idle") as target:
        heap = subprocess.Popen([TOOL, "heap", *pause, "--births", "off", "--touched", "off", "-d", "600", "-p",
                                 str(target.pid)], stderr=subprocess.PIPE)
        assert b"looked at 1 process" in heap.stderr.readline()
        keepers = harness.children_of(heap.pid, "pymem-keeper")
        assert len(keepers) == 2  # the examiner's, and that of copies
        nice = {NICE} if pause else set()
        copying = [pid for pid in keepers if capabilities(status(pid)["CapEff"]) == EXAMINE | nice]
        assert copying
        for pid in copying:
            check_confined(pid, EXAMINE | nice)
        for pid in [heap.pid, *keepers]:
            assert os.sched_getscheduler(pid) == before
        heap.send_signal(signal.SIGINT)
        heap.communicate()


SAYS = "import os\nprint(open('/proc/self/status').read(), flush=True)\nx = bytearray(1 << 22)\nos.read(0, 1)"


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over a profiler that has started a command, which keeps its caller's rights")
@pytest.mark.parametrize("options, more", [((), set()), (("-l",), {ADMIN})], ids=["walk", "lines"])
def test_launched(system, options, more):
    own = status(os.getpid())
    tool = Tool(*options, "--", *system, "-c", SAYS, stdin=subprocess.PIPE)
    check_confined(tool.process.pid, PROFILE | more | {KILL, DAC_OVERRIDE, FOWNER})
    assert eventually(lambda: status(tool.process.pid)["Seccomp_filters"] == "2"), "ptrace goes too"
    tool.release()
    report = tool.report()
    assert any(image["charged_bytes"] for image in report.data["processes"])
    said = dict(line.split(":\t", 1) for line in tool.stdout().decode().splitlines() if ":\t" in line)
    for field in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"):
        assert said[field] == own[field], field


def test_each_run_of_memit_has_its_callers_rights():
    own = status(os.getpid())
    done = subprocess.run([TOOL, "memit", "-r", "2", "--", "cat", "/proc/self/status"],
                          stdout=subprocess.PIPE, timeout=harness.PATIENCE, check=True)
    lines = done.stdout.decode().splitlines()
    for field in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp"):
        said = [line for line in lines if line.startswith(field + ":")]
        assert said == ["%s:\t%s" % (field, own[field])] * 2


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over memit")
@pytest.mark.parametrize("command", [True, False], ids=["--", "-p"])
def test_memit(command):
    target = subprocess.Popen(["sleep", "1000"])
    what = ["--", "sh", "-c", "read x; exit 3"] if command else ["-p", str(target.pid)]
    tool = subprocess.Popen([TOOL, "memit"] + what, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        check_confined(tool.pid, {BPF, PERFMON, KILL if command else PTRACE})
        if command:
            assert tool.communicate(b"\n")[0].startswith(b"peak memory") and tool.returncode == 3
        else:
            tool.send_signal(signal.SIGINT)
            assert tool.communicate()[0].startswith(b"peak memory") and tool.returncode == 0
    finally:
        target.kill()
        target.wait()
        tool.kill()
        tool.wait()


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over ps")
def test_ps(hanging):  # noqa: F811 pylint: disable=unused-argument
    """Its helpers are there as long as they wait for a file system that never answers; it itself waits for whoever reads its
    table, in a pipe that is full."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writes, bytes(4096))
    os.set_blocking(writes, True)
    with subprocess.Popen([TOOL, "ps", "--format", "json"], stdout=writes) as tool:
        os.close(writes)
        try:
            for pid in harness.helpers_of(tool.pid):
                check_confined(pid, EXAMINE)
            check_confined(tool.pid, {PTRACE})
        finally:
            with open(reads, "rb") as rest:
                said = rest.read()
    assert tool.returncode == 0 and b"pymem-bpf-ps/1" in said


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over the server")
def test_server(folder):
    with Server(TOOL, os.path.join(folder, "s")) as server:
        check_confined(server.process.pid, SERVE)
        connection = server.connect()
        assert connection.ask(HELLO)["status"] == OK
        assert server.stop() == 0
        assert not os.path.exists(server.path)


@pytest.mark.host
@pytest.mark.attack("root, through a mistake in the C library's client of DNS",
                    "taking over the helper of the agent that looks up names")
def test_resolver(tmp_path):
    """It has the rights of nobody: the unit lets the agent change the user of a helper."""
    from test_agent import Agent  # pylint: disable=import-outside-toplevel
    with Agent(tmp_path / "store", "--push", "http://127.0.0.1:1") as agent:
        agent.says("records")
        nobody = [said for said in map(status, children(agent.process.pid)) if said["Uid"].split() == ["65534"] * 4]
        assert len(nobody) == 1
        said, = nobody
        assert said["Gid"].split() == ["65534"] * 4 and not said["Groups"].split()
        assert capabilities(said["CapEff"]) == capabilities(said["CapPrm"]) == capabilities(said["CapAmb"]) == set()
        assert said["Seccomp"] == "2" and said["NoNewPrivs"] == "1"
        assert agent.stop(signal.SIGTERM) == 0, agent.text()


@pytest.mark.attack("root, through a mistake in the profiler",
                    "taking over the private helper that the Python package starts")
def test_private_helper():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    helper = subprocess.Popen([TOOL, "serve", "--fd", str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        check_confined(helper.pid, SERVE)
    finally:
        ours.close()
        assert helper.wait(harness.PATIENCE) == 0


def test_privileges_for_lines():
    """Most kernels ask for CAP_SYS_ADMIN where a uprobe is opened; that is said before anything is begun."""
    less = ["setpriv", "--bounding-set", "-all,+sys_ptrace,+bpf,+perfmon,+checkpoint_restore,+dac_read_search", TOOL]
    said = subprocess.run(less + ["check"], stdout=subprocess.PIPE, check=True).stdout.decode()
    tried = subprocess.run(less + ["-l", "--", "true"], stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    if "limited privileges for --lines, --functions" in said:
        assert tried.returncode == 3 and b"missing privileges for --lines: CAP_SYS_ADMIN" in tried.stderr
    else:
        assert "ok      privileges for --lines, --functions" in said and tried.returncode == 0
    own = subprocess.run([TOOL, "check"], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert "ok      privileges for --lines, --functions" in own


def test_what_is_dropped_is_said(system):
    said = subprocess.run([TOOL, "check"], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert "dropped once loaded: CAP_CHOWN, " in said and "ok      seccomp filter" in said
    with Target(system, "idle") as target:
        tool = Tool("-v", "-p", target.pid).attached()
        assert tool.stop() == 0
    assert b"dropped after loading: CAP_CHOWN, " in tool.stderr
    assert b"kept: CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SYS_PTRACE, " in tool.stderr
