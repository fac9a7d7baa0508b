# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the line profiler must count, on a page that the checks write themselves. Runs on any Python,
without pytest, and prints a JSON object: {check: null or what went wrong}. test_lines.py reads it.

  lines_checks.py [CHECK…]
"""
import asyncio
import functools
import gc
import io
import json
import linecache
import os
import re
import signal
import socket
import sys
import textwrap
import threading
import traceback
import types
import warnings
import weakref

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lines_page import ENDED, START, UNIT, Page
from pymem_bpf.decorator import profile
from pymem_bpf.line_profiler import LineProfiler, show_results

NEW = sys.version_info >= (3, 12)


def rows(profiler, function, index=0):
    """{line relative to the def: (occurrences, pages, highest RSS in pages)} of the n-th result."""
    result = profiler.results()[index]
    return {line - result.first_line: (row.occurrences, row.increment_bytes // UNIT,
                                       row.mem_usage_bytes // UNIT)
            for line, row in result.lines.items()}


def profiled(function, *args, page=None, **how):
    """(rows, page, profiler) of one call."""
    page = page or Page()
    profiler = LineProfiler(function, counter=page, **how)
    profiler.runcall(function, page, *args)
    return rows(profiler, function), page, profiler


def counts(table):
    return {line: row[0] for line, row in table.items()}


def pages(table):
    return {line: row[1] for line, row in table.items() if row[1]}


def equal(found, wanted):
    assert found == wanted, "found %r, wanted %r" % (found, wanted)


def check_straight_lines():
    def f(page):
        page.grow(3)
        page.grow(-1)
        x = 5
        return x
    table, _, profiler = profiled(f)
    equal(table, {0: (1, 0, START), 1: (1, 3, START + 3), 2: (1, -1, START + 2),
                  3: (1, 0, START + 2), 4: (1, 0, START + 2)})
    equal(profiler.results()[0].calls, 1)


def check_loop_has_no_artefact():
    def f(page):
        for i in range(10):
            page.grow(7)
            page.grow(-7)
        return i
    table, _, _ = profiled(f)
    equal(counts(table), {0: 1, 1: 11, 2: 10, 3: 10, 4: 1})
    equal(pages(table), {2: 70, 3: -70})
    equal(table[2][2], START + 7)


def check_callees_are_included():
    def g(page):
        page.grow(2)

    def f(page):
        g(page)
        g(page)
    page = Page()
    profiler = LineProfiler(f, g, counter=page)
    profiler.runcall(f, page)
    equal(pages(rows(profiler, f)), {1: 2, 2: 2})
    equal(rows(profiler, g, 1)[1], (2, 4, START + 4))
    equal([r.calls for r in profiler.results()], [1, 2])


def check_recursion():
    def f(page, n):
        page.grow(1)
        if n:
            f(page, n - 1)
        page.grow(2)
    table, page, _ = profiled(f, 9)
    equal(counts(table), {0: 10, 1: 10, 2: 10, 3: 9, 4: 10})
    # Each level's call has all that is below it.
    equal(pages(table), {1: 10, 3: 3 * sum(range(10)), 4: 20})
    equal(page.rss(), START + 30)


def check_mutual_recursion():
    def f(page, n):
        page.grow(1)
        return g(page, n - 1) if n else 0

    def g(page, n):
        page.grow(10)
        return f(page, n - 1) if n else 0
    page = Page()
    profiler = LineProfiler(f, g, counter=page)
    profiler.runcall(f, page, 3)
    equal(pages(rows(profiler, f)), {1: 2, 2: 21 + 10})
    equal(pages(rows(profiler, g, 1)), {1: 20, 2: 1 + 10})


def check_nested_functions_and_comprehensions():
    def f(page):
        def inner(n):
            page.grow(n)
            return n
        total = [inner(i) for i in range(4)]
        small = lambda: page.grow(1)
        small()
        return sum(inner(1) for _ in range(2)) + len(total)
    table, page, _ = profiled(f)
    # On rows of their own, and on those that call them; not twice on one row.
    equal(pages(table), {2: 6 + 2, 4: 6, 5: 1, 6: 1, 7: 2})
    equal(page.rss(), START + 9)
    equal(counts(table)[2], 6)
    equal(counts(table)[4], 1 if NEW else 1 + 1 + 4)


def check_inner_codes_on_one_row():
    def f(page):
        def inner():
            return list(page.grow(1) for _ in range(4))
        return inner()
    table, page, _ = profiled(f)
    equal(pages(table), {2: 4, 3: 4})
    equal(page.rss(), START + 4)

    def g(page):
        small = lambda: [[page.grow(1) for _ in range(3)] for _ in range(2)]
        small()
        return [[small() for _ in range(2)] for _ in range(5)]
    table, page, _ = profiled(g)
    equal(pages(table), {1: 66, 2: 6, 3: 60})
    equal(page.rss(), START + 66)


def check_inner_code_that_runs_later_and_elsewhere():
    def make():
        return lambda page, n: page.grow(n)

    def lazy(page):
        return (page.grow(n) for n in range(5))
    page = Page()
    profiler = LineProfiler(make, lazy, counter=page)
    with profiler:
        make()(page, 7)
        list(lazy(page))
    equal(pages(rows(profiler, make)), {1: 7})
    equal(pages(rows(profiler, lazy, 1)), {1: 10})
    equal(counts(rows(profiler, make)), {0: 1, 1: 2})


def check_recursion_on_a_shared_row():
    """Each level counts, with a comprehension of its own code or without."""
    def f(page, n):
        return [f(page, n - 1) for _ in range(1)] if n else page.grow(1)
    table, page, _ = profiled(f, 9)
    equal(pages(table), {1: 10})

    def make():
        def inner(page, n): return [inner(page, n - 1) for _ in range(1)] if n else page.grow(1)
        return inner
    page = Page()
    profiler = LineProfiler(make, counter=page)
    with profiler:
        make()(page, 9)
    equal(pages(rows(profiler, make)), {1: 10})

    def pair():
        odd, even = lambda page, n: page.grow(1) if not n else even(page, n - 1), lambda page, n: odd(page, n - 1)
        return even
    page = Page()
    profiler = LineProfiler(pair, counter=page)
    with profiler:
        pair()(page, 5)
    equal(pages(rows(profiler, pair)), {1: 3})


def check_shared_row_from_when_it_is_enabled():
    """A run that began before isn't counted, so it includes nothing."""
    def f(page):
        return late.enable(), (lambda: page.grow(5))()
    page = Page()
    before, late = LineProfiler(f, counter=page), LineProfiler(f, counter=page)
    before.runcall(f, page)
    late.disable()
    equal([pages(rows(profiler, f)) for profiler in (before, late)], [{1: 5}, {1: 5}])


