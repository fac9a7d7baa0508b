# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Recordings of `pymem-bpf record`, as curves: RSS of each process image over time, and of all together.

A recording is an SQLite file, which this only reads, also while it is still being written. A row stands for the end of an
interval at which something had changed, and holds until the next one. What is kept of it is bounded, however large
the file is: of many points of a curve, the lowest and the highest of neighbours.

Such a file may come from elsewhere. So what claims to be a table must be one (no view, no virtual table), all values
are checked, names are cut and made harmless, and what doesn't fit is an error that names the file.
"""
import os
import re
import sys
import time

from ._proc import thinned
from ._streams import printable

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, Iterator, List, Tuple

    Points = List[Tuple[int, float]]

__all__ = ["Image", "Recording", "is_recording", "read"]

MAGIC, APPLICATION, VERSION = b"SQLite format 3\0", 0x50594d42, 1
TABLES = ("about", "image", "interval", "sample")
IMAGES_LIMIT, POINTS_LIMIT, NAME_BYTES, NAME_COLUMNS = 100000, 4096, 4096, 60
PAGE_LEAST, PAGE_MOST, PAGES_MOST, SECONDS_MOST = 1 << 10, 1 << 24, 1 << 44, 1e12
BUSY_SECONDS, READ_SECONDS = 10, 60
ROWS = """SELECT s.image, i."until", s.anon + s.file + s.shmem, s.peak FROM sample AS s JOIN interval AS i
ON i.id = s.interval ORDER BY i."until", s.image"""
ABOUT = """SELECT name, CASE WHEN typeof(value) IN ('text', 'blob') THEN substr(value, 1, %d) ELSE value END FROM about
WHERE name IN ('page_size', 'start', 'host') LIMIT 3""" % NAME_BYTES
IMAGES = """SELECT id, pid, substr(comm, 1, %d), substr(argv, 1, %d), began, ended, %%s FROM image ORDER BY id
LIMIT %d""" % (NAME_BYTES, NAME_BYTES, IMAGES_LIMIT + 1)
# RSS when it was first seen. Without these columns the first row is the first figure.
STARTS = ("start_anon", "start_file", "start_shmem")


class Curve:
    """Amounts in bytes over time: points is [(bytes, seconds since the epoch)], each holds until the next. Of long
    ones it has the lowest and the highest of neighbours. last: the newest point, or None."""

    def __init__(self) -> None:
        self.points: "Points" = []
        self.last: "Tuple[int, float] | None" = None

    def add(self, amount: int, when: float) -> None:
        """Adds a point, no earlier than the last."""
        if self.last is not None and self.last[0] == amount:
            self.last = amount, when  # it goes on
            return
        if len(self.points) >= POINTS_LIMIT:
            self.points = thinned(self.points)
        self.last = amount, when
        self.points.append(self.last)

    @property
    def highest(self) -> int:
        """The highest amount; 0: there is none."""
        return max((amount for amount, _ in self.points), default=0)


class Image:
    """A process image: what ran under a PID from an exec() on.

    pid; name (its command, cut, harmless to print); began, ended (seconds since the epoch; None: it had not ended);
    curve; peak_bytes: highest RSS, also between the points of the curve."""

    def __init__(self, pid: int, name: str, began: float, ended: "float | None") -> None:
        self.pid, self.name, self.began, self.ended = pid, name, began, ended
        self.curve = Curve()
        self.peak_bytes = 0


class Recording:
    """What a recording holds. images: those of which there are figures, the highest first. total: Curve of all together,
    at the ends of intervals. start, end: seconds since the epoch. host: where it was made."""

    def __init__(self, host: str, start: float) -> None:
        self.host, self.start, self.end = host, start, start
        self.images: "List[Image]" = []
        self.total = Curve()

    @property
    def peak_bytes(self) -> int:
        """The highest sum of RSS, in bytes, at the ends of intervals; if one process was higher by itself, that. Of
        one process alone it is its peak."""
        return max([self.total.highest] + [image.peak_bytes for image in self.images])


class _Damaged(Exception):
    """Something in the file can't be. The text says what."""


