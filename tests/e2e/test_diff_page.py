# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The page of a diff (diff --format flamegraph, html) in Chromium and in Firefox: red and blue, what has vanished, and figures
that are those of the JSON, to the byte."""
import contextlib
import copy
import json
import os
import pty
import re
import subprocess

import pytest

import harness
from conftest import pythons
from firefox import Firefox, find
from test_diff import AFTER, BEFORE, diff, record, run
from test_pages import ATTACKS, DATA, FRAMES, SAFE, chromium, contrast, data_of, everywhere, with_data  # noqa: F401, pylint: disable=unused-import

FORMATS = ("flamegraph", "html")
METRICS = ("net", "grown", "freed", "copied", "faults")
TOTALS = "['a', 'b', 'total'].map(name => Number(document.querySelector('[data-total]').dataset[name]))"
# What has vanished is in A only.
GONE = BEFORE + "def gone():\n    KEPT.append(bytearray(12 << 20))\ngone()\n"
FOUND = ("[...document.querySelectorAll('[role=treeitem]')].filter(f => f.getAttribute('aria-label').startsWith('%s ·'))"
         ".map(f => [f.className, f.textContent, f.getAttribute('aria-label'), f.offsetWidth])")


class Diff:
    def __init__(self, folder, a, b):
        self.folder, self.a, self.b = folder, a, b
        for form in FORMATS:
            diff(a, b, "--format", form, "-o", self.path(form))

    def path(self, form):
        return str(self.folder / ("diff.%s.html" % form))

    def text(self, form):
        with open(self.path(form), encoding="utf-8", newline="") as f:
            return f.read()

    @property
    def json(self):
        return json.loads(diff(self.a, self.b, "--format", "json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("diffs")


@pytest.fixture(scope="module")
def shop(folder):
    python = pythons()[0]
    return Diff(folder, record(python, folder, "before.pymem", GONE, 10), record(python, folder, "after.pymem", AFTER, 50))


def truth_of(report):
    """{metric: [A, B, B - A]} of a diff in JSON. What is unattributed is a balance: grown if it is above zero."""
    found = {}
    for metric in METRICS:
        sums = []
        for side in "ab":
            parts = [*(p[side] for p in report["programs"]), report[side]["ended"]]
            lost = [bytes_ for part in parts for bytes_ in part["lost_bytes"].values()]
            lost.append(report[side]["ended"]["charged_bytes"])
            lines = [line[side] for p in report["programs"] for line in p["lines"]]
            sums.append({
                "net": sum(line["increment_bytes"] for line in lines) + sum(lost),
                "grown": sum(line["grown_bytes"] for line in lines) + sum(n for n in lost if n > 0),
                "freed": sum(line["freed_bytes"] for line in lines) - sum(n for n in lost if n < 0),
                "copied": sum(line["copied_bytes"] for line in lines),
                "faults": sum(line["faults"] for line in lines) + sum(p[side]["lost_faults"] for p in report["programs"]),
            }[metric])
        found[metric] = [*sums, sums[1] - sums[0]]
    assert found["net"] == [report["a"]["change_bytes"], report["b"]["change_bytes"], report["difference_bytes"]]
    return found


# --- figures ---

@pytest.mark.parametrize("form", FORMATS)
def test_totals(shop, chromium, form):
    """Of each metric and side, what the page says in all is what the JSON has; none is said not to add up."""
    truth = truth_of(shop.json)
    steps = [step for m in METRICS for step in (("open", "#metric=" + m), ("evaluate", TOTALS))]
    asides = ("evaluate", "document.getElementById('asides').textContent")
    *found, said = chromium.do(shop.path(form), *steps, asides)
    assert found == [truth[m] for m in METRICS] and "Defect" not in said


def test_tables(shop, chromium):
    """Lines, and programs, add up to what the JSON has."""
    report = shop.json
    lines, said, programs = chromium.do(
        shop.path("html"), ("open", "#view=lines"),
        ("evaluate", "Number(document.querySelector('[data-sum]').dataset.sum)"),
        ("evaluate", "[...document.querySelectorAll('#lines tbody tr')].map(row => row.textContent)"),
        ("open", "#view=programs"),
        ("evaluate", "[...document.querySelectorAll('.programs tbody tr')].map(row => [...row.querySelectorAll('[data-value]')]"
                     ".map(cell => Number(cell.dataset.value)))"))
    rows = [line for p in report["programs"] for line in p["lines"]]
    assert lines == sum(line["difference_bytes"] for line in rows)
    assert said[0].startswith("leak one/shop.py:7") and "In A: line 4." in said[0], said[0]
    assert any(text.startswith("fresh") and "Only in B." in text for text in said)
    assert any(text.startswith("gone") and "Only in A." in text for text in said)
    for side, column in (("a", 4), ("b", 5)):
        assert sum(row[column] for row in programs) == report[side]["change_bytes"]
    assert [row[:3] for row in programs] == [[p["b"]["growth_bytes"] - p["a"]["growth_bytes"], p["a"]["growth_bytes"],
                                              p["b"]["growth_bytes"]] for p in report["programs"]]


def test_answer(shop, chromium):
    """The page begins with the sentence of the table, and says what A and B are."""
    report = shop.json
    said, = chromium.do(shop.path("flamegraph"), ("evaluate", "document.getElementById('answer').innerText"))
    assert said.replace("\xa0", " ").startswith(report["answer"])
    for name in (shop.a, shop.b):
        assert name in said


# --- what a reader sees ---

def test_red_and_blue(shop, chromium):
    """More is red with a plus, less is blue with a minus and stripes; the name that is read aloud has both figures."""
    (more,), (new,), (less,), stripes = chromium.do(
        shop.path("flamegraph"), ("evaluate", FOUND % "leak"), ("evaluate", FOUND % "fresh"), ("evaluate", FOUND % "gone"),
        ("evaluate", "[...document.querySelectorAll('[role=treeitem]')].map(f => "
                     "[/less/.test(f.className), getComputedStyle(f).backgroundImage.startsWith('repeating')])"))
    assert re.search(r"\bmore[45]\b", more[0]) and more[1].startswith("+40.0 MiB leak"), more
    assert re.search(r" · \+40\.0 MiB · A 10\.0 MiB, B 50\.0 MiB · ", more[2])
    assert re.search(r"\bmore\d\b", new[0]) and " · A 0.0 MiB, B 5.0 MiB · " in new[2] and new[1][:1] in ("", "+")
    assert re.search(r"\bless\d\b", less[0]) and " · −12.0 MiB · A 12.0 MiB, B 0.0 MiB · " in less[2] and less[1][:1] == "−"
    assert {tuple(pair) for pair in stripes} <= {(True, True), (False, False)}


def test_width(shop, chromium):
    """What has vanished is wide in A, what is new in B; at first both are there."""
    steps = [step for width in ("after", "before", "difference", "larger") for step in (
        ("open", "#width=" + width), ("evaluate", "[%s, %s].map(list => list.length)" % (FOUND % "gone", FOUND % "fresh")))]
    after, before, difference, larger, first, totals = chromium.do(
        shop.path("flamegraph"), *steps, ("open", ""), ("evaluate", "document.querySelector('[name=width]:checked').value"),
        ("evaluate", TOTALS))
    assert (after, before, difference, larger) == ([0, 1], [1, 0], [1, 1], [1, 1])
    assert first == "larger" and totals == truth_of(shop.json)["net"]
    address, shown = chromium.do(
        shop.path("flamegraph"), ("click", "#widths label:has([value=before])"), ("evaluate", "location.hash"),
        ("evaluate", "document.getElementById('meaning').textContent"))
    assert address == "#width=before" and "what is new is not there" in shown


def test_details(shop, chromium):
    """The pane has both sides' figures, where the line is in A, and the text of B; of what has vanished, that of A."""
    focus = ("[...document.querySelectorAll('[role=treeitem]')].find("
             "f => f.getAttribute('aria-label').startsWith('%s ·')).focus()")
    look = ("evaluate", "[document.getElementById('details').innerText, "
                        "[...document.querySelectorAll('#details [data-metric=net] td')].map(cell => Number(cell.dataset.value))]")
    _, (text, figures), _, (gone, _) = chromium.do(
        shop.path("html"), ("evaluate", focus % "leak"), look, ("evaluate", focus % "gone"), look)
    lines = [line for p in shop.json["programs"] for line in p["lines"]]
    line = next(line for line in lines if line["text"] == "KEPT.append(bytearray(mib << 20))")
    wanted = [line["a"]["increment_bytes"], line["b"]["increment_bytes"], line["difference_bytes"]]
    assert figures == wanted * 2, (figures, wanted)
    assert "In A: line 4." in text and "▶ 7" in text and "KEPT.append(bytearray(mib << 20))" in text
    assert "Only in A." in gone and "KEPT.append(bytearray(12 << 20))" in gone


