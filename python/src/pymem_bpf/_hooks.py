# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How the interpreter is asked to tell the extension of the lines of profiled code."""
import collections
import sys

from . import _lines

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    import types
    from typing import Any, Dict, Iterable

__all__ = ["Evaluation", "Monitoring"]


class Monitoring:
    """sys.monitoring (3.12 and later): a tool ID while anything is profiled."""

    def __init__(self) -> None:
        self.api: "Any" = getattr(sys, "monitoring")  # type checkers for older versions don't know it
        self.tool: "int | None" = None
        self.codes: "Dict[int, int]" = collections.Counter()

    def _claim(self) -> None:
        monitoring = self.api
        # IDs with a documented use are left to the program: a tool that it starts (cProfile, coverage, a
        # debugger) gives up if its own is taken.
        for tool in (3, 4, monitoring.OPTIMIZER_ID):
            try:
                monitoring.use_tool_id(tool, "pymem_bpf")
            except ValueError:
                continue
            self.tool = tool
            break
        else:
            raise RuntimeError("sys.monitoring has no free tool (3, 4, %d): end another profiler first"
                               % monitoring.OPTIMIZER_ID)
        events = monitoring.events
        for event, callback in (
                (events.PY_START, _lines.on_start), (events.PY_RESUME, _lines.on_resume),
                (events.PY_THROW, _lines.on_resume), (events.LINE, _lines.on_line),
                (events.PY_RETURN, _lines.on_leave), (events.PY_YIELD, _lines.on_leave),
                (events.PY_UNWIND, _lines.on_leave)):
            monitoring.register_callback(self.tool, event, callback)
        # These two events can't be limited to some code objects.
        monitoring.set_events(self.tool, events.PY_UNWIND | events.PY_THROW)

    def _release(self) -> None:
        monitoring = self.api
        monitoring.set_events(self.tool, 0)
        for event in (monitoring.events.PY_START, monitoring.events.PY_RESUME,
                      monitoring.events.PY_THROW, monitoring.events.LINE,
                      monitoring.events.PY_RETURN, monitoring.events.PY_YIELD,
                      monitoring.events.PY_UNWIND):
            monitoring.register_callback(self.tool, event, None)
        monitoring.free_tool_id(self.tool)
        self.tool = None

    def begin(self, codes: "Iterable[types.CodeType]") -> None:
        if self.tool is None:
            self._claim()
        self.add(codes)

    def add(self, codes: "Iterable[types.CodeType]") -> None:
        events = self.api.events
        mask = (events.PY_START | events.PY_RESUME | events.LINE | events.PY_RETURN
                | events.PY_YIELD)
        for code in codes:
            self.codes[_code_key(code)] += 1
            self.api.set_local_events(self.tool, code, mask)

    def end(self, codes: "Iterable[types.CodeType]") -> None:
        for code in codes:
            self.codes[_code_key(code)] -= 1
            if not self.codes[_code_key(code)]:
                del self.codes[_code_key(code)]
                self.api.set_local_events(self.tool, code, 0)
        if not self.codes:
            self._release()


def _code_key(code: "types.CodeType") -> int:
    """What tells a code object (int) from others, also from those that are equal to it."""
    return id(code)


class Evaluation:
    """The frame evaluation function (before 3.12), installed while anything is profiled."""

    def __init__(self) -> None:
        self.users = 0

    def begin(self, codes: "Iterable[types.CodeType]") -> None:
        _lines.install()  # in each thread: 3.11 has reasons (native/_lines_eval.c)
        self.users += 1

    def add(self, codes: "Iterable[types.CodeType]") -> None:
        pass

    def end(self, codes: "Iterable[types.CodeType]") -> None:
        self.users -= 1
        if not self.users:
            _lines.uninstall()
