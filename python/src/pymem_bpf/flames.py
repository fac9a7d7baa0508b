# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""FlameWatch: `pymem-bpf -p PID --format flamegraph` of this very process while a block runs.

The command needs root. As another user it is started by `sudo -n`, with words that are always the same, so that a rule
in sudoers can permit just these. A process of root's can't be sent a signal by a user. So it gets a terminal of its own,
and Ctrl-C is typed there: the kernel sends that signal, whoever owns the process. If it does not end then, the terminal is
hung up.

What it says and the page go to files without a name, not to pipes: nobody has to read them while the block runs.
"""
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from ._helper import HelperError, HelperMissing, program
from ._shapes import MIB, escaped
from ._streams import printable

TYPE_CHECKING = False  # typing itself is not imported: imports are memory, too
if TYPE_CHECKING:
    from typing import Any, IO, List

__all__ = ["FlameGraph", "FlameWatch"]

SHOWN_BYTES, PAGE_BYTES = 2 << 20, 256 << 20
WORDS_BYTES = 1 << 16
START_SECONDS, END_SECONDS, HANG_UP_SECONDS, STEP_SECONDS = 120, 120, 5, 0.01
FRAME_PIXELS = 640
READY = b"attached"
CONTROL_C = b"\x03"
# dash makes what it opens first, as the leader of a session, the terminal of that session.
ON_TERMINAL = 'exec "$@" <"$0"'
# Inside the frame: no browser that has frames shows it. A notebook that is not trusted takes the frame away and leaves this.
UNTRUSTED = """The flame graph is not shown, because this notebook is not trusted. In JupyterLab, "Trust Notebook" in the
command palette (Ctrl-Shift-C) shows it."""
REFUSED = """sudo -n has not started it: %s
It may be permitted by a line in a file below /etc/sudoers.d (sudo 1.9.10 and newer), which permits nothing else of it
than to profile any process:
  %s ALL=(root) NOPASSWD: %s ^-p [0-9]+ --format flamegraph$
or run the notebook's server as root"""
UNSAFE = """sudo -n has not started it: %s
It can't safely be permitted: others than root can replace %s, which then would run as root. Install it first (sudo make
install), or run the notebook's server as root"""


def _user() -> str:
    import pwd
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "#%d" % os.geteuid()  # as sudoers has it, too


def _is_roots(program: str) -> bool:
    """Can nobody but root replace the program, or a folder on the way to it? And is its name one that sudoers takes as it
    stands?"""
    path = os.path.realpath(program)
    if path != program or not re.fullmatch(r"[A-Za-z0-9_./+-]+", path):
        return False
    while True:
        found = os.stat(path)
        if found.st_uid != 0 or found.st_mode & 0o022:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


