# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`report` of files that are no recordings, or no longer: it says what is wrong, with status 1, or reports what
is there. It never crashes, hangs or writes."""
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess

import harness
import pytest
from harness import Target, Tool

SECONDS = 60


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A recording of a process with some stacks, sources, and what touched its pages first."""
    from conftest import pythons
    path = tmp_path_factory.mktemp("record") / "good.pymem"
    touched = ["--touched"] if harness.platform.machine() == "x86_64" else []
    with Target(pythons()[0].command, "fork") as target:
        with Tool("record", "-p", target.pid, "-o", path, *touched, output=False) as tool:
            tool.attached()
            target.go(tool.polled)
            assert tool.stop() == 0, tool.stderr
    return path


def read(path, *options):
    done = subprocess.run([harness.TOOL, "report", str(path), *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS)
    assert done.returncode in (0, 1), (path, done.returncode, done.stderr)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if b": " + str(path).encode() + b": " in line]
        assert done.stdout == b"" and len(said) == 1 and len(said[0]) < 1000, done.stderr
        assert said[0].startswith(b"pymem-bpf report: ") and (said[0] in done.stderr.splitlines()[-1:]), done.stderr
    return done


def refused(path, words):
    done = read(path)
    assert done.returncode == 1 and words.encode() in done.stderr, done.stderr


def test_no_recordings(good, tmp_path):
    path = tmp_path / "x"
    refused(path, "No such file or directory")
    path.write_bytes(b"")
    refused(path, "it is no recording of pymem-bpf")
    path.write_text("some text\n" * 1000)
    refused(path, "is not a database")
    path.write_bytes(b"SQLite format 3\0" + b"\0" * 4096)
    read(path)
    os.unlink(str(path))
    with sqlite3.connect(str(path)) as db:
        db.execute("CREATE TABLE t(x)")
    refused(path, "it is no recording of pymem-bpf")
    refused(tmp_path, "it is no file")
    os.mkfifo(str(tmp_path / "pipe"))
    refused(tmp_path / "pipe", "it is no file")
    refused("/dev/zero", "it is no file")
    os.symlink(str(good), str(tmp_path / "link"))
    assert read(tmp_path / "link").returncode == 0


@pytest.mark.attack("root's report, or code that it runs",
                    "a recording with other tables, with figures, names and sizes that no recorder writes")
@pytest.mark.parametrize("sql, words", [
    ("PRAGMA user_version=2", "its format has version 2, and this pymem-bpf reads version 1"),
    ("PRAGMA application_id=0", "it is no recording of pymem-bpf"),
    ("CREATE TABLE more(x)", "its tables are not those of a recording"),
    ("CREATE VIEW a AS SELECT 1", "its tables are not those of a recording"),
    ("DROP TABLE facts", "its tables are not those of a recording"),
    ("ALTER TABLE image ADD COLUMN g GENERATED ALWAYS AS (zeroblob(1000000000))", "its tables are not those"),
    ("UPDATE change SET data=zeroblob(20000000)", ""),
    ("UPDATE text SET bytes=zeroblob(100000000) WHERE id=1", ""),
    ("UPDATE content SET size=1<<62", ""),
    ("UPDATE content SET data=x'00'", ""),
    ("UPDATE image SET pid=-1, ppid=1<<40, comm=x'1b5b324a', python=zeroblob(1000)", ""),
    ("UPDATE interval SET until=9e999", "an interval has no time"),
    ("WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i+1 FROM n WHERE i<40000) INSERT INTO image "
     "SELECT i,1,1,'a',zeroblob(9),'','','',1,NULL,1,1,1,1,0,0,0,0,0,0,0,0 FROM n", ""),
])
def test_changed(good, tmp_path, sql, words):
    """Whole files with contents that no recorder writes."""
    path = tmp_path / "x"
    shutil.copy(str(good), str(path))
    with sqlite3.connect(str(path)) as db:
        db.execute(sql)
    if words:
        refused(path, words)
    for options in ["-v"], ["--format", "json"], ["--format", "pprof", "-o", str(tmp_path / "out")]:
        done = read(path, *options)
        assert b"\x1b" not in done.stdout


@pytest.mark.attack("the memory of root's report", "a recording of thousands of processes, each in hundreds of intervals")
def test_many_processes(good, tmp_path):
    """What the page has of each process in each slice of time is bounded by fewer slices."""
    path, page, count = tmp_path / "x", tmp_path / "page.html", 5000
    shutil.copy(str(good), str(path))
    with sqlite3.connect(str(path)) as db:
        first, until = db.execute("SELECT max(id), max(until) FROM interval").fetchone()
        db.executemany("INSERT INTO interval VALUES(?,?)", [(first + n, until + n) for n in range(1, 401)])
        names = [row[1] for row in db.execute("PRAGMA table_info(image)")]
        image = dict(zip(names, db.execute("SELECT * FROM image LIMIT 1").fetchone()), ended=None)
        numbers = range(100000, 100000 + count)
        db.executemany("INSERT INTO image VALUES(%s)" % ",".join("?" * len(names)),
                       [list(dict(image, id=n, pid=n).values()) for n in numbers])
        db.executemany("INSERT INTO sample VALUES(?,?,2000,0,0,0,2000)", [(n, first) for n in numbers])
    assert read(path, "--format", "html", "-o", str(page)).returncode == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.S)[1])
    assert len(data["processes"]) > count and 1 < data["time"]["slices"] <= (1 << 20) // count


def test_truncated(good, tmp_path):
    data = good.read_bytes()
    for size in sorted({1, 15, 16, 99, 100, 4095, *range(4096, len(data), max(4096, len(data) // 40 // 4096 * 4096))}):
        (tmp_path / "x").write_bytes(data[:size])
        assert read(tmp_path / "x", "--format", "json").returncode == 1


@pytest.mark.attack("a crash or a hang of root's report", "a recording with bits changed at random")
@pytest.mark.parametrize("part", range(4))
def test_bits(good, tmp_path, part):
    """200 files with random bits changed."""
    data, path = good.read_bytes(), tmp_path / "x"
    for seed in range(part * 50, part * 50 + 50):
        chance, changed = random.Random(seed), bytearray(data)
        for _ in range(chance.choice([1, 3, 20, 200])):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        read(path, *chance.choice([[], ["-v"], ["--format", "json"], ["--format", "folded"], ["--since", "0.01"]]))
        assert path.read_bytes() == changed, "it was written to"
        assert os.listdir(str(tmp_path)) == ["x"]


def test_names(good, tmp_path):
    """Names that mean something to SQLite."""
    for name in ":memory:", "a?mode=memory", "a#b", "a%41", "-x", "\x1b[2Jname", "file:a":
        shutil.copy(str(good), str(tmp_path / name))
        done = subprocess.run([harness.TOOL, "report", "--", name], cwd=str(tmp_path), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=SECONDS)
        assert done.returncode == 0 and b"fork.py" in done.stdout, (name, done.stderr)
        (tmp_path / name).write_text("no")
        done = subprocess.run([harness.TOOL, "report", "--", name], cwd=str(tmp_path), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=SECONDS)
        assert done.returncode == 1 and b"\x1b" not in done.stderr
        os.unlink(str(tmp_path / name))
