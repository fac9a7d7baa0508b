# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds the package with setuptools alone, offline.

From 3.12 on the extension uses the stable ABI: one build for all later versions. Before, the hooks
that it needs are no part of that: one build for each version.
"""
import glob
import os
import runpy
import sys

from setuptools import Extension, setup
from setuptools.command.sdist import sdist

HERE = os.path.dirname(os.path.abspath(__file__))
os.chdir(HERE)

# What belongs to the package and lies around it. A source distribution has it beside this file.
AROUND = ["include/pymem_page.h", "LICENSE", "LICENSES/GPL-2.0-only.txt", "LICENSES/BSD-2-Clause.txt"]
ROOT = next((path for path in (os.curdir, os.pardir) if os.path.exists(os.path.join(path, AROUND[0]))),
            None)
if ROOT is None:
    sys.exit("pymem_bpf: %s is neither here nor above: build in the project's tree, or from a source "
             "distribution made there (setup.py sdist)" % AROUND[0])

with open(os.path.join(HERE, "src", "pymem_bpf", "__init__.py"), encoding="utf-8") as f:
    VERSION = next(line.split('"')[1] for line in f if line.startswith("__version__"))

SUPPORTED = runpy.run_path(os.path.join(HERE, "src", "pymem_bpf", "_supported.py"))
if SUPPORTED["refusal"]() is not None:
    sys.exit(SUPPORTED["refusal"]())
STABLE = SUPPORTED["has_monitoring"]()


class SourceDistribution(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for name in AROUND:
            self.mkpath(os.path.join(base_dir, os.path.dirname(name)))
            self.copy_file(os.path.join(ROOT, name), os.path.join(base_dir, name))


setup(
    name="pymem_bpf",
    version=VERSION,
    description="Resident memory of Python, line by line, as the kernel counts it",
    license="GPL-2.0-only OR BSD-2-Clause",
    python_requires=">=3.8",
    package_dir={"": "src"},
    packages=["pymem_bpf"],
    package_data={"pymem_bpf": []},
    ext_modules=[Extension(
        "pymem_bpf._lines",
        sorted(glob.glob("src/pymem_bpf/native/_lines*.c")),
        depends=["src/pymem_bpf/native/_lines.h"],
        include_dirs=[os.path.join(ROOT, "include")],
        extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden"],
        define_macros=[("Py_LIMITED_API", "0x030c0000")] if STABLE else [],
        py_limited_api=STABLE,
    )],
    cmdclass={"sdist": SourceDistribution},
    options={"bdist_wheel": {"py_limited_api": "cp312"}} if STABLE else {},
    zip_safe=False,
)

