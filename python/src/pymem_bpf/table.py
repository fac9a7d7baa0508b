# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of %mprun and @profile, in memory_profiler's layout: as text, and as HTML for notebooks.

Every line of a function's source has a row, without figures if it did not run. Source comes from linecache,
which also knows notebook cells and the prompt, and the encoding that a file names (PEP 263). If there is no
source, the lines that ran are shown without text, and a remark says so.
"""
import inspect
import linecache
import os
import sys
import threading
import tokenize

from ._streams import fit, write_text

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Iterator, List, Sequence, TextIO, Tuple

    from .line_profiler import FunctionResult, LineProfiler, LineResult

__all__ = ["Tables", "show_results"]

TEMPLATE = "{0:>6} {1:>12} {2:>12}  {3:>10}   {4:<}"
TITLES = ("Line #", "Mem usage", "Increment", "Occurrences", "Line Contents")
HTML_FIGURE = "<td style='text-align:right;white-space:nowrap;%s'>%s</td>"
HTML_SOURCE = "<td style='text-align:left'><pre style='margin:0;background:none'>%s</pre></td>"
MIB = 1 << 20


def _source(filename: str) -> "List[str]":
    """The file's lines; empty if there are none."""
    if filename not in linecache.cache and os.path.exists(filename) and not os.path.isfile(filename):
        return []  # a pipe or a terminal (/dev/stdin): reading it would take the program's input
    try:
        linecache.checkcache(filename)
        lines = linecache.getlines(filename)
    except (SyntaxError, ValueError):  # its text is not in the encoding that it names, or there is no such encoding
        lines = []
    if lines or not os.path.isfile(filename):
        return lines
    try:
        with open(filename, encoding="utf-8", errors="backslashreplace") as f:
            return f.readlines()
    except OSError:
        return []


def _last_line(result: "FunctionResult", source: "List[str]") -> int:
    """The last line of the function's block, as far as the source tells."""
    if not source:
        return result.last_line
    # The source may have changed, and be shorter or no Python, since the code was compiled.
    try:
        block = inspect.getblock(source[result.first_line - 1:])
    except (IndexError, SyntaxError, tokenize.TokenError):
        block = []
    return max(result.first_line + len(block) - 1, result.last_line)


def _figures(line: "LineResult | None", amount: str) -> "Tuple[Any, ...]":
    """The texts of the columns between number and contents."""
    if line is None:
        return "", "", ""
    return (amount.format(line.mem_usage_bytes / MIB),
            amount.format(_no_negative_zero(line.increment_bytes / MIB, amount)), line.occurrences)


def _no_negative_zero(value: float, amount: str) -> float:
    return 0.0 if amount.format(value).strip().startswith("-0.") and float(
        amount.format(value).split()[0]) == 0 else value


def _rows(result: "FunctionResult", source: "List[str]", amount: str) -> "Iterator[Tuple[Any, ...]]":
    """A tuple for each row, of as many as there are TITLES. source: the file's lines, which may be none."""
    for number in range(result.first_line, _last_line(result, source) + 1):
        text = source[number - 1] if number <= len(source) else ""
        if source or number in result.lines:
            yield (number,) + _figures(result.lines.get(number), amount) + (text.rstrip("\r\n"),)


def _has_nothing(result: "FunctionResult", is_whole: bool) -> str:
    """The sentence in place of a table; empty if there is a table. is_whole: all calls could be counted."""
    if result.calls or result.lines:
        return ""
    return ("%s was never called in this process while it was profiled." if is_whole else
            "No call of %s was counted; the NOTE below says which calls were not.") % result.name


def _remarks(result: "FunctionResult", source: "List[str]") -> "Iterator[str]":
    """What is below a table."""
    if not source:
        yield "The source of %s is not available: %s" % (result.name, _file(result))
    if result.untold:
        yield ("NOTE: sys.settrace() (a debugger, coverage), or a greenlet's switch, took the "
               "interpreter's trace function while %s ran: lines that ran until we had it back have no "
               "row, and their amounts are with the line before." % result.name)


def _file(result: "FunctionResult") -> str:
    return result.filename or "(no file name)"


def _table(result: "FunctionResult", amount: str, is_whole: bool, head: str) -> "Iterator[str]":
    """The lines of a function's table."""
    yield "Filename: " + _file(result)
    if head:
        yield head
    yield ""
    nothing = _has_nothing(result, is_whole)
    if nothing:
        yield nothing
        return
    source = _source(result.filename)
    header = TEMPLATE.format(*TITLES)
    yield header
    yield "=" * len(header)
    for row in _rows(result, source, amount):
        yield TEMPLATE.format(*row)
    yield from _remarks(result, source)


