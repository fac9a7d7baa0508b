# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""memory_usage(): the memory of a process, or of a call, over time or at its peak.

It has the arguments and results of memory_profiler's function of this name; amounts are in MiB. A peak is
the kernel's, not the highest sample: the source is the counters of `pymem-bpf serve` if it runs, else VmHWM,
which is reset through /proc/self/clear_refs and needs no privilege. If neither knows the peak (PSS, USS,
children without a helper), it is the highest sample.

Left out: the backend tracemalloc, which doesn't measure resident memory.
"""
import operator
import os
import subprocess
import sys
import time

from . import _helper, _proc
from ._counting import note_once
from ._helper import HelperError
from ._missing import no_such_process

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, TextIO, Tuple

    from .counter import Counter

    Samples = List[Tuple[int, float]]  # (bytes, seconds since the epoch)
    Children = List[Tuple[int, int]]  # (PID, bytes)
    Call = Tuple[Callable[..., Any], Tuple[Any, ...], Dict[str, Any]]

MIB = float(1 << 20)
BACKENDS = {None: "rss", "rss": "rss", "pss": "pss", "uss": "uss",
            "psutil": "rss", "posix": "rss", "psutil_pss": "pss", "psutil_uss": "uss"}
MEASUREMENTS, SHORTEST_INTERVAL = 4, 1e-6
START_SECONDS = 30


def choose_metric(backend: "str | None") -> str:
    """"rss", "pss" or "uss" for the name of a backend; None is "rss". ValueError: there is no such backend."""
    if backend == "tracemalloc":
        raise ValueError("backend tracemalloc counts Python's own allocations, not resident memory; "
                         "use rss (or tracemalloc.get_traced_memory() itself)")
    if backend not in BACKENDS:
        raise ValueError("backend %r: there are rss, pss, uss (also named psutil, psutil_pss, "
                         "psutil_uss, posix)" % (backend,))
    return BACKENDS[backend]


class Sampler:
    """Samples this process from another one, between start() and stop()."""

    def __init__(self, interval: float, metric: str, children: bool) -> None:
        if not sys.executable:
            raise RuntimeError("sampling needs an interpreter to start, and sys.executable names none; "
                               "set it, or use max_usage=True with the backend rss")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", _proc.__file__, str(os.getpid()), repr(float(interval)),
             metric, "1" if children else "0"] + [str(pid) for pid in _helper.private_pids],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout is None or self.process.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError("the sampler did not start: status %s" % self.process.returncode)

    def stop(self) -> "Samples":
        """Ends the sampling: [(bytes, seconds since the epoch)], taken at the start, at each interval and at the
        end. RuntimeError: the other process had ended."""
        try:
            # A byte, since the end of its input may not come: a child that the program forked has that open, too.
            said = self.process.communicate(b"x")[0].decode("ascii").splitlines()
        finally:
            self.close()
        if not said or said[-1] != "end":
            raise RuntimeError("the sampler ended early: status %s" % self.process.returncode)
        return [(int(line.split()[0]), float(line.split()[1])) for line in said[:-1]]

    def close(self) -> None:
        """Ends the other process, whatever it does, and waits for its end. A second call is no error."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Peak:
    """The peak RSS of this process, in bytes: begins anew with start(), read by bytes().

    counter: a Counter of this process; None: the kernel's VmHWM, of which a process has only one, so a nested
    start() makes the outer one begin anew, too. tree: descendants are added (only with a counter). ValueError:
    tree without a counter. frozen: after bytes(), whether the counter died and VmHWM can't replace it."""

    def __init__(self, counter: "Counter | None" = None, tree: bool = False) -> None:
        if tree and counter is None:
            raise ValueError("the peak of a process tree takes a counter")
        self.counter, self.tree, self.floor, self.mark = counter, tree, 0, 0
        self.marked = self.frozen = False

    def now(self) -> int:
        """RSS now, in bytes: of the process, or of its tree. HelperError, OSError."""
        if self.tree and self.counter is not None:
            return self.counter.tree_bytes
        return _proc.exact_rss_bytes(_proc.getpid())

    def start(self) -> int:
        """Begins anew. RSS at this moment, in bytes. HelperError, OSError: it can't be had."""
        self.floor = self.now()
        if self.counter is not None:
            self.counter.reset()
        try:
            # With a counter it is for the case that its server dies.
            _proc.reset_high_water()
            self.marked = True
        except OSError as e:
            if self.counter is None:
                raise OSError(e.errno, "/proc/self/clear_refs can't be written (%s), so the peak can't "
                              "be reset; with a helper it needs not be: %s"
                              % (e.strerror, _helper.command())) from None
        if self.marked:
            self.mark = _proc.high_water_bytes(_proc.getpid())
        return self.floor

    def bytes(self) -> int:
        """The highest RSS since start(), in bytes. RSS at both ends counts, too: VmHWM is made from counters that
        are cached per CPU, so it may be some pages lower or higher. One that has not risen since start() says nothing
        that both ends don't. HelperError, OSError."""
        died = self.counter is not None and not self.counter.alive()
        if self.counter is None or (died and self.marked and not self.tree):
            peak = _proc.high_water_bytes(_proc.getpid())
            if peak <= self.mark:
                peak = 0
        else:
            peak = self.counter.tree_peak_bytes if self.tree else self.counter.peak_bytes
            self.frozen = died
        return max(peak, self.floor, self.now())


