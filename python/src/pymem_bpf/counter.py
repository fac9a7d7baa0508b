# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Client of `pymem-bpf serve`: counters that the kernel keeps for one process.

The server, which is root, answers over a unix socket with a descriptor of a counter block. The BPF side
updates that at each change of RSS (include/pymem_block.h), so reading RSS or its peak is one load. The
protocol is in include/pymem_serve.h. Both are restated here as formats of `struct`, and a test compares them
with the headers.

The server's answers are checked, not believed: size, magic, version, operation, exactly one
descriptor, its size and that it can't be shortened under the mapping. A Counter belongs to the process
that opened it: after fork() the child's copy is closed, since its block is the parent's.
"""
import array
import atexit
import fcntl
import mmap
import os
import select
import socket as sockets
import stat
import struct
import sys
import threading
import weakref

from . import _helper, _proc
from ._helper import HelperError, HelperMissing

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, List, Tuple

__all__ = ["Counter", "HelperError", "HelperMissing", "shared"]

MAGIC, VERSION = 0x53424d50, 2
HELLO, TRACK, RESET, UNTRACK = 1, 2, 3, 4
NO_REQUEST = 0  # the operation of an answer to none: the connection itself is refused
(OK, BAD_REQUEST, BAD_VERSION, NOT_PERMITTED, NO_PROCESS, LIMIT, STATE, FAILED) = range(8)
REQUEST = struct.Struct("=IHHiIQQ")
REPLY = struct.Struct("=IHHIIiI16s208s")
BLOCK_VERSION, BLOCK_BYTES = 2, 16384
BLOCK_STATES = BLOCK_NEW, BLOCK_LIVE, BLOCK_ENDED = range(3)
# Offsets in the block; those of the peaks in each connection's slot.
AT_VERSION, AT_STATE, AT_START, AT_RSS, AT_TREE, AT_FLAGS = 0, 4, 16, 24, 32, 48
AT_SLOTS, SLOT_BYTES, SLOTS, AT_PEAK, AT_TREE_PEAK = 64, 32, 8, 0, 8
PARTIAL = 1
ANSWER_SECONDS = 30.0
MAX_FDS = 4
F_GET_SEALS, F_SEAL_SHRINK = 1034, 2

_open: "weakref.WeakSet[Counter]" = weakref.WeakSet()

# By default a mapping keeps a copy of its descriptor and closes it by number, even if that is another file's by then.
MAPS_ONLY = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def _receive(connection: sockets.socket) -> "Tuple[bytes, List[int], int]":
    """(bytes, descriptors, flags of recvmsg). Never more than a bounded number of either."""
    fds = array.array("i")
    data, control, flags, _ = connection.recvmsg(
        REPLY.size, sockets.CMSG_SPACE(MAX_FDS * fds.itemsize), sockets.MSG_CMSG_CLOEXEC)
    for level, kind, payload in control:
        if (level, kind) == (sockets.SOL_SOCKET, sockets.SCM_RIGHTS):
            fds.frombytes(payload[:len(payload) - len(payload) % fds.itemsize])
    return data, list(fds), flags


class Counter:
    """Resident memory of one process, as the kernel counts it. Amounts are int, in bytes.

    pid: the process (as the server numbers them); None: this one. socket: path of the server's
    socket; None: $PYMEM_BPF_SOCKET, else /run/pymem-bpf.sock. private: whether a helper of our
    own may be started where no server is (only root can).

    HelperMissing: there is no helper. HelperError: there is no such process, or the helper refuses, does not
    answer for 30 s or answers nonsense. The text names the remedy.

    Amounts may be read from any thread at any time, and requests wait for one another; close() is not to
    run while another thread uses it. A Counter is of the process that opened it: in a forked child its
    amounts and requests are a HelperError. It holds two descriptors: close() it, or use it as a context
    manager.
    """

    def __init__(self, pid: "int | None" = None, socket: "str | None" = None,
                 private: bool = True) -> None:
        self.block: "mmap.mmap | None" = None
        self._owner = _proc.getpid()
        self._ended = False
        self._lock = threading.Lock()
        connection, self.where, self._process = _helper.connect(socket, private)
        self._connection: "sockets.socket | None" = connection
        self._descriptor = _helper.Descriptor(connection.fileno())
        try:
            connection.settimeout(ANSWER_SECONDS)
            self.program = self._ask(HELLO)[0][7]
            number = self._owner if pid is None else pid
            reply, fds = self._ask(TRACK, 0 if number == self._owner else number, _start_ticks(number))
            try:
                #: PID as the server sees it: another one than here in a PID namespace.
                self.pid = reply[5]
                self._peaks = AT_SLOTS + SLOT_BYTES * self._slot(reply[6])
                self.block = self._map(fds, reply[4])
            finally:
                for fd in fds:
                    os.close(fd)
        except BaseException:
            self.close()
            raise
        _open.add(self)

    def _ask(self, op: int, pid: int = 0, ticks: int = 0) -> "Tuple[Tuple[Any, ...], List[int]]":
        """One request; (fields of the answer, descriptors, which are the caller's)."""
        if self._owner != _proc.getpid():
            raise HelperError("this Counter belongs to process %d, from which this one was forked; "
                              "open one here" % self._owner)
        connection = self._connection
        if connection is None:
            raise HelperError("this Counter is closed; open another one")
        if not self._descriptor.is_ours():
            self._ended = True
            raise HelperError("the program has closed the connection to %s; open another Counter"
                              % self.where)
        try:
            with self._lock:
                try:
                    connection.send(REQUEST.pack(MAGIC, VERSION, op, pid, 0, ticks, 0))
                except BrokenPipeError:
                    pass  # it has said why it closed the connection, or the next line finds its end
                data, fds, flags = _receive(connection)
        except sockets.timeout:
            self._ended = True  # what it may still answer would be taken for the next answer
            raise HelperError("%s has not answered for %d s; restart it"
                              % (self.where, ANSWER_SECONDS)) from None
        except OSError as e:
            self._ended = True
            raise HelperError("%s has gone (%s)%s; start it again: %s"
                              % (self.where, e.strerror or e, _helper.last_words(self._process),
                                 _helper.command())) from None
        try:
            return self._check(op, data, flags), fds
        except BaseException as e:
            for fd in fds:
                os.close(fd)
            if not getattr(e, "keeps_connection", False):
                self._ended = True
            raise

    def _check(self, op: int, data: bytes, flags: int) -> "Tuple[Any, ...]":
        """The answer's fields, if it is one and says OK."""
        if not data:
            raise HelperError("%s closed the connection%s; start it again: %s"
                              % (self.where, _helper.last_words(self._process), _helper.command()))
        if len(data) >= 6:
            magic, version = struct.unpack_from("=IH", data)
            if magic == MAGIC and version != VERSION:
                raise HelperError(self._mismatch(version, data))
        if len(data) != REPLY.size or flags & (sockets.MSG_TRUNC | sockets.MSG_CTRUNC):
            raise HelperError("%s is no pymem-bpf server: it answers with %d bytes, not %d"
                              % (self.where, len(data), REPLY.size))
        reply = REPLY.unpack(data)
        reply = reply[:7] + tuple(_text(field) for field in reply[7:])
        refused = reply[2] == NO_REQUEST and reply[3] != OK
        if reply[0] != MAGIC or (reply[2] != op and not refused) or reply[3] > FAILED:
            raise HelperError("%s is no pymem-bpf server: its answer is none to the request"
                              % self.where)
        if reply[3] == BAD_VERSION:
            raise HelperError(self._mismatch(None, data))
        if reply[3] != OK:
            error = HelperError("%s: %s" % (self.where, reply[8] or REFUSALS[reply[3]]))
            error.keeps_connection = reply[3] != BAD_REQUEST
            raise error
        return reply

    def _mismatch(self, version: "int | None", data: bytes) -> str:
        from . import __version__
        program = _text(REPLY.unpack(data)[7]) if len(data) == REPLY.size else ""
        return ("%s (program %s) speaks %s, this package (%s, %s) version %d: install program and "
                "package of the same release, and restart the server"
                % (self.where, program or "of unknown version",
                   "another version of the protocol" if version is None else
                   "version %d of the protocol" % version,
                   __version__, os.path.dirname(os.path.abspath(__file__)), VERSION))

    def _slot(self, slot: int) -> int:
        if slot >= SLOTS:
            raise HelperError("%s has a counter block with %d peaks, this package one with %d: install "
                              "both from the same release" % (self.where, slot + 1, SLOTS))
        return slot

    def _map(self, fds: "List[int]", size: int) -> "mmap.mmap":
        """The counter block. If it were a plain file, another process that has it could shorten
        it, and reading it would then kill this one. So the file must be sealed, or no plain file (a BPF
        map)."""
        if len(fds) != 1:
            raise HelperError("%s sent %d descriptors with its answer, not 1" % (self.where, len(fds)))
        if size != BLOCK_BYTES:
            raise HelperError("%s has a counter block of %d bytes, this package one of %d: install "
                              "both from the same release" % (self.where, size, BLOCK_BYTES))
        try:
            kind = os.fstat(fds[0])
            if stat.S_ISREG(kind.st_mode):
                if kind.st_size < BLOCK_BYTES or not fcntl.fcntl(fds[0], F_GET_SEALS) & F_SEAL_SHRINK:
                    raise OSError("a file that could be shortened")
            block = mmap.mmap(fds[0], BLOCK_BYTES, mmap.MAP_SHARED, mmap.PROT_READ, **MAPS_ONLY)
        except (OSError, ValueError) as e:
            raise HelperError("%s sent a counter block that can't be used: %s" % (self.where, e)) from None
        version, state = struct.unpack_from("@II", block)
        if version != BLOCK_VERSION or state not in BLOCK_STATES:
            block.close()
            raise HelperError("%s has a counter block of version %d, this package reads %d: install "
                              "both from the same release" % (self.where, version, BLOCK_VERSION))
        return block

    def fileno(self) -> int:
        """The connection's descriptor, which polls as readable once the server has gone; -1: it is closed. Not
        to be read from."""
        return self._connection.fileno() if self._connection else -1

    def alive(self) -> bool:
        """Whether the amounts are still kept up to date: False once the server has gone or this is closed, and
        in a forked child. From any thread. Raises nothing."""
        if self._ended or self._connection is None or self._owner != _proc.getpid():
            return False
        if not self._descriptor.is_ours():
            self._ended = True
            return False
        with self._lock:
            poll = select.poll()
            poll.register(self._connection.fileno(), select.POLLIN)
            if not poll.poll(0):
                return True
        # Nothing is due here: end-of-file, or a server that talks without being asked.
        self._ended = True
        return False

    def reset(self) -> None:
        """Forgets both peaks, which begin anew at the RSS of now. A request to the server, from any thread.
        HelperError: it has gone, or this is closed."""
        for fd in self._ask(RESET)[1]:
            os.close(fd)

    def _bytes(self, offset: int) -> int:
        if self.block is None or self._owner != _proc.getpid():
            raise HelperError("this Counter is closed, or the parent's from before a fork; open "
                              "another one")
        # "@q": one aligned load. "=q" would put the word together byte by byte.
        pages: int = struct.unpack_from("@q", self.block, offset)[0]
        return pages * _proc.PAGE_BYTES

    @property
    def rss_bytes(self) -> int:
        """RSS of the process now, in bytes: one load from memory. HelperError: this is closed."""
        return self._bytes(AT_RSS)

    @property
    def peak_bytes(self) -> int:
        """Highest RSS, in bytes, since reset() or since this was opened. HelperError: this is closed."""
        return max(self._bytes(self._peaks + AT_PEAK), self._bytes(AT_RSS))

    @property
    def tree_bytes(self) -> int:
        """RSS of the process and of its descendants, added up, in bytes. HelperError: this is closed, or there
        are descendants that the server can't count."""
        return self._tree_bytes(AT_TREE)

    @property
    def tree_peak_bytes(self) -> int:
        """Highest sum of RSS, in bytes, of the process and its descendants since the last reset. Errors: as
        tree_bytes."""
        return max(self._tree_bytes(self._peaks + AT_TREE_PEAK), self._bytes(AT_TREE))

    def _tree_bytes(self, offset: int) -> int:
        amount = self._bytes(offset)
        assert self.block is not None  # or _bytes() would have raised
        if struct.unpack_from("@I", self.block, AT_FLAGS)[0] & PARTIAL:
            raise HelperError("%s can't count all of the process's children: they are too many, or "
                              "watched within one another too deep" % self.where)
        return amount

    @property
    def ended(self) -> bool:
        """Whether the process has ended (bool). HelperError: this is closed."""
        if self.block is None:
            raise HelperError("this Counter is closed; open another one")
        state: int = struct.unpack_from("@I", self.block, AT_STATE)[0]
        return state == BLOCK_ENDED

    def close(self) -> None:
        """Closes the connection and the block; a helper that was started for this process ends. A second call is no
        error."""
        _open.discard(self)
        self._let_go()
        # Unmapped with the last reference, which a profiler may have. Closing it would ask how many read it, and
        # free-threaded 3.13 counts these without a lock.
        self.block = None
        process, self._process = self._process, None
        if process is not None and self._owner == _proc.getpid():
            _helper.release(process)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.detach()
            self._descriptor.close()

    def _after_fork(self) -> None:
        """In the child: closes its copies. That ends nothing for the parent."""
        self._let_go()
        process, self._process = self._process, None
        if process is not None:
            process.said.close()

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.close()


REFUSALS = {
    BAD_REQUEST: "it did not understand the request: install program and package of the same release",
    NOT_PERMITTED: "that process belongs to another user; only root may watch it",
    NO_PROCESS: "there is no such process (any more)",
    LIMIT: "too many connections; close some Counters",
    STATE: "the request does not fit the connection's state",
    FAILED: "the kernel refused",
}


def _text(field: bytes) -> str:
    """A NUL-terminated field, harmless to print."""
    text = field.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _start_ticks(pid: int) -> int:
    """When the process began, in clock ticks, as the server sees it; 0 (not checked) in a time namespace, where
    that is another number. HelperError: there is no such process."""
    try:
        with open("/proc/self/timens_offsets") as f:
            if any(word != "0" for line in f for word in line.split()[1:]):
                return 0
    except OSError:
        pass  # no time namespaces in this kernel
    try:
        return _proc.start_ticks(pid)
    except ProcessLookupError:
        raise HelperError("there is no process %d" % pid) from None


_shared: "Counter | None" = None
_shared_lock = threading.Lock()


def shared(private: bool = True) -> "Counter":
    """The Counter of this process, which all that profiles in it shares. It is opened at first use, and anew
    after a fork or when its server has gone. private: as Counter's. Errors: those of Counter. May be called
    from any thread. The caller must not close it."""
    global _shared
    with _shared_lock:
        if _shared is not None and not _shared.alive():
            # Not close(): a profiler that is enabled looks at its descriptor for the end of the helper,
            # and the next connection would get its number. Closed when nobody has it any more.
            _shared = None
        if _shared is None:
            _shared = Counter(private=private)
        return _shared


def _at_exit() -> None:
    if _shared is not None:
        _shared.close()


def _after_fork() -> None:
    """In the child: its Counters are the parent's."""
    global _shared, _shared_lock
    _shared, _shared_lock = None, threading.Lock()
    for counter in list(_open):
        counter._after_fork()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
