# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""memplot(), PlotWatch and %memplot: the curve and its peak against what is allocated, lines with a helper and without,
what notebooks and terminals are shown, hostile source."""
import ctypes
import base64
import html
import os
import re
import sys
import time
import xml.etree.ElementTree

import pytest
import sessions
from sessions import needs_program
from test_heap import Checked

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import _proc, _shapes, memplots  # noqa: E402

MIB = 1 << 20
SVG = "{http://www.w3.org/2000/svg}"
MODULE = '''
import time
def spike(size=300000000, rest=0.005):
    b = bytearray(size)
    time.sleep(rest)
    del b
def keep(size):
    kept = bytearray(size)
    time.sleep(.1)
    return kept
def grow(n):
    rows = []
    for _ in range(n):
        rows.append(bytearray(1 << 20))
        time.sleep(.005)
    return rows
def calls(size):
    return keep(size)
class Loader:
    def load(self, size):
        self.kept = bytearray(size)
        time.sleep(.1)
def fails(size):
    kept = bytearray(size)
    time.sleep(.1)
    raise KeyError("mine")
'''


def plot_of(points, peak=0, lines=(), **more):
    return memplots.MemoryPlot([(when, int(amount * MIB)) for when, amount in points], int(peak * MIB), lines, **more)


def line_of(path, number, steps, function="f", depth=1, part_of=""):
    return memplots.MemoryLine(str(path), number, function, [(when, int(amount * MIB)) for when, amount in steps], 0.0,
                               depth, part_of)


# --- results, without a process ---

def test_the_answer():
    assert plot_of([(0, 10), (1, 60), (2, 20)]).verdict == (
        "Peak 60.0 MiB after 1.00 s, 50.0 MiB above the start; 10.0 MiB are left at the end.")
    assert plot_of([(0, 10), (1, 60), (2, 10)]).verdict.endswith("; at the end nothing of it is left.")
    assert plot_of([(0, 10), (1, 10.01)]).verdict == "Resident memory stayed at 10.0 MiB for 1.00 s."
    unseen = plot_of([(0, 10), (1, 12)], 90)
    assert unseen.peak_seconds is None and unseen.verdict.startswith("Peak 90.0 MiB between two samples, 80.0 MiB above")
    seen = plot_of([(0, 10), (1, 90)], 90.5)
    assert seen.peak_seconds == 1 and seen.peak_bytes == int(90.5 * MIB) and seen.grown_bytes == int(80.5 * MIB)


def test_when_a_line_grew(tmp_path):
    (tmp_path / "shop.py").write_text("a = 1\n\tb = [2] * 9\n")
    line = line_of(tmp_path / "shop.py", 2, [(0.5, 1), (1, 12), (2, 48), (3, 96), (4, 100)], "load")
    assert (line.first_seconds, line.seconds, line.last_seconds) == (1, 3, 3)
    assert line.where == "shop.py:2 load" and line.text == "b = [2] * 9" and line.grown_bytes == 100 * MIB
    plot = plot_of([(0, 10), (4, 110)], lines=[line])
    assert plot.verdict.endswith("; most came by shop.py:2 load: b = [2] * 9 (+100.0 MiB).")
    assert plot.legend() == ["1: shop.py:2 load grew by 100.0 MiB, 1.00 to 3.00 s."]
    assert line_of("<ipython-input-7-0a>", 3, [(1, 1)], "<module>").where == "In [7]:3"
    assert line_of("/tmp/ipykernel_5/77.py", 3, [(1, 1)]).where == "a cell:3 f"
    assert line_of("x.py", 3, [(1, 1)], "<module>", part_of="the cell").where == "line 3 of the cell"


def test_text():
    lines = [line_of("a.py", 1, [(2, 50)]), line_of("b.py", 1, [(0.1, 5)])]
    said = plot_of([(0, 10), (2, 60), (4, 10)], lines=lines, head="Approximate: x", notes=["something"]).text(" #")
    rows = [row for row in said.splitlines() if "|" in row]
    assert len(rows) == memplots.TEXT_ROWS and rows[0].startswith("    60.0 MiB |") and rows[-1].startswith("    10.0 MiB")
    assert rows[0].index("#") == 14 + memplots.TEXT_COLUMNS // 2 - 1 and rows[0].count("#") == 33
    assert rows[-1].count("#") == memplots.TEXT_COLUMNS
    marks = said.splitlines()[said.splitlines().index(rows[-1]) + 3]
    assert marks.index("1") == 14 + memplots.TEXT_COLUMNS // 2 and marks.index("2") == 15
    assert said.splitlines()[-2:] == ["Approximate: x", "NOTE: something"]
    assert "█" in plot_of([(0, 10), (1, 60)]).text()


def test_a_terminal_without_unicode(monkeypatch):
    class Latin:
        encoding = "latin-1"
    monkeypatch.setattr(sys, "stdout", Latin())
    said = repr(plot_of([(0, 10), (1, 60)]))
    monkeypatch.undo()
    assert "#" in said and said.isascii()


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_svg(tmp_path):
    lines = [line_of("a.py", 1, [(when, 50)]) for when in (1, 1, 1.01, 4)]
    plot = plot_of([(0, 10), (1, 60), (4, 10)], 60, lines)
    root = xml.etree.ElementTree.fromstring(plot._repr_svg_())
    assert root.get("role") == "img" and [one.tag for one in root][:2] == [SVG + "title", SVG + "desc"]
    assert root[0].text == "Resident memory while the code ran"
    assert root[1].text.startswith(plot.verdict) and "4: a.py:1 f grew by 50.0 MiB, at 4.00 s." in root[1].text
    _, _, width, height = numbers(root.get("viewBox"))
    curve = root.find(SVG + "polyline")
    pairs = numbers(curve.get("points"))
    assert len(pairs) == 6 and pairs[0] == 64 and pairs[4] == width - 16 and pairs[1] == pairs[5] > pairs[3]
    centers = [(float(one.get("cx")), float(one.get("cy"))) for one in root.iter(SVG + "circle")]
    assert len(centers) == 5 and all(0 < x < width and 0 < y < height for x, y in centers)
    marks = centers[1:]
    assert all(abs(a[0] - b[0]) >= 16 or abs(a[1] - b[1]) >= 16 for a in marks for b in marks if a is not b)
    texts = [one.text for one in root.iter(SVG + "text")]
    assert "peak 60.0 MiB" in texts and {"1", "2", "3", "4", "20", "40", "60", "MiB", "seconds"} <= set(texts)
    plot.save(str(tmp_path / "x.svg"))
    assert xml.etree.ElementTree.parse(str(tmp_path / "x.svg")).getroot().get("role") == "img"


def test_colours():
    """The picture has a paper of its own, since in a page it is an image, which does not know the page's."""
    def luminance(color):
        parts = [int(color[at:at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one, other):
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)
    from pymem_bpf import _svg
    plot = plot_of([(0, 10), (1, 60)])
    root = xml.etree.ElementTree.fromstring(plot._repr_svg_())
    assert root.get("color") == _svg.INKS[0] and root.find(SVG + "rect").get("fill") == _svg.PAPERS[0]
    dark = re.search(r"@media \(prefers-color-scheme:dark\){svg{color:(.*?)}rect{fill:(.*?)}}", root.find(SVG + "style").text)
    assert dark.groups() == (_svg.INKS[1], _svg.PAPERS[1])
    assert all(contrast(*pair) > 4.5 for pair in zip(_svg.INKS, _svg.PAPERS))
    assert contrast(_svg.ACCENT, "#ffffff") > 4.5  # the numbers in the marks
    assert all(contrast(color, page) > 3 for color in (_svg.CURVE, _svg.ACCENT) for page in _svg.PAPERS)


def test_image():
    """What a page has of it is an image, for notebooks that are not trusted: with an address of its own and in words."""
    page = plot_of([(0, 10), (1, 60)], 60, [line_of('"<x>\'.py', 1, [(1, 50)])])._repr_html_()
    tag = re.search(r"<img [^>]*>", page)[0]
    assert "<svg" not in page and html.unescape(re.search("alt='(.*?)'", tag)[1]).startswith(
        "Resident memory while the code ran: Peak 60.0 MiB") and "&quot;&lt;x&gt;&#x27;.py" in tag
    root = xml.etree.ElementTree.fromstring(base64.b64decode(re.search("src='data:image/svg\\+xml;base64,(.*?)'", tag)[1]))
    assert root.tag == SVG + "svg" and "\"<x>'.py" in root[1].text


def test_long_runs_stay_small():
    points = [(n / 100, 50 + n % 7) for n in range(200000)]
    points[123456] = (1234.56, 400)
    plot = plot_of(points)
    assert plot.peak_seconds == 1234.56 and len(plot._repr_html_()) < 40000
    curve = xml.etree.ElementTree.fromstring(plot._repr_svg_()).find(SVG + "polyline")
    ys = numbers(curve.get("points"))[1::2]
    assert len(ys) <= 600 and min(ys) < 60 < sorted(ys)[1], "the peak is in the curve"


def test_hostile_source(tmp_path):
    path = tmp_path / "<img src=x>.py"
    path.write_bytes(b"x = '</code></table><script>alert(1)</script>\x1b[31m\xe2\x80\xae'\n")
    line = line_of(path, 1, [(1, 50)], "<b>f")
    plot = plot_of([(0, 10), (1, 60)], lines=[line], notes=["<i>&"], what="<u>\x1b")
    source = plot._repr_html_()
    assert source.count("<img") == 1 and not any(bad in source for bad in ("<script", "<img src=x", "<b>f", "<i>", "<u>", "\x1b", "\u202e"))
    assert "<script>alert(1)</script>?[31m?" in Checked(source).text
    xml.etree.ElementTree.fromstring(plot._repr_svg_())
    assert all(c.isprintable() or c == "\n" for c in plot.text())


def test_shapes():
    assert _shapes.ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10] and _shapes.ticks(3, 3, 5) == [3]
    assert _shapes.ticks(97, 103, 5) == [98, 100, 102]
    assert _shapes.heat(5, 10).endswith("50%,transparent 50%)") and _shapes.heat(0, 10) == "" == _shapes.heat(3, 0)
    assert _shapes.heat(-5, 10) != _shapes.heat(5, 10) and "100%" in _shapes.heat(20, 10)
    assert _shapes.mib(-1) == "0.0 MiB" and _shapes.mib(MIB, True) == "+1.0 MiB"
    assert _shapes.columns([(0, 1), (1, 9), (1.1, 2)], 4, 4) == [(1, 9), (2, 9), (2, 2), (2, 2)]
    assert _shapes.escaped("a\tb\ud800\u3000<") == "a       b\\ud800\u3000&lt;"


