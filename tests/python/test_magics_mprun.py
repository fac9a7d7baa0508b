# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""%mprun and %%mprun in real IPython with the real helper: the seed's session line by line, where functions
may come from, and what goes wrong. Tables are compared by structure, amounts with what is known of the
functions."""
import os
import re
import shutil
import subprocess

import pytest
import sessions

MIB = 1 << 20
HEADER = "Line #    Mem usage    Increment  Occurrences   Line Contents"
ROW = re.compile(r"^ *(\d+) +(-?\d+\.\d) MiB +(-?\d+\.\d) MiB +(\d+)   (.*)$")

pytestmark = pytest.mark.skipif(not os.access(sessions.PROGRAM, os.X_OK) or os.geteuid() != 0,
                                reason="needs root and build/pymem-bpf (make)")

MODULE = '''
def keep(size):
    kept = bytearray(size)
    return kept

class Things:
    def __init__(self):
        self.kept = []

    def add(self, size):
        self.kept.append(bytearray(size))
        return len(self.kept)

    @staticmethod
    def still(size):
        return bytearray(size)

    @classmethod
    def made(cls, size):
        one = cls()
        one.add(size)
        return one

def generates(size):
    for _ in range(3):
        yield bytearray(size)

async def awaits(size):
    kept = bytearray(size)
    return kept

small = lambda size: bytearray(size)

def outer(size):
    def inner():
        return bytearray(size)
    return inner()

def fails(size):
    kept = bytearray(size)
    raise KeyError("mine")
    return kept
'''


def table(text):
    """{line contents: (mem usage, increment, occurrences)} of the rows that ran."""
    found = {}
    for line in text.splitlines():
        row = ROW.match(line.rstrip())
        if row:
            found[row.group(5).strip()] = (float(row.group(2)), float(row.group(3)), int(row.group(4)))
    return found


@pytest.fixture(scope="module")
def server():
    one = sessions.Server()
    yield one
    one.close()


@pytest.fixture(scope="module", params=[0, sessions.USER], ids=["root", "user"])
def stage(request):
    one = sessions.Stage(request.param)
    one.write("things.py", MODULE)
    yield one
    one.close()


@pytest.fixture(scope="module")
def kernel(stage, server):
    one = sessions.Kernel(stage, PYMEM_BPF_SOCKET=server.path)
    one.run("%load_ext pymem_bpf\nfrom things import *\nimport things, asyncio")
    yield one
    one.close()


def check_seed(text):
    assert "Filename: " in text and "mprun_demo.py" in text
    at = text.splitlines().index(HEADER)
    assert text.splitlines()[at + 1] == "=" * len(HEADER)
    rows = table(text)
    comprehension = rows["L = [j ^ (j >> i) for j in range(N)]"]
    assert comprehension[2] in (5, 5 * 1000000 + 5, 5 * 1000000 + 10, 5 * 1000000 + 15)
    assert rows["total = 0"][2] == 1 and rows["total += sum(L)"][2] == 5
    assert rows["del L # remove reference to L"][2] == 5 and rows["return total"][2] == 1
    # 5 lists of a million: each grows by tens of MiB and is freed by its del.
    assert 100 < comprehension[1] < 500
    assert -500 < rows["del L # remove reference to L"][1] < 0
    assert abs(sum(row[1] for name, row in rows.items() if not name.startswith("def "))) < 60


@pytest.mark.parametrize("private", [True, False], ids=["own helper", "serve"])
def test_the_seeds_session(stage, server, private):
    if private and stage.user:
        pytest.skip("only root can start a helper of its own")
    environment = {} if private else {"PYMEM_BPF_SOCKET": server.path}
    terminal = sessions.Terminal(stage, **environment)
    try:
        assert terminal.type("%load_ext pymem_bpf") == ""
        assert terminal.type("from mprun_demo import sum_of_lists") == ""
        said = terminal.type("%memit sum_of_lists(1000000)")
        assert re.match(r"^peak memory: \d+\.\d\d MiB, increment: \d+\.\d\d MiB$", said), said
        check_seed(terminal.type("%mprun -f sum_of_lists sum_of_lists(1000000)"))
    finally:
        terminal.close()


def test_the_seeds_session_in_a_kernel(kernel):
    kernel.run("from mprun_demo import sum_of_lists")
    cell = kernel.run("%mprun -f sum_of_lists sum_of_lists(1000000)")
    assert not cell.error
    check_seed(cell.shown + cell.text)


def amount(kernel, line, contents):
    cell = kernel.run(line)
    assert not cell.error, cell.error
    rows = table(cell.shown + cell.text)
    assert contents in rows, cell.all()
    return rows[contents]


@pytest.mark.parametrize("line, contents", [
    ("%mprun -f keep keep(50000000)", "kept = bytearray(size)"),
    ("%mprun -f things.keep keep(50000000)", "kept = bytearray(size)"),
    ("%mprun -f Things.add Things().add(50000000)", "self.kept.append(bytearray(size))"),
    ("one = Things()\n%mprun -f one.add one.add(50000000)", "self.kept.append(bytearray(size))"),
    ("%mprun -f Things Things.made(50000000)", "self.kept.append(bytearray(size))"),
    ("%mprun -f Things.still Things.still(50000000)", "return bytearray(size)"),
    ("%mprun -f Things.made Things.made(50000000)", "one.add(size)"),
    ("%mprun -f awaits asyncio.new_event_loop().run_until_complete(awaits(50000000)) if 0 else "
     "drive(awaits(50000000))", "kept = bytearray(size)"),
    ("%mprun -f small small(50000000)", "small = lambda size: bytearray(size)"),
    ("%mprun -f outer outer(50000000)", "return bytearray(size)"),
    ('%mprun -f getattr(things, "keep") keep(50000000)', "kept = bytearray(size)"),
    ("%mprun -f 'keep' keep(50000000)", "kept = bytearray(size)"),
])
def test_where_functions_come_from(kernel, line, contents):
    kernel.run("def drive(c):\n    try:\n        c.send(None)\n"
               "    except StopIteration as e:\n        return e.value")
    usage, increment, occurrences = amount(kernel, line, contents)
    assert increment == pytest.approx(50000000 / MIB, abs=1) and usage > 47 and occurrences == 1


def test_a_generator(kernel):
    row = amount(kernel, "%mprun -f generates kept = list(generates(10000000))",
                 "yield bytearray(size)")
    assert row[1] == pytest.approx(30000000 / MIB, abs=1.5) and row[2] >= 3


def test_a_function_of_a_cell(kernel):
    kernel.run("def of_cell(n):\n    kept = bytearray(n)\n    return kept")
    row = amount(kernel, "%mprun -f of_cell of_cell(50000000)", "kept = bytearray(n)")
    assert row[1] == pytest.approx(50000000 / MIB, abs=1)
    kernel.run("import functools\ndef passes(f):\n    @functools.wraps(f)\n    def call(*a):\n"
               "        return f(*a)\n    return call\n"
               "@passes\ndef decorated(n):\n    block = bytearray(n)\n    return block")
    row = amount(kernel, "%mprun -f decorated decorated(50000000)", "block = bytearray(n)")
    assert row[1] == pytest.approx(50000000 / MIB, abs=1)


def test_a_function_of_the_prompt(stage, server):
    terminal = sessions.Terminal(stage, PYMEM_BPF_SOCKET=server.path)
    try:
        terminal.type("%load_ext pymem_bpf")
        terminal.type("def typed(n):\n    kept = bytearray(n)\n    return kept")
        rows = table(terminal.type("%mprun -f typed typed(50000000)"))
        assert rows["kept = bytearray(n)"][1] == pytest.approx(50000000 / MIB, abs=1)
    finally:
        terminal.close()


def test_cell_mode_and_two_functions(kernel):
    cell = kernel.run("%%mprun -f keep -f Things.add\na = keep(30000000)\nb = Things()\nb.add(20000000)\n")
    rows = table(cell.shown + cell.text)
    assert rows["kept = bytearray(size)"][1] == pytest.approx(30000000 / MIB, abs=1)
    assert rows["self.kept.append(bytearray(size))"][1] == pytest.approx(20000000 / MIB, abs=1)
    assert kernel.run("len(a), len(b.kept)").result == "(30000000, 1)"


def test_profile_among_the_builtins(kernel):
    cell = kernel.run("%%mprun\n@profile\ndef marked(n):\n    kept = bytearray(n)\n    return kept\n"
                      "x = marked(30000000)\n")
    assert not cell.error, cell.error
    rows = table(cell.shown + cell.text)
    assert rows["kept = bytearray(n)"][1] == pytest.approx(30000000 / MIB, abs=1)
    assert "NameError" in kernel.run("profile").error


def test_file_and_result(kernel, stage):
    cell = kernel.run("p = %mprun -r -T out.txt -f keep keep(30000000)\n"
                      "import pymem_bpf; isinstance(p, pymem_bpf.LineProfiler)")
    assert cell.result == "True" and "saved to text file out.txt" in cell.text
    with open(os.path.join(stage.home, "out.txt")) as f:
        assert table(f.read())["kept = bytearray(size)"][1] == pytest.approx(30000000 / MIB, abs=1)


def test_a_table_is_not_lost_to_a_wrong_path(kernel):
    """Shown, kept in another file, and what was asked for besides is given."""
    for path, said in ("/nonexistent/x", "No such file or directory"), ("/", "Is a directory"), (
            "/dev/full", "No space left on device"):
        cell = kernel.run("%%mprun -r -T %s -f keep keep(30000000)" % path)
        assert not cell.error and cell.result.startswith("<pymem_bpf.run_profiler.RunProfiler"), cell.error
        assert "*** %s can't be written: %s" % (path, said) in cell.text
        saved = re.search(r"saved to text file (\S+mprun-\S+\.txt)\.", cell.text).group(1)
        with open(saved, encoding="utf-8") as f:
            text = f.read()
        os.unlink(saved)
        for one in text, cell.shown:
            assert table(one)["kept = bytearray(size)"][1] == pytest.approx(30000000 / MIB, abs=1)
    cell = kernel.run("%mprun -T /nonexistent/x -f fails fails(30000000)")
    assert "KeyError: 'mine'" in cell.error and "can't be written" in cell.text


def test_what_is_raised_comes_after_the_table(kernel):
    cell = kernel.run("%mprun -f fails fails(30000000)")
    assert "KeyError: 'mine'" in cell.error and "KeyError in code being profiled" in cell.text
    assert table(cell.shown)["kept = bytearray(size)"][1] == pytest.approx(30000000 / MIB, abs=1)
    cell = kernel.run("%mprun -f keep keep(30000000); raise SystemExit(3)")
    assert "SystemExit exception caught" in cell.text and not cell.error
    assert "kept = bytearray(size)" in table(cell.shown)
    cell = kernel.run("%mprun -f keep keep(30000000); raise KeyboardInterrupt")
    assert "KeyboardInterrupt exception caught" in cell.text and not cell.error
    assert "NameError" in kernel.run("profile").error


@pytest.mark.parametrize("line, said", [
    ("%mprun", "nothing to run"),
    ("%mprun -f keep", "nothing to run"),
    ("%mprun -f not_there keep(1)", "could not find function 'not_there': NameError"),
    ("%mprun -f keep( keep(1)", "no end of a bracket"),
    ("%mprun -f things.nothing keep(1)", "AttributeError"),
    ("%mprun -f len keep(1)", "-f len: "),
    ("%mprun -f 3 keep(1)", "-f 3: "),
    ("%mprun -x keep(1)", "no option -x"),
    ("%mprun -f keep pass", "never called"),
    ("%mprun keep(1)", "name one with -f"),
    ("%mprun -f keep 1 +", "SyntaxError"),
])
def test_bad_input(kernel, line, said):
    assert said in kernel.run(line).all()


def test_what_stands_in_the_way_is_one_sentence(stage, server):
    """No traceback of ours: the profiler can't begin, or there is no extension for this Python."""
    kernel = sessions.Kernel(stage, PYMEM_BPF_SOCKET=server.path)
    try:
        kernel.run("%load_ext pymem_bpf\nfrom things import keep\nfrom pymem_bpf import LineProfiler\n"
                   "import mmap\nblock = mmap.mmap(-1, 16384)\n"
                   "import types\nother = types.SimpleNamespace(block=block, fileno=lambda: None)\n"
                   "import struct; block[:8] = struct.pack('II', 2, 1)\n"
                   "running = LineProfiler(keep, counter=other); running.enable()")
        cell = kernel.run("%mprun -f keep ran = keep(1)")
        assert cell.error == "UsageError: another profiler is running, with another counter"
        assert "in code being profiled" not in cell.text and "NameError" in kernel.run("ran").error
        kernel.run("running.disable()\nimport sys; sys.modules['pymem_bpf._lines'] = None\n"
                   "del sys.modules['pymem_bpf.line_profiler'], sys.modules['pymem_bpf.run_profiler']\n"
                   "import pymem_bpf; del pymem_bpf._lines")
        cell = kernel.run("%mprun -f keep keep(1)")
        assert cell.error.startswith("UsageError: the extension module is not there for this Python"), \
            cell.error
    finally:
        kernel.close()


