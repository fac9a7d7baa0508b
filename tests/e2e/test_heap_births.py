# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which line fills what grew: the report names it, beside lines that touch more memory and keep nothing. Each
interpreter is tests/unit/test_heap_births.c's; here is what the command makes of it."""
import os
import struct
import subprocess
import sys
import threading

import pytest

import harness
import heaps

NOT_HERE = "debug registers do nothing here"


@pytest.mark.parametrize("how", ["auto", "watch", "burst"])
def test_line_that_fills(how):
    with heaps.Leaking() as target:
        look = heaps.look(target.pid, "-d", 8, "--births", how)
    if NOT_HERE in look.notes():
        pytest.skip(look.notes())
    methods = target.check_lines(look)
    assert how == "auto" or methods == {how}


@pytest.mark.parametrize("kind", ["joined", "rebuilt"])
def test_container_that_others_replace(kind):
    """By the place where it is: of what is put there, and of what is there now."""
    with heaps.Replacing(kind) as target:
        look = heaps.look(target.pid, "-d", 8, "--births", "watch", "--pause")
        if NOT_HERE in look.notes():
            pytest.skip(look.notes())
        rows = target.lines(look)
    assert [row["holder"] for row in rows] == ["__main__." + kind], (look.data["births"], look.data["notes"])
    assert rows[0]["insertions"] > 0


@pytest.mark.parametrize("how", ["watch", "auto"])
def test_container_that_comes_later(how):
    """Its line is named, or it is said why not."""
    with heaps.Replacing("late") as target:
        look = heaps.look(target.pid, "-d", 10, "--births", how, "--pause")
        rows = target.lines(look)
    assert rows or "which line" in look.notes(), (look.verdict, look.data["notes"])


def test_container_at_the_address_of_another():
    """What was put into that one is not taken for what is in this one."""
    with heaps.Replacing("reborn") as target:
        look = heaps.look(target.pid, "-d", 14, "--births", "watch", "--pause")
        if NOT_HERE in look.notes():
            pytest.skip(look.notes())
        rows = target.lines(look)
    assert rows or "not known: others have replaced them" in look.notes(), (look.verdict, look.data["notes"])


def test_watch_that_is_lost():
    """Bursts find the line, although a watch is left: it meets nothing."""
    over = threading.Event()

    def write_sizes(pid, address):
        with open("/proc/%d/mem" % pid, "r+b", buffering=0) as memory:
            size = 3000
            while not over.wait(0.02):
                size += size < 3300
                os.pwrite(memory.fileno(), struct.pack("=Q", size), address)

    with heaps.Replacing("deaf") as target:
        writer = threading.Thread(target=write_sizes, args=(target.pid, int(target.process.stdout.readline())))
        writer.start()
        try:
            look = heaps.look(target.pid, "-d", 16, "--births", "auto", "--pause")
        finally:
            over.set()
            writer.join()
        rows = [row for row in target.lines(look) if row["holder"] == "__main__.reborn"]
    assert rows and rows[0]["method"] == "burst", (look.data["births"], look.verdict, look.data["notes"])
    assert "replaced" not in look.notes(), look.notes()


def test_watch_that_pauses():
    """It goes on with the container of its place, which is known also where the copy has been given back."""
    with heaps.Replacing("crowded") as target:
        look = heaps.look(target.pid, "-d", 8, "--births", "watch")
        if NOT_HERE in look.notes():
            pytest.skip(look.notes())
        rows = target.lines(look)
    assert look.data["rss_bytes"] > 200 << 20 and "% of the time" in look.notes(), look.notes()
    assert [row["holder"] for row in rows] == ["__main__.crowded"], (look.data["births"], look.data["notes"])


def test_off():
    with heaps.Leaking() as target:
        look = heaps.look(target.pid, "-d", 1, "--births", "off")
    assert not look.data["births"] and "which lines" not in look.notes()


def test_target_ends_meanwhile():
    with heaps.Leaking() as target:
        with heaps.Running("-p", target.pid, "-d", 30, "--until-input", "--births", "burst") as running:
            assert b"second look" in running.lines.next()
            target.process.kill()
            target.process.wait()
            running.process.stdin.close()
            assert running.process.wait(timeout=harness.PATIENCE) == 1


CELLS = """
import os, time
KEPT = []
os.write(1, b"x")
while True:
    for n in range(50):
        exec(compile("\\n" * 6 + "KEPT.append('kept %d' % id(KEPT))", "<cell>", "exec"))
    time.sleep(0.002)
"""


