# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The page of a recording: its time plot and its looks at heaps, in Chromium. A window has the figures that
`report --since --until` has, to the byte."""
import copy
import json
import os
import re
import sqlite3

import pytest

import harness
from harness import Tool
from test_pages import ATTACKS, PYTHON, TOTAL, chromium, contrast, data_of, everywhere, with_data  # noqa: F401, pylint: disable=unused-import
from test_record import report

LEAK = """
import time
SESSIONS, kept = {}, []
def remember():
    for _ in range(30):
        SESSIONS[len(SESSIONS)] = bytearray(100000)
def burst():
    kept.append(bytearray(40 << 20))
for step in range(9):
    remember()
    time.sleep(1.1)
    if step == 4:
        burst()
    if step == 5:
        kept.clear()
"""
# The keys' figures follow once no more keys come.
SETTLED = ("evaluate", "new Promise(done => setTimeout(done, 500))")
# Its pane shows the process: a frame around all others of it. False: nothing of it is in the graph.
FIRST_FRAME = ("evaluate", """(frame => { frame?.click(); return Boolean(frame) })(
    [...document.querySelectorAll('[role=treeitem]')].find(f => / \\(\\d+\\)/.test(f.getAttribute('aria-label'))))""")
FOCUS = ("evaluate", "document.getElementById('plot').focus()")
HASH = ("evaluate", "location.hash")
SUM = ("evaluate", "Number(document.querySelector('#lines [data-sum]').dataset.sum)")
SAFE = """[document.title === 'owned', document.querySelectorAll('img, svg:not(#picture):not(.spark), iframe, object, embed').length,
    document.scripts.length, Object.prototype.owned, document.body.textContent.length > 0]"""


class Recorded:
    def __init__(self, folder):
        self.file, self.page = os.path.join(folder, "run.pymem"), os.path.join(folder, "run.html")

    @property
    def text(self):
        with open(self.page, encoding="utf-8", newline="") as f:
            return f.read()

    @property
    def data(self):
        return data_of(self.text)

    def time_of(self, border):
        """Seconds from the start to a border of slices."""
        time = self.data["time"]
        return (time["end"] - time["start"]) / 1e6 * border / time["slices"]

    def slices_with_intervals(self):
        """An interval is in the slice that has its middle; where none is, a report takes the one around it."""
        with sqlite3.connect("file:%s?mode=ro" % self.file, uri=True) as db:
            ends = [end for end, in db.execute("SELECT until FROM interval ORDER BY id")]
        start, length = self.data["time"]["start"] / 1e6, self.time_of(1)
        middles = [(since + until) / 2 for since, until in zip([start] + ends, ends)]
        return sorted({min(self.data["time"]["slices"] - 1, int((middle - start) / length)) for middle in middles})

    def json(self, window=None):
        since = [] if window is None else ["--since", "%.6f" % self.time_of(window[0]), "--until", "%.6f" % self.time_of(window[1])]
        return json.loads(report(self.file, "--format", "json", *since).decode())


@pytest.fixture(scope="module")
def leak(tmp_path_factory):
    folder = tmp_path_factory.mktemp("time")
    script = folder / "leak.py"
    script.write_text(LEAK)
    run = Recorded(str(folder))
    with Tool("record", "-o", run.file, "--heap-every", "1", "--pss", "--", *PYTHON, script, output=False) as tool:
        assert tool.wait() == 0, tool.stderr
    report(run.file, "--format", "html", "-o", run.page)
    return run


def sums(told):
    """{metric: sum over the lines} of a report in JSON, and the change of RSS."""
    lines = [line for process in told["processes"] for line in process["lines"]]
    found = {"grown": sum(line["grown_bytes"] for line in lines), "freed": sum(line["freed_bytes"] for line in lines),
             "copied": sum(line["cow_faults"] for line in lines) * harness.PAGE,
             "faults": sum(line["minor_faults"] + line["major_faults"] for line in lines)}
    found["net"] = found["grown"] - found["freed"]
    found["change"] = sum(p["rss_end_bytes"] - p["rss_start_bytes"] for p in told["processes"])
    return found


METRICS = ("grown", "freed", "net", "copied", "faults")


# The figure in the pane of a process, and each line's peak, of the window of the page.
IN_WINDOW = """(() => { const rows = [...document.querySelectorAll('#lines tbody tr')].map(row => {
    const heads = [...document.querySelectorAll('#lines th')].map(h => h.textContent.replace(/ [▼▲]$/, ''))
    const cell = row.children[heads.indexOf('Peak RSS')]
    return [row.querySelector('b').textContent, Number(row.querySelector('.where').textContent.split(':').pop()),
      cell.title || cell.textContent]
  }); return rows })()"""
PANE = """(() => { const rows = [...document.querySelectorAll('#details dt')]
    const at = rows.find(row => row.textContent === 'In the window'); return at && at.nextSibling.textContent })()"""


def number(text):
    return int(re.sub(r"[^\d-]", "", text.replace("\u2212", "-")))


def totals(address):
    """Steps that go there and return the totals, without loading the page again."""
    return [("evaluate", "new Promise(done => { addEventListener('hashchange', () => done(%s), { once: true }); "
             "location.hash = %s })" % (TOTAL, json.dumps("%s&metric=%s" % (address, metric)))) for metric in METRICS]


# --- the plot ---

def test_plot(leak, chromium):
    """It is above the tabs, and says when memory grew."""
    said, kinds, above, span = chromium.do(
        leak.page, ("evaluate", "document.getElementById('when').textContent"),
        ("evaluate", "[...document.querySelectorAll('#picture .area')].map(area => area.dataset.kind)"),
        ("evaluate", "document.getElementById('plot').getBoundingClientRect().bottom <= "
                     "document.getElementById('views').getBoundingClientRect().top"),
        ("evaluate", "document.getElementById('span').textContent"))
    assert re.match(r"RSS rose from [\d.]+ to [\d.]+ MiB", said), said
    assert kinds[:2] == ["anon", "file"] and above and "Drag" in span
    # The burst of 40 MiB was let go of: its height is told, too.
    peak = int(re.search(r"highest was (\d+) MiB at \d\d:\d\d:\d\d", said)[1])
    last = leak.json()["processes"][0]["rss_end_bytes"] >> 20
    assert peak > last + 15, said


def test_window_by_keys(leak, chromium):
    """Arrows make, move and resize a window; all that follows it is what a report of that window says."""
    slices = leak.data["time"]["slices"]
    assert 6 <= slices <= 300
    steps = [FOCUS, ("press", "ArrowRight"), *[("press", "Shift+ArrowRight")] * 2, *[("press", "ArrowRight")] * 2, SETTLED]
    *_, address = chromium.do(leak.page, *steps, HASH)
    first, last = map(int, re.search(r"window=(\d+)-(\d+)", address).groups())
    assert (first, last) == (2, 4 + max(1, round(slices / 10)))
    truth = sums(leak.json((first, last)))
    figures = dict(zip(METRICS, chromium.do(leak.page, *totals(address))))
    assert figures == {name: truth[name] for name in METRICS}
    assert 0 < figures["grown"] < sums(leak.json())["grown"]
    *_, gone, total = chromium.do(leak.page, ("open", address), FOCUS, ("press", "Escape"), SETTLED, HASH, ("evaluate", TOTAL))
    assert "window" not in gone
    assert total == leak.data["figures"]["grown"]["total"]


def test_every_window(leak, chromium):
    """Slice by slice: each one is its report, and together they are all of it."""
    added, slices = {name: 0 for name in METRICS}, leak.slices_with_intervals()
    shown = chromium.do(leak.page, *[step for i in slices for step in totals("#window=%d-%d" % (i, i + 1))])
    for i in slices:
        figures = dict(zip(METRICS, shown))
        del shown[:len(METRICS)]
        truth = sums(leak.json((i, i + 1)))
        assert figures == {name: truth[name] for name in METRICS}, i
        for name in METRICS:
            added[name] += figures[name]
    whole = sums(leak.json())
    assert added == {name: whole[name] for name in METRICS}


def test_window_of_lines(leak, chromium):
    """The table, the source and the sentence have the window's figures; what is of the whole is said to be."""
    slices = leak.data["time"]["slices"]
    window = (slices // 3, slices - 1)
    told = leak.json(window)
    truth, address = sums(told), "#window=%d-%d" % window
    sum_, heads, rest, net, change = chromium.do(
        leak.page, ("open", address + "&view=lines"), SUM,
        ("evaluate", "[...document.querySelectorAll('#lines th')].map(h => h.textContent)"),
        *[("evaluate", "Number(document.querySelector('[data-%s]').dataset.%s)" % (name, name)) for name in ("rest", "net", "change")])
    assert sum_ == net == truth["net"] and change == truth["change"] and rest == change - net
    assert "Peak RSS" in heads and "Grown" in heads and "Faults" in heads and "Kept (whole)" not in heads
    rows, = chromium.do(leak.page, ("open", address + "&view=lines"), ("evaluate", """
        [...document.querySelectorAll('#lines tbody tr')].map(row => [row.querySelector('b').textContent,
          Number(row.querySelector('.where').textContent.split(':').pop()),
          ...[...row.querySelectorAll('td[title]')].slice(0, 4).map(cell => cell.title)])"""))
    shown = {(name, line): [number(text) for text in cells] for name, line, *cells in rows}
    for line in told["processes"][0]["lines"]:
        cells = shown[line["function"], line["line"]]
        assert cells == [line[key] for key in ("increment_bytes", "total_bytes", "grown_bytes", "freed_bytes")], line
    heat, = chromium.do(leak.page, ("open", address + "&view=source"),
                        ("evaluate", "[...document.querySelectorAll('[data-heat=grew][title]:not([title=\"\"])')].map(c => c.title)"))
    assert sum(map(number, heat)) == sum(line["increment_bytes"] for line in told["processes"][0]["lines"]
                                         if line["file"].endswith("leak.py"))


def test_peaks_of_windows(leak, chromium):
    """Of a window, the page has the peaks that a report of it has: of lines and processes, known or not."""
    slices, known, unknown, exact, panes = leak.data["time"]["slices"], 0, 0, set(), set()
    with_intervals = leak.slices_with_intervals()
    windows = [(i, i + 1) for i in with_intervals[1:]]
    windows += [(0, slices // 2), (slices // 3, slices - 1), (slices // 2, slices)]
    said = chromium.do(leak.page, *[step for window in windows for step in (
        ("open", "#window=%d-%d&view=lines" % window), ("evaluate", IN_WINDOW),
        ("open", "#window=%d-%d" % window), FIRST_FRAME, ("evaluate", PANE))])
    for (first, last), rows, found, pane in zip(windows, said[::3], said[1::3], said[2::3]):
        process, = leak.json((first, last))["processes"]
        shown = {(function, line): peak for function, line, peak in rows}
        # The table begins with those that changed most.
        lines = [line for line in process["lines"] if line["file"].endswith("/leak.py")]
        for line in lines:
            peak = shown[line["function"], line["line"]]
            assert (None if peak == "?" else number(peak)) == line["peak_bytes"], (first, last, line)
            known, unknown = known + (peak != "?"), unknown + (peak == "?")
        exact.add(process["rss_peak_exact"])
        if not found:
            continue
        assert ("at least" in pane) != process["rss_peak_exact"], (first, last, pane)
        told = pane.split("peak ")[1].replace("at least ", "")
        assert told == "%.1f MiB" % (process["rss_peak_bytes"] / (1 << 20)), (first, last, pane)
        panes.add("at least" in pane)
    assert known and unknown and exact == panes == {True, False}


def test_window_by_pointer_and_fields(leak, chromium):
    """The same window by mouse and by its two fields; a click lets go of it."""
    slices = leak.data["time"]["slices"]
    drag = """(([from, to]) => { const plot = document.getElementById('plot'), box = document.getElementById('picture').getBoundingClientRect()
        const x = border => box.left + 74 + (box.width - 88) * border / %d, y = box.top + 100
        const send = (name, border) => plot.dispatchEvent(new PointerEvent(name, { clientX: x(border), clientY: y, pointerId: 1,
          pointerType: 'mouse', button: 0, bubbles: true }))
        plot.setPointerCapture = () => {}
        send('pointerdown', from); send('pointermove', (from + to) / 2); send('pointermove', to); send('pointerup', to) })""" % slices
    mouse, clicked = chromium.do(leak.page, ("evaluate", drag + "([1.2, 4.1])"), HASH, ("evaluate", drag + "([6, 6])"), HASH)[1::2]
    assert mouse == "#window=1-4" and clicked in ("", "#")
    _, touched, _, resized = chromium.do(leak.page, ("evaluate", (drag + "([4, 1])").replace("'mouse'", "'touch'")), HASH,
                                         ("evaluate", drag + "([4, 5])"), HASH)
    assert touched == "#window=1-4" and resized == "#window=1-5"
    fields, bad = chromium.do(
        leak.page, ("click", "#from"), ("press", "Control+a"), ("type", "%.3f" % leak.time_of(1)), ("press", "Tab"),
        ("press", "Control+a"), ("type", "%.3f" % leak.time_of(4)), ("press", "Enter"), HASH,
        ("press", "Control+a"), ("type", "0"), ("press", "Enter"), HASH)
    assert fields == bad == "#window=1-4"


def test_reload(leak, chromium):
    """The window is in the address."""
    before, after, first, to = chromium.do(
        leak.page, ("open", "#window=1-3"), ("evaluate", TOTAL), ("reload",), ("evaluate", TOTAL),
        ("evaluate", "document.getElementById('from').value"), ("evaluate", "document.getElementById('to').value"))
    assert before == after and before < sums(leak.json())["grown"]
    assert abs(float(first) - leak.time_of(1)) < 0.01 and abs(float(to) - leak.time_of(3)) < 0.01


@pytest.mark.attack("who opens a link to a report's page", "impossible windows behind the # of its address")
def test_hostile_windows(leak, chromium):
    windows = ["9-1", "1-999999", "-1-3", "a-b", "1-1", "", "1-3-5", "<img>", "0-0", "1e3-2"]
    shown = chromium.do(leak.page, *[step for window in windows for step in (
        ("open", "#window=%s&plot=%s&heap=%s&view=heap" % (window, window, window)),
        ("open", "#window=%s&plot=%s" % (window, window)), ("evaluate", TOTAL), ("evaluate", SAFE))])
    for window, total, safe in zip(windows, shown[::2], shown[1::2]):
        assert total == leak.data["figures"]["grown"]["total"] and not safe[0] and not safe[1], window


def test_without_time(leak, chromium, tmp_path):
    """A live run has no plot; a line says what has."""
    data = leak.data
    del data["time"], data["heap"]
    path = tmp_path / "live.html"
    path.write_text(with_data(leak.text, data), encoding="utf-8")
    plots, text, tabs = chromium.do(path, ("evaluate", "document.querySelectorAll('#plot').length"),
                                    ("evaluate", "document.getElementById('time').textContent"),
                                    ("evaluate", "[...document.querySelectorAll('#views button')].map(b => b.textContent)"))
    assert plots == 0 and "pymem-bpf record -o run.pymem" in text and tabs == ["Flame graph", "Lines", "Source"]


def test_events(leak, chromium, tmp_path):
    """Beginnings, ends, kills, and the limit of a control group, as texts."""
    data = leak.data
    time = data["time"]
    time["cgroups"] = [{"name": "api.service", "current": [0, 9], "limit": [0, (64 << 20) + 1]}]
    time["processes"][0]["cgroup"] = 0
    middle = (time["start"] + time["end"]) / 2
    time["marks"] = [{"time": middle - 10 ** 6, "event": "begin", "process": 0, "cgroup": None},
                     {"time": middle, "event": "oom", "process": None, "cgroup": 0}]
    path = tmp_path / "events.html"
    path.write_text(with_data(leak.text, data), encoding="utf-8")
    texts, list_, key = chromium.do(
        path, ("evaluate", "[...document.querySelectorAll('#picture text')].map(t => t.textContent)"),
        ("evaluate", "document.getElementById('events').textContent"), ("evaluate", "document.querySelector('.key').textContent"))
    assert any(text.startswith("out of memory") for text in texts) and any(text.endswith(" began") for text in texts)
    assert "limit of api.service: 64 MiB" in texts and "limit of api.service" in key
    assert "2 events" in list_ and "was killed" in list_


def gc_mark(data, part, count, **more):
    time = data["time"]
    at = int(time["start"] + part * (time["end"] - time["start"]))
    return {"time": at, "event": "gc", "process": 0, "cgroup": None, "count": count, "more": 0, **more}


TITLES = ("evaluate", "[...document.querySelectorAll('.sign title')].map(t => t.textContent)")
EVENTS = ("evaluate", "[document.querySelector('#events summary').textContent, ...[...document.querySelectorAll('#events li')]"
          ".map(row => row.textContent)]")


def test_signs(leak, chromium, tmp_path):
    """Collections and reclaims: a letter in a shape, how many, a legend, and each one in the list."""
    data = leak.data
    data["time"]["cgroups"] = [{"name": "api.service", "current": [0, 9], "limit": [0, (64 << 20) + 1]}]
    group = {"process": None, "cgroup": 0, "group": "api.slice", "groups": [0]}
    data["time"]["marks"] = [
        gc_mark(data, 0.1, 3, more=40), gc_mark(data, 0.1002, 1), gc_mark(data, 0.3, 1, event="reclaim", **{**group, "more": 2}),
        gc_mark(data, 0.8, 1), gc_mark(data, 0.9, 5, event="host-reclaim", process=None),
        gc_mark(data, 0, 0, event="unseen", text="full collections are not seen: for a reason")]
    path = tmp_path / "signs.html"
    path.write_text(with_data(leak.text, data), encoding="utf-8")
    titles, letters, many, key, events, inside = chromium.do(
        path, TITLES, ("evaluate", "[...document.querySelectorAll('.sign .letter')].map(t => t.textContent).join('')"),
        ("evaluate", "[...document.querySelectorAll('.sign .many')].map(t => t.textContent)"),
        ("evaluate", "document.querySelector('.key').textContent"), EVENTS,
        ("open", "#window=0-%d" % (data["time"]["slices"] // 2)), EVENTS)
    assert letters == "GGRR" and many == ["4", "3", "5"], (letters, many)
    assert "leak.py" in titles[0] and "4 full garbage collections (and 40 of younger generations)" in titles[0]
    assert titles[1].endswith(": 1 full garbage collection")
    assert "api.slice reached its limit once and was above memory.high 2 times" in titles[2]
    assert "processes had to reclaim memory of the host 5 times" in titles[3]
    assert "full garbage collections" in key and "memory was reclaimed" in key
    assert events[0] == "5 events; what is not seen: 1" and len(events) == 7 and events[-1].endswith("for a reason")
    assert inside[0] == "3 events in the window; what is not seen: 1" and len(inside) == 5


def test_many_signs(leak, chromium, tmp_path):
    """They never cover one another, and none is left out: what is on the same pixels is one, with the count."""
    data, marks = leak.data, 3000
    data["time"]["marks"] = [gc_mark(data, i / marks, 1 + i % 3) for i in range(marks)]
    path = tmp_path / "many.html"
    path.write_text(with_data(leak.text, data), encoding="utf-8")
    boxes, counts, events = chromium.do(
        path, ("evaluate", "[...document.querySelectorAll('#picture .sign')].map(s => s.getBoundingClientRect()).map(b => [b.left, b.right])"),
        ("evaluate", "[...document.querySelectorAll('#picture .sign')].map(s => Number(s.dataset.count))"), EVENTS)
    assert 10 < len(boxes) < 100 and sum(counts) == 2 * marks
    assert all(right <= left for (_, right), (left, _) in zip(boxes, boxes[1:])), boxes
    assert events[0] == "3000 events" and events[-1] == "and 2500 more"


def test_signs_of_a_process(leak, chromium, tmp_path):
    """With one process chosen: its own, those of its control group and of the host."""
    data = leak.data
    time = data["time"]
    data["processes"].append({**data["processes"][0], "name": "other"})
    time["cgroups"] = [{"name": name, "current": [], "limit": []} for name in ("a", "b")]
    time["processes"].append({**time["processes"][0], "process": 1, "cgroup": 1})
    time["processes"][0]["cgroup"] = 0
    time["marks"] = [gc_mark(data, 0.1, 1), gc_mark(data, 0.2, 2, process=1)] + [
        gc_mark(data, 0.3 + i / 10, 3, event="reclaim", process=None, cgroup=groups[0], group="g%d" % i, groups=groups)
        for i, groups in enumerate(([0], [1], [0, 1]))] + [gc_mark(data, 0.9, 4, event="host-reclaim", process=None)]
    path = tmp_path / "chosen.html"
    path.write_text(with_data(leak.text, data), encoding="utf-8")
    every, first, second = chromium.do(path, EVENTS, ("open", "#plot=0"), EVENTS, ("open", "#plot=1"), EVENTS)
    assert every[0] == "6 events" and first[0] == second[0] == "4 events"
    assert "1 full" in first[1] and "g0 " in first[2] and "g2 " in first[3] and "host 4 times" in first[4]
    assert "2 full" in second[1] and "g1 " in second[2] and "g2 " in second[3] and "host 4 times" in second[4]


# --- PSS ---

PSS_LINE = ("evaluate", "document.querySelector('#picture .pss')?.getAttribute('d') ?? ''")
PSS_WORDS = ("evaluate", "document.getElementById('when').textContent")
PSS_KEY = ("evaluate", "document.querySelector('.key').textContent")


def test_pss(leak, chromium):
    """A dotted line, named in the key, and told in words: of the page, and of a window."""
    line, style, said, key, of_window = chromium.do(
        leak.page, PSS_LINE, ("evaluate", "getComputedStyle(document.querySelector('#picture .pss')).strokeDasharray"),
        PSS_WORDS, PSS_KEY, ("open", "#window=3-5"), PSS_WORDS)
    assert line.count("M") == 1 and line.count("L") >= 3 and style not in ("", "none"), line
    assert "PSS: shared pages count once" in key
    told = r"PSS, in which shared pages count once, was ([\d.]+) MiB at \d\d:\d\d:\d\d"
    most = leak.json()["processes"][0]["rss_peak_bytes"] / (1 << 20)
    assert 0 < float(re.search(told, said)[1]) <= most and re.search(told, of_window), (said, of_window)


def test_pss_of_several(leak, chromium, tmp_path):
    """The sum is there where PSS of each process is known that is there; without PSS there is no line."""
    data = leak.data
    first = data["time"]["processes"][0]
    slices = data["time"]["slices"]
    for kind in ("anon", "file", "shmem", "swap", "peak", "most"):
        first[kind] = [0, 1001]
    # Known from slice 1 on, unknown in slice 3.
    first["pss"] = [1, 1 + (1 << 20), 2, -1 - (1 << 20), 1, 1 + (2 << 20)]
    second = copy.deepcopy(first)
    second["pss"] = [2, 1 + (1 << 20)]
    data["time"]["processes"].append(second)
    both, none = tmp_path / "both.html", tmp_path / "none.html"
    both.write_text(with_data(leak.text, data), encoding="utf-8")
    del first["pss"]
    none.write_text(with_data(leak.text, data), encoding="utf-8")
    sum_, words, one, absent, key = chromium.do(
        both, PSS_LINE, PSS_WORDS, ("open", "#plot=0"), PSS_LINE,
        ("file", str(none)), ("open", "#view=lines"), PSS_LINE, PSS_KEY)
    assert sum_.count("M") == 2 and one.count("M") == 2 and absent == "" and "PSS" not in key, (sum_, one, absent, key)
    assert sum_.count("L") == slices - 3 and one.count("L") == slices - 2
    assert "was 3.0 MiB" in words, words


# --- heap ---

def test_heap(leak, chromium):
    """The tab names what leaks, and how fast."""
    looks = leak.data["heap"]["looks"]
    assert len(looks) > 2
    verdict, row, when, sparks = chromium.do(
        leak.page, ("open", "#view=heap"), ("evaluate", "document.getElementById('verdict').textContent"),
        ("evaluate", "[...document.querySelectorAll('tr[data-row=\"__main__.SESSIONS\"] td')].map(c => c.title || c.textContent)"),
        ("evaluate", "document.getElementById('looks').textContent"),
        ("evaluate", "document.querySelectorAll('#heap tr[data-row=\"__main__.SESSIONS\"] .spark[role=img] path').length"))
    assert "__main__.SESSIONS" in verdict and sparks == 1 and "a minute" in when
    names = leak.data["heap"]["names"]

    def held(look):
        rows = look["holders"]
        return next(rows[i + 3] for i in range(0, len(rows), 4) if names[rows[i]] == "__main__.SESSIONS")
    number = lambda text: int(re.sub(r"\D", "", text))  # noqa: E731
    assert number(row[0]) == held(looks[-1]) and number(row[1]) == held(looks[-1]) - held(looks[0]) > 5 << 20


def test_heap_in_a_window(leak, chromium):
    """It is of the looks in the window."""
    data = leak.data
    time, looks = data["time"], data["heap"]["looks"]
    length = (time["end"] - time["start"]) / time["slices"]
    slice_ = int((looks[1]["time"] - time["start"]) / length)
    inside = [look for look in looks if time["start"] + slice_ * length <= look["time"] <= time["start"] + (slice_ + 1) * length]
    rows, = chromium.do(leak.page, ("open", "#view=heap&window=%d-%d" % (slice_, slice_ + 1)),
                        ("evaluate", "document.querySelectorAll('#heap details tbody tr').length"))
    assert rows == len(inside) < len(looks)


def test_redacted(leak, chromium, tmp_path):
    path = tmp_path / "redacted.html"
    report(leak.file, "--format", "html", "--redact", "-o", path)
    text = path.read_text(encoding="utf-8")
    assert os.path.dirname(leak.file) not in text
    assert all(look["verdict"] is None for look in data_of(text)["heap"]["looks"])
    verdict, = chromium.do(path, ("open", "#view=heap&window=1-90"), ("open", "#view=heap"),
                           ("evaluate", "document.getElementById('verdict').textContent"))
    assert "__main__.SESSIONS" in verdict and "live" in verdict


# --- hostile texts, and looks ---

@pytest.mark.attack("who opens a report's page", "markup and scripts in names of holders, types, control groups, processes")
def test_hostile_texts(leak, chromium, tmp_path):
    data = leak.data
    data["time"]["cgroups"] = [{"name": "x", "current": [], "limit": [0, 9]}]
    data["time"]["marks"].append({"time": data["time"]["start"], "event": "oom", "process": None, "cgroup": 0})
    data["time"]["marks"] += [{"time": data["time"]["start"], "event": event, "process": 0, "cgroup": 0, "count": 1, "more": 1,
                               "text": "x", "group": "x", "groups": [0]} for event in ("unseen", "reclaim", "gc")]
    steps, views = [], ("graph", "lines", "source", "heap")
    for i, attack in enumerate(ATTACKS):
        path = tmp_path / ("hostile%d.html" % i)
        attacked = everywhere(copy.deepcopy(data), attack)
        for mark, mild in zip(attacked["time"]["marks"], data["time"]["marks"]):
            mark["event"] = mild["event"]  # the page's own word
        path.write_text(with_data(leak.text, attacked), encoding="utf-8")
        steps += [("file", str(path))] + [step for view in views for step in
                                          (("open", "#view=%s&window=1-3" % view), ("evaluate", SAFE))]
    for i, (owned, elements, scripts, prototype, text) in enumerate(chromium.do(leak.page, *steps)):
        assert not owned and not elements and scripts == 1 and prototype is None and text, ATTACKS[i // len(views)]


@pytest.mark.parametrize("width", [360, 700, 1300])
def test_windows(leak, chromium, width):
    """Nothing makes the page wider than its window."""
    views = ("graph", "lines", "heap")
    wide = chromium.do(leak.page, ("size", width, 800), *[step for view in views for step in (
        ("open", "#window=1-3&view=" + view), ("evaluate", "document.documentElement.scrollWidth"))])
    assert all(pixels <= width for pixels in wide), dict(zip(views, wide))


def test_screen_reader(leak, chromium):
    tree, = chromium.do(leak.page, ("open", "#window=1-3"), ("tree", "body"))
    for part in ('group "Time plot.', 'img "RSS ', 'spinbutton "From second"', 'spinbutton "to second"', 'tab "Heap"',
                 'button "All of it (Esc)"', 'region "Time"'):
        assert part in tree, tree


def test_colours(leak, chromium):
    """Texts of the plot can be read by day and by night; paper has no controls."""
    ink = ("evaluate", "[...document.querySelectorAll('#picture text')].map(t => getComputedStyle(t).fill)")
    back = ("evaluate", "getComputedStyle(document.getElementById('plot')).backgroundColor")
    light, day, dark, night, tools = chromium.do(
        leak.page, ("scheme", "light"), back, ink, ("scheme", "dark"), back, ink, ("print",),
        ("evaluate", "getComputedStyle(document.querySelector('#time .tools')).display"))
    assert day and night and tools == "none"
    assert all(contrast(text, light) >= 4.5 for text in day) and all(contrast(text, dark) >= 4.5 for text in night)