@pytest.mark.parametrize("group", ["process", "merged"])
def test_innermost(shop, chromium, group):
    """Read from the innermost frames, a line has the same difference."""
    (found, *_), = chromium.do(shop.path("flamegraph"), ("open", "#direction=inner&group=" + group), ("evaluate", FOUND % "leak"))
    assert found[1].startswith("+40.0 MiB leak") and " · A 10.0 MiB, B 50.0 MiB · " in found[2]


def test_zoom_search_and_keys(shop, chromium):
    focus = ("evaluate", "document.activeElement.getAttribute('aria-label')")
    _, all_, program, zoomed, shown, left, share, hits = chromium.do(
        shop.path("flamegraph"), ("evaluate", "document.querySelector('[role=treeitem][tabindex=\"0\"]').focus()"), focus,
        ("press", "ArrowDown"), focus, ("press", "Enter"), ("evaluate", "location.hash"),
        ("evaluate", "document.getElementById('total').textContent"), ("press", "Escape"), ("evaluate", "location.hash"),
        ("press", "/"), ("type", "leak"), ("evaluate", "document.getElementById('share').textContent"),
        ("evaluate", "document.querySelectorAll('#flame .hit').length"))
    assert all_.startswith("all · ") and program.startswith("shop.py · ")
    assert zoomed.startswith("#zoom=") and "shown: " in shown and left in ("", "#")
    assert "(+40.0 MiB) in stacks with it" in share and hits


