# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks of the line profiler (lines_checks.py): eight threads at the same time, with and without a GIL. All figures are
exact: what each line ran and changed, summed over the threads, and by thread."""
import contextlib
import gc
import io
import os
import sys
import threading
import time
import warnings

from lines_block import UNIT, Block
from lines_checks_estimate import helper, own_files
from lines_common import counts, equal, pages, rows, tables_of, with_counter
from pymem_bpf._helper import NoServer
from pymem_bpf.decorator import profile
from pymem_bpf.line_profiler import LineProfiler

THREADS = 8
NUMBERS = range(1, THREADS + 1)
SUM, SQUARES = sum(NUMBERS), sum(n * n for n in NUMBERS)
ROUNDS = 50


def in_threads(function, *arguments):
    """function(number, …) in eight threads that begin together. Raises what one of them raises."""
    start, raised = threading.Barrier(THREADS), []

    def run(number):
        try:
            start.wait()
            function(number, *arguments)
        except BaseException as e:
            raised.append(e)
    threads = [threading.Thread(target=run, args=(number,)) for number in NUMBERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@contextlib.contextmanager
def busy_threads(function):
    """Eight threads that call the function again and again. Gives how often each has returned from it, and ends them whatever
    happens: else the program would never end."""
    stop, made = threading.Event(), [0] * (THREADS + 1)

    def busy(number):
        while not stop.is_set():
            function()
            made[number] += 1
    threads = [threading.Thread(target=busy, args=(number,)) for number in NUMBERS]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def loops(number, block):
    for _ in range(ROUNDS):
        block.grow(number)
        if number % 2:
            block.grow(-1)
    block.grow(100)


LOOPS_RUNS = {0: THREADS, 1: THREADS * (ROUNDS + 1), 2: THREADS * ROUNDS, 3: THREADS * ROUNDS, 4: THREADS // 2 * ROUNDS,
              5: THREADS}
LOOPS_PAGES = {2: SUM * ROUNDS, 4: -THREADS // 2 * ROUNDS, 5: 100 * THREADS}


def check_eight_threads_in_loops():
    block = Block()
    profiler = LineProfiler(loops, counter=block)
    with profiler:
        in_threads(loops, block)
    table = rows(profiler, loops)
    equal(counts(table), LOOPS_RUNS)
    equal(pages(table), LOOPS_PAGES)
    equal(profiler.results()[0].calls, THREADS)
    equal(max(row[2] for row in table.values()), block.rss())


def check_eight_threads_each_with_its_own_profiler():
    """Eight profilers are enabled at once, each for the thread that enabled it, beside one for all."""
    block, own = Block(), {}
    ready, over = threading.Barrier(THREADS), threading.Barrier(THREADS)

    def one(number):
        own[number] = LineProfiler(loops, counter=block, own_thread=True)
        with own[number]:
            ready.wait()
            loops(number, block)
            over.wait()
    everyone = LineProfiler(loops, counter=block)
    with everyone:
        in_threads(one)
    for number, profiler in own.items():
        table = rows(profiler, loops)
        wanted = {2: number * ROUNDS, 4: -ROUNDS, 5: 100}
        if not number % 2:
            del wanted[4]
        equal(pages(table), wanted)
        equal(table[2][0], ROUNDS)
        equal(profiler.results()[0].calls, 1)
    equal(pages(rows(everyone, loops)), LOOPS_PAGES)


def check_eight_threads_recurse():
    def recurse(number, block, depth):
        block.grow(number)
        if depth:
            recurse(number, block, depth - 1)
        block.grow(1)
    block, depth = Block(), 20
    profiler = LineProfiler(recurse, counter=block)
    with profiler:
        in_threads(recurse, block, depth)
    table = rows(profiler, recurse)
    runs = THREADS * (depth + 1)
    equal(counts(table), {0: runs, 1: runs, 2: runs, 3: THREADS * depth, 4: runs})
    # The row of the call has what the outermost call has, once.
    equal(pages(table), {1: SUM * (depth + 1), 3: (SUM + THREADS) * depth, 4: runs})


def check_eight_threads_with_generators():
    """Each thread makes one, and goes on with that of its neighbour: what a resumed line changes is the resuming
    thread's."""
    def generate(number, block):
        for _ in range(10):
            block.grow(number)
            yield _
            block.grow(-1)
    block, made, turn = Block(), {}, threading.Barrier(THREADS)
    profiler = LineProfiler(generate, counter=block)

    def one(number):
        made[number] = generate(number, block)
        for _ in range(5):
            next(made[number])
        turn.wait()
        for _ in made[number % THREADS + 1]:
            pass
    with profiler:
        in_threads(one)
    table = rows(profiler, generate)
    equal(counts(table), {0: THREADS, 1: THREADS * 11, 2: THREADS * 10, 3: THREADS * 10, 4: THREADS * 10})
    equal(pages(table), {2: SUM * 10, 4: -THREADS * 10})


