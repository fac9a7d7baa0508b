# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes text of ours to streams of the program's.

A stream may have any encoding, take bytes only, be closed, full or a pipe that nobody reads, or be missing.
What it can't encode is escaped. Text is written at once, and past the buffers of the interpreter's own
streams, pipes and terminals. Else text that could not be written would cause an error again when these are
flushed at the program's end.
"""
import io
import os
import select
import stat
import sys

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any

__all__ = ["fit", "printable", "write_text", "tell"]


def fit(text: str, stream: "Any") -> str:
    """The text, with characters escaped that the stream's encoding lacks. A stream without an encoding
    (StringIO) takes all text."""
    encoding = getattr(stream, "encoding", None)
    if encoding is None:
        return text
    encoding = str(encoding)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def printable(text: str) -> str:
    """A text from elsewhere, without what a terminal would take for a command."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _descriptor(stream: "Any") -> "int | None":
    """The descriptor to write to, past the stream's buffer; None: use the stream's write()."""
    if type(stream) is not io.TextIOWrapper or type(stream.buffer) is not io.BufferedWriter or \
            type(stream.buffer.raw) is not io.FileIO:
        return None
    own = stream is sys.__stdout__ or stream is sys.__stderr__
    # A file of the program's may have other line ends, which only its write() knows.
    return stream.fileno() if own or not stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else None


def _write_bytes(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left):]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def write_text(stream: "Any", text: str) -> None:
    """Writes text to any stream. Raises what the stream does; ValueError: there is none (None)."""
    if stream is None:
        raise ValueError("the program has no such stream")
    descriptor = _descriptor(stream)
    if descriptor is not None:
        stream.flush()  # the program's own text goes first
        _write_bytes(descriptor, text.encode(stream.encoding, "backslashreplace"))
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(fit(text, stream) if getattr(stream, "encoding", None) else
                     text.encode("ascii", "backslashreplace").decode())
    except TypeError:
        stream.write(text.encode("utf-8", "backslashreplace"))  # it takes bytes


def tell(text: str) -> None:
    """Writes to stderr. Raises nothing if that fails."""
    try:
        write_text(sys.stderr, text)
    except Exception:
        pass  # there is no other place to say it
