# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""memplot() and PlotWatch: resident memory over the time that a call or a block takes, and the lines by which it
grew.

RSS is sampled by another interpreter, so also while code holds the GIL. The peak is the kernel's own, as %memit's;
where it lay between two samples, there is one more. Which lines grew is counted by a LineProfiler. That slows down
code of nothing but short lines, so without a helper, where each line event costs a read of /proc, only functions are
counted that were named for it.
"""
import gc
import linecache
import os
import re
import time

from . import _helper, _proc, memory
from ._helper import HelperError
from ._shapes import BLOCKS, columns, escaped, heat, mib, paragraph
from ._streams import printable

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, Dict, Iterator, List, Sequence, Tuple

    from ._growth import Growth, Steps
    from .run_profiler import RunProfiler

__all__ = ["memplot", "MemoryLine", "MemoryPlot", "PlotWatch"]

INTERVAL_SECONDS = 0.01
LINES, LEAST_BYTES, LEAST_SHARE, AS_MUCH = 5, 64 << 10, 0.02, 0.8
FLAT_BYTES, UNSEEN_BYTES, UNSEEN_SHARE = 100 << 10, 1 << 20, 0.02
TEXT_COLUMNS, TEXT_ROWS, SOURCE_COLUMNS = 64, 8, 72
CELL = re.compile(r"<ipython-input-(\d+)-")
KERNEL_CELL = re.compile(r"/ipykernel_\d+/\d+\.py$")


class MemoryLine:
    """A line by which memory grew.

    file, line, function: where it is. text: its source. grown_bytes: what its runs changed in all, with what they
    called. seconds: when it had brought half of that, since the start; first_seconds, last_seconds: a tenth, and nine
    tenths. A run counts when it ends. depth: how many names away from the code that was run its function is. part_of:
    what it is a line of, if that is not a file's: "the cell"; above: lines of that which are not in `file`."""

    def __init__(self, file: str, line: int, function: str, steps: "Steps", began: float, depth: int = 0,
                 part_of: str = "", above: int = 0) -> None:
        self.file, self.line, self.function, self.depth = file, line, function, depth
        self.part_of, self.above = part_of, above
        self.text = linecache.getline(file, line).strip()
        self.grown_bytes = steps[-1][1]

        def when(share: float) -> float:
            return next(at for at, amount in steps if amount >= share * self.grown_bytes) - began
        self.first_seconds, self.seconds, self.last_seconds = when(0.1), when(0.5), when(0.9)

    @property
    def place(self) -> str:
        """Where it is, in few words: `shop.py:5`, `In [3]:1`, `line 2 of the cell`."""
        if self.part_of:
            return "line %d of %s" % (self.line + self.above, self.part_of)
        cell = CELL.search(self.file)
        if cell:
            return "In [%s]:%d" % (cell.group(1), self.line)
        name = "a cell" if KERNEL_CELL.search(self.file) else os.path.basename(self.file)
        return "%s:%d" % (printable(name), self.line)

    @property
    def where(self) -> str:
        """The place, and the function if it is in one."""
        return self.place + ("" if self.function.startswith("<module>") else " " + printable(self.function))

    def __repr__(self) -> str:
        return "<MemoryLine %s: %s>" % (self.where, mib(self.grown_bytes, True))


