# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reports on terminals of 80, 120 and 200 columns: they fit, the room is used, and all say the same. How each line is laid
out is compared by the unit tests (tests/golden/answer-*.txt, heap-*.txt)."""
import os
import re

import pytest

import documents
import harness
import scenes
from terminals import Terminal

WIDTHS = (80, 120, 200)
ROWS = 250  # all of a report is seen


def printed(columns, *words):
    """What a command leaves on a terminal of that width."""
    with Terminal(columns, ROWS, NO_COLOR="1") as terminal:
        terminal.run(harness.TOOL, *map(str, words))
        screen = terminal.see(r"^ended with \d+$")
    text, _, status = screen.rpartition("ended with ")
    assert status.split()[0] == "0", screen
    return text


@pytest.fixture(scope="module")
def service():
    with scenes.service() as stage:
        yield stage


@pytest.fixture(scope="module")
def host():
    with scenes.host() as stage:
        yield stage


def check(text, columns):
    lines = text.splitlines()
    assert lines and max(map(len, lines)) <= columns, max(lines, key=len)
    return lines


def test_one_process(service):
    """The same words at each width; the more room, the fewer lines."""
    known, heights, shapes = documents.sources(service.folder), [], set()
    for columns in WIDTHS:
        text = printed(columns, "-p", service.pid, "-d", "2", "-n", "1", "-q")
        heights.append(len(check(text, columns)))
        shapes.add(documents.shape(text, known))
        # Over what time, how much, how fast, in per cent; the line; what is in no line.
        words = " ".join(text.split())
        assert re.search(r" \d\.\d s RSS [\d.]+ → [\d.]+ MiB \+[\d.]+ MiB \(\+[\d.]+/min, \+\d+ %\) ", words), text
        assert re.search(r"^(All|9\d %) of it by service\.py:\d+ render\.", text, re.MULTILINE), text
        assert "unattributed" in words
        assert not re.search(r"\b(lost|charged|engine|traps)\b", text), text
    assert len(shapes) == 1, shapes
    assert heights[0] >= max(heights[1:]), heights


def test_who_keeps_it(service):
    for columns in WIDTHS:
        text = printed(columns, "heap", "-p", service.pid, "-n", "2", "-q")
        check(text, columns)
        assert re.search(r"^ *[\d.]+ MiB +[\d,]+  __main__\.CACHE +dict$", text, re.MULTILINE), text
        assert not re.search(r"\b(lost|charged|engine|traps)\b", text), text


def test_source_has_the_room(service):
    """A wider terminal shows more of the source, or all."""
    found = [re.search(r"service\.py:\d+ render +(\S.*)$", printed(columns, "-p", service.pid, "-d", "1", "-n", "1", "-q"),
                       re.MULTILINE) for columns in (60, 200)]
    shown = [match.group(1) if match else "" for match in found]
    whole = 'return "\\n".join(lines)'
    assert shown[1] == whole and whole.startswith(shown[0].rstrip("…")), shown


@pytest.mark.host
def test_host(host):
    """Programs first, the one that grows fastest on top; what did not change is a number."""
    for columns in WIDTHS:
        lines = check(printed(columns, "-a", "-d", "2", "-q"), columns)
        assert re.match(r"\d+ Pythons, \d+ programs", lines[0])
        head = next(i for i, line in enumerate(lines) if re.match(r" +MiB +/min +[PR]SS +N  PROGRAM", line))
        grown = [float(re.match(r" *\+?(-?[\d.]+) ", line).group(1)) for line in lines[head + 1:head + 3]]
        assert grown == sorted(grown, reverse=True), lines
        assert any(re.search(r" 4  scorer\.py .*scorer\.py:\d+ work", line) for line in lines), lines


def test_list(host):
    """`ps`: the command, not the path of the interpreter, at each width; the largest first."""
    for columns in WIDTHS:
        lines = check(printed(columns, "ps"), columns)
        assert any(re.search(r"  scorer\.py --shard \d  ×4( |$)", line) for line in lines), lines
        ours = [line for line in lines if "scorer.py" in line or "master.py" in line]
        assert not any("/usr/bin/pyt" in line for line in ours), lines


# --- words ---

# What only -v, JSON and programs see.
OF_VERBOSE = {"charged", "lost", "%s = charged", "%s + lost", "%s, but charged"}


def test_first_words():
    """Texts of the program have none of the words that only its makers know."""
    found = []
    for path, _, names in os.walk(os.path.join(harness.PROJECT, "user")):
        for name in (n for n in names if n.endswith(".c")):
            with open(os.path.join(path, name), encoding="utf-8") as f:
                text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.DOTALL)
            found += ["%s: %s" % (name, literal) for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)
                      if re.search(r"\b(lost|charged|charge|engine walk|without traps)\b", literal)
                      and literal not in OF_VERBOSE]
    assert not found
