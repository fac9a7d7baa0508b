# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds the extension with setuptools alone, offline. All else about the package is in pyproject.toml;
how the extension is compiled is in extension.py."""
import os
import runpy
import sys

import setuptools
from setuptools.command.sdist import sdist

HERE = os.path.dirname(os.path.abspath(__file__))
os.chdir(HERE)
extension = runpy.run_path(os.path.join(HERE, "extension.py"))

# What belongs to the package and lies around it. A source distribution has it beside this file.
AROUND = [extension["SHARED_HEADER"], "LICENSE", "LICENSES/GPL-2.0-only.txt", "LICENSES/BSD-2-Clause.txt"]
ROOT = extension["root"]()
if ROOT is None:
    sys.exit("pymem_bpf: %s is neither here nor above: build in the project's tree, or from a source "
             "distribution made there (setup.py sdist)" % AROUND[0])
if extension["refusal"]() is not None:
    sys.exit(extension["refusal"]())
# Older ones ignore [project] and would build a package without a name.
if int(setuptools.__version__.split(".")[0]) < 61:
    sys.exit("pymem_bpf: setuptools %s does not read [project] in pyproject.toml; install setuptools 61 or "
             "newer" % setuptools.__version__)
STABLE = extension["is_stable"]()


class SourceDistribution(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for name in AROUND:
            self.mkpath(os.path.join(base_dir, os.path.dirname(name)))
            self.copy_file(os.path.join(ROOT, name), os.path.join(base_dir, name))


setuptools.setup(
    ext_modules=[setuptools.Extension(
        "pymem_bpf._lines",
        extension["sources"](),
        depends=extension["headers"](),
        include_dirs=[os.path.join(ROOT, "include")],
        extra_compile_args=extension["FLAGS"],
        define_macros=extension["macros"](),
        py_limited_api=STABLE,
    )],
    cmdclass={"sdist": SourceDistribution},
    options={"bdist_wheel": {"py_limited_api": "cp312"}} if STABLE else {},
)
