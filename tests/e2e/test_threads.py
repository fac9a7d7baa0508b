# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--threads: the same line in several threads is several stacks, by thread, in each format that has stacks, live and
of a recording; and lines have what they have without it."""
import contextlib
import json
import os
import re
import shutil
import sqlite3

import pytest

import browsers
import harness
from harness import MIB, PAGE, Report, Target, Tool
from test_formats import go_raw, go_top, stacks_of_folded
from test_pages import FRAMES
from test_record import report

THREAD = re.compile(r"thread (\d+)(?: \((.*)\))?|other threads")
FORMATS = ("table", "json", "csv", "folded", "pprof", "speedscope", "flamegraph")
PYTHON = ["/usr/bin/python3"]
SLACK = 64 * PAGE  # a thread's own small objects
COPIED = 256 * PAGE  # what a forked child's thread copies of its parent's as it runs


def intervals(path):
    """[(since, until)] of what a recording has by now."""
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as db:
        ends = [end for end, in db.execute("SELECT until FROM interval ORDER BY id")]
        begin = next((value for value, in db.execute("SELECT value FROM about WHERE name = 'start'")), None)
        return list(zip([begin] + ends, ends))


class Watched:
    """A program's work under a profiler for each format, and in a recording."""

    def __init__(self, command, name, folder, formats=FORMATS, arguments=()):
        self.folder = str(folder)
        with contextlib.ExitStack() as stack:
            self.target = stack.enter_context(Target(command, name, arguments=arguments))
            harness.rss_at_rest(self.target.pid)
            stacks = [f for f in formats if f not in ("table", "json", "csv")]
            tools = [stack.enter_context(Tool(
                "-p", self.target.pid, "--threads", "--record", self.path("pymem", f), "--format", f, "-o",
                self.path(f), output=False)) for f in formats]
            assert stacks
            for tool in tools:
                tool.attached()
            for form in formats:
                harness.until(lambda form=form: intervals(self.path("pymem", form)), "an interval before the work")
            self.truth = self.target.go(tools[0].polled)
            harness.rss_at_rest(self.target.pid)
            for tool in tools:
                assert tool.stop() == 0, tool.stderr
            assert self.target.end() == 0, "the program must not notice"

    def path(self, form, of=""):
        return os.path.join(self.folder, "report%s.%s%s" % (of, form, ".html" if form == "flamegraph" else ""))

    def text(self, form):
        with open(self.path(form), encoding="utf-8", newline="") as f:
            return f.read()

    @property
    def lines(self):
        return Report(json.loads(self.text("json")))

    @property
    def threads(self):
        """{(name, TID): bytes} that the program says its threads grew on that line, with its child's."""
        all_ = self.truth["threads"] + [t for child in self.truth["children"] for t in child["threads"]]
        return {(t["name"], t["tid"]): t["bytes"] for t in all_}


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    return Watched(PYTHON, "named", tmp_path_factory.mktemp("named"))


def by_thread(folded, leaf):
    """{(name, TID): amount} of the stacks that end there."""
    sums = {}
    for frames, amount in stacks_of_folded(folded):
        match = THREAD.fullmatch(frames[1])
        if frames[-1].startswith(leaf):
            key = (match[2], int(match[1])) if match and match[1] else None
            sums[key] = sums.get(key, 0) + amount
    return sums


def check(found, truth):
    assert set(found) == set(truth), (found, truth)
    for key, bytes_ in truth.items():
        slack = SLACK + (COPIED if key[0] == "in-child" else 0)
        assert 0 <= found[key] - bytes_ <= slack, (key, found[key], bytes_)


# --- formats ---

def test_folded(named):
    check(by_thread(named.text("folded"), "grow ("), named.threads)


def test_tid_again(named):
    """A thread with the TID of one that has ended is another one."""
    tids = [tid for name, tid in named.threads if name in ("brief", "again")]
    if len(tids) < 2:
        pytest.skip("no thread got that TID")
    assert tids[0] == tids[1]


def test_pprof(named):
    """Labels, and no frames: go's reader finds a thread by its name, and groups by it."""
    types, samples = go_raw(named.path("pprof"))
    names = {(name, tid): "thread %d (%s)" % (tid, name) for name, tid in named.threads}
    for (name, tid), label in names.items():
        mine = [(values, labels) for values, labels in samples if "thread:[%s]" % label in labels]
        assert mine and all("thread_id:[%d]" % tid in labels for _, labels in mine), (label, samples[:5])
        assert sum(values[types.index("rss_growth")] for values, _ in mine) >= named.threads[name, tid]
    functions = go_top(named.path("pprof"), "rss_growth")[1]
    assert "grow" in str(functions) and not any(name.startswith("thread ") for name in functions)


def test_speedscope(named):
    data = json.loads(named.text("speedscope"))
    frames = [frame["name"] for frame in data["shared"]["frames"]]
    profile = next(p for p in data["profiles"] if p["name"] == "grown")
    found = {}
    for stack, weight in zip(profile["samples"], profile["weights"]):
        match = THREAD.fullmatch(frames[stack[1]])
        if match and frames[stack[-1]] == "grow":
            key = match[2], int(match[1])
            found[key] = found.get(key, 0) + weight
    check(found, named.threads)


def chromium_does(path, *steps):
    try:
        browsers.chromium()
        browsers.viewers(harness.PATIENCE)
    except browsers.Missing as why:
        pytest.skip(str(why))
    return browsers.open_page(path, *steps, patience=harness.PATIENCE)