class MemoryPlot:
    """Resident memory while code ran. A notebook shows it as SVG, a terminal as rows of blocks.

    samples: [(seconds since the start, bytes)]. start_bytes, end_bytes, peak_bytes; peak_seconds: when the peak was;
    None: between samples, so that is not known. seconds: how long it took. lines: of MemoryLine, those that grew most.
    head: how far from the truth the figures of lines are; empty: they are exact, or there are none. notes: what a
    reader must know. what: what was run. returned: what the call returned (of memplot())."""

    def __init__(self, samples: "List[Tuple[float, int]]", peak_bytes: int, lines: "Sequence[MemoryLine]" = (),
                 head: str = "", notes: "Sequence[str]" = (), what: str = "the code") -> None:
        self.samples, self.what, self.head = samples, what, head
        self.lines, self.notes = list(lines), list(notes)
        self.seconds = samples[-1][0]
        self.start_bytes, self.end_bytes = samples[0][1], samples[-1][1]
        when, highest = max(samples, key=lambda one: one[1])
        self.peak_bytes = max(peak_bytes, highest)
        unseen = max(UNSEEN_BYTES, UNSEEN_SHARE * (self.peak_bytes - self.start_bytes))
        self.peak_seconds: "float | None" = when if self.peak_bytes - highest <= unseen else None
        self.returned: "Any" = None

    @property
    def grown_bytes(self) -> int:
        """How far the peak is above the start."""
        return self.peak_bytes - self.start_bytes

    @property
    def kept_bytes(self) -> int:
        """By how much RSS at the end is above the start."""
        return self.end_bytes - self.start_bytes

    @property
    def verdict(self) -> str:
        """The answer in a sentence: the peak, when it was, how much grew, how much of that is still there, by which
        line."""
        if self.grown_bytes < FLAT_BYTES:
            return "Resident memory stayed at %s for %.2f s." % (mib(self.peak_bytes), self.seconds)
        text = "Peak %s %s, %s above the start" % (
            mib(self.peak_bytes), "between two samples" if self.peak_seconds is None else
            "after %.2f s" % self.peak_seconds, mib(self.grown_bytes))
        text += ("; at the end nothing of it is left" if self.kept_bytes < FLAT_BYTES else
                 "; %s are left at the end" % mib(self.kept_bytes))
        if self.lines:
            first = self.lines[0]
            text += "; most came by %s%s (%s)" % (
                first.where, ": " + self._source(first) if first.text else "", mib(first.grown_bytes, True))
        return text + "."

    @staticmethod
    def _source(line: MemoryLine) -> str:
        text = printable(line.text.expandtabs(8))
        return text if len(text) <= SOURCE_COLUMNS else text[:SOURCE_COLUMNS - 1] + "…"

    def at(self, seconds: float) -> int:
        """RSS at a time, in bytes: that of the sample before."""
        amount = self.start_bytes
        for when, sampled in self.samples:
            if when > seconds:
                break
            amount = sampled
        return amount

    def legend(self) -> "List[str]":
        """A sentence for each number in the plot."""
        return ["%d: %s grew by %s, %s." % (number, line.where, mib(line.grown_bytes), _when(line))
                for number, line in enumerate(self.lines, 1)]

    def _repr_svg_(self) -> str:
        from ._svg import svg
        return svg(self)

    def save(self, path: str) -> None:
        """Writes the plot to a file, as SVG. OSError."""
        with open(path, "w", encoding="utf-8") as f:
            f.write("<?xml version='1.0' encoding='utf-8'?>\n%s\n" % self._repr_svg_())

    def _repr_html_(self) -> str:
        from ._svg import image
        parts = ["<p><b>%s</b></p>" % escaped(self.verdict), image(self), self._table()]
        parts += ["<p>%s</p>" % paragraph(text) for text in self.remarks()]
        return "<div>%s</div>" % "".join(parts)

    def _table(self) -> str:
        if not self.lines:
            return ""
        most = max(line.grown_bytes for line in self.lines)
        right = "<td style='text-align:right;white-space:nowrap;%s'>%s</td>"
        rows = "".join("<tr>%s%s%s<td style='text-align:left'>%s</td><td style='text-align:left'><code>%s</code></td></tr>"
                       % (right % ("", number), right % (heat(line.grown_bytes, most), mib(line.grown_bytes, True)),
                          right % ("", _when(line)), escaped(line.where), escaped(line.text))
                       for number, line in enumerate(self.lines, 1))
        return ("<table><caption>Lines that grew most, with what they called</caption><tr><th></th><th>Grown</th>"
                "<th>When</th><th style='text-align:left'>Line</th><th></th></tr>%s</table>" % rows)

    def remarks(self) -> "List[str]":
        """What stands below the plot: how exact the lines are, and the notes."""
        return ([self.head] if self.head else []) + ["NOTE: " + note for note in self.notes]

    def _rows(self, blocks: str) -> "Iterator[str]":
        """The curve in characters. blocks: from an empty to a full one."""
        parts = columns(self.samples, self.seconds, TEXT_COLUMNS)
        low, high = min(part[0] for part in parts), max(max(part[1] for part in parts), self.peak_bytes)
        step = max(high - low, FLAT_BYTES) / (TEXT_ROWS * (len(blocks) - 1))
        heights = [1 + (part[1] - low) / step for part in parts]
        for row in range(TEXT_ROWS - 1, -1, -1):
            bottom = row * (len(blocks) - 1)
            cells = [blocks[int(min(len(blocks) - 1, max(0, height - bottom)))] for height in heights]
            amount = mib(high) if row == TEXT_ROWS - 1 else mib(low) if not row else ""
            yield "%12s |%s" % (amount, "".join(cells).rstrip())
        yield "%12s +%s" % ("", "-" * TEXT_COLUMNS)
        yield "%14s%-*s%6.2f s" % ("", TEXT_COLUMNS - 8, "0", self.seconds)
        if self.lines:
            marks = [" "] * TEXT_COLUMNS
            for number, line in reversed(list(enumerate(self.lines, 1))):
                share = line.seconds / self.seconds if self.seconds else 0
                marks[int(min(TEXT_COLUMNS - 1, max(0, TEXT_COLUMNS * share)))] = str(number)
            yield "%14s%s" % ("", "".join(marks).rstrip())

    def text(self, blocks: str = BLOCKS) -> str:
        """The plot for a terminal. blocks: characters from empty to full; " #" for those without Unicode."""
        parts = [self.verdict, ""] + list(self._rows(blocks))
        parts += ["%3d %12s  %-16s %s%s" % (number, mib(line.grown_bytes, True), _when(line), line.where,
                                          "  " + self._source(line) if line.text else "")
                  for number, line in enumerate(self.lines, 1)]
        return "\n".join(parts + self.remarks())

    def __repr__(self) -> str:
        import sys
        try:
            BLOCKS.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return self.text(" #")
        return self.text()

    def _repr_pretty_(self, printer: "Any", cycle: bool) -> None:
        printer.text(repr(self))


