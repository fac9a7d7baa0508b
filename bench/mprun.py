#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What profiling line by line costs: %mprun's engine beside memory_profiler's.

One run, interleaved: each round calls each function bare, under pymem_bpf's LineProfiler, and (at
a size that it finishes) under memory_profiler's; a row has the medians of the rounds' ratios. Each
measurement is a process of its own. Needs root, or a `pymem-bpf serve`.
"""
import argparse
import os
import statistics
import subprocess
import sys

import common

PACKAGE = os.path.join(common.PROJECT, "python")
PROGRAM = '''
import sys, time
def lines(n):
    t = 0
    for i in range(n):
        for j in range(250):
            a = j & 127
            b = a ^ 85
            c = (a + b) & 127
            t = (t + c) & 127
    return t
def seed(n):
    total = 0
    for i in range(5):
        L = [j ^ (j >> i) for j in range(n)]
        total += sum(L)
        del L
    return total
def ordinary(n):
    kept = 0
    for i in range(n):
        block = bytearray(4 << 20)
        kept += sum(memoryview(block)[:100000])
        del block
    return kept
function, size, how = globals()[sys.argv[1]], int(sys.argv[2]), sys.argv[3]
call = function
if how == "pymem_bpf":
    from pymem_bpf import LineProfiler
    profiler = LineProfiler(function)
    profiler.prepare()
    call = lambda n: profiler.runcall(function, n)
elif how == "memory_profiler":
    from memory_profiler import LineProfiler
    call = LineProfiler(backend="psutil")(function)
begin = time.perf_counter()
call(size)
print(time.perf_counter() - begin)
'''
# name: (function, size, size for memory_profiler, target, what it is)
CASES = {
    "nothing but lines": ("lines", 4000, 20, 6.0),
    "sum_of_lists": ("seed", 1000000, 2000, 3.0),
    "ordinary, MBs a line": ("ordinary", 200, 200, 1.1),
}


def seconds(python, path, function, size, how):
    env = dict(os.environ, PYTHONPATH=PACKAGE, PYMEM_BPF=common.TOOL, PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([python, path, function, str(size), how], stdout=subprocess.PIPE, env=env,
                          check=True)
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    path = os.path.join(common.PROJECT, "build", "bench-mprun.py")
    with open(path, "w") as f:
        f.write(PROGRAM)
    subprocess.run([options.python, os.path.join(common.PROJECT, "tools", "build-extension")],
                   check=True, stdout=subprocess.DEVNULL)
    other = subprocess.run([options.python, "-c", "import memory_profiler"],
                           stderr=subprocess.DEVNULL).returncode == 0
    if not other:
        print("memory_profiler is not there for %s: its column is empty" % options.python,
              file=sys.stderr)
    print(common.machine())
    print("| function | bare s | pymem_bpf | target | memory_profiler (smaller size) |")
    print("|---|---|---|---|---|")
    for name, (function, size, small, target) in CASES.items():
        bare, ours, theirs = [], [], []
        for i in range(options.rounds):
            pair = ["bare", "pymem_bpf"] if i % 2 else ["pymem_bpf", "bare"]
            got = {how: seconds(options.python, path, function, size, how) for how in pair}
            bare.append(got["bare"])
            ours.append(got["pymem_bpf"] / got["bare"])
            if other:
                theirs.append(seconds(options.python, path, function, small, "memory_profiler")
                              / seconds(options.python, path, function, small, "bare"))
        print("| %s | %.2f | %s | <= %.1f | %s |" % (
            name, statistics.median(bare), common.spread(ours, "%.2f"), target,
            common.spread(theirs, "%.0f") if theirs else ""), flush=True)


if __name__ == "__main__":
    main()
