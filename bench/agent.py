#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the agent needs in its steady state: CPU time and memory of all its processes while it watches many Pythons,
which are idle, or of which some grow slowly.

CPU is that of the agent and its helpers over --seconds, after --settle, from the kernel's clocks of their CPU time.
Beside it stands the time of its BPF programs in other processes, by the kernel's own count
(kernel.bpf_stats_enabled). RSS is the sum over its processes at the end. With --listen somebody asks for metrics every
15 s, over a unix socket.

The agent watches all Pythons of the host: those of others, and programs that start meanwhile, cost it, too. How many
these are is said; with none the figures are those of a steady state. With --against another build watches the same
Pythons at the same time, so both have the same of that.
"""
import argparse
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import common
import record
import tables
import tool
import top

SCRAPE = 15
MIB = 1 << 20
# BPF programs that run in the agent's own time: iterators. The others run in that of who causes an event.
ITERATORS = ("collect", "settle", "attach_wanted", "lines_settle")


class Mix:
    """Pythons, of which a quarter grow slowly and the others are idle."""

    def __init__(self, python, count, rate):
        self.idle = common.Sleepers(python, count - count // 4)
        self.growing = top.Growers(python, count // 4, rate)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.growing.__exit__(*what)
        self.idle.__exit__(*what)


class Agent:
    """`pymem-bpf agent`, recording to a folder of its own. `socket`: where it serves metrics, or None."""

    def __init__(self, folder, arguments, listens, tool_path=common.TOOL):
        os.mkdir(folder)
        self.socket = os.path.join(folder, "metrics.sock") if listens else None
        self.store = os.path.join(folder, "store")
        os.mkdir(self.store, 0o700)
        config = os.path.join(folder, "agent.toml")
        with open(config, "w"):
            pass
        words = ["--config", config, "--store", self.store] + (["--listen", "unix:" + self.socket] if listens else [])
        self.process = subprocess.Popen([tool_path, "agent", *words, *arguments],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid
        self.said = ""
        while ": records " not in self.said:
            self.said = common.read_line(self.process.stderr)
        self.count = int(self.said.split(": records ")[1].split()[0])

    def files(self):
        return sorted(os.path.join(self.store, name) for name in os.listdir(self.store) if name.endswith(".pymem"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        rest = self.process.stderr.read().decode("utf-8", "replace")
        status = self.process.wait(common.PATIENCE)
        self.process.stderr.close()
        if status:
            raise RuntimeError("it ended with status %d: %s" % (status, rest))
        if "sheds" in rest:
            raise RuntimeError("it recorded less than all: %s" % rest)


def cpu_ns(pid):
    """Of a process and all its threads, those too that have ended: clock_getcpuclockid(3)."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def cpu_by_name(pid):
    """{name: CPU ns} of the processes that it is made of. One that ends meanwhile has none."""
    found = {}
    for one in top.tree_of(pid):
        with contextlib.suppress(OSError):
            name = "agent" if one == pid else top.cpu_of(one)[0].replace("pymem-", "")
            found[name] = found.get(name, 0) + cpu_ns(one)
    return found


def wakeups(pid):
    """How often its processes have waited."""
    count = 0
    for one in top.tree_of(pid):
        for task in os.listdir("/proc/%d/task" % one):
            with contextlib.suppress(OSError), open("/proc/%d/task/%s/status" % (one, task)) as f:
                count += next(int(line.split()[1]) for line in f if line.startswith("voluntary"))
    return count


def memory(pid):
    """(RSS, PSS) in MiB of all its processes, added up."""
    rss = pss = 0
    for one in top.tree_of(pid):
        with open("/proc/%d/smaps_rollup" % one) as f:
            fields = {words[0]: words[1] for words in map(str.split, f) if len(words) == 3}
        rss, pss = rss + int(fields["Rss:"]), pss + int(fields["Pss:"])
    return rss / 1024, pss / 1024


def forks():
    """Processes and threads that the host has started since it runs."""
    with open("/proc/stat") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("processes"))


def bpf_ns(files):
    """Run time of BPF programs, but for those that run in the agent's own time."""
    return sum(tool.read_times(path)[0] for name, path in files.items() if name not in ITERATORS)