def _when(line: MemoryLine) -> str:
    if line.last_seconds - line.first_seconds < 0.1:
        return "at %.2f s" % line.seconds
    return "%.2f to %.2f s" % (line.first_seconds, line.last_seconds)


# --- running it ---

def _installed() -> "Tuple[str, ...]":
    """Folders of Python, of installed packages and of this one, each with a slash at its end."""
    import sysconfig  # only now: imports are memory, too
    paths = sysconfig.get_paths()
    folders = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders.append(os.path.dirname(os.path.abspath(__file__)))
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


def _is_users(code: "CodeType", installed: "Tuple[str, ...]") -> bool:
    """Is it code of the user's, not of Python or of an installed package?"""
    name = code.co_filename
    if CELL.search(name) or KERNEL_CELL.search(name):
        return True
    path = os.path.realpath(name)
    return os.path.isfile(path) and "%sdist-packages%s" % (os.sep, os.sep) not in path and not path.startswith(installed)


class PlotWatch:
    """Watches this process while a block runs:

      with PlotWatch(load) as watch:
          load("data.csv")
      watch.plot

    plot: a MemoryPlot, once the block has ended, also by an exception; None before. functions: functions, methods or
    classes whose lines are counted besides those that are found. lines: whether lines are counted at all. exact: as
    LineProfiler's. interval: seconds between samples. TypeError: a function has no lines. HelperError: exact figures
    are asked for and there are none. RuntimeError: another profiler is enabled, with another counter, or the sampler
    can't be started. It measures the process: two at once, in two threads, disturb each other."""

    def __init__(self, *functions: object, lines: bool = True, exact: "bool | None" = None,
                 interval: float = INTERVAL_SECONDS, what: str = "the code") -> None:
        if not interval > 0:
            raise ValueError("interval: a positive number of seconds, not %r" % (interval,))
        self.plot: "MemoryPlot | None" = None
        self._is_used = False
        self.interval, self.what = interval, what
        self.notes: "List[str]" = []
        self._depths: "Dict[CodeType, int]" = {}
        self._names: "Dict[CodeType, Tuple[str, int]]" = {}
        self._profiler: "RunProfiler | None" = None
        self._growth: "Growth | None" = None
        self._peak: "memory.Peak | None" = None
        self._functions, self._lines, self._exact = functions, lines or bool(functions), exact

    def add_code(self, code: "CodeType", space: "Dict[str, Any]", name: str = "", above: int = 0) -> None:
        """Counts the lines of code that the block is going to run, and of functions of the user's that it names, if
        there are exact figures. space: its global names. name: what it is
        called, if it is no function's. above: how many lines of that are above its first. Errors: the class's."""
        from ._named import named
        self._prepare()
        if self._profiler is None or self._profiler.approximate:
            return
        self._profiler.add_code(code)
        self._names[code] = name, above
        self._depths.setdefault(code, 0)
        installed = _installed()
        for function, depth in named(code, space, lambda one: _is_users(one, installed), True):
            self._profiler.add_function(function)
            self._depths.setdefault(function.__code__, depth)

    def _prepare(self) -> None:
        """Finds what lines are counted by, if they are."""
        if self._profiler is not None or not self._lines:
            return
        self._lines = False  # not again
        try:
            from ._estimate import Estimate, best, insists
            from .run_profiler import RunProfiler
            source = best(insists(self._exact), again=True)
            if isinstance(source, Estimate) and not self._functions:
                self.notes.append("lines are not marked: %s\nFunctions that are named (-f FUNC) are counted without it, "
                                  "approximately" % source.error)
                return
            profiler = RunProfiler(counter=source, exact=self._exact)
            profiler.prepare()
        except (HelperError, ImportError) as e:
            if self._functions or self._exact:
                raise
            self.notes.append("lines are not marked: %s" % e)
            return
        for function in self._functions:
            profiler.add_function(function)
        self._profiler = profiler

    def __enter__(self) -> "PlotWatch":
        if self._is_used:
            raise RuntimeError("a PlotWatch is for one block; make another one")
        self._is_used = True
        self._prepare()
        gc.collect()
        peak = memory.Peak(self._counter())
        self._floor = self._begin(peak)  # also here: else the sampler would begin with a mark of long ago
        self._sampler = memory.Sampler(self.interval, "timeline", False)
        try:
            if self._profiler is not None:
                from ._growth import Growth
                self._profiler.hold()
                growth = Growth(self._profiler)
                growth.start()
                self._growth = growth
            self._floor = self._begin(peak)
        except BaseException:
            self._sampler.close()
            self._close()
            raise
        self._began = time.time()
        return self

    def _counter(self) -> "Any":
        try:
            return memory.available_counter()
        except HelperError as e:
            self.notes.append("without the helper: %s" % e)
            return None

    def _begin(self, peak: "memory.Peak") -> int:
        try:
            self._peak = None
            floor = peak.start()
            self._peak = peak
            return floor
        except (OSError, HelperError) as e:
            note = "the peak is the highest sample: %s" % e
            if note not in self.notes:
                self.notes.append(note)
            return peak.now() if peak.counter is None else peak.counter.rss_bytes

    def _close(self) -> None:
        if self._profiler is not None:
            self._profiler.close()
        if self._growth is not None:
            self._growth.stop()

    def __exit__(self, kind: object, *_: object) -> None:
        ended, highest, left = time.time(), self._read_peak(), _proc.exact_rss_bytes(_proc.getpid())
        try:
            self._close()
            taken = self._sampler.stop()
        except RuntimeError as e:
            if kind is None:
                raise
            self.notes.append(str(e))  # what the block has raised comes first
            taken = []
        finally:
            self._sampler.close()
        samples = [(0.0, self._floor)] + [(when - self._began, amount) for amount, when in taken
                                          if self._began < when < ended]
        samples.append((max(ended - self._began, samples[-1][0]), left))
        head, notes = "", list(self.notes)
        if self._profiler is not None:
            from .table import _notes
            head = self._profiler.head
            notes += _notes(self._profiler)
        self.plot = MemoryPlot(samples, highest, self._found(ended), head, notes, self.what)

    def _read_peak(self) -> int:
        """The peak in bytes; 0: only samples know it."""
        if self._peak is None:
            return 0
        try:
            highest = self._peak.bytes()
        except (OSError, HelperError) as e:
            self.notes.append("the peak is the highest sample: %s" % e)
            return 0
        if self._peak.frozen:
            self.notes.append("the helper ended meanwhile: the peak is the highest until then, or a sample; start it "
                              "again: %s" % _helper.command())
        return highest

    def _found(self, ended: float) -> "List[MemoryLine]":
        """The lines that grew most. The first of them is the one that is named in the answer: of lines that grew about
        as much as the most, it is the innermost, since the others called it."""
        if self._growth is None:
            return []
        grown = [(steps[-1][1], code, number) for (code, number), steps in self._growth.steps.items()
                 if steps[-1][1] >= LEAST_BYTES]
        grown.sort(key=lambda one: (-one[0], one[1].co_filename, one[2]))
        lines = [MemoryLine(code.co_filename, number, code.co_name,
                            # The last look was a moment after the end.
                            [(min(when, ended), so_far) for when, so_far in self._growth.steps[code, number]], self._began,
                            self._depths.get(code, 1), *self._names.get(code, ("", 0)))
                 for amount, code, number in grown[:4 * LINES] if amount >= LEAST_SHARE * grown[0][0]]
        if lines:
            alike = [line for line in lines if line.grown_bytes >= AS_MUCH * lines[0].grown_bytes]
            first = max(alike, key=lambda line: line.depth)
            lines.remove(first)
            lines.insert(0, first)
        return lines[:LINES]


def memplot(call: "Any", *functions: object, lines: bool = True, exact: "bool | None" = None,
            interval: float = INTERVAL_SECONDS) -> MemoryPlot:
    """Runs a call and returns a MemoryPlot of it, with what it returned as `returned`.

    call: a function or a tuple (f, args, kwargs). functions, lines, exact, interval, errors: as PlotWatch's; the lines
    of f are counted, too, and those of functions of the user's that it names. Raises what the call raises: with a
    PlotWatch there is a plot also then."""
    if not callable(call) and not isinstance(call, (tuple, list)):
        raise TypeError("a call is a function or a tuple (function, args, kwargs), not %r" % (call,))
    function, args, kw = memory._call_of(call)
    watch = PlotWatch(*functions, lines=lines, exact=exact, interval=interval,
                      what=printable(getattr(function, "__qualname__", type(function).__name__)))
    code = getattr(function, "__code__", None)
    if code is not None:
        watch.add_code(code, getattr(function, "__globals__", {}))
    with watch:
        returned = function(*args, **kw)
    assert watch.plot is not None  # or __exit__() has raised
    watch.plot.returned = returned
    return watch.plot
