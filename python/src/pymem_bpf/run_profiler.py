# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The builtin `profile` of python -m pymem_bpf and of %mprun: functions of one run, decorated or not.

Lines are counted by code object, so functions need no wrapper: a decorated function stays the same object, and
the program sees no difference. Counting goes on from the first decorated function to the end of the run.
"""
import os
import weakref

from ._counting import UNPROFILED, note_once
from ._supported import has_monitoring
from ._wrapping import Refused, note_refused, own_methods
from .line_profiler import LineProfiler

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any

__all__ = ["RunProfiler"]

_holding: "weakref.WeakSet[RunProfiler]" = weakref.WeakSet()  # those that are enabled for a run


class RunProfiler(LineProfiler):
    """A LineProfiler of one run, in one process. In a forked child decorated functions run unprofiled, as nobody
    would see the figures.

    hold() enables it for the whole run, at the latest when the first function is decorated; then enable() and
    disable() change nothing. close() ends the run: what is decorated later is not profiled."""

    def __init__(self, **options: "Any") -> None:
        super().__init__(**options)
        self._only_process = os.getpid()
        self._held = self._closed = False

    def hold(self) -> None:
        """Counts until close(). Raises what enable() raises. A second call is no error."""
        if self._held or self._closed or self.idle():
            return
        self.enable_by_count()
        self._held = True
        _holding.add(self)

    def close(self) -> None:
        """Ends the counting for good, however often it was enabled. A second call is no error."""
        self._closed = True
        if self._held:
            self._held = False
            _holding.discard(self)
            LineProfiler.disable(self)  # also if it was enabled elsewhere, too

    def disable(self) -> None:
        """Disables it, unless hold() keeps it enabled."""
        if self._held:
            self.enable_count = 1  # the run's own
        else:
            super().disable()

    def _add_methods(self, cls: type) -> None:
        found = False
        for _, value in own_methods(cls):
            try:
                self.add_function(value)
                found = True
            except Exception:
                continue  # an attribute
        if not found:
            raise Refused("class %s has no methods in Python to profile" % cls.__qualname__)

    def __call__(self, function: "Any" = None, precision: "int | None" = None) -> "Any":
        """Profiles a thing from now on, and returns it as it is: a function, a class, anything with functions
        inside it. If it can't be profiled, stderr says so. precision: as LineProfiler's."""
        if function is None:
            return self
        if self.idle():
            return function
        try:
            if issubclass(type(function), type):
                self._add_methods(function)
            else:
                self.add_function(function)
        except Exception as e:  # the program's own code may run, in a property of a thing
            note_refused(function, e)
            return function
        try:
            self.hold()
        except (RuntimeError, OSError) as e:
            note_once("@profile", "unprofiled", UNPROFILED % e)
        return function


def _after_fork() -> None:
    """In the child: asks for no more lines. (Before 3.12 it goes on, as running frames need the hook.)"""
    if not has_monitoring():
        return
    for profiler in list(_holding):
        profiler._held = False
        profiler.drop_hook()
    _holding.clear()


os.register_at_fork(after_in_child=_after_fork)
