# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""@profile and python -m pymem_bpf with the real helper, compared with the real memory_profiler on the same
programs: same layout, same rows and occurrences. Also the package as it is built and installed."""
import json
import os
import re
import subprocess
import sys

import pytest
import sessions
from conftest import PACKAGE, PROJECT

ROW = re.compile(r"^ *(\d+)(?: +(-?\d+\.\d+) MiB +(-?\d+\.\d+) MiB +(\d+))?   (.*)$")
SECONDS = 600
MEMORY_PROFILER_PYTHON = "/usr/bin/python3"

PROGRAM = '''
def work(n):
    kept = []
    for i in range(n):
        kept.append(bytearray(4000000))
        # nothing
        x = i

    del kept
    return x

%s

if __name__ == "__main__":
    import sys
    print("arguments", sys.argv[1:])
    work(3)
'''
DECORATED = PROGRAM.replace("def work", "@profile\ndef work")

pytestmark = pytest.mark.skipif(not os.access(sessions.PROGRAM, os.X_OK) or os.geteuid() != 0,
                                reason="needs root and build/pymem-bpf (make)")


def environment(**more):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("PYTHON", "PYMEM"))}
    env.update(PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1")
    env.update(more)
    return env


@pytest.fixture
def run(server, tmp_path):
    """run(words, source, stdin) -> (status, stdout, stderr); `source` becomes prog.py."""
    def runs(words, source=None, stdin="", python=(sys.executable,), socket=None, **more):
        if source is not None:
            (tmp_path / "prog.py").write_text(source)
        if len(python) > 1:  # a root of its own, where the working folder is lost
            words = [str(tmp_path / word) if word == "prog.py" else word for word in words]
        env = environment(PYMEM_BPF_SOCKET=socket or server, MALLOC_MMAP_THRESHOLD_="131072", MIMALLOC_PURGE_DELAY="0",
                          **more)
        done = subprocess.run(list(python) + words, env=env, cwd=str(tmp_path),
                              input=stdin.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=SECONDS)
        return done.returncode, done.stdout.decode(), done.stderr.decode()
    return runs


def rows(text):
    """[(line, MiB, increment, occurrences, contents)], None for what is blank."""
    found = []
    for line in text.splitlines():
        row = ROW.match(line)
        if row:
            number, usage, change, hits, contents = row.groups()
            found.append((int(number), usage and float(usage), change and float(change),
                          hits and int(hits), contents))
    return found


def test_same_layout_as_memory_profiler(run):
    ours = run(["-m", "pymem_bpf", "prog.py", "a", "-b"], DECORATED % "")
    theirs = run(["-m", "memory_profiler", "prog.py", "a", "-b"],
                 python=(MEMORY_PROFILER_PYTHON,))
    assert ours[0] == theirs[0] == 0, (ours, theirs)
    figures = re.compile(r" +-?\d+\.\d{3} MiB +-?\d+\.\d{3} MiB")
    # The program's own name is absolute, as under python itself (3.9 and later).
    shape = [re.sub("Filename: .*/", "Filename: ", figures.sub(" FIGURES", one[1])) for one in (ours, theirs)]
    assert shape[0] == shape[1]
    widths = [[(m.start(), m.end()) for m in re.finditer(r"MiB", one[1])] for one in (ours, theirs)]
    assert len(widths[0]) == len(widths[1]) > 0
    by_contents = {row[4].strip(): row for row in rows(ours[1])}
    assert by_contents["kept.append(bytearray(4000000))"][2] == pytest.approx(11.5, abs=0.2)
    assert by_contents["del kept"][2] == pytest.approx(-11.5, abs=0.2)
    assert sum(row[2] for row in rows(ours[1]) if row[2]) == pytest.approx(0, abs=0.3)


def test_each_python(run, python):
    status, out, err = run(["-m", "pymem_bpf", "prog.py"], DECORATED % "", python=python.command)
    assert status == 0, err
    by_contents = {row[4].strip(): row for row in rows(out)}
    assert by_contents["kept.append(bytearray(4000000))"][2:4] == (pytest.approx(11.5, abs=0.2), 3)


def test_options(run, tmp_path):
    status, out, err = run(["-m", "pymem_bpf", "--precision", "1", "-o", "table.txt", "-m", "prog", "x"],
                           DECORATED % "")
    assert (status, err) == (0, "") and out == "arguments ['x']\n"
    text = (tmp_path / "table.txt").read_text()
    assert re.search(r"^ +\d+ +\d+\.\d MiB +\d+\.\d MiB +1   def work", text, re.M) or \
        re.search(r"^ +\d+ +\d+\.\d MiB +\d+\.\d MiB +1   @profile", text, re.M)
    run(["-m", "pymem_bpf", "-o", "table.txt", "prog.py"])
    assert (tmp_path / "table.txt").read_text().count("Filename:") == 2
    status, out, err = run(["-m", "pymem_bpf", "--timestamp", "prog.py"])
    assert status == 0 and re.search(r"^FUNC __main__\.work [\d.]+ [\d.]+ [\d.]+ [\d.]+ 0$", out, re.M)


def test_program_that_raises_or_exits(run):
    status, out, err = run(["-m", "pymem_bpf", "prog.py"],
                           DECORATED.replace("del kept", "raise KeyError('mine')") % "")
    assert status == 1 and "KeyError: 'mine'" in err
    by_contents = {row[4].strip(): row for row in rows(out)}
    assert by_contents["raise KeyError('mine')"][3] == 1
    assert by_contents["return x"][3] is None
    status, out, _ = run(["-m", "pymem_bpf", "prog.py"],
                         DECORATED.replace("del kept", "sys.exit(5)") % "import sys")
    assert status == 5 and rows(out)


def test_never_called_and_nothing_profiled(run):
    _, out, err = run(["-m", "pymem_bpf", "prog.py"], DECORATED.replace("work(3)", "pass") % "")
    assert "work was never called" in out
    _, out, err = run(["-m", "pymem_bpf", "prog.py"], PROGRAM % "")
    assert out == "arguments []\n" and err == ""


def test_bad_usage(run):
    for words, said in ((["--precision", "-1", "prog.py"], "from 0 to 20"),
                        (["--backend", "tracemalloc", "prog.py"], "tracemalloc"), ([], "a program to run")):
        status, _, err = run(["-m", "pymem_bpf"] + words, PROGRAM % "")
        assert status == (1 if "--backend" in words else 2) and said in err, err
        assert "Traceback" not in err
    status, _, err = run(["-m", "pymem_bpf", "nothing.py"])
    assert status == 2 and err.endswith("nothing.py: no such file\n")


def test_no_helper():
    """An ordinary user without a server, who wants exact figures: one sentence with what to run, before the program
    runs."""
    stage = sessions.Stage(sessions.USER)
    try:
        stage.write("prog.py", DECORATED % "")
        words = stage.command([MEMORY_PROFILER_PYTHON, "-m", "pymem_bpf", "--exact", "prog.py"])
        done = subprocess.run(words, env=stage.environment(), cwd=stage.home,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS)
    finally:
        stage.close()
    assert done.returncode == 1 and not done.stdout
    assert b"sudo" in done.stderr and b" serve" in done.stderr and b"Traceback" not in done.stderr


def test_debugger_at_a_limit(run, python):
    source = DECORATED.replace("work(3)", "work(50)") % ""
    status, out, err = run(["-m", "pymem_bpf", "--pdb-mmem", "100", "prog.py"], source,
                           stdin="where\np len(kept)\nq\n", python=python.command)
    assert "exceeded the maximum of 100.00 MiB" in out, (out, err)
    assert "-> work(50)" in out
    length = int(re.search(r"^\(Pdb\) (\d+)$", out, re.M).group(1))
    assert 15 < length < 27


DECORATOR = '''
import asyncio, io, sys
from pymem_bpf import profile
text = io.StringIO()

@profile
def plain(n):
    kept = bytearray(n)
    return len(kept)

@profile(stream=text, precision=3)
def streamed(n):
    kept = bytearray(n)
    return len(kept)

@profile
async def awaits(n):
    kept = bytearray(n)
    await asyncio.sleep(0)
    return len(kept)

@profile
def yields(n):
    kept = bytearray(n)
    got = yield len(kept)
    return got

@profile
def fails(n):
    kept = bytearray(n)
    raise ValueError(n)

class Thing:
    @profile
    def method(self, n):
        kept = bytearray(n)
        return len(kept)

assert plain(4000000) == 4000000 and plain.__name__ == "plain"
assert streamed(4000000) == 4000000
assert text.getvalue().count("Filename") == 1 and " MiB" in text.getvalue()
assert asyncio.run(awaits(4000000)) == 4000000
one = yields(4000000)
assert next(one) == 4000000
try:
    one.send(7)
except StopIteration as e:
    assert e.value == 7
try:
    fails(4000000)
except ValueError as e:
    assert e.args == (4000000,)
assert Thing().method(4000000) == 4000000
assert profile(len) is len and profile(len) is len
'''


def test_decorator(run, python):
    status, out, err = run(["prog.py"], DECORATOR, python=python.command)
    assert status == 0, err
    assert out.count("Filename:") == 5
    grown = [row for row in rows(out) if "bytearray" in row[4]]
    assert [row[2:4] for row in grown] == [(pytest.approx(3.8, abs=0.2), 1)] * 5
    assert err == ("pymem_bpf: @profile of len: it is built in or written in C: there are no Python lines in "
                   "it to profile; it is left as it is, unprofiled\n")


UNPROFILED = '''
import asyncio
from pymem_bpf import profile

@profile
def plain(n):
    return n + 1

@profile
def yields(n):
    got = yield n
    return got

@profile
async def awaits(n):
    await asyncio.sleep(0)
    return n

@profile
async def agen(n):
    try:
        got = yield n
    except KeyError:
        got = "thrown"
    yield got

@profile
def fails():
    raise KeyError("mine")

async def both():
    one = agen(1), agen(2)
    for each in one:
        await each.asend(None)
    return await awaits(4), await one[0].asend(5), await one[1].athrow(KeyError)

one = yields(1)
found = [plain(1), next(one)]
try:
    one.send(3)
except StopIteration as e:
    found.append(e.value)
try:
    fails()
except KeyError as e:
    found += e.args
print(found, asyncio.run(both()))
'''
UNPROFILED_SAYS = "[2, 1, 3, 'mine'] (4, 5, 'thrown')\n"


def test_decorated_functions_run_where_nothing_counts(run, python):
    """A profiler never breaks the program: no helper, one note, no table. With one: the same results."""
    status, out, err = run(["prog.py"], UNPROFILED, python=python.command, socket=sessions.NO_SOCKET,
                           PYMEM_BPF="/nonexistent/pymem-bpf", PYMEM_BPF_EXACT="1")
    assert (status, out) == (0, UNPROFILED_SAYS), err
    assert err.count("run unprofiled") == err.count("pymem_bpf: @profile: no helper") == 1
    assert "/nonexistent/pymem-bpf" in err and "Traceback" not in err


def test_estimated_they_do_the_same(run, python):
    status, out, err = run(["prog.py"], UNPROFILED, python=python.command, socket=sessions.NO_SOCKET,
                           PYMEM_BPF="/nonexistent/pymem-bpf")
    assert status == 0 and err == "" and out.endswith(UNPROFILED_SAYS)
    assert out.count("Filename:") == out.count("Approximate: ") == 6


def test_profiled_they_do_the_same(run, python):
    status, out, err = run(["prog.py"], UNPROFILED, python=python.command)
    assert status == 0 and err == "" and out.endswith(UNPROFILED_SAYS) and out.count("Filename:") == 6


@pytest.mark.parametrize("again", [False, True], ids=["gone", "another server"])
def test_helper_killed_between_nested_calls(run, again):
    """The outer call's counter is dead, the inner ones' can't be had, or is another one."""
    server = sessions.Server()
    try:
        status, out, err = run(["prog.py"], '''
import os, signal, subprocess, time
from pymem_bpf import counter, profile
@profile
def inner(n):
    return bytearray(n)
@profile
def outer(n):
    shared = counter.shared()
    os.kill(%d, signal.SIGKILL)
    while shared.alive():
        pass
    server = None
    if %r:
        os.unlink(os.environ["PYMEM_BPF_SOCKET"])
        server = subprocess.Popen([os.environ["PROGRAM"], "serve", "-q", "--socket",
                                   os.environ["PYMEM_BPF_SOCKET"]])
        while not os.path.exists(os.environ["PYMEM_BPF_SOCKET"]):
            time.sleep(.01)
    return len(inner(n)) + len(inner(n)), server
size, server = outer(4000000)
assert size == 8000000
print("after", len(inner(4000000)))
if server:
    server.kill()
    server.wait()
''' % (server.process.pid, again), socket=server.path, PROGRAM=sessions.PROGRAM,
                               PYMEM_BPF="/nonexistent/pymem-bpf")
    finally:
        server.close()
    assert status == 0, err
    assert "after 4000000" in out and err.count("run unprofiled") == 1 and "Traceback" not in err
    # What is called when the outer call is over is counted: by the server that is there again, or without one.
    assert out.count("return bytearray(n)") == 1 and out.count("Approximate: ") == (0 if again else 1)
    assert "NOTE: the helper ended while this ran" in out


