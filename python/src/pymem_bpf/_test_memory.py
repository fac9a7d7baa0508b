# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The memory of this process while a test runs: its peak, and what stays. For pytest_plugin.py; imports no pytest.

Peaks are memory.Peak's: VmHWM, or the counters of `pymem-bpf serve` where that runs. Both ends are read from the page
tables (smaps_rollup). Before the start, and before what stayed is read, garbage is collected and the C library gives
back what it holds free: else memory that an earlier test freed would hide what this one takes.

PYTEST_DONT_REWRITE
"""
import linecache
import os
import sys
from gc import collect as _collect

from . import _helper, _proc, memory
from ._named import named

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from types import CodeType, FunctionType
    from typing import Callable, List, Tuple

    from .counter import Counter
    from .line_profiler import LineProfiler

    Grown = Tuple[int, str, int]  # (bytes, file, line)

#: What reading memory may raise.
Errors = (OSError, _helper.HelperError)
_counter: "Counter | None" = None
_trim: "Callable[[int], int] | None" = None
_trim_is_known = False


def give_back() -> None:
    """Collects garbage. Then glibc gives free memory back to the kernel; other C libraries have no such call."""
    global _trim, _trim_is_known
    _collect()
    if not _trim_is_known:
        _trim_is_known = True
        try:
            import ctypes
            _trim = ctypes.CDLL(None).malloc_trim
        except (ImportError, OSError, AttributeError):
            _trim = None  # no ctypes in this build of Python, or another C library
    if _trim is not None:
        _trim(0)


def counter() -> "Tuple[Counter | None, str]":
    """(a Counter of this process for peaks of tests alone, or None; why a server that is there can't be used)."""
    global _counter
    if _counter is not None and not _counter.alive():
        _counter.close()
        _counter = None
    if _counter is None:
        from .counter import Counter
        try:
            # Not the shared one: a test that uses that (%memit, memory_usage) makes its peak begin anew.
            _counter = Counter(private=False)
        except _helper.HelperMissing:
            return None, ""
        except _helper.HelperError as e:
            return None, str(e)
    return _counter, ""


def forget_raised() -> None:
    """The last error of the interpreter, as an interactive one keeps it, keeps the frames that it passed and what is
    in them. pytest lets go of it when the next test runs, where that would hide as much growth."""
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(name, None)


def reason_of(e: Exception) -> str:
    """Why memory could not be read, in one text."""
    return str(e) if isinstance(e, (OSError, RuntimeError, ImportError)) else "%s: %s" % (type(e).__name__, e)


def refusal(with_peak: bool = True) -> str:
    """Why RSS of this process, or its peak, can't be known; empty: it can."""
    try:
        if with_peak:
            memory.Peak(counter()[0]).start()
        else:
            _proc.exact_rss_bytes(_proc.getpid())
    except Exception as e:
        return reason_of(e)
    return ""


class Measurement:
    """One run of a test: start(), the run, stop(). Amounts in bytes.

    start_bytes: RSS at the start. peak_bytes: the highest since. kept_bytes: by how much RSS is above the start after
    the run; None: not looked at. source, by_server: where the peak is from. note: why not from a server that is
    there. lost: why peak_bytes is not the peak; empty: it is."""

    def __init__(self) -> None:
        found, self.note = counter()
        self._peak = memory.Peak(found)
        self.by_server = found is not None
        self.source = "VmHWM" if found is None else found.where
        self.start_bytes = self.peak_bytes = 0
        self.kept_bytes: "int | None" = None
        self.lost = ""
        self._resets = 0

    def start(self, with_peak: bool = True) -> None:
        """with_peak: OSError, HelperError, if peaks can't be known here; the text says why, and what helps. Else `lost`
        says that. OSError: /proc can't be read."""
        forget_raised()
        give_back()
        try:
            self.start_bytes = self._peak.start()
        except Errors as e:
            if with_peak:
                raise
            self.lost = str(e)
            self.start_bytes = _proc.exact_rss_bytes(_proc.getpid())
        self._resets = _proc.resets

    def stop(self, with_kept: bool) -> None:
        """Reads the peak; with_kept: also what stayed. OSError: /proc can't be read."""
        if not self.lost:
            self._read_peak()
        if with_kept:
            give_back()
            self.kept_bytes = _proc.exact_rss_bytes(_proc.getpid()) - self.start_bytes

    def _read_peak(self) -> None:
        try:
            self.peak_bytes = self._peak.bytes()
        except Errors as e:
            self.lost = str(e)
            return
        found = self._peak.counter
        if self._peak.frozen:  # the server ended, and the kernel's mark can't replace it
            self.lost = ("%s ended during the test, so its peak is not known; start it again: %s"
                         % (self.source, _helper.command()))
        elif _proc.resets != self._resets and (found is None or not found.alive()):
            self.lost = ("it measures peaks itself, which makes the kernel's mark begin anew; with a helper both are "
                         "right: %s" % _helper.command())

    @property
    def grown_bytes(self) -> int:
        """How far the peak is above the start."""
        return self.peak_bytes - self.start_bytes


def _code_is_below(code: "CodeType", root: str) -> bool:
    path = os.path.realpath(code.co_filename)
    return path.startswith(root.rstrip(os.sep) + os.sep) and os.sep + "site-packages" + os.sep not in path


def functions_named(function: "FunctionType", root: str) -> "List[FunctionType]":
    """The function, and what it names and those name in turn: functions and classes of files below `root`, not of
    packages that are installed there. By names alone: what it imports or is handed while it runs is not found."""
    return [function] + [found for found, _ in named(
        function.__code__, function.__globals__, lambda code: _code_is_below(code, root))]


class Lines:
    """Which lines grew while a test ran, with the server's figures: a context. reason: why that is not known; empty:
    it is. What can't be counted is no error of the test's."""

    def __init__(self, function: "FunctionType | None", root: str) -> None:
        self._profiler: "LineProfiler | None" = None
        self.reason = "the test is no Python function" if function is None else ""
        if function is None:
            return
        try:
            from .line_profiler import LineProfiler
            self._profiler = LineProfiler(*functions_named(function, root), exact=True)
            self._profiler.prepare()
        except Exception as e:
            self._profiler, self.reason = None, reason_of(e)

    def begin(self) -> None:
        """Counts from now on."""
        if self._profiler is not None:
            try:
                self._profiler.enable()
            except Exception as e:
                self._profiler, self.reason = None, reason_of(e)

    def end(self) -> None:
        """Counts no more."""
        if self._profiler is not None:
            try:
                self._profiler.disable()
            except Exception as e:
                self._profiler, self.reason = None, reason_of(e)

    def grown(self) -> "List[Grown]":
        """[(bytes, file, line)] of lines that grew, with what they called, the largest first."""
        if self._profiler is None:
            return []
        rows = [(row.increment_bytes, result.filename, number) for result in self._profiler.results()
                for number, row in result.lines.items() if row.increment_bytes > 0]
        return sorted(set(rows), key=lambda row: (-row[0], row[1:]))


def source_line(path: str, number: int) -> str:
    """The text of a line, without blanks around it; empty if it can't be read."""
    return linecache.getline(path, number).strip()
