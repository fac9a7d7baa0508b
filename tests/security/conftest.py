# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attacks of an ordinary user on a profiler that runs as root.

Each test repeats an attack. Its mark says what is attacked, and how:

    @pytest.mark.attack("uprobes in other users' programs", "the file is replaced while it is opened")

The marks and the outcomes make up the table in docs/SECURITY.md (tests/attacks.py).
"""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402

sys.path.insert(0, os.path.join(harness.PROJECT, "tests"))
import attacks  # noqa: E402


def pytest_configure(config):
    attacks.configure(config, "security")


@pytest.fixture(scope="session", autouse=True)
def data_folder():
    os.makedirs(harness.DATA, exist_ok=True)


@pytest.fixture(scope="session")
def system():
    """The command of an interpreter with line probes, if there is one: the system's, as a rule."""
    return harness.list_pythons()[0][1]
