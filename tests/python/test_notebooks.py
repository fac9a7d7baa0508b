# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What notebooks show of results: outputs of a real kernel, in JupyterLab's own renderers and in VS Code itself, in a
browser (notebooks/). In notebooks that are trusted and in such that are not, on light and on dark pages. The source that is
shown is an attack, and must stay text."""
import json
import os
import subprocess
import sys

import pytest
import sessions
from sessions import needs_program

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(sessions.PROJECT, "tests", "e2e"))
import browsers  # noqa: E402

FOLDER = os.path.join(HERE, "notebooks")
PATIENCE = 300
ATTACK = "</pre></td></table><script>alert(1)</script><img src=x onerror=alert(2)>"
GROWING = '''def grow(kept):
    kept.append([bytearray(1 << 20) for _ in range(24)])  # %s
    return kept
''' % ATTACK
MAGICS = ("%%memflame\nkept = [bytearray(1 << 20) for _ in range(60)]\ntime.sleep(.1)\n",
          "%memplot -f growing.grow growing.grow(kept)", "%mprun -f growing.grow growing.grow(kept)", "%memheap")
FLAME, PLOT, LINES, HEAP = range(len(MAGICS))
# What WCAG asks of text of any size.
CONTRAST = 4.5
FRAME_PIXELS, PLOT_PIXELS = 640, [720, 260]


@pytest.fixture(scope="module")
def folder():
    try:
        browsers.chromium()
        return browsers.packages(FOLDER, PATIENCE)
    except browsers.Missing as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def notebook():
    """One that a kernel has run, as it is stored."""
    stage = sessions.Stage(0)
    stage.write("growing.py", GROWING)
    kernel = sessions.Kernel(stage)
    try:
        kernel.run("%load_ext pymem_bpf\nimport time\nimport growing")
        cells = []
        for number, code in enumerate(MAGICS):
            cell = kernel.run(code)
            assert not cell.error, cell.error
            outputs = [{"output_type": "display_data", "metadata": {}, "data": forms}
                       for forms in cell.displayed + [cell.forms] if forms]
            cells.append({"cell_type": "code", "id": "cell%d" % number, "metadata": {}, "execution_count": number,
                          "source": code, "outputs": outputs})
    finally:
        kernel.close()
        stage.close()
    assert [len(cell["outputs"]) for cell in cells] == [1] * len(MAGICS)
    return {"nbformat": 4, "nbformat_minor": 5, "cells": cells, "metadata": {"language_info": {"name": "python"}}}


TRUSTED, UNTRUSTED = {"trusted": True, "dark": True}, {"trusted": False, "dark": True}
RUNS = {"jupyterlab": {"trusted": TRUSTED, "light": {"trusted": True, "dark": False}, "untrusted": UNTRUSTED},
        "vscode": {"trusted": TRUSTED, "untrusted": UNTRUSTED}}


def show(consumer, folder, notebook):
    """What is seen of the notebook in each run. PYMEM_NOTEBOOK_PICTURES: a folder for pictures, to be looked at."""
    pictures = os.environ.get("PYMEM_NOTEBOOK_PICTURES")
    asked = [dict(run, picture=pictures and os.path.join(pictures, "%s-%s.png" % (consumer, name)))
             for name, run in RUNS[consumer].items()]
    done = subprocess.run(["node", os.path.join(FOLDER, consumer + ".mjs"), folder, browsers.chromium()],
                          input=json.dumps({"notebook": notebook, "runs": asked}).encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=2 * PATIENCE,
                          env=dict(os.environ, PYMEM_E2E_PATIENCE=str(PATIENCE)))
    assert done.returncode == 0, done.stderr.decode()
    return dict(zip(RUNS[consumer], json.loads(done.stdout.decode())))


@pytest.fixture(scope="module")
def jupyterlab(folder, notebook):
    return show("jupyterlab", folder, notebook)


@pytest.fixture(scope="module")
def vscode(folder, notebook):
    return show("vscode", folder, notebook)


def outputs_of(said):
    """The one output of each cell."""
    assert not said["errors"] and not said["requests"], said
    assert [len(outputs) for outputs in said["outputs"]] == [1] * len(MAGICS)
    return [one for one, in said["outputs"]]


def check_page(shown, dark):
    """Of each output: nothing is cut off, all text can be read, nothing has become an element."""
    for one in shown:
        assert one["dark"] is dark and one["contrast"] >= CONTRAST and one["cut"] == [0, 0], one
        assert not {"script", "svg"} & set(one["elements"])


def check_tables(shown):
    plot, lines, heap = shown[PLOT], shown[LINES], shown[HEAP]
    picture, = plot["images"]
    assert picture["natural"] == picture["box"] == PLOT_PIXELS
    assert picture["alt"].startswith("Resident memory while the statement ran: Peak ")
    assert plot["text"].startswith("Peak ") and "seconds" not in plot["text"], "the picture's texts are not in the page"
    assert plot["rows"] >= 2 and plot["bars"] >= 1 and ATTACK in plot["text"]
    assert lines["rows"] == 4 and lines["bars"] >= 1 and not lines["images"] and ATTACK in lines["text"]
    assert lines["aligned"] == heap["aligned"] == ["left", "right"]
    assert heap["rows"] > 10 and "kept" in heap["text"]


def check_frame(shown):
    frame, = shown[FLAME]["frames"]
    assert frame["box"][1] == FRAME_PIXELS and frame["box"][0] > 800 and frame["wide"] == 0
    assert int(frame["total"]) >= 60 << 20 and "RSS" in frame["text"] and frame["items"] > 5
    assert not frame["reaches_out"], "what runs in the frame can't reach the notebook"
    assert "not trusted" not in shown[FLAME]["text"] and shown[FLAME]["box"][1] > FRAME_PIXELS


@needs_program
@pytest.mark.parametrize("run", ["light", "trusted"])
def test_jupyterlab(jupyterlab, run):
    shown = outputs_of(jupyterlab[run])
    check_page(shown, RUNS["jupyterlab"][run]["dark"])
    check_tables(shown)
    check_frame(shown)


@needs_program
def test_jupyterlab_not_trusted(jupyterlab):
    """A notebook of somebody else's: JupyterLab takes frames and scripts away. All but the flame graph is shown as ever; that
    one says why it is not."""
    shown = outputs_of(jupyterlab["untrusted"])
    check_page(shown, True)
    check_tables(shown)
    assert not shown[FLAME]["frames"]
    assert shown[FLAME]["text"].startswith("The flame graph is not shown, because this notebook is not trusted.")
    assert "Flame graph of " in shown[FLAME]["text"]


@needs_program
def test_vscode(vscode):
    shown = outputs_of(vscode["trusted"])
    assert not vscode["trusted"]["restricted"]
    check_page(shown, True)
    check_tables(shown)
    check_frame(shown)


@needs_program
def test_vscode_restricted(vscode):
    """In a folder that is not trusted VS Code shows no HTML at all, whose ever it is (docs/NOTEBOOK.md)."""
    shown = outputs_of(vscode["untrusted"])
    assert vscode["untrusted"]["restricted"]
    assert all(one["text"] == "" and one["box"][1] == 0 for one in shown)
