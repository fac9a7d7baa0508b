# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Line-level profiles of resident memory, from the kernel's own accounting.

  %load_ext pymem_bpf                     %memit, %mprun
  from pymem_bpf import profile           a decorator: each call prints a table
  python -m pymem_bpf script.py           the same for a program, `profile` among the builtins
  from pymem_bpf import memory_usage      of a call, of processes

Names and layouts are those of memory_profiler. Parts are loaded when they are first used: neither
IPython nor the extension module is needed for what doesn't use them.
"""
import importlib

__version__ = "0.1.0"

_PARTS = {
    "profile": "decorator",
    "LineProfiler": "line_profiler",
    "show_results": "table",
    "memory_usage": "memory",
    "Counter": "counter",
    "HelperError": "_helper",
    "HelperMissing": "_helper",
    "load_ipython_extension": "magics",
}

__all__ = sorted(_PARTS) + ["__version__"]


def __getattr__(name):
    try:
        part = _PARTS[name]
    except KeyError:
        raise AttributeError("module %r has no attribute %r" % (__name__, name)) from None
    value = getattr(importlib.import_module("." + part, __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_PARTS))