def check_inner_function_added_too():
    def outer(page):
        def inner():
            page.grow(4)
        page.inner = inner
        inner()
        return inner
    page = Page()
    inner = outer(page)
    for order in ((outer, inner), (inner, outer)):
        profiler = LineProfiler(*order, counter=Page())
        profiler.runcall(outer, profiler._counter)
        equal(pages(rows(profiler, outer, order.index(outer))), {2: 4, 4: 4})
        equal(profiler.results()[order.index(inner)].name.split(".")[-1], "inner")


def check_generator_rests_uncounted():
    def g(page):
        page.grow(1)
        for _ in range(3):
            page.grow(10); x = yield
            page.grow(100)
    page = Page()
    profiler = LineProfiler(g, counter=page)
    with profiler:
        for _ in g(page):
            page.grow(1000)
    table = rows(profiler, g)
    equal(counts(table), {0: 1, 1: 1, 2: 4, 3: 3, 4: 3})
    equal(pages(table), {1: 1, 3: 30, 4: 300})
    equal(profiler.results()[0].calls, 1)


def check_generator_thrown_into_and_closed():
    def g(page):
        try:
            yield page.grow(1)
        except KeyError:
            page.grow(10)
            yield
        finally:
            page.grow(100)
    page = Page()
    profiler = LineProfiler(g, counter=page)
    with profiler:
        one = g(page)
        next(one)
        page.grow(5000)
        one.throw(KeyError())
        page.grow(5000)
        one.close()
        two = g(page)
        next(two)
        del two
        gc.collect()
        three = g(page)
        try:
            three.throw(ValueError())
        except ValueError:
            pass
    table = rows(profiler, g)
    equal(pages(table), {2: 2, 4: 10, 7: 200})
    equal(counts(table)[4], 1)


