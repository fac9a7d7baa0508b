# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The report for people: the answer first, then what it rests on; and the screen that is redrawn."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import harness
from harness import Target, Tool

AMOUNT = re.compile(r"^\s*(-?[\d.]+) (MiB|KiB|B)\s")


def report_on(target, *options):
    """What is printed of it, from before its GO to its end."""
    with Tool("-p", target.pid, *options, output=False) as tool:
        tool.attached()
        target.go(tool.polled)
        assert tool.stop() == 0, tool.stderr
        return tool.stdout().decode()


def launched(system, code, *options, seconds=None):
    """What is printed of a command."""
    words = ["-q", *options, "--", *system.command, "-c", code]
    done = subprocess.run([harness.TOOL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=harness.environment(), timeout=seconds or harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_answer(system):
    """Which line did it, how fast, in per cent; no figures that need a manual."""
    with Target(system.command, "grow") as target:
        said = report_on(target)
    line = harness.labels(target.path)["grow"]
    head, figures, *_ = said.splitlines()
    together = head + "   " + figures
    assert head.startswith("grow.py") and "PID %d" % target.pid in head
    assert re.search(r"\bRSS \d+\.\d → \d+\.\d MiB   \+\d+\.\d MiB \(.*%\)", together), said
    assert re.search(r"^(All|9\d %%) of it by grow\.py:%d " % line, said, re.MULTILINE), said
    assert re.search(r"^ +64\.\d MiB  (100| 99| 98) %%  grow\.py:%d " % line, said, re.MULTILINE), said
    assert "unattributed" in said
    assert not re.search(r"charged|lost|walk|^ +0\.0 MiB", said, re.MULTILINE), said


def test_rows_add_up(system):
    """What is in rows is what is attributed: the change without what is named as unattributed."""
    with Target(system.command, "seed") as target:
        said = report_on(target, "-n", "3")
    rows = [AMOUNT.match(row) for row in said.split("\n\n")[1].splitlines()]
    shown = sum(float(row.group(1)) * {"MiB": 1, "KiB": 1 / 1024, "B": 0}[row.group(2)] for row in rows if row)
    change = float(re.search(r"MiB   ([-+]\d+\.\d) MiB", said.replace("\n", "   ")).group(1))
    lost = re.search(r"([-+]\d+\.?\d*) (MiB|KiB|B)(?: \(\d+ %\))? unattributed", said.replace("\n ", ""))
    lost = float(lost.group(1)) * {"MiB": 1, "KiB": 1 / 1024, "B": 0}[lost.group(2)] if lost else 0
    assert abs(shown - (change - lost)) < 0.4, said


def test_verbose(system):
    """-v has each figure of each process."""
    with Target(system.command, "grow") as target:
        said = report_on(target, "-v")
    assert said.startswith("PID %d  " % target.pid) and "engine walk" in said
    assert re.search(r"^Change +\+.* = charged .* \+ lost .* pages\)$", said, re.MULTILINE), said
    assert re.search(r"^Increment +Total .*Location", said, re.MULTILINE), said


def test_still(system):
    with Target(system.command, "idle") as target:
        with Tool("-p", target.pid, "-d", "1", output=False) as tool:
            tool.attached()
            assert tool.wait() == 0, tool.stderr
            said = tool.stdout().decode()
    assert re.search(r"^RSS did not change in 1\.\d s \(\d+\.\d MiB\)\.", said, re.MULTILINE), said


CALLS = ("import json\n"
         "def keep(n):\n"
         "    return bytearray(n << 20)\n"
         "def hook(pairs):\n"
         "    kept.append(keep(12))\n"
         "    return pairs\n"
         "kept = []\n"
         "json.loads('{\"a\": 1}', object_pairs_hook=hook)\n")


def test_paths(system):
    """A line is shown with its callers, those of libraries as a number."""
    said = launched(system, CALLS)
    rows = said.splitlines()
    at = [i for i, row in enumerate(rows) if re.search(r"^ +12\.\d MiB .* <string>:3 keep", row)]
    assert at, said
    path = rows[at[0] + 1].strip()
    assert re.match(r"← <string>:5 hook ← \d framework frames ← <string>:8 <module>$", path), said


def test_tree(system):
    """All callers, of a process that has ended too; those of libraries as a number."""
    rows = launched(system, CALLS, "--tree").splitlines()
    at = [i for i, row in enumerate(rows) if re.search(r"MiB  .*%  +<string>:8 <module>$", row)]
    assert len(at) == 1, rows
    below = rows[at[0] + 1:at[0] + 4]
    for row, wanted in zip(below, (r"\d framework frames$", "<string>:5 hook$", "<string>:3 keep$")):
        assert re.search(wanted, row), rows
    places = [re.search(r"<string>|\d framework", row).start() for row in [rows[at[0]]] + below]
    assert places == sorted(set(places)), rows


WORKERS = ("import os, time\n"
           "def work():\n"
           "    return bytearray(8 << 20)\n"
           "kept = []\n"
           "for i in range(3):\n"
           "    if not os.fork():\n"
           "        kept.append(work())\n"
           "        time.sleep(1)\n"
           "        os._exit(0)\n"
           "for i in range(3):\n"
           "    os.wait()\n")


def test_programs(system):
    """Workers are one program: their lines are added up, their RSS is in a line each. -v has each."""
    said = launched(system, WORKERS)
    assert "3 workers and their parent" in said.splitlines()[0], said
    assert re.search(r"^ +24\.\d MiB .* <string>:3 work", said, re.MULTILINE), said
    assert len(re.findall(r"^ +\d+  RSS [\d.]+ → ", said, re.MULTILINE)) == 4, said
    assert len(re.findall(r"^PID \d+  ", launched(system, WORKERS, "-v"), re.MULTILINE)) == 4


def test_imports(system):
    """What they take is one row."""
    said = launched(system, "import decimal, email.message, http.client, unittest, xml.dom.minidom\n")
    rows = said.split("\n\n")[1].splitlines()
    row = [r for r in rows if re.search(r"(MiB|KiB) .* %  imports", r)]
    assert len(row) == 1 and "<string>:1 <module>" in row[0], said
    assert len(rows) < 12, said


LINES = ("import os, time\n"
         "os.read(0, 1)\n"
         "kept = []\n" + "".join("kept.append(bytearray(%d << 13))\n" % (100 + n) for n in range(40)) +
         "os.write(1, b'x')\n"
         "time.sleep(60)\n")


def screens(rows, columns, *options):
    """The texts of all redraws on a terminal of that size."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    env.update(TERM="xterm", LC_ALL="C.UTF-8", NO_COLOR="1")
    said, sent = b"", False
    with subprocess.Popen(["/usr/bin/python3", "-c", LINES], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as target:
        with Tool("-p", target.pid, *options, output=False, stdout=os.fdopen(slave, "wb"), env=env) as tool:
            tool.attached()
            target.stdin.write(b"x")
            target.stdin.flush()
            end = time.monotonic() + harness.PATIENCE
            while time.monotonic() < end:
                if not select.select([master], [], [], 0.2)[0]:
                    continue
                try:
                    said += os.read(master, 65536)
                except OSError:
                    break
                if not sent and len(re.findall(rb"\x1b\[H", said)) >= 4:
                    tool.process.send_signal(signal.SIGINT)
                    sent = True
            assert tool.wait() == 0, tool.stderr
        target.kill()
    os.close(master)
    live = said.rpartition(b"\x1b[?1049l")[0].split(b"\x1b[H")[1:]
    return [re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", screen).decode().replace("\r", "") for screen in live]


def rows_of(screen):
    return len(re.findall(r"^ +[\d.]+ MiB .*<string>:\d+ ", screen, re.MULTILINE))


def test_live_screen():
    """It fits, is used, and obeys -n."""
    large = screens(40, 100)
    assert large and all(len(screen.splitlines()) < 40 for screen in large), large
    assert rows_of(large[-1]) == 20, large[-1]
    assert "Ctrl-C ends" in large[-1]
    small = screens(12, 100)
    assert all(len(screen.splitlines()) < 12 for screen in small), small
    assert 3 <= rows_of(small[-1]) < 12, small[-1]
    three = screens(40, 100, "-n", "3")
    assert rows_of(three[-1]) == 3, three[-1]
