# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""%memit and %%memit in real IPython: terminal and Jupyter kernel, root and an ordinary user, with and
without a helper. Truth: VmHWM, and the known size of what is allocated."""
import os
import re

import pytest
import sessions
from sessions import needs_program

LINE = re.compile(r"^peak memory: (\d+\.\d\d) MiB, increment: (-?\d+\.\d\d) MiB$", re.M)
SPIKE = """
import time
def spike(size=300000000, rest=0.005):
    b = bytearray(size)
    time.sleep(rest)
    del b
def high_water():
    with open("/proc/self/status") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmHWM:")) / 1024.0
"""
MIB = 1 << 20
SPIKE_MIB = 300000000 / MIB


def figures(text):
    found = LINE.search(text)
    assert found, text
    return float(found.group(1)), float(found.group(2))


@pytest.fixture(scope="module", params=[0, sessions.USER], ids=["root", "user"])
def stage(request):
    one = sessions.Stage(request.param)
    one.write("spiking.py", SPIKE)
    yield one
    one.close()


@pytest.fixture(scope="module")
def kernel(stage):
    one = sessions.Kernel(stage)
    one.run("%load_ext pymem_bpf\nfrom spiking import *")
    yield one
    one.close()


def test_in_a_terminal(stage):
    terminal = sessions.Terminal(stage)
    try:
        assert terminal.type("%load_ext pymem_bpf") == ""
        terminal.type("from spiking import *")
        peak, increment = figures(terminal.type("%memit spike()"))
        true = float(terminal.type("print(high_water())"))
        assert peak == pytest.approx(true, abs=1)
        assert increment == pytest.approx(SPIKE_MIB, abs=1)
    finally:
        terminal.close()


def test_a_peak_of_5_ms_twenty_times(kernel):
    for _ in range(20):
        peak, increment = figures(kernel.run("%memit spike()").text)
        true = float(kernel.run("print(high_water())").text)
        assert peak == pytest.approx(true, abs=1)
        assert increment == pytest.approx(SPIKE_MIB, abs=1)


def test_cell_mode_leaves_the_set_up_out(kernel):
    cell = kernel.run("%%memit block = bytearray(200000000)\nspike(100000000)\ndel block\n")
    peak, increment = figures(cell.text)
    assert increment == pytest.approx(100000000 / MIB, abs=1) and peak > 280


def test_repeats_report_the_highest(kernel):
    cell = kernel.run("sizes = [100000000, 200000000, 50000000]\n%memit -r3 spike(sizes.pop(0))")
    assert figures(cell.text)[1] == pytest.approx(200000000 / MIB, abs=1)
    assert kernel.run("sizes").result == "[]"


def test_result_object(kernel):
    cell = kernel.run("r = %memit -o -q -r 2 -i 0.01 spike()\nr")
    assert cell.text == ""
    assert re.match(r"<MemitResult : peak memory: .* MiB, increment: .* MiB>$", cell.result)
    values = kernel.run("(len(r.mem_usage), r.repeat, r.timeout, r.interval, r.include_children, "
                        "r.baseline < r.mem_usage[0])").result
    assert values == "(2, 2, None, 0.01, False, True)"


def test_garbage_is_collected_first(kernel):
    cell = kernel.run("class A: pass\na = A(); a.a = a; a.b = bytearray(200000000); del a\n"
                      "%memit spike(1000)")
    assert figures(cell.text)[0] < 150


def test_a_time_limit(kernel):
    cell = kernel.run("%memit -t 1 spike(100000000); time.sleep(30)")
    assert "*** stopped after 1 s" in cell.text
    assert figures(cell.text)[1] == pytest.approx(100000000 / MIB, abs=1)


def test_quiet_is_quiet(kernel):
    cell = kernel.run("r = %memit -o -q -t 1 spike(100000000); time.sleep(30)\nr")
    assert cell.text == "" and cell.result.startswith("<MemitResult : peak memory: ")


def test_what_is_raised_is_raised_after_the_figures(kernel):
    cell = kernel.run("%memit spike(); 1 / 0")
    assert figures(cell.text)[1] == pytest.approx(SPIKE_MIB, abs=1)
    assert "ZeroDivisionError" in cell.error


def test_children_without_a_helper_are_sampled_and_said_to_be(stage):
    """As root a helper would be started: there must be no program for it."""
    kernel = sessions.Kernel(stage, PYMEM_BPF="/nonexistent")
    try:
        kernel.run("%load_ext pymem_bpf")
        code = "b = bytearray(200000000); import sys, time; time.sleep(float(sys.argv[1]))"
        kernel.run("import subprocess, sys\ncode = %r" % code)
        kernel.run("child = lambda rest=0: subprocess.check_call([sys.executable, '-c', code, str(rest)])")
        cell = kernel.run("%memit -c -i 0.05 child(5)")
        assert "NOTE: no helper" in cell.text and "serve" in cell.text
        assert figures(cell.text)[1] > 195
        assert figures(kernel.run("%memit child()").text)[1] < 50
    finally:
        kernel.close()


@pytest.mark.parametrize("line, said", [
    ("%memit", "nothing to measure"),
    ("%memit -r 0 1", "-r takes a number, at least 1, not '0'"),
    ("%memit -r x 1", "-r takes a number"),
    ("%memit -t -3 1", "-t takes a number"),
    ("%memit -i 0 1", "-i takes a number"),
    ("%memit -z 1", "no option -z"),
    ("%memit --long 1", "no option --long"),
    ("%memit -r", "-r takes a value"),
    ("%memit 1 +", "SyntaxError"),
    ("%memit nothing_here()", "NameError"),
])
def test_bad_input(kernel, line, said):
    assert said in kernel.run(line).all()


def test_code_stays_as_typed(kernel):
    kernel.run('%memit -r 1   kept = "two  blanks \\" # no comment"  ; other = \'-x  y\'')
    assert kernel.run("kept + other").result == repr('two  blanks " # no comment-x  y')
    kernel.run("%memit -- kept = -5")
    assert kernel.run("kept").result == "-5"


def test_ipythons_own_syntax(kernel):
    kernel.run("%memit listed = !echo one; echo two")
    assert kernel.run("list(listed)").result == "['one', 'two']"


@pytest.fixture
def own_server():
    """A server that the test may kill."""
    one = sessions.Server()
    yield one
    one.close()


@needs_program
def test_with_a_helper(stage, own_server):
    kernel = sessions.Kernel(stage, PYMEM_BPF_SOCKET=own_server.path)
    try:
        kernel.run("%load_ext pymem_bpf\nfrom spiking import *")
        for _ in range(5):
            cell = kernel.run("r = %memit -o spike()")
            peak, increment = figures(cell.text)
            # The start is exact, the end is exact: only the bytearray's own pages lie between.
            assert increment == pytest.approx(SPIKE_MIB, abs=0.25)
        assert kernel.run("r.source").result == "'helper'"
        code = "b = bytearray(200000000)"
        kernel.run("import subprocess, sys\n"
                   "child = lambda: subprocess.check_call([sys.executable, '-c', %r])" % code)
        cell = kernel.run("%memit -c child()")
        assert "NOTE" not in cell.text
        assert 195 < figures(cell.text)[1] < 230
        own_server.kill()
        peak, increment = figures(kernel.run("%memit spike()").text)
        assert increment == pytest.approx(SPIKE_MIB, abs=1)
        assert kernel.run("r = %memit -oq spike()\nr.source").result == "'VmHWM'"
    finally:
        kernel.close()


def test_a_helper_of_another_version(stage):
    """%memit does without; it says why."""
    import socket
    import struct
    import threading
    path = os.path.join(stage.home, "other.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(4)

    def answer():
        connection = listener.accept()[0]
        connection.recv(100)
        connection.send(struct.pack("=IHH", 0x53424d50, 9, 1) + bytes(300))
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    kernel = sessions.Kernel(stage, PYMEM_BPF_SOCKET=path)
    try:
        kernel.run("%load_ext pymem_bpf\nfrom spiking import *")
        cell = kernel.run("%memit spike()")
        assert "NOTE: without the helper" in cell.text and "version 9" in cell.text
        assert figures(cell.text)[1] == pytest.approx(SPIKE_MIB, abs=1)
    finally:
        kernel.close()
        thread.join()
        listener.close()
        os.unlink(path)


@needs_program
@pytest.mark.parametrize("quiet", [False, True], ids=["said", "quiet"])
def test_helper_killed_meanwhile(stage, own_server, quiet):
    kernel = sessions.Kernel(stage, PYMEM_BPF_SOCKET=own_server.path)
    try:
        kernel.run("%load_ext pymem_bpf\nfrom spiking import *\nimport socket\n"
                   "asked = socket.socket(socket.AF_UNIX)\nasked.bind('asked.sock')\nasked.listen(1)")
        import socket
        import threading

        def kill():
            # The statement lets us know that it runs by connecting back.
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(os.path.join(stage.home, "asked.sock"))
                one.recv(1)
                own_server.kill()
                one.send(b"x")

        thread = threading.Thread(target=kill)
        thread.start()
        cell = kernel.run("r = %memit -o " + "-q " * quiet +
                          "c = asked.accept()[0]; c.send(b'x'); c.recv(1); time.sleep(.2); spike()")
        thread.join()
        if quiet:
            assert cell.text == "" and kernel.run("r.source").result == "'VmHWM'"
            return
        assert "the helper ended during the run" in cell.text and "VmHWM instead" in cell.text
        assert figures(cell.text)[1] == pytest.approx(SPIKE_MIB, abs=1)
    finally:
        kernel.close()
        os.unlink(os.path.join(stage.home, "asked.sock"))