def check_yield_from():
    def inner(page):
        page.grow(1)
        yield 1
        page.grow(2)
        yield 2

    def outer(page):
        yield 0
        yield from inner(page)
        page.grow(4)
    page = Page()
    profiler = LineProfiler(inner, outer, counter=page)
    with profiler:
        for _ in outer(page):
            page.grow(1000)
    equal(pages(rows(profiler, inner)), {1: 1, 3: 2})
    table = rows(profiler, outer, 1)
    equal(pages(table), {2: 3, 3: 4})
    equal(counts(table), {0: 1, 1: 1, 2: 1, 3: 1})


def check_coroutines_interleaved():
    async def f(page, n):
        page.grow(n)
        await asyncio.sleep(0)
        page.grow(10 * n)
        await asyncio.sleep(0)
        return n

    async def both(page):
        return await asyncio.gather(f(page, 1), f(page, 2))
    page = Page()
    profiler = LineProfiler(f, counter=page)
    with profiler:
        equal(asyncio.run(both(page)), [1, 2])
    table = rows(profiler, f)
    equal(pages(table), {1: 3, 3: 30})
    equal(counts(table), {0: 2, 1: 2, 2: 2, 3: 2, 4: 2, 5: 2})


def check_async_generator_wrapped():
    async def g(page):
        for _ in range(3):
            page.grow(1)
            yield
            await asyncio.sleep(0)
            page.grow(2)
    page = Page()
    profiler = LineProfiler(counter=page)
    wrapped = profiler(g)

    async def use():
        async for _ in wrapped(page):
            page.grow(1000)
    asyncio.run(use())
    equal(pages(rows(profiler, g)), {2: 3, 5: 6})


def check_exception_leaves_frames():
    def g(page):
        page.grow(1)
        raise KeyError

    def f(page):
        for _ in range(3):
            try:
                g(page)
            except KeyError:
                page.grow(10)
        page.grow(100)
        raise ValueError
    page = Page()
    profiler = LineProfiler(f, g, counter=page)
    try:
        profiler.runcall(f, page)
    except ValueError:
        pass
    table = rows(profiler, f)
    equal(pages(table), {3: 3, 5: 30, 6: 100})
    equal(counts(table)[7], 1)
    equal(pages(rows(profiler, g, 1)), {1: 3})


def check_uncaught_in_callee_that_is_not_profiled():
    def deep(page, n):
        page.grow(1)
        if not n:
            raise KeyError
        deep(page, n - 1)

    def f(page):
        try:
            deep(page, 5)
        except KeyError:
            pass
        page.grow(50)
    table, _, _ = profiled(f)
    equal(pages(table), {2: 6, 5: 50})


def check_threads_are_apart():
    def f(page, n, barrier):
        for _ in range(5):
            barrier.wait()
            page.grow(n)
    page = Page()
    profiler = LineProfiler(f, counter=page)
    barrier = threading.Barrier(3)
    running = threading.Event()

    def noise():
        running.wait()
        for _ in range(5):
            barrier.wait()
            page.grow(100000)
    before = threading.Thread(target=noise)
    waiting = threading.Thread(target=lambda: (running.wait(), f(page, 3, barrier)))
    before.start()
    waiting.start()
    with profiler:
        running.set()
        f(page, 7, barrier)
        waiting.join()
    before.join()
    table = rows(profiler, f)
    equal(counts(table), {0: 2, 1: 12, 2: 10, 3: 10})
    equal(pages(table), {3: 50})


