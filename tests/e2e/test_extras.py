# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--events huge, swap, external: huge pages and what of them nobody touched, swap and the wait for it, what other tasks
take; against the kernel's own figures. Without them nothing of it is in the kernel."""
import contextlib
import csv
import io
import os
import platform
import re
import subprocess
import signal

import pytest

import harness
from harness import MIB, PAGE, Target, Tool
from kernel_side import limited
from test_reclaim import check_stacks, names
from test_record import report, report_of

HUGE = 2 * MIB


def lines_of(image, target):
    """{label: line of the report}"""
    numbers = {number: label for label, number in harness.labels(target.path).items()}
    return {numbers[row["line"]]: row for row in image["lines"]
            if row["file"] == target.path and row["line"] in numbers}


def run(system, program, events, arguments=(), paused=None, before=(), options=()):
    """(truth, report, image) of a program, with these events."""
    with Target(list(before) + system.command, program, arguments=arguments) as target, \
            Tool("-p", target.pid, "--events", events, *options) as tool:
        tool.attached()
        truth = target.go((lambda: paused(target)) if paused else None)
        tool.polled()
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    found.check_conservation(target.pid)
    return truth, found.image(target.pid), target


def check_sums(image, name):
    """Each figure of the process is the sum of its lines and of what no line has."""
    whole = image[name]
    for key, lost in whole["lost"].items():
        if lost is not None:
            assert sum(row.get(name, {}).get(key, 0) for row in image["lines"]) + lost == whole[key], (key, whole)


def check_huge(truth, image, target):
    lines, whole = lines_of(image, target), image["huge"]
    check_sums(image, "huge")
    assert whole["page_bytes"] == HUGE
    for label, pages in (("sparse", 16), ("dense", 4)):
        assert lines[label]["huge"]["pages"] == pages, lines[label]
        assert lines[label]["huge"]["filled_bytes"] == pages * HUGE == lines[label]["grown_bytes"]
        assert lines[label]["huge"]["untouched_most_bytes"] == pages * (HUGE - PAGE)
    assert "huge" not in lines["few"]
    assert truth["had"] == 20 * HUGE, (truth, whole)
    if truth["collapsed"]:
        return  # before 6.1
    added = HUGE - truth["few"] * PAGE
    row = lines["collapse"]["huge"]
    assert row == {"pages": 0, "collapses": 1, "collapse_filled_bytes": added, "filled_bytes": added,
                   "untouched_most_bytes": added}, row
    assert lines["collapse"]["grown_bytes"] == added


@pytest.fixture
def thp():
    if harness.thp() == "never":
        pytest.skip("no transparent huge pages here")


def test_huge(system, thp):
    """One byte touched in each of 16 huge pages, four that are used, and one that the line has put together itself."""
    truth, image, target = run(system, "huge_filled", "huge")
    check_huge(truth, image, target)


def test_huge_of_a_recording(system, thp, tmp_path):
    """The same from a recording; and in words."""
    path = str(tmp_path / "run.pymem")
    with Target(system.command, "huge_filled") as target, \
            Tool("record", "-p", target.pid, "--events", "huge", "-o", path, output=False) as tool:
        tool.attached()
        truth = target.go()
        assert target.end() == 0
        assert tool.wait() == 0, tool.stderr
    image = report_of(path).image(target.pid)
    check_huge(truth, image, target)
    line = "huge_filled.py:%d" % harness.labels(target.path)["sparse"]
    check_stacks(path, tmp_path, "huge", image["huge"]["filled_bytes"], line)
    rows = list(csv.DictReader(io.StringIO(report(path, "--format", "csv", "-s", "huge").decode())))
    assert sum(int(row["huge_filled_bytes"] or 0) for row in rows) == image["huge"]["filled_bytes"]
    assert rows[0]["huge_pages"] == "16", rows[0]
    text = " ".join(report(path, "--width", "200").decode().replace("\u00a0", " ").split())
    line = harness.labels(target.path)["sparse"]
    assert re.search(r"Huge pages: 20 filled 40\.0 MiB at the first touch(, \d put together of small pages.*)?; at most "
                     r"4\d\.\d MiB of it was never touched; 7\d %% of it by \S*huge_filled\.py:%d " % line, text), text