def test_thinned_samples_keep_peaks():
    samples = [(50, n) for n in range(1000)]
    samples[501], samples[502] = (900, 501), (1, 502)
    kept = _proc.thinned(samples)
    assert len(kept) < 510 and (900, 501) in kept and (1, 502) in kept and kept == sorted(kept, key=lambda one: one[1])


def test_whose_code_is_counted(things):
    import json
    installed = memplots._installed()
    assert memplots._is_users(things["keep"].__code__, installed)
    cell = compile("1", "/tmp/ipykernel_12/34.py", "exec")
    assert memplots._is_users(cell, installed) and memplots._is_users(compile("1", "<ipython-input-1-a>", "exec"), installed)
    for code in (json.loads.__code__, pytest.main.__code__, memplots.memplot.__code__, compile("1", "<string>", "exec")):
        assert not memplots._is_users(code, installed), code


# --- of this process ---

@pytest.fixture
def no_helper(monkeypatch):
    monkeypatch.setenv("PYMEM_BPF", "/nonexistent/pymem-bpf")
    monkeypatch.setenv("PYMEM_BPF_SOCKET", sessions.NO_SOCKET)


@pytest.fixture(scope="module")
def things():
    space = {"__name__": "things"}
    folder = sessions.open_folder()
    path = os.path.join(folder, "things.py")
    with open(path, "w") as f:
        f.write(MODULE)
    exec(compile(MODULE, path, "exec"), space)
    yield space
    os.unlink(path)
    os.rmdir(folder)


