# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""memory_usage(): what it returns for each kind of process and option, on every Python, and that it
misses no peak. Truth: VmHWM and smaps_rollup, read by the test itself."""
import io
import os
import subprocess
import sys
import time

import pytest
import sessions
from sessions import needs_program
from test_counter import Fake, block_fd, reply

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import _counting, _helper, _proc, counter, memory  # noqa: E402
from pymem_bpf.memory import memory_usage  # noqa: E402

MIB = 1 << 20
SPIKE = 300000000


@pytest.fixture(autouse=True)
def no_helper(monkeypatch):
    monkeypatch.setenv("PYMEM_BPF_SOCKET", sessions.NO_SOCKET)


def spike(size=SPIKE, rest=0.0, seen=lambda: None):
    block = bytearray(size)
    time.sleep(rest)
    seen()
    del block
    return "done"


def waits(pid):
    """How often it has waited for something."""
    for line in _proc.read_file(pid, "status").splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])


def until(is_so):
    end = time.monotonic() + sessions.PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def sampled():
    """Returns when this process has been sampled a few times more: the sampler waits after each."""
    sampler, = (pid for pid in _proc.descendants(os.getpid())
                if "_proc.py" in _proc.read_file(pid, "cmdline"))
    before = waits(sampler)
    until(lambda: waits(sampler) > before + 5)


def test_rss_is_the_kernels():
    with open("/proc/self/smaps_rollup") as f:
        true = next(int(line.split()[1]) for line in f if line.startswith("Rss:")) / 1024.0
    assert memory_usage()[0] == pytest.approx(true, abs=0.5)
    assert memory_usage(os.getpid())[0] == pytest.approx(true, abs=0.5)


def test_peak_of_a_call_is_exact_twenty_times():
    for _ in range(20):
        before = memory_usage()[0]
        peak, returned = memory_usage((spike, (), {"rest": 0.005}), max_usage=True, retval=True)
        assert returned == "done"
        assert peak == pytest.approx(before + SPIKE / MIB, abs=1)
        with open("/proc/self/status") as f:
            true = next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 1024.0
        assert peak == pytest.approx(true, abs=1)


REFUSING = {
    "LIMIT": dict(track=reply(counter.TRACK, status=counter.LIMIT)),
    "STATE": dict(track=reply(counter.TRACK, status=counter.STATE)),
    "BAD_VERSION": dict(hello=reply(counter.HELLO, status=counter.BAD_VERSION)),
    "reset": dict(track=lambda _: (reply(counter.TRACK), [block_fd()]),
                  reset=reply(counter.RESET, status=counter.FAILED)),
}


@pytest.mark.parametrize("children", [False, True], ids=["alone", "children"])
@pytest.mark.parametrize("case", REFUSING)
def test_a_helper_that_refuses_is_done_without(case, children, tmp_path, monkeypatch, capsys):
    """What needs no privilege needs no helper; it is said once that there is none."""
    server = Fake(tmp_path / "sock", **REFUSING[case])
    monkeypatch.setenv("PYMEM_BPF_SOCKET", server.path)
    monkeypatch.setattr(counter, "_shared", None)
    monkeypatch.setattr(_counting, "_said", set())
    try:
        for _ in range(2):
            # Other tests may have children that live as long as this process.
            before = memory_usage(include_children=children)[0]
            peak, returned = memory_usage((spike, (), {"seen": sampled} if children else {}), max_usage=True,
                                          retval=True, include_children=children, interval=0.05)
            assert returned == "done" and peak == pytest.approx(before + SPIKE / MIB, abs=2)
    finally:
        server.stop()
    said = capsys.readouterr().err
    assert said.count("memory_usage: without the helper: ") == 1
    assert ("children are sampled" if children else "VmHWM") in said


def test_a_helper_that_ends_during_the_call_is_named(tmp_path, monkeypatch, capsys):
    server = Fake(tmp_path / "sock", track=(reply(counter.TRACK), [block_fd()]))
    monkeypatch.setenv("PYMEM_BPF_SOCKET", server.path)
    monkeypatch.setattr(counter, "_shared", None)
    monkeypatch.setattr(_counting, "_said", set())

    def ends():
        server.connections[-1].shutdown(2)
        time.sleep(0.05)
    assert memory_usage(ends, max_usage=True, include_children=True) == 11 * _proc.PAGE_BYTES / MIB
    server.stop()
    assert "ended during the call" in capsys.readouterr().err


def test_when_the_peak_of_a_call_was():
    """A pair, as memory_profiler gives; the peak is exact, its time that of the highest sample."""
    before, begin = memory_usage()[0], time.time()
    (peak, when), returned = memory_usage((spike, (), {"rest": 0.5}), interval=0.05, timestamps=True,
                                          max_usage=True, retval=True)
    assert returned == "done" and peak == pytest.approx(before + SPIKE / MIB, abs=1)
    assert begin < when < time.time()
    amount, when = memory_usage((spike, (), {"seen": sampled}), interval=0.05, timestamps=True,
                                max_usage=True, backend="uss")
    assert amount > SPIKE / MIB and when > begin


def watched(amounts, peaks):
    """What _watch() writes of a process that has these amounts and is gone after the last; `peaks`
    are what its high-water mark is read as."""
    amounts, peaks, found = iter(amounts), iter(peaks), []

    def total(*_):
        try:
            return next(amounts)
        except StopIteration:
            raise ProcessLookupError from None
    before, memory._proc.total_bytes = memory._proc.total_bytes, total
    try:
        memory._watch(0, lambda: True, 1e-6, float("inf"), "rss", False, False,
                      lambda amount, when, children: found.append(amount), lambda: next(peaks))
    finally:
        memory._proc.total_bytes = before
    return found


@pytest.mark.parametrize("amounts, peaks, written", [
    ([5], [5, 5, 9], [5, 9]),         # it ended between the question whether it runs and the sample
    ([5, 3], [5, 5, 7, 7], [5, 7, 3]),
    ([5, 3], [5, 5, 7, 8], [5, 7, 3, 8]),
    ([5], [5, 5, 5], [5]),
    ([], [7, 7], [7]),                # it ended before its first sample
    ([], [0, 0], []),
])
def test_the_last_peak_is_written_however_it_ends(amounts, peaks, written):
    assert watched(amounts, peaks) == written


CHILDREN = """
import subprocess, sys
from pymem_bpf.memory import memory_usage
def parent():
    # Neither lives for as long as an interval.
    subprocess.check_call([sys.executable, "-c", "b = bytearray(200000000)"])
    subprocess.check_call([sys.executable, "-c", "b = bytearray(100000000)"])
    return 7
