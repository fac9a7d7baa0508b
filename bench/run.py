#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What profiling costs the target: a table of slowdowns, and build/bench/run.json.

Each round runs a workload bare, with `pymem-bpf -p` attached, and where little is to be seen also
with empty programs on the same tracepoints, one after the other, in an order that alternates; the
ratio is that of the times the workload itself took, start-up and attach excluded. The table has the
median of the rounds' ratios and their range. Other profilers: bench/everyone.py; the profiler's own
use: bench/tool.py.
"""
import argparse
import os
import statistics
import subprocess
import sys

import common
import tables
from common import Empty, Profiler, Sleepers, Workload

# name: program and arguments, target ratio, what is traced, title
CASES = {
    "cpu": (["cpu.py"], 1.01, "it", "pure CPU"),
    "stdlib": (["stdlib.py"], 1.02, "it", "JSON and regular expressions"),
    "objects": (["objects.py"], 1.10, "it", "2 M small objects"),
    "numpy": (["numpy_temporaries.py"], 1.15, "it", "numpy temporaries"),
    "threads": (["threads.py"], 1.15, "it", "8 allocating threads"),
    "storm-4": (["storm.py", "4"], 1.20, "it", "fault storm, 4 frames"),
    "storm-33": (["storm.py", "33"], 1.35, "it", "fault storm, 33 frames"),
    "untracked": (["storm.py", "4"], 1.03, "another", "the storm in an untracked process"),
    "prefork": (["prefork.py"], None, "it", "prefork, copy-on-write"),
}


def program(case):
    words = CASES[case][0]
    return [os.path.join(common.HERE, "workloads", words[0])] + words[1:]


def run_bare(python, case, scale):
    with Workload([python, "-B"] + program(case), scale) as workload:
        return workload.go()


def run_empty(python, case, scale):
    with Workload([python, "-B"] + program(case), scale) as workload, Empty("tracepoints"):
        return workload.go()


def run_attached(python, case, scale):
    with Workload([python, "-B"] + program(case), scale) as workload:
        if CASES[case][2] == "it":
            with Profiler("-p", str(workload.pid)):
                return workload.go()
        with Sleepers(python, 1) as other, Profiler("-p", str(other.pids[0])):
            return workload.go()


# Where the target is close to 1: what of the cost is the tracepoints' own? Short: more rounds.
EMPTY_TOO = ("cpu", "stdlib", "storm-4", "untracked")
SHORT = ("cpu", "stdlib")
SHORT_FACTOR = 3


def imports(python, module):
    return subprocess.run([python, "-c", "import " + module], stderr=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL).returncode == 0


def measure(case, options):
    """Rounds of one case: [{"bare", "attached" and maybe "empty": (s, faults)}]."""
    found = []
    order = [("bare", run_bare), ("attached", run_attached)]
    if case in EMPTY_TOO:
        order.insert(1, ("empty", run_empty))
    # Not counted: the first run pays for memory that the host has yet to hand out.
    run_bare(options.python, case, options.scale)
    for number in range(options.rounds * (SHORT_FACTOR if case in SHORT else 1)):
        runs = {}
        for name, run in order if number % 2 == 0 else reversed(order):
            runs[name] = run(options.python, case, options.scale)
        found.append(runs)
    return found


def figures_of(case, rounds):
    """What is kept of a case."""
    found = {"case": case, "title": CASES[case][3], "target": CASES[case][1],
             "bare": [r["bare"][0] for r in rounds],
             "ratios": [r["attached"][0] / r["bare"][0] for r in rounds],
             "faults": statistics.median(r["bare"][1] for r in rounds)}
    if case in EMPTY_TOO:
        found["empty"] = [r["empty"][0] / r["bare"][0] for r in rounds]
    if case.startswith("storm"):
        bare = [r["bare"] for r in rounds]
        found["fault_ns"] = [statistics.median(s / faults for s, faults in bare) * 1e9,
                             statistics.median((r["attached"][0] - r["bare"][0]) / r["bare"][1]
                                               for r in rounds) * 1e9]
    return found


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each workload (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the work done (1)")
    parser.add_argument("--only", default="", help="workloads, with commas: " + ",".join(CASES))
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
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
    data = {"machine": common.machine(), "python": common.version_of(options.python),
            "rounds": options.rounds, "scale": options.scale, "cases": []}
    for case in options.cases:
        if case == "numpy" and not imports(options.python, "numpy"):
            print("SKIP numpy: %s has none" % options.python, flush=True)
            data["cases"].append({"case": case, "title": CASES[case][3],
                                  "skipped": options.python + " has no numpy"})
            continue
        data["cases"].append(figures_of(case, measure(case, options)))
        print(tables.table([tables.walk_row(data["cases"][-1])]), flush=True)
    common.save("run.json", data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
