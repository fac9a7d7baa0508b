# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Works on batches of measurements with pandas, as a line of standard input tells it: ways to work, in turn, and how many batches a
second, or `in_use` and the way that is to let go of all, or nothing. Two ways keep what they were not meant to keep; of
each there is one that was mended."""
import collections
import gc
import os
import select
import sys

import numpy
import pandas

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from allocated import in_use  # noqa: E402
from truth import line, say  # noqa: E402

FRAMES = []
LAST = {}
LAST_BOUNDED = collections.OrderedDict()


def batch(number):
    """As it is read: columns of one type are one block."""
    table = numpy.random.default_rng(number).random((500, 6))
    return pandas.DataFrame(table, columns=["time", "price", "volume", "low", "high", "spread"])


def frames(number):
    FRAMES.append(batch(number).assign(number=number))  # L:frames
    return FRAMES[-1]["price"].mean()


def frames_fixed(number):
    return batch(number).assign(number=number)["price"].mean()


def columns(number):
    """A column is a view of its block: it keeps all of them."""
    LAST["symbol %d" % number] = batch(number)["price"]  # L:columns


def columns_fixed(number):
    LAST_BOUNDED["symbol %d" % number] = batch(number)["price"].iloc[-1:].copy()
    if len(LAST_BOUNDED) > 20:
        LAST_BOUNDED.popitem(last=False)


# Functions, so that nothing more refers to what they empty.
DROPS = {"frames": lambda: FRAMES.clear(), "columns": lambda: LAST.clear()}


def told(drop=None):
    gc.collect()
    before = in_use()
    if drop:
        DROPS[drop]()
        gc.collect()
    say(pid=os.getpid(), before=before, after=in_use())


def main():
    number, works, pause = 0, [], None
    say(pid=os.getpid())
    while True:
        if select.select([0], [], [], pause)[0]:
            words = (line() or b"").decode().split()
            if not words:
                return
            if words[0] == "in_use":
                pause = None
                told(*words[1:])
            else:
                works, pause = [globals()[name] for name in words[0].split(",")], 1 / float(words[1])
        else:
            number += 1
            works[number % len(works)](number)


main()
