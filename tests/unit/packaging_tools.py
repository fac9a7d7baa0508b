#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tests of what installs and packs: tools/install-package, tools/pack-dist, and what the Makefile installs and
releases."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))


def write(folder, name, text=""):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def files(folder):
    """All that is there but folders, and folders that are empty, relative to it."""
    return sorted(os.path.relpath(os.path.join(path, name), folder) for path, folders, names in os.walk(folder)
                  for name in names + [one for one in folders if not os.listdir(os.path.join(path, one))])


class InstallPackage(unittest.TestCase):
    """It removes what it has installed, and nothing else."""
    INFO = "site/pymem_bpf-1.0.dist-info"
    OWN = ["../bin/pymem-mprof", "pymem_bpf/__init__.py", "pymem_bpf/native/x.h", "pymem_bpf-1.0.dist-info/INSTALLER",
           "pymem_bpf-1.0.dist-info/licenses/LICENSES/a.txt", "pymem_bpf-1.0.dist-info/RECORD"]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def install(self, installer, record=OWN):
        for name in self.OWN:
            write(self.root, os.path.normpath("site/" + name))
        write(self.root, "site/pymem_bpf/__pycache__/x.pyc")
        write(self.root, self.INFO + "/INSTALLER", installer + "\n")
        write(self.root, self.INFO + "/RECORD", "".join("%s,sha256=x,1\n" % name for name in record))

    def run_tool(self, *words):
        """(status, what it says on standard error)"""
        done = subprocess.run([sys.executable, "-B", os.path.join(PROJECT, "tools", "install-package"), *words, "/site", "/bin"],
                              env=dict(os.environ, DESTDIR=self.root + "/"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.stdout, b"")
        return done.returncode, done.stderr.decode()

    def test_remove(self):
        self.install("make")
        write(self.root, "site/pymem_bpf_other/x.py")
        write(self.root, "bin/other")
        self.assertEqual(self.run_tool("--remove"), (0, ""))
        self.assertEqual(files(self.root), ["bin/other", "site/pymem_bpf_other/x.py"])
        self.assertEqual(self.run_tool("--remove"), (0, ""))

    def test_what_is_not_of_make_stays_in_dist_info(self):
        self.install("make")
        write(self.root, self.INFO + "/mine")
        status, said = self.run_tool("--remove")
        self.assertEqual(status, 0)
        self.assertIn("is kept: there are files in it that were not installed by make", said)
        self.assertEqual(files(os.path.join(self.root, "site")), [self.INFO[5:] + "/mine"])

    def test_of_another(self):
        """It is named, it stays, and nothing is installed over it."""
        for installer, name, advice in (("pip", "pip", "pip uninstall pymem-bpf"), ("", "an unknown installer", "remove it")):
            self.install(installer)
            before = files(self.root)
            status, said = self.run_tool("--remove")
            self.assertEqual(status, 0)
            self.assertIn("pymem_bpf-1.0.dist-info was installed by %s: %s" % (name, advice), said)
            status, said = self.run_tool()
            self.assertEqual(status, 1)
            self.assertIn("was installed by %s: %s" % (name, advice), said)
            self.assertEqual(files(self.root), before)

    def test_of_the_distribution(self):
        """Packages have no RECORD."""
        self.install("make")
        os.unlink(os.path.join(self.root, self.INFO, "RECORD"))
        before = files(self.root)
        for words, status in ((("--remove",), 0), ((), 1)):
            done, said = self.run_tool(*words)
            self.assertEqual(done, status)
            self.assertIn("was installed by a package of the distribution", said)
        self.assertEqual(files(self.root), before)

    def test_record_that_lists_others_files(self):
        for stray in ("../etc/passwd", "pymem_bpf-2.0.dist-info/x", "pymem_bpf", "pymem_bpf_other/x.py", "pymem_bpf/native",
                      "/etc/hostname"):
            with self.subTest(stray):
                self.install("make", self.OWN + [stray])
                before = files(self.root)
                status, said = self.run_tool("--remove")
                self.assertEqual(status, 1)
                self.assertIn("which is not of this package: nothing of it is removed", said)
                self.assertEqual(files(self.root), before)


if __name__ == "__main__":
    unittest.main()
