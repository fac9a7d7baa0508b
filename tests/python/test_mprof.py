# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
""".dat files: what is written; and that the real mprof (memory_profiler's) reads, lists and plots them, and
reports the true peak."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import sessions
from sessions import needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import dat, mprof  # noqa: E402

MPROF = shutil.which("python3-mprof") or shutil.which("mprof")
needs_mprof = pytest.mark.skipif(MPROF is None, reason="mprof is not installed "
                                 "(Debian: python3-memory-profiler)")
MIB = 1 << 20
SAMPLED = '''
import glob, re, time
def until(is_so):
    end = time.monotonic() + 600
    while not is_so() and time.monotonic() < end:
        time.sleep(.01)
def written(pattern):
    text = ""
    for name in glob.glob("*.dat"):
        with open(name) as f:
            text += f.read()
    return re.findall(pattern, text, re.M)
def samples():
    return [float(amount) for amount in written(r"^MEM (\\S+) \\S+\\n")]
def children():
    return [(pid, float(amount)) for pid, amount in written(r"^CHLD (\\S+) (\\S+) \\S+\\n")]
'''
PROGRAM = '''
import sys, time
from sampled import samples, until
@profile
def spike():
    before = len(samples())
    until(lambda: len(samples()) > before)
    b = bytearray(150000000)
    del b
    until(lambda: max(samples()) > 180)
    time.sleep(.25)
@profile
def outer(n):
    kept = bytearray(50000000)
    time.sleep(.2)
    spike()
@profile
def recursive(n):
    return n and recursive(n - 1)
@profile
def raises():
    raise KeyError
class C:
    @profile
    def method(self):
        time.sleep(.01)
print("argv", sys.argv[1:])
outer(1); recursive(2); C().method()
try:
    raises()
except KeyError:
    pass
time.sleep(.15)
sys.exit(7)
'''
CHILDREN = '''
import subprocess, sys, time
from sampled import children, samples, until
p = [subprocess.Popen([sys.executable, "-c", "b=bytearray(80000000);import sys;sys.stdin.read()"],
                      stdin=subprocess.PIPE) for _ in range(2)]
until(lambda: max(samples(), default=0) > 165 or len({pid for pid, mib in children() if mib > 76}) == 2)
for one in p:
    one.stdin.close()
    one.wait()
'''


@pytest.fixture
def stage():
    one = sessions.Stage()
    one.write("work.py", PROGRAM)
    one.write("children.py", CHILDREN)
    one.write("sampled.py", SAMPLED)
    yield one
    one.close()


def ours(stage, *words, status=0):
    done = stage.run([sessions.PYTHON, "-m", "pymem_bpf.mprof"] + list(words))
    assert done[0] == status, done
    return done[1]


def theirs(stage, *words):
    """The real mprof."""
    status, said = stage.run([MPROF] + list(words), MPLBACKEND="Agg")
    assert status == 0, said
    return said


def files(stage):
    return sorted(name for name in os.listdir(stage.home) if name.endswith(".dat"))


def peak_of(said):
    return float(re.search(r"([\d.]+) MiB", said).group(1))


def test_run(stage):
    said = ours(stage, "run", "-E", "-T", "0.1", "work.py", "a b", "c", status=7)
    assert "argv ['a b', 'c']" in said
    name, = files(stage)
    assert re.fullmatch(r"mprofile_\d{14}\.dat", name)
    with open(os.path.join(stage.home, name)) as f:
        lines = f.read().splitlines()
    assert lines[0].startswith("CMDLINE ") and "work.py 'a b' c" in lines[0]
    shapes = (r"CMDLINE .+", r"MEM \d+\.\d{6} \d+\.\d{4}",
              r"FUNC \S+ \d+\.\d{4} \d+\.\d{4} \d+\.\d{4} \d+\.\d{4} \d+")
    assert all(any(re.fullmatch(shape, line) for shape in shapes) for line in lines), lines
    data = dat.read(os.path.join(stage.home, name))
    # The spike lives for less than an interval.
    assert max(data.amounts_of()) == pytest.approx(200000000 / MIB + 12, abs=8)
    times = [when for _, when in data.samples]
    assert times == sorted(times) and times[-1] - times[0] > 0.5
    calls = data.functions
    assert set(calls) == {"__main__.outer", "__main__.spike", "__main__.recursive", "__main__.raises",
                          "__main__.C.method"}
    assert [call[4] for call in calls["__main__.recursive"]] == [2, 1, 0]
    (start, end, before, after, level), = calls["__main__.spike"]
    assert level == 1 and end - start > 0.25 and before == pytest.approx(after, abs=1)
    assert calls["__main__.outer"][0][0] <= start <= end <= calls["__main__.outer"][0][1]


@needs_mprof
def test_the_real_mprof_reads_it(stage):
    ours(stage, "run", "work.py")
    name, = files(stage)
    peak = peak_of(theirs(stage, "peak"))
    assert peak == pytest.approx(peak_of(ours(stage, "peak")), abs=0.001) and peak > 190
    assert theirs(stage, "list") == ours(stage, "list")
    inside = peak_of(theirs(stage, "peak", "--func", "__main__.spike"))
    assert inside == pytest.approx(peak, abs=0.001)
    for options in ([], ["-f"], ["-s"]):
        theirs(stage, "plot", "-o", "plot.png", *options)
        with open(os.path.join(stage.home, "plot.png"), "rb") as f:
            assert f.read(4) == b"\x89PNG"
        os.unlink(os.path.join(stage.home, "plot.png"))


@needs_mprof
def test_children_apart(stage):
    ours(stage, "run", "-M", "-T", "0.05", "children.py")
    name, = files(stage)
    data = dat.read(os.path.join(stage.home, name))
    highest = sorted(max(amount for amount, _ in samples) for samples in data.children.values())
    assert len(highest) == 2 and highest[0] > 76
    said = theirs(stage, "peak")
    assert said.count("Child ") == 2
    assert "Child" in ours(stage, "peak", name)
    theirs(stage, "plot", "-o", "plot.png")


def test_children_added(stage):
    ours(stage, "run", "-C", "-T", "0.05", "children.py")
    assert peak_of(ours(stage, "peak")) > 2 * 76


def test_no_features_for_others(stage):
    ours(stage, "run", "sleep", "0.3")
    ours(stage, "run", "-o", "other.dat", "--nopython", sessions.PYTHON, "-c",
         "import sampled; sampled.until(sampled.samples)")
    data = dat.read(os.path.join(stage.home, "other.dat"))
    assert not data.functions and data.samples


def test_attach(stage):
    code = "import time; b = bytearray(100000000); print(flush=True); time.sleep(300)"
    process = subprocess.Popen([sessions.PYTHON, "-c", code], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        ours(stage, "attach", "-t", "1", "-T", "0.2", "-o", "a.dat", str(process.pid))
        data = dat.read(os.path.join(stage.home, "a.dat"))
        assert len(data.samples) == 5 and "bytearray" in data.command
        assert data.samples[0][0] == pytest.approx(100000000 / MIB + 9, abs=8)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "no process" in ours(stage, "attach", str(process.pid), status=1)
    assert "no process has" in ours(stage, "attach", "no-such-name-here", status=1)


def test_interrupted(stage):
    """Ctrl-C ends program and sampling; what was sampled stays."""
    words = ["-m", "pymem_bpf.mprof", "run", "-o", "i.dat", "sleep", "300"]
    process = subprocess.Popen([sessions.PYTHON] + words,
                               env=stage.environment(), cwd=stage.home, start_new_session=True,
                               stdout=subprocess.PIPE,
                               # Ignored where the tests run in the background of a shell.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    process.stdout.readline()
    path, end = os.path.join(stage.home, "i.dat"), time.monotonic() + sessions.PATIENCE
    while not (os.path.exists(path) and dat.read(path).samples) and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(sessions.PATIENCE) == 0
    process.stdout.close()
    assert dat.read(path).samples


@pytest.mark.parametrize("words, said", [
    (["run"], "is missing"),
    (["run", "/nonexistent"], "No such file"),
    (["run", "-T", "0", "sleep", "1"], "positive number"),
    (["run", "--backend", "tracemalloc", "sleep", "1"], "get_traced_memory"),
    (["peak"], "there is no mprofile_"),
    (["peak", "7"], "there are 0 files"),
    (["rm", "nothing.dat"], "no such file"),
    (["peak", "work.py"], "work.py:2: not a line|NaN"),
])
def test_bad_input(stage, words, said):
    status, output = stage.run([sessions.PYTHON, "-m", "pymem_bpf.mprof"] + words)
    assert re.search(said, output), output
    assert status == 1 or "NaN" in output
    assert "Traceback" not in output


def test_a_file_that_is_cut_off(tmp_path):
    (tmp_path / "x.dat").write_text("CMDLINE x\nMEM 1.0 2.0\nMEM 1.")
    with pytest.raises(ValueError, match=r"x\.dat:3: "):
        dat.read(str(tmp_path / "x.dat"))


def test_list_rm_clean(stage):
    names = ["mprofile_2024010203040%d.dat" % n for n in range(4)]
    for name in names:
        stage.write(name, "CMDLINE x\nMEM 1.0 2.0\n")
    stage.write("mine.dat", "x")
    assert ours(stage, "list").splitlines()[1] == "1 %s 03:04:01 02/01/2024" % names[1]
    assert names[3] in ours(stage, "rm", "--dry-run", "-1")
    assert files(stage) == ["mine.dat"] + names
    ours(stage, "rm", "-1", "0", names[1])
    assert files(stage) == ["mine.dat", names[2]]
    ours(stage, "clean", "--dry-run")
    ours(stage, "clean")
    assert files(stage) == ["mine.dat"]


def test_plot(stage):
    ours(stage, "run", "work.py")
    for options in ([], ["-f"], ["-n"], ["-s", "-w", "0,0.5", "-t", "title"]):
        ours(stage, "plot", "--backend", "Agg", "-o", "plot.png", *options)
        with open(os.path.join(stage.home, "plot.png"), "rb") as f:
            assert f.read(4) == b"\x89PNG"
        os.unlink(os.path.join(stage.home, "plot.png"))


def test_plot_without_matplotlib(stage):
    stage.write("mprofile_20240102030405.dat", "CMDLINE x\nMEM 1.0 2.0\n")
    stage.write("matplotlib.py", "raise ImportError('No module named matplotlib')\n")
    assert "plot needs matplotlib" in ours(stage, "plot", "-o", "x.png", status=1)


def test_names_for_the_list_are_not_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("3")
    with pytest.raises(mprof.Failure, match="folder"):
        mprof.chosen(["3"])


STAMPS = '''
import asyncio, threading, time
with profile.timestamp("a block"):
    with profile.timestamp("inner"):
        kept = bytearray(50000000)
try:
    with profile.timestamp():
        raise KeyError
except KeyError:
    pass
@profile
async def agen(n):
    try:
        for i in range(n):
            try:
                got = yield i
            except ValueError as e:
                got = yield "thrown"
    finally:
        time.sleep(.01)
@profile
async def coroutine():
    one = agen(3)
    assert await one.asend(None) == 0 and await one.asend("x") == 1
    assert await one.athrow(ValueError()) == "thrown"
    await one.aclose()
    return [item async for item in agen(3)]
assert asyncio.run(coroutine()) == [0, 1, 2]
@profile
def generates():
    yield 1
one = generates()
next(one)
other = threading.Thread(target=one.close)
other.start()
other.join()
print("fine")
'''


def test_blocks_and_asynchronous_generators(stage):
    stage.write("stamps.py", STAMPS)
    assert "fine" in ours(stage, "run", "-E", "-o", "s.dat", "stamps.py")
    calls = dat.read(os.path.join(stage.home, "s.dat")).functions
    assert {name: sorted(call[4] for call in of) for name, of in calls.items()} == {
        ".a_block": [0], ".inner": [1], ".<block>": [0], "__main__.coroutine": [0],
        "__main__.agen": [1, 1], "__main__.generates": [0]}
    (_, _, before, after, _), = calls[".inner"]
    assert after - before == pytest.approx(50000000 / MIB, abs=1)


@needs_mprof
def test_the_real_mprof_reads_blocks(stage):
    """mprof's `peak --func` knows samples only, so the block stays until there is one of all its memory."""
    stage.write("stamps.py", '''
from sampled import samples, until
with profile.timestamp("a block"):
    with profile.timestamp("inner"):
        kept = bytearray(50000000)
        until(lambda: sum(amount > 50 for amount in samples()) > 1)
''')
    ours(stage, "run", "-o", "s.dat", "stamps.py")
    assert peak_of(theirs(stage, "peak", "--func", ".inner", "s.dat")) > 50
    theirs(stage, "plot", "-o", "plot.png", "s.dat")


