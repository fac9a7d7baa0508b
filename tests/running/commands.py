# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs commands with a time limit. Each line of their output is noted with its time.

Each command is a process group of its own. If it is given up, all that it started is ended, too.
stop_all() does that for all commands when the run itself is interrupted.
"""
import os
import signal
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
PROJECT = os.path.dirname(TESTS)
# After SIGINT, which lets pytest's fixtures clean up, and for what is still in the pipe after the end.
GRACE_SECONDS, DRAIN_SECONDS = 20, 10

running, lock, stopping = set(), threading.Lock(), threading.Event()


class Ended:
    """A command that ended. `status`: None if it was given up, -1 if it could not be started. `lines`:
    (seconds since its start, line)."""

    def __init__(self, status, lines, seconds):
        self.status, self.lines, self.seconds = status, lines, seconds

    def output(self):
        return "\n".join(line for _, line in self.lines).rstrip()


def describe(status):
    if status is None:
        return "no end in the time allowed"
    return "status %d" % status if status >= 0 else "signal %d, or it can't be started" % -status


def read_lines(pipe, start, lines, each):
    for raw in pipe:
        line = raw.decode("utf-8", "replace").rstrip("\n")
        lines.append((time.monotonic() - start, line))
        if each:
            each(line)


def signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def give_up(process):
    signal_group(process, signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    signal_group(process, signal.SIGKILL)
    process.wait()


def begin(command, **how):
    """Under the lock, so that stop_all() misses none."""
    with lock:
        if stopping.is_set():
            raise InterruptedError("not started: the run was interrupted")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, cwd=PROJECT, start_new_session=True, **how)
        running.add(process)
    return process


def run(command, seconds, each=None, **how):
    """An Ended. `each` is called with every line as it comes, from another thread."""
    start, lines = time.monotonic(), []
    try:
        process = begin(command, **how)
    except OSError as e:
        return Ended(-1, [(0.0, str(e))], 0.0)
    reader = threading.Thread(target=read_lines, args=(process.stdout, start, lines, each), daemon=True)
    reader.start()
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        give_up(process)
        status = None
    finally:
        with lock:
            running.discard(process)
    reader.join(DRAIN_SECONDS)
    if reader.is_alive():
        # Closing it would wait for the reader.
        lines.append((time.monotonic() - start, "(a process that it left behind still holds its output)"))
    else:
        process.stdout.close()
    return Ended(status, list(lines), time.monotonic() - start)


def stop_all():
    """Ends what runs; nothing can be started any more."""
    with lock:
        stopping.set()
        left = list(running)
    for process in left:
        signal_group(process, signal.SIGINT)
    for process in left:
        give_up(process)
