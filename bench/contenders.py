# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The profilers that are compared: how each is started on a program, and where it says what.

A contender runs under a host: an interpreter, and the prefix that starts it. Slowdowns are taken
against the bare program under the same host. bench/readings.py understands the outputs.
"""
import os
import re
import subprocess
import tempfile
import time

import common
import readings

SAME = os.path.join(common.HERE, "same")
PYTHONS = os.path.join(common.PROJECT, "tests", "pythons.sh")
# What has no package in the system's release comes from this one.
TREE = ("bench", "trixie", "python3-numpy", "python3-memray", "python3-scalene", "austin")


class Unavailable(Exception):
    """This contender can't be had here; says why."""


class Host:
    """An interpreter: `prefix` starts programs in its root, where `python` is one."""

    def __init__(self, name, prefix, python):
        self.name, self.prefix, self.python = name, prefix, python
        self.label = self.output([python, "-V"])

    def output(self, command):
        """First line of what a command says; Unavailable if it fails."""
        try:
            done = subprocess.run(self.prefix + command, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120)
        except OSError as e:
            raise Unavailable(str(e)) from e
        except subprocess.TimeoutExpired as e:
            raise Unavailable("%s: no end in 120 s" % command[0]) from e
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise Unavailable(said[-1] if said else "%s failed" % command[0])
        return done.stdout.decode("utf-8", "replace").strip().split("\n")[0]

    def version_of(self, module):
        """The version of a distribution; Unavailable if there is none."""
        return self.output([self.python, "-c", "import importlib.metadata as m; "
                            "print(m.version(%r))" % module])


def system_host():
    return Host("system", [], os.environ.get("PYMEM_BENCH_PYTHON", "/usr/bin/python3"))


