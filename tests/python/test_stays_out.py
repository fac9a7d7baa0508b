# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the package must not do to the program that it is in: each program here behaves as without it."""
import os
import subprocess

import pytest
import sessions
from sessions import needs_program

NAMES = ("system-3.11", "pyenv-3.9.18", "pyenv-3.13.0")
INTERPRETERS = [(name, command) for name, command in sessions.pythons() if name in NAMES]
BARE = "import builtins; builtins.profile = lambda f: f\n"
CLOSES = '''
import os
@profile
def f():
    return bytearray(1 << 20)
f()
os.closerange(3, 64)
files = [open("mine%d" % i, "w", buffering=1) for i in range(12)]
f()
if os.fork() == 0:
    for one in files:
        one.write("child\\n")
    os._exit(0)
print(os.wait()[1])
for one in files:
    one.write("mine\\n")
    one.flush()
    assert open(one.name).read() == "child\\nmine\\n", one.name
'''
TOOLS = '''
import cProfile
@profile
def f():
    with cProfile.Profile():
        return sum(range(100))
print(f())
'''
MAIN = '''
import os, sys
print(__file__, sys.argv, sys.path[0], sorted(n for n in vars() if n.startswith("__")))
os.chdir("/")
def f(): pass
print(f.__code__.co_filename, os.path.exists(__file__))
'''
FOLDER = '''
import atexit, os, pickle, sys, threading, time
class P: pass
def late():
    threading.main_thread().join()
    print("thread", len(pickle.dumps(P())) > 0, sys.path[0])
threading.Thread(target=late).start()
atexit.register(lambda: print("at exit", sys.modules["__main__"].P))
print(sys.path[0], sys.argv, __file__, __spec__.name, repr(__package__))
os.chdir("/")
import beside
'''
CLASS = '''
class Proxy:
    @property
    def __class__(self): raise RuntimeError("outside of context")
class Lazy:
    @property
    def func(self): raise RuntimeError("not ready")
    @property
    def __module__(self): raise KeyError("x")
@profile
class C:
    proxy, lazy = Proxy(), Lazy()
    def f(self): return 1
    g = f
    @property
    def only(self): return 1
class W:
    def __call__(self): return 1
    @property
    def __wrapped__(self): raise RuntimeError("w")
profile(W())
print(C().f(), C.f is C.g)
try: C().only = 1
except AttributeError as e: print(e)
'''
FEED = '''
import sys, traceback
# a \f b

try: 1 / 0
except ZeroDivisionError: traceback.print_exc(file=sys.stdout)
'''
SHADOWS = "import code; print(code.MINE)\n"
UNSEEN = '''
import asyncio, inspect, sys, warnings
@profile
def depth(n=0):
    try:
        return depth(n + 1)
    except RecursionError:
        return n
print(depth() > 900, depth.__closure__, depth.__code__.co_varnames)
@profile
def caller():
    return sys._getframe(1).f_code.co_name
def calls():
    return caller()
print(calls())
@profile
def old():
    warnings.warn("old", DeprecationWarning, stacklevel=2)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    old()
print(said[0].lineno)
@profile
def takes(a, b=2, *rest, c, d=4, **others):
    return a
print(inspect.getfullargspec(takes), takes.__defaults__, takes.__kwdefaults__)
@profile
def closes(a):
    try:
        yield a
    except GeneratorExit:
        return "closed"
@profile
def goes_on():
    try:
        yield 1
    except GeneratorExit:
        yield 2
one, other = closes(1), goes_on()
print(next(one), one.close(), next(other), other.throw(GeneratorExit))
@profile
async def awaits(a):
    return a
for function in takes, closes, awaits:
    try:
        function()
    except TypeError as e:
        print(e)
@profile
async def steps():
    try:
        for i in range(5):
            yield i
    finally:
        await asyncio.sleep(0)
        print("fin")
kept = []
async def main():
    asyncio.get_running_loop().set_exception_handler(lambda _, what: print("HANDLER", what))
    kept.append(steps())
    async for i in kept[0]:
        if i == 2:
            break
asyncio.run(main())
class Shop:
    n = 1
    @profile
    @property
    def price(self):
        return self.n
    @profile
    @staticmethod
    def still():
        return 2
    @profile
    def __del__(self):
        print("del")
class Callable:
    def __call__(self):
        return 3
thing = Callable()
assert profile(thing) is thing and profile(Shop) is Shop and profile(len) is len
kept.append(Shop())
print(kept[1].price, kept[1].still(), type(vars(Shop)["price"]).__name__, thing())
'''
DEEP = '''
import sys, threading
@profile
def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)
def other(n):
    return 0 if n == 0 else 1 + other(n - 1)
if sys.version_info >= (3, 11):  # before, python itself needs C stack for each
    sys.setrecursionlimit(10 ** 6)
    print(deep(50000), other(50000))
    threading.stack_size(64 << 10)
    thread = threading.Thread(target=lambda: print(deep(5000), other(5000)))
    thread.start()
    thread.join()
print(deep(100))
'''
AT_EXIT = '''
import atexit, sys, threading
def names():
    main = sys.modules["__main__"]
    return [hasattr(main, name) for name in ("__file__", "__cached__")]
atexit.register(lambda: print("at exit", names()))
def late():
    threading.main_thread().join()
    print("thread", names())
threading.Thread(target=late).start()
sys.excepthook = lambda *_: print("hook", names())
how = sys.argv[1:]
if "exit" in how:
    sys.exit(3)
if "raise" in how:
    raise KeyError
'''
OWN = ("queue code cmd bdb statistics socket mmap struct tempfile random shutil subprocess signal argparse "
       "gettext inspect ast dis opcode tokenize linecache copy selectors zipfile lzma glob fnmatch pathlib "
       "locale bisect string re weakref table counter")
