# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs pymem_bpf.timestamps as a script, by the path of this file.

For `mprof run` with another interpreter: `-m` would need the package on its path, and with the package
the folder it is installed in, whose other packages may be of another version of Python. An interpreter that
the package does not support runs the program, too, without FUNC lines; so this file is valid Python 2.
"""
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List


def load(started):
    # type: (List[str]) -> Any
    """The module timestamps of this folder's package; nothing else of the folder becomes importable. The package
    is named `pymem_bpf`, unless this interpreter finds another of that name: that one is the program's.
    started: sys.modules before anything was imported."""
    import importlib.util
    here = os.path.dirname(os.path.abspath(__file__))
    origin = os.path.join(here, "__init__.py")
    found = importlib.util.find_spec("pymem_bpf")
    theirs = found is not None and (found.origin is None or
                                    os.path.realpath(found.origin) != os.path.realpath(origin))
    name = "_pymem_bpf_of_mprof" if theirs else "pymem_bpf"
    spec = importlib.util.spec_from_file_location(name, origin, submodule_search_locations=[here])
    assert spec is not None and spec.loader is not None  # of a file named .py
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    with importlib.import_module(name + "._alone").importing(started):
        return importlib.import_module(name + ".timestamps")


def run_without():
    # type: () -> None
    """Replaces this process by the program, as it would run without us: the words behind `--`, or from `-m` on."""
    import subprocess
    words = sys.argv[1:]
    start = min(words.index(word) + (word == "--") for word in ("-m", "--") if word in words)
    sys.stderr.write("mprof: no FUNC lines: pymem_bpf needs Python 3.8 or newer; this is %d.%d\n"
                     % sys.version_info[:2])
    sys.stderr.flush()
    flags = getattr(subprocess, "_args_from_interpreter_flags")()  # which type checkers don't know
    os.execv(sys.executable, [sys.executable] + flags + words[start:])


if __name__ == "__main__":
    if sys.version_info < (3, 8):
        run_without()
    modules = list(sys.modules)
    import importlib.util  # noqa: F401 -- while this folder is in front, which hides nothing
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = os.getcwd()  # not this folder; with -I or -P there is no such entry
    load(modules).main()
