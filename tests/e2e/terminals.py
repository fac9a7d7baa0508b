# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A terminal for a test, in tmux: keys go in, and what a user would see comes out.

Each has a tmux server of its own, which ends with the test and all that runs in it.
"""
import os
import re
import shlex
import subprocess
import tempfile

import harness

GOLDEN = os.path.join(harness.PROJECT, "tests", "golden")


class Terminal:
    """A shell in a terminal of some size. `env`: more of its environment; None leaves a variable out."""

    def __init__(self, columns, rows, **env):
        self.folder = tempfile.TemporaryDirectory(prefix="pymem-top.")
        self.socket = os.path.join(self.folder.name, "tmux")
        kept = {"PATH": os.environ["PATH"], "HOME": self.folder.name, "LANG": "C.UTF-8"}
        kept.update(env)
        words = ["%s=%s" % pair for pair in kept.items() if pair[1] is not None and pair[0] != "TERM"]
        # TERM is tmux's own, unless a test wants another.
        term = ["TERM=" + kept["TERM"]] if kept.get("TERM") else ["TERM=screen-256color"]
        if "TERM" in kept and kept["TERM"] is None:
            term = []
        shell = " ".join(["exec", "env", "-i", *map(shlex.quote, words + term), "PS1=\\$\\ ", "sh"])
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", self.folder.name, shell)
        self.see(r"\$$")

    def tmux(self, *words):
        # -u: tmux itself shows all characters, whatever the locale of the tests is.
        return subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *words], check=True,
                              stdout=subprocess.PIPE, timeout=harness.PATIENCE).stdout.decode()

    def keys(self, *keys):
        """Sends keys by tmux's names: "Enter", "q", "C-c"."""
        self.tmux("send-keys", *keys)

    def run(self, *words):
        """Types a command whose status is printed when it has ended."""
        self.tmux("send-keys", "-l", "clear; %s; echo ended with $?" % " ".join(map(shlex.quote, words)))
        self.keys("Enter")

    def screen(self, styles=False):
        """What is seen, without the blanks at the ends of its lines."""
        text = self.tmux("capture-pane", "-p", *(["-e"] if styles else []))
        return "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n")

    def see(self, pattern, gone=False):
        """Waits until the screen has it (or not any more); returns the screen."""
        seen = []

        def has():
            seen[:] = [self.screen()]
            return bool(re.search(pattern, seen[0], re.M)) != gone
        try:
            harness.until(has, "seen")
        except AssertionError:
            raise AssertionError("%s %r on the screen:\n%s" % ("still" if gone else "no", pattern, seen[0])) from None
        return seen[0]

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def pid_of(self, name):
        """The program of that name which runs in the terminal."""
        shell = int(self.tmux("display-message", "-p", "#{pane_pid}"))
        found = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(shell)], check=True,
                               stdout=subprocess.PIPE).stdout.decode()
        return [int(line.split()[0]) for line in found.splitlines() if line.split()[1] == name][0]

    def modes(self):
        """The terminal's modes, as stty prints them."""
        tty = self.tmux("display-message", "-p", "#{pane_tty}").strip()
        return subprocess.run(["stty", "-a", "-F", tty], check=True, stdout=subprocess.PIPE).stdout.decode()

    def alternate(self):
        """Is the alternate screen shown?"""
        return self.tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        self.folder.cleanup()


def masked(screen):
    """A screen without what differs from run to run: amounts, times, PIDs, trends, folders, and the blanks
    before them."""
    text = re.sub(r"(?<=[ >])\S*/steps\.py", "steps.py", screen)
    text = re.sub(r"^…\S*? ?>", "… >", text, flags=re.M)  # a path that was cut, wherever
    text = re.sub(r"[▁▂▃▄▅▆▇█]+", "#", text)
    text = re.sub(r"(?<= )[_.^-]{1,8}(?= )", "#", text)
    text = re.sub(r"[+-]?\d+(\.\d+)? ?[KMG](iB)?\b(/min)?", "#", text)
    text = re.sub(r"(?<= )0(?= )", "#", text)  # a rate that has died away
    text = re.sub(r"\d+:\d\d\b|\b\d{2,}\b|(?<=left out: )\d+|(?<=own: )\d+|(?<=change: )\d+", "#", text)
    text = re.sub(r"nothing unattributed|unattributed #", "unattributed or not", text)
    # How often figures are new on a busy machine, which may take the room of what is behind it.
    text = re.sub(r"\A(pymem-bpf .*?)(?:  every \S+ s)?(?:  \S+ process(?:es)?)?$", r"\1", text, flags=re.M)
    return re.sub(r" *#", " #", text)


def compare(name, screen):
    """Compares a screen with the stored one; PYMEM_GOLDEN_UPDATE=1 stores it."""
    path = os.path.join(GOLDEN, name)
    if os.environ.get("PYMEM_GOLDEN_UPDATE"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(masked(screen) + "\n")
    with open(path, encoding="utf-8") as f:
        wanted = f.read()
    assert masked(screen) + "\n" == wanted, "not as in %s:\n%s" % (path, screen)
