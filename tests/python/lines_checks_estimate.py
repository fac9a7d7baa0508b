# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Line profiles without a helper: figures of /proc, against known amounts."""
import contextlib
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import threading

import pymem_bpf.counter
from lines_block import Block
from pymem_bpf import _estimate
from pymem_bpf._helper import HelperError, HelperMissing, NoServer
from pymem_bpf.line_profiler import LineProfiler

MIB = 1 << 20
# What the interpreter itself may change meanwhile, and a sanitizer's memory.
SLACK = MIB // 2


def touched(size):
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, mmap.PAGESIZE):
        memory[at] = 1
    return memory


def keeps(rounds):
    kept = []
    for _ in range(rounds):
        kept.append(touched(4 * MIB))
    spare = touched(16 * MIB)
    spare.close()
    return kept


@contextlib.contextmanager
def helper(answer):
    """What asks for the process's shared Counter gets this, an exception or a counter; [times that it was asked]."""
    asked, before = [0], pymem_bpf.counter.shared

    def shared(private=True):
        asked[0] += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    pymem_bpf.counter.shared = shared
    _estimate._current = None
    _estimate._spared = (0.0, ())
    try:
        yield asked
    finally:
        pymem_bpf.counter.shared = before


def increments(profiler, index=0):
    result = profiler.results()[index]
    return {line - result.first_line: row.increment_bytes for line, row in result.lines.items()}


def amounts_are(found, wanted, error_bytes, runs=1):
    for line, amount in wanted.items():
        assert abs(found[line] - amount) <= SLACK + runs * error_bytes, (line, found, wanted)


def check_estimate_of_known_amounts():
    touched(4 * MIB).close()
    with helper(NoServer("nobody")):
        profiler = LineProfiler(keeps)
        profiler.runcall(keeps, 3)
    assert profiler.approximate and profiler.approximate_reason == "" and not profiler.cut
    result, = profiler.results()
    assert result.approximate and result.error_bytes == profiler.error_bytes
    assert [result.lines[result.first_line + n].occurrences for n in (2, 3, 4, 5)] == [4, 3, 1, 1]
    amounts_are(increments(profiler), {1: 0, 2: 0, 3: 12 * MIB, 4: 16 * MIB, 5: -16 * MIB, 6: 0},
                  profiler.error_bytes, 3)
    highest = max(row.mem_usage_bytes for row in result.lines.values())
    assert highest >= 28 * MIB and profiler.unread == 0


def check_estimate_says_why():
    with helper(HelperError("it refuses")):
        profiler = LineProfiler(keeps)
        profiler.runcall(keeps, 1)
    assert profiler.approximate_reason == "it refuses"
    assert profiler.head.startswith("Approximate: ") and "serve` makes it exact" in profiler.head


def check_estimate_is_not_exact():
    """exact, or the environment, insists: then there is the error."""
    for how, value in (({"exact": True}, None), ({}, "1")):
        with helper(HelperMissing("sudo pymem-bpf serve")), environment("PYMEM_BPF_EXACT", value):
            try:
                LineProfiler(keeps, **how).runcall(keeps, 1)
            except HelperMissing as e:
                assert str(e) == "sudo pymem-bpf serve"
            else:
                assert False, how
    with helper(NoServer("nobody")), environment("PYMEM_BPF_EXACT", "0"):
        profiler = LineProfiler(keeps)
        profiler.runcall(keeps, 1)
        assert profiler.approximate
    with helper(NoServer("nobody")), environment("PYMEM_BPF_EXACT", "1"):
        profiler = LineProfiler(keeps, exact=False)
        profiler.runcall(keeps, 1)
        assert profiler.approximate


@contextlib.contextmanager
def environment(name, value):
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def check_estimate_with_a_helper_is_none():
    block = Block()
    with helper(block):
        profiler = LineProfiler(keeps)
        profiler.runcall(keeps, 1)
    assert not profiler.approximate and profiler.head == "" and profiler.error_bytes == 0
    assert not profiler.results()[0].approximate


def check_estimate_of_pss_is_as_with_a_helper():
    """Pages of the interpreter's file are shared, and no longer USS, once another process runs that interpreter. So
    this is tried again."""
    for tries in range(5, 0, -1):
        with helper(NoServer("nobody")):
            profiler = LineProfiler(keeps, backend="uss", exact=True)
            profiler.runcall(keeps, 1)
        assert not profiler.approximate
        try:
            amounts_are(increments(profiler), {3: 4 * MIB, 4: 16 * MIB, 5: -16 * MIB}, 0)
            return
        except AssertionError:
            if tries == 1:
                raise


def check_estimate_asks_for_a_helper_when_that_is_cheap():
    """Where simply no server runs, each time; what takes time, not again at once, unless it is wanted."""
    for error, times in (NoServer("nobody"), [1, 2, 3]), (HelperMissing("was not started"), [1, 1, 2]):
        with helper(error) as asked:
            for again, wanted in zip((False, False, True), times):
                found = _estimate.best(again=again)
                assert isinstance(found, _estimate.Estimate) and asked[0] == wanted, (error, asked, wanted)


def check_estimate_in_use_stays_when_a_helper_comes():
    def inner():
        return touched(4 * MIB)

    with helper(NoServer("nobody")):
        outer = LineProfiler(keeps)
        with outer:
            pymem_bpf.counter.shared = lambda: Block()
            profiler = LineProfiler(inner)
            profiler.runcall(inner)
            assert profiler.approximate
        profiler = LineProfiler(inner)
        profiler.runcall(inner)
        assert not profiler.approximate


