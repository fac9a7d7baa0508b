# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Web pages (--format flamegraph, --format html), opened from disk by real browsers: they load nothing, complain of
nothing, and say what the JSON of the same process says, to the byte."""
import contextlib
import copy
import json
import os
import pty
import re
import subprocess

import pytest

import browsers
import harness
from firefox import Firefox, find
from harness import Target, Tool
from test_formats import ORPHAN, said, truth_of

FORMATS = ("flamegraph", "html")
# Which Python it is makes no difference to a page.
PYTHON = ["/usr/bin/python3"]
METRICS = ("grown", "freed", "net", "copied", "faults")
DATA = re.compile(r'(<script type="application/json" id="data">)(.*?)(</script>)', re.S)
TOTAL = "Number(document.querySelector('[data-total]').dataset.total)"
FRAMES = "[...document.querySelectorAll('[role=treeitem]')].map(f => [f.getAttribute('aria-level'), f.getAttribute('aria-label')])"


def data_of(text):
    return json.loads(DATA.search(text)[2])


def with_data(text, data):
    """The page with other data in it."""
    escaped = data if isinstance(data, str) else json.dumps(data)
    for c in "<>&":
        escaped = escaped.replace(c, "\\u%04x" % ord(c))
    return DATA.sub(lambda match: match[1] + escaped + match[3], text)


class Chromium:
    @staticmethod
    def do(path, *steps):
        return browsers.open_page(path, *steps, patience=harness.PATIENCE)


@pytest.fixture(scope="module")
def chromium():
    try:
        browsers.chromium()
        browsers.viewers(harness.PATIENCE)
    except browsers.Missing as why:
        pytest.skip(str(why))
    return Chromium()


class Pages:
    def __init__(self, folder):
        self.folder = folder

    def path(self, form):
        """Browsers take a file for a page by its name."""
        return os.path.join(self.folder, "report.%s%s" % (form, ".html" if form in FORMATS else ""))

    def text(self, form):
        with open(self.path(form), encoding="utf-8", newline="") as f:
            return f.read()

    @property
    def json(self):
        return json.loads(self.text("json"))


def pages_of(command, program, folder, *options):
    """Watches one process with a profiler for each format."""
    pages = Pages(str(folder))
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(Target(command, program))
        tools = [stack.enter_context(Tool("-p", target.pid, "-o", pages.path(form), "--format", form, *options,
                                          output=False)) for form in ("json", "table", *FORMATS)]
        for tool in tools:
            tool.attached()
        target.go()
        harness.rss_at_rest(target.pid)
        for tool in tools:
            assert tool.stop() == 0, tool.stderr
    return pages


@pytest.fixture(scope="module")
def seed(tmp_path_factory):
    return pages_of(PYTHON, "seed", tmp_path_factory.mktemp("pages"))


# --- figures ---

@pytest.mark.parametrize("form", FORMATS)
def test_totals(seed, chromium, form):
    """Of each metric, what the page says in all is what the JSON has."""
    truth = truth_of(seed.json)
    steps = [step for m in METRICS for step in (("open", "#metric=" + m), ("evaluate", TOTAL))]
    assert chromium.do(seed.path(form), *steps) == [truth[m] for m in METRICS]


def test_what_is_not_measured(seed, chromium):
    """It is not offered as a choice, and no address leads to it."""
    off, shown = chromium.do(seed.path("flamegraph"), ("evaluate", "document.querySelector('[value=resident]').disabled"),
                             ("open", "#metric=resident"), ("evaluate", "document.querySelector('[name=metric]:checked').value"))
    assert off is True and shown == "grown"


def test_no_faults(tmp_path):
    """Without page faults two metrics are unknown, and not 0."""
    path = tmp_path / "r.html"
    done = said("-q", "--no-faults", "--format", "flamegraph", "-o", path, "--", *PYTHON, "-c", "kept = bytearray(9 << 20)")
    assert done.returncode == 0, done.stderr
    figures = data_of(path.read_text())["figures"]
    known = {name: metric["known"] for name, metric in figures.items()}
    if figures["faults"]["known"]:
        pytest.skip("this kernel's counters need page faults")
    assert known == {"grown": True, "freed": True, "net": True, "copied": False, "faults": False, "resident": False,
                     **dict.fromkeys(("stalled", "cached", "kernel", "huge", "swapped", "swap-wait"), False)}


def test_answer_first(seed, chromium):
    """It begins with the words of the table."""
    first, = chromium.do(seed.path("flamegraph"), ("evaluate", "document.querySelector('#answer .sentence').textContent"))
    assert re.search(r"seed\.py:\d+ .* (grew it by|freed) [\d.]+ MiB", first) or re.search(r"\d+ % of it by ", first), first
    assert first.split(".")[0] in said_by_the_table(seed)


def said_by_the_table(pages):
    with open(pages.path("table"), encoding="utf-8") as f:
        return re.sub(r"\s+", " ", f.read())


def test_lines(seed, chromium):
    """The table of lines has the figures of the page's own data; what no line has is said beside its sum."""
    truth = truth_of(seed.json)
    lost = sum(seed.json["processes"][0]["lost_bytes"].values())
    sum_, rows, sort = chromium.do(
        seed.path("html"), ("open", "#view=lines"),
        ("evaluate", "Number(document.querySelector('[data-sum]').dataset.sum)"),
        ("evaluate", "document.querySelectorAll('#lines tbody tr').length"),
        ("evaluate", "document.querySelector('#lines [aria-sort]').getAttribute('aria-sort')"))
    assert sum_ == truth["net"] - lost and rows and sort == "descending"
    before, after, found = chromium.do(
        seed.path("html"), ("open", "#view=lines"), ("click", "#lines th:nth-child(3) button"),
        ("evaluate", "document.querySelector('#lines tbody td:nth-child(3)').title"),
        ("click", "#lines th:nth-child(3) button"),
        ("evaluate", "document.querySelector('#lines tbody td:nth-child(3)').title"),
        ("click", "#filter"), ("type", "sum_of_lists"),
        ("evaluate", "[...document.querySelectorAll('#lines tbody td.left')].map(c => c.textContent)"))
    number = lambda text: int(re.sub(r"\D", "", text))  # noqa: E731
    assert number(before) > number(after)
    assert found and all("sum_of_lists" in text for text in found), found


