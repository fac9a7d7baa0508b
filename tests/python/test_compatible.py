# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The lesser names that programs import from memory_profiler and its mprof: they exist, with the same
meaning. If memory_profiler is installed, it is compared with."""
import ctypes
import importlib.util
import multiprocessing
import os
import subprocess
import sys

import pytest
import sessions
from sessions import PYTHON, needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
import pymem_bpf  # noqa: E402
from pymem_bpf import counter, mprof  # noqa: E402

MIB = 1 << 20
try:
    import psutil
except ImportError:
    psutil = None
original = pytest.mark.skipif(importlib.util.find_spec("memory_profiler") is None,
                              reason="memory_profiler is not installed (Debian: python3-memory-profiler)")


@original
def test_every_public_name_is_there():
    import memory_profiler
    names = {name for name, value in vars(memory_profiler).items() if not name.startswith("_")
             and getattr(value, "__module__", None) == "memory_profiler"} | {"has_tracemalloc"}
    assert not names - set(dir(pymem_bpf))
    for name in names:
        getattr(pymem_bpf, name)
    for name in ("run", "attach", "plot", "peak", "list", "rm", "clean"):
        assert callable(getattr(mprof, name + "_action"))


def test_all_names_where_ipython_is_not(tmp_path):
    (tmp_path / "IPython.py").write_text("raise ImportError('No module named IPython')\n")
    env = dict(os.environ, PYTHONPATH="%s:%s" % (tmp_path, os.path.join(sessions.PROJECT, "python", "src")))
    code = ("from pymem_bpf import *\n"
            "print(*(f.__name__ for f in (profile, MemTimer, load_ipython_extension)))")
    said = subprocess.check_output([PYTHON, "-c", code], env=env)
    assert said == b"profile MemTimer load_ipython_extension\n"


def test_function_labels():
    names = {"x.z": "z", "x.y": "y", "x.b": "x.b", "f.a.b": "f.a.b", "g.a.b": "g.a.b", "g.a.c": "a.c",
             "b.c": "b.c"}
    assert mprof.function_labels(names.keys()) == names
    assert mprof.function_labels(["a.b", "x.a.b"]) == {"a.b": "a.b", "x.a.b": "x.a.b"}


def test_choose_backend():
    assert pymem_bpf.choose_backend() == "psutil"
    for name in "psutil", "psutil_pss", "psutil_uss", "posix", "rss", "uss":
        assert pymem_bpf.choose_backend(name) == name
    with pytest.raises(ValueError, match="tracemalloc"):
        pymem_bpf.choose_backend("tracemalloc")
    assert pymem_bpf.has_tracemalloc is False


def test_memit_result():
    result = pymem_bpf.MemitResult([10.0, 30.5], 10.25, 2, None, 0.1, False)
    assert str(result) == "peak memory: 30.50 MiB, increment: 20.25 MiB"


@pytest.mark.parametrize("options", [{}, {"max_usage": True}, {"timestamps": True}], ids=lambda o: "".join(o))
def test_mem_timer(options):
    ours, theirs = multiprocessing.Pipe()
    timer = pymem_bpf.MemTimer(os.getpid(), 0.01, theirs, "psutil", **options)
    timer.start()
    assert ours.recv() == 0
    block = bytearray(50000000)
    ours.send(0)
    samples, count = ours.recv(), ours.recv()
    timer.join()
    assert count >= 2 and len(samples) == (1 if "max_usage" in options else count)
    amounts = [sample[0] if "timestamps" in options else sample for sample in samples]
    assert max(amounts) == pytest.approx(pymem_bpf.memory_usage()[0], abs=3) and len(block)


def test_the_sampler_is_no_child_of_what_it_samples():
    ours, theirs = multiprocessing.Pipe()
    timer = pymem_bpf.MemTimer(-1, 0.01, theirs, None, include_children=True)
    alone = timer.mem_usage[0]
    timer.monitor_pid = os.getpid()
    timer.start()
    assert ours.recv() == 0
    ours.send(0)
    assert max(ours.recv()) - alone < 5
    timer.join()


@pytest.mark.parametrize("proc, error", [("123", TypeError), (None, TypeError), (1.5, TypeError),
                                         (-7, ValueError)])
def test_what_is_no_pid(proc, error):
    with pytest.raises(error, match="PID"):
        pymem_bpf.memory_usage(proc)


def test_a_process_that_is_gone():
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(ProcessLookupError) as caught:
        pymem_bpf.memory_usage(gone.pid)
    assert caught.value.pid == gone.pid and type(caught.value).__name__ == "NoSuchProcess"
    if psutil is not None:
        assert isinstance(caught.value, psutil.NoSuchProcess)


def test_a_process_that_is_gone_without_psutil(tmp_path):
    (tmp_path / "psutil.py").write_text("raise ImportError('No module named psutil')\n")
    code = ("from pymem_bpf import memory_usage\ntry:\n    memory_usage(1 << 22)\n"
            "except ProcessLookupError as e:\n    print(type(e).__name__, e.pid, e.errno, e)\n")
    env = dict(os.environ, PYTHONPATH="%s:%s" % (tmp_path, os.path.join(sessions.PROJECT, "python", "src")))
    said = subprocess.check_output([PYTHON, "-c", code], env=env).decode()
    assert said.startswith("NoSuchProcess 4194304 3 ") and "no process with this PID" in said


@needs_program
def test_code_map(server, monkeypatch):
    monkeypatch.setenv("PYMEM_BPF_SOCKET", server)
    monkeypatch.setattr(counter, "_shared", None)

    def grows(n):
        kept = [bytearray(1000000) for _ in range(n)]
        if n < 0:
            return None
        return kept

    def never():
        pass

    profiler = pymem_bpf.LineProfiler(grows, never)
    lines, first = profiler.code_map, grows.__code__.co_firstlineno
    assert list(lines[grows.__code__]) == [] and list(lines.items()) == []
    # What was freed before goes back to the kernel, so that using it again is growth.
    ctypes.CDLL(None).malloc_trim(0)
    assert len(profiler.runcall(grows, 40)) == 40
    table = lines[grows.__code__]
    assert list(table) == [first, first + 1, first + 2, first + 4]
    increment, memory, occurrences = table[first + 1]
    assert increment == pytest.approx(40 * 1000000 / MIB, abs=1.5)
    assert memory > increment and occurrences >= 1
    (name, rows), = lines.items()
    assert name == __file__ and [number for number, row in rows if row is None] == [first + 3]
    assert grows.__code__ in lines and lines.values()[0] == table
    inner = [c for c in grows.__code__.co_consts if hasattr(c, "co_code")]
    assert all(lines[code] == table for code in inner)
    assert isinstance(lines, pymem_bpf.CodeMap)


PROGRAM = '''
import sys
@profile
def work(n):
    return bytearray(n)
kept = work(30000000)
print(__name__, sys.argv, __file__)
'''
RUNS = '''
import sys
from pymem_bpf import LineProfiler, exec_with_profiler, run_module_with_profiler
here = sys.modules["__main__"]
for run, name in (exec_with_profiler, "sub/prog.py"), (run_module_with_profiler, "prog2"):
    profiler = LineProfiler()
    run(name, profiler, None, ["a"])
    (_, rows), = profiler.code_map.items()
    print([round(row[0]) for _, row in rows if row])
assert sys.modules["__main__"] is here and sys.path[0].endswith("sub") is False
for run, name, error in ((exec_with_profiler, "none.py", OSError),
                         (run_module_with_profiler, "none", ImportError)):
    try:
        run(name, profiler, None)
    except error as e:
        print(type(e).__name__)
'''


@needs_program
def test_programs_that_run_programs(server):
    stage = sessions.Stage()
    try:
        os.mkdir(os.path.join(stage.home, "sub"))
        stage.write("sub/prog.py", PROGRAM)
        stage.write("prog2.py", PROGRAM)
        stage.write("runs.py", RUNS)
        status, said = stage.run([PYTHON, "runs.py"], PYMEM_BPF_SOCKET=server)
    finally:
        stage.close()
    assert status == 0, said
    path = os.path.join(stage.home, "prog2.py")
    # As with python itself (3.9 and later), __file__ is absolute and sys.argv is not.
    first = os.path.join(stage.home, "sub/prog.py")
    assert said.splitlines() == ["__main__ ['sub/prog.py', 'a'] %s" % first, "[0, 29]",
                                 "__main__ ['%s', 'a'] %s" % (path, path), "[0, 29]",
                                 "FileNotFoundError", "ImportError"]


@pytest.mark.parametrize("words", [["--version"]] + [[name, "--version"] for name in (
    "run", "attach", "plot", "peak", "list", "rm", "clean")], ids=" ".join)
def test_versions(words):
    env = dict(os.environ, PYTHONPATH=os.path.join(sessions.PROJECT, "python", "src"))
    said = subprocess.check_output([PYTHON, "-m", "pymem_bpf.mprof"] + words, env=env).decode()
    assert said == pymem_bpf.__version__ + "\n"


@pytest.mark.parametrize("text, words, status", [
    ("1 + 1", ["--exit-code"], 0), ("raise SystemExit(3)", ["-E"], 3), ("raise KeyError", [], None)])
def test_run_action(text, words, status, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.py").write_text(text)
    monkeypatch.setattr(sys, "argv", ["mprof"] + words + ["-o", "x.dat", "x.py"])
    if status is None:
        assert mprof.run_action() is None
    else:
        with pytest.raises(SystemExit) as caught:
            mprof.run_action()
        assert caught.value.code == status
    assert mprof.read_mprofile_file("x.dat")["cmd_line"].endswith("x.py")


def test_files_are_utf_8(tmp_path):
    stage = sessions.Stage()
    try:
        stage.write("größe.py", "@profile\ndef fä():\n    pass\nfä()\n")
        words = [PYTHON, "-m", "pymem_bpf.mprof", "run", "-o", "u.dat", "größe.py", b"\xff"]
        status, said = stage.run(words, LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert status == 0, said
        with open(os.path.join(stage.home, "u.dat"), encoding="utf-8") as f:
            text = f.read()
    finally:
        stage.close()
    first = text.splitlines()[0]
    assert first.startswith("CMDLINE ") and "größe.py" in first and "FUNC __main__.fä " in text
