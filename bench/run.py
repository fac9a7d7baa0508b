#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What profiling costs the target: a markdown table of slowdowns.

Each round runs a workload bare and with `pymem-bpf -p` attached, one after the other, in an
order that alternates; the ratio is that of the times the workload itself took, start-up and
attach excluded. The table has the median of the rounds' ratios and their range. Where an
interpreter with memray is found, its plain mode runs in the same rounds, against the same
interpreter bare. Says nothing of the profiler's own use: that is bench/tool.py.
"""
import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile

import common
from common import Profiler, Sleepers, Workload

# name: program and arguments, target ratio, what is traced
CASES = {
    "cpu": (["cpu.py"], 1.01, "it"),
    "stdlib": (["stdlib.py"], 1.02, "it"),
    "objects": (["objects.py"], 1.10, "it"),
    "numpy": (["numpy_temporaries.py"], 1.15, "it"),
    "threads": (["threads.py"], 1.15, "it"),
    "storm-4": (["storm.py", "4"], 1.20, "it"),
    "storm-33": (["storm.py", "33"], 1.35, "it"),
    "untracked": (["storm.py", "4"], 1.03, "another"),
    "prefork": (["prefork.py"], None, "it"),
}
MEMRAY_CASES = ("cpu", "stdlib", "objects", "numpy", "threads", "storm-4", "storm-33")


def program(case):
    words = CASES[case][0]
    return [os.path.join(common.HERE, "workloads", words[0])] + words[1:]


def run_bare(python, case, scale):
    with Workload([python, "-B"] + program(case), scale) as workload:
        return workload.go()


def run_attached(python, case, scale):
    with Workload([python, "-B"] + program(case), scale) as workload:
        if CASES[case][2] == "it":
            with Profiler("-p", str(workload.pid)):
                return workload.go()
        with Sleepers(python, 1) as other, Profiler("-p", str(other.pids[0])):
            return workload.go()


def run_memray(python, case, scale):
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-B", "-m", "memray", "run", "-q", "-o", os.path.join(folder, "out")]
        with Workload(command + program(case), scale) as workload:
            return workload.go()


def imports(python, module):
    return subprocess.run([python, "-c", "import " + module], stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL).returncode == 0


def find_memray():
    """An interpreter that has memray; None if there is none."""
    said = subprocess.run([os.path.join(common.PROJECT, "tests", "pythons.sh"), "local"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in said.splitlines():
        command = shlex.split(line.split("\t", 1)[1])
        if imports(command[0], "memray"):
            return command[0]
    return None


def measure(case, options, memray):
    """Rounds of one case: lists of (bare, attached) and (bare, memray), each (s, faults)."""
    ours, theirs = [], []
    # Not counted: the first run pays for memory that the host has yet to hand out.
    run_bare(options.python, case, options.scale)
    for number in range(options.rounds):
        runs = {}
        order = [("bare", run_bare), ("attached", run_attached)]
        for name, run in order if number % 2 == 0 else reversed(order):
            runs[name] = run(options.python, case, options.scale)
        ours.append((runs["bare"], runs["attached"]))
        if memray and case in MEMRAY_CASES and (case != "numpy" or imports(memray, "numpy")):
            bare = runs["bare"] if memray == options.python else run_bare(memray, case, options.scale)
            theirs.append((bare, run_memray(memray, case, options.scale)))
        print(".", end="", file=sys.stderr, flush=True)
    return ours, theirs


def row(case, ours, theirs):
    ratios = [a[0] / b[0] for b, a in ours]
    target = CASES[case][1]
    faults = statistics.median(b[1] for b, _ in ours)
    per_fault = "-"
    if case.startswith("storm"):
        bare = statistics.median(b[0] / b[1] for b, _ in ours) * 1e9
        added = statistics.median((a[0] - b[0]) / b[1] for b, a in ours) * 1e9
        per_fault = "%.0f + %.0f" % (bare, added)
    return "| %s | %.2f | %d | %s | %s | %s | %s |" % (
        case, statistics.median(b[0] for b, _ in ours), faults, common.spread(ratios),
        "<= %.2f" % target if target else "-", per_fault,
        common.spread([m[0] / b[0] for b, m in theirs]) if theirs else "-")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each workload (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the work done (1)")
    parser.add_argument("--only", default="", help="workloads, with commas: " + ",".join(CASES))
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
    parser.add_argument("--no-memray", action="store_true", help="do not look for memray")
    options = parser.parse_args()
    options.cases = options.only.split(",") if options.only else list(CASES)
    unknown = [c for c in options.cases if c not in CASES]
    if unknown:
        parser.error("no such workload: " + ", ".join(unknown))
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be positive")
    return options


def main():
    options = parse()
    memray = None if options.no_memray else find_memray()
    version = subprocess.run([options.python, "-V"], stdout=subprocess.PIPE).stdout.decode().strip()
    print("%s, %s; %d rounds, scale %g; memray: %s\n" % (
        version, common.machine(), options.rounds, options.scale, memray or "not found"))
    print("| workload | bare s | faults | slowdown (range) | target | ns a fault: kernel + ours "
          "| memray (range) |\n|---|---|---|---|---|---|---|", flush=True)
    for case in options.cases:
        if case == "numpy" and not imports(options.python, "numpy"):
            print("| numpy | SKIP: %s has no numpy | | | | | |" % options.python)
            continue
        print(row(case, *measure(case, options, memray)), flush=True)
    print(file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