@pytest.mark.parametrize("words", [["work", "x"], [sessions.PYTHON, "work.py", "x"]],
                         ids=["module", "interpreter and script"])
def test_python_by_option(stage, words):
    said = ours(stage, "run", "-E", "-o", "p.dat", "--python", *words, status=7)
    assert "argv ['x']" in said
    assert "__main__.spike" in dat.read(os.path.join(stage.home, "p.dat")).functions


BRIEF_CHILDREN = '''
import subprocess, sys
from sampled import samples, until
until(samples)
for size in 150000000, 80000000:
    subprocess.check_call([sys.executable, "-c", "b = bytearray(%d)" % size])
'''


@needs_program
@pytest.mark.parametrize("options", [["-C"], []], ids=["added", "alone"])
def test_with_a_helper_the_peak_of_children_is_not_missed(stage, options):
    """They come and go between two samples."""
    stage.write("brief.py", BRIEF_CHILDREN)
    server = sessions.Server()
    try:
        status, said = stage.run([sessions.PYTHON, "-m", "pymem_bpf.mprof", "run", "-T", "4"] + options
                                 + ["brief.py"], PYMEM_BPF_SOCKET=server.path)
        assert status == 0, said
        peak = peak_of(ours(stage, "peak"))
        assert 155 < peak < 185 if options else peak < 40
    finally:
        server.close()