def test_children_with_a_helper(run):
    source = '''
import subprocess, sys
@profile
def parent():
    child = subprocess.Popen([sys.executable, "-c", "b = bytearray(60000000); print(flush=True); input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    child.communicate(b"\\n")
    return child
parent()
'''
    for options, low, high in (["--include-children"], 55, 75), ([], -2, 5):
        status, out, err = run(["-m", "pymem_bpf", "--precision", "1"] + options + ["prog.py"], source)
        assert status == 0, err
        by_contents = {row[4].strip(): row for row in rows(out)}
        grown = by_contents["child.stdout.readline()"][2] + sum(
            row[2] for text, row in by_contents.items() if text.startswith(("child = ", "stdin=")) and row[2])
        assert low < grown < high, out
        assert -high < by_contents['child.communicate(b"\\n")'][2] < -low + 5, out


def test_tables_in_a_log(run):
    status, out, err = run(["prog.py"], '''
import logging, sys
from pymem_bpf import LogFile, profile
logging.basicConfig(stream=sys.stdout, format="%(name)s|%(levelname)s|%(message)s", level=logging.INFO)
@profile(stream=LogFile("all"))
def work(n):
    kept = bytearray(n)
    del kept
    return n
work(4000000)
@profile(stream=LogFile("grown", reportIncrementFlag=True))
def again(n):
    kept = bytearray(n)
    del kept
    return n
again(4000000)
log = LogFile("grown", True)
log.write("nothing of 5 MiB\\n")
log.flush()
print("a line", file=LogFile("all"))
''')
    assert (status, err) == (0, "")
    every = [line for line in out.splitlines() if line.startswith("all|INFO|")]
    assert [line.rpartition("   ")[2] for line in every[4:8]] == [
        "def work(n):", "kept = bytearray(n)", "del kept", "return n"], every
    assert every[-1] == "all|INFO|a line" and not [line for line in every if line == "all|INFO|"]
    grown = [line for line in out.splitlines() if line.startswith("grown|")]
    assert len(grown) == 3 and "Filename: " in grown[0] and "Line Contents" in grown[1]
    assert re.search(r" 3\.8 MiB +1       kept = bytearray", grown[2])


