# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where the report goes: stdout, files, terminals; closed and full ones."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

import harness
from conftest import probed, pythons
from harness import Target, Tool

CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]")
ESCAPE = re.compile(rb"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Za-z0-9])")


def test_table_when_piped(system):
    """Printed once, without a control byte, with the line's number and source text."""
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid, output=False) as tool:
            tool.attached()
            target.go()
            assert tool.stop() == 0, tool.stderr
            said = tool.stdout()
    line = harness.labels(target.path)["grow"]
    assert not CONTROL.search(said)
    assert ("grow.py:%d" % line).encode() in said
    assert b"keep = bytearray(64 * MIB)" in said
    assert said.count(str(target.pid).encode()) >= 1
    assert b"64.0 MiB" in said or b"64.1 MiB" in said


def test_function(some_python):
    """-f: the annotated source of one function, with every one of its lines."""
    with Target(some_python.command, "seed") as target:
        with Tool("-p", target.pid, "-f", "sum_of_lists", output=False) as tool:
            tool.attached()
            target.go()
            assert tool.stop() == 0, tool.stderr
            said = tool.stdout().decode()
    for text in ("total = 0", "for i in range(5):", "L = [j ^ (j >> i)", "del L", "return total"):
        assert text in said, said


def test_function_never_seen(system):
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid, "-f", "no_such_function", output=False) as tool:
            tool.attached()
            target.go()
            assert tool.stop() == 1
            assert b"no_such_function" in tool.stderr


def test_top(system):
    """-n limits the table, not JSON."""
    counts = {}
    for top in ("3", "0"):
        with Target(system.command, "wide") as target:
            with Tool("-p", target.pid, "-n", top, output=False) as tool:
                tool.attached()
                target.go()
                assert tool.stop() == 0, tool.stderr
                counts[top] = len(set(re.findall(rb"<wide>:\d+", tool.stdout())))
    assert counts["3"] <= 3 and counts["0"] == 300


@pytest.mark.attack("root's terminal",
                    "control and bidirectional characters in names of functions and files, and in sources")
def test_control_bytes_are_escaped(python):
    """In tables and JSON alike; JSON's own escapes decode to the true names."""
    for form in ([], ["--format", "json"]):
        with Target(python.command, "escapes") as target:
            with Tool("-p", target.pid, *form, output=False) as tool:
                tool.attached()
                target.go()
                assert tool.stop() == 0, tool.stderr
                said = tool.stdout()
        assert not CONTROL.search(said), CONTROL.search(said)
        assert b"evil" in said
        if form:
            rows = [r for p in json.loads(said.decode())["processes"] for r in p["lines"]]
            rows = [r for r in rows if r["file"].endswith("evil>")]
            assert sum(r["grown_bytes"] for r in rows) >= 16 * harness.MIB
            if python.version >= (3, 8):
                assert any("evil" in r["function"] for r in rows)


HOSTILE = b"evil\x1b]0;owned\x07\x1b[31m\x7f\xc2\x9b1m\xc2\x85\xe2\x80\xaeend\xff"


@pytest.mark.attack("root's terminal",
                    "control characters in a command line, seen by ps")