def available_counter(private: bool = False) -> "Counter | None":
    """The shared Counter if a helper is there, None if there is none. private: as root, start one
    where no server runs. HelperError if it is there and refuses."""
    from . import counter
    try:
        return counter.shared(private)
    except counter.HelperMissing:
        return None


def _call_of(proc: "Any") -> "Call":
    """(f, args, kw) of what memory_usage takes as a call."""
    if callable(proc):
        return proc, (), {}
    if not 1 <= len(proc) <= 3 or not callable(proc[0]):
        raise ValueError("a call is (function,), (function, args) or (function, args, kwargs)")
    function, args, kw = tuple(proc) + ((), {})[len(proc) - 1:]
    return function, args, kw


def _begin_peak(include_children: bool) -> "Peak | None":
    """A Peak that was started; None where only samples know it: children without a helper. A helper that
    can't be used is no reason to fail: the kernel's own mark needs none."""
    try:
        counter = available_counter(include_children)
        if counter is not None:
            peak = Peak(counter, include_children)
            peak.start()
            return peak
    except HelperError as e:
        note_once("memory_usage", "none", "without the helper: %s\n(%s)" % (
            e, "children are sampled" if include_children else "the peak is that of VmHWM"))
    if include_children:
        return None
    peak = Peak()
    peak.start()
    return peak


def _measure_peak(call: "Call", peak: "Peak") -> "Tuple[int, Any]":
    """(peak in bytes, what the call returned): one run, nothing sampled."""
    function, args, kw = call
    returned = function(*args, **kw)
    highest = peak.bytes()
    if peak.frozen and peak.counter is not None:
        note_once("memory_usage", "ended",
                  "%s ended during the call: the peak is the highest until then; start "
                  "it again: %s" % (peak.counter.where, _helper.command()))
    return highest, returned


def _measure_timed_peak(call: "Call", interval: float) -> "Tuple[Tuple[int, float], Any]":
    """((peak in bytes, time of the highest sample), what the call returned): the kernel knows how high,
    not when."""
    function, args, kw = call
    sampler = Sampler(interval, "rss", False)
    try:
        peak = _begin_peak(False)
        assert peak is not None  # it is for children only
        returned = function(*args, **kw)
        highest = peak.bytes()
        sampled, when = max(sampler.stop())
    finally:
        sampler.close()
    return (max(highest, sampled), when), returned


def _measure_samples(call: "Call", interval: float, metric: str,
                     include_children: bool) -> "Tuple[Samples, Any]":
    function, args, kw = call
    first = _proc.total_bytes(os.getpid(), metric, include_children,
                              _helper.private_pids), time.time()
    sampler = Sampler(interval, metric, include_children)
    try:
        returned = function(*args, **kw)
        samples = [first] + sampler.stop()
    finally:
        sampler.close()
    return samples, returned


def _of_call(call: "Call", interval: float, rounds: float, metric: str, max_usage: bool,
             include_children: bool, timestamps: bool) -> "Tuple[Any, Any]":
    """(what was found, what the call returned); found: samples, or the peak in bytes, or (peak, time). A
    call too short for a few samples is run again with a tenth of the interval, up to `rounds` times."""
    if max_usage and metric == "rss":
        if timestamps and not include_children:
            return _measure_timed_peak(call, interval)
        peak = None if timestamps else _begin_peak(include_children)
        if peak is not None:
            return _measure_peak(call, peak)
    while True:
        samples, returned = _measure_samples(call, interval, metric, include_children)
        rounds -= 1
        if len(samples) > MEASUREMENTS + 1 or rounds <= 0 or interval < SHORTEST_INTERVAL or max_usage:
            break
        interval /= 10.0
    if max_usage:
        highest = max(samples)
        return (highest if timestamps else highest[0]), returned
    return samples, returned


