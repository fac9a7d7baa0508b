# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds the package with setuptools and a C compiler, nothing else. In the source tree:

  make python PYTHON=…       builds the extension in place (setup.py build_ext --inplace)
  pip wheel --no-deps --no-build-isolation python/

For 3.12 and later the extension uses the stable ABI: one wheel for all of them. The release is the
file VERSION of the tree; a copy of the package without the tree has it from its PKG-INFO.
"""
import os
import re
import sys

from setuptools import Extension, setup

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(HERE)
STABLE = sys.version_info >= (3, 12)
SOURCES = ["_lines.c", "_lines_codes.c", "_lines_engine.c", "_lines_eval.c", "_lines_monitor.c",
           "_lines_threads.c"]

os.chdir(HERE)
with open(os.path.join(TREE, "VERSION")) as f:
    version = f.read().strip()
with open("pymem_bpf/__init__.py") as f:
    stated = re.search(r'__version__ = "(.*)"', f.read()).group(1)
if stated != version:
    sys.exit("pymem_bpf/__init__.py states version %s, VERSION %s: make them equal" % (stated, version))
if hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled():
    sys.exit("free-threaded Python is not supported: the extension counts under the GIL")

setup(
    name="pymem-bpf",
    version=version,
    description="Line-level profiles of resident memory, from the kernel's own accounting",
    license="GPL-2.0-only OR BSD-2-Clause",
    python_requires=">=3.8",
    packages=["pymem_bpf"],
    ext_modules=[Extension(
        "pymem_bpf._lines",
        sources=["pymem_bpf/" + source for source in SOURCES],
        depends=["pymem_bpf/_lines.h", "../include/pymem_page.h"],
        include_dirs=["../include"],
        define_macros=[("Py_LIMITED_API", "0x030c0000")] if STABLE else [],
        extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
        libraries=["pthread"],
        py_limited_api=STABLE)],
    options={"bdist_wheel": {"py_limited_api": "cp312"}} if STABLE else {},
)
