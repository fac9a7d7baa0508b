# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""heap(), HeapWatch and %memheap: on every Python of itself and of others, as root and as an ordinary user; what they
show; what they say where they can't."""
import glob
import html.parser
import json
import os
import subprocess
import sys

import pytest
import sessions
from sessions import needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import _helper, heaps  # noqa: E402

with open(os.path.join(sessions.PROJECT, "tests", "golden", "heap.json")) as stored:
    GROWING = json.load(stored)["processes"][0]
with open(os.path.join(sessions.PROJECT, "tests", "golden", "heap-hostile.json")) as stored:
    HOSTILE = json.load(stored)["processes"][0]
with open(os.path.join(sessions.PROJECT, "tests", "golden", "heap-live.json")) as stored:
    ONE_LOOK = json.load(stored)["processes"][0]

ITSELF = """
import pymem_bpf
KEPT = ["kept %d" % n for n in range(40000)]
report = pymem_bpf.heap()
first = report.holders[0]
assert first.path == "__main__.KEPT" and first.entries == 40000, report
assert sum(report.balance.values()) == report.rss_bytes
assert report.seconds is None and first.grown_bytes is None
with pymem_bpf.HeapWatch() as watch:
    KEPT += ["more %d" % n for n in range(10000)]
assert watch.report.holders[0].path == "__main__.KEPT", watch.report
assert watch.report.holder("__main__.KEPT").entries_grown == 10000
assert watch.report.verdict.startswith("Grows by "), watch.report.verdict
print("fine")
"""


def children():
    """PIDs of this process's children, of all its threads; other tests may have some that go on."""
    found = set()
    for path in glob.glob("/proc/self/task/*/children"):
        with open(path) as f:
            found.update(f.read().split())
    return found


class Checked(html.parser.HTMLParser):
    """HTML whose elements are closed in order."""

    def __init__(self, text):
        html.parser.HTMLParser.__init__(self)
        self.open, self.text = [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, _):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


# --- results, without a process ---

def test_report():
    report = heaps.HeapReport(GROWING)
    assert report.pid == 25402 and report.python == "3.11.2" and report.seconds == 30
    holder = report.holders[0]
    assert (holder.path, holder.type, holder.entries) == ("shop.AUDIT", "list", 1200000)
    assert holder.entries_grown == 21400 and not holder.new and not holder.local and holder.shared_by is None
    assert report.holder("shop.CACHE").retained_bytes == 6 << 20
    assert [t.type for t in report.types] == ["dict", "str", "tuple"]
    assert report.births[0].line == 19 and report.births[0].stack[1].endswith(":33 report")
    assert report.touched[0].now[0] == {"what": "shop.AUDIT", "bytes": 25 << 20}
    assert sum(row.resident_bytes for row in report.touched) + report.touched_before_bytes + \
        report.touched_unknown_bytes == report.rss_bytes
    assert report.notes == ["the lines that insert were sampled"]
    with pytest.raises(KeyError):
        report.holder("shop.NOTHING")
    assert repr(holder).startswith("HeapHolder(path='shop.AUDIT', type='list', entries=1200000, ")
    assert repr(report).startswith("<HeapReport of process 25402: Grows by ")


def test_text():
    lines = str(heaps.HeapReport(GROWING)).splitlines()
    assert lines[0].startswith("Grows by 8.8 MiB/min: kept by shop.AUDIT")
    assert lines[2].startswith("RSS 494.7 MiB = objects 402.0 MiB + their buffers 51.0 MiB + ")
    assert " Retained     Grown    Entries    Grown  Holder" in lines
    assert "431.0 MiB  +4.4 MiB  1,200,000  +21,400  shop.AUDIT  list" in lines
    assert "Resident  First touched by: what is there now" in lines
    assert "26.0 MiB  shop.py:33 report: 25.0 MiB shop.AUDIT, 1.0 MiB free in pools" in lines
    assert lines[-1] == "Note: the lines that insert were sampled"
    one = str(heaps.HeapReport(ONE_LOOK))
    assert "Grown" not in one and "\n540.0 MiB  1,214,003  app.cache.SESSIONS  dict\n" in one


def test_rows_that_are_not_shown():
    data = dict(ONE_LOOK, types=[dict(ONE_LOOK["types"][0], type="type%d" % n) for n in range(25)])
    text = str(heaps.HeapReport(data))
    assert "type9" in text and "type10" not in text and "and 15 more" in text
    assert "and 15 more" in heaps.HeapReport(data)._repr_html_()


def test_html():
    page = Checked(heaps.HeapReport(GROWING)._repr_html_()).text
    for text in ("Grows by 8.8 MiB/min", "shop.AUDIT  list", "+21,400", "402.0 MiB", "Note: the lines"):
        assert text in page, text


def test_hostile_names():
    report = heaps.HeapReport(HOSTILE)
    for text in (str(report), repr(report)):
        assert all(c.isprintable() or c == "\n" for c in text)
    source = report._repr_html_()
    assert "</script>" not in source and "\x1b" not in source
    assert "</script>" in Checked(source).text
    assert max(map(len, str(report).splitlines()[5:])) < 200


# --- of processes ---

@needs_program
@pytest.mark.parametrize("name, command", [pair for pair in sessions.pythons() if len(pair[1]) == 1 and
                                           not pair[0].startswith("free-threaded-")],
                         ids=lambda one: one if isinstance(one, str) else "")