def high_water_of(pid: int, include_children: bool) -> "Callable[[], int]":
    """A function that tells the highest RSS of another process so far, in bytes, by its VmHWM: peaks between
    samples, too. It gives 0 where it can't know: the process has ended, or include_children. Raises nothing."""
    def read() -> int:
        if include_children:
            return 0
        try:
            return _proc.high_water_bytes(pid)
        except OSError:
            return 0  # it has ended, and its memory with it
    return read


def tree_peak_of(counter: "Counter") -> "Callable[[], int]":
    """The same of a process and its descendants, by a Counter of it. Where the server can't count all of them
    it gives 0, and stderr says so once."""
    told: "List[HelperError]" = []

    def read() -> int:
        try:
            return counter.tree_peak_bytes
        except _helper.HelperError as e:
            if not told:
                told.append(e)
                print("NOTE: peaks between samples are missed: %s" % e, file=sys.stderr)
            return 0
    return read


class _Writer:
    """Lines of a .dat file as mprof reads them."""
    FLUSH_EACH = 50

    def __init__(self, stream: "TextIO") -> None:
        self.stream, self.count = stream, 0

    def memory(self, amount: float, when: float) -> None:
        self.stream.write("MEM %.6f %.4f\n" % (amount / MIB, when))
        self.count += 1
        if self.count % self.FLUSH_EACH == 0:
            self.stream.flush()

    def child(self, pid: int, amount: float, when: float) -> None:
        self.stream.write("CHLD %d %.6f %.4f\n" % (pid, amount / MIB, when))


def _watch(pid: int, running: "Callable[[], bool]", interval: float, rounds: float, metric: str,
           include_children: bool, multiprocess: bool, each: "Callable[[int, float, Children], None]",
           peak_read: "Callable[[], int]") -> None:
    """Samples a process: each(bytes, time, children). Ends after `rounds`, or when running() is
    false. If the high-water mark rose above both samples around it, that peak becomes a sample in
    between. If it rose after the last sample, it becomes the last one, however this ends."""
    known, last, last_time = peak_read(), 0, None
    try:
        while rounds > 0 and running():
            try:
                amount = _proc.total_bytes(pid, metric, include_children, _helper.private_pids)
                children = (_proc.children_bytes(pid, metric, _helper.private_pids)
                            if multiprocess else [])
            except ProcessLookupError:
                break
            if amount or _proc.has_memory(pid):
                now, peak = time.time(), peak_read()
                if last_time is not None and peak > known and peak > max(last, amount):
                    each(peak, (last_time + now) / 2, [])
                known, last, last_time = max(known, peak), amount, now
                each(amount, now, children)
            rounds -= 1
            if rounds > 0:
                time.sleep(interval)
    finally:
        peak = peak_read()
        # A process that ended before its first sample has only this.
        if peak > last and (peak > known or last_time is None):
            each(peak, time.time(), [])


def _process_of(proc: "Any") -> "Tuple[int, Callable[[], bool]]":
    """(pid, function: whether it still runs) of a PID or a Popen."""
    if isinstance(proc, subprocess.Popen):
        return proc.pid, lambda: proc.poll() is None
    try:
        pid = operator.index(proc)
    except TypeError:
        raise TypeError("a process is a PID (an integer) or a subprocess.Popen, not %r" % (proc,)) from None
    if pid == -1:
        pid = os.getpid()
    if pid < 0:
        raise ValueError("a PID is a positive integer, or -1 (this process), not %d" % pid)
    try:
        if _proc.ended(pid):
            raise ProcessLookupError
        ticks = _proc.start_ticks(pid)
    except ProcessLookupError:
        raise no_such_process(pid) from None

    def running() -> bool:
        try:
            return _proc.start_ticks(pid) == ticks and not _proc.ended(pid)
        except ProcessLookupError:
            return False
    return pid, running


def _peaks(pid: int, metric: str, include_children: bool,
           counter: "Counter | None") -> "Callable[[], int]":
    if metric not in ("rss", "exact"):
        return lambda: 0
    if counter is not None and include_children:
        return tree_peak_of(counter)
    if counter is not None:
        known = counter
        return lambda: known.peak_bytes
    return high_water_of(pid, include_children)


