# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Resident memory, line by line, as the kernel counts it.

For scripts: profile (a decorator), LineProfiler, memory_usage; python -m pymem_bpf SCRIPT. For
IPython: %load_ext pymem_bpf gives %memit and %mprun. What was written for memory_profiler runs
with the import changed.
"""
import importlib

__version__ = "0.1.0"

_HOMES = {"profile": "decorator", "LineProfiler": "line_profiler", "show_results": "table",
          "memory_usage": "memory", "Counter": "counter", "HelperError": "counter",
          "HelperMissing": "counter", "TimeStamper": "timestamps",
          "LogFile": "logfile", "MemoryProfilerMagics": "magics", "CodeMap": "code_map",
          "choose_backend": "_compatible", "MemitResult": "_compatible", "MemTimer": "_compatible",
          "exec_with_profiler": "_compatible", "run_module_with_profiler": "_compatible",
          "has_tracemalloc": "_compatible"}

# `import *` must work where IPython isn't.
__all__ = sorted(set(_HOMES) - {"MemoryProfilerMagics"}) + ["load_ipython_extension"]


def __getattr__(name):
    # What is not used is not imported: imports are memory, too.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    value = getattr(importlib.import_module("." + home, __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_HOMES))


def load_ipython_extension(ipython):
    """%load_ext pymem_bpf."""
    from .magics import load_ipython_extension as load
    load(ipython)
