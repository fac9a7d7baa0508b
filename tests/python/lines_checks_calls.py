# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of what a program can see of @profile's wrappers (lines_checks.py), and of the builtin of a run,
which makes none."""
import asyncio
import contextlib
import functools
import gc
import inspect
import os
import pickle
import sys

from lines_checks_wrapping import Callable, decorators, stderr_read
from lines_common import counts, equal, rows
from lines_block import Block
from pymem_bpf.line_profiler import LineProfiler
from pymem_bpf.run_profiler import RunProfiler
from pymem_bpf.table import show_results


def takes(a, b=2, *rest, c, d=4, **others):
    return a, b, rest, c, d, others


@decorators
def check_parameters_are_the_functions(decorate):
    def none():
        return ()

    def plain(a, b=[], *, c, d=3):
        return a, b, c, d

    def all_others(*function, **self):
        return function, self
    functions = [none, plain, takes, all_others]
    space = {}
    exec("def first(a, b=1, /, c=2): return a, b, c\n"
         "async def later(a, *, b): return a, b\ndef some(a, b=3): yield a, b", space)
    functions += [space["first"], space["later"], space["some"]]
    for plain in functions:
        ours = decorate(plain)
        equal(inspect.getfullargspec(ours), inspect.getfullargspec(plain))
        equal((ours.__defaults__, ours.__kwdefaults__), (plain.__defaults__, plain.__kwdefaults__))
        equal((ours.__globals__ is plain.__globals__, ours.__code__.co_name), (True, plain.__code__.co_name))
        for args, kwargs in ((), {}), ((1,), {}), ((1,), {"c": 2}), ((1, 2, 3, 4), {"c": 5, "x": 6}), (
                (1,), {"b": 2}):
            equal(result(ours, args, kwargs), result(plain, args, kwargs))


def result(function, args, kwargs):
    """What the call gives or refuses, and what that gives when it is used up."""
    try:
        got = function(*args, **kwargs)
    except TypeError as e:
        return str(e)
    return (asyncio.run(got) if inspect.iscoroutine(got) else
            list(got) if inspect.isgenerator(got) else got)


@decorators
def check_generators_are_closed_and_thrown_into(decorate):
    def closes():
        try:
            yield 1
        except GeneratorExit:
            return "closed"

    def goes_on():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    def close_of(function):
        generator = function()
        next(generator)
        try:
            return generator.close()
        except RuntimeError as e:
            return str(e)
    for plain in closes, goes_on:
        equal(close_of(decorate(plain)), close_of(plain))
    generator = decorate(goes_on)()
    equal((next(generator), generator.throw(GeneratorExit)), (1, 2))


@decorators
def check_async_generator_at_the_end_of_its_loop(decorate):
    ends, troubles, kept = [], [], []

    async def steps():
        try:
            for i in range(5):
                yield i
        finally:
            await asyncio.sleep(0)
            ends.append("end")

    async def use(function):
        asyncio.get_running_loop().set_exception_handler(lambda _, what: troubles.append(what))
        kept.append(function())
        async for i in kept[-1]:
            if i == 2:
                break
    asyncio.run(use(decorate(steps)))
    equal((ends, troubles), (["end"], []))
    equal(sys.get_asyncgen_hooks(), (None, None))


@decorators
def check_what_is_thrown_is_let_go(decorate):
    """A wrapper doesn't keep an exception, whose traceback leads back to it, for the collector."""
    class Big:
        there = 0

        def __init__(self):
            Big.there += 1

        def __del__(self):
            Big.there -= 1

    def works():
        big = Big()
        try:
            yield 1
        except KeyError:
            yield big and 2

    async def awaits():
        big = Big()
        try:
            await asyncio.sleep(10)
        except KeyError:
            return big and 2
    gc.disable()
    try:
        generator = decorate(works)()
        equal((next(generator), generator.throw(KeyError()), list(generator)), (1, 2, []))
        equal(Big.there, 0)
    finally:
        gc.enable()