def check_threads_end_while_seven_others_run():
    """Their counts stay, and who looks meanwhile never sees less than before."""
    def f(block):
        for _ in range(20):
            block.grow(1)
    block, seen, over = Block(), [0], threading.Event()
    profiler = LineProfiler(f, counter=block)

    def waves(number):
        for _ in range(5):
            thread = threading.Thread(target=f, args=(block,))
            thread.start()
            f(block)
            thread.join()

    def look():
        while not over.is_set():
            seen.append(pages(rows(profiler, f)).get(2, 0))
    with profiler:
        looker = threading.Thread(target=look)
        looker.start()
        in_threads(waves)
        over.set()
        looker.join()
    total = THREADS * 10
    equal(counts(rows(profiler, f)), {0: total, 1: 21 * total, 2: 20 * total})
    equal(pages(rows(profiler, f)), {2: 20 * total})
    assert seen == sorted(seen) and seen[-1] <= 20 * total, seen


def least_runs(profiler, function):
    """Of its lines 1 and 2."""
    table = counts(rows(profiler, function))
    return min(table.get(1, 0), table.get(2, 0))


def check_started_and_stopped_while_eight_threads_run():
    """A run that goes on when counting ends is one of those counted; what it changes after that is not."""
    def f(block):
        block.grow(1)
        block.grow(-1)
    block = Block()
    everyone = LineProfiler(f, counter=block)
    sometimes = LineProfiler(f, counter=block)
    with everyone, busy_threads(lambda: f(block)) as made:
        cycles, end = 0, time.monotonic() + 100
        while (cycles < 40 or least_runs(sometimes, f) <= 2 * THREADS * cycles) and time.monotonic() < end:
            with sometimes:
                time.sleep(0.002)
            cycles += 1
    calls = sum(made)
    equal(counts(rows(everyone, f)), {0: calls, 1: calls, 2: calls})
    equal(pages(rows(everyone, f)), {1: calls, 2: -calls})
    # Each thread may be in the middle of one run whenever counting ends.
    table, slack = rows(sometimes, f), THREADS * cycles
    assert all(slack < table[line][0] <= calls for line in (1, 2)), (table, cycles)
    for line, sign in ((1, 1), (2, -1)):
        runs, change = table[line][0], sign * table[line][1]
        assert runs - slack <= change <= runs, (line, table, cycles)


def make(number):
    """A function of its own, and where its lines are."""
    space = {}
    source = "\n" * (number % 5) + "def f(block):\n  for i in range(10):\n    block.grow(%d)\n  return i\n" % number
    exec(compile(source, "<made %d>" % number, "exec"), space)
    return space["f"]


def check_eight_threads_make_and_drop_profilers():
    """Code objects, profilers and generators die in one thread while others run profiled code."""
    block = Block()
    shared = make(3)
    everyone = LineProfiler(shared, counter=block)

    def one(number):
        for n in range(30):
            own, count = make(n + 1), LineProfiler(counter=block, own_thread=True)
            count.add_function(own)
            with count:
                count.add_function(shared)
                own(block)
                shared(block)
            equal(pages(rows(count, own)), {2: 10 * (n + 1)})
            equal(pages(rows(count, shared, 1)), {2: 30})
            if n % 10 == number:
                gc.collect()
    with everyone:
        in_threads(one)
    equal(pages(rows(everyone, shared)), {2: THREADS * 30 * 30})


