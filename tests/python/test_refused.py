# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Interpreters that the package does not support say so by name, both when it is built and when it is imported."""
import os
import subprocess

from conftest import PACKAGE, PROJECT, build


def test_refused(refused_python):
    python = refused_python
    names = "Python 3.8 or newer"
    assert names in (build(python.command) or "it was built")
    said = subprocess.run(python.command + ["-c", "import pymem_bpf.line_profiler"],
                          env=dict(os.environ, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT)
    last = said.stderr.decode().strip().splitlines()[-1:]
    assert said.returncode == 1 and last and last[0].startswith("ImportError"), said.stderr.decode()
    assert names in last[0]
