# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the events of a program cost whose interpreter state is made to be slow to walk: bench/hostile.py [--rounds N].

The program is tests/security/programs/hostile_state.c. The time of all of the profiler's BPF programs (sysctl
kernel.bpf_stats_enabled) is divided by the program's page faults: of its first ones, of the first 3,000, and "in the long
run", which is the difference between 30,000 and 10,000 faults. The slowest fault is in the time of the program's own thread.
Each kind runs as the one process that was asked for, and as one of two. Prints a table of medians.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import common
import tool
from common import Profiler

PROGRAMS = os.path.join(common.PROJECT, "tests", "security", "programs")
sys.path.insert(0, PROGRAMS)

import fake_library  # noqa: E402

KINDS = {
    "lists": "endless lists of thread states",
    "still": "128 frames far apart",
    "deep": "the same, 128 new code objects at each fault",
    "fresh": "the same, and each stack is new",
}
FAULTS = 200, 3000, 10000, 30000


def run(folder, kind, faults, others):
    """(ns of BPF in all, ns of the slowest fault)"""
    program = subprocess.Popen([os.path.join(folder, "hostile_state"), os.path.join(folder, "library.so"), kind, str(faults)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if program.stdout.readline() != b"ready\n":
            raise RuntimeError("the program is not ready")
        with tool.counting(), Profiler("-p", ",".join(map(str, [program.pid, *others]))) as profiler:
            files = tool.program_files(profiler.pid).values()
            before = sum(tool.read_times(path)[0] for path in files)
            program.stdin.write(b"\n")
            program.stdin.flush()
            slowest = int(program.stdout.readline())
            return sum(tool.read_times(path)[0] for path in files) - before, slowest
    finally:
        program.kill()
        program.communicate()


def figures(folder, kind, others, rounds):
    """The row's figures in us, [of each round]."""
    found = {"first": [], "3,000": [], "long": [], "slowest": []}
    for _ in range(rounds):
        runs = {faults: run(folder, kind, faults, others) for faults in FAULTS}
        found["first"].append(runs[200][0] / 200 / 1000)
        found["3,000"].append(runs[3000][0] / 3000 / 1000)
        found["long"].append((runs[30000][0] - runs[10000][0]) / 20000 / 1000)
        found["slowest"].append(max(slowest for _, slowest in runs.values()) / 1000)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    options = parser.parse_args()
    print("%s; %d rounds. us a fault: medians, in brackets the least and the greatest.\n" % (common.machine(), options.rounds))
    print("| state | profiled | first 200 faults | first 3,000 | in the long run | the slowest fault |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"],
                                                                   stdin=subprocess.PIPE) as other:
        subprocess.run(["cc", "-O1", "-o", os.path.join(folder, "hostile_state"), os.path.join(PROGRAMS, "hostile_state.c")],
                       check=True)
        with open(os.path.join(folder, "library.so"), "wb") as f:
            f.write(fake_library.make())
        for kind, words in KINDS.items():
            for others, who in ([], "alone"), ([other.pid], "with another"):
                found = figures(folder, kind, others, options.rounds)
                print("| %s | %s | %s |" % (words, who, " | ".join(
                    common.spread(found[key], "%.0f") for key in ("first", "3,000", "long", "slowest"))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
