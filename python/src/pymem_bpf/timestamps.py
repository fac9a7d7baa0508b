# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""When decorated functions ran, and RSS at both ends: the FUNC lines of mprof's .dat files.

  python -m pymem_bpf.timestamps -o FILE [--include-children] [--backend B] [-m] SCRIPT.py|MODULE [args]

runs a program with `profile` among the builtins and appends its FUNC lines to FILE when it ends by itself.
mprof run starts Python programs like this. Calls that are still open at the end have no line. If the process
is killed, there are no lines.
"""
import argparse
import contextlib
import functools
import os
import sys
import threading
import time

from . import _proc, memory
from ._calls import wrap_calls
from ._counting import note_once
from ._program import ProgramMissing, run_program
from ._streams import tell, write_text
from ._wrapping import decorate, mark

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Iterator, List, Sequence, TextIO, Tuple

    Record = Tuple[str, int, float, int, float, int]

RECORDS_LIMIT = 1000000


class _StampedCall:
    """One call of a decorated function."""

    __slots__ = ("stamper", "name", "entered")

    def __init__(self, stamper: "TimeStamper", name: str) -> None:
        self.stamper, self.name, self.entered = stamper, name, stamper._enter()

    def __enter__(self) -> None:
        """Does nothing: a suspended call goes on."""

    def __exit__(self, *_: object) -> None:
        pass

    def end(self) -> None:
        self.stamper._leave(self.name, self.entered)


class _Stamped:
    """What wrap_calls() does at each call of a function."""

    __slots__ = ("stamper", "name")

    def __init__(self, stamper: "TimeStamper", name: str) -> None:
        self.stamper, self.name = stamper, name

    def __call__(self) -> "_StampedCall":
        return _StampedCall(self.stamper, self.name)


class TimeStamper:
    """A decorator that records when functions ran, and memory at both ends.

    records: a list of (name, bytes, time, bytes, time, level), one a call; times are seconds since the epoch;
    level: how many decorated calls of this thread are around it. Calls past RECORDS_LIMIT are counted in
    `dropped`, those whose memory could not be read in `unread` (int). backend: as memory_usage's; ValueError:
    there is none of that name. include_children: descendants are added. Calls may run in any number of
    threads; none raises anything of ours."""

    def __init__(self, backend: "str | None" = None, include_children: bool = False) -> None:
        self.metric, self.children = memory.choose_metric(backend), include_children
        self.records: "List[Record]" = []
        self.dropped = self.unread = 0
        self._thread = threading.local()

    def _now(self) -> "Tuple[int, float] | None":
        """(bytes, time) now; None: memory can't be read (no descriptors, no /proc). The program gets no error."""
        try:
            return _proc.total_bytes(os.getpid(), self.metric, self.children), time.time()
        except Exception as e:
            note_once("@profile", "unread", "memory could not be read: %s" % e)
            return None

    def _enter(self) -> "Tuple[int, Tuple[int, float] | None]":
        level = getattr(self._thread, "level", 0)
        self._thread.level = level + 1
        return level, self._now()

    def _leave(self, name: str, entered: "Tuple[int, Tuple[int, float] | None]") -> None:
        level, start = entered
        # It may have been entered in another thread: a generator that is collected, say.
        self._thread.level = max(0, getattr(self._thread, "level", 0) - 1)
        name = "_".join(name.split())  # a blank ends the field
        end = self._now() if start and len(self.records) < RECORDS_LIMIT else None
        if start and end:
            self.records.append((name,) + start + end + (level,))
        elif len(self.records) < RECORDS_LIMIT:
            self.unread += 1
        else:
            self.dropped += 1

    def __call__(self, function: "Any" = None, **_: "Any") -> "Any":
        if function is None:
            return self
        return decorate(function, self._wrap)

    def _wrap(self, function: "Any") -> "Any":
        name = "%s.%s" % (function.__module__, getattr(function, "__qualname__", function.__name__))
        return mark(wrap_calls(function, _Stamped(self, name)), function)

    def __reduce__(self) -> "Tuple[Any, ...]":
        # Nobody would see the records of an unpickled copy: it begins without any.
        return TimeStamper, (self.metric, self.children)

    @contextlib.contextmanager
    def timestamp(self, name: str = "<block>") -> "Iterator[None]":
        """A context whose block gets a record: `with profile.timestamp("load"):`. In the file it is
        `.load`, a name in no module, as memory_profiler has it."""
        entered = self._enter()
        try:
            yield
        finally:
            self._leave(".%s" % name, entered)

    def show_results(self, stream: "TextIO | None" = None) -> None:
        """Writes a FUNC line for each record, memory in MiB, and says on stderr what was not recorded. stream: a
        text stream; None: sys.stdout. Raises what its write() raises."""
        text = "".join("FUNC %s %.4f %.4f %.4f %.4f %d\n"
                       % (name, before / memory.MIB, start, after / memory.MIB, end, level)
                       for name, before, start, after, end, level in list(self.records))
        if text:
            write_text(sys.stdout if stream is None else stream, text)
        if self.dropped:
            tell("pymem_bpf: %d calls of decorated functions are not in the file: the limit is %d\n"
                 % (self.dropped, RECORDS_LIMIT))
        if self.unread:
            tell("pymem_bpf: %d calls of decorated functions are not in the file: memory could not be read\n"
                 % self.unread)


def main(argv: "Sequence[str] | None" = None) -> None:
    """The command line, without the program's name (None: sys.argv): runs a program. SystemExit: its
    status, or what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m pymem_bpf.timestamps")
    parser.add_argument("-o", dest="output", required=True)
    parser.add_argument("--include-children", action="store_true")
    parser.add_argument("--backend", default=None)
    parser.add_argument("-m", dest="module", action="store_true")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    if options.program[:1] == ["--"]:
        del options.program[0]
    if not options.program:
        parser.error("a program to run is missing")
    try:
        stamper = TimeStamper(options.backend, options.include_children)
    except ValueError as e:
        parser.error(str(e))
    output = os.path.abspath(options.output)  # the program may go to another folder
    try:
        run_program(options.program[0], options.program[1:], stamper, options.module,
                    functools.partial(_write, stamper, output))
    except ProgramMissing as e:
        sys.exit("%s: %s" % (sys.executable, e))


def _write(stamper: "TimeStamper", path: str) -> bool:
    """Writes the lines. Always True: a failure doesn't change the program's exit status."""
    try:
        # One write: the sampler appends to the same file.
        with open(path, "a", buffering=1 << 24, encoding="utf-8", errors="backslashreplace") as f:
            stamper.show_results(f)
    except Exception as e:
        tell("pymem_bpf: no FUNC lines: %s can't be written (%s: %s)\n" % (path, type(e).__name__, e))
    return True


if __name__ == "__main__":
    main()