def is_recording(name: str) -> bool:
    """Is it an SQLite file (so a recording, if anything)? OSError: it can't be read."""
    with open(name, "rb") as f:
        return f.read(len(MAGIC)) == MAGIC


def _open(name: str) -> "sqlite3.Connection":
    import sqlite3  # only now: imports are memory, too
    import urllib.parse
    uri = "file:%s?mode=ro" % urllib.parse.quote(os.path.abspath(os.fsencode(name)))
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        return connection
    except sqlite3.OperationalError:
        connection.close()
        if os.path.exists(name + "-wal"):
            raise
    # It is complete, and in a folder in which this user can't make the files that readers share.
    return sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)


def _limit(connection: "sqlite3.Connection") -> None:
    """Ends a reading that takes longer than any recording does: a table may have been made to lead in a circle."""
    end = time.monotonic() + READ_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > end, 100000)
    connection.execute("PRAGMA temp_store=MEMORY")


def _check_schema(connection: "sqlite3.Connection") -> None:
    number = connection.execute("PRAGMA application_id").fetchone()[0]
    if number != APPLICATION:
        raise _Damaged("an SQLite file, but no recording of pymem-bpf")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise _Damaged("a recording of format %d, and this package reads %d: use the package of the release that made it"
                       % (version, VERSION))
    for table in TABLES:
        rows = connection.execute("SELECT type, sql FROM sqlite_master WHERE name = ?", (table,)).fetchall()
        # A recorder's tables have neither of these words: nothing is computed when they are read.
        words = str(rows[0][1]).upper() if rows else ""
        if len(rows) != 1 or rows[0][0] != "table" or "VIRTUAL" in words or re.search(r"\bAS\b|\bGENERATED\b", words) or (
                "PRIMARY KEY" not in words):
            raise _Damaged("table %s is missing" % table)


def _whole(value: "Any", most: int, what: str) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= most:
        raise _Damaged("%s is %.40r" % (what, value))
    return value


def _time(value: "Any", what: str) -> float:
    if type(value) not in (int, float) or not 0 <= value <= SECONDS_MOST:
        raise _Damaged("%s is %.40r" % (what, value))
    return float(value)


def _text(value: "Any") -> str:
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    return printable(value[:NAME_BYTES].decode("utf-8", "replace")) if isinstance(value, bytes) else ""


def _name(comm: "Any", argv: "Any") -> str:
    """A command for a legend: its words, without the folders of the first."""
    if isinstance(argv, bytes) and argv.strip(b"\0"):
        words = argv[:-1 if argv.endswith(b"\0") else None].split(b"\0")
        text = _text(b" ".join([os.path.basename(words[0])] + words[1:]))
    else:
        text = _text(comm)
    return text if len(text) <= NAME_COLUMNS else text[:NAME_COLUMNS - 1] + "…"


def _images(connection: "sqlite3.Connection", page_bytes: int) -> "Dict[int, Image]":
    found: "Dict[int, Image]" = {}
    names = {row[1] for row in connection.execute("PRAGMA table_info(image)")}
    start = " + ".join(STARTS) if names >= set(STARTS) else "NULL"
    for number, pid, comm, argv, began, ended, pages in connection.execute(IMAGES % start):
        image = Image(_whole(pid, 1 << 31, "a PID"), _name(comm, argv), _time(began, "began"),
                      None if ended is None else _time(ended, "ended"))
        if pages is not None:
            image.peak_bytes = _whole(pages, PAGES_MOST, "RSS at the start") * page_bytes
            image.curve.add(image.peak_bytes, image.began)
        found[_whole(number, 1 << 62, "an image's id")] = image
    if len(found) > IMAGES_LIMIT:
        raise _Damaged("more than %d processes: too many for a plot" % IMAGES_LIMIT)
    return found


