# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What %memit and %mprun see if they are called from a function, and `await` in their statements: at a
prompt, in a Jupyter kernel, whose loop runs meanwhile, and with each Python's asyncio."""
import re
import subprocess

import pytest
import sessions
from sessions import needs_program
from test_magics_memit import figures
from test_magics_mprun import table

pytestmark = needs_program
MIB = 1 << 20
CODE = """import asyncio
async def co(n):
    await asyncio.sleep(.01)
    kept = bytearray(n)
    await asyncio.sleep(.01)
    return kept
def g(n):
    kept = bytearray(n)
    return kept
"""
FROM_FUNCTIONS = """
ip = get_ipython()
def line(magic, text, n):
    twice = 2
    return ip.run_line_magic(magic, text)
def cell(magic, text, body, n):
    twice = 2
    return ip.run_cell_magic(magic, text, body)
async def inside(magic, text, n):
    return ip.run_line_magic(magic, text)
"""


@pytest.fixture(scope="module")
def server():
    one = sessions.Server()
    yield one
    one.close()


@pytest.fixture(scope="module")
def stage():
    one = sessions.Stage()
    one.write("shop.py", CODE)
    one.write("calls.py", "from IPython import get_ipython\nfrom shop import *\n" + FROM_FUNCTIONS)
    yield one
    one.close()


@pytest.fixture(scope="module")
def kernel(stage, server):
    one = sessions.Kernel(stage, PYMEM_BPF_SOCKET=server.path)
    assert not one.run("%load_ext pymem_bpf\nfrom shop import *\nfrom calls import line, cell, inside").error
    yield one
    one.close()


def increment(cell):
    assert not cell.error, cell.error
    return figures(cell.text)[1]


def row(cell, contents="kept = bytearray(n)"):
    assert not cell.error, cell.error
    return table(cell.shown + cell.text)[contents][1:]


@pytest.mark.parametrize("call, times", [
    ("line('memit', 'g(n)', 30000000)", 1),
    ("line('memit', '[g(n) for _ in range(twice)]', 30000000)", 2),
    ("line('memit', 'kept = (lambda: [g(n), g(n)])()', 30000000)", 2),
    ("cell('memit', '', 'kept = g(n)', 30000000)", 1),
    ("cell('memit', 'm = n', 'kept = [g(m) for _ in range(twice)]', 30000000)", 2),
    ("line('memit', 'await co(n)', 30000000)", 1),
    ("await inside('memit', 'g(n)', 30000000)", 1),
    ("await inside('memit', 'await co(n)', 30000000)", 1),
])
def test_memit_sees_the_locals_of_its_caller(kernel, call, times):
    assert increment(kernel.run(call)) == pytest.approx(times * 30000000 / MIB, abs=1)
    assert "NameError" in kernel.run("kept").error + kernel.run("n").error, "nothing of it stays"


@pytest.mark.parametrize("call, times", [
    ("line('mprun', '-f g g(n)', 30000000)", 1),
    ("line('mprun', '-f g kept = [g(n) for _ in range(twice)]', 30000000)", 2),
    ("cell('mprun', '-f g', 'kept = [g(n) for _ in range(twice)]', 30000000)", 2),
    ("line('mprun', '-f n.__self__.g n(30000000)', __import__('types').MethodType(lambda self, n: g(n), "
     "__import__('types').SimpleNamespace(g=g)))", 1),
    ("line('mprun', '-f co kept = await co(n)', 30000000)", 1),
    ("await inside('mprun', '-f co await co(n)', 30000000)", 1),
])
def test_mprun_sees_the_locals_of_its_caller(kernel, call, times):
    assert row(kernel.run(call)) == (pytest.approx(times * 30000000 / MIB, abs=1), times)
    assert "NameError" in kernel.run("kept").error


def test_what_functions_bind_as_globals_stays(kernel):
    assert not kernel.run("line('memit', 'global stays; stays = n', 7)").error
    assert kernel.run("stays").result == "7"


@pytest.mark.parametrize("call, told", [
    ("line('memit', 'from os.path import *; print(join(\"a\", str(n)))', 7)", "a/7"),
    ("line('memit', 'global stays; from os.path import *; stays = [join(\"a\", str(m)) for m in [n]]; "
     "print(stays)', 7)", "['a/7']"),
    ("cell('memit', 'from os.path import *; m = n', 'print(join(\"a\", str(m)), twice)', 7)", "a/7 2"),
])
def test_import_of_all_names_in_a_function(kernel, call, told):
    cell = kernel.run(call)
    assert not cell.error and told in cell.text.splitlines(), cell.all()
    assert "NameError" in kernel.run("join").error


def test_await_in_a_kernel(kernel):
    assert increment(kernel.run("%memit got = await co(30000000)")) == pytest.approx(30000000 / MIB, abs=1)
    assert kernel.run("len(got)").result == "30000000"
    cell = kernel.run("%%memit first = await co(1)\nassert len(first) == 1\nsecond = await co(40000000)")
    assert increment(cell) == pytest.approx(40000000 / MIB, abs=1)
    assert row(kernel.run("%mprun -f co third = await co(50000000)")) == (
        pytest.approx(50000000 / MIB, abs=1), 1)
    assert kernel.run("%%mprun -f co\nfourth = await co(60000000)\nassert len(fourth)").error == ""
    assert kernel.run("len(first), len(second), len(third), len(fourth)").result == (
        "(1, 40000000, 50000000, 60000000)")
    assert kernel.run("r = %memit -o -r 3 await co(30000000)\nlen(r.mem_usage)").result == "3"


