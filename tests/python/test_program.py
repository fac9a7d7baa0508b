# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A program under `python -m pymem_bpf` or `mprof run` behaves as under `python`: what it sees of itself, what
a user reads about its mistakes, its exit status. Each is compared with python itself."""
import os
import re
import signal
import subprocess
import sys

import pytest
import sessions
from sessions import PYTHON, needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import _interpreter  # noqa: E402

ASKS = '''
import os, sys
@profile
def work(n):
    kept = bytearray(n)
    return kept
kept = work(30000000)
main = sys.modules["__main__"].__dict__
assert main is globals() and main["__builtins__"].profile is profile
print(sys.argv, __name__, __spec__ and __spec__.name, __package__, sys.path[0], "__file__" in main)
'''
FAILS = '''
def inner():
    return 1 / 0
try:
    inner()
except ZeroDivisionError as e:
    raise KeyError("mine") from e
'''
HOOK = '''
import sys
def hook(kind, value, tb):
    print("mine:", kind.__name__, tb.tb_frame.f_code.co_name, tb.tb_lineno)
sys.excepthook = hook
raise KeyError
'''
LATE = '''
import atexit, pickle, threading, time
class Here:
    pass
@atexit.register
def last():
    print("at exit", type(pickle.loads(pickle.dumps(Here()))).__name__)
def later():
    threading.main_thread().join()
    print("thread", type(pickle.loads(pickle.dumps(Here()))).__name__)
threading.Thread(target=later).start()
'''
MPROF = [PYTHON, "-m", "pymem_bpf.mprof", "run"]
BARE = "import builtins; builtins.profile = lambda f: f\n"


@pytest.fixture(scope="module")
def stage():
    one = sessions.Stage()
    os.makedirs(os.path.join(one.home, "pkg", "app"))
    for name, text in (("asks.py", ASKS), ("fails.py", FAILS), ("bad.py", "x = 1\ndef (\n"),
                       ("hook.py", HOOK), ("late.py", LATE),
                       ("pkg/__init__.py", ""), ("pkg/mod.py", ASKS), ("pkg/bad.py", "def (\n"),
                       ("pkg/app/__init__.py", ""), ("pkg/app/__main__.py", ASKS),
                       # What python runs alone: the builtin is not there.
                       ("sitecustomize.py", BARE)):
        one.write(name, text)
    yield one
    one.close()


@pytest.fixture(scope="module")
def server():
    one = sessions.Server()
    yield one
    one.close()


def run(stage, words, stdin=b"", **environment):
    """(status, stdout, stderr)"""
    done = subprocess.run(list(words), env=stage.environment(**environment), cwd=stage.home, input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=sessions.PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def without_folders(text):
    """python names scripts by their whole path, and the frames of runpy that lead to a module."""
    frames = re.sub(r'  File "<frozen [^\n]*\n', "", text)
    if frames != text and frames.endswith("SyntaxError: invalid syntax\n"):
        frames = frames.partition("\n")[2]  # "Traceback": of these frames only
    text = frames
    return re.sub(r'File "[^"]*/', 'File "', text)


@needs_program
@pytest.mark.parametrize("words", [["asks.py", "a b", "-c"], ["-m", "pkg.mod", "x"], ["-m", "pkg.app", "-m"],
                                   ["./asks.py"], ["fails.py"], ["bad.py"], ["hook.py"], ["-m", "nosuch"],
                                   ["-m", "pkg.bad"], ["-m", "pkg"], ["late.py"]], ids=" ".join)
def test_as_python_runs_it(stage, server, words):
    bare = run(stage, [PYTHON] + words)
    ours = run(stage, [PYTHON, "-m", "pymem_bpf"] + words, PYMEM_BPF_SOCKET=server.path)
    assert ours[0] == bare[0]
    assert ours[1].startswith(bare[1])
    assert without_folders(ours[2]) == without_folders(bare[2])
    assert ("kept = bytearray(n)" in ours[1]) == (" __main__ " in bare[1])


@needs_program
@pytest.mark.parametrize("name", ["/dev/stdin", "-"])
def test_a_program_from_standard_input(stage, server, name):
    status, out, err = run(stage, [PYTHON, "-m", "pymem_bpf", name, "x"], ASKS.encode(),
                           PYMEM_BPF_SOCKET=server.path)
    assert (status, err) == (0, "")
    assert out.startswith("['%s', 'x'] __main__" % name)
    assert re.search(r"28\.6\d\d MiB +1       kept = bytearray\(n\)", out), out


@needs_program
def test_ctrl_c_ends_it_as_it_ends_python(stage, server):
    stage.write("waits.py", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    for words in [PYTHON, "waits.py"], [PYTHON, "-m", "pymem_bpf", "waits.py"]:
        # Ignored where the tests run in the background of a shell.
        done = subprocess.run(words, env=stage.environment(PYMEM_BPF_SOCKET=server.path), cwd=stage.home,
                              stderr=subprocess.PIPE, timeout=sessions.PATIENCE,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        assert done.returncode == -signal.SIGINT
        assert b"waits.py" in done.stderr and b"pymem_bpf" not in done.stderr, done.stderr


@needs_program
def test_a_script_on_the_path(stage, server):
    os.makedirs(os.path.join(stage.home, "bin"), exist_ok=True)
    stage.write("bin/tool.py", ASKS)
    status, out, _ = run(stage, [PYTHON, "-m", "pymem_bpf", "tool.py"], PYMEM_BPF_SOCKET=server.path,
                         PATH=os.path.join(stage.home, "bin") + ":" + os.environ["PATH"])
    assert status == 0 and "bin/tool.py']" in out and "kept = bytearray(n)" in out


@needs_program
def test_the_table_shows_the_source_that_ran(stage, server):
    stage.write("changes.py", '''import os
@profile
def work():
    return bytearray(30000000)
kept = work()
with open("changes.py", "w") as f:
    f.write("# nothing\\n" * 9)
os.chdir("/")
''')
    status, out, err = run(stage, [PYTHON, "-m", "pymem_bpf", "changes.py"], PYMEM_BPF_SOCKET=server.path)
    assert (status, err) == (0, "")
    assert re.search(r"28\.6\d\d MiB +1       return bytearray\(30000000\)", out), out


@pytest.mark.parametrize("words", [
    ["-m", "pkg.mod", "x"], ["--python", "pkg.mod", "x"], [PYTHON, "asks.py", "x"], ["asks.py", "x"],
    [PYTHON, "-B", "-W", "error", "asks.py", "x"], [PYTHON, "-Bm", "pkg.mod", "x"],
    ["--", PYTHON, "-mpkg.mod", "x"]], ids=" ".join)
def test_mprof_stamps_functions(stage, words):
    status, out, err = run(stage, MPROF + ["-E", "-o", "f.dat"] + words)
    assert status == 0, err
    with open(os.path.join(stage.home, "f.dat"), encoding="utf-8") as f:
        text = f.read()
    os.unlink(os.path.join(stage.home, "f.dat"))
    assert len(re.findall(r"^FUNC __main__\.work ", text, re.M)) == 1, text
    assert "'x'] __main__" in out and "_launch" not in text


@pytest.mark.parametrize("options", [["-I"], ["-E"], ["-s", "-S"]], ids="".join)
def test_mprof_leaves_the_interpreters_options_to_it(stage, options):
    stage.write("sees.py", "import sys\nprint(sys.flags, sys.path, sys.argv)\n")
    bare = run(stage, [PYTHON] + options + ["sees.py", "1"])
    ours = run(stage, MPROF + ["-o", "s.dat", PYTHON] + options + ["sees.py", "1"])
    assert ours[1].splitlines()[1:] == bare[1].splitlines()


@pytest.mark.parametrize("words, status", [(["-c", "import sys; sys.exit(3)"], 3), (["-V"], 0)],
                         ids=["-c", "-V"])
def test_mprof_runs_what_has_no_file(stage, words, status):
    assert run(stage, MPROF + ["-E", "-o", "c.dat", PYTHON] + words)[0] == status


def test_mprof_with_an_interpreter_that_the_package_is_not_for(stage):
    old = next((command for name, command in sessions.pythons((0, 0))
                if "3.6" in name or "3.7" in name), None)
    if old is None:
        pytest.skip("there is no Python older than 3.8 here")
    stage.write("old.py", "import sys\nprint(sys.argv, sys.flags.dont_write_bytecode)\n")
    python = os.path.join(stage.home, "python3")
    if not os.path.lexists(python):
        os.symlink(old[0], python)
    status, out, err = run(stage, MPROF + ["-E", "-o", "o.dat", python, "-B", "old.py", "x"])
    assert status == 0 and out.endswith("['old.py', 'x'] 1\n")
    assert "no FUNC lines: pymem_bpf needs Python 3.8" in err


@pytest.mark.parametrize("words, expected", [
    ("m.py -c", ([], "script", ["m.py", "-c"])),
    ("-u -X dev -Wd -W d m.py", (["-u", "-X", "dev", "-Wd", "-W", "d"], "script", ["m.py"])),
    ("-Bm mod x", (["-B"], "module", ["mod", "x"])), ("-mmod x", ([], "module", ["mod", "x"])),
    ("-Xdev -m mod", (["-Xdev"], "module", ["mod"])), ("-- m.py", ([], "script", ["m.py"])),
    ("--check-hash-based-pycs never m.py", (["--check-hash-based-pycs", "never"], "script", ["m.py"])),
    ("-Bc code", (["-Bc", "code"], None, [])), ("-", ([], None, ["-"])), ("", ([], None, [])),
    ("--help", (["--help"], None, [])), ("-m", ([], None, [])), ("-V", (["-V"], None, [])),
])
def test_command_lines_of_the_interpreter(words, expected):
    assert _interpreter.split_command(words.split()) == expected


def test_names_of_interpreters():
    for name in "python", "python3", "/usr/bin/python3.11", "python3.13t", "python3-dbg", "python3.11d":
        assert _interpreter.is_python(name), name
    for name in "python2", "python2.7", "python3-config", "python3-coverage", "pythonic", "pypy3", "sh":
        assert not _interpreter.is_python(name), name


EVERYWHERE = r'''
import io, sys, subprocess
from pymem_bpf import LineProfiler, _program
def said(words, stdin=""):
    done = subprocess.run([sys.executable, "-m", "pymem_bpf"] + words, input=stdin.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()
status, out, err = said(["-m", "nosuch"])
assert (status, out) == (1, "") and err == sys.executable + ": No module named nosuch\n", err
status, out, err = said(["/dev/stdin"], "def f():\n    raise KeyError('mine')\nf()\n")
assert status == 1 and "KeyError: 'mine'" in err and "pymem_bpf" not in err and "runpy" not in err, err
status, out, err = said(["/dev/stdin"], "x = (\n")
assert status == 1 and err.startswith('  File "/dev/stdin", line') and "SyntaxError" in err, err
status, out, err = said(["-"], "@profile\ndef f():\n    return bytearray(30000000)\nk = f()\n")
assert status == 0 and "return bytearray(30000000)" in out and "28.6" in out, (out, err)
print("fine")
'''


@needs_program
def test_each_python(stage, server, python):
    program = stage.write("everywhere.py", EVERYWHERE)
    # Five processes of it: what the first one compiles the others find.
    status, out, err = run(stage, python.command + [program], PYMEM_BPF_SOCKET=server.path,
                           PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=os.path.join(stage.home, "cache"))
    assert (status, out, err) == (0, "fine\n", "")
