# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The agent limits itself: beyond its budget it sheds events, then the depth of stacks, then processes; it says so, sums hold
at each level, and all of it comes back."""
import contextlib
import ctypes
import json
import os
import platform
import re
import signal
import struct
import subprocess
import time

import harness
import kernel_side
import pytest
from harness import MIB, PAGE, Report
from test_agent import Agent, check_sums, files, store
from test_agent_metrics import ask

__all__ = ["store"]
pytestmark = pytest.mark.host

STEPS = 4  # of each phase, of 2 MiB
TINY, LARGE = "cpu=0.01%,window=1", "cpu=10000%,memory=100G,window=1"
ORDER = ["sheds events: ", "sheds depth: ", "sheds processes ("]

# Each phase grows in a function of its own, below DEPTH frames.
DEPTH = 40
PHASES = ["before", "events", "depth", "processes", "after"]
PROGRAM = """
import sys
kept = []
def deep(n, grow):
    if n:
        deep(n - 1, grow)
    else:
        grow()
%s
print("ready", flush=True)
for word in sys.stdin:
    deep(%d, globals()[word.strip()])
    print("done", flush=True)
""" % ("\n".join("def %s():\n    kept.append(bytearray(2 << 20))" % name for name in PHASES), DEPTH)


class Target(harness.Stepping):
    def grow(self, phase):
        for _ in range(STEPS):
            self.process.stdin.write(phase.encode() + b"\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == b"done\n"
            time.sleep(0.05)


def metrics(agent):
    url = re.search(r"serves metrics at (\S+)", agent.text()).group(1)
    status, _, text = ask(url)
    assert status == 200, text
    return {name: float(value) for name, value in re.findall(r"^(pymem_agent_\S+) ([-\d.e+]+)$", text, re.MULTILINE)}


def report_of(path):
    done = subprocess.run([harness.TOOL, "report", str(path), "--format", "json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE, check=True)
    return Report(json.loads(done.stdout.decode()))


def grown(image, phase):
    return sum(line["increment_bytes"] for line in image["lines"] if line["function"] == phase)


def budget_of(agent, config, budget):
    config.write_text('interval = 1\nbudget = "%s"\n' % budget)
    seen = agent.text().count("--size is")
    agent.process.send_signal(signal.SIGHUP)
    harness.until(lambda: agent.text().count("--size is") > seen, "read again")


def image_in(report, pid):
    image, = [p for p in report.data["processes"] if p["pid"] == pid]
    return image


def recorded(path, pid, test):
    """The image, once the recording has what `test` wants of it."""
    seen = []

    def has():
        report = report_of(path)
        seen.append(pid in report.pids() and image_in(report, pid))
        return seen[-1] and test(seen[-1])
    harness.until(has, "is recorded")
    return seen[-1]


def test_levels(store, tmp_path):
    program, config = tmp_path / "levels.py", tmp_path / "agent.toml"
    program.write_text(PROGRAM)
    config.write_text('interval = 1\nbudget = "%s"\n' % LARGE)
    # Something that costs less when it is not traced: else that would be taken back.
    with Target(["/usr/bin/python3", str(program)]) as target, Target(["/usr/bin/python3", "-c", CHURN]), \
            Agent(store, "--config", config, "--listen", "127.0.0.1:0") as agent:
        agent.says("records")
        pid, optional = target.pid, {"fault_user", "fault_kernel"}
        before = kernel_side.attached(agent.process.pid)
        target.grow("before")
        path, = files(store)
        recorded(path, pid, lambda image: grown(image, "before") >= STEPS * 2 * MIB)
        assert metrics(agent)["pymem_agent_shed_level"] == 0
        assert "sheds" not in agent.text()

        budget_of(agent, config, TINY)
        agent.says(ORDER[0])
        assert not optional & set(kernel_side.attached(agent.process.pid))
        assert "rss_stat" in kernel_side.attached(agent.process.pid)
        agent.says(ORDER[1])
        target.grow("depth")
        recorded(path, pid, lambda image: grown(image, "depth") >= STEPS * 2 * MIB)
        # A quarter, a half, three quarters, all of them.
        harness.until(lambda: agent.waits() and len(re.findall(r"sheds processes \(", agent.text())) >= 4, "all of them")
        target.grow("processes")
        image = recorded(path, pid, lambda image: image["lost_bytes"]["shed"] >= STEPS * 2 * MIB)
        check_sums(image)
        assert not grown(image, "processes")
        assert image["skipped"] == "not traced just now: the agent's budget has no room for it (--budget)"
        seen = metrics(agent)
        assert seen["pymem_agent_shed_level"] == 3 and seen["pymem_agent_untraced_processes"] >= 1
        assert seen['pymem_agent_shed_seconds_total{what="events"}'] > 3
        assert seen["pymem_agent_bpf_cpu_seconds_total"] >= 0

        budget_of(agent, config, LARGE)
        for words in "sheds processes no more: ", "sheds depth no more: ", "sheds events no more: ":
            agent.says(words)
        assert set(kernel_side.attached(agent.process.pid)) >= set(before)
        target.grow("after")
        image = recorded(path, pid, lambda image: grown(image, "after") >= STEPS * 2 * MIB)
        check_sums(image)
        assert metrics(agent)["pymem_agent_shed_level"] == 0
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    said = [line for line in agent.text().splitlines() if "sheds" in line]
    assert [next(i for i, words in enumerate(ORDER) if words in line) for line in said[:6]] == [0, 1, 2, 2, 2, 2], said
    assert all(re.search(r": \d+\.\d\d % of a CPU in \d+ s, its budget is \d+\.\d\d %$", line) for line in said), said
    report = report_of(path)
    image = image_in(report, pid)
    check_sums(image)
    for phase in "before", "depth", "after":
        assert 0 <= grown(image, phase) - STEPS * 2 * MIB <= STEPS * 2 * PAGE, (phase, image)
    assert image["lost_bytes"]["shed"] >= STEPS * 2 * MIB and not image["skipped"]
    assert image["truncated_stacks"] >= 1
    notes = " ".join(report.data["notes"])
    assert "no events were counted that amounts can do without" in notes, notes
    assert "without" in notes and "outermost frames" in notes and "not all processes were traced" in notes, notes
    # What is cut says so; what is not has all its frames.
    folded = subprocess.run([harness.TOOL, "report", str(path), "-p", str(pid), "--format", "folded"], check=True,
                            stdout=subprocess.PIPE, timeout=harness.PATIENCE).stdout.decode()
    depths = {phase: [line.count(";deep (") for line in folded.splitlines() if line.split(";")[-1].startswith(phase + " (")]
              for phase in PHASES}
    assert depths["depth"] and max(depths["depth"]) < 17, folded
    assert max(depths["before"]) > DEPTH and max(depths["after"]) > DEPTH, folded


def test_alarms_keep(store):
    """A process of which an alarm is met is traced, whatever that costs: here all are."""
    # A window has a reading in any case, also where it is asked to be shorter.
    with Agent(store, "--interval", "2", "--budget", TINY, "--alarm", "process:rss>1MiB") as agent:
        agent.says("records")
        harness.until(lambda: agent.waits() and len(re.findall(r"sheds processes \(", agent.text())) >= 4, "all that can be")
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert re.findall(r"sheds processes \((\d+) are not traced\)", agent.text())[-1] == "0", agent.text()


@pytest.mark.parametrize("budget", ["cpu", "memory=1M", "cpu=1%,disk=3"])
def test_wrong(store, budget):
    with Agent(store, "--budget", budget) as agent:
        assert agent.wait() == 2
    assert "--budget %s: '" % budget in agent.text() and "is not understood: none, or cpu=2%" in agent.text(), agent.text()


def test_ordinary(store):
    """With its default budget, a host such as this one sheds nothing."""
    with Agent(store, "--interval", "1", "--budget", "window=1") as agent:
        agent.says("records")
        time.sleep(15)
        assert agent.stop(signal.SIGTERM) == 0, agent.text()
    assert "sheds" not in agent.text()


SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_ENABLE_STATS = 32
OWN = {"attach_wanted", "settle", "collect"}  # run by the agent itself: their time is its own

CHURN = """
print("ready", flush=True)
while True:
    kept = [bytearray(1 << 20) for i in range(4)]
