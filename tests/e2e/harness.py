# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Starts programs whose true amounts are known, attaches the profiler, and compares.

Everything has a time limit, and everything that was started is ended, so a failing test leaves nothing
behind. Only the command line and the JSON output of the profiler are used.
"""
import contextlib
import json
import mmap
import os
import platform
import re
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(HERE, "programs")
PYTHONS_SH = os.path.join(PROJECT, "tests", "pythons.sh")
TOOL = os.environ.get("PYMEM_BPF", os.path.join(PROJECT, "build", "pymem-bpf"))
DATA = os.path.join(PROJECT, "build", "e2e-data")

KIB, MIB = 1 << 10, 1 << 20
# What a line may show beside the block it makes: interpreter objects, a pymalloc arena's
# first pages, malloc's page. In pages, of which some architectures have larger ones.
TOLERANCE = 20 * mmap.PAGESIZE
PAGE = mmap.PAGESIZE
PATIENCE = float(os.environ.get("PYMEM_E2E_PATIENCE", "300"))
# Inherited by all that a run of tests starts.
RUN = "PYMEM_E2E_RUN"
os.environ[RUN] = "%d.%d" % (os.getpid(), time.time_ns())
# A run of tests under nohup: what is started has it as by default all the same, and the run goes on.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
LABEL = re.compile(r"# L:(\w+)\s*$")


def list_pythons(what="list"):
    """(name, command) of every interpreter to test."""
    found = subprocess.run([PYTHONS_SH, what], check=True, stdout=subprocess.PIPE).stdout.decode()
    pairs = [line.split("\t", 1) for line in found.splitlines()]
    only = os.environ.get("PYMEM_E2E_PYTHONS")
    if only:
        pairs = [p for p in pairs if p[0] in only.split(",")]
    return [(name, shlex.split(command)) for name, command in pairs]


@contextlib.contextmanager
def compiled(source):
    """A program in C of one file, where any user may run it."""
    with tempfile.TemporaryDirectory(prefix="pymem-compiled.") as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, os.path.splitext(os.path.basename(source))[0])
        subprocess.run(["cc", "-O1", "-o", path, source], check=True)
        yield path


def environment(**more):
    env = dict(os.environ)
    for name in [n for n in env if n.startswith(("PYTHON", "PYMEM_E2E_LAUNCHED"))]:
        del env[name]
    # A mapping for each block of 128 KiB and more, whatever was freed before. Free-threaded builds
    # have mimalloc, which gives memory back at once only if told to.
    env.update(MALLOC_MMAP_THRESHOLD_="131072", MIMALLOC_PURGE_DELAY="0",
               PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0", PYMEM_E2E_DATA=DATA, **more)
    return env


def program_path(name):
    return os.path.join(PROGRAMS, name + ".py")


def labels(path):
    """Line number of each label of a program."""
    found = {}
    with open(path) as f:
        for number, line in enumerate(f, 1):
            match = LABEL.search(line)
            if match:
                assert match.group(1) not in found, "label twice: " + match.group(1)
                found[match.group(1)] = number
    return found


def rss(pid):
    """Rss of the process as its page tables have it, in bytes."""
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * KIB
    raise AssertionError("pid %d: no Rss in smaps_rollup" % pid)


def state(pid):
    """One letter of /proc/PID/stat; X if there is no such process."""
    try:
        with open("/proc/%d/stat" % pid, errors="replace") as f:  # its name may be any bytes
            return f.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def in_system_call(pid):
    """Does the process sleep in a system call? Waiting for a page to be read in is no rest."""
    with open("/proc/%d/syscall" % pid) as f:
        return not f.read().startswith(("-1", "running"))


def in_read(pid):
    """Does its first thread sleep in read(0, …)?"""
    with open("/proc/%d/syscall" % pid) as f:
        words = f.read().split()
    return len(words) > 1 and words[0] in ("0", "63") and words[1] == "0x0"


def until(is_so, what):
    """Returns when it is so; what is waited for is named if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "for %.0f s: not %s" % (PATIENCE, what)
        time.sleep(0.01)