def tree_host():
    """The unpacked release; fetches it once."""
    done = subprocess.run([PYTHONS, "tree", *TREE], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Unavailable(said[-1] if said else "tests/pythons.sh tree failed")
    folder = done.stdout.decode().strip()
    return Host(TREE[1], [PYTHONS, "run", folder], "/usr/bin/python3")


class Job:
    """One run: a program, its scale, and a folder for outputs."""

    def __init__(self, host, program, folder, scale=1.0, environment=None):
        self.host, self.program, self.folder, self.scale = host, program, folder, scale
        self.environment = environment or {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def text(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            raise readings.NoReading("it wrote no %s" % name) from None

    def python(self, *words):
        return self.host.prefix + [self.host.python, "-B", *words]


class Contender:
    """`basis`: "rss" or "alloc", what its peak counts. `lines`: "sum", what the runs of a line
    changed in all; "live", what of the line was live at a snapshot; "watermark", the same when the
    process held most; "most", the line's own peak; None, it names no lines."""

    name = measures = ""
    basis, lines = "rss", None
    scales = {}

    def __init__(self, host):
        self.host = host
        self.version = self.find_version()

    def find_version(self):
        return ""

    def open(self):
        """Before the first run."""

    def close(self):
        """After the last one."""

    def scale(self, workload):
        return self.scales.get(workload, 1.0)

    def environment(self, job):
        return {}

    def command(self, job):
        raise NotImplementedError

    def read(self, job, result):
        return readings.reading()


class Bare(Contender):
    name, measures = "bare", "the program alone"

    def command(self, job):
        return job.python(job.program)


class Tracemalloc(Contender):
    measures = "bytes asked of Python's allocators; lines: live when the program took a snapshot"
    basis, lines = "alloc", "live"
    scales = {"W1": 0.2, "W4": 0.5, "W6": 0.5, "W8": 0.5}

    def __init__(self, host, frames):
        self.frames = frames
        self.name = "tracemalloc, %d frame%s" % (frames, "s" if frames > 1 else "")
        super().__init__(host)

    def find_version(self):
        return self.host.label

    def environment(self, job):
        return {"PYMEM_BENCH_SNAPSHOT": "1"}

    def command(self, job):
        return job.python("-X", "tracemalloc=%d" % self.frames, job.program)

    def read(self, job, result):
        return readings.traced(result)


class MemoryProfiler(Contender):
    name = "memory_profiler, lines"
    measures = "RSS read at each line event; lines: the sum of its differences"
    lines = "sum"
    scales = {"W1": 0.02, "W2": 0.001, "W4": 0.02, "W6": 0.05, "W7": 0.3, "W8": 0.02}

    def find_version(self):
        return self.host.version_of("memory_profiler")

    def environment(self, job):
        return {"PYMEM_BENCH_DECORATE": "1"}

    def command(self, job):
        return job.python("-m", "memory_profiler", "-o", job.path("table"), job.program)

    def read(self, job, result):
        return readings.line_tables(job.text("table"))


class Mprof(Contender):
    name, measures = "memory_profiler, mprof", "RSS sampled each 0.1 s"

    def find_version(self):
        return self.host.version_of("memory_profiler")

    def command(self, job):
        return job.python("-m", "mprof", "run", "-o", job.path("dat"),
                          job.host.python, job.program)

    def read(self, job, result):
        return readings.mprof_file(job.text("dat"))


class Scalene(Contender):
    name = "scalene"
    measures = "allocations, sampled each 10 MiB of change; lines: the most held at one time"
    basis, lines = "alloc", "most"

    def find_version(self):
        return self.host.version_of("scalene")

    def command(self, job):
        return job.python("-m", "scalene", "--cpu", "--memory", "--json", "--outfile",
                          job.path("profile.json"), job.program)

    def read(self, job, result):
        return readings.scalene_profile(job.text("profile.json"), job.program)


class Memray(Contender):
    measures = "allocations of malloc and mmap; lines: live at the high watermark"
    basis, lines = "alloc", "watermark"

    def __init__(self, host, *options):
        self.options = options
        self.name = " ".join(("memray",) + options)
        super().__init__(host)

    def find_version(self):
        return self.host.version_of("memray")

    def command(self, job):
        return job.python("-m", "memray", "run", "-q", *self.options, "-o", job.path("recording"),
                          job.program)

    def read(self, job, result):
        if not os.path.exists(job.path("recording")):
            raise readings.NoReading("it wrote no recording")
        done = subprocess.run(job.python(os.path.join(SAME, "memray_lines.py"),
                                         job.path("recording"), job.program),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
        if done.returncode:
            raise readings.NoReading(done.stderr.decode("utf-8", "replace").strip()[-200:])
        return readings.memray_lines(done.stdout.decode())


class Austin(Contender):
    name, measures = "austin -m", "RSS sampled each 0.1 ms, with the stack"
    lines = "sum"

    def find_version(self):
        said = self.host.output(["/usr/bin/austin", "-V"])
        match = re.search(r"\d+\.[\d.]+", said)
        return match.group() if match else said

    def command(self, job):
        # It gives up on an interpreter that is not ready in a tenth of a second, unless told.
        return job.host.prefix + ["/usr/bin/austin", "-t", "10s", "-m", "-o", job.path("samples"),
                                  job.host.python, "-B", job.program]

    def read(self, job, result):
        return readings.austin_samples(job.text("samples"), job.program)


class Walk(Contender):
    name = "pymem-bpf, walk"
    measures = "each change of RSS, and copies on write; lines: the sum of changes"
    lines = "sum"
    options = ()

    def find_version(self):
        said = subprocess.run([common.TOOL, "--version"], stdout=subprocess.PIPE, check=True)
        return said.stdout.decode().split()[-1]

    def command(self, job):
        return [common.TOOL, *self.options, "-q", "--format", "json", "-o", job.path("report"),
                "--", *job.python(job.program)]

    def read(self, job, result):
        return readings.pymem_report(job.text("report"), job.program)


class Lines(Walk):
    name = "pymem-bpf, lines"
    measures = "the same, and each run of a line by CPython's probes"
    options = ("--lines",)
    scales = {"W1": 0.2, "W2": 0.02, "W8": 0.2}


class Mprun(Contender):
    name = "%mprun"
    measures = "the thread's own changes of RSS, read at each line event"
    lines = "sum"
    scales = {"W2": 0.1}

    def find_version(self):
        self.host.output([self.host.python, "-c", "import IPython"])
        return Walk.find_version(self)

    def open(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pymem-bench.")
        self.socket = os.path.join(self.folder.name, "serve.sock")
        self.server = subprocess.Popen([common.TOOL, "serve", "--socket", self.socket],
                                       stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not os.path.exists(self.socket):
            if self.server.poll() is not None or time.monotonic() > deadline:
                self.server.kill()
                raise Unavailable("no helper: " + self.server.stderr.read().decode().strip())
            time.sleep(0.02)

    def close(self):
        self.server.terminate()
        self.server.wait(30)
        self.server.stderr.close()
        self.folder.cleanup()

    def environment(self, job):
        return {"PYMEM_BPF_SOCKET": self.socket,
                "PYTHONPATH": os.pathsep.join([SAME, os.path.join(common.PROJECT, "python", "src")])}

    def command(self, job):
        return job.python(os.path.join(SAME, "mprun_session.py"), job.program, job.path("table"))

    def read(self, job, result):
        return readings.line_tables(job.text("table"))


# (how to make it, which host)
ALL = ((lambda h: Tracemalloc(h, 1), "system"), (lambda h: Tracemalloc(h, 25), "system"),
       (MemoryProfiler, "system"), (Mprof, "system"), (Walk, "system"), (Lines, "system"),
       (Mprun, "system"), (Scalene, "tree"), (Memray, "tree"),
       (lambda h: Memray(h, "--native"), "tree"), (Austin, "tree"), (Walk, "tree"))
NAMES = ("tracemalloc, 1 frame", "tracemalloc, 25 frames", "memory_profiler, lines",
         "memory_profiler, mprof", "pymem-bpf, walk", "pymem-bpf, lines", "%mprun", "scalene",
         "memray", "memray --native", "austin -m", "pymem-bpf, walk")


def find():
    """([contenders that can run], {name: why not})"""
    hosts, made, missing = {}, [], {}
    for key, start in (("system", system_host), ("tree", tree_host)):
        try:
            hosts[key] = start()
        except Unavailable as e:
            hosts[key] = str(e)
    for (make, where), name in zip(ALL, NAMES):
        host = hosts[where]
        try:
            if isinstance(host, str):
                raise Unavailable(host)
            made.append(make(host))
        except Unavailable as e:
            missing["%s (%s)" % (name, where)] = str(e)
    return made, missing