def test_a_peak_between_samples(no_helper, things):
    """Of 5 ms, with a sample each 0.3 s: its height is exact, and it is in the curve."""
    plot = memplots.memplot(things["spike"], interval=0.3)
    assert plot.grown_bytes == pytest.approx(300000000, abs=MIB) and plot.kept_bytes < MIB
    assert plot.peak_seconds is not None and max(amount for _, amount in plot.samples) > 300000000
    assert plot.lines == [] and len(plot.notes) == 1 and plot.returned is None
    assert plot.notes[0].startswith("lines are not marked: no helper: /nonexistent/pymem-bpf")


def test_named_functions_without_a_helper(no_helper, things):
    # What was freed before goes back to the kernel, so that using it again is growth.
    ctypes.CDLL(None).malloc_trim(0)
    plot = memplots.memplot((things["grow"], (40,)), things["grow"])
    assert len(plot.returned) == 40 and plot.head.startswith("Approximate: ")
    first = plot.lines[0]
    assert first.where == "things.py:14 grow" and first.text == "rows.append(bytearray(1 << 20))"
    assert first.grown_bytes == pytest.approx(40 * MIB, rel=0.2)
    assert 0 <= first.first_seconds < first.seconds < first.last_seconds <= plot.seconds
    assert plot.kept_bytes == pytest.approx(40 * MIB, rel=0.1)


