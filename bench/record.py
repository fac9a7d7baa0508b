#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What recording needs: CPU time of `pymem-bpf record` and all its helpers, and bytes, for one process and for many
that grow.

CPU is utime plus stime over --seconds, after --settle; that of the same profile without a recording stands beside it.
It is measured twice, of two recordings: as the machine is, and while a loop of the lowest priority on each CPU keeps it
from sleeping (common.Awake).
Bytes are those that the tables of intervals take in the file (SQLite's dbstat), without names and sources, which come
once. A file has whole pages of 4 KiB, some of each table. So of one process, which fills a page in minutes, they are
measured after --long seconds: nearly as long as intervals of a second are kept. The size of an hour follows from them: 10 minutes in intervals of a second, the rest in intervals of 10 seconds,
as they are gathered; how many stacks change in 10 seconds is counted.
"""
import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import common
import tables
import top

TABLES = ("interval", "sample", "change", "facts", "cgroup_sample", "mark")
MIB = 1 << 20


class Recorder:
    """`pymem-bpf record`, or with `path` None a profile without a recording."""

    def __init__(self, arguments, path):
        words = ["record", "-o", path] if path else ["--format", "json", "-o", "/dev/null"]
        self.process = subprocess.Popen([common.TOOL, *words, *arguments], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid
        said = ""
        while "attached" not in said and "profiling" not in said:
            said = common.read_line(self.process.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        rest = self.process.stderr.read().decode("utf-8", "replace")
        status = self.process.wait(common.PATIENCE)
        self.process.stderr.close()
        if status:
            raise RuntimeError("it ended with status %d: %s" % (status, rest))


def cpu(arguments, path, options, whole=0):
    """Per cent of a CPU. whole: seconds that it runs in all, at least."""
    with Recorder(arguments, path) as recorder:
        began = time.monotonic()
        time.sleep(options.settle)
        before, start = top.cpu_by_name(recorder.pid), time.monotonic()
        time.sleep(options.seconds)
        after, seconds = top.cpu_by_name(recorder.pid), time.monotonic() - start
        time.sleep(max(0, began + whole - time.monotonic()))
    return 100 * sum(used - before.get(name, 0) for name, used in after.items()) / seconds


def numbers(data):
    """The varints of a packed text."""
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def number_at(data, at):
    """(the number that begins there, where it ends)"""
    value = shift = 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1


def stacks(data):
    """(image, node) of each row of a stack (docs/RECORDING.md, Figures)."""
    at = 0
    while at < len(data):
        image, at = number_at(data, at)
        kind, at = number_at(data, at)
        size, at = number_at(data, at)
        rows = numbers(data[at:at + size])
        at += size
        for node in rows if not kind else ():
            next(rows)
            for _ in range(bin(next(rows)).count("1")):
                next(rows)
            yield image, node


def sizes(path):
    """(stacks that changed in a second, bytes of each such row, bytes of an hour, of names and sources)."""
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        used = dict(db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
        changes = db.execute("SELECT interval, data FROM change").fetchall()
        start, = db.execute("SELECT value FROM about WHERE name = 'start'").fetchone()
        ends = db.execute("SELECT id, until FROM interval ORDER BY id").fetchall()
    # An interval begins where the one before it ends.
    times = {number: since for (number, _), (_, since) in zip(ends, [(0, start)] + ends)}
    seconds = ends[-1][1] - start
    rows, spans = 0, set()
    for interval, data in changes:
        for stack in stacks(data):
            rows += 1
            spans.add((int(times[interval] // 10), stack))
    taken = sum(used.get(name, 0) for name in TABLES)
    each = taken / rows
    hour = each * (600 * rows / seconds + 3000 * len(spans) / seconds)
    once = sum(size for name, size in used.items() if name not in TABLES)
    return rows / seconds, each, hour + once, once


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="that are measured (60)")
    parser.add_argument("--settle", type=float, default=10, help="before that (10)")
    parser.add_argument("--long", type=float, default=580, help="of the recording of one process, in all (580)")
    parser.add_argument("--count", type=int, default=200, help="Pythons where there are many (200)")
    parser.add_argument("--rate", type=float, default=2, help="steps a second of each (2)")
    parser.add_argument("--only-many", action="store_true", help="not one process by itself")
    parser.add_argument("--without", action="store_true", help="measure profiles without a recording, too")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter (/usr/bin/python3)")
    return parser.parse_args()


def measure(count, options):
    """A row of the table."""
    with tempfile.TemporaryDirectory(prefix="pymem-bench.") as folder, \
            top.Growers(options.python, count, options.rate) as targets:
        path = os.path.join(folder, "run.pymem")
        arguments = ["-p", ",".join(map(str, targets.pids))]
        share = cpu(arguments, path, options, options.long if count == 1 else 0)
        with common.Awake():
            awake = cpu(arguments, os.path.join(folder, "awake.pymem"), options)
        rows, each, hour, once = sizes(path)
        without = "%.2f %%" % cpu(arguments, None, options) if options.without else "-"
    name = "one process" if count == 1 else "%d processes" % count
    return (name, "%.2f %%" % share, "%.2f %%" % awake, without, "%.0f" % rows, "%.0f" % each, "%.1f MiB" % (hour / MIB),
            "%.1f MiB" % (once / MIB))


def main():
    options = parse()
    rows = []
    for count in ([] if options.only_many else [1]) + [options.count]:
        rows.append(measure(count, options))
        print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    data = {"machine": common.machine(), "python": common.version_of(options.python), "seconds": options.seconds,
            "rate": options.rate, "long": options.long, "rows": rows}
    common.save("record.json", data)
    print(tables.record_text(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
