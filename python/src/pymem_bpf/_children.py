# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The builtin `profile` in processes that multiprocessing starts.

Forked children have the builtin. With spawn and forkserver, multiprocessing starts a new interpreter, which
runs the main module again: there `@profile` would be an unknown name. So do the packages that were made of
it (billiard, multiprocess). All of these are started by one call, _posixsubprocess.fork_exec(), with a line of
code behind -c. While the builtin is there, a step is put in front
of that line. It makes this file's Idle the builtin, in that child and in those that the child starts. Nothing
is put into the environment or on disk, and other commands are not touched.

Idle profiles nothing: children of a pool are killed in the end, and would have nowhere to show tables.
The parent says so (note()).

In a child this file is run by its path, without the package: it imports nothing of it.
"""
import builtins
import contextlib
import os
import re

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, Sequence

_posixsubprocess: "Any"
try:
    import _posixsubprocess
except ImportError:  # no such start methods either
    _posixsubprocess = None

__all__ = ["Idle", "begin", "builtin_profile", "note"]

NOTE = ("what ran in processes that multiprocessing started anew (spawn, forkserver) was not profiled and "
        "is in no table; `from pymem_bpf import profile` in the program shows calls in every process")

#: How that code begins, whatever the package is called; from 3.14 on, with an import of sys. Behind the -c of a
#: shell it may be anywhere.
STARTS = re.compile(r"(?:import sys; )?from [\w.]+\.(?:spawn import spawn_main|forkserver import main)\b")
MISSING = object()

#: What is put behind -c, in front of multiprocessing's own code. If this file can't be read, @profile does
#: nothing.
STEP = """\
def _step(path):
    import builtins
    try:
        with open(path, encoding="utf-8") as f:
            space = {"__name__": "pymem_bpf._children", "__file__": path}
            exec(compile(f.read(), path, "exec"), space)
        space["begin"](space["Idle"]())
    except Exception:
        builtins.profile = lambda f=None, *_, **__: f if f is not None else lambda g: g
_step(%r)
del _step
"""


class Idle:
    """Stands in for the profiler: what it decorates or runs stays as it is."""

    def __call__(self, function: "Any" = None, *_: object, **__: object) -> "Any":
        return self if function is None else function

    def wrap_function(self, function: "Any") -> "Any":
        return function

    def runcall(self, function: "Callable[..., Any]", *args: "Any", **kwargs: "Any") -> "Any":
        return function(*args, **kwargs)

    def run(self, statement: "Any") -> "Idle":
        import __main__
        return self.runctx(statement, __main__.__dict__, __main__.__dict__)

    def runctx(self, statement: "Any", globals: "Dict[str, Any]", locals: "Any") -> "Idle":
        exec(statement, globals, locals)
        return self

    @contextlib.contextmanager
    def timestamp(self, name: str = "<block>") -> "Iterator[None]":
        yield

    def results(self) -> "List[Any]":
        return []

    def _nothing(self, *_: object, **__: object) -> None:
        pass

    add_function = add_code = enable = disable = enable_by_count = disable_by_count = _nothing
    __exit__ = _nothing

    def __enter__(self) -> "Idle":
        return self


_started: "int | None" = None  # PID of the process that started such interpreters


def _with_step(arguments: "Sequence[Any]") -> "Sequence[Any]":
    """The arguments of a new interpreter, with the step if multiprocessing, or a copy of it, starts it."""
    found = list(arguments)
    for at, option in enumerate(found[:-1]):
        code = found[at + 1]
        if option in ("-c", b"-c") and isinstance(code, (str, bytes)):
            text = code if isinstance(code, str) else code.decode("utf-8", "surrogateescape")
            # A newer Python takes blanks before code away itself.
            if STARTS.match(text.lstrip()):
                text = STEP % __file__ + text.lstrip()
                found[at + 1] = text if isinstance(code, str) else text.encode("utf-8", "surrogateescape")
                return found
    return arguments


def _hook() -> "Callable[[], None]":
    """Puts a function in the place of fork_exec(). Returns a function that ends that."""
    before: "Any" = getattr(_posixsubprocess, "fork_exec", None)
    if before is None:
        return lambda: None

    def fork_exec(arguments: "Sequence[Any]", *rest: "Any", **kwargs: "Any") -> "Any":
        global _started
        changed = _with_step(arguments)
        if changed is not arguments:
            _started = os.getpid()
        return before(changed, *rest, **kwargs)

    def end() -> None:
        if _posixsubprocess.fork_exec is fork_exec:
            _posixsubprocess.fork_exec = before
    _posixsubprocess.fork_exec = fork_exec
    return end


def begin(profile: "Any") -> "Callable[[], None]":
    """Makes `profile` the builtin, here and in children. Returns a function that ends that."""
    before = getattr(builtins, "profile", MISSING)
    setattr(builtins, "profile", profile)
    unhook = _hook()

    def end() -> None:
        unhook()
        if before is not MISSING:
            setattr(builtins, "profile", before)
        elif hasattr(builtins, "profile"):
            delattr(builtins, "profile")
    return end


def note() -> None:
    """Says, once, what the tables of this process lack."""
    if _started == os.getpid():
        from ._counting import note_once
        note_once("@profile", "children", NOTE)


@contextlib.contextmanager
def builtin_profile(profile: "Any") -> "Iterator[None]":
    """A context in which `profile` is among the builtins, of children too."""
    end = begin(profile)
    try:
        yield
    finally:
        end()
        note()