@contextlib.contextmanager
def file_of(size):
    os.makedirs(harness.DATA, exist_ok=True)
    path = os.path.join(harness.DATA, "taken.%d" % os.getpid())
    try:
        with open(path, "wb") as f:
            f.write(os.urandom(size))
            f.flush()
            os.fsync(f.fileno())
            # Who reads a page first has it in its control group.
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def resident(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return int(re.search(r"^Rss:\s*(\d+)", f.read(), re.M)[1]) * 1024


def take(folder):
    """Has the kernel reclaim what the control group has: where there is no file for that, by a limit that is lowered."""
    for name, text in (("memory.reclaim", "64M"), ("memory.force_empty", "0")):
        with contextlib.suppress(OSError), open(os.path.join(folder, name), "w") as f:
            f.write(text)
    if not any(os.path.exists(os.path.join(folder, name)) for name in ("memory.reclaim", "memory.force_empty")):
        for text in ("1M", "max"):
            with open(os.path.join(folder, "memory.high"), "w") as f:
                f.write(text)


def sees_touches():
    """Whether --touched can be had: it needs counters that are exact at once, and page faults' tracepoints."""
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    return tuple(map(int, version.groups())) >= (6, 2) and platform.machine() == "x86_64"


def check_away(image):
    """What lines have of it, and what none has, add up."""
    away, rows = image["away"], [row["away"] for row in image["lines"] if "away" in row]
    assert sum(row["swapped_bytes"] for row in rows) + away["swapped_unknown_bytes"] == away["swapped_bytes"], away
    assert sum(row["gone_bytes"] for row in rows) == away["gone_bytes"], away


def check_external(system, path, options=()):
    """We have the kernel reclaim the pages of a process that has mapped the file: it says how much is gone, and that it was
    us. With --touched, that it was the line which had touched the file. Returns how much that was."""
    gone = []

    def reclaim(target):
        before = resident(target.pid)
        take(os.path.dirname(members))
        gone.append(before - resident(target.pid))

    with limited(256 * MIB) as members:
        enter = ["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', members]
        truth, image, target = run(system, "taken", "external", (path,), reclaim, enter, options)
    if gone[0] < MIB:
        return gone[0]
    taken = image["taken"]
    assert taken["bytes"] >= gone[0]
    mine = [one for one in taken["by"] if one["tid"] == os.getpid()]
    # What the program needs comes back while it is looked at, and goes again.
    assert len(mine) == 1 and mine[0]["bytes"] >= 0.9 * gone[0], (taken, gone)
    with open("/proc/self/comm") as f:
        assert mine[0]["comm"] == f.read().strip()
    assert taken["bytes"] == -image["lost_bytes"]["other-task"]
    assert sum(one["bytes"] for one in taken["by"]) <= taken["bytes"]
    if not options:
        assert "away" not in image
        return gone[0]
    check_away(image)
    # The line that read the file has all of it: this one, or the one in ctypes that it calls.
    touched = [row["away"] for row in image["lines"]
               if "away" in row and (row["function"] == "string_at" or row["file"] == target.path)]
    assert sum(row["swapped_bytes"] for row in touched) == 0, touched
    size = -(-os.path.getsize(path) // PAGE) * PAGE
    # The file's last part of a page may be in RSS before it is noted; all that was there may not have gone.
    assert gone[0] - 64 * PAGE <= sum(row["gone_bytes"] for row in touched) <= size, (touched, gone, size)
    return gone[0]


@pytest.mark.parametrize("options", ((), ("--touched",)))
def test_external(system, options):
    if options and not sees_touches():
        pytest.skip("no --touched: Linux 6.2 or newer on x86-64 is needed")
    with file_of(16 * MIB) as path:
        gone = check_external(system, path, options)
    if gone < MIB:
        pytest.skip("the kernel took nothing: %d bytes" % gone)


@pytest.fixture
def swap(tmp_path):
    """There is swap: where there was none, a file for as long as the test takes."""
    with open("/proc/meminfo") as f:
        if not re.search(r"^SwapFree:\s+0 kB", f.read(), re.M):
            yield
            return
    path = tmp_path / "swap"
    path.touch(0o600)
    path.write_bytes(bytes(64 * MIB))
    subprocess.run(["mkswap", path], check=True, stdout=subprocess.DEVNULL)
    on = subprocess.run(["swapon", path], stderr=subprocess.PIPE)
    if on.returncode:
        pytest.skip("no swap here, and none can be had: %s" % on.stderr.decode())
    yield
    subprocess.run(["swapoff", path], check=True)


@pytest.mark.host
def test_swap(system, swap):
    """MADV_PAGEOUT puts pages to swap, faults bring half of them back, munmap frees the others: that brings nothing
    back."""
    check_swap(system)


@pytest.mark.host
@pytest.mark.skipif(not sees_touches(), reason="no --touched: Linux 6.2 or newer on x86-64 is needed")
def test_in_swap(system, swap):
    check_in_swap(system)


def check_in_swap(system):
    """Of which lines it is what is in swap: those that touched it first, not that which put it there, nor that which read
    some of it again. What was given back is of nobody."""
    with Target(system.command, "in_swap") as target, \
            Tool("-p", target.pid, "--events", "swap,external", "--touched") as tool:
        tool.attached()
        truth = target.go(tool.polled)
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    image = found.image(target.pid)
    found.check_conservation(target.pid)
    check_away(image)
    lines = lines_of(image, target)
    assert truth["whole"] > MIB, truth
    for label in ("whole", "half"):
        assert lines[label]["away"]["swapped_bytes"] == truth[label] > 0, (label, lines[label], truth)
    for label in ("freed", "out", "back", "given"):
        assert lines.get(label, {}).get("away", {"swapped_bytes": 0})["swapped_bytes"] == 0, (label, lines)
    # In swap when it was attached, and touched by no line since.
    assert image["away"]["swapped_unknown_bytes"] == truth["before"], (image["away"], truth)


def check_swap(system):
    truth, image, target = run(system, "swapped", "swap")
    assert truth["out"] > MIB and truth["back"] > 0, truth
    check_sums(image, "swap")
    lines = lines_of(image, target)
    out = lines.get("out", {}).get("swap", {"out_bytes": 0})["out_bytes"]
    # On kernels where the call can't be told from reclaim, it is in no line.
    assert abs(out + image["swap"]["lost"]["out_bytes"] - truth["out"]) <= 16 * PAGE, (image["swap"], truth)
    if image["swap"]["wait_ns"] is None:
        return
    back = lines["back"]["swap"]
    assert back["in_bytes"] == truth["back"] and 0 < back["wait_ns"] <= truth["took"], (back, truth)
    assert "swap" not in lines.get("free", {}), lines


@pytest.mark.host
def test_swap_of_a_recording(system, swap, tmp_path):
    """By stack, a recording has what came back, and the wait for it."""
    check_swap_stacks(system, tmp_path)


def check_swap_stacks(system, folder):
    path = str(folder / "run.pymem")
    with Target(system.command, "swapped") as target, \
            Tool("record", "-p", target.pid, "--events", "swap", "-o", path, output=False) as tool:
        tool.attached()
        truth = target.go()
        assert target.end() == 0
        assert tool.wait() == 0, tool.stderr
    image = report_of(path).image(target.pid)
    check_sums(image, "swap")
    if image["swap"]["wait_ns"] is None:
        return
    line = "swapped.py:%d" % harness.labels(target.path)["back"]
    assert image["swap"]["in_bytes"] - image["swap"]["lost"]["in_bytes"] >= truth["back"] > 0, (image["swap"], truth)
    check_stacks(path, folder, "swapped", image["swap"]["in_bytes"], line)
    check_stacks(path, folder, "swap-wait", image["swap"]["wait_ns"], line)


OURS = {"collapse_isolates", "collapse_ends"}


@pytest.mark.parametrize("events", (None, "huge", "swap,external"))
def test_nothing_unless_asked_for(system, events):
    """Without the option no program of it is loaded, and there are no figures."""
    options = ("--events", events) if events else ()
    with Target(system.command, "grow") as target, Tool("-p", target.pid, *options) as tool:
        tool.attached()
        assert names(tool.process.pid) & OURS == (OURS if events == "huge" else set())
        target.go(tool.polled)
        tool.process.send_signal(signal.SIGINT)
        image = tool.report().image(target.pid)
        assert target.end() == 0
    assert {name for name in ("huge", "swap", "taken") if name in image} == \
        {None: set(), "huge": {"huge"}, "swap,external": {"swap", "taken"}}[events]
