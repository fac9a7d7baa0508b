# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which line fills what grew: the report names it, beside lines that touch more memory and keep nothing. Each
interpreter is tests/unit/test_heap_births.c's; here is what the command makes of it."""
import os
import subprocess

import pytest

import harness
import heaps

PROGRAM = os.path.join(harness.PROJECT, "tests", "unit", "data", "births_target.py")
NOT_HERE = "debug registers do nothing here"


class Leaking:
    """births_target.py, and the lines of its two leaks."""

    def __enter__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.kept, self.listed = map(int, self.process.stdout.readline().split())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def rows_of(look, holder):
    return [row for row in look.data["births"] if row["holder"] == holder]


def notes_of(look):
    return " ".join(look.data["notes"])


@pytest.mark.parametrize("how", ["auto", "watch", "burst"])
def test_line_that_fills(how):
    with Leaking() as target:
        look = heaps.look(target.process.pid, "-d", 8, "--births", how)
    if NOT_HERE in notes_of(look):
        pytest.skip(notes_of(look))
    for holder, line, function in (("__main__.kept", target.kept, "session_for"),
                                   ("__main__.listed", target.listed, "listed_for")):
        rows = rows_of(look, holder)
        assert [(row["file"], row["line"], row["function"]) for row in rows] == [(PROGRAM, line, function)]
        assert rows[0]["share"] == 1 and rows[0]["insertions"] > 0
        assert rows[0]["method"] == how or how == "auto"
        assert "handle" in rows[0]["stack"][1]
    assert ":%d " % target.kept in look.verdict or ":%d " % target.listed in look.verdict, look.verdict


def test_off():
    with Leaking() as target:
        look = heaps.look(target.process.pid, "-d", 1, "--births", "off")
    assert not look.data["births"] and "which lines" not in notes_of(look)


def test_target_ends_meanwhile():
    with Leaking() as target:
        with heaps.Running("-p", target.process.pid, "-d", 30, "--until-input", "--births", "burst") as running:
            assert b"second look" in running.lines.next()
            target.process.kill()
            target.process.wait()
            running.process.stdin.close()
            assert running.process.wait(timeout=harness.PATIENCE) == 1