def check_only_the_thread_that_enables():
    def f(page, n, barrier):
        for _ in range(n):
            page.grow(n)
        barrier.wait()
    page, barrier = Page(), threading.Barrier(3)
    profiler = LineProfiler(f, counter=page, own_thread=True)
    everyone = LineProfiler(f, counter=page)
    with everyone, profiler:
        others = [threading.Thread(target=f, args=(page, n, barrier)) for n in (20, 30)]
        for other in others:
            other.start()
        f(page, 10, barrier)
        for other in others:
            other.join()
    table = rows(profiler, f)
    equal(counts(table), {0: 1, 1: 11, 2: 10, 3: 1})
    equal(pages(table), {2: 100})
    equal([p.results()[0].calls for p in (profiler, everyone)], [1, 3])
    equal(pages(rows(everyone, f)), {2: 100 + 400 + 900})
    # Enabled by another one later, it is that one's.
    barrier = threading.Barrier(1)
    other = threading.Thread(target=profiler.runcall, args=(f, page, 5, barrier))
    other.start()
    other.join()
    equal(pages(rows(profiler, f)), {2: 100 + 25})


def tables_of(text):
    """[{line relative to the first: (occurrences, MiB)}] of what show_results() printed."""
    found = []
    for table in text.split("Filename: ")[1:]:
        found_rows = [re.match(r" *(\d+) +[\d.]+ MiB +(-?[\d.]+) MiB +(\d+)   ", row)
                      for row in table.splitlines()]
        found_rows = [[float(word) for word in row.groups()] for row in found_rows if row]
        found.append({number - found_rows[0][0]: (runs, amount) for number, amount, runs in found_rows})
    return found


def with_shared_counter(check):
    """The process's shared Counter is the check's page."""
    @functools.wraps(check)
    def wrapper():
        import pymem_bpf.counter
        page, before = Page(), pymem_bpf.counter.shared
        pymem_bpf.counter.shared = lambda: page
        try:
            check(page)
        finally:
            pymem_bpf.counter.shared = before
    return wrapper


