#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the system calls of a process that is not profiled cost while another one is: with nothing attached,
with the default, without counting, and with --sys-exit. Interleaved, in processor time.

bench/host_cost.py [--rounds N]; the numbers go to build/bench/host_cost.json.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

import common
import tables
import tool

WAYS = {"nothing attached": None, "default": [], "--no-syscalls": ["--no-syscalls"], "--sys-exit": ["--sys-exit"]}
CALLS = {"getppid": 20_000, "brk": 2_000, "mmap": 2_000}


class Caller:
    """bench/probe/calls.c, running."""

    def __init__(self):
        os.makedirs(common.OUTPUT, exist_ok=True)
        program = os.path.join(common.OUTPUT, "calls")
        source = os.path.join(common.HERE, "probe", "calls.c")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", program, source], check=True)
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        common.read_line(self.process.stdout)

    def ns(self, call, count):
        self.process.stdin.write(b"%s %d\n" % (call.encode(), count))
        return float(common.read_line(self.process.stdout))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def exits_attached():
    """How many BPF programs of the host are attached to sys_exit, other profilers' among them."""
    said = subprocess.run(["bpftool", "link", "list"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return said.count("sys_exit")


def bursts(caller, own, options, calls=None):
    """{call: [ns]} of some bursts; those are left out in which others than our `own` programs were attached to sys_exit,
    and made system calls dearer. Fewer than asked for if somebody was for too long."""
    calls = calls or CALLS
    found, deadline = {call: [] for call in calls}, time.monotonic() + options.patience
    while len(found["getppid"]) < options.bursts and time.monotonic() < deadline:
        if exits_attached() != own:
            time.sleep(0.05)
            continue
        once = {call: caller.ns(call, count) for call, count in calls.items()}
        if exits_attached() == own:
            for call, ns in once.items():
                found[call].append(ns)
    return found


def own_exits(profiler):
    """How many programs a profiler has attached to sys_exit: one if it has it."""
    return int("syscall_exit" in tool.program_files(profiler.pid))


def measure(caller, way, options):
    """The same while the profiler watches an idle Python in that way."""
    arguments = WAYS[way]
    if arguments is None:
        return bursts(caller, 0, options)
    with common.Sleepers(options.python, 1) as sleepers:
        with common.Profiler("-p", str(sleepers.pids[0]), *arguments) as profiler:
            return bursts(caller, own_exits(profiler), options)


def once_getppid(caller, program, sleeper, options):
    """(medians of ns of getppid(2) with nothing attached, and while `program` watches a process that sleeps)"""
    calls = {"getppid": CALLS["getppid"]}
    bare = bursts(caller, 0, options, calls)["getppid"]
    with common.Profiler("-p", str(sleeper), tool=program) as profiler:
        beside = bursts(caller, own_exits(profiler), options, calls)["getppid"]
    if not bare or not beside:
        raise RuntimeError("others are attached to sys_exit all the time")
    return statistics.median(bare), statistics.median(beside)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--bursts", type=int, default=5, help="of each round and way (5)")
    parser.add_argument("--patience", type=float, default=30, metavar="SEC",
                        help="for these, while others are attached to sys_exit (30)")
    parser.add_argument("--python", default="/usr/bin/python3")
    options = parser.parse_args()
    if min(options.rounds, options.bursts, options.patience) < 1:
        parser.error("--rounds, --bursts and --patience are positive")
    found = {way: {call: [] for call in CALLS} for way in WAYS}
    with Caller() as caller:
        for i in range(options.rounds):
            for way in list(WAYS)[::-1 if i % 2 else 1]:
                for call, ns in measure(caller, way, options).items():
                    found[way][call] += ns
    data = {"machine": common.machine(), "rounds": options.rounds, "load": os.getloadavg()[0], "ns": found}
    print(tables.host_text(data))
    if not all(ns for calls in found.values() for ns in calls.values()):
        print("bench/host_cost.py: others were attached to sys_exit all the time: nothing is kept", file=sys.stderr)
        return 1
    common.save("host_cost.json", data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