def test_source_distribution(tmp_path):
    """sdist, unpacked elsewhere, built into a wheel, imported from that: offline, with setuptools."""
    copy, python = tmp_path / "project", "/usr/bin/python3"
    for name in ("python", "include", "LICENSE", "LICENSES", "VERSION", "CHANGELOG.md", "Makefile", "vmlinux.h", "docs",
                 "bpf", "user", "tools", "packaging"):
        subprocess.run("mkdir -p %s && cp -r %s %s && rm -f %s/python/src/pymem_bpf/*.so"
                       % (copy, os.path.join(PROJECT, name), copy, copy), shell=True, check=True)

    def setup(folder, *words):
        done = subprocess.run([python, "setup.py", "-q"] + list(words), cwd=str(folder),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=environment(PYTHONPATH=""), timeout=SECONDS)
        assert done.returncode == 0, done.stdout.decode()

    setup(copy / "python", "sdist", "-d", str(tmp_path / "sdist"))
    archive, = (tmp_path / "sdist").iterdir()
    subprocess.run(["tar", "xzf", str(archive), "-C", str(tmp_path)], check=True)
    subprocess.run(["rm", "-rf", str(copy)], check=True)
    unpacked, = tmp_path.glob("pymem?bpf-*")  # newer setuptools write _
    assert (unpacked / "LICENSES" / "GPL-2.0-only.txt").is_file()
    setup(unpacked, "bdist_wheel", "-d", str(tmp_path / "wheel"))
    wheel, = (tmp_path / "wheel").iterdir()
    subprocess.run([python, "-m", "zipfile", "-e", str(wheel), str(tmp_path / "site")], check=True)
    code = "import pymem_bpf.line_profiler as p, pymem_bpf.magics; print(p._lines.__file__)"
    said = subprocess.check_output([python, "-c", code], cwd="/",
                                   env=environment(PYTHONPATH=str(tmp_path / "site")))
    assert said.decode().startswith(str(tmp_path / "site"))
    subprocess.run(["rm", "-rf", str(unpacked / "include")], check=True)
    done = subprocess.run([python, "setup.py", "-q", "bdist_wheel"], cwd=str(unpacked), timeout=SECONDS,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1 and b"neither here nor above" in done.stdout


def test_helper_killed_in_mid_run(run):
    server = sessions.Server()
    try:
        status, out, err = run(["-m", "pymem_bpf", "prog.py"], '''
import os, signal
from pymem_bpf import counter
shared = counter.shared()
@profile
def work():
    kept = bytearray(4000000)
    os.kill(%d, signal.SIGKILL)
    while shared.alive():
        pass
    for i in range(5000):
        pass
work()
''' % server.process.pid, socket=server.path)
    finally:
        server.close()
    assert status == 0, err
    by_contents = {row[4].strip(): row for row in rows(out)}
    assert by_contents["kept = bytearray(4000000)"][2] == pytest.approx(3.8, abs=0.2)
    assert by_contents["for i in range(5000):"][3] == 5001
    assert out.count("NOTE: the helper ended while this ran") == 1


def test_install(tmp_path):
    code = "import pymem_bpf.line_profiler as p; print(p.__file__)"
    subprocess.run(["make", "-s", "install", "PYTHON=/usr/bin/python3",
                    "DESTDIR=" + str(tmp_path / "root")],
                   cwd=PROJECT, check=True, timeout=SECONDS)
    where = [path for path, _, files in os.walk(str(tmp_path / "root")) if "line_profiler.py" in files]
    assert len(where) == 1
    site = os.path.dirname(where[0])
    env = dict(environment(), PYTHONPATH=site)
    assert subprocess.check_output(["/usr/bin/python3", "-c", code], env=env,
                                   cwd="/").decode().startswith(where[0])
    check_metadata("/usr/bin/python3", site, env)
    said = subprocess.run([str(tmp_path / "root" / "usr" / "local" / "bin" / "pymem-mprof"), "--version"],
                          env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert said.returncode == 0 and b"0." in said.stdout, said


def check_metadata(python, site, env):
    """What installers and importlib.metadata read is there, and true of each file."""
    code = ("import base64, hashlib, importlib.metadata as m, json\n"
            "d = m.distribution('pymem-bpf')\n"
            "def right(f):\n"
            "    digest = hashlib.sha256(f.read_binary()).digest()\n"
            "    return f.hash and f.hash.value == base64.urlsafe_b64encode(digest).rstrip(b'=').decode()\n"
            "print(json.dumps([d.version, d.metadata['Requires-Python'],\n"
            "    len(d.metadata.get_all('Classifier')), [(e.name, e.value) for e in d.entry_points],\n"
            "    [(str(f), right(f)) for f in d.files]]))")
    said = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, env=env, cwd="/", check=True)
    version, needs, classifiers, commands, sums = json.loads(said.stdout.decode())
    with open(os.path.join(PROJECT, "VERSION")) as f:
        assert version == f.read().strip()
    assert needs == ">=3.8" and classifiers > 10
    assert sorted(commands) == [["pymem-mprof", "pymem_bpf.mprof:main"], ["pymem_bpf", "pymem_bpf.pytest_plugin"]]
    assert [name for name, right in sums if right is False] == []
    names = {name for name, _ in sums}
    assert {"pymem_bpf/line_profiler.py", "../../../bin/pymem-mprof"} <= names, names
    installed = {os.path.join("pymem_bpf", name) for name in os.listdir(os.path.join(site, "pymem_bpf"))
                 if name != "__pycache__"}
    assert installed == {name for name in names if name.startswith("pymem_bpf/")}
