# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Interpreters that the package does not support say so by name, both when it is built and when it is imported."""
import os
import subprocess

import pytest
from conftest import PACKAGE, PROJECT, build


def test_refused(refused_python):
    python = refused_python
    names = "Python 3.8 or newer" if python.version < (3, 8) else "free-threaded builds of Python"
    assert names in (build(python.command) or "it was built")
    said = subprocess.run(python.command + ["-c", "import pymem_bpf.line_profiler"],
                          env=dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT)
    last = said.stderr.decode().strip().splitlines()[-1:]
    assert said.returncode == 1 and last and last[0].startswith("ImportError"), said.stderr.decode()
    assert names in last[0]


@pytest.mark.parametrize("abiflags, gil", [("t", True), ("t", False), ("td", True)])
def test_free_threaded_whether_or_not_the_gil_is_on(abiflags, gil):
    """PYTHON_GIL=1 changes nothing of the layout of objects. An interpreter that says of itself what such a
    build says: where there is none, what asks it is tested all the same."""
    pretend = ("import sys, runpy\nsys.abiflags = %r\nsys._is_gil_enabled = lambda: %r\nsys.version_info = "
               "(3, 13, 0, 'final', 0)\n" % (abiflags, gil))
    for code, folder in (
            ("sys.argv = ['setup.py', '-q', 'build_ext', '--dry-run']\nrunpy.run_path('setup.py')",
             os.path.join(PROJECT, "python")),
            ("sys.argv = ['build-extension']\n"
             "runpy.run_path('tools/build-extension', run_name='__main__')", PROJECT),
            ("sys.path.insert(0, 'python/src')\nimport pymem_bpf.line_profiler", PROJECT)):
        said = subprocess.run(["/usr/bin/python3", "-c", pretend + code], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=folder,
                              env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        assert said.returncode == 1, (code, said)
        assert said.stderr.decode().strip().endswith(
            "pymem_bpf: free-threaded builds of Python are not supported yet"), (code, said)
