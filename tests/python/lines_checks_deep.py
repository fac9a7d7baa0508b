# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of the line profiler (lines_checks.py): calls within one another to where counting stops in a thread,
for want of C stack (up to 3.11), and only there."""
import contextlib
import ctypes
import io
import mmap
import os
import resource
import sys
import threading
import warnings

from lines_block import Block
from lines_common import NEW, counts, equal, pages, rows
from pymem_bpf.line_profiler import LineProfiler, show_results

MOST = 100000  # calls: more fit into no stack that is tried here
SHALLOW = 200  # where counting never stops, the bottom is here
STACK_BYTES = 2 << 20


@contextlib.contextmanager
def any_recursion():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10 ** 6)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def dive(profiler, bottom, n=0):
    """Calls itself until counting stops, then bottom(). How deep that was."""
    if profiler.deep or n == (SHALLOW if NEW else MOST):
        bottom()
        return n
    return dive(profiler, bottom, n + 1)


def in_thread(function, *args, stack_bytes=STACK_BYTES):
    """What the function returns in a thread of its own, with a small stack."""
    found = []
    before = threading.stack_size(stack_bytes)
    try:
        thread = threading.Thread(target=lambda: found.append(function(*args)))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return found[0]


@contextlib.contextmanager
def while_one_is_deep(profiler):
    """In the block, the profiler is enabled and another thread is where counting stops."""
    deep, done = threading.Event(), threading.Event()

    def bottom():
        deep.set()
        done.wait()

    thread = threading.Thread(target=lambda: in_thread(dive, profiler, bottom))
    with any_recursion(), profiler:
        thread.start()
        deep.wait()
        try:
            yield
        finally:
            done.set()
            thread.join()


def shown(profiler):
    text = io.StringIO()
    show_results(profiler, text)
    return text.getvalue()


def check_other_threads_are_counted_while_one_is_deep():
    def f(block, n):
        for _ in range(n):
            block.grow(1)

    def loops(block, n):
        for _ in range(n):
            f(block, 3)

    def generates(block):
        yield block.grow(5)
        yield block.grow(7)

    block, started, deep, done = Block(), threading.Event(), threading.Event(), threading.Event()
    profiler = LineProfiler(f, generates, dive, counter=block)

    def other():
        """It runs before, while and after the first thread is deep, in calls that were there before."""
        loops(block, 10)
        steps = generates(block)
        next(steps)
        started.set()
        deep.wait()
        loops(block, 1000)
        next(steps)
        sum(1 for _ in generates(block))
        done.set()
        thread.join()
        loops(block, 10)

    def bottom():
        deep.set()
        done.wait()

    second = threading.Thread(target=other)
    with any_recursion(), profiler:
        thread = threading.Thread(target=lambda: in_thread(dive, profiler, bottom))
        second.start()
        started.wait()
        thread.start()
        second.join()
    equal(counts(rows(profiler, f)), {0: 1020, 1: 4 * 1020, 2: 3 * 1020})
    equal(pages(rows(profiler, f)), {2: 3 * 1020})
    equal(counts(rows(profiler, generates, 1)), {0: 2, 1: 2, 2: 2})
    equal(pages(rows(profiler, generates, 1)), {1: 10, 2: 14})
    equal([profiler.deep > 0, len(profiler.deep_threads), profiler.blind], [not NEW, int(not NEW), False])


def check_what_is_said_of_a_deep_thread():
    def called_below(block):
        block.grow(1)

    block = Block()
    profiler = LineProfiler(called_below, counter=block)
    ids = []

    def bottom():
        ids.append(threading.get_native_id())
        called_below(block)

    with any_recursion(), profiler:
        in_thread(dive, profiler, bottom)
        text = shown(profiler)
    assert "never called" not in text, text
    if NEW:
        equal(counts(rows(profiler, called_below)), {0: 1, 1: 1})
        return
    equal(list(profiler.deep_threads), ids)
    assert "No call of " in text and "called_below was counted" in text, text
    assert "counting stopped in thread %d: recursion too deep" % ids[0] in text, text
    # It goes on when the calls have returned.
    with profiler:
        called_below(block)
    equal(counts(rows(profiler, called_below)), {0: 1, 1: 1})


def check_profilers_of_other_threads_are_whole():
    def f(block):
        block.grow(1)

    block, deep, done = Block(), threading.Event(), threading.Event()
    own = LineProfiler(f, counter=block, own_thread=True)
    later = LineProfiler(f, counter=block, own_thread=True)
    every = LineProfiler(f, counter=block)

    def bottom():
        deep.set()
        done.wait()
        with later:  # enabled where counting has stopped
            f(block)

    with any_recursion(), every, own:
        thread = threading.Thread(target=lambda: in_thread(dive, every, bottom))
        thread.start()
        deep.wait()
        for _ in range(10):
            f(block)
        done.set()
        thread.join()
    equal(own.results()[0].calls, 10)
    equal([own.deep, own.blind], [0, False])
    equal(later.results()[0].calls, 1 if NEW else 0)
    equal([every.deep > 0, later.deep > 0], [not NEW, not NEW])
    assert ("No call of" in shown(later)) == (not NEW), shown(later)


def check_threads_that_begin_meanwhile():
    """Either they are counted or it is said that they may lack."""
    def f(block):
        block.grow(1)

    block = Block()
    profiler = LineProfiler(f, counter=block)

    def bottom():
        thread = threading.Thread(target=f, args=(block,))
        thread.start()
        thread.join()

    with any_recursion(), profiler:
        in_thread(dive, profiler, bottom)
    if (3, 11) <= sys.version_info < (3, 12):
        equal([profiler.results()[0].calls, profiler.blind], [0, True])
        assert "No call of" in shown(profiler) and "just begun" in shown(profiler), shown(profiler)
    else:
        equal([profiler.results()[0].calls, profiler.blind], [1, False])


def check_a_debugger_in_another_thread():
    """Its trace function stays, and is told of all."""
    def f(block):
        block.grow(1)

    def tracer(frame, what, _):
        if frame.f_code is f.__code__:
            seen.append(what)
        return tracer

    block, seen = Block(), []
    profiler = LineProfiler(f, counter=block)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with while_one_is_deep(profiler):
            f(block)
    finally:
        sys.settrace(before)
    equal(seen, ["call", "line", "return"])
    assert profiler.results()[0].calls or profiler.blind


def check_trace_functions_are_given_back():
    """What was traced for a time is not afterwards."""
    def f(block):
        block.grow(1)

    block = Block()
    profiler = LineProfiler(f, counter=block)
    with profiler:
        with while_one_is_deep(profiler):
            f(block)
        f(block)
    equal(profiler.results()[0].calls, 2)
    equal(sys.gettrace(), None)
    seen = []

    def tracer(frame, what, _):
        seen.append(frame.f_code.co_name)
    sys.settrace(tracer)
    f(block)
    sys.settrace(None)
    equal(seen[0], "f")


def check_fork_while_another_thread_is_deep():
    def f(block):
        block.grow(1)

    profiler = LineProfiler(f, counter=Block())
    with while_one_is_deep(profiler), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: of a fork beside threads
        pid = os.fork()
        if not pid:
            try:
                own = Block()
                mine = LineProfiler(f, counter=own)
                with mine:
                    f(own)
                os._exit(0 if mine.results()[0].calls == 1 and not mine.deep else 1)
            finally:
                os._exit(2)
        status = os.waitpid(pid, 0)[1]
    equal(status, 0)


def check_stack_in_the_middle_of_a_mapping():
    """The end is that of the stack, which the thread library knows, and not of the mapping around it: as with
    guard pages that are no mapping of their own."""
    def depth(n):
        if profiler.deep or n == (SHALLOW if NEW else MOST):
            return n
        return depth(n + 1)

    def run(_):
        found.append(depth(0))
        return None

    block, found = Block(), []
    profiler = LineProfiler(counter=block)
    profiler.add_function(check_stack_in_the_middle_of_a_mapping)
    libc = ctypes.CDLL(None)
    memory = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    attributes, thread = ctypes.create_string_buffer(256), ctypes.c_ulong()
    main = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(run)
    equal(libc.pthread_attr_init(attributes), 0)
    equal(libc.pthread_attr_setstack(attributes, ctypes.c_void_p(start + (62 << 20)),
                                     ctypes.c_size_t(STACK_BYTES)), 0)
    with any_recursion(), profiler:
        equal(libc.pthread_create(ctypes.byref(thread), attributes, main, None), 0)
        libc.pthread_join(thread, None)
    equal(libc.pthread_attr_destroy(attributes), 0)
    if NEW:
        equal(found, [SHALLOW])
    else:
        # More than half of the stack for so many calls, each of which takes some 200 bytes at least.
        assert 100 < found[0] < STACK_BYTES // 2 // 200, found
        assert profiler.deep


def check_limit_of_the_main_thread_that_changes():
    """It is looked at again: half of more is deeper."""
    if NEW:
        return

    def reached():
        profiler = LineProfiler(reached, counter=block)
        with any_recursion(), profiler:
            return dive(profiler, lambda: None)

    block = Block()
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    found = []
    try:
        for part in 4, 2, 1:
            resource.setrlimit(resource.RLIMIT_STACK, ((8 << 20) // part, hard))
            found.append(reached())
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    assert found[0] < 0.6 * found[1] and found[1] < 0.6 * found[2], found
