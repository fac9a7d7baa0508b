# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which interpreters the package is for, and with which interface its extension is built for them.

The one place where that is decided: modules ask when they are imported; python/extension.py, by which the
extension is built, runs this file by its path. So it imports nothing of the package and is valid in versions
that are refused.
"""
import sys


def refusal() -> "str | None":
    """Why this interpreter is not supported; None if it is."""
    if sys.version_info < (3, 8):
        return "pymem_bpf needs Python 3.8 or newer; this is %d.%d" % sys.version_info[:2]
    # A flag of the build: its objects have another layout, whether or not the GIL is on (PYTHON_GIL=1).
    if "t" in sys.abiflags:
        return "pymem_bpf: free-threaded builds of Python are not supported yet"
    return None


def require() -> None:
    """ImportError, if this interpreter is not supported."""
    if refusal() is not None:
        raise ImportError(refusal())


def has_monitoring() -> bool:
    """Is the extension told of lines by sys.monitoring (stable ABI: one build for all versions), and not by
    a frame evaluation function (a build for each version)?"""
    return sys.version_info >= (3, 12)
