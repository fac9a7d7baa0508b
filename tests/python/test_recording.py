# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Recordings of `pymem-bpf record` in mprof: what is read of them, while they are written, too; that hostile and damaged
ones do no harm; plot, peak and list."""
import os
import sqlite3
import subprocess
import sys
import time

import pytest
import sessions
from sessions import needs_program

sys.path.insert(0, os.path.join(sessions.PROJECT, "python", "src"))
from pymem_bpf import _proc, recording  # noqa: E402

MIB = 1 << 20
BEGAN = 1.7e9
SCHEMA = """
PRAGMA application_id = 0x50594d42;
PRAGMA user_version = 1;
CREATE TABLE about(name TEXT PRIMARY KEY, value);
CREATE TABLE interval(id INTEGER PRIMARY KEY, until REAL);
CREATE TABLE image(id INTEGER PRIMARY KEY, pid INTEGER, ppid INTEGER, comm BLOB, argv BLOB, cgroup BLOB, python TEXT,
                   began REAL, ended REAL);
CREATE TABLE sample(image INTEGER, interval INTEGER, anon INTEGER, file INTEGER, shmem INTEGER, swap INTEGER,
                    peak INTEGER, PRIMARY KEY(image, interval)) WITHOUT ROWID;
"""
PAGES = MIB // 4096


class Written:
    """A recording that a test makes. Intervals of one second; amounts in MiB."""

    def __init__(self, path, page_size=4096, wal=False):
        self.path = str(path)
        self.db = sqlite3.connect(self.path, isolation_level=None)
        if wal:
            self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(SCHEMA)
        self.db.executemany("INSERT INTO about VALUES(?, ?)", [("page_size", page_size), ("start", BEGAN),
                                                               ("host", "web1"), ("version", "0.1.0")])
        self.seconds = self.images = 0

    def image(self, pid, argv=b"/usr/bin/python3\0shop.py\0", ended=None, comm=b"python3"):
        self.images += 1
        self.db.execute("INSERT INTO image VALUES(?, ?, 1, ?, ?, x'2f', '3.11.2', ?, ?)", (
            self.images, pid, comm, argv, BEGAN, None if ended is None else BEGAN + ended))
        return self.images

    def second(self, **amounts):
        """One more interval. image_N=MiB or (MiB, peak); of those without a value nothing has changed."""
        self.seconds += 1
        self.db.execute("INSERT INTO interval VALUES(?, ?)", (self.seconds, BEGAN + self.seconds))
        for name, amount in amounts.items():
            amount, peak = amount if isinstance(amount, tuple) else (amount, amount)
            self.db.execute("INSERT INTO sample VALUES(?, ?, ?, ?, ?, 7, ?)", (
                int(name[6:]), self.seconds, (amount - 2) * PAGES, PAGES, PAGES, peak * PAGES))

    def read(self):
        self.db.close()
        return recording.read(self.path)


@pytest.fixture
def shop(tmp_path):
    one = Written(tmp_path / "shop.pymem")
    one.image(10)
    one.image(11, b"worker\0", ended=2.5)
    one.image(12, None, comm=b"sleep")  # of which there is nothing
    one.second(image_1=20, image_2=10)
    one.second(image_1=(30, 90))
    one.second()
    one.second(image_1=25)
    return one


def points(curve):
    return [(amount / MIB, when - BEGAN) for amount, when in curve.points]


# --- what is read ---

def test_read(shop):
    found = shop.read()
    assert (found.host, found.start, found.end) == ("web1", BEGAN, BEGAN + 4)
    assert [(image.pid, image.name, image.peak_bytes // MIB) for image in found.images] == [
        (10, "python3 shop.py", 90), (11, "worker", 10)]
    assert points(found.images[0].curve) == [(20, 1), (30, 2), (25, 4)]
    assert points(found.images[1].curve) == [(10, 1)] and found.images[1].ended == BEGAN + 2.5
    assert points(found.total) == [(30, 1), (40, 2), (30, 2.5), (25, 4)]
    assert found.peak_bytes == 90 * MIB and found.total.highest == 40 * MIB


def test_what_they_have_at_the_start(tmp_path):
    """Columns that a recording of this format may have; numbers may be stored as floating-point ones."""
    one = Written(tmp_path / "x", page_size=4096.0)
    one.image(1)
    one.image(2, ended=1.5)
    for name in recording.STARTS:
        one.db.execute("ALTER TABLE image ADD COLUMN %s INTEGER" % name)
    one.db.execute("UPDATE image SET start_anon = %d, start_file = 0, start_shmem = 0, began = %f + (id - 1) * 0.5"
                   % (40 * PAGES, BEGAN))
    one.second(image_1=20)
    one.second(image_1=30)
    found = one.read()
    assert points(found.total) == [(40, 0), (80, 0.5), (60, 1), (20, 1.5), (30, 2)]
    assert [points(image.curve) for image in found.images] == [[(40, 0), (20, 1), (30, 2)], [(40, 0.5)]]
    assert found.peak_bytes == 80 * MIB


def test_what_they_have_when_they_end(tmp_path):
    """The last row is that of the interval in which it ended, and says what was left of it by then."""
    one = Written(tmp_path / "x")
    one.image(1, ended=1.5)
    one.image(2, b"short\0", ended=1.2)
    one.second(image_1=20)
    one.second(image_1=(5, 70), image_2=(8, 30))
    found = one.read()
    assert [(points(image.curve), image.peak_bytes // MIB) for image in found.images] == [
        ([(20, 1)], 70), ([(8, pytest.approx(1.2))], 30)]
    assert points(found.total) == [(20, 1), (0, 1.5)]


def test_pages_of_another_size(tmp_path):
    one = Written(tmp_path / "x", page_size=65536)
    one.image(1)
    one.second(image_1=3)
    assert one.read().images[0].peak_bytes == 3 * 16 * MIB


def test_one_that_goes_on(tmp_path):
    """Read while it is written, what is committed."""
    one = Written(tmp_path / "x", wal=True)
    one.image(1)
    one.second(image_1=10)
    one.db.execute("BEGIN")
    one.second(image_1=500)
    assert recording.read(one.path).peak_bytes == 10 * MIB
    one.db.execute("COMMIT")
    assert recording.read(one.path).peak_bytes == 500 * MIB
    one.db.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_in_a_folder_of_another_user():
    """A complete one is read where the files can't be made that readers share; of one that is being written, the error
    says what helps."""
    stage = sessions.Stage(sessions.USER)
    try:
        one = Written(os.path.join(stage.path, "x.pymem"), wal=True)
        one.image(1)
        one.second(image_1=10)
        words = [sessions.PYTHON, "-m", "pymem_bpf.mprof", "peak", one.path]
        os.chmod(one.path, 0o644)
        for name in ("-wal", "-shm"):
            os.chmod(one.path + name, 0o600)
        status, said = stage.run(words)
        assert status == 1 and "it is still being written" in said and one.path + "-wal" in said
        one.db.close()
        assert not os.path.exists(one.path + "-wal")
        assert stage.run(words) == (0, "%s\t10.000 MiB\n" % one.path)
        os.chmod(one.path, 0o600)
        status, said = stage.run(words)
        assert status == 1 and "Permission denied" in said
    finally:
        stage.close()


def test_long_ones_stay_small(tmp_path):
    one = Written(tmp_path / "x")
    one.image(1)
    one.db.execute("BEGIN")
    for n in range(20000):
        one.second(image_1=900 if n == 12345 else 10 + n % 5)
    one.db.execute("COMMIT")
    found = one.read()
    for curve in found.total, found.images[0].curve:
        assert len(curve.points) <= recording.POINTS_LIMIT
        assert max(points(curve)) == (900, 12346)


# --- damaged and hostile ones ---

def damage(path, statement):
    with sqlite3.connect(str(path)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.executescript(statement)
    db.close()


@pytest.mark.parametrize("statement, said", [
    ("PRAGMA application_id = 1", "an SQLite file, but no recording of pymem-bpf"),
    ("PRAGMA user_version = 2", "a recording of format 2, and this package reads 1"),
    ("DROP TABLE sample", "table sample is missing"),
    ("DROP TABLE sample; CREATE VIEW sample AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
     "SELECT 1 AS image, 1 AS interval, i AS anon, 0 AS file, 0 AS shmem, 0 AS peak FROM n", "table sample is missing"),
    ("DROP TABLE about; CREATE VIRTUAL TABLE about USING fts4(name, value)", "table about is missing"),
    ("DELETE FROM about", "nothing is in it yet"),
    ("DELETE FROM about WHERE name = 'page_size'", "page_size is None"),
    ("UPDATE about SET value = 7 WHERE name = 'page_size'", "page_size is 7"),
    ("UPDATE about SET value = 'much' WHERE name = 'page_size'", "page_size is 'much'"),
    ("UPDATE about SET value = 1e400 WHERE name = 'start'", "start is inf"),
    ("UPDATE image SET began = 'x' WHERE id = 1", "began is 'x'"),
    ("UPDATE image SET pid = -1", "a PID is -1"),
    ("UPDATE interval SET until = NULL", "until is None"),
    ("UPDATE sample SET anon = -9000", "RSS in pages is -"),
    ("UPDATE sample SET anon = 9223372036854775807", "RSS in pages is 9223372036854775808"),
    ("UPDATE sample SET peak = zeroblob(100000000)", "a peak is b'"),
    ("DELETE FROM image WHERE id = 1", "a sample of process image 1, which is not there"),
    ("ALTER TABLE sample RENAME COLUMN anon TO other", "no such column"),
])
def test_damaged(shop, statement, said):
    shop.db.close()
    damage(shop.path, statement)
    with pytest.raises(ValueError) as caught:
        recording.read(shop.path)
    assert str(caught.value).startswith(shop.path + ": ") and said in str(caught.value) and len(str(caught.value)) < 400


def test_cut_off(shop, tmp_path):
    shop.db.close()
    with open(shop.path, "rb") as f:
        data = f.read()
    for size in (16, 100, 5000, len(data) - 4096):
        with open(shop.path, "wb") as f:
            f.write(data[:size])
        with pytest.raises(ValueError, match="can't be read as a recording|no recording of pymem-bpf"):
            recording.read(shop.path)
    with pytest.raises(FileNotFoundError):
        recording.read(str(tmp_path / "no"))


def test_names(tmp_path):
    one = Written(tmp_path / "a b?mode=rwc#%41")
    long = b"/bin/" + b"x" * 100000 + b"\0"
    for number, argv in enumerate((b"/usr/bin/python3\0-c\0print('\x1b[31m')\n\0", long, b"\xff\0", b"", b"\0\0", None), 1):
        one.image(number, argv, comm=b"co\x07mm")
    one.second(**{"image_%d" % n: 50 - n for n in range(1, 7)})
    names = [image.name for image in one.read().images]
    assert names == ["python3 -c print('?[31m')?", "x" * 59 + "…", "\ufffd", "co?mm", "co?mm", "co?mm"]
    assert os.listdir(str(tmp_path)) == ["a b?mode=rwc#%41"]


# --- mprof ---

@pytest.fixture
def mprof(tmp_path):
    def run(*words, status=0):
        env = dict(os.environ, PYTHONPATH=os.path.join(sessions.PROJECT, "python", "src"), MPLBACKEND="Agg", TZ="UTC",
                   PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run([sessions.PYTHON, "-m", "pymem_bpf.mprof"] + list(words), cwd=str(tmp_path), env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=sessions.PATIENCE)
        assert done.returncode == status, done.stdout.decode()
        return done.stdout.decode()
    return run


DAT = "CMDLINE python a$b$c.py\nMEM 10.0 1.0\nMEM 30.0 2.0\nFUNC __main__.f 10.0 1.1 30.0 1.9 0\n"


def test_peak_and_list(shop, mprof, tmp_path):
    shop.db.close()
    (tmp_path / "mprofile_20260101000000.dat").write_text(DAT)
    (tmp_path / "other.pymem").write_text("x")
    assert mprof("peak", "shop.pymem") == ("shop.pymem\t90.000 MiB\n  Process 10 python3 shop.py\t\t\t90.000 MiB\n"
                                           "  Process 11 worker\t\t\t10.000 MiB\n")
    assert mprof("peak", "shop.pymem", "0").endswith("MiB\nmprofile_20260101000000.dat\t30.000 MiB\n")
    assert "shop.pymem is a recording, and has no functions: --func" in mprof("peak", "--func", "f", "shop.pymem", status=1)
    assert mprof("list") == ("0 mprofile_20260101000000.dat 00:00:00 01/01/2026\n"
                             "- shop.pymem 22:13:20 14/11/2023 recording, 2 processes\n")
    assert mprof("clean") == "" and sorted(os.listdir(str(tmp_path))) == ["other.pymem", "shop.pymem"]
    damage(shop.path, "PRAGMA user_version = 9")
    assert "- shop.pymem (shop.pymem: a recording of format 9" in mprof("list")
    assert "a recording of format 9" in mprof("peak", "shop.pymem", status=1)


def test_peak_of_one_without_figures(tmp_path, mprof):
    one = Written(tmp_path / "x.pymem")
    one.image(1)
    one.db.close()
    assert mprof("peak", "x.pymem") == "x.pymem\tNaN MiB\n"
    assert "x.pymem has no figures" in mprof("plot", "-o", "x.png", "x.pymem", status=1)


def test_a_python_without_sqlite(shop, mprof, tmp_path):
    """It has mprof all the same."""
    shop.db.close()
    (tmp_path / "sqlite3.py").write_text("raise ImportError('No module named _sqlite3')\n")
    (tmp_path / "x.dat").write_text(DAT)
    assert mprof("peak", "x.dat") == "x.dat\t30.000 MiB\n"
    assert "shop.pymem: recordings are read with sqlite3, which this Python (" in mprof("peak", "shop.pymem", status=1)


DRAWN = """
import sys
sys.argv = ["mprof"] + sys.argv[1:]
from matplotlib import pyplot
from pymem_bpf import mprof
pyplot.close = lambda figure: None
assert mprof.main() == 0
axes = pyplot.gca()
print(axes.get_title(), "|", axes.get_xlim())
for line in axes.get_lines():
    print([round(float(x), 1) for x in line.get_xdata()][:8], [round(float(y), 1) for y in line.get_ydata()][:8],
          line.get_label(), line.get_marker(), line.get_linestyle())
