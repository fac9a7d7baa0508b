#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `pymem-bpf -a` needs where a host has very many Pythons: to attach to --count idle ones, on a quiet machine and
with a busy loop on each CPU; to watch them; how long its report of them is. Then what it has and writes while a program
forks --rate times a second, which must not grow with time.

CPU time is that of the profiler and its helpers, from the kernel's clocks of their CPU time. An attach is from its exec to the
line that says it is attached. RSS is the sum over its processes.
"""
import argparse
import contextlib
import os
import subprocess
import sys
import time

import agent
import common
import tables
import tool

FORKS = os.path.join(common.HERE, "workloads", "forks.py")


class Forks:
    """A program that forks all the time."""

    def __init__(self, python, rate):
        self.process = subprocess.Popen([python, "-B", FORKS, "%g" % rate], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        common.read_line(self.process.stdout)

    def tell(self, words):
        self.process.stdin.write(words)

    def end(self):
        """How many children there were."""
        self.tell(b"END\n")
        return int(common.read_line(self.process.stdout).split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Watch(common.Profiler):
    """`-a`, which writes its report to a file that stays: report() ends it."""

    def __init__(self, form="json"):
        super().__init__("-a", form=form)
        self.path = os.path.join(self.folder.name, "report")

    def report(self):
        """Bytes of the report, which ends it."""
        self.process.send_signal(common.signal.SIGINT)
        self.process.wait(common.PATIENCE)
        with open(self.path, "rb") as f:
            return f.read()


def cpu_seconds(pid):
    return sum(agent.cpu_by_name(pid).values()) / 1e9


def attach(rounds):
    """([seconds], [CPU seconds]) of so many attaches, the end of each apart."""
    walls, cpus = [], []
    for _ in range(rounds):
        with Watch() as watch:
            cpus.append(cpu_seconds(watch.pid))
            walls.append(watch.seconds)
    return walls, cpus


def idle(seconds):
    """(CPU %, BPF in others %, RSS MiB, lines of the report)"""
    with tool.counting(), Watch("table") as watch:
        files = tool.program_files(watch.pid)
        time.sleep(2)
        before, bpf, start = cpu_seconds(watch.pid), agent.bpf_ns(files), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - start
        used, ran = cpu_seconds(watch.pid) - before, agent.bpf_ns(files) - bpf
        rss = agent.memory(watch.pid)[0]
        return 100 * used / took, 1e-7 * ran / took, rss, watch.report().count(b"\n")


def idle_rows(options):
    rows = []
    with common.Sleepers(options.python, options.count):
        for words, load in ("", contextlib.nullcontext), (", a loop on each CPU", common.Busy):
            with load():
                walls, cpus = attach(options.rounds)
            rows.append(("attach" + words, common.spread(walls, "%.2f") + " s", "<= 3 s"))
            rows.append(("its CPU time" + words, common.spread(cpus, "%.2f") + " s", "<= 2 s"))
        cpu, bpf, rss, lines = idle(options.seconds)
    rows.append(("CPU, all idle", "%.2f %%, and %.3f %% by BPF in others" % (cpu, bpf), "<= 0.3 %"))
    rows.append(("RSS", "%.1f MiB" % rss, "<= 96 MiB"))
    rows.append(("lines of the report of %g s" % options.seconds, "%d" % lines, "< 40"))
    return rows


def fork_rows(options):
    """After a tenth of the time, and at its end."""
    with Forks(options.python, options.rate) as forks:
        with Watch("table") as text, Watch() as long, Watch() as short:
            began = time.monotonic()
            forks.tell(b"GO\n")
            time.sleep(options.minutes * 6)
            early, first = agent.memory(long.pid)[0], len(short.report())
            time.sleep(max(0, began + options.minutes * 60 - time.monotonic()))
            late, seconds, children = agent.memory(long.pid)[0], time.monotonic() - began, forks.end()
            last, lines = len(long.report()), text.report().count(b"\n")
    return [("forks a second, of so many seconds", "%.1f, %.0f" % (children / seconds, seconds), "50"),
            ("RSS after a tenth of them, and at the end", "%.1f, %.1f MiB" % (early, late), "the same"),
            ("JSON after a tenth of them, and at the end", "%.0f, %.0f KiB" % (first / 1024, last / 1024), "the same"),
            ("lines of the report", "%d" % lines, "-")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="idle Pythons (1000)")
    parser.add_argument("--rounds", type=int, default=5, help="attaches (5)")
    parser.add_argument("--seconds", type=float, default=60, help="of silence (60)")
    parser.add_argument("--rate", type=float, default=50, help="forks a second (50)")
    parser.add_argument("--minutes", type=float, default=5, help="of forks (5)")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
    return parser.parse_args()


def main():
    options = parse()
    rows = idle_rows(options) + fork_rows(options)
    data = {"machine": common.machine(), "python": common.version_of(options.python), "count": options.count,
            "rounds": options.rounds, "rows": rows}
    common.save("many.json", data)
    print(tables.many_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
