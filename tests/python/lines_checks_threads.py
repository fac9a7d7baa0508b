# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of the line profiler (lines_checks.py): threads and tasks, each with its own growth."""
import asyncio
import functools
import io
import threading

from lines_block import UNIT, Block
from lines_common import rows, counts, pages, equal, tables_of, with_counter
from pymem_bpf.decorator import profile
from pymem_bpf.line_profiler import LineProfiler


def check_threads_are_apart():
    def f(block, n, barrier):
        for _ in range(5):
            barrier.wait()
            block.grow(n)
    block = Block()
    profiler = LineProfiler(f, counter=block)
    barrier = threading.Barrier(3)
    running = threading.Event()

    def noise():
        running.wait()
        for _ in range(5):
            barrier.wait()
            block.grow(100000)
    before = threading.Thread(target=noise)
    waiting = threading.Thread(target=lambda: (running.wait(), f(block, 3, barrier)))
    before.start()
    waiting.start()
    with profiler:
        running.set()
        f(block, 7, barrier)
        waiting.join()
    before.join()
    table = rows(profiler, f)
    equal(counts(table), {0: 2, 1: 12, 2: 10, 3: 10})
    equal(pages(table), {3: 50})


def check_only_the_thread_that_enables():
    def f(block, n, barrier):
        for _ in range(n):
            block.grow(n)
        barrier.wait()
    block, barrier = Block(), threading.Barrier(3)
    profiler = LineProfiler(f, counter=block, own_thread=True)
    everyone = LineProfiler(f, counter=block)
    with everyone, profiler:
        others = [threading.Thread(target=f, args=(block, n, barrier)) for n in (20, 30)]
        for other in others:
            other.start()
        f(block, 10, barrier)
        for other in others:
            other.join()
    table = rows(profiler, f)
    equal(counts(table), {0: 1, 1: 11, 2: 10, 3: 1})
    equal(pages(table), {2: 100})
    equal([p.results()[0].calls for p in (profiler, everyone)], [1, 3])
    equal(pages(rows(everyone, f)), {2: 100 + 400 + 900})
    # Enabled by another one later, it is that one's.
    barrier = threading.Barrier(1)
    other = threading.Thread(target=profiler.runcall, args=(f, block, 5, barrier))
    other.start()
    other.join()
    equal(pages(rows(profiler, f)), {2: 100 + 25})


def with_shared_counter(check):
    """check(the block that is the process's shared Counter)."""
    @functools.wraps(check)
    def wrapper():
        block = Block()
        with with_counter(block):
            check(block)
    return wrapper


@with_shared_counter
def check_decorated_function_in_two_threads(block):
    mib = 2**20 // UNIT

    def f(n, barrier):
        barrier.wait()
        for _ in range(n):
            block.grow(n * mib)
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
def check_decorated_coroutines_in_turns(block):
    mib = 2**20 // UNIT
    texts = {n: io.StringIO() for n in (3, 5)}

    async def f(n):
        for _ in range(n):
            block.grow(n * mib)
            await asyncio.sleep(0)

    async def g(n):
        for _ in range(n):
            block.grow(n * mib)
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

    async def f(block):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            block.grow(1)
            raise
        finally:
            seen.append("finally")

    async def fails(block):
        await asyncio.sleep(0)
        raise KeyError("as it was")

    async def drive(block):
        task = asyncio.ensure_future(profiler(f)(block))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            seen.append("through")
        try:
            await profiler(fails)(block)
        except KeyError as e:
            seen.append(e.args[0])
        coroutine = profiler(f)(block)
        coroutine.send(None)
        coroutine.close()
    block = Block()
    profiler = LineProfiler(counter=block)
    asyncio.run(drive(block))
    equal(seen, ["cancelled", "finally", "through", "as it was", "finally"])
    equal(pages(rows(profiler, f)), {6: 1})
    equal(profiler.enable_count, 0)


def check_threads_end_while_others_run():
    def f(block):
        block.grow(1)
    block = Block()
    profiler = LineProfiler(f, counter=block)
    with profiler:
        for _ in range(20):
            group = [threading.Thread(target=f, args=(block,)) for _ in range(5)]
            for thread in group:
                thread.start()
            for thread in group:
                thread.join()
    equal(counts(rows(profiler, f))[1], 100)
