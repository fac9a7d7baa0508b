# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Keeps the program's modules and those of the package apart, in one process.

`python -m pymem_bpf` imports modules of the standard library before the program begins. If the program has
a module of such a name beside it (queue.py, code.py), it must get its own, as under `python`. And the package
must not import the program's. So the package is imported while the program's folder is not on the path.
Before the program begins, modules that it would find in its own folder are taken out of sys.modules; code
that has imported them keeps them.

Modules that the interpreter loads by itself (os, io, site and what that imports) stay. They hide the
program's under `python`, too.
"""
import contextlib
import sys
import types
from importlib.machinery import FrozenImporter, PathFinder

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Set

# The names in sys.modules when we began, in order of import. None: this process runs no program for us.
_started: "List[str] | None" = None
_folder: "str | None" = None  # of the program
_ours: "Dict[str, types.ModuleType]" = {}  # modules that were forgotten


def path_is_restricted() -> bool:
    """Whether the interpreter was told to have no entry of the program's in sys.path (-I, -P)."""
    return bool(sys.flags.isolated or getattr(sys.flags, "safe_path", False))


@contextlib.contextmanager
def importing(started: "List[str]") -> "Iterator[None]":
    """A context in which the package is imported. started: sys.modules before anything of ours was."""
    global _started
    _started = list(started)
    first = [] if path_is_restricted() else [sys.path.pop(0)]
    try:
        yield
    finally:
        sys.path[:0] = first


def _loaded_by_python(started: "List[str]", by_runpy: bool) -> "Set[str]":
    """The names of modules that the interpreter has loaded for a script, or for what runpy runs."""
    last = "runpy" if by_runpy else "site"
    # A module comes after those that it imports. Without site (-S), only what is always loaded counts.
    return set(started[:started.index(last if last in started else "io") + 1])


def _is_in(name: str, folder: str) -> bool:
    """Would `import` find another module of this name in the folder?"""
    if name in sys.builtin_module_names or FrozenImporter.find_spec(name) is not None:
        return False
    found = PathFinder.find_spec(name, [folder])
    if found is None or not found.has_location:
        return False  # a folder without __init__.py comes last
    return bool(getattr(getattr(sys.modules[name], "__spec__", None), "origin", None) != found.origin)


def _forget_what_is_in(folder: str, known: "Set[str]") -> None:
    for name in {name.partition(".")[0] for name in list(sys.modules)} - known:
        if name in sys.modules and _is_in(name, folder):
            for part in [part for part in sys.modules if part == name or part.startswith(name + ".")]:
                _ours[part] = sys.modules.pop(part)


def forget(folder: str, by_runpy: bool) -> None:
    """Takes modules of ours that the program has in its own folder out of sys.modules, before it begins.
    folder: what is in front of its path. by_runpy: runpy runs it."""
    global _folder
    if _started is not None:
        _folder = folder
        _forget_what_is_in(folder, _loaded_by_python(_started, by_runpy) | {str(__package__), "__main__"})


@contextlib.contextmanager
def remembered() -> "Iterator[None]":
    """A context in which modules of the package can be imported while the program runs, or after its end."""
    if _folder is None:
        yield
        return
    before = dict(sys.modules)
    first = [sys.path.pop(0)] if sys.path[:1] == [_folder] else []
    sys.modules.update(_ours)
    try:
        yield
    finally:
        sys.path[:0] = first
        for name in _ours:
            sys.modules.pop(name, None)
        sys.modules.update((name, before[name]) for name in _ours if name in before)
        _forget_what_is_in(_folder, {name.partition(".")[0] for name in before})
