# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of the line profiler (lines_checks.py): how frames, callees, generators and coroutines count."""
import asyncio
import gc

from lines_block import START, Block
from lines_common import NEW, counts, equal, pages, profiled, rows
from pymem_bpf.line_profiler import LineProfiler


def check_straight_lines():
    def f(block):
        block.grow(3)
        block.grow(-1)
        x = 5
        return x
    table, _, profiler = profiled(f)
    equal(table, {0: (1, 0, START), 1: (1, 3, START + 3), 2: (1, -1, START + 2),
                  3: (1, 0, START + 2), 4: (1, 0, START + 2)})
    equal(profiler.results()[0].calls, 1)


def check_loop_has_no_artefact():
    def f(block):
        for i in range(10):
            block.grow(7)
            block.grow(-7)
        return i
    table, _, _ = profiled(f)
    equal(counts(table), {0: 1, 1: 11, 2: 10, 3: 10, 4: 1})
    equal(pages(table), {2: 70, 3: -70})
    equal(table[2][2], START + 7)


def check_callees_are_included():
    def g(block):
        block.grow(2)

    def f(block):
        g(block)
        g(block)
    block = Block()
    profiler = LineProfiler(f, g, counter=block)
    profiler.runcall(f, block)
    equal(pages(rows(profiler, f)), {1: 2, 2: 2})
    equal(rows(profiler, g, 1)[1], (2, 4, START + 4))
    equal([r.calls for r in profiler.results()], [1, 2])


def check_recursion():
    def f(block, n):
        block.grow(1)
        if n:
            f(block, n - 1)
        block.grow(2)
    table, block, _ = profiled(f, 9)
    equal(counts(table), {0: 10, 1: 10, 2: 10, 3: 9, 4: 10})
    # The outermost call has all that is below it, and that is counted once.
    equal(pages(table), {1: 10, 3: 3 * 9, 4: 20})
    equal(block.rss(), START + 30)


