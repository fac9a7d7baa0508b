# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs a program as `python` itself would: a script, a module, a folder or archive, standard input.

The program's __main__ is a module of its own that stays to the end of the process, so that threads,
atexit and pickling find it. What the program raises is shown as `python` shows it, by the program's own
sys.excepthook if it has one, without the frames of this package: they would be the first that a user
reads of a mistake of their own.
"""
import atexit
import builtins
import contextlib
import functools
import importlib.machinery
import importlib.util
import io
import linecache
import marshal
import os
import runpy
import sys
import threading
import types
import zipfile

from . import _alone, _children
from ._alone import path_is_restricted

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any, Callable, Dict, List, Type

STDIN = "-"
PYC_HEADER_BYTES = 16
# Files whose frames come before the program's own; importlib finds its code.
_OURS = (os.path.dirname(os.path.abspath(__file__)) + os.sep, runpy.run_path.__code__.co_filename,
         "<frozen importlib")


_script: "Dict[str, Any]" = {}  # the names of the program, if it is a script in a file


class ProgramMissing(Exception):
    """There is no such program. The text is what `python` says of it."""


def is_script(target: str) -> bool:
    """Whether a word names a file (a folder, an archive) and not a module, which a folder may be, too."""
    return target == STDIN or target.endswith(".py") or os.sep in target or os.path.isfile(target)


def find_script(name: str) -> "str | None":
    """Path of a script: as named, else in a folder of PATH, where memory_profiler looks, too; None."""
    if name == STDIN or os.path.exists(name):
        return name
    if os.sep in name:
        return None
    for folder in os.get_exec_path():
        path = os.path.join(folder, name)
        if folder and os.path.isfile(path):
            return path
    return None


class _LastExit:
    """The exit handler that runs last, since it is registered first. If `show` is set, it shows the results."""

    def __init__(self) -> None:
        self.show: "Callable[[], bool] | None" = None
        self.shown = True

    def __call__(self) -> None:
        if self.show is not None:
            self.shown = self.show()


def run_program(target: str, arguments: "List[str]", profile: "Callable[..., Any]", is_module: bool,
                show: "Callable[[], bool]") -> None:
    """As execute(), for a process that does nothing else. An uncaught exception is shown as the program's own.

    show: writes the results, False if that fails. It is called once, when the threads that python waits for
    have ended; not in a child that the program forked. The exit status is 1 if show() fails and the program's
    own would be 0."""
    owner = os.getpid()
    last = _LastExit()
    atexit.register(last)
    try:
        execute(target, arguments, profile, is_module)
    except ProgramMissing:
        raise
    except BaseException as e:
        # Of an uncaught exception, only the program's own frames are shown.
        if getattr(sys, "excepthook", None) is not None:
            sys.excepthook = _HookWithoutOurs(sys.excepthook)
        if os.getpid() == owner:
            if isinstance(e, SystemExit) and not e.code:
                _show_at_end(show, last)
            elif _workers_run():
                last.show = show
            elif _threads_run():
                # python shows the failure first, and waits for threads then.
                atexit.register(show)
            else:
                show()
        raise
    _without_file()
    if os.getpid() == owner:
        _show_at_end(show, last)


def _threads_run() -> bool:
    """Whether there are threads that python waits for before it ends."""
    return any(not thread.daemon and thread is not threading.main_thread()
               for thread in threading.enumerate())


def _workers_run() -> bool:
    """Whether there are workers of a ThreadPoolExecutor that an exit handler waits for (3.8). Later ones are
    threads that python waits for."""
    if sys.version_info >= (3, 9):
        return False
    workers = list(getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ()))
    return any(isinstance(worker, threading.Thread) and worker.is_alive() for worker in workers)


def _wait_for_threads() -> None:
    """Waits for threads, which python does next. Its own wait then has nothing to do."""
    shutdown: "Callable[[], None]" = getattr(threading, "_shutdown")  # type checkers don't know it
    try:
        shutdown()
    except BaseException as e:  # Ctrl-C: python tells sys.unraisablehook and goes on
        # Each version says this in its own words, so python itself must meet the exception, where it would
        # have. A generator that has ended raises what it is given to throw without a frame of ours.
        ended = (_ for _ in ())
        next(ended, None)
        e.__traceback__ = e.__traceback__ and e.__traceback__.tb_next
        setattr(threading, "_shutdown", functools.partial(ended.throw, e))


def _show_at_end(show: "Callable[[], bool]", last: _LastExit) -> None:
    if _threads_run():
        _wait_for_threads()
    if _workers_run():
        last.show = show
        with contextlib.suppress(BaseException):  # it has printed it, as at python's end
            atexit._run_exitfuncs()
        shown = last.shown
    else:
        shown = show()
    if not shown:
        sys.exit(1)


def execute(target: str, arguments: "List[str]", profile: "Callable[..., Any]", is_module: bool = False) -> None:
    """Runs a script or a module as __main__, with `profile` among the builtins. Raises what the program
    raises; ProgramMissing."""
    _children.begin(profile)
    try:
        if is_module or not is_script(target):
            _run_module(target, arguments)
        else:
            _run_script(target, arguments)
    finally:
        _children.note()


def _without_file() -> None:
    """Removes __file__, as python does when a script has ended: threads and exit handlers find none."""
    _script.pop("__file__", None)
    _script.pop("__cached__", None)


class _HookWithoutOurs:
    """sys.excepthook, told of the traceback from the program's first frame on."""

    def __init__(self, hook: "Callable[..., Any]") -> None:
        self.hook = hook

    def __call__(self, kind: "Type[BaseException]", value: BaseException,
                 traceback: "types.TracebackType | None") -> None:
        while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_OURS):
            traceback = traceback.tb_next
        # The interpreter's own hook prints the traceback that the exception has, not the one that it is given.
        try:
            self.hook(kind, value.with_traceback(traceback), traceback)
        finally:
            _without_file()


