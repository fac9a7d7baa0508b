# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What /proc says about the memory of a process, and a sampler that reads it from outside.

Needs no privilege for processes of the same user. `exact` figures come from smaps_rollup, which
walks the page tables (a few milliseconds a GiB); the others from statm, as psutil's do: on kernels
where resident counters are cached per task or per CPU these can be some dozen pages off.

Imports nothing but the smallest of the standard library, since it also runs as a script: the
sampler is an interpreter of its own (-I -S), so that it samples while the measured one holds the
GIL, and no fork copies the memory that is being measured.

  python -I -S _proc.py PID INTERVAL METRIC CHILDREN [PID…]

CHILDREN is 0 or 1; the PIDs after it are descendants that don't count, the sampler among them. METRIC may be
`timeline`, too: RSS, with one more sample where VmHWM rose above both its neighbours, and of long runs no more
samples than a plot has use for.

Writes "ready" when the first sample is taken, samples until its input ends or a byte comes, takes
one more, then writes all as lines `BYTES TIME`, and the line "end".

All functions raise ProcessLookupError where there is no such process, PermissionError where it is
another user's, OSError otherwise. Amounts are bytes.
"""
import os
import sys
import time
# The calls themselves: what a program puts in their place, as tests do, says nothing of its memory.
from os import close as _close
from os import getpid as getpid
from os import open as _open
from os import read as _read
from os import write as _write

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Container, Dict, List, Tuple

METRICS = ("rss", "pss", "uss")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
FILE_LIMIT = 1 << 20
TIMELINE_LIMIT, OF_EACH = 8192, 4


def read_file(pid: int, name: str) -> str:
    """Text of /proc/PID/name. If the process is gone, the error is a ProcessLookupError in any case."""
    try:
        fd = _open("/proc/%d/%s" % (pid, name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts: "List[bytes]" = []
            left = FILE_LIMIT
            while left > 0:
                part = _read(fd, min(left, 65536))
                if not part:
                    break
                parts.append(part)
                left -= len(part)
        finally:
            _close(fd)
    except FileNotFoundError:
        if os.path.isdir("/proc/%d" % pid):
            raise
        raise ProcessLookupError(3, "no such process", str(pid)) from None
    return b"".join(parts).decode("ascii", "replace")


def field_bytes(text: str, name: str) -> "int | None":
    """The value of a line `Name:  123 kB`; None if there is none."""
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None


def stat_fields(pid: int) -> "List[str]":
    """Fields of /proc/PID/stat from the third on: [0] is the state, [1] the parent's PID. The
    second, the name, may hold blanks and brackets of its own."""
    return read_file(pid, "stat").rpartition(")")[2].split()


def start_ticks(pid: int) -> int:
    """When the process began, in clock ticks since boot. With its PID this identifies a process."""
    return int(stat_fields(pid)[19])


def ended(pid: int) -> bool:
    """True if the process is gone, or is a zombie, whose memory is gone."""
    try:
        return stat_fields(pid)[0] in "ZXx"
    except ProcessLookupError:
        return True


def rss_bytes(pid: int) -> int:
    """RSS from the kernel's counters."""
    return int(read_file(pid, "statm").split()[1]) * PAGE_BYTES


def rollup(pid: int) -> "Dict[str, int]":
    """{"rss", "pss", "uss": bytes} from the page tables."""
    text = read_file(pid, "smaps_rollup")
    rss, pss = field_bytes(text, "Rss"), field_bytes(text, "Pss")
    if rss is None or pss is None:  # a zombie, or a kernel thread: the file is empty
        raise ProcessLookupError(3, "has no memory of its own", str(pid))
    private = (field_bytes(text, "Private_Clean") or 0) + (field_bytes(text, "Private_Dirty") or 0)
    return {"rss": rss, "pss": pss, "uss": private}


def has_memory(pid: int) -> bool:
    """False for a process that is ending: its memory is gone some time before it is a zombie, and in
    between its amounts read as 0."""
    try:
        return field_bytes(read_file(pid, "status"), "VmHWM") is not None
    except ProcessLookupError:
        return False


def exact_rss_bytes(pid: int) -> int:
    """RSS from the page tables; from the counters where those may not be read."""
    try:
        return rollup(pid)["rss"]
    except (PermissionError, FileNotFoundError):
        return rss_bytes(pid)


def high_water_bytes(pid: int) -> int:
    """VmHWM: the highest RSS since the process began its program, or since the last reset."""
    value = field_bytes(read_file(pid, "status"), "VmHWM")
    if value is None:
        raise ProcessLookupError(3, "has no memory of its own", str(pid))
    return value


#: How often this process's VmHWM began anew by reset_high_water(): whoever measures by it sees that another did.
resets = 0