def memory_usage(proc: "Any" = -1, interval: float = .1, timeout: "float | None" = None,
                 timestamps: bool = False, include_children: bool = False, multiprocess: bool = False,
                 max_usage: bool = False, retval: bool = False, stream: "TextIO | None" = None,
                 backend: "str | None" = None, max_iterations: "int | None" = None,
                 counter: "Counter | None" = None) -> "Any":
    """Memory of a process or of a call, in MiB.

    proc: -1 (this process), a PID, a subprocess.Popen, a function, or a tuple (f,),
    (f, args), (f, args, kwargs), which is called.
    interval: seconds between samples. timeout: seconds; a process without one is read once, a Popen
    until it ends. timestamps: each sample is (MiB, seconds since the epoch).
    include_children: descendants are added. multiprocess: each sample of a process is a list, its own
    memory and that of each descendant. max_usage: only the peak, one number: exact for RSS; of a call
    with timestamps (peak, time of the highest sample).
    retval: (result, what the call returned). stream: a text file; samples go there as lines of
    mprof's .dat and None is returned. backend: rss, pss, uss, or memory_profiler's names.
    max_iterations: how often a call may be run; one that is too short for samples is run again at a
    tenth of the interval. With max_usage it is run once. counter: a Counter of the process `proc`;
    it knows each peak of it.

    Errors: ValueError (backend, call, a negative PID), TypeError (no PID), ProcessLookupError (psutil's
    NoSuchProcess too, where that is installed), PermissionError; what the call raises. The peak of a call is
    the process's: two at a time, in two threads, disturb each other.
    """
    metric = choose_metric(backend)
    if not interval > 0:
        raise ValueError("interval: a positive number of seconds, not %r" % (interval,))
    timestamps = timestamps or stream is not None
    is_call = isinstance(proc, (list, tuple)) or (
        callable(proc) and not isinstance(proc, subprocess.Popen))
    rounds = float("inf")
    if timeout is not None:
        rounds = max(1, int(round(timeout / interval)))
    elif is_call and max_iterations is not None:
        rounds = max_iterations
    elif not isinstance(proc, subprocess.Popen):
        rounds = 1
    if is_call:
        found, returned = _of_call(_call_of(proc), interval, rounds, metric,
                                   max_usage and stream is None, include_children, timestamps)
        result = _finish_call(found, timestamps, stream)
        return (result, returned) if retval else result
    pid, running = _process_of(proc)
    if rounds == 1 and metric == "rss":
        metric = "exact"  # one reading may cost a walk of the page tables, ten a second may not
    return _of_process(pid, running, interval, rounds, metric, include_children, multiprocess,
                       max_usage, timestamps, stream,
                       _peaks(pid, metric, include_children, counter))


def _finish_call(found: "Any", timestamps: bool, stream: "TextIO | None") -> "Any":
    if isinstance(found, tuple):
        return found[0] / MIB, found[1]
    if not isinstance(found, list):
        return found / MIB
    if stream is not None:
        writer = _Writer(stream)
        for amount, when in found:
            writer.memory(amount, when)
        return None
    return [(amount / MIB, when) if timestamps else amount / MIB for amount, when in found]


def _of_process(pid: int, running: "Callable[[], bool]", interval: float, rounds: float, metric: str,
                include_children: bool, multiprocess: bool, max_usage: bool, timestamps: bool,
                stream: "TextIO | None", peak_read: "Callable[[], int]") -> "Any":
    result: "List[Any]" = []
    writer, highest = _Writer(stream) if stream is not None else None, [-1]

    def each(amount: int, when: float, children: "Children") -> None:
        highest[0] = max(highest[0], amount)
        if writer is not None:
            writer.memory(amount, when)
            for child, bytes_ in children:
                writer.child(child, bytes_, when)
            return
        one: "Any" = (amount / MIB, when) if timestamps else amount / MIB
        result.append([one] + [bytes_ / MIB for _, bytes_ in children] if multiprocess else one)

    # A list has one sample an interval: only a peak, or a file, takes what lies between them.
    between = peak_read if max_usage or writer is not None else lambda: 0
    _watch(pid, running, interval, rounds, metric, include_children, multiprocess, each, between)
    if stream is not None:
        stream.flush()
        return None
    if max_usage:
        return highest[0] / MIB if highest[0] >= 0 else -1
    return result
