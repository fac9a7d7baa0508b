#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an event, an attach and a line cost, before and after: bench/nanoseconds.py [--before COMMIT]

Both builds take turns in each round, so that what else the machine does meets both. An event's time is the kernel's
own (sysctl kernel.bpf_stats_enabled), less what it says of a program that does nothing, attached at the same time
(bench/probe/empty.c): that is the reading of the clock. It is divided by the faults of the workload: other events of
it, which are few, count as a part of these. --before: a commit, which is built below build/bench/, or a
tree that is built. A virtual machine mostly has no counters of instructions and cache misses: then there is none of these.

That walks are measured is looked at in each run: by the profiler's own report, the faults must be at the line of
workloads/walks.py that writes single bytes, which no string instruction does. Else this ends, by name, and keeps nothing.
"""
import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile

import common
import host_cost
import mprun
import tables
import tool
from common import Profiler, Workload

# Version 0.2.0, when these targets were set.
BEFORE = "2d1e8f4f4369f5613183999a698c9f06f3b76e38"
SIDES = ("before", "after")
PARTS = ("events", "host", "attach", "mprun")
FRAMES = {4: 300, 33: 450, 103: 700}  # ns that are aimed at
DEEP_TARGET = 2  # the deepest of these beside the least deep
WALKED = 0.95  # the least share of faults at the line that writes
VERSIONS = ("3.8", "3.11", "3.13")
PYTHONS = os.path.join(common.PROJECT, "tests", "pythons.sh")
WORKLOADS = os.path.join(common.HERE, "workloads")
WALKS = os.path.join(WORKLOADS, "walks.py")
FLOOR = "the same lines told to C code that returns at once, "
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


def event_ns(profiler, command, scale, walks=None):
    """{program: (ns a page fault of a workload less the clock's, ns of the empty program)}. walks: what a run is called by
    of which each fault must have been walked."""
    ours = {name: name for name in tool.PROGRAMS}
    with tool.counting(), Workload(command, scale) as workload, common.Empty("tracepoints") as empty:
        with Profiler("-p", str(workload.pid), tool=profiler) as attached:
            files = {**tool.program_files(empty.process.pid), **tool.program_files(attached.pid)}
            before = times_of(files, ours), times_of(files, EMPTY_PROGRAMS)
            _, faults = workload.go()
            after = times_of(files, ours), times_of(files, EMPTY_PROGRAMS)
    if walks:
        must_walk(walks, walked_share(json.loads(attached.written.decode()), workload.pid, faults, marked_line(WALKS)))
    return {name: net(before[0][name], after[0][name], before[1][name], after[1][name], faults) for name in ours}


def marked_line(path):
    """The number of the line of a workload that writes."""
    with open(path, encoding="utf-8") as f:
        return next(number for number, text in enumerate(f, 1) if text.rstrip().endswith("# L:writes"))


def walked_share(report, pid, faults, line):
    """The share of a workload's faults that the report has at the line of walks.py that writes: of the faults of its work by
    the kernel, or of all that the report has, if these are more."""
    process = next(p for p in report["processes"] if p["pid"] == pid)
    counts = [(entry, entry["minor_faults"] + entry["major_faults"]) for entry in process["lines"]]
    written = sum(n for entry, n in counts if entry["line"] == line and os.path.basename(entry["file"]) == "walks.py")
    return written / max(faults, sum(n for _, n in counts) + process["lost_faults"])


def must_walk(title, share):
    if share <= WALKED:
        raise SystemExit("bench/nanoseconds.py: %s: %.1f %% of the faults are at the line that writes, and more than %g %% must be: "
                         "what was measured is not walks" % (title, 100 * share, 100 * WALKED))


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


def walk_rows(programs, version, command, options):
    """([rows], {side: [ns of fault_user]} and [ns of the empty program], in all runs) of one interpreter."""
    rows, found, clock, faults = [], {}, [], {side: [] for side in SIDES}
    for frames, target in FRAMES.items():
        title = "rss_stat, walk of %d frames, Python %s" % (frames, version)
        words = command + ["-B", WALKS, str(frames)]
        runs = in_turns(options.rounds, lambda side, w=words, t=title: event_ns(
            programs[side], w, options.scale, "%s, %s" % (t, side)))
        clock += [run["rss_stat"][1] for side in SIDES for run in runs[side]]
        found[frames] = only(runs, "rss_stat")
        for side in SIDES:
            faults[side] += only(runs, "fault_user")[side]
        rows.append(row(title, found[frames], target))
    least, most = min(FRAMES), max(FRAMES)
    rows.append(row("%d frames / %d frames, Python %s" % (most, least, version),
                    {side: [deep / flat for flat, deep in zip(found[least][side], found[most][side])] for side in SIDES},
                    DEEP_TARGET, "times"))
    return rows, faults, clock


def event_rows(programs, options):
    """([rows], [ns of the empty program in each run])"""
    rows, clock, faults = [], [], None
    for version, command in options.pythons.items():
        more, of_faults, of_clock = walk_rows(programs, version, command, options)
        rows, clock, faults = rows + more, clock + of_clock, faults or of_faults
    words = [options.python, "-B", os.path.join(WORKLOADS, "storm.py"), "4"]
    runs = in_turns(options.rounds, lambda side: event_ns(programs[side], words, options.scale / 3))
    rows.append(row("rss_stat, same string instruction", only(runs, "rss_stat"), 120))
    if faults:
        rows.append(row("fault_user of a traced process", faults, 60))
    return rows, clock


def host_rows(programs, options):
    """System calls of processes that are not profiled."""
    with host_cost.Caller() as caller, common.Sleepers(options.python, 1) as sleeper:
        runs = in_turns(options.rounds, lambda side: host_cost.once_getppid(caller, programs[side], sleeper.pids[0], options))
    alone, beside = ({side: [run[index] for run in runs[side]] for side in SIDES} for index in (0, 1))
    return [row("getppid(2) of the host, nothing attached", alone, None),
            row("the same beside a profile", beside, None),
            row("the same / nothing attached",
                {side: [b / a for a, b in zip(alone[side], beside[side])] for side in SIDES}, 1, "times")]


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
        return row("attach, to the line that says `attached`", in_turns(2 * options.rounds, once), 100, "ms")


def mprun_rows(trees, options):
    """Lines that do nothing else, in bare times: under each build, and told to C code that does nothing."""
    function, _, size, _, _ = mprun.CASES[0]
    for folder in trees.values():
        subprocess.run([sys.executable, os.path.join(folder, "tools", "build-extension")], check=True,
                       stdout=subprocess.DEVNULL)
    with before_others(), tempfile.TemporaryDirectory() as folder:
        path, floor = os.path.join(folder, "lines.py"), mprun.build_floor()

        def once(side):
            socket = os.path.join(folder, side + ".sock")
            environment = dict(os.environ, PYTHONPATH=os.path.join(trees[side], "python", "src") + os.pathsep + floor,
                               PYMEM_BPF_SOCKET=socket, PYTHONDONTWRITEBYTECODE="1")
            server = mprun.serve(socket, os.path.join(trees[side], "build", "pymem-bpf"))
            try:
                took = {name: mprun.seconds(name, function, size, path, environment)
                        for name in ("bare", "pymem_bpf", "floor")}
                return took["pymem_bpf"] / took["bare"], took["floor"] / took["bare"]
            finally:
                server.terminate()
                server.wait()
        runs = in_turns(options.rounds, once)
    version = "Python %d.%d" % sys.version_info[:2]
    return [row(title + version, {side: [run[index] for run in runs[side]] for side in SIDES}, target, "times bare")
            for index, (title, target) in enumerate((("`%mprun`, nothing but lines, ", 3), (FLOOR, None)))]


def has_counters():
    """True if the machine counts instructions and cache misses."""
    return any(os.path.exists("/sys/bus/event_source/devices/" + name) for name in ("cpu", "cpu_core"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", default=BEFORE, help="commit, or a tree that is built")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the work done (1)")
    parser.add_argument("--bursts", type=int, default=5, help="of system calls, in each round (5)")
    parser.add_argument("--patience", type=float, default=30, metavar="SEC",
                        help="for these, while others are attached to sys_exit (30)")
    parser.add_argument("--python", default="/usr/bin/python3", help="what all but the walks is measured on")
    parser.add_argument("--only", default="", help="%s, with commas" % ", ".join(PARTS))
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else list(PARTS)
    if not set(options.parts) <= set(PARTS):
        parser.error("--only has " + ", ".join(PARTS))
    if min(options.rounds, options.bursts, options.patience) < 1 or options.scale <= 0:
        parser.error("--rounds, --bursts, --patience and --scale must be positive")
    return options


def main():
    options = parse()
    trees = {"before": tree_of(options.before), "after": common.PROJECT}
    programs = {side: os.path.join(folder, "build", "pymem-bpf") for side, folder in trees.items()}
    options.pythons = interpreters()
    data = {"machine": common.machine(), "python": common.version_of(options.python), "rounds": options.rounds,
            "before": os.path.basename(options.before)[:12], "counters": has_counters(), "clock": [], "rows": [],
            "missing": [v for v in VERSIONS if v not in options.pythons], "load": [os.getloadavg()[0]]}
    if "events" in options.parts:
        data["rows"], data["clock"] = event_rows(programs, options)
    if "host" in options.parts:
        data["rows"] += host_rows(programs, options)
    if "attach" in options.parts:
        data["rows"].append(attach_row(programs, options))
    if "mprun" in options.parts:
        data["rows"] += mprun_rows(trees, options)
    data["load"].append(os.getloadavg()[0])
    print(tables.nanoseconds_text(data))
    if not options.only:
        common.save("nanoseconds.json", data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
