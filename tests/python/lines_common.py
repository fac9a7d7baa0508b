# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the checks of the line profiler share (lines_checks.py)."""
import contextlib
import re
import sys

from lines_page import UNIT, Page
from pymem_bpf.line_profiler import LineProfiler

NEW = sys.version_info >= (3, 12)


def rows(profiler, function, index=0):
    """{line relative to the def: (occurrences, pages, highest RSS in pages)} of the n-th result."""
    result = profiler.results()[index]
    return {line - result.first_line: (row.occurrences, row.increment_bytes // UNIT,
                                       row.mem_usage_bytes // UNIT)
            for line, row in result.lines.items()}


def profiled(function, *args, page=None, **how):
    """(rows, page, profiler) of one call."""
    page = page or Page()
    profiler = LineProfiler(function, counter=page, **how)
    profiler.runcall(function, page, *args)
    return rows(profiler, function), page, profiler


def counts(table):
    return {line: row[0] for line, row in table.items()}


def pages(table):
    return {line: row[1] for line, row in table.items() if row[1]}


def equal(found, wanted):
    assert found == wanted, "found %r, wanted %r" % (found, wanted)


@contextlib.contextmanager
def with_counter(page):
    """The process's shared Counter is this page."""
    import pymem_bpf.counter
    before = pymem_bpf.counter.shared
    pymem_bpf.counter.shared = lambda: page
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
