# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""python -m pymem_bpf at the end of a program: who is waited for before the tables are shown, and Ctrl-C meanwhile.
On each interpreter, beside the same program without us."""
import os
import re
import subprocess

import pytest
import sessions

# Returns when the main thread is in a function of this name.
AWAITED = '''
import sys, threading, time
def callers(frame):
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back
def awaited(name, main=threading.get_ident()):
    while name not in callers(sys._current_frames()[main]):
        time.sleep(0.01)
'''
POOL = AWAITED + '''
import atexit, concurrent.futures, sys, threading, time
@profile
def f():
    with gate:
        return bytearray(1 << 20)
atexit.register(print, "at exit")
pool = concurrent.futures.ThreadPoolExecutor(2)
gate = threading.Lock()
gate.acquire()
for _ in range(4):
    pool.submit(f)
def late():
    awaited("_python_exit")
    gate.release()
threading.Thread(target=late, daemon=True).start()
if "raise" in sys.argv:
    raise KeyError("mine")
if "exit" in sys.argv:
    sys.exit(0)
'''
INTERRUPTED = AWAITED + '''
import atexit, os, signal, sys, threading, time
@profile
def f():
    return bytearray(1 << 20)
f()
atexit.register(print, "at exit")
sys.excepthook = lambda *_: print("excepthook", file=sys.stderr)
if "hook" in sys.argv:
    sys.unraisablehook = lambda a: print("hook", a.exc_type, repr(a.exc_value), a.err_msg, a.object, file=sys.stderr)
ended = threading.Event()
def waits():
    awaited("_shutdown")
    time.sleep(0.1)  # it is in the lock that a signal ends
    os.kill(os.getpid(), signal.SIGINT)
    ended.wait()
atexit.register(ended.set)
threading.Thread(target=waits).start()
'''
NAMES = ("pyenv-3.8.18", "system-3.11", "pyenv-3.13.0", "trixie-3.13", "forky-3.14", "forky-3.15")
INTERPRETERS = [(name, command) for name, command in sessions.pythons() if name in NAMES]
pytestmark = pytest.mark.skipif(not os.access(sessions.PROGRAM, os.X_OK) or os.geteuid() != 0,
                                reason="needs root and build/pymem-bpf (make)")


@pytest.fixture(scope="module")
def stage():
    one = sessions.Stage()
    one.write("pool.py", POOL)
    one.write("interrupted.py", INTERRUPTED)
    yield one
    one.close()


@pytest.fixture(scope="module")
def server():
    one = sessions.Server()
    yield one
    one.close()


@pytest.fixture(params=INTERPRETERS, ids=lambda p: p[0])
def command(request):
    return request.param[1]


def run(stage, words, **environment):
    """(status, stdout, stderr). Programs by their whole path: an interpreter may have a root of its own."""
    words = [os.path.join(stage.home, word) if word.endswith(".py") else word for word in words]
    done = subprocess.run(words, env=stage.environment(**environment), cwd=stage.home,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=sessions.PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("how", ["end", "exit", "raise"])
def test_workers_of_a_pool_are_in_the_tables(stage, server, command, how):
    """Up to 3.8 they are daemons, for which an exit handler waits."""
    status, out, err = run(stage, command + ["-m", "pymem_bpf", "pool.py", how], PYMEM_BPF_SOCKET=server.path)
    assert (status, bool(err)) == ((1, True) if how == "raise" else (0, False)), err
    assert out.count("at exit") == out.count("Filename:") == 1, out
    calls = re.search(r" MiB +(\d+)   +return bytearray", out)
    assert calls is not None and calls.group(1) == "4", out


def test_tables_of_a_pool_that_cannot_be_written(stage, server, command):
    status, out, err = run(stage, command + ["-m", "pymem_bpf", "-o", "/dev/full", "pool.py"],
                           PYMEM_BPF_SOCKET=server.path)
    assert (status, out) == (1, "at exit\n") and "can't be written to /dev/full" in err and "Traceback" not in err


@pytest.mark.parametrize("how", ["plain", "hook"])
def test_ctrl_c_while_python_waits_for_threads(stage, server, command, how):
    """It goes to sys.unraisablehook, in python's own words, and the table is shown."""
    bare = run(stage, command + ["-c", "import builtins; builtins.profile = lambda f: f\n" + INTERRUPTED, how])
    ours = run(stage, command + ["-m", "pymem_bpf", "interrupted.py", how], PYMEM_BPF_SOCKET=server.path)
    assert bare[:2] == (0, "at exit\n") and "KeyboardInterrupt" in bare[2] and "excepthook" not in bare[2], bare
    assert (ours[0], ours[2]) == (bare[0], bare[2])
    assert ours[1].count("at exit") == ours[1].count("return bytearray") == 1
