#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Each public name of the Python package has a docstring and type hints, and mypy accepts the hints.

Public is what can be reached without a leading underscore: functions, classes and their methods in modules
without one, and the names of pymem_bpf itself.
"""
import ast
import os
import re
import subprocess
import tempfile
import unittest

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = os.path.join(PROJECT, "python")
PACKAGE = os.path.join(PYTHON, "src", "pymem_bpf")
GIVEN_BY = {"__init__.py", "_compatible.py"}  # public names in files that have an underscore
RIGHT = """
from pymem_bpf import Counter, LineProfiler, memory_usage, profile
usage: float = memory_usage(-1, max_usage=True)
rows = [row.increment_bytes for result in LineProfiler().results() for row in result.lines.values()]
reveal_type(rows)
def peak(counter: Counter) -> int:
    return counter.peak_bytes
"""
WRONG = {"memory_usage(-1, interval='1')": "incompatible type", "Counter().peak": "no attribute",
         "LineProfiler(function=1)": "call-arg", "import pymem_bpf; pymem_bpf.nothing": "no attribute"}


def parsed(name):
    with open(os.path.join(PACKAGE, name), encoding="utf-8") as f:
        return ast.parse(f.read(), name)


def public_definitions(name):
    """(full name, node) of functions, classes and methods; methods by which a class is called, too."""
    found = []

    def look(body, prefix):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                if not node.name.startswith("_") or (prefix and node.name in ("__init__", "__call__")):
                    found.append((prefix + node.name, node))
                    if isinstance(node, ast.ClassDef):
                        look(node.body, prefix + node.name + ".")
    look(parsed(name).body, name + ": ")
    return [one for one in found if not re.search(r": _|\._[a-z]", one[0])]


def modules():
    return sorted(name for name in os.listdir(PACKAGE)
                  if name.endswith(".py") and (name[0] != "_" or name in GIVEN_BY))


def all_public():
    return [one for name in modules() for one in public_definitions(name)]


def unhinted(node):
    """Names of arguments without a hint, and "return"."""
    arguments = node.args
    every = list(arguments.posonlyargs) + arguments.args + arguments.kwonlyargs
    every += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    bare = [one.arg for one in every if one.annotation is None and one.arg not in ("self", "cls")]
    return bare + (["return"] if node.returns is None else [])


def run_mypy(*words):
    done = subprocess.run(["mypy", "--config-file", os.path.join(PYTHON, "pyproject.toml"), *words],
                          cwd=PYTHON, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode()


class PublicNames(unittest.TestCase):
    def test_there_are_some(self):
        self.assertGreater(len(all_public()), 90)

    def test_docstrings(self):
        self.assertEqual([], [name for name, node in all_public() if not name.endswith(".__init__")
                              and not name.endswith(".__call__") and not ast.get_docstring(node)])

    def test_hints(self):
        self.assertEqual([], [(name, unhinted(node)) for name, node in all_public()
                              if not isinstance(node, ast.ClassDef) and unhinted(node)])

    def test_what_is_given_lazily_is_known_to_checkers(self):
        homes = checked = None
        for node in parsed("__init__.py").body:
            if isinstance(node, ast.Assign) and node.targets[0].id == "_HOMES":
                homes = {name: "." + home for name, home in ast.literal_eval(node.value).items()}
            if isinstance(node, ast.If) and checked is None:
                checked = {alias.name: "." + one.module for one in node.body
                           if isinstance(one, ast.ImportFrom) and one.level for alias in one.names}
        self.assertEqual(homes, checked)


class Mypy(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pymem-bpf-test-")
        self.cache = os.path.join(self.folder.name, "cache")

    def tearDown(self):
        self.folder.cleanup()

    def check(self, text):
        path = os.path.join(self.folder.name, "program.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return run_mypy("--cache-dir", self.cache, path)

    def test_package_and_programs(self):
        """One cache for all: the package is read once."""
        status, said = run_mypy("--cache-dir", self.cache)
        self.assertEqual(0, status, said)
        status, said = self.check(RIGHT)
        self.assertEqual(0, status, said)
        self.assertRegex(said, r'Revealed type is "builtins.list\[builtins.int')
        for line, problem in WRONG.items():
            status, said = self.check(RIGHT + line + "\n")
            self.assertEqual(1, status, said)
            self.assertIn(problem, said)

    def test_nothing_is_let_be(self):
        """Strict means all of its checks, in all modules, and a line that is let be says why."""
        with open(os.path.join(PYTHON, "pyproject.toml"), encoding="utf-8") as f:
            section = f.read().partition("[tool.mypy]\n")[2]
        names = re.findall(r"^(\w+) =", section, re.M)
        self.assertEqual(["mypy_path", "packages", "python_version", "strict"], sorted(names))
        self.assertIn("strict = true", section)
        self.assertNotIn("\n[", section)
        for folder, _, files in os.walk(os.path.join(PYTHON, "src")):
            for name in [name for name in files if name.endswith((".py", ".pyi"))]:
                with open(os.path.join(folder, name), encoding="utf-8") as f:
                    for line in f:
                        if "type: ignore" in line or "mypy:" in line:
                            self.assertRegex(line, r"# type: ignore\[[a-z-]+\] # \w.{9}")


if __name__ == "__main__":
    unittest.main()
