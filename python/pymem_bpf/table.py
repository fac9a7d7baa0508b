# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of %mprun and @profile, in memory_profiler's layout.

Every line of a function's source has a row, those that did not run without figures. Source comes
from linecache, which knows notebook cells and the prompt too; where there is none, the lines that
ran are shown without text, and it is said.
"""
import inspect
import linecache
import sys

__all__ = ["show_results"]

TEMPLATE = "{0:>6} {1:>12} {2:>12}  {3:>10}   {4:<}"
MIB = 1 << 20


def _last_line(result, source):
    """The last line of the function's block, as far as the source tells."""
    if not source:
        return result.last_line
    # The source may have changed, and be shorter, since the code was compiled.
    block = inspect.getblock(source[result.first_line - 1:]) if source[result.first_line - 1:] else []
    return max(result.first_line + len(block) - 1, result.last_line)


def _row(number, line, text, amount):
    if line is None:
        return TEMPLATE.format(number, "", "", "", text)
    return TEMPLATE.format(number, amount.format(line.mem_usage_bytes / MIB),
                           amount.format(_no_negative_zero(line.increment_bytes / MIB, amount)),
                           line.occurrences, text)


def _no_negative_zero(value, amount):
    return 0.0 if amount.format(value).strip().startswith("-0.") and float(
        amount.format(value).split()[0]) == 0 else value


def _show(result, stream, amount):
    linecache.checkcache(result.filename)
    source = linecache.getlines(result.filename)
    stream.write("Filename: " + result.filename + "\n\n")
    if not result.calls and not result.lines:
        stream.write("%s was never called while it was profiled.\n\n\n" % result.name)
        return
    header = TEMPLATE.format("Line #", "Mem usage", "Increment", "Occurrences", "Line Contents")
    stream.write(header + "\n" + "=" * len(header) + "\n")
    for number in range(result.first_line, _last_line(result, source) + 1):
        text = source[number - 1] if number <= len(source) else ""
        if source or number in result.lines:
            stream.write(_row(number, result.lines.get(number), text.rstrip("\n"), amount) + "\n")
    if not source:
        stream.write("The source of %s is not available: %s\n" % (result.name, result.filename))
    stream.write("\n\n")


def show_results(prof, stream=None, precision=1):
    """Prints a table for each function of a LineProfiler.

    stream: where to; None: sys.stdout. precision: digits after the point. A function that was never
    called is named as such; so is what the figures lack where the helper ended meanwhile."""
    stream = sys.stdout if stream is None else stream
    amount = "{0:%d.%df} MiB" % (precision + 4, precision)
    for result in prof.results():
        _show(result, stream, amount)
    if prof.cut and prof.forked:
        stream.write("NOTE: this process was forked while this ran: the figures are those of the "
                     "process it came from, until then.\n\n")
    elif prof.cut:
        stream.write("NOTE: the helper ended while this ran: changes after that are not in the "
                     "figures; occurrences are. Start it again: sudo pymem-bpf serve\n\n")
    if prof.unread:
        stream.write("NOTE: /proc/self/smaps_rollup could not be read %d times: what changed then is with "
                     "a later line.\n\n" % prof.unread)
    if prof.missed:
        stream.write("NOTE: there were more threads than are counted one by one: increments of some "
                     "may lack.\n\n")
