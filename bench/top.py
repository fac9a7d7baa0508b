#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the live screen needs: CPU time of all its processes while it is watched, for one process and for many,
idle and growing.

Each runs in a pseudoterminal of 120 x 40 that is read, for --seconds after --settle. CPU is utime plus stime of
the screen and of all its helpers, those included that have ended.
"""
import argparse
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import common
import tables
from common import Sleepers

TICKS = os.sysconf("SC_CLK_TCK")


def tree_of(pid):
    """The process and all that descend from it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError), open("/proc/%d/task/%d/children" % (parent, parent)) as f:
            found += [int(child) for child in f.read().split()]
    return found


def cpu_of(pid):
    """(name, CPU seconds) of a process, with those of children that it has waited for."""
    with open("/proc/%d/stat" % pid) as f:
        before, after = f.read().rsplit(")", 1)
    words = after.split()
    return before.split("(", 1)[1], sum(map(int, words[11:15])) / TICKS


def cpu_by_name(pid):
    found = {}
    for one in tree_of(pid):
        name, seconds = cpu_of(one)
        found[name] = found.get(name, 0) + seconds
    return found


class Screen:
    """`pymem-bpf top` in a terminal that nobody looks at. `sent`: bytes that it has drawn."""

    def __init__(self, *arguments, columns=120, rows=40):
        self.sent = 0
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update({"TERM": "xterm-256color", "LANG": "C.UTF-8"})
            os.execv(common.TOOL, [common.TOOL, "top", *arguments])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.shown, self.ended = threading.Event(), threading.Event()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        with contextlib.suppress(OSError):  # EIO: it has ended
            while not self.ended.is_set():
                if not select.select([self.fd], [], [], 0.2)[0]:
                    continue
                text = os.read(self.fd, 65536)
                self.sent += len(text)
                if b"q quit" in text:
                    self.shown.set()

    def key(self, key):
        os.write(self.fd, key)

    def __enter__(self):
        if not self.shown.wait(common.PATIENCE):
            raise RuntimeError("no screen")
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        self.ended.set()
        self.reader.join()
        os.close(self.fd)


class Growers:
    """Pythons that grow slowly."""

    def __init__(self, python, count, rate):
        command = [python, "-B", os.path.join(common.HERE, "workloads", "grow.py"), str(rate)]
        self.processes = [subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) for _ in range(count)]
        for process in self.processes:
            common.read_line(process.stdout)
        self.pids = [p.pid for p in self.processes]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            process.stdout.close()


def measure(arguments, options, keys=b""):
    """({name: CPU %}, bytes a second) of a screen."""
    with Screen(*arguments) as screen:
        for key in keys:
            time.sleep(1)
            screen.key(bytes([key]))
        time.sleep(options.settle)
        before, sent, start = cpu_by_name(screen.pid), screen.sent, time.monotonic()
        time.sleep(options.seconds)
        after, seconds = cpu_by_name(screen.pid), time.monotonic() - start
        shares = {name: 100 * (used - before.get(name, 0)) / seconds for name, used in after.items()}
        return shares, (screen.sent - sent) / seconds


def row(what, measured, wanted):
    shares, sent = measured
    parts = ", ".join("%s %.2f" % (name.replace("pymem-", ""), share)
                      for name, share in sorted(shares.items(), key=lambda pair: -pair[1]) if share >= 0.005)
    return (what, "%.2f %% (%s)" % (sum(shares.values()), parts or "-"), "%.0f" % sent, wanted)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="that are measured (60)")
    parser.add_argument("--settle", type=float, default=10, help="before that (10)")
    parser.add_argument("--count", type=int, default=200, help="Pythons where there are many (200)")
    parser.add_argument("--rate", type=float, default=2, help="steps a second of those that grow (2)")
    parser.add_argument("--only", help="rows whose name has this")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
    return parser.parse_args()


def main():
    options = parse()
    rows = []

    def add(what, begin, arguments, wanted, keys=b""):
        if options.only and options.only not in what:
            return
        with begin() as targets:
            words = ["-p", str(targets.pids[0])] if arguments is None else arguments
            rows.append(row(what, measure(words, options, keys), wanted))
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)

    def idle(count):
        return lambda: Sleepers(options.python, count)

    def growing(count):
        return lambda: Growers(options.python, count, options.rate)
    add("one process, idle", idle(1), None, "<= 0.5 %")
    add("one process, growing", growing(1), None, "<= 0.5 %")
    add("%d processes, idle" % options.count, idle(options.count), ["-a"], "<= 2 %")
    add("%d processes, growing" % options.count, growing(options.count), ["-a"], "<= 2 %")
    add("%d processes, growing, paused" % options.count, growing(options.count), ["-a"], "<= 2 %", b" ")
    data = {"machine": common.machine(), "python": common.version_of(options.python),
            "seconds": options.seconds, "rows": rows}
    common.save("top.json", data)
    print(tables.top_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
