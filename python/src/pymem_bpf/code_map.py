# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""LineProfiler.code_map: the lines of each code object, as memory_profiler's programs read them."""
import collections.abc
import linecache
import types

from .memory import MIB
from .table import _last_line

__all__ = ["CodeMap"]


def _codes_of(code):
    """A code object and those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes_of(constant)


class CodeMap(collections.abc.Mapping):
    """{code object: {line: (increment in MiB, memory in MiB, occurrences)}}, lines in ascending order. The
    code objects inside a function's lead to the function's lines. A view of its LineProfiler: what it
    counts later is in it. items() is not the mapping's but memory_profiler's: for each function that ran, its
    file's name and an iterator of (line, its tuple, or None if it did not run) over all its lines.

    Without a profiler it makes one of its own, which add() gives code to."""

    def __init__(self, include_children=False, backend=None, profiler=None):
        if profiler is None:
            from .line_profiler import LineProfiler
            profiler = LineProfiler(include_children=include_children, backend=backend)
        self.include_children, self.backend, self.profiler = include_children, backend, profiler

    def add(self, code, toplevel_code=None):
        """Profiles a code object; with toplevel_code, which it is part of, there is nothing to add."""
        if toplevel_code is None:
            self.profiler.add_code(code)

    def _tables(self):
        tables = {}
        for result in self.profiler.results():
            lines = {number: (line.increment_bytes / MIB, line.mem_usage_bytes / MIB, line.occurrences)
                     for number, line in sorted(result.lines.items())}
            for code in _codes_of(result.code):
                tables.setdefault(code, lines)
        return tables

    def __getitem__(self, code):
        return self._tables()[code]

    def __iter__(self):
        return iter(self._tables())

    def __len__(self):
        return len(self._tables())

    def values(self):
        return list(self._tables().values())

    def items(self):
        tables = self._tables()
        for result in self.profiler.results():
            lines = tables[result.code]
            if lines:
                last = _last_line(result, linecache.getlines(result.filename))
                yield result.filename, zip(range(result.first_line, last + 1),
                                           map(lines.get, range(result.first_line, last + 1)))

    def __repr__(self):
        return "CodeMap(%r)" % self._tables()
