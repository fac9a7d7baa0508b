# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--events cache: which line brought which pages of files into the page cache, against mincore(). Without it nothing of
it is in the kernel."""
import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal

import harness
import kernel_side
from harness import MIB, Target, Tool
from test_reclaim import check_stacks
from test_record import report, report_of

EVENTS = ("--events", "cache")
SIZES = {b"first.bin": 64 * MIB, b"second.bin": 24 * MIB, b"hidden.bin": 2 * MIB, b"str\x1b[31mange\xff\n.bin": MIB,
         b"known.bin": 4 * MIB}
LONG = "n" * 255
LINES = {"cold": b"first.bin", "second": b"second.bin", "hidden": b"hidden.bin", "strange": b"str\x1b[31mange\xff\n.bin",
         "write": b"written.bin"}


@contextlib.contextmanager
def folder():
    """A folder on a disk: tmpfs has a page cache of its own."""
    path = os.path.join(harness.DATA, "caches.%d" % os.getpid())
    os.makedirs(path)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def caching(system):
    """programs/caches.py; the page cache has none of its files but known.bin, which we have read."""
    with folder() as path:
        for name, size in SIZES.items():
            with open(os.path.join(os.fsencode(path), name), "wb") as f:
                for _ in range(size // MIB):
                    f.write(os.urandom(MIB))
                f.flush()
                os.fsync(f.fileno())
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with open(os.path.join(path, "known.bin"), "rb") as f:
            while f.read(MIB):
                pass
        with Target(system.command, "caches", arguments=(path,)) as target:
            yield target


def named(image, name):
    """The file of the image with that name; it has no other one."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    found = [f for f in image["cached_files"]
             if f["path"] and f["path"].rsplit("/", 1)[-1].startswith(text.split("\x1b")[0])]
    assert len(found) <= 1, found
    return found[0] if found else None


def check_sums(image):
    """Each page is in one line or lost by a cause, and in one file."""
    sum_of, lines = image["page_cache"], image["lines"]
    lost = sum(sum_of["lost_bytes"].values())
    assert sum(line["cached_bytes"] for line in lines) + lost == sum_of["bytes"], sum_of
    by_file = sum(f["bytes"] for f in image["cached_files"])
    assert by_file == sum_of["bytes"], (by_file, sum_of)
    assert sum_of["own_group_bytes"] + sum_of["other_group_bytes"] <= sum_of["bytes"]


def came(truth, label, name=None):
    """Bytes that came while that line ran, of that file or of all, says mincore()."""
    return sum(change for of, change in truth["changes"][label].items() if change > 0 and name in (None, eval(of)))


def reclaimed():
    """Pages of files that this host has taken back so far, for itself or within a control group, says the kernel."""
    with open("/proc/vmstat") as f:
        return int(re.search(r"^pgsteal_file (\d+)$", f.read(), re.M)[1])


def undisturbed(attempt):
    """What attempt() returns. If it fails, it is done again if the host was short of memory meanwhile, by its own word:
    what was taken and comes back comes a second time, of which mincore() does not tell."""
    for left in (2, 1, 0):
        before = reclaimed()
        try:
            return attempt()
        except AssertionError:
            if not left or reclaimed() == before:
                raise


def check(image, target, truth, ended=False):
    """To the page, but for what the filesystem keeps of a file and reads with it: blocks of the device, of which mincore()
    does not tell. They are few."""
    check_sums(image)
    lines = {number: label for label, number in harness.labels(target.path).items()}
    rows = {lines[row["line"]]: row for row in image["lines"] if row["file"] == target.path and row["line"] in lines}
    blocks = sum(f["bytes"] for f in image["cached_files"] if (f["path"] or "").startswith("blocks of device "))
    assert blocks <= MIB, image["cached_files"]
    # What was there already, and what somebody else has read, is nobody's.
    for label in truth["changes"]:
        more = rows.get(label, {"cached_bytes": 0})["cached_bytes"] - came(truth, label)
        assert 0 <= more <= blocks, (label, rows.get(label), truth["changes"][label], blocks)
    assert came(truth, "cold") > 60 * MIB and came(truth, "warm") < MIB and came(truth, "known") < MIB
    known = named(image, "known.bin")
    assert (known["bytes"] if known else 0) <= came(truth, "known"), known
    there = dict(truth["there"])
    if ended:
        there[repr(b"hidden.bin")] = 0  # it goes with the process that has it open
    for label, name in LINES.items():
        file, row = named(image, name), rows[label]
        assert file["bytes"] == sum(came(truth, each, name) for each in truth["changes"]), (label, file)
        assert file["there_bytes"] == there[repr(name)], (label, file, there)
        assert file["unknown_bytes"] == 0 and file["bytes"] - file["gone_bytes"] == file["there_bytes"]
        assert file["deleted"] is (label == "hidden"), file
        assert file["line"]["line"] == harness.labels(target.path)[label], (label, file)
        assert 0 <= row["cached_there_bytes"] - there[repr(name)] <= blocks, (label, row)
    drop = truth["changes"]["drop"][repr(b"second.bin")]
    assert -12 * MIB <= drop <= -11 * MIB and truth["changes"]["cut"] == {repr(b"written.bin"): -5 * MIB}


