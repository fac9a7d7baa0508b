# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the profiler reads as root from a target that an ordinary user controls, and what it writes as root
into a folder of such a user."""
import contextlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import zlib

import pytest

import harness
from harness import Lines, Target, Tool
from hostile_elf import sparse_elf

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
NOBODY = 65534
SECRET = "root's own secret, line %d"
# It is compiled under the name of another file, as its user may do; says its PID, and works when told.
SHADOW = """
import os, sys
code = compile("keep = []\\n" + "keep.append(bytearray(2 << 20))\\n" * 6, sys.argv[1], "exec")
print(os.getpid(), flush=True)
sys.stdin.readline()
exec(code)
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder():
    """A folder that every user can enter."""
    path = tempfile.mkdtemp(prefix="pymem-security.")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def mapper():
    """programs/mapper.c, where other users can run it."""
    with harness.compiled(os.path.join(PROGRAMS, "mapper.c")) as program:
        yield program


class Program:
    """A process that says a line when it is ready, and ends when its input does."""

    def __init__(self, command, uid=NOBODY, **popen):
        user = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
                                        env=harness.environment(), **user, **popen)
        self.pid, self.lines = self.process.pid, Lines(self.process.stdout)

    def said(self):
        return self.lines.next().decode()

    def tell(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def __enter__(self):
        self.first = self.said()
        return self

    def __exit__(self, *_):
        harness.end_process(self.process)


def secret(folder, mode=0o600):
    path = os.path.join(folder, "secret")
    with open(path, "w") as f:
        f.write("".join(SECRET % i + "\n" for i in range(1, 20)))
    os.chmod(path, mode)
    return path


def report_of(pids, *options):
    """What the profiler prints of programs while they work."""
    with Tool("-p", ",".join(str(p.pid) for p in pids), *options, output=False) as tool:
        tool.attached()
        for program in pids:
            program.tell()
            assert program.said() == "done"
        assert tool.stop() == 0, tool.stderr
        return tool.stdout().decode()


def shadow(system, path, uid=NOBODY, **popen):
    return Program(system + ["-c", SHADOW, path], uid, **popen)


@pytest.mark.attack("a file that only root can read", "code is compiled under that file's name")
@pytest.mark.parametrize("options", [[], ["-v"], ["-f", "<module>"], ["--format", "json"], ["--format", "html"],
                                     ["--format", "flamegraph"]],
                         ids=["table", "-v", "-f", "json", "html", "flamegraph"])
def test_source_of_another(system, folder, options):
    path = secret(folder)
    with shadow(system, path) as program:
        said = report_of([program], *options)
    assert "secret, line" not in said
    # Without -v a file of no module goes by its last name.
    assert (path if options else "secret:") in said
    assert "--format" in options or "(source not readable)" in said


def recording_of(system, folder, path, name, uid=NOBODY, works=True):
    """A recording, which keeps texts of sources, of a program that runs code under that file's name, or never does."""
    recording = os.path.join(folder, name + ".pymem")
    with shadow(system, path, uid) as program, \
            Tool("record", "-p", program.pid, "-o", recording, output=False) as tool:
        tool.attached()
        if works:
            program.tell()
            assert program.said() == "done"
        assert tool.stop() == 0, tool.stderr
    return recording


def sources_of(recording):
    """All source texts that it keeps."""
    with contextlib.closing(sqlite3.connect(recording)) as db:
        return b"".join(zlib.decompress(packed) for packed, in db.execute("SELECT data FROM content"))


def said_by(*words):
    done = subprocess.run([harness.TOOL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.attack("a file that only root can read",
                    "code is compiled under that file's name, and recorded; the recording is reported, or compared")
@pytest.mark.parametrize("options", [[], ["-f", "<module>"], ["--format", "json"], ["--format", "html"],
                                     ["--format", "flamegraph"]],
                         ids=["table", "-f", "json", "html", "flamegraph"])
def test_recording_of_another(system, folder, options):
    """Neither the file nor what is made of it has the text, also where root's own recording is beside it."""
    path = secret(folder)
    recording = recording_of(system, folder, path, "theirs")
    assert b"secret, line" not in sources_of(recording)
    texts = [said_by("report", recording, *options)]
    if "-f" not in options and "flamegraph" not in options:
        idle = recording_of(system, folder, path, "idle", works=False)
        texts.append(said_by("diff", idle, recording, *options))
    for said in texts:
        assert "secret, line" not in said
        assert path in said or "secret:" in said, said
    # It would be seen: of root's own program the same is in the report.
    own = recording_of(system, folder, path, "own", 0)
    assert b"secret, line" in sources_of(own)
    if not {"json", "flamegraph"} & set(options):  # these show no sources
        assert "secret, line" in said_by("report", own, *options)


@pytest.mark.attack("a file that only root can read",
                    "another process, root's own, has shown it in the same report")
@pytest.mark.parametrize("options", [[], ["-v"]], ids=["table", "-v"])
def test_source_of_another_from_the_cache(system, folder, options):
    """They have the same command line, and are two programs all the same."""
    path = secret(folder)
    with shadow(system, path, 0) as own, shadow(system, path) as program:
        said = report_of([own, program], *options)
        parts = {pid: text for pid in (own.pid, program.pid)
                 for text in said.split("PID ") if text.startswith("%d " % pid)}
    assert SECRET % 2 in parts[own.pid]
    assert "secret, line" not in parts[program.pid]


@pytest.mark.attack("a file that only root can read", "the process is root of its own user namespace")
def test_source_from_a_user_namespace(system, folder):
    path = secret(folder)
    wrap = ["unshare", "--user", "--map-root-user"]
    if subprocess.run(wrap + ["true"], user=NOBODY, group=NOBODY, extra_groups=[], stderr=subprocess.PIPE,
                      cwd="/").returncode:
        pytest.skip("no user namespaces for ordinary users here")
    with Program(wrap + system + ["-c", SHADOW, path]) as program:
        program.pid = int(program.first)
        said = report_of([program])
    assert "secret, line" not in said and "(source not readable)" in said


@pytest.mark.attack("a file that only root can read", "a worker that has given up root's rights asks for it")
@pytest.mark.parametrize("ended", [False, True], ids=["alive", "ended"])
def test_source_of_a_worker(system, folder, ended):
    """It was forked by root, and examined before it changed its user."""
    path = secret(folder)
    fork = ("import os, sys\nr, w = os.pipe()\nprint(os.getpid(), flush=True)\nsys.stdin.readline()\n"
            "pid = os.fork()\nif not pid:\n"
            "  os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "  exec(compile('keep = []\\n' + 'keep.append(bytearray(2 << 20))\\n' * 6, sys.argv[1], 'exec'))\n"
            "  os.write(w, b'x')\n  os.read(0, 1) if sys.argv[2] == 'alive' else os._exit(0)\n"
            "os.read(r, 1)\n%s\nprint('done', flush=True)\nsys.stdin.readline()\n"
            % ("os.waitpid(pid, 0)" if ended else ""))
    with Program(system + ["-c", fork, path, "ended" if ended else "alive"], 0) as program:
        said = report_of([program])
    assert "secret:" in said
    assert "secret, line" not in said and "(source not readable)" in said


def test_source_of_its_own(system, folder):
    """Files that only the process's user, or only one of its groups, can read are shown."""
    path = secret(folder)
    os.chown(path, NOBODY, 0)
    with shadow(system, path) as program:
        assert SECRET % 2 in report_of([program])
    os.chown(path, 0, 4711)
    os.chmod(path, 0o640)
    with subprocess.Popen(["true"]):
        pass
    wrap = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--groups", "4711"]
    with Program(wrap + system + ["-c", SHADOW, path], 0) as program:
        assert SECRET % 2 in report_of([program])


# --- what takes long ---

def ps(*options, limit=None):
    done = subprocess.run([harness.TOOL, "ps", "--format", "json"] + list(options), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=limit or harness.PATIENCE)
    assert done.returncode == 0, done.stderr
    return [row["pid"] for row in json.loads(done.stdout.decode())["processes"]], done.stderr.decode()


def ended(process):
    harness.until(lambda: process.poll() is not None, "ended")
    return process.returncode


@pytest.fixture
def hanging(mapper, folder):
    """The PID of a process of which examining never ends."""
    mount = os.path.join(folder, "mount")
    os.mkdir(mount)
    command = ["unshare", "-m", sys.executable, os.path.join(PROGRAMS, "fuse_hang.py"), mount, mapper]
    with Program(command, 0) as program:
        if not program.first.startswith("child "):
            pytest.skip(program.first)
        yield int(program.first.split()[1])
        # It has to go itself: whoever waits for its file system is let go then.
        program.process.stdin.close()
        ended(program.process)
        program.process.stdin = open(os.devnull, "wb")


@pytest.mark.attack("the profiler hangs, beyond SIGKILL", "a mapped file lies on a file system that never answers")
def test_hangs(hanging, system):
    """Whoever looks is given up; the others are listed, profiled, reported; a signal is obeyed."""
    with Target(system, "grow") as target:
        listed, said = ps()
        assert target.pid in listed and hanging not in listed
        assert "pid %d: its examination took over" % hanging in said or "not examined: " in said
        with Tool("-p", hanging) as tool:
            assert tool.wait() == 1
        assert b"its examination took over 2000 ms" in tool.stderr
        with Tool("-a") as tool:
            tool.attached()
            truth = target.go()
            tool.process.send_signal(signal.SIGINT)
            report = tool.report()
        assert target.end() == 0
    report.check_lines(target.pid, target.path, truth["lines"])
    reasons = [skip["reason"] for skip in report.data["skipped"] if skip["pid"] == hanging]
    assert len(reasons) == 1 and "took over" in reasons[0]


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.attack("others are not examined", "sparse ELF files of huge tables are mapped")
def test_sparse_files(system, mapper, folder):
    files = [os.path.join(folder, "sparse%d" % i) for i in range(8)]
    for path in files:
        sparse_elf(path)
    with Target(system, "grow") as target:
        before = children_cpu()
        ps()
        usual = children_cpu() - before
        with Program([mapper] + files) as program:
            before = children_cpu()
            listed, _ = ps()
            cost = children_cpu() - before
        assert program.first == "mapped"
        assert target.pid in listed
    assert cost - usual < 5, "CPU seconds of reading holes"


def dense_elf(path, size):
    """The same without holes."""
    sparse_elf(path, size)
    with open(path, "r+b") as f:
        for at in range(2 << 20, size, 1 << 20):
            f.seek(at)
            f.write(b"x" * (1 << 20))


@pytest.mark.attack("others are not examined", "ELF files of huge tables are mapped, without holes")
def test_dense_files(system, mapper, folder):
    """Each costs what a file may cost, and the process what a process may; then it is skipped."""
    path = os.path.join(folder, "dense")
    dense_elf(path, 96 << 20)
    files = [path]
    for i in range(5):
        files.append(path + str(i))
        shutil.copy(path, files[-1])
    with Target(system, "grow") as target, Program([mapper] + files) as program:
        assert program.first == "mapped"
        before = children_cpu()
        listed, said = ps()
        cost = children_cpu() - before
        assert target.pid in listed and program.pid not in listed
        assert "not examined: " in said
    assert cost < 10, "CPU seconds"


# --- where the report goes ---

def profile(output, *options, command=("true",), before_end=None):
    """Status and stderr of a profile that writes there."""
    with Tool("-q", *options, "-o", output, "--", "sh", "-c", "read x; exec " + " ".join(command), output=False,
              stdin=subprocess.PIPE) as tool:
        if before_end:
            # The command runs once it could be tracked: the output was opened before.
            def started():
                path = "/proc/%d/task/%d/children" % (tool.process.pid, tool.process.pid)
                with open(path) as f:
                    return any(harness.in_read(int(pid)) for pid in f.read().split()) or \
                        tool.process.poll() is not None
            harness.until(started, "started")
            before_end()
        try:
            tool.process.stdin.write(b"\n")
            tool.process.stdin.flush()
        except BrokenPipeError:
            pass
        return tool.wait(), tool.stderr.decode()


@pytest.fixture
def evil(folder):
    """A folder of another user's."""
    path = os.path.join(folder, "evil")
    os.mkdir(path)
    os.chown(path, NOBODY, NOBODY)
    return path


def plant(path, to):
    """A link of that user's."""
    os.symlink(to, path)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def test_mode(folder):
    path = os.path.join(folder, "report")
    for options, mode in (((), 0o600), (("--mode", "640"), 0o640), (("--mode", "0644"), 0o644), ((), 0o600)):
        assert profile(path, *options) == (0, "")
        assert stat.S_IMODE(os.stat(path).st_mode) == mode


@pytest.mark.parametrize("mode", ["", "8", "999", "0o600", "-600", "1777", "440", "u+r", "600 ", " 600"])
def test_wrong_mode(mode, folder):
    done = subprocess.run([harness.TOOL, "--mode", mode, "--", "true"], stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE)
    assert done.returncode == 2
    assert b"--mode" in done.stderr and b"octal" in done.stderr


@pytest.mark.attack("root's files are overwritten", "-o in the attacker's folder is a link to one")
@pytest.mark.parametrize("planted", ["before", "meanwhile"])
def test_output_is_a_link(folder, evil, planted):
    victim, output = os.path.join(folder, "victim"), os.path.join(evil, "report")
    with open(victim, "w") as f:
        f.write("precious")
    if planted == "before":
        plant(output, victim)
    status, said = profile(output, before_end=None if planted == "before" else lambda: plant(output, victim))
    with open(victim) as f:
        assert f.read() == "precious"
    if planted == "before":
        assert status == 1 and "another user" in said
        assert os.path.islink(output)
    else:
        assert status == 0 and not os.path.islink(output)
    assert sorted(os.listdir(evil)) == ["report"]


@pytest.mark.attack("a device is written to", "-o in the attacker's folder is a FIFO, a link to a device, or becomes one")
@pytest.mark.parametrize("kind", ["fifo", "link", "fifo meanwhile"])
def test_output_is_special(folder, evil, kind):
    output = os.path.join(evil, "report")

    def make():
        if kind == "link":
            plant(output, "/dev/full")
        else:
            os.mkfifo(output, 0o666)
            os.chown(output, NOBODY, NOBODY)
    if kind != "fifo meanwhile":
        make()
        status, said = profile(output)
        assert status == 1 and "another user" in said
    else:
        assert profile(output, before_end=make) == (0, "")
        assert stat.S_ISREG(os.lstat(output).st_mode)


@pytest.mark.attack("a file where root's files are", "a part of the path of -o is a link of the attacker's")
def test_output_through_a_link(folder, evil):
    inner = os.path.join(folder, "inner")
    os.mkdir(inner)
    plant(os.path.join(evil, "link"), inner)
    status, said = profile(os.path.join(evil, "link", "report"))
    assert status == 1 and "another user" in said
    assert os.listdir(inner) == []
    # One's own is followed.
    os.symlink(inner, os.path.join(folder, "own"))
    assert profile(os.path.join(folder, "own", "report")) == (0, "")
    assert os.listdir(inner) == ["report"]


def test_output_of_our_own(folder):
    """Devices and FIFOs in one's own folder, and one's own descriptors, are written to; a link to a regular
    file is replaced, as ever."""
    assert profile("/dev/null") == (0, "")
    fifo, link, other = (os.path.join(folder, name) for name in ("fifo", "link", "other"))
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        assert profile(fifo, "--format", "json") == (0, "")
        assert json.loads(reader.stdout.read().decode())["schema"] == "pymem-bpf/1"
    with open(other, "w") as f:
        f.write("other")
    os.symlink(other, link)
    assert profile(link) == (0, "")
    assert not os.path.islink(link)
    with open(other) as f:
        assert f.read() == "other"


# --- the helper ---

@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_examiner_ends(system, number):
    """Another one takes its place; the report is whole, with its sources."""
    with Target(system, "grow") as target:
        with Tool("-p", target.pid, output=False) as tool:
            tool.attached()
            os.kill(harness.helpers_of(tool.process.pid)[1], number)
            target.go()
            assert tool.stop() == 0, tool.stderr
            assert b"keep = bytearray(64 * MIB)" in tool.stdout()


@pytest.mark.attack("processes that stay with root's rights", "the profiler is killed while its helpers are stopped")
@pytest.mark.parametrize("number, stopped", [
    (signal.SIGTERM, ()), (signal.SIGINT, ()), (signal.SIGKILL, ()), (signal.SIGKILL, (0,)),
    (signal.SIGKILL, (1,)), (signal.SIGKILL, (0, 1))],
    ids=["TERM", "INT", "KILL", "keeper stopped", "examiner stopped", "both stopped"])
def test_helpers_end(system, number, stopped):
    """However the profiler ends, also when somebody has stopped its helpers."""
    with Target(system, "grow") as target:
        with Tool("-p", target.pid) as tool:
            tool.attached()
            helpers = harness.helpers_of(tool.process.pid)
            for which in stopped:
                os.kill(helpers[which], signal.SIGSTOP)
            tool.stop(number)
    for pid in helpers:
        harness.until(lambda: harness.state(pid) in "ZX", "ended")
