# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""diff: two recordings of a program of which one line leaks more, and two parts of one."""
import json
import os
import re
import sqlite3
import subprocess
import time

import jsonschema
import pytest

import harness
import heaps
from conftest import pythons
from harness import MIB

# The first keeps what it is told to; the second has the same lines further down, and one that is new.
BEFORE = """\
import os, sys, time
KEPT = []
def leak(mib):
    KEPT.append(bytearray(mib << 20))
def steady():
    KEPT.append(bytearray(8 << 20))
def churn():
    b = bytearray(40 << 20)
leak(int(sys.argv[1]))
steady()
churn()
"""
AFTER = """\
import os, sys, time
# a comment
KEPT = []

def leak(mib):
    if mib:
        KEPT.append(bytearray(mib << 20))
def steady():
    KEPT.append(bytearray(8 << 20))
def fresh():
    KEPT.append(bytearray(5 << 20))
def churn():
    b = bytearray(40 << 20)
leak(int(sys.argv[1]))
steady()
fresh()
churn()
"""
# Leaks eight times as much in its second half, by another line.
STEADY = """\
import sys, time
KEPT = []
def slow():
    KEPT.append(bytearray(1 << 20))
def fast():
    KEPT.append(bytearray(8 << 20))
for function in (slow, fast):
    for i in range(10):
        function()
        time.sleep(0.3)
"""


