#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Line profiles against memory_profiler's: what a call costs under each.

  bench/mprun.py [ROUNDS]                    default 5; under the interpreter that it is run with
  bench/mprun.py [ROUNDS] --without-helper   a tenth of the size, with the figures of /proc; nothing is kept

Each round is a fresh process for each of bare and ours, or bare and memory_profiler, in turns, on the
same function; the figure is the median over the rounds of the ratio to the same round's bare time, of
the call alone. memory_profiler gets a smaller size where the whole would take it minutes; a ratio
per line does not depend on it. Ours counts with a real `pymem-bpf serve`, so root and
build/pymem-bpf are needed. `lines`: nothing but lines; `seed`: sum_of_lists; `ordinary`: lines that
make and drop MBs and call functions that aren't profiled.
"""
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time

import common
import tables

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(HERE)
PROGRAM = os.environ.get("PYMEM_BPF", os.path.join(PROJECT, "build", "pymem-bpf"))
SECONDS = 600
CLOSE = 3  # times as many rounds where the target is close to 1
FUNCTIONS = r'''
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

def mixed(a, b):
    c = a + b
    return c * 2

def callee(n):
    t = 0
    for i in range(n):
        t = mixed(t, i) & 1023
    return t

def ordinary(n):
    kept = []
    for i in range(n):
        kept.append(callee(300))
        block = bytearray(1 << 20)
        text = ",".join(map(str, range(2000)))
        del block, text
    return len(kept)
'''
# Each gives something to call with the function's argument; what comes before the call isn't timed.
PREPARED = {
    "bare": "prepared = f",
    "pymem_bpf": "import functools\nfrom pymem_bpf import LineProfiler\np = LineProfiler(f)\np.prepare()\n"
                 "prepared = functools.partial(p.runcall, f)",
    "memory_profiler": "from memory_profiler import LineProfiler\nprepared = LineProfiler()(f)",
    # The interpreter alone, which tells C code that returns at once (bench/probe/floor.c), of lines and nothing else
    # where that can be chosen.
    "floor": "import bench_floor\nprepared = f\nif hasattr(bench_floor, 'trace'):\n    bench_floor.trace()\n"
             "else:\n    m = sys.monitoring\n    m.use_tool_id(3, 'floor')\n"
             "    m.register_callback(3, m.events.LINE, bench_floor.event)\n"
             "    m.set_local_events(3, f.__code__, m.events.LINE)\n",
}
TIMED = r"""
f, n = globals()[sys.argv[1]], int(sys.argv[2])
%s
start = time.perf_counter()
prepared(n)
print(time.perf_counter() - start)
"""
# (function, what the table calls it, size for ours, size for memory_profiler, the most that ours may cost)
CASES = (("lines", "nothing but lines", 1600, 8, 6.0),
         ("seed", "`sum_of_lists(1000000)`", 1000000, 10000, 3.0),
         ("ordinary", "lines that make MBs and call others", 1000, 1000, 1.1))


def seconds(name, function, size, path, environment):
    with open(path, "w") as f:
        f.write(FUNCTIONS + TIMED % PREPARED[name])
    done = subprocess.run([sys.executable, path, function, str(size)], env=environment,
                          stdout=subprocess.PIPE, timeout=SECONDS, check=True)
    return float(done.stdout)


def ratios(function, ours, theirs, rounds, path, environment):
    """({name: [ratio to bare of each round]}, bare seconds of our size)"""
    times = []
    found = {"pymem_bpf": [], "memory_profiler": []}
    for name, size, times_rounds in (("pymem_bpf", ours, CLOSE if function == "ordinary" else 1),
                                     ("memory_profiler", theirs, 1)):
        if name == "memory_profiler" and not HAS_MEMORY_PROFILER:
            continue
        for number in range(rounds * times_rounds):
            order = ("bare", name) if number % 2 == 0 else (name, "bare")
            took = {which: seconds(which, function, size, path, environment) for which in order}
            found[name].append(took[name] / took["bare"])
            if name == "pymem_bpf":
                times.append(took["bare"])
    return found, times


def build_floor():
    """The folder of the module bench_floor, built for this interpreter."""
    folder = os.path.join(common.OUTPUT, "floor-%d.%d" % sys.version_info[:2])
    os.makedirs(folder, exist_ok=True)
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-isystem", sysconfig.get_path("include"), "-o", os.path.join(folder, "bench_floor.so"),
                    os.path.join(HERE, "probe", "floor.c")], check=True)
    return folder


HAS_MEMORY_PROFILER = not subprocess.run(
    [sys.executable, "-c", "import memory_profiler"], stderr=subprocess.DEVNULL).returncode


def serve(socket, program=PROGRAM):
    process = subprocess.Popen([program, "serve", "--socket", socket])
    while not os.path.exists(socket):
        if process.poll() is not None:
            sys.exit("bench/mprun.py: %s serve ended with status %d" % (program, process.returncode))
        time.sleep(0.05)
    return process


def measure(rounds):
    """What is kept; each case is printed as it is there."""
    data = {"machine": common.machine(), "python": "Python %d.%d.%d" % sys.version_info[:3],
            "rounds": rounds, "cases": []}
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "serve.sock")
        environment = dict(os.environ, PYTHONPATH=os.path.join(PROJECT, "python", "src"),
                           PYMEM_BPF_SOCKET=socket, PYTHONDONTWRITEBYTECODE="1")
        server = serve(socket)
        try:
            for function, title, ours, theirs, most in CASES:
                found, bare = ratios(function, ours, theirs, rounds,
                                     os.path.join(folder, "bench.py"), environment)
                data["cases"].append({"title": title, "ours": found["pymem_bpf"], "target": most,
                                      "bare": bare, "theirs": found["memory_profiler"],
                                      "their_share": theirs / ours})
                print(tables.table([tables.mprun_row(data["cases"][-1])]), flush=True)
        finally:
            server.terminate()
            server.wait()
    return data


def measure_estimates(rounds):
    """What a line costs without a helper, printed."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, PYTHONPATH=os.path.join(PROJECT, "python", "src"),
                           PYMEM_BPF_SOCKET=os.path.join(folder, "none.sock"),
                           PYMEM_BPF=os.path.join(folder, "none"), PYTHONDONTWRITEBYTECODE="1")
        for function, title, ours, _, _ in CASES:
            pairs = [[seconds(name, function, ours // 10, os.path.join(folder, "bench.py"), environment)
                      for name in ("bare", "pymem_bpf")] for _ in range(rounds)]
            print("%s: %.1f times bare" % (title, statistics.median(mine / bare for bare, mine in pairs)),
                  flush=True)


def main():
    if sys.argv[-1] == "--without-helper":
        measure_estimates(int(sys.argv[1]) if sys.argv[2:] else 5)
        return 0
    data = measure(int(sys.argv[1]) if sys.argv[1:] else 5)
    if not HAS_MEMORY_PROFILER:
        print("SKIP memory_profiler: %s has none" % sys.executable)
    common.save("mprun.json", data)
    missed = [c for c in data["cases"] if statistics.median(c["ours"]) > c["target"]]
    for case in missed:
        print("bench/mprun.py: %s: %.2f times bare, the target is %g" % (
            case["title"], statistics.median(case["ours"]), case["target"]), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
