# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the checks of the line profiler share (lines_checks.py)."""
import contextlib
import re
import sys

from lines_block import UNIT, Block
from pymem_bpf.line_profiler import LineProfiler

NEW = sys.version_info >= (3, 12)


def rows(profiler, function, index=0):
    """{line relative to the def: (occurrences, pages, highest RSS in pages)} of the n-th result."""
    result = profiler.results()[index]
    return {line - result.first_line: (row.occurrences, row.increment_bytes // UNIT,
                                       row.mem_usage_bytes // UNIT)
            for line, row in result.lines.items()}


def profiled(function, *args, block=None, **how):
    """(rows, block, profiler) of one call."""
    block = block or Block()
    profiler = LineProfiler(function, counter=block, **how)
    profiler.runcall(function, block, *args)
    return rows(profiler, function), block, profiler


def counts(table):
    return {line: row[0] for line, row in table.items()}


def pages(table):
    return {line: row[1] for line, row in table.items() if row[1]}


def equal(found, wanted):
    assert found == wanted, "found %r, wanted %r" % (found, wanted)


@contextlib.contextmanager
def with_counter(block):
    """The process's shared Counter is this block."""
    import pymem_bpf.counter
    before = pymem_bpf.counter.shared
    pymem_bpf.counter.shared = lambda: block
    try:
        yield
    finally:
        pymem_bpf.counter.shared = before


def tables_of(text):
    """[{line relative to the first: (occurrences, MiB)}] of what show_results() printed."""
    found = []
    for table in text.split("Filename: ")[1:]:
        found_rows = [re.match(r" *(\d+) +[\d.]+ MiB +(-?[\d.]+) MiB +(\d+)   ", row)
                      for row in table.splitlines()]
        found_rows = [[float(word) for word in row.groups()] for row in found_rows if row]
        found.append({number - found_rows[0][0]: (runs, amount) for number, amount, runs in found_rows})
    return found