def check_alarms_in_eight_threads():
    """Each profiler's alarm is called once, in whichever thread gets there first."""
    def f(block):
        for _ in range(10):
            block.grow(1)
    block = Block()
    calls, profilers = [], []
    for number in NUMBERS:
        profiler = LineProfiler(f, counter=block, max_mem=(block.rss() + 10 * number) * UNIT / (1 << 20))
        profiler._debug = lambda rss, number=number: calls.append((number, rss // UNIT))
        profiler.enable()
        profilers.append(profiler)
    before = block.rss()
    in_threads(lambda _: f(block))
    for profiler in profilers:
        profiler.disable()
        equal(pages(rows(profiler, f)), {2: THREADS * 10})
    # The last one is due when the last thread's last line is over: that is no line's beginning.
    equal(sorted(number for number, _ in calls if number != THREADS), list(NUMBERS)[:-1])
    assert len(calls) <= THREADS and all(rss >= before + 10 * number for number, rss in calls), calls


def check_alarm_of_one_of_eight_threads():
    """Of a profiler that counts one thread: the lines of others don't call it, however much there is."""
    def f(block):
        for _ in range(200):
            block.grow(1)
    block, calls, over = Block(), [], threading.Barrier(THREADS)

    def one(number):
        if number != 1:
            f(block)
            over.wait()
            return
        profiler = LineProfiler(f, counter=block, own_thread=True, max_mem=(block.rss() - 1) * UNIT / (1 << 20))
        profiler._debug = lambda rss: calls.append(threading.get_ident())
        with profiler:
            over.wait()  # the others have run
            assert not calls, calls
            f(block)
        calls.append(threading.get_ident())
    everyone = LineProfiler(f, counter=block)
    with everyone:
        in_threads(one)
    assert len(calls) == 2 and calls[0] == calls[1], calls
    equal(pages(rows(everyone, f)), {2: 200 * THREADS})


def check_decorated_function_in_eight_threads():
    block, mib = Block(), 2**20 // UNIT

    def f(n):
        for _ in range(n):
            block.grow(n * mib)
    with with_counter(block):
        texts = {number: io.StringIO() for number in NUMBERS}
        in_threads(lambda number: [profile(f, stream=texts[number])(number) for _ in range(3)])
    for n, text in texts.items():
        equal(tables_of(text.getvalue()), [{0: (1, 0), 1: (n + 1, 0), 2: (n, n * n)}] * 3)


def check_forks_while_eight_threads_run():
    """The child has what was counted until then, and can count; the parent goes on."""
    def f(block):
        block.grow(1)
    block = Block()
    profiler = LineProfiler(f, counter=block)

    def child():
        calls = profiler.results()[0].calls
        own = Block()
        again = LineProfiler(f, counter=own)
        again.runcall(f, own)
        return least <= calls <= sum(made) + THREADS and profiler.cut and pages(rows(again, f)) == {1: 1}
    with profiler, busy_threads(lambda: f(block)) as made, warnings.catch_warnings():
        # That it has other threads is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(10):
            least = sum(made)
            pid = os.fork()
            if not pid:
                good = False
                try:
                    good = child()
                finally:
                    os._exit(0 if good else 1)
            equal(os.waitpid(pid, 0)[1], 0)
    equal(pages(rows(profiler, f)), {1: sum(made)})


def check_eight_threads_without_a_helper():
    """Figures of /proc, while the program closes the file that they are read from."""
    block, closed = Block(), []

    def closes(number):
        for _ in range(3):
            loops(number, block)
            if number == 1:
                closed.extend(own_files()[:1])
                for fd in own_files():
                    os.close(fd)
    with helper(NoServer("nobody")):
        profiler = LineProfiler(loops)
        with profiler:
            in_threads(closes)
        # Another thread may be reading from what is closed: that reading is noted.
        assert profiler.approximate and profiler.unread <= 3 * THREADS and not profiler.cut, profiler.unread
    equal(counts(rows(profiler, loops)), {line: 3 * runs for line, runs in LOOPS_RUNS.items()})
    assert closed and not own_files(), closed


def check_the_gil_is_as_it_was():
    """An extension that does not say that it needs none has a free-threaded interpreter switch it on."""
    if hasattr(sys, "_is_gil_enabled") and "t" in sys.abiflags and os.environ.get("PYTHON_GIL") != "1":
        assert not sys._is_gil_enabled()
