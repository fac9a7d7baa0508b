# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The other names that programs import from memory_profiler: choose_backend, MemitResult, MemTimer,
exec_with_profiler, run_module_with_profiler, has_tracemalloc. Arguments and units are the same as there."""
import multiprocessing
import os
import sys
import time

from . import _alone, _helper, _proc, _program
from .memory import MIB, choose_metric

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, List, Sequence, Tuple

#: Whether the backend tracemalloc can be used: never here, since it doesn't count resident memory.
has_tracemalloc = False


def choose_backend(new_backend: "str | None" = None) -> str:
    """The name of the backend that measures: the name itself, "psutil" for None.

    ValueError: there is no such backend, as "tracemalloc", which does not count resident memory."""
    choose_metric(new_backend)
    return new_backend or "psutil"


class MemitResult:
    """What `%memit -o` returns. All amounts are in MiB, as float.

    mem_usage: list of the peak of each run. baseline: RSS before the first run. repeat (int), timeout (seconds
    or None), interval (seconds), include_children (bool): as asked for. source: what the peaks come from:
    "helper", "VmHWM" or "VmHWM and samples of children". str() is the line that %memit prints."""

    def __init__(self, mem_usage: "List[float]", baseline: float, repeat: int, timeout: "float | None",
                 interval: float, include_children: bool, source: "str | None" = None) -> None:
        self.mem_usage, self.baseline, self.repeat = mem_usage, baseline, repeat
        self.timeout, self.interval, self.include_children = timeout, interval, include_children
        self.source = source

    def __str__(self) -> str:
        peak = max(self.mem_usage)
        return "peak memory: %.2f MiB, increment: %.2f MiB" % (peak, peak - self.baseline)

    def _repr_pretty_(self, printer: "Any", cycle: bool) -> None:
        printer.text("<MemitResult : %s>" % self)


class MemTimer(multiprocessing.Process):
    """A multiprocessing.Process that samples another one, each `interval` seconds.

    monitor_pid: the process; -1: the one that runs the samples. pipe: one end of multiprocessing.Pipe(): the
    process sends 0 when it is ready; when anything is sent to it, it takes a last sample, sends the list of
    samples, then how many it took (int), and ends. A sample is MiB (float), or with timestamps=True a pair
    (MiB, seconds since the epoch). max_usage: the list has the highest sample only. include_children=True: the
    descendants of the process are added, this one excepted. backend: as memory_usage's. Other arguments are
    multiprocessing.Process's. ValueError: no such backend. OSError: the process can't be read."""

    def __init__(self, monitor_pid: int, interval: float, pipe: "Any", backend: "str | None",
                 max_usage: bool = False, *args: "Any", **kw: "Any") -> None:
        self.monitor_pid, self.interval, self.pipe, self.cont = monitor_pid, interval, pipe, True
        self.backend, self.max_usage, self.n_measurements = backend, max_usage, 1
        self.timestamps = kw.pop("timestamps", False)
        self.include_children = kw.pop("include_children", False)
        self._metric, self._without = choose_metric(backend), tuple(_helper.private_pids)
        self.mem_usage = [self._sample()]
        super().__init__(*args, **kw)

    def _sample(self) -> "float | Tuple[float, float]":
        pid = os.getpid() if self.monitor_pid == -1 else self.monitor_pid
        without = self._without + ((os.getpid(),) if pid != os.getpid() else ())
        amount = _proc.total_bytes(pid, self._metric, self.include_children, without) / MIB
        return (amount, time.time()) if self.timestamps else amount

    def run(self) -> None:
        """What the new process runs: samples until something comes through the pipe. OSError: the process that
        it samples has ended."""
        self.pipe.send(0)
        stop = False
        while not stop:
            stop = self.pipe.poll(self.interval)
            sample = self._sample()
            if self.max_usage:
                self.mem_usage[0] = max(sample, self.mem_usage[0])
            else:
                self.mem_usage.append(sample)
            self.n_measurements += 1
        self.pipe.send(self.mem_usage)
        self.pipe.send(self.n_measurements)


def exec_with_profiler(filename: str, profiler: "Callable[..., Any]", backend: "str | None" = None,
                       passed_args: "Sequence[str]" = ()) -> None:
    """Runs a script as __main__, with `profiler` as the builtin `profile`.

    filename: path of the script. profiler: a LineProfiler, a TimeStamper or any decorator. passed_args: what
    stands behind the script in sys.argv. The builtin, sys.argv and the script's folder in front of sys.path
    stay afterwards. Raises what the script raises, SystemExit too; OSError: there is no such file; ValueError:
    no such backend. To be called in the main thread, as all of this is the process's."""
    choose_metric(backend)
    os.stat(filename)
    _execute(filename, profiler, passed_args, False)


def run_module_with_profiler(module: str, profiler: "Callable[..., Any]", backend: "str | None" = None,
                             passed_args: "Sequence[str]" = ()) -> None:
    """Runs a module as __main__ by its dotted name, otherwise as exec_with_profiler(). ImportError: there is
    no such module, or it can't be run."""
    choose_metric(backend)
    _execute(module, profiler, passed_args, True)


def _execute(target: str, profiler: "Callable[..., Any]", arguments: "Sequence[str]",
             is_module: bool) -> None:
    ours = sys.modules["__main__"]
    if not _alone.path_is_restricted():
        sys.path.insert(0, "")  # the program's own place is put there
    try:
        _program.execute(target, list(arguments), profiler, is_module)
    except _program.ProgramMissing as e:
        raise ImportError(str(e)) from None
    finally:
        sys.modules["__main__"] = ours
