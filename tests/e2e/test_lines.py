# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The exact engine, on each interpreter that has line probes; and the refusals of the others."""
import os
import re
import signal
import struct
import subprocess
import time

import pytest

import harness
from conftest import probed, pythons, rows
from test_ends import assert_nothing_left, bpf_objects, held_by

PAGE = 4096
PROGRAMS = {"seed": None, "grow": None, "free": None, "threads": None, "nogil": None,
            "generator": None, "coroutine": None, "deep": None, "cells": None, "importing": None,
            "huge": None, "munmap": None}
SLACK = 64 * 1024


def lines_of(python, name, *arguments):
    """Runs a program from GO to its truth under --lines; (truth, report, path)."""
    with harness.Target(python.command, name) as target:
        with harness.Tool("--lines", "-p", target.pid, *arguments) as tool:
            tool.attached()
            links = harness.attached_links(tool.process.pid)
            # A child that is to be known has probes of its own.
            truth = target.go(lambda: harness.until(
                lambda: harness.attached_links(tool.process.pid) >= links + 5, "attached to the child"))
            harness.rss_at_rest(target.pid)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0, "the program must not notice"
    report.check_conservation(target.pid)
    assert report.image(target.pid)["engine"] == "lines"
    return target, truth, report


def runs_of(report, target, label):
    """Rows of a label's line that were seen to run."""
    file, line = harness.find_line(target.path, label)
    return [r for r in report.rows(target.pid, file, line) if r["occurrences"] is not None]