def test_source(seed, chromium):
    """The text of a file, with what its lines changed."""
    line = harness.labels(harness.program_path("seed"))["list"]
    text, heat = chromium.do(
        seed.path("html"), ("open", "#view=source"),
        ("evaluate", "document.querySelector('#line-%d code').textContent" % line),
        ("evaluate", "document.querySelector('#line-%d [data-heat=grew]').textContent" % line))
    with open(harness.program_path("seed")) as f:
        assert text == f.read().splitlines()[line - 1].rstrip()
    assert "MiB" in heat or "KiB" in heat


# --- what a reader does ---

def test_metric_and_direction(seed, chromium):
    first, copied, address, inner = chromium.do(
        seed.path("flamegraph"), ("evaluate", FRAMES), ("click", "#metrics label:has([value=freed])"), ("evaluate", TOTAL),
        ("evaluate", "location.hash"), ("open", ""), ("click", "#directions label:has([value=inner])"), ("evaluate", FRAMES))
    assert copied == truth_of(seed.json)["freed"] and address == "#metric=freed"
    assert first[0][0] == inner[0][0] == "1" and first[0][1] == inner[0][1]
    # Outermost first, the module is just below the process; innermost first, the line that grew most.
    assert any(level == "3" and label.startswith("<module>") for level, label in first)
    assert next(label for level, label in inner if level == "3").startswith("sum_of_lists")


def test_search(seed, chromium):
    """The share is that of all stacks in which the name occurs."""
    data = data_of(seed.text("flamegraph"))
    share, hits, address = chromium.do(
        seed.path("flamegraph"), ("press", "/"), ("type", "sum_of_lists"),
        ("evaluate", "document.getElementById('share').textContent"),
        ("evaluate", "document.querySelectorAll('#flame .hit').length"), ("evaluate", "location.hash"))
    assert hits and address == "#search=sum_of_lists"
    assert share.startswith("%.1f %%" % (100 * share_of(data, "grown", "sum_of_lists"))), share
    nothing, = chromium.do(seed.path("flamegraph"), ("open", "#search=no such thing"),
                           ("evaluate", "document.getElementById('share').textContent"))
    assert nothing == "found nowhere"


def share_of(data, metric, name):
    """The same, computed from the data in a plain way."""
    names, path, inside, frames = data["texts"], [], [], 0
    for step in data["tree"]:
        if step < 0:
            del path[step:]
            continue
        kind, _, _, function = data["places"][4 * step:4 * step + 4]
        path.append((path and path[-1]) or (kind < 3 and name in names[function]))
        inside.append(path[-1])
        frames += 1
    figures, at, found, whole = data["figures"][metric], 0, 0, 0
    for step, amount in zip(figures["at"], figures["amount"]):
        at += step
        whole += amount
        found += amount if inside[at] else 0
    return found / whole


