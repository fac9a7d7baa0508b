# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""@profile: prints the table of a function each time it returns."""
import functools
import threading

from ._counting import kind_of, note_once, wrap_async_generator
from ._wrapping import decorate, mark
from .line_profiler import LineProfiler
from .table import show_results

__all__ = ["profile"]

_thread = threading.local()


def profile(func=None, stream=None, precision=1, backend=None):
    """Decorates a function, coroutine function or (async) generator function, so that each call
    prints which of its lines changed RSS by what: when it returns, raises, or is closed. What other
    threads run meanwhile, calls of the same function included, is not in it.

    Of anything else with functions inside it (a class, a property, a static method, a cache, …) the
    same kind comes back with those decorated. What can't be is said once on stderr and comes back as
    it is.

    stream: where to; None: sys.stdout. precision: digits after the point. backend: as LineProfiler's.
    Without a function: returns the decorator. Where nothing can count, or the table can't be written,
    that is said once on stderr and the function runs as it is, without a table.
    """
    if func is None:
        return functools.partial(profile, stream=stream, precision=precision, backend=backend)
    LineProfiler(backend=backend)  # what can't be had is refused now, not at a call
    return decorate(func, functools.partial(_wrap, stream=stream, precision=precision, backend=backend))


def _show(profiler, stream, precision):
    """Whatever the stream does, the program doesn't see it."""
    if not profiler.begun or getattr(_thread, "shows", False):
        return  # not counted, or called by the stream that a table goes to
    _thread.shows = True
    try:
        show_results(profiler, stream=stream, precision=precision)
    except Exception as e:
        note_once("@profile", "unwritten", "a table can't be written (%s: %s)" % (type(e).__name__, e))
    finally:
        _thread.shows = False


def _wrap(func, stream, precision, backend):
    LineProfiler(func, backend=backend)  # TypeError: it has no lines

    def begin():
        profiler = LineProfiler(func, backend=backend, own_thread=True)
        return profiler, profiler.wrap_function(func)

    def show(profiler):
        _show(profiler, stream, precision)

    kind = kind_of(func)
    if kind == "async generator":
        def generate(*args, **kwargs):
            profiler, profiled = begin()
            return profiled(*args, **kwargs), functools.partial(show, profiler)
        return mark(wrap_async_generator(func, generate), func)
    if kind == "generator":
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            profiler, profiled = begin()
            try:
                return (yield from profiled(*args, **kwargs))
            finally:
                show(profiler)
    elif kind == "coroutine":
        @functools.wraps(func)
        async def wrapper(*args, **kwargs):
            profiler, profiled = begin()
            try:
                return await profiled(*args, **kwargs)
            finally:
                show(profiler)
    else:
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            profiler, profiled = begin()
            try:
                return profiled(*args, **kwargs)
            finally:
                show(profiler)
    return mark(wrapper, func)
