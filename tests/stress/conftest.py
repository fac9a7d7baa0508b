# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Shares the harness of tests/e2e. Uses one interpreter, since the profiler is what is tested here."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

import harness  # noqa: E402

sys.path.insert(0, os.path.join(harness.PROJECT, "tests"))
import attacks  # noqa: E402


def pytest_configure(config):
    attacks.configure(config, "stress")


@pytest.fixture(scope="session", autouse=True)
def data_folder():
    os.makedirs(harness.DATA, exist_ok=True)


@pytest.fixture
def system():
    """The command of an interpreter with line probes, if there is one: the system's, as a rule."""
    return harness.list_pythons()[0][1]