def test_what_is_raised(no_helper, things):
    with pytest.raises(KeyError):
        memplots.memplot((things["fails"], (50000000,)))
    with pytest.raises(KeyError):
        with memplots.PlotWatch(lines=False) as watch:
            things["fails"](50000000)
    assert watch.plot.grown_bytes == pytest.approx(50000000, abs=MIB) and watch.plot.notes == []
    with pytest.raises(TypeError):
        memplots.memplot(things["spike"], len)
    with pytest.raises(TypeError):
        memplots.memplot(3)
    with pytest.raises(ValueError):
        memplots.memplot((3,))
    with pytest.raises(ValueError):
        memplots.PlotWatch(interval=0)
    with pytest.raises(RuntimeError):  # HelperError
        memplots.memplot(things["spike"], exact=True)


def test_a_sampler_that_dies(no_helper, things):
    with pytest.raises(RuntimeError, match="the sampler ended early"):
        with memplots.PlotWatch(lines=False) as watch:
            watch._sampler.process.kill()
    with pytest.raises(KeyError):
        with memplots.PlotWatch(lines=False) as watch:
            watch._sampler.process.kill()
            things["fails"](50000000)
    assert "the sampler ended early" in watch.plot.notes[0] and watch.plot.grown_bytes > 40000000


def test_a_child_that_goes_on(no_helper):
    """Forked meanwhile, it has the sampler's pipes open, too: the plot does not wait for its end."""
    with memplots.PlotWatch(lines=False) as watch:
        pid = os.fork()
        if not pid:
            time.sleep(60)
            os._exit(0)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert watch.plot.seconds < 30
    with pytest.raises(RuntimeError, match="for one block"):
        watch.__enter__()


# --- in IPython ---

@pytest.fixture(scope="module")
def server():
    one = sessions.Server()
    yield one
    one.close()


@pytest.fixture(scope="module", params=[0, sessions.USER], ids=["root", "user"])
def stage(request):
    one = sessions.Stage(request.param)
    one.write("things.py", MODULE)
    yield one
    one.close()


@pytest.fixture(scope="module")
def kernel(stage, server):
    one = sessions.Kernel(stage, PYMEM_BPF_SOCKET=server.path)
    one.run("%load_ext pymem_bpf\nimport things\nfrom things import *")
    yield one
    one.close()


ANSWER = re.compile(r"^Peak [\d.]+ MiB after ([\d.]+) s, ([\d.]+) MiB above the start; .*; most came by (.*) "
                    r"\(\+([\d.]+) MiB\)\.$")