def waits(pid):
    """How often the process has waited for something."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", f.read(), re.M).group(1))


def is_pending(pid, number):
    """Has the process, which may have ended, a signal of that number that it has not looked at?"""
    try:
        with open("/proc/%d/status" % pid) as f:
            found = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)", f.read(), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(int(mask, 16) >> (number - 1) & 1 for mask in found)


def rss_at_rest(pid):
    """Rss once the process sleeps in a system call and Rss has stopped changing."""
    last, deadline = None, time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        # In this order: asleep before and after the reading that counts.
        asleep = state(pid) == "S" and in_system_call(pid)
        now = rss(pid)
        if asleep and now == last and state(pid) == "S" and in_system_call(pid):
            return now
        last = now if asleep else None
        time.sleep(0.02)
    raise AssertionError("pid %d does not come to rest" % pid)


def attached_links(pid):
    """How many BPF links the process holds: what is attached."""
    folder, count = "/proc/%d/fd" % pid, 0
    for descriptor in os.listdir(folder):
        try:
            count += "bpf_link" in os.readlink(os.path.join(folder, descriptor))
        except FileNotFoundError:
            pass  # closed since its folder was listed
    return count


def children_of(pid, name):
    """PIDs of its children that have that name."""
    found = []
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        for number in f.read().split():
            with contextlib.suppress(FileNotFoundError), open("/proc/%s/comm" % number) as comm:
                if comm.read().strip() == name:
                    found.append(int(number))
    return found


def helpers_of(pid):
    """PIDs of a profiler's keeper and of its examiner. They have their names a moment after they were forked."""
    until(lambda: children_of(pid, "pymem-keeper"), "kept")
    keeper = children_of(pid, "pymem-keeper")[0]
    until(lambda: children_of(keeper, "pymem-examiner"), "examined")
    return keeper, children_of(keeper, "pymem-examiner")[0]


def bpf_variables(pid):
    """{name: value} of the BPF side's variables, in the profiler that runs as `pid`."""
    found = {}
    for name in os.listdir("/proc/%d/fdinfo" % pid):
        with open("/proc/%d/fdinfo/%s" % (pid, name)) as f:
            number = re.search(r"^map_id:\s*(\d+)", f.read(), re.M)
        if not number:
            continue
        shown = json.loads(subprocess.check_output(["bpftool", "-j", "map", "show", "id", number[1]]))
        if not shown.get("name", "").endswith(".bss"):
            continue
        dumped = json.loads(subprocess.check_output(["bpftool", "-j", "map", "dump", "id", number[1]]))
        for section in dumped[0]["formatted"]["value"].values():
            for variable in section:
                found.update(variable)
    return found


