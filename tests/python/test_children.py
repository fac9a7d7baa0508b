# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The builtin `profile` in processes that a program starts by multiprocessing, with each start method. They
run the main module again, and must do what they do without us."""
import os
import subprocess

import pytest
import sessions
from conftest import PACKAGE

SECONDS = 600
PROGRAM = '''
import concurrent.futures, multiprocessing, os, sys

@profile
def worker(n):
    x = bytearray(n << 20)
    return len(x) >> 20

@profile(precision=3)
def other(n):
    return n

class Thing:
    @profile
    def method(self, n):
        return n

def start_more(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.map(worker, [1])

@profile
def main(method):
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        found = pool.map(worker, [2, 3]) + pool.map(other, [4]) + pool.map(Thing().method, [5])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        found.append(pool.submit(worker, 6).result())
        found += pool.submit(start_more, method).result()
    return found

if __name__ == "__main__":
    before = dict(os.environ), sorted(os.listdir("."))
    print(main(sys.argv[1]))
    assert before == (dict(os.environ), sorted(os.listdir("."))), "something was left behind"
'''
SAYS = "[2, 3, 4, 5, 6, 1]\n"
NOTE = "what ran in processes that multiprocessing started anew"

pytestmark = pytest.mark.skipif(not os.access(sessions.PROGRAM, os.X_OK) or os.geteuid() != 0,
                                reason="needs root and build/pymem-bpf (make)")


def run(command, folder, server):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYMEM"))}
    env.update(PYTHONPATH=PACKAGE + ":" + str(folder), PYTHONDONTWRITEBYTECODE="1", PYMEM_BPF_SOCKET=server)
    done = subprocess.run(command, env=env, cwd=str(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=SECONDS)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, (out, err)
    return out, err


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_run(python, server, tmp_path, method):
    """What they do is right; what they ran is said not to be in the tables."""
    path = tmp_path / "prog.py"
    path.write_text(PROGRAM)
    out, err = run(python.command + ["-m", "pymem_bpf", str(path), method], tmp_path, server)
    assert SAYS in out and "Traceback" not in err, err
    assert "\nworker was never called in this process while it was profiled.\n" in out
    assert err.count(NOTE) == (0 if method == "fork" else 1), err


# Run by the interpreter itself, which may have a root of its own. The package gets another name, as billiard and
# multiprocess have.
COPY = '''
import multiprocessing, pathlib, re, sys
for path in pathlib.Path(multiprocessing.__path__[0]).glob("**/*.py"):
    to = pathlib.Path(sys.argv[1], "copied") / path.relative_to(multiprocessing.__path__[0])
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(re.sub(r"\\bmultiprocessing\\b", "copied", path.read_text()))
'''


COPIED = '''
import sys, copied

@profile
def worker(n):
    return n

if __name__ == "__main__":
    with copied.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.map(worker, [2, 3]))
'''


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_of_copies(python, server, tmp_path, method):
    run(python.command + ["-c", COPY, str(tmp_path)], tmp_path, server)
    path = tmp_path / "prog.py"
    path.write_text(COPIED)
    out, err = run(python.command + ["-m", "pymem_bpf", str(path), method], tmp_path, server)
    assert out.startswith("[2, 3]\n") and "Traceback" not in err, (out, err)
    assert err.count(NOTE) == 1, err


@pytest.mark.parametrize("words", [
    ["-m", "pymem_bpf", "-m", "prog"], ["-m", "pymem_bpf.mprof", "run", "prog.py"],
    ["-m", "pymem_bpf", "--timestamp", "prog.py"]], ids=" ".join)
def test_however_the_program_is_run(server, tmp_path, words):
    (tmp_path / "prog.py").write_text(PROGRAM)
    out, err = run(["/usr/bin/python3"] + words + ["spawn"], tmp_path, server)
    assert SAYS in out and "Traceback" not in err, (out, err)
    assert err.count(NOTE) == 1, err


def test_other_commands_are_as_they_were(server, tmp_path):
    """What the program starts by itself has no builtin and nothing of ours in its arguments."""
    (tmp_path / "prog.py").write_text('''
import subprocess, sys
print(subprocess.check_output([sys.executable, "-c", "print('profile' in dir(__builtins__)); "
      "print(open('/proc/self/cmdline').read().split(chr(0))[1:-1])"]).decode(), end="")
''')
    out, err = run(["/usr/bin/python3", "-m", "pymem_bpf", "prog.py"], tmp_path, server)
    first, second = out.splitlines()
    assert first == "False" and second.startswith("['-c', \"print('profile'") and err == ""


def test_only_code_that_begins_so_gets_the_step(tmp_path):
    """A shell's code is nothing that Python's could be put in front of, whatever is in it."""
    code = '''
from pymem_bpf._children import _with_step
line = "from copied.spawn import spawn_main; spawn_main(pipe_handle=7)"
for command in (["bash", "-c", "exec python3 -c '" + line + "'"], ["sh", "-c", "echo " + line],
                ["python3", "-c", "import os; " + line], ["python3", "-c", "xfrom a.spawn import spawn_main"],
                [b"sh", b"-c", b"true; " + line.encode()]):
    assert _with_step(command) is command, command
assert _with_step(["python3", "-c", "import sys; from a.forkserver import main; main(3)"])[-1].startswith("def _step(")
for command in ["python3", "-c", line], ["python3", "-E", "-c", " \\n" + line], [b"python3", b"-c", line.encode()]:
    changed = _with_step(command)
    end = changed[-1] if isinstance(changed[-1], str) else changed[-1].decode()
    assert changed[:-1] == command[:-1] and end.startswith("def _step(") and end.endswith("\\ndel _step\\n" + line), changed
    compile(end, "-c", "exec")
'''
    run(["/usr/bin/python3", "-c", code], tmp_path, "/nonexistent")


def test_what_stands_in_for_the_profiler(tmp_path):
    """Whatever the main module does with it at its top."""
    code = '''
from pymem_bpf import _children
import builtins
end = _children.begin(_children.Idle())
def f(n): return n
assert profile(f) is f and profile(precision=2)(f) is f and profile.wrap_function(f) is f
assert profile.runcall(f, 3) == 3 and profile.results() == []
with profile, profile.timestamp("load"):
    profile.add_function(f); profile.enable(); profile.disable()
assert profile.run("x = 1") is profile and x == 1
end()
assert not hasattr(builtins, "profile")
'''
    run(["/usr/bin/python3", "-c", code], tmp_path, "/nonexistent")
