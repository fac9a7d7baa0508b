# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""LineProfiler.code_map: the lines of each code object, as memory_profiler's programs read them."""
import collections.abc
import linecache
import types

from .memory import MIB
from .table import _last_line

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Tuple

    from .line_profiler import LineProfiler

    Line = Tuple[float, float, int]
    Lines = Dict[int, Line]

__all__ = ["CodeMap"]


def _codes_of(code: "types.CodeType") -> "Iterator[types.CodeType]":
    """A code object and those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes_of(constant)


if TYPE_CHECKING:
    Base = collections.abc.Mapping[types.CodeType, Lines]
else:
    Base = collections.abc.Mapping


class CodeMap(Base):
    """{code object: {line: (increment in MiB, memory in MiB, occurrences)}}, lines in ascending order. A
    code object inside a function has the function's lines. It is a view of its LineProfiler, and shows what that
    counts later. items() is not a mapping's but memory_profiler's: for each function that ran, its file's name
    and an iterator of (line, its tuple, or None if it did not run) over all its lines.

    Without a profiler it makes one of its own, and add() adds code to that."""

    def __init__(self, include_children: bool = False, backend: "str | None" = None,
                 profiler: "LineProfiler | None" = None) -> None:
        if profiler is None:
            from .line_profiler import LineProfiler
            profiler = LineProfiler(include_children=include_children, backend=backend)
        self.include_children, self.backend, self.profiler = include_children, backend, profiler

    def add(self, code: "types.CodeType", toplevel_code: "types.CodeType | None" = None) -> None:
        """Profiles a code object and those inside it. With toplevel_code, of which it is a part, it does nothing:
        that one has brought it in. Errors: those of LineProfiler.add_code()."""
        if toplevel_code is None:
            self.profiler.add_code(code)

    def _tables(self) -> "Dict[types.CodeType, Lines]":
        tables: "Dict[types.CodeType, Lines]" = {}
        for result in self.profiler.results():
            lines = {number: (line.increment_bytes / MIB, line.mem_usage_bytes / MIB, line.occurrences)
                     for number, line in sorted(result.lines.items())}
            for code in _codes_of(result.code):
                tables.setdefault(code, lines)
        return tables

    def __getitem__(self, code: "types.CodeType") -> "Lines":
        return self._tables()[code]

    def __iter__(self) -> "Iterator[types.CodeType]":
        return iter(self._tables())

    def __len__(self) -> int:
        return len(self._tables())

    def values(self) -> "List[Lines]":  # type: ignore[override] # memory_profiler's is no view
        """A list, for each code object, of {line: (increment in MiB, memory in MiB, occurrences)}."""
        return list(self._tables().values())

    def items(  # type: ignore[override] # memory_profiler's are no pairs of key and value
            self) -> "Iterator[Tuple[str, Iterator[Tuple[int, Line | None]]]]":
        """For each function that ran, (file name, iterator of (line number, its tuple)) over all its lines; None
        in place of the tuple of a line that did not run."""
        tables = self._tables()
        for result in self.profiler.results():
            lines = tables[result.code]
            if lines:
                last = _last_line(result, linecache.getlines(result.filename))
                yield result.filename, zip(range(result.first_line, last + 1),
                                           map(lines.get, range(result.first_line, last + 1)))

    def __repr__(self) -> str:
        return "CodeMap(%r)" % self._tables()
