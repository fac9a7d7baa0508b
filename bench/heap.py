# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a look of `pymem-bpf heap` costs: time and memory, as a ratio of the target's. bench/heap.py
[--mib N] [--rounds N] [--pid PID] [--kinds full,types,pause] [TOOL …]; with several builds they take turns. All goes to
build/bench/heap.json.

Memory is that of all processes of the command together, read every few milliseconds: what is their own, and once the
memory file that they share.
"""
import argparse
import os
import statistics
import subprocess
import sys
import threading
import time

import common

KINDS = {"full": [], "types": ["--types-only"], "pause": ["--pause"]}
WORKLOAD = os.path.join(common.HERE, "workloads", "heap_kept.py")
STEP_SECONDS = 0.005
PATIENCE = 600
MIB = 1 << 20


def status(pid):
    """{"RssAnon": bytes …} of a process; {}: it is gone."""
    try:
        with open("/proc/%d/status" % pid) as f:
            rows = [line.split() for line in f]
    except OSError:
        return {}
    return {row[0][:-1]: int(row[1]) * 1024 for row in rows if row[-1] == "kB"}


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            below = [int(word) for word in f.read().split()]
    except OSError:
        below = []
    return below + [one for child in below for one in children(child)]


class Peak(threading.Thread):
    """The most that a process and its descendants have at a time."""

    def __init__(self, pid):
        threading.Thread.__init__(self)
        self.pid, self.bytes, self.ended = pid, 0, False

    def run(self):
        while not self.ended:
            found = [status(pid) for pid in [self.pid] + children(self.pid)]
            own = sum(one.get("RssAnon", 0) for one in found)
            shared = max([one.get("RssShmem", 0) for one in found])
            self.bytes = max(self.bytes, own + shared)
            time.sleep(STEP_SECONDS)


class Running:
    """A process that is there already."""

    def __init__(self, pid):
        self.pid, self.records = pid, None

    def rss(self):
        return status(self.pid)["VmRSS"]

    def close(self):
        pass


class Kept(Running):
    def __init__(self, python, mib):
        self.process = subprocess.Popen([python, WORKLOAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(os.environ, PYMEM_BENCH_MIB=str(mib)), bufsize=0)
        Running.__init__(self, self.process.pid)
        self.records = int(common.read_line(self.process.stdout, PATIENCE).split()[1])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def look(tool, pid, words):
    """One look: its seconds, CPU seconds, peak of bytes, pause in milliseconds or None."""
    begin = time.monotonic()
    before = os.times()
    process = subprocess.Popen([tool, "heap", "-p", str(pid), "--format", "json", "-q"] + words,
                               stdout=subprocess.PIPE)
    peak = Peak(process.pid)
    peak.start()
    out = process.stdout.read()
    code = process.wait()
    seconds = time.monotonic() - begin
    peak.ended = True
    peak.join()
    after = os.times()
    if code:
        sys.exit("heap.py: %s heap %s: status %d" % (tool, " ".join(words), code))
    report = common.json.loads(out.decode())["processes"][0]
    return {"seconds": seconds, "peak": peak.bytes, "holders": len(report["holders"]),
            "cpu": after[2] + after[3] - before[2] - before[3],
            "paused_ms": report["paused_ms"][0] if report["paused_ms"] else None}


def row(tool, kind, runs, rss):
    def median(key):
        return statistics.median(run[key] for run in runs)

    text = "%-24s %-6s  %6.2f s a GiB  CPU* %6.2f s a GiB  %5.2f of RSS (%d MiB)" % (
        tool[-24:], kind, median("seconds") * 1024 * MIB / rss, median("cpu") * 1024 * MIB / rss,
        median("peak") / rss, median("peak") / MIB)
    if runs[0]["paused_ms"] is not None:
        text += "  stopped for %.1f ms per 100 MiB (%.1f to %.1f)" % tuple(
            100 * MIB * f / rss for f in (median("paused_ms"), min(run["paused_ms"] for run in runs),
                                          max(run["paused_ms"] for run in runs)))
    return text


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tools", nargs="*", default=[common.TOOL])
    parser.add_argument("--mib", type=int, default=1024, help="RSS of the target (1024)")
    parser.add_argument("--pid", type=int, help="look at this process instead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default="full,types,pause")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--output", default=os.path.join(common.OUTPUT, "heap.json"))
    return parser.parse_args()


def main():
    options = parse()
    kept = Running(options.pid) if options.pid else Kept(options.python, options.mib)
    found = {}
    try:
        rss = kept.rss()
        for _ in range(options.rounds):
            for kind in options.kinds.split(","):
                for tool in options.tools:
                    found.setdefault((tool, kind), []).append(look(tool, kept.pid, KINDS[kind]))
    finally:
        kept.close()
    for (tool, kind), runs in found.items():
        print(row(tool, kind, runs, rss))
    common.save(options.output, {"machine": common.machine(), "rss": rss, "records": kept.records,
                                 "runs": [{"tool": tool, "kind": kind, "runs": runs}
                                          for (tool, kind), runs in found.items()]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