def test_screen_reader(shop, chromium):
    tree, = chromium.do(shop.path("html"), ("tree", "body"))
    for part in ('tree "Frames', 'treeitem "all · ', 'radio "Net" [checked]', 'radio "larger" [checked]', 'group "Width"',
                 'tab "Programs"', 'complementary "Selected frame"', 'region "Answer"'):
        assert part in tree, tree


def test_dark(shop, chromium):
    """Each frame's text has enough contrast in both schemes."""
    colours = ("evaluate", "[...document.querySelectorAll('#flame .f:not(.rest)')].map(e => { const s = getComputedStyle(e); "
                           "return [s.color, s.backgroundColor, e.className] })")
    for pairs in chromium.do(shop.path("flamegraph"), ("scheme", "light"), colours, ("scheme", "dark"), colours):
        assert any("more" in name for _, _, name in pairs) and any("less" in name for _, _, name in pairs)
        for ink, back, name in pairs:
            assert contrast(ink, back) >= 4.5, (ink, back, name)


def test_windows_and_paper(shop, chromium):
    cases = [(width, view) for width in (360, 700, 1300) for view in ("graph", "lines", "programs")]
    steps = [step for width, view in cases for step in (("size", width, 800), ("open", "#view=" + view),
                                                        ("evaluate", "document.documentElement.scrollWidth"))]
    *wide, tools, frames = chromium.do(
        shop.path("html"), *steps, ("open", ""), ("print",),
        ("evaluate", "getComputedStyle(document.getElementById('tools')).display"),
        ("evaluate", "document.querySelectorAll('[role=treeitem]').length"))
    for (width, view), found in zip(cases, wide):
        assert found <= width, view
    assert tools == "none" and frames > 3


