# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the cells of a notebook use. A notebook keeps each result that it shows, whether a person keeps it or not."""
import gc
import os

import numpy
from IPython import get_ipython

from allocated import in_use


def analysis(number):
    return numpy.random.default_rng(number).random((40, 100))


def told(drop=None):
    shell = get_ipython()
    gc.collect()
    before = in_use()
    if drop == "outputs":
        shell.run_line_magic("reset", "-f out")
        shell.user_ns_hidden.clear()  # which has them, too, and keeps them
    elif drop:
        shell.user_ns[drop].clear()
    gc.collect()
    return {"pid": os.getpid(), "before": before, "after": in_use()}