def check_estimate_beside_a_counter():
    with LineProfiler(keeps, counter=Block()), helper(NoServer("nobody")):
        try:
            LineProfiler(keeps).enable()
        except RuntimeError as e:
            assert "another counter" in str(e)
        else:
            assert False, "two sources at once"


CHILD = "import sys\nb = b'x' * (%d << 20)\nprint(flush=True)\nsys.stdin.readline()\n" % 24


def starts():
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    child.communicate(b"\n")


def check_estimate_of_children():
    for children, least, most in (True, 24 * MIB, 120 * MIB), (False, -2 * MIB, 4 * MIB):
        with helper(NoServer("nobody")):
            profiler = LineProfiler(starts, include_children=children)
            profiler.runcall(starts)
        found = increments(profiler)
        error = 2 * profiler.error_bytes  # of two processes
        assert least - error <= found[1] + found[2] <= most + error, found
        assert -most - error <= found[3] <= -least + error, found


def descriptors():
    """{descriptor: what it leads to}, without that of the list itself."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink("/proc/self/fd/" + name)
    return found


def own_files():
    """Descriptors of this process's statm."""
    return [fd for fd, path in descriptors().items() if path == "/proc/%d/statm" % os.getpid()]


def files_like(known):
    """Descriptors of the same file."""
    return [fd for fd, path in descriptors().items() if fd != known and path == descriptors()[known]]


def check_estimate_that_can_not_be_read():
    """The program closes what it did not open, and no descriptor is free: that is noted, and no error of its own."""
    def starved():
        opened = own_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard)) or [os.close(fd) for fd in opened]
        kept = touched(8 * MIB)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return kept, opened

    for children in False, True:
        with helper(NoServer("nobody")):
            profiler = LineProfiler(starved, include_children=children)
            _, opened = profiler.runcall(starved)
        assert len(opened) == 1 and not own_files()
        assert profiler.unread >= 2, profiler.unread
        amounts_are({0: sum(increments(profiler).values())}, {0: 8 * MIB}, profiler.error_bytes)


def check_estimate_leaves_the_program_its_descriptors():
    """The number of ours is the program's, for a file with figures of its own."""
    def takes(read):
        for fd in own_files():
            os.dup2(read, fd)
        taken = touched(8 * MIB)
        return taken, own_files()

    with tempfile.TemporaryFile() as file, helper(NoServer("nobody")):
        file.write(b"1000000 1000000 1000000 1 0 1 0\n")
        file.flush()
        profiler = LineProfiler(takes)
        _, opened = profiler.runcall(takes, file.fileno())
        amounts_are(increments(profiler), {3: 8 * MIB}, profiler.error_bytes)
        assert not profiler.unread and len(opened) == 1 and not own_files()
        copy, = files_like(file.fileno())
        os.close(copy)


def check_estimate_in_a_fork():
    """The child's figures are the child's, which has less than the parent by then."""
    def forks():
        kept = touched(64 * MIB)
        pid = os.fork()
        return kept, pid

    def in_child():
        return touched(8 * MIB)

    read, write = os.pipe()
    with helper(NoServer("nobody")):
        profiler = LineProfiler(forks)
        kept, pid = profiler.runcall(forks)
        if not pid:
            try:
                kept.close()
                own = LineProfiler(in_child)
                own.runcall(in_child)
                row = own.results()[0].lines[in_child.__code__.co_firstlineno + 1]
                os.write(write, json.dumps([own.approximate, row]).encode())
            finally:
                os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as f:
        approximate, (runs, change, usage) = json.load(f)
    whole = profiler.results()[0].lines[forks.__code__.co_firstlineno + 3].mem_usage_bytes
    assert approximate and runs == 1
    amounts_are({0: change}, {0: 8 * MIB}, profiler.error_bytes)
    assert usage < whole - 32 * MIB + profiler.error_bytes, (usage, whole)


def check_estimate_has_what_other_threads_change():
    """As it says."""
    def waits():
        other = threading.Thread(target=lambda: kept.append(touched(16 * MIB)))
        other.start()
        other.join()

    kept = []
    with helper(NoServer("nobody")):
        profiler = LineProfiler(waits, own_thread=True)
        profiler.runcall(waits)
    found = increments(profiler)
    amounts_are({0: found[2] + found[3]}, {0: 16 * MIB}, profiler.error_bytes)


def check_bounds():
    page = _estimate.PAGE_BYTES
    assert _estimate.bound(True, "6.18.1", 64, 64) == (0, 0)
    assert _estimate.bound(False, "6.12.1-amd64", 2, 2) == (62 * page, 2 * 3 * 62 * page)
    assert _estimate.bound(False, "6.2.0", 64, 4) == (254 * page, 4 * 3 * 254 * page)
    assert _estimate.bound(False, "6.1.0-50-arm64", 64, 4) == (66 * page, 66 * max(page, 65536))
    for text, version in (("6.1.0", (6, 1)), ("5.10-rc1", (5, 10)), ("7", (0, 0)), ("", (0, 0)),
                          ("x.y", (0, 0)), ("4.18.0-553.el8", (4, 18))):
        assert _estimate.kernel_version(text) == version, text
