# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The error of a PID that no process has: psutil.NoSuchProcess where psutil is installed, which is what
programs that were written for memory_profiler catch, and a ProcessLookupError everywhere."""
import errno
import functools


@functools.lru_cache(maxsize=None)
def _kind():
    try:
        from psutil import NoSuchProcess as base  # only now: it isn't needed before
    except ImportError:
        class NoSuchProcess(ProcessLookupError):
            def __init__(self, pid, name=None, msg=None):
                ProcessLookupError.__init__(self, errno.ESRCH, msg, str(pid))
                self.pid, self.name, self.msg = pid, name, msg
    else:
        class NoSuchProcess(base, ProcessLookupError):
            def __init__(self, pid, name=None, msg=None):
                base.__init__(self, pid, name, msg)
                self.errno, self.strerror, self.filename = errno.ESRCH, msg, str(pid)
    return NoSuchProcess


def no_such_process(pid):
    """The exception, to be raised."""
    return _kind()(pid, msg="there is no process with this PID, or it has ended")