def _set_path(first: str) -> None:
    if not path_is_restricted():
        sys.path[0] = first


def _main_module(**attributes: "Any") -> "Dict[str, Any]":
    main = types.ModuleType("__main__")
    if sys.version_info < (3, 14):
        main.__dict__["__annotations__"] = {}
    main.__dict__.update(__builtins__=builtins, __spec__=None, __package__=None, **attributes)
    sys.modules["__main__"] = main
    return main.__dict__


def _absolute(path: str) -> str:
    """The path of a script, made absolute as python does it from 3.9 on."""
    if os.path.isabs(path) or sys.version_info < (3, 9):
        return path
    return os.path.join(os.getcwd(), path)


def _of_runpy(name: str) -> "Callable[..., Any]":
    """A private function of runpy, which type checkers don't know."""
    found: "Callable[..., Any]" = getattr(runpy, name)
    return found


def _run_module(name: str, arguments: "List[str]") -> None:
    sys.argv = ["-m"] + arguments
    _set_path(os.getcwd())
    if not path_is_restricted():
        _alone.forget(sys.path[0], by_runpy=True)
    try:
        name, spec, code = _of_runpy("_get_module_details")(name, ProgramMissing)
    except ProgramMissing as e:
        raise ProgramMissing(str(e)) from None
    sys.argv[0] = spec.origin
    _run_spec(spec, code)


def _run_spec(spec: "ModuleSpec", code: types.CodeType) -> None:
    namespace = _main_module(__file__=spec.origin, __cached__=spec.cached, __loader__=spec.loader)
    namespace.update(__spec__=spec, __package__=spec.parent)
    exec(code, namespace)


def _run_folder(path: str) -> None:
    """A folder or an archive with a __main__.py."""
    if path_is_restricted():
        sys.path.insert(0, path)
    else:
        sys.path[0] = path
    _alone.forget(path, by_runpy=True)
    try:
        _, spec, code = _of_runpy("_get_main_module_details")(ProgramMissing)
    except ProgramMissing as e:
        raise ProgramMissing(str(e)) from None
    _run_spec(spec, code)


def _run_script(target: str, arguments: "List[str]") -> None:
    global _script
    path = find_script(target)
    if path is None:
        raise ProgramMissing("can't open file %r: no such file" % target)
    sys.argv = [path] + arguments
    if path != STDIN and (os.path.isdir(path) or (os.path.isfile(path) and zipfile.is_zipfile(path))):
        _run_folder(_absolute(path))
        return
    _set_path("" if path == STDIN else os.path.dirname(os.path.realpath(path)))
    path = path if path == STDIN else _absolute(path)
    try:
        code = _code_of_stdin() if path == STDIN else _code_of(path)
    except OSError as e:
        raise ProgramMissing("can't open file %r: %s" % (path, e.strerror)) from None
    if not path_is_restricted():
        _alone.forget(sys.path[0], by_runpy=False)
    loader = importlib.machinery.SourceFileLoader("__main__", path)
    if path == STDIN:
        exec(code, _main_module(__loader__=loader))
        return
    _script = _main_module(__loader__=loader, __file__=path, __cached__=None)
    exec(code, _script)


def _code_of(path: str) -> types.CodeType:
    # Read once: what is no regular file (/dev/stdin, a pipe) gives its text one time only.
    with io.open_code(path) as f:
        data = f.read()
    if data.startswith(importlib.util.MAGIC_NUMBER):
        compiled: types.CodeType = marshal.loads(data[PYC_HEADER_BYTES:])
        return compiled
    return _compile(data, path)


def _code_of_stdin() -> types.CodeType:
    return _compile(sys.stdin.buffer.read(), "<stdin>")


def _compile(data: bytes, name: str) -> types.CodeType:
    code: types.CodeType = compile(data, name, "exec", dont_inherit=True)
    # Tables show the source that ran, wherever the program goes or whatever becomes of its file.
    # Lines as the compiler counts them: a form feed ends none.
    lines = io.StringIO(importlib.util.decode_source(data)).readlines()
    linecache.cache[name] = (len(data), None, lines, name)
    return code