class Stepping:
    """A program that does its step each time it is told to."""

    def __init__(self, words):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        self.pid = self.process.pid
        assert self.process.stdout.readline() == b"ready\n"

    def step(self):
        self.process.stdin.write(b"x\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end_process(self.process)


def end_process(process):
    """Kills it, unless it has ended, and closes its pipes."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in process.stdin, process.stdout, process.stderr:
        # It may have ended without reading what was written to it.
        with contextlib.suppress(BrokenPipeError):
            if pipe:
                pipe.close()


class Lines:
    """Lines of a pipe, with a time limit."""

    def __init__(self, pipe):
        self.fd, self.buffer, self.all = pipe.fileno(), b"", []

    def next(self, seconds=None):
        """The next line without its newline; None at the end of the pipe."""
        deadline = time.monotonic() + (PATIENCE if seconds is None else seconds)
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError("nothing more was said; so far: %r" % (self.all[-5:],))
            data = os.read(self.fd, 65536)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        self.all.append(line)
        return line


class Target:
    """A program under test, stopped before its work and again after it."""

    def __init__(self, command, name, path=None, arguments=(), **env):
        self.name, self.path = name, path or program_path(name)
        search = {} if path is None else {"PYTHONPATH": PROGRAMS}
        self.process = subprocess.Popen(command + [self.path] + list(arguments),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(environment(**env), **search))
        self.lines = Lines(self.process.stdout)
        self.pid = self.process.pid
        first = self.first = self.said()
        assert first["pid"] == self.pid, "the interpreter must keep the PID it was started with"

    def said(self):
        line = self.lines.next()
        assert line is not None, "%s ended early, status %s" % (self.name, self.process.wait())
        return json.loads(line.decode())

    def tell(self, word):
        self.process.stdin.write(word + b"\n")
        self.process.stdin.flush()

    def go(self, paused=None):
        """Lets it work; returns its truth. Where the program pauses, `paused` is called meanwhile, and what it
        said is in self.pause."""
        self.tell(b"GO")
        said = self.said()
        while said.get("pause"):
            self.pause = said
            if paused:
                paused()
            self.tell(b"ON")
            said = self.said()
        return said

    def end(self):
        """Lets it finish; its exit status."""
        self.tell(b"END")
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end_process(self.process)


class Tool:
    """The profiler. Its stderr is collected while it runs, its stdout in a file."""

    def __init__(self, *arguments, output=True, before=(), **popen):
        assert os.access(TOOL, os.X_OK), "%s is not built: run make" % TOOL
        self.folder = tempfile.TemporaryDirectory(prefix="pymem-e2e.")
        self.file = os.path.join(self.folder.name, "report")
        options = ["--format", "json", "-o", self.file] if output else []
        self.stdout_path = os.path.join(self.folder.name, "stdout")
        if "stdout" not in popen:
            popen["stdout"] = open(self.stdout_path, "wb")
        self.process = subprocess.Popen(list(before) + [TOOL] + options + list(map(str, arguments)),
                                        stderr=subprocess.PIPE, start_new_session=True, **popen)
        if hasattr(popen["stdout"], "close"):
            popen["stdout"].close()
        self.stderr, self.is_attached = b"", threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.stderr += line
            if line.startswith(b"attached"):
                self.is_attached.set()
        self.is_attached.set()

    def attached(self):
        self.is_attached.wait(PATIENCE)
        time.sleep(0.01)
        assert b"attached" in self.stderr, "not attached; stderr: " + self.stderr.decode()
        return self

    def polled(self, rounds=5):
        """Returns when it has dealt with all that BPF told it before. It polls ten times a second at
        least, and waits after each round; more rounds where it needs a second look."""
        goal = self.waits() + rounds
        until(lambda: self.waits() > goal, "polled %d times more" % rounds)

    def waits(self):
        assert self.process.poll() is None, "it has ended; stderr: " + self.stderr.decode("utf-8", "replace")
        return waits(self.process.pid)

    def release(self):
        """Lets a launched command go on that reads its input first (stdin is a pipe), once it does
        that and its interpreter is known."""
        def reads():
            self.waits()
            with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
                return any(in_read(int(pid)) for pid in f.read().split())
        until(reads, "in read()")
        self.polled()
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def wait(self):
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return status

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.wait()

    def stdout(self):
        with open(self.stdout_path, "rb") as f:
            return f.read()

    def report(self, status=0):
        """The report, once it has ended with that status."""
        got = self.wait()
        assert got == status, "status %s, stderr: %s" % (got, self.stderr.decode("utf-8", "replace"))
        with open(self.file, "rb") as f:
            return Report(json.loads(f.read().decode()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A launched command may outlive the profiler, with its stderr: it is in our group.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.reader.join(PATIENCE)
        end_process(self.process)
        self.folder.cleanup()


class Report:
    """A report in JSON, asked by process and line."""

    def __init__(self, data):
        self.data = data
        assert data["schema"] == "pymem-bpf/1"

    def pids(self):
        return [p["pid"] for p in self.data["processes"]]

    def images(self, pid):
        """The process's images: more than one after an exec."""
        found = [p for p in self.data["processes"] if p["pid"] == pid]
        assert found, "pid %d is not in the report, which has %s" % (pid, self.pids())
        for image in found:
            assert not image.get("skipped"), "pid %d was skipped: %s" % (pid, image["skipped"])
        return found

    def image(self, pid):
        found = self.images(pid)
        assert len(found) == 1, "pid %d has %d images" % (pid, len(found))
        return found[0]

    def rows(self, pid, file, line):
        """Rows of that line: one for each function that has it."""
        same = (lambda f: f == file) if file.startswith(("/", "<")) else (
            lambda f: os.path.basename(f) == file)
        return [r for image in self.images(pid) for r in image["lines"]
                if r["line"] == line and same(r["file"])]

    def check_conservation(self, pid):
        """Charged + lost = the change of RSS, to the byte, for each image."""
        for image in self.images(pid):
            lost = sum(image["lost_bytes"].values())
            change = image["rss_end_bytes"] - image["rss_start_bytes"]
            assert image["charged_bytes"] + lost == change, (
                "charged %d + lost %d (%s) is not the change of RSS, %d" % (
                    image["charged_bytes"], lost, image["lost_bytes"], change))
            increments = sum(r["increment_bytes"] for r in image["lines"])
            assert increments == image["charged_bytes"]
            for row in image["lines"]:
                assert row["grown_bytes"] - row["freed_bytes"] == row["increment_bytes"], row
                parts = row["anon_bytes"] + row["file_bytes"] + row["shmem_bytes"]
                assert parts == row["increment_bytes"], row
            self.check_resident(image)
            if image["stalls"] is not None:
                for name, lost in (("stalls", "lost_stalls"), ("stalled_ns", "lost_stalled_ns")):
                    assert sum(row[name] for row in image["lines"]) + image[lost] == image[name], (name, image)

    def check_resident(self, image):
        """Where it is known who touched pages first: lines + before + unknown = RSS, to the byte."""
        touched = [row["resident_bytes"] for row in image["lines"]]
        if image["resident_before_bytes"] is None:
            assert image["resident_unknown_bytes"] is None and not any(touched), image
            return
        rest = image["resident_before_bytes"] + image["resident_unknown_bytes"]
        assert sum(touched) + rest == image["rss_end_bytes"], image
        assert min(touched, default=0) >= 0 and image["resident_before_bytes"] >= 0, image

    def check_at_rest(self, pid, before, after):
        """The same against the page tables, measured by us while the process slept."""
        image = self.image(pid)
        change = image["rss_end_bytes"] - image["rss_start_bytes"]
        assert change == after - before, (
            "said %+d (%d to %d), the page tables say %+d (%d to %d); lost %s" % (
                change, image["rss_start_bytes"], image["rss_end_bytes"], after - before, before,
                after, image["lost_bytes"]))

    def unwatched(self):
        """Write faults that the report says it saw too early to know whether they copied: it watches for
        copies from the first fork on, which takes it some milliseconds. Programs wait for that, but the
        little that their parents go on with."""
        for note in self.data["notes"]:
            found = re.match(r"(\d+) write faults? on shared pages came before", note)
            if found:
                assert int(found.group(1)) < 256, note
                return int(found.group(1))
        return 0

    def replaced(self, pid):
        """Bytes lost, by name, because a code object turned out to be another: at most 63 events
        for each that is noticed. A line may lack them; what it has too much is a guess."""
        return min(sum(abs(image["lost_bytes"]["replaced"]) for image in self.images(pid)), MIB)

    def check_lines(self, pid, path, lines):
        """Each line of the truth has its amounts."""
        for key, truth in lines.items():
            file, line = find_line(path, key)
            rows = self.rows(pid, file, line)
            wrong = [w for what, value in truth.items()
                     for w in compare(rows, what, value,
                                      truth.get("tolerance", TOLERANCE) + truth.get("slack", 0),
                                      self.unwatched() if what == "cow" else 0,
                                      self.replaced(pid))]
            assert not wrong, "%s (%s:%s): %s\nthe report has: %s" % (
                key, file, line, "; ".join(wrong), self.top(pid))

    def top(self, pid):
        rows = [r for image in self.images(pid) for r in image["lines"]]
        rows.sort(key=lambda r: -max(r["grown_bytes"], r["freed_bytes"]))
        lost = [{c: n for c, n in image["lost_bytes"].items() if n} for image in self.images(pid)]
        return "lost %s" % lost + "".join("\n  %+d (+%d -%d) %s:%s %s" % (
            r["increment_bytes"], r["grown_bytes"], r["freed_bytes"], r["file"], r["line"],
            r["function"]) for r in rows[:8])


def find_line(path, key):
    """A key of the truth: a label of the program, LABEL of another (FILE#LABEL), FILE:LINE."""
    if "#" in key:
        other, label = key.split("#")
        path = os.path.join(os.path.dirname(path), other)
        return path, labels(path)[label]
    file, colon, line = key.rpartition(":")
    return (file, int(line)) if colon else (path, labels(path)[key])


def thp():
    """How huge pages are set: always, madvise, never; never too where the kernel has none."""
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled") as f:
            return re.search(r"\[(\w+)\]", f.read()).group(1)
    except FileNotFoundError:
        return "never"


def check_huge(truth):
    """The program `huge` had huge pages, where the kernel has any to give."""
    assert (truth["huge"] > 0) == (thp() != "never"), (truth, thp())


def compare(rows, what, value, tolerance, unwatched=0, replaced=0):
    """What is wrong with one amount of a line, as a list of at most one sentence."""
    if what in ("tolerance", "slack"):
        return []
    if what == "function":
        good = any(r["function"].split(".")[-1] == value for r in rows)
        return [] if good else ["function %s, not %s" % ([r["function"] for r in rows], value)]
    if what in ("cow", "faults"):
        # arm64 has no page fault tracepoints: none is counted there.
        if (what == "faults" and thp() == "always") or platform.machine() == "aarch64":
            return []
        field = {"cow": "cow_faults", "faults": "minor_faults"}[what]
        got, slack = sum(r[field] for r in rows), max(32, value // 50)
        low, high = value - slack - unwatched, value + slack
    else:
        base, _, bound = what.partition("_")
        field = base + "_bytes"
        got = sum(r[field] for r in rows)
        low = value if bound == "min" else float("-inf") if bound == "max" else value - tolerance
        low -= replaced if value > 0 else 0
        high = value if bound == "max" else float("inf") if bound == "min" else value + tolerance
    return [] if low <= got <= high else ["%s %d, expected %s to %s" % (field, got, low, high)]


def launch(*arguments, **how):
    """The report on a command that reads a byte of its input before it does what matters."""
    with Tool(*arguments, env=environment(), stdin=subprocess.PIPE, **how) as tool:
        tool.release()
        return tool.report()


class Run:
    """A program from GO to its truth, under a profiler that is attached; then what its report must say."""

    def __init__(self, target, tool):
        self.target = target
        # Where pages come in over a slow file system, rest may come late: what counts is the
        # page tables of a target that has not moved since the attach.
        self.before = rss_at_rest(target.pid)
        self.truth = target.go(tool.polled)
        self.after = rss_at_rest(target.pid)
        self.children = self.truth.get("children", [])
        self.ends = {c["pid"]: rss_at_rest(c["pid"]) for c in self.children if state(c["pid"]) == "S"}

    def check(self, report, lines=True):
        target = self.target
        report.check_conservation(target.pid)
        if target.name != "execs":
            report.check_at_rest(target.pid, self.before, self.after)
        if lines:
            report.check_lines(target.pid, target.path, self.truth["lines"])
        for child in self.children:
            report.check_conservation(child["pid"])
            report.check_lines(child["pid"], target.path, child["lines"])
            if child["pid"] in self.ends:
                assert report.image(child["pid"])["rss_end_bytes"] == self.ends[child["pid"]]


def profile(command, name, path=None, arguments=(), check=True, options=()):
    """Runs a program from GO to its truth under -p; (target, truth, report), all checked (`check`:
    its lines too)."""
    with Target(command, name, path, arguments) as target:
        rss_at_rest(target.pid)
        with Tool("-p", target.pid, *options) as tool:
            tool.attached()
            run = Run(target, tool)
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0, "the program must not notice"
    run.check(report, check)
    return target, run.truth, report


def caught(function, *arguments):
    """What it returns, or the exception that it raises."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - raised again where it belongs
        return error


def profile_together(command, names):
    """The same of several programs, one after the other under one profiler, which takes a second or more to
    start. {name: (Run or the exception that ended it, report)}; not checked."""
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(Target(command, name)) for name in names]
        for target in targets:
            rss_at_rest(target.pid)
        with Tool(*(word for target in targets for word in ("-p", target.pid))) as tool:
            tool.attached()
            runs = [caught(Run, target, tool) for target in targets]
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        for i, target in enumerate(targets):
            status = caught(target.end)
            if status != 0 and isinstance(runs[i], Run):
                runs[i] = AssertionError("the program must not notice; its end: %r" % (status,))
    return {name: (run, report) for name, run in zip(names, runs)}