def answer(cell):
    assert not cell.error, cell.error
    found = ANSWER.match(cell.result.splitlines()[0])
    assert found, cell.result
    return float(found.group(2)), found.group(3), float(found.group(4))


@needs_program
@pytest.mark.parametrize("code, grown, line", [
    ("%memplot k = keep(50000000)", 47.7, "things.py:8 keep: kept = bytearray(size)"),
    ("%%memplot\nk = calls(50000000)\n", 47.7, "things.py:8 keep: kept = bytearray(size)"),
    ("%%memplot\nk = None\nb = bytearray(60000000)\nthings.time.sleep(.1)\ndel b", 57.2,
     "line 3 of the cell: b = bytearray(60000000)"),
    ("l = Loader()\n%memplot l.load(50000000)", 47.7, "things.py:21 load: self.kept = bytearray(size)"),
    ("%memplot k = grow(40)", 40.2, "things.py:14 grow: rows.append(bytearray(1 << 20))"),
    ("def typed(n):\n    return [bytearray(1 << 20) for _ in range(n)]\n%memplot k = typed(50)", 50,
     "a cell:3 typed: return [bytearray(1 << 20) for _ in range(n)]"),
])
def test_lines_with_a_helper(kernel, code, grown, line):
    cell = kernel.run("k = l = None\n" + code if not code.startswith("%%") else code)
    found = answer(cell)
    assert found[0] == pytest.approx(grown, abs=2) and found[2] == pytest.approx(grown, abs=2)
    assert found[1] == line and "Approximate" not in cell.result and "NOTE" not in cell.result
    forms = cell.forms
    assert set(forms) == {"text/plain", "text/html", "image/svg+xml"}
    page = Checked(forms["text/html"]).text
    assert page.count(cell.result.splitlines()[0]) == 1 and "Lines that grew most, with what they called" in page
    assert xml.etree.ElementTree.fromstring(forms["image/svg+xml"])[1].text.startswith("Peak ")
    kernel.run("k = l = None")


@needs_program
def test_options(kernel, stage):
    cell = kernel.run("p = %memplot -n -i 0.02 -o plot.svg keep(50000000)")
    assert not cell.error and cell.text == "*** saved to plot.svg\n"
    assert kernel.run("p.lines, p.notes, p.what, round(p.grown_bytes / 1e6)").result == "([], [], 'the statement', 50)"
    with open(os.path.join(stage.home, "plot.svg")) as f:
        assert xml.etree.ElementTree.fromstring(f.read())[0].text == "Resident memory while the statement ran"
    cell = kernel.run("%memplot -n -o /nonexistent/x keep(50000000)")
    assert "*** /nonexistent/x can't be written: No such file or directory" in cell.text and "Peak" in cell.result
    for line, said in (("%memplot", "nothing to run"), ("%memplot -i x keep(1)", "-i takes a number of seconds"),
                       ("%memplot -n -f keep keep(1)", "-n is for a plot without lines: without -f"),
                       ("%memplot -f nothing keep(1)", "could not find function 'nothing': NameError"),
                       ("%memplot -f len keep(1)", "len"), ("%memplot -x keep(1)", "no option -x"),
                       ("%memplot 1 +", "SyntaxError")):
        assert said in kernel.run(line).error, line


@needs_program
def test_what_a_cell_raises_comes_after_the_plot(kernel):
    cell = kernel.run("%memplot fails(50000000)")
    assert cell.error == "KeyError: 'mine'" and cell.shown.startswith("Peak ") and cell.result is None
    assert "text/html" in cell.displayed[0]
    cell = kernel.run("%memplot b = bytearray(50000000); things.time.sleep(.1); del b; raise KeyboardInterrupt")
    assert cell.error.startswith("KeyboardInterrupt") and cell.shown.startswith("Peak ")
    assert answer(kernel.run("async def later(n):\n    return keep(n)\n%memplot b = await later(50000000); del b"))[0] > 45


@needs_program
def test_in_a_function(kernel):
    """It sees the locals, and so do the names that are looked for."""
    cell = kernel.run("def inside(size):\n    mine = keep\n    get_ipython().run_line_magic('memplot', '-o in.svg mine(size)')\n"
                      "    return 7\ninside(50000000)")
    assert cell.result == "7" and "saved to in.svg" in cell.text


