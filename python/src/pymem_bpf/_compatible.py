# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What else programs take from memory_profiler: choose_backend, MemitResult, MemTimer, exec_with_profiler,
run_module_with_profiler, has_tracemalloc. They are as they are there: names, arguments, units."""
import multiprocessing
import os
import sys
import time

from . import _helper, _proc, _program
from .memory import MIB, choose_metric

#: Whether the backend tracemalloc can be used: never here, since it doesn't count resident memory.
has_tracemalloc = False


def choose_backend(new_backend=None):
    """The name of the backend that is used for a name: itself, if there is one of that name. ValueError."""
    choose_metric(new_backend)
    return new_backend or "psutil"


class MemitResult:
    """What %memit -o gives. Amounts in MiB.

    mem_usage: the peak of each repeat. baseline: RSS before the first. repeat, timeout (s or
    None), interval, include_children: as asked for. source: what the peaks come from."""

    def __init__(self, mem_usage, baseline, repeat, timeout, interval, include_children, source=None):
        self.mem_usage, self.baseline, self.repeat = mem_usage, baseline, repeat
        self.timeout, self.interval, self.include_children = timeout, interval, include_children
        self.source = source

    def __str__(self):
        peak = max(self.mem_usage)
        return "peak memory: %.2f MiB, increment: %.2f MiB" % (peak, peak - self.baseline)

    def _repr_pretty_(self, printer, cycle):
        printer.text("<MemitResult : %s>" % self)


class MemTimer(multiprocessing.Process):
    """A process that samples another one. It sends 0 through `pipe` when it is ready, and when it is sent
    anything takes one more sample and sends the samples (in MiB; pairs with `timestamps`; with max_usage the
    highest only) and then how many it took. Descendants of the process are added with include_children,
    itself excepted."""

    def __init__(self, monitor_pid, interval, pipe, backend, max_usage=False, *args, **kw):
        self.monitor_pid, self.interval, self.pipe, self.cont = monitor_pid, interval, pipe, True
        self.backend, self.max_usage, self.n_measurements = backend, max_usage, 1
        self.timestamps = kw.pop("timestamps", False)
        self.include_children = kw.pop("include_children", False)
        self._metric, self._without = choose_metric(backend), tuple(_helper.private_pids)
        self.mem_usage = [self._sample()]
        super().__init__(*args, **kw)

    def _sample(self):
        pid = os.getpid() if self.monitor_pid == -1 else self.monitor_pid
        without = self._without + ((os.getpid(),) if pid != os.getpid() else ())
        amount = _proc.total_bytes(pid, self._metric, self.include_children, without) / MIB
        return (amount, time.time()) if self.timestamps else amount

    def run(self):
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


def exec_with_profiler(filename, profiler, backend=None, passed_args=()):
    """Runs a script as __main__ with `profiler` as the builtin `profile`, which stays, as do sys.argv and the
    script's folder in front of sys.path. Raises what it raises; OSError."""
    choose_metric(backend)
    os.stat(filename)
    _execute(filename, profiler, passed_args, False)


def run_module_with_profiler(module, profiler, backend=None, passed_args=()):
    """Runs a module as __main__, in the same way. Raises what it raises; ImportError."""
    choose_metric(backend)
    _execute(module, profiler, passed_args, True)


def _execute(target, profiler, arguments, is_module):
    ours = sys.modules["__main__"]
    if not _program.path_is_restricted():
        sys.path.insert(0, "")  # the program's own place is put there
    try:
        _program.execute(target, list(arguments), profiler, is_module)
    except _program.ProgramMissing as e:
        raise ImportError(str(e)) from None
    finally:
        sys.modules["__main__"] = ours