class Unix(http.client.HTTPConnection):
    """To a unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=common.PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def scrape(path):
    """Bytes of the text."""
    connection = Unix(path)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError("metrics: status %d" % answer.status)
    return len(text)


def wait(seconds, agents):
    """Meanwhile somebody asks those for metrics that serve them."""
    ends = time.monotonic() + seconds
    while True:
        left = ends - time.monotonic()
        if left <= 0:
            return
        for agent in agents:
            if agent.socket:
                scrape(agent.socket)
        time.sleep(max(0, min(SCRAPE, ends - time.monotonic())))


class Reading:
    """What an agent and the host have used up to now."""

    def __init__(self, agent, files):
        self.cpu, self.time = cpu_by_name(agent.pid), time.monotonic()
        self.bpf, self.waited, self.started = bpf_ns(files), wakeups(agent.pid), forks()


def found_of(agent, before, after):
    """What one agent needs."""
    seconds = after.time - before.time
    rss, pss = memory(agent.pid)
    return {"cpu": {name: 1e-7 * (ns - before.cpu.get(name, 0)) / seconds for name, ns in after.cpu.items()},
            "bpf": 1e-7 * (after.bpf - before.bpf) / seconds, "rss": rss, "pss": pss, "count": agent.count,
            "wakeups": (after.waited - before.waited) / seconds, "started": (after.started - before.started) / seconds}


def measure(builds, listens, options):
    """What agents of these builds need, which run at the same time."""
    with tempfile.TemporaryDirectory(prefix="pymem-bench.") as folder:
        with contextlib.ExitStack() as stack:
            agents = [stack.enter_context(Agent(os.path.join(folder, str(i)), options.option if i == 0 else [], listens, path))
                      for i, path in enumerate(builds)]
            stack.enter_context(tool.counting())
            files = [tool.program_files(agent.pid) for agent in agents]
            wait(options.settle, agents)
            before = [Reading(*pair) for pair in zip(agents, files)]
            wait(options.seconds, agents)
            after = [Reading(*pair) for pair in zip(agents, files)]
            found = [found_of(*three) for three in zip(agents, before, after)]
        for agent, one in zip(agents, found):
            one["changed"] = record.sizes(agent.files()[0])[0]
    return found


def row(what, found):
    parts = ", ".join("%s %.2f" % (name, share)
                      for name, share in sorted(found["cpu"].items(), key=lambda pair: -pair[1]) if share >= 0.005)
    return (what, "%.2f %% (%s)" % (sum(found["cpu"].values()), parts or "-"), "%.3f %%" % found["bpf"],
            "%.1f MiB" % found["rss"], "%.1f MiB" % found["pss"], "%.1f" % found["wakeups"], "%.0f" % found["changed"],
            "%d" % found["count"], "%.1f" % found["started"])


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="that are measured (60)")
    parser.add_argument("--settle", type=float, default=30, help="before that (30)")
    parser.add_argument("--count", type=int, default=200, help="Pythons (200)")
    parser.add_argument("--rate", type=float, default=0.5, help="steps a second of each that grows (0.5)")
    parser.add_argument("--option", action="append", default=[], metavar="WORD", help="a further option of the agent")
    parser.add_argument("--against", metavar="TOOL", help="another build, which watches the same at the same time")
    parser.add_argument("--only", help="rows whose name has this")
    parser.add_argument("--name", default="agent.json", help="of the file in build/bench (agent.json)")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
    return parser.parse_args()


def main():
    options = parse()
    rows = []
    builds = {common.TOOL: ", now" if options.against else ""}
    if options.against:
        builds[options.against] = ", before"
    kinds = {"idle": lambda: common.Sleepers(options.python, options.count),
             "a quarter grow": lambda: Mix(options.python, options.count, options.rate)}
    for name, begin in kinds.items():
        for listens in (False, True):
            what = "%d, %s%s" % (options.count, name, ", --listen" if listens else "")
            if options.only and options.only not in what:
                continue
            with begin():
                found = measure(list(builds), listens, options)
            for (path, build), one in zip(builds.items(), found):
                rows.append(row(what + build, one))
                print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    data = {"machine": common.machine(), "python": common.version_of(options.python), "seconds": options.seconds,
            "rate": options.rate, "scrape": SCRAPE, "rows": rows}
    common.save(options.name, data)
    print(tables.agent_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