before = memory_usage()[0]
peak, returned = memory_usage(parent, interval=30, max_usage=True, include_children=True, retval=True)
assert returned == 7 and 195 < peak - before < 220, (before, peak)
alone = memory_usage(parent, max_usage=True)
assert alone - before < 20, (before, alone)
print("fine")
"""


@needs_program
@pytest.mark.parametrize("user", [0, sessions.USER], ids=["own helper", "serve"])
def test_the_peak_of_children_with_a_helper(user):
    stage = sessions.Stage(user)
    server = sessions.Server() if user else None
    try:
        more = {"PYMEM_BPF_SOCKET": server.path} if server else {}
        assert stage.run([sessions.PYTHON, stage.write("c.py", CHILDREN)], **more) == (0, "fine\n")
    finally:
        stage.close()
        if server:
            server.close()


def test_a_call_with_a_peak_is_called_once():
    calls = []
    memory_usage((calls.append, (1,)), max_usage=True)
    assert calls == [1]


def test_samples_of_a_call():
    samples = memory_usage((spike, (SPIKE, 0.5, sampled)), interval=0.05, timestamps=True)
    assert len(samples) > 6
    amounts, times = [one[0] for one in samples], [one[1] for one in samples]
    assert times == sorted(times) and times[-1] - times[0] > 0.45
    assert max(amounts) - min(amounts) == pytest.approx(SPIKE / MIB, abs=2)


def test_a_short_call_is_repeated_as_often_as_allowed():
    calls = []
    memory_usage((calls.append, (1,)), interval=30, max_iterations=2)
    assert len(calls) == 2


def test_sampling_goes_on_while_the_call_holds_the_gil():
    # One bytecode that runs for long.
    samples = memory_usage((sum, (range(120000000),)), interval=0.05, max_iterations=1)
    assert len(samples) > 6


def test_what_the_call_raises_is_raised_and_no_sampler_stays():
    def fails():
        raise KeyError("mine")
    before = set(_proc.descendants(os.getpid(), _helper.private_pids))
    with pytest.raises(KeyError, match="mine"):
        memory_usage((fails,), interval=0.01)
    with pytest.raises(KeyError, match="mine"):
        memory_usage((fails,), max_usage=True)
    assert set(_proc.descendants(os.getpid(), _helper.private_pids)) <= before


@pytest.mark.parametrize("form", ["function", "tuple1", "tuple2", "tuple3", "list"])
def test_forms_of_a_call(form):
    call = {"function": spike, "tuple1": (spike,), "tuple2": (spike, (1000,)),
            "tuple3": (spike, (1000,), {"rest": 0}), "list": [spike, (1000,)]}[form]
    assert memory_usage(call, max_usage=True, retval=True)[1] == "done"


@pytest.mark.parametrize("call", [(), (1,), (spike, (), {}, 1)])
def test_no_call(call):
    with pytest.raises(ValueError, match="a call is"):
        memory_usage(call)


def child(code):
    """Runs until its input ends. It has printed a line when `code` is done."""
    code += "\nimport sys; print(flush=True); sys.stdin.read()"
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def finish(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.fixture
def spiking(monkeypatch):
    """A child that has a spike between two samples, and ends when its high-water mark has been read."""
    process = child("import sys; sys.stdin.readline(); b = bytearray(%d); del b" % SPIKE)
    read, told = _proc.high_water_bytes, []

    def reads(pid):
        found = read(pid)
        if pid == process.pid and not told:
            told.append(process.stdin.write(b"\n"))
            process.stdin.flush()
        elif pid == process.pid and found > SPIKE:
            process.stdin.close()
        return found
    monkeypatch.setattr(_proc, "high_water_bytes", reads)
    yield process
    finish(process)


def test_peak_of_a_popen_is_not_missed(spiking):
    peak = memory_usage(spiking, interval=0.25, max_usage=True)
    assert SPIKE / MIB < peak < SPIKE / MIB + 30
    assert spiking.returncode == 0


def test_samples_of_a_process():
    process = child("")
    try:
        process.stdout.readline()
        until(lambda: _proc.stat_fields(process.pid)[0] == "S")
        assert len(memory_usage(process.pid)) == 1
        samples = memory_usage(process.pid, interval=0.01, timeout=0.05)
        assert len(samples) == 5 and len(set(samples)) == 1
        assert all(isinstance(one, tuple) for one in memory_usage(process.pid, timestamps=True))
    finally:
        finish(process)
    with pytest.raises(ProcessLookupError):
        memory_usage(process.pid)


def test_a_process_that_ends_has_no_samples_of_nothing():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2)"])
    samples = memory_usage(process, interval=0.01)
    assert len(samples) > 5 and min(samples) > 0
    assert process.returncode == 0


def test_a_process_without_memory_has_no_sample(monkeypatch):
    """Between its memory's end and its own: one that has none any more, but is no zombie."""
    amounts = iter([5, 0, 0])
    monkeypatch.setattr(_proc, "total_bytes", lambda *_: next(amounts))
    monkeypatch.setattr(_proc, "has_memory", lambda pid: False)
    found, running = [], iter([True, True, True, False])
    memory._watch(1, lambda: next(running), 1e-6, float("inf"), "rss", False, False,
                  lambda amount, when, children: found.append(amount), lambda: 0)
    assert found == [5]


