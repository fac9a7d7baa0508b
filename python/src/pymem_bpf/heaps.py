# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who keeps the memory of a process: `pymem-bpf heap`, run as a helper, and what it found as objects.

The command reads the process from outside, this one too. Users may look at processes that they may read: their own,
if kernel.yama.ptrace_scope is 0. If it is 1, only the ancestors of a process may, and those that it permits. This
process permits its own descendants while the helper runs (PR_SET_PTRACER), so that %memheap works there, too.
"""
import html
import json
import os
import subprocess

from ._helper import HelperError, HelperMissing, program
from ._streams import printable as _shown

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Tuple

__all__ = ["heap", "HeapReport", "HeapHolder", "HeapType", "HeapBirth", "HeapTouched", "HeapWatch"]

MIB = 1 << 20
SCHEMA = "pymem-bpf-heap/1"
ROWS = 10
PARTS = 2
NAME_COLUMNS = 72
PR_SET_PTRACER = 0x59616d61
FOREVER_SECONDS = 1e8
BALANCE = {"objects": "objects", "buffers": "their buffers", "pool_free": "free in pools",
           "arena_free": "free in arenas", "malloc_used": "used by C code", "malloc_free": "free in malloc",
           "mapped_buffers": "mapped buffers", "anonymous_other": "other anonymous", "stacks": "stacks",
           "files": "files", "shared": "shared", "unexplained": "unexplained"}


def _size(count: "int | None", sign: bool = False) -> str:
    if count is None:
        return ""
    if count and abs(count) <= MIB // 10:
        return "%+.0f KiB" % (count / 1024) if sign else "%.0f KiB" % (count / 1024)
    return "%+.1f MiB" % (count / MIB) if sign and count else "%.1f MiB" % (count / MIB)


def _count(number: "int | None", sign: bool = False) -> str:
    return "" if number is None else format(number, "+,d" if sign and number else ",d")


class _Row:
    """One object of the report, its keys as attributes."""

    def __init__(self, data: "Dict[str, Any]") -> None:
        for name in self.__slots__:
            setattr(self, name, data[name])

    __slots__: "Tuple[str, ...]" = ()

    def __repr__(self) -> str:
        return "%s(%s)" % (type(self).__name__, ", ".join(
            "%s=%r" % (name, getattr(self, name)) for name in self.__slots__))


class HeapHolder(_Row):
    """A holder, an object that keeps memory: path (where it is found in the source), type, entries (None: no container),
    retained_bytes (freed with it), grown_bytes and entries_grown (between two looks, else None), new (was not there at
    the first look), local (of a running function), shared_by (who shares it, or None)."""

    __slots__ = ("path", "type", "entries", "retained_bytes", "grown_bytes", "entries_grown", "new", "local",
                 "shared_by")
    path: str
    type: str
    entries: "int | None"
    retained_bytes: int
    grown_bytes: "int | None"
    entries_grown: "int | None"
    new: "bool | None"
    local: bool
    shared_by: "str | None"


class HeapType(_Row):
    """All objects of a type: type (its name), objects, bytes (their own and their buffers'), and what has grown
    between two looks (else None)."""

    __slots__ = ("type", "objects", "bytes", "objects_grown", "bytes_grown")
    type: str
    objects: int
    bytes: int
    objects_grown: "int | None"
    bytes_grown: "int | None"


class HeapBirth(_Row):
    """A line that put something into a holder that grew (method "watch"), or in which objects were made that it keeps
    ("burst": the innermost one whose function names the holder, else the innermost one): holder (its path), file,
    line, function, stack (that line and its callers), made (the innermost line, if it is another one, or None), type of
    what was put there, insertions seen, entries of the holder among them, share of the insertions."""

    __slots__ = ("holder", "file", "line", "function", "stack", "made", "type", "method", "insertions", "entries",
                 "share")
    holder: str
    file: str
    line: int
    function: str
    stack: "List[str]"
    made: "str | None"
    type: "str | None"
    method: str
    insertions: int
    entries: int
    share: float


class HeapTouched(_Row):
    """A line by whose page faults memory became resident: file, line, function, resident_bytes, and now: what is in
    these pages, as {"what", "bytes"}."""

    __slots__ = ("file", "line", "function", "resident_bytes", "now")
    file: str
    line: int
    function: str
    resident_bytes: int
    now: "List[Dict[str, Any]]"


class HeapReport:
    """What was found in one process. str() is a table; a notebook shows an HTML one.

    data: all of it, as docs/JSON.md describes a process of schema pymem-bpf-heap/1. The other attributes are made from
    that: pid, python (its version), verdict (the answer in sentences), rss_bytes, balance (bytes by part; they add up
    to RSS), seconds (between the two looks, or None), holders, types, births, touched, touched_before_bytes and
    touched_unknown_bytes (with the lines of touched they add up to RSS; None if it was not noted), notes. With two looks
    holders and types come in the order of their growth, else of their size. types_only: no holders were looked for, and
    no type's bytes have its buffers in them."""

    def __init__(self, data: "Dict[str, Any]") -> None:
        self.data = data
        self.pid: int = data["pid"]
        self.python: str = data["python"]
        self.verdict: str = data["verdict"]
        self.rss_bytes: int = data["rss_bytes"]
        self.balance: "Dict[str, int]" = data["balance"]
        self.seconds: "float | None" = data["seconds"]
        self.types_only: bool = data.get("types_only", False)
        self.holders = [HeapHolder(row) for row in data["holders"]]
        self.types = [HeapType(row) for row in data["types"]]
        self.births = [HeapBirth(row) for row in data["births"]]
        self.touched = [HeapTouched(row) for row in data["touched"]]
        self.touched_before_bytes: "int | None" = data["touched_before_bytes"]
        self.touched_unknown_bytes: "int | None" = data["touched_unknown_bytes"]
        self.notes: "List[str]" = ["Not read: " + text for text in data["skipped"]] + data["notes"]

    def holder(self, path: str) -> HeapHolder:
        """The holder of that path. KeyError: it is none of those that were found."""
        for row in self.holders:
            if row.path == path:
                return row
        raise KeyError(path)

    def _parts(self) -> "Iterator[Tuple[str, int]]":
        yield "RSS", self.rss_bytes
        for name, text in BALANCE.items():
            if self.balance[name]:
                yield text, self.balance[name]

    def _tables(self) -> "Iterator[Tuple[List[str], List[List[str]], int]]":
        """(titles, rows, how many are not shown); the last column is a name."""
        two = self.seconds is not None
        yield (["Retained"] + ["Grown"] * two + ["Entries"] + ["Grown"] * two + ["Holder"],
               [[_size(h.retained_bytes)] + [_size(h.grown_bytes, True)] * two + [_count(h.entries)]
                + [_count(h.entries_grown, True)] * two + ["%s  %s" % (_shown(h.path) or "(no name)", _shown(h.type))]
                for h in self.holders[:ROWS]], len(self.holders) - ROWS)
        yield (["Bytes"] + ["Grown"] * two + ["Objects"] + ["Grown"] * two + ["Type, without buffers" if self.types_only else "Type, with its buffers"],
               [[_size(t.bytes)] + [_size(t.bytes_grown, True)] * two + [_count(t.objects)]
                + [_count(t.objects_grown, True)] * two + [_shown(t.type)] for t in self.types[:ROWS]],
               len(self.types) - ROWS)
        yield (["Resident", "First touched by: what is there now"],
               [[_size(t.resident_bytes), "%s:%d %s: %s" % (
                   _shown(os.path.basename(t.file)), t.line, _shown(t.function),
                   ", ".join("%s %s" % (_size(part["bytes"]), _shown(part["what"])) for part in t.now[:PARTS]))]
                for t in self.touched[:ROWS]], len(self.touched) - ROWS)

    def _lines(self) -> "Iterator[str]":
        yield _shown(self.verdict)
        yield ""
        yield "RSS %s = %s" % (_size(self.rss_bytes), " + ".join(
            "%s %s" % (text, _size(part)) for text, part in self._parts() if text != "RSS"))
        for titles, rows, more in self._tables():
            if not rows:
                continue
            widths = [max(len(row[i]) for row in [titles] + rows) for i in range(len(titles) - 1)]
            yield ""
            for row in [titles] + rows:
                figures = ["%*s" % (width, text) for width, text in zip(widths, row)]
                yield "  ".join(figures + [row[-1] if len(row[-1]) <= NAME_COLUMNS else row[-1][:NAME_COLUMNS - 1] + "…"])
            if more > 0:
                yield "%*s  and %d more" % (widths[0], "", more)
        for note in self.notes:
            yield "Note: " + _shown(note)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_pretty_(self, printer: "Any", cycle: bool) -> None:
        """IPython's terminal shows the table."""
        printer.text(str(self))

    def __repr__(self) -> str:
        return "<HeapReport of process %d: %s>" % (self.pid, _shown(self.verdict))

    def _repr_html_(self) -> str:
        parts = "".join("<tr><th>%s</th><td style='text-align:right'>%s</td></tr>" % (html.escape(text), _size(part))
                        for text, part in self._parts())
        tables = ["<table><caption>What RSS is made of</caption>%s</table>" % parts]
        for titles, rows, more in self._tables():
            if not rows:
                continue
            head = "".join("<th>%s</th>" % html.escape(title) for title in titles[:-1])
            head += "<th style='text-align:left'>%s</th>" % html.escape(titles[-1])
            body = "".join("<tr>%s<td style='text-align:left'>%s</td></tr>" % (
                "".join("<td style='text-align:right'>%s</td>" % html.escape(text) for text in row[:-1]),
                html.escape(row[-1])) for row in rows)
            tables.append("<table><tr>%s</tr>%s</table>" % (head, body) + (
                "<p>and %d more</p>" % more if more > 0 else ""))
        notes = "".join("<p>Note: %s</p>" % html.escape(_shown(note)) for note in self.notes)
        return "<p><b>%s</b></p>%s%s" % (html.escape(_shown(self.verdict)), "".join(tables), notes)


# --- running it ---

def _permit(pid: int) -> None:
    """Lets descendants of process `pid` look at this one, if Yama's ptrace_scope requires that; 0: ends that.
    Without Yama the kernel knows no such request, and none is needed."""
    import ctypes  # only now: imports are memory, too
    prctl = ctypes.CDLL(None).prctl
    prctl(ctypes.c_int(PR_SET_PTRACER), ctypes.c_ulong(pid), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def _words(pid: int, seconds: float, pause: bool, types_only: bool) -> "List[str]":
    if pause and types_only:
        raise ValueError("pause and types_only: without a copy there is nothing to stop the process for")
    found = program()
    if found is None:
        raise HelperMissing("no helper: pymem-bpf is not where PATH or PYMEM_BPF say. Build it with make, or set "
                            "PYMEM_BPF to its path")
    words = [found, "heap", "-p", str(pid), "--format", "json"]
    return words + (["-d", "%.17g" % seconds] if seconds else []) + (["--pause"] if pause else []) + (
        ["--types-only"] if types_only else [])


class HeapWatch:
    """Two looks at this process or another, and in between whatever the caller does:

      with HeapWatch() as watch:
          work()
      print(watch.report)

    report: a HeapReport of what came in between and stayed, once the block has ended; None before. pid, pause,
    types_only: as heap()'s. HelperMissing: the program is not there. HelperError: the process can't be looked at."""

    def __init__(self, pid: "int | None" = None, pause: bool = False, types_only: bool = False) -> None:
        self.pid = os.getpid() if pid is None else pid
        self.report: "HeapReport | None" = None
        self._helper = _Helper(_words(self.pid, FOREVER_SECONDS, pause, types_only) + ["--until-input"], self.pid)

    def __enter__(self) -> "HeapWatch":
        self._helper.begin()
        self._helper.await_first_look()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.report = self._helper.result()
        else:
            self._helper.abandon()


class _Helper:
    """A run of the command."""

    def __init__(self, words: "List[str]", pid: int) -> None:
        self.words, self.is_own = words, pid == os.getpid()
        self.process: "subprocess.Popen[bytes] | None" = None
        self.said = b""

    def begin(self) -> None:
        if self.is_own:
            _permit(os.getpid())
        try:
            # A session of its own: Ctrl-C is for what is looked at. It would have the second look now.
            self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, start_new_session=True)
        except OSError as e:
            if self.is_own:
                _permit(0)
            raise HelperMissing("no helper: %s can't be started: %s" % (self.words[0], e.strerror or e)) from None

    def await_first_look(self) -> None:
        """Returns when the first of two looks is complete, or can't be had: result() says why."""
        assert self.process is not None and self.process.stderr is not None
        self.said = self.process.stderr.readline()
        if not self.said.startswith(b"looked at "):
            self.result()

    def abandon(self) -> None:
        """Ends it without a report."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()
        if self.is_own:
            _permit(0)

    def result(self) -> HeapReport:
        """Its report, when it has ended. Closing its input is what asks for a second look."""
        assert self.process is not None
        try:
            out, said = self.process.communicate()
        except BaseException:
            self.abandon()
            raise
        if self.is_own:
            _permit(0)
        if self.process.returncode != 0:
            words = (self.said + said).decode("utf-8", "replace").strip()
            raise HelperError(_shown(words) or "pymem-bpf heap has failed, status %d" % self.process.returncode)
        data = json.loads(out.decode())
        if data.get("schema") != SCHEMA:
            raise HelperError("%s is of another version than this package" % self.words[0])
        return HeapReport(data["processes"][0])


def heap(pid: "int | None" = None, seconds: float = 0, pause: bool = False,
         types_only: bool = False) -> HeapReport:
    """Who keeps the memory of a process, this one if pid is None.

    seconds: look twice, so far apart, and tell what came in between and stayed; 0: look once. pause: stop the process
    while its memory is copied (no other thread of this one runs then). types_only: which types there are and how much
    of each, but not who holds it, in little time and memory; ValueError: together with pause. HelperMissing: the
    program is not there. HelperError: the process can't be looked at; the text has the reason and what to do."""
    found = os.getpid() if pid is None else pid
    helper = _Helper(_words(found, seconds, pause, types_only), found)
    helper.begin()
    return helper.result()