"""


def drawn(tmp_path, *words):
    """What was drawn: a line of text for the title and for each line of the picture."""
    env = dict(os.environ, PYTHONPATH=os.path.join(sessions.PROJECT, "python", "src"), MPLBACKEND="Agg", TZ="UTC")
    done = subprocess.run([sessions.PYTHON, "-c", DRAWN, "plot", "-o", "x.png"] + list(words), cwd=str(tmp_path), env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=sessions.PATIENCE)
    assert done.returncode == 0, done.stdout.decode()
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    return done.stdout.decode().splitlines()


def test_plot(shop, tmp_path):
    shop.db.close()
    lines = drawn(tmp_path, "shop.pymem")
    assert lines[0].startswith("web1, start at 14/11/2023 22:13:20 |")
    assert lines[1:] == [
        "[1.0, 2.0, 2.5, 4.0, 4.0] [30.0, 40.0, 30.0, 25.0, 25.0] sum of 2 processes, peak at least 90.0 MiB None -",
        "[1.0, 2.0, 4.0, 4.0] [20.0, 30.0, 25.0, 25.0] 10 python3 shop.py, peak 90.0 MiB None -",
        "[2.0] [90.0] _child2 ^ None",
        "[1.0, 2.5] [10.0, 10.0] 11 worker, peak 10.0 MiB, ended None -",
        "[1.0] [10.0] _child4 ^ None", "[2.5] [10.0] _child5 x None"]


def test_plot_options(shop, tmp_path, mprof):
    shop.db.close()
    (tmp_path / "a$b.dat").write_text(DAT)
    lines = drawn(tmp_path, "-t", "mine", "-w", "1,3", "-n", "-s", "shop.pymem")
    assert lines[0] == "mine | (1.0, 3.0)" and sum(" -- " in line or line.endswith("--") for line in lines) == 3
    assert any("10 python3 shop.py, peak 90.0 MiB, slope 0." in line or "slope -" in line for line in lines)
    lines = drawn(tmp_path, "shop.pymem", "a$b.dat")
    assert [line for line in lines if "shop.pymem" in line] and not any("worker" in line for line in lines)
    assert "shop.pymem is a recording, and has no functions: --flame is for .dat files" in mprof(
        "plot", "--flame", "-o", "y.png", "a$b.dat", "shop.pymem", status=1)
    assert not (tmp_path / "y.png").exists()


def test_plot_of_many(tmp_path):
    one = Written(tmp_path / "x.pymem")
    for n in range(1, 21):
        one.image(n, b"$\\alpha$ $x$_\0")
    one.second(**{"image_%d" % n: 10 + n for n in range(1, 21)})
    one.second(**{"image_%d" % n: 12 + n for n in range(1, 21)})
    one.db.close()
    lines = drawn(tmp_path, "x.pymem")
    labels = [line for line in lines if " MiB" in line]
    assert len(labels) == 9 and "sum of 20 processes, peak at least 450.0 MiB" in labels[0] and "20 \\$" in labels[1]
    assert any("and 12 smaller, in the sum" in line for line in lines)


@needs_program
def test_a_real_recording(tmp_path):
    """Of a process that takes 60 MB meanwhile, and ends."""
    code = "import time, sys; sys.stdin.read(1); b = bytearray(60000000); time.sleep(2); del b; time.sleep(3)"
    target = subprocess.Popen([sessions.PYTHON, "-c", code], stdin=subprocess.PIPE)
    recorder = subprocess.Popen([sessions.PROGRAM, "record", "-o", str(tmp_path / "r.pymem"), "-p", str(target.pid),
                                 "-d", "20"], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + sessions.PATIENCE
        while not recorder.stderr.readline().startswith(b"attached"):
            assert recorder.poll() is None and time.monotonic() < deadline
        before = _proc.rss_bytes(target.pid)
        target.communicate(b"x")
        recorder.communicate(timeout=sessions.PATIENCE)
    finally:
        target.kill()
        recorder.kill()
    found = recording.read(str(tmp_path / "r.pymem"))
    image, = found.images
    assert image.pid == target.pid and image.name.startswith("python3 -c import time")
    assert image.peak_bytes - before == pytest.approx(60000000, abs=2 * MIB)
    assert image.ended is not None and image.curve.highest <= image.peak_bytes
    assert "ended" in "".join(drawn(tmp_path, "r.pymem"))