def _html_table(result: "FunctionResult", amount: str, is_whole: bool, head: str) -> str:
    """The same for a notebook, with a bar behind each increment."""
    from ._shapes import escaped, heat, paragraph  # only now: imports are memory, too
    text = "<p>Filename: %s</p>" % escaped(_file(result))
    if head:
        text += "<p><b>%s</b></p>" % paragraph(head)
    nothing = _has_nothing(result, is_whole)
    if nothing:
        return text + "<p>%s</p>" % paragraph(nothing)
    source = _source(result.filename)
    most = max([abs(line.increment_bytes) for line in result.lines.values()] + [0])
    rows = []
    for row in _rows(result, source, amount):
        line = result.lines.get(row[0])
        bars = ["", "", heat(line.increment_bytes, most) if line else "", ""]
        rows.append("".join(HTML_FIGURE % (bar, str(one).strip()) for bar, one in zip(bars, row[:-1]))
                    + HTML_SOURCE % escaped(row[-1]))
    titles = "".join("<th>%s</th>" % title for title in TITLES[:-1]) + "<th style='text-align:left'>%s</th>" % TITLES[-1]
    return text + "<table><tr>%s</tr>%s</table>" % (titles, "".join("<tr>%s</tr>" % row for row in rows)) + "".join(
        "<p>%s</p>" % paragraph(remark) for remark in _remarks(result, source))


def _html_note(note: str) -> str:
    from ._shapes import paragraph
    return "<p>NOTE: %s</p>" % paragraph(note)


def _head_of(result: "FunctionResult") -> str:
    """The line above the table of a result by itself, which does not know what would make it exact."""
    if not result.approximate:
        return ""
    within = "to within %.1f MiB a run of a line, at worst" % (result.error_bytes / MIB) if result.error_bytes else (
        "to the page")
    return "Approximate: %s, other threads' changes included" % within


def result_text(result: "FunctionResult", precision: int = 1) -> str:
    """The table of one FunctionResult, as show_results() has it."""
    return "\n".join(_table(result, _amount(precision), True, _head_of(result)))


def result_html(result: "FunctionResult", precision: int = 1) -> str:
    """The same as HTML for a notebook."""
    return _html_table(result, _amount(precision), True, _head_of(result))


def _names(native_ids: "Sequence[int]") -> str:
    """Threads as top and /proc name them, with the names that those have which still run."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    return ("thread " if len(native_ids) == 1 else "threads ") + ", ".join(
        "%d (%s)" % (one, names[one]) if one in names else str(one) for one in native_ids)


def _notes(prof: "LineProfiler") -> "Iterator[str]":
    """What the figures lack."""
    if prof.approximate_reason:
        yield "the figures are approximate, because: %s" % prof.approximate_reason
    if prof.cut and prof.forked:
        yield ("this process was forked while this ran: the figures are those of the process it came "
               "from, until then.")
    elif prof.cut:
        yield ("the helper ended while this ran: changes after that are not in the figures; occurrences "
               "are. Start it again: sudo pymem-bpf serve")
    if prof.unread:
        yield ("%s could not be read %d times: what changed then is with a later line." % (
            "/proc" if prof.approximate else "/proc/self/smaps_rollup", prof.unread))
    if prof.missed:
        yield ("there were more threads than are counted one by one: increments of some may lack.")
    if prof.deep:
        yield ("counting stopped in %s: recursion too deep, half of the thread's C stack was used. What ran deeper "
               "there has no occurrences; what it changed is with the lines that called it."
               % _names(prof.deep_threads))
    if prof.blind:
        yield ("meanwhile, calls of threads that had just begun, or that a debugger or coverage traced, may lack.")
    if prof.uncounted:
        yield ("%d calls were so near the limit of recursion that they could not be counted."
               % prof.uncounted)


def show_results(prof: "LineProfiler", stream: "TextIO | None" = None, precision: int = 1) -> None:
    """Prints a table for each function of a LineProfiler, amounts in MiB.

    stream: where to, a text stream; None: sys.stdout. What it can't encode is escaped. precision: digits after
    the point (int). For a function that was never called a sentence says so. Notes below say what the figures
    lack: the helper ended, the process was forked, counting stopped in a thread, … Raises what the stream's
    write() raises; ValueError: sys.stdout is None. All is written in one piece."""
    text = _text(prof, precision)
    if text:
        write_text(sys.stdout if stream is None else stream, text)


def _amount(precision: int) -> str:
    return "{0:%d.%df} MiB" % (precision + 4, precision)


def _is_whole(prof: "LineProfiler") -> bool:
    """Were all calls counted?"""
    return not (prof.deep or prof.blind or prof.uncounted)


def _text(prof: "LineProfiler", precision: int) -> str:
    tables = ("\n".join(_table(result, _amount(precision), _is_whole(prof), prof.head)) + "\n\n\n"
              for result in prof.results())
    return "".join(tables) + "".join("NOTE: %s\n\n" % note for note in _notes(prof))


class Tables:
    """What show_results() prints, as something that IPython can display: text, and HTML in a notebook.

    prof: a LineProfiler; precision: as show_results(). approximate (bool), error_bytes (int): as the
    LineProfiler's."""

    def __init__(self, prof: "LineProfiler", precision: int = 1) -> None:
        self.approximate, self.error_bytes = prof.approximate, prof.error_bytes
        self._plain = _text(prof, precision).rstrip()
        self._html = "".join(_html_table(result, _amount(precision), _is_whole(prof), prof.head)
                             for result in prof.results())
        self._html += "".join(_html_note(note) for note in _notes(prof))

    def __str__(self) -> str:
        return self._plain

    def _repr_pretty_(self, printer: "Any", cycle: bool) -> None:
        printer.text(fit(self._plain, sys.stdout))

    def _repr_html_(self) -> str:
        return self._html