def check_profilers_are_pickled_to_be_idle():
    def f(block):
        block.grow(1)
    block = Block()
    for profiler in LineProfiler(f, counter=block, include_children=True), RunProfiler(counter=block):
        profiler.enable()
        copy = pickle.loads(pickle.dumps(profiler))
        copy(f)(block)
        profiler.disable()
        equal((copy.idle(), copy.include_children, [r.calls for r in copy.results()]),
              (True, profiler.include_children, [0]))
    decorated = LineProfiler(counter=block)(f)
    for cell in decorated.__closure__:
        if cell.cell_contents is not f:
            pickle.loads(pickle.dumps(cell.cell_contents))


def check_calls_near_the_limit_of_recursion():
    """They run uncounted if there is no room for counting, which is said; the profiler goes on."""
    def f(n):
        return n
    profiler = LineProfiler(counter=Block())
    decorated = profiler(f)
    profiler.enable_by_count = functools.partial(refuse, profiler)
    equal(decorated(5), 5)
    equal(profiler.uncounted, 1)
    del profiler.enable_by_count
    with stderr_read() as said:
        equal((decorated(6), profiler.results()[0].calls, profiler.enable_count), (6, 1, 0))
        equal(said.getvalue(), "")
        show_results(profiler, sys.stderr)
    assert "1 calls were so near the limit of recursion" in said.getvalue()


def refuse(_):
    raise RecursionError


@contextlib.contextmanager
def run_of(block):
    profiler = RunProfiler(counter=block)
    try:
        yield profiler
    finally:
        profiler.close()


def check_run_counts_what_is_decorated_and_leaves_it():
    block = Block()
    with run_of(block) as profiler:
        @profiler
        def f(n):
            block.grow(n)

        @profiler(precision=2)
        def g(n):
            block.grow(1)
            yield n

        class Shop:
            def inside(self):
                block.grow(2)

            @property
            def price(self):
                block.grow(3)
            taken = takes
        assert profiler(Shop) is Shop and f.__name__ == "f" and not hasattr(f, "__wrapped__")
        price, cached = vars(Shop)["price"], functools.lru_cache(None)(lambda n: block.grow(n))
        cached(0)
        thing = Callable()
        assert profiler(price) is price and profiler(cached) is cached and profiler(thing) is thing
        f(5), list(g(1)), Shop().inside(), Shop().price, cached(4), thing(1)
        profiler.disable()
        profiler.disable_by_count()  # the run goes on
        f(6)
        with profiler:
            f(1)
        equal(profiler.enable_count, 1)
    f(100)
    names = {result.name.rpartition(".")[2]: result.calls for result in profiler.results()}
    equal(names, {"f": 3, "g": 1, "inside": 1, "price": 1, "<lambda>": 1, "__call__": 1})
    equal(rows(profiler, f)[2][:2], (3, 12))
    equal(profiler.enable_count, 0)
    late = profiler(lambda: block.grow(1))
    late()
    equal(profiler.results()[-1].calls, 0)


def check_run_says_what_can_not_be_profiled():
    block = Block()
    with run_of(block) as profiler, stderr_read() as said:
        for thing in len, 5, functools.partial(len), property(abs):
            assert profiler(thing) is thing and profiler(thing) is thing
    equal(said.getvalue().count("left as it is, unprofiled"), 4)
    equal(profiler.enable_count, 0)


def check_run_is_idle_in_a_child():
    block = Block()
    with run_of(block) as profiler:
        @profiler
        def f():
            block.grow(1)

        @profiler
        def forks():
            child = os.fork()
            if not child:
                try:
                    f()
                    g = profiler(lambda: 1)
                    told = sys.version_info >= (3, 12) and any(
                        sys.monitoring.get_tool(tool) for tool in range(6))
                    os._exit(7 if g() and not told else 8)
                finally:
                    os._exit(9)
            return os.waitpid(child, 0)[1] >> 8
        equal(forks(), 7)
        f()
    equal(counts(rows(profiler, f))[2], 1)
