# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A profiler must never break the program that it is in.

What a decorated function needs for counting may be missing at any call: there is no helper, it refuses,
it died, the process is watched already, another tool has the interpreter's hooks. Then that is said once,
on stderr, and the function runs as it would undecorated.
"""
import os
import sys
import time

from ._helper import HelperError, socket_path
from ._streams import tell

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Set, Tuple

RETRY_SECONDS = 10
UNPROFILED = "%s\n(the decorated functions run unprofiled)"
ENDED_BADLY = "counting could not be ended: %s"

_said: "Set[Tuple[str, str]]" = set()
# (when to look for a helper again, what was asked for when there was none)
_failure: "Tuple[float, Tuple[Any, ...]] | None" = None


def note_once(subject: str, kind: str, text: str) -> None:
    """One note on stderr for each kind of thing that can be said of a subject, however often it happens."""
    if (subject, kind) in _said:
        return
    _said.add((subject, kind))
    tell("pymem_bpf: %s: %s\n" % (subject, text))


def asked() -> "Tuple[Any, ...]":
    """What a helper is looked for by: if it changes, there may be one now."""
    return os.getpid(), socket_path(), os.environ.get("PYMEM_BPF"), os.environ.get("PATH")


def _remember_failure() -> None:
    """To look for a helper takes a tenth of a second if one has to be started: not at each call."""
    global _failure
    _failure = time.monotonic() + RETRY_SECONDS, asked()


def _failed_lately() -> bool:
    return _failure is not None and time.monotonic() < _failure[0] and _failure[1] == asked()


class Counting:
    """A context in which a profiler is enabled, if it can be: once for each call that it is to see, or each
    step of it, one after another. What was not begun is not ended: another call may have begun meanwhile."""

    __slots__ = ("profiler", "begun")

    def __init__(self, profiler: "Any") -> None:
        self.profiler, self.begun = profiler, False

    def __enter__(self) -> "Counting":
        # Nothing can be imported any more, or shown.
        if sys.is_finalizing():
            return self
        if _failed_lately() and self.profiler.asks_for_helper():
            return self
        try:
            self.profiler.enable_by_count()
            self.begun = True
        except RecursionError:
            # The program's own calls may have room still, or meet the limit themselves.
            self.profiler.uncounted += 1
        except (RuntimeError, OSError) as e:
            if isinstance(e, HelperError):
                _remember_failure()
            note_once("@profile", "unprofiled", UNPROFILED % e)
        return self

    def __exit__(self, *_: object) -> None:
        if self.begun:
            self.begun = False
            try:
                self.profiler.disable_by_count()
            except (RuntimeError, ValueError, OSError) as e:  # somebody took our place in sys.monitoring
                note_once("@profile", "unended", ENDED_BADLY % e)

    def end(self) -> None:
        """The call is over."""
