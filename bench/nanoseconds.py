#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an event, an attach and a line cost, before and after: bench/nanoseconds.py [--before COMMIT]

Both builds take turns in each round, so that what else the machine does meets both. An event's time is the kernel's
own (sysctl kernel.bpf_stats_enabled), less what it says of a program that does nothing, attached at the same time
(bench/probe/empty.c): that is the reading of the clock. It is divided by the faults of the workload: other events of
it, which are few, count as a part of these. --before: a commit, which is built below build/bench/, or a
tree that is built. A virtual machine mostly has no counters of instructions and cache misses: then there is none of these.
"""
import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time

import common
import mprun
import tables
import tool
import top
from common import Profiler, Workload

# Version 0.2.0, when these targets were set.
BEFORE = "2d1e8f4f4369f5613183999a698c9f06f3b76e38"
SIDES = ("before", "after")
FRAMES = {4: 300, 33: 450, 103: 700}  # ns that are aimed at
VERSIONS = ("3.8", "3.11", "3.13")
PYTHONS = os.path.join(common.PROJECT, "tests", "pythons.sh")
WORKLOADS = os.path.join(common.HERE, "workloads")
EMPTY_PROGRAMS = {"rss_stat": "at_rss_stat", "fault_user": "at_page_fault_user"}


def tree_of(commit):
    """The folder of that commit, built, and its package's extension."""
    if os.path.isdir(commit):
        return os.path.abspath(commit)
    folder = os.path.join(common.OUTPUT, "before-" + commit[:12])
    if not os.path.exists(os.path.join(folder, "Makefile")):
        packed = subprocess.run(["git", "-C", common.PROJECT, "archive", commit], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        if packed.returncode:
            common.skip("nanoseconds.py", "there is no commit %s to compare with: %s" % (
                commit[:12], packed.stderr.decode("utf-8", "replace").strip()))
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    # Variables that were given to `make bench` are not for that tree.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(["make", "-C", folder, "-j%d" % os.cpu_count(), "build/pymem-bpf"],
                   stdout=subprocess.DEVNULL, env=environment, check=True)
    return folder


def interpreters():
    """{version: command} of those that this machine has."""
    found = {}
    listed = subprocess.run([PYTHONS, "list"], stdout=subprocess.PIPE, check=True).stdout.decode()
    for row in listed.splitlines():
        name, command = row.split("\t")
        version = re.search(r"\d\.\d+", name)
        if version and version.group() in VERSIONS:
            found.setdefault(version.group(), command.split())
    return found


def times_of(files, names):
    """{program: (ns, runs)}; names: {program: what the file is called by}"""
    return {name: tool.read_times(files[called]) for name, called in names.items()}


def event_ns(profiler, command, scale):
    """{program: (ns a page fault of a workload less the clock's, ns of the empty program)}"""
    ours = {name: name for name in tool.PROGRAMS}
    with tool.counting(), Workload(command, scale) as workload, common.Empty("tracepoints") as empty:
        with Profiler("-p", str(workload.pid), tool=profiler) as attached:
            files = {**tool.program_files(empty.process.pid), **tool.program_files(attached.pid)}
            before = times_of(files, ours), times_of(files, EMPTY_PROGRAMS)
            _, faults = workload.go()
            after = times_of(files, ours), times_of(files, EMPTY_PROGRAMS)
    return {name: net(before[0][name], after[0][name], before[1][name], after[1][name], faults) for name in ours}


def net(before, after, empty_before, empty_after, faults):
    """(ns a fault, ns of the clock). The programs run at each fault of the host, and return at once if the process is
    not profiled: so what is left of all of these without the clock's readings is of the faults that are counted here."""
    clock = (empty_after[0] - empty_before[0]) / (empty_after[1] - empty_before[1])
    return (after[0] - before[0] - clock * (after[1] - before[1])) / faults, clock


def in_turns(rounds, measure):
    """{side: [what measure(side) returned in each round]}"""
    found = {side: [] for side in SIDES}
    for number in range(rounds):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            found[side].append(measure(side))
    return found


def only(runs, program):
    return {side: [run[program][0] for run in runs[side]] for side in SIDES}


def row(title, values, target, unit="ns"):
    shown = {"title": title, "target": target, "unit": unit, **values}
    print(tables.table([tables.nanoseconds_row(shown)]), flush=True)
    return shown


def event_rows(programs, options):
    """([rows], [ns of the empty program in each run])"""
    rows, clock = [], []
    faults = None
    for version, command in options.pythons.items():
        for frames, target in FRAMES.items():
            words = command + ["-B", os.path.join(WORKLOADS, "walks.py"), str(frames)]
            runs = in_turns(options.rounds, lambda side, w=words: event_ns(programs[side], w, options.scale))
            clock += [run["rss_stat"][1] for side in SIDES for run in runs[side]]
            rows.append(row("rss_stat, walk of %d frames, Python %s" % (frames, version),
                            only(runs, "rss_stat"), target))
            faults = faults or only(runs, "fault_user")
    words = [options.python, "-B", os.path.join(WORKLOADS, "storm.py"), "4"]
    runs = in_turns(options.rounds, lambda side: event_ns(programs[side], words, options.scale / 3))
    rows.append(row("rss_stat, same string instruction", only(runs, "rss_stat"), 120))
    rows.append(row("fault_user of a traced process", faults, 60))
    return rows, clock