@with_shared_counter
def check_decorated_function_in_two_threads(page):
    mib = 2**20 // UNIT

    def f(n, barrier):
        barrier.wait()
        for _ in range(n):
            page.grow(n * mib)
            barrier.wait() if _ < 3 else None
        barrier.wait()
    barrier, texts, threads = threading.Barrier(2), {}, []
    for n in (3, 50):
        texts[n] = io.StringIO()
        threads.append(threading.Thread(target=profile(f, stream=texts[n]), args=(n, barrier)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for n, text in texts.items():
        table, = tables_of(text.getvalue())
        equal({line: runs for line, (runs, _) in table.items()},
              {0: 1, 1: 1, 2: n + 1, 3: n, 4: n, 5: 1})
        equal({line: amount for line, (_, amount) in table.items() if amount}, {3: n * n})


@with_shared_counter
def check_decorated_coroutines_in_turns(page):
    mib = 2**20 // UNIT
    texts = {n: io.StringIO() for n in (3, 5)}

    async def f(n):
        for _ in range(n):
            page.grow(n * mib)
            await asyncio.sleep(0)

    async def g(n):
        for _ in range(n):
            page.grow(n * mib)
            await asyncio.sleep(0)
            yield _

    async def consume(n):
        async for _ in profile(g, stream=texts[n])(n):
            await asyncio.sleep(0)

    async def both():
        await asyncio.gather(*(profile(f, stream=text)(n) for n, text in texts.items()))
        await asyncio.gather(*(consume(n) for n in texts))
    asyncio.run(both())
    for n, text in texts.items():
        of_f, of_g = tables_of(text.getvalue())
        equal(of_f, {0: (1, 0), 1: (n + 1, 0), 2: (n, n * n), 3: (n, 0)})
        equal(of_g, {0: (1, 0), 1: (n + 1, 0), 2: (n, n * n), 3: (n, 0), 4: (n, 0)})


def check_wrapped_coroutine_is_driven_as_it_was():
    seen = []

    async def f(page):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            page.grow(1)
            raise
        finally:
            seen.append("finally")

    async def fails(page):
        await asyncio.sleep(0)
        raise KeyError("as it was")

    async def drive(page):
        task = asyncio.ensure_future(profiler(f)(page))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            seen.append("through")
        try:
            await profiler(fails)(page)
        except KeyError as e:
            seen.append(e.args[0])
        coroutine = profiler(f)(page)
        coroutine.send(None)
        coroutine.close()
    page = Page()
    profiler = LineProfiler(counter=page)
    asyncio.run(drive(page))
    equal(seen, ["cancelled", "finally", "through", "as it was", "finally"])
    equal(pages(rows(profiler, f)), {6: 1})
    equal(profiler.enable_count, 0)


def check_disabled_while_it_runs():
    page = Page()
    profiler = LineProfiler(counter=page)

    def f(page):
        page.grow(1)
        page.grow(10); profiler.disable(); page.grow(100)
        page.grow(1000)
    profiler.add_function(f)
    profiler.enable()
    f(page)
    equal(pages(rows(profiler, f)), {1: 1, 2: 10})
    profiler.runcall(lambda: None)
    equal(pages(rows(profiler, f)), {1: 1, 2: 10})


def check_enabled_while_it_runs():
    page = Page()
    profiler = LineProfiler(counter=page)

    def f(page, deep):
        page.grow(1)
        profiler.enable_by_count()
        if deep:
            f(page, False)
        page.grow(10)
        profiler.disable_by_count()
    profiler.add_function(f)
    f(page, True)
    profiler.enable_count = 0
    table = rows(profiler, f)
    equal(counts(table)[0], 1)
    assert pages(table).get(1) == 1, table
    assert pages(table).get(5) in (10, 20), table


def check_nested_profilers():
    def f(page):
        page.grow(1)
        inner(page)
        page.grow(2)

    def g(page):
        page.grow(10)
    page = Page()
    outside = LineProfiler(f, g, counter=page)
    kept = []

    def inner(page):
        within = LineProfiler(g, f, counter=page)
        within.runcall(g, page)
        kept.append(rows(within, g))
        equal(within.results()[1].calls, 0)
    outside.runcall(f, page)
    equal(pages(rows(outside, f)), {1: 1, 2: 10, 3: 2})
    equal(pages(rows(outside, g, 1)), {1: 10})
    equal(pages(kept[0]), {1: 10})


def check_other_counter_is_refused():
    def f(page):
        LineProfiler(f, counter=Page()).enable()
    try:
        profiled(f)
    except RuntimeError as e:
        assert "another counter" in str(e), e
    else:
        raise AssertionError("not refused")


def check_code_object_freed():
    page = Page()
    for n in range(50):
        namespace = {}
        exec("def f(page):\n    page.grow(%d)\n" % n, namespace)
        profiler = LineProfiler(namespace["f"], counter=page)
        profiler.runcall(namespace["f"], page)
        if n:
            equal(pages(rows(profiler, namespace["f"])), {1: n})
        del profiler, namespace
    gc.collect()


def check_profiler_freed_while_its_code_runs():
    def f(page, holder):
        page.grow(1)
        holder.pop().disable()
        gc.collect()
        page.grow(1)
    for _ in range(20):
        page = Page()
        holder = [LineProfiler(f, counter=page)]
        holder[0].enable()
        f(page, holder)


def check_helper_ends_in_mid_run():
    ours, theirs = socket.socketpair()

    def f(page):
        for i in range(5000):
            if i == 1000:
                theirs.close()
            page.grow(1 if i < 1000 else 0)
    table, _, profiler = profiled(f, page=Page(ours.fileno()))
    ours.close()
    equal(counts(table)[4], 5000)
    equal(pages(table), {4: 1000})
    equal(profiler.results()[0].cut, True)
    text = io.StringIO()
    show_results(profiler, text)
    equal(text.getvalue().count("the helper ended while this ran"), 1)


def check_page_that_ended():
    def f(page):
        page.set_state(ENDED)
    _, _, profiler = profiled(f)
    equal(profiler.cut, True)


def check_children():
    def f(page):
        page.grow(1, child=100)
        page.grow(2)
    table, _, _ = profiled(f)
    equal(pages(table), {1: 1, 2: 2})
    table, _, _ = profiled(f, include_children=True)
    equal(pages(table), {1: 101, 2: 2})
    equal(table[2][2], START + 103)


def check_lambda_and_one_liner():
    f = lambda page: page.grow(4)
    table, _, _ = profiled(f)
    equal(table, {0: (1, 4, START + 4)})

    def g(page): page.grow(5)
    table, _, _ = profiled(g)
    equal(table, {0: (1, 5, START + 5)})


def check_what_may_be_added():
    class Shop:
        def __init__(self, page):
            self.page = page

        def method(self):
            self.page.grow(1)

        @classmethod
        def made(cls, page):
            return cls(page)

        @staticmethod
        def still(page):
            page.grow(2)

        @property
        def price(self):
            self.page.grow(4)

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)
        return wrapper

    @decorate
    def plain(page):
        page.grow(8)
    page = Page()
    profiler = LineProfiler(Shop, plain, functools.partial(plain), Shop(page).method, counter=page)
    with profiler:
        shop = Shop.made(page)
        shop.method(), shop.still(page), shop.price, plain(page)
    equal(sorted(r.name.split(".")[-1] for r in profiler.results()),
          ["__init__", "made", "method", "plain", "price", "still"])
    equal(sum(line.increment_bytes for r in profiler.results() for line in r.lines.values()),
          15 * UNIT)


def check_what_may_not_be_added():
    class Empty:
        x = 1
    for thing, word in ((len, "len"), (dict.get, "get"), (5, "int"), ("f", "str"), (None, "None"),
                        (print, "print"), (Empty, "Empty"), (types, "module")):
        try:
            LineProfiler(thing, counter=Page())
        except TypeError as e:
            assert word in str(e) and ("profile" in str(e)), e
        else:
            raise AssertionError("%r was taken" % (thing,))
    for backend in ("tracemalloc", "nonsense"):
        try:
            LineProfiler(backend=backend)
        except ValueError as e:
            assert backend in str(e), e
        else:
            raise AssertionError("%r was taken" % backend)


def check_pss_and_uss():
    """Of the process, as the kernel has them: what a page-table walk finds."""
    import mmap
    size, data = 16 << 20, b"x" * (16 << 20)

    def work():
        kept = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        kept.write(data)
        kept.close()
        shared = mmap.mmap(-1, size)
        return shared
    first = work.__code__.co_firstlineno
    for backend in ("psutil_uss", "uss", "psutil_pss", "pss"):
        prof = LineProfiler(work, counter=Page(), backend=backend)
        prof.runcall(work).close()
        lines = prof.results()[0].lines
        for line, wanted in (2, size), (3, -size), (4, 0):
            got = lines[first + line].increment_bytes
            # Of the process: a sanitizer's shadow grows too.
            assert abs(got - wanted) <= 4 << 20, (backend, line, got)
        assert lines[first + 2].mem_usage_bytes >= size
        assert prof.unread == 0
    try:
        LineProfiler(work, backend="pss", include_children=True)
    except ValueError as e:
        assert "pss" in str(e), e
    else:
        raise AssertionError("PSS with children was taken")


def check_pss_that_cannot_be_read():
    """It is said; the occurrences are right."""
    import resource

    def work():
        a = 1
        return a
    prof = LineProfiler(work, counter=Page(), backend="pss")
    prof.prepare()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        prof.runcall(work)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert prof.unread >= 3, prof.unread
    out = io.StringIO()
    show_results(prof, stream=out)
    assert "could not be read" in out.getvalue(), out.getvalue()


def check_bad_pages():
    from pymem_bpf import _lines
    for page in (b"", bytearray(100)):
        try:
            _lines.Recorder(page)
        except ValueError as e:
            assert "bytes" in str(e), e
        else:
            raise AssertionError("taken")
    old = Page()
    old.page[0:4] = b"\7\0\0\0"
    try:
        _lines.Recorder(old.page)
    except ValueError as e:
        assert "version 7" in str(e), e
    else:
        raise AssertionError("taken")
    one = _lines.Recorder(Page().page)
    code = check_bad_pages.__code__
    other = check_alarm.__code__
    two = _lines.Recorder(Page().page)
    two.add(other, 1, 5, 1, b"")
    for bad in ((code, 5, 4, 5, b""), (code, -2**31, 2**31 - 1, 5, b""), (other, 1, 4, 1, b""),
                (other, 2, 6, 2, b""), (code, 5, 6, 5, b"", other)):
        try:
            one.add(*bad)
        except ValueError:
            continue
        raise AssertionError("taken")
    try:
        one.results(code)
    except KeyError:
        return
    raise AssertionError("results of what was not added")


def check_stale_line_table():
    """Lines far from the function's own, as code generators make them."""
    source = "def f(page):\n    page.grow(1)\n" + "\n" * 3000 + "    page.grow(2)\n"
    namespace = {}
    exec(compile(source, "<far>", "exec"), namespace)
    table, _, profiler = profiled(namespace["f"])
    equal(pages(table), {1: 1, 3002: 2})
    text = io.StringIO()
    show_results(profiler, text)
    assert "The source of f is not available" in text.getvalue(), text.getvalue()
    equal(len([row for row in text.getvalue().splitlines() if "MiB" in row]), 3)


def check_fork():
    def f(page):
        page.grow(1)
        pid = os.fork()
        page.grow(2)
        if not pid:
            os._exit(0 if not profiler._recorder.cut else 7)
        equal(os.WEXITSTATUS(os.waitpid(pid, 0)[1]), 7)
        page.grow(4)
    page = Page()
    profiler = LineProfiler(f, counter=page)
    profiler.runcall(f, page)
    table = rows(profiler, f)
    equal([pages(table)[n] for n in (1, 3, 7)], [1, 2, 4])
    equal(profiler.cut, False)


def in_child(work):
    """The status that a forked child exits with, which does that; it gets 20 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: of a fork beside threads
        pid = os.fork()
    if not pid:
        signal.alarm(20)
        status = 99
        try:
            status = work()
        finally:
            os._exit(status)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFEXITED(status), "the child was ended by signal %d" % os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def check_table_of_a_forked_child():
    page, status = Page(), []
    profiler = LineProfiler(counter=page)

    def said():
        text = io.StringIO()
        show_results(profiler, text)
        return (("the helper ended" in text.getvalue())
                + 2 * ("this process was forked while this ran" in text.getvalue()))

    def f(page):
        page.grow(1)
        status.append(in_child(lambda: (profiler.disable(), said())[1]))
    profiler.add_function(f)
    profiler.runcall(f, page)
    equal(status, [2])
    equal(said(), 0)
    equal(in_child(said), 0)  # complete when it was forked


def check_fork_while_another_thread_enables():
    from pymem_bpf import line_profiler
    held, release = threading.Event(), threading.Event()

    def hold():
        with line_profiler._lock:
            held.set()
            release.wait()
    other = threading.Thread(target=hold)
    other.start()
    held.wait()

    def child():
        LineProfiler(counter=Page()).runcall(int)
        return 5
    try:
        equal(in_child(child), 5)
    finally:
        release.set()
        other.join()


def check_profiler_with_alarm_is_collected():
    page = Page()
    profiler = LineProfiler(check_fork, counter=page, max_mem=1e6)
    profiler.runcall(int)
    alive = weakref.ref(profiler)
    del profiler
    gc.collect()
    equal(alive(), None)


def check_child_has_its_own_counter():
    page = Page()

    def f(page):
        page.grow(3)
    profiler = LineProfiler(f, counter=page)
    profiler.runcall(f, page)
    pid = os.fork()
    if not pid:
        try:
            profiler.runcall(f, page)
        except RuntimeError as e:
            os._exit(9 if "forked" in str(e) else 1)
        os._exit(2)
    equal(os.WEXITSTATUS(os.waitpid(pid, 0)[1]), 9)
    profiler.runcall(f, page)
    equal(pages(rows(profiler, f)), {1: 6})


def check_trace_function_goes_on():
    seen = []

    def tracer(frame, event, value):
        if frame.f_code in (f.__code__, g.__code__):
            seen.append((frame.f_code.co_name, event))
            return tracer

    def g(page):
        page.grow(1)

    def f(page):
        g(page)
        page.grow(2)
    page = Page()
    profiler = LineProfiler(f, counter=page)
    sys.settrace(tracer)
    try:
        profiler.runcall(f, page)
        equal(sys.gettrace(), tracer)
    finally:
        sys.settrace(None)
    equal(pages(rows(profiler, f)), {1: 1, 2: 2})
    equal(seen, [("f", "call"), ("f", "line"), ("g", "call"), ("g", "line"), ("g", "return"),
                 ("f", "line"), ("f", "return")])
    equal(sys.gettrace(), None)


def check_settrace_inside():
    seen = []

    def tracer(frame, event, value):
        if frame.f_code is g.__code__:
            seen.append(event)
        return tracer

    def g():
        return 1

    def f(page):
        sys.settrace(tracer)
        g()
        sys.settrace(None)
        page.grow(1)
    table, page, _ = profiled(f)
    equal(seen, ["call", "line", "return"])
    equal(sum(pages(table).values()), 1)
    equal(sys.gettrace(), None)
    table, _, _ = profiled(g_of_module)
    equal(pages(table), {1: 3})


def g_of_module(page):
    page.grow(3)


def check_profile_function_goes_on():
    import cProfile

    def callee(page):
        page.grow(1)

    def f(page):
        callee(page)
        callee(page)
    page = Page()
    profiler = LineProfiler(f, counter=page)
    other = cProfile.Profile()
    other.enable()
    profiler.runcall(f, page)
    other.disable()
    equal(pages(rows(profiler, f)), {1: 1, 2: 1})
    other.create_stats()
    equal([stat[0] for key, stat in other.stats.items() if key[2] == "callee"], [2])


def check_alarm():
    page, stopped = Page(), []
    profiler = LineProfiler(counter=page, max_mem=(START + 10) * UNIT / 2.0**20)
    profiler._debug = lambda rss: stopped.append((rss // UNIT, sys._getframe(1).f_code.co_name))

    def f(page):
        page.grow(9)
        page.grow(1)
        page.grow(1)
        return 1
    profiler.runcall(profiler(f), page)
    equal(stopped, [(START + 10, "f")])


def check_alarm_that_raises():
    page = Page()
    profiler = LineProfiler(counter=page, max_mem=0)

    def stop(_):
        raise KeyboardInterrupt
    profiler._debug = stop

    def f(page):
        page.grow(9)
        return 1
    profiler.add_function(f)
    try:
        profiler.runcall(f, page)
    except KeyboardInterrupt:
        return
    raise AssertionError("swallowed")


def check_table():
    source = textwrap.dedent("""\
        def shown(page):
            # a comment
            for i in range(2):
                page.grow(256)

            return i
        """)
    linecache.cache["<shown>"] = (len(source), None, source.splitlines(True), "<shown>")
    namespace = {}
    exec(compile(source, "<shown>", "exec"), namespace)
    _, _, profiler = profiled(namespace["shown"])
    profiler.add_function(g_of_module)
    text = io.StringIO()
    show_results(profiler, text, precision=2)
    mib = UNIT / 2.0**20
    row = "{0:>6} {1:>12} {2:>12}  {3:>10}   {4:<}"

    def amounts(high, change, hits):
        return "{0:6.2f} MiB".format(high * mib), "{0:6.2f} MiB".format(change * mib), hits
    header = row.format("Line #", "Mem usage", "Increment", "Occurrences", "Line Contents")
    lines = source.splitlines()
    equal(text.getvalue(), "\n".join([
        "Filename: <shown>", "", header, "=" * len(header),
        row.format(1, *amounts(START, 0, 1) + (lines[0],)),
        row.format(2, "", "", "", lines[1]),
        row.format(3, *amounts(START + 512, 0, 3) + (lines[2],)),
        row.format(4, *amounts(START + 512, 512, 2) + (lines[3],)),
        row.format(5, "", "", "", lines[4]),
        row.format(6, *amounts(START + 512, 0, 1) + (lines[5],)), "", "",
        "Filename: " + __file__, "", "g_of_module was never called while it was profiled.", "", "", ""]))


def check_threads_end_while_others_run():
    def f(page):
        page.grow(1)
    page = Page()
    profiler = LineProfiler(f, counter=page)
    with profiler:
        for _ in range(20):
            group = [threading.Thread(target=f, args=(page,)) for _ in range(5)]
            for thread in group:
                thread.start()
            for thread in group:
                thread.join()
    equal(counts(rows(profiler, f))[1], 100)


def check_deep_recursion():
    def f(page, n):
        return f(page, n - 1) if n else page.grow(1)
    table, _, _ = profiled(f, 800)
    equal(table[1][:2], (801, 801))


def main():
    chosen = sys.argv[1:] or [name for name in globals() if name.startswith("check_")]
    found = {}
    for name in chosen:
        try:
            globals()[name]()
            found[name] = None
        except BaseException:
            found[name] = traceback.format_exc()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
