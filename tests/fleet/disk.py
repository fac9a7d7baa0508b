# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A disk that is full and stays so, and programs of which a recording has something new all the time."""
import contextlib
import os
import subprocess
import tempfile
import threading

import harness

MIB = 1 << 20
BLOCK = 4096
# Each line of it grows, from functions that no other program has.
PROGRAM = """
import time
kept = []
def grow_%(number)d(depth, at):
    if depth:
        return grow_%(number)d(depth - 1, at)
    return LINES[at]()
LINES = []
%(lines)s
for round in range(3):
    for depth in range(8):
        for at in range(len(LINES)):
            grow_%(number)d(depth, at)
    time.sleep(1)
"""
LINE = "def line_%(number)d_%(at)d():\n    kept.append(bytes(20000))\nLINES.append(line_%(number)d_%(at)d)"


@contextlib.contextmanager
def small(folder, mebibytes):
    """A file system of its own, which can be full."""
    os.makedirs(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm,mode=700" % mebibytes, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def free_bytes(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Repeated:
    """A thread that does its step every so many seconds, as a context. error: what ended it before; None."""

    def __init__(self, seconds):
        self.seconds, self.over, self.error = seconds, threading.Event(), None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set():
                self.step()
                self.over.wait(self.seconds)
        except (OSError, subprocess.SubprocessError) as error:
            self.error = error

    def step(self):
        raise NotImplementedError

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Ballast(Repeated):
    """Fills a file system up to its last block, and what becomes free again, too; at the end it has room again."""

    def __init__(self, folder):
        super().__init__(0.1)
        self.folder, self.path = folder, os.path.join(folder, "ballast")
        self.step()

    def step(self):
        with open(self.path, "ab", buffering=0) as f:
            for size in MIB, BLOCK:
                with contextlib.suppress(OSError):
                    while f.write(bytes(size)):
                        pass

    def __exit__(self, *error):
        super().__exit__(*error)
        os.remove(self.path)


class Newcomers(Repeated):
    """Starts a program each second that nobody has met, with 320 stacks of its own."""

    def __init__(self):
        super().__init__(1)
        self.started, self.stack = [], contextlib.ExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="pymem-fleet."))

    def step(self):
        number = len(self.started)
        path = os.path.join(self.folder, "newcomer%d.py" % number)
        with open(path, "w", encoding="utf-8") as f:
            f.write(PROGRAM % {"number": number, "lines": "\n".join(LINE % {"number": number, "at": at} for at in range(40))})
        self.started.append(subprocess.Popen(["/usr/bin/python3", path], env=harness.environment()))

    def __exit__(self, *error):
        super().__exit__(*error)
        for process in self.started:
            process.kill()
            process.wait()
        self.stack.close()
