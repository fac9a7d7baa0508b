# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Starting workloads and the profiler, for the benchmarks. Talks to them as users' scripts
would: through the command line, stderr and signals."""
import json
import os
import select
import signal
import statistics
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(HERE)
TOOL = os.environ.get("PYMEM_BPF", os.path.join(PROJECT, "build", "pymem-bpf"))
EMPTY = os.path.join(PROJECT, "build", "bench-empty")
OUTPUT = os.path.join(PROJECT, "build", "bench")
PATIENCE = 180
# The exit status of a benchmark that this machine or interpreter has not what it needs for.
SKIPPED = 77


def read_line(pipe, seconds=PATIENCE):
    """One line of an unbuffered pipe; RuntimeError if none comes in time."""
    line, deadline = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise RuntimeError("no line in %d s; so far %r" % (seconds, line))
        byte = os.read(pipe.fileno(), 1)
        if not byte:
            raise RuntimeError("ended early; said %r" % line)
        line += byte
    return line.decode()


class Workload:
    """A workload that waits to be let go."""

    def __init__(self, command, scale=1.0, environment=None):
        env = dict(os.environ, PYMEM_BENCH_SCALE=str(scale), PYTHONDONTWRITEBYTECODE="1",
                   PYTHONPATH=os.path.join(HERE, "workloads"), **(environment or {}))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        bufsize=0, env=env)
        self.pid = self.process.pid
        while read_line(self.process.stdout) != "ready\n":
            pass

    def go(self):
        """Lets it work; (seconds, page faults)."""
        self.process.stdin.write(b"GO\n")
        words = []
        while words[:1] != ["seconds"]:
            words = read_line(self.process.stdout).split()
        return float(words[1]), int(words[3])

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sleepers:
    """Idle Pythons. They share two pipes, so that there may be thousands."""

    def __init__(self, python, count):
        command = [python, "-B", os.path.join(HERE, "workloads", "sleeper.py")]
        self.stdin, self.hold = os.pipe()
        said, say = os.pipe()
        self.processes = [subprocess.Popen(command, stdin=self.stdin, stdout=say) for _ in range(count)]
        os.close(say)
        with open(said, "rb", buffering=0) as pipe:
            for _ in self.processes:
                read_line(pipe)
        self.pids = [p.pid for p in self.processes]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        os.close(self.stdin)
        os.close(self.hold)


class Busy:
    """A loop on each CPU, at the priority of everyone."""

    def __init__(self):
        self.loops = []
        for cpu in os.sched_getaffinity(0):
            loop = subprocess.Popen(["sh", "-c", "while :; do :; done"])
            self.loops.append(loop)
            os.sched_setaffinity(loop.pid, {cpu})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for loop in self.loops:
            loop.kill()
        for loop in self.loops:
            loop.wait()


class Awake(Busy):
    """Keeps all CPUs from sleeping while it lives, at the cost of nobody: a loop of SCHED_IDLE on each.

    On a virtual machine that sleeps between events, each wake-up is charged for what the host took from the CPU meanwhile
    (caches, clock, often the CPU itself): a program that wakes up seldom then seems to cost several times what it takes
    from others."""

    def __init__(self):
        super().__init__()
        for loop in self.loops:
            os.sched_setscheduler(loop.pid, os.SCHED_IDLE, os.sched_param(0))


class Empty:
    """Empty BPF programs, attached while it lives: bench/probe/empty.c."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([EMPTY, *arguments], stdout=subprocess.PIPE, bufsize=0)
        read_line(self.process.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Profiler:
    """The profiler, attached when made. `seconds`: from its exec to its `attached` line; `written`: its report, once it is
    closed."""

    def __init__(self, *arguments, tool=TOOL, form="json"):
        self.folder = tempfile.TemporaryDirectory(prefix="pymem-bench.")
        self.path = os.path.join(self.folder.name, "report")
        self.written = None
        start = time.monotonic()
        self.process = subprocess.Popen(
            [tool, "--format", form, "-o", self.path, *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0)
        said = ""
        try:
            while not said.startswith("attached"):
                said = read_line(self.process.stderr)
        except RuntimeError:
            self.close()
            raise
        self.seconds = time.monotonic() - start
        self.pid = self.process.pid

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(PATIENCE)
        rest = self.process.stderr.read().decode("utf-8", "replace")
        self.process.stderr.close()
        if os.path.exists(self.path):
            with open(self.path, "rb") as f:
                self.written = f.read()
        self.folder.cleanup()
        if status:
            raise RuntimeError("the profiler ended with status %d: %s" % (status, rest))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def save(path, what):
    """As JSON, whole or not at all; a name alone is in OUTPUT."""
    path = os.path.join(OUTPUT, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w") as f:
        json.dump(what, f, indent=1)
        f.write("\n")
    os.replace(path + ".tmp", path)


def skip(script, reason):
    """Ends a benchmark that can't run here; bench/report.py says so in its place."""
    print("SKIP %s: %s" % (script, reason), flush=True)
    save(script.replace(".py", ".json"), {"skipped": reason})
    raise SystemExit(SKIPPED)


def version_of(python):
    return subprocess.run([python, "-V"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def spread(values, form="%.3f"):
    """Median and range, as the tables print them."""
    return (form + " (" + form + " to " + form + ")") % (
        statistics.median(values), min(values), max(values))


def machine():
    """One line on what this was measured on."""
    model = "unknown CPU"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return "Linux %s, %d CPUs (%s)" % (os.uname().release, os.cpu_count(), model)
