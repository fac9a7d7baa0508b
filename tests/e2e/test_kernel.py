# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--events kernel: for which line the kernel takes memory of its own, against what the kernel says of it. Without it
nothing of it is in the kernel."""
import csv
import io
import platform
import re
import signal

import pytest

import harness
import kernel_side
from harness import KIB, Target, Tool
from test_record import report, report_of
from test_reclaim import check_stacks

EVENTS = ("--events", "kernel")


def kinds(image, target, label):
    """Of all functions on that line: {kind: {figure: sum}}."""
    number, found = harness.labels(target.path)[label], {}
    for row in image["lines"]:
        if (row["file"], row["line"]) == (target.path, number):
            for kind, figures in row.get("kernel_kinds", {}).items():
                for name, figure in figures.items():
                    found.setdefault(kind, {}).setdefault(name, 0)
                    found[kind][name] += figure
    return found


def there(kind):
    return kind["bytes"] - kind["gone_bytes"]


def check_sums(image):
    """All lines and all causes together are what the process has."""
    memory = image["kernel_memory"]
    lines = sum(row["kernel_bytes"] for row in image["lines"])
    assert lines + sum(memory["lost_bytes"].values()) == memory["bytes"], memory
    assert sum(map(there, memory["kinds"].values())) - memory["unknown_bytes"] == memory["bytes"], memory


def tables_of(pid):
    """Bytes of page tables, as the kernel has them now."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^VmPTE:\s*(\d+) kB$", f.read(), re.M)[1]) * KIB


def check_tables(image, target, truth):
    """Each line has what it made page tables grow by."""
    check_sums(image)
    told = truth["tables"]
    # At both ends a page table may be that of a neighbour, too: up to 6.6 mappings do not begin at 2 MiB.
    assert told["touch"] >= 128 * 4096 and told["unmap"] <= -126 * 4096, told
    # A look at what was never written changes no RSS: only page faults tell of it. Where there are no tracepoints of them, the
    # next line that is seen has it, which is the one that unmaps.
    assert told["look"] >= 64 * 4096, told
    if platform.machine() != "x86_64":
        told = {"touch": told["touch"], "unmap": told["look"] + told["unmap"]}
    for label in sorted(told):
        kind = kinds(image, target, label).get("page_tables")
        # What Python itself touches first within the line may need a page table, too.
        assert kind and abs(kind["bytes"] - told[label]) <= 2 * 4096, (label, kind, told)
        assert kind["gone_bytes"] == kind["objects"] == 0, kind
        # They are pages, too, but counted once.
        assert "pages" not in kinds(image, target, label), kinds(image, target, label)


def test_page_tables(system):
    """By line; and the sum is what the kernel's own size of them changed by, to the byte."""
    with Target(system.command, "tables") as target, Tool("-p", target.pid, *EVENTS) as tool:
        tool.attached()
        before = tables_of(target.pid)
        truth = target.go()
        tool.polled()
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        after = tables_of(target.pid)
        assert target.end() == 0
    found.check_conservation(target.pid)
    image = found.image(target.pid)
    check_tables(image, target, truth)
    assert image["kernel_memory"]["kinds"]["page_tables"]["bytes"] == after - before


def test_recorded(system, tmp_path):
    """A recording has the same, and the table says it."""
    path = str(tmp_path / "run.pymem")
    with Target(system.command, "tables") as target, \
            Tool("record", "-p", target.pid, *EVENTS, "-o", path, output=False) as tool:
        tool.attached()
        truth = target.go()
        assert target.end() == 0
        assert tool.wait() == 0, tool.stderr
    image = report_of(path).image(target.pid)
    check_tables(image, target, truth)
    rows = list(csv.DictReader(io.StringIO(report(path, "--format", "csv").decode())))
    assert sum(int(row["kernel_bytes"] or 0) for row in rows) == image["kernel_memory"]["bytes"]
    check_stacks(path, tmp_path, "kernel", image["kernel_memory"]["bytes"], "tables.py:%d" % harness.labels(target.path)["touch"])
    table = report(path, "-s", "kernel", "--width", "200").decode()
    assert re.search(r"^Kernel: \+\S+ \S+ of the kernel's own memory: .*\S+ \S+ page tables.*MiB of it by \S*tables\.py:\d+",
                     table.replace("\xa0", " "), re.M), table
    verbose = report(path, "-v", "-s", "kernel", "--width", "200").decode()
    assert re.search(r"^Kernel   .*page tables", verbose.replace("\xa0", " "), re.M), verbose
    assert re.search(r"^Increment .* Kernel ", verbose, re.M), verbose


