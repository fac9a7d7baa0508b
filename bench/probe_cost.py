#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the exact engine costs per executed line, beside an empty program on the same probes.

Interleaved in one run: bare, an empty BPF program attached to the same probes (the trap and the
interpreter's own work for a raised semaphore), and `pymem-bpf --lines -p`. Ratios are of the time
over bare: engine / empty. Needs a Python with line probes.
"""
import argparse
import os
import statistics
import subprocess

import common
from common import Profiler, Workload, read_line

EMPTY = os.path.join(common.PROJECT, "build", "bench-empty")
# workload: probes that matter there
CASES = {"lines": ["line"], "calls": ["line", "function__entry", "function__return"]}
PROGRAM = os.path.join(common.HERE, "workloads", "probes.py")


class Empty:
    def __init__(self, pid, binary, probes):
        self.process = subprocess.Popen([EMPTY, str(pid), binary] + probes,
                                        stdout=subprocess.PIPE, bufsize=0)
        read_line(self.process.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def seconds(python, case, scale, how):
    with Workload([python, "-B", PROGRAM, case], scale) as workload:
        if how == "bare":
            return workload.go()[0]
        if how == "lines":
            with Profiler("--lines", "-p", str(workload.pid)):
                return workload.go()[0]
        binary = os.path.realpath("/proc/%d/exe" % workload.pid)
        with Empty(workload.pid, binary, CASES[case]):
            return workload.go()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    print(common.machine())
    print("| workload | ns per event, empty | ns per event, engine | engine / empty | target |")
    print("|---|---|---|---|---|")
    for case in CASES:
        rounds = []
        for i in range(options.rounds):
            order = ["bare", "empty", "lines"]
            if i % 2:
                order.reverse()
            rounds.append({how: seconds(options.python, case, options.scale, how) for how in order})
        events = {"lines": 1_000_000, "calls": 600_000}[case] * options.scale
        empty = [(r["empty"] - r["bare"]) / events * 1e9 for r in rounds]
        lines = [(r["lines"] - r["bare"]) / events * 1e9 for r in rounds]
        ratios = [a / b for a, b in zip(lines, empty)]
        print("| %s | %.0f | %.0f | %s | %s |" % (case, statistics.median(empty), statistics.median(lines), common.spread(ratios, "%.2f"), "1.30"))


if __name__ == "__main__":
    main()