PARENT = """
import subprocess, sys
def parent(size):
    code = "b = bytearray(%d); print(flush=True); input()" % size
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    child.communicate(b"x")
    return child.returncode
"""


def test_children(kernel, stage):
    stage.write("parents.py", PARENT)
    kernel.run("from parents import parent")
    for option, low, high in ("-c ", 55, 80), ("", -3, 6):
        cell = kernel.run("%mprun " + option + "-f parent parent(60000000)")
        assert not cell.error, cell.error
        found = table(cell.shown + cell.text)
        grown = sum(row[1] for text, row in found.items() if text.startswith(("child = ", "child.stdout")))
        assert low < grown < high, cell.all()
        freed = found['child.communicate(b"x")'][1]
        assert -high < freed < (-low if low > 0 else 3), cell.all()


def elsewhere():
    """[(name, interpreter)] that can run Debian's IPython, which is pure Python: 3.12 and later of those
    that are installed on this machine (not those in a root of their own)."""
    return [(name, command[0]) for name, command in sessions.pythons((3, 12)) if len(command) == 1]


@pytest.fixture(scope="module")
def ipython_folder():
    """IPython and what it needs, of /usr/bin/python3, without the rest of its packages."""
    folder = sessions.open_folder()
    code = "import IPython, os; print(os.path.dirname(os.path.dirname(IPython.__file__)))"
    origin = subprocess.check_output([sessions.PYTHON, "-c", code]).decode().strip()
    for name in ("IPython", "traitlets", "decorator.py", "backcall", "jedi", "parso", "pickleshare.py",
                 "prompt_toolkit", "wcwidth", "pygments", "stack_data", "executing", "asttokens", "pure_eval",
                 "matplotlib_inline", "pexpect", "ptyprocess", "six.py"):
        if os.path.exists(os.path.join(origin, name)):
            os.symlink(os.path.join(origin, name), os.path.join(folder, name))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name, interpreter", elsewhere(), ids=lambda v: "" if "/" in v else v)
