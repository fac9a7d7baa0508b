# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Finding `pymem-bpf serve`, or starting one of our own, and saying what to do where neither works.

A private helper is at the other end of a socket pair: it ends when that is closed, however this
process ends. It is no child of this process, which may wait for all of its children and must find
only its own: a shell in between starts it and is gone. Only root can start one, since only root may
load BPF.
"""
import errno
import contextlib
import os
import shutil
import socket as sockets
import signal
import subprocess
import sys
import tempfile
import time

from . import _proc

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Set, Tuple

SOCKET_PATH = "/run/pymem-bpf.sock"
REAP_SECONDS, REAP_STEP_SECONDS = 5, 0.002
WORDS_LIMIT = 2000
NAME = "pymem-bpf"


#: PIDs of private helpers. If orphans become children of this process (it is PID 1 of a container, or a
#: subreaper), helpers are among its children, but don't count as such.
private_pids: "Set[int]" = set()


class Descriptor:
    """A descriptor of ours in the program's process. A program may close descriptors that it did not open
    and get their numbers for files of its own: these are left alone."""

    def __init__(self, fd: int) -> None:
        self.fd, self._file = fd, self._identity(fd)

    @staticmethod
    def _identity(fd: int) -> "Tuple[int, int]":
        status = os.fstat(fd)
        return status.st_dev, status.st_ino

    def is_ours(self) -> bool:
        """Whether the number is still that of the file that was opened."""
        try:
            return self._identity(self.fd) == self._file
        except OSError:
            return False

    def close(self) -> None:
        """Closes it, if it is ours. A second call is no error."""
        if self.is_ours():
            os.close(self.fd)
        self.fd = -1


class HelperError(RuntimeError):
    """The helper can't be used. The text is for the user and names the remedy."""

    #: Whether the connection can take another request after this.
    keeps_connection = False


class HelperMissing(HelperError):
    """There is no helper."""


class NoServer(HelperMissing):
    """No server listens, and this process can't start a helper of its own, as it is not root."""


def program() -> "str | None":
    """Path of the program; None if there is none. It is looked for in this order: $PYMEM_BPF, the source tree
    around the package, the interpreter's environment, where pip puts it, PATH, where `make install` puts it."""
    named = os.environ.get("PYMEM_BPF")
    if named:
        return named
    tree = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
    built = os.path.join(tree, "build", NAME)
    # What root runs must be the tree's own, not a `build` that happens to lie beside the package.
    if os.path.exists(os.path.join(tree, "include", "pymem_serve.h")) and os.access(built, os.X_OK):
        return built
    # A notebook's kernel runs an environment that is not in PATH.
    beside = os.path.join(sys.prefix, "bin", NAME)
    if os.path.isfile(beside) and os.access(beside, os.X_OK):
        return beside
    return shutil.which(NAME) or shutil.which(NAME, path="/usr/local/sbin:/usr/sbin:/sbin")


def command(path: "str | None" = None) -> str:
    """What starts a server, to be pasted into a shell: one that this process finds. path: where it is looked for;
    None: as socket_path() has it."""
    import shlex  # only now: imports are memory, too
    path = socket_path(path)
    words = ["sudo", program() or NAME, "serve"] + ([] if path == SOCKET_PATH else ["--socket", path])
    return " ".join(map(shlex.quote, words))


def socket_path(path: "str | None" = None) -> str:
    """Path of the socket at which a server is looked for."""
    return path or os.environ.get("PYMEM_BPF_SOCKET") or SOCKET_PATH


def connect(path: "str | None", private: bool) -> "Tuple[sockets.socket, str, Private | None]":
    """(connected socket, what it is called in messages, Private helper or None)."""
    path = socket_path(path)
    connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    try:
        connection.connect(path)
        return connection, "pymem-bpf serve at " + path, None
    except OSError as e:
        connection.close()
        if e.errno not in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR):
            raise HelperError(_unusable(path, e)) from None
    if private and os.geteuid() == 0:
        return _start()
    found = program()
    text = "no helper: nothing listens at %s. Run this in another terminal, then try again:\n  %s" % (
        path, command(path))
    if found is None:
        text += "\n(%s is not installed, or not where PATH or PYMEM_BPF say)" % NAME
    raise NoServer(text)