def test_zoom(seed, chromium):
    """It is in the address: a reload shows it again, and "back" leaves it."""
    wanted = "[...document.querySelectorAll('[role=treeitem]')].find(f => f.getAttribute('aria-label').startsWith('sum_of_lists'))"
    look = ("evaluate", "[location.hash, document.querySelectorAll('.above').length, document.querySelectorAll("
            "'[role=treeitem]').length, document.getElementById('total').textContent]")
    _, shown, reloaded, back = chromium.do(seed.path("flamegraph"), ("evaluate", wanted + ".click()"), look, ("reload",), look,
                                           ("back",), look)
    assert shown[0].startswith("#zoom=") and shown[1] == 3 and "shown:" in shown[3]
    assert reloaded == shown and back[0] == "" and back[1] == 0 and "shown:" not in back[3]
    reset, = chromium.do(seed.path("flamegraph"), ("open", shown[0]), ("click", "#reset"), look)
    assert reset[1:] == back[1:]


def test_keyboard(seed, chromium):
    """All frames can be reached with keys, and the pane tells of the one that has the focus."""
    focus = ("evaluate", "document.activeElement.getAttribute('aria-label')")
    heading = ("evaluate", "document.querySelector('#details h2').textContent")
    steps = [("evaluate", "document.querySelector('[role=treeitem][tabindex=\"0\"]').focus()"), focus,
             ("press", "ArrowDown"), focus, ("press", "ArrowDown"), focus, heading, ("press", "Enter"),
             ("evaluate", "location.hash"), focus, ("press", "ArrowUp"), focus, ("press", "Escape"),
             ("evaluate", "location.hash")]
    _, all_, process, module, title, zoomed, same, up, left = chromium.do(seed.path("flamegraph"), *steps)
    assert all_.startswith("all") and process.startswith("seed.py (") and module.startswith(title)
    assert zoomed.startswith("#zoom=") and same == module and up == process and left in ("", "#")
    assert chromium.do(seed.path("flamegraph"), ("press", "Tab"), ("press", "ArrowRight"), ("evaluate", TOTAL)) == [
        truth_of(seed.json)["net"]]


def test_screen_reader(seed, chromium):
    """Names, roles and states of the parts, as the browser tells them."""
    tree, = chromium.do(seed.path("html"), ("tree", "body"))
    for part in ('tree "Frames', 'treeitem "all', 'radio "Grown" [checked]', 'searchbox "Search"', 'tab "Lines"',
                 'combobox "Split by"', 'complementary "Selected frame"', 'region "Answer"'):
        assert part in tree, tree


def test_dark(seed, chromium):
    """Both have enough contrast between text and what is behind it."""
    colours = ("evaluate", "[...document.querySelectorAll('#flame .f:not(.rest), body, #details')].map(e => { const s = "
               "getComputedStyle(e); return [s.color, s.backgroundColor] })")
    paper = ("evaluate", "getComputedStyle(document.documentElement).backgroundColor")
    light, bright, dark, night = chromium.do(seed.path("flamegraph"), ("scheme", "light"), paper, colours,
                                                   ("scheme", "dark"), paper, colours)
    assert luminance(light) > 0.8 and luminance(dark) < 0.05
    for page, pairs in ((light, bright), (dark, night)):
        for ink, back in pairs:
            assert contrast(ink, page if back == "rgba(0, 0, 0, 0)" else back) >= 4.5, (ink, back)


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_windows(seed, chromium):
    """Nothing makes the page wider than its window, on no view."""
    cases = [(width, view) for width in (360, 700, 1300) for view in ("graph", "lines", "source")]
    steps = [step for width, view in cases for step in (("size", width, 800), ("open", "#view=" + view),
                                                        ("evaluate", "document.documentElement.scrollWidth"))]
    for (width, view), wide in zip(cases, chromium.do(seed.path("html"), *steps)):
        assert wide <= width, view


def test_print(seed, chromium):
    tools, frames = chromium.do(seed.path("flamegraph"), ("print",),
                                ("evaluate", "getComputedStyle(document.getElementById('tools')).display"),
                                ("evaluate", "document.querySelectorAll('[role=treeitem]').length"))
    assert tools == "none" and frames > 3


# --- hostile reports ---

ATTACKS = ["<img src=x onerror=\"document.title='owned'\"><svg onload=alert(1)>", "</script><script>document.title='owned'</script>",
           "<!--<script>", "\u202eevil\u2066\u061c", "\x00\x1b]0;owned\x07\x7f\x9b1m", "'\"`${document.title='owned'}&lt;",
           "javascript:document.title='owned'", "__proto__", "constructor", "\u2028\u2029", "x" * 5000, "", "//evil.example/x"]