"""


@contextlib.contextmanager
def statistics():
    """The kernel takes the time of BPF programs meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_BPF, BPF_ENABLE_STATS, ctypes.create_string_buffer(struct.pack("=I", 0), 128), 128)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        os.close(fd)


def run_time(pid):
    """Seconds that the agent's programs took in the processes that ran them."""
    total = 0
    for fd in os.listdir("/proc/%d/fdinfo" % pid):
        with contextlib.suppress(FileNotFoundError), open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
            fields = dict(re.findall(r"^(prog_id|run_time_ns):\s*(\d+)$", f.read(), re.M))
            if int(fields.get("run_time_ns", 0)) and \
                    kernel_side.bpftool("prog", "show", "id", fields["prog_id"])["name"] not in OWN:
                total += int(fields["run_time_ns"])
    return total / 1e9


def test_estimate(store):
    """What its programs cost, as it says itself, is about what the kernel says of them."""
    churn = subprocess.Popen(["/usr/bin/python3", "-c", CHURN], stdout=subprocess.PIPE)
    try:
        assert churn.stdout.readline() == b"ready\n"
        with Agent(store, "--listen", "127.0.0.1:0") as agent, statistics():
            agent.says("serves metrics")
            agent.says("records")
            own = "pymem_agent_bpf_cpu_seconds_total"
            harness.until(lambda: metrics(agent)[own] > 0, "walks are timed")
            time.sleep(1.5)  # a text that was made before is not shown any more
            said, true = metrics(agent)[own], run_time(agent.process.pid)
            time.sleep(5)
            said, true = metrics(agent)[own] - said, run_time(agent.process.pid) - true
            assert agent.stop(signal.SIGTERM) == 0, agent.text()
    finally:
        harness.end_process(churn)
    print("it says %.3f s, the kernel %.3f s" % (said, true))
    assert true > 0.01
    assert 0.4 < said / true < 2.5, (said, true)
