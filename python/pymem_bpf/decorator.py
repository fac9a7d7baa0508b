# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""@profile: each call of the function prints its table when it ends, as memory_profiler's does.

A generator's table is printed when it ends or is closed. If the function raises, its table goes as
far as that, and the exception goes on.
"""
import functools
import inspect

from .line_profiler import LineProfiler
from .table import show_results

__all__ = ["profile"]


def profile(func=None, stream=None, precision=1, backend=None, include_children=False):
    """Decorates a function: @profile, or @profile(precision=4, stream=log).

    stream: where tables go, sys.stdout of the moment if None; precision: digits after the point;
    backend: rss, also by memory_profiler's names psutil and posix (ValueError for others).
    TypeError: `func` is no Python function. HelperError, at a call: nobody can count.
    """
    if func is None:
        return functools.partial(profile, stream=stream, precision=precision, backend=backend,
                                 include_children=include_children)

    def profiler():
        return LineProfiler(func, backend=backend, include_children=include_children)

    def show(prof):
        show_results(prof, stream=stream, precision=precision)

    profiler()  # what can't be profiled is refused here, not at the first call
    return _wrapper(func, profiler, show)


def _wrapper(func, profiler, show):
    if inspect.isasyncgenfunction(func):
        @functools.wraps(func)
        async def wrapper(*args, **kwargs):
            prof = profiler()
            inner = prof.wrap_function(func)(*args, **kwargs)
            try:
                value = None
                while True:
                    try:
                        item = await inner.asend(value)
                    except StopAsyncIteration:
                        return
                    value = yield item
            finally:
                await inner.aclose()
                show(prof)
    elif inspect.iscoroutinefunction(func):
        @functools.wraps(func)
        async def wrapper(*args, **kwargs):
            prof = profiler()
            try:
                return await prof.wrap_function(func)(*args, **kwargs)
            finally:
                show(prof)
    elif inspect.isgeneratorfunction(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            prof = profiler()
            try:
                return (yield from prof.wrap_function(func)(*args, **kwargs))
            finally:
                show(prof)
    else:
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            prof = profiler()
            try:
                return prof.runcall(func, *args, **kwargs)
            finally:
                show(prof)
    return wrapper
