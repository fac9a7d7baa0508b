# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How the C extension is compiled: read by setup.py (wheels) and tools/build-extension (in place).

From 3.12 on the extension uses the stable ABI: one build for all later versions. Before, the hooks that it
needs are no part of that: one build for each version. Free-threaded builds of Python have another ABI: there, too,
one build for each version.

Both run this file by its path, since builders need not have its folder in sys.path.
"""
import glob
import os
import runpy

HERE = os.path.dirname(os.path.abspath(__file__))
NATIVE = os.path.join("src", "pymem_bpf", "native")
SHARED_HEADER = os.path.join("include", "pymem_block.h")
FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden"]

_supported = runpy.run_path(os.path.join(HERE, "src", "pymem_bpf", "_supported.py"))
refusal = _supported["refusal"]
is_stable = _supported["has_stable_abi"]


def sources():
    """The C files, relative to this file's folder."""
    return sorted(os.path.relpath(path, HERE) for path in glob.glob(os.path.join(HERE, NATIVE, "_lines*.c")))


def headers():
    """Those beside the C files, relative to this file's folder."""
    return [os.path.join(NATIVE, "_lines.h")]


def macros():
    """What is defined on the command line, as (name, value)."""
    return [("Py_LIMITED_API", "0x030c0000")] if is_stable() else []


def root():
    """The folder that has the shared header: the project, or a source distribution. None if there is none."""
    return next((path for path in (HERE, os.path.dirname(HERE))
                 if os.path.exists(os.path.join(path, SHARED_HEADER))), None)