def test_each_python(name, command):
    """Of itself, from a script; not in a root folder of its own, where the program's libraries are not, nor where the
    program refuses the heap (tests/e2e/test_heap.py)."""
    env = dict(os.environ, PYTHONPATH=os.path.join(sessions.PROJECT, "python", "src"), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(command + ["-c", ITSELF], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=sessions.PATIENCE)
    assert done.stdout == b"fine\n", done.stdout.decode()


@needs_program
def test_another_process():
    code = "import os; LIST = ['x%d' % n for n in range(30000)]; os.write(1, b'x'); os.read(0, 1)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.read(1) == b"x"
            report = heaps.heap(target.pid, pause=True)
            twice = heaps.heap(target.pid, seconds=0.1)
        finally:
            target.kill()
    assert report.pid == target.pid and report.holders[0].path == "__main__.LIST"
    assert len(report.data["paused_ms"]) == 1
    assert twice.seconds >= 0.1 and twice.verdict.startswith("Does not grow")


def test_types_only():
    kept = [float(n) for n in range(30000)]
    report = heaps.heap(types_only=True)
    assert report.types_only and not report.holders
    assert next(row.objects for row in report.types if row.type == "float") >= len(kept)
    assert "Type, without buffers" in str(report)
    with pytest.raises(ValueError):
        heaps.heap(pause=True, types_only=True)


@needs_program
@pytest.mark.parametrize("run", [heaps.heap, lambda pid: heaps.HeapWatch(pid).__enter__()], ids=["heap", "HeapWatch"])
def test_what_can_not_be_looked_at(run):
    """The program's own words; nothing is left running."""
    before = children()
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        try:
            with pytest.raises(_helper.HelperError, match="pid %d .sleep.: is not Python" % sleeper.pid):
                run(sleeper.pid)
        finally:
            sleeper.kill()
    assert children() == before


def test_no_program(monkeypatch):
    monkeypatch.setattr(heaps, "program", lambda: None)
    with pytest.raises(_helper.HelperMissing, match="PYMEM_BPF"):
        heaps.heap()


@needs_program
def test_work_that_raises():
    """The work's own exception, and no helper that stays."""
    before = children()
    with pytest.raises(ZeroDivisionError):
        with heaps.HeapWatch() as watch:
            1 / 0
    assert watch.report is None
    assert children() == before


CAUGHT = """
import os, signal, pymem_bpf
with pymem_bpf.HeapWatch() as watch:
    try:
        os.killpg(0, signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt:
        kept = ["kept %d" % n for n in range(40000)]
assert watch.report.holder("__main__.kept").entries == 40000, watch.report
"""


@needs_program
def test_work_that_is_interrupted():
    """Ctrl-C at a terminal, which the work answers, is not for the helper: the second look is at the end of the block."""
    done = subprocess.run([sys.executable, "-c", CAUGHT], stderr=subprocess.PIPE, start_new_session=True,
                          env=dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(heaps.__file__)),
                                   PYMEM_BPF=sessions.PROGRAM))
    assert done.returncode == 0, done.stderr.decode()


# --- in IPython ---

@pytest.fixture(scope="module", params=[0, sessions.USER], ids=["root", "user"])
def stage(request):
    one = sessions.Stage(request.param)
    # Where an ordinary user can run it.
    path = os.path.join(one.path, "pymem-bpf")
    subprocess.check_call(["cp", sessions.PROGRAM, path])
    os.chmod(path, 0o755)
    one.program = path
    yield one
    one.close()


@pytest.fixture(scope="module")
def kernel(stage):
    one = sessions.Kernel(stage, PYMEM_BPF=stage.program)
    one.run("%load_ext pymem_bpf")
    yield one
    one.close()


@needs_program
def test_in_a_notebook(kernel):
    kernel.run("TABLE = {n: ['row', n] for n in range(60000)}")
    cell = kernel.run("%memheap")
    assert cell.error == "" and "TABLE  dict" in cell.result, cell.all()
    cell = kernel.run("report = %memheap\nreport.holders[0].path, report.holders[0].entries")
    assert "TABLE" in cell.result and "60000" in cell.result, cell.all()


@needs_program
def test_what_a_statement_leaves(kernel):
    cell = kernel.run("%memheap KEPT = ['kept %d' % n for n in range(20000)]; len(['x%d' % n for n in range(200000)])")
    assert "Grows by" in cell.result and "KEPT" in cell.result.split("\n")[0], cell.all()
    cell = kernel.run("%%memheap\nMORE = []\nfor n in range(20000):\n    MORE.append('more %d' % n)\n")
    assert "MORE" in cell.result.split("\n")[0], cell.all()
    assert kernel.run("len(MORE), len(KEPT)").result == "(20000, 20000)"


@needs_program
def test_wrong_uses(kernel):
    for line, said in (("%memheap -d x", "takes a number"), ("%memheap -d 1 1 + 1", "without a statement"),
                       ("%memheap -z", "-z"), ("%memheap -p 4194303", "no such process")):
        assert said in kernel.run(line).error, line
    assert "division" in kernel.run("%memheap 1 / 0").error


@needs_program
def test_in_a_terminal(stage):
    terminal = sessions.Terminal(stage, PYMEM_BPF=stage.program)
    try:
        assert terminal.type("%load_ext pymem_bpf") == ""
        terminal.type("TABLE = {n: ['row', n] for n in range(60000)}")
        said = terminal.type("%memheap")
        assert "TABLE  dict" in said and "RSS " in said, said
    finally:
        terminal.close()