def everywhere(value, attack):
    """The data with the attack in place of each text that is not the page's own word."""
    if isinstance(value, dict):
        return {key: item if key in ("schema", "format", "metric") else everywhere(item, attack)
                for key, item in value.items()}
    if isinstance(value, list):
        return [everywhere(item, attack) for item in value]
    return attack if isinstance(value, str) else value


SAFE = """[document.title === 'owned', document.querySelectorAll('img, svg, iframe, object, embed, a[href^=java]').length,
    document.scripts.length, Object.prototype.owned, document.body.textContent.length > 0]"""


@pytest.mark.attack("who opens a report's page", "markup, scripts and marks of direction in each text of the report")
def test_hostile_texts(seed, chromium, tmp_path):
    """Whatever the texts are, they are texts."""
    data, steps = data_of(seed.text("html")), []
    for i, attack in enumerate(ATTACKS):
        path = tmp_path / ("hostile%d.html" % i)
        path.write_text(with_data(seed.text("html"), everywhere(copy.deepcopy(data), attack)), encoding="utf-8")
        steps += [("file", str(path))] + [step for view in ("graph", "lines", "source") for step in
                                          (("open", "#view=%s&search=%s" % (view, "x<img>")), ("evaluate", SAFE))]
    for i, (owned, elements, scripts, prototype, text) in enumerate(chromium.do(seed.path("html"), *steps)):
        assert not owned and not elements and scripts == 1 and prototype is None and text, ATTACKS[i // 3]


@pytest.mark.parametrize("name", ["hostile.flamegraph", "hostile.html", "profile.html", "touched.flamegraph"])
def test_stored_data(seed, chromium, tmp_path, name):
    """The reports of the unit tests, of which one has an attack in each of its texts."""
    path = tmp_path / "stored.html"
    with open(os.path.join(harness.PROJECT, "tests", "golden", name), encoding="utf-8") as f:
        path.write_text(with_data(seed.text("html"), f.read()), encoding="utf-8")
    total, safe, text = chromium.do(path, ("open", "#metric=net"), ("evaluate", TOTAL), ("evaluate", SAFE),
                                    ("evaluate", "document.body.innerText"))
    data = data_of(path.read_text(encoding="utf-8"))
    assert total == data["figures"]["net"]["total"] and not safe[0] and not safe[1]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "Defect" not in text


@pytest.mark.attack("who opens a link to a report's page", "markup and impossible values behind the # of its address")
@pytest.mark.parametrize("hash_", ["#view=<img>&metric=toString&group=__proto__&direction=x", "#zoom=a.b.99999999.-1",
                                   "#search=%00%ff<script>", "#zoom=" + "0." * 3000 + "0", "#view=source&file=-1&line=<b>",
                                   "#__proto__=x&constructor=y"])
def test_hostile_addresses(seed, chromium, hash_):
    owned, elements, *_ = chromium.do(seed.path("html"), ("open", hash_), ("evaluate", SAFE))[0]
    assert not owned and not elements


def test_policy(seed):
    """The page forbids itself all but the one style and the one program that are in it."""
    text = seed.text("flamegraph")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == parts["base-uri"] == parts["form-action"] == "'none'"
    assert all(re.fullmatch(r"'sha256-[\w+/=]+'", parts[name]) for name in ("script-src", "style-src"))
    assert set(parts) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!#)", text.replace(DATA.search(text)[2], ""))


def test_defects_are_said(seed, chromium, tmp_path):
    """Data that do not add up are not shown as if they did."""
    data = data_of(seed.text("flamegraph"))
    data["figures"]["grown"]["amount"][0] += 1
    path = tmp_path / "wrong.html"
    path.write_text(with_data(seed.text("flamegraph"), data), encoding="utf-8")
    text, = chromium.do(path, ("evaluate", "document.getElementById('asides').textContent"))
    assert "Defect: Grown does not add up" in text


def test_notes(chromium, tmp_path):
    """What is missing is said above the flame graph, not on stderr."""
    path = str(tmp_path / "r.html")
    with Tool("--no-children", "--format", "flamegraph", "-o", path, "-d", "3", "--", "/usr/bin/python3", "-c", ORPHAN,
              output=False) as tool:
        assert tool.wait() is not None and b"Note: " not in tool.stderr
    text, = chromium.do(path, ("evaluate", "document.getElementById('asides').innerText"))
    assert "Note:" in text


# --- Firefox ---

@pytest.fixture(scope="module")
def firefox():
    if not find():
        pytest.skip("there is no Firefox: tools/install-deps test")
    with Firefox(harness.PATIENCE) as browser:
        yield browser


@pytest.mark.parametrize("form", FORMATS)
def test_firefox(seed, firefox, form):
    """The same totals, zoom, keys and search in another browser."""
    truth, url = truth_of(seed.json), "file://" + seed.path(form)
    for metric in METRICS:
        firefox.open(url + "#metric=" + metric)
        firefox.wait_for("document.documentElement.dataset.ready")
        assert firefox.evaluate(TOTAL) == truth[metric], metric
    firefox.open(url)
    firefox.wait_for("document.documentElement.dataset.ready")
    all_ = firefox.evaluate(FRAMES)
    firefox.evaluate("document.querySelectorAll('[role=treeitem]')[2].click()")
    address = firefox.wait_for("location.hash")
    assert address.startswith("#zoom=")
    firefox.open(url + address)
    firefox.wait_for("document.documentElement.dataset.ready")
    assert firefox.evaluate("document.querySelectorAll('.above').length") == 2
    firefox.press("/")
    for letter in "seed":
        firefox.press(letter)
    assert "in stacks with it" in firefox.wait_for("document.getElementById('share').textContent")
    assert len(all_) > 3 and firefox.evaluate("document.title").startswith("pymem-bpf: seed.py (")


# --- reports for others ---

SECRET = "import sys; sys.path.insert(0, sys.argv[1]); import secretpackage.inner as inner; kept = inner.grow()"


@pytest.mark.parametrize("form", ["table", "json", "csv", "folded", "speedscope", "openmetrics", *FORMATS])
def test_redact(tmp_path, form):
    """What a report for others does not have: arguments, source text, paths above the package."""
    package = tmp_path / "concealed-folder" / "secretpackage"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("def grow():\n    concealed_text = [b'x' * (1 << 20) for i in range(9)]\n    return concealed_text\n")
    os.chmod(tmp_path, 0o755)
    path = tmp_path / "r.html"
    done = said("-q", "--redact", "--format", form, "-o", path, "--", *PYTHON, "-c", SECRET, str(package.parent))
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert "secretpackage/inner.py" in text.replace("\\/", "/")
    for word in ("concealed", "sys.argv", str(tmp_path)):
        assert word not in text, word
    # Others have it; the table leaves out the folder that all files share anyway.
    done = said("-q", "--format", form, "-o", path, "--", *PYTHON, "-c", SECRET, str(package.parent))
    assert done.returncode == 0 and (form == "table" or "concealed-folder" in path.read_text())


def test_redact_is_said(seed, chromium, tmp_path):
    path = tmp_path / "r.html"
    done = said("-q", "--redact", "--format", "html", "-o", path, "--", *PYTHON, "-c", "kept = bytearray(9 << 20)")
    assert done.returncode == 0, done.stderr
    about, source = chromium.do(path, ("open", "#view=source"), ("evaluate", "document.getElementById('about').textContent"),
                                ("evaluate", "document.getElementById('source').textContent"))
    assert "redacted" in about and "this report is redacted" in source


# --- command lines ---

@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("words", [[], ["-o", "/dev/stdout"]])
def test_not_to_a_terminal(form, words):
    ours, theirs = pty.openpty()
    done = subprocess.run([harness.TOOL, "--format", form, *words, "-p", "1"], stdout=theirs, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2 and "--format %s is a web page" % form in done.stderr.decode(), done


def test_to_a_pipe():
    done = said("-q", "--format", "flamegraph", "--", *PYTHON, "-c", "kept = bytearray(9 << 20)")
    assert done.returncode == 0 and done.stdout.startswith(b"<!doctype html>") and done.stdout.endswith(b"</html>\n")


@pytest.mark.parametrize("words, why", [
    (["--tree"], "--tree is for --format table"), (["-f", "x"], "-f is for --format table"),
    (["--pager"], "is a web page: leave out --pager"), (["--redact", "--format", "table", "-f", "x"], "--redact and -f")])
def test_refused(words, why):
    done = said("--format", "html", *words, "-p", "1")
    assert done.returncode == 2 and why in done.stderr.decode() and not done.stdout, done


@pytest.mark.parametrize("form", FORMATS)
def test_full_disk(form):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([harness.TOOL, "-q", "--format", form, "--", "/usr/bin/python3", "-c",
                               "kept = [b'x' * (1 << 20) for i in range(9)]"], stdout=full, stderr=subprocess.PIPE,
                              timeout=harness.PATIENCE)
    assert done.returncode == 1 and "No space left" in done.stderr.decode(), done