def test_a_notebook_without_a_helper(stage):
    """What is missing is said, and how to have it. As root, a helper of its own is started."""
    kernel = sessions.Kernel(stage, PYMEM_BPF="/nonexistent/pymem-bpf")
    try:
        kernel.run("%load_ext pymem_bpf\nfrom things import *")
        cell = kernel.run("%memplot k = keep(50000000)")
        assert not cell.error and "NOTE: lines are not marked: no helper: " in cell.result
        assert "/nonexistent/pymem-bpf" in cell.result and "  1 " not in cell.result
        assert stage.user == 0 or "sudo /nonexistent/pymem-bpf serve" in Checked(cell.forms["text/html"]).text
        cell = kernel.run("k = None\n%memplot -f keep k = keep(50000000)")
        assert answer(cell)[1] == "things.py:8 keep: kept = bytearray(size)" and "\nApproximate: " in cell.result
        cell = kernel.run("%memplot -e k = keep(50000000)")
        assert cell.error.startswith("UsageError: no helper: ")
    finally:
        kernel.close()


@needs_program
def test_a_terminal(stage, server):
    terminal = sessions.Terminal(stage, PYMEM_BPF_SOCKET=server.path, PYTHONIOENCODING="utf-8")
    try:
        assert terminal.type("%load_ext pymem_bpf") == ""
        terminal.type("from things import *")
        said = terminal.type("%memplot k = keep(50000000)")
        assert re.search(r"Peak .* above the start; .* most came by things.py:8 keep", said) and "█" in said
        assert re.search(r"^  1 +\+47\.\d MiB  at \d\.\d\d s +things.py:8 keep  kept = bytearray\(size\)$", said, re.M)
    finally:
        terminal.close()


# --- results of line profiles ---

@needs_program
def test_results_of_line_profiles(kernel):
    """Results and profilers show their table, in %mprun's as in a notebook's own output: with bars behind amounts."""
    # What was freed before goes back to the kernel, so that using it again is growth.
    kernel.run("import ctypes\nctypes.CDLL(None).malloc_trim(0)")
    cell = kernel.run("p = %mprun -r -f grow k = grow(40)")
    assert set(cell.displayed[0]) == {"text/plain", "text/html"}
    for code in ("p.results()[0]", "p"):
        forms = kernel.run(code).forms
        assert set(forms) == {"text/plain", "text/html"}
        source = forms["text/html"]
        page = Checked(source).text
        assert "rows.append(bytearray(1 << 20))" in page and "Line Contents" in page
        row = re.search(r"<tr>(?:(?!</tr>).)*rows\.append.*?</tr>", source).group(0)
        assert re.search(r"linear-gradient\(to right,rgba\([^)]*\) 100%,transparent 100%\)'>40\.\d MiB</td>", row), row
        assert source.count("linear-gradient") == 1
    assert kernel.run("p.results()[0]").result == re.sub(r"\n+\Z", "", kernel.run("print(p.results()[0]._repr_html_() and "
                                                          "'')\nfrom IPython.lib.pretty import pretty\n"
                                                          "print(pretty(p.results()[0]))").text.lstrip("\n"))
    assert kernel.run("p.results()[0]._replace(calls=0, lines={})").result.endswith(
        "grow was never called in this process while it was profiled.")
    assert "text/html" not in kernel.run("from pymem_bpf import LineProfiler; LineProfiler()").forms
    assert kernel.run("len(p.results()[0]), p.results()[0].name").result == "(11, 'grow')"


@needs_program
def test_hostile_source_of_line_profiles(kernel, stage):
    stage.write("evil.py", "def f(n):\n    x = '</pre><script>alert(1)</script>'; k = bytearray(n)\n    return k\n")
    cell = kernel.run("import evil\np = %mprun -r -f evil.f evil.f(30000000)\np.results()[0]")
    for source in (cell.displayed[0]["text/html"], cell.forms["text/html"]):
        assert "<script>" not in source and "<script>alert(1)</script>" in Checked(source).text
