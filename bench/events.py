#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each source of --events costs: bench/events.py [--rounds N].

Each does work of which it is known how much there is (workloads/events.py), in three ways that take turns: `off`, the process is
profiled without the source; `idle`, the source is there, and another process is profiled; `busy`, the process is profiled with it.
The time is that of all of the profiler's BPF programs, by the kernel's own clock (sysctl kernel.bpf_stats_enabled), for each unit
of the work; what that clock takes by itself is in it, once for each run of a program, so the number of runs is told, and how long
the quickest program takes. Medians. bench/report.py puts the table into docs/EVENTS.md, between its markers.

It needs root, and control groups of memory.
"""
import argparse
import contextlib
import os
import subprocess
import sys
import tempfile

import common
import tables
import tool
from common import Profiler

sys.path.insert(0, os.path.join(common.PROJECT, "tests", "e2e"))
import kernel_side  # noqa: E402

WORK = os.path.join(common.HERE, "workloads", "events.py")
# source: (work, what a unit is)
SOURCES = {
    "reclaim": ("reclaim", "page read beyond the limit of a control group"),
    "cache": ("cache", "page read cold, and dropped"),
    "kernel": ("kernel", "pair of sockets, made and closed"),
    "huge": ("huge", "huge page touched, and given back"),
    "swap": ("touch", "page touched, and given back"),
    "external": ("touch", "page touched, and given back"),
}
FILE, LIMIT = 48 << 20, 32 << 20
WAYS = tables.EVENT_WAYS


class Work:
    """The program, ready; in a control group of its own if it is to reclaim."""

    def __init__(self, python, case, path, members=None):
        enter = ["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', members] if members else []
        self.process = subprocess.Popen(enter + [python, "-B", WORK, case, path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdout.readline() == b"ready\n"

    def go(self):
        self.process.stdin.write(b"\n")
        return int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(common.PATIENCE)
        self.process.stdout.close()


@contextlib.contextmanager
def cold_file():
    with tempfile.NamedTemporaryFile(dir=common.PROJECT, prefix=".events.") as f:
        for _ in range(FILE >> 20):
            f.write(os.urandom(1 << 20))
        f.flush()
        os.fsync(f.fileno())
        yield f.name


def measure(python, source, way, path):
    """{"ns": of all programs for a unit, "runs": of them for a unit, "loaded": [program], "own": {program: ns a run}, of those that
    ran often enough, "least": ns a run of the quickest one}"""
    with contextlib.ExitStack() as stack:
        case = SOURCES[source][0]
        members = stack.enter_context(kernel_side.limited(LIMIT)) if case == "reclaim" else None
        with open(path, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        work = stack.enter_context(Work(python, case, path, members))
        other = stack.enter_context(Work(python, case, path))
        watched = other if way == "idle" else work
        stack.enter_context(tool.counting())
        profiler = stack.enter_context(Profiler(*([] if way == "off" else ["--events", source]), "-p", str(watched.process.pid)))
        files = tool.program_files(profiler.pid)
        before = {name: tool.read_times(path) for name, path in files.items()}
        units = work.go()
        after = {name: tool.read_times(path) for name, path in files.items()}
    ran = {name: (after[name][0] - ns, after[name][1] - runs) for name, (ns, runs) in before.items()}
    return {"ns": sum(ns for ns, _ in ran.values()) / units, "runs": sum(runs for _, runs in ran.values()) / units,
            "loaded": sorted(ran), "own": {name: ns / runs for name, (ns, runs) in ran.items() if runs >= 100},
            "least": min((ns / runs for ns, runs in ran.values() if runs >= 100), default=None)}


def all_of(python, rounds):
    """{source: {way: [what measure() found, of each round]}}; rounds take turns."""
    found = {source: {way: [] for way in WAYS} for source in SOURCES}
    with cold_file() as path:
        for number in range(rounds):
            for source in SOURCES:
                for way in WAYS:
                    found[source][way].append(measure(python, source, way, path))
            print("round %d of %d" % (number + 1, rounds), file=sys.stderr, flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default="/usr/bin/python3")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be positive")
    try:
        found = all_of(options.python, options.rounds)
    except kernel_side.pytest.skip.Exception as e:
        common.skip("events.py", str(e))
    data = {"machine": common.machine(), "python": common.version_of(options.python), "rounds": options.rounds,
            "load": os.getloadavg()[0],
            "sources": {source: dict(ways, unit=SOURCES[source][1]) for source, ways in found.items()}}
    common.save("events.json", data)
    print(tables.events_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
