# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Finding `pymem-bpf serve`, or starting one of our own, and saying what to do where neither works.

A private helper is a child at the other end of a socket pair: it ends when that is closed, however
this process ends. Only root can start one, since only root may load BPF.
"""
import errno
import os
import shutil
import socket as sockets
import subprocess
import tempfile

SOCKET_PATH = "/run/pymem-bpf.sock"
REAP_SECONDS = 5
WORDS_LIMIT = 2000
NAME = "pymem-bpf"


#: PIDs of private helpers: children of this process that are no part of what it does.
private_pids = set()


class HelperError(RuntimeError):
    """The helper can't be used. The text is for the user and names the remedy."""


class HelperMissing(HelperError):
    """There is no helper."""


def program():
    """Path of the program; None if there is none. $PYMEM_BPF; that of the source tree around the
    package; PATH, and where `make install` puts it."""
    named = os.environ.get("PYMEM_BPF")
    if named:
        return named
    tree = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    built = os.path.join(tree, "build", NAME)
    # What root runs must be the tree's own, not a `build` that happens to lie beside the package.
    if os.path.exists(os.path.join(tree, "include", "pymem_serve.h")) and os.access(built, os.X_OK):
        return built
    return shutil.which(NAME) or shutil.which(NAME, path="/usr/local/sbin:/usr/sbin:/sbin")


def command():
    """What starts a server, to be pasted into a shell."""
    return "sudo %s serve" % (program() or NAME)


def socket_path(path=None):
    return path or os.environ.get("PYMEM_BPF_SOCKET") or SOCKET_PATH


def connect(path, private):
    """(connected socket, what it is called in messages, Popen of a private helper or None)."""
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
        path, command())
    if found is None:
        text += "\n(%s is not installed, or not where PATH or PYMEM_BPF say)" % NAME
    raise HelperMissing(text)


def _unusable(path, e):
    if e.errno == errno.EPROTOTYPE:
        return "%s is another program's socket; set PYMEM_BPF_SOCKET to the server's" % path
    if e.errno in (errno.EACCES, errno.EPERM):
        return "%s: permission denied; the server's socket is to be open to its users (mode 666), " \
               "or be run as one who may use it" % path
    return "%s: %s; set PYMEM_BPF_SOCKET to the socket of: %s" % (path, e.strerror or e, command())


def _start():
    found = program()
    if found is None:
        raise HelperMissing("no helper: %s is not where PATH or PYMEM_BPF say, and no server listens "
                            "at %s. Build it with make, or set PYMEM_BPF to its path"
                            % (NAME, socket_path()))
    ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    said = tempfile.TemporaryFile()
    try:
        # A session of its own: Ctrl-C is for what is measured, not for what measures.
        process = subprocess.Popen([found, "serve", "--fd", str(theirs.fileno())],
                                   pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=said,
                                   start_new_session=True)
        process.said = said
        private_pids.add(process.pid)
    except OSError as e:
        ours.close()
        said.close()
        raise HelperMissing("no helper: %s can't be started: %s" % (found, e.strerror or e)) from None
    finally:
        theirs.close()
    return ours, "%s serve, started by this process," % found, process


def last_words(process):
    """What a private helper said before it ended, for a message; empty for a server's."""
    if process is None:
        return ""
    reap(process)
    process.said.seek(0)
    words = process.said.read(WORDS_LIMIT).decode("utf-8", "replace").strip()
    words = "".join(c if c.isprintable() or c == "\n" else "?" for c in words)
    return " (status %s%s)" % (process.returncode, ", it says: " + words if words else "")


def reap(process):
    """Waits for a private helper whose socket was closed; ends it if it doesn't end by itself."""
    try:
        process.wait(REAP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    private_pids.discard(process.pid)


def release(process):
    """reap(), and what it held."""
    reap(process)
    process.said.close()