class FlameGraph:
    """The page that was made. A notebook shows it in a frame of its own, in which scripts can't reach the notebook.

    page: HTML. command: what made it, as typed. seconds: how long the block took. is_large: it has more bytes than a
    notebook is given. kept: path of the file that it was last written to, or None."""

    def __init__(self, page: str, command: str, seconds: float) -> None:
        self.page, self.command, self.seconds = page, command, seconds
        self.bytes = len(page.encode("utf-8", "replace"))
        self.is_large = self.bytes > SHOWN_BYTES
        self.kept: "str | None" = None

    def save(self, path: str) -> None:
        """Writes the page to a file. OSError."""
        with open(path, "w", encoding="utf-8", errors="replace") as f:
            f.write(self.page)
        self.kept = os.path.abspath(path)

    def save_aside(self) -> None:
        """Writes it to a new file in the folder for temporary files. If that fails, `kept` stays None."""
        try:
            with tempfile.NamedTemporaryFile("w", prefix="memflame-", suffix=".html", delete=False, encoding="utf-8",
                                             errors="replace") as f:
                f.write(self.page)
            self.kept = f.name
        except OSError:
            self.kept = None

    @property
    def remark(self) -> str:
        """What it is; if it is too large to be shown, what to do."""
        size = "%.1f MiB" % (self.bytes / MIB) if self.bytes >= MIB else "%d KiB" % (self.bytes // 1024 + 1)
        text = "Flame graph of %.2f s, %s of HTML" % (self.seconds, size)
        if self.is_large:
            text += ", more than the %.0f MiB that are shown in a notebook" % (SHOWN_BYTES / MIB)
        if self.kept:
            return text + ". It is in %s; open it in a browser" % printable(self.kept)
        return text + ". %%memflame -o FILE or save(FILE) %s; open that in a browser" % (
            "writes it to a file" if self.is_large else "keeps it in a file")

    def _repr_html_(self) -> str:
        if self.is_large:
            return "<p><b>%s</b></p>" % escaped(self.remark)
        from html import escape
        return ("<iframe sandbox='allow-scripts' title='Flame graph: which stacks needed memory' "
                "style='width:100%%;height:%dpx;border:0' height='%d' srcdoc=\"%s\">%s</iframe><p>%s</p>" % (
                    FRAME_PIXELS, FRAME_PIXELS, escape(self.page.encode("utf-8", "replace").decode("utf-8")),
                    escaped(UNTRUSTED), escaped(self.remark)))

    def __repr__(self) -> str:
        return "<%s>" % self.remark

    def _repr_pretty_(self, printer: "Any", cycle: bool) -> None:
        printer.text(self.remark)


class FlameWatch:
    """Profiles this process while a block runs:

      with FlameWatch() as watch:
          work()
      watch.graph.save("work.html")

    graph: a FlameGraph once the block has ended, also by an exception; None before. failed: the HelperError by which
    there is none, or None. HelperMissing: the program, or sudo, is not there. HelperError: it can't profile this
    process, sudo refuses, or it ended before the block did; the text has the reason and what to do."""

    def __init__(self) -> None:
        self.graph: "FlameGraph | None" = None
        self.failed: "HelperError | None" = None
        self._master = self._slave = -1
        self._process: "subprocess.Popen[bytes] | None" = None
        found = program()
        path = found and shutil.which(found)
        if path is None:
            raise HelperMissing("no helper: %s. Build it with make, or set PYMEM_BPF to its path" % (
                "%s can't be started: there is no such program" % found if found else
                "pymem-bpf is not where PATH or PYMEM_BPF say"))
        self._program = os.path.abspath(path)
        self._words = [self._program, "-p", str(os.getpid()), "--format", "flamegraph"]
        self._as_user = os.geteuid() != 0
        if self._as_user and shutil.which("sudo") is None:
            raise HelperMissing("%s needs root, and there is no sudo to start it with: run the notebook's server as root"
                                % self._program)

    @property
    def command(self) -> str:
        """The command, to be pasted into a shell."""
        return " ".join(map(shlex.quote, (["sudo"] if self._as_user else []) + self._words))

    def __enter__(self) -> "FlameWatch":
        self._page: "IO[bytes]" = tempfile.TemporaryFile()
        self._said: "IO[bytes]" = tempfile.TemporaryFile()
        try:
            self._start()
            self._await_attached()
        except BaseException:
            self._abandon()
            raise
        self._began = time.monotonic()
        return self

    def _start(self) -> None:
        """Both in a session of their own: Ctrl-C is for the block."""
        words = self._words
        try:
            if self._as_user:
                # Our copy of its other end stays open until the end: a terminal that nobody has open forgets what was
                # typed.
                self._master, self._slave = os.openpty()
                words = ["/bin/sh", "-c", ON_TERMINAL, os.ttyname(self._slave), "sudo", "-n"] + words
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self._page, stderr=self._said,
                                             start_new_session=True)
        except OSError as e:
            raise HelperMissing("%s can't be started: %s" % (self._program, e.strerror or e)) from None

    def _words_said(self) -> bytes:
        return os.pread(self._said.fileno(), WORDS_BYTES, 0)

    def _await_attached(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not any(line.startswith(READY) for line in self._words_said().splitlines(True) if line.endswith(b"\n")):
            if self._process.poll() is not None:
                raise self._failure("it ended at once")
            if time.monotonic() > deadline:
                raise HelperError("%s has not begun to profile for %d s" % (self.command, START_SECONDS))
            time.sleep(STEP_SECONDS)

    def _failure(self, otherwise: str) -> HelperError:
        """What it said, without what it says when all is well."""
        assert self._process is not None
        said = [printable(line) for line in self._words_said().decode("utf-8", "replace").splitlines()
                if line.strip() and not line.startswith(READY.decode())]
        if self._as_user and not any(line.startswith("pymem-bpf") for line in said):  # these are sudo's words
            words = "; ".join(said) or otherwise
            safe = _is_roots(self._program) and re.fullmatch(r"[A-Za-z0-9_.#-]+", _user())
            return HelperError(REFUSED % (words, _user(), self._program) if safe else UNSAFE % (words, self._program))
        return HelperError("%s\n(%s, status %s)" % ("\n".join(said) or "%s: %s" % (self.command, otherwise),
                                                  self.command, self._process.returncode))

    def _interrupt(self) -> None:
        assert self._process is not None
        if self._as_user:
            os.write(self._master, CONTROL_C)
        elif self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def __exit__(self, kind: object, *_: object) -> None:
        seconds = time.monotonic() - self._began
        try:
            self._finish(seconds)
        except HelperError as e:
            self.failed = e
            if kind is None:
                raise
            from ._streams import tell
            tell("pymem_bpf: no flame graph: %s\n" % e)  # what the block has raised comes first
        finally:
            self._abandon()

    def _finish(self, seconds: float) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise self._failure("it ended before the code did")
        self._interrupt()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise HelperError("%s has not ended %d s after the code did" % (self.command, END_SECONDS)) from None
        if self._process.returncode != 0:
            raise self._failure("it has failed")
        size = os.fstat(self._page.fileno()).st_size
        if not 0 < size <= PAGE_BYTES:
            raise HelperError("%s wrote %s" % (self.command, "no page" if not size else
                              "%d MiB, more than the %d that are read: run it in a terminal, with -o FILE" % (
                                  size >> 20, PAGE_BYTES >> 20)))
        self._page.seek(0)
        self.graph = FlameGraph(self._page.read().decode("utf-8", "replace"), self.command, seconds)

    def _abandon(self) -> None:
        """Ends it, whatever it does, and closes all files. A second call is no error."""
        process = self._process
        if process is not None and process.poll() is None and not self._as_user:
            process.kill()
            process.wait()
        if self._master >= 0:
            os.close(self._master)  # hangs up
            os.close(self._slave)
            self._master = self._slave = -1
        if process is not None and process.poll() is None:
            try:
                process.wait(HANG_UP_SECONDS)
            except subprocess.TimeoutExpired:
                from ._streams import tell
                tell("pymem_bpf: process %d (%s) does not end; end it with: sudo kill %d\n" % (
                    process.pid, self.command, process.pid))
        self._page.close()
        self._said.close()