@pytest.mark.parametrize("how", ["watch", "burst"])
def test_code_that_is_gone(how):
    """Cells of a notebook run once, and their code is freed: the line is right, or none is told."""
    with subprocess.Popen([sys.executable, "-c", CELLS], stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.read(1) == b"x"
            look = heaps.look(target.pid, "-d", 5, "--births", how)
        finally:
            target.kill()
    if NOT_HERE in look.notes():
        pytest.skip(look.notes())
    assert look.holders[0]["path"] == "__main__.KEPT", look.verdict
    found = {(row["file"], row["line"]) for row in look.data["births"] if row["holder"] == "__main__.KEPT"}
    assert found <= {("<cell>", 7)}, look.data["births"]
    assert ":0 " not in look.verdict


MAKES = """
import json, os, time
KEPT = []
TEXT = json.dumps([[n, str(n)] for n in range(30)])

def parse(text):
    return json.loads(text)

def keep():
    KEPT.append(parse(TEXT))

os.write(1, b"x")
while True:
    keep()
    time.sleep(0.002)
"""


def test_made_by_a_library(tmp_path):
    """Bursts name the line with the holder in it, and where it was made."""
    program = tmp_path / "makes.py"
    program.write_text(MAKES)
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.read(1) == b"x"
            look = heaps.look(target.pid, "-d", 6, "--births", "burst")
        finally:
            target.kill()
    rows = [row for row in look.data["births"] if row["holder"] == "__main__.KEPT"]
    assert [(row["file"], row["line"], row["function"]) for row in rows] == [(str(program), 10, "keep")], look.data
    assert rows[0]["stack"] == ["%s:10 keep" % program, "%s:14 <module>" % program]
    assert "/json/" in rows[0]["made"] and 0 < rows[0]["entries"] < rows[0]["insertions"], rows
    assert ", made in %s:10 keep" % program in look.verdict, look.verdict


HANGS = """
#include <unistd.h>
/* Its thread sleeps in the kernel, where nothing stops it. */
void hang(unsigned seconds)
{
	if (!vfork()) {
		sleep(seconds);
		_exit(0);
	}
}
"""
STUCK = """import ctypes, os, sys, threading, time
KEPT = []
def hang(library=ctypes.CDLL(sys.argv[1])):
    while True:
        library.hang(2)
threading.Thread(target=hang, daemon=True).start()
longest, last = 0, time.monotonic()
os.write(1, b"ready\\n")
while True:
    KEPT.append([len(KEPT)])
    now = time.monotonic()
    if now - last > longest:
        longest = now - last
        os.write(1, b"%f\\n" % longest)
    last = now
    time.sleep(0.0005)
"""


def test_thread_that_does_not_stop(tmp_path):
    """The others go on, although a burst wants all of them to stand still; none stays stopped until the end."""
    library = str(tmp_path / "hangs.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=HANGS.encode(), check=True)
    with subprocess.Popen([sys.executable, "-c", STUCK, library], stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.readline() == b"ready\n"
            look = heaps.look(target.pid, "-d", 15, "--births", "burst")
        finally:
            target.kill()
        longest = float(target.stdout.read().split()[-1])
    assert look.holders[0]["path"] == "__main__.KEPT", look.verdict
    assert look.data["births"] or "one of its threads does not stop" in look.notes(), look.notes()
    # Without a stop the longest pause is that of a busy machine.
    assert longest < 5, longest


ALIKE = """import os, time
KEPT = {}
def work(number):
    return len([{"row": i, "text": str(number + i)} for i in range(20)])
os.write(1, b"x")
number = 0
while True:
    for _ in range(20):
        number += 1
        for _ in range(4):
            work(number)
        KEPT[number] = [number, str(number)]
    time.sleep(0.0005)
"""


def test_what_is_kept_is_like_what_was_there():
    """Objects that die, in whose place one of the same value is kept: their line put nothing there."""
    with subprocess.Popen([sys.executable, "-c", ALIKE], stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout.read(1) == b"x"
            look = heaps.look(target.pid, "-d", 8, "--births", "burst")
        finally:
            target.kill()
    assert look.holders[0]["path"] == "__main__.KEPT", look.verdict
    assert {row["line"] for row in look.data["births"] if row["holder"] == "__main__.KEPT"} == {12}, look.data["births"]


BESIDE = """import select, sys
class App:
    pass
def table():
    return [bytes(400) for _ in range(200000)]
if sys.argv[1] == "variable":
    big, kept = table(), []
    append = lambda one: kept.append(one)
elif sys.argv[1] == "attribute":
    app = App()
    app.table, app.kept = table(), []
    append = lambda one: app.kept.append(one)
else:
    index = {"table": table(), "kept": []}
    append = lambda one: index["kept"].append(one)
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.005)[0]:
    for _ in range(100):
        append(object())
"""


@pytest.mark.parametrize("kind,path", [("variable", "__main__.kept"), ("attribute", "__main__.app.kept"),
                                       ("entry", "__main__.index['kept']")])
def test_what_grows_beside_something_large(kind, path):
    """A table that has nine tenths of all hides nothing that lies beside it."""
    target = subprocess.Popen(["/usr/bin/python3", "-c", BESIDE, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        # What grows here moves again and again: a copy that is made meanwhile may miss it, and says so.
        look = heaps.look(target.pid, "-d", 3, "--births", "off", "--pause")
    finally:
        target.kill()
        target.communicate()
    first = look.holders[0]
    assert first["path"] == path and first["entries_grown"] > 0, [(h["path"], h["grown_bytes"]) for h in look.holders[:5]]
    assert "kept by %s" % path in look.verdict, look.verdict
