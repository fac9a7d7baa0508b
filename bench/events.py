#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each source of --events costs: bench/events.py [--rounds N] [--write].

Each does work of which it is known how much there is (workloads/events.py), in three ways that take turns: `off`, the process is
profiled without the source; `idle`, the source is there, and another process is profiled; `busy`, the process is profiled with it.
The time is that of all of the profiler's BPF programs, by the kernel's own clock (sysctl kernel.bpf_stats_enabled), for each unit
of the work; what that clock takes by itself is in it, once for each run of a program, so the number of runs is told, and how long
the quickest program takes. Medians. --write puts the table into docs/EVENTS.md, between its markers.

It needs root, and control groups of memory.
"""
import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

import common
import tool
from common import Profiler

sys.path.insert(0, os.path.join(common.PROJECT, "tests", "e2e"))
import kernel_side  # noqa: E402

WORK = os.path.join(common.HERE, "workloads", "events.py")
EVENTS = os.path.join(common.PROJECT, "docs", "EVENTS.md")
BEGIN, END = "<!-- events: begin, written by bench/events.py -->", "<!-- events: end -->"
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
WAYS = ("off", "idle", "busy")


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


def median(found, key):
    values = [one[key] for one in found if one[key] is not None]
    return statistics.median(values) if values else None


def own_programs(ways):
    """"cache_added 640, cache_deleted 210": what a run of each takes that is loaded with the source alone."""
    others = {name for one in ways["off"] for name in one["loaded"]}
    names = sorted({name for one in ways["busy"] for name in one["own"]} - others)
    return ", ".join("%s %.0f" % (name, statistics.median(one["own"][name] for one in ways["busy"] if name in one["own"]))
                     for name in names) or "-"


def table(found, rounds):
    least = min(median(ways[way], "least") or float("inf") for ways in found.values() for way in WAYS)
    lines = ["| source | unit | off, ns | idle, ns | busy, ns | runs of programs: off, idle, busy | its own programs, ns a run, busy |",
             "|---|---|---|---|---|---|---|"]
    for source, ways in found.items():
        lines.append("| `%s` | %s | %s | %s | %s |" % (
            source, SOURCES[source][1], " | ".join("%.0f" % median(ways[way], "ns") for way in WAYS),
            ", ".join("%.2f" % median(ways[way], "runs") for way in WAYS), own_programs(ways)))
    load = "; Linux %s, %d CPUs, load %.1f at the end" % (re.match(r"[\d.]+", os.uname().release)[0], os.cpu_count(), os.getloadavg()[0])
    return "\n".join(lines + ["", "Medians of %d%s. The quickest program took %.0f ns a run, the clock's own time included."
                              % (rounds, load, least)])


def put(text, what):
    assert text.count(BEGIN) == text.count(END) == 1 and text.index(BEGIN) < text.index(END), "no place for the table"
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n\n" + what + "\n\n" + END + rest.split(END)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--write", action="store_true", help="into docs/EVENTS.md")
    options = parser.parse_args()
    found = all_of(options.python, options.rounds)
    common.save("events.json", found)
    text = table(found, options.rounds)
    print(text)
    if options.write:
        with open(EVENTS, encoding="utf-8") as f:
            whole = put(f.read(), text)
        with open(EVENTS + ".new", "w", encoding="utf-8") as f:
            f.write(whole)
        os.replace(EVENTS + ".new", EVENTS)


if __name__ == "__main__":
    main()