def test_where_the_original_cannot_be_loaded(name, interpreter, server, ipython_folder):
    """3.12 and later have no distutils. As root: these interpreters are in root's folders."""
    stage = sessions.Stage()
    environment = {"PYTHONPATH": ":".join((stage.package, stage.home, ipython_folder)),
                   "PYTHONWARNINGS": "ignore", "PYMEM_BPF_SOCKET": server.path}
    try:
        terminal = sessions.Terminal(stage, interpreter, **environment)
    except BaseException:
        stage.close()
        raise
    try:
        assert terminal.type("%load_ext pymem_bpf") == ""
        terminal.type("from mprun_demo import sum_of_lists")
        said = terminal.type("%memit b = bytearray(100000000); del b")
        assert float(re.search(r"increment: (\d+\.\d\d) MiB$", said).group(1)) == pytest.approx(
            100000000 / MIB, abs=1)
        check_seed(terminal.type("%mprun -f sum_of_lists sum_of_lists(1000000)"))
        terminal.type("def typed(n):\n    kept = bytearray(n)\n    return kept")
        rows = table(terminal.type("%mprun -f typed typed(50000000)"))
        assert rows["kept = bytearray(n)"][1] == pytest.approx(50000000 / MIB, abs=1)
    finally:
        terminal.close()
        stage.close()