@needs_program
def test_a_program_with_tables_of_its_own_is_not_broken(stage):
    """The helper watches it for mprof; whether or not it may be watched twice, it runs."""
    stage.write("own.py", "import sampled\nsampled.until(sampled.samples)\n"
                "from pymem_bpf import profile\n@profile\ndef f(n):\n    b = bytearray(n)\n"
                "    return len(b)\nprint(f(50000000), f(60000000))\n")
    server = sessions.Server()
    try:
        status, said = stage.run([sessions.PYTHON, "-m", "pymem_bpf.mprof", "run", "-E", "own.py"],
                                 PYMEM_BPF_SOCKET=server.path)
    finally:
        server.close()
    assert status == 0 and "50000000 60000000\n" in said and "Traceback" not in said, said
    assert "Occurrences" in said or said.count("run unprofiled") == 1
    assert peak_of(ours(stage, "peak")) > 60


@needs_program
def test_with_a_helper_the_last_moment_counts(stage):
    """A peak after the last sample: the process is gone when the next one is due."""
    server = sessions.Server()
    try:
        code = "import sampled; sampled.until(sampled.samples); b = bytearray(150000000)"
        status, said = stage.run([sessions.PYTHON, "-m", "pymem_bpf.mprof", "run", "-T", "2", "--nopython",
                                  sessions.PYTHON, "-c", code], PYMEM_BPF_SOCKET=server.path)
        assert status == 0, said
        assert peak_of(ours(stage, "peak")) == pytest.approx(150000000 / MIB + 9, abs=6)
    finally:
        server.close()


INSIDE = """
from sampled import samples, until
until(samples)
from pymem_bpf import LineProfiler, profile, memory_usage
def grow():
    return bytearray(100000000)
assert 94 < memory_usage((grow,), max_usage=True) - memory_usage()[0] < 98
@profile
def kept():
    block = bytearray(60000000)
    return block
block = kept()
import time
time.sleep(.3)
"""


@needs_program
def test_what_is_sampled_may_measure_itself(stage):
    """Both have their figures from the server; a reset by the one does not lower the other's peak."""
    server = sessions.Server()
    try:
        status, said = stage.run([sessions.PYTHON, "-m", "pymem_bpf.mprof", "run", "-T", "2", "--nopython",
                                  sessions.PYTHON, stage.write("inside.py", INSIDE)],
                                 PYMEM_BPF_SOCKET=server.path)
        assert status == 0 and "without the helper" not in said, said
        assert re.search(r"57\.\d MiB +1 +block = bytearray", said), said
        assert peak_of(ours(stage, "peak")) > 100000000 / MIB
    finally:
        server.close()
