# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Resident memory, line by line, as the kernel counts it.

For scripts: profile (a decorator), LineProfiler, memory_usage; python -m pymem_bpf SCRIPT. For
IPython: %load_ext pymem_bpf gives %memit, %mprun, %memheap, %memplot and %memflame. A program that was written for
memory_profiler runs with the import changed.

PYTEST_DONT_REWRITE
"""
import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The names that __getattr__() gives. With `as`, type checkers count a name as this module's own.
    from typing import Any, List

    from ._compatible import MemitResult as MemitResult
    from ._compatible import MemTimer as MemTimer
    from ._compatible import choose_backend as choose_backend
    from ._compatible import exec_with_profiler as exec_with_profiler
    from ._compatible import has_tracemalloc as has_tracemalloc
    from ._compatible import run_module_with_profiler as run_module_with_profiler
    from .code_map import CodeMap as CodeMap
    from .counter import Counter as Counter
    from .counter import HelperError as HelperError
    from .counter import HelperMissing as HelperMissing
    from .decorator import profile as profile
    from .heaps import HeapReport as HeapReport
    from .heaps import HeapWatch as HeapWatch
    from .heaps import heap as heap
    from .flames import FlameGraph as FlameGraph
    from .flames import FlameWatch as FlameWatch
    from .line_profiler import LineProfiler as LineProfiler
    from .logfile import LogFile as LogFile
    from .magics import MemoryProfilerMagics as MemoryProfilerMagics
    from .memory import memory_usage as memory_usage
    from .memplots import MemoryPlot as MemoryPlot
    from .memplots import PlotWatch as PlotWatch
    from .memplots import memplot as memplot
    from .table import show_results as show_results
    from .timestamps import TimeStamper as TimeStamper

    __version__: str

_HOMES = {"profile": "decorator", "LineProfiler": "line_profiler", "show_results": "table",
          "memory_usage": "memory", "Counter": "counter", "HelperError": "counter",
          "HelperMissing": "counter", "TimeStamper": "timestamps",
          "heap": "heaps", "HeapReport": "heaps", "HeapWatch": "heaps", "FlameGraph": "flames", "FlameWatch": "flames",
          "memplot": "memplots", "MemoryPlot": "memplots", "PlotWatch": "memplots",
          "LogFile": "logfile", "MemoryProfilerMagics": "magics", "CodeMap": "code_map",
          "choose_backend": "_compatible", "MemitResult": "_compatible", "MemTimer": "_compatible",
          "exec_with_profiler": "_compatible", "run_module_with_profiler": "_compatible",
          "has_tracemalloc": "_compatible"}

# `import *` must work where IPython isn't.
__all__ = sorted(set(_HOMES) - {"MemoryProfilerMagics"}) + ["load_ipython_extension"]


if not TYPE_CHECKING:  # or checkers would take any name for one that there is
    def __getattr__(name: str) -> object:
        # What is not used is not imported: imports are memory, too.
        if name == "__version__":  # in the source tree, VERSION is a link to the project's
            path = __file__.rpartition("/")[0] + "/VERSION"
            globals()[name] = __loader__.get_data(path).decode().strip()
            return globals()[name]
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError("module %r has no attribute %r" % (__name__, name))
        value = getattr(importlib.import_module("." + home, __name__), name)
        globals()[name] = value
        return value


def __dir__() -> "List[str]":
    return sorted(set(globals()) | set(_HOMES) | {"__version__"})


def load_ipython_extension(ipython: "Any") -> None:
    """What `%load_ext pymem_bpf` calls: registers the magics.

    ipython: the InteractiveShell. A second call is no error. ImportError: this Python is not supported."""
    from .magics import load_ipython_extension as load
    load(ipython)