def test_has_memory():
    assert _proc.has_memory(os.getpid())
    assert not _proc.has_memory(2 ** 22 + 1)
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not _proc.has_memory(process.pid)  # a zombie
    process.wait()


def test_children():
    code = "b = bytearray(100000000); import time; print(flush=True); time.sleep(300)"
    process = subprocess.Popen(["sh", "-c", "%s -c '%s' & wait" % (sys.executable, code)],
                               stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        grown, = _proc.descendants(process.pid)
        until(lambda: _proc.stat_fields(grown)[0] == "S")
        alone = memory_usage(process.pid)[0]
        assert alone < 10
        apart = memory_usage(process.pid, multiprocess=True)[0]
        assert len(apart) == 2 and apart[0] == pytest.approx(alone, abs=1) and apart[1] > 95
        assert memory_usage(process.pid, include_children=True)[0] == pytest.approx(sum(apart), abs=1)
    finally:
        for pid in _proc.descendants(process.pid):
            os.kill(pid, 9)
        process.kill()
        process.wait()
        process.stdout.close()


def test_pss_and_uss():
    rss, pss, uss = (memory_usage(backend=name)[0] for name in ("rss", "pss", "uss"))
    assert 0 < uss <= pss <= rss
    # PSS changes with each process of the machine that maps the same libraries, or ends.
    old_name = memory_usage(backend="psutil_pss")[0]
    again = memory_usage(backend="pss")[0]
    assert min(pss, again) - 0.5 <= old_name <= max(pss, again) + 0.5
    peak = memory_usage((spike, (SPIKE, 0, sampled)), interval=0.05, max_usage=True, backend="uss")
    assert peak > SPIKE / MIB


@pytest.mark.parametrize("name, said", [("tracemalloc", "get_traced_memory"), ("vms", "rss, pss, uss")])
def test_backends_that_there_are_not(name, said):
    with pytest.raises(ValueError, match=said):
        memory_usage(backend=name)


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_intervals_that_are_none(interval):
    with pytest.raises(ValueError, match="interval"):
        memory_usage(interval=interval)


def test_stream(spiking):
    stream = io.StringIO()
    assert memory_usage(spiking, interval=0.25, stream=stream) is None
    amounts = [float(line.split()[1]) for line in stream.getvalue().splitlines()]
    assert all(line.startswith("MEM ") for line in stream.getvalue().splitlines())
    assert max(amounts) > SPIKE / MIB


def test_a_sampler_that_cannot_start_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="did not start"):
        memory_usage((spike, (1,)))
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(RuntimeError, match="sys.executable"):
        memory_usage((spike, (1,)))