def test_what_belongs_to_the_kernels_loop(kernel):
    """Tasks and futures of earlier cells: another loop could not wait for them. Its other tasks go on."""
    kernel.run("future, begun = asyncio.get_running_loop().create_future(), asyncio.Event()\nticks = []\n"
               "async def later():\n    while len(ticks) < 5:\n        await asyncio.sleep(.001)\n"
               "    future.set_result('done')\n"
               "async def tick():\n    await begun.wait()\n    while not future.done():\n"
               "        ticks.append(1)\n        await asyncio.sleep(.001)\n"
               "tasks = [asyncio.ensure_future(c) for c in (later(), tick(), *(co(i) for i in range(50)))]")
    assert not kernel.run("%memit begun.set(); said = await future; await asyncio.gather(*tasks)").error
    assert kernel.run("said, len(ticks) >= 5").result == "('done', True)"
    assert kernel.run("len(asyncio.all_tasks())").result == "1"


def test_what_ends_early_leaves_no_task(kernel):
    cell = kernel.run("%memit -t .2 await asyncio.sleep(600)")
    assert "stopped after 0.2 s" in cell.text and not cell.error
    assert kernel.run("%memit await asyncio.sleep(0); raise KeyError('mine')").error == "KeyError: 'mine'"
    cell = kernel.run("import os, signal\n%mprun -f co await co(1); os.kill(os.getpid(), signal.SIGINT); "
                      "await asyncio.sleep(600)")
    assert "KeyboardInterrupt exception caught" in cell.text and not cell.error
    assert kernel.run("len(asyncio.all_tasks())").result == "1"


def test_where_autoawait_is_off(kernel):
    kernel.run("%autoawait False")
    try:
        assert "'await' outside function" in kernel.run("%memit await co(1)").error
    finally:
        kernel.run("%autoawait asyncio")
    assert not kernel.run("%memit await co(1)").error
    for line in "return 1", "yield 1":
        assert "SyntaxError" in kernel.run("%%memit %s" % line).error
        assert "SyntaxError" in kernel.run("line('memit', '%s', 1)" % line).error


def test_at_the_prompt(stage, server):
    terminal = sessions.Terminal(stage, PYMEM_BPF_SOCKET=server.path)
    try:
        terminal.type("%load_ext pymem_bpf")
        terminal.type("from shop import *")
        terminal.type("from calls import line, cell")
        said = terminal.type("%memit got = await co(30000000)")
        assert figures(said)[1] == pytest.approx(30000000 / MIB, abs=1)
        assert terminal.type("len(got)").endswith("30000000")
        rows = table(terminal.type("%mprun -f co await co(50000000)"))
        assert rows["kept = bytearray(n)"][1:] == (pytest.approx(50000000 / MIB, abs=1), 1)
        said = terminal.type("line('memit', 'await co(n)', 30000000)")
        assert figures(said)[1] == pytest.approx(30000000 / MIB, abs=1)
        said = terminal.type("cell('memit', 'm = n', '[g(m) for _ in range(twice)]', 30000000)")
        assert figures(said)[1] == pytest.approx(60000000 / MIB, abs=1)
        assert "stopped after 0.2 s" in terminal.type("%memit -t .2 await asyncio.sleep(600)")
    finally:
        terminal.close()


EVERYWHERE = '''
import asyncio, sys, types
from pymem_bpf._await import _asyncio_runner, run_coroutine
shell = types.SimpleNamespace(loop_runner=_asyncio_runner)
async def co(n):
    before = asyncio.current_task()
    for _ in range(n):
        await asyncio.sleep(0)
    await asyncio.sleep(.001)
    assert asyncio.current_task() is before
    return n
async def fails():
    await asyncio.sleep(0)
    raise KeyError("mine")
async def stopped():
    asyncio.get_running_loop().call_soon(stop)
    await asyncio.sleep(600)
def stop():
    raise KeyboardInterrupt
def nested(n):
    return run_coroutine(shell, co(n))
async def deeper(n):
    return nested(n) + nested(n + 1)
async def main():
    loop, me, counted = asyncio.get_running_loop(), asyncio.current_task(), []
    # Many are ready when the turn that this is called in has counted them.
    others = [asyncio.ensure_future(co(5)) for _ in range(100)]
    for n in range(50):
        loop.call_soon(counted.append, n)
    await asyncio.sleep(0)
    for n in range(50):
        loop.call_soon(counted.append, n)
    assert nested(20) == 20 and asyncio.current_task() is me
    assert run_coroutine(shell, deeper(3)) == 7
    for make, error in (fails, KeyError), (stopped, KeyboardInterrupt):
        try:
            run_coroutine(shell, make())
        except error:
            assert asyncio.current_task() is me
        else:
            sys.exit("not raised")
    assert await asyncio.gather(*others) == [5] * 100 and len(counted) == 100
    assert asyncio.all_tasks() == {me} and asyncio.get_running_loop() is loop
asyncio.run(main(), debug="debug" in sys.argv)
print("fine")
'''


@pytest.mark.parametrize("mode", ["plain", "debug"])
def test_asyncio_of_each_python(stage, python, mode):
    program = stage.write("loops.py", EVERYWHERE)
    done = subprocess.run(python.command + [program, mode], env=stage.environment(), cwd=stage.home,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=sessions.PATIENCE)
    assert (done.returncode, done.stdout) == (0, b"fine\n"), done.stderr.decode()
    assert not re.search(rb"Traceback|never retrieved|never awaited", done.stderr), done.stderr.decode()


def test_sessions_are_not_refused_after_an_error(kernel):
    """A kernel that stops on errors refused the next cell if that was quick enough: its text was ''."""
    for _ in range(30):
        assert kernel.run("1 / 0").error.startswith("ZeroDivisionError")
        assert kernel.run("print(1)").text == "1\n"
