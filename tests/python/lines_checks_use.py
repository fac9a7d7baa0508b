# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of the line profiler (lines_checks.py): what may be profiled, together with what, and what is shown."""
import functools
import io
import linecache
import sys
import textwrap
import types

from lines_block import START, UNIT, Block
from lines_common import NEW, counts, rows, profiled, pages, equal
from pymem_bpf.line_profiler import LineProfiler, show_results


def check_lambda_and_one_liner():
    f = lambda block: block.grow(4)
    table, _, _ = profiled(f)
    equal(table, {0: (1, 4, START + 4)})

    def g(block): block.grow(5)
    table, _, _ = profiled(g)
    equal(table, {0: (1, 5, START + 5)})


def check_what_may_be_added():
    class Shop:
        def __init__(self, block):
            self.block = block

        def method(self):
            self.block.grow(1)

        @classmethod
        def made(cls, block):
            return cls(block)

        @staticmethod
        def still(block):
            block.grow(2)

        @property
        def price(self):
            self.block.grow(4)

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)
        return wrapper

    @decorate
    def plain(block):
        block.grow(8)
    block = Block()
    profiler = LineProfiler(Shop, plain, functools.partial(plain), Shop(block).method, counter=block)
    with profiler:
        shop = Shop.made(block)
        shop.method(), shop.still(block), shop.price, plain(block)
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
            LineProfiler(thing, counter=Block())
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
    """Of the process, as the kernel has them: what a block-table walk finds."""
    import mmap
    size, data = 32 << 20, b"x" * (32 << 20)

    def work():
        kept = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        kept.write(data)
        kept.close()
        shared = mmap.mmap(-1, size)
        return shared
    first = work.__code__.co_firstlineno
    for backend in ("psutil_uss", "uss", "psutil_pss", "pss"):
        prof = LineProfiler(work, counter=Block(), backend=backend)
        prof.runcall(work).close()
        lines = prof.results()[0].lines
        for line, wanted in (2, size), (3, -size), (4, 0):
            got = lines[first + line].increment_bytes
            # Of the process: a sanitizer's shadow grows too, and the interpreter's own file is private
            # only until another process of it starts.
            assert abs(got - wanted) <= 12 << 20, (backend, line, got)
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
    prof = LineProfiler(work, counter=Block(), backend="pss")
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


def check_trace_function_goes_on():
    seen = []

    def tracer(frame, event, value):
        if frame.f_code in (f.__code__, g.__code__):
            seen.append((frame.f_code.co_name, event))
            return tracer

    def g(block):
        block.grow(1)

    def f(block):
        g(block)
        block.grow(2)
    block = Block()
    profiler = LineProfiler(f, counter=block)
    sys.settrace(tracer)
    try:
        profiler.runcall(f, block)
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

    def f(block):
        sys.settrace(tracer)
        g()
        sys.settrace(None)
        block.grow(1)
    table, block, profiler = profiled(f)
    equal(seen, ["call", "line", "return"])
    if NEW:
        equal(pages(table), {4: 1})
    equal(sum(pages(table).values()), 1)
    equal(noted(profiler), not NEW)
    equal(sys.gettrace(), None)
    table, _, _ = profiled(g_of_module)
    equal(pages(table), {1: 3})


def noted(profiler):
    """Is it said that lines were not seen, for each function once?"""
    text = io.StringIO()
    show_results(profiler, text)
    said = text.getvalue().count("NOTE: sys.settrace")
    assert said == sum(result.untold for result in profiler.results()), text.getvalue()
    return bool(said)


def check_settrace_without_calls():
    """Nothing in the function tells us that our place was taken."""
    def tracer(frame, event, value):
        return tracer

    def f(block):
        sys.settrace(tracer)
        block.grow(2)
        sys.settrace(None)
        block.grow(1)

    def inside(block):
        block.grow(8)
        f(block)
        block.grow(4)
    block = Block()
    profiler = LineProfiler(f, inside, counter=block)
    profiler.runcall(inside, block)
    outer = rows(profiler, inside, 1)
    equal(pages(outer), {1: 8, 2: 3, 3: 4})
    equal(sum(pages(rows(profiler, f)).values()), 3)
    equal([result.untold for result in profiler.results()], [not NEW, False])
    equal(noted(profiler), not NEW)
    equal(sys.gettrace(), None)


def check_settrace_by_a_callee():
    """A debugger or coverage that begins inside: a function in Python sets it. No line is lost, and the
    tool is told of all from there on."""
    seen = []

    def tracer(frame, event, value):
        if frame.f_code in (f.__code__, g.__code__):
            seen.append((frame.f_code.co_name, event))
        return tracer

    def begin():
        sys.settrace(tracer)
        sys._getframe(1).f_trace = tracer

    def end():
        sys.settrace(None)

    def g(block):
        block.grow(2)

    def f(block):
        begin()
        block.grow(1)
        g(block)
        end()
        block.grow(4)
    table, _, profiler = profiled(f)
    equal(pages(table), {2: 1, 3: 2, 5: 4})
    equal(counts(table), {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1})
    equal(noted(profiler), False)
    equal(seen, [("f", "line"), ("f", "line"), ("g", "call"), ("g", "line"), ("g", "return"), ("f", "line")])
    equal(sys.gettrace(), None)


def check_trace_function_that_is_to_stay():
    """The program sets one in a profiled function and goes on with it."""
    def tracer(frame, event, value):
        return None

    def begin():
        sys.settrace(tracer)

    def f(block):
        begin()
        block.grow(1)

    def direct(block):
        sys.settrace(tracer)
    for function in f, direct:
        profiler = LineProfiler(function, counter=Block())
        try:
            profiler.runcall(function, profiler._counter)
            equal(sys.gettrace(), tracer)
        finally:
            sys.settrace(None)


def g_of_module(block):
    block.grow(3)


def check_profile_function_goes_on():
    import cProfile

    def callee(block):
        block.grow(1)

    def f(block):
        callee(block)
        callee(block)
    block = Block()
    profiler = LineProfiler(f, counter=block)
    other = cProfile.Profile()
    other.enable()
    profiler.runcall(f, block)
    other.disable()
    equal(pages(rows(profiler, f)), {1: 1, 2: 1})
    other.create_stats()
    equal([stat[0] for key, stat in other.stats.items() if key[2] == "callee"], [2])


def check_alarm():
    block, stopped = Block(), []
    profiler = LineProfiler(counter=block, max_mem=(START + 10) * UNIT / 2.0**20)
    profiler._debug = lambda rss: stopped.append((rss // UNIT, sys._getframe(1).f_code.co_name))

    def f(block):
        block.grow(9)
        block.grow(1)
        block.grow(1)
        return 1
    profiler.runcall(profiler(f), block)
    equal(stopped, [(START + 10, "f")])


def check_alarm_that_raises():
    block = Block()
    profiler = LineProfiler(counter=block, max_mem=0)

    def stop(_):
        raise KeyboardInterrupt
    profiler._debug = stop

    def f(block):
        block.grow(9)
        return 1
    profiler.add_function(f)
    try:
        profiler.runcall(f, block)
    except KeyboardInterrupt:
        return
    raise AssertionError("swallowed")


def check_table():
    source = textwrap.dedent("""\
        def shown(block):
            # a comment
            for i in range(2):
                block.grow(256)

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
        "Filename: " + __file__, "",
        "g_of_module was never called in this process while it was profiled.", "", "", ""]))