def test_nothing_unless_asked_for(system):
    """Without the option no program of it is loaded, and its figures are null."""
    for options in ((), EVENTS):
        with Target(system.command, "grow") as target, Tool("-p", target.pid, *options) as tool:
            tool.attached()
            names = {shown["name"] for _, shown in kernel_side.maps(tool.process.pid)}
            assert ("kernel_sums" in names) == bool(options), names
            target.go(tool.polled)
            tool.process.send_signal(signal.SIGINT)
            found = tool.report()
            assert target.end() == 0
        image = found.image(target.pid)
        assert ("kernel_memory" in image) == bool(options)
        assert {row["kernel_bytes"] is None for row in image["lines"]} == {not options}


def counted(system, ended, rest=3):
    """programs/kernel_memory.py: its truth, the target, the image of the report, which is made after its end or before,
    and whether this kernel tells of all objects. It rests for so many seconds before the end."""
    with Target(system.command, "kernel_memory", arguments=(str(rest),)) as target, \
            Tool("-p", target.pid, *EVENTS) as tool:
        tool.attached()
        truth = target.go(tool.polled)
        tool.polled()
        if ended:
            assert target.end() == 0
        else:
            tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        if not ended:
            assert target.end() == 0
    found.check_conservation(target.pid)
    return truth, target, found.image(target.pid), not any("only in part" in note for note in found.data["notes"])


def check_sockets(truth, target, image, part):
    """Sockets and what belongs to them, half of which is closed."""
    made, sockets = kinds(image, target, "pair"), truth["sockets"]
    # A socket has a record of the protocol, and an inode.
    assert made["sockets"]["objects"] == 2 * sockets, made
    caches = [truth["sizes"].get("sock_inode_cache"),
              max((size for name, size in truth["sizes"].items() if name.startswith("UNIX")), default=None)]
    if all(caches):
        assert made["sockets"]["bytes"] == sockets * (sum(caches) + 2 * 8), (made, caches)
    assert made["files"]["objects"] >= 2 * sockets, made
    for kind in ("sockets", "files"):
        assert abs(there(made[kind]) - made[kind]["bytes"] // 2) <= made[kind]["bytes"] // part, (kind, made)


def check_objects(truth, target, image, whole, part=50):
    """What each line has; `whole`: of a kernel that tells of all objects. `part`: of so many ends one may go unseen, when an
    interrupt frees something while the program that is told of ends runs; a note says so."""
    check_sums(image)
    # A pipe has room for 16 pages.
    filled = kinds(image, target, "fill")["pipes"]
    assert filled["bytes"] == truth["pipes"] * 16 * 4096 and filled["objects"] == truth["pipes"] * 16, filled
    assert there(filled) == filled["bytes"] // 2, filled
    stacks, all_stacks = kinds(image, target, "thread")["kernel_stacks"], image["kernel_memory"]["kinds"]["kernel_stacks"]
    rows = [row for row in image["lines"] if "kernel_stacks" in row.get("kernel_kinds", {})]
    assert all_stacks["objects"] == truth["threads"] and all_stacks["bytes"] >= truth["threads"] * 8192, (rows, image["kernel_memory"])
    assert stacks["objects"] == truth["threads"], (stacks, rows, image["kernel_memory"])
    assert len(rows) == 1, rows
    # All threads have ended.
    assert there(all_stacks) <= all_stacks["bytes"] // 25, all_stacks
    assert not image["kernel_memory"]["unknown_bytes"], image["kernel_memory"]
    if whole:
        check_sockets(truth, target, image, part)
        assert kinds(image, target, "pipe")["pipes"]["objects"] >= truth["pipes"]


@pytest.mark.parametrize("ended", (False, True))
def test_objects(system, ended):
    """Sockets, data in pipes, threads: the line that made them has all of them, and half of them still; a process that
    has ended has what it had then."""
    check_objects(*counted(system, ended))


def test_large_pieces(system):
    """What is allocated in large pieces, with smaller ones in their place if there are none, counts too: data in sockets, and
    a table of descriptors, which doubles."""
    with Target(system.command, "kernel_messages") as target, Tool("-p", target.pid, *EVENTS) as tool:
        tool.attached()
        truth = target.go(tool.polled)
        tool.polled()
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    image = found.image(target.pid)
    rows = {label: sum(map(there, kinds(image, target, label).values())) for label in ("send", "table")}
    # A piece is a power of two, and each has a record.
    assert truth["sent"] <= rows["send"] <= 1.5 * truth["sent"], rows
    # 8192 pointers at least.
    assert 65536 <= rows["table"] <= 4 * 65536, rows
