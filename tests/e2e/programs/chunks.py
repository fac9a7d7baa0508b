# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Calls of all kinds that begin and end a chunk of the data stack, at different depths."""
import os


def leaf(i):
    raise KeyError(i)


def numbers(n):
    yield from range(n)


def compiled():
    exec(compile("class A:\n  def f(self): pass\nA().f()\n", "x", "exec"), {})


def deep(depth):
    for i in range(3):
        try:
            leaf(i)
        except KeyError:
            pass

        class Empty:
            x = 1
        sum(numbers(3))
        compiled()
    if depth:
        deep(depth - 1)


os.read(0, 1)
deep(400)
deep(400)
