# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`pymem-bpf heap`: programs that keep memory, and reports on them. Each report that a test makes is held against
the schema, and its balance must be RSS, to the page."""
import functools
import json
import os
import subprocess
import tempfile

import jsonschema

import harness
from harness import PAGE, Target

SCHEMA = os.path.join(harness.PROJECT, "docs", "json-schema-heap.json")


@functools.lru_cache(maxsize=None)
def validator():
    with open(SCHEMA) as f:
        return jsonschema.Draft202012Validator(json.load(f))


class Keeper(Target):
    """programs/heap_leak.py, which keeps memory in one way (programs/heap_kinds.py)."""

    def __init__(self, command, kind, **env):
        Target.__init__(self, command, "heap_leak", arguments=[kind], **env)
        self.holder, self.type = self.first["holder"], self.first["type"]

    def asked(self, *words):
        """Tells it so; what it answers."""
        self.tell(" ".join(map(str, words)).encode())
        return self.said()


class Leaking:
    """births_target.py, and the lines of its two leaks: into a dict and into a list."""

    PROGRAM = os.path.join(harness.PROJECT, "tests", "unit", "data", "births_target.py")

    def __init__(self, command=("/usr/bin/python3",)):
        self.command = command

    def __enter__(self):
        self.process = subprocess.Popen(list(self.command) + [self.PROGRAM], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.kept, self.listed = map(int, self.process.stdout.readline().split())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def check_lines(self, look):
        """Of what grew the line is named, with its caller, and no other. The methods by which it was found."""
        methods = set()
        for holder, line, function in (("__main__.kept", self.kept, "session_for"),
                                       ("__main__.listed", self.listed, "listed_for")):
            rows = [row for row in look.data["births"] if row["holder"] == holder]
            found = [(row["file"], row["line"], row["function"]) for row in rows]
            assert found == [(self.PROGRAM, line, function)], (holder, found, look.data["notes"])
            assert rows[0]["share"] == 1 and rows[0]["insertions"] > 0
            assert "handle" in rows[0]["stack"][1]
            methods.add(rows[0]["method"])
        assert ":%d " % self.kept in look.verdict or ":%d " % self.listed in look.verdict, look.verdict
        return methods


class Replacing:
    """births_replaced.py, and the line that fills what it keeps in one of its ways."""

    PROGRAM = os.path.join(harness.PROJECT, "tests", "unit", "data", "births_replaced.py")

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", self.PROGRAM, self.kind], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.pid, self.line = self.process.pid, int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def lines(self, look):
        """The lines that were found, as many as there are; none is another one than that line."""
        rows = [row for row in look.data["births"] if row["file"] == self.PROGRAM]
        wrong = [row for row in rows if row["line"] != self.line]
        assert not wrong, wrong
        return rows


class Look:
    """What was found of one process."""

    def __init__(self, data):
        self.data = data
        self.holders, self.types, self.verdict = data["holders"], data["types"], data["verdict"]
        self.balance, self.rss = data["balance"], data["rss_bytes"]
        self.check_balance("balance", "rss_bytes")
        if data["seconds"] is not None:
            self.check_balance("balance_first", "rss_first_bytes")

    def check_balance(self, balance, rss):
        total = self.data[rss]
        assert sum(self.data[balance].values()) == total, "%s is not RSS, %d: %s" % (balance, total, self.data[balance])
        assert total % PAGE == 0

    def live(self, balance="balance"):
        return sum(self.data[balance][part] for part in ("objects", "buffers", "malloc_used", "mapped_buffers"))

    def grown(self):
        """Bytes of live memory that came between the two looks."""
        return self.live() - self.live("balance_first")

    def holder(self, path):
        """The one with that path, or whose path has it in it."""
        found = [h for h in self.holders if h["path"] == path] or [h for h in self.holders if path in h["path"]]
        assert found, "no holder %s among %s" % (path, [h["path"] for h in self.holders[:20]])
        return found[0]

    def type(self, name):
        return next((t for t in self.types if t["type"] == name), {"objects": 0, "bytes": 0})

    def notes(self):
        return " ".join(self.data["notes"])


def run(*arguments, **how):
    """`pymem-bpf heap` with these arguments, to its end."""
    return subprocess.run([harness.TOOL, "heap"] + list(map(str, arguments)), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE, **how)


def report(*arguments, **how):
    """Its report, held against the schema."""
    return looks_of(run("--format", "json", "-q", *arguments, **how))


def looks_of(done):
    """The report of a run that has ended."""
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    data = json.loads(done.stdout.decode())
    validator().validate(data)
    data["looks"] = [Look(process) for process in data["processes"]]
    return data


def look(pid, *arguments, **how):
    """What it finds of that process."""
    looks = report("-p", pid, *arguments, **how)["looks"]
    assert [one.data["pid"] for one in looks] == [pid]
    return looks[0]


class Running:
    """`pymem-bpf heap -d`, in the background; its report is in a file."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="pymem-heap.")
        self.path = os.path.join(self.folder.name, "report")
        self.process = subprocess.Popen([harness.TOOL, "heap", "--format", "json", "-o", self.path]
                                        + list(map(str, arguments)), stdin=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.lines = harness.Lines(self.process.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.process.stderr.close()
        self.folder.cleanup()

    def look(self):
        """What it found of its one process, once it has ended."""
        assert self.process.wait(harness.PATIENCE) == 0, self.lines.all
        with open(self.path) as f:
            data = json.load(f)
        validator().validate(data)
        return Look(data["processes"][0])
