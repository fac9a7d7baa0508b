# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs pymem_bpf.timestamps as a script, by the path of this file.

For `mprof run` with another interpreter: `-m` would need the package on its path, and with the package
the folder it is installed in, whose other packages may be of another version of Python.
"""
import importlib.util
import os
import sys


def load():
    """The package of this folder as `pymem_bpf`; nothing else of the folder gets importable."""
    here = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        "pymem_bpf", os.path.join(here, "__init__.py"), submodule_search_locations=[here])
    package = importlib.util.module_from_spec(spec)
    sys.modules["pymem_bpf"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    load()
    from pymem_bpf import timestamps
    timestamps.main()