def _unusable(path: str, e: OSError) -> str:
    if e.errno == errno.EPROTOTYPE:
        return "%s is another program's socket; set PYMEM_BPF_SOCKET to the server's" % path
    if e.errno in (errno.EACCES, errno.EPERM):
        return "%s: permission denied; the server's socket is to be open to its users (mode 666), " \
               "or be run as one who may use it" % path
    return "%s: %s; set PYMEM_BPF_SOCKET to the socket of: %s" % (path, e.strerror or e, command(path))


class Private:
    """A helper that was started for this process. start_ticks tells it from a later process of its PID.
    said: Descriptor of the file that it writes its messages to."""

    def __init__(self, pid: int, said: Descriptor) -> None:
        self.pid, self.said = pid, said
        self.start_ticks: "int | None"
        try:
            self.start_ticks = _proc.start_ticks(pid)
        except OSError:
            self.start_ticks = None  # it has ended already, and says why
        private_pids.add(pid)

    def runs(self) -> bool:
        try:
            return _proc.start_ticks(self.pid) == self.start_ticks and not _proc.ended(self.pid)
        except OSError:
            return False


def _start() -> "Tuple[sockets.socket, str, Private]":
    found = program()
    if found is None:
        raise HelperMissing("no helper: %s is not where PATH or PYMEM_BPF say, and no server listens "
                            "at %s. Build it with make, or set PYMEM_BPF to its path"
                            % (NAME, socket_path()))
    path = shutil.which(found)
    if path is None:
        raise HelperMissing("no helper: %s can't be started: there is no such program" % found)
    ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    with tempfile.TemporaryFile() as messages:
        # No file object of Python's: that would close its number whenever it is collected.
        said = Descriptor(os.dup(messages.fileno()))
    try:
        private = Private(_spawn(path, theirs.fileno(), said.fd), said)
    except OSError as e:
        ours.close()
        said.close()
        raise HelperMissing("no helper: %s can't be started: %s" % (found, e.strerror or e)) from None
    finally:
        theirs.close()
    return ours, "%s serve, started by this process," % found, private


def _spawn(path: str, fd: int, said: int) -> int:
    """Starts a helper that is an orphan from its start. Its PID. It has a session of its own, as Ctrl-C is meant
    for the measured program. OSError."""
    middle = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$0" serve --fd "$1" >/dev/null & echo $!', path, str(fd)],
        pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        start_new_session=True)
    answer = middle.communicate()[0].strip()
    if not answer.isdigit():
        raise OSError(errno.ECHILD, "the shell that was to start it has failed")
    return int(answer)


def last_words(private: "Private | None") -> str:
    """What a private helper said before it ended, for a message; empty for a server's."""
    if private is None:
        return ""
    reap(private)
    if not private.said.is_ours():
        return ""
    words = os.pread(private.said.fd, WORDS_LIMIT, 0).decode("utf-8", "replace").strip()
    words = "".join(c if c.isprintable() or c == "\n" else "?" for c in words)
    return " (it says: %s)" % words if words else ""


def reap(private: Private) -> None:
    """Waits for the end of a private helper whose socket was closed; ends it if it doesn't end by
    itself."""
    deadline = time.monotonic() + REAP_SECONDS
    while private.runs() and time.monotonic() < deadline:
        time.sleep(REAP_STEP_SECONDS)
    if private.runs():
        with contextlib.suppress(ProcessLookupError):
            os.kill(private.pid, signal.SIGKILL)
    try:
        if _proc.start_ticks(private.pid) == private.start_ticks:
            os.waitpid(private.pid, 0)  # a zombie that came back to this process
    except OSError:
        pass  # it is no child of this process, as usual, or has been reaped
    private_pids.discard(private.pid)


def release(private: Private) -> None:
    """Waits for the end of a private helper, and closes the file of its messages."""
    reap(private)
    private.said.close()
