# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the cells of a notebook use. Its history of outputs keeps each result that was shown, whether a person keeps it
or not."""
import gc
import os

import numpy

from allocated import in_use

history = []


def analysis(number):
    return numpy.random.default_rng(number).random((40, 100))  # L:analysis


def drop_outputs():
    get_ipython().run_line_magic("reset", "-f out")  # noqa: F821 IPython's own


DROPS = {"outputs": drop_outputs, "history": history.clear}


def told(drop=None):
    gc.collect()
    before = in_use()
    if drop:
        DROPS[drop]()
        gc.collect()
    return {"pid": os.getpid(), "before": before, "after": in_use()}
