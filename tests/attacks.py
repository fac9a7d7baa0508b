# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attacks: what a test marks as one, and its outcome.

    @pytest.mark.attack("uprobes in other users' programs", "the file is replaced while it is opened")

Two sentences: what an attacker wants, and how it is tried. Tests in any folder of FOLDERS may have the
mark; their conftest.py calls configure(). If PYMEM_ATTACKS names a folder (make check-security), the
outcomes are written there for tests/attacks_table.py.
"""
import ast
import glob
import json
import os

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = ("security", "e2e", "stress")
OUTCOMES = os.environ.get("PYMEM_ATTACKS")


def marks_of(path):
    """{name of a test: (goal, how)} of one file, as written there."""
    with open(path, encoding="utf-8") as f:
        tree = ast.parse(f.read(), path)
    found = {}
    for node in ast.walk(tree):
        for call in getattr(node, "decorator_list", ()):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.attack":
                found[node.name] = tuple(ast.literal_eval(argument) for argument in call.args)
    return found


def marked():
    """{"folder/file.py::test": (goal, how)} of all attacks that there are."""
    found = {}
    for folder in FOLDERS:
        for path in sorted(glob.glob(os.path.join(HERE, folder, "test_*.py"))):
            for name, mark in marks_of(path).items():
                found["%s/%s::%s" % (folder, os.path.basename(path), name)] = mark
    return found


class Recorder:
    """Outcomes of the attacks of one group, each of its parameters by itself."""

    def __init__(self, group):
        self.group, self.outcomes = group, {}

    def pytest_collection_modifyitems(self, items):
        for item in items:
            mark = item.get_closest_marker("attack")
            if mark and len(mark.args) != 2:
                raise pytest.UsageError("%s: attack(goal, how) takes two sentences" % item.nodeid)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item):
        report = (yield).get_result()
        if not item.get_closest_marker("attack") or (report.when != "call" and report.passed):
            return
        test = "%s/%s::%s" % (self.group, os.path.basename(str(item.fspath)), item.originalname)
        kept = self.outcomes.setdefault(test, {})
        if kept.get(item.name) != "failed":
            kept[item.name] = report.outcome

    def pytest_sessionfinish(self):
        if OUTCOMES:
            os.makedirs(OUTCOMES, exist_ok=True)
            with open(os.path.join(OUTCOMES, self.group + ".json"), "w", encoding="utf-8") as f:
                json.dump(self.outcomes, f, indent=1)


def configure(config, group):
    config.addinivalue_line("markers", "attack(goal, how): what an attacker wants, and how it is tried")
    config.pluginmanager.register(Recorder(group), "attacks")