def check_recursion_counts_once():
    """As --lines counts (docs/ACCURACY.md): a run inside another one of the same row adds nothing."""
    def walk(block, n):
        if n:
            return walk(block, n - 1)
        block.grow(3)

    def tree(block, d):
        if not d:
            block.grow(10)
            return 1
        a = tree(block, d - 1)
        b = tree(block, d - 1)
        block.grow(1)
        return a + b
    block = Block()
    profiler = LineProfiler(walk, tree, counter=block)
    with profiler:
        walk(block, 60)
        tree(block, 4)
    equal(pages(rows(profiler, walk)), {2: 3, 3: 3})
    table = rows(profiler, tree, 1)
    below = [16 * 10 + 15]  # what a whole tree changes, by its depth from above
    while len(below) < 5:
        below.append((below[-1] - 1) // 2)
    # Each row: of the tree itself, and of those in its other branch.
    equal(pages(table), {2: 160, 4: sum(below[1:]), 5: sum(below[1:]), 6: 15})
    equal(counts(table)[4], 15)


def check_mutual_recursion():
    def f(block, n):
        block.grow(1)
        return g(block, n - 1) if n else 0

    def g(block, n):
        block.grow(10)
        return f(block, n - 1) if n else 0
    block = Block()
    profiler = LineProfiler(f, g, counter=block)
    profiler.runcall(f, block, 3)
    equal(pages(rows(profiler, f)), {1: 2, 2: 21})
    equal(pages(rows(profiler, g, 1)), {1: 20, 2: 1 + 10})


def check_nested_functions_and_comprehensions():
    def f(block):
        def inner(n):
            block.grow(n)
            return n
        total = [inner(i) for i in range(4)]
        small = lambda: block.grow(1)
        small()
        return sum(inner(1) for _ in range(2)) + len(total)
    table, block, _ = profiled(f)
    # On rows of their own, and on those that call them; not twice on one row.
    equal(pages(table), {2: 6 + 2, 4: 6, 5: 1, 6: 1, 7: 2})
    equal(block.rss(), START + 9)
    equal(counts(table)[2], 6)
    equal(counts(table)[4], 1 if NEW else 1 + 1 + 4)


def check_inner_codes_on_one_row():
    def f(block):
        def inner():
            return list(block.grow(1) for _ in range(4))
        return inner()
    table, block, _ = profiled(f)
    equal(pages(table), {2: 4, 3: 4})
    equal(block.rss(), START + 4)

    def g(block):
        small = lambda: [[block.grow(1) for _ in range(3)] for _ in range(2)]
        small()
        return [[small() for _ in range(2)] for _ in range(5)]
    table, block, _ = profiled(g)
    equal(pages(table), {1: 66, 2: 6, 3: 60})
    equal(block.rss(), START + 66)


def check_inner_code_that_runs_later_and_elsewhere():
    def make():
        return lambda block, n: block.grow(n)

    def lazy(block):
        return (block.grow(n) for n in range(5))
    block = Block()
    profiler = LineProfiler(make, lazy, counter=block)
    with profiler:
        make()(block, 7)
        list(lazy(block))
    equal(pages(rows(profiler, make)), {1: 7})
    equal(pages(rows(profiler, lazy, 1)), {1: 10})
    equal(counts(rows(profiler, make)), {0: 1, 1: 2})


def check_recursion_on_a_shared_row():
    """The outermost run has it all, with a comprehension of its own code or without."""
    def f(block, n):
        return [f(block, n - 1) for _ in range(1)] if n else block.grow(1)
    table, block, _ = profiled(f, 9)
    equal(pages(table), {1: 1})

    def make():
        def inner(block, n): return [inner(block, n - 1) for _ in range(1)] if n else block.grow(1)
        return inner
    block = Block()
    profiler = LineProfiler(make, counter=block)
    with profiler:
        make()(block, 9)
    equal(pages(rows(profiler, make)), {1: 1})

    def pair():
        odd, even = lambda p, n: p.grow(1) if not n else even(p, n - 1), lambda p, n: odd(p, n - 1)
        return even
    block = Block()
    profiler = LineProfiler(pair, counter=block)
    with profiler:
        pair()(block, 5)
    equal(pages(rows(profiler, pair)), {1: 1})


def check_shared_row_from_when_it_is_enabled():
    """A run that began before isn't counted, so it includes nothing."""
    def f(block):
        return late.enable(), (lambda: block.grow(5))()
    block = Block()
    before, late = LineProfiler(f, counter=block), LineProfiler(f, counter=block)
    before.runcall(f, block)
    late.disable()
    equal([pages(rows(profiler, f)) for profiler in (before, late)], [{1: 5}, {1: 5}])


def check_inner_function_added_too():
    def outer(block):
        def inner():
            block.grow(4)
        block.inner = inner
        inner()
        return inner
    block = Block()
    inner = outer(block)
    for order in ((outer, inner), (inner, outer)):
        profiler = LineProfiler(*order, counter=Block())
        profiler.runcall(outer, profiler._counter)
        equal(pages(rows(profiler, outer, order.index(outer))), {2: 4, 4: 4})
        equal(profiler.results()[order.index(inner)].name.split(".")[-1], "inner")


def check_generator_rests_uncounted():
    def g(block):
        block.grow(1)
        for _ in range(3):
            block.grow(10); x = yield
            block.grow(100)
    block = Block()
    profiler = LineProfiler(g, counter=block)
    with profiler:
        for _ in g(block):
            block.grow(1000)
    table = rows(profiler, g)
    equal(counts(table), {0: 1, 1: 1, 2: 4, 3: 3, 4: 3})
    equal(pages(table), {1: 1, 3: 30, 4: 300})
    equal(profiler.results()[0].calls, 1)


def check_generator_thrown_into_and_closed():
    def g(block):
        try:
            yield block.grow(1)
        except KeyError:
            block.grow(10)
            yield
        finally:
            block.grow(100)
    block = Block()
    profiler = LineProfiler(g, counter=block)
    with profiler:
        one = g(block)
        next(one)
        block.grow(5000)
        one.throw(KeyError())
        block.grow(5000)
        one.close()
        two = g(block)
        next(two)
        del two
        gc.collect()
        three = g(block)
        try:
            three.throw(ValueError())
        except ValueError:
            pass
    table = rows(profiler, g)
    equal(pages(table), {2: 2, 4: 10, 7: 200})
    equal(counts(table)[4], 1)


def check_yield_from():
    def inner(block):
        block.grow(1)
        yield 1
        block.grow(2)
        yield 2

    def outer(block):
        yield 0
        yield from inner(block)
        block.grow(4)
    block = Block()
    profiler = LineProfiler(inner, outer, counter=block)
    with profiler:
        for _ in outer(block):
            block.grow(1000)
    equal(pages(rows(profiler, inner)), {1: 1, 3: 2})
    table = rows(profiler, outer, 1)
    equal(pages(table), {2: 3, 3: 4})
    equal(counts(table), {0: 1, 1: 1, 2: 1, 3: 1})


def check_coroutines_interleaved():
    async def f(block, n):
        block.grow(n)
        await asyncio.sleep(0)
        block.grow(10 * n)
        await asyncio.sleep(0)
        return n

    async def both(block):
        return await asyncio.gather(f(block, 1), f(block, 2))
    block = Block()
    profiler = LineProfiler(f, counter=block)
    with profiler:
        equal(asyncio.run(both(block)), [1, 2])
    table = rows(profiler, f)
    equal(pages(table), {1: 3, 3: 30})
    equal(counts(table), {0: 2, 1: 2, 2: 2, 3: 2, 4: 2, 5: 2})


def check_async_generator_wrapped():
    async def g(block):
        for _ in range(3):
            block.grow(1)
            yield
            await asyncio.sleep(0)
            block.grow(2)
    block = Block()
    profiler = LineProfiler(counter=block)
    wrapped = profiler(g)

    async def use():
        async for _ in wrapped(block):
            block.grow(1000)
    asyncio.run(use())
    equal(pages(rows(profiler, g)), {2: 3, 5: 6})


def check_exception_leaves_frames():
    def g(block):
        block.grow(1)
        raise KeyError

    def f(block):
        for _ in range(3):
            try:
                g(block)
            except KeyError:
                block.grow(10)
        block.grow(100)
        raise ValueError
    block = Block()
    profiler = LineProfiler(f, g, counter=block)
    try:
        profiler.runcall(f, block)
    except ValueError:
        pass
    table = rows(profiler, f)
    equal(pages(table), {3: 3, 5: 30, 6: 100})
    equal(counts(table)[7], 1)
    equal(pages(rows(profiler, g, 1)), {1: 3})


def check_uncaught_in_callee_that_is_not_profiled():
    def deep(block, n):
        block.grow(1)
        if not n:
            raise KeyError
        deep(block, n - 1)

    def f(block):
        try:
            deep(block, 5)
        except KeyError:
            pass
        block.grow(50)
    table, _, _ = profiled(f)
    equal(pages(table), {2: 6, 5: 50})


def check_deep_recursion():
    def f(block, n):
        return f(block, n - 1) if n else block.grow(1)
    table, _, _ = profiled(f, 800)
    equal(table[1][:2], (801, 1))


def check_instructions_without_a_line():
    """They belong to the line where the code begins, the def row (the module's first line)."""
    def g(block):
        yield block.grow(1)

    class Grows(Exception):
        def __init__(self, block):
            block.grow(5)
    block = Block()
    profiler = LineProfiler(g, counter=block)
    with profiler:
        # Thrown into before it began: 3.12's RETURN_GENERATOR and POP_TOP have no line.
        one = g(block)
        try:
            one.throw(Grows(block))
        except Grows:
            pass
    assert set(rows(profiler, g)) <= {0}, rows(profiler, g)

    source = "block.grow(2)\ndef f():\n    return 1\nblock.grow(3)\n"
    code = compile("\n\n" + source, "<module of lines>", "exec")
    block = Block()
    profiler = LineProfiler(counter=block)
    profiler.add_code(code)
    profiler.runctx(code, {"block": block}, None)
    table = {line: row.increment_bytes for line, row in profiler.results()[0].lines.items()}
    assert 0 not in table, table
    equal([line for line, change in table.items() if change], [3, 6])


def check_wherever_a_frame_goes_on():
    """At any byte of the code it is on a line of the function."""
    def make(n):
        def f():
            return n
        return f
    block, code = Block(), make.__code__
    profiler = LineProfiler(make, counter=block)
    if not NEW:
        return  # a generator's frame is found by the same function, lines_at()
    from pymem_bpf import _lines
    with profiler:
        for offset in range(0, len(code.co_code), 2):
            _lines.on_resume(code, offset)
            block.grow(1)
            _lines.on_leave(code, offset)
    table = pages(rows(profiler, make))
    equal(sum(table.values()), len(code.co_code) // 2)
    assert set(table) <= {0, 1, 3}, table