def semaphores(pid):
    """How many want each of CPython's probes, as the process has it in its memory."""
    said = subprocess.run(["readelf", "-hnW", "/proc/%d/exe" % pid], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    found = re.findall(r"Provider: python\s+Name: (\w+)\s+Location: .*Semaphore: 0x(\w+)", said)
    assert found, "no probes in /proc/%d/exe" % pid
    with open("/proc/%d/maps" % pid) as f:
        start = int(f.read().split("-")[0], 16) if "DYN (" in said else 0
    with open("/proc/%d/mem" % pid, "rb", 0) as memory:
        return {name: struct.unpack("<H", os.pread(memory.fileno(), 2, start + int(address, 16)))[0]
                for name, address in found}


def test_some_python_has_line_probes():
    """The tests below run where they can: somewhere it must be."""
    assert probed(), "no interpreter here has line probes"


def test_counted(line_python):
    """Occurrences to the one, increments to some pages, what a collection freed."""
    target, truth, report = lines_of(line_python, "counted")
    for label, want in truth["lines"].items():
        file, line = harness.find_line(target.path, label)
        rows = [r for r in report.rows(target.pid, file, line) if r["occurrences"] is not None]
        assert rows, "%s (line %d) did not run" % (label, line)
        assert sum(r["occurrences"] for r in rows) == want["occurrences"], (label, rows)
        got = sum(r["run_increment_bytes"] for r in rows)
        assert abs(got - want["run_increment"]) <= SLACK, (label, got, want)
        if "gc" in want:
            assert abs(sum(r["gc_bytes"] for r in rows) - want["gc"]) <= SLACK, (label, rows)
            assert sum(r["collections"] for r in rows) == want["collections"]
        else:
            assert not any(r["collections"] for r in rows if label != "call_cycles"), (label, rows)
    for label, want in truth["rows"].items():
        rows = runs_of(report, target, label)
        got = sum(r["row_increment_bytes"] for r in rows)
        assert abs(got - want) <= SLACK, (label, got, rows)
    file, line = harness.find_line(target.path, "comprehension")
    ran = sum(r["occurrences"] or 0 for r in report.rows(target.pid, file, line))
    assert ran >= 100, "a comprehension's iterations count"
    assert not [n for n in report.data["notes"] if "not counted" in n], report.data["notes"]


def test_amounts_on_lines(line_program):
    """The walk's figures are as right as without --lines, and the two engines, which see the same
    events by different means, agree line by line."""
    python, name = line_program
    target, truth, report = lines_of(python, name)
    report.check_lines(target.pid, target.path, truth["lines"])
    compared = 0
    for row in report.image(target.pid)["lines"]:
        # Of a stack too deep for both, one engine has the innermost frames, the other the outermost.
        if row["occurrences"] is None or (name == "deep" and row["function"] != "descend"):
            continue
        # The line that called begin() was running before: its run is not seen.
        # The walk counts a recursive line once per stack.
        amount = row["row_increment_bytes" if name == "deep" else "run_increment_bytes"]
        difference = abs(amount - row["total_bytes"])
        assert difference <= PAGE * row["occurrences"], row
        compared += 1
    assert compared


def test_separate_runs_agree(line_python):
    """The same program under one engine and then under the other."""
    target, truth, exact = lines_of(line_python, "counted")
    walked_target, _, walked = harness.profile(line_python.command, "counted", arguments=(),
                                               check=False)
    for label, want in truth["lines"].items():
        if label.startswith("recurse"):
            continue  # the walk counts a recursive line once per stack
        file, line = harness.find_line(target.path, label)
        a = sum(r["run_increment_bytes"] for r in exact.rows(target.pid, file, line)
                if r["occurrences"] is not None)
        b = sum(r["total_bytes"] for r in walked.rows(walked_target.pid, file, line))
        assert abs(a - b) <= PAGE * want["occurrences"] + SLACK, (label, a, b)


def test_memory_usage_and_peak(line_python):
    """Mem usage: RSS when the line ended. Peak: while it ran."""
    target, _, report = lines_of(line_python, "counted")
    file, free = harness.find_line(target.path, "free_grown")
    _, call = harness.find_line(target.path, "call_grow")
    freed = [r for r in report.rows(target.pid, file, free) if r["occurrences"]][0]
    called = [r for r in report.rows(target.pid, file, call) if r["occurrences"]][0]
    assert abs(called["mem_usage_bytes"] - freed["mem_usage_bytes"] - (7 << 20)) <= SLACK
    assert called["peak_bytes"] >= called["mem_usage_bytes"] - PAGE
    assert freed["peak_bytes"] >= called["mem_usage_bytes"] - SLACK


def test_threads_do_not_mix(line_python):
    target, truth, report = lines_of(line_python, "lines_threads")
    for label, want in truth["lines"].items():
        file, line = harness.find_line(target.path, label)
        rows = [r for r in report.rows(target.pid, file, line) if r["occurrences"] is not None]
        assert sum(r["occurrences"] for r in rows) == want["occurrences"], (label, rows)
        got = sum(r["run_increment_bytes"] for r in rows)
        assert abs(got - want["run_increment"]) <= SLACK, (label, got, want)


def test_table(line_python):
    """-f: memory_profiler's layout."""
    for extra, width in ([], 61), (["--peak"], 75):
        with harness.Target(line_python.command, "counted") as target:
            with harness.Tool("--lines", "-p", target.pid, "-f", "grow", *extra,
                              output=False) as tool:
                tool.attached()
                target.go()
                assert tool.stop() == 0, tool.stderr
                text = tool.stdout().decode()
            assert target.end() == 0
        rows = text[text.index("Filename: "):].splitlines()
        assert rows[0] == "Filename: " + target.path and rows[1] == ""
        assert rows[2].split() == (["Line", "#", "Mem", "usage", "Increment"] + ["Peak"] * bool(extra)
                                   + ["Occurrences", "Line", "Contents"])
        assert rows[3] == "=" * width
        first = harness.find_line(target.path, "grow_def")[1]
        for i, (runs, increment) in enumerate([(1, "0.0"), (8, "0.0"), (7, "7.0"), (1, "0.0")]):
            row = rows[4 + i]
            peak = r" +\d+\.\d MiB" if extra else ""
            assert re.match(r" *%d +\d+\.\d MiB +%s MiB%s +%d   \S*" % (
                first + i, re.escape(increment), peak, runs), row), row
            assert len(row[:row.index("   ", 34 if not extra else 48)]) >= 34
        assert rows[8] == ""


def table_of(python, function):
    """-f: the rows of the function in `counted`, by number: (MiB, what follows)."""
    with harness.Target(python.command, "counted") as target:
        with harness.Tool("--lines", "-p", target.pid, "-f", function, output=False) as tool:
            tool.attached()
            target.go()
            assert tool.stop() == 0, tool.stderr
            text = tool.stdout().decode()
        assert target.end() == 0
    rows = re.findall(r"^ *(\d+) +-?\d+\.\d MiB +(-?\d+\.\d) MiB +\d+   ", text, re.M)
    return target, {int(number): float(mib) for number, mib in rows}, text


@pytest.mark.parametrize("function, rows", [
    ("nested", {"row_inner": 4, "row_call": 4, "row_blocks": 6, "row_return": 0}),
    ("inner", {"row_inner": 4}), ("make_later", {"row_later": 3}), ("<lambda>", {"row_later": 3}),
    ("lazily", {"row_lazy": 2}), ("recurse", {"recurse_grow": 5, "recurse_call": 4})])
def test_rows_count_once(line_python, function, rows):
    """A row has what changed while any code of the function ran it: a nested one's run inside the
    function's is not added again, and one of its own, later and elsewhere, is not left out."""
    target, found, text = table_of(line_python, function)
    for label, mib in rows.items():
        line = harness.find_line(target.path, label)[1]
        assert abs(found[line] - mib) < 0.1, (label, text)
    assert "Garbage" not in text


def test_collections_in_the_table(line_python):
    target, _, text = table_of(line_python, "cycles")
    assert re.search(r"^Garbage collections: -8\.\d MiB on line.%d \(1\)$"
                     % harness.find_line(target.path, "cycles_collect")[1], text, re.M), text


def test_beyond_the_stack(line_python):
    """Deeper frames than are followed: no line of theirs is taken for one of the last that is, no
    return of theirs ends it, and they are counted by name."""
    target, truth, report = lines_of(line_python, "beyond")
    for label, want in truth["lines"].items():
        rows = runs_of(report, target, label)
        assert sum(r["occurrences"] for r in rows) == want["occurrences"], (label, rows)
        got = sum(r["run_increment_bytes"] for r in rows)
        # Up to 3.10 each frame is an object on the heap.
        assert abs(got - want["run_increment"]) <= 4 * SLACK, (label, got, want)
    grow, = runs_of(report, target, "sink_grow")
    call, = runs_of(report, target, "sink_call")
    followed, depth, block = grow["occurrences"], truth["depth"], truth["block"]
    assert 120 <= followed < 128 and call["occurrences"] == followed
    assert abs(grow["run_increment_bytes"] - followed * block) <= SLACK, grow
    below = sum(range(depth, depth - followed, -1)) * block
    assert abs(call["run_increment_bytes"] - below) <= 4 * SLACK * followed, (call, below)
    said = [re.match(r"(\d+) line events not counted: in recursions deeper", n)
            for n in report.data["notes"]]
    missed = sum(int(found.group(1)) for found in said if found)
    assert missed >= 3 * (depth + 1 - followed) - 3, report.data["notes"]


def test_collection_in_a_collection(line_python):
    """The outer one's amount is from its own start on, and has the inner one's."""
    if "_xxsubinterpreters" not in line_python.modules:
        pytest.skip("no module _xxsubinterpreters")
    target, truth, report = lines_of(line_python, "collecting")
    row, = runs_of(report, target, "collect")
    assert row["collections"] == 1, row
    assert abs(row["gc_bytes"] - truth["lines"]["collect"]["gc"]) <= 1 << 20, row
    others = [r for r in report.image(target.pid)["lines"] if r.get("collections") and r != row]
    assert not others, others


def test_launched(line_python):
    """`-- CMD`: from its first line on, where the command is the interpreter itself. (Wrappers that exec it
    are followed: test_launch.py.)"""
    path = harness.program_path("counted")
    with harness.Tool("--lines", "--", *line_python.command, path, stdin=subprocess.DEVNULL,
                      env=harness.environment(PYMEM_E2E_LAUNCHED="1")) as tool:
        report = tool.report()
    pid = report.pids()[0]
    if len(line_python.command) > 1:
        image = report.images(pid)[0]
        assert image["lost_bytes"]["unidentified"] if image["python"] is None else \
            image["python"].startswith("%d.%d" % line_python.version[:2])
        return
    assert report.images(pid)[0]["engine"] == "lines"
    file, line = harness.find_line(path, "grow_append")
    assert sum(r["occurrences"] for r in report.rows(pid, file, line)) == 7
    module = [r for r in report.images(pid)[0]["lines"] if r["function"] == "<module>" and
              r["file"] == path and r["occurrences"]]
    assert len(module) > 10, "the module's own lines are seen"


@pytest.mark.host
def test_whole_host(line_python):
    """-a --lines: all processes of a binary, those that start later too; the others by the walk."""
    others = [p for p in pythons() if p.name not in probed()][:1]
    with harness.Tool("-a", "--lines") as tool:
        tool.attached()
        with harness.Target(line_python.command, "counted") as target:
            harness.until(lambda: semaphores(target.pid)["line"], "wanted by the profiler")
            tool.polled()
            truth = target.go()
            assert target.end() == 0
        for other in others:
            with harness.Target(other.command, "grow") as plain:
                plain.go()
                tool.polled()
                assert plain.end() == 0
        tool.process.send_signal(signal.SIGINT)
        report = tool.report()
    file, line = harness.find_line(target.path, "grow_append")
    rows = report.rows(target.pid, file, line)
    assert sum(r["occurrences"] or 0 for r in rows) == truth["lines"]["grow_append"]["occurrences"]
    for other in others:
        assert report.images(plain.pid)[0]["engine"] == "walk"


def test_one_binary_that_refuses(line_python, tmp_path_factory):
    """-a: a binary whose probes can't be attached takes none away from the others."""
    with harness.Target(line_python.command, "counted") as target:
        with open("/proc/%d/exe" % target.pid, "rb") as f:
            exe = f.read()
        folder = tmp_path_factory.mktemp("refuses")
        copy = folder / "python3"
        # It has a line probe, and lacks one that is attached after another.
        assert exe.count(b"python\0gc__done\0") == 1
        copy.write_bytes(exe.replace(b"python\0gc__done\0", b"python\0gc__gone\0"))
        copy.chmod(0o755)
        # Other Pythons of the host name their code too: what there is no room for in the ring is missed by
        # name (test_a_full_ring_misses_by_name), which is not what is tested here.
        with harness.Tool("-a", "--lines", "--ring-size", 65536) as tool:
            tool.attached()
            assert semaphores(target.pid)["line"]
            with harness.Target(line_python.command[:-1] + [str(copy)], "grow") as refuses:
                refuses.go()
                time.sleep(2)
                tool.polled(15)
                assert refuses.end() == 0
            assert semaphores(target.pid)["line"], "another binary's probes are gone"
            truth = target.go()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    notes = report.data["notes"]
    assert sum(r["occurrences"] for r in runs_of(report, target, "grow_append")) == \
        truth["lines"]["grow_append"]["occurrences"], (report.image(target.pid)["engine"], notes)
    assert [n for n in notes if "could not be attached" in n], notes
    assert [n for n in notes if str(copy) in n and "lacks a probe" in n], notes


NAMES_MUCH = """
import os
os.read(0, 1)
for i in range(3000):
    exec(compile("def f():\\n  x = 1\\nf()", "file%d" % i, "exec"), {})
print("named", flush=True)
os.read(0, 1)
"""


def test_a_full_ring_misses_by_name(line_python):
    """The profiler is given no CPU while another process fills the ring: then code has no name, and its runs
    are in no row. The report says of how many that is so, which are no fewer than those that are not there."""
    with harness.Target(line_python.command, "counted") as target, \
            subprocess.Popen(line_python.command + ["-c", NAMES_MUCH], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env=harness.environment()) as other:
        harness.rss_at_rest(other.pid)
        with harness.Tool("--lines", "--ring-size", 256, "-p", "%d,%d" % (target.pid, other.pid)) as tool:
            tool.attached()
            os.kill(tool.process.pid, signal.SIGSTOP)
            other.stdin.write(b"\n")
            other.stdin.flush()
            assert harness.Lines(other.stdout).next() == b"named"
            truth = target.go()
            os.kill(tool.process.pid, signal.SIGCONT)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        other.stdin.close()
    notes = report.data["notes"]
    missed = sum(int(n.split()[0]) for n in notes if "not counted: the code object could not be named" in n)
    ran = sum(r["occurrences"] for r in runs_of(report, target, "grow_append"))
    want = truth["lines"]["grow_append"]["occurrences"]
    assert missed >= 1000, notes
    assert ran <= want <= ran + missed, (ran, notes)


def test_children(line_python):
    """A forked child's lines are counted, from the moment it is known."""
    target, truth, report = lines_of(line_python, "lines_fork")
    file, line = harness.find_line(target.path, "child_grow")
    rows = report.rows(truth["child"], file, line)
    assert report.images(truth["child"])[0]["engine"] == "lines"
    assert sum(r["occurrences"] or 0 for r in rows) == truth["runs"]
    assert abs(sum(r["run_increment_bytes"] for r in rows if r["occurrences"])
               - (truth["runs"] << 20)) <= 3 * SLACK


def test_zombies(line_python):
    """What has ended has no probes any more, though its parent may never wait for it: their links would be
    used up."""
    with harness.Target(line_python.command, "zombies") as target, \
            harness.Tool("--lines", "-p", target.pid) as tool:
        tool.attached()
        # And one that watches copies, from the first fork on.
        alone = harness.attached_links(tool.process.pid) + 1
        counts = iter([lambda n: n >= alone + 5 * target.first["forked"], lambda n: n == alone])

        def paused():
            wanted = next(counts)
            harness.until(lambda: wanted(harness.attached_links(tool.process.pid)), "all attached, then none")
        target.go(paused)
        assert tool.stop() == 0, tool.stderr


def reused_pid(line_python):
    """A child that has the number of one that ended, and what is reported; None if another process took the number."""
    with harness.Target(line_python.command, "lines_reused_pid") as target:
        if not target.first["possible"]:
            pytest.skip("no PID can be chosen here")
        with harness.Tool("--lines", "-p", target.pid) as tool:
            tool.attached()
            held = [held_by(tool.process.pid)]

            def attached():
                def has():
                    return len({o for o in held_by(tool.process.pid) - held[0] if o[0] == "link"}) >= 5
                try:
                    harness.until(has, "attached to the child")
                except AssertionError as e:
                    raise AssertionError("%s; %s; it has %d links of %s; stderr: %s" % (
                        e, target.pause, harness.attached_links(tool.process.pid), held_by(tool.process.pid) - held[0],
                        tool.stderr.decode("utf-8", "replace"))) from None
                held[0] |= held_by(tool.process.pid)

            def first():
                attached()
                # That it has ended, and that the other began, is told at once.
                os.kill(tool.process.pid, signal.SIGSTOP)

            def second():
                os.kill(tool.process.pid, signal.SIGCONT)
                if target.pause["child"]:
                    attached()
            steps = iter([first, second])
            truth = target.go(lambda: next(steps)())
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
    if not truth["child"]:
        return None
    file, line = harness.find_line(target.path, "child_grow")
    return truth["runs"], sum(r["occurrences"] or 0 for r in report.rows(truth["child"], file, line))


@pytest.mark.host  # others would take the number
def test_reused_pid(line_python):
    """A child has the number of one that ended: it has probes of its own."""
    seen = next(filter(None, (reused_pid(line_python) for _ in range(3))), None)
    assert seen, "another process had the number, three times"
    assert seen[0] == seen[1]


def aborts(python):
    """Has it a probe that would end it? 3.11 with assertions: Debian's debug build."""
    row = rows()[python.name]
    return python.version[:2] == (3, 11) and row["debug"] and row["probes"] == "line"


def test_no_probe(plain_python):
    """By name, with the alternatives; the target is left alone."""
    python = plain_python
    reason = "ends the process once its line probe is on" if aborts(python) else "has no line probe"
    with harness.Target(python.command, "grow") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            assert tool.wait() == 1
            said = tool.stderr.decode()
        assert reason in said and "%mprun" in said and str(target.pid) in said
        assert "%d.%d" % python.version[:2] in said
        with harness.Tool("--lines", "-a") as tool:
            tool.attached()
            target.go()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    assert report.image(target.pid)["engine"] == "walk"
    assert any("no line probe that can be used" in note for note in report.data["notes"])


def test_killed_tool_leaves_nothing(line_python):
    """SIGKILL of the profiler: the probes go with it, and the target goes on."""
    before = bpf_objects()
    with harness.Target(line_python.command, "counted") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            tool.attached()
            assert bpf_objects() - before and semaphores(target.pid)["line"]
            tool.stop(signal.SIGKILL)
        assert_nothing_left(before)
        assert not any(semaphores(target.pid).values()), semaphores(target.pid)
        target.go()
        assert target.end() == 0


def test_target_killed(line_python):
    """What it ran is in the report, names and all."""
    with harness.Target(line_python.command, "counted") as target:
        with harness.Tool("--lines", "-p", target.pid) as tool:
            tool.attached()
            target.go()
            target.process.kill()
            report = tool.report()
    file, line = harness.find_line(target.path, "grow_append")
    rows = report.rows(target.pid, file, line)
    assert sum(r["occurrences"] for r in rows) == 7