def test_insisting_without_a_helper(stage):
    kernel = sessions.Kernel(stage, PYMEM_BPF="/nonexistent/pymem-bpf")
    try:
        kernel.run("%load_ext pymem_bpf\nfrom things import keep\nimport os")
        for line in "%mprun -e -f keep ran = keep(1)", "os.environ['PYMEM_BPF_EXACT'] = '1'\n" \
                "%mprun -f keep ran = keep(1)":
            cell = kernel.run(line)
            assert cell.error.startswith("UsageError") and "/nonexistent/pymem-bpf" in cell.error
            if stage.user:
                assert "sudo /nonexistent/pymem-bpf serve" in cell.error
            assert "NameError" in kernel.run("ran").error
    finally:
        kernel.close()


@pytest.fixture
def own_server():
    """A server that the test may kill."""
    one = sessions.Server()
    yield one
    one.close()


def test_helper_killed_meanwhile(stage, own_server):
    kernel = sessions.Kernel(stage, PYMEM_BPF_SOCKET=own_server.path)
    try:
        kernel.run("%load_ext pymem_bpf\nfrom things import keep\nimport time")
        stop = os.path.join(stage.home, "stop")
        import threading
        import time

        def kill():
            while not os.path.exists(stop):
                time.sleep(0.01)
            own_server.kill()
            os.unlink(stop)

        thread = threading.Thread(target=kill)
        thread.start()
        cell = kernel.run("%%mprun -f keep\nimport os\nx = keep(30000000)\nopen('stop', 'w').close()\n"
                          "while os.path.exists('stop'): time.sleep(.01)\n")
        thread.join()
        assert "the helper ended during the run" in cell.text and "serve" in cell.text
        assert table(cell.shown)["kept = bytearray(size)"][1] == pytest.approx(30000000 / MIB, abs=1)
        # Nothing is left behind: root starts its own, a user has the process's figures.
        cell = kernel.run("%mprun -f keep keep(30000000)")
        assert "kept = bytearray(size)" in table(cell.shown)
        assert cell.shown.count("Approximate: ") == bool(stage.user)
    finally:
        kernel.close()