def reset_high_water() -> None:
    """Resets this process's VmHWM to the RSS of now (Linux 4.0). Nothing else changes: writing 5 leaves
    referenced and soft-dirty bits alone."""
    global resets
    resets += 1
    fd = _open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write(fd, b"5")
    finally:
        _close(fd)


def parents() -> "Dict[int, int]":
    """{PID: PID of its parent} of all processes that can be seen."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found[int(name)] = int(stat_fields(int(name))[1])
            except (OSError, IndexError):
                continue  # it ended while the list was read
    return found


def direct_children(pid: int) -> "List[int] | None":
    """PIDs of the children of all threads; None where the kernel has no such list."""
    found: "List[int]" = []
    try:
        tids = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return found
    for tid in tids:
        try:
            found += [int(word) for word in read_file(pid, "task/%s/children" % tid).split()]
        except ProcessLookupError:
            return found
        except FileNotFoundError:
            if os.path.isdir("/proc/%d/task/%s" % (pid, tid)):
                return None  # CONFIG_PROC_CHILDREN is not set
        except OSError:
            continue  # the thread has ended
    return found


def descendants(pid: int, without: "Container[int]" = ()) -> "List[int]":
    """PIDs of children, their children and so on; not those in `without`."""
    found: "List[int]" = []
    known: "Dict[int, int] | None" = None
    wait = [pid]
    while wait:
        one = wait.pop()
        some = direct_children(one) if known is None else None
        if some is None:
            known = known or parents()
            some = [child for child, parent in known.items() if parent == one]
        for child in some:
            if child not in without and child not in found:
                found.append(child)
                wait.append(child)
    return found


def metric_bytes(pid: int, metric: str) -> int:
    """Bytes of a process. metric: rss, pss, uss, or exact: exact_rss_bytes()."""
    if metric == "exact":
        return exact_rss_bytes(pid)
    return rss_bytes(pid) if metric == "rss" else rollup(pid)[metric]


def children_bytes(pid: int, metric: str, without: "Container[int]" = ()) -> "List[Tuple[int, int]]":
    """[(PID, bytes)] of all descendants. One that ends meanwhile is left out; so is one that
    another user owns, where the metric needs its page tables."""
    found = []
    for child in descendants(pid, without):
        try:
            found.append((child, metric_bytes(child, metric)))
        except OSError:
            continue
    return found


def total_bytes(pid: int, metric: str, children: bool = False, without: "Container[int]" = ()) -> int:
    """Bytes of a process; with `children`, of its descendants, too."""
    total = metric_bytes(pid, metric)
    if children:
        total += sum(amount for _, amount in children_bytes(pid, metric, without))
    return total


def thinned(samples: "List[Tuple[int, float]]") -> "List[Tuple[int, float]]":
    """Half of the samples: of each four neighbours the lowest and the highest, in their order; so no peak is lost."""
    kept: "List[Tuple[int, float]]" = []
    for at in range(0, len(samples), OF_EACH):
        group = samples[at:at + OF_EACH]
        ends = {group.index(min(group)), group.index(max(group))}
        kept += [group[i] for i in sorted(ends)]
    return kept


class _Samples:
    """All samples of a process."""

    def __init__(self, pid: int, interval: float, metric: str, children: bool, without: "List[int]") -> None:
        self.pid, self.interval, self.metric, self.children = pid, interval, metric, children
        self.without = without
        self.taken: "List[Tuple[int, float]]" = []

    def take(self) -> None:
        self.taken.append((total_bytes(self.pid, self.metric, self.children, self.without), time.time()))


class _Timeline(_Samples):
    """RSS for a plot. A run of whatever length needs no more memory here than that of TIMELINE_LIMIT samples."""

    mark, last = 0, (0, 0.0)

    def take(self) -> None:
        amount, mark, now = rss_bytes(self.pid), high_water_bytes(self.pid), time.time()
        if self.taken and mark > self.mark and mark > max(self.last[0], amount):
            self.taken.append((mark, (self.last[1] + now) / 2))
        self.mark, self.last = mark, (amount, now)
        self.taken.append(self.last)
        if len(self.taken) >= TIMELINE_LIMIT:
            self.taken = thinned(self.taken)
            self.interval *= 2


def sample(pid: int, interval: float, metric: str, children: bool, without: "List[int]") -> None:
    """The sampler: see above."""
    import select
    kind = _Timeline if metric == "timeline" else _Samples
    samples = kind(pid, interval, metric, children, without + [os.getpid()])
    samples.take()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    due = time.monotonic()
    try:
        while True:
            due += samples.interval
            if select.select([0], [], [], max(0.0, due - time.monotonic()))[0]:
                break
            samples.take()
        samples.take()
    except ProcessLookupError:
        pass  # what it measured has ended: nobody waits for more
    sys.stdout.write("".join("%d %.6f\n" % one for one in samples.taken) + "end\n")


if __name__ == "__main__":
    sample(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4] == "1",
           [int(word) for word in sys.argv[5:]])