def test_a_reset_that_is_refused_names_the_remedy(monkeypatch):
    def refused():
        raise OSError(30, "Read-only file system")
    monkeypatch.setattr(_proc, "reset_high_water", refused)
    monkeypatch.setattr(memory, "available_counter", lambda private=False: None)
    with pytest.raises(OSError, match="clear_refs.*serve"):
        memory_usage((spike, (1,)), max_usage=True)


def test_a_name_with_brackets(tmp_path):
    """/proc/PID/stat holds the name unquoted."""
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(program), "30"])
    try:
        until(lambda: "(b" in _proc.read_file(process.pid, "comm"))
        assert _proc.parents()[process.pid] == os.getpid()
        assert not _proc.ended(process.pid) and _proc.start_ticks(process.pid) > 1000
    finally:
        process.kill()
        process.wait()


EVERYWHERE = """
import os, subprocess, sys, time
from pymem_bpf.memory import memory_usage
from pymem_bpf import counter, mprof, timestamps
def spike(n):
    b = bytearray(n)
    del b
    return n
def plateau(n):
    b = bytearray(n)
    time.sleep(0.5)
    del b
before = memory_usage()[0]
peak, returned = memory_usage((spike, (300000000,)), max_usage=True, retval=True)
assert returned == 300000000 and abs(peak - before - 286.1) < 1, (before, peak)
samples = memory_usage((plateau, (300000000,)), interval=0.02)
assert len(samples) > 5, samples
assert 0 < memory_usage(backend="uss")[0] <= memory_usage(backend="pss")[0]
try:
    counter.Counter(private=False)
except counter.HelperMissing as e:
    assert "serve" in str(e)
else:
    sys.exit("a helper?")
print("fine")
"""


@pytest.mark.parametrize("name, command", sessions.pythons(), ids=lambda v: v if isinstance(v, str) else "")
def test_every_python(name, command, tmp_path):
    stage = sessions.Stage()
    try:
        program = stage.write("everywhere.py", EVERYWHERE)
        status, output = stage.run(command + [program])
        assert (status, output) == (0, "fine\n")
    finally:
        stage.close()


def test_a_mark_that_has_not_risen_is_not_used(monkeypatch):
    """After a reset VmHWM may be above RSS by what the kernel's counters hold back: nothing has grown then."""
    peak = memory.Peak()
    read, above = _proc.high_water_bytes, [4 * MIB]
    monkeypatch.setattr(_proc, "high_water_bytes", lambda pid: read(pid) + above[0])
    floor = peak.start()
    monkeypatch.setattr(_proc, "high_water_bytes", lambda pid: peak.mark)
    assert abs(peak.bytes() - floor) < 2 * MIB
    monkeypatch.setattr(_proc, "high_water_bytes", lambda pid: peak.mark + 4096)
    assert peak.bytes() == peak.mark + 4096
