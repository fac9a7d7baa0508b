# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Memory that one line touches first and another one's objects live in: `heap -d` says what is there now, and the
ordinary report says when to ask it."""
import re
import subprocess

import pytest

import harness
import heaps
from harness import MIB, PAGE, Target, Tool
from test_heap import readable

pytestmark = pytest.mark.skipif(harness.platform.machine() != "x86_64",
                                reason="no page fault tracepoints: refused by name")
UNTOUCHED = "which lines touched what is resident is not known"


def between_looks(command, name, *arguments, options=()):
    """What the second look finds, after the program has done its work."""
    with Target(command, name, arguments=arguments) as target:
        with heaps.Running("-p", target.pid, "-d", 600, "--until-input", "--births", "off", *options) as running:
            assert b"second look" in running.lines.next()
            target.go()
            running.process.stdin.close()
            look = running.look()
        assert target.end() == 0
    check_sums(look)
    return look, target.path


def check_sums(look):
    """To the page: lines, what was before and what is unknown are RSS; parts of a line are the line."""
    data = look.data
    if data["touched_before_bytes"] is None:
        assert not data["touched"] and data["touched_unknown_bytes"] is None
        return
    rows = sum(row["resident_bytes"] for row in data["touched"])
    assert rows + data["touched_before_bytes"] + data["touched_unknown_bytes"] == look.rss
    for row in data["touched"]:
        assert row["resident_bytes"] % PAGE == 0 and row["resident_bytes"] > 0
        assert sum(part["bytes"] for part in row["now"]) == row["resident_bytes"]
        assert [part["bytes"] for part in row["now"]] == sorted((part["bytes"] for part in row["now"]), reverse=True)


def line_of(path, label):
    with open(path) as f:
        return next(number for number, text in enumerate(f, 1) if text.rstrip().endswith("# L:" + label))


def row_of(look, path, label):
    line = line_of(path, label)
    rows = [row for row in look.data["touched"] if row["file"] == path and row["line"] == line]
    assert len({row["function"] for row in rows}) == len(rows)
    return rows


def in_now(rows, what):
    return sum(part["bytes"] for row in rows for part in row["now"] if part["what"] == what)


def test_join(python):
    """Rows touch the pages, sessions live in them."""
    if not readable(python):
        pytest.skip("its heap is not known; test_heap.py has how that is said")
    look, path = between_looks(python.command, "temporary", "freed")
    if look.data["allocator"].startswith("glibc"):
        pytest.skip("no pools")
    rows = row_of(look, path, "render")
    resident = sum(row["resident_bytes"] for row in rows)
    assert resident > 8 * MIB, look.data["touched"][:3]
    assert in_now(rows, "__main__.kept") > 0.8 * resident, rows
    assert look.data["touched_unknown_bytes"] <= 32 * PAGE
    assert look.data["touched_before_bytes"] > 4 * MIB


def test_join_of_what_is_kept(few_python):
    if not readable(few_python):
        pytest.skip("its heap is not known; test_heap.py has how that is said")
    look, path = between_looks(few_python.command, "temporary", "kept")
    rows = row_of(look, path, "render")
    assert in_now(rows, "__main__.pages") > 0.8 * sum(row["resident_bytes"] for row in rows) > 8 * MIB


@pytest.mark.parametrize("name", ["grow", "free", "threads", "madvise", "mremap", "munmap", "file_map", "shared"])
def test_sums(system, name):
    """Whatever a program does."""
    look, _ = between_looks(system.command, name)
    assert look.data["touched_before_bytes"] is not None, look.data["notes"]


def test_table(system):
    with Target(system.command, "temporary", arguments=["freed"]) as target:
        with subprocess.Popen([harness.TOOL, "heap", "-p", str(target.pid), "-d", "600", "--until-input"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            assert b"second look" in running.stderr.readline()
            target.go()
            text = running.communicate(timeout=harness.PATIENCE)[0].decode()
        assert running.returncode == 0 and target.end() == 0
    assert "First touched by, and what is there now" in text and "__main__.kept" in text
    assert "The rest of RSS: " in text


def test_off(system):
    """Then nobody notes it, and nothing is said of it."""
    look, _ = between_looks(system.command, "temporary", "freed", options=("--touched", "off"))
    assert not look.data["touched"] and look.data["touched_before_bytes"] is None
    assert UNTOUCHED not in " ".join(look.data["notes"])


def notes_of_profile(command, kind):
    with Target(command, "temporary", arguments=[kind]) as target, Tool("-p", target.pid, "--touched") as tool:
        tool.attached()
        target.go(tool.polled)
        assert tool.stop() == 0
        report = tool.report()
        assert target.end() == 0
    return target, [note for note in report.data["notes"] if "heap -p" in note]


def test_report_names_heap(python):
    """The first line's rows are gone, though its pages are resident."""
    target, notes = notes_of_profile(python.command, "freed")
    if python.free_threaded:
        assert not notes  # nothing is recognised there, and nothing is said
        return
    assert len(notes) == 1, notes
    if python.version < (3, 10):
        # Arenas are of 256 KiB there, and most that are emptied go back: a note names heap for that.
        assert re.search("%s:%d (touched|has added)" % (target.path, line_of(target.path, "render")), notes[0])
    else:
        assert "no longer hold what it put there first" in notes[0], notes
        assert "%s:%d touched" % (target.path, line_of(target.path, "render")) in notes[0]
    assert "pymem-bpf heap -p %d -d 30" % target.pid in notes[0]


def test_report_is_silent(python):
    """A line whose rows are where it put them keeps its memory."""
    assert not notes_of_profile(python.command, "kept")[1]
