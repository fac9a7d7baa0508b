# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The error of a PID that no process has: psutil.NoSuchProcess where psutil is installed, which is what
programs that were written for memory_profiler catch, and a ProcessLookupError everywhere."""
import errno
import functools

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Callable


def _with_psutil() -> "Callable[..., ProcessLookupError]":
    from psutil import NoSuchProcess as base  # only now: it isn't needed before

    class NoSuchProcess(base, ProcessLookupError):
        def __init__(self, pid: int, name: "str | None" = None, msg: str = "") -> None:
            base.__init__(self, pid, name, msg)
            self.errno, self.strerror, self.filename = errno.ESRCH, msg, str(pid)
    return NoSuchProcess


def _without_psutil() -> "Callable[..., ProcessLookupError]":
    class NoSuchProcess(ProcessLookupError):
        def __init__(self, pid: int, name: "str | None" = None, msg: str = "") -> None:
            super().__init__(errno.ESRCH, msg, str(pid))
            self.pid, self.name, self.msg = pid, name, msg
    return NoSuchProcess


@functools.lru_cache(maxsize=None)
def _kind() -> "Callable[..., ProcessLookupError]":
    try:
        return _with_psutil()
    except ImportError:
        return _without_psutil()


def no_such_process(pid: int) -> ProcessLookupError:
    """The exception, to be raised."""
    return _kind()(pid, msg="there is no process with this PID, or it has ended")