OWNS = """
import importlib
found = [name for name in %r.split() if hasattr(importlib.import_module(name), "OWN")]
print(found)
@profile
def f():
    return bytearray(1 << 20)
f()
""" % OWN
THREAD = '''
import threading
@profile
def f():
    return bytearray(1 << 20)
def late():
    threading.main_thread().join()
    f()
threading.Thread(target=late).start()
'''
FORKS = '''
import os
@profile
def f():
    return 1
f()
if os.fork():
    os.wait()
'''
SPAWNS = '''
import multiprocessing
@profile
def f(x):
    return x
if __name__ == "__main__":
    p = multiprocessing.get_context("spawn").Process(target=f, args=(1,))
    p.start()
    p.join()
    f(2)
'''
POOL = '''
import multiprocessing
@profile
def f(x):
    return x
if __name__ == "__main__":
    f(0)
    with multiprocessing.get_context("fork").Pool(3) as p:
        print(p.map(f, range(3)))
'''
DEEP_CHILD = '''
import os, sys
@profile
def f(): pass
f()
sys.setrecursionlimit(10 ** 6)
def deep(n): return deep(n - 1) if n else 0
pid = os.fork()
if not pid:
    deep(50000 if sys.version_info >= (3, 11) else 900)  # from then on without C stack
    os._exit(0)
print(os.waitpid(pid, 0)[1])
'''
LETS_GO = '''
import asyncio, weakref
from pymem_bpf import profile
class Thing: pass
def gone(seen): return seen() is None
@profile
def generates(thing):
    seen = weakref.ref(thing)
    del thing
    yield gone(seen)
    got = yield Thing()
    while True:
        try: got = yield got
        except KeyError: got = "thrown"
@profile
async def awaits(thing):
    seen = weakref.ref(thing)
    del thing
    return gone(seen)
@profile
async def steps(thing):
    seen = weakref.ref(thing)
    del thing
    yield gone(seen)
    yield Thing()
async def main():
    print(await awaits(Thing()))
    all_steps = steps(Thing())
    print(await all_steps.asend(None), gone(weakref.ref(await all_steps.asend(None))))
    await all_steps.aclose()
one = generates(Thing())
print(next(one), gone(weakref.ref(next(one))), one.send(3), one.throw(KeyError()), one.send(4))
asyncio.run(main())
'''
NO_DESCRIPTORS = '''
import os, resource
from pymem_bpf.timestamps import TimeStamper
stamper = TimeStamper()
@stamper
def f(): return 1
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True: os.open("/dev/null", 0)
except OSError: pass
print(f(), stamper.records, stamper.unread)
'''
PROGRAMS = {"closes.py": CLOSES, "tools.py": TOOLS, "main.py": MAIN, "./main.py": None, "a.zip": None,
            "./folder": None, "class.py": CLASS, "feed.py": FEED, "shadow/s.py": SHADOWS, "unseen.py": UNSEEN,
            "deep.py": DEEP, "deep_child.py": DEEP_CHILD, "names/owns.py": OWNS}


