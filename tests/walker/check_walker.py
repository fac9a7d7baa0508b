#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the BPF walker, built into a program, over the memory of live interpreters.

  tests/walker/check_walker.py BINARY [ROOT:]PYTHON...

For each interpreter (inside the chroot ROOT, if given) a program is started whose threads have stacks of all
kinds. It writes down its own frames and is stopped. Then BINARY (build/walker/modern or legacy) walks them in
a copy of its memory, unchanged and with faults: see walker.c. Prints its line of results for each. Needs root
or ptrace rights. Exit status 1 if any interpreter fails.
"""
import os
import signal
import subprocess
import sys
import tempfile
import zlib

SECONDS = 600
# File names of one, two and four bytes a character; one with a byte that is no UTF-8.
TARGET_NAMES = ["plain.py", "ziel_\u76ee.py", "ziel_\U0001f40d.py", "ziel_\udce9.py"]
TARGET = '''\
import os, sys, threading
hold = threading.Lock()
hold.acquire()
ready, tell = os.pipe()

def truth(frame):
    while frame:
        code = frame.f_code
        yield (frame.f_lineno, code.co_filename, getattr(code, "co_qualname", code.co_name))
        frame = frame.f_back

def report(frame):
    frames = sys._current_frames()
    order = [threading.get_ident()] + others
    frames[order[0]] = frame
    with open(sys.argv[1], "w", encoding="utf-8", errors="surrogateescape") as out:
        for ident in order:
            out.write("T %d\\n" % ident)
            for line in truth(frames[ident]):
                out.write("F %d\\t%s\\t%s\\n" % line)
    sys.stdout.write("ready\\n")
    sys.stdout.flush()

def sleeper(self=None):
    others.append(threading.get_ident()); os.write(tell, b"x"); hold.acquire()

class Worker(threading.Thread):
    def run(self):
        self.st\u00f6p(
            1,
            2)

    def st\u00f6p(self, *numbers):
        for number in numbers:
            sleeper(
            )

class Deep(threading.Thread):
    def run(self):
        self.down(200)

    def down(self, left):
        if left:
            return self.down(left - 1)
        sleeper(self)

def leaf():
    report(sys._getframe()); os.read(0, 1)

def numbers():
    x = 1
    yield x
    leaf()
    yield 2

def outer():
    def key(n):
        return [i for i in numbers()]
    return sorted([1], key=key)

LONG = "def long():\\n" + "    x = 1\\n" * 3000 + "    return outer()\\n"

class Caller:
    def __enter__(self):
        namespace = {"outer": outer}
        exec(compile(LONG, "<long>", "exec"), namespace)
        namespace["long"]()

    def __exit__(self, *args):
        pass

def with_it(depth):
    if depth: return with_it(depth - 1)
    with Caller():
        pass

others = []
for kind in Worker, Deep:
    kind(daemon=True).start()
    os.read(ready, 1)
(lambda: with_it(5))()
'''


def in_read(pid):
    """Is the first thread in read(0, …)?"""
    with open("/proc/%d/syscall" % pid, encoding="ascii") as file:
        words = file.read().split()
    return len(words) > 1 and words[0] in ("0", "63") and words[1] == "0x0"


def stop(pid):
    """Stops the program once it is back from reporting and waits."""
    while not in_read(pid):
        os.kill(pid, 0)
    os.kill(pid, signal.SIGSTOP)
    for task in os.listdir("/proc/%d/task" % pid):
        while open("/proc/%d/task/%s/stat" % (pid, task), encoding="utf-8",
                   errors="replace").read().rsplit(") ")[-1][0] != "T":
            pass


def check(binary, python, name):
    root, _, exe = python.rpartition(":")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        inside = os.path.join(folder, name)
        # /tmp of a chroot is its own, unless it is entered with pythons.sh.
        real = root + inside
        os.makedirs(os.path.dirname(real), exist_ok=True)
        with open(real, "w", encoding="utf-8") as file:
            file.write(TARGET)
        prefix = ["chroot", root] if root else []
        child = subprocess.Popen(prefix + [exe, "-X", "utf8", inside, inside + ".truth"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env={**os.environ, "LC_ALL": "C.UTF-8"})
        try:
            if child.stdout.readline() != b"ready\n":
                raise ValueError("the target did not start")
            stop(child.pid)
            done = subprocess.run([binary, str(child.pid), real + ".truth"], timeout=SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            sys.stdout.write(done.stdout.decode("utf-8", "replace"))
            return done.returncode == 0
        except (ValueError, OSError, subprocess.TimeoutExpired) as error:
            print("%s: %s" % (python, error))
            return False
        finally:
            child.kill()
            child.wait()
            if root:
                for path in real, real + ".truth":
                    if os.path.exists(path):
                        os.unlink(path)
                os.rmdir(os.path.dirname(real))


def name_for(binary, python):
    """One of the names: another for each interpreter and build, the same in each run."""
    key = os.path.basename(binary) + python.rpartition("/pythons/")[2]
    return TARGET_NAMES[zlib.crc32(key.encode()) % len(TARGET_NAMES)]


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: check_walker.py BINARY [ROOT:]PYTHON...")
    results = [check(sys.argv[1], python, name_for(sys.argv[1], python)) for python in sys.argv[2:]]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
