# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Signals are obeyed within moments, whatever it is that is being examined."""
import contextlib
import os
import signal
import subprocess
import time

import pytest

import harness
from harness import Target, Tool
from hostile_elf import sparse_elf
from test_reads import Program, dense_elf, folder, hanging, mapper  # noqa: F401


def examiners_of(process):
    """PIDs of its examiners: one, as a rule, or none; more if one is left behind."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for keeper in harness.children_of(process.pid, "pymem-keeper"):
            found += harness.children_of(keeper, "pymem-examiner")
    return found


def has_open(folder):
    """Is the examiner at a file in there?"""
    def look(examiner):
        files = "/proc/%d/fd" % examiner
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(files):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if os.readlink(os.path.join(files, name)).startswith(folder):
                        return True
        return False
    return look


def ends(words, examines, signals):
    """Status of a profiler, and the seconds that it goes on after it got so many signals while `examines` is true
    of its examiner; without signals: after that moment. None: it had ended before."""
    with Tool(*words, output=False) as tool:
        while not any(map(examines, examiners_of(tool.process))):
            if tool.process.poll() is not None:
                return None
        began = time.monotonic()
        for number in range(signals):
            tool.process.send_signal(signal.SIGINT)
            # Two that come at once are one.
            harness.until(lambda: tool.process.poll() is not None or
                          not harness.is_pending(tool.process.pid, signal.SIGINT), "received")
        status = tool.wait()
        # As a shell has it, where the signal itself has ended the process.
        return 128 - status if status < 0 else status, time.monotonic() - began


def usual_end(system):
    """How long a profiler goes on after a signal here, where nothing holds it up."""
    with Target(system, "idle") as target:
        tool = Tool("-p", target.pid).attached()
        began = time.monotonic()
        assert tool.stop() == 0, tool.stderr
        return time.monotonic() - began


def check_interrupted(words, examines, seconds):
    """-p has its report given up by the second signal at once, and its examination by the first; ps ends by one."""
    first = "-p" not in words
    for signals in (1,) if first else (1, 2):
        tried = [ends(words, examines, signals) for _ in range(3)]
        tried = [end for end in tried if end]
        assert tried, "it never examines that"
        assert min(end[1] for end in tried) < seconds, tried
        if first or signals == 2:
            # On a slow machine the first one may have ended it before the second one was sent.
            assert (130 in [end[0] for end in tried]) and {end[0] for end in tried} <= {130, 1}, tried
        else:
            assert {end[0] for end in tried} == {1}, tried


@pytest.mark.attack("the profiler ignores signals", "it is asked to end while it examines what never answers")
@pytest.mark.parametrize("how", ["-p", "ps"])
def test_hangs_and_ends(hanging, folder, system, how):  # noqa: F811
    """While it waits for the examiner, which it does for 2 s, Ctrl-C counts."""
    check_interrupted(["-p", hanging] if how == "-p" else ["ps"], has_open(folder), 1 + 3 * usual_end(system))


@pytest.mark.attack("the profiler ignores signals",
                    "it is asked to end while it examines ELF files of huge tables, with holes and without")
@pytest.mark.parametrize("how", ["-p", "ps"])
@pytest.mark.parametrize("make, count", [(sparse_elf, 8), (dense_elf, 6)], ids=["sparse", "dense"])
def test_ends_amid_huge_files(mapper, folder, system, how, make, count):  # noqa: F811
    """Long before the examination ends by itself; how long that takes on this machine is looked at first."""
    files = [os.path.join(folder, "huge%d" % i) for i in range(count)]
    make(files[0], 96 << 20)
    for path in files[1:]:
        # Holes stay holes.
        subprocess.run(["cp", "--sparse=auto", files[0], path], check=True)
    with Program([mapper] + files) as program:
        assert program.first == "mapped"
        words = ["-p", program.pid] if how == "-p" else ["ps"]
        whole = min((end[1] for end in [ends(words, has_open(folder), 0) for _ in range(3)] if end), default=0)
        if whole < 0.5:
            # Holes are skipped, and a fast machine reads tables, before a signal could come: it is sent as soon as there
            # is an examiner.
            tried = [end for end in [ends(words, lambda _: True, 1) for _ in range(3)] if end]
            assert tried and min(end[1] for end in tried) < 1 + 3 * usual_end(system), tried
            return
        check_interrupted(words, has_open(folder), whole / 2)


def catches(pid, number):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open("/proc/%d/status" % pid) as f:
        return any(line.startswith("SigCgt:") and int(line.split()[1], 16) >> (number - 1) & 1 for line in f)


def test_signal_while_it_loads(system):
    """No examination begins after it."""
    said = []
    with Target(system, "idle") as target:
        for _ in range(5):
            with Tool("-p", target.pid, output=False) as tool:
                while not catches(tool.process.pid, signal.SIGINT) and tool.process.poll() is None:
                    pass
                tool.process.send_signal(signal.SIGINT)
                status = tool.wait()
                said.append((status, tool.stderr))
    text = b"interrupted before PID %d was attached to" % target.pid
    assert [status for status, lines in said if text in lines], said
    assert all(status == 1 for status, lines in said if text in lines), said
