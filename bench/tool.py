#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the profiler itself needs: time to attach, memory, CPU when nothing happens, and
whether a target pays more when 200 processes are traced instead of one.

Attach latency is from the profiler's exec to the line that says it is attached. CPU is utime
plus stime over --seconds of silence; RSS that of the page tables. Time per event is the kernel's
own count (sysctl kernel.bpf_stats_enabled), in runs apart: its clock reads cost something too. So is
the time per event at the beginning and at the end of a run of --steady seconds.
"""
import argparse
import contextlib
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

import common
import tables
from common import Profiler, Sleepers, Workload

READ_EACH = 0.25
TICKS = os.sysconf("SC_CLK_TCK")
STATS = "/proc/sys/kernel/bpf_stats_enabled"
# Programs that a storm runs; the others see too few events to say anything.
PROGRAMS = ("rss_stat", "fault_user")


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICKS


def rss_mib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Rss:")) / 1024


def idle(arguments, seconds):
    """(attach s, RSS MiB, CPU %) of a profiler whose targets sleep."""
    with Profiler(*arguments) as profiler:
        time.sleep(1)
        before, start = cpu_seconds(profiler.pid), time.monotonic()
        time.sleep(seconds)
        used = cpu_seconds(profiler.pid) - before
        return profiler.seconds, rss_mib(profiler.pid), 100 * used / (time.monotonic() - start)


def attach_seconds(pid, times):
    found = []
    for _ in range(times):
        with Profiler("-p", str(pid)) as profiler:
            found.append(profiler.seconds)
    return found


def storm(python, others, scale):
    """Seconds of the fault storm while it and `others` are traced."""
    command = [python, "-B", os.path.join(common.HERE, "workloads", "storm.py"), "4"]
    with Workload(command, scale) as workload:
        pids = ",".join(str(p) for p in [workload.pid] + others)
        with Profiler("--max-processes", "512", "-p", pids):
            return workload.go()[0]


@contextlib.contextmanager
def counting():
    """The kernel times BPF programs in here."""
    with open(STATS) as f:
        before = f.read()
    try:
        with open(STATS, "w") as f:
            f.write("1")
        yield
    finally:
        with open(STATS, "w") as f:
            f.write(before)


def read_times(path):
    """(ns, runs) by the fdinfo of a BPF program; None if it is of something else."""
    with open(path) as f:
        fields = dict(re.findall(r"^(run_time_ns|run_cnt):\s*(\d+)$", f.read(), re.M))
    return (int(fields["run_time_ns"]), int(fields["run_cnt"])) if "run_cnt" in fields else None


def program_files(pid):
    """{BPF program: its fdinfo} of what a process holds."""
    bpftool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    found = {}
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        with open(path) as f:
            number = re.search(r"^prog_id:\s*(\d+)$", f.read(), re.M)
        if number and read_times(path):
            said = subprocess.run([bpftool, "-j", "prog", "show", "id", number.group(1)],
                                  stdout=subprocess.PIPE, check=True).stdout
            found[json.loads(said)["name"]] = path
    return found


def program_times(pid):
    """{BPF program: (ns, runs)} of what a process holds."""
    return {name: read_times(path) for name, path in program_files(pid).items()}


def event_ns(python, others, scale):
    """{BPF program: ns an event} in the fault storm while it and `others` are traced."""
    command = [python, "-B", os.path.join(common.HERE, "workloads", "storm.py"), "4"]
    with counting(), Workload(command, scale) as workload:
        pids = ",".join(str(p) for p in [workload.pid] + others)
        with Profiler("--max-processes", "512", "-p", pids) as profiler:
            before = program_times(profiler.pid)
            workload.go()
            after = program_times(profiler.pid)
    return {name: (after[name][0] - before[name][0]) / (after[name][1] - before[name][1])
            for name in PROGRAMS if after[name][1] > before[name][1]}


def steady_ns(python, seconds):
    """[ns an event of rss_stat] in the four quarters of a run of so long: small objects over and over,
    since there nearly each event costs a walk, and freed arenas are given back."""
    program = os.path.join(common.HERE, "workloads", "objects.py")
    with Workload([python, "-B", program], 0.2) as workload:
        once = workload.go()[0]
    command = [python, "-B", program, str(max(1, int(seconds / once)))]
    readings, ended = [], threading.Event()
    with counting(), Workload(command, 0.2) as workload, Profiler("-p", str(workload.pid)) as profiler:
        path = program_files(profiler.pid)["rss_stat"]

        def watch():
            while not ended.wait(READ_EACH):
                readings.append(read_times(path))
        thread = threading.Thread(target=watch)
        thread.start()
        workload.go()
        ended.set()
        thread.join()
    return quarters(readings)


def quarters(readings):
    """ns an event of four parts of [(ns, events)], equal in time, of totals read at equal intervals."""
    if len(readings) < 5:
        sys.exit("tool.py: a run of %g s has no quarters: --steady must be longer" % (
            len(readings) * READ_EACH))
    at = [readings[len(readings[1:]) * part // 4] for part in range(5)]
    if any(b[1] == a[1] for a, b in zip(at, at[1:])):
        sys.exit("tool.py: no event in a quarter of the long run: %s" % (at,))
    return [(b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(at, at[1:])]


def event_rows(python, others, options):
    """Rows of the table: time per event with one process traced, and with many."""
    found = {"1": [], "many": []}
    for _ in range(options.rounds):
        found["1"].append(event_ns(python, [], options.scale))
        found["many"].append(event_ns(python, others, options.scale))
    rows = []
    for name in PROGRAMS:
        if not all(name in run for runs in found.values() for run in runs):
            rows.append(("%s, ns an event" % name, "no event of it", "-"))
            continue
        one, many = ([run[name] for run in found[key]] for key in ("1", "many"))
        rows.append(("%s, ns an event: 1 traced" % name, common.spread(one, "%.0f"), "-"))
        rows.append(("%s, ns an event: %d traced" % (name, len(others) + 1),
                     common.spread(many, "%.0f"), "the same"))
        rows.append(("%s, ratio" % name,
                     "%.3f" % (statistics.median(many) / statistics.median(one)), "1"))
    return rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds where medians are taken (5)")
    parser.add_argument("--seconds", type=float, default=20, help="of silence, for the CPU (20)")
    parser.add_argument("--steady", type=float, default=30, help="of the long run (30)")
    parser.add_argument("--sleepers", type=int, default=200, help="idle Pythons (200)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the storm (1)")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
    return parser.parse_args()


def main():
    options = parse()
    rows = []
    with Sleepers(options.python, 1) as one:
        pid = str(one.pids[0])
        latency = attach_seconds(pid, options.rounds * 2)
        _, memory, cpu = idle(["-p", pid], options.seconds)
    rows.append(("attach, one process", common.spread([1000 * s for s in latency], "%.0f") + " ms", "<= 300 ms"))
    rows.append(("RSS, one process", "%.1f MiB" % memory, "<= 25 MiB"))
    rows.append(("CPU, one idle process", "%.2f %%" % cpu, "<= 0.5 %"))
    with Sleepers(options.python, options.sleepers) as many:
        seconds, memory, cpu = idle(["-a"], options.seconds)
        rows.append(("attach, -a, %d processes" % options.sleepers, "%.0f ms" % (1000 * seconds), "-"))
        rows.append(("RSS, -a", "%.1f MiB" % memory, "-"))
        rows.append(("CPU, -a, all idle", "%.2f %%" % cpu, "<= 2 %"))
        ratios = []
        for number in range(options.rounds):
            runs = {}
            for others in ([], many.pids[:-1]) if number % 2 == 0 else (many.pids[:-1], []):
                runs[bool(others)] = storm(options.python, others, options.scale)
            ratios.append(runs[True] / runs[False])
        rows.append(("storm, %d traced / 1 traced" % options.sleepers, common.spread(ratios), "1"))
        rows += event_rows(options.python, many.pids[:-1], options)
    parts = steady_ns(options.python, options.steady)
    rows.append(("rss_stat, ns an event: quarters of %.0f s" % options.steady,
                 ", ".join("%.0f" % ns for ns in parts), "the same"))
    rows.append(("last quarter / first", "%.3f" % (parts[3] / parts[0]), "1"))
    data = {"machine": common.machine(), "python": common.version_of(options.python),
            "rounds": options.rounds, "scale": options.scale, "rows": rows}
    common.save("tool.json", data)
    print(tables.tool_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
