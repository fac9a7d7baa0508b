# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""@profile: prints the table of a function each time it returns."""
import functools
import threading

from ._calls import wrap_calls
from ._counting import Counting, note_once
from ._wrapping import decorate, mark
from .line_profiler import LineProfiler
from .table import show_results

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, TextIO

__all__ = ["profile"]

_thread = threading.local()


def profile(func: "Any" = None, stream: "TextIO | None" = None, precision: int = 1,
            backend: "str | None" = None) -> "Any":
    """Decorates a function, coroutine function or (async) generator function, so that each call
    prints which of its lines changed RSS by what: when it returns, raises, or is closed. What other
    threads run meanwhile, calls of the same function included, is not in it.

    Anything else with functions inside it (a class, a property, a static method, a cache, …) comes back as
    the same kind of object, with these functions decorated. What can't be decorated comes back as it is, and
    stderr says so once.

    stream: where to, a text stream; None: sys.stdout at that time. precision: digits after the point (int).
    backend: as LineProfiler's; ValueError, at once: there is none of that name. Without a function: returns
    the decorator. If nothing can count, or the table can't be written, stderr says so once and the function
    runs as it is, without a table: no call raises anything of ours. Calls may run in any number of
    threads.
    """
    if func is None:
        return functools.partial(profile, stream=stream, precision=precision, backend=backend)
    LineProfiler(backend=backend)  # a wrong backend is refused now, not at a call
    return decorate(func, functools.partial(_wrap, stream=stream, precision=precision, backend=backend))


def _show(profiler: "LineProfiler", stream: "TextIO | None", precision: int) -> None:
    """Prints the table. Errors of the stream do not reach the program."""
    if not profiler.begun or getattr(_thread, "shows", False):
        return  # not counted, or called by the stream that a table goes to
    _thread.shows = True
    try:
        show_results(profiler, stream=stream, precision=precision)
    except Exception as e:
        note_once("@profile", "unwritten", "a table can't be written (%s: %s)" % (type(e).__name__, e))
    finally:
        _thread.shows = False


class _ShownCall(Counting):
    """One call, with a profiler of its own, whose table is printed at the end."""

    __slots__ = ("stream", "precision")

    def __init__(self, profiler: "LineProfiler", stream: "TextIO | None", precision: int) -> None:
        super().__init__(profiler)
        self.stream, self.precision = stream, precision

    def end(self) -> None:
        _show(self.profiler, self.stream, self.precision)


class _Shown:
    """What wrap_calls() does at each call of a function."""

    __slots__ = ("function", "stream", "precision", "backend")

    def __init__(self, function: "Any", stream: "TextIO | None", precision: int,
                 backend: "str | None") -> None:
        self.function, self.stream, self.precision, self.backend = function, stream, precision, backend

    def __call__(self) -> "_ShownCall":
        profiler = LineProfiler(self.function, backend=self.backend, own_thread=True)
        return _ShownCall(profiler, self.stream, self.precision)


def _wrap(function: "Any", stream: "TextIO | None", precision: int, backend: "str | None") -> "Any":
    LineProfiler(function, backend=backend)  # TypeError: it has no lines
    return mark(wrap_calls(function, _Shown(function, stream, precision, backend)), function)
