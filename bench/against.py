#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an event costs under one build of the profiler and under another, by the kernel's own count
(sysctl kernel.bpf_stats_enabled): bench/against.py OLD/build/pymem-bpf [--new build/pymem-bpf]. Or
what an option costs: bench/against.py build/pymem-bpf --new-options=--touched.

A round runs each workload under the one and the other, the first of them in turn, so that what else
the machine does meets both. The table has the medians of ns an event and of the rounds' ratios. Other
changes than RSS's at a page fault, such as munmap's, are in it as the workload brings them.
"""
import argparse
import os
import statistics
import sys

import common
import tool
from common import Profiler, Workload

# glibc fills memory with `rep stosb`, of which each fault but the first needs no walk, from this
# size on: with it out of reach, each fault walks.
PLAIN = {"GLIBC_TUNABLES": "glibc.cpu.x86_rep_stosb_threshold=0x4000000000"}

# name: program and arguments, environment
CASES = {
    "storm, 4 frames": (["storm.py", "4"], {}),
    "storm, 33 frames": (["storm.py", "33"], {}),
    "storm that walks, 4 frames": (["storm.py", "4"], PLAIN),
    "storm that walks, 33 frames": (["storm.py", "33"], PLAIN),
    "storm that walks, 103 frames": (["storm.py", "103"], PLAIN),
    "small objects": (["objects.py"], {}),
    "JSON and regular expressions": (["stdlib.py"], {}),
}


def event_ns(profiler, more, python, case, scale):
    """{BPF program: (ns an event, events)} of a run."""
    words, environment = CASES[case]
    command = [python, "-B", os.path.join(common.HERE, "workloads", words[0])] + words[1:]
    with tool.counting(), Workload(command, scale, environment) as workload:
        with Profiler("-p", str(workload.pid), *more, tool=profiler) as attached:
            files = tool.program_files(attached.pid)
            before = {name: tool.read_times(files[name]) for name in tool.PROGRAMS}
            workload.go()
            after = {name: tool.read_times(files[name]) for name in tool.PROGRAMS}
    found = {}
    for name in tool.PROGRAMS:
        ns, events = (b - a for a, b in zip(before[name], after[name]))
        found[name] = (ns / events if events else 0, events)
    return found


def compare(case, options):
    """[{"old", "new": {BPF program: (ns, events)}}] of all rounds."""
    rounds = []
    for number in range(options.rounds):
        runs = {}
        for side in ("old", "new") if number % 2 == 0 else ("new", "old"):
            more = options.new_options.split() if side == "new" else []
            runs[side] = event_ns(getattr(options, side), more, options.python, case, options.scale)
        rounds.append(runs)
    return rounds


def row(case, rounds, name):
    old, new = ([r[side][name][0] for r in rounds] for side in ("old", "new"))
    events = statistics.median(r["new"][name][1] for r in rounds)
    return "| %s | %s | %d | %s | %s | %s |" % (
        case, name, events, common.spread(old, "%.0f"), common.spread(new, "%.0f"),
        common.spread([b / a for a, b in zip(old, new)]))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", help="the program to compare with")
    parser.add_argument("--new", default=common.TOOL, help="the other program (build/pymem-bpf)")
    parser.add_argument("--new-options", default="", help="options that it alone gets")
    parser.add_argument("--rounds", type=int, default=7, help="(7)")
    parser.add_argument("--scale", type=float, default=0.3, help="factor on the work done (0.3)")
    parser.add_argument("--only", default="", help="cases whose names begin so, with commas")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
    options = parser.parse_args()
    options.cases = [case for case in CASES
                     if any(case.startswith(word) for word in options.only.split(","))]
    if not options.cases:
        parser.error("no case begins with %s; there are: %s" % (options.only, ", ".join(CASES)))
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be positive")
    return options


def main():
    options = parse()
    print("%s; %s; %d rounds, scale %g. Medians, in brackets the least and the greatest.\n" % (
        common.version_of(options.python), common.machine(), options.rounds, options.scale))
    print("| workload | BPF program | events | old, ns an event | new | new / old |")
    print("|---|---|---|---|---|---|")
    for case in options.cases:
        rounds = compare(case, options)
        for name in tool.PROGRAMS:
            # Those that a workload hardly runs say nothing.
            if all(run[name][1] >= 1000 for pair in rounds for run in pair.values()):
                print(row(case, rounds, name), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
