# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""@profile: prints the table of a function each time it returns."""
import functools
import inspect

from ._counting import wrap_async_generator
from .line_profiler import LineProfiler
from .table import show_results

__all__ = ["profile"]


def profile(func=None, stream=None, precision=1, backend=None):
    """Decorates a function, coroutine function or (async) generator function, so that each call
    prints which of its lines changed RSS by what: when it returns, raises, or is closed. What other
    threads run meanwhile, calls of the same function included, is not in it.

    stream: where to; None: sys.stdout. precision: digits after the point. backend: as LineProfiler's.
    Without a function: returns the decorator. Where nothing can count, that is said once on stderr and
    the function runs as it is, without a table.
    """
    if func is None:
        return functools.partial(profile, stream=stream, precision=precision, backend=backend)

    LineProfiler(func, backend=backend)  # what it can't profile is refused now, not at a call

    def begin():
        profiler = LineProfiler(func, backend=backend, own_thread=True)
        return profiler, profiler.wrap_function(func)

    def show(profiler):
        if profiler.begun:
            show_results(profiler, stream=stream, precision=precision)

    if inspect.isasyncgenfunction(func):
        def generate(*args, **kwargs):
            profiler, profiled = begin()
            return profiled(*args, **kwargs), functools.partial(show, profiler)
        return wrap_async_generator(func, generate)
    if inspect.isgeneratorfunction(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            profiler, profiled = begin()
            try:
                return (yield from profiled(*args, **kwargs))
            finally:
                show(profiler)
    elif inspect.iscoroutinefunction(func):
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
    return wrapper