def live(system):
    """The image of a report, checked."""
    with caching(system) as target, Tool("-p", target.pid, *EVENTS) as tool:
        tool.attached()
        truth = target.go()
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    found.check_conservation(target.pid)
    image = found.image(target.pid)
    check(image, target, truth)
    return image


def test_lines(system):
    """Each line has what it brought, to the page; what of it is still there is what the kernel says."""
    first = named(undisturbed(lambda: live(system)), "first.bin")
    # Where it can be typed, which for a file in a container's layers is that of the host.
    assert first["path"].endswith("/first.bin") and "caches." in first["path"], first
    # The program runs in one group, and whoever reads there pays for it.
    assert first["other_group_bytes"] == 0, first


def recorded(system, path):
    """The target and its image of a recording, checked."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with caching(system) as target, Tool("record", "-p", target.pid, *EVENTS, "-o", path, output=False) as tool:
        tool.attached()
        truth = target.go()
        assert target.end() == 0
        assert tool.wait() == 0, tool.stderr
    image = report_of(path).image(target.pid)
    check(image, target, truth, ended=True)
    return target, image


def test_ended(system, tmp_path):
    """A recording, and what is printed of it, have the same: also of a process that has ended."""
    path = str(tmp_path / "run.pymem")
    target, image = undisturbed(lambda: recorded(system, path))
    rows = list(csv.DictReader(io.StringIO(report(path, "--format", "csv").decode("utf-8", "replace"))))
    assert sum(int(row["cached_bytes"] or 0) for row in rows) == image["page_cache"]["bytes"]
    check_stacks(path, tmp_path, "cached", image["page_cache"]["bytes"], "caches.py:%d" % harness.labels(target.path)["cold"])
    table = report(path, "-s", "cached", "--width", "200").decode()
    # The file's share and line come first.
    most = harness.labels(target.path)["cold"]
    assert re.search(r"^Cached: .* of files brought into the page cache, .* still there.*; \d+ %% of it \S*/first\.bin, by\s+"
                     r"\S*caches\.py:%d" % most, table, re.M), table
    assert int(re.findall(r"caches\.py:(\d+) <module>", table[table.index("Change "):])[0]) == most, table
    verbose = report(path, "-v", "--width", "200").decode()
    assert re.search(r"^ +64\.0 MiB +64\.0 MiB  /\S*first\.bin\n +← \S*caches\.py:%d" % most, verbose, re.M), verbose
    assert "hidden.bin (deleted)" in verbose
    # A name is text and nothing else.
    assert "\x1b" not in verbose and r"str\x1b[31mange\xff\n.bin" in verbose, verbose
    redacted = json.loads(report(path, "--format", "json", "--redact"))["processes"][0]
    assert "first.bin" in {f["path"] for f in redacted["cached_files"]}, redacted["cached_files"]
    assert not any("/" in (f["path"] or "") for f in redacted["cached_files"])


def test_many_files(system):
    """More files than there is room for: the line has all of them, and what has no name is counted as such."""
    with folder() as path, Target(system.command, "caches_many", arguments=(path,)) as target, \
            Tool("-p", target.pid, *EVENTS) as tool:
        tool.attached()
        truth = target.go()
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    image = found.image(target.pid)
    check_sums(image)
    line = harness.labels(target.path)["put"]
    row = [row for row in image["lines"] if row["file"] == target.path and row["line"] == line][0]
    assert row["cached_bytes"] == truth["count"] * 4096
    beyond = [f for f in image["cached_files"] if f["path"] is None]
    assert len(beyond) == 1 and beyond[0]["bytes"] >= (truth["count"] - 32768) * 4096, beyond
    assert beyond[0]["unknown_bytes"] == beyond[0]["bytes"] and beyond[0]["line"]["line"] == line


def test_longest_name(system):
    """A file whose name is as long as one can be has it."""
    with folder() as path:
        path = os.path.join(path, LONG)
        with open(path, "wb") as f:
            f.write(os.urandom(MIB))
            f.flush()
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with Target(system.command, "caches_one", arguments=(path,)) as target, \
                Tool("-p", target.pid, *EVENTS) as tool:
            tool.attached()
            target.go()
            tool.process.send_signal(signal.SIGINT)
            found = tool.report()
            assert target.end() == 0
    assert named(found.image(target.pid), LONG)["path"].endswith("/" + LONG)


def test_nothing_unless_asked_for(system):
    """Without the option no program of it is loaded, and its figures are null."""
    ours = {"mm_filemap_add_to_page_cache", "mm_filemap_delete_from_page_cache"}
    for options in ((), EVENTS):
        with Target(system.command, "grow") as target, Tool("-p", target.pid, *options) as tool:
            tool.attached()
            attached = kernel_side.attached(tool.process.pid)
            assert "rss_stat" in attached
            assert attached & ours == (ours if options else set())
            target.go(tool.polled)
            tool.process.send_signal(signal.SIGINT)
            found = tool.report()
            assert target.end() == 0
        image = found.image(target.pid)
        assert ("page_cache" in image) == ("cached_files" in image) == bool(options)
        assert {row["cached_bytes"] is None for row in image["lines"]} == {not options}
