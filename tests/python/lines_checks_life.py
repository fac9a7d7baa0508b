# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of the line profiler (lines_checks.py): begin and end of profilers, code objects, counter blocks
and processes."""
import gc
import io
import os
import signal
import socket
import threading
import warnings
import weakref

from lines_block import ENDED, START, Block
from lines_common import rows, profiled, counts, pages, equal
from pymem_bpf.line_profiler import LineProfiler, show_results


def check_disabled_while_it_runs():
    block = Block()
    profiler = LineProfiler(counter=block)

    def f(block):
        block.grow(1)
        block.grow(10); profiler.disable(); block.grow(100)
        block.grow(1000)
    profiler.add_function(f)
    profiler.enable()
    f(block)
    equal(pages(rows(profiler, f)), {1: 1, 2: 10})
    profiler.runcall(lambda: None)
    equal(pages(rows(profiler, f)), {1: 1, 2: 10})


def check_enabled_while_it_runs():
    block = Block()
    profiler = LineProfiler(counter=block)

    def f(block, deep):
        block.grow(1)
        profiler.enable_by_count()
        if deep:
            f(block, False)
        block.grow(10)
        profiler.disable_by_count()
    profiler.add_function(f)
    f(block, True)
    profiler.enable_count = 0
    table = rows(profiler, f)
    equal(counts(table)[0], 1)
    assert pages(table).get(1) == 1, table
    assert pages(table).get(5) in (10, 20), table


def check_nested_profilers():
    def f(block):
        block.grow(1)
        inner(block)
        block.grow(2)

    def g(block):
        block.grow(10)
    block = Block()
    outside = LineProfiler(f, g, counter=block)
    kept = []

    def inner(block):
        within = LineProfiler(g, f, counter=block)
        within.runcall(g, block)
        kept.append(rows(within, g))
        equal(within.results()[1].calls, 0)
    outside.runcall(f, block)
    equal(pages(rows(outside, f)), {1: 1, 2: 10, 3: 2})
    equal(pages(rows(outside, g, 1)), {1: 10})
    equal(pages(kept[0]), {1: 10})


def check_other_counter_is_refused():
    def f(block):
        LineProfiler(f, counter=Block()).enable()
    try:
        profiled(f)
    except RuntimeError as e:
        assert "another counter" in str(e), e
    else:
        raise AssertionError("not refused")


def check_code_object_freed():
    block = Block()
    for n in range(50):
        namespace = {}
        exec("def f(block):\n    block.grow(%d)\n" % n, namespace)
        profiler = LineProfiler(namespace["f"], counter=block)
        profiler.runcall(namespace["f"], block)
        if n:
            equal(pages(rows(profiler, namespace["f"])), {1: n})
        del profiler, namespace
    gc.collect()


def check_profiler_freed_while_its_code_runs():
    def f(block, holder):
        block.grow(1)
        holder.pop().disable()
        gc.collect()
        block.grow(1)
    for _ in range(20):
        block = Block()
        holder = [LineProfiler(f, counter=block)]
        holder[0].enable()
        f(block, holder)


def check_helper_ends_in_mid_run():
    ours, theirs = socket.socketpair()

    def f(block):
        for i in range(5000):
            if i == 1000:
                theirs.close()
            block.grow(1 if i < 1000 else 0)
    table, _, profiler = profiled(f, block=Block(ours.fileno()))
    ours.close()
    equal(counts(table)[4], 5000)
    equal(pages(table), {4: 1000})
    equal(profiler.results()[0].cut, True)
    text = io.StringIO()
    show_results(profiler, text)
    equal(text.getvalue().count("the helper ended while this ran"), 1)


def check_page_that_ended():
    def f(block):
        block.set_state(ENDED)
    _, _, profiler = profiled(f)
    equal(profiler.cut, True)


def check_children():
    def f(block):
        block.grow(1, child=100)
        block.grow(2)
    table, _, _ = profiled(f)
    equal(pages(table), {1: 1, 2: 2})
    table, _, _ = profiled(f, include_children=True)
    equal(pages(table), {1: 101, 2: 2})
    equal(table[2][2], START + 103)


def check_bad_pages():
    from pymem_bpf import _lines
    for block in (b"", bytearray(100)):
        try:
            _lines.Recorder(block)
        except ValueError as e:
            assert "bytes" in str(e), e
        else:
            raise AssertionError("taken")
    old = Block()
    old.block[0:4] = b"\7\0\0\0"
    try:
        _lines.Recorder(old.block)
    except ValueError as e:
        assert "version 7" in str(e), e
    else:
        raise AssertionError("taken")
    one = _lines.Recorder(Block().block)
    code = check_bad_pages.__code__
    other = check_fork.__code__
    two = _lines.Recorder(Block().block)
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
    source = "def f(block):\n    block.grow(1)\n" + "\n" * 3000 + "    block.grow(2)\n"
    namespace = {}
    exec(compile(source, "<far>", "exec"), namespace)
    table, _, profiler = profiled(namespace["f"])
    equal(pages(table), {1: 1, 3002: 2})
    text = io.StringIO()
    show_results(profiler, text)
    assert "The source of f is not available" in text.getvalue(), text.getvalue()
    equal(len([row for row in text.getvalue().splitlines() if "MiB" in row]), 3)


def check_fork():
    def f(block):
        block.grow(1)
        pid = os.fork()
        block.grow(2)
        if not pid:
            os._exit(0 if not profiler._recorder.cut else 7)
        equal(os.WEXITSTATUS(os.waitpid(pid, 0)[1]), 7)
        block.grow(4)
    block = Block()
    profiler = LineProfiler(f, counter=block)
    profiler.runcall(f, block)
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
    block, status = Block(), []
    profiler = LineProfiler(counter=block)

    def said():
        text = io.StringIO()
        show_results(profiler, text)
        return (("the helper ended" in text.getvalue())
                + 2 * ("this process was forked while this ran" in text.getvalue()))

    def f(block):
        block.grow(1)
        status.append(in_child(lambda: (profiler.disable(), said())[1]))
    profiler.add_function(f)
    profiler.runcall(f, block)
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
        LineProfiler(counter=Block()).runcall(int)
        return 5
    try:
        equal(in_child(child), 5)
    finally:
        release.set()
        other.join()


def check_profiler_with_alarm_is_collected():
    block = Block()
    profiler = LineProfiler(check_fork, counter=block, max_mem=1e6)
    profiler.runcall(int)
    alive = weakref.ref(profiler)
    del profiler
    gc.collect()
    equal(alive(), None)


def check_child_has_its_own_counter():
    block = Block()

    def f(block):
        block.grow(3)
    profiler = LineProfiler(f, counter=block)
    profiler.runcall(f, block)
    pid = os.fork()
    if not pid:
        try:
            profiler.runcall(f, block)
        except RuntimeError as e:
            os._exit(9 if "forked" in str(e) else 1)
        os._exit(2)
    equal(os.WEXITSTATUS(os.waitpid(pid, 0)[1]), 9)
    profiler.runcall(f, block)
    equal(pages(rows(profiler, f)), {1: 6})
