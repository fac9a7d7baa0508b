# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What it costs a program to have the lines found that fill what grows (`pymem-bpf heap -d`), and what other tools
say of the same program. bench/births.py [--rounds N] [--seconds S] [--count N] [--no-peers].

The cost is the target's own CPU time for each insertion of a loop of 10,000 a second that is busy all the time
(bench/workloads/inserting.py): traps and probes are charged to it, and other work on the machine is not. One target; windows with a method
alternate with windows of `--births off`, and each ratio is that of a window to the mean of its two neighbours, so a
machine that slows down meanwhile changes little. Medians. Two looks at the same program are made in each window.

Bursts come in few of the 100 ms for which the loop says what it took. So for them a window's figure is the mean of all
in units of their median, which is that of a time without a burst: what changes from window to window drops out.

Peers run the same loop for a number of insertions: memray (memray run, its leaked allocations), tracemalloc, guppy3.
What can't be had here is named. Prints the tables, and writes build/bench/births.json.
"""
import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading

import common
import contenders

PROGRAM = os.path.join(common.HERE, "workloads", "inserting.py")
TARGETS = {"watch": 1.02, "burst": 1.01}


def leaking_line():
    with open(PROGRAM, encoding="utf-8") as f:
        return next(n for n, line in enumerate(f, 1) if line.rstrip().endswith("# L:inserts"))


class Target:
    """The paced loop, and what it said last."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-B", PROGRAM, "paced"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.said = threading.Condition()
        self.all = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.said:
                self.all.append(tuple(map(int, line.split())))
                self.said.notify_all()

    def now(self):
        """How often it has spoken, once it has again."""
        with self.said:
            before = len(self.all)
            if not self.said.wait_for(lambda: len(self.all) > before, common.PATIENCE):
                raise RuntimeError("the target says nothing")
            return len(self.all)

    def costs(self, begin, end):
        """[CPU ns an insertion] between the words numbered so."""
        said = self.all[begin - 1:end]
        return [(b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(said, said[1:]) if b[1] > a[1]]

    def close(self):
        self.process.kill()
        self.process.wait()


def window(target, method, seconds):
    """([CPU ns an insertion] between the two looks, the births found)."""
    tool = subprocess.Popen([common.TOOL, "heap", "-p", str(target.process.pid), "-d", str(seconds), "--births", method,
                             "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # "looked at 1 process; the second look follows in 8 s"
    common.read_line(tool.stderr)
    begin, timer = target.now(), threading.Event()
    timer.wait(seconds - 1)
    end = target.now()
    said, complaints = tool.communicate(timeout=common.PATIENCE)
    if tool.returncode:
        raise RuntimeError("heap --births %s: status %d: %s" % (method, tool.returncode, complaints.decode()))
    look = json.loads(said)["processes"][0]
    return target.costs(begin, end), look


def figure(method, costs):
    """What a window has: see above."""
    return statistics.mean(costs) / (statistics.median(costs) if method == "burst" else 1)


def costs(rounds, seconds):
    """{method: {"ratios", "named", "notes"}}"""
    found = {method: {"ratios": [], "named": [], "notes": []} for method in TARGETS}
    target = Target()
    try:
        before, _ = window(target, "off", seconds)
        for _ in range(rounds):
            for method, one in found.items():
                during, look = window(target, method, seconds)
                after, _ = window(target, "off", seconds)
                beside = statistics.mean(figure(method, costs) for costs in (before, after))
                one["ratios"].append(figure(method, during) / beside)
                one["named"] += [row["line"] for row in look["births"][:1]] or [None]
                one["notes"] += [note for note in look["notes"] if note not in one["notes"]]
                before = after
    finally:
        target.close()
    return found


def run_counted(command, count, **environment):
    done = subprocess.run(command + [str(count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=600, env=dict(os.environ, **environment))
    if done.returncode:
        raise contenders.Unavailable((done.stderr.strip().splitlines() or ["failed"])[-1])
    lines = done.stdout.splitlines()
    said = next(line for line in lines if len(line.split()) == 2 and line.split()[0].isdigit())
    return int(said.split()[0]) / count, lines


def of_tracemalloc(count, rounds):
    bare, traced, line = [], [], None
    for _ in range(rounds):
        bare.append(run_counted([sys.executable, "-B", PROGRAM], count)[0])
        ns, lines = run_counted([sys.executable, "-B", PROGRAM], count, PYMEM_BENCH_TRACEMALLOC="1")
        traced.append(ns / bare[-1])
        line = int(lines[-1].split()[1])
    return statistics.median(traced), line


def of_memray(count, rounds):
    host = None
    if importlib.util.find_spec("memray"):
        host = contenders.system_host()
    else:
        host = contenders.tree_host()
    host.version_of("memray")
    ratios, line = [], None
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=common.OUTPUT) as folder:
            path = os.path.join(folder, "recording")
            python = host.prefix + [host.python, "-B"]
            bare = run_counted(python + [PROGRAM], count)[0]
            ns = run_counted(python + ["-m", "memray", "run", "-q", "-o", path, PROGRAM], count,
                             PYTHONMALLOC="malloc")[0]
            ratios.append(ns / bare)
            said = host.output([host.python, "-B", os.path.join(contenders.SAME, "memray_leaks.py"), path, PROGRAM])
            line = int(said) if said.isdigit() else None
    return statistics.median(ratios), line


def of_guppy(count, rounds):
    if not importlib.util.find_spec("guppy"):
        raise contenders.Unavailable("no module guppy here, and Debian has no package of it")
    raise contenders.Unavailable("guppy3 lists types and their sizes inside the process; it names no line")


PEERS = {"tracemalloc": of_tracemalloc, "memray": of_memray, "guppy3": of_guppy}


def peers(count, rounds):
    found = {}
    for name, measure in PEERS.items():
        try:
            ratio, line = measure(count, rounds)
            found[name] = {"ratio": ratio, "line": line}
        except contenders.Unavailable as e:
            found[name] = {"missing": str(e)}
    return found


def tables(data):
    text = ["| method | target's CPU time an insertion | target | line named |", "|---|---|---|---|"]
    for method, one in data["costs"].items():
        text.append("| `--births %s` | %.3f (%.3f to %.3f) | <= %.2f | %d of %d |" % (
            method, statistics.median(one["ratios"]), min(one["ratios"]), max(one["ratios"]), TARGETS[method],
            sum(line == data["line"] for line in one["named"]), len(one["named"])))
    if data["peers"]:
        text += ["", "| peer | CPU time of the program | line named |", "|---|---|---|"]
    for name, one in data["peers"].items():
        if "missing" in one:
            text.append("| %s | not measured: %s | |" % (name, one["missing"]))
        else:
            text.append("| %s | %.2f | %s |" % (name, one["ratio"], "the one that inserts" if one["line"] == data["line"]
                                                else one["line"]))
    return "\n".join(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8, help="between two looks (8)")
    parser.add_argument("--count", type=int, default=100000, help="insertions under a peer (100000)")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    os.makedirs(common.OUTPUT, exist_ok=True)
    data = {"line": leaking_line(), "rounds": options.rounds, "costs": costs(options.rounds, options.seconds),
            "peers": {} if options.no_peers else peers(options.count, min(options.rounds, 3))}
    with open(os.path.join(common.OUTPUT, "births.json"), "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
    print(tables(data))
    for method, one in data["costs"].items():
        for note in one["notes"]:
            print("%s: note: %s" % (method, note))
    over = [m for m, one in data["costs"].items() if statistics.median(one["ratios"]) > TARGETS[m]]
    if over:
        print("over the target: " + ", ".join(over))
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