class _Sum:
    """All images together: adds what they have at the start, follows their changes, and takes away those that end."""

    def __init__(self, curve: Curve, images: "Dict[int, Image]") -> None:
        self.curve, self.amount = curve, 0
        self.now: "Dict[int, int]" = {}
        # (time, image, what it has then), the first one last
        self.events = [(image.began, number, image.curve.points[0][0]) for number, image in images.items()
                       if image.curve.points]
        self.events += [(image.ended, number, 0) for number, image in images.items() if image.ended is not None]
        self.events.sort(reverse=True)

    def go_on_until(self, when: float) -> None:
        while self.events and self.events[-1][0] <= when:
            at, number, amount = self.events.pop()
            self.change(number, amount)
            if not self.events or self.events[-1][0] > at:
                self.curve.add(self.amount, at)

    def change(self, number: int, amount: int) -> None:
        self.amount += amount - self.now.get(number, 0)
        self.now[number] = amount


def _by_time(connection: "sqlite3.Connection") -> "Iterator[Tuple[float, List[Tuple[int, Any, Any]]]]":
    """(end of an interval, [(image, pages, peak)]) for each interval with rows."""
    when = -1.0
    rows: "List[Tuple[int, Any, Any]]" = []
    for image, until, pages, peak in connection.execute(ROWS):
        until = _time(until, "until")
        if until != when and rows:
            yield when, rows
            rows = []
        when = until
        rows.append((image, pages, peak))
    if rows:
        yield when, rows


def _fill(found: Recording, connection: "sqlite3.Connection", page_bytes: int) -> None:
    images = _images(connection, page_bytes)
    together = _Sum(found.total, images)
    for when, rows in _by_time(connection):
        together.go_on_until(when)
        for number, pages, peak in rows:
            image = images.get(number)
            if image is None:
                raise _Damaged("a sample of process image %.40r, which is not there" % number)
            amount = _whole(pages, PAGES_MOST, "RSS in pages") * page_bytes
            image.peak_bytes = max(image.peak_bytes, amount, _whole(peak, PAGES_MOST, "a peak") * page_bytes)
            if image.ended is None or image.ended > when:
                image.curve.add(amount, when)
                together.change(number, amount)
            elif not image.curve.points:  # all of its life was in this interval
                image.curve.add(amount, max(image.began, image.ended))
        found.total.add(together.amount, when)
        found.end = max(found.end, when)
    together.go_on_until(SECONDS_MOST)
    found.end = max([found.end] + [image.ended for image in images.values() if image.ended is not None])
    found.images = sorted((image for image in images.values() if image.curve.points),
                          key=lambda image: (-image.peak_bytes, image.began, image.pid))


def read(name: str) -> Recording:
    """The Recording of a file. name: its path. ValueError: it is none, or can't be; the text has its name and what is
    wrong. OSError: it can't be read."""
    with open(name, "rb"):
        pass  # an OSError says better than SQLite why it can't be read
    try:
        import sqlite3
    except ImportError as e:
        raise ValueError("%s: recordings are read with sqlite3, which this Python (%s) can't import: %s" % (
            name, sys.executable, e)) from None
    try:
        connection = _open(name)
        try:
            for pragma in "query_only = ON", "trusted_schema = OFF", "mmap_size = 0":
                connection.execute("PRAGMA " + pragma)
            _limit(connection)
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            connection.execute("BEGIN")  # one state of the file, also while it is being written
            _check_schema(connection)
            about = dict(connection.execute(ABOUT).fetchall())
            if not about:
                raise _Damaged("nothing is in it yet: its recorder has just begun, or was killed then")
            page_bytes = _whole(about.get("page_size"), PAGE_MOST, "page_size")
            if page_bytes < PAGE_LEAST:
                raise _Damaged("page_size is %d" % page_bytes)
            found = Recording(_text(about.get("host")), _time(about.get("start"), "start"))
            _fill(found, connection, page_bytes)
            return found
        finally:
            connection.close()
    except _Damaged as e:
        raise ValueError("%s: %s" % (name, e)) from None
    except (sqlite3.Error, OverflowError) as e:
        remedy = ("; it is still being written, or its writer was killed: read it as a user who may write to its folder, "
                  "or copy it together with %s-wal" % name if os.path.exists(name + "-wal") else "")
        raise ValueError("%s: can't be read as a recording: %s%s" % (name, printable(str(e)), remedy)) from None