def run(*arguments, **how):
    return subprocess.run([harness.TOOL, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE, **how)


def diff(*arguments, status=0):
    done = run("diff", *arguments)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout.decode()


def diff_json(*arguments, status=0):
    report = json.loads(diff(*arguments, "--format", "json", status=status))
    with open(os.path.join(harness.PROJECT, "docs", "json-schema-diff.json")) as f:
        jsonschema.validate(report, json.load(f))
    check_sums(report)
    return report


def check_sums(report):
    """Of each side lines and losses add up to the change, to the byte."""
    for side in "ab":
        total = report[side]["ended"]["change_bytes"]
        for program in report["programs"]:
            one = program[side]
            lines = sum(line[side]["increment_bytes"] for line in program["lines"])
            assert lines + sum(one["lost_bytes"].values()) == one["change_bytes"], program["program"]
            assert one["unaccounted_bytes"] == 0
            total += one["change_bytes"]
        assert total == report[side]["change_bytes"]


def lines_of(report, name="shop.py"):
    return next(p for p in report["programs"] if p["program"] == name)["lines"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("diff")


def record(system, folder, name, source, *arguments, where="one"):
    """A recording of a run of shop.py with this source."""
    path, program = str(folder / name), folder / where / "shop.py"
    program.parent.mkdir(exist_ok=True)
    program.write_text(source)
    # Sources that are newer than the process are said to have changed.
    old = time.time() - 60
    os.utime(program, (old, old))
    done = run("record", "-o", path, "-q", "--", *system.command, program, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return path


@pytest.fixture(scope="module")
def system_python():
    return pythons()[0]


@pytest.fixture(scope="module")
def before(system_python, folder):
    return record(system_python, folder, "before.pymem", BEFORE, 10)


@pytest.fixture(scope="module")
def after(system_python, folder):
    return record(system_python, folder, "after.pymem", AFTER, 50)


def test_the_leak_comes_first(before, after):
    """40 MiB more of one line, which has moved; 5 MiB of a new one; the others are the same."""
    report = diff_json(before, after)
    first, second, *rest = lines_of(report)
    assert first["text"] == "KEPT.append(bytearray(mib << 20))" and first["matched_by"] == "text"
    assert (first["a"]["line"], first["b"]["line"]) == (4, 7)
    assert abs(first["difference_bytes"] - 40 * MIB) < MIB
    assert abs(second["difference_bytes"] - 5 * MIB) < MIB
    assert second["matched_by"] is None and second["a"]["line"] is None and second["b"]["line"] == 11
    assert all(abs(line["difference_bytes"]) < MIB for line in rest)
    steady = next(line for line in rest if line["text"] == "KEPT.append(bytearray(8 << 20))")
    assert (steady["a"]["line"], steady["b"]["line"]) == (6, 9)
    assert 44 * MIB <= report["b"]["growth_bytes"] - report["a"]["growth_bytes"] <= 48 * MIB
    assert report["a"]["complete"] and report["b"]["complete"]


def test_the_table_says_it_first(before, after):
    text = diff(before, after)
    assert re.match(r"B grew by [\d.]+ MiB, A by [\d.]+ MiB,\s+at\s+their\s+highest: (39\.\d|40\.\d) MiB more\s+are\s+of\s+shop.py:7\s+leak",
                    text), text
    assert "in A: line 4" in text and "nothing in A" in text
    for what in (before, after, "unattributed: ", "PID "):
        assert what in text
    # The other way round, it is less.
    assert re.search(r"(39|40)\.\d\sMiB\sless\sare\sof\sshop.py:4\sleak", diff(after, before))


def test_what_churns_is_there(before, after):
    churn = next(line for line in lines_of(diff_json(before, after)) if line["text"] == "b = bytearray(40 << 20)")
    for side in "ab":
        assert churn[side]["grown_bytes"] >= 39 * MIB
        assert churn[side]["grown_bytes"] - churn[side]["freed_bytes"] == churn[side]["increment_bytes"]


def test_nothing_differs(before, system_python, folder):
    again = record(system_python, folder, "again.pymem", BEFORE, 10)
    text = diff(before, again)
    assert text.startswith("Nothing differs in earnest: "), text
    assert diff(before, before).startswith("Nothing differs in earnest: ")


def test_fail_above(before, after, folder):
    """44 to 46 MiB more: both ways of the limit, both ways round; the report is written all the same."""
    assert "within the limit of 60.0 MiB" in diff(before, after, "--fail-above", 60)
    assert "above the limit of 20.0 MiB" in diff(before, after, "--fail-above", 20, status=4)
    diff(after, before, "--fail-above", 1)
    path = str(folder / "out.json")
    diff("--fail-above=20", before, "--format", "json", after, "-o", path, status=4)
    with open(path) as f:
        found = json.load(f)["fail_above"]
    assert found["exceeded"] and found["limit_bytes"] == 20 * MIB and 44 * MIB <= found["more_bytes"] <= 48 * MIB


def test_windows_of_one_file(system_python, folder):
    """The second half of a run leaks eight times as much, by another line."""
    path = record(system_python, folder, "halves.pymem", STEADY, where="halves")
    with_all = diff_json(path, path)
    half = with_all["a"]["seconds"] / 2
    report = diff_json("%s@,%.2f" % (path, half), "%s@%.2f," % (path, half), "--compare", "amounts")
    assert abs(report["a"]["seconds"] - half) < 0.5 and abs(report["b"]["seconds"] - half) < 0.5
    first = lines_of(report)[0]
    assert first["text"] == "KEPT.append(bytearray(8 << 20))"
    assert first["difference_bytes"] >= 40 * MIB
    # What both halves changed is what the whole did.
    assert abs(report["a"]["change_bytes"] + report["b"]["change_bytes"] - with_all["a"]["change_bytes"]) < MIB
    # A part three times as long is compared by rates, if asked.
    rates = diff_json("%s@,%.2f" % (path, half / 3), path, "--compare", "rates")
    assert rates["compared_by"] == "rates"
    assert "/s" in rates["answer"] or "/min" in rates["answer"]


def test_another_program_is_no_counterpart(before, system_python, folder):
    other = folder / "other.py"
    other.write_text("kept = bytearray(30 << 20)\n")
    path = str(folder / "other.pymem")
    assert run("record", "-o", path, "-q", "--", *system_python.command, other).returncode == 0
    report = diff_json(before, path)
    assert {p["program"]: p["matched_by"] for p in report["programs"]} == {"shop.py": None, "other.py": None}
    # What only A has can't make up for what grew in B.
    diff(before, path, "--fail-above", 20, status=4)
    assert diff_json(before, path, "--program", "other.py")["programs"][0]["program"] == "other.py"


def test_files_that_are_none(before, folder):
    for name, content in (("text.pymem", b"hello\n" * 1000), ("empty.pymem", b""),
                          ("cut.pymem", open(before, "rb").read()[:5000])):
        path = folder / name
        path.write_bytes(content)
        done = run("diff", before, path)
        assert done.returncode == 1 and name.encode() in done.stderr, (name, done)
        assert not done.stdout
    done = run("diff", folder / "missing.pymem", before)
    assert done.returncode == 1 and b"No such file" in done.stderr
    assert run("diff", folder, before).returncode == 1


@pytest.mark.attack("the user's terminal", "control characters in the name of a recording")
def test_names_are_escaped(before, folder):
    path = folder / "evil\033[31m.pymem"
    path.write_bytes(open(before, "rb").read())
    assert "\033" not in diff(path, before)
    done = run("diff", folder / "missing\033[31m", before)
    assert done.returncode == 1 and b"\033" not in done.stderr


@pytest.mark.parametrize("window, words", [
    ("@x,", "expected a time"), ("@9h,", "is not in the recording, which is from"),
    ("@-0,", "is not in the recording"), ("@0.02,0.01", "is not after 0.02, so the window is empty"),
    ("@5m", "write FILE@SINCE,UNTIL"), ("@2020-02-30,", "the clock never shows this time")])
def test_wrong_windows(before, window, words):
    done = run("diff", before, before + window)
    assert done.returncode == 2 and words in done.stderr.decode(), done


def test_a_name_with_an_at(before, folder):
    path = folder / "me@host.pymem"
    path.write_bytes(open(before, "rb").read())
    report = diff_json(path, str(path) + "@,")
    assert report["difference_bytes"] == 0


def test_wrong_command_lines(before):
    for arguments, words in (([], "name two recordings"), ([before], "name two recordings"),
                             ([before, before, before], "unexpected argument"),
                             ([before, before, "--fail-above", "0"], "expected a whole number"),
                             ([before, before, "--compare", "x"], "auto, amounts or rates")):
        done = run("diff", *arguments)
        assert done.returncode == 2 and words in done.stderr.decode(), done


def test_no_rights_are_needed(before, after, folder):
    """Any user who may read the files."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    for path in (before, after):
        os.chmod(path, 0o644)
    for part in [folder, *folder.parents]:
        if str(part).startswith("/tmp/"):
            os.chmod(part, 0o755)
    done = run("diff", before, after, preexec_fn=lambda: (os.setgid(65534), os.setuid(65534)))
    assert done.returncode == 0, done.stderr.decode()


# --- what heaps keep ---

# For five seconds a list grows as fast as it is told to; another thing is the same in both. A name attacks the terminal.
KEEPING = """\
import sys, time
AUDIT = []
SESSIONS = {i: bytes(1000) for i in range(3000)}
globals()["\\033[31mEVIL"] = [bytes(1000) for i in range(400 * int(sys.argv[1]))]
# Ends between two looks: one of an interpreter that is ending reaches nothing.
for i in range(46):
    AUDIT.extend([bytes(1000) for j in range(100 * int(sys.argv[1]))])
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def kept(system_python, folder):
    """Two recordings with looks, the second of which keeps more; and one of the second program without."""
    def one(name, times, *options):
        path = str(folder / name)
        (folder / "keep").mkdir(exist_ok=True)
        script = folder / "keep" / "keep.py"
        script.write_text(KEEPING)
        done = run("record", "-o", path, "-q", *options, "--", *system_python.command, script, times)
        assert done.returncode == 0, done.stderr.decode()
        return path
    return (one("keep_a.pymem", 1, "--heap-every", 1), one("keep_b.pymem", 6, "--heap-every", 1), one("keep_none.pymem", 6))


def test_the_holder_that_grew_is_named(kept):
    a, b, _ = kept
    for one, other, sign in ((a, b, 1), (b, a, -1)):
        report = diff_json(one, other)
        assert report["a"]["looks"] == report["b"]["looks"] == 1
        assert report["a"]["unreadable_looks"] == report["b"]["unreadable_looks"] == 0
        program = next(p for p in report["programs"] if p["program"] == "keep.py")
        first = program["holders"][0]
        assert (first["path"], first["type"]) == ("__main__.AUDIT", "list"), program["holders"][:3]
        # The last look of each is at the end, but for a second or so: 5,000 and 30,000 of some 1,033 bytes.
        entries = [first[side]["entries"] for side in "ab"][::sign]
        assert 2000 <= entries[0] <= 5000 and 12000 <= entries[1] <= 30000, first
        assert sign * first["difference_bytes"] >= 7 * MIB
        for side in "ab":
            assert 1000 <= first[side]["retained_bytes"] / first[side]["entries"] <= 1300
        types = {row["type"]: row for row in program["types"]}
        assert types["bytes"] is program["types"][0] and sign * types["bytes"]["difference_least_bytes"] >= 7 * MIB
        same = next(row for row in program["holders"] if row["path"] == "__main__.SESSIONS")
        assert same["a"]["entries"] == same["b"]["entries"] == 3000 and abs(same["difference_bytes"]) < MIB / 8
        check_kept(program)
        assert ("more in __main__.AUDIT (list, +" in report["answer"]) == (sign > 0)


def check_kept(program):
    """What is known lies between its limits, and rows come in their order."""
    for rows, figure in ((program["holders"], "retained_bytes"), (program["types"], "bytes")):
        for row in rows:
            least, most = row["difference_least_bytes"], row["difference_most_bytes"]
            assert least == row["b"]["least_bytes"] - row["a"]["most_bytes"]
            assert most == row["b"]["most_bytes"] - row["a"]["least_bytes"]
            assert row["difference_bytes"] == (least if least == most else None)
            for side in "ab":
                assert (row[side][figure] is None) == (row[side]["unlisted_looks"] > 0)
        sure = [max(row["difference_least_bytes"], 0) - min(row["difference_most_bytes"], 0) for row in rows]
        assert sure == sorted(sure, reverse=True)


def test_the_table_has_what_heaps_keep(kept):
    a, b, _ = kept
    text = diff(a, b, "--width", 120)
    assert re.search(r"B\s+keeps\s+[\d.]+\sMiB\s+more\s+in\s+__main__.AUDIT\s+\(list,\s+\+[\d,]+\sentries\)\.", text), text
    assert re.search(r"^Kept at the last look: A after [\d.]+ s, B after [\d.]+ s$", text, re.M), text
    holders = text.split("  Holder\n")[1].split("  Type\n")[0].splitlines()
    assert re.match(r" *\+[\d.]+ MiB +[\d.]+ MiB +[\d.]+ MiB  __main__.AUDIT, list, [\d,]+ → [\d,]+ entries$", holders[0]), holders
    assert re.search(r"  Type\n *\+[\d.]+ MiB .*  bytes, [\d,]+ → [\d,]+ objects$", text, re.M), text
    assert "amounts, no rates" in diff(a, b, "--compare", "rates", "--width", 120)


@pytest.mark.attack("the user's terminal", "control characters in the name of a holder")
def test_names_of_holders_are_escaped(kept):
    a, b, _ = kept
    for arguments in ((), ("-n", 0), ("--width", 50), ("--format", "json")):
        text = diff(a, b, *arguments)
        assert "\033" not in text and "EVIL" in text, arguments


def test_looks_of_one_side(kept):
    a, b, none = kept
    text = diff(a, none, "--width", 1000)
    assert "Note on B: it has no look at a heap" in text and "--heap-every SEC" in text
    assert "Kept at the last look" not in text and "keeps" not in text.split("\n")[0]
    report = diff_json(none, b)
    assert (report["a"]["looks"], report["b"]["looks"]) == (0, 1)
    assert all(p["looks"] is p["holders"] is p["types"] is None for p in report["programs"])
    assert "heap" not in diff(none, none)


# --- the looks of one recording (`report --heap`) ---

def looks(path, *options, status=0):
    done = run("report", path, "--heap", *options)
    assert done.returncode == status, (done.returncode, done.stderr)
    return (done.stderr if status else done.stdout).decode("utf-8")


@pytest.fixture(scope="module")
def growing(system_python, folder):
    """A recording with several looks: AUDIT grows by 200 entries of some 1,033 bytes in 0.1 s."""
    path, script = str(folder / "growing.pymem"), folder / "growing.py"
    script.write_text("import time\nAUDIT = []\nTABLE = [bytes(1000) for i in range(3000)]\nfor i in range(56):\n"
                      "    AUDIT.extend([bytes(1000) for j in range(200)])\n    time.sleep(0.1)\n")
    done = run("record", "-o", path, "--heap-every", "1", "--", *system_python.command, script)
    assert done.returncode == 0 and b"growing.pymem [--heap]\n" in done.stderr, done.stderr
    return path


def test_report_says_who_grew(growing):
    report = json.loads(looks(growing, "--format", "json"))
    heaps.validator().validate(report)
    look = report["processes"][0]
    first = look["holders"][0]
    assert (first["path"], first["type"], first["new"]) == ("__main__.AUDIT", "list", False), look["holders"][:3]
    assert first["entries_grown"] >= 1000 and first["entries_grown"] % 200 == 0
    assert 1000 <= first["grown_bytes"] / first["entries_grown"] <= 1300
    assert look["seconds"] >= 1 and "kept by __main__.AUDIT (list, " in look["verdict"]
    grown = {row["type"]: row for row in look["types"]}["bytes"]
    assert abs(grown["objects_grown"] - first["entries_grown"]) <= 400  # a census is not of one moment
    assert next(row for row in look["holders"] if row["path"] == "__main__.TABLE")["grown_bytes"] < MIB / 8
    text = looks(growing, "--width", 200, "-n", 3)
    assert re.search(r"^Grows by [\d.]+\sMiB/min: kept by __main__.AUDIT \(list, ", text, re.M), text
    assert "Note: the looks were made at " in text and "and at" in text


def test_report_of_a_part_with_one_look(growing):
    at = look_times(growing)
    text = looks(growing, "--since", at[1] - 0.4, "--until", at[1] + 0.4, "--width", 200)
    assert "Note: the look was made at " in text and "Grow" not in text, text
    said = looks(growing, "--until", 0.001, status=2)
    assert "no looks at heaps in what was asked for: record with --heap-every" in said


def look_times(path):
    """When looks began, in seconds since the start."""
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as db:
        start = dict(db.execute("SELECT name, value FROM about"))["start"]
        return [time - start for time, in db.execute("SELECT time FROM look ORDER BY time")]


def test_report_of_looks_refuses(kept):
    a, _, none = kept
    assert "no looks at heaps" in looks(none, status=2)
    assert "--heap prints a table or json, not html" in looks(a, "--format", "html", "-o", "x.html", status=2)
    assert "--heap and --redact exclude each other" in looks(a, "--redact", status=2)
    assert "--heap and -f exclude each other" in looks(a, "-f", "main", status=2)


@pytest.mark.attack("the user's terminal", "control characters in the name of a holder of a recorded look")
def test_report_of_looks_escapes(kept):
    for options in ((), ("--width", 50), ("--format", "json")):
        text = looks(kept[0], "-n", 0, *options)
        assert "\033" not in text and "EVIL" in text, options
