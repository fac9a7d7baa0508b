# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of a line profile, laid out as memory_profiler's users know it.

Line contents come from linecache, so from files, notebook cells and what shells and doctests
register. Where there is no source, the lines that ran are printed without contents, and that is
said. What stands on a line is printed as it is, but for control characters.
"""
import inspect
import linecache
import sys

__all__ = ["show_results"]

TEMPLATE = "{0:>6} {1:>12} {2:>12}  {3:>10}   {4:<}"
HEADER = TEMPLATE.format("Line #", "Mem usage", "Increment", "Occurrences", "Line Contents")
MIB = float(1 << 20)

NO_SOURCE = "NOTE: the source of %s is not available: its lines are shown by number"
NEVER = "NOTE: %s was never called while the profiler was enabled"
CUT = ("NOTE: the helper ended while this ran: increments and memory usage are those until then, "
       "occurrences are complete")
MISSED = ("NOTE: more threads ran at once than are counted (%d times none was free): increments of "
          "those that were not are missing")


def _clean(text):
    """One line of source, fit for a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text.rstrip("\r\n\f"))


def _source_file(filename):
    return filename[:-1] if filename.endswith((".pyc", ".pyo")) else filename


def _block(result):
    """{line: its text} of a function, {} where the source is not to be had."""
    filename = _source_file(result.filename)
    linecache.checkcache(filename)
    lines = linecache.getlines(filename)
    first = result.first_line
    if not 0 < first <= len(lines):
        return {}
    block = inspect.getblock(lines[first - 1:])
    # A lambda's block ends with its line, whatever other lines it has.
    last = max(first + len(block) - 1, min(result.last_line, len(lines)))
    return {number: lines[number - 1] for number in range(first, last + 1)}


def _write_function(result, stream, precision):
    amount = "{0:%d.%df} MiB" % (precision + 4, precision)
    source = _block(result)
    stream.write("Filename: %s\n\n%s\n%s\n" % (_clean(_source_file(result.filename)), HEADER,
                                               "=" * len(HEADER)))
    for number in sorted(set(source) | set(result.lines)):
        figures = result.lines.get(number)
        columns = ("", "", "") if figures is None else (
            amount.format(figures.mem_usage_bytes / MIB),
            amount.format(figures.increment_bytes / MIB + 0.0), figures.occurrences)
        stream.write(TEMPLATE.format(number, *columns, _clean(source.get(number, ""))) + "\n")
    stream.write("\n")
    if not source:
        stream.write(NO_SOURCE % result.name + "\n")


def show_results(prof, stream=None, precision=1):
    """Prints what a LineProfiler counted, a table for each function that ran; precision: digits after
    the point. A function that did not run gets a sentence."""
    stream = sys.stdout if stream is None else stream
    for result in prof.results():
        if not result.calls and not result.lines:
            stream.write(NEVER % result.name + "\n")
            continue
        _write_function(result, stream, precision)
        if result.cut:
            stream.write(CUT + "\n")
        stream.write("\n")
    if prof.missed:
        stream.write(MISSED % prof.missed + "\n")
