# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Creates, enables, nests and drops profilers in every order, with code objects that die, threads that
are in profiled code meanwhile, and generators that are left open: for the sanitizer."""
import json
import sys
import threading

from pymem_bpf.counter import Counter
from pymem_bpf.line_profiler import LineProfiler

ROUNDS = 40


def make(number):
    space = {}
    source = "\n" * (number % 7) + "def f(n):\n    for i in range(n):\n        yield [j for j in range(i)]\n"
    exec(compile(source, "<made %d>" % number, "exec"), space)
    return space["f"]


def recurse(n):
    return recurse(n - 1) + 1 if n else 0


def main():
    open_ones, stop = [], threading.Event()
    with Counter(socket=sys.argv[1]) as counter:
        def busy():
            while not stop.is_set():
                recurse(60)
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(ROUNDS):
            function = make(number)
            outer = LineProfiler(recurse, function, counter=counter)
            inner = LineProfiler(recurse, counter=counter)
            outer.enable()
            generator = function(5)
            next(generator)
            open_ones.append(generator)
            with inner:
                recurse(300)
                if number % 3:
                    del open_ones[:]
            if number % 2:
                outer.add_function(make(number + 1000))
                outer.disable()
            assert inner.results()[0].lines
            assert outer.results()[0].calls >= 301
            try:
                inner.runcall(lambda: 1 // 0)
            except ZeroDivisionError:
                pass
            del outer, inner, function
        stop.set()
        for thread in threads:
            thread.join()
    json.dump({"rounds": ROUNDS}, sys.stdout)


main()