@pytest.fixture(scope="module")
def stage():
    one = sessions.Stage()
    for folder in "folder", "shadow", "bare", "names":
        os.mkdir(os.path.join(one.home, folder))
    for name, text in list(PROGRAMS.items()) + [
            ("folder/__main__.py", FOLDER), ("folder/beside.py", "print('beside')\n"),
            ("shadow/code.py", "MINE = 1\n"), ("thread.py", THREAD), ("forks.py", FORKS),
            ("spawns.py", SPAWNS), ("pool.py", POOL), ("ends.py", AT_EXIT), ("bare/sitecustomize.py", BARE),
            ("lets_go.py", LETS_GO), ("no_descriptors.py", NO_DESCRIPTORS)]:
        if text is not None:
            one.write(name, text)
    for name in OWN.split():
        one.write("names/%s.py" % name, "OWN = 1\n")
    subprocess.check_call([sessions.PYTHON, "-m", "zipfile", "-c", os.path.join(one.home, "a.zip")] +
                          [os.path.join(one.home, "folder", name) for name in ("__main__.py", "beside.py")])
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
    """(status, stdout, stderr)"""
    done = subprocess.run(list(words), env=stage.environment(**environment), cwd=stage.home,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=sessions.PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@needs_program
@pytest.mark.parametrize("name", PROGRAMS)
def test_runs_as_without(stage, server, command, name):
    bare = run(stage, command + [name, "x"], PYTHONPATH=os.path.join(stage.home, "bare"))
    ours = run(stage, command + ["-m", "pymem_bpf", "-o", "table", name, "x"], PYMEM_BPF_SOCKET=server.path,
               PYTHONPATH=stage.package)
    assert bare[0] == 0, bare
    assert ours[:2] == bare[:2], ours
    assert "Traceback" not in ours[2] and (name in ("class.py", "unseen.py") or not ours[2]), ours


@needs_program
@pytest.mark.parametrize("how", ["end", "exit", "raise"])
def test_what_is_left_of_the_main_program_at_its_end(stage, server, command, how):
    bare = run(stage, command + ["ends.py", how])
    ours = run(stage, command + ["-m", "pymem_bpf", "ends.py", how], PYMEM_BPF_SOCKET=server.path)
    assert ours == bare and "at exit" in bare[1]


@needs_program
def test_modules_beside_a_program_in_this_folder_are_its_own(stage, server, command):
    """Where the first entry of the path is the program's folder while ours is imported."""
    os.makedirs(os.path.join(stage.home, "here"), exist_ok=True)
    for name in "queue.py", "select.py", "tempfile.py", "argparse.py", "socket.py":
        stage.write("here/" + name, "OWN = 1\n")
    path = stage.write("here/prog.py", "import queue, argparse, socket\n"
                       "print(queue.OWN, argparse.OWN, socket.OWN)\n@profile\ndef f():\n    return bytearray(1 << 20)\nf()\n")
    done = subprocess.run(command + ["-m", "pymem_bpf", path], cwd=os.path.dirname(path),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=sessions.PATIENCE,
                          env=stage.environment(PYMEM_BPF_SOCKET=server.path, PYTHONPATH=stage.package))
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.startswith(b"1 1 1\n"), done
    assert b"return bytearray" in done.stdout


@needs_program
def test_a_decorated_finalizer_at_the_very_end(stage, server, command):
    stage.write("last.py", "from pymem_bpf import profile\nclass C:\n    @profile\n    def __del__(self):\n"
                           "        print('del')\nkept = C()\nkept.itself = kept\n")
    assert run(stage, command + ["last.py"], PYMEM_BPF_SOCKET=server.path)[::2] == (0, "")


@needs_program
def test_threads_that_python_waits_for_are_in_the_table(stage, server, command):
    status, out, err = run(stage, command + ["-m", "pymem_bpf", "thread.py"], PYMEM_BPF_SOCKET=server.path)
    assert (status, err) == (0, "") and "return bytearray" in out and "never called" not in out


@needs_program
def test_one_table_where_a_child_goes_to_the_end_too(stage, server, command):
    status, out, err = run(stage, command + ["-m", "pymem_bpf", "forks.py"], PYMEM_BPF_SOCKET=server.path)
    assert (status, err, out.count("Filename:")) == (0, "", 1)


@needs_program
def test_why_the_status_is_1_is_said_whatever_was_said_before(stage, server, command):
    status, _, err = run(stage, command + ["-m", "pymem_bpf", "-o", "/dev/full", "spawns.py"],
                         PYMEM_BPF_SOCKET=server.path)
    assert status == 1 and "processes that multiprocessing started" in err
    assert "can't be written to /dev/full" in err and "Traceback" not in err


@needs_program
def test_a_wrapper_holds_neither_arguments_nor_what_was_yielded(stage, server, command):
    status, out, err = run(stage, command + ["lets_go.py"], PYMEM_BPF_SOCKET=server.path)
    own = [line for line in out.splitlines() if line.startswith(("True", "False"))]  # of the tables no line does
    assert (status, own) == (0, ["True True 3 thrown 4", "True", "True True"]), (out, err)


@needs_program
def test_stamps_without_descriptors_change_nothing(stage, command):
    status, out, err = run(stage, command + ["no_descriptors.py"])
    assert (status, out) == (0, "1 [] 1\n") and "memory could not be read" in err, err


@needs_program
def test_func_lines_that_have_no_room_change_no_status(stage, command):
    launch = os.path.join(stage.package, "pymem_bpf", "_launch.py")
    status, _, err = run(stage, command + [launch, "-o", "/dev/full", "--", "forks.py"])
    assert status == 0 and "no FUNC lines: /dev/full" in err and "Traceback" not in err


@needs_program
def test_forked_workers_and_many_calls_ask_for_no_helper_of_their_own(stage, command):
    """Asked for by way of a program that writes a line each time it is started, and is no helper."""
    path = stage.write("counts", "#!/bin/sh\necho >>%s/started\n" % stage.home)
    os.chmod(path, 0o755)
    stage.write("calls.py", "from pymem_bpf import profile\n@profile\ndef f():\n    return 1\n"
                            "print([f() for _ in range(20)] == [1] * 20)\n")
    started = os.path.join(stage.home, "started")
    for exact in "1", "0":
        if os.path.exists(started):
            os.remove(started)
        status, out, err = run(stage, command + ["calls.py"], PYMEM_BPF=path, PYMEM_BPF_EXACT=exact)
        assert status == 0 and out.endswith("True\n") and ("unprofiled" in err) == (exact == "1")
        assert out.count("Approximate: ") == (0 if exact == "1" else 20)
        assert len(open(started).read().split("\n")) - 1 in (1, 2)  # 2: the machine stood still for 10 s


@needs_program
def test_forked_workers_are_not_profiled(stage, server, command):
    status, out, err = run(stage, command + ["-m", "pymem_bpf", "pool.py"], PYMEM_BPF_SOCKET=server.path)
    assert (status, err) == (0, "") and out.startswith("[0, 1, 2]\n")
    status, out, err = run(stage, command + ["-m", "pymem_bpf", "pool.py"])  # a private helper: one
    assert (status, err) == (0, "") and out.startswith("[0, 1, 2]\n") and out.count("Filename:") == 1


@needs_program
def test_mprof_leaves_an_interpreter_its_own_package(stage, command):
    os.makedirs(os.path.join(stage.home, "own", "pymem_bpf"), exist_ok=True)
    stage.write("own/pymem_bpf/__init__.py", "print('own')\n")
    stage.write("imports.py", "import pymem_bpf\n@profile\ndef f():\n    pass\nf()\n")
    output = os.path.join(stage.home, "own.dat")
    launch = os.path.join(stage.package, "pymem_bpf", "_launch.py")
    status, out, err = run(stage, command + [launch, "-o", output, "--", "imports.py"],
                           PYTHONPATH=os.path.join(stage.home, "own"))
    assert (status, out, err) == (0, "own\n", "")
    assert open(output).read().startswith("FUNC __main__.f ")
    os.remove(output)