@pytest.mark.parametrize("form", [[], ["--format", "json"]], ids=["table", "json"])
def test_control_bytes_are_escaped_by_ps(system, form):
    """A command line is its process's to choose: ESC, BEL, DEL, C1, bidirectional overrides."""
    code = "import os; os.write(1, b'x'); os.read(0, 1)"
    with subprocess.Popen(system.command + ["-c", code, HOSTILE], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.read(1)
        try:
            done = subprocess.run([harness.TOOL, "ps"] + form, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=harness.PATIENCE)
        finally:
            process.kill()
    assert done.returncode == 0, done.stderr
    assert not CONTROL.search(done.stdout), CONTROL.search(done.stdout)
    assert b"evil" in done.stdout
    if form:
        row = [p for p in json.loads(done.stdout.decode("ascii"))["processes"]
               if p["pid"] == process.pid]
        assert row[0]["cmdline"][-1] == HOSTILE.decode("utf-8", "replace")


@contextlib.contextmanager
def edited_while_it_runs(python, folder):
    """A program whose file has been written to since it was started."""
    path = str(folder / "changing.py")
    shutil.copy(harness.program_path("changing"), path)
    with Target(python.command, "changing", path) as target:
        time.sleep(1.1)  # process start times have the resolution of a clock tick
        with open(path, "a") as f:
            f.write("# edited\n")
        yield target


def test_source_changed(system, tmp_path):
    """The file was edited after the process started: its text is not to be trusted."""
    with edited_while_it_runs(system, tmp_path) as target:
        with Tool("-p", target.pid, output=False) as tool:
            tool.attached()
            target.go()
            assert tool.stop() == 0, tool.stderr
            said = tool.stdout().decode() + tool.stderr.decode()
    assert "changed" in said or "modified" in said, said


def launched(system, path, *options):
    """What the table says of a program, run with those rights of its own."""
    with Tool("-q", *options, "--", *system.command, path, output=False, stdin=subprocess.PIPE,
              env=harness.environment(LC_ALL="C.UTF-8")) as tool:
        tool.release()
        assert tool.wait() == 0, tool.stderr
        return tool.stdout()


LATIN = ("# -*- coding: %s -*-\nimport os\nos.read(0, 1)\nkeep = []\n"
         "keep.append(('\u00e4\u00f6', bytearray(8 << 20)))\n")


@pytest.mark.parametrize("coding", ["latin-1", "cp1252", "utf-8"])
def test_source_encodings(system, tmp_path, coding):
    """PEP 263: the text is shown, whatever it was written in."""
    path = tmp_path / "declared.py"
    path.write_bytes((LATIN % coding).encode(coding))
    assert "keep.append(('\u00e4\u00f6', bytearray(8 << 20)))" in \
        launched(system, str(path), "-n", "0").decode("utf-8")


def test_file_name_is_not_utf8(tmp_path):
    """Its source is found all the same. Where somebody has enabled line probes, CPython 3.11 itself fails on
    such a name: an interpreter without them."""
    plain = [p for p in pythons() if p.name not in probed()][0]
    path = os.path.join(os.fsencode(str(tmp_path)), b"caf\xe9.py")
    with open(path, "wb") as f:
        f.write(b"import os\nos.read(0, 1)\nkeep = bytearray(8 << 20)  # found\n")
    said = launched(plain, os.fsdecode(path), "-n", "0")
    assert b"# found" in said
    assert b"caf" in said and not CONTROL.search(said)


def test_no_file_name(system, tmp_path):
    """compile(…, "")"""
    path = tmp_path / "unnamed.py"
    path.write_text("import os\nos.read(0, 1)\nexec(compile('keep = bytearray(8 << 20)', '', 'exec'))\n")
    said = launched(system, str(path), "-n", "0")
    assert b"(no file name):1" in said and b"?:1" not in said


def test_source_changed_but_not_its_time(system, tmp_path):
    """A deploy may set the times of what it writes back."""
    with edited_while_it_runs(system, tmp_path) as target:
        os.utime(target.path, (1e9, 1e9))
        with Tool("-p", target.pid, output=False) as tool:
            tool.attached()
            target.go()
            assert tool.stop() == 0, tool.stderr
            assert b"changed since the process started" in tool.stdout()


def written(system, expected, **popen):
    """Status and stderr of a run whose report can't be written; the target lives."""
    with Target(system.command, "grow") as target:
        with Tool("-p", target.pid, output=False, **popen) as tool:
            tool.attached()
            target.go()
            status = tool.stop()
            assert status == expected, "status %s: %s" % (status, tool.stderr)
            said = tool.stderr
        assert target.end() == 0
    return said


def test_stdout_full(system):
    assert b"No space left" in written(system, 1, stdout=open("/dev/full", "wb"))


def test_stdout_closed(system):
    written(system, 1, before=("sh", "-c", 'exec "$@" >&-', "sh"))


@pytest.mark.parametrize("closed", ["<&- 2>&-", "2>&-", "<&- >&- 2>&-"])
def test_talk_is_not_written_into_the_report(system, tmp_path, closed):
    """With standard descriptors closed, the report's file does not get their numbers."""
    path = str(tmp_path / "report")
    with Target(system.command, "grow") as target:
        tool = subprocess.Popen(["sh", "-c", 'exec "$@" ' + closed, "sh", harness.TOOL, "-p",
                                 str(target.pid), "-d", "1", "--format", "json", "-o", path])
        assert tool.wait(harness.PATIENCE) == 0
    with open(path) as f:
        assert json.load(f)["schema"] == "pymem-bpf/1"


def test_stdout_pipe_broken(system):
    """As by `| head`: all reports say so (test_heap.test_closed_pipe, test_memit.test_output_that_cannot_be_written)."""
    reader, writer = os.pipe()
    os.close(reader)
    assert b"the report could not be written: Broken pipe" in written(system, 1, stdout=os.fdopen(writer, "wb"))


def test_output_in_no_folder(system):
    with Target(system.command, "idle") as target:
        done = subprocess.run([harness.TOOL, "-p", str(target.pid), "-o", "/no/such/folder/x"],
                              stderr=subprocess.PIPE, timeout=harness.PATIENCE)
    assert done.returncode == 1 and b"/no/such/folder/x" in done.stderr


def test_disk_full(system, tmp_path):
    """Neither a part of the report nor a temporary file stays; what was there before does."""
    disk = str(tmp_path / "disk")
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        with open(disk + "/report", "w") as f:
            f.write("earlier")
        with open(disk + "/filler", "wb") as f:
            f.write(b"x" * (48 << 10))
        with Target(system.command, "wide") as target:
            with Tool("-p", target.pid, "--format", "json", "-o", disk + "/report", output=False) as tool:
                tool.attached()
                target.go()
                assert tool.stop() == 1, tool.stderr
                assert b"No space left" in tool.stderr
            assert target.end() == 0
        assert sorted(os.listdir(disk)) == ["filler", "report"]
        with open(disk + "/report") as f:
            assert f.read() == "earlier"
    finally:
        subprocess.run(["umount", disk], check=True)


def redraws(said):
    return len(re.findall(rb"\x1b\[(?:1;1)?H", said))


def run_on_terminal(target, columns, seconds):
    """All that the profiler writes to a terminal of that width, until Ctrl-C is typed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    env.update(TERM="xterm", LC_ALL="C.UTF-8")
    with Tool("-p", target.pid, output=False, stdout=os.fdopen(slave, "wb"), env=env) as tool:
        said, end = b"", None
        tool.attached()
        target.go()
        stop = time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            now = time.monotonic()
            if end is None and now >= stop and (redraws(said) >= 2 or now > stop + harness.PATIENCE):
                tool.process.send_signal(signal.SIGINT)
                end = time.monotonic() + harness.PATIENCE
            if not select.select([master], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # EIO: the last user of the terminal is gone
                break
            said += data
        assert tool.wait() == 0, tool.stderr
    os.close(master)
    return said


def final_screen(said):
    """What stays on the terminal: after the last switch back from the other screen."""
    return said.rpartition(b"\x1b[?1049l")[2]


@pytest.mark.parametrize("columns", [40, 100])
def test_terminal(system, columns):
    """Redraws in place, then prints the final table, no line wider than the terminal."""
    with Target(system.command, "grow") as target:
        said = run_on_terminal(target, columns, 2.5)
    assert redraws(said) >= 2, "it did not redraw"
    assert b"\x1b[?1049h" not in said or b"\x1b[?1049l" in said, "the other screen was not left"
    text = ESCAPE.sub(b"", final_screen(said)).decode()
    assert "grow.py" in text
    for line in text.replace("\r", "").split("\n"):
        assert len(line) <= columns, "%d columns: %r" % (len(line), line)