def test_flame_graph(named):
    """By thread, each one that grew is a box of its own, and below it is the line; by process there are no threads. In
    all, they have the same."""
    path = named.path("flamegraph")
    choices, by_thread_, by_process, inner, merged = chromium_does(
        path, ("evaluate", "[...document.getElementById('groups').options].map(o => o.value)"),
        ("open", "#group=thread"), ("evaluate", FRAMES), ("open", ""), ("evaluate", FRAMES),
        ("open", "#group=thread&direction=inner"), ("evaluate", FRAMES),
        ("open", "#group=merged"), ("evaluate", FRAMES))
    assert choices == ["process", "thread", "where", "merged"]
    for frames in (by_thread_, inner):
        boxes = [label for level, label in frames if level == "2"]
        for name, tid in named.threads:
            assert any(label.startswith("thread %d (%s)" % (tid, name)) for label in boxes), boxes
        assert any(label.startswith("grow") for _, label in frames)
    for frames in (by_process, merged):
        assert not any(label.startswith("thread ") for _, label in frames), frames
    assert by_thread_[0][1] == by_process[0][1] == merged[0][1] == inner[0][1]


def test_no_choice_without_threads(tmp_path):
    """A page that tells no threads does not offer them."""
    path = tmp_path / "r.html"
    with Tool("--format", "flamegraph", "-o", path, "-q", "--", *PYTHON, "-c", "kept = bytearray(9 << 20)",
              output=False) as tool:
        assert tool.wait() == 0, tool.stderr
    choices, = chromium_does(path, ("open", "#group=thread"),
                             ("evaluate", "[...document.getElementById('groups').options].map(o => o.value)"))
    assert choices == ["process", "where", "merged"]


# --- lines ---

def test_lines(named):
    """Lines are of all threads together."""
    image = named.lines
    image.check_conservation(named.target.pid)
    image.check_lines(named.target.pid, named.target.path, named.truth["lines"])
    for child in named.truth["children"]:
        image.check_conservation(child["pid"])
        image.check_lines(child["pid"], named.target.path, child["lines"])


def test_merged(named, tmp_path):
    """The same recording without its threads has the same lines and totals, to the byte."""
    path = str(tmp_path / "merged.pymem")
    shutil.copy(named.path("pymem", "json"), path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("UPDATE about SET value = 0 WHERE name = 'threads'").rowcount == 1
        db.commit()
    for options in (("--format", "json"), ("-v",), ("--format", "csv"), ("-f", "grow")):
        assert report(path, *options) == report(named.path("pymem", "json"), *options), options
    told, merged = (by_thread(report(p, "--format", "folded").decode(), "grow (") for p in
                    (named.path("pymem", "json"), path))
    assert len(told) > 2 and list(merged) == [None] and merged[None] == sum(told.values())


# --- recordings ---

@pytest.mark.parametrize("form", FORMATS)
def test_recording(named, form):
    """Reported later it is what was reported live, to the byte."""
    options = () if form == "table" else ("--format", form)
    with open(named.path(form), "rb") as f:
        assert report(named.path("pymem", form), *options) == f.read()


def test_parts(named):
    """The parts of a recording have the threads of the whole, which add up."""
    path = named.path("pymem", "folded")
    (start, border), *later = intervals(path)
    assert later
    at = "%.6f" % (border - start)
    form = ("--format", "folded", "--metric", "net")
    whole = by_thread(report(path, *form).decode(), "grow (")
    sums = {}
    for part in (("--until", at), ("--since", at)):
        for key, amount in by_thread(report(path, *form, *part).decode(), "grow (").items():
            sums[key] = sums.get(key, 0) + amount
    assert sums == whole


# --- bounds ---

MANY = """
import threading
kept = []
def grow():
    kept.append(bytearray(200000))
for _ in range(700):
    thread = threading.Thread(target=grow)
    thread.start()
    thread.join()
"""


def test_many_threads(tmp_path):
    """The first 256 threads are told apart. Those that follow are one, which a note says, and take no more room."""
    path = tmp_path / "many.folded"
    with Tool("--threads", "--format", "folded", "-o", path, "--", *PYTHON, "-c", MANY, output=False) as tool:
        assert tool.wait() == 0, tool.stderr
    sums = by_thread(path.read_text(), "grow (")
    others = sums.pop(None)
    # One of them is the main thread, which did not grow there.
    assert 250 <= len(sums) <= 255 and 440 * 200000 < others < 460 * 204800
    assert b'445 threads of 1 process are shown as "other threads"' in tool.stderr, tool.stderr


def test_refused():
    """In a report that has no stacks there is nothing to tell."""
    with Tool("--threads", "--", *PYTHON, "-c", "0") as tool:
        assert tool.wait() == 2
    assert b"--threads needs stacks: " in tool.stderr


@pytest.mark.parametrize("options", [("--lines",), ("--touched",), ("--no-faults",)])
def test_with_others(tmp_path, options):
    with Target(PYTHON, "named") as target:
        with Tool("-p", target.pid, "--threads", "--format", "folded", "-o", tmp_path / "r", *options,
                  output=False) as tool:
            tool.attached()
            watched = target.go(tool.polled)
            harness.rss_at_rest(target.pid)
            assert tool.stop() == 0, tool.stderr
        assert target.end() == 0
    found = by_thread((tmp_path / "r").read_text(), "grow (")
    for thread in watched["threads"]:
        assert 0 <= found[thread["name"], thread["tid"]] - thread["bytes"] <= SLACK


# --- interpreters ---

def test_pythons(few_python, tmp_path):
    """The truth, on each of them."""
    watched = Watched(few_python.command, "named", tmp_path, ("folded",))
    check(by_thread(watched.text("folded"), "grow ("), watched.threads)
    assert sum(watched.threads.values()) > 18 * MIB
