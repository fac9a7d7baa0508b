# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Finds the interpreters and what they can import, once for the session."""
import functools
import json
import os
import subprocess
import sys

import pytest

import harness

sys.path.insert(0, os.path.join(harness.PROJECT, "tests"))
import attacks  # noqa: E402
import matrix  # noqa: E402

PROBE = """
import json, sys
has = []
for name in ("numpy", "greenlet", "_xxsubinterpreters", "_interpreters"):
    try:
        __import__(name)
        has.append(name)
    except ImportError:
        pass
print(json.dumps([list(sys.version_info[:3]), has, "t" in sys.abiflags]))
"""


class Python:
    def __init__(self, name, command):
        self.name, self.command = name, command
        said = subprocess.run(command + ["-c", PROBE], check=True, stdout=subprocess.PIPE,
                              env=harness.environment(), timeout=harness.PATIENCE).stdout
        version, self.modules, self.free_threaded = json.loads(said.decode())
        self.version = tuple(version)


@functools.lru_cache(maxsize=None)
def pythons():
    return [Python(*pair) for pair in harness.list_pythons()]


@functools.lru_cache(maxsize=None)
def probed():
    """Names of the interpreters with line probes, by what the program itself says of them."""
    return {name for name, row in rows().items() if "lines" in row.get("engines", [])}


@functools.lru_cache(maxsize=None)
def called():
    """Names of those with function probes, likewise."""
    return {name for name, row in rows().items() if "functions" in row.get("engines", [])}


@functools.lru_cache(maxsize=None)
def rows():
    """What `ps` says of each interpreter, by name, and which probes its file has."""
    found = {}
    for python in pythons():
        with harness.Target(python.command, "idle") as target:
            said = subprocess.run([harness.TOOL, "ps", "--format", "json"], check=True,
                                  stdout=subprocess.PIPE).stdout
            row = [r for r in json.loads(said.decode())["processes"] if r["pid"] == target.pid]
            found[python.name] = dict(row[0] if row else {}, probes=matrix.probes_of(target.pid))
    return found


def facts():
    """For the table of the matrix; the version is what the interpreter itself says."""
    return {p.name: dict({key: rows()[p.name].get(key) for key in
                          ("build", "debug", "free_threaded", "probes")},
                         version="%d.%d.%d" % p.version) for p in pythons()}


def old_pythons():
    """Those whose frames are plain objects, as programs/hostile.py spoils them."""
    return [p for p in pythons() if (3, 8) <= p.version < (3, 11)]


def first_oldest_newest():
    """All of them; these come first."""
    by_version = sorted(pythons()[1:], key=lambda p: p.version)
    return (pythons()[:1] + by_version[:1] + by_version[:0:-1]) if by_version else pythons()


def pytest_configure(config):
    config.addinivalue_line("markers", "host: it looks at all processes of the host, so tests/run has no other run beside it")
    matrix.configure(config, "e2e", facts)
    attacks.configure(config, "e2e")


def pytest_collection_modifyitems(config, items):
    matrix.select(config, items)


def pytest_generate_tests(metafunc):
    """`python`: every interpreter. `python_program`: every program each can run. `line_python`,
    `line_program`: the same of those with line probes; `plain_python`: those without. `function_python`,
    `walked_python`: those with function probes, those without; `some_function_python`: one is enough.
    `some_python`, `old_python` (3.8 to 3.10): one is enough, but for the matrix. `few_python`: the first, the
    oldest and the newest are, where little depends on how an interpreter keeps its frames."""
    for fixture in ("python_program", "line_program"):
        if fixture not in metafunc.fixturenames:
            continue
        programs = metafunc.module.PROGRAMS
        pairs = [(python, name) for python in pythons() for name, needs in programs.items()
                 if (not needs or needs & set(python.modules))
                 and (fixture == "python_program" or python.name in probed())]
        metafunc.parametrize(fixture, pairs, ids=["%s-%s" % (p.name, n) for p, n in pairs])
    if "python" in metafunc.fixturenames:
        metafunc.parametrize("python", pythons(), ids=lambda p: p.name)
    for fixture, choice, most in (("some_python", pythons, 1), ("old_python", old_pythons, 1),
                                  ("few_python", first_oldest_newest, 3)):
        if fixture in metafunc.fixturenames:
            chosen = choice() if matrix.FOLDER else choice()[:most]
            metafunc.parametrize(fixture, chosen, ids=lambda p: p.name)
    for fixture, names, wanted, most in (
            ("line_python", probed, True, None), ("plain_python", probed, False, None),
            ("function_python", called, True, None), ("walked_python", called, False, None),
            ("some_function_python", called, True, 1)):
        if fixture in metafunc.fixturenames:
            chosen = [p for p in pythons() if (p.name in names()) == wanted]
            chosen = chosen if matrix.FOLDER else chosen[:most]
            metafunc.parametrize(fixture, chosen, ids=lambda p: p.name)


@pytest.fixture(scope="session", autouse=True)
def data_folder():
    os.makedirs(harness.DATA, exist_ok=True)


@pytest.fixture
def system():
    """One interpreter for tests that are not about interpreters."""
    return pythons()[0]
