# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A profiler must never break the program that it is in.

At any call a decorated function may find that it can't count: there is no helper, the helper refuses or has
died, the process is watched already, another tool has the interpreter's hooks. Then stderr says so once, and
the function runs as it would undecorated.
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
    """Writes a note to stderr: only the first one for each pair of subject and kind."""
    if (subject, kind) in _said:
        return
    _said.add((subject, kind))
    tell("pymem_bpf: %s: %s\n" % (subject, text))


def asked() -> "Tuple[Any, ...]":
    """What the search for a helper depends on. If it changes, there may be a helper now."""
    return os.getpid(), socket_path(), os.environ.get("PYMEM_BPF"), os.environ.get("PATH")


def _remember_failure() -> None:
    """Looking for a helper takes a tenth of a second if one has to be started, so it is not done at each call."""
    global _failure
    _failure = time.monotonic() + RETRY_SECONDS, asked()


def _failed_lately() -> bool:
    return _failure is not None and time.monotonic() < _failure[0] and _failure[1] == asked()


class Counting:
    """A context in which a profiler is enabled, if it can be. It is entered for each call, or for each step of
    a generator, one after another. If it could not be enabled, it is not disabled: another call may have enabled
    it meanwhile."""

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
            # The program's own calls may still be within the limit, or meet it themselves.
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
            except (RuntimeError, ValueError, OSError) as e:  # another tool took our place in sys.monitoring
                note_once("@profile", "unended", ENDED_BADLY % e)

    def end(self) -> None:
        """The call is over."""
