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


def bursts(caller, may_be_attached, options):
    """{call: [ns]} of some bursts; those are left out in which somebody else made system calls dearer. Fewer than
    asked for if somebody does so for too long."""
    found, deadline = {call: [] for call in CALLS}, time.monotonic() + options.patience
    while len(found["getppid"]) < options.bursts and time.monotonic() < deadline:
        if not may_be_attached and exits_attached():
            time.sleep(0.05)
            continue
        once = {call: caller.ns(call, count) for call, count in CALLS.items()}
        if may_be_attached or not exits_attached():
            for call, ns in once.items():
                found[call].append(ns)
    return found


def measure(caller, way, options):
    """The same while the profiler watches an idle Python in that way."""
    arguments = WAYS[way]
    if arguments is None:
        return bursts(caller, False, options)
    with common.Sleepers(options.python, 1) as sleepers:
        with common.Profiler("-p", str(sleepers.pids[0]), *arguments):
            return bursts(caller, way == "--sys-exit", options)


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
    common.save("host_cost.json", {"machine": common.machine(), "rounds": options.rounds, "ns": found})
    print("%s; %d rounds, of %s bursts. Medians, in brackets the least and the greatest.\n" % (
        common.machine(), options.rounds, ", ".join(str(len(calls["getppid"])) for calls in found.values())))
    print("| ns of a process that is not profiled | getppid | brk up and down | mmap and munmap |\n|---|---|---|---|")
    for way, calls in found.items():
        print("| %s | %s |" % (way, " | ".join(
            "%.0f (%.0f to %.0f)" % (statistics.median(ns), min(ns), max(ns)) if ns else "-" for ns in calls.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
