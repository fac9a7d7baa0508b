#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the exact engine costs per executed line, beside an empty program on the same probes.

Interleaved in one run: bare, an empty BPF program attached to the same probes (the trap and the
interpreter's own work for a raised semaphore), and `pymem-bpf --lines -p`. Ratios are of the time
over bare: engine / empty. Needs a Python with line probes.
"""
import argparse
import json
import os
import subprocess
import sys

import common
import tables
from common import Empty, Profiler, Sleepers, Workload

# workload: probes that matter there
CASES = {"lines": ["line"], "calls": ["line", "function__entry", "function__return"]}
EVENTS = {"lines": 1_000_000, "calls": 600_000}
TITLES = {"lines": "a million lines", "calls": "calls: two events in six are entry and return"}
TARGETS = {"lines": 1.30, "calls": None}
PROGRAM = os.path.join(common.HERE, "workloads", "probes.py")


def seconds(python, case, scale, how):
    with Workload([python, "-B", PROGRAM, case], scale) as workload:
        if how == "bare":
            return workload.go()[0]
        if how == "lines":
            with Profiler("--lines", "-p", str(workload.pid)):
                return workload.go()[0]
        binary = os.path.realpath("/proc/%d/exe" % workload.pid)
        with Empty(str(workload.pid), binary, *CASES[case]):
            return workload.go()[0]


def has_line_probe(python):
    """By what the profiler says of a process of it."""
    with Sleepers(python, 1) as sleepers:
        said = subprocess.run([common.TOOL, "ps", "--format", "json"], stdout=subprocess.PIPE,
                              check=True).stdout
        rows = json.loads(said.decode())["processes"]
        return any("lines" in r["engines"] for r in rows if r["pid"] == sleepers.pids[0])


def measure(case, options):
    rounds = []
    for i in range(options.rounds):
        order = ["bare", "empty", "lines"]
        if i % 2:
            order.reverse()
        rounds.append({how: seconds(options.python, case, options.scale, how) for how in order})
    events = EVENTS[case] * options.scale
    empty, lines = ([(r[how] - r["bare"]) / events * 1e9 for r in rounds]
                    for how in ("empty", "lines"))
    return {"title": TITLES[case], "bare": [r["bare"] for r in rounds], "empty_ns": empty,
            "lines_ns": lines, "ratios": [a / b for a, b in zip(lines, empty)],
            "target": TARGETS[case]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    if not has_line_probe(options.python):
        common.skip("probe_cost.py", "%s (%s) has no line probes" % (
            options.python, common.version_of(options.python)))
    data = {"machine": common.machine(), "python": common.version_of(options.python),
            "rounds": options.rounds, "scale": options.scale,
            "cases": [measure(case, options) for case in CASES]}
    common.save("probe_cost.json", data)
    print(tables.probes_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
