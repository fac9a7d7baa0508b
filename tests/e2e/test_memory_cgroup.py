# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a control group uses, as the kernel has it, beside what was counted by line, with a real group: the kernel's own
memory and files beside --events, all kinds with --memory cgroup. Readings of the test itself are beside them."""
import contextlib
import os
import signal
import subprocess

import pytest

import harness
import kernel_side
import memory_table
from harness import KIB, MIB, TOOL, Target, Tool
from test_cache import folder

LIMIT = 512 * MIB
# Beside what a line does by intention: interpreter objects, records of what it makes.
SMALL = 512 * KIB


def current(members):
    """What the group uses now, says the kernel."""
    group = os.path.dirname(members)
    for name in ("memory.current", "memory.usage_in_bytes"):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(group, name)) as f:
            return int(f.read())
    raise AssertionError("no figure of what it uses")


@contextlib.contextmanager
def cold():
    """The path of a file that is not in the page cache."""
    with folder() as where:
        path = os.path.join(where, "read.bin")
        with open(path, "wb") as f:
            for _ in range(24):
                f.write(os.urandom(MIB))
            f.flush()
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield path


@contextlib.contextmanager
def grouped(system, *arguments, file=None):
    """programs/cgroup_memory.py in a group of its own: (target, members). `file`: in place of cold()."""
    with contextlib.nullcontext(file) if file else cold() as path, kernel_side.limited(LIMIT) as members:
        inside = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', members, *system.command]
        with Target(inside, "cgroup_memory", arguments=(path, *arguments)) as target:
            yield target, members


def measured(system, *options, ended=False, file=None):
    """(truth, target, report, what the group used before and after, by the test's own reading)."""
    with grouped(system, *(("exit",) if ended else ()), file=file) as (target, members):
        before = current(members)
        with Tool("-p", target.pid, *options) as tool:
            tool.attached()
            truth = target.go()
            tool.polled()
            if ended:
                assert target.end() == 0
            else:
                tool.process.send_signal(signal.SIGINT)
            found = tool.report()
        after = current(members)
        if not ended:
            assert target.end() == 0
    found.check_conservation(target.pid)
    return truth, target, found, before, after


def check_sums(group):
    """Each row adds up to the kernel's change, and each column to its total."""
    for row in group["rows"].values():
        if row["remainder_bytes"] is not None:
            sums = sum(row[key] or 0 for key in ("lines_bytes", "no_line_bytes", "ended_bytes", "remainder_bytes"))
            assert sums == row["end_bytes"] - row["start_bytes"], row
    rows = group["rows"]
    for key in ("lines_bytes", "no_line_bytes", "ended_bytes"):
        assert sum(rows[name][key] or 0 for name in rows if name != "total") == rows["total"][key], (key, rows)


def group_of(found):
    """The only group of the report, whose figures add up."""
    group, = found.data["control_groups"]
    check_sums(group)
    assert not group["root"] and "pymem-test" in group["path"]
    return group


def close(figure, truth, room):
    assert abs(figure - truth) <= room, (figure, truth, room)


def check_line(row, target, label, least):
    """The row's largest change is by that line."""
    assert row["most"]["file"] == target.path, row
    assert row["most"]["line"] == harness.labels(target.path)[label] and row["most"]["bytes"] >= least, row


def check_all_kinds(system, file=None, objects=True):
    """Each kind grows by what its line added; little is left over, and the kernel's figures are those that the test reads.
    Returns the truth and the group. `objects`: this kernel tells of all objects that it allocates (6.1 and newer); else what
    of its own memory is left over is theirs, and its page tables alone are held against the truth."""
    truth, target, found, before, after = measured(system, "--memory", "cgroup", file=file)
    group = group_of(found)
    rows, room = group["rows"], group["batch_bytes"] + SMALL
    assert group["processes"] == 1 and group["unwatched"] == 0 and group["ended"] == 0, group
    close(rows["total"]["start_bytes"], before, room)
    close(rows["total"]["end_bytes"], after, room)
    close(rows["anonymous"]["lines_bytes"], truth["keep"] + truth["sparse"], MIB + SMALL)
    close(rows["files"]["lines_bytes"], truth["load"], SMALL)
    close(rows["shared"]["lines_bytes"], truth["share"], SMALL)
    if objects:
        close(rows["kernel"]["lines_bytes"], truth["tables"] + truth["send"], SMALL)
    else:
        least = rows["kernel"]["lines_bytes"] + rows["kernel"]["no_line_bytes"]
        assert least >= truth["tables"] - SMALL, rows["kernel"]
    for name in rows:
        if objects or name not in ("kernel", "total"):
            left, most = rows[name]["remainder_bytes"], room * (len(rows) if name == "total" else 1)
            assert abs(left) <= most, (name, left, most, rows, group["kernel_parts"], truth)
        assert not rows[name]["ended_bytes"], rows[name]
    check_line(rows["anonymous"], target, "keep", truth["keep"])
    check_line(rows["files"], target, "load", truth["load"])
    check_line(rows["shared"], target, "share", truth["share"])
    if objects:
        check_line(rows["kernel"], target, "send", truth["send"])
    check_line(rows["total"], target, "keep", truth["keep"])
    check_parts(group, truth)
    return truth, group


def check_parts(group, truth):
    """The kinds that this kernel tells apart: page tables are those of the process."""
    parts, rows = group["kernel_parts"], group["rows"]
    if group["version"] == 1:
        assert set(parts) == {"objects"}, parts
    assert sum(part["remainder_bytes"] for part in parts.values()) == rows["kernel"]["remainder_bytes"], parts
    if "page_tables" in parts:
        close(parts["page_tables"]["change_bytes"], truth["tables"], group["batch_bytes"] + SMALL)
        close(parts["page_tables"]["counted_bytes"], truth["tables"], SMALL)


def test_all_kinds(system):
    check_all_kinds(system)


def test_kernel_alone(system):
    """Beside --events kernel: its own memory, and nothing is said of files, which were not counted."""
    truth, target, found, _, _ = measured(system, "--events", "kernel")
    group = group_of(found)
    rows = group["rows"]
    assert rows["files"]["lines_bytes"] is None and rows["kernel"]["lines_bytes"] is not None, rows
    close(rows["kernel"]["remainder_bytes"], 0, group["batch_bytes"] + SMALL)
    check_parts(group, truth)


def test_ended(system):
    """Of a process that has ended, lines have what they did; it went with the process, but for the file."""
    truth, target, found, _, _ = measured(system, "--memory", "cgroup", ended=True)
    group = group_of(found)
    rows, room = group["rows"], group["batch_bytes"] + SMALL
    assert group["processes"] == 0 and group["ended"] == 1, group
    close(rows["anonymous"]["lines_bytes"], truth["keep"] + truth["sparse"], MIB + SMALL)
    # What the program had before it was attached to is gone, too.
    assert rows["anonymous"]["ended_bytes"] < -truth["keep"], rows
    assert rows["kernel"]["ended_bytes"] <= -truth["tables"], rows
    assert rows["files"]["ended_bytes"] == 0, rows
    close(rows["files"]["end_bytes"] - rows["files"]["start_bytes"], truth["load"], room)
    for name in ("anonymous", "files", "shared"):
        close(rows[name]["remainder_bytes"], 0, room)
    # The process's own stack, and what is freed after a grace period, was there before it was watched.
    close(rows["kernel"]["remainder_bytes"], 0, room + MIB)


def test_below(system):
    """A process in a group below: in version 1 that group has its own figures; in version 2 it has none unless the memory
    controller is switched on for it, and then those of the group above it count. The line's amount is there either way."""
    with kernel_side.limited(LIMIT) as members:
        inner = os.path.join(os.path.dirname(members), "inner")
        os.mkdir(inner)
        try:
            inside = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', os.path.join(inner, "cgroup.procs"), *system.command]
            with Target(inside, "grow") as target, Tool("-p", target.pid, "--memory", "cgroup") as tool:
                tool.attached()
                target.go(tool.polled)
                tool.process.send_signal(signal.SIGINT)
                found = tool.report()
                assert target.end() == 0
            group = group_of(found)
            assert group["path"].endswith("/inner") == (group["version"] == 1), group["path"]
            image = found.image(target.pid)
            rows = group["rows"]
            assert rows["anonymous"]["lines_bytes"] == sum(line["anon_bytes"] for line in image["lines"])
            close(rows["anonymous"]["remainder_bytes"], 0, group["batch_bytes"] + SMALL)
        finally:
            harness.until(lambda: removed(inner), "without members")


def removed(folder):
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not os.path.exists(folder)


@pytest.mark.parametrize("anew", (False, True))
def test_removed(system, anew):
    """A group that is gone at the end has no figures of then, and is not taken for one that is made under its path."""
    with Target(system.command, "grow") as other:
        with grouped(system, "exit") as (target, members), Tool("-p", "%d,%d" % (target.pid, other.pid), "--memory",
                                                                "cgroup") as tool:
            tool.attached()
            target.go()
            tool.polled()
            assert target.end() == 0
            harness.until(lambda: removed(os.path.dirname(members)), "without members")
            with kernel_side.limited(LIMIT) if anew else contextlib.nullcontext():
                tool.process.send_signal(signal.SIGINT)
                found = tool.report()
    group, = (group for group in found.data["control_groups"] if "pymem-test" in group["path"])
    assert group["removed"] != anew and group["made_anew"] == anew, group
    assert ("current" in group["end"]) == anew and "current" in group["start"], group
    assert (group["rows"]["total"]["end_bytes"] is None) != anew, group


def test_moved(system):
    """A process that goes to another group while it is watched: the first one says so."""
    with grouped(system) as (target, members):
        other = os.path.dirname(members) + ".other"
        os.mkdir(other)
        try:
            with Tool("-p", target.pid, "--memory", "cgroup") as tool:
                tool.attached()
                target.go()
                with open(os.path.join(other, "cgroup.procs"), "w") as f:
                    f.write(str(target.pid))
                tool.polled()
                tool.process.send_signal(signal.SIGINT)
                found = tool.report()
            group = group_of(found)
            assert target.end() == 0
        finally:
            harness.until(lambda: removed(other), "without members")
    assert group["moved"] == group["processes"] == 1 and not group["path"].endswith(".other"), group


def said(system, *options):
    """The table's text on the program."""
    with grouped(system) as (target, _):
        with Tool("-p", target.pid, *options, "--width", "120", output=False) as tool:
            tool.attached()
            target.go()
            tool.polled()
            tool.process.send_signal(signal.SIGINT)
            assert tool.wait() == 0, tool.stderr
            with open(tool.stdout_path, encoding="utf-8") as f:
                text = f.read()
        assert target.end() == 0
    return text


def test_in_words(system, tmp_path):
    """A sentence beside --events, a table with --memory cgroup, also beside a recording; both name the group."""
    text = " ".join(said(system, "--events", "kernel").split())
    assert "Control group /pymem-test." in text and " by lines, " in text and " remainder" in text, text
    assert "Kernel's" not in text and "anonymous" not in text, text
    text = said(system, "--memory", "cgroup", "--record", tmp_path / "run.pymem")
    assert "Control group /pymem-test." in text, text
    rows = text.split("Kernel's", 1)[1].splitlines()[1:7]
    assert [row.split()[0] for row in rows] == ["anonymous", "files", "shared", "kernel", "other", "all"], rows
    assert "cgroup_memory.py:" in rows[0], rows


@pytest.mark.host
def test_whole_host(system):
    """Of all groups that have Pythons each adds up; ours has what its line added."""
    with grouped(system) as (target, _), Tool("-a", "--memory", "cgroup") as tool:
        tool.attached()
        truth = target.go()
        tool.polled()
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    for group in found.data["control_groups"]:
        check_sums(group)
    ours, = (group for group in found.data["control_groups"] if "pymem-test" in group["path"])
    close(ours["rows"]["anonymous"]["lines_bytes"], truth["keep"] + truth["sparse"], MIB + SMALL)
    close(ours["rows"]["kernel"]["remainder_bytes"], 0, ours["batch_bytes"] + SMALL)


def test_not_asked_for(system):
    """Without these options nothing of a group is read or said."""
    with grouped(system) as (target, _), Tool("-p", target.pid) as tool:
        tool.attached()
        target.go()
        tool.process.send_signal(signal.SIGINT)
        found = tool.report()
        assert target.end() == 0
    assert "control_groups" not in found.data


def test_refused_of_recordings(tmp_path):
    """Recordings have no such figures: what to do is said."""
    for words in (("record", "-p", "1", "-o", tmp_path / "x"), ("report", tmp_path / "x"), ("diff", tmp_path / "x", tmp_path / "y")):
        done = subprocess.run([TOOL, *map(str, words), "--memory", "cgroup"], stderr=subprocess.PIPE)
        assert done.returncode == 2 and b"-p PID --memory cgroup --record FILE prints them" in done.stderr, done.stderr


@pytest.mark.parametrize("options", (("--memory", "group"), ("--memory", "cgroup", "--format", "csv"),
                                     ("--memory", "cgroup", "-f", "work")))
def test_refused(options):
    """Another word is no choice; a format that has no place for it, and a single function, are none for it."""
    done = subprocess.run([TOOL, "-p", "1", *options], stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"cgroup" in done.stderr, done.stderr


def test_table_is_whole(tmp_path):
    """The table of docs/EVENTS.md is written only from the rows of all guests' kernels, each with all its rows."""
    rows = ["# memory: %s, cgroup v2 | %s | +1 KiB | 0 | 0 | 0" % (kernel, kind)
            for kernel in memory_table.KERNELS for kind in memory_table.NAMES.values()]

    def missing(lines):
        (tmp_path / "rows.txt").write_text("\n".join(lines), encoding="utf-8")
        return memory_table.incomplete(memory_table.found_in([tmp_path / "rows.txt"]))
    assert not missing([*rows, *(row.replace(", cgroup v2", "1, cgroup v1") for row in rows)])
    assert missing(rows[:-1]) == ["%s, cgroup v2 has no all" % memory_table.KERNELS[-1]]
    assert missing(rows[len(memory_table.NAMES):]) == ["nothing of kernel %s" % memory_table.KERNELS[0]]
    assert len(missing([])) == len(memory_table.KERNELS)
