# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--events reclaim: which line waits until it has freed memory, against the kernel's own delay accounting. Without it
nothing of it is in the kernel."""
import contextlib
import csv
import io
import os
import re
import signal

import pytest

import harness
import test_memory_high
from harness import MIB, Target, Tool
from kernel_side import bpftool, limited
from test_pages import data_of
from test_record import report, report_of

ACCOUNTING = "/proc/sys/kernel/task_delayacct"
FILE, LIMIT = 96 * MIB, 64 * MIB
EVENTS = ("--events", "reclaim")


@contextlib.contextmanager
def accounted():
    """Delay accounting of what is started meanwhile. Before 5.14 it can't be switched, and is on unless it is left out at the
    start."""
    if not os.path.exists(ACCOUNTING) and tuple(map(int, os.uname().release.split(".")[:2])) < (5, 14):
        yield
        return
    try:
        with open(ACCOUNTING, "r+") as f:
            before = f.read()
            f.seek(0)
            f.write("1")
    except OSError as e:
        pytest.skip("no delay accounting: %s" % e.strerror)
    try:
        yield
    finally:
        with open(ACCOUNTING, "w") as f:
            f.write(before)


@contextlib.contextmanager
def cold():
    """The path of a file that is larger than the limit."""
    os.makedirs(harness.DATA, exist_ok=True)
    path = os.path.join(harness.DATA, "stalls.%d" % os.getpid())
    try:
        with open(path, "wb") as f:
            for _ in range(FILE // MIB):
                f.write(os.urandom(MIB))
            f.flush()
            os.fsync(f.fileno())
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def stalling(system, file=None):
    """programs/stalls.py in a control group of its own; the page cache does not have its file. `file`: in place of cold()."""
    with contextlib.nullcontext(file) if file else cold() as path:
        with open(path, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with accounted(), limited(LIMIT) as members:
            enter = ["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', members]
            with Target(enter + system.command, "stalls", arguments=(path,)) as target:
                yield target


def show(found, truth):
    """The table of docs/EVENTS.md: pytest -s has it."""
    print("\n| line | stalls, kernel | stalls | time, kernel | time |\n|---|---|---|---|---|")
    for label, (times, ns, _) in truth.items():
        row = found.get(label, {"stalls": 0, "stalled_ns": 0})
        counted = label != "compact"  # by the kernel
        print("| %s | %s | %d | %s | %.2f ms |" % (label, times if counted else "-", row["stalls"],
                                                "%.2f ms" % (ns / 1e6) if counted else "-", row["stalled_ns"] / 1e6))


def check(image, target, truth):
    """Each line of the truth has its stalls, and no other line has some but those that ask for the truth."""
    lines = {number: label for label, number in harness.labels(target.path).items()}
    found = {lines[row["line"]]: row for row in image["lines"]
             if row["file"] == target.path and row["line"] in lines}
    show(found, truth)
    for label in ("read", "touch"):
        times, ns, passed = truth[label]
        row = found[label]
        assert times > 0 and row["stalls"] == times, (label, row, truth)
        assert set(row["stall_kinds"]) <= {"memcg", "direct"} and "memcg" in row["stall_kinds"], row
        # The kernel measures within what its tracepoints enclose; its two clocks may differ a little.
        assert 0.99 * ns <= row["stalled_ns"] <= passed, (label, row, truth)
        assert row["reclaimed_bytes"] > 0, row
    assert truth["quiet"][0] == 0 and found.get("quiet", {"stalls": 0})["stalls"] == 0, found
    row = found["compact"]
    assert set(row["stall_kinds"]) == {"compaction"} and 0 < row["stalled_ns"] <= truth["compact"][2], (row, truth)
    assert not row["reclaimed_bytes"], row
    others = [row for row in image["lines"] if row["stalls"] and row not in found.values()]
    assert {row["function"] for row in others} <= {"delays", "ask"}, others


def check_lines(system, file=None):
    """The numbers are those of the kernel's own accounting; each line's time is within what it measured itself. Returns the
    truth."""
    with stalling(system, file) as target, Tool("-p", target.pid, *EVENTS) as tool:
        tool.attached()
        truth = target.go()["truth"]
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    found.check_conservation(target.pid)
    check(found.image(target.pid), target, truth)
    return truth


def test_lines(system):
    check_lines(system)


def test_throttled(system):
    """A thread that waits until dirty pages are written, as in a control group of version 1: that is told apart, and both
    together take as long as the kernel says that it freed memory: nothing is counted twice."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("only groups of version 1 are throttled for their dirty pages")
    path = os.path.join(harness.DATA, "dirty.%d" % os.getpid())
    try:
        with accounted(), limited(LIMIT) as members:
            enter = ["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', members]
            with Target(enter + system.command, "dirties", arguments=(path,)) as target, \
                    Tool("-p", target.pid, *EVENTS) as tool:
                tool.attached()
                times, ns, passed = target.go()["truth"]
                tool.process.send_signal(signal.SIGINT)
                image = tool.report().image(target.pid)
                assert target.end() == 0
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    row, = [row for row in image["lines"] if row["file"] == target.path and row["line"] == harness.labels(target.path)["write"]]
    kinds = row["stall_kinds"]
    assert set(kinds) == {"memcg", "throttled"} and kinds["throttled"]["ns"] > 0, kinds
    assert 0.95 * times <= kinds["memcg"]["stalls"] <= times, (kinds, times)
    assert kinds["memcg"]["ns"] + kinds["throttled"]["ns"] == row["stalled_ns"], row
    assert 0.95 * ns <= row["stalled_ns"] <= 1.05 * ns < passed, (row, ns, passed)


def check_stacks(path, tmp_path, metric, whole, line):
    """By stack, a recording's figure of what --events counts adds up to what its JSON has, and that line is in it: folded, and
    on a page. What is below zero is below a frame of its own."""
    folded = report(path, "--format", "folded", "--metric", metric).decode().splitlines()
    rows = [row.rsplit(" ", 1) for row in folded]
    assert sum(int(amount) * (-1 if row.split(";")[1] == "[freed on balance]" else 1) for row, amount in rows) == whole, folded
    assert any(line in row for row, _ in rows), folded
    page = str(tmp_path / "stacks.html")
    report(path, "--format", "html", "--metric", metric, "-o", page)
    with open(page, encoding="utf-8") as f:
        data = data_of(f.read())
    assert data["metric"] == metric and data["figures"][metric]["known"] and data["figures"][metric]["total"] == whole


def test_formats(system, tmp_path):
    """All formats of a recording say the same; its parts add up; the page has the stalls of each slice."""
    path = str(tmp_path / "run.pymem")
    with stalling(system) as target, Tool("record", "-p", target.pid, *EVENTS, "-o", path, output=False) as tool:
        tool.attached()
        truth = target.go()["truth"]
        assert target.end() == 0
        assert tool.wait() == 0, tool.stderr
    image = report_of(path).image(target.pid)
    check(image, target, truth)
    ns = image["stalled_ns"]
    rows = list(csv.DictReader(io.StringIO(report(path, "--format", "csv").decode())))
    assert sum(int(row["stalled_ns"] or 0) for row in rows) == ns
    assert sum(int(row["stalls"] or 0) for row in rows) == image["stalls"]
    folded = report(path, "--format", "folded", "--metric", "stalled").decode().splitlines()
    assert sum(int(line.rsplit(" ", 1)[1]) for line in folded) == ns
    assert any("stalls.py:%d" % harness.labels(target.path)["read"] in line for line in folded)
    page = str(tmp_path / "run.html")
    report(path, "--format", "html", "-o", page)
    with open(page, encoding="utf-8") as f:
        data = data_of(f.read())
    assert data["figures"]["stalled"]["known"] and data["figures"]["stalled"]["total"] == ns
    slices = [sum(process["changes"]["stalled"]) for process in data["time"]["processes"]]
    assert sum(slices) == ns - image["lost_stalled_ns"]
    table = report(path, "-s", "stalled", "--width", "200").decode()
    assert re.search(r"^Stalled: .* in \d+ stalls \(.*at the limit of a control group", table, re.M), table
    order = re.findall(r"stalls\.py:(\d+) <module>", table[table.index("Change "):])
    assert int(order[0]) == max(image["lines"], key=lambda row: row["stalled_ns"])["line"], table


def names(pid):
    """Names of the BPF programs that the process has attached."""
    found, folder = set(), "/proc/%d/fdinfo" % pid
    for number in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, number)) as f:
            program = re.search(r"^prog_id:\s*(\d+)", f.read(), re.M)
            if program:
                found.add(bpftool("prog", "show", "id", program[1])["name"])
    return found


def test_nothing_unless_asked_for(system):
    """Without the option no program of it is loaded, and its figures are null."""
    ours = {"direct_begin", "direct_end", "memcg_begin", "memcg_end", "compaction_begin", "compaction_end", "throttled"}
    ours |= {"high_begin", "high_end"} if test_memory_high.can() else set()
    for options in ((), EVENTS):
        with Target(system.command, "grow") as target, Tool("-p", target.pid, *options) as tool:
            tool.attached()
            attached = names(tool.process.pid)
            assert "rss_stat" in attached
            assert attached & ours == (ours if options else set())
            target.go(tool.polled)
            tool.process.send_signal(signal.SIGINT)
            found = tool.report()
            assert target.end() == 0
        image = found.image(target.pid)
        assert (image["stalls"] is None, image["stalled_ns"] is None) == (not options, not options)
        assert {row["stalls"] is None for row in image["lines"]} == {not options}
