# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What stands in for a Counter where there is no helper: /proc/self/statm, read at each line event.

Its figures are the process's, not one thread's. How far from the truth they are depends on the kernel:

- From 6.16 on (commit 82241a83cd15, which some older kernels took over) statm adds up all parts of the
  kernel's counters: it is right to the page.
- From 6.2 on each CPU holds back what is less than a batch, of each of three counters.
- Up to 6.1 each thread holds back what its last page faults brought.

Whether statm adds up all parts is tried out. If it does not, the kernel's version tells which of the other two
it is. What is held back may be missing at both ends of a run.
"""
import collections
import mmap
import os
import struct
import threading
import time

from . import _helper
from ._counting import RETRY_SECONDS, asked
from ._helper import HelperError, NoServer
from .counter import BLOCK_BYTES, BLOCK_LIVE, BLOCK_VERSION

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Tuple

    from .counter import Counter

__all__ = ["Estimate", "best", "insists"]

MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ATTEMPTS = 3  # other threads may disturb one
# percpu_counter_batch of the kernel, in pages, and the counters that are resident memory.
BATCH_LEAST, BATCH_EACH_CPU, KINDS = 32, 2, 3
FIRST_WITH_CPU_PARTS = (6, 2)
# Before that: faults until check_sync_rss_stat() adds them; so much of a file one fault maps (fault_around_bytes).
HELD_FAULTS, FAULT_AROUND_BYTES = 66, 65536

if TYPE_CHECKING:
    Bound = NamedTuple("Bound", [("usual_bytes", int), ("worst_bytes", int)])
else:
    Bound = collections.namedtuple("Bound", "usual_bytes worst_bytes")


def kernel_version(release: str) -> "Tuple[int, int]":
    """(6, 1) of "6.1.0-50-arm64"; (0, 0) of another text."""
    parts = release.split(".")
    try:
        return int(parts[0]), int("".join(c for c in parts[1].partition("-")[0] if c.isdigit()))
    except (IndexError, ValueError):
        return 0, 0


def bound(sums: bool, release: str, online: int, usable: int) -> "Bound":
    """How far one run of a line may be from the truth, in bytes. usual: it stays on one CPU and maps no files;
    worst: whatever it does. sums: statm adds up all parts. release: of the kernel (uname -r). online: CPUs of the
    machine; usable: those that this process may run on."""
    if sums:
        return Bound(0, 0)
    if kernel_version(release) < FIRST_WITH_CPU_PARTS:
        return Bound(HELD_FAULTS * PAGE_BYTES, HELD_FAULTS * max(PAGE_BYTES, FAULT_AROUND_BYTES))
    # At each end of the run, a part is less than a batch away from 0, in either direction.
    part = 2 * (max(BATCH_LEAST, BATCH_EACH_CPU * online) - 1) * PAGE_BYTES
    return Bound(part, part * KINDS * usable)


def statm_sums() -> bool:
    """Whether statm adds up all parts of the counters: pages that are touched are in it at once, one by one.
    A batch that is full by chance, and other threads, may make that look otherwise for a page or two."""
    from . import _lines
    for _ in range(ATTEMPTS):
        steps, touched = _lines.Recorder.resident_steps()
        if steps >= touched * 3 // 4:
            return True
    return False


class Estimate:
    """A source of figures for a LineProfiler, with a Counter's interface, whose block has none: the extension reads
    /proc instead. error: why there is no Counter.

    reason: text, empty where simply no server runs. bound: a Bound, for one run of a line. For all of a process
    there is one block, so that its profilers can be enabled together."""

    where = "/proc/self/statm"

    def __init__(self, error: HelperError) -> None:
        self.error = error
        self.reason = "" if isinstance(error, NoServer) else str(error)
        self.bound = bound(statm_sums(), os.uname().release, os.sysconf("SC_NPROCESSORS_ONLN"),
                           len(os.sched_getaffinity(0)))
        self.block = _block()

    def fileno(self) -> int:
        """-1: there is no connection."""
        return -1

    def alive(self) -> bool:
        """True: /proc can't end."""
        return True

    def head(self) -> str:
        """The line above a table: how far from the truth, and what to do about that."""
        usual, worst = (amount / MIB for amount in self.bound)
        within = "to the page" if not worst else (
            "to within %.1f MiB a run of a line (at worst %.1f)" % (usual, worst))
        return "Approximate: %s, other threads' changes included. %s`%s` makes it exact" % (
            within, "" if _helper.program() else "Once pymem-bpf is installed, ", _helper.command())


_shared_block: "mmap.mmap | None" = None


def _block() -> "mmap.mmap":
    """A counter block without figures, that of this process."""
    global _shared_block
    if _shared_block is None:
        block = mmap.mmap(-1, BLOCK_BYTES)
        struct.pack_into("@II", block, 0, BLOCK_VERSION, BLOCK_LIVE)
        _shared_block = block
    return _shared_block


def insists(exact: "bool | None") -> bool:
    """Whether only exact figures will do. exact: what was asked for; None: as $PYMEM_BPF_EXACT has it, where
    nothing and 0 mean no."""
    return os.environ.get("PYMEM_BPF_EXACT", "0") not in ("", "0") if exact is None else exact


_lock = threading.Lock()
_current: "Estimate | None" = None
# (time.monotonic() until which no helper is looked for, as long as asked() gives this)
_spared: "Tuple[float, Tuple[Any, ...]]" = (0.0, ())


def best(exact: bool = False, again: bool = False) -> "Counter | Estimate":
    """The process's shared Counter; where there is none an Estimate, unless exact: then a HelperError says why.

    While a profiler uses an Estimate, it is that one. Trying to start a helper, or being refused, takes time: it
    isn't done again for 10 s, unless `again`. May be called from any thread."""
    global _current, _spared
    from . import _lines, counter
    with _lock:
        if not exact and _current is not None and (
                _lines.Recorder.estimating() or
                (not again and time.monotonic() < _spared[0] and asked() == _spared[1])):
            return _current
        try:
            return counter.shared()
        except HelperError as e:
            if exact:
                raise
            if _current is None or str(_current.error) != str(e):
                _current = Estimate(e)
            _spared = (0.0 if isinstance(e, NoServer) else time.monotonic() + RETRY_SECONDS, asked())
            return _current


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
