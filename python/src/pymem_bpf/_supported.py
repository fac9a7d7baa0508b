# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which interpreters the package is for, and with which interface its extension is built for them.

The one place where that is decided: modules ask when they are imported; python/extension.py, by which the
extension is built, runs this file by its path. So it imports nothing of the package and is valid in versions
that are refused.
"""
import sys

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import List


def refusal() -> "str | None":
    """Why this interpreter is not supported; None if it is."""
    if sys.version_info < (3, 8):
        return "pymem_bpf needs Python 3.8 or newer; this is %d.%d" % sys.version_info[:2]
    return None


def require() -> None:
    """ImportError, if this interpreter is not supported."""
    if refusal() is not None:
        raise ImportError(refusal())


def has_monitoring() -> bool:
    """Is the extension told of lines by sys.monitoring, and not by a frame evaluation function?"""
    return sys.version_info >= (3, 12)


def is_free_threaded() -> bool:
    """Is this a free-threaded build? Its objects have another layout, whether or not the GIL is on (PYTHON_GIL=1)."""
    return "t" in sys.abiflags


def has_stable_abi() -> bool:
    """Is the extension built with the stable ABI (one build for all versions), and not for each version?
    Free-threaded builds have none before 3.15, and none that others share."""
    return has_monitoring() and not is_free_threaded()


def foreign(name: str, path: "List[str]") -> "str | None":
    """The file that an import of the extension would load though it is for other interpreters; None if there is no
    such one. Free-threaded builds of 3.13 would take an extension with the stable ABI, and crash."""
    if not is_free_threaded():
        return None
    from importlib.machinery import PathFinder
    found = PathFinder.find_spec(name, path)
    return found.origin if found and (found.origin or "").endswith(".abi3.so") else None
