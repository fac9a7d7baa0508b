#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the exact engine costs per executed line, and per call and return, beside an empty program on the same probes.

Interleaved in one run: bare, an empty BPF program attached to the same probes (the trap and the
interpreter's own work for a raised semaphore), and `pymem-bpf --lines -p` or `--functions -p`. Ratios are of the
time over bare: engine / empty; with --functions of CPU time. Lines need a Python with line probes. Functions are measured on others: 3.11 tells of
no entry unless lines are wanted too, which an empty program on the same probes does not bring about.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys

import common
import tables
from common import Empty, Profiler, Sleepers, Workload

CALLS = ["function__entry", "function__return"]
# workload: probes that matter there
CASES = {"lines": ["line"], "calls": ["line"] + CALLS, "functions": CALLS}
EVENTS = {"lines": 1_000_000, "calls": 600_000, "functions": 200_000}
TITLES = {"lines": "a million lines", "calls": "calls: two events in six are entry and return",
          "functions": "`--functions`: 100,000 calls, CPU time"}
TARGETS = {"lines": 1.30, "calls": None, "functions": 1.30}
PROGRAM = os.path.join(common.HERE, "workloads", "probes.py")
PYTHONS = os.path.join(os.path.dirname(common.HERE), "tests", "pythons.sh")


def cpu_seconds(pid):
    """CPU time of its main thread, by the scheduler."""
    with open("/proc/%d/schedstat" % pid) as f:
        return int(f.read().split()[0]) / 1e9


def timed(workload, case):
    """Of functions CPU time: events are short, and a busy machine would drown them."""
    if case != "functions":
        return workload.go()[0]
    before = cpu_seconds(workload.pid)
    workload.go()
    return cpu_seconds(workload.pid) - before


def seconds(command, case, scale, how):
    engine = "--functions" if case == "functions" else "--lines"
    with Workload(command + ["-B", PROGRAM, "lines" if case == "lines" else "calls"], scale) as workload:
        if how == "bare":
            return timed(workload, case)
        if how == "engine":
            with Profiler(engine, "-p", str(workload.pid)):
                return timed(workload, case)
        binary = os.path.realpath("/proc/%d/exe" % workload.pid)
        if not os.path.exists(binary):
            binary = os.path.join("/proc/%d/root" % workload.pid, binary.lstrip("/"))
        with Empty(str(workload.pid), binary, *CASES[case]):
            return timed(workload, case)


def has_line_probe(python):
    """By what the profiler says of a process of it."""
    with Sleepers(python, 1) as sleepers:
        said = subprocess.run([common.TOOL, "ps", "--format", "json"], stdout=subprocess.PIPE,
                              check=True).stdout
        rows = json.loads(said.decode())["processes"]
        return any("lines" in r["engines"] for r in rows if r["pid"] == sleepers.pids[0])


def measure(case, command, title, options):
    rounds = []
    for i in range(options.rounds):
        order = ["bare", "empty", "engine"]
        if i % 2:
            order.reverse()
        rounds.append({how: seconds(command, case, options.scale, how) for how in order})
    events = EVENTS[case] * options.scale
    empty, engine = ([(r[how] - r["bare"]) / events * 1e9 for r in rounds]
                     for how in ("empty", "engine"))
    return {"title": title, "bare": [r["bare"] for r in rounds], "empty_ns": empty,
            "lines_ns": engine, "ratios": [a / b for a, b in zip(engine, empty)],
            "target": TARGETS[case]}


def function_pythons(names):
    """(name, command) of those among `names` that are there."""
    said = subprocess.run([PYTHONS, "list"], stdout=subprocess.PIPE, check=True).stdout.decode()
    found = dict(line.split("\t", 1) for line in said.splitlines())
    return [(name, shlex.split(found[name])) for name in names.split(",") if name in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--functions-pythons", default="bullseye-3.9,forky-3.15",
                        help="of tests/pythons.sh, on which functions are measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    if not has_line_probe(options.python):
        common.skip("probe_cost.py", "%s (%s) has no line probes" % (
            options.python, common.version_of(options.python)))
    cases = [measure(case, [options.python], TITLES[case], options) for case in ("lines", "calls")]
    for name, command in function_pythons(options.functions_pythons):
        cases.append(measure("functions", command, "%s, %s" % (TITLES["functions"], name), options))
    data = {"machine": common.machine(), "python": common.version_of(options.python),
            "rounds": options.rounds, "scale": options.scale, "cases": cases}
    common.save("probe_cost.json", data)
    print(tables.probes_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
