#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tests of releases: that there is one version, which all texts have."""
import glob
import os
import re
import subprocess
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))


def read(*names):
    with open(os.path.join(PROJECT, *names), encoding="utf-8") as f:
        return f.read()


def make(*words):
    """What make prints."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "WERROR")}
    return subprocess.run(["make", "--no-print-directory", *words], cwd=PROJECT, env=env, stdout=subprocess.PIPE,
                          check=True).stdout.decode()


VERSION = read("VERSION").strip()
# What was measured names the version that was measured.
MEASURED = ["docs/BENCHMARKS.md"]


class Version(unittest.TestCase):
    """VERSION has it, and all that shows it follows."""

    def test_documents(self):
        """What is pasted from runs, and names of archives."""
        found = {}
        for path in glob.glob(os.path.join(PROJECT, "*.md")) + glob.glob(os.path.join(PROJECT, "docs", "*.[m8]*")):
            name = os.path.relpath(path, PROJECT)
            if name not in MEASURED:
                shown = re.findall(r"(?:pymem[-_]bpf[-_ ]v?|pymem_build_info\{version=\")(\d+\.\d+\.\d+)\b", read(name))
                found.update({name: set(shown)} if shown else {})
        self.assertIn("docs/INSTALL.md", found)
        self.assertEqual(found, dict.fromkeys(found, {VERSION}))

    def test_changelog_begins_with_it(self):
        self.assertRegex(re.search(r"^## .*$", read("CHANGELOG.md"), re.MULTILINE).group(),
                         r"^## %s \((\d{4}-\d\d-\d\d|not released)\)$" % re.escape(VERSION))

    def test_objects_that_have_it_are_built_again(self):
        """The Makefile names them: a program must not have the version of an earlier build."""
        user = os.path.join(PROJECT, "user")
        has = {os.path.relpath(path, user)[:-2] for path in glob.glob(os.path.join(user, "*", "*.[ch]"))
               if "PYMEM_VERSION" in read(path)}
        said = re.search(r"^VERSIONED := (.*)$", read("Makefile"), re.MULTILINE).group(1)
        self.assertEqual(set(said.split()), has)
        database = make("-pn", "print-documents")
        for name in has:
            self.assertRegex(database, r"(?m)^build/user/%s\.o: .*\bVERSION\b" % name)


if __name__ == "__main__":
    unittest.main()