@contextlib.contextmanager
def before_others():
    """What starts in here is run before what others run on this machine: its time is that of the clock on the wall."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def attach_row(programs, options):
    with before_others(), common.Sleepers(options.python, 1) as sleeper:
        def once(side):
            with Profiler("-p", str(sleeper.pids[0]), tool=programs[side]) as profiler:
                return 1000 * profiler.seconds
        return row("attach to first data", in_turns(2 * options.rounds, once), 100, "ms")


def mprun_row(trees, options):
    """Lines that do nothing else, in bare times."""
    function, _, size, _, _ = mprun.CASES[0]
    for folder in trees.values():
        subprocess.run([sys.executable, os.path.join(folder, "tools", "build-extension")], check=True,
                       stdout=subprocess.DEVNULL)
    with before_others(), tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lines.py")

        def once(side):
            socket = os.path.join(folder, side + ".sock")
            environment = dict(os.environ, PYTHONPATH=os.path.join(trees[side], "python", "src"),
                               PYMEM_BPF_SOCKET=socket, PYTHONDONTWRITEBYTECODE="1")
            server = mprun.serve(socket, os.path.join(trees[side], "build", "pymem-bpf"))
            try:
                bare = mprun.seconds("bare", function, size, path, environment)
                return mprun.seconds("pymem_bpf", function, size, path, environment) / bare
            finally:
                server.terminate()
                server.wait()
        return row("`%%mprun`, nothing but lines, Python %d.%d" % sys.version_info[:2],
                   in_turns(options.rounds, once), 3, "times bare")


def idle_rows(programs, options):
    """CPU and memory of the profiler and its helpers beside idle Pythons."""
    found = {side: None for side in SIDES}
    command = [options.python, "-B", os.path.join(WORKLOADS, "forked.py"), str(options.idle)]
    with Workload(command):
        for side in SIDES:
            with Profiler("-a", tool=programs[side]) as profiler, common.Awake():
                time.sleep(5)
                pids = top.tree_of(profiler.pid)
                before, start = sum(map(tool.cpu_seconds, pids)), time.monotonic()
                time.sleep(options.seconds)
                used = sum(map(tool.cpu_seconds, pids)) - before
                found[side] = (100 * used / (time.monotonic() - start), sum(map(tool.rss_mib, pids)))
    return [row("%d idle Pythons under -a: %s" % (options.idle, what),
                {side: [found[side][index]] for side in SIDES}, target, unit)
            for index, (what, target, unit) in enumerate((("CPU", 0.3, "% of a CPU"), ("RSS", 96, "MiB")))]


def has_counters():
    """True if the machine counts instructions and cache misses."""
    return any(os.path.exists("/sys/bus/event_source/devices/" + name) for name in ("cpu", "cpu_core"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", default=BEFORE, help="commit, or a tree that is built")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the work done (1)")
    parser.add_argument("--seconds", type=float, default=30, help="of silence under -a (30)")
    parser.add_argument("--idle", type=int, default=1000, help="idle Pythons (1000)")
    parser.add_argument("--python", default="/usr/bin/python3", help="what all but the walks is measured on")
    parser.add_argument("--only", default="", help="events, attach, mprun or idle, with commas")
    options = parser.parse_args()
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be positive")
    return options


def main():
    options = parse()
    trees = {"before": tree_of(options.before), "after": common.PROJECT}
    programs = {side: os.path.join(folder, "build", "pymem-bpf") for side, folder in trees.items()}
    options.pythons = interpreters()
    parts = options.only.split(",") if options.only else ["events", "attach", "mprun", "idle"]
    data = {"machine": common.machine(), "python": common.version_of(options.python), "rounds": options.rounds,
            "before": os.path.basename(options.before)[:12], "counters": has_counters(), "clock": [], "rows": [],
            "missing": [v for v in VERSIONS if v not in options.pythons], "load": [os.getloadavg()[0]]}
    if "events" in parts:
        data["rows"], data["clock"] = event_rows(programs, options)
    if "attach" in parts:
        data["rows"].append(attach_row(programs, options))
    if "mprun" in parts:
        data["rows"].append(mprun_row(trees, options))
    if "idle" in parts:
        data["rows"] += idle_rows(programs, options)
    data["load"].append(os.getloadavg()[0])
    print(tables.nanoseconds_text(data))
    if not options.only:
        common.save("nanoseconds.json", data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