def test_rates(shop, chromium, folder):
    """By rates, all amounts are per unit of time, and say so."""
    path = str(folder / "rates.html")
    diff(shop.a, shop.b, "--compare", "rates", "--format", "html", "-o", path)
    data = data_of(open(path, encoding="utf-8", newline="").read())
    text, totals, frame = chromium.do(path, ("evaluate", "document.getElementById('total').textContent"), ("evaluate", TOTALS),
                                      ("evaluate", "document.querySelector('[role=treeitem]').getAttribute('aria-label')"))
    for i, side in enumerate("ab"):
        rate = data[side]["change_bytes"] / data[side]["seconds"] * data["rate_seconds"]
        assert abs(totals[i] - rate) < 2, side
    assert "/%s" % data["rate_unit"] in text and "/%s" % data["rate_unit"] in frame


# --- hostile diffs ---

@pytest.mark.attack("who opens a diff's page", "markup, scripts and marks of direction in each text of the diff")
def test_hostile_texts(shop, chromium, tmp_path):
    """Whatever the texts are, they are texts."""
    with open(os.path.join(harness.PROJECT, "tests", "golden", "diff.html"), encoding="utf-8") as f:
        data, steps = json.load(f), []
    for i, attack in enumerate(ATTACKS):
        path = tmp_path / ("hostile%d.html" % i)
        path.write_text(with_data(shop.text("html"), everywhere(copy.deepcopy(data), attack)), encoding="utf-8")
        steps += [("file", str(path))] + [step for view in ("graph", "lines", "programs", "heap") for step in
                                          (("open", "#view=%s&search=%s" % (view, "x<img>")), ("evaluate", SAFE))]
    for i, (owned, elements, scripts, prototype, text) in enumerate(chromium.do(shop.path("html"), *steps)):
        assert not owned and not elements and scripts == 1 and prototype is None and text, ATTACKS[i // 4]


@pytest.mark.parametrize("name", ["diff.flamegraph", "diff.html", "diff-hostile.html", "diff-rates.html", "diff-redacted.html"])
def test_stored_data(shop, chromium, tmp_path, name):
    """The diffs of the unit tests, of which one has an attack in each of its texts."""
    path = tmp_path / "stored.html"
    with open(os.path.join(harness.PROJECT, "tests", "golden", name), encoding="utf-8") as f:
        path.write_text(with_data(shop.text("html"), f.read()), encoding="utf-8")
    data = data_of(path.read_text(encoding="utf-8"))
    views = ["graph"] + ["lines", "programs", "heap"] * (data["format"] == "html")
    steps = [step for view in views for step in (("open", "#view=" + view), ("evaluate", SAFE),
                                                 ("evaluate", "document.body.innerText"))]
    found = chromium.do(path, ("evaluate", TOTALS), *steps)
    if not data["rate_unit"]:
        a, b = (data[side]["change_bytes"] for side in "ab")
        assert found[0] == [a, b, b - a]
    for safe, text in zip(found[1::2], found[2::2]):
        assert not safe[0] and not safe[1] and "Defect" not in text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    if name == "diff.html":
        row = r"\+41\.2\sMiB\s+0\.5\sMiB\s+41\.7\sMiB\s+__main__\.AUDIT, list, 1,300\s→\s139,000\sentries"
        assert re.search(row, found[-1]), found[-1]


@pytest.mark.attack("who opens a link to a diff's page", "markup and impossible values behind the # of its address")
@pytest.mark.parametrize("hash_", ["#view=<img>&metric=toString&group=where&width=constructor", "#width=__proto__&zoom=a.b.99.-1",
                                   "#view=source&file=-1"])
def test_hostile_addresses(shop, chromium, hash_):
    (owned, elements, *_), shown = chromium.do(shop.path("html"), ("open", hash_), ("evaluate", SAFE),
                                              ("evaluate", "document.documentElement.dataset.ready"))
    assert not owned and not elements and shown


def test_defects_are_said(shop, chromium, tmp_path):
    data = data_of(shop.text("flamegraph"))
    data["figures"]["grown"]["b"]["amount"][0] += 1
    path = tmp_path / "wrong.html"
    path.write_text(with_data(shop.text("flamegraph"), data), encoding="utf-8")
    text, = chromium.do(path, ("evaluate", "document.getElementById('asides').textContent"))
    assert "Defect: Grown does not add up" in text


# --- Firefox ---

@pytest.fixture(scope="module")
def firefox():
    if not find():
        pytest.skip("there is no Firefox: tools/install-deps test")
    with Firefox(harness.PATIENCE) as browser:
        yield browser


@pytest.mark.parametrize("form", FORMATS)
def test_firefox(shop, firefox, form):
    """The same totals, colours, widths and zoom in another browser."""
    truth, url = truth_of(shop.json), "file://" + shop.path(form)
    for metric in METRICS:
        firefox.open(url + "#metric=" + metric)
        firefox.wait_for("document.documentElement.dataset.ready")
        assert firefox.evaluate(TOTALS) == truth[metric], metric
    firefox.open(url)
    firefox.wait_for("document.documentElement.dataset.ready")
    (more,), (less,) = firefox.evaluate(FOUND % "leak"), firefox.evaluate(FOUND % "gone")
    assert "more" in more[0] and more[1].startswith("+40.0 MiB leak") and "less" in less[0]
    firefox.evaluate("document.querySelectorAll('[role=treeitem]')[1].click()")
    assert firefox.wait_for("location.hash").startswith("#zoom=")
    firefox.open(url + "#width=after")
    firefox.wait_for("document.documentElement.dataset.ready")
    assert firefox.evaluate(FOUND % "gone") == [] and len(firefox.evaluate(FRAMES)) > 3


# --- the command ---

@pytest.mark.parametrize("form", ["table", "json", *FORMATS])
def test_redact(shop, folder, form):
    """Neither source text, nor arguments, nor folders of the program, nor where the recordings lie."""
    path = str(folder / "redacted.html")
    diff(shop.a, shop.b, "--redact", "--format", form, "-o", path)
    with open(path, encoding="utf-8", newline="") as f:
        text = f.read()
    if form in FORMATS:
        text = DATA.search(text)[2]
        assert "shop.py" in json.dumps(json.loads(text)["texts"])
    assert "before.pymem" in text and "shop.py" in text
    for secret in (str(folder), "/usr/", "bytearray(", "KEPT"):
        assert secret not in text, secret


@pytest.mark.parametrize("form", FORMATS)
def test_limit(shop, folder, form):
    """--fail-above counts whatever the format, and the page says so."""
    path = str(folder / "limit.html")
    diff(shop.a, shop.b, "--fail-above", 10, "--format", form, "-o", path, status=4)
    with open(path, encoding="utf-8", newline="") as f:
        assert "above the limit of 10.0" in data_of(f.read())["answer"].replace("\xa0", " ")
    diff(shop.a, shop.b, "--fail-above", 60, "--format", form, "-o", path)


@pytest.mark.parametrize("form", FORMATS)
def test_not_for_a_terminal(shop, form):
    refused = run("diff", shop.a, shop.b, "--format", form, "--pager")
    assert refused.returncode == 2 and b"leave out --pager" in refused.stderr
    ours, theirs = pty.openpty()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ours)
        for more in ([], ["-o", os.ttyname(theirs)]):
            done = subprocess.run([harness.TOOL, "diff", shop.a, shop.b, "--format", form, *more], stdout=theirs,
                                  stderr=subprocess.PIPE, timeout=harness.PATIENCE)
            assert done.returncode == 2 and b"not for a terminal" in done.stderr
        os.close(theirs)
